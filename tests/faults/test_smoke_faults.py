"""SIGKILL of launcher, worker and scheduler of the main job, preset smoke, at random moments.

The preset has more and shorter cells here, so that a run can be killed several times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulations.results.content import content_digest
from simulations.results.files import read_dataset
from simulations.results.manifest import Manifest
from tests.faults import launch as lab
from tests.faults.cluster import Cluster
from tests.faults.fault_table import Row, row

pytestmark = pytest.mark.faults

SIZES = ("8", "16", "32", "64", "128", "512", "2048")
SETTINGS = ("--steps", "100", "--queries", "64", "--nelbo-queries", "32",
            "--replicates", "100")  # fmt: skip
WORDS = ("--preset", "smoke", "--train-sizes", *SIZES, *SETTINGS)
LONGEST = 8.0


@dataclass(frozen=True)
class Final:
    """What must agree: each cell, the merged data but for times, the manifest's words."""

    cells: dict[str, str]
    merged: str
    manifest: list[tuple[str, str, str]]

    @classmethod
    def read(cls, out: Path) -> Final:
        cells = {p.stem: content_digest(read_dataset(p)) for p in out.glob("cells/*.nc")}
        merged = read_dataset(out / "phase_diagram.nc").drop_vars("cell_seconds")
        del merged.attrs["sweep_seconds"]
        entries = Manifest.read(out).entries.values()
        told = sorted((e.cell, e.coordinates, e.config_hash) for e in entries)
        return cls(cells, content_digest(merged), told)


class Job:
    """The main job on one folder, begun as often as it is killed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.watch = lab.Watch(folder / "run", folder / "log")
        self._begun: list[lab.Launcher] = []

    def begin(self, *words: str) -> lab.Launcher:
        options = ("--out", str(self.watch.out), *WORDS, *(words or ("--workers", "2")))
        made = lab.Launcher(
            self.watch.out, *options, log=self.watch.log, script=("-m", "tests.faults.smoke")
        )
        self._begun.append(made)
        return made

    def end(self) -> None:
        """Leave no process."""
        lab.end_all(launcher.tag for launcher in self._begun)
        for launcher in self._begun:
            launcher.process.wait()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Callable[[str], Job]]:
    """Makes jobs that leave no process."""
    made: list[Job] = []

    def make(name: str) -> Job:
        made.append(Job(tmp_path / name))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Final:
    """The same job without a fault."""
    made = Job(tmp_path_factory.mktemp("smoke"))
    try:
        launcher = made.begin()
        assert launcher.end() == 0, launcher.said()
    finally:
        made.end()
    return Final.read(made.watch.out)


def _settle(made: Row, jobs: list[Job], undisturbed: Final) -> None:
    watches = [one.watch for one in jobs]
    made.trials = sum(watch.trials for watch in watches)
    made.lost = sum(watch.lost() for watch in watches)
    made.again = sum(watch.again().total() for watch in watches)
    made.flight = sum(watch.charged.total() for watch in watches)
    for watch in watches:
        assert Final.read(watch.out) == undisturbed
        assert not (watch.out / "unfinished").exists() and not (watch.out / ".lease").exists()
        assert not [path for path in watch.out.rglob("*") if path.name.startswith(".tmp-")]
        assert watch.again() <= watch.charged
    made.equal = True
    assert made.lost == 0


def test_launcher_killed(job: Callable[[str], Job], undisturbed: Final) -> None:
    when, jobs = lab.moments(16), []
    with row("smoke preset: SIGKILL of the launcher", 160) as made:
        left = lab.trials(10)
        while left:
            one = job(f"job{left}")
            jobs.append(one)
            launcher = one.begin()
            while left and lab.struck(launcher, one.watch, when, LONGEST):
                launcher.kill()
                assert one.watch.disturbed() <= 4
                left -= 1
                launcher = one.begin()
            assert launcher.end() == 0, launcher.said()
        _settle(made, jobs, undisturbed)


def test_worker_killed(job: Callable[[str], Job], undisturbed: Final) -> None:
    when, jobs = lab.moments(17), []
    with row("smoke preset: SIGKILL of a worker of the pool", 161) as made:
        left = lab.trials(10)
        while left:
            one = job(f"job{left}")
            jobs.append(one)
            status = 1
            while status == 1:
                launcher = one.begin()
                while left and lab.struck(launcher, one.watch, when, LONGEST):
                    kept = one.watch.files()
                    workers = launcher.workers()
                    if workers:
                        lab.kill(when.choice(workers))
                        one.watch.disturbed(kept)
                        left -= 1
                status = launcher.end()
            assert status == 0, launcher.said()
        _settle(made, jobs, undisturbed)


def test_scheduler_killed(job: Callable[[str], Job], undisturbed: Final, tmp_path: Path) -> None:
    when, jobs, left, k = lab.moments(18), [], lab.trials(10), 0
    (tmp_path / "cluster").mkdir()
    with row("smoke preset: SIGKILL of the Dask scheduler", 162) as made:
        while left:
            one = job(f"job{left}")
            jobs.append(one)
            cluster = Cluster(tmp_path / "cluster", one.watch.log)
            try:
                workers = [cluster.worker(f"w{left}-{i}", "--no-nanny") for i in range(2)]
                status = 1
                while status == 1:  # a cell that lost its scheduler three times
                    launcher = one.begin("--cluster", cluster.address)
                    while left and lab.struck(launcher, one.watch, when, LONGEST):
                        kept = one.watch.files()
                        cluster.scheduler.kill()
                        cluster.scheduler.wait()
                        for worker in workers:
                            lab.kill(worker.pid)
                            worker.wait()
                        one.watch.disturbed(kept)
                        cluster.start_scheduler()
                        k, left = k + 1, left - 1
                        workers = [cluster.worker(f"x{k}-{i}", "--no-nanny") for i in range(2)]
                    status = launcher.end()
                assert status == 0, launcher.said()
            finally:
                cluster.stop()
        _settle(made, jobs, undisturbed)

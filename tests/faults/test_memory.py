"""A cell without enough memory fails by name; workers with other code get no cell."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from simulations.sweep.pool import WorkerRefused
from simulations.sweep.run import run_sweep
from simulations.sweep.threads import single_thread_settings
from tests.faults import launch as lab
from tests.faults import stub
from tests.faults.cluster import Cluster
from tests.faults.fault_table import row

pytestmark = pytest.mark.faults

SAID = {
    ("greedy", "pool"): (1, "MemoryError: Unable to allocate 16.0 GiB"),
    ("greedy", "cluster"): (1, "MemoryError: Unable to allocate 16.0 GiB"),
    ("deadly", "pool"): (2, "a worker died at it, and again when it ran alone"),
    ("deadly", "cluster"): (4, "4 workers died at it in turn (killed, out of memory, or lost)"),
}


@pytest.mark.parametrize("name", ["greedy", "deadly"])
@pytest.mark.parametrize("place", ["pool", "cluster"])
def test_out_of_memory(
    launch: lab.Launch,
    reference: lab.Refer,
    tmp_path: Path,
    name: str,
    place: str,
    request: pytest.FixtureRequest,
) -> None:
    ref = reference(count=40)
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    order = 50 + 2 * (place == "cluster") + (name == "deadly")
    kind = "killed for memory" if name == "deadly" else "refused memory"
    with row(f"one cell {kind}, {place}", order) as made:
        engine: tuple[str, ...] = ()
        if place == "cluster":
            cluster: Cluster = request.getfixturevalue("cluster")
            for worker in ("first", "second"):
                cluster.worker(worker)
            cluster.wait_for(2)
            engine = ("--cluster", cluster.address)
        launcher = launch(watch.out, name, "40", "0.05", *engine)
        assert launcher.end() == 1
        tries, message = SAID[name, place]
        last = launcher.said().splitlines()[-2:]
        assert last[0].startswith("failed c0007: ") and message in last[0], launcher.said()
        assert "1 of 40 cells failed, the others are kept in" in last[1]
        assert "run the same command again to try only these" in last[1]
        assert len(watch.files()) == 39 and "Traceback" not in launcher.said()
        counts = watch.started()
        assert counts["c0007"] == tries
        if name == "greedy":
            assert counts.total() == 40
        watch.disturbed()
        watch.charged["c0007"] += tries
        others = counts - type(counts)({"c0007": tries})
        watch.charged.update({c: n - 1 for c, n in others.items() if n > 1})
        assert others.total() <= 39 + 2 * tries  # those at work beside a death
        lab.finished(launch(watch.out, *ref.words(*engine)))
        lab.settle(made, [watch], ref)


class Elsewhere(Executor):
    """Computes each cell in a new process with another checkout of the toolkit."""

    def __init__(self, source: Path) -> None:
        self._source = source

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:  # type: ignore[override]
        future: Future[Any] = Future()
        threading.Thread(target=self._compute, args=(future, pickle.dumps((fn, args)))).start()
        return future

    def _compute(self, future: Future[Any], call: bytes) -> None:
        code = (
            "import pickle, sys; f, args = pickle.load(sys.stdin.buffer); "
            "sys.stdout.buffer.write(pickle.dumps(f(*args)))"
        )
        path = os.pathsep.join([str(self._source), lab.PATH])
        environment = os.environ | single_thread_settings({}) | {"PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=call,
            capture_output=True,
            env=environment,
            cwd=self._source,
        )
        future.set_result(pickle.loads(done.stdout))


def other_version(folder: Path) -> Path:
    """A checkout of the toolkit with one comment more in what computes."""
    for package in ("am_theory", "models", "simulations"):
        shutil.copytree(
            lab.ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    with open(folder / "models" / "tokens.py", "a") as file:
        file.write("# another version\n")
    return folder


def test_other_version_in_a_plain_executor(
    launch: lab.Launch, reference: lab.Refer, tmp_path: Path
) -> None:
    ref = reference(count=40)
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    other = other_version(tmp_path / "other")
    with row("workers with another version, any executor", 100) as made:
        os.environ["FAULTS_LOG"] = str(watch.log)
        with pytest.raises(WorkerRefused, match=r"is left out: its toolkit .* differ") as caught:
            run_sweep(
                stub.cells(40, 0.05),
                stub.plain,
                watch.out,
                stub.CONFIG_HASH,
                executor_factory=lambda workers: Elsewhere(other),
                console=Console(file=StringIO()),
            )
        assert "install the same checkout and requirements.lock on it." in str(caught.value)
        assert watch.started().total() == 0 and not watch.files()
        watch.disturbed()
        lab.finished(launch(watch.out, *ref.words()))
        lab.settle(made, [watch], ref)


def test_other_version_on_a_cluster(
    launch: lab.Launch, reference: lab.Refer, tmp_path: Path, cluster: Cluster
) -> None:
    ref = reference(count=40)
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    with row("a worker with another version, cluster", 101) as made:
        same = cluster.worker("same", "--no-nanny")
        cluster.worker("version", "--no-nanny", source=other_version(tmp_path / "other"))
        cluster.wait_for(2)
        launcher = launch(watch.out, *ref.words("--cluster", cluster.address))
        lab.finished(launcher)
        said = [line for line in launcher.said().splitlines() if "is left out" in line]
        assert len(said) == 1 and "its toolkit or its packages differ from the launcher" in said[0]
        assert "install the same checkout and requirements.lock on it" in said[0]
        assert {line.split()[1] for line in watch.log.read_text().splitlines()} == {str(same.pid)}
        watch.disturbed()
        lab.settle(made, [watch], ref)
        assert made.again == 0

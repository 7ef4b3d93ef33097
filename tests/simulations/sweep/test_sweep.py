"""Sweeps: the same numbers however they are run, interrupted, damaged or resumed."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from rich.console import Console

from simulations.console.progress import time_left
from simulations.console.units import format_seconds
from simulations.results.cells import Cell
from simulations.results.content import content_digest
from simulations.results.files import DamagedFileError, ResultsError, read_dataset, write_dataset
from simulations.results.manifest import of_other_code
from simulations.results.provenance import code_version
from simulations.results.report import Report, write_report
from simulations.results.survey import ForeignResultsError
from simulations.sweep import lock as lock_module
from simulations.sweep.complete import complete as finish
from simulations.sweep.engine import Engine
from simulations.sweep.lock import FolderBusyError
from simulations.sweep.run import SweepInterrupted, SweepOutcome, load_cells, run_sweep
from simulations.sweep.threads import single_thread_environment, single_thread_settings
from simulations.sweep.worker import CellReport, Task, run_cell
from tests import stub_cells
from tests.helpers import ROOT
from tests.simulations.results.test_results import injected, is_one_sentence
from tests.stub_cells import CONFIG_HASH, grid

NAMES = [cell.name for cell in grid()]
STUB = Path(stub_cells.__file__)


def swept(out: Path, compute: Any = stub_cells.small, **options: Any) -> tuple[SweepOutcome, str]:
    """Run the six stub cells in threads and return the outcome and what the console said."""
    said = io.StringIO()
    options = {"executor_factory": ThreadPoolExecutor, "config_hash": CONFIG_HASH, **options}
    cells = options.pop("cells", grid())
    outcome = run_sweep(cells, compute, out, console=Console(file=said), **options)
    return outcome, said.getvalue()


def digests(out: Path, cells: list[Cell] | None = None) -> list[str]:
    """Return what must agree between two ways of running a sweep: digests without coordinates."""
    loaded = load_cells(out, grid() if cells is None else cells)
    return [content_digest(ds.drop_attrs(deep=False)) for ds in loaded]


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of change of every file but the lock's."""
    return {
        str(path.relative_to(out)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in (".lock", ".lease")
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed sweep with one worker, only to be read."""
    out = tmp_path_factory.mktemp("undisturbed")
    outcome, said = swept(out)
    assert outcome.done == NAMES
    assert said.splitlines()[-1].endswith("6 of 6, time left 0 s")
    return out


@pytest.fixture(scope="module")
def reference(undisturbed: Path) -> list[str]:
    """The digests that every other way of running the sweep must give."""
    return digests(undisturbed)


@pytest.fixture
def complete(undisturbed: Path, tmp_path: Path) -> Path:
    """A finished sweep to be changed."""
    return shutil.copytree(undisturbed, tmp_path / "run")


# what a sweep does


def test_processes_write_their_cells_on_one_thread(
    tmp_path: Path, reference: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    before = dict(os.environ)
    outcome = run_sweep(
        grid(), stub_cells.surroundings, tmp_path, CONFIG_HASH, workers=2, console=quiet()
    )
    assert dict(os.environ) == before
    assert outcome.done == NAMES and not (outcome.skipped or outcome.damaged or outcome.failed)
    assert 20 < outcome.peak_rss_mb < 2000 and outcome.wall_time > 0
    assert digests(tmp_path) == reference
    for cell, ds in zip(grid(), load_cells(tmp_path, grid()), strict=True):
        seen = json.loads(ds.attrs["seen"])
        assert seen.pop("XLA_FLAGS") == (
            "--xla_cpu_enable_fast_math=false "
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        )
        assert seen.pop("JAX_PLATFORMS") == "cpu" and set(seen.values()) == {"1"}
        assert ds.attrs["sigint_ignored"] == 1
        assert ds.attrs["cell"] == cell.name and ds.attrs["config_hash"] == CONFIG_HASH
        assert json.loads(ds.attrs["cell_coordinates"]) == cell.coordinates
        assert ds.attrs["wall_time_s"] > 0 and ds.attrs["host_class"] and ds.attrs["commit"]


def test_cells_of_other_code_are_named(
    complete: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert of_other_code(complete) is None
    monkeypatch.setattr("simulations.results.manifest.code_version", lambda: "newer")
    words = f"{len(NAMES)} of {len(NAMES)} cells were computed by other code (version "
    assert words in str(of_other_code(complete))
    one = {"cost": lambda _: 1.0, "size": lambda _: 1.0}
    cells, compute = grid(), stub_cells.small
    finish(Console(width=400), Engine(workers=1), cells, compute, complete, CONFIG_HASH, **one)
    assert f"note: {words}" in capsys.readouterr().out
    write_report(Report("title", ["text"], {}), complete, "figure.png", {}, 1.0)
    assert f"- cells: {words}" in (complete / "report.md").read_text()


def test_resume_computes_nothing_again(complete: Path, reference: list[str]) -> None:
    assert digests(complete) == reference
    before = stamps(complete)
    assert set(before) == {"manifest.jsonl", *(f"cells/{name}.nc" for name in NAMES)}
    outcome, said = swept(complete, never)
    assert outcome.skipped == NAMES and not outcome.done and said == ""
    assert stamps(complete) == before
    (complete / "cells" / f"{NAMES[2]}.nc").unlink()
    outcome, _ = swept(complete)
    assert outcome.done == [NAMES[2]] and len(outcome.skipped) == 5
    after = stamps(complete)
    changed = {"manifest.jsonl", f"cells/{NAMES[2]}.nc"}
    assert {name for name in after if after[name] != before[name]} == changed
    assert digests(complete) == reference


def never(coordinates: dict[str, Any]) -> xr.Dataset:
    raise AssertionError("nothing should be computed")


def test_foreign_results_are_refused(complete: Path) -> None:
    before = stamps(complete)
    for cells in (grid(), [Cell("K99999-seed0", {"train_size": 99999, "seed": 0})]):
        with pytest.raises(ForeignResultsError, match=r"choose another --out or remove") as caught:
            swept(complete, cells=cells, config_hash="f" * 16)
        assert is_one_sentence(caught.value) and str(complete) in str(caught.value)
    assert stamps(complete) == before


def test_leftovers_of_killed_workers_count_for_nothing(complete: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    swept(other, cells=grid(1), config_hash="f" * 16)
    leftover = complete / "cells" / f".tmp-{os.getpid()}-0-{NAMES[0]}.nc"
    leftover.write_bytes((other / "cells" / f"{NAMES[0]}.nc").read_bytes())
    outcome, _ = swept(complete, never)
    assert outcome.skipped == NAMES
    assert not leftover.exists()


def test_more_cells_of_one_configuration_join(complete: Path) -> None:
    outcome, _ = swept(complete, cells=grid(8))
    assert outcome.skipped == NAMES and len(outcome.done) == 2
    outcome, _ = swept(complete, never, cells=grid(2))
    assert outcome.skipped == NAMES[:2]


def test_damaged_cells_are_computed_again(complete: Path, reference: list[str]) -> None:
    truncated, flipped, exchanged, moved = (
        complete / "cells" / f"{NAMES[i]}.nc" for i in (0, 2, 3, 5)
    )
    truncated.write_bytes(truncated.read_bytes()[:-500])
    raw = bytearray(flipped.read_bytes())
    raw[len(raw) // 2] ^= 4
    flipped.write_bytes(raw)
    exchanged.write_bytes((complete / "cells" / f"{NAMES[1]}.nc").read_bytes())
    write_dataset(read_dataset(moved).assign_attrs(cell_coordinates="{}"), moved)
    with pytest.raises(DamagedFileError):
        load_cells(complete, grid())
    with pytest.raises(DamagedFileError, match="holds another cell"):
        load_cells(complete, grid()[3:4])
    outcome, said = swept(complete)
    assert outcome.damaged == outcome.done == [NAMES[i] for i in (0, 2, 3, 5)]
    assert outcome.skipped == [NAMES[i] for i in (1, 4)]
    assert all(f"{name}: its file is damaged" in said for name in outcome.damaged)
    assert digests(complete) == reference


def test_failing_cell_is_named_and_others_go_on(tmp_path: Path, reference: list[str]) -> None:
    outcome, said = swept(tmp_path, stub_cells.failing)
    message = "FloatingPointError: NaN in training at step 17"
    assert outcome.failed == {NAMES[2]: message}
    assert outcome.done == [name for name in NAMES if name != NAMES[2]]
    assert f"{NAMES[2]}: failed, 3 of 6: {message}\n" in said
    trace = tmp_path / "cells" / f"{NAMES[2]}.error.txt"
    assert "second line" in trace.read_text() and "Traceback" in trace.read_text()
    outcome, _ = swept(tmp_path)
    assert outcome.done == [NAMES[2]] and len(outcome.skipped) == 5
    assert not trace.exists()
    assert digests(tmp_path) == reference


@pytest.mark.parametrize(
    ("compute", "message"),
    [(len, "TypeError: a cell returns an xarray.Dataset; got int"),
     (stub_cells.grid, "TypeError"), (dict, "TypeError")],
)  # fmt: skip
def test_a_wrong_computation_is_a_failed_cell(tmp_path: Path, compute: Any, message: str) -> None:
    outcome, _ = swept(tmp_path, compute, cells=grid(1))
    assert outcome.failed[NAMES[0]].startswith(message)


def test_a_computation_the_worker_cannot_load(tmp_path: Path) -> None:
    outcome, _ = swept(tmp_path, cells=[])
    assert outcome.done == []
    recipe = pickle.dumps(stub_cells.small).replace(b"small", b"smell")
    task = Task("a", {}, CONFIG_HASH, "smell", code_version(), tmp_path, "")
    with single_thread_environment():
        assert "AttributeError" in (run_cell(task, recipe).error or "")
        assert run_cell(task).asks


def weighed(data: bytes, coordinates: dict[str, Any]) -> xr.Dataset:
    """The small cell, of a computation with much input."""
    return stub_cells.small(coordinates).assign_attrs(size=len(data))


@pytest.mark.parametrize("size", [1, 10**6])
def test_a_big_input_travels_once_to_each_worker(tmp_path: Path, size: int) -> None:
    carried = []

    class Counting(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            carried.append(len(args[1] or b""))
            return super().submit(fn, *args, **kwargs)

    compute = partial(weighed, b"a" * size)
    outcome, _ = swept(tmp_path, compute, executor_factory=Counting)
    assert outcome.done == NAMES  # all threads are one worker, which asks once
    assert {ds.attrs["size"] for ds in load_cells(tmp_path, grid())} == {size}
    assert sum(count > size for count in carried) == (len(NAMES) if size == 1 else 1)


def test_dying_workers_lose_no_other_cell(tmp_path: Path, reference: list[str]) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    said = io.StringIO()
    cells = [cell for cell in grid(4, marks=str(marks)) if cell.coordinates["train_size"] != 4]
    outcome = run_sweep(
        cells, stub_cells.dying, tmp_path / "run", CONFIG_HASH,
        workers=2, console=Console(file=said), cost=lambda cell: cell.coordinates["train_size"],
    )  # fmt: skip
    assert list(outcome.failed) == [NAMES[1]]
    assert "again when it ran alone (killed, or out of memory)" in outcome.failed[NAMES[1]]
    assert outcome.done == [NAMES[0], NAMES[3]]
    assert f"{NAMES[1]}: a worker process died; the cell will be tried" in said.getvalue()
    assert f"\n{NAMES[1]}: failed" in said.getvalue()
    tries = [len(list(marks.glob(f"{2**k}-*"))) for k in range(4)]
    assert tries == [1, 2, 0, 2]
    kept = [cell for cell in cells if cell.name != NAMES[1]]
    assert digests(tmp_path / "run", kept) == [reference[0], reference[3]]


def test_expensive_cells_start_first(tmp_path: Path) -> None:
    _, said = swept(tmp_path, cost=lambda cell: cell.coordinates["train_size"])
    lines = said.splitlines()
    assert [line.partition(":")[0] for line in lines] == NAMES[::-1]
    assert lines[0].endswith("1 of 6, time left 0 s") and "6 of 6" in lines[-1]


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    run_sweep(grid(), stub_cells.failing, tmp_path, CONFIG_HASH,
              executor_factory=ThreadPoolExecutor, console=console)  # fmt: skip
    assert "6/6" in screen.getvalue() and "time left" in screen.getvalue()
    assert f"{NAMES[2]}: failed" in screen.getvalue()
    assert f"{NAMES[0]}:" not in screen.getvalue()


def test_time_left() -> None:
    assert time_left(3.0, {}, None, 2) is None
    assert time_left(6.0, {"a": (2.0, 1.0)}, 0.5, 2) == pytest.approx(1.5)
    assert time_left(0.0, {"a": (10.0, 1.0), "b": (1.0, 9.0)}, 1.0, 2) == pytest.approx(9.0)
    assert [format_seconds(s) for s in (None, 0.2, 59.6, 125.2, 11220, 4e6)] == [
        "unknown", "0 s", "1 min 00 s", "2 min 05 s", "3 h 07 min", "1,111 h",
    ]  # fmt: skip


def test_single_thread_settings_merge() -> None:
    flags = "--a=1 --xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads=8 --b"
    settings = single_thread_settings({"XLA_FLAGS": flags, "JAX_PLATFORMS": "cuda"})
    ours = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    assert settings["XLA_FLAGS"] == f"--a=1 --b {ours}"
    assert settings["JAX_PLATFORMS"] == "cuda"
    assert single_thread_settings(settings) == settings
    assert single_thread_settings({})["XLA_FLAGS"] == ours


# what a sweep refuses


@pytest.mark.parametrize(
    ("cells", "options", "words"),
    [
        ([Cell("a/b", {})], {}, "plain file stem"),
        ([Cell("../a", {})], {}, "plain file stem"),
        ([Cell("", {})], {}, "plain file stem"),
        ([Cell("a", {}), Cell("a", {"seed": 1})], {}, "came twice"),
        ([Cell("a", {"seed": object()})], {}, "not JSON serializable"),
        (grid(1), {"workers": 0}, "`workers` must be at least 1; got 0"),
        (grid(1), {"cost": lambda cell: 0.0}, "`cost` must be positive"),
    ],
)
def test_bad_arguments(tmp_path: Path, cells: Any, options: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        swept(tmp_path / "run", cells=cells, **options)
    assert not (tmp_path / "run").exists()


def test_path_under_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="regular file") as caught:
        swept(tmp_path / "file" / "run")
    assert is_one_sentence(caught.value)


def test_two_runs_on_one_folder(complete: Path, reference: list[str]) -> None:
    (complete / "cells" / f"{NAMES[0]}.nc").unlink()
    inside, go_on = threading.Event(), threading.Event()

    class Held(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            inside.set()
            go_on.wait(10)
            return super().submit(*args, **kwargs)

    first = threading.Thread(target=swept, args=(complete,), kwargs={"executor_factory": Held})
    first.start()
    assert inside.wait(10)
    with pytest.raises(
        FolderBusyError, match=rf"process {os.getpid()} on .*\) is writing"
    ) as caught:
        swept(complete)
    assert is_one_sentence(caught.value)
    go_on.set()
    first.join()
    outcome, _ = swept(complete)
    assert outcome.skipped == NAMES and digests(complete) == reference


def test_file_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(errno.ENOSYS, "no locks")

    monkeypatch.setattr(lock_module.fcntl, "flock", refuse)
    assert swept(tmp_path, cells=grid(1))[0].done == NAMES[:1]


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, pytest.param(errno.EACCES, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("place", ["open", "write", "fsync", "replace", "mkdir"])
def test_each_failing_write_of_a_sweep(
    tmp_path: Path, place: str, number: int, reference: list[str]
) -> None:
    refused = 0
    for nth in range(1, 40):
        out = tmp_path / str(nth)
        with injected(place, number, nth) as calls:
            try:
                swept(out, cells=grid(1))
            except ResultsError as error:
                refused += 1
                assert is_one_sentence(error) and str(out) in str(error)
        assert not list(tmp_path.rglob(".tmp-*"))
        if len(calls) < nth:
            break
        if nth % 3 == 0:
            outcome, _ = swept(out, cells=grid(1))
            assert not outcome.damaged and digests(out, grid(1)) == reference[:1]
    assert refused >= 1


def test_a_refusing_folder_stops_the_sweep(tmp_path: Path) -> None:
    with injected("replace", errno.ENOSPC, 5), pytest.raises(ResultsError, match="disk is full"):
        swept(tmp_path)
    kept = {f"cells/{name}.nc" for name in NAMES[:2]}  # after the lease and the manifest
    assert set(stamps(tmp_path)) == {"manifest.jsonl", *kept}


class BrokenFromTheStart(Executor):
    """An executor that takes nothing."""

    def submit(self, *args: Any, **kwargs: Any) -> Future[CellReport]:  # type: ignore[override]
        raise BrokenExecutor("no workers")


def test_an_executor_that_never_works_comes_to_an_end(tmp_path: Path) -> None:
    outcome, _ = swept(tmp_path, executor_factory=lambda workers: BrokenFromTheStart())
    assert list(outcome.failed) == NAMES


class Interrupting(ThreadPoolExecutor):
    """An executor whose launcher is interrupted at the third cell."""

    count = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.count += 1
        if self.count == 3:
            signal.raise_signal(signal.SIGINT)
        return super().submit(*args, **kwargs)


def test_interrupt_in_process(tmp_path: Path, reference: list[str]) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(SweepInterrupted, match=r"of 6 cells are done .* same command again"):
        swept(tmp_path, executor_factory=Interrupting)
    assert signal.getsignal(signal.SIGINT) is handler
    assert not list(tmp_path.rglob(".tmp-*"))
    outcome, _ = swept(tmp_path)
    assert outcome.skipped and outcome.done and digests(tmp_path) == reference


# launchers in processes of their own


def quiet() -> Console:
    return Console(file=io.StringIO())


class Launcher:
    """A sweep of slow cells as a script in its own process group."""

    def __init__(self, out: Path, seconds: float = 0.25, workers: int = 2) -> None:
        self.out, self.seconds = out, seconds
        self.tag = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, str(STUB), str(out), str(seconds), str(workers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "SWEEP_TEST_TAG": self.tag},
            start_new_session=True,
        )

    def wait_for_cells(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while len(list(self.out.glob("cells/[!.]*.nc"))) < count:
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)

    def wait_for_lock(self) -> None:
        deadline, lease = time.monotonic() + 60, self.out / ".lease"
        while not (lease.exists() and json.loads(lease.read_text())["pid"] == self.process.pid):
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)

    def left_behind(self) -> list[int]:
        """Return the living processes that this launcher has started."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                dead = "\nState:\tZ" in (folder / "status").read_text()
                if not dead and self.tag.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def end(self) -> tuple[str, str]:
        return self.process.communicate(timeout=60)

    def cells(self) -> list[Cell]:
        return grid(seconds=self.seconds)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launcher]]:
    started: list[Launcher] = []

    def start(**options: Any) -> Launcher:
        started.append(Launcher(tmp_path / "run", **options))
        return started[-1]

    yield start
    for launcher in started:
        for pid in launcher.left_behind():
            os.kill(pid, signal.SIGKILL)
        launcher.process.communicate()


def gone_within(launcher: Launcher, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while launcher.left_behind():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def startup() -> float:
    """Return the seconds of the imports of a worker, which does not look at its launcher then."""
    begun = time.monotonic()
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests import stub_cells"
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - begun


# These tests look for the job's processes in /proc, which no other system has.
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
def test_ctrl_c_ends_soon_and_resumes(
    launch: Callable[..., Launcher], reference: list[str]
) -> None:
    launcher = launch(seconds=0.3)
    launcher.wait_for_cells(2)
    begun = time.monotonic()
    os.killpg(launcher.process.pid, signal.SIGINT)
    output, errors = launcher.end()
    assert time.monotonic() - begun < 5
    assert launcher.process.returncode == 130
    kept = list(launcher.out.glob("cells/[!.]*.nc"))
    assert 2 <= len(kept) < 6
    said = json.loads(output.splitlines()[-1])
    assert f"Interrupted: {len(kept)} of 6 cells are done" in said["stopped"]
    assert "run the same command again to resume" in said["stopped"] and not said["jax"]
    assert errors == ""
    assert gone_within(launcher, 3) and not list(launcher.out.rglob(".tmp-*"))
    outcome, _ = swept(launcher.out, stub_cells.slow, cells=launcher.cells(), workers=6)
    assert len(outcome.skipped) == len(kept) and not outcome.damaged
    assert digests(launcher.out, launcher.cells()) == reference


@linux
@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.15, 0.7, 1.1, 1.5, 1.9])
def test_ctrl_c_at_any_moment_even_twice(launch: Callable[..., Launcher], delay: float) -> None:
    launcher = launch(seconds=0.5)
    time.sleep(delay)
    begun = time.monotonic()
    for _ in range(2):
        os.killpg(launcher.process.pid, signal.SIGINT)
        time.sleep(0.02)
    output, errors = launcher.end()
    assert time.monotonic() - begun < 5
    assert gone_within(launcher, 3)
    if (launcher.out / "cells").is_dir():
        assert "Interrupted:" in output
        assert "Traceback" not in errors
        assert not list(launcher.out.rglob(".tmp-*"))


@linux
@pytest.mark.slow
def test_killed_launcher_leaves_no_orphans_and_resumes(
    launch: Callable[..., Launcher], reference: list[str], startup: float
) -> None:
    moments = random.Random(20)
    for _ in range(10):
        launcher = launch(seconds=0.4)
        time.sleep(moments.uniform(0.2, 3.0))
        launcher.process.kill()
        launcher.process.wait()
        assert gone_within(launcher, 3 + startup)
    last = launch(seconds=0.4)
    output, errors = last.end()
    assert last.process.returncode == 0, errors
    assert not json.loads(output.splitlines()[-1])["damaged"]
    assert digests(last.out, last.cells()) == reference
    assert not list(last.out.rglob(".tmp-*"))


@linux
@pytest.mark.slow
def test_lock_of_a_killed_launcher_is_free(launch: Callable[..., Launcher]) -> None:
    first = launch(seconds=60)
    first.wait_for_lock()
    second = launch(seconds=60)
    _, errors = second.end()
    assert f"process {first.process.pid} on " in errors and "is writing to" in errors
    first.process.kill()
    first.process.wait()
    third = launch(seconds=60)
    third.wait_for_lock()

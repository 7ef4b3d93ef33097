"""A sweep: many cells, each computed in a worker process and kept in a file of its own.

A cell's numbers depend on its coordinates alone: it always computes on one thread, whatever the
number of workers, the order or the interruptions. Running a sweep again computes what is missing.
Only the launcher writes results: a worker sends the finished file back, so that a worker that was
given up can answer as late as it likes. Scripts that call `run_sweep` need the
`if __name__ == "__main__":` guard, as worker processes import the script anew.
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr
from rich.console import Console

from simulations.console.errors import UserError
from simulations.console.progress import Reporter
from simulations.results.cells import Cell, coordinates_text
from simulations.results.files import (
    ResultsError,
    prepare_folder,
    read_dataset,
    remove_temporaries,
    write_bytes,
    write_text,
)
from simulations.results.manifest import Log, Manifest
from simulations.results.provenance import code_version
from simulations.results.survey import cell_path, check_identity, survey
from simulations.sweep.lock import BEAT, Hold, locked
from simulations.sweep.pool import (
    ExecutorFactory,
    Work,
    interrupts_ignored,
    process_pool,
    run_tasks,
)
from simulations.sweep.programs import refusal
from simulations.sweep.threads import single_thread_environment
from simulations.sweep.worker import CellReport, Compute, Task, checkpoint_path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")


class SweepInterrupted(UserError, RuntimeError):
    """Ctrl-C ended a sweep; finished cells are kept, and the same command resumes it."""

    status = 130


@dataclass(frozen=True)
class SweepOutcome:
    """What a sweep did, by cell name in the order of the cells.

    `done` were computed now, `skipped` were there, `damaged` had an unusable file (and were
    computed again), `failed` maps to one-line messages. `wall_time` is in seconds, `peak_rss_mb`
    the largest peak of resident memory (MB) among the workers, 0 if nothing was computed.
    """

    done: list[str]
    skipped: list[str]
    damaged: list[str]
    failed: dict[str, str]
    wall_time: float
    peak_rss_mb: float


def run_sweep(
    cells: Iterable[Cell],
    compute: Compute,
    out: str | os.PathLike[str],
    config_hash: str,
    *,
    workers: int = 1,
    executor_factory: ExecutorFactory = process_pool,
    cost: Callable[[Cell], float] | None = None,
    console: Console | None = None,
) -> SweepOutcome:
    """Compute every cell that `out/cells` does not hold yet; a failing cell does not stop others.

    Parameters
    ----------
    cells : the sweep; names are unique file stems.
    compute : picklable function from coordinates to the cell's dataset; pickled with its inputs,
        it travels once to each worker, which must be able to import it.
    out : results folder, made if missing.
    config_hash : hash of all that the numbers depend on besides the coordinates (`digest`).
    workers : cells computed at a time.
    executor_factory : makes a `concurrent.futures.Executor` for a given number of workers; the
        default spawns processes held to one thread. Workers of any other executor must be held to
        one thread (`simulations.sweep.threads`) and run the same code; others are refused.
    cost : relative cost of a cell; expensive cells start first, and the time left is judged by it.
    console : where progress is told; standard output by default.

    Raises
    ------
    ValueError, TypeError : bad cells or settings, before anything is written.
    ForeignResultsError : `out` holds cells of another configuration; nothing is written.
    FolderBusyError : another run writes to `out`.
    WorkerRefused : workers run other code, or on several threads.
    ResultsError : `out` cannot be written to; finished cells are kept.
    SweepInterrupted : Ctrl-C; finished cells are kept.
    """
    begun = time.monotonic()
    wanted, costs = _cells_iv(cells, cost, workers)
    folder = Path(out)
    recipe = pickle.dumps(compute)
    try:
        if not (folder / "cells").is_dir():
            prepare_folder(folder)
        with locked(folder) as hold:
            found = survey(wanted, folder, config_hash)
            prepare_folder(folder)
            remove_temporaries(folder)
            remove_temporaries(folder / "cells", of_living=True)
            todo = [cell for cell in wanted if cell.name not in found.finished]
            todo.sort(key=lambda cell: -costs[cell.name])
            with Reporter(
                console or Console(), {cell.name: costs[cell.name] for cell in todo}, workers
            ) as reporter:
                unsafe = refusal() if todo else None
                if unsafe is not None:
                    reporter.say(unsafe)
                for name, message in found.damaged.items():
                    reporter.say(message)
                    with suppress(OSError):
                        cell_path(folder, name).unlink()
                kept = {name: found.entries[name] for name in sorted(found.entries)}
                names = tuple(cell.name for cell in wanted)
                written = Manifest(config_hash, names, kept)
                if written != found.manifest:
                    written.write(folder)
                key = hashlib.sha256(recipe).hexdigest()[:16]
                code, place = code_version(), folder.absolute()
                tasks = [
                    Task(c.name, c.coordinates, config_hash, key, code, place, hold.token, c.gpu)
                    for c in todo
                ]
                with single_thread_environment():
                    tally = _run(tasks, recipe, executor_factory, workers, reporter, hold)
    except KeyboardInterrupt:
        count = sum(cell_path(folder, cell.name).exists() for cell in wanted)
        raise SweepInterrupted(
            f"Interrupted: {count} of {len(wanted)} cells are done and kept; "
            f"run the same command again to resume."
        ) from None
    return SweepOutcome(
        done=[cell.name for cell in wanted if cell.name in tally.done],
        skipped=[cell.name for cell in wanted if cell.name in found.finished],
        damaged=[cell.name for cell in wanted if cell.name in found.damaged],
        failed=tally.failed,
        wall_time=time.monotonic() - begun,
        peak_rss_mb=tally.peak_rss_mb,
    )


def load_cells(out: str | os.PathLike[str], cells: Iterable[Cell]) -> list[xr.Dataset]:
    """Read the files of these cells, in order, each verified; one raw file in memory at a time.

    Raises ResultsError for a missing cell, DamagedFileError for a damaged or exchanged one.
    """
    found = []
    for cell in cells:
        path = cell_path(Path(out), cell.name)
        ds = read_dataset(path)
        check_identity(ds.attrs.get("cell"), ds.attrs.get("cell_coordinates"), cell, path)
        found.append(ds)
    return found


def only_coordinate(cells: Sequence[Cell]) -> str:
    """The one coordinate that cells differ in. Raises ResultsError where it is not one."""
    names = sorted({name for cell in cells for name in cell.coordinates})
    if len(names) != 1:
        raise ResultsError(
            f"cells of {', '.join(names) or 'no coordinate'} are not joined by themselves, only "
            "those of one coordinate: give the study a `merge`."
        )
    return names[0]


def joined(out: str | os.PathLike[str], cells: Sequence[Cell]) -> xr.Dataset:
    """Cells of one coordinate as one dataset along it. Raises ResultsError, as `load_cells`."""
    name = only_coordinate(cells)
    along = xr.Variable(name, [cell.coordinates[name] for cell in cells])
    return xr.concat([cell.drop_attrs(deep=False) for cell in load_cells(out, cells)], along)


def _cells_iv(
    cells: Iterable[Cell], cost: Callable[[Cell], float] | None, workers: int
) -> tuple[list[Cell], dict[str, float]]:
    """Return checked cells and their costs."""
    wanted = list(cells)
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1; got {workers}.")
    costs: dict[str, float] = {}
    for cell in wanted:
        if not _NAME.fullmatch(cell.name):
            raise ValueError(
                f"a cell's name must be a plain file stem of letters, digits and . _ + = -; "
                f"got {cell.name!r}."
            )
        if cell.name in costs:
            raise ValueError(f"the name of a cell must be unique; {cell.name!r} came twice.")
        coordinates_text(cell.coordinates)
        costs[cell.name] = 1.0 if cost is None else float(cost(cell))
        if not (math.isfinite(costs[cell.name]) and costs[cell.name] > 0):
            raise ValueError(
                f"`cost` must be positive and finite; got {costs[cell.name]} for {cell.name}."
            )
    return wanted, costs


@dataclass
class _Tally:
    """What came of the cells: by name, as a sweep may have a great many."""

    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    peak_rss_mb: float = 0.0


def _run(
    tasks: Sequence[Task],
    recipe: bytes,
    factory: ExecutorFactory,
    workers: int,
    reporter: Reporter,
    hold: Hold,
) -> _Tally:
    """Run the tasks and keep what comes back; leave no temporary file, however it ends."""
    tally = _Tally()
    if not tasks:
        return tally
    last_check = time.monotonic()

    def tick() -> None:
        nonlocal last_check
        if time.monotonic() - last_check > BEAT:
            hold.check()
            last_check = time.monotonic()

    try:
        with closing(Log(hold.folder)) as log:

            def take(report: CellReport) -> None:
                hold.check()
                keep(report, hold.folder, log)
                tally.peak_rss_mb = max(tally.peak_rss_mb, report.peak_rss_mb)
                if report.error is None:
                    tally.done.add(report.name)
                    reporter.finished(report.name, report.seconds)
                else:
                    tally.failed[report.name] = report.error
                    reporter.failed(report.name, report.error)

            run_tasks(Work(tasks, recipe, workers, reporter, take, tick), factory)
        return tally
    finally:
        with interrupts_ignored():
            remove_temporaries(hold.folder / "cells", of_living=True)


def keep(report: CellReport, folder: Path, log: Log) -> None:
    """Write the file of a cell and its line of the manifest, or its traceback beside the cells.

    Raises ResultsError.
    """
    path = cell_path(folder, report.name)
    trace = path.with_name(f"{report.name}.error.txt")
    if report.entry is None:
        write_text(report.trace or f"{report.error}\n", trace)
        return
    write_bytes(report.content, path)
    log.add(report.entry)
    with suppress(OSError):
        trace.unlink(missing_ok=True)
    shutil.rmtree(checkpoint_path(folder, report.name), ignore_errors=True)
    with suppress(OSError):
        (folder / "unfinished").rmdir()  # goes with the last of them

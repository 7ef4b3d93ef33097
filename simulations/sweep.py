"""A sweep: many cells, each computed in a worker process and kept in a file of its own.

A cell's numbers depend on its coordinates alone: it always computes on one thread, whatever the
number of workers, the order or the interruptions. Running a sweep again computes what is missing.
Scripts that call `run_sweep` need the `if __name__ == "__main__":` guard, as worker processes
import the script anew.
"""

from __future__ import annotations

import math
import os
import pickle
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console

from simulations.lock import locked
from simulations.pool import ExecutorFactory, interrupts_ignored, process_pool, run_tasks
from simulations.progress import Reporter
from simulations.results import (
    DamagedFileError,
    ResultsError,
    prepare_folder,
    read_dataset,
    remove_temporaries,
)
from simulations.worker import (
    CellReport,
    Compute,
    Task,
    coordinates_text,
    single_thread_environment,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")


class ForeignResultsError(ResultsError):
    """The folder holds cells of another configuration, toolkit version or numerics number.

    Choose another folder with --out, or remove the old one if its results are not needed.
    """


class SweepInterrupted(RuntimeError):
    """Ctrl-C ended a sweep; finished cells are kept, and the same command resumes it."""


@dataclass(frozen=True)
class Cell:
    """One point of a sweep: `name` is the stem of its file, `coordinates` go to the computation.

    Coordinates are what JSON can hold: numbers, strings, booleans, None, lists of these.
    """

    name: str
    coordinates: dict[str, Any]


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
    compute : picklable function from coordinates to the cell's dataset.
    out : results folder, made if missing.
    config_hash : hash of all that the numbers depend on besides the coordinates (`digest`).
    workers : cells computed at a time.
    executor_factory : makes an executor for a given number of workers; the default spawns
        processes held to one thread. Any other must hold its workers to one thread itself.
    cost : relative cost of a cell; expensive cells start first, and the time left is judged by it.
    console : where progress is told; standard output by default.

    Raises
    ------
    ValueError, TypeError : bad cells or settings, before anything is written.
    ForeignResultsError : `out` holds cells of another configuration; nothing is written.
    FolderBusyError : another run writes to `out`.
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
        with locked(folder):
            skipped, damaged = _survey(wanted, folder, config_hash)
            prepare_folder(folder)
            remove_temporaries(folder)
            remove_temporaries(folder / "cells", of_living=True)
            todo = [cell for cell in wanted if cell.name not in skipped]
            todo.sort(key=lambda cell: -costs[cell.name])
            tasks = [_task(cell, recipe, folder, config_hash) for cell in todo]
            with Reporter(
                console or Console(), {task.name: costs[task.name] for task in tasks}, workers
            ) as reporter:
                for name, message in damaged.items():
                    reporter.say(message)
                    with suppress(OSError):
                        _cell_path(folder, name).unlink()
                with single_thread_environment():
                    reports = _run(tasks, executor_factory, workers, reporter, folder)
    except KeyboardInterrupt:
        count = sum(_cell_path(folder, cell.name).exists() for cell in wanted)
        raise SweepInterrupted(
            f"Interrupted: {count} of {len(wanted)} cells are done and kept; "
            f"run the same command again to resume."
        ) from None
    return _outcome(wanted, reports, skipped, list(damaged), time.monotonic() - begun)


def load_cells(out: str | os.PathLike[str], cells: Iterable[Cell]) -> list[xr.Dataset]:
    """Read the files of these cells, in order, each verified; one raw file in memory at a time.

    Raises ResultsError for a missing cell, DamagedFileError for a damaged or exchanged one.
    """
    return [_read_cell(cell, Path(out)) for cell in cells]


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


def _cell_path(folder: Path, name: str) -> Path:
    return folder / "cells" / f"{name}.nc"


def _task(cell: Cell, recipe: bytes, folder: Path, config_hash: str) -> Task:
    path = _cell_path(folder, cell.name).absolute()
    return Task(cell.name, cell.coordinates, recipe, path, config_hash)


def _read_cell(cell: Cell, folder: Path) -> xr.Dataset:
    """Read a cell's file. Raises DamagedFileError also if it holds another cell."""
    path = _cell_path(folder, cell.name)
    ds = read_dataset(path)
    _check_identity(ds, cell, path)
    return ds


def _check_identity(ds: xr.Dataset, cell: Cell, path: Path) -> None:
    found = (ds.attrs.get("cell"), ds.attrs.get("cell_coordinates"))
    if found != (cell.name, coordinates_text(cell.coordinates)):
        raise DamagedFileError(
            f"The results file {path} holds another cell ({found[0]}, {found[1]}); "
            f"remove it and run again."
        )


def _survey(
    cells: Sequence[Cell], folder: Path, config_hash: str
) -> tuple[set[str], dict[str, str]]:
    """Return the names of finished cells, and those of damaged ones with what to say of them.

    Raises ForeignResultsError if any intact file in the folder has another configuration.
    """
    by_name = {cell.name: cell for cell in cells}
    finished: set[str] = set()
    damaged: dict[str, str] = {}
    for path in sorted((folder / "cells").glob("[!.]*.nc")):
        cell = by_name.get(path.stem)
        try:
            ds = read_dataset(path)
            found = ds.attrs.get("config_hash")
            if found != config_hash:
                raise ForeignResultsError(
                    f"The folder {folder} holds results of another configuration "
                    f"({path.name} has hash {found}, this run {config_hash}); "
                    f"choose another --out or remove that folder."
                )
            if cell is not None:
                _check_identity(ds, cell, path)
                finished.add(cell.name)
        except DamagedFileError:
            if cell is not None:
                damaged[cell.name] = (
                    f"{cell.name}: its file is damaged (cut short, altered, or of another cell); "
                    f"computing it again"
                )
    return finished, damaged


def _run(
    tasks: Sequence[Task], factory: ExecutorFactory, workers: int, reporter: Reporter, folder: Path
) -> list[CellReport]:
    """Run the tasks; leave no temporary file, however it ends."""
    try:
        return run_tasks(tasks, factory, workers, reporter)
    finally:
        with interrupts_ignored():
            remove_temporaries(folder / "cells", of_living=True)


def _outcome(
    cells: Sequence[Cell],
    reports: Sequence[CellReport],
    skipped: set[str],
    damaged: Sequence[str],
    wall_time: float,
) -> SweepOutcome:
    by_name = {report.name: report for report in reports}
    ordered = [by_name[cell.name] for cell in cells if cell.name in by_name]
    return SweepOutcome(
        done=[report.name for report in ordered if report.error is None],
        skipped=[cell.name for cell in cells if cell.name in skipped],
        damaged=[cell.name for cell in cells if cell.name in damaged],
        failed={report.name: report.error for report in ordered if report.error is not None},
        wall_time=wall_time,
        peak_rss_mb=max((report.peak_rss_mb for report in reports), default=0.0),
    )

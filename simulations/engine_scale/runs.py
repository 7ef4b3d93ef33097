"""The measurements of the engine: throughput, memory, overhead, and the paper preset compressed.

Each returns rows: plain records of one run each. Sweeps write to a folder that is removed after.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from simulations.console.progress import Reporter
from simulations.engine_scale.cells import (
    CONFIG_HASH,
    cells_of,
    empty_cells,
    sleeping,
    without_file,
)
from simulations.engine_scale.cluster import LocalCluster, local_cluster
from simulations.engine_scale.config import PARTS, ScaleConfig
from simulations.engine_scale.model import paper_costs
from simulations.engine_scale.watch import TooFewAnswers, Watch, resident_bytes
from simulations.results.cells import Cell
from simulations.results.files import ResultsError, dataset_bytes, write_bytes
from simulations.results.provenance import code_version, provenance
from simulations.sweep.cluster import RunningCluster
from simulations.sweep.pool import Work, process_pool, run_tasks
from simulations.sweep.run import run_sweep
from simulations.sweep.threads import single_thread_environment
from simulations.sweep.worker import CellReport, Task
from simulations.trained import MODELS

Row = dict[str, Any]
Say = Callable[[str], None]

WORKERS = 2  # of the throughput
JOIN = 40  # short sweeps until every new Dask worker must have joined


@contextmanager
def _quiet() -> Iterator[Console]:
    """A console that nobody reads: the words of a sweep are made, as for a log file."""
    with open(os.devnull, "w") as file:
        yield Console(file=file)


def throughput(config: ScaleConfig, folder: Path, say: Say) -> list[Row]:
    """Empty cells of two workers, by turns: through the executor alone, with their files made but
    dropped, with all a sweep does, and the last on Dask; and the price of a file's two halves."""
    rows: list[Row] = []
    cells, warm = empty_cells(config.cells, WORKERS)
    with local_cluster(folder) as cluster:
        _grown(cluster, WORKERS, folder)
        kinds: dict[str, Callable[[], Row]] = {
            "executor alone": lambda: _tasks(cells, warm, folder, without_file),
            "file made, not written": lambda: _tasks(cells, warm, folder, None),
            "sweep": lambda: _sweep(cells, folder, warm=warm),
            "sweep on Dask": lambda: _sweep(cells, folder, cluster=cluster, warm=warm),
        }
        for repeat in range(config.repeats):
            for kind, measure in kinds.items():
                rows.append({"kind": kind, "repeat": repeat, **measure()})
                say(f"{kind}: {rows[-1]['rate']:.0f} cells/s at load {rows[-1]['load']:.1f}")
            rows.append({"kind": "one file", "repeat": repeat, **_one_file(folder)})
    return rows


def _tasks(
    cells: list[Cell], warm: int, folder: Path, instead: Callable[..., CellReport] | None
) -> Row:
    """Cells through `pool.run_tasks`, whose reports are dropped."""
    watch = Watch(process_pool, WORKERS, len(cells), instead, warm=warm)
    rest = CONFIG_HASH, "empty", code_version(), folder / "absent", "none"
    tasks = [Task(cell.name, cell.coordinates, *rest) for cell in cells]
    with _quiet() as console, single_thread_environment():
        with Reporter(console, {cell.name: 1.0 for cell in cells}, WORKERS) as reporter:

            def take(report: CellReport) -> None:
                reporter.finished(report.name, report.seconds)

            recipe = pickle.dumps(sleeping)
            run_tasks(Work(tasks, recipe, WORKERS, reporter, take, lambda: None), watch)
    return asdict(watch.steady())


def _sweep(
    cells: list[Cell],
    folder: Path,
    workers: int = WORKERS,
    cluster: LocalCluster | None = None,
    warm: int = 0,
    look: Callable[[int], None] | None = None,
) -> Row:
    """`run_sweep` of such cells, longest first, by the local pool or all workers of a cluster;
    `seconds` is the time of the whole call."""
    watch = Watch(process_pool, workers, len(cells), warm=warm, look=look)
    if cluster is not None:
        watch.inner, watch.workers = RunningCluster(cluster.address, _hear), cluster.workers
        watch.hands, watch.helpers = cluster.hands, [cluster.scheduler]
    with _quiet() as console, tempfile.TemporaryDirectory(dir=folder) as out:
        begun = time.monotonic()
        run_sweep(
            cells,
            sleeping,
            out,
            CONFIG_HASH,
            workers=watch.workers,
            executor_factory=watch,
            cost=lambda cell: 1e-3 + cell.coordinates["seconds"],
            console=console,
        )
        seconds = time.monotonic() - begun
    return {**asdict(watch.steady()), "seconds": seconds}


def _hear(words: str) -> None:
    """Nothing of a cluster is told, but that a worker is left out: one that is missing would only
    be waited for. Raises ResultsError."""
    if "left out" in words:
        raise ResultsError(f"The measurement has to begin again: {words}.")


def _grown(cluster: LocalCluster, workers: int, folder: Path) -> None:
    """Have this many Dask workers, all of which have computed cells. Raises TooFewAnswers."""
    cluster.grow(workers)
    for attempt in range(1, JOIN + 1):
        try:
            _sweep(cells_of([0.1] * (8 * workers)), folder, cluster=cluster)
            return
        except TooFewAnswers:  # some are still starting
            if attempt == JOIN:
                raise


def _one_file(folder: Path, count: int = 40) -> Row:
    """Milliseconds to make the file of an empty cell (as a worker does), and to write it (as the
    launcher does): its processor time, and what it waits for the disk."""
    dataset = sleeping({"seconds": 0.0, "index": 1}).assign_attrs(provenance())
    begun = time.process_time()
    for _ in range(count):
        content = dataset_bytes(dataset)
    made = time.process_time() - begun
    with tempfile.TemporaryDirectory(dir=folder) as out:
        wall, busy = time.perf_counter(), time.process_time()
        for index in range(count):
            write_bytes(content, Path(out) / f"{index}.nc")
        busy = time.process_time() - busy
        wall = time.perf_counter() - wall
    milli = 1e3 / count
    return {
        "make_ms": milli * made,
        "write_cpu_ms": milli * busy,
        "write_wait_ms": milli * max(0.0, wall - busy),
        "bytes": len(content),
        "load": os.getloadavg()[0],
    }


def memory(config: ScaleConfig, folder: Path, say: Say) -> list[Row]:
    """Resident memory of a launcher of its own, over many cells."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as launcher:
        rows = launcher.submit(_memory, config, folder).result()
    say(f"launcher: {rows[-1]['rss'] / 1e6:.0f} MB after {rows[-1]['cells']} cells")
    return rows


def _memory(config: ScaleConfig, folder: Path) -> list[Row]:
    rows: list[Row] = []

    def look(count: int) -> None:
        if count % config.memory_step == 0:
            rows.append({"cells": count, "rss": resident_bytes()})

    cells, warm = empty_cells(config.memory_cells, WORKERS)
    _sweep(cells, folder, warm=warm, look=look)
    return rows


def overhead(config: ScaleConfig, folder: Path, say: Say) -> list[Row]:
    """Sleeping cells on Dask and on the local pool, at each number of workers."""
    rows: list[Row] = []
    with local_cluster(folder) as cluster:
        for workers in config.workers:
            _grown(cluster, workers, folder)
            for seconds in config.seconds:
                each = max(4, round(config.work_seconds / seconds))
                cells = cells_of([seconds] * (each * workers))
                about = {"workers": workers, "cell_seconds": seconds, "cells": len(cells)}
                engines = {"Dask": cluster, "local pool": None}
                for repeat in range(min(3, config.repeats)):
                    for engine, where in engines.items():
                        row = _sweep(cells, folder, workers, where)
                        rows.append({"engine": engine, **about, "repeat": repeat, **row})
                        say(
                            f"{engine}, {workers} workers, cells of {seconds:g} s: efficiency "
                            f"{seconds / row['cycle']:.3f} at load {row['load']:.1f}"
                        )
    return rows


def paper(config: ScaleConfig, folder: Path, say: Say) -> list[Row]:
    """The cells of `phase_diagram --preset paper`, compressed in time, on Dask workers."""
    rows: list[Row] = []
    work = config.paper_seconds
    with local_cluster(folder) as cluster:
        for workers in config.workers:
            _grown(cluster, workers, folder)
            for model in MODELS:
                costs = paper_costs(model)
                cells = cells_of([work / sum(costs) * cost for cost in costs])
                row = _sweep(cells, folder, cluster=cluster)
                about = {"model": model, "workers": workers, "work": work, "cells": len(costs)}
                rows.append({**about, **row})
                efficiency = work / (workers * row["wall"])
                say(f"paper preset, {model}, {workers} workers: efficiency {efficiency:.3f}")
    return rows


MEASURE: dict[str, Callable[[ScaleConfig, Path, Say], list[Row]]] = dict(
    zip(PARTS, (throughput, memory, overhead, paper), strict=True)
)

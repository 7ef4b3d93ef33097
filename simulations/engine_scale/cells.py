"""Cells that cost nothing, or a known time: what is left of a sweep of them is the engine."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from typing import Any

import xarray as xr

from simulations.results.cells import Cell
from simulations.results.provenance import code_version
from simulations.sweep.threads import several_threads
from simulations.sweep.worker import CellReport, Task

CONFIG_HASH = "0" * 16


def sleeping(coordinates: dict[str, Any]) -> xr.Dataset:
    """One number, after `seconds`."""
    time.sleep(coordinates["seconds"])
    return xr.Dataset({"value": ((), float(coordinates["index"]), {"units": "1"})})


def without_file(task: Task, recipe: bytes | None = None) -> CellReport:
    """In place of `run_cell`: no dataset and no file, but the travel both ways, the comparison of
    the code and the hold on threads, as for any cell."""
    if task.code != code_version() or several_threads(os.environ, sys.modules, task.gpu):
        raise RuntimeError("this worker would refuse the cells of a sweep")
    time.sleep(task.coordinates["seconds"])
    return CellReport(task.name, worker=f"{platform.node()}:{os.getpid()}")


def empty_cells(count: int, workers: int) -> tuple[list[Cell], int]:
    """Empty cells, and before them some that last until all workers have started; their number."""
    return cells_of([0.5] * (8 * workers) + [0.0] * count), 8 * workers


def cells_of(seconds: Sequence[float]) -> list[Cell]:
    """A cell of each length."""
    return [
        Cell(f"cell{index:06d}", {"index": index, "seconds": float(length)})
        for index, length in enumerate(seconds)
    ]

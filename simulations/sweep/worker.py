"""The worker's side of a sweep: compute one cell on one thread and send its file back."""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import pickle
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

import xarray as xr

from models.surroundings.ambient import disregard
from simulations.console.units import peak_rss_mb
from simulations.results.cells import coordinates_text
from simulations.results.files import dataset_bytes
from simulations.results.manifest import Entry, entry_of
from simulations.results.provenance import code_version, now, provenance
from simulations.sweep.checkpoint import checkpointed
from simulations.sweep.lock import is_held_by
from simulations.sweep.programs import programs_kept
from simulations.sweep.threads import several_threads

Compute = Callable[[dict[str, Any]], xr.Dataset]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_RECIPES_KEPT = 2  # of the sweeps that share a worker, the latest
_recipes: dict[str, Compute] = {}
_provenance = functools.cache(provenance)  # asked once per process, but for the time


@dataclass(frozen=True)
class Task:
    """One cell as it travels to a worker.

    `recipe` names the computation and its inputs, which a worker gets once; `code` is the
    `code_version` that must compute it; `folder` and `token` are those of the sweep, where a
    worker that sees the folder keeps the state of a long computation; `gpu` asks for a GPU.
    """

    name: str
    coordinates: dict[str, Any]
    config_hash: str
    recipe: str
    code: str
    folder: Path
    token: str
    gpu: bool = False


@dataclass(frozen=True)
class CellReport:
    """What comes back: the cell's file with its entry for the manifest, seconds, and the peak of
    the worker's resident memory (MB).

    `error` is the one-line message of a failed cell and `trace` its traceback, else None.
    `refusal` says why this worker cannot compute cells of this sweep at all; `asks` that it has
    not got the recipe yet. `worker` names the process that answers.
    """

    name: str
    seconds: float = 0.0
    peak_rss_mb: float = 0.0
    content: bytes = b""
    entry: Entry | None = None
    error: str | None = None
    trace: str | None = None
    refusal: str | None = None
    asks: bool = False
    worker: str = ""


def prepare_worker() -> None:
    """Start a worker process: leave Ctrl-C to the launcher, and end when the launcher ends.

    A thread waits for the launcher's end on any system. On Linux the kernel sends a signal as
    well, since a compiled kernel may keep that thread from running.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    launcher = multiprocessing.parent_process()
    if launcher is None:
        return
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    threading.Thread(target=_end_with, args=(launcher.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def run_cell(task: Task, recipe: bytes | None = None) -> CellReport:
    """Compute one cell and return its file; every failure comes back as a report.

    `recipe` is the pickled computation; a worker that has it already gets None.
    """
    worker = f"{platform.node()}:{os.getpid()}"
    refusal = _refusal(task)
    if refusal is not None:
        return CellReport(task.name, refusal=refusal, worker=worker)
    started = time.perf_counter()
    start = _provenance() | {"start_time": now()}
    try:
        with programs_kept(), checkpointed(_checkpoints(task)):
            compute = _computation(task.recipe, recipe)
            if compute is None:
                return CellReport(task.name, asks=True, worker=worker)
            ds = compute(dict(task.coordinates))
        if not isinstance(ds, xr.Dataset):
            raise TypeError(f"a cell returns an xarray.Dataset; got {type(ds).__name__}")
        seconds, peak = time.perf_counter() - started, peak_rss_mb()
        signed = ds.assign_attrs(
            start,
            config_hash=task.config_hash,
            cell=task.name,
            cell_coordinates=coordinates_text(task.coordinates),
            wall_time_s=seconds,
            peak_rss_mb=peak,
        )
        content = dataset_bytes(signed)
        entry = entry_of(signed.attrs, content)
        return CellReport(task.name, seconds, peak, content, entry, worker=worker)
    except Exception as error:
        return CellReport(
            task.name,
            time.perf_counter() - started,
            peak_rss_mb(),
            error=first_line(error),
            trace="".join(traceback.format_exception(error)),
            worker=worker,
        )


def _refusal(task: Task) -> str | None:
    """Why this process must not compute cells of the sweep, or None."""
    if task.code != code_version():
        return other_code(code_version(), task.code)
    disregard()
    return several_threads(os.environ, sys.modules, task.gpu)


def other_code(there: str, here: str) -> str:
    """Why a worker with another `code_version` is left out."""
    return (
        f"its toolkit or its packages differ from the launcher's (code {there} there, "
        f"{here} here); install the same checkout and requirements.lock on it"
    )


def _computation(key: str, recipe: bytes | None) -> Compute | None:
    """The computation named `key`, unpickled once per process."""
    if key not in _recipes and recipe is not None:
        compute = pickle.loads(recipe)
        for old in list(_recipes)[: 1 - _RECIPES_KEPT or None]:
            _recipes.pop(old, None)
        _recipes[key] = compute
    return _recipes.get(key)


def _checkpoints(task: Task) -> Path | None:
    """The folder for the cell's unfinished state, if this worker sees the launcher's folder."""
    return checkpoint_path(task.folder, task.name) if is_held_by(task.folder, task.token) else None


def checkpoint_path(folder: Path, name: str) -> Path:
    """Where the unfinished state of a cell is kept."""
    return folder / "unfinished" / name


def first_line(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__

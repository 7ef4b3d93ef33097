"""The worker's side of a sweep: compute one cell on one thread and write its file."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

import xarray as xr

from simulations.results import ResultsError, provenance, write_dataset, write_text

Compute = Callable[[dict[str, Any]], xr.Dataset]

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NPROC",
)
_XLA_FLAGS = ("--xla_cpu_multi_thread_eigen=false", "intra_op_parallelism_threads=1")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Task:
    """One cell as it travels to a worker; `compute` is pickled, so that a worker can say what is
    wrong with it instead of dying of it."""

    name: str
    coordinates: dict[str, Any]
    compute: bytes
    path: Path
    config_hash: str

    @property
    def error_path(self) -> Path:
        """The file that holds the traceback of a failed cell."""
        return self.path.with_name(f"{self.name}.error.txt")


@dataclass(frozen=True)
class CellReport:
    """What comes back: seconds, peak resident memory of the worker (MB), and what went wrong.

    `error` is the one-line message of a failed cell, else None; `unwritable` says that the cell
    itself was computed and the results folder refused it.
    """

    name: str
    seconds: float
    peak_rss_mb: float
    error: str | None = None
    unwritable: bool = False


def single_thread_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that hold BLAS, numba and XLA to one thread.

    Other flags in `XLA_FLAGS` and a `JAX_PLATFORMS` already chosen are kept.
    """
    ours = {flag.partition("=")[0] for flag in _XLA_FLAGS}
    kept = [f for f in environment.get("XLA_FLAGS", "").split() if f.partition("=")[0] not in ours]
    return {
        **dict.fromkeys(_THREADS, "1"),
        "JAX_PLATFORMS": environment.get("JAX_PLATFORMS") or "cpu",
        "XLA_FLAGS": " ".join([*kept, *_XLA_FLAGS]),
    }


@contextmanager
def single_thread_environment() -> Iterator[None]:
    """Give every process started inside the block one thread; restore the environment after it."""
    settings = single_thread_settings(os.environ)
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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


def run_cell(task: Task) -> CellReport:
    """Compute one cell and write its file; every failure comes back as a report."""
    started = time.perf_counter()
    provenance_of_start = provenance()
    try:
        compute: Compute = pickle.loads(task.compute)
        ds = compute(dict(task.coordinates))
        if not isinstance(ds, xr.Dataset):
            raise TypeError(f"a cell returns an xarray.Dataset; got {type(ds).__name__}")
    except Exception as error:
        return _failure(task, error, time.perf_counter() - started)
    seconds = time.perf_counter() - started
    peak = peak_rss_mb()
    signed = ds.assign_attrs(
        provenance_of_start,
        config_hash=task.config_hash,
        cell=task.name,
        cell_coordinates=coordinates_text(task.coordinates),
        wall_time_s=seconds,
        peak_rss_mb=peak,
    )
    try:
        write_dataset(signed, task.path)
    except ResultsError as error:
        return CellReport(task.name, seconds, peak, str(error), unwritable=True)
    except Exception as error:
        return _failure(task, error, seconds)
    with suppress(OSError):
        task.error_path.unlink(missing_ok=True)
    return CellReport(task.name, seconds, peak)


def coordinates_text(coordinates: Mapping[str, Any]) -> str:
    """Return the coordinates of a cell as JSON, keys sorted. Raises TypeError if JSON cannot."""
    return json.dumps(coordinates, sort_keys=True)


def _failure(task: Task, error: Exception, seconds: float) -> CellReport:
    """Write the traceback beside the cell, if that can be, and report the first line."""
    with suppress(ResultsError):
        write_text("".join(traceback.format_exception(error)), task.error_path)
    return CellReport(task.name, seconds, peak_rss_mb(), first_line(error))


def first_line(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def peak_rss_mb() -> float:
    """Return the peak resident memory of this process in MB (10**6 bytes).

    On Linux from /proc, because getrusage there starts from the launcher's peak.
    """
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6

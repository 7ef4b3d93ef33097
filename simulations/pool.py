"""The launcher's side of a sweep: hand tasks to executors and survive the death of workers."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

from simulations.progress import Reporter
from simulations.results import ResultsError
from simulations.worker import CellReport, Task, first_line, prepare_worker, run_cell

ExecutorFactory = Callable[[int], Executor]

_TICK = 0.5  # seconds between two looks at the clock of the progress bar
_PATIENCE = 1.5  # seconds given to killed workers, and to the executor, to be gone


def process_pool(workers: int) -> Executor:
    """Return the default executor: spawned processes that end with the launcher."""
    return ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=prepare_worker
    )


def run_tasks(
    tasks: Sequence[Task], factory: ExecutorFactory, workers: int, reporter: Reporter
) -> list[CellReport]:
    """Run every task, at most `workers` at a time, and return one report each, in order of finish.

    Tasks in flight when a worker dies are tried once more at the end, each alone in an executor of
    one worker; one that breaks that too gets a report with an error. Raises ResultsError as soon
    as the results folder refuses a cell, KeyboardInterrupt on Ctrl-C; in both cases the workers are
    gone.
    """
    reports: list[CellReport] = []
    suspects: list[Task] = []
    pending = deque(tasks)
    while pending:
        lost = _run_pool(pending, factory, workers, reporter, reports)
        for task in lost:
            reporter.postponed(task.name)
        suspects += lost
    for task in suspects:
        if _run_pool(deque([task]), factory, 1, reporter, reports):
            message = "a worker died at it, and again when it ran alone (killed, or out of memory)"
            _take(CellReport(task.name, 0.0, 0.0, message), reporter, reports)
    return reports


def _run_pool(
    pending: deque[Task],
    factory: ExecutorFactory,
    workers: int,
    reporter: Reporter,
    reports: list[CellReport],
) -> list[Task]:
    """Work `pending` off with one executor; return the tasks in flight when it broke, if it did.

    No more tasks than workers are handed over at a time, so that tasks in flight are running ones.
    """
    others = multiprocessing.active_children()
    executor = factory(workers)
    in_flight: dict[Future[CellReport], Task] = {}
    lost: list[Task] = []
    try:
        while pending or in_flight:
            while pending and len(in_flight) < workers and not lost:
                task = pending.popleft()
                try:
                    with _interrupts_held():
                        in_flight[executor.submit(run_cell, task)] = task
                except BrokenExecutor:
                    lost.append(task)
                else:
                    reporter.started(task.name)
            if lost and not in_flight:
                break
            for future in wait(in_flight, _TICK, FIRST_COMPLETED).done:
                task = in_flight.pop(future)
                report = _report(future, task)
                if report is None:
                    lost.append(task)
                else:
                    _take(report, reporter, reports)
            reporter.tick()
        if not lost:
            executor.shutdown()
    except BaseException:
        with interrupts_ignored():
            _abandon(executor, others)
        raise
    if lost:
        _abandon(executor, others)
    return lost


def _report(future: Future[CellReport], task: Task) -> CellReport | None:
    """Return what a future brought, or None if its worker died."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenExecutor):
        return None
    return CellReport(task.name, 0.0, 0.0, first_line(error))


def _take(report: CellReport, reporter: Reporter, reports: list[CellReport]) -> None:
    if report.unwritable:
        raise ResultsError(report.error)
    reports.append(report)
    if report.error is None:
        reporter.finished(report.name, report.seconds)
    else:
        reporter.failed(report.name, report.error)


def _abandon(executor: Executor, others: list[BaseProcess]) -> None:
    """Kill the executor's processes and shut it down, in a bounded time."""
    mine = [process for process in multiprocessing.active_children() if process not in others]
    for process in mine:
        process.kill()
    deadline = time.monotonic() + _PATIENCE
    for process in mine:
        process.join(max(0.0, deadline - time.monotonic()))
    closing = threading.Thread(
        target=executor.shutdown, kwargs={"cancel_futures": True}, daemon=True
    )
    closing.start()
    closing.join(_PATIENCE)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while a worker process starts, so that it inherits the deafness.

    Otherwise one that is still importing answers Ctrl-C with a traceback of its own.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore further Ctrl-C during the block (in the main thread, where it arrives)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)

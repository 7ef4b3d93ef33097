"""The launcher's side of a sweep: hand tasks to an executor and survive the death of workers."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty, SimpleQueue

from simulations.console.progress import Reporter
from simulations.results.files import ResultsError
from simulations.sweep.threads import single_thread_environment
from simulations.sweep.worker import CellReport, Task, first_line, prepare_worker, run_cell

ExecutorFactory = Callable[[int], Executor]
Take = Callable[[CellReport], None]

TRIES = 3  # of a cell whose worker was lost
SMALL = 65536  # bytes of a recipe that may travel with every cell

_TICK = 0.5  # seconds between two looks at the clock of the progress bar
_PATIENCE = 1.5  # seconds given to killed workers, and to the executor, to be gone


class WorkerRefused(ResultsError):
    """Workers cannot compute cells of this sweep; the message says why and what to do."""


@dataclass
class Work:
    """What one sweep runs, and what came of it.

    `take` stores a report that is final; `tick` is called about twice a second.
    """

    tasks: Sequence[Task]
    recipe: bytes
    workers: int
    reporter: Reporter
    take: Take
    tick: Callable[[], None]
    tries: Counter[str] = field(default_factory=Counter)


def process_pool(workers: int) -> Executor:
    """Return the default executor: spawned processes that end with the launcher.

    Raises ResultsError where the main script is none that such a process could import.
    """
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script is not None and not guarded(Path(script)):
        raise ResultsError(
            f"worker processes import {script} anew, which would start the sweep again: save it as "
            'a file, and put what starts the sweep under `if __name__ == "__main__":`.'
        )
    return ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=prepare_worker
    )


def guarded(script: Path) -> bool:
    """Whether a script can be imported without running: it is a file that asks for its name."""
    return script.is_file() and "__name__" in script.read_text(encoding="utf-8", errors="ignore")


def run_tasks(work: Work, factory: ExecutorFactory) -> None:
    """Run every task and take one report each, in order of finish.

    An executor is given `workers` tasks at a time, or half as many more as it computes at once by
    its own `width()`, which may change. One whose factory does not say `places_gpus` gets the tasks
    for a GPU after the others, one at a time.

    Tasks in flight when an executor breaks are tried once more at the end, one after another in an
    executor of one worker; one that breaks that too is given up. Raises what `take` and `tick`
    raise, and KeyboardInterrupt on Ctrl-C; in any case the workers are gone.
    """
    if getattr(factory, "places_gpus", False):
        _run_all(work.tasks, work, factory, work.workers)
        return
    _run_all([task for task in work.tasks if not task.gpu], work, factory, work.workers)
    with single_thread_environment(gpu=True):
        _run_all([task for task in work.tasks if task.gpu], work, factory, 1)


def _run_all(tasks: Sequence[Task], work: Work, factory: ExecutorFactory, workers: int) -> None:
    pending, suspects = deque(tasks), deque[Task]()
    while pending:
        for task in _run_pool(pending, work, factory, workers):
            work.reporter.postponed(task.name)
            suspects.append(task)
    while suspects:
        for task in _run_pool(suspects, work, factory, 1):
            why = "a worker died at it, and again when it ran alone (killed, or out of memory)"
            work.take(CellReport(task.name, error=why))


def _run_pool(
    pending: deque[Task], work: Work, factory: ExecutorFactory, workers: int
) -> list[Task]:
    """Work `pending` off with one executor; return the tasks in flight when it broke, if it did.

    No more tasks than the executor has room for are handed over at a time, so that tasks in flight
    are running ones, or about to.
    """
    others = multiprocessing.active_children()
    executor = factory(workers)
    flight = _Flight(executor, work, workers)
    try:
        while pending or flight.tasks:
            flight.fill(pending)
            if flight.lost and not flight.tasks:
                break
            reports = flight.landed(pending)
            flight.fill(pending)  # before what came back is written
            for report in reports:
                work.take(report)
            work.reporter.tick()
            work.tick()
        if not flight.lost:
            executor.shutdown()
    except BaseException:
        with interrupts_ignored():
            _abandon(executor, others)
        raise
    if flight.lost:
        _abandon(executor, others)
    return flight.lost


class _Flight:
    """The tasks that one executor has in hand."""

    def __init__(self, executor: Executor, work: Work, workers: int) -> None:
        self.tasks: dict[Future[CellReport], Task] = {}
        self.lost: list[Task] = []
        self._executor, self._work, self._workers = executor, work, workers
        self._arrived: SimpleQueue[Future[CellReport]] = SimpleQueue()
        self._asked: set[str] = set()

    def fill(self, pending: deque[Task]) -> None:
        """Hand over as many tasks as there is room for."""
        room = self._room()
        while pending and len(self.tasks) < room and not self.lost:
            task = pending.popleft()
            recipe = self._work.recipe
            carried = recipe if len(recipe) < SMALL or task.name in self._asked else None
            try:
                with _interrupts_held():
                    future = self._executor.submit(run_cell, task, carried)
                    self.tasks[future] = task
            except BrokenExecutor:
                self.lost.append(task)
            else:
                self._work.reporter.started(task.name)
                future.add_done_callback(self._arrived.put)

    def _room(self) -> int:
        width = getattr(self._executor, "width", None)
        if width is None:
            return self._workers
        count: int = width()
        self._work.reporter.width(count)
        return count + (count + 1) // 2

    def landed(self, pending: deque[Task]) -> list[CellReport]:
        """Wait a little; return final reports, and put tasks to be tried again into `pending`."""
        reports = []
        try:
            future = self._arrived.get(timeout=_TICK)
            while True:
                report = self._judge(future, self.tasks.pop(future), pending)
                if report is not None:
                    reports.append(report)
                future = self._arrived.get_nowait()
        except Empty:
            return reports

    def _judge(
        self, future: Future[CellReport], task: Task, pending: deque[Task]
    ) -> CellReport | None:
        """The final report of a task, or None where it is lost or tried again."""
        if future.cancelled():
            self._work.tries[task.name] += 1
            if self._work.tries[task.name] >= TRIES:
                why = f"given up after {TRIES} tries; the connection to its worker was lost"
                return CellReport(task.name, error=why)
            pending.appendleft(task)
            return None
        error = future.exception()
        if isinstance(error, BrokenExecutor):
            self.lost.append(task)
            return None
        if error is not None:
            plain = isinstance(error, ResultsError)
            return CellReport(task.name, error=str(error) if plain else first_line(error))
        report = future.result()
        if report.asks:
            self._asked.add(task.name)
        elif report.refusal is not None:
            self._exclude(report)
        else:
            return report
        pending.appendleft(task)
        return None

    def _exclude(self, report: CellReport) -> None:
        """Send no more cells to a worker that refuses them, and say so."""
        sentence = f"worker {report.worker} is left out: {report.refusal}"
        exclude = getattr(self._executor, "exclude", None)
        if exclude is None:
            raise WorkerRefused(f"{sentence}.")
        if exclude(report.worker):
            self._work.reporter.say(sentence)


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

"""Watching a sweep from its executor: when each cell came back, from whom, and at what cost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulations.results.files import ResultsError
from simulations.sweep.pool import ExecutorFactory
from simulations.sweep.worker import CellReport

Look = Callable[[int], None]


class TooFewAnswers(ResultsError):
    """Some worker had no cell of a measured sweep: give it more or longer cells."""


@dataclass
class Watch:
    """An executor factory that notes the answers of another one's workers.

    `instead` replaces the function that workers run; `look` is called with the number of answers
    so far, in the thread where they arrive; `hands` are workers' processes, where their names do
    not tell; `helpers` are others whose processor time is wanted, like a scheduler; the first
    `warm` answers count as start-up.
    """

    inner: ExecutorFactory
    workers: int
    cells: int
    instead: Callable[..., CellReport] | None = None
    look: Look | None = None
    hands: Sequence[int] = ()
    helpers: Sequence[int] = ()
    warm: int = 0
    begun: float = 0.0
    stamps: list[tuple[float, str]] = field(default_factory=list)
    full: int | None = None
    costs: list[tuple[float, float, float]] = field(default_factory=list)

    def __call__(self, workers: int) -> Executor:
        executor = self.inner(workers)
        submit = executor.submit

        def watched(fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.begun = self.begun or time.monotonic()
            future = submit(self.instead or fn, *args, **kwargs)
            future.add_done_callback(self._note)
            return future

        executor.submit = watched  # type: ignore[method-assign]
        return executor

    def _note(self, future: Future[CellReport]) -> None:
        if future.cancelled() or future.exception() is not None or future.result().error:
            return
        self.stamps.append((time.monotonic(), future.result().worker))
        count = len(self.stamps)
        if self.full is None and count > self.warm and len(self._names) == self.workers:
            self.full = count - 1
            self.costs.append(self._cost())
        if count == self.cells:
            self.costs.append(self._cost())
        if self.look is not None:
            self.look(count)

    @property
    def _names(self) -> set[str]:
        """The workers that have answered."""
        return {worker for _, worker in self.stamps}

    def _cost(self) -> tuple[float, float, float]:
        """Processor seconds so far of this process, of workers on this machine, of the helpers."""
        pids = [int(name.rpartition(":")[2]) for name in self._names if "://" not in name]
        return (
            time.process_time(),
            sum(map(processor_seconds, [*pids, *self.hands])),
            sum(map(processor_seconds, self.helpers)),
        )

    def steady(self) -> Steady:
        """What came after every worker had answered once.

        Raises TooFewAnswers where some never did.
        """
        if self.full is None or len(self.costs) < 2 or self.full == len(self.stamps) - 1:
            raise TooFewAnswers(
                f"Only {len(self._names)} of {self.workers} workers answered before the last of "
                f"{self.cells} cells; take more or longer cells."
            )
        first, last = self.stamps[self.full][0], self.stamps[-1][0]
        count = len(self.stamps) - 1 - self.full
        spent = [b - a for a, b in zip(*self.costs[:2], strict=True)]
        return Steady(
            start_up=first - self.begun,
            rate=count / (last - first),
            launcher_ms=1e3 * spent[0] / count,
            worker_ms=1e3 * spent[1] / count,
            helper_ms=1e3 * spent[2] / count,
            cycle=self._cycle(),
            wall=last - self.begun,
            load=os.getloadavg()[0],
        )

    def _cycle(self) -> float:
        """Mean seconds from one answer of a worker to its next."""
        first = {worker: moment for moment, worker in reversed(self.stamps)}
        last = {worker: moment for moment, worker in self.stamps}
        spans = sum(last[worker] - first[worker] for worker in last)
        return spans / max(1, len(self.stamps) - len(last))


@dataclass(frozen=True)
class Steady:
    """A sweep in steady work: seconds until every worker had answered once, cells a second from
    then on, processor time of a cell by process (ms), seconds of a worker from one answer to the
    next, seconds from the first cell handed over to the last answer, and the machine's load."""

    start_up: float
    rate: float
    launcher_ms: float
    worker_ms: float
    helper_ms: float
    cycle: float
    wall: float
    load: float


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far; 0 where the system does not tell."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Processes that any thread of a process has started; none where the system does not tell."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            found += [int(word) for word in path.read_text().split()]
    return found


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

"""What a sweep tells its user: a bar with the time left on a terminal, else a line per cell."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from models.surroundings.terminal import plain
from simulations.console.units import format_seconds


def time_left(
    waiting: float,
    running: Mapping[str, tuple[float, float]],
    seconds_per_cost: float | None,
    workers: int,
) -> float | None:
    """Return the seconds a sweep will still take, None while nothing is known.

    `waiting` is the total cost of the cells not yet started, `running` has cost and seconds so far
    of each one in work, `seconds_per_cost` comes from the finished ones. The rest is shared evenly
    among `workers`, but no cell ends before its own time.
    """
    if seconds_per_cost is None:
        return None
    rests = [max(0.0, cost * seconds_per_cost - spent) for cost, spent in running.values()]
    total = waiting * seconds_per_cost + sum(rests)
    return max([total / workers, *rests])


def bar(console: Console, what: str, total: int, **options: Any) -> tuple[Progress, TaskID]:
    """A bar that counts `what` up to `total`, with the time left, and its row."""
    left = TextColumn("time left {task.fields[left]}")
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), left)
    made = Progress(*columns, console=console, **options)
    return made, made.add_task(what, total=total, left="unknown")


class Reporter:
    """Follows the cells of one sweep and reports them on a console.

    `costs` gives each cell to be computed its relative cost; cells are named as there.
    """

    def __init__(self, console: Console, costs: Mapping[str, float], workers: int) -> None:
        self._console = console
        self._waiting = dict(costs)
        self._costs = dict(costs)
        self._workers = workers
        self._started: dict[str, float] = {}
        self._done = 0
        self._seconds = 0.0
        self._finished_cost = 0.0
        hidden = not (console.is_terminal and costs)
        self._bar, self._row = bar(console, "cells", len(costs), disable=hidden)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Print one line, above the bar if there is one."""
        self._console.print(plain(text), markup=False, highlight=False, soft_wrap=True)

    def width(self, workers: int) -> None:
        """Note how many cells are computed at once; 0 is told, once until there are some again."""
        if workers == 0 and self._workers > 0:
            self.say("no worker can be reached; waiting for one")
        self._workers = workers

    def more(self, costs: Mapping[str, float]) -> None:
        """Note cells that turned out to be needed."""
        self._waiting |= costs
        self._costs |= costs
        self._bar.update(self._row, total=len(self._costs))

    def started(self, name: str) -> None:
        """Note that a worker has taken this cell."""
        self._waiting.pop(name, None)
        self._started[name] = time.monotonic()

    def postponed(self, name: str) -> None:
        """Note that a worker died with this cell, which will be tried again."""
        self._started.pop(name, None)
        self._waiting[name] = self._costs[name]
        self.say(f"{name}: a worker process died; the cell will be tried once more, alone")

    def finished(self, name: str, seconds: float) -> None:
        """Note a finished cell and the seconds it took."""
        self._seconds += seconds
        self._finished_cost += self._costs[name]
        self._count(name)
        if not self._console.is_terminal:
            place = f"{self._done} of {len(self._costs)}"
            left = format_seconds(self._left())
            self.say(f"{name}: {format_seconds(seconds)}, {place}, time left {left}")

    def failed(self, name: str, message: str) -> None:
        """Note a failed cell with its one-line message."""
        self._count(name)
        self.say(f"{name}: failed, {self._done} of {len(self._costs)}: {message}")

    def tick(self) -> None:
        """Let the time left pass."""
        self._bar.update(self._row, left=format_seconds(self._left()))

    def _count(self, name: str) -> None:
        self._waiting.pop(name, None)
        self._started.pop(name, None)
        self._done += 1
        self._bar.update(self._row, advance=1)

    def _left(self) -> float | None:
        now = time.monotonic()
        running = {name: (self._costs[name], now - t) for name, t in self._started.items()}
        rate = self._seconds / self._finished_cost if self._finished_cost else None
        workers = max(1, min(self._workers, len(self._waiting) + len(running)))
        return time_left(sum(self._waiting.values()), running, rate, workers)

"""The progress of work that is many equal steps, with the time left, where it takes long."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console

from simulations.console.progress import bar
from simulations.console.units import format_seconds

_SILENT = 3.0  # seconds in which nothing is said
_EVERY = 10.0  # seconds between two lines, where no bar is drawn


class Steps:
    """Tells how many of `total` are done: a bar on a terminal, else a line now and then."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        self._console = console
        self._what = what
        self._total = total
        self._done = 0
        self._begun = time.monotonic()
        self._next = self._begun + _SILENT
        self._bar, self._row = bar(console, what, total, transient=True)
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._drawn:
            self._bar.stop()

    def __call__(self) -> None:
        """Note that one more is done."""
        self._done += 1
        now = time.monotonic()
        if now < self._next:
            return
        left = format_seconds((now - self._begun) / self._done * (self._total - self._done))
        if not self._console.is_terminal:
            self._next = now + _EVERY
            words = f"{self._what}: {self._done:,} of {self._total:,}, time left {left}"
            self._console.print(words, markup=False, highlight=False, soft_wrap=True)
            return
        if not self._drawn:
            self._bar.start()
            self._drawn = True
        self._next = now + 0.5
        self._bar.update(self._row, completed=self._done, left=left)

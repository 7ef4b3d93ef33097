"""The last noise level at which a success that falls with noise still suffices (private)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from am_theory._inputs import Floats
from am_theory._random_patterns import finish
from am_theory.schedules import LogLinear, Schedule


def threshold_iv(threshold: float) -> None:
    if not 0 < threshold < 1:
        raise ValueError(
            f"`threshold` must lie inside (0, 1); got {threshold!r}. It is the retrieval "
            "probability asked for, such as 0.5."
        )


def last_time(
    success: Callable[[Floats], Floats],
    threshold: float,
    shape: tuple[int, ...],
    schedule: Schedule | None,
) -> Any:
    """Largest t with success(alpha(t)) >= threshold, by bisection: success falls with t."""
    schedule = LogLinear() if schedule is None else schedule

    def holds(t: Floats) -> Any:
        return success(np.asarray(schedule.alpha(t), dtype=float)) >= threshold

    low, high = np.zeros(shape), np.ones(shape)
    at_start, at_end = holds(low), holds(high)
    for _ in range(54):
        middle = (low + high) / 2
        inside = holds(middle)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return finish(np.where(at_end, 1.0, np.where(at_start, low, np.nan)))

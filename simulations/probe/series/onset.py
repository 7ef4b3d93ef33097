"""The step at which memorization sets in, with its interval.

M(step) is above the bound from the onset on: the last passage of the bound, between the last
checkpoint at or below it and the next, linear in the logarithm of the step
(`simulations.measure.passage`). Where the checkpoints do not hold it, it is -inf, above the bound
from the first one on, or +inf, not above it at the last.

At one level the interval is that of the onsets of the bootstrap replicates, of one resampling for
all checkpoints. The largest M over levels is too large where all are noise, and its replicates the
more: its onset is early, and the interval is between the onsets of the upper and of the lower ends
of M, of bands that hold all levels at once (`models.training.memorized.bands`): at the step where
the true M is the bound, these have the bound between them in 95 % of cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.training.memorized import Floats, bands
from simulations.measure.bootstrap import stated_interval
from simulations.measure.passage import crossing_size


@dataclass(frozen=True)
class Onset:
    """A step and its 95 % interval, with infinities and NaN as in the module. `before`: M had been
    above the bound at a checkpoint before, and was below it again."""

    what: str
    step: float
    low: float
    high: float
    before: bool

    @property
    def answer(self) -> str:
        """In words."""
        if np.isnan(self.step):
            return "undefined"
        return "at" if np.isfinite(self.step) else NOT_HELD[self.step > 0]


NOT_HELD = {False: "before the first", True: "not reached"}


def onset_at(what: str, steps: Floats, draws: Floats, bound: float) -> Onset:
    """Of M at one level, draws (checkpoints, 1 + replicates) over increasing steps (checkpoints,).

    Checkpoints at step 0 and those at which M is undefined are left out; undefined with fewer than
    two others.

    >>> found = onset_at("M", np.array([10.0, 1000.0]), np.array([[0.0] * 3, [0.2] * 3]), 0.1)
    >>> round(found.step, 9), found.answer
    (100.0, 'at')
    """
    steps, kept = _usable(steps, draws[:, 0], draws)
    if len(steps) < 2:
        return Onset(what, np.nan, np.nan, np.nan, False)
    found = crossing_size(steps, kept.T, bound, "rising")
    low, high = stated_interval(found[1:], 0.95)
    return _onset(what, float(found[0]), low, high, steps, kept[:, 0], bound)


def onset_of_largest(what: str, steps: Floats, draws: list[Floats], bound: float) -> Onset:
    """Of the largest M over levels, draws (1 + replicates, levels) of every checkpoint."""
    table = np.full((len(draws), 3), np.nan)
    for k, one in enumerate(draws):
        low, high = bands(one)
        if np.isfinite(low).any():
            table[k] = np.nanmax(one[0]), np.nanmax(high), np.nanmax(low)
    steps, kept = _usable(steps, table[:, 0], table)
    if len(steps) < 2:
        return Onset(what, np.nan, np.nan, np.nan, False)
    step, low, high = crossing_size(steps, kept.T, bound, "rising").tolist()
    return _onset(what, step, min(low, step), max(high, step), steps, kept[:, 0], bound)


def _usable(steps: Floats, value: Floats, table: Floats) -> tuple[Floats, Floats]:
    usable = (steps > 0) & np.isfinite(value)
    return np.asarray(steps[usable], np.float64), table[usable]


def _onset(
    what: str, step: float, low: float, high: float, steps: Floats, curve: Floats, bound: float
) -> Onset:
    """With whether a checkpoint before the onset was above the bound."""
    return Onset(what, step, low, high, bool((curve[steps < step] > bound).any()))

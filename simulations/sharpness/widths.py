"""How wide a passage is: decades of K from 0.9 to 0.1, K at 1/2, slope there; from a curve over K.

A falling curve passes a level where it does so for the last time, a rising one for the first, as
K_M and K_G are defined (`simulations.measure.order`); linear in log K between points. The slope is
that of the chord from 3/4 to 1/4, per decade. What the grid of K does not hold is NaN.

Intervals hold the units (training sets, seeds) by the jackknife: n times the value less n - 1 times
that without a unit are n numbers whose scatter is the value's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulations.features_law.sizes import Scatter
from simulations.measure.passage import crossing_size, first_rise_size

Floats = NDArray[np.float64]

LEVELS = (0.9, 0.75, 0.5, 0.25, 0.1)
PARTS = ("middle", "decades", "slope")


class Key(NamedTuple):
    """Which passage: the system, what passes, and the condition beside V and L."""

    system: str
    order: str
    setting: str


@dataclass(frozen=True)
class Passing:
    """A curve over K of one V and L. whole (n,), NaN where unknown; without (units, n): the same
    with one unit left out, (0, n) for an exact curve. rising : G; else it falls."""

    key: Key
    vocab_size: int
    seq_len: int
    train_sizes: Floats = field(repr=False)
    whole: Floats = field(repr=False)
    without: Floats = field(repr=False)
    rising: bool = False

    @property
    def exact(self) -> bool:
        return not len(self.without)

    @property
    def falling(self) -> Floats:
        """The curve, 1 less it where it rises."""
        return 1 - self.whole if self.rising else self.whole

    @property
    def logs(self) -> Floats:
        """Pseudo-values (units, 3) of the logs of PARTS; of an exact curve its own, (1, 3)."""
        value = log_parts(self.train_sizes, self.whole, self.rising)
        if self.exact:
            return value[None]
        left = [log_parts(self.train_sizes, curve, self.rising) for curve in self.without]
        return np.asarray(len(left) * value - (len(left) - 1) * np.array(left))


def log_parts(train_sizes: Floats, curve: Floats, rising: bool) -> Floats:
    """Natural logs of PARTS of one curve, (3,): K at 1/2, decades, slope per decade.

    >>> np.exp(log_parts(np.array([1.0, 10.0, 100.0]), np.array([1.0, 0.5, 0.0]), False)).round(3)
    array([10. ,  1.6,  0.5])
    """
    known = ~np.isnan(curve)
    if np.count_nonzero(known) < 2:
        return np.full(3, np.nan)
    sizes, values = train_sizes[known], curve[known]
    if rising:
        found = [first_rise_size(sizes, values, level) for level in LEVELS[::-1]]
    else:
        found = [crossing_size(sizes, values, level, "falling") for level in LEVELS]
    places = np.array([float(size) if np.isfinite(size) else np.nan for size in found])
    first, second, middle, fourth, last = np.log10(places)
    steps = np.array([last - first, fourth - second])
    with np.errstate(divide="ignore", invalid="ignore"):
        decades, chord = np.log(np.where(steps > 0, steps, np.nan))
    return np.array([middle * np.log(10), decades, np.log(0.5) - chord])


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval, NaN where there is none."""

    value: float
    low: float = np.nan
    high: float = np.nan


def values_of(passing: Passing, scatters: tuple[Scatter, ...]) -> tuple[Value, ...]:
    """PARTS with intervals by the pooled scatter of pseudo-values; none of an exact curve."""
    found = []
    for logs, scatter in zip(passing.logs.T, scatters, strict=True):
        if passing.exact:
            found.append(Value(float(np.exp(logs[0]))))
            continue
        found.append(Value(*scatter.interval(logs)))
    return tuple(found)


def scatters_of(passings: list[Passing]) -> tuple[Scatter, ...]:
    """The scatter of each of PARTS, pooled over simulated passages."""
    tables = [passing.logs for passing in passings if not passing.exact]
    return tuple(Scatter.of([table[:, part] for table in tables]) for part in range(len(PARTS)))

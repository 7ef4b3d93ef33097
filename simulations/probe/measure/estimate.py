"""A number with its 95 % interval, from bootstrap replicates or exact for a proportion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from simulations.measure.bootstrap import interval

Floats = NDArray[np.float64]

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over `n` sequences; NaN where it is undefined, NaN ends
    where there are too few sequences for an interval."""

    value: float
    low: float
    high: float
    n: int

    @property
    def known(self) -> bool:
        return bool(np.isfinite(self.value))


def exact_interval(successes: float, n: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a binomial proportion.

    >>> low, high = exact_interval(0, 10)
    >>> low, round(high, 4)
    (0.0, 0.3085)
    """
    if n == 0:
        return np.nan, np.nan
    tail = (1 - LEVEL) / 2
    low = stats.beta.ppf(tail, successes, n - successes + 1) if successes > 0 else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


def estimate(value: float, replicates: Floats, n: int, share: bool = False) -> Estimate:
    """Percentile interval; a share that is 0 or 1 in every sequence would get an interval of no
    width, and gets Clopper and Pearson's with the sequence as the unit."""
    if share and n and value in (0.0, 1.0):
        return Estimate(float(value), *exact_interval(value * n, n), n)
    low, high = interval(replicates)
    return Estimate(float(value), float(low), float(high), n)


def proportion(flags: NDArray[np.bool_]) -> Estimate:
    n = len(flags)
    value = float(flags.mean()) if n else np.nan
    return Estimate(value, *exact_interval(float(flags.sum()), n), n)

"""Shares of sequences and their differences, the sequence being the unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln

from simulations.measure.bootstrap import bootstrap_ratio, interval
from simulations.probe.measure.estimate import LEVEL, Estimate, exact_interval, proportion

Floats = NDArray[np.float64]


def difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Estimate:
    """Share of `first` minus share of `second`, independent sequences, with the interval of
    Newcombe (1998, method 10), which has a width where both are 0 too.

    >>> found = difference(np.arange(70) < 56, np.arange(80) < 48)
    >>> round(found.value, 2), round(found.low, 4), round(found.high, 4)
    (0.2, 0.0524, 0.3339)
    """
    n = min(len(first), len(second))
    if not n:
        return Estimate(np.nan, np.nan, np.nan, n)
    (p, low_p, high_p), (q, low_q, high_q) = _wilson(first), _wilson(second)
    low = p - q - float(np.hypot(p - low_p, high_q - q))
    high = p - q + float(np.hypot(high_p - p, q - low_q))
    return Estimate(p - q, low, high, n)


def _wilson(flags: NDArray[np.bool_]) -> tuple[float, float, float]:
    """A share and its score interval (Wilson 1927)."""
    n, p, z2 = len(flags), float(flags.mean()), float(stats.norm.ppf((1 + LEVEL) / 2)) ** 2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return p, middle - float(half), middle + float(half)


def drawn_within(hits: NDArray[np.integer], draws: int, n: int) -> Floats:
    """Estimate of 1 - (1 - p)^n from hits (sequences,) in so many `draws`, n of them at most.

    1 - C(draws - hits, n) / C(draws, n), without bias: the share of choices of n of the draws that
    hold a hit (Chen et al. 2021, arXiv:2107.03374). At n = draws it is 1 where there was a hit.

    >>> drawn_within(np.array([0, 1, 5]), 10, 10)
    array([0., 1., 1.])
    >>> drawn_within(np.array([0, 1, 5]), 10, 1)
    array([0. , 0.1, 0.5])
    """
    missed = draws - np.asarray(hits, np.float64)
    left = np.maximum(missed, n)
    ways = gammaln(left + 1) - gammaln(left - n + 1) - gammaln(draws + 1) + gammaln(draws - n + 1)
    found = np.where(missed < n, 1.0, -np.expm1(ways))
    return np.asarray(np.round(found, 12) + 0.0, np.float64)


def means(
    first: Floats, second: Floats, rng: np.random.Generator, replicates: int = 1000
) -> tuple[Estimate, Estimate, Estimate]:
    """Means of numbers of two sets of sequences, and their difference, by bootstrap over the
    sequences of each; of numbers that are 0 or 1 alone by the exact intervals of shares.

    Numbers that are all one have replicates without spread; their interval is that of a share of 0
    among as many sequences, to both sides.
    """
    sides = [np.asarray(side, np.float64) for side in (first, second)]
    if all(len(side) and np.isin(side, (0.0, 1.0)).all() for side in sides):
        a, b = (side == 1.0 for side in sides)
        return proportion(a), proportion(b), difference(a, b)
    low, high = (-1.0 if any((side < 0).any() for side in sides) else 0.0), 1.0
    spans = [(low, high), (low, high), (low - high, high - low)]
    draws = [_means(side, rng, replicates) for side in sides]
    numbers = [side.mean() if len(side) else np.nan for side in sides]
    slack = [_slack(side) for side in sides]
    sizes = [len(side) for side in sides]
    return (
        _estimate(numbers[0], draws[0], slack[0], spans[0], sizes[0]),
        _estimate(numbers[1], draws[1], slack[1], spans[1], sizes[1]),
        _estimate(numbers[0] - numbers[1], draws[0] - draws[1], max(slack), spans[2], min(sizes)),
    )


def _means(side: Floats, rng: np.random.Generator, replicates: int) -> Floats:
    n = len(side)
    if not n:
        return np.full(replicates, np.nan)
    return bootstrap_ratio(rng, side, np.ones(n), np.arange(n), replicates)[1]


def _estimate(
    value: float, draws: Floats, slack: float, span: tuple[float, float], n: int
) -> Estimate:
    """The interval of replicates, no narrower than `slack` to each side, within `span`."""
    low, high = interval(draws)
    least, most = min(float(low), value - slack), max(float(high), value + slack)
    return Estimate(float(value), max(least, span[0]), min(most, span[1]), n)


def _slack(side: Floats) -> float:
    """What an interval of numbers that do not differ is widened by."""
    return 0.0 if len(np.unique(side)) != 1 else exact_interval(0, len(side))[1]

"""Binomial laws on the counts that carry their weight, for any number of trials (private)."""

from __future__ import annotations

import numpy as np

from am_theory._arrays import log_excess
from am_theory._inputs import Floats

_REACH = 8.5  # standard deviations kept on either side; less than 1e-16 lies outside
_RARE = 40  # and counts more, for the skewed laws of small mean
_SMOOTH = 32.0  # standard deviation from which on a law may be read at every (sd / 32)-th count


def binomial_window(trials: float, hit: float, thin: bool = False) -> tuple[Floats, Floats]:
    """Counts of Bin(trials, hit) and their probabilities, which add up to 1.

    `thin` leaves counts out where the law is wide, evenly: sums of functions that vary no faster
    than the law itself keep all their digits, since the trapezoidal rule is exact for those.
    """
    if hit <= 0 or trials == 0:
        return np.zeros(1), np.ones(1)
    if hit >= 1:
        return np.full(1, float(trials)), np.ones(1)
    mean = trials * hit
    width = np.sqrt(mean * (1 - hit))
    reach = _REACH * width + _RARE
    low, high = max(np.floor(mean - reach), 0.0), min(np.ceil(mean + reach), trials)
    if width < _SMOOTH:
        count = np.arange(low, high + 1)
        steps = np.log((trials - count[:-1]) / count[1:]) + np.log(hit) - np.log1p(-hit)
        log_p = np.concatenate([[0.0], np.cumsum(steps)])
    else:
        count = np.arange(low, high + 1, max(np.floor(width / _SMOOTH), 1.0) if thin else 1.0)
        log_p = _log_wide(count, trials, mean)
    p = np.exp(log_p - log_p.max())
    return count, p / p.sum()


def _log_wide(count: Floats, trials: float, mean: float) -> Floats:
    """log Bin up to a constant, by Stirling's series, whose rest is below 1e-11 in wide laws.

    Neither hits nor misses come down to 0 there: both means are at least the variance.
    """
    missed, off = trials - count, count - mean
    spread = -mean * log_excess(off / mean) - (trials - mean) * log_excess(-off / (trials - mean))
    return spread - np.log(count * missed) / 2 - (1 / count + 1 / missed) / 12

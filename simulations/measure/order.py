"""Two order parameters between two exact ends: how much of a network is memory, how much is law.

A reading R (a recovery, an entropy, a log loss) is taken of a network, of the optimal memorizer of
the same K sequences and of the exact law of the source, all on the same inputs:

    M(K) = (R_train - R_law) / (R_memorizer - R_law)            training inputs: memory fraction
    G(K) = (R_held - R_memorizer) / (R_law - R_memorizer)       held-out inputs: generalization

M is 1 for the memorizer and 0 for the law. G is 0 for the memorizer *at that K*, whose own held-out
recovery rises with K by itself, and 1 for the law. K_M and K_G are the last passages of 1/2: memory
is lost at K_M, the law is found at K_G; both hold between them, if K_G is the smaller. Where the
two ends are within two standard errors of each other a fraction says nothing, and is NaN.

Source: definitions ours, phenomenon of arXiv:2604.26841.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.measure.bootstrap import standard_error, stated_interval
from simulations.measure.passage import crossing_size
from simulations.measure.transition import Curve, Estimate, as_estimate

Floats = NDArray[np.float64]

HALF = 0.5  # where a fraction passes from one phase to the other
APART = 2.0  # standard errors by which the two ends must differ


def fraction(reading: Curve, zero: Curve, one: Curve) -> Curve:
    """Where a reading lies between two ends, (reading - zero) / (one - zero), over K.

    The three curves must come from the same inputs, with replicates of one resampling, so that a
    replicate is a ratio of differences of the same sequences. NaN (estimate, replicates, seeds)
    where the two ends differ by less than two standard errors of their difference.

    >>> def flat(*values): return Curve([10, 100], values, np.tile(values, (9, 1)), [values], "")
    >>> fraction(flat(0.9, 0.4), flat(0.2, 0.2), flat(1.0, 0.6)).estimate.round(3).tolist()
    [0.875, 0.5]
    """
    apart = one.estimate - zero.estimate
    error = standard_error(one.replicates - zero.replicates)
    known = np.abs(apart) > APART * np.nan_to_num(error, nan=np.inf)
    known &= ~np.isnan(reading.estimate)

    def ratio(name: str) -> Floats:
        top = getattr(reading, name) - getattr(zero, name)
        bottom = getattr(one, name) - getattr(zero, name)
        safe = np.where(known & (bottom != 0), bottom, np.nan)
        return np.asarray(top / safe)

    parts = [ratio(name) for name in ("estimate", "replicates", "per_seed")]
    return Curve(reading.train_sizes, *parts, reading.method)


def passage_of_half(name: str, part: Curve, rising: bool, relative: bool = False) -> Estimate:
    """The size at which a fraction passes 1/2 for the last time: K_M falling, K_G rising.

    Taken over the sizes at which the fraction is known. It is undefined, not "above grid", where
    the fraction has not passed yet when its two ends meet: nothing is known of larger sizes.
    """
    known = ~np.isnan(part.estimate)
    if np.count_nonzero(known) < 2:
        nothing = np.full(len(part.replicates), np.nan)
        seeds = np.full(len(part.per_seed), np.nan)
        return as_estimate(name, np.nan, nothing, seeds, part.method, relative=relative)
    direction = "rising" if rising else "falling"

    def size(curve: Floats) -> Floats:
        found = crossing_size(part.train_sizes[known], curve[..., known], HALF, direction)
        return found if known[-1] else np.where(np.isposinf(found), np.nan, found)

    value, replicates, seeds = (
        size(table) for table in (part.estimate, part.replicates, part.per_seed)
    )
    return as_estimate(name, float(value), replicates, seeds, part.method, relative=relative)


@dataclass(frozen=True)
class Ratio:
    """A ratio of two sizes: estimate and 95 % interval; NaN where one of them has no value."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the two agree: the interval of their ratio holds 1."""
        if np.isnan(self.low) or np.isnan(self.high):
            return "no interval"
        return "agree" if self.low <= 1 <= self.high else "deviate"


def ratio_of_halves(first: Curve, second: Curve, rising: tuple[bool, bool]) -> Ratio:
    """The ratio of the passages of 1/2 of two fractions, replicate by replicate.

    For one K_M against another give curves of one resampling; for the window K_M / K_G the two
    splits are resampled apart, as they are independent.
    """
    sizes = []
    for part, up in zip((first, second), rising, strict=True):
        known = ~np.isnan(part.estimate)
        if np.count_nonzero(known) < 2:
            return Ratio(np.nan, np.nan, np.nan)
        grid, direction = part.train_sizes[known], "rising" if up else "falling"
        found = [
            crossing_size(grid, table[..., known], HALF, direction)
            for table in (part.estimate, part.replicates)
        ]
        sizes.append([np.where(np.isinf(one), np.nan, one) for one in found])
    value, replicates = (top / bottom for top, bottom in zip(*sizes, strict=True))
    low, high = stated_interval(replicates, 0.95)
    return Ratio(float(value), low, high)

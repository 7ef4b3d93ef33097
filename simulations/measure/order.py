"""Two order parameters between two exact ends: how much of a network is memory, how much is law.

A reading R (a recovery, an entropy, a log loss) is taken of a network, of the optimal memorizer of
the same K sequences and of the exact law of the source, all on the same inputs:

    M(K) = (R_train - R_law) / (R_memorizer - R_law)            training inputs: memory fraction
    G(K) = (R_held - R_memorizer) / (R_law - R_memorizer)       held-out inputs: generalization

M is 1 for the memorizer and 0 for the law. G is 0 for the memorizer *at that K*, whose own held-out
recovery rises with K by itself, and 1 for the law. K_M is the last passage of 1/2, from where on
memory is lost; K_G the first one, from where on the law has been found: at large K, where the
memorizer comes near the law too, G divides by little, and a small deficit may take it down again.
Both hold between them, if K_G is the smaller. Where the two ends are within two standard errors of
each other a fraction says nothing, and is NaN.

Source: definitions ours, phenomenon of arXiv:2604.26841.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulations.measure.bootstrap import standard_error, stated_interval
from simulations.measure.passage import crossing_size, first_rise_size
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

    parts: dict[str, Any] = {name: ratio(name) for name in ("estimate", "replicates", "per_seed")}
    return replace(reading, **parts)


def _passage(part: Curve, rising: bool) -> list[Floats] | None:
    """The passage of 1/2 of the estimate, the replicates and the seeds of a fraction, over the
    sizes at which it is known; None where these are fewer than two."""
    known = ~np.isnan(part.estimate)
    if np.count_nonzero(known) < 2:
        return None
    sizes = part.train_sizes[known]
    found = []
    for table in (part.estimate, part.replicates, part.per_seed):
        curve = table[..., known]
        if rising:
            size = first_rise_size(sizes, curve, HALF)
        else:
            size = crossing_size(sizes, curve, HALF, "falling")
        found.append(size if known[-1] else np.where(np.isposinf(size), np.nan, size))
    return found


def passage_of_half(name: str, part: Curve, rising: bool, relative: bool = False) -> Estimate:
    """The size at which a fraction passes 1/2: K_M, where it falls for the last time, or K_G, where
    it rises for the first.

    Taken over the sizes at which the fraction is known. It is undefined, not "above grid", where
    the fraction has not passed yet when its two ends meet: nothing is known of larger sizes.
    """
    found = _passage(part, rising)
    if found is None:
        found = [np.full(n, np.nan) for n in ((), len(part.replicates), len(part.per_seed))]
    value, replicates, seeds = found
    return as_estimate(name, float(value), replicates, seeds, part.method, relative=relative)


def halves_by_seed(part: Curve, rising: bool) -> Floats:
    """`passage_of_half` of each seed's own curve alone, (seeds,): -inf, +inf or NaN where the grid
    does not hold it or it is undefined."""
    found = _passage(part, rising)
    return np.full(len(part.per_seed), np.nan) if found is None else found[2]


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
        found = _passage(part, up)
        if found is None:
            return Ratio(np.nan, np.nan, np.nan)
        sizes.append([np.where(np.isinf(one), np.nan, one) for one in found[:2]])
    value, replicates = (top / bottom for top, bottom in zip(*sizes, strict=True))
    low, high = stated_interval(replicates, 0.95)
    return Ratio(float(value), low, high)

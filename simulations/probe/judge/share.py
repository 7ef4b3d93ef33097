"""Which share of some sequences scores above what sequences that were not used do? A lower bound.

With a share w used, their scores have the law F = w U + (1 - w) N, U the unknown law of used ones
and N the null, that of held-out sequences of the same source. At any threshold c

    w_c = [F(s > c) - N(s > c)] / [1 - N(s > c)] = w [U(s > c) - N(s > c)] / [1 - N(s > c)] <= w,

with equality where every used sequence scores above c. The largest w_c over the thresholds of one
sample is too large, as the noise is chosen too. So the threshold is chosen on one half of the
sequences and w_c taken from the other, both ways round (cross-fitting).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulations.measure.bootstrap import interval
from simulations.probe.measure.estimate import Estimate, exact_interval

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

FOLDS = 2
LEAST = 20  # sequences on either side, below which no share is given
N_THRESHOLDS = 16
MOST_ABOVE = 0.5  # of the null; below its median 1 - N(s > c), which divides, is small
CAUTION = 2.0  # standard errors below its value by which thresholds are compared


def share_above(
    scores: ArrayLike, null: ArrayLike, rng: np.random.Generator, n_replicates: int = 1000
) -> Estimate:
    """Share w of `scores` (n,) that the null does not explain, from scores (m,) of the null.

    Higher scores look more used. Thresholds are upper quantiles, 1/2 to 1/m, of the null; each half
    is counted at the one that had the largest w_c less two standard errors on the other half. What
    comes back is a lower bound of w: used sequences that score like others are not seen, and low
    thresholds, which would see more of them, cost precision; so the upper end of the interval
    bounds what is seen, not w. The 95 % interval is by bootstrap over the sequences of both sides,
    within halves, the choice made anew in every replicate; the value and its ends are cut to
    [0, 1], and are there at least as wide as Clopper and Pearson's. `n` counts `scores`; NaN
    throughout with fewer than `LEAST` on either side.

    The scores must not depend on each other: a sequence that occurs twice is to be scored once.
    Raises ValueError for scores that are not finite or not one row.

    >>> rng = np.random.default_rng(0)
    >>> used, others = rng.normal(6, 1, 500), rng.normal(size=(2, 500))
    >>> found = share_above(np.r_[used, others[0]], others[1], rng)
    >>> found.low < 0.5 < found.high, 0.45 < found.value < 0.55
    (True, True)
    """
    ours, theirs = _scores_iv("scores", scores), _scores_iv("null", null)
    n, m = len(ours), len(theirs)
    if min(n, m) < LEAST:
        return Estimate(np.nan, np.nan, np.nan, n)
    levels = 1 - np.geomspace(MOST_ABOVE, 1 / m, N_THRESHOLDS)
    thresholds = np.unique(np.quantile(theirs, levels, method="inverted_cdf"))
    folds = [_folded(rng, side, thresholds) for side in (ours, theirs)]
    value = float(_crossed(*folds))
    drawn = [
        np.stack(
            [rng.multinomial(part.sum(), part / part.sum(), n_replicates) for part in side], axis=1
        )
        for side in folds
    ]
    low, high = np.clip(interval(_crossed(*drawn)), 0.0, 1.0).tolist()
    value = min(max(value, 0.0), 1.0)
    if value in (0.0, 1.0):
        ends = exact_interval(value * n, n)
        low, high = min(low, ends[0]), max(high, ends[1])
    return Estimate(value, low, high, n)


def _scores_iv(name: str, given: ArrayLike) -> Floats:
    found = np.asarray(given, np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise ValueError(
            f"`{name}` must be finite numbers (n,), one a sequence; got shape {found.shape} with "
            f"{np.size(found) - int(np.isfinite(found).sum())} that are not finite."
        )
    return found


def _folded(rng: np.random.Generator, values: Floats, thresholds: Floats) -> Counts:
    """Of each of two random halves, how many values exceed none, one, ... all thresholds."""
    above, size = rng.permutation(np.searchsorted(thresholds, values)), len(thresholds) + 1
    return np.stack([np.bincount(above[k::FOLDS], minlength=size) for k in range(FOLDS)])


def _crossed(counts: Counts, null: Counts) -> Floats:
    """The share from counts (..., half, bin): of each half at the threshold that the other one
    chose, pooled."""
    others, null_others = (side.sum(-2, keepdims=True) - side for side in (counts, null))
    best = _at_least(others, null_others).argmax(-1)[..., None]
    left, rest = (
        np.take_along_axis(side.sum(-1, keepdims=True) - _above(side), best, axis=-1)[..., 0].sum(
            -1
        )
        for side in (counts, null)
    )
    n, m = counts.sum((-2, -1)), null.sum((-2, -1))
    return np.asarray(1 - (left / n) / np.maximum(rest / m, 1 / m), np.float64)


def _above(side: Counts) -> Counts:
    """How many exceed every threshold, from counts by bin."""
    return np.cumsum(side[..., :0:-1], axis=-1)[..., ::-1]


def _at_least(counts: Counts, null: Counts) -> Floats:
    """w_c less `CAUTION` standard errors at every threshold."""
    sizes = [side.sum(-1, keepdims=True) for side in (counts, null)]
    ours, theirs = (
        (_above(side) + 0.5) / (n + 1) for side, n in zip((counts, null), sizes, strict=True)
    )
    noise = [p * (1 - p) / n for p, n in zip((ours, theirs), sizes, strict=True)]
    left = (1 - ours) / (1 - theirs)  # 1 - w_c
    error = np.sqrt(noise[0] + left**2 * noise[1]) / (1 - theirs)
    return np.asarray(1 - left - CAUTION * error, np.float64)

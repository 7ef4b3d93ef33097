"""How much of what a denoiser does is memory: its readings on train and on held-out sequences.

    beyond(a, b) = (a - b) / (1 - b)

    M(t)          = beyond(R_train, R_heldout)     order parameter, of the recoveries R of tokens
    share(t)      = beyond(S_train, S_heldout)     training sequences memorized: S is the share of
                                                   sequences of which `WHOLE` of the corrupted
                                                   tokens are restored, all of fewer than ten
    told_apart(t) = beyond(p_train, p_heldout)     training sequences that can be told: p is the
                                                   share with a log loss below what 5 % of the
                                                   held-out ones have

All are 0 for a denoiser that does not know its training set and 1 for the exact memorizer where it
retrieves. If a part w of the sequences is memorized, and the rest is like held-out ones, M and
share are w and told_apart is at most w. Where all sequences are known a little, M is little, share
hardly anything and told_apart may be large. Means over tokens are ratios of sums.

Intervals are of 95 %, by a bootstrap over sequences, train and held-out apart. A proportion that is
0 or 1 in all sequences, which has no spread, is drawn from its posterior with the sequence as the
unit: the intervals are then those of Clopper and Pearson, but for one sequence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.training.readings import Reading

Floats = NDArray[np.float64]

WHOLE = 0.9
FALSE_ALARMS = 0.05  # held-out sequences below the threshold of told_apart
LEVEL = 0.95  # of the intervals


class Drawn(NamedTuple):
    """How often each of n sequences is drawn, (1 + replicates, n): all once, then as a bootstrap
    has them, so that the first row of what is made with them is the estimate. And a number in
    (0, 1) for each replicate, (replicates, 1), for what has no spread."""

    weights: Floats
    uniforms: Floats


def drawn(rng: np.random.Generator, n: int, replicates: int = 1000) -> Drawn:
    """Draws of n sequences. For values of one resampling use the same ones."""
    counts = rng.multinomial(n, np.full(n, 1 / n), size=replicates)
    return Drawn(np.concatenate([np.ones((1, n)), counts]), 1 - rng.random((replicates, 1)))


def ratio(top: Floats, bottom: Floats, draws: Drawn) -> Floats:
    """Ratio of sums over sequences (n, levels), (1 + replicates, levels); NaN for 0 / 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (draws.weights @ top) / (draws.weights @ bottom)
    return found


def mean_of(reading: Reading, top: str, bottom: str) -> Floats:
    """Ratio of two sums of a reading by level, (levels,): restored and corrupted give recovery,
    entropy or log_loss and sites means over tokens."""
    n = len(reading.sites)
    once = Drawn(np.ones((1, n)), np.ones((0, 1)))
    found: Floats = ratio(getattr(reading, top), getattr(reading, bottom), once)[0]
    return found


def proportion(top: Floats, bottom: Floats, draws: Drawn) -> Floats:
    """`ratio` of counts, top among bottom; see the module for 0 and 1."""
    found = ratio(top, bottom, draws)
    edge = draws.uniforms ** (1 / (1 + np.count_nonzero(bottom, axis=0)))
    found[1:] = np.where(found[0] == 1, edge, np.where(found[0] == 0, 1 - edge, found[1:]))
    return found


def order_parameter(train: Reading, heldout: Reading, of_train: Drawn, of_heldout: Drawn) -> Floats:
    """M(t), (1 + replicates, levels); NaN where nothing was corrupted or all held-out tokens are
    restored."""
    return _beyond(
        proportion(train.restored, train.corrupted, of_train),
        proportion(heldout.restored, heldout.corrupted, of_heldout),
    )


def memorized_share(train: Reading, heldout: Reading, of_train: Drawn, of_heldout: Drawn) -> Floats:
    """share(t), (1 + replicates, levels), of the sequences with corrupted tokens."""
    parts = []
    for reading, draws in ((train, of_train), (heldout, of_heldout)):
        there = (reading.corrupted > 0).astype(np.float64)
        whole = there * (reading.restored >= WHOLE * reading.corrupted)
        parts.append(proportion(whole, there, draws))
    return _beyond(*parts)


def told_apart(train: Reading, heldout: Reading, of_train: Drawn, of_heldout: Drawn) -> Floats:
    """told_apart(t), (1 + replicates, levels)."""
    scores = [_score(reading) for reading in (train, heldout)]
    threshold = np.sort(scores[1], axis=0)[int(FALSE_ALARMS * len(scores[1]))]
    below = [(score < threshold).astype(np.float64) for score in scores]
    pairs = zip(below, (of_train, of_heldout), strict=True)
    return _beyond(*(proportion(flags, np.ones_like(flags), draws) for flags, draws in pairs))


class Bounded(NamedTuple):
    """A number and its 95 % interval; NaN ends where more than 5 % of the replicates have none."""

    value: float
    low: float
    high: float


def bounded(draws: Floats) -> Bounded:
    """Estimate and percentile interval of draws (1 + replicates,)."""
    rest = draws[1:]
    if np.isnan(draws[0]) or np.isnan(rest).mean() > 1 - LEVEL:
        return Bounded(float(draws[0]), np.nan, np.nan)
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(rest, [tail, 100 - tail])
    value = float(draws[0])
    return Bounded(value, min(float(low), value), max(float(high), value))


def bands(draws: Floats) -> tuple[Floats, Floats]:
    """Lower and upper ends (levels,) of bands that hold all levels of draws (1 + replicates,
    levels) at once in 95 % of cases: percentiles of every level, equally far out, such that 95 % of
    the replicates are inside at all levels. NaN at levels whose interval is not known."""
    known = [k for k in range(draws.shape[1]) if np.isfinite(bounded(draws[:, k]).low)]
    low, high = np.full((2, draws.shape[1]), np.nan)
    if known:
        value, rest = draws[0, known], draws[1:, known]
        rank = rest.argsort(0).argsort(0) / (len(rest) - 1)  # NaN is last
        outside = np.where(np.isnan(rest), 0.5, np.minimum(rank, 1 - rank)).min(1)
        tail = 100 * np.quantile(outside, 1 - LEVEL)
        low[known] = np.minimum(np.nanpercentile(rest, tail, axis=0), value)
        high[known] = np.maximum(np.nanpercentile(rest, 100 - tail, axis=0), value)
    return low, high


def clearest(draws: Floats) -> tuple[int, Bounded]:
    """The level at which draws (1 + replicates, levels) are largest beyond noise, and the value
    with its band.

    That is the level of the largest lower end of `bands`, which therefore is also a lower end for
    the largest value over levels: choosing costs nothing. -1 and NaN where no level is known.
    """
    low, high = bands(draws)
    if np.isnan(low).all():
        return -1, Bounded(np.nan, np.nan, np.nan)
    place = int(np.nanargmax(low))
    return place, Bounded(float(draws[0, place]), float(low[place]), float(high[place]))


def _beyond(train: Floats, heldout: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(heldout < 1, (train - heldout) / (1 - heldout), np.nan)
    return found


def _score(reading: Reading) -> Floats:
    """Mean log loss (n, levels) of each sequence, above all others where no site was read."""
    with np.errstate(invalid="ignore"):
        return np.where(reading.sites > 0, reading.log_loss / reading.sites, np.inf)

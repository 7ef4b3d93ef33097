"""How much of what a denoiser does is memory: its readings on train and on held-out sequences.

    M(t)     = (R_train - R_heldout) / (1 - R_heldout)      order parameter, of recoveries R
    share(t) = (p_train - p_heldout) / (1 - p_heldout)      share of training sequences memorized,

p being the share of sequences with a log loss below what 5 % of the held-out ones have. Both are 0
for a denoiser that does not know its training set and 1 where it restores every token of it, or
tells every sequence from new ones. If a part w of the sequences is memorized, and the rest is like
held-out ones, M is w for a perfect memory and share at most w: a sequence that is memorized and
still has an ordinary loss is not counted. Means over tokens are ratios of sums.

Intervals are of 95 %, by a bootstrap over sequences, train and held-out apart; they have no width
where all sequences say the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.training.readings import Reading

Floats = NDArray[np.float64]

FALSE_ALARMS = 0.05  # held-out sequences that the share's threshold takes for memorized
LEVEL = 0.95  # of the intervals


def weights(rng: np.random.Generator, n: int, replicates: int = 1000) -> Floats:
    """How often each of n sequences is drawn, (1 + replicates, n): all once, then as a bootstrap
    has them. So the first row of what is made with them is the estimate."""
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=replicates)
    return np.concatenate([np.ones((1, n)), drawn])


def ratio(top: Floats, bottom: Floats, drawn: Floats) -> Floats:
    """Ratio of sums over sequences (n, levels), (1 + replicates, levels); NaN for 0 / 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (drawn @ top) / (drawn @ bottom)
    return found


def order_parameter(
    train: Reading, heldout: Reading, drawn_train: Floats, drawn_heldout: Floats
) -> Floats:
    """M(t), (1 + replicates, levels); NaN where nothing was corrupted or all held-out tokens are
    restored."""
    return _beyond(
        ratio(train.restored, train.corrupted, drawn_train),
        ratio(heldout.restored, heldout.corrupted, drawn_heldout),
    )


def memorized_share(
    train: Reading, heldout: Reading, drawn_train: Floats, drawn_heldout: Floats
) -> Floats:
    """share(t), (1 + replicates, levels): a lower bound on the share memorized, up to noise."""
    scores = [_score(reading) for reading in (train, heldout)]
    rank = int(FALSE_ALARMS * len(scores[1]))
    threshold = np.sort(scores[1], axis=0)[rank]
    below = [(score < threshold).astype(np.float64) for score in scores]
    ones = [np.ones_like(flags) for flags in below]
    drawn = drawn_train, drawn_heldout
    return _beyond(*(ratio(b, o, d) for b, o, d in zip(below, ones, drawn, strict=True)))


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
    return Bounded(float(draws[0]), float(low), float(high))


def clearest(draws: Floats) -> tuple[int, Bounded]:
    """The level at which draws (1 + replicates, levels) are largest beyond noise, and the value.

    Its interval is that of simultaneous bands, value - c s to value + c s, which hold all levels at
    once in 95 % of cases: s is the standard error of each, c the 95 % percentile of the largest
    deviation in units of s. The level is the one of the largest lower end, which therefore is also
    a lower end for the largest value over levels: choosing costs nothing. Levels whose interval is
    not known are left out; -1 and NaN where that is so of all.
    """
    known = [k for k in range(draws.shape[1]) if np.isfinite(bounded(draws[:, k]).low)]
    if not known:
        return -1, Bounded(np.nan, np.nan, np.nan)
    value, rest = draws[0, known], draws[1:, known]
    error = np.nanstd(rest, axis=0)
    apart = np.abs(rest - value) / np.where(error > 0, error, 1.0)
    wide = np.percentile(np.nan_to_num(apart).max(1), 100 * LEVEL) * error
    place = int(np.argmax(value - wide))
    most, width = float(value[place]), float(wide[place])
    return known[place], Bounded(most, most - width, most + width)


def _beyond(train: Floats, heldout: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(heldout < 1, (train - heldout) / (1 - heldout), np.nan)
    return found


def _score(reading: Reading) -> Floats:
    """Mean log loss (n, levels) of each sequence, above all others where no site was read."""
    with np.errstate(invalid="ignore"):
        return np.where(reading.sites > 0, reading.log_loss / reading.sites, np.inf)

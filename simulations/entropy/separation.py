"""How well the entropy of one sequence tells a memorizer from a generalizer, and where best.

    d'(t) = (mean_generalizer - mean_memorizer) / sqrt((var_generalizer + var_memorizer) / 2),

means and variances over sequences (and their noise) of the mean token entropy of one pair of
models; pairs of one seed, then the mean over seeds. AUC is the chance that a sequence of the
memorizer has the lower entropy, ties counting half.

The best level is looked for up to where the optimal memorizer loses its sequences, log K =
I(x_0; x_t). Beyond, it differs from the source in the frequencies of tokens alone; as t -> 1 that
difference stays while both spreads vanish, so that d' of exact denoisers grows without bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from simulations.entropy.bands import POPULATION, Band, Floats, Resampled, Saved, Who, derived
from simulations.entropy.config import ENTROPY, EntropyConfig
from simulations.measure.names import LAWS

KINDS = ("predicted", "measured")
READ_ON = {
    "generated": "each model's own generated sequences",
    "train": "training sequences of the memorizer, held-out ones for the generalizer",
    "heldout": "the same held-out sequences for both",
}
Side = tuple[Who, str]  # a denoiser, and the sequences that it is read on

PLATEAU = 0.9  # share of the largest d' that the plateau keeps
NO_SPREAD = 1e-6  # nats; a smaller standard deviation is rounding
ERRORS = 1.645 + 2.326  # normal quantiles of 95 % and 99 %


def discriminability(memorizer: Floats, generalizer: Floats, axis: int) -> Floats:
    """d' of means and mean squares along `axis`; infinite where neither side has any spread."""
    (low, low_square), (high, high_square) = (
        np.moveaxis(part, axis, 0) for part in (memorizer, generalizer)
    )
    variance = (low_square - low**2 + high_square - high**2) / 2
    spread = np.sqrt(np.clip(variance, 0, None))
    gap = high - low
    with np.errstate(divide="ignore", invalid="ignore"):
        sure = np.where(np.abs(gap) < NO_SPREAD, 0.0, np.copysign(np.inf, gap))
        return np.asarray(np.where(spread < NO_SPREAD, sure, gap / spread))


def placements(memorizer: Floats, generalizer: Floats) -> tuple[Floats, Floats]:
    """Of values (n, ...) and (m, ...), column by column: for each of the memorizer the share of
    the generalizer's above it, and for each of the generalizer the share of the memorizer's below
    it, equal ones counting half. The mean of either is the AUC."""
    above, below = np.empty(memorizer.shape), np.empty(generalizer.shape)
    for where in np.ndindex(memorizer.shape[1:]):
        column = (slice(None), *where)
        above[column] = 1 - _share_below(memorizer[column], generalizer[column])
        below[column] = _share_below(generalizer[column], memorizer[column])
    return above, below


def _share_below(values: Floats, others: Floats) -> Floats:
    """Share of the others (m,) below each of the values (n,), equal ones counting half."""
    ordered = np.sort(others)
    left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((left + right) / (2 * len(ordered)))


def highest(levels: Floats, curve: Floats, below: float) -> tuple[Floats, Floats]:
    """Level and height of the maximum of curves (..., t): the vertex of the parabola in t through
    the largest value at a level up to `below` and its two neighbours; that value itself at an end
    of the levels, where the curve still rises beyond `below`, or where it is infinite."""
    searched = np.where(levels <= below, curve, -np.inf)
    top = np.expand_dims(searched.argmax(-1), -1)
    k = np.clip(top, 1, len(levels) - 2)
    x = [levels[k + j] for j in (-1, 0, 1)]
    y = [np.take_along_axis(curve, k + j, -1) for j in (-1, 0, 1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
        bend = (right - left) / (x[2] - x[0])
        vertex = (x[0] + x[1]) / 2 - left / (2 * bend)
        height = y[0] + left * (vertex - x[0]) + bend * (vertex - x[0]) * (vertex - x[1])
    inside = (top == k) & (y[1] >= y[2]) & (bend < 0) & np.isfinite(height)
    level = np.where(inside, vertex, levels[top])[..., 0]
    return level, np.where(inside, height, np.take_along_axis(curve, top, -1))[..., 0]


def plateau(levels: Floats, curve: Floats, level: float, height: float) -> tuple[float, float]:
    """Ends of the levels around `level` where a curve (t,) keeps PLATEAU of `height`, by linear
    interpolation; NaN where the height is not positive and finite."""
    if not 0 < height < math.inf:
        return math.nan, math.nan
    least, at = PLATEAU * height, int(np.abs(levels - level).argmin())
    ends = []
    for step in (-1, 1):
        k = at
        while 0 <= k + step < len(levels) and curve[k + step] >= least:
            k += step
        end = levels[k]
        if 0 <= k + step < len(levels) and curve[k] > curve[k + step]:
            share = np.clip((curve[k] - least) / (curve[k] - curve[k + step]), 0, 1)
            end += share * (levels[k + step] - levels[k])
        ends.append(float(end))
    return ends[0], ends[1]


@dataclass(frozen=True)
class Peak:
    """Where one law separates best: the level t*, d' there and at t = 1e-5, AUC at the level next
    to t* and at 1e-5, ends of the plateau (2,); best_auc: the largest AUC where the search is, and
    first and last level that have it; `rising`: d' still rises where the search ends."""

    level: Band
    height: Band
    small: Band
    auc: Band
    small_auc: Band
    plateau: Band
    best_auc: tuple[float, float, float]
    rising: bool

    @property
    def inside(self) -> bool:
        """Whether there is a level that separates best, and it is not where the search ends."""
        return bool(np.isfinite(self.height.estimate)) and not self.rising


@dataclass(frozen=True)
class Separation:
    """Of one K from the generalizer: d' and AUC over (law, t), and the peak of each law."""

    d_prime: Band
    auc: Band
    peaks: dict[str, Peak]


def pair_of(config: EntropyConfig, kind: str, split: str, size: int) -> list[Side]:
    """Memorizer and generalizer, and the sequences each is read on: `train` sequences of the one
    stand against held-out ones of the other."""
    memorizer = ("empirical" if kind == "predicted" else "trained", size)
    generalizer = POPULATION if kind == "predicted" else ("trained", config.train_sizes[-1])
    return [(memorizer, split), (generalizer, "heldout" if split == "train" else split)]


def separate(
    saved: Saved, found: Mapping[Side, Resampled], pair: Sequence[Side], limit: float
) -> Separation:
    """How well the members of a pair are told apart; `found` are the moments of everyone, and
    the best level is looked for up to `limit`."""
    estimates, replicates = (
        discriminability(low[..., ENTROPY, :], high[..., ENTROPY, :], -3)
        for low, high in zip(*(found[side] for side in pair), strict=True)
    )
    d_prime, auc = saved.band(estimates, replicates), _auc(saved, pair)
    levels = np.array(saved.config.all_levels)
    peaks = {law: _peak(levels, d_prime[i], auc[i], limit) for i, law in enumerate(LAWS)}
    return Separation(d_prime, auc, peaks)


def _auc(saved: Saved, pair: Sequence[Side]) -> Band:
    """AUC over (law, t); replicates to first order, from the placements of both sides (DeLong,
    DeLong and Clarke-Pearson, Biometrics 44, 837 (1988))."""
    sides = [saved.values(who, "channel", split)[:, :, :, ENTROPY] for who, split in pair]
    placed = zip(*(placements(*seed) for seed in zip(*sides, strict=True)), strict=True)
    (low, low_replicates), (high, high_replicates) = (
        saved.resampled(np.stack(values), *side) for values, side in zip(placed, pair, strict=True)
    )
    return saved.band(low, low_replicates + (high_replicates - high[:, None]))


def _peak(levels: Floats, d_prime: Band, auc: Band, limit: float) -> Peak:
    def shape(curve: Floats) -> Floats:
        level, height = highest(levels, curve, limit)
        tops = zip(curve.reshape(-1, len(levels)), level.ravel(), height.ravel(), strict=True)
        ends = np.reshape([plateau(levels, *top) for top in tops], (*level.shape, 2))
        return np.concatenate([level[..., None], height[..., None], ends], axis=-1)

    found = derived(shape, d_prime)
    level = float(found.estimate[0])
    searched = levels <= limit
    reach, curve, shares = (part[searched] for part in (levels, d_prime.estimate, auc.estimate))
    best = reach[shares == shares.max()]
    return Peak(
        found[0],
        found[1],
        d_prime[0],
        auc[int(np.abs(levels - level).argmin())],
        auc[0],
        found[2:],
        (float(shares.max()), float(best[0]), float(best[-1])),
        bool(curve.argmax() == len(reach) - 1 and level == reach[-1]),
    )


def sequences_needed(d_prime: float) -> float:
    """Sequences of each of two models whose mean entropies a one-sided test tells apart at level
    5 % with power 99 %, 2 (1.645 + 2.326)^2 / d'^2 rounded up (normal means, known variances;
    Cohen 1988, Statistical Power Analysis, chapter 2). Infinite where d' is not positive."""
    return max(1.0, math.ceil(2 * (ERRORS / d_prime) ** 2)) if d_prime > 0 else math.inf


def spread_of_models(saved: Saved, who: Who, split: str, level: int) -> tuple[float, float, float]:
    """Standard deviation over seeds of the mean `loo` entropy at a level of `all_levels`, over
    that between the sequences of one model; with the 95 % interval of a normal law's standard
    deviation from so few seeds. NaN with one seed."""
    values = saved.values(who, "channel", split)[:, :, 0, ENTROPY, level]
    free, within = len(values) - 1, float(np.sqrt(values.var(1).mean()))
    if free < 1 or within < NO_SPREAD:
        return math.nan, math.nan, math.nan
    ratio = float(values.mean(1).std(ddof=1)) / within
    low, high = (ratio * math.sqrt(free / chi2.ppf(q, free)) for q in (0.975, 0.025))
    return ratio, low, high

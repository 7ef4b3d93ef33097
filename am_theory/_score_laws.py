"""Laws of membership scores: atoms for one token, a grid for the sum over a block (private).

The setting is that of `am_theory.membership`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from am_theory._arrays import vocab_size_iv
from am_theory._binomial_window import binomial_window
from am_theory._inputs import POSITIVE, Floats, Interval, real_iv, whole_iv
from am_theory._random_patterns import Split, choice_iv

_SHARE = Interval(0.0, 1.0, open_low=True, open_high=True)
_ONE = "It counts the stored sequences and is not a load or a fraction."
_WEIGHT = "It is the weight of the stored sequences in the model; at 0 and 1 there is no such test."
_MOST = 1e4  # lambda up to which the laws are summed
_LEAST = 1e-15  # probability below which a value of a law is left out
_POINTS, _FEWER, _CROWDED = 2**17, 2**14, 100.0  # of a block's grid; fewer at lambda above 100
_LARGEST = 2**24
_BITS = 40  # of a score, that of N = c = 1 being 1
_TINY = 1e-300  # against 0 / 0 at N = 0 once V^-n underflows


@dataclass(frozen=True)
class ScoreLaw:
    """Law of a score: values in nats, rising, and their probabilities, (n,) each."""

    values: Any
    probabilities: Any

    def mean(self) -> float:
        """Mean score."""
        return float(self.probabilities @ self.values)

    def auc(self, other: ScoreLaw) -> float:
        """Probability that a draw of this law exceeds one of the other, ties counted half."""
        mine, theirs = _together(self, other)
        return float(mine @ (np.cumsum(theirs) - theirs / 2))

    def tpr_at_fpr(self, other: ScoreLaw, fpr: float) -> float:
        """Power of the threshold that a share `fpr` of the other law exceeds, its tie drawn."""
        mine, theirs = _together(self, other)
        passed = np.append(0.0, np.cumsum(theirs[::-1]))
        found = np.append(0.0, np.cumsum(mine[::-1]))
        last = int(np.searchsorted(passed, fpr, side="right")) - 1
        if last == theirs.size:
            return 1.0
        share = (fpr - passed[last]) / theirs[::-1][last]
        return float(min(found[last] + share * mine[::-1][last], 1.0))


class Scores(NamedTuple):
    """Given N: its probability, the values of the score of one token and their probabilities."""

    matches: float
    weight: float
    values: Floats
    law: Floats


class Grid(NamedTuple):
    """Scores first * step, (first + 1) * step, ... of one token; points of the transform."""

    step: float
    first: int
    points: int


def scores_iv(
    train_size: Any, visible: Any, vocab_size: Any, weight: Any, split: Split
) -> list[Scores]:
    """Check the arguments of a score law, and give the law of one token's score at each N."""
    choice_iv("split", split, ("train", "test"))
    size = float(real_iv("train_size", train_size, Interval(1.0, np.inf), _ONE))
    seen, vocab = whole_iv("visible", visible, 0), vocab_size_iv(vocab_size)
    share = float(real_iv("weight", weight, _SHARE, _WEIGHT))
    if size != np.round(size):
        raise ValueError(f"`train_size` must be a whole number; got {train_size!r}.")
    agree = np.exp(-seen * np.log(vocab))
    if size * agree > _MOST:
        raise ValueError(
            f"`train_size` / V^visible must be at most {_MOST:g}; got {size * agree:g}. "
            "The normal laws `auc_normal` and `tpr_at_fpr_normal` hold there."
        )
    own = float(split == "train")
    offset = size * agree * (1 - share) / share
    # one unit for both splits, so that equal scores are equal numbers
    unit = 2.0 ** (np.floor(np.log2(np.log1p((vocab - 1) / (1 + offset)))) - _BITS)
    found = []
    for other, p in zip(*binomial_window(size - own, agree), strict=True):
        if p < _LEAST:
            continue
        n = other + own
        repeats, law = binomial_window(other, 1 / vocab)
        repeats, law = repeats[law > _LEAST], law[law > _LEAST]
        values = np.log1p((vocab * (repeats + own) - n) / max(n + offset, _TINY))
        found.append(Scores(n, p, np.round(values / unit) * unit + 0.0, law / law.sum()))
    return found


def merged(scores: list[Scores]) -> ScoreLaw:
    """The mixture over N."""
    values = np.concatenate([s.values for s in scores])
    p = np.concatenate([s.weight * s.law for s in scores])
    return _law(values, p)


def common_grid(scores: list[Scores], masked: Any, step: Any) -> Grid:
    """A grid that holds all scores of one token, and on which `masked` of them can be added."""
    count = whole_iv("masked", masked, 1)
    low = min(s.values[0] for s in scores)
    high = max(s.values[-1] for s in scores)
    if step is None:
        crowded = max(s.matches for s in scores) > _CROWDED
        step = count * (high - low) / max((_FEWER if crowded else _POINTS) - 3 * count, 1)
    step = float(real_iv("step", step, POSITIVE, "It is the grid of the scores in nats."))
    first = int(np.floor(low / step))
    points = count * (int(np.ceil(high / step)) - first + 1) + 1
    if points > _LARGEST:
        raise ValueError(
            f"`step` must leave at most 2^24 points for the sum of {count} scores; got {step:g}. "
            "Raise it, or leave it out."
        )
    return Grid(step, first, next_fast_len(points, real=True))


def convolved(scores: list[Scores], masked: int, grid: Grid) -> ScoreLaw:
    """Law of the sum of `masked` scores: a mixture over N of powers of transforms."""
    total, unseen = np.zeros(grid.points // 2 + 1, dtype=complex), 0.0
    for s in scores:
        if s.matches == 0:
            unseen = s.weight
            continue
        place = s.values / grid.step - grid.first
        below = np.floor(place).astype(int)
        up = s.law * (place - below)
        law = np.bincount(below, s.law - up, grid.points)
        law += np.bincount(below + 1, up, grid.points)
        total += s.weight * rfft(law) ** masked
    p = irfft(total, grid.points)
    zero = -grid.first * masked
    p[zero] += unseen
    kept = np.flatnonzero(p > _LEAST)
    return _law((kept - zero) * grid.step, p[kept])


def _law(values: Any, p: Any) -> ScoreLaw:
    """A law with rising, distinct values and total 1."""
    found, where = np.unique(values, return_inverse=True)
    total = np.bincount(where, p)
    return ScoreLaw(found, total / total.sum())


def _together(one: ScoreLaw, other: ScoreLaw) -> tuple[Any, Any]:
    """Probabilities of two laws on the values of both."""
    found, where = np.unique(np.concatenate([one.values, other.values]), return_inverse=True)
    cut = np.size(one.values)
    mine = np.bincount(where[:cut], one.probabilities, found.size)
    return mine, np.bincount(where[cut:], other.probabilities, found.size)

"""Is a text what a model models? Its sequences against the model's own, by bigrams.

Every sequence is scored by the log ratio of two laws of bigrams, one fitted to the text and one to
the model's own sequences, on halves that do not hold it. Foreign is the share of the text that
lies where the model writes hardly ever, at less than a fifth of the text's density: that of a
memorizer is 0, as it writes sequences of its source, be they ever so few; of a text from elsewhere
it is 1. A model that writes other things besides is not held against the text: that is `strange`,
the share of its own sequences where the text has hardly any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulations.measure.bootstrap import interval
from simulations.probe.judge.bigrams import Bigrams
from simulations.probe.measure.estimate import Estimate

Floats = NDArray[np.float64]
Ids = NDArray[np.integer]

HARDLY = 0.2  # of the one density, below which the other has next to nothing
SOME, MUCH = 0.1, 0.25  # of the foreign share: failed if surely above SOME, or if above MUCH
Result = Literal["passed", "failed", "not tested"]

FEW = 16  # sequences of the text, or states of the model, below which nothing can be said


@dataclass(frozen=True)
class Domain:
    """`foreign` : share of the text that is not what the model writes. `strange` : share of the
    model's own sequences that is not what the text holds."""

    foreign: Estimate
    strange: Estimate

    @property
    def result(self) -> Result:
        """passed, failed or not tested: the text is the model's, is not, or cannot be told."""
        if self.foreign.low > SOME or self.foreign.value > MUCH:
            return "failed"
        return "passed" if self.foreign.high < MUCH else "not tested"


def domain(
    text: Ids,
    own: Ids,
    group: NDArray[np.int64],
    vocab_size: int,
    rng: np.random.Generator,
    n_replicates: int = 200,
) -> Domain:
    """Compare a text (m, L) with own sequences (n, L) whose states are `group` (n,).

    Sequences of one state fall into the same half, and are resampled together.
    """
    nothing = Estimate(np.nan, np.nan, np.nan, len(text))
    if min(len(text), len(set(group.tolist()))) < FEW:
        return Domain(nothing, nothing)
    sides = [np.asarray(text), np.asarray(own)]
    groups = [np.arange(len(text)), np.unique(group, return_inverse=True)[1].ravel()]
    halves = [(rng.permutation(g.max() + 1) % 2)[g] for g in groups]
    scores = [np.empty(len(side)) for side in sides]
    for half in (0, 1):
        laws = [
            Bigrams.of(side[cut != half], vocab_size)
            for side, cut in zip(sides, halves, strict=True)
        ]
        for score, side, cut in zip(scores, sides, halves, strict=True):
            of_text, of_model = (law.log_probability(side[cut == half]) for law in laws)
            score[cut == half] = of_text - of_model
    texts, models = (_Scores(*one) for one in zip(scores, halves, groups, strict=True))
    foreign = _apart(texts, models, rng, n_replicates)
    strange = _apart(models.turned, texts.turned, rng, n_replicates)
    return Domain(foreign, strange)


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores (n,), the half that each is in, and the group that it is resampled with."""

    values: Floats
    half: Ids
    group: Ids

    @property
    def turned(self) -> _Scores:
        return _Scores(-self.values, self.half, self.group)

    def at_least(
        self, ends: Floats, half: int, rng: np.random.Generator, n_replicates: int
    ) -> Floats:
        """Shares of a half at or above each of `ends`: of the sample, then of its replicates."""
        mine = self.half == half
        names, group = np.unique(self.group[mine], return_inverse=True)
        table = np.zeros((len(names), len(ends)))
        np.add.at(table, (group.ravel(), np.searchsorted(ends, self.values[mine])), 1.0)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), n_replicates)
        counts = np.concatenate([np.ones((1, len(names))), drawn]) @ table
        found: Floats = counts[:, ::-1].cumsum(1)[:, ::-1] / counts.sum(1, keepdims=True)
        return found


def _apart(high: _Scores, low: _Scores, rng: np.random.Generator, n_replicates: int) -> Estimate:
    """Share of the scores `high` above a threshold, less that of `low` over HARDLY; the threshold
    is chosen on one half and judged on the other. The interval resamples both."""
    ends = np.unique(np.concatenate([high.values, low.values]))
    beyond = []
    for half in (0, 1):
        many, few = (side.at_least(ends, half, rng, n_replicates) for side in (high, low))
        beyond.append(many - few / HARDLY)
    found = np.zeros(n_replicates + 1)
    for chosen, judged in (beyond, beyond[::-1]):
        best = _middle_of_best(chosen)[:, None]
        found += np.take_along_axis(judged, best, 1)[:, 0] / 2
    found = np.clip(found, 0, 1)
    least, most = interval(found[1:])
    return Estimate(float(found[0]), float(least), float(most), len(high.values))


def _middle_of_best(table: Floats) -> Ids:
    """Of every row (n, m) the middle of the first run of its largest value."""
    first = table.argmax(1)
    other = table < table.max(1, keepdims=True)
    other &= np.arange(table.shape[1]) > first[:, None]
    end = np.where(other.any(1), other.argmax(1), table.shape[1])
    return np.asarray((first + end - 1) // 2)

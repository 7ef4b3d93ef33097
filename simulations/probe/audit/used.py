"""Was this set used? A p-value, and the share of it that was, from a score of every sequence.

Null: candidate and held-out sequences came from one source, and which of them are candidates has
nothing to do with the model. The statistic is the mean score of candidates less that of held-out
ones, as a set of which few sequences were used raises means more than ranks; its law under the
null is that of all exchanges of sequences between the two sides, drawn at random, so that the
p-value is valid for any score, any source and any size of the sides. It is not valid where the
held-out sequences are of another source, later in time or cleaned in another way: that alone can
raise or lower their scores.

A score and its level are fixed beforehand, or chosen on one half of the sequences and judged on
the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.probe.audit.units import Units
from simulations.probe.judge.share import share_above
from simulations.probe.measure.estimate import Estimate

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

EXCHANGES = 9999  # so that no p-value is below 1e-4
LEAST = 8  # sequences on either side; with fewer an exchange has few outcomes
_BLOCK = 1 << 22  # labels held at once


@dataclass(frozen=True)
class Used:
    """The answer by one score. `p_value`: one-sided; NaN with fewer than LEAST sequences on either
    side. `share`: of the candidates, those that the null does not explain
    (`simulations.probe.judge.share`), a lower bound. Sequences are distinct ones."""

    score: str
    n_candidates: int
    n_heldout: int
    p_value: float
    share: Estimate


def used(
    name: str,
    scores: Floats,
    is_candidate: Flags,
    rng: np.random.Generator,
    n_replicates: int = 1000,
) -> Used:
    """The answer from scores (n,), of distinct sequences, high where they look used; those that
    are NaN do not count."""
    known = np.isfinite(scores)
    values, flags = scores[known], is_candidate[known]
    n, m = int(flags.sum()), int((~flags).sum())
    share = share_above(values[flags], values[~flags], rng, n_replicates)
    return Used(name, n, m, exchange_p_value(values, flags, rng), share)


def exchange_p_value(
    scores: Floats, is_candidate: Flags, rng: np.random.Generator, n_exchanges: int = EXCHANGES
) -> float:
    """P(mean of candidates, less that of the others, at least as large) under random exchanges.

    (1 + exchanges that reach it) / (1 + exchanges), which is valid at any number of them: Phipson
    and Smyth 2010 (doi:10.2202/1544-6115.1585). NaN with fewer than LEAST on either side.

    >>> rng = np.random.default_rng(0)
    >>> exchange_p_value(np.arange(20.0), np.arange(20) >= 10, rng) < 0.001
    True
    """
    n, size = int(is_candidate.sum()), len(scores)
    if min(n, size - n) < LEAST:
        return float("nan")
    # sums over the fewer ones; the total is fixed, so the difference of means is one of sums
    few, sign = (n, 1.0) if 2 * n <= size else (size - n, -1.0)
    centred = sign * (scores - scores.mean())
    observed = centred[is_candidate if sign > 0 else ~is_candidate].sum()
    reached, step = 0, max(1, _BLOCK // size)
    tolerance = 1e-9 * np.abs(centred).sum()  # one and the same exchange reaches itself
    for first in range(0, n_exchanges, step):
        draws = min(step, n_exchanges - first)
        drawn = rng.permuted(np.broadcast_to(centred, (draws, size)), axis=1)[:, :few]
        reached += int((drawn.sum(1) >= observed - tolerance).sum())
    return (1 + reached) / (1 + n_exchanges)


def chosen_on_half(
    scores: Mapping[str, Floats], is_candidate: Flags, rng: np.random.Generator
) -> tuple[str, Flags]:
    """The score that separates best on one half of the sequences, by the difference of means in its
    standard errors, and the other half as flags (n,); halves at random on either side."""
    first = np.zeros(len(is_candidate), bool)
    for side in (np.flatnonzero(is_candidate), np.flatnonzero(~is_candidate)):
        first[rng.permutation(side)[: len(side) // 2]] = True

    def separation(name: str) -> float:
        known = first & np.isfinite(scores[name])
        ins, outs = (scores[name][known & side] for side in (is_candidate, ~is_candidate))
        if min(len(ins), len(outs)) < 2:
            return -np.inf
        error = np.sqrt(ins.var(ddof=1) / len(ins) + outs.var(ddof=1) / len(outs))
        difference = ins.mean() - outs.mean()
        if error > 0:
            return float(difference / error)
        return math.inf if difference > 0 else -math.inf

    return max(scores, key=separation), ~first


def repeats_words(found: Units) -> list[str]:
    """What a reader should know of the sequences themselves, in sentences."""
    words = []
    if found.left_out:
        words.append(
            f"Each distinct sequence counts once, as the side of a copy drawn at random: "
            f"{found.left_out:,} further copies were left out."
        )
    if found.on_both_sides:
        words.append(
            f"{found.on_both_sides:,} sequences are on both sides; each counts on one of them, by "
            "chance."
        )
    if found.near:
        words.append(
            f"{found.near:,} sequences differ from another one of their side in at most an eighth "
            "of their tokens: such copies are no independent witnesses, and with many of them "
            "the p-value is too small and the interval too short."
        )
    return words

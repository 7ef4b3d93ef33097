"""What an auditor asks of a probe's dataset: who was used, was this set used, how much of it.

Sequences are distinct ones (`simulations.probe.audit.units`), and resampled as such.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.bootstrap import interval
from simulations.probe.audit.reference import AUDITED
from simulations.probe.audit.scores import Calibrated, calibrated, candidates, has_reference
from simulations.probe.audit.units import Units, units
from simulations.probe.audit.used import Used, chosen_on_half, repeats_words, used
from simulations.probe.judge.membership import Membership, membership
from simulations.probe.measure.estimate import Estimate

Floats = NDArray[np.float64]

LEAST_VARIANCE = 20  # sequences, below which no ratio of variances is given
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Graded:
    """One score: how it tells training from held-out sequences without and with the reference, and
    by sign votes of sites, and of sets of sites; None where it has too few sequences."""

    name: str
    own: Membership | None
    gap: Membership | None
    votes: Membership | None
    subsets: Membership | None


@dataclass(frozen=True)
class Reduction:
    """What common noise takes from the variance of a score A - B of held-out sequences, A the
    model's and B the reference's: Var(A - B) over Var A + Var B (`of_sum`), and over Var(A - B')
    with B' on noise of its own (`of_apart`), the same sequences in both."""

    name: str
    variance: float
    of_sum: Estimate
    of_apart: Estimate


@dataclass(frozen=True)
class Audit:
    """`answers`: by the score fixed beforehand, and by one chosen on one half and judged on the
    other. `chosen`: that one's membership on the other half. `notes` on the sequences."""

    answers: tuple[Used, ...]
    graded: tuple[Graded, ...]
    chosen: Membership | None
    reductions: tuple[Reduction, ...]
    notes: tuple[str, ...]


def audit(data: xr.Dataset, rng: np.random.Generator, n_replicates: int = 1000) -> Audit | None:
    """Everything, from a probe's dataset; None without training or without held-out sequences."""
    there = np.isin(data["split"].values, AUDITED)
    data = data.isel(sequence=np.flatnonzero(there))
    candidate = data["split"].values == AUDITED[0]
    if candidate.all() or not candidate.any():
        return None
    found: Units = units(data["tokens"].values, candidate, int(data.attrs["vocab_size"]), rng)
    data, flags = data.isel(sequence=found.rows), found.is_candidate
    scores = candidates(data)
    fixed = next(iter(scores))
    best, rest = chosen_on_half(scores, flags, rng)
    answers = (
        used(fixed, scores[fixed], flags, rng, n_replicates),
        used(best, scores[best][rest], flags[rest], rng, n_replicates),
    )
    rows = list(calibrated(data)) if has_reference(data) else []
    return Audit(
        answers,
        tuple(_graded(row, flags, rng, n_replicates) for row in rows),
        _membership(best, scores[best][rest], flags[rest], rng, n_replicates),
        tuple(_reduction(row, ~flags, rng, n_replicates) for row in rows),
        tuple(repeats_words(found)),
    )


def _graded(
    row: Calibrated, flags: NDArray[np.bool_], rng: np.random.Generator, n_replicates: int
) -> Graded:
    columns = (row.own, row.gap, row.votes, row.subsets)
    return Graded(
        row.name,
        *(
            None if x is None else _membership(row.name, x, flags, rng, n_replicates)
            for x in columns
        ),
    )


def _membership(
    name: str, score: Floats, flags: NDArray[np.bool_], rng: np.random.Generator, n_replicates: int
) -> Membership | None:
    known = np.isfinite(score)
    sides = score[known & flags], score[known & ~flags]
    if min(map(len, sides)) < 2:
        return None
    return membership(name, *sides, rng, n_replicates)


def _reduction(
    row: Calibrated, held_out: NDArray[np.bool_], rng: np.random.Generator, n_replicates: int
) -> Reduction:
    theirs = row.own - row.gap
    rows = held_out & np.isfinite(row.gap)
    few = rows & np.isfinite(row.apart)
    own = row.own[rows]
    return Reduction(
        row.name,
        float(row.gap[rows].var(ddof=1)) if rows.sum() > 1 else np.nan,
        variance_ratio([row.gap[rows]], [own, theirs[rows]], rng, n_replicates),
        variance_ratio([row.gap[few]], [row.own[few] - row.apart[few]], rng, n_replicates),
    )


def variance_ratio(
    top: list[Floats], bottom: list[Floats], rng: np.random.Generator, n_replicates: int
) -> Estimate:
    """Sum of the variances of `top` over that of `bottom`, columns (n,) of the same sequences, by
    bootstrap over these; NaN with fewer than LEAST_VARIANCE, or where the lower sum is 0."""
    table, n = np.stack([*top, *bottom]), len(top[0])
    if n < LEAST_VARIANCE:
        return Estimate(np.nan, np.nan, np.nan, n)

    def ratio(weights: Floats) -> Floats:
        mean, square = weights @ table.T, weights @ (table**2).T
        spread = np.maximum(square - mean**2, 0.0)
        above, below = spread[:, : len(top)].sum(1), spread[:, len(top) :].sum(1)
        return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)

    table = table - table.mean(1, keepdims=True)
    value = float(ratio(np.full((1, n), 1 / n))[0])
    step, drawn = max(1, _BLOCK // n), []
    for first in range(0, n_replicates, step):
        size = min(step, n_replicates - first)
        drawn.append(ratio(rng.multinomial(n, np.full(n, 1 / n), size) / n))
    low, high = interval(np.concatenate(drawn))
    return Estimate(value, float(low), float(high), n)

"""Rows next to their theory: losses under noise, the end of separability, where entropy drops.

The units of all intervals are independent rows, and training sets of memories: Student's t. The
drop of a memory is the load at which its entropy on training sequences is a fifth of log V; with
the ridge it goes to the critical load, by theory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import t as student

from am_theory.conditional_likelihood import critical_load
from am_theory.conditional_likelihood import rows as theory_rows
from simulations.measure.checks import (
    NOT_DECIDABLE,
    NOT_SUPPORTED,
    SUPPORTED,
    Check,
    Verdict,
)
from simulations.rows.config import Case, RowsConfig, case_name, dimension

Floats = NDArray[np.float64]

LEVEL = 0.2  # of log V
LOSSES = ("train", "heldout")


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Half of the interval."""
        return (self.high - self.low) / 2

    def over(self, scale: float) -> Mean:
        return Mean(self.value / scale, self.low / scale, self.high / scale)


@dataclass(frozen=True)
class Point:
    """A row under noise: inputs, level, load; losses simulated and predicted."""

    size: int
    alpha: float
    load: float
    simulated: dict[str, Mean]
    predicted: dict[str, float]


@dataclass(frozen=True)
class Limit:
    """Largest separable K over (L - 1) (V - 1): by case, of all of them, at infinite L."""

    vocab_size: int
    theory: float
    cases: tuple[tuple[Case, Mean], ...]
    pooled: Mean
    limit: Mean


@dataclass(frozen=True)
class Drop:
    """Where a memory's entropy drops, over the critical load; by theory at this ridge; and the
    load, over the critical one, at which its held-out loss is largest."""

    case: Case
    ridge: float
    measured: Mean
    predicted: float
    peak: float

    @property
    def ratio(self) -> Mean:
        return self.measured.over(self.predicted)


@dataclass(frozen=True)
class RowsAnalysis:
    """All that the report and the figure show."""

    config: RowsConfig
    data: xr.Dataset
    points: list[Point]
    limits: list[Limit]
    drops: list[Drop]
    predicted: dict[int, list[float]]
    checks: list[Check]

    @property
    def carried(self) -> dict[int, Mean]:
        """By V, measured over predicted drop at the weakest ridge, on a line in 1 / (L - 1) at
        infinite L; of one length alone, there."""
        weakest = [drop for drop in self.drops if drop.ridge == min(self.config.ridges)]
        found = {}
        for vocab_size in dict.fromkeys(drop.case[0] for drop in weakest):
            mine = [drop for drop in weakest if drop.case[0] == vocab_size]
            cases = [drop.case for drop in mine]
            line = on_a_line([drop.ratio for drop in mine], cases)
            found[vocab_size] = line if len(mine) > 1 else mine[0].ratio
        return found

    @property
    def verdict(self) -> Verdict:
        """Whether both halves of the conjecture hold within their intervals, widened so that all
        hold together in 95 %, and these are such that an error of a tenth would show."""
        found = [limit.pooled.over(limit.theory) for limit in self.limits]
        found += list(self.carried.values())
        if not all(mean.error < 0.1 for mean in found):
            return NOT_DECIDABLE
        wider = float(ndtri(1 - 0.025 / len(found)) / ndtri(0.975))
        agree = all(abs(mean.value - 1) <= wider * mean.error for mean in found)
        return SUPPORTED if agree else NOT_SUPPORTED


def mean_of(values: Any) -> Mean:
    """Mean of independent values with its interval; none where a value is missing."""
    found = np.asarray(values, dtype=float)
    half = student.ppf(0.975, found.size - 1) * found.std(ddof=1) / np.sqrt(found.size)
    return Mean(float(found.mean()), float(found.mean() - half), float(found.mean() + half))


def crossing(loads: Floats, entropy: Floats, level: float) -> float:
    """Load at which the entropy last rises through a level, NaN beyond the ends."""
    below = np.flatnonzero(entropy < level)
    if below.size == 0 or below[-1] == len(loads) - 1:
        return float("nan")
    k = int(below[-1])
    share = (level - entropy[k]) / (entropy[k + 1] - entropy[k])
    return float(loads[k] + share * (loads[k + 1] - loads[k]))


def training_points(config: RowsConfig, data: xr.Dataset) -> list[Point]:
    """Every row under noise beside its theory."""
    exact = theory_rows(np.array(config.loads), np.array(config.alphas)[:, None])
    points = []
    for size in config.sizes:
        part = data.sel(size=size)
        for i, j in np.ndindex(len(config.alphas), len(config.loads)):
            found = {name: mean_of(part[f"training_{name}"].values[i, j]) for name in LOSSES}
            predicted = {name: float(getattr(exact, name)[i, j]) for name in LOSSES}
            points.append(Point(size, config.alphas[i], config.loads[j], found, predicted))
    return points


def separable_limits(config: RowsConfig, data: xr.Dataset) -> list[Limit]:
    """By vocabulary: weighted least squares on a constant, and on 1 / (L - 1) too."""
    found = []
    for vocab_size in dict.fromkeys(v for v, _ in config.separable):
        cases = [case for case in config.separable if case[0] == vocab_size]
        largest = {c: data["separable_largest"].sel(separable_case=case_name(c)) for c in cases}
        means = [mean_of(largest[case].values / dimension(case)) for case in cases]
        weights = np.sqrt([dimension(case) for case in cases])
        pooled = constant_of(means, weights, np.ones((len(cases), 1)))
        limit = on_a_line(means, cases)
        pairs = tuple(zip(cases, means, strict=True))
        found.append(Limit(vocab_size, critical_load(vocab_size), pairs, pooled, limit))
    return found


def on_a_line(means: list[Mean], cases: list[Case]) -> Mean:
    """Means of cases of one V on a line in 1 / (L - 1), at its end 0."""
    columns = np.stack([np.ones(len(cases)), [1 / (case[1] - 1) for case in cases]], axis=1)
    return constant_of(means, np.sqrt([dimension(case) for case in cases]), columns)


def constant_of(means: list[Mean], weights: Floats, columns: Floats) -> Mean:
    """The first coefficient of a weighted fit; NaN where there are fewer means than columns.

    The weights are not made of the means' own errors, which fall with the means.
    """
    if len(means) < columns.shape[1]:
        return Mean(*(float("nan"),) * 3)
    first = np.linalg.pinv(columns * weights[:, None])[0] * weights
    value = float(first @ np.array([mean.value for mean in means]))
    half = float(np.sqrt(np.square(first * [mean.error for mean in means]).sum()))
    return Mean(value, value - half, value + half)


def theory_drops(config: RowsConfig, data: xr.Dataset) -> dict[int, list[float]]:
    """By vocabulary, where entropy drops by theory at each of `theory_ridges`, on the same grid."""
    loads = np.array(config.relative_loads)
    return {
        vocab_size: [
            crossing(loads, curve, LEVEL * np.log(vocab_size))
            for curve in data["theory_entropy"].sel(vocab_size=vocab_size).values.T
        ]
        for vocab_size in config.vocabularies
    }


def entropy_drops(
    config: RowsConfig, data: xr.Dataset, predicted: dict[int, list[float]]
) -> list[Drop]:
    """Where the entropy of each memory drops at each ridge."""
    loads, drops = np.array(config.relative_loads), []
    for case in config.memories:
        part = data.sel(case=case_name(case))
        for k, ridge in enumerate(config.ridges):
            curves = part["memories_entropy"].values[:, :, k]
            measured = mean_of([crossing(loads, c, LEVEL * np.log(case[0])) for c in curves])
            exact = predicted[case[0]][config.theory_ridges.index(ridge)]
            peak = loads[int(np.argmax(part["memories_heldout"].values[:, :, k].mean(axis=0)))]
            drops.append(Drop(case, ridge, measured, exact, float(peak)))
    return drops


def cover_checks(config: RowsConfig, data: xr.Dataset) -> list[Check]:
    """V = 2: the largest K, less the inputs, counts tosses of a fair coin (Cover 1965)."""
    checks = []
    for case in config.separable:
        if case[0] == 2:
            largest = data["separable_largest"].sel(separable_case=case_name(case)).values
            inputs, count = dimension(case), len(largest)
            error = float(np.sqrt(2 * inputs / count))
            what = f"largest separable K, {case_name(case)}: mean"
            checks.append(Check(what, float(largest.mean()), 2.0 * inputs, error, count))
    return checks


def analyse(config: RowsConfig, data: xr.Dataset, out: Path) -> RowsAnalysis:
    """Everything that follows from the merged data."""
    predicted = theory_drops(config, data)
    return RowsAnalysis(
        config,
        data,
        training_points(config, data),
        separable_limits(config, data),
        entropy_drops(config, data, predicted),
        predicted,
        cover_checks(config, data),
    )

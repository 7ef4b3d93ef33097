"""Rows next to their theory: losses under noise, the end of separability, where entropy drops.

The units of all intervals are independent rows, and training sets of memories and networks:
Student's t. With the ridge, or the noise, the drop goes to the critical load, by theory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.special import ndtri

from am_theory.conditional_likelihood import rows as theory_rows
from simulations.measure.checks import (
    NOT_DECIDABLE,
    NOT_SUPPORTED,
    SUPPORTED,
    Check,
    Verdict,
)
from simulations.rows.config import RowsConfig, case_name
from simulations.rows.drops import (
    Drop,
    NetworkDrop,
    carried,
    carried_networks,
    entropy_drops,
    network_drops,
    theory_drops,
)
from simulations.rows.lengths import STARTS, Fitted, collapse, enough, points_of
from simulations.rows.means import Mean, mean_of
from simulations.rows.separability import (
    Chain,
    Limit,
    bias_gains,
    chain_limits,
    cover_checks,
    separable_limits,
)

LOSSES = ("train", "heldout")
PRECISE = 0.1  # error of a ratio beyond which nothing is decided


@dataclass(frozen=True)
class Point:
    """A row under noise: inputs, level, load; losses simulated and predicted."""

    size: int
    alpha: float
    load: float
    simulated: dict[str, Mean]
    predicted: dict[str, float]


@dataclass(frozen=True)
class RowsAnalysis:
    """All that the report and the figure show."""

    config: RowsConfig
    data: xr.Dataset
    points: list[Point]
    limits: list[Limit]
    gains: list[tuple[int, Mean]]
    chains: list[Chain]
    drops: list[Drop]
    predicted: dict[int, list[float]]
    collapses: dict[tuple[int, str], Fitted]
    networks: list[NetworkDrop]
    checks: list[Check]

    @property
    def carried(self) -> dict[int, Mean]:
        """By V, measured over predicted drop at the ridge that is judged, at infinite L."""
        return carried(self.drops, self.config.judged)

    @property
    def verdict(self) -> Verdict:
        """Whether both halves of the conjecture hold within their intervals."""
        limits = [limit.pooled.over(limit.theory) for limit in self.limits]
        return judged([*limits, *self.carried.values()])

    def network_verdict(self, alone: bool) -> Verdict:
        """Whether the drop of networks is that of theory at every level."""
        return judged(carried_networks(self.networks, alone).values())


def judged(ratios: Iterable[Mean]) -> Verdict:
    """Whether all ratios are 1 within their intervals, widened so that all hold together in 95 %,
    and these are such that an error of a tenth would show."""
    found = list(ratios)
    if not all(mean.error < PRECISE for mean in found):
        return NOT_DECIDABLE
    wider = float(ndtri(1 - 0.025 / len(found)) / ndtri(0.975))
    agree = all(abs(mean.value - 1) <= wider * mean.error for mean in found)
    return SUPPORTED if agree else NOT_SUPPORTED


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


def collapses(config: RowsConfig, data: xr.Dataset) -> dict[tuple[int, str], Fitted]:
    """Of the entropy over log V and the share of rows that hold all, at the weakest ridge, for each
    V and law that there are points enough for."""
    found, loads = {}, np.array(config.relative_loads)
    for vocab_size in config.vocabularies:
        cases = [case for case in config.memories if case[0] == vocab_size]
        for law in STARTS:
            name, unit = ("held", 1.0) if law == "held" else ("entropy", np.log(vocab_size))
            part = data[f"memories_{name}"].sel(ridge=min(config.ridges))
            sets = {case[1] - 1: part.sel(case=case_name(case)).values / unit for case in cases}
            if enough(points_of(sets, loads), law):
                found[vocab_size, law] = collapse(sets, loads, law)
    return found


def analyse(config: RowsConfig, data: xr.Dataset, out: Path) -> RowsAnalysis:
    """Everything that follows from the merged data."""
    predicted = theory_drops(config, data)
    return RowsAnalysis(
        config,
        data,
        training_points(config, data),
        separable_limits(config, data),
        bias_gains(config, data),
        chain_limits(config, data),
        entropy_drops(config, data, predicted),
        predicted,
        collapses(config, data),
        network_drops(config, data),
        cover_checks(config, data),
    )

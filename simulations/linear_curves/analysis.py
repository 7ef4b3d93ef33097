"""The linear denoiser's curves next to their theory: deviations, crossings, exact checks.

The theory is exact for K and d = L (V - 1) to infinity at fixed K / d, so deviations at finite d
are findings. Exact at every size, and checked: the averages over noise, the end of gradient flow,
E_train <= 1 - alpha^2 <= E_test, and that no decoder beats keeping every token of an unseen
sequence of independent uniform tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import linear
from models.streams import stream
from simulations.linear_curves.config import SPLITS, LinearConfig, dimension, train_sizes
from simulations.measure.bootstrap import bootstrap_ratio, interval, standard_error
from simulations.measure.checks import Check, Row, check_mean, compare
from simulations.measure.passage import crossing_size

Floats = NDArray[np.float64]

Tokens = Literal["all", "corrupted"]
Criterion = Literal["corrupted_recovery", "recovery_gap", "error_gap"]
MEASURES = ("error", "all", "corrupted")
QUANTITIES = tuple((measure, split) for measure in MEASURES for split in SPLITS)
NAMES = {"error": "error", "all": "all-token recovery", "corrupted": "corrupted recovery"}
CRITERIA: dict[Criterion, tuple[str, float]] = {
    "corrupted_recovery": ("corrupted train recovery = 1/2", 0.5),
    "recovery_gap": ("all-token recovery, train - test = 0.01", 0.01),
    "error_gap": ("error, test - train = 0.05", 0.05),
}


@dataclass(frozen=True)
class Measured:
    """Means over training sets with 95 % intervals, standard errors and theory, all one shape."""

    estimate: Floats
    low: Floats
    high: Floats
    error: Floats
    predicted: Floats

    @property
    def deviation(self) -> Floats:
        return self.estimate - self.predicted


@dataclass(frozen=True)
class Crossing:
    """K / d at which two curves meet: simulated, theory on the same grid, theory exactly."""

    what: str
    simulated: float
    low: float
    high: float
    on_grid: float
    exact: float


@dataclass(frozen=True)
class LinearAnalysis:
    """All that is reported of a run.

    curves: of each case, (ratio, quantity), quantities as QUANTITIES. draws: (ridge, ratio,
    (seen, test)) for one noise draw; flow: (size, time, (train, test)), the last time infinite.
    """

    config: LinearConfig
    data: xr.Dataset
    curves: list[Measured]
    draws: Measured
    flow: Measured
    crossings: list[list[Crossing]]
    checks: list[Check]


def measured(
    top: Floats, bottom: Floats | float, predicted: Floats, replicates: Floats
) -> Measured:
    low, high = interval(replicates)
    return Measured(
        top.sum(0) / np.broadcast_to(bottom, top.shape).sum(0),
        low,
        high,
        standard_error(replicates),
        predicted,
    )


def analyse(config: LinearConfig, data: xr.Dataset) -> LinearAnalysis:
    """Everything that is derived from the merged data; `data` as `linear_curves.merge` gives it."""
    curves, crossings = [], []
    for index in range(len(config.cases)):
        found, replicates = _case(config, data.isel(case=index), index)
        curves.append(found)
        crossings.append(_crossings(config, index, found, replicates))
    return LinearAnalysis(
        config,
        data,
        curves,
        _draws(config, data),
        _flow(config, data),
        crossings,
        exact_checks(config, data),
    )


def _counts(part: xr.Dataset) -> tuple[Floats, Floats]:
    """Numerators and denominators, (seed, ratio, quantity)."""
    pairs = {
        "error": (part["error"], xr.ones_like(part["error"])),
        "all": (part["right"], part["tokens"]),
        "corrupted": (part["recovered"], part["corrupted"]),
    }
    top, bottom = (
        np.stack(
            [
                pairs[measure][k].sel(split=split).transpose("seed", "ratio").values
                for measure, split in QUANTITIES
            ],
            axis=-1,
        ).astype(float)
        for k in (0, 1)
    )
    return top, bottom


def _case(config: LinearConfig, part: xr.Dataset, index: int) -> tuple[Measured, Floats]:
    vocab_size, seq_len, alpha = case = config.cases[index]
    problem: Any = (train_sizes(case, config.ratios), seq_len, vocab_size, alpha)
    errors = linear.errors(*problem)
    splits: tuple[Literal["train", "test"], ...] = ("train", "test")
    kinds: tuple[Tokens, ...] = ("all", "corrupted")
    predicted = [errors.train, errors.heldout]
    predicted += [
        linear.token_recovery(*problem, tokens=tokens, split=split)
        for tokens in kinds
        for split in splits
    ]
    top, bottom = _counts(part)
    rng = stream(config.root_seed, "bootstrap", *case)
    _, replicates = bootstrap_ratio(rng, top, bottom, np.arange(len(top)), config.replicates)
    return measured(top, bottom, np.stack(predicted, axis=-1), replicates), replicates


def _crossings(
    config: LinearConfig, index: int, found: Measured, replicates: Floats
) -> list[Crossing]:
    vocab_size, seq_len, alpha = config.cases[index]
    ratios = np.array(train_sizes(config.cases[index], config.ratios)) / dimension(
        config.cases[index]
    )

    def curve(table: Floats, criterion: Criterion) -> Floats:
        column = {q: table[..., k] for k, q in enumerate(QUANTITIES)}
        if criterion == "corrupted_recovery":
            return column["corrupted", "train"]
        if criterion == "recovery_gap":
            return column["all", "train"] - column["all", "test"]
        return column["error", "test"] - column["error", "train"]

    crossings = []
    for criterion, (words, level) in CRITERIA.items():
        simulated, on_grid, spread = (
            crossing_size(ratios, curve(table, criterion), level)
            for table in (found.estimate, found.predicted, replicates)
        )
        low, high = interval(spread)
        exact = linear.convergence_size(seq_len, vocab_size, alpha, criterion=criterion).ratio
        ends = (float(simulated), float(low), float(high), float(on_grid))
        crossings.append(Crossing(words, *ends, float(exact)))
    return crossings


def _pair(config: LinearConfig, values: Floats, predicted: Floats, *names: object) -> Measured:
    """Plain means of `values` (seed, ...)."""
    rng = stream(config.root_seed, "bootstrap", *names)
    ones = np.ones_like(values)
    _, replicates = bootstrap_ratio(rng, values, ones, np.arange(len(values)), config.replicates)
    return measured(values, 1.0, predicted, replicates)


def _draws(config: LinearConfig, data: xr.Dataset) -> Measured:
    """One draw only; NaN throughout where the run has no single-draw fits."""
    vocab_size, seq_len, alpha = config.draws_case
    sizes, ridges = train_sizes(config.draws_case, config.draws_ratios), np.array(config.ridges)
    errors = linear.one_draw_errors(sizes, seq_len, vocab_size, alpha, ridges[:, None])
    predicted = np.stack([errors.train, errors.heldout], axis=-1)
    if 1 not in config.draws:
        nothing = np.full_like(predicted, np.nan)
        return Measured(nothing, nothing, nothing, nothing, predicted)
    part = data.sel(draws=1).transpose("seed", "ridge", "draws_ratio", ...)
    values = np.stack([part["seen"].values, part["test"].values], axis=-1)
    return _pair(config, values, predicted, "draws")


def _flow(config: LinearConfig, data: xr.Dataset) -> Measured:
    vocab_size, seq_len, alpha = config.flow_case
    sizes, times = np.array(config.flow_sizes)[:, None], np.array(config.times)
    at, end = (
        linear.training_errors(sizes, seq_len, vocab_size, alpha, times),
        linear.errors(sizes, seq_len, vocab_size, alpha),
    )
    predicted = np.stack(
        [np.hstack([at.train, end.train]), np.hstack([at.heldout, end.heldout])], axis=-1
    )
    part = data.transpose("seed", "flow_size", "time", ...)
    values = np.stack([part["flow_train"].values, part["flow_test"].values], axis=-1)
    return _pair(config, values, predicted, "flow")


def rows(analysis: LinearAnalysis) -> list[Row]:
    """Every point of every curve against its theory; findings, which never fail a run."""
    config = analysis.config
    found: list[Row] = []

    def add(names: list[str], part: Measured) -> None:
        flat = zip(
            names,
            *(table.ravel() for table in (part.estimate, part.predicted, part.low, part.high)),
            strict=True,
        )
        found.extend(compare(n, s, p, low - p, high - p) for n, s, p, low, high in flat)

    for (vocab_size, seq_len, alpha), part in zip(config.cases, analysis.curves, strict=True):
        label = f"V={vocab_size} L={seq_len} alpha={alpha:g}"
        add(
            [
                f"{label} x={x:g}: {NAMES[measure]}, {split}"
                for x in config.ratios
                for measure, split in QUANTITIES
            ],
            part,
        )
    if 1 in config.draws:
        add(
            [
                f"one draw, ridge={ridge:g} x={x:g}: error, {split}"
                for ridge in config.ridges
                for x in config.draws_ratios
                for split in ("seen noise", "test")
            ],
            analysis.draws,
        )
    add(
        [
            f"training time, K={size} tau={tau:g}: error, {split}"
            for size in config.flow_sizes
            for tau in (*config.times, np.inf)
            for split in SPLITS
        ],
        analysis.flow,
    )
    return found


def exact_checks(config: LinearConfig, data: xr.Dataset) -> list[Check]:
    """What holds exactly at every size; a training set at a ratio is one unit."""
    checks = []
    for index, (vocab_size, seq_len, alpha) in enumerate(config.cases):
        part = data.isel(case=index)
        label = f"V={vocab_size} L={seq_len} alpha={alpha:g}: "
        for split in SPLITS:
            one = part.sel(split=split)
            gap = (one["drawn_error"] - one["query_error"]).values.ravel()
            name = f"{label}error on drawn {split} noise - its exact average"
            checks.append(check_mean(name, gap, 0.0))
        kept = 1 - alpha**2
        train = float(part["error"].sel(split="train").max())
        test = float(part["error"].sel(split="test").min())
        checks += [
            _bound(f"{label}largest E_train <= 1 - alpha^2", train, min(train, kept)),
            _bound(f"{label}smallest E_test >= 1 - alpha^2", test, max(test, kept)),
        ]
        unseen = part.sel(split="test")
        gap = ((unseen["right"] + unseen["corrupted"]) / unseen["tokens"] - 1).values.ravel()
        found = check_mean(f"{label}test recovery - tokens kept <= 0", gap, 0.0)
        exact = min(found.simulated, 0.0)
        checks.append(Check(found.name, found.simulated, exact, found.standard_error, found.sets))
    for index, size in enumerate(config.flow_sizes):
        part = data.isel(flow_size=index)
        largest = float(part["gap_to_end"].max())
        checks.append(
            _bound(f"K={size}: largest entry of W(tau = inf) - W of the regression", largest, 0.0)
        )
        rise = float(part["flow_train"].diff("time").max())
        name = f"K={size}: largest rise of E_train in time <= 0"
        checks.append(_bound(name, rise, min(rise, 0.0)))
    return checks


def _bound(name: str, value: float, exact: float) -> Check:
    """A comparison without any spread; it agrees to 1e-12."""
    return Check(name, value, exact, 0.0, 1)

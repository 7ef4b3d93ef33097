"""The linear denoiser's curves next to their theory: deviations, crossings, exact checks.

The theory is exact for K and d = L (V - 1) to infinity at fixed K / d, so deviations at finite d
are findings. Exact at every size, and checked: the averages over noise, the end of gradient flow,
E_train <= 1 - alpha^2 <= E_test, and that no decoder beats keeping every token of an unseen
sequence of independent uniform tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from am_theory import linear
from models.streams import stream
from simulations.linear_curves.config import (
    SPLITS,
    Case,
    LinearConfig,
    case_name,
    dimension,
    train_sizes,
)
from simulations.measure.bootstrap import bootstrap_ratio, interval, standard_error
from simulations.measure.checks import Check, Row, check_mean, compare
from simulations.measure.passage import crossing_size

Floats = NDArray[np.float64]

Quantity = tuple[str, str]
Criterion = Literal["corrupted_recovery", "recovery_gap", "error_gap"]
COUNTED = {"error": ("error", "one"), "all": ("right", "tokens")}
COUNTED["corrupted"] = ("recovered", "corrupted")  # numerator and denominator of each measure
MEASURES = tuple(COUNTED)
QUANTITIES: tuple[Quantity, ...] = tuple((m, split) for m in MEASURES for split in SPLITS)
NAMES = {"error": "error", "all": "all-token recovery", "corrupted": "corrupted recovery"}
# in words, level, and the quantity that passes it (less the other one)
CRITERIA: dict[Criterion, tuple[str, float, tuple[Quantity, ...]]] = {
    "corrupted_recovery": ("corrupted train recovery = 1/2", 0.5, (("corrupted", "train"),)),
    "recovery_gap": (
        "all-token recovery, train - test = 0.01",
        0.01,
        (("all", "train"), ("all", "test")),
    ),
    "error_gap": ("error, test - train = 0.05", 0.05, (("error", "test"), ("error", "train"))),
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


def theory(case: Case, sizes: ArrayLike, measure: str) -> tuple[Any, Any]:
    """Train and test values of a measure at these K, for infinitely many dimensions."""
    vocab_size, seq_len, alpha = case
    if measure == "error":
        errors = linear.errors(sizes, seq_len, vocab_size, alpha)
        return errors.train, errors.heldout
    kind: Any = measure
    problem: Any = (sizes, seq_len, vocab_size, alpha)
    train, test = (linear.token_recovery(*problem, tokens=kind, split=s) for s in SPLITS)
    return train, test


def ratios(case: Case, wanted: tuple[float, ...]) -> Floats:
    """K / d of the points of a case, K rounded."""
    return np.array(train_sizes(case, wanted)) / dimension(case)


def analyse(config: LinearConfig, data: xr.Dataset, _: Path | None = None) -> LinearAnalysis:
    """Everything that is derived from the merged data; `data` as `linear_curves.merge` gives it."""
    curves, crossings = [], []
    for index, case in enumerate(config.cases):
        found, replicates = _curves(config, data.isel(case=index), case)
        curves.append(found)
        crossings.append(_crossings(config, case, found, replicates))
    ends = _draws(config, data), _flow(config, data)
    return LinearAnalysis(config, data, curves, *ends, crossings, exact_checks(config, data))


def _measured(
    config: LinearConfig, top: Floats, bottom: Floats, predicted: Floats, *names: object
) -> tuple[Measured, Floats]:
    """Ratios of sums over the first axis, training sets, and their bootstrap replicates."""
    rng = stream(config.root_seed, "bootstrap", *names)
    _, replicates = bootstrap_ratio(rng, top, bottom, np.arange(len(top)), config.replicates)
    ends = (*interval(replicates), standard_error(replicates))
    return Measured(top.sum(0) / bottom.sum(0), *ends, predicted), replicates


def _curves(config: LinearConfig, part: xr.Dataset, case: Case) -> tuple[Measured, Floats]:
    part = part.assign(one=xr.ones_like(part["error"])).transpose("seed", "ratio", ...)
    columns = [[part[name].sel(split=s) for name in COUNTED[m]] for m, s in QUANTITIES]
    top, bottom = (
        np.stack([column.values for column in pair], axis=-1).astype(float)
        for pair in zip(*columns, strict=True)
    )
    sizes = train_sizes(case, config.ratios)
    predicted = [curve for measure in MEASURES for curve in theory(case, sizes, measure)]
    return _measured(config, top, bottom, np.stack(predicted, axis=-1), *case)


def _crossings(
    config: LinearConfig, case: Case, found: Measured, replicates: Floats
) -> list[Crossing]:
    vocab_size, seq_len, alpha = case
    crossings = []
    for criterion, (words, level, quantities) in CRITERIA.items():
        columns = [QUANTITIES.index(quantity) for quantity in quantities]
        simulated, on_grid, spread = (
            crossing_size(
                ratios(case, config.ratios),
                reduce(np.subtract, [table[..., column] for column in columns]),
                level,
            )
            for table in (found.estimate, found.predicted, replicates)
        )
        exact = linear.convergence_size(seq_len, vocab_size, alpha, criterion=criterion).ratio
        values = (simulated, *interval(spread), on_grid, exact)
        crossings.append(Crossing(words, *(float(value) for value in values)))
    return crossings


def _means(
    config: LinearConfig, part: xr.Dataset, names: Quantity, predicted: Floats, word: str
) -> Measured:
    """Means over seeds of two variables (seed, ...), along the last axis of the result."""
    values = np.stack([part[name].values for name in names], axis=-1)
    return _measured(config, values, np.ones_like(values), predicted, word)[0]


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
    return _means(config, part, ("seen", "test"), predicted, "draws")


def _flow(config: LinearConfig, data: xr.Dataset) -> Measured:
    vocab_size, seq_len, alpha = config.flow_case
    sizes, times = np.array(config.flow_sizes)[:, None], np.array(config.times)
    at = linear.training_errors(sizes, seq_len, vocab_size, alpha, times)
    end = linear.errors(sizes, seq_len, vocab_size, alpha)
    pairs = (np.hstack([at.train, end.train]), np.hstack([at.heldout, end.heldout]))
    part = data.transpose("seed", "flow_size", "time", ...)
    return _means(config, part, ("flow_train", "flow_test"), np.stack(pairs, axis=-1), "flow")


def _named(analysis: LinearAnalysis) -> Iterator[tuple[list[str], Measured]]:
    """Every table that theory has a value for, with names of its entries in their order."""
    config = analysis.config
    for case, part in zip(config.cases, analysis.curves, strict=True):
        label = case_name(case)
        entries = product(config.ratios, QUANTITIES)
        yield [f"{label} x={x:g}: {NAMES[m]}, {split}" for x, (m, split) in entries], part
    if 1 in config.draws:
        fits = product(config.ridges, config.draws_ratios, ("seen noise", "test"))
        names = [f"one draw, ridge={ridge:g} x={x:g}: error, {split}" for ridge, x, split in fits]
        yield names, analysis.draws
    runs = product(config.flow_sizes, (*config.times, np.inf), SPLITS)
    names = [f"training time, K={size} tau={tau:g}: error, {split}" for size, tau, split in runs]
    yield names, analysis.flow


def rows(analysis: LinearAnalysis) -> list[Row]:
    """Every point of every curve against its theory; findings, which never fail a run."""
    return [
        compare(name, simulated, predicted, low - predicted, high - predicted)
        for names, part in _named(analysis)
        for name, simulated, predicted, low, high in zip(
            names,
            *(table.ravel() for table in (part.estimate, part.predicted, part.low, part.high)),
            strict=True,
        )
    ]


def exact_checks(config: LinearConfig, data: xr.Dataset) -> list[Check]:
    """What holds exactly at every size; a training set at a ratio is one unit."""
    checks = []
    for index, case in enumerate(config.cases):
        label, kept = f"{case_name(case)}: ", 1 - case[2] ** 2
        parts = {split: data.isel(case=index).sel(split=split) for split in SPLITS}
        for split, part in parts.items():
            gap = (part["drawn_error"] - part["query_error"]).values.ravel()
            name = f"{label}error on drawn {split} noise - its exact average"
            checks.append(check_mean(name, gap, 0.0))
        train, test = float(parts["train"]["error"].max()), float(parts["test"]["error"].min())
        unseen = parts["test"]
        gap = ((unseen["right"] + unseen["corrupted"]) / unseen["tokens"] - 1).values.ravel()
        found = check_mean(f"{label}test recovery - tokens kept <= 0", gap, 0.0)
        checks += [
            _bound(f"{label}largest E_train <= 1 - alpha^2", train, min(train, kept)),
            _bound(f"{label}smallest E_test >= 1 - alpha^2", test, max(test, kept)),
            replace(found, exact=min(found.simulated, 0.0)),
        ]
    for index, size in enumerate(config.flow_sizes):
        part = data.isel(flow_size=index)
        end, rise = float(part["gap_to_end"].max()), float(part["flow_train"].diff("time").max())
        checks += [
            _bound(f"K={size}: largest entry of W(tau = inf) - W of the regression", end, 0.0),
            _bound(f"K={size}: largest rise of E_train in time <= 0", rise, min(rise, 0.0)),
        ]
    return checks


def _bound(name: str, value: float, exact: float) -> Check:
    """A comparison without any spread; it agrees to 1e-12."""
    return Check(name, value, exact, 0.0, 1)

"""The random-feature study next to its theory: deviations, their decrease in d, exact checks.

The theory is for d = L (V - 1) to infinity at fixed K / d and p / d, so deviations at finite d are
findings. What holds exactly at every size is checked: errors by second moments are errors counted;
the loss of a fit is no larger than that of its skip alone; no loss rises in time; on unseen
sequences of independent uniform tokens no error is below 1 - alpha^2 in the mean, and no decoder
beats keeping every token.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import random_feature_denoiser as theory
from am_theory.linear import circulant_chain_spectrum
from models.streams import stream
from simulations.measure.bootstrap import bootstrap_ratio, interval, standard_error
from simulations.measure.checks import Check, Row, check_mean, compare
from simulations.measure.passage import crossing_size
from simulations.random_features.config import FeatureConfig, Point, points

Floats = NDArray[np.float64]

# numerator, denominator and split of each measured quantity, and its name in tables
QUANTITIES = {
    "train error": ("error", "one", "train"),
    "test error": ("error", "one", "test"),
    "error on seen noise": ("seen", "one", "train"),
    "train recovery": ("right", "tokens", "train"),
    "test recovery": ("right", "tokens", "test"),
    "corrupted train recovery": ("recovered", "corrupted", "train"),
    "corrupted test recovery": ("recovered", "corrupted", "test"),
}
NAMES = tuple(QUANTITIES)
SHRINKING = ("train error", "test error", "train recovery", "corrupted train recovery")
SLOPES = np.linspace(-1, 4, 501)  # of log deviation on log d, tried
IN_RANGE = 0.05  # p / (K d) up to which theory claims to hold
ROUNDING = 1e-9


@dataclass(frozen=True)
class Measured:
    """Means over training sets, intervals, standard errors and theory: (point, quantity).

    replicates : (replicate, point, quantity), independent between points.
    """

    estimate: Floats
    low: Floats
    high: Floats
    error: Floats
    predicted: Floats
    replicates: Floats

    @property
    def deviation(self) -> Floats:
        return self.estimate - self.predicted


@dataclass(frozen=True)
class Decrease:
    """Deviations of one quantity of a case over d; s of the power 1 / d^s that is closest, and the
    expansion c / d + e / d^2, with its weighted sum of squares left over."""

    case: int
    quantity: str
    dimensions: list[int]
    deviation: list[float]
    error: list[float]
    slope: float
    low: float
    high: float
    first: float  # c
    first_low: float
    first_high: float
    second: float  # e
    misfit: float


@dataclass(frozen=True)
class Crossing:
    """K / d at which the train error is half of its limit: simulated, theory on the same grid, and
    theory exactly, for infinitely many draws."""

    case: int
    simulated: float
    low: float
    high: float
    on_grid: float
    exact: float


@dataclass(frozen=True)
class FeatureAnalysis:
    """All that is reported of a run; `points` in the order of the rows of `measured`."""

    config: FeatureConfig
    data: xr.Dataset
    points: list[Point]
    measured: Measured
    decreases: list[Decrease]
    crossings: list[Crossing]
    checks: list[Check]

    def places(self, panel: str, group: int | None = None) -> list[int]:
        """Rows of a panel, or of one curve of it."""
        return [
            i
            for i, point in enumerate(self.points)
            if point.panel == panel and group in (None, point.group)
        ]


@lru_cache(maxsize=4096)  # the figure asks twice
def predicted(point: Point) -> tuple[float, ...]:
    """Theory of every quantity, at the same number of draws; NaN where there is none."""
    place: Any = (point.train_size, point.n_features, point.seq_len, point.vocab_size, point.alpha)
    skip: Any = point.skip if point.skip in ("fit", "full") else float(point.skip)
    common: Any = {"activation": point.activation, "skip": skip, "draws": point.draws}
    if point.redraw:
        spectrum = circulant_chain_spectrum(point.seq_len, point.vocab_size, point.redraw)
        common["spectrum"] = spectrum
    errors: Any
    if point.time < math.inf:
        errors = theory.training_errors(*(*place, point.time), **common)
    else:
        errors = theory.errors(*place, ridge=point.ridge, **common)
    found = [errors.train, errors.heldout, errors.seen]
    if point.redraw:
        return (*found, *[math.nan] * 4)
    common |= {"ridge": point.ridge, "time": point.time}
    which: Any = ("all", "train"), ("all", "test"), ("corrupted", "train"), ("corrupted", "test")
    for tokens, split in which:
        found.append(theory.token_recovery(*place, tokens=tokens, split=split, **common))
    return tuple(found)


def analyse(config: FeatureConfig, data: xr.Dataset, _: Path | None = None) -> FeatureAnalysis:
    """Everything that is derived from the merged data; `data` as `study.merge` gives it."""
    here = points(config)
    measured = _measure(config, data, here)
    return FeatureAnalysis(
        config,
        data,
        here,
        measured,
        list(_decreases(config, here, measured)),
        list(_crossings(config, here, measured)),
        exact_checks(here, data),
    )


def _measure(config: FeatureConfig, data: xr.Dataset, here: list[Point]) -> Measured:
    data = data.assign(one=xr.ones_like(data["error"]))
    data["seen"] = data["seen"].expand_dims(split=data["split"])
    replicates, estimates = [], []
    for i, point in enumerate(here):
        part = data.isel(point=i).dropna("seed", subset=["tokens"])
        top, bottom = (
            np.stack([part[row[k]].sel(split=row[2]).values for row in QUANTITIES.values()], -1)
            for k in (0, 1)
        )
        rng = stream(config.root_seed, "bootstrap", *point)
        own, draws = bootstrap_ratio(rng, top, bottom, np.arange(len(top)), config.replicates)
        estimates.append(own)
        replicates.append(draws)
    table = np.stack(replicates, axis=1)
    values = np.array([predicted(point) for point in here])
    return Measured(np.array(estimates), *interval(table), standard_error(table), values, table)


def _decreases(config: FeatureConfig, here: list[Point], found: Measured) -> Iterator[Decrease]:
    n = len(config.lengths)
    places = [i for i, point in enumerate(here) if point.panel == "sizes"]
    for case, quantity in ((c, q) for c in range(len(config.size_cases)) for q in SHRINKING):
        rows, k = places[case * n : (case + 1) * n], NAMES.index(quantity)
        d = np.array([here[i].dimension for i in rows])
        gaps = found.replicates[:, rows, k] - found.predicted[rows, k]
        own, error = found.deviation[rows, k], found.error[rows, k]
        slope, spread = power(d, own[None], error)[0], power(d, gaps, error)
        orders = np.stack([1 / d, 1 / d**2], axis=1) / error[:, None]
        inverse = np.linalg.pinv(orders)
        first, second = inverse @ (own / error)
        left = own / error - orders @ [first, second]
        low, high = interval(np.stack([spread, (gaps / error) @ inverse[0]], axis=1))
        ends = (slope, low[0], high[0], first, low[1], high[1], second, left @ left)
        numbers = (float(value) for value in ends)
        yield Decrease(case, quantity, d.tolist(), own.tolist(), error.tolist(), *numbers)


def power(d: Any, deviation: Floats, error: Floats) -> Floats:
    """s of c / d^s closest to each row of `deviation` (rows, sizes) by weighted least squares."""
    curves = (np.asarray(d) / d[0])[None] ** -SLOPES[:, None] / error  # (slopes, sizes)
    scaled = deviation / error
    part = (scaled @ curves.T) ** 2 / (curves**2).sum(1)  # of |scaled|^2 that the curve takes off
    best: Floats = SLOPES[part.argmax(1)]
    return best


def _crossings(config: FeatureConfig, here: list[Point], found: Measured) -> Iterator[Crossing]:
    """Of the train error of every curve, which rises with K."""
    for group in range(len(config.cases)):
        rows = [i for i, p in enumerate(here) if (p.panel, p.group) == ("curves", group)]
        point = here[rows[0]]
        skip: Any = point.skip if point.skip in ("fit", "full") else float(point.skip)
        place: Any = (point.n_features, point.seq_len, point.vocab_size, point.alpha)
        kind: Any = {"activation": point.activation, "skip": skip, "ridge": point.ridge}
        exact = theory.convergence_size(*place, criterion="half_error", **kind).ratio
        limit = theory.errors(1.0, *place, **kind).limit
        x = np.array([here[i].train_size for i in rows]) / point.dimension
        simulated, on_grid, spread = (
            crossing_size(x, table, limit / 2, "rising")
            for table in (
                found.estimate[rows, 0],
                found.predicted[rows, 0],
                found.replicates[:, rows, 0],
            )
        )
        low, high = interval(spread)
        values = (float(value) for value in (simulated, low, high, on_grid, exact))
        yield Crossing(group, *values)


def label(point: Point) -> str:
    """A point in words."""
    words = f"{point.panel}: {point.activation}, skip {point.skip}, alpha={point.alpha:g}"
    words += f" d={point.dimension} p={point.n_features} K={point.train_size} n={point.draws}"
    return words + (f" tau={point.time:g}" if point.time < math.inf else "")


def rows(analysis: FeatureAnalysis) -> list[Row]:
    """Every measured number that theory has a value for; findings, which never fail a run."""
    part = analysis.measured
    return [
        compare(f"{label(point)}: {name}", value, exact, low - exact, high - exact)
        for i, point in enumerate(analysis.points)
        for name, value, exact, low, high in zip(
            NAMES, part.estimate[i], part.predicted[i], part.low[i], part.high[i], strict=True
        )
        if not math.isnan(exact)
    ]


def exact_checks(here: list[Point], data: xr.Dataset) -> list[Check]:
    """What holds exactly at every size; a training set is one unit."""
    counted = np.nanmax(np.abs(data["counted_seen"].values - data["seen"].values), axis=1)
    loss = (data["seen"] + data["penalty"]).values
    checks = []
    for (panel, group), members in groupby(range(len(here)), lambda i: here[i][:2]):
        mine = list(members)
        name, alpha = f"{panel} {group}: ", here[mine[0]].alpha
        worst = float(counted[mine].max())
        checks.append(_bound(f"{name}errors by moments - counted, largest", worst, ROUNDING))
        rise = float(np.nanmax(loss[mine])) - 1
        if here[mine[0]].skip in ("0", "fit", "full"):
            checks.append(_bound(f"{name}loss of a fit - loss of the output 0", rise, ROUNDING))
        if panel == "flow":
            rise = float(np.nanmax(np.diff(loss[mine], axis=0)))
            checks.append(_bound(f"{name}largest rise of the loss in time", rise, ROUNDING))
        if here[mine[0]].redraw:
            continue
        part = data.isel(point=mine).sel(split="test")
        gap = (part["error"] - (1 - alpha**2)).values.ravel()
        found = check_mean(f"{name}test error - (1 - alpha^2) >= 0", gap[~np.isnan(gap)], 0.0)
        checks.append(replace(found, exact=max(found.simulated, 0.0)))
        gap = ((part["right"] + part["corrupted"]) / part["tokens"] - 1).values.ravel()
        found = check_mean(f"{name}test recovery - tokens kept <= 0", gap[~np.isnan(gap)], 0.0)
        checks.append(replace(found, exact=min(found.simulated, 0.0)))
    return checks


def _bound(name: str, value: float, most: float) -> Check:
    """A comparison without spread: kept up to rounding, it shows the number itself as exact."""
    return Check(name, value, value if value <= most else 0.0, 0.0, 1)

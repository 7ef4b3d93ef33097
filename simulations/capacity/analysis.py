"""From the cells of `capacity` to critical loads with intervals, and their gaps to theory.

At one size the half-load is where half of the starting patterns still end above the threshold of
their family (`config.threshold`): isotonic in the load, linear between loads. A mean
overlap would be biased upwards, as states beyond the critical load decay only partly at small
sizes. Half-loads are carried on to infinite size along a + b / sqrt(N) and a + b / N.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import bdtr

from am_theory import pseudolikelihood, random_features
from models.streams import stream
from simulations.capacity.config import (
    FAMILIES,
    LABELS,
    CapacityConfig,
    critical_load,
    critical_overlap,
    load_unit,
    retrieval_overlap,
    threshold,
)
from simulations.measure.bootstrap import interval
from simulations.measure.checks import Check, Row, compare
from simulations.measure.radius import basin_radius

Floats = NDArray[np.float64]

FORMS = {"1/sqrt(N)": 0.5, "1/N": 1.0}  # finite-size corrections tried
KINDS = ("stored", "feature", "unseen")


@dataclass(frozen=True)
class Extrapolation:
    """a + b N^-power through half-loads: the limit a with its 95 % interval, the slope b, and
    chi^2 over `freedom` degrees of freedom; NaN with fewer than three sizes."""

    value: float
    low: float
    high: float
    slope: float
    chi2: float
    freedom: int


@dataclass(frozen=True)
class Capacity:
    """Half-loads of a family by size, in its own units of load, and their limits by form."""

    name: str
    theory: float
    sizes: tuple[int, ...]
    half: Floats
    low: Floats
    high: Floats
    limits: dict[str, Extrapolation]

    @property
    def best(self) -> str:
        """The form of the smaller chi^2; the first where none is defined."""
        return min(self.limits, key=lambda form: np.nan_to_num(self.limits[form].chi2, nan=np.inf))

    @property
    def span(self) -> tuple[float, float]:
        """From the lowest to the highest end of the intervals of all forms: the form is not
        known, and neither describes all sizes."""
        ends = [(limit.low, limit.high) for limit in self.limits.values()]
        return float(np.min(ends)), float(np.max(ends))


@dataclass(frozen=True)
class CapacityAnalysis:
    """All that the report and the figure show."""

    config: CapacityConfig
    data: xr.Dataset
    capacities: dict[str, Capacity]
    strict: dict[str, Capacity]
    rows: list[Row]
    checks: list[Check]
    unsettled: dict[str, int]


def resample(config: CapacityConfig, *names: object) -> Any:
    """Indices (replicates, sets): pattern sets drawn with replacement."""
    rng = stream(config.root_seed, "bootstrap", *names)
    return rng.integers(config.sets, size=(config.replicates, config.sets))


def crossing(loads: Floats, share: Floats) -> Floats:
    """Load at which a share (..., n) falls through one half; infinite beyond the loads' ends."""
    return basin_radius(loads / loads[-1], share, 0.5) * loads[-1]


def fixed_points(data: xr.Dataset, family: str, size: int) -> tuple[Any, Any]:
    """Overlaps (set, load, start) of the fixed points reached at the loads that were run, NaN of
    retrievals without one; and which loads these are."""
    part = data.sel({f"{family}_size": size})
    overlap = np.where(part[f"{family}_converged"], part[f"{family}_overlap"], np.nan)
    run = np.isfinite(overlap).any(axis=(0, 2))
    return overlap[:, run], run


def extrapolate(sizes: Any, half: Floats, copies: Floats, power: float) -> Extrapolation:
    """Weighted least squares of half-loads (n,) on N^-power; copies (R, n) give the interval."""
    error = np.array([np.std(c[np.isfinite(c)]) if np.isfinite(c).any() else 0 for c in copies.T])
    inside = np.isfinite(half) & (error > 0)
    if inside.sum() < 3:
        return Extrapolation(*(np.nan,) * 5, 0)
    x = np.stack([np.ones(inside.sum()), np.asarray(sizes, float)[inside] ** -power], axis=1)
    weights = 1 / error[inside]
    solve = np.linalg.pinv(x * weights[:, None])
    fit = solve @ (half[inside] * weights)
    usable = np.isfinite(copies[:, inside]).all(axis=1)
    limits = (copies[usable][:, inside] * weights) @ solve[0]
    chi2 = float((((half[inside] - x @ fit) * weights) ** 2).sum())
    low, high = (float(v) for v in interval(limits))
    return Extrapolation(float(fit[0]), low, high, float(fit[1]), chi2, int(inside.sum()) - 2)


def family_capacity(
    config: CapacityConfig, data: xr.Dataset, family: str, level: float
) -> Capacity:
    """Half-loads and limits of one family for patterns that end above `level`."""
    found = []
    for size in config.sizes(family):
        overlap, run = fixed_points(data, family, size)
        kept, all_ = (overlap > level).sum(axis=2), np.isfinite(overlap).sum(axis=2)
        stored = data[f"{family}_train_size"].sel({f"{family}_size": size}).values[run]
        loads, index = stored / load_unit(family, size), resample(config, family, size)
        copies = crossing(loads, kept[index].sum(1) / all_[index].sum(1))
        found.append((float(crossing(loads, kept.sum(0) / all_.sum(0))), copies))
    return _capacity(LABELS[family], critical_load(family), config.sizes(family), found, FORMS)


def existence_capacity(config: CapacityConfig, data: xr.Dataset) -> Capacity:
    """Mean over rows of the largest K that couplings hold, over N: 2 - 2/N by Cover's count, so
    that the form of the correction is known."""
    found = []
    for size in config.existence:
        held = data["existence_held"].sel(existence_size=size).values / size
        index = resample(config, "existence", size)
        found.append((float(held.mean()), held.mean(axis=1)[index].mean(axis=1)))
    theory = pseudolikelihood.critical_load()
    return _capacity("pseudo-likelihood", theory, config.existence, found, {"1/N": 1.0})


def _capacity(
    name: str, theory: float, sizes: Any, found: list[tuple[float, Any]], forms: dict[str, float]
) -> Capacity:
    """From the half-load of each size and its replicates (R,)."""
    half, copies = (np.array(column) for column in zip(*found, strict=True))
    low, high = interval(copies.T)
    limits = {form: extrapolate(sizes, half, copies.T, power) for form, power in forms.items()}
    return Capacity(name, theory, tuple(sizes), half, low, high, limits)


def cover(count: Any, inputs: int) -> Any:
    """Probability that `count` points with random labels can be separated through the origin:
    2^(1-K) sum_{k < inputs} C(K - 1, k) (Cover 1965), exact in general position."""
    return bdtr(inputs - 1, np.maximum(count, inputs) - 1, 0.5)


def existence_checks(config: CapacityConfig, data: xr.Dataset) -> list[Check]:
    """Couplings exist as often as Cover's formula says: N - 1 inputs, every size.

    The count holds whatever the inputs, so that rows of a set, which share theirs but one, are
    independent as nearly as matters: the standard errors are exact too, not estimated. The
    largest K, less the inputs, counts tosses of a fair coin: its variance is twice the inputs.
    """
    checks = []
    for size in config.existence:
        held, inputs = data["existence_held"].sel(existence_size=size).values, size - 1
        name, count = f"couplings exist, N = {size}", held.size
        error = float(np.sqrt(2 * inputs / count))
        mean = float(held.mean())
        checks.append(Check(f"{name}: mean largest K", mean, 2.0 * inputs, error, count))
        for k in (round(load * size) for load in (1.8, 2.0, 2.2)):
            exact = float(cover(k, inputs))
            error = float(np.sqrt(exact * (1 - exact) / count))
            share, what = float((held >= k).mean()), f"{name}: share of rows at K = {k}"
            checks.append(Check(what, share, exact, error, count))
    return checks


def _mean_row(config: CapacityConfig, what: str, per_set: Floats, predicted: Any) -> Row:
    """Mean over pattern sets against a prediction, with the bootstrap interval of the gap."""
    copies = np.nanmean(per_set[resample(config, what)], axis=1)
    low, high = (float(v) for v in interval(copies - float(predicted)))
    return compare(what, float(np.nanmean(per_set)), float(predicted), low, high)


def theory_rows(config: CapacityConfig, data: xr.Dataset) -> list[Row]:
    """Overlaps and shares against predictions for infinite size."""
    found: list[tuple[str, Floats, Any]] = []
    for family in FAMILIES:
        size = config.sizes(family)[-1]
        overlap, run = fixed_points(data, family, size)
        for place, load in enumerate(np.array(config.relative_loads(family))[run]):
            if load < 1:
                what = f"{LABELS[family]}, N = {size}, {load:g} of the critical load: overlap"
                per_set = np.nanmean(overlap[:, place].astype(float), axis=1)
                found.append((what, per_set, retrieval_overlap(family, load)))
    size = config.fits[-1]
    for place, load in enumerate(config.fit_loads):
        stable = data["fits_stable"].sel(fits_size=size).values[:, place]
        what = f"pseudo-likelihood, N = {size}, load {load:g}: stable bits"
        if np.isfinite(stable).any():
            predicted = pseudolikelihood.replica(load, config.fit_penalty).stable
            found.append((what, stable, predicted))
    for place, load in enumerate(config.feature_loads):
        for name in KINDS[1:]:
            step = data["features_overlap"].values[:, place, KINDS.index(name), 0]
            predicted = getattr(random_features, f"{name}_overlap")(load, config.feature_load)
            what = f"structured examples, N = {config.features}, load {load:g}: one step, {name}"
            found.append((what, step, predicted))
    return [_mean_row(config, *row) for row in found]


def unsettled(data: xr.Dataset) -> dict[str, int]:
    """Runs left out of averages: retrievals without a fixed point, rows that did not converge."""
    found: dict[str, Any] = {
        label: np.isfinite(data[f"{family}_overlap"]) & ~data[f"{family}_converged"]
        for family, label in LABELS.items()
    }
    found["pseudo-likelihood, rows"] = data["fits_unconverged"]
    found["pseudo-likelihood, retrievals"] = data["fits_unsettled"]
    found["structured examples"] = data["features_unsettled"]
    return {name: int(counts.sum()) for name, counts in found.items()}


def analyse(config: CapacityConfig, data: xr.Dataset, out: Path) -> CapacityAnalysis:
    """Everything that follows from the merged data."""
    capacities = {f: family_capacity(config, data, f, threshold(f)) for f in FAMILIES}
    capacities["existence"] = existence_capacity(config, data)
    strict = {f: family_capacity(config, data, f, critical_overlap(f)) for f in FAMILIES}
    rows = []
    for capacity in capacities.values():
        found = capacity.limits[capacity.best]
        gap = [end - capacity.theory for end in capacity.span]
        what = f"critical load, {capacity.name} ({capacity.best}; interval of all forms)"
        rows.append(compare(what, found.value, capacity.theory, *gap))
    rows += theory_rows(config, data)
    checks = existence_checks(config, data)
    return CapacityAnalysis(config, data, capacities, strict, rows, checks, unsettled(data))

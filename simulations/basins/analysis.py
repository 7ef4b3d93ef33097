"""From raw counts per query to rates, radii and comparisons with exact predictions.

The unit that is resampled is the set of stored sequences; a trained denoiser has one set, and
there it is the sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import empirical
from models.streams import stream
from simulations.basins.config import DRAW, MAP, PLACE, Config
from simulations.basins.theory import erased_bound, erased_rate, exact_rate, many_neurons
from simulations.measure.bootstrap import bootstrap_ratio, interval
from simulations.measure.checks import Check
from simulations.measure.radius import Radius, basin_radius, radius_estimate

Floats = NDArray[np.float64]
EXACT = (MAP, DRAW)
CRITERIA = ("nearest", "exact", "token_recovery")


@dataclass(frozen=True)
class Point:
    """One memory at one K. rates[criterion]: estimate, low, high, each (levels,); radii: of
    each criterion; unit: what was resampled; shannon, asymptotic: radii no memory passes at this
    size, and as L grows; predicted: the radius that theory gives, and in `theory` which; capped,
    unchanged: shares of the corrupted queries that met the cap, and that were left as they are.
    """

    memory: str
    vocab_size: int
    seq_len: int
    train_size: int
    unit: str
    rates: dict[str, tuple[Floats, Floats, Floats]]
    radii: dict[str, Radius]
    shannon: float
    asymptotic: float
    predicted: float
    theory: str
    capped: float
    unchanged: float

    @property
    def criterion(self) -> str:
        """Of which radius `predicted` is: limits of many neurons are about the dynamics alone."""
        return "nearest" if self.memory in EXACT else "exact"

    @property
    def verdict(self) -> str:
        """The measured radius against the predicted one."""
        found = self.radii[self.criterion]
        if not np.isfinite(self.predicted) or np.isnan(found.low):
            return "–"
        if found.low <= self.predicted <= found.high:
            return "agree"
        return "below it" if found.value < self.predicted else "above it"


@dataclass(frozen=True)
class BasinsAnalysis:
    """All that is reported of a run: every point, the same under erasures, exact predictions, and
    bounds."""

    config: Config
    points: list[Point]
    erased: list[Point]
    exact: list[Check]
    bounds: list[Check]


def analyse(config: Config, data: xr.Dataset, out: Path) -> BasinsAnalysis:
    """Everything that follows from the merged data."""
    points, erased = (
        [_point(config, cell, erased=kind) for cell in _cells(data)] for kind in (False, True)
    )
    return BasinsAnalysis(config, points, erased, exact_checks(data), bound_checks(data))


def _cells(data: xr.Dataset) -> list[xr.Dataset]:
    return [data.isel(point=i) for i in range(data.sizes["point"])]


def _place(cell: xr.Dataset) -> tuple[str, int, int, int]:
    """Memory, V, L, K."""
    vocab_size, seq_len, size = (int(cell[name]) for name in PLACE)
    return str(cell["memory"].values), vocab_size, seq_len, size


def _point(config: Config, cell: xr.Dataset, *, erased: bool) -> Point:
    memory, vocab_size, seq_len, size = place = _place(cell)
    by_channel = (cell["errors"].values < 0) & (cell["erased"].values == erased)
    part = cell.isel(corruption=np.flatnonzero(by_channel))
    levels = part["t"].values
    names = ("nearest", "exact", "recovered", "corrupted", "converged", "unchanged")
    columns = {name: part[name].values.T.astype(float) for name in names}
    ones = np.ones_like(columns["exact"])
    top = np.stack([columns[name] for name in names[:3]], -1)
    bottom = np.stack([ones, ones, columns["corrupted"]], -1)
    several = len(np.unique(part["set"])) > 1
    clusters = part["set" if several else "stored_index"].values
    rng = stream(config.root_seed, "bootstrap", *["erased"] * erased, *place)
    estimate, replicates = bootstrap_ratio(rng, top, bottom, clusters, config.replicates)
    low, high = interval(replicates)
    rates, radii, threshold = {}, {}, config.threshold
    for c, name in enumerate(CRITERIA):
        rates[name] = estimate[:, c], low[:, c], high[:, c]
        radii[name] = radius_estimate(
            levels, estimate[:, c], replicates[..., c], criterion=name, threshold=threshold
        )
    if memory in EXACT:
        what = "exact"
        predicted = float(basin_radius(levels, _exact(memory, part), threshold))
    else:
        said = None if erased else many_neurons(memory, [size], vocab_size, seq_len)
        what, predicted = ("", np.nan) if said is None else (said.what, float(said.t[0]))
    if erased:
        shannon, asymptotic = erased_bound(size, vocab_size, seq_len, threshold)
    else:
        bound = empirical.shannon_radius(size, seq_len, vocab_size, threshold)
        shannon, asymptotic = bound.t_map, bound.t_c
    touched = columns["corrupted"] > 0
    return Point(
        *place,
        unit="sets" if several else "sequences of one set",
        rates=rates,
        radii=radii,
        shannon=float(shannon),
        asymptotic=float(asymptotic),
        predicted=predicted,
        theory=what,
        capped=float((columns["converged"][touched] == 0).mean()),
        unchanged=float(columns["unchanged"][touched].mean()),
    )


def exact_checks(data: xr.Dataset) -> list[Check]:
    """MAP and one posterior draw against the finite-size formulas, at every point and level, tokens
    changed or erased."""
    checks = []
    for cell in _cells(data):
        memory = _place(cell)[0]
        exact = _exact(memory, cell) if memory in EXACT else np.array([])
        for i in np.flatnonzero(np.isfinite(exact)):
            rate = _by_set(cell["nearest"][i], cell)
            checks.append(_against(_name(cell, i), rate, exact[i], cell))
    return checks


def bound_checks(data: xr.Dataset) -> list[Check]:
    """No memory passes MAP decoding, at any level of either channel: two inequalities.

    With several sets, the rate of `nearest` is at most the exact one of MAP, the set being the
    unit; and on the same queries it is at most that of `lookup`, the unit being the set, or
    the query where there is one set. A known number of errors is not covered: a rule that
    knew it could do better than the nearest sequence.
    """
    checks = []
    for cell in _cells(data):
        bound = _exact(MAP, cell)
        for i in np.flatnonzero(cell["errors"].values < 0):
            name, nearest = _name(cell, i), cell["nearest"][i].astype(float)
            gap = nearest - cell["lookup"][i].astype(float)
            per_set = _by_set(gap, cell)
            units = per_set if len(per_set) > 1 else gap.values
            checks.append(_at_most(f"{name} <= MAP on the same queries", units, 0.0, cell))
            if len(per_set) > 1 and _place(cell)[0] != MAP:
                rate = _by_set(nearest, cell)
                checks.append(_at_most(f"{name} <= exact MAP", rate, bound[i], cell))
    return checks


def _exact(memory: str, cell: xr.Dataset) -> Floats:
    """The exact rate of a memory at the corruptions of a point."""
    _, vocab_size, seq_len, size = _place(cell)
    t, erased = cell["t"].values, cell["erased"].values == 1
    changed = exact_rate(memory, size, vocab_size, seq_len, t, cell["errors"].values)
    return np.where(erased, erased_rate(size, vocab_size, seq_len, t), changed)


def _name(cell: xr.Dataset, i: Any) -> str:
    memory, vocab_size, _, size = _place(cell)
    t, errors = float(cell["t"][i]), int(cell["errors"][i])
    where = f"t={t:g}" if errors < 0 else f"{errors} errors"
    where += ", erased" * int(cell["erased"][i])
    return f"{memory}, V={vocab_size} K={size} {where}"


def _by_set(values: xr.DataArray, cell: xr.Dataset) -> Floats:
    """Mean over the queries of each set; sets are of one size and in order."""
    sets = len(np.unique(cell["set"]))
    means: Floats = values.values.astype(float).reshape(sets, -1).mean(1)
    return means


def _against(name: str, units: Floats, exact: float, cell: xr.Dataset) -> Check:
    """The standard error over units, but not below that of independent queries at the exact
    rate: where every query agrees, the spread that was seen says nothing."""
    error = float(units.std(ddof=1) / np.sqrt(len(units)))
    floor = float(np.sqrt(exact * (1 - exact) / cell.sizes["sample"]))
    return Check(name, float(units.mean()), exact, max(error, floor), len(units))


def _at_most(name: str, units: Floats, bound: float, cell: xr.Dataset) -> Check:
    """A comparison that deviates only where the mean lies above the bound."""
    found = _against(name, units, bound, cell)
    return replace(found, exact=min(found.simulated, bound))

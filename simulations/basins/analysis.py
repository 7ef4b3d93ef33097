"""From raw counts per query to rates, radii and comparisons with exact predictions.

The unit that is resampled is the set of stored sequences; a trained denoiser has one set, and
there it is the sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import empirical
from models.streams import stream
from simulations.basins.config import DRAW, MAP, MEMORIES, Config, make_cells
from simulations.basins.theory import exact_radius, exact_rate, many_neurons
from simulations.measure.bootstrap import bootstrap_ratio, interval
from simulations.measure.checks import Check
from simulations.measure.radius import Radius, radius_estimate
from simulations.sweep.run import load_cells

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


def merge(out: Path, config: Config) -> xr.Dataset:
    """All cells as one dataset with dimensions (point, corruption, sample)."""
    cells = make_cells(config)
    parts = []
    for cell, found in zip(cells, load_cells(out, cells), strict=True):
        place = {name: cell.coordinates[name] for name in ("vocab_size", "seq_len", "train_size")}
        seconds = ((), found.attrs["wall_time_s"], {"units": "s"})
        part = found.drop_attrs(deep=False).assign_coords(place).assign(cell_seconds=seconds)
        parts += [part.isel(memory=m) for m in range(part.sizes["memory"])]
    order = {memory.name: i for i, memory in enumerate(MEMORIES)}
    parts.sort(key=lambda p: (int(p["vocab_size"]), order[str(p["memory"].values)]))
    return xr.concat(parts, "point", data_vars="all", coords="different", compat="equals")


def analyse(config: Config, data: xr.Dataset) -> list[Point]:
    """Rates, radii and predictions of every point."""
    return [_point(config, data.isel(point=i)) for i in range(data.sizes["point"])]


def _point(config: Config, cell: xr.Dataset) -> Point:
    place = _place(cell)
    memory, vocab_size, seq_len, size = place
    part = cell.isel(corruption=np.flatnonzero(cell["errors"].values < 0))
    levels = part["t"].values
    columns = {name: part[name].values.T.astype(float) for name in _NEEDED}
    ones = np.ones_like(columns["exact"])
    top = np.stack([columns["nearest"], columns["exact"], columns["recovered"]], -1)
    bottom = np.stack([ones, ones, columns["corrupted"]], -1)
    several = len(np.unique(part["set"])) > 1
    clusters = part["set" if several else "stored_index"].values
    rng = stream(config.root_seed, "bootstrap", *place)
    estimate, replicates = bootstrap_ratio(rng, top, bottom, clusters, config.replicates)
    low, high = interval(replicates)
    rates, radii = {}, {}
    for c, criterion in enumerate(CRITERIA):
        rates[criterion] = estimate[:, c], low[:, c], high[:, c]
        radii[criterion] = radius_estimate(
            levels,
            estimate[:, c],
            replicates[..., c],
            criterion=criterion,
            threshold=config.threshold,
        )
    if memory in EXACT:
        what = "exact"
        predicted = exact_radius(memory, size, vocab_size, seq_len, levels, config.threshold)
    else:
        said = many_neurons(memory, [size], vocab_size, seq_len)
        what, predicted = ("", np.nan) if said is None else (said.what, float(said.t[0]))
    bound = empirical.shannon_radius(size, seq_len, vocab_size, config.threshold)
    touched = columns["corrupted"] > 0
    return Point(
        memory,
        vocab_size,
        seq_len,
        size,
        "sets" if several else "sequences of one set",
        rates,
        radii,
        bound.t_map,
        bound.t_c,
        predicted,
        what,
        float((columns["converged"][touched] == 0).mean()),
        float(columns["unchanged"][touched].mean()),
    )


_NEEDED = ("nearest", "exact", "recovered", "corrupted", "converged", "unchanged")


def _place(cell: xr.Dataset) -> tuple[str, int, int, int]:
    return (
        str(cell["memory"].values),
        int(cell["vocab_size"]),
        int(cell["seq_len"]),
        int(cell["train_size"]),
    )


def exact_checks(data: xr.Dataset) -> list[Check]:
    """MAP and one posterior draw against the finite-size formulas, at every point and level."""
    checks = []
    for cell, place in _points(data, EXACT):
        memory, vocab_size, seq_len, size = place
        t, errors = cell["t"].values, cell["errors"].values
        exact = exact_rate(memory, size, vocab_size, seq_len, t, errors)
        for i in np.flatnonzero(np.isfinite(exact)):
            name = _name(place, t[i], errors[i])
            checks.append(_against(name, _by_set(cell["nearest"][i], cell), exact[i], cell))
    return checks


def bound_checks(data: xr.Dataset) -> list[Check]:
    """No memory passes MAP decoding, at any level of the channel: two inequalities.

    With several sets, the rate of `nearest` is at most the exact one of MAP, the set being the
    unit; and on the same queries it is at most that of `lookup`, the unit being the set, or
    the query where there is one set. A known number of errors is not covered: a rule that
    knew it could do better than the nearest sequence.
    """
    checks = []
    for cell, place in _points(data, None):
        memory, vocab_size, seq_len, size = place
        t, errors = cell["t"].values, cell["errors"].values
        bound = exact_rate(MAP, size, vocab_size, seq_len, t, errors)
        for i in np.flatnonzero(errors < 0):
            name = _name(place, t[i], errors[i])
            gap = cell["nearest"][i].astype(float) - cell["lookup"][i].astype(float)
            per_set = _by_set(gap, cell)
            units = per_set if len(per_set) > 1 else gap.values
            checks.append(_at_most(f"{name} <= MAP on the same queries", units, 0.0, cell))
            if len(per_set) > 1 and memory != MAP:
                rate = _by_set(cell["nearest"][i], cell)
                checks.append(_at_most(f"{name} <= exact MAP", rate, bound[i], cell))
    return checks


def _points(data: xr.Dataset, memories: tuple[str, ...] | None) -> Any:
    for i in range(data.sizes["point"]):
        cell = data.isel(point=i)
        place = _place(cell)
        if memories is None or place[0] in memories:
            yield cell, place


def _name(place: tuple[str, int, int, int], t: float, errors: int) -> str:
    memory, vocab_size, _, size = place
    where = f"t={t:g}" if errors < 0 else f"{errors} errors"
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
    return Check(
        name, found.simulated, min(found.simulated, bound), found.standard_error, len(units)
    )

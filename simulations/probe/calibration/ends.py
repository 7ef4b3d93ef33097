"""What attractors from noise tell of memory: each reading of them alone, network by network."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.bootstrap import interval
from simulations.measure.tables import markdown, number, section, with_spread
from simulations.probe.calibration.fit import area_under_curve
from simulations.probe.calibration.truth import CLASSES
from simulations.probe.judge.attractors import Attractors

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

REPLICATES = 1000
MUCH = 0.1  # of own sequences near an end, beyond held-out ones
READINGS = {  # of a model, and whether less of it should be memory
    "end_number": ("effective number of attractors", -1),
    "end_own": ("own sequences near one", 1),
    "end_excess": ("own less held-out sequences near one", 1),
    "near": ("own sequences that repeat another one, for comparison", 1),
}


def readings(found: Attractors | None) -> dict[str, float]:
    """What is read of one model, NaN where its attractors were not looked for."""
    if found is None:
        return dict.fromkeys([name for name in READINGS if name != "near"], math.nan)
    count = found.number.value if math.isfinite(found.number.value) else found.number.low
    own, held = found.own.value, found.heldout.value
    return {"end_number": count, "end_own": own, "end_excess": own - held}


def end_lines(data: xr.Dataset, rng: np.random.Generator) -> list[str]:
    """A section on them, of models beside right text whose attractors were looked for; no lines
    where there are too few of either end."""
    if "end_number" not in data:
        return []
    part = data.isel(model=np.flatnonzero(data["common"] & np.isfinite(data["end_number"])))
    memorizing, generalizing = (part["truth"].values == CLASSES[k] for k in (2, 0))
    if min(memorizing.sum(), generalizing.sum()) < 2:
        return []
    rows = []
    for name, (words, sign) in READINGS.items():
        x = part[name].values * sign
        drawn = [_area(x, memorizing, generalizing, rng) for _ in range(REPLICATES)]
        low, high = interval(np.array(drawn))
        area = _area(x, memorizing, generalizing)
        medians = [number(float(np.median(x[k] * sign))) for k in (memorizing, generalizing)]
        rows.append([words, with_spread(area, float(low), float(high), 2), *medians])
    much = part["end_excess"].values > MUCH
    told = [f"{int((much & k).sum())} of {int(k.sum())}" for k in (memorizing, generalizing)]
    return section(
        "Attractors from noise, which the verdict does not read",
        "Area under the curve of memorizing against generalizing models (of fewer attractors, of "
        "more near one), its 95 % interval over models. The number is no sign of memory where a "
        f"law is orderly. More than {MUCH:g} beyond held-out ones: {told[0]} that memorize, "
        f"{told[1]} that generalize.",
    ) + markdown(["reading", "area", "median, memorizing", "median, generalizing"], rows)


def _area(
    x: Floats, memorizing: Rows, generalizing: Rows, rng: np.random.Generator | None = None
) -> float:
    """Of the models, or of so many drawn from each class."""
    sides: list[Any] = [np.flatnonzero(k) for k in (memorizing, generalizing)]
    if rng is not None:
        sides = [rng.choice(k, len(k)) for k in sides]
    kept = np.concatenate(sides)
    return float(area_under_curve(x[kept], np.arange(len(kept)) < len(sides[0])))

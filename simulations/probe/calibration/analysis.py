"""From measured models to the table of coefficients, and how the verdict does on other models."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.probe.calibration.config import CalibrationConfig, make_cells
from simulations.probe.calibration.fit import LAWS, SIGNS, fit_logistic, resampled_fits
from simulations.probe.judge.features import features_of
from simulations.probe.judge.verdict import (
    GAP_BOUNDS,
    UNDECIDABLE,
    entropy_verdict,
    recovery_verdict,
)
from simulations.probe.measure.dataset import split_rows
from simulations.results.cells import Cell
from simulations.sweep.run import load_cells

Floats = NDArray[np.float64]
Counts = dict[str, Any]
MEMORIZING, GENERALIZING, MIDDLE = "memorizing", "generalizing", "middle"
FIRST = next(iter(LAWS))
TRUTHS = (MEMORIZING, MIDDLE, GENERALIZING)
LABELS = (MEMORIZING, "in transition", GENERALIZING, UNDECIDABLE)
SPLITS_OF = {
    "held-out and generated": ("heldout", "generated", "random"),
    "held-out": ("heldout", "random"),
    "generated": ("generated", "random"),
}
NOT_JUDGED = SimpleNamespace(probability=math.nan, low=math.nan, high=math.nan, label="")


DECIDED = (MEMORIZING, GENERALIZING)
# What is counted of test models: truths, and the labels given to them.
COUNTED: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "memorizing": ([MEMORIZING], LABELS),
    "found": ([MEMORIZING], [MEMORIZING]),
    "taken_for_generalizing": ([MEMORIZING], [GENERALIZING]),
    "generalizing": ([GENERALIZING], LABELS),
    "cleared": ([GENERALIZING], [GENERALIZING]),
    "taken_for_memorizing": ([GENERALIZING], [MEMORIZING]),
    "middle": ([MIDDLE], LABELS),
    "undecided": (DECIDED, [UNDECIDABLE]),
    "in_transition": (DECIDED, ["in transition"]),
}


@dataclass(frozen=True, eq=False)
class CalibrationAnalysis:
    """Everything the report needs. `data`: one row a model (`merge`); `table`: what the
    verdict reads."""

    config: CalibrationConfig
    data: xr.Dataset
    table: dict[str, Any]

    def of(self, role: str) -> xr.Dataset:
        """The models of a role."""
        return rows(self.data, self.data["role"] == role)

    def told(self) -> list[Any]:
        """The test models as records, with what the first law says of them."""
        return list(self.of("test").sel(basis=FIRST).to_dataframe().itertuples())


def rows(data: xr.Dataset, which: Any) -> xr.Dataset:
    """The models for which `which` (n,) is true."""
    return data.isel(model=np.flatnonzero(which))


def decided(data: xr.Dataset, role: str) -> xr.Dataset:
    """The models of a role that memorize or generalize."""
    return rows(data, (data["role"] == role) & (data["truth"] != MIDDLE))


def columns(data: xr.Dataset, names: Sequence[str]) -> Floats:
    """Features (n, names) of the models."""
    return np.stack([data[name].values for name in names], axis=1)


def truth_of(gap: float) -> str:
    """The answer that a recovery gap stands for."""
    if gap >= GAP_BOUNDS[1]:
        return MEMORIZING
    return GENERALIZING if gap <= GAP_BOUNDS[0] else MIDDLE


def analyse(config: CalibrationConfig, data: xr.Dataset, out: Path) -> CalibrationAnalysis:
    """What is told of the models of `merge`."""
    return CalibrationAnalysis(config, data, fit_table(config, data))


def merge(out: Path, config: CalibrationConfig) -> xr.Dataset:
    """Coordinates, features and truth of every model, and of the test models what the verdict says
    with the training data and, by law, without; NaN and empty for the others."""
    cells = make_cells(config)
    parts = load_cells(out, cells)
    pairs = list(zip(cells, parts, strict=True))
    found = [cell.coordinates | features_of(part).as_dict() for cell, part in pairs]
    names = {"model": [cell.name for cell in cells], "basis": list(LAWS)}
    data = xr.Dataset({name: ("model", [row[name] for row in found]) for name in found[0]}, names)
    data["truth"] = ("model", [truth_of(row["recovery_gap"]) for row in found])
    seconds = [float(part.attrs.get("wall_time_s", math.nan)) for part in parts]
    data["cell_seconds"] = ("model", seconds, {"units": "s"})
    table = fit_table(config, data)
    judged = [judge(config, cell, part, table) for cell, part in pairs]
    for name in ("probability", "low", "high", "label"):
        told = [[getattr(verdict, name) for verdict in row[1:]] for row in judged]
        data[name] = (("model", "basis"), np.array(told))
    data["label_by_gap"] = ("model", [row[0].label for row in judged])
    return data


def judge(
    config: CalibrationConfig, cell: Cell, part: xr.Dataset, table: dict[str, Any]
) -> list[Any]:
    """The verdict on a test model with training data, then without by what else there is."""
    if cell.coordinates["role"] != "test":
        return [NOT_JUDGED] * (1 + len(LAWS))
    rng = stream(config.root_seed, "judge", cell.name)
    found = [recovery_verdict(part, rng)]
    for splits in SPLITS_OF.values():
        kept = [split_rows(part, split) for split in splits]
        only = xr.concat(kept, "sequence", data_vars="minimal").assign_attrs(part.attrs)
        found.append(entropy_verdict(only, rng, table))
    return found


def fit_table(config: CalibrationConfig, data: xr.Dataset) -> dict[str, Any]:
    """Coefficients and their replicates by law, rounded to four decimals, fitted to the decided
    models of `data` that are there for it."""
    mine = decided(data, "calibrate")
    memorizing = (mine["truth"] == MEMORIZING).values
    answers = tuple(memorizing.tolist())
    laws = {
        name: _fitted(config, name, tuple(map(tuple, columns(mine, used).tolist())), answers)
        for name, used in LAWS.items()
    }
    counts = {"memorizing": int(memorizing.sum()), "generalizing": int((~memorizing).sum())}
    return {"laws": laws, "models": counts}


@functools.lru_cache(maxsize=len(LAWS))  # asked for by the merging and by the analysis
def _fitted(
    config: CalibrationConfig,
    law: str,
    features: tuple[tuple[float, ...], ...],
    answers: tuple[bool, ...],
) -> dict[str, Any]:
    x, memorizing, used = np.array(features), np.array(answers, bool), LAWS[law]
    signs = [SIGNS[key] for key in used]
    rng = stream(config.root_seed, "resampled models", law)
    fitted = fit_logistic(x, memorizing, signs)
    replicates = resampled_fits(x, memorizing, signs, rng, config.replicates)
    return {
        "features": list(used),
        "coefficients": fitted.round(4).tolist(),
        "replicates": replicates.round(4).tolist(),
    }


def score(models: xr.Dataset, law: str, source: str) -> Counts:
    """How the verdict by one law does on these models of a source; see COUNTED."""
    truths, labels = models["truth"].values, models["label"].sel(basis=law).values
    counts = {
        name: int((np.isin(truths, list(truth)) & np.isin(labels, list(said))).sum())
        for name, (truth, said) in COUNTED.items()
    }
    return {"source": source, **counts}


def scores(analysis: CalibrationAnalysis, law: str) -> list[Counts]:
    """One a test source, then all, then those of sources that were never calibrated on."""
    models, config = analysis.of("test"), analysis.config
    fresh = [name for name in config.test if name not in config.calibrate]
    groups = {name: [name] for name in config.test}
    groups |= {"all": list(config.test), "never calibrated on": fresh}
    return [
        score(rows(models, np.isin(models["source"], names)), law, group)
        for group, names in groups.items()
    ]

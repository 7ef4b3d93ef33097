"""From measured models to the table of coefficients, and how the verdict does on other models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from models.streams import stream
from simulations.probe.calibration.config import CalibrationConfig, make_cells
from simulations.probe.calibration.crossfit import fit_table, folds, left_out
from simulations.probe.calibration.ends import readings
from simulations.probe.calibration.families import FAMILIES, RIGHT, SOURCES
from simulations.probe.calibration.fit import ENTROPY_ALONE, LAWS
from simulations.probe.calibration.truth import CLASSES, MEMORIZING, truth_of
from simulations.probe.judge.evidence import Evidence, evidence_of
from simulations.probe.judge.verdict import Verdict, verdict_without
from simulations.results.cells import Cell
from simulations.sweep.run import load_cells

FIRST, OWN = LAWS
COORDINATES = ("family", "source", "train_size", "width", "seed", "heldout")
# What a verdict without training data does not read, by law.
UNREAD = {FIRST: ("train",), OWN: ("train", "heldout", "heldout_rescaled")}


@dataclass(frozen=True, eq=False)
class CalibrationAnalysis:
    """Everything the report needs. `data`: one row a model (`merge`); `table`: what the
    verdict reads."""

    config: CalibrationConfig
    data: xr.Dataset
    table: dict[str, Any]

    def told(self) -> list[Any]:
        """The models as records, with what the first law says of them."""
        first = self.data.sel(basis=FIRST)
        p = first["classes"].sel(klass=MEMORIZING, drop=True)
        plain = first.drop_dims("klass").assign(p_memorizing=p)
        return list(plain.to_dataframe().itertuples())


def analyse(config: CalibrationConfig, data: xr.Dataset, out: Path) -> CalibrationAnalysis:
    """What is told of the models of `merge`."""
    lapses = {name: left_out(data, used).lapse for name, used in LAWS.items()}
    return CalibrationAnalysis(config, data, fit_table(config, data, lapses))


def merge(out: Path, config: CalibrationConfig) -> xr.Dataset:
    """Coordinates, truth and features of every model, and by law what is said of it by a fit that
    its family was left out of: the verdict, and probabilities of the classes (`classes`)."""
    cells = make_cells(config)
    parts = load_cells(out, cells)
    read = [evidences(config, cell, part) for cell, part in zip(cells, parts, strict=True)]
    data = described(cells, parts, [found[FIRST] for found in read])
    found = {name: left_out(data, used) for name, used in LAWS.items()}
    p = np.stack([one.classes for one in found.values()], axis=1)
    data["classes"] = (("model", "basis", "klass"), p)
    data["entropy_alone"] = (("model", "klass"), left_out(data, ENTROPY_ALONE).classes)
    lapses = {name: one.lapse for name, one in found.items()}
    rows: list[list[dict[str, Any]]] = [[] for _ in cells]
    for fold in folds(data):
        table = fit_table(config, data, lapses, fold)
        for k in np.flatnonzero(fold.judged):
            rows[k] = [_row(verdict) for verdict in judge(config, cells[k], read[k], table)]
    for name in rows[0][0]:
        data[name] = (("model", "basis"), np.array([[row[name] for row in part] for part in rows]))
    return data


def evidences(config: CalibrationConfig, cell: Cell, part: xr.Dataset) -> dict[str, Evidence]:
    """What a law may read of a model, by law."""
    rng, found = stream(config.root_seed, "evidence", cell.name), {}
    for law, splits in UNREAD.items():
        rows = np.flatnonzero(~part["split"].isin(splits).values)
        found[law] = evidence_of(part.isel(sequence=rows), rng)
    return found


def described(cells: list[Cell], parts: list[xr.Dataset], read: list[Evidence]) -> xr.Dataset:
    """Coordinates, features and truth of every model, one row each; `common` : whether it stands
    for all, as those beside wrong text and those of a text that must be given do not."""
    rows = []
    for cell, part, found in zip(cells, parts, read, strict=True):
        row = {name: cell.coordinates[name] for name in COORDINATES} | found.values
        for name, word in (("", "share"), ("_low", "low"), ("_high", "high")):
            row[f"share{name}"] = float(part[f"memorized_{word}"])
        row |= readings(found.attractors)
        row["own_text"] = found.text is None or found.text.result != "failed"
        row["kind"] = SOURCES[row["source"]].kind
        family = FAMILIES[row["family"]]
        row["common"] = row["heldout"] == RIGHT and not family.needs_text
        row["truth"] = truth_of(row["share"])
        row["cell_seconds"] = float(part.attrs.get("wall_time_s", math.nan))
        rows.append(row)
    coords = {"model": [c.name for c in cells], "basis": list(LAWS), "klass": list(CLASSES)}
    data = xr.Dataset({k: ("model", [row[k] for row in rows]) for k in rows[0]}, coords)
    data["cell_seconds"].attrs["units"] = "s"
    return data


def judge(
    config: CalibrationConfig, cell: Cell, read: Mapping[str, Evidence], table: dict[str, Any]
) -> list[Verdict]:
    """The verdict without training data on a model by a table, by what may be read."""
    rng = stream(config.root_seed, "judge", cell.name)
    return [verdict_without(found, rng, table) for found in read.values()]


def _row(verdict: Verdict) -> dict[str, Any]:
    """A verdict in plain values: chances at its prior, NaN where it gives none."""
    found = verdict.chances
    numbers = [math.nan] * 4
    if found is not None:
        p = found.memorizing
        numbers = [p.value, p.low, p.high, found.generalizing.value]
    names = ("probability", "low", "high", "generalizing")
    return dict(zip(names, numbers, strict=True)) | {
        "label": verdict.label,
        "decided_by": verdict.basis,
        "failed": ", ".join(verdict.failed),
    }

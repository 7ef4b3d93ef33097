"""From measured models to the table of coefficients, and how the verdict does on other models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.probe.calibration.config import CalibrationConfig, make_cells
from simulations.probe.calibration.fit import (
    LAWS,
    SIGNS,
    fit_logistic,
    resampled_fits,
    wilson,
)
from simulations.probe.judge.features import Features, features_of
from simulations.probe.judge.verdict import (
    GAP_BOUNDS,
    UNDECIDABLE,
    Verdict,
    entropy_verdict,
    recovery_verdict,
)
from simulations.probe.measure.dataset import split_rows

Floats = NDArray[np.float64]
MEMORIZING, GENERALIZING, MIDDLE = "memorizing", "generalizing", "middle"
TRUTHS = (MEMORIZING, MIDDLE, GENERALIZING)
LABELS = (MEMORIZING, "in transition", GENERALIZING, UNDECIDABLE)
SPLITS_OF = {
    "held-out and generated": ("heldout", "generated", "random"),
    "held-out": ("heldout", "random"),
    "generated": ("generated", "random"),
}


@dataclass(frozen=True, eq=False)
class Model:
    """One model: where it comes from, its features, its truth and, for a test model, what the
    verdict says with the training data and, by law, without."""

    name: str
    coordinates: dict[str, Any]
    features: Features
    truth: str
    by_gap: Verdict | None
    by_entropy: dict[str, Verdict]
    seconds: float

    @property
    def memorizes(self) -> bool:
        return self.truth == MEMORIZING


@dataclass(frozen=True)
class Score:
    """How a verdict does on decided models: counts of right, wrong-side and open labels among
    those that memorize and those that generalize, and the models of the middle, left out."""

    source: str
    memorizing: int
    found: int
    taken_for_generalizing: int
    generalizing: int
    cleared: int
    taken_for_memorizing: int
    middle: int
    undecided: int
    in_transition: int

    @property
    def sensitivity(self) -> tuple[float, float, float]:
        """Share of memorizing models that are called so, and its 95 % interval (Wilson)."""
        return _share(self.found, self.memorizing)

    @property
    def specificity(self) -> tuple[float, float, float]:
        """Share of generalizing models that are called so, and its 95 % interval (Wilson)."""
        return _share(self.cleared, self.generalizing)


@dataclass(frozen=True, eq=False)
class CalibrationAnalysis:
    """Everything the report needs. `table`: what the verdict reads."""

    config: CalibrationConfig
    models: list[Model]
    table: dict[str, Any]

    def of(self, role: str) -> list[Model]:
        """The models of a role."""
        return [model for model in self.models if model.coordinates["role"] == role]


def truth_of(gap: float) -> str:
    """The answer that a recovery gap stands for."""
    if gap >= GAP_BOUNDS[1]:
        return MEMORIZING
    return GENERALIZING if gap <= GAP_BOUNDS[0] else MIDDLE


def analyse(config: CalibrationConfig, data: Sequence[xr.Dataset]) -> CalibrationAnalysis:
    """Fit the laws to the calibration models and judge the verdict on the test models.

    data : one dataset a cell, in the order of `make_cells`.
    """
    cells = make_cells(config)
    seen = [features_of(part) for part in data]
    truths = [truth_of(found.recovery_gap) for found in seen]
    mine = [
        k
        for k, cell in enumerate(cells)
        if cell.coordinates["role"] == "calibrate" and truths[k] != MIDDLE
    ]
    table = fit_table(config, [seen[k] for k in mine], [truths[k] for k in mine])
    models = []
    for cell, part, found, truth in zip(cells, data, seen, truths, strict=True):
        judged = cell.coordinates["role"] == "test"
        rng = stream(config.root_seed, "judge", cell.name)
        models.append(
            Model(
                cell.name,
                cell.coordinates,
                found,
                truth,
                recovery_verdict(part, rng) if judged else None,
                judge(part, rng, table) if judged else {},
                float(part.attrs.get("wall_time_s", math.nan)),
            )
        )
    return CalibrationAnalysis(config, models, table)


def judge(data: xr.Dataset, rng: np.random.Generator, table: dict[str, Any]) -> dict[str, Verdict]:
    """The verdict without training data by what else there is."""
    return {
        name: entropy_verdict(_only(data, splits), rng, table) for name, splits in SPLITS_OF.items()
    }


def _only(data: xr.Dataset, splits: Sequence[str]) -> xr.Dataset:
    return xr.concat(
        [split_rows(data, name) for name in splits], "sequence", data_vars="minimal"
    ).assign_attrs(data.attrs)


def fit_table(
    config: CalibrationConfig, features: Sequence[Features], truths: Sequence[str]
) -> dict[str, Any]:
    """Coefficients and their replicates by law, rounded to four decimals."""
    memorizing = np.array([truth == MEMORIZING for truth in truths])
    laws = {}
    for name, used in LAWS.items():
        x = np.array([[getattr(found, key) for key in used] for found in features])
        signs = [SIGNS[key] for key in used]
        rng = stream(config.root_seed, "resampled models", name)
        laws[name] = {
            "features": list(used),
            "coefficients": fit_logistic(x, memorizing, signs).round(4).tolist(),
            "replicates": resampled_fits(x, memorizing, signs, rng, config.replicates)
            .round(4)
            .tolist(),
        }
    return {
        "laws": laws,
        "models": {"memorizing": int(memorizing.sum()), "generalizing": int((~memorizing).sum())},
    }


def score(models: Sequence[Model], law: str, source: str) -> Score:
    """How the verdict by one law does on these models."""
    labels = [model.by_entropy[law].label for model in models]
    pairs = list(zip([model.truth for model in models], labels, strict=True))

    def count(truth: str, label: str | None = None) -> int:
        return sum(a == truth and label in (None, b) for a, b in pairs)

    decided = (MEMORIZING, GENERALIZING)
    return Score(
        source,
        count(MEMORIZING),
        count(MEMORIZING, MEMORIZING),
        count(MEMORIZING, GENERALIZING),
        count(GENERALIZING),
        count(GENERALIZING, GENERALIZING),
        count(GENERALIZING, MEMORIZING),
        count(MIDDLE),
        sum(count(truth, UNDECIDABLE) for truth in decided),
        sum(count(truth, "in transition") for truth in decided),
    )


def scores(analysis: CalibrationAnalysis, law: str) -> list[Score]:
    """One a test source, then all, then those of sources that were never calibrated on."""
    models, config = analysis.of("test"), analysis.config
    found = [
        score([m for m in models if m.coordinates["source"] == source], law, source)
        for source in config.test
    ]
    fresh = [m for m in models if m.coordinates["source"] not in config.calibrate]
    return [*found, score(models, law, "all"), score(fresh, law, "never calibrated on")]


def model_table(analysis: CalibrationAnalysis) -> xr.Dataset:
    """Coordinates, features, truth and verdicts of every model; NaN where it was not judged."""
    models = analysis.models
    found: dict[str, Any] = {
        name: ("model", [model.coordinates[name] for model in models])
        for name in models[0].coordinates
    }
    for name in Features().as_dict():
        found[name] = ("model", [getattr(model.features, name) for model in models])
    found["truth"] = ("model", [model.truth for model in models])
    found["cell_seconds"] = ("model", [model.seconds for model in models], {"units": "s"})
    judged = [[model.by_entropy.get(law) for law in LAWS] for model in models]
    for name in ("probability", "low", "high"):
        values = [[getattr(v, name) if v else math.nan for v in row] for row in judged]
        found[name] = (("model", "basis"), np.array(values))
    labels = [[v.label if v else "" for v in row] for row in judged]
    found["label"] = (("model", "basis"), np.array(labels))
    found["label_by_gap"] = ("model", [m.by_gap.label if m.by_gap else "" for m in models])
    return xr.Dataset(found, {"model": [m.name for m in models], "basis": list(LAWS)})


def _share(hits: int, n: int) -> tuple[float, float, float]:
    return (hits / n if n else math.nan, *wilson(hits, n))

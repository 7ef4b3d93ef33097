"""How well features and probabilities tell models that memorize: alone, together, in the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.probe.calibration.analysis import (
    MEMORIZING,
    CalibrationAnalysis,
    columns,
    decided,
    rows,
)
from simulations.probe.calibration.config import ROLES
from simulations.probe.calibration.fit import LAWS, SIGNS, area_under_curve, fit_logistic

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Alone:
    """One feature, or a law of several, as a classifier of decided models.

    left_out : log loss (nats a model) on calibration models, each source judged by a fit to the
        others; NaN with one source. The choice of features rests on this number alone.
    area : under the curve of test models. errors : of n test models at probability 1/2.
    log_loss : of test models, nats a model.
    """

    name: str
    left_out: float
    area: float
    errors: int
    n: int
    log_loss: float


def alone(analysis: CalibrationAnalysis) -> list[Alone]:
    """Each feature by itself, then the laws, fitted in the same way."""
    fitted, judged = (decided(analysis.data, role) for role in ROLES)
    found = []
    for name, used in ({name: (name,) for name in SIGNS} | LAWS).items():
        p, answers = _told(fitted, used, judged), _answers(judged)
        errors = int(((p > 0.5) != answers).sum())
        area, loss = area_under_curve(p, answers), _log_loss(p, answers)
        found.append(Alone(name, _left_out(fitted, used), area, errors, len(p), loss))
    return found


def _left_out(models: xr.Dataset, used: Sequence[str]) -> float:
    sources = models["source"].values
    if len(set(sources)) < 2:
        return math.nan
    losses: list[float] = []
    for source in sorted(set(sources)):
        others, mine = rows(models, sources != source), rows(models, sources == source)
        p = _told(others, used, mine)
        losses += [_log_loss(p, _answers(mine))] * len(p)
    return float(np.mean(losses))


def _answers(models: xr.Dataset) -> NDArray[np.bool_]:
    return np.asarray(models["truth"] == MEMORIZING)


def _told(fit_to: xr.Dataset, used: Sequence[str], to: xr.Dataset) -> Floats:
    """Probabilities of memorizing of the models `to`, by a fit to others."""
    signs = [SIGNS[key] for key in used]
    c = fit_logistic(columns(fit_to, used), _answers(fit_to), signs)
    found: Floats = 1 / (1 + np.exp(-(c[0] + columns(to, used) @ c[1:])))
    return found


def _log_loss(p: Floats, answers: NDArray[np.bool_]) -> float:
    return float(-np.log(np.clip(np.where(answers, p, 1 - p), 1e-12, 1)).mean())


@dataclass(frozen=True)
class Bin:
    """Test models with a probability in [low, high): how many, their mean probability, and how
    many memorize (middle left out)."""

    low: float
    high: float
    n: int
    told: float
    memorizing: int


def reliability(analysis: CalibrationAnalysis, law: str, edges: Sequence[float]) -> list[Bin]:
    """Probabilities against what is true."""
    models = decided(analysis.data, "test")
    p, truth = models["probability"].sel(basis=law).values, _answers(models)
    found = []
    for low, high in pairwise(edges):
        inside = (p >= low) & ((p < high) | (high == edges[-1]))
        n = int(inside.sum())
        told = float(p[inside].mean()) if n else math.nan
        found.append(Bin(low, high, n, told, int(truth[inside].sum())))
    return found

"""How well features and probabilities tell models that memorize: alone, together, in the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulations.probe.calibration.analysis import MIDDLE, CalibrationAnalysis, Model
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
    candidates = {name: (name,) for name in SIGNS} | dict(LAWS)
    fitted, judged = (
        [m for m in analysis.of(role) if m.truth != MIDDLE] for role in ("calibrate", "test")
    )
    rows = []
    for name, used in candidates.items():
        p = _fitted(fitted, used, judged)
        answers = np.array([m.memorizes for m in judged])
        errors = int(((p > 0.5) != answers).sum())
        area, loss = area_under_curve(p, answers), _log_loss(p, answers)
        rows.append(Alone(name, _left_out(fitted, used), area, errors, len(p), loss))
    return rows


def _left_out(models: Sequence[Model], used: Sequence[str]) -> float:
    sources = sorted({m.coordinates["source"] for m in models})
    if len(sources) < 2:
        return math.nan
    losses: list[float] = []
    for source in sources:
        others = [m for m in models if m.coordinates["source"] != source]
        mine = [m for m in models if m.coordinates["source"] == source]
        p = _fitted(others, used, mine)
        losses += [_log_loss(p, np.array([m.memorizes for m in mine]))] * len(mine)
    return float(np.mean(losses))


def _fitted(fit_to: Sequence[Model], used: Sequence[str], to: Sequence[Model]) -> Floats:
    """Probabilities of memorizing of the models `to`."""
    x, y = (np.array([[getattr(m.features, key) for key in used] for m in s]) for s in (fit_to, to))
    answers = np.array([m.memorizes for m in fit_to])
    c = fit_logistic(x, answers, [SIGNS[key] for key in used])
    found: Floats = 1 / (1 + np.exp(-(c[0] + y @ c[1:])))
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
    models = [m for m in analysis.of("test") if m.truth != MIDDLE]
    p = np.array([m.by_entropy[law].probability for m in models])
    truth = np.array([m.memorizes for m in models])
    rows = []
    for low, high in pairwise(edges):
        inside = (p >= low) & ((p < high) | (high == edges[-1]))
        n = int(inside.sum())
        told = float(p[inside].mean()) if n else math.nan
        rows.append(Bin(low, high, n, told, int(truth[inside].sum())))
    return rows

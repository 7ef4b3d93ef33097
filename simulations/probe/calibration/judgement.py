"""How well a verdict does on families that it was not fitted to: labels, and probabilities.

Probabilities of three ordered classes are scored by two proper rules, the mean of -log p of what is
true (nats; log 3 = 1.099 for nothing known), and the ranked probability score, the squared distance
of cumulated probabilities from the truth's. Intervals are over models: Wilson's for shares, else a
bootstrap within families.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.measure.bootstrap import interval
from simulations.probe.calibration.analysis import CalibrationAnalysis
from simulations.probe.calibration.crossfit import classes_of, left_out
from simulations.probe.calibration.fit import (
    ENTROPY_ALONE,
    LAWS,
    SIGNS,
    area_under_curve,
)
from simulations.probe.judge.verdict import ORDER_BOUNDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LABELS = ("generalizing", "in transition", "memorizing")  # any other label is withheld
LEAST = 1e-6  # of a probability, in the log score
CONFIDENT = 0.9
EDGES = (0.0, 0.05, 0.25, 0.75, 0.95, 1.0)  # of P(memorizing), for calibration
REPLICATES = 1000
SHARES = (ORDER_BOUNDS[1], 0.8, 0.95, 1.0)  # of M of models that memorize
EVERYTHING = "all synthetic, beside right text"


class Estimate(NamedTuple):
    """A mean over models with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Labels:
    """Labels of models against what is true, counted.

    truths : models of each class. found : memorizing ones called so; cleared : generalizing ones
    called so; opposite : either called the other; silent : of these, at a chance above CONFIDENT
    and without a failed check; between : middle ones called in transition; withheld : any without
    one of the three.
    """

    n: int
    truths: tuple[int, int, int]
    found: int
    cleared: int
    between: int
    opposite: int
    silent: int
    withheld: int


@dataclass(frozen=True)
class Score:
    """Labels and probabilities of a group of models; ece : expected calibration error of
    P(memorizing) over bins of EDGES."""

    group: str
    labels: Labels
    log_score: Estimate
    ranked: Estimate
    ece: Estimate
    entropy_alone: Estimate


def count_labels(data: xr.Dataset) -> Labels:
    """`Labels` of models: `label`, `failed` (names of checks), and the chances `probability` of
    memorizing and `generalizing`, (n,), against `truth`."""
    classes = classes_of(data)
    said = np.array([LABELS.index(x) if x in LABELS else -1 for x in data["label"].values], int)
    hit, opposite = said == classes, (classes != 1) & (said == 2 - classes)
    chance = np.where(said == 2, data["probability"].values, data["generalizing"].values)
    silent = opposite & (chance > CONFIDENT) & (data["failed"].values == "")
    truths = np.bincount(classes, minlength=3)
    return Labels(
        n=len(classes),
        truths=(int(truths[0]), int(truths[1]), int(truths[2])),
        found=int((hit & (classes == 2)).sum()),
        cleared=int((hit & (classes == 0)).sum()),
        between=int((hit & (classes == 1)).sum()),
        opposite=int(opposite.sum()),
        silent=int(silent.sum()),
        withheld=int((said < 0).sum()),
    )


def log_scores(p: Floats, classes: Ints) -> Floats:
    """-log p (n,) of the true classes, nats; NaN where there is no probability.

    >>> log_scores(np.array([[0.5, 0.25, 0.25]]), np.array([0])).round(3).tolist()
    [0.693]
    """
    found: Floats = -np.log(np.maximum(p[np.arange(len(p)), classes], LEAST))
    return found


def ranked_scores(p: Floats, classes: Ints) -> Floats:
    """Ranked probability score (n,): 0 for certainty of the truth, 2 for that of the other end.

    >>> ranked_scores(np.array([[0.0, 0.0, 1.0], [0.5, 0.0, 0.5]]), np.array([0, 2])).tolist()
    [2.0, 0.5]
    """
    above = np.arange(2) >= classes[:, None]
    found: Floats = ((np.cumsum(p, axis=1)[:, :2] - above) ** 2).sum(1)
    return found


def calibration_error(p: Floats, true: NDArray[np.bool_], weights: Floats) -> Floats:
    """Mean over models of |mean probability - frequency| of their bin of EDGES, (...), of weights
    (..., n)."""
    place = np.clip(np.searchsorted(EDGES, p, side="right") - 1, 0, len(EDGES) - 2)
    member = place[:, None] == np.arange(len(EDGES) - 1)
    gaps = np.abs((weights * (p - true)) @ member)
    found: Floats = gaps.sum(-1) / weights.sum(-1)
    return found


def score(group: str, data: xr.Dataset, law: str, root_seed: int) -> Score:
    """How the verdict by one law does on the models of `data`."""
    classes, p = classes_of(data), data["classes"].sel(basis=law).values
    draws = _weights(data["family"].values, stream(root_seed, "judged models", group))

    def error(mine: NDArray[np.bool_], w: Floats) -> Floats:
        return calibration_error(p[mine, 2], classes[mine] == 2, w)

    entropy = data["entropy_alone"].values
    return Score(
        group,
        count_labels(data.sel(basis=law)),
        _mean(log_scores(p, classes), draws),
        _mean(ranked_scores(p, classes), draws),
        _over_models(error, p[:, 2], draws),
        _mean(log_scores(entropy, classes), draws),
    )


def scores(analysis: CalibrationAnalysis, law: str) -> list[Score]:
    """One a family, then one a way to read a text, then of all that stand for others."""
    data, seed = analysis.data, analysis.config.root_seed
    families, texts = data["family"].values, data["kind"].values == "text"
    groups = {name: families == name for name in dict.fromkeys(families.tolist())}
    for name in dict.fromkeys(data["source"].values[texts].tolist()):
        groups[f"text in {name}"] = texts & (data["source"].values == name)
    found = [score(name, _rows(data, mine), law, seed) for name, mine in groups.items()]
    right = _rows(data, data["common"].values)
    return [*found, score(EVERYTHING, right, law, seed)]


@dataclass(frozen=True)
class Alone:
    """One feature, or a law of several, each family left out of the fit that judges it: proper
    scores, and the area under the curve of memorizing against generalizing models."""

    name: str
    n: int
    log_score: Estimate
    ranked: Estimate
    area: float


def alone(analysis: CalibrationAnalysis) -> list[Alone]:
    """Every feature, every law, entropy alone, and the shares of the classes."""
    data = _rows(analysis.data, analysis.data["common"].values)
    laws: dict[str, tuple[str, ...]] = {name: (name,) for name in SIGNS}
    laws |= {"entropy alone": ENTROPY_ALONE, **LAWS}
    found = [
        _alone(name, data, left_out(data, used).classes, analysis) for name, used in laws.items()
    ]
    return [*found, _alone("class shares alone", data, left_out(data, ()).classes, analysis)]


def _alone(name: str, data: xr.Dataset, p: Floats, analysis: CalibrationAnalysis) -> Alone:
    known, classes = np.isfinite(p).all(1), classes_of(data)
    draws = _weights(
        data["family"].values, stream(analysis.config.root_seed, "judged models", name)
    )
    log, ranked = (
        _mean(values, draws) for values in (log_scores(p, classes), ranked_scores(p, classes))
    )
    ends = known & (classes != 1)
    area = area_under_curve(p[ends, 2] - p[ends, 0], classes[ends] == 2)
    return Alone(name, int(known.sum()), log, ranked, area)


class Found(NamedTuple):
    """Of n models that memorize a share in [low, high) of their data, those called memorizing."""

    low: float
    high: float
    n: int
    found: int


def found_by_share(analysis: CalibrationAnalysis, law: str) -> list[Found]:
    """How much of its training data a model must memorize for it to be told, beside right text."""
    data = _rows(analysis.data, analysis.data["common"].values).sel(basis=law)
    share, called = data["share"].values, data["label"].values == LABELS[2]
    found = []
    for low, high in pairwise(SHARES):
        inside = (share >= low) & ((share < high) | (high == SHARES[-1]))
        found.append(Found(low, high, int(inside.sum()), int((inside & called).sum())))
    return found


@dataclass(frozen=True)
class Bin:
    """Models with P(memorizing) in [low, high): how many, their mean probability, and how many
    memorize."""

    low: float
    high: float
    n: int
    told: float
    memorizing: int


def reliability(analysis: CalibrationAnalysis, law: str) -> list[Bin]:
    """P(memorizing) against what is true, beside right text, families left out."""
    data = _rows(analysis.data, analysis.data["common"].values)
    p, true = data["classes"].sel(basis=law).values[:, 2], classes_of(data) == 2
    found = []
    for low, high in pairwise(EDGES):
        inside = (p >= low) & ((p < high) | (high == EDGES[-1]))
        n = int(inside.sum())
        told = float(p[inside].mean()) if n else math.nan
        found.append(Bin(low, high, n, told, int(true[inside].sum())))
    return found


def _rows(data: xr.Dataset, which: NDArray[np.bool_]) -> xr.Dataset:
    return data.isel(model=np.flatnonzero(which))


def _weights(families: NDArray[np.str_], rng: np.random.Generator) -> Floats:
    """How often (1 + REPLICATES, n) each model counts: once, then drawn within its family."""
    found = np.ones((REPLICATES + 1, len(families)))
    for name in dict.fromkeys(families.tolist()):
        mine = np.flatnonzero(families == name)
        found[1:, mine] = rng.multinomial(len(mine), np.full(len(mine), 1 / len(mine)), REPLICATES)
    return found


def _mean(values: Floats, weights: Floats) -> Estimate:
    def mean(mine: NDArray[np.bool_], w: Floats) -> Floats:
        found: Floats = (w @ values[mine]) / w.sum(-1)
        return found

    return _over_models(mean, values, weights)


def _over_models(
    mean: Callable[[NDArray[np.bool_], Floats], Floats], values: Floats, weights: Floats
) -> Estimate:
    """`mean(which models, weights)` over those with a finite value, and its interval."""
    known = np.isfinite(values)
    if not known.any():
        return Estimate(math.nan, math.nan, math.nan)
    used = weights[:, known]
    used = used[used.sum(1) > 0]
    found = mean(known, used)
    low, high = interval(found[1:])
    return Estimate(float(found[0]), float(low), float(high))

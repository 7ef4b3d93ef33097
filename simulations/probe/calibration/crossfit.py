"""Fits of the verdict's laws, to all families or to all but the one that is judged.

A model is judged by a fit that saw neither its family nor, where the family is a source, another
network of that kind of source. Judged, never fitted to, are networks beside wrong held-out text, of
a text that not everybody has, and that write other text than their source's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.probe.calibration.config import CalibrationConfig
from simulations.probe.calibration.families import FAMILIES
from simulations.probe.calibration.fit import (
    LAWS,
    SIGNS,
    class_probabilities,
    fit_ordinal,
    resampled_ordinal,
)
from simulations.probe.calibration.truth import CLASSES

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

DIGITS = 4  # of coefficients in the table
FEWER = 100  # replicates where a family is left out
LEAST = 1e-12  # a probability of 0, of a class that no model fitted to had
LAPSES = (0.01, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Fold:
    """A family that is left out: which models (n,) are fitted to, and which are judged by it."""

    family: str
    fitted: Rows
    judged: Rows


def to_fit(data: xr.Dataset) -> Rows:
    """Models (n,) that a law may be fitted to: `common` ones, of whose text what they write is."""
    common = np.asarray(data["common"].values, bool)
    return common & data["own_text"].values if "own_text" in data else common


def folds(data: xr.Dataset) -> Iterator[Fold]:
    """One for every family of `data` (variables family, kind, common of every model)."""
    families, kinds = data["family"].values, data["kind"].values
    common = to_fit(data)
    for name in dict.fromkeys(families.tolist()):
        judged = families == name
        fitted = common & ~judged
        if FAMILIES[name].is_source:
            fitted &= ~np.isin(kinds, kinds[judged])
        yield Fold(name, fitted, judged)


def classes_of(data: xr.Dataset) -> NDArray[np.int64]:
    """Number of each model's class in CLASSES."""
    return np.array([CLASSES.index(truth) for truth in data["truth"].values])


def columns(data: xr.Dataset, names: Sequence[str]) -> Floats:
    """Features (n, names) of the models."""
    found = np.empty((data.sizes["model"], len(names)))
    for k, name in enumerate(names):
        found[:, k] = data[name].values
    return found


class LeftOut(NamedTuple):
    """P(generalizing), P(middle), P(memorizing), (n, 3), of every model by a law that its family
    was left out of, NaN where a feature was not measured or too few classes are left; and the lapse
    of the law that judges each family."""

    classes: Floats
    lapse: dict[str, float]


def left_out(data: xr.Dataset, used: Sequence[str]) -> LeftOut:
    """What the law of the features `used` says of every model. Its lapse, too, is chosen without
    the family: by the log score of the others, each left out in turn."""
    x, classes = columns(data, used), classes_of(data)
    known = np.isfinite(x).all(1)
    p = np.full((len(x), len(CLASSES)), math.nan)
    base = p.copy()
    signs = [SIGNS[name] for name in used]
    for fold in folds(data):
        mine = fold.fitted & known
        if {0, 2} <= set(classes[mine].tolist()):
            c = fit_ordinal(x[mine], classes[mine], signs)
            judged = fold.judged & known
            p[judged] = class_probabilities(c, x[judged])
            base[judged] = np.bincount(classes[mine], minlength=len(CLASSES)) / mine.sum()
    common = to_fit(data)
    found, lapse = p.copy(), {"": best_lapse(p, base, classes, common)}
    for fold in folds(data):
        mine = fold.judged
        lapse[fold.family] = best_lapse(p, base, classes, common & ~mine)
        found[mine] = lapsed(p[mine], base[mine], lapse[fold.family])
    return LeftOut(found, lapse)


def lapsed(p: Floats, base: Floats, lapse: float) -> Floats:
    """Probabilities (n, classes) of a law that, with probability `lapse`, tells no more than the
    shares `base` of the classes."""
    return (1 - lapse) * p + lapse * base


def best_lapse(p: Floats, base: Floats, classes: NDArray[np.int64], which: Rows) -> float:
    """The one of LAPSES with the best log score of the models `which`; the first for none."""
    at = np.arange(len(p)), classes
    mine = which & np.isfinite(p).all(1)
    scores = [
        np.log(np.maximum(lapsed(p[at], base[at], lapse)[mine], LEAST)).sum() for lapse in LAPSES
    ]
    return LAPSES[int(np.argmax(scores))]


def fit_table(
    config: CalibrationConfig,
    data: xr.Dataset,
    lapses: Mapping[str, Mapping[str, float]],
    fold: Fold | None = None,
) -> dict[str, Any]:
    """What `simulations.probe.judge.chances` reads: the noises of the models that the fold is
    fitted to, those of `to_fit` by default, and of each law its features, how many models of
    each class there were, lapse, coefficients (c, w, gap), and those of resampled models.

    lapses : of each law those of `LeftOut`.
    """
    fitted, word = (None, "") if fold is None else (fold.fitted, fold.family)
    mine = to_fit(data) if fitted is None else fitted
    classes, found = classes_of(data), {}
    for name, used in LAWS.items():
        x = columns(data, used)
        rows = mine & np.isfinite(x).all(1)
        signs = [SIGNS[key] for key in used]
        rng = stream(config.root_seed, "resampled models", name, word)
        best = fit_ordinal(x[rows], classes[rows], signs)
        n = config.replicates if fold is None else min(config.replicates, FEWER)
        drawn = resampled_ordinal(x[rows], classes[rows], signs, rng, n, best)
        counts = np.bincount(classes[rows], minlength=len(CLASSES))
        counts = np.maximum(counts, 1).tolist()  # none counts as one: likelihoods divide by it
        found[name] = {
            "features": list(used),
            "classes": dict(zip(CLASSES, counts, strict=True)),
            "lapse": lapses[name][word],
            "coefficients": best.round(DIGITS).tolist(),
            "replicates": drawn.round(DIGITS).tolist(),
        }
    noises = sorted({FAMILIES[name].noise for name in data["family"].values[mine].tolist()})
    return {"noises": noises, "laws": found}

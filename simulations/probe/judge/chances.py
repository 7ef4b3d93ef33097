"""Chances of memorizing, in transition and generalizing, from features by a fitted law.

    P(memorizing) = s(z),   P(not generalizing) = s(z + gap),   z = c + w x,

s the logistic function, coefficients (c, w, gap) fitted to small networks of known answer
(`simulations.probe.calibration`). How often each class stood among these is divided out: what the
features say is a likelihood, and a chance needs a prior, that of memorizing, the rest being shared
evenly by the other two. With a small chance, the `lapse`, a network is like none of these, and
nothing but the prior is known of it.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from simulations.measure.bootstrap import interval
from simulations.probe.judge.evidence import Evidence
from simulations.probe.measure.estimate import Estimate

Floats = NDArray[np.float64]

TABLE = Path(__file__).parents[1] / "calibration" / "probe_calibration.json"
CLASSES = ("generalizing", "middle", "memorizing")


@dataclass(frozen=True)
class Chances:
    """Probabilities with 95 % intervals, which hold the choice of sequences and that of the
    networks the law was fitted to. ratio : likelihood of memorizing over generalizing."""

    law: str
    memorizing: Estimate
    generalizing: Estimate
    ratio: Estimate


@functools.cache
def calibration() -> dict[str, Any]:
    """The committed table of coefficients; see `simulations.probe.calibration.study`."""
    found: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


def law_for(features: Mapping[str, float], table: Mapping[str, Any]) -> str | None:
    """The fitted law that uses most of what was measured, None where there is nothing to use."""
    for name, law in table["laws"].items():
        if all(math.isfinite(features[feature]) for feature in law["features"]):
            return str(name)
    return None


def likelihoods(
    coefficients: Floats, law: Mapping[str, Any], features: Mapping[str, Any]
) -> Floats:
    """Of the CLASSES (n, 3), up to a factor a row, from features (n,) and coefficients (c, w, gap)
    of one fit, or a row each."""
    x = np.stack([np.asarray(features[name], np.float64) for name in law["features"]], axis=-1)
    rows = np.asarray(coefficients, np.float64)
    score = rows[..., 0] + (x * rows[..., 1:-1]).sum(-1)
    above = score + rows[..., -1]
    found = np.stack([expit(-above), expit(above) - expit(score), expit(score)], axis=-1)
    share = np.array([law["classes"][name] for name in CLASSES], np.float64)
    result: Floats = np.maximum(found, 1e-300) / (share / share.sum())
    return result


def priors(prior: float) -> Floats:
    """Of the CLASSES, from that of memorizing."""
    return np.array([(1 - prior) / 2, (1 - prior) / 2, prior])


def posterior(likelihood: Floats, prior: float, lapse: float) -> Floats:
    """Probabilities of the CLASSES (n, 3) at a prior of memorizing."""
    before = priors(prior)
    weight = likelihood * before
    found: Floats = (1 - lapse) * weight / weight.sum(-1, keepdims=True) + lapse * before
    return found


def chances_of(
    found: Evidence, name: str, table: Mapping[str, Any], prior: float, rng: np.random.Generator
) -> Chances:
    """The chances by the law `name` of the table."""
    law = table["laws"][name]
    one = {key: np.array([value]) for key, value in found.values.items()}
    here = likelihoods(np.array(law["coefficients"]), law, one)
    rows = np.array(law["replicates"])
    n = len(next(iter(found.replicates.values())))
    drawn = likelihoods(rows[rng.integers(len(rows), size=n)], law, found.replicates)
    drawn = drawn[np.isfinite(drawn).all(1)]
    even = priors(prior)
    here, drawn = (posterior(x, prior, law["lapse"]) for x in (here, drawn))
    odds = even[0] / even[2]
    told = {
        "memorizing": (here[0, 2], drawn[:, 2]),
        "generalizing": (here[0, 0], drawn[:, 0]),
        "ratio": (odds * here[0, 2] / here[0, 0], odds * drawn[:, 2] / drawn[:, 0]),
    }
    return Chances(name, **{k: _estimate(float(v), r, found.n) for k, (v, r) in told.items()})


def _estimate(value: float, drawn: Floats, n: int) -> Estimate:
    """With an interval that holds the value; of no replicates, all that is possible."""
    if not len(drawn):
        return Estimate(value, 0.0, max(1.0, value), 0)
    low, high = (float(end) for end in interval(drawn))
    return Estimate(value, min(low, value), max(high, value), n)

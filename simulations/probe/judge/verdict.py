"""Does the model memorize? A label with a probability, its interval, reasons and caveats.

With training data the verdict rests on the recovery gap, (R_train - R_heldout) / (1 - R_heldout)
of corrupted tokens: memorizing from 0.5 up, generalizing up to 0.1. Without, it rests on entropies
of `loo` (`simulations.probe.judge.features`), turned into a probability of memorizing by a
logistic law with few parameters, fitted to small models whose recovery gap is known
(`simulations.probe.calibration`).

One rule gives the label in both cases, from an estimate, its 95 % interval, and two bounds (0.1 and
0.5 of the gap, 0.25 and 0.75 of the probability): memorizing from the upper one up, generalizing up
to the lower one, in transition between; but not decidable where the interval holds both bounds. So
a label may be off by one step, with the interval to show it, and is the opposite of the truth only
where the interval misses it.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.bootstrap import interval
from simulations.measure.tables import spread
from simulations.probe.judge.caveats import caveats_of
from simulations.probe.judge.features import (
    MIDDLE_LEVEL,
    RECOVERY_LEVEL,
    feature_replicates,
    features_of,
    nearest_level,
)
from simulations.probe.measure.kind import erases, noise_of, small

Floats = NDArray[np.float64]
Label = Literal["memorizing", "in transition", "generalizing", "not decidable with this much data"]
UNDECIDABLE: Label = "not decidable with this much data"

TABLE = Path(__file__).parents[1] / "calibration" / "probe_calibration.json"
GAP_BOUNDS = (0.1, 0.5)
PROBABILITY_BOUNDS = (0.25, 0.75)
REPLICATES = 1000


@dataclass(frozen=True)
class Verdict:
    """What is said of a model.

    probability : of memorizing. By the recovery gap: the share of bootstrap replicates with a gap
        above the middle of the two bounds; `low` and `high` are the shares above the upper and
        the lower bound. By entropy: of the fitted law; `low` and `high` are its 95 % interval,
        which holds the choice of sequences and that of the models it was fitted to.
        NaN by entropy under another noise than the uniform, for which the law was not fitted.
    reasons : the numbers behind the label, a sentence each.
    caveats : what would make it wrong here, a sentence each.
    """

    label: Label
    basis: Literal["recovery gap", "entropy"]
    probability: float
    low: float
    high: float
    reasons: tuple[str, ...]
    caveats: tuple[str, ...]
    noise: str = "uniform"


def label_of(estimate: float, low: float, high: float, bounds: tuple[float, float]) -> Label:
    """The label of an estimate and its interval; see the module."""
    if not (math.isfinite(low) and math.isfinite(high)) or (low <= bounds[0] and high >= bounds[1]):
        return UNDECIDABLE
    if estimate >= bounds[1]:
        return "memorizing"
    return "generalizing" if estimate <= bounds[0] else "in transition"


def verdicts(data: xr.Dataset, rng: np.random.Generator) -> tuple[Verdict, ...]:
    """By the recovery gap where training data were measured, and always by entropy alone.

    The first is the headline. `data` is what `simulations.probe.measure.measures.measure` returns.
    """
    found = [entropy_verdict(data, rng, calibration())]
    if math.isfinite(features_of(data).recovery_gap):
        found.insert(0, recovery_verdict(data, rng))
    return tuple(found)


@functools.cache
def calibration() -> dict[str, Any]:
    """The committed table of coefficients; see `simulations.probe.calibration.study`."""
    found: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


def recovery_verdict(data: xr.Dataset, rng: np.random.Generator) -> Verdict:
    """From the recovery of corrupted tokens of training and held-out sequences."""
    seen = features_of(data)
    replicates = feature_replicates(data, rng, REPLICATES)["recovery_gap"]
    low, high = (float(end) for end in interval(replicates))
    known = replicates[np.isfinite(replicates)]
    bounds = (GAP_BOUNDS[1], sum(GAP_BOUNDS) / 2, GAP_BOUNDS[0])
    if len(known):
        shares = [float((known >= bound).mean()) for bound in bounds]
    else:
        shares = [0.0, 0.5, 1.0]
    t = data["t"].values[nearest_level(data["t"].values, RECOVERY_LEVEL)]
    what = "corrupted tokens at t = {} the best change"
    if erases(data):
        what = "masked tokens at t = {} the most probable value"
    reasons = (
        f"Of {what.format(f'{t:g}')} restores "
        f"{seen.recovery_train:.3f} in training and {seen.recovery_heldout:.3f} in held-out "
        "sequences.",
        f"That is {seen.recovery_gap:.3f}, 95 % {spread(low, high)}, of the way from held-out "
        f"recovery to 1: from {GAP_BOUNDS[1]:g} up is memorizing, up to {GAP_BOUNDS[0]:g} "
        "generalizing.",
    )
    label = label_of(seen.recovery_gap, low, high, GAP_BOUNDS)
    return Verdict(
        label,
        "recovery gap",
        *(shares[1], shares[0], shares[2]),
        reasons,
        caveats_of(data, "gap"),
        noise_of(data),
    )


def basis_of(features: Mapping[str, float], table: Mapping[str, Any]) -> str | None:
    """The fitted law that uses most of what was measured, None where there is nothing to use."""
    for name, law in table["laws"].items():
        if all(math.isfinite(features[feature]) for feature in law["features"]):
            return str(name)
    return None


def probabilities(law: Mapping[str, Any], features: Mapping[str, Any]) -> Floats:
    """Probability of memorizing of features (n,) by the fitted coefficients.

    With "replicates" of the law in place of its "coefficients", row k goes with replicate k.
    """
    return _logistic(np.array(law["coefficients"]), law, features)


def probability_replicates(
    law: Mapping[str, Any], features: Mapping[str, Any], rng: np.random.Generator
) -> Floats:
    """The same with coefficients drawn from those fitted to resampled calibration models."""
    rows = np.array(law["replicates"])
    n = len(features[law["features"][0]])
    return _logistic(rows[rng.integers(len(rows), size=n)], law, features)


def _logistic(coefficients: Floats, law: Mapping[str, Any], features: Mapping[str, Any]) -> Floats:
    x = np.stack([np.asarray(features[name], np.float64) for name in law["features"]], axis=-1)
    score = coefficients[..., 0] + (x * coefficients[..., 1:]).sum(-1)
    found: Floats = 1 / (1 + np.exp(-np.clip(score, -50, 50)))
    return found


def entropy_verdict(
    data: xr.Dataset, rng: np.random.Generator, table: Mapping[str, Any]
) -> Verdict:
    """From entropies of `loo` and repeats alone, without training data."""
    seen = features_of(data).as_dict()
    name = basis_of(seen, table)
    caveats = caveats_of(data, "entropy")
    if name is None:
        nothing = "Neither held-out nor generated sequences were measured."
        return Verdict(UNDECIDABLE, "entropy", 0.5, 0.0, 1.0, (nothing,), caveats, noise_of(data))
    law = table["laws"][name]
    estimate = float(probabilities(law, {key: np.array([x]) for key, x in seen.items()})[0])
    replicates = feature_replicates(data, rng, REPLICATES)
    drawn = probability_replicates(law, replicates, rng)
    drawn = drawn[np.isfinite(drawn)]
    low, high = (float(end) for end in interval(drawn)) if len(drawn) else (0.0, 1.0)
    ends = (min(low, estimate), max(high, estimate))
    label = label_of(estimate, *ends, PROBABILITY_BOUNDS)
    known = {key: values[np.isfinite(values)] for key, values in replicates.items()}
    reasons = _entropy_reasons(data, seen, known, law["features"])
    numbers = (estimate, *ends) if noise_of(data) == "uniform" else (math.nan,) * 3
    return Verdict(label, "entropy", *numbers, reasons, caveats, noise_of(data))


def _entropy_reasons(
    data: xr.Dataset, seen: Mapping[str, float], replicates: Mapping[str, Floats], used: list[str]
) -> tuple[str, ...]:
    """The features of the law in words, then others that were measured."""
    levels = data["t_entropy"].values
    t, least = f"{levels[nearest_level(levels, MIDDLE_LEVEL)]:g}", small(data)
    words = {
        "calibration_gap": f"On held-out text at {least} the model's surprise exceeds what its "
        "entropy foretells by {} of the surprise (0: calibrated; towards 1: confident and wrong).",
        "own_entropy": f"On its own sequences at {least} its entropy is {{}} of its log loss on "
        "held-out text (1: it writes what it reads; 0: every token of its texts is fixed by the "
        "others).",
        "own_entropy_middle": f"On its own sequences at t = {t} its entropy is {{}} of its log "
        "loss on held-out text there.",
        "own_share": f"On its own sequences at {least} its entropy is {{}} of log V.",
        "own_share_middle": f"On its own sequences at t = {t} its entropy is {{}} of log V.",
        "repeats": "Of its own sequences {} are exact repeats, beyond the share in held-out text.",
    }
    order = [*used, *(name for name in words if name not in used)]
    found = []
    for name in order:
        if not math.isfinite(seen[name]):
            continue
        values = replicates[name]
        low, high = map(float, interval(values)) if len(values) else (math.nan, math.nan)
        shown = f"{seen[name]:.3f} (95 % {spread(low, high)})"
        found.append(words[name].format(shown))
    return tuple(found)

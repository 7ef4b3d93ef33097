"""Does the model memorize? One sentence, the numbers it rests on, and what would overturn it.

With training data the verdict rests on M, the share of the way from held-out recovery to 1 at which
training sequences are: memorizing from 0.5 up, generalizing up to 0.1. Without, it rests on the
model's own sequences, which are those it stores where it memorizes: how surely it knows them beside
held-out text (ratios of `simulations.probe.judge.features`) goes into a law of three classes that
was fitted to small networks whose M is known (`simulations.probe.judge.chances`).

Checks (`simulations.probe.judge.checks`) come first. A held-out text that is not the model's is no
measure of anything, and then only own sequences that repeat themselves decide. Evidence that
contradicts itself decides nothing, and is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from simulations.probe.judge.attractors import Attractors
from simulations.probe.judge.chances import Chances, calibration, chances_of, law_for
from simulations.probe.judge.checks import (
    Basis,
    Check,
    checks_of,
)
from simulations.probe.judge.evidence import UNKNOWN, Evidence, evidence_of
from simulations.probe.judge.readable import (
    is_held_out,
    not_finite,
    nothing_learnt,
    reads_own_token,
)
from simulations.probe.judge.words import (
    CLASSES,
    OF_OTHER_TEXT,
    SETTLED,
    UNDECIDABLE,
    UNKNOWN_TEXT,
    WITHHELD,
    Label,
    answer_of,
    numbers_with,
    numbers_without,
    reasons_with,
    reasons_without,
    unwritten,
)
from simulations.probe.measure.estimate import Estimate
from simulations.probe.measure.kind import noise_of

ORDER_BOUNDS = (0.1, 0.5)  # of M
CHANCE = 0.5  # from which on a class is named
REPEATED = 0.25  # of what it writes, by which a model memorizes whatever the text says
PRIOR = 1 / 3


@dataclass(frozen=True)
class Verdict:
    """What is said of a model.

    label, answer : the verdict, in a word and in a sentence. basis : what it was made from.
    settle : what it would take to settle it, empty where it is. numbers : the three that it rests
    on, each with its words.
    order : M with training data; with own sequences in their place without. chances : of the
    classes, None with training data. share : of the training sequences, or of what the model
    writes, that it knows better than held-out text explains, at least. reasons : the numbers, a
    sentence each. checks : what would make it wrong, and whether that was looked for. attractors :
    where noise leads, without training data; it is described, and decides nothing.
    """

    label: Label
    basis: Basis
    answer: str
    settle: str
    numbers: tuple[tuple[str, Estimate], ...]
    order: Estimate
    chances: Chances | None
    share: Estimate
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    attractors: Attractors | None = None

    @property
    def sentence(self) -> str:
        """The answer, and what it would take to settle it; without a full stop at its end."""
        return f"{self.answer}. {self.settle}".strip(". ")

    @property
    def caveats(self) -> tuple[str, ...]:
        """What the checks that did not pass found."""
        return tuple(check.said for check in self.checks if check.result != "passed")

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(check.name for check in self.checks if check.result == "failed")


def verdicts(
    data: xr.Dataset, rng: np.random.Generator, prior: float = PRIOR
) -> tuple[Verdict, ...]:
    """With training data where they were measured, and always without; the first is the headline,
    which is that without where training data cannot be judged by this held-out text.

    `data` is what `simulations.probe.measure.measures.measure` returns; prior: of memorizing.
    """
    found = evidence_of(data, rng)
    without = verdict_without(found, rng, calibration(), prior)
    if math.isnan(found.seen.order):
        return (without,)
    first = verdict_with(found, without)
    if first.label == WITHHELD and without.label == "memorizing":
        return without, first
    return first, without


def label_of(estimate: Estimate) -> Label:
    """The label of M: the same rule for the estimate and its interval, which decides nothing where
    it holds both bounds."""
    low, high = ORDER_BOUNDS
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return UNDECIDABLE
    if estimate.low <= low and estimate.high >= high:
        return UNDECIDABLE
    if estimate.value >= high:
        return "memorizing"
    return "generalizing" if estimate.value <= low else "in transition"


def label_of_chances(found: Chances) -> Label:
    """The class whose chance is at least CHANCE, in transition for neither; nothing is decided
    where the intervals allow both ends."""
    if found.memorizing.high >= CHANCE and found.generalizing.high >= CHANCE:
        return UNDECIDABLE
    if found.memorizing.value >= CHANCE:
        return "memorizing"
    return "generalizing" if found.generalizing.value >= CHANCE else "in transition"


def verdict_with(found: Evidence, without: Verdict) -> Verdict:
    """From the training data."""
    basis: Basis = "training data"
    order, checks = found.feature("order"), checks_of(found, basis)
    label, answer = label_of(order), ""
    failed = {check.name for check in checks if check.result == "failed"}
    own = without.label if without.basis == "own sequences alone" or not without.failed else ""
    if not_finite(found.data):
        label = "not finite"
    elif "law" in failed:
        label = "not readable"
    elif nothing_learnt(found):
        label = "nothing learnt"
    elif "domain" in failed or (label != "memorizing" and not is_held_out(found.data)):
        label = WITHHELD
    elif label != "generalizing" and "other text" in failed:
        label = WITHHELD
    elif label == "generalizing" and own == "memorizing":
        label = "not this network's data"
    elif label == "memorizing" and own == "generalizing":
        answer = (
            "its own sequences do not show it: it writes other texts than those it knows by heart, "
            "or few of them"
        )
    reasons = reasons_with(found, order, ORDER_BOUNDS)
    told = answer_of(label, order, None, found.share, basis, failed) + (
        f"; but {answer}" if answer else ""
    )
    told = "; ".join(words for words in (told, unwritten(found)) if words)
    numbers = numbers_with(found, order)
    settle = SETTLED.get(label, "")
    return Verdict(label, basis, told, settle, numbers, order, None, found.share, reasons, checks)


def verdict_without(
    found: Evidence, rng: np.random.Generator, table: Mapping[str, Any], prior: float = PRIOR
) -> Verdict:
    """From held-out text and what the model writes, or from what it writes alone."""
    label, basis, chances = _without(found, rng, table, prior)
    checks = checks_of(found, basis, table["noises"])
    alone = basis == "own sequences alone"
    near = UNKNOWN if found.states is None else found.states.near
    share = near if alone or near.low > found.own_share.value else found.own_share
    order = UNKNOWN if alone else found.feature("own_order")
    results = {check.name: check.result for check in checks}
    failed = [name for name, result in results.items() if result == "failed"]
    answer = answer_of(label, order, chances, share, basis, failed)
    answer = "; ".join(words for words in (unwritten(found), answer) if words)
    if label == "generalizing" and results.get("other text") == "failed":
        answer += OF_OTHER_TEXT
    if label in CLASSES and results["domain"] == "not tested":
        answer += UNKNOWN_TEXT
    used = [] if chances is None else table["laws"][chances.law]["features"]
    reasons = tuple(reasons_without(found, chances, used, prior))
    numbers = numbers_without(found, order, chances)
    settle = SETTLED.get(label, "")
    return Verdict(
        label,
        basis,
        answer,
        settle,
        numbers,
        order,
        chances,
        share,
        reasons,
        checks,
        found.attractors,
    )


def _without(
    found: Evidence, rng: np.random.Generator, table: Mapping[str, Any], prior: float
) -> tuple[Label, Basis, Chances | None]:
    """Label, basis and chances without training data."""
    repeated = found.states is not None and found.states.near.low >= REPEATED
    foreign = found.text is not None and found.text.result == "failed"
    basis: Basis = "own sequences alone" if foreign else "held-out and own sequences"
    if not_finite(found.data):
        return "not finite", basis, None
    if reads_own_token(found):
        return "not readable", basis, None
    if nothing_learnt(found):
        return "nothing learnt", basis, None
    if foreign:
        return ("memorizing" if repeated else WITHHELD), basis, None
    if noise_of(found.data) not in table["noises"]:
        return label_of(found.feature("own_order")), basis, None
    name = law_for(found.values, table)
    if name is None:
        return UNDECIDABLE, basis, None
    if "held-out" not in name:
        basis = "own sequences alone"
    chances = chances_of(found, name, table, prior, rng)
    label = label_of_chances(chances)
    if label == "generalizing" and (repeated or not is_held_out(found.data)):
        label = WITHHELD
    return label, basis, chances

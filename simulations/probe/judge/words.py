"""What a verdict says: its labels, the answer in a sentence, the numbers behind it in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

from simulations.measure.tables import number, spread
from simulations.probe.judge.attractors import Attractors
from simulations.probe.judge.chances import Chances
from simulations.probe.judge.checks import Basis
from simulations.probe.judge.evidence import UNKNOWN, Evidence
from simulations.probe.measure.budget import SHORT
from simulations.probe.measure.dataset import split_rows
from simulations.probe.measure.estimate import Estimate
from simulations.probe.measure.kind import erases, least

Label = Literal[
    "memorizing",
    "in transition",
    "generalizing",
    "not decidable with this much data",
    "withheld",
    "nothing learnt",
    "not finite",
    "not readable",
    "not this network's data",
]
UNDECIDABLE: Label = "not decidable with this much data"
WITHHELD: Label = "withheld"

CLASSES: tuple[Label, ...] = ("memorizing", "in transition", "generalizing")

UNKNOWN_TEXT = "; it could not be told whether the held-out text is of this model's source"
OF_OTHER_TEXT = (
    "; this cannot be said of that part of what it writes which is of another kind than the "
    "held-out text"
)
SETTLED: dict[Label, str] = {
    "withheld": "A held-out text of all that the model was trained on would settle it.",
    "not this network's data": "The file that the network was trained on would settle it.",
    UNDECIDABLE: "More sequences would settle it: a larger --budget, --sequences or --generate.",
    "not readable": "Its leave-one-out law would settle it: convert full to loo, or state --law.",
    "not finite": "A network whose laws are numbers would settle it.",
}
MEANS: dict[Label, str] = {
    "nothing learnt": "its laws are flat",
    "not finite": "its laws are no numbers",
    "not readable": "what is given as loo follows its own token",
    "not this network's data": "the training file does not seem to be what this network saw",
}


def answer_of(
    label: Label,
    order: Estimate,
    chances: Chances | None,
    share: Estimate,
    basis: Basis,
    failed: Collection[str],
) -> str:
    """The verdict in one sentence: what is so, with the number that says it, and by what.

    failed : names of the checks that failed.
    """
    words = [MEANS[label]] if label in MEANS else []
    if basis == "training data" and math.isfinite(order.value):
        words.append(f"M = {shown(order, 2)}, by training data")
    elif chances is not None:
        words.append(
            f"probability of memorizing {shown(chances.memorizing, 2)}, of generalizing "
            f"{shown(chances.generalizing, 2)}, by {basis}"
        )
    elif math.isfinite(order.value) and label in CLASSES:
        words.append(
            f"a first guess by {basis}, {shown(order, 2)} on the way from held-out recovery to 1: "
            "no probability was fitted to this noise"
        )
    elif label == "memorizing":
        words.append(f"by {basis}")
    if label == "withheld":
        words.append(_why_withheld(failed, basis))
    elif label == "not this network's data":
        words.append("it is known no better than held-out text, yet what it writes shows a memory")
    if label in ("memorizing", "in transition") and math.isfinite(share.value):
        whose = "training sequences" if basis == "training data" else "what it writes"
        words.append(
            f"at least {shown(share, 2)} of {whose} known better than held-out text explains"
        )
    return "; ".join(words)


def unwritten(found: Evidence) -> str:
    """Why nothing of the model's own was read, where nothing was."""
    if found.states is not None or split_rows(found.data, "generated").sizes["sequence"]:
        return ""
    why = "it was not asked to"
    if SHORT in str(found.data.attrs.get("budget", "")):
        why = "the budget was too small"
    return f"it wrote nothing, as {why}"


def _why_withheld(failed: Collection[str], basis: Basis) -> str:
    if "domain" in failed and basis == "training data":
        return "the held-out text is not of the source of the training file"
    if "domain" in failed:
        return (
            "the held-out text is unlike what this model writes, from elsewhere or because it "
            "writes badly, and what it writes decides nothing"
        )
    if "other text" in failed and basis == "training data":
        return "the training file holds text of another kind than the held-out text"
    if "overlap" in failed:
        return "held-out sequences are training sequences"
    return "what it writes repeats itself, and yet it knows held-out text as well"


def shown(found: Estimate, digits: int = 3) -> str:
    if math.isnan(found.low):
        return f"{number(found.value, digits)} (no interval)"
    return f"{number(found.value, digits)} {spread(found.low, found.high, digits)}"


def reasons_with(found: Evidence, order: Estimate, bounds: tuple[float, float]) -> tuple[str, ...]:
    """What M rests on."""
    where, seen = least(found.data), found.seen
    return (
        f"From the others the model knows {seen.recovery_train:.3f} of the tokens of training and "
        f"{seen.recovery_heldout:.3f} of held-out sequences, at {where}, the smallest level that "
        "can be read.",
        f"M, that on the way from held-out to 1, is {shown(order)}: from {bounds[1]:g} up is "
        f"memorizing, up to {bounds[0]:g} generalizing.",
        *_of_share(found.share, "training sequences"),
    )


def numbers_with(found: Evidence, order: Estimate) -> tuple[tuple[str, Estimate], ...]:
    """The three numbers of a verdict by training data."""
    foreign = UNKNOWN if found.pair is None else found.pair.foreign
    return (
        ("M: training sequences on the way from held-out recovery to 1", order),
        (
            "share of the training sequences known better than held-out ones explain, at least",
            found.share,
        ),
        ("share of the held-out text that is unlike the training file", foreign),
    )


def numbers_without(
    found: Evidence, order: Estimate, chances: Chances | None
) -> tuple[tuple[str, Estimate], ...]:
    """The three numbers of a verdict without."""
    near = UNKNOWN if found.states is None else found.states.near
    foreign = UNKNOWN if found.text is None else found.text.foreign
    first = ("probability of memorizing", UNKNOWN if chances is None else chances.memorizing)
    if chances is None and found.states is not None:
        first = ("sequences that it writes, in effect", found.states.number)
    second = ("log loss on what it writes over that on held-out text", found.feature("own_loss"))
    if math.isnan(order.value):
        second = ("share of the held-out text that is unlike what it writes", foreign)
    return first, second, ("share of what it writes that repeats itself", near)


def _of_share(share: Estimate, whose: str) -> list[str]:
    if math.isnan(share.value):
        return []
    return [
        f"At least {shown(share, 2)} of {whose} are known better than held-out ones are: a share "
        "that those do not explain."
    ]


def reasons_without(
    found: Evidence, chances: Chances | None, used: Sequence[str], prior: float
) -> list[str]:
    """The features in words, those of the law first."""
    told = []
    if chances is not None:
        told.append(
            f"What was read is {shown(chances.ratio, 2)} times as likely of a model that "
            f"memorizes as of one that generalizes; with a prior of {prior:.2g} of memorizing its "
            f"probability is {shown(chances.memorizing, 2)}."
        )
    at = least(found.data)
    words = {
        "own_order": f"From the others it knows {found.seen.recovery_own:.3f} of the tokens of "
        f"what it writes and {found.seen.recovery_heldout:.3f} of held-out text, at {at}: {{}} of "
        "the way from held-out to 1.",
        "own_loss": "Its log loss on what it writes is {} of that on held-out text, next to t = "
        "0.25 (1: it writes what it reads; 0: it knows what it writes).",
        "own_entropy_middle": "Its entropy on what it writes is {} of its log loss on held-out "
        "text, next to t = 0.5.",
        "calibration_gap": f"On held-out text at {at} its surprise exceeds what its entropy "
        "foretells by {} of the surprise (0: calibrated; towards 1: confident and wrong).",
        "own_share_middle": "Its entropy on what it writes is {} of log V, next to t = 0.5.",
    }
    order = [*(name for name in used if name in words), *(n for n in words if n not in used)]
    for name in order:
        value = found.feature(name)
        if math.isfinite(value.value):
            told.append(words[name].format(shown(value)))
    if found.states is not None:
        near, count = found.states.near, found.states.number
        told.append(
            f"Of what it writes {shown(near, 2)} {_alike(found.states.within)} something else that "
            "it writes, beyond what its bigrams and the text explain; in effect it writes "
            + (
                f"{count.value:,.0f} sequences, 95 % {_range(count)}."
                if math.isfinite(count.value)
                else f"more than {count.low:,.0f} sequences."
            )
        )
    told += _of_share(found.own_share, "its own sequences")
    ends = found.attractors
    return told if ends is None else [*told, _of_attractors(ends, erases(found.data))]


def _of_attractors(ends: Attractors, masks: bool) -> str:
    how = "its likeliest tokens lead from noise,"
    if masks:
        how = "filling masks with the likeliest tokens, in a random order each, leads"
    count = f"as among {ends.number.value:,.0f}, 95 % {_range(ends.number)}"
    if not math.isfinite(ends.number.value):
        count = f"not once, as among more than {ends.number.low:,.0f}"
    held = f" and {shown(ends.heldout, 2)} of held-out text" if ends.heldout.known else ""
    return (
        f"Described, not judged by: {how} from {ends.starts:,} starts to {ends.distinct:,} ends "
        f"({ends.settled:.0%} settled), where two meet {count}; {shown(ends.own, 2)} of what it "
        f"writes{held} {_alike(ends.within)} an end. Few ends are no memory: an orderly source has "
        "few without it, and a large store is not found from noise."
    )


def _alike(within: int) -> str:
    if within == 0:
        return "equals"
    return f"differs in at most {within} token{'s' * (within > 1)} from"


def _range(count: Estimate) -> str:
    high = f"{count.high:,.0f}" if math.isfinite(count.high) else "no upper end"
    return f"[{count.low:,.0f}, {high}]"

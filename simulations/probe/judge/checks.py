"""What would make a probe's verdict wrong, and whether it was looked for: a list of checks.

Each check passed, failed, or was not tested; `decides` are those without which no verdict is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from models.contract.claims import IN_PART
from simulations.measure.names import SMALL_LEVEL
from simulations.measure.tables import spread
from simulations.probe.judge.domain import Domain, Result
from simulations.probe.judge.evidence import Evidence
from simulations.probe.judge.features import is_rescaled, own_rows
from simulations.probe.judge.readable import is_held_out, nothing_learnt, overlap, reads_own_token
from simulations.probe.measure.dataset import split_rows
from simulations.probe.measure.estimate import Estimate
from simulations.probe.measure.kind import least, least_level, limits_in, noise_of
from simulations.probe.measure.temperature import LEVEL

Basis = Literal["training data", "held-out and own sequences", "own sequences alone"]

LOW_ENTROPY = 0.1  # nats a token of held-out log loss; below, a memory and a good model look alike
FEW = 32  # sequences of a split
MEMORIZED, SURPRISED = 0.5, 0.05  # M, and the calibration gap that it should come with
AS_HARD = 0.85  # of the log loss on held-out text, above which own sequences are as hard
LEARNT = 0.1  # t from which on a law is sure to have been trained
REPEATS = 0.01  # of the sequences of a file, of which nothing need be said
OTHERWISE = 0.1  # of its own sequences, from which on a model writes other things besides


@dataclass(frozen=True)
class Check:
    """One way to be wrong. `asked`: what has to hold; `said`: what was found, a sentence."""

    name: str
    asked: str
    result: Result
    said: str


def checks_of(found: Evidence, basis: Basis, noises: Sequence[str] = ()) -> tuple[Check, ...]:
    """Every check that bears on a verdict of this basis; `noises`: those of the networks that the
    law of chances was fitted to."""
    data = found.data
    listed: list[Check | None] = [_of_text(found, basis), _of_strange(found, basis)]
    if basis == "training data":
        listed.append(_of_surprise(found))
    else:
        listed += [_of_temperature(data), _of_hardness(found)]
    listed += [_of_law(found), _of_learning(found), _of_source(found), _of_size(data)]
    if split_rows(data, "train").sizes["sequence"]:
        listed.append(_of_overlap(data))
    if basis != "training data":
        listed += [_of_noise(data, noises), _of_precision(data)]
    listed.append(_of_repeats(data))
    return tuple(check for check in listed if check is not None)


def _told(share: Estimate) -> str:
    return f"{share.value:.2f}, 95 % {spread(share.low, share.high, 2)}"


def _of_text(found: Evidence, basis: Basis) -> Check:
    ours = basis == "training data"
    which: Domain | None = found.pair if ours else found.text
    other = "the training file" if ours else "the model's own sequences"
    asked = f"The held-out text is of the same source as {other}."
    if ours and found.text is not None and found.text.result == "failed":
        if which is None or which.result == "not tested":  # its own sequences stand for the file
            which, other = found.text, "the model's own sequences"
    if which is None or math.isnan(which.foreign.value):
        said = "There are too few sequences, or none, of one of the two."
        return Check("domain", asked, "not tested", said)
    said = f"Of the held-out text {_told(which.foreign)} is unlike {other}, by bigrams."
    return Check("domain", asked, which.result, said)


def _of_strange(found: Evidence, basis: Basis) -> Check | None:
    ours = basis == "training data"
    which = found.pair if ours else found.text
    if which is None or math.isnan(which.strange.value):
        return None
    share = which.strange
    if share.low > OTHERWISE or share.value > 2 * OTHERWISE:
        result: Result = "failed"
    else:
        result = "passed" if share.high < 2 * OTHERWISE else "not tested"
    if ours:
        asked = "The training file holds nothing besides what the held-out text is like."
        said = f"Of the training file {_told(share)} is unlike the held-out text, by bigrams"
        more = ": it may be easier, and not known by heart."
    else:
        asked = "The model writes nothing besides what the held-out text is like."
        said = f"Of its own sequences {_told(share)} are unlike the held-out text, by bigrams"
        more = ": whether it knows such texts by heart, this held-out text does not tell."
    return Check("other text", asked, result, said + (more if result == "failed" else "."))


def _of_surprise(found: Evidence) -> Check | None:
    order, gap = found.feature("order"), found.feature("calibration_gap")
    if not order.value >= MEMORIZED or math.isnan(gap.high):
        return None
    asked = "Held-out text surprises the model more than it foretells, as where it memorizes."
    said = f"By {gap.value:.2f}, 95 % {spread(gap.low, gap.high, 2)}, of its surprise."
    if gap.high >= SURPRISED:
        return Check("surprise", asked, "passed", said)
    more = " The training file may be easier than the held-out text, and not known by heart."
    return Check("surprise", asked, "failed", said + more)


def _of_hardness(found: Evidence) -> Check | None:
    data = found.data
    if "tempered_loss" not in data or is_rescaled(data):
        return None
    losses = [
        data["tempered_loss"].sel(beta=1.0).values[data["split"].values == name]
        for name in ("generated", "heldout")
    ]
    known = [x[np.isfinite(x)] for x in losses]
    asked = f"What it writes is as hard to foretell as the text at t = {LEVEL:g}."
    if min(len(x) for x in known) < FEW:
        return Check("hardness", asked, "not tested", "Too few sequences were read there.")
    ratio = float(known[0].mean() / known[1].mean())
    said = f"Its log loss on what it writes is {ratio:.2f} of that on the text there."
    repeated = found.states is not None and found.states.near.low > OTHERWISE
    if ratio >= AS_HARD or repeated:
        return Check("hardness", asked, "passed", said)
    more = " It may write simpler texts than it was given, as at a low temperature of its logits."
    return Check("hardness", asked, "failed", said + more)


def _of_temperature(data: xr.Dataset) -> Check:
    asked = "The model writes at the temperature of its laws."
    beta = float(data.attrs.get("inverse_temperature", math.nan))
    if math.isnan(beta):
        return Check("temperature", asked, "not tested", "It was not asked to write.")
    if beta == 1:
        said = (
            "Its own sequences are foretold best near temperature 1; of independent tokens none "
            "could be found."
        )
        return Check("temperature", asked, "passed", said)
    where = f"It writes as its laws foretell at a temperature of {1 / beta:.2f} of its logits"
    if is_rescaled(data):
        said = f"{where}, and the verdict is of the model at that one."
        return Check("temperature", asked, "passed", said)
    said = (
        f"{where}, but there it writes less like the held-out text: it is read as it is. A network "
        "that is too sure of itself everywhere, by memory or by little training, looks like that."
    )
    return Check("temperature", asked, "not tested", said)


def _of_law(found: Evidence) -> Check:
    asked = "What is read as loo does not follow its own token."
    if least_level(found.data) != SMALL_LEVEL:
        said = (
            "The network gives full; loo that is made from it is read from "
            f"t = {least_level(found.data):g} on, as at smaller t it follows its own token."
        )
        return Check("law", asked, "passed", said)
    share = found.seen.random_loss
    if math.isnan(share):
        return Check("law", asked, "not tested", "No random tokens were read.")
    at = least(found.data)
    said = f"On random tokens at {at} its log loss is {share:.2f} log V; of a loo it is 1 or more."
    if not reads_own_token(found):
        note = _in_part(found.data)
        return Check("law", asked, "not tested" if note else "passed", f"{said} {note}".strip())
    more = (
        " The softmax seems to be full, p(x_0^i | x_t), as of a network trained by cross-entropy "
        "to x_0; it says nothing of memory before it is converted by "
        "am_theory.channel.loo_from_full."
    )
    return Check("law", asked, "failed", said + more)


def _in_part(data: xr.Dataset) -> str:
    """What was seen of a law that follows its own token in part; empty where it was not."""
    listed = data.attrs.get("warnings", [])
    notes = [listed] if isinstance(listed, str) else listed
    return next((str(words) for words in notes if str(words).startswith(IN_PART)), "")


def _of_learning(found: Evidence) -> Check:
    share = found.seen.heldout_loss
    asked = "The model has learnt something of the text."
    if math.isnan(share):
        return Check("learning", asked, "not tested", "No held-out text was read.")
    said = f"Its held-out log loss at {least(found.data)} is {share:.2f} log V."
    return Check("learning", asked, "failed" if nothing_learnt(found) else "passed", said)


def _of_source(found: Evidence) -> Check:
    asked = "The text is not so orderly that a memory and a good model look alike."
    share = found.seen.heldout_loss
    if math.isnan(share):
        said = "No held-out text: a source of low entropy cannot be told from a memory."
        return Check("order", asked, "not tested", said)
    loss = share * math.log(int(found.data.attrs["vocab_size"]))
    said = f"The held-out log loss at {least(found.data)} is {loss:.3f} nats a token."
    low = loss < LOW_ENTROPY and not reads_own_token(found)
    return Check("order", asked, "failed" if low else "passed", said)


def _of_size(data: xr.Dataset) -> Check:
    counts = {
        word: split_rows(data, name).sizes["sequence"]
        for name, word in (("train", "training"), ("heldout", "held-out"), ("generated", "own"))
    }
    few = {word: n for word, n in counts.items() if 0 < n < FEW}
    said = "Measured: " + ", ".join(f"{n} {word}" for word, n in counts.items() if n) + "."
    asked = f"There are at least {FEW} sequences of each kind."
    return Check("size", asked, "failed" if few else "passed", said)


def _of_noise(data: xr.Dataset, calibrated: Sequence[str]) -> Check:
    noise = noise_of(data)
    asked = "The law of the verdict was fitted to networks of this noise."
    if noise in calibrated:
        return Check("noise", asked, "passed", f"It was, to {noise} noise.")
    said = (
        f"Not to {noise} noise, which corrupts tokens in another way: read the label as a first "
        "guess, and the numbers for themselves."
    )
    return Check("noise", asked, "failed", said)


def _of_precision(data: xr.Dataset) -> Check:
    asked = "The laws can be read at their precision."
    limits = limits_in(data)
    if limits:
        return Check("precision", asked, "failed", " ".join(limits))
    if least_level(data) != SMALL_LEVEL:
        said = f"They are read from {least(data)} on."
        return Check("precision", asked, "passed", said)
    levels = data["t_entropy"].values
    own = own_rows(data)[0].sel(law="loo")["log_loss"].values
    if not len(own) or np.isnan(own).all():
        return Check("precision", asked, "not tested", "It was not asked to write.")
    losses = np.nanmean(own, axis=0)
    first = int(np.argmax(levels >= LEARNT))
    if losses[0] > 1.25 * losses[first]:
        said = (
            f"Its own sequences cost it more at {least(data)} than at t = {levels[first]:g} "
            f"({losses[0]:.2f} for {losses[first]:.2f} nats a token), where more of them is lost: "
            "its laws near t = 0 are not learnt."
        )
        return Check("precision", asked, "failed", said)
    return Check("precision", asked, "passed", "Log losses on its own sequences rise with t.")


def _of_repeats(data: xr.Dataset) -> Check:
    told, many = [], False
    for name, word in (("train", "training"), ("heldout", "held-out")):
        tokens = split_rows(data, name)["tokens"].values
        repeated = len(tokens) - len(np.unique(tokens, axis=0)) if len(tokens) else 0
        if repeated:
            told.append(f"{repeated} of the {len(tokens)} {word} sequences")
            many |= repeated > REPEATS * len(tokens)
    asked = "Hardly any sequence stands twice in the files."
    said = f"Repeats: {' and '.join(told)}." if told else "None of those measured does."
    if many:
        said += " They count several times, and a text that repeats itself is memorized sooner."
    return Check("repeats", asked, "failed" if many else "passed", said)


def _of_overlap(data: xr.Dataset) -> Check:
    shared, n = overlap(data)
    chance = float(data.attrs.get("train_repeats", 0.0))
    asked = "Held-out sequences are training sequences no more often than by chance."
    said = f"{shared} of the {n} measured are"
    said += f"; by chance {chance * n:.0f} would be." if chance else "."
    if is_held_out(data):
        return Check("overlap", asked, "passed", said)
    more = " They are not held out, which hides what is known by heart."
    return Check("overlap", asked, "failed", said + more)

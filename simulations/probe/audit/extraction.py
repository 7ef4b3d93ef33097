"""Extraction: shown the first tokens of a sequence, does the model ever give the rest?

A sequence is (n, p)-extractable if one of n draws of its suffix gives it with probability p or more
(Hayes et al. 2024, arXiv:2410.19482; `am_theory.extraction`). Held-out sequences are extracted too,
where they are likely: what is told is the training sequences' share less theirs, at the same n.

Draws hold the prefix (`models.held`). Where the channel redraws the network takes it for less than
certain, and finds less than is stored: of an exact store of 200 sequences of 16 of 4 tokens, 4 of
them shown, one draw finds 0.13 under uniform and 0.24 under hybrid noise, where the exact law finds
0.69 (tests/simulations/probe/test_extraction.py). No extraction is then no sign of no memory.
Under erasures alone the chance p_z that a draw in order, a token at a time, gives the suffix is
known from one pass a token, and with it the share for every n.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from models.held import complete
from models.streams import stream
from models.unmasking import log_prob_in_order
from simulations.console.errors import UserError
from simulations.console.units import format_seconds
from simulations.probe.audit.copies import reach
from simulations.probe.audit.edits import as_text, edits_of
from simulations.probe.audit.shares import drawn_within, means
from simulations.probe.measure.cells import Work
from simulations.probe.measure.dataset import Split
from simulations.probe.measure.estimate import Estimate
from simulations.probe.measure.parts import Parts

Floats = NDArray[np.float64]

SPLITS = ("train", "heldout")
ROWS = 32  # sequences of a part
EXTRACTABLE = 0.5  # p of (n, p)-extractable
REFERENCE = "_reference"  # suffix of what the reference network draws


class ExtractionError(UserError, ValueError):
    """Extraction that cannot be asked of these sequences; the message says why."""


def seconds(
    work: Work, splits: Mapping[str, int], n: int, step: float, suffix: str = ""
) -> dict[str, float]:
    """Every part and its rough seconds: of the first n sequences of those splits that there are
    (name: sequences), `step` seconds a sequence and reverse step; `suffix` as in `extracted`.

    Raises ExtractionError for a prefix that leaves nothing to draw, and without a sequence.
    """
    config, length = work.config, work.reader.seq_len
    if not config.draws:
        return {}
    if not 0 < config.prefix < length:
        raise ExtractionError(
            f"`prefix` is the tokens that are shown, 1 to {length - 1} of these sequences of "
            f"{length}; got {config.prefix}."
        )
    there = {name: min(n, splits[name]) for name in SPLITS if name in splits}
    if not sum(there.values()):
        raise ExtractionError(
            "suffixes are drawn of the sequences that run through the reverse process, and there "
            "are none: give --recover, and --train or --test."
        )
    each = config.draws * config.steps * step
    return {
        _name(split, first, suffix): min(ROWS, size - first) * each
        for split, size in there.items()
        for first in range(0, size, ROWS)
    }


def announced(work: Work, parts: Mapping[str, float], n: int) -> str:
    """What is going to be drawn, and how long it takes, in a sentence."""
    config = work.config
    hidden = work.reader.seq_len - config.prefix
    return (
        f"Extraction: {config.draws} draws of the {hidden} tokens after the first {config.prefix}, "
        f"of up to {n} sequences a split, {config.steps} reverse steps each: about "
        f"{format_seconds(sum(parts.values()))}, of which finished parts are kept."
    )


def extracted(
    work: Work,
    parts: Parts,
    splits: Mapping[str, Split],
    n: int,
    data: xr.Dataset,
    suffix: str = "",
) -> xr.Dataset:
    """`data` with what draws of the first n training and held-out sequences came to.

    extract_edits (sequence, draw): edits from the drawn suffix to the true one, -1 where nothing
    was drawn; extract_log_p (sequence,): log p_z, NaN where it is not known. `suffix` of these
    names and of the parts': REFERENCE where it is the reference network that draws.
    """
    edits = np.full((data.sizes["sequence"], work.config.draws), -1, np.int32)
    log_p = np.full(len(edits), np.nan)
    for split in (splits[name] for name in SPLITS if name in splits):
        start = int(np.argmax(data["split"].values == split.name))
        for first in range(0, min(n, len(split.tokens)), ROWS):
            last = min(first + ROWS, n, len(split.tokens))
            part = Split(split.name, split.tokens[first:last], split.index[first:last])
            found = parts.run(_name(split.name, first, suffix), _drawn, work, part, first)
            place = slice(start + first, start + last)
            edits[place], log_p[place] = found["edits"].values, found["log_p"].values
    columns: dict[str, Any] = {
        f"extract_edits{suffix}": (("sequence", "draw"), edits),
        f"extract_log_p{suffix}": ("sequence", log_p),
    }
    return data.assign(columns).assign_attrs(prefix=work.config.prefix)


def _name(split: str, first: int, suffix: str) -> str:
    return f"{split}-extract-{first}" + suffix.replace("_", "-")


def _drawn(work: Work, split: Split, first: int) -> xr.Dataset:
    """Edits of every draw, and log p_z."""
    config, reader = work.config, work.reader
    given = np.repeat(split.tokens, config.draws, axis=0)
    held = np.arange(reader.seq_len) < config.prefix

    def run(block: int, rows: Any) -> Any:
        rng = stream(config.root_seed, "extract", split.name, first, block)
        return complete(reader.denoiser, rng, given[rows], held, config.steps)

    tokens = reader.in_blocks(len(given), run)
    suffixes = (as_text(x[:, config.prefix :]) for x in (tokens, given))
    edits = cpdist(*suffixes, scorer=Levenshtein.distance, dtype=np.int32)
    log_p = np.full(len(split.tokens), np.nan)
    if not work.noise.redraws:
        log_p = log_prob_in_order(reader.denoiser, split.tokens, config.prefix, reader.rows)
    return xr.Dataset(
        {
            "edits": (("sequence", "draw"), edits.reshape(-1, config.draws)),
            "log_p": ("sequence", log_p),
        }
    )


# --- what follows from it


@dataclass(frozen=True)
class Extracted:
    """Mean probability that one of `n` draws gives the suffix: of training and of held-out
    sequences, and the difference; and that less the same of the reference network, where there is
    one. `what`: "word for word", from draws; "within k edits", likewise; "exact", from p_z; or
    "extractable", the share of sequences whose exact probability is at least one half."""

    what: str
    n: int
    train: Estimate
    held_out: Estimate
    excess: Estimate
    beyond_reference: Estimate | None = None


def extraction(
    data: xr.Dataset, rng: np.random.Generator, replicates: int = 1000
) -> tuple[Extracted, ...]:
    """By what is drawn and by n = 1, 10, ... up to the draws; none where nothing was drawn."""
    if "extract_edits" not in data:
        return ()
    draws, near = data.sizes["draw"], reach(data.sizes["position"] - data.attrs["prefix"])
    found = []
    for what, n in ((w, n) for w in _kinds(data, near) for n in _ladder(draws)):
        numbers = _numbers(data, what, near, n, "")
        found.append(Extracted(what, n, *_compared(data, numbers, rng, replicates)))
        if f"extract_edits{REFERENCE}" in data:
            theirs = _numbers(data, what, near, n, REFERENCE)
            beyond = _compared(data, numbers - theirs, rng, replicates)[2]
            found[-1] = Extracted(**{**vars(found[-1]), "beyond_reference": beyond})
    return tuple(found)


def _kinds(data: xr.Dataset, near: int) -> list[str]:
    known = np.isfinite(data["extract_log_p"].values).any()
    more = [f"within {edits_of(near)}"] if near else []
    return ["word for word", *more, *(("exact", "extractable") if known else ())]


def _ladder(draws: int) -> list[int]:
    """1, 10, 100, ... and the number of draws."""
    return sorted({*(10**k for k in range(len(str(draws)))), draws})


def _numbers(data: xr.Dataset, what: str, near: int, n: int, suffix: str) -> Floats:
    """Of every sequence, the probability that one of n draws does."""
    if what in ("exact", "extractable"):
        with np.errstate(divide="ignore"):
            missed = n * np.log1p(-np.exp(np.minimum(data[f"extract_log_p{suffix}"].values, 0)))
        once = -np.expm1(missed)
        return once if what == "exact" else (once >= EXTRACTABLE).astype(np.float64)
    edits = data[f"extract_edits{suffix}"].values
    most = 0 if what == "word for word" else near
    return drawn_within(((edits >= 0) & (edits <= most)).sum(1), edits.shape[1], n)


def _compared(
    data: xr.Dataset, numbers: Floats, rng: np.random.Generator, replicates: int
) -> tuple[Estimate, Estimate, Estimate]:
    drawn = (data["extract_edits"].values >= 0).all(1)
    sides = [numbers[drawn & (data["split"].values == split)] for split in SPLITS]
    return means(sides[0], sides[1], rng, replicates)

"""Sequences of a probe as text: the most memorized ones, and restored ones token by token.

Tokens are a stranger's data. `visible` shows what would not be seen, or would change how the rest
is read: control characters, marks of writing direction, lone surrogates. Escaping for a format
(HTML, Markdown) is left to who writes it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from simulations.probe.judge.statistics import changed_tokens
from simulations.probe.measure.dataset import split_rows

Decode = Callable[[Any], str]

MOST_MEMORIZED = 10
MOST_RESTORED = 4  # of each split
MOST_CHARACTERS = 1500  # of a sequence
MOST_OF_A_TOKEN = 48
_JOINERS = "\u200c\u200d"  # needed to write Persian, or an emoji of several parts
_SHOWN = {"\n": "↵", "\r": "␍", "\t": "⇥"}


@dataclass(frozen=True)
class Memorized:
    """A sequence that the model seems to hold; `facts` says by what numbers. `nearest` is the
    nearest training sequence, empty where its text is not in the data."""

    name: str
    facts: str
    text: str
    nearest: str = ""


@dataclass(frozen=True)
class Mark:
    """A run of tokens of one kind: kept, corrupted, recovered, missed or broken; `note`: what a
    token was or should be."""

    kind: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Restored:
    """A sequence with its noised and its restored tokens; `gap` stands between two tokens."""

    name: str
    noisy: tuple[Mark, ...]
    output: tuple[Mark, ...]
    gap: str


def visible(text: str, most: int = MOST_CHARACTERS) -> str:
    """Text on one line, what is not seen written out, cut after `most` characters.

    >>> visible("a\\n\\u202eb\\0")
    'a↵\\\\u202eb\\\\u0000'
    """
    cut = text[:most] + ("…" if len(text) > most else "")
    return "".join(_visible(letter) for letter in cut)


def _visible(letter: str) -> str:
    if letter in _SHOWN:
        return _SHOWN[letter]
    hidden = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return f"\\u{ord(letter):04x}" if hidden and letter not in _JOINERS else letter


def most_memorized(data: xr.Dataset, decode: Decode) -> dict[str, list[Memorized]]:
    """Ten sequences by split, most memorized first.

    train: by the mean of two ranks, of `loo` log loss at t = 1e-5 (lowest) and of recovery over
    all levels by the reverse process, else best change (highest). generated: by distance to the
    nearest training sequence, else by how often they repeat; those alone that do are shown.
    """
    found = {}
    if "train" in data["split"].values:
        found["train"] = _of_train(split_rows(data, "train"), decode)
    if "generated" in data["split"].values:
        found["generated"] = _of_generated(data, split_rows(data, "generated"), decode)
    return {name: rows for name, rows in found.items() if rows}


def recovery_of_sequences(part: xr.Dataset) -> tuple[Any, str]:
    """Recovery (sequence,) over all levels and its decoder, NaN where undefined."""
    for decoder in ("ancestral", "best_change"):
        changed = changed_tokens(part, decoder)
        restored = part["recovered"].sel(decoder=decoder).values
        good = (changed > 0) & (restored >= 0)
        if good.any():
            with np.errstate(invalid="ignore"):
                return (restored * good).sum(1) / (changed * good).sum(1), decoder
    return np.full(part.sizes["sequence"], np.nan), "no decoder"


def _of_train(part: xr.Dataset, decode: Decode) -> list[Memorized]:
    loss = part["log_loss"].sel(law="loo").isel(t_entropy=0).values
    recovery, decoder = recovery_of_sequences(part)
    known = np.flatnonzero(np.isfinite(loss))
    unknown_last = np.nan_to_num(recovery[known], nan=-1.0)
    order = known[np.argsort(rankdata(loss[known]) + rankdata(-unknown_last), kind="stable")]
    rows = []
    for i in order[:MOST_MEMORIZED]:
        facts = f"log loss {loss[i]:.3f} nats a token at t = 1e-5 (loo)"
        if np.isfinite(recovery[i]):
            facts += f"; recovery {recovery[i]:.3f} over all levels ({decoder})"
        text = visible(decode(part["tokens"].values[i]))
        rows.append(Memorized(f"train {int(part['index'].values[i])}", facts, text))
    return rows


def _of_generated(data: xr.Dataset, part: xr.Dataset, decode: Decode) -> list[Memorized]:
    distance, repeats = part["nearest_distance"].values, part["repeats"].values
    compared = (distance >= 0).any()
    order = np.lexsort([-repeats, distance if compared else np.zeros(len(repeats))])
    shown = order if compared else order[repeats[order] > 0]
    stored = _training_rows(data)
    rows: list[Memorized] = []
    texts: set[bytes] = set()
    for i in shown:
        tokens = part["tokens"].values[i]
        if tokens.tobytes() in texts:
            continue
        texts.add(tokens.tobytes())
        facts, nearest = [], ""
        if compared:
            row = int(part["nearest_train"].values[i])
            facts.append(
                f"exact copy of train {row}"
                if distance[i] == 0
                else f"{int(distance[i])} of {len(tokens)} tokens differ from train {row}"
            )
            if distance[i] > 0 and row in stored:
                nearest = visible(decode(stored[row]))
        if repeats[i] > 0:
            facts.append(f"drawn {int(repeats[i]) + 1} times")
        name = f"generated {int(part['index'].values[i])}"
        rows.append(Memorized(name, "; ".join(facts), visible(decode(tokens)), nearest))
        if len(rows) == MOST_MEMORIZED:
            break
    return rows


def _training_rows(data: xr.Dataset) -> dict[int, Any]:
    """Tokens of those rows of the training file that were measured."""
    part = split_rows(data, "train")
    return dict(zip(part["index"].values.tolist(), part["tokens"].values, strict=True))


def restored(data: xr.Dataset, decode: Decode) -> list[Restored]:
    """The first few examples of every split, with what became of each token."""
    if "example_sequence" not in data:
        return []
    found: list[Restored] = []
    shown: dict[str, int] = {}
    for k, place in enumerate(data["example_sequence"].values.tolist()):
        split = str(data["split"].values[place])
        shown[split] = shown.get(split, 0) + 1
        if shown[split] > MOST_RESTORED:
            continue
        clean, noisy, output = (
            data["tokens"].values[place],
            data["example_noisy"].values[k],
            data["example_output"].values[k],
        )
        name = f"{split} {int(data['index'].values[place])}, t = {data['example_t'].values[k]:g}"
        gap = (
            ""
            if "".join(decode(clean[i : i + 1]) for i in range(len(clean))) == decode(clean)
            else " "
        )
        found.append(Restored(name, *_marks(clean, noisy, output, decode, gap), gap))
    return found


def _marks(
    clean: Any, noisy: Any, output: Any, decode: Decode, gap: str
) -> tuple[tuple[Mark, ...], tuple[Mark, ...]]:
    before, after = [], []
    for i in range(len(clean)):
        true, noise, out = (_token(x[i : i + 1], decode) for x in (clean, noisy, output))
        changed, right = noisy[i] != clean[i], output[i] == clean[i]
        before.append(Mark("corrupted", noise, f"was {true}") if changed else Mark("kept", true))
        kind = {(True, True): "recovered", (True, False): "missed", (False, False): "broken"}
        note = f"noise had {noise}" if right else f"should be {true}"
        after.append(
            Mark("kept", true) if right and not changed else Mark(kind[changed, right], out, note)
        )
    return _runs(before, gap), _runs(after, gap)


def _runs(marks: list[Mark], gap: str) -> tuple[Mark, ...]:
    """Neighbouring kept tokens as one."""
    found: list[Mark] = []
    for mark in marks:
        if found and mark.kind == found[-1].kind == "kept":
            found[-1] = Mark("kept", found[-1].text + gap + mark.text)
        else:
            found.append(mark)
    return tuple(found)


def _token(token: Any, decode: Decode) -> str:
    text = visible(decode(token), MOST_OF_A_TOKEN)
    return text if text.strip() else "␣" * max(1, len(text))

"""Sequences of a probe as text: the most memorized ones, and restored ones token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from simulations.probe.judge.attractors import Attractors, hits
from simulations.probe.judge.statistics import changed_tokens
from simulations.probe.measure.dataset import split_rows
from simulations.probe.measure.kind import small
from simulations.probe.tell.page import Mark, Memorized, Restored, visible

Decode = Callable[[Any], str]

MOST_MEMORIZED = 10
MOST_RESTORED = 4  # of each split
MOST_CHARACTERS = 1500  # of a sequence
MOST_OF_A_TOKEN = 48
MASK = "▒"
CHANGED = {(True, True): "recovered", (True, False): "missed", (False, False): "broken"}


def most_memorized(
    data: xr.Dataset, decode: Decode, attractors: Attractors | None = None
) -> dict[str, list[Memorized]]:
    """Ten sequences by split, most memorized first.

    train: by the mean of two ranks, of `loo` log loss at the least t (lowest) and of recovery over
    all levels by the reverse process, else best change (highest). generated: by distance to the
    nearest training sequence; without one, by how often they repeat, then by how many starts in
    noise end near them, then by `loo` log loss.
    """
    train, generated = split_rows(data, "train"), split_rows(data, "generated")
    met = np.zeros(generated.sizes["sequence"], np.int64)
    if attractors is not None:
        met = hits(data, generated["tokens"].values, attractors.within)
    stored = dict(zip(train["index"].values.tolist(), train["tokens"].values, strict=True))
    found = {
        "train": _of_train(train, decode, small(data)),
        "generated": _of_generated(generated, stored, decode, small(data), met),
    }
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


def _of_train(part: xr.Dataset, decode: Decode, least: str) -> list[Memorized]:
    loss = part["log_loss"].sel(law="loo").isel(t_entropy=0).values
    recovery, decoder = recovery_of_sequences(part)
    known = np.flatnonzero(np.isfinite(loss))
    unknown_last = np.nan_to_num(recovery[known], nan=-1.0)
    order = known[np.argsort(rankdata(loss[known]) + rankdata(-unknown_last), kind="stable")]
    rows = []
    for i in order[:MOST_MEMORIZED]:
        facts = f"log loss {loss[i]:.3f} nats a token at {least} (loo)"
        if np.isfinite(recovery[i]):
            facts += f"; recovery {recovery[i]:.3f} over all levels ({decoder})"
        text = _text(part["tokens"].values[i], decode)
        rows.append(Memorized(f"train {int(part['index'].values[i])}", facts, text))
    return rows


def _of_generated(
    part: xr.Dataset, stored: dict[int, Any], decode: Decode, least: str, met: Any
) -> list[Memorized]:
    """stored : tokens of those rows of the training file that were measured. met : starts in noise
    that end near each."""
    distance, repeats = part["nearest_distance"].values, part["repeats"].values
    loss = part["log_loss"].sel(law="loo").isel(t_entropy=0).values
    compared = (distance >= 0).any()
    order = np.lexsort([loss, -met, -repeats, distance if compared else np.zeros(len(repeats))])
    shown: dict[bytes, int] = {}
    for i in order:
        shown.setdefault(part["tokens"].values[i].tobytes(), i)
    rows = []
    for i in list(shown.values())[:MOST_MEMORIZED]:
        tokens, row = part["tokens"].values[i], int(part["nearest_train"].values[i])
        facts, nearest = [], ""
        if compared and distance[i] == 0:
            facts.append(f"exact copy of train {row}")
        elif compared:
            facts.append(f"{int(distance[i])} of {len(tokens)} tokens differ from train {row}")
            nearest = _text(stored[row], decode) if row in stored else ""
        if repeats[i] > 0:
            facts.append(f"drawn {int(repeats[i]) + 1} times")
        if met[i] > 0:
            facts.append(f"{int(met[i])} starts in noise end near it")
        if np.isfinite(loss[i]):
            facts.append(f"log loss {loss[i]:.3f} nats a token at {least} (loo)")
        name = f"generated {int(part['index'].values[i])}"
        rows.append(Memorized(name, "; ".join(facts), _text(tokens, decode), nearest))
    return rows


def restored(data: xr.Dataset, decode: Decode) -> list[Restored]:
    """The first few examples of every split, with what became of each token."""
    if "example_sequence" not in data:
        return []
    size = int(data.attrs["vocab_size"])

    def shown(token: Any) -> str:
        return MASK if token[0] == size else decode(token)

    places = data["example_sequence"].values
    splits, found = data["split"].values[places], []
    for split in dict.fromkeys(splits.tolist()):
        for k in np.flatnonzero(splits == split)[:MOST_RESTORED]:
            clean = data["tokens"].values[places[k]]
            outcome = data["example_noisy"].values[k], data["example_output"].values[k]
            number, t = int(data["index"].values[places[k]]), data["example_t"].values[k]
            whole = "".join(decode(clean[i : i + 1]) for i in range(len(clean))) == decode(clean)
            gap = "" if whole else " "
            marks = _marks(clean, *outcome, shown)
            noisy, output = (tuple(_runs(list(row), gap)) for row in zip(*marks, strict=True))
            found.append(Restored(f"{split} {number}, t = {t:g}", noisy, output, gap))
    return found


def _marks(clean: Any, noisy: Any, output: Any, decode: Decode) -> Iterator[tuple[Mark, Mark]]:
    """What every token was before and after."""
    for i in range(len(clean)):
        true, noise, out = (_token(x[i : i + 1], decode) for x in (clean, noisy, output))
        changed, right = noisy[i] != clean[i], output[i] == clean[i]
        kept = Mark("kept", true)
        note = f"noise had {noise}" if right else f"should be {true}"
        yield (
            Mark("corrupted", noise, f"was {true}") if changed else kept,
            kept if right and not changed else Mark(CHANGED[changed, right], out, note),
        )


def _runs(marks: list[Mark], gap: str) -> Iterator[Mark]:
    """Neighbouring kept tokens as one."""
    for kept, run in groupby(marks, lambda mark: mark.kind == "kept"):
        if kept:
            yield Mark("kept", gap.join(mark.text for mark in run))
        else:
            yield from run


def _text(tokens: Any, decode: Decode) -> str:
    return visible(decode(tokens), MOST_CHARACTERS)


def _token(token: Any, decode: Decode) -> str:
    text = visible(decode(token), MOST_OF_A_TOKEN)
    return text if text.strip() else "␣" * max(1, len(text))

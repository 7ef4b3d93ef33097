"""What would make a probe's verdict wrong, looked for in what was measured."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import xarray as xr

from simulations.measure.names import SMALL_LEVEL
from simulations.probe.judge.features import features_of, nearest_level
from simulations.probe.measure.dataset import split_rows
from simulations.probe.measure.kind import limits_in, noise_of, small

LOW_ENTROPY = 0.1  # nats a token of held-out log loss; below, a memory and a good model look alike
NOTHING_LEARNT = 0.95  # held-out log loss over log V
FEW = 32  # sequences of a split
FULL_SHARE = 0.5  # of log V: no law that does not see its own token comes below 1 on random tokens


def caveats_of(data: xr.Dataset, basis: Literal["gap", "entropy"]) -> tuple[str, ...]:
    """Sentences on what applies to this probe; those on the reading of `loo` where it is read."""
    found = _of_noise(data)
    found += _of_law(data) + limits_in(data) if basis == "entropy" else []
    return tuple(found + _of_source(data, basis) + _of_data(data))


def reads_own_token(data: xr.Dataset) -> bool:
    """Whether the law called `loo` follows its own token, as a token posterior `full` does.

    Random tokens cannot be told from one another: on them the log loss of a law that does not see
    its own token is at least log V on average. `full` at t = 1e-5 has a log loss near 0.
    """
    share = features_of(data).random_loss
    return math.isfinite(share) and share < FULL_SHARE


def _of_noise(data: xr.Dataset) -> list[str]:
    noise = noise_of(data)
    if noise == "uniform":
        return []
    return [
        "The bounds of the recovery gap and the law of entropies were set on networks of uniform "
        f"noise. Nothing says yet where they should lie under {noise} noise, which corrupts tokens "
        "in another way: read the label as a first guess, and the numbers for themselves."
    ]


def _of_law(data: xr.Dataset) -> list[str]:
    if not reads_own_token(data):
        return []
    share = features_of(data).random_loss
    return [
        "The law called loo follows its own token: on random tokens at t = 1e-5 its log loss is "
        f"{share:.2f} log V, and no leave-one-out law comes below log V. The softmax seems to be "
        "full, p(x_0^i | x_t), as of a network trained by cross-entropy to x_0; these entropies "
        "say nothing of memory before it is converted by am_theory.channel.loo_from_full."
    ]


def _of_source(data: xr.Dataset, basis: str) -> list[str]:
    share = features_of(data).heldout_loss
    if not math.isfinite(share):
        missing = "No held-out text: a source of low entropy cannot be told from a memory."
        return [missing] if basis == "entropy" else []
    loss = share * math.log(int(data.attrs["vocab_size"]))
    if loss < LOW_ENTROPY and not reads_own_token(data):
        return [
            f"The held-out log loss at {small(data)} is {loss:.3f} nats a token: the text is so "
            "orderly that a memory and a good model look alike."
        ]
    if share > NOTHING_LEARNT and basis == "entropy":
        rows = split_rows(data, "heldout").sel(law="loo")
        level = nearest_level(rows["t_entropy"].values, SMALL_LEVEL)
        entropy = float(rows["entropy"].values[:, level].mean())
        if entropy > NOTHING_LEARNT * math.log(int(data.attrs["vocab_size"])):
            return [
                f"The held-out log loss at {small(data)} is {share:.2f} log V: the model has "
                "learnt nothing of this text, or there is nothing to learn; not memorizing is not "
                "knowing."
            ]
    return []


def _of_data(data: xr.Dataset) -> list[str]:
    found = []
    for name, word in (("train", "training"), ("heldout", "held-out"), ("generated", "generated")):
        rows = split_rows(data, name)
        n = rows.sizes["sequence"]
        if not n:
            continue
        if n < FEW:
            found.append(f"Only {n} {word} sequences were measured; the intervals are rough.")
        repeated = n - len(np.unique(rows["tokens"].values, axis=0))
        if repeated and name != "generated":
            found.append(
                f"Repeats among the {n} {word} sequences measured: {repeated}. They count several "
                "times, and a text that repeats itself is memorized sooner."
            )
    found += _overlap(data)
    return found


def _overlap(data: xr.Dataset) -> list[str]:
    rows = split_rows(data, "heldout")
    n = rows.sizes["sequence"]
    if "nearest_distance" in data and n and (rows["nearest_distance"].values >= 0).any():
        shared = int((rows["nearest_distance"].values == 0).sum())
    else:
        stored = {row.tobytes() for row in split_rows(data, "train")["tokens"].values}
        shared = sum(row.tobytes() in stored for row in rows["tokens"].values)
    if not shared:
        return []
    return [
        f"{shared} of the {n} held-out sequences measured are training sequences: they are not "
        "held out, which makes the gap and the calibration gap too small."
    ]

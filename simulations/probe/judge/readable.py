"""Whether there is anything to judge: laws that are numbers, do not follow their own token and have
learnt something; held-out text that is held out."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from simulations.measure.names import SMALL_LEVEL
from simulations.probe.judge.evidence import Evidence
from simulations.probe.measure.dataset import split_rows
from simulations.probe.measure.kind import least_level

NOTHING_LEARNT = 0.95  # of log V: a log loss and an entropy from which on nothing is known
MOST_SHARED = 0.1  # of the held-out sequences may be training sequences, beyond chance
FULL_SHARE = 0.5  # of log V: no law that does not see its own token comes below 1 on random tokens


def reads_own_token(found: Evidence) -> bool:
    """Whether the law called `loo` follows its own token, as a token posterior `full` does.

    Random tokens cannot be told from one another: on them the log loss of a law that does not see
    its own token is at least log V on average. `full` at t = 1e-5 has a log loss near 0.
    """
    share = found.seen.random_loss
    readable = least_level(found.data) == SMALL_LEVEL
    return readable and math.isfinite(share) and share < FULL_SHARE


def nothing_learnt(found: Evidence) -> bool:
    """Whether laws are flat: on held-out and on own sequences as on none."""
    seen = found.seen
    told = [seen.heldout_loss, seen.heldout_entropy, seen.own_share]
    known = [x for x in told if math.isfinite(x)]
    return bool(known) and min(known) > NOTHING_LEARNT


def not_finite(data: xr.Dataset) -> bool:
    """Whether a law that was read has no finite entropy."""
    for name in ("train", "heldout", "generated"):
        rows = split_rows(data, name).sel(law="loo")
        broken = np.isnan(rows["entropy"].values)
        if "sites" in rows:
            broken &= rows["sites"].values > 0
        if broken.size and broken.any() and not broken.all():
            return True
    return False


def is_held_out(data: xr.Dataset) -> bool:
    """Whether hardly more held-out sequences are training sequences than chance has it, which is
    how often training sequences equal one another."""
    shared, n = overlap(data)
    chance = float(data.attrs.get("train_repeats", 0.0))
    return shared <= (chance + MOST_SHARED) * n


def overlap(data: xr.Dataset) -> tuple[int, int]:
    """Of the held-out sequences measured, how many are training sequences, and how many there
    are."""
    rows = split_rows(data, "heldout")
    n = rows.sizes["sequence"]
    if "nearest_distance" in data and n and (rows["nearest_distance"].values >= 0).any():
        return int((rows["nearest_distance"].values == 0).sum()), n
    stored = {row.tobytes() for row in split_rows(data, "train")["tokens"].values}
    return sum(row.tobytes() in stored for row in rows["tokens"].values), n

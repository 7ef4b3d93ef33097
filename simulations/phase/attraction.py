"""Attractors of a run: which sequences are fixed points, where others end, how many there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.meeting import effective, meeting

Floats = NDArray[np.float64]

SHARES = {  # of the starts, or of their tokens
    "fixed": "starts that are fixed points of argmax `loo` at t = 1e-5",
    "kept": "their tokens that argmax `loo` keeps",
    "fixed by full": "starts that are fixed points of argmax `full`",
    "stored": "starts that end in a stored sequence",
    "same": "tokens that the attractor shares with the start",
    "cycle": "starts that end in a cycle, or nowhere within the sweeps",
    "circulation": "squared sum of log-odds around a cycle of flips, over their mean square",
}


def share_columns(part: xr.Dataset, seq_len: int) -> tuple[Floats, Floats]:
    """Numerators (n, share, denoiser) of SHARES, NaN where not measured, and denominators."""
    order = ("start", "denoiser")
    kept, full = (
        part["kept"].sel({"map": name}).transpose(*order).values.astype(float)
        for name in ("loo", "full")
    )
    same, distance, period = (
        part[f"settled_{name}"].transpose(*order).values.astype(float)
        for name in ("same", "distance", "period")
    )
    top = np.stack(
        [
            kept == seq_len,
            kept / seq_len,
            full == seq_len,
            (distance == 0) & (period == 1),
            same / seq_len,
            period != 1,
            part["cycle_square"].transpose(*order).values,
        ],
        axis=1,
    ).astype(float)
    top[np.broadcast_to((kept < 0)[:, None], top.shape)] = np.nan
    bottom = np.ones_like(top)
    bottom[:, -1] = part["odds_square"].transpose(*order).values
    return top, np.nan_to_num(bottom, nan=1.0)


@dataclass(frozen=True)
class Census:
    """Attractors that n random starts found, mean over the seeds: distinct ones, and of how many
    equal basins two starts would share one as often (1 over the chance that two starts meet), with
    its 95 % interval; infinite where no two met."""

    starts: int
    distinct: float
    effective: float
    low: float
    high: float


def census(data: xr.Dataset, denoiser: str, train_size: int) -> Census | None:
    """The attractors reached from the random starts of one K; None where not measured.

    The chance that two starts meet is the mean over pairs of a seed; its standard error is by the
    jackknife over starts, and seeds are held fixed.
    """
    part = data.sel(train_size=train_size, denoiser=denoiser, split_start="random")
    found = []
    for seed in part["seed"].values:
        one = part.sel(seed=seed)
        if (one["kept"] < 0).any():
            continue
        found.append(meeting(one["attractor"].transpose("start", "position").values))
    if not found:
        return None
    chance = float(np.mean([one.chance for one in found]))
    error = float(np.sqrt(np.sum([one.variance for one in found])) / len(found))
    distinct = float(np.mean([one.distinct for one in found]))
    return Census(found[-1].n, distinct, *effective(chance, error))

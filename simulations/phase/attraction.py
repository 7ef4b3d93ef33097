"""Attractors of a run: which sequences are fixed points, where others end, how many there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

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
    jackknife over starts, and seeds are held fixed. Source: for the effective number, the inverse
    participation ratio, or Hill number of order 2.
    """
    part = data.sel(train_size=train_size, denoiser=denoiser, split_start="random")
    chances, errors, distinct, n = [], [], [], 0
    for seed in part["seed"].values:
        one = part.sel(seed=seed)
        if (one["kept"] < 0).any():
            continue
        states = one["attractor"].transpose("start", "position").values
        _, inverse, counts = np.unique(states, axis=0, return_inverse=True, return_counts=True)
        n = len(states)
        pairs = counts @ (counts - 1.0)
        others = counts[inverse.ravel()] - 1.0
        left_out = (pairs - 2 * others) / ((n - 1.0) * (n - 2.0))
        chances.append(pairs / (n * (n - 1.0)))
        errors.append((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
        distinct.append(len(counts))
    if not chances:
        return None
    chance = float(np.mean(chances))
    error = float(np.sqrt(np.sum(errors)) / len(errors))

    def number(value: float) -> float:
        return 1 / value if value > 0 else np.inf

    ends = (number(chance + 1.96 * error), number(chance - 1.96 * error))
    return Census(n, float(np.mean(distinct)), number(chance), *ends)

"""Attractors from noise, and how near to them are the sequences that a model writes.

A memorizer's likeliest tokens lead to what it stores, and it writes near there. But those of an
orderly law lead to few sequences too, without any memory, and a store of hundreds is not found from
noise: in calibration the number did not tell memory from none, and those that wrote much near an
attractor the verdict found without it. So it is described, and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.meeting import effective, meeting
from simulations.probe.measure.dataset import split_rows
from simulations.probe.measure.estimate import Estimate, exact_interval, proportion

FEWEST = 8  # starts


@dataclass(frozen=True)
class Attractors:
    """What `starts` starts in noise found.

    within : tokens by which near sequences may differ. distinct : different ends. settled : share
    that ended in a fixed point or a cycle. number : of how many equally wide attractors two starts
    would share one as often. own, heldout : share of the sequences that the model writes, and of
    held-out ones, that are near an end.
    """

    starts: int
    within: int
    distinct: int
    settled: float
    number: Estimate
    own: Estimate
    heldout: Estimate


def attractors_of(data: xr.Dataset, within: int) -> Attractors | None:
    """From a probe's dataset; None where none were looked for, or from too few starts."""
    if "attractor" not in data or data.sizes["start"] < FEWEST:
        return None
    ends = data["attractor"].values
    n, distinct, chance, variance = meeting(ends)
    value, low, high = effective(chance, variance**0.5)
    if distinct == 1:  # another one may be as wide as its absence allows
        high = 1 / exact_interval(n, n)[0] ** 2
    if chance == 0:  # three pairs bound the chance from above
        low = n * (n - 1) / 2 / 3
    near = [
        proportion(hits(data, split_rows(data, name)["tokens"].values, within) > 0)
        for name in ("generated", "heldout")
    ]
    settled = float((data["attractor_period"].values > 0).mean())
    return Attractors(n, within, distinct, settled, Estimate(value, low, high, n), *near)


def hits(data: xr.Dataset, tokens: NDArray[np.integer], within: int) -> NDArray[np.int64]:
    """Of every sequence (n, L) the starts whose end is near it, (n,)."""
    ends, times = np.unique(data["attractor"].values, axis=0, return_counts=True)
    found = np.zeros(len(tokens), np.int64)
    for k in range(len(tokens)):
        found[k] = times[(ends != tokens[k]).sum(1) <= within].sum()
    return found

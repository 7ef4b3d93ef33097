"""Where the entropy of training sequences drops: of memories and networks, and by theory.

The drop is the load at which entropy is a fifth of log V, between loads on a straight line; that
of theory is taken on the same loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.conditional_likelihood import critical_load
from am_theory.conditional_likelihood import rows as theory_rows
from simulations.rows.config import Case, RowsConfig, case_name, trainings
from simulations.rows.means import Mean, alike_means, mean_of, on_a_line
from simulations.rows.networks import LEVEL, train_sizes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Drop:
    """Where a memory's entropy drops, over the critical load; by theory at this ridge; and the
    load, over the critical one, at which its held-out loss is largest."""

    case: Case
    ridge: float
    measured: Mean
    predicted: float
    peak: float

    @property
    def ratio(self) -> Mean:
        return self.measured.over(self.predicted)


@dataclass(frozen=True)
class NetworkDrop:
    """Where the entropy of a network of a pairwise field drops under noise of a level, over the
    critical load: measured, and by theory of a network trained at this level alone."""

    seq_len: int
    level: float
    alone: bool
    measured: Mean
    predicted: float

    @property
    def ratio(self) -> Mean:
        return self.measured.over(self.predicted)


def crossing(loads: Floats, entropy: Floats, level: float) -> float:
    """Load at which the entropy last rises through a level, NaN beyond the ends."""
    below = np.flatnonzero(entropy < level)
    if below.size == 0 or below[-1] == len(loads) - 1:
        return float("nan")
    k = int(below[-1])
    share = (level - entropy[k]) / (entropy[k + 1] - entropy[k])
    return float(loads[k] + share * (loads[k + 1] - loads[k]))


def theory_drops(config: RowsConfig, data: xr.Dataset) -> dict[int, list[float]]:
    """By vocabulary, where entropy drops by theory at each of `ridges`, on the same grid."""
    loads = np.array(config.relative_loads)
    return {
        vocab_size: [
            crossing(loads, curve, LEVEL * np.log(vocab_size))
            for curve in data["theory_entropy"].sel(vocab_size=vocab_size).values.T
        ]
        for vocab_size in config.vocabularies
    }


def entropy_drops(
    config: RowsConfig, data: xr.Dataset, predicted: dict[int, list[float]]
) -> list[Drop]:
    """Where the entropy of each memory drops at each ridge."""
    loads, drops = np.array(config.relative_loads), []
    for case in config.memories:
        part = data.sel(case=case_name(case))
        for k, ridge in enumerate(config.ridges):
            curves = part["memories_entropy"].values[:, :, k]
            measured = mean_of([crossing(loads, c, LEVEL * np.log(case[0])) for c in curves])
            exact = predicted[case[0]][k]
            peak = loads[int(np.argmax(part["memories_heldout"].values[:, :, k].mean(axis=0)))]
            drops.append(Drop(case, ridge, measured, exact, float(peak)))
    return drops


def carried(drops: list[Drop], ridge: float) -> dict[int, Mean]:
    """By V, measured over predicted drop at a ridge, on a line in 1 / (L - 1) at infinite L; of one
    length alone, there."""
    found = {}
    mine = [drop for drop in drops if drop.ridge == ridge]
    for vocab_size in dict.fromkeys(drop.case[0] for drop in mine):
        cases = [drop.case for drop in mine if drop.case[0] == vocab_size]
        ratios = [drop.ratio for drop in mine if drop.case[0] == vocab_size]
        found[vocab_size] = on_a_line(ratios, cases) if len(cases) > 1 else ratios[0]
    return found


@lru_cache
def noisy_entropy(load: float, level: float) -> float:
    """Entropy of training sequences of two tokens under noise in nats, by theory; 0 where it is too
    small to be solved for."""
    found = theory_rows(load, 1 - level)
    return float(found.entropy) if found.converged else 0.0


def network_drops(config: RowsConfig, data: xr.Dataset) -> list[NetworkDrop]:
    """Of the networks of one level each, and of those of all levels at each. Ratios to theory of
    one length and kind are taken to spread alike over training sets at all levels."""
    found = []
    for seq_len in config.networks:
        read = {}
        for kind, level in zip(trainings(config), (*config.levels, None), strict=True):
            part = data["networks_entropy"].sel(network=f"{seq_len} {kind}")
            loads = np.array(train_sizes(config, seq_len, level)) / (seq_len - 1)
            for at in config.levels if level is None else (level,):
                curves = part.sel(level=at).values[:, : len(loads)]
                exact = np.array([noisy_entropy(float(load), at) for load in loads])
                measured, predicted = (
                    np.array([crossing(loads / critical_load(2), c, LEVEL * np.log(2)) for c in of])
                    for of in (curves, exact[None])
                )
                read[level is not None, at] = measured, float(predicted[0])
        for alone in (True, False):
            mine = [(at, *values) for (kind, at), values in read.items() if kind is alone]
            ratios = alike_means([measured / predicted for _, measured, predicted in mine])
            found += [
                NetworkDrop(seq_len, at, alone, ratio.over(1 / predicted), predicted)
                for ratio, (at, _, predicted) in zip(ratios, mine, strict=True)
            ]
    return found


def carried_networks(drops: list[NetworkDrop], alone: bool) -> dict[float, Mean]:
    """By level, measured over predicted drop at infinite L, as `carried`."""
    found = {}
    for level in dict.fromkeys(drop.level for drop in drops):
        mine = [drop for drop in drops if (drop.alone, drop.level) == (alone, level)]
        cases = [(2, drop.seq_len) for drop in mine]
        ratios = [drop.ratio for drop in mine]
        found[level] = on_a_line(ratios, cases) if len(cases) > 1 else ratios[0]
    return found

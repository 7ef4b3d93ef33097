"""From raw numbers of checkpoints to curves over K by network, M and G, and where they pass 1/2.

Networks are grouped by their label. Sequences are resampled, with the same draws for all networks
and denoisers of a split and seed, so that curves pair; from 5 seeds up the seeds too. Where the law
of the corpus is not known, the network's own value at its largest K stands for it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.console.errors import UserError
from simulations.measure.bootstrap import bootstrap_ratio, combine_seeds, interval
from simulations.measure.order import fraction, passage_of_half
from simulations.measure.transition import Curve, Estimate
from simulations.released.cells import ACTORS, LAW, MEMORIZER, NETWORK, SPLITS
from simulations.released.config import ReleasedConfig

Floats = NDArray[np.float64]
Key = tuple[str, str, str, float]  # reading, split, actor, level

READINGS = {  # variable, what it is divided by ("" for nothing), dimension of the levels
    "recovery": ("recovered", "corrupted", "t"),
    "best change": ("best_change", "corrupted", "t"),
    "predicted entropy": ("predicted_entropy", "", "t"),
    "predicted vanishing": ("predicted_vanishing", "seq_len", "t"),
    "entropy": ("entropy", "", "t_entropy"),
    "vanishing": ("vanishing", "seq_len", "t_entropy"),
    "log loss": ("log_loss", "", "t_entropy"),
}
HEADLINE = "recovery"
ORDERED = ("recovery", "best change", "predicted entropy", "entropy", "log loss")


@dataclass(frozen=True)
class Rate:
    """A reading over K, (K,), with its replicates (R, K) and each seed's own values (S, K)."""

    estimate: Floats
    replicates: Floats = field(repr=False)
    per_seed: Floats = field(repr=False)
    method: str

    @property
    def ends(self) -> tuple[Floats, Floats]:
        """95 % interval."""
        return interval(self.replicates)

    def minus(self, other: Rate) -> Rate:
        """The difference, replicate by replicate."""
        names = ("estimate", "replicates", "per_seed")
        parts: Any = {name: getattr(self, name) - getattr(other, name) for name in names}
        return Rate(**parts, method=self.method)


@dataclass(frozen=True)
class Order:
    """M and G of a network by one reading at one level, and K_M and K_G."""

    memory: Curve = field(repr=False)
    generalization: Curve = field(repr=False)
    k_memory: Estimate
    k_generalization: Estimate


@dataclass(frozen=True)
class Group:
    """The checkpoints of one label: sizes (K,), their seeds, rates by key, orders by reading and
    level (none of a single size), and its rows of the data."""

    label: str
    sizes: Floats
    seeds: list[int]
    rates: dict[Key, Rate] = field(repr=False)
    orders: dict[tuple[str, float], Order] = field(repr=False)
    data: xr.Dataset = field(repr=False)

    def rate(self, reading: str, split: str, t: float, actor: str = NETWORK) -> Rate:
        return self.rates[reading, split, actor, t]

    def gap(self, t: float) -> Rate:
        """Train minus held-out recovery."""
        return self.rate(HEADLINE, "train", t).minus(self.rate(HEADLINE, "heldout", t))


@dataclass(frozen=True)
class ReleasedAnalysis:
    """All that is reported and drawn."""

    config: ReleasedConfig
    data: xr.Dataset = field(repr=False)
    groups: list[Group]

    @property
    def actors(self) -> tuple[str, ...]:
        """The denoisers that were measured: the exact law of the corpus in a rehearsal alone."""
        return ACTORS if self.config.rehearses else ACTORS[:2]


def levels_of(config: ReleasedConfig, data: xr.Dataset, reading: str) -> list[float]:
    """The levels of a reading."""
    return [float(t) for t in data[READINGS[reading][2]].values]


def columns_of(part: xr.Dataset) -> tuple[list[tuple[str, str, float]], Floats, Floats]:
    """(reading, actor, level) and numerators and denominators (q, columns) of one checkpoint and
    split; NaN for a denoiser that was not measured."""
    keys, tops, bottoms = [], [], []
    for reading, (name, below, level) in READINGS.items():
        table = part[name].transpose("sample", "actor", level).astype(np.float64)
        under = part[below] if below else xr.DataArray(1)
        if part[name].dtype.kind == "i":  # which has no NaN for what was not measured
            table = table.where(table >= 0)
        tops.append(table.values.reshape(len(table), -1))
        whole = under.broadcast_like(table).transpose(*table.dims).values
        bottoms.append(whole.reshape(len(table), -1).astype(np.float64))
        keys += [(reading, actor, float(t)) for actor in ACTORS for t in part[level].values]
    return keys, np.concatenate(tops, axis=1), np.concatenate(bottoms, axis=1)


def rates_of(config: ReleasedConfig, table: NDArray[Any], data: xr.Dataset) -> dict[Key, Rate]:
    """Every rate of a group; `table` (S, K) numbers of its rows of the data."""
    found: dict[Key, Rate] = {}
    for split in SPLITS:
        estimates, replicates = [], []
        for seed, row in enumerate(table):
            parts = []
            for number in row:
                part = data.isel(checkpoint=number).sel(split=split)
                keys, top, bottom = columns_of(part)
                # one resampling for all denoisers and, of one seed, all networks: they pair
                rng = stream(config.root_seed, "bootstrap", split, seed)
                ids = part["cluster"].values
                parts.append(bootstrap_ratio(rng, top, bottom, ids, config.replicates))
            estimates.append(np.stack([one for one, _ in parts]))
            replicates.append(np.stack([many for _, many in parts], axis=1))
        per_seed = np.stack(estimates)
        rng = stream(config.root_seed, "seeds")
        mean, combined, method = combine_seeds(rng, per_seed, np.stack(replicates))
        for k, (reading, actor, t) in enumerate(keys):
            parts_of_rate = (mean[..., k], combined[..., k], per_seed[..., k])
            found[reading, split, actor, t] = Rate(*parts_of_rate, method)
    return found


def order_of(
    config: ReleasedConfig, sizes: Floats, rates: dict[Key, Rate], reading: str, t: float
) -> Order:
    """M from training inputs and G from held-out ones, as `simulations.measure.order` has them."""
    curves = {}
    for split in SPLITS:
        for actor in ACTORS:
            rate = rates[reading, split, actor, t]
            parts = (rate.estimate, rate.replicates, rate.per_seed)
            curves[split, actor] = Curve(sizes, *parts, rate.method)
        if not config.rehearses:
            curves[split, LAW] = at_largest(curves[split, NETWORK])
    memory = fraction(*(curves["train", actor] for actor in (NETWORK, LAW, MEMORIZER)))
    law = fraction(*(curves["heldout", actor] for actor in (NETWORK, MEMORIZER, LAW)))
    relative = not config.rehearses
    return Order(
        memory,
        law,
        passage_of_half(f"K_M {reading} t={t:g}", memory, False, relative),
        passage_of_half(f"K_G {reading} t={t:g}", law, True, relative),
    )


def at_largest(curve: Curve) -> Curve:
    """The value at the largest K, at every K."""
    n = len(curve.train_sizes)
    parts: dict[str, Any] = {
        name: np.repeat(getattr(curve, name)[..., -1:], n, axis=-1)
        for name in ("estimate", "replicates", "per_seed")
    }
    return dataclasses.replace(curve, **parts)


def group_of(config: ReleasedConfig, data: xr.Dataset, label: str) -> Group:
    """The checkpoints of a label. Raises UserError where two are of one K and seed."""
    mine = data.isel(checkpoint=np.flatnonzero(data["network"].values == label))
    sizes, at_size = np.unique(mine["train_size"].values, return_inverse=True)
    seeds, at_seed = np.unique(mine["seed"].values, return_inverse=True)
    if len(at_seed) != len(seeds) * len(sizes):
        raise UserError(
            f"network {label} has several checkpoints of one K and seed, by `train_size` and by "
            "`fraction`: give them different `network` labels."
        )
    table = np.empty((len(seeds), len(sizes)), np.int64)
    table[at_seed, at_size] = np.arange(len(at_seed))
    rates = rates_of(config, table, mine)
    orders = {}
    if len(sizes) > 1:
        orders = {
            (reading, t): order_of(config, sizes.astype(float), rates, reading, t)
            for reading in ORDERED
            for t in levels_of(config, data, reading)
        }
    return Group(label, sizes.astype(float), seeds.tolist(), rates, orders, mine)


def analyse(config: ReleasedConfig, data: xr.Dataset, out: Path) -> ReleasedAnalysis:
    """Everything that is derived from the merged data."""
    labels = dict.fromkeys(str(label) for label in data["network"].values)
    return ReleasedAnalysis(config, data, [group_of(config, data, label) for label in labels])

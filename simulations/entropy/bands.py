"""Means over sequences and seeds, with intervals, of what the cells hold of each denoiser.

Sequences are resampled, and seeds from 5 up (`simulations.measure.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.entropy.config import EntropyConfig
from simulations.measure.bootstrap import bootstrap_ratio, combine_seeds, interval

Floats = NDArray[np.float64]
Who = tuple[str, int]  # denoiser, K
Resampled = tuple[Floats, Floats]  # means over sequences (S, ...), their replicates (S, R, ...)

POPULATION: Who = ("population", 0)


@dataclass(frozen=True)
class Band:
    """A mean over seeds with its 95 % interval (...), replicates (R, ...), seeds (S, ...)."""

    estimate: Floats
    low: Floats
    high: Floats
    replicates: Floats = field(repr=False)
    per_seed: Floats = field(repr=False)

    def __getitem__(self, where: Any) -> Band:
        """The band of some entries of the trailing axes."""
        index = where if isinstance(where, tuple) else (where,)
        inner = (slice(None), *index)
        ends = (self.estimate[index], self.low[index], self.high[index])
        return Band(*ends, self.replicates[inner], self.per_seed[inner])

    def __sub__(self, other: Band) -> Band:
        return derived(np.subtract, self, other)


def derived(function: Callable[..., Floats], *parts: Band) -> Band:
    """A function of the curves of bands, along their trailing axes, replicate by replicate."""
    value, replicates, per_seed = (
        function(*(getattr(part, name) for part in parts))
        for name in ("estimate", "replicates", "per_seed")
    )
    return Band(value, *interval(replicates), replicates, per_seed)


def part_of(data: xr.Dataset, who: Who, name: str, split: str | None) -> xr.DataArray:
    """A variable of one denoiser, on one split where it has splits."""
    if who == POPULATION:
        part = data[f"population_{name}"]
    else:
        part = data[name].sel(denoiser=who[0], train_size=who[1])
    return part if split is None else part.sel(split=split)


def token_shares(data: xr.Dataset, who: Who, split: str) -> Floats:
    """Shares of the tokens of a sequence by entropy at t = 1e-5, (seed, sample, law, bin)."""
    part = part_of(data, who, "token_counts", split).isel(t_histogram=0)
    counts = part.transpose("seed", "sample", "law", "bin").values.astype(np.float64)
    return np.asarray(counts / counts.sum(-1, keepdims=True))


@dataclass(frozen=True)
class Saved:
    """The merged data of a run, of whose sequences and seeds everything is resampled alike."""

    config: EntropyConfig
    data: xr.Dataset = field(repr=False)

    def values(self, who: Who, name: str, split: str | None) -> Floats:
        """Statistics of every sequence, (seed, sample, law, statistic, level)."""
        part = part_of(self.data, who, name, split)
        ordered = part.transpose("seed", "sample", "law", "statistic", ...)
        return ordered.values.astype(np.float64)

    def clusters(self, who: Who, split: str) -> NDArray[np.integer]:
        """Which distinct sequence each sample is, (seed, sample)."""
        sizes = self.data.sizes
        if split != "train":
            return np.tile(np.arange(sizes["sample"]), (sizes["seed"], 1))
        cluster = self.data["cluster"].sel(split=split, train_size=who[1])
        return cluster.transpose("seed", "sample").values

    def resampled(self, values: Floats, who: Who, split: str) -> Resampled:
        """Means of values (S, n, ...) of the sequences that a denoiser has of a split; equal
        splits and counts share their draws, seed by seed."""
        root, count = self.config.root_seed, self.config.replicates
        clusters = self.clusters(who, split)
        ones = np.ones((values.shape[1], *(1,) * (values.ndim - 2)))
        found = [
            bootstrap_ratio(stream(root, "bootstrap", split, s), part, ones, clusters[s], count)
            for s, part in enumerate(values)
        ]
        estimates, replicates = (np.stack(column) for column in zip(*found, strict=True))
        return estimates, replicates

    def moments(self, who: Who, name: str, split: str | None) -> Resampled:
        """Means and mean squares of statistics, (..., 2, law, statistic, level)."""
        values = self.values(who, name, split)
        squares = np.stack([values, values**2], axis=2)
        return self.resampled(squares, who, split or "generated")  # which a run ends in

    def band(self, estimates: Floats, replicates: Floats) -> Band:
        """Of seeds (S, ...) and their replicates (S, R, ...); all bands draw the same seeds."""
        rng = stream(self.config.root_seed, "seeds")
        mean, combined, _ = combine_seeds(rng, estimates, replicates)
        return Band(mean, *interval(combined), combined, estimates)

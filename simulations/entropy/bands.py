"""Means over sequences and seeds, with intervals, of what the cells hold of each denoiser.

Sequences are resampled, and seeds from 5 up (`simulations.measure.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from models.streams import stream
from simulations.entropy.config import EntropyConfig
from simulations.measure.bootstrap import bootstrap_ratio, combine_seeds, interval

Floats = NDArray[np.float64]
Who = tuple[str, int]  # denoiser, K

POPULATION: Who = ("population", 0)


@dataclass(frozen=True)
class Band:
    """A mean over seeds with its 95 % interval (...), replicates (R, ...), seeds (S, ...)."""

    estimate: Floats
    low: Floats
    high: Floats
    replicates: Floats = field(repr=False)
    per_seed: Floats = field(repr=False)

    def __getitem__(self, where: tuple[int, ...] | int) -> Band:
        """The band of one entry of the trailing axes."""
        index: Any = where if isinstance(where, tuple) else (where,)
        inner = (slice(None), *index)
        ends = (self.estimate[index], self.low[index], self.high[index])
        return Band(*ends, self.replicates[inner], self.per_seed[inner])


def band(config: EntropyConfig, estimates: Floats, replicates: Floats) -> Band:
    """Of seeds (S, ...) and their replicates (S, R, ...); all bands draw the same seeds."""
    rng = stream(config.root_seed, "seeds")
    mean, combined, _ = combine_seeds(rng, estimates, replicates)
    return Band(mean, *interval(combined), combined, estimates)


def minus(first: Band, second: Band) -> Band:
    """The difference of two bands, replicate by replicate."""
    replicates = first.replicates - second.replicates
    per_seed = first.per_seed - second.per_seed
    return Band(first.estimate - second.estimate, *interval(replicates), replicates, per_seed)


def derived(part: Band, function: Callable[[Floats], Floats]) -> Band:
    """A function of the curves of a band, along its trailing axes, replicate by replicate."""
    value, replicates, per_seed = map(function, (part.estimate, part.replicates, part.per_seed))
    return Band(value, *interval(replicates), replicates, per_seed)


@dataclass(frozen=True)
class Moments:
    """Means and mean squares over sequences, (S, 2, ...), and replicates (S, R, 2, ...)."""

    estimates: Floats
    replicates: Floats


def part_of(data: xr.Dataset, who: Who, name: str, split: str | None) -> xr.DataArray:
    """A variable of one denoiser, on one split where it has splits."""
    if who == POPULATION:
        part = data[f"population_{name}"]
    else:
        part = data[name].sel(denoiser=who[0], train_size=who[1])
    return part if split is None else part.sel(split=split)


def values_of(data: xr.Dataset, who: Who, name: str, split: str | None) -> Floats:
    """Statistics of every sequence, (seed, sample, law, statistic, level)."""
    part = part_of(data, who, name, split).transpose("seed", "sample", "law", "statistic", ...)
    return part.values.astype(np.float64)


def token_shares(data: xr.Dataset, who: Who, split: str, level: int = 0) -> Floats:
    """Shares of the tokens of a sequence by entropy at a histogram level, the first being 1e-5:
    (seed, sample, law, bin)."""
    part = part_of(data, who, "token_counts", split).isel(t_histogram=level)
    counts = part.transpose("seed", "sample", "law", "bin").values.astype(np.float64)
    return np.asarray(counts / counts.sum(-1, keepdims=True))


def clusters_of(data: xr.Dataset, who: Who, split: str) -> NDArray[np.integer]:
    """Which distinct sequence each sample is, (seed, sample)."""
    count = data.sizes["sample"]
    if split != "train":
        return np.tile(np.arange(count), (data.sizes["seed"], 1))
    return data["cluster"].sel(split=split, train_size=who[1]).transpose("seed", "sample").values


def bootstrap(config: EntropyConfig, values: Floats, clusters: ArrayLike, name: str) -> Moments:
    """Means of values (S, n, ...); equal names and counts share their draws, seed by seed."""
    found = [
        bootstrap_ratio(
            stream(config.root_seed, "bootstrap", name, s),
            part,
            np.ones((len(part), *(1,) * (part.ndim - 1))),
            np.asarray(clusters)[s],
            config.replicates,
        )
        for s, part in enumerate(values)
    ]
    return Moments(*(np.stack(column) for column in zip(*found, strict=True)))


def moments(
    config: EntropyConfig, data: xr.Dataset, who: Who, name: str, split: str | None
) -> Moments:
    """Of the statistics of a denoiser, (S, 2, law, statistic, level)."""
    values = values_of(data, who, name, split)
    draws = split or "generated"  # a run and what it generated are the same sequences
    squares = np.stack([values, values**2], axis=2)
    return bootstrap(config, squares, clusters_of(data, who, draws), draws)

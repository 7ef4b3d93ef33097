"""What one cell of the random-feature study measures, as raw numbers per training set.

Errors are squared errors per effective dimension: `seen` over the noise of the fit, `error` over
fresh noise of training and of unseen sequences. Recovery is counted on the same queries, each site
decoded by the largest entry.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from models.networks.feature_map import FeatureMap
from models.networks.random_features import RandomFeatureDenoiser
from models.noise import noise
from models.sources import IidSource, MarkovSource
from models.streams import stream
from simulations.random_features.config import FeatureConfig, Point, points_of, sets

SPLITS = ("train", "test")
COUNTS = ("tokens", "right", "corrupted", "recovered")
UNITS = {name: {"units": "tokens"} for name in COUNTS}
ERROR_UNITS = {"units": "per effective dimension"}


def compute(config: FeatureConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell: dimensions point, seed and, of errors and counts, split."""
    here = points_of(config, coordinates)
    fits: dict[Point, list[Point]] = {}
    for point in here:  # one fit serves all times
        fits.setdefault(point._replace(time=math.inf), []).append(point)
    n = sets(config, here[0])
    found = [
        row
        for fit, members in fits.items()
        for row in zip(*(one_set(config, fit, members, s) for s in range(n)), strict=True)
    ]  # (point, seed) records
    data: dict[str, Any] = {}
    for name in ("seen", "counted_seen", "penalty", "error", *COUNTS):
        table = np.array([[record[name] for record in row] for row in found], dtype=float)
        dims = ("point", "seed", "split")[: table.ndim]
        data[name] = (dims, table, UNITS.get(name, ERROR_UNITS))
    return xr.Dataset(data, {"split": list(SPLITS), "seed": np.arange(n)})


def one_set(
    config: FeatureConfig, fit: Point, members: list[Point], seed: int
) -> list[dict[str, Any]]:
    """One training set: a record for each of `members`, points that differ in time alone."""
    rng = stream(config.root_seed, *fit._replace(panel="", group=0), seed)
    source = source_of(fit)
    denoiser = RandomFeatureDenoiser(
        source.sample(rng, fit.train_size),
        fit.vocab_size,
        fit.n_features,
        activation=fit.activation,  # type: ignore[arg-type]
        ridge=fit.ridge,
        skip=fit.skip if fit.skip in ("fit", "full") else float(fit.skip),  # type: ignore[arg-type]
        draws=fit.draws,
        seed=int(rng.integers(2**62)),
    )
    maps = denoiser.flow(fit.alpha, [point.time for point in members])
    chosen = np.resize(rng.permutation(fit.train_size), config.queries)
    clean = denoiser.patterns[chosen], source.sample(rng, config.queries)
    pairs = [(x_0, noise(rng, x_0, fit.alpha, fit.vocab_size)) for x_0 in clean]
    return [
        {
            "seen": found.seen_error,
            "counted_seen": counted_error(denoiser, found) if seed == 0 else np.nan,
            "penalty": fit.ridge * (found.readout**2).sum() / denoiser.dimension,
            **asked(found, pairs),
        }
        for found in maps
    ]


def source_of(point: Point) -> Any:
    """Independent uniform tokens, or a chain: the next token is the present one plus 1 (mod V), or
    drawn anew with probability `redraw`."""
    vocab_size = point.vocab_size
    if point.redraw == 0:
        return IidSource(vocab_size, point.seq_len)
    step = np.roll(np.eye(vocab_size), 1, axis=1)
    transition = (1 - point.redraw) * step + point.redraw / vocab_size
    return MarkovSource(transition, point.seq_len)


def counted_error(denoiser: RandomFeatureDenoiser, found: FeatureMap) -> float:
    """The error over the noise of the fit, pair by pair; `seen_error` comes from second moments."""
    drawn = denoiser.seen(found.alpha)
    return float(np.mean([found.squared_errors(denoiser.patterns, x_t).mean() for x_t in drawn]))


def asked(found: FeatureMap, pairs: list[tuple[Any, Any]]) -> dict[str, list[float]]:
    """Errors and counts of pairs of clean and noisy sequences, for train and test."""
    record: dict[str, list[float]] = {name: [] for name in ("error", *COUNTS)}
    for x_0, x_t in pairs:
        right, corrupted = found.restore(x_t) == x_0, x_t != x_0
        counts = (x_0.size, right.sum(), corrupted.sum(), (right & corrupted).sum())
        values = (found.squared_errors(x_0, x_t).mean(), *counts)
        for name, value in zip(record, values, strict=True):
            record[name].append(float(value))
    return record

"""What one cell of the linear denoiser's curves measures, as raw numbers per training set.

Errors are squared errors per effective dimension on fresh noise, averaged over all noise by
formula: `train` over the stored sequences, `test` over all sequences of the source. Token
recovery is counted on drawn queries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.networks.linear import LinearDenoiser, fit_draws
from models.noise import noise
from models.sources import IidSource
from models.streams import stream
from simulations.linear_curves.config import SPLITS, Case, LinearConfig, train_sizes

COUNTS = ("tokens", "right", "corrupted", "recovered")
ERRORS = ("error", "query_error", "drawn_error")
ERROR_UNITS = {"units": "per effective dimension"}


def compute(config: LinearConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep."""
    kinds = {"curves": curves, "draws": draws, "flow": flow}
    return kinds[coordinates["kind"]](config, coordinates["index"])


def curve_point(
    case: Case, train_size: int, queries: int, rng: np.random.Generator
) -> dict[str, list[Any]]:
    """One training set: errors and token counts, each for train and test.

    error: exact, of the stored sequences or of the source. query_error: exact, of the clean
    sequences of the queries; drawn_error: of the drawn queries, which has the same mean.
    tokens, right, corrupted, recovered: of the queries decoded by the largest entry.
    """
    vocab_size, seq_len, alpha = case
    source = IidSource(vocab_size, seq_len)
    denoiser = LinearDenoiser(source.sample(rng, train_size), vocab_size)
    filter_ = denoiser.at(alpha)
    errors = (filter_.errors(denoiser.patterns).mean(), filter_.uniform_error())
    chosen = np.resize(rng.permutation(train_size), queries)
    found: dict[str, list[Any]] = {name: [] for name in (*COUNTS, *ERRORS)}
    for error, x_0 in zip(
        errors, (denoiser.patterns[chosen], source.sample(rng, queries)), strict=True
    ):
        x_t = noise(rng, x_0, alpha, vocab_size)
        right, corrupted = filter_.restore(x_t) == x_0, x_t != x_0
        counts = (x_0.size, right.sum(), corrupted.sum(), (right & corrupted).sum())
        drawn = filter_.squared_errors(x_0, x_t).mean()
        values = (*counts, error, filter_.errors(x_0).mean(), drawn)
        for name, value in zip(found, values, strict=True):
            found[name].append(value)
    return found


def curve_points(
    case: Case,
    sizes: Sequence[int],
    queries: int,
    sets: int,
    rng: Callable[[int, int], np.random.Generator],
) -> dict[str, NDArray[Any]]:
    """`curve_point` of `sets` training sets at every size, each table (size, set, split).

    rng(k, s) : the numbers of set s at size number k.
    """
    points = [
        [curve_point(case, size, queries, rng(k, s)) for s in range(sets)]
        for k, size in enumerate(sizes)
    ]
    return {
        name: np.array([[point[name] for point in row] for row in points])
        for name in (*COUNTS, *ERRORS)
    }


def curves(config: LinearConfig, index: int) -> xr.Dataset:
    """All points of case `index`: dimensions ratio, seed, split."""
    case = config.cases[index]
    sizes = train_sizes(case, config.ratios)
    tables = curve_points(
        case,
        sizes,
        config.queries,
        config.seeds,
        lambda k, s: stream(config.root_seed, "curves", *case, k, s),
    )
    dims, tokens = ("ratio", "seed", "split"), {"units": "tokens"}
    data = {
        name: (dims, table, tokens if name in COUNTS else ERROR_UNITS)
        for name, table in tables.items()
    }
    return xr.Dataset(
        {**data, "train_size": ("ratio", sizes, {"units": "sequences"})},
        {"ratio": ("ratio", list(config.ratios), {"units": "1"}), "split": list(SPLITS)},
    )


def draws(config: LinearConfig, index: int) -> xr.Dataset:
    """Fits to drawn noise at ridge `index`: dimensions draws, draws_ratio, seed.

    `draws` 0 stands for infinitely many. seen: mean error on the noise of the fit (NaN there);
    test: exact, on fresh noise and fresh sequences of the source.
    """
    vocab_size, seq_len, alpha = config.draws_case
    ridge, counts = config.ridges[index], [*config.draws, 0]
    source = IidSource(vocab_size, seq_len)
    sizes = train_sizes(config.draws_case, config.draws_ratios)
    seen, test = np.full((2, len(counts), len(sizes), config.seeds), np.nan)
    for k, size in enumerate(sizes):
        for s in range(config.seeds):
            rng = stream(config.root_seed, "draws", ridge, k, s)
            x_0 = source.sample(rng, size)
            for j, count in enumerate(counts):
                if count:
                    x_t = np.stack([noise(rng, x_0, alpha, vocab_size) for _ in range(count)])
                    filter_ = fit_draws(x_0, x_t, vocab_size, alpha, ridge)
                    errors = [filter_.squared_errors(x_0, drawn).mean() for drawn in x_t]
                    seen[j, k, s] = np.mean(errors)
                else:
                    filter_ = LinearDenoiser(x_0, vocab_size, ridge=ridge).at(alpha)
                test[j, k, s] = filter_.uniform_error()
    dims = ("draws", "draws_ratio", "seed")
    units = {"units": "noise draws of a sequence, 0 for infinitely many"}
    return xr.Dataset(
        {
            "seen": (dims, seen, ERROR_UNITS),
            "test": (dims, test, ERROR_UNITS),
            "draws_train_size": ("draws_ratio", sizes, {"units": "sequences"}),
        },
        {
            "draws": ("draws", counts, units),
            "draws_ratio": ("draws_ratio", list(config.draws_ratios), {"units": "1"}),
        },
    )


def flow(config: LinearConfig, index: int) -> xr.Dataset:
    """Training time at K number `index`: train and test errors, dimensions time, seed.

    `gap_to_end` (seed): largest entry of W(inf) - W of the regression, 0 by theory.
    """
    vocab_size, seq_len, alpha = config.flow_case
    size = config.flow_sizes[index]
    source, times = IidSource(vocab_size, seq_len), [*config.times, np.inf]
    train, test = np.empty((2, len(times), config.seeds))
    gap = np.empty(config.seeds)
    for s in range(config.seeds):
        rng = stream(config.root_seed, "flow", size, s)
        denoiser = LinearDenoiser(source.sample(rng, size), vocab_size)
        filters = denoiser.flow(alpha, times)
        train[:, s] = [f.errors(denoiser.patterns).mean() for f in filters]
        test[:, s] = [f.uniform_error() for f in filters]
        gap[s] = np.abs(filters[-1].matrix - denoiser.at(alpha).matrix).max()
    return xr.Dataset(
        {
            "flow_train": (("time", "seed"), train, ERROR_UNITS),
            "flow_test": (("time", "seed"), test, ERROR_UNITS),
            "gap_to_end": ("seed", gap, {"units": "1"}),
        },
        {"time": ("time", times, {"units": "learning rate times steps"})},
    )

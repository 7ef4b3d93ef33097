"""What the workers of `sharpness` compute: readings of one denoiser over K, set by set.

Networks are trained and read by `simulations.features_law.cells`, on sequences of another length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import empirical
from am_theory.conditional_likelihood import critical_load
from am_theory.conditional_likelihood import rows as theory_rows
from models.exact.empirical import EmpiricalDenoiser
from models.memories.pseudolikelihood import store
from models.noise import noise
from models.sources import IidSource
from models.streams import stream
from simulations.features_law import cells as networks
from simulations.linear_curves.cells import curve_points
from simulations.linear_curves.config import train_sizes as linear_sizes
from simulations.measure.counts import count_tokens, law_statistics
from simulations.measure.names import SMALL_LEVEL
from simulations.rows.config import dimension
from simulations.rows.programs import largest_separable
from simulations.sharpness.config import Case, SharpnessConfig, memory_sizes, penalty

Floats = NDArray[np.float64]

LARGEST = 2**14  # K of the simulated memorizer, at most
RATIOS = tuple(np.geomspace(0.02, 10.0, 25).tolist())  # K / (L (V - 1)) of the linear denoiser
STORES = 20  # sets of few sequences that make one: they say little of the spread between sets
SHARE = {"units": "1"}


def compute(config: SharpnessConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep."""
    at = dict(coordinates)
    kind = at["kind"]
    if kind == "network":
        return networks.compute(config.features(at.pop("seq_len")), at)
    case = (int(at["case"][0]), int(at["case"][1]))
    if kind == "memory":
        return memory(config, case, at["set"])
    kinds = {"memorizer": memorizer, "linear": linear, "separable": separable, "rows": rows}
    return kinds[kind](config, case)


def memorizer_sizes(config: SharpnessConfig, case: Case) -> list[int]:
    """K of a simulated memorizer: half-octaves up to LARGEST, while 0.01 of the weight is right."""
    vocab_size, seq_len = case
    sizes = np.unique(np.round(2 ** np.arange(0, np.log2(LARGEST) + 0.1, 0.5)).astype(int))
    alpha = min(config.alphas)
    left = empirical.true_weight(sizes, seq_len, vocab_size, alpha)
    return [int(size) for size, share in zip(sizes, left, strict=True) if share > 0.01]


def memorizer(config: SharpnessConfig, case: Case) -> xr.Dataset:
    """Tokens corrupted and restored by one exact posterior draw: dimensions set, train_size."""
    vocab_size, seq_len = case
    sizes, alpha = memorizer_sizes(config, case), min(config.alphas)
    source = IidSource(vocab_size, seq_len)
    found = np.zeros((2, config.sets, len(sizes)))
    for number, k in np.ndindex(config.sets, len(sizes)):
        count = sizes[k]
        rng = stream(config.root_seed, "memorizer", *case, count, number)
        many = max(1, min(STORES, config.queries // count))
        for _ in range(many):
            stored = source.sample(rng, count)
            denoiser = EmpiricalDenoiser(stored, vocab_size)
            x_0 = stored[np.resize(rng.permutation(count), -(-config.queries // many))]
            t = denoiser.schedule.time_at(alpha)
            x_t = noise(rng, x_0, alpha, vocab_size)
            counts = count_tokens(x_0, x_t, denoiser.posterior_draw(rng, x_t, t))
            found[0, number, k] += (x_t != x_0).sum()
            found[1, number, k] += counts.recovered.sum()
    dims, tokens = ("set", "train_size"), {"units": "tokens"}
    return xr.Dataset(
        {"corrupted": (dims, found[0], tokens), "recovered": (dims, found[1], tokens)},
        {"train_size": sizes},
    )


def linear(config: SharpnessConfig, case: Case) -> xr.Dataset:
    """Tokens corrupted and restored by the largest entry: dimensions set, train_size, split."""
    full = (*case, min(config.alphas))
    sizes = sorted(set(linear_sizes(full, RATIOS)))
    tables = curve_points(
        full,
        sizes,
        config.queries,
        config.sets,
        lambda k, number: stream(config.root_seed, "linear", *case, sizes[k], number),
    )
    dims, tokens = ("set", "train_size", "split"), {"units": "tokens"}
    counts = ("corrupted", "recovered")
    return xr.Dataset(
        {name: (dims, np.swapaxes(tables[name], 0, 1), tokens) for name in counts},
        {"train_size": sizes, "split": ["train", "heldout"]},
    )


def memory(config: SharpnessConfig, case: Case, number: int) -> xr.Dataset:
    """One training set: mean `loo` entropy and own probability on it as t -> 0, of the fitted
    memory and of the optimal memorizer of the same K: dimensions ridge, load."""
    vocab_size, seq_len = case
    sizes = memory_sizes(config, case)
    rng = stream(config.root_seed, "memory", vocab_size, seq_len, number)
    tokens = rng.integers(vocab_size, size=(sizes[-1], seq_len)).astype(np.uint8)
    names = ("entropy", "own", "entropy_memorizer", "own_memorizer", "converged")
    found = {name: np.empty((len(config.ridges), len(sizes))) for name in names}
    for place, count in enumerate(sizes):
        stored = tokens[:count]
        exact = EmpiricalDenoiser(stored, vocab_size)
        small = np.full(count, SMALL_LEVEL)
        ends = law_statistics(exact.log_loo(stored, small), stored)
        for row, ridge in enumerate(config.ridges):
            fitted = store(stored, vocab_size, penalty=penalty(ridge, case))
            read = law_statistics(fitted.log_loo(stored, small), stored)
            values = (read.entropy, read.own, ends.entropy, ends.own, fitted.converged)
            for name, value in zip(names, values, strict=True):
                found[name][row, place] = value.mean()
    dims, units = ("ridge", "load"), {name: SHARE for name in names}
    units |= {name: {"units": "nats per token"} for name in ("entropy", "entropy_memorizer")}
    return xr.Dataset(
        {name: (dims, values, units[name]) for name, values in found.items()},
        {"ridge": list(config.ridges), "load": list(config.loads)},
    )


def rows(config: SharpnessConfig, case: Case) -> xr.Dataset:
    """The rows' theory at large L: entropy on training sequences, dimensions ridge, load."""
    vocab_size = case[0]
    loads = critical_load(vocab_size) * np.array(config.loads)
    found = theory_rows(loads, 1.0, np.array(config.ridges)[:, None], vocab_size=vocab_size)
    entropy = np.where(found.converged, found.entropy, np.nan)
    return xr.Dataset(
        {"entropy": (("ridge", "load"), entropy, {"units": "nats per token"})},
        {"ridge": list(config.ridges), "load": list(config.loads)},
    )


def separable(config: SharpnessConfig, case: Case) -> xr.Dataset:
    """Largest K that a row puts right, (program,), by linear programs."""
    vocab_size, seq_len = case
    guess = critical_load(vocab_size) * dimension(case)
    largest = np.empty(config.programs, np.int64)
    for number in range(config.programs):
        rng = stream(config.root_seed, "separable", vocab_size, seq_len, number)
        tokens = rng.integers(vocab_size, size=(3 * round(guess) + 20, seq_len))
        largest[number] = largest_separable(tokens, vocab_size, guess)
    return xr.Dataset({"largest": ("program", largest, {"units": "sequences"})})

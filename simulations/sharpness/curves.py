"""The passages of every system as curves over K: exact ones by theory, others from the cells.

M and G lie between the optimal memorizer of the same K sequences and the exact law
(`simulations.measure.order`). The memorizer itself has M = 1, G = 0 by that definition: its own
passage is held between perfect memory and the law ("own ends"), as is that of the linear denoiser
beside its M.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr

from am_theory import empirical, linear
from am_theory.channel import corruption_rate
from simulations.scaling.sizes import order_curve
from simulations.sharpness.config import Case, Network, SharpnessConfig, memory_sizes, networks
from simulations.sharpness.predictions import memorizer_place, separable_share
from simulations.sharpness.widths import Key, Passing

Floats = NDArray[np.float64]
GRID = 400  # K of an exact curve
LAST = 3000.0  # K / (L (V - 1)) at which exact curves of the linear denoiser end
MET = 1e-3  # recovery of the memorizer's end below which it has met the law's, which is 0
OWN = "own ends"


def _law(decisions: bool, vocab_size: int, alpha: float) -> float:
    """Corrupted recovery under the law of tokens without structure: of a draw from the posterior,
    or of its likeliest token, which is the noisy one."""
    return 0.0 if decisions else float(corruption_rate(alpha, vocab_size)) / (vocab_size - 1)


def exact_passages(config: SharpnessConfig) -> list[Passing]:
    """The memorizer between its own ends and the linear denoiser, by theory."""
    found = []
    for alpha in config.alphas:
        for case in ((v, n) for v in config.vocabularies for n in config.lengths):
            found += exact_memorizer(case, alpha)
            found += exact_linear(case, alpha)
    return found


def exact_memorizer(case: Case, alpha: float) -> list[Passing]:
    """M and G of the optimal memorizer between its ends at K = 1 and without bound: corrupted
    recovery of training and of unseen inputs, by one draw."""
    vocab_size, seq_len = case
    top = np.searchsorted(memorizer_place(np.arange(690.0), seq_len, vocab_size, alpha), 6.0)
    sizes = np.exp(np.linspace(0.0, max(4.0, float(top)), GRID))
    read = partial(empirical.token_recovery, sizes, seq_len, vocab_size, alpha, decoder="sample")
    train, heldout = (read(tokens="corrupted", split=split) for split in ("train", "test"))
    law = _law(False, vocab_size, alpha)
    curves = {
        "M": (train - law) / (1 - law),
        "G": (heldout - heldout[0]) / (law - heldout[0]),
    }
    return [
        Passing(
            Key("memorizer", f"{order}, {OWN}", f"kept {alpha:g}"),
            *case,
            sizes,
            curve,
            np.empty((0, GRID)),
            rising=order == "G",
        )
        for order, curve in curves.items()
    ]


def _linear_ends(
    sizes: Floats, case: Case, alpha: float, split: Literal["train", "test"]
) -> Floats:
    """Corrupted recovery of the optimal memorizer by its nearest sequence, over K."""
    vocab_size, seq_len = case
    found = empirical.token_recovery(
        sizes, seq_len, vocab_size, alpha, tokens="corrupted", split=split
    )
    return np.asarray(found)


def exact_linear(case: Case, alpha: float) -> list[Passing]:
    """M, G and the passage between own ends of the linear denoiser, decided by largest entries."""
    vocab_size, seq_len = case
    sizes = np.geomspace(1.0, LAST * seq_len * (vocab_size - 1), GRID)
    read = partial(linear.token_recovery, sizes, seq_len, vocab_size, alpha, tokens="corrupted")
    train, heldout = np.asarray(read()), np.asarray(read(split="test"))
    return _linear_orders(case, alpha, sizes, train, heldout, train[:0], heldout[:0])


def _linear_orders(
    case: Case,
    alpha: float,
    sizes: Floats,
    train: Floats,
    heldout: Floats,
    train_left: Floats,
    heldout_left: Floats,
) -> list[Passing]:
    ends = (_linear_ends(sizes, case, alpha, split) for split in ("train", "test"))
    stored, unseen = (np.where(end > MET, end, np.nan) for end in ends)
    none = np.empty((0, len(sizes)))
    train_left = train_left if train_left.ndim == 2 else none
    heldout_left = heldout_left if heldout_left.ndim == 2 else none
    curves = {
        "M": (train / stored, train_left / stored),
        "G": (1 - heldout / unseen, 1 - heldout_left / unseen),
        f"M, {OWN}": (train, train_left),
    }
    return [
        Passing(Key("linear", order, f"kept {alpha:g}"), *case, sizes, *pair, rising=order == "G")
        for order, pair in curves.items()
    ]


def left_out(top: Floats, bottom: Floats) -> tuple[Floats, Floats]:
    """Ratio of sums over units (units, n), (n,), and the same with each unit left out."""
    total, whole = top.sum(0), bottom.sum(0)
    return total / whole, (total - top) / (whole - bottom)


def measured_memorizer(config: SharpnessConfig, case: Case, cell: xr.Dataset) -> Passing:
    """The simulated memorizer between its own ends."""
    alpha = min(config.alphas)
    whole, left = left_out(cell["recovered"].values, cell["corrupted"].values)
    law = _law(False, case[0], alpha)
    key = Key("memorizer", f"M, {OWN}", f"kept {alpha:g}")
    sizes = cell["train_size"].values.astype(np.float64)
    return Passing(key, *case, sizes, (whole - law) / (1 - law), (left - law) / (1 - law))


def measured_linear(config: SharpnessConfig, case: Case, cell: xr.Dataset) -> list[Passing]:
    """The simulated linear denoiser, with the memorizer's exact ends."""
    parts = [
        left_out(*(cell[name].sel(split=split).values for name in ("recovered", "corrupted")))
        for split in ("train", "heldout")
    ]
    (train, train_left), (heldout, heldout_left) = parts
    sizes = cell["train_size"].values.astype(np.float64)
    alpha = min(config.alphas)
    return _linear_orders(case, alpha, sizes, train, heldout, train_left, heldout_left)


def measured_memories(
    config: SharpnessConfig, case: Case, cells: Sequence[xr.Dataset], sizes: Sequence[int]
) -> list[Passing]:
    """M by entropy and by single-token recovery of a pseudo-likelihood memory as t -> 0."""
    data = xr.concat([cell.drop_attrs(deep=False) for cell in cells], "set")
    laws = {"entropy": np.log(case[0]), "own": 1 / case[0]}
    found = []
    for name, order in (("entropy", "M, entropy"), ("own", "M, one token")):
        for row, ridge in enumerate(config.ridges):
            reading, end = (
                laws[name] - data[part].isel(ridge=row).transpose("set", "load").values
                for part in (name, f"{name}_memorizer")
            )
            key = Key("memory", order, f"ridge {ridge:g}")
            found.append(Passing(key, *case, np.array(sizes, float), *left_out(reading, end)))
    return found


def rows_limit(config: SharpnessConfig, vocab_size: int, cell: xr.Dataset) -> dict[str, Floats]:
    """M by entropy over load at large L, by theory, for each ridge."""
    top = np.log(vocab_size)
    return {
        f"ridge {ridge:g}": 1 - cell["entropy"].isel(ridge=row).values / top
        for row, ridge in enumerate(config.ridges)
    }


def exact_separable(seq_len: int) -> Passing:
    """Share of rows of two tokens that are separable, by Cover's formula, at every K."""
    sizes = np.arange(1.0, 6.0 * seq_len + 20)
    share = separable_share(sizes, seq_len - 1)
    key = Key("separable", "share of rows", "exact")
    return Passing(key, 2, seq_len, sizes, share, np.empty((0, len(sizes))))


def measured_separable(case: Case, cell: xr.Dataset) -> Passing:
    """Share of rows whose largest separable K is not below K: a normal law of log K, as quantiles
    of a few rows have no jackknife."""
    logs = np.log(cell["largest"].values)
    sizes = np.exp(logs.mean() + logs.std() * np.linspace(-3, 3, 121))

    def share(values: Floats) -> Floats:
        return np.asarray(ndtr((values.mean() - np.log(sizes)) / values.std(ddof=1)))

    left = np.array([share(np.delete(logs, k)) for k in range(len(logs))])
    key = Key("separable", "share of rows", "linear programs")
    return Passing(key, *case, sizes, share(logs), left)


def measured_network(config: SharpnessConfig, network: Network, data: xr.Dataset) -> list[Passing]:
    """M and G of networks from their cells, dimensions seed, train_size, split, sample."""
    counts = data[["corrupted", "recovered", "population", "memorizer"]]
    named = counts.expand_dims(decoder=["ancestral"]).assign(cluster=data["cluster"])
    seeds = np.arange(data.sizes["seed"])
    setting = f"{network.source}, width {network.width}, {network.steps:,} steps"
    found = []
    for split, order in (("train", "M"), ("heldout", "G")):
        read = partial(order_curve, split=split, root_seed=config.root_seed)
        whole = read(named)
        left = np.array([read(named.isel(seed=seeds != s)).estimate for s in seeds])
        found.append(
            Passing(
                Key("network", order, setting),
                config.vocab_size,
                network.seq_len,
                whole.train_sizes,
                whole.estimate,
                left,
                rising=order == "G",
            )
        )
    return found


def all_passages(config: SharpnessConfig, cells: dict[str, list[xr.Dataset]]) -> list[Passing]:
    """Every passage, exact ones first; `cells` as `study.load` gives them."""
    found = exact_passages(config)
    found += [exact_separable(n) for v, n in config.memories if v == 2]
    for case, cell in zip(config.memorizers, cells["memorizer"], strict=True):
        found.append(measured_memorizer(config, case, cell))
    for case, cell in zip(config.linears, cells["linear"], strict=True):
        found += measured_linear(config, case, cell)
    for case, cell in zip(config.separable, cells["separable"], strict=True):
        found.append(measured_separable(case, cell))
    for number, case in enumerate(config.memories):
        mine = cells["memory"][number * config.memory_sets : (number + 1) * config.memory_sets]
        found += measured_memories(config, case, mine, memory_sizes(config, case))
    for network in networks(config):
        found += measured_network(config, network, cells[network.name][0])
    return found

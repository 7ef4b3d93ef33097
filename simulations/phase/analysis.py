"""From merged raw counts to curves with intervals, transition sizes and basin radii.

One bootstrap over sequences serves every rate of a (K, seed, split), so that decoders and
noise levels stay paired; seeds are combined as `simulations.measure.bootstrap` says.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.data.problem import make_source
from simulations.measure.bootstrap import bootstrap_ratio, combine_seeds, interval
from simulations.measure.names import DECODERS, DENOISERS, EPSILONS, LAWS, SPLITS
from simulations.measure.radius import Radius, radius_estimate
from simulations.measure.transition import Curve, Estimate, entropy_transition, recovery_transition
from simulations.phase.config import Config

Floats = NDArray[np.float64]
RATES = ("corrupted recovery", "all-token recovery", "damage", "exact match", "nearest")
LAW_RATES = ("entropy", *(f"fraction below {eps:g}" for eps in EPSILONS), "log_loss")
SUMMARY_EPSILON = 0.05


@dataclass(frozen=True)
class Rate:
    """One rate over (train_size, *levels): estimate, interval, replicates and per-seed values.

    estimate, low, high (K, levels); replicates (R, K, levels); per_seed (S, K, levels).
    """

    estimate: Floats
    low: Floats
    high: Floats
    replicates: Floats = field(repr=False)
    per_seed: Floats = field(repr=False)
    method: str


def _combine(config: Config, name: str, estimates: Floats, replicates: Floats) -> Rate:
    rng = stream(config.root_seed, "seeds")  # the same seeds for every rate: differences pair
    estimate, combined, method = combine_seeds(rng, estimates, replicates)
    low, high = interval(combined)
    return Rate(estimate, low, high, combined, estimates, method)


def minus(config: Config, first: Rate, second: Rate) -> Rate:
    """The difference of two rates, replicate by replicate."""
    replicates = first.replicates - second.replicates
    low, high = interval(replicates)
    return Rate(
        first.estimate - second.estimate,
        low,
        high,
        replicates,
        first.per_seed - second.per_seed,
        first.method,
    )


def _decoder_columns(part: xr.Dataset, seq_len: int) -> tuple[Floats, Floats]:
    """Numerators (n, rate, denoiser, decoder, t) and denominators (n, rate, 1, 1, t) of RATES."""
    order = ("sample", "denoiser", "decoder", "t")
    recovered, broken, nearest = (
        part[name].transpose(*order).values.astype(np.float64)
        for name in ("recovered", "broken", "nearest")
    )
    missing = recovered < 0
    corrupted = part["corrupted"].transpose("sample", "t").values.astype(np.float64)
    corrupted = corrupted[:, None, None, :]
    right = seq_len - corrupted - broken + recovered
    top = np.stack([recovered, right, broken, right == seq_len, nearest], axis=1)
    top[np.broadcast_to(missing[:, None], top.shape)] = np.nan
    ones = np.ones_like(corrupted)
    bottom = [corrupted, seq_len * ones, seq_len - corrupted, ones, ones]
    return top, np.stack(bottom, axis=1)


def _law_columns(part: xr.Dataset, seq_len: int) -> tuple[Floats, Floats]:
    """Numerators (n, rate, denoiser, law, t_entropy) of LAW_RATES and denominators (n, 1...)."""
    order = ("sample", "denoiser", "law", "t_entropy")
    entropy = part["entropy"].transpose(*order).values.astype(np.float64)
    loss = part["log_loss"].transpose(*order).values.astype(np.float64)
    below = part["vanishing"].transpose("epsilon", *order).values.astype(np.float64) / seq_len
    below[:, np.isnan(entropy)] = np.nan
    return np.stack([entropy, *below, loss], axis=1), np.ones((len(entropy), 1, 1, 1, 1))


@dataclass(frozen=True)
class Analysis:
    """Everything the report and the figure draw from."""

    config: Config
    data: xr.Dataset = field(repr=False)
    rates: dict[tuple[str, str, str, str], Rate] = field(repr=False)
    laws: dict[tuple[str, str, str, str], Rate] = field(repr=False)
    nelbo: dict[tuple[str, str], Rate] = field(repr=False)
    sizes: dict[str, Estimate]
    radii: dict[tuple[str, str, str, int], Radius] = field(repr=False)
    information: dict[float, tuple[float, float]]

    @property
    def train_sizes(self) -> list[int]:
        return [int(k) for k in self.data["train_size"].values]

    def rate(self, name: str, denoiser: str, decoder: str, split: str) -> Rate:
        """A rate of RATES over (train_size, t)."""
        return self.rates[name, denoiser, decoder, split]

    def law(self, name: str, denoiser: str, law: str, split: str) -> Rate:
        """A rate of LAW_RATES over (train_size, t_entropy)."""
        return self.laws[name, denoiser, law, split]


def analyse(config: Config, data: xr.Dataset) -> Analysis:
    """Bootstrap the merged dataset (dims train_size, seed, ...) into an Analysis."""
    denoisers = [d for d in DENOISERS if d != "population" or config.source != "text"]
    rates: dict[tuple[str, str, str, str], Rate] = {}
    laws: dict[tuple[str, str, str, str], Rate] = {}
    for split in SPLITS:
        columns, law_columns = _bootstrap_split(config, data, split)
        for i, name in enumerate(RATES):
            for denoiser in denoisers:
                for k, decoder in enumerate(DECODERS):
                    d = DENOISERS.index(denoiser)
                    pick = [part[..., i, d, k, :] for part in columns]
                    rates[name, denoiser, decoder, split] = _combine(config, name, *pick)
        for i, name in enumerate(LAW_RATES):
            for denoiser in denoisers:
                for k, law in enumerate(LAWS):
                    d = DENOISERS.index(denoiser)
                    pick = [part[..., i, d, k, :] for part in law_columns]
                    laws[name, denoiser, law, split] = _combine(config, name, *pick)
    partial = Analysis(config, data, rates, laws, _nelbo(config, data, denoisers), {}, {}, {})
    return Analysis(
        config,
        data,
        rates,
        laws,
        partial.nelbo,
        transition_sizes(partial),
        basin_radii(partial, denoisers),
        information_line(config),
    )


def _bootstrap_split(config: Config, data: xr.Dataset, split: str) -> tuple[Any, Any]:
    """((S, K, ...), (S, R, K, ...)) of the decoder rates and of the law rates."""

    def one(seed: int, size: int) -> list[tuple[Floats, Floats]]:
        part = data.sel(train_size=size, seed=seed, split=split)
        clusters = part["cluster"].values
        return [
            bootstrap_ratio(
                # the same stream: one resampling of the sequences serves all rates
                stream(config.root_seed, "bootstrap", split, size, seed),
                *columns(part, config.seq_len),
                clusters,
                config.replicates,
            )
            for columns in (_decoder_columns, _law_columns)
        ]

    seeds, sizes = data["seed"].values, data["train_size"].values
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy lets go of the interpreter
        found = list(pool.map(one, np.repeat(seeds, len(sizes)), np.tile(sizes, len(seeds))))
    rows = [found[i : i + len(sizes)] for i in range(0, len(found), len(sizes))]
    decoders, laws = (
        tuple(
            np.stack([np.stack([cell[kind][j] for cell in row], axis=j) for row in rows])
            for j in range(2)  # the sizes come before the rates, after the replicates
        )
        for kind in range(2)
    )
    return decoders, laws


def _nelbo(config: Config, data: xr.Dataset, denoisers: list[str]) -> dict[tuple[str, str], Rate]:
    out = {}
    for split in ("train", "heldout"):
        estimates, replicates = [], []
        for seed in data["seed"].values:
            parts = []
            for size in data["train_size"].values:
                cell = data.sel(train_size=size, seed=seed, split_nelbo=split)
                top = cell["nelbo"].transpose("nelbo_sample", "denoiser").values.astype(float)
                rng = stream(config.root_seed, "bootstrap nelbo", split, size, seed)
                clusters = cell["nelbo_cluster"].values
                parts.append(
                    bootstrap_ratio(rng, top, np.ones_like(top), clusters, config.replicates)
                )
            estimates.append(np.stack([p[0] for p in parts]))
            replicates.append(np.stack([p[1] for p in parts], axis=1))
        for denoiser in denoisers:
            d = DENOISERS.index(denoiser)
            out[denoiser, split] = _combine(
                config, "nelbo", np.stack(estimates)[..., d], np.stack(replicates)[..., d]
            )
    return out


def _curve(analysis: Analysis, rate: Rate, level: int) -> Curve:
    sizes = np.array(analysis.train_sizes, dtype=np.float64)
    return Curve(
        sizes,
        rate.estimate[:, level],
        rate.replicates[..., level],
        rate.per_seed[..., level],
        rate.method,
    )


def transition_sizes(analysis: Analysis) -> dict[str, Estimate]:
    """K_half and K_conv by recovery at every level; K_H by `loo` entropy at t -> 0."""
    config = analysis.config
    if len(analysis.train_sizes) < 2:
        return {}
    sizes: dict[str, Estimate] = {}
    for name, decoder in (
        ("all-token recovery", "ancestral"),
        ("corrupted recovery", "ancestral"),
        ("all-token recovery", "argmax"),
    ):
        pair = [analysis.rate(name, "trained", decoder, s) for s in ("train", "heldout")]
        gap = minus(config, *pair)
        for i, t in enumerate(config.levels):
            found = recovery_transition(_curve(analysis, gap, i), config.tolerance)
            for estimate in found:
                sizes[f"{estimate.name} {name} {decoder} t={t:g}"] = estimate
    plateau: dict[str, Any] = {"source_vanishing": None, "source_entropy": None}
    if config.source != "text":
        law = make_source(config.source, config.vocab_size, config.seq_len).loo_entropy_law()
        plateau = {
            "source_vanishing": law.fraction_below(SUMMARY_EPSILON),
            "source_entropy": law.mean(),
        }
    for split in ("train", "generated"):
        below = analysis.law(f"fraction below {SUMMARY_EPSILON:g}", "trained", "loo", split)
        entropy = analysis.law("entropy", "trained", "loo", split)
        for estimate in entropy_transition(
            vanishing=_curve(analysis, below, 0), entropy=_curve(analysis, entropy, 0), **plateau
        ):
            sizes[f"{estimate.name} loo {split} t=1e-05"] = estimate
    return sizes


def basin_radii(
    analysis: Analysis, denoisers: list[str]
) -> dict[tuple[str, str, str, int], Radius]:
    """Radii by (denoiser, split, criterion, K), decoder `ancestral` (one exact draw)."""
    config = analysis.config
    radii: dict[tuple[str, str, str, int], Radius] = {}
    if len(config.levels) < 2:
        return radii
    for denoiser in denoisers:
        for split in ("train", "heldout", "random"):
            for criterion, name in (("exact", "nearest"), ("token_recovery", "corrupted recovery")):
                rate = analysis.rate(name, denoiser, "ancestral", split)
                for k, size in enumerate(analysis.train_sizes):
                    radii[denoiser, split, criterion, size] = radius_estimate(
                        np.array(config.levels),
                        rate.estimate[k],
                        rate.replicates[:, k],
                        criterion=criterion,
                        threshold=config.threshold,
                    )
    return radii


def information_line(config: Config) -> dict[float, tuple[float, float]]:
    """I(x_0; x_t) in nats a sequence and its standard error, on a grid of noise levels."""
    if config.source == "text":
        return {}
    source = make_source(config.source, config.vocab_size, config.seq_len)
    schedule = source.population_denoiser().schedule
    grid = np.unique(np.concatenate([np.linspace(0.05, 0.95, 19), config.levels]))
    line = {}
    for t in grid:
        rng = stream(config.root_seed, "information", f"{t:.4f}")
        found = source.mutual_information(float(schedule.alpha(float(t))), rng, 4000)
        line[float(t)] = (found.value, found.standard_error)
    return line

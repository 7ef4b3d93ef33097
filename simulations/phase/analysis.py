"""From merged raw counts to curves with intervals, order parameters, sizes and basin radii.

One bootstrap over sequences serves every rate of a (K, seed, split), so that denoisers, decoders
and noise levels stay paired; seeds are combined as `simulations.measure.bootstrap` says. A rate is
combined over the seeds for which its denoiser was measured. Long because one bootstrap serves all.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.data.problem import make_source
from simulations.measure.bootstrap import bootstrap_ratio, combine_seeds, interval
from simulations.measure.names import DECODERS, DENOISERS, EPSILONS, EXACT, LAWS, SPLITS
from simulations.measure.radius import Radius, radius_estimate
from simulations.measure.transition import Curve, Estimate, entropy_transition, recovery_transition
from simulations.phase.attraction import SHARES, share_columns
from simulations.phase.attractors import STARTS
from simulations.phase.cells import RESTORED
from simulations.phase.config import Config

Floats = NDArray[np.float64]
RATES = ("corrupted recovery", "all-token recovery", "damage", "exact match", "nearest")
LAW_RATES = ("entropy", *(f"fraction below {eps:g}" for eps in EPSILONS), "log_loss", "own")
SUMMARY_EPSILON = 0.05
Columns = Callable[[xr.Dataset, int], tuple[Floats, Floats]]


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
    loss, own = (part[name].transpose(*order).values.astype(float) for name in ("log_loss", "own"))
    below = part["vanishing"].transpose("epsilon", *order).values.astype(np.float64) / seq_len
    below[:, np.isnan(entropy)] = np.nan
    return np.stack([entropy, *below, loss, own], axis=1), np.ones((len(entropy), 1, 1, 1, 1))


@dataclass(frozen=True)
class Table:
    """Raw rates of a split: estimates (S, K, rate, denoiser, decoder or law, level), NaN where
    nothing was measured, and their replicates (S, R, K, ...)."""

    estimates: Floats = field(repr=False)
    replicates: Floats = field(repr=False)


@dataclass(frozen=True)
class Analysis:
    """Everything the report and the figure draw from."""

    config: Config
    data: xr.Dataset = field(repr=False)
    tables: dict[tuple[str, str], Table] = field(repr=False)
    nelbo_table: dict[str, Table] = field(repr=False)
    information: dict[float, tuple[float, float]]
    sizes: dict[str, Estimate] = field(default_factory=dict)
    radii: dict[tuple[str, str, str, int], Radius] = field(default_factory=dict, repr=False)
    _rates: dict[Any, Rate] = field(default_factory=dict, repr=False)

    @property
    def train_sizes(self) -> list[int]:
        return [int(k) for k in self.data["train_size"].values]

    @property
    def denoisers(self) -> list[str]:
        """Those that were measured at some size."""
        table = self.tables["laws", "train"].estimates
        unmeasured = np.isnan(table).all(axis=tuple(i for i in range(table.ndim) if i != 3))
        return [
            name for name, no in zip(DENOISERS, np.atleast_1d(unmeasured), strict=True) if not no
        ]

    def rate(self, name: str, denoiser: str, decoder: str, split: str, beside: str = "") -> Rate:
        """A rate of RATES over (train_size, t), NaN at sizes without the denoiser.

        beside : combine over the seeds of this denoiser alone, to pair with it.
        """
        place = (RATES.index(name), DENOISERS.index(denoiser), DECODERS.index(decoder))
        return self._rate("decoders", split, place, beside or denoiser)

    def law(self, name: str, denoiser: str, law: str, split: str, beside: str = "") -> Rate:
        """A rate of LAW_RATES over (train_size, t_entropy), as `rate`."""
        place = (LAW_RATES.index(name), DENOISERS.index(denoiser), LAWS.index(law))
        return self._rate("laws", split, place, beside or denoiser)

    def share(self, name: str, denoiser: str, split: str) -> Rate:
        """A share of `attraction.SHARES` over (train_size,); splits train, heldout, random."""
        place = (list(SHARES).index(name), DENOISERS.index(denoiser))
        return self._rate("attractors", split, place, denoiser)

    def nelbo(self, denoiser: str, split: str) -> Rate:
        """The NELBO over (train_size,)."""
        return self._rate("nelbo", split, (DENOISERS.index(denoiser),), denoiser)

    def _rate(self, kind: str, split: str, place: tuple[int, ...], beside: str) -> Rate:
        key = (kind, split, place, beside)
        if key not in self._rates:
            table = self.nelbo_table[split] if kind == "nelbo" else self.tables[kind, split]
            measured = ~np.isnan(self._entropy_of(beside)).all(axis=1)
            estimates = table.estimates[(measured, slice(None), *place)]
            replicates = table.replicates[(measured, slice(None), slice(None), *place)]
            # the same seeds for every rate: differences pair
            rng = stream(self.config.root_seed, "seeds")
            estimate, combined, method = combine_seeds(rng, estimates, replicates)
            low, high = interval(combined)
            self._rates[key] = Rate(estimate, low, high, combined, estimates, method)
        return self._rates[key]

    def _entropy_of(self, denoiser: str) -> Floats:
        """(S, K); NaN where the denoiser was not measured."""
        table = self.tables["laws", "train"].estimates
        return np.asarray(table[:, :, 0, DENOISERS.index(denoiser), 0, 0])


def analyse(config: Config, data: xr.Dataset) -> Analysis:
    """Bootstrap the merged dataset (dims train_size, seed, ...) into an Analysis."""
    tables: dict[tuple[str, str], Table] = {}
    for split in SPLITS:
        tables |= _bootstrap_split(config, data, split)
    nelbo = {split: _nelbo(config, data, split) for split in RESTORED}
    partial = Analysis(config, data, tables, nelbo, information_line(config))
    return dataclasses.replace(partial, sizes=transition_sizes(partial), radii=basin_radii(partial))


def _bootstrap_split(config: Config, data: xr.Dataset, split: str) -> dict[tuple[str, str], Table]:
    """The tables of the laws and, where the split has them, of decoders and attractors."""
    kinds: dict[str, tuple[Columns, str]] = {"laws": (_law_columns, "cluster")}
    if split in RESTORED:
        kinds["decoders"] = (_decoder_columns, "cluster")
    if split in STARTS:
        kinds["attractors"] = (share_columns, "start_cluster")

    def one(seed: int, size: int) -> list[tuple[Floats, Floats]]:
        part = data.sel(train_size=size, seed=seed, split=split)
        if split in STARTS:
            part = part.sel(split_start=split)
        return [
            bootstrap_ratio(
                # the same stream: one resampling of the sequences serves all rates
                stream(config.root_seed, "bootstrap", split, size, seed),
                *columns(part, config.seq_len),
                part[clusters].values,
                config.replicates,
            )
            for columns, clusters in kinds.values()
        ]

    seeds, sizes = data["seed"].values, data["train_size"].values
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy lets go of the interpreter
        found = list(pool.map(one, np.repeat(seeds, len(sizes)), np.tile(sizes, len(seeds))))
    rows = [found[i : i + len(sizes)] for i in range(0, len(found), len(sizes))]
    return {
        (name, split): Table(
            *(
                # the sizes come before the rates, after the replicates
                np.stack([np.stack([cell[kind][j] for cell in row], axis=j) for row in rows])
                for j in range(2)
            )
        )
        for kind, name in enumerate(kinds)
    }


def _nelbo(config: Config, data: xr.Dataset, split: str) -> Table:
    estimates, replicates = [], []
    for seed in data["seed"].values:
        parts = []
        for size in data["train_size"].values:
            cell = data.sel(train_size=size, seed=seed, split_nelbo=split)
            top = cell["nelbo"].transpose("nelbo_sample", "denoiser").values.astype(float)
            rng = stream(config.root_seed, "bootstrap nelbo", split, size, seed)
            clusters = cell["nelbo_cluster"].values
            parts.append(bootstrap_ratio(rng, top, np.ones_like(top), clusters, config.replicates))
        estimates.append(np.stack([p[0] for p in parts]))
        replicates.append(np.stack([p[1] for p in parts], axis=1))
    return Table(np.stack(estimates), np.stack(replicates))


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


def basin_radii(analysis: Analysis) -> dict[tuple[str, str, str, int], Radius]:
    """Radii by (denoiser, split, criterion, K), decoder `ancestral` (one exact draw)."""
    config = analysis.config
    radii: dict[tuple[str, str, str, int], Radius] = {}
    if len(config.levels) < 2:
        return radii
    exact = [name for name in EXACT if name in analysis.denoisers]
    for denoiser in ("trained", *exact):
        for split in RESTORED:
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
    grid = np.unique(np.concatenate([np.linspace(0.05, 0.95, 19).round(4), config.levels]))
    line = {}
    for t in grid:
        rng = stream(config.root_seed, "information", f"{t:.4f}")
        alpha = float(schedule.alpha(float(t)))
        found = source.mutual_information(alpha, rng, 4000, config.noise)
        line[float(t)] = (found.value, found.standard_error)
    return line

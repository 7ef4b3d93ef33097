"""Rates of a probe with 95 % intervals: what the dataset of raw counts says, by split and level.

The unit of resampling is the sequence, never the token. All levels and measures of one split and
decoder share their bootstrap weights; a calibration gap is formed within each sequence, so it is
paired; train and held-out sequences are different ones and are resampled independently. Entropies
name their law, `loo` or `full`, and are in nats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.bootstrap import bootstrap_ratio
from simulations.probe.judge.membership import Membership, memberships
from simulations.probe.measure.dataset import split_rows
from simulations.probe.measure.estimate import Estimate, estimate, proportion

Floats = NDArray[np.float64]
Draws = tuple[Floats, Floats, int]  # values, replicates, sequences

SPLITS = ("train", "heldout", "generated", "random")


@dataclass(frozen=True)
class Rates:
    """One split, level and decoder. Recovery: of the corrupted tokens, the share restored; damage:
    of the others, the share broken; both pooled counts. Exact: sequences wholly right."""

    split: str
    t: float
    decoder: str
    recovery: Estimate
    damage: Estimate
    exact: Estimate


@dataclass(frozen=True)
class LawRow:
    """One split, law and level: means over tokens, nats. `calibration_gap` is log loss minus
    entropy; `vanishing` is the share of tokens with entropy below each epsilon."""

    split: str
    law: str
    t: float
    entropy: Estimate
    log_loss: Estimate
    calibration_gap: Estimate
    vanishing: tuple[Estimate, ...]


@dataclass(frozen=True)
class SplitRow:
    """One split: NELBO in nats a token, perplexity, its exponential; the share of sequences that
    repeat another one of the split, that copy a training sequence, and their distance to it."""

    split: str
    n: int
    nelbo: Estimate
    perplexity: Estimate
    repeats: Estimate
    copies: Estimate
    distance: Estimate


@dataclass(frozen=True)
class Gap:
    """A difference of two splits at one level; `what` names it, its law or its decoder."""

    what: str
    t: float
    gap: Estimate


@dataclass(frozen=True)
class Statistics:
    """Everything that the report shows; `epsilons` in nats, `replicates` of the bootstrap."""

    rates: tuple[Rates, ...]
    laws: tuple[LawRow, ...]
    splits: tuple[SplitRow, ...]
    gaps: tuple[Gap, ...]
    membership: tuple[Membership, ...]
    epsilons: tuple[float, ...]
    replicates: int

    def rate(self, split: str, decoder: str) -> list[Rates]:
        """Rows of a split and decoder by level, those alone that were measured."""
        found = [r for r in self.rates if (r.split, r.decoder) == (split, decoder)]
        return [r for r in found if r.recovery.n]

    def law(self, split: str, law: str) -> list[LawRow]:
        """Rows of a split and law by level."""
        return [r for r in self.laws if (r.split, r.law) == (split, law) and r.entropy.known]


def statistics(data: xr.Dataset, rng: np.random.Generator, n_replicates: int = 1000) -> Statistics:
    """All rates of a probe's dataset with their intervals."""
    names = [name for name in SPLITS if name in data["split"].values]
    parts = {name: split_rows(data, name) for name in names}
    rates: list[Rates] = []
    laws: list[LawRow] = []
    draws: dict[tuple[str, str], Draws] = {}
    for name, part in parts.items():
        for decoder in data["decoder"].values.tolist():
            rows, found = _rates(part, name, decoder, rng, n_replicates)
            rates += rows
            draws[name, decoder] = found
        rows_of_laws, found = _laws(part, name, rng, n_replicates)
        laws += rows_of_laws
        draws[name, "entropy"] = found
    splits = tuple(_split_row(part, name, rng, n_replicates) for name, part in parts.items())
    return Statistics(
        tuple(rates),
        tuple(laws),
        splits,
        tuple(_gaps(data, parts, draws)),
        memberships(data, rng, n_replicates),
        tuple(data["epsilon"].values.tolist()),
        n_replicates,
    )


def changed_tokens(part: xr.Dataset, decoder: str) -> NDArray[np.int64]:
    """Corrupted tokens (sequence, t) of the draw that a decoder started from, -1 if none was."""
    name = "corrupted_ancestral" if decoder == "ancestral" else "corrupted"
    return np.asarray(part[name].values, np.int64)


def _ratio(
    rng: np.random.Generator, top: Any, bottom: Any, n_replicates: int
) -> tuple[Floats, Floats]:
    """Bootstrap over rows; NaN throughout where there is none."""
    n = len(top)
    if not n:
        shape = np.shape(top)[1:]
        return np.full(shape, np.nan), np.full((n_replicates, *shape), np.nan)
    return bootstrap_ratio(rng, top, bottom, np.arange(n), n_replicates)


def _rates(
    part: xr.Dataset, split: str, decoder: str, rng: np.random.Generator, n_replicates: int
) -> tuple[list[Rates], Draws]:
    """Rows by level; and recovery (t,) with its replicates (R, t)."""
    changed = changed_tokens(part, decoder)
    restored = np.asarray(part["recovered"].sel(decoder=decoder).values, np.int64)
    broken = np.asarray(part["broken"].sel(decoder=decoder).values, np.int64)
    measured = (changed >= 0) & (restored >= 0)
    kept = measured.any(1)
    measured, changed = measured[kept], changed[kept]
    restored, broken = restored[kept], broken[kept]
    others = part.sizes["position"] - changed
    top = np.stack([restored, broken], axis=-1) * measured[..., None]
    bottom = np.stack([changed, others], axis=-1) * measured[..., None]
    value, draws = _ratio(rng, top, bottom, n_replicates)
    exact = (restored == changed) & (broken == 0)
    rows = []
    for k, t in enumerate(part["t"].values.tolist()):
        some = [int((bottom[:, k, j] > 0).sum()) for j in range(2)]
        pooled = [estimate(value[k, j], draws[:, k, j], some[j], share=True) for j in range(2)]
        whole = proportion(exact[measured[:, k], k])
        rows.append(Rates(split, t, decoder, pooled[0], pooled[1], whole))
    return rows, (value[..., 0], draws[..., 0], int(kept.sum()))


def _laws(
    part: xr.Dataset, split: str, rng: np.random.Generator, n_replicates: int
) -> tuple[list[LawRow], Draws]:
    """Rows by law and level; and entropy (law, t_entropy) with its replicates."""
    entropy = np.asarray(part["entropy"].values, np.float64)
    loss = np.asarray(part["log_loss"].values, np.float64)
    measured = np.isfinite(entropy) & np.isfinite(loss)
    share = np.asarray(part["vanishing"].values, np.float64) / part.sizes["position"]
    table = np.concatenate([np.stack([entropy, loss, loss - entropy], axis=-1), share], axis=-1)
    kept = measured.any((1, 2))
    here = measured[kept][..., None]
    bottom = np.broadcast_to(here, table[kept].shape).astype(np.float64)
    value, draws = _ratio(rng, np.where(here, table[kept], 0.0), bottom, n_replicates)
    rows = []
    for i, law in enumerate(part["law"].values.tolist()):
        for k, t in enumerate(part["t_entropy"].values.tolist()):
            n = int(measured[:, i, k].sum())
            found = [
                estimate(value[i, k, j], draws[:, i, k, j], n, share=j > 2)
                for j in range(table.shape[-1])
            ]
            rows.append(LawRow(split, law, t, found[0], found[1], found[2], tuple(found[3:])))
    return rows, (value[..., 0], draws[..., 0], int(kept.sum()))


def _split_row(
    part: xr.Dataset, split: str, rng: np.random.Generator, n_replicates: int
) -> SplitRow:
    def mean(values: Any) -> Estimate:
        known = np.asarray(values, np.float64)
        value, draws = _ratio(rng, known, np.ones(len(known)), n_replicates)
        return estimate(float(value), draws, len(known))

    nelbo = part["nelbo"].values
    bound = mean(nelbo[np.isfinite(nelbo)])
    low, value, high = np.exp([bound.low, bound.value, bound.high]).tolist()
    repeats, distance = part["repeats"].values, part["nearest_distance"].values
    found = distance[distance >= 0]
    return SplitRow(
        split,
        part.sizes["sequence"],
        bound,
        Estimate(value, low, high, bound.n),
        proportion(repeats[repeats >= 0] > 0),
        proportion(found == 0),
        mean(found),
    )


def _gaps(
    data: xr.Dataset,
    parts: dict[str, xr.Dataset],
    draws: dict[tuple[str, str], Draws],
) -> list[Gap]:
    """Recovery of train minus held-out; `loo` entropy of generated minus train."""

    def minus(first: str, second: str, what: str) -> Draws:
        a, b = draws[first, what], draws[second, what]
        return a[0] - b[0], a[1] - b[1], min(a[2], b[2])

    found = []
    if "train" in parts and "heldout" in parts:
        for decoder in data["decoder"].values.tolist():
            value, replicates, n = minus("train", "heldout", decoder)
            for k, t in enumerate(data["t"].values.tolist()):
                if np.isfinite(value[k]):
                    gap = estimate(value[k], replicates[:, k], n)
                    found.append(Gap(f"recovery, train - held-out, {decoder}", t, gap))
    for other in ("train", "heldout"):
        if "generated" in parts and other in parts:
            value, replicates, n = minus("generated", other, "entropy")
            name = "held-out" if other == "heldout" else other
            for i, law in enumerate(data["law"].values.tolist()):
                for k, t in enumerate(data["t_entropy"].values.tolist()):
                    if np.isfinite(value[i, k]):
                        gap = estimate(value[i, k], replicates[:, i, k], n)
                        found.append(Gap(f"{law} entropy, generated - {name}", t, gap))
    return found

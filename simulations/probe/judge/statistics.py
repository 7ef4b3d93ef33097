"""Rates of a probe with 95 % intervals: what the dataset of raw counts says, by split and level.

The unit of resampling is the sequence, never the token. All levels and measures of one split and
decoder share their bootstrap weights; a calibration gap is formed within each sequence, so it is
paired; train and held-out sequences are different ones and are resampled independently. Entropies
name their law, `loo` or `full`, and are in nats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.bootstrap import bootstrap_ratio
from simulations.measure.names import SPLITS
from simulations.probe.judge.membership import Membership, memberships
from simulations.probe.measure.dataset import split_rows
from simulations.probe.measure.estimate import Estimate, estimate, proportion
from simulations.probe.measure.kind import erases

Floats = NDArray[np.float64]
Draws = tuple[Floats, Floats, int]  # values by level, replicates, sequences
Ratio = Callable[[Any, Any], tuple[Floats, Floats]]  # of sums over rows: value, replicates

NAMES = {"train": "train", "heldout": "held-out", "generated": "generated", "random": "random"}


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
    """One split, law and level: means over the tokens that were read, nats. `calibration_gap` is
    log loss minus entropy; `vanishing` is the share of tokens with entropy below each epsilon."""

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
    """Everything that the report shows; `epsilons` in nats, `replicates` of the bootstrap.
    `erases` : visible tokens were certain, and laws were read at masked sites alone."""

    rates: tuple[Rates, ...]
    laws: tuple[LawRow, ...]
    splits: tuple[SplitRow, ...]
    gaps: tuple[Gap, ...]
    membership: tuple[Membership, ...]
    epsilons: tuple[float, ...]
    replicates: int
    erases: bool = False

    def gap(self, what: str) -> dict[float, Estimate]:
        """A difference by level."""
        return {g.t: g.gap for g in self.gaps if g.what == what}

    def rate(self, split: str, decoder: str) -> list[Rates]:
        """Rows of a split and decoder by level, those alone that were measured."""
        found = [r for r in self.rates if (r.split, r.decoder) == (split, decoder)]
        return [r for r in found if r.recovery.n]

    def law(self, split: str, law: str) -> list[LawRow]:
        """Rows of a split and law by level."""
        return [r for r in self.laws if (r.split, r.law) == (split, law) and r.entropy.known]


def statistics(data: xr.Dataset, rng: np.random.Generator, n_replicates: int = 1000) -> Statistics:
    """All rates of a probe's dataset with their intervals."""
    parts = {name: split_rows(data, name) for name in SPLITS if name in data["split"].values}
    ratio = partial(_ratio, rng, n_replicates)
    rates: list[Rates] = []
    laws: list[LawRow] = []
    draws: dict[tuple[str, str], Draws] = {}
    for name, part in parts.items():
        for decoder in data["decoder"].values.tolist():
            found, draws[name, decoder] = _rates(part, name, decoder, ratio)
            rates += found
        rows, by_law = _laws(part, name, ratio)
        laws += rows
        draws |= {(name, law): drawn for law, drawn in by_law.items()}
    return Statistics(
        tuple(rates),
        tuple(laws),
        tuple(_split_row(part, name, ratio) for name, part in parts.items()),
        tuple(_gaps(data, draws)),
        memberships(data, rng, n_replicates),
        tuple(data["epsilon"].values.tolist()),
        n_replicates,
        erases(data),
    )


def changed_tokens(part: xr.Dataset, decoder: str) -> NDArray[np.int64]:
    """Corrupted tokens (sequence, t) of the draw that a decoder started from, -1 if none was."""
    name = "corrupted_ancestral" if decoder == "ancestral" else "corrupted"
    return np.asarray(part[name].values, np.int64)


def _ratio(
    rng: np.random.Generator, n_replicates: int, top: Any, bottom: Any
) -> tuple[Floats, Floats]:
    """Bootstrap over rows; NaN throughout where there is none."""
    n = len(top)
    if not n:
        shape = np.shape(top)[1:]
        return np.full(shape, np.nan), np.full((n_replicates, *shape), np.nan)
    return bootstrap_ratio(rng, top, bottom, np.arange(n), n_replicates)


def _rates(part: xr.Dataset, split: str, decoder: str, ratio: Ratio) -> tuple[list[Rates], Draws]:
    """Rows by level; and recovery."""
    counts = [changed_tokens(part, decoder)]
    counts += [
        np.asarray(part[name].sel(decoder=decoder).values, np.int64)
        for name in ("recovered", "broken")
    ]
    measured = (counts[0] >= 0) & (counts[1] >= 0)
    kept = measured.any(1)
    changed, restored, broken = (x[kept] for x in counts)
    measured = measured[kept]
    top = np.stack([restored, broken], axis=-1) * measured[..., None]
    others = part.sizes["position"] - changed
    bottom = np.stack([changed, others], axis=-1) * measured[..., None]
    value, draws = ratio(top, bottom)
    exact = (restored == changed) & (broken == 0)
    rows = []
    for k, t in enumerate(part["t"].values.tolist()):
        some = [int((bottom[:, k, j] > 0).sum()) for j in range(2)]
        pooled = [estimate(value[k, j], draws[:, k, j], some[j], share=True) for j in range(2)]
        whole = proportion(exact[measured[:, k], k])
        rows.append(Rates(split, t, decoder, pooled[0], pooled[1], whole))
    return rows, (value[..., 0], draws[..., 0], int(kept.sum()))


def _laws(part: xr.Dataset, split: str, ratio: Ratio) -> tuple[list[LawRow], dict[str, Draws]]:
    """Rows by law and level; and entropy by law."""
    entropy, loss = (np.asarray(part[name].values, np.float64) for name in ("entropy", "log_loss"))
    measured = np.isfinite(entropy) & np.isfinite(loss)
    weight = np.ones_like(entropy)  # every sequence has as many tokens
    tokens: Any = np.full(entropy.shape, part.sizes["position"])
    if "sites" in part:
        tokens = np.broadcast_to(part["sites"].values[:, None], entropy.shape)
        weight, measured = np.maximum(tokens, 0).astype(np.float64), measured & (tokens > 0)
    vanishing = np.asarray(part["vanishing"].values, np.float64)
    share = vanishing / np.where(measured, tokens, 1)[..., None]
    table = np.concatenate([np.stack([entropy, loss, loss - entropy], axis=-1), share], axis=-1)
    kept = measured.any((1, 2))
    here, table = measured[kept][..., None], table[kept]
    bottom = np.broadcast_to(np.where(here, weight[kept][..., None], 0.0), table.shape)
    value, draws = ratio(np.where(here, table * bottom, 0.0), bottom)
    rows, by_law = [], {}
    for i, law in enumerate(part["law"].values.tolist()):
        by_law[law] = value[i, :, 0], draws[:, i, :, 0], int(kept.sum())
        for k, t in enumerate(part["t_entropy"].values.tolist()):
            n = int(measured[:, i, k].sum())
            found = [
                estimate(value[i, k, j], draws[:, i, k, j], n, share=j > 2)
                for j in range(table.shape[-1])
            ]
            rows.append(LawRow(split, law, t, found[0], found[1], found[2], tuple(found[3:])))
    return rows, by_law


def _split_row(part: xr.Dataset, split: str, ratio: Ratio) -> SplitRow:
    def mean(values: Any) -> Estimate:
        known = np.asarray(values, np.float64)
        value, draws = ratio(known, np.ones(len(known)))
        return estimate(float(value), draws, len(known))

    nelbo, repeats, distance = (
        part[name].values for name in ("nelbo", "repeats", "nearest_distance")
    )
    bound, found = mean(nelbo[np.isfinite(nelbo)]), distance[distance >= 0]
    value, low, high = np.exp([bound.value, bound.low, bound.high]).tolist()
    return SplitRow(
        split,
        part.sizes["sequence"],
        bound,
        Estimate(value, low, high, bound.n),
        proportion(repeats[repeats >= 0] > 0),
        proportion(found == 0),
        mean(found),
    )


def _gaps(data: xr.Dataset, draws: dict[tuple[str, str], Draws]) -> list[Gap]:
    """Recovery of train minus held-out; entropy of generated minus train and held-out."""
    pairs = [
        ("train", "heldout", decoder, "t", f"recovery, train - held-out, {decoder}")
        for decoder in data["decoder"].values.tolist()
    ]
    pairs += [
        ("generated", other, law, "t_entropy", f"{law} entropy, generated - {NAMES[other]}")
        for other in ("train", "heldout")
        for law in data["law"].values.tolist()
    ]
    found = []
    for first, second, what, level, name in pairs:
        if (first, what) not in draws or (second, what) not in draws:
            continue
        (a, draws_a, n_a), (b, draws_b, n_b) = draws[first, what], draws[second, what]
        for k, t in enumerate(data[level].values.tolist()):
            if np.isfinite(a[k] - b[k]):
                gap = estimate(a[k] - b[k], draws_a[:, k] - draws_b[:, k], min(n_a, n_b))
                found.append(Gap(name, t, gap))
    return found

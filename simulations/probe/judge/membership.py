"""Can a score of a sequence tell training sequences from held-out ones? AUC, and TPR at low FPR.

A score is high where the model looks as if it had seen the sequence: minus the log loss of the
`loo` law at t = 1e-5, the sequence's own recovery at each t, minus its NELBO. Training and
held-out sequences are resampled independently.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from simulations.probe.measure.estimate import Estimate, estimate
from simulations.probe.measure.kind import small

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

FALSE_POSITIVES = (0.01, 0.001)
LEAST_HELD_OUT = (100, 1000)  # below them one false positive alone is above the rate
_BLOCK = 1 << 22  # counts held at once


@dataclass(frozen=True)
class Membership:
    """One score: AUC, and TPR at 1 % FPR (`tpr`) and at 0.1 % (`tpr_strict`), NaN where there are
    too few held-out sequences to have such a false-positive rate. `roc` is (false, true)."""

    score: str
    n_train: int
    n_heldout: int
    auc: Estimate
    tpr: Estimate
    tpr_strict: Estimate
    roc: tuple[tuple[float, ...], tuple[float, ...]] = field(repr=False, compare=False)

    @property
    def tprs(self) -> tuple[Estimate, ...]:
        """At the false-positive rates in turn."""
        return self.tpr, self.tpr_strict


def scores(data: xr.Dataset) -> dict[str, Floats]:
    """Scores (sequence,) by name, NaN where undefined: not measured, or nothing was corrupted."""
    loss = data["log_loss"].sel(law="loo").isel(t_entropy=0)
    found = {f"-log loss, loo, {small(data)}": -np.asarray(loss.values, np.float64)}
    for decoder, name in (("ancestral", "corrupted_ancestral"), ("best_change", "corrupted")):
        restored = np.asarray(data["recovered"].sel(decoder=decoder).values, np.float64)
        changed = np.asarray(data[name].values, np.float64)
        good = (changed > 0) & (restored >= 0)
        ratio = np.where(good, restored / np.where(good, changed, 1.0), np.nan)
        for k, t in enumerate(data["t"].values.tolist()):
            found[f"recovery, {decoder}, t = {t:g}"] = ratio[:, k]
    found["-NELBO"] = -np.asarray(data["nelbo"].values, np.float64)
    return found


def memberships(
    data: xr.Dataset, rng: np.random.Generator, n_replicates: int = 1000
) -> tuple[Membership, ...]:
    """Every score that is there for at least two sequences on both sides; none without train."""
    split, found = data["split"].values, []
    for name, score in scores(data).items():
        known = np.isfinite(score)
        train, held_out = (score[known & (split == s)] for s in ("train", "heldout"))
        if min(len(train), len(held_out)) > 1:
            found.append(membership(name, train, held_out, rng, n_replicates))
    return tuple(found)


def membership(
    name: str,
    train: ArrayLike,
    held_out: ArrayLike,
    rng: np.random.Generator,
    n_replicates: int = 1000,
) -> Membership:
    """AUC and TPRs of finite scores (n,) and (m,), by bootstrap over both sides.

    An AUC of exactly 0 or 1 has replicates without spread; min(n, m) disjoint pairs are then
    independent trials that all came out alike, and give Clopper and Pearson's interval.
    """
    ins, outs = np.asarray(train, np.float64), np.asarray(held_out, np.float64)
    values, ranks = np.unique(np.concatenate([ins, outs]), return_inverse=True)
    sides = [ranks[: len(ins)], ranks[len(ins) :]]
    own = [np.bincount(side, minlength=len(values))[None] for side in sides]
    auc = float(_auc(*own)[0])
    aucs, tprs = [], []
    step = max(1, _BLOCK // len(values))
    for start in range(0, n_replicates, step):
        n = min(step, n_replicates - start)
        drawn = [_resampled(rng, side, n, len(values)) for side in sides]
        aucs.append(_auc(*drawn))
        tprs.append([_tpr(drawn[0], drawn[1], rate) for rate in FALSE_POSITIVES])
    drawn_tprs = np.concatenate(tprs, axis=1)
    tpr, tpr_strict = (
        estimate(float(_tpr(own[0], own[1], rate)[0]), replicates, len(ins), share=True)
        if len(outs) >= least
        else Estimate(np.nan, np.nan, np.nan, len(ins))
        for rate, least, replicates in zip(FALSE_POSITIVES, LEAST_HELD_OUT, drawn_tprs, strict=True)
    )
    return Membership(
        name,
        len(ins),
        len(outs),
        estimate(auc, np.concatenate(aucs), min(len(ins), len(outs)), share=True),
        tpr,
        tpr_strict,
        roc=_roc(own[0][0], own[1][0]),
    )


def _resampled(rng: np.random.Generator, ranks: Counts, n: int, n_values: int) -> Counts:
    """Counts (n, values) of resampled sequences."""
    drawn = ranks[rng.integers(len(ranks), size=(n, len(ranks)))]
    drawn = drawn + n_values * np.arange(n)[:, None]
    return np.bincount(drawn.ravel(), minlength=n * n_values).reshape(n, n_values)


def _auc(ins: Counts, outs: Counts) -> Floats:
    """P(score of train > of held-out) + P(equal) / 2, from counts by increasing score."""
    below = np.cumsum(outs, axis=1) - outs
    pairs = ins.sum(1) * outs.sum(1)
    return np.asarray((ins * (below + outs / 2)).sum(1) / pairs, np.float64)


def _tpr(ins: Counts, outs: Counts, rate: float) -> Floats:
    """Largest share of train at or above a threshold that at most `rate` of held-out reach."""
    true, false = (np.cumsum(side[:, ::-1], axis=1) for side in (ins, outs))
    allowed = false <= rate * outs.sum(1, keepdims=True)
    return np.asarray(np.where(allowed, true, 0).max(1) / ins.sum(1), np.float64)


def _roc(ins: Counts, outs: Counts) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The curve from (0, 0) to (1, 1), thresholds falling."""
    false, true = (np.r_[0, np.cumsum(side[::-1])] / side.sum() for side in (outs, ins))
    return tuple(false.tolist()), tuple(true.tolist())

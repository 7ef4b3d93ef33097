"""What the verdict of a probe reads: a few ratios without units, and their bootstrap replicates.

Sources differ in entropy, so entropies are divided by the log loss on held-out sequences at the
same level, or by log V where there is no held-out text. Of a law without memory that fits its
source these ratios are 1 (0 for the calibration gap); of a memorizer they are near 0 (near 1).
The unit of resampling is the sequence.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.bootstrap import bootstrap_ratio
from simulations.measure.names import SMALL_LEVEL
from simulations.probe.measure.dataset import repeats_of, split_rows

Floats = NDArray[np.float64]

RECOVERY_LEVEL = 0.25  # the measured level next to it is taken for the recovery gap
MIDDLE_LEVEL = 0.5  # for entropies: on a model's own sequences `loo` separates best at 0.4 to 0.5
DECODER = "best_change"  # one forward a sequence, and no choice of keeping a token hides memory


@dataclass(frozen=True)
class Features:
    """What the verdict reads; NaN where it was not measured. All entropies are of `loo`, in nats.

    recovery_train, recovery_heldout : share of corrupted tokens that `best_change` restores.
    recovery_gap : (train - heldout) / (1 - heldout) of these.
    calibration_gap : (log loss - entropy) / log loss on held-out sequences at t = 1e-5, in [0, 1].
    own_entropy : entropy on generated sequences over log loss on held-out ones, at t = 1e-5.
    own_entropy_middle : the same at the level next to 0.5.
    own_share : entropy on generated sequences at t = 1e-5 over log V.
    own_share_middle : the same at the level next to 0.5.
    repeats : share of generated sequences that another one equals, less that of held-out ones.
    heldout_loss, random_loss : log loss at t = 1e-5 over log V, held-out and random sequences.
    """

    recovery_train: float = math.nan
    recovery_heldout: float = math.nan
    recovery_gap: float = math.nan
    calibration_gap: float = math.nan
    own_entropy: float = math.nan
    own_entropy_middle: float = math.nan
    own_share: float = math.nan
    own_share_middle: float = math.nan
    repeats: float = math.nan
    heldout_loss: float = math.nan
    random_loss: float = math.nan

    def as_dict(self) -> dict[str, float]:
        """Values by name."""
        return asdict(self)


def features_of(data: xr.Dataset) -> Features:
    """The features of a probe's dataset (`simulations.probe.measure.measures`)."""
    return Features(**{name: float(values[0]) for name, values in _features(data, None).items()})


def feature_replicates(data: xr.Dataset, rng: np.random.Generator, n: int) -> dict[str, Floats]:
    """n bootstrap replicates (n,) of every feature, sequences resampled within each split.

    All NaN where a split has a single sequence: it says nothing of the spread between sequences.
    """
    return _features(data, (rng, n))


def nearest_level(levels: Any, wanted: float) -> int:
    """Index of the level next to `wanted`; the lower one of two as near."""
    return int(np.argmin(np.abs(np.asarray(levels, np.float64) - wanted)))


def _features(
    data: xr.Dataset, resample: tuple[np.random.Generator, int] | None
) -> dict[str, Floats]:
    """Features of the sample (1,), or of its replicates."""
    sums = {name: _sums(data, name, resample) for name in ("train", "heldout", "generated")}
    sums["random"] = _sums(data, "random", None)
    log_v = math.log(int(data.attrs["vocab_size"]))
    train, held, own = sums["train"], sums["heldout"], sums["generated"]
    with np.errstate(divide="ignore", invalid="ignore"):
        r_train, r_held = (part["recovered"] / part["corrupted"] for part in (train, held))
        gap = np.where(r_held < 1, (r_train - r_held) / (1 - r_held), 0.0)
        gap = np.where(np.isfinite(r_train) & np.isfinite(r_held), gap, np.nan)
        calibration = np.clip(1 - held["entropy"] / held["loss"], 0.0, 1.0)
        ratios = [np.clip(own[f"entropy{m}"] / held[f"loss{m}"], 0.0, 1.5) for m in ("", "_middle")]
    texts = np.where(np.isfinite(held["repeats"]), held["repeats"], 0.0)
    found = {
        "recovery_train": r_train,
        "recovery_heldout": r_held,
        "recovery_gap": gap,
        "calibration_gap": calibration,
        "own_entropy": ratios[0],
        "own_entropy_middle": ratios[1],
        "own_share": own["entropy"] / log_v,
        "own_share_middle": own["entropy_middle"] / log_v,
        "repeats": np.clip(own["repeats"] - texts, 0.0, 1.0),
        "heldout_loss": held["loss"] / log_v,
        "random_loss": sums["random"]["loss"] / log_v,
    }
    size = max(len(values) for values in found.values())
    return {name: np.broadcast_to(values, size) for name, values in found.items()}


def _sums(
    data: xr.Dataset, split: str, resample: tuple[np.random.Generator, int] | None
) -> dict[str, Floats]:
    """Means over the sequences of a split, (1,) or (n,) replicates; NaN for what is not there."""
    columns = _columns(split_rows(data, split))
    if resample is None:
        return {name: np.array([_mean(values)]) for name, values in columns.items()}
    rng, n = resample
    table = np.stack(list(columns.values()), axis=1)
    known = np.isfinite(table)
    if not len(table):
        return {name: np.full(n, np.nan) for name in columns}
    _, drawn = bootstrap_ratio(rng, np.where(known, table, 0), known, np.arange(len(table)), n)
    drawn[:, known.sum(0) < 2] = np.nan  # a single sequence says nothing of their spread
    return dict(zip(columns, drawn.T, strict=True))


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _columns(rows: xr.Dataset) -> dict[str, Floats]:
    """Numbers per sequence; NaN where not measured. `repeats` : whether another one equals it."""
    levels = rows["t_entropy"].values
    loo = rows.sel(law="loo")
    small, middle = nearest_level(levels, SMALL_LEVEL), nearest_level(levels, MIDDLE_LEVEL)
    found = {
        "entropy": loo["entropy"].values[:, small],
        "entropy_middle": loo["entropy"].values[:, middle],
        "loss": loo["log_loss"].values[:, small],
        "loss_middle": loo["log_loss"].values[:, middle],
        "repeats": repeats_of(rows["tokens"].values) > 0,
    }
    level = nearest_level(rows["t"].values, RECOVERY_LEVEL)
    corrupted = rows["corrupted"].values[:, level]
    recovered = rows["recovered"].sel(decoder=DECODER).values[:, level]
    measured = (corrupted >= 0) & (recovered >= 0)
    found["corrupted"] = np.where(measured, corrupted, np.nan)
    found["recovered"] = np.where(measured, recovered, np.nan)
    return {name: np.asarray(values, np.float64) for name, values in found.items()}

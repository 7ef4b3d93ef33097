"""What the verdict of a probe reads: a few ratios without units, and their bootstrap replicates.

Sources differ in entropy, so entropies are divided by the log loss on held-out sequences at the
same level, or by log V where there is no held-out text. Of a law without memory that fits its
source these ratios are 1; of a memorizer they are near 0. `order` is M:
the share of the way from held-out recovery to 1 at which training sequences are; `own_order` is
the same with the model's own sequences in their place, which is how memory shows without training
data, as a memorizer writes what it stores. The unit of resampling is the sequence.

Own sequences are those at the model's own temperature, where that is off 1 and brings them nearer
to the text (`simulations.probe.measure.temperature`, `is_rescaled`).
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
from simulations.probe.judge.bigrams import Bigrams
from simulations.probe.measure.dataset import repeats_of, split_rows
from simulations.probe.measure.kind import erases, least_level

Floats = NDArray[np.float64]

LOSS_LEVEL = 0.25  # of log losses on own sequences
MIDDLE_LEVEL = 0.5  # for entropies: on a model's own sequences `loo` separates best at 0.4 to 0.5
DECODER = "best_change"  # one forward a sequence, and no choice of keeping a token hides memory


@dataclass(frozen=True)
class Features:
    """What the verdict reads; NaN where it was not measured. All entropies are of `loo`, in nats.

    recovery_train, recovery_heldout, recovery_own : share of tokens that the model knows from the
        others, as t -> 0: that are the mode of `loo`; where `loo` cannot be read there, the share
        of corrupted tokens that `best_change` restores at the smallest level at which it can.
    order : M, (train - heldout) / (1 - heldout) of these; own_order : (own - heldout) / (1 - ...).
    own_loss, own_loss_middle : log loss on own sequences over that on held-out ones, next to
        t = 0.25 and 0.5.
    calibration_gap : (log loss - entropy) / log loss on held-out sequences as t -> 0, in [0, 1].
    own_entropy : entropy on own sequences over log loss on held-out ones, as t -> 0.
    own_entropy_middle : the same at the level next to 0.5.
    own_share, own_share_middle : entropy on own sequences over log V.
    repeats : share of generated sequences that another one equals, less that of held-out ones.
    heldout_loss, heldout_entropy, random_loss : as t -> 0, over log V.

    As t -> 0 is at the smallest level that can be read (`kind.least_level`).
    """

    recovery_train: float = math.nan
    recovery_heldout: float = math.nan
    recovery_own: float = math.nan
    order: float = math.nan
    own_order: float = math.nan
    own_loss: float = math.nan
    own_loss_middle: float = math.nan
    calibration_gap: float = math.nan
    own_entropy: float = math.nan
    own_entropy_middle: float = math.nan
    own_share: float = math.nan
    own_share_middle: float = math.nan
    repeats: float = math.nan
    heldout_loss: float = math.nan
    heldout_entropy: float = math.nan
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


def own_rows(data: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """The model's own sequences, and the held-out ones as they are read beside them.

    At its own temperature, where one off 1 was found and what it writes there is more like the
    held-out text: a network that is too sure of itself everywhere, as those are that memorize and
    were trained on little, looks like one of a low temperature, but writes worse at a higher one.
    """
    names = ("rescaled", "heldout_rescaled") if is_rescaled(data) else ("generated", "heldout")
    own, held = (split_rows(data, name) for name in names)
    return own, held


def is_rescaled(data: xr.Dataset) -> bool:
    """Whether a temperature of its own was found, and brings its bigrams nearer to the text's."""
    text = split_rows(data, "heldout_rescaled")["tokens"].values
    if not len(text):
        return False
    size = int(data.attrs["vocab_size"])
    there, here = (
        Bigrams.of(split_rows(data, name)["tokens"].values, size).log_probability(text).mean()
        for name in ("rescaled", "generated")
    )
    return bool(there > here)


def known_tokens(data: xr.Dataset, rows: xr.Dataset) -> tuple[Floats, Floats]:
    """Of every sequence the tokens that the model knows from the others, and those asked for, at
    the smallest level that can be read; NaN where not measured."""
    level = least_level(data)
    if level == SMALL_LEVEL or erases(data):
        at = nearest_level(rows["t_entropy"].values, level)
        right = rows["correct"].sel(law="loo").values[:, at].astype(np.float64)
        asked = np.full(len(right), float(rows.sizes["position"]))
        if "sites" in rows:
            asked = rows["sites"].values[:, at].astype(np.float64)
    else:
        at = nearest_level(rows["t"].values, level)
        right = rows["recovered"].sel(decoder=DECODER).values[:, at].astype(np.float64)
        asked = rows["corrupted"].values[:, at].astype(np.float64)
    known = (right >= 0) & (asked >= 0)
    return np.where(known, right, np.nan), np.where(known, asked, np.nan)


def _features(
    data: xr.Dataset, resample: tuple[np.random.Generator, int] | None
) -> dict[str, Floats]:
    """Features of the sample (1,), or of its replicates."""
    own_part, beside = own_rows(data)
    parts = {name: split_rows(data, name) for name in ("train", "heldout", "generated")}
    parts |= {"own": own_part, "beside": beside}
    sums = {name: _sums(data, rows, resample) for name, rows in parts.items()}
    sums["random"] = _sums(data, split_rows(data, "random"), None)
    log_v = math.log(int(data.attrs["vocab_size"]))
    train, held, own, beside_sums = (sums[k] for k in ("train", "heldout", "own", "beside"))
    with np.errstate(divide="ignore", invalid="ignore"):
        r_train, r_held, r_own = (part["known"] / part["asked"] for part in (train, held, own))
        ratio = {
            name: np.clip(own[top] / beside_sums[bottom], 0.0, 1.5)
            for name, top, bottom in (
                ("own_loss", "loss_quarter", "loss_quarter"),
                ("own_loss_middle", "loss_middle", "loss_middle"),
                ("own_entropy", "entropy", "loss"),
                ("own_entropy_middle", "entropy_middle", "loss_middle"),
            )
        }
        calibration = np.clip(1 - held["entropy"] / held["loss"], 0.0, 1.0)
    made = sums["generated"]["repeats"]
    texts = np.where(np.isfinite(held["repeats"]), held["repeats"], 0.0)
    found = {
        "recovery_train": r_train,
        "recovery_heldout": r_held,
        "recovery_own": r_own,
        "order": _of_the_way(r_train, r_held),
        "own_order": _of_the_way(r_own, r_held),
        **ratio,
        "calibration_gap": calibration,
        "own_share": own["entropy"] / log_v,
        "own_share_middle": own["entropy_middle"] / log_v,
        "repeats": np.clip(made - texts, 0.0, 1.0),
        "heldout_loss": held["loss"] / log_v,
        "heldout_entropy": held["entropy"] / log_v,
        "random_loss": sums["random"]["loss"] / log_v,
    }
    size = max(len(values) for values in found.values())
    return {name: np.broadcast_to(values, size) for name, values in found.items()}


def _of_the_way(one: Floats, held: Floats) -> Floats:
    """(one - held) / (1 - held), at least -1; 0 where all is known of held-out ones too."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(held < 1, np.maximum((one - held) / (1 - held), -1.0), 0.0)
    return np.where(np.isfinite(one) & np.isfinite(held), found, np.nan)


def _sums(
    data: xr.Dataset, rows: xr.Dataset, resample: tuple[np.random.Generator, int] | None
) -> dict[str, Floats]:
    """Means over the sequences of a split, (1,) or (n,) replicates; NaN for what is not there."""
    columns = _columns(data, rows)
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


def _columns(data: xr.Dataset, rows: xr.Dataset) -> dict[str, Floats]:
    """Numbers per sequence; NaN where not measured. `repeats` : whether another one equals it."""
    levels = rows["t_entropy"].values
    loo = rows.sel(law="loo")
    found: dict[str, Any] = {"repeats": repeats_of(rows["tokens"].values) > 0}
    wanted = {"": least_level(data), "_quarter": LOSS_LEVEL, "_middle": MIDDLE_LEVEL}
    for end, level in wanted.items():
        at = nearest_level(levels, level)
        found[f"entropy{end}"] = loo["entropy"].values[:, at]
        found[f"loss{end}"] = loo["log_loss"].values[:, at]
    found["known"], found["asked"] = known_tokens(data, rows)
    return {name: np.asarray(values, np.float64) for name, values in found.items()}

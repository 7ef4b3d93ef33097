"""Transition sizes of every condition, seed by seed: the points that the laws are fitted to.

The seed (its data set, held-out set and initialization) is the unit: every size below is found
once for each seed, and intervals are Student's over seeds, so they hold the noise of sequences
too. A size that the grid of K does not hold is infinite and counts as missing. Only whether the two
exact ends of an order parameter are apart is told by resampling sequences, over all seeds at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from am_theory import scaling
from models.streams import stream
from simulations.measure.bootstrap import bootstrap_ratio, combine_seeds
from simulations.measure.order import fraction, halves_by_seed
from simulations.measure.passage import crossing_size, entropy_level, half_gap_size
from simulations.measure.peak import curve_peaks
from simulations.measure.transition import Curve
from simulations.scaling.cells import DECODERS, SPLITS
from simulations.scaling.config import Condition

Floats = NDArray[np.float64]
SizeName = Literal["memory", "generalization", "recovery", "change", "entropy", "learned"]
REPLICATES = 200  # of a standard error
SIZES: dict[SizeName, str] = {
    "memory": "K_M(recovery)",
    "generalization": "K_G(recovery)",
    "recovery": "K_half(recovery)",
    "change": "K_half(best change)",
    "entropy": "K_H(entropy)",
    "learned": "K_learned",
}
DEFINITIONS: dict[SizeName, str] = {
    "memory": "memory is lost: corrupted recovery of training inputs (ancestral, t = 0.25) falls, "
    "for the last time, through half-way between the optimal memorizer of the same K sequences and "
    "the exact law of the source",
    "generalization": "the law is found: the same recovery of held-out inputs passes, for the "
    "first time, half-way from the memorizer of that K to the law",
    "recovery": "train minus held-out corrupted recovery (ancestral, t = 0.25) falls to half its "
    "value at the smallest K",
    "change": "the same by the best change, t = 0.1",
    "entropy": "the loo entropy of training sequences, t = 1e-5, passes half of the source's",
    "learned": "held-out recovery (best change, t = 0.1) passes half-way from its value at the "
    "smallest K to the source's",
}


@dataclass(frozen=True)
class Measured:
    """The curves of one condition, each (seeds, K).

    memory, generalization : the order parameters M and G of `simulations.measure.order`, by the
        reverse process; NaN where the exact ends are within two standard errors.
    gap : train minus held-out corrupted recovery by decoder, `ancestral` and `best_change`.
    held_out, population : held-out recovery by the best change, of the network and of the exact
        law on the same inputs.
    entropy : mean `loo` entropy of training sequences as t -> 0, nats a token.
    code_length : by split, mean upper bound of -log p(x_0), nats a sequence.
    """

    condition: Condition
    n_parameters: int
    source_entropy: float
    loo_entropy: Floats
    memory: Curve
    generalization: Curve
    gap: dict[str, Floats]
    held_out: Floats
    population: Floats
    entropy: Floats
    code_length: dict[str, Floats]

    @property
    def train_sizes(self) -> Floats:
        return np.array(self.condition.train_sizes, dtype=np.float64)

    @property
    def relative_gap(self) -> Floats:
        """The gap of the reverse process over its value at the smallest K."""
        gap = self.gap["ancestral"]
        return gap / gap[:, :1]


def measured(condition: Condition, cells: list[xr.Dataset], root_seed: int) -> Measured:
    """The curves of a condition from its cells, one a seed; recoveries are pooled counts."""

    def table(values: xr.DataArray, **place: str) -> Floats:
        return np.ascontiguousarray(values.sel(place).transpose("seed", "train_size").values)

    data = xr.concat([cell.drop_attrs() for cell in cells], "seed")
    counts = data[["corrupted", "recovered", "population"]].astype(np.int64).sum("sample")
    ours, exact = (counts[name] / counts["corrupted"] for name in ("recovered", "population"))
    gap = ours.sel(split="train") - ours.sel(split="heldout")
    memory, generalization = (order_curve(data, split, root_seed) for split in SPLITS)
    codes = data["code_length"].mean("nelbo_sample")
    place = {"split": "heldout", "decoder": "best_change"}
    return Measured(
        condition,
        int(cells[0].attrs["n_parameters"]),
        float(cells[0].attrs["source_entropy"]),
        np.array([cell.attrs["loo_entropy"] for cell in cells], dtype=np.float64),
        memory,
        generalization,
        {decoder: table(gap, decoder=decoder) for decoder in DECODERS},
        table(ours, **place),
        table(exact, **place),
        table(data["entropy"].mean("sample"), split="train"),
        {split: table(codes, split=split).astype(np.float64) for split in SPLITS},
    )


def order_curve(data: xr.Dataset, split: str, root_seed: int) -> Curve:
    """The order parameter of a split, M of `train` and G of `heldout`, over K: counts by seed,
    train_size and sample as `simulations.scaling.cells` has them, of the reverse process alone."""
    names = ("recovered", "memorizer", "population")
    order = ("seed", "train_size", "sample")
    table = data.sel(split=split)
    clusters = table["cluster"].transpose(*order).values
    table = table.sel(decoder="ancestral").transpose(*order, ...)
    top = np.stack([table[name].values for name in names], axis=-1)
    bottom = table["corrupted"].values
    sizes = data["train_size"].values.astype(np.float64)
    estimates = np.empty((len(top), len(sizes), len(names)))
    replicates = np.empty((len(top), REPLICATES, len(sizes), len(names)))
    for seed, k in np.ndindex(*estimates.shape[:2]):
        rng = stream(root_seed, "bootstrap", split, k, seed)
        estimates[seed, k], replicates[seed, :, k] = bootstrap_ratio(
            rng, top[seed, k], bottom[seed, k, :, None], clusters[seed, k], REPLICATES
        )
    mean, combined, method = combine_seeds(
        stream(root_seed, "bootstrap", split), estimates, replicates
    )
    ours, memorizer, law = (
        Curve(sizes, mean[..., i], combined[..., i], estimates[..., i], method) for i in range(3)
    )
    return fraction(ours, law, memorizer) if split == "train" else fraction(ours, memorizer, law)


def size_by_seed(part: Measured, name: SizeName) -> Floats:
    """A transition size of every seed, (seeds,), by DEFINITIONS; infinite or nan where the grid
    does not hold it."""
    if name == "memory":
        return halves_by_seed(part.memory, rising=False)
    if name == "generalization":
        return halves_by_seed(part.generalization, rising=True)
    sizes = part.train_sizes
    if name == "entropy":
        return crossing_size(sizes, part.entropy, entropy_level(part.loo_entropy), "rising")
    if name == "learned":
        level = (part.held_out[:, 0] + part.population.mean(1)) / 2
        return crossing_size(sizes, part.held_out, level, "rising")
    return half_gap_size(sizes, part.gap["ancestral" if name == "recovery" else "best_change"])


def memorized(part: Measured) -> Floats:
    """Nats about the training set that the network holds beyond the source, (seeds, K).

    K (H - code length of training sequences): a lower bound; negative where the network is worse
    than the source's own law.
    """
    sizes = part.train_sizes[None]
    return np.asarray(scaling.memorized_nats(sizes, part.source_entropy, part.code_length["train"]))


def peak_by_seed(part: Measured) -> tuple[Floats, Floats]:
    """K of the peak of the held-out code length, and its height, nats a sequence, by seed, as
    `simulations.measure.peak.curve_peaks` has them."""
    return curve_peaks(part.train_sizes, part.code_length["heldout"])


def student_interval(values: Floats, level: float = 0.95) -> tuple[float, float, float]:
    """Mean over seeds and Student's interval of it; nan for all three unless all are finite.

    >>> [round(x, 4) for x in student_interval(np.array([1.0, 2.0, 3.0]))]
    [2.0, -0.4841, 4.4841]
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size < 2 or not np.isfinite(values).all():
        return (np.nan,) * 3
    half = stats.t.ppf((1 + level) / 2, values.size - 1) * values.std(ddof=1) / values.size**0.5
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def log_interval(values: Floats) -> tuple[float, float, float]:
    """Geometric mean over seeds and Student's interval in the logarithm."""
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, low, high = student_interval(np.log(values))
    return float(np.exp(middle)), float(np.exp(low)), float(np.exp(high))

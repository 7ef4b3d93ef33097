"""The transition sizes of every measured point, seed by seed, and what scatter seeds leave.

Two seeds tell their own scatter badly, so it is taken over all points at once: the variance of
ln K between seeds, pooled, with as many degrees of freedom as there are seeds less points.
Intervals are Student's with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from simulations.features_law.config import Point
from simulations.measure.order import halves_by_seed
from simulations.measure.passage import crossing_size, entropy_level, half_gap_size
from simulations.scaling.sizes import order_curve

Floats = NDArray[np.float64]
NAMES = {
    "half": "K_half",
    "memory": "K_M",
    "generalization": "K_G",
    "entropy": "K_H",
}
DEFINITIONS = {
    "half": "train minus held-out corrupted recovery (ancestral, t = 0.25) falls, for the last "
    "time, to half its value at K = 64; linear in log K between half-octaves",
    "memory": "corrupted recovery of training inputs falls, for the last time, through half-way "
    "between the optimal memorizer of the same K sequences and the exact law of the source",
    "generalization": "the same of held-out inputs passes, for the first time, half-way from the "
    "memorizer of that K to the law",
    "entropy": "the loo entropy of training sequences, t = 1e-5, passes half of the source's",
}


@dataclass(frozen=True)
class Sizes:
    """What was measured at one point: the gap (seeds, K), relative to that at the reference K, and
    every size by seed (seeds,); infinite or NaN where the grid of K does not hold it."""

    point: Point
    relative_gap: Floats
    by_seed: dict[str, Floats]

    @property
    def log_half(self) -> Floats:
        """ln K_half by seed."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.by_seed["half"]))


def sizes_of(point: Point, data: xr.Dataset, root_seed: int) -> Sizes:
    """The sizes of a point from its cells, dimensions seed, train_size, split, sample."""
    counts = data[["corrupted", "recovered"]].astype(np.int64).sum("sample")
    recovery = counts["recovered"] / counts["corrupted"]
    gap = (
        (recovery.sel(split="train") - recovery.sel(split="heldout"))
        .transpose("seed", "train_size")
        .values
    )
    sizes = data["train_size"].values.astype(np.float64)
    named = data[["corrupted", "recovered", "population", "memorizer"]]
    with_decoder = named.expand_dims(decoder=["ancestral"]).assign(cluster=data["cluster"])
    memory, generalization = (
        order_curve(with_decoder, split, root_seed) for split in ("train", "heldout")
    )
    entropy = data["entropy"].sel(split="train").mean("sample").transpose("seed", "train_size")
    level = entropy_level(np.full(len(gap), data.attrs["loo_entropy"]))
    return Sizes(
        point,
        gap / gap[:, :1],
        {
            "half": half_gap_size(sizes, gap),
            "memory": halves_by_seed(memory, rising=False),
            "generalization": halves_by_seed(generalization, rising=True),
            "entropy": crossing_size(sizes, entropy.values, level, "rising"),
        },
    )


@dataclass(frozen=True)
class Scatter:
    """Standard deviation of ln K between seeds, pooled over points, and its degrees of freedom."""

    deviation: float
    freedom: int

    @classmethod
    def of(cls, logs: Sequence[Floats]) -> Scatter:
        """From ln K by seed (seeds,) of every point; points with a seed off the grid are left out.

        >>> found = Scatter.of([np.array([0.0, 2.0]), np.array([1.0, 1.0])])
        >>> found.deviation, found.freedom
        (1.0, 2)
        """
        kept = [values for values in logs if np.isfinite(values).all()]
        squares = sum(float(((v - v.mean()) ** 2).sum()) for v in kept)
        freedom = sum(v.size - 1 for v in kept)
        return cls((squares / freedom) ** 0.5 if freedom else np.nan, freedom)

    def interval(self, logs: Floats) -> tuple[float, float, float]:
        """Geometric mean over seeds and Student's 95 % interval; NaN unless all are finite."""
        if not np.isfinite(logs).all() or not self.freedom:
            return (np.nan,) * 3
        middle = float(logs.mean())
        half = float(stats.t.ppf(0.975, self.freedom)) * self.deviation / logs.size**0.5
        return float(np.exp(middle)), float(np.exp(middle - half)), float(np.exp(middle + half))

"""The frozen configuration of the capacity measurements, its families of memories and presets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from am_theory import dense, hopfield, potts

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
PRESETS = ("smoke", "small")
FAMILIES = ("hopfield", "potts3", "potts4", "potts8", "dense3")
LABELS = {
    "hopfield": "Hopfield",
    "potts3": "Potts, q = 3",
    "potts4": "Potts, q = 4",
    "potts8": "Potts, q = 8",
    "dense3": "dense, n = 3",
}
REMNANT = 1 / 3  # overlap left far above the critical load, roughly, in every family


@dataclass(frozen=True)
class CapacityConfig:
    """Everything the numbers of a run depend on.

    Args:
        hopfield: sizes N of the Hopfield memory.
        potts3: sizes of the Potts memory of 3 tokens.
        potts4: sizes of the Potts memory of 4 tokens.
        potts8: sizes of the Potts memory of 8 tokens.
        dense3: sizes of the dense memory, sums over 3 different sites.
        loads: loads of the first four over the theory's critical load, increasing.
        dense_loads: those of the dense memory.
        sets: sets of patterns of each size, the units of all intervals.
        starts: patterns of a set that retrieval starts from.
        existence: sizes N at which couplings that hold all patterns are looked for.
        rows: rows of a set for which they are.
        fits: sizes N of the fitted pseudo-likelihood memories.
        fit_loads: their loads K / N, increasing.
        fit_penalty: their L2 term.
        features: size N of the memory of structured examples.
        feature_load: features over N.
        feature_loads: its loads, examples over N, increasing.
        root_seed: every random number follows from it and from the names of the coordinates.
        replicates: bootstrap replicates.
    """

    hopfield: tuple[int, ...] = (250, 500, 1000, 2000, 4000)
    potts3: tuple[int, ...] = (125, 250, 500, 1000)
    potts4: tuple[int, ...] = (125, 250, 500, 1000)
    potts8: tuple[int, ...] = (64, 125, 250, 500)
    dense3: tuple[int, ...] = (50, 80, 120)
    loads: tuple[float, ...] = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.45, 1.6, 1.8, 2.0)
    dense_loads: tuple[float, ...] = (0.7, 0.8, 0.9, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0, 6.0)
    sets: int = 12
    starts: int = 16
    existence: tuple[int, ...] = (20, 32, 64)
    rows: int = 8
    fits: tuple[int, ...] = (50, 100)
    fit_loads: tuple[float, ...] = (0.5, 1.0, 1.5, 1.8, 2.0, 2.2, 2.5, 3.0)
    fit_penalty: float = 1e-2
    features: int = 1000
    feature_load: float = 0.05
    feature_loads: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
    root_seed: int = 2604
    replicates: int = 1000

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing."""
        return dataclasses.asdict(self)

    def sizes(self, family: str) -> tuple[int, ...]:
        found: tuple[int, ...] = getattr(self, family)
        return found

    def relative_loads(self, family: str) -> tuple[float, ...]:
        """Loads over the critical one at which a family is measured."""
        return self.dense_loads if family == "dense3" else self.loads


def vocab_size(family: str) -> int:
    return int(family.removeprefix("potts")) if family.startswith("potts") else 2


def critical_load(family: str) -> float:
    """Patterns per site at the theory's critical load; for the dense memory per site squared."""
    if family == "hopfield":
        return float(hopfield.critical_load())
    if family == "dense3":
        return dense.critical_load(3).distinct
    return potts.critical_load(vocab_size(family))


def retrieval_overlap(family: str, relative_load: Any) -> NDArray[np.float64]:
    """The theory's overlap at a load over the critical one, 1 for the pattern; NaN beyond 1."""
    relative = np.asarray(relative_load, dtype=float)
    load = np.where(relative <= 1, relative, np.nan) * critical_load(family)
    held = np.isfinite(load)
    found = np.full(load.shape, np.nan)
    if family == "hopfield":
        found[held] = hopfield.saddle_point(load[held]).m
    elif family == "dense3":
        found[held] = dense.saddle_point(3, 2 * load[held]).m  # x = (n - 1)! K / N^(n - 1)
    else:
        q = vocab_size(family)
        found[held] = np.asarray(potts.saddle_point(load[held], q).m) / (q - 1)
    return found


def critical_overlap(family: str) -> float:
    """The theory's overlap at the end of the retrieval branch, 1 for the pattern."""
    return float(retrieval_overlap(family, 1 - 1e-12))


def threshold(family: str) -> float:
    """Overlap above which a pattern counts as kept: midway between the branch and the remnant."""
    return (critical_overlap(family) + REMNANT) / 2


def train_sizes(family: str, size: int, loads: tuple[float, ...]) -> list[int]:
    """K of each relative load, rounded, at least 1."""
    sites = size**2 if family == "dense3" else size
    return [max(1, round(load * critical_load(family) * sites)) for load in loads]


def preset(name: str) -> CapacityConfig:
    if name == "small":
        return CapacityConfig()
    return CapacityConfig(
        hopfield=(250, 500, 1000),
        potts3=(125, 250, 350),
        potts4=(90, 125, 180),
        potts8=(45, 64, 90),
        dense3=(30, 40, 60),
        sets=6,
        starts=10,
        existence=(16, 20, 28),
        rows=6,
        fits=(20, 30),
        features=300,
        feature_loads=(0.2, 1.0, 2.0),
        replicates=500,
    )


def _problem(config: CapacityConfig) -> str | None:
    """The first thing wrong with a configuration, as a sentence."""
    for name, smallest in {"sets": 3, "starts": 1, "rows": 1, "replicates": 100}.items():
        if getattr(config, name) < smallest:
            return f"`{name}` must be at least {smallest}; got {getattr(config, name)}."
    for name in (
        "loads",
        "dense_loads",
        "fit_loads",
        "feature_loads",
        *FAMILIES,
        "existence",
        "fits",
    ):
        values = getattr(config, name)
        if len(values) < 2 or values[0] <= 0 or any(b <= a for a, b in pairwise(values)):
            return (
                f"`{name}` must hold two or more positive, increasing numbers; got {list(values)}."
            )
    if min(*(min(config.sizes(f)) for f in FAMILIES), *config.existence, *config.fits) < 8:
        return "sizes N must be at least 8: smaller memories tell nothing of a critical load."
    if not (0 < config.fit_penalty < np.inf and 0 < config.feature_load < np.inf):
        return "`fit_penalty` and `feature_load` must be positive and finite."
    if round(config.features * config.feature_load) < 2:
        return (
            f"`features` x `feature_load` must give two or more features; got {config.features} "
            f"x {config.feature_load}."
        )
    return None

"""The frozen settings of the capacity study, its families of memories, presets and cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from am_theory import dense, hopfield, potts
from simulations.console.settings import Settings, at_least, rises
from simulations.results.cells import Cell

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
LABELS = {
    "hopfield": "Hopfield",
    "potts3": "Potts, q = 3",
    "potts4": "Potts, q = 4",
    "potts8": "Potts, q = 8",
    "dense3": "dense, n = 3",
}
FAMILIES = tuple(LABELS)
SIZES = (*FAMILIES, "existence", "fits")  # settings that hold sizes N
LOADS = ("loads", "dense_loads", "fit_loads", "feature_loads")
REMNANT = 1 / 3  # overlap left far above the critical load, roughly, in every family


@dataclass(frozen=True)
class CapacityConfig(Settings):
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

    def problems(self) -> Iterator[str]:
        yield from at_least(self, sets=3, starts=1, rows=1, replicates=100)
        for name in (*LOADS, *SIZES):
            values = getattr(self, name)
            if len(values) < 2 or values[0] <= 0 or not rises(values):
                yield (
                    f"`{name}` must hold two or more positive, increasing numbers; got "
                    f"{list(values)}."
                )
        smallest = min(self.sizes(name)[0] for name in SIZES)
        if smallest < 8:
            yield (
                "sizes N must be at least 8, as smaller memories tell nothing of a critical load; "
                f"got {smallest}."
            )
        for name in ("fit_penalty", "feature_load"):
            if not 0 < getattr(self, name) < np.inf:
                yield f"`{name}` must be positive and finite; got {getattr(self, name)}."
        if round(self.features * self.feature_load) < 2:
            yield (
                "`features` x `feature_load` must give two or more features; got "
                f"{self.features} x {self.feature_load}."
            )

    def sizes(self, kind: str) -> tuple[int, ...]:
        """Sizes N of a family or of another kind of cell."""
        found: int | tuple[int, ...] = getattr(self, kind)
        return (found,) if isinstance(found, int) else found

    def relative_loads(self, family: str) -> tuple[float, ...]:
        """Loads over the critical one at which a family is measured."""
        return self.dense_loads if family == "dense3" else self.loads


PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "smoke": {
        "hopfield": (250, 500, 1000),
        "potts3": (125, 250, 350),
        "potts4": (90, 125, 180),
        "potts8": (45, 64, 90),
        "dense3": (30, 40, 60),
        "sets": 6,
        "starts": 10,
        "existence": (16, 20, 28),
        "rows": 6,
        "fits": (20, 30),
        "features": 300,
        "feature_loads": (0.2, 1.0, 2.0),
        "replicates": 500,
    },
}


def preset(name: str) -> CapacityConfig:
    """The settings of a preset: smoke (half a minute) or small (minutes)."""
    return CapacityConfig(**PRESETS[name])


def vocab_size(family: str) -> int:
    return int(family.removeprefix("potts")) if family.startswith("potts") else 2


def load_unit(family: str, size: int) -> int:
    """Patterns at a load of 1: the number of sites, for the dense memory its square."""
    return size**2 if family == "dense3" else size


def _theory(family: str) -> tuple[float, Callable[[Any], Any]]:
    """The critical load, and the overlap at loads up to it, 1 for the pattern."""
    if family == "hopfield":
        return float(hopfield.critical_load()), lambda load: hopfield.saddle_point(load).m
    if family == "dense3":  # x = (n - 1)! K / N^(n - 1)
        return dense.critical_load(3).distinct, lambda load: dense.saddle_point(3, 2 * load).m
    q = vocab_size(family)
    return potts.critical_load(q), lambda load: np.asarray(potts.saddle_point(load, q).m) / (q - 1)


def critical_load(family: str) -> float:
    """Patterns per site at the theory's critical load; for the dense memory per site squared."""
    return _theory(family)[0]


def retrieval_overlap(family: str, relative_load: Any) -> NDArray[np.float64]:
    """The theory's overlap at a load over the critical one, 1 for the pattern; NaN beyond 1."""
    relative = np.asarray(relative_load, dtype=float)
    found, held = np.full(relative.shape, np.nan), relative <= 1
    critical, overlap = _theory(family)
    found[held] = overlap(relative[held] * critical)
    return found


def critical_overlap(family: str) -> float:
    """The theory's overlap at the end of the retrieval branch, 1 for the pattern."""
    return float(retrieval_overlap(family, 1 - 1e-12))


def threshold(family: str) -> float:
    """Overlap above which a pattern counts as kept: midway between the branch and the remnant."""
    return (critical_overlap(family) + REMNANT) / 2


def train_sizes(family: str, size: int, loads: tuple[float, ...]) -> list[int]:
    """K of each relative load, rounded, at least 1."""
    critical, unit = critical_load(family), load_unit(family, size)
    return [max(1, round(load * critical * unit)) for load in loads]


def cells_of(config: CapacityConfig, kind: str) -> list[Cell]:
    """One cell per size of a kind."""
    return [Cell(f"{kind}-N{n}", {"kind": kind, "size": n}) for n in config.sizes(kind)]


def make_cells(config: CapacityConfig) -> list[Cell]:
    """One cell per kind and size."""
    return [cell for kind in (*SIZES, "features") for cell in cells_of(config, kind)]


def cost(config: CapacityConfig, cell: Cell) -> float:
    """Rough seconds on one core."""
    kind, size = cell.coordinates["kind"], cell.coordinates["size"]
    if kind in FAMILIES:
        pairs = size * sum(train_sizes(kind, size, config.relative_loads(kind)))
        return 0.5 + config.sets * config.starts * pairs * 2e-8
    a_set = {
        "existence": config.rows * (size / 96) ** 3,
        "fits": (size / 100) ** 3 * 10,
        "features": sum(config.feature_loads) * (size / 4000) ** 2,
    }
    return 0.5 + config.sets * a_set[kind]


def size(config: CapacityConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file: mostly its head."""
    return 1.5e4 + 5.0 * config.sets * config.starts

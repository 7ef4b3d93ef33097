"""The frozen configuration of the linear denoiser's curves, its presets and its cells by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from simulations.console.settings import Settings, at_least, different, increasing, rises
from simulations.results.cells import Cell

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")

Case = tuple[int, int, float]


@dataclass(frozen=True)
class LinearConfig(Settings):
    """Everything the numbers of a run depend on. A case is V, L, alpha; d = L (V - 1).

    Args:
        cases: V, L and alpha of every curve of the main panels.
        ratios: x = K / d of their points, increasing; K is rounded.
        seeds: independent training sets of every point, the units of all intervals.
        queries: corrupted sequences per training set and split, for token recovery.
        draws_case: V, L, alpha of the fits to drawn noise.
        draws_ratios: x = K / d of their points, increasing.
        draws: numbers of noise draws of each sequence; theory knows 1.
        ridges: their ridges, on the mean of u_t u_t^T.
        flow_case: V, L, alpha of the curves over training time.
        flow_sizes: K of these curves.
        times: training times, increasing: learning rate times steps.
        root_seed: every random number follows from it and from the names of the coordinates.
        replicates: bootstrap replicates.
    """

    cases: tuple[Case, ...] = (
        *((4, length, 0.5) for length in (16, 32, 64, 128)),
        *((2, length, 0.5) for length in (48, 96, 192, 384)),
        *((8, length, 0.7) for length in (8, 16, 32)),
        *((3, length, 0.3) for length in (24, 48, 96)),
    )
    ratios: tuple[float, ...] = (0.15, 0.25, 0.4, 0.6, 0.9, 1.3, 1.8, 2.5, 3.5, 5.0, 7.0, 10.0)
    seeds: int = 20
    queries: int = 512
    draws_case: Case = (4, 32, 0.5)
    draws_ratios: tuple[float, ...] = (
        *(0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 0.8, 0.9, 1.0),
        *(1.1, 1.25, 1.5, 2.0, 3.0, 4.5, 7.0),
    )
    draws: tuple[int, ...] = (1, 4)
    ridges: tuple[float, ...] = (0.01, 0.1, 1.0)
    flow_case: Case = (4, 64, 0.5)
    flow_sizes: tuple[int, ...] = (100, 400)
    times: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
    root_seed: int = 2604
    replicates: int = 1000

    def problems(self) -> Iterator[str]:
        yield from at_least(self, seeds=3, queries=1, replicates=100)
        yield from case_problems("cases", self.cases)
        yield from case_problems("draws_case", [self.draws_case])
        yield from case_problems("flow_case", [self.flow_case])
        yield from increasing(self, "ratios", "draws_ratios", "times")
        for case in self.cases:
            yield from grid_problems("ratios", case, self.ratios)
        yield from grid_problems("draws_ratios", self.draws_case, self.draws_ratios)
        yield from different(self, "cases", "draws", "flow_sizes", "ridges")
        if min(self.draws) < 1 or min(self.flow_sizes) < 1:
            yield "`draws` and `flow_sizes` are counts of at least 1."
        if not 0 < min(self.ridges) <= max(self.ridges) < math.inf:
            yield f"`ridges` must be positive and finite; got {list(self.ridges)}."


def dimension(case: Case) -> int:
    """d = L (V - 1)."""
    return case[1] * (case[0] - 1)


def train_sizes(case: Case, ratios: Sequence[float]) -> list[int]:
    """K of each ratio K / d, rounded, at least 1."""
    return [max(1, round(ratio * dimension(case))) for ratio in ratios]


def case_name(case: Case) -> str:
    """V, L and alpha as coordinates and tables name them."""
    return f"V={case[0]} L={case[1]} alpha={case[2]:g}"


def case_problems(name: str, cases: Sequence[Case]) -> Iterator[str]:
    """A sentence on each of these cases, those of the setting `name`, that there cannot be."""
    for vocab_size, seq_len, alpha in cases:
        if vocab_size < 2 or seq_len < 1 or not 0 < alpha < 1:
            yield (
                f"`{name}` holds V at least 2, L at least 1 and alpha inside (0, 1), in this "
                f"order; got {vocab_size}, {seq_len}, {alpha}."
            )


def grid_problems(name: str, case: Case, ratios: Sequence[float]) -> Iterator[str]:
    """A sentence if two ratios of a case, those of the setting `name`, round to one K."""
    sizes = train_sizes(case, ratios)
    if not rises(sizes):
        yield (
            f"K = ratio x L (V - 1) must differ between points of `{name}`; V, L, alpha = {case} "
            f"gives {sizes}. Take ratios further apart or longer sequences."
        )


def make_cells(config: LinearConfig) -> list[Cell]:
    """One cell per curve: of a case, of a ridge, of a training-set size over time."""
    named = {
        "curves": [f"V{v}-L{length}-alpha{alpha:g}" for v, length, alpha in config.cases],
        "draws": [f"ridge{ridge:g}" for ridge in config.ridges],
        "flow": [f"K{size}" for size in config.flow_sizes],
    }
    return [
        Cell(f"{kind}-{name}", {"kind": kind, "index": index})
        for kind, names in named.items()
        for index, name in enumerate(names)
    ]


def cost(config: LinearConfig, cell: Cell) -> float:
    """Rough seconds on one core of 20 Gflop/s."""
    kind, index = cell.coordinates["kind"], cell.coordinates["index"]
    if kind == "flow":
        work = (10 + 5 * len(config.times)) * float(dimension(config.flow_case)) ** 3
    elif kind == "draws":
        d, sizes = dimension(config.draws_case), train_sizes(config.draws_case, config.draws_ratios)
        work = sum(config.draws) * d**2 * sum(sizes) + 6 * len(sizes) * d**3
    else:
        d, sizes = dimension(config.cases[index]), train_sizes(config.cases[index], config.ratios)
        work = d**2 * (4 * sum(sizes) + len(sizes) * (6 * d + 8 * config.queries))
    return 1.0 + config.seeds * work / 1e10


def size(config: LinearConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 2.5e4 + 110.0 * config.seeds * len(config.ratios)


def preset(name: str) -> LinearConfig:
    """The configuration of a preset: smoke (seconds) or small (minutes)."""
    settings: dict[str, dict[str, Any]] = {
        "small": {},
        "smoke": {
            "cases": (*((4, length, 0.5) for length in (8, 16, 32)), (2, 24, 0.5), (2, 96, 0.5)),
            "ratios": (0.3, 0.6, 1.0, 1.8, 3.5, 7.0),
            "seeds": 6,
            "queries": 256,
            "draws_ratios": (0.2, 0.5, 0.8, 1.0, 1.3, 2.0, 4.0),
            "ridges": (0.01, 0.1),
            "flow_case": (4, 32, 0.5),
            "flow_sizes": (50, 200),
            "times": (0.1, 0.3, 1.0, 3.0, 8.0),
        },
    }
    return LinearConfig(**settings[name])

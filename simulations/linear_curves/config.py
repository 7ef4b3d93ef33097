"""The frozen configuration of the linear denoiser's curves, and its presets."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
PRESETS = ("smoke", "small")
SPLITS = ("train", "test")

Case = tuple[int, int, float]


@dataclass(frozen=True)
class LinearConfig:
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

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing."""
        return dataclasses.asdict(self)


def dimension(case: Case) -> int:
    """d = L (V - 1)."""
    return case[1] * (case[0] - 1)


def train_sizes(case: Case, ratios: tuple[float, ...]) -> list[int]:
    """K of each ratio K / d, rounded, at least 1."""
    return [max(1, round(ratio * dimension(case))) for ratio in ratios]


def _problem(config: LinearConfig) -> str | None:
    """The first thing wrong with a configuration, as a sentence."""
    counts = {"seeds": 3, "queries": 1, "replicates": 100}
    for name, smallest in counts.items():
        if getattr(config, name) < smallest:
            return f"`{name}` must be at least {smallest}; got {getattr(config, name)}."
    named = {"cases": config.cases, "draws_case": (config.draws_case,)}
    named["flow_case"] = (config.flow_case,)
    for name, cases in named.items():
        for vocab_size, seq_len, alpha in cases:
            if vocab_size < 2 or seq_len < 1 or not 0 < alpha < 1:
                return (
                    f"`{name}` holds V at least 2, L at least 1 and alpha inside (0, 1), in this "
                    f"order; got {vocab_size}, {seq_len}, {alpha}."
                )
    for name in ("ratios", "draws_ratios", "times"):
        values = getattr(config, name)
        rising = all(b > a for a, b in pairwise(values))
        if len(values) < 2 or not rising or not 0 < values[0] <= values[-1] < math.inf:
            return (
                f"`{name}` must hold two or more positive, increasing numbers; got {list(values)}."
            )
    for case, ratios in (
        *((case, config.ratios) for case in config.cases),
        (config.draws_case, config.draws_ratios),
    ):
        sizes = train_sizes(case, ratios)
        if any(b <= a for a, b in pairwise(sizes)):
            return (
                f"K = ratio x L (V - 1) must differ between points; V, L, alpha = {case} gives "
                f"{sizes}. Take ratios further apart or longer sequences."
            )
    for name in ("cases", "draws", "flow_sizes", "ridges"):
        values = getattr(config, name)
        if not values or len(set(values)) < len(values):
            return f"`{name}` must hold one or more different values; got {list(values)}."
    if min(config.draws) < 1 or min(config.flow_sizes) < 1:
        return "`draws` and `flow_sizes` are counts of at least 1."
    if not 0 < min(config.ridges) <= max(config.ridges) < math.inf:
        return f"`ridges` must be positive and finite; got {list(config.ridges)}."
    return None


def preset(name: str) -> LinearConfig:
    """The configuration of a preset: smoke (seconds) or small (minutes)."""
    if name == "small":
        return LinearConfig()
    if name == "smoke":
        return LinearConfig(
            cases=(*((4, length, 0.5) for length in (8, 16, 32)), (2, 24, 0.5), (2, 96, 0.5)),
            ratios=(0.3, 0.6, 1.0, 1.8, 3.5, 7.0),
            seeds=6,
            queries=256,
            draws_ratios=(0.2, 0.5, 0.8, 1.0, 1.3, 2.0, 4.0),
            ridges=(0.01, 0.1),
            flow_case=(4, 32, 0.5),
            flow_sizes=(50, 200),
            times=(0.1, 0.3, 1.0, 3.0, 8.0),
        )
    raise ValueError(f"there is no preset {name!r}; choose smoke or small.")

"""The frozen settings of a series of readings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from models.training.readings import LEVELS, SMALL_LEVEL
from simulations.console.settings import Settings, at_least, inside, rises

# Raised whenever numbers change at fixed settings; a results folder of another is refused.
NUMERICS = 1

SHOWN = 0.25  # recoveries and shares are told at the level next to it
LEAST = 8


@dataclass(frozen=True)
class SeriesConfig(Settings):
    """What the numbers of a series depend on, besides its checkpoints and the data.

    Args:
        levels: noise levels t of recovery, increasing, in (1e-5, 1); entropies also as t -> 0.
        sequences: sequences per split that are read.
        generate: sequences generated from pure noise, whose entropies are read; 0 for none.
        n_steps: reverse steps of a generation.
        bound: memorization has set in where M is above it.
        replicates: bootstrap replicates of the intervals.
        root_seed: every random number follows from it and from the names of what is measured.
    """

    levels: tuple[float, ...] = LEVELS[1:]
    sequences: int = 256
    generate: int = 0
    n_steps: int = 100
    bound: float = 0.1
    replicates: int = 1000
    root_seed: int = 2604

    @property
    def all_levels(self) -> tuple[float, ...]:
        """t -> 0, then `levels`."""
        return (SMALL_LEVEL, *self.levels)

    @property
    def shown(self) -> float:
        """The level next to 0.25."""
        return min(self.levels, key=lambda t: abs(t - SHOWN))

    def measured(self) -> dict[str, Any]:
        """The settings that what is measured depends on; the others are of the analysis."""
        analysed = ("bound", "replicates")
        return {name: value for name, value in self.as_dict().items() if name not in analysed}

    def problems(self) -> Iterator[str]:
        if not self.levels or not all(SMALL_LEVEL < t < 1 for t in self.levels):
            yield f"`levels` are noise levels t in (1e-5, 1), at least one; got {self.levels}."
        if not rises(self.levels):
            yield f"`levels` must increase; got {list(self.levels)}."
        if 0 < self.generate < LEAST:
            yield f"`generate` must be at least {LEAST}, or 0 for none; got {self.generate}."
        yield from at_least(self, sequences=LEAST, generate=0, n_steps=1, replicates=100)
        yield from at_least(self, root_seed=0)
        yield from inside(self, "bound")

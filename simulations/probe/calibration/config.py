"""The frozen configuration of the probe's calibration: models whose answer is known.

Models of `calibrate` fit the probabilities of the verdict; those of `test` only judge it. Every
model has data, source and weights of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulations.console.settings import Settings, at_least, rises
from simulations.measure.names import SMALL_LEVEL
from simulations.results.cells import Cell
from simulations.trained import Network

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
ROLES = ("calibrate", "test")
# V and L of every source; see `cells.make_source`.
SOURCES = {
    "markov": (8, 16),
    "hmm": (8, 16),
    "iid": (8, 16),
    "hierarchy": (8, 16),
    "orderly": (8, 16),
    "wide": (16, 12),
}
LOSSES = ("loo", "nelbo")


@dataclass(frozen=True)
class CalibrationConfig(Settings):
    """Everything the numbers of a run depend on.

    Args:
        calibrate: sources of the models that the verdict is fitted to.
        test: sources of the models that it is judged on.
        train_sizes: K, the training-set sizes.
        widths: widths of the networks; the first is trained with the loss loo, the second with
            nelbo, in turn.
        seeds: models of each source, role, K and width.
        steps: optimizer steps.
        batch: sequences in a step.
        learning_rate: peak of the rate.
        sequences: sequences of every split that are measured.
        levels: noise levels t of recovery and entropies, increasing.
        n_steps: reverse steps of the generated sequences.
        replicates: bootstrap replicates, of sequences and of calibration models.
        root_seed: every random number follows from it and from the names of the coordinates.
    """

    calibrate: tuple[str, ...] = ("markov", "hmm", "iid")
    test: tuple[str, ...] = ("markov", "hmm", "iid", "hierarchy", "orderly", "wide")
    train_sizes: tuple[int, ...] = (16, 32, 64, 128, 256, 1024, 4096, 16384)
    widths: tuple[int, ...] = (64, 128)
    seeds: int = 1
    steps: int = 1500
    batch: int = 64
    learning_rate: float = 5e-3
    sequences: int = 256
    levels: tuple[float, ...] = (0.1, 0.25, 0.5)
    n_steps: int = 48
    replicates: int = 300
    root_seed: int = 2604

    def problems(self) -> Iterator[str]:
        for role in ROLES:
            names = getattr(self, role)
            if not names or len(set(names)) < len(names) or not set(names) <= set(SOURCES):
                allowed = ", ".join(SOURCES)
                yield f"`{role}` must hold different ones of {allowed}; got {list(names)}."
        for name in ("train_sizes", "widths"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values) or min(values) < 1:
                yield f"`{name}` must hold different counts of at least 1; got {list(values)}."
        if len(self.train_sizes) < 2:
            yield "`train_sizes` must hold at least two, to have models that memorize and others."
        yield from at_least(self, seeds=1, steps=1, batch=1, sequences=8, n_steps=1, replicates=100)
        if not self.learning_rate > 0:
            yield f"`learning_rate` must be positive; got {self.learning_rate}."
        levels = self.levels
        if not levels or not rises(levels) or not SMALL_LEVEL < levels[0] <= levels[-1] < 1:
            yield f"`levels` must increase and lie in (1e-5, 1); got {list(levels)}."


def make_cells(config: CalibrationConfig) -> list[Cell]:
    """One cell a model."""
    return [
        Cell(
            f"{role}-{source}-K{size}-w{width}-s{seed}",
            {
                "role": role,
                "source": source,
                "train_size": size,
                "width": width,
                "loss": LOSSES[number % len(LOSSES)],
                "seed": seed,
            },
        )
        for role in ROLES
        for source in getattr(config, role)
        for number, width in enumerate(config.widths)
        for size in config.train_sizes
        for seed in range(config.seeds)
    ]


def cost(config: CalibrationConfig, cell: Cell) -> float:
    """Rough seconds of a cell on one core of 15 Gflop/s: training, then the readings."""
    network = Network(*SOURCES[cell.coordinates["source"]], cell.coordinates["width"])
    evaluations = 3 * config.steps * config.batch + 8 * config.sequences * config.n_steps
    return 3.0 + 2 * network.work * evaluations / 1.5e10


def size(config: CalibrationConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 3e4 + 350.0 * config.sequences


def preset(name: str) -> CalibrationConfig:
    """The configuration of a preset: smoke (a minute) or small (a quarter of an hour)."""
    sizes: dict[str, dict[str, Any]] = {
        "small": {},
        "smoke": {
            "calibrate": ("markov",),
            "test": ("markov", "iid"),
            "train_sizes": (16, 64, 4096),
            "widths": (64,),
            "steps": 500,
            "sequences": 64,
            "n_steps": 16,
            "replicates": 100,
        },
    }
    return CalibrationConfig(**sizes[name])

"""The frozen configuration of the probe's calibration: models whose answer is known.

Models of `calibrate` fit the probabilities of the verdict; those of `test` only judge it. Every
model has data, source and weights of its own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from simulations.sweep.run import Cell

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
PRESETS = ("smoke", "small")
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
class CalibrationConfig:
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

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing."""
        return dataclasses.asdict(self)


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


def _problem(config: CalibrationConfig) -> str | None:
    """The first thing wrong with a configuration, as a sentence."""
    for role in ROLES:
        names = getattr(config, role)
        if not names or len(set(names)) < len(names) or not set(names) <= set(SOURCES):
            return f"`{role}` must hold different ones of {', '.join(SOURCES)}; got {list(names)}."
    for name in ("train_sizes", "widths"):
        values = getattr(config, name)
        if not values or len(set(values)) < len(values) or min(values) < 1:
            return f"`{name}` must hold different counts of at least 1; got {list(values)}."
    if len(config.train_sizes) < 2:
        return "`train_sizes` must hold at least two, to have models that memorize and others."
    least = {"seeds": 1, "steps": 1, "batch": 1, "sequences": 8, "n_steps": 1, "replicates": 100}
    for name, smallest in least.items():
        if getattr(config, name) < smallest:
            return f"`{name}` must be at least {smallest}; got {getattr(config, name)}."
    if not config.learning_rate > 0:
        return f"`learning_rate` must be positive; got {config.learning_rate}."
    levels = config.levels
    if not levels or list(levels) != sorted(set(levels)) or not 1e-5 < levels[0] <= levels[-1] < 1:
        return f"`levels` must increase and lie in (1e-5, 1); got {list(levels)}."
    return None


def preset(name: str) -> CalibrationConfig:
    """The configuration of a preset: smoke (a minute) or small (a quarter of an hour)."""
    if name == "small":
        return CalibrationConfig()
    if name == "smoke":
        return CalibrationConfig(
            calibrate=("markov",),
            test=("markov", "iid"),
            train_sizes=(16, 64, 4096),
            widths=(64,),
            steps=500,
            sequences=64,
            n_steps=16,
            replicates=100,
        )
    raise ValueError(f"there is no preset {name!r}; choose smoke or small.")

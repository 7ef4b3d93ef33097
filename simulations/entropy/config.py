"""The frozen configuration of the entropy command, its presets and its cells by name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulations.console.settings import at_least, one_of, rises
from simulations.data.problem import SourceName
from simulations.measure.names import SMALL_LEVEL
from simulations.results.cells import Cell
from simulations.trained import ModelName, NetworkSettings, cells_over, network_preset

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
SOURCES = ("markov", "iid")

STATISTICS = ("entropy", "spectral_gap", "max_conf")
ENTROPY = 0  # place of the entropy among them
SPLITS = ("train", "heldout", "generated")
BIN = 0.05  # nats, width of the bins of a histogram of token entropies
CHECKS = "exact-checks"
CHECK_LEVELS = (0.75, 0.5, 0.25)
BIAS_STEPS = (1, 4)  # runs of so many times `n_steps` show what a finite number of steps changes


@dataclass(frozen=True)
class EntropyConfig(NetworkSettings):
    """Everything the numbers of a run depend on. The networks are those of the main job
    (`simulations/phase/`) wherever the settings that both have are equal.

    Args:
        train_sizes: K, increasing: the first is the memorizer, the last the generalizer.
        sequences: sequences per model: of each split, and of the reverse process.
        n_steps: reverse steps from t = 1 to 0, a multiple of 4.
        levels: noise levels t, increasing multiples of 1 / `n_steps`; 1e-5 is added.
        histogram_levels: those of `levels` at which token entropies are counted, besides 1e-5.
        check_sequences: sequences of the exact checks.
    """

    train_sizes: tuple[int, ...] = (64, 1024, 16384)
    sequences: int = 512
    n_steps: int = 64
    levels: tuple[float, ...] = tuple(
        k / 64 for k in (1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 61)
    )
    histogram_levels: tuple[float, ...] = (0.25, 0.5)
    check_sequences: int = 2048

    @property
    def all_levels(self) -> tuple[float, ...]:
        """The levels at which noisy sequences are read: 1e-5, then `levels`."""
        return (SMALL_LEVEL, *self.levels)

    @property
    def step_levels(self) -> tuple[float, ...]:
        """Levels of a reverse run before every step, then 1e-5, at which its result is read."""
        return (*(1 - k / self.n_steps for k in range(self.n_steps)), SMALL_LEVEL)

    @property
    def bins(self) -> int:
        """Bins of width BIN from 0 to log V."""
        return math.ceil(math.log(self.vocab_size) / BIN - 1e-9)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from at_least(self, sequences=16, n_steps=2, check_sequences=100)
        yield from one_of(self, "source", SOURCES)
        if len(self.train_sizes) < 2:
            yield (
                "`train_sizes` must hold at least two sizes, a memorizer's first and a "
                f"generalizer's last; got {list(self.train_sizes)}."
            )
        levels = self.levels
        if len(levels) < 3 or not rises(levels):
            yield f"`levels` must be at least three increasing noise levels; got {list(levels)}."
        elif not SMALL_LEVEL < levels[0] <= levels[-1] < 1:
            yield f"`levels` are noise levels t and must lie in (1e-5, 1); got {list(levels)}."
        for t in levels:
            if abs(t * self.n_steps - round(t * self.n_steps)) > 1e-9:
                yield (
                    f"`levels` must be multiples of 1 / `n_steps` = {1 / self.n_steps:g}, so that "
                    f"the reverse run passes them; got {t:g}. Change one of the two."
                )
        if self.n_steps % 4:
            yield f"`n_steps` must be a multiple of 4; got {self.n_steps}."
        for t in self.histogram_levels:
            if t not in levels:
                yield f"`histogram_levels` must be among `levels`; {t:g} is not."


def make_cells(config: EntropyConfig) -> list[Cell]:
    """One cell per (K, seed), one of the population denoiser per seed, one of exact checks."""
    exact = [
        Cell(f"population-seed{s}", {"kind": "population", "seed": s}) for s in range(config.seeds)
    ]
    return [*cells_over(config, "model"), *exact, Cell(CHECKS, {"kind": CHECKS})]


def cost(config: EntropyConfig, cell: Cell) -> float:
    """Rough seconds on one core of 15 Gflop/s, compilation apart."""
    reads = config.n_steps + len(SPLITS) * len(config.levels)
    tokens = config.sequences * config.seq_len
    read = 2e-7 * reads * tokens * config.vocab_size  # the laws and statistics of one denoiser
    if cell.coordinates["kind"] == CHECKS:
        runs = 2 * (1 + sum(BIAS_STEPS)) * config.n_steps * config.check_sequences
        return 5.0 + 1e-7 * runs * config.seq_len * config.vocab_size
    if cell.coordinates["kind"] == "population":
        return 1.0 + 2 * read
    evaluations = 3 * config.training.steps * config.training.batch + reads * config.sequences
    pairs = reads * tokens * cell.coordinates["train_size"]
    return 1.0 + 2 * config.network.work * evaluations / 1.5e10 + 2 * read + pairs / 6e8


def size(config: EntropyConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    if cell.coordinates["kind"] == CHECKS:
        return 4e4
    return 4e4 + 45.0 * config.sequences * (config.n_steps + 1 + len(SPLITS) * len(config.levels))


def preset(name: str, source: SourceName = "markov", model: ModelName = "mlp") -> EntropyConfig:
    """The configuration of a preset: smoke (seconds), small (minutes) or paper (a cluster).

    Networks and data but for K are those of the main job's preset of that name, and so is training
    but for `small` with the MLP: 4,000 steps of 128 sequences there, the main job 2,000 of 256.
    """
    sizes: dict[str, dict[str, Any]] = {
        "small": {"train_sizes": EntropyConfig.train_sizes},
        "smoke": {
            "train_sizes": (8, 128, 2048),
            "seeds": 2,
            "sequences": 128,
            "n_steps": 16,
            "levels": tuple(k / 16 for k in (1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15)),
            "check_sequences": 500,
        },
        "paper": {
            "train_sizes": (64, 1024, 8192, 131072),
            "sequences": 1024,
            "n_steps": 256,
            "check_sequences": 8192,
        },
    }
    return EntropyConfig(**{**network_preset(name, source, model), **sizes[name]})

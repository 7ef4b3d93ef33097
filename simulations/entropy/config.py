"""The frozen configuration of the entropy command, its presets and its cells by name."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from models.training.config import TrainConfig
from simulations.phase import config as main_job
from simulations.phase.config import SMALL_LEVEL, WEIGHT_DECAY, ModelName
from simulations.sweep.run import Cell

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
PRESETS = ("smoke", "small", "paper")
SOURCES = ("markov", "iid")

STATISTICS = ("entropy", "spectral_gap", "max_conf")
SPLITS = ("train", "heldout", "generated")
BIN = 0.05  # nats, width of the bins of a histogram of token entropies
CHECKS = "exact-checks"
CHECK_LEVELS = (0.75, 0.5, 0.25)
BIAS_STEPS = (1, 4)  # runs of so many times `n_steps` show what a finite number of steps changes


@dataclass(frozen=True)
class EntropyConfig:
    """Everything the numbers of a run depend on. The networks are those of the main job
    (`phase_diagram.py`) wherever the settings that both have are equal.

    Args:
        source: where sequences come from: markov (default) or iid.
        vocab_size: V, number of tokens.
        seq_len: L, tokens in a sequence.
        train_sizes: K, increasing: the first is the memorizer, the last the generalizer.
        seeds: number of independent data sets and initializations.
        root_seed: every random number follows from it and from the names of the coordinates.
        sequences: sequences per model: of each split, and of the reverse process.
        n_steps: reverse steps from t = 1 to 0, a multiple of 4.
        levels: noise levels t, increasing multiples of 1 / `n_steps`; 1e-5 is added.
        histogram_levels: those of `levels` at which token entropies are counted, besides 1e-5.
        model: the network that is trained: mlp, or dit (the paper's transformer).
        width: hidden width of the network.
        n_blocks: residual blocks, or blocks of attention and MLP.
        n_heads: attention heads of the transformer.
        check_sequences: sequences of the exact checks.
        replicates: bootstrap replicates.
        training: how the network is trained.
    """

    source: Literal["markov", "iid"] = "markov"
    vocab_size: int = 16
    seq_len: int = 16
    train_sizes: tuple[int, ...] = (64, 1024, 16384)
    seeds: int = 5
    root_seed: int = 2604
    sequences: int = 512
    n_steps: int = 64
    levels: tuple[float, ...] = tuple(
        k / 64 for k in (1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 61)
    )
    histogram_levels: tuple[float, ...] = (0.25, 0.5)
    model: ModelName = "mlp"
    width: int = 256
    n_blocks: int = 1
    n_heads: int = 4
    check_sequences: int = 2048
    replicates: int = 1000
    training: TrainConfig = field(default_factory=lambda: TrainConfig(weight_decay=WEIGHT_DECAY))

    def __post_init__(self) -> None:
        main_config(self)  # refuses what the main job refuses
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

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

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing."""
        return dataclasses.asdict(self)


def main_config(config: EntropyConfig) -> main_job.Config:
    """The main job's configuration with these data, networks and training."""
    return main_job.networks_of(config, queries=config.sequences)


def _problem(config: EntropyConfig) -> str | None:
    """The first thing wrong with a configuration, beyond what the main job refuses."""
    counts = {"sequences": 16, "n_steps": 2, "check_sequences": 100}
    for name, smallest in counts.items():
        if getattr(config, name) < smallest:
            return f"`{name}` must be at least {smallest}; got {getattr(config, name)}."
    if config.source not in SOURCES:
        return f"`source` must be {' or '.join(SOURCES)}; got {config.source!r}."
    if len(config.train_sizes) < 2:
        return (
            "`train_sizes` must hold at least two sizes, a memorizer's first and a generalizer's "
            f"last; got {list(config.train_sizes)}."
        )
    levels = config.levels
    if len(levels) < 3 or any(b <= a for a, b in pairwise(levels)):
        return f"`levels` must be at least three increasing noise levels; got {list(levels)}."
    if not SMALL_LEVEL < levels[0] <= levels[-1] < 1:
        return f"`levels` are noise levels t and must lie in (1e-5, 1); got {list(levels)}."
    for t in levels:
        if abs(t * config.n_steps - round(t * config.n_steps)) > 1e-9:
            return (
                f"`levels` must be multiples of 1 / `n_steps` = {1 / config.n_steps:g}, so that "
                f"the reverse run passes them; got {t:g}. Change one of the two."
            )
    if config.n_steps % 4:
        return f"`n_steps` must be a multiple of 4; got {config.n_steps}."
    for t in config.histogram_levels:
        if t not in levels:
            return f"`histogram_levels` must be among `levels`; {t:g} is not."
    return None


def make_cells(config: EntropyConfig) -> list[Cell]:
    """One cell per (K, seed), one of the population denoiser per seed, one of exact checks."""
    digits, seeds = len(str(max(config.train_sizes))), range(config.seeds)
    models = [
        Cell(f"K{k:0{digits}d}-seed{s}", {"kind": "model", "train_size": k, "seed": s})
        for k in config.train_sizes
        for s in seeds
    ]
    exact = [Cell(f"population-seed{s}", {"kind": "population", "seed": s}) for s in seeds]
    return [*models, *exact, Cell(CHECKS, {"kind": CHECKS})]


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
    inputs = config.vocab_size * config.seq_len
    if config.model == "dit":
        length = 2 * config.seq_len
        weights = length * config.width * (12 * config.n_blocks * config.width + config.vocab_size)
    else:
        weights = inputs * (2 * config.width + inputs) + config.n_blocks * config.width**2
    evaluations = 3 * config.training.steps * config.training.batch + reads * config.sequences
    pairs = reads * tokens * cell.coordinates["train_size"]
    return 1.0 + 2 * weights * evaluations / 1.5e10 + 2 * read + pairs / 6e8


def size(config: EntropyConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    if cell.coordinates["kind"] == CHECKS:
        return 4e4
    return 4e4 + 45.0 * config.sequences * (config.n_steps + 1 + len(SPLITS) * len(config.levels))


def preset(name: str, source: Any = "markov", model: ModelName = "mlp") -> EntropyConfig:
    """The configuration of a preset: smoke (seconds), small (minutes) or paper (a cluster).

    Data sizes, networks and training are those of the main job's preset of that name.
    """
    sizes: dict[str, dict[str, Any]] = {
        "small": {},
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
    if name not in sizes:
        raise ValueError(f"there is no preset {name!r}; choose smoke, small or paper.")
    base = main_job.preset(name, source, model)
    shared = ("source", "vocab_size", "seq_len", "model", "width", "n_blocks", "n_heads")
    same = {key: getattr(base, key) for key in shared}
    return EntropyConfig(**same, training=base.training, **sizes[name])

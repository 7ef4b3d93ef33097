"""The frozen configuration of the basins command, its presets and its memories by name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from models.training.config import TrainConfig
from simulations.sweep.run import Cell

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1

PENALTY = 0.01  # of the pseudo-likelihood memory: weak, so that its rows are near maximum margin

Kind = Literal["lookup", "sweep", "fitted", "trained"]


@dataclass(frozen=True)
class Kept:
    """What the sweep must know of a memory.

    name; kind: "lookup" compares a query with the store once, "sweep" does so for every
    token at every iteration, "fitted" is a regression on the store, "trained" a network;
    binary, tokens: whether it acts at V = 2 and at V > 2; most: largest K / (L (V - 1))
    measured, beyond which it has long failed.
    """

    name: str
    kind: Kind
    binary: bool = True
    tokens: bool = True
    most: float = float("inf")


MAP, DRAW, TRAINED = "empirical, MAP", "empirical, one draw", "trained UDDM"
MEMORIES = (
    Kept("Hopfield", "sweep", tokens=False, most=4),
    Kept("pseudo-inverse", "sweep", tokens=False, most=2),
    Kept("Potts", "sweep", binary=False, most=4),
    Kept("pseudo-likelihood", "fitted", most=4),
    Kept("dense, n = 3", "sweep", most=20),
    Kept("exponential", "sweep"),
    Kept(TRAINED, "trained"),
    Kept(DRAW, "lookup"),
    Kept(MAP, "lookup"),
)


@dataclass(frozen=True)
class Config:
    """Everything the numbers of a run depend on.

    Args:
        binary_len: L of the panel V = 2.
        vocab_size: V of the other panel, at least 3.
        token_len: L of the other panel.
        train_sizes: K, numbers of stored sequences, increasing; from 3 up, as a guess
            among 2 is right half the time.
        sweep_size: largest K of memories that compare every token with every sequence.
        trained_sizes: K at which a denoiser is trained, each among `train_sizes`.
        sets: independent sets of stored sequences; a trained denoiser has one.
        queries_per_set: corrupted sequences per set and noise level.
        levels: noise levels t in (0, 1], increasing.
        error_levels: levels whose mean number of changed tokens is also tried exactly.
        max_iter: most sweeps of a memory.
        n_steps: reverse steps of a trained denoiser on the full interval.
        width: hidden width of the trained denoiser.
        threshold: of the rate that defines a radius.
        replicates: bootstrap replicates.
        root_seed: every random number follows from it and from names.
        training: how the denoiser is trained.
    """

    binary_len: int = 64
    vocab_size: int = 8
    token_len: int = 32
    train_sizes: tuple[int, ...] = (4, 6, 8, 12, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
    sweep_size: int = 4096
    trained_sizes: tuple[int, ...] = (8, 64, 512, 4096)
    sets: int = 48
    queries_per_set: int = 12
    levels: tuple[float, ...] = (
        *(0.02, 0.06, 0.12, 0.18, 0.25, 0.32, 0.4, 0.46, 0.52, 0.58, 0.64, 0.7, 0.78, 0.86, 0.95),
    )
    error_levels: tuple[float, ...] = (0.25, 0.4, 0.58, 0.7)
    max_iter: int = 50
    n_steps: int = 32
    width: int = 192
    threshold: float = 0.5
    replicates: int = 1000
    root_seed: int = 2604
    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(steps=1500, batch=128, warmup=100, weight_decay=0.02)
    )

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

    @property
    def panels(self) -> tuple[tuple[int, int], ...]:
        """(V, L) of each panel."""
        return (2, self.binary_len), (self.vocab_size, self.token_len)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing."""
        return dataclasses.asdict(self)


def _problem(config: Config) -> str | None:
    """The first thing wrong with a configuration, as a sentence."""
    counts = {
        "binary_len": 8,
        "token_len": 8,
        "vocab_size": 3,
        "sweep_size": 1,
        "sets": 30,
        "queries_per_set": 1,
        "max_iter": 1,
        "n_steps": 1,
        "width": 1,
        "replicates": 100,
    }
    for name, smallest in counts.items():
        if getattr(config, name) < smallest:
            return f"`{name}` must be at least {smallest}; got {getattr(config, name)}."
    if config.vocab_size > 256:
        return f"`vocab_size` must be at most 256; got {config.vocab_size}."
    sizes, levels = config.train_sizes, config.levels
    if not sizes or min(sizes) < 3 or any(b <= a for a, b in pairwise(sizes)):
        return f"`train_sizes` must be increasing counts of at least 3; got {list(sizes)}."
    foreign = [size for size in config.trained_sizes if size not in sizes]
    if foreign:
        return f"`trained_sizes` must be among `train_sizes`; {foreign[0]} is not."
    if len(levels) < 2 or any(b <= a for a, b in pairwise(levels)):
        return f"`levels` must be at least two increasing noise levels; got {list(levels)}."
    for name in ("levels", "error_levels"):
        values = getattr(config, name)
        if any(not 0 < t <= 1 for t in values):
            return f"`{name}` are noise levels t and must lie in (0, 1]; got {list(values)}."
    if not 0 < config.threshold < 1:
        return f"`threshold` must lie in (0, 1); got {config.threshold}."
    return None


def memories_of(config: Config, vocab_size: int, seq_len: int, train_size: int) -> list[Kept]:
    """The memories measured at a place, in the order of `MEMORIES`."""
    found = []
    for memory in MEMORIES:
        acts = memory.binary if vocab_size == 2 else memory.tokens
        held = train_size <= memory.most * seq_len * (vocab_size - 1)
        held &= memory.kind != "sweep" or train_size <= config.sweep_size
        held &= memory.kind != "trained" or train_size in config.trained_sizes
        if acts and held:
            found.append(memory)
    return found


def make_cells(config: Config) -> list[Cell]:
    """One cell per panel and K for the memories that are built, one for the trained denoiser."""
    digits = len(str(config.train_sizes[-1]))
    cells = []
    for vocab_size, seq_len in config.panels:
        for size in config.train_sizes:
            place = {"vocab_size": vocab_size, "seq_len": seq_len, "train_size": size}
            stem = f"V{vocab_size}-K{size:0{digits}d}"
            cells.append(Cell(stem, {**place, "trained": False}))
            if size in config.trained_sizes:
                cells.append(Cell(f"{stem}-trained", {**place, "trained": True}))
    return cells


def cost(config: Config, cell: Cell) -> float:
    """Rough seconds of a cell on one core."""
    vocab_size, seq_len, size, trained = cell.coordinates.values()
    queries = config.sets * config.queries_per_set * (len(config.levels) + len(config.error_levels))
    inputs = vocab_size * seq_len
    if trained:
        weights = inputs * (2 * config.width + inputs) + config.width**2
        evaluations = 3 * config.training.steps * config.training.batch
        return 10 + 2 * weights * (evaluations + queries * config.n_steps / 2) / 4e10
    pairs = queries * seq_len * size
    seconds = {
        "lookup": pairs / 1.5e9,
        "sweep": pairs / 7e7,
        "fitted": config.sets * (0.03 + inputs**2 * size * 2.5e-8),
        "trained": 0.0,
    }
    memories = memories_of(config, vocab_size, seq_len, size)
    return 0.5 + sum(seconds[memory.kind] for memory in memories)


def size(config: Config, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    vocab_size, seq_len, stored, trained = cell.coordinates.values()
    memories = 1 if trained else len(memories_of(config, vocab_size, seq_len, stored))
    levels = len(config.levels) + len(config.error_levels)
    return 3e4 + 3.0 * memories * levels * config.sets * config.queries_per_set


def preset(name: str) -> Config:
    """The configuration of a preset: smoke (seconds) or small (minutes)."""
    if name == "small":
        return Config()
    if name == "smoke":
        return Config(
            binary_len=32,
            vocab_size=4,
            token_len=16,
            train_sizes=(4, 16, 64, 256),
            trained_sizes=(16,),
            sets=40,
            queries_per_set=6,
            levels=(0.05, 0.15, 0.3, 0.5, 0.7, 0.9),
            error_levels=(0.3, 0.5),
            n_steps=16,
            width=64,
            training=TrainConfig(steps=250, batch=64, warmup=50, weight_decay=0.02),
        )
    raise ValueError(f"there is no preset {name!r}; choose smoke or small.")

"""The frozen settings of the basins study, its memories by name, presets and cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from models.training.config import TrainConfig
from simulations.console.settings import Settings, at_least, increasing_counts, inside, rises
from simulations.results.cells import Cell
from simulations.trained import WEIGHT_DECAY, Network

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1

PLACE = ("vocab_size", "seq_len", "train_size")  # V, L, K: what stored sequences depend on
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

    def held(self, vocab_size: int, seq_len: int, train_size: Any) -> Any:
        """Whether it acts at V and K is not beyond `most`, elementwise in K."""
        acts = self.binary if vocab_size == 2 else self.tokens
        return acts & (train_size <= self.most * seq_len * (vocab_size - 1))


# What erased sites of a query are to a memory, by its kind: the exact denoiser knows which they
# are; a memory with fields has them exert none (spins: 0), and each first takes the value that the
# visible ones favour; a network that knows no mask has them filled at random.
STARTS: dict[Kind, str] = {
    "lookup": "known",
    "sweep": "no field",
    "fitted": "no field",
    "trained": "filled at random",
}

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
class Config(Settings):
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
        erased_levels: noise levels t in (0, 1], increasing, at which tokens are erased instead.
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
    erased_levels: tuple[float, ...] = (
        *(0.05, 0.2, 0.35, 0.5, 0.6, 0.68, 0.74, 0.8, 0.84, 0.88, 0.91, 0.94, 0.97, 0.99),
    )
    max_iter: int = 50
    n_steps: int = 32
    width: int = 192
    threshold: float = 0.5
    replicates: int = 1000
    root_seed: int = 2604
    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(1500, 128, warmup=100, weight_decay=WEIGHT_DECAY)
    )

    def problems(self) -> Iterator[str]:
        yield from at_least(self, binary_len=8, token_len=8, vocab_size=3, sweep_size=1, sets=30)
        yield from at_least(self, queries_per_set=1, max_iter=1, n_steps=1, width=1, replicates=100)
        if self.vocab_size > 256:
            yield f"`vocab_size` must be at most 256; got {self.vocab_size}."
        yield from increasing_counts(self, "train_sizes", 3)
        for foreign in sorted(set(self.trained_sizes) - set(self.train_sizes)):
            yield f"`trained_sizes` must be among `train_sizes`; {foreign} is not."
        for name in ("levels", "erased_levels"):
            values = getattr(self, name)
            if len(values) < 2 or not rises(values):
                yield f"`{name}` must be at least two increasing noise levels; got {list(values)}."
        for name in ("levels", "error_levels", "erased_levels"):
            values = getattr(self, name)
            if any(not 0 < t <= 1 for t in values):
                yield f"`{name}` are noise levels t and must lie in (0, 1]; got {list(values)}."
        yield from inside(self, "threshold")

    @property
    def panels(self) -> tuple[tuple[int, int], ...]:
        """(V, L) of each panel."""
        return (2, self.binary_len), (self.vocab_size, self.token_len)

    @property
    def corruptions(self) -> int:
        """Corruptions of a stored sequence, of all kinds and levels."""
        return len(self.levels) + len(self.error_levels) + len(self.erased_levels)

    @property
    def queries(self) -> int:
        """Queries of all sets at a noise level."""
        return self.sets * self.queries_per_set

    def network(self, vocab_size: int, seq_len: int) -> Network:
        """The denoiser that is trained at a panel."""
        return Network(vocab_size, seq_len, self.width)


def memories_of(
    config: Config, vocab_size: int, seq_len: int, train_size: int, trained: bool
) -> list[Kept]:
    """The memories of a cell, in the order of `MEMORIES`."""
    return [
        memory
        for memory in MEMORIES
        if (memory.kind == "trained") == trained
        and memory.held(vocab_size, seq_len, train_size)
        and (memory.kind != "sweep" or train_size <= config.sweep_size)
    ]


def make_cells(config: Config) -> list[Cell]:
    """One cell per panel and K for the memories that are built, one for the trained denoiser."""
    digits = len(str(config.train_sizes[-1]))
    return [
        Cell(
            f"V{panel[0]}-K{k:0{digits}d}" + "-trained" * trained,
            dict(zip(PLACE, (*panel, k), strict=True)) | {"trained": trained},
        )
        for panel in config.panels
        for k in config.train_sizes
        for trained in (False, True)
        if not trained or k in config.trained_sizes
    ]


def cost(config: Config, cell: Cell) -> float:
    """Rough seconds of a cell on one core."""
    vocab_size, seq_len, size, trained = cell.coordinates.values()
    queries = config.queries * config.corruptions
    if trained:
        evaluations = 3 * config.training.steps * config.training.batch
        work = config.network(vocab_size, seq_len).work
        return 10 + 2 * work * (evaluations + queries * config.n_steps / 2) / 4e10
    seconds = {
        "lookup": queries * seq_len * size / 1.5e9,
        "sweep": queries * seq_len * size / 7e7,
        "fitted": config.sets * (0.03 + (vocab_size * seq_len) ** 2 * size * 2.5e-8),
    }
    return 0.5 + sum(seconds[memory.kind] for memory in memories_of(config, **cell.coordinates))


def size(config: Config, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    memories = len(memories_of(config, **cell.coordinates))
    return 3e4 + 3.0 * memories * config.queries * config.corruptions


PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "smoke": {
        "binary_len": 32,
        "vocab_size": 4,
        "token_len": 16,
        "train_sizes": (4, 16, 64, 256),
        "trained_sizes": (16,),
        "sets": 40,
        "queries_per_set": 6,
        "levels": (0.05, 0.15, 0.3, 0.5, 0.7, 0.9),
        "error_levels": (0.3, 0.5),
        "erased_levels": (0.1, 0.3, 0.5, 0.7, 0.85, 0.95),
        "n_steps": 16,
        "width": 64,
        "training": TrainConfig(250, 64, warmup=50, weight_decay=WEIGHT_DECAY),
    },
}


def preset(name: str) -> Config:
    """The settings of a preset: smoke (a minute) or small (minutes)."""
    return Config(**PRESETS[name])

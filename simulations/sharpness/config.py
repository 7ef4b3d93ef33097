"""The frozen configuration of the study of sharpness, its presets and its cells by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from am_theory.conditional_likelihood import critical_load
from models.training.config import TrainConfig
from simulations.console.settings import (
    Settings,
    at_least,
    different,
    increasing,
    increasing_counts,
)
from simulations.features_law.config import FeaturesConfig
from simulations.results.cells import Cell
from simulations.rows.config import dimension

NUMERICS = 1
SOURCES = ("iid", "markov")

Case = tuple[int, int]
Shape = tuple[int, int]


class Network(NamedTuple):
    """One passage of trained networks: source, L, width and optimizer steps."""

    source: str
    seq_len: int
    width: int
    steps: int

    @property
    def name(self) -> str:
        return f"{self.source}-L{self.seq_len}-w{self.width}-T{self.steps}"


@dataclass(frozen=True)
class SharpnessConfig(Settings):
    """Everything the numbers of a run depend on. A case is V, L.

    Args:
        lengths: L of the exact passages of the memorizer and the linear denoiser.
        vocabularies: V of these.
        alphas: probabilities that a token is kept, of these; the smallest is simulated too.
        memorizers: cases of the memorizer that are simulated.
        linears: cases of the linear denoiser that are simulated.
        sets: independent training sets of each of these, the units of their intervals.
        queries: corrupted sequences a set (a set and split of the linear denoiser).
        memories: cases of the pseudo-likelihood memories.
        loads: their loads over the critical one, increasing.
        ridges: their ridges, in the units of the theory of rows.
        memory_sets: independent training sets of each.
        separable: cases of rows whose largest separable training set is found by linear programs;
            V^(L - 1) must be large, as two sequences alike but for the target cannot be told apart.
        programs: independent rows of each of these.
        sources: where the networks' sequences come from.
        network_lengths: L of the networks.
        shapes: width and optimizer steps of the networks.
        vocab_size: V of the networks.
        train_sizes: K of the networks, increasing.
        seeds: independent data sets and initializations of the networks.
        network_queries: corrupted inputs per split, on which a network is read.
        rate: peak learning rate.
        root_seed: every random number follows from it and from the names of the coordinates.
        training: how networks are trained; steps and learning rate are those above.
    """

    lengths: tuple[int, ...] = (8, 16, 32, 64)
    vocabularies: tuple[int, ...] = (4, 16, 64)
    alphas: tuple[float, ...] = (0.75, 0.5)
    memorizers: tuple[Case, ...] = ((2, 8), (2, 16), (2, 32), (4, 8), (4, 16))
    linears: tuple[Case, ...] = ((4, 16), (4, 64))
    sets: int = 20
    queries: int = 200
    memories: tuple[Case, ...] = (*((2, 8), (2, 16), (2, 32), (2, 64), (4, 8), (4, 16), (4, 32)),)
    loads: tuple[float, ...] = (*(0.25, 0.4, 0.55, 0.7, 0.85, 1.0, 1.15, 1.4, 1.8, 2.5, 3.5, 5.0),)
    ridges: tuple[float, ...] = (1e-3, 1e-4)
    memory_sets: int = 5
    separable: tuple[Case, ...] = ((4, 12), (4, 16), (4, 20), (4, 24))
    programs: int = 40
    sources: tuple[str, ...] = SOURCES
    network_lengths: tuple[int, ...] = (8, 16, 32)
    shapes: tuple[Shape, ...] = ((32, 1000), (128, 2000))
    vocab_size: int = 8
    train_sizes: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    seeds: int = 3
    network_queries: int = 1024
    rate: float = 6e-3
    root_seed: int = 2604
    training: TrainConfig = field(default_factory=lambda: TrainConfig(batch=32))

    def problems(self) -> Iterator[str]:
        least = {"sets": 3, "memory_sets": 3, "programs": 3, "seeds": 2}
        yield from at_least(self, queries=1, network_queries=8, vocab_size=2, **least)
        for name in ("lengths", "network_lengths"):
            yield from increasing_counts(self, name, least=4)
        yield from increasing_counts(self, "train_sizes")
        yield from increasing(self, "loads")
        for name in ("vocabularies", "alphas", "memorizers", "linears", "memories", "ridges"):
            yield from different(self, name)
        yield from different(self, "separable", "sources", "shapes")
        if len(self.train_sizes) < 2:
            yield f"`train_sizes` must hold two sizes or more; got {list(self.train_sizes)}."
        if not set(self.sources) <= set(SOURCES):
            yield f"`sources` must be among {', '.join(SOURCES)}; got {list(self.sources)}."
        if not all(0 < alpha < 1 for alpha in self.alphas):
            yield f"`alphas` must lie in (0, 1); got {list(self.alphas)}."
        if min(self.vocabularies) < 2:
            yield f"`vocabularies` must be at least 2; got {list(self.vocabularies)}."
        if min(self.ridges) <= 0 or self.rate <= 0:
            yield f"`ridges` and `rate` must be positive; got {list(self.ridges)}, {self.rate}."
        for name in ("memorizers", "linears", "memories", "separable"):
            if any(vocab < 2 or length < 4 for vocab, length in getattr(self, name)):
                yield f"`{name}` holds V at least 2 and L at least 4; got {getattr(self, name)}."

    def identity(self) -> dict[str, Any]:
        """What all cells depend on besides their coordinates: a run of more cases, networks or
        seeds goes on from the cells of one of fewer."""
        given = self.as_dict()
        names = ("queries", "sets", "loads", "ridges", "programs", "rate", "root_seed")
        kept = {name: given[name] for name in (*names, "vocab_size", "network_queries")}
        alpha = min(self.alphas)
        training = given["training"] | {"steps": None, "learning_rate": None}
        return {**kept, "alpha": alpha, "training": training}

    def features(self, seq_len: int) -> FeaturesConfig:
        """The settings under which `features_law` trains and reads a network of this length."""
        return FeaturesConfig(
            vocab_size=self.vocab_size,
            seq_len=seq_len,
            queries=self.network_queries,
            root_seed=self.root_seed,
            training=self.training,
        )


def networks(config: SharpnessConfig) -> list[Network]:
    """The passages of networks, in order."""
    return [
        Network(source, length, width, steps)
        for source in config.sources
        for width, steps in config.shapes
        for length in config.network_lengths
    ]


def case_name(case: Case) -> str:
    return f"V{case[0]}-L{case[1]}"


def network_cells(config: SharpnessConfig) -> dict[Network, list[list[Cell]]]:
    """The cells of every passage: a list of seeds of a list over K."""

    def cell(network: Network, size: int, seed: int) -> Cell:
        place = {"source": network.source, "width": network.width, "steps": network.steps}
        trained = {"pair": True, "rate": config.rate, "train_size": size, "seed": seed}
        where = {"kind": "network", "seq_len": network.seq_len, **place, **trained}
        return Cell(f"{network.name}-K{size}-seed{seed}", where)

    return {
        network: [[cell(network, k, s) for k in config.train_sizes] for s in range(config.seeds)]
        for network in networks(config)
    }


def case_cells(config: SharpnessConfig) -> dict[str, list[Cell]]:
    """The cells of every other kind, in the order of their cases."""

    def cells(kind: str, cases: Any, **more: Any) -> list[Cell]:
        words = "".join(f"-{name}{value}" for name, value in more.items())
        return [
            Cell(f"{kind}-{case_name(case)}{words}", {"kind": kind, "case": list(case), **more})
            for case in cases
        ]

    memories = [cells("memory", config.memories, set=s) for s in range(config.memory_sets)]
    return {
        "memorizer": cells("memorizer", config.memorizers),
        "linear": cells("linear", config.linears),
        "memory": [cell for column in zip(*memories, strict=True) for cell in column],
        "separable": cells("separable", config.separable),
        "rows": cells("rows", [(vocab, 0) for vocab in memory_vocabularies(config)]),
    }


def memory_sizes(config: SharpnessConfig, case: Case) -> list[int]:
    """K of a pseudo-likelihood memory at each load."""
    unit = critical_load(case[0]) * dimension(case)
    return [max(1, round(load * unit)) for load in config.loads]


def penalty(ridge: float, case: Case) -> float:
    """The memory's penalty for a ridge of the theory: its inputs have variance 1 / (V L)."""
    vocab_size, seq_len = case
    return 2 * ridge * dimension(case) / (vocab_size * seq_len)


def memory_vocabularies(config: SharpnessConfig) -> list[int]:
    """V of the pseudo-likelihood memories, in order."""
    return list(dict.fromkeys(vocab for vocab, _ in config.memories))


def make_cells(config: SharpnessConfig) -> list[Cell]:
    """All cells; those of networks last, all of one seed before the next."""
    found = [cell for cells in case_cells(config).values() for cell in cells]
    seeds = zip(*network_cells(config).values(), strict=True)
    return found + [cell for passages in seeds for over_sizes in passages for cell in over_sizes]


def cost(config: SharpnessConfig, cell: Cell) -> float:
    """Rough seconds on one core."""
    at = cell.coordinates
    if at["kind"] == "network":
        work = config.features(at["seq_len"]).network(at["width"]).work
        step = max(4e-4, 6 * work * config.training.batch / 5e10)
        return 2.0 + at["steps"] * step + 1e-8 * config.network_queries * work
    vocab_size, seq_len = at["case"]
    if at["kind"] == "memory":
        pairs = float((seq_len * (vocab_size - 1)) ** 2)
        examples = sum(config.loads) * dimension((vocab_size, seq_len))
        return 0.5 + len(config.ridges) * examples * pairs * 5e-7
    if at["kind"] == "separable":
        unknowns = float(dimension((vocab_size, seq_len)) * (vocab_size - 1))
        return 1 + config.programs * 1e-6 * unknowns**2.6
    if at["kind"] == "rows":
        return len(config.ridges) * len(config.loads) * (0.5 if vocab_size == 2 else 2.5)
    return 1.0 + 2e-3 * config.sets * config.queries


def size(config: SharpnessConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 2e4 + (20.0 * config.network_queries if cell.coordinates["kind"] == "network" else 0.0)


PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "medium": {
        "memories": (*((2, n) for n in (8, 16, 32, 64, 128)), *((4, n) for n in (8, 16, 32, 64))),
        "separable": ((4, 12), (4, 16), (4, 24), (4, 32)),
        "programs": 100,
        "network_lengths": (8, 16, 32, 64),
        "shapes": ((32, 1000), (128, 2000), (128, 8000), (512, 8000)),
        "train_sizes": tuple(2**k for k in range(3, 15)),
        "seeds": 5,
    },
    "smoke": {
        "lengths": (8, 16, 32),
        "vocabularies": (4, 16),
        "memorizers": ((2, 8), (2, 16)),
        "linears": ((4, 8), (4, 16)),
        "sets": 5,
        "queries": 100,
        "memories": ((2, 8), (2, 16), (2, 32)),
        "loads": (0.2, 0.5, 0.8, 1.0, 1.25, 1.8, 3.0, 6.0),
        "ridges": (1e-3,),
        "memory_sets": 3,
        "separable": ((3, 10), (3, 13), (3, 16)),
        "programs": 12,
        "sources": ("iid",),
        "network_lengths": (4, 8),
        "shapes": ((16, 300),),
        "vocab_size": 8,
        "train_sizes": (4, 16, 64, 256, 1024),
        "seeds": 2,
        "network_queries": 256,
        "training": TrainConfig(batch=32, warmup=20),
    },
}


def preset(name: str) -> SharpnessConfig:
    """The settings of a preset: smoke (a minute), small (under 45 minutes) or medium (hours)."""
    return SharpnessConfig(**PRESETS[name])

"""The frozen configuration of the study of rows, its presets and its cells by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from am_theory.conditional_likelihood import critical_load
from simulations.console.settings import (
    Settings,
    at_least,
    different,
    increasing,
    increasing_counts,
)
from simulations.results.cells import Cell

NUMERICS = 1

Case = tuple[int, int]


@dataclass(frozen=True)
class RowsConfig(Settings):
    """Everything the numbers of a run depend on. A case is V, L; loads are K / ((L - 1) (V - 1)).

    Args:
        sizes: numbers of inputs L - 1 of the rows of two tokens trained under noise.
        alphas: probabilities that a token is kept.
        loads: loads of these rows.
        rows: independent rows of each point, the units of their intervals.
        separable: V, L of the rows whose largest separable training set is found. V^(L - 1) must
            be large: two sequences alike but for the target cannot be told apart.
        programs: independent rows of each of these.
        memories: V, L of the pseudo-likelihood memories, without noise.
        relative_loads: their loads over the critical one.
        ridges: their ridges, in the units of the theory; decreasing.
        theory_ridges: ridges of the theory's curves, these among them.
        sets: independent training sets of each memory.
        root_seed: every random number follows from it and from the names of the coordinates.
    """

    sizes: tuple[int, ...] = (60, 120, 240)
    alphas: tuple[float, ...] = (0.6, 0.9)
    loads: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 10.0)
    rows: int = 12
    separable: tuple[Case, ...] = (
        *((2, 17), (2, 33), (2, 65), (3, 13), (3, 17), (4, 10), (4, 13), (8, 7)),
    )
    programs: int = 24
    memories: tuple[Case, ...] = ((2, 32), (2, 64), (4, 16), (4, 32))
    relative_loads: tuple[float, ...] = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.1, 1.4)
    ridges: tuple[float, ...] = (1e-3, 1e-4)
    theory_ridges: tuple[float, ...] = (1e-3, 1e-4, 1e-5)
    sets: int = 5
    root_seed: int = 2604

    def problems(self) -> Iterator[str]:
        yield from at_least(self, rows=3, programs=3, sets=3)
        yield from increasing_counts(self, "sizes", least=4)
        yield from increasing(self, "loads", "relative_loads")
        yield from different(self, "alphas", "ridges", "theory_ridges", "separable", "memories")
        for alpha in self.alphas:
            if not 0 < alpha < 1:
                yield f"`alphas` must lie in (0, 1); got {alpha}."
        if list(self.ridges) != sorted(self.ridges, reverse=True) or min(self.ridges) <= 0:
            yield f"`ridges` must be positive and decreasing; got {list(self.ridges)}."
        if not set(self.ridges) <= set(self.theory_ridges):
            yield f"`theory_ridges` must hold all `ridges`; got {list(self.theory_ridges)}."
        for name in ("separable", "memories"):
            for vocab_size, seq_len in getattr(self, name):
                if vocab_size < 2 or seq_len < 4:
                    yield (
                        f"`{name}` holds V at least 2 and L at least 4, in this order; got "
                        f"{vocab_size}, {seq_len}."
                    )

    @property
    def vocabularies(self) -> tuple[int, ...]:
        """V of the memories, in order."""
        return tuple(dict.fromkeys(vocab for vocab, _ in self.memories))


def dimension(case: Case) -> int:
    """(L - 1) (V - 1), inputs of a row."""
    return (case[1] - 1) * (case[0] - 1)


def train_sizes(config: RowsConfig, case: Case) -> list[int]:
    """K of a memory at each relative load."""
    unit = critical_load(case[0]) * dimension(case)
    return [max(1, round(load * unit)) for load in config.relative_loads]


def penalty(ridge: float, case: Case) -> float:
    """The memory's penalty for a ridge of the theory: its inputs have variance 1 / (V L)."""
    vocab_size, seq_len = case
    return 2 * ridge * dimension(case) / (vocab_size * seq_len)


def case_name(case: Case) -> str:
    return f"V={case[0]} L={case[1]}"


def make_cells(config: RowsConfig) -> list[Cell]:
    """One cell per size of the rows under noise, per case, and per vocabulary of the theory."""
    named = {
        "training": [f"N{size}" for size in config.sizes],
        "separable": [f"V{v}-L{length}" for v, length in config.separable],
        "memories": [f"V{v}-L{length}" for v, length in config.memories],
        "theory": [f"V{v}" for v in config.vocabularies],
    }
    return [
        Cell(f"{kind}-{name}", {"kind": kind, "index": index})
        for kind, names in named.items()
        for index, name in enumerate(names)
    ]


def cost(config: RowsConfig, cell: Cell) -> float:
    """Rough seconds on one core."""
    kind, index = cell.coordinates["kind"], cell.coordinates["index"]
    if kind == "training":
        work = config.rows * len(config.alphas) * sum(config.loads) * config.sizes[index]
        return 1 + 6e-4 * work
    if kind == "separable":
        case = config.separable[index]
        unknowns = dimension(case) * (case[0] - 1)
        return 1 + config.programs * 1e-6 * float(unknowns) ** 2.6
    if kind == "memories":
        case = config.memories[index]
        pairs = float((case[1] * (case[0] - 1)) ** 2)
        return 1 + config.sets * len(config.ridges) * sum(train_sizes(config, case)) * pairs * 2e-7
    vocab_size = config.vocabularies[index]
    return len(config.theory_ridges) * len(config.relative_loads) * (0.5 if vocab_size == 2 else 3)


def size(config: RowsConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 3e4


PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "medium": {
        "rows": 32,
        "separable": (
            *((2, 17), (2, 33), (2, 65), (3, 13), (3, 17), (3, 25), (4, 10), (4, 13), (4, 17)),
            *((8, 7), (8, 8), (8, 9)),
        ),
        "programs": 64,
        "memories": ((2, 32), (2, 64), (2, 128), (4, 16), (4, 32), (4, 64)),
        "ridges": (1e-2, 1e-3, 1e-4),
        "theory_ridges": (1e-2, 1e-3, 1e-4, 1e-5),
        "sets": 8,
    },
    "smoke": {
        "sizes": (40, 80),
        "rows": 8,
        "separable": ((2, 17), (2, 25), (3, 10), (3, 13), (4, 8), (4, 9)),
        "programs": 12,
        "memories": ((2, 24), (2, 48), (3, 12), (3, 24)),
        "relative_loads": (0.6, 0.8, 0.9, 1.0, 1.2, 1.6),
        "ridges": (1e-2, 1e-3),
        "theory_ridges": (1e-2, 1e-3, 1e-5),
        "sets": 3,
    },
}


def preset(name: str) -> RowsConfig:
    """The settings of a preset: smoke (below a minute), small (minutes) or medium."""
    return RowsConfig(**PRESETS[name])

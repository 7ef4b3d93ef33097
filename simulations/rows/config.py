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

NUMERICS = 2

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
        programs: independent rows of each of these, without and with biases.
        chains: chances that a token differs from the one before, of sequences of two tokens whose
            largest separable set is found too.
        chain_lengths: their L, odd: the middle site's row is taken.
        memories: V, L of the pseudo-likelihood memories, without noise.
        sites: rows that are fitted of each memory, in the order of `memories`; at most L.
        relative_loads: their loads over the critical one.
        ridges: their ridges, in the units of the theory; decreasing.
        judged: the ridge at which the conjecture is judged, one of these.
        sets: independent training sets of each memory.
        networks: L of the networks of a pairwise field alone, of two tokens.
        levels: t of their noise: of networks trained at one level, and where those trained at all
            levels are read.
        network_loads: loads of the former, over that at which theory has their entropy drop.
        free_loads: loads of the latter, over the critical one.
        network_sets: independent training sets of each network.
        steps: of their training, by AdamW.
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
    chains: tuple[float, ...] = (0.15, 0.3)
    chain_lengths: tuple[int, ...] = (33, 65)
    memories: tuple[Case, ...] = (
        *((2, 32), (2, 64), (2, 128), (2, 256), (4, 16), (4, 32), (4, 64)),
    )
    sites: tuple[int, ...] = (16, 16, 12, 6, 16, 8, 3)
    relative_loads: tuple[float, ...] = (0.6, 0.75, 0.85, 0.92, 1.0, 1.08, 1.16, 1.3)
    ridges: tuple[float, ...] = (1e-3, 1e-4, 1e-6)
    judged: float = 1e-4
    sets: int = 8
    networks: tuple[int, ...] = (32, 64)
    levels: tuple[float, ...] = (0.05, 0.1, 0.25)
    network_loads: tuple[float, ...] = (0.7, 1.0, 1.4)
    free_loads: tuple[float, ...] = (0.1, 0.2, 0.35, 0.55, 0.9)
    network_sets: int = 3
    steps: int = 2000
    root_seed: int = 2605

    def problems(self) -> Iterator[str]:
        yield from at_least(self, rows=3, programs=3, sets=3, network_sets=3, steps=5)
        for counts in ("sizes", "chain_lengths", "networks"):
            yield from increasing_counts(self, counts, least=4)
        yield from increasing(self, "loads", "relative_loads", "network_loads", "free_loads")
        yield from different(self, "alphas", "ridges", "separable", "memories", "levels", "chains")
        for level in self.levels:
            if not 0 < level < 1:
                yield f"`levels` must lie in (0, 1); got {level}."
        for alpha in self.alphas:
            if not 0 < alpha < 1:
                yield f"`alphas` must lie in (0, 1); got {alpha}."
        if list(self.ridges) != sorted(self.ridges, reverse=True) or min(self.ridges) <= 0:
            yield f"`ridges` must be positive and decreasing; got {list(self.ridges)}."
        if self.judged not in self.ridges:
            yield f"`judged` must be one of `ridges`; got {self.judged}."
        for flip in self.chains:
            if not 0 < flip <= 0.5:
                yield f"`chains` must lie in (0, 1/2]; got {flip}."
        if any(length % 2 == 0 for length in self.chain_lengths):
            yield f"`chain_lengths` must be odd; got {list(self.chain_lengths)}."
        for name in ("separable", "memories"):
            for vocab_size, seq_len in getattr(self, name):
                if vocab_size < 2 or seq_len < 4:
                    yield (
                        f"`{name}` holds V at least 2 and L at least 4, in this order; got "
                        f"{vocab_size}, {seq_len}."
                    )
        if len(self.sites) != len(self.memories) or any(
            not 1 <= rows <= case[1] for rows, case in zip(self.sites, self.memories, strict=False)
        ):
            yield (
                "`sites` must hold a count of at most L for each of `memories`; got "
                f"{list(self.sites)}."
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


def trainings(config: RowsConfig) -> list[str]:
    """What the networks of one length are trained on: each level alone, and all of them."""
    return [*(f"t{level:g}" for level in config.levels), "all"]


def case_name(case: Case) -> str:
    return f"V={case[0]} L={case[1]}"


def make_cells(config: RowsConfig) -> list[Cell]:
    """One cell per size of the rows under noise, per case, and per vocabulary of the theory."""
    named = {
        "training": [f"N{size}" for size in config.sizes],
        "separable": [f"V{v}-L{length}" for v, length in config.separable],
        "chains": [f"flip{flip:g}" for flip in config.chains],
        "memories": [f"V{v}-L{length}" for v, length in config.memories],
        "networks": [
            f"L{length}-{kind}" for length in config.networks for kind in trainings(config)
        ],
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
        return 1 + 2 * config.programs * 1e-6 * float(unknowns) ** 2.6
    if kind == "chains":
        return 1 + config.programs * 1e-6 * sum(float(n) ** 2.6 for n in config.chain_lengths)
    if kind == "memories":
        case, fits = config.memories[index], config.sites[index] * config.sets
        unknowns = dimension(case) * (case[0] - 1)
        return 1 + fits * len(config.relative_loads) * (5e-3 + 8e-9 * float(unknowns) ** 3)
    if kind == "networks":
        length = config.networks[index // (len(config.levels) + 1)]
        return 10 + config.network_sets * config.steps * 4 * (2e-4 + 4e-7 * length**2)
    vocab_size = config.vocabularies[index]
    return len(config.ridges) * len(config.relative_loads) * (0.5 if vocab_size == 2 else 2)


def size(config: RowsConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 3e4


PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "medium": {
        "rows": 16,
        "separable": (
            *((2, 17), (2, 33), (2, 65), (3, 13), (3, 17), (3, 25), (4, 10), (4, 13), (4, 17)),
            *((8, 7), (8, 8)),
        ),
        "memories": (*((2, 32), (2, 64), (2, 128), (2, 256), (4, 16), (4, 32), (4, 64), (4, 128)),),
        "sites": (32, 32, 16, 8, 16, 12, 4, 1),
        "sets": 12,
        "levels": (0.02, 0.05, 0.1, 0.25),
        "network_loads": (0.7, 0.9, 1.1, 1.4),
        "free_loads": (0.1, 0.2, 0.35, 0.5, 0.7, 1.0),
        "network_sets": 5,
        "steps": 6000,
    },
    "smoke": {
        "sizes": (40, 80),
        "rows": 8,
        "separable": ((2, 17), (2, 25), (3, 10), (3, 13), (4, 8), (4, 9)),
        "programs": 12,
        "memories": ((2, 24), (2, 48), (3, 12), (3, 24)),
        "sites": (8, 4, 8, 4),
        "relative_loads": (0.6, 0.8, 0.9, 1.0, 1.2, 1.4),
        "chain_lengths": (17, 33),
        "networks": (16,),
        "levels": (0.1, 0.25),
        "network_loads": (0.6, 1.0, 1.6),
        "free_loads": (0.1, 0.3, 0.9),
        "steps": 500,
        "sets": 3,
    },
}


def preset(name: str) -> RowsConfig:
    """The settings of a preset: smoke (below a minute), small (minutes) or medium."""
    return RowsConfig(**PRESETS[name])

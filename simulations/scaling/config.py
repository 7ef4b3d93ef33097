"""The frozen configuration of the scaling laws: which conditions are measured, cell by cell.

A condition is one kind of network trained in one way on one kind of source, at several training-set
sizes K; a cell measures one condition with one seed. Conditions that several laws need are measured
once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from models.training.config import TrainConfig
from simulations.console.settings import Settings, at_least, different, increasing, rises
from simulations.linear_curves.config import Case, case_problems, dimension, grid_problems
from simulations.results.cells import Cell
from simulations.trained import Network

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 2
SOURCES = ("iid", "markov")
RECOVERY_LEVEL = 0.25  # t of the ancestral recovery, as in the main job
CHANGE_LEVEL = 0.1  # t of the best change
START_LEVEL = 0.02  # t_0 at which the code length of a sequence begins
SYMBOLS_PER_RULE = 2  # branching of the hierarchies

Hierarchy = tuple[int, int, int]


@dataclass(frozen=True)
class Condition:
    """One curve over K: source and its sizes, network, training.

    `n_rules` and `depth` belong to the hierarchy and are 0 elsewhere; `draws` counts the noisy
    copies of a sequence that training sees, 0 for fresh noise.
    """

    source: str
    vocab_size: int
    seq_len: int
    n_rules: int
    depth: int
    width: int
    n_blocks: int
    steps: int
    draws: int
    train_sizes: tuple[int, ...]

    @property
    def name(self) -> str:
        words = [self.source, f"V{self.vocab_size}", f"L{self.seq_len}"]
        if self.source == "hierarchy":
            words += [f"m{self.n_rules}", f"depth{self.depth}"]
        words += [f"w{self.width}", f"T{self.steps}"]
        return "-".join(words + ([f"draws{self.draws}"] if self.draws else []))

    @property
    def network(self) -> Network:
        return Network(self.vocab_size, self.seq_len, self.width, self.n_blocks)

    def cell(self, seed: int) -> Cell:
        """The cell of one seed; a name tells the grid of K by its length."""
        fields = {**dataclasses.asdict(self), "train_sizes": list(self.train_sizes)}
        place = {"kind": "network", "condition": fields, "seed": seed}
        return Cell(f"{self.name}-n{len(self.train_sizes)}-seed{seed}", place)


@dataclass(frozen=True)
class ScalingConfig(Settings):
    """Everything the numbers of a run depend on.

    Args:
        vocab_size: V of the iid source and of the chain.
        seq_len: L of both.
        widths: of the networks, increasing: the law of parameters.
        step_counts: optimizer steps, increasing; the law of parameters is read at the last.
        iid_sizes: K on the iid source, increasing; the first is the memory that gaps refer to.
        markov_sizes: K on the chain.
        linear_cases: V, L and alpha of the linear denoisers.
        linear_ratios: x = K / (L (V - 1)) of their points, increasing.
        linear_sets: independent training sets of each of their points.
        hierarchies: v, m and depth of the random hierarchies (two symbols a rule).
        hierarchy_sizes: K on them, as far as half of their strings.
        hierarchy_width: of the network on them.
        hierarchy_blocks: its residual blocks.
        hierarchy_steps: its optimizer steps.
        draws: noisy copies of each sequence that training sees; 0 for fresh noise. Chain only.
        draws_sizes: K of these curves.
        draws_width: of their network.
        draws_steps: their optimizer steps.
        seeds: independent data sets and initializations of every condition, the units of intervals.
        queries: corrupted inputs per split; stored sequences repeat at small K.
        n_steps: reverse steps on the full interval; a run from t uses its share.
        nelbo_queries: sequences on which code lengths are measured.
        nelbo_draws: stratified noise levels per sequence.
        root_seed: every random number follows from it and from the names of the coordinates.
        training: how networks are trained; the steps are those above.
    """

    vocab_size: int = 8
    seq_len: int = 16
    widths: tuple[int, ...] = (16, 64, 256)
    step_counts: tuple[int, ...] = (1000, 2000, 4000, 8000)
    iid_sizes: tuple[int, ...] = (64, 256, 512, 1024, 2048, 4096)
    markov_sizes: tuple[int, ...] = (16, 64, 128, 256, 512, 1024, 4096)
    linear_cases: tuple[Case, ...] = (
        *((4, length, 0.5) for length in (16, 32, 64, 128)),
        *((2, length, 0.5) for length in (48, 96, 192)),
        *((8, length, 0.5) for length in (16, 32, 64)),
    )
    linear_ratios: tuple[float, ...] = (0.15, 0.25, 0.3, 0.4, 0.5, 0.6, 0.9, 1.3)
    linear_sets: int = 20
    hierarchies: tuple[Hierarchy, ...] = ()
    hierarchy_sizes: tuple[int, ...] = (16, 64, 128, 256, 512, 1024, 2048, 8192, 32768)
    hierarchy_width: int = 256
    hierarchy_blocks: int = 2
    hierarchy_steps: int = 6000
    draws: tuple[int, ...] = ()
    draws_sizes: tuple[int, ...] = (4, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
    draws_width: int = 64
    draws_steps: int = 6000
    seeds: int = 3
    queries: int = 1024
    n_steps: int = 16
    nelbo_queries: int = 512
    nelbo_draws: int = 16
    root_seed: int = 2604
    training: TrainConfig = field(default_factory=TrainConfig)

    def problems(self) -> Iterator[str]:
        ones = ("queries", "n_steps", "nelbo_queries", "nelbo_draws", "hierarchy_width")
        least = dict.fromkeys((*ones, "hierarchy_steps", "draws_width", "draws_steps"), 1)
        yield from at_least(self, vocab_size=2, seq_len=2, seeds=2, linear_sets=3, **least)
        sizes = ("iid_sizes", "markov_sizes", "hierarchy_sizes", "draws_sizes")
        for name in ("widths", "step_counts", *sizes):
            values = getattr(self, name)
            if len(values) < 2 or values[0] < 1 or not rises(values):
                yield f"`{name}` must hold two or more increasing counts; got {list(values)}."
        yield from increasing(self, "linear_ratios")
        yield from case_problems("linear_cases", self.linear_cases)
        for case in self.linear_cases:
            yield from grid_problems("linear_ratios", case, self.linear_ratios)
        for v, m, depth in self.hierarchies:
            if v < 2 or not 1 <= m <= v or depth < 1:
                yield (
                    "`hierarchies` holds v at least 2, m from 1 to v and the depth, in this order; "
                    f"got {v}, {m}, {depth}."
                )
            if len(hierarchy_train_sizes(self, (v, m, depth))) < 2:
                yield (
                    f"the hierarchy {v}, {m}, {depth} has too few strings: two or more of "
                    "`hierarchy_sizes` must be at most half of them; got "
                    f"{list(self.hierarchy_sizes)}."
                )
        yield from different(self, "linear_cases", "hierarchies", "draws", least=0)
        if any(draws < 0 for draws in self.draws):
            yield f"`draws` are counts, 0 for fresh noise; got {list(self.draws)}."

    def identity(self) -> dict[str, Any]:
        """What all cells depend on besides their condition, case and seed: a larger preset goes on
        from the cells of a smaller one."""
        names = ("queries", "n_steps", "nelbo_queries", "nelbo_draws", "root_seed")
        training = {**dataclasses.asdict(self.training), "steps": None, "noise_draws": None}
        measurement = {**{name: getattr(self, name) for name in names}, "training": training}
        return {"measurement": measurement, "linear_sets": self.linear_sets}


def size_conditions(config: ScalingConfig) -> list[Condition]:
    """Every width at the last number of steps, the smallest and largest at all of them; on both
    sources."""
    found = []
    for source, sizes in zip(SOURCES, (config.iid_sizes, config.markov_sizes), strict=True):
        place = (source, config.vocab_size, config.seq_len, 0, 0)
        for width in config.widths:
            ends = width in (config.widths[0], config.widths[-1])
            for steps in config.step_counts if ends else config.step_counts[-1:]:
                found.append(Condition(*place, width, 1, steps, 0, sizes))
    return found


def hierarchy_train_sizes(config: ScalingConfig, hierarchy: Hierarchy) -> tuple[int, ...]:
    """K up to half of the strings that the hierarchy has: beyond, few are left to be held out."""
    v, m, depth = hierarchy
    strings = v * m ** (SYMBOLS_PER_RULE**depth - 1)
    return tuple(k for k in config.hierarchy_sizes if 2 * k <= strings)


def hierarchy_conditions(config: ScalingConfig) -> list[Condition]:
    """One condition a hierarchy."""
    return [
        Condition(
            *("hierarchy", v, SYMBOLS_PER_RULE**depth, m, depth),
            *(config.hierarchy_width, config.hierarchy_blocks, config.hierarchy_steps, 0),
            hierarchy_train_sizes(config, (v, m, depth)),
        )
        for v, m, depth in config.hierarchies
    ]


def draws_conditions(config: ScalingConfig) -> list[Condition]:
    """One condition a number of noise draws, on the chain."""
    place = ("markov", config.vocab_size, config.seq_len, 0, 0, config.draws_width, 1)
    return [
        Condition(*place, config.draws_steps, draws, config.draws_sizes) for draws in config.draws
    ]


def conditions(config: ScalingConfig) -> list[Condition]:
    """All conditions of a configuration."""
    return size_conditions(config) + hierarchy_conditions(config) + draws_conditions(config)


def network_cells(config: ScalingConfig) -> dict[Condition, list[Cell]]:
    """The cells of every condition, one a seed."""
    seeds = range(config.seeds)
    return {condition: [condition.cell(s) for s in seeds] for condition in conditions(config)}


def linear_cells(config: ScalingConfig) -> dict[Case, Cell]:
    """The cell of every case of the linear denoiser."""
    return {
        case: Cell(
            f"linear-V{case[0]}-L{case[1]}-alpha{case[2]:g}",
            {"kind": "linear", "case": list(case), "ratios": list(config.linear_ratios)},
        )
        for case in config.linear_cases
    }


def make_cells(config: ScalingConfig) -> list[Cell]:
    """All cells: of the networks, then of the linear denoiser."""
    networks = network_cells(config).values()
    return [*(cell for cells in networks for cell in cells), *linear_cells(config).values()]


def cost(config: ScalingConfig, cell: Cell) -> float:
    """Rough seconds on one core: steps of 20 Gflop/s with a floor of 0.4 ms, then the readings."""
    place = cell.coordinates
    if place["kind"] == "linear":
        cubes = 8.0 * dimension(place["case"]) ** 3 + 4e7
        return 1.0 + config.linear_sets * len(place["ratios"]) * cubes / 2e10
    condition = Condition(**place["condition"])
    weights = condition.network.work
    step = max(4e-4, 6 * weights * config.training.batch / 6e10)
    codes = 3 * config.nelbo_queries * config.nelbo_draws
    readings = 1e-9 * (config.queries * (4 * config.n_steps + 4) + codes) * (weights + 2e4)
    return 5.0 + len(condition.train_sizes) * (condition.steps * step + readings)


def size(config: ScalingConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    if cell.coordinates["kind"] == "linear":
        return 3e4
    return 3e4 + 48.0 * config.queries * len(cell.coordinates["condition"]["train_sizes"])

"""The frozen configuration of the scaling laws: which conditions are measured.

A condition is one kind of network trained in one way on one kind of source, at several training-set
sizes K; a cell measures one condition with one seed. Conditions that several laws need are measured
once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from models.training.config import TrainConfig
from simulations.linear_curves.config import Case
from simulations.linear_curves.config import train_sizes as linear_sizes

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
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


@dataclass(frozen=True)
class ScalingConfig:
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

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing."""
        return dataclasses.asdict(self)

    def measurement(self) -> dict[str, Any]:
        """What a cell depends on besides its condition and seed."""
        names = ("queries", "n_steps", "nelbo_queries", "nelbo_draws", "root_seed")
        training = {**dataclasses.asdict(self.training), "steps": None, "noise_draws": None}
        return {**{name: getattr(self, name) for name in names}, "training": training}


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


def _problem(config: ScalingConfig) -> str | None:
    """The first thing wrong with a configuration, as a sentence."""
    counts = {
        "vocab_size": 2,
        "seq_len": 2,
        "seeds": 2,
        "queries": 1,
        "n_steps": 1,
        "nelbo_queries": 1,
        "nelbo_draws": 1,
        "linear_sets": 3,
        "hierarchy_width": 1,
        "hierarchy_steps": 1,
        "draws_width": 1,
        "draws_steps": 1,
    }
    for name, smallest in counts.items():
        if getattr(config, name) < smallest:
            return f"`{name}` must be at least {smallest}; got {getattr(config, name)}."
    for name in (
        "widths",
        "step_counts",
        "iid_sizes",
        "markov_sizes",
        "hierarchy_sizes",
        "draws_sizes",
    ):
        values = getattr(config, name)
        if len(values) < 2 or values[0] < 1 or any(b <= a for a, b in pairwise(values)):
            return f"`{name}` must hold two or more increasing counts; got {list(values)}."
    ratios = config.linear_ratios
    if len(ratios) < 2 or ratios[0] <= 0 or any(b <= a for a, b in pairwise(ratios)):
        return f"`linear_ratios` must hold two or more increasing numbers; got {list(ratios)}."
    for vocab_size, seq_len, alpha in config.linear_cases:
        if vocab_size < 2 or seq_len < 1 or not 0 < alpha < 1:
            return (
                "`linear_cases` holds V at least 2, L at least 1 and alpha inside (0, 1), in this "
                f"order; got {vocab_size}, {seq_len}, {alpha}."
            )
        sizes = linear_sizes((vocab_size, seq_len, alpha), ratios)
        if any(b <= a for a, b in pairwise(sizes)):
            return (
                "K = ratio x L (V - 1) must differ between points of `linear_ratios`; V, L, alpha "
                f"= {vocab_size}, {seq_len}, {alpha} gives {sizes}. Take longer sequences."
            )
    for v, m, depth in config.hierarchies:
        if v < 2 or not 1 <= m <= v or depth < 1:
            return (
                "`hierarchies` holds v at least 2, m from 1 to v and the depth, in this order; "
                f"got {v}, {m}, {depth}."
            )
        if len(hierarchy_train_sizes(config, (v, m, depth))) < 2:
            return (
                f"the hierarchy {v}, {m}, {depth} has too few strings: two or more of "
                "`hierarchy_sizes` must be at most half of them; got "
                f"{list(config.hierarchy_sizes)}."
            )
    for name in ("linear_cases", "hierarchies", "draws"):
        values = getattr(config, name)
        if len(set(values)) < len(values):
            return f"`{name}` must hold different values; got {list(values)}."
    if any(draws < 0 for draws in config.draws):
        return f"`draws` are counts, 0 for fresh noise; got {list(config.draws)}."
    return None

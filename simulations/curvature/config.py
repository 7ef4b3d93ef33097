"""The frozen configuration of the study of the tail, its presets and its cells by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from models.training.config import TrainConfig
from simulations.console.settings import (
    Settings,
    at_least,
    different,
    either,
    increasing,
    increasing_counts,
    inside,
)
from simulations.results.cells import Cell
from simulations.trained import WEIGHT_DECAY, ModelName, Network

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 2
SOURCES = ("iid", "markov")
EXACT = ("linear", "features", "pairwise")  # fitted to their minimum, at each level apart
FILTERS = ("Takeuchi", "weight decay", "training time")  # 1 / h; 1 / (h + decay); the flow's

System = tuple[str, str, int]


@dataclass(frozen=True)
class CurvatureConfig(Settings):
    """Everything the numbers of a run depend on. A system is a model, a source and training steps.

    Args:
        systems: linear, features or pairwise (fitted exactly, 0 steps), mlp or dit; iid or markov;
            training steps.
        vocab_size: V, number of tokens.
        seq_len: L, tokens in a sequence.
        levels: noise levels t, increasing.
        train_sizes: K, the training-set sizes, increasing.
        seeds: independent training sets of every size.
        networks: seeds whose models are asked for their curvature: at the largest K, and networks
            at every K. From five on they are resampled, below held fixed.
        draws: noisy versions of a sequence, in gaps and in gradients.
        block: held-out sequences that share one run of signs, an even number.
        blocks: such blocks, the units of the curvature's interval.
        rows: further held-out sequences, of which the curvature is the mean. Too few make d_eff of
            networks too large: at 12,288 it is lower by 4 % (K = 8,192) to 13 % (K = 4,096).
        lanczos_steps: products with the curvature of one run; half of them tell the error.
        n_features: random features of the system of that name.
        ridge: on their readout.
        mlp_width: hidden width of the MLP.
        dit_width: of the transformer, one block of two heads.
        learning_rate: peak of AdamW's.
        root_seed: every random number follows from it and from the names of the coordinates.
        replicates: bootstrap replicates.
    """

    systems: tuple[System, ...] = (
        ("linear", "iid", 0),
        ("features", "iid", 0),
        ("pairwise", "iid", 0),
        ("pairwise", "markov", 0),
        ("mlp", "iid", 1000),
        ("mlp", "iid", 8000),
        ("mlp", "markov", 1000),
        ("mlp", "markov", 8000),
    )
    vocab_size: int = 4
    seq_len: int = 8
    levels: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75)
    train_sizes: tuple[int, ...] = (2048, 4096, 8192)
    seeds: int = 5
    networks: int = 5
    draws: int = 4
    block: int = 512
    blocks: int = 6
    rows: int = 3072
    lanczos_steps: int = 40
    n_features: int = 96
    ridge: float = 0.01
    mlp_width: int = 32
    dit_width: int = 16
    learning_rate: float = 3e-3
    root_seed: int = 2604
    replicates: int = 400

    def problems(self) -> Iterator[str]:
        yield from at_least(
            self, vocab_size=2, seq_len=2, seeds=1, networks=1, draws=1, block=2, blocks=3
        )
        yield from at_least(
            self, rows=1, lanczos_steps=2, replicates=100, mlp_width=1, n_features=1
        )
        yield from increasing_counts(self, "train_sizes")
        yield from increasing(self, "levels")
        yield from inside(self, "learning_rate", "ridge")
        yield from different(self, "systems")
        if len(self.train_sizes) < 3:
            yield f"`train_sizes` must hold at least three sizes; got {list(self.train_sizes)}."
        if self.levels[-1] >= 1:
            yield f"`levels` must be below 1; got {self.levels[-1]}."
        if self.block % 2:
            yield f"`block` must be even, for balanced signs; got {self.block}."
        if self.networks > self.seeds:
            yield f"`networks` must be at most `seeds` = {self.seeds}; got {self.networks}."
        if self.dit_width % 4:
            yield f"`dit_width` must be a multiple of 4, for two heads; got {self.dit_width}."
        for model, source, steps in self.systems:
            yield from _system_problems(model, source, steps)

    def training(self, steps: int) -> TrainConfig:
        """How networks are trained."""
        return TrainConfig(steps, learning_rate=self.learning_rate, weight_decay=WEIGHT_DECAY)

    def network(self, model: ModelName) -> Network:
        """Kind and size of the networks."""
        width = self.mlp_width if model == "mlp" else self.dit_width
        return Network(self.vocab_size, self.seq_len, width, 1, 2, model)


def _system_problems(model: str, source: str, steps: int) -> Iterator[str]:
    named = f"got {model} {source} {steps}"
    if model not in (*EXACT, "mlp", "dit"):
        yield f"a model of `systems` is {either((*EXACT, 'mlp', 'dit'))}; {named}."
    if source not in SOURCES:
        yield f"a source of `systems` is iid or markov; {named}."
    if (steps == 0) != (model in EXACT) or steps < 0:
        yield f"`systems` have training steps, 0 where they are fitted exactly; {named}."
    if model in ("linear", "features") and source == "markov":
        yield f"{model} is known on the source iid alone; {named}."


def system_name(system: System) -> str:
    """A system as coordinates and tables name it.

    >>> system_name(("mlp", "iid", 1000)), system_name(("linear", "iid", 0))
    ('mlp iid 1000 steps', 'linear iid')
    """
    model, source, steps = system
    return f"{model} {source}" + (f" {steps} steps" if steps else "")


def make_cells(config: CurvatureConfig) -> list[Cell]:
    """One cell per system, training-set size and seed."""
    return [
        Cell(
            f"{'-'.join(str(part) for part in system)}-K{size}-seed{seed}",
            {"system": index, "train_size": size, "seed": seed},
        )
        for index, system in enumerate(config.systems)
        for size in config.train_sizes
        for seed in range(config.seeds)
    ]


def measures_curvature(config: CurvatureConfig, coordinates: dict[str, Any]) -> bool:
    """Whether a cell also measures the curvature of its model."""
    trained = config.systems[coordinates["system"]][2] > 0
    largest = coordinates["train_size"] == max(config.train_sizes)
    return bool((trained or largest) and coordinates["seed"] < config.networks)


def cost(config: CurvatureConfig, cell: Cell) -> float:
    """Rough seconds on one core."""
    model, _, steps = config.systems[cell.coordinates["system"]]
    size = cell.coordinates["train_size"]
    reading = 1.0 + 1e-6 * (size + max(config.train_sizes)) * config.draws * len(config.levels)
    curved = 1e-6 * config.rows * config.lanczos_steps * config.blocks
    fitting = 2e-5 * size * config.draws * len(config.levels) if model == "pairwise" else 0.0
    fitting += steps * (3e-4 if model == "mlp" else 2.6e-3)
    return reading + fitting + curved * measures_curvature(config, cell.coordinates)


def size(config: CurvatureConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 2e4 + 10.0 * config.replicates * len(config.levels)


def preset(name: str) -> CurvatureConfig:
    """The configuration of a preset: smoke (a minute), small (ten minutes) or transformer.

    A transformer shares its weights among sites: its d_eff is so small that the gap is told from 0
    at small K alone.
    """
    settings: dict[str, dict[str, Any]] = {
        "small": {},
        "transformer": {
            "systems": (("dit", "markov", 4000),),
            "train_sizes": (16, 32, 64),
            "draws": 8,
            "block": 256,
            "rows": 1024,
            "lanczos_steps": 80,  # 20 do not converge
        },
        "smoke": {
            "systems": (("linear", "iid", 0), ("features", "iid", 0), ("mlp", "iid", 500)),
            "seq_len": 6,
            "vocab_size": 3,
            "levels": (0.25, 0.6),
            "train_sizes": (512, 1024, 2048),
            "seeds": 2,
            "networks": 2,
            "block": 256,
            "rows": 1024,
            "n_features": 24,
            "lanczos_steps": 24,
            "mlp_width": 16,
        },
    }
    return CurvatureConfig(**settings[name])

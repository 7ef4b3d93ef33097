"""The frozen configuration of the main job and its presets."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import tyro

from am_theory.channel import Absorbing, Channel, Hybrid, Uniform
from models.training.config import TrainConfig
from simulations.console.settings import at_least, increasing_counts, inside, one_of, rises
from simulations.data.corpora import TextFile
from simulations.data.problem import Problem, SourceName
from simulations.results.cells import Cell
from simulations.trained import (
    WEIGHT_DECAY,
    ModelName,
    Network,
    NetworkSettings,
    cells_over,
    network_preset,
)

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 4
PRESETS = ("smoke", "small", "paper")
SOURCES = ("markov", "iid", "text")
CHECKS, BIAS = "exact-checks", "step-bias"
P_UNIFORM = 0.1
ChannelName = Literal["uniform", "absorbing", "hybrid"]


@dataclass(frozen=True)
class Config(NetworkSettings):
    """Everything the numbers of a run depend on.

    Args:
        seeds: number of independent data sets and initializations.
        levels: noise levels t in (0, 1], increasing.
        queries: corrupted inputs per split and level; stored sequences repeat at small K.
        n_steps: reverse steps on the full interval; a run from t uses its share.
        generation_steps: reverse steps of the generated sequences.
        nelbo_sizes: training-set sizes at which the first seed's network is trained by the NELBO
            too, the paper's objective; those that are no `train_sizes` are left out.
        starts: sequences of a split from which the deterministic dynamics begins.
        nelbo_queries: sequences on which the NELBO is measured.
        nelbo_draws: stratified noise levels per sequence for the NELBO.
        nelbo_start: t_0; the NELBO runs from t_0 to 1.
        threshold: of the rate that defines a basin radius.
        tolerance: gap below which train and held-out recovery have converged (K_conv).
        pattern_sets: independent sets of stored sequences in the exact checks.
        channel: the noise: uniform (a lost token is redrawn), absorbing (it is masked) or hybrid
            (redrawn at small levels, masked at large ones). Levels t of different channels are not
            comparable.
        p_uniform: of the hybrid channel, the share of redrawn tokens at its clock's t = 1/2.
        text: the text of the source `text`.
        gpu: whether networks are trained and measured on GPUs.
    """

    seeds: int = 2
    levels: tuple[float, ...] = (0.05, 0.1, 0.2, 0.25, 0.35, 0.5, 0.75)
    queries: int = 2048
    n_steps: int = 16
    generation_steps: int = 64
    nelbo_sizes: tuple[int, ...] = (64, 256, 1024, 4096, 16384)
    starts: int = 512
    nelbo_queries: int = 512
    nelbo_draws: int = 8
    nelbo_start: float = 0.05
    threshold: float = 0.5
    tolerance: float = 0.05
    pattern_sets: int = 250
    channel: ChannelName = "uniform"
    p_uniform: float = P_UNIFORM
    text: tyro.conf.Suppress[TextFile | None] = None
    gpu: tyro.conf.Suppress[bool] = False
    # At K = 16,384 of the default source the entropies at t -> 0 end 3 % from the law's; with the
    # 4,000 steps on half of the batch of the other studies, the same work, 13 %.
    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(2000, 256, 6e-3, weight_decay=WEIGHT_DECAY)
    )

    @property
    def noise(self) -> Channel:
        """The channel as a record."""
        if self.channel == "hybrid":
            return Hybrid(self.vocab_size, self.p_uniform)
        return (Uniform if self.channel == "uniform" else Absorbing)(self.vocab_size)

    @property
    def fate(self) -> str:
        """What becomes of a token that is lost, in words."""
        hybrid = f"masked or redrawn at random (hybrid, p_uniform {self.p_uniform:g})"
        return {"uniform": "redrawn at random", "absorbing": "masked", "hybrid": hybrid}[
            self.channel
        ]

    @property
    def chance(self) -> float:
        """Recovery of a corrupted token by a uniform guess: where there are masks one of V values,
        else one of those that the token does not show."""
        return 1 / (self.vocab_size - (self.channel == "uniform"))

    @property
    def about(self) -> str:
        """The data, and the noise where it is not the uniform one, for a heading."""
        sizes = f"source {self.source}, V = {self.vocab_size}, L = {self.seq_len}"
        noise = {"uniform": "", "absorbing": ", masked noise", "hybrid": ", hybrid noise"}
        return sizes + noise[self.channel]

    @property
    def network(self) -> Network:
        """The kind and size of the network, and the noise that it undoes."""
        return dataclasses.replace(super().network, noise=self.noise)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from one_of(self, "channel", get_args(ChannelName))
        if not 0 <= self.p_uniform <= 1:
            yield f"`p_uniform` must lie in [0, 1]; got {self.p_uniform}."
        elif self.p_uniform != P_UNIFORM and self.channel != "hybrid":
            yield f"`p_uniform` belongs to the channel hybrid; the channel is {self.channel}."
        yield from at_least(
            self, queries=1, n_steps=1, generation_steps=1, nelbo_queries=1, nelbo_draws=1, starts=2
        )
        if self.nelbo_sizes:
            yield from increasing_counts(self, "nelbo_sizes")
        yield from at_least(self, pattern_sets=200)
        levels = self.levels
        if not levels or not rises(levels):
            yield f"`levels` must be increasing noise levels; got {list(levels)}."
        elif not (0 < levels[0] and levels[-1] <= 1):
            yield (
                f"`levels` are noise levels t and must lie in (0, 1]; got {list(levels)}. "
                "A step index must be divided by the number of steps."
            )
        yield from inside(self, "nelbo_start", "threshold", "tolerance")

    def trains_nelbo(self, train_size: int, seed: int) -> bool:
        """Whether the cell of this (K, seed) trains a second network, by the NELBO."""
        return seed == 0 and train_size in self.nelbo_sizes and self.training.loss != "nelbo"

    def as_dict(self) -> dict[str, Any]:
        """Plain containers of all but the text and the device, for JSON and hashing."""
        plain = dataclasses.asdict(dataclasses.replace(self, text=None))
        unsaid = {"text", "gpu"}  # and of a channel what it does not have
        unsaid |= {"uniform": {"channel", "p_uniform"}, "absorbing": {"p_uniform"}}.get(
            self.channel, set()
        )
        return {key: value for key, value in plain.items() if key not in unsaid}

    def identity(self) -> dict[str, Any]:
        """All that the numbers depend on besides a cell's coordinates."""
        words: dict[str, Any] = {"config": self.as_dict()}
        if self.text is not None:
            words["text"] = hashlib.sha256(self.text.raw).hexdigest()
        if self.gpu:  # which rounds in another way
            words["device"] = "gpu"
        return words

    def problem_of(self, seed: int) -> Problem:
        """The data of one seed; raises CorpusError where a text cannot serve."""
        return self.problem(seed, self.queries, self.text)


def make_cells(config: Config) -> list[Cell]:
    """One cell per (K, seed), if wanted on a GPU, one for the exact checks and one for the bias of
    finite steps."""
    trained = cells_over(config, "train", config.gpu)
    return [*trained, Cell(CHECKS, {"kind": CHECKS}), Cell(BIAS, {"kind": BIAS})]


def cost(config: Config, cell: Cell) -> float:
    """Rough seconds on one core of 40 Gflop/s, compilation apart: training, then the laws of the
    network and the comparison of every query with every stored sequence."""
    if cell.coordinates["kind"] == CHECKS:
        return config.pattern_sets / 40
    if cell.coordinates["kind"] == BIAS:
        return 1.0
    size, seed = cell.coordinates["train_size"], cell.coordinates["seed"]
    queries = 2 * config.queries * len(config.levels)
    networks = 1 + config.trains_nelbo(size, seed)
    evaluations = 3 * config.training.steps * config.training.batch + queries * config.n_steps
    pairs = queries * config.seq_len * size
    return 1.0 + 2 * networks * config.network.work * evaluations / 4e10 + pairs / 6e8


def size(config: Config, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    if cell.coordinates["kind"] != "train":
        return 3e4
    return 3e4 + 300.0 * config.queries * len(config.levels)


def preset(name: str, source: SourceName = "markov", model: ModelName = "mlp") -> Config:
    """The configuration of a preset: smoke (seconds), small (minutes) or paper (a day)."""
    sizes: dict[str, dict[str, Any]] = {
        "small": {},
        "smoke": {
            "seeds": 1,
            "levels": (0.1, 0.25, 0.5),
            "queries": 256,
            "n_steps": 8,
            "generation_steps": 16,
            "starts": 64,
            "nelbo_sizes": (8, 128, 2048),
            "nelbo_queries": 128,
            "pattern_sets": 200,
        },
        "paper": {"seeds": 5, "queries": 4096, "n_steps": 128, "generation_steps": 256},
    }
    alone: dict[str, Any] = {"nelbo_sizes": ()} if model == "dit" else {}  # it takes long enough
    return Config(**{**network_preset(name, source, model), **sizes[name], **alone})

"""Settings of the comparison of channels, and what the main job is told for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

from models.training.config import TrainConfig
from simulations.console.settings import at_least, one_of, rises
from simulations.phase import config as phase
from simulations.phase.config import P_UNIFORM, ChannelName
from simulations.results.cells import Cell
from simulations.trained import WEIGHT_DECAY, NetworkSettings, network_preset

NUMERICS = 1
CHANNELS: tuple[ChannelName, ...] = get_args(ChannelName)
CHECKS = "checks"


@dataclass(frozen=True)
class Config(NetworkSettings):
    """The same source, sequences, networks and sizes under every channel.

    Args:
        levels: noise levels t of the uniform channel, increasing; the others take those at which
            their inputs tell as much of the clean sequence, I(x_0; x_t).
        p_uniform: of the hybrid channel, the share of redrawn tokens at its clock's t = 1/2.
        queries: corrupted inputs per split and level.
        n_steps: reverse steps on the full interval.
        generation_steps: reverse steps of the generated sequences.
        starts: sequences of a split from which the deterministic dynamics begins.
        information_draws: sequences of the estimate of I(x_0; x_t) at each of its levels.
        pattern_sets: independent sets of stored sequences in the exact checks.
    """

    train_sizes: tuple[int, ...] = (16, 64, 256, 512, 1024, 2048, 4096, 16384)
    seeds: int = 1
    levels: tuple[float, ...] = (0.1, 0.25, 0.5)
    p_uniform: float = P_UNIFORM
    queries: int = 2048
    n_steps: int = 16
    generation_steps: int = 64
    starts: int = 128
    information_draws: int = 8000
    pattern_sets: int = 250
    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(2000, 256, 6e-3, weight_decay=WEIGHT_DECAY)
    )

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from one_of(self, "source", ("markov", "iid"))
        yield from at_least(self, queries=1, n_steps=1, generation_steps=1, starts=2)
        yield from at_least(self, information_draws=100, pattern_sets=200)
        if not self.levels or not rises(self.levels) or not 0 < self.levels[0]:
            yield f"`levels` must be increasing noise levels in (0, 1); got {list(self.levels)}."
        elif not self.levels[-1] < 1:
            yield f"`levels` must be below 1, where nothing is told; got {self.levels[-1]:g}."
        if not 0 < self.p_uniform < 1:
            yield (
                f"`p_uniform` must lie in (0, 1), between the other two channels; got "
                f"{self.p_uniform}."
            )

    def of(self, channel: ChannelName, levels: tuple[float, ...]) -> phase.Config:
        """What the main job is told for a channel at its own levels."""
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(NetworkSettings)}
        own = ["queries", "n_steps", "generation_steps", "starts", "pattern_sets"]
        own += ["p_uniform"] * (channel == "hybrid")
        return phase.Config(
            **shared,
            **{name: getattr(self, name) for name in own},
            levels=levels,
            nelbo_sizes=(),
            nelbo_queries=min(512, self.queries),
            channel=channel,
        )


def make_cells(config: Config) -> list[Cell]:
    """One cell per channel, K and seed, and one per channel for its exact checks."""
    digits = len(str(max(config.train_sizes)))
    cells = [
        Cell(
            f"{channel}-K{size:0{digits}d}-seed{seed}",
            {"kind": "train", "channel": channel, "train_size": size, "seed": seed},
        )
        for channel in CHANNELS
        for size in config.train_sizes
        for seed in range(config.seeds)
    ]
    return cells + [
        Cell(f"{channel}-{CHECKS}", {"kind": CHECKS, "channel": channel}) for channel in CHANNELS
    ]


def cost(config: Config, cell: Cell) -> float:
    """Rough seconds on one core, as in the main job; a law at t -> 0 of masked noise takes a pass
    for each site."""
    channel = cell.coordinates["channel"]
    inner = config.of(channel, config.levels)
    if cell.coordinates["kind"] == CHECKS:
        return inner.pattern_sets / 40
    return phase.cost(inner, Cell("", {**cell.coordinates})) * (
        1.5 if channel == "absorbing" else 1
    )


def size(config: Config, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return phase.size(config.of("uniform", config.levels), Cell("", {**cell.coordinates}))


def preset(name: str) -> Config:
    """The configuration of a preset: smoke (a minute or two), small (a quarter), paper (a day)."""
    sizes: dict[str, dict[str, Any]] = {
        "small": {},
        "smoke": {
            "levels": (0.1, 0.4),
            "train_sizes": (8, 128, 2048),
            "queries": 256,
            "n_steps": 8,
            "generation_steps": 16,
            "starts": 32,
            "information_draws": 1000,
            "pattern_sets": 200,
            "training": TrainConfig(500, 64, 6e-3, warmup=50, weight_decay=WEIGHT_DECAY),
        },
        "paper": {"seeds": 5, "queries": 4096, "n_steps": 128, "generation_steps": 256},
    }
    base = network_preset(name, "markov", "mlp")
    return Config(**{**base, **sizes[name]})

"""The frozen configuration: networks trained on n noisy copies of each of K sequences.

A curve is one network and training over K, at one n; its places are on half-octaves of K n, the
number of noisy sequences that training ever sees. A cell is one network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from models.training.config import TrainConfig
from simulations.console.settings import Settings, at_least
from simulations.results.cells import Cell
from simulations.trained import Network

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1


class Curve(NamedTuple):
    """One curve over K. `draws`: n, 0 for fresh noise in every step; `pair`: with the pairwise
    field beside the hidden layer; `first`, `rungs`: K n = 2^(first / 2) and on by half-octaves."""

    width: int
    steps: int
    draws: int
    pair: bool
    first: int
    rungs: int

    @property
    def name(self) -> str:
        noise = f"n{self.draws}" if self.draws else "fresh"
        words = f"w{self.width}-T{self.steps}-{noise}"
        return words if self.pair else f"{words}-plain"

    @property
    def train_sizes(self) -> tuple[int, ...]:
        """K, increasing."""
        noisy = (2 ** ((self.first + k) / 2) for k in range(self.rungs))
        return tuple(round(number / max(self.draws, 1)) for number in noisy)


SMALL = (
    Curve(64, 2000, 1, True, 15, 10),
    Curve(64, 2000, 4, True, 15, 10),
    Curve(64, 2000, 8, True, 15, 10),
    Curve(256, 2000, 1, True, 16, 9),
    Curve(256, 2000, 4, True, 17, 8),
    Curve(16, 2000, 1, True, 13, 9),
    Curve(16, 2000, 4, True, 13, 9),
    Curve(64, 2000, 4, False, 15, 9),
    Curve(64, 500, 1, True, 14, 9),
    Curve(64, 8000, 1, True, 14, 13),
    Curve(64, 2000, 0, True, 8, 7),
)
# predicted with the others, and left to the preset `paper`
LATER = (
    *(Curve(width, 2000, 2, True, 13, 12) for width in (16, 64)),
    Curve(16, 2000, 8, True, 13, 12),
    Curve(16, 2000, 4, False, 10, 11),
    Curve(64, 2000, 1, False, 13, 12),
    Curve(256, 2000, 4, False, 16, 11),
)


@dataclass(frozen=True)
class DrawsConfig(Settings):
    """Everything the numbers of a run depend on.

    Args:
        vocab_size: V of the source, independent uniform tokens.
        seq_len: L of the source.
        curves: width, steps, noise draws n a sequence (0: fresh noise), pair field, first place and
            number of places of every curve; places are half-octaves of K n from 2^(first / 2) on.
        seeds: independent data sets and initializations, the units of intervals.
        queries: noisy sequences that the laws are read at, per split; stored ones repeat.
        root_seed: every random number follows from it and from the names of the coordinates.
        training: how networks are trained; steps and noise draws are those of the curve.
    """

    vocab_size: int = 8
    seq_len: int = 16
    curves: tuple[tuple[int, int, int, bool, int, int], ...] = SMALL
    seeds: int = 3
    queries: int = 1024
    root_seed: int = 2604
    training: TrainConfig = field(default_factory=lambda: TrainConfig(batch=32, learning_rate=6e-3))

    def problems(self) -> Iterator[str]:
        yield from at_least(self, vocab_size=2, seq_len=2, seeds=2, queries=1)
        if not self.curves:
            yield "`curves` must hold one or more curves."
        found = [Curve(*words) for words in self.curves]
        for curve in found:
            if min(curve.width, curve.steps) < 1 or min(curve.draws, curve.first) < 0:
                yield (
                    "`curves` holds width, steps (from 1 on), noise draws and first place (from 0 "
                    f"on); got {tuple(curve)}."
                )
            elif curve.rungs < 3 or curve.train_sizes[0] < 1 or repeats(curve.train_sizes):
                yield (
                    "`curves` must have three or more places whose K = 2^(place / 2) / n are "
                    f"different counts; got K of {list(curve.train_sizes)} in {tuple(curve)}."
                )
        if len({curve.name for curve in found}) < len(found):
            yield "every curve may be given once in `curves`."

    def identity(self) -> dict[str, Any]:
        """What all cells depend on besides their coordinates: a run of more curves goes on from
        the cells of one of fewer."""
        names = ("vocab_size", "seq_len", "queries", "root_seed")
        given = self.as_dict()
        unused = {"steps": None, "noise_draws": None}
        return {**{name: given[name] for name in names}, "training": given["training"] | unused}

    def network(self, width: int) -> Network:
        """The network of a width."""
        return Network(self.vocab_size, self.seq_len, width)


def repeats(values: tuple[int, ...]) -> bool:
    """Whether a value is there twice."""
    return len(set(values)) < len(values)


SMOKE: dict[str, Any] = {
    "vocab_size": 4,
    "seq_len": 6,
    "curves": (
        *(Curve(8, 300, n, True, 8, 5) for n in (1, 4)),
        Curve(32, 300, 4, False, 8, 5),
        Curve(8, 300, 0, True, 8, 5),
    ),
    "seeds": 2,
    "queries": 256,
}


def preset(name: str) -> DrawsConfig:
    """The configuration of a preset: `paper` adds what was predicted and not measured."""
    if name == "smoke":
        return DrawsConfig(**SMOKE)
    return DrawsConfig() if name == "small" else DrawsConfig(curves=(*SMALL, *LATER), seeds=5)


def curves(config: DrawsConfig) -> list[Curve]:
    """The curves that are measured."""
    return [Curve(*words) for words in config.curves]


def curve_cells(config: DrawsConfig) -> dict[Curve, list[list[Cell]]]:
    """The cells of every curve: a list of seeds of a list over K."""

    def cell(curve: Curve, size: int, seed: int) -> Cell:
        place = {name: getattr(curve, name) for name in ("width", "steps", "draws", "pair")}
        return Cell(f"{curve.name}-K{size}-seed{seed}", place | {"train_size": size, "seed": seed})

    return {
        curve: [[cell(curve, k, s) for k in curve.train_sizes] for s in range(config.seeds)]
        for curve in curves(config)
    }


def make_cells(config: DrawsConfig) -> list[Cell]:
    """All cells."""
    return [cell for seeds in curve_cells(config).values() for row in seeds for cell in row]


def cost(config: DrawsConfig, cell: Cell) -> float:
    """Rough seconds on one core: steps of 25 Gflop/s with a floor of 0.25 ms."""
    work = config.network(cell.coordinates["width"]).work
    step = max(2.5e-4, 6 * work * config.training.batch / 5e10)
    return 0.3 + cell.coordinates["steps"] * step


def size(config: DrawsConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 2e4 + 16.0 * config.queries

"""The frozen configuration of the study of degrees, its presets and cells by name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from am_theory.staircase import network_kernel, transition_size
from simulations.console.settings import (
    Settings,
    at_least,
    different,
    increasing,
    increasing_counts,
    inside,
)
from simulations.results.cells import Cell

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
METHODS = ("readout", "all", "adam")  # gradient descent of the readout, of all weights; Adam
KINDS = ("degrees", "memory")  # of cells that train networks
DEGREES = (1, 2, 3)


@dataclass(frozen=True)
class StaircaseConfig(Settings):
    """Everything the numbers of a run depend on.

    Args:
        kernel_size: V and L of kernel regression.
        sizes: K of kernel regression, increasing.
        ridge: on its K x K matrix.
        orders: degrees up to which a denoiser is fitted.
        lengths: L of these denoisers, of V = 2, increasing.
        ratios: K of these over the predicted K*, increasing.
        pairs: noisy sequences of a fit over its number of functions.
        degrees_size: V and L of the functions that networks learn from unlimited data.
        memory_size: V and L of the stored sequences of networks.
        alpha: probability that a token is kept, of all noise.
        train_sizes: K of the stored sequences of networks, increasing.
        widths: of the networks, increasing.
        n_blocks: their residual blocks.
        batch: sequences of a step.
        rate: of gradient descent, times width times the kernel of two equal inputs.
        times: training times at which gradient descent ends, of degrees and of memory: steps times
            learning rate.
        adam_rate: learning rate of Adam.
        adam_steps: steps of Adam, of degrees and of memory.
        readings: of a network in the course of training, at steps of even distance in their log.
        queries: fresh sequences of every reading and split.
        sets: training sets of regression and of fitted denoisers.
        seeds: networks of every kind, the units of their intervals.
        root_seed: every random number follows from it and from the names of the coordinates.
        replicates: bootstrap replicates.
    """

    kernel_size: tuple[int, int] = (3, 10)
    sizes: tuple[int, ...] = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 1536)
    ridge: float = 1e-3
    orders: tuple[int, ...] = (1, 2)
    lengths: tuple[int, ...] = (8, 14, 20)
    ratios: tuple[float, ...] = (0.5, 0.65, 0.8, 1.0, 1.25)
    pairs: int = 40
    degrees_size: tuple[int, int] = (2, 8)
    memory_size: tuple[int, int] = (4, 16)
    alpha: float = 0.8
    train_sizes: tuple[int, ...] = (64, 256, 1024)
    widths: tuple[int, ...] = (32, 128)
    n_blocks: int = 1
    batch: int = 64
    rate: float = 1.0
    times: tuple[float, float] = (60.0, 30.0)
    adam_rate: float = 3e-3
    adam_steps: tuple[int, int] = (1000, 1000)
    readings: int = 32
    queries: int = 1024
    sets: int = 6
    seeds: int = 4
    root_seed: int = 2604
    replicates: int = 1000

    def problems(self) -> Iterator[str]:
        yield from at_least(self, pairs=10, batch=1, readings=5, queries=16, sets=3, seeds=3)
        yield from at_least(self, replicates=100)
        yield from inside(self, "alpha")
        yield from increasing(self, "ratios")
        yield from increasing_counts(self, "sizes")
        yield from increasing_counts(self, "lengths", least=4)
        yield from increasing_counts(self, "train_sizes", least=2)
        yield from increasing_counts(self, "widths")
        yield from different(self, "orders")
        for name in ("kernel_size", "degrees_size", "memory_size"):
            vocab_size, seq_len = getattr(self, name)
            if vocab_size < 2 or seq_len < 4 or vocab_size**seq_len > 2**64:
                yield (
                    f"`{name}` holds V at least 2 and L at least 4, with V^L at most 2^64; got "
                    f"{vocab_size} and {seq_len}."
                )
        if self.degrees_size[0] ** self.degrees_size[1] > 4096:
            yield "`degrees_size` must have at most 4096 sequences V^L, as all are listed."
        if min(self.orders, default=0) < 1 or max(self.orders) > 2:
            yield f"`orders` are 1 or 2; got {list(self.orders)}."
        if not 0 < self.rate < 2 or min(self.ridge, self.adam_rate, *self.times) <= 0:
            yield "`rate` lies in (0, 2); `ridge`, `adam_rate` and `times` are positive."
        if any(len(set(fit_sizes(self, 1, length))) < 2 for length in self.lengths):
            yield "`ratios` of the shortest of `lengths` are all one K: take longer lengths."
        if min(self.adam_steps) < 2:
            yield f"`adam_steps` must be at least 2; got {list(self.adam_steps)}."

    def kernel(self, kind: str) -> Any:
        """The kernel of the networks at initialisation, per unit of width, by distance."""
        size = self.degrees_size if kind == "degrees" else self.memory_size
        return network_kernel(size[1], n_blocks=self.n_blocks)

    def learning_rate(self, kind: str, method: str, width: int) -> float:
        """Of a network of this width."""
        if method == "adam":
            return self.adam_rate
        return self.rate / (width * float(self.kernel(kind)[0]))

    def steps(self, kind: str, method: str, width: int) -> list[int]:
        """The steps after which a network is read, increasing from 1."""
        which = KINDS.index(kind)
        if method == "adam":
            last = self.adam_steps[which]
        else:
            last = math.ceil(self.times[which] / self.learning_rate(kind, method, width))
        return sorted(set(np.geomspace(1, last, self.readings).round().astype(int).tolist()))


def fit_sizes(config: StaircaseConfig, order: int, seq_len: int) -> list[int]:
    """K of the denoisers of one order and length."""
    predicted = transition_size(order, seq_len, 2, config.alpha)
    return [max(2, round(ratio * predicted)) for ratio in config.ratios]


def make_cells(config: StaircaseConfig) -> list[Cell]:
    """One cell per set of kernel regression, per fitted order and length, per kind of network."""
    cells = [Cell(f"regression-{s}", {"kind": "regression", "seed": s}) for s in range(config.sets)]
    for order in config.orders:
        for length in config.lengths:
            at = {"kind": "orders", "order": order, "seq_len": length}
            cells.append(Cell(f"order{order}-L{length}", at))
    for method in METHODS:
        for width in config.widths:
            at, name = {"method": method, "width": width}, f"{method}-w{width}"
            cells += [Cell(f"{kind}-{name}", {"kind": kind, **at}) for kind in KINDS]
    return cells


def cells_of(config: StaircaseConfig, kind: str) -> list[Cell]:
    """The cells of one kind."""
    return [cell for cell in make_cells(config) if cell.coordinates["kind"] == kind]


def cost(config: StaircaseConfig, cell: Cell) -> float:
    """Rough seconds on a core."""
    at = cell.coordinates
    if at["kind"] == "regression":
        return 1.0 + max(config.sizes) ** 3 / 1e10
    if at["kind"] == "orders":
        functions = sum(math.comb(at["seq_len"], j) for j in range(1, at["order"] + 1))
        return 1.0 + config.sets * len(config.ratios) * config.pairs * functions**3 / 1e10
    vocab, length = config.degrees_size if at["kind"] == "degrees" else config.memory_size
    width = at["width"]
    work = 6.0 * config.batch * width * (2 * vocab * length + config.n_blocks * width)
    last = config.steps(at["kind"], at["method"], width)[-1]
    networks = config.seeds * (len(config.train_sizes) if at["kind"] == "memory" else 1)
    return 4.0 + networks * last * (5e-5 + work / 2e10)


def size(config: StaircaseConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 2.5e4


def preset(name: str) -> StaircaseConfig:
    """The configuration of a preset: smoke (less than a minute) or small (minutes)."""
    smoke: dict[str, Any] = {
        "sizes": (4, 16, 64, 256, 512),
        "lengths": (8, 12),
        "memory_size": (2, 12),
        "train_sizes": (16, 64),
        "widths": (32,),
        "n_blocks": 0,
        "times": (20.0, 20.0),
        "adam_steps": (200, 200),
        "readings": 16,
        "queries": 256,
        "sets": 3,
        "seeds": 3,
    }
    return StaircaseConfig(**{"small": {}, "smoke": smoke}[name])

"""Laws of K_half over width and steps: the theory, its closed form, and what else has been said.

Each is fitted in ln K by least squares, by its own constants alone: all are positive, and are
searched in their logarithms from the same start.

theory            K(p, tau) of `simulations.measure.feature_size`, p = m w, tau = T / T_1
theory, scaled    the same times a factor s, as networks learn their features and decode by steps:
                  what is held against the rivals, which have as many constants
closed form       s [c_1 d + c_2 m w (1 - exp(-T / T_0))]
power of N, T     s N^a T^b, N the number of parameters
power of w, T     s w^a T^b
least of N, T     1/K = 1/(c_N N) + 1/(c_T T)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from am_theory.channel import LogLinear
from simulations.features_law.config import LEVEL, FeaturesConfig, Point
from simulations.features_law.theory import table
from simulations.measure.feature_size import moments

Floats = NDArray[np.float64]
UNSCALED, HEADLINE, CLOSED = "theory", "theory, scaled", "closed form"


@dataclass(frozen=True)
class Grid:
    """The points that a law speaks of, each field (points,); d = L (V - 1). `steps` are counted at
    one rate (`FeaturesConfig.time_of`)."""

    width: Floats
    steps: Floats
    parameters: Floats
    pair: NDArray[np.bool_]
    seq_len: int
    vocab_size: int

    @classmethod
    def of(cls, config: FeaturesConfig, points: Sequence[Point]) -> Grid:
        """The grid of points of one configuration; a pairwise field counts among parameters."""
        from models.networks.mlp import tensor_shapes

        place = (config.vocab_size, config.seq_len)
        parameters = [
            sum(
                math.prod(shape)
                for name, shape in tensor_shapes(*place, point.width, 1).items()
                if point.pair or not name.startswith("pair")
            )
            for point in points
        ]
        return cls(
            np.array([point.width for point in points], dtype=np.float64),
            np.array([config.time_of(point) for point in points]),
            np.array(parameters, dtype=np.float64),
            np.array([point.pair for point in points]),
            config.seq_len,
            config.vocab_size,
        )


@dataclass(frozen=True)
class LawOfSize:
    """A law: its name, the names of its constants, where their search starts, and ln K of a grid
    by the logarithms of its constants."""

    name: str
    constants: tuple[str, ...]
    start: tuple[float, ...]
    log_size: Callable[[Floats, Grid], Floats]

    def fit(self, grid: Grid, log_half: Floats) -> Floats:
        """Logarithms of the constants, (constants,), nearest to ln K_half (points,)."""

        def misfit(logs: Floats) -> Floats:
            return self.log_size(logs, grid) - log_half

        found = least_squares(misfit, np.log(self.start), x_scale=1.0, max_nfev=300)
        return np.asarray(found.x, dtype=np.float64)


def _theory(logs: Floats, grid: Grid) -> Floats:
    features, time = np.exp(logs[0]) * grid.width, grid.steps / np.exp(logs[1])
    found = np.empty(len(grid.width))
    for pair in np.unique(grid.pair):
        mine = grid.pair == pair
        by = table(grid.seq_len, grid.vocab_size, bool(pair))
        found[mine] = by.log_half(features[mine], time[mine])
    return found


def _scaled(logs: Floats, grid: Grid) -> Floats:
    return np.asarray(logs[2] + _theory(logs[:2], grid))


def _closed(logs: Floats, grid: Grid) -> Floats:
    alpha = float(LogLinear().alpha(LEVEL))
    rest, omega = 1 - alpha**2, moments(alpha)[1]
    first = alpha**2 * (1 + rest) / 2
    second = (1 + rest) * omega * rest / (omega * rest + 1 + rest)
    factor, features, time = np.exp(logs)
    grown = features * grid.width * -np.expm1(-grid.steps / time)
    dimension = grid.seq_len * (grid.vocab_size - 1)
    return np.asarray(np.log(factor * (first * dimension + second * grown)))


def _power(size: Floats, steps: Floats, logs: Floats) -> Floats:
    first, second = np.exp(logs[1:])
    return np.asarray(logs[0] + first * np.log(size) + second * np.log(steps))


def _least(logs: Floats, grid: Grid) -> Floats:
    c_n, c_t = np.exp(logs)
    return np.asarray(-np.log(1 / (c_n * grid.parameters) + 1 / (c_t * grid.steps)))


LAWS: dict[str, LawOfSize] = {
    law.name: law
    for law in (
        LawOfSize(UNSCALED, ("m", "T_1"), (10.0, 1e4), _theory),
        LawOfSize(HEADLINE, ("m", "T_1", "s"), (10.0, 1e4, 1.0), _scaled),
        LawOfSize(CLOSED, ("s", "m", "T_0"), (1.0, 10.0, 1e4), _closed),
        LawOfSize(
            "power of N, T",
            ("s", "a", "b"),
            (0.01, 0.4, 0.4),
            lambda logs, grid: _power(grid.parameters, grid.steps, logs),
        ),
        LawOfSize(
            "power of w, T",
            ("s", "a", "b"),
            (1.0, 0.4, 0.4),
            lambda logs, grid: _power(grid.width, grid.steps, logs),
        ),
        LawOfSize("least of N, T", ("c_N", "c_T"), (0.01, 0.1), _least),
    )
}

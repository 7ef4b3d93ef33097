"""Curvature against measurement: d_eff of both, the slope of the tail, the power of alpha."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.channel import LogLinear
from models.streams import stream
from simulations.curvature.config import CurvatureConfig, System, system_name
from simulations.curvature.objectives import (
    linear_dimension,
    pairwise_dimension,
    random_feature_dimension,
)
from simulations.measure.bootstrap import combine_seeds, stated_interval
from simulations.measure.checks import Check, check_mean
from simulations.measure.tail import Tail, fit_tail
from simulations.measure.transition import Curve

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval."""

    estimate: float
    low: float
    high: float

    @classmethod
    def of(cls, estimate: Any, replicates: Floats) -> Value:
        return cls(float(estimate), *stated_interval(replicates, 0.95))

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Tested:
    """One system at one noise level.

    scaled : K x gap at every size. tail : of the measured gap. curvature : d_eff by FILTERS.
    ratio : curvature over K x gap at the largest K, that of the model, by FILTERS. exact : closed
    form, NaN where there is none.
    """

    system: str
    level: float
    alpha: float
    scaled: tuple[Value, ...]
    tail: Tail
    curvature: tuple[Value, ...]
    ratio: tuple[Value, ...]
    exact: float

    @property
    def verdict(self) -> str:
        """Whether the curvature, through the filter of training, is what was measured."""
        if not self.resolved:
            return "not resolved"
        return "agree" if self.ratio[-1].holds(1.0) else "deviate"

    @property
    def resolved(self) -> bool:
        """Whether the measured gap at the largest K is told from 0."""
        return self.scaled[-1].low > 0


@dataclass(frozen=True)
class Power:
    """gamma of d_eff proportional to alpha^gamma over the levels: measured, of the curvature."""

    system: str
    measured: Value
    curvature: Value


@dataclass(frozen=True)
class CurvatureAnalysis:
    """All that is reported: a line for each system and level, systems outermost."""

    config: CurvatureConfig
    data: xr.Dataset
    lines: list[Tested]
    powers: list[Power]
    checks: list[Check]

    def of(self, system: System) -> list[Tested]:
        return [line for line in self.lines if line.system == system_name(system)]


def analyse(config: CurvatureConfig, data: xr.Dataset, _: Path | None = None) -> CurvatureAnalysis:
    """Everything that is derived from the merged data."""
    alphas = np.asarray(LogLinear().alpha(np.array(config.levels)), np.float64)
    lines: list[Tested] = []
    powers, checks = [], []
    for index, system in enumerate(config.systems):
        part = data.isel(system=index)
        rng = stream(config.root_seed, "bootstrap", system_name(system))
        dimensions = part["dimension"].transpose("level", "filter", "network", "block").values
        drawn = _resampled_blocks(rng, dimensions, config.replicates)
        measured, known = [], _exact(config, system, alphas)
        for k, alpha in enumerate(alphas):
            line, replicates = _tested(config, system, k, float(alpha), part, drawn[:, k], known[k])
            lines.append(line)
            measured.append(replicates)
            if np.isfinite(known[k]) and system[0] != "features":  # a limit of many dimensions
                name = f"{line.system}, t = {line.level:g}: d_eff of the curvature"
                checks.append(check_mean(name, dimensions[k, -1].ravel(), known[k]))
        mine = lines[-len(alphas) :]
        powers.append(
            Power(
                system_name(system),
                _power(alphas, [line.scaled[-1].estimate for line in mine], measured),
                _power(alphas, [line.curvature[-1].estimate for line in mine], drawn[..., -1].T),
            )
        )
    return CurvatureAnalysis(config, data, lines, powers, checks)


def _exact(config: CurvatureConfig, system: System, alphas: Floats) -> Floats:
    sizes = (config.seq_len, config.vocab_size, alphas)
    if system[:2] == ("linear", "iid"):
        return np.asarray(linear_dimension(*sizes))
    if system[:2] == ("features", "iid"):
        return np.asarray(random_feature_dimension(*sizes, config.n_features, config.ridge))
    if system[:2] == ("pairwise", "iid"):
        return np.asarray(pairwise_dimension(*sizes))
    return np.full(len(alphas), np.nan)


def _resampled_blocks(rng: np.random.Generator, dimensions: Floats, replicates: int) -> Floats:
    """Means over networks and resampled blocks, (replicate, level, filter).

    Networks are held fixed, blocks of sequences, each with its signs, resampled in each; n - 1 of n
    are drawn, so that the spread is not too small.
    """
    *_, networks, blocks = dimensions.shape
    total = np.zeros((replicates, *dimensions.shape[:2]))
    for network in range(networks):
        chosen = rng.integers(blocks, size=(replicates, blocks - 1))
        total += np.moveaxis(dimensions[..., network, :][..., chosen].mean(-1), -1, 0)
    return total / networks


def _tested(
    config: CurvatureConfig,
    system: System,
    k: int,
    alpha: float,
    part: xr.Dataset,
    drawn: Floats,
    known: float,
) -> tuple[Tested, Floats]:
    """The line of level k, and the replicates of K x gap at the largest K."""
    sizes = np.array(config.train_sizes, np.float64)
    at = part.isel(level=k)
    per_seed = at["gap"].transpose("seed", "train_size").values
    replicates = at["gap_replicates"].transpose("seed", "replicate", "train_size").values
    names = (config.root_seed, "seeds", system_name(system), config.levels[k])
    mean, rows, method = combine_seeds(stream(*names), per_seed, replicates)
    curve = Curve(sizes, mean, rows, per_seed, method)
    tail = fit_tail(stream(*names, "tail"), curve)
    estimates = part["dimension"].isel(level=k).mean(("network", "block")).values
    curvature = [Value.of(e, drawn[:, f]) for f, e in enumerate(estimates)]
    # of the very K of the model: a network may not have reached its tail at the smaller ones
    spread, largest = np.asarray(rows[:, -1] * sizes[-1]), mean[-1] * sizes[-1]
    ratio = [Value.of(e / largest, drawn[:, f] / spread) for f, e in enumerate(estimates)]
    scaled = tuple(Value.of(m * s, r * s) for m, r, s in zip(mean, rows.T, sizes, strict=True))
    line = Tested(
        system_name(system),
        config.levels[k],
        alpha,
        scaled,
        tail,
        tuple(curvature),
        tuple(ratio),
        float(known),
    )
    return line, spread


def _power(alphas: Floats, estimate: Any, replicates: Any) -> Value:
    """Slope of log d_eff on log alpha by least squares; NaN where a d_eff is not positive."""
    x = np.log(alphas) - np.log(alphas).mean()

    def slope(values: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(x @ np.log(values) / (x @ x))

    rows = np.asarray(replicates, np.float64)
    return Value.of(
        slope(np.asarray(estimate, np.float64)), slope(np.where(rows > 0, rows, np.nan))
    )


def share_agreeing(lines: list[Tested], position: int) -> tuple[int, int]:
    """How many of the lines whose gap is resolved hold ratio 1 inside the interval of the filter at
    `position`."""
    lines = [line for line in lines if line.resolved]
    return sum(line.ratio[position].holds(1.0) for line in lines), len(lines)

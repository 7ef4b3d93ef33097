"""Curvature against measurement: d_eff of both, the slope of the tail, the power of alpha; and gaps
at larger K foretold from networks at smaller ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
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
from simulations.curvature.rule import together
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
    ratio : curvature over K x gap at the largest K, that of the models, by FILTERS. exact : closed
    form, NaN where there is none. iterations, probes : relative change of the curvature from half
    of Lanczos' iterations, and of the blocks, to all, by FILTERS.
    """

    system: str
    level: float
    alpha: float
    scaled: tuple[Value, ...]
    tail: Tail
    curvature: tuple[Value, ...]
    ratio: tuple[Value, ...]
    exact: float
    iterations: tuple[float, ...]
    probes: tuple[float, ...]

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
class Foretold:
    """The gap of networks of `size`, by the curvature of those of sizes `seen`, over the gap
    measured: of one size d_eff / size, of two d_eff carried on as a power of K. So far off
    is also K_conv of the tolerance that is the measured gap. NaN where that is not told from 0.
    together : of all levels, where one size is seen, `rule.together`."""

    system: str
    level: float
    seen: tuple[int, ...]
    size: int
    ratio: Value
    together: Value

    @property
    def resolved(self) -> bool:
        return bool(np.isfinite(self.ratio.estimate))


@dataclass(frozen=True)
class CurvatureAnalysis:
    """All that is reported: a line for each system and level, systems outermost."""

    config: CurvatureConfig
    data: xr.Dataset
    lines: list[Tested]
    foretold: list[Foretold]
    powers: list[Power]
    checks: list[Check]

    def of(self, system: System) -> list[Tested]:
        return [line for line in self.lines if line.system == system_name(system)]


def analyse(config: CurvatureConfig, data: xr.Dataset, _: Path | None = None) -> CurvatureAnalysis:
    """Everything that is derived from the merged data."""
    alphas = np.asarray(LogLinear().alpha(np.array(config.levels)), np.float64)
    lines: list[Tested] = []
    foretold: list[Foretold] = []
    powers, checks = [], []
    for index, system in enumerate(config.systems):
        part = data.isel(system=index)
        curved = [_curvature(config, system, part, k) for k in range(len(config.train_sizes))]
        known = _exact(config, system, alphas)
        drawn, measured = curved[-1][1], []
        for k, alpha in enumerate(alphas):
            line, rows = _tested(config, system, k, float(alpha), part, curved[-1], known[k])
            lines.append(line)
            measured.append(rows[:, -1])
            if system[2]:
                at_level = [(e[k], r[:, k]) for e, r in curved]
                foretold += _foretold(config, part, line, rows, at_level)
            if np.isfinite(known[k]) and system[0] != "features":  # a limit of many dimensions
                name = f"{line.system}, t = {line.level:g}: d_eff of the curvature"
                checks.append(check_mean(name, _blocks(part, -1)[..., k, -1].ravel(), known[k]))
        mine = lines[-len(alphas) :]
        powers.append(
            Power(
                system_name(system),
                _power(alphas, [line.scaled[-1].estimate for line in mine], measured),
                _power(alphas, [line.curvature[-1].estimate for line in mine], drawn[..., -1].T),
            )
        )
    return CurvatureAnalysis(config, data, lines, foretold, powers, checks)


def _exact(config: CurvatureConfig, system: System, alphas: Floats) -> Floats:
    sizes = (config.seq_len, config.vocab_size, alphas)
    if system[:2] == ("linear", "iid"):
        return np.asarray(linear_dimension(*sizes))
    if system[:2] == ("features", "iid"):
        return np.asarray(random_feature_dimension(*sizes, config.n_features, config.ridge))
    if system[:2] == ("pairwise", "iid"):
        return np.asarray(pairwise_dimension(*sizes))
    return np.full(len(alphas), np.nan)


def _blocks(part: xr.Dataset, size: int, iterations: int = -1) -> Floats:
    """d_eff (network, block, level, filter) at the size of that index."""
    values = part["dimension"].isel(train_size=size, iterations=iterations)
    return np.asarray(values.transpose("network", "block", "level", "filter").values)


def _curvature(
    config: CurvatureConfig, system: System, part: xr.Dataset, size: int
) -> tuple[Floats, Floats]:
    """Mean d_eff over networks (level, filter), and replicates (replicate, level, filter).

    Blocks of sequences, each with its signs, are resampled in each network, n - 1 of n, so that the
    spread is not too small; then networks, from five on.
    """
    values = _blocks(part, size)
    networks, blocks = values.shape[:2]
    rng = stream(config.root_seed, "bootstrap", system_name(system), config.train_sizes[size])
    chosen = rng.integers(blocks, size=(networks, config.replicates, blocks - 1))
    drawn = np.stack([one[rows].mean(1) for one, rows in zip(values, chosen, strict=True)])
    mean, replicates, _ = combine_seeds(rng, values.mean(1), drawn)
    return mean, replicates


def _tested(
    config: CurvatureConfig,
    system: System,
    k: int,
    alpha: float,
    part: xr.Dataset,
    curved: tuple[Floats, Floats],
    known: float,
) -> tuple[Tested, Floats]:
    """The line of level k, and the replicates of K x gap (replicate, train_size)."""
    sizes = np.array(config.train_sizes, np.float64)
    at = part.isel(level=k)
    per_seed = at["gap"].transpose("seed", "train_size").values
    replicates = at["gap_replicates"].transpose("seed", "replicate", "train_size").values
    names = (config.root_seed, "seeds", system_name(system), config.levels[k])
    mean, rows, method = combine_seeds(stream(*names), per_seed, replicates)
    curve = Curve(sizes, mean, rows, per_seed, method)
    estimates, drawn = curved[0][k], curved[1][:, k]
    spread = rows * sizes
    # of the very K of the models: networks may not have reached their tail at the smaller ones
    ratio = [
        Value.of(e / (mean[-1] * sizes[-1]), drawn[:, f] / spread[:, -1])
        for f, e in enumerate(estimates)
    ]
    blocks, half = _blocks(part, -1)[..., k, :], _blocks(part, -1, 0)[..., k, :].mean((0, 1))
    fewer = blocks[:, : blocks.shape[1] // 2].mean((0, 1))
    line = Tested(
        system_name(system),
        config.levels[k],
        alpha,
        tuple(Value.of(m * s, r) for m, r, s in zip(mean, spread.T, sizes, strict=True)),
        fit_tail(stream(*names, "tail"), curve),
        tuple(Value.of(e, drawn[:, f]) for f, e in enumerate(estimates)),
        tuple(ratio),
        float(known),
        tuple(1 - half / estimates),
        tuple(1 - fewer / estimates),
    )
    return line, spread


def _foretold(
    config: CurvatureConfig,
    part: xr.Dataset,
    line: Tested,
    spread: Floats,
    curved: list[tuple[Any, Floats]],
) -> list[Foretold]:
    """Every size from itself, every smaller one and every two. curved : by size, estimates
    (filter,) and replicates (replicate, filter)."""
    sizes, found = config.train_sizes, []
    gaps = part["gap"].transpose("train_size", "seed", "level").values[:, : config.networks]
    dimensions = [(e[-1], r[:, -1]) for e, r in curved]
    for target in range(len(sizes)):
        by: dict[tuple[int, ...], Any] = {(i,): dimensions[i] for i in range(target + 1)}
        for i, j in combinations(range(target), 2):
            power = np.log(sizes[target] / sizes[j]) / np.log(sizes[j] / sizes[i])
            by[i, j] = tuple(
                b * (np.where(b > 0, b, np.nan) / np.where(a > 0, a, np.nan)) ** power
                for a, b in zip(dimensions[i], dimensions[j], strict=True)
            )
        measured = line.scaled[target]
        for seen, (estimate, rows) in by.items():
            ratio = Value(np.nan, np.nan, np.nan)
            if measured.low > 0:
                ratio = Value.of(estimate / measured.estimate, rows / spread[:, target])
            names, size = tuple(sizes[i] for i in seen), sizes[target]
            common = Value(np.nan, np.nan, np.nan)
            if len(seen) == 1:
                common = Value(
                    *together(_blocks(part, seen[0])[..., -1].mean(1), size * gaps[target])
                )
            found.append(Foretold(line.system, line.level, names, size, ratio, common))
    return found


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

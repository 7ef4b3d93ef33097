"""Measured sizes and times beside those that follow from the kernel before training.

A size or time is where a curve passes a level, interpolated in its log; theory is read off the same
grid by the same rule. A network memorizes in two stages, so two times are read: half of the gap of
its errors, which is there in a linear map too, and the train error below that of the linear
denoiser. (The second was added after results of the first were seen; it needs no end of the run.)
Of networks the unit is the network: a ratio of times is a mean of logs, with
Student's interval. With Adam, whose steps are no time, theory is put at steps times one rate, that
which makes its first time (degree 1; the held-out error half way) the measured one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import t as student

from am_theory import staircase
from models.streams import stream
from simulations.measure.bootstrap import interval
from simulations.measure.checks import Check
from simulations.measure.passage import crossing_size
from simulations.staircase.config import DEGREES, METHODS, StaircaseConfig, fit_sizes
from simulations.staircase.theory import (
    beyond_step,
    gap_step,
    linear_error,
    memory_rates,
    memory_theory,
    regression_theory,
)

Floats = NDArray[np.float64]
FACTOR = 1.25


@dataclass(frozen=True)
class Ratio:
    """Measured over predicted, with its 95 % interval; NaN where one of them is not reached."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the two agree to a quarter: the interval inside FACTOR, outside, or neither."""
        if math.isnan(self.low):
            return "no ratio"
        if 1 / FACTOR <= self.low and self.high <= FACTOR:
            return "agrees"
        return "deviates" if self.low > FACTOR or self.high < 1 / FACTOR else "not decided"


@dataclass(frozen=True)
class Line:
    """One size or time: where, measured (geometric mean), predicted, their ratio, and the ratio to
    the rival K / s^2 where there is one."""

    kind: str  # regression, orders, degrees, gap or beyond
    method: str  # of networks
    place: tuple[int, ...]  # degree; order, L; width, degree; width, K
    measured: float
    predicted: float
    ratio: Ratio
    rival: Ratio

    @property
    def verdict(self) -> str:
        reached = math.isfinite(self.measured), math.isfinite(self.predicted)
        if all(reached):
            return self.ratio.verdict
        return {(True, False): "measured alone", (False, True): "predicted alone"}.get(
            reached, "neither reached"
        )


@dataclass(frozen=True)
class Slope:
    """d log(time beyond the linear denoiser) / d log K, of networks, over the K that all reach."""

    method: str
    width: int
    sizes: tuple[int, ...]
    measured: Ratio  # the slope itself with its interval


@dataclass(frozen=True)
class StaircaseAnalysis:
    """All that is reported of a run."""

    config: StaircaseConfig
    data: xr.Dataset
    lines: list[Line]
    slopes: list[Slope]
    checks: list[Check]

    def of(self, kind: str, method: str = "") -> list[Line]:
        return [line for line in self.lines if (line.kind, line.method) == (kind, method)]


UNKNOWN = Ratio(math.nan, math.nan, math.nan)


def log_mean(ratios: Any) -> Ratio:
    """Geometric mean over networks with Student's interval.

    >>> log_mean([1.0, 1.0, np.inf])
    Ratio(value=nan, low=nan, high=nan)
    """
    values = np.asarray(ratios, dtype=float)
    if not (np.isfinite(values) & (values > 0)).all():
        return UNKNOWN
    logs = np.log(values)
    return Ratio(*(math.exp(x) for x in _student(logs)))


def over(found: Floats, predicted: Floats) -> Ratio:
    """Measured over predicted times of networks, unknown where one is not reached."""
    return log_mean(found / predicted)


def _student(values: Floats) -> tuple[float, float, float]:
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    mean = float(values.mean())
    return mean, mean - float(half), mean + float(half)


def analyse(config: StaircaseConfig, data: xr.Dataset, _: Path | None = None) -> StaircaseAnalysis:
    """Everything that is derived from the merged data."""
    lines = [*_regression(config, data), *_orders(config, data)]
    slopes = []
    with np.errstate(divide="ignore", invalid="ignore"):  # times that are not reached are inf
        for m, w in np.ndindex(len(METHODS), len(config.widths)):
            lines += _degrees(config, data, m, w)
            found, slope = _memory(config, data, m, w)
            lines += found
            slopes.append(slope)
    return StaircaseAnalysis(config, data, lines, slopes, exact_checks(config))


# kernel regression and fitted denoisers


def _resampled(config: StaircaseConfig, table: Floats, *names: object) -> Floats:
    """Means over sets (set, ...) of the table and of its bootstrap replicates, stacked."""
    rng = stream(config.root_seed, "bootstrap", *names)
    rows = rng.integers(len(table), size=(config.replicates, len(table)))
    return np.concatenate([table.mean(0)[None], table[rows].mean(1)])


def _sized(
    kind: str, place: tuple[int, ...], sizes: Any, curves: Floats, level: float, predicted: float
) -> Line:
    """Where the curve, first of `curves`, passes the level; the others are its replicates."""
    direction: Any = "falling" if kind == "regression" else "rising"
    found = crossing_size(sizes, curves, level, direction)
    ends = interval(found[1:])
    ratio = Ratio(*(float(x) / predicted for x in (found[0], *ends)))
    ratio = ratio if all(0 < x < math.inf for x in (ratio.low, ratio.high)) else UNKNOWN
    return Line(kind, "", place, float(found[0]), predicted, ratio, UNKNOWN)


def _regression(config: StaircaseConfig, data: xr.Dataset) -> list[Line]:
    """K at which a function of each degree is half learned."""
    lines = []
    for degree in DEGREES:
        table = data["regression_error"].sel(degree=degree).values
        theory = regression_theory(config, config.sizes, degree)
        predicted = float(crossing_size(config.sizes, theory, 0.5, "falling"))
        curves = _resampled(config, table, "regression", degree)
        lines.append(_sized("regression", (degree,), config.sizes, curves, 0.5, predicted))
    return lines


def _orders(config: StaircaseConfig, data: xr.Dataset) -> list[Line]:
    """K at which the train error of a denoiser is half of its limit."""
    lines = []
    for order in config.orders:
        for length in config.lengths:
            sizes, place = np.unique(fit_sizes(config, order, length), return_inverse=True)
            table = data["orders_error"].sel(order=order, length=length).values
            table = np.stack([table[:, place == k].mean(1) for k in range(len(sizes))], axis=1)
            curves = _resampled(config, table, "orders", order, length)
            predicted = float(staircase.transition_size(order, length, 2, config.alpha))
            level = (1 - config.alpha**2) / 2
            lines.append(_sized("orders", (order, length), sizes, curves, level, predicted))
    return lines


# networks


def _degrees(config: StaircaseConfig, data: xr.Dataset, m: int, w: int) -> list[Line]:
    method, width = METHODS[m], config.widths[w]
    steps = config.steps("degrees", method, width)
    table = data["degrees_error"].values[m, w][:, : len(steps)]  # (seed, step, degree)
    found = np.stack([crossing_size(steps, table[..., k], 0.5, "falling") for k in range(3)])
    vocab_size, seq_len = config.degrees_size
    rates = staircase.kernel_eigenvalues(config.kernel("degrees"), seq_len, vocab_size)
    times = math.log(2) / (2 * width * rates[list(DEGREES)])
    rate: Any = config.learning_rate("degrees", method, width)
    if method == "adam":
        rate = times[0] / found[0]  # of each network
    predicted = times[:, None] / (rate + np.zeros(table.shape[0]))
    return [
        Line(
            "degrees",
            method,
            (width, degree),
            _mean(found[k]),
            _mean(predicted[k]),
            over(found[k], predicted[k]) if method != "adam" or degree > 1 else UNKNOWN,
            UNKNOWN,
        )
        for k, degree in enumerate(DEGREES)
    ]


def _memory(config: StaircaseConfig, data: xr.Dataset, m: int, w: int) -> tuple[list[Line], Slope]:
    method, width = METHODS[m], config.widths[w]
    steps = config.steps("memory", method, width)
    table = data["memory_error"].values[m, w][:, :, : len(steps)].swapaxes(-1, -2)
    vocab_size, seq_len = config.memory_size
    kernel = width * config.kernel("memory")
    lines, reached = [], {}
    for errors, size in zip(table, config.train_sizes, strict=True):  # (seed, split, step)
        rates = memory_rates(config, method, width, size, errors[:, 1])
        theory = np.stack([memory_theory(config, np.array(steps) * r, width, size) for r in rates])
        time = staircase.memory_time(size, kernel, seq_len, vocab_size, config.alpha)
        rival = math.log(2) * time / np.array(rates)
        level = linear_error(config, size)
        for kind in ("gap", "beyond"):
            found, predicted = (
                gap_step(steps, part) if kind == "gap" else beyond_step(steps, part, level)
                for part in (errors, theory)
            )
            lines.append(
                Line(
                    kind,
                    method,
                    (width, size),
                    _mean(found),
                    _mean(predicted),
                    over(found, predicted),
                    over(found, rival),
                )
            )
        if np.isfinite(found).all():
            reached[size] = np.log(found)
    return lines, Slope(method, width, tuple(reached), _slope(reached))


def _mean(steps: Floats) -> float:
    """Geometric mean, inf where one of them is not reached."""
    return float(np.exp(np.log(steps).mean())) if (steps > 0).all() else math.nan


def _slope(logs: dict[int, Floats]) -> Ratio:
    """Of log times (seed,) on log K."""
    if len(logs) < 2:
        return UNKNOWN
    x = np.log(list(logs))
    x = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    return Ratio(*_student(x @ np.stack(list(logs.values()))))


def exact_checks(config: StaircaseConfig) -> list[Check]:
    """Of the kernels of the run: the trace over degrees, and the kernel given back."""
    checks = []
    for name in ("kernel_size", "degrees_size", "memory_size"):
        vocab_size, seq_len = getattr(config, name)
        kernel = staircase.network_kernel(seq_len, n_blocks=config.n_blocks)
        rates = staircase.kernel_eigenvalues(kernel, seq_len, vocab_size)
        for d in (0, seq_len // 2):
            total = sum(
                rate * staircase.krawtchouk(j, d, seq_len, vocab_size)
                for j, rate in enumerate(rates)
            )
            gap = abs(total / kernel[d] - 1)
            label = f"V = {vocab_size}, L = {seq_len}: kernel at distance {d} from its eigenvalues"
            exact = total if gap < 1e-7 else float(kernel[d])
            checks.append(Check(label, float(total), float(exact), 0.0, 1))
    return checks

"""How a quantity goes with L and V: exponents whose intervals hold units and sizes left out.

Two sources of error are added as variances: that of the units (training sets, seeds), leaving out
one of them at a time, and that of the sizes, leaving out one (V, L) at a time (the jackknife for
both). Intervals are Student's with as many degrees of freedom as there are sizes less one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize

from simulations.scaling.collapse import falling_fit
from simulations.sharpness.widths import Passing, Value

Floats = NDArray[np.float64]
POINTS = 24  # of a curve that enters a collapse, at most
ENDS = (0.98, 0.02)  # between which it does
STEP = 0.2  # in exponents, at which their search begins
SLACK = 0.02  # in ln width, by which exact widths may miss a law


def slope_within(x: Floats, y: Floats, groups: Floats) -> float:
    """Slope of y on x (n,) with an intercept for each group; NaN where x varies in none.

    >>> x, y = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 2.0, 5.0, 7.0])
    >>> slope_within(x, y, np.array([0, 0, 1, 1]))
    2.0
    """
    places, values = (np.asarray(a, dtype=np.float64).copy() for a in (x, y))
    for group in np.unique(groups):
        mine = groups == group
        places[mine] -= places[mine].mean()
        values[mine] -= values[mine].mean()
    total = float((places**2).sum())
    return float(places @ values) / total if total > 1e-12 else np.nan


def jackknife_error(whole: Floats, without: Floats) -> Floats:
    """Standard error of a statistic (k,) from its values (n, k) with one of n left out."""
    n = len(without)
    if n < 2:
        return np.full(np.shape(whole), np.nan)
    return np.asarray(np.sqrt((n - 1) / n * ((without - without.mean(0)) ** 2).sum(0)))


def student(value: float, error: float, freedom: int) -> Value:
    """A value with Student's interval."""
    if freedom < 1 or not np.isfinite(error):
        return Value(value)
    half = float(stats.t.ppf(0.975, freedom)) * error
    return Value(value, value - half, value + half)


def width_exponent(cases: Sequence[tuple[int, int]], logs: Sequence[Floats], against: int) -> Value:
    """Exponent of a width in V (against = 0) or in L (1), the other one held fixed.

    cases : (V, L) of each passage. logs : pseudo-values (units,) of the log of each width, (1,) of
    an exact one. Cases that are not known are left out; NaN where nothing varies.
    """
    kept = [k for k, values in enumerate(logs) if np.isfinite(values).all()]
    sizes = np.log(np.array([cases[k] for k in kept], dtype=np.float64).reshape(-1, 2))
    x, groups = sizes[:, against], sizes[:, 1 - against]
    y = np.array([logs[k].mean() for k in kept])
    if len(kept) < 2 or not np.isfinite(slope := slope_within(x, y, groups)):
        return Value(np.nan)
    errors = [
        np.std(logs[k], ddof=1) / len(logs[k]) ** 0.5 if len(logs[k]) > 1 else 0 for k in kept
    ]
    centred = np.array([slope_within(x, np.eye(len(kept))[k], groups) for k in range(len(kept))])
    units = float(((centred * errors) ** 2).sum())
    rows = np.arange(len(kept))
    left = [slope_within(x[rows != k], y[rows != k], groups[rows != k]) for k in rows]
    if len(kept) < 3 or not np.isfinite(left).all():
        return student(slope, np.nan, 0)
    of_sizes = float(jackknife_error(np.array(slope), np.array(left)))
    return student(slope, float(np.sqrt(units + of_sizes**2)), len(kept) - 1)


@dataclass(frozen=True)
class Limit:
    """Widths on a line in 1 / L, the rival of L^e: where it ends as L grows, and how far widths are
    from the power and from the line, root mean square of ln width; `error` is that of a width's own
    standard error. Of the V with most lengths."""

    width: Value
    power_miss: float
    line_miss: float
    error: float

    @property
    def excluded(self) -> bool:
        """The line misses by more than the widths' errors allow, and the power does not."""
        allowed = max(2 * self.error, SLACK)
        return self.line_miss > allowed >= self.power_miss


def width_limit(cases: Sequence[tuple[int, int]], logs: Sequence[Floats]) -> Limit | None:
    """The line in 1 / L of widths, arguments as `width_exponent`; None of fewer than three."""
    known = [k for k, values in enumerate(logs) if np.isfinite(values).all()]
    vocabularies = [cases[k][0] for k in known]
    most = max(dict.fromkeys(vocabularies), key=vocabularies.count, default=0)
    kept = [k for k in known if cases[k][0] == most]
    if len(kept) < 3:
        return None
    lengths = np.array([cases[k][1] for k in kept], dtype=np.float64)
    log = np.array([logs[k].mean() for k in kept])
    own = [logs[k].std(ddof=1) / len(logs[k]) ** 0.5 if len(logs[k]) > 1 else 0.0 for k in kept]
    rows = np.arange(len(kept))

    def end(some: Floats, values: Floats) -> float:
        return float(np.polyfit(1 / some, values, 1)[1])

    width, line = np.exp(log), np.polyfit(1 / lengths, np.exp(log), 1)
    weights = np.array([end(lengths, np.eye(len(kept))[k]) for k in rows])
    of_units = float(np.sqrt(((weights * width * own) ** 2).sum()))
    left = np.array([end(lengths[rows != k], width[rows != k]) for k in rows])
    of_sizes = float(jackknife_error(np.array(line[1]), left))
    power = np.polyval(np.polyfit(np.log(lengths), log, 1), np.log(lengths))
    straight = np.log(np.maximum(np.polyval(line, 1 / lengths), 1e-9))
    return Limit(
        student(float(line[1]), float(np.hypot(of_units, of_sizes)), len(kept) - 1),
        float(np.sqrt(np.mean((log - power) ** 2))),
        float(np.sqrt(np.mean((log - straight) ** 2))),
        float(np.sqrt(np.mean(np.square(own)))),
    )


@dataclass(frozen=True)
class Collapsed:
    """Exponents of K / (L^a V^b) that put curves on one, and root mean square distances from that
    one: there, without scaling, and in the form that was expected (NaN: none was)."""

    length: Value
    vocabulary: Value
    residual: float
    unscaled: float
    expected: float


def distance(places: Sequence[Floats], curves: Sequence[Floats]) -> float:
    """Root mean square distance of curves from one falling curve of `places`, both by case."""
    x, y = np.concatenate(places), np.concatenate(curves)
    return float(np.sqrt(np.mean((falling_fit(x, y) - y) ** 2)))


def thinned(sizes: Floats, curve: Floats) -> tuple[Floats, Floats]:
    """log K and values of a curve between ENDS, POINTS of them at most."""
    there = np.flatnonzero((curve <= ENDS[0]) & (curve >= ENDS[1]))
    if len(there) > POINTS:
        there = there[np.linspace(0, len(there) - 1, POINTS).round().astype(int)]
    return np.log(sizes[there]), curve[there]


class Points(NamedTuple):
    """What enters a collapse: V and L, log K and values of a falling curve."""

    case: tuple[int, int]
    log: Floats
    curve: Floats


def points_of(passings: Sequence[Passing], left: int | None = None) -> list[Points]:
    """The curves of passages with three points inside; of simulated ones without unit `left`."""
    found = []
    for p in passings:
        whole = p.whole if left is None or p.exact else p.without[left]
        log, curve = thinned(p.train_sizes, 1 - whole if p.rising else whole)
        if len(log) >= 3:
            found.append(Points((p.vocab_size, p.seq_len), log, curve))
    return found


def best_exponents(points: Sequence[Points]) -> Floats:
    """b of V and a of L at which curves lie nearest to one falling curve of K / (L^a V^b); 0 where
    a size does not vary."""
    sizes = np.log(np.array([p.case for p in points], dtype=np.float64))
    free = [k for k in (0, 1) if np.ptp(sizes[:, k]) > 0]
    middle = np.array([p.log[np.abs(p.curve - 0.5).argmin()] for p in points])
    design = np.column_stack([np.ones(len(sizes)), *(sizes[:, k] for k in free)])
    start = np.linalg.lstsq(design, middle, rcond=None)[0][1:]
    curves = [p.curve for p in points]

    def loss(powers: Floats) -> float:
        shift = sizes[:, free] @ powers
        return distance([p.log - s for p, s in zip(points, shift, strict=True)], curves)

    simplex = start + STEP * np.vstack([np.zeros(len(free)), np.eye(len(free))])
    options = {"xatol": 1e-3, "fatol": 1e-6, "initial_simplex": simplex}
    found = minimize(loss, start, method="Nelder-Mead", options=options)
    powers = np.zeros(2)
    powers[free] = found.x
    return powers


def collapse(
    passings: Sequence[Passing], place: Callable[[Passing, Floats], Floats] | None = None
) -> Collapsed | None:
    """The collapse of passages in K / (L^a V^b); `place` gives the expected variable from log K.
    None where fewer than two passages have three points inside."""
    points = points_of(passings)
    if len(points) < 2:
        return None
    powers, freedom = best_exponents(points), len(points) - 1
    units = [points_of(passings, unit) for unit in range(min(len(p.without) for p in passings))]
    without = [points[:k] + points[k + 1 :] for k in range(len(points) if freedom > 1 else 0)]
    by_unit, by_size = (
        np.array([best_exponents(some) for some in kept if len(some) > 1]).reshape(-1, 2)
        for kept in (units, without)
    )
    variance = np.nan_to_num(jackknife_error(powers, by_unit)) ** 2
    error = np.sqrt(variance + jackknife_error(powers, by_size) ** 2)
    sizes = np.log(np.array([p.case for p in points], dtype=np.float64))
    b, a = (
        student(float(p), float(e), freedom) if np.ptp(sizes[:, k]) > 0 else Value(np.nan)
        for k, (p, e) in enumerate(zip(powers, error, strict=True))
    )
    curves, logs = [p.curve for p in points], [p.log for p in points]
    best = [log - shift for log, shift in zip(logs, sizes @ powers, strict=True)]
    expected = np.nan
    if place is not None:
        named = {(p.vocab_size, p.seq_len): p for p in passings}
        expected = distance([place(named[p.case], p.log) for p in points], curves)
    return Collapsed(a, b, distance(best, curves), distance(logs, curves), expected)

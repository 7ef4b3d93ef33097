"""Finite-size collapse: do the curves of networks of all sizes fall on one, over K / N^eta?

For a trial exponent the points (log K - eta log N, value) of all networks are fitted by one falling
spline; eta is where their mean squared distance from it is least. The residual there is held
against that without scaling (eta = 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline
from scipy.optimize import minimize_scalar, nnls

Floats = NDArray[np.float64]
PIECES = 8  # of the spline, about the points of one curve: monotony alone makes curves agree
DEGREE = 2
EXPONENTS = np.linspace(-1.0, 3.0, 81)  # tried before the best is refined


def _integrals() -> BSpline:
    """Integrals from 0 of all B-splines on equal pieces of [0, 1]."""
    knots = np.concatenate([np.zeros(DEGREE), np.linspace(0, 1, PIECES + 1), np.ones(DEGREE)])
    return BSpline(knots, np.eye(len(knots) - DEGREE - 1), DEGREE).antiderivative()


_INTEGRALS = _integrals()


@dataclass(frozen=True)
class Collapse:
    """The exponent, and residuals (root mean square) at it, without scaling and at 1."""

    exponent: float
    residual: float
    unscaled: float
    at_one: float


def falling_fit(x: ArrayLike, y: ArrayLike) -> Floats:
    """Values at x (n,) of the falling spline nearest to y (n,) in mean square.

    A constant less integrals of B-splines with weights that are not negative, on PIECES equal
    pieces of the range of x. Source: Ramsay 1988 (Statistical Science 3, 425), monotone splines.

    >>> falling_fit([0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]).round(6)
    array([1., 1., 1., 1.])
    """
    place, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    low, high = place.min(), place.max()
    unit = (place - low) / (high - low) if high > low else np.zeros_like(place)
    ones = np.ones_like(unit)
    design = np.column_stack([ones, -ones, -(_INTEGRALS(unit) / _INTEGRALS(1.0))])
    weights, _ = nnls(design, values)
    return np.asarray(design @ weights, dtype=np.float64)


def residual(train_sizes: Floats, scales: Floats, curves: Floats, exponent: float) -> float:
    """Root mean square distance of curves (networks, K) from one falling spline of
    log K - exponent log N; points that are not finite are left out."""
    place = np.log(train_sizes)[None, :] - exponent * np.log(scales)[:, None]
    there = np.isfinite(curves)
    if there.sum() < 2:
        return np.nan
    gap = falling_fit(place[there], curves[there]) - curves[there]
    return float(np.sqrt(np.mean(gap**2)))


def collapse(train_sizes: ArrayLike, scales: ArrayLike, curves: ArrayLike) -> Collapse:
    """The exponent that puts curves (networks, K) of sizes N (networks,) on one falling curve.

    The exponent is infinite where the best lies at an end of those tried (-1 to 3); all is NaN
    where fewer than two points are finite. Raises ValueError for fewer than two networks or shapes
    that do not fit.
    """
    sizes, lengths, table = (np.asarray(a, dtype=np.float64) for a in (train_sizes, scales, curves))
    if table.shape != (lengths.size, sizes.size) or lengths.size < 2:
        raise ValueError(
            "`curves` must have one row for each of two or more networks and one column for each "
            f"K; got shape {table.shape} for {lengths.size} networks and {sizes.size} sizes."
        )

    def loss(exponent: float) -> float:
        return residual(sizes, lengths, table, exponent)

    tried = np.array([loss(e) for e in EXPONENTS])
    if np.isnan(tried).any():
        return Collapse(*(np.nan,) * 4)
    best = int(tried.argmin())
    if best in (0, len(tried) - 1):
        return Collapse(np.copysign(np.inf, EXPONENTS[best]), tried[best], loss(0.0), loss(1.0))
    step = EXPONENTS[1] - EXPONENTS[0]
    ends = (EXPONENTS[best] - step, EXPONENTS[best] + step)
    found = minimize_scalar(loss, bounds=ends, method="bounded")
    value = float(found.x) if found.fun < tried[best] else float(EXPONENTS[best])
    return Collapse(value, loss(value), loss(0.0), loss(1.0))

"""How the drop of a memory's entropy goes to infinite length, and what would overturn the theory.

Fixed before the lengths up to 256 were run (V = 2; 128 at V = 4), on training sets never used
before. Load is K over the critical one, N = L - 1.

1. At the ridge `judged`, the measured load at which entropy is a fifth of log V, over that of
   theory at the same ridge, carried to infinite L on a line in 1 / N through all lengths of a V
   (weights (L - 1) (V - 1)), is 1. Overturned if its interval, widened so that those of all V and
   of the linear programs hold together in 95 %, excludes 1.
2. At the weakest ridge the share of rows that put every training token right is
   Phi(b N^e (x_c - load)) with x_c = 1 and e = 1/2: the fluctuation of separability. Overturned if
   an interval excludes either.
3. At that ridge entropies near the drop collapse on one curve of (load - x_c) N^e with e = 1/2 in
   the interval and 0, load alone, outside of it. Overturned if either is not so.

Intervals of 2 and 3: 95 %, training sets of each length drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr

from models.streams import stream

Floats = NDArray[np.float64]

WINDOW = 0.21  # of load about 1
DEGREE = 5  # of the curve on which entropies collapse
REPLICATES = 200
LEAST = 2e-3  # standard error of a mean that is believed


@dataclass(frozen=True)
class Fitted:
    """x_c and e with their 95 % intervals, and the weighted rms residual: at the best, at e = 1/2
    and x_c = 1, and at e = 0, in standard errors."""

    centre: tuple[float, float, float]
    exponent: tuple[float, float, float]
    best: float
    predicted: float
    alone: float


@dataclass(frozen=True)
class Points:
    """Means over sets of one V's memories at the weakest ridge near the drop, by length, load."""

    size: Floats
    load: Floats
    value: Floats
    error: Floats


def points_of(sets: dict[int, Floats], loads: Floats) -> Points:
    """Of values (set, load) by N."""
    near = np.abs(loads - 1) < WINDOW
    columns = []
    for size, values in sets.items():
        mean = values.mean(axis=0)
        error = np.maximum(values.std(axis=0, ddof=1) / np.sqrt(len(values)), LEAST)
        columns.append(np.stack([np.full(len(loads), size), loads, mean, error])[:, near])
    return Points(*np.concatenate(columns, axis=1))


def curve_residuals(points: Points, centre: float, exponent: float) -> Floats:
    """In standard errors, of the best polynomial in (load - centre) N^exponent."""
    u = (points.load - centre) * points.size**exponent
    powers = np.vander(u / np.abs(u).max(), DEGREE + 1) / points.error[:, None]
    target = points.value / points.error
    return np.asarray(target - powers @ np.linalg.lstsq(powers, target)[0])


def share_residuals(points: Points, centre: float, exponent: float) -> Floats:
    """In standard errors, of Phi(b N^exponent (centre - load)) with the best b."""
    u = (centre - points.load) * points.size**exponent

    def residuals(log_b: float) -> Floats:
        return np.asarray((points.value - ndtr(np.exp(log_b) * u)) / points.error)

    grid = np.linspace(-1, 1.5, 26) + (0.5 - exponent) * np.log(points.size).mean()
    best = min(grid, key=lambda b: float((residuals(b) ** 2).sum()))
    found = minimize(lambda b: (residuals(b[0]) ** 2).sum(), [best], method="Nelder-Mead")
    return residuals(float(found.x[0]))


def collapse(sets: dict[int, Floats], loads: Floats, residuals: object) -> Fitted:
    """x_c and e of values (set, load) by N, with their intervals."""
    assert callable(residuals)

    def best(points: Points) -> tuple[Floats, float]:
        def lack(at: Floats) -> float:
            return float((residuals(points, *at) ** 2).sum())

        starts = [np.array([1.0, e]) for e in (0.2, 0.5, 0.8)]
        options = {"xatol": 1e-3, "fatol": 1e-3}
        found = [minimize(lack, s, method="Nelder-Mead", options=options) for s in starts]
        least = min(found, key=lambda f: float(f.fun))
        return least.x, float(least.fun)

    points = points_of(sets, loads)
    (centre, exponent), least = best(points)
    drawn = []
    for number in range(REPLICATES):
        rng = stream(2605, "collapse", number)
        again = {n: v[rng.integers(len(v), size=len(v))] for n, v in sets.items()}
        drawn.append(best(points_of(again, loads))[0])
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    total = len(points.value)
    flat = min(float((residuals(points, c, 0.0) ** 2).sum()) for c in (0.9, 1.0, 1.1))
    squares = (least, float((residuals(points, 1.0, 0.5) ** 2).sum()), flat)
    rms = [float(np.sqrt(value / total)) for value in squares]
    return Fitted(
        (float(centre), float(low[0]), float(high[0])),
        (float(exponent), float(low[1]), float(high[1])),
        *rms,
    )

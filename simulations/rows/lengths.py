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

The third is overturned at V = 2: e is about .28. Chosen afterwards: entropy is the share of rows
that are not separable, as in 2, times a line in load. That explains it in part: see the README.

Intervals of 2 and 3: 95 %, training sets of each length drawn again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import ndtr

from models.streams import stream
from simulations.rows.means import Mean

Floats = NDArray[np.float64]

WINDOW = 0.21  # of load about 1
DEGREE = 7  # of the curve on which entropies collapse; 5 is off by -.04 in e on a Gaussian law
REPLICATES = 200


@dataclass(frozen=True)
class Fitted:
    """x_c and e with their 95 % intervals, and the weighted rms residual: at the best, at e = 1/2
    and x_c = 1, and at e = 0, in standard errors."""

    centre: Mean
    exponent: Mean
    best: float
    predicted: float
    alone: float


class Points(NamedTuple):
    """Means over sets of one V's memories at the weakest ridge near the drop, by length and load.

    Their standard errors are pooled over the loads of a length: those of shares near 0 are poor.
    """

    size: Floats
    load: Floats
    value: Floats
    error: Floats


Residuals = Callable[[Points, Floats], Floats]


def points_of(sets: dict[int, Floats], loads: Floats) -> Points:
    """Of values (set, load) by N."""
    near = np.abs(loads - 1) < WINDOW
    columns = []
    for size, values in sets.items():
        part = values[:, near]
        error = np.sqrt((part.var(axis=0, ddof=1) / len(part)).mean())
        rows = np.broadcast_arrays(float(size), loads[near], part.mean(axis=0), error)
        columns.append(np.stack(rows))
    return Points(*np.concatenate(columns, axis=1))


def curve_residuals(points: Points, at: Floats) -> Floats:
    """In standard errors, of the best polynomial in (load - x_c) N^e; `at` is x_c, e."""
    u = (points.load - at[0]) * points.size ** at[1]
    powers = np.vander(u / np.abs(u).max(), DEGREE + 1) / points.error[:, None]
    target = points.value / points.error
    return np.asarray(target - powers @ np.linalg.lstsq(powers, target)[0])


def share_residuals(points: Points, at: Floats) -> Floats:
    """In standard errors, of Phi(b N^e (x_c - load)); `at` is x_c, e, log b of N over its mean."""
    size = points.size / np.exp(np.log(points.size).mean())
    u = (at[0] - points.load) * size ** at[1] * np.exp(at[2])
    return np.asarray((points.value - ndtr(u)) / points.error)


def product_residuals(points: Points, at: Floats) -> Floats:
    """As `share_residuals`, of (1 - share) times at[3] + at[4] (load - 1)."""
    share = points.value - points.error * share_residuals(points, at)
    line = at[3] + at[4] * (points.load - 1)
    return np.asarray((points.value - (1 - share) * line) / points.error)


STARTS: dict[str, tuple[Residuals, tuple[float, ...]]] = {
    "entropy": (curve_residuals, ()),
    "product": (product_residuals, (2.5, 0.5, 0.5)),
    "held": (share_residuals, (2.5,)),
}


def enough(points: Points, law: str) -> bool:
    """Whether there are twice as many points as numbers that a law is free to choose."""
    return len(points.value) >= 2 * (2 + (DEGREE + 1 if law == "entropy" else len(STARTS[law][1])))


def fitted(
    points: Points, residuals: Residuals, start: Floats, held: dict[int, float] | None = None
) -> tuple[Floats, float]:
    """The best x_c, e, ... from a start, some of them held at values; and the rms residual."""
    at = np.array(start, dtype=float)
    for place, value in (held or {}).items():
        at[place] = value
    free = [place for place in range(len(at)) if place not in (held or {})]

    def lack(values: Floats) -> Floats:
        tried = at.copy()
        tried[free] = values
        return residuals(points, tried)

    if free:
        at[free] = least_squares(lack, at[free], x_scale=0.1).x
    return at, float(np.sqrt(np.square(residuals(points, at)).mean()))


def collapse(sets: dict[int, Floats], loads: Floats, law: str) -> Fitted:
    """x_c and e of values (set, load) by N, with their intervals, by one of STARTS."""
    residuals, more = STARTS[law]
    points = points_of(sets, loads)
    tried = [fitted(points, residuals, np.array([1.0, e, *more])) for e in (0.2, 0.5, 0.8)]
    at, best = min(tried, key=lambda found: found[1])
    drawn = []
    for number in range(REPLICATES):
        rng = stream(2605, "collapse", number)
        again = {n: v[rng.integers(len(v), size=len(v))] for n, v in sets.items()}
        drawn.append(fitted(points._replace(value=points_of(again, loads).value), residuals, at)[0])
    (centre, exponent), ends = at[:2], np.quantile(drawn, (0.025, 0.975), axis=0)
    return Fitted(
        Mean(float(centre), *map(float, ends[:, 0])),
        Mean(float(exponent), *map(float, ends[:, 1])),
        best,
        fitted(points, residuals, at, {0: 1.0, 1: 0.5})[1],
        fitted(points, residuals, at, {1: 0.0})[1],
    )

"""How often two of some outcomes are one, and of how many equal ones that would be so."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Meeting(NamedTuple):
    """n outcomes, `distinct` of them; the chance that two are one, and the variance of that."""

    n: int
    distinct: int
    chance: float
    variance: float


def meeting(outcomes: Any) -> Meeting:
    """Of outcomes (n, L), n at least 3, drawn independently.

    The chance is the mean over pairs, without bias; its variance is by the jackknife.

    >>> found = meeting(np.array([[0, 1], [0, 1], [1, 1], [1, 0]]))
    >>> found.distinct, round(found.chance, 3)
    (3, 0.167)
    """
    _, inverse, counts = np.unique(outcomes, axis=0, return_inverse=True, return_counts=True)
    n = len(inverse)
    pairs = counts @ (counts - 1.0)
    others = counts[inverse.ravel()] - 1.0
    left_out = (pairs - 2 * others) / ((n - 1.0) * (n - 2.0))
    variance = (n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()
    return Meeting(n, len(counts), float(pairs / (n * (n - 1.0))), float(variance))


def effective(chance: float, error: float) -> tuple[float, float, float]:
    """1 / chance with its 95 % interval; infinite where the chance may be 0.

    Source: the inverse participation ratio, or Hill number of order 2.

    >>> effective(0.5, 0.0)
    (2.0, 2.0, 2.0)
    """
    value, low, high = (
        1 / x if x > 0 else np.inf for x in (chance, chance + 1.96 * error, chance - 1.96 * error)
    )
    return value, low, high

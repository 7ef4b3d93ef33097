"""A law of the transition as a hypothesis: a measured exponent, its interval, and a verdict.

Each law says how a size K* moves with something that is varied; its number is a slope in
logarithms, fitted to every seed and averaged over seeds with Student's interval. A rival says what
the slope is if the law has no hold. Verdicts:

supported                    the interval holds the law's value and not the rival's
not supported                the interval excludes the law's value
not decidable at this size   it holds both, or points are missing

A verdict speaks of the sizes that were measured; `decide` says what would settle or extend it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulations.measure.checks import NOT_DECIDABLE, NOT_SUPPORTED, SUPPORTED, Verdict
from simulations.scaling.sizes import student_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """One hypothesis and what became of it.

    group : parameters, steps, linear, hierarchy, noise draws or collapse.
    statement : the law in words, with what is varied.
    quantity : the number that is measured.
    predicted, rival : its value by the law, and if the law has no hold.
    estimate, low, high : mean over seeds and Student's 95 % interval; nan where points are missing.
    points, seeds : how many of them.
    verdict, decide : as above.
    headline : whether it belongs to the short table.
    """

    group: str
    statement: str
    quantity: str
    predicted: float
    rival: float
    estimate: float
    low: float
    high: float
    points: int
    seeds: int
    verdict: Verdict
    decide: str
    headline: bool


def judge(predicted: float, rival: float, low: float, high: float) -> Verdict:
    """The verdict on an interval.

    >>> judge(1.0, 0.0, 0.8, 1.1), judge(1.0, 0.0, 0.2, 0.7), judge(1.0, 0.0, -0.1, 1.1)
    ('supported', 'not supported', 'not decidable at this size')
    >>> judge(-np.inf, 0.0, -2.0, -0.5), judge(-np.inf, 0.0, 0.1, 0.5)
    ('supported', 'not supported')
    """
    if not (np.isfinite(low) and np.isfinite(high)):
        return NOT_DECIDABLE
    if predicted == -np.inf:
        return SUPPORTED if high < rival else NOT_SUPPORTED if low > rival else NOT_DECIDABLE
    if not low <= predicted <= high:
        return NOT_SUPPORTED
    return NOT_DECIDABLE if low <= rival <= high else SUPPORTED


def slopes(x: ArrayLike, y: ArrayLike) -> Floats:
    """Least-squares slope of log y (seeds, points) on log x (points,) or (seeds, points), by seed;
    nan where a point is missing or not positive, or all x are one.

    >>> slopes([1.0, 10.0, 100.0], [[2.0, 20.0, 200.0]]).round(6)
    array([1.])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.asarray(y, dtype=np.float64))
    there = np.asarray(np.isfinite(logs).all(-1))
    place = np.broadcast_to(np.log(np.asarray(x, dtype=np.float64)), logs.shape)
    centred = place - place.mean(-1, keepdims=True)
    products = centred * np.where(there[..., None], logs, 0.0)
    spread = (centred**2).sum(-1)
    there &= spread > 0
    return np.where(there, products.sum(-1) / np.where(there, spread, 1.0), np.nan)


def law(
    group: str,
    statement: str,
    quantity: str,
    predicted: float,
    rival: float,
    by_seed: Floats,
    points: int,
    decide: str,
    headline: bool = True,
) -> Law:
    """A law from its number by seed (seeds,); a predicted -inf stands for "negative"."""
    estimate, low, high = student_interval(by_seed)
    verdict = judge(predicted, rival, low, high)
    ends = (predicted, rival, estimate, low, high)
    return Law(group, statement, quantity, *ends, points, by_seed.size, verdict, decide, headline)

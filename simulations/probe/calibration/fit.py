"""The law of the verdict: one score, two thresholds; signs known beforehand, a prior on weights.

    P(memorizing) = s(z),   P(not generalizing) = s(z + gap),   z = c + w x,   gap >= 0,

with s the logistic function: proportional odds (McCullagh 1980, J. R. Stat. Soc. B 42, 109). Where
no model is in the middle the best gap is 0, and the law is the logistic one. Coefficients are
(c, w, gap) in one row; `simulations.probe.judge.chances` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float64]
Classes = NDArray[np.integer]

PRIOR_DEVIATION = 10.0  # of a weight; features run from 0 to about 1
LEAST_GAP = 1e-4  # where models are in the middle: at 0 their probability is 0
# Sign of the weight of each feature: what a memorizer has more of is +1.
SIGNS = {
    "own_order": 1,
    "own_loss": -1,
    "own_loss_middle": -1,
    "own_entropy": -1,
    "own_entropy_middle": -1,
    "calibration_gap": 1,
    "near": 1,
    "repeats": 1,
    "own_share": -1,
    "own_share_middle": -1,
}
# Features of each law, in the order of preference. Chosen by the log score of families that were
# left out of the fit ("Each feature alone, and together" in the report), the fewest of equals:
# `own_order` beside them has a weight of 0.
LAWS = {
    "held-out and own": ("own_loss", "own_entropy_middle"),
    "own": ("near", "own_share"),
}
# What the paper's probe reads, beside which every law is put.
ENTROPY_ALONE = ("own_entropy", "own_entropy_middle")


def fit_ordinal(
    x: Floats, classes: Classes, signs: Sequence[int], start: Floats | None = None
) -> Floats:
    """Coefficients (1 + features + 1) of models x (n, features) of `classes` (n,), 0 generalizing,
    1 middle, 2 memorizing. `start`: coefficients that may be near, to be sooner there.

    Largest posterior with independent normal priors of deviation PRIOR_DEVIATION on the weights,
    none on c and gap, and weights of the given signs. The objective is convex. Raises ValueError
    unless models of both ends occur.

    >>> x = np.array([[0.0], [0.1], [0.4], [0.5], [0.9], [1.0]])
    >>> fit_ordinal(x, np.array([0, 0, 1, 1, 2, 2]), [1]).round(1).tolist()
    [-8.4, 12.0, 5.5]
    """
    if not (classes == 0).any() or not (classes == 2).any():
        raise ValueError("a fit needs models that memorize and models that generalize.")
    design = np.column_stack([np.ones(len(x)), x])
    middle = bool((classes == 1).any())

    def objective(c: Floats) -> tuple[float, Floats]:
        value, slope = negative_log_posterior(c, design, classes)
        return value / len(x), slope / len(x)

    bounds: list[Any] = [(None, None)]
    bounds += [(0.0, None) if sign > 0 else (None, 0.0) for sign in signs]
    bounds += [(LEAST_GAP if middle else 0.0, None)]
    first = np.zeros(design.shape[1] + 1) if start is None else start.copy()
    first[-1] = max(first[-1], 1.0) if middle else 0.0
    found = minimize(
        objective,
        first,
        jac=True,
        bounds=bounds,
        method="SLSQP",  # exact to 1e-6, and without the threads of BLAS
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return np.asarray(found.x, np.float64)


def negative_log_posterior(c: Floats, design: Floats, classes: Classes) -> tuple[float, Floats]:
    """What `fit_ordinal` minimizes, and its gradient; design (n, 1 + features), ones in front."""
    score, gap = design @ c[:-1], c[-1]
    above = score + gap
    weights = np.r_[0.0, c[1:-1], 0.0]
    value = 0.5 * (weights**2).sum() / PRIOR_DEVIATION**2
    slope = weights / PRIOR_DEVIATION**2
    low, mid, high = (classes == k for k in range(3))
    # -log s(z), -log s(-z - gap), and of the middle, s(z + gap) - s(z), the logs of three factors
    value += np.logaddexp(0.0, -score[high]).sum() + np.logaddexp(0.0, above[low]).sum()
    value += (np.logaddexp(0.0, -above[mid]) + np.logaddexp(0.0, score[mid])).sum()
    by_score = np.where(high | mid, expit(score), 0.0) - high
    by_above = np.where(low | mid, expit(above), 0.0) - mid
    slope[:-1] += design.T @ (by_score + by_above)
    slope[-1] += by_above.sum()
    if mid.any():
        value -= mid.sum() * np.log(-np.expm1(-gap))
        slope[-1] += mid.sum() * np.exp(-gap) / np.expm1(-gap)
    return float(value), slope


def resampled_ordinal(
    x: Floats,
    classes: Classes,
    signs: Sequence[int],
    rng: np.random.Generator,
    n: int,
    start: Floats | None = None,
) -> Floats:
    """n fits (n, 1 + features + 1) to models drawn with replacement within each class."""
    groups = [np.flatnonzero(classes == k) for k in range(3)]
    rows = []
    for _ in range(n):
        chosen = np.concatenate([rng.choice(g, len(g)) for g in groups if len(g)])
        rows.append(fit_ordinal(x[chosen], classes[chosen], signs, start))
    return np.array(rows)


def class_probabilities(c: Floats, x: Floats) -> Floats:
    """P(generalizing), P(middle), P(memorizing), (n, 3), of features x (n, features), where classes
    stand as often as among the models that were fitted to.

    >>> class_probabilities(np.array([0.0, 1.0, 2.0]), np.array([[0.5]])).round(3).tolist()
    [[0.076, 0.302, 0.622]]
    """
    score = c[0] + x @ c[1:-1]
    high, low = expit(score), expit(-score - c[-1])
    return np.stack([low, np.maximum(1 - low - high, 0.0), high], axis=-1)


def area_under_curve(score: Floats, memorizing: NDArray[np.bool_]) -> float:
    """Probability that a memorizing model scores above a generalizing one, ties by half."""
    high, low = score[memorizing][:, None], score[~memorizing][None]
    if not high.size or not low.size:
        return float("nan")
    return float((high > low).mean() + 0.5 * (high == low).mean())


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); (nan, nan) for n = 0.

    >>> [round(end, 3) for end in wilson(8, 10)]
    [0.49, 0.943]
    """
    if n == 0:
        return float("nan"), float("nan")
    z, p = 1.959963985, successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return float(max(centre - half, 0.0)) if successes else 0.0, float(min(centre + half, 1.0))

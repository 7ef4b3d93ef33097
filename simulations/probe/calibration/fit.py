"""The logistic law of the verdict: few parameters, signs known beforehand, a prior on weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]

PRIOR_DEVIATION = 10.0  # of a weight; features run from 0 to about 1
# Sign of the weight of each feature: what a memorizer has more of is +1.
SIGNS = {
    "calibration_gap": 1,
    "own_entropy": -1,
    "own_entropy_middle": -1,
    "own_share": -1,
    "own_share_middle": -1,
    "repeats": 1,
}
# Features of each law, in the order of preference. Chosen by the log loss of calibration models
# whose source was left out of the fit ("Each feature alone, and together" in the report). The
# calibration gap is in the first law too: it lowers both ratios by their denominators.
LAWS = {
    "held-out and generated": ("own_entropy", "own_entropy_middle"),
    "held-out": ("calibration_gap",),
    "generated": ("own_share_middle", "repeats"),
}


def fit_logistic(x: Floats, memorizing: NDArray[np.bool_], signs: Sequence[int]) -> Floats:
    """Coefficients (1 + features), intercept first, of P(memorizing) = 1 / (1 + exp(-c - w x)).

    Largest posterior with independent normal priors of deviation PRIOR_DEVIATION on the weights,
    none on the intercept, and weights of the given signs (0 where the data want another). The
    objective is convex. Raises ValueError unless both answers occur.

    >>> x = np.array([[0.0], [0.1], [0.9], [1.0]])
    >>> fit_logistic(x, np.array([False, False, True, True]), [1]).round(1).tolist()
    [-3.6, 7.1]
    """
    if memorizing.all() or not memorizing.any():
        raise ValueError("a fit needs models that memorize and models that generalize.")
    target = memorizing.astype(np.float64)
    design = np.column_stack([np.ones(len(x)), x])

    def objective(c: Floats) -> tuple[float, Floats]:
        score = design @ c
        weights = np.r_[0.0, c[1:]]
        loss = np.logaddexp(0.0, score) - target * score
        value = loss.sum() + 0.5 * (weights**2).sum() / PRIOR_DEVIATION**2
        slope = design.T @ (1 / (1 + np.exp(-score)) - target) + weights / PRIOR_DEVIATION**2
        return float(value), slope

    bounds: list[Any] = [(None, None)]
    bounds += [(0.0, None) if sign > 0 else (None, 0.0) for sign in signs]
    # SLSQP: exact to 1e-6 here, and without the threads of BLAS, which cost more than the fit.
    found = minimize(
        objective,
        np.zeros(design.shape[1]),
        jac=True,
        bounds=bounds,
        method="SLSQP",
        options={"ftol": 1e-13},
    )
    return np.asarray(found.x, np.float64)


def resampled_fits(
    x: Floats,
    memorizing: NDArray[np.bool_],
    signs: Sequence[int],
    rng: np.random.Generator,
    n: int,
) -> Floats:
    """n fits (n, 1 + features) to models drawn with replacement within each answer."""
    groups = [np.flatnonzero(memorizing == answer) for answer in (True, False)]
    rows = []
    for _ in range(n):
        chosen = np.concatenate([rng.choice(group, len(group)) for group in groups])
        rows.append(fit_logistic(x[chosen], memorizing[chosen], signs))
    return np.array(rows)


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

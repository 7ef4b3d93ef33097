"""Where the recovery gap of the random-feature denoiser is half, as networks are read (private).

`am_theory.random_feature_denoiser` hands this function on.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from am_theory._feature_contour import flow
from am_theory._feature_flow import time_iv
from am_theory._feature_inputs import grid_iv, resolved_iv
from am_theory._feature_moments import Activation
from am_theory._feature_recovery import outputs_of, recovery
from am_theory._feature_ridge import Problem
from am_theory._inputs import bare, broadcast_iv
from am_theory._roots import brentq

_LARGEST = 60.0  # log of K / d at which nothing is memorized


def half_gap_size(
    smallest_size: ArrayLike,
    n_features: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    time: ArrayLike = math.inf,
    activation: Activation = "erf",
    skip: float | Literal["full"] = 0.0,
    draws: float = math.inf,
) -> Any:
    """Return the K at which the gap of corrupted recovery is half of that at a smallest size.

    The root K_half > K_0 of g(K) = g(K_0) / 2, g(K) = corrupted recovery of training sequences less
    that of unseen ones, by `token_recovery` at the same time. Curves of trained networks, whose
    smallest K is K_0, are read in the same way (`simulations.measure.passage.half_gap_size`).

    Parameters
    ----------
    smallest_size : number or array, K_0 >= 1.
    n_features : number or array, p >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.
    time : number or array, tau >= 0, or inf for the end of training; as for `training_errors`.
    activation, skip, draws : as for `training_errors`.

    Returns
    -------
    Broadcast shape, > `smallest_size`; NaN where the gap at the smallest size is not positive.

    Raises
    ------
    ValueError for an argument out of range, shapes that do not fit, skip="fit", or skip="full" with
    no more noisy sequences than dimensions.

    Notes
    -----
    A network of width w after T steps stands for p = m w features after tau = T / T_1. With
    skip="full", activation (1, 0.4, 1), m = 10.53 and T_1 = 14,580, both fitted, this gives nine
    sizes of MLPs measured in `simulations/scaling/` at L = 16, V = 8, alpha = 0.75 (three widths,
    1,000 to 8,000 steps), up to a common factor, with an rms of 0.029 in the logarithm and 0.055 at
    worst. v_s^2 from 0.1 to 1.6 fits as well, with constants of its own. Brent's method in log K;
    30 ms an element.

    Unit: training sequences

    Source: `token_recovery`; held to measured sizes in tests/am_theory/test_feature_flow.py.

    >>> moments = (1.0, 0.4, 1.0)
    >>> size = half_gap_size(64, 10.5 * 256, 16, 8, 0.75, time=8 / 14.6, activation=moments,
    ...                      skip="full")
    >>> round(size)
    371
    """
    grid = resolved_iv(
        grid_iv(
            smallest_size,
            n_features,
            seq_len,
            vocab_size,
            alpha,
            activation=activation,
            skip=skip,
            draws=draws,
        )
    )
    times, sizes = broadcast_iv(time=time_iv(time), smallest_size=grid.k)
    problems = np.broadcast_to(grid.problems, times.shape)

    def gap(problem: Problem, k: float, tau: float) -> float:
        outputs = outputs_of(flow(problem, k, tau))
        train, test = (
            recovery(outputs, np.array(problem.alpha), grid.vocab, "corrupted", split)
            for split in ("train", "test")
        )
        return float(train - test)

    def half(problem: Problem, k: float, tau: float) -> float:
        level = gap(problem, k, tau) / 2
        if level <= 0:
            return math.nan
        return math.exp(
            brentq(lambda x: gap(problem, math.exp(x), tau) - level, math.log(k), _LARGEST)
        )

    ratio = np.vectorize(half, otypes=[float])(problems, sizes, times)
    return bare(ratio * grid.dimension)

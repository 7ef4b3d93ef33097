"""Where the random-feature denoiser stops memorizing (private).

`am_theory.random_feature_denoiser` hands this function on.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from am_theory._feature_contour import FlowState, flow
from am_theory._feature_flow import time_iv
from am_theory._feature_inputs import grid_iv
from am_theory._feature_moments import Activation
from am_theory._feature_recovery import outputs_of, recovery
from am_theory._feature_ridge import Problem, State
from am_theory._inputs import Interval, bare, broadcast_iv, real_iv
from am_theory._linear_convergence import ConvergenceSize
from am_theory._random_patterns import choice_iv
from am_theory._roots import brentq

Criterion = Literal["half_error", "error_gap", "recovery_gap", "corrupted_recovery"]
_USUAL_GAP = {"error_gap": 0.05, "recovery_gap": 0.01, "corrupted_recovery": 0.5}


def convergence_size(
    n_features: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    criterion: Criterion = "half_error",
    gap: ArrayLike | None = None,
    time: ArrayLike = math.inf,
    activation: Activation = "erf",
    ridge: ArrayLike = 0.0,
    skip: float | Literal["fit", "full"] = 0.0,
    draws: float = math.inf,
    spectrum: ArrayLike | None = None,
) -> ConvergenceSize:
    """Return the number of sequences at which the random-feature denoiser stops memorizing.

    "half_error": the train error is half of that for infinitely many sequences, same time. With
    skip="full", no ridge, infinitely many draws and an iid source this is explicit at the end of
    training, with d = L (V - 1) and omega = v_s^2 / v_d^2 of `activation_moments`:

    K* = c_1 d + c_2 p,   c_1 = alpha^2 (2 - alpha^2) / 2,
    c_2 = (2 - alpha^2) (1 - alpha^2) omega / [(1 - alpha^2) omega + 2 - alpha^2].

    Parameters
    ----------
    n_features : number or array, p >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [1e-6, 1 - 1e-6]; probability that a token is kept.
    criterion : "half_error", "error_gap" (E_heldout - E_train), "recovery_gap" (R_train - R_test of
        all tokens) or "corrupted_recovery" (train split).
    gap : number or array inside (0, 1), for "recovery_gap" inside (0, 1 - 1/V): the level that the
        criterion falls to. When left out 0.05, 0.01 and 1/2; none for "half_error".
    time : number or array, tau > 0, or inf for the end of training; as for `training_errors`, to
        which a ridge is added as a decay of the weights.
    activation, ridge, skip, draws, spectrum : as for `errors`; recoveries take no spectrum, a
        finite time neither a fitted skip nor, without a full one, a spectrum.

    Returns
    -------
    ConvergenceSize of the broadcast shape: `train_size` K*, `ratio` K* / d, `residual` of the
    criterion at K*. Where the criterion is met at no size, as with a fixed skip whose noise the
    features cannot undo, K* is NaN and `converged` False. K* below 1: one sequence is beyond it.

    Raises
    ------
    ValueError for an argument out of range, shapes that do not fit, or an unknown criterion.

    Notes
    -----
    In time K* rises from c_1 d to its end, about as c_1 d + c_2 p (1 - e^(-tau / tau_c)) with tau_c
    of `time_scales`, from below by up to 30 %. The largest root is taken: with infinitely many
    draws all criteria are monotone in K, with few they are not near K n = p. Small error gaps obey
    K* = 2 (1 - alpha^2)^2 [alpha^2 d + omega p / (1 + omega)] / gap with skip="full". Capacity
    counts features and not weights: K* grows as p. For the range see the module; simulated K* with
    skip="full", relu, alpha = 0.75, L = 64, V = 4 is 0.99 to 0.96 of the formula for p / d from 0.5
    to 4, and 1.005 to 0.98 at L = 128. Brent's method in log K; with few draws after steps of a
    factor of 2 downwards. Cost 5 ms an element, 25 ms at a finite time, 0.1 s with few draws.

    Unit: training sequences

    Source: derived in am_theory/derivations/random_feature_denoiser.py from `errors`.

    >>> result = convergence_size(192, 64, 4, 0.75, activation="relu", skip="full")
    >>> round(result.train_size, 2)
    107.52
    """
    choice_iv("criterion", criterion, get_args(Criterion))
    if spectrum is not None and criterion not in ("half_error", "error_gap"):
        raise ValueError(
            f"`spectrum` must be None with {criterion!r}: recovery is for iid sources."
        )
    if gap is not None and criterion == "half_error":
        raise ValueError('`gap` must be None with "half_error"; it is the level of the others.')
    grid = grid_iv(
        1.0,
        n_features,
        seq_len,
        vocab_size,
        real_iv("alpha", alpha, Interval(1e-6, 1 - 1e-6)),
        activation=activation,
        ridge=ridge,
        skip=skip,
        draws=draws,
        spectrum=spectrum,
    )
    times = time_iv(time)
    if np.any(times == 0):
        raise ValueError("`time` must be positive; got 0. An untrained denoiser has no transition.")
    if spectrum is not None and skip != "full" and np.any(np.isfinite(times)):
        raise ValueError('`spectrum` at a finite time takes skip="full" only.')
    top = 1 - 1 / grid.vocab if criterion == "recovery_gap" else 1.0
    level = real_iv(
        "gap",
        0.5 if criterion == "half_error" else _USUAL_GAP[criterion] if gap is None else gap,
        Interval(1e-12, top - 1e-12),
        "It is the level that the criterion falls to.",
    )
    _, level, times = broadcast_iv(alpha=grid.alpha, gap=level, time=times)

    def root(problem: Problem, goal: float, tau: float) -> tuple[float, float, bool]:
        return _root(problem, goal, tau, criterion, grid.vocab)

    ratio, residual, converged = np.vectorize(root, otypes=[float, float, bool])(
        grid.problems, level, times
    )
    return ConvergenceSize(
        bare(ratio * grid.dimension), bare(ratio), bare(residual), bare(converged)
    )


def _root(
    problem: Problem, goal: float, time: float, criterion: Criterion, vocab: int
) -> tuple[float, float, bool]:
    """K / d at which the criterion is at its goal, what is left of it, and whether it ever is."""
    limit = flow(problem, math.inf, time).train

    def excess(log_k: float) -> float:
        state = flow(problem, math.exp(log_k), time)
        if criterion == "half_error":
            return goal - state.train / limit
        if criterion == "error_gap":
            return state.gap - goal
        return _criterion_recovery(state, problem.alpha, criterion, vocab) - goal

    if criterion == "half_error" and math.isinf(time) and _explicit(problem):
        log_k = math.log(half_error_ratio(problem))
        return math.exp(log_k), abs(excess(log_k)), True
    high, low = 60.0, -60.0
    if math.isfinite(problem.draws):
        # Not monotone: walk down to the first size at which the criterion is not met.
        floor = -math.log(problem.draws) + 1e-9 if problem.skip == "full" else low
        low = high - 1.0
        while excess(low) < 0 and low > floor:
            low, high = max(low - math.log(2), floor), low
    if excess(low) < 0 or excess(high) > 0:
        return math.nan, math.nan, False
    log_k, info = brentq(excess, low, high, xtol=1e-15, full_output=True, disp=False)
    return math.exp(log_k), abs(excess(log_k)), bool(info.converged)


def _criterion_recovery(
    state: State | FlowState, alpha: float, criterion: Criterion, vocab: int
) -> float:
    found, kept = outputs_of(state), np.array(alpha)
    if criterion == "corrupted_recovery":
        return float(recovery(found, kept, vocab, "corrupted", "train"))
    return float(
        recovery(found, kept, vocab, "all", "train") - recovery(found, kept, vocab, "all", "test")
    )


def _explicit(problem: Problem) -> bool:
    iid = problem.eigenvalues.size == 1
    return iid and problem.skip == "full" and problem.ridge == 0 and math.isinf(problem.draws)


def half_error_ratio(problem: Problem) -> float:
    """c_1 + c_2 p / d, K* over d of a full skip without ridge."""
    kept, rest = problem.alpha**2, (1 - problem.alpha) * (1 + problem.alpha)
    static, fresh = rest * problem.static, (1 + rest) * problem.fresh
    c_2 = (1 + rest) * static / (static + fresh) if static else 0.0
    return kept * (1 + rest) / 2 + c_2 * problem.features

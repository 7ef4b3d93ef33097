"""The random-feature denoiser in the course of training (private).

`am_theory.random_feature_denoiser` hands the public names on; `am_theory._feature_contour` holds
the arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from am_theory._feature_contour import flow
from am_theory._feature_inputs import grid_iv, resolved_iv
from am_theory._feature_moments import Activation
from am_theory._feature_ridge import Problem
from am_theory._inputs import NOT_NEGATIVE, Floats, Interval, bare, broadcast_iv, real_iv
from am_theory._linear_spectrum import Errors


@dataclass(frozen=True)
class TrainingErrors(Errors):
    """`Errors` at a time of training, `limit` at the same time, and what the outputs hold.

    `seen` : error on the noise that training has seen, equal to `train` for infinitely many draws.
    `gain` : mean weight g of a noisy token's own code in the output. `memory` : weight b_0 that the
    clean code has besides, on training sequences. `residual`, `converged` : of the equations that
    the solution rests on, at the worst node of the contour.
    """

    seen: Any
    gain: Any
    memory: Any
    residual: Any
    converged: Any


@dataclass(frozen=True)
class TimeScales:
    """Times at which a random-feature denoiser of many features learns and memorizes.

    `generalization` : of the linear modes. `memorization` : of the modes that hold single
    sequences. `capacity` : tau_c, after which K* of the train error no longer grows.
    """

    generalization: Any
    memorization: Any
    capacity: Any


def time_iv(time: ArrayLike) -> Floats:
    """Times from 0, infinity included."""
    times = np.asarray(time, dtype=np.float64)
    real_iv("time", np.where(times == np.inf, 0.0, times), NOT_NEGATIVE, _TIME_HINT)
    return times


_TIME_HINT = "It is the learning rate times the steps; inf stands for the end of training."


def training_errors(
    train_size: ArrayLike,
    n_features: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    time: ArrayLike,
    *,
    activation: Activation,
    skip: float | Literal["full"] = 0.0,
    draws: float = math.inf,
    spectrum: ArrayLike | None = None,
) -> TrainingErrors:
    """Return the errors of the random-feature denoiser after gradient flow from 0 for a time.

    Ridge regression is the Laplace transform of the flow, so that the readout at time tau is

    A(tau) = (1 / 2 pi i) oint ds (e^s / s) A(ridge = s / tau) = sum_j w_j A(s_j / tau),

    and E(tau) = sum_jl w_j w_l E_jl, with E_jl the bilinear form of the errors in `errors` at two
    complex ridges.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    n_features : number or array, p >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.
    time : number or array, tau >= 0, or inf; learning rate times steps, for the loss
        |u - A f - b u_t|^2 / 2.
    activation : "erf", "relu", "sign", "tanh", or its moments (a_1^2, v_s^2, v_d^2).
    skip : fixed weight b of the input in the output, or "full" for a free matrix that is at its
        optimum for the features' output at all times.
    draws : number of noise draws a training sequence, at least 1, or inf.
    spectrum : array (d,) of mean 1, the eigenvalues of the source's covariance, with skip="full"
        only. Without it the source is iid.

    Returns
    -------
    TrainingErrors of the broadcast shape, errors per effective dimension.

    Raises
    ------
    ValueError for an argument out of range, shapes that do not fit, a spectrum without skip="full",
    skip="fit", or skip="full" with no more noisy sequences than dimensions.

    Notes
    -----
    For the range see the module: p / (K d) <= 0.05. Time inf is `errors` without ridge. On an iid
    source the linear modes learn at a rate of about a_1^2 p / d and the memory at v_d^2 + v_s^2
    p / K (`time_scales`), so that the held-out error first falls and then rises. Ridge at 1 / tau
    is no substitute: K* is then a factor of 2 off. Contour of Weideman and Trefethen, 32 nodes, to
    1e-10; Gauss-Legendre in the angle of the spectrum. Cost 3 to 7 ms an element. Deviations from
    simulation fall as 1 / d: 0.2 / d to 0.7 / d at K = 1.25 d, p = 2.5 d, relu, alpha = 0.75, up to
    0.9 / d for a chain.

    Unit: dimensionless

    Source: derived as `errors`, by the residue theorem; contour of Weideman, Trefethen 2007 (Math.
    Comp. 76, 1341); time scales as in Bonnaire, Urfin, Biroli, Mezard 2025 (arXiv:2505.17638);
    simulated in tests/am_theory/test_feature_flow.py.

    >>> result = training_errors(96, 768, 64, 4, 0.8, 3.0, activation="erf")
    >>> round(result.train, 8), round(result.heldout, 8), round(result.gain, 8)
    (0.1867792, 0.72787063, 0.3966792)
    """
    if spectrum is not None and not (isinstance(skip, str) and skip == "full"):
        raise ValueError(
            f'`spectrum` must be None unless skip="full" at a finite time; got skip={skip!r}. '
            "The flow of features that share their directions with the source is not solved."
        )
    grid = resolved_iv(
        grid_iv(
            train_size,
            n_features,
            seq_len,
            vocab_size,
            alpha,
            activation=activation,
            skip=skip,
            draws=draws,
            spectrum=spectrum,
        )
    )
    times, sizes = broadcast_iv(time=time_iv(time), train_size=grid.k)
    problems = np.broadcast_to(grid.problems, times.shape)
    cells = list(zip(problems.flat, sizes.flat, times.flat, strict=True))
    states = [flow(problem, k, tau) for problem, k, tau in cells]
    limits = [flow(problem, math.inf, tau).train for problem, _, tau in cells]

    def field(name: str) -> Any:
        return bare(np.reshape([getattr(state, name) for state in states], times.shape))

    return TrainingErrors(
        train=field("train"),
        heldout=field("heldout"),
        limit=bare(np.reshape(limits, times.shape)),
        seen=field("seen"),
        gain=field("gain"),
        memory=field("memory"),
        residual=field("residual"),
        converged=field("converged"),
    )


def time_scales(
    train_size: ArrayLike,
    n_features: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    activation: Activation,
) -> TimeScales:
    """Return the times at which a denoiser of many random features learns, and memorizes.

    With d = L (V - 1), the moments of `activation_moments` and kappa* = (2 - alpha^2) /
    (1 - alpha^2),

    tau_gen = d / (a_1^2 p),   tau_mem = 1 / (v_d^2 + v_s^2 p / K),
    tau_c = ln kappa* / [v_d^2 (kappa* - 1)].

    Parameters
    ----------
    train_size : number or array, K >= 1.
    n_features : number or array, p >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [1e-6, 1 - 1e-6]; probability that a token is kept.
    activation : "erf", "relu", "sign", "tanh", or its moments (a_1^2, v_s^2, v_d^2).

    Returns
    -------
    TimeScales of the broadcast shape, in the time of `training_errors`; inf where nothing is
    learned.

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Notes
    -----
    Rates of the modes for p >> d, orders of magnitude. tau_gen does not depend on K, while tau_mem
    grows as K / (v_s^2 p) until K is of the order of v_s^2 p / v_d^2, beyond which little is
    memorized. At p = 64 d, erf, alpha = 0.8 and K from d to 256 d the gap is at half of its final
    value after 0.5 to 1.4 tau_mem, and the held-out error half-way to its least one after 0.3
    tau_gen. With skip="full" K* is about c_1 d + c_2 p (1 - e^(-tau / tau_c)), c_1 and c_2 as in
    `convergence_size`, from below by up to 30 %.

    Unit: learning rate times steps, for the loss |u - A f - b u_t|^2 / 2

    Source: rates as in Bonnaire, Urfin, Biroli, Mezard 2025 (arXiv:2505.17638); tau_c derived from
    the train error in tests/am_theory/test_feature_flow.py.

    >>> scales = time_scales(96, 6144, 32, 4, 0.8, activation="erf")
    >>> round(scales.generalization, 4), round(scales.memorization, 4), round(scales.capacity, 4)
    (0.0368, 1.647, 15.3629)
    """
    grid = grid_iv(
        train_size,
        n_features,
        seq_len,
        vocab_size,
        real_iv("alpha", alpha, Interval(1e-6, 1 - 1e-6)),
        activation=activation,
    )

    def scales(problem: Problem, k: float) -> tuple[float, float, float]:
        rest = (1 - problem.alpha) * (1 + problem.alpha)
        rates = (
            problem.linear * problem.features,
            problem.fresh + problem.static * problem.features / k,
            problem.fresh / (rest * math.log1p(1 / rest)),  # kappa* - 1 = 1 / rest
        )
        first, second, third = (1 / rate if rate > 0 else math.inf for rate in rates)
        return first, second, third

    return TimeScales(*map(bare, np.vectorize(scales, otypes=[float] * 3)(grid.problems, grid.k)))

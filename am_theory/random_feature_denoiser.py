"""A denoiser with a nonlinear layer that can be solved: regression on random features.

Tokens are encoded one-hot, centred and scaled to unit variance, d = L (V - 1) dimensions as in
`am_theory.linear`. A noisy sequence u_t is seen by p random features f = phi(W u_t / sqrt(d)),
centred, and by a skip; the output is A f + b u_t, or A f + B u_t with skip="full". A and B minimise

(1/d) [mean over K sequences and their noise of |u - A f - b u_t|^2 + ridge |A|^2].

This is the simplest trained denoiser that memorizes: the features hold K of the order of p
sequences, beside the K of the order of d that the linear part holds.

`train_size` (K >= 1; real values interpolate), `n_features` (p >= 1, likewise), `alpha` (in [0, 1];
the ends stand for the limits) and `ridge` broadcast. Numbers in give Python floats, arrays arrays.

Range. Leading order for L to infinity at fixed K / d and p / d, by deterministic and Gaussian
equivalents that are not proved, for sources of uniform marginals. Held to simulations with one-hot
tokens: errors are off by about 0.5 / d; within 0.011 at L >= 32 and 0.016 at L = 16, V = 8, as long
as p / (K d) <= 0.05. Beyond, memory is over-estimated, since the noise of one sequence has no more
than d directions: at d = 96, p / (K d) = 0.17 the train error is .124 instead of .150.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from am_theory._feature_contour import flow
from am_theory._feature_convergence import convergence_size
from am_theory._feature_entropy import CalibratedEntropy, calibrated_entropy
from am_theory._feature_flow import (
    TimeScales,
    TrainingErrors,
    time_iv,
    time_scales,
    training_errors,
)
from am_theory._feature_inputs import grid_iv, resolved_iv
from am_theory._feature_moments import Activation, ActivationMoments, activation_moments
from am_theory._feature_passage import half_gap_size
from am_theory._feature_recovery import outputs_of, recovery
from am_theory._feature_ridge import Problem, solve
from am_theory._inputs import bare, broadcast_iv
from am_theory._linear_convergence import ConvergenceSize
from am_theory._random_patterns import choice_iv

__all__ = [
    "ActivationMoments",
    "CalibratedEntropy",
    "ConvergenceSize",
    "RandomFeatureErrors",
    "TimeScales",
    "TrainingErrors",
    "activation_moments",
    "calibrated_entropy",
    "convergence_size",
    "errors",
    "half_gap_size",
    "time_scales",
    "token_recovery",
    "training_errors",
]


@dataclass(frozen=True)
class RandomFeatureErrors:
    """Mean squared errors per effective dimension; 1 is the error of the output 0.

    `train` : training sequences with fresh noise. `heldout` : unseen sequences. `seen` : training
    sequences with the noise of training, equal to `train` for infinitely many draws. `limit` : what
    all tend to for infinitely many sequences. `kappa` : factor that a sequence's own part in the
    fit divides its error by (`kappa_draws` : the same of one of its noise draws), 1 without memory.
    `gain` : mean weight of a noisy token's own code in the output. `skip` : b, NaN for a full one.
    `residual` : of the equation of kappa - 1, relative.
    """

    train: Any
    heldout: Any
    seen: Any
    limit: Any
    kappa: Any
    kappa_draws: Any
    gain: Any
    skip: Any
    residual: Any
    converged: Any


def errors(
    train_size: ArrayLike,
    n_features: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    activation: Activation = "erf",
    ridge: ArrayLike = 0.0,
    skip: float | Literal["fit", "full"] = 0.0,
    draws: float = math.inf,
    spectrum: ArrayLike | None = None,
) -> RandomFeatureErrors:
    """Return the train and held-out errors of the random-feature denoiser.

    With S and R the covariances of the features between and within sequences, n the draws and
    mu = 1/(n kappa_1) + (1 - 1/n)/kappa_2, the resolvent Q = [S/kappa_1 + mu R + ridge]^-1 gives

    kappa_1 = 1 + tr (S + R/n) Q / K,   kappa_2 = 1 + tr R Q / (K n),
    theta = tr S Q / (K kappa_1),
    E_heldout = c_m + n_0,   E_train = (1 - theta)^2 c_m + (theta^2/n + 1) n_0,
    E_seen = (c_m + n_0/n) / kappa_1^2 + (1 - 1/n) n_0 / kappa_2^2,

    where c_m and n_0 are the errors from the sequence and from its noise. With skip="full", ridge 0
    and infinitely many draws, all is explicit in kappa: with c = (1 - alpha^2) / alpha^2 and
    omega = v_s^2 / v_d^2 of `activation_moments`,

    (K/d)(1 - 1/kappa) = 1/(1 + c kappa) + (p/d) omega/(omega + kappa),   E_train = c/(1 + c kappa),

    and for any setting with infinitely many draws E_heldout - E_train = c_m (1 - kappa^-2).

    Parameters
    ----------
    train_size : number or array, K >= 1.
    n_features : number or array, p >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.
    activation : "erf", "relu", "sign", "tanh", or its moments (a_1^2, v_s^2, v_d^2).
    ridge : number or array >= 0, added to the p x p second moment of the features; 0 is the limit.
    skip : weight b of the input in the output, "fit" for the best b, or "full" for a free matrix
        without ridge.
    draws : number of noise draws a training sequence, at least 1, or inf.
    spectrum : array (d,) of mean 1: the eigenvalues of the source's covariance on its
        d = L (V - 1) dimensions (`linear.circulant_chain_spectrum`). Without it the source is iid.

    Returns
    -------
    RandomFeatureErrors of the broadcast shape.

    Raises
    ------
    ValueError for an argument out of range, shapes that do not fit, or skip="full" with no more
    noisy sequences than dimensions.

    Notes
    -----
    For the range see the module: p / (K d) <= 0.05. Infinitely many draws stand for K n >> p; with
    few, the held-out error peaks at K n = p, without bound as the ridge falls to 0. `train` can
    exceed 1 there while `seen` vanishes. On an iid source a fitted skip equals the gain, and the
    features do nothing but memorize. Brent's method in log(kappa - 1); sums of positive terms.
    Cost about 0.5 ms an element, 5 ms with few draws; d a step with a spectrum.

    Unit: dimensionless

    Source: setting of George, Veiga, Macris 2025 (arXiv:2502.00336), Gaussian data; derived by
    leave-one-out, in am_theory/derivations/random_feature_denoiser.py and simulated in
    tests/am_theory/test_random_feature_denoiser.py.

    >>> result = errors(96, 384, 32, 4, 0.8, ridge=1e-3, skip="full")
    >>> round(result.train, 8), round(result.heldout, 8), round(result.limit, 8)
    (0.20078235, 0.63823186, 0.36)
    """
    grid = resolved_iv(
        grid_iv(
            train_size,
            n_features,
            seq_len,
            vocab_size,
            alpha,
            activation=activation,
            ridge=ridge,
            skip=skip,
            draws=draws,
            spectrum=spectrum,
        )
    )
    states = [solve(problem, k) for problem, k in zip(grid.problems.flat, grid.k.flat, strict=True)]
    limits = [solve(problem, math.inf).train for problem in grid.problems.flat]

    def field(name: str) -> Any:
        return bare(np.reshape([getattr(state, name) for state in states], grid.k.shape))

    return RandomFeatureErrors(
        train=field("train"),
        heldout=field("heldout"),
        seen=field("seen"),
        limit=bare(np.reshape(limits, grid.k.shape)),
        kappa=field("kappa"),
        kappa_draws=field("kappa_draws"),
        gain=field("gain"),
        skip=bare(np.full(grid.k.shape, np.nan))
        if isinstance(skip, str) and skip == "full"
        else field("skip"),
        residual=field("residual"),
        converged=field("converged"),
    )


def token_recovery(
    train_size: ArrayLike,
    n_features: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    activation: Activation = "erf",
    ridge: ArrayLike = 0.0,
    skip: float | Literal["fit", "full"] = 0.0,
    draws: float = math.inf,
    time: ArrayLike = math.inf,
    tokens: Literal["all", "clean", "corrupted"] = "all",
    split: Literal["train", "test"] = "train",
) -> Any:
    """Return the expected fraction of tokens that the random-feature denoiser puts right.

    On training sequences the output is b_0 u + g u_t + tau' z, on unseen ones g u_t + tau z, with z
    standard normal, errors, gain g and theta as in `errors`, and

    b_0 = (1 - alpha g) theta,   tau^2 = E_heldout - 1 + 2 alpha g - g^2,
    tau'^2 = E_train - 1 + 2 (b_0 + alpha g) - (b_0^2 + g^2 + 2 alpha b_0 g);

    test, clean: P = int Dz Phi(z + sqrt(V) g / tau)^(V - 1),
    test, corrupted: (1 - P) / (V - 1),
    train, clean: int Dz Phi(z + B_0 + B_1)^(V - 1),
    train, corrupted: int Dz Phi(z + B_0 - B_1) Phi(z + B_0)^(V - 2),
    B_0 = sqrt(V) b_0 / tau',   B_1 = sqrt(V) g / tau';

    all: q clean + (1 - q) corrupted, q = alpha + (1 - alpha) / V.

    Parameters
    ----------
    train_size, n_features, seq_len, vocab_size, alpha, activation, ridge, skip, draws : as for
        `errors`; a finite time takes no fitted skip.
    time : number or array, tau >= 0, or inf for the end of training; as for `training_errors`, to
        which a ridge is added as a decay of the weights. Errors, g and b_0 are those at that time.
    tokens : "all", "clean" (left intact by the noise) or "corrupted" (changed by it).
    split : "train", sequences seen in training with fresh noise; "test", unseen ones.

    Returns
    -------
    Broadcast shape, in [0, 1].

    Raises
    ------
    ValueError for an argument out of range, shapes that do not fit, an unknown choice, or
    skip="full" with no more noisy sequences than dimensions.

    Notes
    -----
    Iid uniform source, one pass with argmax per site. Recovery of all tokens is within 0.006 of
    simulation at d = 96 for K >= d and p / (K d) <= 0.04, and 0.017 at worst for K >= d / 2.
    Corrupted train recovery is over-estimated, by about 2 / d at alpha = 0.8 (0.02 at d = 96) and
    7 / d at alpha = 0.9 (0.08 at d = 96): what a sequence recalls varies with the number of its
    changed tokens, which is taken at its mean.

    Unit: dimensionless

    Source: derived from the Gaussian law of the outputs and simulated in
    tests/am_theory/test_random_feature_denoiser.py.

    >>> round(token_recovery(96, 384, 32, 4, 0.8, ridge=1e-3), 8)
    0.90928768
    """
    choice_iv("tokens", tokens, ("all", "clean", "corrupted"))
    choice_iv("split", split, ("train", "test"))
    grid = resolved_iv(
        grid_iv(
            train_size,
            n_features,
            seq_len,
            vocab_size,
            alpha,
            activation=activation,
            ridge=ridge,
            skip=skip,
            draws=draws,
        )
    )

    times, sizes = broadcast_iv(time=time_iv(time), train_size=grid.k)

    def fraction(problem: Problem, k: float, tau: float) -> float:
        outputs = outputs_of(flow(problem, k, tau))
        return float(recovery(outputs, np.array(problem.alpha), grid.vocab, tokens, split))

    return bare(np.vectorize(fraction, otypes=[float])(grid.problems, sizes, times))

"""Ridge regression on random features at one size, solved in the proportional limit (private).

All sizes are over d = L (V - 1): psi = p / d features, k = K / d sequences. A matrix of the form
F (T_1 Sigma + T_2) F^T + T_3, with F the random weights, is held as its value T_1 e_k + T_2 on each
eigenvalue e_k of the source, and T_3. With S the covariance of the mean features of a sequence,
R that of the features given the sequence, and n noise draws a sequence, the resolvent is

Q = [S / kappa_1 + mu R + lambda]^-1,   mu = 1 / (n kappa_1) + (1 - 1/n) / kappa_2,
kappa_1 = 1 + tr(S + R / n) Q / K,   kappa_2 = 1 + tr R Q / (K n).

Every sum below has positive terms only. Deterministic equivalents, not rigorous.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from am_theory._inputs import Floats
from am_theory._roots import brentq

TINY = 1e-100  # stands for a ridge or a noise of 0, so that results stand at their limits


@dataclass(frozen=True)
class Problem:
    """A denoiser and its source. `skip` is a number, "fit" or "full"; `draws` may be inf."""

    features: float  # psi = p / d
    alpha: float
    linear: float  # a_1^2
    static: float  # v_s^2
    fresh: float  # v_d^2
    ridge: float
    skip: float | Literal["fit", "full"]
    draws: float
    eigenvalues: Floats  # of the source, mean 1
    weights: Floats  # of the eigenvalues, sum 1


class State(NamedTuple):
    """A trained denoiser. On training sequences its output is memory u + gain u_t + noise."""

    train: float
    heldout: float
    seen: float
    gap: float  # heldout - train, without the difference
    gain: float  # b_1: weight of the noisy token's own code
    memory: float  # b_0: weight of the clean code on training sequences
    train_spread: float  # variance of what is left of the output, training sequences
    heldout_spread: float  # the same on unseen ones, whose output is gain u_t + noise
    skip: float
    penalty: float  # ridge times the squared readout weights, over d
    kappa: float
    kappa_draws: float
    residual: float = 0.0
    converged: bool = True

    @property
    def loss(self) -> float:
        """What training minimises."""
        return self.seen + self.penalty


class _Matrix(NamedTuple):
    line: Floats  # T_1 e_k + T_2
    flat: float  # T_3


class _Modes:
    """The resolvent at given kappas: its traces and their directional derivatives."""

    def __init__(self, problem: Problem, kappa: float, kappa_draws: float) -> None:
        a, n = problem.alpha, problem.draws
        rest = max((1 - a) * (1 + a), TINY)
        self.full = problem.skip == "full"
        self.squared = 1.0 if self.full else problem.linear
        self.mu = 1 / (n * kappa) + (1 - 1 / n) / kappa_draws
        self.weights, self.kappa = problem.weights, kappa
        ones = np.ones_like(problem.eigenvalues)
        self.signal = _Matrix(self.squared * a**2 * problem.eigenvalues, problem.static)
        self.noise = _Matrix(self.squared * rest * ones, problem.fresh)
        self.both = _Matrix(
            self.signal.line + self.noise.line / n, self.signal.flat + self.noise.flat / n
        )
        self.identity = _Matrix(0 * ones, 1.0)
        self.t = self.signal.line / kappa + self.mu * self.noise.line
        self.flat = problem.static / kappa + self.mu * problem.fresh + max(problem.ridge, TINY)
        if self.full:
            self.r, self.h = 0.0, problem.features / self.flat
        else:
            self.h = _trace_of_resolvent(self.t, self.weights, self.flat, problem.features)
            self.r = 1 / self.h
        self.G = 1 / (self.r + self.t)
        self.slope = self.flat + self.mean(self.t * (self.r * self.G) ** 2)

    def mean(self, values: Floats) -> float:
        return float(self.weights @ values)

    def trace(self, T: _Matrix) -> float:
        """tr T Q / d."""
        return self.mean(T.line * self.G) + T.flat * self.h

    def push(self, U: _Matrix) -> float:
        """Logarithmic derivative of r = 1 / h as U is added to the inverse of Q."""
        return (U.flat + self.mean(U.line * (self.r * self.G) ** 2)) / self.slope

    def pair(self, T: _Matrix, U: _Matrix) -> float:
        """tr T Q U Q / d."""
        push = self.push(U)
        return self.mean(T.line * self.G**2 * (self.r * push + U.line)) + T.flat * self.h * push


def _trace_of_resolvent(t: Floats, weights: Floats, flat: float, features: float) -> float:
    """Root h of h (flat + <t / (1 + h t)>) = features.

    A closed form for one eigenvalue; else Newton's method from that of their mean, which lies below
    the root of this concave function, so that the steps cannot overshoot.
    """
    level = float(weights @ t)
    beta = flat + level * (1 - features)
    root = math.sqrt(beta**2 + 4 * features * flat * level)
    h = 2 * features / (beta + root) if beta >= 0 else (root - beta) / (2 * flat * level)
    if t.size == 1:
        return h
    for _ in range(200):
        share = 1 / (1 + h * t)
        excess = features - h * (flat + float(weights @ (t * share)))
        step = excess / (flat + float(weights @ (t * share**2)))
        h += max(step, 0.0)
        if step <= 1e-15 * h:
            break
    return h


_FAR = 1e150  # stands for an infinite kappa


def _excess(right: Callable[[float], float]) -> tuple[float, bool]:
    """kappa - 1 = right(kappa), where kappa - 1 over right(kappa) rises: Brent in the logarithm.

    The right side itself rises, so that its ends bound the root; rounding may put the root on them.
    """
    start = right(1.0)
    if start < TINY:
        return 0.0, True
    found, info = brentq(
        lambda y: y - math.log(right(1 + math.exp(y))),
        math.log(start) - 1e-6,
        math.log(right(_FAR)) + 1e-6,
        xtol=1e-15,
        rtol=1e-15,
        full_output=True,
        disp=False,
    )
    return math.exp(found), bool(info.converged)


def _draws_kappa(problem: Problem, k: float, kappa: float) -> float:
    """kappa_2 at given kappa_1; kappa_2 - 1 over the right side of its equation rises."""
    if math.isinf(problem.draws):
        return 1.0

    def right(other: float) -> float:
        modes = _Modes(problem, kappa, other)
        return modes.trace(modes.noise) / (k * problem.draws)

    return 1 + _excess(right)[0]


def kappas(problem: Problem, k: float) -> tuple[float, float, float, bool]:
    """kappa_1, kappa_2, the relative residual of kappa_1 - 1, and whether the solver converged."""

    def right(kappa: float) -> float:
        modes = _Modes(problem, kappa, _draws_kappa(problem, k, kappa))
        return modes.trace(modes.both) / k

    excess, converged = _excess(right)
    kappa = 1 + excess
    residual = abs(1 - right(kappa) / excess) if excess else 0.0
    return kappa, _draws_kappa(problem, k, kappa), residual, converged


def solve(problem: Problem, k: float) -> State:
    """The denoiser trained on k = K / d sequences; k may be infinite."""
    kappa, kappa_draws, residual, converged = kappas(problem, k)
    modes = _Modes(problem, kappa, kappa_draws)
    skip = problem.skip
    if skip == "fit":
        skip = _fitted_skip(modes, problem, k, kappa_draws)
    state = _state(modes, problem, k, kappa_draws, 0.0 if skip == "full" else skip)
    return state._replace(residual=residual, converged=converged)


def _fitted_skip(modes: _Modes, problem: Problem, k: float, kappa_draws: float) -> float:
    """The b of least loss, a parabola in b since the resolvent does not depend on it.

    With one eigenvalue it is the b at which the mean map of the features vanishes. Features that
    hold the linear map at no cost leave it undetermined, then 0.
    """
    a = problem.alpha
    if problem.eigenvalues.size == 1:
        return a / (a**2 + modes.kappa * modes.mu * (1 - a) * (1 + a))
    left, middle, right = (_state(modes, problem, k, kappa_draws, b).loss for b in (-1.0, 0.0, 1.0))
    curvature = left + right - 2 * middle
    return (left - right) / (2 * curvature) if curvature > 1e-12 * middle else 0.0


def _state(modes: _Modes, problem: Problem, k: float, kappa_draws: float, b: float) -> State:
    a, n, kappa = problem.alpha, problem.draws, modes.kappa
    S, R, M, one = modes.signal, modes.noise, modes.both, modes.identity
    e, G, r, mean = problem.eigenvalues, modes.G, modes.r, modes.mean
    rest, ridge = max((1 - a) * (1 + a), TINY), max(problem.ridge, TINY)
    m = 1 - b * a

    # The mean map: what it leaves of the clean code, and its gain, on each eigenvalue.
    left = G * (m * r + modes.mu * modes.squared * rest)
    gain = G * (b * r + modes.squared * (a / kappa) * e)
    drive = r * modes.squared * mean(((m * a / kappa * e - b * rest * modes.mu) * G) ** 2)
    clean = drive * modes.push(S)
    noisy = drive * modes.push(R)
    rho_m, rho_n = mean(e * left**2) + clean, rest * mean(gain**2) + noisy

    # Fluctuations: c = c_m + n_0 / n and n_0 solve two linear equations.
    def by_sequence(T: _Matrix) -> float:
        return modes.pair(M, T) / (k * kappa) / kappa

    def by_draw(T: _Matrix) -> float:
        return (1 - 1 / n) / n * modes.pair(R, T) / (k * kappa_draws) / kappa_draws

    shared = modes.pair(M, R)
    own, other = 1 / (k * kappa), 1 / (k * n * kappa_draws)
    nu = (1 - 1 / n) / kappa_draws
    ridge_m, ridge_r = ridge * modes.pair(M, one) * own, ridge * modes.pair(R, one) * other
    keep_m = 1 / kappa + nu * shared * own + ridge_m
    keep_r = 1 / kappa_draws + shared / kappa * other + ridge_r
    determinant = (1 / kappa + ridge_m) * keep_r + nu * shared * own * (1 / kappa_draws + ridge_r)
    rho = rho_m + rho_n / n
    c = (rho * keep_r + by_draw(M) * rho_n) / determinant
    n_0 = (rho_n * keep_m + by_sequence(R) * rho) / determinant

    theta, keep = modes.trace(S) * own, 1 / kappa + modes.trace(R) / n * own  # their sum is 1
    spread_m = clean + by_sequence(S) * c + by_draw(S) * n_0
    spread_r = noisy + by_sequence(R) * c + by_draw(R) * n_0
    readout = drive * modes.push(one) + by_sequence(one) * c + by_draw(one) * n_0
    own_gain = mean(gain)
    return State(
        train=keep**2 * c + n_0 * (1 + (theta - keep) / n),
        heldout=c + (1 - 1 / n) * n_0,
        seen=c / kappa / kappa + (1 - 1 / n) * n_0 / kappa_draws / kappa_draws,
        gap=theta * (c * (1 + keep) - 2 * n_0 / n),
        gain=own_gain,
        memory=theta * mean(e * left),
        train_spread=keep**2 * spread_m + spread_r + theta**2 * n_0 / n,
        heldout_spread=spread_m + spread_r,
        skip=b,
        penalty=ridge * readout,
        kappa=kappa,
        kappa_draws=kappa_draws,
    )

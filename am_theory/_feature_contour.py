"""Gradient flow of the random-feature denoiser as ridge regression at complex penalties (private).

By the residue theorem the map after a time tau of flow from 0 is
A(tau) = (1 / 2 pi i) oint ds (e^s / s) A(ridge + s / tau), A(lambda) the map of ridge regression: a
sum over the nodes of a contour, with complex weights. Errors are bilinear in the map, hence sums
over pairs of nodes. Notation as in `am_theory._feature_ridge`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from am_theory._feature_ridge import TINY, Problem, State, solve
from am_theory._inputs import Floats

Complex = NDArray[np.complex128]


class FlowState(NamedTuple):
    """A denoiser after a time of training; the fields are those of `_feature_ridge.State`."""

    train: float
    heldout: float
    seen: float
    gap: float
    gain: float
    memory: float
    train_spread: float
    heldout_spread: float
    residual: float
    converged: bool


class _Modes(NamedTuple):
    """Directions that all matrices share; arrays of one axis.

    `weight` : how many there are, over d. `mean`, `noise` : S and R on them. `source` : e_k.
    `overlap` : squared, with the clean tokens. `slow` : 1 where the direction is learned in time, 0
    where it is at its optimum from the start.
    """

    weight: Floats
    mean: Floats
    noise: Floats
    source: Floats
    overlap: Floats
    slow: Floats


@lru_cache(maxsize=4)
def contour(nodes: int) -> tuple[Complex, Complex]:
    """Nodes s_j and weights of the parabola of Weideman and Trefethen for e^s / s.

    Those above the real axis; the others are their complex conjugates.
    """
    theta = (2 * np.arange(nodes // 2, nodes) + 1) * np.pi / nodes - np.pi
    s = nodes * (0.1309 - 0.1194 * theta**2 + 0.25j * theta)
    return s, np.exp(s) / s * (-0.2388 * theta + 0.25j) / 1j


@lru_cache(maxsize=2)
def _unit_nodes(count: int = 200) -> tuple[Floats, Floats]:
    x, weights = np.polynomial.legendre.leggauss(count)
    return (x + 1) / 2, weights / 2


def _modes(problem: Problem, time: float) -> _Modes:
    a, noise = problem.alpha, max((1 - problem.alpha) * (1 + problem.alpha), TINY)
    if problem.skip == "full":  # the source's modes, at once at their optimum, and the features
        source = np.append(problem.eigenvalues, 0.0)
        slow = (np.arange(source.size) == source.size - 1).astype(np.float64)
        return _Modes(
            np.append(problem.weights, problem.features),
            a**2 * source + slow * problem.static,
            (1 - slow) * noise + slow * problem.fresh,
            source,
            1 - slow,
            slow,
        )
    # Eigenvalues x = (1 - root)^2 + 4 root sin^2(phi / 2) of F F^T, then the zeros. The scale of x
    # on which the resolvents bend sets that of phi; no node is nearer to 0 than 4.
    root = math.sqrt(problem.features)
    bend = (problem.fresh + problem.ridge + 4 / time) / max(problem.linear, TINY)
    scale = np.clip(math.sqrt(((1 - root) ** 2 + bend) / root), 1e-12, np.pi)
    reach = np.arcsinh(np.pi / scale)
    nodes, weights = _unit_nodes()
    phi = scale * np.sinh(reach * nodes)
    x = (1 - root) ** 2 + 4 * root * np.sin(phi / 2) ** 2
    measure = scale * np.cosh(reach * nodes) * reach * weights
    weight = (2 * problem.features / np.pi) * np.sin(phi) ** 2 / x * measure
    x, weight = np.append(x, 0.0), np.append(weight, max(problem.features - 1, 0.0))
    overlap, ones = problem.linear * x, np.ones_like(x)
    mean, fresh = a**2 * overlap + problem.static, noise * overlap + problem.fresh
    return _Modes(weight, mean, fresh, ones, overlap, ones)


def _kappas(
    modes: _Modes, penalty: Complex, k: float, inv_draws: float
) -> tuple[Complex, Complex, float]:
    """1 / kappa_1 and 1 / kappa_2 at every node, the denominators of the resolvent, the residual.

    Above the real axis of penalties the reciprocals are not below it; there the root is unique and
    plain iteration contracts towards it (Earle, Hamilton 1970). Where Newton's method fails, at a
    peak of few draws or without noise, the root is followed down from a floor under all modes.
    """
    state = np.ones((2, penalty.size), dtype=np.complex128)
    found = _follow(modes, penalty, state, k, inv_draws, 0.0)
    if not found[-1] <= _PRECISE:
        for floor in [*_FLOORS, 0.0]:
            found = _follow(modes, penalty, state, k, inv_draws, floor)
            state = found[0]
    return found


_PRECISE = 1e-12
_FLOORS = 10.0 ** np.arange(0, -16.5, -0.5)


def _follow(
    modes: _Modes, penalty: Complex, state: Complex, k: float, inv_draws: float, floor: float
) -> tuple[Complex, Complex, float]:
    """Newton steps in the logarithms where they stay above the real axis, plain ones elsewhere."""
    s, r, m, fresh = modes.mean, modes.noise, modes.weight / k, 1 - inv_draws
    for _ in range(60):
        mu = state[0] * inv_draws + state[1] * fresh
        theta = state[0][:, None] * s + mu[:, None] * r + penalty[:, None] * modes.slow + floor
        g = 1 / theta
        of_s, of_r = g @ (m * s), g @ (m * r) * inv_draws
        kappa = 1 + np.array([of_s + of_r, of_r])
        off = np.log(state * kappa)
        residual = float(np.max(np.abs(off)))
        if residual <= 1e-14:
            break
        squares = g * g
        ss, sr, rr = squares @ (m * s * s), squares @ (m * s * r), squares @ (m * r * r)
        low = sr + rr * inv_draws
        by_first = state[0] / kappa * -np.array([ss + (sr + low) * inv_draws, low * inv_draws])
        by_second = state[1] / kappa * -np.array([low * fresh, rr * inv_draws * fresh])
        (a, c), (b, d) = by_first, by_second
        det = (1 + a) * (1 + d) - b * c
        step = np.array([(1 + d) * off[0] - b * off[1], (1 + a) * off[1] - c * off[0]])
        with np.errstate(divide="ignore", invalid="ignore"):
            step = step / det
        newton = state * np.exp(-step * np.minimum(1, 3 / np.maximum(np.abs(step), 1e-300)))
        good = (newton.imag >= -1e-15) & (np.abs(newton) <= 1.5) & (newton.real > -0.5)
        state = np.where(np.all(good, axis=0), newton, 1 / kappa)
    return state, theta, residual


def flow(problem: Problem, k: float, time: float, nodes: int = 32) -> FlowState | State:
    """The denoiser trained on k = K / d sequences by gradient flow from 0; k may be infinite."""
    if math.isinf(time):
        return solve(problem, k)
    if problem.skip == "fit":
        raise ValueError(
            '`skip` must be a number or "full" at a finite time; got "fit". '
            "The flow of a fitted scalar skip is not solved."
        )
    a, time, inv_draws = problem.alpha, max(time, 1e-30), 1 / problem.draws
    modes = _modes(problem, time)
    points, upper = contour(nodes)
    state, theta, residual = _kappas(modes, problem.ridge + points / time, k, inv_draws)
    # The first of a pair is taken from the upper half of the contour, the second from both.
    both, first, second = (np.append(v, v.conj(), axis=-1) for v in (upper, *state))
    g = 1 / np.append(theta, theta.conj(), axis=0)
    m, s, r, overlap = modes.weight, modes.mean, modes.noise, modes.overlap
    skip = 0.0 if problem.skip == "full" else float(problem.skip)
    noise, left, fresh = (1 - a) * (1 + a), 1 - skip * a, 1 - inv_draws
    mu = first * inv_draws + second * fresh
    shares = g * (left * a * first[:, None] * modes.source - skip * noise * mu[:, None])

    def product(rows: Complex, values: Floats) -> Complex:
        return (rows[: points.size] * (m * values)) @ rows.T

    def pair(values: Complex) -> Complex:
        return values[: points.size, None] * values

    def total(values: Complex) -> Complex:
        return values[: points.size, None] + values

    def single(values: Complex) -> float:
        return float((both @ values).real)

    def double(values: Complex) -> float:
        return 2 * float((upper @ values @ both).real)

    # Bias: what the mean map does to a token's own code, and the rest of it.
    gain, on_source = shares @ (m * overlap), shares @ (m * overlap * modes.source)
    clean = product(shares, overlap * s) - a**2 * pair(on_source)
    noisy = product(shares, overlap * r) - noise * pair(gain)
    rho_m, rho_n = pair(left - a * on_source) + clean, noise * pair(skip + gain) + noisy
    # Fluctuations: c_m = rho_m + V_S and n_0 = rho_n + V_R, linear in c_m and n_0.
    ss, sr, rr = product(g, s * s), product(g, s * r), product(g, r * r)
    by_sequence, by_draw = pair(first) / k, inv_draws * fresh * pair(second) / k
    m_s, m_r = (ss + sr * inv_draws) * by_sequence, (sr + rr * inv_draws) * by_sequence
    n_s, n_r = m_s * inv_draws + sr * by_draw, m_r * inv_draws + rr * by_draw
    determinant = (1 - m_s) * (1 - n_r) - n_s * m_r
    c_m = (rho_m * (1 - n_r) + n_s * rho_n) / determinant
    n_0 = (rho_n * (1 - m_s) + m_r * rho_m) / determinant
    spread_m, spread_r = clean + m_s * c_m + n_s * n_0, noisy + m_r * c_m + n_r * n_0

    held = (g @ (m * s)) * first / k
    shared = inv_draws * pair(held)
    return FlowState(
        train=double(pair(1 - held) * c_m + (1 + shared) * n_0),
        heldout=double(c_m + n_0),
        seen=double(pair(first) * (c_m + n_0 * inv_draws) + fresh * pair(second) * n_0),
        gap=double((total(held) - pair(held)) * c_m - shared * n_0),
        gain=skip + single(gain),
        memory=single(held * (left - a * on_source)),
        train_spread=max(double(pair(1 - held) * spread_m + spread_r + shared * n_0), 0.0),
        heldout_spread=max(double(spread_m + spread_r), 0.0),
        residual=residual,
        converged=residual <= 1e-10,
    )

"""What a random feature sees of its input: three constants of the activation (private).

`am_theory.random_feature_denoiser` hands these names on. A feature is phi(z) - E phi, where z is
standard normal over the random weights. Two noisy copies of one sequence have preactivations of
correlation q = alpha^2, and features of covariance C(q) = sum_j a_j^2 q^j, with a_j the
coefficients of phi on normalised Hermite polynomials.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import spherical_jn

from am_theory._inputs import NOT_NEGATIVE, PROBABILITY, Floats, bare, real_iv
from am_theory._random_patterns import choice_iv

Activation = Literal["erf", "relu", "sign", "tanh"] | tuple[float, float, float]


@dataclass(frozen=True)
class ActivationMoments:
    """Variance of a feature in three parts.

    `linear` : a_1^2, through the linear part of the activation. `static` : v_s^2, nonlinear and the
    same for all noise on one sequence; memory lives in it alone. `fresh` : v_d^2, nonlinear and
    drawn anew with the noise.
    """

    linear: Any
    static: Any
    fresh: Any


def activation_moments(activation: Activation, alpha: ArrayLike) -> ActivationMoments:
    """Return the variance of a random feature in its linear, static and fresh part.

    With C(q) the covariance of two features whose preactivations have correlation q,

    a_1^2 = C'(0),   v_s^2 = C(alpha^2) - a_1^2 alpha^2,   v_d^2 = C(1) - a_1^2 - v_s^2.

    erf: C = (2/pi) arcsin(2 q / 3); sign: C = (2/pi) arcsin q;
    relu: C = (1/2 pi) [sqrt(1 - q^2) + q (pi - arccos q) - 1]; tanh: the sum of a_j^2 q^j.

    Parameters
    ----------
    activation : "erf", "relu", "sign", "tanh", or the triple (a_1^2, v_s^2, v_d^2) itself, which is
        handed on; (1, 0, 0) is the linear activation.
    alpha : number or array in [0, 1]; probability that a token is kept.

    Returns
    -------
    ActivationMoments of the shape of `alpha`, none negative.

    Raises
    ------
    ValueError for an unknown activation, a triple with a negative entry, or alpha out of range.

    Notes
    -----
    For preactivations of unit variance, which encoded tokens give. For alpha to 0 odd activations
    have v_s^2 = a_3^2 alpha^6 and others a_2^2 alpha^4. All three hold their relative precision at
    both ends of alpha; tanh to 1e-10, by 201 Gauss-Hermite nodes and 80 terms.

    Unit: dimensionless

    Source: arcsine law of the sign and of erf, Williams 1997 (NIPS 9, 295); of relu, Cho and Saul
    2009 (NIPS 22, 342); checked by quadrature in tests/am_theory/test_random_feature_denoiser.py.

    >>> found = activation_moments("erf", 0.8)
    >>> round(found.linear, 8), round(found.static, 8), round(found.fresh, 8)
    (0.42441318, 0.00900005, 0.03114582)
    """
    kept = real_iv("alpha", alpha, PROBABILITY)
    found = moments(activation, kept)
    return ActivationMoments(bare(found.linear), bare(found.static), bare(found.fresh))


def moments(activation: Any, alpha: Floats) -> ActivationMoments:
    """`activation_moments` on checked alpha; three arrays of its shape."""
    if isinstance(activation, str):
        choice_iv("activation", activation, tuple(_LAWS))
        linear, law = _LAWS[activation]()
        static, fresh = law(alpha)
    else:
        triple = real_iv("activation", activation, NOT_NEGATIVE, _TRIPLE)
        if triple.shape != (3,):
            raise ValueError(f"`activation` has shape {triple.shape}; {_TRIPLE}")
        linear, static, fresh = triple
    return ActivationMoments(*(np.broadcast_to(x, alpha.shape) for x in (linear, static, fresh)))


_TRIPLE = "it is a name or the three numbers (a_1^2, v_s^2, v_d^2)."
Law = tuple[float, Callable[[Floats], tuple[Floats, Floats]]]


def _arcsine(share: float) -> Law:
    """C = (2/pi) arcsin(share q); erf(z) has share 2/3, the sign 1."""

    def law(alpha: Floats) -> tuple[Floats, Floats]:
        q, rest = alpha**2, (1 - alpha) * (1 + alpha)
        x = share * q
        near, far = np.minimum(x, 0.5), np.maximum(x, 0.5)
        static = np.where(x < 0.5, _arcsin_excess(near), np.arcsin(far) - far)
        cosine = np.sqrt((1 - share) * (1 + share))
        other = np.sqrt(rest * (1 + q) + (cosine * q) ** 2)  # sqrt(1 - x^2)
        # arcsin(share) - arcsin(x), an angle by its sine and cosine
        sine = share * rest * (1 + q) / np.maximum(other + q * cosine, 1e-300)
        angle = np.arctan2(sine, cosine * other + share * x)
        return 2 / np.pi * static, 2 / np.pi * (angle - share * rest)

    return 2 * share / np.pi, law


_ARCSIN = np.cumprod([(2 * n - 1) / (2 * n) for n in range(1, 31)]) / np.arange(3, 63, 2)


def _arcsin_excess(x: Floats) -> Floats:
    """arcsin(x) - x for 0 <= x <= 1/2."""
    return x * np.polynomial.polynomial.polyval(x**2, np.append(0.0, _ARCSIN))


def _rectifier() -> Law:
    def law(alpha: Floats) -> tuple[Floats, Floats]:
        q, rest = alpha**2, (1 - alpha) * (1 + alpha)
        static = q * (np.arcsin(q) - q / (1 + np.sqrt(rest * (1 + q))))
        angle = 2 * np.arcsin(np.sqrt(rest / 2))  # arccos(q)
        fresh = np.pi / 2 * rest - angle**2 * spherical_jn(1, angle)
        return static / (2 * np.pi), fresh / (2 * np.pi)

    return 0.25, law


@lru_cache(maxsize=1)
def _tanh() -> Law:
    nodes, weights = np.polynomial.hermite_e.hermegauss(201)
    values = np.tanh(nodes) * weights / weights.sum()
    last, polynomial = np.zeros_like(nodes), np.ones_like(nodes)
    squares = []
    for j in range(80):
        squares.append((values @ polynomial) ** 2 if j % 2 else 0.0)
        last, polynomial = (
            polynomial,
            (nodes * polynomial - np.sqrt(j) * last) / np.sqrt(j + 1),
        )
    orders, high = np.arange(2.0, 80.0), np.array(squares[2:])

    def law(alpha: Floats) -> tuple[Floats, Floats]:
        power = 2 * orders * np.log(np.maximum(alpha, 1e-150))[..., None]
        return np.exp(power) @ high, -np.expm1(power) @ high

    return float(squares[1]), law


_LAWS: dict[str, Callable[[], Law]] = {
    "erf": lambda: _arcsine(2 / 3),
    "relu": _rectifier,
    "sign": lambda: _arcsine(1.0),
    "tanh": _tanh,
}

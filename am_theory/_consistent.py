"""How many stored random sequences fit what an erased query still shows (private).

With n tokens of a stored sequence visible, each of the other K - 1 fits them with probability
q = V^-n, so that N = 1 + Bin(K - 1, q) sequences fit, and the posterior is uniform on them.
Everything here is a function of K and q, on arrays K (...) and q (n,), and real K interpolates.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from am_theory._random_patterns import Floats, log_binomial

STEP = 0.05  # of the trapezoid rule in log s; exp(-pi^2 / 0.05) is nothing
_RARE = 1e-17  # expected number of others below which one at most counts


def visible(seq_len: int, alpha: Floats) -> Floats:
    """Law of the number of visible tokens among `seq_len` sites, (..., seq_len + 1)."""
    return np.exp(log_binomial(seq_len, alpha, 1 - np.asarray(alpha)))


def fitting(seq_len: int, vocab_size: int) -> Floats:
    """q = V^-n for n = 0..seq_len."""
    return float(vocab_size) ** -np.arange(seq_len + 1.0)


def right_share(size: Floats, q: Floats) -> Floats:
    """E 1 / N = [1 - (1 - q)^K] / (K q), (..., n)."""
    size = np.asarray(size)[..., None]
    load = size * q
    with np.errstate(divide="ignore"):
        some = -np.expm1(size * np.log1p(-q))
    return np.where(load > 0, some / np.where(load > 0, load, 1.0), 1.0)


def wrong_share(size: Floats, q: Floats) -> Floats:
    """E [1 - 1 / N] without cancellation, (..., n).

    With x = -K log(1 - q) and g(x) = 1 - (1 - e^-x) / x it is g(x) - (x / (K q) - 1) (1 - g(x)).
    """
    size = np.asarray(size)[..., None]
    inner = np.where(q < 1, q, 0.0)
    excess = _excess(size * -np.log1p(-inner))
    near = _series(inner, 1 / np.arange(2.0, 17.0))
    far = -np.log1p(-inner) / np.where(inner > 0, inner, 1.0) - 1
    stretch = np.where(inner < 0.05, near, far)
    return np.where(q < 1, excess - stretch * (1 - excess), (size - 1) / size)


def _excess(x: Floats) -> Floats:
    """1 - (1 - e^-x) / x."""
    terms = np.array([-((-1) ** k) / math.factorial(k + 1) for k in range(1, 18)])
    near = _series(np.minimum(x, 0.5), terms)
    far = np.maximum(x, 0.5)
    return np.where(x < 0.5, near, 1 + np.expm1(-far) / far)


def _series(x: Floats, terms: Floats) -> Floats:
    """Sum of terms[k] x^(k + 1)."""
    total = np.zeros_like(x)
    for term in terms[::-1]:
        total = x * (term + total)
    return total


def mean_log(size: Floats, q: Floats) -> Floats:
    """G(q) = E log N by Frullani's integral, (..., n).

    G = int_0^inf [1 - (1 - q (1 - e^-s))^(K - 1)] e^-s / s ds by the trapezoid rule in log s.
    """
    return by_size(size, lambda K: np.array([_mean_log(K, float(p)) for p in q]))


def _mean_log(size: float, q: float) -> float:
    if q == 1:
        return float(np.log(size))
    if size * q < _RARE:
        return float((size - 1) * q * np.log(2))
    s = laplace_points(size * q)
    gone = -np.expm1((size - 1) * np.log1p(q * np.expm1(-s)))
    return float(STEP * np.vecdot(np.exp(-s), gone))


def laplace_points(scale: float) -> Floats:
    """Points s of the trapezoid rule in log s, for integrands that rise over s = 1 / scale."""
    low, high = -45.0 - np.log(max(scale, 1.0)), 4.2
    return np.exp(high - STEP * np.arange(np.ceil((high - low) / STEP) + 1))


def by_size(size: Floats, row: Callable[[float], Floats]) -> Floats:
    """One row for each distinct K, put back on a new last axis, (..., n)."""
    distinct, place = np.unique(size, return_inverse=True)
    return np.stack([row(float(K)) for K in distinct])[place.reshape(np.shape(size))]

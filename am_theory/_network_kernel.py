"""The kernel of a wide network of one-hot tokens before it is trained (private).

`am_theory.staircase` hands the public name on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from am_theory._inputs import Floats, whole_iv
from am_theory._random_patterns import choice_iv

TIMES = 0.08  # variance of what the time embedding adds to a unit: 16 features, of length^2 8
NODES, TERMS = 201, 80


def network_kernel(
    seq_len: int, *, activation: Literal["gelu", "relu", "erf"] = "gelu", n_blocks: int = 1
) -> Any:
    """Return the kernel of the plain MLP of one-hot tokens at its initialisation, per unit.

    E phi(z) phi(z') of the last hidden layer, over its random weights, by the Hamming distance d of
    two inputs at one noise level: the network

    h = W_in onehot + T_0;  h += W phi(h / |h| + T) for each block;  out = W_out phi(h / |h|),

    |h| the root mean square over units. With c = (L - d) / L the covariance of a unit of
    W_in onehot, and C(c, v) = E phi(z) phi(z') at covariance c and variance v: c += .08 (T_0), then
    c += C(c / v + .08, 1.08) for each block, and the kernel is C(c / v, 1).

    Parameters
    ----------
    seq_len : int, L >= 1.
    activation : "gelu" (that of `models.networks.mlp`, by tanh), "relu" or "erf".
    n_blocks : int >= 0; residual blocks.

    Returns
    -------
    (L + 1,) at d = 0 .. L, without the 1 / width that the bias of the readout adds.

    Raises
    ------
    ValueError for an argument out of range.

    Notes
    -----
    The readout starts at 0, so that its weights alone have a gradient at first: width times this is
    the neural tangent kernel of each logit at initialisation. Infinite width; corrections fall as
    its inverse root in one network. erf: (2/pi) arcsin(2 c / (1 + 2 v)); relu: the arc-cosine
    kernel; gelu: its Hermite series, by 201 Gauss-Hermite nodes and 80 terms.

    Unit: squared activation

    Source: Neal 1996 and Cho and Saul 2009 (NIPS 22, 342), Williams 1997 (NIPS 9, 295) for the
    laws; Jacot, Gabriel, Hongler 2018 (arXiv:1806.07572) for the tangent kernel; held
    against a network in tests/am_theory/test_staircase.py.

    >>> network_kernel(4, activation="relu", n_blocks=0).round(4)
    array([0.5   , 0.4012, 0.317 , 0.243 , 0.1781])
    """
    length = whole_iv("seq_len", seq_len, 1)
    choice_iv("activation", activation, tuple(_LAWS))
    law = _LAWS[activation]
    covariance, variance = 1 - np.arange(length + 1) / length + TIMES, 1.0 + TIMES
    for _ in range(whole_iv("n_blocks", n_blocks, 0)):
        added = law(np.append(covariance / variance, 1.0) + TIMES, 1.0 + TIMES)
        covariance, variance = covariance + added[:-1], variance + float(added[-1])
    return law(covariance / variance, 1.0)


def _relu(covariance: Floats, variance: float) -> Floats:
    q = np.clip(covariance / variance, -1, 1)
    angle = np.arccos(q)
    found: Floats = variance / (2 * np.pi) * (np.sqrt(1 - q * q) + q * (np.pi - angle))
    return found


def _erf(covariance: Floats, variance: float) -> Floats:
    found: Floats = 2 / np.pi * np.arcsin(2 * covariance / (1 + 2 * variance))
    return found


def _gelu(covariance: Floats, variance: float) -> Floats:
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    z = math.sqrt(variance) * nodes
    inner = math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
    values = 0.5 * z * (1 + np.tanh(inner)) * weights / weights.sum()
    last, polynomial = np.zeros_like(nodes), np.ones_like(nodes)
    squares = []
    for j in range(TERMS):
        squares.append((values @ polynomial) ** 2)
        following = (nodes * polynomial - math.sqrt(j) * last) / math.sqrt(j + 1)
        last, polynomial = polynomial, following
    found: Floats = np.polynomial.polynomial.polyval(covariance / variance, squares)
    return found


_LAWS: dict[str, Callable[[Floats, float], Floats]] = {
    "gelu": _gelu,
    "relu": _relu,
    "erf": _erf,
}

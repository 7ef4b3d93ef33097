"""Extraction of long suffixes, from the two rates of a Markov chain (private).

The setting is that of `am_theory.extraction`, which names these functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, xlogy

from am_theory._chains import stationary_law, transition_iv
from am_theory._inputs import Interval, bare, broadcast_iv, real_iv

_COUNT = Interval(1.0, np.inf)


def extraction_normal(draws: ArrayLike, transition: ArrayLike, suffix_len: ArrayLike) -> Any:
    """Return the normal approximation to `extraction_probability`, for long suffixes.

    Phi([log n + g - M h] / sqrt(M s^2 + pi^2 / 6)),   g Euler's constant 0.5772,
    h the `entropy_rate` and s^2 the `varentropy_rate`: 1 - (1 - p_z)^n is 1 - exp(-n p_z), the law
    of a Gumbel variable, of mean g and variance pi^2 / 6, added to the normal log p_z.

    Parameters
    ----------
    draws : number or array, n >= 1.
    transition : (V, V) law of the next token, one row for each token.
    suffix_len : whole number or array, M >= 1.

    Returns
    -------
    Broadcast shape, in [0, 1]; off by 0.007 at most at M = 30 in the example, by a
    factor of 2.4 in its tail at n = 1e6.

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Unit: dimensionless, probability per sequence.

    Source: central limit theorem for log p of a Markov chain, Kemeny, Snell 1960 (Finite Markov
    Chains); checked in tests/am_theory/test_extraction.py.

    >>> chain = [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]
    >>> round(extraction_normal(1e12, chain, 30), 4)
    0.6185
    """
    count, hidden = broadcast_iv(
        draws=real_iv("draws", draws, _COUNT), suffix_len=real_iv("suffix_len", suffix_len, _COUNT)
    )
    centre = np.log(count) + np.euler_gamma - hidden * entropy_rate(transition)
    return bare(ndtr(centre / np.sqrt(hidden * varentropy_rate(transition) + np.pi**2 / 6)))


def entropy_rate(transition: ArrayLike) -> float:
    """Return the entropy of the next token of a stationary Markov chain, given the one before.

    h = -sum_ab pi_a P_ab log P_ab, pi the stationary law.

    Parameters
    ----------
    transition : (V, V) law of the next token, one row for each token.

    Returns
    -------
    float, in [0, log V].

    Raises
    ------
    ValueError for a matrix that is not square, whose rows are not laws, or whose stationary law is
    not unique.

    Unit: nats per token.

    Source: Shannon 1948.

    >>> round(entropy_rate([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]), 10)
    0.9041217479
    """
    matrix = transition_iv(transition)
    return float(-stationary_law(matrix) @ xlogy(matrix, matrix).sum(axis=1))


def varentropy_rate(transition: ArrayLike) -> float:
    """Return the variance per token of log p of a long stretch of a stationary Markov chain.

    s^2 = E (f - h)^2 + 2 sum_ab pi_a P_ab (f_ab - h) (Z g)_b,   f_ab = -log P_ab,
    g_b = sum_c P_bc (f_bc - h), and Z = (I - P + 1 pi)^-1 the fundamental matrix.

    Parameters, errors as `entropy_rate`.

    Returns
    -------
    float, >= 0.

    Unit: nats^2 per token.

    Source: Kemeny, Snell 1960 (Finite Markov Chains), central limit theorem; checked against the
    variance of long stretches in tests/am_theory/test_extraction.py.

    >>> round(varentropy_rate([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]), 10)
    0.3766145024
    """
    matrix = transition_iv(transition)
    law, rate = stationary_law(matrix), entropy_rate(matrix)
    excess = np.where(matrix > 0, -np.log(np.where(matrix > 0, matrix, 1.0)) - rate, 0.0)
    ahead = (matrix * excess).sum(axis=1)
    later = np.linalg.solve(np.eye(len(law)) - matrix + law, ahead)
    return max(float(law @ (matrix * excess * (excess + 2 * later)).sum(axis=1)), 0.0)

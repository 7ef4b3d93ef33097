"""Functions of token sequences by degree, and the eigenvalues of kernels on them (private).

`am_theory.staircase` hands the public names on. A function of L tokens is of degree j if it is a
sum of products of j centred functions of single tokens; a kernel that depends on the Hamming
distance alone multiplies each degree by one number.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._feature_moments import ActivationMoments
from am_theory._inputs import PROBABILITY, Floats, Interval, bare, real_iv, whole_iv

MOST = 2.0**66  # sequences V^L up to which eigenvalues stand above the rounding of the kernel


def krawtchouk(degree: int, distance: int, seq_len: int, vocab_size: int) -> float:
    """Return the Krawtchouk polynomial of the Hamming scheme H(L, V) at a distance.

    K_j(d) = sum_s (-1)^s (V - 1)^(j - s) C(d, s) C(L - d, j - s), the sum over all functions of an
    orthonormal basis of degree j of f(x) f(y), for sequences x and y that differ at d sites.

    Parameters
    ----------
    degree, distance : int, j and d in 0 .. L.
    seq_len, vocab_size : int; L >= 1, V >= 2.

    Returns
    -------
    float; the exact whole number, rounded once.

    Raises
    ------
    ValueError for an argument out of range, or a number beyond the largest float.

    Notes
    -----
    K_j(0) is `degree_size`. Orthogonal: sum_d C(L, d) (V - 1)^d K_i(d) K_j(d) = V^L K_j(0) or 0.

    Unit: dimensionless

    Source: Delsarte 1973 (Philips Res. Rep. Suppl. 10), section 4.2; held against eigenvalues of
    small graphs in tests/am_theory/test_staircase.py.

    >>> krawtchouk(2, 0, 4, 3), krawtchouk(2, 1, 4, 3), krawtchouk(2, 4, 4, 3)
    (24.0, 6.0, 6.0)
    """
    length, vocab = sizes_iv(seq_len, vocab_size)
    j, d = (
        up_to(name, value, length) for name, value in (("degree", degree), ("distance", distance))
    )
    terms = (
        (-1) ** s * (vocab - 1) ** (j - s) * math.comb(d, s) * math.comb(length - d, j - s)
        for s in range(min(j, d) + 1)
    )
    return _float(sum(terms))


def degree_size(degree: int, seq_len: int, vocab_size: int) -> float:
    """Return the number of independent functions of one degree, C(L, j) (V - 1)^j.

    Parameters
    ----------
    degree : int, j in 0 .. L.
    seq_len, vocab_size : int; L >= 1, V >= 2.

    Returns
    -------
    float; over all degrees they sum to V^L.

    Raises
    ------
    ValueError for an argument out of range, or a number beyond the largest float.

    Unit: functions

    Source: Delsarte 1973 (Philips Res. Rep. Suppl. 10), multiplicities of the Hamming scheme.

    >>> [degree_size(j, 4, 3) for j in range(5)]
    [1.0, 8.0, 24.0, 32.0, 16.0]
    """
    length, vocab = sizes_iv(seq_len, vocab_size)
    j = up_to("degree", degree, length)
    return _float(math.comb(length, j) * (vocab - 1) ** j)


def kernel_eigenvalues(kernel: ArrayLike, seq_len: int, vocab_size: int) -> Any:
    """Return the eigenvalue of each degree of a kernel that depends on the Hamming distance alone.

    lambda_j = V^-L sum_d C(L, d) (V - 1)^d k(d) K_j(d) / K_j(0),   k(d) = sum_j lambda_j K_j(d),

    of the operator that averages k(x, y) f(y) over uniform sequences y. Each is `degree_size` fold,
    so that sum_j lambda_j K_j(0) = k(0). A channel that keeps tokens with probability alpha
    multiplies degree j by alpha^j. Gradient flow of half the squared error of a model of this
    kernel takes the time 1 / lambda_j to learn degree j from unlimited data.

    Parameters
    ----------
    kernel : (L + 1,) numbers; the kernel of two sequences that differ at d = 0 .. L sites.
    seq_len, vocab_size : int; L >= 1, V >= 2, V^L at most 2^66.

    Returns
    -------
    (L + 1,) in the unit of the kernel.

    Raises
    ------
    ValueError for an argument out of range or a kernel of another shape.

    Notes
    -----
    Whole numbers up to the last division. What is left is the rounding of the kernel's own numbers:
    an error of about 1e-16 K_j(0)^(-1/2) of its largest value, hence the bound on V^L. Cost L^2.

    Unit: that of the kernel

    Source: Delsarte 1973 (Philips Res. Rep. Suppl. 10), eigenvalues of the Hamming scheme; brute
    force in tests/am_theory/test_staircase.py.

    >>> kernel_eigenvalues([1.0, 0.5, 0.25], 2, 2).round(6)
    array([0.5625, 0.1875, 0.0625])
    """
    return spectrum(kernel_iv(kernel, *resolved_sizes(seq_len, vocab_size)), seq_len, vocab_size)


def kernel_moments(
    kernel: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike
) -> ActivationMoments:
    """Return the variance of features of a given kernel in its linear, static and fresh part.

    With lambda_j the eigenvalues of the kernel and m_j = `degree_size`, for noisy sequences that
    keep a token with probability alpha,

    a_1^2 = lambda_1 m_1,   v_s^2 = sum_(j>=2) lambda_j m_j alpha^(2 j),
    v_d^2 = sum_(j>=2) lambda_j m_j (1 - alpha^(2 j)).

    The triple is what `random_feature_denoiser` takes for its `activation`.

    Parameters
    ----------
    kernel, seq_len, vocab_size : as for `kernel_eigenvalues`.
    alpha : number or array in [0, 1]; probability that a token is kept.

    Returns
    -------
    ActivationMoments of the shape of `alpha`; none negative for a kernel without negative
    eigenvalues.

    Raises
    ------
    ValueError for an argument out of range or a kernel of another shape.

    Notes
    -----
    Degree 0, the mean of the features, is left out. v_s^2 is the mean of the kernel over two noisy
    copies of one sequence less degrees 0 and 1: exact at every L, where the moments of
    `random_feature_denoiser.activation_moments` are its limit for features of centred tokens.

    Unit: that of the kernel

    Source: derived from `kernel_eigenvalues`; tests/am_theory/test_staircase.py.

    >>> found = kernel_moments([1.0, 0.5, 0.25], 2, 2, 0.8)
    >>> [round(float(v), 6) for v in (found.linear, found.static, found.fresh)]
    [0.375, 0.0256, 0.0369]
    """
    length, vocab = resolved_sizes(seq_len, vocab_size)
    values = kernel_iv(kernel, length, vocab)
    kept = real_iv("alpha", alpha, PROBABILITY)
    shares = spectrum(values, length, vocab)[:2] * [1, length * (vocab - 1)]
    static = copies_mean(values, vocab, kept) - shares[0] - shares[1] * kept**2
    fresh = values[0] - shares.sum() - static
    found = (x + np.zeros_like(kept) for x in (shares[1], static, fresh))
    rounding = 1e-14 * np.abs(values).max()
    return ActivationMoments(*(bare(np.where(np.abs(x) < rounding, 0.0, x)) for x in found))


def sizes_iv(seq_len: int, vocab_size: int) -> tuple[int, int]:
    """L and V, checked."""
    return whole_iv("seq_len", seq_len, 1), whole_iv("vocab_size", vocab_size, 2)


def resolved_sizes(seq_len: int, vocab_size: int) -> tuple[int, int]:
    """L and V of which eigenvalues can be told from rounding."""
    length, vocab = sizes_iv(seq_len, vocab_size)
    if length * math.log2(vocab) > math.log2(MOST):
        raise ValueError(
            f"`seq_len` = {length} and `vocab_size` = {vocab} make more than 2^66 sequences, whose "
            "highest eigenvalues drown in the rounding of the kernel; take shorter sequences."
        )
    return length, vocab


def up_to(name: str, value: Any, most: int) -> int:
    """A whole number in 0 .. L."""
    number = whole_iv(name, value, 0)
    if number > most:
        raise ValueError(f"`{name}` must be at most `seq_len` = {most}; got {number}.")
    return number


def kernel_iv(kernel: ArrayLike, length: int, vocab: int) -> Floats:
    """The kernel at distances 0 .. L."""
    values = real_iv("kernel", kernel, Interval(-np.inf, np.inf))
    if values.shape != (length + 1,):
        raise ValueError(
            f"`kernel` must hold its values at the distances 0 .. `seq_len`, {length + 1} numbers; "
            f"got shape {values.shape}."
        )
    return values


def spectrum(values: Floats, length: int, vocab: int) -> Floats:
    """`kernel_eigenvalues` of checked arguments."""
    weights, table = _table(length, vocab)
    found: Floats = table @ (weights * values)
    return found


def sizes(length: int, vocab: int) -> Floats:
    """`degree_size` of every degree."""
    return np.array([degree_size(j, length, vocab) for j in range(length + 1)])


def copies_mean(values: Floats, vocab: int, kept: Floats) -> Floats:
    """Mean of the kernel over two noisy copies of one sequence, sum_j lambda_j m_j kept^(2 j)."""
    differ = (1 - kept**2)[..., None] * (vocab - 1) / vocab
    length = len(values) - 1
    d = np.arange(length + 1)
    ways = np.array([math.comb(length, k) for k in d], dtype=float)
    mean: Floats = (ways * differ**d * (1 - differ) ** (length - d)) @ values
    return mean


@lru_cache(maxsize=8)
def _table(length: int, vocab: int) -> tuple[Floats, Floats]:
    """Shares of the distances among uniform sequences, (L + 1,), and K_j(d) / K_j(0), (j, d)."""
    ways = [math.comb(length, d) * (vocab - 1) ** d for d in range(length + 1)]
    table = [ways]  # K_j(0), column by column: (1 + (V-1) z) P_(d+1)(z) = (1 - z) P_d(z)
    for _ in range(length):
        last, column = table[-1], [1]
        for j in range(1, length + 1):
            column.append(last[j] - last[j - 1] - (vocab - 1) * column[j - 1])
        table.append(column)
    shares = np.array([way / vocab**length for way in ways])
    ratios = [[table[d][j] / ways[j] for d in range(length + 1)] for j in range(length + 1)]
    return shares, np.array(ratios)


def _float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ValueError(
            "this number of functions is beyond the largest float; take a lower `degree` or a "
            "smaller `seq_len` or `vocab_size`."
        ) from None

"""What a kernel on token sequences learns, degree by degree: over K, and in the course of training.

A kernel that depends on the number of differing tokens alone has one eigenvalue a degree: on
independent uniform tokens the functions of j tokens, C(L, j) (V - 1)^j of them, are learned
together. In K, when it passes their number: a staircase. In training time, at 1 / lambda_j. The
stored sequences themselves are learned through all degrees that are too many to be told apart, at
about K / s^2 (`memory_time`).

The eigenvalues are exact at every L and V. Learning curves are of leading order for many functions
a degree, by deterministic equivalents that are not proved, on independent uniform tokens.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from am_theory._inputs import (
    NOT_NEGATIVE,
    PROBABILITY,
    Floats,
    Interval,
    bare,
    broadcast_iv,
    real_iv,
)
from am_theory._krawtchouk import (
    copies_mean,
    degree_size,
    kernel_eigenvalues,
    kernel_iv,
    kernel_moments,
    krawtchouk,
    resolved_sizes,
    sizes,
    sizes_iv,
    spectrum,
    up_to,
)
from am_theory._network_kernel import network_kernel

__all__ = [
    "degree_size",
    "kernel_eigenvalues",
    "kernel_moments",
    "krawtchouk",
    "memory_time",
    "network_kernel",
    "regression_error",
    "transition_size",
]

SIZE = Interval(1.0, np.inf)


def regression_error(
    train_size: ArrayLike,
    kernel: ArrayLike,
    seq_len: int,
    vocab_size: int,
    degree: int,
    *,
    ridge: ArrayLike = 0.0,
) -> Any:
    """Return the held-out error of kernel regression on a function of one degree.

    With m_j functions of degree j, eigenvalues lambda_j, and kappa from

    K = sum_j m_j l_j + ridge / kappa,   l_j = lambda_j / (lambda_j + kappa),

    the error is (1 - l_k)^2 / (1 - sum_j m_j l_j^2 / K) of the variance of the function: it falls
    when K passes m_k, a staircase over the degrees.

    Parameters
    ----------
    train_size : number or array, K >= 1; sequences drawn uniformly, with the function's values.
    kernel : (L + 1,) numbers; the kernel by Hamming distance, without negative eigenvalues.
    seq_len, vocab_size : int; L >= 1, V >= 2, V^L at most 2^66.
    degree : int, k in 0 .. L; of the function that is learned.
    ridge : number or array >= 0, added to the K x K matrix of the kernel; 0 is the limit.

    Returns
    -------
    Broadcast shape of `train_size` and `ridge`, per variance of the function.

    Raises
    ------
    ValueError for an argument out of range, or a kernel of negative eigenvalues.

    Notes
    -----
    Leading order for many functions a degree; within 0.05 of simulation at L = 10, V = 3
    (`python -m simulations.staircase`). From K = V^L on, without ridge, everything is learned.

    Unit: dimensionless

    Source: Canatar, Bordelon, Pehlevan 2021 (Nat. Commun. 12, 2914); Simon et al. 2023
    (arXiv:2110.03922), eigenlearning equations; simulated in tests/am_theory/test_staircase.py.

    >>> kernel = network_kernel(10)
    >>> [round(regression_error(K, kernel, 10, 3, 2, ridge=1e-6), 4) for K in (60, 180, 1620)]
    [1.1055, 0.2743, 0.0001]
    """
    length, vocab = resolved_sizes(seq_len, vocab_size)
    k = up_to("degree", degree, length)
    values = kernel_iv(kernel, length, vocab)
    counts, rates = sizes(length, vocab), spectrum(values, length, vocab)
    slack = 1e-14 * np.abs(values).max() / np.sqrt(counts)
    if (rates < -slack).any():
        raise ValueError(
            f"`kernel` has a negative eigenvalue at degree {int((rates < -slack).argmax())}; it is "
            "no kernel of a model."
        )
    rates = np.where(rates > slack, rates, 0.0)
    size, penalty = broadcast_iv(
        train_size=real_iv("train_size", train_size, SIZE),
        ridge=real_iv("ridge", ridge, NOT_NEGATIVE),
    )

    def error(size: float, penalty: float) -> float:
        learned = _learned(counts, rates, size, penalty)
        left = 1 - counts @ learned**2 / size
        return float((1 - learned[k]) ** 2 / left) if learned[k] < 1 else 0.0

    return bare(np.vectorize(error, otypes=[float])(size, penalty))


def _learned(counts: Floats, rates: Floats, size: float, penalty: float) -> Floats:
    """l_j at the kappa that K examples leave."""
    if penalty == 0 and size >= counts[rates > 0].sum():
        return (rates > 0).astype(float)
    scale = float(counts @ rates) + penalty

    def excess(log_kappa: float) -> float:
        kappa = math.exp(log_kappa)
        return float(counts @ (rates / (rates + kappa))) + penalty / kappa - size

    top = math.log(scale / size) + 1e-9  # sum_j m_j lambda_j / kappa is an upper bound
    bottom = top - 1.0
    while excess(bottom) < 0 and bottom > -700:
        bottom -= 2 * (top - bottom)
    kappa = math.exp(brentq(excess, bottom, top, xtol=1e-13))
    found: Floats = rates / (rates + kappa)
    return found


def transition_size(order: int, seq_len: int, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return the size at which the train error of a denoiser of functions up to a degree is half.

    The denoiser is fitted without ridge, to K sequences under unlimited fresh noise, in all
    functions of the degrees 1 to n of x_t. Half of what its squared error is for many sequences,
    1 - alpha^2, is reached at

    K* = (2 - a^2) sum_(j=1..n) m_j a^(2 j) / [a^(2 j) + (2 - a^2) (1 + a^2 + ... + a^(2 j - 2))]

    with m_j = `degree_size`: a staircase in n. n = 1 is the linear denoiser, (2 - a^2) a^2 d / 2.

    Parameters
    ----------
    order : int, n in 1 .. L.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability a that a token is kept.

    Returns
    -------
    Shape of `alpha`; sequences, not rounded.

    Raises
    ------
    ValueError for an argument out of range.

    Notes
    -----
    From 1 = 1 / kappa + sum_j (m_j / K) s_j / (s_j + kappa r_j), s_j = a^(2 j), r_j = 1 - a^(2 j),
    at kappa = (2 - a^2) / (1 - a^2), as the errors are those of `linear`'s fit with one more
    spectrum. Leading order for L to infinity: the noise of one sequence is taken to average out
    over the K others. From n = 2 on that converges slowly: simulated over this, at alpha = 0.8,
    V = 2, n = 2, is 0.64, 0.75, 0.82 at L = 8, 16, 28; n = 1 is within 0.05 from d = 24 on.

    Unit: sequences

    Source: derived from `random_feature_denoiser.errors` with one part for each degree; simulated
    in tests/am_theory/test_staircase.py.

    >>> [round(transition_size(n, 16, 4, 0.8), 2) for n in (1, 2, 3)]
    [20.89, 248.78, 2016.39]
    """
    length, vocab = sizes_iv(seq_len, vocab_size)
    order = up_to("order", order, length)
    if order == 0:
        raise ValueError("`order` must be at least 1: degree 0 is the mean alone; got 0.")
    square = real_iv("alpha", alpha, PROBABILITY) ** 2
    total = np.zeros_like(square)
    for j in range(1, order + 1):
        lower = sum(square**i for i in range(j))
        total = total + degree_size(j, length, vocab) * square**j / (
            square**j + (2 - square) * lower
        )
    return bare((2 - square) * total)


def memory_time(
    train_size: ArrayLike,
    kernel: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    order: int = 1,
) -> Any:
    """Return the training time at which a model of a given kernel learns its stored sequences.

    tau = K / s^2,   s^2 = sum_(j > n) lambda_j m_j alpha^(2 j),

    K over the trace of all degrees above n, those with more functions than K can tell apart: they
    act as one eigenvalue s^2 / K, of the part of each stored sequence that is its own and the same
    under all noise.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    kernel, seq_len, vocab_size : as for `kernel_eigenvalues`; of the whole model: `network_kernel`
        times its width.
    alpha : number or array in [0, 1]; probability that a token is kept; 1 for clean inputs.
    order : int, n in 0 .. L; the largest degree with fewer functions than K.

    Returns
    -------
    Broadcast shape; learning rate times steps for half the squared error of one output, inf where
    no degree above n is left.

    Raises
    ------
    ValueError for an argument out of range or a kernel of another shape.

    Notes
    -----
    A time scale of infinite width. With p features of moments `kernel_moments` it is
    1 / (v_d^2 + v_s^2 p / K), `random_feature_denoiser.time_scales`: proportional to K only as long
    as K is far below p v_s^2 / v_d^2.

    Unit: inverse of the kernel's

    Source: time scales of Bonnaire, Urfin, Biroli, Mezard 2025 (arXiv:2505.17638), with the
    trace above degree n; measured in `simulations/staircase/`.

    >>> round(memory_time(64, 256 * network_kernel(16), 16, 4, 0.8), 4)
    12.8769
    """
    length, vocab = resolved_sizes(seq_len, vocab_size)
    values = kernel_iv(kernel, length, vocab)
    order = up_to("order", order, length)
    size, kept = broadcast_iv(
        train_size=real_iv("train_size", train_size, SIZE),
        alpha=real_iv("alpha", alpha, PROBABILITY),
    )
    shares = (spectrum(values, length, vocab) * sizes(length, vocab))[: order + 1]
    powers = kept[..., None] ** (2 * np.arange(order + 1))
    trace = copies_mean(values, vocab, kept) - powers @ shares
    trace = np.where(trace > 1e-13 * abs(values).max(), trace, 0.0)
    return bare(np.divide(size, trace, out=np.full_like(size, np.inf), where=trace > 0))

"""Absorbing and uniform channels side by side: at which kept fractions the two compare.

At equal kept fraction, and at equal fraction of corrupted tokens, the absorbing channel tells more
about every source than the uniform one: masks become uniform tokens by drawing them. At equal
information, or equal capacity, neither dominates. Each function here turns a kept fraction, or a
load, of one into what it corresponds to for the other; noise times, whose meaning hangs on the
schedule, are left to `am_theory.channel`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._arrays import vocab_size_iv
from am_theory._inputs import NOT_NEGATIVE, PROBABILITY, Floats, Interval, bare, real_iv
from am_theory.information import capacity
from am_theory.random_coding import critical_alpha

__all__ = [
    "critical_ratio",
    "critical_ratio_large_vocab",
    "equal_capacity_alpha",
    "equal_corruption_alpha",
    "equal_information_alpha",
    "more_capable_alpha",
]

_BELOW_ONE = Interval(0.0, 1.0, open_high=True)
_SHARE = "It is the load in units of log V, log(train_size) / (seq_len log V)."


def equal_corruption_alpha(alpha: ArrayLike, vocab_size: int) -> Any:
    """Return the kept fraction of the absorbing channel that corrupts as many tokens as a uniform.

    alpha_E = alpha + (1 - alpha) / V: a redrawn token is unchanged with probability 1 / V.

    Parameters
    ----------
    alpha : number or array in [0, 1]; kept fraction of the uniform channel.
    vocab_size : int, V >= 2, the mask not counted.

    Returns
    -------
    Shape of `alpha`, in [1/V, 1]; never below `alpha`.

    Raises
    ------
    ValueError for `alpha` outside of [0, 1] or V < 2.

    Unit: dimensionless, probability that a token stays visible.

    Source: corruption rate of the uniform channel, Austin et al. 2021 (arXiv:2107.03006).

    >>> equal_corruption_alpha(0.5, 4)
    0.625
    """
    vocab, kept = vocab_size_iv(vocab_size), real_iv("alpha", alpha, PROBABILITY)
    return bare(kept + (1 - kept) / vocab)


def equal_capacity_alpha(alpha: ArrayLike, vocab_size: int) -> Any:
    """Return the kept fraction of the absorbing channel with the capacity of a uniform one.

    alpha_E = C(alpha, V) / log V: both then store the same number of random sequences as L grows.
    Parameters and errors as `equal_corruption_alpha`; the shape of `alpha`, in [0, alpha].

    Notes
    -----
    It makes the information about a source of independent uniform tokens equal. For other sources
    the absorbing channel may still tell less, unless V = 2: see `more_capable_alpha`.

    Unit: dimensionless, probability that a token stays visible.

    Source: Shannon 1948, symmetric channel; Elias 1955 (IRE Convention Record 4, 37), erasures.

    >>> round(equal_capacity_alpha(0.5, 4), 6)
    0.225603
    """
    vocab, kept = vocab_size_iv(vocab_size), real_iv("alpha", alpha, PROBABILITY)
    return bare(np.minimum(np.asarray(capacity(kept, vocab)) / np.log(vocab), kept))


def equal_information_alpha(
    target: ArrayLike,
    information: Callable[[float], float] | ArrayLike,
    alphas: ArrayLike | None = None,
) -> Any:
    """Return the kept fraction at which a channel passes a given information about its source.

    The alpha with I(alpha) = target, by bisection: I rises with alpha.

    Parameters
    ----------
    target : number or array; information in nats, such as that of another channel.
    information : function of one kept fraction that gives nats, such as
        `lambda alpha: am_theory.erasures.information(1000, 32, 4, alpha)`; or a table of its
        values at `alphas`, rising, which is read as straight between them.
    alphas : kept fractions of the table, rising, in [0, 1]; None with a function.

    Returns
    -------
    Shape of `target`, in [0, 1]; NaN where the channel never passes so little or so much.

    Raises
    ------
    TypeError for a table without `alphas` or a function with them; ValueError for a table that
    does not rise or does not fit, and for a `target` that is negative or infinite.

    Unit: dimensionless, probability that a token is kept.

    Source: data processing, Cover and Thomas 2006 (Elements of Information Theory, theorem 2.8.1):
    more kept tokens tell more.

    >>> from am_theory import empirical, erasures
    >>> known = empirical.information(1000, 32, 4, 0.5)
    >>> alpha = equal_information_alpha(known, lambda a: erasures.information(1000, 32, 4, a))
    >>> round(alpha, 6)
    0.214208
    """
    wanted = real_iv("target", target, NOT_NEGATIVE, "It is an information in nats.")
    if callable(information):
        if alphas is not None:
            raise TypeError("`alphas` go with a table; leave them out with a function.")
        return bare(_bisect(wanted, information))
    if alphas is None:
        raise TypeError(
            "`information` must be a function, or a table with `alphas` beside it; got neither."
        )
    at, values = _table_iv(alphas, information)
    return bare(np.interp(wanted, values, at, left=np.nan, right=np.nan))


def _bisect(wanted: Floats, information: Callable[[float], float]) -> Floats:
    ends = information(0.0), information(1.0)

    def root(nats: float) -> float:
        if not ends[0] <= nats <= ends[1]:
            return np.nan
        low, high = 0.0, 1.0
        for _ in range(54):
            middle = (low + high) / 2
            below = information(middle) < nats
            low, high = (middle, high) if below else (low, middle)
        return high

    return np.array([root(float(nats)) for nats in wanted.flat]).reshape(wanted.shape)


def _table_iv(alphas: ArrayLike, information: ArrayLike) -> tuple[Floats, Floats]:
    at = real_iv("alphas", alphas, PROBABILITY)
    values = real_iv("information", information, NOT_NEGATIVE)
    if at.ndim != 1 or at.shape != values.shape or at.size < 2:
        raise ValueError(
            f"`information` and `alphas` must be lists of the same two or more points; got shapes "
            f"{values.shape} and {at.shape}."
        )
    for name, column in (("alphas", at), ("information", values)):
        if np.any(np.diff(column) <= 0):
            raise ValueError(f"`{name}` must rise from point to point; sort or thin the table.")
    return at, values


def critical_ratio(load_share: ArrayLike, vocab_size: int) -> Any:
    """Return the critical noise level of the absorbing channel over that of the uniform one.

    (1 - rho) / (1 - alpha_c),   C(alpha_c, V) = rho log V,   noise counted as 1 - alpha.

    Parameters
    ----------
    load_share : number or array, rho in [0, 1); log(train_size) / (seq_len log V).
    vocab_size : int, V >= 2, the mask not counted.

    Returns
    -------
    Shape of `load_share`, >= 1, without bound as rho -> 1.

    Raises
    ------
    ValueError for `load_share` outside of [0, 1) or V < 2.

    Notes
    -----
    A ratio of times on every schedule on which t is proportional to 1 - alpha, as `LogLinear`.

    Unit: dimensionless, noise level over noise level.

    Source: Singleton against Gilbert-Varshamov line; checked in tests/am_theory/test_compare.py.

    >>> round(critical_ratio(0.5, 4), 6)
    1.981091
    """
    vocab = vocab_size_iv(vocab_size)
    share = real_iv("load_share", load_share, _BELOW_ONE, _SHARE)
    return bare((1 - share) / (1 - np.asarray(critical_alpha(share * np.log(vocab), vocab))))


def critical_ratio_large_vocab(load_share: ArrayLike, vocab_size: int) -> Any:
    """Return `critical_ratio` to leading order in 1 / log V.

    1 + h_2(rho) / [(1 - rho) log V],   h_2 the binary entropy in nats.
    Parameters, shape and errors as `critical_ratio`.

    Notes
    -----
    Below the exact ratio from V = 8 on: by 2 % at V = 50257 and rho <= 0.9, by 8 % at V = 32.

    Unit: dimensionless, noise level over noise level.

    Source: derived in tests/am_theory/test_compare.py, as the limit of `critical_ratio`.

    >>> round(critical_ratio_large_vocab(0.5, 50257), 3)
    1.128
    """
    vocab = vocab_size_iv(vocab_size)
    share = real_iv("load_share", load_share, _BELOW_ONE, _SHARE)
    return bare(1 + _binary_entropy(share) / ((1 - share) * np.log(vocab)))


def more_capable_alpha(alpha: ArrayLike, vocab_size: int) -> Any:
    """Return the kept fraction from which erasures tell at least as much about every source.

    eta = s [1 - h_2(w / s) / log 2],   w = (1 - alpha) / V, s = alpha + 2 w: the largest ratio of
    information to entropy over laws of a token, at two equally likely values.

    Parameters
    ----------
    alpha : number or array in [0, 1]; kept fraction of the uniform channel.
    vocab_size : int, V >= 2, the mask not counted.

    Returns
    -------
    Shape of `alpha`, in [0, alpha]; at least `equal_capacity_alpha`, and equal to it at V = 2.

    Raises
    ------
    ValueError for `alpha` outside of [0, 1] or V < 2.

    Notes
    -----
    I_E >= I_U then holds for sources of any length. That two equally likely values are the worst
    law is a numerical finding, for V up to 8, and not proved.

    Unit: dimensionless, probability that a token stays visible.

    Source: Korner and Marton 1977 for the order of channels; derived in
    tests/am_theory/test_compare.py.

    >>> round(more_capable_alpha(0.5, 4), 8)
    0.26248318
    """
    vocab, kept = vocab_size_iv(vocab_size), real_iv("alpha", alpha, PROBABILITY)
    wrong = (1 - kept) / vocab
    both = kept + 2 * wrong
    # 1 - h_2(p) / log 2 = C(1 - 2 p, 2) / log 2, which does not cancel at small alpha
    value = both * np.asarray(capacity(kept / both, 2)) / np.log(2)
    return bare(np.minimum(value, kept))


def _binary_entropy(p: Floats) -> Floats:
    some = np.where(p > 0, p, 1.0)
    return -p * np.log(some) - (1 - p) * np.log1p(-p)

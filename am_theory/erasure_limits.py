"""Stored random sequences behind erasures at large size: where retrieval sets in, and how fast.

Setting as in `am_theory.erasures`, which names these functions too: K = exp(kappa L) sequences of L
tokens are stored and a token stays visible with probability alpha. The visible ones alone decide:
retrieval fails where their number falls below log K / log V, so that the binary relative entropy
D(x || alpha) of that fraction is the rate of both exponents.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from am_theory._arrays import vocab_size_iv
from am_theory._inputs import NOT_NEGATIVE, Floats, Interval, bare, broadcast_iv, real_iv
from am_theory._random_patterns import divergence_near, finish, problem_iv
from am_theory.schedules import alpha_iv

__all__ = [
    "critical_alpha",
    "random_coding_exponent",
    "retrieval_probability_normal",
    "strong_converse_exponent",
]

_LOAD = "It is log(train_size) / seq_len, in nats."


def critical_alpha(log_load: ArrayLike, vocab_size: int) -> Any:
    """Return the visible fraction above which retrieval from erasures sets in as L grows.

    alpha_c = kappa / log V, with kappa = log K / L the load; alpha log V is the capacity.

    Parameters
    ----------
    log_load : number or array, kappa in [0, log V]; nats a token.
    vocab_size : int, V >= 2, the mask not counted.

    Returns
    -------
    Shape of `log_load`, in [0, 1]. `schedule.time_at` turns it into the critical noise level.

    Raises
    ------
    ValueError for a load below 0 or above log V, which no noise level can serve.

    Unit: dimensionless, probability that a token stays visible.

    Source: Elias 1955 (IRE Convention Record 4, 37), erasure channel.

    >>> round(critical_alpha(0.3, 4), 8)
    0.21640426
    """
    vocab = vocab_size_iv(vocab_size)
    top = float(np.log(vocab))
    return bare(
        real_iv("log_load", log_load, Interval(0.0, top), f"{_LOAD[:-1]}, at most log V.") / top
    )


def retrieval_probability_normal(
    train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike
) -> Any:
    """Return the normal approximation to retrieval from erasures, for alpha inside (0, 1).

    P = Phi([L alpha log V - log K + 1 - gamma] / [log V sqrt(L alpha (1 - alpha))]), gamma Euler's
    constant: the width is that of the number of visible tokens alone.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2, the mask not counted.
    alpha : number or array in [0, 1]; probability that a token stays visible.

    Returns
    -------
    Broadcast shape, in [0, 1]; NaN at alpha = 0 and 1.

    Raises
    ------
    ValueError for a size out of range or shapes that do not fit; ScheduleDomainError for `alpha`
    outside of [0, 1].

    Notes
    -----
    Off by at most 0.2 / sqrt(L alpha (1 - alpha)) for V = 2 and 0.09 for V from 4 to 256, within
    one and a half widths of the middle, L from 16 to 128 and alpha from 0.2 to 0.8.

    Unit: dimensionless, probability per query.

    Source: Polyanskiy, Poor, Verdu 2010 (IEEE Trans. Inf. Theory 56, 2307) for the width; constant
    derived in tests/am_theory/test_erasures.py.

    >>> round(retrieval_probability_normal(1000, 32, 4, 0.2), 3)
    0.777
    """
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    spread = np.log(vocab) * np.sqrt(length * kept * (1 - kept))
    excess = length * kept * np.log(vocab) - np.log(size) + 1 - np.euler_gamma
    return finish(ndtr(excess / np.where(spread > 0, spread, np.nan)))


def random_coding_exponent(log_load: ArrayLike, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return the rate at which errors of retrieval from erasures die out with L below capacity.

    E_r = D(rho || alpha), rho = kappa / log V, from rho = alpha down to
    rho = alpha / (alpha + V (1 - alpha)), and -log(1 - alpha + alpha / V) - kappa below.

    Parameters
    ----------
    log_load : number or array, kappa >= 0; log(train_size) / seq_len, nats a token.
    vocab_size : int, V >= 2, the mask not counted.
    alpha : number or array in [0, 1]; probability that a token stays visible.

    Returns
    -------
    Broadcast shape, >= 0; it is 0 from the capacity alpha log V on.

    Raises
    ------
    ValueError for a negative load or V < 2; ScheduleDomainError for `alpha` outside of [0, 1].

    Notes
    -----
    It is the rate of `am_theory.erasures.retrieval_error`.

    Unit: nats per token.

    Source: Gallager 1965 (IEEE Trans. Inf. Theory 11, 3), erasure channel; closed form checked in
    tests/am_theory/test_erasures.py.

    >>> round(random_coding_exponent(0.5, 4, 0.6), 8)
    0.11624524
    """
    load, share, kept = _loads_iv(log_load, vocab_size, alpha)
    straight = -np.log1p(-kept * (1 - 1 / vocab_size)) - load
    curved = share * (kept + vocab_size * (1 - kept)) >= kept
    value = np.where(curved, _divergence(np.minimum(share, kept), kept), straight)
    return bare(np.where(share < kept, np.maximum(value, 0.0), 0.0))


def strong_converse_exponent(log_load: ArrayLike, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return the rate at which retrieval from erasures itself dies out with L above capacity.

    E_sc = D(rho || alpha), rho = kappa / log V, from rho = alpha up to
    rho = alpha V / (alpha V + 1 - alpha), and kappa - log(1 - alpha + alpha V) beyond.
    Parameters and errors as `random_coding_exponent`.

    Returns
    -------
    Broadcast shape, >= 0; it is 0 up to the capacity alpha log V.

    Notes
    -----
    The true sequence's mean weight equals the retrieval probability here and has the same rate,
    which it has not in the uniform channel.

    Unit: nats per token.

    Source: Arimoto 1973 (IEEE Trans. Inf. Theory 19, 357), erasure channel; closed form checked in
    tests/am_theory/test_erasures.py.

    >>> round(strong_converse_exponent(1.2, 4, 0.6), 8)
    0.17038058
    """
    load, share, kept = _loads_iv(log_load, vocab_size, alpha)
    straight = load - np.log1p(kept * (vocab_size - 1))
    curved = share * (kept * vocab_size + 1 - kept) <= kept * vocab_size
    value = np.where(curved, _divergence(np.clip(share, kept, 1.0), kept), straight)
    return bare(np.where(share > kept, np.maximum(value, 0.0), 0.0))


def _loads_iv(
    log_load: ArrayLike, vocab_size: int, alpha: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Loads, the same in units of log V, and visible fractions."""
    vocab = vocab_size_iv(vocab_size)
    load, kept = broadcast_iv(
        log_load=real_iv("log_load", log_load, NOT_NEGATIVE, _LOAD),
        alpha=np.asarray(alpha_iv(alpha)[1], dtype=float),
    )
    return load, load / np.log(vocab), kept


def _divergence(share: Floats, kept: Floats) -> Floats:
    """D(share || kept); kept = 0 has no share on that branch."""
    some = np.where(kept > 0, kept, 0.5)
    return divergence_near(share - some, 1 - some)

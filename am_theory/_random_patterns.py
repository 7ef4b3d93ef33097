"""Counts of matches between a query and independent random sequences (private).

A query of L tokens matches an unrelated uniform sequence in Bin(L, 1/V) places and the sequence it
was made from in Bin(L, p) places, p = alpha + (1 - alpha) / V, all independently. Averages over the
K stored sequences reduce to sums over these counts.
"""

from __future__ import annotations

import operator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from am_theory._arrays import log_excess, vocab_size_iv
from am_theory.information import corruption_rate
from am_theory.schedules import alpha_iv

Floats = NDArray[np.float64]
Split = Literal["train", "test"]


def sizes_iv(train_size: ArrayLike, seq_len: Any, vocab_size: Any) -> tuple[Floats, int, int]:
    """Check the sizes of a memory."""
    try:
        length = 0 if isinstance(seq_len, bool) else operator.index(seq_len)
    except TypeError:
        length = 0
    if length < 1:
        raise ValueError(
            f"`seq_len` must be a whole number of at least 1; got {seq_len!r}. "
            "Call once for each length."
        )
    try:
        size = np.asarray(train_size, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`train_size` must hold real numbers; got {train_size!r}.") from error
    wrong = size[~((size >= 1) & np.isfinite(size))]
    if wrong.size:
        raise ValueError(
            f"`train_size` must be finite and at least 1; got {wrong.flat[0]}. "
            "It counts the stored sequences and is not a load or a fraction."
        )
    return size, length, vocab_size_iv(vocab_size)


def problem_iv(
    train_size: ArrayLike, seq_len: Any, vocab_size: Any, alpha: ArrayLike
) -> tuple[Floats, int, int, Floats]:
    """Check the sizes of a memory and the kept fractions it is queried at."""
    size, length, vocab = sizes_iv(train_size, seq_len, vocab_size)
    kept = np.asarray(alpha_iv(alpha)[1], dtype=float)
    try:
        np.broadcast_shapes(size.shape, kept.shape)
    except ValueError as error:
        raise ValueError(
            f"`train_size` and `alpha` must broadcast; got shapes {size.shape} and {kept.shape}. "
            "For a grid give one of them a trailing axis of length 1."
        ) from error
    return size, length, vocab, kept


def choice_iv(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"`{name}` must be one of {', '.join(allowed)}; got {value!r}.")


def finish(value: Any, top: float = np.inf) -> Any:
    """Python float for scalars; what rounding put above `top` or below 0 is taken off."""
    value = np.clip(value, 0.0, top)
    return float(value) if np.ndim(value) == 0 else value


def log_binomial(n: int, hit: Floats | float, miss: Floats | float) -> Floats:
    """log Bin(m; n, hit) for m = 0..n on a new last axis; hit + miss = 1, ends included."""
    m = np.arange(n + 1.0)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1.0, n + 1)))])
    log_choose = log_factorial[-1] - log_factorial - log_factorial[::-1]
    hit, miss = np.asarray(hit)[..., None], np.asarray(miss)[..., None]
    log_p = log_choose + xlogy(m, hit) + xlogy(n - m, miss)
    return log_p - np.logaddexp.reduce(log_p, axis=-1, keepdims=True)


def log_noise(seq_len: int, vocab_size: int) -> Floats:
    """log f(j), the law of the matches with an unrelated sequence, (L + 1,)."""
    return log_binomial(seq_len, 1 / vocab_size, (vocab_size - 1) / vocab_size)


class Best(NamedTuple):
    """Law of the largest of n independent match counts; arrays (..., L + 1)."""

    cdf: Floats
    pmf: Floats


def log_cdf(log_f: Floats) -> Floats:
    """log F(j) from log f(j), accurate in both tails."""
    below = np.logaddexp.accumulate(log_f)
    above = np.append(np.logaddexp.accumulate(log_f[:0:-1])[::-1], -np.inf)
    tail = np.minimum(above, np.log(0.5))
    return np.where(above < np.log(0.5), np.log1p(-np.exp(tail)), below)


def best_of(count: Floats, log_f: Floats) -> Best:
    """Law of the best of `count` >= 0 unrelated sequences, count of shape (...)."""
    log_F, n = log_cdf(log_f), np.asarray(count)[..., None]
    cdf = np.exp(n * log_F)
    drop = np.log1p(-np.exp((log_f - log_F)[1:]))
    rise = -np.expm1(n * drop) * cdf[..., 1:]
    return Best(cdf, np.concatenate([cdf[..., :1], rise], axis=-1))


def choice_probability(train_size: Floats, log_f: Floats) -> Floats:
    """g(m): the true sequence, with m matches, wins over K - 1 others, ties broken at random.

    g(m) = [F(m)^K - F(m - 1)^K] / (K f(m)), through the ratio r = f(m) / F(m).
    """
    log_F, n = log_cdf(log_f), np.asarray(train_size)[..., None]
    ratio = np.exp(np.minimum(log_f - log_F, 0.0))
    ratio[0] = 1.0
    with np.errstate(divide="ignore"):
        lost = -np.expm1(n * np.log1p(-ratio))
    tied = n * ratio
    share = np.where(tied > 0, lost / np.where(tied > 0, tied, 1.0), 1.0)
    return np.exp((n - 1) * log_F) * share


def true_matches(seq_len: int, vocab_size: int, alpha: Floats) -> Floats:
    """Law of the matches of the query with the sequence it was made from, (..., L + 1)."""
    miss = np.asarray(corruption_rate(alpha, vocab_size))
    return np.exp(log_binomial(seq_len, 1 - miss, miss))


def seen_map_recovery(size: Floats, L: int, V: int, kept: Floats, tokens: str) -> Floats:
    """Sum over m: the true sequence wins, or ties and loses at j = m, or is beaten by j > m."""
    log_f, m = log_noise(L, V), np.arange(L + 1.0)
    wins, best = choice_probability(size, log_f), best_of(size - 1, log_f)
    ties = np.maximum(best.cdf - wins, 0.0)
    beaten = above(best.pmf)
    lost, lost_matches = ties + beaten, ties * m + above(best.pmf * m)
    if tokens == "all":
        repaired = (lost_matches * m + (L * lost - lost_matches) * (L - m) / (V - 1)) / L**2
        return np.vecdot(wins + repaired, true_matches(L, V, kept))
    repaired = (L * lost - lost_matches) / (L * (V - 1))
    return np.vecdot((wins + repaired)[..., :L], true_matches(L - 1, V, kept))


def above(p: Floats) -> Floats:
    """Sum of p over indices strictly above, along the last axis."""
    total = np.cumsum(p[..., ::-1], axis=-1)[..., ::-1]
    return np.concatenate([total[..., 1:], np.zeros_like(p[..., :1])], axis=-1)


def divergence_near(step: Floats, miss: Floats) -> Floats:
    """D(p + step || p) for p = 1 - miss, without cancellation for small steps."""
    some = np.where(miss > 0, miss, 1.0)
    fall = np.where(miss > 0, -step / some, np.where(step < 0, np.inf, 0.0))
    up = log_excess(np.maximum(step / (1 - miss), -1.0))
    finite = np.where(np.isfinite(fall), np.maximum(fall, -1.0), 0.0)
    return (1 - miss) * up + np.where(np.isfinite(fall), miss * log_excess(finite), np.inf)

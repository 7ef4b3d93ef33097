"""Stored random sequences queried through erasures: the absorbing channel, in closed form.

K sequences of L tokens, uniform on V values and independent, are stored. The absorbing channel
leaves a token visible with probability alpha and puts the mask in its place otherwise; the mask is
none of the V values. The posterior is uniform on the N stored sequences that fit the n visible
tokens, N = 1 + Bin(K - 1, V^-n) on a query made from a stored one. Every rule that ends in one of
them, the most confident token first included, retrieves with the same probability E 1 / N, which is
also the true sequence's mean weight. Retrieval sets in where log K / L = alpha log V.

Retrieval and recovery are here; entropies and information in `am_theory.erasure_posterior`, the
limit of large L in `am_theory.erasure_limits`. All are named here. `am_theory.empirical` is the
same memory behind the uniform channel.

`train_size` (K >= 1, to 1e12 and beyond; real values interpolate) and `alpha` broadcast against
each other. Numbers in give a Python float, arrays in give an array.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from am_theory._commonest import commonest_bounds
from am_theory._consistent import by_size, fitting, right_share, visible, wrong_share
from am_theory._inputs import Floats
from am_theory._last_time import last_time, threshold_iv
from am_theory._random_patterns import Split, choice_iv, finish, problem_iv, sizes_iv
from am_theory.erasure_limits import (
    critical_alpha,
    random_coding_exponent,
    retrieval_probability_normal,
    strong_converse_exponent,
)
from am_theory.erasure_posterior import (
    information,
    posterior_entropy,
    token_entropy,
    zero_entropy_fraction,
)
from am_theory.schedules import Schedule

__all__ = [
    "RecoveryBounds",
    "basin_radius",
    "critical_alpha",
    "information",
    "posterior_entropy",
    "random_coding_exponent",
    "retrieval_error",
    "retrieval_probability",
    "retrieval_probability_normal",
    "strong_converse_exponent",
    "token_entropy",
    "token_recovery",
    "zero_entropy_fraction",
]


@dataclass(frozen=True)
class RecoveryBounds:
    """Bounds on the recovery of the Bayes choice token by token; see `token_recovery`.

    Attributes
    ----------
    low, high : equal to rounding where no more than 256 sequences can fit a query.
    """

    low: Any
    high: Any


def retrieval_probability(
    train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike
) -> Any:
    """Return the probability that a stored sequence is retrieved from what erasures left of it.

    P = E 1 / N = E w = sum_n Bin(n; L, alpha) [1 - (1 - V^-n)^K] / (K V^-n),   w the weight of the
    true sequence. It holds for every rule that ends in a stored sequence that fits the query.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2, the mask not counted.
    alpha : number or array in [0, 1]; probability that a token stays visible.

    Returns
    -------
    Broadcast shape, in [1/K, 1].

    Raises
    ------
    ValueError for a size out of range or shapes that do not fit; ScheduleDomainError for `alpha`
    outside of [0, 1].

    Notes
    -----
    Counts the right index, as `am_theory.empirical.retrieval_probability`, which is never larger
    at the same alpha: uniform tokens in place of masks only take information away.

    Unit: dimensionless, probability per query.

    Source: random code over the erasure channel, exact; checked by enumeration of all sets in
    tests/am_theory/test_erasures.py.

    >>> round(retrieval_probability(200, 16, 4, 0.3), 8)
    0.71931012
    """
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    share = right_share(size, fitting(length, vocab))
    return finish(np.vecdot(share, visible(length, kept)), 1.0)


def retrieval_error(train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return the probability that retrieval from erasures fails, to full relative precision.

    1 - P = E [1 - 1 / N], P the `retrieval_probability`, whose difference from 1 is lost below
    1e-16. Parameters and errors as there.

    Returns
    -------
    Broadcast shape, in [0, 1 - 1/K].

    Unit: dimensionless, probability per query.

    Source: as `retrieval_probability`.

    >>> round(retrieval_error(1000, 64, 8, 0.7) * 1e24, 6)
    2.227842
    """
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    share = wrong_share(size, fitting(length, vocab))
    return finish(np.vecdot(share, visible(length, kept)), 1.0)


def token_recovery(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    decoder: Literal["map", "sample", "argmax"] = "map",
    tokens: Literal["masked", "all"] = "masked",
    split: Split = "train",
) -> Any:
    """Return the expected fraction of tokens that the decoder puts right under erasures.

    R_masked = 1 / V + (1 - 1 / V) E 1 / N,   n ~ Bin(L - 1, alpha) at a masked site, for one of the
    fitting sequences; E M(N) / N for the token most of them have, M the mean of the largest of V
    multinomial counts;   R_all = alpha + (1 - alpha) R_masked.

    Parameters
    ----------
    train_size, seq_len, vocab_size, alpha : as `retrieval_probability`.
    decoder : "map" and "sample", a fitting stored sequence, which give the same; "argmax", at each
        masked site the commonest token of the fitting sequences, the Bayes choice.
    tokens : "masked", pooled over queries, or "all", the visible ones included.
    split : "train", the query is an erased stored sequence; "test", it is an unrelated one.

    Returns
    -------
    Broadcast shape, in [0, 1]; `RecoveryBounds` of that shape for "argmax".

    Raises
    ------
    As `retrieval_probability`, and ValueError for an unknown `decoder`, `tokens` or `split`.

    Notes
    -----
    At alpha = 1 the "masked" value is the limit: one masked token, the others visible. 1 / V on the
    test split for every rule. Visible tokens are left as they are, also where no stored sequence
    fits them. "argmax" interpolates linearly between whole K.

    Unit: dimensionless, recovered tokens per masked token (per token).

    Source: derived in tests/am_theory/test_erasures.py, by enumeration of all sets.

    >>> round(token_recovery(200, 16, 4, 0.3), 8)
    0.75519757
    >>> bounds = token_recovery(200, 16, 4, 0.3, decoder="argmax", tokens="all")
    >>> round(bounds.low, 6), round(bounds.high, 6)
    (0.846367, 0.846367)
    """
    choice_iv("decoder", decoder, ("map", "sample", "argmax"))
    choice_iv("tokens", tokens, ("masked", "all"))
    choice_iv("split", split, ("train", "test"))
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    weights, q = visible(length - 1, kept), fitting(length - 1, vocab)

    def pooled(value: Floats) -> Any:
        masked = np.vecdot(np.full_like(value, 1 / vocab) if split == "test" else value, weights)
        return finish(masked if tokens == "masked" else kept + (1 - kept) * masked, 1.0)

    if decoder == "argmax":
        bounds = by_size(size, lambda K: _commonest(K, q, vocab))
        return RecoveryBounds(pooled(bounds[..., 0, :]), pooled(bounds[..., 1, :]))
    return pooled(1 / vocab + (1 - 1 / vocab) * right_share(size, q))


def _commonest(size: float, q: Floats, vocab_size: int) -> Floats:
    """Bounds on E M(N) / N, (2, n), linear between whole K."""
    whole = np.floor(size)
    below, above = (
        np.stack(commonest_bounds(K, q, right_share(np.asarray(K), q), vocab_size))
        for K in (whole, whole + 1)
    )
    return below + (size - whole) * (above - below)


def basin_radius(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    threshold: float = 0.5,
    schedule: Schedule | None = None,
) -> Any:
    """Return the largest noise level t at which retrieval from erasures still succeeds often.

    t* = max {t : retrieval_probability(K, L, V, alpha(t)) >= threshold}.

    Parameters
    ----------
    train_size, seq_len, vocab_size : as `retrieval_probability`.
    threshold : number in (0, 1).
    schedule : anything with `alpha(t)`, falling in t; `LogLinear()` when left out.

    Returns
    -------
    Shape of `train_size`, in [0, 1]. It is 1.0 when even t = 1 meets the threshold (few sequences,
    such as K = 1), and NaN when not even t = 0 does (more sequences than V^L can tell apart).

    Raises as `retrieval_probability`, and ValueError for a `threshold` outside of (0, 1).

    Notes
    -----
    It lies within a few hundredths of its limit, where alpha log V = log K / L. Erasures placed by
    an adversary are survived while fewer than `am_theory.empirical.minimum_distance`.

    Unit: dimensionless, noise level t.

    Source: derived in tests/am_theory/test_erasures.py, by bisection: the probability falls
    with t.

    >>> round(basin_radius(1000, 32, 4, 0.5), 6)
    0.851916
    """
    threshold_iv(threshold)
    size, length, vocab = sizes_iv(train_size, seq_len, vocab_size)
    share = right_share(size, fitting(length, vocab))

    def success(alpha: Floats) -> Floats:
        return np.vecdot(share, visible(length, alpha))

    return last_time(success, threshold, size.shape, schedule)

"""What the posterior over erased stored random sequences knows: entropies and information.

Setting and arguments as in `am_theory.erasures`, which names these functions too. On the train
split the posterior is uniform on the N stored sequences that fit the visible tokens. An unrelated
query (split "test") is fitted by none, as a rule, and Bayes' rule has no answer; the limit of the
hybrid channel as its redrawn tokens vanish has: the T stored sequences that agree with most visible
tokens are equally likely.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._consistent import by_size, fitting, mean_log, visible
from am_theory._inputs import Floats
from am_theory._random_patterns import Split, choice_iv, finish, problem_iv
from am_theory._ties import mean_log_ties, unanimous

__all__ = ["information", "posterior_entropy", "token_entropy", "zero_entropy_fraction"]

_NEVER = 1e-17  # probability of a number of visible tokens that is left out on the test split


def posterior_entropy(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    split: Split = "train",
) -> Any:
    """Return the mean entropy of the posterior over the stored sequences, given an erased query.

    E H = E log N on the train split, N = 1 + Bin(K - 1, V^-n), n ~ Bin(L, alpha);   E log T on the
    test split, T the number of stored sequences that agree best.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2, the mask not counted.
    alpha : number or array in [0, 1]; probability that a token stays visible.
    split : "train", the query is an erased stored sequence; "test", it is an unrelated one.

    Returns
    -------
    Broadcast shape, in [0, log K].

    Raises
    ------
    ValueError for a size out of range, shapes that do not fit or an unknown `split`;
    ScheduleDomainError for `alpha` outside of [0, 1].

    Unit: nats per query.

    Source: Frullani's integral for log N; checked by enumeration of all sets in
    tests/am_theory/test_erasures.py.

    >>> round(posterior_entropy(200, 16, 4, 0.3), 8)
    0.61510949
    """
    choice_iv("split", split, ("train", "test"))
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    if split == "test":
        unsure = _unseen(lambda K, n: mean_log_ties(K, n, vocab, 1.0), size, length, kept)
        return finish(np.minimum(unsure, np.log(size)))
    unsure = mean_log(size, fitting(length, vocab))
    return finish(np.vecdot(unsure, visible(length, kept)))


def information(train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return the information that an erased query holds about which stored sequence made it.

    I(mu; x_t) = E [log K - log N], N as in `posterior_entropy`; dI / d alpha = L H_masked, with
    H_masked the `token_entropy`. Parameters and errors as `posterior_entropy`.

    Returns
    -------
    Broadcast shape, in [0, min(log K, L alpha log V)].

    Notes
    -----
    It is the negative ELBO of the optimal memorizer on a stored sequence, from this noise level on.
    Of an unrelated sequence the negative ELBO is infinite at every level.

    Unit: nats per query.

    Source: Shannon 1948; derivative by the area theorem, Ashikhmin, Kramer, ten Brink 2004 (IEEE
    Trans. Inf. Theory 50, 2657).

    >>> round(information(1000, 32, 4, 0.3007), 6)
    6.837726
    """
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    known = np.log(size)[..., None] - mean_log(size, fitting(length, vocab))
    most = np.minimum(np.log(size), length * kept * np.log(vocab))
    return finish(np.minimum(np.vecdot(known, visible(length, kept)), most))


def token_entropy(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    split: Split = "train",
) -> Any:
    """Return the mean entropy of the law of a masked token, given an erased query.

    H_masked = E [G(V^-n) - G(V^-(n + 1))],   G(q) = E log[1 + Bin(K - 1, q)],   n ~ Bin(L - 1,
    alpha) at a masked site;   on the test split E log T - E log[1 + Bin(T - 1, 1 / V)], T as in
    `posterior_entropy`. Parameters and errors as there.

    Returns
    -------
    Broadcast shape, in [0, log V].

    Notes
    -----
    At alpha = 1 it is the limit: one masked token, the others visible. There it falls as
    K V^(1 - L) (1 - 1 / V) log 2 for a stored sequence and stays away from 0 for an unrelated one.

    Unit: nats per masked token.

    Source: chain rule; checked by enumeration and simulation in tests/am_theory/test_erasures.py.

    >>> round(token_entropy(200, 12, 4, 1.0) * 1e5, 6), round(token_entropy(200, 16, 4, 0.3), 8)
    (2.466463, 0.40386309)
    >>> round(token_entropy(200, 12, 4, 1.0, split="test"), 8)
    0.40517019
    """
    choice_iv("split", split, ("train", "test"))
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    if split == "test":

        def entropy(K: float, n: int) -> float:
            return mean_log_ties(K, n, vocab, 1.0) - mean_log_ties(K, n, vocab, 1 / vocab)

        return finish(_unseen(entropy, size, length - 1, kept), float(np.log(vocab)))
    falls = -np.diff(mean_log(size, fitting(length, vocab)), axis=-1)
    return finish(np.vecdot(falls, visible(length - 1, kept)), float(np.log(vocab)))


def zero_entropy_fraction(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    split: Split = "train",
) -> Any:
    """Return the fraction of masked tokens whose law, given an erased query, is a single token.

    E [1 - V^-n (1 - 1 / V)]^(K - 1),   n ~ Bin(L - 1, alpha); on the test split the probability
    that all T sequences of `posterior_entropy` have the same token. Parameters and errors as there.

    Returns
    -------
    Broadcast shape, in [0, 1].

    Notes
    -----
    Also of an unrelated sequence most masked tokens have such a law where all others are visible:
    a law without entropy is no sign of a stored sequence.

    Unit: dimensionless, masked tokens per masked token.

    Source: derived in tests/am_theory/test_erasures.py, by enumeration of all sets.

    >>> round(zero_entropy_fraction(200, 12, 4, 1.0), 8)
    0.99996442
    >>> round(zero_entropy_fraction(200, 12, 4, 1.0, split="test"), 8)
    0.53949061
    """
    choice_iv("split", split, ("train", "test"))
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    if split == "test":
        return finish(_unseen(lambda K, n: unanimous(K, n, vocab), size, length - 1, kept), 1.0)
    other = fitting(length - 1, vocab) * (1 - 1 / vocab)
    alone = np.exp((size - 1)[..., None] * np.log1p(-other))
    return finish(np.vecdot(alone, visible(length - 1, kept)), 1.0)


def _unseen(value: Callable[[float, int], float], size: Floats, sites: int, kept: Floats) -> Floats:
    """Average of value(K, n) over the n of `sites` tokens that are visible."""
    weights = visible(sites, kept)
    occurs = np.max(weights.reshape(-1, sites + 1), axis=0) > _NEVER

    def row(K: float) -> Floats:
        return np.array([value(K, n) if seen else 0.0 for n, seen in enumerate(occurs)])

    return np.vecdot(by_size(size, row), weights)

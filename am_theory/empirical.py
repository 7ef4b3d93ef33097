"""The optimal denoiser of K stored random sequences: where, and how well, it retrieves.

K sequences of L tokens, uniform on V values and independent, are stored. A query is one of them
(split "train") or an unrelated sequence ("test") sent through the uniform channel, which keeps a
token with probability alpha. Bayes' rule weighs the stored sequences by exp(beta m_mu), m_mu their
matches with the query: an exponential associative memory. Retrieval sets in where
log K / L = C(alpha), the channel's capacity; all finite-size values below are exact.

`train_size` (K >= 1, to 1e12 and beyond; real values interpolate) and `alpha` broadcast against
each other. Numbers in give a Python float, arrays in give an array.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from am_theory._arrays import vocab_size_iv
from am_theory._posterior_average import average, seen_averages, unseen_averages, unseen_recovery
from am_theory._random_patterns import (
    Floats,
    choice_iv,
    choice_probability,
    finish,
    log_noise,
    problem_iv,
    seen_map_recovery,
    sizes_iv,
    true_matches,
)
from am_theory.channel import LogLinear, capacity, dispersion, inverse_temperature
from am_theory.schedules import Schedule

__all__ = [
    "basin_radius",
    "critical_alpha",
    "posterior_entropy",
    "retrieval_probability",
    "retrieval_probability_normal",
    "token_recovery",
    "true_weight",
]

Split = Literal["train", "test"]


def critical_alpha(log_load: ArrayLike, vocab_size: int) -> Any:
    """Return the kept fraction above which retrieval sets in as L grows at fixed load.

    It solves C(alpha, V) = kappa, with kappa = log K / L the load in nats a token.

    Parameters
    ----------
    log_load : number or array, kappa in [0, log V].
    vocab_size : int, V >= 2.

    Returns
    -------
    Shape of `log_load`, in [0, 1]. `schedule.time_at` turns it into the critical noise level.

    Raises
    ------
    ValueError for a load below 0 or above log V, which no noise level can serve.

    Source: Shannon 1948; Biroli, Bonnaire, de Bortoli, Mezard 2024 (arXiv:2402.18491) for the
    collapse of diffusion on its data, which is this line for tokens.

    >>> round(critical_alpha(0.3, 4), 8)
    0.48932304
    """
    vocab = vocab_size_iv(vocab_size)
    load = np.asarray(log_load, dtype=float)
    wrong = load[~((load >= 0) & (load <= np.log(vocab)))]
    if wrong.size:
        raise ValueError(
            f"`log_load` must lie in [0, log V] = [0, {np.log(vocab):.6g}]; got {wrong.flat[0]}. "
            "It is log(train_size) / seq_len, in nats."
        )
    low, high = np.zeros_like(load), np.ones_like(load)
    for _ in range(48):
        middle = (low + high) / 2
        below = capacity(middle, vocab) < load
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    root = high
    for _ in range(3):  # dC/d alpha = (V - 1) beta / V; brings small roots to full precision
        slope = (1 - 1 / vocab) * np.asarray(inverse_temperature(root, vocab))
        root = np.clip(root - (capacity(root, vocab) - load) / slope, 0.0, 1.0)
    return finish(np.where(load == 0, 0.0, np.where(load == np.log(vocab), 1.0, root)))


def retrieval_probability(
    train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike
) -> Any:
    """Return the probability that the stored sequence nearest to the query is the queried one.

    P = sum_m Bin(m; L, p) [F(m)^K - F(m - 1)^K] / (K f(m)),   p = alpha + (1 - alpha) / V,
    with f and F the law of the matches with an unrelated sequence, Bin(L, 1/V); ties are broken at
    random. No rule retrieves better on average.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.

    Returns
    -------
    Broadcast shape, in [1/K, 1].

    Raises
    ------
    ValueError for a size out of range or shapes that do not fit; ScheduleDomainError for `alpha`
    outside of [0, 1].

    Notes
    -----
    Counts the right index: the right sequence is found more often by at most (K - 1) V^-L.
    Cost L for each element of the broadcast shape.

    Source: maximum-likelihood decoding of a random code, exact; derived in tests/oracles.py.

    >>> round(retrieval_probability(8, 8, 2, 0.5), 6)
    0.528828
    """
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    g = choice_probability(size, log_noise(length, vocab))
    return finish(np.vecdot(g, true_matches(length, vocab, kept)), 1.0)


def retrieval_probability_normal(
    train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike
) -> Any:
    """Return the normal approximation to `retrieval_probability`, for alpha inside (0, 1).

    P = Phi([L C - log K + (log L) / 2] / sqrt(L U)), C the capacity and U the dispersion.
    Parameters, returns and errors as `retrieval_probability`; NaN at alpha = 0 and 1, where U = 0.
    Off by at most 0.05 for L >= 32 and 0.02 for L >= 128 near the middle of the transition (V = 4).

    Source: Polyanskiy, Poor, Verdu 2010 (IEEE Trans. Inf. Theory 56, 2307), third-order term kept.

    >>> round(retrieval_probability_normal(1000, 32, 4, 0.45), 3)
    0.771
    """
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    spread = np.sqrt(length * np.asarray(dispersion(kept, vocab)))
    excess = length * np.asarray(capacity(kept, vocab)) - np.log(size) + np.log(length) / 2
    return finish(ndtr(excess / np.where(spread > 0, spread, np.nan)))


def token_recovery(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    decoder: Literal["map", "sample"] = "map",
    tokens: Literal["all", "corrupted"] = "all",
    split: Split = "train",
) -> Any:
    """Return the expected fraction of tokens that the decoder puts right.

    A decoded sequence of j matches with the query, other than the true one with m, agrees with
    the clean sequence in a fraction [j m / L + (L - j) (L - m) / (L (V - 1))] / L of all sites, and
    (L - j) / (L (V - 1)) of the corrupted ones; on a test query j / L p + (1 - j / L) (1 - p) /
    (V - 1) of all. The law of j follows from the best of K - 1 (test: K) binomials, or from the
    posterior.

    Parameters
    ----------
    train_size, seq_len, vocab_size, alpha : as `retrieval_probability`.
    decoder : "map", the nearest stored sequence, ties at random; "sample", one posterior draw,
        which is the law that the exact reverse process ends in.
    tokens : "all", or "corrupted": changed tokens only, pooled over queries.
    split : "train", the query is a corrupted stored sequence; "test", it is an unrelated one.

    Returns
    -------
    Broadcast shape, in [0, 1].

    Raises
    ------
    As `retrieval_probability`, and ValueError for an unknown `decoder`, `tokens` or `split`.

    Notes
    -----
    At alpha = 1 the "corrupted" value is the limit: one changed token, the others intact.
    The Bayes-optimal choice token by token is not covered; no closed form is known for it.

    Source: derived in tests/oracles.py, by enumeration over all sets of stored sequences.

    >>> round(token_recovery(200, 16, 4, 0.5), 6)
    0.778149
    >>> round(token_recovery(200, 16, 4, 0.5, decoder="sample", tokens="corrupted"), 6)
    0.519739
    """
    choice_iv("decoder", decoder, ("map", "sample"))
    choice_iv("tokens", tokens, ("all", "corrupted"))
    choice_iv("split", split, ("train", "test"))
    problem = problem_iv(train_size, seq_len, vocab_size, alpha)
    if split == "test":
        return finish(unseen_recovery(*problem, decoder, tokens), 1.0)
    if decoder == "sample":
        field = "recovery" if tokens == "all" else "corrupted_recovery"
        return finish(average(seen_averages, field, *problem), 1.0)
    return finish(seen_map_recovery(*problem, tokens), 1.0)


def true_weight(train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return the mean posterior weight of the stored sequence that the query was made from.

    E w = sum_m Bin(m; L, p) int_0^inf e^(beta m) exp(-s e^(beta m)) M(s)^(K - 1) ds,
    with M(s) = sum_j Bin(j; L, 1/V) exp(-s e^(beta j)); it is the exact-retrieval probability of
    one posterior draw. Parameters, returns and errors as `retrieval_probability`, which bounds it.

    Source: Nishimori identity and 1/Z as a Laplace integral; derived in tests/oracles.py.

    >>> round(true_weight(1000, 32, 4, 0.5005), 8)
    0.83116616
    """
    problem = problem_iv(train_size, seq_len, vocab_size, alpha)
    return finish(average(seen_averages, "true_weight", *problem), 1.0)


def posterior_entropy(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    split: Split = "train",
) -> Any:
    """Return the mean entropy in nats of the posterior over the stored sequences.

    E H = E log Z - beta E sum_mu w_mu m_mu,   Z = sum_mu e^(beta m_mu); the last mean is L p on
    the train split, where the mutual information of index and query is log K - E H.
    Parameters as `token_recovery`, returns the broadcast shape in [0, log K], errors likewise.

    Source: Frullani's integral for log Z; derived in tests/oracles.py.

    >>> round(posterior_entropy(1000, 32, 4, 0.5005), 8)
    0.4586033
    """
    choice_iv("split", split, ("train", "test"))
    kernel = seen_averages if split == "train" else unseen_averages
    problem = problem_iv(train_size, seq_len, vocab_size, alpha)
    return finish(average(kernel, "entropy", *problem))


def basin_radius(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    threshold: float = 0.5,
    schedule: Schedule | None = None,
) -> Any:
    """Return the largest noise level t at which exact retrieval still succeeds often enough.

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

    Source: derived in tests/test_empirical_theory.py, by bisection: the probability falls with t.

    >>> round(basin_radius(1000, 32, 4, 0.5), 6)
    0.642914
    """
    if not 0 < threshold < 1:
        raise ValueError(
            f"`threshold` must lie inside (0, 1); got {threshold!r}. It is the retrieval "
            "probability asked for, such as 0.5."
        )
    size, L, V = sizes_iv(train_size, seq_len, vocab_size)
    schedule = LogLinear() if schedule is None else schedule
    g = choice_probability(size, log_noise(L, V))

    def holds(t: Floats) -> Any:
        kept = np.asarray(schedule.alpha(t), dtype=float)
        return np.vecdot(g, true_matches(L, V, kept)) >= threshold

    low, high = np.zeros(size.shape), np.ones(size.shape)
    at_start, at_end = holds(low), holds(high)
    for _ in range(54):
        middle = (low + high) / 2
        inside = holds(middle)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return finish(np.where(at_end, 1.0, np.where(at_start, low, np.nan)))

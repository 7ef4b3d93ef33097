"""The optimal denoiser of K stored random sequences: where, and how well, it retrieves.

K sequences of L tokens, uniform on V values and independent, are stored. A query is one of them
(split "train") or an unrelated sequence ("test") sent through the uniform channel, which keeps a
token with probability alpha. Bayes' rule weighs the stored sequences by exp(beta m_mu), m_mu their
matches with the query: an exponential associative memory. Retrieval sets in where
log K / L = C(alpha), the channel's capacity; all finite-size values below are exact.

Retrieval and recovery are here; the posterior's weights, entropy and loss in
`am_theory.memorization`, basins and bounds on any memory in `am_theory.basins`, clean queries in
`am_theory.trapping` and `am_theory.fixed_points`, volumes in `am_theory.attractors`, the limit of
large L in `am_theory.random_coding`. All are named here.

Retrieval, recovery, weight, entropy, information, basin radius and critical noise take a `channel`
of `am_theory.channels` for the noise of the query: None is `Uniform(V)`, `Absorbing(V)` leads to
`am_theory.erasures`, `Hybrid(V, p)` averages the uniform channel over the number of visible sites.

`train_size` (K >= 1, to 1e12 and beyond; real values interpolate) and `alpha` broadcast against
each other. Numbers in give a Python float, arrays in give an array.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from am_theory import _masked
from am_theory._inputs import Interval, broadcast_iv, real_iv
from am_theory._posterior_average import average, seen_averages, unseen_recovery
from am_theory._random_patterns import (
    Split,
    choice_iv,
    choice_probability,
    finish,
    log_noise,
    problem_iv,
    seen_map_recovery,
    sizes_iv,
    true_matches,
)
from am_theory.attractors import attractor_overlap, effective_attractors
from am_theory.basins import (
    ShannonBound,
    ShannonRadius,
    basin_radius,
    minimum_distance,
    shannon_bound,
    shannon_radius,
)
from am_theory.channel import capacity, dispersion
from am_theory.channels import Channel
from am_theory.fixed_points import (
    fixed_point_alpha,
    fixed_point_bound,
    fixed_point_log_capacity,
    fixed_point_share_small_noise,
)
from am_theory.memorization import (
    information,
    nelbo,
    posterior_entropy,
    train_test_gap_log_size,
    true_weight,
)
from am_theory.random_coding import (
    critical_alpha,
    one_step_log_capacity,
    random_coding_exponent,
    strong_converse_exponent,
    true_weight_exponent,
)
from am_theory.trapping import clean_weight, trap_alpha, trap_log_capacity

__all__ = [
    "ShannonBound",
    "ShannonRadius",
    "attractor_overlap",
    "basin_radius",
    "clean_weight",
    "critical_alpha",
    "effective_attractors",
    "fixed_point_alpha",
    "fixed_point_bound",
    "fixed_point_log_capacity",
    "fixed_point_share_small_noise",
    "information",
    "minimum_distance",
    "nelbo",
    "one_step_log_capacity",
    "posterior_entropy",
    "random_coding_exponent",
    "retrieval_probability",
    "retrieval_probability_errors",
    "retrieval_probability_normal",
    "shannon_bound",
    "shannon_radius",
    "strong_converse_exponent",
    "token_recovery",
    "train_test_gap_log_size",
    "trap_alpha",
    "trap_log_capacity",
    "true_weight",
    "true_weight_exponent",
]


def retrieval_probability(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    channel: Channel | None = None,
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
    channel : noise of the query, with the same V; None for `Uniform(V)`.

    Returns
    -------
    Broadcast shape, in [1/K, 1].

    Raises
    ------
    ValueError for a size out of range, shapes that do not fit or a channel of another V;
    ScheduleDomainError for `alpha` outside of [0, 1].

    Notes
    -----
    Counts the right index: the right sequence is found more often by at most (K - 1) V^-L.
    Cost L for each element of the broadcast shape.

    Unit: dimensionless, probability per query.

    Source: maximum-likelihood decoding of a random code, exact; derived in tests/oracles.py.

    >>> round(retrieval_probability(8, 8, 2, 0.5), 6)
    0.528828
    >>> from am_theory.channels import Hybrid
    >>> round(retrieval_probability(200, 16, 4, 0.35, channel=Hybrid(4, 0.1)), 8)
    0.67532582
    """
    problem = _masked.Problem(*problem_iv(train_size, seq_len, vocab_size, alpha))
    if (masking := _masked.masking_iv(channel, vocab_size)) is not None:
        return _masked.retrieval(masking, problem)
    size, length, vocab, kept = problem
    g = choice_probability(size, log_noise(length, vocab))
    return finish(np.vecdot(g, true_matches(length, vocab, kept)), 1.0)


def retrieval_probability_errors(
    train_size: ArrayLike, seq_len: int, vocab_size: int, errors: ArrayLike
) -> Any:
    """Return the probability that the nearest stored sequence is right after exactly D errors.

    g(L - D) = [F(m)^K - F(m - 1)^K] / (K f(m)) at m = L - D, as in `retrieval_probability`, which
    is its average over D ~ Bin(L, delta).

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    errors : whole number or array of them, D in [0, L]; sites of the query that differ from the
        stored sequence, placed and filled at random.

    Returns
    -------
    Broadcast shape, in [0, 1].

    Raises
    ------
    ValueError for a size out of range, an error count that is not whole or not in [0, L], or
    shapes that do not fit.

    Notes
    -----
    Random errors: the worst-case placement is survived only up to half of
    `minimum_distance(...)`. Counts the right index, as `retrieval_probability`.

    Unit: dimensionless, probability per query.

    Source: maximum-likelihood decoding of a random code, exact; derived in
    tests/am_theory/test_empirical.py.

    >>> round(retrieval_probability_errors(1000, 32, 4, 14), 8)
    0.90627656
    """
    size, length, vocab = sizes_iv(train_size, seq_len, vocab_size)
    hint = "It counts the wrong tokens of the query; for a noise level use `retrieval_probability`."
    count = real_iv("errors", errors, Interval(0, length), hint)
    if np.any(count != np.round(count)):
        raise ValueError(f"`errors` must hold whole numbers; got {errors!r}. {hint}")
    size, count = broadcast_iv(train_size=size, errors=count)
    right = choice_probability(size, log_noise(length, vocab))
    at = (length - count).astype(int)[..., None]
    return finish(np.take_along_axis(right, at, axis=-1)[..., 0], 1.0)


def retrieval_probability_normal(
    train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike
) -> Any:
    """Return the normal approximation to `retrieval_probability`, for alpha inside (0, 1).

    P = Phi([L C - log K + (log L) / 2] / sqrt(L U)), C the capacity and U the dispersion.
    Parameters, returns and errors as `retrieval_probability`; NaN at alpha = 0 and 1, where U = 0.
    Off by O(1 / sqrt(L U)): at most 0.4 / sqrt(L U) within one and a half widths of the middle of
    the transition for V from 2 to 8 and alpha from 0.3 to 0.7; at most 0.05 for V = 4, L = 32 and
    alpha = 1/2.

    Unit: dimensionless, probability per query.

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
    channel: Channel | None = None,
) -> Any:
    """Return the expected fraction of tokens that the decoder puts right.

    A decoded sequence of j matches with the query, other than the true one with m, agrees with
    the clean sequence in a fraction [j m / L + (L - j) (L - m) / (L (V - 1))] / L of all sites, and
    (L - j) / (L (V - 1)) of the corrupted ones; on a test query j / L p + (1 - j / L) (1 - p) /
    (V - 1) of all. The law of j follows from the best of K - 1 (test: K) binomials, or from the
    posterior.

    Parameters
    ----------
    train_size, seq_len, vocab_size, alpha, channel : as `retrieval_probability`.
    decoder : "map", the nearest stored sequence, ties at random; "sample", one posterior draw,
        which is the law that the exact reverse process ends in.
    tokens : "all", or "corrupted": changed and masked tokens only, pooled over queries.
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

    Unit: dimensionless, recovered tokens per token (per corrupted token).

    Source: derived in tests/oracles.py, by enumeration over all sets of stored sequences.

    >>> round(token_recovery(200, 16, 4, 0.5), 6)
    0.778149
    >>> round(token_recovery(200, 16, 4, 0.5, decoder="sample", tokens="corrupted"), 6)
    0.519739
    """
    choice_iv("decoder", decoder, ("map", "sample"))
    choice_iv("tokens", tokens, ("all", "corrupted"))
    choice_iv("split", split, ("train", "test"))
    problem = _masked.Problem(*problem_iv(train_size, seq_len, vocab_size, alpha))
    if (masking := _masked.masking_iv(channel, vocab_size)) is not None:
        return _masked.recovery(masking, problem, decoder, tokens, split)
    if split == "test":
        return finish(unseen_recovery(*problem, decoder, tokens), 1.0)
    if decoder == "sample":
        field = "recovery" if tokens == "all" else "corrupted_recovery"
        return finish(average(seen_averages, field, *problem), 1.0)
    return finish(seen_map_recovery(*problem, tokens), 1.0)

"""What the posterior over stored random sequences knows: weights, entropy, information, loss.

Setting and arguments as in `am_theory.empirical`, which names these functions too: K random
sequences are stored, a corrupted one (split "train") or an unrelated one ("test") is the query, and
Bayes' rule weighs the stored ones by exp(beta m_mu), m_mu their matches. All values are exact.
A `channel` of `am_theory.channels` other than the uniform one masks tokens of the query.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory import _masked
from am_theory._inputs import Floats, Interval, bare, broadcast_iv, real_iv
from am_theory._posterior_average import average, recovery_gap, seen_averages, unseen_averages
from am_theory._random_patterns import Split, choice_iv, finish, problem_iv
from am_theory._roots import brentq
from am_theory.channels import Channel
from am_theory.information import capacity, dispersion

__all__ = [
    "information",
    "nelbo",
    "posterior_entropy",
    "train_test_gap_log_size",
    "true_weight",
]

_LOG_MOST = 690.0  # log of the largest number of sequences that a float can count


def true_weight(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    channel: Channel | None = None,
) -> Any:
    """Return the mean posterior weight of the stored sequence that the query was made from.

    E w = sum_m Bin(m; L, p) int_0^inf e^(beta m) exp(-s e^(beta m)) M(s)^(K - 1) ds,
    with M(s) = sum_j Bin(j; L, 1/V) exp(-s e^(beta j)); it is the exact-retrieval probability of
    one posterior draw. Parameters, returns and errors as `retrieval_probability`, which bounds it.

    Unit: dimensionless, probability per query.

    Source: Nishimori identity and 1/Z as a Laplace integral; derived in tests/oracles.py.

    >>> round(true_weight(1000, 32, 4, 0.5005), 8)
    0.83116616
    """
    problem = _masked.Problem(*problem_iv(train_size, seq_len, vocab_size, alpha))
    if (masking := _masked.masking_iv(channel, vocab_size)) is not None:
        return _masked.weight(masking, problem)
    return finish(average(seen_averages, "true_weight", *problem), 1.0)


def posterior_entropy(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    split: Split = "train",
    channel: Channel | None = None,
) -> Any:
    """Return the mean entropy in nats of the posterior over the stored sequences.

    E H = E log Z - beta E sum_mu w_mu m_mu,   Z = sum_mu e^(beta m_mu); the last mean is L p on
    the train split, where the mutual information of index and query is log K - E H.
    Parameters as `token_recovery`, returns the broadcast shape in [0, log K], errors likewise.

    Unit: nats per query.

    Source: Frullani's integral for log Z; derived in tests/oracles.py.

    >>> round(posterior_entropy(1000, 32, 4, 0.5005), 8)
    0.4586033
    """
    choice_iv("split", split, ("train", "test"))
    problem = _masked.Problem(*problem_iv(train_size, seq_len, vocab_size, alpha))
    if (masking := _masked.masking_iv(channel, vocab_size)) is not None:
        return _masked.entropy(masking, problem, split)
    kernel = seen_averages if split == "train" else unseen_averages
    return finish(average(kernel, "entropy", *problem))


def information(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    channel: Channel | None = None,
) -> Any:
    """Return the information that the query holds about which stored sequence made it.

    I(mu; x_t) = log K - E H(mu | x_t), with E H the `posterior_entropy` of the train split.
    Parameters and errors as `true_weight`.

    Returns
    -------
    Broadcast shape, in [0, min(log K, L C)], C the capacity of the channel.

    Notes
    -----
    A difference of two numbers near log K where alpha is small: absolute error about 1e-12 log K.

    Unit: nats per query.

    Source: Shannon 1948; derived in tests/oracles.py, by enumeration of all sets of sequences.

    >>> round(information(1000, 32, 4, 0.5005), 6)
    6.449152
    """
    problem = _masked.Problem(*problem_iv(train_size, seq_len, vocab_size, alpha))
    if (masking := _masked.masking_iv(channel, vocab_size)) is not None:
        return _masked.known(masking, problem)
    size, length, vocab, kept = problem
    unsure = average(seen_averages, "entropy", size, length, vocab, kept)
    most = np.minimum(np.log(size), length * np.asarray(capacity(kept, vocab)))
    return finish(np.minimum(np.log(size) - unsure, most))


def nelbo(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    split: Split = "train",
) -> Any:
    """Return the negative ELBO of the optimal memorizer, of a sequence from one noise level on.

    E KL(q(x_t | x_0) || p(x_t)) = -L log((1 - alpha) / V) + log K - E log Z - L h, p the law of
    noisy stored sequences, Z = sum_mu e^(beta m_mu), h = h_2(delta) + delta log(V - 1).

    Parameters
    ----------
    train_size, seq_len, vocab_size : as `true_weight`.
    alpha : number or array in [0, 1]; kept fraction at the least noisy time t_0 of the integral.
    split : "train", a stored sequence; "test", an unrelated one.

    Returns
    -------
    Broadcast shape, >= 0. On the train split it equals `information` and tends to log K as
    alpha -> 1; on the test split it diverges there, and is inf at alpha = 1.

    Raises
    ------
    As `true_weight`, and ValueError for an unknown `split`.

    Notes
    -----
    Reconstruction from x_t to x_0 is not counted. In terms of the posterior it is
    log K - E H + beta (L p - J), J the matches of a posterior draw, L p on the train split.
    Both splits are monotone in K: the optimal memorizer has no peak of the test loss.

    Unit: nats per sequence.

    Source: NELBO of an exact diffusion as a divergence, Sohl-Dickstein et al. 2015
    (arXiv:1503.03585); derived in am_theory/derivations/memory.py.

    >>> round(nelbo(64, 12, 4, 0.7003), 6), round(nelbo(64, 12, 4, 0.7003, split="test"), 6)
    (3.918485, 9.358658)
    """
    choice_iv("split", split, ("train", "test"))
    if split == "train":
        return information(train_size, seq_len, vocab_size, alpha)
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    loss = average(unseen_averages, "loss", size, length, vocab, kept)
    return finish(np.where(np.broadcast_to(kept, loss.shape) == 1, np.inf, loss))


def train_test_gap_log_size(gap: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return log K at which a stored and an unseen sequence are recovered equally well, nearly.

    It solves R_train(K) - R_test(K) = gap, R the `token_recovery` of all tokens by one posterior
    draw; the difference falls with K, from 1 - R_test(1) at K = 1 to 0.

    Parameters
    ----------
    gap : number or array, in (0, 1); difference in recovery, such as 0.01.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.

    Returns
    -------
    Broadcast shape, >= 0. NaN where one stored sequence alone has a smaller gap, and where no
    number of sequences up to e^690 has so small a one.

    Raises
    ------
    ValueError for a `gap` outside of (0, 1), sizes out of range or shapes that do not fit;
    ScheduleDomainError for `alpha` outside of [0, 1].

    Notes
    -----
    Divided by L C it tends to 1 from above as L grows: the optimal memorizer generalizes only at K
    exponential in L. Integrands are tabulated once for each `alpha`, then a bracketed root search
    runs in log K.

    Unit: nats, logarithm of a number of sequences.

    Source: derived in tests/am_theory/test_memorization.py, from the exact recoveries.

    >>> round(train_test_gap_log_size(0.01, 12, 4, 0.5005), 4)
    10.1637
    """
    inside = Interval(0.0, 1.0, open_low=True, open_high=True)
    hint = "It is a difference of recoveries, such as 0.01."
    target = real_iv("gap", gap, inside, hint)
    _, length, vocab, kept = problem_iv(1, seq_len, vocab_size, alpha)
    target, kept = broadcast_iv(gap=target, alpha=kept)
    out = np.full(target.shape, np.nan)
    for value in np.unique(kept):
        here = np.flatnonzero(kept.flat == value)
        out.flat[here] = _gap_roots(target.flat[here], length, vocab, float(value))
    return bare(out)


def _gap_roots(targets: Floats, seq_len: int, vocab_size: int, alpha: float) -> Floats:
    """log K for each target at one alpha; the table grows until it holds the smallest target."""
    spread = float(np.sqrt(seq_len * dispersion(alpha, vocab_size)))
    top = min(seq_len * float(capacity(alpha, vocab_size)) + 4 * spread + 10, _LOG_MOST)
    curve = recovery_gap(np.exp(top), seq_len, vocab_size, alpha)
    while curve(top) > targets.min() and top < _LOG_MOST:
        top = min(2 * top, _LOG_MOST)
        curve = recovery_gap(np.exp(top), seq_len, vocab_size, alpha)

    def root(target: float) -> float:
        if not curve(top) <= target <= curve(0.0):
            return np.nan
        return float(brentq(lambda log_size: curve(log_size) - target, 0.0, top, xtol=1e-12))

    return np.array([root(float(target)) for target in targets])

"""Averages over the posterior of K stored random sequences, by one-dimensional integrals (private).

Where the partition function Z = sum_mu exp(beta m_mu) divides, 1 / Z = int_0^inf exp(-s Z) ds, and

    E exp(-s Z) = M(s)^(K - 1) sum_m Bin(m; L, p) exp(-s e^(beta m)),
    M(s) = sum_j Bin(j; L, 1/V) exp(-s e^(beta j)).

The trapezoid rule in u = log s converges geometrically here: for whole K the integrands are
analytic and bounded for |Im u| < pi / 2, where |M(s)| <= M(Re s), so that a step h leaves an error
of order exp(-pi^2 / h). Tests halve the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from am_theory._random_patterns import Floats, best_of, log_binomial, log_noise
from am_theory.information import corruption_rate, inverse_temperature

_STEP = 0.1  # in u; exp(-pi^2 / 0.1) = 1e-43 for whole K
_WIDE_STEP = 0.25  # exp(-pi^2 / 0.25) = 7e-18
_BLOCK = 512  # points of u treated at a time
_RARE = -100.0  # log-probability below which a number of matches is left out
_FLAT = 80.0  # |log| beyond which exp(-e^x) counts as 0 or 1


class SeenAverages(NamedTuple):
    """Posterior averages when the query is a corrupted stored sequence; arrays (K,)."""

    true_weight: Floats
    recovery: Floats
    corrupted_recovery: Floats
    entropy: Floats


class CleanAverages(NamedTuple):
    """Posterior averages when the query is a stored sequence itself; arrays (K,)."""

    true_weight: Floats


class UnseenAverages(NamedTuple):
    """Posterior averages when the query is unrelated to the stored sequences; arrays (K,)."""

    matches: Floats  # of a posterior draw with the query
    entropy: Floats
    loss: Floats  # divergence of the noisy query's law from that of the noisy stored sequences


class _Counts(NamedTuple):
    """Match counts that matter: (n,) values and log-probabilities, (rows, n) weights."""

    value: Floats
    log_p: Floats
    weights: Floats


def _kept(log_p: Floats, weights: list[Floats], log_copies: float = 0.0) -> _Counts:
    near = log_p + log_copies > _RARE
    return _Counts(np.flatnonzero(near).astype(float), log_p[near], np.stack(weights)[:, near])


def _laplace(
    u: Floats, beta: float, counts: _Counts, log_copies: float = 0.0
) -> tuple[Floats, Floats, Floats]:
    """Sums over counts m of weights times e^(-E), E e^(-E) and 1 - e^(-E), with E = e^(u + beta m).

    Counts whose E is plainly 0 or infinite on the stretch `u` enter through ready-made sums.
    """
    value, _, weights = counts
    low = np.searchsorted(beta * value, -u[-1] - _FLAT - log_copies)
    high = np.searchsorted(beta * value, -u[0] + np.log(_FLAT) + 2)
    active = weights[:, low:high]
    energy = np.exp(np.minimum(u[:, None] + beta * value[low:high], 600.0))
    damp = np.exp(-energy)
    alive = weights[:, :low].sum(axis=1) + damp @ active.T
    return (
        alive,
        (energy * damp) @ active.T,
        -np.expm1(-energy) @ active[0] + weights[0, high:].sum(),
    )


def _power(log_m: Floats, count: Floats) -> Floats:
    """M^n on a (K, u) grid."""
    return np.exp(count[:, None] * log_m)


def _log_laplace(lost: Floats, alive: Floats) -> Floats:
    """log M, from 1 - M while that is small; floored where M itself is beyond reach."""
    small = np.minimum(lost, 0.5)
    return np.where(lost < 0.5, np.log1p(-small), np.log(np.maximum(alive, 1e-300)))


def _grid(beta: float, fewest: float, step: float, *laws: tuple[_Counts, float]) -> list[Floats]:
    """Blocks of u that cover the integrands: from E sum e^(u + beta m) = e^-40 to e^-e^5.

    Beyond the right end even `fewest` matches leave nothing of exp(-e^(u + beta m)).
    """
    peaks = [c.log_p + copies + beta * c.value for c, copies in laws]
    left = -np.logaddexp.reduce(np.concatenate(peaks)) - 40.0
    right = 5.0 - beta * fewest
    points = left + step * np.arange(int(np.ceil((right - left) / step)) + 1)
    return np.split(points, range(_BLOCK, points.size, _BLOCK))


class _SeenBlock(NamedTuple):
    """What does not depend on the number of sequences on a stretch of u; arrays (n,)."""

    log_m: Floats  # log M
    alive: Floats  # E exp(-s e^(beta m)) of the true sequence
    win: Floats  # posterior weight of the true sequence
    win_repair: Floats  # the same, corrupted sites
    agree: Floats  # agreement of a wrong sequence with the true one
    repair: Floats  # the same, corrupted sites
    matches: Floats  # matches of a wrong sequence with the query


def _seen_blocks(
    most: float, seq_len: int, vocab_size: int, alpha: float, step: float, unseen: bool = False
) -> Iterator[_SeenBlock]:
    """Integrands, up to powers of M, for up to `most` stored sequences, in blocks of u.

    With `unseen` they reach as far as a query without a true sequence needs. The agreement of a
    wrong sequence of j matches with the true one of m is bilinear in j and m, which splits the
    double sum over them. Corrupted sites see m from the L - 1 other sites.
    """
    L, V = seq_len, vocab_size
    beta, miss = inverse_temperature(alpha, V), corruption_rate(alpha, V)
    m, copies = np.arange(L + 1.0), float(np.log(most))
    log_f, log_b = log_noise(L, V), log_binomial(L, 1 - miss, miss)
    log_rest = np.append(log_binomial(L - 1, 1 - miss, miss), -np.inf)
    f, b = np.exp(log_f), np.exp(log_b)
    wrong = _kept(log_f, [f, f * m, f * (L - m)], copies)
    true = _kept(np.maximum(log_b, log_rest), [b, b * m, b * (L - m), np.exp(log_rest)])
    fewest = min(true.value[0], wrong.value[0]) if unseen else true.value[0]

    def block(u: Floats) -> _SeenBlock:
        alive, rate, _ = _laplace(u, beta, true)
        still, lost_rate, lost = _laplace(u, beta, wrong, copies)
        return _SeenBlock(
            log_m=_log_laplace(lost, still[:, 0]),
            alive=alive[:, 0],
            win=rate[:, 0],
            win_repair=rate[:, 3],
            agree=(lost_rate[:, 1] * alive[:, 1] + lost_rate[:, 2] * alive[:, 2] / (V - 1)) / L**2,
            repair=lost_rate[:, 2] * alive[:, 3] / (L * (V - 1)),
            matches=lost_rate[:, 1],
        )

    return map(block, _grid(beta, fewest, step, (true, 0.0), (wrong, copies)))


def seen_averages(train_size: Floats, seq_len: int, vocab_size: int, alpha: float) -> SeenAverages:
    """Averages of the posterior over K stored sequences, one of which made the query.

    The entropy is -E log w_true, equal to E H on average over the query (Nishimori).
    """
    K = train_size
    total = np.zeros((4, K.size))
    for block in _seen_blocks(float(K.max()), seq_len, vocab_size, alpha, _STEP):
        one, two = _power(block.log_m, K - 1), _power(block.log_m, K - 2)
        total[0] += one @ block.win
        total[1] += (K - 1) * (two @ block.agree)
        total[2] += one @ block.win_repair + (K - 1) * (two @ block.repair)
        total[3] += -np.expm1((K - 1)[:, None] * block.log_m) @ block.alive
    weight, agreed, repaired, entropy = total * _STEP
    return SeenAverages(weight, weight + agreed, repaired, entropy)


def clean_averages(
    train_size: Floats, seq_len: int, vocab_size: int, alpha: float
) -> CleanAverages:
    """Averages of the posterior when all L tokens of the query match the true sequence."""
    K, beta = train_size, inverse_temperature(alpha, vocab_size)
    log_f, copies = log_noise(seq_len, vocab_size), float(np.log(K.max()))
    wrong = _kept(log_f, [np.exp(log_f)], copies)
    true = _Counts(np.array([float(seq_len)]), np.zeros(1), np.ones((1, 1)))
    weight = np.zeros(K.size)
    for u in _grid(beta, float(seq_len), _STEP, (true, 0.0), (wrong, copies)):
        win = _laplace(u, beta, true)[1][:, 0]
        still, _, lost = _laplace(u, beta, wrong, copies)
        weight += _power(_log_laplace(lost, still[:, 0]), K - 1) @ win
    return CleanAverages(_STEP * weight)


def recovery_gap(
    most: float, seq_len: int, vocab_size: int, alpha: float
) -> Callable[[float], float]:
    """Train minus test recovery of one posterior draw, as a function of log K <= log most.

    The integrands are tabulated once, so that a call costs little.
    """
    blocks = _seen_blocks(most, seq_len, vocab_size, alpha, _WIDE_STEP, unseen=True)
    table = _SeenBlock(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))
    miss = corruption_rate(alpha, vocab_size)

    def gap(log_size: float) -> float:
        K = np.exp(log_size)
        one = np.exp((K - 1) * table.log_m)
        train = one @ table.win + (K - 1) * (np.exp((K - 2) * table.log_m) @ table.agree)
        share = _WIDE_STEP * K * (one @ table.matches) / seq_len
        test = share * (1 - miss) + (1 - share) * miss / (vocab_size - 1)
        return float(_WIDE_STEP * train - test)

    return gap


def unseen_averages(
    train_size: Floats, seq_len: int, vocab_size: int, alpha: float
) -> UnseenAverages:
    """Averages of the posterior over K stored sequences, all unrelated to the query.

    E H = E log Z - beta J with J the matches of a posterior draw, and
    E log Z = log c + int [exp(-c e^u) - M(e^u)^K] du for any c; here log c = beta J.
    """
    K, beta = train_size, inverse_temperature(alpha, vocab_size)
    m, copies = np.arange(seq_len + 1.0), float(np.log(K.max()))
    log_f = log_noise(seq_len, vocab_size)
    counts = _kept(log_f, [np.exp(log_f), m * np.exp(log_f)], copies)
    matches, gone = np.zeros(K.size), []
    blocks, step = _grid(beta, counts.value[0], _STEP, (counts, copies)), _STEP
    for u in blocks:
        still, rate, lost = _laplace(u, beta, counts, copies)
        log_m = _log_laplace(lost, still[:, 0])
        matches += step * K * (_power(log_m, K - 1) @ rate[:, 1])
        gone.append(-np.expm1(K[:, None] * log_m))
    u = np.concatenate(blocks)
    centre = np.exp(np.minimum(u + beta * matches[:, None], 600.0))
    total = step * np.sum(np.concatenate(gone, axis=1) + np.expm1(-centre), axis=1)
    entropy, true = np.maximum(total, 0.0), seq_len * (1 - corruption_rate(alpha, vocab_size))
    loss = np.log(K) - entropy + beta * (true - matches)
    return UnseenAverages(matches, entropy, loss)


def average(
    kernel: Callable[..., SeenAverages | CleanAverages | UnseenAverages],
    field: str,
    size: Floats,
    length: int,
    vocab: int,
    kept: Floats,
) -> Floats:
    """Call the quadrature once for each distinct alpha, with all its train sizes."""
    size, kept = np.broadcast_arrays(size, kept)
    out = np.empty(size.shape)
    for value in np.unique(kept):
        here = kept == value
        out[here] = getattr(kernel(size[here], length, vocab, float(value)), field)
    return out


def unseen_recovery(
    size: Floats, L: int, V: int, kept: Floats, decoder: str, tokens: str
) -> Floats:
    if decoder == "map":
        j = best_of(size, log_noise(L, V)).pmf @ np.arange(L + 1.0)
        size, kept, j = np.broadcast_arrays(size, kept, j)
    else:
        j = average(unseen_averages, "matches", size, L, V, kept)
    if tokens == "corrupted":
        return (L - j) / (L * (V - 1))
    miss = np.asarray(corruption_rate(kept, V))
    return (j * (1 - miss) + (L - j) * miss / (V - 1)) / L

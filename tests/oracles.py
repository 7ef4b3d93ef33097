"""Brute force for tiny problems: every sequence, every noisy sequence, every set of patterns.

Nothing here uses the formulas under test. A law is an array (N,) of probabilities over the
N = V**L <= 4096 rows of `all_sequences(V, L)`. `alpha` is the kept fraction of the uniform channel,
or probabilities (kept, redrawn, masked) of any other, whose noisy tokens may be the mask V.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

# A three-letter Markov chain with known information quantities: transition and stationary law.
CHAIN = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]])
CHAIN_START = np.array([5.0, 5.0, 4.0]) / 14.0


def all_sequences(vocab_size: int, seq_len: int) -> np.ndarray:
    """Every sequence, (V**L, L), in lexicographic order."""
    if vocab_size**seq_len > 4096:
        raise ValueError("enumeration is meant for V**L <= 4096")
    grid = np.indices((vocab_size,) * seq_len)
    return grid.reshape(seq_len, -1).T.copy()


def sequence_index(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """Row of `all_sequences` that holds each of `tokens` (..., L)."""
    tokens = np.asarray(tokens, dtype=np.int64)
    return tokens @ (vocab_size ** np.arange(tokens.shape[-1])[::-1])


# --- laws of the clean sequence


def markov_law(start: np.ndarray, transition: np.ndarray, seq_len: int) -> np.ndarray:
    """Law of a Markov chain over all sequences, (N,)."""
    seqs = all_sequences(len(start), seq_len)
    steps = transition[seqs[:, :-1], seqs[:, 1:]]
    return start[seqs[:, 0]] * steps.prod(axis=1)


def hidden_markov_law(
    start: np.ndarray, transition: np.ndarray, emission: np.ndarray, seq_len: int
) -> np.ndarray:
    """Law of the emitted tokens over all sequences, (N,): a sum over every hidden path."""
    paths = all_sequences(len(start), seq_len)
    seqs = all_sequences(emission.shape[1], seq_len)
    emitted = emission[paths[:, None, :], seqs[None, :, :]].prod(axis=-1)
    return markov_law(start, transition, seq_len) @ emitted


def hierarchy_strings(rules: np.ndarray, symbol: int) -> list[tuple[int, ...]]:
    """Every string that a symbol of the top level of `rules` (depth, v, m, s) can become."""
    if len(rules) == 0:
        return [(symbol,)]
    strings = []
    for children in rules[0][symbol]:
        parts = [hierarchy_strings(rules[1:], child) for child in children]
        strings += [sum(choice, ()) for choice in itertools.product(*parts)]
    return strings


def hierarchy_law(rules: np.ndarray) -> np.ndarray:
    """Law of a random hierarchy model over all sequences, (N,): each derivation counts the same."""
    size = rules.shape[1]
    strings = np.array([s for root in range(size) for s in hierarchy_strings(rules, root)])
    return empirical_law(strings, size)


def empirical_law(patterns: np.ndarray, vocab_size: int) -> np.ndarray:
    """Law that puts 1 / K on each row of `patterns` (K, L); repeated rows add up."""
    count = vocab_size ** np.shape(patterns)[1]
    index = sequence_index(patterns, vocab_size)
    return np.bincount(index, minlength=count) / len(patterns)


def random_law(rng: np.random.Generator, vocab_size: int, seq_len: int) -> np.ndarray:
    """A law without structure, a quarter of its sequences forbidden."""
    law = rng.exponential(size=vocab_size**seq_len)
    law[rng.permutation(law.size)[: law.size // 4]] = 0.0
    return law / law.sum()


# --- the channel


Noise = float | tuple[float, float, float]


def token_kernel(vocab_size: int, alpha: Noise) -> np.ndarray:
    """q(noisy token | clean token), clean token first: (V, V), with masks (V, V + 1)."""
    if not isinstance(alpha, tuple):
        return alpha * np.eye(vocab_size) + (1 - alpha) / vocab_size
    kept, redrawn, masked = alpha
    kernel = np.full((vocab_size, vocab_size + 1), redrawn / vocab_size)
    kernel[:, :-1] += kept * np.eye(vocab_size)
    kernel[:, -1] = masked
    return kernel


def noisy_sequences(vocab_size: int, seq_len: int, alpha: Noise) -> np.ndarray:
    """Every sequence that the channel can give."""
    return all_sequences(vocab_size + isinstance(alpha, tuple), seq_len)


def channel_matrix(seqs: np.ndarray, vocab_size: int, alpha: Noise) -> np.ndarray:
    """q(x_t | x_0) for rows x_0 of `seqs` and columns of `noisy_sequences`."""
    kernel = token_kernel(vocab_size, alpha)
    noisy = noisy_sequences(vocab_size, seqs.shape[1], alpha)
    return kernel[seqs[:, None, :], noisy[None, :, :]].prod(axis=-1)


def posterior_over_sequences(
    law: np.ndarray, x_t: np.ndarray, alpha: Noise, vocab_size: int, without: int | None = None
) -> np.ndarray:
    """p(x_0 | x_t), (..., N), for x_t (..., L); `without` leaves one site's evidence unread."""
    x_t = np.asarray(x_t)
    seqs = all_sequences(vocab_size, x_t.shape[-1])
    evidence = token_kernel(vocab_size, alpha)[seqs, x_t[..., None, :]]
    if without is not None:
        evidence[..., without] = 1.0
    joint = law * evidence.prod(axis=-1)
    return joint / joint.sum(axis=-1, keepdims=True)


def marginals(weights: np.ndarray, vocab_size: int, seq_len: int) -> np.ndarray:
    """Law of each token, (..., L, V), under weights (..., N) over all sequences."""
    onehot = np.eye(vocab_size)[all_sequences(vocab_size, seq_len)]
    return np.einsum("...n,nlv->...lv", weights, onehot)


def full(law: np.ndarray, x_t: np.ndarray, alpha: Noise, vocab_size: int) -> np.ndarray:
    """p(x_0^i | x_t), (..., L, V)."""
    weights = posterior_over_sequences(law, x_t, alpha, vocab_size)
    return marginals(weights, vocab_size, np.shape(x_t)[-1])


def loo(law: np.ndarray, x_t: np.ndarray, alpha: Noise, vocab_size: int) -> np.ndarray:
    """p(x_0^i | x_t without i), (..., L, V): the site's evidence is never multiplied in."""
    seq_len = np.shape(x_t)[-1]
    sites = [
        marginals(
            posterior_over_sequences(law, x_t, alpha, vocab_size, without=i), vocab_size, seq_len
        )[..., i, :]
        for i in range(seq_len)
    ]
    return np.stack(sites, axis=-2)


# --- information


def entropy(p: np.ndarray, axis: int | None = -1) -> np.ndarray:
    """Entropy in nats along an axis; empty probabilities count nothing."""
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=axis)


def log_prob_noisy(law: np.ndarray, alpha: Noise, vocab_size: int, seq_len: int) -> np.ndarray:
    """log p(x_t) of every noisy sequence, (N,)."""
    kernel = channel_matrix(all_sequences(vocab_size, seq_len), vocab_size, alpha)
    with np.errstate(divide="ignore"):
        return np.log(law @ kernel)


def mutual_information(law: np.ndarray, alpha: Noise, vocab_size: int, seq_len: int) -> float:
    """I(x_0; x_t) in nats, from the joint table over pairs of sequences."""
    joint = law[:, None] * channel_matrix(all_sequences(vocab_size, seq_len), vocab_size, alpha)
    parts = entropy(law, None) + entropy(joint.sum(axis=0), None)
    return float(parts - entropy(joint, None))


def dense_nelbo_rate(x_theta, z: int, x0: int, alpha: float, alpha_rate: float) -> float:
    """Loss of one token from the generator of the reverse chain: a rate-weighted divergence.

    For y != z the forward chain jumps from y to z at rate (-alpha') / (alpha V). Its reverse under
    a law x of the clean token jumps z to y at that rate times r_y = x_t-marginal(y) / (z). The loss
    is the Poisson divergence between the two reverse processes, that of the truth weighing.
    """
    size = len(x_theta)
    kernel = token_kernel(size, alpha)
    truth, model = kernel[x0], np.asarray(x_theta) @ kernel
    total = 0.0
    for y in range(size):
        if y != z:
            r, r_model = truth[y] / truth[z], model[y] / model[z]
            total += r * np.log(r / r_model) - r + r_model
    return -alpha_rate / (alpha * size) * total


def nelbo(
    rate: Callable[[np.ndarray, np.ndarray, float], np.ndarray],
    law: np.ndarray,
    vocab_size: int,
    seq_len: int,
    alpha_from: float,
    alpha_to: float,
    nodes: int = 60,
    noise: Callable[[float], Noise] = float,
) -> float:
    """Mean over x_0 and x_t of the summed loss, integrated over alpha by Gauss-Legendre.

    `rate(x_t, x_0, alpha)` returns the losses (..., L) per unit of -alpha; `noise(alpha)` is the
    channel at a kept fraction.
    """
    seqs = all_sequences(vocab_size, seq_len)
    noisy = noisy_sequences(vocab_size, seq_len, noise(0.5))
    x_0, x_t = np.broadcast_arrays(seqs[:, None, :], noisy[None, :, :])
    points, weights = np.polynomial.legendre.leggauss(nodes)
    half = (alpha_from - alpha_to) / 2
    total = 0.0
    for point, weight in zip(points, weights, strict=True):
        alpha = alpha_to + half * (1 + point)
        joint = law[:, None] * channel_matrix(seqs, vocab_size, noise(alpha))
        total += half * weight * np.sum(joint * rate(x_t, x_0, alpha).sum(axis=-1))
    return float(total)


# --- stored random patterns


def pattern_set_averages(
    train_size: int, seq_len: int, vocab_size: int, alpha: float, split: str = "train"
) -> dict[str, float]:
    """Exact retrieval averages by enumeration of every pattern set and every noisy query.

    Keys: retrieval, true_weight, entropy, and recovery by "map" or "sample" of "all" or
    "corrupted" tokens as "map_all" and so on. Split "test" queries a further, unstored sequence.
    """
    seqs = all_sequences(vocab_size, seq_len)
    count, first = len(seqs), int(split == "test")
    sets = all_sequences(count, train_size + first)  # indices into seqs; column 0 is the query's
    match = (seqs[:, None] == seqs[None]).sum(axis=-1)
    energy = match[sets[:, first:]].transpose(0, 2, 1)  # (sets, x_t, K)
    kernel = token_kernel(vocab_size, alpha)
    ratio = kernel[0, 0] / kernel[0, 1] if alpha < 1 else np.inf
    top = energy.max(axis=-1, keepdims=True)
    weights = np.where(energy == top, 1.0, ratio ** (energy - top).astype(float))
    weights /= weights.sum(axis=-1, keepdims=True)
    nearest = (energy == top) / (energy == top).sum(axis=-1, keepdims=True)
    prob = channel_matrix(seqs, vocab_size, alpha)[sets[:, 0]] / len(sets)  # (sets, x_t)
    fixed = seqs[:, None, None] == seqs[None, :, None]  # (decoded, x_0, 1, L)
    wrong = seqs[None, :, None] != seqs[None, None]  # (1, x_0, x_t, L)
    good = {"all": fixed.sum(-1) + 0 * wrong.sum(-1), "corrupted": (fixed & wrong).sum(-1)}
    scale = {"all": seq_len, "corrupted": seq_len * (1 - kernel[0, 0])}
    noisy = np.arange(count)[None, :, None]
    out = {
        "entropy": float(np.sum(prob * entropy(weights))),
        "retrieval": float(np.sum(prob * nearest[..., 0])),
        "true_weight": float(np.sum(prob * weights[..., 0])),
    }
    for decoder, chosen in (("map", nearest), ("sample", weights)):
        for tokens in ("all", "corrupted"):
            table = good[tokens][sets[:, None, first:], sets[:, 0][:, None, None], noisy]
            repaired = np.sum(prob[..., None] * chosen * table)
            out[f"{decoder}_{tokens}"] = (
                float(repaired / scale[tokens]) if scale[tokens] else np.nan
            )
    return out

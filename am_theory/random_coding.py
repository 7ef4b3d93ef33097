"""Random patterns at large size: where retrieval sets in, and how fast it fails beyond.

K = exp(kappa L) sequences of L tokens, uniform on V values, are stored. A query matches its own
sequence in a fraction p = alpha + (1 - alpha) / V of its sites and any other in 1 / V of them, so
the others are the levels of a random energy model. All values are limits of large L, in nats per
token; finite sizes are in `am_theory.empirical`, which names these functions too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._arrays import vocab_size_iv
from am_theory._inputs import NOT_NEGATIVE, PROBABILITY, Floats, bare, broadcast_iv, real_iv
from am_theory._random_patterns import divergence_near
from am_theory.channels import Absorbing, Channel, Hybrid, Uniform, channel_iv
from am_theory.information import capacity, corruption_rate
from am_theory.information import inverse_temperature as matched_temperature
from am_theory.schedules import alpha_iv

__all__ = [
    "critical_alpha",
    "one_step_log_capacity",
    "random_coding_exponent",
    "strong_converse_exponent",
    "true_weight_exponent",
]


def critical_alpha(log_load: ArrayLike, vocab_size: int, *, channel: Channel | None = None) -> Any:
    """Return the kept fraction above which retrieval sets in as L grows at fixed load.

    It solves C(alpha) = kappa, with kappa = log K / L the load and C the capacity of the channel.

    Parameters
    ----------
    log_load : number or array, kappa in [0, log V]; nats a token.
    vocab_size : int, V >= 2.
    channel : record of `am_theory.channels` with the same V; None for `Uniform(V)`.

    Returns
    -------
    Shape of `log_load`, in [0, 1]. `schedule.time_at` turns it into the critical noise level.

    Raises
    ------
    ValueError for a load below 0 or above log V, which no noise level can serve, and for a channel
    of another V.

    Unit: dimensionless, probability that a token is kept.

    Source: Shannon 1948; Biroli, Bonnaire, de Bortoli, Mezard 2024 (arXiv:2402.18491) for the
    collapse of diffusion on its data, which is this line for tokens.

    >>> round(critical_alpha(0.3, 4), 8)
    0.48932304
    >>> from am_theory.channels import Hybrid
    >>> round(critical_alpha(0.3, 4, channel=Hybrid(4, 0.1)), 8)
    0.31485571
    """
    vocab = vocab_size_iv(vocab_size)
    found = channel_iv(channel, vocab)
    load = np.asarray(log_load, dtype=float)
    wrong = load[~((load >= 0) & (load <= np.log(vocab)))]
    if wrong.size:
        raise ValueError(
            f"`log_load` must lie in [0, log V] = [0, {np.log(vocab):.6g}]; got {wrong.flat[0]}. "
            "It is log(train_size) / seq_len, in nats."
        )
    if isinstance(found, Absorbing):
        return bare(load / np.log(vocab))
    low, high = np.zeros_like(load), np.ones_like(load)
    for _ in range(48 if isinstance(found, Uniform) else 64):
        middle = (low + high) / 2
        below = capacity(middle, found) < load
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    root = high if isinstance(found, Hybrid) else _polished(high, load, vocab)
    return bare(np.where(load == 0, 0.0, np.where(load == np.log(vocab), 1.0, root)))


def _polished(root: Floats, load: Floats, vocab: int) -> Floats:
    """Three Newton steps, which bring small roots of the uniform channel to full precision."""
    for _ in range(3):  # dC/d alpha = (V - 1) beta / V
        slope = (1 - 1 / vocab) * np.asarray(matched_temperature(root, vocab))
        root = np.clip(root - (capacity(root, vocab) - load) / slope, 0.0, 1.0)
    return root


def one_step_log_capacity(
    match_fraction: ArrayLike, inverse_temperature: ArrayLike, vocab_size: int
) -> Any:
    """Return the load up to which one step of the exponential memory sum_mu e^(b m_mu) retrieves.

    kappa(b, p) = b p - log(1 + (e^b - 1) / V)   for b < b_N,   D(p || 1/V)   for b >= b_N,
    with b_N = log(p (V - 1) / (1 - p)) and D the binary relative entropy.

    Parameters
    ----------
    match_fraction : number or array, p in [0, 1]; fraction of the query's sites that agree with
        the stored sequence, 1 for a clean query.
    inverse_temperature : number or array, b >= 0; weight of a match in the exponent.
    vocab_size : int, V >= 2.

    Returns
    -------
    Broadcast shape, in [0, log V]. No b does better than D(p || 1/V), the channel's capacity, and
    every b from b_N on reaches it; the matched b_N is the posterior's own `inverse_temperature`.

    Raises
    ------
    ValueError for p outside of [0, 1], a negative or infinite b, V < 2.

    Notes
    -----
    Signal b p against the free energy of the other sequences, annealed below the freezing point of
    the random energy model and frozen above. 0 for p <= 1/V: such a query says nothing. Exact for
    a typical stored sequence as L grows; not a guarantee for all of them at once.

    Unit: nats per token.

    Source: Derrida 1981 (Phys. Rev. B 24, 2613) for the freezing; Lucibello, Mezard 2024
    (arXiv:2304.14964) for the method; derived in am_theory/derivations/memory.py.

    >>> round(one_step_log_capacity(1.0, 2.0, 4), 8)
    1.04554141
    """
    vocab = vocab_size_iv(vocab_size)
    p, b = broadcast_iv(
        match_fraction=real_iv("match_fraction", match_fraction, PROBABILITY),
        inverse_temperature=real_iv("inverse_temperature", inverse_temperature, NOT_NEGATIVE),
    )
    above = p > 1 / vocab
    overlap = np.where(above, (vocab * p - 1) / (vocab - 1), 0.0)
    frozen = np.asarray(capacity(np.minimum(overlap, 1.0), vocab))
    # log(1 + (e^b - 1) / V) without overflow: b + log1p((1 - 1/V) (e^-b - 1))
    annealed = b * (p - 1) - np.log1p((1 - 1 / vocab) * np.expm1(-b))
    tilted = 1 / (1 + (vocab - 1) * np.exp(-b))  # match fraction that dominates at b
    value = np.where(tilted < p, np.clip(annealed, 0.0, frozen), frozen)
    return bare(np.where(above, value, 0.0))


def random_coding_exponent(log_load: ArrayLike, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return the rate at which retrieval errors die out with L below capacity.

    E_r = max_(0 <= rho <= 1) [E_0(rho) - rho kappa] with Gallager's function
    E_0 = rho log V - (1 + rho) log[p^(1/(1+rho)) + (V - 1) w^(1/(1+rho))],   w = (1 - alpha) / V.

    Parameters
    ----------
    log_load : number or array, kappa >= 0; log(train_size) / seq_len, nats a token.
    vocab_size : int, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.

    Returns
    -------
    Broadcast shape, >= 0; it is 0 from the capacity C(alpha) on.

    Raises
    ------
    ValueError for a negative load or V < 2; ScheduleDomainError for `alpha` outside of [0, 1].

    Notes
    -----
    1 - P and 1 - E w decay as exp(-L E_r), P the retrieval probability and w the true weight.
    Solved in closed form: D(p_kappa || p) with D(p_kappa || 1/V) = kappa (see `critical_alpha`),
    and the straight line E_0(1) - kappa at loads where the maximum is at rho = 1.

    Unit: nats per token.

    Source: Gallager 1965 (IEEE Trans. Inf. Theory 11, 3); closed form derived in
    am_theory/derivations/memory.py.

    >>> round(random_coding_exponent(0.2, 4, 0.6), 6)
    0.051727
    """
    load, vocab, kept = _loads_iv(log_load, vocab_size, alpha)
    miss = np.asarray(corruption_rate(kept, vocab))
    right, wrong = np.sqrt(1 - miss), np.sqrt((1 - kept) / vocab)
    # At rho = 1 the law p^(1/2), w^(1/2) is that of a channel with this kept fraction:
    half = kept / ((right + wrong) * (right + (vocab - 1) * wrong))
    at_one = -np.log1p(-(1 - 1 / vocab) * (kept / (right + wrong)) ** 2)
    curved = load >= np.asarray(capacity(half, vocab))
    value = np.where(curved, _divergence(_alpha_at(load, vocab), vocab, kept), at_one - load)
    return bare(np.where(load < np.asarray(capacity(kept, vocab)), np.maximum(value, 0.0), 0.0))


def strong_converse_exponent(log_load: ArrayLike, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return the rate at which the retrieval probability itself dies out with L above capacity.

    E_sc = max_(-1 <= rho <= 0) [E_0(rho) - rho kappa], E_0 as in `random_coding_exponent`.
    Parameters and errors as there.

    Returns
    -------
    Broadcast shape, >= 0; it is 0 up to the capacity C(alpha).

    Notes
    -----
    exp(-L E_sc) bounds the retrieval probability of every rule on every set of K stored sequences,
    at finite L too. Closed form: D(p_kappa || p) up to kappa = log V, from where on rho = -1 and
    E_sc = kappa - log V - log p.

    Unit: nats per token.

    Source: Arimoto 1973 (IEEE Trans. Inf. Theory 19, 357); closed form derived in
    am_theory/derivations/memory.py.

    >>> round(strong_converse_exponent(0.9, 4, 0.6), 6)
    0.096092
    """
    load, vocab, kept = _loads_iv(log_load, vocab_size, alpha)
    return bare(converse(load, _alpha_at(load, vocab), vocab, kept))


def true_weight_exponent(log_load: ArrayLike, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return the rate at which the true sequence's mean posterior weight dies out above capacity.

    psi = min_x {D(x || p) + [kappa - log(1 - alpha) - beta x]_+}, x the fraction of matches.
    Parameters and errors as `random_coding_exponent`.

    Returns
    -------
    Broadcast shape, >= 0; it is 0 up to the capacity C(alpha), and at least the
    `strong_converse_exponent`.

    Notes
    -----
    D(x* || p) with x* = p + (kappa - C) / beta while x* is below p^2 / (p^2 + (V - 1) w^2),
    w = (1 - alpha) / V; beyond, kappa - log(1 + (V - 1) alpha^2), which equals
    kappa - log(1 - alpha) - log(1 - p + p e^beta).

    Unit: nats per token.

    Source: derived in am_theory/derivations/memory.py.

    >>> round(true_weight_exponent(0.7, 4, 0.6), 6)
    0.04528
    """
    load, vocab, kept = _loads_iv(log_load, vocab_size, alpha)
    miss, limit = np.asarray(corruption_rate(kept, vocab)), np.asarray(capacity(kept, vocab))
    beta, wrong = np.asarray(matched_temperature(kept, vocab)), (1 - kept) / vocab
    over = np.maximum(load - limit, 0.0)
    # x* - p, no further than to the tilted match fraction, which the other branch takes over
    tilted = kept * miss * (1 - miss) / ((1 - miss) ** 2 + (vocab - 1) * wrong**2)
    near = over < beta * tilted
    step = np.where(near, over, 0.0) / np.where(near, beta, 1.0)
    annealed = load - np.log1p((vocab - 1) * kept**2)
    return bare(np.where(near, divergence_near(step, miss), np.where(load > limit, annealed, 0.0)))


def _loads_iv(log_load: ArrayLike, vocab_size: int, alpha: ArrayLike) -> tuple[Floats, int, Floats]:
    vocab = vocab_size_iv(vocab_size)
    load, kept = broadcast_iv(
        log_load=real_iv(
            "log_load", log_load, NOT_NEGATIVE, "It is log(train_size) / seq_len, in nats."
        ),
        alpha=np.asarray(alpha_iv(alpha)[1], dtype=float),
    )
    return load, vocab, kept


def _alpha_at(load: Floats, vocab: int) -> Floats:
    """Kept fraction with capacity `load`; loads above log V count as log V."""
    return np.asarray(critical_alpha(np.minimum(load, np.log(vocab)), vocab))


def _divergence(at_load: Floats, vocab: int, kept: Floats) -> Floats:
    """D(p_kappa || p) for the match fractions of two kept fractions."""
    step = (at_load - kept) * (1 - 1 / vocab)
    return divergence_near(step, np.asarray(corruption_rate(kept, vocab)))


def converse(load: Floats, at_load: Floats, vocab: int, kept: Floats) -> Floats:
    """The strong-converse exponent, given the kept fraction `at_load` of capacity `load`."""
    hit = np.log1p(-np.asarray(corruption_rate(kept, vocab)))
    inside = _divergence(np.maximum(at_load, kept), vocab, kept)
    value = np.where(load < np.log(vocab), inside, np.maximum(load - np.log(vocab) - hit, 0.0))
    return np.where(load > np.asarray(capacity(kept, vocab)), value, 0.0)

"""Which of its stored samples the optimal memorizer of a source holds fast, and up to what size.

K sequences are drawn from a source and stored; the memorizer is asked about one of them, x, clean.
With P(x) = sum_y p(y) exp(-beta d(x, y)) over the source, d the Hamming distance, x has the weight
1 / [1 + (K - 1) P(x)] once the others are replaced by their mean: half of it at
log K = -log P(x) = L log p_1 - log p_t(x), with p_1 = alpha + (1 - alpha) / V and p_t the noisy
law. The mean over x is the trap onset, `trap_log_size`. It never lies below the collapse,
I(x_0; x_t): one token changes p_t by a factor e^beta at most, so that p_t(x_0) / p_t(x_t) is at
most exp(beta d(x_0, x_t)) for every pair. Whether x is a fixed point of an argmax is told by
`fixed_point_log_size`: of `loo` about up to that line, of `full` far beyond it, where the query's
own evidence keeps a token that the stored sequences together still find likely.

Traps at their onset in continuous diffusion: Achilli, Ambrogioni, Lucibello, Mezard, Ventura 2025
(arXiv:2502.09578). For uniform tokens `am_theory.trapping` goes further, into fluctuations.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory import channel
from models.sources.law import Estimate

Floats = NDArray[np.float64]
_SCHEDULE = channel.Linear()


def clean_log_size(source: Any, x: ArrayLike, alpha: float) -> Floats:
    """log K at which each clean stored sequence holds half of the posterior's weight, nats.

    L log p_1 - log p_t(x); x (batch, L) sequences of the source, alpha in [0, 1] -> (batch,).
    By Jensen's inequality the mean weight of x, over the other samples, is at least
    1 / (1 + (K - 1) exp(-this)). At alpha = 1 it is -log p(x).
    """
    t = float(_SCHEDULE.time_at(alpha))
    denoiser = source.population_denoiser(_SCHEDULE)
    log_prob: Floats = denoiser.log_prob_noisy(x, t)
    clean: Floats = source.seq_len * np.log(alpha + (1 - alpha) / source.vocab_size) - log_prob
    return np.maximum(clean, 0.0)  # rounding


def trap_log_size(
    source: Any, alpha: float, rng: np.random.Generator | None = None, n: int = 4000
) -> Estimate:
    """log K up to which a clean stored sequence outweighs the others, nats a sequence.

    E_{x ~ p}[L log p_1 - log p_t(x)] over `n` independent sequences (of a fixed seed where `rng` is
    not given), alpha in [0, 1]; with its standard error. For uniform tokens it is exactly
    L log(1 + (V - 1) alpha); at alpha = 1 it is the entropy of the source.
    """
    if n < 2:
        raise ValueError(f"`n` must be at least 2 sequences, for a standard error; got {n}.")
    x = source.sample(np.random.default_rng(0) if rng is None else rng, n)
    return Estimate.weighted(clean_log_size(source, x, alpha), np.full(n, 1 / n), exact=False)


def fixed_point_log_size(
    source: Any, x: ArrayLike, alpha: float, law: Literal["full", "loo"] = "loo"
) -> Floats:
    """log K up to which each stored sequence is a fixed point of the argmax of `law`, nats.

    x (batch, L), alpha in [0, 1) -> (batch,); inf where the source's own denoiser keeps x too, so
    that it stays fixed however many samples are stored. With the other K - 1 samples replaced by
    their mean (which overstates the share by up to 0.15 for `loo` at small noise, where few
    neighbours decide), x keeps its token x_i at all sites i as long as

        1 > (K - 1) P_i(x) [max_v loo_i(v) - loo_i(x_i)]                     for `loo`,
        1 > (K - 1) P_i(x) [e^-beta max_{v != x_i} loo_i(v) - loo_i(x_i)]    for `full`,

    P_i being P(x) of the other sites. Fluctuations between samples are left out: on sources that
    prefer no token (uniform ones) they are all there is, and this says inf.
    """
    if law not in ("full", "loo"):
        raise ValueError(f"`law` must be full or loo; got {law!r}.")
    t = float(_SCHEDULE.time_at(alpha))
    denoiser = source.population_denoiser(_SCHEDULE)
    loo = np.exp(denoiser.log_loo(x, t))
    tokens = np.asarray(x, dtype=np.int64)[..., None]
    own = np.take_along_axis(loo, tokens, axis=-1)[..., 0]
    np.put_along_axis(loo, tokens, 0.0, axis=-1)
    damp = np.exp(-float(channel.inverse_temperature(alpha, source.vocab_size)))
    rival = loo.max(-1) * (damp if law == "full" else 1.0)
    # P(x) = P_i(x) [loo_i(x_i) + e^-beta (1 - loo_i(x_i))]
    lead = np.maximum(rival - own, 0.0) / (own + damp * (1 - own))
    ahead = lead.max(-1)
    with np.errstate(divide="ignore"):
        found: Floats = clean_log_size(source, x, alpha) - np.log(ahead)
    return found

"""What a channel of discrete diffusion lets through: rates, capacity, information.

`vocab_size` is the number V of values of the uniform channel, or a record of `am_theory.channels`
for any other. The marginal kernel of each is an erasure of probability m, then the uniform channel
at kept fraction r = a / (1 - m). `am_theory.channel` holds posterior and training loss, and names
all of these too. The formulas take NumPy and JAX arrays alike, as in `am_theory.channel`, except
for `mutual_information`, which sums over all sequences in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._arrays import Array, finish, log_excess, xlogy
from am_theory._inputs import NOT_NEGATIVE, PROBABILITY, Floats, bare, real_iv, whole_iv
from am_theory.channels import Channel, Uniform, channel_iv
from am_theory.schedules import alpha_iv

__all__ = [
    "capacity",
    "corruption_rate",
    "dispersion",
    "inverse_temperature",
    "mutual_information",
    "prior_loss",
    "visible_alpha",
]

MIN_RESAMPLE = 1e-12  # floor of 1 - alpha wherever it divides


def match_odds(xp: Any, alpha: Array, channel: Channel) -> Array:
    """V a / u: how much likelier the true token is than another at a visible site, less one."""
    resample = channel.rates(alpha).redraw
    floored = xp.where(resample > MIN_RESAMPLE, resample, MIN_RESAMPLE)
    return channel.vocab_size * alpha / floored


def _kept_if_visible(xp: Any, alpha: Array, channel: Channel) -> tuple[Array, Array]:
    """Visible fraction 1 - m, and kept fraction r among visible tokens."""
    seen = 1 - channel.rates(alpha).mask
    return seen, xp.minimum(alpha / xp.where(seen > 0, seen, 1.0), 1.0)


def visible_alpha(alpha: Array, vocab_size: int | Channel) -> Array:
    """Return the probability that a token which is not masked is its own, r = a / (1 - m).

    A masked site says nothing and a visible one what the uniform channel at kept fraction r says
    of it, so that every law of the uniform theory carries over to the visible sites. Parameters,
    shape and errors as `corruption_rate`; `alpha` itself for the uniform channel, 1 for erasures.

    Unit: dimensionless, probability.

    Source: the channel as an erasure, then the uniform channel; tests/am_theory/test_channels.py.

    >>> from am_theory.channels import Hybrid
    >>> round(visible_alpha(0.7, Hybrid(4, 0.1)), 8)
    0.89057685
    """
    channel = channel_iv(vocab_size)
    xp, alpha, is_bare = alpha_iv(alpha)
    if channel.mask_id is None:
        return finish(xp, alpha, is_bare)
    if not channel.redraws:
        return finish(xp, xp.ones_like(alpha), is_bare)
    return finish(xp, _kept_if_visible(xp, alpha, channel)[1], is_bare)


def corruption_rate(alpha: Array, vocab_size: int | Channel) -> Array:
    """Return the expected fraction of changed tokens, delta = m + u (V - 1) / V.

    Parameters
    ----------
    alpha : number or array, in [0, 1]; probability that a token is kept.
    vocab_size : int, V >= 2, for the uniform channel, or a record of `am_theory.channels`.

    Returns the shape of `alpha`, in [0, 1 - 1/V]; raises ScheduleDomainError for `alpha` outside
    of [0, 1] and ValueError for V < 2, as do the three functions that follow.

    Unit: dimensionless, changed tokens per token.

    Source: Austin et al. 2021 (arXiv:2107.03006), uniform transition matrix.

    >>> from am_theory.channels import Absorbing
    >>> corruption_rate(0.5, 4), corruption_rate(0.5, Absorbing(4))
    (0.375, 0.5)
    """
    channel = channel_iv(vocab_size)
    xp, alpha, is_bare = alpha_iv(alpha)
    rates, size = channel.rates(alpha), channel.vocab_size
    return finish(xp, rates.mask + rates.redraw * ((size - 1) / size), is_bare)


def inverse_temperature(alpha: Array, vocab_size: int | Channel) -> Array:
    """Return the log-likelihood ratio of a match at a visible site, beta = log(1 + V a / u).

    It is the inverse temperature at which stored sequences, with their number of matches as minus
    the energy, are weighted by Bayes' rule. Parameters, shape and errors as `corruption_rate`.

    Notes
    -----
    Finite where the channel redraws: u is not let below 1e-12. Infinite under pure erasures, at
    which a visible token is the true one.

    Unit: nats per matching token.

    Source: Bayes' rule for a channel; compare Ramsauer et al. 2020 (arXiv:2008.02217).

    >>> from am_theory.channels import Absorbing
    >>> round(inverse_temperature(0.5, 4), 8), inverse_temperature(0.5, Absorbing(4))
    (1.60943791, inf)
    """
    channel = channel_iv(vocab_size)
    xp, alpha, is_bare = alpha_iv(alpha)
    if not channel.redraws:
        return finish(xp, xp.where(alpha > 0, xp.inf, xp.zeros_like(alpha)), is_bare)
    return finish(xp, xp.log1p(match_odds(xp, alpha, channel)), is_bare)


def capacity(alpha: Array, vocab_size: int | Channel) -> Array:
    """Return the capacity of the channel in nats a token, which uniform input attains.

    C = (1 - m) C_U(r), with C_U of the uniform channel at r = a / (1 - m), its kept fraction:
    C_U = log V - h(delta) - delta log(V - 1) = [f((V - 1) r) + (V - 1) f(-r)] / V with
    f(x) = (1 + x) log(1 + x) - x >= 0, h the binary entropy and delta = (1 - r) (V - 1) / V.
    Parameters, shape and errors as `corruption_rate`; the result lies in [0, log V].

    Notes
    -----
    The second form has no cancellation: C_U -> (V - 1) r^2 / 2 is reached to full precision. Under
    erasures alone C = alpha log V.

    Unit: nats per token.

    Source: Shannon 1948, symmetric channel; second form checked in tests/oracles.py.

    >>> from am_theory.channels import Hybrid
    >>> round(capacity(0.5, 4), 10), round(capacity(0.5, Hybrid(4, 0.1)), 10)
    (0.3127515147, 0.5238871744)
    """
    channel = channel_iv(vocab_size)
    xp, alpha, is_bare = alpha_iv(alpha)
    seen, kept = _kept_if_visible(xp, alpha, channel)
    return finish(xp, seen * _uniform_capacity(kept, channel.vocab_size), is_bare)


def _uniform_capacity(kept: Array, size: int) -> Array:
    return (log_excess((size - 1) * kept) + (size - 1) * log_excess(-kept)) / size


def dispersion(alpha: Array, vocab_size: int | Channel) -> Array:
    """Return the variance of the information density in nats^2 a token, U = p (1 - p) beta^2.

    Here p = r + (1 - r) / V is the probability of a match and beta the inverse temperature of the
    uniform channel at r = a / (1 - m); with masks U = (1 - m) U_U(r) + m (1 - m) C_U(r)^2.
    Parameters, shape and errors as `corruption_rate`.

    Unit: nats^2 per token.

    Source: Polyanskiy, Poor, Verdu 2010 (IEEE Trans. Inf. Theory 56, 2307), symmetric channel.

    >>> from am_theory.channels import Absorbing
    >>> round(dispersion(0.5, 4), 8), round(dispersion(0.5, Absorbing(4)), 8)
    (0.60709931, 0.48045301)
    """
    channel = channel_iv(vocab_size)
    xp, alpha, is_bare = alpha_iv(alpha)
    size = channel.vocab_size
    seen, kept = _kept_if_visible(xp, alpha, channel)
    changed = (1 - kept) * ((size - 1) / size)
    alone = (1 - changed) * changed * xp.log1p(match_odds(xp, kept, Uniform(size))) ** 2
    between = seen * (1 - seen) * _uniform_capacity(kept, size) ** 2
    return finish(xp, seen * alone + between, is_bare)


def prior_loss(alpha: Array, vocab_size: int | Channel, seq_len: int) -> Array:
    """Return the part of the negative ELBO that the end of the noising costs, L C(alpha).

    E KL(q(x_1 | x_0) || prior) = L C(alpha), whatever the law of x_0: the prior is the channel's
    output on uniform tokens, for the uniform channel the uniform law; C is the `capacity`.

    Parameters
    ----------
    alpha : number or array, in [0, 1]; probability that a token is kept at the noisiest time.
    vocab_size : int, V >= 2, for the uniform channel, or a record of `am_theory.channels`.
    seq_len : int, L >= 1.

    Returns
    -------
    Shape of `alpha`, in [0, L log V].

    Raises
    ------
    As `capacity`, and ValueError for L < 1.

    Notes
    -----
    Each noisy token has the same divergence log V - H(x_1^i | x_0^i), so no average over the
    source is left to take. It vanishes as L (V - 1) alpha^2 / 2.

    Unit: nats per sequence.

    Source: Austin et al. 2021 (arXiv:2107.03006), eq. 1, first term; closed form derived in
    tests/am_theory/test_channel.py.

    >>> round(prior_loss(1e-3, 4, 32) * 1e6, 4)
    47.9681
    """
    return whole_iv("seq_len", seq_len, 1) * capacity(alpha, vocab_size)


def mutual_information(
    source_probs: ArrayLike, seq_len: int, vocab_size: int | Channel, alpha: ArrayLike
) -> Any:
    """Return the information that the noisy sequence holds about the clean one, any small source.

    I(x_0; x_t) = H(x_t) - L h,   h = h_2(m) + (1 - m) log V - C(alpha),
    with h_2 the binary entropy, m the masked fraction and C the capacity.

    Parameters
    ----------
    source_probs : (V**L,) probabilities of all sequences in lexicographic order, the last token
        running fastest.
    seq_len : int, L >= 1.
    vocab_size : int, V >= 2, for the uniform channel, or a record of `am_theory.channels`.
    alpha : number or array in [0, 1]; probability that a token is kept.

    Returns
    -------
    Shape of `alpha`, in [0, min(H(x_0), L C)].

    Raises
    ------
    ValueError for probabilities of a wrong number, below 0, or with a sum other than 1, and for
    an `alpha` outside of [0, 1].

    Notes
    -----
    Sums over all V**L noisy sequences, (V + 1)**L with a mask, site by site: cost L V**(L + 1) for
    each `alpha`. Meant for tests and tiny sources; the difference of entropies leaves an absolute
    error of about 1e-15 L.

    Unit: nats per sequence.

    Source: Shannon 1948; checked against the joint table in tests/am_theory/test_channel.py.

    >>> round(mutual_information([0.5, 0, 0, 0.5], 2, 2, 0.5), 8)
    0.23004013
    """
    channel = channel_iv(vocab_size)
    vocab, length = channel.vocab_size, whole_iv("seq_len", seq_len, 1)
    law = real_iv("source_probs", source_probs, NOT_NEGATIVE)
    if law.shape != (vocab**length,):
        raise ValueError(
            f"`source_probs` must have shape (V**L,) = ({vocab**length},); got {law.shape}. "
            "Give one probability for each sequence of `seq_len` tokens."
        )
    if abs(law.sum() - 1) > 1e-9:
        raise ValueError(f"`source_probs` must add up to 1; got {law.sum():.12g}. Divide by it.")
    kept = real_iv("alpha", alpha, PROBABILITY)
    values = [_noisy_entropy(law, length, channel, a) for a in kept.flat]
    rates = channel.rates(kept)
    split = -xlogy(rates.mask, rates.mask) - xlogy(1 - rates.mask, 1 - rates.mask)
    seen = (1 - rates.mask) * np.log(vocab)
    noise = length * (split + seen - np.asarray(capacity(kept, channel)))
    return bare(np.maximum(np.reshape(values, kept.shape) - noise, 0.0))


def _noisy_entropy(law: Floats, seq_len: int, channel: Channel, alpha: float) -> float:
    """H(x_t): mix each axis of the table with its mean, which is what the channel does."""
    rates = channel.rates(alpha)
    table = law.reshape((channel.vocab_size,) * seq_len)
    for axis in range(seq_len):
        mean = table.mean(axis=axis, keepdims=True)
        seen = rates.keep * table + rates.redraw * mean
        if channel.mask_id is None:
            table = seen
        else:
            table = np.concatenate([seen, rates.mask * channel.vocab_size * mean], axis=axis)
    return float(-np.sum(xlogy(table, table)))

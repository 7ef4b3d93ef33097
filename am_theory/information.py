"""What the uniform channel of discrete diffusion lets through: rates, capacity, information.

The channel keeps a token with probability alpha and otherwise redraws it uniformly, its old value
included; `am_theory.channel` holds its posterior and its training loss, and names all of these too.
The formulas take NumPy and JAX arrays alike, as in `am_theory.channel`, except for
`mutual_information`, which sums over all sequences in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._arrays import Array, finish, log_excess, vocab_size_iv, xlogy
from am_theory._inputs import NOT_NEGATIVE, PROBABILITY, Floats, bare, real_iv, whole_iv
from am_theory.schedules import alpha_iv

__all__ = [
    "capacity",
    "corruption_rate",
    "dispersion",
    "inverse_temperature",
    "mutual_information",
    "prior_loss",
]

MIN_RESAMPLE = 1e-12  # floor of 1 - alpha wherever it divides


def match_odds(xp: Any, alpha: Array, vocab_size: int) -> Array:
    """V alpha / (1 - alpha): how much likelier the true token is than another, less one."""
    resample = 1 - alpha
    return vocab_size * alpha / xp.where(resample > MIN_RESAMPLE, resample, MIN_RESAMPLE)


def corruption_rate(alpha: Array, vocab_size: int) -> Array:
    """Return the expected fraction of changed tokens, delta = (1 - alpha) (V - 1) / V.

    Parameters
    ----------
    alpha : number or array, in [0, 1]; probability that a token is kept.
    vocab_size : int, V >= 2.

    Returns the shape of `alpha`, in [0, 1 - 1/V]; raises ScheduleDomainError for `alpha` outside
    of [0, 1] and ValueError for V < 2, as do the three functions that follow.

    Unit: dimensionless, changed tokens per token.

    Source: Austin et al. 2021 (arXiv:2107.03006), uniform transition matrix.

    >>> corruption_rate(0.5, 4)
    0.375
    """
    size = vocab_size_iv(vocab_size)
    xp, alpha, is_bare = alpha_iv(alpha)
    return finish(xp, (1 - alpha) * ((size - 1) / size), is_bare)


def inverse_temperature(alpha: Array, vocab_size: int) -> Array:
    """Return the log-likelihood ratio of a match, beta = log(1 + V alpha / (1 - alpha)).

    It is the inverse temperature at which stored sequences, with their number of matches as minus
    the energy, are weighted by Bayes' rule. Parameters, shape and errors as `corruption_rate`.

    Notes
    -----
    Finite everywhere: 1 - alpha is not let below 1e-12.

    Unit: nats per matching token.

    Source: Bayes' rule for the uniform channel; compare Ramsauer et al. 2020 (arXiv:2008.02217).

    >>> round(inverse_temperature(0.5, 4), 8)
    1.60943791
    """
    size = vocab_size_iv(vocab_size)
    xp, alpha, is_bare = alpha_iv(alpha)
    return finish(xp, xp.log1p(match_odds(xp, alpha, size)), is_bare)


def capacity(alpha: Array, vocab_size: int) -> Array:
    """Return the capacity of the channel in nats a token, which uniform input attains.

    C = log V - h(delta) - delta log(V - 1) = [f((V - 1) alpha) + (V - 1) f(-alpha)] / V with
    f(x) = (1 + x) log(1 + x) - x >= 0, h the binary entropy and delta the corruption rate.
    Parameters, shape and errors as `corruption_rate`; the result lies in [0, log V].

    Notes
    -----
    The second form has no cancellation: C -> (V - 1) alpha^2 / 2 is reached to full precision.

    Unit: nats per token.

    Source: Shannon 1948, symmetric channel; second form checked in tests/oracles.py.

    >>> round(capacity(0.5, 4), 10)
    0.3127515147
    """
    size = vocab_size_iv(vocab_size)
    xp, alpha, is_bare = alpha_iv(alpha)
    value = (log_excess((size - 1) * alpha) + (size - 1) * log_excess(-alpha)) / size
    return finish(xp, value, is_bare)


def dispersion(alpha: Array, vocab_size: int) -> Array:
    """Return the variance of the information density in nats^2 a token, U = p (1 - p) beta^2.

    Here p = alpha + (1 - alpha) / V is the probability of a match and beta the inverse
    temperature. Parameters, shape and errors as `corruption_rate`.

    Unit: nats^2 per token.

    Source: Polyanskiy, Poor, Verdu 2010 (IEEE Trans. Inf. Theory 56, 2307), symmetric channel.

    >>> round(dispersion(0.5, 4), 8)
    0.60709931
    """
    size = vocab_size_iv(vocab_size)
    xp, alpha, is_bare = alpha_iv(alpha)
    changed = (1 - alpha) * ((size - 1) / size)
    return finish(xp, (1 - changed) * changed * xp.log1p(match_odds(xp, alpha, size)) ** 2, is_bare)


def prior_loss(alpha: Array, vocab_size: int, seq_len: int) -> Array:
    """Return the part of the negative ELBO that the end of the noising costs, L C(alpha).

    E KL(q(x_1 | x_0) || uniform) = L C(alpha, V), whatever the law of x_0; C is the `capacity`.

    Parameters
    ----------
    alpha : number or array, in [0, 1]; probability that a token is kept at the noisiest time.
    vocab_size : int, V >= 2.
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
    source_probs: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike
) -> Any:
    """Return the information that the noisy sequence holds about the clean one, any small source.

    I(x_0; x_t) = H(x_t) - L h,   h = h_2(delta) + delta log(V - 1) = log V - C(alpha),
    with h_2 the binary entropy, delta the corruption rate and C the capacity.

    Parameters
    ----------
    source_probs : (V**L,) probabilities of all sequences in lexicographic order, the last token
        running fastest.
    seq_len, vocab_size : int; L >= 1, V >= 2.
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
    Sums over all V**L noisy sequences, site by site: cost L V**(L + 1) for each `alpha`. Meant for
    tests and tiny sources; the difference of entropies leaves an absolute error of about 1e-15 L.

    Unit: nats per sequence.

    Source: Shannon 1948; checked against the joint table in tests/am_theory/test_channel.py.

    >>> round(mutual_information([0.5, 0, 0, 0.5], 2, 2, 0.5), 8)
    0.23004013
    """
    vocab, length = vocab_size_iv(vocab_size), whole_iv("seq_len", seq_len, 1)
    law = real_iv("source_probs", source_probs, NOT_NEGATIVE)
    if law.shape != (vocab**length,):
        raise ValueError(
            f"`source_probs` must have shape (V**L,) = ({vocab**length},); got {law.shape}. "
            "Give one probability for each sequence of `seq_len` tokens."
        )
    if abs(law.sum() - 1) > 1e-9:
        raise ValueError(f"`source_probs` must add up to 1; got {law.sum():.12g}. Divide by it.")
    kept = real_iv("alpha", alpha, PROBABILITY)
    values = [_noisy_entropy(law, length, vocab, a) for a in kept.flat]
    noise = length * (np.log(vocab) - np.asarray(capacity(kept, vocab)))
    return bare(np.maximum(np.reshape(values, kept.shape) - noise, 0.0))


def _noisy_entropy(law: Floats, seq_len: int, vocab_size: int, alpha: float) -> float:
    """H(x_t): mix each axis of the table with its mean, which is what the channel does."""
    table = law.reshape((vocab_size,) * seq_len)
    for axis in range(seq_len):
        table = alpha * table + (1 - alpha) * table.mean(axis=axis, keepdims=True)
    return float(-np.sum(xlogy(table, table)))

"""Normal laws of membership scores where many stored sequences agree with what is visible.

The setting is that of `am_theory.membership`, which names these functions (private).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from am_theory._arrays import vocab_size_iv
from am_theory._inputs import NOT_NEGATIVE, Interval, bare, broadcast_iv, real_iv

RATE = Interval(0.0, 1.0, open_low=True)
_SHARE = Interval(0.0, 1.0, open_low=True, open_high=True)
_COUNT = Interval(1.0, np.inf)
_LEAST = 600.0  # -log lambda below which the separation is no longer told


def d_prime(
    train_size: ArrayLike,
    visible: ArrayLike,
    masked: ArrayLike,
    vocab_size: int,
    *,
    weight: ArrayLike = 0.5,
    noise: ArrayLike = 0.0,
) -> Any:
    """Return by how many standard deviations the scores of stored sequences lie higher.

    d' = sqrt(M) w (V - 1) / lambda / sqrt(w^2 (V - 1) / lambda + sigma^2),   lambda = K V^-n,
    to leading order in 1 / lambda; without noise sqrt(M (V - 1) / lambda), whatever the weight.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    visible, masked : whole numbers or arrays, n >= 0 and M >= 1.
    vocab_size : int, V >= 2.
    weight : number or array in (0, 1); weight w of the stored sequences in the model.
    noise : number or array >= 0; standard deviation sigma, in nats, of independent noise on the
        score of each masked token.

    Returns
    -------
    Broadcast shape, > 0.

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Unit: dimensionless, standard deviations of the block score.

    Source: mean and variance of V c - N, derived in tests/am_theory/test_membership.py.

    >>> round(d_prime(200, 2, 10, 4), 6), round(d_prime(200, 2, 10, 4, noise=0.5), 6)
    (1.549193, 0.681554)
    """
    vocab = vocab_size_iv(vocab_size)
    size, seen, hidden, share, sigma = broadcast_iv(
        train_size=real_iv("train_size", train_size, _COUNT),
        visible=real_iv("visible", visible, NOT_NEGATIVE),
        masked=real_iv("masked", masked, _COUNT),
        weight=real_iv("weight", weight, _SHARE),
        noise=real_iv("noise", noise, NOT_NEGATIVE),
    )
    log_load = np.log(size) - seen * np.log(vocab)
    signal = (vocab - 1) * np.exp(-np.maximum(log_load, -_LEAST))  # (V - 1) / lambda
    return bare(np.sqrt(hidden * signal) / np.sqrt(1 + sigma**2 / (share**2 * signal)))


def auc_normal(
    train_size: ArrayLike,
    visible: ArrayLike,
    masked: ArrayLike,
    vocab_size: int,
    *,
    weight: ArrayLike = 0.5,
    noise: ArrayLike = 0.0,
) -> Any:
    """Return the normal approximation to `auc`, for many consistent sequences.

    AUC = Phi(d' / sqrt(2)), d' by `d_prime`. Parameters and errors as `d_prime`.

    Returns
    -------
    Broadcast shape, in [1/2, 1]; about 0.01 off or less for lambda >= 3, M >= 8.

    Unit: dimensionless, probability per pair of sequences.

    Source: two normal laws of equal width, Green, Swets 1966 (Signal Detection Theory and
    Psychophysics); d' as `d_prime`.

    >>> round(auc_normal(200, 2, 10, 4), 4)
    0.8633
    """
    d = np.asarray(d_prime(train_size, visible, masked, vocab_size, weight=weight, noise=noise))
    return bare(ndtr(d / np.sqrt(2)))


def tpr_at_fpr_normal(
    train_size: ArrayLike,
    visible: ArrayLike,
    masked: ArrayLike,
    vocab_size: int,
    *,
    fpr: ArrayLike = 0.01,
    weight: ArrayLike = 0.5,
    noise: ArrayLike = 0.0,
) -> Any:
    """Return the normal approximation to `tpr_at_fpr`, for many consistent sequences.

    TPR = Phi(d' + Phi^-1(fpr)), d' by `d_prime`. Parameters and errors as `d_prime` and
    `tpr_at_fpr`.

    Returns
    -------
    Broadcast shape, in [0, 1]; up to 0.1 too high where lambda is near 1.

    Unit: dimensionless, share of the stored sequences.

    Source: as `auc_normal`.

    >>> round(tpr_at_fpr_normal(200, 2, 10, 4), 4)
    0.2185
    """
    rate = real_iv("fpr", fpr, RATE)
    d = np.asarray(d_prime(train_size, visible, masked, vocab_size, weight=weight, noise=noise))
    d, rate = broadcast_iv(d_prime=d, fpr=rate)
    return bare(ndtr(d + ndtri(rate)))


def detection_log_size(visible: ArrayLike, masked: ArrayLike, vocab_size: int) -> Any:
    """Return the log K up to which stored sequences stand out by one standard deviation.

    log K = n log V + log[M (V - 1)], where d' = 1. Exact retrieval from the n visible tokens ends
    at log K = n log V: membership outlives it by log[M (V - 1)].

    Parameters
    ----------
    visible, masked : whole numbers or arrays, n >= 0 and M >= 1.
    vocab_size : int, V >= 2.

    Returns
    -------
    Broadcast shape, >= 0.

    Raises
    ------
    As `d_prime`.

    Unit: nats, log of the number of stored sequences.

    Source: `d_prime` at 1.

    >>> round(detection_log_size(2, 10, 4), 6)
    6.173786
    """
    vocab = vocab_size_iv(vocab_size)
    seen, hidden = broadcast_iv(
        visible=real_iv("visible", visible, NOT_NEGATIVE),
        masked=real_iv("masked", masked, _COUNT),
    )
    return bare(seen * np.log(vocab) + np.log(hidden * (vocab - 1)))

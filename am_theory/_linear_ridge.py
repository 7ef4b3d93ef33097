"""The linear denoiser on an iid uniform source as a function of gamma = L (V - 1) / K (private).

`gamma` and `alpha` are arrays of one shape. All sums have positive terms only, so that nothing is
lost where K, alpha or 1 - alpha are tiny.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from am_theory._gaussian import normal_grid
from am_theory._inputs import Floats, Interval, whole_iv
from am_theory.channel import corruption_rate

COUNT = Interval(1.0, np.inf)
COUNT_HINT = "It counts the training sequences and is not a load or a fraction."


def dimension_iv(seq_len: int, vocab_size: int) -> tuple[int, int]:
    """Check the sizes of a sequence; returns d = L (V - 1) and V."""
    length = whole_iv("seq_len", seq_len, 1, "Call once for each length.")
    vocab = whole_iv("vocab_size", vocab_size, 2, "It counts the values a token can take.")
    return length * (vocab - 1), vocab


def noise_ridge(alpha: Floats) -> Floats:
    """c = (1 - alpha^2) / alpha^2. At the ends of [0, 1] all results stand at their limits."""
    kept = np.maximum(alpha, 1e-50)
    return np.maximum((1 - kept) * (1 + kept) / kept**2, 1e-100)


class Ridge(NamedTuple):
    """Root kappa of kappa = c + gamma kappa / (1 + kappa), and what goes with it, all positive."""

    kappa: Floats
    other: Floats  # c / kappa, minus the second root of the quadratic
    total: Floats  # kappa + c / kappa, the root of the discriminant
    share: Floats  # kappa / (1 + kappa)


def effective_ridge(c: Floats, gamma: Floats) -> Ridge:
    shift = (gamma - 1) + c
    total = np.hypot(shift, 2 * np.sqrt(c))
    large = (total + np.abs(shift)) / 2
    small = c / large
    kappa, other = np.where(shift >= 0, large, small), np.where(shift >= 0, small, large)
    return Ridge(kappa, other, kappa + other, kappa / (1 + kappa))


def error_gap(gamma: Floats, alpha: Floats) -> Floats:
    """Held-out error less train error."""
    c = noise_ridge(alpha)
    kappa, _, total, share = effective_ridge(c, gamma)
    return (gamma / (1 + kappa)) * share * ((kappa + c) / total)


def recovery(gamma: Floats, alpha: Floats, vocab: int, tokens: str, split: str) -> Floats:
    """Expected fraction of the tokens put right: all, clean or corrupted; train or test."""
    c = noise_ridge(alpha)
    kappa, other, _, share = effective_ridge(c, gamma)
    if split == "test":
        signal = np.sqrt(vocab * (1 + other / kappa) / (gamma * share))
        clean = first(signal, signal, vocab)
        corrupted = not_first(signal, vocab) / (vocab - 1)
    else:
        pattern = np.sqrt(vocab * (gamma / c) * share)
        query = np.sqrt(vocab * (1 + 1 / c) / (gamma * share))
        clean = first(pattern + query, pattern + query, vocab)
        corrupted = first(pattern - query, pattern, vocab)
    if tokens == "clean":
        return clean
    changed = np.asarray(corruption_rate(alpha, vocab))
    return corrupted if tokens == "corrupted" else (1 - changed) * clean + changed * corrupted


_POINTS = 401  # of the normal grid: step 0.05, on which even Phi^(2^16) is smooth


def first(over_one: Floats, over_others: Floats, vocab: int) -> Floats:
    """Probability that the right entry is the largest, by its lead over one and over the others."""
    z, weights = normal_grid(_POINTS)
    log_p = log_ndtr(z + over_one[..., None]) + (vocab - 2) * log_ndtr(z + over_others[..., None])
    return np.exp(log_p) @ weights


def not_first(lead: Floats, vocab: int) -> Floats:
    z, weights = normal_grid(_POINTS)
    return -np.expm1((vocab - 1) * log_ndtr(z + lead[..., None])) @ weights

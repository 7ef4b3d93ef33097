"""How the space of all sequences is shared out among K stored random ones.

Setting as in `am_theory.empirical`, which names these functions too. Every one of the V^L sequences
belongs to the stored sequence nearest to it (Hamming distance), ties to the first of them in a
random order of the store that is the same for all. This is where the memorizer's posterior sends a
sequence as the noise vanishes. The volume of a stored sequence is the share of sequences that
belong to it: 1 / K on average, by symmetry. How far volumes spread is told by the mean sum of their
squares, the probability that two sequences drawn at random belong to the same stored one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._inputs import Floats
from am_theory._random_patterns import above, finish, log_noise, sizes_iv

__all__ = ["attractor_overlap", "effective_attractors"]


def attractor_overlap(train_size: ArrayLike, seq_len: int, vocab_size: int) -> Any:
    """Return the probability that two random sequences have the same nearest stored one.

    E sum_mu vol_mu^2 = sum_o Bin(o; L, 1/V) sum_ab f_o(a, b) [F_o(a, b)^K - F_o(a-1, b-1)^K] /
    [F_o(a, b) - F_o(a-1, b-1)], with f_o and F_o the joint law of the matches of one stored
    sequence with two that agree in o sites: both match each of these with probability 1/V, and
    elsewhere one matches, or the other, with probability 1/V each.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.

    Returns
    -------
    Shape of `train_size`, in [1/K, 1].

    Raises
    ------
    As `retrieval_probability`.

    Notes
    -----
    Exact, on average over sets; equal stored sequences count as two, of which the first takes all.
    Where matches are few (L below V) ties are many, and their rule is a good part of the spread.
    (K times this) - 1 is the mean square deviation of a volume, in units of the squared mean 1 / K.
    The argmax of `loo` as t -> 0 is not this map: it asks at each site for the nearest by the other
    L - 1, mixes stored sequences on its way, and often ends in another than the nearest one, or
    outside of the store. Cost L^4, half a second at L = 64; memory L^2.

    Unit: dimensionless, probability per pair of sequences.

    Source: derived in tests/am_theory/test_attractors.py, by enumeration of all sets.

    >>> round(attractor_overlap(64, 12, 4), 8)
    0.01857032
    """
    size, length, vocab = sizes_iv(train_size, seq_len, vocab_size)
    total = np.zeros(size.shape)
    for same, weight in enumerate(np.exp(log_noise(length, vocab))):
        if weight > 0:
            total += weight * _same_winner(size, *_joint_law(same, length - same, vocab))
    return finish(total, 1.0)


def effective_attractors(train_size: ArrayLike, seq_len: int, vocab_size: int) -> Any:
    """Return the effective number of attractors of the nearest stored sequence.

    K_eff = 1 / E sum_mu vol_mu^2, the inverse of `attractor_overlap`, with its parameters, errors,
    notes and cost.

    Returns
    -------
    Shape of `train_size`, in [1, K]; K only if all volumes are equal. It never exceeds V^L.

    Unit: stored sequences.

    Source: inverse participation ratio of the volumes; as `attractor_overlap`.

    >>> round(effective_attractors(64, 12, 4), 4)
    53.8494
    """
    return 1 / attractor_overlap(train_size, seq_len, vocab_size)


def _joint_law(same: int, apart: int, vocab: int) -> tuple[Floats, Floats, Floats]:
    """f(a, b), log F(a, b) and F(a, b) - F(a - 1, b - 1), each (L + 1, L + 1), by positive sums."""
    f = np.zeros((same + apart + 1,) * 2)
    f[0, 0] = 1.0
    for _ in range(apart):
        step = (1 - 2 / vocab) * f
        step[1:] += f[:-1] / vocab
        step[:, 1:] += f[:, :-1] / vocab
        f = step
    for _ in range(same):
        step = (1 - 1 / vocab) * f
        step[1:, 1:] += f[:-1, :-1] / vocab
        f = step
    left, below = np.cumsum(f, axis=1), np.cumsum(f, axis=0)  # row a to b, column b to a
    tail = above(f.sum(axis=1))[:, None] + np.cumsum(above(f), axis=0)  # a' > a; a' <= a, b' > b
    half = np.minimum(tail, 0.5)
    with np.errstate(divide="ignore"):  # where f has underflowed
        log_cdf = np.where(tail < 0.5, np.log1p(-half), np.log(np.cumsum(left, axis=0)))
    return f, log_cdf, left + below - f


def _same_winner(size: Floats, f: Floats, log_cdf: Floats, shell: Floats) -> Floats:
    """Sum over a, b of f (F^K - G^K) / (F - G), with G = F - shell."""
    some = f > 0
    f, log_cdf, shell = f[some], log_cdf[some], shell[some]
    with np.errstate(divide="ignore"):
        log_fall = np.log1p(-np.exp(np.minimum(np.log(shell) - log_cdf, 0.0)))
    count = size[..., None]
    won = np.exp(count * log_cdf) * -np.expm1(count * log_fall)
    return won @ (f / shell)

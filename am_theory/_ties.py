"""Stored random sequences that agree best with an unrelated erased query (private).

No stored sequence need fit the n visible tokens of an unseen query. The limit of few redrawn tokens
beside the erasures is then the law: the T sequences with the most agreements are equally likely.
With F and f the law of the agreements of one sequence, Bin(n, 1/V), and r = f / F, the number of
ties at j agreements follows from (1 - r + r z)^K and F_j^K.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from am_theory._consistent import STEP, laplace_points
from am_theory._random_patterns import Floats, log_cdf, log_noise

_RARE = 1e-18  # probability of a best agreement that is left out


class _Levels(NamedTuple):
    """Best agreements that occur, (n,): F_j^K and r_j."""

    reach: Floats
    ratio: Floats


def _levels(size: float, visible: int, vocab_size: int) -> _Levels:
    log_f = log_noise(visible, vocab_size)
    log_F = log_cdf(log_f)
    ratio = np.exp(np.minimum(log_f - log_F, 0.0))
    ratio[0] = 1.0
    reach = np.exp(size * log_F)
    with np.errstate(divide="ignore"):
        here = reach * -np.expm1(size * np.log1p(-ratio)) > _RARE
    return _Levels(reach[here], ratio[here])


def _rise(size: float, ratio: Floats, gone: Floats, left: Floats) -> tuple[Floats, Floats]:
    """a^K and a^K - (1 - r)^K for a = 1 - r gone, gone + left = 1, left > 0."""
    kept = (1 - ratio) + ratio * left
    near = np.minimum(ratio * gone, 0.5)
    power = np.exp(size * np.where(kept > 0.5, np.log1p(-near), np.log(kept)))
    with np.errstate(divide="ignore"):
        return power, power * -np.expm1(size * np.log1p(-np.minimum(ratio * left / kept, 1.0)))


def mean_log_ties(size: float, visible: int, vocab_size: int, share: float) -> float:
    """E log[1 + Bin(T - 1, share)]; share 1 gives E log T.

    Sum over j of int F_j^K [1 - a^K - (1 - c) / c (a^K - (1 - r)^K)] e^-s / s ds,
    a = 1 - r (1 - c), c = 1 - share (1 - e^-s).
    """
    total = 0.0
    for reach, ratio in zip(*_levels(size, visible, vocab_size), strict=True):
        s = laplace_points(size * ratio)
        gone = -share * np.expm1(-s)
        left = share * np.exp(-s) + (1 - share)
        power, rise = _rise(size, ratio, gone, left)
        total += reach * np.vecdot(np.exp(-s), 1 - power - gone / left * rise)
    return max(float(STEP * total), 0.0)


def unanimous(size: float, visible: int, vocab_size: int) -> float:
    """Probability that all ties agree on one more token."""
    reach, ratio = _levels(size, visible, vocab_size)
    one = np.asarray(1 / vocab_size)
    _, rise = _rise(size, ratio, 1 - one, one)
    return float(vocab_size * np.vecdot(reach, rise))

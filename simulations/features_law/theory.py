"""K_half of a network as the theory of random features has it, from width, steps, two constants.

The network with the pairwise field is a full linear map beside p = m w features; without the field
it is the features alone. The linear map is fast, the features follow gradient flow up to the time
tau = T / T_1. Their activation is relu's, with time counted in units of its fresh part v_d^2; only
m v_s^2 / v_d^2 matters with the field.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RectBivariateSpline

from am_theory.channel import LogLinear
from am_theory.random_feature_denoiser import activation_moments, half_gap_size
from simulations.features_law.config import LEVEL, REFERENCE

Floats = NDArray[np.float64]
FEATURES = (10.0, 1e5)  # p and tau of the table; beyond its ends they stand for the ends
TIMES = (3e-3, 100.0)
NODES = {True: (15, 13), False: (10, 9)}  # with the field and without: dearer there


def moments(alpha: float) -> tuple[float, float, float]:
    """a_1^2, v_s^2 and v_d^2 of relu, in units of v_d^2."""
    found = activation_moments("relu", alpha)
    return found.linear / found.fresh, found.static / found.fresh, 1.0


def half_size(
    n_features: ArrayLike, time: ArrayLike, seq_len: int, vocab_size: int, pair: bool = True
) -> Floats:
    """K at which the gap of corrupted recoveries is half of that at the reference K, of p and tau,
    which broadcast."""
    alpha = float(LogLinear().alpha(LEVEL))
    place = (REFERENCE, n_features, seq_len, vocab_size, alpha)
    found = half_gap_size(
        *place, time=time, activation=moments(alpha), skip="full" if pair else 0.0
    )
    return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True)
class Table:
    """ln K_half over ln p and ln tau, a spline through the theory: fits ask for it often."""

    spline: RectBivariateSpline

    def log_half(self, n_features: ArrayLike, time: ArrayLike) -> Floats:
        """ln K_half of p and tau, which broadcast."""
        p, tau = (
            np.log(np.clip(values, *ends))
            for values, ends in ((n_features, FEATURES), (time, TIMES))
        )
        return np.asarray(self.spline(p, tau, grid=False), dtype=np.float64)


@functools.cache
def table(seq_len: int, vocab_size: int, pair: bool = True) -> Table:
    """The table of a source's sizes; takes half a minute."""
    ends = zip((FEATURES, TIMES), NODES[pair], strict=True)
    p, tau = (np.geomspace(low, high, n) for (low, high), n in ends)
    values = half_size(p[:, None], tau[None], seq_len, vocab_size, pair)
    return Table(RectBivariateSpline(np.log(p), np.log(tau), np.log(values)))

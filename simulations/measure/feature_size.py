"""K_half of a network as the theory of random features has it, from width and steps.

The network with the pairwise field is a full linear map beside p = m w features; without the field
it is the features alone. The linear map is fast, the features follow gradient flow up to the time
tau = T / T_1. Their activation is relu's, with time counted in units of its fresh part v_d^2; only
m v_s^2 / v_d^2 matters with the field.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory.channel import LogLinear
from am_theory.random_feature_denoiser import activation_moments, half_gap_size

Floats = NDArray[np.float64]
LEVEL = 0.25  # t of the corrupted recovery
REFERENCE = 64  # K whose gap is halved


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

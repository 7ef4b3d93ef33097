"""K_half of a network as the theory of random features has it, from width and steps.

The network with the pairwise field is a full linear map beside p = m w features; without the field
it is the features alone. The linear map is fast, the features follow gradient flow up to the time
tau = T / T_1. Their activation is relu's, with time counted in units of its fresh part v_d^2; only
m v_s^2 / v_d^2 matters with the field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

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


@dataclass(frozen=True)
class FeatureLaw:
    """K_half = s K(m w, T / T_1) with its constants m, T_1 (steps) and s, for networks with the
    pairwise field. `deviation` of ln K_half of measured networks from it, on `freedom` degrees."""

    features: float
    time: float
    factor: float
    deviation: float
    freedom: int

    def size(
        self, width: float, steps: float, seq_len: int, vocab_size: int
    ) -> tuple[float, float, float]:
        """K_half and the ends of Student's 95 % interval for that of a further network, measured
        on as many seeds: of what the law itself misses, not of seeds alone."""
        found = float(
            half_size(self.features * width, steps / self.time, seq_len, vocab_size) * self.factor
        )
        spread = math.exp(float(stats.t.ppf(0.975, self.freedom)) * self.deviation)
        return found, found / spread, found * spread


# Constants: `python -m simulations.features_law`, "theory, scaled", fitted to the eight points of
# its fitted part. Deviation: of these and of the three held back at width 256 (16,000 to 64,000
# steps), less three constants. Beyond width 256 the law fails, by a factor of up to 2.6.
FITTED = FeatureLaw(features=6.2059, time=11526.0, factor=2.22163, deviation=0.0714, freedom=8)

"""What theory says of each memory's basin: exact at finite size, or of many neurons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from am_theory import channel, empirical
from simulations import radius
from simulations.basins_config import DRAW, MAP
from simulations.theory_radii import (
    REPAIRED,
    dense_radius,
    exponential_radius,
    hopfield_radius,
    posterior_draw_radius,
    potts_radius,
    repairing_radius,
)

Floats = NDArray[np.float64]
MATCHED_ALPHA = 0.5  # the exponential memory's rate is the posterior's at this kept fraction


def exponential_rate(vocab_size: int) -> float:
    """Rate b of the exponential memory, matched to the channel at `MATCHED_ALPHA`."""
    return float(channel.inverse_temperature(MATCHED_ALPHA, vocab_size))


@dataclass(frozen=True)
class Theory:
    """A predicted radius over K: `sizes` (n,), `t` (n,); what it is, and whether it is exact."""

    sizes: Floats
    t: Floats
    what: str
    exact: bool


def theory(
    memory: str, sizes: Floats, vocab_size: int, seq_len: int, threshold: float
) -> Theory | None:
    """The prediction for a memory, or None; those that are not exact hold for many neurons."""
    step = f"one step to overlap {REPAIRED}"
    if memory == MAP:
        values = empirical.basin_radius(sizes, seq_len, vocab_size, threshold)
        return Theory(sizes, np.asarray(values), "exact, finite size", True)
    if memory == DRAW:
        values = posterior_draw_radius(sizes, seq_len, vocab_size, threshold)
        return Theory(sizes, values, "exact, finite size", True)
    if memory == "exponential":
        rate = exponential_rate(vocab_size)
        values = exponential_radius(np.log(sizes) / seq_len, vocab_size, rate)
        return Theory(sizes, values, "one step, L to infinity", False)
    if memory == "Potts":
        return Theory(sizes, potts_radius(sizes, seq_len, vocab_size), step, False)
    if vocab_size > 2:
        return None
    if memory == "Hopfield":
        return Theory(sizes, hopfield_radius(sizes, seq_len), "Amari-Maginu, optimistic", False)
    if memory == "dense, n = 3":
        return Theory(sizes, dense_radius(sizes, seq_len, 3), "saddle point, L to infinity", False)
    if memory == "pseudo-inverse":
        return Theory(sizes, repairing_radius(sizes, seq_len, "pseudo_inverse"), step, False)
    if memory == "pseudo-likelihood":
        return Theory(sizes, repairing_radius(sizes, seq_len, "max_margin"), step, False)
    return None


def exact_rate(
    memory: str, size: int, vocab_size: int, seq_len: int, t: Floats, errors: NDArray[np.integer]
) -> Floats:
    """Exact rate of `nearest` of MAP or of one draw at each corruption, NaN where none is known.

    `errors` -1: the channel at level t; else exactly so many changed tokens.
    """
    alpha = np.asarray(channel.LogLinear().alpha(t))
    if memory == DRAW:
        rate = empirical.true_weight(size, seq_len, vocab_size, alpha)
        return np.where(errors < 0, rate, np.nan)
    fixed = empirical.retrieval_probability_errors(size, seq_len, vocab_size, np.maximum(errors, 0))
    rate = empirical.retrieval_probability(size, seq_len, vocab_size, alpha)
    return np.where(errors < 0, rate, fixed)


def exact_radius(
    memory: str, size: int, vocab_size: int, seq_len: int, t: Floats, threshold: float
) -> float:
    """Radius that the exact rates give when read off the measured levels, as a measurement is."""
    rate = exact_rate(memory, size, vocab_size, seq_len, t, np.full(len(t), -1))
    return float(radius.basin_radius(t, rate, threshold))

"""What theory says of each memory's basin: of many neurons, or exact at finite size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory import channel, empirical
from simulations.basins.config import DRAW
from simulations.measure import radius
from simulations.theory.radii import (
    REPAIRED,
    dense_radius,
    exponential_radius,
    hopfield_radius,
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
    """A radius of many neurons: `t` (n,), one for each K; `what` it is, in a few words."""

    t: Floats
    what: str


def many_neurons(memory: str, sizes: ArrayLike, vocab_size: int, seq_len: int) -> Theory | None:
    """The prediction for a memory at `sizes` (n,) where many neurons or tokens give one."""
    step = f"one step to overlap {REPAIRED}"
    size = np.asarray(sizes, dtype=float)
    if memory == "exponential":
        rate = exponential_rate(vocab_size)
        values = exponential_radius(np.log(size) / seq_len, vocab_size, rate)
        return Theory(values, "one step, L to infinity")
    if memory == "Potts":
        return Theory(potts_radius(size, seq_len, vocab_size), step)
    if vocab_size > 2:
        return None
    if memory == "Hopfield":
        return Theory(hopfield_radius(size, seq_len), "Amari-Maginu, optimistic")
    if memory == "dense, n = 3":
        return Theory(dense_radius(size, seq_len, 3), "saddle point, L to infinity")
    if memory == "pseudo-inverse":
        return Theory(repairing_radius(size, seq_len, "pseudo_inverse"), step)
    if memory == "pseudo-likelihood":
        return Theory(repairing_radius(size, seq_len, "max_margin"), step)
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

"""What theory says of each memory's basin: of many neurons, or exact at finite size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory import channel, empirical, erasures
from simulations.basins.config import DRAW
from simulations.theory.radii import (
    ONE_STEP,
    dense_radius,
    exponential_radius,
    hopfield_radius,
    noise_level,
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


_BINARY: dict[str, tuple[Callable[[Floats, int], Floats], str]] = {
    "Hopfield": (hopfield_radius, "Amari-Maginu, optimistic"),
    "dense, n = 3": (partial(dense_radius, order=3), "saddle point, L to infinity"),
    "pseudo-inverse": (partial(repairing_radius, memory="pseudo_inverse"), ONE_STEP),
    "pseudo-likelihood": (partial(repairing_radius, memory="max_margin"), ONE_STEP),
}


def many_neurons(memory: str, sizes: ArrayLike, vocab_size: int, seq_len: int) -> Theory | None:
    """The prediction for a memory at `sizes` (n,) where many neurons or tokens give one."""
    size = np.asarray(sizes, dtype=float)
    if memory == "exponential":
        rate = exponential_rate(vocab_size)
        values = exponential_radius(np.log(size) / seq_len, vocab_size, rate)
        return Theory(values, "one step, L to infinity")
    if memory == "Potts":
        return Theory(potts_radius(size, seq_len, vocab_size), ONE_STEP)
    if vocab_size > 2 or memory not in _BINARY:
        return None
    radius, what = _BINARY[memory]
    return Theory(radius(size, seq_len), what)


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


def erased_rate(size: int, vocab_size: int, seq_len: int, t: Floats) -> Floats:
    """Exact rate of `nearest` under erasures: of MAP, of one draw, of every rule that ends in a
    stored sequence which fits the visible tokens; no rule has a larger one."""
    alpha = np.asarray(channel.LogLinear().alpha(t))
    return np.asarray(erasures.retrieval_probability(size, seq_len, vocab_size, alpha))


def erased_bound(
    sizes: ArrayLike, vocab_size: int, seq_len: int, threshold: float
) -> tuple[Floats, Floats]:
    """Radii (n,) that no memory passes under erasures: at this L, and as L grows."""
    load = np.log(np.asarray(sizes, dtype=float)) / seq_len
    radius = erasures.basin_radius(sizes, seq_len, vocab_size, threshold)
    return np.asarray(radius), noise_level(erasures.critical_alpha(load, vocab_size))

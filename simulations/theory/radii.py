"""Basin radii that theory predicts, as noise levels t over the number of stored sequences.

Finite-size radii are exact; the others hold for many neurons or tokens. NaN where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from am_theory import channel, dense, empirical, hopfield, neurodynamics, potts, pseudolikelihood

Floats = NDArray[np.float64]
SCHEDULE = channel.LogLinear()
REPAIRED = 0.9  # overlap after one update, for the families without a theory of the dynamics
ONE_STEP = f"one step to overlap {REPAIRED}"


def noise_level(alpha: Any) -> Floats:
    """Noise level of a kept fraction; NaN stays NaN."""
    return np.clip((1 - np.asarray(alpha, dtype=float)) / (1 - SCHEDULE.eps), 0.0, 1.0)


def _root(function: Callable[[float], float]) -> float:
    """The kept fraction in (0, 1) at which a rising function passes 0; NaN without one."""
    low, high = 1e-6, 1 - 1e-9
    if not function(high) > 0:
        return np.nan
    return 0.0 if function(low) > 0 else float(brentq(function, low, high, xtol=1e-9))


def beyond_competitors(overlap: Floats, sizes: Floats, length: int) -> Floats:
    """Overlaps at the edge of a basin, NaN where a competing pattern overlaps as much: there the
    theories of many neurons, which let K grow first, do not hold."""
    return np.where(overlap > np.sqrt(2 * np.log(sizes) / length), overlap, np.nan)


def hopfield_radius(sizes: ArrayLike, length: int) -> Floats:
    """Amari-Maginu dynamics up to the AGS capacity: optimistic by about two in overlap."""
    sizes = np.asarray(sizes, dtype=float)
    load = sizes / length
    below = load < hopfield.critical_load()
    overlap = np.full(load.shape, np.nan)
    overlap[below] = neurodynamics.critical_overlap(load[below])
    return noise_level(beyond_competitors(overlap, sizes, length))


def dense_radius(sizes: ArrayLike, length: int, order: int) -> Floats:
    """The unstable overlap of the saddle point of order n, distinct indices, V = 2."""
    sizes = np.asarray(sizes, dtype=float)
    normalized = np.asarray(dense.normalized_load(sizes, length, order))
    inside = normalized < dense.critical_load(order).x_c * (1 - 1e-9)
    start = np.full(sizes.shape, np.nan)
    start[inside] = dense.saddle_point(order, normalized[inside]).m_unstable
    return noise_level(beyond_competitors(start, sizes, length))


def _radii(excess: Callable[[float, float], float], values: ArrayLike) -> Floats:
    """Noise level of the root in alpha of excess(value, alpha), one for each value."""
    found = [_root(partial(excess, value)) for value in np.asarray(values, dtype=float)]
    return noise_level(found)


def repairing_radius(sizes: ArrayLike, length: int, memory: pseudolikelihood.Memory) -> Floats:
    """Largest t from which one update of all neurons reaches an overlap of REPAIRED, V = 2."""
    limit = {"max_margin": 1.9, "pseudo_inverse": 0.999, "hebb": np.inf}[memory]

    def excess(load: float, m: float) -> float:
        if load > limit:
            return np.nan
        return pseudolikelihood.one_step_overlap(m, load, memory) - REPAIRED

    return _radii(excess, np.asarray(sizes, dtype=float) / length)


def potts_radius(sizes: ArrayLike, length: int, vocab: int) -> Floats:
    """Largest t from which one update of all tokens reaches an overlap of REPAIRED (V - 1)."""

    def excess(size: float, alpha: float) -> float:
        start = potts.channel_overlap(alpha, vocab)
        return float(potts.one_step(start, size / length, vocab).m) / (vocab - 1) - REPAIRED

    return _radii(excess, sizes)


def exponential_radius(log_loads: ArrayLike, vocab: int, b: float) -> Floats:
    """Radius of one step of sum_mu e^(b m_mu): where its capacity is the load."""

    def excess(load: float, alpha: float) -> float:
        share = 1 - channel.corruption_rate(alpha, vocab)
        return float(empirical.one_step_log_capacity(share, b, vocab)) - load

    return _radii(excess, log_loads)


def posterior_draw_radius(
    sizes: ArrayLike, length: int, vocab: int, threshold: float = 0.5
) -> Floats:
    """Exact: one posterior draw of the empirical denoiser is right at the rate `threshold`."""

    def excess(size: float, alpha: float) -> float:
        return empirical.true_weight(size, length, vocab, alpha) - threshold

    return _radii(excess, sizes)

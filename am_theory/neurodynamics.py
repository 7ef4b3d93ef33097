"""Retrieval dynamics of the Hopfield network: one step, trajectories and basins of attraction.

All neurons are updated at once, at T = 0, from a state of overlap m_0 with one of P = load N
random patterns. The statistical neurodynamics of Amari and Maginu follows the overlap m and the
variance of the crosstalk, taken as Gaussian at each step. The first step is exact. Later ones
neglect correlations, and the basins come out too large: against simulations of N = 4000 neurons
the critical overlap is too small by a factor 1.65 (load 0.12) to 2.4 (load 0.02), and the
capacity is 0.1596 in place of 0.1379. Use the curves as optimistic, never as ground truth.

A step takes the ratio rho = m / sigma alone to the next state, so that basins end at the unstable
fixed point of a map of one variable, which gives the load explicitly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, gammainc

from am_theory._inputs import Floats, Interval, bare, broadcast_iv, real_iv, whole_iv
from am_theory._roots import brentq

__all__ = ["Trajectory", "critical_load", "critical_overlap", "one_step_overlap", "trajectory"]

_OVERLAPS = Interval(-1.0, 1.0)
_LOADS = Interval(1e-12, math.inf)


@dataclass(frozen=True)
class Trajectory:
    """Overlap `m` and crosstalk `variance` at steps 0 to n_steps, along the last axis."""

    m: Floats
    variance: Floats


def _load_iv(load: ArrayLike) -> Floats:
    return real_iv("load", load, _LOADS, "It is the number of stored patterns per neuron, P / N.")


def _start_iv(overlap: ArrayLike, load: ArrayLike) -> list[Floats]:
    starts = real_iv("overlap", overlap, _OVERLAPS, "It is a mean product of signs.")
    return broadcast_iv(overlap=starts, load=_load_iv(load))


def _density(rho: Any) -> Any:
    return np.exp(-(rho**2) / 2) / math.sqrt(2 * math.pi)


def one_step_overlap(overlap: ArrayLike, load: ArrayLike) -> Any:
    """Return the overlap after one synchronous step at T = 0, exact for many neurons.

    m_1 = erf(m_0 / sqrt(2 load)).

    Parameters
    ----------
    overlap : number or array, m_0 in [-1, 1].
    load : number or array, P / N >= 1e-12.

    Returns
    -------
    Broadcast shape, in [-1, 1].

    Raises
    ------
    ValueError for an overlap or load out of range, or shapes that do not fit.

    Unit: dimensionless

    Source: Amari, Maginu 1988 (Neural Networks 1, 63), first step.

    >>> round(one_step_overlap(0.4, 0.1), 4)
    0.7941
    """
    start, loads = _start_iv(overlap, load)
    return bare(erf(start / np.sqrt(2 * loads)))


def trajectory(overlap: ArrayLike, load: ArrayLike, n_steps: int) -> Trajectory:
    """Return overlap and crosstalk variance along the synchronous dynamics at T = 0.

    m_{k+1} = erf(rho_k / sqrt 2),   rho_k = m_k / sigma_k,   sigma_0^2 = load,
    sigma_{k+1}^2 = load + 4 phi(rho_k)^2 + 4 load rho_k m_{k+1} phi(rho_k),
    with phi the standard normal density.

    Parameters
    ----------
    overlap : number or array, m_0 in [-1, 1].
    load : number or array, P / N >= 1e-12.
    n_steps : int >= 0.

    Returns
    -------
    Trajectory of two arrays of the broadcast shape and an axis of n_steps + 1, the start included.

    Raises
    ------
    ValueError for an argument out of range, or shapes that do not fit.

    Notes
    -----
    Optimistic beyond the first step: retrieval is predicted from starts whose overlap is smaller
    than needed by a factor 1.65 to 2.4, and up to a load of 0.1596 in place of 0.138; higher
    orders of the theory (Okada 1995) bring the capacity down to 0.138.

    Unit: dimensionless

    Source: Amari, Maginu 1988 (Neural Networks 1, 63).

    >>> trajectory(0.3, 0.05, 2).m.round(8)
    array([0.3       , 0.82028751, 0.93951803])
    """
    m, loads = _start_iv(overlap, load)
    steps = whole_iv("n_steps", n_steps, 0, "It counts updates of the whole network.")
    variance = loads
    overlaps, variances = [m], [variance]
    for _ in range(steps):
        rho = m / np.sqrt(variance)
        m, phi = erf(rho / math.sqrt(2)), _density(rho)
        variance = loads + 4 * phi**2 + 4 * loads * rho * m * phi
        overlaps.append(m)
        variances.append(variance)
    return Trajectory(m=np.stack(overlaps, axis=-1), variance=np.stack(variances, axis=-1))


def _fixed_load(rho: float) -> float:
    """The load that has a fixed point at rho, through e - 2 rho phi = P(3/2, rho^2 / 2)."""
    mean, phi = math.erf(rho / math.sqrt(2)), float(_density(rho))
    excess = float(gammainc(1.5, rho**2 / 2)) / rho
    return excess * (mean / rho + 2 * phi) / (1 + 4 * rho * phi * mean)


def _peak() -> float:
    """rho of the largest load, from the vanishing slope of its logarithm."""

    def slope(rho: float) -> float:
        mean, phi = math.erf(rho / math.sqrt(2)), float(_density(rho))
        excess, total = mean / rho - 2 * phi, mean / rho + 2 * phi
        turn = 2 * phi / rho - mean / rho**2  # of mean / rho
        spread = 4 * (phi * mean * (1 - rho**2) + 2 * rho * phi**2) / (1 + 4 * rho * phi * mean)
        return (turn + 2 * rho * phi) / excess + (turn - 2 * rho * phi) / total - spread

    return float(brentq(slope, 1.0, 2.5, xtol=1e-15))


def critical_load() -> float:
    """Return the load above which the theory knows no retrieval, from whatever overlap.

    load_c = max over rho of [e^2 / rho^2 - 4 phi^2] / (1 + 4 rho phi e),   e = erf(rho / sqrt 2).

    Returns
    -------
    Python float.

    Notes
    -----
    Optimistic: the equilibrium theory, which simulations confirm, has 0.1379
    (`hopfield.critical_load`), smaller by a factor 0.864.

    Unit: patterns per neuron

    Source: Amari, Maginu 1988 (Neural Networks 1, 63), there ".16".

    >>> round(critical_load(), 8)
    0.15960813
    """
    return _fixed_load(_peak())


def critical_overlap(load: ArrayLike) -> Any:
    """Return the smallest initial overlap from which the pattern is retrieved, in the theory.

    m_c = rho sqrt(load), rho the smaller root of
    load = [e^2 / rho^2 - 4 phi^2] / (1 + 4 rho phi e),   e = erf(rho / sqrt 2),
    which is the unstable fixed point of the map from m_k / sigma_k to m_{k+1} / sigma_{k+1};
    m_c = sqrt(3 pi / 4) load at small load.

    Parameters
    ----------
    load : number or array, P / N >= 1e-12.

    Returns
    -------
    Shape of `load`, in (0, 1); NaN above `critical_load()`.

    Raises
    ------
    ValueError for a load out of range.

    Notes
    -----
    Optimistic: simulations of 4000 neurons need an overlap larger by a factor 1.65 (load 0.12) to
    2.4 (load 0.02), so the basins of this theory are too large.

    Unit: dimensionless

    Source: Amari, Maginu 1988 (Neural Networks 1, 63); fixed point derived in
    tests/am_theory/test_neurodynamics.py.

    >>> round(critical_overlap(0.1), 5)
    0.20943
    """
    peak = _peak()
    most = _fixed_load(peak)

    def one(load: float) -> float:
        if load > most:
            return math.nan
        low = 0.5 * math.sqrt(load)  # rho > sqrt(3 pi load / 4)
        rho = brentq(lambda rho: _fixed_load(rho) - load, low, peak, xtol=1e-300, rtol=1e-15)
        return float(rho) * math.sqrt(load)

    return bare(np.vectorize(one, otypes=[float])(_load_iv(load)))

"""The Hopfield network of random patterns in equilibrium: how much it stores, and how well.

N neurons of sign +-1 with Hebb's couplings store P = load N random patterns. In the limit of large
N at fixed load, the theory of Amit, Gutfreund and Sompolinsky (AGS) describes the states near one
pattern by their overlap m with it, the Edwards-Anderson order q and the crosstalk r of the others:

    m = E tanh(beta (m + sqrt(load r) z)),   q = E tanh^2(beta (m + sqrt(load r) z)),
    r = q / (1 - beta (1 - q))^2,            beta = 1 / T,  z standard normal.

All of it assumes replica symmetry, which fails close to T = 0 with small effect: at T = 0 two
steps of symmetry breaking move the capacity from 0.13791 to 0.13819 (Steffan, Kuehn 1994).

Numbers in give Python floats, arrays broadcast. Where a state does not exist the answer is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, gammaln

from am_theory import _ags
from am_theory._hopfield_phases import (
    PhaseDiagram,
    ground_state_load,
    load_iv,
    phase_diagram,
    retrieval_temperature,
    spin_glass_temperature,
    temperature_iv,
    thermodynamic_temperature,
)
from am_theory._inputs import bare, broadcast_iv, whole_iv
from am_theory._roots import brentq

__all__ = [
    "MixtureLimit",
    "PhaseDiagram",
    "SaddlePoint",
    "critical_load",
    "free_energy",
    "ground_state_load",
    "mixture_limit",
    "phase_diagram",
    "retrieval_temperature",
    "saddle_point",
    "spin_glass_temperature",
    "thermodynamic_temperature",
]

_TOLERANCE = 1e-9  # largest residual that counts as converged


@dataclass(frozen=True)
class SaddlePoint:
    """Order parameters of the retrieval state; NaN where it does not exist.

    `residual` is the largest error of the three equations (that of r relative to q), and
    `converged` says that it is below 1e-9.
    """

    m: Any
    q: Any
    r: Any
    exists: Any
    converged: Any
    residual: Any


@dataclass(frozen=True)
class MixtureLimit:
    """Largest load of a symmetric mixture, and its overlap with each of its patterns there."""

    load: float
    m: float


def _saddle_point(load: float, temperature: float) -> tuple[float, ...]:
    """m, q, r, residual; the residual puts m, q, r back into the equations as they stand above."""
    if not _ags.retrieves(load, temperature):
        return (math.nan,) * 4
    state = _ags.retrieval(load, temperature)
    m, q, r = state.m, state.q, state.width**2 / load
    width = math.sqrt(load * r)
    again = _ags.point(m / width, temperature / width)
    crosstalk = r * (1 - again.d / width) ** 2 / q - 1
    return m, q, r, max(abs(again.m - m), abs(again.q - q), abs(crosstalk))


def saddle_point(load: ArrayLike, temperature: ArrayLike = 0.0) -> SaddlePoint:
    """Return overlap and order parameters of the retrieval state.

    m = E tanh(beta (m + sqrt(load r) z)),   q = E tanh^2(...),   r = q / (1 - beta (1 - q))^2;
    at T = 0:  m = erf(y),  sqrt(2 load) = erf(y) / y - 2 / sqrt(pi) exp(-y^2),  the larger root y.

    Parameters
    ----------
    load : number or array, P / N >= 1e-12.
    temperature : number or array, T >= 0.

    Returns
    -------
    SaddlePoint of the broadcast shape: m and q in (0, 1], r > 0; `exists` is False, the numbers
    NaN and `converged` False where the load is above `critical_load(temperature)`.

    Raises
    ------
    ValueError for a load or temperature out of range, or shapes that do not fit.

    Notes
    -----
    Solved in the plane of signal and thermal noise over crosstalk by a Newton iteration that
    cannot overshoot, up to the spinodal itself; accurate to 1e-12, and to 1e-12 over the square
    root of 1 - load / capacity near capacity. A call takes 5 ms.

    Unit: dimensionless

    Source: Amit, Gutfreund, Sompolinsky 1987 (Ann. Phys. 173, 30), replica-symmetric equations.

    >>> state = saddle_point(0.05, 0.5)
    >>> round(state.m, 8), round(state.q, 8), state.converged
    (0.90410608, 0.83335796, True)
    """
    loads, temperatures = broadcast_iv(load=load_iv(load), temperature=temperature_iv(temperature))
    m, q, r, residual = np.vectorize(_saddle_point, otypes=[float] * 4)(loads, temperatures)
    converged = residual < _TOLERANCE
    fields = (m, q, r, np.isfinite(m), converged, residual)
    return SaddlePoint(*map(bare, fields))


def critical_load(temperature: ArrayLike = 0.0) -> Any:
    """Return the largest load at which a temperature leaves retrieval states.

    load_c(T) = max over x of load(x, T), x the signal over the crosstalk; at T = 0
    load_c = max over y of (erf(y) / y - 2 / sqrt(pi) exp(-y^2))^2 / 2.

    Parameters
    ----------
    temperature : number or array, T >= 0.

    Returns
    -------
    Shape of `temperature`; 0 from T = 1 on.

    Raises
    ------
    ValueError for a temperature below 0.

    Notes
    -----
    Rises at first, from 0.1379056 at T = 0 to 0.1381885 at T = 0.0229, and falls from there on:
    the re-entrance of the replica-symmetric theory (Naef, Canning 1992). A call takes 3 ms.

    Unit: patterns per neuron

    Source: Amit, Gutfreund, Sompolinsky 1985 (Phys. Rev. Lett. 55, 1530) and 1987.

    >>> round(critical_load(), 10)
    0.1379055665
    """

    def one(T: float) -> float:
        return _ags.spinodal_at_temperature(T).root_load ** 2 if T < 1 else 0.0

    return bare(np.vectorize(one, otypes=[float])(temperature_iv(temperature)))


def free_energy(
    load: ArrayLike,
    temperature: ArrayLike = 0.0,
    *,
    state: Literal["retrieval", "spin_glass"] = "retrieval",
) -> Any:
    """Return the free energy for each neuron of the retrieval or of the spin-glass state.

    f = load / 2 + m^2 / 2 + load beta r (1 - q) / 2 - T E log 2 cosh(beta (sqrt(load r) z + m))
        + load T / 2 [log(1 - beta + beta q) - beta q / (1 - beta + beta q)].

    Parameters
    ----------
    load : number or array, P / N >= 1e-12.
    temperature : number or array, T >= 0; at T = 0 f is the energy.
    state : "retrieval", or "spin_glass", the state with m = 0 < q below T_g.

    Returns
    -------
    Broadcast shape; NaN where the state does not exist.

    Raises
    ------
    ValueError for a load or temperature out of range, an unknown state or shapes that do not fit.

    Notes
    -----
    The energy of a network is -(1 / 2) sum_ij J_ij S_i S_j over i != j, J_ij = sum xi_i xi_j / N.

    Unit: energy per neuron, in units of the couplings

    Source: Amit, Gutfreund, Sompolinsky 1987 (Ann. Phys. 173, 30).

    >>> round(free_energy(0.05, 0.5), 8)
    -0.51701378
    >>> round(free_energy(0.05, 0.5, state="spin_glass"), 8)
    -0.54864565
    """
    if state not in ("retrieval", "spin_glass"):
        raise ValueError(f"`state` must be one of retrieval, spin_glass; got {state!r}.")

    def one(load: float, T: float) -> float:
        if state == "retrieval":
            return (
                _ags.free_energy(_ags.retrieval(load, T), load)
                if _ags.retrieves(load, T)
                else math.nan
            )
        frozen = T < 1 + math.sqrt(load)
        return _ags.free_energy(_ags.spin_glass(load, T), load) if frozen else math.nan

    loads, temperatures = broadcast_iv(load=load_iv(load), temperature=temperature_iv(temperature))
    return bare(np.vectorize(one, otypes=[float])(loads, temperatures))


def mixture_limit(n_patterns: int) -> MixtureLimit:
    """Return the largest load at which the symmetric mixture of n patterns is a state at T = 0.

    With S the sum of n independent signs, the load is the maximum over y of G^2 / 2,
    G = E[S erf(y S)] / (n y) - 2 / sqrt(pi) E exp(-y^2 S^2),   and m = E[S erf(y S)] / n there.

    Parameters
    ----------
    n_patterns : odd int >= 1; 1 is the retrieval state. Even mixtures are no states at T = 0.

    Returns
    -------
    MixtureLimit of two Python floats: `load`, and `m` the overlap with each of the n patterns.

    Raises
    ------
    ValueError for an even number or one below 1.

    Notes
    -----
    Cost linear in n. Falls as 0.0695 / n for many patterns.

    Unit: patterns per neuron (load), dimensionless (m)

    Source: Amit, Gutfreund, Sompolinsky 1987 (Ann. Phys. 173, 30), section on mixture states.

    >>> limit = mixture_limit(3)
    >>> round(limit.load, 8), round(limit.m, 6)
    (0.02994176, 0.495813)
    """
    n = whole_iv("n_patterns", n_patterns, 1, "It counts the patterns that are mixed.")
    if n % 2 == 0:
        raise ValueError(
            f"`n_patterns` must be odd; got {n}. Mixtures of an even number leave neurons without "
            "a field and are not stable."
        )
    size = np.arange(1.0, n + 1, 2)  # |S|, each of two signs
    log_count = gammaln(n + 1) - gammaln((n + size) / 2 + 1) - gammaln((n - size) / 2 + 1)
    law = np.exp(log_count - (n - 1) * math.log(2))

    def overlap(y: float) -> float:
        return float(law @ (size * erf(y * size))) / n

    def slope(y: float) -> float:
        damp = law * np.exp(-((y * size) ** 2))
        second = float(damp @ size**2) * 2 / math.sqrt(math.pi)
        return second / (n * y) + 2 * y * second - overlap(y) / y**2

    y = float(brentq(slope, 1.2, 2.2, xtol=1e-15))
    m = overlap(y)
    root = m / y - 2 / math.sqrt(math.pi) * float(law @ np.exp(-((y * size) ** 2)))
    return MixtureLimit(load=root**2 / 2, m=m)

"""Transition lines of the Hopfield network, part of `am_theory.hopfield` (private)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory import _ags
from am_theory._inputs import NOT_NEGATIVE, Floats, Interval, bare, real_iv
from am_theory._roots import brentq, minimize_scalar

_LOADS = Interval(1e-12, math.inf)


@dataclass(frozen=True)
class PhaseDiagram:
    """Transition temperatures at each load; NaN where there is no transition."""

    load: Any
    T_M: Any
    T_c: Any
    T_g: Any


def load_iv(load: ArrayLike) -> Floats:
    return real_iv("load", load, _LOADS, "It is the number of stored patterns per neuron, P / N.")


def temperature_iv(temperature: ArrayLike) -> Floats:
    hint = "Temperatures are in units of the couplings, with retrieval below 1."
    return real_iv("temperature", temperature, NOT_NEGATIVE, hint)


def retrieval_temperature(load: ArrayLike) -> Any:
    """Return T_M, the temperature below which there are retrieval states.

    T_M = max over x of T(x, load), x the signal over the crosstalk; T_M = 1 - 1.954 sqrt(load) at
    small load, with 1.954 = min over x of (x^2 + 3) sqrt(x^2 + 1) / (2 x^2).

    Parameters
    ----------
    load : number or array, P / N >= 1e-12.

    Returns
    -------
    Shape of `load`, in (0, 1); NaN above the load 0.1381885, where no temperature has any.

    Raises
    ------
    ValueError for a load out of range.

    Notes
    -----
    Inverse of `critical_load` on its falling part. The line is re-entrant: at loads between
    `critical_load(0)` and 0.1381885 retrieval fails at low T too. A call takes 5 ms.

    Unit: dimensionless

    Source: Amit, Gutfreund, Sompolinsky 1987 (Ann. Phys. 173, 30).

    >>> round(retrieval_temperature(0.05), 6)
    0.542255
    """
    return bare(np.vectorize(_ags.spinodal_at_load, otypes=[float])(load_iv(load)))


def spin_glass_temperature(load: ArrayLike) -> Any:
    """Return T_g, the temperature below which the network freezes: T_g = 1 + sqrt(load).

    Parameters
    ----------
    load : number or array, P / N >= 1e-12.

    Returns
    -------
    Shape of `load`.

    Raises
    ------
    ValueError for a load out of range.

    Unit: dimensionless

    Source: Amit, Gutfreund, Sompolinsky 1985 (Phys. Rev. Lett. 55, 1530).

    >>> round(spin_glass_temperature(0.05), 5)
    1.22361
    """
    return bare(1 + np.sqrt(load_iv(load)))


def _gap(load: float, temperature: float) -> float:
    """Free energy of retrieval above that of the spin glass."""
    states = _ags.retrieval(load, temperature), _ags.spin_glass(load, temperature)
    return _ags.free_energy(states[0], load) - _ags.free_energy(states[1], load)


def _thermodynamic_temperature(load: float) -> float:
    """The gap falls, then rises with T; its upper zero, if any, lies between `low` and `high`."""
    low, high = 1 - 4 * math.sqrt(load), 1 - 2.5 * math.sqrt(load)
    if low <= 0:
        return math.nan

    def gap(temperature: float) -> float:
        return _gap(load, temperature)

    if gap(low) >= 0:
        options = {"xatol": 1e-5}
        low = minimize_scalar(gap, bounds=(low, high), method="bounded", options=options).x
        if gap(low) >= 0:
            return math.nan
    return float(brentq(gap, low, high, xtol=1e-14))


def thermodynamic_temperature(load: ArrayLike) -> Any:
    """Return T_c, below which retrieval states have the lowest free energy.

    f_retrieval(load, T_c) = f_spin_glass(load, T_c); T_c = 1 - 2.6 sqrt(load) at small load.

    Parameters
    ----------
    load : number or array, P / N >= 1e-12.

    Returns
    -------
    Shape of `load`, in (0, 1); NaN where retrieval states are metastable at every temperature.

    Raises
    ------
    ValueError for a load out of range.

    Notes
    -----
    At T = 0 retrieval states are ground states up to `ground_state_load()` = 0.0518543. The line
    is re-entrant in the replica-symmetric theory: between that load and 0.0531321 (reached at
    T = 0.085) they are the lowest states in a range of temperatures, and T_c is its upper end.
    A call takes up to 20 ms. Below a load of 1e-8 rounding of f limits T_c to some 1e-8.

    Unit: dimensionless

    Source: Amit, Gutfreund, Sompolinsky 1987 (Ann. Phys. 173, 30).

    >>> round(thermodynamic_temperature(0.03), 5)
    0.47879
    """
    return bare(np.vectorize(_thermodynamic_temperature, otypes=[float])(load_iv(load)))


def ground_state_load() -> float:
    """Return the load up to which retrieval states are the ground states of the network.

    It solves f_retrieval(load, 0) = f_spin_glass(load, 0), where f is the energy per neuron.

    Returns
    -------
    Python float.

    Notes
    -----
    Replica-symmetric on both sides; the true energy of the spin glass is a little higher.

    Unit: patterns per neuron

    Source: Amit, Gutfreund, Sompolinsky 1987 (Ann. Phys. 173, 30).

    >>> round(ground_state_load(), 8)
    0.05185433
    """
    return float(brentq(lambda load: _gap(load, 0.0), 0.01, 0.1, xtol=1e-16))


def phase_diagram(load: ArrayLike) -> PhaseDiagram:
    """Return the transition temperatures T_M, T_c and T_g of the network at each load.

    Parameters
    ----------
    load : number or array, P / N >= 1e-12.

    Returns
    -------
    PhaseDiagram of the shape of `load`: `load`, `T_M` (`retrieval_temperature`), `T_c`
    (`thermodynamic_temperature`) and `T_g` (`spin_glass_temperature`), NaN where there is none.

    Raises
    ------
    ValueError for a load out of range.

    Notes
    -----
    T_c < T_M < T_g. A hundred loads take about 2 s.

    Unit: dimensionless

    Source: Amit, Gutfreund, Sompolinsky 1987 (Ann. Phys. 173, 30), phase diagram.

    >>> lines = phase_diagram([0.02, 0.1])
    >>> lines.T_M.round(5), lines.T_c.round(4), lines.T_g.round(5)
    (array([0.71648, 0.31543]), array([0.5913,    nan]), array([1.14142, 1.31623]))
    """
    loads = load_iv(load)
    return PhaseDiagram(
        load=bare(loads),
        T_M=retrieval_temperature(loads),
        T_c=thermodynamic_temperature(loads),
        T_g=spin_glass_temperature(loads),
    )

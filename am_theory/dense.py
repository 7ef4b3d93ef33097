"""Dense associative memories: interactions of order n, and the exponential limit.

Order n >= 3 stores K ~ N^(n-1) random patterns of N binary neurons (energy -sum_mu F(xi^mu x),
F(z) ~ z^n). The normalized load x is one number for both usual conventions,

    x = (n - 1)! K / N^(n-1)     ("distinct": products over distinct sites, the p-spin form),
    x = (2 n - 3)!! K / N^(n-1)  ("full_power": F(z) = z^n with its repeated sites).

F(z) = exp(lambda z) stores exp(N log_load) patterns; loads are then in nats per neuron.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, erfc

from am_theory._dense_counts import (
    error_free_capacity,
    log_multiplicity,
    normalized_load,
    one_step_error,
    order_iv,
)
from am_theory._exponential_memory import (
    exponential_log_load,
    gaussian_all_log_load,
    gaussian_log_load,
    spherical_log_load,
)
from am_theory._inputs import (
    POSITIVE,
    Floats,
    Interval,
    bare,
    broadcast_iv,
    real_iv,
)
from am_theory._roots import brentq

__all__ = [
    "CriticalLoad",
    "SaddlePoint",
    "critical_load",
    "error_free_capacity",
    "exponential_log_load",
    "gaussian_all_log_load",
    "gaussian_log_load",
    "normalized_load",
    "one_step_error",
    "one_step_overlap",
    "saddle_point",
    "spherical_log_load",
]

_LOAD = "It is the normalized load x; `normalized_load` gives it for K patterns."


@dataclass(frozen=True)
class SaddlePoint:
    """Retrieval state: overlap m, and m_unstable, the unstable solution between 0 and m."""

    m: Any
    m_unstable: Any
    exists: Any
    converged: Any
    residual: Any


@dataclass(frozen=True)
class CriticalLoad:
    """End of the retrieval branch: normalized load, overlap, and K / N^(n-1) in both forms."""

    x_c: float
    m_c: float
    distinct: float
    full_power: float


def saddle_point(order: int, load: ArrayLike) -> SaddlePoint:
    """Return the retrieval state of order n >= 3 at zero temperature.

    m = erf(m^(n-1) / sqrt(2 x)); with m = erf(y) the branch is sqrt(2 x) = erf(y)^(n-1) / y, y
    beyond the maximum.

    Parameters
    ----------
    order : int, n >= 3.
    load : number or array, the normalized load x > 0.

    Returns
    -------
    SaddlePoint with fields of the shape of `load`, overlaps in (0, 1]. Beyond the critical load
    `exists` is False and the numbers are NaN. `residual` is the relative difference of the two
    sides for sqrt(2 x); `converged` says that it is below 1e-10.

    Raises
    ------
    ValueError for an order below 3 or a load that is not positive.

    Notes
    -----
    Replica-symmetric; for n >= 3 the retrieved state does not amplify its own noise at leading
    order. A start below `m_unstable` falls away under the one-step map. Simulations of a few
    hundred neurons lie above the branch near its end: the collapse is [unverified] there, in line
    with slow dynamics reported for these models (Sumikawa, Kabashima 2026, arXiv:2604.03115).

    Unit: dimensionless

    Source: Gardner 1987 (J. Phys. A 20, 3453), Abbott and Arian 1987 (Phys. Rev. A 36, 5091) for
    the model; derived in tests/am_theory/test_dense.py as the T = 0 limit of the p-spin equations.
    [agreement with the published constants unverified]

    >>> round(saddle_point(3, 0.1).m, 6)
    0.998379
    """
    n = order_iv(order)
    x = real_iv("load", load, POSITIVE, _LOAD)
    exists = x <= _largest_load(n)
    y = np.array(
        [
            _branches(n, v) if ok else (np.nan, np.nan)
            for v, ok in zip(x.flat, exists.flat, strict=True)
        ]
    ).reshape((*x.shape, 2))
    residual = np.abs(np.exp(_log_signal(n, y) - np.log(2 * x)[..., None] / 2) - 1).max(axis=-1)
    m = erf(y)
    fields = (m[..., 1], m[..., 0], exists, residual < 1e-10, residual)
    return SaddlePoint(*map(bare, fields))


def critical_load(order: int) -> CriticalLoad:
    """Return the largest load of retrieval at order n >= 3, normalized and per N^(n-1).

    x_c = (1/2) max_m [m^(n-1) / erfinv(m)]^2;  K_c / N^(n-1) is x_c / (n - 1)! for distinct sites,
    x_c / (2 n - 3)!! for the full power.

    Parameters
    ----------
    order : int, n >= 3.

    Returns
    -------
    CriticalLoad with x_c, the overlap m_c there, and K_c / N^(n-1) as `distinct`, `full_power`.

    Raises
    ------
    ValueError for an order below 3.

    Notes
    -----
    Validity as `saddle_point`. The maximum is the root of a monotone function, found to rounding.
    Counts below 1e-308, as they are from order 150 or so on, come out as 0.

    Unit: dimensionless (x_c, m_c); patterns per neuron^(n-1) (distinct, full_power)

    Source: as `saddle_point`.

    >>> round(critical_load(3).x_c, 8), round(critical_load(3).distinct, 8)
    (0.25219043, 0.12609522)
    """
    n = order_iv(order)
    x = _largest_load(n)
    return CriticalLoad(
        x_c=x,
        m_c=float(erf(_summit(n))),
        distinct=float(np.exp(np.log(x) - log_multiplicity(n, "distinct"))),
        full_power=float(np.exp(np.log(x) - log_multiplicity(n, "full_power"))),
    )


def one_step_overlap(overlap: ArrayLike, order: int, load: ArrayLike) -> Any:
    """Return the overlap after one update of all neurons, from random errors.

    m_1 = erf(m_0^(n-1) / sqrt(2 x)).

    Parameters
    ----------
    overlap : number or array, m_0 in [-1, 1].
    order : int, n >= 3.
    load : number or array, the normalized load x > 0.

    Returns
    -------
    Broadcast shape, in [-1, 1].

    Raises
    ------
    ValueError for arguments out of range or shapes that do not fit.

    Notes
    -----
    Exact for large N in the "distinct" form. The repeated sites of the full power add noise of the
    same order when m_0 < 1; there it is exact at m_0 = 1 alone.

    Unit: dimensionless

    Source: derived in tests/am_theory/test_dense.py, by simulation of one update.

    >>> round(one_step_overlap(0.9, 3, 0.1), 6)
    0.989576
    """
    n = order_iv(order)
    m, x = broadcast_iv(
        overlap=real_iv("overlap", overlap, Interval(-1.0, 1.0)),
        load=real_iv("load", load, POSITIVE, _LOAD),
    )
    return bare(erf(m ** (n - 1) / np.sqrt(2 * x)))


def _log_signal(n: int, y: Floats | float) -> Any:
    """log [erf(y)^(n-1) / y], which equals log(2 x) / 2 at a solution."""
    log_erf = np.where(np.asarray(y) < 0.5, np.log(erf(y)), np.log1p(-erfc(y)))
    return (n - 1) * log_erf - np.log(y)


@lru_cache(maxsize=64)
def _summit(n: int) -> float:
    """y where erf(y)^(n-1) / y is largest."""

    def slope(y: float) -> float:
        return float(np.log(2 * (n - 1) * y / np.sqrt(np.pi)) - y**2 - np.log(erf(y)))

    return float(brentq(slope, 0.1, 2 + np.sqrt(np.log(n)), xtol=1e-15))


def _largest_load(n: int) -> float:
    return float(np.exp(2 * _log_signal(n, _summit(n))) / 2)


def _branches(n: int, x: float) -> tuple[float, float]:
    """Unstable and stable y of a load that has them; bounded by erf(y) <= 2 y / sqrt(pi) and 1."""
    half_log, top = np.log(2 * x) / 2, _summit(n)

    def gap(y: float) -> float:
        return float(_log_signal(n, y) - half_log)

    if gap(top) <= 0:  # at the critical load itself, up to rounding
        return top, top
    low = float(np.exp((half_log - (n - 1) * np.log(2 / np.sqrt(np.pi))) / (n - 2)))
    high = float(np.exp(-half_log))
    ends = ((low * (1 - 1e-9), top), (top, high * (1 + 1e-9)))
    first, second = (float(brentq(gap, *pair, xtol=1e-300, rtol=1e-15)) for pair in ends)
    return first, second

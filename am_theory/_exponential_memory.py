"""Exponential memories, weights exp(lambda xi.x): loads in nats per neuron, part of `dense`.

exp(N log_load) patterns of N components are stored; the noise of those not asked for is a random
energy model, whose free or frozen phase sets the load.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import lambertw, xlog1py, xlogy

from am_theory._inputs import POSITIVE, PROBABILITY, Interval, bare, broadcast_iv, real_iv

__all__ = [
    "exponential_log_load",
    "gaussian_all_log_load",
    "gaussian_log_load",
    "spherical_log_load",
]


def exponential_log_load(match_fraction: ArrayLike) -> Any:
    """Return the load to which the binary exponential memory is proved to retrieve all patterns.

    (1/2) I(m),   I(m) = [(1 + m) log(1 + m) + (1 - m) log(1 - m)] / 2,   m = 2 p - 1.

    Parameters
    ----------
    match_fraction : number or array, p in [1/2, 1]; share of right neurons in the query.

    Returns
    -------
    Shape of `match_fraction`, in [0, log(2) / 2].

    Raises
    ------
    ValueError for a match fraction outside of [1/2, 1].

    Notes
    -----
    A lower bound, for all patterns at once. A typical pattern is retrieved to I(m) itself when
    lambda >= artanh(m): that is the Shannon capacity of the binary channel with kept fraction m.

    Unit: nats per neuron

    Source: Demircigil, Heusel, Lowe, Upgang, Vermet 2017 (arXiv:1702.01929).

    >>> round(exponential_log_load(0.9), 8)
    0.1840321
    """
    p = real_iv(
        "match_fraction",
        match_fraction,
        Interval(0.5, 1.0),
        "It is the share of right neurons, 1 - rho for a flipped share rho.",
    )
    m = 2 * p - 1
    small = np.minimum(m, 0.5)  # where the sum of logarithms would cancel
    near = (np.log1p(-(small**2)) / 2 + small * np.arctanh(small)) / 2
    far = (np.log(2) + xlogy(p, p) + xlog1py(1 - p, -p)) / 2
    return bare(np.where(m < 0.5, near, far))


def spherical_log_load(inverse_temperature: ArrayLike, overlap: ArrayLike = 1.0) -> Any:
    """Return the load to which the exponential memory retrieves patterns on a sphere.

    lambda u_0 - zeta(lambda) while u_0 >= u(lambda), else -log(1 - u_0^2) / 2, where
    u = (sqrt(1 + 4 lambda^2) - 1) / (2 lambda),   zeta = lambda u + log(1 - u^2) / 2.

    Parameters
    ----------
    inverse_temperature : number or array, lambda > 0; patterns weigh exp(lambda xi.x), |xi|^2 = N.
    overlap : number or array, u_0 = xi.x / N in [0, 1], of a query of the same norm.

    Returns
    -------
    Broadcast shape, not negative.

    Raises
    ------
    ValueError for arguments out of range or shapes that do not fit.

    Notes
    -----
    The noise of the other patterns is a random energy model; the second branch is its frozen phase.
    At overlap 1 it is the capacity, for a typical pattern and for all of them alike. It also covers
    attention on a sphere (Ramsauer et al. 2020), whose own constants are not reproduced
    [unverified]. Derived here, not compared with the printed formulas [unverified against source];
    the exact average at N = 20 agrees, in tests/am_theory/test_dense.py.

    Unit: nats per neuron

    Source: Lucibello and Mezard 2024 (Phys. Rev. Lett. 132, 077301) for the problem; derived from
    the random energy model in tests/am_theory/test_dense.py.

    >>> round(spherical_log_load(1.0), 8)
    0.62257192
    """
    b, u_0 = broadcast_iv(
        inverse_temperature=real_iv("inverse_temperature", inverse_temperature, POSITIVE),
        overlap=real_iv("overlap", overlap, PROBABILITY, "It is xi.x / N."),
    )
    root = np.hypot(1.0, 2 * b)
    w = 2 * b * (b / (1 + root))  # lambda u, so that 1 - u^2 = 1 / (1 + w)
    free = (w + b) / (root + 2 * b) - b * (1 - u_0) + np.log1p(w) / 2
    frozen = -np.log1p(-(np.minimum(u_0, np.nextafter(1.0, 0.0)) ** 2)) / 2
    return bare(np.where(u_0 >= w / b, free, frozen))


def gaussian_log_load(inverse_temperature: ArrayLike) -> Any:
    """Return the load to which the exponential memory retrieves a typical Gaussian pattern.

    lambda - lambda^2 / 2 for lambda <= 1, 1/2 above.

    Parameters
    ----------
    inverse_temperature : number or array, lambda > 0; patterns weigh exp(lambda xi.x).

    Returns
    -------
    Shape of `inverse_temperature`, in (0, 1/2].

    Raises
    ------
    ValueError for an inverse temperature that is not positive.

    Notes
    -----
    Query at the pattern itself, components of unit variance. Derived here, not compared with the
    printed formulas [unverified against source].

    Unit: nats per neuron

    Source: Lucibello and Mezard 2024 (Phys. Rev. Lett. 132, 077301) for the problem; derived from
    the random energy model in tests/am_theory/test_dense.py.

    >>> gaussian_log_load(0.5), gaussian_log_load(3.0)
    (0.375, 0.5)
    """
    b = np.minimum(real_iv("inverse_temperature", inverse_temperature, POSITIVE), 1.0)
    return bare(b * (1 - b / 2))


def gaussian_all_log_load(inverse_temperature: ArrayLike) -> Any:
    """Return a load to which the exponential memory retrieves every one of its Gaussian patterns.

    The shortest pattern has norm s N, (s - 1 - log s) / 2 = load, s < 1, and is retrieved to
    s a_1(lambda), a_1 the value of `gaussian_log_load`. Equating the two gives
    load = s a_1,   s = -W(-c / e) / c,   c = 1 - 2 a_1 = (1 - min(lambda, 1))^2, W of Lambert.

    Parameters
    ----------
    inverse_temperature : number or array, lambda > 0; patterns weigh exp(lambda xi.x).

    Returns
    -------
    Shape of `inverse_temperature`, in (0, 1 / (2 e)].

    Raises
    ------
    ValueError for an inverse temperature that is not positive.

    Notes
    -----
    A lower bound on the load of all patterns. Derived here, not compared with the printed formulas
    [unverified against source].

    Unit: nats per neuron

    Source: Lucibello and Mezard 2024 (Phys. Rev. Lett. 132, 077301) for the problem; derived from
    the random energy model in tests/am_theory/test_dense.py.

    >>> round(gaussian_all_log_load(1.0), 8)
    0.18393972
    """
    typical = np.asarray(gaussian_log_load(inverse_temperature))
    c = (1 - np.minimum(np.asarray(inverse_temperature, dtype=np.float64), 1.0)) ** 2
    some = np.where(c > 0, c, 1.0)
    s = np.where(c > 0, -np.real(lambertw(-some / np.e)) / some, np.exp(-1.0))
    return bare(s * typical)

"""Memory of Potts sites with the Hebb rule: sequences of tokens stored as attractors.

P patterns of N sites with q values each, uniform and independent, at load P / N. A site takes the
value of the largest field

    h_i(s) = (1/N) sum_mu u(xi_i^mu, s) sum_{j != i} u(xi_j^mu, x_j),   u(k, l) = q 1[k = l] - 1,

and p_c is the share of sites that agree with the pattern, m = q p_c - 1 its overlap. For stored
sequences of tokens q is the vocabulary size, N the length and P the number of sequences. At q = 2
all of this is the Hopfield model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, ndtr

from am_theory._gaussian import normal_grid
from am_theory._inputs import (
    POSITIVE,
    PROBABILITY,
    Floats,
    Interval,
    bare,
    broadcast_iv,
    real_iv,
    whole_iv,
)
from am_theory._roots import brentq, minimize_scalar

__all__ = ["OneStep", "SaddlePoint", "channel_overlap", "critical_load", "one_step", "saddle_point"]

_POINTS = 951  # step 0.02; the sharpest integrand, Phi(z)^q, is about 0.2 wide at q = 65536
_STATES = "It counts the values a site can take."
_LOAD = "It is the number of patterns per site, P / N."


@dataclass(frozen=True)
class SaddlePoint:
    """Retrieval state: share p_c of correct sites, overlap m = q p_c - 1, signal to noise A."""

    p_c: Any
    m: Any
    A: Any
    exists: Any
    converged: Any
    residual: Any


@dataclass(frozen=True)
class OneStep:
    """State after one update of all sites: share p_c of correct sites, overlap m = q p_c - 1."""

    p_c: Any
    m: Any


def saddle_point(load: ArrayLike, n_states: int) -> SaddlePoint:
    """Return the retrieval state at zero temperature.

    With D the standard normal law of z, A > A_c solves

        sqrt(load (q - 1) / q) = (q p_c(A) - 1) / A - E(A),   p_c(A) = int Dz Phi(z + A)^(q-1),
        E(A) = int Dz z Phi(z + A)^(q-1) + (q - 1) int Dz z Phi(z - A) Phi(z)^(q-2),

    where E comes from the noise that the state adds to itself, and A_c is where the right side is
    largest.

    Parameters
    ----------
    load : number or array, P / N > 0.
    n_states : int, q >= 2.

    Returns
    -------
    SaddlePoint with fields of the shape of `load`; p_c in (1/q, 1], m in (0, q - 1]. Beyond the
    critical load `exists` is False and the numbers are NaN. `residual` is the relative difference
    of the two sides of the equation; `converged` says that it is below 1e-10.

    Raises
    ------
    ValueError for a load that is not positive or fewer than two states.

    Notes
    -----
    Replica-symmetric. E is integrated by parts into positive terms, so that nothing cancels at
    small load. A few milliseconds for each load, whatever the number of states; checked for q from
    2 to 65536. Simulations of a few hundred to a thousand sites agree to 0.005 in p_c below the
    critical load; above it their states decay only partly, and slowly.

    Unit: dimensionless

    Source: Kanter 1988 (Phys. Rev. A 37, 2739) for the model; self-consistent signal-to-noise
    analysis, checked in tests/am_theory/test_potts.py. [unverified against the printed equations]

    >>> round(saddle_point(0.35, 3).p_c, 6)
    0.994616
    """
    q = whole_iv("n_states", n_states, 2, _STATES)
    x = real_iv("load", load, POSITIVE, _LOAD)
    limit = critical_load(q)
    noise = np.sqrt(x * ((q - 1) / q))
    A = np.reshape(
        [_branch(s, q) if v <= limit else np.nan for s, v in zip(noise.flat, x.flat, strict=True)],
        x.shape,
    )
    p = _correct(A, q)
    residual = np.abs(((q * p - 1) / A - _amplification(A, q)) / noise - 1)
    fields = (p, q * p - 1, A, x <= limit, residual < 1e-10, residual)
    return SaddlePoint(*map(bare, fields))


def critical_load(n_states: int) -> float:
    """Return the largest load at which retrieval states exist.

    q / (q - 1) max_A [(q p_c(A) - 1) / A - E(A)]^2, in the notation of `saddle_point`.

    Parameters
    ----------
    n_states : int, q >= 2.

    Returns
    -------
    Number. The state there is `saddle_point(critical_load(q), q)`.

    Raises
    ------
    ValueError for fewer than two states.

    Notes
    -----
    0.1379 q (q - 1) / 2 is within 1% of it up to q = 6 and 25% too large at q = 64. For q = 3 the
    literature quotes .415, against 0.41441 here [literature comparison unverified].

    Unit: patterns per site

    Source: Kanter 1988 (Phys. Rev. A 37, 2739) for the model; self-consistent signal-to-noise
    analysis, checked in tests/am_theory/test_potts.py.

    >>> round(critical_load(3), 8)
    0.41441244
    """
    q = whole_iv("n_states", n_states, 2, _STATES)
    return float(q / (q - 1) * _signal(_spinodal(q), q) ** 2)


def one_step(overlap: ArrayLike, load: ArrayLike, n_states: int) -> OneStep:
    """Return the state after one update of all sites, from a state drawn at a given overlap.

    p_c = int Dz Phi(z + A)^(q-1),   A = q m_0 / sqrt(load q (q - 1)).

    Parameters
    ----------
    overlap : number or array, m_0 = q p - 1 in [-1, q - 1], p the share of correct sites.
    load : number or array, P / N > 0.
    n_states : int, q >= 2.

    Returns
    -------
    OneStep with fields p_c in [0, 1] and m = q p_c - 1, of the broadcast shape.

    Raises
    ------
    ValueError for arguments out of range or shapes that do not fit.

    Notes
    -----
    Exact for large N when the wrong sites are random, as they are after the token channel. A second
    step starts from a state whose errors know the patterns, so this map must not be iterated.

    Unit: dimensionless

    Source: derived in tests/am_theory/test_potts.py, by simulation of one update.

    >>> round(one_step(1.0, 0.2, 3).p_c, 6)
    0.952181
    """
    q = whole_iv("n_states", n_states, 2, _STATES)
    m_0, x = broadcast_iv(
        overlap=real_iv(
            "overlap",
            overlap,
            Interval(-1.0, q - 1.0),
            "It is q p - 1, p the share "
            "of correct sites; `channel_overlap` gives it for a channel.",
        ),
        load=real_iv("load", load, POSITIVE, _LOAD),
    )
    p = _correct(m_0 * np.sqrt(q / ((q - 1) * x)), q)
    return OneStep(bare(p), bare(q * p - 1))


def channel_overlap(alpha: ArrayLike, n_states: int) -> Any:
    """Return the overlap of a sequence with what the uniform token channel makes of it.

    m_0 = q p - 1 = (q - 1) alpha,   p = alpha + (1 - alpha) / q.

    Parameters
    ----------
    alpha : number or array in [0, 1]; probability that a token is kept.
    n_states : int, q >= 2, the vocabulary size.

    Returns
    -------
    Shape of `alpha`, in [0, q - 1].

    Raises
    ------
    ValueError for arguments out of range.

    Unit: dimensionless

    Source: definition of the overlap; derived in tests/am_theory/test_potts.py from the corruption
    rate of the channel.

    >>> channel_overlap(0.5, 4)
    1.5
    """
    q = whole_iv("n_states", n_states, 2, _STATES)
    kept = real_iv("alpha", alpha, PROBABILITY, "It is the probability that a token is kept.")
    return bare((q - 1) * kept)


def _correct(A: Floats, q: int) -> Floats:
    """p_c(A): the right value's field beats those of the q - 1 others."""
    z, weights = normal_grid(_POINTS)
    return np.exp((q - 1) * log_ndtr(z + np.asarray(A)[..., None])) @ weights


def _amplification(A: Floats, q: int) -> Floats:
    """E(A) = (q - 1) int Dz [2 phi(z - A) Phi^(q-2) + (q - 2) phi(z) Phi(z - A) Phi^(q-3)]."""
    z, weights = normal_grid(_POINTS)
    shifted = z - np.asarray(A)[..., None]
    log_tail, log_phi = log_ndtr(z), -np.log(2 * np.pi) / 2
    own = 2 * np.exp(log_phi - shifted**2 / 2) * np.exp((q - 2) * log_tail)
    rest = (q - 2) * np.exp(log_phi - z**2 / 2 + (q - 3) * log_tail)
    return (q - 1) * ((own + rest * ndtr(shifted)) @ weights)


def _signal(A: Floats | float, q: int) -> Any:
    return (q * _correct(np.asarray(A), q) - 1) / A - _amplification(np.asarray(A), q)


@lru_cache(maxsize=64)
def _spinodal(q: int) -> float:
    """A_c, where the retrieval branch ends; it grows from 3.0 at q = 2 as sqrt(2 log q) does."""
    top = 5 + float(np.sqrt(2 * np.log(q)))
    found = minimize_scalar(
        lambda A: -_signal(A, q), bounds=(2.0, top), method="bounded", options={"xatol": 1e-10}
    )
    return float(found.x)


def _branch(noise: float, q: int) -> float:
    """Root A >= A_c at the given sqrt(load (q - 1) / q), which must not exceed its largest value.

    The upper end is where even p_c = 1 and E = 0 give too little signal.
    """

    def gap(A: float) -> float:
        return float(A * (_signal(A, q) - noise))

    low = _spinodal(q)
    if gap(low) <= 0:  # at the critical load itself, up to rounding
        return low
    return float(brentq(gap, low, 2 * (q - 1) / noise, xtol=1e-14, rtol=1e-15))

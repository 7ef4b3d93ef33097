"""Rows of couplings trained by logistic regression on random patterns: the numbers (private).

Solves the replica equations of `am_theory.pseudolikelihood.replica` for one load and penalty.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.special import erf, expit, ndtr

from am_theory._inputs import Floats
from am_theory._roots import brentq, quad, root

_REACH = 9.5  # standard deviations kept of a Gaussian
_POINTS = 1001


def _proximal(v: float, chi: float) -> float:
    """x with x = v + chi sigma(-x)."""
    return v + float(brentq(lambda d: d - chi * expit(-v - d), 0.0, chi, xtol=1e-300, rtol=1e-15))


def _law(q: float, chi: float) -> tuple[Floats, Floats]:
    """Nodes x and weights of averages over z = (x - chi sigma(-x)) / sqrt(q), standard normal.

    Equal steps in x resolve both sigma and the Gaussian. Nodes end where x is 40 above its median,
    which is of no account to functions that fall as e^-x.
    """
    spread, median = np.sqrt(q), _proximal(0.0, chi)
    low, high = (_proximal(side * _REACH * spread, chi) for side in (-1, 1))
    high = min(high, max(median, 0.0) + 40)
    x, step = np.linspace(low, high, _POINTS + int(5 * (high - low)), retstep=True)
    s = expit(-x)
    z = (x - chi * s) / spread
    return x, np.exp(-(z**2) / 2) * (1 + chi * s * (1 - s)) * (step / spread / np.sqrt(2 * np.pi))


def _mismatch(q: float, chi: float, load: float, penalty: float) -> tuple[float, float]:
    """Logarithms of the sides' ratio: the equation of chi, rising with chi, and that of q."""
    x, weights = _law(q, chi)
    s = expit(-x)
    slope = s * expit(x)
    curvature = weights @ (slope / (1 + chi * slope))
    return (
        float(np.log(chi * (penalty + load * curvature))),
        float(np.log(chi**2 * load / q * (weights @ s**2))),
    )


def solve(load: float, penalty: float) -> tuple[float, float, float, float, float]:
    """q, chi, loss, stable share and residual: roughly by brackets, then by Newton's method."""
    ends = -np.log(penalty + load / 4), -np.log(penalty)  # as the curvature is at most 1/4

    def response(log_chi: float, q: float) -> float:
        return _mismatch(q, float(np.exp(log_chi)), load, penalty)[0]

    def chi_at(q: float) -> float:
        return float(np.exp(brentq(response, *ends, (q,), xtol=0.1)))

    def growth(log_q: float) -> float:
        q = float(np.exp(log_q))
        return _mismatch(q, chi_at(q), load, penalty)[1]

    def noiseless(log_chi: float) -> float:
        chi = float(np.exp(log_chi))
        s = float(expit(-_proximal(0.0, chi)))
        return chi * (penalty + load / (1 / (s * (1 - s)) + chi)) - 1

    def both(logs: Floats) -> tuple[float, float]:
        q, chi = (float(v) for v in np.exp(logs))
        return _mismatch(q, chi, load, penalty)

    chi_0 = float(np.exp(brentq(noiseless, *ends, xtol=0.1)))
    start = float(2 * np.log(chi_0 * expit(-_proximal(0.0, chi_0))) + np.log(load))
    step = 1.0 if growth(start) > 0 else -1.0
    stop = start + step
    while growth(stop) * step > 0:
        start, stop = stop, stop + 2 * step
    rough = float(np.exp(brentq(growth, start, stop, xtol=0.1)))
    found = root(both, np.log([rough, chi_at(rough)]), method="hybr", tol=1e-13)
    q, chi = (float(v) for v in np.exp(found.x))
    residual = float(np.abs(both(found.x)).max())
    x, weights = _law(q, chi)
    loss = float(weights @ np.logaddexp(0, -x))
    return q, chi, loss, float(ndtr(chi / (2 * np.sqrt(q)))), residual


def one_step(gain: float, q: float, chi: float) -> float:
    """E erf(gain x / sqrt(2 q)), as an integral over x, where its two scales are known."""
    spread = np.sqrt(q)

    def integrand(x: float) -> float:
        s = expit(-x)
        z = (x - chi * s) / spread
        weight = np.exp(-z * z / 2) * (1 + chi * s * (1 - s)) / spread / np.sqrt(2 * np.pi)
        return float(weight * erf(gain * x / spread / np.sqrt(2)))

    median = _proximal(0.0, chi)
    ends = [_proximal(side * _REACH * spread, chi) for side in (-1, 1)]
    inner = {v for v in (0.0, median, median + 5) if ends[0] < v < ends[1]}
    knots = sorted({*ends, *inner})
    pieces = pairwise(knots)
    total = sum(quad(integrand, *p, epsabs=1e-12, epsrel=1e-11)[0] for p in pieces)
    return float(np.clip(total, -1.0, 1.0))

"""Logistic rows that see fresh noise on every input: the numbers for two tokens (private).

Solves the replica equations of `am_theory.conditional_likelihood.rows` for one load, level and
ridge at V = 2. All averages over noise are sums of positive terms, so that rows far below
separability, whose losses are e^-100, keep their digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from am_theory._inputs import Floats
from am_theory._roots import brentq, root

_REACH = 9.5  # standard deviations kept of a Gaussian
_POINTS = 1001
_ROUGH = 151  # points while bracketing
_FAR = 100.0  # of log chi from its least value: losses below about e^-90 are not solved for
_WIDEST = 60.0  # deviation of a field's noise, for which 3,800 nodes are taken
_STEP = 0.6  # of the noise, in units in which both it and the logistic function have width 1


class Noise(NamedTuple):
    """alpha, and the deviation sqrt((1 - alpha^2) q) that noise gives a field."""

    alpha: float
    spread: float

    def average(self, x: Floats, function: Callable[[Floats], Floats]) -> Floats:
        """E of a function of u = alpha x + spread g that falls with u at most as e^-u.

        Equal steps in g, around where the terms are largest: 0, or g = -spread at most.
        """
        mean = self.alpha * x[:, None]
        centre = np.clip(-mean / max(self.spread, 1e-300), -self.spread, 0.0)
        step = _STEP / max(1.0, self.spread)
        g = centre + np.arange(-_REACH, _REACH + step / 2, step)
        weights = np.exp(-(g**2) / 2) * (step / np.sqrt(2 * np.pi))
        return np.asarray((weights * function(mean + self.spread * g)).sum(axis=1))

    def wrong(self, x: Floats) -> Floats:
        """E sigma(-u)."""
        return self.average(x, lambda u: expit(-u))

    def slope(self, x: Floats) -> Floats:
        """E sigma(u) sigma(-u)."""
        return self.average(x, lambda u: expit(-u) * expit(u))

    def loss(self, x: Floats) -> Floats:
        """E log(1 + e^-u), in nats."""
        return self.average(x, lambda u: np.maximum(-u, 0.0) + np.log1p(np.exp(-np.abs(u))))


class _Problem(NamedTuple):
    load: float
    alpha: float
    ridge: float

    @property
    def lost(self) -> float:
        return (1 - self.alpha) * (1 + self.alpha)

    def noise(self, q: float) -> Noise:
        spread = float(np.sqrt(self.lost * q))
        if spread > _WIDEST:
            raise ArithmeticError("the noise is too wide for these nodes")
        return Noise(self.alpha, spread)

    def proximal(self, q: float, chi: float, v: float) -> float:
        """x with x = v + chi alpha E sigma(-u)."""
        noise, reach = self.noise(q), chi * self.alpha

        def excess(d: float) -> float:
            return d - reach * float(noise.wrong(np.array([v + d]))[0])

        return v + float(
            brentq(excess, 0.0, reach * (1 + 1e-12), xtol=1e-300, rtol=1e-15, maxiter=999)
        )

    def law(self, q: float, chi: float, points: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Nodes x, their weights, and E sigma(-u), E sigma(u) sigma(-u) at them.

        Equal steps in x, as in `_logistic_rows`; nodes end where the loss has fallen by e^-40 below
        that of the median, which is of no account.
        """
        noise, spread = self.noise(q), float(np.sqrt(q))
        low, median, high = (self.proximal(q, chi, v * _REACH * spread) for v in (-1, 0, 1))
        high = min(high, max(median, 0.0) + (40 + _REACH * noise.spread) / self.alpha)
        count = points * (1 + int(min(high - low, 600.0) / 200))
        x, step = np.linspace(low, high, count, retstep=True)
        wrong, slope = noise.wrong(x), noise.slope(x)
        z = (x - chi * self.alpha * wrong) / spread
        rise = (1 + chi * self.alpha**2 * slope) * (step / spread / np.sqrt(2 * np.pi))
        return x, np.exp(-(z**2) / 2) * rise, wrong, slope

    def sides(self, q: float, chi: float, points: int = _POINTS) -> tuple[float, float]:
        """Logarithms of the sides' ratio: the equation of chi, rising with chi, and that of q."""
        _, weights, wrong, slope = self.law(q, chi, points)
        square = self.alpha**2
        push = self.load * square * float(weights @ wrong**2)
        bend = self.load * square * float(weights @ (slope / (1 + chi * square * slope)))
        own = self.load * self.lost * float(weights @ slope)
        return float(np.log(chi * (self.ridge + own + bend))), float(np.log(chi**2 * push / q))


def solve(load: float, alpha: float, ridge: float) -> tuple[float, float, float, float, float]:
    """q, chi, loss, noise ridge and residual: roughly by brackets, then by Newton's method."""
    problem = _Problem(load, alpha, ridge)
    least = -float(np.log(ridge + load / 4))  # of log chi, as all curvatures are at most 1/4

    def chi_at(q: float) -> float:
        def response(log_chi: float) -> float:
            return problem.sides(q, float(np.exp(log_chi)), _ROUGH)[0]

        low, high = least - 0.1, least + 1.0
        while response(high) < 0:
            low, high = high, high + 2.0
            if high > least + _FAR:
                raise ArithmeticError("the loss is too small for these numbers")
        return float(np.exp(brentq(response, low, high, xtol=0.2)))

    def growth(log_q: float) -> float:
        q = float(np.exp(log_q))
        return problem.sides(q, chi_at(q), _ROUGH)[1]

    def both(logs: Floats) -> tuple[float, float]:
        q, chi = (float(v) for v in np.exp(logs))
        return problem.sides(q, chi)

    high = 2 * float(np.log(alpha)) + float(np.log(load / 4)) + 2 * least  # q at the least chi
    low = high - 4.0
    while growth(low) < 0:
        low, high = low - 4.0, low
    while growth(high) > 0:
        low, high = high, high + 2.0
    rough = float(np.exp(brentq(growth, low, high, xtol=0.2)))
    found = root(both, np.log([rough, chi_at(rough)]), method="hybr", tol=1e-13)
    q, chi = (float(v) for v in np.exp(found.x))
    x, weights, _, slope = problem.law(q, chi, _POINTS)
    own = load * problem.lost * float(weights @ slope)
    residual = float(np.abs(both(found.x)).max())
    return q, chi, float(weights @ problem.noise(q).loss(x)), own, residual

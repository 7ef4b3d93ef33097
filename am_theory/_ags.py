"""Solutions of the mean-field theory of the Hopfield network, as points of a plane (private).

A solution of the replica-symmetric equations is a point (x, w): x = m / s and w = T / s compare
the overlap and the temperature T with the width s = sqrt(load r) of the crosstalk from the other
patterns. With b = (x + z) / w, z standard normal,

    M = E tanh b,   D = E sech^2(b) / w,   q = E tanh^2 b = 1 - w D,
    m = M,   s = M / x,   T = w s,   1 - C = sqrt(load q) / s,   sqrt(load) = (s - D) / sqrt(q),

so that load, T and all order parameters are explicit in (x, w), and w = 0 is T = 0 itself. Where
x belongs to one T and load is found by Newton's rule from below: the functions inverted are rising
and concave, so that it cannot overshoot, not even where the solution is about to disappear.

tanh is the mean sign of b plus noise of density sech^2 / 2. For w < 1.2 the normal average is done
in closed form and that noise on a grid, above it the reverse. Both integrands are then smooth on
the scale of the grid, and the trapezoid rule with step 1/5 is exact to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import erf

from am_theory._gaussian import Floats, normal_grid
from am_theory._roots import brentq, minimize_scalar

_EPS = 2.0**-52
_SWITCH = 1.2  # w from which the normal variable is the one on the grid
_SMALL = 1e4  # w beyond which M / x - D is rounding, and its leading term in 1 / w serves
_X_SMALL = math.sqrt((3 + math.sqrt(33)) / 2)  # x of the spinodal at small load
_X_SPINODAL = (2.0, 2.2)  # holds x of the spinodal for all w: from 2.137 to _X_SMALL = 2.091


@lru_cache(maxsize=1)
def _logistic_grid() -> tuple[Floats, Floats]:
    """Nodes s, step 1/5, and weights of the density sech^2(s) / 2, which is 1e-17 at the ends."""
    s = np.linspace(-20.0, 20.0, 201)
    e = np.exp(-2 * np.abs(s))
    return s, 0.4 * e / (1 + e) ** 2


def _sech2_tanh(b: Floats) -> tuple[Floats, Floats]:
    e = np.exp(-2 * np.abs(b))
    return 4 * e / (1 + e) ** 2, np.sign(b) * (1 - e) / (1 + e)


class Point(NamedTuple):
    """Averages at (x, w), and the derivatives that the Jacobian of (load, T) takes."""

    x: float
    w: float
    m: float
    d: float
    q: float
    m_w: float
    d_x: float
    d_w: float

    @property
    def width(self) -> float:
        """s = sqrt(load r) of a solution with m > 0."""
        return self.m / self.x

    @property
    def root_load(self) -> float:
        return (self.width - self.d) / math.sqrt(self.q)

    @property
    def temperature(self) -> float:
        return self.w * self.width

    @property
    def temperature_slope(self) -> float:
        """d T / d w at fixed x."""
        return (self.m + self.w * self.m_w) / self.x

    @property
    def turn(self) -> float:
        """d log sqrt(load) / d x at fixed T, times d T / d w; zero on the spinodal."""
        x, w, gap = self.x, self.w, self.width - self.d
        width_x = (self.d - self.width) / x
        load_x = (width_x - self.d_x) / gap + w * self.d_x / (2 * self.q)
        load_w = (self.m_w / x - self.d_w) / gap + (self.d + w * self.d_w) / (2 * self.q)
        return load_x * self.temperature_slope - load_w * w * width_x


def point(x: float, w: float) -> Point:
    """Averages at signal x and thermal noise w, both in units of the crosstalk."""
    if w < _SWITCH:
        s, k = _logistic_grid()
        a = x - w * s
        g = math.sqrt(2 / math.pi) * k * np.exp(-(a**2) / 2)
        d, slopes = float(g.sum()), g * a
        return Point(
            x,
            w,
            min(float(k @ erf(a / math.sqrt(2))), 1.0),
            d,
            1 - w * d,
            -float(g @ s),
            -float(slopes.sum()),
            float(slopes @ s),
        )
    z, weights = normal_grid(96)
    b = (x + z) / w
    sech2, tanh = _sech2_tanh(b)
    h = weights * sech2
    d = float(h.sum()) / w
    return Point(
        x,
        w,
        min(float(weights @ tanh), 1.0),
        d,
        float(weights @ tanh**2),
        -float(h @ b) / w,
        -2 * float(h @ tanh) / w**2,
        -d / w + 2 * float(h @ (tanh * b)) / w**2,
    )


def mean_log_cosh(x: float, w: float) -> float:
    """w E log(2 cosh b), which tends to E |x + z| as w -> 0."""
    if w < _SWITCH:
        s, k = _logistic_grid()
        a = x - w * s
        normal = np.exp(-(a**2) / 2) / math.sqrt(2 * math.pi)
        return float(k @ (2 * normal + a * erf(a / math.sqrt(2))))
    z, weights = normal_grid(96)
    b = np.abs(x + z) / w
    return w * float(weights @ (b + np.log1p(np.exp(-2 * b))))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=1e-18, rtol=4 * _EPS))


def _climb(function: Callable[[float], tuple[float, float]], target: float, start: float) -> float:
    """Where a rising concave function, given with its slope, reaches `target`; from below.

    The error after a step is of the order of its square, so a small step is the last one.
    """
    at = start
    for _ in range(200):
        value, slope = function(at)
        if slope <= 0 or value >= target:
            break
        step = (target - value) / slope
        at += step
        if step < 1e-9 * at:
            break
    return at


def _at_temperature(x: float, temperature: float, ratio: float) -> Point:
    """The point at x that has this temperature; T = w M / x is concave in w.

    `ratio` is a lower bound of w / x = T / M, such as T, or the ratio at a larger x.
    """

    def function(w: float) -> tuple[float, float]:
        here = point(x, w)
        return here.temperature, here.temperature_slope

    return point(x, _climb(function, temperature, ratio * x))


class Spinodal(NamedTuple):
    """Where retrieval states cease to exist: the largest load at a temperature."""

    x: float
    temperature: float
    root_load: float


def spinodal(w: float) -> Spinodal:
    """The spinodal line in parametric form."""
    if w > _SMALL:
        x = _X_SMALL
        root_load = x**2 / (1.5 * math.sqrt(1 + x**2) * w**2)
        return Spinodal(x, 1 - (x**2 + 3) / (3 * w**2), root_load)
    # An error of x by 1e-9 moves the point along the line, and off it by 1e-18 only.
    here = point(float(brentq(lambda x: point(x, w).turn, *_X_SPINODAL, xtol=1e-9)), w)
    return Spinodal(here.x, here.temperature, here.root_load)


@lru_cache(maxsize=1024)
def spinodal_at_temperature(temperature: float) -> Spinodal:
    """The spinodal at a temperature below 1; 1 - T <= (x^2 + 3) / (3 w^2) bounds w from above."""
    highest = math.sqrt((_X_SPINODAL[1] ** 2 + 3) / (3 * (1 - temperature)))
    lowest = _X_SPINODAL[0] * temperature  # T = w M / x < w / x
    return spinodal(_root(lambda w: spinodal(w).temperature - temperature, lowest, highest))


def _spinodal_peak() -> float:
    """w of the largest load on the spinodal, which lies above T = 0 (re-entrance)."""
    found = minimize_scalar(
        lambda w: -spinodal(w).root_load, bounds=(0, 0.2), method="bounded", options={"xatol": 1e-9}
    )
    return float(found.x)


def spinodal_at_load(load: float) -> float:
    """Highest temperature of retrieval at a load, NaN where there is none."""
    root, low = math.sqrt(load), 0.0
    if root >= spinodal(low).root_load:
        low = _spinodal_peak()
        if root > spinodal(low).root_load:
            return math.nan
    highest = 2 * load**-0.25  # sqrt(load) = 1.26 / w^2 at small load, and less throughout
    w = _root(lambda w: spinodal(w).root_load ** -0.5 - root**-0.5, low, highest)
    return spinodal(w).temperature


def retrieval(load: float, temperature: float) -> Point:
    """The retrieval state, which has to exist; sqrt(load) is concave in 1 / x, and below it."""
    ratio = temperature

    def function(inverse: float) -> tuple[float, float]:
        nonlocal ratio
        here = _at_temperature(1 / inverse, temperature, ratio)
        ratio = here.w / here.x
        slope = -(here.x**2) * here.root_load * here.turn / here.temperature_slope
        return here.root_load, slope

    root = math.sqrt(load)
    return _at_temperature(1 / _climb(function, root, 0.99 * root), temperature, ratio)


def spin_glass(load: float, temperature: float) -> Point:
    """The state m = 0 < q below T_g; T = w (sqrt(load q) + D) is concave in w."""

    def function(w: float) -> tuple[float, float]:
        here = point(0.0, w)
        width = math.sqrt(load * here.q) + here.d
        q_w = -here.d - w * here.d_w
        return w * width, width + w * (here.d_w + math.sqrt(load / here.q) * q_w / 2)

    start = temperature / (math.sqrt(load) + math.sqrt(2 / math.pi))
    return point(0.0, _climb(function, temperature, start))


def retrieves(load: float, temperature: float) -> bool:
    """Whether there is a retrieval state."""
    return temperature < 1 and math.sqrt(load) <= spinodal_at_temperature(temperature).root_load


def free_energy(state: Point, load: float) -> float:
    """Free energy for each neuron of a retrieval or spin-glass state of this load."""
    spread = math.sqrt(load * state.q)
    width = spread + state.d
    response = load * state.w * width / 2 * math.log(spread / width)
    energy = state.m**2 / 2 + load / 2 + width * (state.d - width / 2)
    return energy + response - width * mean_log_cosh(state.x, state.w)

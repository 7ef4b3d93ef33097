"""Equilibrium of the Hopfield network against tables, second methods, limits and properties."""

from __future__ import annotations

import time

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erf, gammainc

from am_theory import _ags
from am_theory._gaussian import normal_grid
from am_theory.hopfield import (
    critical_load,
    free_energy,
    ground_state_load,
    mixture_limit,
    phase_diagram,
    retrieval_temperature,
    saddle_point,
    spin_glass_temperature,
    thermodynamic_temperature,
)
from tests.helpers import assert_close, assert_digits

ALPHA_C = critical_load()
LARGEST = "0.1381885"  # over all temperatures

temperatures = st.floats(0.0, 0.998)
shares = st.floats(1e-5, 1 - 1e-9)  # of the capacity at a temperature

# --- printed tables

ZERO = [
    (0.02, "1.00000000", "1.000000"),
    (0.05, "0.99999223", "1.000325"),
    (0.08, "0.99955738", "1.011815"),
    (0.10, "0.99799927", "1.043059"),
    (0.12, "0.99322273", "1.121359"),
    (0.13, "0.98721189", "1.209519"),
    (0.135, "0.98079132", "1.299713"),
]


@pytest.mark.parametrize("load, m, r", ZERO)
def test_zero_temperature_table(load, m, r):
    state = saddle_point(load)
    assert_digits(state.m, m)
    assert_digits(state.r, r)
    assert state.q == 1.0 and state.exists and state.converged


def test_capacity_at_zero_temperature():
    assert_digits(ALPHA_C, "0.1379055665")
    assert_digits(_ags.spinodal(0.0).x / np.sqrt(2), "1.51121856")  # y_c
    assert_digits(mixture_limit(1).m, "0.9674171157")  # ...1157 at 30 digits; the sheet has ...1158
    assert_close(saddle_point(ALPHA_C).m, mixture_limit(1).m, rtol=1e-7)  # a square-root end


@pytest.mark.parametrize("load, printed", [(0.10, 0.9983), (0.12, 0.99305), (0.13, 0.98670)])
def test_overlap_of_a_simulated_network(load, printed):
    """One network of N = 5000; the error is that of N independent signs."""
    m = saddle_point(load).m
    assert abs(m - printed) < 4 * np.sqrt((1 - m**2) / 5000)


FINITE = [
    (0.05, 0.2, "0.99887776", "0.99783041", "-0.50011116"),
    (0.05, 0.5, "0.90410608", "0.83335796", "-0.51701378"),
    (0.10, 0.1, "0.99675084", "0.99691584", "-0.50026475"),
    (0.10, 0.2, "0.98908516", "0.98441706", "-0.50104066"),
    (0.01, 0.5, "0.95193024", "0.90669747", "-0.51085504"),
]


@pytest.mark.parametrize("load, temperature, m, q, f", FINITE)
def test_finite_temperature_table(load, temperature, m, q, f):
    state = saddle_point(load, temperature)
    assert_digits(state.m, m)
    assert_digits(state.q, q)
    assert_digits(free_energy(load, temperature), f)


LINES = [
    (0.001, ".93781", "1.03162", None),
    (0.005, None, "1.07071", ".80736"),
    (0.01, ".801018", "1.10000", ".72162"),
    (0.02, ".71648", "1.14142", ".59130"),
    (0.03, ".650417", "1.17321", ".47879"),
    (0.04, None, None, ".36523"),
    (0.05, ".542255", "1.22361", None),
    (0.08, ".40457", "1.28284", None),
    (0.10, ".315432", "1.31623", None),
    (0.12, ".215087", "1.34641", None),
    (0.13, ".14892", "1.36056", None),
]


@pytest.mark.parametrize("load, T_M, T_g, T_c", LINES)
def test_table_of_transition_lines(load, T_M, T_g, T_c):
    """T_M at load .001 is .93783 in the sheet, off by 1.5e-5: `test_spinodal_by_direct_maximum`."""
    if T_M:
        assert_digits(retrieval_temperature(load), T_M)
    if T_g:
        assert_digits(spin_glass_temperature(load), T_g)
    if T_c:
        assert_digits(thermodynamic_temperature(load), T_c)


MIXTURES = [(3, "0.02994176"), (5, "0.01626592"), (7, "0.01111875"), (9, "0.00843633")]


@pytest.mark.parametrize("n_patterns, load", MIXTURES)
def test_mixture_table(n_patterns, load):
    assert_digits(mixture_limit(n_patterns).load, load)


def test_ground_state_load_and_overlap_of_three():
    assert_digits(ground_state_load(), "0.05185433")
    assert_digits(mixture_limit(3).m, ".495813")
    assert_close(mixture_limit(1).load, ALPHA_C)
    assert_digits(mixture_limit(3).load, ".03")  # as Amit, Gutfreund and Sompolinsky quote it


# --- second methods


AVERAGED = [(2.1, 0.05), (3.0, 0.4), (0.0, 1.15), (2.5, 1.25), (0.7, 4.0)]


@pytest.mark.parametrize("x, w", AVERAGED)
def test_averages_by_high_precision_quadrature(x, w):
    mpmath.mp.dps = 20
    steps = [-x - 8 * w, -x, -x + 8 * w]  # where the integrand turns, a step as w -> 0
    edges = sorted({-12.0, 12.0, *(e for e in steps if abs(e) < 12)})

    def average(function):
        return float(mpmath.quad(lambda z: mpmath.npdf(z) * function((x + z) / w), edges))

    here = _ags.point(x, w)
    assert_close(here.m, average(mpmath.tanh))
    assert_close(here.d, average(lambda b: mpmath.sech(b) ** 2) / w)
    assert_close(1 - w * here.d, here.q)
    lifted = w * average(lambda b: mpmath.log(2 * mpmath.cosh(b)))
    assert_close(_ags.mean_log_cosh(x, w), lifted)


@pytest.mark.parametrize("x, w", [*AVERAGED, (2.1, 1.1), (5.0, 30.0)])
def test_derivatives_of_the_averages_are_differences(x, w):
    h = 1e-4
    here, up, down = _ags.point(x, w), _ags.point(x, w + h), _ags.point(x, w - h)
    right, left = _ags.point(x + h, w), _ags.point(x - h, w)
    assert_close(here.m_w, (up.m - down.m) / (2 * h), rtol=1e-5, atol=1e-10)
    assert_close(here.d_w, (up.d - down.d) / (2 * h), rtol=1e-5, atol=1e-10)
    assert_close(here.d_x, (right.d - left.d) / (2 * h), rtol=1e-5, atol=1e-10)
    if x:
        assert_close(
            here.temperature_slope, (up.temperature - down.temperature) / (2 * h), rtol=1e-5
        )


def test_the_two_grids_agree_where_they_meet(monkeypatch):
    problems = [(x, w) for x in (0.0, 0.5, 2.1, 6.0) for w in (1.15, 1.25)]

    def everything():
        return np.array([[*_ags.point(x, w), _ags.mean_log_cosh(x, w)] for x, w in problems])

    both = everything()
    for switch in (1.0, 1.4):
        monkeypatch.setattr(_ags, "_SWITCH", switch)
        assert_close(both, everything(), rtol=1e-14, atol=1e-14)


def iterate(load, temperature, steps=4000, points=801):
    """Plain iteration of the three equations as the sheet has them, from m = q = 1."""
    z, weights = normal_grid(points)
    m = q = 1.0
    for _ in range(steps):
        r = q / (1 - (1 - q) / temperature) ** 2
        tanh = np.tanh((m + np.sqrt(load * r) * z) / temperature)
        before, m, q = m, float(weights @ tanh), float(weights @ tanh**2)
        if abs(m - before) < 1e-14 or m < 0.2:
            break
    return m, q, q / (1 - (1 - q) / temperature) ** 2


@pytest.mark.parametrize("load, temperature", [(0.05, 0.3), (0.1, 0.2), (0.01, 0.7), (0.12, 0.1)])
def test_plain_iteration_ends_in_the_retrieval_state(load, temperature):
    state = saddle_point(load, temperature)
    m, q, r = iterate(load, temperature, points=3801)
    assert_close([state.m, state.q, state.r], [m, q, r], rtol=1e-10)


@pytest.mark.parametrize("load", [0.03, 0.08])
def test_spinodal_by_bisection_on_the_plain_iteration(load):
    low, high = 0.3, 0.9
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if iterate(load, middle)[0] > 0.2 else (low, middle)
    assert abs(retrieval_temperature(load) - low) < 2e-5


@pytest.mark.parametrize("load, printed", [(0.001, ".93781"), (0.05, ".542255"), (0.1, ".315432")])
def test_spinodal_by_direct_maximum(load, printed):
    """T_M as the maximum of T = m / u at fixed load, in the variables u, v of the sheet."""
    z, weights = normal_grid(3801)

    def state(u, v):
        tanh = np.tanh(u + v * z)
        m, q = float(weights @ tanh), float(weights @ tanh**2)
        temperature = m / u
        return temperature, v**2 * temperature**2 * (1 - (1 - q) / temperature) ** 2 / q

    def temperature(ratio):
        v = brentq(lambda v: state(ratio * v, v)[1] - load, 0.01, 12, xtol=1e-15)
        return state(ratio * v, v)[0]

    found = minimize_scalar(lambda ratio: -temperature(ratio), bounds=(1.9, 2.4), method="bounded")
    assert_close(retrieval_temperature(load), -found.fun, rtol=1e-10)
    assert_digits(-found.fun, printed)


def sheet_free_energy(m, q, r, load, temperature):
    z, weights = normal_grid(3801)
    beta = 1 / temperature
    field = beta * (np.sqrt(load * r) * z + m)
    g = 1 - beta + beta * q
    return (
        load / 2
        + m**2 / 2
        + load * beta * r * (1 - q) / 2
        + load / (2 * beta) * (np.log(g) - beta * q / g)
        - float(weights @ np.logaddexp(field, -field)) / beta
    )


@pytest.mark.parametrize("load, temperature", [(0.05, 0.2), (0.1, 0.3), (0.02, 0.7), (1e-4, 0.97)])
def test_free_energy_is_stationary_at_the_saddle_point(load, temperature):
    state = saddle_point(load, temperature)
    at = np.array([state.m, state.q, state.r])
    value = sheet_free_energy(*at, load, temperature)
    assert_close(free_energy(load, temperature), value, rtol=1e-12)
    for axis in range(3):
        slopes = []
        for start in (at, at * 0.99):  # at the saddle point, and 1 % off it in all three
            h = 1e-4 * at * (np.arange(3) == axis)
            up, down = (sheet_free_energy(*(start + s * h), load, temperature) for s in (1, -1))
            slopes.append((up - down) / (2 * h[axis]))
        assert abs(slopes[0]) < 1e-4 * max(abs(slopes[1]), load)


@pytest.mark.parametrize("load, temperature", [(0.05, 0.4), (0.3, 0.9), (0.1, 1.2), (2.0, 1.0)])
def test_spin_glass_solves_its_equations(load, temperature):
    z, weights = normal_grid(3801)
    state = _ags.spin_glass(load, temperature)
    width = np.sqrt(load * state.q) + state.d
    q = float(weights @ np.tanh(width * z / temperature) ** 2)
    r = q / (1 - (1 - q) / temperature) ** 2
    assert_close([state.q, width], [q, np.sqrt(load * r)], rtol=1e-10)
    value = sheet_free_energy(0.0, q, r, load, temperature)
    assert_close(free_energy(load, temperature, state="spin_glass"), value, rtol=1e-11)


@given(temperatures.filter(lambda T: T > 0.02), st.floats(0.01, 0.999))
def test_entropy_by_two_routes(temperature, share):
    """-df/dT against the entropy at the saddle point, from the on-shell formula."""
    load = share * critical_load(temperature)
    h = 1e-5 * min(temperature, 1 - temperature) * (1 - share)
    up, down = (free_energy(load, temperature + s * h) for s in (1, -1))
    state = saddle_point(load, temperature)
    z, weights = normal_grid(7601)
    b = np.abs(state.m + np.sqrt(load * state.r) * z) / temperature
    response = (1 - state.q) / temperature
    entropy = float(weights @ (b + np.log1p(np.exp(-2 * b)) - b * np.tanh(b)))
    entropy -= load / 2 * (np.log1p(-response) + response / (1 - response))
    assert_close(entropy, -(up - down) / (2 * h), rtol=1e-4, atol=1e-4 * load + 4e-16 / h)


def test_zero_temperature_equation_is_an_incomplete_gamma_function():
    """erf(y) / y - 2 / sqrt(pi) exp(-y^2) = P(3/2, y^2) / y."""
    y = np.linspace(1.0, 3.0, 20001)
    gain = gammainc(1.5, y**2) / y
    assert_close(gain.max() ** 2 / 2, ALPHA_C, rtol=1e-8)
    for load in (0.02, 0.1, 0.137):
        root = brentq(lambda y, load=load: gammainc(1.5, y**2) / y - np.sqrt(2 * load), 1.5112, 20)
        assert_close(saddle_point(load).m, erf(root), rtol=1e-11)


def test_overlap_next_to_capacity_at_high_precision():
    mpmath.mp.dps = 40
    load = float(ALPHA_C * (1 - 1e-9))
    gain = lambda y: mpmath.erf(y) / y - 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-(y**2))  # noqa: E731
    y = mpmath.findroot(lambda y: gain(y) - mpmath.sqrt(2 * mpmath.mpf(load)), (1.5113, 1.52))
    assert_close(saddle_point(load).m, float(mpmath.erf(y)), rtol=1e-10)


@pytest.mark.parametrize("n_patterns", [1, 3, 5, 7, 21, 301])
def test_mixture_limit_is_the_highest_of_all_maxima(n_patterns):
    """On a grid of y, with the law of the sum of signs from the binomial coefficients."""
    k = np.arange(n_patterns + 1)
    law = np.array([float(mpmath.binomial(n_patterns, int(j)) / 2**n_patterns) for j in k])
    s = n_patterns - 2.0 * k
    y = np.linspace(0.005, 6, 2000)[:, None]
    gain = (s * erf(y * s) / (n_patterns * y) - 2 / np.sqrt(np.pi) * np.exp(-((y * s) ** 2))) @ law
    limit = mixture_limit(n_patterns)
    assert_close(limit.load, gain.max() ** 2 / 2, rtol=1e-5)
    assert limit.load >= gain.max() ** 2 / 2 * (1 - 1e-13)


# --- limits


def test_small_load_law_of_the_retrieval_temperature():
    """1 - T_M = c sqrt(load), c the minimum over x of (x^2 + 3) sqrt(x^2 + 1) / (2 x^2)."""
    s = (3 + np.sqrt(33)) / 2
    constant = (s + 3) * np.sqrt(s + 1) / (2 * s)
    assert_digits(constant, "1.95")
    assert_digits(1 - constant * np.sqrt(0.001), ".938")
    for load in (1e-6, 1e-8):
        slope = (1 - retrieval_temperature(load)) / np.sqrt(load)
        assert_close(slope, constant, rtol=0.25 * np.sqrt(load))


def test_small_load_law_of_the_thermodynamic_temperature():
    """Both free energies to leading order in the load, with u^2, v^2, 1 - T, 1 - C ~ sqrt(load).

    f / load = -t (U + W) / 2 + (U^2 + 6 U W + 3 W^2) / 12 - W d + log(d) / 2, stationary in all.
    """

    def free(U, W, d, t):
        return -t * (U + W) / 2 + (U**2 + 6 * U * W + 3 * W**2) / 12 - W * d + np.log(d) / 2

    def gap(s):  # s = U / W of the retrieval state
        W = 1.5 * np.sqrt(s + 1) / s
        t = W * (s / 3 + 1)
        return free(s * W, W, 2 * s * W / 3, t) - free(0.0, 1 + t, 1.0, t), t

    s = brentq(lambda s: gap(s)[0], 4.4, 40)
    constant = gap(s)[1]
    assert_digits(constant, "2.6")
    for load in (1e-5, 1e-6, 1e-7):
        slope = (1 - thermodynamic_temperature(load)) / np.sqrt(load)
        assert_close(slope, constant, rtol=1.0 * np.sqrt(load))
    assert_digits(1 - 2.6 * np.sqrt(0.005), ".816")
    assert abs(thermodynamic_temperature(0.005) - 0.816) < 0.01


@pytest.mark.parametrize("temperature", [0.2, 0.6, 0.95])
def test_few_patterns_give_the_curie_weiss_magnet(temperature):
    m = brentq(lambda m: np.tanh(m / temperature) - m, 0.1, 1)
    state = saddle_point(1e-9, temperature)
    assert_close([state.m, state.q], [m, m**2], rtol=1e-6)
    magnet = m**2 / 2 - temperature * np.log(2 * np.cosh(m / temperature))
    assert_close(free_energy(1e-9, temperature), magnet, rtol=1e-7)


@pytest.mark.parametrize("load", [1e-6, 0.05, 0.13])
def test_zero_temperature_is_a_limit(load):
    zero, cold = saddle_point(load), saddle_point(load, 1e-7)
    assert_close([cold.m, cold.q, cold.r], [zero.m, zero.q, zero.r], rtol=1e-6)
    assert_close(free_energy(load), free_energy(load, 1e-7), rtol=1e-8)
    frozen = free_energy(load, 1e-7, state="spin_glass")
    assert_close(free_energy(load, state="spin_glass"), frozen, rtol=1e-7)


def test_spin_glass_at_its_two_ends():
    load = 0.3
    assert_close(_ags.spin_glass(load, 0.0).d, np.sqrt(2 / np.pi))  # r = (1 + sqrt(2 / pi load))^2
    T_g = spin_glass_temperature(load)
    near = T_g * (1 - 1e-6)
    assert_close(_ags.spin_glass(load, near).q, 1e-6, rtol=1e-4)
    disordered = load / 2 * (1 + near * np.log1p(-1 / near)) - near * np.log(2)
    assert_close(free_energy(load, near, state="spin_glass"), disordered, rtol=1e-11)
    assert np.isnan(free_energy(load, T_g, state="spin_glass"))
    assert np.isnan(free_energy(load, 1.1, state="retrieval"))


def test_capacity_near_temperature_one():
    gaps = np.geomspace(1e-12, 1e-3, 10)
    slope = gaps / np.sqrt(critical_load(1 - gaps))
    assert_close(slope, np.full(10, 1.9541), rtol=1e-3)
    assert critical_load([1.0, 7.0]).tolist() == [0.0, 0.0]
    below, above = _ags.spinodal(_ags._SMALL), _ags.spinodal(_ags._SMALL * (1 + 1e-12))
    assert_close(below.root_load, above.root_load, rtol=1e-6)
    assert_close(1 - below.temperature, 1 - above.temperature, rtol=1e-6)


# --- re-entrance of the replica-symmetric lines


def test_the_spinodal_is_re_entrant():
    """The largest load, 0.13819, lies at T = 0.023 (Naef, Canning 1992; Steffan, Kuehn 1994)."""
    best = minimize_scalar(lambda T: -critical_load(T), bounds=(0.01, 0.05), method="bounded")
    assert_digits(best.x, "0.0229")
    assert_digits(-best.fun, LARGEST)
    load = (ALPHA_C - best.fun) / 2
    assert not saddle_point(load).exists and not saddle_point(load, 1e-4).exists
    T_M = retrieval_temperature(load)
    assert saddle_point(load, 0.023).exists and 0.023 < T_M < retrieval_temperature(ALPHA_C)
    assert saddle_point(load, T_M - 1e-9).exists and not saddle_point(load, T_M + 1e-9).exists
    assert np.isnan(retrieval_temperature(-best.fun * (1 + 1e-9)))
    m, q, _ = iterate(load, 0.023, steps=20000, points=3801)
    assert_close([m, q], [saddle_point(load, 0.023).m, saddle_point(load, 0.023).q], rtol=1e-6)


def test_the_thermodynamic_line_is_re_entrant():
    load = 0.0525
    energies = [
        free_energy(load, T) - free_energy(load, T, state="spin_glass") for T in (0.0, 0.085, 0.3)
    ]
    assert energies[0] > 0 > energies[1] and energies[2] > 0
    assert 0.085 < thermodynamic_temperature(load) < 0.3
    assert thermodynamic_temperature(0.0531320) > 0.085
    assert np.isnan(thermodynamic_temperature(0.0531322))


@pytest.mark.parametrize("load", [0.0532, 0.0625, 0.08, 0.11, 0.137])
def test_no_ground_states_of_retrieval_at_larger_loads(load):
    T = np.linspace(0, retrieval_temperature(load) - 1e-9, 40)
    assert np.all(free_energy(load, T) > free_energy(load, T, state="spin_glass"))
    assert np.isnan(thermodynamic_temperature(load))


# --- properties


@given(temperatures, shares)
def test_order_parameters_below_capacity(temperature, share):
    load = share * critical_load(temperature)
    if load < 1e-6:
        load = 1e-6
    state = saddle_point(np.array([load, load * (1 - 1e-4)]), temperature)
    assert np.all(state.exists) and np.all(state.converged) and np.all(state.residual < 1e-11)
    assert np.all((state.m > 0) & (state.m <= 1) & (state.q <= 1) & (state.r > 0))
    assert state.m[1] >= state.m[0] and state.q[0] >= state.m[0] ** 2 * (1 - 1e-12)
    beyond = saddle_point(critical_load(temperature) * (1 + 1e-9), temperature)
    assert not beyond.exists and not beyond.converged and np.isnan(beyond.m)


@given(st.floats(1e-6, 0.138))
def test_lines_are_ordered_and_inverse_to_the_capacity(load):
    lines = phase_diagram(load)
    assert lines.T_M < lines.T_g and lines.T_M < 1
    assert_close(critical_load(lines.T_M), load, rtol=1e-9)
    assert saddle_point(load, lines.T_M * (1 - 1e-9)).exists
    assert not saddle_point(load, lines.T_M * (1 + 1e-9)).exists
    if load < ground_state_load():
        assert lines.T_c < lines.T_M


@given(st.floats(1e-5, 0.053))
def test_retrieval_has_the_lower_free_energy_below_its_line(load):
    T_c = thermodynamic_temperature(load)
    for temperature, sign in ((T_c - 1e-4 * (1 - T_c), -1), (T_c + 1e-4 * (1 - T_c), 1)):
        gap = free_energy(load, temperature) - free_energy(load, temperature, state="spin_glass")
        assert sign * gap > 0


@given(st.integers(0, 60))
def test_mixtures_hold_less_the_more_they_mix(half):
    n = 2 * half + 1
    fewer, more = mixture_limit(n), mixture_limit(n + 2)
    assert more.load < fewer.load and more.m < fewer.m
    assert 0.0694 < more.load * (n + 2) < fewer.load * n


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e-9, 0.02, 0.3, 0.9, 0.998])
def test_whole_range_of_loads_without_a_warning(temperature):
    most = critical_load(temperature)
    loads = np.append(np.geomspace(1e-6, most * (1 - 1e-9), 7), [1e-12, most])
    state = saddle_point(loads, temperature)
    assert np.all(state.exists) and np.all(state.converged) and np.max(state.residual) < 1e-11
    assert np.all(np.isfinite(free_energy(loads, temperature)))
    assert np.all(np.isfinite(free_energy([1e-12, 1e-6, 1, 1e6], temperature, state="spin_glass")))


@pytest.mark.filterwarnings("error")
def test_lines_over_the_whole_range_without_a_warning():
    loads = np.append(np.geomspace(1e-12, 1e-3, 4), [ALPHA_C * (1 - 1e-9), ALPHA_C, 0.2, 1e9])
    lines = phase_diagram(loads)
    assert np.isfinite(lines.T_M).tolist() == [True] * 6 + [False] * 2
    assert np.isfinite(lines.T_c).tolist() == [True] * 4 + [False] * 4
    assert np.all(np.isfinite(lines.T_g))


def test_arrays_broadcast_and_scalars_are_bare():
    loads, T = np.array([0.01, 0.1])[:, None], np.array([0.0, 0.3, 0.85])
    grid, f = saddle_point(loads, T), free_energy(loads, T)
    assert grid.m.shape == f.shape == (2, 3)
    assert grid.exists.tolist() == [[True, True, False], [True, True, False]]
    for i, j in np.ndindex(2, 2):
        assert grid.m[i, j] == saddle_point(loads[i, 0], T[j]).m
        assert f[i, j] == free_energy(loads[i, 0], T[j])
    single = saddle_point(0.1)
    assert type(single.m) is float and type(single.exists) is bool
    assert type(critical_load()) is type(retrieval_temperature(0.1)) is float
    assert saddle_point(np.empty(0)).m.shape == critical_load(np.empty(0)).shape == (0,)
    assert type(phase_diagram(0.05).T_M) is float


def test_speed():
    """Process time; the bounds are a few times the usual cost."""
    for limit, call in (
        (5.0, lambda: phase_diagram(np.linspace(1e-3, 0.138, 100))),
        (0.05, lambda: saddle_point(0.0712, 0.2345)),
        (0.05, lambda: retrieval_temperature(0.0712)),
        (0.05, lambda: thermodynamic_temperature(0.0312)),
    ):
        start = time.process_time()
        call()
        assert time.process_time() - start < limit


# --- bad input

BAD = [
    (lambda: saddle_point(0.0), ValueError, "`load` must lie in [1e-12, inf); got 0. It is the"),
    (lambda: saddle_point([0.1, np.nan]), ValueError, "got nan"),
    (lambda: saddle_point("much"), TypeError, "`load` must hold real numbers"),
    (lambda: saddle_point(0.1, -0.1), ValueError, "`temperature` must lie in [0, inf); got -0.1"),
    (
        lambda: saddle_point([0.1, 0.2], [0.1, 0.2, 0.3]),
        ValueError,
        "`load` and `temperature` must",
    ),
    (lambda: critical_load(np.inf), ValueError, "got inf. Temperatures are in units"),
    (lambda: retrieval_temperature(-1), ValueError, "got -1"),
    (lambda: thermodynamic_temperature(-1), ValueError, "`load` must lie in"),
    (lambda: spin_glass_temperature(-1), ValueError, "patterns per neuron"),
    (lambda: phase_diagram([0.1, -1]), ValueError, "got -1"),
    (lambda: free_energy(0.1, state="mixed"), ValueError, "one of retrieval, spin_glass; got 'mi"),
    (lambda: free_energy(0.1, -1), ValueError, "`temperature` must lie"),
    (lambda: mixture_limit(2), ValueError, "`n_patterns` must be odd; got 2"),
    (lambda: mixture_limit(0), ValueError, "`n_patterns` must be a whole number of at least 1"),
    (lambda: mixture_limit(3.0), ValueError, "got 3.0"),
]


@pytest.mark.parametrize("call, error, fragment", BAD)
def test_bad_input(call, error, fragment):
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)

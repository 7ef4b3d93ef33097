"""Dense memories against printed tables, p-spin equations, exact random energies, simulation."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erfinv, factorial, factorial2, logsumexp

from am_theory._gaussian import normal_grid
from am_theory.channel import capacity
from am_theory.dense import (
    critical_load,
    error_free_capacity,
    exponential_log_load,
    gaussian_all_log_load,
    gaussian_log_load,
    normalized_load,
    one_step_error,
    one_step_overlap,
    saddle_point,
    spherical_log_load,
)
from tests.helpers import assert_close, assert_digits, within_standard_errors

# --- printed tables

CRITICAL = """
3 .25219043 .838482 .12609522 .08406348
4 .19786012 .917922 .03297669 .01319067
5 .17277255 .947243 .00719886 .00164545
6 .15767954 .961987 .00131400 .00016686
8 .13970033 .976369 2.772e-5  1.03e-6
"""


@pytest.mark.parametrize("line", CRITICAL.strip().split("\n"))
def test_critical_table(line):
    order, *printed = line.split()
    end = critical_load(int(order))
    for value, digits in zip(
        (end.x_c, end.m_c, end.distinct, end.full_power), printed, strict=True
    ):
        assert_digits(value, digits)


@pytest.mark.parametrize(
    "ratio, overlap", [(0.05, ".998379"), (0.09, ".974930"), (0.11, ".940901"), (0.12, ".906611")]
)
def test_branch_table(ratio, overlap):
    """K / N^2 at order 3, distinct sites."""
    state = saddle_point(3, normalized_load(ratio * 200**2, 200, 3))
    assert_digits(state.m, overlap)
    assert state.exists and state.converged


SPHERICAL = {0.5: ".38700642", 1.0: ".62257192", 2.0: ".90875401", 4.0: "1.22435668"}


@pytest.mark.parametrize("inverse_temperature, load", SPHERICAL.items())
def test_spherical_table(inverse_temperature, load):
    assert_digits(spherical_log_load(inverse_temperature), load)


# --- order n: second methods


@pytest.mark.parametrize("order", [3, 4, 6, 20])
def test_critical_load_is_the_maximum_over_overlaps(order):
    peak = minimize_scalar(
        lambda m: -(m ** (order - 1)) / erfinv(m),
        bounds=(0.5, 1 - 1e-9),
        method="bounded",
        options={"xatol": 1e-10},
    )
    end = critical_load(order)
    assert_close(end.x_c, (peak.x ** (order - 1) / erfinv(peak.x)) ** 2 / 2, rtol=1e-9)
    assert_close(end.x_c / end.distinct, factorial(order - 1), rtol=1e-12)
    assert_close(end.x_c / end.full_power, factorial2(2 * order - 3), rtol=1e-12)


@pytest.mark.parametrize("order, share", [(3, 0.3), (3, 0.9), (4, 0.8), (6, 0.95)])
def test_state_is_the_cold_limit_of_the_p_spin_equations(order, share):
    """m = <tanh>, q = <tanh^2> at field m^(n-1) + sqrt(x q^(n-1)) z, for T falling to 0."""
    x, (z, weights) = share * critical_load(order).x_c, normal_grid()
    expected, gaps = saddle_point(order, x).m, []
    for temperature in (0.01, 0.005):
        m = q = 1.0
        for _ in range(400):
            field = np.tanh((m ** (order - 1) + np.sqrt(x * q ** (order - 1)) * z) / temperature)
            m, q = float(weights @ field), float(weights @ field**2)
        gaps.append(m - expected)
    assert abs(2 * gaps[1] - gaps[0]) < 2e-4  # extrapolated to T = 0
    assert abs(gaps[1]) < abs(gaps[0]) + 1e-9 and abs(gaps[0]) < 0.02


@given(st.integers(3, 60), st.floats(1e-6, 1 - 1e-9))
def test_both_overlaps_are_fixed_points_of_the_map(order, share):
    x = share * critical_load(order).x_c
    state = saddle_point(order, x)
    assert state.exists and state.converged and state.residual < 1e-12
    assert state.m_unstable < critical_load(order).m_c <= state.m <= 1
    assert_close(one_step_overlap(state.m, order, x), state.m, rtol=1e-11)
    assert_close(one_step_overlap(state.m_unstable, order, x), state.m_unstable, rtol=1e-9)
    below, above = one_step_overlap(state.m_unstable * np.array([0.9, 1.0]), order, x)
    assert below < 0.9 * state.m_unstable < above


@given(st.integers(3, 60), st.floats(1e-5, 0.5))
def test_retrieval_falls_with_load_and_shrinks_its_basin(order, share):
    loads = critical_load(order).x_c * np.array([share, 2 * share])
    state = saddle_point(order, loads)
    assert state.m[0] >= state.m[1] and state.m_unstable[0] < state.m_unstable[1]


@pytest.mark.parametrize("order", [3, 4, 30, 300])
def test_ends_of_the_range(order):
    end = critical_load(order)
    loads = np.array([1e-6, 1 - 1e-9, 1.0, 1 + 1e-9, 1e300])
    loads[1:4] *= end.x_c
    state = saddle_point(order, loads)
    assert list(state.exists) == [True, True, True, False, False] == list(state.converged)
    assert np.isnan(state.m[3:]).all() and np.isnan(state.residual[3:]).all()
    assert abs(state.m[0] - 1) < 1e-12
    assert_close(state.m[2], end.m_c)
    assert_close(state.m[1], end.m_c, rtol=1e-4)


# --- order n: counts and simulation


def overlaps_of(rng, N, K, share_right):
    """K patterns, and a query whose sites agree with the first in the given share."""
    patterns = rng.choice([-1.0, 1.0], (K, N))
    query = np.where(rng.random(N) < share_right, 1, -1) * patterns[0]
    return patterns, query


@pytest.mark.parametrize("overlap", [1.0, 0.9])
def test_one_step_of_distinct_sites_against_simulation(overlap):
    rng, N, x = np.random.default_rng(4), 200, 0.2
    K, gaps = round(x * N**2 / 2), []
    for _ in range(16):
        patterns, query = overlaps_of(rng, N, K, (1 + overlap) / 2)
        rest = (patterns @ query)[:, None] - patterns * query  # sites other than i
        fields = (patterns * (rest**2 - (N - 1))).sum(axis=0)
        start = np.mean(query * patterns[0])
        after = np.mean(np.sign(fields) * patterns[0])
        gaps.append(after - one_step_overlap(start, 3, x))
    # the N - 1 pairs left out of N^2 / 2 lower the signal by 2 / (N m^2) and the map with it
    error = np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    assert abs(np.mean(gaps)) < 5 * error + 2 / N


def test_one_step_error_of_the_full_power_against_simulation():
    """F(z) = z^3: a site is updated to the sign of sum_mu F(xi + M) - F(M - xi)."""
    rng, N, K, wrong = np.random.default_rng(6), 200, 2000, []
    for _ in range(8):
        patterns = rng.choice([-1.0, 1.0], (K, N))
        flips = []
        for query in patterns[:8]:
            rest = (patterns @ query)[:, None] - patterns * query
            fields = (patterns * (3 * rest**2 + 1)).sum(axis=0)
            flips.append(np.mean(fields * query < 0))
        wrong.append(np.mean(flips))
    error = np.std(wrong, ddof=1) / np.sqrt(len(wrong))
    assert abs(np.mean(wrong) - one_step_error(K, N, 3)) < 5 * error + 3e-4


@given(st.integers(3, 12), st.floats(1.0, 1e12), st.floats(10.0, 1e6))
def test_counts_and_conventions(order, K, N):
    distinct = normalized_load(K, N, order)
    full = normalized_load(K, N, order, "full_power")
    assert_close(full / distinct, factorial2(2 * order - 3) / factorial(order - 1), rtol=1e-10)
    assert_close(1 - 2 * one_step_error(K, N, order), one_step_overlap(1.0, order, full))
    count = error_free_capacity(order, N)
    error = one_step_error(count, N, order)
    assert error < 1 / (N * np.sqrt(4 * np.pi * np.log(N)))  # the tail bound, nearly met
    assert error > 0.7 / (N * np.sqrt(4 * np.pi * np.log(N)))


def test_critical_count_is_the_critical_load():
    end = critical_load(5)
    assert_close(normalized_load(end.distinct * 300.0**4, 300, 5), end.x_c)
    assert_close(normalized_load(end.full_power * 300.0**4, 300, 5, "full_power"), end.x_c)


def test_counts_at_large_sizes():
    assert one_step_error(1, 1e6, 100) == 0.0
    assert error_free_capacity(100, 1e6) == np.inf
    assert normalized_load(1e12, 1e9, 300) == 0.0


# --- exponential memories


@given(st.floats(1e-4, 1.0))
def test_binary_memory_is_half_the_shannon_capacity(m):
    assert_close(2 * exponential_log_load((1 + m) / 2), capacity(m, 2), rtol=1e-10)


@given(st.floats(0.5, 1.0), st.floats(0.5, 1.0))
def test_binary_load_rises_with_matches(one, other):
    less, more = sorted((one, other))
    assert 0 <= exponential_log_load(less) <= exponential_log_load(more) + 1e-16
    assert exponential_log_load(more) <= np.log(2) / 2


@given(st.floats(0.5, 1.0))
def test_bound_for_all_is_below_the_typical_load_of_unit_weight(p):
    """Weights e^(xi.x) are e^(2 matches): 3.1 of the sheet at b = 2, V = 2."""
    free = 2 * p - np.log((1 + np.exp(2)) / 2)
    m = 2 * p - 1
    typical = free if p > 1 / (1 + np.exp(-2)) else capacity(m, 2)
    assert exponential_log_load(p) <= typical + 1e-15


def test_binary_ends():
    assert exponential_log_load(0.5) == 0.0
    assert_close(exponential_log_load(1.0), np.log(2) / 2)
    assert_close(exponential_log_load(0.5 + 2.0**-30), (2.0**-29) ** 2 / 4, rtol=1e-12)
    assert_close(exponential_log_load(0.75 - 1e-12), exponential_log_load(0.75), rtol=1e-10)


def true_weight(log_K, log_density, log_noise, log_signal):
    """E w_1 = int e^-s M(s)^(K - 1) ds, M(s) = E exp(-s e^(noise - signal)), exactly.

    `log_density` are log-probabilities of the values `log_noise` of a pattern not asked for.
    """
    log_s = np.linspace(-60, 5, 400)
    inside = np.exp(np.clip(log_s[:, None] + log_noise - log_signal, -700, 10))
    lost = -np.expm1(-inside) @ np.exp(log_density)  # 1 - M(s)
    with np.errstate(divide="ignore"):
        exponent = np.expm1(log_K) * np.log1p(-np.minimum(lost, 1.0))
    return np.trapezoid(np.exp(log_s - np.exp(log_s) + exponent), log_s)


def sphere_law(N, points=2001):
    """Overlaps u of a random point of the sphere with a fixed one, density (1 - u^2)^((N-3)/2)."""
    angle = np.linspace(0, np.pi, points)[1:-1]
    log_density = (N - 2) * np.log(np.sin(angle))
    return np.cos(angle), log_density - logsumexp(log_density)


def sphere_weight(load, N, b, overlap=1.0):
    u, log_density = sphere_law(N)
    return true_weight(load * N, log_density, b * N * u, b * N * overlap)


@pytest.mark.parametrize("load, weight", [(0.473, 0.95), (0.573, 0.72), (0.645, 0.37)])
def test_brute_force_column_on_the_sphere(load, weight):
    """N = 20, inverse temperature 1; the printed values are simulated, to two digits."""
    assert abs(sphere_weight(load, 20, 1.0) - weight) < 0.015


def test_exact_average_on_the_sphere_against_drawn_patterns():
    rng, N, K = np.random.default_rng(8), 20, 4000
    weights = []
    for _ in range(200):
        u = 2 * rng.beta((N - 1) / 2, (N - 1) / 2, K - 1) - 1
        weights.append(1 / (1 + np.exp(N * (u - 1.0)).sum()))
    within_standard_errors(weights, sphere_weight(np.log(K) / N, N, 1.0))


@pytest.mark.parametrize(
    "b, overlap", [(1.0, 1.0), (2.0, 0.95), (1.0, 0.8), (4.0, 0.5), (9.0, 0.7)]
)
def test_threshold_on_the_sphere(b, overlap):
    """The exact average at N = 600 drops from 1 to 0 around the load; free and frozen phase."""
    load = spherical_log_load(b, overlap)
    assert sphere_weight(load - 0.03, 600, b, overlap) > 0.9
    assert sphere_weight(load + 0.03, 600, b, overlap) < 0.1


def gauss_weight(load, N, b, norm=1.0):
    """Query at a pattern of squared norm N `norm`: overlaps with the others are normal."""
    z = np.linspace(-38, 38, 2001)
    log_density = -(z**2) / 2 - logsumexp(-(z**2) / 2)
    return true_weight(load * N, log_density, b * np.sqrt(N * norm) * z, b * N * norm)


@pytest.mark.parametrize("b", [0.3, 0.8, 1.0, 3.0])
def test_threshold_of_gaussian_patterns(b):
    load = gaussian_log_load(b)
    assert gauss_weight(load - 0.04, 600, b) > 0.9 and gauss_weight(load + 0.04, 600, b) < 0.1
    worst = gaussian_all_log_load(b)
    shortest = brentq(lambda s: (s - 1 - np.log(s)) / 2 - worst, 1e-9, 1)
    assert gauss_weight(worst - 0.03, 900, b, shortest) > 0.9
    assert gauss_weight(worst + 0.03, 900, b, shortest) < 0.1


@given(st.floats(1e-5, 10))
def test_shortest_gaussian_pattern(b):
    typical, worst = gaussian_log_load(b), gaussian_all_log_load(b)
    s = brentq(lambda s: (s - 1 - np.log(s)) / 2 - s * typical, 1e-3, 1 - 1e-9)
    assert_close(worst, s * typical, rtol=1e-7)
    assert 0 < worst < typical <= 0.5


def test_gaussian_phases():
    assert_close(gaussian_log_load([0.5, 1.0, 1.5, 40.0]), np.array([0.375, 0.5, 0.5, 0.5]))
    assert_close(gaussian_all_log_load([1.0, 7.0]), np.full(2, np.exp(-1) / 2))


@given(st.floats(1e-6, 1e6), st.floats(0.0, 1.0))
def test_spherical_formula_as_stated_and_its_bounds(b, overlap):
    load = spherical_log_load(b, overlap)
    u = (np.sqrt(1 + 4 * b**2) - 1) / (2 * b)
    if 1e-3 < b < 1e3:
        zeta = b * u + np.log1p(-(u**2)) / 2
        stated = b * overlap - zeta if overlap >= u else -np.log1p(-(overlap**2)) / 2
        assert_close(load, stated, rtol=1e-8, atol=1e-9)
    assert -1e-15 <= load <= b * overlap * (1 + 1e-9) + 1e-12
    if overlap < 1:  # no temperature does better than the frozen one
        assert load <= -np.log1p(-(overlap**2)) / 2 * (1 + 1e-9) + 1e-12
    assert spherical_log_load(b, overlap / 2) <= load + 1e-12


def test_spherical_limits():
    assert_close(spherical_log_load(1e-6), 1e-6 - 5e-13, rtol=1e-12)
    assert_close(spherical_log_load(1e8), 0.5 + np.log(1e8) / 2, rtol=1e-8)
    assert spherical_log_load(1.0, 0.0) == 0.0


# --- shapes, speed, bad input


def test_shapes_and_types():
    state = saddle_point(3, 0.1)
    assert type(state.m) is float and type(state.exists) is bool
    assert saddle_point(3, [[0.1], [0.5]]).m_unstable.shape == (2, 1)
    assert one_step_overlap([0.5, 1.0], 3, [[0.1], [0.2], [0.3]]).shape == (3, 2)
    assert normalized_load([10, 20], [[100], [200], [300]], 4).shape == (3, 2)
    assert spherical_log_load([1.0, 2.0], [[0.5], [1.0]]).shape == (2, 2)
    for value in (exponential_log_load(0.9), gaussian_log_load(1), gaussian_all_log_load(1)):
        assert type(value) is float
    assert type(error_free_capacity(3, 100)) is type(one_step_error(10, 100, 3)) is float


def test_speed():
    start = time.process_time()
    saddle_point(73, 0.05)
    assert time.process_time() - start < 0.1


BAD = [
    (
        lambda: saddle_point(2, 0.1),
        "`order` must be a whole number of at least 3; got 2. Order 2 is",
    ),
    (lambda: saddle_point(3, 0.0), "`load` must lie in (0, inf); got 0. It is the normalized load"),
    (lambda: critical_load(3.0), "got 3.0"),
    (lambda: one_step_overlap(1.2, 3, 0.1), "`overlap` must lie in [-1, 1]; got 1.2"),
    (
        lambda: normalized_load(10, 100, 3, "half"),
        "`form` must be one of distinct, full_power; got",
    ),
    (lambda: normalized_load(-1, 100, 3), "`n_patterns` must lie in (0, inf); got -1"),
    (lambda: one_step_error(10, 1, 3), "`n_neurons` must lie in [2, inf); got 1"),
    (lambda: error_free_capacity(3, np.nan), "`n_neurons` must lie in [2, inf); got nan"),
    (lambda: exponential_log_load(0.4), "`match_fraction` must lie in [0.5, 1]; got 0.4"),
    (lambda: spherical_log_load(0.0), "`inverse_temperature` must lie in (0, inf); got 0"),
    (lambda: spherical_log_load(1.0, -0.1), "`overlap` must lie in [0, 1]; got -0.1"),
    (lambda: spherical_log_load([1, 2], [0.1, 0.2, 0.3]), "must broadcast; got shapes"),
    (lambda: gaussian_log_load(-1), "got -1"),
    (lambda: gaussian_all_log_load(np.inf), "got inf"),
]


@pytest.mark.parametrize("call, fragment", BAD)
def test_bad_input(call, fragment):
    with pytest.raises(ValueError) as caught:
        call()
    assert fragment in str(caught.value)

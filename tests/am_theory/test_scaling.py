"""Scaling laws against their limits, each other, enumeration and the printed anchors."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import erf

from am_theory.empirical import posterior_entropy
from am_theory.linear import convergence_size
from am_theory.scaling import (
    bits_per_parameter,
    capacity_size,
    hierarchy_sample_size,
    memorized_nats,
    memorized_nats_limit,
    training_time_size,
    upward_fixed_points,
    upward_map,
)
from tests.helpers import assert_close, assert_digits

# --- printed anchors


def test_bits_per_parameter_anchors():
    assert_digits(bits_per_parameter("hopfield"), "0.2758")
    assert_digits(bits_per_parameter("hopfield") / 2, "0.1379055665")
    assert_digits(bits_per_parameter("gardner"), "2.0")
    assert_digits(bits_per_parameter("linear", vocab_size=4, alpha=0.5), ".255")
    assert_digits(bits_per_parameter("linear", vocab_size=8, alpha=0.5), ".170")


def test_hopfield_anchor_is_the_maximum_of_the_load():
    def negative_load(y):
        return -((erf(y) / y - 2 / np.sqrt(np.pi) * np.exp(-y * y)) ** 2) / 2

    best = minimize_scalar(negative_load, bounds=(0.5, 4.0), options={"xatol": 1e-10})
    assert_close(bits_per_parameter("hopfield"), -2 * best.fun, rtol=1e-12)


def test_gardner_anchor_by_counting_dichotomies():
    """Half of all labellings of 2 N points are linearly separable (Cover), for every N."""
    for N in (1, 3, 8):
        points, term, total = 2 * N, 1, 0
        for k in range(N):
            total += 2 * term
            term = term * (points - 1 - k) // (k + 1)
        assert total == 2**points / 2
        assert_close(points / N, bits_per_parameter("gardner"))


UPWARD = [(8, 2, 1 / 6), (8, 4, 0.75)]


@pytest.mark.parametrize("v, m, printed", UPWARD)
def test_printed_fixed_points(v, m, printed):
    result = upward_fixed_points(v, m, 2)
    assert result.exists and result.converged
    assert_close(result.p, np.array([1 / v, printed, 1.0]))
    assert result.stable.tolist() == [True, False, True]


# --- the upward map, by averages over all rules


def all_grammars(v, m, s):
    """Every assignment of m distinct tuples to each symbol, all v m tuples distinct."""
    tuples = list(product(range(v), repeat=s))

    def fill(symbol, free):
        if symbol == v:
            yield []
            return
        for chosen in subsets(free, m):
            rest = [t for t in free if t not in chosen]
            for tail in fill(symbol + 1, rest):
                yield [chosen, *tail]

    yield from fill(0, tuples)


def subsets(items, size):
    if size == 0:
        yield []
    elif len(items) >= size:
        yield from ([items[0], *rest] for rest in subsets(items[1:], size - 1))
        yield from subsets(items[1:], size)


@pytest.mark.parametrize("v, m, s", [(2, 1, 2), (2, 2, 2), (3, 1, 2), (2, 1, 3), (2, 3, 3)])
def test_upward_map_averages_over_grammars(v, m, s):
    """Mean weight of the right parent's tuples over that of all tuples in use.

    The belief is p in the right child and (1 - p) / (v - 1) in each other one.
    """
    for p in (0.2, 0.5, 0.9):
        right, every = [], []
        for grammar in all_grammars(v, m, s):
            for truth in grammar[0]:
                weights = [sum(weight(t, truth, p, v) for t in symbol) for symbol in grammar]
                right.append(weights[0])
                every.append(sum(weights))
        assert_close(upward_map(p, v, m, s), np.mean(right) / np.mean(every))


def weight(children, truth, p, v):
    return np.prod(
        [p if x == y else (1 - p) / (v - 1) for x, y in zip(children, truth, strict=True)]
    )


grammars = st.integers(2, 9).flatmap(
    lambda v: st.integers(2, 5).flatmap(
        lambda s: st.tuples(st.just(v), st.integers(1, v ** (s - 1)), st.just(s))
    )
)


@given(grammars, st.floats(0, 1), st.floats(0, 1))
def test_upward_map_rises_and_keeps_its_ends(grammar, one, other):
    v, _, _ = grammar
    low, high = upward_map(np.sort([one, other]), *grammar)
    assert 0 <= low <= high <= 1
    assert_close(upward_map([1 / v, 1.0], *grammar), np.array([1 / v, 1.0]))


@given(grammars)
def test_fixed_points_and_their_stability(grammar):
    v, m, s = grammar
    result = upward_fixed_points(*grammar)
    assert result.converged and np.all(np.diff(result.p) > 0)
    assert result.exists == (result.p.size == 3)
    step = 1e-6
    inner = np.clip(result.p, step, 1 - step)
    slope = (upward_map(inner + step, *grammar) - upward_map(inner - step, *grammar)) / (2 * step)
    assert_close(slope, result.slope, rtol=1e-3, atol=1e-4)
    # Between two neighbouring fixed points the belief moves one way, so stable and unstable ones
    # take turns and there is no further root.
    for low, high in zip(result.p[:-1], result.p[1:], strict=True):
        grid = np.linspace(low, high, 400)[1:-1]
        moves = upward_map(grid, *grammar) - grid
        assert np.all(moves > -1e-15) or np.all(moves < 1e-15)
    if result.exists:
        assert result.stable.tolist() == [True, False, True]
    if s == 2 and v != m and 1 / v < (m - 1) / (v - m) < 1:
        assert_close(result.p[1], (m - 1) / (v - m))
    elif s == 2:
        assert not result.exists


def test_fixed_points_attract():
    low, middle, high = upward_fixed_points(8, 4, 2).p
    up, down = middle + 1e-3, middle - 1e-3
    for _ in range(400):
        up, down = upward_map(up, 8, 4, 2), upward_map(down, 8, 4, 2)
    assert_close([down, up], [low, high], rtol=1e-9)


def test_fixed_points_at_extreme_sizes():
    for v, m, s in ((2, 1, 2), (65536, 32768, 2), (65536, 65536**3, 4), (65536, 2**46, 4)):
        result = upward_fixed_points(v, m, s)
        assert result.converged and np.all((result.p > 0) & (result.p <= 1))
    assert upward_fixed_points(2, 1, 60).p[-1] == 1.0


# --- sizes


@given(st.floats(0, 12).map(lambda x: 10.0**x), st.integers(1, 4096), st.integers(2, 65536))
def test_capacity_is_proportional_to_the_parameters(n_parameters, length, V):
    sizes = capacity_size(n_parameters * np.array([1.0, 7.0]), length, V)
    assert_close(sizes[1], 7 * sizes[0])
    # K_cap sequences, in bits, are what the parameters hold.
    assert_close(sizes[0] * length * np.log2(V), 3.6 * n_parameters)
    half = capacity_size(n_parameters, length, V, entropy_per_sequence=length * np.log(V) / 2)
    assert_close(half, 2 * sizes[0])
    assert_close(capacity_size(n_parameters, length, V, bits_per_parameter=1.8), sizes[0] / 2)


def test_linear_denoiser_fills_its_own_capacity():
    """At half recovery its d^2 weights hold K sequences at its own bits per parameter."""
    length, V, alpha = 20, 4, 0.5
    bits = bits_per_parameter("linear", vocab_size=V, alpha=alpha)
    weights = (length * (V - 1)) ** 2
    half = convergence_size(length, V, alpha, criterion="corrupted_recovery").train_size
    assert_close(capacity_size(weights, length, V, bits_per_parameter=bits), half)


@given(st.floats(1, 1e6), st.floats(20, 60), st.floats(1, 1e8), st.floats(0.1, 8))
def test_memorized_nats_rise_and_saturate(K, H, N, B):
    sizes = K * np.array([1.0, 2.0, 4.0])
    values = memorized_nats_limit(sizes, H, N, bits_per_parameter=B)
    assert np.all(np.diff(values) >= -1e-9 * values[:-1])
    assert np.all(values <= B * N * np.log(2) * (1 + 1e-12))
    assert np.all(values <= memorized_nats(sizes, H, np.log(sizes)) * (1 + 1e-12))
    assert memorized_nats_limit(np.exp(H + 1), H, N) == 0


def test_empirical_denoiser_memorizes_up_to_the_limit():
    """With log K <= H its train loss is log K at little noise: the posterior entropy vanishes."""
    K, length, V = 64, 12, 4
    H = length * np.log(V)
    loss = np.log(K) - posterior_entropy(K, length, V, 1 - 1e-4)
    assert_close(memorized_nats(K, H, loss), memorized_nats_limit(K, H, 1e6), rtol=1e-3)


@given(st.floats(1, 1e9), st.floats(1e-6, 1e3), st.floats(1, 1e9))
def test_training_time_binds_until_capacity_does(steps, rate, capacity):
    size = training_time_size(steps * np.array([1.0, 2.0]), rate, capacity)
    assert size[0] <= size[1] <= capacity
    assert_close(size[0], rate * steps if rate * steps < capacity else capacity)


def test_hierarchy_sample_sizes():
    assert hierarchy_sample_size(8, 2, 5) == 8 * 2**5
    assert hierarchy_sample_size(8, 1, 5) == 8.0
    levels = [hierarchy_sample_size(8, 4, 5, level=j) for j in range(1, 5)]
    assert_close(np.diff(np.log(levels)), np.full(3, np.log(4)))
    assert levels[-1] == hierarchy_sample_size(8, 4, 5)
    # Polynomial in the length s^l: P* = v length^(log m / log s).
    assert_close(hierarchy_sample_size(8, 4, 5), 8 * (2**5) ** (np.log(4) / np.log(2)))
    assert hierarchy_sample_size(2, 10**9, 1000) == np.inf


def test_shapes():
    assert type(capacity_size(1e6, 32, 4)) is float
    assert type(memorized_nats(10, 5.0, 1.0)) is float
    assert type(upward_map(0.5, 4, 2, 2)) is float
    assert capacity_size([1e6, 1e7], 32, 4, bits_per_parameter=[[2.0], [3.6]]).shape == (2, 2)
    assert memorized_nats_limit([1, 10], 20.0, [[1e3], [1e6], [1e9]]).shape == (3, 2)
    assert training_time_size([1, 2], 1.0, 5.0).shape == (2,)


BAD = [
    (lambda: capacity_size(0, 32, 4), "`n_parameters` must lie in [1, inf); got 0."),
    (lambda: capacity_size(9, 0, 4), "`seq_len` must be a whole number of at least 1"),
    (lambda: capacity_size(9, 32, 1), "`vocab_size` must be a whole number of at least 2"),
    (lambda: capacity_size(9, 1, 2, entropy_per_sequence=1.0), "(0, 0.693147]; got 1. It is in"),
    (lambda: capacity_size(9, 1, 2, bits_per_parameter=0), "`bits_per_parameter` must lie in (0,"),
    (lambda: memorized_nats(0, 1.0, 1.0), "`train_size` must lie in [1, inf); got 0."),
    (lambda: memorized_nats(2, 1.0, -1.0), "`nelbo` must lie in [0, inf); got -1. It is in nats"),
    (lambda: memorized_nats([1, 2], [1.0, 2.0, 3.0], 1.0), "must broadcast; got shapes"),
    (lambda: memorized_nats_limit(2, -1.0, 5), "`source_entropy` must lie in [0, inf); got -1"),
    (lambda: training_time_size(0, 1, 1), "`n_steps` must lie in (0, inf); got 0"),
    (lambda: training_time_size(1, -1, 1), "`size_per_step` must lie in (0, inf); got -1"),
    (lambda: training_time_size(1, 1, np.nan), "`capacity` must lie in (0, inf); got nan"),
    (lambda: hierarchy_sample_size(1, 2, 3), "`vocab_size` must be a whole number of at least 2"),
    (lambda: hierarchy_sample_size(4, 0, 3), "`rules` must be a whole number of at least 1"),
    (lambda: hierarchy_sample_size(4, 2, 3, level=3), "`level` must be below `depth`; got 3 and 3"),
    (lambda: hierarchy_sample_size(4, 2, 3, level=0), "`level` must be a whole number of at least"),
    (lambda: bits_per_parameter("dense"), "`model` must be one of hopfield, gardner, linear"),
    (lambda: bits_per_parameter("linear", vocab_size=4), "belong to the model 'linear', both of"),
    (lambda: bits_per_parameter("gardner", alpha=0.5), "got None and 0.5 for 'gardner'"),
    (lambda: upward_map(1.5, 8, 2, 2), "`belief` must lie in [0, 1]; got 1.5"),
    (lambda: upward_map(0.5, 8, 9, 2), "`rules` must be at most v^(s - 1) = 8"),
    (lambda: upward_fixed_points(8, 2, 1), "`branching` must be a whole number of at least 2"),
]


@pytest.mark.parametrize("call, fragment", BAD)
def test_bad_input(call, fragment):
    with pytest.raises(ValueError) as caught:
        call()
    assert fragment in str(caught.value)

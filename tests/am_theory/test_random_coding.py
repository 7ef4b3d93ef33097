"""Exponents and one-step capacity of random patterns: tables, definitions, limits, finite sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from am_theory._random_patterns import log_binomial, log_noise
from am_theory.channel import ScheduleDomainError, capacity, dispersion, inverse_temperature
from am_theory.empirical import (
    critical_alpha,
    one_step_log_capacity,
    random_coding_exponent,
    retrieval_probability,
    retrieval_probability_normal,
    strong_converse_exponent,
    true_weight,
    true_weight_exponent,
)
from tests import strategies
from tests.helpers import assert_close, assert_digits

vocab_sizes = st.sampled_from([2, 3, 4, 8, 64, 1000, 65536])
fractions = st.floats(0.0, 1.0, allow_subnormal=False)


def law(alpha, vocab_size):
    """p, w: probability of the true token and of each other one."""
    return alpha + (1 - alpha) / vocab_size, (1 - alpha) / vocab_size


def divergence(x, p):
    """D(x || p) of two numbers in (0, 1), by its definition."""
    return x * np.log(x / p) + (1 - x) * np.log((1 - x) / (1 - p))


# --- printed tables


@pytest.mark.parametrize(
    "vocab_size, b, printed",
    [
        (2, 1, "0.37988549"),
        (2, 2, "0.56621917"),
        (2, 4, "0.67499725"),
        (4, 2, "1.04554141"),
        (8, 3, "1.78044165"),
    ],
)
def test_clean_query_table(vocab_size, b, printed):
    assert_digits(one_step_log_capacity(1.0, b, vocab_size), printed)


MATCHED = inverse_temperature(0.5, 4)


@pytest.mark.parametrize(
    "b, load, weight",
    [(0.5, ".162202", ".5016"), (1.0, ".267626", ".5020"), (MATCHED, ".312752", ".5236")],
)
def test_one_step_table_and_the_finite_memory_at_that_load(b, load, weight):
    kappa = one_step_log_capacity(0.625, b, 4)
    assert_digits(kappa, load)
    assert_digits(weight_at_temperature(np.exp(256 * kappa), 256, 4, 0.5, b), weight)


def weight_at_temperature(K, L, V, alpha, b):
    """Mean weight e^(b m_1) / sum_mu e^(b m_mu) at any b: int e^(bm) e^(-s e^(bm)) M^(K-1) ds."""
    m = np.arange(L + 1.0)
    u = np.arange(-b * L - 45 - np.log(K), 10.0, 0.05)
    rate = np.exp(u[:, None] + b * m)
    lost = -np.expm1(-rate) @ np.exp(log_noise(L, V))
    survive = np.exp((K - 1) * np.log1p(-np.minimum(lost, 1 - 1e-15)))
    p = alpha + (1 - alpha) / V
    true = np.exp(log_binomial(L, p, 1 - p))
    return 0.05 * survive @ ((rate * np.exp(-rate)) @ true)


def test_weight_at_the_matched_temperature_is_the_true_weight():
    args = (500.0, 20, 4, 0.4)
    beta = inverse_temperature(0.4, 4)
    assert_close(weight_at_temperature(*args, beta), true_weight(*args), rtol=1e-10)


@pytest.mark.parametrize(
    "exponent, load, printed",
    [
        (random_coding_exponent, 0.1, ".127073"),
        (random_coding_exponent, 0.2, ".051727"),
        (random_coding_exponent, 0.3, ".01567919"),
        (strong_converse_exponent, 0.7, ".03351626"),
        (strong_converse_exponent, 0.9, ".096092"),
        (true_weight_exponent, 0.5, ".001879"),
        (true_weight_exponent, 0.6, ".015848"),
        (true_weight_exponent, 0.7, ".045280"),
        (true_weight_exponent, 0.9, ".168331"),
    ],
)
def test_exponent_table(exponent, load, printed):
    assert_digits(capacity(0.6, 4), ".445846")
    assert_digits(exponent(load, 4, 0.6), printed)


def log_failure(load, L):
    return np.log1p(-retrieval_probability(np.exp(load * L), L, 4, 0.6))


def log_success(load, L):
    return np.log(retrieval_probability(np.exp(load * L), L, 4, 0.6))


def log_weight(load, L):
    return np.log(true_weight(np.exp(load * L), L, 4, 0.6))


@pytest.mark.parametrize(
    "measure, load, exponent, printed",
    [
        (log_failure, 0.3, random_coding_exponent, (".0214", ".0193", ".0179", ".0170")),
        (log_success, 0.7, strong_converse_exponent, (".0384", ".0365", ".0347")),
        (log_weight, 0.9, true_weight_exponent, (".16998", ".16949", ".16911")),
    ],
)
def test_slopes_of_finite_sizes_table(measure, load, exponent, printed):
    lengths = (50, 100, 200, 400)[: len(printed)]
    slopes = [(measure(load, L) - measure(load, L + 20)) / 20 for L in lengths]
    for slope, digits in zip(slopes, printed, strict=True):
        assert_digits(slope, digits)
    excess = np.array(slopes) - exponent(load, 4, 0.6)
    assert np.all(excess > 0) and np.all(np.diff(excess) < 0)
    assert excess[-1] < 1 / lengths[-1]  # falls as 1 / L


# --- against their definitions


def gallager(rho, vocab_size, alpha):
    p, w = law(alpha, vocab_size)
    s = 1 / (1 + rho)
    total = np.logaddexp(s * np.log(p), np.log(vocab_size - 1) + s * np.log(w))
    return rho * np.log(vocab_size) - (1 + rho) * total


RHO = np.linspace(0, 1, 4001)


@given(vocab_sizes, strategies.inner_alphas, st.floats(0.0, 1.4))
def test_exponents_equal_their_maximum_over_rho(vocab_size, alpha, share):
    load = share * np.log(vocab_size)
    tolerance = 1e-6 * np.log(vocab_size)  # of the grid, whose curvature is of order log V
    gain = gallager(RHO, vocab_size, alpha) - RHO * load
    value = random_coding_exponent(load, vocab_size, alpha)
    assert gain.max() - 1e-12 <= value <= gain.max() + tolerance
    rho = -np.linspace(0, 1, 4001)[:-1]
    gain = np.append(
        gallager(rho, vocab_size, alpha) - rho * load, last_value(load, vocab_size, alpha)
    )
    value = strong_converse_exponent(load, vocab_size, alpha)
    assert gain.max() - 1e-12 <= value <= gain.max() + 50 * tolerance


def last_value(load, vocab_size, alpha):
    """The value at rho = -1, a limit."""
    return load - np.log(vocab_size) - np.log(law(alpha, vocab_size)[0])


@given(vocab_sizes, strategies.inner_alphas, st.floats(0.0, 1.4))
def test_true_weight_exponent_equals_its_minimum_over_matches(vocab_size, alpha, share):
    load, p = share * np.log(vocab_size), law(alpha, vocab_size)[0]
    beta = inverse_temperature(alpha, vocab_size)
    tilted = 1 / (1 + (vocab_size - 1) * np.exp(-2 * beta))
    x = np.concatenate([np.linspace(1e-9, 1 - 1e-9, 20001), np.linspace(p, tilted, 20001)])
    cost = divergence(x, p) + np.maximum(load - np.log(1 - alpha) - beta * x, 0)
    value = true_weight_exponent(load, vocab_size, alpha)
    # The bend lies between two nodes: the cost there changes by at most the slope times a step.
    step = (1 + beta + abs(np.log(tilted / p)) + abs(np.log((1 - p) / (1 - tilted)))) / 20000
    assert cost.min() - step <= value <= cost.min() + 1e-11


def test_true_weight_exponent_equals_the_form_of_its_source():
    alpha, beta, p = 0.6, inverse_temperature(0.6, 4), 0.7
    for load in (0.95, 1.2, 2.0):  # beyond the bend at 0.917
        source = load - np.log(1 - alpha) - np.log(1 - p + p * np.exp(beta))
        assert_close(true_weight_exponent(load, 4, alpha), source)


@given(vocab_sizes, fractions, fractions, st.floats(0.0, 60.0))
def test_one_step_capacity_equals_the_largest_load_that_wins(vocab_size, p, q, b):
    """Signal b p above the best unrelated sequence, or above all of them together."""
    value = one_step_log_capacity(p, b, vocab_size)
    overlap = max((vocab_size * p - 1) / (vocab_size - 1), 0.0)
    limit = capacity(min(overlap, 1.0), vocab_size)
    assert 0 <= value <= limit
    threshold = (
        np.inf if p == 1 else (-np.inf if p == 0 else np.log(p * (vocab_size - 1) / (1 - p)))
    )
    if b >= threshold:
        assert value == limit
    other = one_step_log_capacity(q, b, vocab_size)
    assert (value <= other) if p <= q else (value >= other)  # a better query never hurts
    if p > 1 / vocab_size and b < threshold:
        share = np.exp(np.log1p(np.expm1(min(b, 50.0)) / vocab_size)) if b < 50 else None
        if share is not None:
            assert_close(value, max(b * p - np.log(share), 0), rtol=1e-9, atol=1e-13)


@given(vocab_sizes, st.floats(1e-6, 1 - 1e-9))
def test_the_matched_temperature_reaches_the_capacity_and_is_the_least_to(vocab_size, alpha):
    p, beta = law(alpha, vocab_size)[0], inverse_temperature(alpha, vocab_size)
    limit = capacity(alpha, vocab_size)
    assert_close(one_step_log_capacity(p, beta, vocab_size), limit, rtol=1e-8, atol=1e-15)
    assert_close(one_step_log_capacity(p, 3 * beta, vocab_size), limit, rtol=1e-8, atol=1e-15)
    assert one_step_log_capacity(p, 0.7 * beta, vocab_size) < limit


# --- shape, order and limits


@given(vocab_sizes, fractions, fractions, fractions)
def test_exponents_are_monotone_and_vanish_at_capacity(vocab_size, alpha, share, other):
    loads = np.sort([share, other]) * 1.3 * np.log(vocab_size)
    limit = capacity(alpha, vocab_size)
    fall = random_coding_exponent(loads, vocab_size, alpha)
    rise = strong_converse_exponent(loads, vocab_size, alpha)
    weight = true_weight_exponent(loads, vocab_size, alpha)
    slack = 1e-12 * np.log(vocab_size)
    assert fall[0] >= fall[1] - slack and rise[0] <= rise[1] + slack
    assert weight[0] <= weight[1] + slack
    assert np.all(weight >= rise - slack)  # the mean true weight is no larger than P_MAP
    assert np.all(fall[loads >= limit] == 0) and np.all(rise[loads <= limit] == 0)
    assert np.all(weight[loads <= limit] == 0)
    assert np.all(np.isfinite([fall, rise, weight]))
    assert np.all(fall <= np.log(vocab_size) + slack)
    assert np.all(rise <= loads + slack) and np.all(weight <= loads + slack)  # guessing: 1 / K


@given(vocab_sizes, st.floats(0.01, 0.99), st.floats(0.02, 0.98))
def test_exponents_are_continuous_where_branches_meet(vocab_size, alpha, share):
    load = share * np.log(vocab_size)
    pair = load * (1 + np.array([-1e-9, 1e-9]))
    for exponent in (random_coding_exponent, strong_converse_exponent, true_weight_exponent):
        assert np.ptp(exponent(pair, vocab_size, alpha)) <= 1e-7 * np.log(vocab_size)
    ends = np.log(vocab_size) * (1 + np.array([-1e-12, 0, 1e-12]))
    assert np.ptp(strong_converse_exponent(ends, vocab_size, alpha)) < 1e-9


@given(vocab_sizes, st.floats(0.05, 0.95))
def test_exponents_are_parabolas_of_the_dispersion_near_capacity(vocab_size, alpha):
    limit, step = capacity(alpha, vocab_size), 1e-4
    curve = (step * limit) ** 2 / (2 * dispersion(alpha, vocab_size))
    below = random_coding_exponent(limit * (1 - step), vocab_size, alpha)
    above = strong_converse_exponent(limit * (1 + step), vocab_size, alpha)
    assert_close(below, curve, rtol=0.02)
    assert_close(above, curve, rtol=0.02)
    # At rate beta the excess costs less by rarer matches than by less weight: the same parabola.
    assert_close(true_weight_exponent(limit * (1 + step), vocab_size, alpha), curve, rtol=0.02)


@given(strategies.vocab_sizes, st.floats(0.15, 0.9), st.floats(0.1, 0.9), st.integers(20, 60))
def test_gallager_bounds_hold_at_finite_size(vocab_size, alpha, share, seq_len):
    """Failure at most exp(-L E_r) and success at most exp(-L E_sc), both without a prefactor."""
    load = share * np.log(vocab_size)
    K = np.exp(load * seq_len)
    success = retrieval_probability(K, seq_len, vocab_size, alpha)
    fail = np.exp(-seq_len * random_coding_exponent(load, vocab_size, alpha))
    assert 1 - success <= fail + 1e-12
    bound = np.exp(-seq_len * strong_converse_exponent(load, vocab_size, alpha))
    assert success <= bound * (1 + 1e-9)
    weight = np.exp(-seq_len * true_weight_exponent(load, vocab_size, alpha))
    assert true_weight(K, seq_len, vocab_size, alpha) <= weight * (1 + 1e-9)


@given(st.sampled_from([2, 4, 8]), st.floats(0.3, 0.7), st.floats(-1.5, 1.5))
def test_exact_and_normal_agree_near_the_middle(vocab_size, alpha, shift):
    """They differ by O(1) in log K, that is by O(1) / sqrt(L U) in the argument of Phi."""
    for L in (32, 128, 512):
        spread = np.sqrt(L * dispersion(alpha, vocab_size))
        log_size = L * capacity(alpha, vocab_size) + np.log(L) / 2 + shift * spread
        assume(1 < log_size < L * np.log(vocab_size))
        args = (np.exp(log_size), L, vocab_size, alpha)
        gap = retrieval_probability(*args) - retrieval_probability_normal(*args)
        assert abs(gap) < 0.4 / spread


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 1e-3, 0.5, 1 - 1e-6, 1 - 1e-12, 1.0])
@pytest.mark.parametrize("vocab_size", [2, 65536])
def test_ends_of_the_ranges(alpha, vocab_size):
    loads = np.array([0.0, 1e-9, 1e-3, 0.5, 1.0, 1.5]) * np.log(vocab_size)
    limit = capacity(alpha, vocab_size)
    fall = random_coding_exponent(loads, vocab_size, alpha)
    rise = strong_converse_exponent(loads, vocab_size, alpha)
    weight = true_weight_exponent(loads, vocab_size, alpha)
    assert np.all(np.isfinite([fall, rise, weight]))
    if alpha == 0:  # nothing is known: success is 1 / K
        assert_close(np.array([rise, weight]), np.array([loads, loads]), rtol=1e-9, atol=1e-15)
        assert np.all(fall == 0)
    if alpha == 1:  # only duplicates confuse, and a query is as good as a sequence
        assert_close(fall, np.maximum(limit - loads, 0.0), atol=1e-12)
        assert_close(rise, np.maximum(loads - limit, 0.0), atol=1e-12)
    if 0 < alpha < 1e-2:  # weak signal: C = (V - 1) a^2 / 2, E_0(1) = C / 2 to leading order
        assert_close(random_coding_exponent(0.0, 2, alpha), capacity(alpha, 2) / 2, rtol=1e-3)


def test_critical_alpha_is_where_the_exponents_vanish():
    for vocab_size, load in ((2, 0.05), (8, 1.0), (256, 2.0)):
        alpha = critical_alpha(load, vocab_size)
        for exponent, side in ((random_coding_exponent, -1), (strong_converse_exponent, 1)):
            assert exponent(load, vocab_size, alpha) < 1e-25
            assert exponent(load, vocab_size, alpha - side * 1e-3) > 1e-8


def test_shapes():
    grid = strong_converse_exponent(np.array([0.2, 0.9])[:, None], 4, np.array([0.1, 0.5, 0.9]))
    assert grid.shape == (2, 3)
    assert type(random_coding_exponent(0.2, 4, 0.6)) is float
    assert type(one_step_log_capacity(0.7, 1, 4)) is float
    assert one_step_log_capacity(np.array([0.5, 0.9]), np.array([[1.0], [2.0]]), 4).shape == (2, 2)


# --- bad input

BAD = [
    (lambda: one_step_log_capacity(1.2, 1, 4), ValueError, "`match_fraction` must lie in [0, 1]"),
    (lambda: one_step_log_capacity(0.5, -1, 4), ValueError, "`inverse_temperature` must lie in [0"),
    (lambda: one_step_log_capacity(0.5, np.inf, 4), ValueError, "got inf"),
    (lambda: one_step_log_capacity([0.5, 0.6], [1, 2, 3], 4), ValueError, "must broadcast"),
    (lambda: one_step_log_capacity(0.5, 1, 1), ValueError, "`vocab_size` must be a whole number"),
    (lambda: random_coding_exponent(-0.1, 4, 0.5), ValueError, "`log_load` must lie in [0, inf)"),
    (lambda: strong_converse_exponent(np.nan, 4, 0.5), ValueError, "got nan. It is log(train_size"),
    (lambda: true_weight_exponent("x", 4, 0.5), TypeError, "`log_load` must hold real numbers"),
    (
        lambda: random_coding_exponent(0.1, 4, 1.5),
        ScheduleDomainError,
        "`alpha` must lie in [0, 1]",
    ),
    (lambda: random_coding_exponent([1, 2], 4, [0.1, 0.2, 0.3]), ValueError, "must broadcast"),
]


@pytest.mark.parametrize("call, error, fragment", BAD)
def test_bad_input(call, error, fragment):
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)

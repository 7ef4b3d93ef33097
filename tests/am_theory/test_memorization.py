"""Information and loss of the optimal memorizer: tables, enumeration, limits, monotonicity."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import (
    LogLinear,
    ScheduleDomainError,
    capacity,
    corruption_rate,
    inverse_temperature,
)
from am_theory.empirical import (
    information,
    nelbo,
    posterior_entropy,
    token_recovery,
    train_test_gap_log_size,
    true_weight,
)
from tests import oracles, strategies
from tests.helpers import assert_close, assert_digits, within_standard_errors

SCHEDULE = LogLinear()


def recovery_gap(K, L, V, alpha):
    train, test = (
        token_recovery(K, L, V, alpha, decoder="sample", split=split) for split in ("train", "test")
    )
    return train - test


# --- printed tables

LOSS = """
4    1.365414 1.417 .072  12.160985 12.158 .058
64   3.918485 4.030 .067  9.358658  9.335  .034
1024 5.847619 5.798 .049  8.094399  8.115  .021
"""


@pytest.mark.parametrize("line", LOSS.strip().split("\n"))
def test_loss_table(line):
    K, train, train_mc, train_error, test, test_mc, test_error = line.split()
    args = (float(K), 12, 4, SCHEDULE.alpha(0.3))
    assert_digits(nelbo(*args), train)
    assert_digits(nelbo(*args, split="test"), test)
    assert abs(nelbo(*args) - float(train_mc)) < 4 * float(train_error)
    assert abs(nelbo(*args, split="test") - float(test_mc)) < 4 * float(test_error)


def test_train_loss_tends_to_log_k():
    assert_digits(nelbo(64, 12, 4, SCHEDULE.alpha(1e-4)), "4.158880")
    assert_digits(np.log(64), "4.158883")


GAPS = [
    (12, 4, ("4.7905", "6.7586", "10.1637")),
    (16, 4, ("6.0830", "8.3331", "12.1360")),
    (24, 4, ("8.6675", "11.4047", "15.9183")),
    (16, 8, ("10.5256", "13.4408", "18.3554")),
]


@pytest.mark.parametrize("L, V, printed", GAPS)
def test_gap_table(L, V, printed):
    roots = train_test_gap_log_size(np.array([0.25, 0.1, 0.01]), L, V, SCHEDULE.alpha(0.5))
    for value, digits in zip(roots, printed, strict=True):
        assert_digits(value, digits)


def test_gap_size_over_the_capacity_falls_to_one():
    alpha = SCHEDULE.alpha(0.5)
    lengths = (12, 24, 48, 96, 192)
    for gap in (0.25, 0.1, 0.01):
        share = [
            train_test_gap_log_size(gap, L, 4, alpha) / (L * capacity(alpha, 4)) for L in lengths
        ]
        assert np.all(np.array(share) > 1) and np.all(np.diff(share) < 0)


# --- enumeration, second forms


@pytest.mark.parametrize("alpha", [0.0, 0.35, 0.9])
@pytest.mark.parametrize("K, L, V", [(1, 3, 2), (3, 3, 2), (4, 2, 2), (2, 2, 3)])
@pytest.mark.parametrize("split", ["train", "test"])
def test_loss_equals_the_mean_divergence_over_all_pattern_sets(K, L, V, alpha, split):
    """KL between the laws of the noisy query and of the noisy stored sequences, set by set."""
    count, extra = V**L, int(split == "test")
    seqs = oracles.all_sequences(V, L)
    channel = oracles.channel_matrix(seqs, V, alpha)
    sets = oracles.all_sequences(count, K + extra)
    noisy = channel[sets[:, extra:]].mean(axis=1)
    query = channel[sets[:, 0]]
    expected = np.mean(np.sum(query * np.log(query / noisy), axis=1))
    assert_close(nelbo(K, L, V, alpha, split=split), expected, rtol=1e-9, atol=1e-10)
    if split == "train":
        # The index is the hidden variable: I(mu; x_t) = H(x_t) - H(x_t | mu), mean over the sets.
        mutual = np.mean(oracles.entropy(noisy, 1)) - oracles.entropy(channel[0])
        assert_close(information(K, L, V, alpha), mutual, rtol=1e-9, atol=1e-10)


def test_loss_equals_the_form_with_log_z():
    """-L log((1 - a) / V) + log K - E log Z - L h, with E log Z from a simulation."""
    rng, (K, L, V, alpha) = np.random.default_rng(5), (40, 10, 3, 0.5)
    beta, miss = inverse_temperature(alpha, V), corruption_rate(alpha, V)
    noise = oracles.entropy(np.array([1 - miss, miss])) + miss * np.log(V - 1)
    for split in ("train", "test"):
        patterns = rng.integers(0, V, (4000, K, L))
        x_0 = patterns[:, 0] if split == "train" else rng.integers(0, V, (4000, L))
        x_t = np.where(rng.random(x_0.shape) < alpha, x_0, rng.integers(0, V, x_0.shape))
        log_z = np.log(np.sum(np.exp(beta * (patterns == x_t[:, None]).sum(-1)), axis=1))
        sampled = -L * np.log((1 - alpha) / V) + np.log(K) - log_z - L * noise
        within_standard_errors(sampled, nelbo(K, L, V, alpha, split=split))


@given(strategies.memories(alpha=strategies.inner_alphas))
def test_information_and_its_bounds(problem):
    K, L, V, alpha = (problem[k] for k in ("train_size", "seq_len", "vocab_size", "alpha"))
    value = information(**problem)
    assert 0 <= value <= min(np.log(K), L * capacity(alpha, V)) + 1e-12
    assert_close(value, np.log(K) - posterior_entropy(**problem), rtol=1e-9, atol=1e-10)
    assert nelbo(**problem) == value
    assert nelbo(**problem, split="test") >= value - 1e-9  # an unseen sequence is coded worse
    if K == 1:
        assert value == 0
        matched = 1 - corruption_rate(alpha, V)  # one sequence, unrelated to the query
        expected = L * inverse_temperature(alpha, V) * (matched - 1 / V)
        assert_close(nelbo(**problem, split="test"), expected, rtol=1e-9, atol=1e-10)


@given(strategies.memories(alpha=strategies.inner_alphas), strategies.inner_alphas)
def test_loss_is_monotone_in_size_and_noise(problem, other):
    """No peak of the test loss in K: more stored sequences always help an unseen one."""
    L, V = problem["seq_len"], problem["vocab_size"]
    K = np.array([1, 2, 5, 40, 3e3, 1e6])[:, None]
    alpha = np.sort([problem["alpha"], other])
    train, test = (nelbo(K, L, V, alpha, split=split) for split in ("train", "test"))
    assert np.all(np.diff(train, axis=0) >= -1e-10) and np.all(np.diff(test, axis=0) <= 1e-10)
    assert np.all(np.diff(train, axis=1) >= -1e-10) and np.all(np.diff(test, axis=1) >= -1e-10)


@given(st.integers(2, 1000), st.integers(20, 60), st.integers(3, 8))
def test_train_loss_of_distinct_sequences_is_log_k(K, L, V):
    value = nelbo(K, L, V, 1 - 1e-9)
    assert value <= np.log(K)
    assert np.log(K) - value < 1e-6 + K * float(V) ** -L


@given(strategies.memories(alpha=st.floats(0.01, 0.9)), st.floats(0.001, 0.999))
def test_gap_size_solves_its_equation(problem, share):
    L, V, alpha = problem["seq_len"], problem["vocab_size"], problem["alpha"]
    most = recovery_gap(1, L, V, alpha)
    target = share * most
    log_size = train_test_gap_log_size(target, L, V, alpha)
    assert log_size >= 0
    assert_close(recovery_gap(np.exp(log_size), L, V, alpha), target, rtol=1e-9, atol=1e-13)
    assert np.isnan(train_test_gap_log_size((1 + most) / 2, L, V, alpha))


def test_gap_size_ends_and_shapes():
    assert np.isnan(train_test_gap_log_size(0.01, 4096, 65536, 0.5))  # log K would pass 690
    # At alpha = 0 a posterior draw of K sequences is right with 1/K and else as good as unseen.
    assert_close(train_test_gap_log_size(0.01, 8, 4, 0.0), np.log(0.75 / 0.01), rtol=1e-10)
    grid = train_test_gap_log_size(np.array([0.3, 0.01])[:, None], 10, 4, np.array([0.2, 0.5, 0.7]))
    assert grid.shape == (2, 3) and np.all(np.diff(grid, axis=0) > 0)
    assert np.all(np.diff(grid, axis=1) > 0)  # the clearer the query, the later they meet
    assert type(train_test_gap_log_size(0.1, 10, 4, 0.5)) is float


def test_train_and_test_differ_by_the_true_sequence_alone_when_many_are_stored():
    """R_train - R_test -> E w (1 - R_test) plus what the others lose, so it is below E w."""
    for K in (1e4, 1e6, 1e9):
        gap, weight = recovery_gap(K, 12, 4, 0.5), true_weight(K, 12, 4, 0.5)
        assert 0 < gap < weight


EXTREME = [
    (1, 1, 2, 0.5),
    (1e12, 1, 2, 0.999),
    (1e12, 64, 65536, 1e-6),
    (1e12, 256, 2, 1 - 1e-12),
    (1e12, 4096, 65536, 0.2),
    (7, 4096, 2, 1 - 1e-12),
]


@pytest.mark.parametrize("args", EXTREME)
def test_extreme_sizes_give_finite_numbers_without_warnings(args):
    K, L, V, alpha = args
    assert 0 <= information(*args) <= np.log(K) * (1 + 1e-12)
    test = nelbo(*args, split="test")
    assert -1e-9 <= test <= L * inverse_temperature(alpha, V)


def test_test_loss_diverges_without_noise():
    assert nelbo(10, 8, 4, 1.0, split="test") == np.inf
    assert nelbo(10, 8, 4, np.array([0.5, 1.0]), split="test")[1] == np.inf
    near = nelbo(10, 8, 4, 1 - np.array([1e-3, 1e-6, 1e-9]), split="test")
    rise = np.diff(near) / np.log(1e3)  # each wrong site of the nearest sequence costs beta
    assert np.all((rise > 1) & (rise < 8)) and abs(rise[1] - rise[0]) < 0.01


def test_speed():
    """Process time of scalar calls; bounds are ten times the usual cost."""
    for limit, call in (
        (0.3, lambda: train_test_gap_log_size(0.01, 256, 4, 0.5)),
        (0.2, lambda: nelbo(1e6, 256, 64, 0.3, split="test")),
        (2.0, lambda: information(1e6, 4096, 64, 0.3)),
    ):
        start = time.process_time()
        call()
        assert time.process_time() - start < limit


BAD = [
    (lambda: information(0, 8, 4, 0.5), ValueError, "`train_size` must be finite"),
    (lambda: nelbo(9, 8, 4, 0.5, split="val"), ValueError, "must be one of train, test; got 'val'"),
    (lambda: nelbo(9, 8, 4, 1.5), ScheduleDomainError, "`alpha` must lie in [0, 1]"),
    (lambda: nelbo([1, 2], 8, 4, [0.1, 0.2, 0.3], split="test"), ValueError, "must broadcast"),
    (lambda: train_test_gap_log_size(0, 8, 4, 0.5), ValueError, "`gap` must lie in (0, 1); got 0"),
    (lambda: train_test_gap_log_size(1.0, 8, 4, 0.5), ValueError, "difference of recoveries"),
    (lambda: train_test_gap_log_size(0.1, 0, 4, 0.5), ValueError, "`seq_len` must be a whole"),
    (lambda: train_test_gap_log_size([0.1] * 2, 8, 4, [0.5] * 3), ValueError, "must broadcast"),
]


@pytest.mark.parametrize("call, error, fragment", BAD)
def test_bad_input(call, error, fragment):
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)

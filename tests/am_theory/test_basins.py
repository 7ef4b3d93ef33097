"""Basins and bounds on any memory: exact decoding errors, brute force over decoders, limits."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import Cosine, Linear, LogLinear, ScheduleDomainError, corruption_rate
from am_theory.empirical import (
    ShannonBound,
    basin_radius,
    critical_alpha,
    minimum_distance,
    retrieval_probability,
    retrieval_probability_errors,
    shannon_bound,
    shannon_radius,
    strong_converse_exponent,
)
from tests import oracles, strategies
from tests.helpers import assert_close, assert_digits, within_standard_errors

# --- exactly D errors


@pytest.mark.parametrize(
    "errors, printed", [(8, ".99999769"), (14, ".90627656"), (18, ".00025507")]
)
def test_exact_error_table(errors, printed):
    assert_digits(retrieval_probability_errors(1000, 32, 4, errors), printed)


@given(strategies.memories())
def test_mean_over_errors_is_the_channel(problem):
    K, L, V, alpha = (problem[k] for k in ("train_size", "seq_len", "vocab_size", "alpha"))
    errors, miss = np.arange(L + 1), corruption_rate(alpha, V)
    from scipy.stats import binom

    right = retrieval_probability_errors(K, L, V, errors)
    assert np.all((right >= 0) & (right <= 1)) and np.all(np.diff(right) <= 1e-14)
    mean = np.sum(binom.pmf(errors, L, miss) * right)
    assert_close(mean, retrieval_probability(K, L, V, alpha), rtol=1e-10, atol=1e-13)


def test_exact_errors_by_enumeration_of_pattern_sets():
    """Every set of three sequences and every query at distance D from the first."""
    V, L, K = 2, 3, 3
    seqs = oracles.all_sequences(V, L)
    match = (seqs[:, None] == seqs[None]).sum(-1)
    sets = oracles.all_sequences(len(seqs), K)
    for errors in range(L + 1):
        scores = []
        for members in sets:
            for query in np.flatnonzero(match[members[0]] == L - errors):
                m = match[members, query]
                scores.append((m[0] == m.max()) / np.sum(m == m.max()))
        assert_close(retrieval_probability_errors(K, L, V, errors), np.mean(scores))


def test_exact_error_shapes_and_ends():
    grid = retrieval_probability_errors(np.array([[1.0], [1e3]]), 16, 4, np.array([0, 8, 16]))
    assert grid.shape == (2, 3) and np.all(grid[0] == 1) and np.all(np.diff(grid[1]) < 0)
    assert type(retrieval_probability_errors(10, 16, 4, 3)) is float
    assert type(retrieval_probability_errors(10, 16, 4, 3.0)) is float


# --- bounds


def any_rule(rng, patterns, seqs, channel, V):
    """Success of a family of rules on one set: weighted nearest matches, and arbitrary tables."""
    match = (patterns[:, None] == seqs[None]).sum(-1).astype(float)
    index = oracles.sequence_index(patterns, V)
    weights = rng.exponential(size=patterns.shape[1])
    rules = [
        np.argmax(match, axis=0),
        np.argmax(((patterns[:, None] == seqs[None]) * weights).sum(-1), axis=0),
        np.argmax(match + rng.normal(size=match.shape), axis=0),
        rng.integers(0, len(patterns), len(seqs)),
        np.argmax(channel[index], axis=0),
    ]
    for chosen in rules:
        right = index[chosen][None, :] == index[:, None]  # equal sequences count as right
        yield np.mean(np.sum(channel[index] * right, axis=1))


@given(st.integers(0, 10**6), st.sampled_from([(2, 5), (3, 3), (4, 2)]), strategies.inner_alphas)
def test_no_rule_on_any_set_beats_the_strong_converse(seed, size, alpha):
    """The stored sequences are distinct, so that log K / L is their load."""
    V, L = size
    rng = np.random.default_rng(seed)
    seqs = oracles.all_sequences(V, L)
    channel = oracles.channel_matrix(seqs, V, alpha)
    K = int(rng.integers(1, len(seqs) + 1))
    patterns = seqs[rng.permutation(len(seqs))[:K]]
    bound = shannon_bound(K, L, V, alpha).P_converse
    for success in any_rule(rng, patterns, seqs, channel, V):
        assert success <= bound * (1 + 1e-9)


def test_rules_on_random_sets_stay_below_the_exact_bound():
    """Mean over random sets; for the last rule, MAP decoding, the bound holds with equality."""
    V, L, K, alpha = 3, 4, 6, 0.45
    rng, seqs = np.random.default_rng(3), oracles.all_sequences(3, 4)
    channel = oracles.channel_matrix(seqs, V, alpha)
    scores = np.array(
        [list(any_rule(rng, rng.integers(0, V, (K, L)), seqs, channel, V)) for _ in range(3000)]
    )
    bound = shannon_bound(K, L, V, alpha)
    error = scores.std(axis=0) / np.sqrt(len(scores))
    assert np.all(scores.mean(axis=0) <= bound.P_map + bound.duplicates + 4 * error)
    # Counting equal sequences as right, the nearest one does better than by index alone.
    assert bound.P_map < scores[:, -1].mean() + 4 * error[-1]
    assert_close(bound.duplicates, (K - 1) * 3.0**-4)


@given(strategies.memories())
def test_bounds_are_ordered_and_consistent(problem):
    bound = shannon_bound(**problem)
    assert isinstance(bound, ShannonBound)
    assert bound.P_map == retrieval_probability(**problem)
    assert bound.P_map <= bound.P_converse * (1 + 1e-12)
    assert 0 <= bound.duplicates <= 1
    K, L, V, alpha = (problem[k] for k in ("train_size", "seq_len", "vocab_size", "alpha"))
    load = np.log(K) / L
    exact = np.exp(-L * strong_converse_exponent(load, V, alpha))
    assert_close(bound.P_converse, exact)
    if K > V**L:
        assert np.isnan(bound.alpha_c)
    else:
        assert_close(bound.alpha_c, critical_alpha(min(load, np.log(V)), V), atol=1e-9)


@given(st.floats(1, 1e12), st.integers(1, 200), strategies.vocab_sizes, strategies.alphas)
def test_the_converse_bounds_the_exact_probability_everywhere(K, L, V, alpha):
    bound = shannon_bound(K, L, V, alpha)
    assert bound.P_map <= bound.P_converse * (1 + 1e-9)


@given(
    strategies.memories(alpha=st.just(0.5)),
    st.floats(0.05, 0.95),
    st.sampled_from([None, Linear(), Cosine()]),
)
def test_radii_are_ordered_and_cross_the_threshold(problem, threshold, schedule):
    K, L, V = problem["train_size"], problem["seq_len"], problem["vocab_size"]
    radius = shannon_radius(K, L, V, threshold, schedule)
    inner = basin_radius(K, L, V, threshold, schedule)
    assert np.array_equal(radius.t_map, inner, equal_nan=True)
    t, clock = radius.t_converse, LogLinear() if schedule is None else schedule
    assert not radius.t_map > t + 1e-12  # at alpha = 0 both may tie with the threshold, 1 / K
    if np.isnan(t):
        assert shannon_bound(K, L, V, 1.0).P_converse < threshold
    elif t < 1:
        assert_close(shannon_bound(K, L, V, clock.alpha(t)).P_converse, threshold, rtol=1e-6)


def test_radii_meet_as_the_length_grows():
    gaps = []
    for L in (32, 128, 512, 2048):
        K = np.exp(0.05 * L)
        radius = shannon_radius(K, L, 4)
        t_c = LogLinear().time_at(critical_alpha(0.05, 4))
        assert_close(radius.t_c, t_c, rtol=1e-9)
        gaps.append((radius.t_map - t_c, radius.t_converse - t_c))
    gaps = np.array(gaps)
    assert np.all(gaps > 0) and np.all(np.diff(gaps, axis=0) < 0) and np.all(gaps[-1] < 0.02)


def test_radius_ends():
    one = shannon_radius(1, 8, 3, 0.99)
    assert (one.t_map, one.t_converse, one.t_c) == (1.0, 1.0, 1.0)
    many = shannon_radius(100, 1, 2, 0.5)  # two sequences cannot tell 100 apart
    assert np.isnan(many.t_map) and np.isnan(many.t_converse) and np.isnan(many.t_c)
    radii = shannon_radius(np.geomspace(1, 1e9, 5), 16, 4)
    assert radii.t_c.shape == radii.t_map.shape == radii.t_converse.shape == (5,)
    assert np.all(np.diff(radii.t_c) < 0) and np.all(np.diff(radii.t_converse) < 0)


@pytest.mark.parametrize(
    "args",
    [(1e12, 1, 2, 0.5), (1e12, 4096, 65536, 1e-6), (3, 4096, 2, 1 - 1e-12), (1, 1, 2, 0.0)],
)
def test_extreme_sizes_without_warnings(args):
    bound = shannon_bound(*args)
    assert 0 <= bound.P_map <= bound.P_converse * (1 + 1e-9) <= 1 + 1e-9
    assert 0 <= bound.duplicates <= 1
    radius = shannon_radius(*args[:3])
    assert np.isnan(radius.t_map) or radius.t_map <= radius.t_converse


# --- minimum distance


def test_minimum_distance_of_the_example():
    d = minimum_distance(1000, 32, 4)
    assert d == 12 and (d - 1) // 2 == 5  # five errors are survived wherever they are placed
    assert retrieval_probability_errors(1000, 32, 4, 14) > 0.9


def test_minimum_distance_against_simulation():
    """The smallest distance of random sets lies within two of it on average."""
    rng, (K, L, V) = np.random.default_rng(0), (60, 16, 3)
    found = []
    for _ in range(300):
        patterns = rng.integers(0, V, (K, L))
        apart = (patterns[:, None] != patterns[None]).sum(-1)
        found.append(apart[np.triu_indices(K, 1)].min())
    assert abs(np.mean(found) - minimum_distance(K, L, V)) < 1
    # The expected number of pairs at most d apart crosses 1 there.
    d, pairs = minimum_distance(K, L, V), []
    for _ in range(2000):
        x, y = rng.integers(0, V, (2, 500, L))
        pairs.append(np.mean((x != y).sum(-1) <= d) * K * (K - 1) / 2)
    assert np.mean(pairs) > 1
    from scipy.stats import binom

    within_standard_errors(pairs, K * (K - 1) / 2 * binom.sf(L - d - 1, L, 1 / V))
    assert K * (K - 1) / 2 * binom.sf(L - d, L, 1 / V) < 1


def test_minimum_distance_ends():
    assert minimum_distance(1, 9, 2) == 10 and minimum_distance(2, 9, 2) == 9
    assert minimum_distance(1e12, 9, 2) == 0
    assert type(minimum_distance(50, 9, 2)) is int
    falling = minimum_distance(np.geomspace(2, 1e12, 9), 64, 4)
    assert np.all(np.diff(falling) <= 0) and falling[0] == 64


def test_speed():
    """Process time of scalar calls; bounds are several times the usual cost."""
    for limit, call in (
        (0.25, lambda: shannon_radius(1e6, 256, 64)),
        (0.1, lambda: shannon_bound(1e6, 256, 64, 0.3)),
        (1.0, lambda: shannon_radius(1e6, 4096, 64)),
    ):
        start = time.process_time()
        call()
        assert time.process_time() - start < limit


BAD = [
    (lambda: shannon_bound(0, 8, 4, 0.5), ValueError, "`train_size` must be finite"),
    (lambda: shannon_bound(9, 8, 4, -0.5), ScheduleDomainError, "`alpha` must lie in [0, 1]"),
    (lambda: shannon_radius(9, 8, 4, 0.0), ValueError, "`threshold` must lie inside (0, 1)"),
    (lambda: shannon_radius(9, 8.5, 4), ValueError, "`seq_len` must be a whole number"),
    (lambda: minimum_distance(np.inf, 8, 4), ValueError, "got inf"),
    (lambda: minimum_distance(8, 8, 1), ValueError, "`vocab_size` must be a whole number"),
    (lambda: retrieval_probability_errors(9, 8, 4, 9), ValueError, "`errors` must lie in [0, 8]"),
    (lambda: retrieval_probability_errors(9, 8, 4, 0.5), ValueError, "must hold whole numbers"),
    (lambda: retrieval_probability_errors([1, 2], 8, 4, [1, 2, 3]), ValueError, "must broadcast"),
]


@pytest.mark.parametrize("call, error, fragment", BAD)
def test_bad_input(call, error, fragment):
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)

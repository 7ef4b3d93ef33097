"""The bootstrap: against plain resampling, against variance laws, and by its coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simulations.measure.bootstrap import (
    MIN_SEEDS,
    bootstrap_ratio,
    combine_seeds,
    hierarchical,
    interval,
    over_sequences,
    standard_error,
)


def coverage_bound(level, n_trials):
    """Five standard errors of a coverage observed in n_trials independent trials."""
    return 5 * np.sqrt(level * (1 - level) / n_trials)


def covered(low, high, truth):
    return np.mean((low <= truth) & (truth <= high))


@st.composite
def queries(draw):
    """Counts of a few queries with two columns: recovered, corrupted, clusters."""
    n = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corrupted = rng.integers(0, 6, size=(n, 2))
    return rng.integers(0, corrupted + 1), corrupted, rng.integers(0, 5, size=n)


# --- arithmetic


@given(queries(), st.integers(0, 99))
def test_replicates_are_those_of_copying_whole_clusters(problem, seed):
    recovered, corrupted, clusters = problem
    estimate, replicates = bootstrap_ratio(
        np.random.default_rng(seed), recovered, corrupted, clusters, 7
    )
    total = corrupted.sum(axis=0)
    expected = np.where(total == 0, np.nan, recovered.sum(axis=0) / np.maximum(total, 1))
    np.testing.assert_array_equal(estimate, expected)

    names = np.unique(clusters)
    if names.size == 1:
        assert np.isnan(replicates).all()
        return
    drawn = names[np.random.default_rng(seed).integers(names.size, size=(7, names.size))]
    for row, chosen in zip(replicates, drawn, strict=True):
        members = np.concatenate([np.flatnonzero(clusters == c) for c in chosen])
        top, bottom = recovered[members].sum(axis=0), corrupted[members].sum(axis=0)
        np.testing.assert_array_equal(
            row, np.where(bottom == 0, np.nan, top / np.maximum(bottom, 1))
        )


@given(queries(), st.randoms(use_true_random=False))
def test_the_order_of_queries_does_not_matter(problem, shuffler):
    recovered, corrupted, clusters = problem
    order = list(range(len(clusters)))
    shuffler.shuffle(order)
    first = bootstrap_ratio(np.random.default_rng(3), recovered, corrupted, clusters, 5)
    second = bootstrap_ratio(
        np.random.default_rng(3), recovered[order], corrupted[order], clusters[order], 5
    )
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_blocks_and_companion_columns_do_not_change_a_number():
    rng = np.random.default_rng(0)
    corrupted = rng.integers(1, 9, size=(50, 3, 2))
    recovered = rng.integers(0, corrupted + 1)
    clusters = rng.integers(0, 20, size=50)
    _, whole = bootstrap_ratio(np.random.default_rng(1), recovered, corrupted, clusters, 101)
    _, blocks = bootstrap_ratio(
        np.random.default_rng(1), recovered, corrupted, clusters, 101, chunk_size=7
    )
    _, alone = bootstrap_ratio(
        np.random.default_rng(1), recovered[:, 1, 0], corrupted[:, 1, 0], clusters, 101
    )
    np.testing.assert_array_equal(blocks, whole)
    np.testing.assert_array_equal(alone, whole[:, 1, 0])


def test_a_shared_denominator_broadcasts():
    rng = np.random.default_rng(0)
    recovered, total = rng.integers(0, 9, size=(30, 4)), np.full((30, 1), 8)
    clusters = np.arange(30)
    shared = bootstrap_ratio(np.random.default_rng(1), recovered, total, clusters, 20)
    repeated = bootstrap_ratio(
        np.random.default_rng(1), recovered, np.full((30, 4), 8), clusters, 20
    )
    np.testing.assert_array_equal(shared[0], repeated[0])
    np.testing.assert_array_equal(shared[1], repeated[1])


def test_one_cluster_has_an_estimate_and_no_interval():
    rng = np.random.default_rng(0)
    estimate, replicates = bootstrap_ratio(rng, [1, 2, 3], [4, 4, 4], [9, 9, 9], 50)
    assert estimate == 0.5
    assert replicates.shape == (50,)
    assert np.isnan(interval(replicates)).all()
    assert np.isnan(standard_error(replicates))


def test_nothing_corrupted_is_undefined_and_not_zero():
    rng = np.random.default_rng(0)
    recovered, corrupted = [[0, 0], [0, 1]], [[0, 0], [0, 2]]
    estimate, replicates = bootstrap_ratio(rng, recovered, corrupted, [0, 1], 200)
    assert np.isnan(estimate[0])
    assert estimate[1] == 0.5
    assert np.isnan(replicates[:, 0]).all()
    lost = np.isnan(replicates[:, 1])  # both draws are cluster 0: probability 1/4
    assert abs(lost.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 200)
    assert np.all(replicates[~lost, 1] == 0.5)


def test_a_missing_column_leaves_the_others_alone():
    rng = np.random.default_rng(0)
    entropy = np.array([[0.1, np.nan], [0.3, 0.5], [0.2, 0.5]])
    estimate, replicates = bootstrap_ratio(rng, entropy, np.ones((3, 1)), [0, 1, 2], 20)
    assert estimate[0] == pytest.approx(0.2)
    assert np.isfinite(replicates[:, 0]).all()
    assert np.isnan(estimate[1])
    assert np.isnan(replicates[:, 1]).all()


def test_standard_error_follows_the_delta_method():
    """Var(A/B) = sum_c (A_c - R B_c)^2 / B^2 for many clusters."""
    rng = np.random.default_rng(5)
    n_clusters, n_replicates = 2000, 2000
    corrupted = rng.binomial(16, 0.4, size=n_clusters)
    recovered = rng.binomial(corrupted, rng.beta(2, 1, size=n_clusters))
    estimate, replicates = bootstrap_ratio(
        rng, recovered, corrupted, np.arange(n_clusters), n_replicates
    )
    residuals = recovered - estimate * corrupted
    expected = np.sqrt((residuals**2).sum()) / corrupted.sum()
    # a standard deviation from R normal draws has relative standard error 1/sqrt(2R)
    assert standard_error(replicates) == pytest.approx(
        expected, rel=5 / np.sqrt(2 * n_replicates) + 1 / n_clusters
    )


# --- coverage


def test_interval_covers_when_retrieval_is_all_or_none():
    """The sequence as unit covers 95 %; a binomial error over tokens does not.

    Each sequence is retrievable or not, all its corruptions and all its tokens together. Trials
    are trailing columns of one call: given the weights they are independent.
    """
    rng = np.random.default_rng(11)
    n_trials, n_clusters, n_draws, seq_len = 2000, 100, 4, 16
    truth = 0.6
    retrieved = rng.random((n_clusters, 1, n_trials)) < truth
    corrupted = rng.binomial(seq_len, 0.4, size=(n_clusters, n_draws, n_trials))
    recovered = np.where(retrieved, corrupted, 0)
    flat = (n_clusters * n_draws, n_trials)
    estimate, replicates = bootstrap_ratio(
        rng,
        recovered.reshape(flat),
        corrupted.reshape(flat),
        np.repeat(np.arange(n_clusters), n_draws),
    )
    bound = coverage_bound(0.95, n_trials)
    assert abs(covered(*interval(replicates), truth) - 0.95) < bound

    n_tokens = corrupted.sum(axis=(0, 1))
    token_error = stats.norm.ppf(0.975) * np.sqrt(estimate * (1 - estimate) / n_tokens)
    by_tokens = covered(estimate - token_error, estimate + token_error, truth)
    # tokens and corruptions of a sequence agree: the error is short by about sqrt(4 * 6.4)
    assert by_tokens < 0.5


@pytest.mark.parametrize("n_seeds", [MIN_SEEDS, 10])
def test_seed_intervals_cover_as_stated(n_seeds):
    """Seed noise alone: about P(|t_{S-1}| < 1.96), and far more than with the seeds held fixed."""
    rng = np.random.default_rng(2)
    n_trials, n_replicates = 1500, 500
    seed_means = rng.normal(0.4, 0.05, size=(n_seeds, n_trials))
    noise = rng.normal(0.0, 0.005, size=(n_seeds, n_replicates, n_trials))
    estimates = seed_means + rng.normal(0.0, 0.005, size=seed_means.shape)
    replicates = estimates[:, None] + noise
    _, both, method = combine_seeds(rng, estimates, replicates)
    assert method == "seeds and sequences"

    stated = 2 * stats.t.cdf(1.96, n_seeds - 1) - 1
    found = covered(*interval(both), 0.4)
    bound = coverage_bound(stated, n_trials)
    # percentiles of so few values are not those of a normal law: 2 % on top
    assert abs(found - stated) < bound + 0.02
    assert covered(*interval(over_sequences(replicates)), 0.4) < 0.3


def test_seed_intervals_are_wide_enough_when_sequences_dominate():
    rng = np.random.default_rng(4)
    n_trials, n_seeds, n_replicates = 1500, 5, 500
    estimates = rng.normal(0.4, 0.05, size=(n_seeds, n_trials))
    replicates = estimates[:, None] + rng.normal(0.0, 0.05, (n_seeds, n_replicates, n_trials))
    _, both, _ = combine_seeds(rng, estimates, replicates)
    assert covered(*interval(both), 0.4) > 0.95 - coverage_bound(0.95, n_trials)


# --- seeds


def test_variance_over_seeds_is_the_unbiased_one():
    """With no noise within seeds, Var = s^2 / S given the seeds, s^2 with S - 1 below."""
    rng = np.random.default_rng(0)
    means = np.array([0.1, 0.2, 0.35, 0.5, 0.9, 0.95])
    n_replicates = 20_000
    replicates = hierarchical(np.repeat(means[:, None], n_replicates, axis=1), rng)
    expected = np.sqrt(means.var(ddof=1) / means.size)
    assert standard_error(replicates) == pytest.approx(expected, rel=5 / np.sqrt(2 * n_replicates))
    assert replicates.mean() == pytest.approx(means.mean(), abs=5 * expected / np.sqrt(20_000))


def test_variance_of_seeds_and_sequences_adds_up():
    """Var = s^2 / S + sigma_within^2 / (S - 1): sequences are resampled in every drawn seed."""
    rng = np.random.default_rng(1)
    n_seeds, n_replicates = 5, 20_000
    means = rng.normal(size=n_seeds)
    table = means[:, None] + rng.normal(0.0, 2.0, size=(n_seeds, n_replicates))
    replicates = hierarchical(table, rng)
    expected = np.sqrt(means.var(ddof=1) / n_seeds + 4.0 / (n_seeds - 1))
    # 5 standard errors of a standard deviation, once for the table and once for the draws
    assert standard_error(replicates) == pytest.approx(expected, rel=10 / np.sqrt(2 * n_replicates))


def test_columns_share_the_drawn_seeds():
    rng = np.random.default_rng(0)
    train = rng.random((6, 100, 4))
    held_out = train - 0.25  # the gap is the same in every seed and replicate
    both = hierarchical(np.stack([train, held_out], axis=-1), rng)
    np.testing.assert_allclose(both[..., 0] - both[..., 1], 0.25, rtol=1e-12)


@pytest.mark.parametrize("n_seeds", [1, 2, MIN_SEEDS - 1, MIN_SEEDS, MIN_SEEDS + 3])
def test_the_number_of_seeds_decides_the_method(n_seeds):
    rng = np.random.default_rng(0)
    estimates, replicates = rng.random((n_seeds, 3)), rng.random((n_seeds, 40, 3))
    mean, combined, method = combine_seeds(np.random.default_rng(1), estimates, replicates)
    np.testing.assert_allclose(mean, estimates.mean(axis=0), rtol=1e-14)
    assert combined.shape == (40, 3)
    if n_seeds < MIN_SEEDS:
        assert method == "sequences only"
        np.testing.assert_array_equal(combined, over_sequences(replicates))
    else:
        assert method == "seeds and sequences"
        np.testing.assert_array_equal(combined, hierarchical(replicates, np.random.default_rng(1)))


# --- intervals


def test_interval_takes_the_order_statistics():
    low, high = interval(np.random.default_rng(0).permutation(1001.0 * np.arange(1, 1002)))
    assert (low, high) == (26 * 1001.0, 976 * 1001.0)  # ranks 25 and 975 of 0..1000


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=40), st.floats(0.05, 0.95))
def test_interval_of_a_monotone_function_is_its_image(values, level):
    replicates = np.array(values)
    low, high = interval(replicates, level)
    assert low <= high
    assert interval(np.exp(replicates), level) == (np.exp(low), np.exp(high))


def test_interval_keeps_infinities_and_drops_undefined():
    table = np.array([[1.0, 2.0, 3.0, np.inf], [np.nan] * 4, [-np.inf, -np.inf, 0.0, np.nan]]).T
    low, high = interval(table, 0.8)
    np.testing.assert_array_equal(low, [1.0, np.nan, -np.inf])
    np.testing.assert_array_equal(high, [np.inf, np.nan, 0.0])


def test_standard_error_of_degenerate_replicates():
    table = np.array([[1.0, 3.0, np.nan], [2.0, np.nan, np.nan], [1.0, 2.0, np.inf]]).T
    np.testing.assert_array_equal(standard_error(table), [np.sqrt(2.0), np.nan, np.inf])


# --- bad input

RNG = np.random.default_rng(0)
BAD_CALLS = [
    (bootstrap_ratio, (0, [1], [1], [0]), TypeError, "default_rng"),
    (bootstrap_ratio, (RNG, 1.0, 2.0, [0]), ValueError, "one row a query"),
    (bootstrap_ratio, (RNG, [], [], np.zeros(0, int)), ValueError, "at least 1"),
    (bootstrap_ratio, (RNG, [1, 2], [1, 2], [0]), ValueError, "same number of queries; got 2 and"),
    (bootstrap_ratio, (RNG, [1, 2], [1, 2, 3], [0, 1]), ValueError, "`denominator` and `clus"),
    (bootstrap_ratio, (RNG, [[1, 2]], [1], [0]), ValueError, "broadcast"),
    (bootstrap_ratio, (RNG, [[1, 2]], [[1, 2, 3]], [0]), ValueError, "got shapes (1, 2) and"),
    (bootstrap_ratio, (RNG, [np.inf], [1], [0]), ValueError, "Cap such values"),
    (bootstrap_ratio, (RNG, [1], [1], [0.5]), TypeError, "got dtype float64"),
    (bootstrap_ratio, (RNG, [1], [1], [[0]]), ValueError, "shape (n,); got (1, 1)"),
    (bootstrap_ratio, (RNG, [1], [1], [0], 1), ValueError, "`n_replicates` must be at least 2"),
    (bootstrap_ratio, (RNG, [1], [1], [0], 10.5), TypeError, "integer; got 10.5"),
    (bootstrap_ratio, (RNG, [1, 2, 3], [1], [0, 1]), ValueError, "queries on the first axis"),
    (over_sequences, ([1.0, 2.0],), ValueError, "(seeds, replicates, ...)"),
    (hierarchical, (np.ones((1, 3)), RNG), ValueError, "use over_sequences"),
    (hierarchical, (np.ones((3, 3)), 7), TypeError, "got int"),
    (combine_seeds, (RNG, [1.0, 2.0], np.ones((3, 4))), ValueError, "(3,); got (2,)"),
    (interval, (5.0,), ValueError, "got shape ()"),
    (interval, ([1.0, 2.0], 95), ValueError, "For 95 % pass 0.95"),
    (interval, ([1.0, 2.0], 0.0), ValueError, "strictly between 0 and 1"),
    (standard_error, ([],), ValueError, "not empty"),
]


@pytest.mark.parametrize(("function", "arguments", "error", "fragment"), BAD_CALLS)
def test_bad_input_is_told_in_words(function, arguments, error, fragment):
    with pytest.raises(error) as caught:
        function(*arguments)
    assert fragment in str(caught.value)


def test_a_chunk_of_nothing_is_refused():
    with pytest.raises(ValueError, match="`chunk_size` must be at least 1"):
        bootstrap_ratio(np.random.default_rng(0), [1, 2], [1, 2], [0, 1], chunk_size=0)

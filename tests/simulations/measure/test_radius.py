"""Basin radii: the fit against SciPy, the radius against exact retrieval curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import isotonic_regression

from simulations.measure.bootstrap import bootstrap_ratio
from simulations.measure.radius import (
    Radius,
    basin_radius,
    describe,
    isotonic_decreasing,
    radius_estimate,
)

INF, NAN = np.inf, np.nan
LEVELS = [0.05, 0.1, 0.2, 0.25, 0.35, 0.5, 0.75]

rates = st.lists(st.floats(0.0, 1.0, width=32), min_size=2, max_size=9).map(np.array)
thresholds = st.floats(0.01, 0.99)


def levels_of(rate):
    return np.linspace(0.05, 0.95, rate.size)


# --- the monotone fit


@given(rates, st.integers(0, 2**32 - 1))
def test_fit_is_that_of_scipy(rate, seed):
    weights = np.random.default_rng(seed).uniform(0.1, 10.0, size=rate.size)
    for chosen in (None, weights):
        expected = isotonic_regression(rate, weights=chosen, increasing=False).x
        np.testing.assert_allclose(isotonic_decreasing(rate, chosen), expected, atol=1e-12)


def test_fit_treats_every_replicate_alone():
    rng = np.random.default_rng(0)
    table, weights = rng.random((200, 3, 7)), rng.uniform(0.5, 2.0, size=(3, 7))
    together = isotonic_decreasing(table, weights)
    for index in np.ndindex(200, 3):
        expected = isotonic_regression(table[index], weights=weights[index[1]], increasing=False).x
        np.testing.assert_allclose(together[index], expected, atol=1e-12)


@given(rates)
def test_fit_falls_keeps_the_mean_and_leaves_falling_curves(rate):
    fit = isotonic_decreasing(rate)
    assert np.all(np.diff(fit) <= 0.0)
    assert fit.mean() == pytest.approx(rate.mean(), abs=1e-12)
    falling = np.sort(rate)[::-1]
    np.testing.assert_allclose(isotonic_decreasing(falling), falling, atol=1e-12)


def test_fit_with_a_missing_level_is_missing():
    fit = isotonic_decreasing([[1.0, NAN, 0.2], [1.0, 0.5, 0.2]])
    assert np.isnan(fit[0]).all()
    np.testing.assert_array_equal(fit[1], [1.0, 0.5, 0.2])


# --- the radius


def map_retrieval(train_size, seq_len, vocab_size, t):
    """Exact MAP retrieval of a random stored pattern, random tie-break, t in the last axis."""
    alpha = 1.0 - (1.0 - 1e-3) * np.asarray(t)
    m = np.arange(seq_len + 1)
    noise = stats.binom(seq_len, 1 / vocab_size)
    log_cdf = np.where(noise.cdf(m) < 0.5, noise.logcdf(m), np.log1p(-np.minimum(noise.sf(m), 0.5)))
    share = np.exp(noise.logpmf(m) - log_cdf)  # of the best match, in (0, 1]
    with np.errstate(divide="ignore"):
        win = np.exp((train_size - 1) * log_cdf) * -np.expm1(train_size * np.log1p(-share))
    kept = (alpha + (1 - alpha) / vocab_size)[:, None]
    weight = np.where(
        train_size * share > 1e-8, win / (train_size * share), np.exp((train_size - 1) * log_cdf)
    )
    return (stats.binom.pmf(m, seq_len, kept) * weight).sum(axis=-1)


@pytest.mark.parametrize(
    ("train_size", "seq_len", "vocab_size", "half", "nine_tenths"),
    [
        (100, 16, 4, 0.607475, 0.384111),
        (1e3, 32, 4, 0.642914, 0.484980),
        (1e4, 32, 8, 0.690587, 0.555843),
        (1e3, 64, 2, 0.601061, 0.451539),
    ],
)
def test_radius_of_the_exact_retrieval_curve(train_size, seq_len, vocab_size, half, nine_tenths):
    """Tabulated t*_.5 and t*_.9; a step h errs by h^2/8 |f''/f'|, about 5e-6 here."""
    t = np.linspace(0.05, 0.95, 451)
    rate = map_retrieval(train_size, seq_len, vocab_size, t)
    for threshold, expected in ((0.5, half), (0.9, nine_tenths)):
        assert basin_radius(t, rate, threshold) == pytest.approx(expected, abs=2e-5)


def test_a_straight_line_is_read_exactly():
    t = np.array([0.0, 0.1, 0.35, 0.8, 1.0])
    for threshold in (0.1, 0.5, 0.77):
        assert basin_radius(t, 1.0 - t, threshold) == pytest.approx(1.0 - threshold, rel=1e-13)


def test_a_dip_is_pooled_and_not_the_end():
    assert basin_radius([0.1, 0.2, 0.3, 0.4], [1.0, 0.4, 0.8, 0.0]) == pytest.approx(
        0.3 + 0.1 * 0.1 / 0.6
    )


def test_weights_decide_the_pooled_rate():
    t, rate = [0.1, 0.2, 0.3, 0.4], [1.0, 0.4, 0.8, 0.0]
    assert basin_radius(t, rate, weights=[1, 9, 1, 1]) < 0.2  # pooled to 0.436
    assert basin_radius(t, rate, weights=[1, 1, 9, 1]) > 0.3  # pooled to 0.76


def test_a_rate_pooled_to_the_threshold_has_met_it():
    assert basin_radius([0.1, 0.2, 0.3, 0.4], [0.9, 0.5, 0.9, 0.0], 0.7) >= 0.3


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ([0.4, 0.3, 0.2], -INF),
        ([0.9, 0.8, 0.6], INF),
        ([0.9, 0.8, 0.5], INF),
        ([0.5, 0.4, 0.3], 0.1),
        ([0.9, NAN, 0.1], NAN),
        ([NAN, NAN, NAN], NAN),
    ],
)
def test_what_the_levels_do_not_hold_is_coded(rate, expected):
    np.testing.assert_array_equal(basin_radius([0.1, 0.3, 0.5], rate), expected)


@given(rates, thresholds, thresholds)
def test_radius_does_not_rise_with_the_threshold(rate, one, other):
    low, high = sorted([one, other])
    t = levels_of(rate)
    wide, narrow = basin_radius(t, rate, low), basin_radius(t, rate, high)
    assert wide >= narrow or wide == pytest.approx(narrow, abs=1e-9)


@given(rates, thresholds)
def test_radius_inverts_the_fit(rate, threshold):
    t = levels_of(rate)
    fit = isotonic_decreasing(rate)
    found = float(basin_radius(t, rate, threshold))
    if np.isfinite(found):
        assert np.interp(found, t, fit) == pytest.approx(threshold, abs=1e-9)
    else:
        assert (fit[-1] >= threshold - 1e-9) if found > 0 else (fit[0] <= threshold + 1e-9)


def test_leading_axes_are_independent():
    table = np.random.default_rng(0).random((20, 3, 7))
    together = basin_radius(LEVELS, table, 0.6)
    one_by_one = [[basin_radius(LEVELS, row, 0.6) for row in block] for block in table]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-13)


# --- records and words


def test_interval_covers_the_radius_of_the_true_curve():
    """Retrieval of whole sequences at seven levels; every trial has its own sequences."""
    rng = np.random.default_rng(3)
    n_trials, n_queries = 400, 200
    truth_rate = 1.0 / (1.0 + np.exp((np.array(LEVELS) - 0.42) / 0.08))
    truth = float(basin_radius(LEVELS, truth_rate))
    hits = rng.random((n_queries, n_trials, len(LEVELS))) < truth_rate
    clusters = np.arange(n_queries)
    rate, replicates = bootstrap_ratio(rng, hits, np.ones((n_queries, 1, 1)), clusters, 400)
    found = [
        radius_estimate(LEVELS, rate[i], replicates[:, i], criterion="exact")
        for i in range(n_trials)
    ]
    coverage = np.mean([radius.low <= truth <= radius.high for radius in found])
    assert abs(coverage - 0.95) < 5 * np.sqrt(0.95 * 0.05 / n_trials)
    assert {radius.status for radius in found} == {"ok"}


@pytest.mark.parametrize(
    ("rate", "status"),
    [
        ([0.9, 0.6, 0.1], "ok"),
        ([0.4, 0.3, 0.2], "censored below"),
        ([0.9, 0.8, 0.6], "censored above"),
        ([0.9, NAN, 0.6], "undefined"),
    ],
)
def test_status_and_provenance_are_recorded(rate, status):
    copies = np.tile(rate, (10, 1))
    found = radius_estimate([0.1, 0.3, 0.5], rate, copies, criterion="exact", threshold=0.5)
    assert (found.status, found.criterion, found.threshold) == (status, "exact", 0.5)
    np.testing.assert_array_equal([found.low, found.high], [found.value] * 2)


def test_a_radius_without_replicates_has_no_interval():
    found = radius_estimate(
        [0.1, 0.3], [0.9, 0.1], np.full((10, 2), NAN), criterion="token_recovery"
    )
    assert found.status == "ok"
    assert np.isnan([found.low, found.high]).all()
    assert describe(found, [0.1, 0.3]) == "0.20"


@pytest.mark.parametrize(
    ("value", "low", "high", "status", "expected"),
    [
        (0.43, 0.41, 0.46, "ok", "0.43 [0.41, 0.46]"),
        (0.71, 0.66, INF, "ok", "0.71 [0.66, > 0.75]"),
        (0.07, -INF, 0.1, "ok", "0.07 [< 0.05, 0.10]"),
        (0.4, -INF, INF, "ok", "0.40 [< 0.05, > 0.75]"),
        (INF, INF, INF, "censored above", "> 0.75"),
        (INF, 0.7, INF, "censored above", "> 0.75 [0.70, > 0.75]"),
        (-INF, -INF, -INF, "censored below", "< 0.05"),
        (-INF, NAN, NAN, "censored below", "< 0.05"),
        (0.43, NAN, NAN, "ok", "0.43"),
        (NAN, NAN, NAN, "undefined", "undefined"),
    ],
)
def test_radii_in_words(value, low, high, status, expected):
    assert describe(Radius(value, low, high, status, "exact", 0.5), LEVELS) == expected


def test_decimals_can_be_chosen():
    radius = Radius(0.43, 0.41, INF, "ok", "exact", 0.5)
    assert describe(radius, LEVELS, digits=3) == "0.430 [0.410, > 0.75]"


# --- bad input

PAIR, T = [0.9, 0.1], [0.1, 0.5]
BAD_CALLS = [
    (basin_radius, ([0.1], [0.9]), {}, "at least 2 noise levels on one axis; got shape (1,)"),
    (basin_radius, ([0.5, 0.1], PAIR), {}, "strictly increasing and lie in [0, 1]; got [0.5, 0.1]"),
    (basin_radius, ([0.1, 0.1], PAIR), {}, "strictly increasing"),
    (basin_radius, ([5, 50], PAIR), {}, "divided by the number of steps"),
    (basin_radius, ([0.1, NAN], PAIR), {}, "lie in [0, 1]"),
    (basin_radius, (T, [0.9, 0.5, 0.1]), {}, "length 2; got shape (3,)"),
    (basin_radius, (T, 0.9), {}, "Move that axis to the end"),
    (basin_radius, (T, [90.0, 10.0]), {}, "got 90.0. Divide percentages by 100"),
    (basin_radius, (T, [0.9, -0.1]), {}, "got -0.1"),
    (basin_radius, (T, PAIR, 0.0), {}, "`threshold` must lie strictly between 0 and 1; got 0.0"),
    (basin_radius, (T, PAIR, 50), {}, "for one half pass 0.5"),
    (basin_radius, (T, PAIR, NAN), {}, "got nan"),
    (basin_radius, (T, PAIR), {"weights": [1, 2, 3]}, "`weights` must broadcast"),
    (basin_radius, (T, PAIR), {"weights": [1, 0]}, "positive and finite; got 0.0"),
    (isotonic_decreasing, (0.5,), {}, "noise levels on its last axis"),
    (radius_estimate, (T, PAIR, PAIR), {"criterion": "exact"}, "`replicates` (R, n)"),
    (describe, (Radius(0.4, 0.3, 0.5, "ok", "exact", 0.5), []), {}, "got none. Pass t."),
]


@pytest.mark.parametrize(("function", "arguments", "options", "fragment"), BAD_CALLS)
def test_bad_input_is_told_in_words(function, arguments, options, fragment):
    with pytest.raises(ValueError) as caught:
        function(*arguments, **options)
    assert fragment in str(caught.value)

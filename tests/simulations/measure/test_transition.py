"""Transition sizes: against closed forms, exact theory, a plain scan, and by their coverage."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from simulations.measure.bootstrap import bootstrap_ratio, combine_seeds
from simulations.measure.passage import (
    convergence_size,
    crossing_size,
    entropy_level,
    half_gap_size,
    vanishing_level,
)
from simulations.measure.transition import (
    Curve,
    as_estimate,
    entropy_transition,
    recovery_transition,
)

INF, NAN = np.inf, np.nan


def exact_curve(train_sizes, values, *, spread=0.0, n_replicates=200, method="sequences only"):
    """Curve with normal replicates of a known standard error."""
    values = np.asarray(values, dtype=float)
    noise = np.random.default_rng(0).normal(0.0, spread, size=(n_replicates, values.size))
    return Curve(np.asarray(train_sizes), values, values + noise, values[None], method)


def last_passage_by_scan(sizes, curve, level):
    """Walk from the largest size down to the first point at or above the level."""
    for i in reversed(range(len(sizes))):
        if curve[i] >= level:
            if i == len(sizes) - 1:
                return INF
            share = (curve[i] - level) / (curve[i] - curve[i + 1])
            return np.exp(np.log(sizes[i]) + share * np.log(sizes[i + 1] / sizes[i]))
    return -INF


@st.composite
def curves(draw, low=-1.0):
    """(sizes, curve): a grid of 2 to 7 sizes and any curve on it."""
    n = draw(st.integers(2, 7))
    steps = draw(st.lists(st.floats(0.1, 3.0), min_size=n, max_size=n))
    values = draw(st.lists(st.floats(low, 1.0, width=32), min_size=n, max_size=n))
    return np.exp(np.cumsum(steps)), np.array(values)


# --- known curves


def logistic(log_sizes, centre=6.0, width=0.7, height=0.8):
    return height / (1.0 + np.exp((log_sizes - centre) / width))


def log_size_of_logistic(value, centre=6.0, width=0.7, height=0.8):
    return centre + width * np.log(height / value - 1.0)


LOG_SIZES = np.linspace(2.0, 12.0, 81)


def interpolation_bound(value, step, width=0.7, height=0.8):
    """Error in log K of a linear interpolation: step^2/8 max|f''| / |f'| for a logistic."""
    share = value / height
    return step**2 / (8 * width) / min(share, 1 - share)


def test_half_gap_of_a_logistic():
    gap = logistic(LOG_SIZES)
    expected = log_size_of_logistic(gap[0] / 2)
    found = np.log(half_gap_size(np.exp(LOG_SIZES), gap))
    assert found == pytest.approx(expected, abs=interpolation_bound(gap[0] / 2, 0.125))


@pytest.mark.parametrize("tolerance", [0.3, 0.1, 0.05, 0.02])
def test_convergence_of_a_logistic(tolerance):
    found = np.log(convergence_size(np.exp(LOG_SIZES), logistic(LOG_SIZES), tolerance))
    expected = log_size_of_logistic(tolerance)
    assert found == pytest.approx(expected, abs=interpolation_bound(tolerance, 0.125))


def test_a_curve_linear_in_log_size_is_exact_on_any_grid():
    sizes = np.array([16, 40, 100, 1000, 16384])
    line = 1.0 - (np.log(sizes) - np.log(16)) / np.log(1024)  # 1 at 16, 0 at 16384
    assert half_gap_size(sizes, line) == pytest.approx(512.0, rel=1e-13)
    assert convergence_size(sizes, line, 0.1) == pytest.approx(16 * 1024**0.9, rel=1e-13)
    assert crossing_size(sizes, 1 - line, 0.25, "rising") == pytest.approx(16 * 1024**0.25)


def test_a_late_return_of_the_gap_counts():
    sizes = [1, 10, 100, 1000, 10_000]
    gap = [0.8, 0.1, 0.5, 0.1, 0.0]
    assert half_gap_size(sizes, gap) == pytest.approx(100 * 10**0.25)
    assert convergence_size(sizes, gap, 0.3) == pytest.approx(100 * 10**0.5)


def posterior_draw_gap(log_sizes, seq_len, vocab_size, t):
    """Train minus test recovery of a posterior draw, exact for random patterns."""
    alpha = 1.0 - (1.0 - 1e-3) * t
    kept = alpha + (1.0 - alpha) / vocab_size
    beta = np.log1p(alpha * vocab_size / (1.0 - alpha))
    m = np.arange(seq_len + 1)
    signal, noise = stats.binom.pmf(m, seq_len, kept), stats.binom.pmf(m, seq_len, 1 / vocab_size)
    log_s = np.linspace(-beta * seq_len - 45.0 - max(log_sizes), 15.0, 6000)
    step = log_s[1] - log_s[0]
    decay = np.exp(-np.exp(log_s[:, None] + beta * m))  # exp(-s e^{beta m})
    fall = noise @ np.expm1(-np.exp(log_s[:, None] + beta * m)).T
    log_moment = np.log1p(np.maximum(fall, -1 + 1e-15))  # a power of at least 100 is taken of it
    grow = np.exp(log_s[:, None] + beta * m) * decay  # s e^{beta m} exp(-s e^{beta m})
    matched, rest = m / seq_len, (seq_len - m) / seq_len

    def factor(law, share, table):
        return table @ (law * share)

    gaps = []
    for log_size in log_sizes:
        size = np.exp(log_size)
        right = np.sum(factor(signal, 1.0, grow) * np.exp((size - 1) * log_moment)) * step
        cross = factor(signal, matched, decay) * factor(noise, matched, grow)
        cross += factor(signal, rest, decay) * factor(noise, rest, grow) / (vocab_size - 1)
        wrong = (size - 1) * np.sum(cross * np.exp((size - 2) * log_moment)) * step
        drawn = size * np.sum(factor(noise, matched, grow) * np.exp((size - 1) * log_moment)) * step
        test = drawn * kept + (1 - drawn) * (1 - kept) / (vocab_size - 1)
        gaps.append(right + wrong - test)
    return np.array(gaps)


@pytest.mark.parametrize(
    ("seq_len", "vocab_size", "expected"),
    [
        (12, 4, (4.7905, 6.7586, 10.1637)),
        (16, 4, (6.0830, 8.3331, 12.1360)),
        (16, 8, (10.5256, 13.4408, 18.3554)),
    ],
)
def test_optimal_memorizer_converges_where_theory_says(seq_len, vocab_size, expected):
    """Tabulated log K at which train minus test is .25, .1, .01."""
    log_sizes = np.concatenate([x + np.array([-0.1, 0.0, 0.1]) for x in expected])
    gap = posterior_draw_gap(log_sizes, seq_len, vocab_size, 0.5)
    for tolerance, log_size in zip((0.25, 0.1, 0.01), expected, strict=True):
        found = np.log(convergence_size(np.exp(log_sizes), gap, tolerance))
        assert found == pytest.approx(log_size, abs=1e-4)


# --- properties


@given(curves(), st.floats(-1.0, 1.0, width=32))
def test_crossing_is_the_one_a_scan_finds(problem, level):
    sizes, curve = problem
    expected = last_passage_by_scan(sizes, curve, level)
    assert crossing_size(sizes, curve, level) == pytest.approx(expected, rel=1e-12)
    assert crossing_size(sizes, -curve, -level, "rising") == crossing_size(sizes, curve, level)


@given(curves(), st.floats(0.01, 100.0))
def test_sizes_scale_with_the_grid(problem, factor):
    sizes, gap = problem
    assume(gap[0] > 1e-6)
    scaled = half_gap_size(factor * sizes, gap)
    assert scaled == pytest.approx(factor * half_gap_size(sizes, gap), rel=1e-9)


@given(curves(low=0.0), st.floats(0.25, 64.0))
def test_half_gap_does_not_depend_on_the_height(problem, factor):
    sizes, gap = problem
    assume(gap[0] > 1e-6)
    assert half_gap_size(sizes, factor * gap) == pytest.approx(half_gap_size(sizes, gap))


@given(curves(), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_convergence_comes_no_later_at_a_larger_tolerance(problem, one, other):
    sizes, gap = problem
    strict, loose = sorted([one, other])
    later, earlier = (convergence_size(sizes, gap, x) for x in (strict, loose))
    assert later >= earlier or later == pytest.approx(earlier, rel=1e-12)


@given(curves())
def test_found_sizes_lie_on_the_grid_or_are_censored(problem):
    sizes, gap = problem
    found = float(half_gap_size(sizes, gap))
    if gap[0] <= 0:
        assert np.isnan(found)
    else:
        assert sizes[0] <= found <= sizes[-1] * (1 + 1e-12) or found == INF


def test_leading_axes_are_independent():
    rng = np.random.default_rng(0)
    sizes, gap = np.array([4.0, 9.0, 30.0, 31.0]), rng.normal(0.2, 0.4, size=(30, 5, 4))
    gap[0, 0, 2] = NAN
    for function in (half_gap_size, lambda s, g: convergence_size(s, g, 0.2)):
        together = function(sizes, gap)
        assert together.shape == (30, 5)
        one_by_one = [[function(sizes, row) for row in block] for block in gap]
        np.testing.assert_allclose(together, one_by_one, rtol=1e-14)


# --- censoring and codes

SIZES = [10.0, 100.0, 1000.0]


@pytest.mark.parametrize(
    ("gap", "half", "convergence"),
    [
        ([0.5, 0.4, 0.3], INF, INF),  # has not fallen yet
        ([0.5, 0.25, 0.25], INF, INF),  # at half is not below it
        ([0.01, 0.0, 0.0], 10 * 10**0.5, -INF),  # below the tolerance everywhere
        ([0.0, 0.3, 0.0], NAN, 100 * 10 ** (1 / 3)),  # no gap to halve
        ([-0.1, -0.2, -0.1], NAN, -INF),
        ([0.5, NAN, 0.0], NAN, NAN),
        ([NAN, 0.3, 0.0], NAN, NAN),
        ([NAN, NAN, NAN], NAN, NAN),
    ],
)
def test_what_the_grid_does_not_hold_is_coded(gap, half, convergence):
    np.testing.assert_allclose(half_gap_size(SIZES, gap), half, rtol=1e-12)
    np.testing.assert_allclose(convergence_size(SIZES, gap, 0.2), convergence, rtol=1e-12)


@pytest.mark.parametrize(
    ("value", "status"),
    [(30.0, "ok"), (-INF, "below grid"), (INF, "above grid"), (NAN, "undefined")],
)
def test_status_follows_the_value(value, status):
    assert as_estimate("K", value, [1.0, 2.0], [3.0], "sequences only").status == status


def test_an_interval_may_reach_past_the_grid():
    replicates = np.r_[np.full(50, -INF), np.linspace(10, 99, 900), np.full(50, INF)]
    found = as_estimate("K", 50.0, replicates, [40.0, INF], "sequences only")
    assert (found.low, found.high, found.status) == (-INF, INF, "ok")
    assert found.per_seed == (40.0, INF)
    narrow = as_estimate("K", 50.0, replicates, [40.0], "sequences only", level=0.8)
    assert 10 < narrow.low < narrow.high < 99


@pytest.mark.parametrize(
    ("n_undefined", "stated"), [(0, True), (5, True), (6, False), (100, False)]
)
def test_an_interval_needs_replicates_that_are_defined(n_undefined, stated):
    replicates = np.r_[np.full(n_undefined, NAN), np.arange(1.0, 101.0 - n_undefined)]
    found = as_estimate("K", 50.0, replicates, [50.0], "sequences only", level=0.95)
    assert np.isfinite(found.low) == np.isfinite(found.high) == stated
    assert (found.n_undefined, found.n_replicates) == (n_undefined, 100 - n_undefined)


def test_one_stored_sequence_gives_a_size_without_interval():
    rng = np.random.default_rng(0)
    train_sizes, levels = [1, 8, 64], [0.9, 0.7, 0.2]
    estimates, replicates = [], []
    for size, level in zip(train_sizes, levels, strict=True):
        recovered = rng.binomial(10, level, size=64)
        found = bootstrap_ratio(rng, recovered, np.full(64, 10), np.arange(64) % size, 100)
        estimates.append(found[0])
        replicates.append(found[1])
    table, copies = np.array([estimates]), np.stack(replicates, axis=-1)[None]
    mean, combined, method = combine_seeds(rng, table, copies)
    gap = Curve(train_sizes, mean, combined, table, method)
    half, convergence = recovery_transition(gap)
    assert 8 < half.value < 64
    assert half.status == "ok"
    assert np.isnan([half.low, half.high]).all()
    assert half.n_replicates == 0
    assert convergence.status == "above grid"  # seen at K = 64, where there are 64 sequences
    assert recovery_transition(gap, 0.8)[1].status == "upper limit"  # decided at K = 1 and 8


# --- upper limits


@pytest.mark.parametrize(
    ("gap", "spread", "status"),
    [
        ([0.8, 0.3, 0.0], 0.01, "ok"),
        ([0.8, 0.3, 0.0], 0.06, "upper limit"),
        ([0.8, 0.7, 0.6], 0.01, "above grid"),
        ([0.8, 0.7, 0.6], 0.06, "above grid"),  # beyond doubt, whatever the tolerance
        ([0.8, 0.3, 0.15], 0.06, "upper limit"),
        ([0.02, 0.0, 0.0], 0.01, "below grid"),
        ([0.02, 0.0, 0.0], 0.06, "upper limit"),
        ([NAN, 0.3, 0.0], 0.06, "undefined"),
    ],
)
def test_a_tolerance_within_two_standard_errors_gives_an_upper_limit(gap, spread, status):
    half, found = recovery_transition(exact_curve(SIZES, gap, spread=spread), 0.1)
    assert found.status == status
    assert half.status != "upper limit"
    if status == "upper limit":
        assert found.low == -INF
        assert found.value == convergence_size(SIZES, gap, 0.1)


def test_only_the_deciding_points_need_resolve_the_tolerance():
    values = np.array([0.8, 0.3, 0.0, 0.0])
    noise = np.random.default_rng(0).normal(size=(200, 4)) * [0.2, 0.01, 0.01, 0.01]
    gap = Curve([1, 10, 100, 1000], values, values + noise, values[None], "sequences only")
    assert recovery_transition(gap, 0.1)[1].status == "ok"


# --- entropy


def test_entropy_sizes_with_the_source_known():
    vanishing = exact_curve(SIZES, [1.0, 0.8, 0.2])
    entropy = exact_curve(SIZES, [0.0, 0.3, 0.9])
    found = entropy_transition(
        vanishing=vanishing, entropy=entropy, source_vanishing=0.2, source_entropy=1.2
    )
    assert [size.name for size in found] == ["K_H vanishing", "K_H entropy"]
    assert found[0].value == pytest.approx(100 * 10 ** (1 / 3))  # level 0.6
    assert found[1].value == pytest.approx(100 * 10**0.5)  # level 0.6
    assert not any(size.relative for size in found)


def test_entropy_sizes_relative_to_the_largest_training_set():
    found = entropy_transition(
        vanishing=exact_curve(SIZES, [1.0, 0.9, 0.4]), entropy=exact_curve(SIZES, [0.0, 0.2, 0.8])
    )
    assert found[0].value == pytest.approx(100 * 10**0.4)  # level 0.7
    assert found[1].value == pytest.approx(100 * 10 ** (1 / 3))  # level 0.4
    assert all(size.relative for size in found)


@pytest.mark.parametrize(
    ("vanishing", "entropy", "statuses"),
    [
        ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], ["above grid", "undefined"]),  # memory throughout
        ([0.1, 0.1, 0.1], [0.9, 0.9, 0.9], ["below grid", "below grid"]),  # none at all
    ],
)
def test_entropy_curves_that_do_not_move(vanishing, entropy, statuses):
    found = entropy_transition(
        vanishing=exact_curve(SIZES, vanishing), entropy=exact_curve(SIZES, entropy)
    )
    assert [size.status for size in found] == statuses


def test_one_criterion_may_stand_alone():
    (only,) = entropy_transition(entropy=exact_curve(SIZES, [0.0, 0.3, 0.9]), source_entropy=0.9)
    assert only.name == "K_H entropy"


def test_levels_lie_half_way():
    np.testing.assert_array_equal(vanishing_level([0.0, 0.5, 1.0]), [0.5, 0.75, 1.0])
    np.testing.assert_array_equal(entropy_level([1.0, 0.0, -0.1, NAN]), [0.5, NAN, NAN, NAN])


# --- coverage


def test_interval_of_the_half_gap_size_covers():
    """All-or-none retrieval at 8 sizes, trials as columns, the truth read off the exact curve."""
    rng = np.random.default_rng(8)
    n_trials, n_queries, seq_len = 400, 150, 12
    train_sizes = 2.0 ** np.arange(4, 12)
    rates = {"train": 0.3 + logistic(np.log(train_sizes), 5.0, 0.8, 0.6), "held-out": 0.3}
    shape = (n_queries, n_trials)
    curves_by_split = []
    for split in ("train", "held-out"):
        parts = []
        for rate in np.broadcast_to(rates[split], train_sizes.shape):
            corrupted = rng.binomial(seq_len, 0.5, size=shape)
            recovered = np.where(rng.random(shape) < rate, corrupted, 0)
            parts.append(bootstrap_ratio(rng, recovered, corrupted, np.arange(n_queries), 400)[1])
        curves_by_split.append(np.stack(parts, axis=-1))
    sizes = half_gap_size(train_sizes, curves_by_split[0] - curves_by_split[1])
    truth = half_gap_size(train_sizes, rates["train"] - rates["held-out"])
    intervals = [as_estimate("K_half", truth, row, [truth], "sequences only") for row in sizes.T]
    coverage = np.mean([found.low <= truth <= found.high for found in intervals])
    assert abs(coverage - 0.95) < 5 * np.sqrt(0.95 * 0.05 / n_trials)


# --- bad input

BAD_CALLS = [
    (half_gap_size, ([16], [0.5]), "at least 2 sizes on one axis; got shape (1,)"),
    (half_gap_size, ([[1, 2]], [0.5, 0.1]), "got shape (1, 2)"),
    (half_gap_size, ([16, 4], [0.5, 0.1]), "strictly increasing; got [16.0, 4.0]"),
    (half_gap_size, ([4, 4], [0.5, 0.1]), "merge repeated ones"),
    (half_gap_size, ([0, 4], [0.5, 0.1]), "must be positive"),
    (half_gap_size, ([4, NAN], [0.5, 0.1]), "must be positive"),
    (half_gap_size, ([4, 16], [0.5, 0.1, 0.0]), "length 2; got shape (3,)"),
    (half_gap_size, ([4, 16], 0.5), "Move that axis to the end"),
    (half_gap_size, ([4, 16], [0.5, INF]), "`gap` must be finite or NaN"),
    (convergence_size, ([4, 16], [0.5, 0.1], 0.0), "`tolerance` must lie strictly between"),
    (convergence_size, ([4, 16], [0.5, 0.1], 2), "for 2 % pass 0.02"),
    (convergence_size, ([4, 16], [0.5, 0.1], NAN), "got nan"),
    (crossing_size, ([4, 16], [0.5, 0.1], 0.3, "down"), "`direction` must be"),
    (crossing_size, ([4, 16], [0.5, 0.1], [0.3, 0.2]), "one level a replicate"),
    (as_estimate, ("K", 1.0, [[1.0]], [1.0], "m"), "one-dimensional"),
    (Curve, ([4, 16], [0.5], [[0.5, 0.1]], [[0.5, 0.1]], "m"), "`estimate` must have its last"),
    (Curve, ([4, 16], [0.5, 0.1], [0.5, 0.1], [[0.5, 0.1]], "m"), "`replicates` must have 2 axes"),
    (Curve, ([16, 4], [0.5, 0.1], [[0.5, 0.1]], [[0.5, 0.1]], "m"), "Sort the sizes"),
]


@pytest.mark.parametrize(("function", "arguments", "fragment"), BAD_CALLS)
def test_bad_input_is_told_in_words(function, arguments, fragment):
    with pytest.raises(ValueError) as caught:
        function(*arguments)
    assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({}, "got neither"),
        ({"source_vanishing": 1.0}, "must lie in [0, 1); got 1.0"),
        ({"source_entropy": 0.0}, "must be positive and finite; got 0.0"),
    ],
)
def test_bad_plateaus_are_told_in_words(options, fragment):
    curve = exact_curve(SIZES, [1.0, 0.8, 0.2])
    with pytest.raises(ValueError) as caught:
        entropy_transition(**({"vanishing": curve} | options if options else {}))
    assert fragment in str(caught.value)

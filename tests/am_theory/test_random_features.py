"""Random-features memory against its table, the formulas as stated, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

from am_theory.random_features import (
    feature_overlap,
    learning_load,
    limit_overlap,
    unseen_overlap,
)
from tests.helpers import assert_close, assert_digits

# feature load, load; theory and simulation (N = 3000) of feature, unseen; simulation of stored.
# In the first row unseen theory is .7345195 (where .734 is printed, it was cut off), and unseen
# simulation is .740(1) over 900 examples (where .756 is printed, few examples were drawn: one
# scatters by .019).
TABLE = [
    (0.02, 0.2, ".9809", 0.9833, ".735", 0.740, 0.853),
    (0.02, 1.0, "1.0000", 1.0000, ".842", 0.849, 0.876),
    (0.05, 1.0, ".9936", 0.9941, ".753", 0.757, 0.826),
    (0.10, 0.5, ".8581", 0.8539, ".594", 0.592, 0.802),
]


@pytest.mark.parametrize("features, load, feature, _, unseen, __, ___", TABLE)
def test_table(features, load, feature, _, unseen, __, ___):
    assert_digits(feature_overlap(load, features), feature)
    assert_digits(unseen_overlap(load, features), unseen)


def test_first_unseen_value_to_more_digits():
    """s = 20 / pi, so the square of the ratio is (800 / pi^3) / (8 / pi^2 + 0.2 + 40 / pi^2)."""
    ratio = np.sqrt(800 / np.pi**3 / (48 / np.pi**2 + 0.2))
    assert_close(unseen_overlap(0.2, 0.02), 2 / np.pi * np.arctan(ratio))
    assert_digits(unseen_overlap(0.2, 0.02), ".7345195")


loads, feature_loads = st.floats(1e-6, 1e6), st.floats(1e-6, 1e3)


@given(loads, feature_loads)
def test_formulas_as_stated(load, d):
    noise = d + np.pi**2 / 4 * d**2 / load + np.pi / 2 * d / load
    assert_close(feature_overlap(load, d), erf(1 / np.sqrt(2 * noise)))
    s = 2 / np.pi * load / d
    ratio = np.sqrt(2 / np.pi) * s / np.sqrt(s**2 * d + load + 2 / np.pi * s)
    assert_close(unseen_overlap(load, d), 2 / np.pi * np.arctan(ratio))


@given(loads, feature_loads)
def test_monotone_and_bounded_by_the_limits(load, d):
    for overlap in (feature_overlap, unseen_overlap):
        less, more = overlap(np.array([load, 2 * load]), d)
        assert 0 < less <= more <= 1
        assert overlap(load, 2 * d) <= less
    assert unseen_overlap(load, d) <= limit_overlap(d)
    assert feature_overlap(load, d) <= erf(1 / np.sqrt(2 * d))


@given(feature_loads)
def test_limits_and_the_learning_load(d):
    assert_close(unseen_overlap(1e14 * (1 + d), d), limit_overlap(d), rtol=1e-10)
    assert_close(feature_overlap(1e14 * (1 + d), d), erf(1 / np.sqrt(2 * d)), rtol=1e-10)
    assert_close(feature_overlap(learning_load(d), d), erf(1 / np.sqrt(4 * d)), rtol=1e-12)


def test_limit_overlap():
    assert_digits(limit_overlap(0.05), ".826")
    assert_close(limit_overlap(2 / np.pi), 0.5)


def one_step_overlaps(rng, N, features, load, count):
    """Mean overlap after one update from features, unseen and stored examples."""
    D, P = round(features * N), round(load * N)
    f = rng.choice([-1.0, 1.0], (D, N)).astype(np.float32)

    def examples(n):
        return np.where(rng.normal(size=(n, D)).astype(np.float32) @ f > 0, 1.0, -1.0)

    stored = examples(P).astype(np.float32)
    means = []
    for start in (f[:count], examples(count).astype(np.float32), stored[:count]):
        fields = (start @ stored.T) @ stored - P * start  # no self-coupling
        means.append(np.mean(np.sign(fields) * start))
    return means


@pytest.mark.parametrize("features, load", [(0.1, 0.5), (0.05, 1.0)])
def test_against_small_simulation(features, load):
    rng = np.random.default_rng(1)
    drawn = np.array([one_step_overlaps(rng, 600, features, load, 60) for _ in range(6)])
    feature, unseen, stored = drawn.mean(axis=0)
    # features scatter by the 1/N noise of one network; the mixtures have D = 30 to 60 parts only
    assert abs(feature - feature_overlap(load, features)) < 0.02
    assert abs(unseen - unseen_overlap(load, features)) < 0.02
    assert stored > unseen


@pytest.mark.slow
@pytest.mark.parametrize("features, load, _, feature, __, unseen, stored", TABLE)
def test_simulation_columns(features, load, _, feature, __, unseen, stored):
    """The printed networks again; one of them scatters as ours do among themselves."""
    rng = np.random.default_rng(7)
    drawn = np.array([one_step_overlaps(rng, 3000, features, load, 60) for _ in range(4)])
    spread = drawn.std(axis=0, ddof=1) * np.sqrt(1 + 1 / len(drawn))
    gap = np.abs(drawn.mean(axis=0) - np.array([feature, unseen, stored]))
    assert np.all(gap < 4 * spread + 1e-3), (drawn.mean(axis=0), spread)
    assert abs(drawn[:, 0].mean() - feature_overlap(load, features)) < 0.006
    assert abs(drawn[:, 1].mean() - unseen_overlap(load, features)) < 0.01


def test_shapes_and_types():
    assert feature_overlap([1.0, 2.0], [[0.1], [0.2], [0.3]]).shape == (3, 2)
    for value in (feature_overlap(1, 0.1), unseen_overlap(1, 0.1), learning_load(1)):
        assert type(value) is float
    assert limit_overlap([0.1, 0.2]).shape == (2,)


BAD = [
    (lambda: feature_overlap(0, 0.1), "`load` must lie in (0, inf); got 0. It is examples per"),
    (lambda: unseen_overlap(1.0, -0.1), "`feature_load` must lie in (0, inf); got -0.1"),
    (lambda: unseen_overlap([1, 2], [0.1, 0.2, 0.3]), "`load` and `feature_load` must broadcast"),
    (lambda: learning_load(np.inf), "got inf"),
    (lambda: limit_overlap(0.0), "It is features per neuron"),
]


@pytest.mark.parametrize("call, fragment", BAD)
def test_bad_input(call, fragment):
    with pytest.raises(ValueError) as caught:
        call()
    assert fragment in str(caught.value)

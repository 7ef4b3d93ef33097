"""The share of used sequences, on mixtures of which it is known."""

import numpy as np
import pytest

from simulations.probe.judge.share import LEAST, share_above

SETS, SIZE = 200, 200


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def mixtures(share, shift=3.0):
    """Estimates from sets of N(0, 1), of which a share is moved."""
    found = []
    for k in range(SETS):
        rng = np.random.default_rng([k, SIZE])
        moved = shift * (rng.random(SIZE) < share)
        scores, null = rng.normal(size=SIZE) + moved, rng.normal(size=SIZE)
        one = share_above(scores, null, rng, n_replicates=200)
        found.append((one.value, one.low, one.high))
    return np.array(found).T


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_intervals_cover_the_share_of_a_mixture(share):
    value, low, high = mixtures(share)
    error = np.sqrt(0.95 * 0.05 / SETS)
    assert np.mean((low <= share) & (share <= high)) > 0.95 - 3 * error
    # an unbiased lower bound where the value is not cut at 0: it may lack what lies below
    # thresholds of up to 2, U(s <= 2) = 0.16 of the share, never exceed it
    if share == 0.3:
        spread = 3 * value.std() / np.sqrt(SETS)
        assert 0.84 * share - spread < value.mean() < share + spread


def test_no_share_is_found_where_there_is_none():
    _, low, _ = mixtures(0.0)
    assert np.mean(low > 0) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / SETS)


def test_all_used_is_a_share_of_almost_one():
    value, low, high = mixtures(1.0)
    assert (low > 0.8).all() and (high > 0.95).all() and value.mean() > 0.98


def test_used_sequences_that_score_like_others_are_not_counted():
    """At half a standard deviation no threshold of the upper half shows more than
    1 - Phi(-.5) / .5 = .383 of the share: at the median."""
    value, low, _ = mixtures(1.0, shift=0.5)
    assert 0.15 < value.mean() < 0.4
    assert np.mean(low > 0.383) <= 0.05


def test_a_choice_on_the_same_half_would_find_too_much():
    """What the cross-fit is for: the largest of all w_c of one sample."""
    largest = []
    for k in range(SETS):
        rng = np.random.default_rng([k, SIZE])
        scores, null = rng.normal(size=(2, SIZE))
        cuts = np.quantile(null, np.linspace(0.5, 0.99, 30))
        ours, theirs = ((side[:, None] > cuts).mean(0) for side in (scores, null))
        largest.append(((ours - theirs) / (1 - theirs)).max())
    value, _, _ = mixtures(0.0)
    assert value.mean() < 0.02 < 0.05 < np.mean(largest)


def test_ties_and_scores_far_above_the_null(rng):
    far = share_above(np.r_[np.ones(60), np.zeros(140)], np.zeros(50), rng)
    assert far.value == pytest.approx(0.3) and far.low < 0.3 < far.high and far.n == 200
    none = share_above(np.zeros(50), np.zeros(50), rng)
    assert (none.value, none.low) == (0.0, 0.0) and 0.05 < none.high < 0.1
    all_ = share_above(np.ones(50), np.zeros(50), rng)
    assert (all_.value, all_.high) == (1.0, 1.0) and 0.9 < all_.low < 0.95
    lower = share_above(np.zeros(50), np.ones(50), rng)
    assert (lower.value, lower.low) == (0.0, 0.0)


def test_too_few_have_no_share(rng):
    found = share_above(np.ones(LEAST - 1), np.zeros(100), rng)
    assert not found.known and np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("bad", [np.zeros((30, 2)), np.full(30, np.nan)])
def test_scores_are_finite_and_one_a_sequence(bad, rng):
    with pytest.raises(ValueError, match="`scores` must be finite"):
        share_above(bad, np.zeros(30), rng)

"""Counts and laws per sequence, against hand counts, identities and golden metrics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory import channel
from models.noise import noise
from simulations.measure.counts import (
    corrupted_count,
    count_tokens,
    decode,
    law_statistics,
    nelbo_rates,
    stratified_levels,
)
from simulations.measure.names import EPSILONS, LOG_LOSS_CAP
from tests.helpers import shared


def test_counts_of_a_hand_example():
    x_0 = np.array([[0, 1, 2, 3]], np.uint8)
    x_t = np.array([[0, 2, 2, 0]], np.uint8)  # sites 1 and 3 changed
    out = np.array([[1, 1, 2, 2]], np.uint8)  # site 1 restored, site 0 broken
    counts = count_tokens(x_0, x_t, out)
    assert corrupted_count(x_0, x_t).tolist() == [2]
    assert counts.recovered.tolist() == [1]
    assert counts.broken.tolist() == [1]


def test_counts_agree_with_the_golden_metrics():
    golden = np.load(shared("golden/metrics.npz"))
    x_0, x_t, out = (golden[name].astype(np.uint8) for name in ("x0", "xt", "x_recon"))
    counts, changed = count_tokens(x_0, x_t, out), corrupted_count(x_0, x_t)
    with np.errstate(invalid="ignore", divide="ignore"):
        recovery = counts.recovered / changed
        unstable = counts.broken / (x_0.shape[1] - changed)
    np.testing.assert_allclose(recovery, golden["seq_recovery_rate"], atol=1e-6)
    np.testing.assert_allclose(unstable, golden["seq_unstable_rate"], atol=1e-6)
    exact = (counts.recovered == changed) & (counts.broken == 0)
    np.testing.assert_array_equal(exact, golden["seq_is_exact_match"].astype(bool))


@given(st.integers(0, 10_000))
def test_all_tokens_split_into_kept_and_restored(seed):
    rng = np.random.default_rng(seed)
    x_0, x_t, out = rng.integers(3, size=(3, 5, 7)).astype(np.uint8)
    counts, changed = count_tokens(x_0, x_t, out), corrupted_count(x_0, x_t)
    right = 7 - changed - counts.broken + counts.recovered
    np.testing.assert_array_equal(right, (out == x_0).sum(1))


def test_entropies_of_known_laws():
    x_0 = np.array([[0, 1]], np.uint8)
    with np.errstate(divide="ignore"):
        law = np.log(np.array([[[1.0, 0, 0, 0], [0.25] * 4]]))
    found = law_statistics(law, x_0)
    np.testing.assert_allclose(found.entropy, [np.log(4) / 2])
    np.testing.assert_allclose(found.log_loss, [np.log(4) / 2])
    assert found.vanishing.tolist() == [[1]] * len(EPSILONS)


def test_a_law_that_excludes_the_truth_is_capped():
    with np.errstate(divide="ignore"):
        law = np.log(np.array([[[0.0, 1.0]]]))
    assert law_statistics(law, np.array([[0]], np.uint8)).log_loss[0] == LOG_LOSS_CAP


def test_entropies_agree_with_the_golden_small_noise_entropy():
    golden = np.load(shared("golden/reverse.npz"))
    # condent_f64 is the entropy of x_theta at fixed ids; check our formula on golden log-probs.
    logp = np.load(shared("golden/metrics.npz"))["curv_logp"]
    ours = law_statistics(logp, np.zeros(logp.shape[:2], np.uint8)).entropy
    p = np.exp(logp)
    np.testing.assert_allclose(ours, -(p * logp).sum(-1).mean(1), rtol=1e-12)
    assert np.isfinite(golden["condent_f64"]).all()


def test_best_change_never_keeps_the_token():
    rng = np.random.default_rng(0)
    law = np.log(rng.dirichlet(np.ones(5), size=(40, 6)))
    x_t = rng.integers(5, size=(40, 6)).astype(np.uint8)
    out = decode(law, x_t)
    assert (out["best_change"] != x_t).all()
    np.testing.assert_array_equal(out["argmax"], law.argmax(-1))


def test_levels_have_one_in_each_stratum():
    t = stratified_levels(np.random.default_rng(1), 0.05, 100, 8)
    cell = np.floor((t - 0.05) / 0.95 * 8).astype(int)
    np.testing.assert_array_equal(cell, np.tile(np.arange(8), (100, 1)))


def test_nelbo_of_the_uniform_law_is_the_capacity_difference():
    rng, vocab_size, start = np.random.default_rng(2), 4, 0.2
    schedule = channel.LogLinear()
    x_0 = rng.integers(vocab_size, size=(20_000, 3)).astype(np.uint8)
    t = stratified_levels(rng, start, len(x_0), 1)[:, 0]
    alpha = np.asarray(schedule.alpha(t))
    keep = rng.random(x_0.shape) < alpha[:, None]
    x_t = np.where(keep, x_0, rng.integers(vocab_size, size=x_0.shape)).astype(np.uint8)
    law = np.full((*x_0.shape, vocab_size), -np.log(vocab_size))
    rates = (1 - start) * nelbo_rates(law, x_t, x_0, t, schedule)
    ends = [float(channel.capacity(schedule.alpha(s), vocab_size)) for s in (start, 1.0)]
    error = rates.std(ddof=1) / np.sqrt(len(rates))
    assert abs(rates.mean() - (ends[0] - ends[1])) < 5 * error


@pytest.mark.parametrize("t", [0.1, 0.7])
def test_realised_corruption_is_delta_and_not_one_minus_alpha(t):
    rng, vocab_size = np.random.default_rng(3), 4
    x_0 = rng.integers(vocab_size, size=(4000, 10)).astype(np.uint8)
    alpha = float(channel.LogLinear().alpha(t))
    rate = corrupted_count(x_0, noise(rng, x_0, alpha, vocab_size)) / 10
    error = rate.std(ddof=1) / np.sqrt(len(rate))
    assert abs(rate.mean() - float(channel.corruption_rate(alpha, vocab_size))) < 5 * error

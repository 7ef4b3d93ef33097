"""Information, prior term and small-noise limit of the training loss, against enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import (
    Cosine,
    Linear,
    LogLinear,
    ScheduleDomainError,
    capacity,
    inverse_temperature,
    mutual_information,
    nelbo_rate,
    nelbo_rate_small_noise,
    prior_loss,
)
from tests import oracles, strategies
from tests.helpers import assert_close, assert_digits

CHAIN_LAW = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 3)


def log(p):
    with np.errstate(divide="ignore"):
        return np.log(p)


def step_loss(law, vocab_size, seq_len, alpha, denoise):
    """Mean of the summed loss over x_0 and x_t, per unit of -alpha."""
    seqs = oracles.all_sequences(vocab_size, seq_len)
    x_0, x_t = np.broadcast_arrays(seqs[:, None], seqs[None])
    rows = np.broadcast_to(log(denoise(seqs, alpha)), (*x_t.shape, vocab_size))
    joint = law[:, None] * oracles.channel_matrix(seqs, vocab_size, alpha)
    return np.sum(joint * nelbo_rate(rows, x_t, x_0, alpha, -1.0).sum(axis=-1))


# --- mutual information


@pytest.mark.parametrize(
    "alpha, printed", [(0.2, "0.1127184307"), (0.5, "0.6638804058"), (0.8, "1.6750604633")]
)
def test_chain_information_table(alpha, printed):
    assert_digits(mutual_information(CHAIN_LAW, 3, 3, alpha), printed)


LONGER = """
.2 2.20677582
.4 1.25086072
.5 0.88144745
.6 0.57508197
.8 0.15129202
"""


def test_chain_of_four_table():
    law = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 4)
    # The sheet prints 3.8057399613; 50-digit arithmetic gives 3.80573996120527
    assert_digits(oracles.entropy(law), "3.8057399612")
    for line in LONGER.strip().split("\n"):
        t, printed = line.split()
        assert_digits(mutual_information(law, 4, 3, LogLinear().alpha(float(t))), printed)


@given(st.integers(0, 99), st.sampled_from([(2, 1), (3, 3), (2, 5), (5, 2)]), strategies.alphas)
def test_information_equals_the_joint_table(seed, size, alpha):
    vocab_size, seq_len = size
    law = oracles.random_law(np.random.default_rng(seed), vocab_size, seq_len)
    value = mutual_information(law, seq_len, vocab_size, alpha)
    expected = oracles.mutual_information(law, alpha, vocab_size, seq_len)
    assert_close(value, max(expected, 0.0), rtol=1e-12, atol=1e-13)
    bound = min(oracles.entropy(law), seq_len * capacity(alpha, vocab_size))
    assert 0 <= value <= bound + 1e-13


@given(st.floats(0, 1), st.floats(0, 1))
def test_information_rises_with_alpha(alpha, other):
    low, high = mutual_information(CHAIN_LAW, 3, 3, np.sort([alpha, other]))
    assert low <= high + 1e-14


def test_information_of_a_uniform_source_is_the_capacity():
    for vocab_size, seq_len in ((2, 5), (4, 3)):
        law = np.full(vocab_size**seq_len, vocab_size**-seq_len)
        alpha = np.array([[0.0, 0.3], [0.9, 1.0]])
        expected = seq_len * capacity(alpha, vocab_size)
        value = mutual_information(law, seq_len, vocab_size, alpha)
        assert_close(value, expected, rtol=1e-12, atol=1e-14)
    assert_close(mutual_information(CHAIN_LAW, 3, 3, 1.0), oracles.entropy(CHAIN_LAW))


# --- the whole negative ELBO: noising, prior and reconstruction


@pytest.mark.parametrize("start, end", [(0.9, 0.1), (0.7, 0.3), (0.95, 0.001)])
def test_total_loss_of_the_exact_denoiser_is_the_entropy_and_what_the_prior_costs(start, end):
    loss = oracles.nelbo(
        lambda x_t, x_0, a: nelbo_rate(
            np.broadcast_to(log(oracles.loo(CHAIN_LAW, x_t[0], a, 3)), (*x_t.shape, 3)),
            x_t,
            x_0,
            a,
            -1.0,
        ),
        CHAIN_LAW,
        3,
        3,
        start,
        end,
        80,
    )
    entropy = oracles.entropy(CHAIN_LAW)
    reconstruction = entropy - oracles.mutual_information(CHAIN_LAW, start, 3, 3)
    noisy = oracles.entropy(np.exp(oracles.log_prob_noisy(CHAIN_LAW, end, 3, 3)))
    total = loss + prior_loss(end, 3, 3) + reconstruction
    assert_close(total, entropy + 3 * np.log(3) - noisy, rtol=1e-10)


@given(strategies.vocab_sizes, strategies.inner_alphas, strategies.inner_alphas)
def test_total_loss_of_the_uniform_guess_is_that_of_the_uniform_law(vocab_size, alpha, other):
    """L log V: noising gives L [C(a0) - C(a1)], prior L C(a1), reconstruction L [log V - C(a0)]."""
    high, low = max(alpha, other), min(alpha, other)
    points, weights = np.polynomial.legendre.leggauss(60)
    # alpha = high - (high - low) (1 - u)^3, u in (0, 1): nodes gather at alpha = high.
    u = (1 + points) / 2
    nodes, jacobian = high - (high - low) * u**3, 3 * (high - low) * u**2 / 2
    flat, tokens = np.full(vocab_size, -np.log(vocab_size)), np.arange(vocab_size)
    rows = np.broadcast_to(flat, (vocab_size, vocab_size))
    mean = [
        np.sum(
            oracles.token_kernel(vocab_size, a)[0] * nelbo_rate(rows, tokens, 0 * tokens, a, -1.0)
        )
        for a in nodes
    ]
    noising = np.sum(weights * jacobian * np.array(mean))
    gap = capacity(high, vocab_size) - capacity(low, vocab_size)
    assert_close(noising, gap, rtol=1e-9, atol=1e-13)
    whole = noising + prior_loss(low, vocab_size, 1) + np.log(vocab_size)
    assert_close(whole - capacity(high, vocab_size), np.log(vocab_size), rtol=1e-9)


SCHEDULES = [Linear(), LogLinear(), LogLinear(0.05), Cosine(), Cosine(0.0)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_the_schedule_drops_out_of_the_loss(schedule):
    """Quadrature over t of the loss with the schedule's own rate, between the same two alphas."""
    law, start, end = oracles.random_law(np.random.default_rng(2), 3, 2), 0.8, 0.15
    points, weights = np.polynomial.legendre.leggauss(40)
    t_from, t_to = schedule.time_at(start), schedule.time_at(end)
    t = t_from + (t_to - t_from) * (1 + points) / 2
    exact = 0.0
    for time, weight in zip(t, weights, strict=True):
        alpha, rate = schedule.alpha(time), schedule.alpha_rate(time)
        loo = step_loss(law, 3, 2, alpha, lambda x, a: oracles.loo(law, x, a, 3))
        exact += weight * (t_to - t_from) / 2 * -rate * loo
    gained = np.diff(mutual_information(law, 2, 3, np.array([end, start])))[0]
    assert_close(exact, gained, rtol=1e-10)


def test_prior_is_the_mean_divergence_from_the_uniform_law():
    for vocab_size, seq_len, alpha in ((2, 3, 0.3), (3, 2, 1e-3), (4, 2, 1.0)):
        seqs = oracles.all_sequences(vocab_size, seq_len)
        kernel = oracles.channel_matrix(seqs, vocab_size, alpha)
        divergence = seq_len * np.log(vocab_size) - oracles.entropy(kernel, 1)
        assert np.ptp(divergence) < 1e-12  # the same for every clean sequence
        assert_close(prior_loss(alpha, vocab_size, seq_len), divergence[0], rtol=1e-9)
    assert_close(prior_loss(1e-8, 5, 7) / (7 * 2 * 1e-16), 1.0, rtol=1e-7)
    assert prior_loss(np.array([0.0, 1.0]), 4, 3).tolist() == [0.0, 3 * np.log(4)]


# --- small noise


@given(strategies.channels(alpha=st.just(0.0), positive=True))
def test_small_noise_is_the_limit_of_the_mean_loss(problem):
    size, rows, x_0 = problem["vocab_size"], problem["probs"], problem["x_0"]
    tokens = np.arange(size)
    for noise in (1e-5, 1e-8):
        mean = [
            np.sum(
                oracles.token_kernel(size, 1 - noise)[v]
                * nelbo_rate(
                    np.broadcast_to(np.log(p), (size, size)),
                    tokens,
                    np.full(size, v),
                    1 - noise,
                    -1.0,
                )
            )
            for p, v in zip(rows, x_0, strict=True)
        ]
        limit = nelbo_rate_small_noise(np.log(rows), x_0, 1 - noise)
        allowed = 5 * noise * -np.log(noise) / rows.min()
        assert_close(limit, np.array(mean), rtol=allowed, atol=allowed)


@given(st.data(), strategies.vocab_sizes)
def test_small_noise_score_is_least_at_the_true_law(data, vocab_size):
    truth, guess = data.draw(strategies.probability_rows(2, vocab_size, positive=True))
    tokens = np.arange(vocab_size)

    def mean(p):
        rows = np.broadcast_to(np.log(p), (vocab_size, vocab_size))
        return truth @ nelbo_rate_small_noise(rows, tokens, 0.999)

    best, other = mean(truth), mean(guess)
    assert other >= best - 1e-12
    if np.max(np.abs(truth - guess)) > 0.01:
        assert other > best + 1e-6
    # In closed form: the mean excess is a sum of divergences of ratios, zero term by term.
    ratio = np.outer(1 / guess, guess)
    exact = np.outer(1 / truth, truth)
    excess = truth @ (ratio - exact - exact * np.log(ratio / exact)) / vocab_size
    assert_close(other - best, excess.sum(), rtol=1e-9, atol=1e-11)


def test_small_noise_shapes_and_dtype():
    rows = np.log(np.full((2, 3, 4), 0.25))
    x_0, alpha = np.zeros((2, 3), dtype=int), np.array([0.9, 0.99])
    value = nelbo_rate_small_noise(rows, x_0, alpha)
    assert value.shape == (2, 3)
    assert_close(value[:, 0], 3 / 4 * inverse_temperature(alpha, 4))
    assert nelbo_rate_small_noise(rows.astype(np.float32), x_0, alpha).dtype == np.float32


# --- bad input

LAW = np.full(8, 1 / 8)
BAD = [
    (lambda: mutual_information(LAW, 2, 2, 0.5), ValueError, "shape (V**L,) = (4,); got (8,)"),
    (lambda: mutual_information(2 * LAW, 3, 2, 0.5), ValueError, "must add up to 1; got 2"),
    (lambda: mutual_information(-LAW, 3, 2, 0.5), ValueError, "`source_probs` must lie in [0, inf"),
    (lambda: mutual_information(LAW, 3, 2, 1.1), ValueError, "`alpha` must lie in [0, 1]; got 1.1"),
    (lambda: mutual_information(LAW, 0, 2, 0.5), ValueError, "`seq_len` must be a whole number"),
    (lambda: mutual_information(LAW, 3, 1, 0.5), ValueError, "`vocab_size` must be a whole"),
    (lambda: prior_loss(0.1, 4, 2.5), ValueError, "`seq_len` must be a whole number"),
    (lambda: prior_loss(-0.1, 4, 2), ScheduleDomainError, "got -0.1"),
    (lambda: nelbo_rate_small_noise(np.log([[0.5, 0.5]]), [2], 0.9), ValueError, "[0, 2); got 2"),
    (lambda: nelbo_rate_small_noise(np.log([0.5, 0.5]), 0, 2.0), ScheduleDomainError, "got 2.0"),
]


@pytest.mark.parametrize("call, error, fragment", BAD)
def test_bad_input(call, error, fragment):
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)

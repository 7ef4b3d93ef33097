"""The linear denoiser against averages over all noise, second forms, limits and printed numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag, expm

from am_theory import linear as theory
from models.errors import TokenRangeError
from models.networks import linear
from models.networks.linear import LinearDenoiser, fit_draws
from models.networks.linear_filter import LinearFilter, encode, encoded_law, token_code
from models.noise import noise
from tests.helpers import assert_close


def onehot(tokens, vocab_size):
    """The code with all V numbers a site, one of them redundant, (batch, L V)."""
    u = np.sqrt(vocab_size) * (np.eye(vocab_size)[tokens] - 1 / vocab_size)
    return u.reshape(len(tokens), -1)


def lifted(filter_: LinearFilter) -> np.ndarray:
    """W in the redundant code, (L V, L V)."""
    site = token_code(filter_.vocab_size) / np.sqrt(filter_.vocab_size)  # orthonormal columns
    basis = block_diag(*[site] * filter_.seq_len)
    return basis @ filter_.matrix @ basis.T


def all_sequences(vocab_size, seq_len):
    return np.array(list(itertools.product(range(vocab_size), repeat=seq_len)))


def noise_law(x_0, noisy, alpha, vocab_size):
    """q(x_t | x_0), (clean, noisy)."""
    keep = alpha + (1 - alpha) / vocab_size
    same = x_0[:, None, :] == noisy[None]
    return np.where(same, keep, (1 - alpha) / vocab_size).prod(-1)


@st.composite
def problems(draw, most=40):
    """Patterns (repeats included) small enough to enumerate their noise, a level and a ridge."""
    vocab_size, seq_len = draw(st.sampled_from([(2, 1), (2, 4), (3, 3), (4, 2), (5, 2)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return {
        "patterns": rng.integers(vocab_size, size=(draw(st.integers(1, most)), seq_len)),
        "vocab_size": vocab_size,
        "alpha": draw(st.floats(0.0, 0.97)),
        "ridge": draw(st.sampled_from([0.0, 0.05, 2.0])),
        "rng": rng,
    }


def denoiser_of(problem) -> LinearDenoiser:
    return LinearDenoiser(problem["patterns"], problem["vocab_size"], ridge=problem["ridge"])


# --- all noise enumerated


def enumerated_regression(problem, columns=slice(None)):
    """Weighted least squares over patterns and all their noise, on some columns of the input."""
    patterns, vocab_size = problem["patterns"], problem["vocab_size"]
    noisy = all_sequences(vocab_size, patterns.shape[1])
    weights = noise_law(patterns, noisy, problem["alpha"], vocab_size)
    u, u_t = onehot(patterns, vocab_size), onehot(noisy, vocab_size)[:, columns]
    square = u_t.T * weights.sum(0) @ u_t / len(patterns)
    cross = u.T @ weights @ u_t / len(patterns)
    # No input reaches the sum over a site's entries: made invertible there, it changes nothing.
    sums = block_diag(*[np.ones((vocab_size, vocab_size))] * (len(square) // vocab_size))
    return cross @ np.linalg.inv(square + problem["ridge"] * np.eye(len(square)) + sums)


@given(problems())
def test_the_filter_is_the_regression_over_all_noise(problem):
    filter_ = denoiser_of(problem).at(problem["alpha"])
    assert_close(lifted(filter_), enumerated_regression(problem), rtol=1e-8, atol=1e-9)


@given(problems())
def test_errors_are_averages_over_all_noise(problem):
    vocab_size, alpha = problem["vocab_size"], problem["alpha"]
    filter_ = denoiser_of(problem).at(alpha)
    every = all_sequences(vocab_size, filter_.seq_len)
    law = noise_law(every, every, alpha, vocab_size)
    output = onehot(every, vocab_size) @ lifted(filter_).T
    gaps = ((onehot(every, vocab_size)[:, None] - output[None]) ** 2).sum(-1)
    expected = (law * gaps).sum(1) / filter_.dimension
    assert_close(filter_.errors(every), expected, rtol=1e-10)
    assert_close(np.array(filter_.uniform_error()), np.array(expected.mean()), rtol=1e-10)
    pairs = np.arange(len(every)), problem["rng"].permutation(len(every))
    direct = filter_.squared_errors(every[pairs[0]], every[pairs[1]])
    assert_close(direct, gaps[pairs] / filter_.dimension, rtol=1e-9, atol=1e-12)
    shifted = output.reshape(len(every), filter_.seq_len, vocab_size) / np.sqrt(vocab_size)
    assert_close(filter_.law(every), shifted + 1 / vocab_size, atol=1e-11)


@given(problems())
def test_the_leave_one_out_law_is_the_regression_on_the_other_sites(problem):
    vocab_size, seq_len = problem["vocab_size"], problem["patterns"].shape[1]
    denoiser = denoiser_of(problem)
    every = all_sequences(vocab_size, seq_len)
    t = float((1 - problem["alpha"]) / (1 - denoiser.schedule.eps))
    law = np.exp(denoiser.log_loo(every, min(t, 1.0)))
    problem = {**problem, "alpha": float(denoiser.schedule.alpha(min(t, 1.0)))}
    for site in range(seq_len):
        sites = np.arange(seq_len * vocab_size) // vocab_size
        others = sites != site
        W = enumerated_regression(problem, others)[~others] if seq_len > 1 else 0
        output = onehot(every, vocab_size)[:, others] @ W.T if seq_len > 1 else 0
        clipped = np.maximum(1 / vocab_size + output / np.sqrt(vocab_size), 0)
        clipped = np.broadcast_to(clipped, (len(every), vocab_size))
        assert_close(law[:, site], clipped / clipped.sum(1, keepdims=True), rtol=1e-7, atol=1e-8)


def test_the_code_is_orthonormal_and_laws_are_its_means():
    for vocab_size in (2, 3, 7):
        code = token_code(vocab_size)
        assert_close(code @ code.T, vocab_size * np.eye(vocab_size) - 1, atol=1e-12)
        law = np.random.default_rng(0).dirichlet(np.ones(vocab_size), size=(5, 2))
        assert_close(encoded_law(law @ code), law, atol=1e-12)


# --- second forms


@given(problems(), st.floats(0.01, 20.0))
def test_flow_is_the_matrix_exponential_and_ends_at_the_ridge_filter(problem, time):
    """`flow` goes through d dimensions; `at` through the sequences where these are fewer."""
    denoiser, alpha = denoiser_of(problem), problem["alpha"]
    start, middle, end = denoiser.flow(alpha, [0.0, time, np.inf])
    assert not start.matrix.any()
    assert_close(end.matrix, denoiser.at(alpha).matrix, rtol=1e-9, atol=1e-11)
    u = encode(denoiser.patterns, denoiser.vocab_size)
    data = u.T @ u / len(u)
    sites = np.arange(len(data)) // (denoiser.vocab_size - 1)
    own = np.where(sites[:, None] == sites, data, 0)
    A = alpha**2 * data + (1 - alpha) * (np.eye(len(data)) + alpha * own)
    A += problem["ridge"] * np.eye(len(data))
    expected = alpha * data @ np.linalg.inv(A) @ (np.eye(len(data)) - expm(-A * time))
    assert_close(middle.matrix, expected, rtol=1e-8, atol=1e-10)


def test_flow_is_gradient_descent_of_small_steps():
    rng, alpha = np.random.default_rng(4), 0.6
    denoiser = LinearDenoiser(rng.integers(3, size=(9, 6)), 3, ridge=0.1)
    (target,) = denoiser.flow(alpha, [2.0])
    u = onehot(denoiser.patterns, 3)
    data = u.T @ u / len(u)
    p = alpha * np.eye(3)[denoiser.patterns] + (1 - alpha) / 3
    spread = [3 * (np.diag(q.mean(0)) - q.T @ q / len(q)) for q in np.moveaxis(p, 1, 0)]
    square = alpha**2 * data + block_diag(*spread) + 0.1 * np.eye(len(data))
    gaps = []
    for step in (4e-3, 2e-3):
        W = np.zeros_like(data)
        for _ in range(round(2.0 / step)):
            W = W - step * (W @ square - alpha * data)
        gaps.append(np.abs(W - lifted(target)).max())
    assert gaps[1] < 2e-3 and abs(gaps[0] / gaps[1] - 2) < 0.05  # of first order in the step


def test_draws_in_both_forms_are_the_plain_formula():
    rng, V, L, alpha, ridge = np.random.default_rng(0), 3, 4, 0.5, 0.2
    for K, draws in ((2, 1), (2, 3), (5, 2), (30, 1)):  # d = 8
        x_0 = rng.integers(V, size=(K, L))
        x_t = np.stack([noise(rng, x_0, alpha, V) for _ in range(draws)])
        u, u_t = (onehot(x.reshape(-1, L), V) for x in (np.tile(x_0, (draws, 1)), x_t))
        n = len(u)
        expected = u.T @ u_t @ np.linalg.inv(u_t.T @ u_t + n * ridge * np.eye(L * V))
        assert_close(lifted(fit_draws(x_0, x_t, V, alpha, ridge)), expected, atol=1e-11)


def test_every_noise_as_often_as_it_occurs_is_infinitely_many_draws():
    """V = 2, alpha = 1/2: a token is kept in three of four equally likely draws."""
    rng = np.random.default_rng(1)
    flips = (all_sequences(4, 3) == 0).astype(int)
    for K in (2, 7):
        x_0 = rng.integers(2, size=(K, 3))
        draws = (x_0[None] + flips[:, None]) % 2
        exact = LinearDenoiser(x_0, 2, ridge=0.3).at(0.5)
        assert_close(fit_draws(x_0, draws, 2, 0.5, 0.3).matrix, exact.matrix, atol=1e-12)


def test_many_draws_tend_to_infinitely_many():
    rng, V, L, K, alpha = np.random.default_rng(2), 3, 5, 6, 0.5
    x_0 = rng.integers(V, size=(K, L))
    exact = LinearDenoiser(x_0, V, ridge=0.05).at(alpha).matrix
    gaps = []
    for draws in (100, 10_000):
        x_t = np.stack([noise(rng, x_0, alpha, V) for _ in range(draws)])
        gaps.append(np.sqrt(np.mean((fit_draws(x_0, x_t, V, alpha, 0.05).matrix - exact) ** 2)))
    assert 5 < gaps[0] / gaps[1] < 20  # falls as one over the root of the draws


# --- limits and symmetries


@given(st.floats(0.0, 1.0), st.sampled_from([0.0, 0.7]))
def test_all_sequences_once_give_the_population_filter(alpha, ridge):
    """On independent uniform tokens the best linear map shrinks: W = a / (1 + ridge)."""
    filter_ = LinearDenoiser(all_sequences(3, 3), 3, ridge=ridge).at(alpha)
    assert filter_.alpha == min(alpha, 1 - 1e-6)  # as is said of `at`
    alpha = filter_.alpha
    assert_close(filter_.matrix, alpha / (1 + ridge) * np.eye(6), atol=1e-9)
    if ridge == 0:
        assert abs(filter_.uniform_error() - (1 - alpha**2)) < 1e-9


def test_many_sequences_tend_to_the_population_filter():
    rng = np.random.default_rng(3)
    gaps = []
    for K in (1000, 100_000):
        W = LinearDenoiser(rng.integers(4, size=(K, 6)), 4).at(0.6).matrix
        gaps.append(np.sqrt(np.mean((W - 0.6 * np.eye(18)) ** 2)))
    assert 7 < gaps[0] / gaps[1] < 14  # falls as one over the root of K


@given(problems())
def test_no_filter_beats_its_own_optimum(problem):
    """Least squares: the population filter is best on all sequences, the fitted one on its own."""
    problem["ridge"] = 0.0
    denoiser, alpha = denoiser_of(problem), problem["alpha"]
    fitted = denoiser.at(alpha)
    V, L = denoiser.vocab_size, denoiser.seq_len
    best = LinearFilter(V, L, alpha, alpha * np.eye(fitted.dimension))
    assert fitted.uniform_error() >= best.uniform_error() - 1e-12
    stored = denoiser.patterns
    assert fitted.errors(stored).mean() <= best.errors(stored).mean() + 1e-12


@given(problems())
def test_names_of_tokens_and_sites_do_not_matter(problem):
    rng, x, V = problem["rng"], problem["patterns"], problem["vocab_size"]
    names, sites = rng.permutation(V), rng.permutation(x.shape[1])
    query = rng.integers(V, size=(4, x.shape[1]))
    plain = denoiser_of(problem)
    moved = denoiser_of({**problem, "patterns": names[x][rng.permutation(len(x))][:, sites]})
    for call in (
        lambda d, q: d.at(problem["alpha"]).law(q),
        lambda d, q: np.exp(d.log_loo(q, 0.4)),
    ):
        expected, found = call(plain, query)[:, sites], call(moved, names[query][:, sites])
        assert_close(found[..., names], expected, rtol=1e-7, atol=1e-9)


def test_a_few_patterns_are_remembered():
    rng = np.random.default_rng(5)
    denoiser = LinearDenoiser(rng.integers(8, size=(5, 60)), 8)
    query = noise(rng, denoiser.patterns, 0.6, 8)
    assert (denoiser.at(0.6).restore(query) == denoiser.patterns).all()
    law = np.exp(denoiser.log_loo(query, 0.4))
    assert (law.argmax(-1) == denoiser.patterns).all()
    own = np.take_along_axis(law, denoiser.patterns[..., None].astype(int), -1)
    assert own.mean() > 0.6


def test_noise_levels_of_a_batch_and_the_kept_filters(monkeypatch):
    rng = np.random.default_rng(6)
    denoiser = LinearDenoiser(rng.integers(3, size=(50, 4)), 3)
    query, levels = rng.integers(3, size=(6, 4)), np.array([0.2, 0.7, 0.2, 0.0, 1.0, 0.7])
    together = denoiser.log_loo(query, levels)
    apart = [denoiser.log_loo(query[i : i + 1], levels[i])[0] for i in range(6)]
    np.testing.assert_allclose(together, apart, rtol=0, atol=1e-12)
    assert denoiser.at(0.5) is denoiser.at(0.5)
    monkeypatch.setattr(linear, "KEPT", 1)
    first = denoiser.at(0.5)
    denoiser.at(0.4)
    assert len(denoiser._kept) == 1 and denoiser.at(0.5) is not first


# --- numbers of the sheet (6.1 to 6.3), each taken as one set of its simulation


def close_to_one_set(samples, printed, digit=5e-5):
    """The mean of our sets and one printed set agree within 3.5 standard deviations."""
    samples = np.asarray(samples)
    allowed = 3.5 * samples.std(axis=0, ddof=1) * np.sqrt(1 + 1 / len(samples)) + digit
    np.testing.assert_array_less(np.abs(samples.mean(axis=0) - printed), allowed)


def curves(rng, K, L, V, alpha):
    """Train and test: sampled error, recovery of all tokens and of corrupted ones; then the
    exact errors of train and test."""
    denoiser = LinearDenoiser(rng.integers(V, size=(K, L)), V)
    filter_, row = denoiser.at(alpha), []
    unseen = rng.integers(V, size=(400, L))
    for x_0 in (denoiser.patterns[np.arange(400) % K], unseen):
        x_t = noise(rng, x_0, alpha, V)
        right = filter_.restore(x_t) == x_0
        row += [filter_.squared_errors(x_0, x_t).mean(), right.mean(), right[x_t != x_0].mean()]
    return [*row, filter_.errors(denoiser.patterns).mean(), filter_.uniform_error()]


@pytest.mark.parametrize(
    "K, places, simulated",
    [
        (100, slice(0, 6), [0.5411, 0.7406, 0.3553, 0.9486, 0.5008, 0.0806]),
        (400, [1, 4], [0.6280, 0.6177]),
    ],
)
def test_infinitely_many_draws_as_printed(K, places, simulated):
    rng = np.random.default_rng(7)
    drawn = np.array([curves(rng, K, 64, 4, 0.5) for _ in range(6)])
    close_to_one_set(drawn[:, places], simulated)
    errors, expected = theory.errors(K, 64, 4, 0.5), []
    for split, error in (("train", errors.train), ("test", errors.heldout)):
        expected.append(error)
        for tokens in ("all", "corrupted"):
            expected.append(theory.token_recovery(K, 64, 4, 0.5, tokens=tokens, split=split))
    # Finite-size corrections; the sheet states 0.012 as the largest.
    expected += [errors.train, errors.heldout]
    np.testing.assert_allclose(drawn.mean(axis=0), expected, rtol=0, atol=0.008)


@pytest.mark.parametrize(
    "ridge, K, simulated, predicted",
    [
        (0.01, 40, 1.4125, 1.4188),
        (0.01, 96, 4.1808, 4.1515),
        (0.01, 200, 1.3785, 1.3951),
        (0.01, 600, 0.8866, 0.8889),
        (0.1, 96, 1.6417, 1.6439),
    ],
)
def test_one_draw_as_printed(ridge, K, simulated, predicted):
    rng, drawn = np.random.default_rng(8), []
    for _ in range(10):
        x_0 = rng.integers(4, size=(K, 32))
        x_t = noise(rng, x_0, 0.5, 4)
        filter_ = fit_draws(x_0, x_t[None], 4, 0.5, ridge)
        drawn.append([filter_.uniform_error(), filter_.squared_errors(x_0, x_t).mean()])
    heldout, train = np.array(drawn).T
    close_to_one_set(heldout, simulated)
    errors = theory.one_draw_errors(K, 32, 4, 0.5, ridge)
    assert abs(errors.heldout - predicted) < 6e-5
    for values, exact in ((heldout, errors.heldout), (train, errors.train)):
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - exact) < 4 * error + 0.01 * exact  # corrections of order 1 / d


@pytest.mark.parametrize(
    "K, tau, simulated",
    [
        (100, 0.3, (0.7190, 0.9200)),
        (100, 1.0, (0.5624, 0.9156)),
        (100, 3.0, (0.5397, 0.9461)),
        (400, 1.0, (0.7184, 0.8233)),
    ],
)
def test_training_time_as_printed(K, tau, simulated):
    rng, drawn = np.random.default_rng(9), []
    for _ in range(5):
        denoiser = LinearDenoiser(rng.integers(4, size=(K, 64)), 4)
        (filter_,) = denoiser.flow(0.5, [tau])
        drawn.append([filter_.errors(denoiser.patterns).mean(), filter_.uniform_error()])
    close_to_one_set(drawn, simulated)


# --- bad input

SMALL = LinearDenoiser([[0, 1, 2], [2, 1, 0]], 3)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: LinearDenoiser([[0, 3]], 3), TokenRangeError, "`patterns` holds the token 3"),
        (lambda: LinearDenoiser(np.zeros((0, 2), int), 3), ValueError, "`patterns` is empty"),
        (lambda: LinearDenoiser([[0, 1]], 1), ValueError, "`vocab_size` must be an integer"),
        (lambda: LinearDenoiser([[0, 1]], 3, ridge=-1), ValueError, "`ridge` must be finite and"),
        (lambda: SMALL.at(1.5), ValueError, "`alpha` must lie in [0, 1]; got 1.5"),
        (lambda: SMALL.at(float("nan")), ValueError, "`alpha` must lie in [0, 1]; got nan"),
        (lambda: SMALL.flow(0.5, [-1.0]), ValueError, "`times` must be a list of times"),
        (lambda: SMALL.flow(0.5, 1.0), ValueError, "`times` must be a list of times"),
        (lambda: SMALL.log_loo([[0, 1]], 0.5), TokenRangeError, "this model takes length 3"),
        (lambda: SMALL.at(0.5).errors([[0, 1, 3]]), TokenRangeError, "`x_0` holds the token 3"),
        (
            lambda: SMALL.at(0.5).squared_errors([[0, 1, 2]], [[0, 1, 2]] * 2),
            ValueError,
            "must have one batch size; got 1 and 2",
        ),
        (lambda: fit_draws([[0, 1]], [[0, 1]], 3, 0.5, 0.1), ValueError, "goes in as `x_t[None]`"),
        (lambda: fit_draws([[0, 1]], [[[0, 1]]], 3, 0.5, 0.0), ValueError, "`ridge` must be pos"),
        (lambda: fit_draws([[0, 1]], [[[0, 1]]], 3, 2.0, 0.1), ValueError, "`alpha` must lie"),
        (lambda: fit_draws([[0, 1]], [[[0, 5]]], 3, 0.5, 0.1), TokenRangeError, "`x_t` holds"),
        (
            lambda: LinearDenoiser(np.zeros((40, 1_000_000), np.uint8), 4),
            ValueError,
            "needs about 2.7 GiB; at most 2 are allowed. Use fewer or shorter sequences.",
        ),
        (
            lambda: LinearDenoiser(np.zeros((2, 5000), np.uint8), 4).flow(0.5, [1.0]),
            ValueError,
            "in d = L (V - 1) = 15000 dimensions needs about 8.4 GiB",
        ),
    ],
)
def test_bad_input_is_refused_in_words(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)

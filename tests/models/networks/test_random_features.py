"""The random-feature denoiser against least squares, small steps, limits and reference values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

from am_theory.random_feature_denoiser import calibrated_entropy
from models.errors import TokenRangeError
from models.networks import random_features
from models.networks.feature_map import ACTIVATIONS, FeatureMap
from models.networks.linear import LinearDenoiser, fit_draws
from models.networks.linear_filter import encode, encoded_law, token_code
from models.networks.random_features import RandomFeatureDenoiser
from models.noise import noise
from models.sources import MarkovSource
from models.streams import stream
from tests.helpers import assert_close

PHI = {
    "erf": erf,
    "relu": lambda z: z * (z > 0) - np.sqrt(0.5 / np.pi),
    "sign": lambda z: 1.0 * (z > 0) - 1.0 * (z < 0),
    "tanh": lambda z: 1 - 2 / (1 + np.exp(2 * z)),
}


@st.composite
def problems(draw, ridges=(0.0, 1e-3, 2.0), skips=(0.0, 0.7, "fit", "full")):
    """A denoiser of a few patterns (repeats included) and the level it is asked about."""
    vocab_size, seq_len = draw(st.sampled_from([(2, 1), (2, 5), (3, 4), (4, 2)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    skip = draw(st.sampled_from(skips))
    denoiser = RandomFeatureDenoiser(
        rng.integers(vocab_size, size=(draw(st.integers(1, 12)), seq_len)),
        vocab_size,
        draw(st.integers(1, 12)),
        activation=draw(st.sampled_from(tuple(PHI))),
        ridge=draw(st.sampled_from([r for r in ridges if r or skip != "fit"])),
        skip=skip,
        draws=draw(st.integers(1, 6)),
        seed=draw(st.integers(0, 9)),
    )
    return denoiser, draw(st.floats(0.0, 0.97))


def design(denoiser, alpha):
    """Codes of clean and noisy tokens and features, one row a pair of the fit."""
    d, V = denoiser, denoiser.vocab_size
    x_t = d.seen(alpha)
    u = np.tile(encode(d.patterns, V), (d.draws, 1))
    u_t = encode(x_t.reshape(-1, d.seq_len), V)
    return u, u_t, PHI[d.activation](u_t @ d.weights.T)


def matrix(found: FeatureMap):
    """The skip as a matrix."""
    return found.skip if np.ndim(found.skip) else found.skip * np.eye(len(found.readout))


def regression(denoiser, alpha):
    """Skip and readout as the smallest solution of one least-squares problem of all unknowns."""
    u, u_t, f = design(denoiser, alpha)
    d, p = u.shape[1], f.shape[1]
    penalty = np.sqrt(len(u) * denoiser.ridge) * np.eye(p)
    if denoiser.skip == "fit":  # unknowns b and A, a row for each dimension of each pair
        rows = np.column_stack([u_t.ravel(), np.kron(f, np.eye(d))])
        extra = np.column_stack([np.zeros(d * p), np.kron(penalty, np.eye(d))])
        target = np.concatenate([u.ravel(), np.zeros(d * p)])
        solution = np.linalg.lstsq(np.vstack([rows, extra]), target)[0]
        return solution[0] * np.eye(d), solution[1:].reshape(p, d).T
    if denoiser.skip == "full":
        rows = np.block([[u_t, f], [np.zeros((p, d)), penalty]])
        solution = np.linalg.lstsq(rows, np.vstack([u, np.zeros((p, d))]))[0].T
        return solution[:, :d], solution[:, d:]
    target = np.vstack([u - denoiser.skip * u_t, np.zeros((p, d))])
    return denoiser.skip * np.eye(d), np.linalg.lstsq(np.vstack([f, penalty]), target)[0].T


# --- brute force


@given(problems())
def test_the_fit_is_least_squares_on_the_drawn_noise(problem):
    denoiser, alpha = problem
    found = denoiser.at(alpha)
    u, u_t, f = design(denoiser, alpha)
    skip, readout = regression(denoiser, alpha)
    fitted = u_t @ skip.T + f @ readout.T
    assert_close(u_t @ matrix(found).T + f @ found.readout.T, fitted, atol=1e-6)
    assert_close(np.array(found.seen_error), np.array(((u - fitted) ** 2).mean()), atol=1e-7)
    if denoiser.ridge:
        assert_close(matrix(found), skip, rtol=1e-6, atol=1e-7)
        assert_close(found.readout, readout, rtol=1e-6, atol=1e-7)


@given(problems())
def test_what_the_map_makes_of_tokens(problem):
    denoiser, alpha = problem
    found, V, rng = denoiser.at(alpha), denoiser.vocab_size, np.random.default_rng(1)
    x_0, x_t = rng.integers(V, size=(2, 9, denoiser.seq_len))
    u, u_t = encode(x_0, V), encode(x_t, V)
    out = u_t @ matrix(found).T + PHI[denoiser.activation](u_t @ denoiser.weights.T) @ (
        found.readout.T
    )
    law = encoded_law(out.reshape(9, denoiser.seq_len, V - 1))
    assert_close(found.law(x_t), law, atol=1e-9)
    assert (found.restore(x_t) == found.law(x_t).argmax(-1)).all()
    assert_close(found.squared_errors(x_0, x_t), ((u - out) ** 2).mean(1), atol=1e-9)


def test_errors_are_averages_over_fresh_noise():
    V, L, alpha = 3, 4, 0.6
    rng = np.random.default_rng(0)
    found = RandomFeatureDenoiser(rng.integers(V, size=(6, L)), V, 20, ridge=0.01).at(alpha)
    every = np.array(list(itertools.product(range(V), repeat=L)))
    x_0 = every[[5, 40, 80]]
    same = x_0[:, None, :] == every[None]
    law = np.where(same, alpha + (1 - alpha) / V, (1 - alpha) / V).prod(-1)
    gaps = np.array([found.squared_errors(np.tile(x, (len(every), 1)), every) for x in x_0])
    exact = (law * gaps).sum(1)
    draws = 4000
    error = np.sqrt(((law * gaps**2).sum(1) - exact**2) / draws)
    assert (np.abs(found.errors(x_0, rng, draws) - exact) < 4 * error).all()


@given(problems())
def test_scores_are_averages_over_the_own_token(problem):
    denoiser, alpha = problem
    found, V, L = denoiser.at(alpha), denoiser.vocab_size, denoiser.seq_len
    x_t = np.random.default_rng(2).integers(V, size=(5, L))
    for i in range(L):
        outputs = []
        for v in range(V):
            changed = x_t.copy()
            changed[:, i] = v
            outputs.append((found.law(changed) @ token_code(V))[:, i])
        assert_close(found.scores(x_t)[:, i], np.mean(outputs, axis=0), atol=1e-9)


# --- training time


@pytest.mark.parametrize("skip", [0.4, "full"])
def test_flow_is_gradient_descent_of_small_steps(skip):
    rng, alpha, time = np.random.default_rng(4), 0.6, 3.0
    denoiser = RandomFeatureDenoiser(
        rng.integers(3, size=(9, 4)), 3, 14, ridge=0.1, skip=skip, draws=3, activation="relu"
    )
    u, u_t, f = design(denoiser, alpha)
    (found,) = denoiser.flow(alpha, [time])
    gaps = []
    for step in (4e-3, 2e-3):
        A, B = np.zeros((u.shape[1], 14)), 0.4 * np.eye(u.shape[1])
        for _ in range(round(time / step)):
            if skip == "full":
                B = np.linalg.lstsq(u_t, u - f @ A.T)[0].T
            A = A + step * ((u - u_t @ B.T - f @ A.T).T @ f / len(u) - 0.1 * A)
        gaps.append(np.abs(A - found.readout).max())
    assert gaps[1] < 1e-3 and abs(gaps[0] / gaps[1] - 2) < 0.05  # of first order in the step
    if skip == "full":
        assert_close(found.skip, np.linalg.lstsq(u_t, u - f @ found.readout.T)[0].T, atol=1e-9)


@given(problems())
def test_flow_starts_at_the_skip_and_ends_at_the_fit(problem):
    denoiser, alpha = problem
    start, late, end = denoiser.flow(alpha, [0.0, 1e15, np.inf])
    fit = denoiser.at(alpha)
    assert not start.readout.any()
    assert_close(end.readout, fit.readout)
    assert_close(matrix(end), matrix(fit))
    if denoiser.skip == "fit":
        assert start.skip == end.skip
    losses = [m.seen_error + denoiser.ridge * (m.readout**2).mean(0).sum() for m in (start, end)]
    assert losses[1] <= losses[0] + 1e-9
    if denoiser.ridge:
        assert_close(late.readout, end.readout, atol=1e-9)


# --- limits


@pytest.fixture
def linear(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "linear", (lambda z: z, 0.0))
    return "linear"


@pytest.mark.parametrize("skip", [0.0, -0.3])
def test_linear_features_are_the_linear_denoiser(linear, skip):
    """With p > d features they are any linear map; the skip then changes nothing."""
    rng, V, alpha = np.random.default_rng(5), 3, 0.7
    x_0, query = rng.integers(V, size=(10, 4)), rng.integers(V, size=(20, 4))
    denoiser = RandomFeatureDenoiser(x_0, V, 30, activation=linear, draws=4, skip=skip)
    plain = fit_draws(x_0, denoiser.seen(alpha), V, alpha, 1e-12)
    assert_close(denoiser.at(alpha).law(query), plain.law(query), atol=1e-7)


def test_a_full_skip_alone_is_the_linear_denoiser():
    rng, V, alpha = np.random.default_rng(6), 3, 0.7
    x_0, query = rng.integers(V, size=(10, 4)), rng.integers(V, size=(20, 4))
    denoiser = RandomFeatureDenoiser(x_0, V, 30, ridge=1e9, draws=4, skip="full")
    plain = fit_draws(x_0, denoiser.seen(alpha), V, alpha, 1e-12)
    assert_close(denoiser.at(alpha).law(query), plain.law(query), atol=1e-6)
    assert_close(denoiser.flow(alpha, [0.0])[0].law(query), plain.law(query), atol=1e-6)


def test_many_draws_of_linear_features_tend_to_infinitely_many(linear):
    rng, V, alpha = np.random.default_rng(7), 3, 0.5
    x_0, query = rng.integers(V, size=(6, 5)), rng.integers(V, size=(200, 5))
    exact = LinearDenoiser(x_0, V).at(alpha).law(query)
    gaps = []
    for draws in (100, 10_000):
        found = RandomFeatureDenoiser(x_0, V, 40, activation=linear, draws=draws).at(alpha)
        gaps.append(np.sqrt(np.mean((found.law(query) - exact) ** 2)))
    assert 5 < gaps[0] / gaps[1] < 20  # falls as one over the root of the draws


def test_fewer_pairs_than_features_are_interpolated():
    rng = np.random.default_rng(8)
    x_0 = rng.integers(4, size=(20, 8))
    found = RandomFeatureDenoiser(x_0, 4, 200, draws=3).at(0.6)
    fresh = found.errors(x_0, rng, 50).mean()
    assert abs(found.seen_error) < 1e-9 < 0.1 < fresh


def test_a_few_patterns_are_remembered():
    rng = np.random.default_rng(9)
    denoiser = RandomFeatureDenoiser(
        rng.integers(4, size=(4, 40)), 4, 500, activation="relu", ridge=1e-3
    )
    query = noise(rng, np.tile(denoiser.patterns, (10, 1)), 0.6, 4)
    clean = np.tile(denoiser.patterns, (10, 1))
    law = np.exp(denoiser.log_loo(query, 0.4))
    own = np.take_along_axis(law, clean[..., None].astype(int), -1)
    kept = (query == clean).mean()
    for share in ((denoiser.at(0.6).restore(query) == clean).mean(), own.mean()):
        assert share > 0.9 > 0.75 > kept


# --- the law


def test_the_law_is_calibrated_on_training_sequences_and_over_sure_on_others():
    """On training sequences entropy = cross-entropy, the unit of the error being the sequence."""
    rng, V, L, t = np.random.default_rng(10), 2, 96, 0.2
    x_0 = rng.integers(V, size=(200, L))
    denoiser = RandomFeatureDenoiser(x_0, V, 288, ridge=1e-3, activation="relu", skip="fit")
    gaps = []
    for clean in (x_0, rng.integers(V, size=x_0.shape)):
        log_law = denoiser.log_loo(noise(rng, clean, denoiser.schedule.alpha(t), V), t)
        assert_close(np.exp(log_law).sum(-1), np.ones(clean.shape), atol=1e-12)
        truth = np.take_along_axis(log_law, clean[..., None], -1)[..., 0]
        gaps.append((-truth + (np.exp(log_law) * log_law).sum(-1)).mean(1))
    error = gaps[0].std() / np.sqrt(len(gaps[0]))
    # The scores are normal up to corrections of order 1 / d, which the law does not know of.
    assert abs(gaps[0].mean()) < 4 * error + 1 / L
    assert gaps[1].mean() > 0.3


@pytest.mark.slow
def test_the_law_has_the_entropies_of_theory():
    """Means over training sets; corrections of order 1 / d beside their errors."""
    V, L, alpha, size = 2, 96, 0.8, 96
    drawn = []
    for seed in range(5):
        rng = stream(seed, "entropy")
        x_0, unseen = rng.integers(V, size=(2, size, L))
        denoiser = RandomFeatureDenoiser(
            *(x_0, V, 384), activation="relu", ridge=1e-3, draws=40, seed=seed
        )
        t = (1 - alpha) / (1 - denoiser.schedule.eps)
        assert abs(denoiser.schedule.alpha(t) - alpha) < 1e-9
        row = []
        for clean in (np.tile(x_0, (3, 1)), np.tile(unseen, (3, 1))):
            log_law = denoiser.log_loo(noise(rng, clean, alpha, V), t)
            row.append(-(np.exp(log_law) * log_law).sum(-1).mean())
            row.append(-np.take_along_axis(log_law, clean[..., None], -1).mean())
        drawn.append(row)
    options = {"activation": "relu", "ridge": 1e-3, "draws": 40}
    exact = [
        value
        for split in ("train", "test")
        for found in [calibrated_entropy(size, 384, L, V, alpha, split=split, **options)]
        for value in (found.entropy, found.cross_entropy)
    ]
    error = np.std(drawn, axis=0, ddof=1) / np.sqrt(len(drawn))
    gap = np.abs(np.mean(drawn, axis=0) - exact)
    np.testing.assert_array_less(gap, 3.5 * error + np.array([0.005, 0.015, 0.005, 0.03]))


def test_noise_levels_of_a_batch_seeds_and_the_kept_maps(monkeypatch):
    rng = np.random.default_rng(11)
    x_0, query = rng.integers(3, size=(9, 4)), rng.integers(3, size=(6, 4))
    levels = np.array([0.2, 0.7, 0.2, 0.0, 1.0, 0.7])
    first, again, other = (
        RandomFeatureDenoiser(x_0, 3, 8, draws=5, ridge=0.1, seed=seed) for seed in (0, 0, 1)
    )
    together = first.log_loo(query, levels)
    apart = [again.log_loo(query[i : i + 1], levels[i])[0] for i in (5, 4, 3, 2, 1, 0)]
    np.testing.assert_allclose(together, apart[::-1], rtol=0, atol=1e-9)
    assert np.abs(other.log_loo(query, levels) - together).max() > 0.01
    assert first.at(0.5) is first.at(0.5)
    monkeypatch.setattr(random_features, "KEPT", 1)
    before = first.at(0.5)
    first.at(0.4)
    assert len(first._kept) == 1 and first.at(0.5) is not before


# --- reference values of simulations, V = 4 and L = 32 unless said: one set of ours and theirs


def measured(point, seed, source=None):
    """Train and held-out error of one training set, and its skip."""
    (size, p, alpha, activation, ridge, skip, draws), (V, L) = point
    rng = stream(seed, "reference", *point)
    sample = source.sample if source else lambda r, n: r.integers(V, size=(n, L))
    x_0, unseen = sample(rng, size), sample(rng, 400)
    denoiser = RandomFeatureDenoiser(
        *(x_0, V, p), activation=activation, ridge=ridge, skip=skip, draws=draws, seed=seed
    )
    found = denoiser.at(alpha)
    train = found.errors(x_0, rng, max(1, 1600 // size)).mean()
    return train, found.errors(unseen, rng, 4).mean()


def agree(values, printed, errors, digit=5e-5):
    """The mean of our sets is within 3.5 standard errors, theirs and ours, of a printed mean."""
    values = np.asarray(values)
    own = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    allowed = 3.5 * np.sqrt(own**2 + np.square(errors)) + digit
    np.testing.assert_array_less(np.abs(values.mean(axis=0) - printed), allowed)


QUICK = [
    ((400, 48, 0.8, "erf", 1e-3, "fit", 100), (4, 32), (0.3521, 0.3696), (0.0011, 0.0010)),
    ((400, 384, 0.8, "erf", 1e-3, 0.0, 4), (4, 32), (0.4236, 0.5377), (0.0017, 0.0022)),
]
HEAVY = [
    ((100, 384, 0.8, "erf", 1e-3, 0.0, 400), (4, 32), (0.2329, 0.6287), (0.0003, 0.0020)),
    ((100, 384, 0.8, "erf", 1e-3, "fit", 400), (4, 32), (0.2271, 0.5993), (0.0004, 0.0013)),
    ((50, 384, 0.5, "relu", 1e-3, 0.0, 800), (4, 32), (0.4861, 1.0186), (0.0014, 0.0009)),
    ((50, 384, 0.9, "tanh", 1e-3, "fit", 800), (2, 96), (0.0654, 0.6802), (0.0003, 0.0013)),
    ((300, 576, 0.75, "relu", 1e-3, "full", 100), (4, 32), (0.3280, 0.6014), (0.0006, 0.0017)),
    ((300, 896, 0.75, "relu", 1e-2, "full", 100), (8, 16), (0.3007, 0.6246), (0.0008, 0.0018)),
]


@pytest.mark.parametrize(
    "point, shape, printed, errors",
    [*QUICK, *(pytest.param(*row, marks=pytest.mark.slow) for row in HEAVY)],
)
def test_errors_of_independent_tokens(point, shape, printed, errors):
    agree([measured((point, shape), seed) for seed in range(4)], printed, errors)


@pytest.mark.slow
@pytest.mark.parametrize("ridge, printed", [(1.0, (0.3820, 0.7103)), (10.0, (0.7906, 0.9042))])
def test_errors_over_the_ridge(ridge, printed):
    point = (96, 384, 0.8, "relu", ridge, 0.0, 400), (4, 32)
    drawn = np.array([measured(point, seed) for seed in range(8)])
    # printed without an error: taken to be one set
    agree(drawn, printed, drawn.std(axis=0, ddof=1))


@pytest.mark.parametrize(
    "pairs, draws, printed",
    [
        *((96, 1, 1.421), (144, 1, 2.092), (192, 1, 5.65), (288, 1, 1.224), (480, 1, 0.679)),
        *((192, 2, 5.34), (480, 2, 0.727), (480, 8, 0.956)),
    ],
)
def test_the_peak_of_few_draws(pairs, draws, printed):
    """Held-out error at draws x K around p = 192."""
    point = (pairs // draws, 192, 0.8, "erf", 1e-4, 0.0, draws), (4, 32)
    drawn = np.array([measured(point, seed)[1:] for seed in range(10)])
    agree(drawn, printed, drawn.std(axis=0, ddof=1) / np.sqrt(10), 5e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "size, p, skip, printed, errors",
    [
        (100, 384, 0.0, (0.5047, 0.7096), (0.0057, 0.0031)),
        (400, 384, 0.0, (0.5766, 0.6351), (0.0041, 0.0010)),
        (100, 384, "fit", (0.4948, 0.6908), (0.0053, 0.0030)),
    ],
)
def test_errors_of_a_chain(size, p, skip, printed, errors):
    """A chain that steps round the alphabet and jumps with probability 0.3."""
    chain = MarkovSource(0.7 * np.roll(np.eye(4), 1, axis=1) + 0.3 / 4, 32)
    point = (size, p, 0.5, "relu", 1e-3, skip, 80_000 // size), (4, 32)
    agree([measured(point, seed, chain) for seed in range(4)], printed, errors)


@pytest.mark.slow
def test_training_time():
    times, printed = [1.0, 10.0, 100.0], [(0.3886, 0.4843), (0.3387, 0.5280), (0.3310, 0.6067)]
    drawn = []
    for seed in range(4):
        rng = stream(seed, "reference", "time")
        x_0, unseen = rng.integers(4, size=(2, 300, 32))
        denoiser = RandomFeatureDenoiser(
            *(x_0, 4, 576), activation="relu", ridge=0.0, skip="full", draws=100, seed=seed
        )
        maps = denoiser.flow(0.75, times)
        drawn.append([[m.errors(x, rng, 4).mean() for x in (x_0, unseen)] for m in maps])
    drawn = np.array(drawn)
    agree(drawn, np.array(printed), drawn.std(axis=0, ddof=1))  # as of one set


# --- bad input

SMALL = RandomFeatureDenoiser([[0, 1, 2], [2, 1, 0]], 3, 4, draws=2)


def build(**changed):
    settings = {"patterns": [[0, 1, 2], [2, 1, 0]], "vocab_size": 3, "n_features": 4}
    return RandomFeatureDenoiser(**{**settings, **changed})


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: build(patterns=[[0, 3]]), TokenRangeError, "`patterns` holds the token 3"),
        (lambda: build(vocab_size=1), ValueError, "`vocab_size` must be an integer"),
        (lambda: build(n_features=0), ValueError, "`n_features` must be an integer of at least 1"),
        (lambda: build(draws=0.5), ValueError, "`draws` must be an integer of at least 1; got 0.5"),
        (lambda: build(activation="gelu"), ValueError, "one of erf, relu, sign, tanh; got 'gelu'"),
        (lambda: build(ridge=-1), ValueError, "`ridge` must be finite and not negative; got -1"),
        (lambda: build(skip="none"), ValueError, "`skip` must be a number"),
        (lambda: build(skip=np.inf), ValueError, "`skip` must be a number"),
        (lambda: build(n_features=100_000), ValueError, "needs about 447.1 GiB; at most 2 are"),
        (lambda: build(skip="fit", draws=1).at(0.5), ValueError, "has no single solution"),
        (lambda: SMALL.at(1.5), ValueError, "`alpha` must lie in [0, 1]; got 1.5"),
        (lambda: SMALL.flow(0.5, [-1.0]), ValueError, "`times` must be a list of times"),
        (lambda: SMALL.log_loo([[0, 1]], 0.5), TokenRangeError, "this model takes length 3"),
        (lambda: SMALL.at(0.5).law([[0, 1, 3]]), TokenRangeError, "`x_t` holds the token 3"),
        (
            lambda: SMALL.at(0.5).squared_errors([[0, 1, 2]], [[0, 1, 2]] * 2),
            ValueError,
            "must have one batch size; got 1 and 2",
        ),
    ],
)
def test_bad_input_is_refused_in_words(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)

"""Entropy of the calibrated random-feature denoiser: reference values, second ways, simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp

from am_theory import channel
from am_theory._feature_entropy import LogSum, calibrated_entropy
from am_theory._feature_inputs import grid_iv
from am_theory._feature_recovery import outputs_of
from am_theory._feature_ridge import solve
from tests.helpers import assert_close, assert_digits


def outputs(sizes, alpha, name, **options):
    grid = grid_iv(*sizes, alpha, activation=name, **options)
    return outputs_of(solve(grid.problems.item(), float(grid.k)))


# sizes, activation, draws, s^2; entropy and cross-entropy of training and of unseen sequences,
# which were sampled
REFERENCE = [
    ((96, 768, 64, 4), "erf", 400, "15.8134", (0.0193, 0.0193, 0.3127, 5.880)),
    ((300, 768, 64, 4), "erf", 130, "3.6888", (0.5084, 0.5059, 0.6785, 2.795)),
    ((96, 384, 96, 2), "relu", 400, "4.6861", (0.1574, 0.1583, 0.2835, 1.791)),
    ((24, 384, 32, 4), "erf", 1500, "35.70", (0.0001, 0.0002, 0.2009, 9.01)),
]


@pytest.mark.parametrize(("sizes", "name", "draws", "signal", "values"), REFERENCE)
def test_reference_values(sizes, name, draws, signal, values):
    found = outputs(sizes, 0.8, name, ridge=1e-3, draws=draws)
    assert_digits(float(sizes[3] * (found.memory / found.train_width) ** 2), signal)
    pairs = [
        calibrated_entropy(*sizes, 0.8, activation=name, ridge=1e-3, draws=draws, split=split)
        for split in ("train", "test")
    ]
    # the reference values have a sampling error of a few units in the third digit
    assert_close(np.ravel(pairs), np.array(values), rtol=5e-3, atol=6e-4)


def sampled(rng, found, vocab, alpha, law, split, count):
    """Entropy and cross-entropy of the law, with standard errors, by drawing outputs."""
    eye = np.sqrt(vocab) * (np.eye(vocab) - 1 / vocab)
    clean = rng.integers(vocab, size=count)
    kept = rng.random(count) < alpha
    noisy = np.where(kept, clean, rng.integers(vocab, size=count))
    z = rng.normal(size=(count, vocab))
    z -= z.mean(1, keepdims=True)
    train = split == "train"
    output = found.gain * eye[noisy] + (found.train_width if train else found.heldout_width) * z
    if train:
        output += found.memory * eye[clean]
    logits = found.memory / found.train_width**2 * (output - found.gain * eye[noisy]) @ eye.T
    if law == "full":
        logits += channel.inverse_temperature(alpha, vocab) * np.eye(vocab)[noisy]
    logs = logits - logsumexp(logits, axis=1, keepdims=True)
    entropy = -np.sum(np.exp(logs) * logs, axis=1)
    loss = -logs[np.arange(count), clean]
    values = np.stack([entropy, loss])
    return values.mean(1), values.std(1) / np.sqrt(count)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("law", ["loo", "full"])
@pytest.mark.parametrize(
    ("sizes", "alpha", "name"),
    [
        ((96, 384, 24, 5), 0.8, "erf"),
        ((300, 100, 60, 2), 0.5, "relu"),
        ((40, 400, 32, 3), 0.3, "sign"),
    ],
)
def test_averages_are_those_of_drawn_outputs(sizes, alpha, name, law, split):
    """Outputs drawn from their Gaussian law, turned into a law by Bayes' rule, token by token."""
    rng = np.random.default_rng((sizes[0], law == "full", split == "train"))
    found = outputs(sizes, alpha, name, ridge=1e-3)
    mean, error = sampled(rng, found, sizes[3], alpha, law, split, 200_000)
    ours = calibrated_entropy(*sizes, alpha, activation=name, ridge=1e-3, law=law, split=split)
    assert np.all(np.abs(np.array(ours) - mean) < 4.5 * error + 1e-9), (ours, mean, error)


@pytest.mark.parametrize("width", [0.02, 0.7, 0.999, 1.0, 3.0, 12.0])
def test_two_states_by_one_quadrature(width):
    """log(1 + e^x), x normal: of two logits only the difference matters."""

    def expected(f):
        def weighted(z):
            return f(width * math.sqrt(2) * z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

        return sum(quad(weighted, *ends, epsabs=1e-13)[0] for ends in ((-10, 0), (0, 10)))

    found = LogSum(width, [(0.0, 2)])
    assert_close(found.mean, expected(lambda x: np.logaddexp(0, x)), rtol=0, atol=1e-9)
    share = expected(lambda x: x / (1 + np.exp(-x)))
    assert_close(found.logit, share, rtol=0, atol=1e-9)


@pytest.mark.parametrize("width", [0.5, 4.0])
def test_mean_logit_is_the_slope_of_the_mean(width):
    """Scaling all logits: d/de E log sum e^((1 + e) l) = E sum p l."""
    found, step = LogSum(width, [(2.0, 1), (0.5, 1), (0.0, 6)]), 1e-4
    up, down = (
        LogSum(width * (1 + e), [(2.0 * (1 + e), 1), (0.5 * (1 + e), 1), (0.0, 6)]).mean
        for e in (step, -step)
    )
    assert_close(found.logit, (up - down) / (2 * step), rtol=1e-6)


def test_limits():
    """Nothing is held of many sequences; few are recalled without doubt."""
    many = calibrated_entropy(1e9, 100, 32, 4, 0.6, split="train")
    assert_close(np.array(many), np.full(2, math.log(4)), rtol=1e-4)
    for split in ("train", "test"):
        full = calibrated_entropy(1e9, 100, 32, 4, 0.6, law="full", split=split)
        left = math.log(4) - channel.capacity(0.6, 4)
        assert_close(np.array(full), np.full(2, left), rtol=1e-4)
    few = calibrated_entropy(2, 4000, 32, 4, 0.6, ridge=1e-3)
    assert 0 <= few.entropy < 1e-6


@settings(max_examples=12)  # 0.2 s each
@given(
    st.floats(0, 3),
    st.floats(0, 3),
    st.floats(0.05, 0.95),
    st.integers(2, 40),
    st.sampled_from([0.0, "fit", "full"]),
)
def test_properties(log_k, log_p, alpha, vocab, skip):
    """Knowing more lowers the entropy of a true posterior; what is held says nothing of others."""
    sizes = (10**log_k, 10**log_p, 10, vocab)
    loo, full = (
        calibrated_entropy(*sizes, alpha, ridge=1e-4, skip=skip, law=law) for law in ("loo", "full")
    )
    assert loo.entropy == loo.cross_entropy and full.entropy == full.cross_entropy
    top = math.log(vocab)
    assert 0 <= full.entropy <= loo.entropy + 1e-9 <= top + 2e-9
    assert full.entropy <= top - channel.capacity(alpha, vocab) + 1e-9
    unseen = calibrated_entropy(*sizes, alpha, ridge=1e-4, skip=skip, split="test")
    assert 0 <= unseen.entropy <= top + 1e-9 <= unseen.cross_entropy + 2e-9
    # a worse loss than of the channel alone, which is the truth of an unseen sequence
    own = calibrated_entropy(*sizes, alpha, ridge=1e-4, skip=skip, law="full", split="test")
    assert own.entropy >= 0 and own.cross_entropy >= top - channel.capacity(alpha, vocab) - 1e-9


def test_arrays_broadcast_and_numbers_are_floats():
    grid = calibrated_entropy([[96], [300]], 768, 64, 4, [0.5, 0.8])
    assert grid.entropy.shape == grid.cross_entropy.shape == (2, 2)
    one = calibrated_entropy(96, 768, 64, 4, 0.8)
    assert type(one.entropy) is float and one.entropy == grid.entropy[0, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"law": "own"}, "`law`"), ({"split": "heldout"}, "`split`"), ({"alpha": 1.0}, "`alpha`")],
)
def test_bad_arguments_are_told(options, words):
    arguments = {
        "train_size": 96,
        "n_features": 768,
        "seq_len": 64,
        "vocab_size": 4,
        "alpha": 0.8,
    }
    with pytest.raises(ValueError, match=words):
        calibrated_entropy(**(arguments | options))


def simulate(rng, size, features, length, vocab, alpha, ridge, draws, found):
    """Entropy and loss of the calibrated law, training then unseen, of one network on tokens."""
    d = length * (vocab - 1)
    basis = np.linalg.svd(np.eye(vocab) - 1 / vocab)[0][:, : vocab - 1] * np.sqrt(vocab)
    weights = rng.normal(size=(features, d))

    def noisy(tokens, copies):
        tokens = np.repeat(tokens, copies, axis=0)
        kept = rng.random(tokens.shape) < alpha
        seen = np.where(kept, tokens, rng.integers(vocab, size=tokens.shape))
        u, v = (basis[x].reshape(len(x), d) for x in (tokens, seen))
        return tokens, u, v, np.maximum(v @ weights.T / np.sqrt(d), 0) - 1 / np.sqrt(2 * np.pi)

    stored, unseen = (rng.integers(vocab, size=(n, length)) for n in (size, 2000))
    _, u, _, f = noisy(stored, draws)
    moment = f.T @ f / len(f) + ridge * np.eye(features)
    readout = np.linalg.solve(moment, f.T @ u / len(f))
    values = []
    for tokens, _, v, g in (noisy(stored, 10), noisy(unseen, 1)):
        rest = (g @ readout - found.gain * v).reshape(*tokens.shape, vocab - 1)
        logits = found.memory / found.train_width**2 * rest @ basis.T
        logs = logits - logsumexp(logits, axis=-1, keepdims=True)
        loss = -np.take_along_axis(logs, tokens[..., None], -1)
        values += [-np.sum(np.exp(logs) * logs, axis=-1).mean(), loss.mean()]
    return values


@pytest.mark.slow
def test_simulated_entropies():
    """Deviations fall as 1 / d: from two lengths at fixed ratios they extrapolate to none."""
    alpha, ridge, draws = 0.8, 1e-3, 60

    def deviation(length, networks):
        sizes = (150 * length // 32, 12 * length, length, 4)
        found = outputs(sizes, alpha, "relu", ridge=ridge, draws=draws)
        runs = [
            simulate(np.random.default_rng((7, length, seed)), *sizes, alpha, ridge, draws, found)
            for seed in range(networks)
        ]
        options = {"activation": "relu", "ridge": ridge, "draws": draws}
        theory = [
            calibrated_entropy(*sizes, alpha, split=split, **options) for split in ("train", "test")
        ]
        mean, error = np.mean(runs, axis=0), np.std(runs, axis=0, ddof=1) / np.sqrt(networks)
        return mean - np.ravel(theory), error

    (short, short_error), (long, long_error) = deviation(16, 16), deviation(32, 12)
    limit, error = 2 * long - short, np.hypot(2 * long_error, short_error)
    assert np.all(np.abs(limit) < 4 * error), (limit, error)
    assert np.all(error < [0.004, 0.012, 0.003, 0.03])
    # of training sequences the entropy is lower than in theory, the loss higher
    assert long[0] < -3 * long_error[0] and long[1] > 3 * long_error[1]
    assert np.all(np.abs(long) < [0.02, 0.06, 0.01, 0.1])

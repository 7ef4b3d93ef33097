"""The random-feature denoiser against direct simulation with tokens, and a second implementation.

The simulation draws weights, sequences and noise, and solves the least squares. The second
implementation takes every trace over the spectrum of the weights, where all matrices are diagonal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import erf

from am_theory.linear import circulant_chain_spectrum
from am_theory.random_feature_denoiser import (
    activation_moments,
    errors,
    token_recovery,
)
from tests.helpers import assert_close

# --- quadrature over the spectrum of the weights


def weight_spectrum(psi, points=4000):
    """Eigenvalues x of F F^T and weights of sum psi: the Marchenko-Pastur law with its atom."""
    theta = (np.arange(points) + 0.5) * np.pi / points
    x = (1 - np.sqrt(psi)) ** 2 + 4 * np.sqrt(psi) * np.sin(theta / 2) ** 2
    weights = 2 * psi / np.pi * np.sin(theta) ** 2 / x * np.pi / points
    return np.append(x, 0.0), np.append(weights, max(psi - 1, 0.0))


def errors_by_modes(k, psi, alpha, seen, ridge, b, n=np.inf):
    """Train and held-out error from mode sums; kappas by plain iteration from 1."""
    x, weights = weight_spectrum(psi)
    S = seen.linear * alpha**2 * x + seen.static
    R = seen.linear * (1 - alpha**2) * x + seen.fresh
    kappa_1 = kappa_2 = 1.0
    for _ in range(100_000):
        mu = 1 / (n * kappa_1) + (1 - 1 / n) / kappa_2
        Q = 1 / (S / kappa_1 + mu * R + ridge)
        new_1 = 1 + weights @ ((S + R / n) * Q) / k
        new_2 = 1 + weights @ (R * Q) / (k * n)
        done = abs(new_1 / kappa_1 - 1) + abs(new_2 / kappa_2 - 1) < 1e-15
        kappa_1, kappa_2 = new_1, new_2
        if done:
            break
    zeta = (1 - b * alpha) * alpha / kappa_1 - b * (1 - alpha**2) * mu
    gain = seen.linear * zeta * (weights @ (x * Q))

    def squared(T):
        return seen.linear * zeta**2 * (weights @ (x * T * Q**2))

    def pair(T, U):
        return weights @ (T * U * Q**2)

    m = 1 - b * alpha
    rho = np.array(
        [
            m**2 - 2 * m * alpha * gain + squared(S),
            b**2 * (1 - alpha**2) + 2 * b * (1 - alpha**2) * gain + squared(R),
        ]
    )
    by_sequence = np.array([(pair(S, T) + pair(R, T) / n) / (k * kappa_1**2) for T in (S, R)])
    draws_part = np.array([(1 - 1 / n) / n * pair(R, T) / (k * kappa_2**2) for T in (S, R)])
    system = np.eye(2) - np.column_stack([by_sequence, by_sequence / n + draws_part])
    c_m, n_0 = np.linalg.solve(system, rho)
    theta = (weights @ (S * Q)) / (k * kappa_1)
    return (1 - theta) ** 2 * c_m + theta**2 / n * n_0 + n_0, c_m + n_0


@given(
    st.floats(0.1, 10),
    st.floats(0.05, 30),
    st.floats(0.1, 0.95),
    st.sampled_from(["erf", "relu", "sign", "tanh"]),
    st.floats(1e-3, 1.0),
    st.floats(-0.5, 1.5),
    st.sampled_from([1, 3, 40, np.inf]),
)
def test_a_second_implementation_agrees(k, psi, alpha, name, ridge, skip, draws):
    assume(abs(np.log(psi)) > 0.05)  # the quadrature slows down where the spectrum reaches 0
    found = errors(
        k * 960, psi * 960, 320, 4, alpha, activation=name, ridge=ridge, skip=skip, draws=draws
    )
    seen = activation_moments(name, alpha)
    expected = errors_by_modes(k, psi, alpha, seen, ridge, skip, draws)
    assert_close([found.train, found.heldout], expected, rtol=1e-9)


# --- traces of drawn matrices: the mean over weights on a structured source


def test_traces_of_drawn_weights():
    """kappas and errors with every trace taken of dense matrices, d = 120, p = 180, n = 3."""
    rng, alpha, k, n, ridge, b, d, p = np.random.default_rng(0), 0.6, 1.5, 3, 0.02, 0.3, 120, 180
    spectrum, seen = circulant_chain_spectrum(40, 4, 0.3), activation_moments("relu", 0.6)
    drawn = []
    for _ in range(6):
        F = rng.standard_normal((p, d)) / np.sqrt(d)
        S = seen.linear * alpha**2 * (F * spectrum) @ F.T + seen.static * np.eye(p)
        R = seen.linear * (1 - alpha**2) * F @ F.T + seen.fresh * np.eye(p)
        kappa_1 = kappa_2 = 1.0
        for _ in range(40):
            mu = 1 / (n * kappa_1) + (1 - 1 / n) / kappa_2
            Q = np.linalg.inv(S / kappa_1 + mu * R + ridge * np.eye(p))
            kappa_1 = 1 + np.sum((S + R / n) * Q) / d / k
            kappa_2 = 1 + np.sum(R * Q) / d / (k * n)
        Z = (1 - b * alpha) * alpha * spectrum / kappa_1 - b * (1 - alpha**2) * mu
        A = np.sqrt(seen.linear) * (Z[:, None] * F.T) @ Q
        SQ, RQ = S @ Q, R @ Q
        pairs = {
            "SS": np.sum(SQ * SQ.T) / d,
            "SR": np.sum(SQ * RQ.T) / d,
            "RR": np.sum(RQ * RQ.T) / d,
        }
        own = np.sqrt(seen.linear) * A @ F  # of the noisy code in the output
        rho_m = np.sum(
            spectrum * ((1 - b * alpha) ** 2 - 2 * (1 - b * alpha) * alpha * np.diag(own))
        )
        rho_m = (rho_m + np.sum((A @ S) * A)) / d
        rho_n = (1 - alpha**2) * (b**2 + 2 * b * np.trace(own) / d) + np.sum((A @ R) * A) / d
        by_sequence = np.array([pairs["SS"] + pairs["SR"] / n, pairs["SR"] + pairs["RR"] / n])
        by_sequence /= k * kappa_1**2
        by_draw = (1 - 1 / n) / n * np.array([pairs["SR"], pairs["RR"]]) / (k * kappa_2**2)
        system = np.eye(2) - np.column_stack([by_sequence, by_sequence / n + by_draw])
        c_m, n_0 = np.linalg.solve(system, [rho_m, rho_n])
        drawn.append([kappa_1, kappa_2, b + np.trace(own) / d, c_m + n_0])
    result = errors(
        k * d,
        p,
        40,
        4,
        alpha,
        activation="relu",
        ridge=ridge,
        skip=b,
        draws=n,
        spectrum=spectrum,
    )
    expected = [result.kappa, result.kappa_draws, result.gain, result.heldout]
    # Traces of one draw are exact up to 1 / d; their scatter is below that.
    assert_close(np.mean(drawn, axis=0), expected, rtol=0.5 / d)
    assert np.all(np.std(drawn, axis=0) < 0.02 * np.array(expected))


# --- direct simulation with one-hot tokens

PHI = {"erf": erf, "relu": lambda z: np.maximum(z, 0.0), "tanh": np.tanh, "sign": np.sign}
CENTRE = {"erf": 0.0, "relu": 1 / np.sqrt(2 * np.pi), "tanh": 0.0, "sign": 0.0}


class Setting(NamedTuple):
    size: int
    features: int
    length: int
    vocab: int
    alpha: float
    name: str
    ridge: float
    skip: float | str
    draws: int
    redraw: float = 1.0  # of a chain that steps round the alphabet; 1 is the iid source

    @property
    def problem(self):
        return self.size, self.features, self.length, self.vocab, self.alpha

    @property
    def options(self):
        return {
            "activation": self.name,
            "ridge": self.ridge,
            "skip": self.skip,
            "draws": self.draws,
        }


def sequences(rng, s, count):
    x = np.empty((count, s.length), dtype=int)
    x[:, 0] = rng.integers(0, s.vocab, count)
    for i in range(1, s.length):
        jump = rng.random(count) < s.redraw
        fresh = rng.integers(0, s.vocab, count)
        x[:, i] = np.where(jump, fresh, (x[:, i - 1] + 1) % s.vocab)
    return x


def simulate(rng, s):
    """Errors on training sequences, unseen ones and the noise of training; then recoveries."""
    V, d = s.vocab, s.length * (s.vocab - 1)
    basis = np.linalg.svd(np.eye(V) - 1 / V)[0][:, : V - 1]  # of the codes of one token
    table = np.sqrt(V) * basis  # row v is the code of token v
    W = rng.standard_normal((s.features, d)) / np.sqrt(d)

    def encode(x):
        return table[x].reshape(len(x), d)

    def noisy(x):
        return np.where(rng.random(x.shape) < s.alpha, x, rng.integers(0, V, x.shape))

    def features(u):
        return PHI[s.name](u @ W.T) - CENTRE[s.name]

    x = sequences(rng, s, s.size)
    clean = np.repeat(encode(x), s.draws, axis=0)
    seen = encode(noisy(np.repeat(x, s.draws, axis=0)))
    inputs, penalty = features(seen), np.full(s.features, s.ridge)
    targets = clean
    if s.skip == "full":
        inputs, penalty = np.hstack([inputs, seen]), np.append(penalty, np.zeros(d))
    elif s.skip != "fit":
        targets = clean - s.skip * seen
    gram = inputs.T @ inputs / len(inputs) + np.diag(penalty)
    A = np.linalg.solve(gram, inputs.T @ targets / len(inputs))
    b = s.skip if isinstance(s.skip, float) else 0.0
    if s.skip == "fit":
        # A(b) = A - b A_1, and the loss is a parabola in b.
        A_1 = np.linalg.solve(gram, inputs.T @ seen / len(inputs))
        rest, slope = clean - inputs @ A, seen - inputs @ A_1
        penalty = s.ridge * len(inputs)
        b = (np.sum(rest * slope) + penalty * np.sum(A * A_1)) / (
            np.sum(slope**2) + penalty * np.sum(A_1**2)
        )
        A = A - b * A_1

    def output(u):
        f = features(u)
        return np.hstack([f, u]) @ A if s.skip == "full" else f @ A + b * u

    results = []
    for source in (x, sequences(rng, s, 1000)):
        x_0 = np.tile(source, (1 + 3000 // len(source), 1))
        x_t = noisy(x_0)
        out = output(encode(x_t))
        results.append(np.mean((encode(x_0) - out) ** 2))
        hit = (out.reshape(*x_0.shape, V - 1) @ basis.T).argmax(axis=-1) == x_0
        results += [hit.mean(), hit[x_t != x_0].mean()]
    return [*results, np.mean((clean - output(seen)) ** 2)]


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(Setting(96, 192, 32, 4, 0.8, "erf", 1e-3, 0.0, 40), marks=SLOW),
        Setting(120, 128, 64, 2, 0.75, "relu", 1e-3, "full", 40),
        pytest.param(Setting(120, 100, 32, 4, 0.6, "relu", 1e-2, "fit", 8), marks=SLOW),
        Setting(96, 192, 32, 4, 0.8, "erf", 1e-2, 0.0, 1),
        pytest.param(Setting(64, 192, 32, 4, 0.8, "tanh", 1e-2, 0.4, 2), marks=SLOW),
        pytest.param(Setting(150, 96, 32, 4, 0.5, "sign", 1e-2, 0.0, 10), marks=SLOW),
        Setting(150, 160, 32, 4, 0.5, "relu", 1e-3, 0.0, 20, 0.3),
        pytest.param(Setting(150, 160, 32, 4, 0.5, "relu", 1e-3, "full", 20, 0.3), marks=SLOW),
    ],
    ids=lambda s: f"{s.name}-{s.skip}-{s.draws}-{s.redraw}",
)
def test_against_simulation(setting):
    """Within four standard errors and the finite-size correction."""
    rng, d = np.random.default_rng(11), setting.length * (setting.vocab - 1)
    drawn = np.array([simulate(rng, setting) for _ in range(6)])
    mean, error = drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    spectrum = circulant_chain_spectrum(setting.length, setting.vocab, setting.redraw)
    iid = setting.redraw == 1
    result = errors(*setting.problem, **setting.options, spectrum=None if iid else spectrum)
    expected = {0: result.train, 3: result.heldout, 6: result.seen}
    if iid:
        for at, (split, tokens) in {
            1: ("train", "all"),
            2: ("train", "corrupted"),
            4: ("test", "all"),
            5: ("test", "corrupted"),
        }.items():
            expected[at] = token_recovery(
                *setting.problem, **setting.options, split=split, tokens=tokens
            )
    # Corrections of order 1 / d: .3 / d in errors, and 1 / d to 2 / d in corrupted train recovery.
    room = {1: 0.5, 2: 1.5, 4: 0.5, 5: 0.5}
    for at, value in expected.items():
        bound = 4 * error[at] + room.get(at, 0.5 * value) / d
        assert abs(mean[at] - value) < bound, (at, mean[at], error[at], value)

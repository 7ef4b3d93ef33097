"""The three losses have one optimum, the leave-one-out law, and training noise is the channel."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from am_theory.channel import Linear, LogLinear, Uniform
from models.training.loss import (
    LEVEL_POWER,
    LOSSES,
    SMALLEST_LEVEL,
    Corrupted,
    corrupt,
    kept_noise,
    noised,
    pick,
    stratified,
)
from tests import oracles

V, L = 3, 2
SEQS = oracles.all_sequences(V, L)
LAW = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, L)
PAIRS = np.indices((len(SEQS), len(SEQS))).reshape(2, -1)  # (x_0, x_t)
ALPHAS = [0.05, 0.5, 0.7, 0.97]


class Table(eqx.Module):
    """A free law for every site of every noisy sequence: nothing is built in."""

    logits: Any
    vocab_size: int = eqx.field(static=True, default=V)
    seq_len: int = eqx.field(static=True, default=L)
    schedule: Any = eqx.field(static=True, default=Linear())

    def log_loo(self, x_t, t):
        return jax.nn.log_softmax(self.logits[x_t[:, 0] * V + x_t[:, 1]])


def site_joint(alpha: float, site: int) -> np.ndarray:
    """Joint law (x_0, x_t) where `site` was redrawn and the others passed the channel."""
    kernel = [oracles.token_kernel(V, alpha)] * L
    kernel[site] = np.full((V, V), 1 / V)
    probs = [kernel[i][SEQS[:, None, i], SEQS[None, :, i]] for i in range(L)]
    return LAW[:, None] * np.prod(probs, axis=0)


def joint(alpha: float) -> np.ndarray:
    return LAW[:, None] * oracles.channel_matrix(SEQS, V, alpha)


def expected_loss(name: str, logits: Any, alpha: float) -> tuple[Any, Any]:
    """The loss averaged over every clean and every noisy sequence, and its gradient."""
    laws = [site_joint(alpha, i) if name == "loo" else joint(alpha) / L for i in range(L)]
    laws = np.stack(laws)[:, PAIRS[0], PAIRS[1]]
    return _loss_and_slope(name, jnp.asarray(logits), jnp.asarray(laws), 1 - alpha)


def _loss(logits, name, laws, t):
    x_0, x_t = jnp.asarray(SEQS[PAIRS[0]]), jnp.asarray(SEQS[PAIRS[1]])
    total = 0.0
    for site in range(L):
        weights = jnp.zeros(x_0.shape).at[:, site].set(1.0)
        noisy = Corrupted(x_t, weights)
        value = LOSSES[name](Table(logits), noisy, x_0, jnp.full(len(x_0), t))
        total = total + jnp.sum(laws[site] * value)
    return total


@partial(jax.jit, static_argnums=0)
def _loss_and_slope(name, logits, laws, t):
    return jax.value_and_grad(_loss)(logits, name, laws, t)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("name", LOSSES)
def test_the_leave_one_out_law_is_the_optimum(name, alpha):
    exact = np.log(oracles.loo(LAW, SEQS, alpha, V))
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        best, slope = expected_loss(name, exact, alpha)
        assert np.abs(np.asarray(slope)).max() < 1e-12
        for _ in range(3):
            other = exact + 0.3 * rng.standard_normal(exact.shape)
            assert expected_loss(name, other, alpha)[0] > best


@pytest.mark.parametrize("name", ["nelbo", "loo"])
def test_the_token_posterior_is_not_the_optimum(name):
    with jax.enable_x64(True):
        found = [
            float(expected_loss(name, np.log(law(LAW, SEQS, 0.7, V)), 0.7)[0])
            for law in (oracles.loo, oracles.full)
        ]
    assert found[1] > found[0] + 0.1


def test_cross_entropies_at_the_optimum_are_entropies():
    """Of `full`: the mean token entropy given x_t; of `loo`: given the other noisy tokens."""
    alpha = 0.6
    exact = oracles.loo(LAW, SEQS, alpha, V)
    noisy = joint(alpha).sum(axis=0)
    entropies = {
        "full": noisy @ oracles.entropy(oracles.full(LAW, SEQS, alpha, V)).mean(axis=1),
        "loo": noisy @ oracles.entropy(exact).mean(axis=1),
    }
    with jax.enable_x64(True):
        for name, entropy in entropies.items():
            value = float(expected_loss(name, np.log(exact), alpha)[0])
            assert value == pytest.approx(entropy, rel=1e-12)


# --- training noise

N = 100_000


def draws(alpha: float, force: bool) -> tuple[np.ndarray, np.ndarray, Corrupted]:
    """Clean sequences (n, L), their index, and what `corrupt` makes of them."""
    index = np.random.default_rng(1).choice(len(SEQS), size=N, p=LAW)
    level = jnp.full(N, alpha, jnp.float32)
    noisy = jax.jit(corrupt, static_argnums=(3, 4))(
        jax.random.key(2), jnp.asarray(SEQS[index]), level, V, force
    )
    return SEQS[index], index, Corrupted(*map(np.asarray, noisy))


def agrees(index: np.ndarray, x_t: np.ndarray, law: np.ndarray) -> None:
    """Frequencies of (x_0, x_t) within five standard errors of `law` in every cell."""
    cells = index * len(SEQS) + oracles.sequence_index(x_t, V)
    share = np.bincount(cells, minlength=law.size) / len(cells)
    p = law.ravel()
    assert np.all(np.abs(share - p) <= 5 * np.sqrt(p * (1 - p) / len(cells)) + 5 / len(cells))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_unforced_noise_is_the_channel(alpha):
    """Also where fewer than one site of a sequence is resampled, as two losses require."""
    _, index, noisy = draws(alpha, force=False)
    agrees(index, noisy.x_t, joint(alpha))


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_scored_site_is_uniform_and_its_context_is_the_channel(alpha, force):
    _, index, noisy = draws(alpha, force)
    for site in range(L):
        scored = noisy.weights[:, site] > 0
        agrees(index[scored], noisy.x_t[scored], site_joint(alpha, site))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_weights_of_scored_sites(alpha):
    for force in (False, True):
        x_0, _, noisy = draws(alpha, force)
        if force and (1 - alpha) * L < 1:
            assert np.all(np.sort(noisy.weights, axis=1) == [0, 1])
            continue
        values = np.unique(noisy.weights)
        expected = 1 / np.sqrt(max((1 - alpha) * L, 1))
        np.testing.assert_allclose(values, [0, expected], rtol=1e-5)
        rate = (noisy.weights > 0).mean()
        p = 1 - alpha
        assert abs(rate - p) < 5 * np.sqrt(p * (1 - p) / (N * L))
        assert np.all(noisy.weights[noisy.x_t != x_0] > 0)  # what changed was resampled


@pytest.mark.parametrize("name", LOSSES)
def test_levels_are_one_to_a_stratum(name):
    uniforms, x_0 = stratified(jax.random.key(3), 64), jnp.zeros((64, 3), int)
    t = noised(jax.random.key(4), x_0, uniforms, Linear(), Uniform(V), name)[1]
    t = np.asarray(t, dtype=float)
    assert t.min() >= SMALLEST_LEVEL
    assert t.max() <= 1
    uniform = ((t - SMALLEST_LEVEL) / (1 - SMALLEST_LEVEL)) ** (1 / LEVEL_POWER[name])
    np.testing.assert_array_equal(np.floor(uniform * 64 + 1e-4), np.arange(64))
    assert np.ptp(np.modf(uniform * 64)[0]) > 0.5  # the place within a stratum varies


def test_pick():
    law = np.log(np.array([[[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]], np.float32))
    np.testing.assert_allclose(pick(law, np.array([[2, 0]])), np.log([[0.7, 0.3]]), rtol=1e-6)


# --- noise that is kept

COPIES = 4


def kept(row, copy, x_0):
    schedule = LogLinear()
    return jax.jit(kept_noise, static_argnums=(3, 5, 6, 7))(
        jax.random.key(3),
        jnp.asarray(row),
        jnp.asarray(copy),
        COPIES,
        x_0,
        schedule,
        Uniform(V),
        "nelbo",
    )


def test_kept_noise_depends_on_the_row_and_the_copy_alone():
    rng = np.random.default_rng(4)
    row, copy = rng.integers(50, size=400), rng.integers(COPIES, size=400)
    x_0 = jnp.asarray(SEQS[row % len(SEQS)])
    noisy, t = kept(row, copy, x_0)
    order = rng.permutation(400)
    again, t_again = kept(row[order], copy[order], x_0[order])
    assert np.array_equal(np.asarray(noisy.x_t)[order], again.x_t)
    assert np.array_equal(np.asarray(t)[order], t_again)
    distinct = {(int(a), int(b)) for a, b in zip(row, copy, strict=True)}
    assert len(np.unique(np.asarray(t))) == len(distinct)


def test_levels_of_kept_copies_are_one_to_a_stratum():
    row, copy = (a.ravel() for a in np.meshgrid(np.arange(100), np.arange(COPIES)))
    t = np.asarray(kept(row, copy, jnp.asarray(SEQS[row % len(SEQS)]))[1])
    uniform = (t - SMALLEST_LEVEL) / (1 - SMALLEST_LEVEL)
    assert np.array_equal(np.floor(uniform * COPIES), copy)
    assert np.unique(uniform * COPIES - copy).size > 390


def test_kept_noise_is_the_channel_over_many_rows():
    n = 40_000
    row, copy = np.arange(n), np.full(n, 1)
    index = np.random.default_rng(5).choice(len(SEQS), size=n, p=LAW)
    noisy, t = kept(row, copy, jnp.asarray(SEQS[index]))
    changed = np.asarray(noisy.x_t) != SEQS[index]
    expected = (1 - np.asarray(LogLinear().alpha(np.asarray(t)))) * (V - 1) / V
    gap = changed.mean(1) - expected
    assert abs(gap.mean()) < 5 * gap.std() / n**0.5

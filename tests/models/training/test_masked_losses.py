"""Losses and training noise of channels with a mask: their optimum, their mean, their variance."""

from __future__ import annotations

import itertools
from math import comb

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from am_theory import channel
from am_theory.channel import Absorbing, Hybrid, Linear
from models.networks.dit import DiT, Shape
from models.networks.mlp import MLPDenoiser
from models.released.checkpoint import load_model, save_model
from models.sources import MarkovSource
from models.training.config import TrainConfig
from models.training.loss import Corrupted, corrupt, loo_loss, mask_counts, nelbo_loss, noised
from models.training.train import train
from tests import oracles
from tests.helpers import assert_close, assert_digits, within_standard_errors

CHAIN = MarkovSource(oracles.CHAIN, 4)
KINDS = [Absorbing(3), Hybrid(3, 0.2)]
X_0 = np.array([0, 2, 1, 1])
EXACT = CHAIN.population_denoiser(Linear(), Absorbing(3))


def one_draw(masked: np.ndarray) -> float:
    """Cross-entropy of the exact law at masked sites over their number."""
    x_t = np.where(masked, 3, X_0)[None]
    law = EXACT.log_loo(x_t, 0.5)[0]
    return -float(law[np.arange(4), X_0][masked].sum())


def test_mean_and_variance_of_both_estimators_as_printed():
    """Drawn by the number of masks the one-draw variance is 3.283, by the level 61.4."""
    means, squares = [], []
    total = 0.0
    for number in range(1, 5):
        rows = [np.isin(np.arange(4), s) for s in itertools.combinations(range(4), number)]
        draws = np.array([one_draw(row) * 4 / number for row in rows])
        means.append(draws.mean())
        squares.append((draws**2).mean())
        # the same by levels: C(4, l) times the integral of t^(l - 1) (1 - t)^(4 - l), l masks
        beta = 1 / (number * comb(4, number))
        total += sum(one_draw(row) for row in rows) * beta
    assert_digits(np.mean(means), "5.2293244951")
    assert_close(total, np.mean(means))
    assert_close(np.mean(means), -CHAIN.log_prob(X_0[None])[0])
    assert_digits(np.mean(squares) - np.mean(means) ** 2, "3.283")


def test_training_draws_that_number_of_masks():
    n = 20_000
    x_0 = jnp.asarray(np.tile(X_0, (n, 1)))
    uniforms = (jnp.arange(n) + 0.5) / n
    noisy, t = jax.jit(mask_counts, static_argnums=(3, 4))(
        jax.random.key(0), x_0, uniforms, Linear(), 3
    )
    masked = np.asarray(noisy.x_t) == 3
    number = masked.sum(1)
    assert np.array_equal(np.bincount(number), [0, n // 4, n // 4, n // 4, n // 4])
    assert_close(np.asarray(t, float), number / 4, atol=1e-6)
    assert (np.asarray(noisy.x_t)[~masked] == np.tile(X_0, (n, 1))[~masked]).all()
    weights = np.asarray(noisy.weights, float)
    assert_close(weights, masked * 4 / number[:, None], atol=1e-5)
    assert_close(masked.mean(0), np.full(4, 0.625), atol=0.02)
    law = np.where(masked[..., None], EXACT.log_loo(np.asarray(noisy.x_t), 0.5), 0.0)
    own = np.take_along_axis(law, np.tile(X_0, (n, 1))[..., None], -1)[..., 0]
    within_standard_errors(-(weights * own).sum(1), 5.2293244951)


class Exact(eqx.Module):
    """The exact law as a model, for the losses."""

    law: object
    channel: object = eqx.field(static=True)
    schedule: object = eqx.field(static=True, default=Linear())
    vocab_size: int = eqx.field(static=True, default=3)
    seq_len: int = eqx.field(static=True, default=4)

    def log_loo(self, x_t, t):
        return self.law.log_loo(x_t, t)


def test_losses_of_the_exact_law_are_its_entropies():
    """`nelbo` of the absorbing channel: the entropy of the source over L, in the mean."""
    model = Exact(EXACT.jax(), Absorbing(3))
    x_0 = jnp.asarray(CHAIN.sample(np.random.default_rng(0), 20_000).astype(int))
    uniforms = (jnp.arange(len(x_0)) % 64 + 0.5) / 64
    noisy, t = noised(jax.random.key(0), x_0, uniforms, Linear(), Absorbing(3), "nelbo")
    found = np.asarray(nelbo_loss(model, noisy, x_0, t), float)
    within_standard_errors(found, CHAIN.entropy() / 4)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
@pytest.mark.parametrize("force", [False, True])
def test_noise_of_a_scored_site_has_the_shares_of_its_channel(kind, force):
    x_0 = jnp.zeros((50_000, 4), int)
    alpha = jnp.full(len(x_0), 0.9)
    noisy = jax.tree.map(np.asarray, corrupt(jax.random.key(0), x_0, alpha, kind, force))
    scored = noisy.weights > 0
    rates = kind.rates(0.9)
    share = (noisy.x_t == 3)[scored]
    assert abs(share.mean() - rates.mask / 0.1) < 5 * np.sqrt(0.25 / share.size) + 1e-12
    if not force:  # else the context of the one site that is scored is noised too
        assert (noisy.x_t[~scored] < 3).all()
        within_standard_errors((noisy.x_t == 3).mean(1), rates.mask)


def test_plain_rate_of_the_hybrid_is_the_loss():
    kind = Hybrid(3, 0.2)
    rng = np.random.default_rng(0)
    law = np.log(rng.dirichlet(np.ones(3), size=(5, 4)))
    x_t, x_0 = rng.integers(4, size=(5, 4)), rng.integers(3, size=(5, 4))
    t = jnp.asarray(rng.uniform(0.1, 0.9, size=5))

    class Fixed:
        vocab_size, seq_len, schedule, channel = 3, 4, Linear(), kind

        def log_loo(self, tokens, level):
            return jnp.asarray(law)

    noisy = Corrupted(jnp.asarray(x_t), jnp.ones((5, 4)))
    expected = channel.nelbo_rate(law, x_t, x_0, 1 - np.asarray(t), -1.0, kind).mean(1)
    assert_close(np.asarray(nelbo_loss(Fixed(), noisy, x_0, t), float), expected, rtol=1e-5)


def network(kind, model="mlp"):
    if model == "dit":
        return DiT(jax.random.key(0), 3, Shape(16, 1, 2, 8), 4, Linear(), 0.0, kind, False)
    return MLPDenoiser(jax.random.key(0), 3, 4, 32, 1, Linear(), kind)


@pytest.mark.parametrize("model", ["mlp", "dit"])
@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_a_saved_network_comes_back_with_its_channel(tmp_path, model, kind):
    saved = network(kind, model)
    save_model(saved, tmp_path / "run")
    loaded, _ = load_model(tmp_path / "run")
    assert jax.tree.structure(loaded) == jax.tree.structure(saved)
    assert loaded.channel == kind and loaded.vocab_size == 3
    if model == "dit":
        assert not loaded.timed and loaded.embedding.shape == (4, 16)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["loo", "nelbo", "full"])
@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_trained_networks_find_the_law_of_the_source(kind, loss):
    stored = CHAIN.sample(np.random.default_rng(0), 20_000)
    config = TrainConfig(1500, 256, 5e-3, warmup=50, loss=loss)
    found = train(jax.random.key(0), network(kind), stored, len(stored), config).model
    exact = CHAIN.population_denoiser(Linear(), kind)
    x_t = oracles.noisy_sequences(3, 4, (0.5, 0.1, 0.4))
    alpha = tuple(float(x) for x in kind.rates(0.5)[:3])
    chance = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 4) @ oracles.channel_matrix(
        oracles.all_sequences(3, 4), 3, alpha
    )
    gap = np.abs(np.exp(np.asarray(found.log_loo(x_t, 0.5))) - np.exp(exact.log_loo(x_t, 0.5)))
    masked = x_t == 3
    weight = chance[:, None] * masked
    assert (weight * gap.max(-1)).sum() / weight.sum() < 0.03


def test_loo_loss_of_masks_ignores_visible_sites():
    model = Exact(EXACT.jax(), Absorbing(3))
    noisy = Corrupted(jnp.asarray([[0, 3, 1, 1]]), jnp.asarray([[0.0, 1.0, 0.0, 0.0]]))
    law = EXACT.log_loo([[0, 3, 1, 1]], 0.5)
    found = loo_loss(model, noisy, jnp.asarray(X_0)[None], jnp.asarray([0.5]))
    assert_close(float(found[0]), -law[0, 1, 2] / 4, rtol=1e-5)

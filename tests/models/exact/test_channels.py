"""The empirical denoiser under masks and hybrid noise: enumeration, a plain twin, and theory."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import Absorbing, Hybrid, Linear, Uniform
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from tests import oracles
from tests.helpers import assert_close, within_standard_errors

LINEAR = Linear()  # t = 1 - alpha
KINDS = {"absorbing": Absorbing, "hybrid": lambda v: Hybrid(v, 0.2)}
seeds = st.integers(0, 2**32 - 1)


def triple(channel, alpha):
    return tuple(float(x) for x in channel.rates(alpha)[:3])


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds, size=st.integers(1, 6), shape=st.sampled_from([(2, 4), (3, 3), (5, 2)]))
def test_laws_equal_enumeration(kind, seed, size, shape):
    vocab_size, seq_len = shape
    channel = KINDS[kind](vocab_size)
    rng = np.random.default_rng(seed)
    patterns = rng.integers(vocab_size, size=(size, seq_len))
    alpha = float(rng.uniform(0.1, 0.9))
    denoiser = EmpiricalDenoiser(patterns, vocab_size, LINEAR, channel=channel)
    law = oracles.empirical_law(patterns, vocab_size)
    x_t = noise(rng, patterns[rng.integers(size, size=10)], alpha, channel).astype(int)
    found = denoiser.posterior(x_t, 1 - alpha, rng)
    full = oracles.full(law, x_t, triple(channel, alpha), vocab_size)
    loo = oracles.loo(law, x_t, triple(channel, alpha), vocab_size)
    assert_close(np.exp(found.log_full), full, atol=1e-12)
    asked = np.full(x_t.shape, True) if channel.redraws else x_t == vocab_size
    assert_close(np.exp(found.log_loo)[asked], loo[asked], atol=1e-12)
    assert_close(denoiser.log_loo(x_t, 1 - alpha), found.log_loo)
    fits = oracles.token_kernel(vocab_size, triple(channel, alpha))[
        oracles.all_sequences(vocab_size, seq_len)[:, None], x_t
    ].prod(-1)
    assert_close(denoiser.log_prob_noisy(x_t, 1 - alpha), np.log(law @ fits), atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("counted", [False, True])
def test_jax_twin_and_counts(kind, counted):
    rng = np.random.default_rng(0)
    patterns = rng.integers(4, size=(60, 8))
    patterns[10:20] = patterns[:10]
    channel = KINDS[kind](4)
    plain = EmpiricalDenoiser(patterns, 4, LINEAR, channel=channel)
    one = EmpiricalDenoiser.merged(patterns, 4, LINEAR, channel) if counted else plain
    x_t = noise(rng, patterns, 0.4, channel).astype(int)
    twin = np.asarray(one.jax().log_loo(jnp.asarray(x_t), 0.6), float)
    assert_close(np.exp(twin), np.exp(plain.log_loo(x_t, 0.6)), atol=2e-5)


@pytest.mark.parametrize(
    "seq_len, vocab_size",
    [(24, 4), (70, 8), pytest.param(20, 256, marks=pytest.mark.slow)],  # wider tokens compile
)
def test_consistent_sequences_are_equally_likely(seq_len, vocab_size):
    """Erasures: the posterior is uniform on the stored sequences that agree with what is seen."""
    rng = np.random.default_rng(1)
    patterns = rng.integers(vocab_size, size=(500, seq_len))
    patterns[100:200, ::2] = patterns[:100, ::2]  # rivals that agree on half of the sites
    denoiser = EmpiricalDenoiser(patterns, vocab_size, LINEAR, channel=Absorbing(vocab_size))
    x_t = patterns[:100].copy()
    x_t[:, 1::2] = vocab_size
    fits = ((x_t[:, None] == patterns) | (x_t == vocab_size)[:, None]).all(-1)
    found = denoiser.posterior(x_t, 0.5, rng, np.arange(100))
    number = fits.sum(1)
    assert_close(found.entropy, np.log(number), atol=1e-12)
    assert_close(found.true_weight, 1 / number)
    assert fits[np.arange(100), found.map_index].all()
    assert fits[np.arange(100), found.draw_index].all()
    share = np.einsum("bk,kiv->biv", fits / number[:, None], np.eye(vocab_size)[patterns])
    masked = x_t == vocab_size
    assert_close(np.exp(found.log_loo)[masked], share[masked], atol=1e-12)
    assert_close(np.exp(found.log_full)[masked], share[masked], atol=1e-12)
    drawn = denoiser.posterior_draw(rng, x_t, 0.5)
    assert (drawn == x_t)[~masked].all()


@given(seeds)
def test_contexts_that_nothing_fits_have_the_hybrid_limit(seed):
    rng = np.random.default_rng(seed)
    patterns = rng.integers(3, size=(5, 6))
    x_t = rng.integers(3, size=(8, 6))
    x_t[:, 2] = 3
    absorbing = EmpiricalDenoiser(patterns, 3, LINEAR, channel=Absorbing(3))
    hybrid = EmpiricalDenoiser(patterns, 3, LINEAR, channel=Hybrid(3, 1e-9))
    law = np.exp(absorbing.log_loo(x_t, 0.4))
    assert not np.isnan(law).any()
    assert_close(law[:, 2], np.exp(hybrid.log_loo(x_t, 0.4))[:, 2], atol=1e-6)
    agree = (x_t[:, None] == patterns).sum(-1)
    best = agree == agree.max(1, keepdims=True)
    expected = (best / best.sum(1, keepdims=True)) @ np.eye(3)[patterns[:, 2]]
    assert_close(law[:, 2], expected, atol=1e-12)
    some = (agree < 5).all(1)
    assert np.isneginf(absorbing.log_prob_noisy(x_t, 0.4)[some]).all()


def test_uniform_named_is_uniform_meant():
    rng = np.random.default_rng(3)
    patterns = rng.integers(4, size=(50, 9))
    x_t = noise(rng, patterns, 0.5, 4)
    plain = EmpiricalDenoiser(patterns, 4).log_loo(x_t, 0.5)
    named = EmpiricalDenoiser(patterns, 4, channel=Uniform(4)).log_loo(x_t, 0.5)
    np.testing.assert_array_equal(named, plain)


@pytest.mark.parametrize("kind", KINDS)
def test_forward_noise_has_the_rates_of_its_channel(kind):
    channel = KINDS[kind](4)
    rng = np.random.default_rng(5)
    x_0 = rng.integers(4, size=(4000, 20)).astype(np.uint8)
    x_t = noise(rng, x_0, 0.6, channel)
    rates = channel.rates(0.6)
    within_standard_errors((x_t == 4).mean(1), rates.mask)
    within_standard_errors((x_t == x_0).mean(1), 0.6 + rates.redraw / 4)
    np.testing.assert_array_equal(noise(rng, x_0, 1.0, channel), x_0)


def test_masks_are_refused_without_a_channel_that_has_them():
    patterns = np.zeros((2, 3), int)
    with pytest.raises(ValueError, match="the denoiser needs a channel that has one"):
        EmpiricalDenoiser(patterns, 2).log_loo([[0, 2, 0]], 0.5)
    with pytest.raises(ValueError, match="`vocab_size` never counts the mask"):
        EmpiricalDenoiser(patterns, 2, channel=Absorbing(2)).log_loo([[0, 3, 0]], 0.5)
    with pytest.raises(ValueError, match="the channel's V may count it"):
        EmpiricalDenoiser(patterns, 2, channel=Absorbing(3))

"""Population denoisers under masks and hybrid noise, against enumeration and printed values."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from am_theory.channel import Absorbing, Hybrid, Linear, Uniform
from models.sources import HiddenMarkovSource, HierarchySource, MarkovSource
from tests import oracles
from tests.helpers import assert_close, assert_digits
from tests.registry import R2, SOURCES, cases, source_law

MASKING = {
    "absorbing": Absorbing,
    "hybrid": lambda v: Hybrid(v, 0.2),
    "both ends": lambda v: Hybrid(v, 0.0),
}
T = np.array([0.35])


def noise_triple(denoiser):
    return tuple(float(x) for x in denoiser.channel.rates(float(denoiser.schedule.alpha(T[0])))[:3])


def inputs(source, alpha, law, n=40):
    """Noisy sequences of positive probability, and the law of each."""
    v, length = source.vocab_size, source.seq_len
    if (v + 1) ** length > 4096:
        pytest.skip("enumeration is meant for (V + 1)**L <= 4096")
    noisy = oracles.noisy_sequences(v, length, alpha)
    chance = law @ oracles.channel_matrix(oracles.all_sequences(v, length), v, alpha)
    some = np.random.default_rng(0).permutation(np.flatnonzero(chance > 1e-12))[:n]
    return noisy[some], np.log(chance[some])


@pytest.mark.parametrize("kind", MASKING)
@pytest.mark.parametrize("name", cases(SOURCES))
def test_loo_and_probability_by_enumeration(name, kind):
    source, law = SOURCES[name], source_law(name)
    denoiser = source.population_denoiser(Linear(), MASKING[kind](source.vocab_size))
    alpha = noise_triple(denoiser)
    x_t, log_prob = inputs(source, alpha, law)
    assert_close(denoiser.log_prob_noisy(x_t, T[0]), log_prob, atol=1e-9)
    found = np.exp(denoiser.log_loo(x_t, T[0]))
    expected = oracles.loo(law, x_t, alpha, source.vocab_size)
    asked = x_t == source.vocab_size if not denoiser.channel.redraws else np.full(x_t.shape, True)
    assert_close(found[asked], expected[asked], atol=1e-8)
    own = np.take_along_axis(found, np.minimum(x_t, source.vocab_size - 1)[..., None], -1)[..., 0]
    if not denoiser.channel.redraws:
        assert (own[~asked] == 1).all()
    if hasattr(denoiser, "jax"):
        twin = np.exp(np.asarray(denoiser.jax().log_loo(jnp.asarray(x_t), T[0]), float))
        assert_close(twin, found, atol=2e-4)


@pytest.mark.parametrize("name", cases(["chain", "hidden", "hierarchy, one rule", "iid"]))
def test_posterior_draws_keep_what_is_visible_under_erasures(name):
    source = SOURCES[name]
    denoiser = source.population_denoiser(Linear(), Absorbing(source.vocab_size))
    x_0 = source.sample(np.random.default_rng(0), 1)
    x_t = np.repeat(x_0, 20_000, axis=0).astype(int)
    x_t[:, ::2] = source.vocab_size
    drawn = denoiser.posterior_draw(np.random.default_rng(1), x_t, 0.5)
    assert (drawn == x_0)[:, 1::2].all() and drawn.max() < source.vocab_size
    law = np.exp(denoiser.log_loo(x_t[:1], 0.5))[0]
    for i in range(0, source.seq_len, 2):
        share = np.bincount(drawn[:, i], minlength=source.vocab_size) / len(drawn)
        assert_close(share, law[i], atol=5 * np.sqrt(0.25 / len(drawn)))


def test_chain_with_missing_tokens_as_printed():
    source = MarkovSource(oracles.CHAIN, 6)
    denoiser = source.population_denoiser(Linear(), Absorbing(3))
    law = np.exp(denoiser.log_loo([[0, 3, 3, 1, 3, 2]], 0.5))[0]
    for found, printed in zip(law[1], (".61764706", ".28173375", ".10061920"), strict=True):
        assert_digits(found, printed)
    seen = denoiser.log_prob_noisy([[0, 3, 3, 1, 3, 2]], 0.5) - 6 * np.log(0.5)
    assert_digits(seen[0], "-3.238532034")
    # site 3, were it masked too
    law = np.exp(denoiser.log_loo([[0, 3, 3, 3, 3, 2]], 0.5))[0, 3]
    for found, printed in zip(law, (".29799342", ".40582388", ".29618270"), strict=True):
        assert_digits(found, printed)


def test_chain_under_the_hybrid_as_printed():
    denoiser = MarkovSource(oracles.CHAIN, 6).population_denoiser(Linear(), Hybrid(3, 0.1))
    x_t = [[0, 2, 3, 1, 3, 2]]
    law = np.exp(denoiser.log_loo(x_t, 0.5))[0]
    for site, printed in (
        (1, (".56869553", ".30233533", ".12896913")),
        (2, (".21826626", ".46018545", ".32154829")),
    ):
        for found, digits in zip(law[site], printed, strict=True):
            assert_digits(found, digits)
    assert_digits(denoiser.log_prob_noisy(x_t, 0.5)[0], "-8.953672895")


def test_information_of_a_long_chain_under_erasures():
    """The sum over gaps of the entropies of jumps, another way than Monte Carlo."""
    source, alpha = MarkovSource(oracles.CHAIN, 40), 0.25
    total, jump, start = 0.0, np.eye(3), oracles.CHAIN_START
    total = oracles.entropy(start) * (1 - (1 - alpha) ** 40)
    for k in range(1, 40):
        jump = jump @ oracles.CHAIN
        total += (40 - k) * alpha**2 * (1 - alpha) ** (k - 1) * float(start @ oracles.entropy(jump))
    assert_digits(total, "10.3683918298")
    found = source.mutual_information(alpha, np.random.default_rng(0), 20_000, Absorbing(3))
    assert abs(found.value - total) < 4 * found.standard_error


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(HierarchySource(R2), marks=pytest.mark.slow),
        MarkovSource([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], 4),
        pytest.param(
            HiddenMarkovSource([[0.0, 1.0], [1.0, 0.0]], [[1.0, 0, 0], [0, 0.5, 0.5]], 4),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_contexts_off_the_support_have_the_hybrid_limit(source):
    """Every sequence with one mask: a law, never NaN, that of vanishing uniform noise."""
    v, length = source.vocab_size, source.seq_len
    x_t = oracles.all_sequences(v, length).copy()
    x_t[:, 1] = v
    absorbing = source.population_denoiser(Linear(), Absorbing(v))
    hybrid = source.population_denoiser(Linear(), Hybrid(v, 1e-11))
    law = np.exp(absorbing.log_loo(x_t, 0.3))
    assert np.abs(law.sum(-1) - 1).max() < 1e-9
    assert_close(law[:, 1], np.exp(hybrid.log_loo(x_t, 0.3))[:, 1], atol=1e-6)


def test_uniform_named_is_uniform_meant():
    source = SOURCES["chain"]
    x_t = source.sample(np.random.default_rng(0), 5)
    named = source.population_denoiser(Linear(), Uniform(3)).log_loo(x_t, 0.4)
    np.testing.assert_array_equal(named, source.population_denoiser(Linear()).log_loo(x_t, 0.4))


def test_a_mask_is_refused_where_the_channel_has_none():
    denoiser = SOURCES["chain"].population_denoiser()
    with pytest.raises(ValueError, match="If it is a mask, the denoiser needs a channel"):
        denoiser.log_loo([[0, 1, 2, 3]], 0.5)
    denoiser = SOURCES["chain"].population_denoiser(Linear(), Absorbing(3))
    with pytest.raises(ValueError, match="`vocab_size` never counts the mask; does it here"):
        denoiser.log_loo([[0, 1, 2, 4]], 0.5)

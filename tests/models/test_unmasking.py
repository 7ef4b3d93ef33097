"""The reverse process of channels with a mask, unmasking by confidence, and single masked sites."""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from am_theory.channel import Absorbing, Cosine, Hybrid, Linear, LogLinear
from models.denoiser import check_denoiser, contract_problems
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.sampler import ancestral, generate, reverse_law, reverse_step
from models.sources import HierarchySource, MarkovSource
from models.unmasking import single_mask_laws, unmask_confident
from tests import oracles
from tests.helpers import assert_close, assert_digits
from tests.registry import R2, source_law

CHAIN = MarkovSource(oracles.CHAIN, 4)
STATES = oracles.all_sequences(4, 4)  # three letters and the mask
SETS = np.random.default_rng(0).integers(3, size=(20, 6))


def exact(kind):
    return CHAIN.population_denoiser(Linear(), kind)


@pytest.mark.parametrize("kind", [Absorbing(3), Hybrid(3, 0.1), Hybrid(3, 0.6)], ids=repr)
@pytest.mark.parametrize("in_jax", [False, True])
def test_mixture_form_draws_the_dense_law(kind, in_jax):
    rng = np.random.default_rng(0)
    denoiser = exact(kind)
    for alpha_t, alpha_s in ((0.3, 0.6), (0.5, 1.0)):
        x_t = np.array([[0, 3, 2, 3]])
        log_loo = denoiser.log_loo(x_t, 1 - alpha_t)
        n = 40_000
        given = [np.repeat(log_loo, n, axis=0), np.repeat(x_t, n, axis=0)]
        uniforms = rng.random((3, n, 4))
        if in_jax:
            given, uniforms = [jnp.asarray(a) for a in given], jnp.asarray(uniforms)
        drawn = np.asarray(reverse_step(uniforms, *given, alpha_t, alpha_s, kind))
        law = reverse_law(log_loo, x_t, alpha_t, alpha_s, kind)[0]
        for site in range(4):
            share = np.bincount(drawn[:, site], minlength=4) / n
            assert_close(share, law[site], atol=5 * np.sqrt(0.25 / n))
        if alpha_s == 1:
            assert drawn.max() < 3
    if not kind.redraws:
        assert (drawn[:, [0, 2]] == x_t[:, [0, 2]]).all()


def outputs_from_masks(denoiser, steps):
    """Law of the sampler's outputs, by enumeration of all states on the way."""
    law = (STATES == 3).all(1).astype(float)
    levels = 1 - np.arange(steps + 1) / steps
    for t, s in itertools.pairwise(levels):
        rows = reverse_law(denoiser.log_loo(STATES, t), STATES, 1 - t, 1 - s, denoiser.channel)
        jump = np.ones((len(STATES), len(STATES)))
        for site in range(4):
            jump *= rows[:, site][:, STATES[:, site]]
        law = law @ jump
    assert law[(STATES == 3).any(1)].max() < 1e-12
    return law[(STATES < 3).all(1)]


def test_parallel_unmasking_errs_as_printed():
    """KL of the outputs from all masks; one site at a time would be exact."""
    law = source_law("chain")
    printed = (".567759", ".145982", ".0404093", ".0110312", ".00292569", ".000757423")
    for power, digits in enumerate(printed):
        out = outputs_from_masks(exact(Absorbing(3)), 2**power)
        assert_digits(np.sum(law * np.log(law / out)), digits)


@pytest.mark.slow
def test_parallel_unmasking_makes_impossible_strings_as_printed():
    law = oracles.hierarchy_law(R2)
    denoiser = HierarchySource(R2).population_denoiser(Linear(), Absorbing(3))
    kl = ("1.216395", ".490523", ".225987", ".108847", ".0534518", ".0264901")
    impossible = (".703704", ".387297", ".202022", ".103043", ".052022", ".026135")
    for power, (digits, off) in enumerate(zip(kl, impossible, strict=True)):
        out = outputs_from_masks(denoiser, 2**power)
        some = law > 0
        assert_digits(np.sum(law[some] * np.log(law[some] / out[some])), digits)
        assert_digits(out[~some].sum(), off)


def restored(decode):
    """Masked recovery and exact match from t = .5 (log-linear), summed over all inputs."""
    law, alpha = source_law("chain"), LogLinear().alpha(0.5)
    rates = (alpha, 0.0, 1 - alpha)
    seqs, noisy = oracles.all_sequences(3, 4), oracles.noisy_sequences(3, 4, rates)
    joint = law[:, None] * oracles.channel_matrix(seqs, 3, rates)
    right = decode(noisy)[None] == seqs[:, None]
    masked = (noisy == 3)[None]
    share = np.sum(joint[..., None] * (right & masked)) / np.sum(joint[..., None] * masked)
    return share, np.sum(joint * right.all(-1))


class Leaning:
    """A denoiser whose ties fall to the tokens that a small field (L, V) prefers."""

    def __init__(self, denoiser, field):
        self.vocab_size, self.seq_len = denoiser.vocab_size, denoiser.seq_len
        self.schedule, self.channel = denoiser.schedule, denoiser.channel
        self.log_loo = lambda x_t, t: denoiser.log_loo(x_t, t) + field


@pytest.mark.parametrize(
    "k, recovery, match",
    [(1, ".534502", ".428649"), (2, ".539241", ".418620"), (4, ".540289", ".416949")],
)
def test_confidence_decoding_as_printed(k, recovery, match):
    """Letters 0 and 1 are equally likely where nothing is seen: recovery is the same however such
    ties fall, the exact match is not, and the printed one is one of them."""
    denoiser = CHAIN.population_denoiser(LogLinear(), Absorbing(3))
    matches = set()
    for lean in itertools.product([(0, 1, 0), (1, 0, 0)], repeat=4):
        field = 1e-9 * (np.array(lean) + np.array([0.3, 0.2, 0.1, 0.0])[:, None])
        leaning, rng = Leaning(denoiser, field), np.random.default_rng(0)
        found = restored(lambda x_t, to=leaning, rng=rng: unmask_confident(to, rng, x_t, k))
        assert_digits(found[0], recovery)
        matches.add(f"{found[1]:.6f}")
    assert f"0{match}" in matches


@pytest.mark.parametrize("score", ["probability", "margin", "entropy"])
def test_one_site_at_a_time_ends_in_a_stored_sequence_that_fits(score):
    rng = np.random.default_rng(1)
    memory = EmpiricalDenoiser(SETS, 3, Linear(), channel=Absorbing(3))
    x_t = noise(rng, memory.patterns, 0.3, Absorbing(3))
    for sample in (False, True):
        out = unmask_confident(memory, rng, x_t, 1, score, sample)
        assert (out == x_t)[x_t < 3].all()
        assert (memory.nearest(out, out)[1] == 0).all()


@pytest.mark.parametrize("kind", [Absorbing(3), Hybrid(3, 0.2)], ids=repr)
def test_generated_sequences_follow_the_source(kind):
    denoiser = MarkovSource(oracles.CHAIN, 3).population_denoiser(Linear(), kind)
    drawn = generate(denoiser, np.random.default_rng(0), 20_000, 3, 64)
    share = np.bincount(oracles.sequence_index(drawn, 3), minlength=27) / len(drawn)
    law = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 3)
    assert np.abs(share - law).sum() < 0.05


def test_ancestral_run_keeps_visible_tokens_in_numba_and_jax():
    rng = np.random.default_rng(2)
    memory = EmpiricalDenoiser(SETS, 3, Linear(), channel=Absorbing(3))
    x_t = noise(rng, memory.patterns, 0.5, Absorbing(3))
    for denoiser in (memory, memory.jax()):
        out = ancestral(denoiser, rng, x_t, 0.5, 16)
        assert out.max() < 3 and (out == x_t)[x_t < 3].all()


def test_laws_of_single_masked_sites():
    rng = np.random.default_rng(3)
    x_0 = rng.integers(3, size=(7, 4))
    sites = np.tile(np.arange(4), (7, 1))
    laws = single_mask_laws(exact(Absorbing(3)), x_0, sites)
    expected = CHAIN.population_denoiser(Linear()).log_loo(x_0, 1e-9)
    assert_close(np.exp(laws), np.exp(expected), atol=1e-6)
    memory = EmpiricalDenoiser(SETS, 3, Linear(), channel=Absorbing(3))
    sites = rng.integers(6, size=(20, 2))
    assert_close(
        np.exp(single_mask_laws(memory.jax(), SETS, sites)),
        np.exp(single_mask_laws(memory, SETS, sites)),
        atol=1e-5,
    )


def test_contract_of_masked_models():
    for kind in (Absorbing(3), Hybrid(3, 0.2)):
        check_denoiser(exact(kind))
        check_denoiser(EmpiricalDenoiser(SETS, 3, Linear(), channel=kind).jax())

    class Raw:
        vocab_size, seq_len, schedule, channel = 3, 4, Linear(), Absorbing(3)

        def log_loo(self, x_t, t):
            return np.full((*np.shape(x_t), 3), -np.log(3))

    assert "not the point mass on it" in contract_problems(Raw())[0]
    Raw.channel = Absorbing(4)
    assert "V never counts the mask" in contract_problems(Raw())[0]


def test_bad_input():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="knows no mask"):
        unmask_confident(CHAIN.population_denoiser(), rng, [[0, 1, 2, 0]])
    with pytest.raises(ValueError, match="one of probability, margin, entropy"):
        unmask_confident(exact(Absorbing(3)), rng, [[0, 1, 2, 3]], 0)
    denoiser = CHAIN.population_denoiser(Cosine(0.5), Absorbing(3))
    with pytest.raises(ValueError, match=r"keeps 0\.293 of the tokens at t = 1"):
        generate(denoiser, rng, 2, 4, 4)

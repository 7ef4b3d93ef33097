"""Trap onset of a source's samples: enumeration, the collapse below it, and stored samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import Linear, inverse_temperature
from models.exact.empirical import EmpiricalDenoiser
from models.sources import IidSource, MarkovSource
from models.sources.traps import clean_log_size, fixed_point_log_size, trap_log_size
from simulations.data.problem import make_source
from tests import oracles
from tests.helpers import assert_close
from tests.registry import SOURCES, cases, source_law


@pytest.mark.parametrize("name", cases(SOURCES))
@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.7, 1.0])
def test_onset_equals_enumeration_and_lies_beyond_the_collapse(name, alpha):
    source, law = SOURCES[name], source_law(name)
    V, L = source.vocab_size, source.seq_len
    seqs, possible = oracles.all_sequences(V, L), law > 0
    log_prob = oracles.log_prob_noisy(law, alpha, V, L)
    exact = L * np.log(alpha + (1 - alpha) / V) - log_prob[possible]
    assert_close(clean_log_size(source, seqs[possible], alpha), exact, rtol=1e-9, atol=1e-9)
    mean = float(law[possible] @ exact)
    found = trap_log_size(source, alpha, np.random.default_rng(1), 4000)
    assert abs(found.value - mean) <= 5 * found.standard_error + 1e-9
    assert mean >= oracles.mutual_information(law, alpha, V, L) - 1e-9


@given(st.integers(0, 2**31), st.floats(0.01, 0.99))
def test_no_pair_has_more_information_than_its_clean_sequence_at_the_onset(seed, alpha):
    """log q(x_t | x_0) / p_t(x_t) <= L log p_1 - log p_t(x_0): p_t changes by e^beta a token."""
    rng = np.random.default_rng(seed)
    V, L = 3, 3
    law = oracles.random_law(rng, V, L)
    seqs = oracles.all_sequences(V, L)
    log_prob = oracles.log_prob_noisy(law, alpha, V, L)
    kernel = np.log(oracles.channel_matrix(seqs, V, alpha))
    assert np.all(kernel - log_prob[None] <= (np.diag(kernel) - log_prob)[:, None] + 1e-9)
    gap = (seqs[:, None] != seqs).sum(-1)
    beta = float(inverse_temperature(alpha, V))
    assert np.all(log_prob[:, None] - log_prob[None] <= beta * gap + 1e-9)


def test_uniform_tokens_have_the_line_of_random_patterns():
    for V, L, alpha in ((2, 5, 0.3), (8, 12, 0.05), (4, 7, 0.9)):
        found = trap_log_size(IidSource(V, L), alpha, n=50)
        assert_close(found.value, L * np.log1p((V - 1) * alpha), rtol=1e-9)
        assert found.standard_error < 1e-12
        x = IidSource(V, L).sample(np.random.default_rng(2), 5)
        assert np.all(fixed_point_log_size(IidSource(V, L), x, alpha) > 30)


def test_onset_rises_from_zero_to_the_entropy():
    source = MarkovSource(oracles.CHAIN, 6)
    x = source.sample(np.random.default_rng(3), 50)
    sizes = np.array([clean_log_size(source, x, a) for a in (0.0, 0.2, 0.5, 0.8, 1.0)])
    assert_close(sizes[0], np.zeros(50), atol=1e-9)
    assert np.all(np.diff(sizes, axis=0) > 0)
    assert_close(sizes[-1], -source.log_prob(x), rtol=1e-9)


@pytest.mark.parametrize("law", ["full", "loo"])
@pytest.mark.parametrize("alpha", [0.2, 0.6])
def test_fixed_points_of_the_mixture_by_enumeration(law, alpha):
    """A store that is x once and the source K - 1 times keeps x exactly below the size."""
    source, truth = SOURCES["chain"], source_law("chain")
    V, L = source.vocab_size, source.seq_len
    seqs = oracles.all_sequences(V, L)[:40]
    sizes = fixed_point_log_size(source, seqs, alpha, law)
    assert np.any(np.isfinite(sizes)) and np.any(np.isinf(sizes))
    for i, x in enumerate(seqs):
        levels = [50.0] if np.isinf(sizes[i]) else [sizes[i] - 0.01, sizes[i] + 0.01]
        for level, kept in zip(levels, (True, False), strict=False):
            mixture = np.exp(level) * truth  # K - 1 samples
            mixture[i] += 1.0
            told = getattr(oracles, law)(mixture / mixture.sum(), x, alpha, V)
            assert (told.argmax(-1) == x).all() == kept


def test_samples_of_the_chain_come_loose_near_the_onset():
    """V = 8, L = 12, K = 16384: half of the weight where the line crosses log K, within 0.1."""
    rng, K, L, V = np.random.default_rng(4), 16384, 12, 8
    source = make_source("markov", V, L)
    denoiser = EmpiricalDenoiser(source.sample(rng, K), V, Linear())
    asked, fresh = denoiser.patterns[:400], source.sample(rng, 4000)
    onset = {}
    for alpha in (0.2, 0.3, 0.4, 0.5, 0.7, 0.95):
        said = denoiser.posterior(asked, 1 - alpha, rng, np.arange(400))
        size = clean_log_size(source, fresh, alpha)
        onset[alpha] = size.mean()
        bound = np.mean(1 / (1 + (K - 1) * np.exp(-size)))
        error = 5 * said.true_weight.std() / 20
        assert -error <= said.true_weight.mean() - bound <= error + 0.03
        for law, told in (("full", said.log_full), ("loo", said.log_loo)):
            kept = np.mean((told.argmax(-1) == asked).all(1))
            theory = np.mean(fixed_point_log_size(source, fresh, alpha, law) > np.log(K - 1))
            few = 0.15 if law == "loo" else 0.0  # neighbours that decide at small noise
            assert -0.08 - few <= kept - theory <= 0.08
    crossing = np.interp(np.log(K), list(onset.values()), list(onset))
    assert 0.35 < crossing < 0.5


def test_bad_input():
    source = MarkovSource(oracles.CHAIN, 4)
    with pytest.raises(ValueError, match="`n` must be at least 2 sequences"):
        trap_log_size(source, 0.5, n=1)
    with pytest.raises(ValueError, match="`law` must be full or loo; got 'both'"):
        fixed_point_log_size(source, source.sample(np.random.default_rng(0), 2), 0.5, "both")
    with pytest.raises(ValueError, match="alpha"):
        trap_log_size(source, 1.5)
    with pytest.raises(ValueError, match="sequences of length 3"):
        clean_log_size(source, np.zeros((2, 3), dtype=int), 0.5)

"""Smoothing of noisy hidden Markov models against hmmlearn and dynamax."""

import numpy as np
import pytest

from models.denoiser import log_full
from models.noise import noise
from models.sources import HiddenMarkovSource, MarkovSource
from tests.helpers import assert_close
from tests.peers.forms import dynamax_smoother, full_law, hmmlearn_smoother

SIZES = [(2, 3, 6), (5, 4, 20), (32, 32, 128)]  # states, tokens, length
LEVELS = [0.05, 0.5, 0.95]


def problem(n_states, vocab_size, seq_len, t):
    """A source, noisy sequences of it, alpha and our law p(x_0^i | x_t)."""
    rng = np.random.default_rng(n_states)
    transition = rng.dirichlet(np.full(n_states, 0.3), n_states)
    emission = rng.dirichlet(np.full(vocab_size, 0.3), n_states)
    source = HiddenMarkovSource(transition, emission, seq_len, rng.dirichlet(np.ones(n_states)))
    denoiser = source.population_denoiser()
    alpha = float(denoiser.schedule.alpha(t))
    x_t = noise(rng, source.sample(rng, 7), alpha, vocab_size)
    return source, x_t, alpha, np.exp(log_full(denoiser, x_t, t))


@pytest.mark.parametrize("t", LEVELS)
@pytest.mark.parametrize(("n_states", "vocab_size", "seq_len"), SIZES)
def test_hmmlearn_gives_the_same_law_of_every_token(n_states, vocab_size, seq_len, t):
    pytest.importorskip("hmmlearn")
    source, x_t, alpha, ours = problem(n_states, vocab_size, seq_len, t)
    states = hmmlearn_smoother(source, alpha)(x_t)
    assert_close(full_law(states, x_t, source, alpha), ours)


def test_hmmlearn_gives_the_same_likelihood():
    hmm = pytest.importorskip("hmmlearn.hmm")
    source, x_t, alpha, _ = problem(5, 4, 20, 0.3)
    model = hmm.CategoricalHMM(5, n_features=4)
    model.startprob_, model.transmat_ = source.initial, source.transition
    model.emissionprob_ = alpha * source.emission + (1 - alpha) / 4
    theirs = [model.score(row[:, None].astype(int)) for row in x_t]
    assert_close(source.population_denoiser().log_prob_noisy(x_t, 0.3), theirs)


@pytest.mark.parametrize("t", LEVELS)
def test_hmmlearn_smooths_a_chain_whose_states_are_its_tokens(t):
    pytest.importorskip("hmmlearn")
    rng = np.random.default_rng(0)
    chain = MarkovSource(rng.dirichlet(np.ones(6), 6), 15)
    hidden = HiddenMarkovSource(chain.transition, np.eye(6), 15)
    denoiser = chain.population_denoiser()
    alpha = float(denoiser.schedule.alpha(t))
    x_t = noise(rng, chain.sample(rng, 5), alpha, 6)
    states = hmmlearn_smoother(hidden, alpha)(x_t)
    assert_close(states, np.exp(log_full(denoiser, x_t, t)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own dependencies
@pytest.mark.parametrize("t", LEVELS)
@pytest.mark.parametrize(("n_states", "vocab_size", "seq_len"), SIZES)
def test_dynamax_gives_the_same_law_of_every_token(n_states, vocab_size, seq_len, t):
    pytest.importorskip("dynamax")
    source, x_t, alpha, ours = problem(n_states, vocab_size, seq_len, t)
    states = np.asarray(dynamax_smoother(source, alpha)(x_t.astype(np.int32)))
    assert states.dtype == np.float32
    assert_close(full_law(states, x_t, source, alpha).astype(np.float32), ours)

"""A law at another temperature: by hand, in its limits, and wherever laws are read."""

import equinox as eqx
import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import softmax

from am_theory.channel import Absorbing
from models.denoiser import channel_of, contract_problems
from models.exact.empirical import EmpiricalDenoiser
from models.networks.dit import DiT, Shape
from models.networks.mlp import MLPDenoiser
from models.sampler import generate
from models.slices import read_slices
from models.tempered import Tempered, TemperedReadout, tempered

X_T = np.array([[0, 1, 2, 1], [2, 2, 0, 0]])
PATTERNS = np.array([[0, 1, 2, 2], [2, 2, 0, 1], [1, 1, 1, 1]])


def _mlp(channel=None):
    return _rough(MLPDenoiser(jax.random.key(0), 3, 4, width=8, channel=channel))


def _rough(model):
    """With weights that make its law neither uniform nor that of its own tokens."""
    rng = np.random.default_rng(1)
    leaves, tree = jax.tree.flatten(model)
    drawn = [a + 0.5 * rng.standard_normal(a.shape).astype(np.float32) for a in leaves]
    return jax.tree.unflatten(tree, drawn)


def _dit():
    return _rough(DiT(jax.random.key(0), 3, Shape(8, 1, 2, 4), 4))


MODELS = {
    "mlp": _mlp,
    "mlp, masks": lambda: _mlp(Absorbing(3)),
    "transformer": _dit,
    "empirical": lambda: EmpiricalDenoiser(PATTERNS, 3),
    "empirical, masks": lambda: EmpiricalDenoiser(PATTERNS, 3, channel=Absorbing(3)),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_is_a_denoiser_of_the_same_data(name):
    model = MODELS[name]()
    found = tempered(model, 1.7)
    assert contract_problems(found) == []
    assert (found.vocab_size, found.seq_len) == (3, 4)
    assert found.schedule is model.schedule
    assert channel_of(found) == channel_of(model)


@pytest.mark.parametrize("name", ["mlp", "transformer", "empirical"])
@pytest.mark.parametrize("beta", [0.5, 1.0, 1 / 0.6])
def test_the_law_is_the_power_of_the_law(name, beta):
    model = MODELS[name]()
    p = np.exp(np.asarray(model.log_loo(X_T, 0.4), np.float64)) ** beta
    wanted = p / p.sum(-1, keepdims=True)
    assert_allclose(np.exp(tempered(model, beta).log_loo(X_T, 0.4)), wanted, atol=1e-6)


def test_temperatures_multiply_and_large_ones_leave_nothing():
    model = _mlp()
    twice = tempered(tempered(model, 0.5), 4.0).log_loo(X_T, 0.4)
    assert_allclose(twice, tempered(model, 2.0).log_loo(X_T, 0.4), atol=1e-5)
    assert_allclose(tempered(model, 1e-6).log_loo(X_T, 0.4), np.log(1 / 3), atol=1e-4)
    cold = np.exp(tempered(model, 1e6).log_loo(X_T, 0.4))
    assert (cold.argmax(-1) == np.asarray(model.log_loo(X_T, 0.4)).argmax(-1)).all()
    assert_allclose(cold.max(-1), 1.0)


def test_readings_in_slices_and_runs_take_the_tempered_law():
    model = tempered(_dit(), 3.0)
    assert isinstance(model, TemperedReadout)
    law = np.asarray(model.log_loo(X_T, 0.4)).reshape(-1, 3)
    assert_allclose(read_slices(model, X_T, 0.4, [1, 6], _whole), law[[1, 6]], atol=1e-5)
    logits = np.zeros(3, np.float32)
    logits[1] = 1.0
    steep = tempered(_Unigram(logits), 3.0)
    drawn = generate(steep, np.random.default_rng(0), 4000, 4, 8)
    share = (drawn == 1).mean()
    wanted = softmax(3.0 * logits)[1]
    assert abs(share - wanted) < 5 * np.sqrt(wanted * (1 - wanted) / drawn.size)


class _Unigram:
    vocab_size, seq_len, schedule = 3, 4, EmpiricalDenoiser(PATTERNS, 3).schedule

    def __init__(self, logits):
        self.law = logits - np.log(np.exp(logits).sum())

    def log_loo(self, x_t, t):
        return np.broadcast_to(self.law, (*np.shape(x_t), 3))


def _whole(law):
    return law


@pytest.mark.parametrize("beta", [0.0, -1.0, np.inf, np.nan])
def test_an_inverse_temperature_is_positive(beta):
    for model in (MODELS["empirical"](), _mlp()):
        with pytest.raises(ValueError, match=r"`beta`, the inverse temperature, must be positive"):
            tempered(model, beta)


def test_a_grid_of_temperatures_compiles_once():
    traced = []

    @eqx.filter_jit
    def law(model):
        traced.append(1)
        return model.log_loo(X_T, 0.4)

    model = _mlp()
    for beta in (0.5, 1.0, 2.0):
        law(Tempered(model, beta))
    assert len(traced) == 1

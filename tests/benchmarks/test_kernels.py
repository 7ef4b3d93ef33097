"""Hot paths against their limit and against the best alternative at hand, in one run."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.exact.empirical import EmpiricalDenoiser
from models.networks.mlp import MLPDenoiser
from models.training.train import TrainConfig, train
from simulations.data.problem import make_source
from tests.benchmarks.timing import interleaved

pytestmark = pytest.mark.benchmark


@pytest.mark.parametrize("t", [0.1, 0.5])
def test_empirical_posterior_against_the_one_hot_product(t):
    """K = 16,384, L = V = 16, B = 2,048: the numba pass against one-hot matrix products."""
    source = make_source("markov", 16, 16)
    rng = np.random.default_rng(0)
    store = EmpiricalDenoiser(source.sample(rng, 16384), 16)
    x_t = source.sample(rng, 2048)
    onehot = np.eye(16, dtype=np.float32)[store.patterns].reshape(len(store.patterns), -1)
    query = np.eye(16, dtype=np.float32)[x_t].reshape(len(x_t), -1)
    alpha = float(store.schedule.alpha(t))
    beta = np.log1p(16 * alpha / (1 - alpha))

    def product():
        matches = query @ onehot.T
        weights = np.exp(beta * (matches - matches.max(1, keepdims=True)))
        weights /= weights.sum(1, keepdims=True)
        return (weights @ onehot).reshape(2048, 16, 16)

    ours = store.posterior(x_t, t, rng)
    np.testing.assert_allclose(np.exp(ours.log_full), product(), atol=2e-5)
    times = interleaved({"mine": lambda: store.posterior(x_t, t, rng), "theirs": product})
    mine, theirs = times["mine"], times["theirs"]
    additions = 2048 * 16384 * 16 / 2
    print(
        f"\nempirical posterior, t={t}: numba {mine * 1e3:.0f} ms, one-hot BLAS float32 "
        f"{theirs * 1e3:.0f} ms ({os.environ.get('NUMBA_NUM_THREADS')} threads); all "
        f"{additions:.2e} packed additions would be {additions / mine / 1e9:.2f} G/s"
    )


def test_training_step_against_its_matrix_products():
    """Width 256, batch 128: time of a step against its multiply-adds alone, measured here."""
    model = MLPDenoiser(jax.random.key(0), 16, 16)
    stored = jnp.asarray(np.random.default_rng(0).integers(16, size=(4096, 16)))
    config = TrainConfig(steps=500)
    key = jax.random.key(1)
    shapes = [(256, 256)] * 4  # embed, one block, readout, pair

    @jax.jit
    def products(x, weights):
        def body(_, x):
            for w in weights:
                x = x @ w * 0.1
            return x

        return jax.lax.fori_loop(0, 300, body, x)

    weights = [jnp.ones(shape) / 256 for shape in shapes]
    x = jnp.ones((128, 256))
    calls = {
        "step": lambda: train(key, model, stored, 4096, config),
        "floor": lambda: products(x, weights).block_until_ready(),
    }
    times = interleaved(calls, 3)
    step, floor = times["step"] / 500, times["floor"] / 100
    print(f"\ntraining step {step * 1e3:.2f} ms; its matrix products alone {floor * 1e3:.2f} ms")
    assert step > 0.5 * floor

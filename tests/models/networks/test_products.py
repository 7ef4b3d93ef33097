"""Every matrix product of a float32 network asks for float32, which a GPU would round otherwise."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.exact.empirical import EmpiricalDenoiser
from models.networks.dit import DiT, Shape
from models.networks.mlp import MLPDenoiser
from models.thinning import rows_at_a_time
from models.training.loss import LOSSES, corrupt
from tests.registry import PATTERNS, SOURCES

TOKENS = np.array([[0, 1, 2, 1], [2, 2, 0, 0]])


def precisions(function, *arguments):
    """Of all products in a traced function, inner functions too."""
    found = []

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                found.append(equation.params["precision"])
            for value in jax.tree.leaves(
                equation.params, is_leaf=lambda v: isinstance(v, jax.extend.core.ClosedJaxpr)
            ):
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    walk(inner)

    walk(jax.make_jaxpr(function)(*arguments).jaxpr)
    return found


def exact(found):
    highest = jax.lax.Precision.HIGHEST
    return len(found) > 0 and all(p in (highest, (highest, highest)) for p in found)


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize(
    "model",
    [DiT(jax.random.key(0), 3, Shape(8, 2, 2), 4), MLPDenoiser(jax.random.key(0), 3, 4, width=5)],
    ids=["transformer", "mlp"],
)
def test_products_of_a_training_step(model, loss):
    t = jnp.array([0.3, 0.6])
    noisy = corrupt(jax.random.key(1), jnp.asarray(TOKENS), 1 - t, 3, force=loss == "loo")
    params, static = eqx.partition(model, eqx.is_inexact_array)

    def value(params):
        return jnp.mean(LOSSES[loss](eqx.combine(params, static), noisy, jnp.asarray(TOKENS), t))

    assert exact(precisions(jax.grad(value), params))


@pytest.mark.parametrize(
    "model",
    [EmpiricalDenoiser(PATTERNS, 3).jax(), SOURCES["hidden"].population_denoiser().jax()],
    ids=["empirical", "hidden Markov"],
)
def test_products_of_the_twins_of_exact_denoisers(model):
    tokens = jnp.zeros((2, model.seq_len), int)
    assert exact(precisions(lambda t: model.log_loo(tokens, t), 0.3))


def test_a_product_that_may_be_rounded_is_noticed():
    assert not exact(precisions(lambda a: a @ a, jnp.eye(2)))
    assert not exact(precisions(lambda a: a + a, jnp.eye(2)))


def test_the_readout_takes_more_rows_at_a_time_on_a_gpu():
    sizes = (16, 30522, 10**7)
    assert [rows_at_a_time(v, 65536, "cpu") for v in sizes] == [1024, 137, 128]
    assert [rows_at_a_time(v, 65536, "gpu") for v in sizes] == [65536, 8794, 128]
    assert rows_at_a_time(16, 512, "gpu") == 512  # no more than there are

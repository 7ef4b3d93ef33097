"""Effective dimensions: against dense matrices, closed forms, and fits at large K."""

from __future__ import annotations

from functools import partial
from itertools import combinations, pairwise, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.sparse.linalg import cg

from am_theory import linear as theory
from models.networks.dit import DiT, Shape
from models.networks.mlp import MLPDenoiser
from models.noise import noise
from simulations.curvature import objectives
from simulations.curvature.effective_dimension import (
    SMALLEST,
    balanced_signs,
    flow,
    inverse,
    lanczos,
    traces,
)
from tests.helpers import assert_close

L, V = 3, 3


def inputs_of(rng, n, seq_len=L, vocab_size=V, alpha=0.6):
    x_0 = rng.integers(vocab_size, size=(n, seq_len))
    x_t = noise(rng, x_0, alpha, vocab_size)
    return objectives.every_site(jnp.asarray(x_0), jnp.asarray(x_t))


def problem(name):
    """An objective, with parameters that are no minimum and of no symmetry."""
    rng = np.random.default_rng(1)
    if name == "mlp":
        objective, theta = objectives.network(MLPDenoiser(jax.random.key(0), V, L, width=5))
        return objective, theta + jnp.asarray(0.3 * rng.normal(size=len(theta)), jnp.float32)
    if name == "linear":
        objective, size = objectives.linear(V), (L * (V - 1)) ** 2
    else:
        objective, size = objectives.pairwise(V, L)
    return objective, jnp.asarray(rng.normal(size=size), jnp.float32)


@partial(jax.jit, static_argnums=0)
def dense(objective, theta, inputs):
    """H by explicit Jacobians and the second derivative of the loss in the outputs."""
    z = objective.output(theta, inputs)
    # forward: under jit the pullback of several hundred rows at once comes out wrong on the CPU
    j = jax.jacfwd(lambda at: objective.output(at, inputs).ravel())(theta)
    middle = jax.hessian(lambda at: jnp.mean(objective.losses(at.reshape(z.shape), inputs)))
    return j.T @ middle(z.ravel()) @ j


@partial(jax.jit, static_argnums=0)
def products(objective, theta, inputs, vectors):
    return jax.vmap(lambda v: objective.curvature(theta, inputs, v))(vectors)


@partial(jax.jit, static_argnums=0)
def gradients(objective, theta, inputs):
    """Gradient of every row."""
    n = len(inputs.x_0)
    return jax.vmap(lambda w: objective.gradient(theta, inputs, w))(jnp.eye(n))


@pytest.mark.parametrize("name", ["linear", "pairwise", "mlp"])
def test_the_mean_over_all_signs_is_the_trace_of_dense_matrices(name):
    objective, theta = problem(name)
    rng = np.random.default_rng(4)
    many, few = inputs_of(rng, 40), inputs_of(rng, 4)
    again = few._replace(x_t=jnp.asarray(noise(rng, np.asarray(few.x_0), 0.4, V)))
    matrix = np.asarray(dense(objective, theta, many), np.float64)
    if name != "mlp":  # linear in theta: Gauss-Newton is the Hessian
        hessian = jax.jit(jax.hessian(lambda at: objective(at, many).mean()))(theta)
        assert_close(np.asarray(hessian), matrix.astype(np.float32), rtol=1e-3, atol=1e-5)
    fitted, read = (np.asarray(gradients(objective, theta, part)) for part in (few, again))
    covariance = (read - read.mean(0)).T @ (fitted - fitted.mean(0)) / 3
    chosen = list(combinations(range(4), 2))
    signs = np.array([[1.0 if k in pair else -1.0 for k in range(4)] for pair in chosen])
    starts = signs @ fitted

    def curved(v):
        return products(objective, theta, many, jnp.asarray(v, jnp.float32))

    assert_close(curved(starts), (starts @ matrix).astype(np.float32), rtol=1e-3, atol=1e-4)
    found = lanczos(curved, starts, 150)
    h, modes = np.linalg.eigh(matrix)
    kept = h > SMALLEST * h[-1]
    for function in (inverse(0.01), inverse(), flow(5.0, 0.02)):
        weights = np.where(kept, function(np.where(kept, h, 1.0)), 0.0)
        exact = np.trace(covariance @ (modes * weights) @ modes.T)
        assert_close(traces(found, signs @ read, function, 4).mean(), exact, rtol=1e-2)


def test_the_change_from_half_of_the_iterations_is_the_error_of_a_network():
    """Of a trace with dense matrices; the time as long as in training, 50 over the top of H."""
    objective, theta = problem("mlp")
    rng = np.random.default_rng(8)
    many, few = inputs_of(rng, 400), inputs_of(rng, 40)
    matrix = np.asarray(dense(objective, theta, many), np.float64)
    h, modes = np.linalg.eigh(matrix)
    each = np.asarray(gradients(objective, theta, few), np.float64)
    starts = balanced_signs(rng, 4, 40) @ each

    def curved(v):
        return products(objective, theta, many, jnp.asarray(v, jnp.float32))

    run = lanczos(curved, starts, 20)
    assert run.shortened(5).lengths.tolist() == [5] * 4
    errors, changes = {}, {}
    for name, function in (("time", flow(50 / h[-1], 0.02)), ("plain", inverse())):
        weights = np.where(h > SMALLEST * h[-1], function(np.maximum(h, SMALLEST * h[-1])), 0.0)
        exact = (starts @ (modes * weights) @ modes.T * starts).sum(1).mean() / 40
        by = [traces(run.shortened(n), starts, function, 40).mean() for n in (5, 10, 20)]
        errors[name] = [abs(1 - value / exact) for value in by]
        changes[name] = [abs(1 - a / b) for a, b in pairwise(by)]
    assert errors["time"][1] < 1e-3
    assert 1e-3 < errors["time"][0] < 0.1
    assert_close(changes["time"][0], errors["time"][0], rtol=0.05)
    # directions that training has not reached: far from converged, and the change says so
    assert errors["plain"][1] > 0.1 and changes["plain"][1] > 0.1


@pytest.mark.slow
def test_a_transformer_with_gradients_of_its_own_has_its_curvature():
    rng = np.random.default_rng(6)
    objective, theta = objectives.network(DiT(jax.random.key(0), V, Shape(4, 1, 1, 4), L))
    theta = theta + jnp.asarray(0.3 * rng.normal(size=len(theta)), jnp.float32)
    inputs = inputs_of(rng, 20)
    v = jnp.asarray(rng.normal(size=len(theta)), jnp.float32)
    output = jax.jit(lambda at: objective.output(at, inputs))
    ahead, back = (np.asarray(output(theta + e * v), np.float64) for e in (1e-3, -1e-3))
    slope, law = (ahead - back) / 2e-3, np.exp(np.asarray(output(theta), np.float64))
    spread = (law * slope**2).sum(-1) - (law * slope).sum(-1) ** 2  # of J v under the law
    form = v @ products(objective, theta, inputs, v[None])[0]
    assert_close(form, np.float32(spread.mean()), rtol=1e-2)


def test_lanczos_is_exact_and_agrees_with_conjugate_gradients():
    rng = np.random.default_rng(5)
    root = rng.normal(size=(8, 8))
    matrix = root @ root.T + np.eye(8)
    starts = rng.normal(size=(3, 8))
    found = lanczos(lambda v: v @ matrix, starts, 8)
    h, modes = np.linalg.eigh(matrix)
    for function in (inverse(), inverse(0.3), flow(0.2)):
        assert_close(found.applied(function), starts @ (modes * function(h)) @ modes.T, rtol=1e-8)
    solved, _ = cg(lambda v: matrix @ v, jnp.asarray(starts[0]), tol=1e-7)
    assert_close(np.asarray(solved), found.applied(inverse())[0].astype(np.float32), rtol=1e-4)


def test_the_filter_of_a_flow_is_where_small_steps_lead():
    h, decay, step = np.array([1e-9, 0.3, 2.0]), 0.1, 1e-4
    theta = np.zeros(3)  # under a constant slope -1, curvature h and weight decay
    for _ in range(10_000):
        theta += step * (1 - (h + decay) * theta)
    assert_close(flow(1.0, decay)(h), theta, rtol=2e-4)
    assert_close(flow(1e6, decay)(h), inverse(decay)(h))


def test_a_run_in_an_invariant_space_ends_early_and_is_exact():
    matrix = np.diag([4.0, 2.0, 1.0, 0.0])
    starts = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    found = lanczos(lambda v: v @ matrix, starts, 4)
    assert found.lengths.tolist() == [1, 2]
    assert_close(found.applied(inverse()), starts / np.array([4.0, 2.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="the gradient vanishes"):
        lanczos(lambda v: v, np.zeros((1, 3)), 2)


def test_signs_are_balanced_and_of_every_pattern():
    signs = balanced_signs(np.random.default_rng(0), 600, 4)
    assert not signs.sum(1).any() and set(np.unique(signs)) == {-1.0, 1.0}
    assert len(np.unique(signs, axis=0)) == 6
    with pytest.raises(ValueError, match="even number of sequences; got 3"):
        balanced_signs(np.random.default_rng(0), 2, 3)


def exact_dimension(objective, theta, seq_len, vocab_size, alpha):
    """tr(G H^-1) with every sequence and all noise enumerated."""
    tokens = np.array(list(product(range(vocab_size), repeat=seq_len)))
    n, agree = len(tokens), (tokens[:, None] == tokens[None]).sum(-1)
    odds = 1 + vocab_size * alpha / (1 - alpha)  # of a kept value over another
    weight = (odds**agree / (odds + vocab_size - 1) ** seq_len).ravel()
    clean, noisy = (np.repeat(tokens, n, 0), np.tile(tokens, (n, 1)))
    inputs = objectives.every_site(jnp.asarray(clean), jnp.asarray(noisy))
    each = np.asarray(gradients(objective, theta, inputs), np.float64)
    mean = (weight[:, None] * each).reshape(n, n, -1).sum(1)
    hessian = jax.jit(jax.hessian(lambda at: objective(at, inputs) @ weight / n))(theta)
    mean -= mean.mean(0)
    return np.trace(mean.T @ mean / n @ np.linalg.pinv(np.asarray(hessian), rcond=1e-5))


@pytest.mark.parametrize(("seq_len", "vocab_size"), [(3, 2), (2, 3)])
def test_closed_forms_are_the_traces_with_all_sequences_and_noise_enumerated(seq_len, vocab_size):
    alpha, d = 0.4, seq_len * (vocab_size - 1)
    best = jnp.asarray(alpha * np.eye(d).ravel(), jnp.float32)
    found = exact_dimension(objectives.linear(vocab_size), best, seq_len, vocab_size, alpha)
    assert_close(found, objectives.linear_dimension(seq_len, vocab_size, alpha), rtol=1e-4)
    pair, size = objectives.pairwise(vocab_size, seq_len)
    found = exact_dimension(pair, jnp.zeros(size), seq_len, vocab_size, alpha)
    assert_close(found, objectives.pairwise_dimension(seq_len, vocab_size, alpha), rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9])
def test_the_gap_of_the_linear_theory_falls_as_its_effective_dimension(alpha):
    seq_len, vocab_size, size = 4096, 4, 1e9
    found = theory.errors(size, seq_len, vocab_size, alpha)
    dimension = objectives.linear_dimension(seq_len, vocab_size, alpha)
    assert_close(size * (found.heldout - found.train), dimension, rtol=1e-3)

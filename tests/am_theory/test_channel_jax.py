"""The channel formulas on JAX arrays: same numbers, traceable, differentiable, strict dtypes."""

from __future__ import annotations

import numpy as np
import pytest

from am_theory.channel import (
    Cosine,
    Linear,
    LogLinear,
    capacity,
    corruption_rate,
    dispersion,
    full_from_loo,
    inverse_temperature,
    logsumexp,
    loo_from_full,
    nelbo_rate,
    nelbo_rate_small_noise,
    posterior,
    prior_loss,
    xlogy,
)
from tests.helpers import assert_close, shared

jax = pytest.importorskip("jax")
jnp = jax.numpy

BATCH, LENGTH, SIZE = 6, 4, 5


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    """Both precisions, with strict promotion of dtypes and ranks."""
    with (
        jax.enable_x64(request.param is np.float64),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        yield request.param


def problem(dtype):
    """NumPy arguments: rows with zeros, all pairs of tokens, kept fractions with both ends."""
    rng = np.random.default_rng(5)
    rows = rng.dirichlet(np.full(SIZE, 0.5), (BATCH, LENGTH))
    rows[0, 0], rows[1, 0] = np.eye(SIZE)[0], np.eye(SIZE)[1]
    x_t, x_0 = rng.integers(0, SIZE, (2, BATCH, LENGTH))
    x_t[0, 0], x_t[1, 0], x_0[0, 0] = 0, 0, 2  # observed token certain, and impossible
    alpha = np.array([1.0, 1.0, 0.0, 0.99999, 0.5, 1e-3])
    with np.errstate(divide="ignore"):
        log_rows = np.log(rows)
    return rows.astype(dtype), log_rows.astype(dtype), x_t, x_0, alpha.astype(dtype)


def xp_floor(log_rows):
    """Log-probabilities without -inf, in the namespace of the argument."""
    xp = log_rows.__array_namespace__()
    return xp.where(log_rows < -8, -8.0, log_rows)


def functions(rows, log_rows, x_t, x_0, alpha):
    """Every function of distributions on one set of arguments."""
    return [
        posterior(rows, x_t, (1 + alpha) / 2, alpha),
        full_from_loo(log_rows, x_t, alpha),
        loo_from_full(log_rows, x_t, alpha),
        nelbo_rate(log_rows, x_t, x_0, alpha, -0.999),
        logsumexp(log_rows),
        xlogy(rows, rows),
        capacity(alpha, SIZE),
        dispersion(alpha, SIZE),
        corruption_rate(alpha, SIZE),
        inverse_temperature(alpha, SIZE),
        LogLinear(0.0).time_at(alpha),
        Linear().alpha(alpha),
        LogLinear().alpha_rate(alpha),
        Cosine(0.0).alpha(alpha),
        Cosine(0.0).alpha_rate(alpha),
        Cosine(0.0).time_at(alpha),
        prior_loss(alpha, SIZE, LENGTH),
        nelbo_rate_small_noise(xp_floor(log_rows), x_0, alpha),
    ]


def test_jax_equals_numpy_compiled_and_mapped(dtype):
    expected = functions(*problem(dtype))
    arrays = [jnp.asarray(x) for x in problem(dtype)]
    for call in (jax.jit(functions), jax.jit(jax.vmap(functions))):
        for value, reference in zip(call(*arrays), expected, strict=True):
            assert isinstance(value, jax.Array)
            assert value.dtype == reference.dtype == dtype
            assert_close(value, reference)


def test_float_alpha_stays_exact_near_one(dtype):
    _, log_rows, x_t, x_0, _ = problem(dtype)
    alpha = LogLinear().alpha(1e-5)
    loss = jax.jit(lambda rows: nelbo_rate(rows, x_t, x_0, alpha, -0.999))
    value = loss(jnp.asarray(log_rows))
    assert_close(value, nelbo_rate(log_rows.astype(float), x_t, x_0, alpha, -0.999).astype(dtype))


def test_gradients_are_finite(dtype):
    rows, log_rows, x_t, x_0, _ = (jnp.asarray(x) for x in problem(dtype))

    def of_rows(log_rows, alpha):
        full, loo = full_from_loo(log_rows, x_t, alpha), loo_from_full(log_rows, x_t, alpha)
        some = jnp.where(jnp.isfinite(full), full, 0.0) + jnp.where(jnp.isfinite(loo), loo, 0.0)
        return jnp.sum(nelbo_rate(log_rows, x_t, x_0, alpha, -1.0)) + jnp.sum(some)

    def of_alpha(alpha):
        loss = nelbo_rate(jax.nn.log_softmax(rows), x_t, x_0, alpha, -1.0)
        return jnp.sum(loss) + jnp.sum(posterior(rows, x_t, (1 + alpha) / 2, alpha) ** 2)

    by_rows, by_alpha = jax.jit(jax.grad(of_rows)), jax.jit(jax.grad(of_alpha))
    slope = jax.jit(jax.vmap(jax.grad(lambda a: capacity(a, SIZE))))
    for noise in (0.0, 1e-5, 0.3, 0.9995, 1.0):
        alpha = jnp.full((BATCH,), 1 - noise, dtype=dtype)
        assert np.all(np.isfinite(by_rows(log_rows, alpha)))
        assert np.all(np.isfinite(by_alpha(alpha)))
        if noise > 0:  # dC / d alpha = (V - 1) beta / V, which diverges at alpha = 1
            assert_close(slope(alpha), dtype(0.8) * inverse_temperature(np.asarray(alpha), SIZE))


def test_gradient_of_the_loss_equals_finite_differences():
    with jax.enable_x64(True):
        _, log_rows, x_t, x_0, _ = problem(np.float64)
        alpha, step = np.array([0.999, 0.9, 0.5, 0.2, 0.05, 1e-3]), 1e-6
        base = np.maximum(log_rows, -8.0)
        direction = np.random.default_rng(1).normal(size=base.shape)

        def loss(rows):
            return nelbo_rate(rows, x_t, x_0, alpha, -1.0).sum()

        slope = (loss(base + step * direction) - loss(base - step * direction)) / (2 * step)
        gradient = jax.jit(jax.grad(loss))(jnp.asarray(base))
        assert_close(np.sum(np.asarray(gradient) * direction), slope, rtol=1e-7)


def test_values_are_checked_on_concrete_arrays_only():
    rows, x_t = jnp.full((2, 3), 1 / 3), jnp.array([0, 3])
    with pytest.raises(ValueError, match="got 3"):
        posterior(rows, x_t, 1.0, 0.5)
    with pytest.raises(ValueError, match="`alpha` must lie"):
        capacity(jnp.asarray(1.5), 4)
    traced = jax.jit(lambda r, x, a: posterior(r, x, 1.0, a))(rows, x_t, jnp.asarray(0.5))
    assert traced.shape == (2, 3)
    with pytest.raises(ValueError, match="leading shape"):  # shapes are known while tracing
        jax.jit(lambda r, x: posterior(r, x, 1.0, 0.5))(rows, x_t[:1])
    # A concrete array closed over by a compiled function is still checked.
    with pytest.raises(ValueError, match="got 3"):
        jax.jit(lambda r: posterior(r, x_t, 1.0, 0.5))(rows)


def test_golden_loss_and_posterior(dtype):
    with np.load(shared("golden/diffusion.npz")) as golden:
        data = {key.removeprefix("V19_"): golden[key] for key in golden if "V19_" in key}
    schedule, x_t, x_0 = LogLinear(), jnp.asarray(data["xt"]), jnp.asarray(data["x0"])
    logp = jnp.asarray(data["logp_theta"].astype(dtype))
    loss = jax.jit(nelbo_rate)
    for t, expected in zip(data["nll_t"], data["nll_f64"], strict=True):
        alpha, rate = (
            jnp.asarray(f(t), dtype=dtype) for f in (schedule.alpha, schedule.alpha_rate)
        )
        value = np.asarray(loss(logp, x_t, x_0, alpha, rate))
        # In float32 the traced alpha itself carries an error of 6e-8 / (1 - alpha) to the loss.
        allowed = 1e-11 if dtype is np.float64 else 1e-5 + 1.2e-7 / (1 - schedule.alpha(t))[:, None]
        assert np.all(np.abs(value - expected) <= allowed * (1 + np.abs(expected)))
    for t, s, expected in zip(data["post_t"], data["post_s"], data["post_q"], strict=True):
        alpha_s = 1.0 if np.isnan(s) else schedule.alpha(s)
        q = posterior(jnp.exp(logp), x_t, alpha_s, schedule.alpha(t))
        assert_close(q, expected.astype(dtype), rtol=0, atol=1e-13 if dtype is np.float64 else 1e-6)

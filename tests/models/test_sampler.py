"""Noising, the reverse step against its dense form, ancestral loops, decoders, generation."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import LogLinear, corruption_rate, full_from_loo
from models import sampler
from models.errors import TokenRangeError
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from tests import oracles, strategies
from tests.helpers import assert_close, shared, within_standard_errors
from tests.registry import SOURCES

STORE = np.array([[0, 1], [2, 2], [0, 0]])


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def log(p):
    with np.errstate(divide="ignore"):
        return np.log(p)


def agrees(counts: np.ndarray, law: np.ndarray) -> None:
    """Frequencies within five standard errors of a law, cell by cell; no forbidden cell."""
    n = counts.sum()
    assert counts[law == 0].sum() == 0
    assert np.all(np.abs(counts / n - law) <= 5 * np.sqrt(law * (1 - law) / n))


# --- forward


@pytest.mark.parametrize("alpha, vocab_size", [(0.0, 3), (0.3, 2), (0.8, 5)])
def test_realised_corruption_rate(alpha, vocab_size):
    rng = generator(1)
    x_0 = rng.integers(vocab_size, size=(5000, 8)).astype(np.uint8)
    x_t = noise(rng, x_0, alpha, vocab_size)
    assert x_t.dtype == np.uint8
    changed = (x_t != x_0).mean(axis=1)
    within_standard_errors(changed, corruption_rate(alpha, vocab_size))
    pairs = np.bincount((vocab_size * x_0.astype(int) + x_t).ravel(), minlength=vocab_size**2)
    agrees(pairs, oracles.token_kernel(vocab_size, alpha).ravel() / vocab_size)


def test_no_noise_keeps_every_token():
    x_0 = generator().integers(4, size=(50, 8))
    np.testing.assert_array_equal(noise(generator(), x_0, 1.0, 4), x_0)


class Recorded:
    """Stands for a generator whose draws were recorded elsewhere."""

    def __init__(self, uniforms, tokens):
        self.uniforms, self.tokens = uniforms, tokens

    def random(self, shape):
        assert shape == self.uniforms.shape
        return self.uniforms

    def integers(self, high, size):
        assert size == self.tokens.shape
        return self.tokens


@pytest.mark.parametrize(
    ("x_0", "alpha", "vocab_size", "message"),
    [
        (np.zeros((2, 3), np.uint8), 0.0, 1000, "`x_0` is of type uint8, which cannot hold"),
        (np.zeros((2, 3), np.int8), 0.0, 200, "`x_0` is of type int8, which cannot hold"),
        (np.full((2, 3), 8), 0.5, 8, "`x_0` holds the token 8; allowed are 0 to 7"),
        (np.zeros((2, 3)), 0.5, 8, "`x_0` must hold integers"),
        (np.zeros((2, 3), int), np.nan, 8, "`alpha` must be numbers in"),
        (np.zeros((2, 3), int), -1, 8, "`alpha` must be numbers in"),
        (np.zeros((2, 3), int), 2, 8, "`alpha` must be numbers in"),
        (np.zeros((2, 3), int), 1j, 8, "`alpha` must be numbers in"),
    ],
)
def test_noise_refuses_what_it_would_misread(x_0, alpha, vocab_size, message):
    with pytest.raises(ValueError, match=message):
        noise(generator(), x_0, alpha, vocab_size)


def test_noise_equals_recorded_arrays():
    data = np.load(shared("golden/diffusion.npz"))
    # There a token is redrawn where u < 1 - alpha; here it is kept where u < alpha.
    draws = Recorded(1 - data["qxt_u"], data["qxt_rand_tokens"])
    found = noise(draws, data["qxt_x0"], data["qxt_alpha"], 19)
    np.testing.assert_array_equal(found, data["qxt_xt"])


# --- one reverse step


def mixture_law(x_theta, x_t, alpha_t, alpha_s) -> np.ndarray:
    """The law of the three-part mixture, from its weights, for one token."""
    size = len(x_theta)
    stay = alpha_t * size * x_theta[x_t] + alpha_t / alpha_s - alpha_t
    uniform = (1 - alpha_t / alpha_s) * (1 - alpha_s)
    total = alpha_t * size * x_theta[x_t] + 1 - alpha_t
    assert stay + uniform + alpha_s - alpha_t == pytest.approx(total)
    law = stay * np.eye(size)[x_t] + (alpha_s - alpha_t) * x_theta + uniform / size
    return law / total


@given(strategies.channels(st.floats(0.0, 0.99)), st.floats(0.01, 1.0))
def test_mixture_law_equals_the_dense_form(case, share):
    alpha_t = case["alpha"]
    alpha_s = alpha_t + share * (1 - alpha_t)
    dense = sampler.reverse_law(log(case["probs"])[None], case["x_t"][None], alpha_t, alpha_s)[0]
    mixture = [
        mixture_law(row, token, alpha_t, alpha_s)
        for row, token in zip(case["probs"], case["x_t"], strict=True)
    ]
    assert_close(dense, np.array(mixture), rtol=1e-9, atol=1e-12)


LAWS = np.array([[0.5, 0.3, 0.2, 0.0], [0.0, 0.0, 1.0, 0.0], [0.1, 0.2, 0.3, 0.4]])


@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
@pytest.mark.parametrize("alpha_t, alpha_s", [(0.0, 0.4), (0.4, 0.7), (0.3, 1.0), (0.9, 0.9)])
def test_reverse_step_follows_the_dense_law(xp, alpha_t, alpha_s):
    n = 40_000
    x_t = np.array([0, 1, 3])
    uniforms = generator(2).random((3, n, 3)).astype(np.float32 if xp is jnp else float)
    law = sampler.reverse_law(log(LAWS)[None], x_t[None], alpha_t, alpha_s)[0]
    step = sampler.reverse_step(
        xp.asarray(uniforms),
        xp.asarray(np.broadcast_to(log(LAWS), (n, 3, 4)), dtype=uniforms.dtype),
        xp.asarray(np.broadcast_to(x_t, (n, 3))),
        alpha_t,
        alpha_s,
    )
    for site in range(3):
        agrees(np.bincount(np.asarray(step)[:, site], minlength=4), law[site])


def test_the_last_step_never_draws_uniformly():
    """At alpha = 1 every token comes from the law or stays, whatever the rounding."""
    edge = np.float32([0.0, 0.5, 1 - 2**-23, 1 - 2**-24])
    uniforms = np.stack(np.meshgrid(edge, edge, edge)).reshape(3, 1, -1)
    for alpha_t in np.linspace(0, 0.999, 200, dtype=np.float32):
        x_t = np.ones((1, uniforms.shape[2]), int)
        laws = np.broadcast_to(np.float32(log([0.3, 0.0, 0.7, 0.0])), (*x_t.shape, 4))
        step = sampler.reverse_step(uniforms, laws, x_t, alpha_t, np.float32(1))
        assert np.isin(step, [0, 2]).all()


def test_a_forbidden_token_without_noise_stays_as_in_the_dense_form():
    x_t = np.full((1, 5), 3)
    laws = np.broadcast_to(log(LAWS[0]), (1, 5, 4))
    dense = sampler.reverse_law(laws, x_t, 1.0, 1.0)
    np.testing.assert_array_equal(dense[0, 0], [0, 0, 0, 1])
    uniforms = np.array([0.0, 0.1, 0.4, 0.7, 0.99]) + np.zeros((3, 1, 5))
    np.testing.assert_array_equal(sampler.reverse_step(uniforms, laws, x_t, 1.0, 1.0), x_t)


@given(strategies.channels(strategies.inner_alphas))
def test_one_step_to_no_noise_is_the_token_posterior(case):
    log_loo, x_t = log(case["probs"])[None], case["x_t"][None]
    one_step = sampler.reverse_law(log_loo, x_t, case["alpha"], 1.0)
    full = np.exp(full_from_loo(log_loo, x_t, case["alpha"]))
    assert_close(one_step, full, rtol=1e-9, atol=1e-12)


# --- loops


def test_steps_from():
    assert [sampler.steps_from(t, 10) for t in (0.0, 0.05, 0.1, 0.3, 0.35, 1.0)] == [
        1,
        1,
        1,
        3,
        4,
        10,
    ]
    assert sampler.steps_from(0.7, 10) == 7  # not 8, though 0.7 * 10 rounds up


def exact_ancestral(denoiser, x_t: np.ndarray, t: float, n_steps: int) -> np.ndarray:
    """Law of the output over all sequences, (N,), for one start (L,)."""
    size, seq_len = denoiser.vocab_size, denoiser.seq_len
    states = oracles.all_sequences(size, seq_len)
    law = (states == x_t).all(axis=1).astype(float)
    for k in range(n_steps):
        level, below = t * (1 - k / n_steps), t * (1 - (k + 1) / n_steps)
        alphas = denoiser.schedule.alpha(level), denoiser.schedule.alpha(below)
        sites = sampler.reverse_law(np.asarray(denoiser.log_loo(states, level)), states, *alphas)
        law = law @ np.prod([sites[:, i][:, states[:, i]] for i in range(seq_len)], axis=0)
    return law


@pytest.mark.parametrize("kind", ["numba", "jax"])
@pytest.mark.parametrize("t, n_steps", [(0.8, 5), (0.8, 1), (1.0, 3)])
def test_ancestral_loops_follow_the_exact_law(kind, t, n_steps):
    numba = EmpiricalDenoiser(STORE, 3)
    denoiser = numba if kind == "numba" else numba.jax()
    x_t, n = np.array([1, 2]), 20_000
    found = sampler.ancestral(denoiser, generator(3), np.tile(x_t, (n, 1)), t, n_steps)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.uint8
    law = exact_ancestral(numba, x_t, t, sampler.steps_from(t, n_steps))
    counts = np.bincount(oracles.sequence_index(found, 3), minlength=9)
    possible = law > 1e-4  # float32 lets about 1e-7 through
    assert counts[~possible].sum() <= 5 + 5 * n * law[~possible].sum()
    share = counts[possible] / n
    p = law[possible]
    assert np.all(np.abs(share - p) <= 5 * np.sqrt(p * (1 - p) / n))


def test_one_step_from_any_level_is_sample_from_full():
    denoiser = SOURCES["chain"].population_denoiser()
    x_t, n, t = np.array([0, 2, 1, 1]), 20_000, 0.6
    found = sampler.ancestral(denoiser, generator(4), np.tile(x_t, (n, 1)), t, 1)
    log_full = full_from_loo(denoiser.log_loo(x_t[None], t), x_t[None], LogLinear().alpha(t))
    drawn = sampler.decode_sample(generator(5).random((n, 4)), np.repeat(log_full, n, axis=0))
    for tokens in (found, drawn):
        for site in range(4):
            agrees(np.bincount(tokens[:, site], minlength=3), np.exp(log_full[0, site]))


def test_many_steps_approach_the_joint_posterior():
    denoiser = EmpiricalDenoiser(STORE, 3)
    x_t, t = np.array([1, 2]), 0.8
    law = oracles.empirical_law(STORE, 3)
    exact = oracles.posterior_over_sequences(law, x_t, denoiser.schedule.alpha(t), 3)
    gaps = [np.abs(exact_ancestral(denoiser, x_t, t, n) - exact).sum() for n in (1, 4, 16, 64)]
    assert np.all(np.diff(gaps) < 0)
    assert gaps[-1] < gaps[0] / 15


def test_another_level_or_step_count_does_not_compile_again():
    traces = []

    class Counting(eqx.Module):
        vocab_size: int = eqx.field(static=True, default=3)
        seq_len: int = eqx.field(static=True, default=2)
        schedule: LogLinear = eqx.field(static=True, default=LogLinear())

        def log_loo(self, x_t, t):
            traces.append(x_t.shape)
            return jnp.full((*x_t.shape, 3), -jnp.log(3.0))

    x_t = np.zeros((4, 2), int)
    sampler.ancestral(Counting(), generator(), x_t, 0.7, 5)
    first = len(traces)
    assert first > 0
    sampler.ancestral(Counting(), generator(), x_t, 0.3, 9)
    assert len(traces) == first


@pytest.mark.parametrize("kind", ["numba", "jax"])
def test_ancestral_repeats_with_its_generator(kind):
    denoiser = EmpiricalDenoiser(np.arange(20).reshape(4, 5) % 3, 3)
    denoiser = denoiser if kind == "numba" else denoiser.jax()
    x_t = generator().integers(3, size=(200, 5))
    runs = [sampler.ancestral(denoiser, generator(s), x_t, 0.9, 4) for s in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


def test_ancestral_without_noise_returns_its_input():
    denoiser = EmpiricalDenoiser(STORE, 3)
    x_t = np.array([[0, 1], [1, 2], [2, 0]])  # one stored, two that no stored sequence explains
    np.testing.assert_array_equal(sampler.ancestral(denoiser, generator(), x_t, 0.0, 10), x_t)


def test_ancestral_refuses_bad_tokens():
    denoiser = EmpiricalDenoiser(STORE, 3)
    for model in (denoiser, denoiser.jax()):
        with pytest.raises(TokenRangeError, match="`x_t` holds the token 3; allowed are 0 to 2"):
            sampler.ancestral(model, generator(), np.array([[0, 3]]), 0.5, 4)


@pytest.mark.parametrize("kind", ["numba", "jax"])
def test_generation_from_a_store_of_one_sequence_returns_it(kind):
    denoiser = EmpiricalDenoiser(np.array([[0, 2, 1, 1, 0]] * 4), 3)  # four times the same
    denoiser = denoiser if kind == "numba" else denoiser.jax()
    made = sampler.generate(denoiser, generator(), 200, 5, 8)
    np.testing.assert_array_equal(made, np.repeat([[0, 2, 1, 1, 0]], 200, axis=0))


def test_generation_follows_an_independent_source():
    source = SOURCES["iid, forbidden token"]  # factorized steps are exact for independent sites
    made = sampler.generate(source.population_denoiser(), generator(6), 5000, 4, 6)
    agrees(np.bincount(made.ravel(), minlength=3), source.probs)


# --- decoders


@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
def test_decoders_equal_plain_loops(xp):
    rng = generator(7)
    full = rng.dirichlet(np.ones(4), size=(30, 3))
    full[0, 0] = [0, 0.6, 0.4, 0]
    x_t, uniforms = full.argmax(-1), rng.random((30, 3))
    x_t[::2] = rng.integers(4, size=(15, 3))
    log_full = xp.asarray(log(full))
    argmax = np.asarray(sampler.decode_argmax(log_full))
    best = np.asarray(sampler.decode_best_change(log_full, xp.asarray(x_t)))
    drawn = np.asarray(sampler.decode_sample(xp.asarray(uniforms), log_full))
    for b, i in np.ndindex(30, 3):
        order = np.argsort(full[b, i])[::-1]
        assert argmax[b, i] == order[0]
        assert best[b, i] == (order[0] if order[0] != x_t[b, i] else order[1])
        edges = np.concatenate([[0], np.cumsum(full[b, i])])
        inside = edges[drawn[b, i]] - 1e-6, edges[drawn[b, i] + 1] + 1e-6
        assert inside[0] <= uniforms[b, i] <= inside[1]


def test_best_change_never_keeps_a_certain_token():
    log_full = np.broadcast_to(log([0.0, 1.0, 0.0]), (1, 2, 3))
    best = sampler.decode_best_change(log_full, np.array([[1, 0]]))
    assert best[0, 0] != 1
    assert best[0, 1] == 1

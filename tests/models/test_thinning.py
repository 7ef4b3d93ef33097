"""Thinning has the law of the plain reverse step: in formulas, in draws, over whole runs."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import Absorbing, Cosine, Hybrid, LogLinear
from models import sampler, thinning
from models.networks.dit import DiT, Shape
from models.sampler import ancestral, reverse_law
from models.thinning import Grid, ancestral_thinned, candidate_probability, draw_events
from tests import oracles
from tests.helpers import assert_close


def network(vocab_size=3, seq_len=3, seed=0, noise=None) -> DiT:
    """A network far from its start: every weight moved, so that its law is not uniform."""
    model = DiT(jax.random.key(seed), vocab_size, Shape(8, 2, 2, 8), seq_len, channel=noise)
    rng = np.random.default_rng(seed)
    arrays, rest = eqx.partition(model, eqx.is_array)
    moved = jax.tree.map(lambda a: a + 0.7 * rng.normal(size=a.shape).astype(np.float32), arrays)
    return eqx.combine(moved, rest)


unit = st.floats(0.0, 1.0, exclude_min=True)


@given(unit, unit, st.lists(st.floats(0, 1), min_size=2, max_size=5), st.data())
def test_candidate_acceptance_and_draw_make_the_reverse_law(a, b, weights, data):
    alpha_t, alpha_s = min(a, b) * 0.999999, max(a, b)
    x = np.array(weights) + 1e-3
    x /= x.sum()
    vocab = len(x)
    z = data.draw(st.integers(0, vocab - 1))
    p = candidate_probability(alpha_t, alpha_s)
    excess = 1 - alpha_t + alpha_t * vocab * x[z]
    move = p * (1 - alpha_t) / excess
    assert 0 <= p <= 1
    law = move * (alpha_s * x + (1 - alpha_s) / vocab)
    law[z] += 1 - move
    dense = reverse_law(np.log(x)[None, None], np.array([[z]]), alpha_t, alpha_s)[0, 0]
    assert_close(law, dense, rtol=1e-9, atol=1e-12)


def test_every_token_is_a_candidate_of_the_last_step():
    for schedule in (LogLinear(), Cosine()):
        grid = Grid.uniform(schedule, 0.7, 9)
        assert candidate_probability(grid.alpha_t[-1], grid.alpha_s[-1]) == pytest.approx(1)
        events = draw_events(np.random.default_rng(0), grid, 5, 4)
        last = [(s, i) for j in range(len(events.step)) for s, i in candidates(events, j)
                if events.step[j, s] == 8]  # fmt: skip
        assert sorted(last) == [(s, i) for s in range(5) for i in range(4)]
    assert candidate_probability(1.0, 1.0) == 0.0


def candidates(events, j):
    rows = slice(events.start[j], events.start[j + 1])
    return zip(events.sequence[rows].tolist(), events.site[rows].tolist(), strict=True)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**16))
def test_rounds_follow_each_sequence_through_its_own_steps(batch, seq_len, n, seed):
    grid = Grid.uniform(LogLinear(), 0.6, n)
    events = draw_events(np.random.default_rng(seed), grid, batch, seq_len)
    assert events.start[0] == 0
    assert events.start[-1] == len(events.site) == len(events.sequence)
    for s in range(batch):
        visited = [events.step[j, s] for j in range(len(events.step))
                   if any(q == s for q, _ in candidates(events, j))]  # fmt: skip
        assert visited == sorted(set(visited))  # in order, each once
        assert visited[-1] == n - 1
        rounds = [any(q == s for q, _ in candidates(events, j)) for j in range(len(events.step))]
        assert rounds == sorted(rounds, reverse=True)  # no idle round before the end


def test_candidates_come_with_their_probability():
    grid = Grid.uniform(LogLinear(), 0.8, 6)
    events = draw_events(np.random.default_rng(1), grid, 4000, 5)
    steps = np.concatenate(
        [[events.step[j, s] for s, _ in candidates(events, j)] for j in range(len(events.step))]
    )
    n = 4000 * 5
    for k in range(6):
        p = candidate_probability(grid.alpha_t[k], grid.alpha_s[k])
        error = np.sqrt(p * (1 - p) / n) + 1e-9
        assert abs((steps == k).mean() * len(steps) / n - p) < 5 * error


@pytest.mark.parametrize("vocab_size", [2, 3, 5, 17, 100])
def test_grouped_draw_inverts_the_cumulative_law(vocab_size):
    rng = np.random.default_rng(vocab_size)
    rows = 64
    logits = 3 * rng.normal(size=(rows, vocab_size)).astype(np.float32)
    logits[0] = -np.inf
    logits[0, vocab_size // 2] = 1.0  # certainty
    token, u = rng.integers(vocab_size, size=rows), rng.random(rows, dtype=np.float32)
    total, own, draw = thinning.grouped_draw(jnp.asarray(logits), jnp.asarray(token), u)
    law = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    assert_close(total, law.sum(1).astype(np.float32))
    assert_close(own, law[np.arange(rows), token].astype(np.float32), atol=1e-6)
    running = np.cumsum(law, axis=1) / law.sum(1, keepdims=True)
    expected = (running <= u[:, None]).sum(1)
    near = np.abs(running - u[:, None]).min(1) < 1e-5  # where rounding decides
    assert (np.asarray(draw) == expected)[~near].all()
    assert (~near).mean() > 0.9
    assert np.asarray(draw)[0] == vocab_size // 2


def test_largest_uniforms_give_a_token_with_weight():
    logits = jnp.asarray([[0.0, 0.0, -jnp.inf, -jnp.inf, -jnp.inf]])
    one = jnp.asarray([np.nextafter(np.float32(1), np.float32(0))])
    assert thinning.grouped_draw(logits, jnp.asarray([0]), one)[2][0] == 1


@pytest.mark.parametrize("steps", [1, 3])
def test_whole_runs_have_the_law_of_the_plain_process(steps):
    model = network()
    x_t = np.tile(np.array([[0, 2, 1]], np.uint8), (40_000, 1))
    t = 0.7
    grid = Grid.uniform(model.schedule, t, steps)
    final = ancestral_thinned(model, np.random.default_rng(0), x_t, grid, batch=8000)
    found = np.bincount(oracles.sequence_index(final, 3), minlength=27) / len(x_t)
    law = exact_run(model, x_t[0], grid)
    error = np.sqrt(law * (1 - law) / len(x_t))
    assert (np.abs(found - law) < 5 * error + 1e-4).all()
    assert np.abs(law - 1 / 27).max() > 0.02  # a law that is not uniform, or nothing was tested


def exact_run(model, x, grid) -> np.ndarray:
    """Law of the final sequence by propagation over all of them through dense reverse steps."""
    states = oracles.all_sequences(3, 3)
    law = (states == x).all(1).astype(float)
    for t, alpha_t, alpha_s in zip(grid.t, grid.alpha_t, grid.alpha_s, strict=True):
        log_x = np.asarray(model.log_loo(states, np.float32(t)), np.float64)
        kernel = reverse_law(log_x, states, alpha_t, alpha_s)  # (27, 3, 3)
        step = np.ones((27, 27))
        for i in range(3):
            step *= kernel[:, i, states[:, i]]
        law = law @ step
    return law


def test_ancestral_takes_thinning_where_it_pays(monkeypatch):
    model = network()
    calls = []
    monkeypatch.setattr(
        thinning, "ancestral_thinned", lambda m, rng, x, grid, **_: calls.append(len(grid.t)) or x
    )
    x_t = np.zeros((2, 3), np.uint8)
    ancestral(model, np.random.default_rng(0), x_t, 0.5, 100)
    assert calls == [50]
    ancestral(model, np.random.default_rng(0), x_t, 0.5, 10)
    assert calls == [50]
    assert sampler.steps_from(0.5, 10) == 5


@pytest.mark.parametrize("steps", [3, 40])
def test_masks_are_revealed_as_by_the_plain_process(steps):
    """From sequences with visible tokens, which stay: the law of the whole output."""
    model = network(noise=Absorbing(3))
    x_t = np.tile(np.array([3, 1, 3], np.uint8), (20_000, 1))
    grid = Grid.uniform(LogLinear(), 0.8, steps)
    thinned = ancestral_thinned(model, np.random.default_rng(0), x_t, grid)
    assert (thinned[:, 1] == 1).all() and thinned.max() < 3
    states = oracles.all_sequences(4, 3)
    law = (states == x_t[0]).all(1).astype(float)
    for t, alpha_t, alpha_s in zip(grid.t, grid.alpha_t, grid.alpha_s, strict=True):
        log_loo = np.asarray(model.log_loo(states, t), float)
        rows = reverse_law(log_loo, states, alpha_t, alpha_s, Absorbing(3))
        jump = np.prod([rows[:, i][:, states[:, i]] for i in range(3)], axis=0)
        law = law @ jump
    share = np.bincount(oracles.sequence_index(thinned, 4), minlength=64) / len(thinned)
    assert_close(share, law, atol=5 * np.sqrt(0.25 / len(thinned)))


def test_masks_are_thinned_where_that_pays(monkeypatch):
    calls = []
    whole = thinning.ancestral_thinned
    monkeypatch.setattr(
        thinning, "ancestral_thinned", lambda *a, **k: calls.append(1) or whole(*a, **k)
    )
    model, rng = network(noise=Absorbing(3)), np.random.default_rng(0)
    x_t = np.full((4, 3), 3)
    ancestral(model, rng, x_t, 1.0, 3)
    assert not calls
    ancestral(model, rng, x_t, 1.0, 4)
    assert calls
    ancestral(network(noise=Hybrid(3, 0.1)), rng, x_t, 1.0, 99)
    assert len(calls) == 1  # a hybrid token may move more than once, and not by this law
    with pytest.raises(ValueError, match="no law for hybrid noise"):
        whole(network(noise=Hybrid(3, 0.1)), rng, x_t.astype(np.uint8), None)


def test_batches_and_padding_do_not_matter_to_the_shape():
    model = network()
    x_t = np.random.default_rng(0).integers(3, size=(7, 3)).astype(np.uint8)
    grid = Grid.uniform(model.schedule, 0.5, 4)
    final = ancestral_thinned(model, np.random.default_rng(1), x_t, grid, batch=3)
    assert final.shape == (7, 3)
    assert final.dtype == np.uint8
    assert final.max() < 3

"""The share of a site's own token in a law: exact ones, mixtures, networks that were trained."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from am_theory.channel import Hybrid, Linear, LogLinear, loo_from_full
from models.contract import claims
from models.contract.check import examine
from models.contract.claims import OTHER_LAW, OwnToken, clock_note, own_token_share
from models.denoiser import channel_of, contract_problems, log_full
from models.errors import TokenRangeError
from models.networks.dit import DiT
from models.released.converted import ConvertedCall, Reading
from models.sources import MarkovSource
from models.sources.permutations import permutation_chain
from tests.helpers import open_stated, shared
from tests.registry import DENOISERS, cases

V, L = 8, 8
SOURCE = MarkovSource(permutation_chain(V), L)
EXACT = [name for name in DENOISERS if channel_of(DENOISERS[name]).redraws]


class Changed:
    """A denoiser whose law goes through `change(law, x_t, t)`."""

    def __init__(self, denoiser, change):
        self.denoiser, self.change, self.schedule = denoiser, change, denoiser.schedule
        self.vocab_size, self.seq_len = denoiser.vocab_size, denoiser.seq_len
        self.channel = channel_of(denoiser)

    def log_loo(self, x_t, t):
        return self.change(np.asarray(self.denoiser.log_loo(x_t, t), np.float64), x_t, t)


def to_full(denoiser):
    """The same model, its token posterior given for its leave-one-out law."""
    return Changed(denoiser, lambda law, x_t, t: np.asarray(log_full(denoiser, x_t, t)))


def to_loo(denoiser):
    """The same model, its law converted as that of a `full` network."""
    kind = channel_of(denoiser)
    return Changed(
        denoiser, lambda law, x_t, t: loo_from_full(law, x_t, denoiser.schedule.alpha(t), kind)
    )


@pytest.mark.parametrize("name", cases(EXACT))
def test_shares_of_exact_laws(name):
    loo, full = (own_token_share(d) for d in (DENOISERS[name], to_full(DENOISERS[name])))
    assert loo.swaps == full.swaps
    if name == "empirical, one pattern":  # it knows the token whatever it sees
        assert loo.swaps == 0 and math.isnan(full.share) and full.problem is None
        return
    np.testing.assert_allclose(loo[:3], 0, atol=1e-4)
    np.testing.assert_allclose(full[:3], 1, atol=1e-4)
    assert loo.problem is None and loo.note is None


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.4, 0.6, 1.0])
@pytest.mark.parametrize("hybrid", [None, Hybrid(V, 0.3)], ids=["uniform", "hybrid"])
def test_the_share_of_a_geometric_mixture_is_its_weight(weight, hybrid):
    """log x = log loo + w beta 1[v = x_t]: what a network shows that has learnt `full` in part."""
    model = SOURCE.population_denoiser(Linear(), hybrid)

    def mixed(law, x_t, t):
        both = (1 - weight) * law + weight * np.asarray(log_full(model, x_t, t))
        return both - np.logaddexp.reduce(both, axis=-1, keepdims=True)

    partly = Changed(model, mixed)
    found = own_token_share(partly)
    np.testing.assert_allclose(found[:3], weight, atol=1e-9)
    np.testing.assert_allclose(own_token_share(to_loo(partly))[:3], weight - 1, atol=1e-9)
    readings = [examine(partly).problems, examine(to_loo(partly)).problems]
    assert [bool(problems) for problems in readings] == [weight > 0.5, weight < 0.5]
    assert bool(found.note) == (0.1 < weight < 0.5)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.6, 0.9])
def test_a_law_that_puts_weight_on_its_own_token_at_every_level_is_refused(share):
    """0.6 on the own token, 0.4 on a law of its own: less of `full` where t is small."""
    law = np.log(np.random.default_rng(0).dirichlet(np.ones(V)))

    def mixed(_, x_t, t):
        return np.log(share * np.eye(V)[x_t] + (1 - share) * np.exp(law))

    (problem,) = contract_problems(Changed(SOURCE.population_denoiser(), mixed))
    assert "it is the posterior `full`, not the leave-one-out law" in problem


def test_clipped_posteriors_still_show():
    """A floor under the probabilities takes a part of the share, not the finding."""
    model = SOURCE.population_denoiser()

    def floored(law, x_t, t):
        return np.log(0.95 * np.exp(np.asarray(log_full(model, x_t, t))) + 0.05 / V)

    found = own_token_share(Changed(model, floored))
    assert 0.5 < found.share < 0.99 and found.problem


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-2, 3), min_size=1, max_size=40))
def test_the_interval_holds_the_median_and_few_swaps_say_nothing(ratios):
    """Of a law whose own log-odds move by given shares of 2 beta."""
    ratios = sorted(ratios)
    found = OwnToken(float(np.median(ratios)), ratios[0], ratios[-1], len(ratios))
    assert found.low <= found.share <= found.high
    if len(ratios) < 6 or abs(found.share) <= OTHER_LAW:
        assert found.problem is None
    assert not (found.problem and found.note)


def test_a_law_of_chance_in_the_weights_is_no_posterior():
    """Networks as they begin, with a readout that is not 0: 40 of them, none refused."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        table = rng.normal(size=(6, 5, 6, 5))

        def random(_, x_t, t, table=table):
            logits = np.einsum("blv,lviw->biw", np.eye(5)[x_t], table)
            return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)

        model = Changed(MarkovSource(permutation_chain(5), 6).population_denoiser(), random)
        assert own_token_share(model, seed=seed).problem is None, seed


@pytest.mark.parametrize("weights", ["raw", "ema"])
@pytest.mark.parametrize("name", ["memorizing", "generalizing"])
def test_networks_of_a_peer_trained_on_the_nelbo(name, weights):
    model = open_stated(shared(f"golden_trained/{name}/{name}.ckpt"), weights=weights).model
    for tokens in (None, np.load(shared("golden_trained/test_ids.npy"))):
        found = own_token_share(model, tokens)
        assert abs(found.share) < 0.06 and found.swaps == 32  # measured: 0.035
        assert found.problem is None and found.note is None


class Tables(eqx.Module):
    """Logits of a site: a table for every token there is, its own included, linear in t."""

    tables: jax.Array  # (2, L, V, L, V)

    vocab_size, seq_len, schedule = V, L, LogLinear()

    def log_loo(self, x_t, t):
        told = jnp.stack([jnp.ones(len(x_t)), jnp.broadcast_to(t, len(x_t))])
        logits = jnp.einsum("kb,bjv,kjviw->biw", told, jax.nn.one_hot(x_t, V), self.tables)
        return jax.nn.log_softmax(logits)


@pytest.mark.parametrize("name", ["memorizing", "generalizing"])
def test_a_clock_that_runs_the_other_way_is_noted(name):
    model = open_stated(shared(f"golden_trained/{name}/{name}.ckpt")).model
    assert clock_note(model) is None

    class Reversed(Changed):
        def log_loo(self, x_t, t):
            return self.denoiser.log_loo(x_t, 1 - np.asarray(t) * (1 - 1e-5))

    note = clock_note(Reversed(model, None))
    assert "the network's clock seems to run the other way" in note
    assert any("the other way" in found for found in examine(Reversed(model, None)).notes)


@pytest.mark.parametrize("name", cases(EXACT))
def test_clocks_of_exact_laws_run_the_right_way(name):
    assert clock_note(DENOISERS[name]) is None


def trained(loss: str) -> Tables:
    """By the NELBO's leave-one-out law, on noised sites, or by cross-entropy of the softmax on the
    clean token at every site, whose optimum is `full`."""
    x_all = jnp.asarray(SOURCE.sample(np.random.default_rng(1), 4096), jnp.int32)
    optimizer = optax.adam(0.03)

    def step(state, key):
        model, memory = state
        rows, level, keep, draw = jax.random.split(key, 4)
        x_0 = x_all[jax.random.randint(rows, (128,), 0, len(x_all))]
        t = 1e-4 + jax.random.uniform(level, (128,)) * 0.9999
        fresh = jax.random.uniform(keep, x_0.shape) < 1 - LogLinear().alpha(t)[:, None]
        x_t = jnp.where(fresh, jax.random.randint(draw, x_0.shape, 0, V), x_0)
        scored = fresh if loss == "loo" else jnp.ones_like(fresh)

        def cost(model):
            true = jnp.take_along_axis(model.log_loo(x_t, t), x_0[..., None], -1)[..., 0]
            return -jnp.mean(jnp.where(scored, true, 0.0))

        updates, memory = optimizer.update(jax.grad(cost)(model), memory)
        return (optax.apply_updates(model, updates), memory), None

    model = Tables(jnp.zeros((2, L, V, L, V)))
    keys = jax.random.split(jax.random.key(1), 300)
    run = jax.jit(lambda state: jax.lax.scan(step, state, keys)[0])
    return run((model, optimizer.init(model)))[0]


def test_a_network_trained_on_resampled_sites_is_loo_and_one_on_all_is_full():
    loo, full = trained("loo"), trained("full")
    assert contract_problems(loo) == []
    found = own_token_share(full)
    assert 0.5 < found.share < 1.1 and found.low > 0.25
    (problem,) = contract_problems(full)
    assert f"move by {found.share:.2f}" in problem and "loo_from_full" in problem
    law = eqx.filter_jit(full.log_loo)

    def outputs(ids, t):
        return np.asarray(law(jnp.asarray(ids, jnp.int32), jnp.asarray(t, jnp.float32)))

    read = ConvertedCall(outputs, Reading("full", channel_of(full)), full.schedule, L)
    after = own_token_share(read)
    assert after.share == pytest.approx(found.share - 1, abs=1e-4) and after.problem is None
    (problem,) = contract_problems(to_loo(loo))
    assert "converted twice, was the leave-one-out law before" in problem


def test_contexts_are_the_sequences_given_and_must_be_in_range():
    seen = []
    model = SOURCE.population_denoiser()
    own_token_share(Changed(model, lambda law, x_t, t: seen.append(x_t) or law), np.full((3, L), 7))
    shares = [np.mean([x[k] == 7 for x in seen]) for k in range(4)]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.8
    with pytest.raises(TokenRangeError, match="holds the token 8; allowed are 0 to 7"):
        own_token_share(model, np.full((3, L), V))


def test_laws_of_some_sites_are_those_of_all(monkeypatch):
    """A JAX network with a readout of its own is read out at these sites alone."""
    model = DiT(jax.random.key(0), 5, "mini", seq_len=6)
    model = jax.tree.map(lambda a: a + 0.1 * jnp.cos(jnp.arange(a.size)).reshape(a.shape), model)
    x_t, t = (
        np.random.default_rng(0).integers(5, size=(3, 6)),
        np.array([0.1, 0.3, 0.9], np.float32),
    )
    whole = claims.law_of(model, x_t, t, np.arange(6))
    monkeypatch.setattr(claims, "SEEN", 10)
    sites = claims.sites_of(model, 6)
    assert sites.tolist() == [0, 5]
    np.testing.assert_allclose(claims.law_of(model, x_t, t, sites), whole[:, sites], atol=1e-5)

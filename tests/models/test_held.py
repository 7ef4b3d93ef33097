"""Held sites: they stay, nothing else changes, and what is drawn around them has the right law."""

from __future__ import annotations

import itertools

import equinox as eqx
import jax
import numpy as np
import pytest

from am_theory.channel import Absorbing, Hybrid, Uniform
from models import sampler, thinning
from models.held import complete
from models.networks.dit import DiT, Shape
from models.networks.mlp import MLPDenoiser
from models.sampler import ancestral, reverse_law
from models.sources import MarkovSource
from tests import oracles

V, L = 3, 4
CHAIN = MarkovSource(oracles.CHAIN, L)
KINDS = [Uniform(V), Absorbing(V), Hybrid(V, 0.3)]
PATHS = ["exact", "mlp", "mlp, slices", "thinned"]


def denoiser_of(path, kind, monkeypatch):
    if path == "exact":
        return CHAIN.population_denoiser(channel=kind)
    if path == "thinned":
        monkeypatch.setattr(thinning, "pays", lambda *_: True)
        monkeypatch.setattr(thinning, "TOKENS", 5 * L)  # batches of five, the last one filled up
        return DiT(jax.random.key(0), V, Shape(8, 1, 2, 8), L, channel=kind)
    if path == "mlp, slices":
        monkeypatch.setattr(sampler, "LARGE", 1)
    return MLPDenoiser(jax.random.key(0), V, L, width=8, channel=kind)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_held_tokens_stay_and_holding_none_changes_no_number(path, kind, monkeypatch):
    denoiser = denoiser_of(path, kind, monkeypatch)
    eqx.clear_caches()
    rng = np.random.default_rng(1)
    start = rng.integers(V, size=(12, L))
    if kind.mask_id is not None:
        start[:, 2:] = kind.mask_id
    held = rng.random((12, L)) < 0.5
    held[:, 2:] &= kind.mask_id is None
    found = ancestral(denoiser, np.random.default_rng(2), start, 1.0, 6, held)
    np.testing.assert_array_equal(found[held], start[held])
    assert (found != start)[~held].any() and found.max() < V
    plain = ancestral(denoiser, np.random.default_rng(2), start, 1.0, 6)
    none = ancestral(denoiser, np.random.default_rng(2), start, 1.0, 6, np.zeros(L, bool))
    np.testing.assert_array_equal(none, plain)
    if not kind.redraws:  # where visible tokens are certain nothing is to be held
        np.testing.assert_array_equal(found, plain)


@pytest.mark.parametrize("held", [np.ones(L), np.ones(L - 1, bool), np.ones((3, L), bool)])
def test_held_of_another_shape_or_type_is_refused(held):
    with pytest.raises(ValueError, match="`held` must be booleans"):
        ancestral(CHAIN.population_denoiser(), np.random.default_rng(0), [[0] * L] * 2, 1, 2, held)


def test_a_held_mask_is_refused_and_so_are_sweeps_under_erasures():
    denoiser, rng = CHAIN.population_denoiser(channel=Absorbing(V)), np.random.default_rng(0)
    with pytest.raises(ValueError, match="cannot be the mask"):
        ancestral(denoiser, rng, [[V] * L], 1.0, 2, np.ones(L, bool))
    with pytest.raises(ValueError, match="`sweeps`"):
        complete(denoiser, rng, [[0] * L], np.ones(L, bool), 2, sweeps=1)


# --- laws, by enumeration of the free sites

FREE = oracles.all_sequences(V, 2)


def conditional(prefix):
    """Law of the two last tokens given the first two, and all sequences with that prefix."""
    rows = np.concatenate([np.tile(prefix, (len(FREE), 1)), FREE], axis=1)
    law = np.exp(CHAIN.log_prob(rows))
    return law / law.sum(), rows


def clamped(prefix, n_steps):
    """Law of the free sites where the prefix is held, uniform noise, an exact denoiser."""
    denoiser, (_, rows) = CHAIN.population_denoiser(), conditional(prefix)
    law = np.full(len(rows), 1 / len(rows))
    for t, s in itertools.pairwise(1 - np.arange(n_steps + 1) / n_steps):
        alphas = float(denoiser.schedule.alpha(t)), float(denoiser.schedule.alpha(s))
        sites = reverse_law(denoiser.log_loo(rows, t), rows, alphas[0], alphas[1] if s else 1.0)
        first, second = sites[:, 2][:, FREE[:, 0]], sites[:, 3][:, FREE[:, 1]]
        law = law @ (first * second)
    return law


def swept(prefix, law):
    """`law` after each free site was drawn given all others."""
    exact, _ = conditional(prefix)
    for others in (FREE[:, 1], FREE[:, 0]):
        same = others[:, None] == others
        law = law @ (same * exact / (same * exact).sum(1, keepdims=True))
    return law


def distance(a, b):
    return 0.5 * np.abs(a - b).sum()


def frequencies(drawn, n):
    assert len(drawn) == n
    return np.bincount(oracles.sequence_index(drawn[:, 2:], V), minlength=len(FREE)) / n


def agree(found, law, n):
    assert np.all(np.abs(found - law) <= 5 * np.sqrt(law * (1 - law) / n) + 1 / n)


@pytest.mark.parametrize("prefix", [(0, 1), (2, 2)])
def test_erasures_give_the_exact_conditional(prefix):
    n, held = 10_000, np.array([True, True, False, False])
    given = np.tile([*prefix, 0, 0], (n, 1))
    denoiser = CHAIN.population_denoiser(channel=Absorbing(V))
    drawn = complete(denoiser, np.random.default_rng(3), given, held, 128)
    assert (drawn[:, :2] == prefix).all()
    agree(frequencies(drawn, n), conditional(prefix)[0], n)


def test_redraws_give_the_clamped_law_and_sweeps_bring_it_to_the_conditional():
    n, prefix, held = 20_000, (0, 1), np.array([True, True, False, False])
    given, denoiser = np.tile([*prefix, 0, 0], (n, 1)), CHAIN.population_denoiser()
    law, (exact, _) = clamped(prefix, 8), conditional(prefix)
    agree(frequencies(complete(denoiser, np.random.default_rng(4), given, held, 8), n), law, n)
    law = swept(prefix, swept(prefix, law))
    drawn = complete(denoiser, np.random.default_rng(5), given, held, 8, sweeps=2)
    agree(frequencies(drawn, n), law, n)
    assert (drawn[:, :2] == prefix).all() and distance(law, exact) < 0.01


def test_more_steps_do_not_undo_the_bias_and_sweeps_do():
    """What the table of `models.held` says of the chain of the oracles."""
    found = {}
    for n in (16, 64, 256):
        rows = []
        for prefix in oracles.all_sequences(V, 2):
            exact, law = conditional(prefix)[0], clamped(prefix, n)
            once = swept(prefix, law)
            thrice = swept(prefix, swept(prefix, once))
            rows.append([distance(exact, each) for each in (law, once, thrice)])
        found[n] = np.mean(rows, axis=0)
    assert found[256][0] > 0.9 * found[16][0] > 0.08
    assert found[256][1] < 0.04 and found[256][2] < 0.01


def test_sweeps_of_a_jax_network_keep_what_is_held():
    network = MLPDenoiser(jax.random.key(0), V, L, width=8)
    rng = np.random.default_rng(6)
    given, held = rng.integers(V, size=(7, L)), rng.random((7, L)) < 0.4
    drawn = complete(network, rng, given, held, 3, sweeps=2)
    np.testing.assert_array_equal(drawn[held], given[held])

"""Laws read in slices against whole ones, whatever the sizes of the slices."""

from __future__ import annotations

from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from am_theory.channel import Absorbing, Hybrid, LogLinear, Uniform
from models import sampler, slices
from models.denoiser import certain_where_visible
from models.networks.dit import DiT, Shape
from models.networks.mlp import MLPDenoiser
from models.noise import noise
from models.released.converted import Reading, read_by_sites
from models.released.paper_protocol import reverse_run
from models.slices import read_slices
from models.unmasking import read_single_masks, single_mask_laws
from tests.helpers import assert_close

V, L, BATCH = 5, 6, 3


def randomized(model):
    """The network with a law that is not uniform."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda x: (
            x + 0.3 * jnp.asarray(rng.normal(size=x.shape), x.dtype)
            if eqx.is_inexact_array(x)
            else x
        ),
        model,
    )


class Table:
    """A denoiser in NumPy: fields of pairs of sites, drawn at random."""

    def __init__(self, kind):
        rng = np.random.default_rng(3)
        self.vocab_size, self.seq_len, self.schedule = V, L, LogLinear()
        self.channel, self.fields = kind, rng.normal(size=(L, V + 1, L, V))

    def log_loo(self, x_t, t):
        fields = self.fields[np.arange(L)[:, None], np.asarray(x_t)[..., None], np.arange(L)]
        fields[:, np.arange(L), np.arange(L)] = 0  # its own token says nothing
        logits = fields.sum(1)
        law = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
        return certain_where_visible(law, np.asarray(x_t), self.channel)


KINDS = {"uniform": Uniform(V), "absorbing": Absorbing(V), "hybrid": Hybrid(V, 0.3)}
LAW = eqx.filter_jit(lambda model, x_t, t: model.log_loo(x_t, t))


def network(form, kind):
    """A network whose readout is apart from its trunk, or one whose law comes whole."""
    if form == "head":
        return randomized(DiT(jax.random.key(0), V, Shape(8, 1, 2, 8), L, channel=KINDS[kind]))
    return randomized(MLPDenoiser(jax.random.key(0), V, L, 8, channel=KINDS[kind]))


def law_of(model, x_t, t):
    if isinstance(model, Table):
        return model.log_loo(x_t, t)
    return np.asarray(LAW(model, jnp.asarray(x_t, jnp.int32), jnp.float32(t)), np.float64)


def surprise(law, tokens, weight):
    """Something that reads whole rows."""
    xp = law.__array_namespace__()
    low = xp.maximum(law, -50.0)
    own = xp.take_along_axis(low, xp.astype(tokens, xp.int32)[..., None], axis=-1)[..., 0]
    return weight * own, -xp.sum(xp.exp(low) * low, axis=-1)


def case(kind, seed, rows):
    rng = np.random.default_rng(seed)
    clean = rng.integers(V, size=(BATCH, L)).astype(np.uint8)
    x_t = noise(rng, clean, 0.5, KINDS[kind])
    places = np.sort(rng.permutation(BATCH * L)[:rows])
    return x_t, places, clean.ravel()[places], rng.random(rows).astype(np.float32)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(list(KINDS)),
    st.integers(1, 4 * V),
    st.integers(0, 2**31),
    st.integers(1, BATCH * L),
)
def test_slices_of_any_size_are_the_rows_bit_for_bit(kind, size, seed, rows):
    model = Table(KINDS[kind])
    x_t, places, truth, weight = case(kind, seed, rows)
    law = model.log_loo(x_t, 0.4).reshape(-1, V)[places]
    with mock.patch.object(slices, "SLICE", size):
        found = read_slices(model, x_t, 0.4, places, surprise, truth, weight)
    assert all(map(np.array_equal, found, surprise(law, truth, weight)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("form", "size"), [("head", 4 * V), ("whole", 7 * V)])
def test_slices_in_jax(form, kind, size):
    model = network(form, kind)
    x_t, places, truth, weight = case(kind, 0, 17)
    law = law_of(model, x_t, 0.4).reshape(-1, V)[places]
    with mock.patch.object(slices, "SLICE_IN_JAX", size):
        found = read_slices(model, x_t, 0.4, places, surprise, truth, weight)
    for mine, whole in zip(found, surprise(law, truth, weight), strict=True):
        assert_close(mine, whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["absorbing", "hybrid"])
@pytest.mark.parametrize(("form", "rows"), [("numpy", 1), ("numpy", 5), ("head", 4)])
def test_single_masks_are_reduced_as_they_come(form, kind, rows):
    model = Table(KINDS[kind]) if form == "numpy" else network(form, kind)
    rng = np.random.default_rng(2)
    x_0 = rng.integers(V, size=(BATCH, L))
    sites = np.stack([rng.permutation(L)[:4] for _ in x_0])
    found = read_single_masks(model, x_0, sites, own, rows=rows)
    laws = single_mask_laws(model, x_0, sites)
    level = float(LogLinear().time_at(1 - 1 / L))
    for i, j in np.ndindex(*sites.shape):
        x_t = x_0[i : i + 1].copy()
        x_t[0, sites[i, j]] = V
        law = law_of(model, x_t, level)[0, sites[i, j]]
        assert_close(laws[i, j], law, rtol=1e-6, atol=1e-6)
        assert found[i, j] == pytest.approx(law[x_0[i, sites[i, j]]], rel=1e-5, abs=1e-6)


def own(law, tokens):
    xp = law.__array_namespace__()
    return xp.take_along_axis(law, xp.astype(tokens, xp.int32)[..., None], axis=-1)[..., 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reverse_step_in_slices_changes_no_bit(kind, dtype):
    rng = np.random.default_rng(4)
    logits = 3 * rng.normal(size=(BATCH, L, V))
    law = (logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)).astype(dtype)
    x_t, *_ = case(kind, 5, 1)
    given = (rng.random((3, BATCH, L)), law, x_t, 0.4, 0.6, KINDS[kind])
    with mock.patch.object(sampler, "SLICE", 1), mock.patch.object(slices, "SLICE", 4 * V):
        found = sampler._step_in_slices(*given)
    assert np.array_equal(found, sampler.reverse_step(*given))


def test_a_run_in_jax_takes_a_large_law_in_slices():
    model = network("whole", "hybrid")
    x_t, *_ = case("hybrid", 6, 1)
    runs = []
    for large in (sampler.LARGE, 1):
        with mock.patch.multiple(sampler, LARGE=large, SLICE_IN_JAX=4 * V):
            runs.append(sampler.ancestral(model, np.random.default_rng(7), x_t, 0.5, 4))
        jax.clear_caches()
    assert (runs[0] == runs[1]).mean() > 0.9 and (runs[0] != x_t).any()


def test_a_run_of_the_scripts_in_slices_changes_no_bit():
    model = Table(KINDS["uniform"])
    x_t, *_ = case("uniform", 8, 1)

    def law(x, sigma):
        return model.log_loo(x, 0.4)

    runs = []
    for size in (slices.SLICE, 4 * V):
        for uniforms in (
            np.random.default_rng(9),
            np.random.default_rng(9).random((4, BATCH, L, V)),
        ):
            with mock.patch.object(slices, "SLICE", size):
                runs.append(reverse_run(law, x_t, 0.5, 6, uniforms=uniforms))
    for run in runs[1:]:
        assert np.array_equal(run.states, runs[0].states)
        assert np.array_equal(run.entropy, runs[0].entropy)


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize(
    ("law", "kind", "mask"),
    [
        ("loo", "absorbing", V),
        ("loo", "absorbing", 1),
        ("full", "uniform", None),
        ("score", "absorbing", V),
        ("dynamic", "hybrid", V),
    ],
)
def test_outputs_of_others_read_by_sites_change_no_bit(law, kind, mask, shift):
    reading = Reading(law, KINDS[kind], mask, shift)
    rng = np.random.default_rng(10)
    outputs = rng.normal(size=(BATCH, L, V + (mask is not None))).astype(np.float32)
    x_t, *_ = case(kind, 11, 1)
    alpha = np.array([0.3, 0.5, 0.9])
    with mock.patch.object(slices, "SLICE", 2 * outputs[:, 0].size):
        found = read_by_sites(reading, outputs, x_t, alpha)
    assert np.array_equal(found, reading.log_loo(outputs, x_t, alpha))
    assert found.dtype == np.float32

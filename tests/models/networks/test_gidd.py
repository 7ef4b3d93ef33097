"""The transformer of GIDD at scale against loops in NumPy, and what it must and must not notice."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.networks.gidd import Gidd
from models.released.gidd_layout import open_gidd
from tests import gidd_files
from tests.helpers import assert_close


def opened(fields, compute="float32", **drawn) -> Gidd:
    return open_gidd(fields, gidd_files.tensors(fields, **drawn), compute=compute).net


@settings(max_examples=6)
@given(
    heads=st.integers(1, 3),
    half=st.integers(1, 3),
    inner=st.integers(1, 9),
    depth=st.integers(1, 4),
    rows=st.integers(4, 9),
    length=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_logits_are_those_of_the_published_steps(heads, half, inner, depth, rows, length, seed):
    fields = gidd_files.config(
        **{"num_attention_heads": heads, "head_dim": 2 * half, "hidden_size": 2 * half * heads},
        **{"intermediate_size": inner, "num_hidden_layers": depth, "vocab_size": rows},
        **{"resid_scale": 3.0, "head_scaling": 1.5},
    )
    named = gidd_files.tensors(fields, seed)
    ids = np.random.default_rng(seed).integers(rows, size=(2, length))
    found = open_gidd(fields, named).net(ids)
    assert found.dtype == jnp.float32
    expected = np.stack([gidd_files.reference(fields, named, row) for row in ids])
    # rounding at the size of the largest of a row's terms, not of the logit itself
    assert_close(found, expected, atol=2e-5 * np.abs(expected).max())


def test_each_part_matters():
    """A network that lost any one of its tensors would have other logits."""
    net, ids = opened(gidd_files.config()), np.array([[1, 5, 2, 9, 3]])
    whole = np.asarray(net(ids))
    leaves, tree = jax.tree.flatten(net)
    for k, leaf in enumerate(leaves):
        less = jax.tree.unflatten(tree, [*leaves[:k], jnp.zeros_like(leaf), *leaves[k + 1 :]])
        assert np.abs(np.asarray(less(ids)) - whole).max() > 1e-3


def test_scores_beyond_the_cap_are_bent():
    """With factors of 100 all scores lie far beyond 30, and the attention is still no argmax."""
    fields = gidd_files.config(num_hidden_layers=1)
    named = gidd_files.tensors(fields, sharpness=100.0)
    ids = np.array([4, 4, 7, 1])
    expected = gidd_files.reference(fields, named, ids)
    # scores of 10^4, so the cap's argument is rounded to 10^-3 and flat there
    assert_close(open_gidd(fields, named).net(ids[None])[0], expected, atol=1e-4)
    free = gidd_files.reference(fields, named, ids, cap=1e6)
    assert np.abs(free - expected).max() > 0.1


def test_sequences_of_a_batch_do_not_mix():
    net = opened(gidd_files.config())
    ids = np.random.default_rng(0).integers(11, size=(3, 5))
    both = np.asarray(net(ids))
    for k in range(3):
        assert_close(both[k], np.asarray(net(ids[k : k + 1]))[0], atol=1e-5)


@pytest.mark.parametrize("depth", [1, 6])
def test_bfloat16_is_near_float32(depth):
    """Each block rounds its rows about ten times to 8 bits: independent errors add in squares,
    sqrt(10 depth + 2) 2^-9 of the logits' deviation; three times that. (Sharper keys take more.)"""
    fields = gidd_files.config(num_hidden_layers=depth, hidden_size=32, head_dim=16)
    ids = np.random.default_rng(depth).integers(11, size=(4, 12))
    exact = np.asarray(opened(fields, sharpness=1.0)(ids))
    rounded = np.asarray(opened(fields, "bfloat16", sharpness=1.0)(ids))
    assert rounded.dtype == np.float32
    error = np.sqrt(np.mean((rounded - exact) ** 2)) / exact.std()
    assert 2.0**-12 < error < 3 * np.sqrt(10 * depth + 2) * 2.0**-9


def test_weights_keep_their_types_and_nothing_is_double():
    net = opened(gidd_files.config())
    assert net.embedding.dtype == net.blocks[0].up.dtype == net.head.dtype == jnp.bfloat16
    assert net.blocks[0].q_norm.dtype == net.final_norm.dtype == jnp.float32
    ids = np.array([[1, 2, 3]])
    plain = np.asarray(net(ids))
    with jax.enable_x64(True):
        text = str(jax.make_jaxpr(lambda x: net(x))(ids))
        assert "f64" not in text
        assert_close(np.asarray(net(jnp.asarray(ids))), plain)


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
def test_a_compiled_network_takes_little_beside_its_weights(compute):
    """Weights of bfloat16 are made float32 one layer at a time: all at once are 4 MB here."""
    fields = gidd_files.config(
        **{"hidden_size": 128, "head_dim": 64, "intermediate_size": 512, "num_hidden_layers": 5}
    )
    net, ids = opened(fields, compute), np.zeros((1, 4), int)
    arrays, rest = eqx.partition(net, eqx.is_array)
    compiled = jax.jit(lambda a, x: eqx.combine(a, rest)(x)).lower(arrays, ids).compile()
    layer = sum(4 * leaf.size for leaf in jax.tree.leaves(net.blocks[0]))
    assert compiled.memory_analysis().temp_size_in_bytes < 1.2 * layer


def test_gradients_reach_every_tensor():
    net, ids = opened(gidd_files.config(num_hidden_layers=1)), jnp.array([[1, 2, 3]])
    slope = eqx.filter_grad(lambda n: n(ids)[0, 0, 1])(net)
    assert all(np.abs(np.asarray(a, np.float32)).max() > 0 for a in jax.tree.leaves(slope))


def test_long_sequences_are_refused():
    net = opened(gidd_files.config(max_position_embeddings=8))
    assert net(np.zeros((1, 8), int)).shape == (1, 8, 11)
    with pytest.raises(ValueError, match="takes up to 8 tokens; got 9"):
        net(np.zeros((1, 9), int))

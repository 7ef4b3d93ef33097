"""The diffusion transformer: counts, symmetries, inputs of every kind; its numbers are golden."""

from __future__ import annotations

import json
import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import LogLinear
from models.errors import CheckpointError
from models.networks.dit import PRESETS, DiT, Shape, tensor_shapes
from models.networks.dit_layers import attention, layer_norm, product, rotary, turned
from models.released.checkpoint import load_model, named_tensors, save_model
from tests.helpers import assert_close

SMALL = Shape(16, 2, 2, 8)


def moved(model: DiT, seed: int = 0, scale: float = 0.3) -> DiT:
    """The model with every weight moved off its initial value."""
    rng = np.random.default_rng(seed)
    arrays, rest = eqx.partition(model, eqx.is_array)
    arrays = jax.tree.map(lambda a: a + scale * rng.normal(size=a.shape).astype(a.dtype), arrays)
    return eqx.combine(arrays, rest)


MODEL = moved(DiT(jax.random.key(0), 5, SMALL))
X = np.array([[0, 4, 2, 1], [3, 3, 0, 2], [1, 0, 0, 4]])


@pytest.mark.parametrize(
    "name, millions", [("tiny", 23_664_442), ("small", 139_292_986), ("medium", 384_037_946)]
)
def test_the_papers_sizes_have_its_numbers_of_parameters(name, millions):
    shapes = tensor_shapes(30522, PRESETS[name])
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == millions
    assert round(millions / 1e6, 1) == {"tiny": 23.7, "small": 139.3, "medium": 384.0}[name]


@given(
    st.integers(2, 9), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3), st.integers(1, 5)
)
def test_the_tensors_have_the_stated_shapes(vocab_size, half, n_blocks, n_heads, cond):
    shape = Shape(2 * half * n_heads, n_blocks, n_heads, cond)
    model = DiT(jax.random.key(0), vocab_size, shape)
    found = {name: leaf.shape for name, leaf in named_tensors(model).items()}
    assert found == tensor_shapes(vocab_size, shape)
    assert model.shape == shape
    assert model.vocab_size == vocab_size


def test_a_new_network_is_uniform_and_draws_within_the_fan_in():
    model = DiT(jax.random.key(0), 7, Shape(32, 2, 4))
    np.testing.assert_allclose(model.log_loo(X % 7, 0.4), -np.log(7), rtol=1e-6)
    for leaf, fan_in in ((model.blocks.up.weight, 32), (model.blocks.down.weight, 128)):
        assert 0.95 < float(jnp.abs(leaf).max()) * np.sqrt(fan_in) <= 1
        assert float(leaf.std()) * np.sqrt(3 * fan_in) == pytest.approx(1, abs=0.05)
    assert not np.array_equal(model.embedding, DiT(jax.random.key(1), 7, Shape(32, 2, 4)).embedding)


def test_every_law_is_normalized_and_rows_do_not_mix():
    levels = np.array([0.0, 0.3, 1.0], np.float32)
    log_loo = np.asarray(MODEL.log_loo(X, levels))
    assert log_loo.shape == (3, 4, 5)
    np.testing.assert_allclose(np.exp(log_loo).sum(-1), 1, rtol=1e-5)
    alone = np.asarray(MODEL.log_loo(X[1:2], levels[1:2]))
    assert_close(alone[0], log_loo[1], rtol=1e-4, atol=1e-5)
    assert np.abs(log_loo[0] - np.asarray(MODEL.log_loo(X, 0.9))[0]).max() > 1e-3  # t matters


def test_a_real_input_mixes_the_embeddings():
    sharp = 200.0 * jax.nn.one_hot(X, 5)
    assert_close(MODEL.log_loo(sharp, 0.3), MODEL.log_loo(X, 0.3), rtol=1e-4, atol=1e-5)
    even = MODEL.embed(jnp.zeros((1, 4, 5)))
    assert_close(even[0, 0], MODEL.embedding.mean(0), rtol=1e-5, atol=1e-6)


def test_any_length_and_a_trunk_that_the_head_finishes():
    for length in (1, 3, 9):
        x = np.zeros((2, length), int)
        hidden, condition = MODEL.trunk(x, 0.2)
        assert hidden.shape == (2, length, 16)
        assert condition.shape == (2, 8)
        law = jax.nn.log_softmax(MODEL.head(hidden, condition[:, None]))
        np.testing.assert_array_equal(law, MODEL.log_loo(x, 0.2))


@given(st.integers(0, 2**16))
def test_positions_count_by_their_differences(seed):
    """Scores of turned queries and keys depend on the distance of their positions alone."""
    rng = np.random.default_rng(seed)
    q, k = rng.normal(size=(2, 8)).astype(np.float32)
    table = rotary(12, 8, jnp.float32)
    rows = [turned(jnp.tile(x, (1, 12, 1)), table)[0] for x in (q, k)]
    score = np.asarray(rows[0] @ rows[1].T)
    for shift in range(-5, 6):
        diagonal = np.diagonal(score, shift)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(rows[0], axis=1), np.linalg.norm(q), rtol=1e-5)


def test_attention_is_that_of_jax():
    rng = np.random.default_rng(0)
    qkv = rng.normal(size=(3, 7, 3 * 12)).astype(np.float32)
    table = rotary(7, 4, jnp.float32)
    q, k, v = np.moveaxis(qkv.reshape(3, 7, 3, 3, 4), 2, 0)
    turn = lambda x: turned(jnp.moveaxis(jnp.asarray(x), 2, 1), table).swapaxes(1, 2)  # noqa: E731
    theirs = jax.nn.dot_product_attention(turn(q), turn(k), jnp.asarray(v)).reshape(3, 7, 12)
    assert_close(attention(jnp.asarray(qkv), table, 3), theirs, rtol=1e-4, atol=1e-5)


def test_huge_scores_do_not_overflow():
    qkv = 1e4 * np.random.default_rng(0).normal(size=(1, 5, 12)).astype(np.float32)
    assert np.isfinite(attention(jnp.asarray(qkv), rotary(5, 4, jnp.float32), 1)).all()


def test_the_products_gradient_is_that_of_jax():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 4)).astype(np.float32), rng.normal(size=(4, 5)).astype(np.float32)
    ours = jax.grad(lambda x, w: jnp.sum(jnp.sin(product(x, w))), (0, 1))(x, w)
    plain = jax.grad(lambda x, w: jnp.sum(jnp.sin(x @ w)), (0, 1))(x, w)
    for a, b in zip(ours, plain, strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_layer_norm_centres_and_scales_in_float32():
    x = np.random.default_rng(0).normal(3, 5, size=(4, 64)).astype(np.float32)
    y = np.asarray(layer_norm(jnp.asarray(x), jnp.ones(64)))
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(-1), 1, atol=1e-4)
    low = layer_norm(jnp.asarray(x, jnp.bfloat16), jnp.ones(64, jnp.bfloat16))
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(low, np.float32), y, atol=0.05)


def test_dropout_needs_a_key_and_keeps_the_mean():
    model = moved(DiT(jax.random.key(0), 5, SMALL, dropout=0.4))
    np.testing.assert_array_equal(model.log_loo(X, 0.3), MODEL.log_loo(X, 0.3))
    one, two = (np.asarray(model.log_loo(X, 0.3, jax.random.key(k))) for k in (1, 2))
    assert np.abs(one - two).max() > 1e-3
    ones = jnp.ones((4000, 5))
    kept = model._dropout(jax.random.key(0))(ones, 0)
    assert float(kept.mean()) == pytest.approx(1, abs=5 * np.sqrt(0.4 / 0.6 / 20000))
    assert set(np.unique(kept).tolist()) <= {0.0, np.float32(1 / 0.6).item()}


def test_classes_shift_the_condition():
    labels = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    model = eqx.tree_at(lambda m: m.labels, MODEL, jnp.asarray(labels), is_leaf=lambda x: x is None)
    sigma = jnp.full(3, 0.3)
    none = model.trunk_at_sigma(jnp.asarray(X), sigma)
    last = model.trunk_at_sigma(jnp.asarray(X), sigma, label=jnp.array([3, 3, 3]))
    np.testing.assert_array_equal(none[1], last[1])
    first = model.trunk_at_sigma(jnp.asarray(X), sigma, label=jnp.array([0, 1, 2]))
    assert np.abs(np.asarray(first[0] - none[0])).max() > 1e-3


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("seq_len", [None, 4])
def test_a_saved_transformer_comes_back(tmp_path, labels, seq_len):
    model = moved(DiT(jax.random.key(3), 5, SMALL, seq_len, LogLinear(0.01), dropout=0.25))
    if labels:
        model = eqx.tree_at(
            lambda m: m.labels, model, jnp.ones((3, 8)), is_leaf=lambda x: x is None
        )
    save_model(model, tmp_path / "model", {"note": 1})
    loaded, extra = load_model(tmp_path / "model")
    assert extra == {"note": 1}
    assert jax.tree.structure(loaded) == jax.tree.structure(model)
    for ours, theirs in zip(jax.tree.leaves(loaded), jax.tree.leaves(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"n_heads": 3}, "`width` must be a multiple of 2 `n_heads` = 6"),
        ({"n_heads": 10**9}, "`width` must be a multiple of 2 `n_heads`"),
        ({"n_heads": 0}, "`n_heads` is 0"),
        ({"width": 10**12}, "expected"),
        ({"n_blocks": 10**9}, "expected (1000000000, 16)"),
        ({"n_labels": 2}, "tensor `labels` has shape none, expected (2, 8)"),
        ({"dropout": 1.5}, "`dropout` must lie in [0, 1); got 1.5"),
        ({"seq_len": -1}, "`seq_len` is -1"),
    ],
)
def test_lies_about_a_transformer_cost_nothing_and_are_told(tmp_path, change, message):
    save_model(MODEL, tmp_path / "model")
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError) as caught:
        load_model(tmp_path / "model")
    assert message in str(caught.value)


def test_only_known_models_are_saved(tmp_path):
    with pytest.raises(CheckpointError, match="a dict cannot be saved; known are MLPDenoiser, DiT"):
        save_model({}, tmp_path / "model")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Shape(10, 1, 2), "`width` must be a multiple of 2 `n_heads` = 4"),
        (lambda: Shape(0, 1, 1), "`width` must be at least 1; got 0"),
        (lambda: Shape(8, -1, 2), "`n_blocks` must not be negative; got -1"),
        (lambda: DiT(jax.random.key(0), 5, "huge"), "there is no size 'huge'; choose mini, midi"),
        (lambda: DiT(jax.random.key(0), 1, SMALL), "`vocab_size` must be an integer of at least 2"),
        (lambda: DiT(jax.random.key(0), 5, SMALL, dropout=1.0), "`dropout` must lie in [0, 1)"),
    ],
)
def test_bad_input_is_refused_in_words(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert message in str(caught.value)

"""The authors' tensor layout: there and back, and files that hold something else."""

import json
import pickle
import struct
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from am_theory import channel
from models.errors import CheckpointError
from models.networks.dit import DiT, Shape
from models.released.released import from_named, to_named
from tests.helpers import open_stated as open_released
from tests.helpers import shared

SIZE = Shape(width=16, n_blocks=2, n_heads=2, cond_dim=8)


def random_model(seed: int = 0, classes: int = 0) -> DiT:
    """No parameter at its initial value, so that a misplaced one shows."""
    rng = np.random.default_rng(seed)
    model = DiT(jax.random.key(0), 5, SIZE, seq_len=7)
    model = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), model)
    if classes:
        labels = jnp.asarray(rng.normal(size=(classes + 1, SIZE.cond_dim)), jnp.float32)
        model = eqx.tree_at(lambda m: m.labels, model, labels, is_leaf=lambda x: x is None)
    return model


def assert_same(a: DiT, b: DiT) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("prefix", ["backbone.", "", "model.net."])
def test_there_and_back(classes, prefix, tmp_path):
    model = random_model(classes=classes)
    named = to_named(model, prefix, buffers=True)
    assert len(named) == 4 + 1 + 2 * 10 + 5 + 1 + (classes > 0)
    assert named[f"{prefix}blocks.1.attn_qkv.weight"].shape == (48, 16)
    assert named[f"{prefix}output_layer.linear.weight"].shape == (5, 16)
    assert_same(from_named(named, seq_len=7), model)
    save_file(named, tmp_path / "model.safetensors")
    read = open_released(tmp_path / "model.safetensors", seq_len=7).model
    assert_same(read, model)
    assert read.shape == SIZE and read.vocab_size == 5 and read.seq_len == 7
    x_t = np.array([[0, 4, 2, 2, 1, 3, 0]])
    np.testing.assert_array_equal(read.log_loo(x_t, 0.3), model.log_loo(x_t, 0.3))


def test_blocks_and_matrices_go_where_they_belong():
    model = random_model()
    named = to_named(model)
    np.testing.assert_array_equal(
        named["backbone.blocks.1.mlp.0.weight"].T, model.blocks.up.weight[1]
    )
    np.testing.assert_array_equal(named["backbone.blocks.0.norm2.weight"], model.blocks.norm2[0])
    np.testing.assert_array_equal(named["backbone.sigma_map.mlp.2.weight"].T, model.time_out.weight)


def test_a_gradient_has_the_names_of_the_parameters():
    model = random_model()
    x_t = jnp.array([[0, 1, 2]])
    slope = eqx.filter_jit(eqx.filter_grad(lambda m: m.log_loo(x_t, 0.5)[0, 0, 0]))(model)
    names, slopes = to_named(model), to_named(slope)
    assert {k: a.shape for k, a in slopes.items()} == {k: a.shape for k, a in names.items()}
    assert all(np.abs(a).max() > 0 for a in slopes.values())


def test_schedule_and_dtype():
    named = to_named(random_model(), buffers=True)
    schedule = channel.LogLinear(eps=0.01)
    assert from_named(named, schedule=schedule).schedule == schedule
    half = {k: a.astype(ml_dtypes.bfloat16) for k, a in named.items()}
    assert from_named(half).embedding.dtype == jnp.bfloat16
    assert from_named(half, dtype=np.float32).embedding.dtype == jnp.float32
    with jax.enable_x64(True):
        assert from_named(named, dtype=np.float64).blocks.norm1.dtype == jnp.float64
        double = {k: a.astype(np.float64) for k, a in named.items()}
        assert from_named(double).embedding.dtype == jnp.float64
    with pytest.raises(ValueError, match=r"float64 weights need `jax\.enable_x64"):
        from_named(named, dtype=np.float64)


def test_heads_are_inferred_or_asked_for():
    named = to_named(random_model())
    with pytest.raises(CheckpointError, match="give `n_heads`, as the model's config states"):
        from_named(named)
    assert from_named(named, n_heads=4).n_heads == 4
    for wrong in (0, -1, 3, 16):
        with pytest.raises(CheckpointError, match="make no network"):
            from_named(named, n_heads=wrong)
    named = to_named(random_model(), buffers=True)
    with pytest.raises(CheckpointError, match="has 2 attention heads; `n_heads` is 4"):
        from_named(named, n_heads=4)


def changed(**arrays):
    """The tensors of a network with some replaced (None: left out), `__` for a dot."""
    named = to_named(random_model(), buffers=True)
    for name, array in arrays.items():
        key = "backbone." + name.replace("__", ".")
        named.pop(key, None)
        if array is not None:
            named[key] = array
    return named


ZEROS = np.zeros
BAD = {
    "missing": (
        changed(blocks__1__norm1__weight=None),
        r"^tensor `backbone.blocks.1.norm1.weight` is missing\.$",
    ),
    "a block missing": (
        {k: a for k, a in changed().items() if ".blocks.0." not in k},
        "`backbone.blocks.0.norm1.weight` is missing.*And .* more",
    ),
    "no width of the noise embedding": (
        changed(sigma_map__mlp__0__weight=None),
        r"^tensor `backbone.sigma_map.mlp.0.weight` is missing\.$",
    ),
    "no embedding": (changed(vocab_embed__embedding=None), "embedding` is missing"),
    "extra": (
        changed(blocks__0__attn_qkv__bias=ZEROS(48, np.float32)),
        r"^tensor `backbone.blocks.0.attn_qkv.bias` is no part of this network\.$",
    ),
    "a block too high": (
        changed(blocks__99999999999__norm1__weight=ZEROS(16, np.float32)),
        "`backbone.blocks.2.norm1.weight` is missing",
    ),
    "misshapen": (
        changed(sigma_map__mlp__0__bias=ZEROS(9, np.float32)),
        r"^tensor `backbone.sigma_map.mlp.0.bias` has shape \(9,\), expected \(8,\)\.$",
    ),
    "turned": (
        changed(blocks__0__mlp__0__weight=ZEROS((16, 64), np.float32)),
        r"has shape \(16, 64\), expected \(64, 16\)",
    ),
    "a vector for the embedding": (
        changed(vocab_embed__embedding=ZEROS(5, np.float32)),
        r"^tensor `backbone.vocab_embed.embedding` has shape \(5,\), expected two axes\.$",
    ),
    "integers": (
        changed(blocks__0__norm1__weight=ZEROS(16, np.int8)),
        "`backbone.blocks.0.norm1.weight` has dtype int8, expected floats",
    ),
    "one token": (
        changed(
            vocab_embed__embedding=ZEROS((1, 16), np.float32),
            output_layer__linear__weight=ZEROS((1, 16), np.float32),
            output_layer__linear__bias=ZEROS(1, np.float32),
        ),
        "make no network: .*vocab",
    ),
    "nothing wide": (
        {k: a[tuple(slice(0, 0) for _ in a.shape)] for k, a in changed().items()},
        "has shape",
    ),
    "frequencies of another base": (
        changed(rotary_emb__inv_freq=np.array([1, 0.5, 0.25, 0.1], np.float32)),
        "other frequencies",
    ),
    "frequencies that are whole": (
        changed(rotary_emb__inv_freq=np.ones(4, np.int32)), "other frequencies"
    ),
    "too many frequencies": (
        changed(rotary_emb__inv_freq=ZEROS(5, np.float32)), "must be half as long as"
    ),
    "a second network": (
        changed() | to_named(random_model(1), "teacher.backbone."), "is no part of this network"
    ),
    "nothing": ({}, "`backbone.vocab_embed.embedding` is missing"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_tensors_that_make_no_network_are_named(what, tmp_path):
    named, message = BAD[what]
    with pytest.raises(CheckpointError, match=message):
        from_named(named)
    if named:
        save_file(named, tmp_path / "m.safetensors")
        with pytest.raises(CheckpointError, match=r"m\.safetensors"):
            open_released(tmp_path / "m.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "m.safetensors"
    save_file(to_named(random_model(), buffers=True), path)
    return path.read_bytes()


def test_a_file_cut_short_is_refused(whole, tmp_path):
    path = tmp_path / "m.safetensors"
    for size in (0, 1, 7, 8, 9, 500, 2000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        what = "is empty" if size == 0 else "holds no tensors that can be read"
        with pytest.raises(CheckpointError, match=rf"m\.safetensors {what}"):
            open_released(path)


def test_a_header_with_a_wrong_byte_never_fails_from_deep_inside(whole, tmp_path):
    """Either the file is refused in words, or the byte was of no weight (a metadata space)."""
    path, rng = tmp_path / "m.safetensors", np.random.default_rng(0)
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        content[rng.integers(header)] = rng.integers(256)
        path.write_bytes(content)
        try:
            open_released(path)
        except CheckpointError:
            refused += 1
    assert refused > 100


def header_file(path, header: dict, data: bytes = b"", pad: int = 0) -> None:
    text = json.dumps(header).encode().ljust(pad)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]},
        {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 2]},
        {"dtype": "F32", "shape": [0, 2**60], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 2]},
        {"dtype": "no such", "shape": [1], "data_offsets": [0, 2]},
        {"dtype": "F32", "shape": "2", "data_offsets": [0, 2]},
        {"shape": [1]},
    ],
)
def test_a_header_that_lies_is_refused(entry, tmp_path):
    path = tmp_path / "m.safetensors"
    header_file(path, {"vocab_embed.embedding": entry}, bytes(entry.get("data_offsets", [0, 0])[1]))
    with pytest.raises(CheckpointError, match=r"m\.safetensors"):
        open_released(path)


def test_pickles_without_the_container_of_torch_are_refused(tmp_path):
    path = tmp_path / "model.ckpt"
    legacy = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    for content in (legacy + bytes(100), pickle.dumps({"state_dict": [1] * 99}, 2), legacy[:9]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="is a pickle without the zip container"):
            open_released(path)
    path.write_bytes(pickle.dumps({"state_dict": [1] * 99}, 0))
    with pytest.raises(CheckpointError, match="holds no tensors that can be read"):
        open_released(path)


@pytest.mark.parametrize("length", [0x0280, 0x4B50])
def test_a_header_whose_length_looks_like_a_pickle_is_read(length, tmp_path):
    path = tmp_path / "m.safetensors"
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header_file(path, {"other": entry}, bytes(4), pad=length)
    with pytest.raises(CheckpointError, match="embedding` is missing"):
        open_released(path)


def test_places_that_hold_no_file(tmp_path):
    for path, what in (
        (tmp_path, "it is empty"),
        (tmp_path / "none.safetensors", "cannot be read"),
    ):
        with pytest.raises(CheckpointError, match=what):
            open_released(path)


def test_golden_files_come_back_as_they_were():
    for folder in ("dit_small_raw.safetensors", "udlm_small_cfg/model.safetensors"):
        file = shared(f"golden/{folder}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            named = to_named(open_released(file).model, buffers=True)
        theirs = load_file(file)
        inv_freq = "backbone.rotary_emb.inv_freq"
        assert set(named) | {inv_freq} == set(theirs) | {inv_freq}
        for name in set(theirs) - {inv_freq}:
            np.testing.assert_array_equal(named[name], theirs[name])
        if inv_freq in theirs:
            np.testing.assert_allclose(named[inv_freq], theirs[inv_freq], rtol=5e-7)

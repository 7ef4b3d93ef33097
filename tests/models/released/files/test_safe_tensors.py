"""Tensors of safetensors files are read when they are asked for, and damage is told in words."""

from __future__ import annotations

import hashlib
import json
import struct

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from models.errors import CheckpointError
from models.networks.dit import DiT, Shape
from models.released.checkpoint import save_model
from models.released.files import held
from models.released.files.safe_tensors import open_tensors, read_all, sha256_of
from tests.helpers import open_stated as open_released

TYPES = ["float16", "float32", "float64", "bool", "bfloat16"]
TYPES += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4)])
def test_types_and_shapes(name, shape, tmp_path):
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    array = np.random.default_rng(0).integers(2, size=shape).astype(dtype)
    save_file({"x": array, "other": np.zeros(5)}, tmp_path / "m.safetensors")
    found = open_tensors(tmp_path / "m.safetensors")
    assert set(found) == {"x", "other"}
    assert found["x"].shape == shape and found["x"].dtype == dtype
    np.testing.assert_array_equal(np.asarray(found["x"]), array, strict=True)
    assert np.asarray(found["x"], np.float32).dtype == np.float32


def test_only_the_header_is_read_until_an_array_is_asked_for(tmp_path):
    path = tmp_path / "m.safetensors"
    save_file({"a": np.arange(4.0), "b": np.arange(3.0)}, path)
    found = open_tensors(path)
    content = bytearray(path.read_bytes())
    content[-8:] = struct.pack("<d", 7.0)
    path.write_bytes(content)
    assert np.asarray(found["b"]).tolist() == [0, 1, 7]
    path.write_bytes(content[:-8])
    with pytest.raises(CheckpointError, match="holds no tensors that can be read"):
        np.asarray(found["a"])
    path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        np.asarray(found["a"])


def test_all_tensors_in_a_type_of_the_caller(tmp_path):
    arrays = {"a": np.arange(4, dtype=np.float32), "b": np.ones((2, 3), np.float32)}
    save_file(arrays, tmp_path / "m.safetensors")
    for dtype in (None, jnp.bfloat16):
        found = read_all(open_tensors(tmp_path / "m.safetensors"), dtype)
        for name, array in arrays.items():
            assert isinstance(found[name], jax.Array) and found[name].dtype == (dtype or np.float32)
            np.testing.assert_array_equal(found[name], array)
    with pytest.raises(ValueError, match=r"float64 weights need `jax\.enable_x64"):
        read_all(open_tensors(tmp_path / "m.safetensors"), np.float64)


def test_a_type_that_numpy_lacks_is_named(tmp_path):
    header = {"x": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}
    text = json.dumps(header).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(2))
    with pytest.raises(CheckpointError, match="`x` has numbers of type F8_E4M3"):
        open_tensors(tmp_path / "m.safetensors")


def test_the_checksum_is_that_of_the_whole_file(tmp_path):
    content = np.random.default_rng(0).bytes((1 << 22) + 5)  # two pieces
    (tmp_path / "f").write_bytes(content)
    assert sha256_of(tmp_path / "f") == hashlib.sha256(content).hexdigest()
    with pytest.raises(CheckpointError, match="cannot be read"):
        sha256_of(tmp_path)


@pytest.mark.parametrize("how", ["cut", "changed", "another save", "another shape"])
def test_weights_that_do_not_belong_to_their_description(how, tmp_path):
    model = DiT(jax.random.key(0), 5, Shape(16, 2, 2, 8), seq_len=7)
    save_model(model, tmp_path / "m")
    path, header = tmp_path / "m.safetensors", tmp_path / "m.json"
    content = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(content[:-4])
    elif how == "changed":
        content[-1] ^= 1
        path.write_bytes(content)
    elif how == "another save":
        save_model(DiT(jax.random.key(1), 5, Shape(16, 2, 2, 8), seq_len=7), tmp_path / "n")
        path.write_bytes((tmp_path / "n.safetensors").read_bytes())
    else:
        arrays = load_file(path)
        save_file({k: a for k, a in arrays.items() if k != "final_norm"}, path)
        told = json.loads(header.read_text()) | {"weights_sha256": sha256_of(path)}
        header.write_text(json.dumps(told))
    message = "does not fit its .json" if how == "another shape" else "is cut short, changed, or"
    with pytest.raises(CheckpointError, match=message):
        open_released(tmp_path / "m")


@given(st.integers(0, 12), st.integers(1, 3), st.booleans(), st.booleans(), st.randoms())
def test_a_tensor_is_filled_in_piece_by_piece(n, width, lazy, picked, random):
    """The same rows whatever the pieces, from an array and from a file, turned or not."""
    array = np.arange(n * width, dtype=np.float32).reshape(n, width)
    rows = np.array(random.choices(range(n), k=2 * n), dtype=int) if picked and n else None

    class Lazy:
        def part(self, first, end):
            return array[first:end]

    expected = array if rows is None else array[rows]
    target = np.full((width, len(expected)), np.nan, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held, "PIECE", 8)
        held.fill(target.T, Lazy() if lazy else array, rows)
    np.testing.assert_array_equal(target.T, expected)

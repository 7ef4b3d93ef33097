"""Packed Hamming distances and memory-mapped stores against plain NumPy."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import memory_size
from models.errors import NumbaInsideJitError, TokenRangeError
from models.exact import _hamming_kernels as kernels
from models.exact.empirical import EmpiricalDenoiser
from models.exact.hamming import HammingStore, pack
from models.exact.mapped import StoreFileError, open_patterns
from models.memories import hopfield, pseudolikelihood

SHAPES = [
    (1, 1, 1, 2),
    (5, 3, 7, 2),
    (300, 4, 64, 3),
    (300, 5, 65, 16),
    (kernels.BLOCK + 37, 3, 20, 17),
    (40, 9, 255, 32),
    (40, 2, 256, 256),
    (30, 8, 300, 300),
    (2 * kernels.BLOCK, 17, 130, 5),
]


def tokens(seed, n, seq_len, vocab_size):
    return np.random.default_rng(seed).integers(vocab_size, size=(n, seq_len))


@pytest.mark.parametrize(("n", "n_queries", "seq_len", "vocab_size"), SHAPES)
def test_distances_and_nearest_equal_their_numpy_twins(n, n_queries, seq_len, vocab_size):
    patterns, queries = (tokens(s, k, seq_len, vocab_size) for s, k in ((0, n), (1, n_queries)))
    queries[0] = patterns[-1]
    expected = (queries[:, None] != patterns[None]).sum(-1)
    store = HammingStore.of(patterns, vocab_size)
    found = store.distances(queries)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == (np.uint8 if seq_len < 256 else np.uint16)
    distance, number = store.nearest(queries)
    np.testing.assert_array_equal(distance, expected.min(1))
    np.testing.assert_array_equal(number, expected.argmin(1))  # the first of several


@given(st.integers(2, 600), st.integers(1, 140), st.integers(0, 2**32 - 1))
def test_planes_hold_every_bit_of_every_token(vocab_size, seq_len, seed):
    patterns = tokens(seed, 3, seq_len, vocab_size)
    planes = pack(patterns, vocab_size)
    for site in range(seq_len):
        bits = planes[site // 64] >> np.uint64(site % 64) & np.uint64(1)
        values = (bits.astype(np.int64) << np.arange(len(bits))[:, None]).sum(0)
        np.testing.assert_array_equal(values, patterns[:, site])
    assert planes.shape == (-(-seq_len // 64), (vocab_size - 1).bit_length(), 3)


def test_bad_stores_and_queries_are_refused_in_words():
    with pytest.raises(ValueError, match="`patterns` is empty; store at least one sequence"):
        HammingStore.of(np.zeros((0, 4), int), 3)
    store = HammingStore.of(np.array([[0, 1, 2]]), 3)
    with pytest.raises(TokenRangeError, match="`queries` has sequences of length 2"):
        store.distances(np.array([[0, 1]]))
    with pytest.raises(TokenRangeError, match="`queries` holds the token 3"):
        store.nearest(np.array([[0, 1, 3]]))
    with pytest.raises(NumbaInsideJitError, match="`queries` is a JAX tracer"):
        jax.jit(store.distances)(np.array([[0, 1, 2]]))


# --- a store in a file


def test_a_mapped_store_gives_the_laws_of_one_in_memory(tmp_path):
    patterns = tokens(2, 500, 9, 4).astype(np.uint8)
    np.save(tmp_path / "store.npy", patterns)
    mapped = EmpiricalDenoiser(open_patterns(tmp_path / "store.npy"), 4)
    x_t = tokens(3, 6, 9, 4)
    np.testing.assert_array_equal(
        mapped.log_loo(x_t, 0.4), EmpiricalDenoiser(patterns, 4).log_loo(x_t, 0.4)
    )


def test_a_file_that_shrinks_under_the_denoiser_is_noticed(tmp_path):
    path = tmp_path / "store.npy"
    np.save(path, tokens(2, 5000, 9, 4).astype(np.uint8))
    mapped = EmpiricalDenoiser(open_patterns(path), 4)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreFileError, match="it was cut short"):
        mapped.log_loo(tokens(3, 6, 9, 4), 0.4)
    with pytest.raises(StoreFileError, match="cut short or holds no plain array"):
        open_patterns(path)
    path.unlink()
    with pytest.raises(StoreFileError, match="is gone"):
        mapped.posterior_draw(np.random.default_rng(0), tokens(3, 6, 9, 4), 0.4)
    with pytest.raises(StoreFileError, match="cannot read"):
        open_patterns(path)


def test_a_file_of_objects_or_of_several_arrays_is_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "several.npz", a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(StoreFileError, match="no plain array"):
        open_patterns(tmp_path / "objects.npy")
    with pytest.raises(StoreFileError, match="several arrays"):
        open_patterns(tmp_path / "several.npz")


# --- more than memory holds


def test_arrays_beyond_memory_are_refused_with_their_size(monkeypatch):
    monkeypatch.setattr(memory_size, "physical_memory", lambda: 1000)
    patterns = tokens(0, 40, 6, 2)
    store, denoiser = HammingStore.of(patterns, 2), EmpiricalDenoiser(patterns, 2)
    beyond = "would take 0.0 GiB and this machine has 0.0"
    with pytest.raises(ValueError, match=f"all distances of 40 queries {beyond}"):
        store.distances(patterns)
    with pytest.raises(ValueError, match=f"the weights of 40 sequences for 3 queries {beyond}"):
        denoiser.weights(patterns[:3], 0.5)
    with pytest.raises(ValueError, match=r"\(L \(V - 1\)\)\^2 = 6\^2, " + beyond):
        pseudolikelihood.store(patterns, 2)
    with pytest.raises(ValueError, match=f"a memory of 40 patterns of 6 spins {beyond}"):
        hopfield.store(2 * patterns - 1)
    store.nearest(patterns)  # needs no such array

"""Packed token distances against FAISS on one-hot bits."""

import numpy as np
import pytest

from models.exact.hamming import HammingStore
from tests.peers.forms import faiss_index, one_hot_bits

pytest.importorskip("faiss")


@pytest.mark.parametrize(
    ("n", "seq_len", "vocab_size"), [(1, 8, 2), (500, 7, 8), (3000, 64, 32), (700, 130, 5)]
)
def test_distances_and_nearest_equal_those_of_the_binary_index(n, seq_len, vocab_size):
    rng = np.random.default_rng(n)
    patterns = rng.integers(vocab_size, size=(n, seq_len))
    queries = rng.integers(vocab_size, size=(20, seq_len))
    queries[0] = patterns[-1]
    store, index = HammingStore.of(patterns, vocab_size), faiss_index(patterns, vocab_size)
    bits = one_hot_bits(queries, vocab_size)

    doubled, order = index.search(bits, n)  # every stored sequence, nearest first
    found = store.distances(queries).astype(int)
    np.testing.assert_array_equal(2 * np.take_along_axis(found, order, axis=1), doubled)

    distance, number = store.nearest(queries)
    nearest, place = index.search(bits, 1)
    np.testing.assert_array_equal(2 * distance, nearest[:, 0])
    rows = np.arange(len(queries))
    np.testing.assert_array_equal(found[rows, number], distance)
    np.testing.assert_array_equal(found[rows, place[:, 0]], distance)  # ties in any order

"""Sequences packed for Hamming distances: the number of sites at which two of them differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.exact import _hamming_kernels as kernels
from models.exact._kernels import in_parallel
from models.memory_size import refuse_beyond_memory
from models.tokens import Tokens, check_tokens

CHUNK = 65536  # sequences unpacked to bits at once


@dataclass(frozen=True, eq=False)
class HammingStore:
    """K sequences as bit planes (words, planes, K), made by `of`; 64 sites in a word.

    Memory: ceil(L / 64) ceil(log2 V) 8 bytes a sequence. A distance costs that many bytes read
    and about as many word operations.
    """

    planes: NDArray[np.uint64]
    seq_len: int
    vocab_size: int

    @classmethod
    def of(cls, patterns: ArrayLike, vocab_size: int) -> HammingStore:
        """The store of `patterns` (K, L), tokens in [0, vocab_size)."""
        tokens = check_tokens(patterns, vocab_size, name="patterns")
        if len(tokens) == 0:
            raise ValueError("`patterns` is empty; store at least one sequence (K >= 1).")
        return cls(pack(tokens, vocab_size), tokens.shape[1], int(vocab_size))

    @property
    def kind(self) -> NDArray[np.unsignedinteger[Any]]:
        """An empty array of the type of the distances: uint8 below L = 256, else uint16."""
        return np.empty(0, np.uint8 if self.seq_len < 256 else np.uint16)

    def packed(self, queries: ArrayLike, name: str = "queries") -> NDArray[np.uint64]:
        """Queries (B, L) as the kernels take them, (B, words, planes)."""
        tokens = check_tokens(queries, self.vocab_size, self.seq_len, name)
        return np.ascontiguousarray(pack(tokens, self.vocab_size).transpose(2, 0, 1))

    @property
    def rows_a_thread(self) -> int:
        """Queries that take a thread longer than its start, a third of a millisecond."""
        return max(1, 2**20 // self.planes.size)

    def distances(self, queries: ArrayLike) -> NDArray[np.unsignedinteger[Any]]:
        """Distances (B, K) of queries (B, L) to all sequences, uint8 (uint16 from L = 256)."""
        words = self.packed(queries)
        refuse_beyond_memory(
            len(words) * self.planes.shape[2] * self.kind.itemsize,
            f"all distances of {len(words)} queries",
            "ask for fewer queries at a time, or for `nearest`",
        )
        rest = [self.planes, self.kind]
        return in_parallel(kernels.distances, len(words), [words], rest, self.rows_a_thread)

    def nearest(self, queries: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Distance (B,) to the nearest sequence and its number (B,); the first of several."""
        words = self.packed(queries)
        rest = [self.planes, self.kind]
        return in_parallel(kernels.nearest, len(words), [words], rest, self.rows_a_thread)


def pack(tokens: Tokens, vocab_size: int) -> NDArray[np.uint64]:
    """Tokens (K, L) as bit planes (words, planes, K); sites beyond L are 0 in every plane."""
    n_planes = max(1, int(vocab_size - 1).bit_length())
    n, seq_len = tokens.shape
    n_words = -(-seq_len // 64)
    out = np.empty((n_words, n_planes, n), np.uint64)
    for start in range(0, n, CHUNK):
        part = tokens[start : start + CHUNK]
        padded = np.zeros((len(part), 8 * n_words), np.uint8)
        for p in range(n_planes):
            bits = np.packbits((part >> p) & 1 == 1, axis=1, bitorder="little")
            padded[:, : bits.shape[1]] = bits
            out[:, p, start : start + CHUNK] = padded.view("<u8").T
    return out

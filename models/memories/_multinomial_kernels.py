"""Numba kernels of multinomial rows by look-up in tables of tokens; a NumPy twin is in the tests.

Tables (L V, L V) have a row for each (site, token) seen and a column for each (site, token)
predicted. Single-threaded, patterns in their order: sums do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.surroundings.kernels import compiled

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


@compiled(nogil=True)
def fields_below_top(patterns: Ints, table: Floats, shift: Floats, out: Floats) -> float:
    """Fields (B, L V) of patterns (B, L), less each site's largest, into `out`; returns the sum of
    what own tokens then lack. shift (L V,) is what no token tells."""
    seq_len = patterns.shape[1]
    vocab_size = table.shape[0] // seq_len
    lacking = 0.0
    for k in range(patterns.shape[0]):
        fields = out[k]
        fields[:] = shift
        for j in range(seq_len):
            row = table[j * vocab_size + patterns[k, j]]
            for c in range(fields.shape[0]):
                fields[c] += row[c]
        for i in range(seq_len):
            field = fields[i * vocab_size : (i + 1) * vocab_size]
            top = field[0]
            for v in range(1, vocab_size):
                if field[v] > top:
                    top = field[v]
            lacking += top - field[patterns[k, i]]
            for v in range(vocab_size):
                field[v] -= top
    return lacking


@compiled(nogil=True)
def add_excess(
    patterns: Ints, weights: Floats, table: Floats, shift: Floats, totals: Floats
) -> None:
    """Add law - one-hot of every pattern to `table` and `shift`.

    weights (B, L V): exp of what `fields_below_top` left, overwritten; totals (B, L) their sums,
    written.
    """
    seq_len = patterns.shape[1]
    vocab_size = table.shape[0] // seq_len
    for k in range(patterns.shape[0]):
        excess = weights[k]
        for i in range(seq_len):
            law = excess[i * vocab_size : (i + 1) * vocab_size]
            total = 0.0
            for v in range(vocab_size):
                total += law[v]
            totals[k, i] = total
            for v in range(vocab_size):
                law[v] /= total
            law[patterns[k, i]] -= 1
        for c in range(excess.shape[0]):
            shift[c] += excess[c]
        for j in range(seq_len):
            row = table[j * vocab_size + patterns[k, j]]
            for c in range(excess.shape[0]):
                row[c] += excess[c]

"""Sequences that count: each distinct one once.

Under the null that candidate and held-out sequences came from one source and none was used, it is
chance which of them are candidates. With repeats among them that is still so of one copy of every
distinct sequence, taken at random from all of its copies on both sides: which copy it is does not
depend on where they went. So every test here is of such copies alone, and a sequence that was put
into the candidate set a hundred times is not a hundred witnesses.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.exact.hamming import HammingStore

NEAR = 1 / 8  # of the tokens; sequences that differ in no more are near copies
BLOCK = 256  # sequences whose distances to all others are held at once


class Units(NamedTuple):
    """Rows (unit,) of the copies that count, whether each `is_candidate` (unit,), how many copies
    were left out, how many distinct sequences are on both sides, and how many units are `near`
    another one of their side, which an exchange of single sequences takes for two witnesses."""

    rows: NDArray[np.intp]
    is_candidate: NDArray[np.bool_]
    left_out: int
    on_both_sides: int
    near: int


def units(
    tokens: Any, is_candidate: NDArray[np.bool_], vocab_size: int, rng: np.random.Generator
) -> Units:
    """One copy, drawn at random, of every distinct row of tokens (n, L)."""
    order = rng.permutation(len(tokens))
    _, first, group = np.unique(tokens[order], axis=0, return_index=True, return_inverse=True)
    rows = np.sort(order[first])
    sides = np.zeros((len(first), 2), bool)
    sides[group.ravel(), is_candidate[order].astype(int)] = True
    flags = is_candidate[rows]
    near = sum(_near(tokens[rows[side]], vocab_size) for side in (flags, ~flags) if side.any())
    return Units(rows, flags, len(tokens) - len(rows), int(sides.all(1).sum()), near)


def _near(tokens: Any, vocab_size: int) -> int:
    """How many of distinct rows are near another one."""
    store, most, found = HammingStore.of(tokens, vocab_size), NEAR * tokens.shape[1], 0
    for first in range(0, len(tokens), BLOCK):
        distances = store.distances(tokens[first : first + BLOCK])
        found += int(((distances <= most).sum(1) > 1).sum())  # itself is one
    return found

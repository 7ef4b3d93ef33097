"""The chain of the default experiment: a mixture of two permutations of the vocabulary.

    transition = 0.9 (0.6 Pi_1 + 0.4 Pi_2) + 0.1 / V

Why this one: `simulations/data/problem.py`, where its figures are computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.streams import stream

FLOOR = 0.1
WEIGHTS = (0.6, 0.4)
PERMUTATIONS = (
    (1, 4, 11, 7, 0, 3, 8, 9, 14, 10, 6, 15, 2, 5, 13, 12),
    (14, 3, 15, 8, 6, 9, 11, 4, 5, 12, 13, 10, 0, 2, 7, 1),
)


def permutation_chain(vocab_size: int) -> NDArray[np.float64]:
    """Transition (V, V) of the default family: the stated pair at V = 16, else a fixed one."""
    pairs: Any = PERMUTATIONS
    if vocab_size != len(PERMUTATIONS[0]):
        rng = stream(0, "permutations", vocab_size)
        pairs = [rng.permutation(vocab_size) for _ in WEIGHTS]
    transition = np.full((vocab_size, vocab_size), FLOOR / vocab_size)
    for weight, permutation in zip(WEIGHTS, pairs, strict=True):
        transition[np.arange(vocab_size), permutation] += (1 - FLOOR) * weight
    return transition

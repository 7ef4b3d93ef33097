"""Draws from a store of sequences, mixed with its source: the chance to hit one of them (private).

The setting is that of `am_theory.extraction`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from am_theory._binomial_window import binomial_window
from am_theory._inputs import Floats, Interval, broadcast_iv, real_iv

DRAWS = Interval(1.0, np.inf)
CHANCE = Interval(0.0, 1.0, open_low=True)
_WEIGHT = "It is the weight of the stored sequences in the model; 1 is the store alone."
_LEAST = 1e-16  # probability below which a count of stored sequences is left out


def store_iv(draws: Any, train_size: Any, weight: Any) -> tuple[Floats, Floats, float]:
    size = real_iv("train_size", train_size, DRAWS, "It counts the stored sequences.")
    if np.any(size != np.round(size)):
        raise ValueError(f"`train_size` must hold whole numbers; got {train_size!r}.")
    share = float(real_iv("weight", weight, CHANCE, _WEIGHT))
    count, size = broadcast_iv(draws=real_iv("draws", draws, DRAWS), train_size=size)
    return count, size, share


def extracted(draws: float, chance: Any) -> Any:
    """1 - (1 - p_z)^n."""
    with np.errstate(divide="ignore"):
        return -np.expm1(draws * np.log1p(-np.minimum(chance, 1.0)))


def from_store(draws: float, size: float, shown: float, rest: float, share: float) -> float:
    """Mean over the numbers of stored sequences with this prefix, and of those with this suffix."""
    total = 0.0
    fresh = (1 - share) * shown
    for other, p in zip(*binomial_window(size - 1, shown, thin=True), strict=True):
        if p < _LEAST:
            continue
        copies, law = binomial_window(other, rest, thin=True)
        top = share / size * (copies + 1) + fresh * rest
        total += p * float(law @ extracted(draws, top / (share / size * (other + 1) + fresh)))
    return total

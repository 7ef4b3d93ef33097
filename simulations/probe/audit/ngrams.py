"""An n-gram model fitted on the spot: how predictable a sequence is from others of its source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.probe.audit.edits import run_hashes

Ids = NDArray[np.integer]
Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class _Order:
    """Runs of k tokens: how often each was seen, and their beginnings of k - 1 tokens: how often
    followed, and by how many different tokens."""

    runs: Hashes
    seen: Floats
    contexts: Hashes
    followed: Floats
    kinds: Floats


@dataclass(frozen=True, eq=False)
class NGram:
    """Interpolated n-gram law of a token given up to n - 1 before it (Witten and Bell 1991):

        p_k(x | c) = [N(c x) + T(c) p_(k-1)(x | c')] / [N(c) + T(c)],   p_0 = 1 / V,

    N how often c was followed by x, or by anything, T by how many different tokens, and c' without
    its first token. Nothing has probability 0.
    """

    vocab_size: int
    orders: tuple[_Order, ...]

    @classmethod
    def of(cls, rows: Ids, vocab_size: int, order: int = 3) -> NGram:
        """Fitted to sequences (n, L)."""
        found = []
        for k in range(1, min(order, rows.shape[1]) + 1):
            runs, first, seen = np.unique(
                run_hashes(rows, k), return_index=True, return_counts=True
            )
            begin = _beginnings(rows, k)
            contexts, followed = np.unique(begin, return_counts=True)
            kinds = np.bincount(np.searchsorted(contexts, begin.ravel()[first]))
            numbers = [np.asarray(count, np.float64) for count in (seen, followed, kinds)]
            found.append(_Order(runs, numbers[0], contexts, *numbers[1:]))
        return cls(vocab_size, tuple(found))

    def probabilities(self, rows: Ids) -> Floats:
        """p of every token of sequences (n, L) given those before it."""
        p = np.full(rows.shape, 1 / self.vocab_size)
        for k, order in enumerate(self.orders, start=1):
            if k > rows.shape[1]:
                break
            seen = _looked_up(order.runs, order.seen, run_hashes(rows, k))
            begin = _beginnings(rows, k)
            followed = _looked_up(order.contexts, order.followed, begin)
            kinds = _looked_up(order.contexts, order.kinds, begin)
            kinds = np.where(followed > 0, kinds, 1.0)  # a context never seen says nothing
            p[:, k - 1 :] = (seen + kinds * p[:, k - 1 :]) / (followed + kinds)
        return p

    def log_loss(self, rows: Ids) -> Floats:
        """Mean -log p over the tokens of sequences (n, L), nats a token."""
        found: Floats = -np.log(self.probabilities(rows)).mean(axis=1)
        return found


def _beginnings(rows: Ids, k: int) -> Hashes:
    """Hashes of the k - 1 tokens before the last one of every run of k."""
    if k == 1:
        return np.zeros(rows.shape, np.uint64)
    return run_hashes(rows[:, :-1], k - 1)


def _looked_up(keys: Hashes, values: Floats, asked: Hashes) -> Floats:
    """The value of every key that is there, else 0."""
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0.0)

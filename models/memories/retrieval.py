"""What every memory's retrieval shares: its record, its loop to the fixed point, its checks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.exact._kernels import in_parallel
from models.exact.hamming import HammingStore
from models.memories import _memory_kernels as kernels
from models.tokens import Tokens, check_tokens, check_vocabulary

Update = Literal["sequential", "synchronous"]
Sweep = Callable[[Any], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Where the dynamics ended, one row a query.

    states (batch, L), in the memory's own alphabet; iterations (batch,): sweeps over all
    sites that changed something; converged (batch,): whether a sweep left the state as it
    was, false after `max_iter` sweeps or on a cycle of two states (synchronous updates
    alone); energy (batch,): of `states`, in the units of the memory's `energy`.
    """

    states: NDArray[Any]
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]
    energy: NDArray[np.float64]


def to_fixed_point(
    sweep: Sweep, start: NDArray[Any], max_iter: int
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.bool_]]:
    """Apply `sweep` to rows of `start` (batch, L) until each repeats or cycles.

    Rows that have ended are left out of later sweeps. Returns the states, the sweeps that
    changed something and whether the row is a fixed point.
    """
    states, before = start.copy(), start.copy()
    iterations = np.zeros(len(start), np.int64)
    converged = np.zeros(len(start), np.bool_)
    active = np.arange(len(start))
    for _ in range(max_iter):
        if active.size == 0:
            break
        new = sweep(states[active])
        same = (new == states[active]).all(axis=1)
        cycle = (new == before[active]).all(axis=1) & ~same
        converged[active[same]] = True
        iterations[active[~same]] += 1
        before[active], states[active] = states[active], new
        active = active[~(same | cycle)]
    return states, iterations, converged


def check_dynamics(
    update: str, max_iter: int, order: ArrayLike | None, seq_len: int
) -> tuple[bool, NDArray[np.int64]]:
    """Whether updates are sequential, and the order of the sites in a sweep (L,)."""
    if update not in ("sequential", "synchronous"):
        raise ValueError(
            f"`update` must be 'sequential' (one site at a time) or 'synchronous' (all sites at "
            f"once); got {update!r}."
        )
    if int(max_iter) != max_iter or max_iter < 1:
        raise ValueError(f"`max_iter` must be an integer of at least 1; got {max_iter}.")
    sites = np.arange(seq_len) if order is None else np.array(order)
    if sites.shape != (seq_len,) or not np.array_equal(np.sort(sites), np.arange(seq_len)):
        raise ValueError(
            f"`order` must hold each site 0 to {seq_len - 1} once; draw one with "
            f"`rng.permutation({seq_len})`."
        )
    return update == "sequential", sites.astype(np.int64)


def check_patterns(patterns: ArrayLike, vocab_size: int) -> Tokens:
    """Sequences to store, (K, L) with K at least 1, over a vocabulary of at least 2."""
    check_vocabulary(vocab_size)
    tokens = check_tokens(patterns, vocab_size, name="patterns")
    refuse_empty(tokens)
    return tokens


def refuse_empty(patterns: NDArray[Any]) -> None:
    """Raise where nothing is to be stored."""
    if len(patterns) == 0:
        raise ValueError("`patterns` is empty; store at least one sequence (K >= 1).")


@dataclass(frozen=True, eq=False)
class Memory(ABC):
    """What every memory has: stored sequences (K, L), and dynamics at zero temperature.

    A subclass gives `checked`, what states it takes; `sweep`, one sweep over all sites; and
    `energy`, NaN where it has none.
    """

    patterns: NDArray[Any]

    @property
    def seq_len(self) -> int:
        return self.patterns.shape[1]

    @property
    def train_size(self) -> int:
        return self.patterns.shape[0]

    @property
    def duplicates(self) -> int:
        """Stored sequences that repeat an earlier one; each of them counts."""
        return len(self.patterns) - len(np.unique(self.patterns, axis=0))

    def retrieve(
        self,
        query: ArrayLike,
        *,
        update: Update = "sequential",
        max_iter: int = 100,
        order: ArrayLike | None = None,
    ) -> Retrieval:
        """Zero-temperature dynamics from `query` (batch, L) to a fixed point.

        "sequential" visits the sites in `order` (0 to L - 1 by default); where the memory has an
        energy it never raises it and always ends. "synchronous" moves all sites at once and may
        end on a cycle of two states, which is reported as not converged. At most `max_iter`
        sweeps. Ties and the cost of a sweep: see the class.
        """
        start = self.checked(query, "query")
        sequential, sites = check_dynamics(update, max_iter, order, self.seq_len)
        step = self.sweep(sequential, sites)
        states, iterations, converged = to_fixed_point(step, start, max_iter)
        return Retrieval(states, iterations, converged, self.energy(states))

    @abstractmethod
    def checked(self, states: ArrayLike, name: str) -> NDArray[Any]:
        """`states` (batch, L) as the memory takes them. Raises ValueError."""

    @abstractmethod
    def sweep(self, sequential: bool, sites: NDArray[np.int64]) -> Sweep:
        """The function from states (batch, L) to those after one sweep."""

    @abstractmethod
    def energy(self, states: ArrayLike) -> NDArray[np.float64]:
        """E of states (batch, L), (batch,)."""


@dataclass(frozen=True, eq=False)
class TokenMemory(Memory):
    """What every memory of token sequences has: the sequences, and how states match them."""

    patterns: Tokens
    vocab_size: int

    @cached_property
    def by_site(self) -> Tokens:
        """The sequences with a site's tokens side by side, (L, K)."""
        return np.ascontiguousarray(self.patterns.T)

    @cached_property
    def packed(self) -> HammingStore:
        """The sequences as distances take them."""
        return HammingStore.of(self.patterns, self.vocab_size)

    def matches(self, states: ArrayLike) -> NDArray[np.int32]:
        """Sites at which each state equals each pattern, (batch, K)."""
        tokens = check_tokens(states, self.vocab_size, self.seq_len, "states")
        return self.seq_len - self.packed.distances(tokens).astype(np.int32)

    def overlap(self, states: ArrayLike) -> NDArray[np.float64]:
        """m = V (matches / L) - 1 of each state with each pattern, (batch, K), in [-1, V - 1].

        It is 0 on average for unrelated tokens.
        """
        scaled: NDArray[np.float64] = self.vocab_size * self.matches(states) / self.seq_len - 1.0
        return scaled

    def _table_sum(self, states: ArrayLike, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """sum_mu table[matches with pattern mu] of each state, (batch,); table (L + 1,)."""
        total: NDArray[np.float64] = table[self.matches(states)].sum(axis=1)
        return total

    def checked(self, states: ArrayLike, name: str) -> Tokens:
        return check_tokens(states, self.vocab_size, self.seq_len, name)

    def _token_sweep(
        self, gains: NDArray[np.float64], from_top: bool, sequential: bool, sites: Any
    ) -> Sweep:
        """Sweeps of `_memory_kernels.token_sweep`."""
        rest = [self.by_site, gains, from_top, self.vocab_size, sites, sequential]
        return lambda states: in_parallel(kernels.token_sweep, len(states), [states], rest)

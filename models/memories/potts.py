"""The Potts memory: sequences of L tokens out of V, stored by the Hebb rule of V-state spins.

    u_kl = V delta_kl - 1,   z_mu = sum_i u(xi_i^mu, s_i) = V m_mu - L
    h_i(v) = (1/L) sum_mu u(xi_i^mu, v) sum_{j != i} u(xi_j^mu, s_j),   s_i <- argmax_v h_i(v)
    E(s) = -(1/L) sum_mu sum_{i<j} u(xi_i^mu, s_i) u(xi_j^mu, s_j)

with m_mu the matches of the state with pattern mu; the self term j = i is left out. At
V = 2 it is the Hopfield memory with Hebb's rule. Source: Kanter 1988 (PRA 37, 2739).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.memories.retrieval import Sweep, TokenMemory, check_patterns

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PottsMemory(TokenMemory):
    """Stored sequences; made by `store`. Fields go through the patterns, never couplings.

    Retrieval: a token whose field ties for the largest stays; of other tied tokens the smallest
    is taken. A sweep costs a query 2 K L.

    >>> memory = store([[0, 1, 2, 3, 0], [3, 3, 1, 0, 2]], vocab_size=4)
    >>> memory.retrieve([[0, 1, 2, 0, 2]]).states.tolist()
    [[0, 1, 2, 3, 0]]
    """

    def energy(self, states: ArrayLike) -> Floats:
        """E of states (batch, L), (batch,); a stored sequence has about -(L/2) (V - 1)^2."""
        vocab_size, seq_len = self.vocab_size, self.seq_len
        matches = np.arange(seq_len + 1)
        pairs = (vocab_size * matches - seq_len) ** 2 - matches * vocab_size * (vocab_size - 2)
        return self._table_sum(states, -0.5 * (pairs - seq_len) / seq_len)

    def sweep(self, sequential: bool, sites: NDArray[np.int64]) -> Sweep:
        # h_i(v) L / V up to a constant: the sum of z without site i over patterns with v there.
        gains = self.vocab_size * np.arange(self.seq_len + 1.0) - (self.seq_len - 1)
        return self._token_sweep(gains, False, sequential, sites)


def store(patterns: ArrayLike, vocab_size: int) -> PottsMemory:
    """A memory of `patterns` (K, L), tokens in [0, vocab_size); duplicates are allowed.

    Raises TokenRangeError for tokens out of range or of a wrong dtype, ValueError for K = 0.
    """
    return PottsMemory(check_patterns(patterns, vocab_size), int(vocab_size))

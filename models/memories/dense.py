"""Dense associative memories: a steep function of the match counts, on tokens or spins.

    E(s) = - sum_mu F(s, xi^mu),   s_i <- the token of least energy, the other sites held

F depends on the state through m_mu, its matches with pattern mu; z_mu = V m_mu - L is
their overlap (xi . s at V = 2), of mean zero for unrelated tokens.

    Power(n)         F = z^n / L^(n-1)      Krotov and Hopfield 2016 (arXiv:1606.01164)
    Distinct(n)      F = e_n / L^(n-1)      n different sites: Gardner 1987 (J. Phys. A 20, 3453)
    Exponential(b)   E = -(1/b) log sum_mu exp(b m_mu)     Demircigil et al. 2017
                                            (arXiv:1702.01929), Ramsauer et al. 2020

e_n is the sum over n-subsets of sites of the product of u_i = V 1[s_i = xi_i] - 1. An
update compares, over the values v of site i, the sums of F with site i set to v:
sum over patterns with xi_i = v of F(m + 1) - F(m), m counted without site i. At V = 2 that
is the rule of Krotov and Hopfield; Distinct(2) is the Potts memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from models.memories.retrieval import Sweep, TokenMemory, check_patterns

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Power:
    """F(z) = z^n of the overlap z = V m - L, or m^n of the bare match count.

    Without `centred` unrelated patterns, which match at L / V sites, all push alike, and
    the load is far smaller; with an even order z^n also stores the patterns' opposites.
    """

    order: int
    centred: bool = True

    def __post_init__(self) -> None:
        _check_order(self.order)

    def values(self, seq_len: int, vocab_size: int) -> list[int]:
        """F at m = 0 to L, exact integers."""
        scale, shift = (vocab_size, seq_len) if self.centred else (1, 0)
        return [(scale * m - shift) ** self.order for m in range(seq_len + 1)]


@dataclass(frozen=True)
class Distinct:
    """F = e_n, the sum over n different sites of the product of u_i = V 1[match] - 1."""

    order: int

    def __post_init__(self) -> None:
        _check_order(self.order)

    def values(self, seq_len: int, vocab_size: int) -> list[int]:
        """Coefficient of x^n in (1 + (V - 1) x)^m (1 - x)^(L - m), m = 0 to L, exact."""
        if self.order > seq_len:
            raise ValueError(
                f"`order` = {self.order} needs as many different sites; the sequences have "
                f"{seq_len}."
            )
        return [
            sum(
                comb(m, k)
                * (vocab_size - 1) ** k
                * comb(seq_len - m, self.order - k)
                # the sites without a match have u = -1
                * (-1) ** (self.order - k)
                for k in range(self.order + 1)
            )
            for m in range(seq_len + 1)
        ]


@dataclass(frozen=True)
class Exponential:
    """F = exp(b m), b > 0 per match; at b = log(1 + V a / (1 - a)) the channel's posterior."""

    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate < np.inf:
            raise ValueError(f"`rate` must be positive and finite; got {self.rate}.")


Energy = Power | Distinct | Exponential


@dataclass(frozen=True, eq=False)
class DenseMemory(TokenMemory):
    """Stored sequences and an energy; made by `store`.

    gains (L + 1,): what a match at one site adds to F, by the matches m elsewhere; for the
    exponential, exp(-b d) by the distance d from the best pattern, up to a common factor.
    table (L + 1,): the energy of one pattern by its matches; for the exponential, b m.
    Retrieval: a token that ties for the least energy, to 1 part in 10^12, stays. A sweep costs a
    query 2 K L.

    >>> memory = store([[0, 1, 2, 3, 0], [3, 3, 1, 0, 2]], 4, Exponential(3.0))
    >>> memory.retrieve([[0, 1, 2, 0, 2]]).states.tolist()
    [[0, 1, 2, 3, 0]]
    """

    kind: Energy
    gains: Floats
    table: Floats

    def energy(self, states: ArrayLike) -> Floats:
        """E of states (batch, L), (batch,): of order L for a stored sequence."""
        if isinstance(self.kind, Exponential):
            exponents = self.table[self.matches(states)]
            lowest: Floats = -logsumexp(exponents, axis=1) / self.kind.rate
            return lowest
        return self._table_sum(states, self.table)

    def sweep(self, sequential: bool, sites: NDArray[np.int64]) -> Sweep:
        return self._token_sweep(self.gains, isinstance(self.kind, Exponential), sequential, sites)


def store(patterns: ArrayLike, vocab_size: int, energy: Energy) -> DenseMemory:
    """A memory of `patterns` (K, L), tokens in [0, vocab_size), under `energy`.

    Duplicates are allowed. Raises TokenRangeError for tokens out of range or of a wrong
    dtype, ValueError for K = 0 and for an order whose energies exceed double precision.
    """
    stored, vocab_size = check_patterns(patterns, vocab_size), int(vocab_size)
    train_size, seq_len = stored.shape
    if isinstance(energy, Exponential):
        exponents: Floats = energy.rate * np.arange(seq_len + 1.0)
        return DenseMemory(stored, vocab_size, energy, np.exp(-exponents), exponents)
    if not isinstance(energy, Power | Distinct):
        raise ValueError(
            f"`energy` must be Power(n), Distinct(n) or Exponential(b); got {energy!r}."
        )
    values = energy.values(seq_len, vocab_size)
    steps = [after - now for now, after in pairwise(values)]
    largest = max(map(abs, steps))
    # Sums of integers below 2^53 are exact; larger ones are scaled to stay in range.
    unit = 1 if largest * train_size < 2**53 else largest
    try:
        table = np.array([-value / seq_len ** (energy.order - 1) for value in values])
    except OverflowError:
        raise ValueError(
            f"`order` = {energy.order} is too large: energies at L = {seq_len}, "
            f"V = {vocab_size} exceed double precision. Use Exponential."
        ) from None
    gains = np.array([step / unit for step in steps] + [0.0])
    return DenseMemory(stored, vocab_size, energy, gains, table)


def _check_order(order: int) -> None:
    if int(order) != order or order < 2:
        raise ValueError(
            f"`order` must be an integer of at least 2; got {order}. At order 1 no pattern is "
            "a minimum of the energy."
        )

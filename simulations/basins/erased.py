"""Where a memory starts from a sequence with erased sites, token V.

A memory with fields has erased sites exert none. For spins that is the state 0, for a match count a
site that matches no stored sequence, and for every memory here the mean over all ways to fill the
erased sites (of the weights exp(b m) for the exponential memory). Every erased site then takes the
token that the visible sites favour, all of them at once, ties at random; from there the dynamics
are the usual ones, in which visible sites are as free as the others.

Filled at random, a sequence with erased sites has the law of the uniform channel at the same t: to
a memory that is not told which sites those are it is no new corruption.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.exact.hamming import HammingStore
from models.memories.hopfield import HopfieldMemory, spins_from_tokens
from models.memories.pseudolikelihood import PseudolikelihoodMemory
from models.memories.retrieval import TokenMemory
from models.tokens import Tokens

Floats = NDArray[np.float64]
# What visible sites say of each token at each site, up to what is the same for all: tokens (n, L),
# V at erased sites, to (n, L, V).
Fields = Callable[[Tokens], Floats]

TIE = 1e-12  # a smaller difference, of fields of order 1, may be rounding


def filled(rng: np.random.Generator, x_t: Tokens, vocab_size: int) -> Tokens:
    """Erased sites filled uniformly at random."""
    values = rng.integers(vocab_size, size=x_t.shape).astype(x_t.dtype)
    return np.where(x_t == vocab_size, values, x_t)


def favoured(rng: np.random.Generator, x_t: Tokens, vocab_size: int, fields: Fields) -> Tokens:
    """Erased sites at the token of largest field, all at once, ties at random."""
    score = fields(x_t)
    size = 1 + np.abs(score).max(-1, keepdims=True)
    tied = score >= score.max(-1, keepdims=True) - TIE * size
    chosen = np.where(tied, rng.random(score.shape), -1.0).argmax(-1).astype(x_t.dtype)
    return np.where(x_t == vocab_size, chosen, x_t)


def _mean(fields: Fields, x_t: Tokens, vocab_size: int) -> Floats:
    """Fields with erased ones 0, for fields linear in the sites: every site has each token once."""
    fills = [np.where(x_t == vocab_size, v, x_t) for v in range(vocab_size)]
    mean: Floats = np.mean([fields(x) for x in fills], axis=0)
    return mean


def spin_fields(memory: HopfieldMemory) -> Fields:
    """Of spins: fields h_i with erased spins at 0, for the tokens 0 and 1."""
    ends = np.array([-1.0, 1.0])

    def of_tokens(tokens: Tokens) -> Floats:
        total: Floats = memory.fields(spins_from_tokens(tokens))[..., None] * ends
        return total

    return lambda x_t: _mean(of_tokens, x_t, 2)


def row_fields(memory: PseudolikelihoodMemory) -> Fields:
    """Of fitted rows, which are linear too."""
    return lambda x_t: _mean(memory.fields, x_t, memory.vocab_size)


def vote_fields(weight: Callable[[Any, Floats, Floats], Floats]) -> Callable[[Any], Fields]:
    """Of a memory in which stored sequences vote for their tokens: `weight` of each of them, by
    the memory, the matches (n, K) with the visible sites, and how many there are, (n, 1)."""

    def fields(memory: TokenMemory) -> Fields:
        vocab_size, patterns = memory.vocab_size, memory.patterns
        store = HammingStore.of(patterns, vocab_size + 1)
        stored = [(patterns == v).astype(float) for v in range(vocab_size)]

        def of_tokens(x_t: Tokens) -> Floats:
            visible = (x_t < vocab_size).sum(1, keepdims=True).astype(float)
            votes = weight(memory, memory.seq_len - store.distances(x_t).astype(float), visible)
            return np.stack([votes @ mine for mine in stored], -1)

        return of_tokens

    return fields


def overlap_weight(memory: TokenMemory, matches: Floats, visible: Floats) -> Floats:
    """Potts: the overlap V m - n."""
    return memory.vocab_size * matches - visible


def pair_weight(memory: TokenMemory, matches: Floats, visible: Floats) -> Floats:
    """Dense of three sites: the sum over pairs of visible sites of u_i u_j, u = V 1[match] - 1."""
    overlap = overlap_weight(memory, matches, visible)
    squares = matches * (memory.vocab_size - 1) ** 2 + visible - matches
    total: Floats = (overlap**2 - squares) / 2
    return total


def exponential_weight(memory: Any, matches: Floats, visible: Floats) -> Floats:
    """Exponential: exp(b m), up to a common factor."""
    best = matches.max(1, keepdims=True)
    total: Floats = np.exp(memory.kind.rate * (matches - best))
    return total

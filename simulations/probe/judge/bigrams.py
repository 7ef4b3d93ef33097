"""A simple law of token sequences, fitted on the spot: bigrams, mixed with single tokens.

    p(b | a) = [c(ab) + k p(b)] / [c(a) + k],   p(b) = [c(b) + 1] / (N + V)

A model that memorizes and one that generalizes write by the same bigrams, those of their source;
texts of different sources do not share theirs. So it is a null for both questions: is this text of
the model's source, and does the model repeat itself more often than its bigrams do?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

BACKOFF = 2.0  # k, tokens


@dataclass(frozen=True, eq=False)
class Bigrams:
    """Counts of tokens (n, L) out of V values; `pairs` (sorted) are a V + b, `following` the
    successors of every token one after another, those of a from `first[a]` on."""

    vocab_size: int
    single: Floats
    pairs: Ids
    counts: Ids
    followers: Ids
    following: Ids
    first: Ids
    starts: Ids

    @classmethod
    def of(cls, tokens: NDArray[np.integer], vocab_size: int) -> Bigrams:
        """Counted in sequences (n, L), n and L at least 1."""
        x = np.asarray(tokens, np.int64)
        single = np.bincount(x.ravel(), minlength=vocab_size) + 1.0
        before, after = x[:, :-1].ravel(), x[:, 1:].ravel()
        pairs, counts = np.unique(before * vocab_size + after, return_counts=True)
        order = np.argsort(before, kind="stable")
        followers = np.bincount(before, minlength=vocab_size)
        first = np.cumsum(followers) - followers
        sums = single / single.sum()
        return cls(vocab_size, sums, pairs, counts, followers, after[order], first, x[:, 0])

    def log_probability(self, tokens: NDArray[np.integer]) -> Floats:
        """Log-probability (m,) of sequences (m, L), nats; their first token by `single`."""
        x = np.asarray(tokens, np.int64)
        before, after = x[:, :-1], x[:, 1:]
        asked = before * self.vocab_size + after
        place = np.minimum(np.searchsorted(self.pairs, asked), max(len(self.pairs) - 1, 0))
        seen = np.zeros(asked.shape)
        if len(self.pairs):
            seen = np.where(self.pairs[place] == asked, self.counts[place], 0)
        law = (seen + BACKOFF * self.single[after]) / (self.followers[before] + BACKOFF)
        found: Floats = np.log(self.single[x[:, 0]]) + np.log(law).sum(1)
        return found

    def sample(self, rng: np.random.Generator, n: int, seq_len: int) -> Ids:
        """n sequences (n, seq_len); the first token is that of one of the sequences counted."""
        out = np.empty((n, seq_len), np.int64)
        out[:, 0] = rng.choice(self.starts, n)
        cumulative = np.cumsum(self.single)
        for i in range(1, seq_len):
            a = out[:, i - 1]
            known = self.followers[a]
            fresh = rng.random(n) * (known + BACKOFF) >= known
            place = self.first[a] + (rng.random(n) * known).astype(np.int64)
            place = np.minimum(place, max(len(self.following) - 1, 0))
            drawn = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
            after = self.following[place] if len(self.following) else drawn
            out[:, i] = np.where(fresh, np.minimum(drawn, self.vocab_size - 1), after)
        return out

"""Hidden Markov sources: a chain of hidden states, each of which emits one token.

p(x) = sum_h initial[h_1] prod_i transition[h_{i-1}, h_i] prod_i emission[h_i, x_i]. Seen
through the uniform channel it is again hidden Markov, with emission
sum_v emission[h, v] e_i(v); the exact denoiser is that of a chain (`MarkovDenoiser`), read out
through the emission. Source: Rabiner 1989 (Proc. IEEE 77, 257).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory.channel import Channel, LogLinear
from models.sources.law import (
    EntropyLaw,
    Estimate,
    MutualInformation,
    NoisyPairs,
    draw_rows,
    entropy_of,
)
from models.sources.markov import MarkovDenoiser, MarkovSource, smooth
from models.tokens import Tokens, check_tokens, check_vocabulary, token_dtype

Floats = NDArray[np.float64]
ENUMERATED = 4096  # sequences V**L up to which entropies are sums over all of them


@dataclass(frozen=True, eq=False)
class HiddenMarkovSource:
    """Tokens emitted by a chain of H states; transition (H, H), emission (H, V), initial (H,).

    Rows sum to 1, zeros allowed; `initial` is the stationary law of the states by default.

    >>> source = HiddenMarkovSource([[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]], 4)
    >>> source.vocab_size, round(source.entropy(), 6)
    (3, 4.167076)
    """

    transition: Floats
    emission: Floats
    seq_len: int
    initial: Floats

    def __init__(
        self,
        transition: ArrayLike,
        emission: ArrayLike,
        seq_len: int,
        initial: ArrayLike | None = None,
    ) -> None:
        states = MarkovSource(transition, seq_len, initial)
        table = np.array(emission, dtype=np.float64)
        if table.ndim != 2 or len(table) != len(states.initial):
            raise ValueError(
                f"`emission` must have shape (H, V), one row for each of the "
                f"{len(states.initial)} states; got {table.shape}."
            )
        check_vocabulary(table.shape[1])
        if not (np.all(table >= 0) and np.allclose(table.sum(1), 1, rtol=0, atol=1e-9)):
            raise ValueError(
                "`emission` must have non-negative rows that sum to 1; got row sums from "
                f"{table.sum(1).min():.6g} to {table.sum(1).max():.6g}."
            )
        object.__setattr__(self, "transition", states.transition)
        object.__setattr__(self, "emission", table)
        object.__setattr__(self, "seq_len", states.seq_len)
        object.__setattr__(self, "initial", states.initial)

    @property
    def vocab_size(self) -> int:
        return self.emission.shape[1]

    def sample(self, rng: np.random.Generator, n: int) -> Tokens:
        """`n` independent sequences, (n, L) of the smallest unsigned type."""
        uniforms = rng.random((n, self.seq_len, 2))  # by rows: the first of more agree
        tokens = np.empty((n, self.seq_len), dtype=token_dtype(self.vocab_size))
        law = np.broadcast_to(self.initial, (n, len(self.initial)))
        for i in range(self.seq_len):
            state = draw_rows(law, uniforms[:, i, 0])
            tokens[:, i] = draw_rows(self.emission[state], uniforms[:, i, 1])
            law = self.transition[state]
        return tokens

    def log_prob(self, x: ArrayLike) -> Floats:
        """log p(x) in nats of tokens (batch, L), by the forward recursion; -inf if impossible."""
        tokens = check_tokens(x, self.vocab_size, self.seq_len, "x")
        return smooth(self, tokens, np.ones(len(tokens)))[1]

    def _sequences(self, rng: np.random.Generator | None, n: int) -> tuple[Tokens, Floats, bool]:
        """Sequences with weights (sum 1): all possible ones where V**L <= 4096, or `n` draws."""
        exact = self.vocab_size**self.seq_len <= ENUMERATED
        if not exact:
            rng = np.random.default_rng(0) if rng is None else rng
            return self.sample(rng, n), np.full(n, 1 / n), False
        grid = np.indices((self.vocab_size,) * self.seq_len).reshape(self.seq_len, -1).T
        tokens = check_tokens(grid, self.vocab_size, self.seq_len)
        probs = np.exp(self.log_prob(tokens))
        return tokens[probs > 0], probs[probs > 0], True

    def entropy_estimate(self, rng: np.random.Generator | None = None, n: int = 20_000) -> Estimate:
        """H(x_0) in nats a sequence: exact where V**L <= 4096, else the mean of -log p over `n`
        draws (fixed seed by default) with its standard error."""
        tokens, weights, exact = self._sequences(rng, n)
        return Estimate.weighted(-self.log_prob(tokens), weights, exact)

    def entropy(self) -> float:
        """Value of `entropy_estimate()`, nats a sequence."""
        return self.entropy_estimate().value

    def _loo_entropies(
        self, rng: np.random.Generator | None, n: int
    ) -> tuple[Floats, Floats, bool]:
        tokens, weights, exact = self._sequences(rng, n)
        return entropy_of(np.exp(smooth(self, tokens, np.ones(len(tokens)))[0])), weights, exact

    def loo_entropy_law(self, rng: np.random.Generator | None = None, n: int = 2048) -> EntropyLaw:
        """Law, over sites and sequences, of the per-token entropy of `loo` as t -> 0.

        Exact where V**L <= 4096, from `n` draws (fixed seed by default) else.
        """
        values, weights, _ = self._loo_entropies(rng, n)
        return EntropyLaw(values.ravel(), np.repeat(weights, self.seq_len) / self.seq_len)

    def loo_entropy_estimate(
        self, rng: np.random.Generator | None = None, n: int = 2048
    ) -> Estimate:
        """Mean over sites of H(X_i | X without i), nats a token, with its standard error."""
        values, weights, exact = self._loo_entropies(rng, n)
        return Estimate.weighted(values.mean(1), weights, exact)

    def loo_entropy(self) -> float:
        """Value of `loo_entropy_estimate()`, nats a token."""
        return self.loo_entropy_estimate().value

    def mutual_information(
        self,
        alpha: float,
        rng: np.random.Generator | None = None,
        n: int = 20_000,
        channel: Channel | None = None,
    ) -> MutualInformation:
        """I(x_0; x_t) in nats by Monte Carlo over `n` sequences (fixed seed without `rng`)."""
        pairs = NoisyPairs.draw(self, alpha, rng, n, channel)
        return MutualInformation.from_pairs(
            pairs, self.vocab_size, smooth(self, pairs.x_t, pairs.alpha)[1]
        )

    def population_denoiser(
        self, schedule: Any = LogLinear(), channel: Channel | None = None
    ) -> MarkovDenoiser:
        """The exact denoiser of this law: forward-backward over the states."""
        return MarkovDenoiser(self, schedule, channel)

"""Independent tokens: the source of the exact finite-size theory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory.channel import Channel, LogLinear, kernel, likelihood
from models.sources.law import EntropyLaw, MutualInformation, draw_rows, entropy_of
from models.sources.population import PopulationDenoiser, refuse_impossible_tokens
from models.tokens import Tokens, check_level, check_tokens, check_vocabulary, token_dtype

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class IidSource:
    """Sequences of `seq_len` independent tokens with law `probs` (V,), uniform by default."""

    vocab_size: int
    seq_len: int
    probs: Floats

    def __init__(self, vocab_size: int, seq_len: int, probs: ArrayLike | None = None) -> None:
        check_vocabulary(vocab_size)
        if seq_len < 1:
            raise ValueError(f"`seq_len` must be at least 1; got {seq_len}.")
        law = (
            np.full(vocab_size, 1 / vocab_size)
            if probs is None
            else np.array(probs, dtype=np.float64)
        )
        if law.shape != (vocab_size,) or law.min() < 0 or not np.isclose(law.sum(), 1):
            raise ValueError(f"`probs` must be {vocab_size} probabilities that sum to 1.")
        object.__setattr__(self, "vocab_size", int(vocab_size))
        object.__setattr__(self, "seq_len", int(seq_len))
        object.__setattr__(self, "probs", law)

    def sample(self, rng: np.random.Generator, n: int) -> Tokens:
        """`n` independent sequences, (n, L) of the smallest unsigned type."""
        rows = np.broadcast_to(self.probs, (n * self.seq_len, self.vocab_size))
        drawn = draw_rows(rows, rng.random(n * self.seq_len))
        return drawn.reshape(n, self.seq_len).astype(token_dtype(self.vocab_size))

    def log_prob(self, x: ArrayLike) -> Floats:
        """log p(x) in nats of tokens (batch, L); -inf for impossible sequences."""
        tokens = check_tokens(x, self.vocab_size, self.seq_len, "x")
        with np.errstate(divide="ignore"):
            total: Floats = np.log(self.probs)[tokens].sum(1)
        return total

    def entropy(self) -> float:
        """H(x_0) in nats a sequence. Exact."""
        return float(self.seq_len * entropy_of(self.probs))

    def loo_entropy_law(self) -> EntropyLaw:
        """The `loo` entropy is the same at every site and noise level."""
        return EntropyLaw(np.array([float(entropy_of(self.probs))]), np.array([1.0]))

    def loo_entropy(self) -> float:
        """Entropy of one token given the others, nats: that of `probs`. Exact."""
        return float(entropy_of(self.probs))

    def loo_entropy_moments(self) -> tuple[float, float]:
        """Mean (nats) and variance over sequences of the `loo` entropy of a sequence. Exact."""
        return self.loo_entropy(), 0.0

    def mutual_information(
        self,
        alpha: float,
        rng: np.random.Generator | None = None,
        n: int = 0,
        channel: Channel | None = None,
    ) -> MutualInformation:
        """I(x_0; x_t) in nats a sequence, exact: L times that of one token."""
        joint = self.probs[:, None] * kernel(alpha, channel or self.vocab_size)
        one = entropy_of(self.probs) + entropy_of(joint.sum(0)) - entropy_of(joint.ravel())
        return MutualInformation(float(self.seq_len * one), 0.0)

    def population_denoiser(
        self, schedule: Any = LogLinear(), channel: Channel | None = None
    ) -> IidDenoiser:
        """The exact denoiser of this law."""
        return IidDenoiser(self, schedule, channel)


@dataclass(frozen=True, eq=False)
class IidDenoiser(PopulationDenoiser):
    """Exact denoiser of independent tokens: `loo` is the token law whatever x_t."""

    def log_loo(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """log p(x_0^i), (batch, L, V)."""
        tokens, _ = self._inputs(x_t, t)
        with np.errstate(divide="ignore"):
            row = np.log(self.source.probs)
        law = np.broadcast_to(row, (*tokens.shape, self.vocab_size)).copy()
        return self._visible(law, tokens)

    def _full(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        tokens, _ = self._inputs(x_t, t)
        alpha = self.schedule.alpha(check_level(t, len(tokens)))
        told: Floats = likelihood(tokens, alpha, self.channel)
        return told * self.source.probs

    def log_prob_noisy(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """log p(x_t) in nats, (batch,)."""
        with np.errstate(divide="ignore"):
            total: Floats = np.log(self._full(x_t, t).sum(-1)).sum(1)
        return total

    def posterior_draw(self, rng: np.random.Generator, x_t: ArrayLike, t: ArrayLike) -> Tokens:
        """One exact joint draw of p(x_0 | x_t) per row, (batch, L): sites are independent."""
        law = self._full(x_t, t)
        rows = law.reshape(-1, self.vocab_size)
        refuse_impossible_tokens(rows.sum(1) == 0)
        drawn = draw_rows(rows, rng.random(len(rows))).reshape(law.shape[:2])
        return drawn.astype(token_dtype(self.vocab_size))

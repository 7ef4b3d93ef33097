"""What every source reports: entropies, the law of token entropies, mutual information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from am_theory.channel import Channel, Uniform, visible_alpha
from models.noise import noise
from models.tokens import Tokens

Floats = NDArray[np.float64]


def entropy_of(probs: Floats) -> Floats:
    """Entropy in nats over the last axis; zeros allowed."""
    total: Floats = -xlogy(probs, probs).sum(-1)
    return total


def draw_rows(probs: Floats, uniforms: Floats) -> NDArray[np.int64]:
    """One draw from each row of probs (n, V) by inversion of uniforms (n,) in [0, 1)."""
    cumulative = np.cumsum(probs, axis=1)
    target = np.minimum(uniforms * cumulative[:, -1], np.nextafter(cumulative[:, -1], 0))
    drawn: NDArray[np.int64] = (cumulative <= target[:, None]).sum(1)
    return drawn


@dataclass(frozen=True)
class EntropyLaw:
    """A discrete law of token entropies: values in nats and their weights (sum 1)."""

    values: Floats
    weights: Floats

    def mean(self) -> float:
        return float(self.weights @ self.values)

    def fraction_below(self, threshold: float) -> float:
        """Share of tokens whose entropy is below `threshold` nats."""
        return float(self.weights[self.values < threshold].sum())

    def quantiles(self, levels: Floats) -> Floats:
        """Smallest value whose cumulated weight reaches each level in (0, 1)."""
        order = np.argsort(self.values)
        cumulative = np.cumsum(self.weights[order])
        at = np.searchsorted(cumulative, np.asarray(levels) - 1e-12)
        return self.values[order][np.minimum(at, len(order) - 1)]


@dataclass(frozen=True)
class Estimate:
    """A mean in nats and its standard error, 0 where the mean is a full enumeration."""

    value: float
    standard_error: float

    @classmethod
    def weighted(cls, values: Floats, weights: Floats, exact: bool) -> Estimate:
        """Mean of values (n,) under weights of sum 1: of every sequence, or of equal draws."""
        error = 0.0 if exact else float(values.std(ddof=1) / np.sqrt(len(values)))
        return cls(float(weights @ values), error)


@dataclass(frozen=True)
class NoisyPairs:
    """`n` independent pairs of a source and a channel, of a fixed seed without `rng`.

    x_0, x_t (n, L); alpha (n,), the kept fraction among visible tokens.
    """

    x_0: Tokens
    x_t: Tokens
    alpha: Floats

    @classmethod
    def draw(
        cls,
        source: Any,
        alpha: float,
        rng: np.random.Generator | None,
        n: int,
        channel: Channel | None,
    ) -> NoisyPairs:
        rng = np.random.default_rng(0) if rng is None else rng
        kind = Uniform(source.vocab_size) if channel is None else channel
        x_0 = source.sample(rng, n)
        kept = np.full(n, visible_alpha(alpha, kind))
        return cls(x_0, noise(rng, x_0, alpha, kind), kept)


@dataclass(frozen=True)
class MutualInformation:
    """I(x_0; x_t) in nats a sequence; `standard_error` is 0 where the value is exact."""

    value: float
    standard_error: float

    @classmethod
    def from_pairs(
        cls, pairs: NoisyPairs, vocab_size: int, log_prob_noisy: Floats
    ) -> MutualInformation:
        """Mean of log q(x_t | x_0) - log p(x_t); which sites are masked cancels, and
        `log_prob_noisy` (n,) is of the visible tokens."""
        alpha = float(pairs.alpha[0])
        agree = (pairs.x_0 == pairs.x_t).sum(1)
        unequal = (pairs.x_t < vocab_size).sum(1) - agree
        with np.errstate(divide="ignore"):
            log_keep = np.log(alpha + (1 - alpha) / vocab_size)
            log_change = np.log((1 - alpha) / vocab_size)
        density = agree * log_keep + np.where(unequal > 0, unequal, 0) * np.where(
            alpha < 1, log_change, 0.0
        )
        sample = density - log_prob_noisy
        return cls(float(sample.mean()), float(sample.std(ddof=1) / np.sqrt(len(sample))))

"""What is read off the laws of a denoiser, and its reverse run, step by step.

Everywhere a law is `loo`, p(x_0^i given x_t without i), or `full`, p(x_0^i given x_t).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from am_theory import channel
from models.sampler import reverse_step
from models.tokens import Tokens, token_dtype
from simulations.entropy.config import BIN, STATISTICS, EntropyConfig
from simulations.measure.names import SMALL_LEVEL
from simulations.measure.paper_measures import curvature

Floats = NDArray[np.float64]


class Reading(NamedTuple):
    """Of both laws, in the order of LAWS: means over tokens of STATISTICS, (law, statistic, n),
    and the entropy of every token, nats, (law, n, L)."""

    means: Floats
    token_entropy: Floats


def read(log_loo: Floats, x_t: Tokens, alpha: float) -> Reading:
    """Statistics of `loo` (n, L, V) and of `full`, which follows from it and x_t (n, L)."""
    found = [curvature(law) for law in (log_loo, channel.full_from_loo(log_loo, x_t, alpha))]
    means = [[getattr(law, name).mean(1) for name in STATISTICS] for law in found]
    return Reading(np.array(means), np.array([law.entropy for law in found]))


def bin_counts(token_entropy: Floats, bins: int) -> NDArray[np.int64]:
    """Tokens of each sequence by entropy, (..., n, L) to (..., n, bins); the last bin is closed."""
    place = np.clip((token_entropy / BIN).astype(np.int64), 0, bins - 1)
    return (place[..., None] == np.arange(bins)).sum(-2)


def pure_noise(config: EntropyConfig, rng: np.random.Generator, n: int) -> Tokens:
    """`n` sequences of uniform tokens, (n, L), from which a reverse run starts."""
    tokens = rng.integers(config.vocab_size, size=(n, config.seq_len))
    return tokens.astype(token_dtype(config.vocab_size))


def reverse_run(
    denoiser: Any, rng: np.random.Generator, x_t: Tokens, n_steps: int, joint: bool = False
) -> Iterator[tuple[float, Tokens, Floats]]:
    """Level, tokens (n, L) and `loo` law (n, L, V) before every reverse step from t = 1, and of
    the result, read at t = 1e-5; the steps of `sampler.ancestral`, one by one.

    With `joint` a step is q(x_s | x_t, x_0) with x_0 one joint posterior draw, of denoisers that
    have one: exact for any number of steps, where the plain kernel draws every token by itself.
    """
    tokens = x_t
    for k in range(n_steps):
        level, below = 1 - k / n_steps, 1 - (k + 1) / n_steps
        log_loo = denoiser.log_loo(tokens, level)
        yield level, tokens, log_loo
        if joint:
            x_0 = denoiser.posterior_draw(rng, tokens, level)
            sure = np.arange(log_loo.shape[-1]) == x_0[..., None]
            log_loo = np.where(sure, 0.0, -np.inf)
        alpha_t = float(denoiser.schedule.alpha(level))
        alpha_s = 1.0 if k == n_steps - 1 else float(denoiser.schedule.alpha(below))
        tokens = reverse_step(rng.random((3, *tokens.shape)), log_loo, tokens, alpha_t, alpha_s)
    yield SMALL_LEVEL, tokens, denoiser.log_loo(tokens, SMALL_LEVEL)

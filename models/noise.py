"""The forward channel: tokens kept, redrawn or masked."""

from __future__ import annotations

from typing import Any

import numpy as np

from am_theory.channel import Channel, Uniform
from models.tokens import Tokens, token_dtype


def noise(rng: np.random.Generator, x_0: Tokens, alpha: Any, channel: int | Channel) -> Tokens:
    """x_t of x_0 (batch, L): each token is kept with probability alpha, else redrawn uniformly
    (the redrawn token may be the same) or masked, as the channel says.

    `alpha` is a number or of shape (batch, 1); `channel` is a record of `am_theory.channels`, or
    the number V of values of the uniform one.
    """
    kind = channel if isinstance(channel, Channel) else Uniform(int(channel))
    keep = rng.random(x_0.shape) < alpha
    redrawn = rng.integers(kind.vocab_size, size=x_0.shape).astype(x_0.dtype)
    if kind.mask_id is None:
        return np.where(keep, x_0, redrawn)
    masked = kind.rates(alpha).mask / np.maximum(1 - alpha, 1e-300)  # of those that are not kept
    lost = ~keep & (rng.random(x_0.shape) < masked)
    wide = token_dtype(kind.vocab_size + 1)
    return np.where(lost, kind.mask_id, np.where(keep, x_0, redrawn)).astype(wide)

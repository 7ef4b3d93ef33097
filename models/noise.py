"""The forward channel: whose it is, what it leaves certain, tokens kept, redrawn or masked."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from am_theory.channel import Channel, Uniform, channel_iv
from models.errors import TokenRangeError
from models.tokens import Tokens, check_tokens, token_dtype


def channel_of(denoiser: Any) -> Channel:
    """The channel that a denoiser undoes: its attribute `channel`, uniform where it has none.

    Raises ValueError where that has another number of values than the denoiser.
    """
    found: Channel = channel_iv(getattr(denoiser, "channel", None), int(denoiser.vocab_size))
    return found


def certain_where_visible(log_law: Any, x_t: Any, kind: Channel) -> Any:
    """Laws (..., V) with the point mass on x_t wherever the channel leaves no doubt: at visible
    tokens of one that does not redraw. Those rows of `log_loo` are a convention, no leave-one-out
    law: that takes a pass with the site masked."""
    if kind.redraws:
        return log_law
    if isinstance(log_law, np.ndarray):  # visible rows alone, in place of passes over all
        law, place = log_law.copy(), np.nonzero(x_t != kind.mask_id)
        law[place] = -np.inf
        law[(*place, x_t[place])] = 0.0
        return law
    xp = log_law.__array_namespace__()
    own = xp.arange(log_law.shape[-1]) == x_t[..., None]
    fact = xp.where(own, xp.zeros_like(log_law), -xp.inf)
    return xp.where((x_t != kind.mask_id)[..., None], fact, log_law)


def noise(rng: np.random.Generator, x_0: Tokens, alpha: Any, channel: int | Channel) -> Tokens:
    """x_t of x_0 (batch, L): each token is kept with probability alpha, else redrawn uniformly
    (the redrawn token may be the same) or masked, as the channel says.

    `alpha` is a number or of shape (batch, 1); `channel` is a record of `am_theory.channels`, or
    the number V of values of the uniform one.

    Raises TokenRangeError for tokens out of range or of a type that cannot hold all V values,
    ValueError for another `alpha` than numbers in [0, 1].
    """
    kind = channel if isinstance(channel, Channel) else Uniform(index(channel))
    x_0 = np.asarray(x_0)
    check_tokens(x_0, kind.vocab_size, name="x_0")
    if np.iinfo(x_0.dtype).max < kind.vocab_size - 1:
        raise TokenRangeError(
            f"`x_0` is of type {x_0.dtype}, which cannot hold the tokens 0 to "
            f"{kind.vocab_size - 1} that it is noised to; convert it with `.astype(np.int32)`."
        )
    kept = np.asarray(alpha)
    if kept.dtype.kind not in "iuf" or not ((kept >= 0) & (kept <= 1)).all():
        raise ValueError(f"`alpha` must be numbers in [0, 1]; got {alpha}.")
    keep = rng.random(x_0.shape) < alpha
    redrawn = rng.integers(kind.vocab_size, size=x_0.shape).astype(x_0.dtype)
    if kind.mask_id is None:
        return np.where(keep, x_0, redrawn)
    masked = kind.rates(alpha).mask / np.maximum(1 - alpha, 1e-300)  # of those that are not kept
    lost = ~keep & (rng.random(x_0.shape) < masked)
    wide = token_dtype(kind.vocab_size + 1)
    return np.where(lost, kind.mask_id, np.where(keep, x_0, redrawn)).astype(wide)

"""A network of other people's as a denoiser: what it puts out over its own ids, read as `loo`.

Three things tell such a network from one of ours: how its ids are numbered (where the mask is,
which rows are never noised), what its outputs are (its law), and what it is told of the noise.
`Reading` says the first two; `Converted` is the denoiser, for JAX and for any other framework.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from am_theory.channel import Channel, Hybrid, channel_iv, logsumexp, loo_from_full
from models.conversions import gidd_tilt, loo_from_log_ratios, loo_from_weighted
from models.denoiser import certain_where_visible
from models.released.stated import LAWS, Law
from models.slices import slices

Array = Any


@dataclass(frozen=True)
class Reading:
    """How outputs over a network's own ids become the law p(x_0^i | x_t without i) of V values.

    Parameters
    ----------
    law : what the outputs are, up to a constant a site: log `loo`, log `full`, log ratios of noisy
        probabilities ("score", of SEDD), or a law tilted by GIDD's dynamic loss ("dynamic").
    channel : the noise, over V values; which ids these are: the first V that are not the mask.
    mask_id : the mask's id in the network, None for a network without one.
    shift : whether the outputs at position i - 1 speak of site i, as in Dream.

    Raises ValueError for an unknown law, for one that the channel does not have, and for a mask
    that the channel has and the network not.
    """

    law: Law
    channel: Channel
    mask_id: int | None = None
    shift: bool = False

    def __post_init__(self) -> None:
        noise = channel_iv(self.channel)
        if self.law not in LAWS:
            raise ValueError(f"`law` must be one of {', '.join(LAWS)}; got {self.law!r}.")
        if noise.mask_id is not None and self.mask_id is None:
            raise ValueError(f"`mask_id` is needed under {noise}: the mask's id in the network.")
        if self.law == "dynamic" and not isinstance(noise, Hybrid):
            raise ValueError(f"the law 'dynamic' belongs to hybrid noise; got {noise}.")

    def ids(self, x_t: Array) -> Array:
        """The network's ids of our tokens, in which the mask is V."""
        mask = self.mask_id
        if mask is None:
            return x_t
        xp = x_t.__array_namespace__()
        moved = xp.where(x_t >= mask, x_t + 1, x_t)
        return xp.where(x_t == self.channel.vocab_size, mask, moved)

    def log_loo(self, outputs: Array, x_t: Array, alpha: Array) -> Array:
        """Log-probabilities (batch, L, V) from outputs (batch, L, W) at our tokens (batch, L).

        alpha : (batch,), probability that a token is kept.
        """
        rows = self._values(outputs)
        noise = self.channel
        if self.law == "score":
            return loo_from_log_ratios(rows, x_t, alpha, noise)
        log_law = rows - logsumexp(rows)
        if not noise.redraws:
            return certain_where_visible(log_law, x_t, noise)
        if self.law == "full":
            return loo_from_full(log_law, x_t, alpha, noise)
        if self.law == "dynamic" and isinstance(noise, Hybrid):
            return loo_from_weighted(log_law, x_t, gidd_tilt(noise.time_at(alpha), noise))
        return log_law

    def _values(self, outputs: Array) -> Array:
        """Columns of the V values, in at least float32, each position that of its site."""
        xp = outputs.__array_namespace__()
        mask, size = self.mask_id, self.channel.vocab_size
        rows = outputs
        if self.shift:
            rows = xp.concat([rows[..., :1, :], rows[..., :-1, :]], axis=-2)
        if mask is not None and mask < size:
            rows = xp.concat([rows[..., :mask], rows[..., mask + 1 : size + 1]], axis=-1)
        else:
            rows = rows[..., :size]
        wide = np.float64 if rows.dtype == np.float64 else np.float32
        return xp.astype(rows, wide)


class Converted(eqx.Module):
    """A JAX network as a denoiser, compiled as one; `log_loo` as `models.denoiser` describes.

    net : an equinox module. outputs : `outputs(net, ids, t)`, its outputs (batch, L, W) at its own
    ids (batch, L) and noise levels t (batch,) of `schedule`. seq_len : None for any length.
    """

    net: Any
    outputs: Callable[[Any, Array, Array], Array] = eqx.field(static=True)
    reading: Reading = eqx.field(static=True)
    schedule: Any = eqx.field(static=True)
    seq_len: int | None = eqx.field(static=True)

    @property
    def vocab_size(self) -> int:
        return self.reading.channel.vocab_size

    @property
    def channel(self) -> Channel:
        """The noise that it undoes."""
        return self.reading.channel

    def log_loo(self, x_t: Array, t: Array) -> Array:
        """Leave-one-out law, (batch, L, V), at tokens (batch, L) and levels t."""
        tokens = jnp.asarray(x_t)
        level = jnp.broadcast_to(jnp.asarray(t, jnp.float32), (tokens.shape[0],))
        outputs = self.outputs(self.net, self.reading.ids(tokens), level)
        return self.reading.log_loo(outputs, tokens, self.schedule.alpha(level))


@dataclass(frozen=True, eq=False)
class ConvertedCall:
    """`Converted` for any other framework: `outputs(ids, t)` takes NumPy arrays, integers
    (batch, L) and levels (batch,), and returns a NumPy array (batch, L, W)."""

    outputs: Callable[[Array, Array], Array]
    reading: Reading
    schedule: Any
    seq_len: int | None = None

    @property
    def vocab_size(self) -> int:
        return self.reading.channel.vocab_size

    @property
    def channel(self) -> Channel:
        """The noise that it undoes."""
        return self.reading.channel

    def log_loo(self, x_t: Array, t: Array) -> Array:
        """Leave-one-out law, (batch, L, V), at tokens (batch, L) and levels t."""
        tokens = np.asarray(x_t)
        level = np.broadcast_to(np.asarray(t, dtype=float), (tokens.shape[0],))
        outputs = np.asarray(self.outputs(self.reading.ids(tokens), level))
        return read_by_sites(self.reading, outputs, tokens, self.schedule.alpha(level))


def read_by_sites(reading: Reading, outputs: Array, x_t: Array, alpha: Array) -> Array:
    """`Reading.log_loo` of NumPy arrays a few sites at a time: beside the outputs one array of
    their size is made, in place of up to seven."""
    wide = np.float64 if outputs.dtype == np.float64 else np.float32
    law = np.empty((*x_t.shape, reading.channel.vocab_size), wide)
    at_site, place = replace(reading, shift=False), np.arange(x_t.shape[1])
    speaks = np.maximum(place - 1, 0) if reading.shift else place
    for part in slices(len(place), len(x_t) * outputs.shape[-1]):
        law[:, part] = at_site.log_loo(outputs[:, speaks[part]], x_t[:, part], alpha)
    return law

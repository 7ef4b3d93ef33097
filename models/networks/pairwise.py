"""A network that is its pairwise field alone: trained rows of conditional likelihood."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from am_theory.channel import Channel, LogLinear, channel_iv
from models.denoiser import certain_where_visible
from models.networks.mlp import N_FREQUENCIES, PAIR_SCALE, time_features
from models.networks.products import matmul


class PairDenoiser(eqx.Module):
    """logits = (1 + G(t)) W_pair onehot(x_t) + b: `MLPDenoiser` without its hidden layer.

    Each site's row of W_pair is learnt apart from the others. Starts from 0. Parameters:
    (L V)^2 + (1 + 2 N_FREQUENCIES) L V, fewer by the L V^2 self terms, which are never seen.

    >>> PairDenoiser(3, 4).log_loo(jnp.zeros((1, 4), int), 0.5).shape
    (1, 4, 3)
    """

    pair: Float[Array, "LV LV"]
    pair_gain: Float[Array, "features LV"]
    bias: Float[Array, " LV"]
    vocab_size: int = eqx.field(static=True)
    seq_len: int = eqx.field(static=True)
    schedule: Any = eqx.field(static=True)
    channel: Channel = eqx.field(static=True)

    def __init__(
        self,
        vocab_size: int,
        seq_len: int,
        schedule: Any = LogLinear(),
        channel: Channel | None = None,
    ) -> None:
        size = vocab_size * seq_len
        self.pair, self.bias = jnp.zeros((size, size)), jnp.zeros(size)
        self.pair_gain = jnp.zeros((2 * N_FREQUENCIES, size))
        self.vocab_size, self.seq_len, self.schedule = vocab_size, seq_len, schedule
        self.channel = channel_iv(channel, vocab_size)

    def log_loo(
        self, x_t: Int[Array, "batch L"], t: Float[Array, " batch"] | float
    ) -> Float[Array, "batch L V"]:
        """Leave-one-out law in float32, (batch, L, V); rows sum to 1 within 1e-5."""
        x_t = jnp.asarray(x_t)
        batch = x_t.shape[0]
        onehot = jax.nn.one_hot(x_t, self.vocab_size).reshape(batch, -1)
        level = jnp.broadcast_to(jnp.asarray(t, jnp.float32), (batch,))
        site = jnp.arange(self.seq_len * self.vocab_size) // self.vocab_size
        field = jnp.where(site[:, None] == site, 0.0, PAIR_SCALE * self.pair)
        gain = 1 + matmul(time_features(level), self.pair_gain)
        logits = gain * matmul(onehot, field) + self.bias
        law = jax.nn.log_softmax(logits.reshape(batch, self.seq_len, self.vocab_size))
        return certain_where_visible(law, x_t, self.channel)

"""The empirical denoiser in JAX, for use inside jax.jit."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from am_theory.channel import Channel, inverse_temperature
from models.denoiser import certain_where_visible
from models.exact._kernels import ERASED
from models.networks.products import matmul


class EmpiricalJax(eqx.Module):
    """JAX twin of EmpiricalDenoiser: O(batch K) memory, a scan over sites."""

    patterns: Int[Array, "K L"]
    log_counts: Float[Array, " K"] | None
    vocab_size: int = eqx.field(static=True)
    seq_len: int = eqx.field(static=True)
    schedule: Any = eqx.field(static=True)
    channel: Channel = eqx.field(static=True)

    def log_loo(self, x_t: Int[Array, "batch L"], t: Any) -> Float[Array, "batch L V"]:
        """Leave-one-out law, (batch, L, V): site i weighs patterns by the other sites only."""
        x_t = jnp.asarray(x_t)
        # Of a concrete t the inverse temperature is computed in float64, before it is rounded.
        alpha = self.schedule.alpha(t)
        beta = inverse_temperature(alpha, self.channel) if self.channel.redraws else ERASED
        beta = jnp.broadcast_to(jnp.asarray(beta), x_t.shape[:1])[:, None]
        columns = (x_t.T, self.patterns.T)

        def count(matches: Array, column: tuple[Array, Array]) -> tuple[Array, None]:
            query, stored = column
            return matches + (query[:, None] == stored[None, :]), None

        start = jnp.zeros((x_t.shape[0], self.patterns.shape[0]), jnp.int32)
        matches, _ = jax.lax.scan(count, start, columns)

        def site(_: None, column: tuple[Array, Array]) -> tuple[None, Array]:
            query, stored = column
            others = matches - (query[:, None] == stored[None, :])
            if not self.channel.redraws:  # of large products nothing would be left for counts
                others = others - others.max(axis=1, keepdims=True)
            logits = beta * others
            if self.log_counts is not None:
                logits = logits + self.log_counts
            weights = jax.nn.softmax(logits, axis=1)
            onehot = jax.nn.one_hot(stored, self.vocab_size, dtype=weights.dtype)
            return None, jnp.log(matmul(weights, onehot))

        _, log_law = jax.lax.scan(site, None, columns)
        return certain_where_visible(jnp.moveaxis(log_law, 0, 1), x_t, self.channel)

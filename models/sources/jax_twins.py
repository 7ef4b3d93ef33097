"""JAX twins of the exact population denoisers, for use inside jax.jit.

Everything is kept as logarithms, so that neither zeros in a law nor float32 do harm.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from am_theory.channel import Channel, inverse_temperature
from models.denoiser import certain_where_visible
from models.networks.products import matmul

# log of what a visible token that contradicts a law costs, where the channel does not redraw
CONTRADICTION = 27.0


def _betas(schedule: Any, t: Any, noise: Channel, batch: int) -> Array:
    """beta (batch,) = log of the channel's likelihood ratio at visible tokens; in float64 of a
    concrete t."""
    if not noise.redraws:
        return jnp.full((batch,), CONTRADICTION)
    beta = inverse_temperature(schedule.alpha(t), noise)
    return jnp.broadcast_to(jnp.asarray(beta), (batch,))


def _log_sum_into(values: Array, index: Array, size: int) -> Array:
    """out[..., b] = log sum of exp(values[..., c]) over c with index[c] = b."""
    empty = jnp.full((*values.shape[:-1], size), -jnp.inf, values.dtype)
    peak = empty.at[..., index].max(values)
    safe = jnp.where(jnp.isfinite(peak), peak, 0)
    total = jnp.zeros_like(empty).at[..., index].add(jnp.exp(values - safe[..., index]))
    return jnp.log(total) + safe


class HierarchyJax(eqx.Module):
    """JAX twin of HierarchyDenoiser; rules (depth, v, m, s); O(batch L v m s) time and memory."""

    rules: Int[Array, "depth v m s"]
    vocab_size: int = eqx.field(static=True)
    seq_len: int = eqx.field(static=True)
    schedule: Any = eqx.field(static=True)
    channel: Channel = eqx.field(static=True)

    def __init__(self, rules: np.ndarray, schedule: Any, noise: Channel) -> None:
        self.rules = jnp.asarray(rules, jnp.int32)
        self.vocab_size = rules.shape[1]
        self.seq_len = rules.shape[3] ** rules.shape[0]
        self.schedule, self.channel = schedule, noise

    def _families(self, message: Array, rule: Array) -> list[Array]:
        """Message of child j at rule[..., j], each (batch, parents, v m)."""
        branching = rule.shape[-1]
        children = message.reshape(len(message), -1, branching, self.vocab_size)
        return [children[:, :, j, rule[..., j].ravel()] for j in range(branching)]

    def _upward(self, x_t: Array, t: Any) -> list[Array]:
        """Log messages (batch, s**k, v) of every level k, leaves first, up to constants."""
        beta = _betas(self.schedule, t, self.channel, len(x_t))[:, None, None]
        message = jnp.where(x_t[..., None] == jnp.arange(self.vocab_size), 0, -beta)
        levels = [message]
        for rule in self.rules[::-1]:
            family = self._families(message, rule)
            parts = sum(family[1:], family[0])
            shape = (*parts.shape[:2], self.vocab_size, -1)
            message = jax.nn.logsumexp(parts.reshape(shape), axis=-1)
            levels.append(message)
        return levels

    def log_loo(self, x_t: Int[Array, "batch L"], t: Any) -> Float[Array, "batch L V"]:
        """Leave-one-out law, (batch, L, V): the downward message of each leaf."""
        x_t = jnp.asarray(x_t)
        levels = self._upward(x_t, t)
        down = jnp.zeros_like(levels[-1])
        n_rules = self.rules.shape[2]
        for rule, below in zip(self.rules, levels[-2::-1], strict=True):
            family = self._families(below, rule)
            parent = jnp.repeat(down, n_rules, axis=-1)
            children = []
            for j in range(len(family)):
                part = sum(family[:j] + family[j + 1 :], parent)
                children.append(_log_sum_into(part, rule[..., j].ravel(), self.vocab_size))
            down = jnp.stack(children, axis=2).reshape(below.shape)
        return certain_where_visible(jax.nn.log_softmax(down, axis=-1), x_t, self.channel)

    def log_class_posterior(self, x_t: Int[Array, "batch L"], t: Any) -> Float[Array, "batch V"]:
        """log p(root symbol | x_t), (batch, V)."""
        root = self._upward(jnp.asarray(x_t), t)[-1][:, 0]
        return jax.nn.log_softmax(root, axis=-1)


class SmootherJax(eqx.Module):
    """JAX twin of MarkovDenoiser, chains and hidden Markov models: two scans over sites.

    O(batch L (H^2 + H V)) time; memory O(batch H (H + L + V)).
    """

    log_initial: Float[Array, " H"]
    log_transition: Float[Array, "H H"]
    emission: Float[Array, "states V"]
    vocab_size: int = eqx.field(static=True)
    seq_len: int = eqx.field(static=True)
    schedule: Any = eqx.field(static=True)
    channel: Channel = eqx.field(static=True)

    def __init__(self, source: Any, schedule: Any, noise: Channel) -> None:
        with np.errstate(divide="ignore"):
            self.log_initial = jnp.asarray(np.log(source.initial))
            self.log_transition = jnp.asarray(np.log(source.transition))
        hidden = len(source.emission) > 0
        self.emission = jnp.asarray(source.emission if hidden else np.eye(source.vocab_size))
        self.vocab_size, self.seq_len = source.vocab_size, source.seq_len
        self.schedule, self.channel = schedule, noise

    def log_loo(self, x_t: Int[Array, "batch L"], t: Any) -> Float[Array, "batch L V"]:
        """Leave-one-out law, (batch, L, V): prediction from the left times that from the right."""
        columns = jnp.asarray(x_t).T
        beta = _betas(self.schedule, t, self.channel, columns.shape[1])[:, None]
        floor, spread = jnp.exp(-beta), -jnp.expm1(-beta)  # the channel, over its largest entry

        def log_evidence(tokens: Array) -> Array:
            told = floor + spread * self.emission.T[jnp.minimum(tokens, self.vocab_size - 1)]
            masked = (tokens >= self.vocab_size)[:, None]
            return (
                jnp.log(told)
                if self.channel.mask_id is None
                else jnp.where(masked, 0.0, jnp.log(told))
            )

        def step(message: Array, tokens: Array, log_matrix: Array) -> tuple[Array, Array]:
            filtered = message + log_evidence(tokens)
            moved = jax.nn.logsumexp(filtered[:, :, None] + log_matrix, axis=1)
            peak = moved.max(1, keepdims=True)
            return moved - jnp.where(jnp.isfinite(peak), peak, 0), message

        start = jnp.broadcast_to(self.log_initial, (columns.shape[1], len(self.log_initial)))
        _, left = jax.lax.scan(lambda m, x: step(m, x, self.log_transition), start, columns)
        _, right = jax.lax.scan(
            lambda m, x: step(m, x, self.log_transition.T),
            jnp.zeros_like(start),
            columns,
            reverse=True,
        )
        states = jax.nn.softmax(left + right, axis=-1)
        law = jnp.moveaxis(jnp.log(matmul(states, self.emission)), 0, 1)
        return certain_where_visible(law, jnp.asarray(x_t), self.channel)

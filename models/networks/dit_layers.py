"""Layers of the diffusion transformer: products, norm, rotary positions, attention, a block.

In a network of compute type bfloat16 the norms and the softmax of the attention are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from models.networks.products import EXACT

SLOWEST = 1e4  # ratio of the fastest to the slowest rotary frequency
EPSILON = 1e-5  # added to the variance in a layer norm


@jax.custom_vjp
def product(x: Array, weight: Array) -> Array:
    """x W in at least float32, rows of x in all but its last axis; its gradient in W is one plain
    matrix product (what JAX makes of it by itself copies and transposes the rows: a quarter of a
    training step)."""
    return _multiply(x, weight)


def _multiply(x: Array, y: Array) -> Array:
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return jnp.matmul(x, y, precision=EXACT, preferred_element_type=wide)


def _product_forward(x: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
    return _multiply(x, weight), (x, weight)


def _product_backward(saved: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    x, weight = saved
    slope = slope.astype(x.dtype)
    rows, slopes = (a.reshape(-1, a.shape[-1]) for a in (x, slope))
    back, weight_slope = _multiply(slope, weight.T), _multiply(rows.T, slopes)
    return back.astype(x.dtype), weight_slope.astype(weight.dtype)


product.defvjp(_product_forward, _product_backward)


class Linear(eqx.Module):
    """x W + b, with W (..., fan_in, fan_out) and b None where there is none."""

    weight: Array
    bias: Array | None

    def __call__(self, x: Array) -> Array:
        """In the type of x."""
        return self.wide(x).astype(x.dtype)

    def wide(self, x: Array) -> Array:
        """In at least float32."""
        y = product(x, self.weight)
        return y if self.bias is None else y + self.bias.astype(y.dtype)


class Block(eqx.Module):
    """Attention and MLP, each behind a norm and a modulation and in front of a gate; in a
    network all blocks lie in one such record, with a leading axis."""

    norm1: Array
    qkv: Linear
    out: Linear
    norm2: Array
    up: Linear
    down: Linear
    modulation: Linear


def apply_block(
    block: Block,
    hidden: Float[Array, "batch L width"],
    condition: Float[Array, "batch cond"],
    turn: tuple[Array, Array],
    n_heads: int,
    drop: Callable[[Array, int], Array],
) -> Float[Array, "batch L width"]:
    """One block; `turn` is the rotary table, `drop` the dropout of its two branches."""
    parts = jnp.split(block.modulation(condition)[:, None], 6, axis=-1)
    shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = parts
    x = layer_norm(hidden, block.norm1) * (1 + scale) + shift
    hidden = hidden + gate * drop(block.out(attention(block.qkv(x), turn, n_heads)), 0)
    x = layer_norm(hidden, block.norm2) * (1 + scale_mlp) + shift_mlp
    return hidden + gate_mlp * drop(block.down(jax.nn.gelu(block.up(x), approximate=True)), 1)


def layer_norm(x: Array, weight: Array) -> Array:
    """Centred and scaled over the last axis, in at least float32; no shift."""
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    y = y - jnp.mean(y, axis=-1, keepdims=True)
    y = y * jax.lax.rsqrt(jnp.mean(y * y, axis=-1, keepdims=True) + EPSILON)
    return y.astype(x.dtype) * weight


def rotary(seq_len: int, head_dim: int, dtype: Any) -> tuple[Array, Array]:
    """Cosines and sines (L, head_dim / 2) of position times frequency (Su et al. 2021)."""
    rate = SLOWEST ** (-np.arange(0, head_dim, 2) / head_dim)
    angle = np.arange(seq_len)[:, None] * rate
    return jnp.asarray(np.cos(angle), dtype), jnp.asarray(np.sin(angle), dtype)


def attention(
    qkv: Float[Array, "batch L 3*width"], turn: tuple[Array, Array], n_heads: int
) -> Float[Array, "batch L width"]:
    """Softmax attention over all positions, queries and keys turned by their positions."""
    batch, seq_len, triple = qkv.shape
    heads = qkv.reshape(batch, seq_len, 3, n_heads, -1).transpose(2, 0, 3, 1, 4)
    q, k, v = heads.reshape(3, batch * n_heads, seq_len, -1)  # heads first: plain matrix products
    q, k = turned(q, turn) * float(q.shape[-1] ** -0.5), turned(k, turn)
    score = jnp.einsum("nld,nmd->nlm", q, k, precision=EXACT, preferred_element_type=turn[0].dtype)
    weight = jnp.exp(score - jax.lax.stop_gradient(jnp.max(score, axis=-1, keepdims=True)))
    total = jnp.sum(weight, axis=-1, keepdims=True)
    mixed = jnp.einsum("nlm,nmd->nld", weight.astype(v.dtype), v, precision=EXACT)
    mixed = (
        (mixed / total.astype(v.dtype)).reshape(batch, n_heads, seq_len, -1).transpose(0, 2, 1, 3)
    )
    return mixed.reshape(batch, seq_len, triple // 3)


def turned(x: Float[Array, "any L dim"], turn: tuple[Array, Array]) -> Array:
    """Pairs of features (first half, second half) turned by the angles of their position."""
    cos, sin = (table.astype(x.dtype) for table in turn)
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

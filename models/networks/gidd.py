"""The transformer of GIDD at scale (von Ruette et al. 2025, arXiv:2512.10858), told tokens alone.

gidd-unif-3b, gidd-unif-10b and gidd-mask-3b: squared ReLUs, queries and keys scaled to one root
mean square over all heads, rotary positions, in each head one learned key and value beside those of
the tokens, scores bent by a tanh, and no input that tells the noise level. The weights of its loss
are at each level those of the bound but for a factor, so its softmax without the mask is `loo`: a
blend over the levels that the tokens allow. Under masks alone nothing is lost by that, as
`loo` at a mask is one law at all levels.

Source of each step: dvruette/gidd-easydel, gidd_easydel/model/modeling_gidd_hf.py at 2e7197c, by
which the released weights were converted; of the loss, schedule.py in diffusion_trainer at 0d05f52.
The released files themselves have not been seen. Every token is taken for a noisy one, so that all
attend to all: there, prompts without noise see themselves alone. That source rounds scores and
the residual stream to bfloat16; here scores are float32, and the stream as `compute` says.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from models.networks.dit_layers import rotary, turned
from models.networks.products import EXACT

EPSILON = 1e-6  # added to the mean square in a norm
CAP = 30.0  # scores of the attention lie within it


class GiddBlock(eqx.Module):
    """Attention and MLP, each behind a norm. Matrices are (fan_out, fan_in)."""

    attention_norm: Float[Array, " width"]
    q: Float[Array, "width width"]
    k: Float[Array, "width width"]
    v: Float[Array, "width width"]
    out: Float[Array, "width width"]
    q_norm: Float[Array, " width"]
    k_norm: Float[Array, " width"]
    sink_k: Float[Array, "heads dim"]
    sink_v: Float[Array, "heads dim"]
    mlp_norm: Float[Array, " width"]
    up: Float[Array, "inner width"]
    up_bias: Float[Array, " inner"]
    down: Float[Array, "width inner"]
    down_bias: Float[Array, " width"]


class Gidd(eqx.Module):
    """x = E[ids];  for each block, with s = `branch_scale`,

        x += s out(attention(norm(x)));     x += s (down(relu(up(norm(x)))^2) + biases);

    logits = `head_scale` H norm(x).

    The weights keep their types. `compute` is the type of the residual stream and of the factors of
    matrix products, float32 or bfloat16; sums, norms and the attention's weights are float32. Takes
    sequences of up to `longest` tokens.
    Multiply-adds of a token: (rows + n_blocks (4 width + 2 inner + 2 L)) width.
    Memory beside the weights: rows and scores of one block, and where the weights are of a shorter
    type than `compute`, the head once more in that.
    """

    embedding: Float[Array, "rows width"]
    blocks: tuple[GiddBlock, ...]
    final_norm: Float[Array, " width"]
    head: Float[Array, "rows width"]
    branch_scale: float = eqx.field(static=True)
    head_scale: float = eqx.field(static=True)
    longest: int = eqx.field(static=True)
    compute: Any = eqx.field(static=True, default=jnp.float32)

    def __call__(self, ids: Int[Array, "batch L"]) -> Float[Array, "batch L rows"]:
        """Logits in float32 over all rows, that of the mask too, which is not trained.

        Raises ValueError for sequences longer than `longest`. Compiled once for each shape.
        """
        if ids.shape[1] > self.longest:
            raise ValueError(f"this network takes up to {self.longest} tokens; got {ids.shape[1]}.")
        return _logits(self, jnp.asarray(ids))


@eqx.filter_jit
def _logits(net: Gidd, ids: Array) -> Array:
    turn = rotary(ids.shape[1], net.blocks[0].sink_k.shape[-1], jnp.float32)
    x = net.embedding[ids].astype(net.compute)
    for block in net.blocks:
        x = apply_block(block, x, turn, net.branch_scale)
    return product(rms_norm(x, net.final_norm), net.head) * net.head_scale


def apply_block(
    block: GiddBlock, x: Float[Array, "batch L width"], turn: tuple[Array, Array], scale: float
) -> Float[Array, "batch L width"]:
    """One block; `turn` is the rotary table, `scale` the factor of its two branches."""
    rows = rms_norm(x, block.attention_norm)
    q, k, v = (product(rows, w).astype(x.dtype) for w in (block.q, block.k, block.v))
    q, k = rms_norm(q, block.q_norm), rms_norm(k, block.k_norm)
    mixed = product(attention(q, k, v, block.sink_k, block.sink_v, turn), block.out)
    x = x + (scale * mixed).astype(x.dtype)
    inner = product(rms_norm(x, block.mlp_norm), block.up) + block.up_bias.astype(jnp.float32)
    inner = jnp.square(jax.nn.relu(inner)).astype(x.dtype)
    mlp = product(inner, block.down) + block.down_bias.astype(jnp.float32)
    return x + (scale * mlp).astype(x.dtype)


def attention(
    q: Float[Array, "batch L width"],
    k: Float[Array, "batch L width"],
    v: Float[Array, "batch L width"],
    sink_k: Float[Array, "heads dim"],
    sink_v: Float[Array, "heads dim"],
    turn: tuple[Array, Array],
) -> Float[Array, "batch L width"]:
    """Every site attends to all sites and to the sink, whose key has no position.

    Memory: batch heads L (L + 1) numbers of float32, a few times.
    """
    batch, length, width = q.shape
    n_heads, dim = sink_k.shape

    def heads(x: Array) -> Array:
        return x.reshape(batch, length, n_heads, dim).transpose(0, 2, 1, 3)

    def with_sink(x: Array, sink: Array) -> Array:
        first = jnp.broadcast_to(sink.astype(x.dtype)[:, None], (batch, n_heads, 1, dim))
        return jnp.concatenate([first, x], axis=2)

    q, k, v = turned(heads(q), turn), turned(heads(k), turn), heads(v)
    k, v = with_sink(k, sink_k), with_sink(v, sink_v)
    wide = {"precision": EXACT, "preferred_element_type": jnp.float32}
    score = jnp.einsum("bhld,bhmd->bhlm", q, k, **wide) * float(dim**-0.5)
    weight = jax.nn.softmax(CAP * jnp.tanh(score / CAP), axis=-1).astype(v.dtype)
    mixed = jnp.einsum("bhlm,bhmd->bhld", weight, v, **wide).astype(v.dtype)
    return mixed.transpose(0, 2, 1, 3).reshape(batch, length, width)


def product(x: Array, weight: Float[Array, "fan_out fan_in"]) -> Array:
    """Rows x times W^T, the factors in the type of x, the sums in float32."""
    axes = (((x.ndim - 1,), (1,)), ((), ()))
    if weight.dtype != x.dtype:
        # A factor of 1 that waits for x: else a compiled network converts all its weights at once.
        weight = weight.astype(x.dtype) * (1 + jnp.minimum(jnp.abs(x.reshape(-1)[0]), 0))
    return jax.lax.dot_general(x, weight, axes, precision=EXACT, preferred_element_type=jnp.float32)


def rms_norm(x: Array, weight: Float[Array, " width"]) -> Array:
    """(1 + w) x over its root mean square along the last axis, reckoned in float32."""
    wide = x.astype(jnp.float32)
    wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + EPSILON)
    return ((1 + weight.astype(jnp.float32)) * wide).astype(x.dtype)

"""The default learned denoiser: a residual MLP on one-hot tokens with a time embedding.

Its output is the leave-one-out law `log_loo`; all three losses of `models.training.loss` have
that law as their optimum.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from am_theory.channel import Channel, LogLinear, channel_iv
from models.denoiser import certain_where_visible
from models.networks.products import EXACT, matmul

N_FREQUENCIES = 8
PAIR_SCALE = 3.0  # the pairwise field learns this much faster than the rest under Adam


def time_features(t: Float[Array, " batch"]) -> Float[Array, "batch features"]:
    """Smooth features of sqrt(t), (batch, 2 N_FREQUENCIES): the law changes fast at small t."""
    phase = jnp.pi * jnp.sqrt(t)[:, None] * jnp.arange(1, N_FREQUENCIES + 1) / 2
    return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=1)


def tensor_shapes(
    vocab_size: int, seq_len: int, width: int, n_blocks: int
) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of the network."""
    inputs, features = vocab_size * seq_len, 2 * N_FREQUENCIES
    return {
        "embed": (inputs, width),
        "blocks": (n_blocks, width, width),
        "times": (n_blocks + 1, features, width),
        "biases": (n_blocks + 1, width),
        "readout": (width, inputs),
        "readout_bias": (inputs,),
        "pair": (inputs, inputs),
        "pair_gain": (features, inputs),
    }


class MLPDenoiser(eqx.Module):
    """h = W_in onehot(x_t) + T_0(t);  h += W_k gelu(norm(h) + T_k(t)) for each block;
    logits = W_out gelu(norm(h)) + (1 + G(t)) W_pair onehot(x_t).

    The last term is a pairwise (Potts) field straight from the input: as t -> 0 the
    pseudo-likelihood conditionals of any pairwise source have this form. The one-hot row of a mask
    is 0: an embedding of its own would shift all others by a constant, which the biases can take.
    Parameters: (2 L V + n_blocks width) width + (L V)^2 and the small time maps. A forward
    pass of one sequence costs that many multiply-adds.
    """

    embed: Float[Array, "LV width"]
    blocks: Float[Array, "n_blocks width width"]
    times: Float[Array, "n_blocks+1 features width"]
    biases: Float[Array, "n_blocks+1 width"]
    readout: Float[Array, "width LV"]
    readout_bias: Float[Array, " LV"]
    pair: Float[Array, "LV LV"]
    pair_gain: Float[Array, "features LV"]
    vocab_size: int = eqx.field(static=True)
    seq_len: int = eqx.field(static=True)
    schedule: Any = eqx.field(static=True)
    channel: Channel = eqx.field(static=True)

    def __init__(
        self,
        key: Array,
        vocab_size: int,
        seq_len: int,
        width: int = 256,
        n_blocks: int = 1,
        schedule: Any = LogLinear(),
        channel: Channel | None = None,
    ) -> None:
        shapes = tensor_shapes(vocab_size, seq_len, width, n_blocks)
        # Drawn by NumPy: compiling a few JAX draws would take longer than a smoke training.
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))

        def normal(name: str, scale: float) -> Array:
            return jnp.asarray((scale * rng.standard_normal(shapes[name])).astype(np.float32))

        def zeros(name: str) -> Array:
            return jnp.asarray(np.zeros(shapes[name], np.float32))

        self.embed = normal("embed", seq_len**-0.5)
        self.blocks = normal("blocks", width**-0.5)
        self.times = normal("times", 0.1)
        self.biases = zeros("biases")
        self.readout = zeros("readout")
        self.readout_bias = zeros("readout_bias")
        self.pair = zeros("pair")
        self.pair_gain = zeros("pair_gain")
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
        features = time_features(level)
        times = jnp.einsum("bf,kfw->kbw", features, self.times, precision=EXACT)
        times = times + self.biases[:, None, :]
        hidden = matmul(onehot, self.embed) + times[0]
        for weight, shift in zip(self.blocks, times[1:], strict=True):
            hidden = hidden + matmul(jax.nn.gelu(_normalize(hidden) + shift), weight)
        logits = matmul(jax.nn.gelu(_normalize(hidden)), self.readout) + self.readout_bias
        logits = logits + self._pairwise(onehot, features)
        law = jax.nn.log_softmax(logits.reshape(batch, self.seq_len, self.vocab_size))
        return certain_where_visible(law, x_t, self.channel)

    def _pairwise(self, onehot: Array, features: Array) -> Array:
        """The last term of the logits."""
        gain = 1 + matmul(features, self.pair_gain)
        return gain * matmul(onehot, self._pair_field())

    def _pair_field(self) -> Array:
        """Pairwise couplings (LV, LV) without self terms: `loo` does not see its own token."""
        site = jnp.arange(self.seq_len * self.vocab_size) // self.vocab_size
        return jnp.where(site[:, None] == site, 0.0, PAIR_SCALE * self.pair)


class PlainMLP(MLPDenoiser):
    """The MLP without its pairwise field: all that it knows goes through its hidden layer."""

    def __init__(
        self, key: Array, vocab_size: int, seq_len: int, width: int, n_blocks: int = 1
    ) -> None:
        super().__init__(key, vocab_size, seq_len, width, n_blocks)
        self.pair, self.pair_gain = jnp.zeros((0, 0)), jnp.zeros((0, 0))

    def _pairwise(self, onehot: Array, features: Array) -> Array:
        return jnp.zeros(())


def _normalize(hidden: Array) -> Array:
    """Root-mean-square normalization over the width."""
    return hidden * jax.lax.rsqrt(jnp.mean(hidden**2, axis=-1, keepdims=True) + 1e-6)

"""The paper's network: a diffusion transformer that names the leave-one-out law of each token.

Peebles & Xie 2023 (arXiv:2212.09748) as Lou, Meng & Ermon 2024 (arXiv:2310.16834) and Sahoo et
al. 2025 (arXiv:2506.10892) use it for tokens: rotary positions, layer norms without a shift, no
bias in the attention, and shifts, scales and gates that are affine in an embedding of
sigma = -log alpha(t). Trained on the NELBO, its softmax is `loo` (theory: an exact statement for
the minimizer), so that is what it is called here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from am_theory.channel import Channel, LogLinear, channel_iv
from models.denoiser import certain_where_visible
from models.networks.dit_layers import SLOWEST, Block, Linear, apply_block, layer_norm, rotary
from models.networks.products import matmul
from models.tokens import check_vocabulary

N_FREQUENCIES = 128  # of the embedding of sigma


@dataclass(frozen=True)
class Shape:
    """Sizes of a diffusion transformer.

    Args:
        width: of the residual stream, a multiple of 2 `n_heads`.
        n_blocks: attention and MLP, this many times.
        n_heads: attention heads.
        cond_dim: width of the embedding of the noise level.
    """

    width: int
    n_blocks: int
    n_heads: int
    cond_dim: int = 128

    def __post_init__(self) -> None:
        for name in ("width", "n_heads", "cond_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1; got {getattr(self, name)}.")
        if self.n_blocks < 0:
            raise ValueError(f"`n_blocks` must not be negative; got {self.n_blocks}.")
        if self.width % (2 * self.n_heads):
            raise ValueError(
                f"`width` must be a multiple of 2 `n_heads` = {2 * self.n_heads}, since a head "
                f"turns pairs of features; got {self.width}."
            )


# The three sizes of arXiv:2604.26841, and two for a laptop.
PRESETS = {
    "mini": Shape(64, 2, 4, 64),
    "midi": Shape(128, 4, 4, 128),
    "tiny": Shape(256, 8, 8),
    "small": Shape(768, 12, 12),
    "medium": Shape(1024, 24, 16),
}


def tensor_shapes(
    vocab_size: int, shape: Shape, n_labels: int = 0, n_masks: int = 0
) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of the network, by its path; a mask has the last row of the embedding,
    and none of the readout."""
    n, width, cond = shape.n_blocks, shape.width, shape.cond_dim
    layers = {  # leading axes, fan_in, fan_out, bias
        "time_in": ((), 2 * N_FREQUENCIES, cond, True),
        "time_out": ((), cond, cond, True),
        "blocks.qkv": ((n,), width, 3 * width, False),
        "blocks.out": ((n,), width, width, False),
        "blocks.up": ((n,), width, 4 * width, True),
        "blocks.down": ((n,), 4 * width, width, True),
        "blocks.modulation": ((n,), cond, 6 * width, True),
        "final_modulation": ((), cond, 2 * width, True),
        "readout": ((), width, vocab_size, True),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "embedding": (vocab_size + n_masks, width),
        "blocks.norm1": (n, width),
        "blocks.norm2": (n, width),
        "final_norm": (width,),
    }
    for name, (lead, fan_in, fan_out, bias) in layers.items():
        shapes[f"{name}.weight"] = (*lead, fan_in, fan_out)
        if bias:
            shapes[f"{name}.bias"] = (*lead, fan_out)
    return shapes | ({"labels": (n_labels, cond)} if n_labels else {})


class DiT(eqx.Module):
    """x = E[x_t];  c = silu(MLP(sin, cos of sigma));  for each block, with (shift, scale, gate)
    twice from an affine map of c,

        x += gate  * attention(norm(x) (1 + scale) + shift)
        x += gate' * MLP(norm(x) (1 + scale') + shift');

    logits = W (norm(x) (1 + scale'') + shift'') + b.

    `labels` (rows to be added to c as silu(row), one a class and the last for no class) belong to
    class-conditional networks that were read from elsewhere. With `timed` off the network is told
    sigma = 0 at every level, as masked models that need no level are. `wide` computes in float32
    whatever the weights are. Takes any length; `seq_len` says what it was trained on, or None.
    Parameters: (2 V + (12 n_blocks width + 6 n_blocks cond)) width and smaller ones.
    Multiply-adds of a token: (V + 12 n_blocks width + 2 n_blocks L) width.
    """

    embedding: Float[Array, "V width"]
    time_in: Linear
    time_out: Linear
    blocks: Block
    final_norm: Array
    final_modulation: Linear
    readout: Linear
    labels: Float[Array, "classes cond"] | None
    n_heads: int = eqx.field(static=True)
    seq_len: int | None = eqx.field(static=True)
    schedule: Any = eqx.field(static=True)
    dropout: float = eqx.field(static=True)
    noise: Channel | None = eqx.field(static=True)
    timed: bool = eqx.field(static=True)
    wide: bool = eqx.field(static=True)

    def __init__(
        self,
        key: Array,
        vocab_size: int,
        shape: Shape | str = "tiny",
        seq_len: int | None = None,
        schedule: Any = LogLinear(),
        dropout: float = 0.0,
        channel: Channel | None = None,
        timed: bool = True,
        wide: bool = False,
    ) -> None:
        """Draw the weights as the authors do: uniform within 1 / sqrt(fan_in); norms 1; the
        modulations and the readout 0, so that a new network's law is uniform.

        `shape` is a Shape or the name of a preset; `dropout` acts only where a key is given.
        """
        check_vocabulary(vocab_size)
        shape = preset_shape(shape)
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must lie in [0, 1); got {dropout}.")
        # Drawn by NumPy: compiling JAX draws would take longer.
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        shapes = tensor_shapes(vocab_size, shape, n_masks=n_masks(channel))

        def uniform(name: str, fan_in: int) -> Array:
            draws = rng.random(shapes[name], dtype=np.float32)
            return jnp.asarray((2 * draws - 1) / np.float32(np.sqrt(fan_in)))

        def linear(name: str) -> Linear:
            fan_in = shapes[f"{name}.weight"][-2]
            bias = uniform(f"{name}.bias", fan_in) if f"{name}.bias" in shapes else None
            return Linear(uniform(f"{name}.weight", fan_in), bias)

        def filled(name: str, value: float) -> Array:
            return jnp.asarray(np.full(shapes[name], value, np.float32))

        def zeros(name: str) -> Linear:
            return Linear(filled(f"{name}.weight", 0), filled(f"{name}.bias", 0))

        self.embedding = uniform("embedding", shape.width)
        self.time_in, self.time_out = linear("time_in"), linear("time_out")
        self.blocks = Block(
            norm1=filled("blocks.norm1", 1),
            qkv=linear("blocks.qkv"),
            out=linear("blocks.out"),
            norm2=filled("blocks.norm2", 1),
            up=linear("blocks.up"),
            down=linear("blocks.down"),
            modulation=zeros("blocks.modulation"),
        )
        self.final_norm = filled("final_norm", 1)
        self.final_modulation, self.readout = zeros("final_modulation"), zeros("readout")
        self.labels = None
        self.n_heads, self.seq_len, self.schedule = shape.n_heads, seq_len, schedule
        self.dropout, self.noise, self.timed, self.wide = dropout, channel, timed, wide

    @property
    def vocab_size(self) -> int:
        return self.embedding.shape[0] - n_masks(self.noise)

    @property
    def channel(self) -> Channel:
        """The noise that it undoes."""
        return channel_iv(self.noise, self.vocab_size)

    @property
    def shape(self) -> Shape:
        """Sizes, as they follow from the tensors."""
        return Shape(
            self.embedding.shape[1],
            self.blocks.norm1.shape[0],
            self.n_heads,
            self.time_out.weight.shape[0],
        )

    def log_loo(
        self,
        x_t: Int[Array, "batch L"] | Float[Array, "batch L V"],
        t: Float[Array, " batch"] | float,
        key: Array | None = None,
    ) -> Float[Array, "batch L V"]:
        """Leave-one-out law in at least float32, (batch, L, V).

        `x_t` tokens, or real (batch, L, V) of which the softmax mixes the embeddings; `t` noise
        levels in [0, 1]; with a `key`, dropout acts.
        """
        hidden, condition = self.trunk(x_t, t, key)
        law = jax.nn.log_softmax(self.head(hidden, condition[:, None]))
        return certain_where_visible(law, x_t, self.channel)

    def trunk(
        self, x_t: Any, t: Any, key: Array | None = None
    ) -> tuple[Float[Array, "batch L width"], Float[Array, "batch cond"]]:
        """All but the readout: the residual stream, and the embedding of the noise level."""
        x_t = jnp.asarray(x_t)
        level = jnp.broadcast_to(jnp.asarray(t, self.real_dtype), (x_t.shape[0],))
        sigma = -jnp.log(self.schedule.alpha(level)) if self.timed else jnp.zeros_like(level)
        return self.trunk_at_sigma(x_t, sigma, key)

    @property
    def real_dtype(self) -> Any:
        """Of norms, noise levels and logits: that of the weights, at least float32."""
        return jnp.promote_types(self.embedding.dtype, jnp.float32)

    def trunk_at_sigma(
        self, x_t: Array, sigma: Array, key: Array | None = None, label: Array | None = None
    ) -> Any:
        """`trunk` with sigma = -log alpha, (batch,), in place of t; `label` (batch,) classes of a
        network that has them, by default none of them."""
        hidden = self.embed(x_t)
        condition = jax.nn.silu(self.embed_level(sigma)).astype(hidden.dtype)
        if self.labels is not None:
            condition = condition + jax.nn.silu(self.labels[-1 if label is None else label])
        turn = rotary(hidden.shape[1], hidden.shape[2] // self.n_heads, self.real_dtype)
        n_blocks = self.blocks.norm1.shape[0]
        for k in range(n_blocks):
            block = jax.tree.map(lambda leaf, k=k: leaf[k], self.blocks)
            drop = self._dropout(None if key is None else jax.random.fold_in(key, k))
            hidden = apply_block(block, hidden, condition, turn, self.n_heads, drop)
        return hidden, condition

    def embed(self, x_t: Array) -> Array:
        """Rows of the embedding, or their mixture under the softmax of a real input."""
        dtype = self.real_dtype if self.wide else self.embedding.dtype
        if x_t.ndim == 2:
            return self.embedding[x_t].astype(dtype)
        mixture = jax.nn.softmax(x_t.astype(self.real_dtype)).astype(dtype)
        return matmul(mixture, self.embedding.astype(dtype))

    def embed_level(self, sigma: Float[Array, " batch"]) -> Float[Array, "batch cond"]:
        """MLP of sines and cosines of sigma, before the last nonlinearity."""
        rate = np.exp(-np.log(SLOWEST) * np.arange(N_FREQUENCIES) / N_FREQUENCIES)
        phase = sigma[:, None].astype(self.real_dtype) * jnp.asarray(rate, self.real_dtype)
        features = jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=-1)
        dtype = self.real_dtype if self.wide else self.time_in.weight.dtype
        return self.time_out(jax.nn.silu(self.time_in(features.astype(dtype))))

    def head(self, hidden: Array, condition: Array) -> Array:
        """Logits (..., V) of rows (..., width) of the residual stream and their conditions."""
        shift, scale = jnp.split(self.final_modulation(condition), 2, axis=-1)
        rows = layer_norm(hidden, self.final_norm) * (1 + scale) + shift
        return self.readout.wide(rows)

    def _dropout(self, key: Array | None) -> Callable[[Array, int], Array]:
        if key is None or self.dropout == 0:
            return lambda x, which: x
        keep = 1 - self.dropout

        def drop(x: Array, which: int) -> Array:
            kept = jax.random.bernoulli(jax.random.fold_in(key, which), keep, x.shape)
            return jnp.where(kept, x / keep, 0)

        return drop


def n_masks(noise: Channel | None) -> int:
    """Rows of the embedding beyond those of the values."""
    return int(noise is not None and noise.mask_id is not None)


def preset_shape(shape: Shape | str) -> Shape:
    """A Shape as it is, or that of a preset's name."""
    if isinstance(shape, Shape):
        return shape
    if shape not in PRESETS:
        raise ValueError(f"there is no size {shape!r}; choose {', '.join(PRESETS)}.")
    return PRESETS[shape]

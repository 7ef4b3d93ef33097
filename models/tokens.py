"""The one place where token arrays and noise levels from outside are checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import NumbaInsideJitError, TokenRangeError

Tokens = NDArray[np.unsignedinteger[Any]]


def token_dtype(vocab_size: int) -> type[np.unsignedinteger[Any]]:
    """Smallest unsigned type that holds every token of the vocabulary."""
    return np.uint8 if vocab_size <= 256 else np.uint16 if vocab_size <= 65536 else np.uint32


def is_tracer(x: object) -> bool:
    """Whether `x` is a JAX tracer (no concrete value), without importing JAX."""
    return any(kind.__name__ == "Tracer" for kind in type(x).__mro__)


def check_tokens(
    x: object,
    vocab_size: int,
    seq_len: int | None = None,
    name: str = "x_t",
    mask_id: int | None = None,
) -> Tokens:
    """Concrete tokens as a C-contiguous (batch, L) array of the smallest unsigned type; `mask_id`,
    V where the channel masks, is allowed too.

    Raises TokenRangeError with the argument, what came and what is allowed;
    NumbaInsideJitError for a JAX tracer.
    """
    if is_tracer(x):
        raise NumbaInsideJitError(
            f"`{name}` is a JAX tracer: a numba kernel was called inside jax.jit, vmap or grad. "
            "Use the denoiser's JAX twin there, or call it outside the transformation."
        )
    tokens = np.asarray(x)
    if tokens.dtype.kind not in "ui":
        raise TokenRangeError(
            f"`{name}` must hold integers; got dtype {tokens.dtype}. "
            "Convert exact integers with `.astype(int)`."
        )
    if tokens.ndim != 2 or tokens.shape[1] < 1:
        raise TokenRangeError(
            f"`{name}` must have shape (batch, L); got {tokens.shape}. "
            "A single sequence goes in as `x[None, :]`."
        )
    if seq_len is not None and tokens.shape[1] != seq_len:
        raise TokenRangeError(
            f"`{name}` has sequences of length {tokens.shape[1]}; this model takes length "
            f"{seq_len}. Cut the text into windows of {seq_len}."
        )
    ids = vocab_size if mask_id is None else vocab_size + 1
    if tokens.size and (int(tokens.min()) < 0 or int(tokens.max()) >= ids):
        bad = int(tokens.min() if tokens.min() < 0 else tokens.max())
        allowed, advice = f"0 to {vocab_size - 1}", "Map the text to the model's vocabulary first."
        if mask_id is not None:
            allowed += f" and the mask {mask_id}"
            if bad == ids:
                advice = "`vocab_size` never counts the mask; does it here?"
        elif bad == vocab_size:
            advice = "If it is a mask, the denoiser needs a channel that has one."
        raise TokenRangeError(
            f"`{name}` holds the token {bad}; allowed are {allowed} "
            f"(vocab_size={vocab_size}). {advice}"
        )
    return np.ascontiguousarray(tokens, dtype=token_dtype(ids))


def check_level(t: object, batch: int) -> NDArray[np.float64]:
    """Noise levels `t` as a float64 array (batch,), each in [0, 1]."""
    if is_tracer(t):
        raise NumbaInsideJitError(
            "`t` is a JAX tracer: a numba kernel was called inside jax.jit, vmap or grad. "
            "Use the denoiser's JAX twin there, or call it outside the transformation."
        )
    levels = np.asarray(t, dtype=np.float64)
    if levels.ndim > 1 or (levels.ndim == 1 and levels.shape[0] != batch):
        raise ValueError(
            f"`t` must be a number or have shape (batch,) = ({batch},); got {levels.shape}."
        )
    if not (np.all(levels >= 0) and np.all(levels <= 1)):  # also refuses NaN
        raise ValueError(
            f"`t` must lie in [0, 1]; got {levels.min()} to {levels.max()}. "
            "A step index must be divided by the number of steps."
        )
    return np.broadcast_to(levels, (batch,)).copy()


def check_vocabulary(vocab_size: int) -> int:
    """`vocab_size` as an int of at least 2 (a one-letter channel carries nothing)."""
    if int(vocab_size) != vocab_size or vocab_size < 2:
        raise ValueError(f"`vocab_size` must be an integer of at least 2; got {vocab_size}.")
    return int(vocab_size)

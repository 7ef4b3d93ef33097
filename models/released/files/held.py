"""Arrays that JAX takes over as they are, so that weights lie in memory once."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An empty array that JAX takes over: its memory begins at a multiple of 64."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def as_weights(array: NDArray[Any]) -> jax.Array:
    """A JAX array of the same type, which on a processor may take the memory of this one over;
    ValueError where JAX would round it."""
    weights = jax.device_put(array, may_alias=True)
    if weights.dtype != array.dtype:
        raise ValueError(
            f"{array.dtype} weights need `jax.enable_x64(True)`; or give dtype=np.float32."
        )
    return weights

"""Arrays that JAX takes over as they are, so that weights lie in memory once."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 24  # bytes of a tensor that are copied at once


def fill(target: NDArray[Any], source: Any, rows: NDArray[np.integer] | None = None) -> None:
    """Copy a tensor, or these `rows` of it, into an array, a piece at a time.

    source : an array, or a lazy one: with `part(first, end)` it is read in pieces of rows, else as
        a whole.
    """
    if not target.ndim:
        target[...] = np.asarray(source)
        return
    lazy = hasattr(source, "part") and target.ndim > 1
    whole = None if lazy else np.asarray(source)
    step = max(1, PIECE // max(1, target[:1].nbytes))
    wanted = np.arange(len(target)) if rows is None else rows
    runs = np.flatnonzero(np.diff(wanted) != 1) + 1  # rows that lie together are read together
    cuts = np.unique([*range(0, len(target), step), *runs, len(target)])
    for at, end in pairwise(cuts.tolist()):
        first = int(wanted[at])
        last = first + end - at
        target[at:end] = source.part(first, last) if whole is None else whole[first:last]


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

"""A `loo` law p(x_0^i | x_t without i) read a slice of rows at a time.

Where V is that of a tokenizer an array (batch, L, V) is hundreds of megabytes, and every step of a
reading makes another. Here readings take `SLICE` numbers of it at a time; of a JAX network with a
`trunk` and a `head` the readout itself is computed slice after slice, so that the whole law never
exists. Of any other denoiser it exists once, as it is returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from models.noise import certain_where_visible, channel_of

SLICE = 1 << 20  # numbers of a law in work at a time, 4 MiB in float32
SLICE_IN_JAX = 1 << 22  # where every slice is a call of the readout

Read = Callable[..., Any]


def read_slices(
    denoiser: Any, x_t: ArrayLike, t: ArrayLike, places: ArrayLike, read: Read, *columns: Any
) -> Any:
    """`read(law, *columns)` of the rows `places` (m,) of the law at x_t (batch, L), level t.

    Row i L + l is the law of site l of sequence i. `read` takes laws in logs (rows, V) and the same
    rows of the columns (m, ...), NumPy or JAX arrays as the denoiser is, and returns arrays
    (rows, ...) or a tuple of them; it must be hashable, as a JAX denoiser compiles once for each.
    Returns the same of all m rows, in NumPy.
    """
    rows, size = np.asarray(places), int(denoiser.vocab_size)
    if isinstance(denoiser, eqx.Module):
        step = min(len(rows), max(1, SLICE_IN_JAX // size))
        tokens, level = jnp.asarray(np.asarray(x_t), jnp.int32), jnp.asarray(t, jnp.float32)
        given = [jnp.asarray(column) for column in columns]
        made = _read_jax(denoiser, tokens, level, jnp.asarray(rows, jnp.int32), given, read, step)
        return jax.tree.map(np.asarray, made)
    law = np.asarray(denoiser.log_loo(np.asarray(x_t), t)).reshape(-1, size)
    whole = len(rows) == len(law) and bool((rows == np.arange(len(law))).all())
    parts = []
    for part in slices(len(rows), size):
        block = law[part] if whole else law[rows[part]]
        parts.append(read(block, *(column[part] for column in columns)))
    return joined(parts)


def slices(n: int, vocab_size: int) -> list[slice]:
    """Slices of n rows of a law over V values, of `SLICE` numbers each."""
    step = max(1, SLICE // vocab_size)
    return [slice(first, min(first + step, n)) for first in range(0, n, step)]


def joined(parts: list[Any]) -> Any:
    """Arrays, or tuples of them, one after another."""
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def law_slices(
    model: Any, x_t: Any, t: Any, places: Any, step: int, read: Callable[..., Any], columns: Any
) -> Any:
    """`read_slices` inside a compiled function, `step` rows at a time."""
    law_of = _rows_of(model, x_t, t)
    missing = -len(places) % step

    def padded(a: Any) -> Any:
        a = jnp.pad(jnp.asarray(a), ((0, missing), *((0, 0),) * (a.ndim - 1)), mode="edge")
        return a.reshape(-1, step, *a.shape[1:])

    def one(given: Any) -> Any:
        rows, block = given
        return read(law_of(rows), *block)

    made = jax.lax.map(one, (padded(places), [padded(c) for c in columns]))
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[: len(places)], made)


def _rows_of(model: Any, x_t: Any, t: Any) -> Callable[[Any], Any]:
    """From places (rows,) to laws (rows, V)."""
    length = x_t.shape[1]
    if not hasattr(model, "head"):
        whole = model.log_loo(x_t, t).reshape(-1, model.vocab_size)
        return lambda places: whole[places]
    hidden, condition = model.trunk(x_t, t)
    noise = channel_of(model)

    def laws(places: Any) -> Any:
        sequence, site = places // length, places % length
        law = jax.nn.log_softmax(model.head(hidden[sequence, site], condition[sequence]))
        return certain_where_visible(law, x_t[sequence, site], noise)

    return laws


@eqx.filter_jit
def _read_jax(
    model: Any, x_t: Any, t: Any, places: Any, columns: Any, read: Read, step: int
) -> Any:
    return law_slices(model, x_t, t, places, step, read, columns)

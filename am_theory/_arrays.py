"""Helpers that let one formula serve NumPy and JAX arrays (private).

Only calls of the array API standard are made, on the namespace the array itself names, so JAX is
never imported here. Values are inspected on concrete arrays alone; a traced array has none yet.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

Array = Any


def is_concrete(x: Array) -> bool:
    """Tell whether the values of `x` can be looked at, which is false of JAX tracers."""
    return not any(
        cls.__name__ == "Tracer" and cls.__module__.partition(".")[0] == "jax"
        for cls in type(x).__mro__
    )


def namespace(*arrays: Array) -> Any:
    """Return the array namespace of the arguments: the first that is not NumPy, else NumPy."""
    for x in arrays:
        if hasattr(x, "__array_namespace__") and not isinstance(x, np.ndarray | np.generic):
            return x.__array_namespace__()
    return np


def as_floating(x: Array, name: str) -> tuple[Any, Array, bool]:
    """Return (namespace, floating array, whether `x` was a bare number)."""
    xp = namespace(x)
    bare = xp is np and not isinstance(x, np.ndarray) and np.ndim(x) == 0
    if isinstance(x, np.ndarray) or xp is not np:
        if xp.isdtype(x.dtype, "real floating"):
            return xp, x, False
        if not xp.isdtype(x.dtype, "integral"):
            raise TypeError(f"`{name}` must hold real numbers; got dtype {x.dtype}.")
    try:
        return xp, xp.asarray(x, dtype=float), bare
    except (TypeError, ValueError) as error:
        message = f"`{name}` must be a number or an array of numbers; got {x!r}."
        raise TypeError(message) from error


def finish(xp: Any, value: Array, bare: bool) -> Array:
    """Hand a Python float back to a caller who gave bare numbers."""
    return float(value) if bare else value


def vocab_size_iv(vocab_size: Any) -> int:
    """Check the number of token values."""
    try:
        size = operator.index(vocab_size)
    except TypeError:
        size = 0
    if size < 2 or isinstance(vocab_size, bool):
        raise ValueError(
            f"`vocab_size` must be a whole number of at least 2; got {vocab_size!r}. "
            "It counts the values a token can take."
        )
    return size


def rows_iv(rows: Array, tokens: tuple[Array, ...], name: str) -> tuple[Any, Array, list[Array]]:
    """Check a (..., V) floating array and token arrays of its leading shape."""
    xp = namespace(rows, *tokens)
    rows = xp.asarray(rows)
    if not xp.isdtype(rows.dtype, "real floating"):
        raise TypeError(f"`{name}` must have a floating dtype; got {rows.dtype}.")
    if rows.ndim < 1:
        raise ValueError(f"`{name}` must have shape (..., vocab_size); got a single number.")
    size = vocab_size_iv(rows.shape[-1])
    return xp, rows, [_tokens_iv(xp, x, rows.shape[:-1], size, name) for x in tokens]


def _tokens_iv(xp: Any, x: Array, shape: tuple[int, ...], size: int, name: str) -> Array:
    x = xp.asarray(x)
    if not xp.isdtype(x.dtype, "integral"):
        raise TypeError(f"Token ids must have an integer dtype; got {x.dtype}.")
    if x.shape != shape:
        raise ValueError(
            f"Token ids must have the leading shape {shape} of `{name}`; got {x.shape}. "
            "Give one token for each row over the vocabulary."
        )
    if is_concrete(x):
        values = np.asarray(x)
        wrong = values[(values < 0) | (values >= size)]
        if wrong.size:
            raise ValueError(
                f"Token ids must lie in [0, {size}); got {wrong.flat[0]}. "
                f"The last axis of `{name}` sets the vocabulary size."
            )
    return x


def align(xp: Any, dtype: Any, x: Array, shape: tuple[int, ...], name: str) -> Array:
    """Cast `x` and append axes, so that its axes meet the leading ones of `shape`."""
    x = xp.asarray(x, dtype=dtype)
    if x.ndim > len(shape) or any(
        n not in (1, m) for n, m in zip(x.shape, shape[: x.ndim], strict=True)
    ):
        raise ValueError(
            f"`{name}` must be a number or have the leading axes of {shape}, such as (batch,); "
            f"got shape {x.shape}."
        )
    return x if x.ndim == 0 else xp.reshape(x, x.shape + (1,) * (len(shape) - x.ndim))


def hits(xp: Any, tokens: Array, size: int) -> Array:
    """One-hot mask of the tokens, boolean, of shape (..., V)."""
    values = xp.arange(size)
    tokens = xp.asarray(tokens, dtype=values.dtype)
    return xp.reshape(values, (1,) * tokens.ndim + (size,)) == tokens[..., None]


def xlog1p(x: Array) -> Array:
    """(1 + x) log(1 + x), with value 0 at x = -1."""
    xp = x.__array_namespace__()
    inside = x > -1
    return xp.where(inside, (1 + x) * xp.log1p(xp.where(inside, x, 0.0)), 0.0)


def xlogy(x: Array, y: Array) -> Array:
    """x log(y), with value 0 wherever x = 0, y = 0 included."""
    xp = namespace(x, y)
    empty = x == 0
    return xp.where(empty, 0.0, x * xp.log(xp.where(empty, 1.0, y)))


def logsumexp(x: Array) -> Array:
    """Logarithm of the summed exponentials over the last axis, which is kept; -inf is legal."""
    xp = x.__array_namespace__()
    top = xp.max(x, axis=-1, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0.0)
    return top + xp.log(xp.sum(xp.exp(x - top), axis=-1, keepdims=True))


def _horner(x: Array, coefficients: tuple[float, ...]) -> Array:
    total = coefficients[-1] + 0 * x
    for c in reversed(coefficients[:-1]):
        total = c + x * total
    return x * x * total


_EXP_SERIES = tuple(1 / float(np.prod(np.arange(1.0, k + 1))) for k in range(2, 10))
_LOG_SERIES = tuple((-1.0) ** k / (k * (k - 1)) for k in range(2, 12))


def expm1_minus(x: Array) -> Array:
    """exp(x) - 1 - x >= 0, by its series where the difference would lose digits.

    The two switches keep the relative error below 1e-6 in float32 and 1e-14 in float64. Both
    branches see a harmless argument where they are not chosen, so gradients stay finite.
    """
    xp = x.__array_namespace__()
    small = xp.abs(x) < (0.3 if xp.finfo(x.dtype).bits <= 32 else 0.05)
    near, far = xp.where(small, x, 0.0), xp.where(small, 1.0, x)
    return xp.where(small, _horner(near, _EXP_SERIES), xp.expm1(far) - far)


def log_excess(x: Array) -> Array:
    """(1 + x) log(1 + x) - x >= 0 for x >= -1, by its series for small |x|."""
    xp = x.__array_namespace__()
    small = xp.abs(x) < (0.1 if xp.finfo(x.dtype).bits <= 32 else 0.02)
    near, far = xp.where(small, x, 0.0), xp.where(small, 1.0, x)
    return xp.where(small, _horner(near, _LOG_SERIES), xlog1p(far) - far)

"""Arguments of measurements, checked: what came, what is allowed, what to do."""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def strict_share(name: str, value: float, hint: str) -> float:
    """A number strictly between 0 and 1. Raises ValueError."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"`{name}` must lie strictly between 0 and 1; got {value}. {hint}")
    return float(value)


def count(name: str, value: int, *, at_least: int) -> int:
    """An integer from `at_least` up. Raises TypeError and ValueError."""
    try:
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer; got {value!r}. Round it first.") from None
    if found < at_least:
        raise ValueError(f"`{name}` must be at least {at_least}; got {found}. Raise it.")
    return found


def check_generator(rng: np.random.Generator) -> None:
    """Raise TypeError for anything but a Generator."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"`rng` must be a numpy.random.Generator; got {type(rng).__name__}. "
            "Make one with numpy.random.default_rng(seed)."
        )


def per_query(clusters: ArrayLike, **values: ArrayLike) -> tuple[NDArray[np.integer], list[Floats]]:
    """Identities (n,) of the sequences that queries were made from, and values (n, ...), finite or
    NaN, of these queries. Raises ValueError and TypeError."""
    tables = [_values(name, table) for name, table in values.items()]
    ids = np.asarray(clusters)
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(
            f"`clusters` must be integers, one a query; got dtype {ids.dtype}. Number the clean "
            "sequences and give every query the number of its own."
        )
    if ids.ndim != 1:
        raise ValueError(f"`clusters` must have shape (n,); got {ids.shape}. Flatten it first.")
    for name, table in zip(values, tables, strict=True):
        if len(table) != len(ids):
            raise ValueError(
                f"`{name}` and `clusters` must have the same number of queries; got "
                f"{len(table)} and {len(ids)}. Put queries on the first axis."
            )
    return ids, tables


def _values(name: str, values: ArrayLike) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim == 0 or table.shape[0] == 0:
        raise ValueError(
            f"`{name}` must have one row a query, shape (n, ...) with n at least 1; "
            f"got shape {table.shape}. Pass per-query counts, not their totals."
        )
    if np.isinf(table).any():
        raise ValueError(
            f"`{name}` must be finite or NaN; got an infinite value. Cap such values (for "
            "instance -log p of an exact zero) at a stated number before averaging."
        )
    return table


def ratio_shape(top: Floats, bottom: Floats) -> tuple[int, ...]:
    """Trailing axes of numerator over denominator. Raises ValueError where they do not fit."""
    try:
        if top.ndim != bottom.ndim:
            raise ValueError
        return np.broadcast_shapes(top.shape[1:], bottom.shape[1:])
    except ValueError:
        raise ValueError(
            "`numerator` and `denominator` must have the same number of axes and trailing axes "
            f"that broadcast; got shapes {top.shape} and {bottom.shape}. Give the denominator "
            "axes of length 1 where it is shared."
        ) from None


def replicates_along(replicates: ArrayLike, *axes: str) -> Floats:
    """Replicates with these leading axes, none empty. Raises ValueError."""
    table = np.asarray(replicates, dtype=np.float64)
    if table.ndim < len(axes) or 0 in table.shape[: len(axes)]:
        raise ValueError(
            f"`replicates` must have axes ({', '.join(axes)}, ...), the first {len(axes)} not "
            f"empty; got shape {table.shape}. Make them with bootstrap_ratio and stack seeds on "
            "axis 0."
        )
    return table

"""Checks of scalar and array arguments, and the shape of what goes back (private)."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """Allowed values of an argument; an open end is excluded, an infinite one always."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    def holds(self, values: Floats) -> NDArray[np.bool_]:
        above = values > self.low if self.open_low else values >= self.low
        below = values < self.high if self.open_high else values <= self.high
        return above & below & np.isfinite(values)

    def __str__(self) -> str:
        left = "(" if self.open_low or np.isinf(self.low) else "["
        right = ")" if self.open_high or np.isinf(self.high) else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"


POSITIVE = Interval(0.0, np.inf, open_low=True)
NOT_NEGATIVE = Interval(0.0, np.inf)
PROBABILITY = Interval(0.0, 1.0)


def real_iv(name: str, value: ArrayLike, allowed: Interval, hint: str = "") -> Floats:
    """Check real numbers; returns a float64 array of the shape of `value`.

    `hint` is a sentence that tells what the argument is or what to do.
    """
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must hold real numbers; got {value!r}.") from error
    wrong = numbers[~allowed.holds(numbers)]
    if wrong.size:
        raise ValueError(
            f"`{name}` must lie in {allowed}; got {wrong.flat[0]:g}.{' ' if hint else ''}{hint}"
        )
    return numbers


def whole_iv(name: str, value: Any, at_least: int, hint: str = "") -> int:
    """Check one whole number."""
    try:
        number = at_least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = at_least - 1
    if number < at_least:
        raise ValueError(
            f"`{name}` must be a whole number of at least {at_least}; got {value!r}."
            f"{' ' if hint else ''}{hint}"
        )
    return number


def broadcast_iv(**arrays: Floats) -> list[Floats]:
    """Broadcast named arrays together, or say which shapes do not fit."""
    try:
        return [np.array(a) for a in np.broadcast_arrays(*arrays.values())]
    except ValueError as error:
        names = " and ".join(f"`{name}`" for name in arrays)
        shapes = " and ".join(str(a.shape) for a in arrays.values())
        raise ValueError(
            f"{names} must broadcast; got shapes {shapes}. "
            "For a grid give one of them a trailing axis of length 1."
        ) from error


def bare(value: Any) -> Any:
    """Python float (bool, int) for an array without axes, the array itself otherwise."""
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else array

"""A frozen record of settings that says in one sentence what it cannot be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any


class Settings:
    """Base of a frozen dataclass of settings; building one with a bad value raises ValueError."""

    def __post_init__(self) -> None:
        for problem in self.problems():
            raise ValueError(problem)

    def problems(self) -> Iterator[str]:
        """A sentence on each thing that is wrong; only the first is asked for."""
        yield from ()

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]


def at_least(settings: Any, **least: float) -> Iterator[str]:
    """The settings of these names that are below their smallest value."""
    for name, smallest in least.items():
        value = getattr(settings, name)
        if value < smallest:
            yield f"`{name}` must be at least {smallest}; got {value}."


def inside(settings: Any, *names: str) -> Iterator[str]:
    """The settings of these names, shares, that are not in (0, 1)."""
    for name in names:
        value = getattr(settings, name)
        if not 0 < value < 1:
            yield f"`{name}` must lie in (0, 1); got {value}."


def one_of(settings: Any, name: str, allowed: Collection[str]) -> Iterator[str]:
    """The setting, if it is not among `allowed`."""
    value = getattr(settings, name)
    if value not in allowed:
        yield f"`{name}` must be {either(allowed)}; got {value!r}."


def increasing_counts(settings: Any, name: str, least: int = 1) -> Iterator[str]:
    """The setting, if it is not one or more increasing counts from `least` up."""
    values = getattr(settings, name)
    if not values or min(values) < least or not rises(values):
        yield f"`{name}` must be increasing counts of at least {least}; got {list(values)}."


def increasing(settings: Any, *names: str) -> Iterator[str]:
    """The settings of these names that are not two or more positive, finite, increasing numbers."""
    for name in names:
        values = getattr(settings, name)
        if len(values) < 2 or not rises(values) or not 0 < values[0] <= values[-1] < math.inf:
            yield (
                f"`{name}` must hold two or more positive, increasing numbers; got {list(values)}."
            )


def different(settings: Any, *names: str, least: int = 1) -> Iterator[str]:
    """The settings of these names that hold fewer than `least` values, or one of them twice."""
    for name in names:
        values = getattr(settings, name)
        if len(values) < least or len(set(values)) < len(values):
            count = "one or more " if least else ""
            yield f"`{name}` must hold {count}different values; got {list(values)}."


def rises(values: Any) -> bool:
    """Whether every value is larger than the one before.

    >>> rises((1, 2, 4)), rises((1, 1))
    (True, False)
    """
    return all(b > a for a, b in pairwise(values))


def either(words: Collection[str]) -> str:
    """Words as a choice.

    >>> either(["smoke", "small", "paper"]), either(["small"])
    ('smoke, small or paper', 'small')
    """
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else str(last)

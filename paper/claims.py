"""What the text says in words, held against the numbers that it prints.

The sentences of the text were written for the results of one preset on one machine. Where the
numbers of a build do not bear a sentence out, the document says so on its first page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from paper.quantity import Number

NUMBER = re.compile(r"[<>]?-?\d[\d,]*(?:\.\d+)?(?: x 10)?(?:\^-?[\d.]+)?")


@dataclass(frozen=True)
class Printed:
    """A number as it is printed with the ends of its interval, which are itself without one.

    A bound beyond all levels is infinite.
    """

    value: float
    low: float
    high: float

    def holds(self, other: float) -> bool:
        return self.low <= other <= self.high


Numbers = Mapping[str, Printed]


@dataclass(frozen=True)
class Claim:
    """A sentence of a section in short, and whether printed numbers bear it out."""

    section: str
    says: str
    holds: Callable[[Numbers], bool]


def read_back(text: str) -> Printed:
    """A number from what `Number.text` shows. Raises ValueError for what is none.

    >>> read_back("0.02 [<0.02, 0.03]"), read_back("58 of 59 (0.98 [0.91, 1.00])").low
    (Printed(value=0.02, low=-inf, high=0.03), 0.91)
    """
    found = [_value(word) for word in NUMBER.findall(text.partition("(")[2] or text)]
    if len(found) not in (1, 3):
        raise ValueError(f"This is no number with or without an interval: {text!r}.")
    return Printed(found[0], found[-2] if len(found) == 3 else found[0], found[-1])


def _value(word: str) -> float:
    """
    >>> _value("<0.02"), _value("16,384"), _value("-2.0 x 10^-6"), round(_value("10^6.5"))
    (-inf, 16384.0, -2e-06, 3162278)
    """
    if word[0] in "<>":
        return math.inf if word[0] == ">" else -math.inf
    mantissa, _, power = word.replace(",", "").partition("^")
    if not power:
        return float(mantissa)
    factor = mantissa.partition(" x ")[0] if " x " in mantissa else "1"
    return float(10 ** float(power) * float(factor))


def failing(found: Sequence[Number], claims: Sequence[Claim]) -> Iterator[Claim]:
    """The claims that printed numbers do not bear out, or that need a number that is missing."""
    known = {}
    for number in found:
        try:
            known[number.key] = read_back(number.text)
        except ValueError:
            continue
    for claim in claims:
        try:
            kept = claim.holds(known)
        except KeyError:
            kept = False
        if not kept:
            yield claim

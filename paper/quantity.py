"""A number that the text prints: what it is, how it looks in TeX, and the command that gives it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paper import tex

MISSING = "n/a"


@dataclass(frozen=True)
class Number:
    r"""One entry of the text, printed by `\val{key}`.

    Attributes
    ----------
    key : its name in the text, words joined by dots.
    tex : what is printed; `MISSING` where the run does not measure it.
    what : one line that says what it is, for `numbers.md`.
    command : the command line that gives it.
    """

    key: str
    tex: str
    what: str
    command: str

    @property
    def missing(self) -> bool:
        return self.tex == MISSING

    @property
    def text(self) -> str:
        r"""`tex` without TeX.

        >>> Number("a", r"$-$0.5 [\ensuremath{<}0.02, $2\times10^{-6}$]", "", "").text
        '-0.5 [<0.02, 2 x 10^-6]'
        """
        found = re.sub(r"\\(ensuremath|texttt)\{((?:[^{}]|\{[^{}]*\})*)\}", r"\2", self.tex)
        for word, plainly in ((r"\times", " x "), (r"\;", " "), ("{", ""), ("}", "")):
            found = found.replace(word, plainly)
        return found.replace("$", "").replace("\\", "")


def adder(prefix: str, command: str) -> Callable[[str, str, str], Number]:
    """What makes the numbers of one run, given key, text and words.

    >>> adder("novelty", "a command")("seeds", "5", "seeds of it")
    Number(key='novelty.seeds', tex='5', what='novelty: seeds of it', command='a command')
    """

    def add(key: str, text: str, what: str) -> Number:
        return Number(f"{prefix}.{key}", text, f"{prefix}: {what}", command)

    return add


def own(key: str, text: str, what: str) -> Number:
    """A number that takes more than one call of the calculator; `paper.numbers` prints it."""
    return Number(key, text, what, f"python -m paper.numbers {key}")


def plain(value: Any, digits: int = 3) -> str:
    """A number with `digits` decimals; `MISSING` for what is absent or undefined.

    Summaries hold infinities and NaN as words.

    >>> plain(0.12345), plain(16384, 0), plain("nan"), plain(None)
    ('0.123', '16,384', 'n/a', 'n/a')
    """
    if value is None or math.isnan(float(value)):
        return MISSING
    return tex.number(float(value), digits)


def ranged(value: Any, low: Any, high: Any, digits: int = 3) -> str:
    """A number with its interval; `MISSING` where one of the three is absent or undefined.

    >>> ranged(0.5, 0.25, 0.75, 2), ranged("nan", 0, 1)
    ('0.50 [0.25, 0.75]', 'n/a')
    """
    found = [math.nan if v is None else float(v) for v in (value, low, high)]
    if any(math.isnan(v) for v in found):
        return MISSING
    return tex.interval(found[0], found[1], found[2], digits)


def estimate(found: Mapping[str, Any] | None, digits: int = 3) -> str:
    """`ranged` of a record with `value`, `low` and `high`, as summaries hold them."""
    if found is None:
        return MISSING
    return ranged(found["value"], found["low"], found["high"], digits)

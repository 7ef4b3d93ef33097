"""A report as plain shapes, which Markdown and HTML then write in their own way.

Strings here are plain text, partly a stranger's (file names, tokens): escaping is the writer's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NEAREST = "nearest training sequence:"
_JOINERS = "\u200c\u200d"  # needed to write Persian, or an emoji of several parts
_SHOWN = {"\n": "↵", "\r": "␍", "\t": "⇥"}


@dataclass(frozen=True)
class Table:
    """Cells as text, with what the table shows."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A figure's files, `stem`.png and .pdf, with a title and what it shows in words."""

    stem: Path
    title: str
    words: str

    @property
    def png(self) -> Path:
        return self.stem.with_suffix(".png")


@dataclass(frozen=True)
class Memorized:
    """A sequence that the model seems to hold; `facts` says by what numbers. `nearest` is the
    nearest training sequence, empty where its text is not in the data."""

    name: str
    facts: str
    text: str
    nearest: str = ""


@dataclass(frozen=True)
class Mark:
    """A run of tokens of one kind: kept, corrupted, recovered, missed or broken; `note`: what a
    token was or should be."""

    kind: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Restored:
    """A sequence with its noised and its restored tokens; `gap` stands between two tokens."""

    name: str
    noisy: tuple[Mark, ...]
    output: tuple[Mark, ...]
    gap: str


@dataclass(frozen=True)
class Section:
    """A heading, and below it whatever there is, in this order."""

    title: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    memorized: Sequence[Memorized] = ()
    restored: Sequence[Restored] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing below the heading."""
        _, *parts = vars(self).values()
        return not any(parts)


@dataclass(frozen=True)
class Page:
    """A whole report. headline : the label, and one sentence. read : which noise was given and
    which law was read. warnings : what to know first."""

    title: str
    headline: tuple[str, str]
    read: str
    warnings: Sequence[str]
    sections: Sequence[Section]


def visible(text: str, most: int | None = None) -> str:
    """Text on one line, cut after `most` characters, in which nothing is hidden.

    Written out is what would not be seen, or would change how the rest is read: control
    characters, marks of writing direction, lone surrogates.

    >>> visible("a\\n\\u202eb\\0")
    'a↵\\\\u202eb\\\\u0000'
    """
    cut = text if most is None or len(text) <= most else text[:most] + "…"
    return "".join(_visible(letter) for letter in cut)


def _visible(letter: str) -> str:
    if letter in _SHOWN:
        return _SHOWN[letter]
    hidden = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return f"\\u{ord(letter):04x}" if hidden and letter not in _JOINERS else letter

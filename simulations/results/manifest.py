"""The manifest of a results folder: which cells were asked for, and the hash of every finished one.

`manifest.jsonl` is text, one JSON object a line: first the sweep, then one line per finished cell,
added as it is written. Each line ends with a digest of itself. The cells' own files stay the truth:
what the manifest lacks or gets wrong (a line cut short or altered, a file that has changed) is read
and verified in full.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from simulations.results.files import DamagedFileError, explained, sha256_of, write_text
from simulations.results.provenance import code_version, digest

NAME = "manifest.jsonl"
FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """A finished cell: the SHA-256 that seals its file, bytes, seconds and the code's version."""

    cell: str
    coordinates: str
    config_hash: str
    sha256: str
    bytes: int
    seconds: float
    peak_rss_mb: float
    code: str
    commit: str


@dataclass(frozen=True)
class Manifest:
    """The names of the cells that the last sweep was asked for, its configuration, and the finished
    cells by name."""

    config_hash: str = ""
    wanted: tuple[str, ...] = ()
    entries: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, out: Path) -> Self:
        """The manifest of a folder, empty where there is none; lines of no sense are passed over.

        Raises ResultsError where it cannot be read.
        """
        with explained("read", out / NAME):
            try:
                lines = (out / NAME).read_bytes().splitlines()
            except FileNotFoundError:
                return cls()
        head: dict[str, Any] = {}
        entries = {}
        for line in lines:
            found = _parsed(line)
            if "wanted" in found:
                head = found
            elif "cell" in found:
                with suppress(TypeError):
                    entries[found["cell"]] = Entry(**found)
        wanted = tuple(str(name) for name in head.get("wanted", ()))
        return cls(str(head.get("config_hash", "")), wanted, entries)

    def write(self, out: Path) -> None:
        """Write it whole. Raises ResultsError."""
        head = {"format": FORMAT, "config_hash": self.config_hash, "wanted": list(self.wanted)}
        lines = [head, *(asdict(entry) for entry in self.entries.values())]
        write_text("".join(map(_line, lines)), out / NAME)


def of_other_code(out: Path) -> str | None:
    """A sentence on finished cells that another `code_version` computed, None if there are none.

    Raises ResultsError where the manifest cannot be read.
    """
    entries = Manifest.read(out).entries.values()
    others = [entry.code for entry in entries if entry.code != code_version()]
    if not others:
        return None
    versions = ", ".join(sorted(set(others)))
    return (
        f"{len(others)} of {len(entries)} cells were computed by other code (version {versions}; "
        f"now {code_version()}): their numbers are that code's. Another --out computes all anew."
    )


class Log:
    """Adds lines to the manifest of a folder while a sweep runs."""

    def __init__(self, out: Path) -> None:
        self._path = out / NAME
        with explained("write", self._path):
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def add(self, entry: Entry) -> None:
        """Add a finished cell. Raises ResultsError."""
        with explained("write", self._path):
            os.write(self._descriptor, _line(asdict(entry)).encode())

    def close(self) -> None:
        os.close(self._descriptor)


def entry_of(attrs: Mapping[str, Any], raw: bytes | memoryview) -> Entry:
    """The entry of a cell, from the attributes of its dataset and all bytes of its file."""
    return Entry(
        cell=str(attrs["cell"]),
        coordinates=str(attrs["cell_coordinates"]),
        config_hash=str(attrs["config_hash"]),
        sha256=sha256_of(raw),
        bytes=len(raw),
        seconds=round(float(attrs["wall_time_s"]), 3),
        peak_rss_mb=round(float(attrs["peak_rss_mb"]), 1),
        code=str(attrs.get("code_version", "unknown")),
        commit=str(attrs["commit"]),
    )


def read_entry(attrs: Mapping[str, Any], raw: memoryview, path: Path) -> Entry:
    """`entry_of` a file that was read. Raises DamagedFileError where it is no cell's."""
    try:
        return entry_of(attrs, raw)
    except KeyError as error:
        raise DamagedFileError(
            f"The results file {path} holds no cell of a sweep; remove it and run again."
        ) from error


def _line(fields: dict[str, Any]) -> str:
    return json.dumps(fields | {"digest": digest(fields)}) + "\n"


def _parsed(line: bytes) -> dict[str, Any]:
    """What a line says; nothing if it was altered."""
    try:
        found = json.loads(line)
        intact = isinstance(found, dict) and found.pop("digest", "") == digest(found)
    except ValueError:
        return {}
    return found if intact else {}

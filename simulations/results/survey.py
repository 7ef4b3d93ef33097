"""What a results folder holds of a sweep: finished cells, damaged ones, and those of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulations.results.cells import Cell, coordinates_text
from simulations.results.files import (
    DamagedFileError,
    ResultsError,
    parse_dataset,
    sealed_bytes,
    sha256_of,
)
from simulations.results.manifest import Entry, Manifest, read_entry


class ForeignResultsError(ResultsError):
    """The folder holds cells of another configuration, toolkit version or numerics number.

    Choose another folder with --out, or remove the old one if its results are not needed.
    """


def cell_path(folder: Path, name: str) -> Path:
    """The file of a cell."""
    return folder / "cells" / f"{name}.nc"


@dataclass(frozen=True)
class Survey:
    """What a folder holds of a sweep: its manifest as found, the names of finished cells, what to
    say of damaged ones, and the entries of all intact cells, by name."""

    manifest: Manifest
    finished: set[str]
    damaged: dict[str, str]
    entries: dict[str, Entry]


def survey(cells: Sequence[Cell], folder: Path, config_hash: str) -> Survey:
    """Read a folder: a file that its manifest vouches for by its hash, any other in full.

    Raises ForeignResultsError if any intact file in the folder has another configuration.
    """
    by_name = {cell.name: cell for cell in cells}
    found = Survey(Manifest.read(folder), set(), {}, {})
    for path in sorted((folder / "cells").glob("[!.]*.nc")):
        cell = by_name.get(path.stem)
        try:
            entry = verified(path, found.manifest.entries.get(path.stem))
            if entry.config_hash != config_hash:
                raise ForeignResultsError(
                    f"The folder {folder} holds results of another configuration "
                    f"({path.name} has hash {entry.config_hash}, this run {config_hash}); "
                    f"choose another --out or remove that folder."
                )
            if cell is not None:
                check_identity(entry.cell, entry.coordinates, cell, path)
                found.finished.add(cell.name)
            found.entries[path.stem] = entry
        except DamagedFileError:
            if cell is not None:
                found.damaged[cell.name] = (
                    f"{cell.name}: its file is damaged (cut short, altered, or of another cell); "
                    f"computing it again"
                )
    return found


def verified(path: Path, entry: Entry | None) -> Entry:
    """The entry of an intact cell's file: the one given, if it has this file's hash.

    Raises DamagedFileError, also for a file that is no cell, and ResultsError.
    """
    raw = sealed_bytes(path)
    if entry is not None and entry.sha256 == sha256_of(raw) and entry.cell == path.stem:
        return entry
    return read_entry(parse_dataset(raw, path).attrs, raw, path)


def check_identity(name: Any, coordinates: Any, cell: Cell, path: Path) -> None:
    """Raise DamagedFileError where a file holds another cell than its name says."""
    if (name, coordinates) != (cell.name, coordinates_text(cell.coordinates)):
        raise DamagedFileError(
            f"The results file {path} holds another cell ({name}, {coordinates}); "
            f"remove it and run again."
        )

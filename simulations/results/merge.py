"""One file of all cells, written by `python -m simulations.results merge`; merged.py reads it.

A netCDF-4 file with a group for the cells that have the same variables, attributes and shapes.
There every variable has one more leading dimension, `cell`, in the order of the cells' names; the
attributes in which cells differ are variables along it, the others attributes of the group. A
coordinate that is the same in all cells stays as it is. The top of the file has the names,
coordinates and digests of all cells. Cells are read one at a time and written in blocks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import xarray as xr

from simulations.results.content import content_digest
from simulations.results.contents import Contents, read_contents
from simulations.results.files import (
    DamagedFileError,
    ResultsError,
    explained,
    replacing,
    seal_file,
    sealed_bytes,
)
from simulations.results.manifest import Entry, read_entry
from simulations.results.merge_parts import Part, structure, write_variable
from simulations.results.provenance import provenance
from simulations.results.sink import Sink

NAME = "merged.nc"
FORMAT = 1
_BUFFER = 48 * 2**20  # bytes of all cells that wait to be written
_CACHE = 2**18  # bytes; blocks are written whole, so HDF5 has little to keep of them


@dataclass(frozen=True)
class Merged:
    """What a merge wrote: cells, groups, the digest over all cells, bytes, versions of the code."""

    cells: int
    parts: int
    cells_digest: str
    bytes: int
    codes: tuple[str, ...]


def digest_of_cells(digests: Mapping[str, str]) -> str:
    """The SHA-256 (hex) over the cells' names and content digests, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(digests):
        total.update(f"{name} {digests[name]}\n".encode())
    return total.hexdigest()


def cell_files(folder: Path) -> list[Path]:
    """The files of the cells in a results folder, by name; at least one. Raises ResultsError."""
    if not folder.is_dir():
        raise ResultsError(f"There is no folder {folder}; give the results folder of a sweep.")
    with explained("read", folder / "cells"):
        # listdir, since glob passes over a folder that it may not read
        names = os.listdir(folder / "cells") if (folder / "cells").exists() else []
    stems = sorted(n.removesuffix(".nc") for n in names if n.endswith(".nc") and n[0] != ".")
    if not stems:
        raise ResultsError(
            f"The folder {folder} holds no cells (cells/*.nc); give the results folder of a sweep."
        )
    return [folder / "cells" / f"{stem}.nc" for stem in stems]


def read_cell(path: Path) -> tuple[Entry, Contents]:
    """A cell's file, verified in full: what a manifest says of it, and its contents.

    Raises DamagedFileError, also for another cell than the file's name says, and ResultsError.
    """
    raw = sealed_bytes(path)
    contents = read_contents(raw, path)
    entry = read_entry(contents.attrs, raw, path)
    if entry.cell != path.stem:
        raise DamagedFileError(
            f"The results file {path} holds another cell ({entry.cell}); remove it and run again."
        )
    return entry, contents


def merge_cells(folder: Path, target: Path, tell: Callable[[], object] = lambda: None) -> Merged:
    """Write all cells of a results folder to one sealed file; `tell` is called after each cell.

    In memory are a few blocks of cells, and the name, coordinates and digest of each. Raises
    ResultsError: no cells, a damaged one, several configurations, a target that cannot be written.
    """
    files = cell_files(folder)
    if target.absolute().parent.resolve() == (folder / "cells").resolve():
        raise ResultsError(f"{target} would lie among the cells; choose another --out.")
    with replacing(target) as temporary:
        with Sink(temporary) as sink:

            def done() -> None:
                sink.check()
                tell()

            try:
                with h5netcdf.File(sink, "w", rdcc_nbytes=_CACHE) as file:
                    merged = _write(file, files, done)
            finally:
                sink.check()
        seal_file(temporary)
    return replace(merged, bytes=target.stat().st_size)


def _write(file: Any, files: list[Path], tell: Callable[[], object]) -> Merged:
    parts: dict[tuple[Any, ...], tuple[int, Part]] = {}
    top: list[tuple[str, str, str, int]] = []
    codes: dict[str, None] = {}
    first: Entry | None = None
    waiting = 0
    for path in files:
        entry, contents = read_cell(path)
        first = first or entry
        if entry.config_hash != first.config_hash:
            raise ResultsError(
                f"{first.cell} and {entry.cell} are of different configurations "
                f"({first.config_hash}, {entry.config_hash}); keep one of them in a folder."
            )
        key = structure(contents)
        if key not in parts:
            group = file.create_group(f"part{len(parts)}")
            parts[key] = len(parts), Part(group, contents, len(files))
        number, part = parts[key]
        waiting -= part.waiting
        part.add(contents)
        waiting += part.waiting
        if waiting > _BUFFER:
            largest = max((other for _, other in parts.values()), key=lambda other: other.waiting)
            waiting -= largest.waiting
            largest.flush()
        top.append((entry.cell, entry.coordinates, contents.attrs["content_digest"], number))
        codes[entry.code] = None
        tell()
    for _, part in parts.values():
        part.finish()
    assert first is not None
    axes = [part.axis for _, part in parts.values()]
    digest = _write_top(file, top, axes, first.config_hash)
    return Merged(len(top), len(parts), digest, 0, tuple(sorted(codes)))


def _write_top(
    file: Any, cells: list[tuple[str, str, str, int]], axes: list[str], config_hash: str
) -> str:
    """Write name, coordinates, digest and part of each cell; returns the digest over all."""
    names, coordinates, digests, numbers = zip(*cells, strict=True)
    digest = digest_of_cells(dict(zip(names, digests, strict=True)))
    top = xr.Dataset(
        {
            "cell_coordinates": ("cell", np.array(coordinates, object)),
            "cell_content_digest": ("cell", np.array(digests, object)),
            "cell_part": ("cell", np.array(numbers, "i4")),
            "part_axis": ("part", np.array(axes, object)),
        },
        {
            "cell": ("cell", np.array(names, object)),
            "part": ("part", np.array([f"part{k}" for k in range(len(axes))], object)),
        },
        {
            "title": "All cells of a sweep",
            "merged_format": FORMAT,
            "config_hash": config_hash,
            "cells_digest": digest,
        },
    )
    for dim, size in top.sizes.items():
        file.dimensions[dim] = size
    for name, variable in top.variables.items():
        made = write_variable(file, str(name), tuple(map(str, variable.dims)), variable.dtype)
        made[...] = variable.values
    signed = top.assign_attrs(provenance(), content_digest=content_digest(top))
    file.attrs.update(signed.attrs)
    return digest

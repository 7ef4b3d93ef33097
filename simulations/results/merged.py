"""The cells of a file that `merge` wrote, one by one, number for number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr

from simulations.results.content import content_digest
from simulations.results.contents import Contents, Stored
from simulations.results.files import ResultsError, check_seal, damaged
from simulations.results.merge import FORMAT, digest_of_cells

_CACHE = 2**18  # bytes; blocks are read whole
_BLOCK = 4 * 2**20  # bytes of cells read at once, about
_CELLS = 512


def is_merged(path: Path) -> bool:
    """Whether an intact results file is a merge of cells."""
    with h5py.File(path, "r") as file:
        return "merged_format" in file.attrs


def read_merged(path: Path) -> Iterator[tuple[str, xr.Dataset]]:
    """The name and dataset of each cell, by name within each group, as its own file gives it.

    Raises DamagedFileError (the seal is checked first, in one pass over the file) and ResultsError.
    """
    check_seal(path)
    for name, contents in _merged_contents(path):
        yield name, contents.dataset()


def check_merged(path: Path) -> dict[str, str]:
    """Verify a merged file in full: seal, top, the digest of each cell's contents; these by name.

    Raises DamagedFileError and ResultsError.
    """
    check_seal(path)
    digests, of_all = _read_top(path)
    waiting = dict(digests)
    for name, contents in _merged_contents(path):
        if contents.digest() != waiting.pop(name, None):
            raise damaged(path, f"the contents of {name} do not match their digest", "merge")
    if waiting or digest_of_cells(digests) != of_all:
        raise damaged(path, "its cells do not match its digest over all of them", "merge")
    return digests


def _read_top(path: Path) -> tuple[dict[str, str], str]:
    """What the top of a merged file says: the digests of the cells' contents by name, and the
    digest over all."""
    with xr.open_dataset(path, engine="h5netcdf") as opened:
        top = opened.load().drop_encoding()
    attrs = top.attrs
    if attrs.get("content_digest") != content_digest(top):
        raise damaged(path, "its top does not match its digest", "merge")
    if attrs["merged_format"] != FORMAT:
        raise ResultsError(
            f"The file {path} has format {attrs['merged_format']}, this toolkit reads {FORMAT}; "
            f"merge again."
        )
    names = top["cell"].values.tolist()
    digests = top["cell_content_digest"].values.tolist()
    return dict(zip(names, digests, strict=True)), attrs["cells_digest"]


def _merged_contents(path: Path) -> Iterator[tuple[str, Contents]]:
    """As `read_merged`, unverified, with the contents as stored."""
    with h5netcdf.File(path, "r", decode_vlen_strings=True, rdcc_nbytes=_CACHE) as file:
        parts = file.variables["part"][...].tolist()
        axes = file.variables["part_axis"][...].tolist()
        for part, axis in zip(parts, axes, strict=True):
            yield from _cells(file[part], axis)


def _cells(group: Any, axis: str) -> Iterator[tuple[str, Contents]]:
    keys = json.loads(group.variables[axis].attrs["attributes"])
    shared = {key: value for key, value in group.attrs.items()}
    along: dict[str, Any] = {}
    fixed: dict[str, Stored] = {}
    attrs: dict[str, dict[str, Any]] = {}
    for name, variable in group.variables.items():
        attrs[name] = dict(variable.attrs)
        if variable.dimensions[:1] == (axis,):
            along[name] = variable
        else:
            fixed[name] = Stored(variable.dimensions, variable[...], attrs[name])
    count = len(group.dimensions[axis])
    size = sum(
        v.dtype.itemsize * int(np.prod(v.shape[1:])) for v in along.values() if v.dtype != str
    )
    rows = max(1, min(_CELLS, _BLOCK // max(1, size)))
    dims = {name: variable.dimensions[1:] for name, variable in along.items()}
    for start in range(0, count, rows):
        blocks = {name: variable[start : start + rows] for name, variable in along.items()}
        for k in range(min(rows, count - start)):
            variables = dict(fixed)
            found = dict(shared)
            for name, block in blocks.items():
                if name in keys:
                    value = block[k]
                    found[keys[name]] = (
                        value.tolist() if block.dtype == object and block.ndim > 1 else value
                    )
                else:
                    variables[name] = Stored(dims[name], np.asarray(block[k]), attrs[name])
            yield found["cell"], Contents(variables, found)

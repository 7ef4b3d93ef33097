"""What a cell's file holds, as it lies in the file: read in a hundredth of the time xarray takes.

xarray opens a file of a few variables in tens of milliseconds; a folder of 1e5 cells wants 2. So
the arrays are read by HDF5's own calls, and what comes out is taken only where its digest is the
one that the file states; any other file is left to `parse_dataset`. Booleans are stored as bytes
with an attribute `dtype`, names of coordinates in an attribute `coordinates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr
from h5py import h5a, h5d, h5f, h5g, h5p, h5s
from xarray.conventions import encode_cf_variable, encode_dataset_coordinates

from simulations.results.content import content_digest
from simulations.results.files import parse_dataset

_DIMENSION_ONLY = b"This is a netCDF dimension but not a netCDF variable."
_NOT_COORDINATE = "_nc4_non_coord_"  # before the name of a variable that a dimension has too
_UNREAD = frozenset({b"DIMENSION_LIST", b"REFERENCE_LIST", b"_NCProperties"})
_STRUCTURE = frozenset({"CLASS", "NAME", "_Netcdf4Dimid", "_Netcdf4Coordinates"})


@dataclass(frozen=True)
class Stored:
    """A variable as a file stores it: numbers, or an object array of texts."""

    dims: tuple[str, ...]
    values: np.ndarray
    attrs: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


@dataclass(frozen=True)
class Contents:
    """All variables of a dataset as stored, by name, and its attributes: texts, numbers, lists."""

    variables: dict[str, Stored]
    attrs: dict[str, Any]

    def digest(self) -> str:
        """The `content_digest` of the dataset."""
        plain = {name: _decoded(variable) for name, variable in self.variables.items()}
        attrs = {key: value for key, value in self.attrs.items() if key != "coordinates"}
        return content_digest(cast(xr.Dataset, Contents(plain, attrs)))  # reads these two alone

    def dataset(self) -> xr.Dataset:
        """The dataset, as `read_dataset` gives it."""
        stored = {n: xr.Variable(v.dims, v.values, v.attrs) for n, v in self.variables.items()}
        ds = xr.Dataset(stored, attrs=self.attrs)
        decoded: xr.Dataset = xr.decode_cf(ds, decode_times=False, decode_timedelta=False)
        return decoded.drop_encoding()


def read_contents(raw: memoryview, path: Path) -> Contents:
    """The contents of a results file, from all its bytes (`sealed_bytes`), held to their digest.

    Raises DamagedFileError.
    """
    try:
        contents = _read(raw)
        if contents.digest() == contents.attrs.get("content_digest"):
            return contents
    except Exception:  # a file of another make; the reader of all such files judges it
        pass
    return contents_of(parse_dataset(raw, path))


def contents_of(ds: xr.Dataset) -> Contents:
    """A dataset as a file would store it."""
    variables, attrs = encode_dataset_coordinates(ds)
    stored = {}
    for name, variable in variables.items():
        encoded = encode_cf_variable(variable.copy(deep=False), name=name)
        values = np.asarray(encoded.values)
        if values.dtype.kind in "UT":
            values = values.astype(object)
        plain = {key: value for key, value in encoded.attrs.items() if key != "_FillValue"}
        stored[str(name)] = Stored(tuple(map(str, encoded.dims)), values, plain)
    return Contents(stored, {str(key): value for key, value in attrs.items()})


def _decoded(variable: Stored) -> Stored:
    """The variable as xarray shows it."""
    hidden = {"coordinates"}
    values = variable.values
    if variable.attrs.get("dtype") == "bool":
        hidden.add("dtype")
        values = values.astype(bool)
    attrs = {key: value for key, value in variable.attrs.items() if key not in hidden}
    return Stored(variable.dims, values, attrs)


def _read(raw: memoryview) -> Contents:
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(block_size=2**16, backing_store=False)
    access.set_file_image(raw)
    root = h5g.open(h5f.open(b"contents", flags=h5f.ACC_RDONLY, fapl=access), b"/")
    names: list[bytes] = []
    root.links.iterate(names.append)
    dims: dict[int, str] = {}
    found: dict[str, tuple[np.ndarray, dict[str, Any]]] = {}
    for name in names:
        dataset = h5d.open(root, name)
        attrs = _attributes(dataset)
        text = name.decode()
        label = attrs.get("NAME")
        if "CLASS" in attrs:
            dims[int(attrs["_Netcdf4Dimid"])] = text
            if isinstance(label, bytes) and label.startswith(_DIMENSION_ONLY):
                continue
        values = np.empty(dataset.shape, dataset.dtype)
        if values.size:
            dataset.read(h5s.ALL, h5s.ALL, values)
        found[text.removeprefix(_NOT_COORDINATE)] = _text(values), attrs
    return Contents(
        {name: _stored(values, attrs, dims) for name, (values, attrs) in found.items()},
        _attributes(root),
    )


def _stored(values: np.ndarray, attrs: Mapping[str, Any], dims: Mapping[int, str]) -> Stored:
    along = np.atleast_1d(attrs["_Netcdf4Coordinates"]).tolist() if values.ndim else []
    plain = {key: value for key, value in attrs.items() if key not in _STRUCTURE}
    return Stored(tuple(dims[i] for i in along), values, plain)


def _attributes(owner: Any) -> dict[str, Any]:
    """The attributes of a group or dataset: texts, scalars, arrays, lists of texts."""
    names: list[bytes] = []
    h5a.iterate(owner, names.append)
    found = {}
    for name in names:
        if name not in _UNREAD:
            attribute = h5a.open(owner, name)
            values = np.empty(attribute.shape, attribute.dtype)
            attribute.read(values)
            found[name.decode()] = _attribute(_text(values))
    return found


def _attribute(values: np.ndarray) -> Any:
    if values.size == 1:
        return values.reshape(-1)[0]
    return values.tolist() if values.dtype == object else values


def _text(values: np.ndarray) -> np.ndarray:
    """The same with bytes as text; numbers pass through."""
    if values.dtype != object:
        return values
    words = np.empty(values.shape, object)
    words.reshape(-1)[:] = [word.decode() for word in values.reshape(-1)]
    return words

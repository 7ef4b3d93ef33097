"""Cells of one structure, gathered into arrays along `cell` and written in blocks.

A coordinate or an attribute is kept as one value until a cell has another one; only then does it
get an array along `cell`, filled with the one value up to there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from simulations.results.contents import Contents

_SINGLE = frozenset({"cell", "cell_coordinates", "content_digest"})  # an array in any case
_CELLS = 512  # of a block at most
_BLOCK = 2**20  # bytes of a block of cells, about
_CHUNK = 8 * 2**20  # bytes of a chunk of one cell at most
_BESIDE = 6000  # bytes that a waiting cell takes beside its arrays, about
_TEXT = h5py.string_dtype()


def structure(contents: Contents) -> tuple[Any, ...]:
    """What the cells of one part share: variables with dims, shape, dtype and attributes, and the
    names and kinds of the attributes."""
    variables = [
        (name, v.dims, v.shape, v.values.dtype.str, repr(sorted(v.attrs.items())))
        for name, v in sorted(contents.variables.items())
    ]
    arrays = [(key, _array(value)) for key, value in sorted(contents.attrs.items())]
    kinds = [(key, array.dtype.str, array.shape) for key, array in arrays]
    return (*variables, *kinds, contents.attrs.get("coordinates"))


def write_variable(
    group: Any, name: str, dims: tuple[str, ...], dtype: np.dtype, chunks: Any = None
) -> Any:
    """Make a variable along dimensions that are there; numbers in chunks are compressed."""
    text = dtype.kind == "O"
    packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    options = {} if text or chunks is None else packed
    return group.create_variable(name, dims, _TEXT if text else dtype, chunks=chunks, **options)


@dataclass
class _Column:
    """One array of each cell: a variable, or the attribute named `attribute`. One that is not
    `single` gets its array along the cells at once."""

    name: str
    dims: tuple[str, ...]
    first: np.ndarray
    attrs: dict[str, Any]
    attribute: str | None
    single: bool
    waiting: list[np.ndarray] = field(default_factory=list)

    def differs(self) -> bool:
        if not self.single:
            return True
        one = _bits(self.first)
        return any(_bits(values) != one for values in self.waiting)


class Part:
    """The cells of one structure as a group of a netCDF file.

    `axis` is the dimension of the cells; the variable of this name holds their names, and its
    attribute `attributes` says which variables are attributes of the cells. `waiting` is about the
    bytes of the cells that are not yet written.
    """

    def __init__(self, group: Any, first: Contents, cells: int) -> None:
        """`cells` is how many there are at most."""
        self._group = group
        self._done = self._count = self.waiting = 0
        sizes: dict[str, int] = {}
        for v in first.variables.values():
            sizes |= dict(zip(v.dims, v.shape, strict=True))
        taken = {*sizes, *first.variables}
        self.axis = _free("cell", taken)
        columns = [_Column(self.axis, (), _array(first.attrs["cell"]), {}, "cell", False)]
        for name, v in first.variables.items():
            single = v.dims == (name,) or not v.values.size
            columns.append(_Column(name, v.dims, v.values, v.attrs, None, single))
        for key, value in first.attrs.items():
            if key == "cell":
                continue
            array, name = _array(value), _free(key, taken)
            dims = tuple(_free(f"{name}_item", taken) for _ in array.shape)
            sizes |= dict(zip(dims, array.shape, strict=True))
            columns.append(_Column(name, dims, array, {}, key, key not in _SINGLE))
        self._columns = columns
        self._bytes = sum(_size(column.first) for column in columns)
        self._rows = max(1, min(cells, _CELLS, _BLOCK // self._bytes))
        self._written: set[str] = set()
        self._group.dimensions[self.axis] = None
        for dim, size in sizes.items():
            self._group.dimensions[dim] = size

    def add(self, contents: Contents) -> None:
        """Take one more cell; full blocks are written."""
        for column in self._columns:
            if column.attribute is None:
                column.waiting.append(contents.variables[column.name].values)
            else:
                column.waiting.append(_array(contents.attrs[column.attribute]))
        self._count += 1
        self.waiting += self._bytes + _BESIDE
        if self._count == self._rows:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._count:
            return
        self._group.resize_dimension(self.axis, self._done + self._count)
        for column in self._columns:
            if column.name in self._written or column.differs():
                if column.name not in self._written:
                    self._begin(column)
                block = slice(self._done, self._done + self._count)
                self._group.variables[column.name][block] = np.stack(column.waiting)
            column.waiting.clear()
        self._done += self._count
        self._count = self.waiting = 0

    def finish(self) -> None:
        """Write what waits, and what was the same in all cells."""
        self.flush()
        along = {
            column.name: column.attribute
            for column in self._columns
            if column.attribute is not None and column.name in self._written
        }
        self._group.variables[self.axis].attrs["attributes"] = json.dumps(along)
        for column in self._columns:
            if column.name in self._written:
                continue
            if column.attribute is not None:
                self._group.attrs[column.attribute] = _plain(column.first)
                continue
            variable = write_variable(self._group, column.name, column.dims, column.first.dtype)
            variable.attrs.update(column.attrs)
            if column.first.size:
                variable[...] = column.first

    def _begin(self, column: _Column) -> None:
        shape, dtype = column.first.shape, column.first.dtype
        chunks = (self._rows, *_chunk(shape, dtype.itemsize))
        variable = write_variable(
            self._group, column.name, (self.axis, *column.dims), dtype, chunks
        )
        variable.attrs.update(column.attrs)
        self._written.add(column.name)
        for start in range(0, self._done, self._rows):
            stop = min(self._done, start + self._rows)
            variable[start:stop] = np.broadcast_to(column.first, (stop - start, *shape))
        column.first = np.empty(0, dtype)  # of many parts, the first cells would fill the memory


def _array(value: Any) -> np.ndarray:
    """An attribute as an array, texts as objects."""
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind == "U" else array


def _plain(array: np.ndarray) -> Any:
    """An attribute again."""
    if array.ndim == 0:
        return array[()]
    return array.tolist() if array.dtype.kind == "O" else array


def _bits(array: np.ndarray) -> Any:
    return array.tolist() if array.dtype.kind == "O" else array.tobytes()


def _size(array: np.ndarray) -> int:
    return array.nbytes if array.dtype.kind != "O" else sum(map(len, array.reshape(-1)))


def _free(name: str, taken: set[str]) -> str:
    """The name, with underscores until nobody has it; it is taken then."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _chunk(shape: Iterable[int], itemsize: int) -> tuple[int, ...]:
    """The shape of one cell's array, its first dimensions cut until it is small enough."""
    sizes = list(shape)
    for i in range(len(sizes)):
        while sizes[i] > 1 and math.prod(sizes) * itemsize > _CHUNK:
            sizes[i] = (sizes[i] + 1) // 2
    return tuple(sizes)

"""Tensors of a torch checkpoint as places in a file: bytes are read when an array is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from models.memory_size import physical_memory
from models.released.files.torch_archive import Archive, damaged

# torch's names of number types, and those of its typed storages
DTYPES: dict[str, np.dtype[Any]] = {
    **{name: np.dtype(name) for name in ("float16", "float32", "float64", "bool")},
    **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}")
       for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{"complex64": np.dtype(np.complex64), "complex128": np.dtype(np.complex128)},
    **{name: jnp.dtype(getattr(jnp, name))
       for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2")},
}  # fmt: skip
STORAGES = {
    **{"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16"},
    **{"BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32"},
    **{"ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8"},
    **{"BoolStorage": "bool", "ComplexFloatStorage": "complex64"},
    **{"ComplexDoubleStorage": "complex128"},
}
UNTYPED = "UntypedStorage"
AXES = 32


class Storage(NamedTuple):
    """A run of numbers in the archive, as the pickle describes it; `dtype` None for bare bytes."""

    key: str
    dtype: np.dtype[Any] | None
    length: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """An array that is not read yet: element (i, j, ...) is number
    offset + i stride[0] + j stride[1] + ... of a storage.

    Shape, dtype and size are known without reading; `read()`, or `np.asarray`, reads the bytes.
    """

    archive: Archive
    key: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    count: int  # numbers that the storage is said to have

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @cached_property
    def size(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def span(self) -> int:
        """Numbers from the first to the last element."""
        if self.size == 0:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))

    def read(self) -> NDArray[Any]:
        """The array, with memory of its own: `span` numbers.

        Raises CheckpointError where the storage is absent, shorter than it is said to be, or,
        where the array is all of it, does not have its checksum; and for an array with more
        elements than numbers in the file, such as an expanded one.
        """
        if self.size > self.span:
            what = "a tensor has elements that share their place in the file"
            raise damaged(self.archive.path, what)
        name, width = f"data/{self.key}", self.dtype.itemsize
        entry = self.archive.entries.get(name)
        if entry is not None and entry.size < self.count * width:
            raise damaged(self.archive.path, f"its entry `{name}` has only {entry.size} bytes")
        raw = self.archive.read(name, self.offset * width, self.span * width)
        if self.size == 0:
            return np.empty(self.shape, self.dtype)
        memory = raw != 0 if self.dtype == np.bool_ else raw  # other bytes are no truth values
        strides = [s * width for s in self.stride]
        return np.ndarray(self.shape, self.dtype, memory, 0, strides)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array = self.read()
        return array if dtype is None else array.astype(dtype, copy=False)


def storage_of(archive: Archive, pid: Any, module: str, name: str) -> Storage:
    """The storage that a persistent id `("storage", type, key, location, count)` names."""
    *_, key, location, count = pid
    if type(key) is not str or type(location) is not str or type(count) is not int or count < 0:
        raise damaged(archive.path, "a storage is not described as torch does")
    if module == "torch" and name in STORAGES:
        return Storage(key, DTYPES[STORAGES[name]], count)
    if module in ("torch", "torch.storage") and name == UNTYPED:
        return Storage(key, None, count)
    raise damaged(archive.path, f"its numbers of type {module}.{name} are not known here"[:200])


def tensor_of(archive: Archive, args: tuple[Any, ...], dtype: np.dtype[Any] | None) -> Tensor:
    """The tensor that torch would rebuild from (storage, offset, shape, stride, ...).

    `dtype` of a storage of bare bytes. Raises CheckpointError where sizes are not whole numbers
    from 0, or an element lies beyond the storage.
    """
    problem = damaged(archive.path, "a tensor is not described as torch does")
    if len(args) < 4 or not isinstance(args[0], Storage):
        raise problem
    storage, offset, shape, stride = args[:4]
    if type(shape) is not tuple or type(stride) is not tuple or len(shape) != len(stride):
        raise problem
    numbers = (offset, *shape, *stride)
    if len(shape) > AXES or any(type(n) is not int or n < 0 for n in numbers):
        raise problem
    count, kind = storage.length, storage.dtype
    if kind is None:
        if dtype is None:
            raise problem
        kind, count = dtype, count // dtype.itemsize
    tensor = Tensor(archive, storage.key, kind, offset, shape, stride, count)
    if tensor.size and offset + tensor.span > count:
        raise damaged(archive.path, "a tensor reaches beyond its storage")
    if kind.itemsize * math.prod(max(n, 1) for n in shape) >= 2**63:
        raise problem  # no array can have such a shape, even an empty one
    return tensor


def check_reading(tensors: dict[str, Any]) -> None:
    """Refuse tensors whose bytes, all together, are far more than the file has, since a small file
    may name one storage many times, or than this machine's memory. Raises CheckpointError."""
    lazy = [t for t in tensors.values() if isinstance(t, Tensor)]
    total = sum(t.span * t.dtype.itemsize for t in lazy)
    if lazy and total > 2 * (size := lazy[0].archive.size):
        what = f"its tensors would take {total} bytes, and the file has {size}"
        raise damaged(lazy[0].archive.path, what)
    if total > physical_memory():
        raise damaged(lazy[0].archive.path, f"its tensors take {total} bytes, more than the memory")

"""Tensors of a safetensors file as places in it: bytes are read when an array is asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from models.errors import CheckpointError
from models.released.files.held import aligned, as_weights, fill
from models.released.files.torch_archive import PIECE, open_file

# Names of number types in the format.
DTYPES: dict[str, np.dtype[Any]] = {
    **{f"F{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    **{f"I{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"U{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{"BOOL": np.dtype(np.bool_), "BF16": jnp.dtype(jnp.bfloat16)},
}


@dataclass(frozen=True, eq=False)
class SafeTensor:
    """An array that is not read yet; `np.asarray` reads it, into memory of its own."""

    path: Path
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        # Opened each time: pages of a file that stays mapped would count as memory.
        with _reading(self.path), safe_open(self.path, framework="numpy") as file:
            array = file.get_tensor(self.name)
        return array if dtype is None else array.astype(dtype, copy=False)

    def part(self, first: int, end: int) -> NDArray[Any]:
        """Rows [first, end) of the first axis."""
        with _reading(self.path), safe_open(self.path, framework="numpy") as file:
            found: NDArray[Any] = file.get_slice(self.name)[first:end]
        return found


def open_tensors(path: str | Path) -> dict[str, SafeTensor]:
    """The tensors of a file by name, unread.

    Raises CheckpointError where the file cannot be read, is cut short or of another kind, or has
    numbers of a type that NumPy lacks, such as float8. Cost: its header.
    """
    file, found = Path(path), {}
    open_file(file).close()
    with _reading(file), safe_open(file, framework="numpy") as tensors:
        for name in tensors.keys():
            place = tensors.get_slice(name)
            kind = str(place.get_dtype())
            if kind not in DTYPES:
                raise TypeError(f"`{name[:80]}` has numbers of type {kind}")
            found[name] = SafeTensor(file, name, DTYPES[kind], tuple(place.get_shape()))
        # `safetensors.torch.save_model` leaves shared tensors out and notes which they equal
        for name, kept in (tensors.metadata() or {}).items():
            if kept in found and name not in found:
                found[name] = found[kept]
    return found


def read_all(tensors: Mapping[str, SafeTensor], dtype: Any = None) -> dict[str, jax.Array]:
    """Every tensor as a JAX array, in `dtype` where it is given, in little more memory than these.

    ValueError for a type that JAX is not set to.
    """
    # the largest first, so that what is held beside it while it is read is little
    weights = {}
    for name in sorted(tensors, key=lambda name: -math.prod(tensors[name].shape)):
        tensor = tensors[name]
        filled = aligned(tensor.shape, np.dtype(dtype or tensor.dtype))
        fill(filled, tensor)
        weights[name] = as_weights(filled)
    return weights


def sha256_of(path: str | Path) -> str:
    """Checksum of a file, read in pieces; CheckpointError where it cannot be read."""
    digest, piece = hashlib.sha256(), bytearray(PIECE)
    with open_file(Path(path)) as file:
        while count := file.readinto(piece):
            digest.update(memoryview(piece)[:count])
    return digest.hexdigest()


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror or error}.") from error
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} holds no tensors that can be read: {error}.") from error

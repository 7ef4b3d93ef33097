"""Token ids of array files, .npy, .npz and .safetensors: nothing is unpickled, big .npy mapped."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.released.files.safe_tensors import open_tensors
from models.tokens import token_dtype
from simulations.data.corpora import CorpusError, file_refusals, in_short
from simulations.data.packing import Items
from simulations.data.unpacked import refuse_unpacked

BLOCK = 1 << 24  # numbers checked at a time
REMEDY = (
    "Map the text to the network's vocabulary first; ids of padding or masks have no place here"
)


def array_items(path: Path, kind: str, key: str | None, vocab_size: int) -> Items:
    """Rows of an array (n, L), or an array (N,) as one item, as tokens that were checked.

    Raises CorpusError, one sentence, for a file that is damaged or holds something else.
    """
    readers = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}
    array = readers[kind](path, key)
    if array.ndim not in (1, 2):
        raise CorpusError(
            f"{path} holds an array of shape {array.shape}; save sequences as (n, L), or a stream "
            "of tokens as (N,)."
        )
    if array.size == 0:
        raise CorpusError(f"{path} holds an empty array, of shape {array.shape}.")
    rows = array.reshape(1, -1) if array.ndim == 1 else array
    lengths = np.broadcast_to(np.int64(rows.shape[1]), (len(rows),))
    return Items(checked_tokens(rows, vocab_size, f"{path}"), lengths)


def checked_tokens(
    rows: NDArray[Any], vocab_size: int, what: str, where: str = "row {row}, column {column}"
) -> NDArray[np.integer]:
    """Rows, one after the other, as integers in [0, V): of a mapped file as they are, else in the
    smallest type.

    Floats that are whole numbers are taken for what they are. Raises CorpusError that names the
    first bad entry, in the words of `where`, counted from 0.
    """
    if rows.dtype.names:
        raise CorpusError(
            f"{what} holds records of {', '.join(rows.dtype.names)[:200]}; save one field by "
            f'`np.save("ids.npy", array[{rows.dtype.names[0][:40]!r}])`.'
        )
    if rows.dtype.kind not in "uif":
        raise CorpusError(f"{what} holds values of type {rows.dtype}; save token ids, as integers.")
    flat = rows.reshape(-1)  # a view, but of an array in Fortran's order
    whole = rows.dtype.kind in "ui"
    mapped = isinstance(flat, np.memmap) and np.may_share_memory(flat, rows) and whole
    mapped = mapped and rows.dtype.isnative
    dtype = token_dtype(vocab_size)
    tokens = flat if mapped else np.empty(flat.shape, dtype)
    for first in range(0, flat.size, BLOCK):
        block = flat[first : first + BLOCK]
        if not whole:
            block = block.astype(np.float64)
        good = (block >= 0) & (block < vocab_size)  # NaN is neither
        if not whole:
            good &= block == np.floor(block)
        if not good.all():
            bad = int(np.argmin(good))
            row, column = divmod(first + bad, rows.shape[1])
            raise CorpusError(
                f"{what} holds {block[bad].item()} at {where.format(row=row, column=column)}; "
                f"allowed are the integers 0 to {vocab_size - 1} (vocab_size={vocab_size}). "
                f"{REMEDY}."
            )
        if not mapped:
            tokens[first : first + BLOCK] = block.astype(dtype)
    return tokens


def _npy(path: Path, key: str | None) -> NDArray[Any]:
    if key is not None:
        raise CorpusError(f"{path} holds one array without a name; leave `key` out ({key!r}).")
    try:
        return np.asanyarray(np.lib.format.open_memmap(path, mode="r"))
    except Exception as error:  # a damaged header can fail anywhere in NumPy
        if "Python objects" in str(error):
            raise _pickled(path, "") from error
        raise _damaged(path, error) from error


def _npz(path: Path, key: str | None) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
            info = names[_chosen(path, list(names), key)]
            with archive.open(info) as member:
                _check_header(path, member, info.file_size)
            with archive.open(info) as member:
                return np.asarray(np.lib.format.read_array(member, allow_pickle=False))
    except CorpusError:
        raise
    except Exception as error:  # zip, its compression or the header: each has its own errors
        if "Object arrays" in str(error):
            raise _pickled(path, f"[{info.filename.removesuffix('.npy')!r}]") from error
        raise _damaged(path, error) from error


def _check_header(path: Path, member: Any, size: int) -> None:
    """Refuse an array whose header asks for more memory than it has bytes, or than there is."""
    version = np.lib.format.read_magic(member)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise CorpusError(f"{path} holds no plain array of numbers.")
    shape, _, dtype = readers[version](member)
    n_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if n_bytes > size or min(shape, default=0) < 0:
        raise CorpusError(f"{path} is damaged: its array has fewer bytes than its header says.")
    refuse_unpacked(path, n_bytes, "save it as .npy, which is mapped")


def _safetensors(path: Path, key: str | None) -> NDArray[Any]:
    with file_refusals():
        tensors = open_tensors(path)
        return np.asarray(tensors[_chosen(path, list(tensors), key)])


def _chosen(path: Path, names: list[str], key: str | None) -> str:
    shown = ", ".join(name[:40] for name in names[:8]) + (", ..." if len(names) > 8 else "")
    if not names:
        raise CorpusError(f"{path} holds no array.")
    if key is None and len(names) > 1:
        raise CorpusError(f"{path} holds several arrays; name one of {shown} as `key`.")
    if key is not None and key not in names:
        raise CorpusError(f"{path} holds no array `{key}`; it has {shown}.")
    return names[0] if key is None else key


def _pickled(path: Path, part: str) -> CorpusError:
    rows = f"np.load({path.name!r}, allow_pickle=True){part}"
    line = f'open("ids.jsonl", "w").writelines(f"{{list(map(int, r))}}\\n" for r in {rows})'
    return CorpusError(
        f"{path} holds Python objects, such as rows of different lengths; these are pickled and "
        f"never read. Save a list a line by `{line}`."
    )


def _damaged(path: Path, error: Exception) -> CorpusError:
    words = in_short(error).rstrip(".") or type(error).__name__
    return CorpusError(f"{path} is damaged or of another kind than its name says: {words}.")

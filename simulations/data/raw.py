"""Token ids of .bin files: numbers one after the other, as training programs of GPT write them.

A header of 256 int32 (llm.c, modded-nanogpt) says how many numbers follow and of which type.
Without one (nanoGPT) nothing in the file does, so the type has to be said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from models.released.files.torch_archive import open_file
from simulations.data.arrays import checked_tokens
from simulations.data.corpora import CorpusError, file_refusals
from simulations.data.packing import Items

RawType = Literal["uint8", "uint16", "uint32", "int32", "int64"]
HEADER = 1024  # bytes
CHANCE = 64  # numbers of which every second one is not 0 by chance
HEADERS = {20240520: (1, "uint16"), 20240801: (7, "uint32")}  # magic: version, type


class _Layout(NamedTuple):
    start: int
    dtype: np.dtype[np.integer]
    n: int


def raw_items(path: Path, dtype: str | None, vocab_size: int) -> Items:
    """The numbers of a .bin, mapped, as one item.

    Raises CorpusError where their type is not known, contradicts the header or does not fit, and
    for a number that is no token.
    """
    start, kind, count = _layout(path, dtype)
    numbers = np.memmap(path, kind, "r", start, (1, count))
    tokens = checked_tokens(numbers, vocab_size, f"{path}", "place {column}")
    upper = (vocab_size - 1) >> 8 * kind.itemsize  # what the other half of a longer token can be
    if count >= CHANCE and tokens[1::2].max() <= upper < tokens[0::2].max():
        raise CorpusError(
            f"every second number of {path}, read as {kind.name}, is at most {upper}, as where "
            "tokens have twice as many bytes; say such a type by `dtype`."
        )
    return Items(tokens, np.array([count]))


def _layout(path: Path, dtype: str | None) -> _Layout:
    with file_refusals(), open_file(path) as file:
        head = file.read(HEADER)
    size = path.stat().st_size
    if size == 0:
        raise CorpusError(f"{path} is empty.")
    if head[:4] == b"PK\x03\x04":
        raise CorpusError(f"{path} is an archive, as of torch.save, and no stream of tokens.")
    fields = np.frombuffer(head[: len(head) // 4 * 4], "<i4")
    if len(fields) * 4 == HEADER and int(fields[0]) in HEADERS:
        version, name = HEADERS[int(fields[0])]
        count, kind = int(fields[2]), np.dtype(name)
        if int(fields[1]) != version or size != HEADER + count * kind.itemsize or count < 1:
            raise CorpusError(
                f"{path} is damaged or of another version: its header says version {fields[1]} "
                f"and {count} tokens, and {size - HEADER} bytes follow; version {version} has "
                f"{kind.itemsize} bytes a token."
            )
        if dtype not in (None, name):
            raise CorpusError(f"{path} has a header that says {name}; leave `dtype` {dtype} out.")
        return _Layout(HEADER, kind, count)
    if dtype is None:
        raise CorpusError(
            f"{path} is a stream of numbers without a header that says their type; say it by "
            "`dtype`, such as uint16 for files of nanoGPT."
        )
    kind = np.dtype(dtype).newbyteorder("<")
    if size % kind.itemsize:
        raise CorpusError(f"{path} has {size} bytes, which are no whole number of {dtype}.")
    return _Layout(0, kind, size // kind.itemsize)

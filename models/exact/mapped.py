"""Sequences memory-mapped from a file, which somebody may cut short while they are used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class StoreFileError(ValueError):
    """A file of sequences that cannot be mapped, or that shrank after it was.

    The file is one array (K, L) of integers as ``numpy.save`` writes it. Reading a mapped page
    that is no longer in the file would end the program, so the size is looked at before use.
    """


@dataclass(frozen=True)
class MappedFile:
    """A mapped file and the bytes it had when it was checked."""

    path: str
    size: int


def open_patterns(path: str | os.PathLike[str]) -> np.ndarray:
    """Sequences (K, L) of a .npy file, memory-mapped read-only; nothing is unpickled.

    Raises StoreFileError for a file that is missing, cut short, or no plain array.
    """
    name = Path(path)
    try:
        found = np.load(name, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise StoreFileError(f"cannot read {name}: {error.strerror or error}.") from error
    except ValueError as error:
        raise StoreFileError(
            f"{name} is cut short or holds no plain array of integers ({error}); write it again "
            "with numpy.save."
        ) from error
    if not isinstance(found, np.ndarray):
        raise StoreFileError(f"{name} holds several arrays; save the sequences alone, as .npy.")
    return found


def check_file(patterns: object) -> MappedFile | None:
    """The file behind memory-mapped patterns, checked to be whole; None for others."""
    if not isinstance(patterns, np.memmap) or patterns.filename is None:
        return None
    found = MappedFile(str(patterns.filename), patterns.offset + patterns.nbytes)
    check_unchanged(found)
    return found


def check_unchanged(file: MappedFile | None) -> None:
    """Raise StoreFileError if a mapped file is gone or smaller than it was."""
    if file is None:
        return
    try:
        size = os.stat(file.path).st_size
    except OSError as error:
        raise StoreFileError(
            f"the mapped store {file.path} is gone ({error.strerror}); put it back, or load it "
            "into memory with numpy.load before making the denoiser."
        ) from error
    if size < file.size:
        raise StoreFileError(
            f"the mapped store {file.path} has {size} bytes and needs {file.size}: it was cut "
            "short. Write it again, or load it into memory with numpy.load."
        )

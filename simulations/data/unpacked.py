"""Refusal of compressed files that unpack to far more than they are, before it is held."""

from __future__ import annotations

from pathlib import Path

from models.memory_size import physical_memory
from simulations.data.corpora import CorpusError

SMALL = 1 << 28  # bytes that any file may unpack to
RATIO = 64  # and times its own size; token ids of eight bytes seldom shrink to a 40th


def refuse_unpacked(path: Path, n_bytes: int, remedy: str) -> None:
    """Raise CorpusError where `n_bytes`, what a compressed file says or turns out to hold, is over
    256 MiB and 64 times the file, or over the memory."""
    size = path.stat().st_size
    if n_bytes > max(SMALL, RATIO * size):
        raise CorpusError(
            f"{path} has {size} bytes and unpacks to {n_bytes >> 20} MiB or more, over "
            f"{RATIO} times as many; {remedy}."
        )
    if n_bytes > physical_memory():
        raise CorpusError(
            f"{path} unpacks to {n_bytes / 2**30:.1f} GiB, more than the memory; {remedy}."
        )

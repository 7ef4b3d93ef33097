"""Refusal of arrays that this machine's memory cannot hold, before they are made."""

from __future__ import annotations

import os


def physical_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def refuse_beyond_memory(n_bytes: float, what: str, remedy: str) -> None:
    """Raise ValueError, with the size, where `what` needs more than the machine has."""
    have = physical_memory()
    if n_bytes > have:
        raise ValueError(
            f"{what} would take {n_bytes / 2**30:.1f} GiB and this machine has "
            f"{have / 2**30:.1f}; {remedy}."
        )

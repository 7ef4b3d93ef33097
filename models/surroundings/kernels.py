"""numba kernels, whose machine code is kept under a name that holds all that it depends on.

numba keeps the code of a kernel by the state of its own file. Kernels call kernels of other files,
so ours lie in a folder named after the contents of all of them: where NUMBA_CACHE_DIR says, beside
this module, or in the user's cache. Where none can be written to they are compiled anew. A file
that was cut short is removed. NUMBA_DISABLE_JIT is not taken over: kernels use what plain
Python has not.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import njit

SOURCES = "*kernels.py"  # of all modules with kernels
PREFIX = "kernels-"

config: Any = numba.config  # whose names are made when numba is loaded


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with these options, its machine code kept."""

    def decorate(function: Callable[..., Any]) -> Any:
        before = config.CACHE_DIR, config.DISABLE_JIT
        folder = place()
        config.CACHE_DIR, config.DISABLE_JIT = folder or "", 0
        try:
            return njit(cache=folder is not None, **options)(function)
        finally:
            config.CACHE_DIR, config.DISABLE_JIT = before

    return decorate


def most_threads() -> int:
    """Threads that numba may use; asking starts none."""
    return int(config.NUMBA_NUM_THREADS)


@cache
def place() -> str | None:
    """The folder of the machine code of all kernels as they are now, made if missing."""
    tree, name = Path(__file__).parent / "__pycache__", f"{PREFIX}{state()}"
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "am-theory"
    for base in filter(None, (config.CACHE_DIR, tree, home)):
        folder = Path(base) / name
        with suppress(OSError, RuntimeError):  # of a user who has no home
            folder = folder.expanduser()
            if base == tree and not folder.is_dir():
                _clear(tree)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.access(folder, os.W_OK):
                remove_damaged(folder)
                return str(folder)
    return None


def _clear(tree: Path) -> None:
    """Remove the code of sources that are no more."""
    for old in tree.glob(f"{PREFIX}*"):
        shutil.rmtree(old, ignore_errors=True)


def state() -> str:
    """A hash of numba's version and of every file with kernels."""
    files = sorted(Path(__file__).parents[1].rglob(SOURCES))
    told = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)
    return hashlib.sha256(numba.__version__.encode() + told).hexdigest()[:16]


def remove_damaged(folder: Path) -> None:
    """Remove files that do not end as a pickle does."""
    for path in folder.rglob("*.nb[ic]"):
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            whole = file.read() == b"."
        if not whole:
            path.unlink(missing_ok=True)

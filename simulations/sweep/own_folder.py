"""Where machine code may lie: a folder of the user's own, apart for all that it depends on."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ENVIRONMENT = ("XLA_FLAGS", "NPROC", "OMP_NUM_THREADS", "JAX_ENABLE_X64")
_CPU = ("model name", "flags", "Features", "CPU part", "stepping", "cpu family", "model")


class UnsafeFolder(OSError):
    """The folder of compiled programs may be written to by others, or is theirs."""


def folder() -> Path:
    """Where programs are kept, whether it is there or not."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    base = chosen if os.path.isabs(chosen) else os.path.expanduser("~/.cache")
    return Path(base) / "am-theory" / "compiled"


def own_folder() -> Path:
    """`folder()`, made if missing.

    Raises UnsafeFolder unless it is the user's alone, OSError where it cannot be made.
    """
    path = folder()
    if not path.is_absolute():
        raise FileNotFoundError("this user has no home")
    ours, base = path.parent, path.parent.parent
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    for place in (ours, path):
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
    for place, closed in ((base.resolve(), 0o022), (ours, 0o022), (path, 0o077)):
        found = place.lstat()
        sticky = place not in (ours, path) and found.st_mode & stat.S_ISVTX
        if not stat.S_ISDIR(found.st_mode):
            raise UnsafeFolder(f"{place} is no folder")
        if found.st_uid != os.getuid() and (place in (ours, path) or found.st_uid != 0):
            raise UnsafeFolder(f"{place} belongs to another user")
        if found.st_mode & closed and not sticky:
            raise UnsafeFolder(f"others may write to {place} or read it")
    return path


def surroundings() -> str | None:
    """A name for all that a compiled program depends on besides itself; None: not known here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cores = len(os.sched_getaffinity(0))
        packages = [f"{name} {version(name)}" for name in ("jax", "jaxlib")]
    except (OSError, AttributeError, PackageNotFoundError):
        return None
    cpu = sorted({line for line in lines if line.split(":")[0].strip() in _CPU})
    chosen = [f"{name}={os.environ.get(name)}" for name in _ENVIRONMENT]
    whole = "\n".join([*cpu, *chosen, *packages, f"{cores} cores", sys.version])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]

"""Programs that XLA compiled are kept for the next worker, which gets the same numbers sooner.

They are machine code, so they lie in a folder of the user's own (mode 0700), never with results:
`am-theory/compiled` in `XDG_CACHE_HOME` or `~/.cache`, apart for every processor, version of JAX
and setting of threads. The name of a file ends in the SHA-256 of its name and contents; what does
not agree is removed and compiled again. JAX by itself neither writes a program whole nor sees
whether it is the one asked for. So it is given a folder for this process alone, with links to the
programs found good; what it compiles is sealed when the cell has ended. `AM_COMPILED=off` switches
all this off.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from simulations.sweep.own_folder import UnsafeFolder, own_folder, surroundings

SWITCH = "AM_COMPILED"
BOUND = 128 * 2**20  # bytes of all programs kept; the oldest go first
SHORTEST = 0.1  # seconds of compilation that are worth a file

_HOUR = 3600.0  # after which a file half written, or a folder without a lock, is nobody's


def seal(name: str, content: bytes) -> str:
    """The SHA-256 of a program and the name that JAX asks for it by."""
    return hashlib.sha256(name.encode() + b"\0" + content).hexdigest()


class Programs:
    """The programs in `store`, as this process sees and adds to them in `private`."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._open = store / "open"
        self._open.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.private, self._lock = _held_folder(self._open)
        self._seen: set[str] = {"lock"}
        self._remove_left()
        self.take()

    def take(self) -> None:
        """Link what is sealed and new; remove what is not what was sealed."""
        for path in self.store.iterdir():
            name, _, digest = path.name.rpartition(".")
            if not name or name in self._seen or path.name.startswith(".tmp-"):
                continue
            with suppress(OSError):
                if seal(name, path.read_bytes()) != digest:
                    path.unlink()
                    continue
                os.link(path, self.private / name)
                self._seen.add(name)

    def keep(self) -> None:
        """Seal what was compiled since; nothing may be compiling meanwhile."""
        new = [path for path in self.private.iterdir() if path.name not in self._seen]
        there = {path.name.rpartition(".")[0] for path in self.store.iterdir()}
        for path in new:
            self._seen.add(path.name)
            if path.name in there:
                continue  # another worker was sooner
            with suppress(OSError):
                content = path.read_bytes()
                if _whole(content):
                    self._write(f"{path.name}.{seal(path.name, content)}", content)
        if new:
            _remove_oldest(self.store.parent)

    def close(self) -> None:
        """Remove the folder of this process."""
        shutil.rmtree(self.private, ignore_errors=True)
        self._lock.close()

    def _write(self, name: str, content: bytes) -> None:
        """Write under a temporary name and rename: no reader meets half of a file."""
        descriptor, temporary = tempfile.mkstemp(prefix=".tmp-", dir=self.store)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o400)
            os.replace(temporary, self.store / name)
        except BaseException:
            os.unlink(temporary)
            raise

    def _remove_left(self) -> None:
        """Remove folders of processes that were killed, and what they had half written."""
        import fcntl

        for place in self._open.iterdir():
            with suppress(OSError):
                if not (place / "lock").exists() and not _old(place):
                    continue  # is being made
                with open(place / "lock", "r+") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(place, ignore_errors=True)
        for path in self.store.glob(".tmp-*"):
            with suppress(OSError):
                if _old(path):
                    path.unlink()


def _held_folder(place: Path) -> tuple[Path, IO[str]]:
    """A new folder and its lock, held as long as this process lives."""
    import fcntl

    while True:
        made = Path(tempfile.mkdtemp(dir=place))
        lock = open(made / "lock", "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (made / "lock").exists():
            return made, lock
        lock.close()  # another process took it for left over, just before the lock was held


def _old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > _HOUR


def _whole(content: bytes) -> bool:
    """Whether JAX wrote all of it, which it does not on a full disk."""
    if content[:1] != b"\x78":  # not zlib's, but Zstandard's, which refuses to read half of it
        return bool(content)
    try:
        zlib.decompress(content)
    except zlib.error:
        return False
    return True


def _remove_oldest(place: Path) -> None:
    """Remove the oldest programs of all stores until they are no more than BOUND bytes."""
    found = []
    for path in place.glob("*/*.*"):
        with suppress(OSError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    size = sum(size for _, size, _ in found)
    for _, bytes_, path in sorted(found):
        if size <= BOUND:
            break
        with suppress(OSError):
            path.unlink()
            size -= bytes_


_mutex = threading.Lock()
_asked = False  # whether this process has tried to open
_programs: Programs | None = None
_running = 0  # cells of this process, more than one only in threads


@contextmanager
def programs_kept() -> Iterator[None]:
    """Let JAX use and add to the kept programs inside the block, which computes one cell.

    Nothing is done where `AM_COMPILED` is off, the folder is not safe, JAX has a cache of its own
    or computes on GPUs, or the system does not say what its processor is.
    """
    global _running
    with _mutex:
        programs = _opened()
        _running += 1
    if programs is None:
        yield
        return
    before = _tell_jax(programs)
    try:
        yield
    finally:
        with _mutex:
            _running -= 1
            for name in before:
                os.environ.pop(name, None)
            if _running == 0:
                with suppress(OSError):
                    programs.keep()


def refusal() -> str | None:
    """The sentence that says that the folder is not safe to keep programs in, or None."""
    if not _wanted() or surroundings() is None:
        return None
    with suppress(OSError):  # a folder that cannot be made is no danger
        try:
            own_folder()
        except UnsafeFolder as error:
            return (
                f"compiled programs are not kept: {error}; give the folder to its user alone "
                f"(chmod 700), or set {SWITCH}=off"
            )
    return None


def _wanted() -> bool:
    off = os.environ.get(SWITCH, "").lower() in ("off", "0", "no", "false")
    return not off and "JAX_COMPILATION_CACHE_DIR" not in os.environ


def _opened() -> Programs | None:
    """The programs of this process, opened by its first cell; new ones of others by every cell."""
    global _asked, _programs
    if not _asked:
        _asked = True
        _programs = _open()
    elif _programs is not None and _running == 0:
        with suppress(OSError):
            _programs.take()
    return _programs


def _open() -> Programs | None:
    if not _wanted() or os.environ.get("JAX_PLATFORMS") != "cpu":
        return None
    name = surroundings()
    if name is None:
        return None
    try:
        programs = Programs(own_folder() / name)
    except OSError:
        return None
    atexit.register(programs.close)
    return programs


def _tell_jax(programs: Programs) -> list[str]:
    """Set JAX's options; return the variables that a JAX still to be loaded finds them in.

    They do not outlast the cell, as processes started later must not take them over.
    """
    settings = {
        "jax_compilation_cache_dir": str(programs.private),
        "jax_persistent_cache_min_compile_time_secs": SHORTEST,
        "jax_persistent_cache_enable_xla_caches": "none",  # their path would be part of every key
    }
    if "jax" in sys.modules:
        import jax

        for name, value in settings.items():
            jax.config.update(name, value)
        return []
    variables = {name.upper(): str(value) for name, value in settings.items()}
    os.environ.update(variables)
    return list(variables)

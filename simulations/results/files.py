"""Result files: written whole or not at all, and read back only if nothing in them has changed.

A file is written under a temporary name in its own folder, flushed to disk and renamed into place,
so that neither a crash nor a full disk leaves half of one. A netCDF file ends in one line with the
SHA-256 of all bytes before it (readers of HDF5 pass over it), and holds the digest of its contents
as the attribute `content_digest`, which does not depend on time, host, versions or compression:
two runs gave the same numbers if and only if these digests agree.
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import xarray as xr

from simulations.console.errors import UserError
from simulations.results.content import content_digest

_TEMPORARY = ".tmp-"
_counter = itertools.count()
_SEAL = b"\nsha256 "
_SEAL_SIZE = len(_SEAL) + 64 + 1
_READ = 2**20  # bytes of a file that is too large for memory, read at a time

_FULL = "free some space or choose another output folder (--out), and run again"
_ELSEWHERE = "choose another output folder (--out)"
_REASONS = {
    errno.ENOSPC: ("the disk is full", _FULL),
    errno.EDQUOT: ("the disk quota is used up", _FULL),
    errno.EFBIG: ("the file would be larger than the system allows", _FULL),
    errno.EACCES: ("permission is denied", _ELSEWHERE),
    errno.EPERM: ("permission is denied", _ELSEWHERE),
    errno.EROFS: ("the file system is read-only", _ELSEWHERE),
    errno.ENOTDIR: ("a part of this path is a regular file, not a folder", _ELSEWHERE),
    errno.EEXIST: ("a part of this path is a regular file, not a folder", _ELSEWHERE),
    errno.EISDIR: ("a folder has this name", "move it away or " + _ELSEWHERE),
    errno.ENOENT: ("its folder does not exist", "create it or " + _ELSEWHERE),
}


class ResultsError(UserError, RuntimeError):
    """A results file or folder cannot be used; the message is one sentence that says what to do."""


class DamagedFileError(ResultsError):
    """A results file was cut short or altered, or was not written by this toolkit.

    Remove the file and run again; a sweep does so by itself for its cells.
    """


def explain(error: OSError, verb: str, path: Path) -> str:
    """Return the sentence for an operating-system error met while doing `verb` to `path`."""
    reason, remedy = _REASONS.get(
        error.errno or 0, (error.strerror or str(error) or type(error).__name__, _ELSEWHERE)
    )
    return f"Cannot {verb} {path}: {reason}; {remedy}."


@contextmanager
def explained(verb: str, path: Path) -> Iterator[None]:
    """Turn an operating-system error met while doing `verb` to `path` into a ResultsError."""
    try:
        yield
    except OSError as error:
        raise ResultsError(explain(error, verb, path)) from error


def damaged(path: Path, why: str, remedy: str = "run") -> DamagedFileError:
    """The error for a results file that is not what was written; `remedy` is what to do again."""
    return DamagedFileError(
        f"The results file {path} is damaged ({why}); remove it and {remedy} again."
    )


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside `path` (same suffix); on leaving, put that file in its place.

    The body creates the file. If the body or the system fails, the temporary file is removed and
    what was at `path` before stays. Raises ResultsError for any OSError.
    """
    target = Path(path)
    temporary = target.with_name(f"{_TEMPORARY}{os.getpid()}-{next(_counter)}-{target.name}")
    try:
        with explained("write", target):
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    with suppress(OSError):  # the rename is durable where the file system allows it
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write a text file (UTF-8) whole. Raises ResultsError."""
    write_bytes(text.encode(), path)


def write_dataset(ds: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a dataset as compressed netCDF, whole, with the digest of its contents.

    Variables hold integers, floats, booleans or strings; attributes hold strings, numbers or
    non-empty lists of these. Raises TypeError for others, ResultsError if it cannot be written.
    """
    write_bytes(dataset_bytes(ds), path)


def dataset_bytes(ds: xr.Dataset) -> bytes:
    """The file that `write_dataset` writes, seal included. Raises TypeError."""
    plain = ds.drop_encoding().assign_attrs(content_digest=content_digest(ds))
    encoding = {name: _encoding(variable) for name, variable in plain.variables.items()}
    data = plain.to_netcdf(engine="h5netcdf", encoding=encoding)
    return b"".join((data, _seal(data)))


def write_bytes(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write a file whole. Raises ResultsError."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    """Compress what can be; no fill value, since NaN stands for itself."""
    encoding: dict[str, Any] = {}
    if variable.dtype.kind == "f":
        encoding["_FillValue"] = None
    if variable.dtype.kind in "iufb" and variable.ndim and variable.size:
        encoding |= {"zlib": True, "complevel": 1}
    return encoding


def _seal(data: bytes | memoryview) -> bytes:
    return _SEAL + hashlib.sha256(data).hexdigest().encode() + b"\n"


def read_dataset(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a dataset fully into memory, verified, and close the file.

    Raises DamagedFileError for a file that is cut short, altered in any bit or not written by
    `write_dataset`, ResultsError for one that is missing or cannot be read.
    """
    source = Path(path)
    return parse_dataset(sealed_bytes(source), source)


def parse_dataset(raw: memoryview, path: Path) -> xr.Dataset:
    """The dataset in the bytes of a file (`sealed_bytes`). Raises DamagedFileError."""
    times: dict[str, Any] = {"decode_times": False, "decode_timedelta": False}
    try:
        with xr.open_dataset(io.BytesIO(raw[:-_SEAL_SIZE]), engine="h5netcdf", **times) as file:
            ds: xr.Dataset = file.load().drop_encoding()
        intact = ds.attrs.get("content_digest") == content_digest(ds)
    except Exception as error:  # whatever the HDF5 stack makes of bytes it cannot read
        raise damaged(path, "not netCDF") from error
    if not intact:
        raise damaged(path, "its contents do not match their digest")
    return ds


def sealed_bytes(path: Path) -> memoryview:
    """All bytes of a results file, whose seal holds; `sha256_of` tells the hash that it states.

    Raises DamagedFileError and ResultsError.
    """
    with explained("read", path):
        try:
            raw = memoryview(path.read_bytes())
        except FileNotFoundError as error:
            words = f"There is no results file {path}; run the simulation first."
            raise ResultsError(words) from error
    if raw[-_SEAL_SIZE:] != _seal(raw[:-_SEAL_SIZE]):
        raise damaged(path, "cut short, altered, or not of this toolkit")
    return raw


def sha256_of(raw: bytes | memoryview) -> str:
    """The SHA-256 (hex) that the seal of a results file states."""
    return bytes(raw[-65:-1]).decode("ascii", errors="replace")


def seal_file(path: Path) -> None:
    """Add to a file the line with the SHA-256 of what it holds. Raises OSError."""
    line = _seal_of_file(path, path.stat().st_size)
    with open(path, "ab") as file:
        file.write(line)


def check_seal(path: Path) -> None:
    """Raise DamagedFileError unless the file ends in the seal of what is before, ResultsError if it
    cannot be read."""
    with explained("read", path), open(path, "rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - _SEAL_SIZE))
        intact = file.read() == _seal_of_file(path, size - _SEAL_SIZE)
    if not intact:
        raise damaged(path, "cut short, altered, or not of this toolkit", "make it")


def _seal_of_file(path: Path, size: int) -> bytes:
    """The seal of the first `size` bytes."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while size > 0 and (block := file.read(min(_READ, size))):
            total.update(block)
            size -= len(block)
    return _SEAL + total.hexdigest().encode() + b"\n"


def prepare_folder(out: str | os.PathLike[str]) -> None:
    """Create `out` and `out/cells`, and prove by a probe file in each that they can be written.

    Raises ResultsError: no permission, disk full, read-only, or a part of the path is a file.
    """
    for folder in (Path(out), Path(out) / "cells"):
        probe = folder / f"{_TEMPORARY}{os.getpid()}-{next(_counter)}-probe"
        try:
            with explained("write to the folder", folder):
                folder.mkdir(parents=True, exist_ok=True)
                with open(probe, "wb") as file:
                    file.write(b"probe")
                    file.flush()
                    os.fsync(file.fileno())
                probe.unlink()
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)


def remove_temporaries(folder: str | os.PathLike[str], *, of_living: bool = False) -> None:
    """Remove what killed writers left in a folder; with `of_living` also what living ones hold."""
    for leftover in Path(folder).glob(f"{_TEMPORARY}*"):
        writer = leftover.name.removeprefix(_TEMPORARY).partition("-")[0]
        if of_living or not (writer.isdigit() and _alive(int(writer))):
            with suppress(OSError):
                leftover.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True

"""The seal of a results file that is too large for memory: made and checked block by block."""

from __future__ import annotations

import hashlib
from pathlib import Path

from simulations.results.files import _SEAL, _SEAL_SIZE, DamagedFileError, ResultsError, explain

_BLOCK = 2**20


def seal_file(path: Path) -> None:
    """Add to a file the line with the SHA-256 of what it holds. Raises OSError."""
    line = _line(path, path.stat().st_size)
    with open(path, "ab") as file:
        file.write(line)


def check_seal(path: Path) -> None:
    """Raise DamagedFileError unless the file ends in the seal of what is before, ResultsError if it
    cannot be read."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            file.seek(max(0, size - _SEAL_SIZE))
            intact = file.read() == _line(path, size - _SEAL_SIZE)
    except OSError as error:
        raise ResultsError(explain(error, "read", path)) from error
    if not intact:
        raise DamagedFileError(
            f"The results file {path} is damaged (cut short, altered, or not of this toolkit); "
            f"remove it and make it again."
        )


def _line(path: Path, size: int) -> bytes:
    """The seal of the first `size` bytes."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while size > 0 and (block := file.read(min(_BLOCK, size))):
            total.update(block)
            size -= len(block)
    return _SEAL + total.hexdigest().encode() + b"\n"

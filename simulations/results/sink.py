"""A file for HDF5 to write to, which keeps the system's refusals to itself.

HDF5 does not outlive a write that fails: closing its file fails too and can end the process. So
every write succeeds for it, and the error is there to be raised afterwards.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any


class Sink(io.FileIO):
    """A new file, to be given to h5py instead of its path; `error` is the first one met.

    Raises OSError if it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._end = 0  # of what was to be written
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise the error that was met, if any."""
        if self.error is not None:
            raise self.error

    def write(self, data: Any) -> int:
        rest, at = memoryview(data).cast("B"), self.tell()
        size = len(rest)
        self._end = max(self._end, at + size)
        self.seek(at + size)
        try:
            while rest and self.error is None:
                done = os.pwrite(self.fileno(), rest, at)
                rest, at = rest[done:], at + done
        except OSError as error:
            self.error = error
        return size

    def readinto(self, buffer: Any) -> int:
        view, at = memoryview(buffer).cast("B"), self.tell()
        found = os.pread(self.fileno(), len(view), at)
        view[:] = found.ljust(len(view), b"\0")
        self.seek(at + len(view))
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self._end = self.tell() if size is None else size
        try:
            if self.error is None:
                super().truncate(self._end)
        except OSError as error:
            self.error = error
        return self._end

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset, whence = self._end + offset, os.SEEK_SET
        return super().seek(offset, whence)

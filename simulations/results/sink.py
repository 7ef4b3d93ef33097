"""A file for HDF5 to write to, which keeps the system's refusals to itself.

HDF5 does not outlive a write that fails: closing its file fails too and can end the process. So
every write succeeds for it, and the error is there to be raised afterwards.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any


class Sink(io.RawIOBase):
    """A new file, to be given to h5py instead of its path; `error` is the first one met.

    Raises OSError if it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._at = self._end = 0
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise the error that was met, if any."""
        if self.error is not None:
            raise self.error

    def write(self, data: Any) -> int:
        rest, at = memoryview(data).cast("B"), self._at
        self._at += len(rest)
        self._end = max(self._end, self._at)
        size = len(rest)
        try:
            while rest and self.error is None:
                done = os.pwrite(self._descriptor, rest, at)
                rest, at = rest[done:], at + done
        except OSError as error:
            self.error = error
        return size

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        found = os.pread(self._descriptor, len(view), self._at)
        view[:] = found.ljust(len(view), b"\0")
        self._at += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self._end = self._at if size is None else size
        try:
            if self.error is None:
                os.ftruncate(self._descriptor, self._end)
        except OSError as error:
            self.error = error
        return self._end

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()

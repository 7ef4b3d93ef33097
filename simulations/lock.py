"""One writer at a time in a results folder."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulations.results import ResultsError, explain

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


class FolderBusyError(ResultsError):
    """Another run is writing to the same folder. Wait for it to end or choose another --out."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. The system lets go of it when the process ends.

    Where the file system knows no locks, go on without. Raises FolderBusyError.
    """
    path = folder / ".lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ResultsError(explain(error, "write", path)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise FolderBusyError(
                f"Another run (process {holder}) is writing to {folder}; "
                f"wait for it to end or choose another --out."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise ResultsError(explain(error, "write", path)) from error
        yield
    finally:
        os.close(descriptor)

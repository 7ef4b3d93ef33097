"""One writer at a time in a results folder, also where the file system's locks reach one host only.

Two things guard a folder. The system's lock on `.lock` settles it among processes of one host and
ends with its process. `.lease` holds the writer's host, process and token with a count that grows
while it lives; a writer on another host, or on a file system without locks, sees the count grow.
Nothing depends on clocks: a watcher counts its own seconds, never compares times of two hosts.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from simulations.results.files import ResultsError, explained

BEAT = 5.0  # seconds between two counts of a living writer
MISSED = 3  # beats without a count after which a writer on another host is taken for dead

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


class FolderBusyError(ResultsError):
    """Another run is writing to the same folder. Wait for it to end or choose another --out."""


@dataclass
class Hold:
    """A folder that this process holds; `token` tells this hold from any other."""

    folder: Path
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def check(self) -> None:
        """Raise FolderBusyError if another run has taken the folder, as after a long sleep."""
        found = _read(self.folder)
        if found.get("token", self.token) != self.token:
            raise FolderBusyError(
                f"Another run ({_holder(found)}) has taken over {self.folder}, as this one gave no "
                f"sign of life; finished cells are kept, run again when that one has ended."
            )


def is_held_by(folder: Path, token: str) -> bool:
    """Whether this process sees the folder, and the hold named `token` on it."""
    if not folder.is_dir():
        return False
    for _ in range(3):
        found = _read(folder)
        if "token" in found:
            return found["token"] == token
        time.sleep(0.02)  # it may be being replaced, where that is not done at one stroke
    return False


@contextmanager
def locked(folder: Path, beat: float = BEAT) -> Iterator[Hold]:
    """Hold the folder for this process until the block ends or the process does.

    A hold that another host's process left behind is waited out (`MISSED` beats of `beat` seconds).
    Raises FolderBusyError.
    """
    path = folder / ".lock"
    hold = Hold(folder)
    with explained("write", path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    ended = threading.Event()
    try:
        _wait_out(folder, _system_lock(descriptor, folder), beat)
        _write(hold, 0)
        beating = threading.Thread(target=_beat, args=(hold, beat, ended), daemon=True)
        beating.start()
        try:
            yield hold
        finally:
            ended.set()
            beating.join()
            if is_held_by(folder, hold.token):
                with suppress(OSError):
                    (folder / ".lease").unlink()
    finally:
        os.close(descriptor)


def _system_lock(descriptor: int, folder: Path) -> bool:
    """Take the system's lock; False where the file system has none. Raises FolderBusyError."""
    with explained("write", folder / ".lock"):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(folder, _read(folder)) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return False
    return True


def _wait_out(folder: Path, has_lock: bool, beat: float) -> None:
    """Return when no other writer lives. Raises FolderBusyError as soon as one is seen to."""
    first = _read(folder)
    if not first or (has_lock and first.get("host") == platform.node()):
        return  # the system's lock has settled it
    absent = 0
    for _ in range(MISSED * 4):
        time.sleep(beat / 4)
        found = _read(folder)
        absent = 0 if found else absent + 1
        if absent == 2:
            return
        if found not in (first, {}):
            raise _busy(folder, found)


def _beat(hold: Hold, beat: float, ended: threading.Event) -> None:
    """Count on, as long as the folder is ours; a count that cannot be written is tried again."""
    count = 0
    while not ended.wait(beat):
        count += 1
        if not is_held_by(hold.folder, hold.token):
            return
        with suppress(ResultsError):
            _write(hold, count)


def _write(hold: Hold, count: int) -> None:
    content = {"host": platform.node(), "pid": os.getpid(), "token": hold.token, "count": count}
    path = hold.folder / ".lease"
    temporary = path.with_name(f".lease-{hold.token}")
    try:
        with explained("write", path):
            temporary.write_text(json.dumps(content))
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _read(folder: Path) -> dict[str, str | int]:
    """What the lease says; empty where there is none, odd where it is being written."""
    text = ""
    try:
        text = (folder / ".lease").read_text()
        found = json.loads(text)
        return found if isinstance(found, dict) else {"torn": text}
    except (OSError, UnicodeDecodeError):
        return {}
    except ValueError:
        return {"torn": text}


def _holder(found: dict[str, str | int]) -> str:
    return f"process {found.get('pid', 'unknown')} on {found.get('host', 'unknown')}"


def _busy(folder: Path, found: dict[str, str | int]) -> FolderBusyError:
    return FolderBusyError(
        f"Another run ({_holder(found)}) is writing to {folder}; "
        f"wait for it to end or choose another --out."
    )

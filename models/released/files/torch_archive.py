"""The zip container of a torch checkpoint, read without trusting it.

torch.save writes `<top>/data.pkl`, one entry `<top>/data/<key>` for every storage, and small ones
such as `<top>/byteorder`, all stored as they are (never compressed), with zip64 sizes where they
are needed. Nothing is unpacked to disk. Whatever the file says, memory is bounded: the directory
by `DIRECTORY`, an entry by the bytes of it that the file really has.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import CheckpointError

DIRECTORY = 1 << 24  # bytes of a directory; a checkpoint of 4000 tensors has a 30th of that
PICKLE = 1 << 26  # bytes of the pickle; the largest known part is a tokenizer, some 10 MiB
PIECE = 1 << 22  # bytes read and checked at a time
END, END64, AT64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF  # see the zip64 record


class Entry(NamedTuple):
    """One entry: where its local header is, its size in bytes, its CRC-32, and whether its bytes
    lie in the file as they are."""

    header: int
    size: int
    crc: int
    plain: bool


@dataclass(frozen=True, eq=False)
class Archive:
    """Entries by their names without `<top>/`; read from the file each time they are asked for."""

    path: Path
    top: str
    entries: dict[str, Entry]
    size: int  # of the file, bytes

    def read(self, name: str, start: int = 0, length: int | None = None) -> NDArray[np.uint8]:
        """Bytes [start, start + length) of an entry, by default all, whose checksum is then held
        against the directory's. Raises CheckpointError where there are no such bytes."""
        entry = self.entries.get(name)
        if entry is None:
            raise damaged(self.path, f"it has no entry `{name}`")
        if not entry.plain:
            raise damaged(self.path, f"its entry `{name}` is compressed, which torch.save never is")
        length = entry.size - start if length is None else length
        if min(start, length) < 0 or start + length > entry.size:
            raise damaged(self.path, f"its entry `{name}` has only {entry.size} bytes")
        with open_file(self.path) as file:
            begin = self._begin(file, name, entry) + start
            if begin + length > self.size:
                raise damaged(self.path, f"its entry `{name}` goes beyond the end")
            file.seek(begin)
            content = np.empty(length, np.uint8)
            crc, view = 0, content.data
            for at in range(0, length, PIECE):
                piece = view[at : at + PIECE]
                if file.readinto(piece) != len(piece):
                    raise damaged(self.path, "it is cut short")
                crc = zlib.crc32(piece, crc)
        if length == entry.size and crc != entry.crc:
            raise damaged(self.path, f"the checksum of its entry `{name}` is wrong")
        return content

    def _begin(self, file: BufferedReader, name: str, entry: Entry) -> int:
        """Where the bytes of an entry begin, by its local header."""
        fixed = _at(file, min(entry.header, self.size), 30)
        if len(fixed) < 30 or fixed[:4] != b"PK\x03\x04":
            raise damaged(self.path, f"its entry `{name}` is not where its directory says")
        n_name, n_extra = struct.unpack("<HH", fixed[26:])
        if file.read(n_name) != f"{self.top}/{name}".encode():
            raise damaged(self.path, f"its entry `{name}` has another name in its directory")
        return int(entry.header + 30 + n_name + n_extra)


def damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path} is no torch checkpoint that can be read: {what}.")


def open_file(path: Path) -> BufferedReader:
    """Open a regular file to read; CheckpointError for anything else (a pipe would block)."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError(f"{path} cannot be read: it is not a file.")
        return open(path, "rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, CheckpointError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} cannot be read: {reason}.") from error


def open_archive(path: str | Path) -> Archive:
    """The directory of a torch checkpoint.

    Raises CheckpointError where the file is no zip archive as torch.save writes it: cut short,
    with two entries of one name, of a big-endian machine, or with no `data.pkl`.
    Cost: the directory's bytes, at most 16 MiB, and about 0.5 kB an entry.
    """
    file = Path(path)
    with open_file(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        count, directory = _directory(file, stream, size)
    named: dict[str, Entry] = {}
    for name, entry in _entries(file, directory, count):
        if name in named:
            raise damaged(file, f"it has two entries `{name[:80]}`")
        named[name] = entry
    tops = [name[: -len("/data.pkl")] for name in named if name.endswith("/data.pkl")]
    if len(tops) != 1:
        raise damaged(file, f"it has {len(tops)} pickles of the name `data.pkl`, not one")
    top = tops[0]
    inside = {n[len(top) + 1 :]: e for n, e in named.items() if n.startswith(f"{top}/")}
    archive = Archive(file, top, inside, size)
    order = inside.get("byteorder")  # absent in files of torch before 2.1
    if order and (order.size > 6 or archive.read("byteorder").tobytes() != b"little"):
        raise damaged(file, "its numbers are not little-endian")
    return archive


def read_pickle(archive: Archive) -> bytes:
    """The bytes of `data.pkl`, at most `PICKLE`."""
    if archive.entries["data.pkl"].size > PICKLE:
        raise damaged(archive.path, f"its pickle is larger than {PICKLE >> 20} MiB")
    return archive.read("data.pkl").tobytes()


def _directory(path: Path, stream: BufferedReader, size: int) -> tuple[int, bytes]:
    """Number of entries, and the bytes of the directory."""
    tail = _at(stream, max(0, size - FULL16 - 22), FULL16 + 22)
    found = tail.rfind(END)
    end = size - len(tail) + found
    if found < 0 or len(tail) - found < 22:
        raise damaged(path, "it has no zip directory at its end, so it is cut short or no archive")
    disk, first_disk, _, count, length, start, comment = struct.unpack(
        "<4H2IH", tail[found + 4 : found + 22]
    )
    if found + 22 + comment != len(tail):
        raise damaged(path, "something follows its zip directory")
    if FULL16 in (count, disk) or FULL32 in (length, start):
        locator = _at(stream, max(0, end - 20), 20)
        if len(locator) < 20 or locator[:4] != AT64:
            raise damaged(path, "its zip directory lacks the 64-bit sizes that it speaks of")
        end = struct.unpack("<Q", locator[8:16])[0]
        record = _at(stream, end, 56) if end <= size else b""
        if len(record) < 56 or record[:4] != END64:
            raise damaged(path, "its zip directory lacks the 64-bit sizes that it speaks of")
        disk, first_disk, _, count, length, start = struct.unpack("<2I4Q", record[16:56])
    if disk or first_disk:
        raise damaged(path, "it is a part of an archive of many files")
    if length > DIRECTORY:
        raise damaged(path, f"its zip directory is larger than {DIRECTORY >> 20} MiB")
    if start + length > end or 46 * count > length:
        raise damaged(path, "the sizes in its zip directory do not fit the file")
    return count, _at(stream, start, length)


def _entries(path: Path, directory: bytes, count: int) -> Iterator[tuple[str, Entry]]:
    at = 0
    for _ in range(count):
        fixed = directory[at : at + 46]
        if len(fixed) < 46 or fixed[:4] != b"PK\x01\x02":
            raise damaged(path, "its zip directory is cut short or overwritten")
        flags, method = struct.unpack("<HH", fixed[8:12])
        crc, packed, size, n_name, n_extra, n_comment, disk = struct.unpack("<3I4H", fixed[16:36])
        header = struct.unpack("<I", fixed[42:])[0]
        name, extra = at + 46, at + 46 + n_name
        at = extra + n_extra + n_comment
        if at > len(directory) or disk not in (0, FULL16):
            raise damaged(path, "its zip directory is cut short or overwritten")
        wide = [size, packed, header]  # in the order of the 64-bit record
        if FULL32 in wide:
            wide = _wide(path, directory[extra : extra + n_extra], wide)
        size, packed, header = wide
        try:
            text = directory[name:extra].decode()
        except UnicodeDecodeError as error:
            raise damaged(path, "an entry has a name that is no text") from error
        yield text, Entry(header, size, crc, method == 0 and not flags & 1 and packed == size)


def _wide(path: Path, extra: bytes, values: list[int]) -> list[int]:
    """The 64-bit values of those that the 32-bit field says it has no room for."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<HH", extra[at : at + 4])
        record, at = extra[at + 4 : at + 4 + length], at + 4 + length
        if kind == 1 and len(record) >= 8 * values.count(FULL32):
            numbers = (n for (n,) in struct.iter_unpack("<Q", record[: len(record) // 8 * 8]))
            return [next(numbers) if value == FULL32 else value for value in values]
    raise damaged(path, "its zip directory lacks the 64-bit sizes that it speaks of")


def _at(stream: BufferedReader, start: int, length: int) -> bytes:
    stream.seek(start)
    return stream.read(length)

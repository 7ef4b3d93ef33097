"""File systems to be filled up or made read-only; only root may make them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mounted(*words: str) -> None:
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount a file system, on Linux")
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this machine forbids mounts: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own in memory at `folder`."""
    folder.mkdir()
    _mounted("-t", "tmpfs", "-o", f"size={size}", "faults", str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder read-only for whoever opens a file in it from now on."""
    _mounted("--bind", str(folder), str(folder))
    try:
        _mounted("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        _unmount(folder)


def fill(disk: Path, when: random.Random) -> Path:
    """Fill a disk to the brim, or to within a few pages of it; returns the file that does it."""
    filler = disk / "filler"
    spare = when.choice((0, 0, 4096, 8192, 16384))
    with open(filler, "wb", buffering=0) as file:
        try:
            while file.write(b"f" * 4096):
                pass
        except OSError:
            file.truncate(max(0, file.tell() - spare))
    return filler

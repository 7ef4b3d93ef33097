"""A sweep of stub cells as a command: `launcher.py OUT COMPUTATION CELLS SECONDS [engine options]`.

FAULTS_TIMEOUT shortens the patience with a lost scheduler (seconds). FAULTS_HOST gives this
process another host's name, and a file system whose locks do not reach other hosts.
"""

from __future__ import annotations

import errno
import os
import platform
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from simulations.console import command
from simulations.sweep import cluster, lock
from simulations.sweep import run as sweep
from simulations.sweep.complete import complete
from simulations.sweep.engine import Engine
from tests.faults import stub

BEAT = 0.4  # seconds, of writers on hosts that are feigned


def run(words: list[str], console: Console) -> int:
    """Sweep, as a command does."""
    out, name, count, seconds, *options = words
    engine = tyro.cli(Engine, args=options, default=Engine(workers=2))
    complete(
        console,
        engine,
        stub.cells(int(count), float(seconds)),
        stub.COMPUTATIONS[name],
        Path(out),
        stub.CONFIG_HASH,
        cost=lambda cell: 1.0,
        size=lambda cell: 1e4,
    )
    console.print("complete")
    return 0


def _no_locks(*args: Any) -> None:
    raise OSError(errno.ENOLCK, "no locks")


def _feign(host: str) -> None:
    platform.node = lambda: host
    lock.fcntl.flock = _no_locks
    lock.locked.__wrapped__.__defaults__ = (BEAT,)  # type: ignore[attr-defined]
    sweep.BEAT = BEAT  # type: ignore[attr-defined]


if __name__ == "__main__":
    cluster.TIMEOUT = float(os.environ.get("FAULTS_TIMEOUT", cluster.TIMEOUT))
    if "FAULTS_HOST" in os.environ:
        _feign(os.environ["FAULTS_HOST"])
    command.entry("stub", run)

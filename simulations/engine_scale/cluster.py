"""A Dask cluster of processes on this machine, for measurements; ended with its block."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from simulations.engine_scale.watch import children
from simulations.results.files import ResultsError

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 60.0  # seconds for a scheduler to answer, and for processes to end


@dataclass
class LocalCluster:
    """A scheduler, and workers of one thread; their logs go to `folder`."""

    folder: Path
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def workers(self) -> int:
        """How many there are, or will be when all have joined."""
        return len(self.processes) - 1

    @property
    def scheduler(self) -> int:
        """Process of the scheduler."""
        return self.processes[0].pid

    @property
    def hands(self) -> list[int]:
        """Processes that compute, each started by the one that watches over it."""
        return [child for nurse in self.processes[1:] for child in children(nurse.pid)]

    def grow(self, workers: int) -> None:
        """Have this many workers; they join by themselves."""
        while len(self.processes) <= workers:
            name = f"worker{len(self.processes)}"
            words = f"--nthreads 1 --no-dashboard --name {name} --death-timeout 60".split()
            place = str(self.folder / name)
            self._start(name, "worker", self.address, *words, "--local-directory", place)

    def _start(self, name: str, kind: str, *words: str) -> None:
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words],
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)

    def begin(self) -> None:
        """Start the scheduler and wait until it listens. Raises ResultsError."""
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            port = place.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        words = f"--host 127.0.0.1 --port {port} --dashboard-address :0 --idle-timeout 900"
        self._start("scheduler", "scheduler", *words.split())
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self.processes[0].poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        log = (self.folder / "scheduler.log").read_text().strip().splitlines()
        raise ResultsError(
            f"A Dask scheduler does not start on this machine ({log[-1] if log else 'no word'}); "
            f"install the extra with: pip install 'am-theory[cluster]'."
        )

    def end(self) -> None:
        """End workers, then the scheduler: politely, and for good."""
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(timeout=_PATIENCE / 4)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def local_cluster(folder: Path) -> Iterator[LocalCluster]:
    """A scheduler without workers yet; all its processes end with the block."""
    cluster = LocalCluster(folder)
    try:
        cluster.begin()
        yield cluster
    finally:
        cluster.end()

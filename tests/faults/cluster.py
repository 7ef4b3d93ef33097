"""A Dask cluster of processes that can be killed one by one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.faults.launch import PATH, children, end_all, wait_until

SETTINGS = {
    "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "1h",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}


class Cluster:
    """A scheduler, which is started at once, and workers of one thread; cells note themselves in
    `log`."""

    def __init__(self, folder: Path, log: Path, host: str = "127.0.0.1", **settings: str) -> None:
        pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
        self._folder, self._log = folder, log
        self._settings = settings
        self._tag = uuid.uuid4().hex
        self._processes: list[subprocess.Popen[bytes]] = []
        with socket.socket() as place:
            place.bind((host, 0))
            self._port = place.getsockname()[1]
        self._host = host
        self.address = f"tcp://{host}:{self._port}"
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """A scheduler at the cluster's address."""
        words = ["--host", self._host, "--port", str(self._port), "--no-dashboard", "--no-show"]
        self.scheduler = self._run("scheduler", "scheduler", *words)
        return self.scheduler

    def worker(
        self,
        name: str,
        *words: str,
        source: Path | None = None,
        before: tuple[str, ...] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a worker, with the toolkit of `source`, by the command `before`."""
        place = self._folder / f"space-{name}"
        shutil.rmtree(place, ignore_errors=True)
        return self._run(name, "worker", self.address, "--name", name, "--nthreads", "1",
                         "--no-dashboard", "--local-directory", str(place), *words,
                         source=source, before=before)  # fmt: skip

    def _run(
        self,
        name: str,
        kind: str,
        *words: str,
        source: Path | None = None,
        before: tuple[str, ...] = (),
    ) -> subprocess.Popen[bytes]:
        path = PATH if source is None else os.pathsep.join([str(source), PATH])
        with open(self._folder / f"{name}.txt", "ab") as said:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", f"distributed.cli.dask_{kind}", *words],
                env={
                    **os.environ,
                    **SETTINGS,
                    **self._settings,
                    "PYTHONPATH": path,
                    "FAULTS_TAG": self._tag,
                    "FAULTS_LOG": str(self._log),
                },
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def wait_for(self, count: int) -> None:
        """Wait until so many workers have joined."""
        from distributed import Client

        with Client(self.address, timeout=120, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=120)

    def stop(self) -> None:
        """Kill all its processes."""
        end_all([self._tag])
        for process in self._processes:
            process.wait()


def nursed(nanny: subprocess.Popen[bytes]) -> int:
    """The worker process of a nanny, as soon as there is one."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [
            pid for pid in children(nanny.pid)
            if b"spawn_main" in _words(pid)
        ]  # fmt: skip
        return bool(found)

    wait_until(look, "a worker of the nanny")
    return found[0]


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""

"""Sweeps on a Dask cluster of processes: the same numbers, and only workers that can give them."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from simulations.results.cells import Cell
from simulations.sweep import cluster as cluster_module
from simulations.sweep.cluster import ClusterError, RunningCluster
from simulations.sweep.run import SweepOutcome, load_cells, run_sweep
from tests import stub_cells
from tests.helpers import ROOT
from tests.simulations.sweep.test_sweep import NAMES, digests, swept
from tests.stub_cells import CONFIG_HASH, grid

distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

SETTINGS = {
    "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "1h",
}


class Cluster:
    """A scheduler and workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            port = place.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.run("scheduler", "scheduler", "--host", "127.0.0.1", "--port", str(port),
                 "--dashboard-address", ":0")  # fmt: skip

    def run(self, name: str, *words: str, source: Path = ROOT) -> None:
        """Start a process of the cluster with the toolkit of `source`."""
        path = os.pathsep.join([str(source), str(ROOT / "tests")])
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
                env={**os.environ, **SETTINGS, "PYTHONPATH": path},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)

    def worker(self, name: str, *words: str, source: Path = ROOT) -> None:
        self.run(name, "worker", self.address, "--name", name, "--no-dashboard",
                 "--local-directory", str(self.folder / name), *words, source=source)  # fmt: skip

    def wait_for(self, workers: int) -> None:
        with distributed.Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.stop()


def sweep_on(
    cluster: Cluster, out: Path, cells: list[Cell], compute=stub_cells.surroundings
) -> tuple[SweepOutcome, str]:
    said = io.StringIO()
    console = Console(file=said, width=10_000)
    outcome = run_sweep(
        cells,
        compute,
        out,
        CONFIG_HASH,
        executor_factory=RunningCluster(cluster.address, console.print),
        console=console,
    )
    return outcome, said.getvalue()


@pytest.mark.slow
def test_a_cluster_gives_the_numbers_of_this_machine(cluster: Cluster, tmp_path: Path) -> None:
    for name in ("first", "second"):
        cluster.worker(name, "--nthreads", "1")
    cluster.worker("threads", "--nthreads", "3")
    other = tmp_path / "other"
    for package in ("am_theory", "models", "simulations"):
        shutil.copytree(ROOT / package, other / package)
    with open(other / "models" / "tokens.py", "a") as file:
        file.write("# another version\n")
    cluster.worker("version", "--nthreads", "1", source=other)
    cluster.wait_for(4)
    cells = grid(9, seconds=0.1)
    outcome, said = sweep_on(cluster, tmp_path / "there", cells)
    assert outcome.done == [cell.name for cell in cells], outcome.failed
    assert "dashboard http://" in said.splitlines()[0]
    assert said.count("is left out") == 2
    assert "runs 3 cells at once as threads; start it with --nthreads 1" in said
    assert "its toolkit or its packages differ from the launcher's" in said
    swept(tmp_path / "here", cells=cells)
    assert digests(tmp_path / "there", cells) == digests(tmp_path / "here", cells)
    for ds in load_cells(tmp_path / "there", cells):
        assert '"OMP_NUM_THREADS": "1"' in ds.attrs["seen"]
        assert '"NUMBA_NUM_THREADS": "1"' in ds.attrs["seen"]
    # begun there, resumed here, and back
    (tmp_path / "there" / "cells" / f"{NAMES[1]}.nc").unlink()
    outcome, _ = swept(tmp_path / "there", cells=cells)
    assert outcome.done == [NAMES[1]]


@pytest.mark.slow
def test_cells_that_ask_for_a_gpu_go_to_workers_that_have_one(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.worker("plain", "--nthreads", "1")
    cluster.wait_for(1)
    cells = [
        Cell(cell.name, cell.coordinates, gpu=cell.coordinates["train_size"] > 4) for cell in grid()
    ]
    with pytest.raises(ClusterError, match=r"asks for a GPU, but no worker of .* offers one"):
        sweep_on(cluster, tmp_path / "run", cells[3:])
    cluster.worker("gpu", "--nthreads", "1", "--resources", "GPU=1")
    cluster.wait_for(2)
    outcome, _ = sweep_on(cluster, tmp_path / "run", cells)
    assert not outcome.failed and sorted(outcome.done) == NAMES
    for cell, ds in zip(cells, load_cells(tmp_path / "run", cells), strict=True):
        platform = "cuda" if cell.gpu else "cpu"
        assert f'"JAX_PLATFORMS": "{platform}"' in ds.attrs["seen"]


def test_no_scheduler_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "TIMEOUT", 0.5)
    begun = time.monotonic()
    with pytest.raises(ClusterError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9 .*;"):
        RunningCluster("tcp://127.0.0.1:9", print)(1)
    assert time.monotonic() - begun < 10

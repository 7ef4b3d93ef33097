"""Undisturbed runs to compare with, and launchers and clusters that end with a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import fault_table
from tests.faults.cluster import Cluster
from tests.faults.launch import Launcher, Reference, end_all


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launcher]]:
    """Starts launchers, whose processes are gone after the test."""
    started: list[Launcher] = []

    def start(out: Path, *words: str, **options: str) -> Launcher:
        started.append(Launcher(out, *words, log=tmp_path / "log", **options))
        return started[-1]

    yield start
    end_all(launcher.tag for launcher in started)
    for launcher in started:
        launcher.process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A Dask cluster with a scheduler and no worker yet."""
    (tmp_path / "cluster").mkdir()
    made = Cluster(tmp_path / "cluster", tmp_path / "log")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Reference]:
    """Undisturbed runs, each made once, by computation, number of cells and their seconds."""
    made: dict[tuple[str, int, float], Reference] = {}

    def of(name: str = "plain", count: int = 200, seconds: float = 0.05) -> Reference:
        key = (name, count, seconds)
        if key not in made:
            made[key] = Reference.of(tmp_path_factory.mktemp("undisturbed"), *key)
        return made[key]

    return of


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.stats.get("passed") or terminalreporter.stats.get("failed"):
        text = fault_table.write()
        if text:
            terminalreporter.write(f"\n{text}")

"""SIGKILL of the launcher and of workers of its pool, at random moments of a sweep's whole life."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.fault_table import row
from tests.faults.launch import (
    WORKERS,
    Launcher,
    Reference,
    Watch,
    finished,
    kill,
    moments,
    settle,
    struck,
    trials,
)

pytestmark = pytest.mark.faults
Launch = Callable[..., Launcher]


def test_launcher_killed(
    launch: Launch, reference: Callable[..., Reference], tmp_path: Path
) -> None:
    ref, when, watches = reference(), moments(1), []
    with row("SIGKILL of the launcher", 10) as made:
        left = trials(50)
        while left:
            watch = Watch(tmp_path / f"run{left}", tmp_path / "log")
            watches.append(watch)
            watch.log.unlink(missing_ok=True)
            while left:
                launcher = launch(watch.out, *ref.words())
                if not struck(launcher, watch, when):
                    break
                launcher.kill()
                assert watch.disturbed() <= 2 * WORKERS
                left -= 1
            if launcher.process.returncode != 0:
                launcher = launch(watch.out, *ref.words())
            finished(launcher)
            watch.log = watch.log.rename(tmp_path / f"log{len(watches)}")
        settle(made, watches, ref)


def test_worker_of_the_pool_killed(
    launch: Launch, reference: Callable[..., Reference], tmp_path: Path
) -> None:
    ref, when, watches, said = reference(), moments(2), [], ""
    with row("SIGKILL of a worker of the pool", 20) as made:
        left = trials(50)
        while left:
            watch = Watch(tmp_path / f"run{left}", tmp_path / "log")
            watches.append(watch)
            watch.log.unlink(missing_ok=True)
            status = 1
            while status == 1:  # a cell killed twice has failed by name, and is tried again
                launcher = launch(watch.out, *ref.words())
                while left and struck(launcher, watch, when, 1.0):
                    workers = launcher.workers()
                    if not workers:
                        time.sleep(0.05)
                        continue
                    kept = watch.files()
                    kill(when.choice(workers))
                    assert watch.disturbed(kept) <= 4 * WORKERS
                    left -= 1
                status = launcher.end()
                said += launcher.said()
            finished(launcher)
            watch.log = watch.log.rename(tmp_path / f"log{len(watches)}")
        settle(made, watches, ref)
        assert "a worker process died; the cell will be tried once more, alone" in said

"""SIGKILL of the launcher and of workers of its pool, at random moments of a sweep's whole life."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults import launch as lab
from tests.faults.fault_table import row

pytestmark = pytest.mark.faults


def test_launcher_killed(launch: lab.Launch, reference: lab.Refer, tmp_path: Path) -> None:
    ref, when, watches = reference(), lab.moments(1), []
    with row("SIGKILL of the launcher", 10) as made:
        left = lab.trials(50)
        while left:
            watch = lab.Watch(tmp_path / f"run{left}", tmp_path / "log")
            watches.append(watch)
            watch.log.unlink(missing_ok=True)
            while left:
                launcher = launch(watch.out, *ref.words())
                if not lab.struck(launcher, watch, when):
                    break
                launcher.kill()
                assert watch.disturbed() <= 2 * lab.WORKERS
                left -= 1
            if launcher.process.returncode != 0:
                launcher = launch(watch.out, *ref.words())
            lab.finished(launcher)
            watch.log = watch.log.rename(tmp_path / f"log{len(watches)}")
        lab.settle(made, watches, ref)


def test_worker_of_the_pool_killed(
    launch: lab.Launch, reference: lab.Refer, tmp_path: Path
) -> None:
    ref, when, watches, said = reference(), lab.moments(2), [], ""
    with row("SIGKILL of a worker of the pool", 20) as made:
        left = lab.trials(50)
        while left:
            watch = lab.Watch(tmp_path / f"run{left}", tmp_path / "log")
            watches.append(watch)
            watch.log.unlink(missing_ok=True)
            status = 1
            while status == 1:  # a cell killed twice has failed by name, and is tried again
                launcher = launch(watch.out, *ref.words())
                while left and lab.struck(launcher, watch, when, 1.0):
                    workers = launcher.workers()
                    if not workers:
                        time.sleep(0.05)
                        continue
                    kept = watch.files()
                    lab.kill(when.choice(workers))
                    assert watch.disturbed(kept) <= 4 * lab.WORKERS
                    left -= 1
                status = launcher.end()
                said += launcher.said()
            lab.finished(launcher)
            watch.log = watch.log.rename(tmp_path / f"log{len(watches)}")
        lab.settle(made, watches, ref)
        assert "a worker process died; the cell will be tried once more, alone" in said

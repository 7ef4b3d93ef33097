"""SIGKILL of Dask's workers and schedulers under a running sweep."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults import launch as lab
from tests.faults.cluster import Cluster, nursed
from tests.faults.fault_table import row

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("nanny", [True, False])
def test_dask_worker_killed(
    launch: lab.Launch,
    reference: lab.Refer,
    tmp_path: Path,
    cluster: Cluster,
    nanny: bool,
) -> None:
    ref, when, watches = reference(), lab.moments(30 + nanny), []
    kind = "restarted by its nanny" if nanny else "replaced by hand"
    words = [] if nanny else ["--no-nanny"]
    with row(f"SIGKILL of a Dask worker, {kind}", 30 + nanny) as made:
        workers = [cluster.worker(f"w{k}", *words) for k in range(2)]
        cluster.wait_for(2)
        left, made_workers = lab.trials(50), 2
        while left:
            watch = lab.Watch(tmp_path / f"run{len(watches)}", tmp_path / "log")
            watches.append(watch)
            watch.log.unlink(missing_ok=True)
            status = 1
            while status == 1:  # a cell at which four workers died has failed by name
                launcher = launch(watch.out, *ref.words("--cluster", cluster.address))
                while left and lab.struck(launcher, watch, when, 1.0):
                    kept = watch.files()
                    if nanny:
                        lab.kill(nursed(when.choice(workers)))
                    else:
                        k = when.randrange(2)
                        workers[k].kill()
                        workers[k].wait()
                    watch.disturbed(kept)
                    if not nanny:
                        workers[k] = cluster.worker(f"w{made_workers}", "--no-nanny")
                        made_workers += 1
                    left -= 1
                status = launcher.end()
                assert "Traceback" not in launcher.said(), launcher.said()
            lab.finished(launcher)
            watch.log = watch.log.rename(tmp_path / f"log{len(watches)}")
        lab.settle(made, watches, ref)


def _fresh(cluster: Cluster, workers: list[subprocess.Popen[bytes]], k: int) -> None:
    """A new scheduler at the same address, and new workers for those that have lost it."""
    cluster.start_scheduler()
    for worker in workers:
        lab.kill(worker.pid)
        worker.wait()
    workers[:] = [cluster.worker(f"w{k}-{i}", "--no-nanny") for i in range(2)]


@pytest.mark.parametrize("returns", [True, False])
def test_scheduler_killed(
    launch: lab.Launch,
    reference: lab.Refer,
    tmp_path: Path,
    cluster: Cluster,
    returns: bool,
) -> None:
    ref, when, watches = reference(), lab.moments(40 + returns), []
    kind = "back within the timeout" if returns else "gone for good, then resumed"
    said = ""
    with row(f"SIGKILL of the Dask scheduler, {kind}", 40 + (not returns)) as made:
        workers = [cluster.worker(f"w{k}", "--no-nanny") for k in range(2)]
        left, k = lab.trials(25), 0
        while left:
            watch = lab.Watch(tmp_path / f"run{len(watches)}", tmp_path / "log")
            watches.append(watch)
            watch.log.unlink(missing_ok=True)
            status = 1
            while status:
                launcher = launch(
                    watch.out,
                    *ref.words("--cluster", cluster.address),
                    FAULTS_TIMEOUT="60" if returns or not left else "2",
                )
                while left and lab.struck(launcher, watch, when, 1.5):
                    kept = watch.files()
                    cluster.scheduler.kill()
                    cluster.scheduler.wait()
                    k, left = k + 1, left - 1
                    if not returns:
                        assert launcher.ends_within(60), launcher.said()
                    watch.disturbed(kept)
                    _fresh(cluster, workers, k)
                status = launcher.end()
                said += launcher.said()
                if status == 2:
                    sentence = launcher.sentence()
                    assert "Dask scheduler" in sentence, sentence
                    assert "start it and run the same command again" in sentence or (
                        "start one with: dask scheduler" in sentence
                    )
                else:
                    assert status in (0, 1) and "Traceback" not in launcher.said()
            lab.finished(launcher)
            watch.log = watch.log.rename(tmp_path / f"log{len(watches)}")
        lab.settle(made, watches, ref)
        made.note = f"{said.count('cells are kept')} ends, {said.count('failed c')} cells given up"


def test_between_this_machine_and_a_cluster(
    launch: lab.Launch, reference: lab.Refer, tmp_path: Path, cluster: Cluster
) -> None:
    ref, when = reference(), lab.moments(43)
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    with row("begun here, resumed on a cluster, back, and again", 131) as made:
        for k in range(2):
            cluster.worker(f"w{k}")
        cluster.wait_for(2)
        there = ("--cluster", cluster.address)
        for engine in ((), there, (), there):
            launcher = launch(watch.out, *ref.words(*engine))
            if engine is there and made.trials == 3:
                break
            made.trials += 1
            if lab.struck(launcher, watch, when, 1.0):
                launcher.kill()
                watch.disturbed()
        lab.finished(launcher)
        lab.settle(made, [watch], ref)

"""Ctrl-C once and twice; two launchers on one folder; a sweep that changes machines."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults import launch as lab
from tests.faults.fault_table import row

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c(launch: lab.Launch, reference: lab.Refer, tmp_path: Path, times: int) -> None:
    ref, when = reference(), lab.moments(12 + times)
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    with row(f"Ctrl-C {'once' if times == 1 else 'twice'}", 119 + times) as made:
        for _ in range(lab.trials(10)):
            launcher = launch(watch.out, *ref.words())
            while watch.started().total() == 0 or not _locked(launcher):
                time.sleep(0.02)  # while Python imports, Ctrl-C is Python's
                if launcher.process.poll() is not None:
                    break
            if not lab.struck(launcher, watch, when, 0.6):
                break
            for k in range(times):
                if k:
                    time.sleep(when.uniform(0.0, 0.3))
                os.killpg(launcher.process.pid, signal.SIGINT)
            status = launcher.end()
            assert watch.disturbed() <= 2 * lab.WORKERS
            if status == 0:
                break
            # the second may come when all is said, and Python has given up its handler
            assert status in (130, -signal.SIGINT)
            sentence = launcher.sentence()
            count = len(watch.files())
            assert f"Interrupted: {count} of 200 cells are done and kept" in sentence
            assert "run the same command again to resume" in sentence
        lab.finished(launch(watch.out, *ref.words()))
        lab.settle(made, [watch], ref)


def _locked(launcher: lab.Launcher) -> bool:
    """Whether the launcher holds its folder."""
    try:
        return f'"pid": {launcher.process.pid},' in (launcher.out / ".lease").read_text()
    except OSError:
        return False


def test_two_launchers(launch: lab.Launch, reference: lab.Refer, tmp_path: Path) -> None:
    ref, when = reference(count=60), lab.moments(14)
    watches = []
    with row("two launchers on one folder, one host", 140) as made:
        for k in range(lab.trials(10)):
            watch = lab.Watch(tmp_path / f"run{k}", tmp_path / f"log{k}")
            watches.append(watch)
            first = launch(watch.out, *ref.words(), FAULTS_LOG=str(watch.log))
            time.sleep(when.uniform(0.0, 1.0))
            second = launch(watch.out, *ref.words(), FAULTS_LOG=str(watch.log))
            ends = [first.end(), second.end()]
            watch.disturbed()
            if ends == [0, 0]:  # the first had ended when the second began
                lab.finished(second)
                continue
            assert sorted(ends) == [0, 2], (first.said(), second.said())
            told = first if ends[0] else second
            holder = second if ends[0] else first
            sentence = told.sentence()
            assert "is writing to" in sentence and "wait for it to end or choose" in sentence
            assert f"process {holder.process.pid} on" in sentence or "unknown" in sentence
        lab.settle(made, watches, ref)
        assert made.again == 0


def test_two_launchers_on_two_hosts(
    launch: lab.Launch, reference: lab.Refer, tmp_path: Path
) -> None:
    ref, when = reference(count=60), lab.moments(15)
    watches = []
    with row("two launchers, two hosts without common locks", 141) as made:
        for k in range(lab.trials(10)):
            watch = lab.Watch(tmp_path / f"run{k}", tmp_path / f"log{k}")
            watches.append(watch)
            settings = {"FAULTS_LOG": str(watch.log)}
            first = launch(watch.out, *ref.words(), FAULTS_HOST="first", **settings)
            if k % 2:
                time.sleep(when.uniform(0.0, 1.0))
            second = launch(watch.out, *ref.words(), FAULTS_HOST="second", **settings)
            if k % 3 == 2:
                lab.struck(first, watch, when, 0.5)
                first.kill()  # its hold is waited out
                watch.disturbed()
            ends = [first.end(), second.end()]
            for launcher, status in zip((first, second), ends, strict=True):
                if status > 0:
                    flight = watch.begun_twice_by(launcher)  # when it was told
                    assert len(flight) <= 2 * lab.WORKERS
                    watch.charged.update(flight)
                    sentence = launcher.sentence()
                    assert "Another run (process" in sentence, sentence
                    assert "is writing to" in sentence or "has taken over" in sentence
            if 0 not in ends:
                lab.finished(launch(watch.out, *ref.words(), FAULTS_HOST="third", **settings))
            watch.trials = 1
        lab.settle(made, watches, ref)


def test_resumed_on_another_machine_size(
    launch: lab.Launch, reference: lab.Refer, tmp_path: Path
) -> None:
    ref, when, watches = reference(), lab.moments(13), []
    with row("resumed with 4 workers for 1, and back", 130) as made:
        for k, sizes in enumerate([("1", "4", "2"), ("4", "1", "3")][: lab.trials(2)]):
            watch = lab.Watch(tmp_path / f"run{k}", tmp_path / f"log{k}")
            watches.append(watch)
            for workers in sizes:
                words = ref.words("--workers", workers)
                launcher = launch(watch.out, *words, FAULTS_LOG=str(watch.log))
                if workers != sizes[-1] and lab.struck(launcher, watch, when, 2.0):
                    os.kill(launcher.process.pid, signal.SIGINT)
                    assert launcher.end() in (0, 130)
                    watch.disturbed()
            lab.finished(launcher)
        lab.settle(made, watches, ref)

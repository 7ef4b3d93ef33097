"""Disks that fill up or turn read-only under a sweep, at random moments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import launch as lab
from tests.faults.fault_table import row
from tests.faults.mounts import fill, read_only, small_disk

pytestmark = pytest.mark.faults


def test_disk_full(launch: lab.Launch, reference: lab.Refer, tmp_path: Path) -> None:
    ref, when = reference(), lab.moments(6)
    with (
        row("disk full, at a random write", 60) as made,
        small_disk(tmp_path / "disk", "16m") as disk,
    ):
        watches, left = [], lab.trials(24)
        while left:
            watch = lab.Watch(disk / f"run{left}", tmp_path / f"log{left}")
            watches.append(watch)
            while left:
                launcher = launch(watch.out, *ref.words(), FAULTS_LOG=str(watch.log))
                if not lab.struck(launcher, watch, when, 1.0):
                    break
                kept = watch.files()
                filler = fill(disk, when)
                status = launcher.end()
                left -= 1
                watch.disturbed(kept if status else None)
                filler.unlink()
                if status == 0:  # it had written all that it had to
                    break
                sentence = launcher.sentence()
                assert sentence.startswith("Cannot write ") and "the disk is full" in sentence
                assert "free some space" in sentence and len(watch.files()) >= len(kept)
            if launcher.process.returncode != 0:
                launcher = launch(watch.out, *ref.words(), FAULTS_LOG=str(watch.log))
            lab.finished(launcher)
        lab.settle(made, watches, ref)


def test_read_only(launch: lab.Launch, reference: lab.Refer, tmp_path: Path) -> None:
    ref, when = reference(), lab.moments(7)
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    with row("output turned read-only", 70) as made:
        watch.out.mkdir()
        launcher = None
        for trial in range(lab.trials(8)):
            if trial == 0:
                with read_only(watch.out):
                    launcher = launch(watch.out, *ref.words())
                    launcher.end()
                assert not list(watch.out.iterdir())
                watch.disturbed()
            else:
                launcher = launch(watch.out, *ref.words())
                if not lab.struck(launcher, watch, when, 0.5):
                    break
                kept = watch.files()
                with read_only(watch.out):
                    status = launcher.end()
                watch.disturbed(kept if status else None)
                if status == 0:
                    break
            sentence = launcher.sentence()
            assert "Cannot write" in sentence and "the file system is read-only" in sentence
            assert "choose another output folder (--out)" in sentence
        lab.finished(launch(watch.out, *ref.words()))
        lab.settle(made, [watch], ref)

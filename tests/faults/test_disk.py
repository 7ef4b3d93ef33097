"""Disks that fill up or turn read-only under a sweep, at random moments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.fault_table import row
from tests.faults.launch import (
    Launcher,
    Reference,
    Watch,
    finished,
    moments,
    settle,
    struck,
    trials,
)
from tests.faults.mounts import fill, read_only, small_disk

pytestmark = pytest.mark.faults
Launch = Callable[..., Launcher]


def test_disk_full(launch: Launch, reference: Callable[..., Reference], tmp_path: Path) -> None:
    ref, when = reference(), moments(6)
    with (
        row("disk full, at a random write", 60) as made,
        small_disk(tmp_path / "disk", "16m") as disk,
    ):
        watches, left = [], trials(24)
        while left:
            watch = Watch(disk / f"run{left}", tmp_path / f"log{left}")
            watches.append(watch)
            while left:
                launcher = launch(watch.out, *ref.words(), FAULTS_LOG=str(watch.log))
                if not struck(launcher, watch, when, 1.0):
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
            finished(launcher)
        settle(made, watches, ref)


def test_read_only(launch: Launch, reference: Callable[..., Reference], tmp_path: Path) -> None:
    ref, when = reference(), moments(7)
    watch = Watch(tmp_path / "run", tmp_path / "log")
    with row("output turned read-only", 70) as made:
        watch.out.mkdir()
        launcher = None
        for trial in range(trials(8)):
            if trial == 0:
                with read_only(watch.out):
                    launcher = launch(watch.out, *ref.words())
                    launcher.end()
                assert not list(watch.out.iterdir())
                watch.disturbed()
            else:
                launcher = launch(watch.out, *ref.words())
                if not struck(launcher, watch, when, 0.5):
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
        finished(launch(watch.out, *ref.words()))
        settle(made, [watch], ref)

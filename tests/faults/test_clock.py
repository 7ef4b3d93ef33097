"""The clock set back and forth while a sweep runs, and files dated in the future and the past."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulations.results.files import read_dataset
from tests.faults import launch as lab
from tests.faults.fault_table import row

pytestmark = pytest.mark.faults

DAY = 86400


@pytest.fixture
def preload(tmp_path: Path) -> str:
    """A library that shifts the clock of a process and its children."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("the clock of a process is shifted by a preloaded library, made by a compiler")
    made = tmp_path / "clock.so"
    source = Path(__file__).with_name("shifted_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(made), str(source)], check=True)
    return str(made)


def test_clock_set_back(
    launch: lab.Launch, reference: lab.Refer, tmp_path: Path, preload: str
) -> None:
    ref, when = reference(), lab.moments(10)
    watch, clock = lab.Watch(tmp_path / "run", tmp_path / "log"), tmp_path / "clock"
    settings = {"LD_PRELOAD": preload, "FAULTS_CLOCK": str(clock)}
    left = lab.trials(20)
    with row("clock set back and forth by up to ten years", 90) as made:
        while left:
            _set(clock, when.choice((0, -3650, 30)) * DAY)
            launcher = launch(watch.out, *ref.words(), **settings)
            while left and lab.struck(launcher, watch, when, 1.0):
                watch.disturbed(deadly=False)
                _set(clock, when.choice((-3650, -1, 0, 1, 30)) * DAY)
                left -= 1
                if left % 5 == 0:
                    launcher.kill()
                    watch.disturbed()
                    watch.trials -= 1  # of the clock, not this
                    for path in watch.out.rglob("*"):
                        os.utime(path, (stamp := time.time() + when.uniform(-9, 9) * DAY, stamp))
                    watch.kept = watch.files()
            if launcher.process.poll() is None:
                launcher.end()
        lab.finished(launch(watch.out, *ref.words(), **settings))
        dates = {read_dataset(p).attrs["start_time"][:7] for p in watch.out.glob("cells/*.nc")}
        assert len(dates) > 1, "the clock was not shifted"
        lab.settle(made, [watch], ref)


def _set(clock: Path, seconds: int) -> None:
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)

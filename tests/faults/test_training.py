"""A long cell whose training is killed goes on elsewhere, to the same weights bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import launch as lab
from tests.faults.fault_table import row

pytestmark = pytest.mark.faults


def test_training_killed(launch: lab.Launch, reference: lab.Refer, tmp_path: Path) -> None:
    ref, when = reference("training", 1, 0.0), lab.moments(150)
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    state = watch.out / "unfinished" / "c0000" / "model"
    with row("training in a cell killed, its state damaged at times", 150) as made:
        for trial in range(lab.trials(6)):
            before = _stamp(state)
            launcher = launch(watch.out, *ref.words())
            while _stamp(state) in (before, None):
                assert not launcher.ends_within(0.02), launcher.said()
            launcher.ends_within(when.uniform(0.0, 0.3))
            if trial % 2 and launcher.workers():
                lab.kill(launcher.workers()[0])
                launcher.ends_within(0.2)
            launcher.kill()
            watch.disturbed()
            if trial % 3 == 2:
                for path in [p for p in state.rglob("*") if p.is_file()]:
                    raw = bytearray(path.read_bytes())
                    for _ in range(20):
                        raw[when.randrange(len(raw))] ^= 1 << when.randrange(8)
                    path.write_bytes(raw)
        lab.finished(launch(watch.out, *ref.words()))
        steps = [int(word) for word in Path(f"{watch.log}.steps").read_text().split()]
        goes_on = [step > 0 for step in steps]
        undamaged = [trial > 0 and trial % 3 != 0 for trial in range(len(steps))]
        assert goes_on == undamaged, steps
        lab.settle(made, [watch], ref)


def _stamp(folder: Path) -> tuple[int, int] | None:
    """What tells one saved state from another; None where there is none."""
    try:
        about = (folder / "state.safetensors").stat()
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_mtime_ns

"""Event files of the training command, read back by the library that wrote them."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: make bench has it")

from tensorboardX.proto.event_pb2 import Event

from models.training import command as train_command

WORDS = "--preset mini --data iid --train-size 8 --steps 4 --batch 4 --log-every 2 --tensorboard"


def test_losses_reach_the_event_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train", *WORDS.split(), "--out", str(tmp_path)])
    train_command.main()
    (file,) = (tmp_path / "events").iterdir()
    content, events = file.read_bytes(), []
    while content:  # length, its checksum, the event, its checksum
        length = int.from_bytes(content[:8], "little")
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    losses = {
        event.step: value.simple_value
        for event in events
        for value in event.summary.value
        if value.tag == "train/loss"
    }
    assert sorted(losses) == [2, 4]
    assert all(1 < loss < 6 for loss in losses.values())

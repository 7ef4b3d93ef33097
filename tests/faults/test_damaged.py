"""Files of a finished sweep damaged, exchanged or lied about: computed again are those alone."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from simulations.results.files import read_dataset, write_dataset
from tests.faults import launch as lab
from tests.faults.fault_table import row

pytestmark = pytest.mark.faults


def _cut(path: Path, others: list[Path], when: random.Random) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: when.randrange(len(raw))])


def _flip(path: Path, others: list[Path], when: random.Random) -> None:
    raw = bytearray(path.read_bytes())
    raw[when.randrange(len(raw))] ^= 1 << when.randrange(8)
    path.write_bytes(raw)


def _exchange(path: Path, others: list[Path], when: random.Random) -> None:
    shutil.copyfile(when.choice(others), path)


def _of_another_sweep(path: Path, others: list[Path], when: random.Random) -> None:
    """An intact file with this cell's name, of other coordinates."""
    write_dataset(read_dataset(path).assign_attrs(cell_coordinates='{"number": -1}'), path)


DAMAGES = (_cut, _flip, _exchange, _of_another_sweep)


def test_damaged_cells(launch: lab.Launch, reference: lab.Refer, tmp_path: Path) -> None:
    ref, when = reference(), lab.moments(8)
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    with row("cell file cut, bit-flipped, another cell's, another sweep's", 80) as made:
        lab.finished(launch(watch.out, *ref.words()))
        damaged: list[str] = []
        for damage in DAMAGES:
            files = sorted(watch.out.glob("cells/c*.nc"))
            chosen = when.sample(files, lab.trials(25))
            before = watch.started()
            for path in chosen:
                damage(path, [other for other in files if other not in chosen], when)
            intact = watch.files()
            for path in chosen:
                del intact[path.stem]
            launcher = launch(watch.out, *ref.words())
            lab.finished(launcher)
            assert intact.items() <= watch.files().items()
            again = watch.started() - before
            assert sorted(again) == sorted(path.stem for path in chosen), damage
            assert set(again.values()) == {1}
            for path in chosen:
                assert f"{path.stem}: its file is damaged" in launcher.said()
            damaged += [path.stem for path in chosen]
        watch.charged.update(damaged)
        lab.settle(made, [watch], ref)
        made.trials = len(damaged)


def test_foreign_cell(launch: lab.Launch, reference: lab.Refer, tmp_path: Path) -> None:
    """A cell of another configuration is nobody's to remove: the sweep is refused."""
    ref = reference()
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    with row("a cell file of another configuration", 81) as made:
        lab.finished(launch(watch.out, *ref.words()))
        path = watch.out / "cells" / "c0100.nc"
        own = path.read_bytes()
        write_dataset(read_dataset(path).assign_attrs(config_hash="f" * 16), path)
        launcher = launch(watch.out, *ref.words())
        assert launcher.end() == 2
        assert "holds results of another configuration (c0100.nc has hash" in launcher.sentence()
        assert "choose another --out or remove that folder" in launcher.sentence()
        path.write_bytes(own)
        watch.disturbed()
        lab.finished(launch(watch.out, *ref.words()))
        lab.settle(made, [watch], ref)


def _lies(text: str, when: random.Random) -> str:
    """Every entry says of another cell what is true of this one, or has made-up hashes."""
    head, *lines = text.splitlines()
    entries = [json.loads(line) for line in lines]
    names = [entry["cell"] for entry in entries]
    when.shuffle(names)
    for entry, name in zip(entries, names, strict=True):
        entry["cell"] = name
        if when.random() < 0.3:
            entry["sha256"] = "0" * 64
    extra = ["[]", "null", "{", '{"cell": 3}', '{"cell": [1]}', '{"wanted": 7}', "\x00\xff", ""]
    return "\n".join([*extra, head, *map(json.dumps, entries), *extra])


def test_damaged_manifest(launch: lab.Launch, reference: lab.Refer, tmp_path: Path) -> None:
    ref, when = reference(), lab.moments(9)
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    with row("manifest deleted, cut, bit-flipped, full of lies", 82) as made:
        lab.finished(launch(watch.out, *ref.words()))
        path = watch.out / "manifest.jsonl"
        whole = path.read_bytes()
        flipped = bytearray(whole)
        for _ in range(100):
            flipped[when.randrange(len(flipped))] ^= 1 << when.randrange(8)
        cuts = [whole[: when.randrange(len(whole))] for _ in range(lab.trials(4))]
        lies = [_lies(whole.decode(), when).encode() for _ in range(lab.trials(4))]
        for content in (None, b"", b"\n", bytes(flipped), *cuts, *lies):
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            watch.disturbed()
            lab.finished(launch(watch.out, *ref.words()))
            assert lab.Reference.read(watch.out, ref.name, ref.count, ref.seconds) == ref
        lab.settle(made, [watch], ref)
        assert made.again == 0

"""A run that is watched: the same weights, rows that resume, and an end by memorization."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import equinox as eqx
import jax
import numpy as np
import pytest

from models.errors import CheckpointError, TokenRangeError
from models.networks.mlp import MLPDenoiser
from models.released.checkpoint import load_model
from models.sources import MarkovSource
from models.sources.permutations import permutation_chain
from models.training import command, readings
from models.training import watch as module
from models.training.command import Arguments, make_watch
from models.training.config import TrainConfig
from models.training.readings import LEVELS
from models.training.sequences import ROWS, chosen
from models.training.train import Saving, train
from models.training.watch import BEFORE, Watch, columns, told
from tests.helpers import ROOT

STORED, HELDOUT = np.random.default_rng(0).integers(16, size=(2, 128, 8)).astype(np.uint8)
CONFIG = TrainConfig(steps=120, batch=8, warmup=40, learning_rate=1e-2, ema_decay=0.9)
KEY = jax.random.key(1)


def network():
    return MLPDenoiser(jax.random.key(0), 16, 8, 64)


def watch(folder, stop_at=None):
    folder.mkdir(exist_ok=True)
    return Watch(folder, 20, STORED, HELDOUT, 16, stop_at)


def run(watched=None, folder=None, **settings):
    saving = None
    if folder is not None:
        resume = None if watched is None else watched.resume
        saving = Saving(folder, on_start=resume, **settings)
    return train(
        KEY, network(), STORED, 128, CONFIG, saving=saving, steps_per_call=10, watch=watched
    )


def same(first, second):
    leaves = (jax.tree.leaves(eqx.filter(m, eqx.is_array)) for m in (first, second))
    pairs = zip(*leaves, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def without_times(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was watched to its end."""
    folder = tmp_path_factory.mktemp("watched")
    watched = watch(folder)
    return run(watched, folder), watched


def test_a_run_that_is_watched_has_the_weights_of_one_that_is_not(whole):
    done, watched = whole
    plain = run()
    assert same(done.model, plain.model)
    assert same(done.raw, plain.raw)
    np.testing.assert_array_equal(done.losses, plain.losses)
    assert [row["step"] for row in watched.rows] == [20, 40, 60, 80, 100, 120]


def test_memorization_is_seen_to_set_in(whole):
    rows = whole[1].rows
    first, last = rows[0], rows[-1]
    assert first["memory_low"] < 0.1 < last["memory_low"]
    assert first["share_low_t0.25"] < 0.03 < last["share_low_t0.25"]
    assert last["told_apart_t0.25"] > 0.6 > first["told_apart_t0.25"]
    assert last["recovery_train_t0.25"] > 0.35 > 0.15 > last["recovery_heldout_t0.25"]
    assert last["calibration_gap_heldout_t0.25"] > 0.8 > 0.2 > last["calibration_gap_train_t0.25"]
    for row in rows:
        assert row["memory_low"] <= row["memory"] <= row["memory_high"]
        t = f"_t{row['memory_t']:g}"
        assert row["memory"] == row[f"memory{t}"]
        train, heldout = (row[f"recovery_{split}{t}"] for split in ("train", "heldout"))
        assert row["memory"] == pytest.approx((train - heldout) / (1 - heldout), abs=1e-12)
        for split in ("train", "heldout"):
            for t in LEVELS:
                gap = row[f"log_loss_{split}_t{t:g}"] - row[f"entropy_{split}_t{t:g}"]
                assert row[f"calibration_gap_{split}_t{t:g}"] == pytest.approx(gap, abs=1e-12)
    assert f"step 120  reading: M {last['memory']:.2f} [" in told(last)


def test_rows_are_kept_as_json_and_as_a_table(whole):
    folder, rows = whole[1]._folder, whole[1].rows
    lines = (folder / "readings.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    with open(folder / "readings.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == columns()
    assert [float(row["memory"]) for row in table] == [row["memory"] for row in rows]
    assert {name for row in rows for name in row} == set(columns())


@pytest.mark.parametrize("at", [50, 60])
def test_an_interrupted_run_reads_again_what_it_does_again(tmp_path, whole, at):
    class Broken(Watch):
        def __call__(self, step, model):
            super().__call__(step, model)
            if step >= at:
                raise MemoryError

    broken = Broken(tmp_path, 20, STORED, HELDOUT, 16)
    with pytest.raises(MemoryError):
        run(broken, tmp_path, steps=50)
    assert broken.rows[-1]["step"] == 60
    with open(tmp_path / "readings.jsonl", "a") as file:
        file.write('{"step": 80, "mem')  # killed while it wrote
    again = watch(tmp_path)
    done = run(again, tmp_path)
    assert same(done.model, whole[0].model)
    assert without_times(again.rows) == without_times(whole[1].rows)
    assert len((tmp_path / "readings.csv").read_text().splitlines()) == 7


def test_a_run_stops_at_its_bound_with_the_weights_before(tmp_path, whole):
    rows = whole[1].rows
    stop = next(k for k, row in enumerate(rows) if row["memory_low"] > 0.1)
    assert 0 < stop < len(rows) - 1
    for _ in range(2):  # asked again, it stays where it stopped
        watched = watch(tmp_path, 0.1)
        done = run(watched, tmp_path)
        assert watched.stopped
        assert done.steps == rows[stop]["step"]
        assert without_times(watched.rows) == without_times(rows[: stop + 1])
        model, step = watched.weights_before()
        assert step == rows[stop - 1]["step"]
    short = train(KEY, network(), STORED, 128, CONFIG, steps_per_call=10, watch=Until(step))
    assert same(model, short.model)
    assert same(load_model(tmp_path / BEFORE)[0], model)
    further = watch(tmp_path, 0.99)  # another bound: it goes on
    assert run(further, tmp_path).steps > done.steps


class Until:
    """Ends a run after a step."""

    every = 10

    def __init__(self, step):
        self.step, self.stopped = step, False

    def __call__(self, step, model):
        self.stopped = step == self.step


def test_a_first_reading_above_the_bound_has_none_before(tmp_path):
    watched = watch(tmp_path)
    watched._table.resume(0)
    row = dict.fromkeys(columns(), 0.5)
    watched._table.add(row | {"step": 20})
    early = watch(tmp_path, 0.1)
    assert early.stopped
    assert early.weights_before() is None
    late = watch(tmp_path, 0.6)
    assert not late.stopped
    early._table.rows.insert(0, row | {"step": 10, "memory_low": None})
    with pytest.raises(CheckpointError, match="cannot be read"):
        early.weights_before()


def test_of_few_sequences_copies_are_read_as_many_in_both_splits(tmp_path, monkeypatch):
    """Else a share of whole sequences would be of more tokens in the one: a law that knows no
    sequence then has a share far from 0."""
    source = MarkovSource(permutation_chain(6), 12)
    rows = source.sample(np.random.default_rng(0), 300)
    watched = Watch(tmp_path, 1, rows[:60], rows[60:], 6)
    watched.resume(0)
    sites = []

    def reading(*given):
        found = readings.read(*given)
        sites.append(found.sites[:, 1:])
        return found

    monkeypatch.setattr(module, "read", reading)
    watched(1, source.population_denoiser())
    assert all((found == 4 * 12).all() for found in sites)
    row = watched.rows[0]
    assert row["share_low_t0.25"] < 0 < row["share_high_t0.25"]
    assert row["told_apart_low_t0.25"] < 0 < row["told_apart_high_t0.25"]


def test_sequences_are_distinct_and_held_out_ones_are_new():
    rng = np.random.default_rng(0)
    stored = np.repeat(rng.integers(9, size=(400, 8)).astype(np.uint8), 3, axis=0)
    others = np.concatenate([stored[::7], rng.integers(9, size=(300, 8)).astype(np.uint8)])
    train, heldout = chosen(0, stored, 900, others)
    for rows in (train, heldout):
        assert LEAST_ROWS < len(np.unique(rows, axis=0)) == len(rows) <= ROWS
    seen = {row.tobytes() for row in stored[:900]}
    assert all(row.tobytes() in seen for row in train)
    assert not any(row.tobytes() in seen for row in heldout)
    with pytest.raises(ValueError, match="at least 8 distinct held-out sequences"):
        chosen(0, stored, 900, stored[:900])
    with pytest.raises(ValueError, match="got 0"):
        chosen(0, stored, 900, stored[:0])
    with pytest.raises(ValueError, match="must have 8 tokens"):
        chosen(0, stored, 900, others[:, :5])


LEAST_ROWS = 100


def test_held_out_rows_are_where_the_command_says(tmp_path):
    file = tmp_path / "ids.npy"
    rows = np.random.default_rng(0).integers(5, size=(60, 8)).astype(np.uint8)
    np.save(file, rows)
    common = {"out": tmp_path, "vocab_size": 5, "probe_every": 100}
    for size, repeats, first in ((40, 1, 40), (40, 2, 20)):
        given = Arguments(str(file), train_size=size, repeats=repeats, **common)
        stored, rows_of_run, _ = command.make_data(given)
        found = make_watch(given, stored, rows_of_run, 5)._heldout
        assert {row.tobytes() for row in found} == {row.tobytes() for row in rows[first:]}
    given = Arguments(str(file), held_out=file, train_size=40, **common)
    assert len(make_watch(given, rows, 40, 5)._heldout) == 20
    with pytest.raises(ValueError, match="leaves rows"):
        make_watch(Arguments(str(file), **common), rows, 60, 5)
    with pytest.raises(TokenRangeError):
        make_watch(Arguments(str(file), train_size=40, **common), rows, 40, 3)
    source = Arguments("iid", **common)
    stored, size, _ = command.make_data(source)
    assert len(make_watch(source, stored, size, 5)._heldout) == ROWS
    assert make_watch(Arguments("iid", out=tmp_path), stored, size, 5) is None


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"probe_every": 150}, "multiple of `log_every` = 100; got 150"),
        ({"probe_every": 0}, "multiple of `log_every`"),
        ({"probe_every": 100, "stop_at": 1.0}, r"must lie in \(0, 1\)"),
        ({"stop_at": 0.1}, "go with --probe-every"),
    ],
)
def test_bad_settings_are_refused_in_words(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        make_watch(Arguments("iid", out=tmp_path, **settings), STORED, 128, 6)


@pytest.mark.slow
def test_the_command_stops_and_says_so(tmp_path):
    words = "--data iid --train-size 16 --steps 2000 --batch 32 --log-every 50 --ema-decay 0.9"
    words += f" --probe-every 50 --stop-at 0.1 --loss loo --out {tmp_path}"
    call = [sys.executable, "-m", "models.training", *words.split()]
    ran = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    rows = [json.loads(line) for line in (tmp_path / "readings.jsonl").read_text().splitlines()]
    step = rows[-1]["step"]
    assert step < 2000
    assert f"stopped at step {step}, as M is above 0.1" in ran.stdout
    assert load_model(tmp_path / "model")[1]["steps"] == rows[-2]["step"]
    assert load_model(tmp_path / "model-raw")[1]["steps"] == step

"""A series of checkpoints: the onset of memorization exactly, its coverage, and the command."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import jax
import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from am_theory.channel import Absorbing
from models.networks.mlp import MLPDenoiser
from models.released.checkpoint import save_model
from models.training.config import TrainConfig
from models.training.memorized import Drawn, drawn, order_parameter
from models.training.readings import Reading
from models.training.train import train
from simulations.console.errors import UserError
from simulations.probe import command as probe
from simulations.probe.series import cells
from simulations.probe.series.analysis import analyse
from simulations.probe.series.command import execute
from simulations.probe.series.config import SeriesConfig
from simulations.probe.series.onset import onset_at, onset_of_largest
from simulations.probe.series.report import answer
from simulations.results.files import ResultsError, read_dataset
from tests.helpers import assert_close

V, L, N = 16, 8, 128
STORED, HELDOUT = np.random.default_rng(0).integers(V, size=(2, N, L)).astype(np.uint8)
STEPS = (5, 20, 60, 120)
CONFIG = TrainConfig(steps=120, batch=8, warmup=40, learning_rate=1e-2, ema_decay=0.9)


def part(restored_train, restored_heldout, step, n=50, corrupted=20):
    """A checkpoint at which every sequence has these counts of restored tokens by level."""
    columns = {}
    for split, counts in (("train", restored_train), ("heldout", restored_heldout)):
        right = np.tile(np.asarray([0, *counts], float), (n, 1))
        lost = np.tile([0.0] + [float(corrupted)] * len(counts), (n, 1))
        ones = np.ones_like(right)
        for field, values in zip(Reading._fields, (lost, right, ones, ones, ones), strict=True):
            columns[f"{field}_{split}"] = ((split, "t"), values)
    return xr.Dataset(columns, attrs={"step": step, "notes": ""})


ONE = SeriesConfig(levels=(0.25,), replicates=100)


# Onset


def test_the_onset_of_given_recoveries_is_exact():
    """R_heldout is .5: M is 0, .1 and .3 where R_train is .5, .55 and .65."""
    parts = {f"s{k}": part([r], [10], k) for k, r in ((10, 10), (100, 10), (10_000, 14))}
    series = analyse(ONE, parts, {})
    assert [point.by_level[0].value for point in series.points] == pytest.approx([0, 0, 0.4])
    onset = series.onsets[0]
    assert onset.step == pytest.approx(100 * 100**0.25)  # 0 to .4, of which .1 is a quarter
    assert_close([onset.low, onset.high], [onset.step] * 2)  # all sequences say the same
    assert not onset.before
    assert answer(series) == "Memorization sets in at step 316 (95 %: 316 to 316)"
    largest = series.onsets[1]
    assert_close([largest.step, largest.low, largest.high], [onset.step] * 3)


@pytest.mark.parametrize(
    "restored, words",
    [
        ((10, 10, 10), "Memorization has not set in by the last checkpoint, step 1,000"),
        ((14, 16, 18), "before the first checkpoint (95 %: before the first to before the first)"),
        ((14, 10, 16), "Memorization sets in at step 147"),
    ],
)
def test_onsets_that_the_series_does_not_hold_are_answers(restored, words):
    parts = {f"s{k}": part([r], [10], k) for k, r in zip((10, 100, 1000), restored, strict=True)}
    series = analyse(ONE, parts, {})
    assert words in answer(series)
    assert series.onsets[0].before == (restored[0] == 14 and restored[1] == 10)


def test_points_that_say_nothing_are_left_out_of_the_onset():
    draws = np.tile([[0.0], [0.0], [np.nan], [0.2], [0.4]], (1, 4))
    steps = np.array([0.0, 10, 20, 1000, 5000])
    assert onset_at("M", steps, draws, 0.1).step == pytest.approx(100)
    assert onset_at("M", steps[:3], draws[:3], 0.1).answer == "undefined"
    levels = [np.tile(row[:, None], (1, 2)) for row in draws]
    assert onset_of_largest("M", steps, levels, 0.1).step == pytest.approx(100)


def test_an_unordered_list_is_sorted_by_step_and_an_unknown_step_is_counted():
    restored = {"b": (16, 100), "a": (10, 10), "c": (18, 1000)}
    parts = {name: part([r], [10], step) for name, (r, step) in restored.items()}
    series = analyse(ONE, parts, {})
    assert [point.name for point in series.points] == ["a", "b", "c"]
    parts["c"].attrs["step"] = -1
    counted = analyse(ONE, parts, {})
    assert counted.ordered
    assert [(point.name, point.step) for point in counted.points] == [("b", 1), ("a", 2), ("c", 3)]


def sampled(rng, curves, n, heldout):
    """Readings of checkpoints whose recoveries by level are `curves` (checkpoints, levels): the
    corrupted tokens and the ease of a sequence are the same at all checkpoints."""
    corrupted = rng.binomial(16, [0.1, 0.2, 0.4], size=(n, 3))
    ease = rng.normal(0, 1, (n, 1))
    uniforms = rng.random((n, 3, 16))
    there = np.arange(16) < corrupted[..., None]
    found = []
    for recovery in np.broadcast_to(heldout, curves.shape) if heldout is not None else curves:
        logit = np.log(recovery / (1 - recovery))
        chance = 1 / (1 + np.exp(-(logit + ease)))
        right = ((uniforms < chance[..., None]) & there).sum(-1)
        zeros = np.zeros((n, 3))
        found.append(Reading(corrupted.astype(float), right.astype(float), zeros, zeros, zeros))
    return found


def memory_of(curves, heldout):
    """M of very many sequences."""
    rng, n = np.random.default_rng(99), 40_000
    both = [sampled(rng, curves, n, h) for h in (None, heldout)]
    once = Drawn(np.ones((1, n)), np.ones((0, 1)))
    return np.array([order_parameter(a, b, once, once)[0] for a, b in zip(*both, strict=True)])


def test_intervals_of_the_onset_cover():
    steps = np.array([100.0, 200, 400, 800, 1600, 3200])
    heldout = np.array([0.3, 0.3, 0.25])
    rise = 1 / (1 + np.exp(-(np.log(steps / 700) * 2)))
    curves = heldout + np.outer(rise, [0.25, 0.3, 0.3])
    truth = memory_of(curves, heldout)
    onsets = [onset_at("", steps, truth[:, [k, k, k]], 0.1).step for k in range(3)]
    most = truth.max(1)
    largest = onset_at("", steps, np.stack([most] * 3, 1), 0.1).step
    assert all(200 < step < 800 for step in onsets)
    runs, hits, inside = 120, np.zeros(3), 0
    for run in range(runs):
        rng = np.random.default_rng(run)
        both = [sampled(rng, curves, 150, h) for h in (None, heldout)]
        each = [drawn(rng, 150, 200) for _ in range(2)]
        draws = [order_parameter(a, b, *each) for a, b in zip(*both, strict=True)]
        for k in range(3):
            found = onset_at("", steps, np.stack([one[:, k] for one in draws]), 0.1)
            hits[k] += found.low <= onsets[k] <= found.high
        found = onset_of_largest("", steps, draws, 0.1)
        inside += found.low <= largest <= found.high
    error = np.sqrt(0.95 * 0.05 / runs)
    assert (hits / runs > 0.95 - 4 * error).all()
    assert inside / runs > 0.95 - 4 * error


# Checkpoints


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Checkpoints of a run in which memory sets in, and its sequences."""
    folder = tmp_path_factory.mktemp("run")
    np.save(folder / "train.npy", STORED)
    np.save(folder / "test.npy", HELDOUT)

    class Keep:
        every, stopped = 5, False

        def __call__(self, step, model):
            if step in STEPS:
                save_model(model, folder / f"step-{step}", {"steps": step})

    model = MLPDenoiser(jax.random.key(0), V, L, 64)
    train(jax.random.key(1), model, STORED, N, CONFIG, steps_per_call=5, watch=Keep())
    return folder


def ask(folder, *words, train=True, test="test.npy"):
    """Run the command; its status and what it says."""
    console = Console(record=True, width=400, file=io.StringIO())
    given = [*map(str, words), "--test", str(folder / test)]
    given += ["--train", str(folder / "train.npy")] if train else []
    status = execute(given, console)
    return status, console.export_text()


def checkpoints(folder, steps=STEPS):
    return [folder / f"step-{step}.json" for step in steps]


@pytest.fixture(scope="module")
def told(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    (run / "bad.ckpt").write_bytes(b"junk")
    save_model(MLPDenoiser(jax.random.key(0), V, L + 1, 8), run / "other", {"steps": 7})
    words = [*checkpoints(run)[::-1], run / "bad.ckpt", run / "other.json"]
    return ask(run, *words, "--out", out, "--generate", 16, "--n-steps", 4), out


def test_a_series_sees_memory_set_in_between_its_checkpoints(told, run):
    (status, said), out = told
    assert status == 1
    assert "bad.ckpt: failed: " in said
    assert "other.json: failed: another network than the first one" in said
    summary = json.loads((out / "summary.json").read_text())
    onset = summary["onsets"][2]
    assert onset["what"] == "M at t = 0.25"
    assert 5 < onset["step"] < 60
    assert onset["low"] <= onset["step"] <= onset["high"]
    assert f"Memorization sets in at step {onset['step']:.3g} (95 %: " in said
    assert len(summary["failures"]) == 2
    with open(out / "series.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["5", "20", "60", "120"]
    values = [float(row["memory_t0.25"]) for row in rows]
    assert values[0] < 0.1 < values[2]
    page = (out / "report.md").read_text()
    assert "Checkpoints that could not be read" in page
    assert (out / "series.png").stat().st_size > 0
    data = read_dataset(out / "series.nc")
    assert data["entropy_generated"].shape == (4, 16, 5)


def test_a_series_resumes_and_takes_more_checkpoints(run, tmp_path, monkeypatch):
    counted, compute = [], cells.compute

    def counting(denoiser, config, given, step):
        counted.append(step)
        return compute(denoiser, config, given, step)

    monkeypatch.setattr(cells, "compute", counting)
    few = "--sequences", 20, "--out", tmp_path, "--no-figures"
    ask(run, *checkpoints(run, (5, 20)), *few)
    ask(run, *checkpoints(run, (5, 20, 60)), *few, "--bound", 0.2)
    assert counted == [5, 20, 60]
    alone = tmp_path / "alone"
    ask(run, *checkpoints(run, (60,)), "--sequences", 20, "--out", alone, "--no-figures")
    both = [read_dataset(folder / "series.nc") for folder in (tmp_path, alone)]
    for field in ("restored_train", "entropy_heldout"):  # not of the others in the list
        np.testing.assert_array_equal(both[0][field][2], both[1][field][0])
    with pytest.raises(ResultsError, match="another probe"):
        ask(run, *checkpoints(run, (5,)), "--sequences", 30, "--out", tmp_path)


def test_without_training_sequences_no_onset_is_told(run, tmp_path):
    words = [*checkpoints(run, (5, 60)), "--sequences", 20, "--out", tmp_path]
    status, said = ask(run, *words, train=False)
    assert status == 0
    assert "no onset of memorization is told" in said
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["onsets"] == []
    assert summary["points"][0]["entropy"]["heldout"][0] > 0
    assert "memory" not in (tmp_path / "report.md").read_text().split("## Definitions")[0]


def test_the_probe_hands_a_series_on(run, tmp_path):
    words = ["--test", str(run / "test.npy"), "--out", str(tmp_path), "--sequences", "20"]
    paths = [str(path) for path in checkpoints(run, (5, 60))]
    equals = [f"--series={paths[0]}", paths[1], *words]
    for given in (["--series", *paths, *words], [*words, "--series", *paths], equals):
        assert probe.execute([*given, "--no-figures"], Console(quiet=True)) == 0
    assert len(json.loads((tmp_path / "summary.json").read_text())["points"]) == 2


def test_what_cannot_be_used_is_refused_in_a_sentence(run, tmp_path):
    with pytest.raises(UserError, match="give the checkpoints"):
        execute([], Console(quiet=True))
    with pytest.raises(UserError, match="no checkpoint could be read"):
        ask(run, run / "none.ckpt", "--out", tmp_path)
    with pytest.raises(ValueError, match="`generate` must be at least 8"):
        SeriesConfig(generate=3)
    with pytest.raises(ValueError, match="`levels` must increase"):
        SeriesConfig(levels=(0.5, 0.1))
    np.save(run / "short.npy", HELDOUT[:, :5])
    with pytest.raises(UserError, match="tokens"):
        ask(run, *checkpoints(run), "--out", tmp_path, test="short.npy")


def test_a_masked_network_is_read_at_masked_sites(tmp_path):
    model = MLPDenoiser(jax.random.key(0), V, L, 8, channel=Absorbing(V))
    config = SeriesConfig(sequences=16, generate=8, n_steps=2, replicates=100)
    given = {"train": STORED, "heldout": HELDOUT}
    parts = {
        "a": cells.compute(model, config, given, 1),
        "b": cells.compute(model, config, given, 2),
    }
    assert_close(parts["a"]["sites_train"][:, 1:], parts["a"]["corrupted_train"][:, 1:])
    few = {"train": STORED[:16], "heldout": HELDOUT}
    copied = cells.compute(model, replace(config, sequences=64), few, 1)
    for split in ("train", "heldout"):
        assert 3 * L > copied[f"sites_{split}"][:, -1].mean() > 1.5 * L  # of four copies, at 0.5
    series = analyse(config, parts, {})
    assert series.points[0].memory == series.points[1].memory
    assert series.splits == ["train", "heldout", "generated"]
    assert series.points[0].entropy["heldout"].value == pytest.approx(np.log(V), rel=0.1)

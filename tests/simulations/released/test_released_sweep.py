"""The sweep over released networks: limits of what a cell measures, twelve tiny networks from files
end to end, and M, G and recoveries again by hand from the raw counts."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import time

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from am_theory.channel import Absorbing, LogLinear
from models.errors import CheckpointError
from models.exact.empirical import EmpiricalDenoiser
from models.networks.dit import DiT, Shape
from models.released.checkpoint import load_model, save_model
from models.released.files.safe_tensors import sha256_of
from models.released.released import to_named
from models.training.config import TrainConfig
from simulations.console.errors import UserError
from simulations.measure.transition import as_estimate
from simulations.released.analysis import HEADLINE
from simulations.released.cells import (
    MEMORIZER,
    SPLITS,
    Bench,
    Queries,
    checkpoint_files,
    checksum_of,
    compute,
    queries_of,
    read_network,
)
from simulations.released.config import ReleasedConfig, make_cells
from simulations.released.entries import COLUMNS, Entry
from simulations.released.rehearsal import Rehearsal, material_of, trained
from simulations.released.report import size_words
from simulations.released.study import STUDY
from simulations.sweep.complete import CellsFailed
from tests import torch_files

SMALL = Rehearsal(
    seq_len=8,
    train_sizes=(2, 8, 32, 64, 128, 256),
    seeds=2,
    widths=(16,),
    training=TrainConfig(steps=200, batch=16, warmup=20, weight_decay=0.02),
)
CONFIG = ReleasedConfig(queries=16, n_steps=4, replicates=100, rehearsal=SMALL)


# what a cell measures


def test_the_memorizer_of_one_sequence_restores_it_and_has_no_entropy():
    x_0 = np.tile(np.arange(6, dtype=np.uint8), (16, 1))
    bench = Bench(CONFIG, 0, 6)
    asked = Queries(x_0, np.zeros(16, np.int64))
    bench.measure("train", asked, MEMORIZER, EmpiricalDenoiser(x_0[:1], 8))
    mine = bench.out.sel(split="train", actor=MEMORIZER)
    assert mine["corrupted"].sum() > 50
    for name in ("recovered", "best_change"):
        np.testing.assert_array_equal(mine[name], mine["corrupted"])
    for name in ("entropy", "predicted_entropy", "log_loss"):
        np.testing.assert_allclose(mine[name], 0, atol=1e-6)
    for name in ("vanishing", "predicted_vanishing"):
        np.testing.assert_array_equal(mine[name], 6)
    rest = bench.out.sel(actor=["network", "law"])
    assert (rest["recovered"] == -1).all() and np.isnan(rest["entropy"]).all()


def test_queries_are_the_first_rows_of_the_shuffle_and_repeat_where_these_end():
    held = np.arange(40).reshape(20, 2) % 8
    stored = np.arange(6, dtype=np.uint8).reshape(3, 2)
    found = queries_of(held, stored, 5, 8)
    order = np.random.default_rng(5).permutation(20)[:8]
    np.testing.assert_array_equal(found["heldout"].x_0, held[order])
    np.testing.assert_array_equal(found["train"].rows, [0, 1, 2, 0, 1, 2, 0, 1])
    np.testing.assert_array_equal(found["train"].x_0, stored[found["train"].rows])
    few = queries_of(held[:3], stored, 5, 8)["heldout"]
    assert sorted(set(few.rows.tolist())) == [0, 1, 2] and len(few.rows) == 8


def test_a_network_of_masks_is_refused_in_one_sentence(tmp_path):
    model = DiT(jax.random.key(0), 8, Shape(8, 1, 2, 8), 6, LogLinear(), channel=Absorbing(8))
    save_model(model, tmp_path / "masks")
    entry = Entry(str(tmp_path / "masks"), "tiny", 8, None, 0)
    with pytest.raises(CheckpointError, match="undoes absorbing noise, and this sweep gives"):
        read_network(entry, entry.checkpoint, "ema")


def test_the_file_that_a_checksum_is_taken_of(tmp_path):
    (tmp_path / "folder").mkdir()
    shards = ["folder/model-1.safetensors", "folder/model-2.safetensors"]
    for name in ("ours.json", "ours.safetensors", "a.ckpt", "folder/config.json", *shards):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder/model.safetensors.index.json").touch()
    for asked, files in {
        "ours": ["ours.safetensors"],
        "ours.json": ["ours.safetensors"],
        "ours.safetensors": ["ours.safetensors"],
        "a.ckpt": ["a.ckpt"],
        "folder": shards,
        "folder/model.safetensors.index.json": shards,
    }.items():
        assert checkpoint_files(str(tmp_path / asked)) == [tmp_path / file for file in files]
    assert checkpoint_files("owner/name@v1:a.ckpt") == [] and checksum_of([]) == ""
    both = [tmp_path / file for file in shards]
    assert checksum_of(both[:1]) == sha256_of(both[0])
    assert len({checksum_of(both[:1]), checksum_of(both), checksum_of(both[::-1])}) == 3


def test_words_of_sizes_say_on_which_side_of_the_grid_they_are():
    def words(value, *replicates):
        return size_words(as_estimate("K", value, replicates, [value], "sequences only"))

    assert words(30.0, 20.0, 40.0) == "30 [20, 40]"
    assert words(30.0, -np.inf, 40.0) == "30 [below the grid, 40]"
    assert words(np.inf, 20.0, np.inf) == "not within the grid, above it"
    assert words(-np.inf, -np.inf) == "not within the grid, below it"
    assert words(np.nan, np.nan) == "undefined"
    assert words(3.25, np.nan) == "3.25 (no interval)"


# twelve networks, from files


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A folder with corpus.npy, held_out.npy, list.csv of twelve networks, half of them in the
    authors' layout, and all.csv that names a broken one too."""
    folder = tmp_path_factory.mktemp("networks")
    material = material_of(SMALL, CONFIG.queries, CONFIG.root_seed)
    np.save(folder / "corpus.npy", material.corpus)
    np.save(folder / "held_out.npy", material.held_out)
    rows = []
    for entry in SMALL.entries():
        path = trained(SMALL, entry, material, CONFIG.root_seed, folder)
        row = {"checkpoint": path.name, "network": "tiny", "seed": entry.seed}
        if entry.seed:
            row |= {"train_size": entry.train_size}
        else:  # by its fraction, in the authors' layout
            row |= {"train_size": entry.train_size, "n_heads": 2, "seq_len": 8}
            row |= {"channel": "uniform", "law": "loo", "time": "sigma", "schedule": "log-linear"}
            model, _ = load_model(path)
            path.with_suffix(".json").unlink()
            save_file(to_named(model), path.with_suffix(".safetensors"))
            row["checkpoint"] += ".safetensors"
        rows.append(row)
    (folder / "broken.ckpt").write_bytes(b"no network at all")
    broken = {"checkpoint": "broken.ckpt", "network": "broken", "train_size": 4, "seed": 0}
    for name, listed in (("list.csv", rows), ("all.csv", [*rows, broken])):
        with open(folder / name, "w", newline="") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            table.writerows(listed)
    return folder


def settings_of(folder, listed="list.csv"):
    names = ("queries", "n_steps", "replicates")
    return {
        "checkpoints": (str(folder / listed),),
        "corpus": folder / "corpus.npy",
        "held_out": folder / "held_out.npy",
        **{name: getattr(CONFIG, name) for name in names},
    }


@pytest.fixture(scope="module")
def found(networks):
    """The sweep over the list, after one that had the broken checkpoint in it too."""
    out = networks / "results"
    with pytest.raises(CellsFailed, match=r"1 of 13 cells failed \(broken-K4-seed0: Checkpoint"):
        STUDY.run("smoke", out=out, workers=1, **settings_of(networks, "all.csv"))
    assert len(list((out / "cells").glob("*.nc"))) == 12
    return STUDY.run("smoke", out=out, workers=1, **settings_of(networks))


@pytest.mark.slow
def test_twelve_networks_are_measured_and_told(networks, found):
    data = found.data
    assert dict(data.sizes) | {"checkpoint": 12, "sample": 16} == dict(data.sizes)
    for row in range(12):
        one = data.isel(checkpoint=row)
        (file,) = checkpoint_files(str(one["checkpoint"].item()))
        assert one["sha256"].item() == sha256_of(file)
        assert one["source_kind"].item() == ("ours" if one["seed"].item() else "safetensors")
    assert (data["corpus_rows"] == 512).all() and data["recovered"].sel(actor="law").max() == -1
    report = (found.out / "report.md").read_text()
    assert "**tiny: K_M (memory lost) " in report and "K_G (law found) " in report
    assert report.index("K_M (memory lost)") < report.index("## tiny: recovery")
    assert "which stands for the law that nobody knows" in report
    told = json.loads((found.out / "summary.json").read_text())["networks"]["tiny"]
    assert told["train_sizes"] == list(SMALL.train_sizes) and told["seeds"] == [0, 1]
    assert (found.out / "released.png").stat().st_size > 20_000


@pytest.mark.slow
def test_networks_of_one_seed_are_given_the_same_inputs(found):
    data = found.data
    for seed in (0, 1):
        mine = data.isel(checkpoint=np.flatnonzero(data["seed"].values == seed))
        held = mine.sel(split="heldout")
        assert (held["corrupted"] == held["corrupted"].isel(checkpoint=0)).all()
        large = mine.isel(checkpoint=np.flatnonzero(mine["train_size"].values >= 16))
        train = large.sel(split="train")
        assert (train["corrupted"] == train["corrupted"].isel(checkpoint=0)).all()


@pytest.mark.slow
def test_a_file_gives_the_numbers_of_the_network_that_was_saved_in_it(found):
    """The rehearsal trains the same networks, and reads them without a list."""
    for row, entry in enumerate(SMALL.entries()):
        if entry.train_size not in (2, 256):
            continue
        ours = compute(CONFIG, entry.as_dict())
        theirs = found.data.isel(checkpoint=row)
        for name in ("corrupted", "cluster"):
            np.testing.assert_array_equal(ours[name], theirs[name])
        for name in ("entropy", "log_loss"):
            both = [one[name].sel(actor=["network", "memorizer"]).values for one in (ours, theirs)]
            np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_lightning_checkpoint_named_as_the_authors_name_theirs_says_its_fraction(networks, found):
    model, _ = load_model(networks / "width16-K256-seed1")
    state = {name: np.asarray(x) for name, x in to_named(model, buffers=True).items()}
    file = networks / "outputs" / "lm1b-tiny-0.5.ckpt"
    file.parent.mkdir()
    algo = {"name": "duo", "backbone": "dit", "parameterization": "mean", "time_conditioning": True}
    told = {"algo": algo, "model": {"length": 8}}
    told |= {"noise": {"type": "log-linear"}}
    torch_files.write(file, {"state_dict": state, "hyper_parameters": {"config": told}})
    settings = settings_of(networks) | {"checkpoints": (str(file.parent),), "subset_seed": 1}
    config = ReleasedConfig(**settings)
    (cell,) = make_cells(config)
    assert cell.name == "tiny-f0.5-seed1"
    ours = compute(config, cell.coordinates)
    assert (ours.attrs["train_size"], ours.attrs["source_kind"]) == (256, "lightning")
    theirs = found.data.isel(checkpoint=11)
    assert (theirs["train_size"].item(), theirs["seed"].item()) == (256, 1)
    np.testing.assert_array_equal(ours["corrupted"], theirs["corrupted"])
    both = [one["entropy"].sel(actor=["network", "memorizer"]).values for one in (ours, theirs)]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_recovery_memory_and_generalization_follow_from_the_raw_counts(found):
    data, t = found.data, CONFIG.headline
    rates = {}
    for split in SPLITS:
        part = data.sel(split=split, t=t)
        for actor in ("network", "memorizer"):
            top = part["recovered"].sel(actor=actor).sum("sample").values
            share = top / part["corrupted"].sum("sample").values
            rates[split, actor] = [
                share[data["train_size"].values == size].mean() for size in SMALL.train_sizes
            ]
    group = found.analysis.groups[0]
    for (split, actor), expected in rates.items():
        np.testing.assert_allclose(group.rate(HEADLINE, split, t, actor).estimate, expected)
    order = group.orders[HEADLINE, t]
    for split, curve in (("train", order.memory), ("heldout", order.generalization)):
        network, memorizer = (np.array(rates[split, a]) for a in ("network", "memorizer"))
        law = network[-1]
        zero, one = (law, memorizer) if split == "train" else (memorizer, law)
        known = ~np.isnan(curve.estimate)
        assert known.any()
        expected = ((network - zero) / (one - zero))[known]
        np.testing.assert_allclose(curve.estimate[known], expected)


@pytest.mark.slow
def test_a_checkpoint_that_changed_since_is_noticed(networks, found):
    (file,) = checkpoint_files(str(found.data["checkpoint"].values[0]))
    kept = file.read_bytes()
    later = time.time() + 60
    os.utime(file, (later, later))  # touched alone: the same network
    STUDY.run("smoke", out=found.out, workers=1, **settings_of(networks))
    file.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    os.utime(file, (later, later))
    with pytest.raises(
        UserError, match=r"has changed since it was measured: remove .*tiny-K2-seed0"
    ):
        STUDY.run("smoke", out=found.out, workers=1, **settings_of(networks))
    file.write_bytes(kept)


@pytest.mark.slow
def test_one_checkpoint_alone_is_told_without_a_transition(networks, found, tmp_path):
    lines = (networks / "list.csv").read_text().splitlines()[:2]
    (networks / "one.csv").write_text("\n".join(lines) + "\n")
    one = STUDY.run("smoke", out=found.out, workers=1, **settings_of(networks, "one.csv"))
    assert one.analysis.groups[0].orders == {}
    assert "K_M and K_G need two sizes or more" in one.report.lines[0]


@pytest.mark.slow
def test_a_wrong_seed_is_noticed_by_its_recovery(networks, found):
    """With the subset of another seed a network restores `training` sequences like any others."""
    analysis = found.analysis
    group = analysis.groups[0]
    swapped = {
        key: group.rates[(key[0], "heldout", *key[2:])] if key[1] == "train" else rate
        for key, rate in group.rates.items()
    }
    wrong = dataclasses.replace(group, rates=swapped)
    told = STUDY.report(dataclasses.replace(analysis, groups=[wrong]))
    assert any("the rebuilt subset is not its training set" in line for line in told.lines)

"""The main job end to end at a tiny size: resume, equality, and every refusal in words."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from simulations.console.errors import UserError
from simulations.data.corpora import TextFile
from simulations.measure.checks import Check
from simulations.measure.names import DENOISERS
from simulations.phase.comparison import bound_checks
from simulations.phase.config import Config, make_cells, preset
from simulations.phase.study import STUDY, merge
from tests.helpers import ROOT, shared
from tests.simulations.registry import STUDIES

SCRIPT = str(ROOT / "simulations" / "phase_diagram.py")
TINY = ["--preset", "smoke", *STUDIES["phase_diagram"].tiny.split(), "--workers", "1"]


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


@pytest.fixture
def tiny(tiny_run):
    return tiny_run("phase_diagram")


def test_the_report_has_its_parts(tiny):
    report = (tiny / "report.md").read_text()
    for heading in (
        *("What happened", "What is measured", "Order parameters", "The tail", "Attractors"),
        *("Has it an energy?", "Basin radii", "Theory against"),
    ):
        assert f"## {heading}" in report
    assert report.index("## What happened") < report.index("## What is measured")
    for name in ("phase_diagram.png", "readings.png", "explorer.html"):
        assert name in report
        assert (tiny / name).stat().st_size > 0
    summary = json.loads((tiny / "summary.json").read_text())
    assert summary["exact_failures"] == []
    assert len(summary["exact_checks"]) > 60


def test_merged_data_open_with_xarray_and_carry_their_provenance(tiny):
    with xr.open_dataset(tiny / "phase_diagram.nc", engine="h5netcdf") as data:
        assert data.sizes["train_size"] == 2
        assert data["recovered"].attrs["units"] == "tokens"
        assert json.loads(data.attrs["configuration"])["train_sizes"] == [4, 64]
        for key in ("config_hash", "commit", "numpy_version", "python_version"):
            assert data.attrs.get(key), key


def test_counts_are_consistent_and_every_denoiser_is_measured(tiny):
    with xr.open_dataset(tiny / "phase_diagram.nc", engine="h5netcdf") as data:
        restored = data.sel(split=["train", "heldout"])
        corrupted = restored["corrupted"].values
        assert corrupted.min() >= 0
        assert corrupted.max() <= 8
        for denoiser in DENOISERS:
            if denoiser == "nelbo":  # trained at none of these sizes
                continue
            part = restored.sel(denoiser=denoiser)
            recovered = part["recovered"].transpose("decoder", *restored["corrupted"].dims).values
            assert recovered.min() >= 0
            assert (recovered <= corrupted).all()
            companion = denoiser == "pairwise"  # `loo` alone; it knows no level
            assert np.isfinite(part["entropy"].sel(law="loo")).all()
            assert np.isfinite(part["entropy"].sel(law="full")).all() != companion
            assert np.isfinite(part["nelbo"]).all() != companion
            histogram = data["entropy_histogram"].sel(denoiser=denoiser).sum("entropy_bin")
            assert (histogram == 32 * 8).all()  # every token of every split is counted once
        assert np.isfinite(data["true_weight"]).all()


@pytest.mark.slow
def test_one_worker_gives_the_numbers_of_two_and_a_cell_cut_short_is_recomputed(tiny, tmp_path):
    out = tmp_path / "one"
    ran = run(*TINY, "--workers", "1", "--out", str(out))
    assert ran.returncode == 0, ran.stderr
    cell = out / "cells" / "K04-seed0.nc"
    cell.write_bytes(cell.read_bytes()[:1000])
    ran = run(*TINY, "--workers", "1", "--out", str(out))
    assert ran.returncode == 0, ran.stderr
    assert "K04-seed0" in ran.stdout
    config = dataclasses.replace(preset("smoke"), train_sizes=(4, 64))
    ours, theirs = merge(out, config), merge(tiny, config)
    xr.testing.assert_equal(ours.drop_vars("cell_seconds"), theirs.drop_vars("cell_seconds"))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [("--seq-len", "1"), ("--vocab-size", "2")])
def test_edge_shapes_run_for_both_sources(tmp_path, shape):
    for source in ("iid", "markov"):
        sizes = ("--train-sizes", "1", "3")
        ran = run(*TINY, *shape, *sizes, "--source", source, "--out", str(tmp_path / source))
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.slow
def test_a_real_text_runs_and_says_that_population_curves_are_absent(tmp_path):
    text = shared("data/tinyshakespeare.txt")
    out = tmp_path / "text"
    ran = run(*TINY, "--source", "text", "--text", str(text), "--out", str(out))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "held-out windows" in (out / "report.md").read_text()
    with xr.open_dataset(out / "phase_diagram.nc", engine="h5netcdf") as data:
        assert (data["recovered"].sel(denoiser="population") == -1).all()


@pytest.mark.slow
def test_a_network_trained_by_the_nelbo_stands_beside_the_other(tmp_path):
    out = tmp_path / "nelbo"
    ran = run(*TINY, "--nelbo-sizes", "4", "64", "--out", str(out))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "network, NELBO" in (out / "report.md").read_text()
    with xr.open_dataset(out / "phase_diagram.nc", engine="h5netcdf") as data:
        ours, theirs = (data["entropy"].sel(denoiser=name) for name in ("trained", "nelbo"))
        assert np.isfinite(theirs.sel(split="train", law="loo")).all()
        place = {"split": "train", "law": "loo"}
        assert not np.allclose(ours.sel(place), theirs.sel(place))


@pytest.mark.slow
def test_nan_in_training_stops_the_cell_and_names_the_step(tmp_path):
    ran = run(*TINY, "--learning-rate", "1e38", "--out", str(tmp_path / "nan"))
    assert ran.returncode == 1
    assert "at step" in ran.stdout
    assert "K04-seed0" in ran.stdout
    assert (tmp_path / "nan" / "cells" / "exact-checks.nc").exists()  # what is done is kept
    assert "Traceback" not in ran.stdout + ran.stderr


def test_more_sequences_than_the_text_has_are_refused(tmp_path):
    text = tmp_path / "text.txt"
    rng = np.random.default_rng(0)
    text.write_text("".join(rng.choice(list("abcdefgh "), size=2000)))
    words = ["--preset", "smoke", "--source", "text", "--text", str(text), "--train-sizes", "4096"]
    with pytest.raises(UserError, match="a training set of 4096 was asked for"):
        STUDY.execute([*words, "--out", str(tmp_path / "out")], Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_the_hash_changes_with_every_field_and_with_the_text():
    base = preset("smoke")

    def key(**changed):
        return STUDY.configuration_hash(dataclasses.replace(base, **changed))

    seen = {key(), key(root_seed=1), key(n_steps=17), key(levels=(0.1, 0.3)), key(gpu=True)}
    seen |= {key(text=TextFile("t", body)) for body in (b"a", b"b")}
    assert key(text=TextFile("u", b"a")) in seen
    assert len(seen) == 7


def test_the_small_preset_has_what_the_readme_promises():
    config = preset("small")
    assert config == Config()
    assert len(config.levels) >= 7
    assert config.queries >= 2048
    assert len(config.train_sizes) >= 10
    assert config.train_sizes[-1] / config.train_sizes[0] >= 1000
    assert len(make_cells(config)) == len(config.train_sizes) * config.seeds + 2


def test_a_bound_that_is_broken_is_seen(tiny):
    config = dataclasses.replace(preset("smoke"), train_sizes=(4, 64))
    data = merge(tiny, config)
    assert all(check.agrees for check in bound_checks(config, data))
    better = data.copy(deep=True)
    place = {"denoiser": "trained", "decoder": "argmax"}
    better["recovered"].loc[place] = better["corrupted"]
    better["broken"].loc[place] = 0
    assert not all(check.agrees for check in bound_checks(config, better))


def test_a_check_reports_its_deviation_in_standard_errors():
    assert Check("x", 1.0, 0.0, 0.1, 200).z == pytest.approx(10)
    assert not Check("x", 1.0, 0.0, 0.1, 200).agrees
    assert Check("x", 0.2, 0.0, 0.1, 200).agrees
    assert Check("x", 0.3, 0.3, 0.0, 200).agrees
    assert not Check("x", 0.3, 0.2, 0.0, 200).agrees
    assert not Check("x", float("nan"), 0.2, 0.1, 200).agrees

"""The main job end to end at a tiny size: resume, equality, and every refusal in words."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from simulations.data.corpora import TextFile
from simulations.measure.checks import Check
from simulations.phase.comparison import bound_checks
from simulations.phase.config import DENOISERS, Config, preset
from simulations.phase.study import configuration_hash, make_cells, merge, parse
from tests.helpers import ROOT, shared

SCRIPT = str(ROOT / "simulations" / "phase_diagram.py")
TINY = (
    "--preset smoke --train-sizes 4 64 --queries 32 --nelbo-queries 16 --nelbo-draws 4 "
    "--pattern-sets 200 --replicates 200 --width 16 --steps 20 --workers 1"
).split()


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    out = tmp_path_factory.mktemp("tiny") / "run"
    ran = run(*TINY, "--check", "--out", str(out))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return out


def test_everything_promised_is_written(tiny):
    names = {path.name for path in tiny.iterdir()}
    expected = {"cells", "phase_diagram.nc", "summary.json", "report.md"}
    assert expected | {"phase_diagram.png", "phase_diagram.pdf"} <= names
    assert not [name for name in names if ".tmp" in name]
    report = (tiny / "report.md").read_text()
    for heading in ("What is measured", "Where the transition is", "Basin radii", "Theory against"):
        assert heading in report
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
        corrupted = data["corrupted"].values
        assert corrupted.min() >= 0
        assert corrupted.max() <= 8
        for denoiser in DENOISERS:
            part = data.sel(denoiser=denoiser)
            recovered = part["recovered"].transpose("decoder", *data["corrupted"].dims).values
            assert recovered.min() >= 0
            assert (recovered <= corrupted).all()
            assert np.isfinite(part["entropy"]).all()
            assert np.isfinite(part["nelbo"]).all()
        assert np.isfinite(data["true_weight"]).all()


@pytest.mark.slow
def test_a_second_run_computes_nothing_and_changes_nothing(tiny):
    before = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (tiny / "cells").iterdir()}
    ran = run(*TINY, "--check", "--out", str(tiny))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "4 of 4 cells were already there" in ran.stdout
    after = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (tiny / "cells").iterdir()}
    assert before == after


def test_another_configuration_is_refused_before_anything_is_written(tiny):
    before = sorted(p.name for p in tiny.rglob("*"))
    ran = run(*TINY, "--root-seed", "7", "--out", str(tiny))
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert "--out" in ran.stderr
    assert sorted(p.name for p in tiny.rglob("*")) == before


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
def test_nan_in_training_stops_the_cell_and_names_the_step(tmp_path):
    ran = run(*TINY, "--learning-rate", "1e38", "--out", str(tmp_path / "nan"))
    assert ran.returncode == 1
    assert "at step" in ran.stdout
    assert "K04-seed0" in ran.stdout
    assert (tmp_path / "nan" / "cells" / "exact-checks.nc").exists()  # what is done is kept
    assert "Traceback" not in ran.stdout + ran.stderr


REFUSALS = [
    (["--preset", "huge"], "there is no preset 'huge'"),
    (["--source", "books"], "there is no source 'books'"),
    (["--source", "text"], "add --text FILE"),
    (["--text", "x.txt"], "--source text"),
    (["--source", "text", "--text", "/nonexistent/x.txt"], "cannot read the text file"),
    (["--preset", "smoke", "--levels", "0.5", "1.3"], "must lie in (0, 1]"),
    (["--preset", "smoke", "--train-sizes", "8", "4"], "increasing"),
    (["--preset", "smoke", "--train-sizes", "0"], "at least 1"),
    (["--preset", "smoke", "--vocab-size", "1"], "`vocab_size` must be at least 2"),
    (["--preset", "smoke", "--seq-len", "0"], "`seq_len` must be at least 1"),
    (["--preset", "smoke", "--workers", "0"], "`workers` must be at least 1"),
    (["--preset", "smoke", "--threshold", "1.5"], "`threshold` must lie in (0, 1)"),
    (["--preset", "smoke", "--steps", "0"], "`steps` and `batch` must be at least 1"),
    (["--preset", "smoke", "--seeds", "zero"], "seeds"),
]


@pytest.mark.parametrize(("arguments", "fragment"), REFUSALS)
def test_bad_arguments_get_one_sentence_and_status_2(
    arguments, fragment, tmp_path, monkeypatch, capsys
):
    from simulations.phase import study as phase_diagram

    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["phase_diagram.py", *arguments, "--out", str(out)])
    with pytest.raises(SystemExit) as stopped:
        phase_diagram.main()
    assert stopped.value.code == 2
    printed = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert fragment in printed
    assert not out.exists()


def test_more_sequences_than_the_text_has_are_refused(tmp_path, monkeypatch, capsys):
    from simulations.phase import study as phase_diagram

    text = tmp_path / "text.txt"
    rng = np.random.default_rng(0)
    text.write_text("".join(rng.choice(list("abcdefgh "), size=2000)))
    words = ["--preset", "smoke", "--source", "text", "--text", str(text), "--train-sizes", "4096"]
    monkeypatch.setattr(sys, "argv", ["phase_diagram.py", *words, "--out", str(tmp_path / "o")])
    with pytest.raises(SystemExit):
        phase_diagram.main()
    assert "a training set of 4096 was asked for" in " ".join(capsys.readouterr().err.split())


def test_output_below_a_file_is_refused(tmp_path, monkeypatch, capsys):
    from simulations.phase import study as phase_diagram

    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "out")
    monkeypatch.setattr(sys, "argv", ["phase_diagram.py", "--preset", "smoke", "--out", out])
    with pytest.raises(SystemExit) as stopped:
        phase_diagram.main()
    assert stopped.value.code == 2
    assert "file" in capsys.readouterr().err


def test_every_field_of_the_configuration_can_be_overridden():
    arguments = parse(["--preset", "smoke", "--seq-len", "5", "--loss", "full"])
    assert arguments.config.seq_len == 5
    assert arguments.config.training.loss == "full"
    assert parse([]).config == preset("small")


def test_the_hash_changes_with_every_field_and_with_the_text(tmp_path):
    base = preset("smoke")
    seen = {configuration_hash(base, None)}
    for name, value in (("root_seed", 1), ("n_steps", 17), ("levels", (0.1, 0.3))):
        seen.add(configuration_hash(dataclasses.replace(base, **{name: value}), None))
    for body in (b"a", b"b"):
        seen.add(configuration_hash(base, TextFile("t", body)))
    assert configuration_hash(base, TextFile("u", b"a")) in seen
    seen.add(configuration_hash(base, None, gpu=True))
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

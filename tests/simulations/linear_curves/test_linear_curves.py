"""The linear denoiser's command end to end at a tiny size, and what its numbers must obey."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from am_theory import linear
from models.streams import stream
from simulations.linear_curves import figure as linear_figures
from simulations.linear_curves import study as linear_curves
from simulations.linear_curves.analysis import QUANTITIES, analyse, exact_checks, rows
from simulations.linear_curves.cells import curve_point
from simulations.linear_curves.config import LinearConfig, dimension, preset, train_sizes
from simulations.linear_curves.report import by_size, families, finite_size
from simulations.linear_curves.study import configuration_hash, make_cells, merge, parse
from tests.helpers import ROOT, assert_refused, within_standard_errors

WORDS = (
    "--preset smoke --cases 3 4 0.5 3 8 0.5 2 5 0.7 --ratios 0.5 2.0 --seeds 3 --queries 16 "
    "--draws-case 2 6 0.5 --draws-ratios 0.5 1.0 --ridges 0.1 --draws 1 2 --flow-case 2 6 0.5 "
    "--flow-sizes 4 12 --times 0.5 2.0 --replicates 100 --workers 1"
).split()
CELLS = 6


def run(*arguments):
    command = [sys.executable, "-m", "simulations.linear_curves", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def config():
    return parse(WORDS).config


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    out = tmp_path_factory.mktemp("tiny") / "run"
    ran = run(*WORDS, "--check", "--out", str(out))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return out


@pytest.mark.slow
def test_everything_promised_is_written(tiny):
    names = {path.name for path in tiny.iterdir()}
    stem = "linear_curves"
    expected = {"cells", f"{stem}.nc", "summary.json", "report.md", f"{stem}.png", f"{stem}.pdf"}
    assert expected <= names
    assert not [name for name in names if ".tmp" in name]
    report = (tiny / "report.md").read_text()
    for heading in ("What is measured", "Largest deviation", "Finite size", "Exact at every size"):
        assert heading in report
    summary = json.loads((tiny / "summary.json").read_text())
    assert summary["exact_failures"] == []
    assert len(summary["exact_checks"]) == 3 * 5 + 2 * 2
    assert len(summary["theory_against_simulation"]) == 3 * 2 * 6 + 2 * 2 + 2 * 3 * 2


@pytest.mark.slow
def test_merged_data_open_with_xarray_and_carry_their_provenance(tiny):
    with xr.open_dataset(tiny / "linear_curves.nc", engine="h5netcdf") as data:
        assert data.sizes["case"] == 3 and data.sizes["seed"] == 3
        assert data["train_size"].values.tolist() == [[4, 16], [8, 32], [2, 10]]
        assert data["recovered"].attrs["units"] == "tokens"
        assert json.loads(data.attrs["configuration"])["flow_sizes"] == [4, 12]
        assert (data["recovered"] <= data["corrupted"]).all()
        assert (data["right"] >= data["recovered"]).all()
        for key in ("config_hash", "commit", "numpy_version"):
            assert data.attrs.get(key), key


@pytest.mark.slow
def test_a_second_run_computes_nothing_and_changes_nothing(tiny, monkeypatch, capsys):
    def state():
        return {p.name: p.stat().st_mtime_ns for p in (tiny / "cells").iterdir()}

    before = state()
    words = ["linear_curves.py", *WORDS, "--check", "--out", str(tiny)]
    monkeypatch.setattr(linear_figures, "linear_figure", lambda analysis, stem: None)  # seconds
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        linear_curves.main()
    assert ended.value.code == 0
    assert f"{CELLS} of {CELLS} cells were already there" in capsys.readouterr().out
    assert state() == before


@pytest.mark.slow
def test_deviations_are_those_of_the_saved_numbers(tiny, config):
    analysis = analyse(config, merge(tiny, config))
    part = analysis.data.isel(case=1)
    for k, (measure, split) in enumerate(QUANTITIES):
        one = part.sel(split=split)
        top, bottom = {
            "error": (one["error"], xr.ones_like(one["error"])),
            "all": (one["right"], one["tokens"]),
            "corrupted": (one["recovered"], one["corrupted"]),
        }[measure]
        expected = top.sum("seed") / bottom.sum("seed")
        np.testing.assert_allclose(analysis.curves[1].estimate[:, k], expected)
    assert analysis.curves[1].predicted[0, 0] == linear.errors(8, 8, 3, 0.5).train
    end = linear.errors(12, 6, 2, 0.5).heldout
    assert analysis.flow.predicted[1, -1, 1] == end
    assert [members for _, members in families(config)] == [[0, 1], [2]]
    assert finite_size(analysis, 1).dimension == 16
    ranges = dict(by_size(analysis))
    deviation = np.concatenate([part.deviation[:, :2].ravel() for part in analysis.curves])
    assert abs(ranges["1 to 19"][0][0]) <= np.abs(deviation).max()
    assert max(abs(best[0][0]) for best in ranges.values()) == np.abs(deviation).max()
    assert ranges["20 to 49"][0][2].endswith("K = 32")
    found = {row.what: row for row in rows(analysis)}
    row = found["training time, K=12 tau=inf: error, test"]
    assert row.predicted == end
    np.testing.assert_allclose(row.simulated, analysis.data["flow_test"][1, -1].mean())


@pytest.mark.slow
def test_a_broken_bound_and_a_wrong_average_are_seen(tiny, config):
    data = merge(tiny, config)
    assert all(check.agrees for check in exact_checks(config, data))
    for name, factor in (("error", 0.5), ("error", 2.0), ("drawn_error", 3.0), ("right", 9)):
        broken = data.copy(deep=True)
        broken[name] = broken[name] * factor
        assert not all(check.agrees for check in exact_checks(config, broken)), name
    broken = data.copy(deep=True)
    broken["gap_to_end"] = broken["gap_to_end"] + 1e-6
    assert not all(check.agrees for check in exact_checks(config, broken))


def test_a_point_has_the_errors_and_recoveries_of_theory():
    """At d = 60 corrections of order 1 / d are below 0.01."""
    case, size = (4, 20, 0.5), 60
    points = [curve_point(case, size, 200, stream(1, s)) for s in range(12)]
    errors = linear.errors(size, 20, 4, 0.5)
    for k, (split, exact) in enumerate((("train", errors.train), ("test", errors.heldout))):
        found = np.mean([point["error"][k] for point in points])
        assert abs(found - exact) < 0.01
        recovery = linear.token_recovery(size, 20, 4, 0.5, split=split)
        shares = np.array([point["right"][k] / point["tokens"][k] for point in points])
        within_standard_errors(shares - 0.5 * (shares.mean() - recovery), recovery, 5)
        gaps = [point["drawn_error"][k] - point["query_error"][k] for point in points]
        within_standard_errors(gaps, 0.0)


REFUSALS = [
    (["--preset", "huge"], "there is no preset 'huge'"),
    (["--seeds", "2"], "`seeds` must be at least 3; got 2"),
    (["--queries", "0"], "`queries` must be at least 1"),
    (["--cases", "1", "8", "0.5"], "`cases` holds V at least 2"),
    (["--flow-case", "4", "8", "1.0"], "`flow_case` holds V at least 2"),
    (["--ratios", "2.0", "1.0"], "`ratios` must hold two or more positive, increasing numbers"),
    (["--times", "1.0", "inf"], "`times` must hold two or more positive, increasing numbers"),
    (["--cases", "2", "1", "0.5"], "Take ratios further apart or longer sequences"),
    (["--ridges", "0.0"], "`ridges` must be positive"),
    (["--draws", "1", "1"], "`draws` must hold one or more different values"),
    (["--draws", "0"], "`draws` and `flow_sizes` are counts of at least 1"),
    (["--workers", "0"], "`workers` must be at least 1"),
]


@pytest.mark.parametrize(("arguments", "fragment"), REFUSALS)
def test_bad_arguments_get_one_sentence_and_status_2(
    arguments, fragment, tmp_path, monkeypatch, capsys
):
    assert_refused(linear_curves, arguments, fragment, tmp_path / "out", monkeypatch, capsys)


def test_presets_and_the_hash():
    assert parse([]).config == preset("small") == LinearConfig()
    assert len({cell.name for cell in make_cells(LinearConfig())}) == len(LinearConfig().cases) + 5
    seen = {configuration_hash(LinearConfig())}
    for name, value in (("root_seed", 1), ("seeds", 5), ("times", (1.0, 2.0))):
        seen.add(configuration_hash(dataclasses.replace(LinearConfig(), **{name: value})))
    assert len(seen) == 4
    for config in (preset("smoke"), preset("small")):
        (_, members), *_ = families(config)
        assert len({dimension(config.cases[i]) for i in members}) >= 3  # a collapse is shown
        assert min(config.ratios) < 0.4 < 5.5 < max(config.ratios)  # both ends of the transition
        assert all(train_sizes(case, config.ratios)[0] >= 3 for case in config.cases)

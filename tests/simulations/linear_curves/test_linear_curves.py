"""The linear denoiser's study end to end at a tiny size, and what its numbers must obey."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from am_theory import linear
from models.streams import stream
from simulations.linear_curves.analysis import QUANTITIES, analyse, exact_checks, rows
from simulations.linear_curves.cells import curve_point
from simulations.linear_curves.config import (
    LinearConfig,
    dimension,
    make_cells,
    preset,
    train_sizes,
)
from simulations.linear_curves.report import by_size, families, finite_size
from simulations.linear_curves.study import STUDY, merge
from tests.helpers import within_standard_errors
from tests.simulations.registry import STUDIES

WORDS = ["--preset", "smoke", *STUDIES["linear_curves"].tiny.split(), "--workers", "1"]


@pytest.fixture(scope="module")
def config():
    return STUDY.parse(WORDS).config


@pytest.fixture(scope="module")
def tiny(tiny_run):
    return tiny_run("linear_curves")


@pytest.mark.slow
def test_every_point_and_every_check_is_reported(tiny):
    report = (tiny / "report.md").read_text()
    for heading in ("What is measured", "Largest deviation", "Finite size", "Exact at every size"):
        assert heading in report
    summary = json.loads((tiny / "summary.json").read_text())
    assert summary["exact_failures"] == []
    assert len(summary["exact_checks"]) == 3 * 5 + 2 * 2
    assert len(summary["theory_against_simulation"]) == 3 * 2 * 6 + 2 * 2 + 2 * 3 * 2


@pytest.mark.slow
def test_merged_data_open_with_xarray(tiny):
    with xr.open_dataset(tiny / "linear_curves.nc", engine="h5netcdf") as data:
        assert data.sizes["case"] == 3 and data.sizes["seed"] == 3
        assert data["train_size"].values.tolist() == [[4, 16], [8, 32], [2, 10]]
        assert data["recovered"].attrs["units"] == "tokens"
        assert json.loads(data.attrs["configuration"])["flow_sizes"] == [4, 12]
        assert (data["recovered"] <= data["corrupted"]).all()
        assert (data["right"] >= data["recovered"]).all()


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


BAD = [
    ({"seeds": 2}, "`seeds` must be at least 3; got 2"),
    ({"queries": 0}, "`queries` must be at least 1"),
    ({"cases": ((1, 8, 0.5),)}, "`cases` holds V at least 2"),
    ({"flow_case": (4, 8, 1.0)}, "`flow_case` holds V at least 2"),
    ({"ratios": (2.0, 1.0)}, "`ratios` must hold two or more positive, increasing numbers"),
    ({"times": (1.0, np.inf)}, "`times` must hold two or more positive, increasing numbers"),
    ({"cases": ((2, 1, 0.5),)}, "Take ratios further apart or longer sequences"),
    ({"cases": ()}, "`cases` must hold one or more different values"),
    ({"ridges": (0.0,)}, "`ridges` must be positive"),
    ({"draws": (1, 1)}, "`draws` must hold one or more different values"),
    ({"draws": (0,)}, "`draws` and `flow_sizes` are counts of at least 1"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_settings_are_refused_in_a_sentence(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(preset("smoke"), **change)


@pytest.mark.slow
def test_a_run_without_single_draws_has_theory_alone(tiny, config, tmp_path):
    words = [*WORDS, "--draws", "2", "--out", str(tmp_path / "run")]
    assert STUDY.execute(words, Console(quiet=True)) == 0
    other = STUDY.parse(words).config
    analysis = analyse(other, merge(tmp_path / "run", other))
    assert np.isnan(analysis.draws.estimate).all()
    assert np.isfinite(analysis.draws.predicted).all()
    assert not [row for row in rows(analysis) if row.what.startswith("one draw")]


def test_presets_show_a_collapse_and_both_ends_of_the_transition():
    assert len({cell.name for cell in make_cells(LinearConfig())}) == len(LinearConfig().cases) + 5
    for config in (preset("smoke"), preset("small")):
        (_, members), *_ = families(config)
        assert len({dimension(config.cases[i]) for i in members}) >= 3
        assert min(config.ratios) < 0.4 < 5.5 < max(config.ratios)
        assert all(train_sizes(case, config.ratios)[0] >= 3 for case in config.cases)

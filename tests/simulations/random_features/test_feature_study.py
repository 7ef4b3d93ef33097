"""The random-feature study end to end at a tiny size, and what its numbers must obey."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

from am_theory import random_feature_denoiser as theory
from models.networks.random_features import RandomFeatureDenoiser
from simulations.random_features.analysis import NAMES, analyse, exact_checks, power, rows
from simulations.random_features.cells import asked, counted_error, one_set, source_of
from simulations.random_features.config import FeatureConfig, Point, points, preset, sets
from simulations.random_features.report import resolved
from simulations.random_features.study import STUDY, merge
from tests.helpers import within_standard_errors
from tests.simulations.registry import STUDIES

WORDS = ["--preset", "smoke", *STUDIES["random_features"].tiny.split(), "--workers", "1"]


@pytest.fixture(scope="module")
def config():
    return STUDY.parse(WORDS).config


@pytest.fixture(scope="module")
def tiny(tiny_run):
    return tiny_run("random_features")


def test_points_are_what_the_settings_say():
    config = FeatureConfig()
    here = points(config)
    names = dict.fromkeys(point.panel for point in here)
    by_panel = {panel: [p for p in here if p.panel == panel] for panel in names}
    assert [len(part) for part in by_panel.values()] == [48, 33, 16, 5, 8]
    for point in here:
        d = point.dimension
        assert point.crowding == point.n_features / (point.train_size * d)
        if point.panel != "draws":  # noisy sequences enough to stand for all
            wanted = config.pairs * max(point.n_features, d)
            assert (point.draws - 1) * point.train_size < wanted <= point.draws * point.train_size
        if point.panel == "sizes":
            assert point.train_size == d and sets(config, point) * point.seq_len == 24 * 64
    for draws in config.draws:
        mine = [p for p in by_panel["draws"] if p.draws == draws]
        at = [p.train_size * draws / p.n_features for p in mine]
        np.testing.assert_allclose(at, config.pair_ratios, atol=draws / 2 / mine[0].n_features)
    times = [p.time for p in by_panel["flow"] if p.group == 0]
    assert times == [*config.times, np.inf]
    assert {p.redraw for p in by_panel["chain"]} == {0.3}


@pytest.mark.slow
def test_the_answer_comes_first_and_every_check_is_reported(tiny):
    report = (tiny / "report.md").read_text()
    summary = json.loads((tiny / "summary.json").read_text())
    assert report.index(summary["answer"]) < report.index("## How deviations fall with d")
    for heading in ("Where memorization ends", "Few draws", "What is measured", "Exact at every"):
        assert f"## {heading}" in report
    assert summary["exact_failures"] == []
    curves, flow = 2 * 4, 2 + 1 + 2  # draws and finite sizes as curves, the chain without tokens
    assert len(summary["exact_checks"]) == curves + 2 * 4 + flow + 2 + 4 * 4
    assert len(summary["decreases"]) == 4 and len(summary["crossings"]) == 2
    numbers = (4 + 6 + 3 + 4) * 7 + 2 * 3  # of points with all quantities, of the chain
    assert len(summary["theory_against_simulation"]) == numbers


@pytest.mark.slow
def test_deviations_are_those_of_the_saved_numbers(tiny, config):
    with xr.open_dataset(tiny / "random_features.nc", engine="h5netcdf") as saved:
        data = saved.load()
    assert data["recovered"].attrs["units"] == "tokens"
    analysis = analyse(config, merge(tiny, config))
    i = next(k for k, point in enumerate(analysis.points) if point.panel == "sizes")
    point, part = analysis.points[i], data.isel(point=i)
    assert part["train_size"] == point.train_size == 4 and part["seq_len"] == 2
    assert (~np.isnan(part["tokens"].sel(split="test"))).sum() == sets(config, point) == 8
    shares = {
        "train error": part["error"].sel(split="train").mean(),
        "error on seen noise": part["seen"].mean(),
        "test recovery": (part["right"].sum("seed") / part["tokens"].sum("seed")).sel(split="test"),
        "corrupted train recovery": (
            part["recovered"].sum("seed") / part["corrupted"].sum("seed")
        ).sel(split="train"),
    }
    problem = (4, 4, 2, 3, 0.8)
    options = {"ridge": 1e-3, "draws": point.draws, "activation": "erf"}
    exact = {
        "train error": theory.errors(*problem, **options).train,
        "error on seen noise": theory.errors(*problem, **options).seen,
        "test recovery": theory.token_recovery(*problem, split="test", **options),
        "corrupted train recovery": theory.token_recovery(
            *problem, split="train", tokens="corrupted", **options
        ),
    }
    for name, share in shares.items():
        k = NAMES.index(name)
        np.testing.assert_allclose(analysis.measured.estimate[i, k], share)
        assert analysis.measured.predicted[i, k] == exact[name]
    found = analysis.decreases[0]
    assert found.quantity == "train error" and found.dimensions == [4, 6, 8, 10]
    np.testing.assert_allclose(found.deviation[0], shares["train error"] - exact["train error"])
    row = {row.what: row for row in rows(analysis)}
    d, own, error = (np.array(x) for x in (found.dimensions, found.deviation, found.error))
    orders = np.stack([1 / d, 1 / d**2], axis=1)
    (first, second), left, *_ = np.linalg.lstsq(orders / error[:, None], own / error)
    np.testing.assert_allclose(
        [found.first, found.second, found.misfit], [first, second, left[0]], rtol=1e-6
    )
    assert found.first_low < found.first < found.first_high
    slow = next(point for point in analysis.points if point.time == 5)
    place = (slow.train_size, slow.n_features, 4, 3, 0.75)
    options = {"activation": "relu", "skip": "full", "draws": slow.draws}
    (name,) = (what for what in row if what.endswith("tau=5: test error"))
    assert row[name].predicted == theory.training_errors(*place, 5.0, **options).heldout
    (name,) = (what for what in row if what.endswith("tau=5: test recovery"))
    share = theory.token_recovery(*place, split="test", time=5.0, **options)
    assert row[name].predicted == share


@pytest.mark.slow
def test_what_is_broken_is_seen(tiny, config):
    data, here = merge(tiny, config), points(config)
    assert all(check.agrees for check in exact_checks(here, data))
    for name, change in (
        ("counted_seen", lambda x: x + 1e-6),
        ("penalty", lambda x: x + 1.0),
        ("error", lambda x: 0.1 * x),
        ("right", lambda x: 9 * x),
    ):
        broken = data.copy(deep=True)
        broken[name] = change(broken[name])
        assert not all(check.agrees for check in exact_checks(here, broken)), name
    slow = [i for i, point in enumerate(here) if point.panel == "flow"]
    broken = data.copy(deep=True)
    broken["seen"][slow] = broken["seen"][slow[::-1]].values
    failed = [check.name for check in exact_checks(here, broken) if not check.agrees]
    assert "flow 0: largest rise of the loss in time" in failed


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.7])
def test_the_power_of_a_decrease(slope):
    d, error = np.array([24, 48, 96, 192]), np.array([1e-3, 5e-4, 1e-3, 1e-4])
    gaps = np.array([[0.3], [-2.0]]) / d**slope
    np.testing.assert_allclose(power(d, gaps, error), slope, atol=0.006)
    off = gaps + np.array([0, 0, 0.01, 0])  # a poorly known size hardly counts
    assert np.abs(power(d, off, error * [1, 1, 100, 1]) - slope).max() < 0.05


def test_a_deviation_is_resolved_or_not():
    analysis = dataclasses.make_dataclass("Decrease", ["deviation", "error"])
    assert resolved(analysis([-0.4, 0.0], [0.1, 0.1])) and not resolved(analysis([0.2], [0.1]))


def test_a_point_has_the_errors_and_recoveries_of_theory():
    """At d = 60 corrections of order 1 / d are below 0.012."""
    config = FeatureConfig(queries=300)
    fit = Point("", 0, 4, 20, 90, 120, 0.8, "erf", "fit", 1e-3, 40, np.inf, 0.0)
    found = [one_set(config, fit, [fit], seed)[0] for seed in range(12)]
    problem, options = (90, 120, 20, 4, 0.8), {"ridge": 1e-3, "skip": "fit", "draws": 40}
    errors = theory.errors(*problem, **options)
    for k, (split, exact) in enumerate((("train", errors.train), ("test", errors.heldout))):
        values = np.array([record["error"][k] for record in found])
        within_standard_errors(values - np.clip(values.mean() - exact, -0.012, 0.012), exact, 4)
        recovery = theory.token_recovery(*problem, split=split, **options)
        shares = np.array([record["right"][k] / record["tokens"][k] for record in found])
        within_standard_errors(shares - np.clip(shares.mean() - recovery, -0.01, 0.01), recovery, 4)
    seen = np.array([record["seen"] for record in found])
    within_standard_errors(seen - np.clip(seen.mean() - errors.seen, -0.012, 0.012), errors.seen, 4)
    counted = found[0]["counted_seen"]
    assert abs(counted - found[0]["seen"]) < 1e-12 and np.isnan(found[1]["counted_seen"])


def test_a_chain_steps_or_redraws():
    point = Point("chain", 0, 5, 400, 1, 1, 0.5, "relu", "0", 1e-3, 1, np.inf, 0.3)
    x = source_of(point).sample(np.random.default_rng(0), 100).astype(int)
    steps = (np.diff(x, axis=1) % 5 == 1).mean()
    assert abs(steps - (0.7 + 0.3 / 5)) < 0.01
    iid = source_of(point._replace(redraw=0.0)).sample(np.random.default_rng(0), 100).astype(int)
    assert abs((np.diff(iid, axis=1) % 5 == 1).mean() - 0.2) < 0.01


def test_counts_and_the_counted_error():
    rng = np.random.default_rng(1)
    denoiser = RandomFeatureDenoiser(rng.integers(3, size=(6, 4)), 3, 10, ridge=0.1, draws=7)
    found = denoiser.at(0.6)
    assert abs(counted_error(denoiser, found) - found.seen_error) < 1e-12
    x_0, x_t = rng.integers(3, size=(2, 50, 4))
    record = asked(found, [(x_0, x_t)])
    right = found.restore(x_t) == x_0
    assert record["tokens"] == [200] and record["right"] == [right.sum()]
    assert record["corrupted"] == [(x_t != x_0).sum()]
    assert record["recovered"] == [right[x_t != x_0].sum()]
    np.testing.assert_allclose(record["error"], [found.squared_errors(x_0, x_t).mean()])


def test_presets_show_the_peak_and_both_ends():
    for name in ("smoke", "small"):
        config = preset(name)
        assert len(config.lengths) == 4
        assert min(config.pair_ratios) < 0.7 < 1.0 < 1.5 < max(config.pair_ratios)
        assert 1.0 in config.pair_ratios and max(config.ratios) >= 8
        crowded = [p.crowding for p in points(config) if p.panel == "curves"]
        assert min(crowded) < 0.05

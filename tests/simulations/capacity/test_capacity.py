"""The capacity command end to end at a tiny size, its estimators, and its exact count."""

import dataclasses
import json
import re
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import xarray as xr

from am_theory import hopfield as hopfield_theory
from simulations.capacity.analysis import cover, crossing, extrapolate
from simulations.capacity.cells import _largest_separable, end_points, separable
from simulations.capacity.config import (
    FAMILIES,
    critical_load,
    critical_overlap,
    make_cells,
    preset,
    retrieval_overlap,
    threshold,
    train_sizes,
)
from simulations.capacity.study import STUDY
from tests.helpers import ROOT, assert_close

WORDS = (
    "--preset smoke --hopfield 40 60 80 --potts3 30 40 60 --potts4 20 30 40 --potts8 12 16 24 "
    "--dense3 10 14 18 --loads 0.8 1.2 2.0 3.0 --dense-loads 0.8 2.0 6.0 --sets 3 --starts 4 "
    "--existence 14 17 20 --rows 2 --fits 10 14 --fit-loads 0.5 2.0 --features 60 "
    "--feature-loads 0.2 1.0 --replicates 100 --workers 1"
).split()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    out = tmp_path_factory.mktemp("tiny") / "run"
    command = [sys.executable, "-m", "simulations.capacity", *WORDS, "--check", "--out", str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Warning" not in ran.stderr
    return out


@pytest.mark.slow
def test_everything_promised_is_written(tiny):
    names = {path.name for path in tiny.iterdir()}
    expected = {"cells", "capacity.nc", "summary.json", "report.md", "capacity.png", "capacity.pdf"}
    assert expected <= names
    assert not [name for name in names if ".tmp" in name]
    report = (tiny / "report.md").read_text()
    for heading in ("What is measured", "Critical loads", "Half-loads by size", "Exact at every"):
        assert heading in report
    summary = json.loads((tiny / "summary.json").read_text())
    assert summary["exact_failures"] == []
    assert set(summary["critical_loads"]) >= {"Hopfield", "dense, n = 3", "pseudo-likelihood"}


@pytest.mark.slow
def test_merged_data_open_with_xarray_and_carry_their_provenance(tiny):
    with xr.open_dataset(tiny / "capacity.nc", engine="h5netcdf") as data:
        for family in FAMILIES:
            overlap = data[f"{family}_overlap"].values
            assert np.nanmax(np.abs(overlap)) <= 1 + 1e-6
            assert data[f"{family}_converged"].values[np.isfinite(overlap)].all()
        assert data["existence_held"].attrs["units"] == "sequences"
        assert json.loads(data.attrs["configuration"])["dense3"] == [10, 14, 18]
        for key in ("config_hash", "commit", "numpy_version"):
            assert data.attrs.get(key), key


REFUSALS = [
    ({"sets": 2}, "`sets` must be at least 3; got 2"),
    ({"loads": (1.2, 0.8)}, "`loads` must hold two or more positive, increasing numbers"),
    ({"hopfield": (4, 8)}, "sizes N must be at least 8"),
    ({"fit_penalty": 0.0}, "`fit_penalty` must be positive and finite; got 0.0"),
    ({"feature_load": float("nan")}, "`feature_load` must be positive and finite"),
    ({"feature_load": 0.001}, "two or more features"),
]


@pytest.mark.parametrize(("settings", "fragment"), REFUSALS)
def test_bad_settings_get_one_sentence(settings, fragment):
    with pytest.raises(ValueError, match=re.escape(fragment)):
        dataclasses.replace(preset("smoke"), **settings)


def test_every_setting_changes_the_hash():
    base = preset("smoke")
    changed = [dataclasses.replace(base, **{name: 7}) for name in ("root_seed", "sets", "rows")]
    assert len({STUDY.configuration_hash(c) for c in (base, *changed)}) == 4
    assert len({cell.name for cell in make_cells(base)}) == len(make_cells(base))


# --- what is counted exactly


def test_covers_count_is_the_number_of_dichotomies():
    """All sign patterns of a few points in general position, each by the linear program."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(5, 3))
    held = [separable(points * np.array(labels)[:, None]) for labels in product([-1, 1], repeat=5)]
    assert_close(cover(5, 3), np.mean(held))
    assert_close(cover(6, 3), 0.5)
    assert cover(3, 3) == 1.0
    total = sum(cover(k, 7) for k in range(1, 400))
    assert_close(total, 14.0, rtol=1e-9)  # the mean of the largest K: twice the inputs
    squares = sum((2 * k - 1) * cover(k, 7) for k in range(1, 400))
    assert_close(squares - total**2, 14.0, rtol=1e-9)  # and its variance


def test_the_largest_k_is_found_by_bisection():
    rng = np.random.default_rng(1)
    for _ in range(5):
        signed = rng.choice([-1.0, 1.0], (40, 7))
        plain = next(k for k in range(1, 41) if not separable(signed[:k])) - 1
        assert _largest_separable(signed) == plain


# --- estimators


def test_crossing_and_its_ends():
    loads = np.array([0.5, 1.0, 2.0])
    assert_close(crossing(loads, np.array([1.0, 0.75, 0.25])), np.asarray(1.5))
    assert crossing(loads, np.array([1.0, 0.9, 0.8])) == np.inf
    assert crossing(loads, np.array([0.4, 0.3, 0.1])) == -np.inf


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_extrapolation_recovers_a_known_limit(power):
    rng, sizes = np.random.default_rng(2), np.array([100, 200, 400, 800])
    exact = 0.14 + 0.9 * sizes**-power
    copies = exact + 0.0002 * rng.normal(size=(1000, 4))
    found = extrapolate(sizes, exact, copies, power)
    assert_close(found.value, 0.14, rtol=1e-9)
    assert found.low < 0.14 < found.high and found.chi2 < 1e-15 and found.freedom == 2
    other = extrapolate(sizes, exact, copies, 1.5 - power)
    assert other.chi2 > 10
    lost = np.where(sizes < 300, exact, np.inf)
    assert np.isnan(extrapolate(sizes, lost, copies, power).value)


def test_extrapolation_keeps_its_promise_of_95_percent():
    rng, sizes, hits = np.random.default_rng(3), np.array([100, 200, 400, 800]), 0
    for _ in range(200):
        truth = 0.14 + 0.9 * sizes**-0.5
        drawn = truth + 0.01 * rng.normal(size=4)
        found = extrapolate(sizes, drawn, drawn + 0.01 * rng.normal(size=(400, 4)), 0.5)
        hits += found.low <= 0.14 <= found.high
    assert abs(hits / 200 - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 200)


# --- the families


@pytest.mark.parametrize("family", FAMILIES)
def test_theory_of_a_family(family):
    end = critical_overlap(family)
    assert end < retrieval_overlap(family, 0.8) < 1 and np.isnan(retrieval_overlap(family, 1.1))
    assert 1 / 3 < threshold(family) < end
    sizes = train_sizes(family, 100, (0.5, 1.0))
    assert sizes[1] == round(critical_load(family) * (100**2 if family == "dense3" else 100))


def test_theory_is_that_of_the_papers():
    assert_close(critical_load("hopfield"), hopfield_theory.critical_load())
    assert abs(critical_overlap("hopfield") - 0.9674171) < 1e-4  # a square root away
    assert abs(critical_overlap("potts3") - (3 * 0.968718 - 1) / 2) < 1e-4
    assert abs(critical_overlap("dense3") - 0.838482) < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_few_patterns_are_fixed_points_of_overlap_one(family):
    states = {"potts3": 3, "potts4": 4, "potts8": 8}.get(family, 2)
    patterns = np.random.default_rng(4).integers(states, size=(2, 60))
    overlap, converged = end_points(family, patterns, 2)
    assert converged.all()
    assert_close(overlap, np.ones(2))

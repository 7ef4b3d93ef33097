"""The basins command: its parts on tiny cases, and the whole at a tiny size."""

import dataclasses
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from am_theory import channel, empirical
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from simulations.basins.analysis import bound_checks, exact_checks
from simulations.basins.cells import error_count, exact_errors, make_queries
from simulations.basins.config import (
    DRAW,
    MAP,
    MEMORIES,
    TRAINED,
    cost,
    make_cells,
    memories_of,
    preset,
)
from simulations.basins.memories import BUILDERS
from simulations.basins.study import merge
from simulations.basins.theory import exact_rate, exponential_rate, many_neurons
from simulations.measure.radius import basin_radius
from simulations.results.files import read_dataset
from tests.helpers import ROOT, assert_drawn

SHAPE = (
    "--preset smoke --binary-len 16 --token-len 12 --train-sizes 4 20 --sets 30 "
    "--queries-per-set 4 --levels 0.05 0.3 0.6 --error-levels 0.3 --replicates 200 --workers 1"
).split()
CONFIG = dataclasses.replace(
    preset("smoke"),
    binary_len=16,
    token_len=12,
    train_sizes=(4, 20),
    sets=30,
    queries_per_set=4,
    levels=(0.05, 0.3, 0.6),
    error_levels=(0.3,),
    replicates=200,
    trained_sizes=(),
)


@pytest.fixture(scope="module")
def tiny(tiny_run):
    return tiny_run("basins")


@given(st.integers(0, 2**32), st.integers(1, 9), st.sampled_from([2, 3, 8]), st.integers(0, 9))
def test_exactly_so_many_tokens_change(seed, length, vocab_size, count):
    rng = np.random.default_rng(seed)
    x_0 = rng.integers(vocab_size, size=(5, length)).astype(np.uint8)
    x = exact_errors(rng, x_0, count, vocab_size)
    assert x.max() < vocab_size
    assert ((x != x_0).sum(1) == min(count, length)).all()


def test_changed_places_and_values_are_uniform():
    rng = np.random.default_rng(0)
    x_0 = np.zeros((12_000, 4), np.uint8)
    x = exact_errors(rng, x_0, 2, 4)
    np.testing.assert_allclose((x != 0).mean(0), 0.5, atol=0.03)
    np.testing.assert_allclose(np.bincount(x[x != 0])[1:] / 24_000, 1 / 3, atol=0.02)


def test_the_mean_number_of_errors_is_that_of_the_channel():
    assert error_count(1.0, 32, 8) == 28  # 32 * 7 / 8, almost
    assert error_count(0.0, 32, 8) == 0


def test_every_memory_has_a_builder_and_acts_where_it_can():
    assert {memory.name for memory in MEMORIES} == {*BUILDERS, TRAINED}
    config = preset("small")
    binary = {m.name for m in memories_of(config, 2, 64, 8, False)}
    tokens = {m.name for m in memories_of(config, 8, 32, 8, False)}
    assert "Potts" in tokens - binary
    assert {"Hopfield", "pseudo-inverse"} <= binary - tokens
    # the largest sizes hold the lookups alone, the next ones the exponential too
    assert [m.name for m in memories_of(config, 2, 64, 16384, False)] == [DRAW, MAP]
    assert "exponential" in {m.name for m in memories_of(config, 2, 64, 4096, False)}
    assert [m.name for m in memories_of(config, 2, 64, 64, True)] == [TRAINED]
    cells = make_cells(config)
    assert len({cell.name for cell in cells}) == len(cells)
    assert all(cost(config, cell) > 0 for cell in cells)


@pytest.mark.parametrize("name", sorted(BUILDERS))
@pytest.mark.parametrize("vocab_size", [2, 5])
def test_every_memory_gives_back_three_sequences_from_themselves(name, vocab_size):
    memory = next(memory for memory in MEMORIES if memory.name == name)
    if not (memory.binary if vocab_size == 2 else memory.tokens):
        return
    rng = np.random.default_rng(5)
    store = EmpiricalDenoiser(rng.integers(vocab_size, size=(3, 48)), vocab_size)
    rule = BUILDERS[name](store, 50)
    found = rule(rng, store.patterns, np.full(3, 0.01))
    np.testing.assert_array_equal(found.states, store.patterns)
    assert found.converged.all()


def test_exponential_rate_is_the_matched_one():
    assert exponential_rate(2) == pytest.approx(1.09861229)  # sheet 1.7, beta at a = .5
    assert exponential_rate(8) == pytest.approx(2.19722458)


def test_all_memories_of_a_place_see_the_same_queries():
    first, second = (make_queries(CONFIG, (2, 16, 4), 3, 4) for _ in range(2))
    np.testing.assert_array_equal(first.x_t, second.x_t)
    other = make_queries(CONFIG, (2, 16, 4), 4, 4)
    assert (first.store.patterns != other.store.patterns).any()
    np.testing.assert_array_equal(first.truth[:4], first.store.patterns[first.index])


def test_a_memory_that_changes_nothing_scores_what_the_lookup_does():
    rng = np.random.default_rng(4)
    store = EmpiricalDenoiser(rng.integers(2, size=(40, 16)), 2)
    truth = store.patterns[rng.integers(40, size=300)]
    x_t = noise(rng, truth, 0.6, 2)
    level = np.full(300, 0.4)
    found = BUILDERS["pseudo-inverse"](store, 50)(rng, x_t, level)  # 40 patterns of 16 spins
    np.testing.assert_array_equal(found.states, x_t)
    lookup, best = (store.nearest(x, truth)[0].mean() for x in (x_t, found.states))
    assert lookup == best > 0.1
    # on the other criterion it is no memory at all
    decoded = BUILDERS[MAP](store, 50)(rng, x_t, level).states
    assert (found.states == truth).all(1).mean() < 0.05 < 0.1 < (decoded == truth).all(1).mean()


@pytest.mark.slow
def test_counts_add_up(tiny):
    data = merge(tiny, CONFIG)
    length = data["seq_len"]
    wrong = data["corrupted"] - data["recovered"] + data["broken"]
    assert int(wrong.min()) >= 0
    assert bool((wrong <= length).all())
    assert bool(((wrong == 0) == (data["exact"] == 1)).all())
    fixed = data["errors"] >= 0
    assert bool((data["corrupted"].where(fixed) == data["errors"]).where(fixed, True).all())
    assert bool((data["nearest"] >= data["exact"] * 0.3).all())


def test_a_radius_is_read_where_the_sheet_has_it():
    def radius(memory, levels):
        rate = exact_rate(memory, 1000, 2, 64, levels, np.full(len(levels), -1))
        return basin_radius(levels, rate, 0.5)

    found = radius(MAP, np.linspace(0.59, 0.61, 21))
    assert found == pytest.approx(0.601061, abs=2e-5)  # sheet 3.7
    drawn = radius(DRAW, np.linspace(0.5, 0.6, 11))
    assert 0.5 < drawn < 0.6 < found


def test_exact_rates_are_those_of_the_formulas():
    t, errors = np.array([0.5, 0.5]), np.array([-1, 14])
    rate = exact_rate(MAP, 1000, 4, 32, t, errors)
    assert rate[1] == pytest.approx(0.90627656)  # sheet 3.4
    alpha = float(channel.LogLinear().alpha(0.5))
    assert rate[0] == pytest.approx(empirical.retrieval_probability(1000, 32, 4, alpha))
    assert np.isnan(exact_rate(DRAW, 1000, 4, 32, t, errors)[1])


def test_theories_of_many_neurons_hold_where_they_may():
    assert many_neurons("Hopfield", [8], 2, 64).t[0] < empirical.basin_radius(8, 64, 2)
    assert np.isnan(many_neurons("Hopfield", [32], 2, 64).t[0])  # beyond its capacity
    assert many_neurons("dense, n = 3", [64], 8, 32) is None
    assert many_neurons(MAP, [64], 2, 64) is None
    step = many_neurons("pseudo-inverse", [32], 2, 64).t[0]
    assert 0.05 < step < 0.2  # sheet 5.1: at load .5, overlap .9 in gives .96 out, .6 gives .55


@pytest.mark.slow
def test_the_checks_hold_and_a_broken_bound_is_seen(tiny):
    data = merge(tiny, CONFIG)
    exact, bounds = exact_checks(data), bound_checks(data)
    assert all(check.agrees for check in exact + bounds)
    better = data.copy(deep=True)
    better["nearest"][:] = 1.0
    assert not all(check.agrees for check in exact_checks(better))
    broken = [check.name for check in bound_checks(better) if not check.agrees]
    assert any("exact MAP" in name for name in broken)
    assert any("same queries" in name for name in broken)


@pytest.mark.slow
def test_everything_promised_is_written(tiny):
    names = {path.name for path in tiny.iterdir()}
    assert {"cells", "basins.nc", "summary.json", "report.md", "basins.png", "basins.pdf"} <= names
    assert {"erasures.png", "erasures.pdf"} <= names
    report = (tiny / "report.md").read_text()
    for word in ("What is measured", "Radii", "Exact predictions", "Provenance", "Hopfield"):
        assert word in report
    summary = json.loads((tiny / "summary.json").read_text())
    assert summary["exact_failures"] == []
    assert {p["verdict"] for p in summary["points"] if p["memory"] == MAP} <= {"agree", "–"}
    with xr.open_dataset(tiny / "basins.nc", engine="h5netcdf") as data:
        assert data["recovered"].dims == ("point", "corruption", "sample")
        assert data["recovered"].attrs["units"] == "tokens"
        assert data.attrs["commit"]
        assert json.loads(data.attrs["configuration"])["binary_len"] == 16


@pytest.mark.slow
def test_figures_of_the_appendix_are_drawn(tiny):
    checks = exact_checks(read_dataset(tiny / "basins.nc"))
    phase = SimpleNamespace(analysis=SimpleNamespace(exact=checks))
    assert_drawn("basins", "basins", tiny, CONFIG)
    assert_drawn("empirical", "basins", tiny, CONFIG, markov=phase, iid=phase)


@pytest.mark.slow
def test_a_trained_denoiser_stands_among_them(tmp_path):
    words = ["--trained-sizes", "4", "--steps", "100", "--width", "16"]
    command = [sys.executable, "-m", "simulations.basins", *SHAPE, *words, "--check"]
    ran = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    found = [p for p in summary["points"] if p["memory"] == TRAINED]
    assert [p["vocab_size"] for p in found] == [2, 4]
    assert {p["unit"] for p in found} == {"sequences of one set"}


REFUSALS = [
    ({"levels": (0.5, 1.3)}, "`levels` are noise levels t and must lie in (0, 1]"),
    ({"levels": (0.5,)}, "at least two increasing"),
    ({"erased_levels": (0.5, 0.2)}, "`erased_levels` must be at least two increasing"),
    ({"erased_levels": (0.5, 1.2)}, "`erased_levels` are noise levels"),
    ({"error_levels": (0.0,)}, "`error_levels` are noise levels"),
    ({"train_sizes": (8, 4)}, "`train_sizes` must be increasing"),
    ({"train_sizes": (2, 4)}, "at least 3"),
    ({"trained_sizes": (5,)}, "`trained_sizes` must be among `train_sizes`; 5 is not"),
    ({"sets": 8}, "`sets` must be at least 30"),
    ({"vocab_size": 2}, "`vocab_size` must be at least 3"),
    ({"vocab_size": 300}, "`vocab_size` must be at most 256"),
    ({"binary_len": 4}, "`binary_len` must be at least 8"),
    ({"threshold": 1.0}, "`threshold` must lie in (0, 1)"),
]


@pytest.mark.parametrize(("settings", "fragment"), REFUSALS)
def test_bad_settings_get_one_sentence(settings, fragment):
    with pytest.raises(ValueError, match=re.escape(fragment)):
        dataclasses.replace(preset("smoke"), **settings)

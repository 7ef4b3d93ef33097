"""Attractors from noise: the dynamics, their count, what is near them, and what a report says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from am_theory.channel import Absorbing
from models.exact.empirical import EmpiricalDenoiser
from models.relaxation import likeliest
from models.sources import IidSource
from models.streams import stream
from simulations.measure.meeting import effective, meeting
from simulations.probe.api import probe
from simulations.probe.calibration.ends import end_lines, readings
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.attractors import attractors_of, hits
from simulations.probe.judge.verdict import verdicts
from simulations.probe.measure.attractors import LEVEL, MOST, attractors, starts
from simulations.probe.measure.cells import Work
from simulations.probe.measure.law import Reader
from simulations.probe.measure.measures import measure
from simulations.probe.measure.parts import Parts
from simulations.probe.tell.excerpts import most_memorized

V, L, K = 8, 12, 10
STORED = np.random.default_rng(0).integers(V, size=(K, L), dtype=np.uint8)


def work_of(denoiser):
    return Work(Reader(denoiser, L, lambda: None), ProbeConfig(sequences=8, recover=0, generate=8))


def keys(rows):
    return {row.tobytes() for row in np.asarray(rows, np.int64)}


def dataset(ends, period=None, **splits):
    """A probe's dataset with attractors and sequences of some splits."""
    ends = np.asarray(ends)
    rows = [np.asarray(rows) for rows in splits.values()]
    return xr.Dataset(
        {
            "attractor": (("start", "position"), ends),
            "attractor_period": ("start", np.ones(len(ends)) if period is None else period),
            "tokens": (("sequence", "position"), np.concatenate(rows)),
        },
        coords={"split": ("sequence", np.repeat(list(splits), [len(x) for x in rows]))},
    )


def test_an_exact_store_leads_to_what_it_stores():
    model = EmpiricalDenoiser(STORED, V)
    found = attractors(work_of(model), 200)
    ends, period = found["attractor"].values, found["attractor_period"].values
    assert keys(ends[period == 1]) <= keys(STORED)
    assert np.mean([row.tobytes() in keys(STORED) for row in ends.astype(np.int64)]) > 0.9
    told = attractors_of(dataset(ends, period, generated=STORED, heldout=(STORED + 1) % V), 0)
    assert told.number.low <= K + 1 and told.number.high > 0.6 * K
    assert told.own.value == 1.0 and told.heldout.value == 0.0


def test_the_dynamics_are_those_of_the_law_itself():
    model = EmpiricalDenoiser(STORED[:4], V)
    found = attractors(work_of(model), 30)
    for i in range(30):
        x = stream(work_of(model).config.root_seed, "attractors", i).integers(V, size=(1, L))
        past = []
        while not any((x == old).all() for old in past) and len(past) < 16:
            past.append(x)
            x = likeliest(np.asarray(model.log_loo(x, np.full(1, LEVEL))), x)
        first = next((k for k, old in enumerate(past) if (x == old).all()), None)
        cycle = [tuple(row[0].tolist()) for row in past[first:]]
        assert found["attractor_period"].values[i] == len(cycle)
        assert tuple(found["attractor"].values[i].tolist()) == min(cycle)


def test_more_starts_leave_the_first_as_they_are():
    work = work_of(EmpiricalDenoiser(STORED, V))
    few, many = (attractors(work, n)["attractor"].values for n in (5, 70))
    np.testing.assert_array_equal(few, many[:5])


def test_an_orderly_law_has_one_attractor_without_any_memory():
    weights = np.array([0.4, 0.3, 0.1, 0.05, 0.05, 0.04, 0.03, 0.03])
    found = attractors(work_of(IidSource(V, L, weights).population_denoiser()), 50)
    assert (found["attractor"].values == 0).all()
    told = attractors_of(dataset(found["attractor"].values, generated=STORED), 0)
    assert (told.distinct, told.number.value) == (1, 1.0)
    assert 1.0 < told.number.high < 1.2, "a second one of a few percent would not have been met"
    assert not told.heldout.known


def test_masks_are_filled_up_to_what_is_stored():
    model = EmpiricalDenoiser(STORED, V, channel=Absorbing(V))
    found = attractors(work_of(model), 100)["attractor"].values
    assert keys(found) <= keys(STORED)
    assert len(keys(found)) > 3, "orders of their own lead to several"


def test_meetings_are_counted_by_hand():
    rng = np.random.default_rng(1)
    states = rng.integers(3, size=(25, 2))
    equal = (states[:, None] == states).all(-1)

    def chance(kept):
        part = equal[np.ix_(kept, kept)]
        return (part.sum() - len(kept)) / (len(kept) * (len(kept) - 1))

    left_out = np.array([chance([j for j in range(25) if j != i]) for i in range(25)])
    found = meeting(states)
    assert found.chance == pytest.approx(chance(range(25)))
    assert found.variance == pytest.approx(24 / 25 * ((left_out - left_out.mean()) ** 2).sum())
    value, low, high = effective(found.chance, found.variance**0.5)
    assert value == pytest.approx(1 / found.chance)
    assert low < value < high
    assert effective(0.0, 0.0) == (np.inf, np.inf, np.inf)


def test_where_no_two_meet_the_number_is_bounded_from_below():
    ends = np.arange(40)[:, None] * np.ones(6, int)
    found = attractors_of(dataset(ends, generated=ends[:4]), 0)
    assert found.number.value == np.inf == found.number.high
    assert found.number.low == pytest.approx(40 * 39 / 6)


def test_starts_near_a_sequence_are_counted():
    ends = [[0, 0, 0, 0]] * 5 + [[0, 0, 0, 1]] * 2 + [[3, 3, 3, 3]] * 4
    data = dataset(ends, generated=[[0, 0, 0, 0], [3, 3, 3, 0], [2, 2, 2, 2]])
    assert hits(data, data["tokens"].values, 0).tolist() == [5, 0, 0]
    assert hits(data, data["tokens"].values, 1).tolist() == [7, 4, 0]
    found = attractors_of(data, 1)
    assert (found.starts, found.distinct, found.settled) == (11, 3, 1.0)
    assert found.own.value == pytest.approx(2 / 3)
    assert attractors_of(data.isel(start=slice(7)), 1) is None
    assert attractors_of(data.drop_vars("attractor"), 1) is None


def calibrated(numbers, truths, common=True):
    """Models of a calibration whose attractors number so many, half of them with own ones near."""
    n = len(numbers)
    excess = np.linspace(0, 1, n)
    return xr.Dataset(
        {
            "end_number": ("model", np.asarray(numbers, float)),
            "end_own": ("model", excess),
            "end_excess": ("model", excess),
            "near": ("model", np.zeros(n)),
            "truth": ("model", list(truths)),
            "common": ("model", np.full(n, common)),
        }
    )


def test_a_calibration_says_how_well_each_reading_tells_memory_from_none():
    truths = ["memorizing", "generalizing", "middle", "memorizing", "generalizing"]
    data = calibrated([1, 5, 9, 5.5, 6], truths)
    lines = "\n".join(end_lines(data, np.random.default_rng(0)))
    assert "effective number of attractors | 0.75 [" in lines  # fewer than 5 and 6: 1; than 6: 5.5
    assert "own less held-out sequences near one | 0.25 [" in lines
    assert "repeat another one, for comparison | 0.50 [0.50, 0.50] | 0.000 | 0.000" in lines
    assert "1 of 2 that memorize, 2 of 2 that generalize" in lines


def test_models_that_cannot_be_compared_are_left_out():
    rng = np.random.default_rng(0)
    assert end_lines(calibrated([1, 2, 3, 4], ["memorizing"] * 4), rng) == []
    truths = ["memorizing", "generalizing"] * 2
    assert end_lines(calibrated([1, 2, 3, 4], truths), rng)
    assert end_lines(calibrated([1, 2, 3, np.nan], truths), rng) == []
    assert end_lines(calibrated([1, 2, 3, 4], truths, common=False), rng) == []
    assert end_lines(calibrated([1, 2, 3, 4], truths).drop_vars("end_number"), rng) == []
    assert all(np.isnan(x) for x in readings(None).values())
    ends = attractors_of(dataset(np.arange(9)[:, None] * np.ones(4, int), generated=[[1] * 4]), 0)
    found = readings(ends)
    assert (found["end_number"], found["end_own"]) == (12.0, 1.0) and np.isnan(found["end_excess"])


HELD = np.random.default_rng(2).integers(V, size=(32, L), dtype=np.uint8)
SIZES = {"sequences": 32, "recover": 0, "generate": 48, "n_steps": 20}


@pytest.fixture(scope="module")
def probed():
    """A probe of a store."""
    return probe(EmpiricalDenoiser(STORED, V), HELD, **SIZES)


def test_it_is_described_and_decides_nothing(probed):
    found = probed
    ends = found.verdict.attractors
    assert ends.starts == 48 and ends.own.low > ends.heldout.high
    (said,) = (words for words in found.verdict.reasons if "from noise" in words)
    assert said.startswith("Described, not judged by")
    assert f"{ends.distinct} ends" in said and "Few ends are no memory" in said
    assert not {"attractors", "noise ends"} & {check.name for check in found.verdict.checks}
    bare = found.data.drop_vars(["attractor", "attractor_period"])
    without = verdicts(bare, stream(found.data.attrs["root_seed"], "verdict"))
    mine = dataclasses.replace(found.verdict, attractors=None, reasons=())
    assert dataclasses.replace(without[0], reasons=()) == mine


def test_it_is_a_part_that_is_kept(tmp_path):
    config = ProbeConfig(sequences=8, recover=0, generate=8, n_steps=5, levels=(0.25,))
    part = tmp_path / "cells" / "attractors.nc"

    def measured():
        with Parts.open(tmp_path, "a") as parts:
            return measure(EmpiricalDenoiser(STORED, V), config, HELD, parts=parts)

    first, before = measured(), part.stat().st_mtime_ns
    xr.testing.assert_equal(measured(), first)
    assert part.stat().st_mtime_ns == before
    part.unlink()
    xr.testing.assert_equal(measured(), first)
    assert part.stat().st_mtime_ns > before


def test_what_noise_leads_to_most_often_is_listed_first(probed):
    data, ends = probed.data, probed.verdict.attractors
    data = data.assign(repeats=data["repeats"] * 0)
    mine = data.isel(sequence=data["split"].values == "generated")
    times = hits(data, mine["tokens"].values, ends.within)
    rows = most_memorized(data, str, ends)["generated"]
    assert f"{times.max()} starts in noise end near it" in rows[0].facts
    assert "starts in noise" not in most_memorized(data, str)["generated"][0].facts


def test_a_model_that_writes_nothing_is_asked_for_none():
    found = measure(EmpiricalDenoiser(STORED, V), ProbeConfig(**{**SIZES, "generate": 0}), HELD)
    assert "attractor" not in found
    assert (starts(0), starts(100), starts(10**6)) == (0, 100, MOST)

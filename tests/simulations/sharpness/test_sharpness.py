"""The study of sharpness: widths, exponents and collapses of curves whose laws are known."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, ndtr

from am_theory import empirical, linear
from simulations.measure.passage import crossing_size, first_rise_size
from simulations.rows.programs import separable, wall_inputs
from simulations.sharpness.analysis import Group, SharpnessAnalysis, exact_twin, group_of, place_of
from simulations.sharpness.cells import compute
from simulations.sharpness.config import SharpnessConfig, make_cells, network_cells, preset
from simulations.sharpness.curves import (
    exact_linear,
    exact_memorizer,
    exact_separable,
    left_out,
    measured_memories,
    measured_memorizer,
    measured_separable,
    rows_limit,
)
from simulations.sharpness.exponents import (
    collapse,
    jackknife_error,
    slope_within,
    width_exponent,
    width_limit,
)
from simulations.sharpness.predictions import (
    EXPECTED,
    MARGIN,
    SAME,
    SHARP,
    UNDECIDED,
    WIDER,
    memorizer_decades,
    memorizer_place,
    nature_of,
    separable_share,
    verdict_of,
)
from simulations.sharpness.report import decided
from simulations.sharpness.widths import Key, Passing, Value, log_parts, scatters_of, values_of

KEY = Key("network", "M", "made up")


def sigmoid(length, vocab, width, middle, units=0, rng=None, rising=False):
    """A passage that falls (or rises) as a logistic function of log10 K, of this width."""
    sizes = np.geomspace(1, 1e8, 161)
    scale = 2 * np.log(9) / width

    def curve(shift=0.0):
        fallen = expit(-scale * (np.log10(sizes) - np.log10(middle) - shift))
        return 1 - fallen if rising else fallen

    if not units:
        return Passing(KEY, vocab, length, sizes, curve(), np.empty((0, 161)), rising)
    own = np.array([curve(shift) for shift in rng.normal(0, 0.02, units)])
    left = np.array([np.delete(own, k, 0).mean(0) for k in range(units)])
    return Passing(KEY, vocab, length, sizes, own.mean(0), left, rising)


# widths


@given(st.floats(0.6, 3.0), st.floats(50, 5e5), st.booleans())
def test_the_width_place_and_slope_of_a_logistic_passage(width, middle, rising):
    passing = sigmoid(8, 4, width, middle, rising=rising)
    found = np.exp(log_parts(passing.train_sizes, passing.whole, rising))
    slope = 0.5 / (width * np.log(3) / np.log(9))
    assert_allclose(found, [middle, width, slope], rtol=0.02)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.floats(0.05, 0.95))
def test_the_first_rise_is_the_last_fall_seen_from_the_other_end(values, level):
    sizes = 2.0 ** np.arange(len(values))
    mirrored = crossing_size(sizes, 1 - np.array(values), 1 - level, "falling")
    found = first_rise_size(sizes, values, level)
    at = [k for k, value in enumerate(values) if value >= level]
    if not at:
        assert found == np.inf
    elif at[0] == 0:
        assert found == -np.inf
    else:
        assert sizes[at[0] - 1] <= found <= sizes[at[0]]
        assert not mirrored < found * (1 - 1e-9) or np.isinf(mirrored)


def test_what_the_grid_does_not_hold_is_not_a_number():
    sizes = np.array([1.0, 10.0, 100.0])
    assert np.isnan(log_parts(sizes, np.array([0.8, 0.5, 0.0]), False)[1])
    assert np.isfinite(log_parts(sizes, np.array([0.8, 0.5, 0.0]), False)[[0, 2]]).all()
    assert np.isnan(log_parts(sizes, np.array([np.nan, np.nan, 0.4]), False)).all()


def test_pseudo_values_of_a_mean_are_the_units_themselves():
    rng = np.random.default_rng(0)
    top, bottom = rng.random((6, 3)), np.ones((6, 3))
    whole, left = left_out(top, bottom)
    assert_allclose(6 * whole - 5 * left, top)
    error = jackknife_error(whole, left)
    assert_allclose(error, top.std(0, ddof=1) / np.sqrt(6))


def test_intervals_of_widths_cover():
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        passings = [sigmoid(n, 4, 1.2, 100.0 * n, 4, rng) for n in (8, 16, 32)]
        middle = values_of(passings[0], scatters_of(passings))[0]
        held += middle.low <= 800.0 <= middle.high
    assert held >= 33  # of 38 expected, standard deviation 1.4


# exponents


def test_slopes_within_groups_are_those_of_least_squares():
    rng = np.random.default_rng(1)
    x, y, groups = rng.random(9), rng.random(9), np.repeat([0, 1, 2], 3)
    design = np.column_stack([x, *(groups == g for g in range(3))])
    assert_allclose(slope_within(x, y, groups), np.linalg.lstsq(design, y, rcond=None)[0][0])
    assert np.isnan(slope_within(x[:3], y[:3], np.arange(3)))


@pytest.mark.parametrize(("power", "verdict"), [(-0.5, SHARP), (0.0, SAME), (0.5, WIDER)])
def test_the_verdict_follows_the_exponent_of_the_width(power, verdict):
    rng = np.random.default_rng(2)
    cases = list(itertools.product((2, 4), (8, 16, 32, 64)))
    logs = [power * np.log(n) + 0.2 * np.log(v) + rng.normal(0, 0.01, 5) for v, n in cases]
    found = width_exponent(cases, logs, 1)
    assert found.low < power < found.high and verdict_of(found.low, found.high) == verdict
    other = width_exponent(cases, logs, 0)
    assert other.low < 0.2 < other.high


def test_an_interval_across_the_margin_decides_nothing():
    assert verdict_of(-0.2, 0.0) == UNDECIDED == verdict_of(np.nan, np.nan)
    assert verdict_of(MARGIN, 2 * MARGIN) == UNDECIDED == verdict_of(-3 * MARGIN, -MARGIN / 2)


def test_few_sizes_have_an_exponent_and_no_interval():
    found = width_exponent([(4, 8), (4, 16)], [np.array([0.0]), np.array([np.log(2)])], 1)
    assert_allclose(found.value, 1.0)
    assert np.isnan(found.low)
    assert np.isnan(width_exponent([(4, 8)], [np.array([0.0])], 1).value)


def test_units_and_sizes_both_widen_the_interval():
    cases = [(4, n) for n in (8, 16, 32, 64)]
    line = [np.full(5, 0.3 * np.log(n)) for _, n in cases]
    noise = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
    bent = [values + 0.1 * (-1) ** k for k, values in enumerate(line)]
    exact = width_exponent(cases, line, 1)
    for more in ([values + noise for values in line], bent):
        found = width_exponent(cases, more, 1)
        assert found.high - found.low > exact.high - exact.low + 0.05


def widths(law, units=4, noise=0.0):
    rng = np.random.default_rng(6)
    return [np.log(law(n)) + rng.normal(0, noise, units) for n in (8, 16, 32, 64)]


def test_a_width_that_ends_at_a_constant_is_told_from_one_that_vanishes():
    cases = [(4, n) for n in (8, 16, 32, 64)]
    ends = width_limit(cases, widths(lambda n: 0.5 + 4 / n))
    assert ends.width.low <= 0.5 + 1e-9 and ends.width.high >= 0.5 - 1e-9
    assert_allclose(ends.width.value, 0.5)
    scattered = [
        values + np.array([-0.1, 0.0, 0.0, 0.1]) for values in widths(lambda n: 0.5 + 4 / n)
    ]
    wide = width_limit(cases, scattered).width
    assert wide.high - wide.low > ends.width.high - ends.width.low + 0.1
    assert ends.line_miss < 1e-9 < ends.power_miss and not ends.excluded
    vanishes = width_limit(cases, widths(lambda n: 3 * n**-0.5))
    assert vanishes.excluded and vanishes.power_miss < 1e-9
    assert not width_limit(cases, widths(lambda n: 3 * n**-0.5, noise=0.3)).excluded
    assert width_limit(cases[:2], widths(lambda n: 1.0)[:2]) is None


def test_only_a_width_that_cannot_end_at_a_constant_makes_a_transition():
    assert nature_of(SHARP, False, True) == "transition: a jump"
    assert nature_of(SHARP, False, False) == "open" == nature_of(UNDECIDED, True, True)
    assert nature_of(WIDER, True, False) == "crossover in K, jump in log K / L"
    assert nature_of(WIDER, False, False) == "crossover" == nature_of(SAME, False, True)


# collapse


def test_curves_of_one_form_collapse_at_the_exponents_they_were_made_with():
    rng = np.random.default_rng(3)
    cases = itertools.product((2, 4, 8), (8, 16, 32))
    made = [sigmoid(n, v, 1.2, 3.0 * n**1.5 * v**0.5, 3, rng) for v, n in cases]
    found = collapse(made)
    assert found.length.low < 1.5 < found.length.high
    assert found.vocabulary.low < 0.5 < found.vocabulary.high
    assert found.length.high - found.length.low < 0.25
    assert found.residual < 0.03 < 0.15 < found.unscaled


def test_exponents_are_found_from_a_start_at_zero():
    """Grids as coarse as theirs may have the same K next to one half."""
    sizes = 4.0 ** np.arange(12)
    curves = [expit(-1.5 * np.log(sizes / (90 * n**0.4))) for n in (8, 16)]
    made = [
        Passing(KEY, 4, n, sizes, curve, np.empty((0, 12)))
        for n, curve in zip((8, 16), curves, strict=True)
    ]
    assert_allclose(collapse(made).length.value, 0.4, atol=0.15)


def test_curves_of_different_widths_do_not_collapse():
    made = [sigmoid(n, 4, 0.4 * n**0.5, 10.0 * n) for n in (8, 16, 32, 64)]
    same = [sigmoid(n, 4, 2.0, 10.0 * n) for n in (8, 16, 32, 64)]
    assert collapse(made).residual > 5 * collapse(same).residual
    assert np.isnan(collapse(same).vocabulary.value)


def test_rising_passages_collapse_like_falling_ones():
    falling = [sigmoid(n, 4, 1.0, 10.0 * n) for n in (8, 16, 32)]
    rising = [sigmoid(n, 4, 1.0, 10.0 * n, rising=True) for n in (8, 16, 32)]
    assert_allclose(collapse(falling).length.value, collapse(rising).length.value, atol=0.01)


# theory


def test_the_memorizer_widens_as_the_normal_form_says_and_collapses_in_it():
    passings = [exact_memorizer((4, n), 0.5)[0] for n in (16, 32, 64, 128)]
    decades = np.exp([p.logs[0, 1] for p in passings])
    assert_allclose(decades, memorizer_decades([16, 32, 64, 128], 4, 0.5), rtol=0.13)
    error = np.abs(decades / memorizer_decades([16, 32, 64, 128], 4, 0.5) - 1)
    assert (np.diff(error) < 0).all()
    group = group_of(passings[0].key, passings)
    assert group.verdict == WIDER and 0.5 < group.length.value < 0.55
    assert group.relative.high < -MARGIN
    c = group.collapsed
    assert c.expected < c.residual < c.unscaled


def test_the_memorizer_place_is_the_argument_of_its_normal_approximation():
    log_size = np.array([3.0, 6.0])
    exact = empirical.retrieval_probability_normal(np.exp(log_size), 32, 4, 0.5)
    place = memorizer_place(log_size - np.log(32) / 2, 32, 4, 0.5)
    assert_allclose(ndtr(-place), exact)


def test_the_linear_denoiser_is_as_wide_at_every_length():
    passings = [exact_linear((4, n), 0.5)[2] for n in (8, 16, 32, 64)]
    group = group_of(passings[0].key, passings)
    assert group.verdict == SAME and abs(group.length.value) < 0.01
    assert group.collapsed.expected < 0.01 < group.collapsed.unscaled
    assert_allclose(group.collapsed.length.value, 1.0, atol=0.02)
    p = passings[0]
    exact = linear.token_recovery(p.train_sizes, 8, 4, 0.5, tokens="corrupted")
    assert_allclose(p.whole, exact)


def test_the_linear_denoiser_lies_between_the_memorizer_and_the_law():
    memory, generalization, _ = exact_linear((4, 32), 0.5)
    sizes = memory.train_sizes[[120, 200]]
    for passing, split in ((memory, "train"), (generalization, "test")):
        ours = linear.token_recovery(sizes, 32, 4, 0.5, tokens="corrupted", split=split)
        end = empirical.token_recovery(sizes, 32, 4, 0.5, tokens="corrupted", split=split)
        law = 0.0  # the likeliest clean token is the noisy one
        ends = (law, end) if split == "train" else (end, law)
        assert_allclose(passing.whole[[120, 200]], (ours - ends[0]) / (ends[1] - ends[0]))
    assert generalization.rising and not memory.rising


def test_rows_of_two_tokens_are_separable_as_often_as_cover_says():
    rng = np.random.default_rng(4)
    inputs, count, trials = 6, 11, 150
    held = 0
    for _ in range(trials):
        walls = wall_inputs(rng.integers(2, size=(count, inputs + 1)), 2)
        # inputs in general position: signs alone may coincide
        held += separable(walls * 1.0 + 0.05 * rng.normal(size=walls.shape))
    share = float(separable_share(count, inputs))
    assert abs(held / trials - share) < 4 * np.sqrt(share * (1 - share) / trials)


def test_separable_rows_sharpen_as_the_root_of_the_inputs():
    passings = [exact_separable(n) for n in (9, 17, 33, 65)]
    group = group_of(passings[0].key, passings)
    assert group.verdict == SHARP and -0.65 < group.length.value < -0.45


def test_simulated_separability_is_a_normal_law_of_log_size():
    rng = np.random.default_rng(5)
    largest = np.round(np.exp(rng.normal(np.log(200), 0.1, 400))).astype(int)
    passing = measured_separable((4, 12), xr.Dataset({"largest": ("program", largest)}))
    found = np.exp(passing.logs.mean(0))
    assert_allclose(found[0], 200, rtol=0.02)
    assert_allclose(found[1], 2.563 * 0.1 / np.log(10), rtol=0.1)


# the study


def test_expectations_name_verdicts_that_the_rule_can_give():
    for expected in EXPECTED.values():
        low, high = expected.exponent - 0.02, expected.exponent + 0.02
        assert verdict_of(low, high) == expected.verdict


def test_a_simulated_memorizer_agrees_with_the_exact_one():
    config = SharpnessConfig(memorizers=((2, 8),), sets=8, queries=40)
    cell = compute(config, {"kind": "memorizer", "case": [2, 8]})
    passing = measured_memorizer(config, (2, 8), cell)
    twin = exact_twin(passing)
    logs = passing.logs
    exact = log_parts(twin.train_sizes, twin.whole, False)
    error = logs.std(0, ddof=1) / np.sqrt(len(logs))
    assert (np.abs(logs.mean(0) - exact)[:2] < 5 * error[:2]).all()
    assert place_of(passing.key) is not None and place_of(KEY) is None


def test_a_memory_is_one_where_it_reads_as_the_memorizer_and_zero_at_the_law():
    config = SharpnessConfig(ridges=(0.1,), loads=(0.5, 1.0, 2.0))
    laws = {"entropy": np.log(4), "own": 0.25}
    share = np.array([[1.0, 0.6, 0.0]])
    cells = []
    for end in (0.9, 0.8, 0.7):
        values = {}
        for name, law in laws.items():
            ends = law + end * ((0 if name == "entropy" else 1) - law) * np.ones((1, 3))
            values[name] = (("ridge", "load"), law + share * (ends - law))
            values[f"{name}_memorizer"] = (("ridge", "load"), ends)
        cells.append(xr.Dataset(values))
    for passing in measured_memories(config, (4, 8), cells, [10, 20, 40]):
        assert_allclose(passing.whole, share[0], atol=1e-12)
        assert_allclose(passing.without, np.tile(share, (3, 1)), atol=1e-12)
    limit = rows_limit(config, 4, xr.Dataset({"entropy": (("ridge", "load"), share * np.log(4))}))
    assert_allclose(limit["ridge 0.1"], 1 - share[0])


def test_cells_of_fewer_networks_are_among_those_of_more():
    fewer, more = preset("small"), SharpnessConfig(seeds=5)
    assert {c.name for c in make_cells(fewer)} < {c.name for c in make_cells(more)}
    assert fewer.identity() == more.identity()
    assert SharpnessConfig(rate=1e-3).identity() != fewer.identity()
    names = [c.name for c in make_cells(fewer)]
    assert len(set(names)) == len(names)
    last = next(iter(network_cells(fewer).values()))[-1][-1]
    assert names.index(last.name) > names.index(last.name.replace("seed2", "seed0"))


def made_up(*exponents):
    """An analysis of networks alone, of groups with these intervals of e."""
    none = Value(np.nan)
    groups = [
        Group(Key("network", order, "x"), False, Value(e, e - h, e + h), none, none, None, None)
        for order, e, h in exponents
    ]
    return SharpnessAnalysis(SharpnessConfig(), [], groups, {}, [])


def test_a_system_is_what_its_decidable_groups_of_memory_agree_on():
    assert made_up(("M", 0.0, 0.05), ("M", 0.1, 0.4)).verdict("network") == SAME
    assert made_up(("M", 0.0, 0.05), ("M", -0.5, 0.1)).verdict("network") == UNDECIDED
    assert made_up(("M", -0.5, 0.1), ("G", 0.5, 0.1)).verdict("network") == SHARP
    assert made_up(("M", 0.0, 0.3)).verdict("network") == UNDECIDED
    two = made_up(("M", 0.0, 0.05), ("M", 0.1, 0.4), ("G", 0.0, 0.01))
    assert decided(two, "network") == "1 of 2 groups decidable"


@pytest.mark.slow
def test_the_report_starts_with_the_width_of_networks(tiny_run):
    folder = tiny_run("sharpness")
    first = (folder / "report.md").read_text().split("\n")[4]
    assert first.startswith("**Width of the passage of M") and "networks: " in first
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["verdicts"]) == set(EXPECTED)
    assert summary["verdicts"]["linear"] == SAME
    systems = {row["system"] for row in summary["widths"]}
    assert systems == set(EXPECTED)

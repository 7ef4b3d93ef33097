"""The scaling laws: sizes, fits and verdicts on curves whose answer is known, then the command."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats
from scipy.optimize import isotonic_regression

from am_theory import channel
from am_theory.linear import convergence_size
from models.denoiser import log_full
from models.exact.empirical import EmpiricalDenoiser
from models.sources import IidSource, MarkovSource
from models.sources.permutations import permutation_chain
from simulations.measure import checks as check
from simulations.measure.transition import Curve
from simulations.scaling.analysis import (
    capacity_of,
    linear_rows,
    linear_sizes,
    steps_of,
    widths_of,
)
from simulations.scaling.cells import (
    code_length,
    linear_cell,
    make_source,
    network_cell,
    stored_among,
)
from simulations.scaling.collapse import collapse, falling_fit, residual
from simulations.scaling.config import (
    Condition,
    ScalingConfig,
    conditions,
    cost,
    make_cells,
    network_cells,
)
from simulations.scaling.hypothesis import judge, slopes
from simulations.scaling.laws import (
    collapses_of,
    draws_laws,
    growth_laws,
    linear_laws,
    parameter_laws,
    step_laws,
)
from simulations.scaling.presets import preset
from simulations.scaling.report import exponent_table, law_table
from simulations.scaling.sizes import (
    DEFINITIONS,
    Measured,
    log_interval,
    measured,
    memorized,
    peak_by_seed,
    size_by_seed,
    student_interval,
)
from simulations.scaling.study import STUDY
from tests.helpers import assert_drawn, within_standard_errors

SIZES = np.array([16, 32, 64, 128, 256, 512, 1024])
SEEDS = 3
SPREAD = np.exp(0.02 * np.arange(SEEDS) - 0.02)  # factors of the transition sizes of seeds


def condition(**changes):
    base = Condition("iid", 8, 16, 0, 0, 16, 1, 1000, 0, tuple(SIZES.tolist()))
    return dataclasses.replace(base, **changes)


def made_up(turn, *, n_parameters=1000, bits=0.5, seeds=SEEDS, **changes):
    """Curves of a network whose every transition is at K = `turn`, straight in log K, the same for
    all seeds but for a small factor of `turn`; it holds min(K (H - log K), bits N log 2) nats."""
    turns = turn * SPREAD[:seeds, None]
    way = np.log(SIZES / SIZES[0]) / np.log(turns / SIZES[0])  # 0 at the first K, 1 at the turn
    gap = 0.8 - 0.4 * way
    entropy = 30.0
    held = np.minimum(SIZES * (entropy - np.log(SIZES)), bits * n_parameters * np.log(2))

    def curve(values):
        middle = values.mean(0)
        return Curve(SIZES, middle, np.tile(middle, (9, 1)), values, "sequences only")

    return Measured(
        condition(**changes),
        n_parameters,
        entropy,
        np.full(seeds, 2.0),
        curve(1 - way / 2),
        curve(way / 2),
        {"ancestral": gap, "best_change": gap},
        0.1 + 0.4 * way,
        np.full((seeds, len(SIZES)), 0.9),
        way,
        {name: np.tile(entropy - held / SIZES, (seeds, 1)) for name in ("train", "heldout")},
    )


# --- numbers


@given(
    st.floats(-2, 2),
    st.floats(-1, 1),
    st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=6),
)
def test_a_slope_is_that_of_least_squares(exponent, offset, noise):
    x = 2.0 ** np.arange(len(noise))
    y = np.exp(offset + exponent * np.log(x) + np.array(noise))
    found = slopes(x, np.stack([y, y * 3]))
    expected = np.polyfit(np.log(x), np.log(y), 1)[0]
    assert found == pytest.approx([expected, expected], abs=1e-9)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 0.0])
def test_a_missing_point_leaves_no_slope(bad):
    found = slopes([1.0, 2.0, 4.0], [[1.0, 2.0, 4.0], [1.0, bad, 4.0]])
    assert found[0] == pytest.approx(1.0)
    assert np.isnan(found[1])


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8))
def test_the_interval_over_seeds_is_students(values):
    values = np.array(values)
    middle, low, high = student_interval(values)
    if values.std() < 1e-9:
        assert high - low < 1e-6
        return
    scale = values.std(ddof=1) / len(values) ** 0.5
    expected = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=scale)
    assert (middle, low, high) == pytest.approx((values.mean(), *expected))
    logs = log_interval(np.exp(values))
    assert logs == pytest.approx(np.exp([middle, low, high]))


@pytest.mark.parametrize("values", [[1.0], [1.0, np.inf], [np.nan, 2.0, 3.0]])
def test_no_interval_without_every_seed(values):
    assert np.isnan(student_interval(np.array(values))).all()


JUDGEMENTS = [
    (1.0, 0.0, 0.9, 1.1, "supported"),
    (1.0, 0.0, 1.2, 1.4, "not supported"),
    (1.0, 0.0, 0.1, 0.9, "not supported"),
    (1.0, 0.0, -0.2, 1.2, "not decidable at this size"),
    (0.0, 1.0, -0.1, 0.1, "supported"),
    (1.0, 0.0, np.nan, np.nan, "not decidable at this size"),
    (-np.inf, 0.0, -1.0, -0.1, "supported"),
    (-np.inf, 0.0, -1.0, 0.1, "not decidable at this size"),
    (-np.inf, 0.0, 0.2, 0.5, "not supported"),
]


@pytest.mark.parametrize(("predicted", "rival", "low", "high", "verdict"), JUDGEMENTS)
def test_verdicts(predicted, rival, low, high, verdict):
    assert judge(predicted, rival, low, high) == verdict


# --- collapse


@given(st.integers(0, 2**32 - 1))
def test_the_fitted_spline_falls_and_no_falling_curve_is_nearer_than_isotonic(seed):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.normal(size=12))
    y = np.exp(-x) + 0.3 * rng.normal(size=12)
    fit = falling_fit(x, y)
    assert np.all(np.diff(fit) <= 1e-9)
    best = isotonic_regression(y, increasing=False).x
    assert ((fit - y) ** 2).sum() >= ((best - y) ** 2).sum() - 1e-9
    again = falling_fit(x, fit)  # a projection
    assert again == pytest.approx(fit, abs=1e-6)


@settings(max_examples=25)
@given(st.floats(0.0, 1.5), st.floats(3.0, 8.0))
def test_curves_of_one_variable_collapse_at_its_exponent(exponent, middle):
    scales = np.array([1.0, 3.0, 10.0])
    sizes = np.exp(np.linspace(0, 12, 13))
    place = np.log(sizes)[None] - exponent * np.log(scales)[:, None]
    curves = 1 / (1 + np.exp(1.3 * (place - middle)))
    found = collapse(sizes, scales, curves)
    assert found.exponent == pytest.approx(exponent, abs=0.03)
    assert found.residual < 0.02  # a spline of eight pieces against a steep curve
    assert found.residual <= min(found.unscaled, found.at_one) + 1e-9
    assert found.unscaled == pytest.approx(residual(sizes, scales, curves, 0.0))
    if exponent > 0.5:
        assert found.unscaled > 2 * found.residual


def test_a_missing_point_is_left_out_of_a_collapse():
    scales, sizes = np.array([1.0, 4.0]), np.exp(np.linspace(0, 8, 9))
    place = np.log(sizes)[None] - np.log(scales)[:, None]
    curves = 1 / (1 + np.exp(place - 4))
    curves[1, 3] = np.nan
    assert collapse(sizes, scales, curves).exponent == pytest.approx(1.0, abs=0.03)
    assert np.isnan(collapse(sizes, scales, np.full((2, 9), np.nan)).exponent)


def test_an_exponent_beyond_those_tried_is_infinite():
    scales, sizes = np.array([1.0, 4.0]), np.exp(np.linspace(0, 16, 17))
    place = np.log(sizes)[None] - 4 * np.log(scales)[:, None]
    assert collapse(sizes, scales, 1 / (1 + np.exp(place - 6))).exponent == np.inf


def test_collapse_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="one row for each"):
        collapse(SIZES, [1.0, 2.0], np.zeros((2, 3)))
    with pytest.raises(ValueError, match="two or more networks"):
        collapse(SIZES, [1.0], np.zeros((1, len(SIZES))))


# --- sizes and laws on made-up networks


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_size_is_found_where_it_was_put(name):
    found = size_by_seed(made_up(100.0), name)
    assert found == pytest.approx(100 * SPREAD)


def test_parameter_laws_see_proportionality_and_its_absence():
    counts = [1000, 4000, 16000]
    grown = [made_up(n / 40, n_parameters=n) for n in counts]
    flat = [made_up(100.0, n_parameters=n) for n in counts]
    for parts, slope, verdict in ((grown, 1.0, "supported"), (flat, 0.0, "not supported")):
        laws = [
            law
            for law in parameter_laws(parts, collapses_of(parts))
            if law.statement.startswith("K* prop")
        ]
        assert [law.verdict for law in laws] == [verdict] * 5
        assert [law.estimate for law in laws] == pytest.approx([slope] * 5, abs=0.03)
        assert all(law.points == 3 and law.seeds == SEEDS for law in laws)


def test_memorized_information_and_bits_a_parameter():
    part = made_up(100.0, n_parameters=20_000, bits=0.5)
    held = memorized(part)
    assert held.shape == (SEEDS, len(SIZES))
    assert held[0, 0] == pytest.approx(16 * (30 - np.log(16)))
    found = capacity_of(part)
    assert found.bits == pytest.approx(0.5)
    pair = [part, made_up(200.0, n_parameters=40_000, bits=2.0)]  # the second is never full
    assert (
        sum(law.headline for law in parameter_laws([part, part], collapses_of([part, part]))) == 5
    )
    saturated = [
        law for law in parameter_laws(pair, collapses_of(pair)) if "saturates" in law.statement
    ]
    assert [law.verdict for law in saturated] == ["supported", "not supported"]
    assert found.nominal == pytest.approx(20_000 * 3.6 * np.log(2) / 30)


def test_step_laws_see_what_binds():
    parts = [made_up(t / 10, steps=t) for t in (500, 1000, 2000, 4000)]
    assert {law.verdict for law in step_laws(parts, binds=True)} == {"supported"}
    assert {law.verdict for law in step_laws(parts, binds=False)} == {"not supported"}
    spans = [law.points for law in step_laws(parts, binds=True)]
    assert spans == [4, 2, 2] * 5


def test_growth_laws_read_the_slope_at_each_number_of_steps():
    pairs = [
        [made_up(50.0 * 4**k, n_parameters=1000 * 4**k, steps=t) for k in (0, 1)] for t in (1, 2)
    ]
    laws = growth_laws(pairs)
    assert [law.verdict for law in laws] == ["supported"] * 8
    assert not any(law.headline for law in laws)


def test_the_linear_law_is_read_where_corrections_are_smallest():
    d = np.array([20.0, 100.0, 400.0, 1600.0])
    sizes = 0.4 * d * (1 - 5 / d) * SPREAD[:, None]
    cases = {(5, int(x) // 4, 0.5): column for x, column in zip(d, sizes.T, strict=True)}
    every, largest = linear_laws(cases)
    assert (every.verdict, largest.headline) == ("not supported", True)
    assert largest.estimate == pytest.approx(1.0, abs=0.01)
    row = linear_rows(cases)[-1]
    assert "infinity" in row.what
    assert row.simulated == pytest.approx(0.4 * SPREAD.mean(), rel=1e-6)


def peaked(draws, at, height):
    part = made_up(100.0, draws=draws)
    logs = np.log(SIZES)
    curve = 50 + height - (logs - np.log(at)) ** 2
    curve[0] = 50.0
    return dataclasses.replace(part, code_length={"heldout": np.tile(curve, (SEEDS, 1))})


def test_a_peak_is_found_with_its_height():
    places, heights = peak_by_seed(peaked(1, 200.0, 5.0))
    assert places == pytest.approx(200.0)
    assert heights == pytest.approx(5.0)


def test_long_codes_at_small_sizes_are_no_peak():
    part = peaked(1, 200.0, 5.0)
    curve = part.code_length["heldout"].copy()
    curve[:, 0] = 90.0  # above everything, and falling
    high = dataclasses.replace(part, code_length={"heldout": curve})
    places, heights = peak_by_seed(high)
    assert places == pytest.approx(200.0)
    assert heights == pytest.approx(55.0 - curve[0, 1])


@pytest.mark.parametrize(("curve", "place"), [(SIZES[::-1], -np.inf), (SIZES, np.inf)])
def test_a_peak_at_an_end_is_no_peak(curve, place):
    part = dataclasses.replace(
        made_up(100.0), code_length={"heldout": np.tile(curve.astype(float), (SEEDS, 1))}
    )
    places, heights = peak_by_seed(part)
    assert (places == place).all()
    assert (heights == 0).all()


def test_draws_laws_tell_interpolation_from_capacity():
    spread = [peaked(n, 512.0 / n, 5.0 - n / 4) for n in (1, 4, 8)]
    by_quantity = {law.quantity: law for law in draws_laws(spread)}
    place = by_quantity["slope of log K_peak on log n"]
    assert (place.verdict, round(place.estimate, 6)) == ("not supported", -1.0)
    assert by_quantity["slope of log height on log n"].verdict == "supported"
    fixed = {law.quantity: law for law in draws_laws([peaked(n, 100.0, 5.0) for n in (1, 4)])}
    assert fixed["slope of log K_peak on log n"].verdict == "supported"


def test_the_table_holds_every_law():
    parts = [made_up(n / 40, n_parameters=n) for n in (1000, 4000)]
    laws = parameter_laws(parts, collapses_of(parts))
    lines = law_table(laws)
    assert len(lines) == len(laws) + 3
    assert all(law.verdict in line for law, line in zip(laws, lines[2:], strict=False))


def test_the_first_table_has_the_exponents_of_all_sizes_side_by_side():
    parts = [made_up(n / 40, n_parameters=n) for n in (1000, 4000)]
    lost = dataclasses.replace(parts[1], memory=parts[1].generalization)  # memory never falls
    header, _, row, _ = exponent_table(parameter_laws([parts[0], lost], collapses_of(parts)))
    assert header.split(" | ")[1:] == [
        *("by the law", "K_M(recovery)", "K_G(recovery)", "K_half(recovery)", "K_H(entropy) |")
    ]
    assert [cell[:4] for cell in row.split(" | ")[1:]] == ["1.00", "–", "1.00", "1.00", "1.00"]


# --- order parameters from the counts of cells


def counted(train, held_out, *, memorizer=(1.0, 0.0), law=(0.25, 0.75)):
    """The cell of one seed: what a network restores of every sequence, a share by split and K, the
    shares of the two exact ends by split, of 16 corrupted tokens; half of the held-out sequences
    were stored by chance."""
    n = 64
    there = np.stack([np.ones(n), np.arange(n) % 2])[:, None] * np.ones((2, 2, 1))
    corrupted = np.tile(16 * there, (len(SIZES), 1, 1, 1))
    ours = np.stack([train, held_out], -1)[:, :, None, None]
    counts = {
        "corrupted": corrupted,
        "recovered": ours * corrupted,
        "memorizer": np.array(memorizer)[:, None, None] * corrupted,
        "population": np.array(law)[:, None, None] * corrupted,
    }
    dims, split = ("train_size", "split", "decoder", "sample"), ("train_size", "split", "sample")
    data = {name: (dims, table.astype(np.int16)) for name, table in counts.items()}
    data["entropy"] = (split, np.ones((len(SIZES), 2, n), np.float32))
    data["code_length"] = (
        ("train_size", "split", "nelbo_sample"),
        np.ones((len(SIZES), 2, 8), np.float32),
    )
    data["cluster"] = (split, np.tile(np.arange(n, dtype=np.int32), (len(SIZES), 2, 1)))
    coords = {"split": ["train", "heldout"], "decoder": ["ancestral", "best_change"]}
    attrs = {"n_parameters": 1000, "source_entropy": 30.0, "loo_entropy": 2.0}
    return xr.Dataset(data, {**coords, "train_size": SIZES}, attrs)


FALLING = np.array([16, 16, 14, 10, 6, 4, 4]) / 16
RISING = np.array([0, 2, 4, 6, 6, 12, 12]) / 16


def test_memory_and_generalization_are_places_between_the_two_exact_ends():
    part = measured(condition(), [counted(FALLING, RISING)] * 2, 1)
    assert part.memory.per_seed == pytest.approx(np.tile((FALLING - 0.25) / 0.75, (2, 1)))
    assert part.generalization.per_seed == pytest.approx(np.tile(RISING / 0.75, (2, 1)))
    assert part.memory.estimate[[0, -1]] == pytest.approx([1, 0])
    assert size_by_seed(part, "memory") == pytest.approx(128.0)
    assert size_by_seed(part, "generalization") == pytest.approx(128.0)  # the first passage


@pytest.mark.parametrize(
    ("name", "ends"), [("memory", (0.25, 0.0)), ("generalization", (1.0, 0.75))]
)
def test_a_size_is_undefined_where_the_exact_ends_are_one(name, ends):
    part = measured(condition(), [counted(FALLING, RISING, memorizer=ends)] * 2, 1)
    assert np.isnan(size_by_seed(part, name)).all()
    other = "generalization" if name == "memory" else "memory"
    assert np.isfinite(size_by_seed(part, other)).all()


def test_ends_count_as_apart_by_the_spread_between_sequences():
    cells = [counted(FALLING, RISING) for _ in range(2)]
    for cell in cells:
        cell["memorizer"] = cell["memorizer"].copy()
        cell["memorizer"][4:, 0] = cell["population"][4:, 0]
        cell["memorizer"][4:, 0, :, 0] += 1  # of one sequence alone: less than two errors
    part = measured(condition(), cells, 1)
    assert np.isnan(part.memory.estimate).tolist() == [False] * 4 + [True] * 3
    assert np.isnan(size_by_seed(part, "memory")).all()  # 1/2 at the last size known, not below


# --- code length


def laws_of(denoiser):
    return lambda x_t, t: (denoiser.log_loo(x_t, t), log_full(denoiser, x_t, t))


def mean_and_error(values):
    return values.mean(), values.std(ddof=1) / len(values) ** 0.5


def test_code_length_of_a_uniform_law_is_the_length_of_the_alphabet():
    source = IidSource(4, 6)
    denoiser = source.population_denoiser()
    rng = np.random.default_rng(0)
    found = code_length(laws_of(denoiser), denoiser.schedule, source.sample(rng, 4000), 8, rng, 4)
    within_standard_errors(found, 6 * np.log(4))


def test_code_length_of_the_exact_law_is_the_entropy():
    source = MarkovSource(permutation_chain(4), 6)
    denoiser = source.population_denoiser()
    rng = np.random.default_rng(1)
    found = code_length(laws_of(denoiser), denoiser.schedule, source.sample(rng, 4000), 8, rng, 4)
    mean, error = mean_and_error(found)
    # the reconstruction term takes tokens one by one: above H, but little at t_0
    assert source.entropy() - 5 * error < mean < source.entropy() + 5 * error + 0.05


def test_code_length_of_a_memory_is_the_log_of_its_size():
    rng = np.random.default_rng(2)
    stored = rng.integers(8, size=(10, 16)).astype(np.uint8)
    denoiser = EmpiricalDenoiser(stored, 8)
    x_0 = stored[np.arange(1500) % 10]
    found = code_length(laws_of(denoiser), channel.LogLinear(), x_0, 8, rng, 8)
    within_standard_errors(found, np.log(10))


# --- cells


@given(st.integers(0, 2**32 - 1))
def test_stored_rows_are_found(seed):
    rng = np.random.default_rng(seed)
    x, stored = (rng.integers(2, size=(n, 3)).astype(np.uint8) for n in (9, 4))
    expected = [any((row == other).all() for other in stored) for row in x]
    assert stored_among(x, stored).tolist() == expected


def test_sources_of_conditions():
    assert isinstance(make_source(condition(), 1, 0), IidSource)
    assert isinstance(make_source(condition(source="markov"), 1, 0), MarkovSource)
    tree = condition(source="hierarchy", vocab_size=4, seq_len=8, n_rules=2, depth=3)
    first, second = (make_source(tree, 1, seed) for seed in (0, 1))
    assert first.seq_len == 8
    assert first.rules.shape == (3, 4, 2, 2)
    assert not np.array_equal(first.rules, second.rules)


@pytest.mark.slow
def test_the_memorizer_restores_the_same_inputs_by_random_numbers_of_its_own(monkeypatch):
    config = dataclasses.replace(
        preset("smoke"), queries=8, n_steps=2, nelbo_queries=4, nelbo_draws=2
    )
    small = condition(vocab_size=4, seq_len=8, width=4, steps=2, train_sizes=(2,))
    cell = network_cell(config, small, 0)

    class Greedy(EmpiricalDenoiser):
        def posterior_draw(self, rng, x_t, t):
            rng.random(1000)
            return x_t

    monkeypatch.setattr("simulations.scaling.cells.EmpiricalDenoiser", Greedy)
    other = network_cell(config, small, 0)
    names = set(cell.variables) - {"memorizer"}
    assert all(cell[name].identical(other[name]) for name in names)
    assert (other["memorizer"].sel(decoder="ancestral") == 0).all()
    assert (cell["memorizer"] <= cell["corrupted"]).all()
    two = cell.isel(train_size=0).sel(split="train", decoder="ancestral")
    assert two["memorizer"].sum() > 0.5 * two["corrupted"].sum()


def test_the_linear_denoiser_turns_where_its_closed_form_says():
    config = dataclasses.replace(preset("smoke"), queries=256, linear_sets=6)
    case = (4, 32, 0.5)
    sizes = linear_sizes(linear_cell(config, case, (0.25, 0.32, 0.38, 0.45, 0.6)))
    exact = convergence_size(32, 4, 0.5, criterion="corrupted_recovery").train_size
    mean, error = mean_and_error(sizes)
    assert abs(mean - exact) < 5 * error + 0.03 * exact  # d = 96: corrections of order 1 / d


# --- configuration and command


def test_conditions_that_laws_share_are_measured_once():
    config = preset("medium")
    found = conditions(config)
    assert len({c.name for c in found}) == len(found)
    assert len(widths_of(config, "iid")) == len(config.widths)
    assert [c.steps for c in steps_of(config, "markov", 256)] == list(config.step_counts)
    assert set(widths_of(config, "iid")) & set(steps_of(config, "iid", 256))


def test_a_larger_preset_goes_on_from_the_cells_of_a_smaller_one():
    small, medium = preset("small"), preset("medium")
    assert STUDY.configuration_hash(small) == STUDY.configuration_hash(medium)
    names = {cell.name: cell.coordinates for cell in make_cells(medium)}
    assert all(names[cell.name] == cell.coordinates for cell in make_cells(small))
    assert len(names) == len(make_cells(medium)) > len(make_cells(small))
    for change in ({"queries": 7}, {"root_seed": 1}, {"linear_sets": 9}):
        other = dataclasses.replace(small, **change)
        assert STUDY.configuration_hash(other) != STUDY.configuration_hash(small)


@pytest.mark.parametrize("name", ["smoke", "small", "medium", "paper"])
def test_costs_grow_with_steps(name):
    config = preset(name)
    first, *_, last = steps_of(config, "iid", config.widths[-1])
    cells = network_cells(config)
    assert cost(config, cells[first][0]) < cost(config, cells[last][0])


BAD = [
    ({"seeds": 1}, "`seeds` must be at least 2; got 1"),
    ({"widths": (16,)}, "`widths` must hold two or more increasing counts"),
    ({"iid_sizes": (64, 16)}, "`iid_sizes` must hold two or more increasing counts"),
    ({"linear_ratios": (0.0, 1.0)}, "`linear_ratios` must hold two or more positive, increasing"),
    ({"linear_cases": ((1, 4, 0.5),)}, "V at least 2, L at least 1 and alpha inside"),
    ({"linear_cases": ((2, 4, 0.5),)}, "must differ between points of `linear_ratios`"),
    ({"hierarchies": ((4, 5, 2),)}, "m from 1 to v"),
    ({"hierarchies": ((4, 2, 2),)}, "4, 2, 2 has too few strings"),
    ({"draws": (1, 1)}, "`draws` must hold different values"),
    ({"draws": (-1,)}, "0 for fresh noise; got"),
    ({"queries": 0}, "`queries` must be at least 1; got 0"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_settings_are_refused_in_a_sentence(change, message):
    with pytest.raises(ValueError, match=message):
        ScalingConfig(**change)


TINY = (
    "--preset smoke --vocab-size 4 --seq-len 8 --widths 4 8 --step-counts 20 40 --iid-sizes 4 64 "
    "--markov-sizes 4 64 --linear-cases 2 16 0.5 2 24 0.5 --linear-sets 3 --hierarchies 3 2 3 "
    "--hierarchy-sizes 4 64 --hierarchy-width 4 --hierarchy-steps 20 --draws 2 0 "
    "--draws-sizes 4 16 64 --draws-width 4 --draws-steps 20 --queries 16 --n-steps 4 "
    "--nelbo-queries 8 --nelbo-draws 2 --batch 8 --warmup 2 --workers 2"
).split()


@pytest.mark.slow
def test_a_run_writes_its_laws_and_a_larger_one_goes_on_in_its_folder(tmp_path, capsys):
    out = tmp_path / "run"
    at = TINY.index("--hierarchies")
    first = TINY[:at] + TINY[at + 4 :] + ["--hierarchies", "4", "2", "3"]
    assert STUDY.execute([*first, "--out", str(out)], Console()) == 0
    said = capsys.readouterr().out
    head = "\n".join((out / "report.md").read_text().splitlines()[:8])
    assert "K_M" in head and "K_G" in head
    assert "supported" in said and "already there" not in said
    assert STUDY.execute([*TINY, "--out", str(out)], Console()) == 0
    assert "cells were already there" in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert {law["group"] for law in summary["laws"]} == {
        *("parameters", "collapse", "steps", "linear", "hierarchy", "noise draws")
    }
    assert len((out / "laws.csv").read_text().splitlines()) == len(summary["laws"]) + 1
    with xr.open_dataset(out / "scaling.nc", engine="h5netcdf") as data:
        assert data["train_size"].dims == ("condition", "seed", "point")
        k = list(data["condition"].values).index("iid-V4-L8-w4-T40")
        assert data["train_size"].values[k, 0].tolist() == [4, 64, -1]
        missing = data["recovered"].isel(condition=k, point=2)
        assert (missing == -1).all()
        assert (data["recovered"] <= data["corrupted"]).all()
    assert_drawn("scaling", "scaling", out, STUDY.parse(TINY).config)


def test_verdicts_of_the_module_are_the_words_of_judge():
    words = {check.SUPPORTED, check.NOT_SUPPORTED, check.NOT_DECIDABLE}
    assert {verdict for *_, verdict in JUDGEMENTS} == words

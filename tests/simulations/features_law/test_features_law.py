"""The laws of K_half on curves where one of them holds exactly, then the cells and the report."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from models.networks.mlp import MLPDenoiser, PlainMLP
from models.streams import stream
from models.training.config import TrainConfig
from simulations.features_law import cells
from simulations.features_law import laws as lawful
from simulations.features_law.analysis import (
    FeaturesAnalysis,
    is_the_predicted,
    predictions_of,
    scores_of,
)
from simulations.features_law.cells import SPLITS, compute
from simulations.features_law.config import (
    FITTED,
    HELD_BACK,
    LATER,
    REFERENCE,
    FeaturesConfig,
    Point,
    make_cells,
    network_cells,
    points,
    preset,
    search_cells,
)
from simulations.features_law.figure import draw
from simulations.features_law.laws import HEADLINE, LAWS, Grid
from simulations.features_law.predictions import (
    Prediction,
    committed,
    draw_residuals,
    fit_law,
    predict,
    to_csv,
)
from simulations.features_law.report import answer, prediction_table, report, search_table, verdict
from simulations.features_law.sizes import Scatter, Sizes, sizes_of
from simulations.features_law.study import STUDY
from simulations.features_law.theory import Table
from simulations.measure.feature_size import half_size, moments

CONFIG = FeaturesConfig(replicates=100)
CONSTANTS = {
    "theory": (12.0, 2e4),
    "theory, scaled": (12.0, 2e4, 1.3),
    "closed form": (0.8, 15.0, 6000.0),
    "power of N, T": (0.02, 0.5, 0.4),
    "power of w, T": (2.0, 0.45, 0.35),
    "least of N, T": (0.03, 0.2),
}


class Smooth(Table):
    """In place of the theory, which takes seconds: what rises with features and time as it does."""

    def __init__(self):
        pass

    def log_half(self, n_features, time):
        return np.log(70 + 0.15 * np.asarray(n_features) * -np.expm1(-np.asarray(time)))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lawful, "table", lambda *place: Smooth())


def by_law(name, where, spread=0.0, seeds=2):
    """ln K_half by seed of points of which one law is true, seeds apart by `spread`."""
    logs = LAWS[name].log_size(np.log(CONSTANTS[name]), Grid.of(CONFIG, where))
    return logs[:, None] + spread * np.linspace(-1, 1, seeds)


@pytest.mark.parametrize("name", LAWS)
def test_a_law_that_holds_is_found_and_predicts_what_is_held_back(name):
    fit = fit_law(LAWS[name], Grid.of(CONFIG, FITTED), by_law(name, FITTED), 3, stream(1))
    assert np.exp(fit.constants) == pytest.approx(CONSTANTS[name], rel=1e-3)
    assert fit.rms < 1e-5
    found = predict(fit, Grid.of(CONFIG, HELD_BACK), stream(1))
    assert np.log([one.value for one in found]) == pytest.approx(
        by_law(name, HELD_BACK)[:, 0], abs=1e-3
    )


def test_the_laws_are_what_they_say():
    grid = Grid.of(CONFIG, FITTED)
    width, steps, count = grid.width, grid.steps, grid.parameters
    # c_1 and c_2 at alpha = 0.75 and relu; alpha(0.25) is 0.75025
    grown = 15 * width * (1 - np.exp(-steps / 6000))
    expected = {
        "closed form": 0.8 * (0.40429688 * 112 + 0.15571384 * grown),
        "power of N, T": 0.02 * count**0.5 * steps**0.4,
        "power of w, T": 2 * width**0.45 * steps**0.35,
        "least of N, T": 1 / (1 / (0.03 * count) + 1 / (0.2 * steps)),
        "theory": 70 + 0.15 * 12 * width * (1 - np.exp(-steps / 2e4)),
        "theory, scaled": 1.3 * (70 + 0.15 * 12 * width * (1 - np.exp(-steps / 2e4))),
    }
    for name, values in expected.items():
        assert np.exp(by_law(name, FITTED)[:, 0]) == pytest.approx(values, rel=2e-3), name


@pytest.mark.parametrize("true", ["theory", "power of w, T", "least of N, T"])
def test_the_law_that_holds_has_the_least_rms_on_the_part_held_back(true):
    rng = np.random.default_rng(5)
    logs = by_law(true, FITTED) + 0.01 * rng.normal(size=(len(FITTED), 2))
    grid = Grid.of(CONFIG, FITTED)
    fits = {n: fit_law(law, grid, logs, 100, stream(1, n)) for n, law in LAWS.items()}
    table = predictions_of(CONFIG, fits, list(HELD_BACK))
    held = dict(zip(HELD_BACK, by_law(true, HELD_BACK, 0.01), strict=True))
    scores = {score.law: score for score in scores_of(CONFIG, table, held)}
    family = {"theory", "theory, scaled", "closed form"} if true == "theory" else {true}
    others = [score.rms for name, score in scores.items() if name not in family]
    assert scores[true].rms < 0.05 < min(others)
    assert scores[true].low <= scores[true].rms <= scores[true].high
    likeliest = max(scores.values(), key=lambda score: score.log_likelihood)
    assert likeliest.law in family
    assert scores[HEADLINE].excess == 0


def test_a_score_is_the_rms_of_logarithms():
    where = list(HELD_BACK[:2])
    table = {(law, p.name): Prediction(100.0, 90.0, 110.0, 0.1) for law in LAWS for p in where}
    logs = {where[0]: np.log([110.0, 110.0]), where[1]: np.log([80.0, 80.0])}
    score = scores_of(CONFIG, table, logs)[0]
    misses = np.log([1.1, 0.8])
    assert score.rms == pytest.approx(np.sqrt((misses**2).mean()))
    assert score.bias == pytest.approx(misses.mean())
    expected = -0.5 * ((misses / 0.1) ** 2).sum() - 2 * np.log(0.1 * np.sqrt(2 * np.pi))
    assert score.log_likelihood == pytest.approx(expected)
    assert (score.low, score.high) == pytest.approx(np.sort(np.abs(misses)))


def test_intervals_of_predictions_hold_what_is_drawn_from_the_law():
    """At 95 % of points drawn with the scatter of the fitted part, within five standard errors."""
    rng, inside = np.random.default_rng(3), []
    grid, later = Grid.of(CONFIG, FITTED), Grid.of(CONFIG, HELD_BACK)
    law, runs = LAWS["power of w, T"], 20
    for _ in range(runs):
        logs = by_law(law.name, FITTED) + 0.05 * rng.normal(size=(len(FITTED), 2))
        found = predict(fit_law(law, grid, logs, 60, rng), later, rng)
        drawn = by_law(law.name, HELD_BACK)[:, 0] + 0.05 / 2**0.5 * rng.normal(
            size=later.width.size
        )
        inside.append(
            np.mean([p.low <= np.exp(x) <= p.high for p, x in zip(found, drawn, strict=True)])
        )
    error = np.std(inside) / runs**0.5
    assert abs(np.mean(inside) - 0.95) < 5 * error + 0.02  # eight residuals make coarse ends


def test_residuals_are_drawn_with_the_variance_of_a_mean_over_seeds():
    residuals = np.array([[1.0, 1.0], [-1.0, -1.0]])
    drawn = draw_residuals(np.random.default_rng(0), residuals, 1, 4000)
    assert np.unique(np.abs(drawn)) == pytest.approx([2**0.5])
    assert abs(drawn.mean()) < 5 * 2**0.5 / 4000**0.5


def test_the_grid_counts_the_parameters_of_networks():
    grid = Grid.of(CONFIG, [Point("iid", 64, 10, True, 1), Point("iid", 64, 10, False, 1)])
    import jax

    key = jax.random.key(0)
    for network, count in zip((MLPDenoiser, PlainMLP), grid.parameters, strict=True):
        leaves = jax.tree.leaves(network(key, 8, 16, 64))
        assert sum(leaf.size for leaf in leaves) == count


def test_scatter_is_pooled_over_points_and_its_interval_students():
    logs = [np.array([0.0, 2.0]), np.array([3.0, 3.0]), np.array([np.inf, 1.0])]
    scatter = Scatter.of(logs)
    assert (scatter.deviation, scatter.freedom) == (1.0, 2)
    middle, low, high = scatter.interval(np.array([1.0, 3.0]))
    assert middle == pytest.approx(np.exp(2.0))
    assert np.log([low, high]) == pytest.approx([2 - 4.302653 / 2**0.5, 2 + 4.302653 / 2**0.5])
    assert np.isnan(scatter.interval(np.array([np.inf, 1.0]))).all()


# --- measured sizes


def cells_of(point, turns):
    """Counts of a point whose recovery of training inputs falls from 1, straight in log K, to 1/2
    at `turns` (seeds,), while that of held-out inputs rises from 0.2; the memorizer restores all
    of the first and nothing of the second, the law the other way round."""
    sizes = np.array(point.train_sizes, dtype=float)
    way = np.log(sizes / REFERENCE) / np.log(np.array(turns)[:, None] / REFERENCE)
    train = np.clip(np.round(1000 * (1 - way / 2)), 0, None)
    n, zero = 40, np.zeros_like(train)
    dims = ("seed", "train_size", "split", "sample")

    def table(train, heldout):
        both = np.stack([train, heldout], -1)
        return (dims, np.repeat(both[..., None], n, -1).astype(int))

    cluster = np.broadcast_to(np.arange(n), (*train.shape, 2, n))
    return xr.Dataset(
        {
            "cluster": (dims, cluster),
            "corrupted": table(zero + 1000, zero + 1000),
            "recovered": table(train, np.round(200 + 300 * way)),
            "memorizer": table(zero + 1000, zero),
            "population": table(zero, zero + 1000),
            "entropy": (dims, np.broadcast_to(way[..., None, None], (*way.shape, 2, n)).copy()),
        },
        {"train_size": sizes.astype(int), "split": list(SPLITS)},
        {"loo_entropy": 2.0},
    )


def test_every_size_is_found_where_it_was_put():
    point = Point("iid", 16, 100, True, 1, 5)
    found = sizes_of(point, cells_of(point, (150.0, 200.0)), 0)
    for name in ("memory", "generalization", "entropy"):
        assert found.by_seed[name] == pytest.approx((150, 200), rel=0.01), name
    # train less held-out recovery is 0.8 (1 - way): half at the middle of the way in log K
    assert np.exp(found.log_half) == pytest.approx([(64 * 150) ** 0.5, (64 * 200) ** 0.5], rel=0.01)
    assert found.relative_gap[:, 0] == pytest.approx([1, 1])


def test_the_half_octaves_of_a_point():
    assert Point("iid", 16, 100, True, 1, 4).train_sizes == (64, 91, 128, 181, 256)


# --- theory


# K_half of width w at T steps for m = 10.5, T_1 = 14,600, alpha = .75, omega = .4
REFERENCE_VALUES = [
    (16, 1000, 76),
    (16, 8000, 83),
    (64, 8000, 131),
    (256, 1000, 106),
    (256, 8000, 372),
    (256, 32_000, 604),
    (1024, 8000, 1343),
]


@pytest.mark.parametrize(("width", "steps", "expected"), REFERENCE_VALUES)
def test_the_theory_has_the_reference_values(width, steps, expected):
    found = half_size(10.5 * width, steps / 14_600, 16, 8)
    assert found == pytest.approx(expected, rel=0.01)


def test_the_theory_rises_with_features_and_with_time():
    rows = [[half_size(p, tau, 16, 8) for tau in (0.05, 0.5, 5.0)] for p in (100, 1000)]
    assert np.all(np.diff(rows, axis=0) > 0) and np.all(np.diff(rows, axis=1) > 0)


def test_time_is_counted_in_units_of_the_fresh_part():
    linear, static, fresh = moments(0.75)
    assert (static, fresh) == pytest.approx((0.39915487, 1.0))
    assert linear == pytest.approx(0.25 / 0.0649285216)


# --- predictions that were written


def test_predictions_are_of_the_networks_that_they_were_written_for():
    usual = FeaturesConfig()
    assert is_the_predicted(usual) and is_the_predicted(preset("paper"))
    others = {"vocab_size": 4, "seq_len": 8, "training": TrainConfig(batch=64)}
    for name, value in others.items():
        assert not is_the_predicted(dataclasses.replace(usual, **{name: value}))
    assert not is_the_predicted(dataclasses.replace(usual, predict_only=True))
    slower = tuple((width, steps, rate / 2) for width, steps, rate in usual.rates)
    assert not is_the_predicted(dataclasses.replace(usual, rates=slower))


def a_table(where, law_of=lambda law: 100.0):
    return {(law, p.name): Prediction(law_of(law), 80.0, 125.0, 0.1) for law in LAWS for p in where}


def test_predictions_come_back_from_the_file(tmp_path):
    table, path = a_table(HELD_BACK), tmp_path / "predictions.csv"
    path.write_text(to_csv(table))
    assert committed(HELD_BACK, path) == table
    assert committed(HELD_BACK[:1], path) == {
        k: v for k, v in table.items() if k[1] == HELD_BACK[0].name
    }
    assert committed([Point("iid", 99, 10, True, 1)], path) is None
    assert committed(HELD_BACK, tmp_path / "none.csv") is None


def analysis_of(measured, table=None):
    config = dataclasses.replace(CONFIG, held_back=(*HELD_BACK, *LATER))
    sizes = {
        p: Sizes(
            p,
            np.ones((2, 4)),
            {n: np.array(v, dtype=float) for n in ("half", "memory", "generalization", "entropy")},
        )
        for p, v in measured.items()
    }
    held = {p: one.log_half for p, one in sizes.items()}
    held = {p: logs for p, logs in held.items() if np.isfinite(logs).all()}
    scores = scores_of(config, table or {}, held) if table else []
    scatter = Scatter.of([one.log_half for one in sizes.values()])
    return FeaturesAnalysis(config, sizes, scatter, {}, table or {}, True, scores, {})


def test_the_first_line_says_which_law_is_nearer():
    where = HELD_BACK[:6]
    measured = dict.fromkeys(where, (100.0, 102.0))
    near, far = 101.0, 160.0
    theory = a_table(where, lambda law: near if law.startswith("theory") else far)
    rival = a_table(where, lambda law: near if law == "power of w, T" else far)
    equal = a_table(where, lambda law: near)
    assert "better than its rivals" in answer(analysis_of(measured, theory))
    assert "A rival predicts" in answer(analysis_of(measured, rival))
    assert "not told apart" in answer(analysis_of(measured, equal))
    assert "intervals hold 6 of 6" in answer(analysis_of(measured, equal))
    few = {point: measured[point] for point in where[:3]}
    assert "3 points held back are too few" in answer(analysis_of(few, rival))
    assert "Nothing can be said" in answer(analysis_of({}))


def test_the_table_says_what_was_held_and_what_was_missed():
    measured = dict.fromkeys(HELD_BACK, (100.0, 102.0)) | {HELD_BACK[1]: (150.0, 151.0)}
    measured[HELD_BACK[2]] = (np.inf, 100.0)
    lines = prediction_table(analysis_of(measured, a_table(HELD_BACK)))
    rows = [line for line in lines if HELD_BACK[0].name in line or HELD_BACK[1].name in line]
    assert rows[0].count("held") == 4 and rows[1].count("missed") == 4
    assert any("off the grid (1 above)" in line for line in lines)
    assert len({line.count("|") for line in lines if line}) == 1
    assert verdict(Prediction(1.0, 1.0, 1.0, 0.1), np.nan) == "–"


def test_the_report_begins_with_the_answer():
    few = HELD_BACK[:3]
    made = report(analysis_of(dict.fromkeys(few, (100.0, 102.0)), a_table(few)))
    assert made.lines[0].startswith("**3 points held back are too few")
    assert "overturned" in made.lines[2]
    assert set(made.files) == {"predictions.csv"}


# --- cells and settings


def test_a_larger_run_goes_on_from_the_cells_of_a_smaller_one():
    config, alone = preset("small"), dataclasses.replace(preset("small"), predict_only=True)
    assert STUDY.configuration_hash(config) == STUDY.configuration_hash(alone)
    whole = {cell.name: cell.coordinates for cell in make_cells(config)}
    assert {cell.name: cell.coordinates for cell in make_cells(alone)}.items() <= whole.items()
    assert not set(points(alone)) & set(HELD_BACK)


@pytest.mark.slow
def test_a_cell_is_its_own_network_with_and_without_the_field():
    config = preset("smoke")
    by_point = network_cells(config)
    for pair in (True, False):
        point = next(p for p in points(config) if p.pair == pair)
        cell = by_point[point][0][0]
        found = compute(config, cell.coordinates)
        again = compute(config, cell.coordinates)
        assert found.identical(again)
        assert found.sizes == {"split": 2, "sample": config.queries}
        counts = found[["recovered", "population", "memorizer"]].to_array()
        assert bool((counts <= found["corrupted"]).all() & (counts >= 0).all())
        train = found.sel(split="train")
        assert train["memorizer"].sum() > 0.5 * train["corrupted"].sum()
    searched = compute(config, next(iter(search_cells(config).values())).coordinates)
    assert np.isfinite(searched["loss"])


def test_flow_counts_rate_times_steps():
    config = preset("slower")
    slow, usual = Point("iid", 1024, 8000, True, 8), Point("iid", 256, 4000, True, 4)
    assert config.time_of(slow) == pytest.approx(4000) and config.time_of(usual) == 4000
    assert CONFIG.time_of(slow) == 8000
    assert config.time_of(slow._replace(width=2048)) == 8000  # of no rate given: the usual one
    assert Grid.of(config, [slow, usual]).steps == pytest.approx([4000, 4000])
    for name, law in LAWS.items():
        logs = np.log(CONSTANTS[name])
        half = law.log_size(logs, Grid.of(config, [slow]))
        assert half == pytest.approx(
            law.log_size(logs, Grid.of(CONFIG, [slow._replace(steps=4000)]))
        )


def test_rates_are_those_of_width_and_steps_and_are_tried_where_they_are_used():
    config = preset("slower")
    named = {cell.name: cell.coordinates for cell in make_cells(config)}
    assert named["iid-w512-T8000-K724-seed1"]["rate"] == 0.003
    assert named["iid-w256-T8000-K512-seed0"]["rate"] == 0.006
    tried = named["search-w512-T8000-K724-rate0.003"]
    assert tried == named["iid-w512-T8000-K724-seed0"] | {"kind": "search"}
    fewer = dataclasses.replace(config, predict_only=True)
    assert {at[0] for at in search_cells(fewer)} == {256}  # of no width that is not measured
    assert preset("batch").training.batch == 4 * preset("small").training.batch
    assert not is_the_predicted(config) and not is_the_predicted(preset("batch"))


def test_the_table_of_rates_has_a_row_for_every_place_that_was_tried():
    config = dataclasses.replace(preset("slower"), searched=((512, 8000, 724), (256, 1500, 91)))
    losses = {at: 0.1 + at[3] for at in search_cells(config)}
    analysis = FeaturesAnalysis(config, {}, Scatter.of([]), {}, {}, False, [], losses)
    rows = [[word.strip() for word in line.split("|")[1:-1]] for line in search_table(analysis)]
    assert ["512", "8,000", "724", "0.1015", "0.1030", "0.1060", "0.1120", "0.003"] in rows
    assert ["256", "1,500", "91", "0.1015", "0.1030", "0.1060", "0.1120", "0.006"] in rows
    assert preset("small").searched[2] == (256, 1000, 256)


def test_a_network_of_the_search_is_that_of_a_point(monkeypatch):
    class Asked(Exception):
        pass

    def asked(rng, network, stored, train_size, training):
        raise Asked(int(rng.integers(2**31)), train_size, training.steps, training.learning_rate)

    monkeypatch.setattr(cells, "train_network", asked)
    config = preset("smoke")

    def trained(**changes):
        at = network_cells(config)[points(config)[0]][0][1].coordinates
        with pytest.raises(Asked) as found:
            compute(config, at | changes)
        return found.value.args

    assert trained(kind="search") == trained()
    for changes in ({"seed": 1}, {"rate": 0.006}, {"steps": 50}, {"train_size": 64}):
        assert trained(**changes)[0] != trained()[0]


def test_points_that_cannot_be_are_refused():
    base = preset("smoke")
    for changes, fragment in (
        ({"held_back": (Point("text", 32, 400, True, 1),)}, "iid or markov"),
        ({"held_back": (Point("iid", 32, 0, True, 1),)}, "number of K"),
        ({"held_back": (Point("iid", 33, 400, True, 1),)}, "no learning rate of width 33 at 400"),
        ({"fitted": base.fitted[:3]}, "four or more"),
        ({"held_back": base.fitted[:1]}, "given once"),
        ({"searched": ((4, 50, 0),)}, "`searched` holds"),
        ({"seeds": 1}, "`seeds` must be at least 2"),
    ):
        with pytest.raises(ValueError, match=fragment):
            dataclasses.replace(base, **changes)


def test_a_figure_of_chains_alone_is_drawn_without_points():
    chains = tuple(point._replace(source="markov") for point in FITTED)
    config = dataclasses.replace(preset("small"), fitted=chains[1:], held_back=chains[:1])
    analysis = FeaturesAnalysis(config, {}, Scatter.of([]), {}, {}, False, [], {})
    figure = draw(analysis)
    assert [axis.texts[0].get_text()[:13] for axis in figure.axes] == ["chains alone:"] * 2
    plt.close(figure)

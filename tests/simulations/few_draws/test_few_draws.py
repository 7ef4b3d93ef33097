"""Peaks and laws on curves whose peak is known, the committed predictions, cells and the report."""

import equinox as eqx
import jax
import numpy as np
import pytest
import xarray as xr

from am_theory.conditional_likelihood import critical_load
from am_theory.random_feature_denoiser import errors
from models.denoiser import log_full
from models.networks.mlp import MLPDenoiser, PlainMLP
from models.noise import noise
from models.sources import IidSource
from models.streams import stream
from models.training.config import TrainConfig
from simulations.few_draws.analysis import analyse, peak_of, scores_of
from simulations.few_draws.cells import compute, readings, squared_error
from simulations.few_draws.config import (
    LATER,
    SMALL,
    Curve,
    DrawsConfig,
    curve_cells,
    curves,
    make_cells,
    preset,
)
from simulations.few_draws.figure import draw
from simulations.few_draws.laws import (
    FEATURES,
    FEATURES_LAW,
    IN_TIME,
    LAWS,
    ROWS,
    WEIGHTS,
    Prediction,
    committed,
    peak_in_time,
    predict,
    predictions,
    share_scored,
    to_csv,
    weights,
)
from simulations.few_draws.report import answer, report, verdict
from simulations.measure.feature_size import moments

ALPHA = 0.75025
CONFIG = DrawsConfig()
ONE, FOUR = (Curve(64, 2000, n, True, 12, 13) for n in (1, 4))
FRESH = Curve(64, 2000, 0, True, 8, 9)


def data_of(curve, noisy=None, seeds=3, apart=0.05, height=3.0):
    """Cells of a curve with a parabola of loss and error about K n = `noisy`, none without; seeds
    have it apart by a factor; the seen noise is fitted up to twice that place."""
    sizes = np.array(curve.train_sizes)
    x = np.log(sizes * max(curve.draws, 1))[None]
    at = np.log(noisy or 1) + apart * np.linspace(-1, 1, seeds)[:, None]
    excess = np.maximum(height - (x - at) ** 2, 0.1) if noisy else np.exp(3 - x) + 0 * at
    held_out = np.stack([np.zeros_like(excess), excess], axis=2)[..., None]
    held_out = np.repeat(held_out, 5, axis=3)
    dims = ("seed", "train_size", "split", "sample")
    seen = np.maximum(x - at - np.log(2), 0) * 0.1
    return xr.Dataset(
        {
            "log_loss": (dims, held_out + np.log(CONFIG.vocab_size)),
            "error": (dims, held_out + 1 - ALPHA**2),
            "seen": (("seed", "train_size"), seen),
        },
        {"train_size": sizes, "split": ["train", "heldout"]},
    )


def test_a_peak_is_read_off_in_noisy_sequences_with_its_height():
    peak = peak_of(CONFIG, FOUR, data_of(FOUR, 700.0))
    for name in ("log_loss", "error"):
        assert np.exp(np.log(peak.places[name]).mean()) == pytest.approx(700, rel=0.02)
        assert peak.heights[name] == pytest.approx([2.9] * 3, rel=0.02)
    assert peak.interpolated == pytest.approx(1400 * np.exp([-0.05 + 0.1, 0.1, 0.15]), rel=0.1)
    assert peak.noisy[0] == 64


def test_held_out_sequences_alone_are_read():
    data = data_of(ONE, 700.0)
    flipped = data.assign_coords(split=["heldout", "train"])
    assert (peak_of(CONFIG, ONE, flipped).heights["log_loss"] == 0).all()


def test_a_peak_at_a_fixed_number_of_noisy_sequences_moves_as_one_over_n():
    found = analyse(CONFIG, {c: data_of(c, 509.4) for c in (ONE, FOUR)} | {FRESH: data_of(FRESH)})
    (slope,) = found.slopes
    assert slope.estimate == pytest.approx(-1, abs=0.02)
    assert slope.verdict == "supported"
    middle, low, high = found.place(ONE)
    assert low < 509.4 < high
    assert middle == pytest.approx(509.4, rel=0.02)
    ours = next(s for s in found.scores if s.law == FEATURES_LAW)
    assert ours.curves == 2
    assert ours.rms < 0.02
    assert ours.ratio == pytest.approx(1, abs=0.02)
    assert not np.isfinite(found.place(FRESH)[0])


def test_a_peak_at_a_fixed_number_of_sequences_does_not_move():
    found = analyse(CONFIG, {c: data_of(c, 509.4 * c.draws) for c in (ONE, FOUR)})
    assert found.slopes[0].verdict == "not supported"
    assert found.slopes[0].estimate == pytest.approx(0, abs=0.02)


def test_a_peak_at_the_features_goes_with_the_width_as_they_do():
    found = [law for law in analyse(CONFIG, several()).slopes if law.group == "width"]
    assert [law.points for law in found] == [2, 3]
    for law in found:
        assert law.estimate == pytest.approx(law.predicted, abs=0.03)
    same = analyse(CONFIG, {c: data_of(c, 700.0) for c in several() if c.width < 256}).slopes
    assert [law.verdict for law in same if law.group == "width"] == ["not supported"] * 2


def test_scores_leave_out_where_a_law_has_no_peak():
    table = {(law, name): Prediction(100.0, 90.0, 110.0) for law in LAWS for name in ("a", "b")}
    table[IN_TIME, "a"] = Prediction(np.nan, np.nan, np.nan)
    logs = {"a": np.log(100.0), "b": np.log(100 * np.e**2)}
    found = {score.law: score for score in scores_of(CONFIG, table, logs)}
    assert found[FEATURES_LAW].rms == pytest.approx(2**0.5)
    assert found[FEATURES_LAW].ratio == pytest.approx(np.e)
    assert found[FEATURES_LAW].deviation == pytest.approx(1)
    assert found[IN_TIME].curves == 1
    assert found[IN_TIME].rms == pytest.approx(2)


# -- laws --------------------------------------------------------------------------------------


def test_features_and_linear_map_are_counted():
    assert predict(FEATURES_LAW, CONFIG, ONE).value == FEATURES * 64 + 112
    plain = ONE._replace(pair=False)
    assert predict(FEATURES_LAW, CONFIG, plain).value == FEATURES * 64
    assert predict(FEATURES_LAW, CONFIG, plain).low == 4.28 * 64


@pytest.mark.parametrize("skip", ["full", 0.0])
def test_the_theory_at_the_end_of_training_peaks_where_the_law_of_features_says(skip):
    p, d = 400, 112
    noisy = np.geomspace(250, 1000, 80)
    found = errors(noisy / 2, p, 16, 8, ALPHA, activation=moments(ALPHA), skip=skip, draws=2)
    top = noisy[np.argmax(found.heldout)]
    assert top == pytest.approx(p + d * (skip == "full"), rel=0.02)


def test_in_time_the_peak_comes_before_that_of_the_end():
    early, late = (peak_in_time(16, 8, 397.0, time, 4) for time in (0.7, 30.0))
    assert early < late < 397
    assert late > 300
    assert np.isnan(peak_in_time(16, 8, 1589.0, 0.17, 4))
    assert predict(IN_TIME, CONFIG, ONE).value == 112


def test_the_share_scored_is_that_of_the_loss():
    u = stream(1, "u").random(400_000)
    expected = np.where(u**2 < 1 / 16, 1 / 16, u**2)
    assert share_scored(16) == pytest.approx(expected.mean(), abs=4 * expected.std() / 632)


@pytest.mark.parametrize("pair", [True, False])
def test_weights_are_those_of_the_network(pair):
    curve = ONE._replace(pair=pair)
    kind = MLPDenoiser if pair else PlainMLP
    leaves = jax.tree.leaves(eqx.filter(kind(jax.random.key(0), 8, 16, 64), eqx.is_array))
    own = 16 * 64 * pair  # couplings of a site to itself are masked
    assert weights(CONFIG, curve) == sum(leaf.size for leaf in leaves) - own
    value = predict(WEIGHTS, CONFIG, curve).value
    assert value * share_scored(16) * 112 == pytest.approx(weights(CONFIG, curve))


def test_rows_are_loaded_to_their_separability():
    plain = predict(ROWS, CONFIG, ONE._replace(pair=False)).value
    assert plain * share_scored(16) / 64 == pytest.approx(critical_load(8))
    assert predict(ROWS, CONFIG, ONE).value == pytest.approx(plain * (64 + 105) / 64)


def test_committed_predictions_are_what_the_laws_say(tmp_path):
    wanted = [curve for curve in (*SMALL, *LATER) if curve.draws]
    table, written = predictions(CONFIG, wanted), committed()
    assert {name for _, name in table} <= {name for _, name in written}
    for at, one in table.items():
        assert one.value == pytest.approx(written[at].value, abs=0.06, nan_ok=True), at
        assert one.high == pytest.approx(written[at].high, abs=0.06, nan_ok=True), at
    path = tmp_path / "again.csv"
    path.write_text(to_csv(written))
    assert str(committed(path)) == str(written)


# -- cells ----------------------------------------------------------------------------------------


def test_the_error_of_the_exact_law_is_that_of_theory():
    """1 - alpha^2 per dimension on independent uniform tokens."""
    source = IidSource(4, 16)
    law = source.population_denoiser()
    x_0 = source.sample(stream(2, "x"), 4000)
    alpha = float(law.schedule.alpha(0.25))
    x_t = noise(stream(2, "noise"), x_0, alpha, 4)
    error = squared_error(log_full(law, x_t, np.full(4000, 0.25)), x_0)
    assert error.mean() == pytest.approx(1 - alpha**2, abs=5 * error.std() / 4000**0.5)
    certain = np.where(np.eye(4)[x_0] > 0, 0.0, -np.inf)
    assert (squared_error(certain, x_0) == 0).all()


def test_an_untrained_network_is_read_near_the_law_of_no_knowledge():
    """Its loo law is uniform, as its readout is 0: log loss ln V."""
    x_0 = IidSource(3, 4).sample(stream(3, "x"), 16)
    loss, error = readings(TINY.network(4).make(jax.random.key(0)), stream(3, "noise"), x_0)
    assert loss == pytest.approx(np.full(16, np.log(3)), rel=1e-5)
    assert error.shape == (16,)


TINY = DrawsConfig(
    vocab_size=3,
    seq_len=4,
    curves=(Curve(4, 40, 1, True, 4, 3), Curve(4, 40, 2, False, 6, 3), Curve(4, 40, 0, True, 4, 3)),
    seeds=2,
    queries=16,
    training=TrainConfig(batch=8, warmup=2),
)


@pytest.mark.slow
def test_a_cell_depends_on_its_draws_and_is_the_same_again():
    cell = make_cells(TINY)[0]
    first, again = (compute(TINY, cell.coordinates) for _ in range(2))
    xr.testing.assert_identical(first, again)
    assert first["log_loss"].dims == ("split", "sample")
    other = compute(TINY, cell.coordinates | {"draws": 3})
    assert float(other["seen"]) != float(first["seen"])


def test_cells_are_one_for_each_curve_size_and_seed():
    table = curve_cells(TINY)
    assert [len(seeds) for seeds in table.values()] == [2, 2, 2]
    names = [cell.name for cell in make_cells(TINY)]
    assert len(set(names)) == len(names) == 18
    assert curves(TINY)[1].train_sizes == (4, 6, 8)
    assert Curve(4, 40, 0, True, 4, 3).train_sizes == (4, 6, 8)
    assert preset("small") == CONFIG
    assert len(preset("paper").curves) == len(SMALL) + len(LATER)


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ({"curves": ()}, "one or more"),
        ({"curves": ((0, 10, 1, True, 4, 3),)}, "from 1 on"),
        ({"curves": ((4, 10, 8, True, 4, 3),)}, "different counts"),
        ({"curves": ((4, 10, 1, True, 4, 2),)}, "three or more places"),
        ({"curves": ((4, 10, 1, True, 4, 3), (4, 10, 1, True, 6, 3))}, "given once"),
        ({"seeds": 1}, "`seeds` must be at least 2"),
    ],
)
def test_bad_settings_are_told(words, fragment):
    with pytest.raises(ValueError, match=fragment):
        DrawsConfig(**words)


# -- report ---------------------------------------------------------------------------------------


def several():
    """Curves of three widths, of which the law of features is true."""
    made = [Curve(w, 2000, n, True, first, 13) for w, first in ((16, 10), (64, 12)) for n in (1, 4)]
    made += [Curve(256, 2000, 4, True, 16, 13)]
    return {c: data_of(c, predict(FEATURES_LAW, CONFIG, c).value) for c in made}


def test_the_answer_names_the_law_that_holds_and_the_one_that_does_not():
    found = analyse(CONFIG, several())
    assert "peaks where K n is the number of features" in answer(found)
    assert "5 of 5 in its wide interval" in answer(found)
    off = {c: data_of(c, 2 * predict(FEATURES_LAW, CONFIG, c).value) for c in several()}
    assert "fixed K n, but not at the number of features" in answer(analyse(CONFIG, off))
    fixed = {c: data_of(c, 120.0 * c.draws) for c in several() if c.width < 256}
    fixed |= {c: data_of(c, 900.0) for c in several() if c.width == 256}
    assert "does not peak at the number of features" in answer(analyse(CONFIG, fixed))
    few = dict(list(several().items())[:2])
    assert "too few to choose" in answer(analyse(CONFIG, few))
    assert "Nothing can be said" in answer(analyse(CONFIG, {FRESH: data_of(FRESH)}))
    assert verdict(Prediction(1.0, 0.5, 2.0), 3.0) == "missed"
    assert verdict(Prediction(1.0, 0.5, 2.0), np.nan) == "no peak"


def test_the_report_has_every_curve_and_says_which_predictions_it_uses():
    data = several() | {FRESH: data_of(FRESH)}
    made = report(analyse(CONFIG, data))
    text = "\n".join(made.lines)
    assert all(curve.name in text for curve in data)
    assert "3 none" in text  # seeds of fresh noise without a peak
    assert made.lines[0] == made.closing[0]
    other = DrawsConfig(vocab_size=4)
    assert "made by this run" in "\n".join(report(analyse(other, data)).lines)
    assert report(analyse(CONFIG, several())).summary["scores"][FEATURES_LAW]["rms"] < 0.02


def test_the_figure_is_drawn_with_and_without_peaks():
    for data in (several() | {FRESH: data_of(FRESH)}, {ONE: data_of(ONE)}):
        figure = draw(analyse(CONFIG, data))
        assert len(figure.axes) == 4

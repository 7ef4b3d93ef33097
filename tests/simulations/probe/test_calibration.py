"""The probe's calibration: its law, what is left out of a fit, scores, families, truth."""

import dataclasses
import json
import math
from collections import Counter

import equinox as eqx
import jax
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.optimize import differential_evolution, minimize
from scipy.stats import mannwhitneyu

from models.denoiser import contract_problems, log_full
from models.exact.empirical import EmpiricalDenoiser
from models.networks.mlp import MLPDenoiser
from models.sources import IidSource
from models.tempered import tempered
from simulations.console.errors import UserError
from simulations.data.corpora import CorpusError, TextFile
from simulations.probe.calibration import judgement
from simulations.probe.calibration.analysis import CalibrationAnalysis
from simulations.probe.calibration.cells import (
    other_source,
    shown_text,
    training_rows,
)
from simulations.probe.calibration.config import CalibrationConfig, made, make_cells, preset
from simulations.probe.calibration.crossfit import (
    LAPSES,
    best_lapse,
    fit_table,
    folds,
    lapsed,
    left_out,
)
from simulations.probe.calibration.families import FAMILIES, FOREIGN, SOURCES, SYNTHETIC, Family
from simulations.probe.calibration.fit import (
    LAWS,
    PRIOR_DEVIATION,
    SIGNS,
    area_under_curve,
    class_probabilities,
    fit_ordinal,
    negative_log_posterior,
    resampled_ordinal,
    wilson,
)
from simulations.probe.calibration.networks import OfFull, Plain, channel_named
from simulations.probe.calibration.sources import make_source
from simulations.probe.calibration.study import STUDY
from simulations.probe.calibration.truth import CLASSES, truth, truth_of
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.chances import TABLE, likelihoods, posterior
from simulations.results.files import read_dataset
from simulations.trained import Network
from tests.helpers import assert_drawn
from tests.simulations.registry import STUDIES

# --- the law


def models(seed, n=60, features=2):
    """Features and classes (n,) drawn from a known law."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, features))
    z = -4 + x @ np.array([6.0, 3.0][:features]) + rng.logistic(size=n)
    return x, np.where(z >= 1, 2, np.where(z <= -1, 0, 1))


def brute(x, classes, signs):
    """The optimum from the probabilities themselves, without gradients or logs of differences."""

    def loss(c):
        p = class_probabilities(np.asarray(c), x)[np.arange(len(x)), classes]
        return -np.log(np.maximum(p, 1e-300)).sum() + 0.5 * (c[1:-1] ** 2).sum() / 100

    box = [(-20, 20), *[(0, 30) if sign > 0 else (-30, 0) for sign in signs], (0, 10)]
    rough = differential_evolution(loss, box, seed=1, tol=1e-8, maxiter=300, polish=False)
    options = {"xatol": 1e-7, "fatol": 1e-11, "maxiter": 20000, "maxfev": 20000}
    return minimize(loss, rough.x, method="Nelder-Mead", bounds=box, options=options)


@pytest.mark.parametrize(("seed", "signs"), [(0, (1, 1)), (1, (1, 1)), (2, (1, -1))])
def test_the_fit_is_the_optimum_found_by_brute_force(seed, signs):
    x, classes = models(seed)
    best, found = brute(x, classes, signs), fit_ordinal(x, classes, signs)
    np.testing.assert_allclose(found, best.x, atol=2e-3)
    design = np.column_stack([np.ones(len(x)), x])
    assert negative_log_posterior(found, design, classes)[0] <= best.fun + 1e-7


@given(
    st.integers(0, 10**6), st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.floats(0.01, 4)
)
def test_the_gradient_is_exact(seed, c, gap):
    x, classes = models(seed, 12)
    design, at = np.column_stack([np.ones(12), x]), np.array([*c, gap])
    slope = negative_log_posterior(at, design, classes)[1]
    for k in range(4):
        step = np.zeros(4)
        step[k] = 1e-6 * (gap if k == 3 else 1)
        ends = [negative_log_posterior(at + s * step, design, classes)[0] for s in (1, -1)]
        numeric = (ends[0] - ends[1]) / (2 * step[k])
        assert slope[k] == pytest.approx(numeric, rel=1e-4, abs=1e-4)


def logistic(x, memorizing):
    """Coefficients of a logistic law with the same prior, weights not negative."""
    target = memorizing.astype(float)

    def loss(c):
        z = c[0] + x @ c[1:]
        return (np.logaddexp(0, z) - target * z).sum() + (c[1:] ** 2).sum() / 2 / PRIOR_DEVIATION**2

    box = [(None, None)] + [(0, None)] * x.shape[1]
    return minimize(loss, np.zeros(1 + x.shape[1]), bounds=box, tol=1e-14).x


@pytest.mark.parametrize("seed", range(4))
def test_without_a_middle_it_is_the_logistic_law(seed):
    x, classes = models(seed)
    ends = classes != 1
    wanted = logistic(x[ends], classes[ends] == 2)
    found = fit_ordinal(x[ends], classes[ends], (1, 1))
    np.testing.assert_allclose(found, [*wanted, 0.0], atol=2e-3)


def test_the_law_is_found_again_from_many_models():
    x, classes = models(5, 20000)
    found = fit_ordinal(x, classes, (1, 1))
    np.testing.assert_allclose(found, [-5, 6, 3, 2], atol=0.25)
    share = np.bincount(classes, minlength=3) / len(classes)
    np.testing.assert_allclose(class_probabilities(found, x).mean(0), share, atol=2e-3)


def test_a_larger_feature_never_lowers_its_probability():
    x, classes = models(3)
    found = fit_ordinal(x, 2 - classes, (1, 1))  # data that want the other sign
    assert (found[1:-1] >= 0).all() and (found[1:-1] < 1e-9).all()
    p = class_probabilities(found, x)
    np.testing.assert_allclose(p, np.broadcast_to(p[0], p.shape), atol=1e-9)


def test_resampled_fits_keep_the_classes_and_surround_the_fit():
    x, classes = models(6, 150)
    found = fit_ordinal(x, classes, (1, 1))
    rows = resampled_ordinal(x, classes, (1, 1), np.random.default_rng(0), 40)
    assert rows.shape == (40, 4) and (rows[:, -1] > 0).all()
    assert (rows.min(0) < found).all() and (found < rows.max(0)).all()


def test_a_fit_needs_both_ends():
    x, classes = models(0)
    for missing in (0, 2):
        with pytest.raises(ValueError, match="memorize and models that generalize"):
            fit_ordinal(x[classes != missing], classes[classes != missing], (1, 1))


@given(st.integers(0, 10**6), st.floats(0.05, 0.9))
def test_the_verdict_reads_the_law_as_it_was_fitted(seed, prior):
    x, classes = models(seed, 30)
    if not {0, 1, 2} <= set(classes.tolist()):
        return
    c, counts = fit_ordinal(x, classes, (1, 1)), np.bincount(classes, minlength=3)
    law = {"features": ["a", "b"], "classes": dict(zip(CLASSES, counts, strict=True))}
    told = likelihoods(c, law, {"a": x[:, 0], "b": x[:, 1]})
    p, wanted = told * counts, class_probabilities(c, x)
    np.testing.assert_allclose(p / p.sum(1, keepdims=True), wanted, atol=1e-9)
    before = np.array([(1 - prior) / 2, (1 - prior) / 2, prior])
    bayes = wanted / counts * before
    bayes = lapsed(bayes / bayes.sum(1, keepdims=True), before, 0.1)
    np.testing.assert_allclose(posterior(told, prior, 0.1), bayes, atol=1e-9)


# --- what is left out


def table_of(n=240, seed=0):
    """Models of some families with features that tell, one of them missing now and then."""
    draw = np.random.default_rng(seed)
    names = ["markov", "wide", "hmm", "transformer", "loss nelbo", "wrong text"]
    family = draw.choice(names, n)
    source = [
        name if name in SOURCES else draw.choice(FAMILIES[name].sources) for name in family.tolist()
    ]
    share = np.clip(draw.normal(draw.choice([0.0, 0.3, 0.9], n), 0.05), 0, 1)
    data = {
        "family": family,
        "source": source,
        "kind": [SOURCES[name].kind for name in source],
        "heldout": ["other" if name == "wrong text" else "right" for name in family],
        "common": family != "wrong text",
        "share": share,
        "truth": [truth_of(x) for x in share],
        **{
            name: 0.5 + sign * (0.4 * share + draw.normal(0, 0.1, n))
            for name, sign in SIGNS.items()
        },
    }
    found = xr.Dataset({name: ("model", np.array(values)) for name, values in data.items()})
    found["near"].values[::7] = math.nan
    return found


def test_a_family_is_judged_by_others_and_a_source_by_other_kinds():
    data = table_of()
    found = {fold.family: fold for fold in folds(data)}
    assert set(found) == set(data["family"].values.tolist())
    assert sum(fold.judged.sum() for fold in found.values()) == data.sizes["model"]
    for name, fold in found.items():
        assert (data["family"].values[fold.judged] == name).all()
        assert not (fold.fitted & fold.judged).any()
        assert data["common"].values[fold.fitted].all()
        kinds = set(data["kind"].values[fold.fitted].tolist())
        assert ("markov" in kinds) == (name not in ("markov", "wide"))
    assert (
        found["transformer"].fitted.sum()
        == ((data["heldout"] == "right") & (data["family"] != "transformer")).sum()
    )


def test_what_is_said_of_a_family_does_not_change_with_its_own_numbers():
    data, other = table_of(), table_of()
    mine = data["family"].values == "transformer"
    for name in ("own_order", "own_loss", "truth"):
        other[name].values[mine] = other[name].values[mine][::-1]
    used = LAWS["held-out and own"]
    before, after = left_out(data, used), left_out(other, used)
    assert before.lapse["transformer"] == after.lapse["transformer"]
    for k in np.flatnonzero(mine):
        twin = np.flatnonzero((other["own_order"] == data["own_order"][k]).values & mine)
        assert len(twin) == 1
    fold = next(fold for fold in folds(data) if fold.family == "transformer")
    lapses = {name: left_out(data, features).lapse for name, features in LAWS.items()}
    assert fit_table(CONFIG, data, lapses, fold) == fit_table(CONFIG, other, lapses, fold)


CONFIG = dataclasses.replace(preset("smoke"), replicates=100)


def test_models_without_a_feature_are_neither_fitted_to_nor_judged():
    data = table_of()
    found = left_out(data, ("near",)).classes
    np.testing.assert_array_equal(np.isnan(found).all(1), np.isnan(data["near"].values))
    assert np.isfinite(left_out(data, ("own_order",)).classes).all()


def test_without_features_a_law_tells_the_shares_of_the_classes():
    data = table_of()
    found = left_out(data, ())
    fold = next(folds(data))
    share = np.bincount(judgement.classes_of(data)[fold.fitted], minlength=3) / fold.fitted.sum()
    rows = found.classes[fold.judged]
    np.testing.assert_allclose(rows, np.broadcast_to(share, rows.shape), atol=1e-4)


def test_the_lapse_is_the_one_of_best_log_score():
    draw = np.random.default_rng(0)
    classes = draw.integers(3, size=400)
    assert list(LAPSES) == sorted(LAPSES)
    sure, base = np.eye(3)[classes], np.full((400, 3), 1 / 3)
    which = np.ones(400, bool)
    assert best_lapse(sure, base, classes, which) == LAPSES[0]
    sure[:27] = np.roll(sure[:27], 1, axis=1)  # a tenth, of which a third is right by chance
    assert best_lapse(sure, base, classes, which) == 0.1
    assert best_lapse(sure * math.nan, base, classes, which) == LAPSES[0]


def test_the_table_holds_what_the_verdict_needs():
    data = table_of()
    lapses = {name: left_out(data, used).lapse for name, used in LAWS.items()}
    table = fit_table(CONFIG, data, lapses)
    assert table["noises"] == ["uniform"] and list(table["laws"]) == list(LAWS)
    right = data.isel(model=np.flatnonzero(data["common"]))
    for name, law in table["laws"].items():
        known = np.isfinite(np.stack([right[x] for x in law["features"]])).all(0)
        assert law["classes"] == {k: int((right["truth"][known] == k).sum()) for k in CLASSES}
        rows = np.array([law["coefficients"], *law["replicates"]])
        assert rows.shape == (1 + CONFIG.replicates, 2 + len(law["features"]))
        signs = np.array([SIGNS[x] for x in law["features"]])
        assert (rows[:, 1:-1] * signs >= 0).all() and (rows[:, -1] >= 0).all()
        assert law["lapse"] == lapses[name][""]
    assert json.loads(json.dumps(table)) == table


# --- scores


@given(st.integers(0, 10**6))
def test_proper_scores_are_best_for_the_truth(seed):
    draw = np.random.default_rng(seed)
    true, other = draw.dirichlet(np.ones(3), 2)
    for rule in (judgement.log_scores, judgement.ranked_scores):
        means = [true @ rule(np.broadcast_to(said, (3, 3)), np.arange(3)) for said in (true, other)]
        assert means[0] <= means[1] + 1e-5


def test_labels_are_counted_by_hand():
    rows = [
        ("memorizing", "memorizing", 0.9, 0.05, ""),
        ("memorizing", "memorizing", 0.8, 0.1, "noise"),
        ("memorizing", "generalizing", 0.02, 0.95, ""),
        ("memorizing", "generalizing", 0.02, 0.95, "temperature"),
        ("memorizing", "withheld", math.nan, math.nan, "domain"),
        ("generalizing", "generalizing", 0.05, 0.9, ""),
        ("generalizing", "memorizing", 0.85, 0.05, ""),
        ("generalizing", "in transition", 0.3, 0.3, ""),
        ("middle", "in transition", 0.3, 0.3, ""),
        ("middle", "generalizing", 0.05, 0.95, ""),
        ("middle", "not decidable with this much data", 0.5, 0.4, ""),
    ]
    names = ("truth", "label", "probability", "generalizing", "failed")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    data = xr.Dataset({name: ("model", np.array(values)) for name, values in columns.items()})
    found = judgement.count_labels(data)
    assert found == judgement.Labels(
        n=11, truths=(3, 3, 5), found=2, cleared=1, between=1, opposite=3, silent=1, withheld=2
    )


def test_the_calibration_error_by_hand():
    p = np.array([0.01, 0.03, 0.1, 0.2, 0.97, 1.0])
    true = np.array([False, True, False, False, True, True])
    wanted = (abs(0.04 - 1) + abs(0.3 - 0) + abs(1.97 - 2)) / 6
    found = judgement.calibration_error(p, true, np.ones((1, 6)))
    assert found.tolist() == pytest.approx([wanted])
    twice = np.array([[2.0, 0, 1, 1, 1, 1]])
    wanted = (abs(0.02 - 0) + 0.3 + 0.03) / 6
    assert judgement.calibration_error(p, true, twice).tolist() == pytest.approx([wanted])


def test_models_are_resampled_within_their_family():
    families = np.array(["a"] * 5 + ["b"] * 3)
    found = judgement._weights(families, np.random.default_rng(0))
    assert (found[0] == 1).all()
    np.testing.assert_array_equal(found[:, :5].sum(1), 5)
    np.testing.assert_array_equal(found[:, 5:].sum(1), 3)
    assert found[1:].std() > 0.5


@given(st.integers(1, 60), st.data())
def test_wilson_inverts_the_score_test(n, data):
    k = data.draw(st.integers(0, n))
    for end in wilson(k, n):
        assert abs(k / n - end) == pytest.approx(1.96 * math.sqrt(end * (1 - end) / n), abs=1e-4)


def test_the_area_is_that_of_mann_and_whitney():
    values = np.random.default_rng(0).integers(5, size=40).astype(float)
    answers = np.arange(40) % 3 == 0
    pairs = answers.sum() * (~answers).sum()
    expected = mannwhitneyu(values[answers], values[~answers]).statistic / pairs
    assert area_under_curve(values, answers) == pytest.approx(expected)


# --- families


def test_models_are_all_different_and_text_needs_a_text():
    config = preset("small")
    cells = make_cells(config)
    texts = {json.dumps(cell.coordinates) for cell in cells}
    assert len(texts) == len(cells) == len({cell.name for cell in cells})
    assert "text" not in {cell.coordinates["family"] for cell in cells}
    more = dataclasses.replace(config, text=TextFile("a", b"b"))
    assert {c.coordinates["family"] for c in make_cells(more)} == set(FAMILIES)
    assert more.identity() == config.identity()  # text or none: the other cells are the same
    other = dataclasses.replace(config, text=TextFile("a", b"c"))
    plain, texts = ({str(c.coordinates) for c in make_cells(x)} for x in (more, other))
    assert 0 < len(plain - texts) == sum("'text'" in x for x in texts)
    for name, family in made(more).items():
        mine = [cell.coordinates for cell in make_cells(more) if cell.coordinates["family"] == name]
        assert 8 <= len(mine) <= 18
        assert {cell["width"] for cell in mine} == set(family.widths)
        for key in ("train_size", "heldout"):  # not one width each
            for value in {cell[key] for cell in mine}:
                there = {cell["width"] for cell in mine if cell[key] == value}
                assert there == set(family.widths)


def test_every_family_varies_something_and_what_it_says():
    base = Family("")
    for name, family in FAMILIES.items():
        told = dataclasses.replace(family, about="", sources=(), train_sizes=(), seeds=1, widths=())
        plain = dataclasses.replace(base, sources=(), train_sizes=(), widths=())
        assert (told != plain) or name in SYNTHETIC or name in ("vocabularies", "lengths"), name


def test_a_tenth_stands_twenty_times_and_foreign_ones_have_their_share():
    draw = np.random.default_rng(0)
    source, other = (make_source(name, draw) for name in ("iid", "markov"))
    rows = training_rows(draw, Family("", copies=20), source, other, 80)
    assert len(rows) == 80 + 19 * 8
    counts = Counter(Counter(row.tobytes() for row in rows).values())
    assert counts[20] == 8 and counts[1] == 72
    for size in (512, 4096):
        rows = training_rows(draw, Family("", foreign=0.3), source, other, size)
        assert (len(rows) - size) / len(rows) == pytest.approx(0.3, abs=0.03)
        foreign = Counter(row.tobytes() for row in rows[size:])
        assert len(foreign) == FOREIGN and len(set(foreign.values())) == 1


def test_wrong_text_is_of_another_kind_whole_or_by_halves():
    for name, shape in SOURCES.items():
        other = SOURCES[other_source(name)]
        assert (other.vocab_size, other.seq_len) == (shape.vocab_size, shape.seq_len)
    assert SOURCES[other_source("markov")].kind != "markov"
    draw = np.random.default_rng(0)
    right, other = np.zeros((10, 16), np.uint8), make_source("iid", draw)
    assert shown_text(draw, "right", right, other) is right
    for kind, most in (("other", 0), ("half", 5)):
        found = shown_text(draw, kind, right, other)
        assert found.shape == right.shape and found.dtype == right.dtype
        assert (found == 0).all(1).sum() == most


def test_sources_have_the_shape_that_is_stated():
    text = TextFile("a", ("to be or not to be, that is " * 3000).encode())
    for name, shape in SOURCES.items():
        if shape.kind == "text":
            continue
        source = make_source(name, np.random.default_rng(0), text)
        drawn = source.stored(np.random.default_rng(1), 50)
        assert drawn.shape == (50, shape.seq_len) and drawn.max() < shape.vocab_size


def test_a_text_gives_characters_and_words():
    draw = np.random.default_rng(0)
    words = [f"w{k}" for k in draw.integers(400, size=40_000)]
    text = TextFile("a", " ".join(words).encode())
    for name in ("characters", "words"):
        source = make_source(name, draw, text)
        stored, heldout = source.stored(draw, 100), source.heldout(draw, 100)
        assert stored.shape == heldout.shape == (100, SOURCES[name].seq_len)
        assert not {row.tobytes() for row in stored} & {row.tobytes() for row in heldout}
        with pytest.raises(CorpusError, match="Take a longer text"):
            source.stored(draw, 10**6)
    with pytest.raises(CorpusError, match="add --text FILE"):
        make_source("words", draw)


def test_without_the_package_of_byte_pairs_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    path = tmp_path / "a.txt"
    path.write_text("to be or not to be " * 9)
    with pytest.raises(CorpusError, match=r"byte pairs needs the package tokenizers: pip install"):
        STUDY.settle(STUDY.parse(["--text", str(path)]))
    assert STUDY.settle(STUDY.parse(["--text", str(path), "--families", "iid", "hmm"])).text
    with pytest.raises(CorpusError, match="byte pairs needs"):
        make_source("pieces", np.random.default_rng(0), TextFile.read(path))


def test_a_family_of_several_readings_of_a_text_is_scored_by_each_too():
    p = [[0.7, 0.2, 0.1]]
    data = xr.Dataset(
        {
            "family": ("model", ["text", "text", "iid"]),
            "kind": ("model", ["text", "text", "iid"]),
            "source": ("model", ["words", "pieces", "iid"]),
            "truth": ("model", ["generalizing", "memorizing", "generalizing"]),
            "common": ("model", [False, False, True]),
            "entropy_alone": (("model", "klass"), np.array(p * 3)),
            "classes": (("model", "basis", "klass"), np.array([p] * 3)),
            **{
                name: (("model", "basis"), np.array([[value]] * 3))
                for name, value in (
                    ("label", "generalizing"),
                    ("failed", ""),
                    ("probability", 0.1),
                    ("generalizing", 0.7),
                )
            },
        },
        coords={"basis": ["law"]},
    )
    rows = judgement.scores(CalibrationAnalysis(preset("small"), data, {}), "law")
    found = {row.group: (row.labels.n, row.labels.cleared, row.labels.opposite) for row in rows}
    assert found == {
        "text": (2, 1, 1),
        "iid": (1, 1, 0),
        "text in words": (1, 1, 0),
        "text in pieces": (1, 0, 1),
        judgement.EVERYTHING: (1, 1, 0),
    }


def test_an_mlp_without_pairs_is_one_whose_pairs_are_zero():
    network, key = Network(3, 4, 8), jax.random.key(0)
    plain, whole = Plain(network).make(key), network.make(key)
    x_t = np.array([[0, 1, 2, 1], [2, 2, 0, 0]])
    readout = np.random.default_rng(0).standard_normal((8, 12)).astype(np.float32)
    laws = []
    for model in (plain, whole):
        drawn = eqx.tree_at(lambda m: m.readout, model, readout)
        laws.append(eqx.filter_jit(lambda m: m.log_loo(x_t, 0.3))(drawn))
    np.testing.assert_allclose(*laws, atol=1e-6)
    assert isinstance(whole, MLPDenoiser) and contract_problems(plain) == []


def test_a_network_of_full_says_full_with_its_softmax():
    network = OfFull(Network(3, 4, 8), 3, 4)
    model = network.make(jax.random.key(0))
    x_t = np.array([[0, 1, 2, 1], [2, 2, 0, 0]])
    softmax = model.net.log_loo(x_t, np.full(2, 0.4, np.float32))
    np.testing.assert_allclose(log_full(model, x_t, 0.4), softmax, atol=1e-5)
    assert model.reading.law == "full"


@pytest.mark.parametrize("name", ["uniform", "absorbing", "hybrid"])
def test_noises_by_name(name):
    assert type(channel_named(name, 8)).__name__.lower() == name


# --- truth

PROBE = ProbeConfig(sequences=64, recover=0, generate=0, replicates=200)


def test_the_truth_of_exact_denoisers():
    draw = np.random.default_rng(0)
    source = IidSource(8, 16, np.arange(1, 9) / 36)
    train, heldout = source.sample(draw, 64), source.sample(draw, 400)
    memory, law = EmpiricalDenoiser(train, 8), source.population_denoiser()
    for noisy in (False, True):
        assert truth(memory, PROBE, train, heldout, draw, 400, noisy).share == pytest.approx(1.0)
        found = truth(law, PROBE, train, heldout, draw, 400, noisy)
        assert found.low < 0 < found.high and abs(found.share) < 0.15
    cold = truth(tempered(law, 3.0), PROBE, train, heldout, np.random.default_rng(1), 400)
    assert cold == truth(law, PROBE, train, heldout, np.random.default_rng(1), 400)
    assert found.heldout == pytest.approx(8 / 36, abs=0.03)


def test_of_a_training_set_half_of_which_is_known_half_is_memorized():
    draw = np.random.default_rng(0)
    rows = draw.integers(8, size=(200, 16)).astype(np.uint8)  # nothing follows from the others
    heldout = draw.integers(8, size=(400, 16)).astype(np.uint8)
    memory = EmpiricalDenoiser(rows[:100], 8)
    found = truth(memory, PROBE, rows, heldout, draw, 400)
    assert found.low < 0.5 < found.high and found.share == pytest.approx(0.5, abs=0.03)
    assert found.train == pytest.approx(0.5 + 0.5 * found.heldout, abs=0.03)


# --- the study


def test_what_cannot_be_made_is_refused():
    with pytest.raises(UserError, match="the family text needs a text: add --text FILE"):
        STUDY.settle(STUDY.parse(["--families", "text"]))
    for words, fragment in (
        ({"families": ("texts",)}, "`families` must hold different ones of markov"),
        ({"train_sizes": (16,)}, "`train_sizes` must hold at least two"),
        ({"levels": (0.5, 0.25)}, "`levels` must increase"),
    ):
        with pytest.raises(ValueError, match=fragment):
            CalibrationConfig(**words)


def test_the_committed_table_is_of_the_committed_configuration():
    table = json.loads(TABLE.read_text())
    assert {"commit", "start_time", "numpy_version"} <= set(table["provenance"])
    assert {name: tuple(law["features"]) for name, law in table["laws"].items()} == LAWS
    config = preset("small")
    for key, value in config.as_dict().items():
        assert table["configuration"][key] == json.loads(json.dumps(value)), key
    for law in table["laws"].values():
        rows = np.array([law["coefficients"], *law["replicates"]])
        assert rows.shape == (config.replicates + 1, 2 + len(law["features"]))
        signs = np.array([SIGNS[name] for name in law["features"]])
        assert (rows[:, 1:-1] * signs >= 0).all()
    judged = {row["group"] for row in table["judged"]}
    assert judged >= set(made(config))
    assert table["config_hash"] == STUDY.configuration_hash(config)


@pytest.mark.slow
def test_the_command_at_its_smallest_installs_its_table_where_asked(
    tiny_run, tmp_path, monkeypatch
):
    out, installed = tiny_run(STUDY.name), tmp_path / TABLE.name
    words = ["--preset", "smoke", *STUDIES[STUDY.name].tiny.split(), "--out", str(out)]
    monkeypatch.setattr("simulations.probe.calibration.study.TABLE", installed)
    assert STUDY.execute(words, Console(quiet=True)) == 0
    assert not installed.exists()
    assert STUDY.execute([*words, "--install"], Console(quiet=True)) == 0
    assert installed.read_bytes() == (out / TABLE.name).read_bytes()
    table, config = json.loads(installed.read_text()), STUDY.parse(words).config
    assert table["config_hash"] == STUDY.configuration_hash(config)
    found = STUDY.analyse(config, read_dataset(out / "probe_calibration.nc"), out)
    assert found.table["laws"] == table["laws"]
    bins = judgement.reliability(found, next(iter(LAWS)))
    assert sum(part.n for part in bins) == found.data.sizes["model"]
    assert_drawn("calibration", "calibration", out, config)

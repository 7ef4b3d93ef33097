"""The probe's verdict: its features, rules, caveats and calibration."""

import json
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import mannwhitneyu

from am_theory.channel import full_from_loo
from models.exact.empirical import EmpiricalDenoiser
from models.sources import MarkovSource
from models.sources.permutations import permutation_chain
from simulations.probe.calibration.analysis import _fitted, score, truth_of
from simulations.probe.calibration.config import SOURCES, make_cells, preset
from simulations.probe.calibration.fit import (
    LAWS,
    PRIOR_DEVIATION,
    SIGNS,
    area_under_curve,
    fit_logistic,
    wilson,
)
from simulations.probe.calibration.judgement import reliability
from simulations.probe.calibration.study import STUDY
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.caveats import reads_own_token
from simulations.probe.judge.features import feature_replicates, features_of
from simulations.probe.judge.verdict import (
    GAP_BOUNDS,
    PROBABILITY_BOUNDS,
    TABLE,
    UNDECIDABLE,
    calibration,
    entropy_verdict,
    label_of,
    probabilities,
    recovery_verdict,
    verdicts,
)
from simulations.probe.measure.measures import measure
from simulations.results.files import read_dataset
from tests.helpers import ROOT, assert_drawn
from tests.simulations.registry import STUDIES

SMALL = 1e-5
LEVELS = (0.25, 0.5)
V, L = 8, 16
BOTH, HELD_OUT, GENERATED = LAWS


def rng(seed=0):
    return np.random.default_rng(seed)


def made_up(splits, seed=0):
    """A probe's dataset of which every number is given: per split n, `entropy` and `loss` at 1e-5
    and at t = 0.5, `right` of `corrupted` tokens at t = 0.25, and tokens (random by default)."""
    draw, parts = rng(seed), []
    for name, given_ in splits.items():
        n = given_.get("n", 64)
        tokens = given_.get("tokens", draw.integers(V, size=(n, L)))
        dims = ("sequence", "law", "t_entropy")
        columns = {}
        for variable, key in (("entropy", "entropy"), ("log_loss", "loss")):
            small, middle = (np.broadcast_to(x, n) for x in given_.get(key, (math.nan, math.nan)))
            values = np.full((n, 2, 3), math.nan, np.float32)
            values[:, 0, 0], values[:, 0, 2] = small, middle
            columns[variable] = (dims, values)
        right, corrupted = given_.get("right", -1), given_.get("corrupted", -1)
        counts = np.full((n, 2), -1, np.int32)
        counts[:, 0] = corrupted
        recovered = np.full((n, 2, 3), -1, np.int32)
        recovered[:, 0, 2] = right
        _, group, count = np.unique(tokens, axis=0, return_inverse=True, return_counts=True)
        repeats = count[group.ravel()] - 1 if name == "generated" else np.full(n, -1)
        parts.append(
            xr.Dataset(
                {
                    "tokens": (("sequence", "position"), np.asarray(tokens, np.int32)),
                    "corrupted": (("sequence", "t"), counts),
                    "recovered": (("sequence", "t", "decoder"), recovered),
                    "repeats": ("sequence", repeats.astype(np.int32)),
                    **columns,
                },
                coords={
                    "split": ("sequence", [name] * n),
                    "t": list(LEVELS),
                    "t_entropy": [SMALL, *LEVELS],
                    "law": ["loo", "full"],
                    "decoder": ["ancestral", "argmax", "best_change"],
                },
            )
        )
    data = xr.concat(parts, "sequence", data_vars="minimal")
    return data.assign_attrs(vocab_size=V, seq_len=L)


def typical(kind="generalizing", **changes):
    """Splits of a clear memorizer or a clear generalizer."""
    memory = kind == "memorizing"
    splits = {
        "train": {"n": 64, "corrupted": 4, "right": 4 if memory else 2},
        "heldout": {
            "n": 64,
            "corrupted": 4,
            "right": 2,
            "entropy": (0.4, 1.2),
            "loss": (1.8, 2.2) if memory else (0.4, 1.2),
        },
        "generated": {"n": 64, "entropy": (0.01, 0.1) if memory else (0.4, 1.2)},
        "random": {"n": 32, "entropy": (0.5, 1.0), "loss": (3.0, 2.5)},
    }
    for name, change in changes.items():
        splits[name] = splits[name] | change
    return splits


def without(splits, *names):
    return made_up({name: part for name, part in splits.items() if name not in names})


# --- features


def test_features_are_the_stated_ratios():
    splits = typical(
        heldout={"n": 4, "entropy": ([0.1, 0.3, 0.5, 0.3], 1.0), "loss": (0.6, 2.0)},
        generated={"n": 4, "tokens": np.array([[0] * L, [0] * L, [1] * L, [2] * L])},
    )
    seen = features_of(made_up(splits))
    expected = {
        "recovery_train": 0.5,
        "recovery_heldout": 0.5,
        "recovery_gap": 0.0,
        "calibration_gap": 1 - 0.3 / 0.6,
        "own_entropy": 0.4 / 0.6,
        "own_entropy_middle": 1.2 / 2.0,
        "own_share": 0.4 / math.log(V),
        "own_share_middle": 1.2 / math.log(V),
        "repeats": 0.5,
        "heldout_loss": 0.6 / math.log(V),
        "random_loss": 3.0 / math.log(V),
    }
    assert seen.as_dict() == pytest.approx(expected, rel=1e-6)


def test_recovery_is_pooled_over_tokens_and_its_gap_normalised():
    few = {"n": 2, "corrupted": [1, 9], "right": [1, 3]}
    seen = features_of(made_up(typical(heldout=few, train={"n": 2, "corrupted": 5, "right": 4})))
    assert seen.recovery_heldout == pytest.approx(4 / 10)
    assert seen.recovery_gap == pytest.approx((0.8 - 0.4) / (1 - 0.4))
    perfect = made_up(typical(heldout={"right": 4}, train={"right": 4}))
    assert features_of(perfect).recovery_gap == 0


def test_repeats_count_beyond_those_of_held_out_text():
    copies = np.zeros((64, L), int)
    half = np.concatenate([copies[:32], rng().integers(V, size=(32, L))])
    seen = features_of(made_up(typical(generated={"tokens": copies}, heldout={"tokens": half})))
    assert seen.repeats == pytest.approx(0.5)
    alone = features_of(without(typical(generated={"tokens": half}), "heldout", "train"))
    assert alone.repeats == pytest.approx(0.5)


def test_what_was_not_measured_is_nan():
    seen = features_of(without(typical(), "train", "generated"))
    assert math.isnan(seen.recovery_gap) and math.isnan(seen.own_entropy)
    assert math.isfinite(seen.calibration_gap)
    assert math.isnan(features_of(without(typical(), "heldout")).calibration_gap)


def test_replicates_spread_as_the_mean_of_sequences_does():
    values = rng(1).random(200)
    data = made_up(typical(generated={"n": 200, "entropy": (values, 1.0)}))
    drawn = feature_replicates(data, rng(2), 4000)["own_share"] * math.log(V)
    assert drawn.mean() == pytest.approx(values.mean(), abs=5 * values.std() / 200)
    assert drawn.std() == pytest.approx(values.std() / math.sqrt(200), rel=0.06)


def test_sequences_that_were_not_measured_are_left_out():
    entropy = np.where(np.arange(200) < 100, np.nan, 0.5)
    data = made_up(typical(generated={"n": 200, "entropy": (entropy, 1.0)}))
    expected = pytest.approx(0.5 / math.log(V), rel=1e-6)
    assert features_of(data).own_share == expected
    assert feature_replicates(data, rng(), 50)["own_share"].tolist() == [expected] * 50


def test_one_sequence_has_no_interval():
    data = made_up(typical(generated={"n": 1}))
    assert np.isnan(feature_replicates(data, rng(), 100)["own_entropy"]).all()
    found = entropy_verdict(data, rng(), calibration())
    assert found.label == UNDECIDABLE and (found.low, found.high) == (0.0, 1.0)


# --- labels


@pytest.mark.parametrize(
    ("estimate", "low", "high", "label"),
    [
        (0.7, 0.6, 0.9, "memorizing"),
        (0.5, 0.11, 0.9, "memorizing"),
        (0.1, -0.1, 0.49, "generalizing"),
        (0.3, 0.2, 0.4, "in transition"),
        (0.49, 0.4, 0.9, "in transition"),
        (0.11, 0.0, 0.3, "in transition"),
        (0.9, 0.1, 1.0, UNDECIDABLE),
        (0.0, -0.2, 0.5, UNDECIDABLE),
        (0.6, math.nan, 0.7, UNDECIDABLE),
    ],
)
def test_the_label_of_an_interval(estimate, low, high, label):
    assert label_of(estimate, low, high, GAP_BOUNDS) == label


@given(*[st.floats(0, 0.5)] * 4, st.floats(0, 1))
def test_a_wider_interval_never_decides_more(left, right, more_left, more_right, p):
    inner = label_of(p, p - left, p + right, PROBABILITY_BOUNDS)
    wide = (p - left - more_left, p + right + more_right)
    outer = label_of(p, *wide, PROBABILITY_BOUNDS)
    assert outer in (inner, UNDECIDABLE)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.3))
def test_a_higher_estimate_is_never_called_the_milder(p, q, half):
    order = ["generalizing", "in transition", "memorizing"]
    labels = [label_of(x, x - half, x + half, PROBABILITY_BOUNDS) for x in sorted((p, q))]
    if UNDECIDABLE not in labels:
        assert order.index(labels[0]) <= order.index(labels[1])


def test_the_recovery_gap_decides_where_there_are_training_data():
    for kind in ("memorizing", "generalizing"):
        first, second = verdicts(made_up(typical(kind)), rng())
        assert (first.basis, first.label) == ("recovery gap", kind)
        assert (second.basis, second.label) == ("entropy", kind)
    (only,) = verdicts(without(typical("memorizing"), "train"), rng())
    assert (only.basis, only.label) == ("entropy", "memorizing")


def test_a_gap_between_the_bounds_is_in_transition_and_few_sequences_decide_nothing():
    right = rng(3).binomial(4, 0.65, size=400)
    held = rng(4).binomial(4, 0.5, size=400)
    many = made_up(typical(train={"n": 400, "right": right}, heldout={"n": 400, "right": held}))
    found = recovery_verdict(many, rng())
    assert found.label == "in transition"
    assert found.low <= found.probability <= found.high
    few = made_up(typical(train={"n": 6, "right": right[:6]}, heldout={"n": 6, "right": held[:6]}))
    assert recovery_verdict(few, rng()).label == UNDECIDABLE


def test_the_interval_of_the_gap_is_said_and_shares_are_of_its_replicates():
    right = rng(3).binomial(4, 0.75, size=60)
    data = made_up(typical(train={"n": 60, "right": right}))
    found = recovery_verdict(data, rng(5))
    drawn = feature_replicates(data, rng(5), 1000)["recovery_gap"]
    told = [(drawn >= bound).mean() for bound in (0.5, 0.3, 0.1)]
    assert [found.low, found.probability, found.high] == pytest.approx(told)
    assert f"{features_of(data).recovery_gap:.3f}, 95 %" in " ".join(found.reasons)


def test_without_anything_to_read_nothing_is_decided():
    (found,) = verdicts(without(typical(), "train", "heldout", "generated"), rng())
    assert (found.label, found.low, found.high) == (UNDECIDABLE, 0.0, 1.0)


@pytest.mark.parametrize("kind", ["memorizing", "generalizing"])
@pytest.mark.parametrize("missing", ["heldout", "generated"])
def test_a_part_of_the_evidence_gives_a_verdict_of_its_own(kind, missing):
    splits = typical(kind)
    if missing == "heldout" and kind == "memorizing":
        splits["generated"]["tokens"] = rng().integers(V, size=(8, L)).repeat(8, axis=0)
    found = entropy_verdict(without(splits, "train", missing), rng(), calibration())
    weak = (missing, kind) == ("heldout", "generalizing")  # entropies have no scale there
    assert found.label == ("in transition" if weak else kind)
    used = LAWS[HELD_OUT if missing == "generated" else GENERATED]
    assert len(found.reasons) >= len(used)


# --- monotony


@given(
    st.sampled_from(list(LAWS)),
    st.data(),
    st.dictionaries(st.sampled_from(list(SIGNS)), st.floats(0, 1), min_size=1),
)
def test_more_evidence_of_memory_never_lowers_the_probability(name, data, increase):
    law = calibration()["laws"][name]
    before = {key: data.draw(st.floats(0, 1)) for key in SIGNS}
    after = {key: x + SIGNS[key] * increase.get(key, 0.0) for key, x in before.items()}
    for coefficients in [law["coefficients"], *law["replicates"][:50]]:
        one = law | {"coefficients": coefficients}
        p, q = (
            probabilities(one, {k: np.array([x]) for k, x in values.items()})[0]
            for values in (before, after)
        )
        assert q >= p


@given(st.floats(0.45, 3.0), st.floats(0.0, 2.0))
def test_a_larger_calibration_gap_never_lowers_the_probability_of_a_probe(loss, more):
    def probability(value):
        splits = typical(heldout={"entropy": (0.4, 1.2), "loss": (value, 1.3), "n": 8})
        data = without(splits, "train", "generated")
        seen = {key: np.array([x]) for key, x in features_of(data).as_dict().items()}
        return probabilities(calibration()["laws"][HELD_OUT], seen)[0]

    assert probability(loss + more) >= probability(loss)


# --- real denoisers, and caveats


class ReadAsLoo:
    """A denoiser whose token posterior `full` is taken for `loo`."""

    def __init__(self, inner):
        self.inner = inner
        self.vocab_size, self.seq_len = inner.vocab_size, inner.seq_len
        self.schedule = inner.schedule

    def log_loo(self, x_t, t):
        log_loo = np.asarray(self.inner.log_loo(np.asarray(x_t), t), np.float64)
        return full_from_loo(log_loo, x_t, np.asarray(self.schedule.alpha(t)))


class Floored:
    """A denoiser that never gives a token less than a thousandth of 1 / V, as networks do."""

    def __init__(self, inner):
        self.inner = inner
        self.vocab_size, self.seq_len = inner.vocab_size, inner.seq_len
        self.schedule = inner.schedule

    def log_loo(self, x_t, t):
        law = np.exp(np.asarray(self.inner.log_loo(np.asarray(x_t), t), np.float64))
        return np.log(0.999 * law + 0.001 / self.vocab_size)


@pytest.fixture(scope="module")
def exact():
    """Probes of the two exact denoisers of a chain, and of both with `full` read as `loo`."""
    source = MarkovSource(permutation_chain(V), L)
    stored, held_out = source.sample(rng(1), 300), source.sample(rng(2), 300)
    config = ProbeConfig(
        levels=LEVELS, sequences=300, recover=0, generate=48, n_steps=24, nelbo_draws=1
    )
    memory, population = EmpiricalDenoiser(stored[:32], V), source.population_denoiser()
    models = {
        ("memorizing", "loo"): (memory, 32),
        ("generalizing", "loo"): (population, 300),
        ("memorizing", "full"): (ReadAsLoo(Floored(memory)), 32),
        ("memorizing", "full, with zeros"): (ReadAsLoo(memory), 32),
        ("generalizing", "full"): (ReadAsLoo(population), 300),
    }
    return {
        key: measure(model, config, test=held_out, train=stored[:k])
        for key, (model, k) in models.items()
    }


@pytest.mark.parametrize("kind", ["memorizing", "generalizing"])
def test_exact_denoisers_are_called_what_they_are(exact, kind):
    by_gap, by_entropy = verdicts(exact[kind, "loo"], rng())
    assert (by_gap.label, by_entropy.label) == (kind, kind)
    assert not reads_own_token(exact[kind, "loo"])
    assert features_of(exact[kind, "loo"]).random_loss > 0.97  # the bound is 1
    assert not any("full" in caveat for caveat in by_entropy.caveats)


@pytest.mark.parametrize("kind", ["memorizing", "generalizing"])
def test_a_full_law_read_as_loo_is_seen(exact, kind):
    data = exact[kind, "full"]
    assert reads_own_token(data)
    (caveat,) = [c for c in verdicts(data, rng())[1].caveats if "loo_from_full" in c]
    assert "random tokens" in caveat
    assert not any("orderly" in c for c in verdicts(data, rng())[1].caveats)
    assert not any("loo_from_full" in c for c in verdicts(data, rng())[0].caveats)


def test_a_full_law_with_exact_zeros_is_not_seen_and_is_called_a_memory_all_the_same(exact):
    """The memory of 32 sequences rules out random tokens whatever it observes."""
    data = exact["memorizing", "full, with zeros"]
    assert not reads_own_token(data)
    assert verdicts(data, rng())[1].label == "memorizing"


@given(st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=6))
def test_no_law_without_the_token_beats_log_v_on_random_tokens(weights):
    """The bound behind the caveat: the mean over v of -log p_v is at least log V."""
    p = np.array(weights) / sum(weights)
    assert -np.log(p).mean() >= math.log(len(p)) - 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 4096])
def test_a_trained_network_with_full_read_as_loo_is_seen(size):
    import jax

    from models.networks.mlp import MLPDenoiser
    from models.training.config import TrainConfig
    from models.training.train import train

    source = MarkovSource(permutation_chain(V), L)
    stored, held_out = source.sample(rng(1), 4096), source.sample(rng(2), 64)
    k_model, k_train = jax.random.split(jax.random.key(0))
    training = TrainConfig(steps=600, batch=64, warmup=50, loss="full")
    model = train(k_train, MLPDenoiser(k_model, V, L, 64), stored, size, training).model
    config = ProbeConfig(levels=(0.25,), sequences=64, recover=0, generate=0, nelbo_draws=1)
    read = {
        name: measure(denoiser, config, test=held_out)
        for name, denoiser in (("loo", model), ("full", ReadAsLoo(model)))
    }
    assert reads_own_token(read["full"]) and not reads_own_token(read["loo"])


def caveat(data, basis=1):
    return " ".join(verdicts(data, rng())[basis].caveats)


def test_a_clean_probe_has_no_caveat():
    assert caveat(made_up(typical())) == "" == caveat(made_up(typical()), 0)


def test_orderly_text_duplicates_overlap_and_few_sequences_are_said():
    assert "so orderly" in caveat(made_up(typical(heldout={"loss": (0.03, 0.1)})))
    tokens = rng(7).integers(V, size=(64, L))
    twice = tokens.copy()
    twice[1] = twice[0]
    for split, word in (("heldout", "held-out"), ("train", "training")):
        told = caveat(made_up(typical(**{split: {"tokens": twice}})))
        assert f"Repeats among the 64 {word} sequences measured: 1." in told
    shared = tokens.copy()
    shared[5:] = rng(8).integers(V, size=(59, L))
    data = made_up(typical(heldout={"tokens": shared}, train={"tokens": tokens}))
    assert "5 of the 64 held-out sequences measured are training sequences" in caveat(data)
    distance = np.where(np.arange(data.sizes["sequence"]) == 70, 0, 3)  # row 6 of the held-out
    measured = data.assign(nearest_distance=("sequence", distance.astype(np.int32)))
    assert "1 of the 64 held-out sequences measured are training" in caveat(measured)
    assert "Only 9 generated" in caveat(made_up(typical(generated={"n": 9})))


def test_missing_held_out_text_and_an_untaught_model_are_said():
    (found,) = verdicts(without(typical(), "train", "heldout"), rng())
    assert any("No held-out text" in c for c in found.caveats)
    full = math.log(V)
    untaught = typical(heldout={"entropy": (full, full), "loss": (full, full)})
    assert "has learnt nothing" in caveat(made_up(untaught))
    confident = typical("memorizing", heldout={"entropy": (0.1, 0.2), "loss": (full, full)})
    assert "has learnt nothing" not in caveat(made_up(confident))


# --- the fit


def test_the_fit_is_the_smallest_penalised_loss_of_a_grid():
    x = np.array([[0.1], [0.3], [0.35], [0.7], [0.6], [0.9]])
    answers = np.array([False, False, True, True, False, True])
    c, w = np.meshgrid(np.linspace(-8, 2, 501), np.linspace(0, 15, 501), indexing="ij")
    scores = c[..., None] + w[..., None] * x[:, 0]
    loss = (np.logaddexp(0, scores) - answers * scores).sum(-1) + w**2 / PRIOR_DEVIATION**2 / 2
    best = np.unravel_index(loss.argmin(), loss.shape)
    np.testing.assert_allclose(fit_logistic(x, answers, [1]), [c[best], w[best]], atol=0.04)


def test_a_weight_of_the_wrong_sign_is_zero():
    x, answers = np.array([[0.0], [1.0], [0.1], [0.9]]), np.array([False, True, False, True])
    intercept, weight = fit_logistic(x, answers, [-1])
    assert weight == 0 and intercept == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="memorize and models that generalize"):
        fit_logistic(x, np.ones(4, bool), [1])


@given(st.integers(1, 60), st.data())
def test_wilson_inverts_the_score_test(n, data):
    k = data.draw(st.integers(0, n))
    for end in wilson(k, n):
        assert abs(k / n - end) == pytest.approx(1.96 * math.sqrt(end * (1 - end) / n), abs=1e-4)


def test_the_area_is_that_of_mann_and_whitney():
    values, answers = rng().integers(5, size=40).astype(float), np.arange(40) % 3 == 0
    pairs = answers.sum() * (~answers).sum()
    expected = mannwhitneyu(values[answers], values[~answers]).statistic / pairs
    assert area_under_curve(values, answers) == pytest.approx(expected)


# --- the calibration


def test_scores_count_models_by_hand():
    models = [
        *[(0.9, "memorizing")] * 3,
        (0.5, "generalizing"),
        (0.7, UNDECIDABLE),
        *[(0.1, "generalizing")] * 2,
        (-0.1, "in transition"),
        (0.0, "memorizing"),
        *[(0.3, "memorizing")] * 2,
    ]
    gaps, labels = zip(*models, strict=True)
    data = xr.Dataset(
        {
            "truth": ("model", [truth_of(gap) for gap in gaps]),
            "label": (("model", "basis"), np.array(labels)[:, None]),
        },
        {"basis": [BOTH]},
    )
    assert score(data, BOTH, "iid") == {
        "source": "iid",
        "memorizing": 5,
        "found": 3,
        "taken_for_generalizing": 1,
        "generalizing": 4,
        "cleared": 2,
        "taken_for_memorizing": 1,
        "middle": 2,
        "undecided": 1,
        "in_transition": 1,
    }


def test_the_committed_table_is_of_the_committed_configuration():
    table, config = json.loads(TABLE.read_text()), preset("small")
    assert table["config_hash"] == STUDY.configuration_hash(config)
    assert {"commit", "start_time", "numpy_version"} <= set(table["provenance"])
    assert {name: tuple(law["features"]) for name, law in table["laws"].items()} == LAWS
    for law in table["laws"].values():
        rows = np.array([law["coefficients"], *law["replicates"]])
        assert rows.shape == (config.replicates + 1, 1 + len(law["features"]))
        signs = np.array([SIGNS[name] for name in law["features"]])
        assert (rows[:, 1:] * signs >= 0).all()
    judged = {row["source"]: row for row in table["judged"]}
    decided = judged["all"]["memorizing"] + judged["all"]["generalizing"]
    assert decided >= 30 and set(config.test) <= set(judged)
    assert set(config.test) - set(config.calibrate)


@pytest.mark.slow
def test_the_committed_table_follows_from_the_results():
    config, out = preset("small"), ROOT / "results/probe_calibration/small"
    if not (out / "report.md").exists():
        pytest.skip("no results: run python -m simulations.probe.calibration")
    table = STUDY.analyse(config, STUDY.merge(out, config), out).table
    committed = calibration()
    for name, law in table["laws"].items():
        mine = committed["laws"][name]
        np.testing.assert_allclose(law["coefficients"], mine["coefficients"], atol=2e-3)
        np.testing.assert_allclose(law["replicates"], mine["replicates"], atol=0.02)
    assert table["models"] == committed["models"]


def test_models_are_all_different_and_test_models_have_sources_of_their_own():
    config = preset("small")
    cells = make_cells(config)
    texts = {json.dumps(cell.coordinates) for cell in cells}
    assert len(texts) == len(cells) == len({cell.name for cell in cells})
    assert {cell.coordinates["loss"] for cell in cells} == {"loo", "nelbo"}
    assert set(SOURCES) == set(config.test)


@pytest.mark.slow
def test_the_command_at_its_smallest_installs_its_table_where_asked(
    tiny_run, tmp_path, monkeypatch
):
    out, installed = tiny_run(STUDY.name), tmp_path / TABLE.name
    words = ["--preset", "smoke", *STUDIES[STUDY.name].tiny.split(), "--out", str(out)]
    monkeypatch.setattr("simulations.probe.calibration.study.TABLE", installed)
    _fitted.cache_clear()
    assert STUDY.execute(words, Console(quiet=True)) == 0
    assert _fitted.cache_info().misses == len(LAWS)  # for merging and analysing together
    assert not installed.exists()
    assert STUDY.execute([*words, "--install"], Console(quiet=True)) == 0
    assert installed.read_bytes() == (out / TABLE.name).read_bytes()
    table, config = json.loads(installed.read_text()), STUDY.parse(words).config
    assert table["config_hash"] == STUDY.configuration_hash(config)
    assert list(table["laws"]) == list(LAWS)
    found = STUDY.analyse(config, read_dataset(out / "probe_calibration.nc"), out)
    assert found.table["laws"] == table["laws"]
    assert sum(part.n for part in reliability(found, BOTH, (0.0, 0.5, 1.0))) == 2
    assert_drawn("calibration", "calibration", out, config)

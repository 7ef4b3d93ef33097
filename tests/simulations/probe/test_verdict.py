"""The probe's verdict: its features, labels, checks and chances."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import full_from_loo
from models.exact.empirical import EmpiricalDenoiser
from models.sources import MarkovSource
from models.sources.permutations import permutation_chain
from models.tempered import tempered
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.chances import (
    CLASSES,
    Chances,
    calibration,
    law_for,
    likelihoods,
    posterior,
)
from simulations.probe.judge.evidence import evidence_of
from simulations.probe.judge.features import feature_replicates, features_of
from simulations.probe.judge.readable import reads_own_token
from simulations.probe.judge.verdict import label_of, label_of_chances, verdicts
from simulations.probe.judge.words import UNDECIDABLE, WITHHELD
from simulations.probe.measure.estimate import Estimate
from simulations.probe.measure.measures import measure

SMALL = 1e-5
LEVELS = (0.25, 0.5)
V, L = 8, 16
SIGNS = {"own_order": 1, "own_loss": -1, "own_entropy_middle": -1, "near": 1}


def rng(seed=0):
    return np.random.default_rng(seed)


def made_up(splits, seed=0):
    """A probe's dataset of which every number is given: per split n, `entropy` and `loss` at 1e-5
    and at t = 0.5, `right` tokens of L as t -> 0, and tokens (random by default); at t = 0.25 log
    losses lie between."""
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
            values[:, 0, 1] = (values[:, 0, 0] + values[:, 0, 2]) / 2
            columns[variable] = (dims, values)
        correct = np.full((n, 2, 3), -1, np.int32)
        correct[:, 0, 0] = given_.get("right", -1)
        counts = np.full((n, 2), -1, np.int32)
        recovered = np.full((n, 2, 3), -1, np.int32)
        _, group, count = np.unique(tokens, axis=0, return_inverse=True, return_counts=True)
        repeats = count[group.ravel()] - 1 if name == "generated" else np.full(n, -1)
        parts.append(
            xr.Dataset(
                {
                    "tokens": (("sequence", "position"), np.asarray(tokens, np.int32)),
                    "corrupted": (("sequence", "t"), counts),
                    "correct": (dims, correct),
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
    return data.assign_attrs(vocab_size=V, seq_len=L, inverse_temperature=1.0, settled=1)


def typical(kind="generalizing", **changes):
    """Splits of a clear memorizer or a clear generalizer."""
    memory = kind == "memorizing"
    splits = {
        "train": {"n": 64, "right": 16 if memory else 8},
        "heldout": {
            "n": 64,
            "right": 8,
            "entropy": (0.4, 1.2),
            "loss": (1.8, 2.2) if memory else (0.4, 1.2),
        },
        "generated": {
            "n": 64,
            "right": 15 if memory else 8,
            "entropy": (0.01, 0.1) if memory else (0.4, 1.2),
            "loss": (0.02, 0.2) if memory else (0.4, 1.2),
        },
        "random": {"n": 32, "entropy": (0.5, 1.0), "loss": (3.0, 2.5)},
    }
    for name, change in changes.items():
        splits[name] = splits[name] | change
    return splits


def without(splits, *names):
    return made_up({name: part for name, part in splits.items() if name not in names})


# --- features


def source_like(seed):
    """Eight sequences of two tokens."""
    return rng(seed).integers(2, size=(8, L))


def test_features_are_the_stated_ratios():
    splits = typical(
        heldout={"n": 4, "entropy": ([0.1, 0.3, 0.5, 0.3], 1.0), "loss": (0.6, 2.0), "right": 6},
        generated={
            "n": 4,
            "tokens": np.array([[0] * L, [0] * L, [1] * L, [2] * L]),
            "right": [16, 12, 12, 8],
            "loss": (0.3, 0.5),
        },
    )
    seen = features_of(made_up(splits))
    expected = {
        "recovery_train": 8 / 16,
        "recovery_heldout": 6 / 16,
        "recovery_own": 12 / 16,
        "order": (8 - 6) / (16 - 6),
        "own_order": (12 - 6) / (16 - 6),
        "own_loss": 0.4 / 1.3,
        "own_loss_middle": 0.5 / 2.0,
        "calibration_gap": 1 - 0.3 / 0.6,
        "own_entropy": 0.4 / 0.6,
        "own_entropy_middle": 1.2 / 2.0,
        "own_share": 0.4 / math.log(V),
        "own_share_middle": 1.2 / math.log(V),
        "repeats": 0.5,
        "heldout_loss": 0.6 / math.log(V),
        "heldout_entropy": 0.3 / math.log(V),
        "random_loss": 3.0 / math.log(V),
    }
    assert seen.as_dict() == pytest.approx(expected, rel=1e-6)


def test_where_all_is_known_of_held_out_text_nothing_is_known_better():
    perfect = made_up(typical(heldout={"right": L}, train={"right": L}))
    assert features_of(perfect).order == 0


def test_what_is_made_from_full_is_read_where_noise_is_larger():
    """Its own token decides a law that was made from `full` near t = 0."""
    data = made_up(typical())
    data["corrupted"].values[:, 0] = 4
    for name, right in (("train", 3), ("heldout", 2), ("generated", 1)):
        data["recovered"].values[data["split"].values == name, 0, 2] = right
    seen = features_of(data.assign_attrs(output="full"))
    assert (seen.recovery_train, seen.recovery_heldout, seen.recovery_own) == (0.75, 0.5, 0.25)
    assert (seen.order, seen.own_order) == (0.5, -0.5)
    assert features_of(data).order == 0


@pytest.mark.parametrize("like", [True, False])
def test_own_sequences_are_those_at_the_temperature_of_the_model(like):
    """Where these are more like the text than those as it is."""
    text, flat = source_like(1), rng(3).integers(V, size=(8, L))
    there, here = (source_like(2), flat) if like else (flat, source_like(2))
    made = {"n": 8, "loss": (0.2, 0.3), "entropy": (0.1, 0.2)}
    splits = typical(generated={"n": 8, "tokens": here}) | {
        "rescaled": made | {"right": 12, "tokens": there},
        "heldout_rescaled": made | {"right": 8, "loss": (0.8, 1.2), "tokens": text},
    }
    seen = features_of(made_up(splits))
    expected = (0.5, 0.25) if like else (0.0, 1.0)
    assert (seen.own_order, seen.own_loss) == pytest.approx(expected)


def test_repeats_count_beyond_those_of_held_out_text():
    copies = np.zeros((64, L), int)
    half = np.concatenate([copies[:32], rng().integers(V, size=(32, L))])
    seen = features_of(made_up(typical(generated={"tokens": copies}, heldout={"tokens": half})))
    assert seen.repeats == pytest.approx(0.5)
    alone = features_of(without(typical(generated={"tokens": half}), "heldout", "train"))
    assert alone.repeats == pytest.approx(0.5)


def test_what_was_not_measured_is_nan():
    seen = features_of(without(typical(), "train", "generated"))
    assert math.isnan(seen.order) and math.isnan(seen.own_entropy)
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


# --- labels


@pytest.mark.parametrize(
    ("value", "low", "high", "label"),
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
def test_the_label_of_an_interval(value, low, high, label):
    assert label_of(Estimate(value, low, high, 9)) == label


@given(*[st.floats(0, 0.5)] * 4, st.floats(0, 1))
def test_a_wider_interval_never_decides_more(left, right, more_left, more_right, p):
    inner = label_of(Estimate(p, p - left, p + right, 9))
    outer = label_of(Estimate(p, p - left - more_left, p + right + more_right, 9))
    assert outer in (inner, UNDECIDABLE)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.3))
def test_a_higher_estimate_is_never_called_the_milder(p, q, half):
    order = ["generalizing", "in transition", "memorizing"]
    labels = [label_of(Estimate(x, x - half, x + half, 9)) for x in sorted((p, q))]
    if UNDECIDABLE not in labels:
        assert order.index(labels[0]) <= order.index(labels[1])


def chances(memorizing, generalizing, half=0.0):
    def told(p):
        return Estimate(p, max(p - half, 0), min(p + half, 1), 9)

    return Chances("own", told(memorizing), told(generalizing), told(1.0))


def test_the_label_of_chances():
    assert label_of_chances(chances(0.6, 0.1)) == "memorizing"
    assert label_of_chances(chances(0.1, 0.6)) == "generalizing"
    assert label_of_chances(chances(0.4, 0.4)) == "in transition"
    assert label_of_chances(chances(0.4, 0.4, 0.2)) == UNDECIDABLE


# --- chances

FEATURES = ["own_order", "own_loss", "near"]
LAW = {
    "features": FEATURES,
    "classes": {"generalizing": 10, "middle": 20, "memorizing": 30},
    "coefficients": [0.5, 4.0, -3.0, 2.0, 1.5],
    "lapse": 0.02,
}


def one(**values):
    return {name: np.array([values.get(name, 0.0)]) for name in FEATURES}


def test_likelihoods_are_chances_of_the_fit_without_its_shares():
    z = 0.5 + 4 * 0.3 - 3 * 0.8 + 2 * 0.1
    above, below = 1 / (1 + math.exp(-z)), 1 / (1 + math.exp(-z - 1.5))
    told = np.array([1 - below, below - above, above])
    found = likelihoods(
        np.array(LAW["coefficients"]), LAW, one(own_order=0.3, own_loss=0.8, near=0.1)
    )
    assert found[0] == pytest.approx(told / np.array([1 / 6, 2 / 6, 3 / 6]))
    even = posterior(found, 0.5, 0.0)[0]
    assert even.sum() == pytest.approx(1)
    assert even[2] / even[0] == pytest.approx(found[0, 2] / found[0, 0] * 0.5 / 0.25)
    assert posterior(found, 0.5, 0.1)[0] == pytest.approx(0.9 * even + [0.025, 0.025, 0.05])


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.dictionaries(st.sampled_from(FEATURES), st.floats(0, 1), min_size=1),
    st.floats(0.01, 0.99),
)
def test_more_evidence_of_memory_never_lowers_the_chance(start, increase, prior):
    before = dict(zip(FEATURES, start, strict=True))
    after = {k: x + SIGNS[k] * increase.get(k, 0.0) for k, x in before.items()}
    rows = np.array(LAW["coefficients"])
    p, q = (posterior(likelihoods(rows, LAW, one(**x)), prior, 0.02)[0] for x in (before, after))
    assert q[2] >= p[2] - 1e-12 and q[0] <= p[0] + 1e-12


@given(st.floats(0.01, 0.98), st.floats(0, 1))
def test_a_higher_prior_never_lowers_the_chance(prior, x):
    found = likelihoods(np.array(LAW["coefficients"]), LAW, one(own_order=x, own_loss=x))
    low, high = (posterior(found, p, 0.02)[0, 2] for p in (prior, prior + 0.01))
    assert high >= low


def test_the_committed_laws_use_what_is_there():
    table = calibration()
    first, *_, last = table["laws"]
    whole = evidence_of(made_up(typical()), rng()).values
    assert law_for(whole, table) == first and "held-out" in first
    blind = evidence_of(without(typical(), "heldout", "train"), rng()).values
    assert law_for(blind, table) == last
    assert law_for({name: math.nan for name in whole}, table) is None
    for law in table["laws"].values():
        assert set(law["classes"]) == set(CLASSES)


# --- verdicts


def test_training_data_decide_where_there_are_some():
    for kind in ("memorizing", "generalizing"):
        first, second = verdicts(made_up(typical(kind)), rng())
        assert (first.basis, first.label) == ("training data", kind)
        assert second.basis == "held-out and own sequences"
        assert f"M = {1.0 if kind == 'memorizing' else 0.0:.2f}" in first.answer
    (only,) = verdicts(without(typical("memorizing"), "train"), rng())
    assert (only.basis, only.label) == ("held-out and own sequences", "memorizing")


def test_an_order_between_the_bounds_is_in_transition_and_few_sequences_decide_nothing():
    right = rng(3).binomial(16, 0.65, size=400)
    held = rng(4).binomial(16, 0.5, size=400)
    many = made_up(typical(train={"n": 400, "right": right}, heldout={"n": 400, "right": held}))
    found = verdicts(many, rng())[0]
    assert found.label == "in transition"
    assert found.order.low < (0.65 - 0.5) / 0.5 < found.order.high
    wild = {"n": 5, "right": [16, 0, 16, 4, 12]}
    few = made_up(typical(train=wild, heldout={"n": 5, "right": [8, 0, 16, 2, 12]}))
    assert verdicts(few, rng())[0].label == UNDECIDABLE


def test_without_anything_to_read_nothing_is_decided():
    (found,) = verdicts(without(typical(), "train", "heldout", "generated"), rng())
    assert found.label == UNDECIDABLE and found.chances is None
    assert found.settle


def test_a_training_file_that_the_network_did_not_see_is_said():
    """Its sequences are known as held-out ones are, and yet the model writes what it knows."""
    data = made_up(typical("memorizing", train={"right": 8}))
    first, second = verdicts(data, rng())
    assert (first.label, second.label) == ("not this network's data", "memorizing")
    assert first.settle


def test_held_out_text_that_is_training_text_decides_nothing():
    """All of it, and half of it: M is too small by so much, and own sequences differ less."""
    data = made_up(typical())
    ours, held = (np.flatnonzero(data["split"].values == name) for name in ("train", "heldout"))
    for n in (64, 32):
        data["tokens"].values[held[:n]] = data["tokens"].values[ours[:n]]
        for found in verdicts(data, rng()):
            assert "overlap" in found.failed and found.label == WITHHELD


def test_flat_laws_are_nothing_learnt():
    full = math.log(V)
    flat = {"entropy": (full, full), "loss": (full, full)}
    splits = typical(heldout=flat, generated=flat)
    for found in verdicts(made_up(splits), rng()):
        assert found.label == "nothing learnt" and "learning" in found.failed


def test_laws_that_are_no_numbers_are_not_finite():
    entropy = np.where(np.arange(64) < 3, np.nan, 0.4)
    for found in verdicts(made_up(typical(heldout={"entropy": (entropy, 1.2)})), rng()):
        assert found.label == "not finite"


def chain(seed):
    table = permutation_chain(V)
    order = rng(seed).permutation(V)
    return MarkovSource(table[np.ix_(order, rng(seed + 1).permutation(V))], L)


@pytest.fixture(scope="module")
def worlds():
    """Probes of the exact denoisers of a chain, with held-out text of it and of another chain."""
    source, other = chain(5), chain(50)
    stored, text, foreign = (
        source.sample(rng(1), 256),
        source.sample(rng(2), 256),
        other.sample(rng(3), 256),
    )
    half = np.concatenate([text[:128], foreign[:128]])
    config = ProbeConfig(
        levels=LEVELS, sequences=256, recover=0, generate=256, n_steps=24, nelbo_draws=1
    )
    models = {
        "memorizing": (EmpiricalDenoiser(stored[:64], V), stored[:64]),
        "generalizing": (source.population_denoiser(), stored),
    }
    found = {}
    for kind, (model, train) in models.items():
        for name, held in (("right", text), ("foreign", foreign), ("half", half)):
            found[kind, name] = measure(model, config, test=held, train=train)
        for name, beta in (("cold", 1.7), ("hot", 0.5)):
            found[kind, name] = measure(tempered(model, beta), config, test=text, train=train)
    return found


@pytest.mark.parametrize("kind", ["memorizing", "generalizing"])
def test_exact_denoisers_are_called_what_they_are(worlds, kind):
    by_data, alone = verdicts(worlds[kind, "right"], rng())
    assert (by_data.label, alone.label) == (kind, kind)
    for found in (by_data, alone):
        assert not {"domain", "other text", "temperature", "law", "precision"} & set(found.failed)
    assert features_of(worlds[kind, "right"]).random_loss > 0.97  # the bound is 1


@pytest.mark.parametrize("text", ["foreign", "half"])
def test_a_text_from_elsewhere_turns_no_verdict_around(worlds, text):
    first, second = verdicts(worlds["generalizing", text], rng())
    assert first.label == second.label == WITHHELD
    assert "domain" in first.failed and "domain" in second.failed
    first, second = verdicts(worlds["memorizing", text], rng())
    assert (first.label, first.basis) == ("memorizing", "own sequences alone")
    assert (second.label, second.basis) == (WITHHELD, "training data")


@pytest.mark.parametrize("temperature", ["cold", "hot"])
@pytest.mark.parametrize("kind", ["memorizing", "generalizing"])
def test_a_temperature_turns_no_verdict_around(worlds, kind, temperature):
    data = worlds[kind, temperature]
    beta = {"cold": 1.7, "hot": 0.5}[temperature]
    found = verdicts(data, rng())
    if (kind, temperature) == ("generalizing", "hot"):  # it writes hardly more than noise
        assert {verdict.label for verdict in found} == {kind, WITHHELD}
        return
    assert data.attrs["inverse_temperature"] * beta == pytest.approx(1, abs=0.3)
    assert [verdict.label for verdict in found] == [kind, kind]


class ReadAsLoo:
    """A denoiser whose token posterior `full` is taken for `loo`."""

    def __init__(self, inner):
        self.inner = inner
        self.vocab_size, self.seq_len = inner.vocab_size, inner.seq_len
        self.schedule = inner.schedule

    def log_loo(self, x_t, t):
        log_loo = np.asarray(self.inner.log_loo(np.asarray(x_t), t), np.float64)
        return full_from_loo(log_loo, x_t, np.asarray(self.schedule.alpha(t)))


def test_a_full_law_read_as_loo_is_not_readable():
    source = chain(5)
    config = ProbeConfig(levels=LEVELS, sequences=64, recover=0, generate=32, n_steps=12)
    data = measure(
        ReadAsLoo(source.population_denoiser()),
        config,
        test=source.sample(rng(2), 64),
        train=source.sample(rng(1), 64),
    )
    assert reads_own_token(evidence_of(data, rng()))
    for found in verdicts(data, rng()):
        assert found.label == "not readable" and "law" in found.failed
        assert any("random tokens" in caveat for caveat in found.caveats)


@given(st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=6))
def test_no_law_without_the_token_beats_log_v_on_random_tokens(weights):
    """The bound behind the check: the mean over v of -log p_v is at least log V."""
    p = np.array(weights) / sum(weights)
    assert -np.log(p).mean() >= math.log(len(p)) - 1e-9


# --- checks


def failed(data, basis=0):
    return verdicts(data, rng())[basis].failed


def test_a_clean_probe_fails_no_check():
    assert failed(made_up(typical())) == () == failed(made_up(typical()), 1)


def test_orderly_text_duplicates_overlap_and_few_sequences_are_said():
    assert "order" in failed(made_up(typical(heldout={"loss": (0.03, 0.1)})))
    tokens = rng(7).integers(V, size=(64, L))
    twice = tokens.copy()
    twice[1] = twice[0]
    for split, word in (("heldout", "held-out"), ("train", "training")):
        found = verdicts(made_up(typical(**{split: {"tokens": twice}})), rng())[0]
        assert f"Repeats: 1 of the 64 {word} sequences" in " ".join(found.caveats)
    shared = tokens.copy()
    shared[9:] = rng(8).integers(V, size=(55, L))
    data = made_up(typical(heldout={"tokens": shared}, train={"tokens": tokens}))
    assert "9 of the 64 measured are." in " ".join(verdicts(data, rng())[0].caveats)
    by_chance = data.assign_attrs(train_repeats=0.1)  # as training sequences are of one another
    assert "overlap" not in verdicts(by_chance, rng())[0].failed
    rows = np.arange(data.sizes["sequence"])
    distance = np.where((rows >= 70) & (rows < 80), 0, 3)  # of the held-out
    measured = data.assign(nearest_distance=("sequence", distance.astype(np.int32)))
    assert "10 of the 64 measured are." in " ".join(verdicts(measured, rng())[0].caveats)
    assert "size" in failed(made_up(typical(generated={"n": 9})))


def test_a_model_that_writes_other_things_besides_is_said():
    def tokens(seed, first, n):
        return first + rng(seed).integers(4, size=(n, L))

    text, mixed = tokens(1, 0, 400), np.concatenate([tokens(2, 0, 240), tokens(3, 4, 160)])
    made = {"n": 400, "tokens": mixed}
    splits = typical(heldout={"n": 400, "tokens": text}, generated=made)
    found = verdicts(without(splits, "train"), rng())[0]
    assert "other text" in found.failed and "domain" not in found.failed


def test_laws_that_are_not_learnt_near_zero_are_said():
    own = typical(generated={"loss": (2.0, 1.2)})
    assert "precision" in failed(made_up(own), 1)


def test_a_training_file_of_another_kind_decides_nothing():
    """A part of it that is easier than the held-out text looks like one known by heart."""

    def tokens(seed, first, n):
        return first + rng(seed).integers(4, size=(n, L))

    text, mixed = tokens(1, 0, 400), np.concatenate([tokens(2, 0, 200), tokens(3, 4, 200)])
    train = {"n": 400, "tokens": mixed, "right": np.repeat([8, 16], 200)}
    splits = typical(train=train, heldout={"n": 400, "tokens": text})
    first = verdicts(made_up(splits), rng())[0]
    assert first.label == WITHHELD and "other text" in first.failed


@pytest.mark.parametrize(("loss", "result"), [(1.8, "passed"), (0.4, "failed")])
def test_a_memory_that_held_out_text_does_not_surprise_is_said(loss, result):
    splits = typical("memorizing", heldout={"loss": (loss, 1.2), "entropy": (0.4, 1.2)})
    checks = {check.name: check.result for check in verdicts(made_up(splits), rng())[0].checks}
    assert checks["surprise"] == result


@pytest.mark.parametrize(("ratio", "result"), [(1.0, "passed"), (0.7, "failed")])
def test_a_model_that_writes_simpler_texts_is_said(ratio, result):
    data = made_up(typical())
    loss = np.where(data["split"].values == "generated", ratio, 1.0)
    told = data.assign(tempered_loss=(("sequence", "beta"), loss[:, None])).assign_coords(
        beta=[1.0]
    )
    checks = {check.name: check.result for check in verdicts(told, rng())[1].checks}
    assert checks["hardness"] == result

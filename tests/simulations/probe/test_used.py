"""Was this set used? False alarms by the level, power, the share, repeats."""

import itertools

import numpy as np
import pytest

from models.exact.empirical import EmpiricalDenoiser
from simulations.probe.audit.audit import audit
from simulations.probe.audit.reference import compare
from simulations.probe.audit.units import units
from simulations.probe.audit.used import (
    LEAST,
    chosen_on_half,
    exchange_p_value,
    repeats_words,
    used,
)
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.share import share_above
from simulations.probe.measure.dataset import Split
from simulations.probe.measure.measures import measure
from tests.simulations.probe.test_reference import pair

SETS = 200
EXCHANGES = 199  # so that p = 0.05 can be hit
AT_MOST = 0.05 + 3 * np.sqrt(0.05 * 0.95 / SETS)


def flags(n, m):
    return np.arange(n + m) < n


def test_the_p_value_is_that_of_all_exchanges():
    rng, is_candidate = np.random.default_rng(3), flags(8, 9)
    scores = np.round(rng.normal(size=17) + 0.4 * is_candidate, 1)  # with ties
    observed = scores[is_candidate].sum()
    sums = [scores[list(some)].sum() for some in itertools.combinations(range(17), 8)]
    exact = np.mean(np.array(sums) >= observed - 1e-9)
    error = np.sqrt(exact * (1 - exact) / 20_000)
    assert 0.02 < exact < 0.6
    for values, side in ((scores, is_candidate), (scores[::-1], is_candidate[::-1])):
        found = exchange_p_value(values, side, rng, 20_000)
        assert abs(found - exact) < 5 * error + 1e-4
    # one-sided: the other way round it is the complement, ties in both
    assert exchange_p_value(-scores, is_candidate, rng) > 1 - exact - 0.02


@pytest.mark.parametrize(("n", "m"), [(30, 30), (80, 20), (20, 80)])
@pytest.mark.parametrize("law", ["normal", "heavy", "ties"])
def test_false_alarms_are_as_rare_as_the_level_says(n, m, law):
    alarms = []
    for k in range(SETS):
        rng = np.random.default_rng([k, n])
        draw = {"normal": rng.normal, "heavy": rng.standard_cauchy}.get(law)
        scores = rng.poisson(1.0, n + m) if draw is None else draw(size=n + m)
        alarms.append(exchange_p_value(scores, flags(n, m), rng, EXCHANGES) <= 0.05)
    assert np.mean(alarms) <= AT_MOST


@pytest.mark.parametrize(("n", "m"), [(120, 40), (40, 120)])
def test_repeats_raise_no_alarm(n, m):
    """A source that repeats itself, and scores that rise with how often a sequence occurs: sides of
    unequal size hold unequal shares of what is repeated."""
    alarms = []
    for k in range(SETS):
        rng = np.random.default_rng([k, m])
        weights = np.exp(-np.arange(512) / 40.0)
        drawn = rng.choice(512, n + m, p=weights / weights.sum())
        tokens = np.stack([drawn // 64, drawn // 8 % 8, drawn % 8], axis=1).astype(np.uint8)
        found = units(tokens, flags(n, m), 8, rng)
        scores = -drawn[found.rows] / 40 + rng.normal(size=len(found.rows))
        few = min(found.is_candidate.sum(), (~found.is_candidate).sum())
        assert few >= LEAST and found.left_out > 30 and found.on_both_sides
        alarms.append(exchange_p_value(scores, found.is_candidate, rng, EXCHANGES) <= 0.05)
    assert np.mean(alarms) <= AT_MOST


def test_a_hundred_copies_are_one_witness():
    """Copies that were taken for witnesses would raise an alarm nearly always."""
    alarms, naive = [], []
    for k in range(SETS):
        rng = np.random.default_rng(k)
        distinct = np.unique(rng.integers(9, size=(24, 4)), axis=0).astype(np.uint8)
        mine = rng.permutation(len(distinct)) < 12
        tokens = np.repeat(distinct, 100, axis=0)
        is_candidate = np.repeat(mine, 100)
        scores = tokens.sum(1).astype(float)
        found = units(tokens, is_candidate, 9, rng)
        assert found.left_out == 99 * len(mine) and not found.on_both_sides
        few = scores[found.rows], found.is_candidate
        alarms.append(exchange_p_value(*few, rng, EXCHANGES) <= 0.05)
        naive.append(exchange_p_value(scores, is_candidate, rng, EXCHANGES) <= 0.05)
    assert np.mean(alarms) <= AT_MOST < 0.2 < np.mean(naive)


def test_copies_on_both_sides_and_near_ones_are_told():
    tokens = np.zeros((6, 16), np.uint8)
    tokens[1, 0] = 1  # near the first
    tokens[2] = 2
    tokens[3] = 3
    tokens[4] = 2  # held out, and a candidate too
    tokens[5] = 5
    is_candidate = np.array([True, True, True, True, False, False])
    found = units(tokens, is_candidate, 8, np.random.default_rng(0))
    assert (found.left_out, found.on_both_sides, found.near) == (1, 1, 2)
    assert sorted(tokens[found.rows, 1].tolist()) == [0, 0, 2, 3, 5]
    assert len(repeats_words(found)) == 3
    counts = [
        units(tokens, is_candidate, 8, np.random.default_rng(k)).is_candidate.sum()
        for k in range(40)
    ]
    assert set(counts) == {3, 4}  # the side of either copy


def test_a_choice_on_one_half_is_judged_on_the_other():
    """Among many scores of noise the best of one half says nothing of the other half."""
    alarms = []
    for k in range(SETS):
        rng = np.random.default_rng(k)
        side = flags(40, 40)
        scores = {f"score {i}": rng.normal(size=80) for i in range(20)}
        name, rest = chosen_on_half(scores, side, rng)
        assert rest.sum() == 40 and (rest & side).sum() == 20
        alarms.append(exchange_p_value(scores[name][rest], side[rest], rng, EXCHANGES) <= 0.05)
    assert np.mean(alarms) <= AT_MOST
    scores["told"] = side + 0.1 * rng.normal(size=80)
    scores["undefined"] = np.full(80, np.nan)
    assert chosen_on_half(scores, side, rng)[0] == "told"


def test_false_alarms_and_power_in_the_solvable_case():
    """Sets of sequences of which a mixture stored none, half and all."""
    size, t, sides = 40, 0.6, flags(40, 40)
    config = ProbeConfig((t,))
    p: dict[float, list[float]] = {0.0: [], 0.5: [], 1.0: []}
    shares = []
    for seed in range(SETS):
        rng = np.random.default_rng([1, seed])
        works, (stored, others) = pair(seed, size, 10, 4, 0.3, config)
        fresh = rng.integers(4, size=(size, 10)).astype(np.uint8)
        both = np.concatenate([stored.tokens, others.tokens, fresh])
        gap = compare(*works, t, Split("train", both, np.arange(3 * size) + 1000 * seed))["gap"]
        scores = np.nan_to_num(gap.values[:, 0]).reshape(3, size)  # no masked site: no sign
        for share, found in p.items():
            n = int(share * size)
            values = np.concatenate([scores[0, :n], scores[1, n:], scores[2]])
            found.append(exchange_p_value(values, sides, rng, EXCHANGES))
            if share == 0.5 and seed < 60:
                shares.append(share_above(values[sides], values[~sides], rng, 100))
    assert np.mean(np.array(p[0.0]) <= 0.05) <= AT_MOST
    assert np.mean(np.array(p[0.5]) <= 0.05) > 0.99 and np.max(p[1.0]) <= 0.05
    assert 0.4 < np.mean([share.value for share in shares]) < 0.5
    covered = [share.low <= 0.5 <= share.high for share in shares]
    assert np.mean(covered) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(shares))


def tokens(n, seed):
    return np.random.default_rng(seed).integers(6, size=(n, 10)).astype(np.uint8)


@pytest.fixture(scope="module")
def half_used():
    """An audit of 40 sequences that a memorizer holds and 40 of the same source that it does not,
    without a reference."""
    given, test = tokens(80, 0), tokens(80, 1)
    config = ProbeConfig((0.25,), sequences=80, recover=0, generate=0)
    return measure(EmpiricalDenoiser(given[:40], 6), config, test, given)


def test_a_half_used_set_is_told_without_a_reference(half_used):
    found = audit(half_used, np.random.default_rng(0), 200)
    fixed, chosen = found.answers
    assert fixed.score == "-log loss, loo, t = 1e-5" and fixed.n_candidates == 80
    assert fixed.p_value < 0.001 and fixed.share.low <= 0.5 <= fixed.share.high
    assert abs(fixed.share.value - 0.5) < 0.1
    assert chosen.n_candidates == 40 and chosen.p_value < 0.001
    assert not found.graded and not found.reductions and not found.notes


def test_without_both_sides_there_is_no_answer(half_used):
    alone = half_used.isel(sequence=np.flatnonzero(half_used["split"].values != "heldout"))
    assert audit(alone, np.random.default_rng(0)) is None


def test_few_sequences_have_no_p_value():
    few = used("s", np.arange(20.0), flags(LEAST - 1, 20 - LEAST + 1), np.random.default_rng(0))
    assert np.isnan(few.p_value) and not few.share.known

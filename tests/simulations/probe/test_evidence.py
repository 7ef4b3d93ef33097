"""What a verdict is made from without a right text: bigrams, states, domain, temperature."""

import math
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.exact.empirical import EmpiricalDenoiser
from models.sources import IidSource, MarkovSource
from models.sources.permutations import permutation_chain
from models.tempered import tempered
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.bigrams import BACKOFF, Bigrams
from simulations.probe.judge.domain import domain
from simulations.probe.judge.states import distances, is_near, states
from simulations.probe.measure.cells import Work
from simulations.probe.measure.dataset import BETAS, Split
from simulations.probe.measure.law import Reader, Tempered
from simulations.probe.measure.temperature import inverse_temperature, least, losses, search

V, L = 8, 16


def rng(seed=0):
    return np.random.default_rng(seed)


def source(seed, vocab_size=V, seq_len=L):
    table = permutation_chain(vocab_size)
    draw = rng(seed)
    return MarkovSource(
        table[np.ix_(draw.permutation(vocab_size), draw.permutation(vocab_size))], seq_len
    )


# --- bigrams

TOKENS = arrays.arrays(
    np.int64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 3)
)


@given(TOKENS, TOKENS)
def test_bigrams_are_what_is_counted_by_hand(counted, asked):
    law = Bigrams.of(counted, 4)
    single = Counter(counted.ravel().tolist())
    pairs = Counter(pair for row in counted.tolist() for pair in pairwise(row))
    before = Counter(counted[:, :-1].ravel().tolist())
    p = {b: (single[b] + 1) / (counted.size + 4) for b in range(4)}

    def log_probability(row):
        found = math.log(p[row[0]])
        for a, b in pairwise(row):
            found += math.log((pairs[a, b] + BACKOFF * p[b]) / (before[a] + BACKOFF))
        return found

    expected = [log_probability(row) for row in asked.tolist()]
    np.testing.assert_allclose(law.log_probability(asked), expected, rtol=1e-12)


@given(TOKENS)
def test_bigrams_sum_to_one(counted):
    law = Bigrams.of(counted, 4)
    every = np.array(list(product(range(4), repeat=3)))
    assert np.exp(law.log_probability(every)).sum() == pytest.approx(1)


def test_what_is_drawn_follows_the_bigrams():
    law = Bigrams.of(source(1).sample(rng(1), 50), V)
    drawn = law.sample(rng(2), 20_000, 3)
    _, after = drawn[:, 0], drawn[:, 1:]
    table = np.zeros((V, V))
    np.add.at(table, (after[:, 0], after[:, 1]), 1)
    rows = np.repeat(np.arange(V), V), np.tile(np.arange(V), V)
    pairs = law.log_probability(np.stack(rows, 1)) - np.log(law.single[rows[0]])
    expected = np.exp(pairs).reshape(V, V) * table.sum(1, keepdims=True)
    z = (table - expected) / np.sqrt(np.maximum(expected, 1))
    assert np.abs(z).max() < 5


# --- states


def test_distances_are_counted_by_hand():
    tokens = rng(1).integers(2, size=(30, 7))
    expected = [[(a != b).sum() for b in tokens] for a in tokens]
    np.testing.assert_array_equal(distances(tokens), expected)
    assert is_near(distances(np.zeros((2, 4))), 0).all()
    assert not is_near(distances(np.eye(4)), 1).any()


def test_a_store_is_counted_from_its_repeats():
    """Birthdays: K stored sequences, drawn evenly, are found again by how often two are equal."""
    stored = source(1).sample(rng(1), 100)
    hits = 0
    for seed in range(20):
        found = states(stored[rng(seed).integers(100, size=200)], V, rng(seed + 100))
        assert found.near.low > 0.6 and found.within <= L // 4
        hits += found.number.low <= 100 <= found.number.high
    assert hits >= 17


def test_sequences_of_a_law_do_not_repeat_more_than_their_bigrams():
    """Of 100 sets of a chain, and of an orderly one that often repeats itself, with the text."""
    table = np.full((V, V), 0.02 / V)
    table[np.arange(V), np.roll(np.arange(V), 1)] += 0.98
    for law in (source(3), MarkovSource(table, L)):
        alarms = 0
        for seed in range(50):
            own, text = law.sample(rng(seed), 128), law.sample(rng(seed + 1000), 128)
            alarms += states(own, V, rng(seed), text, 200).near.low > 0.05
        assert alarms <= 4


def test_copies_with_a_few_other_tokens_are_one_state():
    stored = rng(1).integers(V, size=(10, 32))
    own = stored[rng(2).integers(10, size=100)]
    changed = rng(3).random(own.shape) < 0.05
    own = np.where(changed, rng(4).integers(V, size=own.shape), own)
    found = states(own, V, rng(5))
    assert found.group.max() + 1 == 10 and found.near.low > 0.6
    assert found.number.low <= 10 <= found.number.high


def test_no_repeats_bound_the_number_from_below():
    found = states(rng(1).integers(64, size=(100, 32)), 64, rng(2))
    assert found.near.value == 0 and math.isinf(found.number.value)
    assert found.number.low == pytest.approx(100 * 99 / 2 / 3)


# --- domain


def compared(text, own, seed=0):
    _, group = np.unique(own, axis=0, return_inverse=True)
    return domain(text, own, group.ravel(), V, rng(seed), 100)


def test_a_text_of_the_source_is_seldom_called_foreign():
    """Of a model that writes the source, and of one that writes 40 of its sequences alone."""
    law, alarms = source(1), {"law": 0, "memory": 0}
    for seed in range(50):
        text, own = law.sample(rng(seed), 128), law.sample(rng(seed + 1000), 128)
        few = own[rng(seed).integers(40, size=128)]
        for name, written in (("law", own), ("memory", few)):
            alarms[name] += compared(text, written, seed).result == "failed"
    assert alarms["law"] <= 1 and alarms["memory"] <= 3


@pytest.mark.parametrize("part", [0.5, 1.0])
def test_the_foreign_share_is_found(part):
    law, other, covered, found_out = source(1), source(9), 0, 0
    for seed in range(20):
        n = round(200 * part)
        text = np.concatenate([other.sample(rng(seed), n), law.sample(rng(seed + 50), 200 - n)])
        found = compared(text, law.sample(rng(seed + 100), 200), seed)
        found_out += found.result == "failed"
        covered += found.foreign.low <= part and found.foreign.high >= part - 0.1
    assert (
        found_out >= 18 and covered >= 18
    )  # a little less than the share is found, by what the two have in common


def test_what_a_model_writes_besides_is_strange_and_not_foreign():
    law, other = source(1), source(9)
    own = np.concatenate([law.sample(rng(1), 210), other.sample(rng(2), 90)])
    found = compared(law.sample(rng(3), 300), own)
    assert found.result == "passed" and found.strange.low > 0.1
    assert found.strange.value == pytest.approx(0.3, abs=0.08)


def test_few_sequences_are_not_compared():
    law = source(1)
    found = compared(law.sample(rng(1), 8), law.sample(rng(2), 100))
    assert math.isnan(found.foreign.value) and found.result == "not tested"


# --- temperature


@given(st.floats(0.3, 3.0), st.floats(0.1, 4.0))
def test_the_lowest_point_of_a_parabola_is_found(beta, bend):
    x = np.log(BETAS)
    assert float(least(bend * (x - math.log(beta)) ** 2)) == pytest.approx(beta, rel=1e-3)


def test_the_end_of_the_grid_is_told_where_losses_fall_towards_it():
    assert float(least(np.arange(len(BETAS), 0.0, -1))) == pytest.approx(BETAS[-1], rel=0.3)


@given(arrays.arrays(np.float64, (3, 5), elements=st.floats(-6, 0)), st.integers(0, 4))
def test_losses_at_inverse_temperatures_are_those_of_the_powers(law, token):
    law = law - np.log(np.exp(law).sum(-1, keepdims=True))
    x_0 = np.full(3, token)
    found = Tempered(BETAS)(law, x_0)
    for k, beta in enumerate(BETAS):
        powers = np.exp(beta * law)
        powers /= powers.sum(-1, keepdims=True)
        expected = np.minimum(-np.log(powers[:, token]), 20)
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-9, atol=1e-14)


def work_of(denoiser):
    config = ProbeConfig(sequences=64, recover=0, generate=64, n_steps=32)
    return Work(Reader(denoiser, L, lambda: None), config)


def own_of(work, n=64):
    from models.sampler import generate

    tokens = generate(work.reader.denoiser, rng(1), n, L, 32)
    return Split("generated", tokens, np.arange(n))


@pytest.mark.parametrize("beta", [1.0, 1.6])
@pytest.mark.parametrize("kind", ["memory", "law"])
def test_the_temperature_of_an_exact_denoiser_is_found(kind, beta):
    law = source(5)
    model = EmpiricalDenoiser(law.sample(rng(2), 40), V)
    exact = law.population_denoiser() if kind == "law" else model
    work = work_of(tempered(exact, beta) if beta != 1 else exact)
    found = search(work, own_of(work))
    assert found.attrs["settled"] == 1
    assert found.attrs["beta"] * beta == pytest.approx(1, abs=0.25)
    assert found.attrs["beta"] == 1 or beta != 1


def test_of_independent_tokens_no_temperature_can_be_found():
    """A tempered law of independent tokens is the law of what it writes."""
    p = np.array([0.5, 0.2, 0.1, 0.08, 0.05, 0.04, 0.02, 0.01])
    work = work_of(tempered(IidSource(V, L, p).population_denoiser(), 1.6))
    loss = losses(work, own_of(work))["tempered_loss"].values.astype(float)
    found, low, high = inverse_temperature(loss, own_of(work).tokens, rng(3))
    assert low < 1 < high and found == pytest.approx(1, abs=0.15)

"""Extraction against printed tables, enumeration of paths and stores, simulation and limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory._chains import joined, starts_given, stationary_law, walked
from am_theory.extraction import (
    draws_needed,
    entropy_rate,
    extraction_normal,
    extraction_probability,
    extraction_probability_stored,
    extraction_probability_uniform,
    varentropy_rate,
)
from tests.helpers import assert_close, assert_digits, within_standard_errors
from tests.oracles import CHAIN, CHAIN_START, all_sequences, markov_law
from tests.registry import CYCLE
from tests.strategies import probability_rows

# --- printed tables

# suffix, draws; exact sampler, its Monte Carlo value; one parallel step, its Monte Carlo value
SOURCE = """
2 1   .22017857 .213 .18216429 .181
2 10  .77659434 .772 .75219772 .745
4 10  .32098245 .317 .19494018 .193
6 10  .09918483 .099 .02608320 .026
6 100 .43147336 .435 .21533824 .215
"""


@pytest.mark.parametrize("line", SOURCE.strip().split("\n"))
def test_source_table(line):
    suffix, draws, serial, simulated, blind, simulated_blind = line.split()
    problem = int(draws), CHAIN, 1, int(suffix)
    found = extraction_probability(*problem)
    assert_digits(found, serial)
    assert abs(found - float(simulated)) < 4 * 0.008  # the largest error that is printed
    found = extraction_probability(*problem, sampler="one_step")
    assert_digits(found, blind)
    assert abs(found - float(simulated_blind)) < 4 * 0.008


# prefix, K, draws, exact, Monte Carlo value and error
STORED = """
1 20  1  .19394429 .1926 .0027
1 20  5  .61234817 .6133 .0044
1 200 10 .40495226 .4028 .0064
2 20  1  .42860871 - -
2 200 10 .66016649 .6642 .0064
3 20  5  .94647053 - -
3 200 10 .87745052 .8765 .0043
"""


@pytest.mark.parametrize("line", STORED.strip().split("\n"))
def test_store_table(line):
    prefix, size, draws, exact, simulated, error = line.split()
    found = extraction_probability_stored(
        int(draws), int(size), CHAIN, int(prefix), 5 - int(prefix)
    )
    assert_digits(found, exact)
    if error != "-":
        assert abs(found - float(simulated)) < 4 * float(error)


def test_uniform_store():
    assert_digits(extraction_probability_uniform(10, 200, 2, 4), ".55368245")
    assert_digits(extraction_probability_uniform(10, 200, 4, 4), ".99428112")


def test_rates_and_draws():
    assert_digits(entropy_rate(CHAIN), ".9041217479")
    assert_digits(varentropy_rate(CHAIN), ".3766145024")
    assert abs(varentropy_rate(CHAIN) - 0.3757) < 4 * 0.001
    assert_digits(draws_needed(1e-3, 0.5), "692.80")


@pytest.mark.parametrize(
    "draws, normal, simulated", [(1e10, ".1639", 0.1610), (1e12, ".6185", 0.6172)]
)
def test_long_suffix(draws, normal, simulated):
    """The sum over paths holds here too: 30 steps have few different probabilities."""
    assert_digits(extraction_normal(draws, CHAIN, 30), normal)
    exact = extraction_probability(draws, CHAIN, 1, 30)
    assert abs(exact - simulated) < 0.001
    assert abs(exact - float(normal)) < 0.004


def test_normal_law_is_poor_in_the_tail():
    assert_digits(extraction_normal(1e6, CHAIN, 30), "2.0e-4")
    # 5.2e-4 is printed from simulation; 2 million paths drawn gave 5.02(8)e-4
    assert_digits(extraction_probability(1e6, CHAIN, 1, 30), "4.92e-4")


# --- enumeration


@pytest.mark.parametrize("chain", [CHAIN, CYCLE], ids=["chain", "forbidden transitions"])
@pytest.mark.parametrize("prefix, suffix", [(1, 1), (1, 3), (2, 2), (3, 1)])
def test_source_against_enumeration(chain, prefix, suffix):
    size = len(chain)
    first = np.eye(size)[1] * 0.75 + np.eye(size)[0] * 0.25
    seqs, law = all_sequences(size, prefix + suffix), markov_law(first, chain, prefix + suffix)
    powers = [np.linalg.matrix_power(chain, j) for j in range(suffix + 1)]
    last = seqs[:, prefix - 1]
    serial, blind = np.ones(len(seqs)), np.ones(len(seqs))
    for j in range(1, suffix + 1):
        serial *= chain[seqs[:, prefix + j - 2], seqs[:, prefix + j - 1]]
        blind *= powers[j][last, seqs[:, prefix + j - 1]]
    draws = np.array([1, 3, 50.0])
    for sampler, chance in (("serial", serial), ("one_step", blind)):
        expected = [law @ (1 - (1 - chance) ** n) for n in draws]
        found = extraction_probability(draws, chain, prefix, suffix, initial=first, sampler=sampler)
        assert_close(found, np.array(expected))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("weight", [1.0, 0.4])
@pytest.mark.parametrize("prefix", [1, 2])
def test_store_against_enumeration(size, weight, prefix):
    """Every set of stored sequences of three tokens of two letters, with its probability."""
    chain, first, draws = np.array([[0.8, 0.2], [0.45, 0.55]]), np.array([0.3, 0.7]), 3
    seqs, law = all_sequences(2, 3), markov_law(first, chain, 3)
    shared = (seqs[:, None, :prefix] == seqs[None, :, :prefix]).all(axis=-1)
    expected = 0.0
    for stored in itertools.product(range(len(seqs)), repeat=size):
        x, others = stored[0], np.array(stored)
        top = weight * np.mean(others == x) + (1 - weight) * law[x]
        below = weight * np.mean(shared[x, others]) + (1 - weight) * law[shared[x]].sum()
        expected += law[others].prod() * (1 - (1 - top / below) ** draws)
    found = extraction_probability_stored(
        draws, size, chain, prefix, 3 - prefix, initial=first, weight=weight
    )
    assert_close(found, expected)


# --- simulation


def test_draws_one_by_one():
    """Suffixes drawn from the chain until one is right, or ten are wrong."""
    rng = np.random.default_rng(5)
    cumulative = CHAIN.cumsum(axis=1)

    def walk(first, steps):
        path = [first]
        for _ in range(steps):
            path.append((rng.random(first.shape)[..., None] > cumulative[path[-1]]).sum(axis=-1))
        return np.stack(path[1:], axis=-1)

    first = rng.choice(3, 4000, p=CHAIN_START)
    truth = walk(first, 4)
    tries = walk(np.tile(first[:, None], (1, 10)), 4)
    hit = (tries == truth[:, None]).all(axis=-1).any(axis=1)
    within_standard_errors(hit, extraction_probability(10, CHAIN, 1, 4), 4)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_drawn_stores(weight):
    rng, size, prefix, draws = np.random.default_rng(6), 60, 2, 7
    law, seqs = markov_law(CHAIN_START, CHAIN, 5), all_sequences(3, 5)
    stored = rng.choice(len(seqs), (4000, size), p=law)
    group = np.arange(len(seqs)) // 3**3
    copies = (stored == stored[:, :1]).sum(axis=1)
    same = (group[stored] == group[stored[:, :1]]).sum(axis=1)
    prior = np.bincount(group, law)
    x = stored[:, 0]
    top = weight * copies / size + (1 - weight) * law[x]
    chance = top / (weight * same / size + (1 - weight) * prior[group[x]])
    expected = extraction_probability_stored(draws, size, CHAIN, prefix, 3, weight=weight)
    within_standard_errors(1 - (1 - chance) ** draws, expected, 4)


# --- second methods and limits


def test_rates_are_those_of_long_stretches():
    """Mean and variance of log p of 24 and of 34 tokens, over all paths."""
    moments = []
    for steps in (24, 34):
        log_p, weight = joined(walked(starts_given(CHAIN_START), CHAIN, [CHAIN] * steps))
        mean = weight @ log_p
        moments.append((mean, weight @ (log_p - mean) ** 2))
    (mean, spread), (more, wider) = moments
    assert_close(entropy_rate(CHAIN), (mean - more) / 10, rtol=1e-9)
    assert_close(varentropy_rate(CHAIN), (wider - spread) / 10, rtol=1e-6)


def test_rates_of_a_cycle_and_of_coins():
    assert entropy_rate([[0, 1], [1, 0]]) == 0 == varentropy_rate([[0, 1], [1, 0]])
    p = np.array([0.2, 0.3, 0.5])
    rows = np.tile(p, (3, 1))
    assert_close(entropy_rate(rows), -p @ np.log(p))
    assert_close(varentropy_rate(rows), p @ np.log(p) ** 2 - (p @ np.log(p)) ** 2)
    assert_close(stationary_law(CHAIN), CHAIN_START)


def test_one_draw_in_closed_form():
    """Without n: a query's own copies, and the chance that another sequence is the same."""
    shown = CHAIN_START
    for size in (1, 20, 3000):
        alone = (1 - (1 - shown) ** size) / (size * shown)
        again = [np.sum(CHAIN[a][:, None] ** 2 * CHAIN**2) for a in range(3)]
        expected = shown @ (alone + (1 - alone) * again)
        assert_close(extraction_probability_stored(1, size, CHAIN, 1, 2), expected, rtol=1e-9)
        q = 4.0**-3
        alone = (1 - (1 - q) ** size) / (size * q)
        assert_close(extraction_probability_uniform(1, size, 3, 4), alone, rtol=1e-9)


@pytest.mark.parametrize("size, weight", [(1, 1.0), (30, 1.0), (500, 0.6), (20_000, 1.0)])
def test_uniform_store_is_that_of_a_uniform_chain(size, weight):
    rows = np.full((3, 3), 1 / 3)
    for suffix in (1, 3):
        problem = {"suffix_len": suffix, "weight": weight}
        expected = extraction_probability_stored([1, 20], size, rows, 2, **problem)
        found = extraction_probability_uniform([1, 20], size, 2, 3, **problem)
        assert_close(found, expected, rtol=1e-9)


def test_a_store_of_no_weight_or_of_all_sequences_is_its_source():
    source = extraction_probability(10, CHAIN, 1, 2)
    light = extraction_probability_stored(10, 50, CHAIN, 1, 2, weight=1e-13)
    assert_close(light, source, rtol=1e-9)
    gaps = [
        extraction_probability_stored(10, size, CHAIN, 1, 2) - source for size in (10**3, 10**5)
    ]
    assert gaps[0] > 0 and 50 < gaps[0] / gaps[1] < 200


def test_no_sequence_is_stored_twice():
    """The limit of long suffixes, and sizes far beyond a sum over counts."""
    long = extraction_probability_uniform(10, 200, 2, 4, suffix_len=40)
    assert_close(long, extraction_probability_uniform(10, 200, 2, 4), rtol=1e-12)
    many = extraction_probability_uniform([1e6, 1e9], 10**12, 4, 4)
    assert_close(many, -np.expm1(-np.array([1e6, 1e9]) / (1e12 / 256)), rtol=1e-5)


# --- properties


@st.composite
def chains(draw):
    size = draw(st.integers(2, 3))
    return draw(probability_rows(size, size)), draw(probability_rows(1, size))[0]


@given(chains(), st.integers(1, 3), st.integers(1, 3))
def test_extraction_rises_with_draws_from_the_mean_chance(chain, prefix, suffix):
    rows, first = chain
    for sampler in ("serial", "one_step"):
        found = extraction_probability(
            [1, 2, 30, 1e6], rows, prefix, suffix, initial=first, sampler=sampler
        )
        assert np.all(np.diff(found) >= -1e-12) and np.all((found >= 0) & (found <= 1))
    last = first @ np.linalg.matrix_power(rows, prefix - 1)
    square = last @ np.linalg.matrix_power(rows**2, suffix).sum(axis=1)
    assert_close(extraction_probability(1, rows, prefix, suffix, initial=first), square, rtol=1e-9)


@given(
    chains(), st.integers(1, 8), st.integers(1, 2), st.integers(1, 3), st.sampled_from([0.2, 1.0])
)
def test_a_store_gives_away_more_at_one_draw(chain, size, prefix, suffix, weight):
    rows, first = chain
    found = extraction_probability_stored(
        [1, 2, 30], size, rows, prefix, suffix, initial=first, weight=weight
    )
    source = extraction_probability([1, 2, 30], rows, prefix, suffix, initial=first)
    assert np.all(np.diff(found) >= -1e-12) and np.all(found <= 1)
    assert found[0] >= source[0] - 1e-9
    if size == 1 and weight == 1:
        assert_close(found, np.ones(3))


@given(st.floats(1e-9, 1), st.floats(0, 1 - 1e-9))
def test_draws_needed_are_enough(once, wanted):
    draws = draws_needed(once, wanted)
    assert draws >= 0
    if once < 1:
        assert_close(-np.expm1(draws * np.log1p(-once)), wanted, rtol=1e-9)


def test_shapes_and_types():
    assert type(extraction_probability(3, CHAIN, 1, 2)) is float
    assert extraction_probability([[1, 2]], CHAIN, 1, 2).shape == (1, 2)
    assert extraction_probability_stored([1, 2], [[4], [8], [9]], CHAIN, 1, 1).shape == (3, 2)
    assert extraction_probability_uniform([1, 2], [[4], [8], [9]], 1, 4).shape == (3, 2)
    assert extraction_normal([1, 1e9], CHAIN, [[20], [40], [50]]).shape == (3, 2)
    assert draws_needed([0.1, 1.0], 0.5).tolist() == [pytest.approx(6.578813479), 0.0]
    assert type(extraction_probability_uniform(5, 7, 0, 4)) is float


PARTS = [[1.0, 0.0], [0.0, 1.0]]
WIDE = np.random.default_rng(1).dirichlet(np.ones(12), 12)

BAD = [
    (lambda: draws_needed(0, 0.5), "`draw_probability` must lie in (0, 1]; got 0"),
    (lambda: draws_needed(0.5, 1), "`probability` must lie in [0, 1); got 1"),
    (lambda: draws_needed([0.5, 0.1], [0.1, 0.2, 0.3]), "must broadcast"),
    (lambda: extraction_probability(0, CHAIN, 1, 2), "`draws` must lie in [1, inf); got 0"),
    (lambda: extraction_probability(1, CHAIN, 0, 2), "`prefix_len` must be a whole number of at l"),
    (lambda: extraction_probability(1, CHAIN, 1, 2.5), "`suffix_len` must be a whole number"),
    (lambda: extraction_probability(1, CHAIN[:2], 1, 2), "`transition` must have shape (V, V)"),
    (lambda: extraction_probability(1, CHAIN * 2, 1, 2), "must add up to 1; got 2"),
    (lambda: extraction_probability(1, -CHAIN, 1, 2), "must lie in [0, inf); got -0.7"),
    (lambda: extraction_probability(1, PARTS, 1, 2), "a single stationary law"),
    (lambda: extraction_probability(1, CHAIN, 1, 2, initial=[1, 0]), "must have shape (3,)"),
    (lambda: extraction_probability(1, CHAIN, 1, 2, initial=[1, 1, 0]), "must add up to 1; got 2"),
    (lambda: extraction_probability(1, CHAIN, 1, 2, sampler="two"), "`sampler` must be one of se"),
    (lambda: extraction_probability(1, WIDE, 1, 7), "at most 2000000 different probabilities; got"),
    (lambda: extraction_probability_stored(1, 2.5, CHAIN, 1, 2), "must hold whole numbers"),
    (lambda: extraction_probability_stored(1, 0, CHAIN, 1, 2), "`train_size` must lie in [1, inf)"),
    (lambda: extraction_probability_stored(1, 9, WIDE, 2, 3), "at most 20000 pairs"),
    (
        lambda: extraction_probability_stored(1, 9, CHAIN, 1, 1, weight=0),
        "must lie in (0, 1]; got 0",
    ),
    (lambda: extraction_probability_uniform(1, 9, -1, 4), "`prefix_len` must be a whole number"),
    (lambda: extraction_probability_uniform(1, 9, 1, 1), "`vocab_size` must be a whole number"),
    (lambda: extraction_normal(1, CHAIN, 0), "`suffix_len` must lie in [1, inf); got 0"),
    (lambda: entropy_rate(PARTS), "a single stationary law"),
    (lambda: varentropy_rate([0.5, 0.5]), "`transition` must have shape (V, V)"),
]


@pytest.mark.parametrize("call, fragment", BAD)
def test_bad_input(call, fragment):
    with pytest.raises(ValueError) as caught:
        call()
    assert fragment in str(caught.value)

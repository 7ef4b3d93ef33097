"""Log-odds around cycles: 0 for laws of an energy, counted where defined, refused in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from models.errors import TokenRangeError
from models.exact.empirical import EmpiricalDenoiser
from models.memories import pseudolikelihood
from models.sources import IidSource
from models.sources.markov import MarkovSource
from simulations.measure.bootstrap import bootstrap_ratio
from simulations.measure.circulation import (
    Circulation,
    circulation,
    cycle_sums,
    noisy_law,
    random_cycles,
)
from tests.helpers import assert_close

HOP = [[0.8, 0.15, 0.05], [0.5, 0.1, 0.4], [0.1, 0.3, 0.6]]


def table_law(log_joint):
    """Conditional laws (n, L, V) of a table log p(x) of L axes: those of an energy."""

    def law(states):
        rows = []
        for x in states:
            sites = [log_joint[(*x[:i], slice(None), *x[i + 1 :])] for i in range(len(x))]
            rows.append(log_softmax(np.array(sites), axis=-1))
        return np.array(rows)

    return law


def free_law(rng, vocab_size, seq_len):
    """Laws of every site and context drawn for themselves: of no energy."""
    shape = (vocab_size,) * (seq_len - 1)
    tables = rng.normal(size=(seq_len, *shape, vocab_size))

    def law(states):
        return log_softmax(
            [[tables[(i, *np.delete(x, i))] for i in range(seq_len)] for x in states], axis=-1
        )

    return law


@st.composite
def problems(draw) -> dict:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vocab_size, seq_len = draw(st.integers(2, 4)), draw(st.integers(2, 4))
    states = rng.integers(vocab_size, size=(draw(st.integers(1, 8)), seq_len)).astype(np.uint8)
    return {"rng": rng, "vocab_size": vocab_size, "seq_len": seq_len, "states": states}


@given(problems())
def test_laws_of_an_energy_have_no_circulation(problem):
    rng, states, vocab_size = (problem[k] for k in ("rng", "states", "vocab_size"))
    energy = rng.normal(size=(vocab_size,) * problem["seq_len"])
    sites, tokens = random_cycles(rng, states, vocab_size)
    found = circulation(table_law(energy), states, sites, tokens)
    assert found.share_defined == 1 and np.abs(found.sums).max() < 1e-12
    flipped = states.copy()
    rows = np.arange(len(states))
    flipped[rows, sites[:, 0]] = tokens[:, 0]
    step = energy[tuple(flipped.T)] - energy[tuple(states.T)]
    assert_close(found.log_odds[:, 0], step, atol=1e-12)  # each is a difference of -E


@given(problems())
def test_sums_are_those_of_the_four_flips_one_by_one(problem):
    rng, states, vocab_size = (problem[k] for k in ("rng", "states", "vocab_size"))
    law = free_law(rng, vocab_size, problem["seq_len"])
    sites, tokens = random_cycles(rng, states, vocab_size)
    before = states.copy()
    found = circulation(law, states, sites, tokens)
    np.testing.assert_array_equal(states, before)
    for n, x in enumerate(states):
        (i, j), (a, b) = sites[n], tokens[n]
        walk = [(i, a), (j, b), (i, x[i]), (j, x[j])]
        state, terms = x.copy(), []
        for site, token in walk:
            at = law(state[None])[0, site]
            terms.append(at[token] - at[state[site]])
            state[site] = token
        np.testing.assert_array_equal(state, x)
        assert_close(found.log_odds[n], np.array(terms), atol=1e-12)
    assert_close(cycle_sums(law, states, sites, tokens), found.log_odds.sum(1), atol=1e-12)


@given(problems())
def test_a_cycle_walked_from_another_corner_or_backwards(problem):
    """From (i: a) on, by j first: the same sum; with sites exchanged: its negative."""
    rng, states, vocab_size = (problem[k] for k in ("rng", "states", "vocab_size"))
    law, rows = free_law(rng, vocab_size, problem["seq_len"]), np.arange(len(states))
    sites, tokens = random_cycles(rng, states, vocab_size)
    forward = cycle_sums(law, states, sites, tokens)
    assert_close(cycle_sums(law, states, sites[:, ::-1], tokens[:, ::-1]), -forward, atol=1e-12)
    corner, old = states.copy(), np.take_along_axis(states, sites, 1)
    corner[rows, sites[:, 0]] = tokens[:, 0]
    shifted = np.stack([tokens[:, 1], old[:, 0]], axis=1)
    assert_close(cycle_sums(law, corner, sites[:, ::-1], shifted), forward, atol=1e-12)


def test_the_law_of_a_chain_has_an_energy_at_no_noise_and_with_noise_its_noisy_law():
    source, rng = MarkovSource(HOP, seq_len=6), np.random.default_rng(0)
    denoiser, states = source.population_denoiser(), source.sample(rng, 200)
    sites, tokens = random_cycles(rng, states, 3)
    small = circulation(lambda x: denoiser.log_loo(x, 1e-5), states, sites, tokens)
    assert small.ratio < 1e-4  # of the order of t, as `loo` is of x_0, given x_t
    for t in (1e-5, 0.1, 0.5):
        assert np.abs(cycle_sums(noisy_law(denoiser, t), states, sites, tokens)).max() < 1e-9
    assert circulation(lambda x: denoiser.log_loo(x, 0.5), states, sites, tokens).ratio > 1e-3


def test_fitted_rows_have_one_only_where_they_are_symmetric():
    rng = np.random.default_rng(1)
    patterns = rng.integers(4, size=(30, 8))
    sites, tokens = random_cycles(rng, patterns, 4)
    ratios, asymmetries = [], []
    for penalty in (1e-3, 1.0, 1e3):
        memory = pseudolikelihood.store(patterns, 4, penalty=penalty, biases=True)
        law = lambda x, memory=memory: memory.log_loo(x, 1e-5)  # noqa: E731
        ratios.append(circulation(law, patterns, sites, tokens).ratio)
        asymmetries.append(memory.asymmetry)
    assert ratios[0] > 10 * ratios[2] and sorted(ratios, reverse=True) == ratios
    assert ratios[0] > 0.01 and ratios[2] < 1e-3
    assert sorted(asymmetries, reverse=True) == asymmetries


def test_unrelated_log_odds_have_a_ratio_of_two_and_equal_ones_of_four():
    terms = np.random.default_rng(2).normal(size=(20000, 4))
    assert abs(Circulation(terms).ratio - 2) < 0.05
    assert_close(Circulation(np.ones((3, 4))).ratio, 4.0)
    assert_close(Circulation(7 * terms).ratio, Circulation(terms).ratio)
    assert np.isnan(Circulation(np.zeros((3, 4))).ratio)
    assert np.isnan(Circulation(np.zeros((0, 4))).share_defined)


def test_the_ratio_is_the_root_of_what_the_bootstrap_resamples():
    terms = np.random.default_rng(3).normal(size=(40, 4))
    terms[3, 1] = -np.inf
    found = Circulation(terms)
    top, bottom = found.squares
    estimate, _ = bootstrap_ratio(np.random.default_rng(0), top, bottom, np.arange(40) // 2, 10)
    assert_close(found.ratio, float(np.sqrt(estimate)))
    assert_close(found.ratio, Circulation(np.delete(terms, 3, axis=0)).ratio)


def test_zero_probabilities_leave_a_cycle_undefined():
    """Where a token never occurs its flips are infinite, both ways, and differ by NaN."""
    law = IidSource(3, 4, [0.7, 0.3, 0.0]).population_denoiser()
    states = np.array([[0, 1, 0, 1], [0, 0, 1, 1], [2, 0, 0, 0]])
    sites, tokens = np.array([[0, 1]] * 3), np.array([[1, 0], [2, 1], [0, 1]])
    found = circulation(lambda x: law.log_loo(x, 0.1), states, sites, tokens)
    np.testing.assert_array_equal(found.defined, [True, False, False])
    np.testing.assert_array_equal(np.isnan(found.sums), [False, True, True])
    assert found.sums[0] == 0 and found.ratio == 0
    assert_close(found.share_defined, 1 / 3)
    nothing = Circulation(found.log_odds[1:])
    assert np.isnan(nothing.ratio) and nothing.share_defined == 0


def test_noisy_laws_of_an_exact_memorizer_are_defined_and_have_an_energy():
    patterns = np.array([[0, 1, 2, 2], [2, 2, 0, 1], [1, 1, 1, 1]])
    memorizer = EmpiricalDenoiser(patterns, 4)  # token 3 nowhere
    sites, tokens = np.array([[0, 1]] * 3), np.array([[1, 3], [3, 0], [2, 0]])
    plain = circulation(lambda x: memorizer.log_loo(x, 0.1), patterns, sites, tokens)
    assert plain.share_defined < 1
    noisy = circulation(noisy_law(memorizer, 0.1), patterns, sites, tokens)
    assert noisy.share_defined == 1 and np.abs(noisy.sums).max() < 1e-9


@given(problems())
def test_random_cycles_are_allowed_ones(problem):
    states, vocab_size = problem["states"], problem["vocab_size"]
    sites, tokens = random_cycles(problem["rng"], states, vocab_size)
    assert sites.shape == tokens.shape == (len(states), 2)
    assert (sites[:, 0] != sites[:, 1]).all() and (sites >= 0).all()
    assert (sites < problem["seq_len"]).all() and (0 <= tokens).all()
    assert (tokens < vocab_size).all()
    assert (tokens != np.take_along_axis(states, sites, 1)).all()


def test_random_cycles_are_uniform_and_follow_their_seed():
    states = np.zeros((60000, 3), np.uint8)
    sites, tokens = random_cycles(np.random.default_rng(4), states, 3)
    again = random_cycles(np.random.default_rng(4), states, 3)
    np.testing.assert_array_equal(sites, again[0])
    np.testing.assert_array_equal(tokens, again[1])
    kinds = np.unique(np.hstack([sites, tokens]), axis=0, return_counts=True)[1]
    assert len(kinds) == 6 * 4  # ordered pairs of sites, pairs of other tokens
    assert np.abs(kinds - 2500).max() < 5 * np.sqrt(2500)


RNG = np.random.default_rng(0)
LAW = table_law(np.zeros((3, 3)))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: random_cycles(0, [[0, 1]], 2), TypeError, "`rng` must be a numpy.random.Gen"),
        (lambda: random_cycles(RNG, [[0]], 2), ValueError, "must have at least 2 sites"),
        (lambda: random_cycles(RNG, [[0, 2]], 2), TokenRangeError, "`states` holds the token 2"),
        (lambda: random_cycles(RNG, [[0, 0]], 1), ValueError, "`vocab_size` must be"),
        (lambda: cycle_sums(LAW, [[0, 1.0]], [[0, 1]], [[1, 0]]), TokenRangeError, "integers"),
        (lambda: cycle_sums(LAW, [0, 1], [[0, 1]], [[1, 0]]), TokenRangeError, "shape (batch, L)"),
        (lambda: cycle_sums(LAW, [[0, 1]], [0, 1], [[1, 0]]), ValueError, "`sites` must be int"),
        (lambda: cycle_sums(LAW, [[0, 1]], [[0, 1]], [[1.0, 0]]), ValueError, "`tokens` must be"),
        (lambda: cycle_sums(LAW, [[0, 1]], [[0, 2]], [[1, 0]]), ValueError, "must lie in 0 to 1"),
        (lambda: cycle_sums(LAW, [[0, 1]], [[1, 1]], [[1, 0]]), ValueError, "two distinct ones"),
        (lambda: cycle_sums(LAW, [[0, 1]], [[0, 1]], [[0, 0]]), ValueError, "other than the"),
        (lambda: cycle_sums(LAW, [[0, 1]], [[0, 1]], [[3, 0]]), ValueError, "has 3 tokens"),
        (lambda: cycle_sums(lambda x: x, [[0, 1]], [[0, 1]], [[1, 0]]), ValueError, "must return"),
    ],
)
def test_bad_input_is_refused_in_words(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)

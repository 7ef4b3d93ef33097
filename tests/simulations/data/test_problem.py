"""The default source has the figures that its module states."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from models.denoiser import log_full
from models.noise import noise
from models.sampler import decode_best_change
from models.sources.permutations import PERMUTATIONS, permutation_chain
from models.streams import stream
from simulations.data.problem import make_problem, make_source
from tests.helpers import assert_digits


@pytest.fixture(scope="module")
def source():
    return make_source("markov", 16, 16)


def test_stationary_law_is_uniform(source):
    np.testing.assert_allclose(source.initial, 1 / 16, atol=1e-12)
    np.testing.assert_allclose(source.transition.sum(axis=0), 1, atol=1e-12)
    assert source.transition.min() == pytest.approx(0.1 / 16)


def test_words_of_two_permutations_meet_once():
    first, second = (np.array(p) for p in PERMUTATIONS)
    words = [np.arange(16), first, second]
    words += [b[a] for a in (first, second) for b in (first, second)]
    assert sum(int((a == b).sum()) for a, b in itertools.combinations(words, 2)) == 1


def test_entropies(source):
    assert_digits(source.entropy(), "19.9")
    assert_digits(16 * np.log(16), "44.4")
    law = source.loo_entropy_law()
    assert_digits(law.mean(), "0.460")
    printed = ("0.105", "0.105", "0.169", "0.260", "1.577")
    for value, digits in zip(
        law.quantiles(np.array([0.01, 0.25, 0.5, 0.75, 0.95])), printed, strict=True
    ):
        assert_digits(value, digits)
    assert law.fraction_below(0.05) == 0
    assert law.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("t, drawn, changed", [(0.25, 0.50, 0.71), (0.5, 0.30, None)])
def test_population_recovery_of_corrupted_tokens(source, t, drawn, changed):
    rng, denoiser = np.random.default_rng(0), source.population_denoiser()
    x_0 = source.sample(rng, 5000)
    x_t = noise(rng, x_0, denoiser.schedule.alpha(t), 16)
    bad = x_t != x_0
    decoded = {"drawn": denoiser.posterior_draw(rng, x_t, t)}
    decoded["changed"] = decode_best_change(log_full(denoiser, x_t, t), x_t)
    for name, printed in (("drawn", drawn), ("changed", changed)):
        if printed is None:
            continue
        good = ((decoded[name] == x_0) & bad).sum(axis=1)
        rate = good.sum() / bad.sum()
        spread = (good - rate * bad.sum(axis=1)).std(ddof=1)  # sequences are independent
        error = spread * np.sqrt(len(x_0)) / bad.sum()
        assert abs(rate - printed) < 0.005 + 5 * error
        if t == 0.25 and name == "drawn":
            assert rate - 5 * error > 0.45


def test_data_depend_on_seed_and_names_alone():
    small, large = (make_problem("markov", 16, 16, n, 20, 0, 1) for n in (10, 40))
    np.testing.assert_array_equal(small.held_out, large.held_out)
    again = make_problem("markov", 16, 16, 10, 20, 0, 1)
    np.testing.assert_array_equal(small.stored, again.stored)
    other = make_problem("markov", 16, 16, 10, 20, 0, 2)
    assert (other.stored != small.stored).any()
    assert stream(0, "a", 1).random() == stream(0, "a", 1).random()
    assert stream(0, "a", 1).random() != stream(0, "a", 2).random()


@pytest.mark.parametrize("vocab_size", [2, 5, 16])
def test_the_family_is_doubly_stochastic(vocab_size):
    transition = permutation_chain(vocab_size)
    np.testing.assert_allclose(transition.sum(axis=0), 1, atol=1e-12)
    np.testing.assert_allclose(transition.sum(axis=1), 1, atol=1e-12)


def test_an_unknown_source_is_refused():
    with pytest.raises(ValueError, match="`source` must be markov or iid here; got 'hmm'"):
        make_source("hmm", 16, 16)


@pytest.mark.parametrize("source", ["markov", "iid"])
def test_stored_sequences_are_nested_whatever_the_largest_size(source):
    few, many = (make_problem(source, 8, 5, n, 3, root_seed=1, seed=0).stored for n in (7, 50))
    np.testing.assert_array_equal(few, many[:7])

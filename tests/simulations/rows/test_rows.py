"""The study of rows: its cells against second methods, its analysis on made-up numbers, a run."""

import itertools
import json

import numpy as np
import pytest
from scipy.special import log_softmax, ndtr

from models.memories.pseudolikelihood import store
from simulations.measure.checks import NOT_DECIDABLE, NOT_SUPPORTED, SUPPORTED
from simulations.rows import cells, networks, newton, programs
from simulations.rows.analysis import RowsAnalysis
from simulations.rows.config import RowsConfig, dimension, preset, train_sizes
from simulations.rows.drops import Drop, NetworkDrop, carried, carried_networks, crossing
from simulations.rows.lengths import collapse, enough, points_of
from simulations.rows.means import Mean, constant_of, mean_of
from simulations.rows.separability import Limit
from tests.helpers import assert_close, within_standard_errors

TINY = RowsConfig(sizes=(30,), alphas=(0.6,), loads=(1.0, 3.0), rows=6, programs=3, sets=3)


def drawn(seed, count, vocab_size, seq_len):
    return np.random.default_rng(seed).integers(vocab_size, size=(count, seq_len))


# cells


@pytest.mark.parametrize("vocab_size", [2, 3, 4])
def test_walls_are_differences_of_logits(vocab_size):
    """Of a memory's fitted row: its fields at the last site, over sqrt(L)."""
    tokens = drawn(1, 12, vocab_size, 6)
    memory = store(tokens, vocab_size)
    fields = memory.fields(tokens)[:, -1]
    row = memory.weights[-1, :, :-1].ravel()  # (V - 1, L - 1, V - 1): logits, then inputs
    products = programs.wall_inputs(tokens, vocab_size) @ row / np.sqrt(6)
    for k, y in enumerate(tokens[:, -1]):
        apart = [fields[k, y] - fields[k, v] for v in range(vocab_size) if v != y]
        assert_close(np.sort(products[k]), np.sort(apart), rtol=1e-9, atol=1e-12)


def test_largest_separable_is_where_separability_ends():
    for seed in range(4):
        tokens = drawn(seed, 90, 3, 6)
        walls = programs.wall_inputs(tokens, 3)
        shares = [programs.separable(walls[:count]) for count in range(1, 60)]
        largest = programs.largest_separable(tokens, 3, 40)
        assert shares == [count <= largest for count in range(1, 60)]
        assert 2 < largest < 59


def test_separable_by_hand():
    """Two tokens, one input site: the target may follow it or its opposite, not both."""
    same, opposite = [[0, 0], [1, 1]], [[0, 1], [1, 0]]
    for tokens, found in ((same, True), (opposite, True), (same + opposite, False)):
        assert programs.separable(programs.wall_inputs(np.array(tokens), 2)) is found


def test_biases_and_guesses():
    """A bias is one more input, seen by all; the largest K does not depend on the guess."""
    all_zero = np.zeros((3, 2), int)
    assert not programs.separable(programs.wall_inputs(np.array([[0, 0], [1, 0]]), 2))
    assert programs.separable(programs.wall_inputs(np.array([[0, 0], [1, 0]]), 2, biases=True))
    assert programs.wall_inputs(all_zero, 3, biases=True).shape == (3, 2, 2 * (2 + 1))
    tokens = drawn(3, 200, 2, 9)
    found = {programs.largest_separable(tokens, 2, guess) for guess in (1, 12, 30, 150)}
    assert len(found) == 1


def test_chain_rows_see_both_neighbours():
    """At a rare flip rows separate far more than 2 L sequences."""
    config = RowsConfig(chains=(0.2, 0.5), chain_lengths=(21,), programs=6)
    loads = [programs.chain_rows(config, k).largest.values.mean() / 20 for k in (0, 1)]
    assert 2.6 < loads[0] < 4.6 and 1.5 < loads[1] < 2.5


@pytest.mark.parametrize("vocab_size", [2, 3])
def test_rows_one_by_one_are_those_of_a_memory(vocab_size):
    """Against `store`; a ridge of the theory is a penalty, as inputs have variance 1 / (V L)."""
    ridge, seq_len, site = 0.01, 8, 3
    tokens = drawn(2, 20, vocab_size, seq_len)
    penalty = 2 * ridge * dimension((vocab_size, seq_len)) / (vocab_size * seq_len)
    memory = store(tokens, vocab_size, penalty=penalty, tolerance=1e-6)
    inputs = newton.inputs_of(tokens, site, vocab_size)
    row = newton.fit_row(inputs, tokens[:, site], vocab_size, [0.1, ridge])[-1]
    law = log_softmax(memory.fields(tokens)[:, site], axis=1)
    assert row.converged
    assert_close(newton.log_law(inputs, row.weights), law, atol=1e-5)
    assert_close((inputs**2).sum(axis=1), np.full(20, 0.5))  # x has norm d at every V


def test_read_rows():
    tokens = drawn(4, 12, 3, 12)
    read = cells.read_row(tokens, drawn(5, 500, 3, 12), 2, 3, (1e-2, 1e-5))
    assert read["converged"] == [1, 1] and read["held"] == [1, 1]
    assert read["train"][1] < read["train"][0] < np.log(3) < read["heldout"][0]
    assert read["entropy"][1] < 0.01 < read["entropy"][0]
    heavy = cells.read_row(tokens, tokens, 2, 3, (1e4,))
    assert_close([heavy["train"][0], heavy["entropy"][0]], [np.log(3)] * 2, rtol=1e-3)


def test_one_level_and_its_noise():
    schedule = networks.OneLevel(0.9)
    assert_close(schedule.alpha(np.array([0.1, 0.8])), np.array([0.9, 0.9]))
    tokens = np.zeros((7, 50), int)
    noisy = networks.corrupted(np.random.default_rng(1), tokens, 0.2)
    assert len(noisy) % 7 == 0 and len(noisy) >= networks.DRAWN
    within_standard_errors(noisy.mean(axis=1), 0.1)
    config = RowsConfig(network_loads=(0.5, 1.0), free_loads=(0.25, 1.0))
    found = np.array(networks.train_sizes(config, 101, 0.25))
    assert_close(found / 200, networks.noisy_drop(0.25) * np.array([0.5, 1.0]), atol=0.003)
    assert networks.train_sizes(config, 101, None) == [50, 200]


@pytest.mark.slow
def test_networks_of_one_level_are_near_their_theory():
    config = RowsConfig(
        networks=(48,), levels=(0.25,), network_loads=(1.0, 3.0), free_loads=(0.5, 1.0), steps=1000
    )
    entropy = networks.networks(config, 0).entropy.values
    assert entropy.shape == (3, 2, 1)
    loads = np.array(networks.train_sizes(config, 48, 0.25)) / 47
    exact = cells.theory_rows(loads, 0.75).entropy
    assert_close(entropy[..., 0].mean(axis=0), exact, atol=0.025)


def test_noisy_rows_are_at_the_minimum_over_all_noise():
    """Against a row trained on every noisy version of every sequence, 2^5 of each."""
    alpha, size, count = 0.5, 5, 15
    flips = np.array(list(itertools.product([1.0, -1.0], repeat=size)))
    chance = np.prod(np.where(flips > 0, (1 + alpha) / 2, (1 - alpha) / 2), axis=1)
    gaps = []
    for seed in range(5):
        inputs = np.random.default_rng(seed).choice([-1.0, 1.0], (count, size)) / np.sqrt(size)
        noisy = (inputs[:, None, :] * flips).reshape(-1, size)
        weights = np.tile(chance, count)

        def objective(w, noisy=noisy, weights=weights):
            return weights @ np.logaddexp(0, -noisy @ w)

        w = cells.minimize(objective, np.zeros(size), tol=1e-12).x
        exact = objective(w) / count
        rng = np.random.default_rng(seed)
        found = cells.noisy_row(rng, count / size, alpha, size)[0]  # draws the same inputs
        gaps.append(found - exact)
        assert -0.01 < gaps[-1] < 0.03  # noise of five inputs is not Gaussian; 20,000 are drawn
    assert abs(np.mean(gaps)) < 0.02


def test_memories_hold_what_they_separate():
    config = RowsConfig(
        memories=((2, 12),),
        sites=(12,),
        relative_loads=(0.3, 2.5),
        ridges=(1e-2, 1e-3),
        judged=1e-3,
        sets=3,
    )
    data = cells.memories(config, 0).mean("set")
    assert (data.converged == 1).all()
    assert (data.held[0] == 1).all() and (data.held[1] < 0.2).all()
    assert (data.entropy >= data.train * (1 - 1e-3)).all()  # by the ridge times the norm
    assert data.entropy[0, 0] > 3 * data.entropy[0, 1]
    assert data.entropy[1, 0] < 1.2 * data.entropy[1, 1]


def test_training_is_near_its_theory():
    data = cells.training(TINY, 0)
    exact = cells.theory_rows(np.array(TINY.loads), 0.6)
    for place in range(2):
        within_standard_errors(data.train.values[0, place], exact.train[place])
        within_standard_errors(data.heldout.values[0, place], exact.heldout[place])
    assert_close(data.train.values, data.entropy.values, atol=0.05)


def test_units():
    assert dimension((4, 17)) == 48
    config = RowsConfig(relative_loads=(0.5, 1.0))
    assert train_sizes(config, (2, 17)) == [16, 32]
    assert preset("small").memories and preset("smoke").sets >= 3


# analysis


def test_means_and_crossings():
    mean = mean_of([1.0, 2.0, 3.0])
    assert_close([mean.value, mean.error], [2.0, 4.302653 / np.sqrt(3)], rtol=1e-6)
    loads = np.array([1.0, 2.0, 3.0])
    assert_close(crossing(loads, np.array([0.0, 0.2, 0.6]), 0.3), 2.25)
    assert np.isnan(crossing(loads, np.array([0.4, 0.5, 0.6]), 0.3))
    assert np.isnan(crossing(loads, np.array([0.0, 0.1, 0.2]), 0.3))


def test_a_line_is_carried_to_its_end():
    means = [Mean(1 + 2 * x, 0.9 + 2 * x, 1.1 + 2 * x) for x in (0.1, 0.2, 0.4)]
    columns = np.array([[1.0, 0.1], [1.0, 0.2], [1.0, 0.4]])
    line = constant_of(means, np.ones(3), columns)
    flat = constant_of(means, np.ones(3), columns[:, :1])
    assert_close([line.value, flat.value, flat.error], [1.0, 22 / 15, 0.1 / np.sqrt(3)], rtol=1e-9)
    assert line.error > flat.error
    assert np.isnan(constant_of(means[:1], np.ones(1), columns[:1]).value)


def made_up(pooled, ratio):
    limit = Limit(2, 2.0, (), pooled, pooled)
    drop = Drop((2, 32), 1e-3, ratio, 1.0, 0.9)
    config = RowsConfig(ridges=(1e-3,), judged=1e-3)
    return RowsAnalysis(config, None, [], [limit], [], [], [drop], {}, {}, networks_of(ratio), [])


def networks_of(ratio):
    one_level = [NetworkDrop(n, 0.1, True, ratio, 1.0) for n in (17, 33)]
    return [*one_level, NetworkDrop(17, 0.1, False, Mean(0.8, 0.79, 0.81), 1.0)]


def test_verdicts():
    good, near = Mean(2.0, 1.9, 2.1), Mean(1.0, 0.95, 1.05)
    assert made_up(good, near).verdict == SUPPORTED
    assert made_up(Mean(2.3, 2.2, 2.4), near).verdict == NOT_SUPPORTED
    assert made_up(good, Mean(0.9, 0.85, 0.95)).verdict == NOT_SUPPORTED
    assert made_up(Mean(2.11, 2.01, 2.21), near).verdict == SUPPORTED  # two intervals together
    assert made_up(good, Mean(1.0, 0.8, 1.2)).verdict == NOT_DECIDABLE
    assert made_up(good, Mean(*(np.nan,) * 3)).verdict == NOT_DECIDABLE


def test_drops_are_carried_to_infinite_length():
    ratio = {length: Mean(1 - 2 / (length - 1), 0.0, 0.0) for length in (17, 33)}
    drops = [Drop((4, n), 1e-3, value, 1.0, 0.9) for n, value in ratio.items()]
    other = Drop((4, 33), 1e-4, Mean(9.0, 9.0, 9.0), 1.0, 0.9)
    assert_close(carried([*drops, other], 1e-3)[4].value, 1.0, rtol=1e-9)


def test_network_drops_are_carried_and_judged():
    exact = Mean(1.0, 0.99, 1.01)
    assert_close(carried_networks(networks_of(exact), True)[0.1].value, 1.0, rtol=1e-9)
    assert carried_networks(networks_of(exact), False) == {0.1: Mean(0.8, 0.79, 0.81)}
    analysis = made_up(exact, exact)
    assert analysis.network_verdict(True) == SUPPORTED
    assert analysis.network_verdict(False) == NOT_SUPPORTED


SIZES, LOADS = (31, 63, 127, 255), np.array([0.7, 0.85, 0.92, 1.0, 1.08, 1.16])


@pytest.mark.parametrize("centre, exponent", [(1.0, 0.5), (1.04, 0.3)])
def test_collapse_finds_its_exponent(centre, exponent):
    rng = np.random.default_rng(6)
    sets = {}
    for size in SIZES:
        share = ndtr(1.4 * (centre - LOADS) * size**exponent)
        sets[size] = rng.binomial(200, share, size=(8, len(LOADS))) / 200
    for law in ("held", "entropy"):
        found = collapse(sets, LOADS, law)
        assert found.exponent.low < exponent < found.exponent.high
        assert found.centre.low - 0.01 < centre < found.centre.high + 0.01
        assert found.exponent.error < 0.15 and found.best < 1.2
        assert found.alone > 3 and (found.predicted < 1.3) == (exponent == 0.5)


def test_a_share_times_a_line_collapses_as_such():
    rng = np.random.default_rng(8)
    sets = {}
    for size in SIZES:
        share = ndtr(1.4 * (LOADS - 1) * size**0.5)
        sets[size] = share * (0.4 + 0.8 * (LOADS - 1)) + rng.normal(0, 0.01, (8, len(LOADS)))
    found = {law: collapse(sets, LOADS, law) for law in ("product", "entropy")}
    assert abs(found["product"].exponent.value - 0.5) < 0.05
    assert found["product"].exponent.low < 0.5 < found["product"].exponent.high
    assert found["product"].predicted < 1.3 < found["product"].alone
    assert found["entropy"].exponent.value < found["product"].exponent.value


def test_points_near_the_drop():
    sets = {31: np.tile(LOADS, (4, 1)) + np.array([[0.0], [0.1], [0.2], [0.3]])}
    points = points_of(sets, LOADS)
    assert_close(points.load, LOADS[1:])  # 0.7 is out of the window
    assert_close(points.value, LOADS[1:] + 0.15)
    assert_close(points.error, np.full(5, np.sqrt(0.05 / 3) / 2))
    assert not enough(points, "held") and not enough(points, "entropy")
    assert enough(points_of({31: sets[31], 63: sets[31]}, LOADS), "held")
    sets[63] = sets[31] * np.array([0.0, 1, 1, 1, 3, 1])  # the errors of a length are pooled
    pooled = np.unique(
        points_of({63: sets[63] - LOADS * np.array([0, 1, 1, 1, 3, 1])}, LOADS).error
    )
    assert_close(pooled, [np.sqrt(0.05 / 3 / 4 * (4 + 9) / 5)])


@pytest.mark.slow
def test_the_report_starts_with_the_verdict(tiny_run):
    folder = tiny_run("rows")
    first = (folder / "report.md").read_text().split("\n")[4]
    assert first.startswith("**That the entropy transition") and "Largest separable K" in first
    summary = json.loads((folder / "summary.json").read_text())
    assert len(summary["drops"]) == 2 * 2 and len(summary["training"]) == 1 * 1 * 2
    assert len(summary["exact_checks"]) == 1

"""The study of rows: its cells against second methods, its analysis on made-up numbers, a run."""

import itertools
import json

import numpy as np
import pytest

from models.memories.pseudolikelihood import store
from simulations.measure.checks import NOT_DECIDABLE, NOT_SUPPORTED, SUPPORTED
from simulations.rows import cells
from simulations.rows.analysis import (
    Drop,
    Limit,
    Mean,
    RowsAnalysis,
    constant_of,
    crossing,
    mean_of,
)
from simulations.rows.config import RowsConfig, dimension, penalty, preset, train_sizes
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
    products = cells.wall_inputs(tokens, vocab_size) @ row / np.sqrt(6)
    for k, y in enumerate(tokens[:, -1]):
        apart = [fields[k, y] - fields[k, v] for v in range(vocab_size) if v != y]
        assert_close(np.sort(products[k]), np.sort(apart), rtol=1e-9, atol=1e-12)


def test_largest_separable_is_where_separability_ends():
    for seed in range(4):
        tokens = drawn(seed, 90, 3, 6)
        walls = cells.wall_inputs(tokens, 3)
        shares = [cells.separable(walls[:count]) for count in range(1, 60)]
        largest = cells.largest_separable(tokens, 3)
        assert shares == [count <= largest for count in range(1, 60)]
        assert 2 < largest < 59


def test_separable_by_hand():
    """Two tokens, one input site: the target may follow it or its opposite, not both."""
    same, opposite = [[0, 0], [1, 1]], [[0, 1], [1, 0]]
    for tokens, found in ((same, True), (opposite, True), (same + opposite, False)):
        assert cells.separable(cells.wall_inputs(np.array(tokens), 2)) is found


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
        relative_loads=(0.3, 2.5),
        ridges=(1e-2, 1e-3),
        theory_ridges=(1e-2, 1e-3),
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
    assert_close(penalty(0.1, (2, 11)), 0.1 * 10 / 11)
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
    config = RowsConfig(ridges=(1e-3,), theory_ridges=(1e-3,))
    return RowsAnalysis(config, None, [], [limit], [drop], {}, [])


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
    config = RowsConfig(ridges=(1e-3,), theory_ridges=(1e-3,))
    found = RowsAnalysis(config, None, [], [], drops, {}, []).carried
    assert_close(found[4].value, 1.0, rtol=1e-9)


@pytest.mark.slow
def test_the_report_starts_with_the_verdict(tiny_run):
    folder = tiny_run("rows")
    first = (folder / "report.md").read_text().split("\n")[4]
    assert first.startswith("**That the entropy transition") and "Largest separable K" in first
    summary = json.loads((folder / "summary.json").read_text())
    assert len(summary["drops"]) == 2 * 2 and len(summary["training"]) == 1 * 1 * 2
    assert len(summary["exact_checks"]) == 1

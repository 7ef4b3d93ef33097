"""Extraction measured of exact denoisers against its theory, and how it is measured."""

from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
import pytest

from am_theory.channel import Absorbing, Hybrid, Uniform
from am_theory.extraction import (
    extraction_probability,
    extraction_probability_stored,
    extraction_probability_uniform,
)
from models.exact.empirical import EmpiricalDenoiser
from models.networks.mlp import MLPDenoiser
from models.sources import MarkovSource
from models.unmasking import log_prob_in_order
from simulations.probe.audit.extraction import (
    REFERENCE,
    ExtractionError,
    announced,
    extracted,
    extraction,
    seconds,
)
from simulations.probe.config import ProbeConfig
from simulations.probe.measure.cells import Work
from simulations.probe.measure.dataset import Split, empty_dataset
from simulations.probe.measure.law import Reader
from simulations.probe.measure.parts import Parts
from tests import oracles
from tests.helpers import assert_close

CHAIN = oracles.CHAIN


def split(name, tokens):
    return Split(name, np.asarray(tokens, np.uint8), np.arange(len(tokens)))


def measured(denoiser, train, held_out, n=1000, parts=None, reference=None, **settings):
    """A probe's dataset of two splits, with draws of the suffixes."""
    config = ProbeConfig(**settings)
    works = [
        each and Work(Reader(each, train.shape[1], lambda: None), config)
        for each in (denoiser, reference)
    ]
    splits = {s.name: s for s in (split("train", train), split("heldout", held_out))}
    data = empty_dataset(list(splits.values()), config, denoiser.vocab_size)
    data = extracted(works[0], parts or Parts(), splits, n, data)
    return data if reference is None else extracted(works[1], Parts(), splits, n, data, REFERENCE)


def found(data, what, n):
    rows = extraction(data, np.random.default_rng(0), 200)
    return next(row for row in rows if (row.what, row.n) == (what, n))


def agrees(estimate, exact):
    """Within five standard errors, from the 95 % interval."""
    error = (estimate.high - estimate.low) / 3.92
    assert abs(estimate.value - exact) < 5 * error + 1e-9, (estimate, exact)
    assert 0 < error < 0.05


# --- exact denoisers


def test_draws_of_the_population_are_as_the_theory_of_the_chain_has_it():
    source, rng = MarkovSource(CHAIN, 4), np.random.default_rng(0)
    train, held_out = source.sample(rng, 300), source.sample(rng, 300)
    denoiser = source.population_denoiser(channel=Absorbing(3))
    data = measured(denoiser, train, held_out, prefix=2, draws=10, n_steps=32)
    for n in (1, 10):
        theory = extraction_probability(n, CHAIN, 2, 2)
        for what in ("word for word", "exact"):
            row = found(data, what, n)
            agrees(row.train, theory)
            agrees(row.held_out, theory)
            assert row.excess.low < 0 < row.excess.high


@pytest.mark.parametrize("prefix, size", [(1, 20), (2, 20), (2, 60)])
def test_draws_of_a_store_are_as_the_theory_of_the_store_has_it(prefix, size):
    source = MarkovSource(CHAIN, 5)
    once, exact = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        train, held_out = source.sample(rng, size), source.sample(rng, 8)
        denoiser = EmpiricalDenoiser(train, 3, channel=Absorbing(3))
        data = measured(denoiser, train, held_out, prefix=prefix, draws=4, n_steps=64)
        once.append([found(data, "word for word", n).train.value for n in (1, 4)])
        exact.append([found(data, "exact", n).train.value for n in (1, 4)])
    theory = extraction_probability_stored([1, 4], size, CHAIN, prefix, 5 - prefix)
    for values in (np.array(once), np.array(exact)):
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        assert np.all(np.abs(values.mean(axis=0) - theory) < 4 * error)
        assert np.all(error < 0.05)


def test_extraction_of_a_store_beyond_that_of_other_sequences_and_of_a_reference():
    rng = np.random.default_rng(0)
    train, held_out = rng.integers(4, size=(2, 60, 12))
    store, blank = (EmpiricalDenoiser(x, 4, channel=Absorbing(4)) for x in (train, held_out[:30]))
    data = measured(store, train, held_out, prefix=4, draws=10, n_steps=24, reference=blank)
    theory = extraction_probability_uniform(10, 60, 4, 4)
    row = found(data, "word for word", 10)
    assert abs(row.train.value - theory) < 0.02 and row.held_out.value == 0
    assert row.excess.low > 0.8
    # the reference stores half of the held-out sequences and none of the others
    assert row.beyond_reference.value == pytest.approx(row.excess.value + 0.5, abs=0.03)
    for what in ("exact", "extractable"):
        assert found(data, what, 10).excess.low > 0.8


@pytest.mark.parametrize(
    "kind, low, high",
    [(Absorbing(4), 0.64, 0.75), (Uniform(4), 0.10, 0.17), (Hybrid(4, 0.2), 0.19, 0.30)],
    ids=["absorbing", "uniform", "hybrid"],
)
def test_redraws_find_less_than_is_stored(kind, low, high):
    """The figures in the module's first lines."""
    train = np.random.default_rng(1).integers(4, size=(200, 16))
    store = EmpiricalDenoiser(train, 4, channel=kind)
    data = measured(store, train, train[:8], prefix=4, draws=3, n_steps=64)
    value = found(data, "word for word", 1).train.value
    assert low < value < high
    assert extraction_probability_uniform(1, 200, 4, 4) == pytest.approx(0.6949, abs=1e-4)


def test_the_chain_rule_in_order_is_exact():
    source = MarkovSource(CHAIN, 5)
    rows = source.sample(np.random.default_rng(0), 50)
    log_p = log_prob_in_order(source.population_denoiser(channel=Absorbing(3)), rows, 2, rows=7)
    steps = np.log(CHAIN)[rows[:, 1:-1], rows[:, 2:]]
    assert_close(log_p, steps.sum(1), atol=1e-9)
    store = EmpiricalDenoiser(rows, 3, channel=Absorbing(3))
    same = (rows[:, None, :2] == rows[None, :, :2]).all(-1).sum(1)
    copies = (rows[:, None] == rows[None]).all(-1).sum(1)
    assert_close(log_prob_in_order(store, rows, 2), np.log(copies / same), atol=1e-9)
    with pytest.raises(ValueError, match="knows no mask"):
        log_prob_in_order(source.population_denoiser(), rows, 2)


# --- how it is measured


@pytest.mark.parametrize("kind", [Uniform(3), Absorbing(3), Hybrid(3, 0.3)], ids=repr)
def test_a_jax_network_of_any_noise(kind):
    network = MLPDenoiser(jax.random.key(0), 3, 5, width=8, channel=kind)
    rows = np.random.default_rng(0).integers(3, size=(2, 40, 5))
    data = measured(network, *rows, n=9, prefix=2, draws=3, n_steps=4)
    edits = data["extract_edits"].values.reshape(2, 40, 3)
    assert (edits[:, :9] >= 0).all() and (edits[:, 9:] == -1).all() and edits.max() <= 3
    assert np.isfinite(data["extract_log_p"].values).any() == (not kind.redraws)
    assert extraction(data, np.random.default_rng(0), 100)[0].train.n == 9


def test_more_sequences_leave_the_numbers_of_the_first_and_parts_are_kept(tmp_path):
    network = MLPDenoiser(jax.random.key(0), 3, 5, width=8)
    rows = np.random.default_rng(0).integers(3, size=(2, 70, 5))
    eqx.clear_caches()
    few = measured(network, *rows, n=40, prefix=2, draws=2, n_steps=3)
    with Parts.open(tmp_path, "a") as parts:
        many = measured(network, *rows, n=70, parts=parts, prefix=2, draws=2, n_steps=3)
    values = [data["extract_edits"].values.reshape(2, 70, 2)[:, :40] for data in (few, many)]
    np.testing.assert_array_equal(*values)
    with Parts.open(tmp_path, "a") as parts:
        assert len(parts.finished) == 6  # three of 32 sequences a split
        again = measured(None or network, *rows, n=70, parts=parts, prefix=2, draws=2, n_steps=3)
    np.testing.assert_array_equal(again["extract_edits"].values, many["extract_edits"].values)


def test_the_time_is_told_and_a_prefix_that_leaves_nothing_refused():
    source = MarkovSource(CHAIN, 5)
    work = Work(
        Reader(source.population_denoiser(), 5, lambda: None),
        ProbeConfig(prefix=2, draws=10, n_steps=50),
    )
    cost = seconds(work, {"train": 70, "heldout": 10, "generated": 9}, 40, 0.001)
    assert list(cost) == ["train-extract-0", "train-extract-32", "heldout-extract-0"]
    assert sum(cost.values()) == pytest.approx(50 * 10 * 0.001 * (40 + 10))
    assert "10 draws of the 3 tokens after the first 2" in announced(work, cost, 40)
    assert "about 25 s" in announced(work, cost, 40)
    assert seconds(work._replace(config=ProbeConfig()), {"train": 9}, 4, 1.0) == {}
    with pytest.raises(ExtractionError, match="1 to 4 of these"):
        seconds(work._replace(config=ProbeConfig(prefix=5, draws=1)), {"train": 9}, 4, 1.0)
    with pytest.raises(ExtractionError, match="there are none"):
        seconds(work, {"train": 9}, 0, 1.0)
    with pytest.raises(ValueError, match="go together"):
        ProbeConfig(prefix=3)

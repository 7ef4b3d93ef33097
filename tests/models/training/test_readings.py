"""Readings of a denoiser against dense laws, and what they say of memory against exact numbers."""

from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import Absorbing, Hybrid
from models.exact.empirical import EmpiricalDenoiser
from models.networks.mlp import MLPDenoiser
from models.sampler import decode_best_change
from models.sources import IidSource
from models.training import readings
from models.training.memorized import (
    Drawn,
    bounded,
    clearest,
    drawn,
    mean_of,
    memorized_share,
    order_parameter,
    told_apart,
)
from models.training.readings import LEVELS, Reading, read
from models.unmasking import single_mask_laws
from simulations.measure import names
from simulations.measure.counts import law_statistics
from simulations.probe.measure.estimate import exact_interval
from tests.helpers import assert_close

V, L = 5, 6
KINDS = (None, Absorbing(V), Hybrid(V, 0.2))


def tokens(n, seed=0):
    return np.random.default_rng(seed).integers(V, size=(n, L)).astype(np.uint8)


def network(channel=None):
    model = MLPDenoiser(jax.random.key(0), V, L, 16, channel=channel)
    readout = np.random.default_rng(0).normal(size=(16, L * V)).astype(np.float32)
    return eqx.tree_at(lambda m: m.readout, model, jax.numpy.asarray(readout))


class Kept:
    """A denoiser for NumPy alone that keeps what it was asked."""

    def __init__(self, model):
        self.model, self.schedule, self.asked = model, model.schedule, []
        self.vocab_size, self.seq_len = model.vocab_size, model.seq_len
        if model.channel is not None:
            self.channel = model.channel

    def log_loo(self, x_t, t):
        self.asked.append(np.array(x_t))
        return np.asarray(self.model.log_loo(np.asarray(x_t, np.int32), np.float32(t)))


def test_levels_and_cap_are_those_of_the_probe():
    assert readings.SMALL_LEVEL == names.SMALL_LEVEL == LEVELS[0]
    assert readings.LOG_LOSS_CAP == names.LOG_LOSS_CAP


@pytest.mark.parametrize("channel", KINDS)
def test_readings_are_those_of_the_dense_law(channel):
    model, x_0 = network(channel), tokens(9)
    kept = Kept(model)
    found = read(kept, x_0, (0.4,), np.random.default_rng(1))
    x_t = kept.asked[0][:9]
    law = kept.log_loo(x_t, np.full(9, 0.4)).astype(np.float64)
    changed = x_t != x_0
    assert changed.any()
    assert not changed.all()
    sites = changed if channel == Absorbing(V) else np.ones_like(changed)
    right = decode_best_change(law, x_t) == x_0
    per_token = [
        [law_statistics(law[i : i + 1, [j]], x_0[i : i + 1, [j]]) for j in range(L)]
        for i in range(9)
    ]
    entropy, loss = (
        np.array([[float(getattr(one, name)[0]) for one in row] for row in per_token])
        for name in ("entropy", "log_loss")
    )
    expected = (changed, right & changed, entropy * sites, loss * sites, sites)
    for value, part in zip(found, expected, strict=True):
        assert_close(value[:, 0], part.sum(1).astype(float), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channel", KINDS)
def test_a_network_reads_alike_by_jax_in_blocks_and_with_more_sequences(channel, monkeypatch):
    model, x_0 = network(channel), tokens(11)
    whole = read(model, x_0, LEVELS, np.random.default_rng(1))
    fewer = read(model, x_0[:4], LEVELS, np.random.default_rng(1))
    monkeypatch.setattr(readings, "ROWS", 3)
    blocks = read(model, x_0, LEVELS, np.random.default_rng(1))
    plain = read(Kept(model), x_0, LEVELS, np.random.default_rng(1))
    for a, b, c, d in zip(whole, fewer, blocks, plain, strict=True):
        assert_close(a[:4], b, rtol=1e-5, atol=1e-6)
        assert_close(a, c, rtol=1e-5, atol=1e-6)
        assert_close(a, d, rtol=1e-5, atol=1e-6)
    assert whole.corrupted[:, 1:].sum() > 0


def test_erasures_are_read_at_masked_sites_alone():
    model, x_0 = network(Absorbing(V)), tokens(8)
    found = read(model, x_0, LEVELS, np.random.default_rng(1))
    np.testing.assert_array_equal(found.sites[:, 1:], found.corrupted[:, 1:])
    assert (found.sites[:, 0] == readings.ALONE).all()
    assert found.corrupted[:, 0].sum() == 0
    streams = np.random.default_rng(1).spawn(8)  # an oracle of its own, one sequence at a time
    for i, each in enumerate(streams):
        sites = each.permutation(L)[: readings.ALONE]
        law = single_mask_laws(model, x_0[i : i + 1], sites[None])
        expected = law_statistics(law, x_0[i : i + 1, sites])
        entropy, loss = found.entropy[i, 0] / len(sites), found.log_loss[i, 0] / len(sites)
        assert_close(entropy, expected.entropy[0], rtol=1e-5, atol=1e-6)
        assert_close(loss, expected.log_loss[0], rtol=1e-5, atol=1e-6)


def once(n):
    """Every sequence once."""
    return Drawn(np.ones((1, n)), np.ones((0, 1)))


@pytest.mark.parametrize("channel", KINDS)
def test_copies_of_a_sequence_are_summed(channel):
    kept, x_0 = Kept(network(channel)), tokens(4)
    found = read(kept, x_0, (readings.SMALL_LEVEL, 0.4), np.random.default_rng(1), copies=3)
    x_t = kept.asked[-1][:12].reshape(4, 3, L)
    assert len(np.unique(x_t[0], axis=0)) > 1
    changed = x_t != x_0[:, None]
    np.testing.assert_array_equal(found.corrupted[:, 1], changed.sum((1, 2)))
    sites = [readings.ALONE, changed.sum((1, 2))] if channel == Absorbing(V) else [L, 3 * L]
    for k in range(2):
        np.testing.assert_array_equal(found.sites[:, k], np.broadcast_to(sites[k], 4))


def of_counts(corrupted, restored, loss=None):
    """A reading of given counts (n, levels)."""
    c, r = np.asarray(corrupted, float), np.asarray(restored, float)
    return Reading(c, r, np.zeros_like(c), c if loss is None else loss, np.ones_like(c))


@given(st.floats(0, 1), st.floats(0, 0.95), st.integers(1, 50))
def test_the_order_parameter_of_given_recoveries(of_train, of_heldout, n):
    train, heldout = (
        of_counts(np.full((n, 1), 10.0), np.full((n, 1), 10 * r)) for r in (of_train, of_heldout)
    )
    found = order_parameter(train, heldout, once(n), once(n))[0, 0]
    assert_close(found, (of_train - of_heldout) / (1 - of_heldout), rtol=1e-9, atol=1e-9)


def test_ends_of_both_measures_are_exact():
    """For the memorizer of far-apart sequences all are 1; of a law that every sequence is alike to,
    they are 0; with nothing held back, M is undefined."""
    rng = np.random.default_rng(0)
    stored, others = rng.integers(8, size=(2, 40, 24)).astype(np.uint8)
    model, each = EmpiricalDenoiser(stored, 8), once(40)
    train, heldout = (
        read(model, x, LEVELS, np.random.default_rng(k)) for k, x in enumerate((stored, others))
    )
    assert_close(order_parameter(train, heldout, each, each)[0, 1:4], np.ones(3))
    assert_close(memorized_share(train, heldout, each, each)[0, 1:4], np.ones(3))
    assert_close(told_apart(train, heldout, each, each)[0, :4], np.ones(4))
    assert mean_of(train, "log_loss", "sites")[0] < 1e-6
    same = order_parameter(train, train, each, each)[0]
    assert np.isnan(same[1])
    assert memorized_share(heldout, heldout, each, each)[0, 3] == 0.0
    assert told_apart(heldout, heldout, each, each)[0, 1] == 0.0
    law = IidSource(8, 24).population_denoiser()
    both = [read(law, x, LEVELS, np.random.default_rng(3)) for x in (stored, others)]
    each = drawn(np.random.default_rng(4), 40)
    _, found = clearest(order_parameter(*both, each, each)[:, 1:])
    assert found.low < 0.0 < found.high


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_part_that_is_memorized_is_the_share(share):
    """Memorized: loss near 0, all tokens restored; the others are like held-out ones."""
    rng, n = np.random.default_rng(1), 4000
    mine = np.arange(n) < share * n
    counts = np.full((n, 1), 12.0)
    restored = [np.where(m, 12, rng.binomial(12, 0.4, n))[:, None] for m in (mine, mine & False)]
    loss = [np.where(m, 0.01, rng.normal(2, 0.3, n))[:, None] for m in (mine, mine & False)]
    both = [of_counts(counts, r, x) for r, x in zip(restored, loss, strict=True)]
    each = [drawn(rng, n, 400) for _ in both]
    for measure in (order_parameter, memorized_share, told_apart):
        found = bounded(measure(*both, *each)[:, 0])
        assert abs(found.value - share) < 0.03
        assert found.low <= share <= found.high


def test_intervals_cover():
    """Of one level, and at the clearest of four, where three are equal and all are noisy."""
    truth, n, runs = np.array([0.37, 0.37, 0.37, 0.34]), 100, 200
    memory = (truth - 0.3) / 0.7
    hits, clear, above = np.zeros(4), 0, 0
    for run in range(runs):
        rng = np.random.default_rng(run)
        found = []
        for recovery in (truth, np.full(4, 0.3)):
            corrupted = rng.binomial(16, [0.2, 0.3, 0.4, 0.5], size=(n, 4))
            chance = rng.beta(3 * recovery, 3 * (1 - recovery), size=(n, 4))  # by sequence
            found.append(of_counts(corrupted, rng.binomial(corrupted, chance)))
        draws = order_parameter(*found, *(drawn(rng, n, 300) for _ in found))
        for k in range(4):
            one = bounded(draws[:, k])
            hits[k] += one.low <= memory[k] <= one.high
        place, best = clearest(draws)
        clear += best.low <= memory[place] <= best.high
        above += best.low > memory.max()
    error = np.sqrt(0.95 * 0.05 / runs)
    assert (np.abs(hits / runs - 0.95) < 4.5 * error).all()
    assert clear / runs > 0.95 - 4 * error
    assert above / runs < 0.05 + 4 * error


def test_an_interval_needs_replicates_that_are_known():
    train = of_counts([[2, 0]] + [[0, 0]] * 9, [[1, 0]] + [[0, 0]] * 9)
    heldout = of_counts([[10, 10]] * 10, [[5, 5]] * 10)
    rng = np.random.default_rng(0)
    draws = order_parameter(train, heldout, drawn(rng, 10), drawn(rng, 10))
    assert draws[0, 0] == 0.0  # of one sequence alone, which a third of the replicates lack
    assert np.isnan(bounded(draws[:, 0]).low)
    assert clearest(draws)[0] == -1
    assert np.isnan(clearest(draws)[1].value)


def test_a_little_memory_of_all_is_told_apart_and_is_not_a_share():
    rng, n = np.random.default_rng(1), 1000
    both = [
        of_counts(np.full((n, 1), 12.0), rng.binomial(12, r, (n, 1)), rng.normal(m, 0.3, (n, 1)))
        for r, m in ((0.5, 1.0), (0.4, 2.0))
    ]
    each = [drawn(rng, n, 100) for _ in both]
    memory, share, told = (
        bounded(measure(*both, *each)[:, 0])
        for measure in (order_parameter, memorized_share, told_apart)
    )
    assert memory.low < 1 / 6 < memory.high
    assert share.value < 0.02
    assert told.low > 0.9


def test_the_share_asks_for_nine_of_ten_tokens():
    train = of_counts([[3, 10, 20, 0]], [[2, 9, 17, 0]])
    heldout = of_counts([[10, 10, 10, 10]], [[0, 0, 0, 0]])
    found = memorized_share(train, heldout, once(1), once(1))[0]
    np.testing.assert_array_equal(found, [0.0, 1.0, 0.0, np.nan])


@pytest.mark.parametrize("n", [8, 40])
def test_all_or_none_has_the_interval_of_clopper_and_pearson(n):
    """One-sided at 97.5 %, as if of one sequence more."""
    full, some = (of_counts(np.full((n, 1), 5), np.full((n, 1), k)) for k in (5, 1))
    each = [drawn(np.random.default_rng(k), n, 20_000) for k in range(2)]
    found = bounded(order_parameter(full, some, *each)[:, 0])
    assert found.value == found.high == 1.0
    low = exact_interval(n + 1, n + 1)[0]
    assert found.low == pytest.approx((low - 0.2) / 0.8, abs=0.1 / n)

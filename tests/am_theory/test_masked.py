"""Memories behind channels that mask: printed tables, enumeration, limits, order of channels."""

from __future__ import annotations

import functools
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory import erasures
from am_theory.channel import LogLinear
from am_theory.channels import Absorbing, Hybrid, Uniform
from am_theory.empirical import (
    basin_radius,
    critical_alpha,
    information,
    posterior_entropy,
    retrieval_probability,
    token_recovery,
    true_weight,
)
from tests import oracles, strategies
from tests.helpers import assert_close, assert_digits

MEASURES = {
    "right": retrieval_probability,
    "weight": true_weight,
    "entropy": posterior_entropy,
    "known": information,
    "map_all": token_recovery,
    "sample_all": functools.partial(token_recovery, decoder="sample"),
    "map_corrupted": functools.partial(token_recovery, tokens="corrupted"),
    "sample_corrupted": functools.partial(token_recovery, decoder="sample", tokens="corrupted"),
}
UNSEEN = {
    name: functools.partial(measure, split="test")
    for name, measure in MEASURES.items()
    if name not in ("right", "weight", "known")
}

# --- printed tables

HYBRID = """
8,8,2,.5,.2     .63571577 .53700959 .94324855  .86304211 .82018987 .71747636 .67987300
50,12,3,.4,.2   .55833568 .44420609 1.46716777 .76143905 .69298814 .61714923 .54800937
200,16,4,.35,.1 .67532582 .59969520 1.11698592 .79844574 .74817879 .70437114 .64540807
500,16,8,.25,.3 .42446140 .30561763 2.60465499 .54181276 .43825167 .43262615 .33770959
"""
COLUMNS = ("right", "weight", "entropy", "map_all", "sample_all", "map_corrupted")


@pytest.mark.parametrize("line", HYBRID.strip().split("\n"))
def test_finite_size_table(line):
    problem, *printed = line.split()
    K, L, V, alpha, p = (float(x) for x in problem.split(","))
    args, channel = (K, int(L), int(V), alpha), Hybrid(int(V), p)
    for name, value in zip((*COLUMNS, "sample_corrupted"), printed, strict=True):
        assert_digits(MEASURES[name](*args, channel=channel), value)
    assert_close(information(*args, channel=channel), np.log(K) - float(printed[2]), atol=6e-9)


def test_simulated_row():
    """1500 sets; values with their standard errors."""
    drawn = "661,12 596,10 1117,25 791,8 748,8 694,10 645,10"
    for name, printed in zip((*COLUMNS, "sample_corrupted"), drawn.split(), strict=True):
        mean, error = (float(x) / 1000 for x in printed.split(","))
        value = MEASURES[name](200, 16, 4, 0.35, channel=Hybrid(4, 0.1))
        assert abs(value - mean) <= 4 * error


@pytest.mark.parametrize(
    "channel, printed",
    [
        (Absorbing(4), ".719310"),
        (Hybrid(4, 0.05), ".635034"),
        (Hybrid(4, 0.1), ".565770"),
        (Hybrid(4, 0.3), ".384037"),
        (Hybrid(4, 0.6), ".262275"),
        (Hybrid(4, 0.95), ".229374"),
        (Uniform(4), ".229107"),
    ],
)
def test_retrieval_from_absorbing_to_uniform(channel, printed):
    assert_digits(retrieval_probability(200, 16, 4, 0.3, channel=channel), printed)


CRITICAL = """
4,.3 .21640426 .27652595 .31485571 .37269777 .46477131 .48893720 .48932304
8,.5 .24044917 .29161825 .32432658 .37380449 .45458882 .47696300 .47732788
8,1  .48089835 .54655898 .58585307 .63751566 .69364047 .70256170 .70268600
"""


@pytest.mark.parametrize("line", CRITICAL.strip().split("\n"))
def test_table_of_critical_lines(line):
    problem, *printed = line.split()
    V, load = int(problem[0]), float(problem[2:])
    between = [Hybrid(V, p) for p in (0.05, 0.1, 0.2, 0.5, 0.9)]
    for channel, value in zip([Absorbing(V), *between, Uniform(V)], printed, strict=True):
        assert_digits(critical_alpha(load, V, channel=channel), value)


def test_critical_lines_near_the_ends():
    assert_digits(critical_alpha(0.3, 4, channel=Hybrid(4, 1e-6)), ".21641006")
    assert_digits(critical_alpha(0.3, 4, channel=Hybrid(4, 1 - 1e-6)), ".48932304")
    for channel in (Absorbing(7), Hybrid(7, 0.2), Uniform(7)):
        ends = critical_alpha([0.0, np.log(7)], 7, channel=channel)
        np.testing.assert_array_equal(ends, [0.0, 1.0])


def test_basin_radius_is_where_retrieval_crosses():
    sizes = np.array([1.0, 50.0, 1000.0, 1e9])
    for channel in (Absorbing(4), Hybrid(4, 0.1), Uniform(4)):
        radii = basin_radius(sizes, 12, 4, channel=channel)
        assert radii[0] == 1 and np.isnan(radii[3])
        for K, t in zip(sizes[1:3], radii[1:3], strict=True):
            alpha = LogLinear().alpha(np.array([t - 1e-9, t + 1e-9]))
            found = retrieval_probability(K, 12, 4, alpha, channel=channel)
            assert found[0] > 0.5 > found[1]
    assert basin_radius(1000, 32, 4, channel=Absorbing(4)) == erasures.basin_radius(1000, 32, 4)
    assert basin_radius(1000, 32, 4, channel=Uniform(4)) == basin_radius(1000, 32, 4)


# --- enumeration of all stored sets and all queries


def kernel_of(channel, alpha):
    """q(z | x) with the mask as the last value, (V, V + 1)."""
    V = channel.vocab_size
    keep, redraw, mask, _ = channel.rates(alpha)
    visible = keep * np.eye(V) + redraw / V
    return np.concatenate([visible, np.full((V, 1), mask)], axis=1)


def channel_table(kernel, seq_len):
    """q(x_t | x_0) for all sequences, (V^L, (V + 1)^L)."""
    table = kernel
    for _ in range(seq_len - 1):
        table = np.einsum("ab,cd->acbd", table, kernel).reshape(
            table.shape[0] * kernel.shape[0], -1
        )
    return table


def enumerated(K, L, V, alpha, channel, split):
    clean = oracles.all_sequences(V, L)
    noisy = oracles.all_sequences(V + 1, L)
    table = channel_table(kernel_of(channel, alpha), L)
    corrupted = clean[:, None] != noisy[None]  # (x_0, x_t, L)
    first = int(split == "test")
    sums = dict.fromkeys(MEASURES, 0.0)
    count = len(clean) ** (K + first)
    for chosen in product(range(len(clean)), repeat=K + first):
        prob, stored = table[chosen[0]] / count, np.array(chosen[first:])
        likely = table[stored]  # (K, x_t)
        likely = np.where(prob > 0, likely, 1.0)  # queries that cannot be
        weights = likely / likely.sum(axis=0)
        best = np.isclose(likely, likely.max(axis=0), rtol=1e-9)
        laws = {"map": best / best.sum(axis=0), "sample": weights}
        sums["right"] += prob @ laws["map"][0]
        sums["weight"] += prob @ weights[0]
        sums["entropy"] += prob @ oracles.entropy(weights, axis=0)
        agree = clean[stored] == clean[chosen[0]]  # (K, L)
        for decoder, law in laws.items():
            found = np.einsum("kt,kl->tl", law, agree)
            sums[f"{decoder}_all"] += prob @ found.mean(axis=1)
            sums[f"{decoder}_corrupted"] += prob @ (found * corrupted[chosen[0]]).sum(axis=1)
    _, redraw, mask, _ = channel.rates(alpha)
    for decoder in ("map", "sample"):
        sums[f"{decoder}_corrupted"] /= L * (mask + redraw * (V - 1) / V)
    sums["known"] = np.log(K) - sums["entropy"]
    return sums


TINY = [
    (3, 2, 2, 0.4, Hybrid(2, 0.3)),
    (2, 3, 2, 0.6, Hybrid(2, 0.1)),
    (2, 2, 3, 0.5, Hybrid(3, 0.5)),
    (3, 2, 2, 0.4, Absorbing(2)),
    (2, 2, 3, 0.5, Absorbing(3)),
]


@pytest.mark.parametrize("K, L, V, alpha, channel", TINY)
def test_enumeration_of_stored_queries(K, L, V, alpha, channel):
    exact = enumerated(K, L, V, alpha, channel, "train")
    for name, measure in MEASURES.items():
        assert_close(measure(K, L, V, alpha, channel=channel), exact[name])


@pytest.mark.parametrize("K, L, V, alpha, channel", TINY[:3])
def test_enumeration_of_unseen_queries(K, L, V, alpha, channel):
    exact = enumerated(K, L, V, alpha, channel, "test")
    for name, measure in UNSEEN.items():
        assert_close(measure(K, L, V, alpha, channel=channel), exact[name])


# --- limits and ends


def every(args, channel):
    values = [measure(*args, channel=channel) for measure in MEASURES.values()]
    return values + [measure(*args, channel=channel) for measure in UNSEEN.values()]


@given(strategies.memories())
def test_the_ends_of_the_hybrid_are_the_other_channels(problem):
    args, V = tuple(problem.values()), problem["vocab_size"]
    assert every(args, Hybrid(V, 0)) == every(args, Absorbing(V))
    assert every(args, Hybrid(V, 1)) == every(args, Uniform(V)) == every(args, None)


@pytest.mark.parametrize("args", [(200, 12, 4, 0.35), (8, 8, 2, 0.6)])
def test_few_redrawn_tokens_give_the_absorbing_channel(args):
    """Averages differ by about the probability of a redrawn token, 12 u, times its effect."""
    channel, absorbing = Hybrid(args[2], 1e-11), Absorbing(args[2])
    for measure in [*MEASURES.values(), UNSEEN["entropy"], UNSEEN["map_corrupted"]]:
        assert_close(measure(*args, channel=channel), measure(*args, channel=absorbing), atol=1e-8)


def test_only_erasures_keep_what_an_unseen_query_shows():
    """A stored sequence fits no unseen query; a decoder of masks leaves visible tokens alone."""
    args = (200, 12, 4, 0.35)
    kept = UNSEEN["map_all"](*args, channel=Absorbing(4))
    assert_close(kept, 0.35 + 0.65 / 4)
    assert UNSEEN["map_all"](*args, channel=Hybrid(4, 1e-11)) < kept - 0.05


@pytest.mark.parametrize("args", [(200, 12, 4, 0.35), (8, 8, 2, 0.6)])
def test_few_masks_give_the_uniform_channel(args):
    channel = Hybrid(args[2], 1 - 1e-13)
    assert_close(every(args, channel), every(args, None), atol=1e-10)


def test_absorbing_is_the_module_of_erasures():
    args, channel = (60.5, 10, 3, np.array([0.2, 0.7])), Absorbing(3)
    for split in ("train", "test"):
        np.testing.assert_array_equal(
            token_recovery(*args, tokens="corrupted", split=split, channel=channel),
            erasures.token_recovery(*args, split=split),
        )
        np.testing.assert_array_equal(
            posterior_entropy(*args, split=split, channel=channel),
            erasures.posterior_entropy(*args, split=split),
        )
    np.testing.assert_array_equal(
        true_weight(*args, channel=channel), erasures.retrieval_probability(*args)
    )


def test_noiseless_and_blind_queries():
    channel = Hybrid(4, 0.2)
    for name, measure in MEASURES.items():
        clean, blind = measure(50, 8, 4, np.array([1.0, 0.0]), channel=channel)
        assert_close(clean, MEASURES[name](50, 8, 4, 1.0))
        if name in ("right", "weight"):
            assert_close(blind, 1 / 50)
    near = token_recovery(50, 8, 4, 1 - 1e-12, tokens="corrupted", channel=channel)
    limit = token_recovery(50, 8, 4, 1.0, tokens="corrupted", channel=channel)
    # masks are a share sqrt(t) / B = 4e-12 of the corrupted tokens there
    assert_close(near, limit, rtol=1e-9)


def test_arrays_broadcast_and_agree_with_scalars():
    K, alpha, channel = np.array([3.0, 40.0])[:, None], np.array([0.2, 0.6]), Hybrid(4, 0.2)
    for measure in MEASURES.values():
        grid = measure(K, 10, 4, alpha, channel=channel)
        single = [[measure(k, 10, 4, a, channel=channel) for a in alpha] for k in K[:, 0]]
        assert grid.shape == (2, 2) and type(single[0][0]) is float
        assert_close(grid, np.array(single), atol=1e-12)


# --- the order of channels: masks become uniform tokens by drawing them


@given(strategies.memories(strategies.inner_alphas), st.floats(0.01, 0.99))
def test_memories_in_the_order_of_channels(problem, p):
    V = problem["vocab_size"]
    chain = [Absorbing(V), Hybrid(V, p), Uniform(V)]
    for name, sign in (
        ("right", 1),
        ("weight", 1),
        ("known", 1),
        ("sample_all", 1),
        ("entropy", -1),
    ):
        found = [sign * MEASURES[name](**problem, channel=channel) for channel in chain]
        assert found[0] >= found[1] - 1e-11 >= found[2] - 2e-11, name


@given(st.integers(0, 10**6), strategies.inner_alphas, st.floats(0.01, 0.99))
def test_sources_in_the_order_of_channels(seed, alpha, p):
    rng = np.random.default_rng(seed)
    V, L = (2, 3) if seed % 2 else (3, 2)
    law = oracles.random_law(rng, V, L)
    clean = oracles.all_sequences(V, L)

    def measures(channel):
        joint = law[:, None] * channel_table(kernel_of(channel, alpha), L)
        seen = joint.sum(axis=0)
        posterior = joint[:, seen > 0] / seen[seen > 0]
        seen = seen[seen > 0]
        token = np.stack(
            [[posterior[clean[:, i] == v].sum(axis=0) for v in range(V)] for i in range(L)]
        )
        return np.array(
            [
                seen @ posterior.max(axis=0),
                seen @ (posterior**2).sum(axis=0),
                -seen @ oracles.entropy(posterior, axis=0),
                np.mean((token**2).sum(axis=1) @ seen),
                np.mean(token.max(axis=1) @ seen),
            ]
        )

    absorbing, hybrid, uniform = map(measures, (Absorbing(V), Hybrid(V, p), Uniform(V)))
    assert np.all(absorbing >= hybrid - 1e-12) and np.all(hybrid >= uniform - 1e-12)


# --- bad input


@pytest.mark.parametrize("measure", MEASURES.values())
@pytest.mark.parametrize("channel", [Uniform(5), Absorbing(5), Hybrid(3, 0.1), Hybrid(3, 1)])
def test_another_vocabulary_is_refused(measure, channel):
    with pytest.raises(ValueError, match=r"The channel has \d values"):
        measure(10, 8, 4, 0.5, channel=channel)


def test_another_vocabulary_is_refused_by_the_lines():
    for call in (
        lambda c: critical_alpha(0.3, 4, channel=c),
        lambda c: basin_radius(9, 8, 4, channel=c),
    ):
        with pytest.raises(ValueError, match="The channel has 5 values"):
            call(Absorbing(5))


def test_a_channel_must_be_one():
    with pytest.raises((TypeError, ValueError), match="got 'absorbing'"):
        retrieval_probability(10, 8, 4, 0.5, channel="absorbing")


def test_arguments_are_checked_first_as_without_a_channel():
    with pytest.raises(ValueError, match="`train_size` must be finite"):
        retrieval_probability(0, 8, 4, 0.5, channel=Absorbing(4))
    with pytest.raises(ValueError, match="must be one of map, sample; got 'argmax'"):
        token_recovery(9, 8, 4, 0.5, decoder="argmax", channel=Absorbing(4))

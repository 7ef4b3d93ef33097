"""Random-pattern formulas against printed tables, enumeration, Monte Carlo and their limits."""

from __future__ import annotations

import functools
import inspect
import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory import _posterior_average, channel, empirical
from am_theory.channel import (
    Linear,
    LogLinear,
    ScheduleDomainError,
    capacity,
    corruption_rate,
    dispersion,
    inverse_temperature,
)
from am_theory.empirical import (
    basin_radius,
    critical_alpha,
    posterior_entropy,
    retrieval_probability,
    retrieval_probability_normal,
    token_recovery,
    true_weight,
)
from tests import oracles, strategies
from tests.helpers import assert_close, assert_digits, within_standard_errors

SCHEDULE = LogLinear()

corrupted_map = functools.partial(token_recovery, tokens="corrupted")
sampled = functools.partial(token_recovery, decoder="sample")
corrupted_sample = functools.partial(token_recovery, decoder="sample", tokens="corrupted")

# --- printed tables

CRITICAL = [
    (2, 0.05, "0.31356320", "0.68712393"),
    (2, 0.20, "0.61034567", "0.39004437"),
    (2, 0.50, "0.90362251", "0.09647397"),
    (3, 0.10, "0.32741245", "0.67326081"),
    (4, 0.10, "0.27556309", "0.72516207"),
    (4, 0.30, "0.48932304", "0.51118815"),
    (4, 0.60, "0.69659647", "0.30370724"),
    (8, 0.20, "0.28437048", "0.71634586"),
    (8, 0.50, "0.47732788", "0.52319532"),
    (8, 1.0, "0.70268600", "0.29761162"),
    (16, 0.50, "0.37158491", "0.62904413"),
    (64, 1.0, "0.39047875", "0.61013138"),
    (256, 2.0, "0.48321305", "0.51730425"),
]


@pytest.mark.parametrize("vocab_size, load, alpha, t", CRITICAL)
def test_critical_table(vocab_size, load, alpha, t):
    assert_digits(critical_alpha(load, vocab_size), alpha)
    assert_digits(SCHEDULE.time_at(critical_alpha(load, vocab_size)), t)


FIRST = [
    (8, 8, 2, 0.5, ".528828", ".397727", ".746275", "1.278266", ".808041"),
    (50, 12, 3, 0.4, ".369572", ".227058", ".545693", "2.305898", ".641413"),
    (200, 16, 4, 0.3, ".229107", ".106674", ".380844", "3.491830", ".482871"),
    (200, 16, 4, 0.5, ".648520", ".540717", ".706171", "1.326218", ".778149"),
    (1000, 20, 2, 0.6, ".306661", ".170636", ".715379", "3.196825", ".780682"),
    (500, 16, 8, 0.3, ".364037", ".231904", ".370985", "2.990524", ".487407"),
]


@pytest.mark.parametrize("K, L, V, alpha, retrieval, weight, sample, entropy, nearest", FIRST)
def test_finite_size_table(K, L, V, alpha, retrieval, weight, sample, entropy, nearest):
    args = (K, L, V, alpha)
    assert_digits(retrieval_probability(*args), retrieval)
    assert_digits(true_weight(*args), weight)
    assert_digits(sampled(*args), sample)
    assert_digits(posterior_entropy(*args), entropy)
    assert_digits(token_recovery(*args), nearest)


# Monte Carlo columns with their standard errors, and the recovery of the Bayes choice by token.
SIMULATED = """
8,8,2,.5    .5287 .0091 .4028 .0048 .7490 .0026 1.2739 .0065 .823 .004
50,12,3,.4  .3843 .0089 .2319 .0045 .5480 .0031 2.295  .011  .667 .005
200,16,4,.3 .2277 .0077 .1062 .0031 .3801 .0025 3.491  .011  .513 .004
200,16,4,.5 .6397 .0088 .5372 .0069 .7037 .0046 1.329  .018  .785 .005
1000,20,2,.6 .293 .012  .1706 .0061 .7150 .0028 3.202  .022  .809 .003
500,16,8,.3 .3727 .0088 .2473 .0057 .3844 .0048 2.943  .021  .523 .006
"""


@pytest.mark.parametrize("line", SIMULATED.strip().split("\n"))
def test_simulated_columns_of_the_finite_size_table(line):
    problem, *printed = line.split()
    K, L, V, alpha = (float(x) for x in problem.split(","))
    args, columns = (K, int(L), int(V), alpha), np.array(printed, dtype=float).reshape(-1, 2)
    measures = (retrieval_probability, true_weight, sampled, posterior_entropy)
    for measure, (mean, error) in zip(measures, columns, strict=False):
        assert abs(measure(*args) - mean) < 4 * error
    best, error = columns[-1]  # bounds on it: a draw, the nearest sequence, and sum p^2 >= max^2
    assert max(sampled(*args), token_recovery(*args)) < best + 4 * error
    assert best - 4 * error < np.sqrt(sampled(*args))


@pytest.mark.parametrize(
    "vocab_size, t, printed",
    [
        (4, 0.3, ".7798"),
        (4, 0.5, "1.0729"),
        (4, 0.6, "1.1819"),
        (4, 0.7, "1.2681"),
        (8, 0.7, "1.8586"),
        (8, 0.8, "1.9722"),
    ],
)
def test_entropy_of_a_lone_token_table(vocab_size, t, printed):
    assert_digits(np.log(vocab_size) - capacity(SCHEDULE.alpha(t), vocab_size), printed)


@pytest.mark.parametrize(
    "args, nearest, sample",
    [
        ((8, 8, 2, 0.5), ".486298", ".492550"),
        ((50, 12, 3, 0.4), ".377775", ".338859"),
        ((200, 16, 4, 0.5), ".601402", ".519739"),
        ((64, 32, 8, 0.15), ".416823", ".304205"),
    ],
)
def test_corrupted_token_table(args, nearest, sample):
    assert_digits(corrupted_map(*args), nearest)
    assert_digits(corrupted_sample(*args), sample)


SECOND = """
100,16,4,.5  .63483636 .76218899 0.96310536 .82305336 .68143458 .60708936
1000,32,4,.5 .83116616 .88866085 0.45860330 .91878359 .85839587 .81508457
1000,32,4,.6 .52385361 .67827323 1.55082944 .75527430 .63408125 .54844943
1e4,32,8,.6  .74630740 .79580219 0.84815930 .84498428 .78281613 .72344103
1e4,32,8,.7  .34117110 .45976834 2.86705497 .56431838 .46053677 .35989841
1e6,64,8,.6  .94706098 .95687782 0.16962035 .96806897 .95543840 .94085699
1e3,64,2,.5  .72958806 .88471933 0.75170914 .91641996 .81969936 .76920788
"""


@pytest.mark.parametrize("line", SECOND.strip().split("\n"))
def test_second_finite_size_table(line):
    problem, *printed = line.split()
    K, L, V, t = (float(x) for x in problem.split(","))
    args = (K, int(L), int(V), SCHEDULE.alpha(t))
    measures = (true_weight, sampled, posterior_entropy, token_recovery)
    for measure, digits in zip((*measures, corrupted_map, corrupted_sample), printed, strict=True):
        assert_digits(measure(*args), digits)


UNSEEN = """
4    .932823 .308371 .211125
16   .823663 .350799 .182868
64   .696780 .381634 .162331
256  .586057 .403834 .147547
1024 .510064 .419111 .137372
8192 .456027 .431862 .128880
1e5  .440089 .436946 .125494
"""


@pytest.mark.parametrize("line", UNSEEN.strip().split("\n"))
def test_seen_and_unseen_table(line):
    K, train, test, corrupted = line.split()
    args = (float(K), 12, 4, SCHEDULE.alpha(0.5))
    assert_digits(sampled(*args), train)
    assert_digits(sampled(*args, split="test"), test)
    assert_digits(corrupted_sample(*args, split="test"), corrupted)


def test_seen_and_unseen_meet_at_the_printed_sizes():
    gaps = {
        (12, 4): ("4.7905", "6.7586", "10.1637"),
        (16, 4): ("6.0830", "8.3331", "12.1360"),
        (24, 4): ("8.6675", "11.4047", "15.9183"),
        (16, 8): ("10.5256", "13.4408", "18.3554"),
    }
    alpha = SCHEDULE.alpha(0.5)
    for (L, V), printed in gaps.items():
        for level, digits in zip((0.25, 0.1, 0.01), printed, strict=True):
            # The gap falls with K, so it must cross the level inside the last printed digit.
            K = np.exp(float(digits) + 0.5e-4 * np.array([-1.01, 1.01]))
            gap = sampled(K, L, V, alpha) - sampled(K, L, V, alpha, split="test")
            assert gap[0] > level > gap[1]
    assert_digits(12 * capacity(alpha, 4), "3.7603")
    p = alpha + (1 - alpha) / 4
    assert_digits(p**2 + (1 - p) ** 2 / 3, ".437875")
    assert_close(sampled(1e12, 12, 4, alpha, split="test"), p**2 + (1 - p) ** 2 / 3, rtol=1e-6)


BASINS = """
100,16,4  .994722  .881938 .725803 .516470 .304703 .141463 .047749 .607475 .384111 .521613
1e3,32,4  .999968  .977679 .876346 .634606 .323462 .101213 .016389 .642914 .484980 .588359
1e4,32,8  1.000000 .997325 .964878 .806530 .463453 .134057 .012048 .690587 .555843 .651486
1e6,64,8  1.000000 .999997 .999057 .960733 .653920 .147130 .003689 .728213 .635389 .703855
1e3,64,2  .999956  .960706 .802779 .503465 .214263 .058725 .010022 .601061 .451539 .544495
1e4,128,2 1.000000 .999427 .974560 .770090 .339431 .063237 .004384 .663617 .554563 .625892
"""


@pytest.mark.parametrize("line", BASINS.strip().split("\n"))
def test_retrieval_and_basin_table(line):
    problem, *printed = line.split()
    K, L, V = (float(x) for x in problem.split(","))
    L, V = int(L), int(V)
    probability = retrieval_probability(
        K, L, V, SCHEDULE.alpha(np.array([0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]))
    )
    for value, digits in zip(probability, printed[:7], strict=True):
        assert_digits(value, digits)
    assert_digits(basin_radius(K, L, V), printed[7])
    assert_digits(basin_radius(K, L, V, 0.9), printed[8])
    assert_digits(SCHEDULE.time_at(critical_alpha(np.log(K) / L, V)), printed[9])


@pytest.mark.parametrize(
    "L, printed",
    [
        (32, (".1998", ".5122", ".8520")),
        (128, (".1762", ".5037", ".8504")),
        (512, (".1664", ".5015", ".8470")),
        (2048, (".1623", ".5007", ".8444")),
    ],
)
def test_normal_approximation_collapse(L, printed):
    alpha = SCHEDULE.alpha(0.5)
    spread = np.sqrt(L * dispersion(alpha, 4))
    K = np.exp(L * capacity(alpha, 4) + np.log(L) / 2 - np.array([-1, 0, 1]) * spread)
    for value, digits in zip(retrieval_probability(K, L, 4, alpha), printed, strict=True):
        assert_digits(value, digits)
    for value, digits in zip(
        retrieval_probability_normal(K, L, 4, alpha), (".1587", ".5000", ".8413"), strict=True
    ):
        assert_digits(value, digits)


def nelbo_of_the_empirical_denoiser(K, L, V, t, split):
    """Training loss a sequence from noise level t on, through E log Z = E H + beta E sum w m.

    It is the divergence of q(x_t | x_0) from the law of the noisy stored sequences.
    """
    alpha = SCHEDULE.alpha(t)
    beta, changed = inverse_temperature(alpha, V), corruption_rate(alpha, V)
    matches = L * (1 - changed)
    if split == "test":
        matches = L - L * (V - 1) * corrupted_sample(K, L, V, alpha, split="test")
    log_z = posterior_entropy(K, L, V, alpha, split=split) + beta * matches
    noise = oracles.entropy(np.array([changed, 1 - changed])) + changed * np.log(V - 1)
    return np.log(K) - log_z - L * (np.log((1 - alpha) / V) + noise)


@pytest.mark.parametrize(
    "K, train, test",
    [(4, "1.365414", "12.160985"), (64, "3.918485", "9.358658"), (1024, "5.847619", "8.094399")],
)
def test_training_loss_table(K, train, test):
    assert_digits(nelbo_of_the_empirical_denoiser(K, 12, 4, 0.3, "train"), train)
    assert_digits(nelbo_of_the_empirical_denoiser(K, 12, 4, 0.3, "test"), test)


def test_training_loss_of_a_memorizer_tends_to_log_k():
    assert_digits(nelbo_of_the_empirical_denoiser(64, 12, 4, 1e-4, "train"), "4.158880")


def test_mean_true_weight_at_the_critical_load():
    assert_digits(true_weight(np.exp(0.3127515147 * 256), 256, 4, 0.5), ".5236")


# --- enumeration of every set of stored sequences

ENUMERATED = [(1, 3, 2), (3, 3, 2), (4, 3, 2), (5, 2, 2), (3, 2, 3), (2, 1, 5), (3, 1, 3)]


@functools.cache
def enumerated(K, L, V, alpha, split):
    return oracles.pattern_set_averages(K, L, V, alpha, split)


@pytest.mark.parametrize("alpha", [0.0, 0.35, 0.9, 1.0])
@pytest.mark.parametrize("K, L, V", ENUMERATED)
def test_train_split_equals_enumeration(K, L, V, alpha):
    exact = enumerated(K, L, V, alpha, "train")
    args = (K, L, V, alpha)
    assert_close(retrieval_probability(*args), exact["retrieval"])
    assert_close(true_weight(*args), exact["true_weight"])
    assert_close(posterior_entropy(*args), exact["entropy"], rtol=1e-10, atol=1e-10)
    for decoder, tokens in product(("map", "sample"), ("all", "corrupted")):
        if alpha == 1 and tokens == "corrupted":
            continue  # nothing is corrupted there; the limit is tested below
        value = token_recovery(*args, decoder=decoder, tokens=tokens)
        assert_close(value, exact[f"{decoder}_{tokens}"])


@pytest.mark.parametrize("alpha", [0.0, 0.35, 0.9, 1.0])
@pytest.mark.parametrize("K, L, V", [(1, 3, 2), (3, 3, 2), (4, 2, 2), (2, 2, 3), (3, 1, 4)])
def test_test_split_equals_enumeration(K, L, V, alpha):
    exact = enumerated(K, L, V, alpha, "test")
    args = (K, L, V, alpha)
    assert_close(posterior_entropy(*args, split="test"), exact["entropy"], rtol=1e-10, atol=1e-10)
    for decoder, tokens in product(("map", "sample"), ("all", "corrupted")):
        if alpha == 1 and tokens == "corrupted":
            continue
        value = token_recovery(*args, decoder=decoder, tokens=tokens, split="test")
        assert_close(value, exact[f"{decoder}_{tokens}"], rtol=1e-10)


def test_corrupted_recovery_at_alpha_one_is_the_limit():
    near = 1 - 1e-7
    for decoder, split in product(("map", "sample"), ("train", "test")):
        keywords = {"decoder": decoder, "tokens": "corrupted", "split": split}
        limit = token_recovery(5, 4, 3, 1.0, **keywords)
        assert_close(token_recovery(5, 4, 3, near, **keywords), limit, rtol=1e-5)
    exact = enumerated(3, 3, 2, near, "train")
    assert_close(corrupted_map(3, 3, 2, 1.0), exact["map_corrupted"], rtol=1e-6)
    assert_close(corrupted_sample(3, 3, 2, 1.0), exact["sample_corrupted"], rtol=1e-6)


# --- Monte Carlo


def simulate(rng, K, L, V, alpha, split, sets=1500):
    """Entropy, and recovery of all and of corrupted tokens by the nearest, one draw a set."""
    beta = np.log1p(V * alpha / (1 - alpha))
    results = {"entropy": [], "all": [], "corrupted": []}
    for _ in range(sets):
        patterns = rng.integers(0, V, (K, L))
        x_0 = patterns[0] if split == "train" else rng.integers(0, V, L)
        x_t = np.where(rng.random(L) < alpha, x_0, rng.integers(0, V, L))
        matches = (patterns == x_t).sum(axis=1)
        weights = np.exp(beta * (matches - matches.max()))
        chosen = patterns[rng.choice(np.flatnonzero(matches == matches.max()))]
        results["entropy"].append(oracles.entropy(weights / weights.sum()))
        results["all"].append(np.mean(chosen == x_0))
        share = np.sum((chosen == x_0) & (x_t != x_0)) / (L * (1 - alpha) * (V - 1) / V)
        results["corrupted"].append(share)
    return results


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("K, L, V, alpha", [(60, 12, 4, 0.45), (25, 20, 2, 0.5)])
def test_against_simulation(K, L, V, alpha, split):
    drawn = simulate(np.random.default_rng(11), K, L, V, alpha, split)
    args = (K, L, V, alpha)
    within_standard_errors(drawn["entropy"], posterior_entropy(*args, split=split))
    within_standard_errors(drawn["all"], token_recovery(*args, split=split))
    within_standard_errors(drawn["corrupted"], corrupted_map(*args, split=split))


# --- properties and limits


@given(strategies.memories())
def test_bounds_and_ends(problem):
    K, V, alpha = problem["train_size"], problem["vocab_size"], problem["alpha"]
    retrieval, weight = retrieval_probability(**problem), true_weight(**problem)
    entropy, slack = posterior_entropy(**problem), 1e-12
    assert 1 / K - slack <= weight <= retrieval + slack <= 1 + 2 * slack
    assert 0 <= entropy <= np.log(K) + slack
    assert entropy >= -np.log(weight) - slack  # Jensen: E H = -E log w_true
    assert 0 <= posterior_entropy(**problem, split="test") <= np.log(K) + 1e-10
    for decoder, tokens, split in product(
        ("map", "sample"), ("all", "corrupted"), ("train", "test")
    ):
        value = token_recovery(**problem, decoder=decoder, tokens=tokens, split=split)
        assert 0 <= value <= 1
    if K == 1:
        assert_close([retrieval, weight, token_recovery(**problem), sampled(**problem)], np.ones(4))
        assert entropy == 0
    if alpha == 0:
        assert_close([retrieval, weight], np.full(2, 1 / K))
        assert_close(entropy, np.log(K))
        assert_close(sampled(**problem, split="test"), 1 / V)


@given(strategies.memories(), strategies.alphas)
def test_retrieval_falls_with_load_and_noise(problem, other):
    less, more = sorted((problem["alpha"], other))
    K, L, V = problem["train_size"], problem["seq_len"], problem["vocab_size"]
    grid = retrieval_probability(
        np.array([K, K + 1, 10 * K])[:, None], L, V, np.array([less, more])
    )
    assert np.all(np.diff(grid, axis=0) <= 1e-12) and np.all(np.diff(grid, axis=1) >= -1e-12)
    entropy = posterior_entropy(np.array([K, K + 1, 10 * K])[:, None], L, V, np.array([less, more]))
    assert np.all(np.diff(entropy, axis=0) >= -1e-12) and np.all(np.diff(entropy, axis=1) <= 1e-12)


@given(st.floats(1e-9, 1.0), strategies.vocab_sizes)
def test_critical_alpha_inverts_the_capacity(share, vocab_size):
    load = share * np.log(vocab_size)
    assert_close(capacity(critical_alpha(load, vocab_size), vocab_size), load, rtol=1e-11, atol=0)


def test_critical_alpha_ends():
    np.testing.assert_array_equal(critical_alpha([0.0, np.log(7)], 7), [0.0, 1.0])
    assert_close(critical_alpha(1e-12, 3), 1e-6, rtol=1e-6)  # C -> (V - 1) alpha^2 / 2
    assert type(critical_alpha(0.1, 4)) is float


@given(strategies.memories(alpha=st.just(0.5)), st.floats(0.05, 0.95))
def test_basin_radius_is_where_retrieval_crosses(problem, threshold):
    K, L, V = problem["train_size"], problem["seq_len"], problem["vocab_size"]
    for schedule in (LogLinear(), Linear()):
        t = basin_radius(K, L, V, threshold, schedule)
        if np.isnan(t):
            assert retrieval_probability(K, L, V, 1.0) < threshold
        else:
            assert retrieval_probability(K, L, V, schedule.alpha(t)) >= threshold - 1e-12
            if t < 1 - 1e-6:
                beyond = retrieval_probability(K, L, V, schedule.alpha(t + 1e-6))
                assert beyond < threshold


def test_basin_radius_ends_and_shapes():
    assert basin_radius(1, 8, 3, 0.99) == 1.0
    assert basin_radius(3, 8, 3, 0.2) == 1.0  # even pure guessing meets the threshold
    assert np.isnan(basin_radius(100, 1, 2, 0.5))  # two sequences cannot tell 100 apart
    radii = basin_radius(np.geomspace(1, 1e12, 7), 16, 4)
    assert radii.shape == (7,) and radii[0] == 1.0
    assert np.all(np.diff(radii[np.isfinite(radii)]) <= 0)


def test_nearest_sequence_on_an_unseen_query_tends_to_keeping_it():
    """With every sequence stored, the nearest one is the query itself."""
    alpha = 0.6
    assert_close(token_recovery(1e12, 4, 3, alpha, split="test"), alpha + (1 - alpha) / 3)
    assert_close(corrupted_map(1e12, 4, 3, alpha, split="test"), 0.0)


EXTREME = [
    (1, 1, 2, 0.5),
    (2, 3, 2, 0.5),
    (1e12, 1, 2, 0.999),
    (1e12, 64, 65536, 0.0),
    (1e12, 64, 65536, 1.0),
    (1e12, 256, 2, 0.1),
    (1e12, 4096, 2, 0.2),
    (1e12, 4096, 65536, 1e-3),
    (7, 4096, 65536, 1 - 1e-13),
]


@pytest.mark.parametrize("args", EXTREME)
@pytest.mark.filterwarnings("error")
def test_extreme_sizes_give_finite_numbers_without_warnings(args):
    K = args[0]
    values = [
        retrieval_probability(*args),
        true_weight(*args),
        token_recovery(*args),
        corrupted_map(*args),
        sampled(*args),
        sampled(*args, split="test"),
        token_recovery(*args, split="test"),
    ]
    assert all(type(value) is float for value in values)
    assert all(0 <= value <= 1 for value in values)
    assert values[1] <= values[0] * (1 + 1e-9)
    for split in ("train", "test"):
        assert 0 <= posterior_entropy(*args, split=split) <= np.log(K) * (1 + 1e-12) + 1e-10


def test_halving_the_quadrature_step_changes_nothing(monkeypatch):
    problems = [(2, 3, 2, 0.5), (1e12, 64, 16, 0.4), (20.5, 12, 4, 0.3), (1.5, 6, 3, 0.7)]

    def everything():
        rows = []
        for K, L, V, alpha in problems:
            for kernel in (_posterior_average.seen_averages, _posterior_average.unseen_averages):
                rows.append(np.concatenate(kernel(np.array([K]), L, V, alpha)))
        return np.concatenate(rows)

    coarse = everything()
    monkeypatch.setattr(_posterior_average, "_STEP", _posterior_average._STEP / 2)
    assert_close(coarse, everything(), rtol=1e-12, atol=1e-13)


def test_arrays_broadcast_and_agree_with_scalars():
    K, alpha = np.array([3, 40, 500])[:, None], np.array([0.2, 0.6])
    for measure in (retrieval_probability, token_recovery, corrupted_map, true_weight, sampled):
        grid = measure(K, 10, 4, alpha)
        assert grid.shape == (3, 2)
        single = [[measure(int(k), 10, 4, a) for a in alpha] for k in K[:, 0]]
        assert_close(grid, np.array(single))
    for split in ("train", "test"):
        grid = posterior_entropy(K, 10, 4, alpha, split=split)
        single = [
            [posterior_entropy(int(k), 10, 4, a, split=split) for a in alpha] for k in K[:, 0]
        ]
        assert_close(grid, np.array(single), atol=1e-12)
    assert token_recovery(K, 10, 4, 0.5, split="test").shape == (3, 1)


def test_speed():
    """Process time of one scalar call, and of a grid; bounds are ten times the usual cost."""
    for limit, call in (
        (0.5, lambda: posterior_entropy(1e6, 256, 64, 0.5)),
        (2.0, lambda: retrieval_probability(np.geomspace(1, 1e12, 100)[:, None], 64, 8, GRID)),
    ):
        start = time.process_time()
        call()
        assert time.process_time() - start < limit


GRID = np.linspace(0, 1, 100)

FUNCTIONS = [
    getattr(module, name)
    for module in (channel, empirical)
    for name in module.__all__
    if inspect.isfunction(getattr(module, name)) and name not in ("logsumexp", "xlogy")
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_docstrings_name_unit_and_source(function):
    """One paragraph each, at the left margin, unit first, and a worked example."""
    paragraphs = inspect.getdoc(function).split("\n\n")
    starts = [p.partition(" ")[0] for p in paragraphs]
    assert starts.count("Unit:") == starts.count("Source:") == 1
    assert starts.index("Unit:") == starts.index("Source:") - 1
    assert paragraphs[-1].startswith(">>> ")


# --- bad input

BAD = [
    (lambda: retrieval_probability(0, 8, 4, 0.5), ValueError, "`train_size` must be finite"),
    (lambda: retrieval_probability(np.inf, 8, 4, 0.5), ValueError, "got inf"),
    (lambda: true_weight([10, 0.5], 8, 4, 0.5), ValueError, "got 0.5. It counts the stored"),
    (lambda: true_weight("ten", 8, 4, 0.5), TypeError, "`train_size` must hold real numbers"),
    (lambda: true_weight(10, 0, 4, 0.5), ValueError, "`seq_len` must be a whole number"),
    (lambda: true_weight(10, 8.0, 4, 0.5), ValueError, "got 8.0"),
    (lambda: true_weight(10, 8, 1, 0.5), ValueError, "`vocab_size` must be a whole number"),
    (lambda: true_weight(10, 8, 4, 1.5), ScheduleDomainError, "`alpha` must lie in [0, 1]"),
    (lambda: true_weight([1, 2], 8, 4, [0.1, 0.2, 0.3]), ValueError, "must broadcast; got shapes"),
    (lambda: token_recovery(9, 8, 4, 0.5, decoder="argmax"), ValueError, "must be one of map, sa"),
    (lambda: token_recovery(9, 8, 4, 0.5, tokens="bad"), ValueError, "one of all, corrupted"),
    (lambda: token_recovery(9, 8, 4, 0.5, split="val"), ValueError, "train, test; got 'val'"),
    (lambda: posterior_entropy(9, 8, 4, 0.5, split=""), ValueError, "`split` must be one of"),
    (lambda: critical_alpha(2.0, 4), ValueError, "`log_load` must lie in [0, log V]"),
    (lambda: critical_alpha(-0.1, 4), ValueError, "got -0.1"),
    (lambda: basin_radius(9, 8, 4, 1.0), ValueError, "`threshold` must lie inside (0, 1); got 1.0"),
    (lambda: basin_radius(9, 8, 4, np.nan), ValueError, "got nan"),
    (lambda: basin_radius(-1, 8, 4), ValueError, "`train_size` must be finite and at least 1"),
]


@pytest.mark.parametrize("call, error, fragment", BAD)
def test_bad_input(call, error, fragment):
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)


@pytest.mark.parametrize("tokens", ["all", "corrupted"])
def test_rounding_never_lifts_a_recovery_above_one(tokens):
    # unguarded, both sums exceed 1 by 2e-16 to 4e-16 here
    for train_size, seq_len, vocab_size, alpha in ((1, 2, 3, 0.65), (1, 31, 3, 0.45)):
        found = empirical.token_recovery(train_size, seq_len, vocab_size, alpha, tokens=tokens)
        assert 1 - 1e-12 < found <= 1

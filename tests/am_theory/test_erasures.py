"""Erased random sequences against printed tables, enumeration, simulation and their limits."""

from __future__ import annotations

import functools
import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln, ndtr

from am_theory import _commonest, _consistent, channel, empirical, erasures
from am_theory.channel import Linear, LogLinear, ScheduleDomainError
from am_theory.erasures import (
    basin_radius,
    critical_alpha,
    information,
    posterior_entropy,
    random_coding_exponent,
    retrieval_error,
    retrieval_probability,
    retrieval_probability_normal,
    strong_converse_exponent,
    token_entropy,
    token_recovery,
    zero_entropy_fraction,
)
from tests import strategies
from tests.helpers import assert_close, assert_digits, within_standard_errors

SCHEDULE = LogLinear()

argmax = functools.partial(token_recovery, decoder="argmax")
sampled = functools.partial(token_recovery, decoder="sample")


def rows(table):
    return [line.split() for line in table.strip().split("\n")]


def numbers(problem):
    K, L, V, *rest = problem.split(",")
    return float(K), int(L), int(V), *map(float, rest)


# --- printed tables: exact columns to their last digit, simulated ones within four errors

# P, E H, masked recovery, H_masked, and the Bayes choice by token or its bracket
FINITE = rows("""
8,8,2,.5     .75571389 .38603577  .84751372 .21555406 .86545756
50,12,3,.3   .57614062 .88877632  .68017429 .49965045 .72074647
200,16,4,.2  .42312840 1.56501326 .53647544 .80238052 .58528:.58795
200,16,4,.3  .71931012 .61510949  .75519757 .40386309 .78035:.78071
1000,20,2,.5 .58468410 .84571565  .76082520 .33955287 .79593:.79606
500,16,8,.2  .57537261 1.24501793 .59008945 .83394380 .62027:.62323
""")


@pytest.mark.parametrize("problem, retrieval, entropy, recovery, token, best", FINITE)
def test_finite_size_table(problem, retrieval, entropy, recovery, token, best):
    args = numbers(problem)
    assert_digits(retrieval_probability(*args), retrieval)
    assert_digits(posterior_entropy(*args), entropy)
    assert_digits(token_recovery(*args), recovery)
    assert_digits(token_entropy(*args), token)
    bounds = argmax(*args)
    if ":" in best:  # a wider bracket, which holds this one
        low, high = map(float, best.split(":"))
        assert low - 5e-6 <= bounds.low <= bounds.high <= high + 5e-6
    else:
        assert_digits(bounds.low, best)
        assert_digits(bounds.high, best)


SIMULATED = rows("""
8,8,2,.5     .743(11) .747(8)  .398(13)  .839(8)  .843(8)  .224(7)  .863(5)
50,12,3,.3   .583(13) .567(10) .897(24)  .683(9)  .683(9)  .507(11) .716(7)
200,16,4,.2  .424(13) .424(10) 1.550(36) .539(10) .546(10) .802(13) .593(7)
200,16,4,.3  .735(11) .724(9)  .598(25)  .770(10) .762(10) .394(13) .781(7)
1000,20,2,.5 .589(6)  .588(5)  .829(12)  .762(4)  .765(4)  .335(4)  .796(3)
500,16,8,.2  .590(13) .585(11) 1.193(41) .604(12) .595(12) .810(22) .629(9)
""")


def within_four_errors(value, printed):
    mean, error = printed.rstrip(")").split("(")
    unit = 10.0 ** -len(mean.partition(".")[2])
    assert abs(value - float(mean)) <= 4 * int(error) * unit, (value, printed)


@pytest.mark.parametrize("problem, nearest, weight, unsure, found, drawn, token, best", SIMULATED)
def test_simulated_columns(problem, nearest, weight, unsure, found, drawn, token, best):
    args = numbers(problem)
    for printed in (nearest, weight):
        within_four_errors(retrieval_probability(*args), printed)
    within_four_errors(posterior_entropy(*args), unsure)
    within_four_errors(token_recovery(*args), found)
    within_four_errors(sampled(*args), drawn)
    within_four_errors(token_entropy(*args), token)
    bounds = argmax(*args)
    for bound in (bounds.low, bounds.high):
        within_four_errors(bound, best)


@pytest.mark.parametrize(
    "problem, printed, drawn",
    [("50,12,3,.2", ".339435", ".349(12)"), ("200,16,4,.2", ".423128", ".424(13)")],
)
def test_filling_one_token_after_another_retrieves_as_often(problem, printed, drawn):
    """Most confident site first, simulated: any rule that ends in a stored sequence that fits."""
    assert_digits(retrieval_probability(*numbers(problem)), printed)
    within_four_errors(retrieval_probability(*numbers(problem)), drawn)


BY_TIME = rows("""
100,16,4,.5 .98408512 .02538222 4.57978796  .98211879 .02660481
1e3,32,4,.7 .96243414 .07002969 6.83772559  .96587429 .05324093
1e4,32,8,.8 .81798374 .51274220 8.69759817  .82230209 .34778638
1e6,64,8,.8 .97920645 .05289310 13.76261746 .97935560 .03845392
1e3,64,2,.8 .81395813 .34994082 6.55781445  .90046351 .14083828
1e12,64,8,.7 .95282185 .15928044 27.47174068 .95207075 .09590523
""")


@pytest.mark.parametrize("problem, retrieval, entropy, known, recovery, token", BY_TIME)
def test_table_by_noise_level(problem, retrieval, entropy, known, recovery, token):
    *sizes, t = numbers(problem)
    args = (*sizes, SCHEDULE.alpha(t))
    assert_digits(retrieval_probability(*args), retrieval)
    assert_digits(posterior_entropy(*args), entropy)
    assert_digits(information(*args), known)
    assert_digits(token_recovery(*args), recovery)
    assert_digits(token_entropy(*args), token)


@pytest.mark.parametrize(
    "problem, log_sizes",
    [
        ((12, 4), ("9.2663", "11.1610", "14.2856")),
        ((16, 4), ("12.1837", "14.3057", "17.7692")),
        ((24, 4), ("17.9793", "20.4902", "24.5591")),
        ((16, 8), ("18.5144", "21.2953", "25.8419")),
    ],
)
def test_size_at_which_stored_and_unseen_are_recovered_alike(problem, log_sizes):
    def gap(log_size):
        args = (np.exp(log_size), *problem, SCHEDULE.alpha(0.5))
        return token_recovery(*args) - token_recovery(*args, split="test")

    for target, printed in zip((0.25, 0.1, 0.01), log_sizes, strict=True):
        half = 0.5e-4
        assert gap(float(printed) - half) >= target >= gap(float(printed) + half)


RADII = rows("""
100,16,4  .808314 .633563 .793173 .521613 .792379 .390819
1e3,32,4  .851916 .746910 .845130 .588359 .844285 .440828
1e4,32,8  .865445 .769613 .862449 .651486 .861586 .569480
1e6,64,8  .898312 .840346 .897087 .703855 .896190 .615258
1e3,64,2  .853704 .774120 .845130 .544495 .844285 .271975
1e4,128,2 .901194 .856311 .897087 .625892 .896190 .312633
""")


@pytest.mark.parametrize("problem, half, most, limit, other, masked, changed", RADII)
def test_table_of_radii(problem, half, most, limit, other, masked, changed):
    K, L, V = numbers(problem)
    assert_digits(basin_radius(K, L, V), half)
    assert_digits(basin_radius(K, L, V, 0.9), most)
    erased, kept = critical_alpha(np.log(K) / L, V), empirical.critical_alpha(np.log(K) / L, V)
    assert_digits(SCHEDULE.time_at(erased), limit)
    assert_digits(SCHEDULE.time_at(kept), other)
    assert_digits(1 - erased, masked)
    assert_digits(channel.corruption_rate(kept, V), changed)


HELD_OUT = rows("""
16,12,4   .27665311 .262(7)  .65212515 .670(9)  1.859164e-6  .99999732
200,12,4  .40517019 .399(8)  .53949061 .540(9)  2.466463e-5  .99996442
200,8,2   .32637118 .325(6)  .49916098 .502(9)  .350283573   .45892615
1000,6,8  .79980954 .749(27) .41074483 .433(18) .0183598379  .97367614
1000,32,4 .29852708 -        .63660666 -        1.126140e-16 1
1e6,64,8  .42816256 -        .55749783 -        7.7297e-52   1
""")


@pytest.mark.parametrize("problem, entropy, drawn, zero, counted, stored, stored_zero", HELD_OUT)
def test_table_of_one_masked_token(problem, entropy, drawn, zero, counted, stored, stored_zero):
    args = (*numbers(problem), 1.0)
    assert_digits(token_entropy(*args, split="test"), entropy)
    assert_digits(zero_entropy_fraction(*args, split="test"), zero)
    assert_digits(token_entropy(*args), stored)
    assert_digits(zero_entropy_fraction(*args), stored_zero)
    if drawn != "-":
        within_four_errors(token_entropy(*args, split="test"), drawn)
        within_four_errors(zero_entropy_fraction(*args, split="test"), counted)


@pytest.mark.parametrize(
    "problem, sequences, token",
    [("100,16,4,.5", ".67707879", ".45546058"), ("1000,32,4,.7", ".84350186", ".53122106")],
)
def test_unseen_queries_at_a_noise_level(problem, sequences, token):
    *sizes, t = numbers(problem)
    args = (*sizes, SCHEDULE.alpha(t))
    assert_digits(posterior_entropy(*args, split="test"), sequences)
    assert_digits(token_entropy(*args, split="test"), token)


NORMAL = rows("""
4   32  .178093 .500372 .821971
4   128 .163972 .500065 .836017
4   512 .160027 .500013 .839972
256 128 .162024 .500872 .837532
""")


@pytest.mark.parametrize("vocab_size, seq_len, below, middle, above", NORMAL)
def test_table_of_the_normal_form(vocab_size, seq_len, below, middle, above):
    V, L, alpha = int(vocab_size), int(seq_len), 0.5
    for z, printed in ((-1, below), (0, middle), (1, above)):
        log_size = L * alpha * np.log(V) + 1 - np.euler_gamma - z * np.log(V) * np.sqrt(L) / 2
        args = (np.exp(log_size), L, V, alpha)
        assert_digits(retrieval_probability(*args), printed)
        assert_close(retrieval_probability_normal(*args), ndtr(z))


@pytest.mark.parametrize(
    "vocab_size, worst",
    [(2, 0.20), (4, 0.085), (8, 0.056), (16, 0.05), (32, 0.055), (64, 0.063), (256, 0.08)],
)
def test_error_of_the_normal_form(vocab_size, worst):
    z, V = np.linspace(-1.5, 1.5, 61), vocab_size
    for L, alpha in product((16, 32, 64, 128), (0.2, 0.35, 0.5, 0.65, 0.8)):
        spread = np.sqrt(L * alpha * (1 - alpha))
        log_size = L * alpha * np.log(V) + 1 - np.euler_gamma - z * np.log(V) * spread
        size = np.exp(log_size[log_size >= 0])
        gap = retrieval_probability(size, L, V, alpha) - retrieval_probability_normal(
            size, L, V, alpha
        )
        assert np.max(np.abs(gap)) * spread <= worst


def test_table_of_exponents():
    for load, printed in zip(
        (0.1, 0.3, 0.5, 0.7), (".49783700", ".29783700", ".11624524", ".01845555"), strict=True
    ):
        assert_digits(random_coding_exponent(load, 4, 0.6), printed)
    for load, printed in zip(
        (0.9, 1.0, 1.2, 1.35), (".00512500", ".03213335", ".17038058", ".32038058"), strict=True
    ):
        assert_digits(strong_converse_exponent(load, 4, 0.6), printed)


def test_exponents_are_slopes_of_exact_logarithms():
    def slope(measure, load, L):
        less, more = (np.log(measure(np.exp(load * n), n, 4, 0.6)) for n in (L, L + 20))
        return (less - more) / 20

    assert_digits(slope(retrieval_probability, 1.35, 200), ".3203805823")
    assert_digits(slope(retrieval_error, 0.5, 100), ".1199")


@given(st.floats(0, 1.5), st.integers(2, 50), strategies.inner_alphas)
def test_exponents_are_maxima_over_rho(share, vocab_size, alpha):
    """E_0(rho) = -log(1 - alpha + alpha V^-rho) of the erasure channel."""
    load = share * np.log(vocab_size)

    def best(rho):
        gallager = -np.log1p(alpha * np.expm1(-rho * np.log(vocab_size)))
        return np.max(gallager - rho * load)

    grid = np.linspace(0, 1, 20001)
    # a maximum on a grid of step 5e-5 is short by less than its curvature, at most
    # log^2 V / 4, times the square of half a step
    assert_close(random_coding_exponent(load, vocab_size, alpha), best(grid), atol=3e-9)
    assert_close(strong_converse_exponent(load, vocab_size, alpha), best(-grid), atol=3e-9)


# --- enumeration of all stored sets


@functools.cache
def enumerated(K, L, V):
    """Averages for each mask over all V^(K L) sets, and all queries on the test split."""
    sequences = np.array(list(product(range(V), repeat=L)))
    out = {}
    for mask in product((False, True), repeat=L):
        shown = np.array(mask)
        sums = {"train": np.zeros(6), "test": np.zeros(6)}
        for chosen in product(range(len(sequences)), repeat=K):
            stored = sequences[list(chosen)]
            sums["train"] += one_query(stored, stored[0], shown, V)
            sums["test"] += np.mean([one_query(stored, x, shown, V) for x in sequences], axis=0)
        out[mask] = {split: total / len(sequences) ** K for split, total in sums.items()}
    return out


def one_query(stored, clean, shown, V):
    """1/N if the first fits, log N, and sums over masked sites: R, argmax, entropy, zero."""
    agreements = np.sum((stored == clean) & shown, axis=1)
    fits = agreements == agreements.max()
    right = fits[0] / fits.sum()
    laws = np.array([np.bincount(stored[fits, i], minlength=V) for i in np.flatnonzero(~shown)])
    if not laws.size:
        return np.array([right, np.log(fits.sum()), 0, 0, 0, 0])
    laws = laws / fits.sum()
    truth = laws[np.arange(len(laws)), clean[~shown]]
    top = laws.max(axis=1, keepdims=True)
    modes = np.isclose(laws, top)
    won = modes[np.arange(len(laws)), clean[~shown]] / modes.sum(axis=1)
    entropy = -np.sum(laws * np.log(np.where(laws > 0, laws, 1)), axis=1)
    return np.array(
        [right, np.log(fits.sum()), truth.sum(), won.sum(), entropy.sum(), np.sum(top > 1 - 1e-9)]
    )


def pooled(K, L, V, alpha, split):
    total, masked = np.zeros(6), 0.0
    for mask, sums in enumerated(K, L, V).items():
        weight = alpha ** sum(mask) * (1 - alpha) ** (L - sum(mask))
        total += weight * sums[split]
        masked += weight * (L - sum(mask))
    names = ("right", "entropy", "recovery", "argmax", "token", "zero")
    found = dict(zip(names, total, strict=True))
    for name in names[2:]:
        found[name] /= masked
    return SimpleNamespace(**found)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.85])
@pytest.mark.parametrize("K, L, V", [(3, 3, 2), (2, 2, 3), (4, 2, 2)])
def test_enumeration_of_all_stored_sets(K, L, V, alpha):
    args, exact = (K, L, V, alpha), pooled(K, L, V, alpha, "train")
    assert_close(retrieval_probability(*args), exact.right)
    assert_close(retrieval_error(*args), 1 - exact.right)
    assert_close(posterior_entropy(*args), exact.entropy)
    assert_close(information(*args), np.log(K) - exact.entropy)
    assert_close(token_recovery(*args), exact.recovery)
    assert_close(token_recovery(*args, tokens="all"), alpha + (1 - alpha) * exact.recovery)
    assert_close(argmax(*args).low, exact.argmax)
    assert_close(argmax(*args).high, exact.argmax)
    assert_close(token_entropy(*args), exact.token)
    assert_close(zero_entropy_fraction(*args), exact.zero)
    unseen = pooled(K, L, V, alpha, "test")
    assert_close(posterior_entropy(*args, split="test"), unseen.entropy)
    assert_close(token_entropy(*args, split="test"), unseen.token)
    assert_close(zero_entropy_fraction(*args, split="test"), unseen.zero)
    assert_close(token_recovery(*args, split="test"), unseen.recovery)
    assert_close(argmax(*args, split="test").low, unseen.argmax)


def test_printed_enumeration():
    args = (3, 3, 2, 0.5)
    assert_digits(retrieval_probability(*args), ".6595052083")
    assert_digits(posterior_entropy(*args), ".5146080526")
    assert_digits(token_recovery(*args), ".7838541667")
    assert_digits(token_entropy(*args), ".3056134319")
    assert_digits(argmax(*args).low, ".81640625")


# --- private sums against direct ones


@pytest.mark.parametrize("K, q", [(8, 0.25), (50, 1 / 3), (200, 1 / 64), (2000, 1e-5)])
def test_averages_over_the_number_that_fit_are_direct_sums(K, q):
    j = np.arange(K)
    log_law = gammaln(K) - gammaln(j + 1) - gammaln(K - j) + j * np.log(q)
    law = np.exp(log_law + (K - 1 - j) * np.log1p(-q))
    size, at = np.array(float(K)), np.array([q])
    # the law itself is good to the last digits of gammaln(K), about 1e-12
    assert_close(_consistent.mean_log(size, at)[0], law @ np.log1p(j), rtol=1e-11)
    assert_close(_consistent.right_share(size, at)[0], law @ (1 / (j + 1)), rtol=1e-11)
    assert_close(_consistent.wrong_share(size, at)[0], law @ (j / (j + 1)), rtol=1e-11)


def test_halving_the_step_changes_nothing(monkeypatch):
    sizes, q = np.array([1.5, 8.0, 1e4, 1e12]), _consistent.fitting(30, 3)
    coarse = _consistent.mean_log(sizes, q)
    monkeypatch.setattr(_consistent, "STEP", _consistent.STEP / 2)
    assert_close(coarse, _consistent.mean_log(sizes, q), rtol=1e-12, atol=0)


@pytest.mark.parametrize("vocab_size", [2, 3, 4, 7, 12])
def test_share_of_the_commonest_token(vocab_size):
    share = _commonest.commonest_share(vocab_size)
    for number in (1, 2, 3, 4):
        draws = product(range(vocab_size), repeat=number)
        mean = np.mean([np.bincount(draw).max() for draw in draws]) / number
        assert_close(share[number - 1], mean)
    assert np.all(np.diff(share) <= 1e-15)
    number = np.arange(1.0, share.size + 1)
    spread = np.sqrt(2 * np.log(vocab_size) * (1 - 1 / vocab_size) / (number * vocab_size))
    assert np.all(share <= 1 / vocab_size + spread + np.log(vocab_size) / (3 * number))
    assert np.all(
        share >= 1 / vocab_size + (number * vocab_size * (6 + vocab_size / number)) ** -0.5
    )


@pytest.mark.parametrize("size, vocab_size", [(300, 2), (2000, 4), (700, 50)])
def test_bracket_of_the_commonest_token_holds_simulated_ones(size, vocab_size):
    bounds = argmax(size, 1, vocab_size, 0.5)  # the one site is masked: all K fit
    rng = np.random.default_rng(3)
    counts = rng.multinomial(size, np.full(vocab_size, 1 / vocab_size), 4000)
    share = counts.max(axis=1).mean() / size
    assert bounds.low < share < bounds.high


@pytest.mark.parametrize("size, vocab_size", [(300, 2), (2000, 4), (700, 50)])
def test_bracket_of_the_commonest_token_is_the_written_one(size, vocab_size):
    """Where all K > MOST sequences fit: both bounds on M(K) / K, the upper one at most M / N."""
    found = _commonest.commonest_bounds(size, np.ones(1), np.array([1 / size]), vocab_size)
    V, most = vocab_size, _commonest.MOST
    low = 1 / V + (size * V * (6 + V / most)) ** -0.5
    v = (1 - 1 / V) * np.log(V) / V
    high = 1 / V + np.sqrt(2 * v / size) + np.log(V) / (3 * size)
    high = min(high, _commonest.commonest_share(V)[-1])
    assert_close(np.concatenate(found), np.array([low, high]))


# --- simulation of the test split


def test_unseen_queries_against_simulation():
    K, L, V, alpha = 60, 10, 3, 0.6
    rng = np.random.default_rng(5)
    unsure, recovered = [], []
    for _ in range(3000):
        stored, clean = rng.integers(0, V, (K, L)), rng.integers(0, V, L)
        shown = rng.random(L) < alpha
        agreements = np.sum((stored == clean) & shown, axis=1)
        best = stored[agreements == agreements.max()]
        unsure.append(np.log(len(best)))
        drawn = np.where(shown, clean, best[rng.integers(len(best))])
        recovered.append(np.mean(drawn == clean))
    args = (K, L, V, alpha)
    within_standard_errors(unsure, posterior_entropy(*args, split="test"))
    within_standard_errors(recovered, sampled(*args, tokens="all", split="test"))


# --- properties and limits


@given(strategies.memories())
def test_bounds_and_ends(problem):
    K, L, V = problem["train_size"], problem["seq_len"], problem["vocab_size"]
    alpha = problem["alpha"]
    retrieval, entropy = retrieval_probability(**problem), posterior_entropy(**problem)
    assert 1 / K - 1e-12 <= retrieval <= 1
    assert_close(retrieval + retrieval_error(**problem), 1.0)
    assert -np.log(retrieval) - 1e-12 <= entropy <= np.log(K) + 1e-12  # Jensen
    assert_close(information(**problem) + entropy, np.log(K), atol=1e-12)
    assert information(**problem) <= L * alpha * np.log(V) + 1e-12
    for split in ("train", "test"):
        assert 0 <= token_entropy(**problem, split=split) <= np.log(V)
        assert 0 <= zero_entropy_fraction(**problem, split=split) <= 1
        assert 0 <= posterior_entropy(**problem, split=split) <= np.log(K) + 1e-12
    assert_close(token_recovery(**problem, split="test"), 1 / V)
    assert_close(token_recovery(**problem, split="test", tokens="all"), alpha + (1 - alpha) / V)
    if K == 1:
        assert_close(retrieval, 1.0)
        assert_close([entropy, token_entropy(**problem)], np.zeros(2))
        assert_close(zero_entropy_fraction(**problem, split="test"), 1.0)
    if alpha == 0:
        assert_close(retrieval, 1 / K)
        assert_close(entropy, np.log(K))
        assert_close(posterior_entropy(**problem, split="test"), np.log(K))
        assert information(**problem) == 0


@given(strategies.memories())
def test_drawing_by_token_is_no_better_than_choosing_and_no_worse_than_its_square(problem):
    drawn, best = sampled(**problem), argmax(**problem)
    assert drawn <= best.low * (1 + 1e-12) and best.high <= np.sqrt(drawn) * (1 + 1e-12)
    assert_close(best.low, best.high, rtol=1e-12)
    assert drawn == token_recovery(**problem)


@given(strategies.memories())
def test_the_token_entropies_of_an_order_add_up(problem):
    """sum over n < L of [G(V^-n) - G(V^-(n + 1))] = log K - G(V^-L)."""
    K, L, V = problem["train_size"], problem["seq_len"], problem["vocab_size"]
    steps = [token_entropy(K, n + 1, V, 1.0) for n in range(L)]  # n visible, one masked
    assert_close(sum(steps), np.log(K) - posterior_entropy(K, L, V, 1.0), atol=1e-12)


@given(strategies.memories(strategies.inner_alphas))
def test_information_rises_by_the_token_entropies(problem):
    L, alpha = problem["seq_len"], problem["alpha"]
    h = 1e-4 * min(alpha, 1 - alpha)
    sizes = (problem["train_size"], L, problem["vocab_size"])
    slope = (information(*sizes, alpha + h) - information(*sizes, alpha - h)) / (2 * h)
    # I is a polynomial of degree L <= 6 in alpha; rounding of I over h, and h^2 of its curvature
    assert_close(slope, L * token_entropy(*sizes, alpha), rtol=1e-6, atol=1e-15 / h + 1e-7)


@given(strategies.memories(), strategies.alphas)
def test_retrieval_falls_with_load_and_noise(problem, other):
    less, more = sorted((problem["alpha"], other))
    K, L, V = problem["train_size"], problem["seq_len"], problem["vocab_size"]
    sizes, alphas = np.array([K, K + 0.5, K + 1, 10 * K])[:, None], np.array([less, more])
    for measure, sign in (
        (retrieval_probability, 1),
        (token_recovery, 1),
        (zero_entropy_fraction, 1),
        (retrieval_error, -1),
        (posterior_entropy, -1),
        (token_entropy, -1),
    ):
        grid = sign * measure(sizes, L, V, alphas)
        assert grid.shape == (4, 2)
        assert np.all(np.diff(grid, axis=0) <= 1e-12) and np.all(np.diff(grid, axis=1) >= -1e-12)


@given(strategies.memories(st.just(0.5)), st.floats(0.05, 0.95))
def test_basin_radius_is_where_retrieval_crosses(problem, threshold):
    K, L, V = problem["train_size"], problem["seq_len"], problem["vocab_size"]
    for schedule in (LogLinear(), Linear()):
        t = basin_radius(K, L, V, threshold, schedule)
        if np.isnan(t):
            assert retrieval_probability(K, L, V, 1.0) < threshold
        else:
            assert retrieval_probability(K, L, V, schedule.alpha(t)) >= threshold - 1e-12
            if t < 1 - 1e-6:
                assert retrieval_probability(K, L, V, schedule.alpha(t + 1e-6)) < threshold


def test_few_errors_are_not_lost():
    """1 - P ~ (K - 1) / 2 E V^-n = (K - 1) / 2 (1 - alpha + alpha / V)^L for a rare second fit."""
    exact = retrieval_error(3, 400, 8, 0.9)
    assert_close(exact, (1 - 0.9 + 0.9 / 8) ** 400, rtol=1e-9)
    assert exact < 1e-260


def test_constant_of_the_normal_form():
    """1 - gamma = int [(1 - e^-x) / x - 1(x < 1)] dx / x."""
    x = np.exp(np.arange(-40, 40, 1e-3) + 0.5e-3)  # the jump at x = 1 falls between two points
    total = np.sum(-np.expm1(-x) / x - (x < 1)) * 1e-3
    assert_close(total, 1 - np.euler_gamma, rtol=1e-6)


EXTREME = [
    (1, 1, 2, 0.5),
    (1e12, 1, 2, 0.999),
    (1e12, 64, 65536, 0.0),
    (1e12, 64, 65536, 1.0),
    (1e12, 4096, 2, 0.01),
    (7, 4096, 65536, 1 - 1e-13),
    (1e300, 64, 8, 0.5),
]


@pytest.mark.parametrize("args", EXTREME)
def test_extreme_sizes_give_finite_numbers_without_warnings(args):
    bounds = argmax(*args)
    chances = [
        retrieval_probability(*args),
        retrieval_error(*args),
        token_recovery(*args),
        bounds.low,
        bounds.high,
        zero_entropy_fraction(*args),
        zero_entropy_fraction(*args, split="test"),
    ]
    assert all(type(value) is float and 0 <= value <= 1 for value in chances)
    assert chances[2] - 1e-12 <= bounds.low <= bounds.high
    for split in ("train", "test"):
        assert 0 <= posterior_entropy(*args, split=split) <= math.log(args[0]) * (1 + 1e-12)
        assert 0 <= token_entropy(*args, split=split) <= math.log(args[2])


def test_the_bayes_choice_is_linear_between_whole_sizes():
    low = [argmax(K, 5, 3, 0.4).low for K in (6, 6.25, 7)]
    assert_close(low[1], 0.75 * low[0] + 0.25 * low[2])


def test_ends_of_the_exponents():
    assert random_coding_exponent(0.9 * math.log(4), 4, 0.8) == 0
    assert strong_converse_exponent(0.7 * math.log(4), 4, 0.8) == 0
    assert random_coding_exponent(0.8 * math.log(4), 4, 0.8) < 1e-30
    assert_close(random_coding_exponent(0.3, 4, 1.0), math.log(4) - 0.3)
    assert_close(strong_converse_exponent(0.3, 4, 0.0), 0.3)
    assert_close(strong_converse_exponent(2.0, 4, 1.0), 2.0 - math.log(4))
    assert np.isnan(retrieval_probability_normal(10, 8, 4, [0.0, 1.0])).all()
    np.testing.assert_array_equal(critical_alpha([0.0, math.log(7)], 7), [0.0, 1.0])


def test_shapes():
    sizes, alphas = np.array([3.0, 40.0, 500.0])[:, None], np.array([0.2, 0.6])
    bounds = argmax(sizes, 10, 4, alphas)
    assert bounds.low.shape == bounds.high.shape == (3, 2)
    for split in ("train", "test"):
        grid = posterior_entropy(sizes, 10, 4, alphas, split=split)
        single = [
            [posterior_entropy(K, 10, 4, a, split=split) for a in alphas] for K in sizes[:, 0]
        ]
        assert_close(grid, np.array(single), atol=1e-12)
    assert basin_radius(sizes, 10, 4).shape == (3, 1)
    assert random_coding_exponent(sizes / 1000, 4, alphas).shape == (3, 2)


# --- bad input

BAD = [
    (lambda: retrieval_probability(0, 8, 4, 0.5), ValueError, "`train_size` must be finite"),
    (lambda: retrieval_error(np.nan, 8, 4, 0.5), ValueError, "got nan"),
    (lambda: token_entropy(10, 0, 4, 0.5), ValueError, "`seq_len` must be a whole number"),
    (lambda: information(10, 8, 1, 0.5), ValueError, "`vocab_size` must be a whole number"),
    (lambda: information(10, 8, 4, 1.5), ScheduleDomainError, "`alpha` must lie in [0, 1]"),
    (lambda: token_entropy([1, 2], 8, 4, [0.1, 0.2, 0.3]), ValueError, "must broadcast; got shap"),
    (lambda: token_recovery(9, 8, 4, 0.5, decoder="best"), ValueError, "one of map, sample, argm"),
    (lambda: token_recovery(9, 8, 4, 0.5, tokens="corrupted"), ValueError, "one of masked, all"),
    (lambda: token_recovery(9, 8, 4, 0.5, split="val"), ValueError, "train, test; got 'val'"),
    (lambda: posterior_entropy(9, 8, 4, 0.5, split=""), ValueError, "`split` must be one of"),
    (lambda: zero_entropy_fraction(9, 8, 4, 0.5, split=""), ValueError, "`split` must be one of"),
    (lambda: critical_alpha(2.0, 4), ValueError, "`log_load` must lie in [0, 1.38629]; got 2"),
    (lambda: random_coding_exponent(-0.1, 4, 0.5), ValueError, "`log_load` must lie in [0, inf)"),
    (lambda: strong_converse_exponent(0.1, 4, 2), ScheduleDomainError, "`alpha` must lie in"),
    (lambda: basin_radius(9, 8, 4, 1.0), ValueError, "`threshold` must lie inside (0, 1); got 1.0"),
]


@pytest.mark.parametrize("call, error, fragment", BAD)
def test_bad_input(call, error, fragment):
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)


def test_the_page_names_every_function():
    for module in ("erasure_posterior", "erasure_limits"):
        names = __import__(f"am_theory.{module}", fromlist=["__all__"]).__all__
        assert set(names) <= set(erasures.__all__)

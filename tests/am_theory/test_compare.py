"""Kept fractions that correspond: printed tables, sources by enumeration, the order of channels."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from am_theory import empirical, erasures
from am_theory.channel import capacity, corruption_rate, dispersion, mutual_information
from am_theory.compare import (
    critical_ratio,
    critical_ratio_large_vocab,
    equal_capacity_alpha,
    equal_corruption_alpha,
    equal_information_alpha,
    more_capable_alpha,
)
from tests import oracles, strategies
from tests.helpers import assert_close, assert_digits

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)

RATIOS = {
    2: "1.423963 1.748238 2.272152 2.998127 3.850045",
    4: "1.337202 1.586545 1.981091 2.520514 3.151208",
    8: "1.268798 1.464716 1.771101 2.186516 2.671137",
    32: "1.174908 1.304468 1.505662 1.776397 2.091586",
    256: "1.101432 1.182477 1.309025 1.479001 1.676744",
    50257: "1.042711 1.082174 1.144901 1.229396 1.327679",
    262144: "1.035839 1.069720 1.123764 1.196618 1.281355",
}
LARGE = {
    32: "1.104 1.216 1.400 1.649 1.938",
    50257: "1.033 1.069 1.128 1.208 1.300",
    262144: "1.029 1.060 1.111 1.180 1.261",
}


@pytest.mark.parametrize("vocab_size", RATIOS)
def test_table_of_critical_ratios(vocab_size):
    for share, printed in zip(SHARES, RATIOS[vocab_size].split(), strict=True):
        assert_digits(critical_ratio(share, vocab_size), printed)


@pytest.mark.parametrize("vocab_size", LARGE)
def test_table_of_ratios_to_leading_order(vocab_size):
    for share, printed in zip(SHARES, LARGE[vocab_size].split(), strict=True):
        assert_digits(critical_ratio_large_vocab(share, vocab_size), printed)


@given(st.floats(0, 0.95), st.integers(8, 10**6))
def test_leading_order_is_below_the_ratio(share, vocab_size):
    exact, leading = (
        f(share, vocab_size) - 1 for f in (critical_ratio, critical_ratio_large_vocab)
    )
    assert -1e-12 <= leading <= exact + 1e-9


def test_leading_order_is_reached_as_the_vocabulary_grows():
    parts = [
        (critical_ratio_large_vocab(0.5, V) - 1) / (critical_ratio(0.5, V) - 1)
        for V in (10**3, 10**6, 10**12)
    ]
    assert parts[0] < parts[1] < parts[2] and parts[2] > 0.94


CAPABLE = [
    (3, 0.5, ".23172659"),
    (4, 0.5, ".26248318"),
    (4, 0.8, ".62141091"),
    (8, 0.5, ".33187775"),
]


@pytest.mark.parametrize("vocab_size, alpha, printed", CAPABLE)
def test_table_of_more_capable_erasures(vocab_size, alpha, printed):
    assert_digits(more_capable_alpha(alpha, vocab_size), printed)


def share_passed(law, vocab_size, alpha):
    """I_U / H of one token."""
    return mutual_information(law, 1, vocab_size, alpha) / oracles.entropy(law)


@given(st.data(), st.integers(2, 8), strategies.inner_alphas)
def test_no_law_of_a_token_passes_more_than_two_likely_values(data, vocab_size, alpha):
    weights = data.draw(
        hnp.arrays(np.float64, vocab_size, elements=st.sampled_from([0, 1e-3, 0.1, 1, 1.5]))
    )
    limit = more_capable_alpha(alpha, vocab_size)
    pair = np.zeros(vocab_size)
    pair[:2] = 0.5
    # differences of entropies of order 1, divided by an entropy of 1e-2 at least
    assert_close(share_passed(pair, vocab_size, alpha), limit, atol=1e-12)
    if np.count_nonzero(weights) > 1:
        assert share_passed(weights / weights.sum(), vocab_size, alpha) <= limit + 1e-12


@given(strategies.alphas, st.integers(2, 300))
def test_order_of_the_kept_fractions(alpha, vocab_size):
    """Equal capacity asks for fewest visible tokens, then every source, then the redrawn ones."""
    equal, capable = equal_capacity_alpha(alpha, vocab_size), more_capable_alpha(alpha, vocab_size)
    assert 0 <= equal <= capable + 1e-15 and capable <= alpha
    assert alpha <= equal_corruption_alpha(alpha, vocab_size) <= 1
    if vocab_size == 2:
        assert_close(equal, capable)
    assert_close(
        1 - equal_corruption_alpha(alpha, vocab_size),
        corruption_rate(alpha, vocab_size),
        atol=1e-15,
    )
    assert_close(equal * np.log(vocab_size), capacity(alpha, vocab_size), atol=1e-15)


WIDTHS = {
    2: "2.980 3.151 3.563 4.359 5.560",
    4: "1.684 1.830 2.082 2.504 3.111",
    8: "1.278 1.416 1.612 1.906 2.314",
    32: "1.001 1.126 1.270 1.458 1.705",
    256: ".905 1.009 1.114 1.238 1.392",
    50257: ".904 .970 1.031 1.096 1.174",
}


@pytest.mark.parametrize("vocab_size", WIDTHS)
def test_table_of_dispersions_at_equal_capacity(vocab_size):
    def ratio(share):
        kept = empirical.critical_alpha(share * np.log(vocab_size), vocab_size)
        erased = equal_capacity_alpha(kept, vocab_size)
        return dispersion(kept, vocab_size) / (erased * (1 - erased) * np.log(vocab_size) ** 2)

    for share, printed in zip(SHARES, WIDTHS[vocab_size].split(), strict=True):
        assert_digits(ratio(share), printed)
    # Fisher information: U_U -> (V - 1) alpha^2 and C -> (V - 1) alpha^2 / 2
    assert_close(ratio(1e-14), 2 / np.log(vocab_size), rtol=1e-3)


@pytest.mark.parametrize(
    "changed, erased, redrawn", [(0.4, ".999998", ".810254"), (0.6, ".997083", ".100037")]
)
def test_retrieval_at_equal_corruption(changed, erased, redrawn):
    alpha = 1 - changed * 4 / 3
    args = (1000, 32, 4)
    assert_digits(empirical.retrieval_probability(*args, alpha), redrawn)
    visible = equal_corruption_alpha(alpha, 4)
    assert_digits(erasures.retrieval_probability(*args, visible), erased)


EQUAL_CAPACITY = [
    (32, 4, 0.3, (".535229", ".651663"), (".619830", ".609229"), (".619830", ".531631")),
    (64, 4, 0.3, (".525415", ".627378"), None, None),
    (32, 32, 0.3, None, (".477847", ".529533"), (".477847", ".469279")),
]


@pytest.mark.parametrize("seq_len, vocab_size, share, right, nearest, drawn", EQUAL_CAPACITY)
def test_memories_at_equal_capacity(seq_len, vocab_size, share, right, nearest, drawn):
    load = share * np.log(vocab_size)
    kept = empirical.critical_alpha(load, vocab_size)
    args = (np.exp(load * seq_len), seq_len, vocab_size)
    erased = equal_capacity_alpha(kept, vocab_size)
    assert_close(erased, share)
    if right:
        assert_digits(erasures.retrieval_probability(*args, erased), right[0])
        assert_digits(empirical.retrieval_probability(*args, kept), right[1])
    for decoder, printed in (("map", nearest), ("sample", drawn)):
        if printed:
            assert_digits(erasures.token_recovery(*args, erased, decoder=decoder), printed[0])
            changed = empirical.token_recovery(*args, kept, decoder=decoder, tokens="corrupted")
            assert_digits(changed, printed[1])


# --- equal information


def erased_information(law, seq_len, vocab_size):
    """I(x_0; x_t) = E H(X_S) over the visible sites S, as a function of alpha."""
    table = law.reshape((vocab_size,) * seq_len)
    sizes, entropies = [], []
    for size in range(seq_len + 1):
        for hidden in combinations(range(seq_len), size):
            sizes.append(seq_len - size)
            entropies.append(oracles.entropy(table.sum(axis=hidden).ravel()))
    sizes, entropies = np.array(sizes), np.array(entropies)
    return lambda alpha: float(
        np.sum(alpha**sizes * (1.0 - alpha) ** (seq_len - sizes) * entropies)
    )


MARKOV = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]])


def test_equal_information_of_a_source():
    law = oracles.markov_law(np.array([5, 5, 4]) / 14, MARKOV, 4)
    known = mutual_information(law, 4, 3, 0.8002)
    assert_digits(known, "2.206776")
    assert_digits(equal_information_alpha(known, erased_information(law, 4, 3)), ".546437")


def test_equal_capacity_is_not_enough_for_every_source():
    """Random hierarchy of 24 sequences, t = 0.2: 0.560002 is needed, above C / log V."""
    rules = np.array([[[a, a], [a, (a + 1) % 3]] for a in range(3)])
    law = oracles.hierarchy_law(np.stack([rules, rules]))
    known = mutual_information(law, 4, 3, 0.8002)
    needed = equal_information_alpha(known, erased_information(law, 4, 3))
    assert_digits(needed, ".560002")
    assert_digits(equal_capacity_alpha(0.8002, 3), ".558760")
    assert needed <= more_capable_alpha(0.8002, 3)


@given(strategies.memories(strategies.inner_alphas), strategies.inner_alphas)
def test_equal_information_inverts_a_function(problem, alpha):
    sizes = (problem["train_size"], problem["seq_len"], problem["vocab_size"])

    def known(kept):
        return erasures.information(*sizes, kept)

    if problem["train_size"] > 1:
        found = equal_information_alpha(known(alpha), known)
        # alpha itself is lost where I is flat to rounding, near log K
        assert_close(known(found), known(alpha), rtol=1e-12, atol=1e-14)


def test_equal_information_reads_a_table():
    alphas, nats = [0.0, 0.5, 1.0], [0.0, 2.0, 3.0]
    found = equal_information_alpha([0.0, 1.0, 2.5, 3.5], nats, alphas)
    np.testing.assert_array_equal(found, [0.0, 0.25, 0.75, np.nan])
    assert math.isnan(equal_information_alpha(5.0, lambda alpha: alpha))
    assert type(equal_information_alpha(0.5, lambda alpha: alpha)) is float


# --- bad input

BAD = [
    (lambda: equal_corruption_alpha(1.5, 4), ValueError, "`alpha` must lie in [0, 1]; got 1.5"),
    (lambda: equal_capacity_alpha(0.5, 1), ValueError, "`vocab_size` must be a whole number"),
    (lambda: more_capable_alpha(-1, 4), ValueError, "`alpha` must lie in [0, 1]; got -1"),
    (lambda: critical_ratio(1.0, 4), ValueError, "`load_share` must lie in [0, 1); got 1. It is"),
    (lambda: critical_ratio_large_vocab(-0.1, 4), ValueError, "`load_share` must lie in [0, 1)"),
    (lambda: equal_information_alpha(-1, abs), ValueError, "`target` must lie in [0, inf); got -1"),
    (lambda: equal_information_alpha(1, abs, [0, 1]), TypeError, "`alphas` go with a table"),
    (lambda: equal_information_alpha(1, [0, 1]), TypeError, "or a table with `alphas` beside it"),
    (
        lambda: equal_information_alpha(1, [0, 1], [0, 0.5, 1]),
        ValueError,
        "got shapes (2,) and (3,)",
    ),
    (lambda: equal_information_alpha(1, [1], [1]), ValueError, "the same two or more points"),
    (lambda: equal_information_alpha(1, [2, 1], [0, 1]), ValueError, "`information` must rise"),
    (lambda: equal_information_alpha(1, [1, 2], [1, 0]), ValueError, "`alphas` must rise"),
]


@pytest.mark.parametrize("call, error, fragment", BAD)
def test_bad_input(call, error, fragment):
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)

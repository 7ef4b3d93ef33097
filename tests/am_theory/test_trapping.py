"""Trap onset and fixed points of stored random sequences: identities, enumeration, simulation."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import Linear, ScheduleDomainError, capacity, inverse_temperature
from am_theory.derivations._proof import vanishes
from am_theory.empirical import (
    clean_weight,
    critical_alpha,
    fixed_point_alpha,
    fixed_point_bound,
    fixed_point_log_capacity,
    fixed_point_share_small_noise,
    one_step_log_capacity,
    retrieval_probability_errors,
    trap_alpha,
    trap_log_capacity,
    true_weight,
)
from models.exact.empirical import EmpiricalDenoiser
from tests import oracles, strategies
from tests.helpers import assert_close, within_standard_errors

vocab_sizes = st.sampled_from([2, 3, 4, 8, 64, 1000, 65536])

# --- the lines


def test_lines_in_alpha_and_in_beta_are_the_same():
    V, a = sp.symbols("V alpha", positive=True)
    ratio = 1 + V * a / (1 - a)  # e^beta

    def free(power):
        return sp.log(1 + (ratio**power - 1) / V)  # of unrelated sequences, per token

    onset, fixed = sp.log(1 + (V - 1) * a), sp.log(1 + (V - 1) * a**2)
    assert vanishes(sp.log(ratio) - free(1) - onset)
    assert vanishes(sp.log(ratio) + sp.log(1 - a) - onset)
    assert vanishes(2 * sp.log(ratio) - free(2) - (2 * onset - fixed))
    # own evidence e^beta of `full` against fluctuations, for any query: kappa > free(2) - 2 free(1)
    assert vanishes(free(2) - 2 * free(1) - fixed)


@given(st.floats(0.0, 0.999, allow_subnormal=False), vocab_sizes)
def test_lines_are_clean_one_step_capacities_in_order(alpha, V):
    beta = inverse_temperature(alpha, V)
    onset, fixed = trap_log_capacity(alpha, V), fixed_point_log_capacity(alpha, V)
    assert_close(one_step_log_capacity(1.0, beta, V), onset, rtol=1e-9, atol=1e-12)
    assert_close(one_step_log_capacity(1.0, 2 * beta, V), fixed, rtol=1e-9, atol=1e-12)
    assert capacity(alpha, V) <= onset + 1e-12
    assert onset <= fixed + 1e-12 <= min(2 * onset, np.log(V)) + 1e-11
    # `full` keeps stored sequences at every load: one reason starts before the other ends
    assert np.log1p((V - 1) * alpha**2) <= onset + 1e-12


def test_lines_are_renyi_divergences_of_the_noisy_token():
    V, alpha = 5, 0.4
    law = np.full(V, (1 - alpha) / V)
    law[0] += alpha

    def renyi(order):
        return np.log(np.sum(law**order * V ** (order - 1.0))) / (order - 1)

    assert_close(renyi(1 + 1e-6), capacity(alpha, V), rtol=1e-5)
    assert_close(2 * np.log(V * law.max()) - renyi(2), fixed_point_log_capacity(alpha, V))
    assert_close(np.log(V * law.max()), trap_log_capacity(alpha, V))


def test_ends_and_small_alpha():
    for V in (2, 5, 1000):
        for line, order in ((trap_log_capacity, 1), (fixed_point_log_capacity, 2)):
            assert line(0.0, V) == 0
            assert_close(line(1.0, V), np.log(V))
            assert_close(line(1e-9, V), order * (V - 1) * 1e-9, rtol=1e-5)


@given(st.floats(0.0, 1.0, allow_subnormal=False), vocab_sizes)
def test_inverses(share, V):
    load = share * np.log(V)
    first, second = trap_alpha(load, V), fixed_point_alpha(load, V)
    assert 0 <= second <= first + 1e-12
    assert first <= critical_alpha(load, V) + 1e-9 <= 1 + 1e-9
    assert_close(trap_log_capacity(first, V), load, rtol=1e-9, atol=1e-12)
    # its slope vanishes at alpha = 1, so that rounding of alpha costs half of the digits
    assert_close(fixed_point_log_capacity(second, V), load, rtol=1e-7, atol=1e-12)


def test_the_checked_point_of_the_sheet():
    load = np.log(16384) / 16
    assert round(1 - trap_alpha(load, 16), 3) == 0.944
    assert round(1 - critical_alpha(load, 16), 3) == 0.582


# --- weight of a clean query


@pytest.mark.parametrize("alpha", [0.0, 0.35, 0.9, 1.0])
@pytest.mark.parametrize("K, L, V", [(1, 3, 2), (3, 3, 2), (5, 2, 2), (3, 2, 3), (2, 1, 5)])
def test_clean_weight_equals_enumeration(K, L, V, alpha):
    seqs = oracles.all_sequences(V, L)
    sets = seqs[oracles.all_sequences(len(seqs), K)]  # (sets, K, L)
    gap = (sets != sets[:, :1]).sum(-1)
    ratio = (1 - alpha) / (1 + (V - 1) * alpha)  # e^-beta
    weights = np.where(gap == 0, 1.0, ratio ** gap.astype(float))
    expected = np.mean(weights[:, 0] / weights.sum(1))
    assert_close(clean_weight(K, L, V, alpha), expected, rtol=1e-10)


@given(strategies.memories())
def test_clean_weight_is_bounded_and_beats_the_noisy_one(problem):
    K, L, V, alpha = (problem[k] for k in ("train_size", "seq_len", "vocab_size", "alpha"))
    weight, slack = clean_weight(**problem), 1e-11
    onset = trap_log_capacity(alpha, V)
    assert 1 / (1 + (K - 1) * np.exp(-L * onset)) <= weight + slack <= 1 + 2 * slack
    assert true_weight(**problem) <= weight + slack
    assert weight <= retrieval_probability_errors(K, L, V, 0) + slack


def test_clean_weight_steps_at_the_onset():
    load = trap_log_capacity(0.3, 4)
    for share, low, high in ((0.9, 0.99, 1.0), (1.0, 0.45, 0.65), (1.1, 0.0, 0.01)):
        assert low <= clean_weight(np.exp(share * load * 200), 200, 4, 0.3) <= high
    K = np.array([1.0, 10.0, 1e3, 1e6, 1e12])
    weights = clean_weight(K[:, None], 16, 4, np.array([0.0, 0.2, 0.8]))
    assert weights.shape == (5, 3) and np.all(np.diff(weights, axis=0) < 0)
    assert_close(weights[:, 0], 1 / K, rtol=1e-9)


# --- both argmax maps on the denoiser


def shares(rng, K, L, V, alpha, asked=200):
    """Weight of stored sequences, and whether argmax of full and of loo keep them, (asked,)."""
    x = rng.integers(0, V, (K, L))
    denoiser = EmpiricalDenoiser(x, V, Linear())
    query = x[:asked]
    said = denoiser.posterior(query, 1 - alpha, rng, np.arange(len(query)))
    kept = [(law.argmax(-1) == query).all(1) for law in (said.log_full, said.log_loo)]
    return said.true_weight, *kept


def test_three_events_of_a_clean_query_come_apart():
    """K = 2000, L = 12, V = 4: onset at alpha = .295, `loo` at .137, `full` never."""
    rng, (K, L, V) = np.random.default_rng(1), (2000, 12, 4)
    load = np.log(K) / L
    assert round(trap_alpha(load, V), 3) == 0.295 and round(fixed_point_alpha(load, V), 3) == 0.137
    at = {a: shares(rng, K, L, V, a) for a in (0.06, 0.1, 0.22, 0.3, 0.45)}
    weight, full, loo = ({a: np.mean(v[i]) for a, v in at.items()} for i in range(3))
    assert weight[0.22] < 0.25 and 0.4 < weight[0.3] < 0.6 and weight[0.45] > 0.85
    assert loo[0.1] < 0.05 and loo[0.22] > 0.95  # a third below the onset nearly all are fixed
    assert min(full.values()) > 0.99


def test_full_keeps_any_sequence_where_fluctuations_are_outweighed():
    """From kappa = log(1 + (V - 1) alpha^2) on; K = 4096, L = V = 12 have alpha = .302 there."""
    rng, (K, L, V) = np.random.default_rng(2), (4096, 12, 12)
    denoiser = EmpiricalDenoiser(rng.integers(0, V, (K, L)), V, Linear())
    fresh = rng.integers(0, V, (200, L))
    kept = []
    for alpha in (0.15, 0.6):
        law = denoiser.posterior(fresh, 1 - alpha, rng).log_full
        kept.append(np.mean((law.argmax(-1) == fresh).all(1)))
    assert kept[0] > 0.9 and kept[1] < 0.2


@pytest.mark.parametrize(
    "K, L, V, alpha", [(60, 6, 3, 0.3), (1000, 10, 4, 0.25), (300, 12, 2, 0.4)]
)
def test_clean_weight_against_simulation(K, L, V, alpha):
    rng = np.random.default_rng(3)
    means = [np.mean(shares(rng, K, L, V, alpha, 20)[0]) for _ in range(60)]
    within_standard_errors(means, clean_weight(K, L, V, alpha))


@given(strategies.stored_patterns())
def test_fixed_points_of_loo_are_the_peaks_of_the_noisy_law(problem):
    """No change of one token raises p_t, exactly where each token has the largest loo."""
    V, x, t = problem["vocab_size"], problem["x_t"], 1 - problem["alpha"]
    denoiser = EmpiricalDenoiser(problem["patterns"], V, Linear())
    loo = np.exp(denoiser.log_loo(x[None], t)[0])
    rows = np.array(
        [np.where(np.arange(len(x)) == i, v, x) for i in range(len(x)) for v in range(V)]
    )
    there = np.exp(denoiser.log_prob_noisy(rows, t) - denoiser.log_prob_noisy(x[None], t))
    there = there.reshape(len(x), V)
    alpha = problem["alpha"]
    # p_t with v at site i, relative: loo of v through the channel
    expected = alpha * loo + (1 - alpha) / V
    expected /= np.take_along_axis(expected, x[:, None], axis=1)
    assert_close(there, expected, rtol=1e-8, atol=1e-12)


# --- bound and small noise


def rivals_by_loo(stored, V, alpha):
    """Tokens as likely as the own one by `loo`, at each site of the first of a set: (sets, L)."""
    ratio = (1 - alpha) / (1 + (V - 1) * alpha)
    differ = stored != stored[:, :1]  # (sets, K, L)
    gap = differ.sum(-1, keepdims=True) - differ  # distances without each site
    weight = np.where(gap == 0, 1.0, ratio ** gap.astype(float))
    law = (weight[..., None] * (stored[..., None] == np.arange(V))).sum(1)  # (sets, L, V)
    own = np.take_along_axis(law, stored[:, 0, :, None], axis=-1)
    return (law >= own * (1 - 1e-9)).sum(-1) - 1


@pytest.mark.parametrize("K, L, V", [(2, 3, 2), (4, 3, 2), (3, 2, 3), (2, 2, 4)])
@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.7, 0.99])
def test_bound_holds_by_enumeration(K, L, V, alpha):
    seqs = oracles.all_sequences(V, L)
    sets = seqs[oracles.all_sequences(len(seqs), K)]
    share = np.mean((rivals_by_loo(sets, V, alpha) == 0).all(1))
    assert fixed_point_bound(K, L, V, alpha) <= share + 1e-12


def test_bound_tends_to_the_line_and_holds_in_simulation():
    V, alpha = 4, 0.3
    load = fixed_point_log_capacity(alpha, V)
    for L, share in ((100, 0.85), (600, 0.97)):
        assert fixed_point_bound(np.exp(share * load * L), L, V, alpha) > 0.99
    assert fixed_point_bound(np.exp(1.01 * load * 600), 600, V, alpha) == 0
    assert fixed_point_bound(1, 5, 3, 0.0) == 1
    rng = np.random.default_rng(4)
    for kept in (0.2, 0.25, 0.3):
        share = np.mean([shares(rng, 1000, 16, 4, kept, 50)[2] for _ in range(8)])
        assert share >= fixed_point_bound(1000, 16, 4, kept) - 0.02
    assert fixed_point_bound(1000, 16, 4, 0.3) > 0.9


@pytest.mark.parametrize("K, L, V", [(2, 4, 2), (3, 3, 2), (3, 2, 3), (2, 2, 4)])
def test_small_noise_share_equals_enumeration_up_to_the_poisson_law(K, L, V):
    seqs = oracles.all_sequences(V, L)
    sets = seqs[oracles.all_sequences(len(seqs), K)]
    share = np.mean(np.prod(1 / (1 + ties_at_small_noise(sets, V)), axis=1))
    assert abs(fixed_point_share_small_noise(K, L, V) - share) <= (1 + L * (V - 1)) * V**-L


def ties_at_small_noise(stored, V):
    """Rivals as frequent as the own token at each site, inf where one is more frequent."""
    differ = stored != stored[:, :1]
    agree = (differ.sum(-1, keepdims=True) - differ) == 0
    count = (agree[..., None] & (stored[..., None] == np.arange(V))).sum(1)
    own = np.take_along_axis(count, stored[:, 0, :, None], axis=-1)
    return np.where((count > own).any(-1), np.inf, (count == own).sum(-1) - 1.0)


@pytest.mark.parametrize("K, L, V", [(300, 4, 4), (2000, 8, 2), (4000, 5, 5)])
def test_small_noise_share_against_simulation(K, L, V):
    rng = np.random.default_rng(5)
    found = []
    for _ in range(600):
        stored = rng.integers(0, V, (K, L))
        near = (stored != stored[0]).sum(1) <= 1  # the others cannot take part
        near[0] = True
        found.append(np.prod(1 / (1 + ties_at_small_noise(stored[near][None], V))))
    error = np.std(found, ddof=1) / np.sqrt(len(found)) + (1 + L * (V - 1)) * V**-L
    assert abs(np.mean(found) - fixed_point_share_small_noise(K, L, V)) < 5 * error


def test_small_noise_share_of_the_denoiser():
    rng, (K, L, V) = np.random.default_rng(7), (256, 8, 4)
    share = np.mean([shares(rng, K, L, V, 1 - 1e-5, K)[2] for _ in range(10)])
    assert 0.9 < fixed_point_share_small_noise(K, L, V) < 0.97
    assert abs(share - fixed_point_share_small_noise(K, L, V)) < 0.03


def test_small_noise_share_at_its_ends():
    assert fixed_point_share_small_noise(1, 5, 3) == 1
    few = fixed_point_share_small_noise(100.0, 12, 4)
    assert_close(1 - few, 99 * 12 * 3 * 4.0**-12 / 2, rtol=0.01)
    # more copies than any neighbour has, of L (V - 1) with as many on average
    assert_close(fixed_point_share_small_noise(1e12, 8, 4), 1 / 25, rtol=1e-2)
    assert_close(fixed_point_share_small_noise(1e30, 3, 2), 1 / 4, rtol=1e-3)
    sizes = fixed_point_share_small_noise(np.logspace(0, 8, 9), 8, 4)
    assert sizes.shape == (9,) and np.all(np.diff(sizes) < 0)


# --- bad input

BAD = [
    (lambda: trap_log_capacity(1.5, 4), ScheduleDomainError, "`alpha` must lie in [0, 1]"),
    (lambda: trap_log_capacity(0.5, 1), ValueError, "`vocab_size` must be a whole number"),
    (lambda: fixed_point_log_capacity(-0.1, 4), ScheduleDomainError, "`alpha` must lie in [0, 1]"),
    (lambda: trap_alpha(2.0, 4), ValueError, "`log_load` must lie in [0, 1.38629]; got 2"),
    (lambda: fixed_point_alpha(-0.1, 4), ValueError, "got -0.1"),
    (lambda: clean_weight(0, 8, 4, 0.5), ValueError, "`train_size` must be finite"),
    (lambda: clean_weight([1, 2], 8, 4, [0.1, 0.2, 0.3]), ValueError, "must broadcast"),
    (lambda: fixed_point_bound(9, 0, 4, 0.5), ValueError, "`seq_len` must be a whole number"),
    (lambda: fixed_point_share_small_noise(0.5, 8, 4), ValueError, "got 0.5"),
]


@pytest.mark.parametrize("call, error, fragment", BAD)
def test_bad_input(call, error, fragment):
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)

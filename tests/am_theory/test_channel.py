"""The channel formulas against printed tables, brute force, reference arrays and each other."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import am_theory
from am_theory._arrays import expm1_minus
from am_theory.channel import (
    Linear,
    LogLinear,
    ScheduleDomainError,
    capacity,
    corruption_rate,
    dispersion,
    full_from_loo,
    inverse_temperature,
    loo_from_full,
    nelbo_rate,
    posterior,
)
from tests import oracles, strategies
from tests.helpers import assert_close, assert_digits, shared


def log(p):
    with np.errstate(divide="ignore"):
        return np.log(p)


# --- printed tables

SYMMETRIC_CHANNEL = [
    (2, 0.50, "0.1308120359", "0.22630293", "1.09861229", "0.250000"),
    (3, 0.50, "0.2310490602", "0.42706935", "1.38629436", "0.333333"),
    (4, 0.25, "0.0830107415", "0.17667407", "0.84729786", "0.562500"),
    (4, 0.50, "0.3127515147", "0.60709931", "1.60943791", "0.375000"),
    (8, 0.10, "0.0297870973", "0.06768749", "0.63598877", "0.787500"),
    (8, 0.50, "0.5427916442", "1.18809038", "2.19722458", "0.437500"),
    (8, 0.90, "1.6124591471", "1.46976712", "4.29045944", "0.087500"),
    (32, 0.30, "0.5087886199", "1.57804755", "2.68881884", "0.678125"),
    (64, 0.20, "0.3789142843", "1.34328466", "2.83321334", "0.787500"),
]


@pytest.mark.parametrize("vocab_size, alpha, cap, disp, beta, rate", SYMMETRIC_CHANNEL)
def test_symmetric_channel_table(vocab_size, alpha, cap, disp, beta, rate):
    assert_digits(capacity(alpha, vocab_size), cap)
    assert_digits(dispersion(alpha, vocab_size), disp)
    assert_digits(inverse_temperature(alpha, vocab_size), beta)
    assert_digits(corruption_rate(alpha, vocab_size), rate)


@pytest.mark.parametrize(
    "x_0, expected",
    [
        (3, ["0.05357143", "0.33928571", "0.05357143", "0.55357143"]),
        (1, ["0.01461039", "0.95616883", "0.01461039", "0.01461039"]),
    ],
)
def test_posterior_table(x_0, expected):
    for value, printed in zip(posterior(np.eye(4)[x_0], 1, 0.7, 0.4), expected, strict=True):
        assert_digits(value, printed)


def test_leave_one_out_table():
    loo = np.exp(loo_from_full(np.log([0.6, 0.3, 0.1]), 0, 0.5))
    for value, printed in zip(loo, ["0.27272727", "0.54545455", "0.18181818"], strict=True):
        assert_digits(value, printed)


LOSS = [
    ([0.5, 0.3, 0.2], 1, 0, 0.60, "1.940750160467"),
    ([0.5, 0.3, 0.2], 0, 0, 0.60, "0.266788730697"),
    ([0.1, 0.2, 0.3, 0.4], 3, 2, 0.25, "0.826731908783"),
    ([0.1, 0.2, 0.3, 0.4], 2, 2, 0.25, "0.528363713856"),
    ([0.3] + [0.1] * 7, 0, 5, 0.90, "43.960829418708"),
    ([0.3] + [0.1] * 7, 0, 0, 0.05, "0.505839473125"),
]


@pytest.mark.parametrize("x_theta, z, x_0, alpha, printed", LOSS)
def test_loss_table(x_theta, z, x_0, alpha, printed):
    value = nelbo_rate(np.log(x_theta), z, x_0, alpha, -0.999)
    assert_digits(value, printed)
    assert_close(value, oracles.dense_nelbo_rate(x_theta, z, x_0, alpha, -0.999))


CHAIN_LAW = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 3)


def loss_of(denoise, schedule=None):
    """Loss per unit of -alpha of a denoiser (x_t, alpha) -> probabilities."""

    def rate(x_t, x_0, alpha):
        speed = -1.0 if schedule is None else schedule(alpha)
        rows = denoise(x_t[0], alpha)  # x_t does not vary along the first axis, x_0
        rows = np.broadcast_to(log(rows), (*x_t.shape, rows.shape[-1]))
        return nelbo_rate(rows, x_t, x_0, alpha, speed) / -speed

    return rate


def test_chain_information_table():
    assert_digits(oracles.entropy(CHAIN_LAW), "2.9016182133")
    for alpha, printed in ((0.2, "0.1127184307"), (0.5, "0.6638804058"), (0.8, "1.6750604633")):
        assert_digits(oracles.mutual_information(CHAIN_LAW, alpha, 3, 3), printed)


@pytest.mark.parametrize(
    "start, end, information, wrong_law, uniform",
    [
        (0.9, 0.1, "2.1341437836", "2.9782134389", "2.3932804095"),
        (0.7, 0.3, "1.0304399041", "1.3458888184", "1.1260804018"),
    ],
)
def test_nelbo_of_exact_denoiser_is_information(start, end, information, wrong_law, uniform):
    def measure(denoise):
        return oracles.nelbo(loss_of(denoise), CHAIN_LAW, 3, 3, start, end)

    gained = oracles.mutual_information(CHAIN_LAW, start, 3, 3)
    gained -= oracles.mutual_information(CHAIN_LAW, end, 3, 3)
    assert_digits(gained, information)
    assert_digits(measure(lambda x, a: oracles.loo(CHAIN_LAW, x, a, 3)), information)
    assert_digits(measure(lambda x, a: oracles.full(CHAIN_LAW, x, a, 3)), wrong_law)
    flat = measure(lambda x, a: np.full((*x.shape, 3), 1 / 3))
    assert_digits(flat, uniform)
    assert_close(flat, 3 * (capacity(start, 3) - capacity(end, 3)), rtol=1e-9)


@pytest.mark.parametrize("vocab_size, seq_len", [(3, 3), (2, 4), (4, 2)])
def test_nelbo_of_exact_denoiser_on_laws_without_structure(vocab_size, seq_len):
    law = oracles.random_law(np.random.default_rng(7), vocab_size, seq_len)
    value = oracles.nelbo(
        loss_of(lambda x, a: oracles.loo(law, x, a, vocab_size)), law, vocab_size, seq_len, 0.8, 0.1
    )
    gained = oracles.mutual_information(law, 0.8, vocab_size, seq_len)
    gained -= oracles.mutual_information(law, 0.1, vocab_size, seq_len)
    assert_close(value, gained, rtol=1e-9)


def test_nelbo_of_the_truth_is_zero_and_schedules_drop_out():
    seqs = oracles.all_sequences(3, 2)
    x_0, x_t = np.broadcast_arrays(seqs[:, None], seqs[None])
    for alpha in (1e-3, 0.3, 0.9, 1 - 1e-9):
        assert np.all(np.abs(nelbo_rate(log(np.eye(3)[x_0]), x_t, x_0, alpha, -1.0)) < 2e-20)
    law = oracles.random_law(np.random.default_rng(3), 3, 2)
    curved = loss_of(lambda x, a: np.full((*x.shape, 3), 1 / 3), lambda a: -2 * np.sqrt(a))
    plain = loss_of(lambda x, a: np.full((*x.shape, 3), 1 / 3))
    args = (law, 3, 2, 0.8, 0.2, 30)
    assert_close(oracles.nelbo(curved, *args), oracles.nelbo(plain, *args))


def test_loss_near_alpha_one_scores_the_conditionals():
    x, v, alpha = np.array([0.5, 0.3, 0.2]), 0, 1 - 1e-7
    rows = np.log(np.broadcast_to(x, (3, 3)))
    q = oracles.token_kernel(3, alpha)[v]
    mean = np.sum(q * nelbo_rate(rows, np.arange(3), np.full(3, v), alpha, -1.0))
    ratio = x[1:] / x[v]
    limit = np.sum(ratio + np.log(ratio) - 1) / 3 - 2 / 3 * np.log((1 - alpha) / 3)
    assert_close(mean, limit, rtol=1e-5)  # the next order is (1 - alpha) log(1 - alpha)


def test_capacity_is_the_information_of_the_joint_table():
    for vocab_size in (2, 3, 8):
        for alpha in (0.0, 1e-3, 0.3, 0.999, 1.0):
            joint = oracles.token_kernel(vocab_size, alpha) / vocab_size
            parts = 2 * np.log(vocab_size) - oracles.entropy(joint, None)
            assert_close(capacity(alpha, vocab_size), parts)


def test_limits_of_capacity_and_dispersion():
    small = 1e-8
    assert_close(capacity(small, 5) / (2 * small**2), 1.0, rtol=1e-7)
    assert_close(capacity(1.0, 5), np.log(5))
    assert capacity(0.0, 5) == 0.0 and dispersion(0.0, 5) == 0.0 and dispersion(1.0, 5) == 0.0
    across = np.array([0.02 / 64, 0.1 / 64])[:, None] * (1 + np.array([-1e-9, 1e-9]))
    steps = np.diff(capacity(across, 65), axis=1) / capacity(across[:, :1], 65)
    assert np.all((steps > 0) & (steps < 1e-8))  # the series meets the closed form
    single = capacity(np.float32([1e-4, 1e-3, 0.03, 0.5, 1.0]), 8)
    assert single.dtype == np.float32
    assert_close(single, capacity(np.float32([1e-4, 1e-3, 0.03, 0.5, 1.0]).astype(float), 8))


# --- reference arrays from another implementation

GOLDEN = ["V2", "V19", "V1000"]


@pytest.fixture(scope="module")
def golden():
    with np.load(shared("golden/diffusion.npz")) as data:
        return dict(data)


def test_golden_schedule(golden):
    schedule, t = LogLinear(), golden["noise_t"]
    assert_close(schedule.alpha(t), golden["noise_alpha_f64"])
    assert_close(schedule.alpha_rate(t), np.full(t.shape, golden["noise_dalpha"]))
    single = schedule.alpha(t.astype(np.float32))
    assert single.dtype == np.float32
    assert_close(single, golden["noise_alpha_f32"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype, atol", [(np.float64, 1e-13), (np.float32, 1e-6)])
@pytest.mark.parametrize("size", GOLDEN)
def test_golden_posterior(golden, size, dtype, atol):
    schedule, x_t, x_0 = LogLinear(), golden[f"{size}_xt"], golden[f"{size}_x0"]
    x_theta = np.exp(golden[f"{size}_logp_theta"]).astype(dtype)
    onehot = np.eye(x_theta.shape[-1], dtype=dtype)[x_0]
    for case, (t, s) in enumerate(
        zip(golden[f"{size}_post_t"], golden[f"{size}_post_s"], strict=True)
    ):
        alpha_s = 1.0 if np.isnan(s) else schedule.alpha(s)
        for probs, key in ((x_theta, "post_q"), (onehot, "post_q_onehot_x0")):
            q = posterior(probs, x_t, alpha_s, schedule.alpha(t))
            assert q.dtype == dtype
            assert_close(q, golden[f"{size}_{key}"][case], rtol=0, atol=atol)


@pytest.mark.parametrize("size", GOLDEN)
def test_golden_loss(golden, size):
    schedule, t = LogLinear(), golden[f"{size}_nll_t"]
    logp, x_t, x_0 = (golden[f"{size}_{key}"] for key in ("logp_theta", "xt", "x0"))
    for case, times in enumerate(t):
        alpha, rate = schedule.alpha(times), schedule.alpha_rate(times)
        exact = nelbo_rate(logp, x_t, x_0, alpha, rate)
        for key in ("nll_f64", "nll_udlm_form_f64"):
            expected = golden[f"{size}_{key}"][case]
            gap = np.abs(exact - expected) / (1 + np.abs(expected))
            assert gap.max() < 1e-11
        assert np.all(exact >= 0)
        # The peer cancels in float32; its own error bounds this comparison, ours is far smaller.
        single = nelbo_rate(logp.astype(np.float32), x_t, x_0, alpha, rate)
        assert single.dtype == np.float32 and np.all(single >= 0)
        allowed = np.where(times <= 1e-4, 5e-3, np.where(times == 1, 3e-4, 1e-4))[:, None]
        peer = golden[f"{size}_nll_f32"][case]
        assert np.all(np.abs(single - peer) <= allowed * (1 + np.abs(peer)))
        assert np.all(np.abs(single - exact) <= 1e-6 * (1 + np.abs(exact)))


# --- properties


@given(strategies.channels(alpha=strategies.times), strategies.times)
def test_posterior_is_a_law_with_the_right_ends(problem, other):
    s, t = sorted((problem["alpha"], other))
    schedule, size, x_t = LogLinear(), problem["vocab_size"], problem["x_t"]
    q = posterior(problem["probs"], x_t, schedule.alpha(s), schedule.alpha(t))
    assert np.all(q >= 0)
    assert_close(q.sum(-1), np.ones(len(x_t)))
    stay = posterior(problem["probs"], x_t, schedule.alpha(t), schedule.alpha(t))
    assert_close(stay, np.eye(size)[x_t])
    if t > 1e-9:  # a law of the clean token that the noisy one can have come from
        clean = posterior(np.eye(size)[problem["x_0"]], x_t, 1.0, schedule.alpha(t))
        assert_close(clean, np.eye(size)[problem["x_0"]])


@given(strategies.channels(alpha=strategies.inner_alphas), st.floats(0, 1))
def test_channels_compose_and_the_posterior_averages_to_the_marginal(problem, fraction):
    size, alpha_s = problem["vocab_size"], problem["alpha"]
    alpha_t = alpha_s * fraction
    to_s, to_t = oracles.token_kernel(size, alpha_s), oracles.token_kernel(size, alpha_t)
    step = oracles.token_kernel(size, alpha_t / alpha_s)
    assert_close(to_s @ step, to_t)
    x_0, x_t = (index.ravel() for index in np.indices((size, size)))
    q = posterior(np.eye(size)[x_0], x_t, alpha_s, alpha_t).reshape(size, size, size)
    assert_close(np.einsum("jk,jkl->jl", to_t, q), to_s)
    # Bayes' rule, entry by entry: q(x_s | x_t, x_0) q(x_t | x_0) = q(x_s | x_0) q(x_t | x_s).
    assert_close(q * to_t[:, :, None], to_s[:, None, :] * step.T[None])


@given(strategies.channels(alpha=strategies.inner_alphas))
def test_loo_and_full_are_inverse(problem):
    log_p, x_t, alpha = log(problem["probs"]), problem["x_t"], problem["alpha"]
    assert_close(np.exp(loo_from_full(full_from_loo(log_p, x_t, alpha), x_t, alpha)), np.exp(log_p))
    assert_close(np.exp(full_from_loo(loo_from_full(log_p, x_t, alpha), x_t, alpha)), np.exp(log_p))
    shifted = loo_from_full(log_p + 3.0, x_t, alpha)  # unnormalized input
    assert_close(np.exp(shifted), np.exp(loo_from_full(log_p, x_t, alpha)))


@given(strategies.stored_patterns(max_states=64))
def test_conversion_equals_leaving_the_evidence_out(problem):
    size, x_t, alpha = problem["vocab_size"], problem["x_t"], problem["alpha"]
    law = oracles.empirical_law(problem["patterns"], size)
    full, loo = (f(law, x_t, alpha, size) for f in (oracles.full, oracles.loo))
    assert_close(np.exp(loo_from_full(log(full), x_t, alpha)), loo)
    assert_close(np.exp(full_from_loo(log(loo), x_t, alpha)), full)


@given(strategies.channels(alpha=st.sampled_from([0.0, 1.0])))
def test_conversion_at_the_ends(problem):
    log_p, x_t, alpha = log(problem["probs"]), problem["x_t"], problem["alpha"]
    full = np.exp(full_from_loo(log_p, x_t, alpha))
    if alpha == 0.0:  # the token says nothing
        assert_close(full, problem["probs"])
        assert_close(np.exp(loo_from_full(log_p, x_t, alpha)), problem["probs"])
        return
    possible = problem["probs"][np.arange(len(x_t)), x_t] > 0
    expected = np.where(possible[:, None], np.eye(problem["vocab_size"])[x_t], problem["probs"])
    assert_close(full, expected)


def test_point_mass_at_alpha_one_is_exact_however_unlikely_the_token():
    log_loo = np.array([[-200.0, 0.0, -np.inf], [-np.inf, -0.5, np.log(-np.expm1(-0.5))]])
    out = full_from_loo(log_loo, np.array([0, 0]), np.array([1.0, 1.0]))
    np.testing.assert_array_equal(out[0], [0.0, -np.inf, -np.inf])
    assert_close(np.exp(out[1]), np.exp(log_loo[1]))
    mixed = full_from_loo(log_loo, np.array([0, 0]), np.array([1.0, 0.5]))
    np.testing.assert_array_equal(mixed[0], out[0])


@given(strategies.channels())
def test_loss_is_never_negative_and_vanishes_for_certain_truth(problem):
    x_t, x_0, alpha = (problem[key] for key in ("x_t", "x_0", "alpha"))
    loss = nelbo_rate(log(problem["probs"]), x_t, x_0, alpha, -1.0)
    assert np.all(loss >= 0) and np.all(np.isfinite(loss))
    sure = np.eye(problem["vocab_size"])[x_0]
    assert np.all(nelbo_rate(log(sure), x_t, x_0, alpha, -1.0) <= 2e-20)


@given(strategies.channels(alpha=strategies.inner_alphas, positive=True))
def test_loss_equals_the_divergence_of_reverse_chains(problem):
    x_t, x_0, alpha, rows = (problem[key] for key in ("x_t", "x_0", "alpha", "probs"))
    expected = [
        oracles.dense_nelbo_rate(p, z, x, alpha, -0.7)
        for p, z, x in zip(rows, x_t, x_0, strict=True)
    ]
    loss = nelbo_rate(np.log(rows), x_t, x_0, alpha, -0.7)
    # The transcription cancels terms of order V / (1 - alpha); its rounding sets the bound.
    size = problem["vocab_size"]
    assert_close(loss, np.array(expected), rtol=1e-10, atol=1e-13 / (alpha * (1 - alpha)) * size)


@given(st.data(), strategies.channels(positive=True))
def test_relabelling_tokens_changes_nothing(data, problem):
    order = np.array(data.draw(st.permutations(range(problem["vocab_size"]))))
    back = np.argsort(order)
    rows, x_t, x_0, alpha = (problem[key] for key in ("probs", "x_t", "x_0", "alpha"))
    moved = rows[:, back]  # token v is called order[v]
    assert_close(
        nelbo_rate(np.log(moved), order[x_t], order[x_0], alpha, -1.0),
        nelbo_rate(np.log(rows), x_t, x_0, alpha, -1.0),
    )
    assert_close(
        np.exp(full_from_loo(np.log(moved), order[x_t], alpha)),
        np.exp(full_from_loo(np.log(rows), x_t, alpha))[:, back],
    )


def test_series_and_closed_form_meet_in_the_loss():
    for dtype, switch, rtol in ((np.float64, 0.05, 1e-14), (np.float32, 0.3, 1e-6)):
        x = np.array([switch * (1 - 1e-6), switch * (1 + 1e-6)], dtype=dtype)
        for sign in (1, -1):
            value = expm1_minus(sign * x)
            wide = sign * x.astype(np.longdouble)
            exact = np.sum([wide**k / np.prod(np.arange(1.0, k + 1)) for k in range(2, 30)], axis=0)
            assert value.dtype == dtype
            assert_close(value, exact.astype(float), rtol=rtol, atol=0)


# --- schedules


@given(strategies.times)
def test_time_at_inverts_alpha(t):
    for schedule in (LogLinear(), LogLinear(eps=0.1), Linear()):
        assert_close(schedule.time_at(schedule.alpha(t)), t)
        assert schedule.alpha(1e-5) == 1 - 1e-5 * -schedule.alpha_rate(0.0)


def test_schedules_keep_kind_and_dtype():
    for schedule in (LogLinear(), Linear()):
        for method in (schedule.alpha, schedule.alpha_rate):
            assert type(method(0.5)) is float and type(method(np.float32(0.5))) is float
            assert method(np.float32([0, 1])).dtype == np.float32
            assert method([0, 1]).dtype == np.float64 and method(np.array([0, 1])).shape == (2,)
    single = LogLinear().alpha(np.float32([0, 0.5, 1]))
    assert_close(LogLinear().time_at(single), np.float32([0, 0.5, 1]))
    assert LogLinear() == LogLinear(1e-3) and hash(Linear()) == hash(Linear())


# --- dtypes, shapes


def test_float32_in_float32_out_with_double_alpha():
    rows = np.float32([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    x, alpha = np.array([1, 2]), np.array([0.3, 0.999999])
    assert posterior(rows, x, 1.0, alpha).dtype == np.float32
    for function in (full_from_loo, loo_from_full):
        single, double = (function(np.log(rows.astype(d)), x, alpha) for d in (np.float32, float))
        assert single.dtype == np.float32
        assert_close(single, double)
    assert nelbo_rate(np.log(rows), x, x, alpha, -1.0).dtype == np.float32


def test_alpha_of_a_batch_meets_the_leading_axis():
    rng = np.random.default_rng(0)
    rows, x_t = rng.dirichlet(np.ones(3), (4, 4)), rng.integers(0, 3, (4, 4))
    alpha, rate = np.array([0.2, 0.5, 0.9, 1.0]), -np.arange(1.0, 5.0)
    together = [
        posterior(rows, x_t, 1.0, alpha),
        full_from_loo(np.log(rows), x_t, alpha),
        loo_from_full(np.log(rows), x_t, alpha),
        nelbo_rate(np.log(rows), x_t, x_t[::-1].copy(), alpha, rate),
    ]
    for b in range(4):
        args = (rows[b], x_t[b], alpha[b])
        assert_close(together[0][b], posterior(rows[b], x_t[b], 1.0, alpha[b]))
        assert_close(together[1][b], full_from_loo(np.log(args[0]), *args[1:]))
        assert_close(together[2][b], loo_from_full(np.log(args[0]), *args[1:]))
        one = nelbo_rate(np.log(rows[b]), x_t[b], x_t[3 - b], alpha[b], rate[b])
        assert_close(together[3][b], one)


def test_small_unsigned_tokens_with_a_large_vocabulary():
    rows = np.full((2, 300), 1 / 300)
    full = np.exp(full_from_loo(np.log(rows), np.array([0, 255], dtype=np.uint8), 0.5))
    assert np.all(np.argmax(full, axis=-1) == [0, 255])
    assert np.all(np.sum(full > full.min(axis=-1, keepdims=True) * 2, axis=-1) == 1)


# --- bad input

ROW, LOG = np.full((2, 3), 1 / 3), np.log(np.full((2, 3), 1 / 3))
PAIR = np.array([0, 2])
BAD = [
    (lambda: LogLinear().alpha(1.3), ScheduleDomainError, "`t` must lie in [0, 1]; got 1.3"),
    (lambda: Linear().alpha_rate([0.5, np.nan]), ScheduleDomainError, "got nan"),
    (lambda: LogLinear().alpha("half"), TypeError, "`t` must be a number"),
    (lambda: LogLinear().alpha(np.array([True])), TypeError, "got dtype bool"),
    (lambda: LogLinear().time_at(1e-4), ScheduleDomainError, "must lie in [0.001, 1]; got 0.0001"),
    (lambda: LogLinear(eps=1.0), ScheduleDomainError, "`eps` must lie in [0, 1); got 1.0"),
    (lambda: capacity(-0.1, 4), ScheduleDomainError, "`alpha` must lie in [0, 1]; got -0.1"),
    (lambda: capacity(0.5, 1), ValueError, "`vocab_size` must be a whole number of at least 2"),
    (lambda: dispersion(0.5, 2.5), ValueError, "got 2.5"),
    (lambda: corruption_rate(0.5, True), ValueError, "got True"),
    (lambda: posterior(ROW, PAIR, 0.3, 0.6), ScheduleDomainError, "got 0.3 and 0.6"),
    (lambda: posterior(ROW, PAIR, 1.0, np.nan), ScheduleDomainError, "`alpha_t` must lie"),
    (lambda: posterior(ROW, np.array([0, 3]), 1.0, 0.5), ValueError, "in [0, 3); got 3"),
    (lambda: posterior(ROW, -PAIR, 1.0, 0.5), ValueError, "in [0, 3); got -2"),
    (lambda: posterior(ROW, PAIR * 1.0, 1.0, 0.5), TypeError, "integer dtype; got float64"),
    (lambda: posterior(ROW, PAIR[:1], 1.0, 0.5), ValueError, "leading shape (2,)"),
    (lambda: full_from_loo(LOG, PAIR, np.ones(3)), ValueError, "`alpha` must be a number or have"),
    (lambda: loo_from_full(ROW.astype(int), PAIR, 0.5), TypeError, "floating dtype; got int64"),
    (lambda: loo_from_full(np.float64(0.5), 0, 0.5), ValueError, "got a single number"),
    (lambda: nelbo_rate(LOG, PAIR, PAIR + 1, 0.5, -1.0), ValueError, "in [0, 3); got 3"),
    (lambda: nelbo_rate(LOG, PAIR, PAIR, 1.5, -1.0), ScheduleDomainError, "got 1.5"),
    (lambda: nelbo_rate(LOG, PAIR, PAIR, 0.5, np.ones(3)), ValueError, "`alpha_rate` must be"),
]


@pytest.mark.parametrize("call, error, fragment", BAD)
def test_bad_input(call, error, fragment):
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)


# --- import cost

IMPORT = """
import sys, time
before = time.process_time()
import am_theory, am_theory.channel
print(time.process_time() - before, "scipy" in sys.modules)
am_theory.empirical
heavy = {"jax", "matplotlib", "sympy", "numba", "scipy.stats"} & set(sys.modules)
print(sorted(heavy), sorted({"channel", "empirical"} & set(dir(am_theory))))
"""


def test_import_is_light():
    runs = [
        subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    seconds, scipy = zip(*(run.stdout.splitlines()[0].split() for run in runs), strict=True)
    assert min(map(float, seconds)) < 0.5
    assert scipy[0] == "False"
    assert runs[0].stdout.splitlines()[1] == "[] ['channel', 'empirical']"


def test_unknown_submodule_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        am_theory.nonsense  # noqa: B018

"""Laws of released networks against enumeration, explicit laws, minimization and rounding."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from am_theory.channel import Absorbing, Hybrid, Uniform, full_from_loo, loo_from_full
from models.conversions import (
    bf16_error,
    gidd_tilt,
    logit_cap_entropy_floor,
    loo_from_log_ratios,
    loo_from_masked_logits,
    loo_from_weighted,
    readable,
    without_mask,
)
from tests import oracles
from tests.helpers import assert_close, assert_digits

CHANNELS = [Uniform(3), Absorbing(3), Hybrid(3, 0.2)]


def kernel_of(channel, alpha):
    """q(z | x), (V, V + 1), written out."""
    rates, size = channel.rates(alpha), channel.vocab_size
    values = rates.keep * np.eye(size) + rates.redraw / size
    return np.concatenate([values, np.full((size, 1), rates.mask)], axis=1)


# --- log ratios


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: type(channel).__name__)
@pytest.mark.parametrize("alpha", [0.05, 0.6, 0.99])
def test_log_ratios_against_enumeration(channel, alpha):
    rng, length, size = np.random.default_rng(0), 3, 3
    law, seqs = rng.dirichlet(np.ones(size**length)), oracles.all_sequences(size, length)
    kernel = kernel_of(channel, alpha)
    noisy = np.array(list(itertools.product(range(size + 1), repeat=length)))
    chance = law @ kernel[seqs[:, None, :], noisy[None]].prod(axis=-1)
    table = chance.reshape((size + 1,) * length)
    for x_t, here in zip(noisy, chance, strict=True):
        if here == 0:
            continue
        ratios, exact = np.empty((length, size + 1)), np.empty((length, size))
        for site in range(length):
            place = tuple(np.delete(x_t, site))
            with np.errstate(divide="ignore"):
                ratios[site] = np.log(np.moveaxis(table, site, -1)[place] / here)
            rest = np.delete(kernel[seqs, x_t], site, axis=1).prod(axis=1)
            exact[site] = np.bincount(seqs[:, site], law * rest, size)
        exact /= exact.sum(axis=1, keepdims=True)
        ratios[np.arange(length), x_t] = 9.0  # not read
        found = np.exp(loo_from_log_ratios(ratios, x_t, alpha, channel))
        if isinstance(channel, Absorbing):
            seen = x_t < size
            exact[seen] = np.eye(size)[x_t[seen]]
            masked = np.exp(ratios[~seen, :size]).sum(axis=1) * (1 - alpha) / alpha
            assert_close(masked, np.ones(len(masked)), rtol=1e-9)
        assert_close(found, exact, rtol=1e-9, atol=1e-12)
        assert_close(np.exp(loo_from_log_ratios(ratios[:, :size], x_t, alpha, channel)), found)


@given(st.integers(0, 10**6), st.floats(0.05, 0.999), st.floats(1e-4, 0.5))
def test_an_error_of_the_scores_is_bounded(seed, alpha, eta):
    rng, size = np.random.default_rng(seed), 5
    loo = rng.dirichlet(np.ones(size) / 2)
    noisy = alpha * loo + (1 - alpha) / size
    ratios = np.log(noisy / noisy[0])
    shaken = ratios + eta * rng.choice([-1, 1], size) * (np.arange(size) > 0)
    found = np.exp(loo_from_log_ratios(shaken, 0, alpha, Uniform(size)))
    raw = (np.exp(shaken) / np.exp(shaken).sum() - (1 - alpha) / size) / alpha
    bound = np.expm1(2 * eta) * (loo + (1 - alpha) / (alpha * size))
    assert np.all(np.abs(raw - loo) <= bound * (1 + 1e-9))
    assert_close(found.sum(), 1.0)
    # what is clipped at 0 is made up for by the others
    assert np.all(np.abs(found - loo) <= bound + bound.sum())


def test_log_ratios_of_a_batch_and_in_a_compiled_function():
    rng, channel = np.random.default_rng(1), Hybrid(4, 0.3)
    ratios, x_t = rng.normal(size=(2, 3, 4)), rng.integers(0, 5, (2, 3))
    alpha = np.array([0.3, 0.8])
    both = loo_from_log_ratios(ratios, x_t, alpha, channel)
    each = [
        loo_from_log_ratios(r, x, a, channel) for r, x, a in zip(ratios, x_t, alpha, strict=True)
    ]
    assert_close(both, np.stack(each))
    run = jax.jit(lambda r, x, a: loo_from_log_ratios(r, x, a, channel))
    twin = run(jnp.asarray(ratios, jnp.float32), jnp.asarray(x_t), jnp.asarray(alpha, jnp.float32))
    assert_close(np.exp(twin), np.exp(both), rtol=2e-4)


# --- masked logits


@pytest.mark.parametrize("mask_id", [0, 2, 5])
def test_masked_logits_leave_out_the_column_of_the_mask(mask_id):
    """As D3PM states it: p_v / (1 - p_mask) over the values, in their order."""
    rng = np.random.default_rng(2)
    logits, ids = rng.normal(size=(2, 4, 6)), rng.integers(0, 6, (2, 4))
    ids[:, 1] = mask_id
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    values = [v for v in range(6) if v != mask_id]
    exact = p[..., values] / (1 - p[..., [mask_id]])
    for place in zip(*np.nonzero(ids != mask_id), strict=True):
        exact[place] = np.eye(5)[values.index(ids[place])]
    found = loo_from_masked_logits(logits, ids, mask_id=mask_id)
    assert_close(np.exp(found), exact)
    moved = without_mask(ids, mask_id=mask_id, vocab_size=5)
    assert np.all((moved == 5) == (ids == mask_id))
    bare = np.delete(logits, mask_id, axis=-1)
    assert_close(loo_from_masked_logits(bare, moved, mask_id=5), found)


def test_shifted_logits_speak_of_the_next_site():
    logits = np.random.default_rng(3).normal(size=(2, 5, 4))
    masked = np.full((2, 5), 3)
    found = loo_from_masked_logits(logits, masked, mask_id=3, shift=True)
    plain = loo_from_masked_logits(logits, masked, mask_id=3)
    assert_close(found[:, 1:], plain[:, :-1])
    assert_close(found[:, 0], plain[:, 0])


def test_masked_logits_in_a_compiled_function():
    logits = np.random.default_rng(4).normal(size=(3, 5)).astype(np.float32)
    ids = np.array([1, 4, 0])
    run = jax.jit(lambda x, z: loo_from_masked_logits(x, z, mask_id=1, shift=True))
    twin = run(jnp.asarray(logits), jnp.asarray(ids))
    exact = loo_from_masked_logits(logits, ids, mask_id=1, shift=True)
    assert_close(np.exp(twin), np.exp(exact))


# --- weighted losses


@pytest.mark.parametrize(
    "time, printed", [(0.01, "2.546"), (0.1, "1.336"), (0.5, ".189"), (0.9, "-.954")]
)
def test_printed_tilts(time, printed):
    assert_digits(gidd_tilt(time, Hybrid(50257, 0.1)), printed)
    spread = [gidd_tilt(time, Hybrid(50257, p)) for p in (1e-3, 0.1, 0.3)]
    assert np.ptp(spread) < 1e-3


@pytest.mark.parametrize("time", [0.3, 0.7])
@pytest.mark.parametrize("kind", ["likelihood", "none", "dynamic"])
def test_tilt_is_where_the_loss_is_least(time, kind):
    """Three letters: E w (KL + IS) minimized over the law that a network puts out."""
    channel, z, size = Hybrid(3, 0.2), 0, 3
    alpha = channel.alpha_at(time)
    kernel, loo = kernel_of(channel, alpha), np.array([0.3, 0.5, 0.2])
    beta = np.log1p(size * alpha / channel.rates(alpha).redraw)
    odds = 2 * 0.2 / (1 - 0.2)
    same = odds / (size + 1) * np.exp(1 / (1 + np.exp(time)) / 2)
    weight, tilt = {
        "likelihood": (1 / kernel[:, z], 0.0),
        "none": (np.ones(size), beta),
        "dynamic": (np.where(np.arange(size) == z, same, 1.0), gidd_tilt(time, channel)),
    }[kind]

    def loss(free):
        x = np.exp(np.append(free, 0.0))
        model = (x / x.sum()) @ kernel
        ratio = kernel[:, z] / model[z]
        kl = np.sum(kernel * np.log(kernel / model), axis=1)
        return np.sum(loo * kernel[:, z] * weight * (kl + ratio - 1 - np.log(ratio)))

    best = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-10})
    found = loo_from_weighted(np.append(best.x, 0.0), z, tilt)
    assert_close(np.exp(found), loo, rtol=1e-5)  # of the minimizer, whose loss is flat there


@given(st.integers(0, 10**6), st.floats(-20, 20))
def test_tilts_come_off_and_spare_masked_sites(seed, tilt):
    rng = np.random.default_rng(seed)
    loo, x_t = np.log(rng.dirichlet(np.ones(4), 5)), np.array([0, 1, 2, 3, 4])
    tilted = loo + tilt * np.eye(5)[x_t][:, :4]
    assert_close(loo_from_weighted(tilted, x_t, tilt), loo, atol=1e-9)
    full = full_from_loo(loo[:4], x_t[:4], 0.4)
    beta = np.log1p(4 * 0.4 / 0.6)
    assert_close(loo_from_weighted(full, x_t[:4], beta), loo[:4], atol=1e-9)


# --- caps and bits


@pytest.mark.parametrize(
    "cap, vocab, noise, printed",
    [
        (15, 262144, 0.5, ".1184"),
        (15, 262144, 1e-2, "5.52"),
        (15, 262144, 1e-4, "12.36"),
        (15, 1024, 1e-2, "1.9e-4"),
        (15, 1024, 1e-4, ".01455"),
        (15, 1024, 1e-6, ".920"),
    ],
)
def test_printed_floors(cap, vocab, noise, printed):
    floor = logit_cap_entropy_floor(cap, vocab, 1 - noise)
    assert_digits(floor, printed)
    logits = np.full(vocab, -float(cap))
    logits[7] = cap
    full = logits - np.logaddexp.reduce(logits)
    law = np.exp(loo_from_full(full, 7, 1 - noise))
    assert_close(floor, oracles.entropy(law), rtol=1e-9)


def test_a_cap_of_thirty_never_binds():
    assert logit_cap_entropy_floor(30, 262144, 1 - 1e-7) < 1e-4
    noise = np.array([0.9, 0.1, 1e-3])
    floors = logit_cap_entropy_floor(15, 4096, 1 - noise)
    assert np.all(np.diff(floors) > 0) and floors[-1] < np.log(4096)


@given(st.integers(0, 10**6), st.sampled_from([15.0, 30.0]), st.floats(0.001, 0.999))
def test_rounding_is_bounded_at_every_noise_level(seed, cap, alpha):
    rng = np.random.default_rng(seed)
    logits = rng.uniform(-cap, cap, 50)
    rounded = np.asarray(jnp.asarray(logits, jnp.bfloat16), dtype=np.float64)
    # a first rounding, to float32, may move a tie
    assert np.abs(rounded - logits).max() <= bf16_error(cap) * (1 + 1e-5)
    laws = [loo_from_full(x - np.logaddexp.reduce(x), 3, alpha) for x in (logits, rounded)]
    assert np.abs(laws[0] - laws[1]).max() <= 2 * bf16_error(cap) * (1 + 1e-5)


def test_rounding_reaches_its_bound():
    assert_digits(bf16_error(30), ".0625")
    assert_digits(bf16_error(15), ".03125")
    fine = np.linspace(16, 30, 4001)
    rounded = np.asarray(jnp.asarray(fine, jnp.bfloat16), dtype=np.float64)
    assert np.abs(rounded - fine).max() > 0.98 * bf16_error(30)


@pytest.mark.parametrize("cap", [15.0, 16.0, 30.0, 31.0])
def test_what_is_rounded_before_it_is_capped_is_off_by_no_more(cap):
    """The head in bfloat16, the cap in float32, as in DiffusionGemma: tanh shrinks errors."""
    raw = np.linspace(0, 8 * cap, 200_001)
    rounded = np.asarray(jnp.asarray(raw, jnp.bfloat16), dtype=np.float64)
    error = np.abs(cap * np.tanh(rounded / cap) - cap * np.tanh(raw / cap)).max()
    assert 0.4 * bf16_error(cap) < error <= bf16_error(cap)


WORDS = [
    (dict(law="loo"), "Logits in float32 without a cap: their form limits nothing."),
    (
        dict(law="loo", dtype="bfloat16"),
        "Logits in bfloat16: log-probabilities may be off by 1/128 of the largest logit.",
    ),
    (
        dict(law="loo", cap=5, dtype="float16"),
        # 2 * 2^-9 nats; a gap of 10 nats to 262143 others holds 1 / (1 + 262143 e^-10) = 0.0775
        "Logits in float16 with a cap of 5: log-probabilities may be off by 0.0039 nats, "
        "probabilities by a factor of 1. Entropies below 12 nats are not readable at any noise "
        "level with a cap of 5.",
    ),
    (
        dict(law="full", cap=30, dtype="bfloat16"),
        # e = 262143 exp(beta - 60) = 5.9e-14 at beta = log(1 + 99 * 262144) = 17.07; H = 43.9 e
        "Logits in bfloat16 with a cap of 30: log-probabilities may be off by 0.12 nats, "
        "probabilities by a factor of 1.13. Where the clean token is the visible one, entropies "
        "below 2.6e-12 nats are not readable at a kept fraction of 0.99 with a cap of 30. Training "
        "that ends l nats a token above its least loss leaves the law of the visible token "
        "unreadable where fewer than 8 l of the tokens are redrawn.",
    ),
]


@pytest.mark.parametrize("form, words", WORDS)
def test_limits_in_words(form, words):
    assert readable(262144, 0.99, **form) == words


@pytest.mark.parametrize("alpha", [0.3, 0.9])
def test_the_error_that_an_excess_loss_allows_at_the_visible_token(alpha):
    """`readable`: at an excess loss of t / 8, t = 1 - alpha, an offset of at least 1/2 is allowed,
    since the share of other tokens in `full`, on average, is at most t."""
    rng = np.random.default_rng(0)
    loo, off = rng.dirichlet(np.ones(5)), np.array([0.5, 0, 0, 0, 0])
    visible = alpha * loo + (1 - alpha) / 5
    costs = []
    for own in range(5):
        full = full_from_loo(np.log(loo), own, alpha)
        wrong = full + np.roll(off, own)
        wrong = wrong - np.logaddexp.reduce(wrong)
        costs.append(np.exp(full) @ (full - wrong))
    assert visible @ costs <= (1 - alpha) / 8


def test_what_a_cross_entropy_leaves_depends_on_the_sites_it_counts():
    """All sites: `full`. Redrawn sites alone, as dllm trains DiffusionGemma: `loo` at once."""
    loo, alpha, own = np.array([0.5, 0.3, 0.2]), 0.4, 1
    redrawn = loo * (1 - alpha) / 3  # and x_t = own
    every = redrawn + alpha * loo * (np.arange(3) == own)
    law = {}
    for name, weight in (("redrawn", redrawn), ("every", every)):
        loss = lambda x, w=weight: -w @ (x - np.logaddexp.reduce(x))  # noqa: E731
        found = minimize(loss, np.zeros(3), tol=1e-12).x
        law[name] = found - np.logaddexp.reduce(found)
    assert_close(np.exp(law["redrawn"]), loo, rtol=1e-4)
    assert_close(np.exp(law["every"]), np.exp(full_from_loo(np.log(loo), own, alpha)), rtol=1e-4)


ROWS = np.log(np.full((2, 3), 1 / 3))

BAD = [
    (lambda: loo_from_log_ratios(ROWS, [0, 1], 0.0, Uniform(3)), "`alpha` must be above 0"),
    (lambda: loo_from_log_ratios(ROWS, [0, 3], 0.5, Uniform(3)), "must lie in [0, 3); got 3"),
    (lambda: loo_from_log_ratios(ROWS, [0, 4], 0.5, Absorbing(3)), "or the mask 3; got 4"),
    (lambda: loo_from_log_ratios(ROWS, [0], 0.5, Uniform(3)), "leading shape (2,)"),
    (lambda: loo_from_log_ratios(ROWS, [0, 1], 0.5, Uniform(5)), "has 5 values and the law 3"),
    (lambda: loo_from_masked_logits(ROWS, [0, 1], mask_id=4), "`mask_id` must lie in [0, 3]"),
    (lambda: loo_from_masked_logits(ROWS, [0], mask_id=1), "leading shape (2,) of `logits`"),
    (lambda: loo_from_masked_logits(ROWS, [0, 3], mask_id=1), "must lie in [0, 3); got 3"),
    (lambda: loo_from_masked_logits(ROWS[0], 0, mask_id=1, shift=True), "(..., L, W) to shift"),
    (lambda: loo_from_weighted(ROWS, [0, 4], 0.1), "must lie in [0, 3) or the mask 3; got 4"),
    (lambda: gidd_tilt(0.5, Absorbing(4)), "must be Hybrid(V, p) with 0 < p < 1; got Absorbing"),
    (lambda: gidd_tilt(1.5, Hybrid(4, 0.1)), "1.5"),
    (lambda: bf16_error(0), "`cap` must be finite and above 0; got 0"),
    (lambda: logit_cap_entropy_floor(np.inf, 8, 0.5), "`cap` must be finite and above 0; got inf"),
    (lambda: readable(8, 1.0, law="full"), "`alpha` must lie in [0, 1); got 1.0"),
    (lambda: readable(8, 0.5, law="loo", cap=-1), "`cap` must be finite and above 0; got -1"),
    (lambda: logit_cap_entropy_floor(3, 1, 0.5), "`vocab_size` must be a whole number"),
]


@pytest.mark.parametrize("call, fragment", BAD)
def test_bad_input(call, fragment):
    with pytest.raises(ValueError) as caught:
        call()
    assert fragment in str(caught.value)


def test_whole_numbers_are_no_logits():
    with pytest.raises(TypeError, match="`logits` must have a floating dtype"):
        loo_from_masked_logits([[1, 2]], [0], mask_id=1)
    with pytest.raises(TypeError, match="integer dtype"):
        loo_from_masked_logits(ROWS, [0.0, 1.0], mask_id=1)

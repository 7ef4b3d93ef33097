"""Uniform, absorbing and hybrid noise: one kernel, against tables, enumeration and limits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory import channel
from am_theory.channels import Absorbing, Hybrid, Uniform, channel_iv
from am_theory.schedules import ScheduleDomainError
from tests import oracles
from tests.helpers import assert_close, assert_digits

CHAIN_LAW = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 3)
NAMED = [Uniform(3), Absorbing(3), Hybrid(3, 0.1), Hybrid(3, 0.7), Hybrid(3, 0.0), Hybrid(3, 1.0)]
MASKING = [noise for noise in NAMED if noise.mask_id is not None]
kept = st.floats(1e-3, 1 - 1e-3)
shares = st.one_of(st.floats(1e-3, 0.999), st.sampled_from([0.0, 1.0, 1e-8, 1 - 1e-8]))


def noise_of(noise):
    """The channel as the brute force takes it."""
    if noise.mask_id is None:
        return float
    return lambda alpha: tuple(float(rate) for rate in noise.rates(float(alpha))[:3])


# --- printed tables


def test_hybrid_rates_as_printed():
    for alpha, time, redraw, mask in (
        (0.7, ".23412946", ".08600741", ".21399259"),
        (0.4, ".55583353", ".09943676", ".50056324"),
    ):
        rates = Hybrid(4, 0.1).rates(alpha)
        assert_digits(Hybrid(4, 0.1).time_at(alpha), time)
        assert_digits(rates.redraw, redraw)
        assert_digits(rates.mask, mask)


def test_hybrid_noise_is_uniform_at_small_levels():
    rates = Hybrid(4, 0.1).rates(1 - 1e-4)
    assert_digits(rates.redraw * 1e5, "9.98")
    assert_digits(rates.mask * 1e7, "2.0")
    assert_digits(rates.fresh_redraw, ".99597")
    for p, time in ((0.1, ".0471"), (0.2, ".2")):
        equal = (2 * p / (1 - p)) ** 2
        assert_digits(equal / (1 + equal), time)
        rates = Hybrid(4, p).rates(Hybrid(4, p).alpha_at(equal / (1 + equal)))
        assert_close(rates.redraw, rates.mask)


INFORMATION = [
    (Absorbing(4), 0.5, "0.6931471806", "0.4804530139"),
    (Absorbing(8), 0.3, "0.6238324625", "0.9080561963"),
    (Absorbing(32), 0.7, "2.4260151320", "2.5223783231"),
    (Hybrid(4, 0.1), 0.5, "0.5238871744", "0.7908183635"),
    (Hybrid(8, 0.2), 0.3, "0.3786686036", "0.8955968761"),
    (Hybrid(32, 0.5), 0.7, "1.8943642109", "3.8611000033"),
]


@pytest.mark.parametrize("noise, alpha, capacity, dispersion", INFORMATION)
def test_capacity_and_dispersion_table(noise, alpha, capacity, dispersion):
    assert_digits(channel.capacity(alpha, noise), capacity)
    assert_digits(channel.dispersion(alpha, noise), dispersion)


POSTERIORS = [
    (Absorbing(4), 4, "0 0 0 .5 .5"),
    (Hybrid(4, 0.1), 1, ".01087446 .50512923 .01087446 .36489612 .10822573"),
    (Hybrid(4, 0.1), 4, ".01624921 .01624921 .01624921 .54524777 .40600459"),
]


@pytest.mark.parametrize("noise, x_t, printed", POSTERIORS)
def test_posterior_table(noise, x_t, printed):
    law = channel.posterior(np.eye(4)[3], x_t, 0.7, 0.4, noise)
    for value, digits in zip(law, printed.split(), strict=True):
        assert_digits(value, digits)


NELBO = [
    (Absorbing(3), 0.9, 0.1, "2.3178991780", None, "2.6366694928"),
    (Absorbing(3), 0.7, 0.3, "1.1566859939", None, "1.3183347464"),
    (Hybrid(3, 0.1), 0.9, 0.1, "2.1812955915", "2.6013403282", "2.4684911806"),
    (Hybrid(3, 0.1), 0.7, 0.3, "1.0713441078", "1.2416547771", "1.2063329207"),
]


def chain_rate(noise, denoise):
    noisy = oracles.noisy_sequences(3, 3, noise_of(noise)(0.5))

    def rate(x_t, x_0, alpha):
        with np.errstate(divide="ignore"):
            rows = np.log(denoise(CHAIN_LAW, noisy, noise_of(noise)(alpha), 3))
        return channel.nelbo_rate(
            np.broadcast_to(rows, (*x_t.shape, 3)), x_t, x_0, alpha, -1.0, noise
        )

    return rate


@pytest.mark.parametrize("noise, top, bottom, loo, full, flat", NELBO)
def test_nelbo_table(noise, top, bottom, loo, full, flat):
    def total(denoise):
        rate = chain_rate(noise, denoise)
        return oracles.nelbo(rate, CHAIN_LAW, 3, 3, top, bottom, 40, noise_of(noise))

    gain = np.subtract(*(channel.mutual_information(CHAIN_LAW, 3, noise, a) for a in (top, bottom)))
    assert_digits(gain, loo)
    assert_digits(total(safe(oracles.loo)), loo)
    if full is not None:
        assert_digits(total(oracles.full), full)
    uniform = total(lambda law, x_t, alpha, size: np.full((*x_t.shape, size), 1 / size))
    assert_digits(3 * np.subtract(*channel.capacity(np.array([top, bottom]), noise)), flat)
    assert_digits(uniform, flat)


def safe(denoise):
    """Contexts of probability 0, which count nothing, get some law."""

    def law(*arguments):
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(denoise(*arguments), nan=1 / 3)

    return law


@pytest.mark.parametrize(
    "noise, printed",
    [
        (Absorbing(3), (".6393755296", "1.5395408126", "2.3758192674")),
        # the sheet prints .3861092743; 40-digit arithmetic gives .386109274205403
        (Hybrid(3, 0.1), (".3861092742", "1.1372929998", "2.0020034387")),
    ],
)
def test_information_table(noise, printed):
    for alpha, digits in zip((0.2, 0.5, 0.8), printed, strict=True):
        found = channel.mutual_information(CHAIN_LAW, 3, noise, alpha)
        assert_digits(found, digits)
        brute = oracles.mutual_information(CHAIN_LAW, noise_of(noise)(alpha), 3, 3)
        assert_close(found, brute, atol=1e-12)


def test_small_noise_limit_of_the_loss_is_finite_under_erasures_alone():
    def mean_rate(noise, rest):
        alpha = noise_of(noise)(1 - rest)
        seqs = oracles.all_sequences(3, 3)
        noisy = oracles.noisy_sequences(3, 3, alpha)
        x_0, x_t = np.broadcast_arrays(seqs[:, None], noisy[None])
        rows = chain_rate(noise, safe(oracles.loo))(x_t, x_0, 1 - rest).sum(-1)
        return np.sum(CHAIN_LAW[:, None] * oracles.channel_matrix(seqs, 3, alpha) * rows)

    for rest, printed in ((1e-2, "2.57596844"), (1e-4, "2.57032734"), (1e-6, "2.57027107")):
        assert_digits(mean_rate(Absorbing(3), rest), printed)
    for rest, uniform, hybrid in (
        (1e-2, "9.834", "8.180"),
        (1e-4, "18.993", "18.931"),
        (1e-6, "28.203", "28.202"),
    ):
        assert_digits(mean_rate(Uniform(3), rest), uniform)
        assert_digits(mean_rate(Hybrid(3, 0.1), rest), hybrid)


# --- one kernel


@given(st.sampled_from([2, 4, 50257]), shares, st.floats(0, 1))
def test_every_split_adds_up_and_stays_in_range(size, p, alpha):
    for noise in (Uniform(size), Absorbing(size), Hybrid(size, p)):
        rates = noise.rates(alpha)
        assert sum(rates[:3]) == pytest.approx(1, abs=1e-15)
        assert min(rates) >= 0 and max(rates) <= 1


@given(st.floats(0.01, 0.99), st.floats(0.02, 0.98))
def test_fresh_redraw_is_the_slope_of_the_redrawn_fraction(p, alpha):
    noise, step = Hybrid(4, p), 1e-6
    share = [noise.rates(alpha + d).redraw / (alpha + d) for d in (-step, step)]
    slope = -(alpha**2) * (share[1] - share[0]) / (2 * step)
    assert_close(noise.rates(alpha).fresh_redraw, slope, rtol=1e-4, atol=1e-5)


@given(st.floats(0, 0.999), st.floats(0, 1))
def test_the_clock_runs_back(p, alpha):
    noise = Hybrid(4, p)
    assert_close(noise.alpha_at(noise.time_at(alpha)), alpha, atol=1e-9)
    assert_close(noise.rates(noise.alpha_at(0.5)).redraw, p, atol=1e-12)


@given(st.integers(0, 99), kept)
def test_the_ends_of_the_hybrid_are_the_other_two(seed, alpha):
    rng = np.random.default_rng(seed)
    for p, limit in ((1e-9, Absorbing(3)), (1 - 1e-9, Uniform(3))):
        near = Hybrid(3, p)
        for one, other in zip(near.rates(alpha), limit.rates(alpha), strict=True):
            assert_close(one, other, atol=1e-6)
        for gives in (channel.capacity, channel.dispersion, channel.corruption_rate):
            assert_close(gives(alpha, near), gives(alpha, limit), atol=1e-4)
        law, x_0 = rng.dirichlet(np.ones(3)), 1
        for z in (0, 1, 3) if limit.mask_id else (0, 1):
            if z == 0 and not limit.redraws:
                continue
            rates = [channel.nelbo_rate(np.log(law), z, x_0, alpha, -1.0, c) for c in (near, limit)]
            if z == x_0 and not limit.redraws:
                # every D_y > 0, so that e^D - 1 - D < e^D, and sum p_y / p_z < 1 / (alpha x_z)
                most = near.rates(alpha).fresh_redraw / (3 * alpha**2 * law[z])
                assert rates[1] == 0 <= rates[0] <= most
                continue
            assert_close(*rates, rtol=1e-4, atol=1e-4)
    for p, limit in ((0.0, Absorbing(3)), (1.0, Uniform(3))):
        for one, other in zip(Hybrid(3, p).rates(alpha), limit.rates(alpha), strict=True):
            assert one == other


@pytest.mark.parametrize("noise", NAMED, ids=repr)
@given(alphas=st.tuples(st.floats(0, 1), st.floats(0, 1)), seed=st.integers(0, 99))
def test_posterior_is_that_of_the_two_time_chain(noise, alphas, seed):
    alpha_t, alpha_s = sorted(alphas)
    law = np.random.default_rng(seed).dirichlet(np.ones(3))
    before, step = noise.rates(alpha_s), noise.step(alpha_s, alpha_t)
    wide = 3 + (noise.mask_id is not None)
    at_s = law @ oracles.token_kernel(3, tuple(before[:3]))
    jump = oracles.token_kernel(3, tuple(step[:3]))
    jump = np.vstack(
        [jump, np.eye(4)[3] * (1 - step.redraw) + step.redraw / 3 * (np.arange(4) < 3)]
    )
    # a mask is fresh noise too: it is redrawn as often as a token
    for z in range(wide):
        joint = at_s[:wide] * jump[:wide, z]
        found = channel.posterior(law, z, alpha_s, alpha_t, noise)
        assert found.shape == (wide,)
        if joint.sum() > 1e-12:
            assert_close(found, joint / joint.sum(), atol=1e-9)
        assert_close(found.sum(), 1.0)


@pytest.mark.parametrize("noise", NAMED, ids=repr)
def test_marginal_of_two_steps_is_the_kernel(noise):
    before, step, after = noise.rates(0.7), noise.step(0.7, 0.4), noise.rates(0.4)
    assert_close(before.keep * step.keep, after.keep)
    assert_close(before.redraw * step.keep + step.redraw, after.redraw)
    assert_close(before.mask * step.keep + step.mask, after.mask)


@pytest.mark.parametrize("noise", NAMED, ids=repr)
def test_kernel_and_likelihood_are_the_rates_written_out(noise):
    rates = tuple(noise.rates(0.6)[:3])
    wide = 3 + (noise.mask_id is not None)
    table = oracles.token_kernel(3, rates)[:, :wide]
    assert_close(channel.kernel(0.6, noise), table)
    assert_close(channel.likelihood(np.arange(wide), 0.6, noise), table.T)


@pytest.mark.parametrize("noise", MASKING, ids=repr)
@given(seed=st.integers(0, 99), alpha=kept)
def test_full_and_loo_by_enumeration(noise, seed, alpha):
    law = oracles.random_law(np.random.default_rng(seed), 3, 3)
    with np.errstate(divide="ignore"):
        x_t = oracles.noisy_sequences(3, 3, noise_of(noise)(alpha))
        fits = law @ oracles.channel_matrix(oracles.all_sequences(3, 3), 3, noise_of(noise)(alpha))
        x_t = x_t[fits > 1e-9]
        # without the site's evidence a context is as likely as with it, at least
        loo = np.log(oracles.loo(law, x_t, noise_of(noise)(alpha), 3))
        full = np.log(oracles.full(law, x_t, noise_of(noise)(alpha), 3))
    assert_close(np.exp(channel.full_from_loo(loo, x_t, alpha, noise)), np.exp(full), atol=1e-8)
    masked = x_t == 3
    if noise.redraws:
        back = channel.loo_from_full(full, x_t, alpha, noise)
        assert_close(np.exp(back)[masked], np.exp(loo)[masked], atol=1e-9)
    else:
        back = channel.loo_from_full(full[masked], x_t[masked], alpha, noise)
        assert_close(np.exp(back), np.exp(loo)[masked], atol=1e-9)


def dense_rate(noise, x_theta, z, x_0, alpha):
    """KL plus Itakura-Saito form of the loss, another grouping than that under test."""
    rates = noise.rates(alpha)
    kernel = oracles.token_kernel(3, tuple(rates[:3]))
    q, model = kernel[x_0], x_theta @ kernel
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.sum(np.where(q > 0, q * np.log(q / model), 0.0))
    ratio = q[z] / model[z]
    influx = (1 - rates.fresh_redraw) if z == 3 else rates.fresh_redraw / 3
    return influx / alpha / q[z] * (kl + ratio - 1 - np.log(ratio)) if q[z] > 0 else 0.0


@pytest.mark.parametrize("noise", MASKING, ids=repr)
@given(seed=st.integers(0, 999), alpha=st.floats(0.02, 0.98))
def test_rate_in_another_form(noise, seed, alpha):
    law = np.random.default_rng(seed).dirichlet(np.ones(3))
    for z in range(4):
        for x_0 in range(3):
            if not noise.redraws and z not in (3, x_0):
                continue  # cannot be
            if noise == Hybrid(3, 1.0) and z == 3:
                continue
            found = channel.nelbo_rate(np.log(law), z, x_0, alpha, -1.0, noise)
            expected = dense_rate(noise, law, z, x_0, alpha)
            assert found >= 0
            assert_close(found, expected if noise.redraws or z == 3 else 0.0, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("noise", MASKING, ids=repr)
def test_certainty_in_the_truth_costs_nothing(noise):
    with np.errstate(divide="ignore"):
        sure = np.log(np.eye(3))
    for z in (0, 3):
        assert channel.nelbo_rate(sure[0], z, 0, 0.6, -1.0, noise) == 0


@pytest.mark.parametrize("noise", [*MASKING[:2], Hybrid(3, 0.7)], ids=repr)
def test_same_in_jax_and_differentiable(noise):
    rng = np.random.default_rng(0)
    law = np.log(rng.dirichlet(np.ones(3), size=(2, 5)))
    x_t, x_0 = rng.integers(4, size=(2, 5)), rng.integers(3, size=(2, 5))
    alpha = np.array([0.3, 0.8])

    def both(xp):
        rows, z, truth, a = (xp.asarray(x) for x in (law, x_t, x_0, alpha))
        yield channel.nelbo_rate(rows, z, truth, a, -1.0, noise)
        yield channel.full_from_loo(rows, z, a, noise)
        yield channel.posterior(xp.exp(rows), z, a + 0.1, a, noise)
        yield channel.likelihood(z, a, noise)

    for ours, theirs in zip(both(np), jax.jit(lambda: tuple(both(jnp)))(), strict=True):
        assert_close(np.asarray(theirs, dtype=float), ours, atol=1e-5)
    slope = jax.grad(lambda r: channel.nelbo_rate(r, x_t, x_0, alpha, -1.0, noise).sum())
    assert np.isfinite(slope(jnp.asarray(law))).all()


# --- bad input


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: Hybrid(4, 1.5), "`p_uniform` must be one number in \\[0, 1\\]; got 1.5"),
        (lambda: Hybrid(4, 1.0).time_at(0.5), "no clock of its own; use `Uniform`"),
        (lambda: Absorbing(1), "`vocab_size` must be a whole number of at least 2"),
        (lambda: channel_iv(Absorbing(5), 4), "V never counts the mask: the channel's V may"),
        (lambda: channel_iv(Absorbing(3), 4), "V never counts the mask: the law's V may"),
        (lambda: channel_iv(Absorbing(9), 4), "Give the channel of this vocabulary"),
        (
            lambda: channel.full_from_loo(np.zeros((1, 3)), np.array([3]), 0.5),
            "must lie in \\[0, 3\\); got 3. .* A mask needs a channel that has one",
        ),
        (
            lambda: channel.full_from_loo(np.zeros((1, 3)), np.array([4]), 0.5, Absorbing(3)),
            "must lie in \\[0, 3\\) or the mask 3; got 4. V never counts the mask",
        ),
        (
            lambda: channel.loo_from_full(np.zeros((1, 3)), np.array([1]), 0.5, Absorbing(3)),
            "has no leave-one-out law .* Mask the site \\(id 3\\)",
        ),
        (
            lambda: channel.nelbo_rate(np.zeros((1, 3)), np.array([3]), np.array([3]), 0.5, -1.0),
            "must lie in \\[0, 3\\)",
        ),
        (lambda: channel.kernel(np.array([0.5, 0.6]), 3), "`alpha` must be one number"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_step_index_is_refused_by_the_clock():
    with pytest.raises(ScheduleDomainError, match="divided by the number of steps"):
        Hybrid(4, 0.1).alpha_at(12)

"""The proofs run, say what they prove, and fail as soon as one ingredient is wrong."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
import sympy as sp

from am_theory.channel import (
    Hybrid,
    capacity,
    inverse_temperature,
    nelbo_rate,
    nelbo_rate_small_noise,
)
from am_theory.derivations import (
    ALL,
    Derivation,
    DerivationError,
    channel,
    channels,
    erasures,
    hopfield,
    linear,
    loss,
    memory,
    random_feature_denoiser,
    small_noise,
)
from am_theory.derivations._proof import equation, require, require_equal, vanishes
from am_theory.erasures import retrieval_probability, token_entropy
from am_theory.random_feature_denoiser import activation_moments, convergence_size
from tests.helpers import assert_close, assert_digits


@pytest.fixture(scope="module")
def proved():
    """Every derivation, run once, and the process time of all."""
    start = time.process_time()
    results = {name: prove() for name, prove in ALL.items()}
    return results, time.process_time() - start


REQUIRED = {
    "channel.posterior",
    "channel.leave_one_out",
    "channel.nelbo_published_form",
    "channel.nelbo_minimiser",
    "channel.nelbo_uniform",
    "channel.nelbo_information",
    "channel.nelbo_small_noise",
    "channels.garbling",
    "channels.hybrid_rates",
    "channels.one_kernel",
    "channels.reverse_step",
    "loss.absorbing",
    "loss.information_rate",
    "loss.masked_count",
    "loss.rate_forms",
    "small_noise.loo_entropy",
    "erasures.decoders",
    "erasures.fitting_sequences",
    "erasures.parallel_reveal",
    "erasures.token_entropy",
    "memory.nishimori",
    "memory.condensation",
    "memory.one_step_capacity",
    "memory.exponents",
    "memory.gaussian_collapse",
    "memory.memorizer_loss",
    "hopfield.ags_reduction",
    "hopfield.ags_capacity",
    "hopfield.mixture_of_one",
    "hopfield.potts_at_two",
    "linear.noise_of_uniform_marginals",
    "linear.ridge_form",
    "linear.errors_on_an_iid_source",
    "linear.limits",
    "random_feature_denoiser.resolvent",
    "random_feature_denoiser.fluctuations",
    "random_feature_denoiser.fitted_skip",
    "random_feature_denoiser.full_skip",
    "random_feature_denoiser.transition_size",
}
NUMERIC = {"hopfield.ags_capacity", "small_noise.loo_entropy"}


def test_registry_holds_every_derivation():
    assert set(ALL) == REQUIRED


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_derivation_has_a_title_and_sound_latex(proved, name):
    result = proved[0][name]
    assert isinstance(result, Derivation)
    assert result.title and len(result.steps) >= 2
    for step in result.steps:
        assert step == step.strip()
        plain = step.replace(r"\{", "").replace(r"\}", "")
        assert plain.count("{") == plain.count("}")
        assert step.count(r"\[") == step.count(r"\]")
        assert step.count("$") % 2 == 0
        assert step.count(r"\left") == step.count(r"\right")
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.title = ""
    assert bool(result.numeric) == (name in NUMERIC)


def test_titles_differ(proved):
    titles = [result.title for result in proved[0].values()]
    assert len(set(titles)) == len(titles)


def test_all_proofs_take_less_than_a_minute(proved):
    assert proved[1] < 60


# --- one wrong ingredient each


def wrong_kernel(alpha, same, size):
    """Redraws among the other tokens only."""
    return alpha * int(same) + (1 - alpha) / (size - 1) * (1 - int(same))


def wrong_redraw(rates, z, x, size=channels.V):
    """Redraws among the other values only."""
    if z == channels.MASK:
        return rates.mask + rates.keep * int(x == z)
    return rates.keep * int(z == x) + rates.redraw / (size - 1) * int(z != x)


def fit_all_but_one(store, seen, query):
    """One visible token is not looked at."""
    return FIT(store, frozenset(sorted(seen)[1:]), query)


def at_once(fit, length):
    """All tokens drawn at once, each from its own law."""
    found = Counter()
    for choice in itertools.product(fit, repeat=length):
        found[tuple(x[i] for i, x in enumerate(choice))] += sp.Rational(1, len(fit) ** length)
    return found


FIT = erasures._fit
features = random_feature_denoiser


def fluctuating(**wrong):
    """The equations of the fluctuations with one expression replaced."""
    return type("Wrong", (features._Fluctuations,), wrong)


LAW = erasures._fitting_law
POSITIVE = {name: small_noise.LAWS["all sequences"] for name in small_noise.LAWS}
SYMBOLS = loss._symbols
STABLE = channel._stable_sum
SABOTAGE = [
    (channel, "kernel", wrong_kernel, "posterior"),
    (channel, "kernel", wrong_kernel, "nelbo_minimiser"),
    (channel, "kernel", wrong_kernel, "nelbo_uniform"),
    (channel, "kernel", wrong_kernel, "nelbo_information"),
    (channel, "ODDS", channel.a / (1 - channel.a), "nelbo_published_form"),
    (channel, "ODDS", channel.a / (1 - channel.a), "nelbo_minimiser"),
    (channel, "_stable_sum", lambda *args: STABLE(*args) + 1, "nelbo_published_form"),
    (channels, "kernel", wrong_redraw, "one_kernel"),
    (channels, "kernel", wrong_redraw, "reverse_step"),
    (channels, "kernel", wrong_redraw, "garbling"),
    (channels, "step", lambda before, after: after, "one_kernel"),
    (channels, "step", lambda before, after: after, "reverse_step"),
    (channels, "filled", lambda rates, z, k: sp.Integer(int(z == k)), "garbling"),
    (channels, "HYBRID", channels.Rates(*channels.HYBRID[::-1]), "hybrid_rates"),
    (loss, "term", lambda true, model: model - true, "rate_forms"),
    (loss, "term", lambda true, model: true * sp.log(true / model), "absorbing"),
    (loss, "FRESH", sp.Rational(1, 2), "absorbing"),
    (loss, "chance", lambda seen, sites: loss.a**seen, "information_rate"),
    (loss, "_symbols", lambda *args: SYMBOLS(*args) | {frozenset(): loss.V}, "masked_count"),
    (small_noise, "LAWS", POSITIVE, "loo_entropy"),
    (erasures, "mean_inverse", lambda size, fits: 1 / (1 + (size - 1) * fits), "fitting_sequences"),
    (erasures, "mean_inverse", lambda size, fits: 1 / (1 + (size - 1) * fits), "decoders"),
    (erasures, "_fitting_law", lambda size, fits: LAW(size + 1, fits), "fitting_sequences"),
    (erasures, "_fitting_law", lambda size, fits: LAW(size + 1, fits), "token_entropy"),
    (erasures, "_fit", fit_all_but_one, "fitting_sequences"),
    (erasures, "_fit", fit_all_but_one, "decoders"),
    (erasures, "_fit", fit_all_but_one, "token_entropy"),
    (erasures, "DECODERS", {"all at once": at_once}, "decoders"),
    (memory, "BETA", sp.log(1 + memory.a / (1 - memory.a)), "nishimori"),
    (memory, "BETA", 2 * memory.BETA, "memorizer_loss"),
    (memory, "TILTED", sp.exp(memory.b) / (sp.exp(memory.b) + memory.V), "condensation"),
    (memory, "FREE", sp.log(1 + sp.exp(memory.b) / memory.V), "one_step_capacity"),
    (memory, "relative", lambda x, p: x * sp.log(x / p), "condensation"),
    (memory, "w_1", (1 - memory.a) / (memory.V - 1), "nishimori"),
    (memory, "p_1", memory.a, "exponents"),
    (hopfield, "G", hopfield.G * 2, "ags_reduction"),
    (hopfield, "G", hopfield.G + sp.exp(-(hopfield.y**2)), "ags_capacity"),
    (hopfield, "G", -hopfield.G, "mixture_of_one"),
    (hopfield, "cdf", lambda x: (1 + sp.erf(x)) / 2, "potts_at_two"),
    (hopfield, "normal", lambda x: sp.exp(-(x**2)) / sp.sqrt(sp.pi), "potts_at_two"),
    (linear, "C_OF_A", 1 - linear.a**2, "ridge_form"),
    (linear, "C_OF_A", 1 - linear.a**2, "limits"),
    (linear, "KAPPA", linear.KAPPA + 1, "errors_on_an_iid_source"),
    (linear, "RESOLVENT", 1 / (1 + linear.k), "errors_on_an_iid_source"),
    (linear, "SLOPE", 2 * linear.SLOPE, "limits"),
    (linear, "LOAD", linear.k - linear.c, "errors_on_an_iid_source"),
    (features, "C_OF_A", 1 - features.a**2, "full_skip"),
    (features, "C_OF_A", 1 - features.a**2, "transition_size"),
    (features, "C_1", features.a**2, "transition_size"),
    (features, "C_2", features.omega / (1 + features.omega), "transition_size"),
    (features, "KAPPA_STAR", 1 / (1 - features.a**2), "transition_size"),
    (features, "_full", lambda level: (1, 1, 1), "full_skip"),
    (features, "_curvature", lambda q, mu: q, "fitted_skip"),
    (features, "_Fluctuations", fluctuating(by_draw=(0, 0, 0)), "fluctuations"),
    (features, "_Fluctuations", fluctuating(keep_r=1), "fluctuations"),
    (features, "_Fluctuations", fluctuating(mu=1), "fitted_skip"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "module, name, wrong, derivation", SABOTAGE, ids=[f"{s[1]}-{s[3]}" for s in SABOTAGE]
)
def test_a_wrong_ingredient_breaks_the_proof(monkeypatch, module, name, wrong, derivation):
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(DerivationError):
        getattr(module, derivation)()


def test_a_wrong_conversion_breaks_the_leave_one_out_theorem(monkeypatch):
    """The noise of x_t with alpha_s in the place of alpha_t = r alpha_s."""
    right = channel.kernel
    product = channel.r * channel.s

    def wrong(alpha, same, size):
        return right(channel.s if alpha == product else alpha, same, size)

    monkeypatch.setattr(channel, "kernel", wrong)
    with pytest.raises(DerivationError, match="mixture over full"):
        channel.leave_one_out()


# --- the checks themselves


def test_vanishes_tells_identities_from_near_misses():
    x, y, p, n = sp.symbols("x y p n", positive=True)
    for zero in (
        sp.log(x * y) - sp.log(x) - sp.log(y),
        sp.log((1 - p) / (n * (1 - p) ** 2)) + sp.log(n) + sp.log(1 - p),
        (x**2 - y**2) / (x - y) - x - y,
        sp.log(sp.exp(x) + n - 1) - sp.log(1 + (sp.exp(x) - 1) / n) - sp.log(n),
        sp.sin(x) ** 2 + sp.cos(x) ** 2 - 1,
    ):
        assert vanishes(zero)
    for other in (
        sp.log(x / y) - sp.log(x) - sp.log(y),
        sp.log(2 * x) - sp.log(x),
        (x - y) * sp.Rational(1, 10**12),
        sp.log(1 - p) - sp.log(1 + p),
        sp.exp(x) - 1 - x,
    ):
        assert not vanishes(other)


def test_failed_checks_say_what_is_left():
    x = sp.Symbol("x", positive=True)
    with pytest.raises(DerivationError, match="doubling: the two sides differ by x"):
        require_equal(2 * x, x, "doubling")
    with pytest.raises(DerivationError, match="order: does not hold"):
        require(x < 0, "order")
    with pytest.raises(DerivationError, match="shown"):
        equation("text", "shown", x, x**2)
    assert equation("text", "x", x, x) == "text\n\\[ x = x \\]"


# --- the proved formulas against the library's numbers


def test_the_capacity_in_the_steps_has_the_published_digits(proved):
    steps = " ".join(proved[0]["hopfield.ags_capacity"].steps)
    digits = {key: steps.split(key + "=")[1].split(",")[0].split(" ")[0] for key in ("y_c", "m_c")}
    digits["alpha"] = steps.split(r"\alpha_c=")[2].split(" ")[0]
    assert_digits(float(digits["y_c"]), "1.51121856")
    # The sheet prints 0.9674171158 for m_c = erf(y_c); 50-digit arithmetic gives ...156852915920.
    assert_digits(float(digits["m_c"]), "0.9674171157")
    assert_digits(float(digits["alpha"]), "0.1379055665")


def test_symbols_stand_for_what_the_library_computes():
    point = {memory.V: 5, memory.a: sp.Rational(3, 10)}
    assert_close(float(memory.BETA.subs(point)), inverse_temperature(0.3, 5))
    p = memory.p_1.subs(point)
    assert_close(float(memory.relative(p, sp.Rational(1, 5))), capacity(0.3, 5))
    x = [sp.Rational(1, 2), sp.Rational(3, 10), sp.Rational(1, 5)]
    e = sp.Rational(1, 10**6)
    limit = sum(q / x[0] + sp.log(q / x[0]) - 1 for q in x[1:]) / 3 - sp.Rational(2, 3) * sp.log(
        e / 3
    )
    value = nelbo_rate_small_noise(np.log([0.5, 0.3, 0.2]), 0, 1 - 1e-6)
    assert_close(float(value), float(limit), rtol=1e-6)


def test_proved_rates_and_losses_are_those_of_the_hybrid_channel():
    """At p = 0.2, B = 1 / 2, and s = 1 / 2, with V = 3."""
    point = {channels.B: sp.Rational(1, 2), channels.s: sp.Rational(1, 2)}
    keep, redraw, masked = (float(x.subs(point)) for x in channels.HYBRID)
    hybrid, fresh = Hybrid(3, 0.2), float(loss.FRESH.subs(point))
    assert_close(np.array(hybrid.rates(keep)), [keep, redraw, masked, fresh])
    assert_close(hybrid.time_at(keep), 0.2)
    law = np.array([0.5, 0.3, 0.2])
    true = np.array([keep + redraw / 3, redraw / 3, redraw / 3, masked])
    model = np.array([*(keep * law + redraw / 3), masked])
    for z in range(4):
        influx = fresh / (3 * keep) if z < 3 else (1 - fresh) / keep
        found = influx * sum(
            float(loss.term(sp.Float(true[y] / true[z]), sp.Float(model[y] / model[z])))
            for y in set(range(4)) - {z}
        )
        assert_close(float(nelbo_rate(np.log(law), z, 0, keep, -1.0, hybrid)), found, rtol=1e-10)


def test_proved_mean_of_the_fitting_sequences_is_the_retrieval_probability():
    terms = (
        w * erasures.mean_inverse(20, sp.Rational(1, 4**n))
        for n, w in enumerate(erasures._binomial(6))
    )
    exact = sum(terms).subs(erasures.a, sp.Rational(3, 10))
    assert_close(retrieval_probability(20, 6, 4, 0.3), float(exact))
    unsure = [sum(p * sp.log(m) for m, p in LAW(20, sp.Rational(1, 4**n))) for n in (2, 3)]
    assert_close(token_entropy(20, 3, 4, 1.0), float((unsure[0] - unsure[1]).evalf(30)))


def test_proved_transition_size_is_that_of_the_random_feature_denoiser():
    moments = activation_moments("relu", 0.75)
    point = {features.a: 0.75, features.omega: moments.static / moments.fresh}
    size = 96 * features.C_1.subs(point) + 50 * features.C_2.subs(point)
    found = convergence_size(50, 32, 4, 0.75, activation="relu", skip="full")
    assert_close(found.train_size, float(size))


def test_error_of_few_sequences_approaches_one_from_the_proved_side():
    """Marchenko-Pastur with m_2 by a difference quotient, at d / K = 1e4."""

    def test_error(square, load):
        c = (1 - square) / square

        def resolvent(x):
            kappa = (x + load - 1 + np.sqrt((x + load - 1) ** 2 + 4 * x)) / 2
            return kappa / (x * (1 + kappa))

        step = 1e-4 * c
        m2 = -(resolvent(c + step) - resolvent(c - step)) / (2 * step)
        return c**2 * m2 + c * (1 - 2 * c * resolvent(c) + c**2 * m2)

    for square in (0.25, 0.81):
        c = (1 - square) / square
        assert_close(1e4 * (test_error(square, 1e4) - 1), c - 1, rtol=2e-3, atol=1e-3)
    assert test_error(0.25, 1e4) > 1 > test_error(0.81, 1e4)


# --- import cost

IMPORT = """
import sys, am_theory
from am_theory import channel, empirical, basins, memorization, random_coding, information
print("sympy" in sys.modules, "mpmath" in sys.modules)
"""


def test_the_library_itself_does_not_load_sympy():
    run = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]

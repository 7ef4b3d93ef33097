"""Every corner of the promised ranges, without a warning (warnings are errors in these tests)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from am_theory import (
    channel,
    conditional_likelihood,
    dense,
    empirical,
    erasures,
    extraction,
    hopfield,
    linear,
    membership,
    neurodynamics,
    potts,
    staircase,
)
from am_theory import pseudolikelihood as pl
from am_theory import random_feature_denoiser as rfd
from am_theory import random_features as rf

SIZES, LENGTHS, VOCABULARIES = (1, 2, 1e3, 1e12), (1, 2, 64, 4096), (2, 32, 65536)
KEPT = (1e-6, 0.3, 0.999, 1 - 1e-12)
EDGE = 1 - 1e-9
Call = tuple[Callable[..., Any], tuple[Any, ...]]


def channel_calls() -> Iterator[Call]:
    names = ("capacity", "dispersion", "inverse_temperature", "corruption_rate")
    for name, kept, vocab in itertools.product(names, KEPT, VOCABULARIES):
        yield getattr(channel, name), (kept, vocab)


def empirical_calls() -> Iterator[Call]:
    on_alpha = (
        "retrieval_probability",
        "token_recovery",
        "true_weight",
        "posterior_entropy",
        "information",
        "nelbo",
        "shannon_bound",
    )
    sizes = list(itertools.product(SIZES, LENGTHS, VOCABULARIES))
    for name, problem, kept in itertools.product(on_alpha, sizes, KEPT):
        yield getattr(empirical, name), (*problem, kept)
    for problem in sizes:
        yield empirical.basin_radius, (*problem, 0.5)
        yield empirical.shannon_radius, (*problem, 0.5)
        yield empirical.minimum_distance, problem
    exponents = ("random_coding_exponent", "strong_converse_exponent", "true_weight_exponent")
    loads = (0.0, 1e-6, 0.3, 0.69)
    for name, load, vocab, kept in itertools.product(exponents, loads, VOCABULARIES, KEPT):
        yield getattr(empirical, name), (load, vocab, kept)
    for length, vocab, kept in itertools.product((2, 64, 4096), VOCABULARIES, KEPT):
        yield empirical.train_test_gap_log_size, (0.01, length, vocab, kept)


def erasure_calls() -> Iterator[Call]:
    on_alpha = (
        "retrieval_probability",
        "retrieval_error",
        "retrieval_probability_normal",
        "posterior_entropy",
        "information",
        "token_entropy",
        "token_recovery",
        "zero_entropy_fraction",
    )
    on_unseen = ("posterior_entropy", "token_entropy", "zero_entropy_fraction")
    for problem in itertools.product(SIZES, LENGTHS, VOCABULARIES):
        yield erasures.basin_radius, (*problem, 0.5)
        for kept in KEPT:
            for name in on_alpha:
                yield getattr(erasures, name), (*problem, kept)
            yield partial(erasures.token_recovery, decoder="argmax"), (*problem, kept)
            if problem[1] < 4096:
                for name in on_unseen:
                    yield partial(getattr(erasures, name), split="test"), (*problem, kept)
    exponents = (erasures.random_coding_exponent, erasures.strong_converse_exponent)
    for exponent in exponents:
        for load, vocab, kept in itertools.product((0.0, 1e-6, 0.69, 100.0), VOCABULARIES, KEPT):
            yield exponent, (load, vocab, kept)


def linear_calls() -> Iterator[Call]:
    for size, length, vocab, kept in itertools.product(SIZES, LENGTHS, VOCABULARIES, KEPT):
        yield linear.errors, (size, length, vocab, kept)
        yield linear.token_recovery, (size, length, vocab, kept)
        yield linear.training_errors, (size, length, vocab, kept, 1.0)
        yield linear.one_draw_errors, (size, length, vocab, kept, 0.1)
    for vocab, kept in itertools.product(VOCABULARIES, KEPT):
        yield linear.convergence_size, (64, vocab, kept)


def random_feature_calls() -> Iterator[Call]:
    for size, features, length, vocab, kept in itertools.product(
        SIZES, (1, 1e3, 1e9), (1, 4096), (2, 65536), KEPT
    ):
        args = (size, features, length, vocab, kept)
        for skip, name in itertools.product((0.0, "fit", "full"), ("erf", "relu")):
            yield partial(rfd.errors, skip=skip, activation=name), args
        yield partial(rfd.errors, draws=1), args
        yield rfd.token_recovery, args
        yield partial(rfd.training_errors, activation="erf"), (*args, 1.0)
    for features, vocab, kept in itertools.product((1, 1e6), VOCABULARIES, (1e-6, 0.3, 1 - 1e-6)):
        yield partial(rfd.convergence_size, skip="full"), (features, 64, vocab, kept)
        for criterion in ("half_error", "error_gap", "corrupted_recovery"):
            yield partial(rfd.convergence_size, criterion=criterion), (features, 64, vocab, kept)


def memory_calls() -> Iterator[Call]:
    for load in (1e-6, 1e-3, 0.05, hopfield.critical_load() * EDGE):
        for temperature in (0.0, 1e-3, 0.1, 0.5, 0.9):
            yield hopfield.saddle_point, (load, temperature)
            yield hopfield.free_energy, (load, temperature)
        yield hopfield.retrieval_temperature, (load,)
        yield hopfield.thermodynamic_temperature, (load,)
    for load in (1e-6, 0.01, neurodynamics.critical_load() * EDGE):
        yield neurodynamics.critical_overlap, (load,)
        yield neurodynamics.trajectory, (0.5, load, 20)
    for states in (2, 3, 64, 65536):
        for load in (1e-6, 0.1, potts.critical_load(states) * EDGE):
            yield potts.saddle_point, (load, states)
            yield potts.one_step, (0.5 * (states - 1), load, states)
    for order in (3, 4, 8, 30):
        for load in (1e-6, 0.01, dense.critical_load(order).x_c * EDGE):
            yield dense.saddle_point, (order, load)
            yield dense.one_step_overlap, (0.5, order, load)
    for load in (1e-6, 0.5, 1.0, 2 * EDGE):
        yield pl.gardner_margin, (load,)
        yield pl.stability_law, (load,)
        for rule in ("max_margin", "hebb"):
            yield pl.one_step_overlap, (0.5, load, rule)
        for regularisation in (1e-3, 0.1, 10.0):
            yield pl.replica, (load, regularisation)
    for vocab in VOCABULARIES:
        yield conditional_likelihood.critical_load, (vocab,)
    for flip in (1e-6, 0.3, 1 - 1e-6):
        yield conditional_likelihood.chain_critical_load, (flip,)
    for load, kept, ridge in itertools.product((1e-3, 1.0, 1e4), KEPT, (1e-3, 10.0)):
        yield conditional_likelihood.rows, (load, kept, ridge)
    for load, features in itertools.product((1e-6, 0.1, 10.0), (1e-6, 0.1, 1.0)):
        yield rf.feature_overlap, (load, features)
        yield rf.unseen_overlap, (load, features)


def membership_calls() -> Iterator[Call]:
    for size, seen, vocab, weight in itertools.product(
        SIZES, (0, 12, 1000), VOCABULARIES, (1e-6, 0.5, 1 - 1e-6)
    ):
        yield membership.d_prime, (size, seen, 8, vocab)
        if size <= 1e4 * float(vocab) ** min(seen, 60):
            for hidden in (1, 20):
                yield membership.auc, (size, seen, hidden, vocab, weight)
                yield membership.tpr_at_fpr, (size, seen, hidden, vocab, weight)


def staircase_calls() -> Iterator[Call]:
    for length, vocab in ((1, 2), (66, 2), (33, 4), (4, 65536)):
        kernel = staircase.network_kernel(length)
        for kept, size in itertools.product((0.0, *KEPT, 1.0), SIZES):
            if length > 1 and kept > 0.1:  # else no degree is left, in no time
                yield staircase.memory_time, (size, kernel, length, vocab, kept)
            yield staircase.transition_size, (1, length, vocab, kept)
            yield staircase.transition_size, (length, length, vocab, kept)
            yield staircase.kernel_moments, (kernel, length, vocab, kept)
        for size, ridge in itertools.product(SIZES, (0.0, 1e-9, 1e9)):
            yield partial(staircase.regression_error, ridge=ridge), (size, kernel, length, vocab, 1)


def extraction_calls() -> Iterator[Call]:
    chains = ([[0.0, 1.0], [1.0, 0.0]], [[EDGE, 1 - EDGE], [0.5, 0.5]])
    for draws, size, length in itertools.product((1, 10, 1e12), SIZES, (1, 3)):
        yield extraction.extraction_probability_uniform, (draws, size, length, 4)
        for chain in chains:
            yield extraction.extraction_probability, (draws, chain, length, 3)
            yield extraction.extraction_probability_stored, (draws, size, chain, length, 1)
            yield extraction.extraction_normal, (draws, chain, length)


def numbers(result: Any) -> list[float]:
    fields = dataclasses.fields(result) if dataclasses.is_dataclass(result) else None
    values = [result] if fields is None else [getattr(result, field.name) for field in fields]
    return [value for value in values if isinstance(value, float)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "calls",
    [
        channel_calls,
        empirical_calls,
        erasure_calls,
        linear_calls,
        random_feature_calls,
        memory_calls,
        membership_calls,
        extraction_calls,
        staircase_calls,
    ],
)
def test_corners_give_numbers_or_say_that_there_is_none(calls):
    seen = 0
    for function, arguments in calls():
        result = function(*arguments)
        assert not any(math.isinf(value) for value in numbers(result)), (function, arguments)
        converged = getattr(result, "converged", True)
        assert converged or not getattr(result, "exists", True), (function, arguments)
        seen += 1
    assert seen >= 48

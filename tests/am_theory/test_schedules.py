"""The cosine schedule: its definition, inverse, derivative, ends and dtypes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import Cosine, Linear, LogLinear, ScheduleDomainError
from tests import strategies
from tests.helpers import assert_close

EPS = st.sampled_from([0.0, 1e-5, 1e-3, 0.1])


@given(strategies.times, EPS)
def test_time_at_inverts_alpha(t, eps):
    schedule = Cosine(eps)
    assert_close(schedule.time_at(schedule.alpha(t)), t, rtol=1e-13, atol=1e-14)


@given(strategies.times, EPS)
def test_alpha_is_the_published_cosine(t, eps):
    """Cosine of the remaining part of the clock, in another arrangement; bound by its rounding."""
    expected = 1 - np.cos(np.pi / 2 * (1 - (1 - eps) * t))
    assert_close(Cosine(eps).alpha(t), expected, rtol=0, atol=4e-16)
    assert 0 <= Cosine(eps).alpha(t) <= 1


@given(st.floats(0.001, 0.999), EPS)
def test_rate_is_the_derivative(t, eps):
    schedule, step = Cosine(eps), 1e-5
    slope = (schedule.alpha(t + step) - schedule.alpha(t - step)) / (2 * step)
    assert_close(schedule.alpha_rate(t), slope, rtol=1e-9, atol=2e-10)


@given(strategies.times, strategies.times, EPS)
def test_alpha_falls_with_time(t, other, eps):
    early, late = sorted((t, other))
    assert Cosine(eps).alpha(early) >= Cosine(eps).alpha(late)


def test_ends():
    assert Cosine(0.0).alpha(0.0) == 1.0 and Cosine(0.0).alpha(1.0) == 0.0
    assert Cosine().alpha(0.0) == 1.0 and Cosine().time_at(1.0) == 0.0
    assert Cosine(0.0).time_at(0.0) == 1.0 and Cosine(0.0).alpha_rate(1.0) == 0.0
    # The end of a small cut: alpha(1) = 1 - cos(pi eps / 2), here without cancellation.
    assert_close(Cosine(1e-6).alpha(1.0), 2 * np.sin(np.pi * 1e-6 / 4) ** 2, rtol=1e-9)
    assert_close(Cosine().alpha(1 - 1e-12) / Cosine().alpha(1.0), 1.0, rtol=1e-8)


def test_branches_of_alpha_meet():
    t = 0.5 * (1 + np.array([-1e-15, 0.0, 1e-15]))
    assert_close(Cosine(0.0).alpha(t), np.full(3, 1 - np.sqrt(0.5)), rtol=0, atol=1e-15)


def test_cosine_keeps_kind_and_dtype():
    schedule = Cosine()
    for method in (schedule.alpha, schedule.alpha_rate):
        assert type(method(0.5)) is float and type(method(np.float32(0.5))) is float
        assert method(np.float32([0, 1])).dtype == np.float32
        assert method([0, 1]).dtype == np.float64 and method(np.array([0, 1])).shape == (2,)
    single = schedule.alpha(np.float32([0, 0.5, 1]))
    assert np.all(single >= 0)
    assert_close(schedule.time_at(single), np.float32([0, 0.5, 1]), atol=1e-4)
    # alpha(1) rests on 1 - clock = 1e-3, which float32 holds to 6e-8
    assert Cosine() == Cosine(1e-3) and hash(Cosine()) == hash(Cosine(1e-3))
    assert Cosine(0.0) != Linear() and Cosine() != LogLinear()


@pytest.mark.parametrize(
    "call, fragment",
    [
        (lambda: Cosine().alpha(1.3), "`t` must lie in [0, 1]; got 1.3"),
        (lambda: Cosine().alpha_rate([0.5, np.nan]), "got nan"),
        (lambda: Cosine().time_at(1e-7), "must lie in [1.23e-06, 1]; got 1e-07"),
        (lambda: Cosine().time_at(1.5), "`alpha` must lie in [0, 1]"),
        (lambda: Cosine(eps=1.0), "`eps` must lie in [0, 1); got 1.0"),
        (lambda: Cosine(eps=-0.1), "got -0.1"),
    ],
)
def test_bad_input(call, fragment):
    with pytest.raises(ScheduleDomainError) as caught:
        call()
    assert fragment in str(caught.value)

"""The tail: exact laws, other slopes, coverage of the interval, and gaps that have no logarithm."""

import numpy as np
import pytest

from am_theory import linear
from simulations.measure.tail import fit_tail
from simulations.measure.transition import Curve

SIZES = 2.0 ** np.arange(4, 15)


def gap(values, error, rng, sizes=SIZES):
    noise = rng.normal(size=(1000, len(sizes))) * error
    return Curve(sizes, values, values + noise, np.asarray(values)[None], "sequences only")


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
def test_the_slope_of_a_power_is_found_and_told_from_1(power):
    rng = np.random.default_rng(1)
    tail = fit_tail(rng, gap(300 * SIZES**-power, 0.02 * 300 * SIZES**-power, rng))
    assert tail.slope == pytest.approx(-power, abs=1e-3)
    assert tail.verdict == ("agree" if power == 1 else "deviate")
    assert tail.from_size == 512


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Also that it is no wider than it must be: nominal 95 %, and what the choice adds."""
    inside = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        error = np.full(len(SIZES), 0.004)
        measured = 300 / SIZES + error * rng.normal(size=len(SIZES))
        tail = fit_tail(rng, gap(measured, error, rng))
        inside.append(tail.low <= 300 <= tail.high)
    assert 0.9 <= np.mean(inside) <= 1.0


def test_a_gap_that_bends_makes_the_interval_wider():
    """Where the tail begins is a choice, and the interval covers it."""
    rng = np.random.default_rng(2)
    straight, bent = 300 / SIZES, 300 / SIZES * (1 + 500 / SIZES)
    widths = []
    for values in (straight, bent):
        tail = fit_tail(rng, gap(values, 1e-6 * values, rng))
        widths.append(tail.high - tail.low)
    assert widths[0] < 1
    assert widths[1] > 20


def test_a_gap_that_is_not_told_from_0_has_no_slope():
    rng = np.random.default_rng(3)
    tail = fit_tail(rng, gap(np.zeros(len(SIZES)), np.full(len(SIZES), 0.01), rng))
    assert tail.low < 0 < tail.high
    assert np.isnan(tail.slope_low)
    assert tail.verdict == "no interval"
    assert tail.size_below(0.1) == pytest.approx((0, 10 * tail.low, 10 * tail.high))


def test_the_linear_denoiser_has_this_tail_with_the_dimension_that_theory_gives():
    """Its errors tend to 1 - a^2 -+ gamma a^2 (1 - a^2)^2: a gap of 2 a^2 (1 - a^2)^2 d / K."""
    alpha, seq_len, vocab_size = 0.5, 32, 4
    dimension = seq_len * (vocab_size - 1)
    sizes = dimension * 2.0 ** np.arange(3, 9)
    found = linear.errors(sizes, seq_len, vocab_size, alpha)
    values = np.asarray(found.heldout) - np.asarray(found.train)
    rng = np.random.default_rng(4)
    tail = fit_tail(rng, gap(values, 1e-6 * values, rng, sizes))
    assert tail.slope == pytest.approx(-1, abs=0.02)
    assert tail.effective_dimension == pytest.approx(
        2 * alpha**2 * (1 - alpha**2) ** 2 * dimension, rel=0.05
    )


def test_two_sizes_are_refused():
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match="at least three `train_sizes`; got 2"):
        fit_tail(rng, gap(np.array([0.2, 0.1]), 0.01, rng, np.array([10.0, 20.0])))

"""Order parameters: their two ends, invariances, passages, and what is undefined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.measure.order import (
    fraction,
    halves_by_seed,
    passage_of_half,
    ratio_of_halves,
)
from simulations.measure.transition import Curve

SIZES = np.array([16.0, 64.0, 256.0, 1024.0, 4096.0])


def curve(values, spread=0.0, seed=0, sizes=SIZES):
    """A curve with replicates `spread` about it and two seeds."""
    values = np.asarray(values, dtype=float)
    noise = spread * np.random.default_rng(seed).normal(size=(400, len(values)))
    return Curve(sizes, values, values + noise, np.stack([values, values]), "sequences only")


@st.composite
def problems(draw):
    """A reading between two ends that are apart, as curves with noise."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    zero, one = rng.random(5), 2 + rng.random(5)
    return curve(zero + rng.random(5) * (one - zero), 0.01, 1), curve(zero), curve(one)


@given(problems())
def test_it_is_0_and_1_at_the_ends_and_swaps_with_them(problem):
    reading, zero, one = problem
    assert np.allclose(fraction(zero, zero, one).estimate, 0)
    assert np.allclose(fraction(one, zero, one).estimate, 1)
    ours, theirs = fraction(reading, zero, one), fraction(reading, one, zero)
    assert np.allclose(ours.estimate + theirs.estimate, 1)
    assert np.allclose(ours.replicates + theirs.replicates, 1)


@given(problems(), st.floats(0.1, 10), st.floats(-5, 5), st.booleans())
def test_it_does_not_depend_on_unit_or_sign_of_the_reading(problem, scale, shift, turned):
    """So that entropies, losses and recoveries give the same kind of number."""
    scale = -scale if turned else scale

    def moved(c):
        parts = [scale * part + shift for part in (c.estimate, c.replicates, c.per_seed)]
        return Curve(c.train_sizes, *parts, c.method)

    ours = fraction(*problem)
    theirs = fraction(*(moved(c) for c in problem))
    assert np.allclose(ours.estimate, theirs.estimate, atol=1e-9)


def test_it_is_unknown_exactly_where_the_ends_are_within_two_standard_errors():
    one = curve([1.0, 1.0, 1.0, 0.511, 0.505], spread=0.005)  # 0.1 and 0.5 are 2.2 and 1 of them
    found = fraction(curve([0.9] * 5), curve([0.5] * 5), one)
    assert np.isnan(found.estimate).tolist() == [False, False, False, False, True]
    assert np.isnan(found.replicates[:, 4]).all()


@given(problems(), st.booleans())
def test_the_passages_of_seeds_are_those_of_the_estimate_with_its_interval(problem, rising):
    part = fraction(*problem)
    expected = passage_of_half("K", part, rising).per_seed
    assert np.array_equal(halves_by_seed(part, rising), expected, equal_nan=True)
    unknown = fraction(problem[0], problem[1], problem[1])
    assert np.isnan(halves_by_seed(unknown, rising)).tolist() == [True, True]


def test_the_memorizer_with_its_own_rising_held_out_curve_has_no_generalization():
    memorizer = curve([0.1, 0.15, 0.2, 0.25, 0.3])
    law = curve([0.5] * 5)
    assert np.allclose(fraction(memorizer, memorizer, law).estimate, 0)


def test_passages_are_interpolated_in_log_size():
    falling = fraction(curve([1, 0.9, 0.6, 0.4, 0.1], 0.001), curve([0] * 5), curve([1] * 5))
    found = passage_of_half("K_M", falling, rising=False)
    assert found.value == pytest.approx(512)
    assert found.low < 512 < found.high
    rising = fraction(curve([0, 0.2, 0.8, 0.9, 1], 0.001), curve([0] * 5), curve([1] * 5))
    assert passage_of_half("K_G", rising, rising=True).value == pytest.approx(128)
    window = ratio_of_halves(falling, rising, (False, True))
    assert window.value == pytest.approx(4)
    assert window.low > 1
    assert window.verdict == "deviate"


def test_a_passage_that_the_meeting_of_the_ends_hides_is_undefined_and_not_past_the_grid():
    zero = curve([0.0, 0.0, 0.0, 0.0, 0.0], 0.01)
    one = curve([1.0, 1.0, 1.0, 1.0, 0.001])
    hidden = fraction(curve([1, 1, 0.9, 0.8, 0.0]), zero, one)
    assert passage_of_half("K_M", hidden, rising=False).status == "undefined"
    seen = fraction(curve([1, 1, 0.3, 0.2, 0.0]), zero, one)
    assert passage_of_half("K_M", seen, rising=False).status == "ok"
    open_end = fraction(curve([1, 1, 0.9, 0.8, 0.7]), zero, curve([1.0] * 5))
    assert passage_of_half("K_M", open_end, rising=False).status == "above grid"


def test_fewer_than_two_known_sizes_have_no_passage():
    one = curve([1.0, 0.0, 0.0, 0.0, 0.0], 0.01)
    found = fraction(curve([1, 0, 0, 0, 0]), curve([0.0] * 5), one)
    assert passage_of_half("K_M", found, rising=False).status == "undefined"
    assert ratio_of_halves(found, found, (False, False)).verdict == "no interval"


def test_two_readings_of_one_passage_agree_when_they_share_their_noise():
    rng = np.random.default_rng(3)
    noise = 0.02 * rng.normal(size=(400, 5))
    values = np.array([1, 0.9, 0.6, 0.4, 0.1])
    first = Curve(SIZES, values, values + noise, values[None], "sequences only")
    ratio = ratio_of_halves(first, first, (False, False))
    assert (ratio.value, ratio.low, ratio.high) == (1, 1, 1)
    assert ratio.verdict == "agree"


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ([0, 0.2, 0.8, 0.9, 0.3], 128),  # found first at 128, whatever comes after
        ([0.6, 0.7, 0.8, 0.9, 1], -np.inf),
        ([0, 0.1, 0.2, 0.3, 0.4], np.inf),
        ([0, 0.5, 0.2, 0.3, 0.9], 64),
    ],
)
def test_the_law_is_found_where_the_fraction_rises_for_the_first_time(values, size):
    found = fraction(curve(values), curve([0] * 5), curve([1] * 5))
    assert passage_of_half("K_G", found, rising=True).value == pytest.approx(size)


@given(problems())
def test_the_first_rise_is_the_last_fall_of_the_curve_turned_round(problem):
    """A plain scan of the points, in either direction."""
    part = fraction(*problem)
    rising = passage_of_half("K_G", part, rising=True).value
    first = next((k for k, v in enumerate(part.estimate) if v >= 0.5), None)
    if first is None:
        assert rising == np.inf
    elif first == 0:
        assert rising == -np.inf
    else:
        assert SIZES[first - 1] <= rising <= SIZES[first] * (1 + 1e-12)

"""The peak of curves over sizes: against parabolas, and what is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.measure.peak import curve_peaks

SIZES = np.geomspace(4, 4096, 21)


@given(st.floats(10, 1000), st.floats(0.5, 20))
def test_of_a_parabola_in_the_logarithm_place_and_height_are_exact(place, curvature):
    curve = 3 - curvature * np.log(SIZES / place) ** 2
    places, heights = curve_peaks(SIZES, curve[None])
    assert places[0] == pytest.approx(place, rel=1e-6)
    assert heights[0] == pytest.approx(3 - curve[: np.searchsorted(SIZES, place)].min(), rel=1e-6)


def test_curves_without_an_inner_peak_have_none():
    rising, falling = np.log(SIZES), -np.log(SIZES)
    places, heights = curve_peaks(SIZES, [rising, falling, np.ones(21)])
    assert places.tolist() == [np.inf, -np.inf, -np.inf]
    assert heights.tolist() == [0, 0, 0]


def test_the_peak_that_stands_highest_above_what_is_before_it_counts():
    curve = np.zeros(21)
    curve[0], curve[3], curve[10] = 9.0, 2.0, 5.0
    places, heights = curve_peaks(SIZES, [curve])
    assert places[0] == pytest.approx(SIZES[10])
    assert heights[0] == pytest.approx(5)

"""The constants of the law of features, by what they were fitted to and what they predicted."""

import csv

import numpy as np
import pytest

from simulations.features_law import config as fitted_study
from simulations.features_law.laws import HEADLINE, LAWS, Grid
from simulations.features_law.predictions import COMMITTED
from simulations.measure.feature_size import FITTED, LEVEL, REFERENCE, half_size

# K_half, geometric mean of two seeds, of `python -m simulations.features_law`
MEASURED = {
    "iid-w16-T2000": 159.30,
    "iid-w16-T8000": 180.80,
    "iid-w64-T2000": 184.81,
    "iid-w64-T8000": 271.61,
    "iid-w256-T1000": 201.78,
    "iid-w256-T2000": 289.94,
    "iid-w256-T4000": 401.08,
    "iid-w256-T8000": 569.25,
    "iid-w256-T16000": 742.17,
    "iid-w256-T32000": 864.32,
    "iid-w256-T64000": 971.59,
}
BEYOND = {
    "iid-w512-T8000": 688.44,
    "iid-w512-T32000": 1154.26,
    "iid-w1024-T2000": 507.15,
    "iid-w1024-T8000": 783.59,
}
POINTS = {p.name: p for p in (*fitted_study.FITTED, *fitted_study.HELD_BACK)}


def size(name):
    point = POINTS[name]
    return FITTED.size(point.width, point.steps, 16, 8)


def test_the_reading_is_that_of_the_study_of_the_constants():
    assert (LEVEL, REFERENCE) == (fitted_study.LEVEL, fitted_study.REFERENCE)


def test_the_constants_give_the_predictions_that_were_committed():
    lines = COMMITTED.read_text().splitlines()
    written = {
        r["point"]: float(r["K_half"]) for r in csv.DictReader(lines) if r["law"] == HEADLINE
    }
    names = [name for name, point in POINTS.items() if name in written and point.pair]
    assert len(names) == 8
    for name in names:
        assert size(name)[0] == pytest.approx(written[name], rel=2e-3), name


def test_the_deviation_is_that_of_the_measured_points():
    misses = [np.log(value / size(name)[0]) for name, value in MEASURED.items()]
    constants = len(LAWS[HEADLINE].constants)
    assert len(misses) - constants == FITTED.freedom
    deviation = np.sqrt(np.square(misses).sum() / FITTED.freedom)
    assert deviation == pytest.approx(FITTED.deviation, abs=2e-4)


def test_the_interval_holds_every_point_up_to_width_256_and_none_of_the_misses_beyond():
    for name, value in MEASURED.items():
        _, low, high = size(name)
        assert low < value < high, name
    for name, value in BEYOND.items():
        _, low, high = size(name)
        assert value < low, name


def test_the_interval_is_students_in_the_logarithm():
    value, low, high = FITTED.size(128, 4000, 16, 8)
    assert np.log([value / low, high / value]) == pytest.approx(2.306004 * FITTED.deviation)


def test_width_and_time_count_as_features_and_as_flow():
    value = FITTED.size(100, 5000, 16, 8)[0]
    expected = FITTED.factor * half_size(100 * FITTED.features, 5000 / FITTED.time, 16, 8)
    assert value == pytest.approx(float(expected), rel=1e-12)
    assert value < FITTED.size(200, 5000, 16, 8)[0]
    assert value < FITTED.size(100, 10_000, 16, 8)[0]


@pytest.mark.slow
def test_the_constants_are_fitted_to_the_eight_points():
    config = fitted_study.FeaturesConfig()
    grid = Grid.of(config, fitted_study.FITTED)
    logs = np.log([MEASURED[point.name] for point in fitted_study.FITTED])
    found = np.exp(LAWS[HEADLINE].fit(grid, logs))
    constants = (FITTED.features, FITTED.time, FITTED.factor)
    assert found == pytest.approx(constants, rel=2e-3)

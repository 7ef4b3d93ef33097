"""What happened, in words: every verdict has its sentence, every number its interval."""

import math

import pytest

from simulations.measure.order import Ratio
from simulations.measure.transition import Estimate
from simulations.phase.tell.summary import _difference, ratio_words, size_words, window_words

INF, NAN = math.inf, math.nan


def size(value, low=NAN, high=NAN, status="ok"):
    return Estimate("K_M", value, low, high, status, (value,), "sequences only", 100)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (size(1422.6, 1399.7, 1500), "1,423 [1,400, 1,500]"),
        (size(300, 200, INF), "300 [200, past the grid]"),
        (size(INF, status="above grid"), "beyond the largest K"),
        (size(-INF, status="below grid"), "below the smallest K"),
        (size(NAN, status="undefined"), "undefined (the two ends meet first)"),
    ],
)
def test_sizes_in_words(found, words):
    assert size_words(found) == words


@pytest.mark.parametrize(
    ("window", "fragment"),
    [
        (Ratio(3.7, 3.2, 4.1), "both hold between them, over a factor of 3.70 [3.20, 4.10]"),
        (Ratio(0.5, 0.4, 0.6), "neither holds between them"),
        (Ratio(1.1, 0.9, 1.3), "not told apart"),
        (Ratio(NAN, NAN, NAN), "not known"),
    ],
)
def test_what_a_window_says_follows_its_interval(window, fragment):
    assert fragment in window_words(window)


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (Ratio(1.03, 1.02, 1.041), "they differ, by less than 5 %"),
        (Ratio(1.01, 0.99, 1.03), "no difference is resolved"),
        (Ratio(2.0, 1.9, 2.1), "they differ"),
        (Ratio(NAN, NAN, NAN), "whether they agree is not known"),
    ],
)
def test_what_is_said_of_two_sizes_that_should_be_one(ratio, words):
    assert _difference(ratio) == words


def test_a_ratio_that_is_not_defined_is_no_number():
    assert ratio_words(Ratio(NAN, NAN, NAN)) == "undefined"


def test_the_lines_come_first_and_are_ten_at_most(tiny_run):
    report = (tiny_run("phase_diagram") / "report.md").read_text()
    first = report.partition("## What happened\n\n")[2].partition("\n\n")[0].splitlines()
    assert 5 <= len(first) <= 12
    assert [line.partition(".")[0] for line in first] == [str(k + 1) for k in range(len(first))]
    assert "K_G" in first[0]
    assert "K_M" in first[0]
    assert "steps of" in first[-1]

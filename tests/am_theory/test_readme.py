"""The page of the theory: its numbers come out of its calls, and no function is missing."""

import doctest
from pathlib import Path

import pytest

from am_theory.__main__ import first_sentence, functions, note

PAGE = Path(__file__).resolve().parents[2] / "am_theory" / "README.md"
LINES = PAGE.read_text().splitlines()


def test_the_headline_numbers_come_out():
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted >= 7 and found.failed == 0


@pytest.mark.parametrize("name", functions())
def test_the_table_has_a_row_for_every_function(name):
    function = functions()[name]
    words = (f"`{name}`", first_sentence(function), note(function, "Source"))
    assert "| " + " | ".join(word.replace("|", "&#124;") for word in words) + " |" in LINES


def test_the_table_names_no_function_that_is_gone():
    start = LINES.index("| function | gives | source |")
    rows = [line.split("`")[1] for line in LINES[start + 2 :] if line.startswith("| `")]
    assert rows == list(functions())

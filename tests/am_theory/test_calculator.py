"""`python -m am_theory`: every public function by name, with its unit and source."""

from __future__ import annotations

import json

import pytest

from am_theory.__main__ import first_sentence, functions, main, note, parser_of, value_of

FUNCTIONS = functions()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_gives_in_which_unit_and_from_where(name):
    function = FUNCTIONS[name]
    assert 10 < len(first_sentence(function)) < 160
    assert note(function, "Unit"), "the docstring has no `Unit:` paragraph"
    assert note(function, "Source"), "the docstring has no `Source:` paragraph"
    assert ">>>" in function.__doc__, "the docstring has no example"
    parser_of(name, function)


def test_a_number_with_its_unit_and_source(capsys):
    options = "--train-size 1000 --seq-len 32 --vocab-size 4 --threshold 0.5"
    assert main(["empirical.basin_radius", *options.split()]) == 0
    first, unit, source = capsys.readouterr().out.splitlines()
    assert first.startswith("0.6429") and unit.startswith("unit: ") and source.startswith("source:")


def test_json_holds_the_number_and_null_for_what_is_undefined(capsys):
    options = "--log-load [0.0,0.3] --vocab-size 4 --json"
    assert main(["empirical.critical_alpha", *options.split()]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["value"] == pytest.approx([0.0, 0.48932304], abs=1e-8)
    assert found["function"] == "empirical.critical_alpha" and found["source"]


def test_the_list_has_a_line_for_every_function(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(FUNCTIONS)


def test_an_unknown_name_gets_its_nearest(capsys):
    assert main(["empirical.basin_radios"]) == 2
    assert "the nearest is empirical.basin_radius." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--train-size 0 --seq-len 8 --vocab-size 4", "`train_size` must be finite and at least 1"),
        ("--train-size many --seq-len 8 --vocab-size 4", "`train_size` must hold real numbers"),
    ],
)
def test_bad_values_end_with_the_sentence_of_the_library(capsys, options, words):
    assert main(["empirical.basin_radius", *options.split()]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_a_missing_argument_is_named(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["empirical.basin_radius", "--seq-len", "8"])
    assert stopped.value.code == 2
    assert "--train-size" in capsys.readouterr().err


def test_values_are_numbers_arrays_or_words():
    assert value_of("3") == 3 and isinstance(value_of("1e6"), float)
    assert value_of("0.1,0.2").tolist() == [0.1, 0.2]
    assert value_of("[[1, 2], [3, 4]]").shape == (2, 2)
    assert value_of("corrupted") == "corrupted" and value_of("None") is None

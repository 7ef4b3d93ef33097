"""Numbers of the READMEs: each stands in one in its phrase, and another would be noticed."""

import re

import pytest

from paper import readme
from paper.numbers.book import numbers_of
from paper.quantity import Number
from paper.readme import PAGES, PHRASES, ROOT, compare, filled, keys_of, words_of
from simulations.results.files import ResultsError

WORDS = words_of(PAGES)
PAIRS = [(command, phrase) for command, phrases in PHRASES.items() for phrase in phrases]


def made_up(value="0.123 [0.100, 0.200]", command=None):
    """Numbers of all phrases, with the command that each is wanted from."""
    return {
        key: Number(key, value, "", command or wanted)
        for wanted, phrase in PAIRS
        for key in keys_of(phrase)
    }


@pytest.mark.parametrize("phrase", [phrase for _, phrase in PAIRS])
def test_every_phrase_stands_in_one_readme_with_some_number(phrase):
    pieces = [re.escape(piece) for piece in re.split(r"\{[^{}]+\}", phrase)]
    assert len(re.findall(r"-?\d.{0,40}?".join(pieces), WORDS)) == 1


def test_every_readme_is_looked_at():
    rooms = [ROOT / room for room in ("am_theory", "models", "paper", "simulations")]
    found = {page for room in rooms for page in room.rglob("README.md")}
    assert found | {ROOT / "README.md"} == set(PAGES)


def test_a_readme_with_these_numbers_stands_and_any_other_differs():
    numbers = made_up()
    text = "\n".join(filled(phrase, numbers).replace(" ", "\n", 1) for _, phrase in PAIRS)
    assert all(found.stands for found in compare(text, numbers))
    assert not any(found.stands for found in compare(text, made_up("0.124 [0.100, 0.200]")))


def test_results_of_another_command_are_not_held_against_the_readme():
    assert {found.stands for found in compare("", made_up(command="python -m other"))} == {None}


def test_the_command_says_what_differs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(readme, "numbers_of", lambda _: made_up().values())
    monkeypatch.setattr(readme, "PAGES", (tmp_path / "README.md",))
    readme.PAGES[0].write_text("nothing of it")
    assert readme.main() == 1
    assert "README DIFFERS: (d' 0.123 [0.100, 0.200])    # python -m simulations.entropy" in (
        capsys.readouterr().out
    )


@pytest.mark.slow
def test_every_key_is_a_number_of_the_appendix():
    try:
        known = {number.key for number in numbers_of(ROOT / "results")}
    except ResultsError as error:
        pytest.skip(f"no current results here: {error}")
    assert set(made_up()) <= known

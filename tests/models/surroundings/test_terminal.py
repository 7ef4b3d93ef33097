"""What others wrote reaches the terminal as text alone."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from models.surroundings.terminal import MOST, plain, sentence
from simulations.console.command import refuse, say


@given(st.text(max_size=200))
def test_text_has_no_control_characters_and_printable_text_stays(text: str) -> None:
    for found in (plain(text), sentence(text)):
        assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in found)
    assert "\n" not in sentence(text)
    if text.isprintable():
        assert plain(text) == sentence(text) == text


def test_a_name_of_a_megabyte_is_cut_in_the_middle() -> None:
    found = sentence("no tensor " + "x" * 10**6 + " in it")
    assert found.startswith("no tensor x") and found.endswith(" in it") and len(found) < MOST + 60
    assert "(996,016 characters left out)" in found


def test_commands_tell_escapes_and_forged_lines_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "\x1b]0;OWNED\x07a\nprobe: all is well"
    with pytest.raises(SystemExit):
        refuse("probe", f"{name} is not one of them.")
    assert capsys.readouterr().err == (
        "probe: \\x1b]0;OWNED\\x07a\\nprobe: all is well is not one of them.\n"
    )
    told = io.StringIO()
    say(Console(file=told, force_terminal=True), f"a[/b] {name}")
    assert "\x1b" not in told.getvalue() and "a[/b] \\x1b]0" in told.getvalue()

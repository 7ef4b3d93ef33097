"""A text in byte pairs, as a source of the probe's calibration, by the library tokenizers."""

from __future__ import annotations

import numpy as np
import pytest

from simulations.data.corpora import TextFile
from simulations.probe.calibration.families import SOURCES
from simulations.probe.calibration.sources import FIRST_WORD, make_source, pieces_of

pytest.importorskip("tokenizers", reason="tokenizers is not installed: make bench has it")


def words(n, kinds=400):
    draw = np.random.default_rng(0)
    return " ".join(f"word{k}" for k in draw.integers(kinds, size=n))


def test_pieces_are_the_same_each_time_and_shorter_than_characters():
    text = TextFile("a", words(4_000).encode())
    found = pieces_of(text, 64)
    ids = {ord(x) - FIRST_WORD for x in found.decode()}
    assert found == pieces_of(text, 64)
    assert max(ids) < 64 and len(ids) > 32
    assert len(found.decode()) < len(text.decode()) / 2


def test_pieces_are_learnt_from_what_may_be_stored_alone():
    head = words(4_000)
    first, second = (
        pieces_of(TextFile("a", (head + f" {letter}" * 800).encode()), 64).decode()
        for letter in "zq"
    )
    assert first == second, "letters of the last tenth are unknown"
    assert first[-1] == chr(FIRST_WORD)


def test_a_text_gives_windows_of_pieces():
    draw = np.random.default_rng(0)
    shape = SOURCES["pieces"]
    source = make_source("pieces", draw, TextFile("a", words(20_000, 3000).encode()))
    stored, heldout = source.stored(draw, 100), source.heldout(draw, 100)
    assert stored.shape == heldout.shape == (100, shape.seq_len)
    assert shape.vocab_size > stored.max() > 128
    assert not {row.tobytes() for row in stored} & {row.tobytes() for row in heldout}

"""Padding that nobody said to be padding is noticed, and chance is not taken for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.data import padding
from simulations.data.padding import filled_ends
from simulations.data.sequences import read_sequences
from simulations.probe.inputs import as_sequences, warnings_of


def padded(n: int, length: int, vocab: int, filled: int, token: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).integers(vocab, size=(n, length))
    rows[:, length - filled :] = token
    return rows


def by_hand(tokens: np.ndarray, token: int) -> tuple[int, int]:
    """Rows that end in three or more of a token, and how many tokens these runs are."""
    runs = []
    for row in tokens.tolist():
        kept = row[:]
        while kept and kept[-1] == token:
            kept.pop()
        runs.append(len(row) - len(kept))
    long = [run for run in runs if run >= 3]
    return len(long), sum(long)


@given(seed=st.integers(0, 999), filled=st.integers(6, 12), block=st.integers(1, 70))
def test_padding_is_found_and_counted(seed, filled, block):
    rows = padded(64, 16, 50, filled, 7, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(padding, "ROWS", block)
        found, mirrored = filled_ends(rows), filled_ends(rows[:, ::-1])
    n_rows, n_tokens = by_hand(rows, 7)
    assert found == (7, "end", n_rows, n_tokens / rows.size) and n_rows == 64
    assert mirrored == (7, "beginning", n_rows, n_tokens / rows.size)


@pytest.mark.parametrize("vocab, length", [(2, 2), (2, 3), (2, 4), (2, 8), (4, 8), (50, 16)])
def test_random_sequences_have_no_padding(vocab, length):
    for seed in range(20):
        assert filled_ends(padded(500, length, vocab, 0, 0, seed)) is None


def test_a_token_that_is_everywhere_is_no_padding():
    """Spaces at the ends of windows of a text, most of whose spaces are elsewhere."""
    rows = padded(100, 16, 5, 0, 0)
    rows[:20, -4:] = 0
    assert by_hand(rows, 0)[1] > 0.05 * rows.size
    assert filled_ends(rows) is None


def test_a_probe_says_so_of_files_and_of_arrays(tmp_path):
    rows = padded(64, 16, 8, 13, 0)
    np.save(tmp_path / "a.npy", rows)
    share = by_hand(rows, 0)[1] / rows.size
    for data in (
        as_sequences(rows, "test"),
        read_sequences(tmp_path / "a.npy", seq_len=16, vocab_size=8),
    ):
        (note,) = (n for n in warnings_of(data, None, "") if n.startswith("Token"))
        assert f"Token 0 fills the end of 64 of the 64 test sequences, {share:.0%} of all" in note
    assert not [n for n in warnings_of(as_sequences(rows % 7 + 1, "test"), None, "") if "0 fi" in n]


def test_padding_that_was_asked_for_is_counted_in_the_packing(tmp_path):
    (tmp_path / "a.jsonl").write_text("[1, 2]\n[3]\n[4, 5, 6, 7, 0]\n")
    found = read_sequences(tmp_path / "a.jsonl", seq_len=4, vocab_size=8, pack="pad", pad_token=0)
    assert f"filled up with token 0, {5 / 12:.2%} of all tokens," in found.packing
    assert warnings_of(found, None, "") == [""]


def test_a_probe_says_what_share_of_a_text_is_unknown(tmp_path):
    (tmp_path / "v.json").write_text('["[UNK]", "a", "b"]')
    for n, said in ((1, False), (4, True)):
        (tmp_path / "a.txt").write_text("a" * (100 - n) + "?" * n)
        found = read_sequences(
            tmp_path / "a.txt", seq_len=10, vocab_size=3, vocab=tmp_path / "v.json", pack="wrap"
        )
        notes = [n for n in warnings_of(found, None, "") if "unknown" in n]
        assert notes == (
            ["4.0% of the test text is unknown to its vocabulary, and all one token, which is easy "
             "to restore."] if said else []
        )  # fmt: skip

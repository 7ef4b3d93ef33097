"""Token sequences of any file: there and back, what packing keeps, and files that are refused."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from simulations.data import arrays as probe_arrays
from simulations.data import sequences as probe_data
from simulations.data import text as probe_text
from simulations.data import vocabulary as probe_vocabulary
from simulations.data.corpora import CorpusError
from simulations.data.packing import Items, Packing, pack_items
from simulations.data.sequences import Sequences, overlap, read_sequences
from tests.helpers import shared

V, L = 11, 4


def write(folder: Path, name: str, array: np.ndarray) -> Path:
    """An array, or ragged rows as .jsonl, in the format that the name says."""
    path = folder / name
    if name.endswith(".npy"):
        np.save(path, array)
    elif name.endswith(".npz"):
        np.savez_compressed(path, ids=array)
    elif name.endswith(".safetensors"):
        save_file({"ids": np.ascontiguousarray(array)}, path)
    elif name.endswith("fields.jsonl"):
        lines = [json.dumps({"n": 1, "ids": list(map(int, row))}) for row in array]
        path.write_text("\n".join(lines) + "\n\n")
    else:
        path.write_text("\n".join(json.dumps(list(map(int, row))) for row in array))
    return path


FORMATS = ["a.npy", "a.npz", "a.safetensors", "a.jsonl", "fields.jsonl"]
DTYPES = ["uint8", "int8", "uint16", "int64", "uint64", "float32", "float64"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize("name", FORMATS)
@given(
    rows=st.integers(1, 5).flatmap(
        lambda m: st.lists(st.lists(st.integers(0, V - 1), min_size=m, max_size=m), min_size=1)
    ),
    dtype=st.sampled_from(DTYPES),
    given_length=st.booleans(),
)
def test_ids_come_back_from_every_format(name, rows, dtype, given_length, folder):
    array = np.array(rows).astype(dtype)
    path = write(folder, name, array)
    key = "ids" if name == "fields.jsonl" else None
    seq_len = array.shape[1] if given_length else None
    found = read_sequences(path, seq_len=seq_len, vocab_size=V, key=key)
    np.testing.assert_array_equal(found.tokens, array)
    assert found.tokens.dtype == np.uint8 and not isinstance(found.tokens, np.memmap)
    assert found.n_read == len(rows) and found.n_distinct == len({tuple(row) for row in rows})
    assert (found.n_dropped, found.n_cut, found.n_padded) == (0, 0, 0)
    assert found.sha256 == sha256(path.read_bytes()).hexdigest() and found.source == path
    assert found.decode(found.tokens[0]) == " ".join(str(token) for token in rows[0])
    assert f"each of the {len(rows)} items is a sequence of {array.shape[1]} tokens" in (
        found.packing.lower()
    )


@given(text=st.text(alphabet="abé\U0001f600 ", min_size=1), unknown=st.booleans())
def test_characters_come_back(text, unknown, folder):
    letters = sorted(set(text)) + (["[UNK]"] if unknown else [])
    path, vocab = folder / "text.txt", folder / "vocab.json"
    path.write_text(text, encoding="utf-8")
    vocab.write_text(json.dumps(letters))
    found = read_sequences(path, seq_len=len(text), vocab_size=V, vocab=vocab)
    assert found.decode(found.tokens[0]) == text
    assert "read as characters of vocab.json" in found.packing
    vocab.write_text(json.dumps({letter: 2 + k for k, letter in enumerate(letters)}))
    shifted = read_sequences(path, seq_len=len(text), vocab_size=V, vocab=vocab)
    np.testing.assert_array_equal(shifted.tokens, found.tokens + 2)


@given(words=st.lists(st.sampled_from(["the", "a", "cat"]), min_size=1), gap=st.sampled_from(" \t"))
def test_words_come_back(words, gap, folder):
    path, vocab = folder / "words.txt", folder / "words.json"
    path.write_text(gap.join(words))
    vocab.write_text(json.dumps({"the": 5, "a": 0, "cat": 9}))
    found = read_sequences(path, seq_len=len(words), vocab_size=V, vocab=vocab)
    assert found.decode(found.tokens[0]) == " ".join(words)
    assert "read as words between white space" in found.packing


def test_unknown_text_is_the_unknown_token_where_there_is_one(tmp_path):
    path, vocab = tmp_path / "t.txt", tmp_path / "v.json"
    path.write_text("the dog\n" + 9 * "the cat\n")
    vocab.write_text(json.dumps(["<unk>", "the", "cat"]))
    found = read_sequences(path, seq_len=2, vocab_size=3, vocab=vocab)
    assert found.tokens.tolist() == [[1, 0], *(9 * [[1, 2]])]
    assert found.decode(found.tokens[0]) == "the <unk>" and found.unknown == 1 / 20
    assert "others as token 0; 1 of 20 tokens unknown (5.00%)" in found.packing
    path.write_text("the dog\nthe cat\n")
    with pytest.raises(CorpusError, match=r"has 1 of 4 tokens unknown, 25%; more than 10% are ref"):
        read_sequences(path, seq_len=2, vocab_size=3, vocab=vocab)
    vocab.write_text(json.dumps(["the", "cat"]))
    with pytest.raises(CorpusError, match=r"t\.txt, line 1: 'dog' is not in the vocabulary"):
        read_sequences(path, seq_len=2, vocab_size=3, vocab=vocab)


def test_a_vocabulary_names_tokens_of_a_file_of_ids(tmp_path):
    path = write(tmp_path, "a.npy", np.array([[2, 0, 1, 7]]))
    (tmp_path / "v.json").write_text('["a", "b", "c"]')
    found = read_sequences(path, seq_len=4, vocab_size=V, vocab=tmp_path / "v.json")
    assert found.decode(found.tokens[0]) == "cab<7>" and "v.json" not in found.packing


ragged = st.lists(st.lists(st.integers(0, V - 2), max_size=9), min_size=1, max_size=8)
PAD = V - 1


def items_of(rows: list[list[int]]) -> Items:
    flat = np.array([token for row in rows for token in row], np.uint8)
    return Items(flat, np.array([len(row) for row in rows], np.int64))


@given(rows=ragged, seq_len=st.integers(1, 5))
def test_cut_and_pad_do_what_they_say(rows, seq_len):
    """Each sequence is of one item; nothing is dropped, cut or padded that is not counted."""
    kept = [row for row in rows if len(row) >= seq_len]
    if kept:
        found = pack_items(items_of(rows), seq_len, Packing("cut"))
        assert found.tokens.tolist() == [row[:seq_len] for row in kept]
        assert found.n_dropped == len(rows) - len(kept)
        assert found.n_cut == sum(len(row) > seq_len for row in kept)
        cut = f"of {len(rows)} items, {found.n_cut} longer ones were cut after {seq_len} tokens"
        assert cut in found.sentence and f"and {found.n_dropped} shorter" in found.sentence
    filled = [row for row in rows if row]
    if filled:
        found = pack_items(items_of(rows), seq_len, Packing("pad", PAD))
        wanted = [(row + [PAD] * seq_len)[:seq_len] for row in filled]
        assert found.tokens.tolist() == wanted
        assert found.n_padded == sum(len(row) < seq_len for row in filled)
        assert found.n_cut == sum(len(row) > seq_len for row in filled)
        assert found.n_dropped == len(rows) - len(filled)
        assert f"{found.n_padded} shorter ones were filled up with token {PAD}" in found.sentence


@given(rows=ragged, seq_len=st.integers(1, 5), separator=st.none() | st.just(PAD))
def test_wrap_keeps_every_token_but_the_last(rows, seq_len, separator):
    stream = [t for row in rows for t in [*row, *([] if separator is None else [separator])]]
    if not any(rows):
        return
    packing = Packing("wrap", separator=separator)
    if len(stream) < seq_len:
        with pytest.raises(CorpusError, match="are less than one window"):
            pack_items(items_of(rows), seq_len, packing)
        return
    found = pack_items(items_of(rows), seq_len, packing)
    left = len(stream) % seq_len
    assert found.tokens.ravel().tolist() == stream[: len(stream) - left]
    assert f"{len(rows)} items were joined" in found.sentence
    assert found.sentence.endswith(f"the last {left} tokens were left out")
    assert (found.n_dropped, found.n_cut, found.n_padded) == (0, 0, 0)


def grouped(texts: list[list[int]], length: int, first: int, last: int) -> list[list[int]]:
    """As Duo's code groups one batch of texts (LM1B, wrapped)."""
    joined = [token for text in texts for token in [*text, last]]
    body = length - 2
    stops = range(0, len(joined) // body * body, body)
    return [[first, *joined[at : at + body], last] for at in stops]


@given(rows=ragged, seq_len=st.integers(3, 6))
def test_wrap_with_a_frame_is_the_one_of_the_authors(rows, seq_len):
    wanted = grouped(rows, seq_len, V, V + 1)
    if wanted and any(rows):
        packing = Packing("wrap", separator=V + 1, frame=(V, V + 1))
        found = pack_items(items_of(rows), seq_len, packing)
        assert found.tokens.tolist() == wanted
        assert f"windows of {seq_len - 2} tokens, each between tokens {V}" in found.sentence


@given(rows=ragged, seq_len=st.integers(1, 5))
def test_exact_takes_all_or_nothing(rows, seq_len):
    lengths = [len(row) for row in rows]
    if set(lengths) == {seq_len}:
        assert pack_items(items_of(rows), seq_len, Packing()).tokens.tolist() == rows
        return
    wrong = sum(length != seq_len for length in lengths)
    message = f"^{wrong} of its {len(rows)} items do not have {seq_len} tokens.*Choose `pack`"
    with pytest.raises(CorpusError, match=message if any(rows) else "no tokens"):
        pack_items(items_of(rows), seq_len, Packing())


@pytest.mark.parametrize("how", ["exact", "cut", "wrap"])
@pytest.mark.parametrize("big", [False, True])
def test_a_big_array_stays_in_its_file(how, big, tmp_path, monkeypatch):
    monkeypatch.setattr(probe_data, "MAPPED", 0 if big else 1 << 28)
    array = np.random.default_rng(0).integers(V, size=(6, 8)).astype(np.int16)
    path = write(tmp_path, "a.npy", array)
    seq_len = 8 if how == "exact" else 3
    found = read_sequences(path, seq_len=seq_len, vocab_size=V, pack=how)
    assert (isinstance(found.tokens, np.memmap), str(found.tokens.dtype)) == (
        (True, "int16") if big else (False, "uint8")
    )
    wanted = {"exact": array, "cut": array[:, :3], "wrap": array.reshape(16, 3)}[how]
    np.testing.assert_array_equal(found.tokens, wanted)
    assert found.n_distinct == len({row.tobytes() for row in wanted})
    if not big:
        path.unlink()
        np.testing.assert_array_equal(found.tokens, wanted)


@pytest.mark.parametrize("odd", ["fortran", "big-endian", "float"])
def test_arrays_that_cannot_stay_in_their_file_are_read(odd, tmp_path, monkeypatch):
    monkeypatch.setattr(probe_data, "MAPPED", 0)
    array = np.random.default_rng(0).integers(V, size=(6, 8))
    kinds = {"fortran": np.asfortranarray(array), "big-endian": array.astype(">i4")}
    np.save(tmp_path / "a.npy", kinds.get(odd, array.astype(np.float16)))
    found = read_sequences(tmp_path / "a.npy", seq_len=8, vocab_size=V)
    assert found.tokens.dtype == np.uint8 and not isinstance(found.tokens, np.memmap)
    np.testing.assert_array_equal(found.tokens, array)


@pytest.mark.parametrize("name", FORMATS[:3])
def test_arrays_are_checked_in_blocks(name, tmp_path, monkeypatch):
    monkeypatch.setattr(probe_arrays, "BLOCK", 5)
    array = np.arange(24).reshape(6, 4) % V
    found = read(tmp_path, name, array, 4)
    np.testing.assert_array_equal(found.tokens, array)
    array[4, 2] = V
    with pytest.raises(CorpusError, match="holds 11 at row 4, column 2"):
        read(tmp_path, name, array, 4)


def test_a_stream_of_tokens_is_one_item(tmp_path):
    path = write(tmp_path, "a.npy", np.arange(10))
    found = read_sequences(path, seq_len=4, vocab_size=V, pack="wrap")
    assert found.tokens.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]] and found.n_read == 1
    with pytest.raises(CorpusError, match="1 of its 1 items do not have 4 tokens"):
        read_sequences(path, seq_len=4, vocab_size=V)


def test_an_array_is_chosen_by_its_name(tmp_path):
    arrays = {"ids": np.zeros((2, 4), np.uint8), "mask": np.ones((2, 4), np.uint8)}
    np.savez(tmp_path / "a.npz", **arrays)
    save_file(arrays, tmp_path / "a.safetensors")
    for name in ("a.npz", "a.safetensors"):
        found = read_sequences(tmp_path / name, seq_len=4, vocab_size=V, key="mask")
        assert found.tokens.all()
        with pytest.raises(CorpusError, match="holds several arrays; name one of ids, mask as"):
            read_sequences(tmp_path / name, seq_len=4, vocab_size=V)
        with pytest.raises(CorpusError, match="holds no array `x`; it has ids, mask"):
            read_sequences(tmp_path / name, seq_len=4, vocab_size=V, key="x")


def test_text_in_json_and_a_byte_order_mark(tmp_path):
    (tmp_path / "v.json").write_text('["a", "b", "\\n"]')
    lines = '{"text": "ab\\nb"}\n{"text": "bbbb"}\r\n'
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    found = read_sequences(tmp_path / "a.jsonl", seq_len=4, vocab_size=3, vocab=tmp_path / "v.json")
    assert found.tokens.tolist() == [[0, 1, 2, 1], [1, 1, 1, 1]]
    assert found.decode(found.tokens[0]) == "ab\nb"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "letters, how, wanted",
    [
        ("ab\n", {"pack": "wrap"}, "ab|\na|bb|\n\n|b\n"),  # the text as it stands
        ("ab", {"pack": "wrap"}, "ab|ab|bb"),
        ("abS\n", {"pack": "wrap", "separator": 2}, "ab|Sa|bb|Sb"),
        ("ab\n", {"pack": "cut"}, "ab|ab"),
        ("abP", {"pack": "pad", "pad_token": 2}, "ab|ab|bP"),
    ],
)
def test_line_breaks_of_a_text(letters, how, wanted, end, tmp_path):
    (tmp_path / "a.txt").write_bytes("ab\nabb\n\nb\n".replace("\n", end).encode())
    (tmp_path / "v.json").write_text(json.dumps(list(letters)))
    found = read_sequences(
        tmp_path / "a.txt", seq_len=2, vocab_size=4, vocab=tmp_path / "v.json", **how
    )
    assert "|".join(found.decode(row) for row in found.tokens) == wanted


def test_a_long_text_is_looked_up_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(probe_vocabulary, "PIECE", 7)
    text = "".join(np.random.default_rng(0).choice(list("abc"), size=100))
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "v.json").write_text('["a", "b", "c"]')
    found = read_sequences(tmp_path / "a.txt", seq_len=100, vocab_size=3, vocab=tmp_path / "v.json")
    assert found.decode(found.tokens[0]) == text


@given(
    train=st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=1),
    test=st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=1),
)
def test_overlap_counts_shared_sequences(train, test, folder):
    kinds = (np.uint8, np.int64), (np.float32, np.uint16)
    for train_kind, test_kind in kinds:
        a = read(folder, "a.npy", np.array(train, train_kind), 2)
        b = read(folder, "b.npy", np.array(test, test_kind), 2, vocab_size=300)
        assert overlap(a, b) == sum(row in train for row in test)
        assert overlap(a, a) == len(train)


def read(
    folder: Path, name: str, array: np.ndarray, seq_len: int, vocab_size: int = V
) -> Sequences:
    return read_sequences(write(folder, name, array), seq_len=seq_len, vocab_size=vocab_size)


def test_overlap_across_blocks_and_of_other_lengths(tmp_path, monkeypatch):
    monkeypatch.setattr(probe_data, "ROWS", 3)
    array = np.random.default_rng(1).integers(V, size=(10, 4))
    a, b = read(tmp_path, "a.npy", array, 4), read(tmp_path, "b.npy", array[7:], 4)
    assert overlap(a, b) == overlap(b, a) == 3
    with pytest.raises(CorpusError, match=r"a\.npy has sequences of 4 tokens and .*of 3"):
        overlap(a, read(tmp_path, "c.npy", array[:, :3], 3))


BAD_OPTIONS = {
    "an unknown way": ({"pack": "fold"}, "`pack` must be one of exact, cut, pad, wrap; got 'fold'"),
    "no pad token": ({"pack": "pad"}, "pack='pad' needs `pad_token`"),
    "a pad token for nothing": ({"pad_token": 1}, "`pad_token` is for pack='pad'"),
    "a pad token out of range": (
        {"pack": "pad", "pad_token": V}, "`pad_token` must be a token from 0 to 10; got 11"
    ),
    "a separator for nothing": ({"separator": 1}, "`separator` is for pack='wrap'"),
    "a negative separator": ({"pack": "wrap", "separator": -1}, "`separator` must be a token from"),
    "a frame for nothing": ({"frame": (1, 2)}, "`frame` is for pack='wrap'"),
    "half a frame": ({"pack": "wrap", "frame": (1,)}, "`frame` must be two tokens"),
    "a frame out of range": ({"pack": "wrap", "frame": (1, V)}, "`frame` must be a token from 0"),
    "no room in a frame": (
        {"pack": "wrap", "frame": (1, 2), "seq_len": 2}, "`seq_len` must be at least 3; got 2"
    ),
    "no length": ({"seq_len": 0}, "`seq_len` must be at least 1; got 0"),
    "a length for wrap": ({"pack": "wrap", "seq_len": None}, "pack='wrap' needs `seq_len`"),
    "a type of an array": ({"dtype": "uint16"}, r"`dtype` is for \.bin, whose numbers have no"),
    "both": ({"tokenizer": "t", "vocab": "v"}, "give `tokenizer` or `vocab`, not both"),
    "a key of .npy": ({"key": "ids"}, "holds one array without a name; leave `key` out"),
    "no such vocabulary": ({"vocab": "no.json"}, r"no\.json cannot be read: No such file"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_options_that_do_not_go_together(what, tmp_path):
    options, message = BAD_OPTIONS[what]
    path = write(tmp_path, "a.npy", np.zeros((2, 4), np.uint8))
    with pytest.raises(CorpusError, match=message) as caught:
        read_sequences(path, **({"seq_len": 4, "vocab_size": V} | options))
    assert "\n" not in str(caught.value)


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def claims(shape: str) -> bytes:
    """An array whose header claims a shape that its bytes do not have."""
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.encode() + bytes(64)


GOOD = np.zeros((3, 4), np.int64)
OUT, MINUS, HALF, NAN = (GOOD.astype(float) for _ in range(4))
OUT[1, 2], MINUS[2, 0], HALF[0, 3], NAN[1, 1] = V, -100, 0.5, np.nan
DAMAGED = "is damaged or of another kind than its name says: "
BAD_FILES = {
    "a token out of range": (
        "a.npy", npy(OUT.astype(int)), r"a\.npy holds 11 at row 1, column 2; allowed are the "
        r"integers 0 to 10 \(vocab_size=11\)\. Map the text"
    ),
    "a negative token": ("a.npy", npy(MINUS.astype(int)), "holds -100 at row 2, column 0"),
    "half a token": ("a.npy", npy(HALF), r"holds 0\.5 at row 0, column 3"),
    "nan": ("a.npy", npy(NAN), "holds nan at row 1, column 1"),
    "infinite": ("a.npy", npy(GOOD - np.inf), "holds -inf at row 0, column 0"),
    "a huge token": ("a.npy", npy(np.full((1, 4), 2**64 - 1, np.uint64)), "holds 1844674407370955"),
    "truth values": ("a.npy", npy(GOOD > 0), "holds values of type bool; save token ids, as int"),
    "complex numbers": ("a.npy", npy(GOOD + 0j), "holds values of type complex128"),
    "text": ("a.npy", npy(GOOD.astype(str)), "holds values of type <U21"),
    "records": ("a.npy", npy(np.zeros(3, "i4,i4")), "holds records of f0, f1; save one .*'f0'"),
    "objects": (
        "a.npy", npy(GOOD.astype(object)), r"holds Python objects, such as rows .*\('a\.npy', all"
    ),
    "a pickle": ("a.npy", pickle.dumps([[1, 2]]), DAMAGED),
    "three axes": ("a.npy", npy(GOOD[None]), r"an array of shape \(1, 3, 4\); save sequences as"),
    "no axis": ("a.npy", npy(np.int64(3)), r"an array of shape \(\); save sequences as"),
    "no rows": ("a.npy", npy(GOOD[:0]), r"holds an empty array, of shape \(0, 4\)"),
    "no columns": ("a.npy", npy(GOOD[:, :0]), r"holds an empty array, of shape \(3, 0\)"),
    "nothing": ("a.npy", b"", DAMAGED),
    "an npz for an npy": ("a.npy", npz(a=npy(GOOD)), DAMAGED),
    "a cut npy": ("a.npy", npy(GOOD)[:-1], DAMAGED),
    "a lying npy": ("a.npy", claims("(1000000000000, 128)"), DAMAGED),
    "a negative shape": ("a.npy", claims("(-3, 4)"), DAMAGED),
    "an npz of nothing": ("a.npz", npz(), "holds no array"),
    "an npz that is none": ("a.npz", npy(GOOD), DAMAGED),
    "objects in an npz": (
        "a.npz", npz(a=npy(GOOD.astype(object))), r"holds Python objects.*True\)\['a'\]\)`"
    ),
    "a lying npz": ("a.npz", npz(a=claims("(1000000000000, 128)")), "fewer bytes than its header"),
    "a negative npz": ("a.npz", npz(a=claims("(-3, 4)")), "fewer bytes than its header"),
    "a wrong token in an npz": ("a.npz", npz(a=npy(OUT.astype(int))), "holds 11 at row 1"),
    "safetensors that are none": ("a.safetensors", b"{}" * 20, "holds no tensors that can be read"),
    "no safetensors": ("a.safetensors", b"", "holds no tensors that can be read"),
    "broken json": (
        "a.jsonl", b"[1, 2, 3, 4]\n\n[1, 2,\n", "line 3, is no JSON .*: .* at character 7"
    ),
    "deep json": ("a.jsonl", b"[" * 100_000, "line 1, is no JSON that can be read"),
    "a long number": ("a.jsonl", b"[" + b"1" * 5000 + b"]", "line 1, is no JSON that can be read"),
    "a number": ("a.jsonl", b"7", "line 1, must hold a list of token ids or a text; it has int 7"),
    "null": ("a.jsonl", b"null", "line 1, must hold a list .* it has NoneType null"),
    "truth in json": ("a.jsonl", b"[1, true, 2, 3]", "must hold a list .*it has list "),
    "nested ids": ("a.jsonl", b"[[1, 2, 3, 4]]", "line 1, must hold a list of token ids"),
    "nan in json": ("a.jsonl", b"[1, NaN, 2, 3]", "line 1, holds nan at place 1"),
    "infinity in json": ("a.jsonl", b"[1e999, 1, 2, 3]", "line 1, holds inf at place 0"),
    "a fraction in json": ("a.jsonl", b"[1, 2, 3, 1.5]", r"line 1, holds 1\.5 at place 3"),
    "out of range in json": ("a.jsonl", b"[1,1,1,1]\n[0, 11, 2, 3]", "line 2, holds 11 at place 1"),
    "beyond 64 bits": ("a.jsonl", b"[1, %d, 2, 3]" % 2**70, "line 1, holds 11805916207174113034"),
    "text without a reader": ("a.jsonl", b'"abcd"', "holds text; give `tokenizer` or `vocab`"),
    "several fields": ("a.jsonl", b'{"a": [1], "b": [2]}', "has the fields a, b; name the one"),
    "a length that varies": (
        "a.jsonl", b"[1, 2, 3, 4]\n[1, 2]\n[1]", r"a\.jsonl: 2 of its 3 items do not have 4 tokens "
        r"\(lengths are 1 to 4; the first is item 2 with 2\)\. Choose `pack`: cut \(longer"
    ),
    "empty lists": ("a.jsonl", b"[]\n[]", "there are no tokens in it"),
    "empty jsonl": ("a.jsonl", b"\n \n", "is empty: it has no line"),
    "latin-1 json": ("a.jsonl", b'[1]\n"\xe9"', r"is not UTF-8 \(byte 5 is 0xe9\)"),
    "text alone": ("a.txt", b"abcd", "holds text; give `tokenizer` or `vocab` to read it"),
    "nested ids in json": ("a.json", b"[[[1]]]", "item 1, must hold a list .*has list"),
    "cut json": ("a.json", b"[[1, 2, 3, 4],\n[1, ", "is no JSON that can be read: .*at character"),
    "nothing in json": ("a.json", b"[]", "there are no tokens"),
    "an array named as lines": ("a.jsonl", b"[[1, 2], [3]]", r"array is named \.json\."),
    "another ending": ("a.xyz", b"1,2", r"a\.xyz is of no known kind by its name; there are \.npy"),
    "no ending": ("a", b"1,2", "is of no known kind by its name.* saved by `np.save"),
    "an array without its ending": ("a", npy(GOOD), r"bytes are those of \.npy: give it this end"),
    "numbers by commas": ("a.csv", b"1,2", r"np\.loadtxt\('a\.csv', delimiter=\",\", dtype=int"),
    "a tensor of torch": ("a.PT", b"PK", r"torch\.load\('a\.PT', weights_only=True\)"),
    "a pickled list": ("a.pkl", pickle.dumps([1]), r"pickle\.load\(open\('a\.pkl', \"rb\"\)"),
    "another packing": ("a.jsonl.zst", b"", r"not read \(\.jsonl\.gz, .* are\); unpack it first"),
    "a packed array": ("a.npy.gz", b"", r"not read \(\.jsonl\.gz, .* are\); unpack it first"),
    "what is not packed": ("a.jsonl.gz", b"[1, 2, 3, 4]", "is damaged or not packed by gzip: Not"),
    "cut short": ("a.jsonl.gz", gzip.compress(b"[1, 2]")[:-9], "is damaged or not packed by gzip"),
    "a pointer": (
        "a.npy", b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS; get"
    ),
    "numbers of any type": ("a.bin", bytes(16), "without a header .* say it by `dtype`, such as"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_FILES)
def test_files_that_are_refused(what, tmp_path):
    name, content, message = BAD_FILES[what]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_sequences(path, seq_len=4, vocab_size=V)
    text = str(caught.value)
    assert text.count(str(path)) == 1 and text.endswith(".") and "\n" not in text
    assert len(text) < 500 + len(str(path))


BAD_TEXTS = {
    "latin-1": (b"ab\nb\xe9a", '["a", "b"]', r"is not UTF-8 \(byte 4 is 0xe9\)\. Convert it"),
    "utf-16": ("ab".encode("utf-16-le"), '["a", "b"]', "holds a zero byte in line 1"),
    "empty": (b"", '["a", "b"]', "is empty: it has no line with text"),
    "blank": (b"\n\r\n\n", '["a", "b"]', "is empty: it has no line with text"),
    "a stranger": (
        "ab\naé".encode(), '["a", "b"]', r"line 2: 'é' \(U\+00E9\) is not in the voc.*add one"
    ),
    "no json": (b"ab", '["a", ', r"the vocabulary .*v\.json is no JSON that can be read"),
    "deep": (b"ab", "[" * 100_000, "is no JSON that can be read"),
    "a number for a vocabulary": (b"ab", "3", "must be a map from tokens to ids, or a list"),
    "no tokens": (b"ab", "{}", "must be a map from tokens to ids"),
    "ids that are none": (b"ab", '{"a": true, "b": 1}', "must be a map from tokens to ids"),
    "a list of numbers": (b"ab", "[1, 2]", "must be a map from tokens to ids, or a list"),
    "a token twice": (b"ab", '["a", "b", "a"]', "lists a token twice"),
    "an id too large": (b"ab", '{"a": 0, "b": 11}', "gives 'b' the id 11; the network has 0 to 10"),
    "a negative id": (b"ab", '{"a": -1, "b": 1}', "gives 'a' the id -1"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_TEXTS)
def test_texts_and_vocabularies_that_are_refused(what, tmp_path):
    content, vocab, message = BAD_TEXTS[what]
    (tmp_path / "a.txt").write_bytes(content)
    (tmp_path / "v.json").write_text(vocab)
    with pytest.raises(CorpusError, match=message) as caught:
        read_sequences(tmp_path / "a.txt", seq_len=2, vocab_size=V, vocab=tmp_path / "v.json")
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_fields_that_are_not_there(tmp_path):
    path = tmp_path / "a.jsonl"
    for content, message in (
        ('{"a": [1]}', "line 1, has no field `ids`; it has a"),
        ("[1]", r"line 1, is no object with a field `ids`, but list \[1\]"),
    ):
        path.write_text(content)
        with pytest.raises(CorpusError, match=message):
            read_sequences(path, seq_len=1, vocab_size=V, key="ids")
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "v.json").write_text('["a"]')
    with pytest.raises(CorpusError, match="has no named parts; leave `key` out"):
        read_sequences(
            tmp_path / "a.txt", seq_len=1, vocab_size=V, key="x", vocab=tmp_path / "v.json"
        )


def test_places_that_hold_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npy").mkdir()
    for name in ("pipe.npy", "folder.npy", "absent.npy", "a\x00b.npy"):
        with pytest.raises(CorpusError, match="cannot be read"):
            read_sequences(tmp_path / name, seq_len=1, vocab_size=V)
    with pytest.raises(ValueError, match="`vocab_size` must be an integer of at least 2"):
        read_sequences(tmp_path / "absent.npy", seq_len=1, vocab_size=1)


def test_a_huge_line_is_refused_without_being_read(tmp_path, monkeypatch):
    monkeypatch.setattr(probe_text, "LINE", 1 << 20)
    (tmp_path / "a.jsonl").write_text("[1]\n[" + "1, " * 500_000 + "1]\n")
    with pytest.raises(CorpusError, match="line 2, is longer than 1 MiB; write one text or list"):
        read_sequences(tmp_path / "a.jsonl", seq_len=1, vocab_size=V)


def test_without_the_package_of_tokenizers_the_line_to_type_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(CorpusError, match=r"package tokenizers: pip install 'am-theory\[text\]'"):
        read_sequences(tmp_path / "a.txt", seq_len=1, vocab_size=V, tokenizer="tokenizer.json")


def honest(folder: Path) -> dict[str, bytes]:
    rows = np.random.default_rng(0).integers(V, size=(5, 4))
    files = {name: write(folder, name, rows).read_bytes() for name in FORMATS[:4]}
    return files | {"a.txt": b"abba\nbaab\n"}


@pytest.mark.parametrize("name", [*FORMATS[:4], "a.txt"])
def test_damaged_files_never_fail_from_deep_inside(name, tmp_path):
    """Cut anywhere, or with bytes changed: refused in words, or read as what they now say."""
    content, rng = honest(tmp_path)[name], np.random.default_rng(1)
    (tmp_path / "v.json").write_text('["a", "b"]')
    vocab = tmp_path / "v.json" if name == "a.txt" else None
    damaged = [content[:size] for size in rng.integers(len(content), size=40)]
    for _ in range(120):
        changed = bytearray(content)
        for at in rng.integers(len(content), size=rng.integers(1, 4)):
            changed[at] = rng.integers(256)
        damaged.append(bytes(changed))
    damaged += [rng.bytes(int(n)) for n in rng.integers(1, 300, size=30)]
    damaged += [content[:8] + rng.bytes(200), content + rng.bytes(9), bytes(300)]
    path, refused = tmp_path / name, 0
    for trial in damaged:
        path.write_bytes(trial)
        try:
            found = read_sequences(path, seq_len=4, vocab_size=V, vocab=vocab)
        except CorpusError as error:
            assert "\n" not in str(error) and len(str(error)) < 600 + len(str(path))
            refused += 1
        else:
            assert found.tokens.max() < V and found.tokens.shape[1] == 4
    assert refused > len(damaged) // 3


def test_published_windows_and_those_that_are_in_both_parts():
    golden = shared("golden_trained")
    test = read_sequences(golden / "test_ids.npy", seq_len=32, vocab_size=64)
    train = read_sequences(golden / "generalizing/train_ids.npy", seq_len=32, vocab_size=64)
    assert test.tokens.shape == (1024, 32) and overlap(test, test) == 1024
    both = {row.tobytes() for row in train.tokens} & {row.tobytes() for row in test.tokens}
    assert overlap(train, test) == sum(row.tobytes() in both for row in test.tokens)


def test_wrapped_text_is_the_text_as_it_stands(tmp_path):
    text, golden = shared("data/tinyshakespeare.txt"), shared("golden_trained")
    letters = json.loads((golden / "vocab.json").read_text())["id_to_char"]
    (tmp_path / "v.json").write_text(json.dumps(letters))
    (tmp_path / "t.txt").write_text(text.read_text().replace("$", " "))
    found = read_sequences(
        tmp_path / "t.txt", seq_len=32, vocab_size=64, vocab=tmp_path / "v.json", pack="wrap"
    )
    assert found.n_read == 40000 and len(found.tokens) == 1115394 // 32
    positions = np.load(golden / "generalizing/train_positions.npy")[:4096]
    theirs = np.load(golden / "generalizing/train_ids.npy")[: len(positions)]
    np.testing.assert_array_equal(found.tokens[positions // 32], theirs)
    assert "".join(found.decode(row) for row in found.tokens[:3]) == text.read_text()[:96]

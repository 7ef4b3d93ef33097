"""Files told apart by their names: raw streams, JSON of both kinds, packed texts, and names of data
sets that are no files."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.data import text as data_text
from simulations.data import unpacked
from simulations.data.corpora import CorpusError
from simulations.data.sequences import read_sequences
from simulations.probe.inputs import DataOptions, read_both

V = 11
ROWS = [[1, 2, 3, 4], [0, 10, 0, 9], [5, 5, 5, 5]]
STREAM = np.array(ROWS).reshape(-1)


def read(path, **options):
    return read_sequences(path, **({"seq_len": 4, "vocab_size": V} | options))


def header(magic: int, version: int, count: int) -> bytes:
    fields = np.zeros(256, "<i4")
    fields[:3] = magic, version, count
    return fields.tobytes()


@given(
    tokens=st.lists(st.integers(1, V - 1), min_size=4, max_size=40),
    dtype=st.sampled_from(["uint8", "uint16", "uint32", "int32", "int64"]),
)
def test_a_raw_stream_of_a_type_that_is_said(tokens, dtype, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "val.bin"
    np.array(tokens, dtype).tofile(path)
    found = read(path, pack="wrap", dtype=dtype)
    assert found.tokens.ravel().tolist() == tokens[: len(tokens) // 4 * 4]
    with pytest.raises(CorpusError, match="without a header that says their type; say it"):
        read(path, pack="wrap")


@pytest.mark.parametrize("magic, version, dtype", [(20240520, 1, "u2"), (20240801, 7, "u4")])
def test_a_header_says_the_type(magic, version, dtype, tmp_path):
    path, body = tmp_path / "val_000000.bin", STREAM.astype(dtype).tobytes()
    path.write_bytes(header(magic, version, len(STREAM)) + body)
    assert read(path, pack="wrap").tokens.tolist() == ROWS
    name = np.dtype(dtype).name
    assert read(path, pack="wrap", dtype=name).tokens.tolist() == ROWS
    with pytest.raises(CorpusError, match=f"header that says {name}; leave `dtype` int64 out"):
        read(path, pack="wrap", dtype="int64")


ODD_STREAMS = {
    "another version": (header(20240520, 3, 12) + bytes(24), None, "header says version 3 and 12"),
    "cut short": (header(20240520, 1, 12) + bytes(23), None, "version 1 and 12 tokens, and 23 byt"),
    "a count that lies": (
        header(20240520, 1, 2**31 - 1) + bytes(24),
        None,
        "2147483647 tokens",
    ),
    "a negative count": (header(20240520, 1, -12) + bytes(24), None, "and -12 tokens"),
    "half a number": (bytes(15), "uint16", "has 15 bytes, which are no whole number of uint16"),
    "nothing": (b"", "uint16", r"val\.bin is empty"),
    "weights": (b"PK\x03\x04" + bytes(96), "uint16", "is an archive, as of torch.save"),
    "out of range": (np.array([1, 2, 11], "<u2").tobytes(), "uint16", "holds 11 at place 2; allow"),
    "longer numbers": (
        np.array(ROWS * 9, "<u4").tobytes(),
        "uint16",
        "every second number of .* most 0",
    ),
    "far longer": (
        np.array(ROWS * 9, "<i8").tobytes(),
        "uint8",
        "every second number of .* most 0",
    ),
    "shorter numbers": (np.array(ROWS, "<u2").tobytes(), "uint32", "holds 131073 at place 0"),
}


@pytest.mark.parametrize("what", ODD_STREAMS)
def test_raw_streams_are_never_misread(what, tmp_path):
    content, dtype, message = ODD_STREAMS[what]
    (tmp_path / "val.bin").write_bytes(content)
    with pytest.raises(CorpusError, match=message) as caught:
        read(tmp_path / "val.bin", pack="wrap", dtype=dtype)
    assert str(caught.value).endswith(".")


def test_tokens_of_more_than_two_bytes_are_not_read_as_two(tmp_path):
    tokens = np.random.default_rng(0).integers(128_000, size=400).astype("<u4")
    tokens.tofile(tmp_path / "val.bin")
    options = {"vocab_size": 128_000, "pack": "wrap"}
    found = read(tmp_path / "val.bin", dtype="uint32", **options)
    np.testing.assert_array_equal(found.tokens.ravel(), tokens)
    with pytest.raises(CorpusError, match="read as uint16, is at most 1, as where tokens have"):
        read(tmp_path / "val.bin", dtype="uint16", **options)


OBJECTS = [{"input_ids": row, "n": 1} for row in ROWS]
JSON = {
    "an array": (json.dumps(ROWS), None),
    "an array over many lines": (json.dumps(ROWS, indent=1), None),
    "an array of objects": (json.dumps(OBJECTS), "input_ids"),
    "lines of lists": ("\n".join(map(json.dumps, ROWS)), None),
    "lines of objects": ("\n".join(map(json.dumps, OBJECTS)) + "\n\n", "input_ids"),
    "a byte order mark": ("\ufeff" + json.dumps(ROWS, indent=1), None),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("what", JSON)
def test_json_is_an_array_or_lines_by_its_content(what, packed, tmp_path):
    content, key = JSON[what]
    path = tmp_path / ("a.JSON.gz" if packed else "a.json")
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    assert read(path, key=key).tokens.tolist() == ROWS


def test_json_of_one_item(tmp_path):
    for name, content in (("a.json", "[1, 2, 3, 4]"), ("b.json", '{"ids": [1, 2, 3, 4]}')):
        (tmp_path / name).write_text(content)
        assert read(tmp_path / name).tokens.tolist() == [[1, 2, 3, 4]]


def test_texts_of_json_and_packed_text(tmp_path):
    (tmp_path / "v.json").write_text('["a", "b", "\\n"]')
    (tmp_path / "a.json").write_text('["abab", "bbbb"]')
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"abab\nbbbb\n"))
    for name in ("a.json", "a.txt.gz"):
        found = read(tmp_path / name, vocab=tmp_path / "v.json")
        assert found.tokens.tolist() == [[0, 1, 0, 1], [1, 1, 1, 1]]
    wrapped = read(tmp_path / "a.txt.gz", vocab=tmp_path / "v.json", pack="wrap")
    assert wrapped.tokens.ravel().tolist() == [0, 1, 0, 1, 2, 1, 1, 1]


@pytest.mark.parametrize("name", ["a.NPY", "a.Npy", "A.JSONL"])
def test_the_case_of_an_ending_says_nothing(name, tmp_path):
    path = tmp_path / name
    if name == "A.JSONL":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        with path.open("wb") as file:
            np.save(file, np.array(ROWS))
    assert read(path).tokens.tolist() == ROWS


def test_names_of_data_sets_are_no_files(tmp_path):
    with pytest.raises(CorpusError, match=r"lm1b is neither a file .*load_dataset\('lm1b', split="):
        read("lm1b")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="cannot be read as token ids: the folder has no state"):
        read(tmp_path / "empty")


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked, "SMALL", 1 << 20)
    monkeypatch.setattr(data_text, "ARRAY", 1 << 20)
    line = b"[1, 2, 3, 4]\n"
    whole = gzip.compress(line * 400_000)
    for content, said in ((whole, 4), (whole + gzip.compress(line), 1)):
        (tmp_path / "a.jsonl.gz").write_bytes(content)  # what its last part says, or is seen
        with pytest.raises(CorpusError, match=f"unpacks to {said} MiB or more, over 64 times as"):
            read(tmp_path / "a.jsonl.gz")
    (tmp_path / "b.json").write_bytes(b"[\n" + line * 100_000)
    with pytest.raises(CorpusError, match="is a JSON array of more than 1 MiB; write one"):
        read(tmp_path / "b.json")
    np.savez_compressed(tmp_path / "c.npz", np.zeros((1 << 18, 4), np.int64))
    with pytest.raises(CorpusError, match="over 64 times as many; save it as"):
        read(tmp_path / "c.npz")
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(line * 1000))
    assert read(tmp_path / "d.jsonl.gz").tokens.shape == (1000, 4)


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
def test_without_pyarrow_the_line_to_type_is_said(name, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / name).write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match=r"package pyarrow: pip install 'am-theory\[arrow\]'"):
        read(tmp_path / name)


def test_two_files_of_other_kinds_share_their_options(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    STREAM.astype("<u2").tofile(tmp_path / "a.bin")
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, OBJECTS)))
    options = DataOptions(key="input_ids", dtype="uint16", pack="wrap")
    for names in ("a.bin", "a.jsonl"), ("a.jsonl", "a.bin"):
        found = read_both(*(tmp_path / name for name in names), 4, V, options)
        assert [data.tokens.tolist() for data in found] == [ROWS, ROWS]
    found = read_both(
        tmp_path / "a.npy", tmp_path / "a.bin", 4, V, DataOptions(dtype="uint16", pack="wrap")
    )
    assert [data.tokens.tolist() for data in found] == [ROWS, ROWS]
    with pytest.raises(CorpusError, match="`dtype` is for"):  # of no use to either
        read_both(tmp_path / "a.npy", tmp_path / "a.jsonl", 4, V, options)
    with pytest.raises(CorpusError, match="one array without a name"):
        read_both(tmp_path / "a.npy", None, 4, V, DataOptions(key="input_ids"))

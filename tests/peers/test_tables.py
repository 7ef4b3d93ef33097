"""Columns of Arrow and Parquet, as pyarrow and the library datasets write them: there and back, and
tables that are refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from simulations.data import unpacked
from simulations.data.corpora import CorpusError
from simulations.data.sequences import read_sequences

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: the extra arrow has it")
parquet = pytest.importorskip("pyarrow.parquet")

V = 11
ROWS = np.random.default_rng(0).integers(V, size=(30, 4))


def write(path: Path, table, **options) -> Path:
    """A table by pyarrow itself: a stream in batches of 7 rows, or Parquet in groups of 7."""
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=7, **options)
    else:
        ipc = pyarrow.ipc.IpcWriteOptions(**options)
        with pyarrow.ipc.new_stream(str(path), table.schema, options=ipc) as stream:
            stream.write_table(table, max_chunksize=7)
    return path


def read(path: Path, **options):
    return read_sequences(path, **({"seq_len": 4, "vocab_size": V} | options))


TYPES = {
    "lists": pyarrow.list_(pyarrow.int64()),
    "lists of few bytes": pyarrow.list_(pyarrow.uint8()),
    "large lists": pyarrow.large_list(pyarrow.int32()),
    "lists of one length": pyarrow.list_(pyarrow.int16(), 4),
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", ["a.arrow", "a.parquet", "A.PARQUET"])
def test_lists_of_ids_come_back(name, kind, tmp_path):
    column = pyarrow.array(ROWS.tolist(), TYPES[kind])
    path = write(tmp_path / name.replace("A.PARQUET", "a.parquet"), pyarrow.table({"ids": column}))
    path = path.rename(tmp_path / name)
    found = read(path)
    np.testing.assert_array_equal(found.tokens, ROWS)
    assert found.tokens.dtype == np.uint8 and found.n_read == 30
    masked = pyarrow.table({"input_ids": column, "attention_mask": column})
    path = write(tmp_path / f"two{path.suffix.lower()}", masked)
    np.testing.assert_array_equal(read(path, key="input_ids").tokens, ROWS)
    with pytest.raises(CorpusError, match="the columns input_ids, attention_mask; name the one"):
        read(path)
    with pytest.raises(CorpusError, match="has no column `ids`; it has input_ids"):
        read(path, key="ids")


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
def test_ragged_lists_streams_and_texts(name, tmp_path):
    ragged = [list(range(n)) for n in (3, 0, 5, 4, 11, 2, 1, 4, 0, 6)]
    path = write(tmp_path / name, pyarrow.table({"ids": ragged}))
    wanted = [row[:4] for row in ragged if len(row) >= 4]
    assert read(path, pack="cut").tokens.tolist() == wanted
    path = write(tmp_path / name, pyarrow.table({"ids": ROWS.reshape(-1)}))
    found = read(path, pack="wrap")
    np.testing.assert_array_equal(found.tokens, ROWS)
    assert found.n_read == 1
    path = write(tmp_path / name, pyarrow.table({"text": ["abba"] * 20 + ["bbbb"]}))
    (tmp_path / "v.json").write_text('["a", "b"]')
    found = read(path, vocab=tmp_path / "v.json")
    assert found.tokens.tolist() == [[0, 1, 1, 0]] * 20 + [[1, 1, 1, 1]]
    assert "read as characters of v.json; 0 of 84 tokens unknown" in found.packing
    with pytest.raises(CorpusError, match="row 0, holds text; give `tokenizer` or `vocab`"):
        read(path)


def saved(folder: Path, n_files: int = 3, **more) -> Path:
    """As `save_to_disk` lays it out: streams, and their order in state.json."""
    folder.mkdir()
    names = [f"data-{k:05}-of-{n_files:05}.arrow" for k in range(n_files)]
    for name, part in zip(names, np.array_split(ROWS, n_files), strict=True):
        write(folder / name, pyarrow.table({"input_ids": part.tolist()}))
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0"} | more
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def test_a_saved_data_set_is_its_files_in_their_order(tmp_path):
    found = read(saved(tmp_path / "lm1b_test_bs128_wrapped.dat"))
    np.testing.assert_array_equal(found.tokens, ROWS)
    other = read(saved(tmp_path / "other", 2))
    assert found.sha256 != other.sha256 and len(found.sha256) == 64
    np.testing.assert_array_equal(other.tokens, ROWS)


@pytest.mark.parametrize("n_files", [1, 3])
def test_what_the_library_datasets_saves_is_read(n_files, tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    datasets.disable_progress_bars()
    data = datasets.Dataset.from_dict({"input_ids": ROWS.tolist(), "mask": ROWS.tolist()})
    data.select(range(3, 20)).save_to_disk(tmp_path / "set", num_shards=n_files)
    np.testing.assert_array_equal(read(tmp_path / "set", key="input_ids").tokens, ROWS[3:20])
    datasets.DatasetDict(train=data, test=data).save_to_disk(tmp_path / "both")
    with pytest.raises(CorpusError, match="several data sets; give one of its folders test, train"):
        read(tmp_path / "both")


def test_numbered_parts_are_one_table(tmp_path):
    names = [f"train-{k:05}-of-00012.parquet" for k in range(12)]
    for name, part in zip(names, np.array_split(ROWS, 12), strict=True):
        write(tmp_path / name, pyarrow.table({"ids": part.tolist()}))
    np.testing.assert_array_equal(read(tmp_path).tokens, ROWS)
    (tmp_path / names[3]).unlink()
    with pytest.raises(CorpusError, match="has 11 of the 12 parts of its table"):
        read(tmp_path)
    write(tmp_path / "test-00000-of-00001.parquet", pyarrow.table({"ids": ROWS.tolist()}))
    with pytest.raises(CorpusError, match="holds files of several tables, such as test-"):
        read(tmp_path)


def test_numbers_without_zeros_are_in_their_order(tmp_path):
    for k, part in enumerate(np.array_split(ROWS, 11)):
        write(tmp_path / f"{k}.parquet", pyarrow.table({"ids": part.tolist()}))
    np.testing.assert_array_equal(read(tmp_path).tokens, ROWS)


STATES = {
    "chosen rows": ({"_indices_data_files": [{"filename": "indices.arrow"}]}, "chooses rows"),
    "files elsewhere": ({"_data_files": [{"filename": "../a.arrow"}]}, "or files elsewhere"),
    "no files": ({"_data_files": []}, "chooses rows, or files elsewhere"),
    "another thing": ({"_data_files": 3}, "names no data files"),
    "a file that is not there": ({"_data_files": [{"filename": "b.arrow"}]}, "cannot be read: No"),
}


@pytest.mark.parametrize("what", STATES)
def test_a_state_that_says_something_else_is_refused(what, tmp_path):
    state, message = STATES[what]
    with pytest.raises(CorpusError, match=message):
        read(saved(tmp_path / "set", **state))


BAD = np.where(np.arange(4) == 2, V, ROWS[:9])
REFUSED = {
    "out of range": ({"ids": BAD.tolist()}, r"row 0, holds 11 at place 2; allowed are the integ"),
    "negative": ({"ids": [[1, 2, 3, 4]] * 8 + [[0, 0, -100, 0]]}, "row 8, holds -100 at place 2"),
    "a missing row": ({"ids": [[1, 2, 3, 4], None]}, "has empty places among its token ids"),
    "a missing id": ({"ids": [[1, None, 3, 4]]}, "has empty places among its token ids"),
    "fractions": ({"ids": [[0.5, 1.0]]}, "holds values of type list<.*: double>; save token ids"),
    "nested": ({"ids": [[[1, 2]]]}, "holds values of type list<.*list<"),
    "truth": ({"ids": [True]}, "holds values of type bool"),
    "no rows": (
        {"ids": pyarrow.array([], pyarrow.list_(pyarrow.int64()))},
        "is empty: it has no r",
    ),
    "empty lists": ({"ids": [[], []]}, "holds values of type list<.*null"),
}


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
@pytest.mark.parametrize("what", REFUSED)
def test_tables_that_are_refused(what, name, tmp_path):
    columns, message = REFUSED[what]
    path = write(tmp_path / name, pyarrow.table(columns))
    with pytest.raises(CorpusError, match=message) as caught:
        read(path)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and text.count(str(path)) == 1


def test_arrow_that_is_no_plain_stream_is_refused(tmp_path):
    table = pyarrow.table({"ids": ROWS.tolist()})
    with pyarrow.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as file:
        file.write_table(table)
    with pytest.raises(
        CorpusError, match=r"an Arrow file, not an Arrow stream; save it by `pyarrow"
    ):
        read(tmp_path / "a.arrow")
    for codec in ("lz4", "zstd"):
        write(tmp_path / "a.arrow", table, compression=codec)
        with pytest.raises(CorpusError, match="holds compressed batches, which are not read; save"):
            read(tmp_path / "a.arrow")
    column = pyarrow.array(["a", "b", "a"]).dictionary_encode()
    write(tmp_path / "a.arrow", pyarrow.table({"ids": column}))
    with pytest.raises(CorpusError, match="holds columns by dictionaries"):
        read(tmp_path / "a.arrow")
    tables_of_two = pyarrow.table({"ids": ROWS.tolist()}), pyarrow.table({"ids": [1, 2]})
    for k, one in enumerate(tables_of_two):
        write(tmp_path / f"part-{k}.parquet", one)
    (tmp_path / "a.arrow").unlink()
    with pytest.raises(CorpusError, match="type int64, and other parts list"):
        read(tmp_path)


def test_a_small_table_that_unpacks_to_much_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"ids": [[1] * 1000] * 2000}), path)
    assert path.stat().st_size < 16_000_000 / 64
    assert read(path, seq_len=1000).tokens.shape == (2000, 1000)
    monkeypatch.setattr(unpacked, "SMALL", 1 << 20)
    with pytest.raises(
        CorpusError, match=r"unpacks to \d MiB or more, over 64 times as many; save"
    ):
        read(path, seq_len=1000)


def test_an_old_pyarrow_is_not_trusted(tmp_path, monkeypatch):
    path = write(tmp_path / "a.arrow", pyarrow.table({"ids": ROWS.tolist()}))
    monkeypatch.setattr(pyarrow, "__version__", "14.0.0")
    with pytest.raises(CorpusError, match=r"read by pyarrow 14\.0\.1 or newer; this is 14\.0\.0"):
        read(path)


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
def test_damaged_tables_never_fail_from_deep_inside(name, tmp_path):
    path = write(tmp_path / name, pyarrow.table({"ids": ROWS.tolist()}))
    content, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    damaged = [content[:size] for size in rng.integers(len(content), size=40)]
    for _ in range(250):
        changed = bytearray(content)
        for at in rng.integers(len(content), size=rng.integers(1, 4)):
            changed[at] = rng.integers(256)
        damaged.append(bytes(changed))
    big = struct.pack("<i", 2**31 - 1)
    for at in rng.integers(len(content) - 4, size=60):
        damaged.append(content[:at] + big + content[at + 4 :])
    damaged += [b"", bytes(200), content + rng.bytes(9), *(rng.bytes(200) for _ in range(10))]
    for trial in damaged:
        path.write_bytes(trial)
        try:
            found = read(path)
        except CorpusError as error:
            assert "\n" not in str(error) and len(str(error)) < 600 + len(str(path))
            refused += 1
        else:
            assert found.tokens.max() < V and found.tokens.shape[1] == 4
    assert refused > len(damaged) // 4

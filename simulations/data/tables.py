"""A column of Arrow or Parquet files as items, by pyarrow: lists of ids, ids or texts.

A folder is what `save_to_disk` of the library datasets wrote, or the numbered parts of one table.
Nothing in these files is executed, and no column but the one asked for is decoded.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.extras import optional
from models.released.files.torch_archive import open_file
from models.tokens import token_dtype
from simulations.data.arrays import checked_tokens
from simulations.data.codec import Codec
from simulations.data.corpora import CorpusError, file_refusals, in_short
from simulations.data.packing import Items
from simulations.data.text import PLACE, gathered
from simulations.data.unpacked import refuse_unpacked

SAFE = (14, 0, 1)  # pyarrow before it could be made to unpickle
STATE = 1 << 24  # bytes of a state.json
ROWS = 256  # rows of Parquet decoded at a time
REMEDY = 'save the ids by `np.save("ids.npy", ids)`'
PART = re.compile(r"-of-(\d+)")


class _Piece(NamedTuple):
    """Some rows of the column: where they are, the number of the first, and the values."""

    path: Path
    first: int
    column: Any


def table_files(folder: Path) -> list[Path]:
    """The files of a table that is a folder, in order: those that state.json names, or all of one
    kind, where their names differ by a number alone.

    Raises CorpusError, one sentence, for any other folder, and where a part is not there.
    """
    try:
        names = sorted(os.listdir(folder), key=_numbered)
    except OSError as error:
        raise CorpusError(f"{folder} cannot be read: {error.strerror}.") from error
    if "dataset_dict.json" in names:
        parts = ", ".join(name for name in names if (folder / name / "state.json").is_file())
        raise CorpusError(f"{folder} holds several data sets; give one of its folders {parts}.")
    if "state.json" in names:
        return [folder / name for name in _saved(folder)]
    for kind in (".parquet", ".arrow"):
        if found := [name for name in names if name.lower().endswith(kind)]:
            return [folder / name for name in _one_table(folder, found)]
    raise CorpusError(
        f"{folder} cannot be read as token ids: the folder has no state.json, as `save_to_disk` "
        "writes it, and no .parquet or .arrow files; give a file in it."
    )


def table_items(
    path: Path, files: list[Path], key: str | None, codec: Codec | None, vocab_size: int
) -> Items:
    """The rows of a column, each an item; a column of numbers is one item, a stream.

    `key` may be left out where there is one column. Raises CorpusError, one sentence.
    """
    arrow = optional("pyarrow", "arrow", f"the table {path}", CorpusError)
    version = tuple(int(part) for part in re.findall(r"\d+", arrow.__version__)[:3])
    if version < SAFE:
        raise CorpusError(
            f"{path} is read by pyarrow 14.0.1 or newer; this is {arrow.__version__}."
        )
    pieces = chain.from_iterable(_pieces(arrow, file, key) for file in files)
    first = next(pieces, None)
    if first is None:
        raise CorpusError(f"{path} is empty: it has no rows.")
    pieces = chain([first], pieces)
    kind, types = first.column.type, arrow.types
    if types.is_string(kind) or types.is_large_string(kind):
        texts = (
            (f"{piece.path}, row {piece.first + n},", text, 0)
            for piece in pieces
            for n, text in enumerate(piece.column.to_pylist())
        )
        return gathered(path, texts, codec, vocab_size)
    stream = types.is_integer(kind)
    listed = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if not stream and not (any(is_(kind) for is_ in listed) and types.is_integer(kind.value_type)):
        raise CorpusError(
            f"{path} holds values of type {kind}; save token ids, as integers or lists of them, or "
            "texts."
        )
    found = [_ids(piece, kind, stream, vocab_size) for piece in pieces]
    tokens = np.concatenate([ids for ids, _ in found])
    lengths = np.concatenate([lengths for _, lengths in found])
    return Items(tokens, np.array([len(tokens)]) if stream else lengths)


def _ids(
    piece: _Piece, kind: Any, stream: bool, vocab_size: int
) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Tokens of the rows, one after the other, and how many each has."""
    path, first, column = piece
    if column.type != kind:
        raise CorpusError(f"{path} holds values of type {column.type}, and other parts {kind}.")
    flat = column if stream else column.flatten()
    if column.null_count or flat.null_count:
        raise CorpusError(f"{path} has empty places among its token ids; fill or drop those rows.")
    ids = flat.to_numpy(zero_copy_only=False)
    lengths = np.ones(len(column), np.int64)
    if not stream:
        fixed = getattr(kind, "list_size", None)
        lengths = lengths * fixed if fixed else np.diff(column.offsets.to_numpy()).astype(np.int64)
    try:
        tokens = checked_tokens(ids[None], vocab_size, f"{path}") if len(ids) else ids
    except CorpusError:  # which row it is
        for n, row in enumerate(np.split(ids, np.cumsum(lengths)[:-1])):
            if len(row):
                checked_tokens(row[None], vocab_size, f"{path}, row {first + n},", PLACE)
        raise
    return tokens.astype(token_dtype(vocab_size), copy=False), lengths


def _pieces(arrow: Any, path: Path, key: str | None) -> Iterator[_Piece]:
    """The column in pieces of bounded size, checked to be what it says it is."""
    with file_refusals():
        open_file(path).close()
    read = _parquet if path.suffix.lower() == ".parquet" else _stream
    row = 0
    try:
        for column in read(arrow, path, key):
            if len(column):
                yield _Piece(path, row, column)
                row += len(column)
    except CorpusError:
        raise
    except Exception as error:  # each part of that library has its own errors
        words = in_short(error).rstrip(".") or type(error).__name__
        raise CorpusError(
            f"{path} is damaged or of another kind than its name says: {words}."
        ) from error


def _stream(arrow: Any, path: Path, key: str | None) -> Iterator[Any]:
    """Batches of an Arrow stream, mapped. Packed ones are refused, as nothing bounds their size."""
    with open_file(path) as file:
        if file.read(6) == b"ARROW1":
            raise CorpusError(
                f"{path} is an Arrow file, not an Arrow stream; save it by "
                f"`pyarrow.parquet.write_table(pyarrow.feather.read_table({path.name!r}), "
                '"ids.parquet")`.'
            )
    with arrow.memory_map(str(path)) as source:
        messages = arrow.ipc.MessageReader.open_stream(source)
        schema = arrow.ipc.read_schema(messages.read_next_message())
        number = schema.names.index(_chosen(path, schema.names, key))
        for message in messages:
            if message.type == "dictionary":
                raise CorpusError(f"{path} holds columns by dictionaries, not ids; {REMEDY}.")
            if _is_packed(message.metadata.to_pybytes()):
                raise CorpusError(f"{path} holds compressed batches, which are not read; {REMEDY}.")
            column = arrow.ipc.read_record_batch(message, schema).column(number)
            column.validate(full=True)  # offsets within the buffers
            yield column


def _parquet(arrow: Any, path: Path, key: str | None) -> Iterator[Any]:
    """Batches of a Parquet file, as long as they are not far more than the file. (What the footer
    says of each column stays unasked: pyarrow aborts where that is damaged.)"""
    table = optional("pyarrow.parquet", "arrow", f"the table {path}", CorpusError)
    with table.ParquetFile(path) as file:
        name, about = _chosen(path, file.schema_arrow.names, key), file.metadata
        said = sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups))
        refuse_unpacked(path, said, REMEDY)
        unpacked = 0
        for batch in file.iter_batches(ROWS, columns=[name]):
            unpacked += batch.nbytes
            refuse_unpacked(path, unpacked, REMEDY)
            yield batch.column(0)


def _is_packed(message: bytes) -> bool:
    """Whether the flat buffer of a record batch has a field `compression`; all in its own words:
    the message's field 2 is its header, whose field 3 that is."""

    def field(table: int, number: int) -> int:
        fields = table - struct.unpack_from("<i", message, table)[0]
        size, place = struct.unpack_from("<H", message, fields)[0], 4 + 2 * number
        return struct.unpack_from("<H", message, fields + place)[0] if place < size else 0

    root = struct.unpack_from("<I", message, 0)[0]
    header = root + field(root, 2)
    return field(header + struct.unpack_from("<I", message, header)[0], 3) != 0


def _chosen(path: Path, names: list[str], key: str | None) -> str:
    shown = ", ".join(name[:40] for name in names[:8]) + (", ..." if len(names) > 8 else "")
    if key is None and len(names) != 1:
        raise CorpusError(f"{path} has the columns {shown}; name the one to read as `key`.")
    if key is not None and names.count(key) != 1:
        raise CorpusError(f"{path} has no column `{key}`; it has {shown}.")
    return names[0] if key is None else key


def _numbered(name: str) -> tuple[str, list[int]]:
    """A name without its numbers, and these."""
    return re.sub(r"\d+", "", name), [int(part) for part in re.findall(r"\d+", name)]


def _one_table(folder: Path, names: list[str]) -> list[str]:
    stems = sorted({_numbered(name)[0] for name in names})
    if len(stems) > 1:
        raise CorpusError(
            f"{folder} holds files of several tables, such as {names[0]} and {names[-1]}; put "
            "those of one into a folder of their own, or give one file."
        )
    for whole in set(PART.findall(" ".join(names))):
        if int(whole) != len(names):
            raise CorpusError(f"{folder} has {len(names)} of the {int(whole)} parts of its table.")
    return names


def _saved(folder: Path) -> list[str]:
    """File names of state.json, as `save_to_disk` writes it."""
    with file_refusals(), open_file(folder / "state.json") as file:
        content = file.read(STATE)
    try:
        state = json.loads(content)
        names = [entry["filename"] for entry in state["_data_files"]]
        chosen = any(state.get(name) for name in ("_indices_data_files", "_indices_files"))
        plain = names and all(name == Path(name).name for name in names)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{folder}/state.json names no data files: {in_short(error)}.") from error
    if chosen or not plain:
        raise CorpusError(
            f"{folder}/state.json chooses rows, or files elsewhere; save it by "
            "`ds.flatten_indices().save_to_disk(...)`."
        )
    return names

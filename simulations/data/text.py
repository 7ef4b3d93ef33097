"""Lines of .txt and .jsonl and items of .json as items: texts, which a codec reads, or lists of
token ids; also packed by gzip."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from models.released.files.torch_archive import open_file
from simulations.data.arrays import checked_tokens
from simulations.data.codec import Codec
from simulations.data.corpora import CorpusError, decoded, file_refusals, in_short
from simulations.data.packing import Items, Packing
from simulations.data.unpacked import refuse_unpacked

LINE = 1 << 24  # bytes of a line of JSON
ARRAY = 1 << 26  # bytes of a JSON array, which is held as Python objects
UNPACK = "unpack it by gunzip and give what comes"
PLACE = "place {column}"  # of a bad token in a line
JOINED = 4096  # items put together at a time
MOST_UNKNOWN = 0.1  # share of a text that its vocabulary may not know

# Where it stands, in words; what it is; line breaks left out before.
Piece = tuple[str, Any, int]


def text_items(
    path: Path, codec: Codec, packing: Packing, vocab_size: int, packed: bool = False
) -> Items:
    """The lines of a UTF-8 text, each an item; empty ones are none.

    Wrapped without a separator, a line keeps its line break where the vocabulary has one, so that
    windows are cut from the text as it stands. Raises CorpusError with the line, or the byte of
    what is not UTF-8.
    """
    joined = packing.pack == "wrap" and packing.separator is None
    breaks = codec.newline and joined

    def pieces() -> Iterator[Piece]:
        left_out = 0
        for number, raw, start in _lines(path, codec.line_limit, packed):
            line = decoded(raw, f"{path}", start)
            if "\x00" in line:
                raise CorpusError(
                    f"{path} holds a zero byte in line {number}, so it is no text in UTF-8. "
                    "Convert it, for example with `iconv -t utf-8`."
                )
            kept = line.replace("\r\n", "\n") if breaks else line.rstrip("\r\n")
            left_out += joined and not breaks and line.endswith("\n")
            if kept:
                yield f"{path}, line {number},", kept, left_out
                left_out = 0

    return gathered(path, pieces(), codec, vocab_size)


def json_items(
    path: Path,
    codec: Codec | None,
    key: str | None,
    vocab_size: int,
    packed: bool = False,
    one_value: bool = False,
) -> Items:
    """The lines of a .jsonl, each an item: a list of ids, or a text, which needs a codec; with
    `one_value`, of a .json, the items of one JSON array where it is no file of lines.

    A line is the item itself or an object with it under `key`, which may be left out where the
    object has one field. Raises CorpusError with the line or item.
    """
    values = _json_lines(path, packed)
    if one_value and (found := _json_array(path, packed)) is not None:
        values = ((f"{path}, item {number},", value) for number, value in enumerate(found, 1))
    pieces = ((what, _field(what, value, key), 0) for what, value in values)
    return gathered(path, pieces, codec, vocab_size)


def gathered(path: Path, pieces: Iterable[Piece], codec: Codec | None, vocab_size: int) -> Items:
    """Texts and lists of ids, one after the other, as the items of a file.

    How texts were read is said with the share that the vocabulary does not know. Raises CorpusError
    where that is more than a tenth: what is unknown is all one token, easy to restore and to
    predict whatever the text was, so that every measure would be of it and not of the text.
    """
    found: list[NDArray[Any]] = []
    lengths, cut, unknown, n, breaks = array("q"), 0, 0, 0, 0
    for what, value, left_out in pieces:
        breaks += left_out
        if isinstance(value, str):
            if codec is None:
                raise CorpusError(f"{what} holds text; give `tokenizer` or `vocab` to read it.")
            try:
                encoded = codec.encode(value)
            except CorpusError as error:
                raise CorpusError(f"{what.removesuffix(',')}: {error}") from error
            ids, cut = encoded.ids, cut + encoded.cut
            unknown, n, breaks = unknown + encoded.unknown, n + encoded.n, breaks + encoded.breaks
        elif isinstance(value, list) and set(map(type, value)) <= {int, float}:
            ids = _numbers(what, value, vocab_size)
        else:
            remedy = ""
            if isinstance(value, list) and path.suffix == ".jsonl":
                remedy = "; a file that is one JSON array is named .json"
            raise CorpusError(
                f"{what} must hold a list of token ids or a text; it has {_seen(value)}{remedy}."
            )
        found.append(checked_tokens(ids[None], vocab_size, what, PLACE) if ids.size else ids)
        lengths.append(len(ids))
        if len(lengths) % JOINED == 0:  # an array of its own takes far more than a short line
            found[-JOINED:] = [np.concatenate(found[-JOINED:])]
    if not found:
        raise CorpusError(f"{path} is empty: it has no line with text or tokens in it.")
    items = Items(np.concatenate(found), np.array(lengths, np.int64), cut)
    if codec is None or not n:
        return items
    share = unknown / n
    said = f"{unknown} of {n} {codec.unknown} ({share:.2%}), {breaks} line breaks left out"
    if share > MOST_UNKNOWN:
        raise CorpusError(
            f"{path}, {codec.sentence}, has {unknown} of {n} {codec.unknown}, {share:.0%}; more "
            f"than {MOST_UNKNOWN:.0%} are refused, as what is unknown is all one token, easy to "
            "restore whatever the text is. Take the network's own vocabulary, or give token ids, "
            "as .npy, if it was trained on such text."
        )
    return items._replace(read_as=f"{codec.sentence}; {said}", unknown=share)


def _json_lines(path: Path, packed: bool) -> Iterator[tuple[str, Any]]:
    for number, raw, start in _lines(path, LINE, packed):
        line = decoded(raw, f"{path}", start)
        if line.strip():
            what = f"{path}, line {number},"
            yield what, _json(what, line)


def _json(what: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = f"{error.msg} at character {error.pos}"
        raise CorpusError(f"{what} is no JSON that can be read: {at}.") from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{what} is no JSON that can be read: {error}.") from error


def _json_array(path: Path, packed: bool) -> list[Any] | None:
    """The items of a file that is one JSON value; None for one of JSON lines, whose first line is
    whole and not the last."""
    lines = (raw for _, raw, _ in _lines(path, ARRAY, packed))
    first = next((raw for raw in lines if raw.strip()), b"")
    try:
        json.loads(first)
        alone = not any(raw.strip() for raw in lines)
    except (ValueError, RecursionError):
        alone = True
    finally:
        lines.close()
    if not alone or not first:
        return None
    with _opened(path, packed) as file:
        content = file.read(ARRAY + 1)
    if len(content) > ARRAY:
        raise CorpusError(
            f"{path} is a JSON array of more than {ARRAY >> 20} MiB; write one list a line."
        )
    value = _json(f"{path}", decoded(content, f"{path}", encoding="utf-8-sig"))
    if isinstance(value, list) and value and all(isinstance(v, (list, str, dict)) for v in value):
        return value
    return [value]


def _field(what: str, value: Any, key: str | None) -> Any:
    if not isinstance(value, dict):
        if key is not None:
            raise CorpusError(f"{what} is no object with a field `{key}`, but {_seen(value)}.")
        return value
    fields = ", ".join(name[:40] for name in list(value)[:8])
    if key is None and len(value) != 1:
        raise CorpusError(f"{what} has the fields {fields}; name the one to read as `key`.")
    if key is not None and key not in value:
        raise CorpusError(f"{what} has no field `{key}`; it has {fields}.")
    return next(iter(value.values())) if key is None else value[key]


def _numbers(what: str, value: list[Any], vocab_size: int) -> NDArray[Any]:
    try:
        return np.array(value, np.float64 if float in set(map(type, value)) else np.int64)
    except OverflowError as error:
        raise CorpusError(
            f"{what} holds {max(value, key=abs)}; allowed are the integers 0 to {vocab_size - 1}."
        ) from error


def _seen(value: Any) -> str:
    return f"{type(value).__name__} {json.dumps(value)[:60]}"


@contextmanager
def _opened(path: Path, packed: bool) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked as they are read."""
    with file_refusals(), open_file(path) as file:
        if packed and file.read(2) == b"\x1f\x8b" and path.stat().st_size > 4:
            file.seek(-4, os.SEEK_END)  # what gzip says, up to 4 GiB, of its last part
            refuse_unpacked(path, int.from_bytes(file.read(4), "little"), UNPACK)
        file.seek(0)
        try:
            yield cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CorpusError(
                f"{path} is damaged or not packed by gzip: {in_short(error).rstrip('.')}."
            ) from error


def _lines(path: Path, limit: int | None, packed: bool) -> Iterator[tuple[int, bytes, int]]:
    """Number, bytes and first byte of each line."""
    limit = LINE if packed and limit is None else limit
    with _opened(path, packed) as file:
        start = 3 if file.read(3) == b"\xef\xbb\xbf" else 0  # a byte order mark
        file.seek(start)
        number = 0
        while raw := file.readline(-1 if limit is None else limit + 1):
            number += 1
            if limit is not None and len(raw) > limit:
                raise CorpusError(
                    f"{path}, line {number}, is longer than {limit >> 20} MiB; write one text or "
                    "list a line."
                )
            yield number, raw, start
            start += len(raw)
            if packed:
                refuse_unpacked(path, start, UNPACK)

"""Lines of .txt and .jsonl as items: texts, which a codec reads, or lists of token ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.released.files.torch_archive import open_file
from simulations.data.arrays import checked_tokens
from simulations.data.codec import Codec, Ids
from simulations.data.corpora import CorpusError, decoded, file_refusals
from simulations.data.packing import Items, Packing

LINE = 1 << 24  # bytes of a line of JSON
PLACE = "place {column}"  # of a bad token in a line


def text_items(path: Path, codec: Codec, packing: Packing, vocab_size: int) -> Items:
    """The lines of a UTF-8 text, each an item; empty ones are none.

    Wrapped without a separator, a line keeps its line break where the vocabulary has one, so that
    windows are cut from the text as it stands. Raises CorpusError with the line, or the byte of
    what is not UTF-8.
    """
    breaks = codec.newline and packing.pack == "wrap" and packing.separator is None
    found, cut = [], 0
    for number, raw, start in _lines(path, codec.line_limit):
        line = decoded(raw, f"{path}", start)
        if "\x00" in line:
            raise CorpusError(
                f"{path} holds a zero byte in line {number}, so it is no text in UTF-8. Convert "
                "it, for example with `iconv -t utf-8`."
            )
        line = line.replace("\r\n", "\n") if breaks else line.rstrip("\r\n")
        if line:
            ids, short = _encoded(path, number, codec, line)
            found.append(checked_tokens(ids[None], vocab_size, f"{path}, line {number},", PLACE))
            cut += short
    return _joined(path, found, cut)


def json_items(path: Path, codec: Codec | None, key: str | None, vocab_size: int) -> Items:
    """The lines of a .jsonl, each an item: a list of ids, or a text, which needs a codec.

    A line is the item itself or an object with it under `key`, which may be left out where the
    object has one field. Raises CorpusError with the line.
    """
    found, cut = [], 0
    for number, raw, start in _lines(path, LINE):
        line = decoded(raw, f"{path}", start)
        if not line.strip():
            continue
        what = f"{path}, line {number},"
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            at = f"{error.msg} at character {error.pos}"
            raise CorpusError(f"{what} is no JSON that can be read: {at}.") from error
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{what} is no JSON that can be read: {error}.") from error
        value = _field(what, value, key)
        short = False
        if isinstance(value, str):
            if codec is None:
                raise CorpusError(f"{what} holds text; give `tokenizer` or `vocab` to read it.")
            ids, short = _encoded(path, number, codec, value)
        elif isinstance(value, list) and set(map(type, value)) <= {int, float}:
            ids = _numbers(what, value, vocab_size)
        else:
            raise CorpusError(
                f"{what} must hold a list of token ids or a text; it has {_seen(value)}."
            )
        found.append(checked_tokens(ids[None], vocab_size, what, PLACE) if ids.size else ids)
        cut += short
    return _joined(path, found, cut)


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


def _encoded(path: Path, number: int, codec: Codec, text: str) -> tuple[Ids, bool]:
    try:
        return codec.encode(text)
    except CorpusError as error:
        raise CorpusError(f"{path}, line {number}: {error}") from error


def _lines(path: Path, limit: int | None) -> Iterator[tuple[int, bytes, int]]:
    """Number, bytes and first byte of each line."""
    with file_refusals(), open_file(path) as file:
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


def _joined(path: Path, found: list[NDArray[Any]], cut: int) -> Items:
    if not found:
        raise CorpusError(f"{path} is empty: it has no line with text or tokens in it.")
    lengths = np.array([len(ids) for ids in found], np.int64)
    return Items(np.concatenate(found), lengths, cut)

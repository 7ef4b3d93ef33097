"""Text to token ids and back, by a vocabulary of characters or words, or by a tokenizer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.extras import optional
from models.released.files.torch_archive import open_file
from models.tokens import token_dtype
from simulations.data.corpora import CorpusError, file_refusals, in_short
from simulations.data.packing import Packing

LINE = 1 << 24  # bytes of a line for a tokenizer
VOCABULARY = 1 << 28  # bytes of a vocabulary or tokenizer file
PIECE = 1 << 22  # characters looked up at a time
UNKNOWN = ("[UNK]", "<unk>", "<UNK>", "[unk]")
SPECIAL = re.compile(r"\[.+\]|<.+>")

Ids = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Codec:
    """Text to token ids and back.

    encode: ids of one text, and whether they were cut to the length of a sequence. sentence: how
    it reads text. newline: whether a line break has a token. line_limit: bytes of a line that it
    takes, None for any number.
    """

    encode: Callable[[str], tuple[Ids, bool]]
    decode: Callable[[Any], str]
    sentence: str
    newline: bool = False
    line_limit: int | None = None


def ids_as_text(row: Any) -> str:
    """Token ids as they are, for sequences without a vocabulary."""
    return " ".join(str(int(token)) for token in row)


def vocabulary_codec(path: Path, vocab_size: int) -> Codec:
    """The codec of a JSON file, a map from tokens to ids or a list of tokens.

    It reads characters where every token is one character, else words between white space; tokens
    in brackets such as [UNK] or <s> are not counted in this. Text outside of the vocabulary is
    token [UNK] or <unk> where there is one, and refused where there is none.
    """
    table = _table(path, vocab_size)
    unknown = next((table[name] for name in UNKNOWN if name in table), None)
    plain = [token for token in table if not SPECIAL.fullmatch(token)]
    characters = bool(plain) and all(len(token) == 1 for token in plain)
    names = {number: token for token, number in table.items()}
    unit = "characters" if characters else "words between white space"
    sentence = f"read as {unit} of {path.name}"
    sentence += "" if unknown is None else f", others as token {unknown}"

    def decode(row: Any) -> str:
        return ("" if characters else " ").join(names.get(int(i), f"<{int(i)}>") for i in row)

    ids_of = (_characters if characters else _words)(table, unknown, path)
    newline = characters and "\n" in table
    return Codec(lambda text: (ids_of(text), False), decode, sentence, newline)


def _table(path: Path, vocab_size: int) -> dict[str, int]:
    try:
        found = json.loads(_whole(path))
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"the vocabulary {path} is no JSON that can be read: {error}.") from error
    if isinstance(found, list) and _all(found, str):
        if len(set(found)) < len(found):
            raise CorpusError(f"the vocabulary {path} lists a token twice.")
        found = {token: number for number, token in enumerate(found)}
    if not isinstance(found, dict) or not found or not _all(found.values(), int):
        raise CorpusError(
            f"the vocabulary {path} must be a map from tokens to ids, or a list of tokens."
        )
    for token, number in found.items():
        if not 0 <= number < vocab_size:
            raise CorpusError(
                f"the vocabulary {path} gives {token[:40]!r} the id {number}; the network has 0 to "
                f"{vocab_size - 1} (vocab_size={vocab_size}), so it is not this network's."
            )
    if len(set(found.values())) < len(found):
        raise CorpusError(f"the vocabulary {path} gives two tokens one id.")
    return found


def _all(values: Any, kind: type) -> bool:
    return all(type(value) is kind for value in values)


def _whole(path: Path) -> bytes:
    with file_refusals(), open_file(path) as file:
        content = file.read(VOCABULARY + 1)
    if len(content) > VOCABULARY:
        raise CorpusError(f"{path} is larger than {VOCABULARY >> 20} MiB, too large to be one.")
    return content


def _missing(token: str, path: Path) -> CorpusError:
    code = f" (U+{ord(token):04X})" if len(token) == 1 else ""
    return CorpusError(
        f"{token[:40]!r}{code} is not in the vocabulary {path}, which has no [UNK] or <unk> "
        "either; add one, or take the text's own vocabulary."
    )


def _characters(table: dict[str, int], unknown: int | None, path: Path) -> Callable[[str], Ids]:
    lookup = np.full(0x110000, -1 if unknown is None else unknown, np.int32)
    for token, number in table.items():
        if len(token) == 1:
            lookup[ord(token)] = number
    dtype = token_dtype(max(table.values()) + 1)

    def encode(text: str) -> Ids:
        ids = np.empty(len(text), dtype)
        for first in range(0, len(text), PIECE):
            piece = text[first : first + PIECE]
            found = lookup[np.frombuffer(piece.encode("utf-32-le"), np.uint32)]
            if found.min(initial=0) < 0:
                raise _missing(piece[int(np.argmin(found))], path)
            ids[first : first + len(piece)] = found
        return ids

    return encode


def _words(table: dict[str, int], unknown: int | None, path: Path) -> Callable[[str], Ids]:
    dtype = token_dtype(max(table.values()) + 1)

    def encode(text: str) -> Ids:
        words = text.split()
        ids = [table.get(word, unknown) for word in words]
        if None in ids:
            raise _missing(words[ids.index(None)], path)
        return np.array(ids, dtype)

    return encode


def tokenizer_codec(path: Path, vocab_size: int, packing: Packing, seq_len: int | None) -> Codec:
    """The codec of a `tokenizer.json`, by the library tokenizers (extra `text`).

    Special tokens are added as the file says, except in wrap, where `separator` and `frame` are
    what stands between texts. Cut and pad leave cutting to the tokenizer, which keeps its last
    special token.
    """
    library = optional("tokenizers", "text", f"the tokenizer {path}", CorpusError)
    content = _whole(path)
    try:
        tokenizer = library.Tokenizer.from_str(content.decode())
        size = int(tokenizer.get_vocab_size())
    except Exception as error:  # that library raises nothing more special
        words = f"{path} holds no tokenizer that can be read: {in_short(error)}."
        raise CorpusError(words) from error
    if size > vocab_size:
        raise CorpusError(
            f"the tokenizer {path} has {size} tokens and the network {vocab_size}; it is not this "
            "network's."
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    special = packing.pack != "wrap"
    if packing.pack in ("cut", "pad") and seq_len is not None:
        if seq_len <= (added := int(tokenizer.num_special_tokens_to_add(False))):
            raise CorpusError(
                f"the tokenizer {path} adds {added} special tokens to a text, which leave no room "
                f"in sequences of {seq_len}."
            )
        tokenizer.enable_truncation(seq_len)

    def encode(text: str) -> tuple[Ids, bool]:
        try:
            encoding = tokenizer.encode(text, add_special_tokens=special)
        except Exception as error:
            raise CorpusError(f"the tokenizer {path} fails on it: {in_short(error)}.") from error
        return np.array(encoding.ids, np.int64), bool(encoding.overflowing)

    def decode(row: Any) -> str:
        return str(tokenizer.decode([int(i) for i in row], skip_special_tokens=False))

    sentence = f"read by {path.name}, special tokens " + ("added" if special else "left out")
    return Codec(encode, decode, sentence, line_limit=LINE)

"""The codec of a vocabulary: a JSON file that names tokens, which are characters or words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.tokens import token_dtype
from simulations.data.codec import ANY, Codec, Encoded, parsed, whole
from simulations.data.corpora import CorpusError

PIECE = 1 << 22  # characters looked up at a time
UNKNOWN = ("[UNK]", "<unk>", "<UNK>", "[unk]")
SPECIAL = re.compile(r"\[.+\]|<.+>")
# What tokens that are parts of words are marked by, and who does it.
MARKS = {
    "word pieces": re.compile(r"##.+", re.DOTALL),
    "byte-level BPE": re.compile(r"[\u0120\u010a].+", re.DOTALL),
    "sentencepiece": re.compile(r"\u2581.+", re.DOTALL),
    "BPE": re.compile(r".+(</w>|@@)", re.DOTALL),
}
# Fields of a JSON object that hold a vocabulary, as programs that train on characters write it.
FIELDS = ("stoi", "char_to_id", "token_to_id", "vocab", "itos", "id_to_char", "id_to_token")
NUMBER = re.compile(r"[0-9]{1,9}").fullmatch


def vocabulary_codec(path: Path, vocab_size: int) -> Codec:
    """The codec of a JSON file: a map from tokens to ids or back, a list of tokens, or an object
    that has one of these as `stoi`, `itos`, `id_to_char`, `char_to_id` or the like.

    It reads characters where every token is one character, else words between white space; tokens
    in brackets such as [UNK] or <s> are not counted in this, and may have ids that the network
    lacks. Text outside of the vocabulary is token [UNK] or <unk> where there is one, and refused
    where there is none. Several tokens may share an id, which is then shown as the first of them.
    A vocabulary of parts of words only shows ids: text is for its tokenizer, and refused.
    """
    table = _table(path, vocab_size)
    unknown = next((table[name] for name in UNKNOWN if name in table), None)
    plain = [token for token in table if not SPECIAL.fullmatch(token)]
    characters = bool(plain) and all(len(token) == 1 for token in plain)
    names: dict[int, str] = {}
    for token, number in table.items():
        names.setdefault(number, token)
    unit = "characters" if characters else "words between white space"
    sentence = f"read as {unit} of {path.name}"
    if shared := len(table) - len(names):
        sentence += f", {shared} of which share the id of another"
    sentence += "" if unknown is None else f", others as token {unknown}"

    def decode(row: Any) -> str:
        return ("" if characters else " ").join(names.get(int(i), f"<{int(i)}>") for i in row)

    encode = (_characters if characters else _words)(table, unknown, path)
    if refusal := _parts_of_words(path, plain):
        encode = refusal
    return Codec(encode, decode, sentence, characters and "\n" in table)


def _table(path: Path, vocab_size: int) -> dict[str, int]:
    found = _as_map(path, parsed(path, whole(path), "vocabulary"))
    for token, number in found.items():
        outside = number < 0 or (number >= vocab_size and not SPECIAL.fullmatch(token))
        if outside:
            raise CorpusError(
                f"the vocabulary {path} gives {token[:40]!r} the id {number}; the network has 0 to "
                f"{vocab_size - 1} (vocab_size={vocab_size}), so it is not this network's."
            )
    kept = {token: number for token, number in found.items() if number < vocab_size}
    if not kept:
        raise CorpusError(f"the vocabulary {path} has no token with an id below {vocab_size}.")
    return kept


def _as_map(path: Path, found: Any) -> dict[str, int]:
    """The map from tokens to ids that a JSON value is, or has."""
    if not isinstance(found, dict):
        return _plain_map(path, found)
    if isinstance(found.get("model"), dict):
        raise CorpusError(f"{path} is a tokenizer, not a vocabulary; give it as `tokenizer`.")
    fields = [name for name in FIELDS if isinstance(found.get(name), (dict, list))]
    maps = [_plain_map(path, found[name]) for name in fields]
    for name, other in zip(fields, maps, strict=True):
        if any(maps[0].get(token) != number for token, number in other.items()):
            raise CorpusError(f"the vocabulary {path} has a `{name}` unlike its `{fields[0]}`.")
    return maps[0] if maps else _plain_map(path, found)


def _plain_map(path: Path, found: Any) -> dict[str, int]:
    if isinstance(found, list) and _all(found, str):
        found = _by_id(path, [(token, number) for number, token in enumerate(found)])
    elif isinstance(found, dict) and _all(found.values(), str) and all(map(NUMBER, found)):
        found = _by_id(path, [(token, int(number)) for number, token in found.items()])
    if not isinstance(found, dict) or not found or not _all(found.values(), int):
        raise CorpusError(
            f"the vocabulary {path} must be a map from tokens to ids, or a list of tokens."
        )
    return found


def _by_id(path: Path, pairs: list[tuple[str, int]]) -> dict[str, int]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise CorpusError(f"the vocabulary {path} lists a token twice.")
    return found


def _parts_of_words(path: Path, tokens: list[str]) -> Callable[[str], Encoded] | None:
    """What refuses text, where tokens have the marks of parts of words."""
    for kind, mark in MARKS.items():
        token = next(filter(mark.fullmatch, tokens), None)
        if token is None:
            continue

        def encode(text: str, token: str = token, kind: str = kind) -> Encoded:
            raise CorpusError(
                f"the vocabulary {path} has parts of words, such as {token[:40]!r} of {kind}, and "
                "words between white space are other tokens; give `tokenizer`, saved by "
                f"`{ANY.format(name='NAME')}`."
            )

        return encode
    return None


def _all(values: Any, kind: type) -> bool:
    return all(type(value) is kind for value in values)


def _missing(token: str, path: Path) -> CorpusError:
    code = f" (U+{ord(token):04X})" if len(token) == 1 else ""
    return CorpusError(
        f"{token[:40]!r}{code} is not in the vocabulary {path}, which has no [UNK] or <unk> "
        "either; add one, or take the text's own vocabulary."
    )


def _characters(table: dict[str, int], unknown: int | None, path: Path) -> Callable[[str], Encoded]:
    lookup = np.full(0x110000, -1, np.int32)
    for token, number in table.items():
        if len(token) == 1:
            lookup[ord(token)] = number
    dtype = token_dtype(max(table.values()) + 1)

    def encode(text: str) -> Encoded:
        ids, lost = np.empty(len(text), dtype), 0
        for first in range(0, len(text), PIECE):
            piece = text[first : first + PIECE]
            found = lookup[np.frombuffer(piece.encode("utf-32-le"), np.uint32)]
            missing = found < 0
            if missing.any():
                if unknown is None:
                    raise _missing(piece[int(np.argmax(missing))], path)
                found[missing] = unknown
                lost += int(missing.sum())
            ids[first : first + len(piece)] = found
        return Encoded(ids, False, lost, len(text))

    return encode


def _words(table: dict[str, int], unknown: int | None, path: Path) -> Callable[[str], Encoded]:
    dtype = token_dtype(max(table.values()) + 1)

    def encode(text: str) -> Encoded:
        words = text.split()
        missing = [word for word in words if word not in table]
        if missing and unknown is None:
            raise _missing(missing[0], path)
        ids = np.array([table.get(word, unknown) for word in words], dtype)
        return Encoded(ids, False, len(missing), len(words), text.count("\n"))

    return encode

"""The codec of a `tokenizer.json`, which decides what a token is, by the library tokenizers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from models.extras import optional
from simulations.data.codec import ANY, BYTE_PAIRS, WORD_PIECES, Codec, Encoded, parsed, whole
from simulations.data.corpora import CorpusError, in_short
from simulations.data.packing import Packing

LINE = 1 << 24  # bytes of a line for a tokenizer


def tokenizer_codec(path: Path, vocab_size: int, packing: Packing, seq_len: int | None) -> Codec:
    """The codec of a `tokenizer.json`, or of a folder that has one (extra `text`).

    Special tokens are added as the file says, except in wrap, where `separator` and `frame` are
    what stands between texts. Cut and pad leave cutting to the tokenizer, which keeps its last
    special token. Tokens that were added beyond the network's are allowed as long as none occurs.
    """
    path = _file(path)
    library = optional("tokenizers", "text", f"the tokenizer {path}", CorpusError)
    content = whole(path)
    setup = parsed(path, content, "tokenizer")
    if not isinstance(setup, dict) or not isinstance(setup.get("model"), dict):
        raise CorpusError(f"{path} holds no tokenizer: {_what_it_is(path, setup)}.")
    try:
        tokenizer = library.Tokenizer.from_str(content.decode())
        size = int(tokenizer.get_vocab_size(with_added_tokens=False))
        beyond = int(tokenizer.get_vocab_size()) - vocab_size
        unknown = _unknown(setup["model"], tokenizer)
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
    added = int(tokenizer.num_special_tokens_to_add(False)) if special else 0
    if packing.pack in ("cut", "pad") and seq_len is not None:
        if seq_len <= added:
            raise CorpusError(
                f"the tokenizer {path} adds {added} special tokens to a text, which leave no room "
                f"in sequences of {seq_len}."
            )
        tokenizer.enable_truncation(seq_len)
    newline = _has_line_breaks(tokenizer, unknown)
    loses = unknown is None and setup["model"].get("type") == "BPE"

    def encode(text: str) -> Encoded:
        try:
            encoding = tokenizer.encode(text, add_special_tokens=special)
        except Exception as error:
            raise CorpusError(f"the tokenizer {path} fails on it: {in_short(error)}.") from error
        ids, breaks = np.array(encoding.ids, np.int64), 0 if newline else text.count("\n")
        parts = [encoding, *encoding.overflowing]
        if loses:  # a BPE without an unknown token leaves out what it does not know
            lost, n = _lost(text, [span for part in parts for span in part.offsets])
        else:
            lost, n = int((ids == unknown).sum()), len(ids) - added
        return Encoded(ids, bool(encoding.overflowing), lost, n, breaks)

    def decode(row: Any) -> str:
        return str(tokenizer.decode([int(i) for i in row], skip_special_tokens=False))

    sentence = f"read by {path.name}, special tokens " + ("added" if special else "left out")
    if beyond > 0:
        sentence += f", {beyond} added tokens beyond the network's unused"
    what = "characters without a token" if loses else "tokens unknown"
    return Codec(encode, decode, sentence, newline, LINE, what)


def _file(path: Path) -> Path:
    """The tokenizer.json that is given, or that is in the folder that is given."""
    if not path.exists() and path.suffix not in (".json", ".txt", ".model"):
        raise CorpusError(
            f"the tokenizer {path} cannot be read: there is no such file or folder here. One of a "
            f"hub is saved first, by `{ANY.format(name=str(path))}`; then give that folder."
        )
    if not path.is_dir():
        return path
    file = path / "tokenizer.json"
    if file.is_file():
        return file
    names = sorted(os.listdir(path))[:8]
    lines = {"merges.txt": BYTE_PAIRS, "vocab.txt": WORD_PIECES.format(name="vocab.txt")}
    line = next((line for name, line in lines.items() if name in names), None)
    raise CorpusError(
        f"the folder {path} has no tokenizer.json, but {', '.join(names) or 'no files'}; save one "
        f"by `{line or ANY.format(name=str(path))}`."
    )


def _what_it_is(path: Path, setup: Any) -> str:
    values = list(setup.values()) if isinstance(setup, dict) else setup
    if isinstance(values, list) and values and {type(value) for value in values} <= {int, str}:
        return "it seems to be a vocabulary; give it as `vocab`, or the tokenizer.json beside it"
    return f"a tokenizer.json has a `model`; save one by `{ANY.format(name=path.parent.name)}`"


def _unknown(model: dict[str, Any], tokenizer: Any) -> int | None:
    """The id of what the model does not know; None where nothing has it."""
    if "unk_id" in model:  # of a Unigram model
        return model["unk_id"] if isinstance(model["unk_id"], int) else None
    name = model.get("unk_token")
    return tokenizer.token_to_id(name) if isinstance(name, str) and name else None


def _has_line_breaks(tokenizer: Any, unknown: int | None) -> bool:
    """Whether a line break becomes a token that it has, rather than a space or nothing."""

    def ids(text: str) -> list[int]:
        try:
            return list(tokenizer.encode(text, add_special_tokens=False).ids)
        except Exception:  # of a model that has no token for these letters
            return []

    inside, last = ids("a\nb"), ids("a\n")
    dropped = inside in (ids("a b"), ids("ab")) or last in (ids("a "), ids("a"))
    known = unknown is None or inside.count(unknown) <= ids("a b").count(unknown)
    return known and not dropped


def _lost(text: str, spans: list[tuple[int, int]]) -> tuple[int, int]:
    """How many characters no token stands for, of how many; white space is not counted."""
    depth = np.zeros(len(text) + 1, np.int64)
    found = np.array(spans, np.int64).reshape(-1, 2)
    np.add.at(depth, found[:, 0], 1)
    np.add.at(depth, found[:, 1], -1)
    ink = np.array([not letter.isspace() for letter in text], bool)
    return int((ink & (np.cumsum(depth)[:-1] <= 0)).sum()), int(ink.sum())

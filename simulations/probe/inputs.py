"""The sequences that a probe is given, and what a reader should know of them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simulations.data.codec import ids_as_text
from simulations.data.packing import Pack
from simulations.data.padding import filled_ends
from simulations.data.raw import RawType
from simulations.data.sequences import Sequences, overlap, read_sequences

NAMELESS = (".npy", ".bin", ".txt")  # files of one thing, which has no name
UNKNOWN = 0.01  # share of unknown tokens from which a note says it
_COUNT = re.compile(r"\d+")  # how many items a file has says nothing of how they were packed


@dataclass(frozen=True)
class DataOptions:
    """How sequences are read from files.

    Args:
        tokenizer: tokenizer.json, or its folder, for text, and to show ids as text.
        vocab: JSON map from tokens to ids, or a list of tokens, in place of a tokenizer.
        pack: exact (every item has the length), cut, pad or wrap.
        pad_token: token that fills up shorter items, with pack pad.
        separator: token after each item, with pack wrap.
        frame: first and last token of every window, with pack wrap.
        key: name of the array in .npz and .safetensors, of the column in .arrow and .parquet, or
            of the field in .jsonl and .json.
        dtype: type of the numbers in a .bin without a header.
    """

    tokenizer: Path | None = None
    vocab: Path | None = None
    pack: Pack = "exact"
    pad_token: int | None = None
    separator: int | None = None
    frame: tuple[int, int] | None = None
    key: str | None = None
    dtype: RawType | None = None


def read_both(
    test_file: Path,
    train_file: Path | None,
    seq_len: int | None,
    vocab_size: int,
    options: DataOptions,
) -> tuple[Sequences, Sequences | None]:
    """Test and training sequences of one length. Raises CorpusError or ValueError, one sentence."""
    settings: dict[str, Any] = vars(options) | {"seq_len": seq_len, "vocab_size": vocab_size}
    files = [test_file] if train_file is None else [test_file, train_file]
    test, *rest = (
        read_sequences(file, **(settings | _own(options, file, files))) for file in files
    )
    if not rest:
        return test, None
    train = rest[0]
    if train.tokens.shape[1] != test.tokens.shape[1]:
        raise ValueError(
            f"{train.source} has sequences of {train.tokens.shape[1]} tokens and {test.source} of "
            f"{test.tokens.shape[1]}; give the length by --seq-len, and --pack."
        )
    return test, train


def _own(options: DataOptions, file: Path, files: list[Path]) -> dict[str, Any]:
    """`key` and `dtype` for a file of a kind that has them, where the kinds of files differ: what
    fits none is left to be refused."""
    kinds = {each: Path(f"{each}".lower().removesuffix(".gz")).suffix for each in files}
    found: dict[str, Any] = {"key": options.key, "dtype": options.dtype}
    for name, fitting in (
        ("key", {each for each in files if kinds[each] not in NAMELESS}),
        ("dtype", {each for each in files if kinds[each] == ".bin"}),
    ):
        if fitting and file not in fitting:
            found[name] = None
    return found


def without_mask_id(data: Sequences, mask_id: int) -> Sequences:
    """Sequences in ids that do not count the mask: higher ones move down by one.

    Raises ValueError where the mask is among the tokens, which are to be clean.
    """
    if np.any(data.tokens == mask_id):
        raise ValueError(
            f"{data.source} holds the network's mask, id {mask_id}; sequences must be clean text."
        )
    tokens = np.where(data.tokens > mask_id, data.tokens - 1, data.tokens)

    def decode(ids: Any) -> Any:
        given = np.asarray(ids)
        return data.decode(np.where(given >= mask_id, given + 1, given))

    return replace(data, tokens=tokens.astype(data.tokens.dtype), decode=decode)


def as_sequences(given: Any, name: str) -> Sequences | None:
    """An array as Sequences; what is already is stays so."""
    if given is None or isinstance(given, Sequences):
        return given
    tokens = np.asarray(given)
    if tokens.ndim != 2 or tokens.dtype.kind not in "ui" or not tokens.size:
        raise ValueError(
            f"`{name}` must be integers (n, L), at least one sequence; got {tokens.dtype} of shape "
            f"{tokens.shape}."
        )
    content = np.ascontiguousarray(tokens, np.int64).tobytes()
    checksum, source = hashlib.sha256(content).hexdigest(), Path(f"array {name}")
    n = len(tokens)
    return Sequences(tokens, "Given as an array.", source, checksum, ids_as_text, n, 0, 0, 0)


def warnings_of(test: Sequences | None, train: Sequences | None, notes: str) -> list[str]:
    """What a reader should know of the data before any number; one empty text where that is
    nothing, as a file cannot hold an empty list."""
    found = [note for note in notes.split("\n") if note]
    for name, data in (("test", test), ("training", train)):
        if data is None:
            continue
        n = len(data.tokens)
        if data.n_distinct < n:
            found.append(f"Repeats among the {n} {name} sequences: {n - data.n_distinct}.")
        filled = None if data.n_padded else filled_ends(data.tokens)
        if filled:
            found.append(
                f"Token {filled.token} fills the {filled.end} of {filled.n_rows} of the {n} "
                f"{name} sequences, {filled.share:.0%} of all tokens: where it is padding, which "
                "is easy to restore, the numbers are of it. Leave such sequences out, or join "
                "them by wrap."
            )
        if data.unknown > UNKNOWN:
            found.append(
                f"{data.unknown:.1%} of the {name} text is unknown to its vocabulary, and all one "
                "token, which is easy to restore."
            )
    if train is not None and test is not None:
        shared = overlap(train, test)
        if shared:
            found.append(
                f"{shared} of the {len(test.tokens)} test sequences are in the training file too: "
                "they are not held out, and M is too small for it."
            )
        ways = [_COUNT.sub("", data.packing) for data in (train, test)]
        if ways[0] != ways[1]:
            found.append(
                "training and test sequences were packed differently, which alone changes "
                f"the numbers: {train.packing} {test.packing}"
            )
    return found or [""]


def file_line(data: Sequences | None) -> str:
    return "" if data is None else f"{data.source.name}, sha256 {data.sha256}. {data.packing}"

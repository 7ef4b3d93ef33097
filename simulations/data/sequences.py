"""Token sequences that a network is probed with, from any file: what was read and what was done.

    .npy .npz .safetensors   token ids (n, L), or one stream (N,)
    .bin                     one stream, with the header of llm.c or of a type that is said
    .arrow .parquet          a column of lists of ids, of ids or of texts; also folders of them
    .jsonl                   a list of ids a line, or a text a line
    .json                    the same, or one array of such items
    .txt                     a text a line, by a vocabulary or a tokenizer

The last three may be packed (.jsonl.gz). Nothing in these files is executed. `read_sequences` gives
the sequences with the sentence on how they were packed; `overlap` counts those that a second file
shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.exact.mapped import check_file
from models.released.files.safe_tensors import sha256_of
from models.tokens import check_vocabulary, token_dtype
from simulations.data.arrays import array_items
from simulations.data.codec import Codec, ids_as_text
from simulations.data.corpora import CorpusError, file_refusals
from simulations.data.kinds import ARRAYS, TABLES, kind_of, refuse_pointer
from simulations.data.packing import Items, Pack, Packing, pack_items
from simulations.data.raw import RawType, raw_items
from simulations.data.tables import table_files, table_items
from simulations.data.text import json_items, text_items
from simulations.data.tokenizer import tokenizer_codec
from simulations.data.vocabulary import vocabulary_codec

MAPPED = 1 << 28  # bytes from which an array stays in its file
ROWS = 1 << 16  # sequences hashed at a time


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences of one length, and where they come from.

    tokens: (n, L) in the smallest unsigned type; of a .npy file from 256 MiB on, a read-only map of
        the file in its own type.
    packing: how the items of the file became sequences, and how text was read, in a sentence.
    source, sha256: the file and its checksum; of a folder, that of its files' checksums in order.
    decode: one sequence (L,) as text; without a vocabulary, its ids.
    n_read, n_dropped, n_cut, n_padded: items of the file, and what happened to them.
    unknown: share of the text that its vocabulary does not know; 0 for ids.
    """

    tokens: NDArray[np.integer]
    packing: str
    source: Path
    sha256: str
    decode: Callable[[Any], str]
    n_read: int
    n_dropped: int
    n_cut: int
    n_padded: int
    unknown: float = 0.0

    @cached_property
    def n_distinct(self) -> int:
        """How many sequences differ (by a 128-bit hash: 0.1 kB of memory each)."""
        seen = set()
        for row in _rows(self.tokens):
            seen.add(hashlib.blake2b(row, digest_size=16).digest())
        return len(seen)


def read_sequences(
    path: str | Path,
    *,
    seq_len: int | None,
    vocab_size: int,
    tokenizer: str | Path | None = None,
    vocab: str | Path | None = None,
    pack: Pack = "exact",
    pad_token: int | None = None,
    separator: int | None = None,
    frame: tuple[int, int] | None = None,
    key: str | None = None,
    dtype: RawType | None = None,
) -> Sequences:
    """Read the token sequences of a file.

    Parameters
    ----------
    path : a file of the kinds above, told apart by its ending, or a folder of Arrow or Parquet
        files (extra `arrow`), such as `save_to_disk` of the library datasets writes.
    seq_len, vocab_size : L and V of the network; None for a length that all items share.
    tokenizer : a `tokenizer.json` or a folder with one (extra `text`); vocab : a JSON map from
        tokens to ids, or list of tokens (see `vocabulary.vocabulary_codec`). Text needs one; with
        ids it only decodes. Text of which more than a tenth is unknown to it is refused.
    pack, pad_token, separator, frame : see `packing.Packing`. Wrapped with separator [SEP]
        and frame ([CLS], [SEP]), LM1B comes out as in Duo's code but for remainders, which that
        drops after every 1000 texts.
    key : name of the array in .npz and .safetensors, of the column in .arrow and .parquet, or of
        the field in .jsonl and .json; may be left out where there is one.
    dtype : type of the numbers in a .bin, which says nothing of it where it has no header.

    Raises CorpusError, one sentence, for a file that cannot be read, is damaged, holds other things
    than tokens of this vocabulary, or does not fit `seq_len` under `pack`; ValueError for a bad
    `vocab_size`.

    The file is read twice, once for its checksum. Memory: the tokens; text about five times.
    """
    file, vocab_size = Path(path), check_vocabulary(vocab_size)
    packing = Packing(pack, pad_token, separator, frame)
    packing.check(seq_len, vocab_size)
    kind, packed = (".parquet", False) if file.is_dir() else kind_of(file)
    if dtype is not None and kind != ".bin":
        raise CorpusError(f"`dtype` is for .bin, whose numbers have no other type; {file} is none.")
    files = table_files(file) if file.is_dir() else [file]
    with file_refusals():
        checksums = [sha256_of(part) for part in files]
    refuse_pointer(files[0])
    codec = _codec(tokenizer, vocab, vocab_size, packing, seq_len)
    if kind in ARRAYS:
        items = array_items(file, kind, key, vocab_size)
    elif kind in TABLES:
        items = table_items(file, files, key, codec, vocab_size)
    elif kind in (".jsonl", ".json"):
        items = json_items(file, codec, key, vocab_size, packed, kind == ".json")
    elif key is not None:
        raise CorpusError(f"{file} has no named parts; leave `key` out ({key!r}).")
    elif kind == ".bin":
        items = raw_items(file, dtype, vocab_size)
    elif codec is None:
        raise CorpusError(f"{file} holds text; give `tokenizer` or `vocab` to read it.")
    else:
        items = text_items(file, codec, packing, vocab_size, packed)
    try:
        done = pack_items(items, seq_len, packing)
    except CorpusError as error:
        raise CorpusError(f"{file}: {error}") from error
    return Sequences(
        tokens=_held(done.tokens, vocab_size),
        packing=_sentence(done.sentence, items),
        source=file,
        sha256=checksums[0] if file.is_file() else _of_all(checksums),
        decode=ids_as_text if codec is None else codec.decode,
        n_read=len(items.lengths),
        n_dropped=done.n_dropped,
        n_cut=done.n_cut,
        n_padded=done.n_padded,
        unknown=items.unknown,
    )


def overlap(train: Sequences, test: Sequences) -> int:
    """How many sequences of `test`, repeats included, also occur in `train`: exact.

    Raises CorpusError for sequences of different length. Memory: the sequences of `test`; those of
    `train` are read once, a mapped file from front to back.
    """
    lengths = [found.tokens.shape[1] for found in (train, test)]
    if lengths[0] != lengths[1]:
        raise CorpusError(
            f"{train.source} has sequences of {lengths[0]} tokens and {test.source} of "
            f"{lengths[1]}; they can only be compared at one length."
        )
    wanted = dict.fromkeys(_rows(test.tokens), False)
    for row in _rows(train.tokens):
        if row in wanted:
            wanted[row] = True
    return sum(wanted[row] for row in _rows(test.tokens))


def _rows(tokens: NDArray[np.integer]) -> Iterator[bytes]:
    """The sequences as bytes, alike for all integer types."""
    with file_refusals():
        check_file(tokens)
    width = 4 * tokens.shape[1]
    for first in range(0, len(tokens), ROWS):
        block = np.ascontiguousarray(tokens[first : first + ROWS], np.uint32).tobytes()
        for start in range(0, len(block), width):
            yield block[start : start + width]


def _held(tokens: NDArray[np.integer], vocab_size: int) -> NDArray[np.integer]:
    if not isinstance(tokens, np.memmap):
        return np.ascontiguousarray(tokens, token_dtype(vocab_size))
    return tokens if tokens.nbytes >= MAPPED else np.array(tokens, token_dtype(vocab_size))


def _sentence(packed: str, items: Items) -> str:
    read = f"; {items.read_as}" if items.read_as else ""
    return f"{packed[0].upper()}{packed[1:]}{read}."


def _of_all(checksums: list[str]) -> str:
    return hashlib.sha256("\n".join(checksums).encode()).hexdigest()


def _codec(
    tokenizer: str | Path | None,
    vocab: str | Path | None,
    vocab_size: int,
    packing: Packing,
    seq_len: int | None,
) -> Codec | None:
    if tokenizer is not None and vocab is not None:
        raise CorpusError("give `tokenizer` or `vocab`, not both.")
    if tokenizer is not None:
        return tokenizer_codec(Path(tokenizer), vocab_size, packing, seq_len)
    return None if vocab is None else vocabulary_codec(Path(vocab), vocab_size)

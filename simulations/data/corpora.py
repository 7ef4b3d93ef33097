"""Text to token windows: vocabulary, disjoint train and held-out parts, duplicates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.errors import CheckpointError
from models.exact.mapped import StoreFileError
from models.tokens import Tokens, token_dtype
from simulations.console.errors import UserError

HELD_OUT_SHARE = 0.1


class CorpusError(UserError, ValueError):
    """A text or array that cannot serve as a corpus; the message says why in a sentence."""


@contextmanager
def file_refusals() -> Iterator[None]:
    """Let what the readers of `models` have against a file be a CorpusError, in their words."""
    try:
        yield
    except (CheckpointError, StoreFileError) as error:
        raise CorpusError(str(error)) from error


@dataclass(frozen=True)
class TextCorpus:
    """Windows of a text as tokens.

    train (n, L) and held_out (m, L) come from disjoint parts of the file: the first 90 % and
    the last 10 %. `characters` names tokens 0 to V - 2; token V - 1 stands for all the rest.
    `duplicates_removed` counts held-out windows that also occur in the train part.
    """

    train: Tokens
    held_out: Tokens
    characters: str
    duplicates_removed: int
    rest_share: float


@dataclass(frozen=True)
class TextFile:
    """A text as it travels to workers, which need not see the file: its name and its bytes."""

    name: str
    raw: bytes

    @classmethod
    def read(cls, path: Path) -> Self:
        """The file at `path`; CorpusError where it cannot be read."""
        try:
            return cls(str(path), Path(path).read_bytes())
        except OSError as error:
            raise CorpusError(
                f"cannot read the text file {path}: {error.strerror}. Give --text an existing file."
            ) from error

    def decode(self) -> str:
        """The text of a UTF-8 file; CorpusError for anything else."""
        if not self.raw.strip():
            raise CorpusError(
                f"the text file {self.name} is empty. Give --text a file with text in it."
            )
        if b"\x00" in self.raw:
            raise CorpusError(
                f"{self.name} holds zero bytes, so it is binary data, not text. "
                "Give --text a UTF-8 text."
            )
        return decoded(self.raw, self.name, encoding="utf-8-sig")


def decoded(raw: bytes, name: str, start: int = 0, encoding: str = "utf-8") -> str:
    """Bytes of a file, from byte `start` on, as text. Raises CorpusError where they are not."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{name} is not UTF-8 (byte {start + error.start} is 0x{raw[error.start]:02x}). "
            "Convert it, for example with `iconv -t utf-8`."
        ) from error


def in_short(error: Exception) -> str:
    """What a library says, on one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]


def windows(tokens: NDArray[np.integer], seq_len: int) -> NDArray[np.integer]:
    """Non-overlapping windows (n, L) of a token stream; the remainder is dropped."""
    n = len(tokens) // seq_len
    return tokens[: n * seq_len].reshape(n, seq_len)


def text_corpus(file: TextFile, vocab_size: int, seq_len: int) -> TextCorpus:
    """Characters of a text as windows of length `seq_len`.

    The most frequent `vocab_size - 1` characters of the train part (ties by code point) get
    tokens 0 to V - 2 in code-point order, every other character gets V - 1.
    Held-out windows equal to a train window are removed and counted.
    """
    text = file.decode()
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    split = int(len(points) * (1 - HELD_OUT_SHARE))
    if split < seq_len or len(points) - split < seq_len:
        needed = int(np.ceil(seq_len / HELD_OUT_SHARE)) + 1
        raise CorpusError(
            f"{file.name} has {len(points)} characters; at least {needed} are needed "
            f"for one train and one held-out window of length {seq_len}."
        )
    values, counts = np.unique(points[:split], return_counts=True)
    frequent = np.sort(values[np.argsort(-counts, kind="stable")[: vocab_size - 1]])
    place = np.searchsorted(frequent, points)
    known = (place < len(frequent)) & (frequent[np.minimum(place, len(frequent) - 1)] == points)
    tokens = np.where(known, place, vocab_size - 1).astype(token_dtype(vocab_size))
    train, held_out = windows(tokens[:split], seq_len), windows(tokens[split:], seq_len)
    seen = {row.tobytes() for row in train}
    fresh = np.array([row.tobytes() not in seen for row in held_out], dtype=bool)
    if not fresh.any():
        raise CorpusError(
            f"every held-out window of {file.name} also occurs in its train part; the text repeats "
            "itself. Use longer windows (--seq-len) or another text."
        )
    return TextCorpus(
        train=np.ascontiguousarray(train),
        held_out=np.ascontiguousarray(held_out[fresh]),
        characters="".join(chr(c) for c in frequent),
        duplicates_removed=int((~fresh).sum()),
        rest_share=float(1 - known.mean()),
    )

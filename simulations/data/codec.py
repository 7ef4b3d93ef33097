"""Text to token ids and back: what a vocabulary and a tokenizer have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.released.files.torch_archive import open_file
from simulations.data.corpora import CorpusError, file_refusals, in_short

VOCABULARY = 1 << 28  # bytes of a vocabulary or tokenizer file
WORD_PIECES = 'tokenizers.BertWordPieceTokenizer({name!r}, lowercase=True).save("tokenizer.json")'
BYTE_PAIRS = 'tokenizers.ByteLevelBPETokenizer("vocab.json", "merges.txt").save("tokenizer.json")'
ANY = 'transformers.AutoTokenizer.from_pretrained({name!r}).save_pretrained("tokenizer")'

Ids = NDArray[np.integer]


class Encoded(NamedTuple):
    """A text as token ids: whether they were cut to the length of a sequence; how many of `n` parts
    of the text its vocabulary does not know; and how many line breaks became no token."""

    ids: Ids
    cut: bool
    unknown: int
    n: int
    breaks: int = 0


@dataclass(frozen=True, eq=False)
class Codec:
    """Text to token ids and back.

    sentence: how it reads text. newline: whether a line break has a token. line_limit: bytes of a
    line that it takes, None for any number. unknown: what `Encoded` counts of a text, in words.
    """

    encode: Callable[[str], Encoded]
    decode: Callable[[Any], str]
    sentence: str
    newline: bool = False
    line_limit: int | None = None
    unknown: str = "tokens unknown"


def ids_as_text(row: Any) -> str:
    """Token ids as they are, for sequences without a vocabulary."""
    return " ".join(str(int(token)) for token in row)


def whole(path: Path) -> bytes:
    """The bytes of a vocabulary or tokenizer file; CorpusError where it is none, or large."""
    with file_refusals(), open_file(path) as file:
        content = file.read(VOCABULARY + 1)
    if len(content) > VOCABULARY:
        raise CorpusError(f"{path} is larger than {VOCABULARY >> 20} MiB, too large to be one.")
    return content


def parsed(path: Path, content: bytes, what: str) -> Any:
    """The JSON of such a file. Raises CorpusError that says what the file seems to be, and the
    line of Python that makes one that is read."""
    if line := _conversion(path, content):
        kind, remedy = line
        raise CorpusError(
            f"the {what} {path} seems to be {kind}, which alone does not say how text is read; "
            f"save it by `{remedy}`."
        )
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        remedy = f"{ANY.format(name='NAME')}`"
        if what == "vocabulary":
            lines = f'open({path.name!r}, encoding="utf-8").read().splitlines()'
            remedy = f'json.dump({lines}, open("vocab.json", "w"))` for a token a line'
        raise CorpusError(
            f"the {what} {path} is no JSON that can be read: {in_short(error)}; save one by "
            f"`{remedy}."
        ) from error


def _conversion(path: Path, content: bytes) -> tuple[str, str] | None:
    """What a file that is no JSON is, and the line that converts it, where that can be seen."""
    ending = path.suffix.lower()
    if content.startswith(b"#version"):
        return "the merges of a byte-level BPE", BYTE_PAIRS
    if ending in (".pkl", ".pickle"):
        opened = f'pickle.load(open({path.name!r}, "rb"))["stoi"]'
        return "a pickle", f'json.dump({opened}, open("vocab.json", "w"))'
    if ending in (".model", ".spm") or (ending == ".vocab" and b"\t" in content):
        return "a model of sentencepiece", ANY.format(name=f"{path.parent.name or '.'}")
    if b"\n##" in content:
        return "a list of word pieces", WORD_PIECES.format(name=path.name)
    return None

"""Where the sequences of a calibration come from: laws drawn anew, or windows of a text."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.extras import optional
from models.sources import HiddenMarkovSource, HierarchySource, IidSource, MarkovSource
from models.sources.permutations import permutation_chain
from models.tokens import Tokens
from simulations.data.corpora import (
    HELD_OUT_SHARE,
    CorpusError,
    TextCorpus,
    TextFile,
    text_corpus,
)
from simulations.probe.calibration.families import OF_PIECES, PIECES, SOURCES, SourceShape

FIRST_WORD = 0x10000  # words and pieces are given to the reader of characters as code points
UNKNOWN = "[UNK]"


class Sequences(Protocol):
    """Something to draw n sequences (n, L) from, to be stored or to be held out."""

    def stored(self, rng: np.random.Generator, n: int) -> Tokens: ...

    def heldout(self, rng: np.random.Generator, n: int) -> Tokens: ...


@dataclass(frozen=True, eq=False)
class FromLaw:
    """Independent samples of a law."""

    law: Any

    def stored(self, rng: np.random.Generator, n: int) -> Tokens:
        """n sequences to be stored."""
        return np.asarray(self.law.sample(rng, n))

    heldout = stored


@dataclass(frozen=True, eq=False)
class FromText:
    """Windows of a text in a random order; those held out are of its last tenth."""

    corpus: TextCorpus

    def stored(self, rng: np.random.Generator, n: int) -> Tokens:
        """n windows to be stored."""
        return _some(rng, self.corpus.train, n)

    def heldout(self, rng: np.random.Generator, n: int) -> Tokens:
        """n windows that occur in none of these."""
        return _some(rng, self.corpus.held_out, n)


def make_source(name: str, rng: np.random.Generator, text: TextFile | None = None) -> Sequences:
    """The source of that name in SOURCES.

    markov : a mixture of two random permutations of the tokens.
    hmm : six hidden states, transitions and emissions from a Dirichlet law.
    iid : independent tokens with unequal frequencies.
    hierarchy : a random hierarchy of four levels, two rules a symbol.
    orderly : a chain that follows one permutation but for one token in fifty.
    text : characters of a text, its words, the rare ones as one token, or its pieces by byte-pair
    encoding, learnt from the text that may be stored.

    Raises CorpusError for a text that is not given or too short, and for pieces without the
    package tokenizers.
    """
    shape = SOURCES[name]
    if shape.kind == "text":
        if text is None:
            raise CorpusError(f"the source {name} needs a text: add --text FILE (UTF-8).")
        return FromText(_corpus(text, name))
    return FromLaw(_law(shape, rng))


def _law(shape: SourceShape, rng: np.random.Generator) -> Any:
    vocab_size, seq_len = shape.vocab_size, shape.seq_len
    if shape.kind == "hmm":
        return HiddenMarkovSource(
            rng.dirichlet(np.full(6, 0.15), size=6) * 0.98 + 0.02 / 6,
            rng.dirichlet(np.full(vocab_size, 0.1), size=6) * 0.98 + 0.02 / vocab_size,
            seq_len,
        )
    if shape.kind == "iid":
        weights = 1 / np.arange(1, vocab_size + 1)
        return IidSource(vocab_size, seq_len, rng.permutation(weights / weights.sum()))
    if shape.kind == "hierarchy":
        return HierarchySource.random(rng, vocab_size, 2, 2, 4)
    return MarkovSource(_chain(shape.kind, vocab_size, rng), seq_len)


def _chain(kind: str, vocab_size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    order = rng.permutation(vocab_size)
    if kind == "orderly":
        table = np.full((vocab_size, vocab_size), 0.02 / vocab_size)
        table[order, np.roll(order, -1)] += 0.98
        return table
    table = permutation_chain(vocab_size)
    return table[np.ix_(order, rng.permutation(vocab_size))]


@functools.lru_cache(maxsize=4)
def _corpus(text: TextFile, name: str) -> TextCorpus:
    shape = SOURCES[name]
    if name == "words":
        text = words_of(text)
    elif name == PIECES:
        text = pieces_of(text, shape.vocab_size - 1)
    return text_corpus(text, shape.vocab_size, shape.seq_len)


def words_of(text: TextFile) -> TextFile:
    """The text with a character in place of every word, the same for the same word.

    >>> words_of(TextFile("a", b"to be or not to be")).decode() == "".join(map(chr, (
    ...     0x10000, 0x10001, 0x10002, 0x10003, 0x10000, 0x10001)))
    True
    """
    number: dict[str, int] = {}
    points = [number.setdefault(w, FIRST_WORD + len(number)) for w in text.decode().split()]
    return TextFile(text.name, "".join(map(chr, points)).encode())


def pieces_of(text: TextFile, vocab_size: int) -> TextFile:
    """The text with a character in place of every piece of a byte-pair encoding of `vocab_size`
    pieces, learnt from its part that may be stored; characters that it lacks are one piece.

    Raises CorpusError without the package tokenizers.
    """
    library = optional("tokenizers", "text", OF_PIECES, CorpusError)
    words = text.decode()
    encoding = library.Tokenizer(library.models.BPE(unk_token=UNKNOWN))
    encoding.pre_tokenizer = library.pre_tokenizers.Metaspace()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[UNKNOWN],
        limit_alphabet=vocab_size // 2,
        show_progress=False,
    )
    encoding.train_from_iterator([words[: int(len(words) * (1 - HELD_OUT_SHARE))]], trainer)
    ids = encoding.encode(words).ids
    return TextFile(text.name, "".join(chr(FIRST_WORD + i) for i in ids).encode())


def _some(rng: np.random.Generator, windows: Tokens, n: int) -> Tokens:
    if n > len(windows):
        raise CorpusError(
            f"the text gives {len(windows)} windows of length {windows.shape[1]}; {n} were asked "
            "for. Take a longer text."
        )
    return windows[rng.permutation(len(windows))[:n]]

"""Items of any length, lines or rows of a file, to sequences of one length; and what was done.

Packing changes the numbers that are measured on the sequences: cut texts end anywhere, padding is
easy to predict, and windows over several items hold their borders. So what was done is a sentence
and counts, kept with the sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from simulations.data.corpora import CorpusError

Pack = Literal["exact", "cut", "pad", "wrap"]
CHOICES = (
    "cut (longer ones end after {0} tokens, shorter ones are dropped), pad (shorter ones are "
    "filled up with a pad token) or wrap (all are joined and cut into windows of {0})"
)


class Items(NamedTuple):
    """Tokens of all items, one item after the other, how many each has, and how many items came
    already cut to the length of a sequence; of text how it was read, in words, and the share of it
    that its vocabulary does not know."""

    tokens: NDArray[np.integer]
    lengths: NDArray[np.int64]
    n_cut: int = 0
    read_as: str = ""
    unknown: float = 0.0


class Packed(NamedTuple):
    """Sequences (n, L), a sentence on how they were made, and items dropped, cut and padded."""

    tokens: NDArray[np.integer]
    sentence: str
    n_dropped: int = 0
    n_cut: int = 0
    n_padded: int = 0


@dataclass(frozen=True)
class Packing:
    """How items become sequences.

    Args:
        pack: exact (every item must fit), cut, pad or wrap.
        pad_token: token that fills up shorter items; for pad alone.
        separator: token put after each item; for wrap alone.
        frame: first and last token of every window; for wrap alone.
    """

    pack: Pack = "exact"
    pad_token: int | None = None
    separator: int | None = None
    frame: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.pack not in get_args(Pack):
            known = ", ".join(get_args(Pack))
            raise CorpusError(f"`pack` must be one of {known}; got {self.pack!r}.")
        if (self.pack == "pad") != (self.pad_token is not None):
            raise CorpusError(
                "pack='pad' needs `pad_token`, the token that fills up shorter items."
                if self.pack == "pad"
                else f"`pad_token` is for pack='pad'; `pack` is {self.pack!r}."
            )
        for name in ("separator", "frame"):
            if getattr(self, name) is not None and self.pack != "wrap":
                raise CorpusError(f"`{name}` is for pack='wrap'; `pack` is {self.pack!r}.")

    def check(self, seq_len: int | None, vocab_size: int) -> None:
        """Refuse tokens out of range, and lengths that leave no room."""
        least = 1 + (0 if self.frame is None else 2)
        if seq_len is None and self.pack != "exact":
            raise CorpusError(f"pack={self.pack!r} needs `seq_len`, the length of a sequence.")
        if seq_len is not None and seq_len < least:
            raise CorpusError(f"`seq_len` must be at least {least}; got {seq_len}.")
        named = {"pad_token": self.pad_token, "separator": self.separator}
        if self.frame is not None:
            if len(self.frame) != 2:
                raise CorpusError(f"`frame` must be two tokens; got {self.frame}.")
            named |= {"frame": self.frame[0], "frame ": self.frame[1]}
        for name, token in named.items():
            if token is not None and not 0 <= token < vocab_size:
                raise CorpusError(
                    f"`{name.strip()}` must be a token from 0 to {vocab_size - 1}; got {token}."
                )


def pack_items(items: Items, seq_len: int | None, packing: Packing) -> Packed:
    """Sequences of `seq_len` tokens (None, where all items have one length: that one).

    Raises CorpusError where items do not fit, or nothing is left. Memory: for exact, and for wrap
    without a separator and a frame, none; the tokens are a view.
    """
    longest = int(items.lengths.max(initial=0))
    if longest == 0:
        raise CorpusError("there are no tokens in it.")
    if packing.pack == "exact":
        return _exact(items, seq_len)
    assert seq_len is not None  # by Packing.check
    return {"wrap": _wrap, "cut": _cut, "pad": _pad}[packing.pack](items, seq_len, packing)


def _exact(items: Items, seq_len: int | None) -> Packed:
    tokens, lengths = items[:2]
    wanted = int(lengths[0]) if seq_len is None else seq_len
    wrong = lengths != wanted
    if wrong.any():
        first = int(np.argmax(wrong))
        span = f"{lengths.min()}" + (f" to {lengths.max()}" if np.ptp(lengths) else "")
        raise CorpusError(
            f"{wrong.sum()} of its {len(lengths)} items do not have {wanted} tokens (lengths are "
            f"{span}; the first is item {first + 1} with {lengths[first]}). Choose `pack`: "
            f"{CHOICES.format(wanted)}."
        )
    sentence = f"each of the {len(lengths)} items is a sequence of {wanted} tokens as it stands"
    return Packed(tokens.reshape(-1, wanted), sentence)


def _cut(items: Items, seq_len: int, packing: Packing) -> Packed:
    lengths = items.lengths
    kept, longer = lengths >= seq_len, lengths > seq_len
    if not kept.any():
        raise CorpusError(f"none of its {len(lengths)} items has {seq_len} tokens or more.")
    n_dropped, n_cut = int((~kept).sum()), int(longer.sum()) + items.n_cut
    sentence = (
        f"of {len(lengths)} items, {n_cut} longer ones were cut after {seq_len} tokens and "
        f"{n_dropped} shorter ones dropped"
    )
    if kept.all() and np.ptp(lengths) == 0:  # a view, of a mapped file too
        heads = items.tokens.reshape(len(lengths), -1)[:, :seq_len]
    else:
        heads = np.empty((int(kept.sum()), seq_len), items.tokens.dtype)
        _fill(heads, items, kept)
    return Packed(heads, sentence, n_dropped, n_cut)


def _fill(rows: NDArray[np.integer], items: Items, kept: NDArray[np.bool_]) -> None:
    """Put the first tokens of the items that are kept into rows, as many as there is room for."""
    tokens, lengths = items[:2]
    starts = (np.cumsum(lengths) - lengths)[kept]
    for row, start, length in zip(rows, starts, lengths[kept], strict=True):
        head = tokens[start : start + min(length, len(row))]
        row[: len(head)] = head


def _pad(items: Items, seq_len: int, packing: Packing) -> Packed:
    lengths, kept = items.lengths, items.lengths > 0
    assert packing.pad_token is not None  # by Packing
    kind = np.promote_types(items.tokens.dtype, np.min_scalar_type(packing.pad_token))
    rows = np.full((int(kept.sum()), seq_len), packing.pad_token, kind)
    _fill(rows, items, kept)
    n_dropped = len(lengths) - len(rows)
    n_cut = int((lengths > seq_len).sum()) + items.n_cut
    n_padded = int(((lengths > 0) & (lengths < seq_len)).sum())
    filled = 1 - np.minimum(lengths[kept], seq_len).mean() / seq_len
    sentence = (
        f"of {len(lengths)} items, {n_padded} shorter ones were filled up with token "
        f"{packing.pad_token}, {filled:.2%} of all tokens, {n_cut} longer ones cut after {seq_len} "
        f"tokens and {n_dropped} empty ones dropped"
    )
    return Packed(rows, sentence, n_dropped, n_cut, n_padded)


def _wrap(items: Items, seq_len: int, packing: Packing) -> Packed:
    tokens, lengths = items[:2]
    said = f"{len(lengths)} items were joined"
    if packing.separator is not None:
        kind = np.promote_types(tokens.dtype, np.min_scalar_type(packing.separator))
        tokens = np.insert(np.asarray(tokens, kind), np.cumsum(lengths), packing.separator)
        said += f", token {packing.separator} after each,"
    body = seq_len - (0 if packing.frame is None else 2)
    n = len(tokens) // body
    if n == 0:
        raise CorpusError(f"its {len(tokens)} tokens are less than one window of {body}.")
    rows = tokens[: n * body].reshape(n, body)
    left = len(tokens) - n * body
    said += f" and cut into {n} windows of {body} tokens"
    if packing.frame is not None:
        kind = np.promote_types(rows.dtype, np.min_scalar_type(max(packing.frame)))
        first, last = (np.full((n, 1), token, kind) for token in packing.frame)
        rows = np.concatenate([first, rows.astype(kind), last], axis=1)
        said += f", each between tokens {packing.frame[0]} and {packing.frame[1]}"
    return Packed(rows, f"{said}; the last {left} tokens were left out")

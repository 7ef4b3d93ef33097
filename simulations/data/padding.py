"""Padding that nobody said to be padding: one token that fills the ends of sequences."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROWS = 1 << 16  # sequences looked at at a time
RUN = 3  # tokens alike at an end that count
LEAST = 0.05  # share of all tokens


class Filled(NamedTuple):
    """The token, the end ("end" or "beginning"), how many sequences have it there, and the share of
    all tokens that these runs are."""

    token: int
    end: str
    n_rows: int
    share: float


def filled_ends(tokens: NDArray[np.integer]) -> Filled | None:
    """The token whose runs of 3 or more at one end of sequences (n, L) take a twentieth of all
    tokens, and at least half of its own; None where there is none.

    By chance this does not happen: a token of a text is found all over it.

    >>> filled_ends(np.array([[5, 2, 0, 0, 0, 0], [1, 3, 4, 0, 0, 0]]))
    Filled(token=0, end='end', n_rows=2, share=0.5833333333333334)
    >>> filled_ends(np.arange(12).reshape(2, 6))
    """
    blocks = [tokens[first : first + ROWS] for first in range(0, len(tokens), ROWS)]
    filled, rows = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for block in blocks:
        for end, side in (("end", block[:, ::-1]), ("beginning", block)):
            other = side != side[:, :1]
            run = np.where(other.any(axis=1), np.argmax(other, axis=1), side.shape[1])
            long = run >= RUN
            found, which = np.unique(side[long, 0], return_inverse=True)
            counts = zip(found, np.bincount(which, run[long]), np.bincount(which), strict=True)
            for token, n_tokens, n_rows in counts:
                filled[end, int(token)] += int(n_tokens)
                rows[end, int(token)] += int(n_rows)
    for (end, token), count in filled.most_common(1):
        own = sum(int((block == token).sum()) for block in blocks)
        if count >= LEAST * tokens.size and 2 * count >= own:
            return Filled(token, end, rows[end, token], count / tokens.size)
    return None

"""The sequences that a training run is watched by: some it trains on, some it never sees."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.streams import stream
from models.tokens import Tokens

ROWS = 256  # of either kind
LEAST = 8
MOST_COPIES = 4
CHUNK = 1 << 18  # training rows that are looked through at a time


def copies_of(smallest: int, rows: int = ROWS) -> int:
    """Noisy copies of each sequence, up to MOST_COPIES, so that a split of fewer than `rows` is
    read well: as many in all splits, or shares of sequences could not be compared."""
    return min(MOST_COPIES, max(1, rows // smallest))


def chosen(seed: int, stored: Any, train_size: int, others: Any) -> tuple[Tokens, Tokens]:
    """Up to `ROWS` distinct rows of the first `train_size` of `stored` (K, L), and of `others`.

    Held-out rows that are training rows too are left out. Raises ValueError where fewer than
    `LEAST` are left, or where the two differ in shape.
    """
    if others.ndim != 2 or others.shape[1] != stored.shape[1]:
        raise ValueError(
            f"held-out sequences must have {stored.shape[1]} tokens as the training set has; got "
            f"shape {others.shape}."
        )
    train = _some(seed, "train", stored, train_size)
    heldout = _some(seed, "heldout", others, len(others))
    heldout = heldout[~_among(heldout, stored, train_size)]
    for name, rows in (("training", train), ("held-out", heldout)):
        if len(rows) < LEAST:
            raise ValueError(
                f"--probe-every needs at least {LEAST} distinct {name} sequences, held-out ones "
                f"not among those trained on; got {len(rows)}. Give --held-out FILE, or a "
                "--train-size that leaves rows."
            )
    return train, heldout


def _some(seed: int, name: str, rows: Any, size: int) -> Tokens:
    """Distinct ones of up to ROWS rows drawn from the first `size`, in the order of the file."""
    drawn = stream(seed, "rows", name).choice(size, min(ROWS, size), replace=False, shuffle=False)
    found = np.asarray(rows[np.sort(drawn)])
    _, first = np.unique(found, axis=0, return_index=True)
    return found[np.sort(first)]


def _among(rows: Tokens, stored: Any, size: int) -> Any:
    """Which of the rows (n, L) are among the first `size` of `stored`, (n,)."""
    mixed = stream(0, "mix").integers(1 << 63, size=rows.shape[1], dtype=np.uint64)
    sums = rows.astype(np.uint64) @ mixed  # equal for equal rows, and hardly ever else
    found = np.zeros(len(rows), bool)
    for first in range(0, size, CHUNK):
        part = np.asarray(stored[first : min(first + CHUNK, size)]).astype(np.uint64)
        found |= np.isin(sums, part @ mixed)
    return found

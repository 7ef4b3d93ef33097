"""The nearest training sequence by edit distance, among those within a few edits.

Two sequences of L tokens that are at most e insertions, deletions and substitutions apart share a
run of q = floor((L - e) / (e + 1)) tokens, as e edits leave at most e + 1 runs that are whole. So
pairs that share no run of q tokens, at whatever offsets, need not be compared; of all others the
Levenshtein distance is computed (rapidfuzz). Nothing within e edits is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist, cpdist

Ids = NDArray[np.integer]
Ints = NDArray[np.int64]

CHUNK = 1 << 22  # numbers of a table of pairs, and of tokens, held at a time
PAIRS = 1 << 18  # compared in a call
DENSE = 0.5  # shared runs a pair, from which on all pairs are compared


class Nearest(NamedTuple):
    """Per query (n,): edits to the nearest row, -1 where none is within reach; the first such row,
    -1 likewise."""

    edits: Ints
    row: Ints


def shared_run(length: int, edits: int) -> int:
    """Tokens in a row that two sequences of `length`, at most `edits` apart, have in common.

    >>> shared_run(64, 6)
    8
    """
    return (length - edits) // (edits + 1)


def edits_of(n: int) -> str:
    """A number of edits in words."""
    return f"{n} edit{'' if n == 1 else 's'}"


def nearest_by_edits(
    queries: Ids, rows: Ids, edits: int, tick: Callable[[], None] = lambda: None
) -> Nearest:
    """The nearest of `rows` (K, L) within `edits` of each of `queries` (n, L), by Levenshtein
    distance. `tick` is called after every chunk.

    Raises ValueError for other lengths, or so many edits that L tokens need share none.

    Notes
    -----
    Time: 2 to 14 s for 1,024 queries and 100,000 rows of 64 tokens on one core, the more the less
    varied the tokens are. Memory: small arrays, a chunk of rows at a time.
    """
    n, length = queries.shape
    if rows.shape[1] != length or not 0 <= edits or shared_run(length, edits) < 1:
        raise ValueError(
            f"sequences of {length} and {rows.shape[1]} tokens, {edits} edits: lengths must agree "
            "and edits be so few that a token is shared."
        )
    runs = _Runs.of(queries, shared_run(length, edits))
    texts = as_text(queries)
    best, row = np.full(n, edits + 1), np.full(n, -1)
    step = max(1, CHUNK // max(n, length))
    for first in range(0, len(rows), step):
        chunk = rows[first : first + step]
        stored = as_text(chunk)
        for q, k, found in _near(texts, stored, runs.shared_with(chunk), edits):
            order = np.lexsort((k, found, q))
            asked, top = np.unique(q[order], return_index=True)
            top = order[top]
            nearer = found[top] < best[asked]
            best[asked[nearer]], row[asked[nearer]] = found[top][nearer], first + k[top][nearer]
        tick()
    return Nearest(np.where(row < 0, -1, best), row)


def as_text(tokens: Ids) -> list[str]:
    """Rows as strings of as many characters, which are compared fastest."""
    codes = np.ascontiguousarray(tokens, np.uint32) + 1  # no trailing zeros, which are cut
    text: list[str] = codes.view(f"<U{tokens.shape[1]}").ravel().tolist()
    return text


def _near(
    texts: list[str], stored: list[str], shared: tuple[Ints, Ints] | None, edits: int
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Pairs, of those that share a run (None: of all), and their distances, of those in reach."""
    how: dict[str, Any] = {"scorer": Levenshtein.distance, "score_cutoff": edits, "dtype": np.int32}
    if shared is None:
        table = cdist(texts, stored, **how)
        q, k = np.nonzero(table <= edits)
        yield q, k, table[q, k]
        return
    asked, answer = shared
    for first in range(0, len(asked), PAIRS):
        q, k = asked[first : first + PAIRS], answer[first : first + PAIRS]
        found = cpdist([texts[i] for i in q], [stored[j] for j in k], **how)
        near = found <= edits
        yield q[near], k[near], found[near]


class _Runs(NamedTuple):
    """Runs of q tokens of the queries: sorted hashes, and the queries that have each."""

    size: int
    hashes: NDArray[np.uint64]
    start: Ints
    query: Ints
    n: int

    @classmethod
    def of(cls, queries: Ids, size: int) -> _Runs:
        made = run_hashes(queries, size)
        number = np.repeat(np.arange(len(queries)), made.shape[1])
        pairs = np.unique(np.stack([made.ravel(), number.astype(np.uint64)], axis=1), axis=0)
        hashes, start = np.unique(pairs[:, 0], return_index=True)
        return cls(
            size, hashes, np.append(start, len(pairs)), pairs[:, 1].astype(np.int64), len(queries)
        )

    def shared_with(self, rows: Ids) -> tuple[Ints, Ints] | None:
        """Pairs of a query and a row that share a run; None where there are too many to list."""
        made = run_hashes(rows, self.size)
        place = np.minimum(np.searchsorted(self.hashes, made), len(self.hashes) - 1)
        row, column = np.nonzero(self.hashes[place] == made)
        place = place[row, column]
        times = self.start[place + 1] - self.start[place]
        if times.sum() > DENSE * self.n * len(rows):
            return None
        ends = np.cumsum(times)
        inside = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - times, times)
        query = self.query[np.repeat(self.start[place], times) + inside]
        pairs = np.unique(query * len(rows) + np.repeat(row, times))
        return pairs // len(rows), pairs % len(rows)


def run_hashes(tokens: Ids, size: int) -> NDArray[np.uint64]:
    """A hash of every run of `size` tokens, (n, L - size + 1); equal runs have equal hashes."""
    factor, width = np.uint64(0x9E3779B97F4A7C15), tokens.shape[1] - size + 1
    found = np.zeros((len(tokens), width), np.uint64)
    for j in range(size):
        found = (found ^ tokens[:, j : j + width].astype(np.uint64)) * factor
        found ^= found >> np.uint64(29)
    return found

"""Numba kernels of token Hamming distances on bit planes; NumPy twins are in the tests.

Plane p of a sequence holds bit p of its tokens, 64 sites in a word. Two tokens differ where any
plane does, so a distance is the number of bits of an OR of exclusive ORs: for V = 32 five
operations and a count serve 64 sites, and a vector of 512 bits holds eight sequences. Loops run
over neighbouring sequences and touch few arrays, so that LLVM makes vectors of them; each word
read serves two queries.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from models.surroundings.kernels import compiled

Ints = NDArray[np.integer]
Words = NDArray[np.uint64]

BLOCK = 2048  # sequences whose planes and partial results stay in the nearest caches


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """Number of set bits of a 64-bit word."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@compiled(nogil=True)
def _four(planes: Words, w: int, start: int, p: Words, q: Words, x: Words, y: Words) -> None:
    """x and y = the sites at which any of four planes differs from the queries p and q."""
    stop = start + x.shape[0]
    a, b = planes[w, 0, start:stop], planes[w, 1, start:stop]
    c, d = planes[w, 2, start:stop], planes[w, 3, start:stop]
    p0, p1, p2, p3 = p[0], p[1], p[2], p[3]
    q0, q1, q2, q3 = q[0], q[1], q[2], q[3]
    for j in range(x.shape[0]):
        x[j] = (a[j] ^ p0) | (b[j] ^ p1) | (c[j] ^ p2) | (d[j] ^ p3)
        y[j] = (a[j] ^ q0) | (b[j] ^ q1) | (c[j] ^ q2) | (d[j] ^ q3)


@compiled(nogil=True)
def _one_more(plane: Words, p: Any, q: Any, x: Words, y: Words) -> None:
    for j in range(x.shape[0]):
        x[j] |= plane[j] ^ p
        y[j] |= plane[j] ^ q


@compiled(nogil=True)
def _count(x: Words, out: Ints, add: bool) -> None:
    if add:
        for j in range(x.shape[0]):
            out[j] += popcount(x[j])  # type: ignore[call-arg]
    else:
        for j in range(x.shape[0]):
            out[j] = popcount(x[j])  # type: ignore[call-arg]


@compiled(nogil=True)
def distances_into(queries: Words, planes: Words, out: Ints) -> None:
    """out (B, K) = sites at which query and sequence differ.

    queries (B, words, planes), planes (words, planes, K); out of an integer type that holds L.
    """
    n_words, n_planes, n_sequences = planes.shape
    x, y = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    for start in range(0, n_sequences, BLOCK):
        stop = min(start + BLOCK, n_sequences)
        xs, ys = x[: stop - start], y[: stop - start]
        for b in range(0, out.shape[0], 2):
            c = min(b + 1, out.shape[0] - 1)  # an odd last query goes with itself
            for w in range(n_words):
                p, q = queries[b, w], queries[c, w]
                k = 0
                if n_planes >= 4:
                    _four(planes, w, start, p, q, xs, ys)
                    k = 4
                else:
                    xs[:] = 0
                    ys[:] = 0
                while k < n_planes:
                    _one_more(planes[w, k, start:stop], p[k], q[k], xs, ys)
                    k += 1
                _count(xs, out[b, start:stop], w > 0)
                if c > b:
                    _count(ys, out[c, start:stop], w > 0)


@compiled(nogil=True)
def distances(queries: Words, planes: Words, kind: Ints) -> Ints:
    """All distances (B, K), of the integer type of the empty array `kind`."""
    out = np.empty((queries.shape[0], planes.shape[2]), kind.dtype)
    distances_into(queries, planes, out)
    return out


@compiled(nogil=True)
def least(row: Ints) -> int:
    """Smallest entry of a non-empty row."""
    found = row[0]
    for j in range(row.shape[0]):
        found = min(found, row[j])
    return int(found)


@compiled(nogil=True)
def first_at(row: Ints, wanted: int) -> int:
    """Place of the first entry that equals `wanted`, -1 if there is none."""
    for start in range(0, row.shape[0], BLOCK):
        part = row[start : start + BLOCK]
        hits = 0
        for j in range(part.shape[0]):
            hits += part[j] == wanted
        if hits:
            for j in range(part.shape[0]):
                if part[j] == wanted:
                    return start + j
    return -1


@compiled(nogil=True)
def nearest(queries: Words, planes: Words, kind: Ints) -> tuple[Ints, Ints]:
    """Distance (B,) to the nearest sequence and its number (B,), the first of several."""
    n_queries, group = queries.shape[0], 8
    best, place = np.empty(n_queries, np.int64), np.empty(n_queries, np.int64)
    out = np.empty((group, planes.shape[2]), kind.dtype)
    for start in range(0, n_queries, group):
        n = min(group, n_queries - start)
        distances_into(queries[start : start + n], planes, out[:n])
        for b in range(n):
            best[start + b] = least(out[b])
            place[start + b] = first_at(out[b], best[start + b])
    return best, place

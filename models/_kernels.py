"""Numba kernels of the exact denoisers; each has a plain NumPy twin in the tests.

Kernels are single-threaded and release the interpreter lock; `in_parallel` runs them on
slices of the batch in numba's number of threads, which keeps compilation short and every
row's numbers independent of the number of threads.

Bytes and operations: the match stage reads the store once a query (K L bytes) and
does K L compare-adds; the marginal stage adds L weights for every pattern whose
weight is not negligible.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numba import get_num_threads, njit
from numpy.typing import NDArray

Ints = NDArray[np.integer]
Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

BLOCK = 4096  # patterns whose match counters stay in the first-level cache
PACKED = 1024  # largest number of buckets for a pair of sites
# A pattern is skipped only where the sum of all skipped weights, even after the
# factor exp(beta) by which a leave-one-out law can raise them, is below exp(-32).
NEGLIGIBLE = 32.0


def in_parallel(kernel: Callable[..., Any], n_rows: int, rows: list[Any], rest: list[Any]) -> Any:
    """kernel(*rows, *rest) with the arrays `rows` (n_rows, ...) cut into one slice a thread.

    Returns the kernel's array, or tuple of arrays, joined along the first axis.
    """
    # starting a thread takes a third of a millisecond: not for a few rows
    threads = max(1, min(int(get_num_threads()), n_rows // 64))
    if threads == 1:
        return kernel(*rows, *rest)
    edges = np.linspace(0, n_rows, threads + 1).astype(int)
    slices = [slice(a, b) for a, b in pairwise(edges)]
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda s: kernel(*[row[s] for row in rows], *rest), slices))
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    return np.concatenate(parts)


@njit(cache=True)
def _matches(query: Ints, by_site: Ints, out: Ints) -> None:
    """out[mu] = number of sites where pattern mu equals the query; by_site (L, K)."""
    seq_len, n_patterns = by_site.shape
    for start in range(0, n_patterns, BLOCK):
        stop = min(start + BLOCK, n_patterns)
        block = out[start:stop]
        block[:] = 0
        for i in range(seq_len):
            row = by_site[i, start:stop]
            token = query[i]
            for j in range(stop - start):
                block[j] += row[j] == token


@njit(nogil=True, cache=True)
def match_counts(x_t: Ints, by_site: Ints, counter: Ints) -> Ints:
    """Matches (B, K) of every query with every stored pattern (L, K)."""
    out = np.empty((x_t.shape[0], by_site.shape[1]), counter.dtype)
    for b in range(x_t.shape[0]):
        _matches(x_t[b], by_site, out[b])
    return out


@njit(cache=True)
def _nth(matches: Ints, wanted: int, rank: int) -> int:
    """Index of the pattern number `rank` (from 0) among those with `wanted` matches."""
    seen = 0
    for mu in range(matches.shape[0]):
        if matches[mu] == wanted:
            if seen == rank:
                return mu
            seen += 1
    return -1


@njit(cache=True)
def _draw(matches: Ints, histogram: Indices, best: int, weight: Floats, target: float) -> int:
    """One pattern by inversion of `target` in [0, partition): first its matches, then it."""
    d = 0
    while d < best and target >= weight[d] * histogram[best - d]:
        target -= weight[d] * histogram[best - d]
        d += 1
    while histogram[best - d] == 0:  # rounding carried the target past the last pattern
        d -= 1
    rank = min(int(target / weight[d]), histogram[best - d] - 1) if weight[d] > 0 else 0
    return _nth(matches, best - d, rank)


def pack_sites(patterns: Ints, vocab_size: int) -> tuple[Ints, int]:
    """Two neighbouring sites in one code where V^2 buckets stay small: half the additions.

    Returns codes (K, groups) and the number of codes; the last site of an odd L stands alone.
    """
    if vocab_size**2 > PACKED:
        return patterns, vocab_size
    padded = np.pad(patterns, ((0, 0), (0, patterns.shape[1] % 2))).astype(np.uint16)
    return np.ascontiguousarray(padded[:, ::2] * vocab_size + padded[:, 1::2]), vocab_size**2


@njit(cache=True)
def _unpack(buckets: Floats, partition: float, rows: Floats) -> None:
    """rows (L, V) = marginals of the packed sums, divided by the partition function."""
    seq_len, vocab_size = rows.shape
    packed = buckets.shape[1] > vocab_size
    for g in range(buckets.shape[0]):
        for code in range(buckets.shape[1]):
            w = buckets[g, code] / partition
            if not packed:
                rows[g, code] += w
                continue
            rows[2 * g, code // vocab_size] += w
            if 2 * g + 1 < seq_len:
                rows[2 * g + 1, code % vocab_size] += w


@njit(nogil=True, cache=True)
def empirical_pass(
    x_t: Ints,
    beta: Floats,
    uniforms: Floats,
    true_index: Ints,
    codes: Ints,
    n_codes: int,
    by_site: Ints,
    counter: Ints,
    vocab_size: int,
    marginals: bool,
) -> tuple[NDArray[Any], ...]:
    """One pass over the store for every query.

    x_t (B, L), beta (B,), uniforms (B, 2) in [0, 1), true_index (B,), -1 where there is none;
    by_site (L, K) the stored patterns, codes (K, groups) the same as `pack_sites` packs them
    into values below n_codes; counter an empty array of the integer type that holds L.
    With `marginals` false, `full` is left empty.

    Returns full (B, L, V) marginals of the posterior over patterns, draw (B,),
    map_index (B,) with random tie-break, true_weight (B,), entropy (B,) in nats,
    log_partition (B,): log sum_mu exp(beta m_mu), and best (B,): the largest m.
    """
    n_queries, seq_len = x_t.shape
    n_patterns, n_groups = codes.shape
    full = np.zeros((n_queries if marginals else 0, seq_len, vocab_size))
    draw = np.empty(n_queries, np.int64)
    map_index = np.empty(n_queries, np.int64)
    true_weight = np.full(n_queries, np.nan)
    entropy = np.empty(n_queries)
    log_partition = np.empty(n_queries)
    best_match = np.empty(n_queries, np.int64)
    for b in range(n_queries):
        matches = np.empty(n_patterns, counter.dtype)
        _matches(x_t[b], by_site, matches)
        histogram = np.zeros(seq_len + 1, np.int64)
        for mu in range(n_patterns):
            histogram[matches[mu]] += 1
        best: int = seq_len
        while histogram[best] == 0:
            best -= 1
        weight = np.exp(-beta[b] * np.arange(seq_len + 1))
        partition, mean_deficit = 0.0, 0.0
        for d in range(best + 1):
            share = weight[d] * histogram[best - d]
            partition += share
            mean_deficit += share * d
        entropy[b] = np.log(partition) + beta[b] * mean_deficit / partition
        log_partition[b] = np.log(partition) + beta[b] * best
        best_match[b] = best
        if true_index[b] >= 0:
            true_weight[b] = weight[best - matches[true_index[b]]] / partition

        reach = (NEGLIGIBLE + beta[b] + np.log(float(n_patterns))) / max(beta[b], 1e-300)
        n_kept: int = min(seq_len, int(min(reach, 1e9))) + 1
        draw[b] = _draw(matches, histogram, best, weight, uniforms[b, 0] * partition)
        rank = min(int(uniforms[b, 1] * histogram[best]), histogram[best] - 1)
        map_index[b] = _nth(matches, best, rank)
        if marginals:
            buckets = np.zeros((n_groups, n_codes))
            for mu in range(n_patterns):
                d = best - matches[mu]
                if d < n_kept:
                    w = weight[d]
                    for g in range(n_groups):
                        buckets[g, codes[mu, g]] += w
            _unpack(buckets, partition, full[b])
    return full, draw, map_index, true_weight, entropy, log_partition, best_match


@njit(nogil=True, cache=True)
def nearest_pattern(
    outputs: Ints, queries: Ints, by_site: Ints, counter: Ints
) -> tuple[Indices, Indices, Indices, Indices]:
    """How the stored patterns (L, K) lie around each output, compared with its query.

    Returns to_query (B,): sites where output and query agree; nearer (B,): stored patterns with
    more matches than that; level (B,): with as many; best (B,): the most matches of any.
    """
    n_queries, seq_len = outputs.shape
    to_query = np.zeros(n_queries, np.int64)
    nearer = np.zeros(n_queries, np.int64)
    level = np.zeros(n_queries, np.int64)
    best = np.zeros(n_queries, np.int64)
    matches = np.empty(by_site.shape[1], counter.dtype)
    for b in range(n_queries):
        _matches(outputs[b], by_site, matches)
        agree = 0
        for i in range(seq_len):
            agree += outputs[b, i] == queries[b, i]
        above, same, most = 0, 0, 0
        for mu in range(matches.shape[0]):
            above += matches[mu] > agree
            same += matches[mu] == agree
            most = max(most, matches[mu])
        to_query[b], nearer[b], level[b], best[b] = agree, above, same, most
    return to_query, nearer, level, best

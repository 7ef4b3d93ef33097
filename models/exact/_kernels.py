"""Numba kernels of the exact denoisers; each has a plain NumPy twin in the tests.

Kernels are single-threaded and release the interpreter lock; `in_parallel` runs them on
slices of the batch in numba's number of threads, which keeps compilation short and every
row's numbers independent of the number of threads.

Bytes and operations: distances to the store come first (`_hamming_kernels`); the marginal stage
adds L weights, or L / 2 of pairs of sites, for every pattern whose weight is not negligible.

Long because kernels that call each other stand in one file.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.exact._hamming_kernels import distances_into, least
from models.surroundings.kernels import compiled, most_threads

Ints = NDArray[np.integer]
Indices = NDArray[np.int64]
Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

PACKED = 1024  # largest number of buckets for a pair of sites
PACKED_BYTES = 2**28  # of tokens, up to which codes of pairs are held
# A pattern is skipped only where the sum of all skipped weights, even after the
# factor exp(beta) by which a leave-one-out law can raise them, is below exp(-32): no law
# moves by more than that in total variation.
NEGLIGIBLE = 32.0
ERASED = 1e4  # for an infinite inverse temperature: exp(-ERASED) is 0 in every precision
GROUP = 8  # queries whose distances to the store are held at once
SCAN = 256  # patterns looked at together for any that is kept
GROUP_BYTES = 2**20  # more than two queries are held only below this size


def in_parallel(
    kernel: Callable[..., Any], n_rows: int, rows: list[Any], rest: list[Any], worth: int = 64
) -> Any:
    """kernel(*rows, *rest) with the arrays `rows` (n_rows, ...) cut into one slice a thread.

    A thread gets at least `worth` rows, as its start takes a third of a millisecond.
    Returns the kernel's array, or tuple of arrays, joined along the first axis.
    """
    threads = max(1, min(most_threads(), n_rows // worth))
    if threads == 1:
        return kernel(*rows, *rest)
    edges = np.linspace(0, n_rows, threads + 1).astype(int)
    slices = [slice(a, b) for a, b in pairwise(edges)]
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda s: kernel(*[row[s] for row in rows], *rest), slices))
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    return np.concatenate(parts)


@compiled()
def _kept(distance: Ints, limit: int) -> Indices:
    """Numbers of the patterns within `limit`, in order."""
    n = 0
    for mu in range(distance.shape[0]):
        n += distance[mu] <= limit
    out = np.empty(n, np.int64)
    n = 0
    for start in range(0, distance.shape[0], SCAN):
        part = distance[start : start + SCAN]
        hits = 0
        for j in range(part.shape[0]):
            hits += part[j] <= limit
        if hits:
            for j in range(part.shape[0]):
                if part[j] <= limit:
                    out[n] = start + j
                    n += 1
    return out


@compiled()
def _nth(kept: Indices, distance: Ints, counts: Floats, wanted: int, rank: int) -> int:
    """The pattern that holds `rank`, from 0, among those at the wanted distance, by counts."""
    last = -1
    if counts.size:
        for mu in kept:
            if distance[mu] == wanted:
                last = mu
                rank -= int(counts[mu])
                if rank < 0:
                    break
        return last
    for start in range(0, distance.shape[0], SCAN):
        part = distance[start : start + SCAN]
        hits = 0
        for j in range(part.shape[0]):
            hits += part[j] == wanted
        if rank >= hits:
            rank -= hits
            continue
        for j in range(part.shape[0]):
            if part[j] == wanted:
                if rank == 0:
                    return start + j
                rank -= 1
    return last


@compiled()
def _histogram(kept: Indices, distance: Ints, counts: Floats, nearest: int, n_kept: int) -> Floats:
    """Patterns at the distances nearest to nearest + n_kept - 1, each by its count."""
    out = np.zeros(n_kept)
    if counts.size or kept.shape[0] * 32 < distance.shape[0] * n_kept:
        for mu in kept:
            out[int(distance[mu]) - nearest] += counts[mu] if counts.size else 1.0
        return out
    for d in range(n_kept):  # a vector of compares for each: no store waits for another
        hits = 0
        for mu in range(distance.shape[0]):
            hits += distance[mu] == nearest + d
        out[d] = hits
    return out


@compiled()
def _draw(histogram: Floats, weight: Floats, target: float) -> tuple[int, int]:
    """By inversion of `target` in [0, partition): distance from the nearest, rank at it."""
    d = 0
    while d < histogram.shape[0] - 1 and target >= weight[d] * histogram[d]:
        target -= weight[d] * histogram[d]
        d += 1
    while histogram[d] == 0:  # rounding carried the target past the last pattern
        d -= 1
    rank = min(target / weight[d], histogram[d] - 1.0) if weight[d] > 0 else 0.0
    return d, int(rank)


def pack_sites(patterns: Ints, vocab_size: int) -> Ints:
    """Two neighbouring sites in one code where V^2 buckets stay small: half the additions.

    Returns codes (K, L // 2 + L % 2), the last site of an odd L paired with token 0; the patterns
    themselves where pairs have too many values or their codes would take too much memory.
    """
    seq_len = patterns.shape[1]
    if seq_len == 1 or vocab_size**2 > PACKED or patterns.size > PACKED_BYTES:
        return patterns
    kind = np.uint8 if vocab_size <= 16 else np.uint16
    codes = np.zeros((len(patterns), (seq_len + 1) // 2), kind)
    codes[:, : seq_len // 2] = patterns[:, 1::2]
    codes += np.multiply(patterns[:, ::2], vocab_size, dtype=kind)  # at most V^2 - 1: it fits
    return codes


@compiled()
def _split(codes: Ints, weights: Floats, vocab_size: int, rows: Floats) -> None:
    """rows (L, V) += weights at the two tokens of each code; codes (L // 2 + L % 2,)."""
    for g in range(codes.shape[0]):
        rows[2 * g, codes[g] // vocab_size] += weights[g]
        if 2 * g + 1 < rows.shape[0]:
            rows[2 * g + 1, codes[g] % vocab_size] += weights[g]


@compiled()
def _add_marginals(
    kept: Indices, codes: Ints, weights: Floats, vocab_size: int, rows: Floats
) -> None:
    """rows (L, V) += the weight of every kept pattern at its token of each site."""
    n_groups = codes.shape[1]
    if n_groups == rows.shape[0]:
        for n in range(kept.shape[0]):
            mu, w = kept[n], weights[n]
            for i in range(n_groups):
                rows[i, codes[mu, i]] += w
        return
    pairs = vocab_size**2
    if kept.shape[0] < pairs:
        for n in range(kept.shape[0]):
            _split(codes[kept[n]], np.full(n_groups, weights[n]), vocab_size, rows)
        return
    buckets = np.zeros((n_groups, pairs))
    for n in range(kept.shape[0]):
        mu, w = kept[n], weights[n]
        for g in range(n_groups):
            buckets[g, codes[mu, g]] += w
    for code in range(pairs):
        _split(np.full(n_groups, code), buckets[:, code], vocab_size, rows)


@compiled()
def _take_logs(full: Floats, own: Ints, factor: float, loo: Floats) -> None:
    """Logs in place: of full (L, V), and in loo of the law without each site's own token,
    which is full with the own token's weight times exp(-beta), normalized."""
    for i in range(full.shape[0]):
        total = 0.0
        for v in range(full.shape[1]):
            total += full[i, v] * factor if v == own[i] else full[i, v]
        scale = np.log(total)
        for v in range(full.shape[1]):
            if full[i, v] > 0:
                full[i, v] = np.log(full[i, v])
                loo[i, v] = full[i, v] - scale
            else:
                full[i, v] = -np.inf
                loo[i, v] = -np.inf
        if own[i] < full.shape[1]:  # a masked site has no token of its own
            loo[i, own[i]] += np.log(factor)


@compiled(nogil=True)
def empirical_pass(
    x_t: Ints,
    queries: Words,
    beta: Floats,
    uniforms: Floats,
    true_index: Indices,
    planes: Words,
    kind: Ints,
    codes: Ints,
    counts: Floats,
    seq_len: int,
    vocab_size: int,
    marginals: bool,
) -> tuple[NDArray[Any], ...]:
    """One pass over the store for every query.

    x_t (B, L), V at masked sites, which match no pattern; queries, the same as (B, words, planes),
    planes (words, planes, K) and kind as `_hamming_kernels` takes them; beta (B,), uniforms (B, 2)
    in [0, 1), true_index (B,), -1 for none; codes (K, groups), the patterns as `pack_sites` gives
    them; counts (K,), how often each is stored, empty where each is once. With `marginals` false,
    both laws are left empty.

    Returns log full (B, L, V), marginals of the posterior over patterns, log loo (B, L, V), the
    same with the own site of a token left out, draw (B,),
    map_index (B,) with random tie-break, true_weight (B,), entropy (B,) in nats,
    log_partition (B,): log sum_mu exp(beta m_mu), and best (B,): the largest m.
    """
    n_queries = queries.shape[0]
    n_patterns = codes.shape[0]
    total = counts.sum() if counts.size else float(n_patterns)
    full = np.zeros((n_queries if marginals else 0, seq_len, vocab_size))
    loo = np.empty_like(full)
    draw = np.empty(n_queries, np.int64)
    map_index = np.empty(n_queries, np.int64)
    true_weight = np.full(n_queries, np.nan)
    entropy = np.empty(n_queries)
    log_partition = np.empty(n_queries)
    best_match = np.empty(n_queries, np.int64)
    group = max(2, min(GROUP, GROUP_BYTES // (n_patterns * kind.itemsize)))
    group = min(group, n_queries)
    rows = np.empty((group, n_patterns), kind.dtype)
    for b in range(n_queries):
        if b % group == 0:
            now = min(group, n_queries - b)
            distances_into(queries[b : b + now], planes, rows[:now])
        distance = rows[b % group]
        nearest = least(distance)
        reach = (NEGLIGIBLE + beta[b] + np.log(total)) / max(beta[b], 1e-300)
        n_kept: int = min(seq_len - nearest, int(min(reach, 1e9))) + 1
        if np.exp(-beta[b]) == 0.0:  # erasures: the nearest alone count
            n_kept = 1
        kept = _kept(distance, nearest + n_kept - 1)
        weight = np.exp(-beta[b] * np.arange(n_kept))
        histogram = _histogram(kept, distance, counts, nearest, n_kept)
        partition, mean_deficit = 0.0, 0.0
        for d in range(n_kept):
            share = weight[d] * histogram[d]
            partition += share
            mean_deficit += share * d
        entropy[b] = np.log(partition) + beta[b] * mean_deficit / partition
        best_match[b] = seq_len - nearest
        log_partition[b] = np.log(partition) + beta[b] * best_match[b]
        if true_index[b] >= 0:
            asked = true_index[b]
            copies = counts[asked] if counts.size else 1.0
            gap = float(distance[asked]) - nearest
            true_weight[b] = copies * np.exp(-beta[b] * gap) / partition
        d, rank = _draw(histogram, weight, uniforms[b, 0] * partition)
        draw[b] = _nth(kept, distance, counts, nearest + d, rank)
        rank = int(min(uniforms[b, 1] * histogram[0], histogram[0] - 1))
        map_index[b] = _nth(kept, distance, counts, nearest, rank)
        if marginals:
            weight /= partition
            weights = np.empty(kept.shape[0])
            for n in range(kept.shape[0]):
                mu = kept[n]
                weights[n] = weight[int(distance[mu]) - nearest]
                if counts.size:
                    weights[n] *= counts[mu]
            _add_marginals(kept, codes, weights, vocab_size, full[b])
            _take_logs(full[b], x_t[b], np.exp(-beta[b]), loo[b])
    return full, loo, draw, map_index, true_weight, entropy, log_partition, best_match


@compiled(nogil=True)
def nearest_pattern(
    outputs: Words, to_query: Ints, planes: Words, kind: Ints, counts: Floats
) -> tuple[Indices, Indices, Indices]:
    """How the stored patterns lie around each output, compared with its query.

    outputs (B, words, planes); to_query (B,): distance of output and query. Returns nearer
    (B,): stored sequences nearer than that; level (B,): as far; best (B,): the least distance.
    """
    n_queries = outputs.shape[0]
    nearer = np.zeros(n_queries, np.int64)
    level = np.zeros(n_queries, np.int64)
    best = np.zeros(n_queries, np.int64)
    rows = np.empty((2, planes.shape[2]), kind.dtype)
    for b in range(n_queries):
        if b % 2 == 0:
            now = min(2, n_queries - b)
            distances_into(outputs[b : b + now], planes, rows[:now])
        distance = rows[b % 2]
        best[b] = least(distance)
        if counts.size:
            for mu in range(distance.shape[0]):
                nearer[b] += int(counts[mu]) * (distance[mu] < to_query[b])
                level[b] += int(counts[mu]) * (distance[mu] == to_query[b])
        else:
            for mu in range(distance.shape[0]):
                nearer[b] += distance[mu] < to_query[b]
                level[b] += distance[mu] == to_query[b]
    return nearer, level, best

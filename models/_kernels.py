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


@njit(cache=True)
def _emission(token: int, alpha: float, evidence: Floats) -> None:
    """evidence[v] = probability that the channel turns v into `token`."""
    for v in range(evidence.shape[0]):
        evidence[v] = (1.0 - alpha) / evidence.shape[0]
    evidence[token] += alpha


@njit(cache=True)
def _normalize(row: Floats) -> float:
    """Scale `row` to sum 1 in place; return the sum (0 leaves the row at 0)."""
    total = 0.0
    for v in range(row.shape[0]):
        total += row[v]
    if total > 0:
        for v in range(row.shape[0]):
            row[v] /= total
    return total


@njit(cache=True)
def _times(row: Floats, matrix: Floats, out: Floats) -> None:
    """out = row @ matrix; written out, since numba's BLAS call compiles for 15 seconds."""
    for v in range(out.shape[0]):
        out[v] = 0.0
    for u in range(row.shape[0]):
        for v in range(out.shape[0]):
            out[v] += row[u] * matrix[u, v]


@njit(cache=True)
def _forward(
    x: Ints,
    alpha: float,
    initial: Floats,
    transition: Floats,
    predicted: Floats,
    filtered: Floats,
    evidence: Floats,
) -> float:
    """predicted_i = law of token i given x_<i; filtered_i given x_<=i; returns log p(x)."""
    log_prob = 0.0
    for i in range(x.shape[0]):
        if i == 0:
            for v in range(evidence.shape[0]):
                predicted[i, v] = initial[v]
        else:
            _times(filtered[i - 1], transition, predicted[i])
        _emission(x[i], alpha, evidence)
        for v in range(evidence.shape[0]):
            filtered[i, v] = predicted[i, v] * evidence[v]
        log_prob += np.log(_normalize(filtered[i]))
    return log_prob


@njit(nogil=True, cache=True)
def chain_smoother(
    x_t: Ints, alpha: Floats, initial: Floats, transition: Floats
) -> tuple[Floats, Floats]:
    """Forward-backward for a Markov chain seen through the uniform channel.

    x_t (B, L), alpha (B,), initial (V,), transition (V, V) row-stochastic. Returns
    log_loo (B, L, V), NaN in a row whose context has probability zero, and
    log p(x_t) (B,). O(B L V^2).
    """
    n_queries, seq_len = x_t.shape
    vocab_size = transition.shape[0]
    log_loo = np.empty((n_queries, seq_len, vocab_size))
    log_prob = np.empty(n_queries)
    transposed = np.ascontiguousarray(transition.T)
    for b in range(n_queries):
        predicted = np.empty((seq_len, vocab_size))
        filtered = np.empty((seq_len, vocab_size))
        evidence = np.empty(vocab_size)
        log_prob[b] = _forward(x_t[b], alpha[b], initial, transition, predicted, filtered, evidence)
        backward = np.ones(vocab_size)
        law = np.empty(vocab_size)
        for i in range(seq_len - 1, -1, -1):
            _emission(x_t[b, i], alpha[b], evidence)
            for v in range(vocab_size):
                law[v] = predicted[i, v] * backward[v]
                evidence[v] *= backward[v]
            possible = _normalize(law) > 0
            for v in range(vocab_size):
                log_loo[b, i, v] = np.log(law[v]) if possible else np.nan
            _times(evidence, transposed, backward)
            _normalize(backward)
    return log_loo, log_prob


@njit(nogil=True, cache=True)
def chain_draw(
    x_t: Ints, alpha: Floats, uniforms: Floats, initial: Floats, transition: Floats
) -> Indices:
    """One exact joint draw from p(x_0 | x_t): filter forward, sample backward.

    uniforms (B, L) in [0, 1); returns tokens (B, L), -1 where x_t is impossible.
    """
    n_queries, seq_len = x_t.shape
    vocab_size = transition.shape[0]
    out = np.full((n_queries, seq_len), -1, np.int64)
    for b in range(n_queries):
        predicted = np.empty((seq_len, vocab_size))
        filtered = np.empty((seq_len, vocab_size))
        evidence = np.empty(vocab_size)
        _forward(x_t[b], alpha[b], initial, transition, predicted, filtered, evidence)
        for i in range(seq_len - 1, -1, -1):
            law = filtered[i].copy()
            if i < seq_len - 1:
                law *= transition[:, out[b, i + 1]]
            total = law.sum()
            if not total > 0:
                break
            target, running = uniforms[b, i] * total, 0.0
            for v in range(vocab_size):
                running += law[v]
                if law[v] > 0:
                    out[b, i] = v
                    if running > target:
                        break
    return out

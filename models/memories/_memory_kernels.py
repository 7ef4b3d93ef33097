"""Numba kernels of the memories' dynamics; each has a plain NumPy twin in the tests.

Each kernel makes one sweep over the sites of every row of a batch. Sums of integers are
exact in the floating type the caller chose, so they may be reordered freely.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.surroundings.kernels import compiled

Ints = NDArray[np.integer]
Reals = NDArray[np.floating[Any]]
Spins = NDArray[np.int8]

BLOCK = 4096  # patterns whose match counters stay in the first-level cache


@compiled(nogil=True)
def signs(fields: Reals, states: Spins, margin: float) -> Spins:
    """Each spin up where its field exceeds the margin, down where it is below minus that, else
    kept; fields and states (B, N)."""
    out = states.copy()
    for b in range(out.shape[0]):
        field, spins = fields[b], out[b]
        for i in range(spins.shape[0]):
            up, down = field[i] > margin, field[i] < -margin
            spins[i] = np.int8(1) if up else (np.int8(-1) if down else spins[i])
    return out


@compiled(nogil=True)
def spin_sweep_dense(
    states: Spins, fields: Reals, levels: Reals, couplings: Reals, order: Ints, margin: float
) -> Spins:
    """Each spin in turn up where its field exceeds its level, down where below, else kept.

    states (B, N) of -1 and +1; fields (B, N) of those states; levels (B, N);
    couplings (N, N), symmetric with an empty diagonal. A flip costs N additions.
    """
    out = states.copy()
    for b in range(out.shape[0]):
        spins, field, level = out[b], fields[b].copy(), levels[b]
        for i in order:
            excess = field[i] - level[i]
            if excess > margin and spins[i] < 0:
                spins[i] = 1
                row = couplings[i]
                for j in range(row.shape[0]):
                    field[j] += row[j] + row[j]
            elif excess < -margin and spins[i] > 0:
                spins[i] = -1
                row = couplings[i]
                for j in range(row.shape[0]):
                    field[j] -= row[j] + row[j]
    return out


@compiled(fastmath={"reassoc"})
def _dot(left: Reals, right: Reals) -> Any:
    total = left[0] * right[0]
    for r in range(1, left.shape[0]):
        total += left[r] * right[r]
    return total


@compiled(nogil=True)
def spin_sweep_patterns(
    states: Spins,
    projections: Reals,
    levels: Reals,
    columns: Reals,
    diagonal: Reals,
    order: Ints,
    margin: float,
) -> Spins:
    """The same sweep through R vectors: field_i = sum_r A_ir (A s)_r - diagonal_i s_i.

    projections (B, R) = A s of each state; columns (N, R); diagonal (N,). Each site costs R
    multiply-adds, a flip as many again.
    """
    out = states.copy()
    for b in range(out.shape[0]):
        spins, projection, level = out[b], projections[b].copy(), levels[b]
        for i in order:
            row = columns[i]
            own = diagonal[i] if spins[i] > 0 else -diagonal[i]
            excess = _dot(row, projection) - own - level[i]
            if excess > margin and spins[i] < 0:
                spins[i] = 1
                for r in range(row.shape[0]):
                    projection[r] += row[r] + row[r]
            elif excess < -margin and spins[i] > 0:
                spins[i] = -1
                for r in range(row.shape[0]):
                    projection[r] -= row[r] + row[r]
    return out


@compiled()
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


@compiled(nogil=True)
def token_sweep(
    states: Ints,
    by_site: Ints,
    gains: NDArray[np.float64],
    from_top: bool,
    vocab_size: int,
    order: Ints,
    sequential: bool,
) -> Ints:
    """Each site to the token whose stored sequences weigh most; the current one keeps ties.

    A sequence weighs gains[m] with m its matches at the other sites or, with `from_top`,
    gains[m* - m], m* the largest such m. states (B, L), by_site (L, K), gains (L + 1,).
    Without `sequential` every site reads the matches of the old state. A difference below
    1e-12 of the summed weights is a tie: it may be rounding.
    """
    out = states.copy()
    n_patterns = by_site.shape[1]
    matches = np.empty(n_patterns, np.int32)
    scores = np.empty(vocab_size)
    for b in range(out.shape[0]):
        _matches(out[b], by_site, matches)
        for i in order:
            stored = by_site[i]
            token = out[b, i]
            top = 0
            if from_top:
                for mu in range(n_patterns):
                    top = max(top, matches[mu] - (stored[mu] == token))
            scores[:] = 0.0
            total = 0.0
            for mu in range(n_patterns):
                others = matches[mu] - (stored[mu] == token)
                weight = gains[top - others] if from_top else gains[others]
                scores[stored[mu]] += weight
                total += abs(weight)
            best: int = int(token)
            for v in range(vocab_size):
                if scores[v] > scores[best] + 1e-12 * total:
                    best = v
            if best != int(token):
                out[b, i] = best
                if sequential:
                    for mu in range(n_patterns):
                        matches[mu] += (stored[mu] == best) - (stored[mu] == token)
    return out

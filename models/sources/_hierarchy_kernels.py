"""Belief propagation on the tree of a random hierarchy model, in numba.

The s**k nodes of level k stand one level after the other, the root first and the leaves
last; `rules[k, a, r, j]` is child j of rule r of symbol a at level k. The fast kernel takes
LANES sequences at once with scaled probabilities. A row where a positive message falls so
low that a product of messages could underflow is marked, and done again with logarithms.

Long because kernels that call each other stand in one file: numba's cache knows that one alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.surroundings.kernels import compiled

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]

LANES = 32


@compiled()
def _scale(message: Floats, log_scale: Floats, smallest: Floats, floor: float) -> None:
    """Each lane of message (v, LANES) to sum 1; track the logs of the sums and small entries."""
    total = np.zeros(LANES)
    for a in range(message.shape[0]):
        for w in range(LANES):
            total[w] += message[a, w]
    for w in range(LANES):
        log_scale[w] += np.log(total[w])
        total[w] = 1.0 / total[w] if total[w] > 0.0 else 0.0
    for a in range(message.shape[0]):
        for w in range(LANES):
            message[a, w] *= total[w]
            if message[a, w] < floor and message[a, w] > 0.0:
                smallest[w] = 1.0


@compiled()
def _up(rule: Ints, children: Floats, out: Floats) -> None:
    """out[a] = sum over rules r of prod_j children[j, rule[a, r, j]]; all (..., LANES)."""
    n_symbols, n_rules, branching = rule.shape
    part = np.empty(LANES)
    for a in range(n_symbols):
        for w in range(LANES):
            out[a, w] = 0.0
        for r in range(n_rules):
            for w in range(LANES):
                part[w] = 1.0
            for j in range(branching):
                symbol = rule[a, r, j]
                for w in range(LANES):
                    part[w] *= children[j, symbol, w]
            for w in range(LANES):
                out[a, w] += part[w]


@compiled()
def _down(rule: Ints, parent: Floats, children: Floats, out: Floats) -> None:
    """out[j, b] = sum over (a, r) with rule[a, r, j] = b of parent[a] prod_(k != j) children."""
    n_symbols, n_rules, branching = rule.shape
    before = np.empty((branching, LANES))
    after = np.empty(LANES)
    out[:] = 0.0
    for a in range(n_symbols):
        for r in range(n_rules):
            for w in range(LANES):
                before[0, w] = parent[a, w]
                after[w] = 1.0
            for j in range(1, branching):
                symbol = rule[a, r, j - 1]
                for w in range(LANES):
                    before[j, w] = before[j - 1, w] * children[j - 1, symbol, w]
            for j in range(branching - 1, -1, -1):
                symbol = rule[a, r, j]
                for w in range(LANES):
                    out[j, symbol, w] += before[j, w] * after[w]
                    after[w] *= children[j, symbol, w]


@compiled()
def _pair_tables(rules: Ints) -> tuple[Ints, Ints, Ints]:
    """For trees of branching 2, what `_pair_sums` takes: starts (depth, 3, v + 1), first and
    second (depth, 3, v m). Row 0: the upward message, rules by symbol, its two children; rows 1
    and 2: the downward message to each child, rules by that child, the symbol and the other."""
    depth, n_symbols, n_rules, _ = rules.shape
    starts = np.zeros((depth, 3, n_symbols + 1), np.int64)
    first = np.empty((depth, 3, n_symbols * n_rules), np.int64)
    second = np.empty_like(first)
    columns = np.empty((3, n_symbols * n_rules), np.int64)
    for k in range(depth):
        for n in range(n_symbols * n_rules):
            columns[0, n] = n // n_rules
            columns[1, n] = rules[k, n // n_rules, n % n_rules, 0]
            columns[2, n] = rules[k, n // n_rules, n % n_rules, 1]
        for row in range(3):
            place = np.argsort(columns[row], kind="mergesort")
            first[k, row] = columns[1 if row == 0 else 0][place]
            second[k, row] = columns[1 if row == 2 else 2][place]
            for key in columns[row]:
                starts[k, row, key + 1] += 1
            for b in range(n_symbols):
                starts[k, row, b + 1] += starts[k, row, b]
    return starts, first, second


@compiled()
def _pair_sums(
    starts: Ints, first: Ints, second: Ints, left: Floats, right: Floats, out: Floats
) -> None:
    """out[b] = sum of left[first[k]] right[second[k]] over starts[b] <= k < starts[b + 1].

    The messages of a binary tree, up and down; two products for each time out is written.
    """
    for b in range(out.shape[0]):
        total, k, stop = out[b], starts[b], starts[b + 1]
        for w in range(LANES):
            total[w] = 0.0
        while k + 1 < stop:
            p, q = left[first[k]], right[second[k]]
            s, t = left[first[k + 1]], right[second[k + 1]]
            for w in range(LANES):
                total[w] += p[w] * q[w] + s[w] * t[w]
            k += 2
        if k < stop:
            p, q = left[first[k]], right[second[k]]
            for w in range(LANES):
                total[w] += p[w] * q[w]


@compiled(nogil=True)
def scaled_pass(x_t: Ints, alpha: Floats, rules: Ints) -> tuple[NDArray[Any], ...]:
    """All messages for x_t (B, L), alpha (B,), rules (depth, v, m, s); O(B L v m s).

    Returns loo (B, L, v), rows of 0 where the context is impossible; classes (B, v), the
    posterior of the root; log p(x_t) (B,); and low (B,), 1 where the row has to be done again.
    """
    depth, n_symbols, n_rules, branching = rules.shape
    n_queries, seq_len = x_t.shape
    n_nodes = (seq_len * branching - 1) // (branching - 1)
    leaves = n_nodes - seq_len
    floor = 10.0 ** (-280.0 / (branching + 1))
    loo = np.empty((n_queries, seq_len, n_symbols))
    classes = np.empty((n_queries, n_symbols))
    log_prob = np.empty(n_queries)
    low = np.zeros(n_queries)
    up = np.empty((n_nodes, n_symbols, LANES))
    down = np.empty((branching, n_symbols, LANES))
    ignored = np.zeros(LANES)
    if branching == 2:
        starts, one, other = _pair_tables(rules)
    else:
        starts = one = other = np.empty((0, 0, 0), np.int64)
    for start in range(0, n_queries, LANES):
        n_lanes = min(LANES, n_queries - start)
        log_scale = np.zeros(LANES)
        small = np.zeros(LANES)
        for i in range(seq_len):
            for w in range(LANES):
                b = start + min(w, n_lanes - 1)
                masked = x_t[b, i] >= n_symbols  # says nothing
                for a in range(n_symbols):
                    up[leaves + i, a, w] = 1.0 if masked else (1.0 - alpha[b]) / n_symbols
                if not masked:
                    up[leaves + i, x_t[b, i], w] += alpha[b]
            _scale(up[leaves + i], log_scale, small, floor)
        first, width = leaves, seq_len
        for k in range(depth - 1, -1, -1):
            width //= branching
            for node in range(width):
                below = first + node * branching
                out = up[first - width + node]
                if branching == 2:
                    left, right = up[below], up[below + 1]
                    _pair_sums(starts[k, 0], one[k, 0], other[k, 0], left, right, out)
                else:
                    _up(rules[k], up[below : below + branching], out)
                _scale(out, log_scale, small, floor)
            first -= width
        for w in range(n_lanes):
            for a in range(n_symbols):
                classes[start + w, a] = up[0, a, w]
        # Downward messages take the place of the upward ones, which are needed no more.
        up[0] = 1.0 / n_symbols
        first, width = 0, 1
        for k in range(depth):
            for node in range(width):
                below = first + width + node * branching
                children = up[below : below + branching]
                parent = up[first + node]
                if branching == 2:
                    for j in range(1, 3):
                        rest = children[2 - j]
                        _pair_sums(starts[k, j], one[k, j], other[k, j], parent, rest, down[j - 1])
                else:
                    _down(rules[k], parent, children, down)
                children[:] = down
                for j in range(branching):
                    _scale(children[j], ignored, small, floor)
            first += width
            width *= branching
        n_choices = np.log(float(n_symbols)) + (leaves * np.log(float(n_rules)))
        for w in range(n_lanes):
            b = start + w
            log_prob[b] = log_scale[w] - n_choices
            low[b] = small[w]
            for i in range(seq_len):
                for a in range(n_symbols):
                    loo[b, i, a] = up[leaves + i, a, w]
    return loo, classes, log_prob, low


@compiled()
def _log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b)), -inf allowed."""
    high, low = max(a, b), min(a, b)
    return high if low == -np.inf else high + np.log1p(np.exp(low - high))


@compiled()
def _log_upward(x: Ints, alpha: float, rules: Ints) -> Floats:
    """Logs of the upward messages (nodes, v): log p(leaves below | symbol), rules uniform."""
    depth, n_symbols, n_rules, branching = rules.shape
    seq_len = x.shape[0]
    n_nodes = (seq_len * branching - 1) // (branching - 1)
    first, width = n_nodes - seq_len, seq_len
    up = np.full((n_nodes, n_symbols), -np.inf)
    for i in range(seq_len):
        for a in range(n_symbols):
            told = (1.0 - alpha) / n_symbols + alpha * (a == x[i])
            up[first + i, a] = 0.0 if x[i] >= n_symbols else np.log(told)
    for k in range(depth - 1, -1, -1):
        width //= branching
        for node in range(width):
            for a in range(n_symbols):
                total = -np.inf
                for r in range(n_rules):
                    part = -np.log(float(n_rules))
                    for j in range(branching):
                        part += up[first + node * branching + j, rules[k, a, r, j]]
                    total = _log_add(total, part)
                up[first - width + node, a] = total
        first -= width
    return up


@compiled(nogil=True)
def log_pass(x_t: Ints, alpha: Floats, rules: Ints) -> tuple[NDArray[Any], ...]:
    """As scaled_pass with logarithms throughout: log_loo (B, L, v), not normalized, the joint
    log law of x_t and the root (B, v), and log p(x_t) (B,)."""
    depth, n_symbols, n_rules, branching = rules.shape
    n_queries, seq_len = x_t.shape
    log_loo = np.empty((n_queries, seq_len, n_symbols))
    log_root = np.empty((n_queries, n_symbols))
    log_prob = np.full(n_queries, -np.inf)
    for b in range(n_queries):
        up = _log_upward(x_t[b], alpha[b], rules)
        down = np.full(up.shape, -np.inf)
        down[0] = -np.log(float(n_symbols))
        for a in range(n_symbols):
            log_root[b, a] = up[0, a] + down[0, a]
            log_prob[b] = _log_add(log_prob[b], log_root[b, a])
        first, width = 0, 1
        for k in range(depth):
            for node in range(width):
                below = first + width + node * branching
                for a in range(n_symbols):
                    for r in range(n_rules):
                        for j in range(branching):
                            part = down[first + node, a]
                            for other in range(branching):
                                if other != j:
                                    part += up[below + other, rules[k, a, r, other]]
                            symbol = rules[k, a, r, j]
                            down[below + j, symbol] = _log_add(down[below + j, symbol], part)
            first += width
            width *= branching
        log_loo[b] = down[first:]
    return log_loo, log_root, log_prob


@compiled()
def _draw_log(log_weight: Floats, uniform: float) -> int:
    """Index drawn in proportion to exp(log_weight); -1 where all are -inf."""
    peak = log_weight.max()
    if peak == -np.inf:
        return -1
    target = uniform * np.exp(log_weight - peak).sum()
    chosen, running = -1, 0.0
    for a in range(log_weight.shape[0]):
        weight = np.exp(log_weight[a] - peak)
        running += weight
        if weight > 0.0:
            chosen = a
            if running > target:
                break
    return chosen


@compiled(nogil=True)
def posterior_trees(x_t: Ints, alpha: Floats, uniforms: Floats, rules: Ints) -> NDArray[np.int64]:
    """One exact draw of all symbols of the tree given x_t: messages up, then draws down.

    uniforms (B, 1 + inner nodes) in [0, 1); returns (B, nodes), root first, leaves last,
    rows of -1 where x_t is impossible.
    """
    depth, _, n_rules, branching = rules.shape
    n_queries, seq_len = x_t.shape
    n_nodes = (seq_len * branching - 1) // (branching - 1)
    tree = np.full((n_queries, n_nodes), -1, np.int64)
    weight = np.empty(n_rules)
    for b in range(n_queries):
        up = _log_upward(x_t[b], alpha[b], rules)
        tree[b, 0] = _draw_log(up[0], uniforms[b, 0])
        if tree[b, 0] < 0:
            continue
        first, width = 0, 1
        for k in range(depth):
            for node in range(width):
                below = first + width + node * branching
                rule = rules[k, tree[b, first + node]]
                for r in range(n_rules):
                    weight[r] = 0.0
                    for j in range(branching):
                        weight[r] += up[below + j, rule[r, j]]
                chosen = _draw_log(weight, uniforms[b, 1 + first + node])
                for j in range(branching):
                    tree[b, below + j] = rule[chosen, j]
            first += width
            width *= branching
    return tree

"""Forward-backward of Markov chains and hidden Markov models, in numba.

A chain is a hidden Markov model whose emission is the identity. Laws are scaled to sum 1 at
each step. A row where a positive entry falls so low that a later product could underflow
(contradicting evidence in a model with zeros) is done again with logarithms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.surroundings.kernels import compiled

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]

LOW = 1e-90  # of an entry of a law; LOW**3 is still a number


@compiled()
def _evidence(token: int, alpha: float, emission: Floats, out: Floats) -> None:
    """out[h] = probability of the noisy `token` from state h; emission (H, V), (0, V) a chain. A
    masked one, V, says nothing."""
    vocab_size = emission.shape[1]
    if token >= vocab_size:
        for h in range(out.shape[0]):
            out[h] = 1.0
        return
    hidden = emission.shape[0] > 0
    for h in range(out.shape[0]):
        out[h] = (1.0 - alpha) / vocab_size + (alpha * emission[h, token] if hidden else 0.0)
    if not hidden:
        out[token] += alpha


@compiled()
def _normalize(row: Floats) -> float:
    """Scale `row` to sum 1 in place; return the sum (0 leaves the row at 0)."""
    total = 0.0
    for v in range(row.shape[0]):
        total += row[v]
    if total > 0:
        for v in range(row.shape[0]):
            row[v] /= total
    return total


@compiled()
def _low(row: Floats) -> bool:
    """Whether a positive entry is too small for the products to come."""
    for v in range(row.shape[0]):
        if 0.0 < row[v] < LOW:
            return True
    return False


@compiled()
def _times(row: Floats, matrix: Floats, out: Floats) -> None:
    """out = row @ matrix; written out, since numba's BLAS call compiles for 15 seconds."""
    for v in range(out.shape[0]):
        out[v] = 0.0
    for u in range(row.shape[0]):
        for v in range(out.shape[0]):
            out[v] += row[u] * matrix[u, v]


@compiled()
def _forward(
    x: Ints,
    alpha: float,
    initial: Floats,
    transition: Floats,
    emission: Floats,
    predicted: Floats,
    filtered: Floats,
) -> tuple[float, bool]:
    """predicted_i = law of state i given x_<i; filtered_i given x_<=i; log p(x); whether low."""
    log_prob, low = 0.0, False
    evidence = np.empty(initial.shape[0])
    for i in range(x.shape[0]):
        if i == 0:
            predicted[0] = initial
        else:
            _times(filtered[i - 1], transition, predicted[i])
        _evidence(x[i], alpha, emission, evidence)
        low = low or _low(predicted[i]) or _low(evidence)
        for h in range(evidence.shape[0]):
            filtered[i, h] = predicted[i, h] * evidence[h]
        log_prob += np.log(_normalize(filtered[i]))
        low = low or _low(filtered[i])
    return log_prob, low


@compiled()
def _log_times(row: Floats, log_matrix: Floats, out: Floats) -> None:
    """out[v] = log sum_u exp(row[u] + log_matrix[u, v]), each v with its own largest term."""
    for v in range(out.shape[0]):
        peak = -np.inf
        for u in range(row.shape[0]):
            peak = max(peak, row[u] + log_matrix[u, v])
        out[v] = peak
        if peak > -np.inf:
            total = 0.0
            for u in range(row.shape[0]):
                total += np.exp(row[u] + log_matrix[u, v] - peak)
            out[v] += np.log(total)


@compiled()
def _exponentials(row: Floats) -> float:
    """row = exp(row - largest entry) in place (zeros where all are -inf); the largest entry."""
    peak = -np.inf
    for h in range(row.shape[0]):
        peak = max(peak, row[h])
    for h in range(row.shape[0]):
        row[h] = np.exp(row[h] - peak) if peak > -np.inf else 0.0
    return peak


@compiled()
def _log_forward(
    x: Ints,
    alpha: float,
    initial: Floats,
    transition: Floats,
    emission: Floats,
    predicted: Floats,
    filtered: Floats,
) -> float:
    """As _forward, with unscaled logarithms of joint probabilities."""
    log_transition = np.log(transition)
    evidence = np.empty(initial.shape[0])
    predicted[0] = np.log(initial)
    for i in range(x.shape[0]):
        if i > 0:
            _log_times(filtered[i - 1], log_transition, predicted[i])
        _evidence(x[i], alpha, emission, evidence)
        for h in range(evidence.shape[0]):
            filtered[i, h] = predicted[i, h] + np.log(evidence[h])
    for h in range(evidence.shape[0]):
        evidence[h] = filtered[-1, h]
    peak = _exponentials(evidence)
    return peak + np.log(evidence.sum())


@compiled(nogil=True)
def smoother(
    x_t: Ints, alpha: Floats, initial: Floats, transition: Floats, emission: Floats, careful: bool
) -> tuple[NDArray[Any], ...]:
    """Forward-backward of tokens x_t (B, L) seen through the uniform channel.

    alpha (B,), initial (H,), transition (H, H), emission (H, V), or (0, V) for the identity;
    with `careful`, logarithms throughout. Returns log_loo (B, L, V), NaN in a row whose context
    has probability zero, log p(x_t) (B,), and low (B,): rows to be done again, carefully.
    O(B L (H^2 + H V)).
    """
    n_queries, seq_len = x_t.shape
    n_states, vocab_size = transition.shape[0], emission.shape[1]
    hidden = emission.shape[0] > 0
    log_loo = np.empty((n_queries, seq_len, vocab_size))
    log_prob = np.empty(n_queries)
    low = np.zeros(n_queries, np.bool_)
    transposed = np.ascontiguousarray(transition.T)
    log_transposed = np.log(transposed)
    predicted = np.empty((seq_len, n_states))
    filtered = np.empty((seq_len, n_states))
    evidence = np.empty(n_states)
    law = np.empty(n_states)
    tokens = np.empty(vocab_size)
    for b in range(n_queries):
        if careful:
            log_prob[b] = _log_forward(
                x_t[b], alpha[b], initial, transition, emission, predicted, filtered
            )
        else:
            log_prob[b], low[b] = _forward(
                x_t[b], alpha[b], initial, transition, emission, predicted, filtered
            )
        backward = np.full(n_states, 0.0 if careful else 1.0)
        for i in range(seq_len - 1, -1, -1):
            _evidence(x_t[b, i], alpha[b], emission, evidence)
            if careful:
                for h in range(n_states):
                    law[h] = predicted[i, h] + backward[h]
                    evidence[h] = np.log(evidence[h]) + backward[h]
                _exponentials(law)
                _log_times(evidence, log_transposed, backward)
            else:
                for h in range(n_states):
                    law[h] = predicted[i, h] * backward[h]
                    evidence[h] *= backward[h]
                _times(evidence, transposed, backward)
                _normalize(backward)
                low[b] = low[b] or _low(backward)
            possible = _normalize(law) > 0
            if hidden:
                _times(law, emission, tokens)
            for v in range(vocab_size):
                p = tokens[v] if hidden else law[v]
                log_loo[b, i, v] = np.log(p) if possible else np.nan
    return log_loo, log_prob, low


@compiled(nogil=True)
def draw_states(
    x_t: Ints,
    alpha: Floats,
    uniforms: Floats,
    initial: Floats,
    transition: Floats,
    emission: Floats,
) -> NDArray[np.int64]:
    """One exact joint draw of the states given x_t: filter forward, sample backward.

    uniforms (B, L) in [0, 1); returns states (B, L), -1 where x_t is impossible.
    """
    n_queries, seq_len = x_t.shape
    n_states = transition.shape[0]
    out = np.full((n_queries, seq_len), -1, np.int64)
    predicted = np.empty((seq_len, n_states))
    filtered = np.empty((seq_len, n_states))
    for b in range(n_queries):
        _, careful = _forward(x_t[b], alpha[b], initial, transition, emission, predicted, filtered)
        if careful:
            _log_forward(x_t[b], alpha[b], initial, transition, emission, predicted, filtered)
        for i in range(seq_len - 1, -1, -1):
            law = filtered[i].copy()
            if i < seq_len - 1:
                for h in range(n_states):
                    p = transition[h, out[b, i + 1]]
                    law[h] = law[h] + np.log(p) if careful else law[h] * p
            if careful:
                _exponentials(law)
            if not _normalize(law) > 0:
                break
            running = 0.0
            for h in range(n_states):
                running += law[h]
                if law[h] > 0:
                    out[b, i] = h
                    if running > uniforms[b, i]:
                        break
    return out

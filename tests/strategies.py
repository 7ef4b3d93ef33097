"""Hypothesis strategies that build valid, tiny problems: V <= 5, L <= 6, K <= 8."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

vocab_sizes = st.integers(2, 5)
seq_lens = st.integers(1, 6)
train_sizes = st.integers(1, 8)

# Kept fractions and noise levels, their ends included and often drawn.
alphas = st.sampled_from([0.0, 1.0]) | st.floats(0.0, 1.0, allow_subnormal=False)
inner_alphas = st.floats(1e-3, 0.999)
times = st.sampled_from([0.0, 1e-5, 1.0]) | st.floats(0.0, 1.0, allow_subnormal=False)


@st.composite
def probability_rows(draw, rows: int, vocab_size: int, positive: bool = False) -> np.ndarray:
    """Array (rows, V) of distributions, with zeros unless `positive`."""
    lowest = 1 if positive else 0
    table = draw(hnp.arrays(np.int64, (rows, vocab_size), elements=st.integers(lowest, 9)))
    sure = draw(hnp.arrays(np.int64, (rows,), elements=st.integers(0, vocab_size - 1)))
    table[np.arange(rows), sure] += table.sum(axis=1) == 0
    return table / table.sum(axis=1, keepdims=True)


def tokens(shape: tuple[int, ...], vocab_size: int) -> st.SearchStrategy[np.ndarray]:
    """Integer array of tokens in [0, V)."""
    return hnp.arrays(np.int64, shape, elements=st.integers(0, vocab_size - 1))


@st.composite
def channels(draw, alpha=alphas, positive: bool = False) -> dict:
    """A distribution and tokens for each of L sites, with a kept fraction."""
    vocab_size, seq_len = draw(vocab_sizes), draw(seq_lens)
    return {
        "vocab_size": vocab_size,
        "probs": draw(probability_rows(seq_len, vocab_size, positive)),
        "x_t": draw(tokens((seq_len,), vocab_size)),
        "x_0": draw(tokens((seq_len,), vocab_size)),
        "alpha": draw(alpha),
    }


@st.composite
def stored_patterns(draw, alpha=inner_alphas, max_states: int = 256) -> dict:
    """Stored sequences (K, L), repeats included, with a query of the same length."""
    vocab_size = draw(vocab_sizes)
    longest = int(np.log(max_states) / np.log(vocab_size) + 1e-9)
    seq_len, train_size = draw(st.integers(1, min(6, longest))), draw(train_sizes)
    patterns = draw(tokens((train_size, seq_len), vocab_size))
    if draw(st.booleans()):
        patterns[-1] = patterns[0]
    return {
        "vocab_size": vocab_size,
        "patterns": patterns,
        "x_t": draw(tokens((seq_len,), vocab_size)),
        "alpha": draw(alpha),
    }


@st.composite
def memories(draw, alpha=alphas) -> dict:
    """Arguments of the random-pattern formulas."""
    return {
        "train_size": draw(train_sizes),
        "seq_len": draw(seq_lens),
        "vocab_size": draw(vocab_sizes),
        "alpha": draw(alpha),
    }

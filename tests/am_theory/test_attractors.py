"""Volumes of the nearest stored sequence: enumeration of all sets, simulation, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.empirical import attractor_overlap, effective_attractors
from tests import oracles, strategies
from tests.helpers import assert_close, within_standard_errors

ENUMERATED = [(1, 3, 2), (3, 3, 2), (4, 2, 2), (2, 2, 3), (3, 1, 4), (2, 1, 5), (3, 2, 3)]


def overlap(stored, V, starts=None):
    """Sum of squared volumes of the nearest of (K, L), ties to the first; of drawn starts without
    bias, of all V^L otherwise."""
    points = oracles.all_sequences(V, stored.shape[1]) if starts is None else starts
    owner = (points[:, None] == stored).sum(-1).argmax(1)
    count = np.bincount(owner, minlength=len(stored)).astype(float)
    if starts is None:
        return np.sum((count / len(points)) ** 2)
    return np.sum(count * (count - 1)) / (len(points) * (len(points) - 1))


@pytest.mark.parametrize("K, L, V", ENUMERATED)
def test_overlap_equals_enumeration(K, L, V):
    seqs = oracles.all_sequences(V, L)
    sets = seqs[oracles.all_sequences(len(seqs), K)]
    assert_close(attractor_overlap(K, L, V), np.mean([overlap(s, V) for s in sets]))


@pytest.mark.parametrize("K, L, V", [(30, 8, 2), (50, 5, 4), (200, 16, 4), (100, 12, 8)])
def test_overlap_against_simulation(K, L, V):
    rng, found = np.random.default_rng(6), []
    for _ in range(80):
        starts = None if V**L <= 1024 else rng.integers(0, V, (2000, L))
        found.append(overlap(rng.integers(0, V, (K, L)), V, starts))
    within_standard_errors(found, attractor_overlap(K, L, V))


@given(strategies.train_sizes, strategies.seq_lens, strategies.vocab_sizes)
def test_bounds(K, L, V):
    found = effective_attractors(K, L, V)
    assert 1 - 1e-12 <= found <= min(K, float(V) ** L) * (1 + 1e-12)
    assert_close(found, 1 / attractor_overlap(K, L, V))


@given(st.integers(1, 12), st.sampled_from([2, 3, 7]))
def test_sequences_of_one_token(K, V):
    """Two different tokens share an owner if neither is stored, or if the first stored sequence is
    one of them and the other is not stored; both are then owned by the first."""
    neither, one = (1 - 2 / V) ** K, 2 / V * (1 - 1 / V) ** (K - 1)
    assert_close(attractor_overlap(K, 1, V), 1 / V + (1 - 1 / V) * (neither + one))


def test_limits():
    sizes = np.array([1.0, 10.0, 1e3, 1e5, 1e9])
    found = effective_attractors(sizes, 8, 4)
    assert found.shape == (5,) and found[0] == 1 and np.all(np.diff(found) > 0)
    assert_close(found[-1], 4.0**8, rtol=1e-6)  # every sequence is stored and owns itself
    # far fewer than V^L: volumes differ by their surroundings alone, and even out with L
    shares = [effective_attractors(1000, L, 4) / 1000 for L in (8, 16, 32)]
    assert 0 < shares[0] < shares[1] < shares[2] < 1
    assert effective_attractors(1e12, 32, 4) < 1e12
    assert isinstance(attractor_overlap(5, 3, 65536), float)
    assert_close(effective_attractors([1.0, 1e300], 4, 3), np.array([1.0, 81.0]))
    for V in (2, 64):  # laws whose tails are below any rounding
        assert 0.7 < effective_attractors(1000, 80, V) / 1000 < 1


BAD = [
    (lambda: attractor_overlap(0, 8, 4), "`train_size` must be finite"),
    (lambda: attractor_overlap(9, 2.5, 4), "`seq_len` must be a whole number"),
    (lambda: effective_attractors(9, 8, 1), "`vocab_size` must be a whole number"),
]


@pytest.mark.parametrize("call, fragment", BAD)
def test_bad_input(call, fragment):
    with pytest.raises(ValueError) as caught:
        call()
    assert fragment in str(caught.value)

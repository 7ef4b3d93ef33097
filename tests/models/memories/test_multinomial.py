"""Rows of multinomial regression: gradients by differences, both ways of adding them up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad

from models.memories.multinomial import (
    couplings,
    inputs_of,
    loss_and_gradient,
    loss_and_gradient_by_tables,
    simplex,
)
from tests.helpers import assert_close


def drawn(rng, vocab_size, seq_len, train_size, biases):
    """Rows (L, V - 1, D) blind to their own sites, and patterns."""
    rank = vocab_size - 1
    rows = rng.normal(size=(seq_len, rank, seq_len * rank + biases))
    couplings(rows)[np.arange(seq_len), :, np.arange(seq_len)] = 0
    return rows, rng.integers(vocab_size, size=(train_size, seq_len)).astype(np.uint8)


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("vocab_size", [2, 3, 5])
def test_gradient_is_that_of_the_loss(vocab_size, biases):
    seq_len, sites = 4, np.arange(4)
    rows, patterns = drawn(np.random.default_rng(vocab_size), vocab_size, seq_len, 7, biases)
    inputs, basis = inputs_of(patterns, vocab_size, biases), simplex(vocab_size)

    def part(flat, which):
        own = flat.reshape(rows.shape).copy()
        couplings(own)[sites, :, sites] = 0
        return loss_and_gradient(own, inputs, patterns, basis, 0.3)[which]

    loss, gradient = (lambda w: part(w, 0)), (lambda w: part(w, 1).ravel())
    assert check_grad(loss, gradient, rows.ravel()) < 1e-5
    assert np.abs(couplings(gradient(rows).reshape(rows.shape))[sites, :, sites]).max() == 0
    assert inputs.shape == (7, rows.shape[2])


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(1, 6), st.integers(1, 150))
def test_tables_add_up_to_the_products(seed, vocab_size, seq_len, train_size):
    rows, patterns = drawn(np.random.default_rng(seed), vocab_size, seq_len, train_size, True)
    inputs, basis = inputs_of(patterns, vocab_size, True), simplex(vocab_size)
    loss, gradient = loss_and_gradient(rows, inputs, patterns, basis, 0.3)
    other, other_gradient = loss_and_gradient_by_tables(rows, patterns, basis, 0.3)
    assert_close(other, loss)
    assert_close(other_gradient, gradient, atol=1e-13 * train_size)


def test_fields_far_apart_neither_overflow_nor_lose_the_loss():
    rows, patterns = drawn(np.random.default_rng(1), 3, 4, 20, True)
    inputs, basis = inputs_of(patterns, 3, True), simplex(3)
    loss, gradient = loss_and_gradient(1e4 * rows, inputs, patterns, basis, 1e-3)
    other, other_gradient = loss_and_gradient_by_tables(1e4 * rows, patterns, basis, 1e-3)
    assert np.isfinite(loss)
    assert_close(other, loss)
    assert_close(other_gradient, gradient, atol=1e-9)


@given(st.integers(2, 9))
def test_simplex_is_an_orthonormal_basis_without_the_sum(vocab_size):
    basis = simplex(vocab_size)
    assert_close(basis.T @ basis, np.eye(vocab_size - 1), atol=1e-14)
    assert_close(basis @ basis.T, np.eye(vocab_size) - 1 / vocab_size, atol=1e-14)

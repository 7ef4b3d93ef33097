"""One site's row of a pseudo-likelihood memory, fitted by Newton's method at ever weaker ridges.

Rows of a memory are fitted apart, so that a few of them tell what all do: at L = 256 a row takes
a second where the whole memory takes minutes. Units are those of
`am_theory.conditional_likelihood`: logits Q W x / sqrt(2 d), x the d inputs of unit variance, and
the ridge times |W|^2 / 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import logsumexp

from models.memories.multinomial import simplex

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

SMALL = 1e-9  # of Newton's decrement over the objective, where a fit ends
STEPS = 200  # of Newton's method at a ridge, at most


class Row(NamedTuple):
    """W (V - 1, d), and whether it is at its minimum."""

    weights: Floats
    converged: bool


def inputs_of(tokens: Ints, site: int, vocab_size: int) -> Floats:
    """x / sqrt(2 d) of the tokens (K, L) at all sites but one, (K, d)."""
    rest = np.delete(tokens, site, axis=1)
    inputs = simplex(vocab_size)[rest].reshape(len(tokens), -1)
    return np.asarray(inputs * np.sqrt(vocab_size / (2 * inputs.shape[1])))


def log_law(inputs: Floats, weights: Floats) -> Floats:
    """Log probabilities (K, V) of the site's tokens."""
    logits = inputs @ weights.T @ simplex(len(weights) + 1).T
    return np.asarray(logits - logsumexp(logits, axis=1, keepdims=True))


def fit_row(inputs: Floats, targets: Ints, vocab_size: int, ridges: Sequence[float]) -> list[Row]:
    """The rows at decreasing ridges, each from the one before.

    >>> inputs = inputs_of(np.array([[0, 1], [1, 0]]), 0, 2)
    >>> [float(row.weights[0, 0].round(3)) for row in fit_row(inputs, np.array([0, 1]), 2, [1.0])]
    [-0.675]
    """
    weights, rows = np.zeros((vocab_size - 1, inputs.shape[1])), []
    for ridge in ridges:
        rows.append(_newton(inputs, targets, weights, ridge))
        weights = rows[-1].weights
    return rows


def _newton(inputs: Floats, targets: Ints, weights: Floats, ridge: float) -> Row:
    basis = simplex(len(weights) + 1)

    def objective(weights: Floats) -> tuple[float, Floats]:
        law = log_law(inputs, weights)
        own = law[np.arange(len(law)), targets]
        return float(ridge / 2 * (weights**2).sum() - own.sum()), np.exp(law)

    value, law = objective(weights)
    for _ in range(STEPS):
        slope = (law @ basis - basis[targets]).T @ inputs + ridge * weights
        move = -cho_solve(_curvature(inputs, law, basis, ridge), slope.ravel())
        move = move.reshape(weights.shape)
        decrement = -float((slope * move).sum())
        if decrement < SMALL * value:
            return Row(weights + move, True)
        size = 1.0
        while (tried := objective(weights + size * move))[0] > value - 1e-4 * size * decrement:
            size /= 2
            if size < 1e-12:
                return Row(weights, False)
        weights, (value, law) = weights + size * move, tried
    return Row(weights, False)


def _curvature(inputs: Floats, law: Floats, basis: Floats, ridge: float) -> tuple[Floats, bool]:
    """Cholesky factor of the Hessian of a row's objective, unknowns in the order of `weights`."""
    rank, size = basis.shape[1], inputs.shape[1]
    hessian = np.empty((rank, size, rank, size))
    means = law @ basis
    for a in range(rank):
        for b in range(a + 1):
            share = law @ (basis[:, a] * basis[:, b]) - means[:, a] * means[:, b]
            hessian[a, :, b] = (inputs * share[:, None]).T @ inputs
            hessian[b, :, a] = hessian[a, :, b]
    flat = hessian.reshape(rank * size, rank * size)
    flat[np.diag_indices_from(flat)] += ridge
    factor: tuple[Floats, bool] = cho_factor(flat, lower=True, overwrite_a=True, check_finite=False)
    return factor

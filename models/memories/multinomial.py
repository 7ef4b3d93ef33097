"""Rows of multinomial logistic regression, all sites at once: objective, gradient and fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.memories.retrieval import TokenMemory
from models.tokens import Tokens

Floats = NDArray[np.float64]

TOLERANCE = 1e-3  # bound on a row's relative error, below which it counts as converged
ROUNDING = 1e-12  # gradients of one pattern below it stand for 0


def simplex(vocab_size: int) -> Floats:
    """Q (V, V - 1) with Q^T Q = 1 and columns of sum 0; at V = 2 the spins over sqrt(2).

    >>> simplex(2).round(3).tolist()
    [[-0.707], [0.707]]
    """
    steps = np.arange(1, vocab_size)
    rows = np.arange(vocab_size)[:, None]
    contrast = np.where(rows < steps, -1.0, np.where(rows == steps, steps, 0.0))
    return np.asarray(contrast / np.sqrt(steps * (steps + 1.0)))


def fit(stored: TokenMemory, penalty: float, max_iter: int, start: Floats) -> tuple[Floats, Floats]:
    """Weights of all rows, by one L-BFGS on their sum from `start`, and their error bounds.

    A strongly convex row is within |gradient| / penalty of its minimum: that bounds the error.
    Rows whose gradient vanishes at W = 0 have their minimum there, and are left out.
    """
    inputs, basis = inputs_of(stored.patterns, stored.vocab_size), simplex(stored.vocab_size)

    def evaluate(weights: Floats) -> tuple[float, Floats]:
        return loss_and_gradient(weights, inputs, stored.patterns, basis, penalty)

    idle = norms_of(evaluate(np.zeros_like(start))[1]) < ROUNDING * stored.train_size
    bound = np.full(len(start), np.inf)

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(start.shape)
        loss, gradient = evaluate(weights)
        gradient[idle] = 0
        size = penalty * norms_of(weights)
        bound[:] = np.where(idle, 0.0, np.inf)
        np.divide(norms_of(gradient), size, out=bound, where=~idle & (size > 0))
        return loss, gradient.ravel()

    def stop(_: Floats) -> None:
        if (bound < TOLERANCE).all():
            raise StopIteration

    found = minimize(
        objective,
        np.where(idle[:, None, None, None], 0.0, start).ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=stop,
        options={"maxiter": max_iter, "maxfun": 4 * max_iter, "maxcor": 5, "ftol": 0, "gtol": 0},
    )
    objective(found.x)  # the last point tried need not be the best
    return found.x.reshape(start.shape), bound


def loss_and_gradient(
    weights: Floats, inputs: Floats, patterns: Tokens, basis: Floats, penalty: float
) -> tuple[float, Floats]:
    """Sum over sites of the objective, and its gradient of the shape of `weights`."""
    train_size, seq_len = patterns.shape
    fields = np.tensordot(basis, coordinates_of(inputs, weights), (1, 2))  # V first: fast sums
    own = patterns[None].astype(np.intp)
    fields -= np.take_along_axis(fields, own, 0)
    top = fields.max(axis=0)
    law = np.exp(fields - top)
    total = law.sum(axis=0)
    loss = (np.log(total) + top).sum() + penalty / 2 * (weights**2).sum()
    law /= total
    np.put_along_axis(law, own, np.take_along_axis(law, own, 0) - 1, 0)
    excess = np.tensordot(law, basis, (0, 0)).reshape(train_size, -1)
    gradient = (excess.T @ inputs).reshape(weights.shape)
    sites = np.arange(seq_len)
    gradient[sites, :, sites] = 0  # no site sees itself
    return float(loss), gradient + penalty * weights


def inputs_of(tokens: Tokens, vocab_size: int) -> Floats:
    """Centred one-hot tokens in the coordinates of `simplex`, over sqrt(L), (batch, L (V - 1))."""
    batch, seq_len = tokens.shape
    coordinates = simplex(vocab_size)[tokens] / np.sqrt(seq_len)
    return coordinates.reshape(batch, seq_len * (vocab_size - 1))


def coordinates_of(inputs: Floats, weights: Floats) -> Floats:
    """Fields in the coordinates of `simplex`, (batch, L, V - 1)."""
    seq_len, rank = weights.shape[:2]
    return (inputs @ weights.reshape(seq_len * rank, -1).T).reshape(len(inputs), seq_len, rank)


def norms_of(weights: Floats) -> Floats:
    norms: Floats = np.sqrt((weights**2).sum(axis=(1, 2, 3)))
    return norms

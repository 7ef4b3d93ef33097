"""Rows of multinomial logistic regression, all sites at once: objective, gradient and fit.

Site i has the fields z_i(v), and its row minimizes over K patterns

    - sum_mu log softmax_v z_i(v) at xi_i^mu + (penalty / 2) |row_i|^2.

Everything is kept in the V - 1 coordinates of `simplex`, in which nothing has a sum over tokens.
Rows are arrays (L, V - 1, D), and z_i = Q (row_i inputs) for the inputs (batch, D) of `inputs_of`:
the D = L (V - 1) coordinates of all tokens over sqrt(L), of norm sqrt(1 - 1 / V), and with biases
a last one that is always 1. What a row has at its own site is 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.memories import _multinomial_kernels as kernels
from models.tokens import Tokens

Floats = NDArray[np.float64]

TOLERANCE = 1e-3  # bound on a row's relative error, below which it counts as converged
ROUNDING = 1e-12  # gradients of one pattern below it stand for 0
BLOCK = 64  # patterns whose fields stay in the cache


def simplex(vocab_size: int) -> Floats:
    """Q (V, V - 1) with Q^T Q = 1 and columns of sum 0; at V = 2 the spins over sqrt(2).

    >>> simplex(2).round(3).tolist()
    [[-0.707], [0.707]]
    """
    steps = np.arange(1, vocab_size)
    rows = np.arange(vocab_size)[:, None]
    contrast = np.where(rows < steps, -1.0, np.where(rows == steps, steps, 0.0))
    return np.asarray(contrast / np.sqrt(steps * (steps + 1.0)))


def inputs_of(tokens: Tokens, vocab_size: int, biases: bool = False) -> Floats:
    """Centred one-hot tokens (batch, L) in the coordinates of `simplex`, over sqrt(L), (batch, D);
    with `biases` one more column, of ones."""
    batch, seq_len = tokens.shape
    coordinates = simplex(vocab_size)[tokens] / np.sqrt(seq_len)
    inputs = coordinates.reshape(batch, seq_len * (vocab_size - 1))
    return np.hstack([inputs, np.ones((batch, 1))]) if biases else inputs


def coordinates_of(inputs: Floats, rows: Floats) -> Floats:
    """Fields in the coordinates of `simplex`, (batch, L, V - 1), of inputs (batch, D)."""
    seq_len, rank = rows.shape[:2]
    return (inputs @ rows.reshape(seq_len * rank, -1).T).reshape(len(inputs), seq_len, rank)


def couplings(rows: Floats) -> Floats:
    """The view (L, V - 1, L, V - 1) of rows without their biases."""
    seq_len, rank = rows.shape[:2]
    return rows[..., : seq_len * rank].reshape(seq_len, rank, seq_len, rank)


def norms_of(rows: Floats) -> Floats:
    """|row_i|, (L,), biases included."""
    norms: Floats = np.sqrt((rows**2).sum(axis=(1, 2)))
    return norms


def fit(
    patterns: Tokens,
    vocab_size: int,
    penalty: float,
    start: Floats,
    *,
    max_iter: int = 2000,
    tolerance: float = TOLERANCE,
) -> tuple[Floats, Floats]:
    """Rows (L, V - 1, D), by one L-BFGS on their sum from `start`, and their error bounds (L,).

    `start` has biases or not; it stops when every bound is below `tolerance`. A strongly convex
    row is within |gradient| / penalty of its minimum: that, over its norm, is the bound. Biases
    are under the penalty as well, so that it holds with them too. Rows whose gradient vanishes at
    0 have their minimum there, and are left out.
    """
    biases = start.shape[2] > start.shape[0] * start.shape[1]
    basis = simplex(vocab_size)
    inputs = np.empty((0, 0)) if biases else inputs_of(patterns, vocab_size)
    scale = np.ones(start.shape[2])
    if biases:  # L-BFGS moves in units in which all inputs have a size of (L V)^-1/2
        scale[-1] /= np.sqrt(len(start) * vocab_size)

    def evaluate(rows: Floats) -> tuple[float, Floats]:
        if biases:
            return loss_and_gradient_by_tables(rows, patterns, basis, penalty)
        return loss_and_gradient(rows, inputs, patterns, basis, penalty)

    idle = norms_of(evaluate(np.zeros_like(start))[1]) < ROUNDING * len(patterns)
    bound = np.full(len(start), np.inf)

    def objective(flat: Floats) -> tuple[float, Floats]:
        rows = flat.reshape(start.shape) * scale
        loss, gradient = evaluate(rows)
        gradient[idle] = 0
        size = penalty * norms_of(rows)
        bound[:] = np.where(idle, 0.0, np.inf)
        np.divide(norms_of(gradient), size, out=bound, where=~idle & (size > 0))
        return loss, (gradient * scale).ravel()

    def stop(_: Floats) -> None:
        if (bound < tolerance).all():
            raise StopIteration

    found = minimize(
        objective,
        np.where(idle[:, None, None], 0.0, start / scale).ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=stop,
        options={"maxiter": max_iter, "maxfun": 4 * max_iter, "maxcor": 5, "ftol": 0, "gtol": 0},
    )
    objective(found.x)  # the last point tried need not be the best
    return found.x.reshape(start.shape) * scale, bound


def loss_and_gradient(
    rows: Floats, inputs: Floats, patterns: Tokens, basis: Floats, penalty: float
) -> tuple[float, Floats]:
    """Sum over sites of the objective in nats, and its gradient of the shape of `rows`."""
    train_size = len(patterns)
    fields = np.tensordot(basis, coordinates_of(inputs, rows), (1, 2))  # V first: fast sums
    own = patterns[None].astype(np.intp)
    fields -= np.take_along_axis(fields, own, 0)
    top = fields.max(axis=0)
    law = np.exp(fields - top)
    total = law.sum(axis=0)
    loss = (np.log(total) + top).sum() + penalty / 2 * (rows**2).sum()
    law /= total
    np.put_along_axis(law, own, np.take_along_axis(law, own, 0) - 1, 0)
    excess = np.tensordot(law, basis, (0, 0)).reshape(train_size, -1)
    gradient = (excess.T @ inputs).reshape(rows.shape)
    sites = np.arange(len(rows))
    couplings(gradient)[sites, :, sites] = 0  # no site sees itself
    return float(loss), gradient + penalty * rows


def loss_and_gradient_by_tables(
    rows: Floats, patterns: Tokens, basis: Floats, penalty: float
) -> tuple[float, Floats]:
    """`loss_and_gradient` of rows with biases, its sums in another order.

    Fields and gradient are added up by token, 2 K L^2 V operations in place of the
    4 K L^2 (V - 1)^2 of products with the inputs: at V = L = 16 three to four times as fast.
    """
    seq_len, (vocab_size, _) = len(rows), basis.shape
    per_input = 1 / np.sqrt(seq_len)
    size = seq_len * vocab_size
    blocks = np.einsum("wb,iajb,va->jwiv", basis, couplings(rows), basis, optimize=True)
    table = np.ascontiguousarray(blocks).reshape(size, size) * per_input
    shift = (rows[..., -1] @ basis.T).ravel()
    table_sum, shift_sum, loss = np.zeros_like(table), np.zeros(size), 0.0
    fields, totals = np.empty((BLOCK, size)), np.empty((BLOCK, seq_len))
    for first in range(0, len(patterns), BLOCK):
        part = patterns[first : first + BLOCK]
        z, total = fields[: len(part)], totals[: len(part)]
        loss += kernels.fields_below_top(part, table, shift, z)
        np.exp(z, out=z)
        kernels.add_excess(part, z, table_sum, shift_sum, total)
        loss += float(np.log(total).sum())
    gradient = np.empty_like(rows)
    blocks = table_sum.reshape(seq_len, vocab_size, seq_len, vocab_size) * per_input
    couplings(gradient)[:] = np.einsum("wb,jwiv,va->iajb", basis, blocks, basis, optimize=True)
    gradient[..., -1] = shift_sum.reshape(seq_len, vocab_size) @ basis
    sites = np.arange(seq_len)
    couplings(gradient)[sites, :, sites] = 0
    return float(loss + penalty / 2 * (rows**2).sum()), gradient + penalty * rows

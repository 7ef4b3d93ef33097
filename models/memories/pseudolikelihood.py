"""The pseudo-likelihood memory: every site's law given the others, fitted; it has no energy.

    p(x_i = v | rest) = softmax_v z_i(v),   z_i(v) = L^(-1/2) sum_{j != i} W_i[v, j, x_j]

each site's weights W_i minimize - sum_mu log p(xi_i^mu | rest) + (penalty / 2) |W_i|^2: the
multinomial logistic regression of a site on the others' one-hot tokens. There are no biases:
W_i sums to 0 over v and over x_j. Rows are fitted apart, so that couplings need not be
symmetric. At V = 2, W_i[v, j, w] = w_ij s_v s_w / 2 with spins s, and the objective is
sum_mu log(1 + exp(-xi_i h_i)) + (penalty / 2) |w_i|^2, h_i = L^(-1/2) sum_j w_ij xi_j.

Weak penalties tend to the rows of maximum margin, strong ones to the Potts (Hebb) rule.
Source: D'Amico, Bocchi, Del Bono, Rossi, Negri 2025 (arXiv:2507.05147).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from am_theory import channel
from models.memories.retrieval import Sweep, TokenMemory, check_patterns
from models.memory_size import refuse_beyond_memory
from models.tokens import Tokens, check_level, check_tokens

Floats = NDArray[np.float64]

TOLERANCE = 1e-3  # bound on a row's relative error, below which it counts as converged
ROUNDING = 1e-12  # gradients of one pattern below it stand for 0
COPIES = 20  # of the weights, held at once by the fit
TIE = 1e-9  # fields that differ by less, in units of the row's norm, are tied


@dataclass(frozen=True, eq=False)
class PseudolikelihoodMemory(TokenMemory):
    """Fitted rows; made by `store`. Also a denoiser of the small-noise law.

    weights (L, V - 1, L, V - 1): W_i[:, j] = Q weights[i, :, j] Q^T with Q = `simplex(V)`, of
    the same norm; at V = 2 the w_ij. error_bound (L,): an upper bound on a row's distance from
    the minimum over its norm, |gradient| / (penalty |W_i|); converged (L,): it is below 1e-3.
    Retrieval: x_i <- argmax_v z_i(v); a token tied for the largest field stays, of others the
    smallest is taken. As there is no energy (the record's is NaN), either update may cycle;
    cycles of two are noticed, longer ones run to `max_iter`, and both are reported as not
    converged. A sweep costs a query L^2 (V - 1)^2.

    >>> memory = store([[0, 1, 2, 3, 0], [3, 3, 1, 0, 2]], vocab_size=4)
    >>> memory.retrieve([[0, 1, 2, 0, 0]]).states.tolist()
    [[0, 1, 2, 3, 0]]
    """

    weights: Floats
    penalty: float
    error_bound: Floats
    schedule: Any

    @property
    def converged(self) -> NDArray[np.bool_]:
        return self.error_bound < TOLERANCE

    @property
    def norms(self) -> Floats:
        """|W_i| of each row, (L,); its square over L is the norm q of the theory."""
        return _norms(self.weights)

    def fields(self, states: ArrayLike) -> Floats:
        """z_i(v) of states (batch, L), (batch, L, V), in nats; they sum to 0 over v."""
        return self._fields(check_tokens(states, self.vocab_size, self.seq_len, "states"))

    def log_loo(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """log p(x_i = v | rest) of the fitted rows at x_t (batch, L), (batch, L, V).

        The rows know no noise: whatever `t`, this is their estimate of the law at t -> 0, and
        is no leave-one-out law of the channel at larger t.
        """
        tokens = check_tokens(x_t, self.vocab_size, self.seq_len)
        check_level(t, len(tokens))
        return np.asarray(log_softmax(self._fields(tokens), axis=-1))

    def sweep(self, sequential: bool, sites: NDArray[np.int64]) -> Sweep:
        margins = TIE * self.norms

        def at_once(states: Tokens) -> Tokens:
            return _choose(self._fields(states), states, margins)

        def one_by_one(states: Tokens) -> Tokens:
            new, rank = states.copy(), self.vocab_size - 1
            basis = simplex(self.vocab_size)
            inputs = _inputs(new, self.vocab_size)
            for i in sites:
                fields = inputs @ self.weights[i].reshape(rank, -1).T @ basis.T
                new[:, i] = _choose(fields, new[:, i], margins[i])
                own = basis[new[:, i]] / np.sqrt(self.seq_len)
                inputs[:, i * rank : (i + 1) * rank] = own
            return new

        return one_by_one if sequential else at_once

    def energy(self, states: ArrayLike) -> Floats:
        """NaN: rows fitted one by one are the gradient of nothing."""
        return np.full(len(np.asarray(states)), np.nan)

    def _fields(self, tokens: Tokens) -> Floats:
        inputs = _inputs(tokens, self.vocab_size)
        return _coordinates(inputs, self.weights) @ simplex(self.vocab_size).T


def store(
    patterns: ArrayLike,
    vocab_size: int,
    *,
    penalty: float = 1e-3,
    max_iter: int = 2000,
    schedule: Any = channel.LogLinear(),
) -> PseudolikelihoodMemory:
    """A memory of `patterns` (K, L), tokens in [0, vocab_size); duplicates count twice.

    penalty: weight of the L2 term, in units of one pattern's nats; it is positive, since rows
    that separate the patterns have no largest norm. A small `max_iter`, steps of L-BFGS from
    W = 0, is early stopping. Rows that have not converged are kept, and told in `converged`.

    Cost of a step: 4 K L^2 (V - 1)^2 operations, and about 20 copies of the weights are held.

    Raises TokenRangeError for tokens out of range or of a wrong dtype, ValueError for K = 0, a
    penalty that is not positive and `max_iter` below 1.
    """
    tokens = check_patterns(patterns, vocab_size)
    if not 0 < penalty < np.inf:
        raise ValueError(
            f"`penalty` must be positive and finite; got {penalty}. For early stopping take a "
            "small one, 1e-6, and a small `max_iter`."
        )
    if int(max_iter) != max_iter or max_iter < 1:
        raise ValueError(f"`max_iter` must be an integer of at least 1; got {max_iter}.")
    block = (tokens.shape[1], int(vocab_size) - 1)
    size = 8.0 * (block[0] * block[1]) ** 2
    refuse_beyond_memory(
        COPIES * size,
        f"fitting {size / 2**30:.1f} GiB of weights, (L (V - 1))^2 = {block[0] * block[1]}^2,",
        "use shorter sequences or a smaller vocabulary",
    )
    start, unknown = np.zeros((*block, *block)), np.full(block[0], np.inf)
    memory = PseudolikelihoodMemory(
        tokens, int(vocab_size), start, float(penalty), unknown, schedule
    )
    weights, bound = fit(memory, float(penalty), int(max_iter), start)
    return replace(memory, weights=weights, error_bound=bound)


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
    inputs, basis = _inputs(stored.patterns, stored.vocab_size), simplex(stored.vocab_size)

    def evaluate(weights: Floats) -> tuple[float, Floats]:
        return loss_and_gradient(weights, inputs, stored.patterns, basis, penalty)

    idle = _norms(evaluate(np.zeros_like(start))[1]) < ROUNDING * stored.train_size
    bound = np.full(len(start), np.inf)

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(start.shape)
        loss, gradient = evaluate(weights)
        gradient[idle] = 0
        size = penalty * _norms(weights)
        bound[:] = np.where(idle, 0.0, np.inf)
        np.divide(_norms(gradient), size, out=bound, where=~idle & (size > 0))
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
    fields = np.tensordot(basis, _coordinates(inputs, weights), (1, 2))  # V first: fast sums
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


def _inputs(tokens: Tokens, vocab_size: int) -> Floats:
    """Centred one-hot tokens in the coordinates of `simplex`, over sqrt(L), (batch, L (V - 1))."""
    batch, seq_len = tokens.shape
    coordinates = simplex(vocab_size)[tokens] / np.sqrt(seq_len)
    return coordinates.reshape(batch, seq_len * (vocab_size - 1))


def _coordinates(inputs: Floats, weights: Floats) -> Floats:
    """Fields in the coordinates of `simplex`, (batch, L, V - 1)."""
    seq_len, rank = weights.shape[:2]
    return (inputs @ weights.reshape(seq_len * rank, -1).T).reshape(len(inputs), seq_len, rank)


def _norms(weights: Floats) -> Floats:
    norms: Floats = np.sqrt((weights**2).sum(axis=(1, 2, 3)))
    return norms


def _choose(fields: Floats, tokens: Tokens, margin: Floats) -> Tokens:
    """The token there where its field ties for the largest, else the smallest that does."""
    tied = fields >= (fields.max(axis=-1) - margin)[..., None]
    stays = np.take_along_axis(tied, tokens[..., None].astype(np.intp), -1)[..., 0]
    return np.where(stays, tokens, tied.argmax(axis=-1).astype(tokens.dtype))

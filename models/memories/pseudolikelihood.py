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
from scipy.special import log_softmax

from am_theory import channel
from models.memories.multinomial import (
    TOLERANCE,
    coordinates_of,
    fit,
    inputs_of,
    norms_of,
    simplex,
)
from models.memories.retrieval import Sweep, TokenMemory, check_patterns
from models.memory_size import refuse_beyond_memory
from models.tokens import Tokens, check_level, check_tokens

Floats = NDArray[np.float64]

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
        return norms_of(self.weights)

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
            inputs = inputs_of(new, self.vocab_size)
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
        inputs = inputs_of(tokens, self.vocab_size)
        return coordinates_of(inputs, self.weights) @ simplex(self.vocab_size).T


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


def _choose(fields: Floats, tokens: Tokens, margin: Floats) -> Tokens:
    """The token there where its field ties for the largest, else the smallest that does."""
    tied = fields >= (fields.max(axis=-1) - margin)[..., None]
    stays = np.take_along_axis(tied, tokens[..., None].astype(np.intp), -1)[..., 0]
    return np.where(stays, tokens, tied.argmax(axis=-1).astype(tokens.dtype))

"""The pseudo-likelihood memory: every site's law given the others, fitted; it has no energy.

    p(x_i = v | rest) = softmax_v z_i(v),
    z_i(v) = b_i(v) + L^(-1/2) sum_{j != i} W_i[v, j, x_j]

each site's row minimizes - sum_mu log p(xi_i^mu | rest) + (penalty / 2) (|W_i|^2 + |b_i|^2): the
multinomial logistic regression of a site on the others' one-hot tokens. W_i sums to 0 over v and
over x_j, b_i over v. Rows are fitted apart, so that couplings need not be symmetric. At V = 2,
W_i[v, j, w] = w_ij s_v s_w / 2 and b_i(v) = theta_i s_v / 2 with spins s, and the objective is
sum_mu log(1 + exp(-xi_i h_i)) + (penalty / 2) (|w_i|^2 + theta_i^2 / 2),
h_i = theta_i + L^(-1/2) sum_j w_ij xi_j.

Biases b are fitted where `store` is asked for them, else 0, as in the theory of random patterns
(`am_theory.pseudolikelihood`). They are under the same penalty. With none of their own a token
never seen at a site would have b = -infinity, and rows would be strongly convex no more, so that
no error could be bounded. The bias counts as one input of size 1, the tokens of all other sites
have norm sqrt((1 - 1/L) (1 - 1/V)) together: the penalty allows for both alike.

Weak penalties tend to the rows of maximum margin, strong ones to the Potts (Hebb) rule. Many
samples of a source give, with biases, its best conditional laws of this pairwise form: exact ones
for a chain, where p(x_i = v | rest) is proportional to P[x_{i-1}, v] P[v, x_{i+1}].
Source: D'Amico, Bocchi, Del Bono, Rossi, Negri 2025 (arXiv:2507.05147), without biases; Besag
1975 (The Statistician 24, 179) for the pseudo-likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from am_theory.channel import Channel, LogLinear, channel_iv
from models.denoiser import certain_where_visible
from models.memories.multinomial import (
    TOLERANCE,
    coordinates_of,
    couplings,
    fit,
    inputs_of,
    simplex,
)
from models.memories.retrieval import Sweep, TokenMemory, check_patterns
from models.memory_size import refuse_beyond_memory
from models.networks.products import matmul
from models.tokens import Tokens, check_level, check_tokens

Floats = NDArray[np.float64]

COPIES, TABLES = 20, 6  # of the weights, and with biases of all V^2 L^2, held at once by the fit
TIE = 1e-9  # fields that differ by less, in units of the row's norm, are tied


@dataclass(frozen=True, eq=False)
class PseudolikelihoodMemory(TokenMemory):
    """Fitted rows; made by `store`. Also a denoiser of the small-noise law.

    weights (L, V - 1, L, V - 1): W_i[:, j] = Q weights[i, :, j] Q^T with Q = `simplex(V)`, of
    the same norm; at V = 2 the w_ij. biases (L, V - 1): b_i = Q biases[i], 0 if none were fitted;
    at V = 2 the theta_i / sqrt(2). error_bound (L,): an upper bound on a row's distance from the
    minimum over its norm, |gradient| / (penalty |row|); converged (L,): it is below `tolerance`.
    Retrieval: x_i <- argmax_v z_i(v); a token tied for the largest field stays, of others the
    smallest is taken. As there is no energy (the record's is NaN), either update may cycle;
    cycles of two are noticed, longer ones run to `max_iter`, and both are reported as not
    converged. A sweep costs a query L^2 (V - 1)^2.

    >>> memory = store([[0, 1, 2, 3, 0], [3, 3, 1, 0, 2]], vocab_size=4)
    >>> memory.retrieve([[0, 1, 2, 0, 0]]).states.tolist()
    [[0, 1, 2, 3, 0]]
    """

    weights: Floats
    biases: Floats
    penalty: float
    error_bound: Floats
    tolerance: float
    schedule: Any

    @property
    def converged(self) -> NDArray[np.bool_]:
        return self.error_bound < self.tolerance

    @property
    def norms(self) -> Floats:
        """|row_i| = (|W_i|^2 + |b_i|^2)^(1/2), (L,); its square over L is the norm q of the theory,
        which has no biases."""
        squares = (self.weights**2).sum(axis=(1, 2, 3)) + (self.biases**2).sum(axis=1)
        return np.asarray(np.sqrt(squares))

    @property
    def asymmetry(self) -> float:
        """|W - W^T| / |W + W^T|, W_ij = W_i[:, j] as one matrix (L V, L V); not negative.

        0: couplings are symmetric, so that the rows are the conditional laws of
        exp(sum_i b_i(x_i) + L^(-1/2) sum_{i<j} W_i[x_i, j, x_j]), which has an energy; near 1: the
        two directions of a coupling are unrelated; above 1: they tend to be opposite, infinite
        where they are; NaN where there are no couplings. Biases play no part.
        """
        size = self.seq_len * (self.vocab_size - 1)
        matrix = self.weights.reshape(size, size)
        antisymmetric, symmetric = (
            float(np.linalg.norm(part)) for part in (matrix - matrix.T, matrix + matrix.T)
        )
        if symmetric == 0:
            return np.inf if antisymmetric > 0 else np.nan
        return antisymmetric / symmetric

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
                coordinates = inputs @ self.weights[i].reshape(rank, -1).T + self.biases[i]
                fields = coordinates @ basis.T
                new[:, i] = _choose(fields, new[:, i], margins[i])
                own = basis[new[:, i]] / np.sqrt(self.seq_len)
                inputs[:, i * rank : (i + 1) * rank] = own
            return new

        return one_by_one if sequential else at_once

    def energy(self, states: ArrayLike) -> Floats:
        """NaN: rows fitted one by one are the gradient of nothing (see `asymmetry`)."""
        return np.full(len(np.asarray(states)), np.nan)

    def jax(self) -> PairwiseJax:
        """The same denoiser as a JAX module in single precision, usable inside jit."""
        return PairwiseJax.of(self)

    def _fields(self, tokens: Tokens) -> Floats:
        inputs = inputs_of(tokens, self.vocab_size)
        rows = self.weights.reshape(*self.biases.shape, -1)
        return (coordinates_of(inputs, rows) + self.biases) @ simplex(self.vocab_size).T


class PairwiseJax(eqx.Module):
    """JAX twin of PseudolikelihoodMemory: log_loo by one product with the couplings, written out
    over one-hot tokens, (L V, L V), and the biases (L V,). A masked site exerts no field."""

    couplings: Float[Array, "LV LV"]
    biases: Float[Array, " LV"]
    vocab_size: int = eqx.field(static=True)
    seq_len: int = eqx.field(static=True)
    schedule: Any = eqx.field(static=True)
    channel: Channel = eqx.field(static=True)

    @classmethod
    def of(cls, memory: PseudolikelihoodMemory, noise: Channel | None = None) -> PairwiseJax:
        """The twin of a memory, for a channel (None: uniform)."""
        basis, size = simplex(memory.vocab_size), memory.seq_len * memory.vocab_size
        written = np.einsum("va,iajb,wb->jwiv", basis, memory.weights, basis, optimize=True)
        return cls(
            jnp.asarray(written.reshape(size, size) / np.sqrt(memory.seq_len), jnp.float32),
            jnp.asarray((memory.biases @ basis.T).ravel(), jnp.float32),
            memory.vocab_size,
            memory.seq_len,
            memory.schedule,
            channel_iv(noise, memory.vocab_size),
        )

    def log_loo(self, x_t: Int[Array, "batch L"], t: Any) -> Float[Array, "batch L V"]:
        """log p(x_i = v | rest), (batch, L, V), whatever the level `t`."""
        tokens = jax.nn.one_hot(jnp.asarray(x_t), self.vocab_size).reshape(len(x_t), -1)
        fields = matmul(tokens, self.couplings) + self.biases
        law = jax.nn.log_softmax(fields.reshape(-1, self.seq_len, self.vocab_size))
        return certain_where_visible(law, jnp.asarray(x_t), self.channel)


def store(
    patterns: ArrayLike,
    vocab_size: int,
    *,
    biases: bool = False,
    penalty: float = 1e-3,
    tolerance: float = TOLERANCE,
    max_iter: int = 2000,
    schedule: Any = LogLinear(),
) -> PseudolikelihoodMemory:
    """A memory of `patterns` (K, L), tokens in [0, vocab_size); duplicates count twice.

    biases: fit b_i(v) too, for tokens of unequal frequency. penalty: weight of the L2 term, in
    units of one pattern's nats; it is positive, since rows that separate the patterns have no
    largest norm. tolerance: the fit ends when every row is nearer to its minimum than this share
    of its norm; its objective is then within tolerance^2 of its own L2 term. A small `max_iter`,
    steps of L-BFGS from 0, is early stopping. Rows that have not converged are kept, and told in
    `converged`.

    Cost of a step: 4 K L^2 (V - 1)^2 operations, with biases 2 K L^2 V by look-up in tables; about
    20 copies of the weights are held.

    Raises TokenRangeError for tokens out of range or of a wrong dtype, ValueError for K = 0, a
    penalty or a tolerance that is not positive and `max_iter` below 1.
    """
    tokens = check_patterns(patterns, vocab_size)
    if not 0 < penalty < np.inf:
        raise ValueError(
            f"`penalty` must be positive and finite; got {penalty}. For early stopping take a "
            "small one, 1e-6, and a small `max_iter`."
        )
    if not 0 < tolerance < np.inf:
        raise ValueError(
            f"`tolerance` must be positive and finite; got {tolerance}. Rounding allows about 1e-6."
        )
    if int(max_iter) != max_iter or max_iter < 1:
        raise ValueError(f"`max_iter` must be an integer of at least 1; got {max_iter}.")
    block = (tokens.shape[1], int(vocab_size) - 1)
    size = 8.0 * (block[0] * block[1]) ** 2
    refuse_beyond_memory(
        COPIES * size + bool(biases) * TABLES * 8.0 * (block[0] * int(vocab_size)) ** 2,
        f"fitting {size / 2**30:.1f} GiB of weights, (L (V - 1))^2 = {block[0] * block[1]}^2,",
        "use shorter sequences or a smaller vocabulary",
    )
    start = np.zeros((*block, block[0] * block[1] + bool(biases)))
    rows, bound = fit(
        tokens,
        int(vocab_size),
        float(penalty),
        start,
        max_iter=int(max_iter),
        tolerance=float(tolerance),
    )
    return PseudolikelihoodMemory(
        tokens,
        int(vocab_size),
        np.ascontiguousarray(couplings(rows)),
        rows[..., -1].copy() if biases else np.zeros(block),
        float(penalty),
        bound,
        float(tolerance),
        schedule,
    )


def _choose(fields: Floats, tokens: Tokens, margin: Floats) -> Tokens:
    """The token there where its field ties for the largest, else the smallest that does."""
    tied = fields >= (fields.max(axis=-1) - margin)[..., None]
    stays = np.take_along_axis(tied, tokens[..., None].astype(np.intp), -1)[..., 0]
    return np.where(stays, tokens, tied.argmax(axis=-1).astype(tokens.dtype))

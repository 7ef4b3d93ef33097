"""The linear denoiser: regression of K stored sequences on their noisy versions, solved exactly.

In the code u of `models.networks.linear_filter`, with Sigma = mean u u^T over the stored sequences,

    W = a Sigma A^-1,   A = a^2 Sigma + N + ridge,   N = (1 - a) (1 + a blocks of Sigma)

minimises the mean of |u - W u_t|^2 + ridge |W|^2 over the sequences and *all* noise; N is the
mean covariance of the noise, block diagonal over sites, for any marginals. It is solved with
A (d, d), or, for K < d, with a matrix (K, K), as N is easily inverted:

    W = (a / K) U^T (1 + a^2 U N'^-1 U^T / K)^-1 U N'^-1,   N' = N + ridge,   U (K, d) the codes.

Gradient flow of the same loss over 2 from W = 0 gives after time tau

    W(tau) = a Sigma A^-1 (1 - exp(-A tau)).

Sources: Bishop 1995 (Neural Computation 7, 108) for noise as a ridge; matrix identities.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve, eigh

from am_theory import channel
from models.memories.retrieval import check_patterns
from models.networks.linear_filter import (
    LinearFilter,
    blocks,
    encode,
    encoded_law,
    kept_fraction,
    token_code,
)
from models.tokens import Tokens, check_level, check_tokens

Floats = NDArray[np.float64]
LIMIT = 2 * 2**30  # bytes a fit may take
KEPT = 2**29  # bytes of fitted filters that are kept


class LinearDenoiser:
    """The linear denoiser of `patterns` (K, L) with infinitely many noise draws of each.

    `at(alpha)` is W at a noise level, solved when first asked for; the filters last used are
    kept. `log_loo` is the *leave-one-out* regression: the best linear estimate of site i from
    the noisy tokens of the other sites alone, of the same data, noise and ridge. It follows from
    the diagonal blocks of W,

        m_i = (1 - a W_ii)^-1 [(W u_t)_i - W_ii u_t,i],

    and does not see its own token at all. A linear estimate is not a law: its negative entries
    are set to 0 and the rest is normalized. `models.denoiser.log_full` then adds the own token
    by the channel, which is no longer linear; what the linear map itself makes of the whole of
    x_t is `at(alpha).law(x_t)` and `at(alpha).restore(x_t)`.
    """

    def __init__(
        self,
        patterns: ArrayLike,
        vocab_size: int,
        *,
        ridge: float = 0.0,
        schedule: Any = channel.LogLinear(),
    ) -> None:
        self.patterns = check_patterns(patterns, vocab_size)
        self.vocab_size, self.schedule = int(vocab_size), schedule
        self.train_size, self.seq_len = self.patterns.shape
        self.dimension = self.seq_len * (self.vocab_size - 1)
        if not 0 <= ridge < np.inf:
            raise ValueError(f"`ridge` must be finite and not negative; got {ridge}.")
        self.ridge = float(ridge)
        self._dual = self.train_size < self.dimension
        _check_size(self.train_size, self.dimension, self._dual)
        self._kept: dict[float, LinearFilter] = {}

    def at(self, alpha: float) -> LinearFilter:
        """The filter at a kept fraction alpha in [0, 1]; 1 - alpha counts as 1e-6 at least.

        Cost 2 d^2 K + 3 d^3, or 2 K^2 d + K^3 for K < d, multiplications.
        """
        kept = kept_fraction(alpha)
        found = self._kept.pop(kept, None)
        if found is None:
            found = self._by_rows(kept) if self._dual else self._by_columns(kept)
        self._kept[kept] = found  # the last one used stands last
        while len(self._kept) > 1 and len(self._kept) * found.right.nbytes > KEPT:
            del self._kept[next(iter(self._kept))]
        return found

    def flow(self, alpha: float, times: ArrayLike) -> tuple[LinearFilter, ...]:
        """Filters after gradient flow from W = 0 for each time (n,) >= 0, inf allowed.

        Time is learning rate times steps for the loss (|u - W u_t|^2 + ridge |W|^2) / 2, averaged
        over sequences and all noise. One eigen-decomposition (d, d) serves all times.
        """
        tau = np.asarray(times, dtype=np.float64)
        if tau.ndim != 1 or not np.all(tau >= 0):
            raise ValueError(
                "`times` must be a list of times that are not negative (inf is allowed); got "
                f"{times!r}."
            )
        _check_size(self.train_size, self.dimension, dual=False)
        kept = kept_fraction(alpha)
        rates, modes = eigh(self._normal_matrix(kept))
        rotated = kept * self._covariance @ modes
        weights = [-np.expm1(-rates * time) / rates for time in tau]
        return tuple(self._filter(kept, (rotated * w) @ modes.T) for w in weights)

    def log_loo(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """Leave-one-out law log p(x_0^i | x_t without i), (batch, L, V), -inf allowed."""
        tokens = check_tokens(x_t, self.vocab_size, self.seq_len)
        alphas = np.asarray(self.schedule.alpha(check_level(t, len(tokens))))
        law = np.empty((*tokens.shape, self.vocab_size))
        for alpha in np.unique(alphas):
            rows = np.flatnonzero(alphas == alpha)
            for part in blocks(len(rows), self.seq_len * self.vocab_size):
                law[rows[part]] = encoded_law(_leave_one_out(self.at(alpha), tokens[rows[part]]))
        law = np.maximum(law, 0)
        with np.errstate(divide="ignore"):
            log_law: Floats = np.log(law / law.sum(-1, keepdims=True))
        return log_law

    def _filter(self, alpha: float, right: Floats, left: Floats | None = None) -> LinearFilter:
        return LinearFilter(self.vocab_size, self.seq_len, alpha, right, left)

    def _by_columns(self, alpha: float) -> LinearFilter:
        """The form in d."""
        factor = cho_factor(self._normal_matrix(alpha), overwrite_a=True)
        return self._filter(alpha, cho_solve(factor, alpha * self._covariance).T)

    def _by_rows(self, alpha: float) -> LinearFilter:
        """The form in K: W = left^T right with the codes on the left."""
        size, u = self.train_size, self._codes
        sites = np.moveaxis(u.reshape(size, self.seq_len, -1), 0, 2)  # (L, V - 1, K)
        whitened = np.moveaxis(np.linalg.solve(self._noise(alpha), sites), 2, 0).reshape(u.shape)
        core = alpha**2 / size * (whitened @ u.T)
        core.flat[:: size + 1] += 1
        right = alpha / size * cho_solve(cho_factor(core, overwrite_a=True), whitened)
        return self._filter(alpha, right, u)

    def _normal_matrix(self, alpha: float) -> Floats:
        """A = a^2 Sigma + N + ridge, (d, d)."""
        matrix = alpha**2 * self._covariance
        sites = np.arange(self.seq_len)
        by_site = matrix.reshape((self.seq_len, self.vocab_size - 1) * 2)
        by_site[sites, :, sites, :] += self._noise(alpha)
        return matrix

    def _noise(self, alpha: float) -> Floats:
        """N + ridge, its blocks (L, V - 1, V - 1)."""
        one = np.eye(self.vocab_size - 1)
        return (1 - alpha) * (one + alpha * self._own) + self.ridge * one

    @cached_property
    def _own(self) -> Floats:
        """The diagonal blocks of Sigma, (L, V - 1, V - 1), by the counts of each token."""
        code = token_code(self.vocab_size)
        counts = np.array([np.bincount(s, minlength=self.vocab_size) for s in self.patterns.T])
        return code.T @ (counts[:, :, None] / self.train_size * code)

    @cached_property
    def _codes(self) -> Floats:
        return encode(self.patterns, self.vocab_size)

    @cached_property
    def _covariance(self) -> Floats:
        return _moment(self.patterns, self.patterns, self.vocab_size)


def fit_draws(
    patterns: ArrayLike, x_t: ArrayLike, vocab_size: int, alpha: float, ridge: float
) -> LinearFilter:
    """Ridge regression of `patterns` (K, L) on given noisy versions `x_t` (draws, K, L).

    W minimises the mean of |u - W u_t|^2 over the draws, plus ridge |W|^2, ridge > 0. `alpha` in
    [0, 1] is the level of the draws, for the filter's errors on fresh noise; W does not use it.

    >>> fit_draws([[0, 1]], [[[0, 1]]], 2, alpha=0.5, ridge=1.0).matrix.round(4).tolist()
    [[0.3333, -0.3333], [-0.3333, 0.3333]]
    """
    stored = check_patterns(patterns, vocab_size)
    noisy = np.asarray(x_t)
    if noisy.ndim != 3 or noisy.shape[1:] != stored.shape or len(noisy) == 0:
        raise ValueError(
            f"`x_t` must hold one or more noisy versions of the {stored.shape} patterns, shape "
            f"(draws, K, L); got {noisy.shape}. A single one goes in as `x_t[None]`."
        )
    if not 0 < ridge < np.inf:
        raise ValueError(
            f"`ridge` must be positive and finite; got {ridge}. A fit to drawn noise has no unique "
            "solution without one."
        )
    n_draws, _, seq_len = noisy.shape
    inputs = check_tokens(noisy.reshape(-1, seq_len), vocab_size)
    targets = np.tile(stored, (n_draws, 1))
    pairs, dimension = len(inputs), seq_len * (int(vocab_size) - 1)
    dual = pairs < dimension
    _check_size(pairs, dimension, dual)
    if dual:
        u_t = encode(inputs, int(vocab_size))
        core = u_t @ u_t.T
        core.flat[:: pairs + 1] += pairs * ridge
        right = cho_solve(cho_factor(core, overwrite_a=True), u_t)
        left = encode(targets, int(vocab_size))
        return LinearFilter(int(vocab_size), seq_len, kept_fraction(alpha, 0.0), right, left)
    square = _moment(inputs, inputs, int(vocab_size))
    square.flat[:: dimension + 1] += ridge
    cross = _moment(inputs, targets, int(vocab_size))
    right = cho_solve(cho_factor(square, overwrite_a=True), cross).T
    return LinearFilter(int(vocab_size), seq_len, kept_fraction(alpha, 0.0), right)


def _moment(first: Tokens, second: Tokens, vocab_size: int) -> Floats:
    """Mean of u v^T over pairs of sequences with codes u and v, (d, d)."""
    dimension = first.shape[1] * (vocab_size - 1)
    total = np.zeros((dimension, dimension))
    for part in blocks(len(first), dimension):
        total += encode(first[part], vocab_size).T @ encode(second[part], vocab_size)
    return total / len(first)


def _leave_one_out(filter_: LinearFilter, x_t: Tokens) -> Floats:
    """m_i of `LinearDenoiser`, (batch, L, V - 1)."""
    u = encode(x_t, filter_.vocab_size)
    both = np.stack([u, filter_.apply(u)]).reshape(2, *x_t.shape, -1)
    sites, out = np.moveaxis(both, 1, -1)  # each (L, V - 1, batch)
    own = filter_.site_blocks
    left_over = np.eye(own.shape[1]) - filter_.alpha * own
    estimate: Floats = np.linalg.solve(left_over, out - own @ sites)
    return np.moveaxis(estimate, 2, 0)


def _check_size(rows: int, dimension: int, dual: bool) -> None:
    """Refuse a fit whose matrices would take more than `LIMIT` bytes."""
    entries = 3 * rows * (dimension + rows) if dual else 5 * dimension**2
    if 8 * entries > LIMIT:
        raise ValueError(
            f"the fit of {rows} sequences in d = L (V - 1) = {dimension} dimensions needs about "
            f"{8 * entries / 2**30:.1f} GiB; at most {LIMIT // 2**30} are allowed. Use "
            + ("fewer or shorter sequences" if dual else "shorter sequences or a smaller V")
            + "."
        )

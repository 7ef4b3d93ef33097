"""A linear map from noisy to clean tokens, and its exact error under fresh noise.

Tokens are encoded one-hot, centred and scaled to unit variance, u = sqrt(V) (e_x - 1/V), in an
orthonormal basis of the V - 1 centred dimensions of each site: d = L (V - 1) numbers, none of
them redundant. A filter is a matrix W (d, d); it takes the code of x_t to an estimate of that
of x_0, and decodes it by the largest entry of each site.

Noise of one token at level a has mean a u and covariance (1 - a) (1 + a u u^T) in this basis,
from which the mean of |u - W u_t|^2 over all noise is a quadratic form in W.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import helmert

from models.tokens import Tokens, check_tokens

Floats = NDArray[np.float64]
BLOCK_ENTRIES = 2**22  # numbers of an encoded batch that are held at once: 32 MiB
LEAST_NOISE = 1e-6  # 1 - alpha is not let below: at alpha = 1 there is nothing to regress


@lru_cache(maxsize=8)
def token_code(vocab_size: int) -> Floats:
    """Codes of all tokens, (V, V - 1): rows of squared length V - 1, products -1, sum 0."""
    code: Floats = np.sqrt(vocab_size) * helmert(vocab_size).T
    code.setflags(write=False)
    return code


def encode(tokens: Tokens, vocab_size: int) -> Floats:
    """u of sequences (batch, L) in the basis of `token_code`, (batch, d)."""
    return token_code(vocab_size)[tokens].reshape(len(tokens), -1)


def encoded_law(code: Floats) -> Floats:
    """Law of which `code` (..., V - 1) is the mean of u: (..., V), rows sum to 1.

    Entries are negative where no law has this mean.
    """
    vocab_size = code.shape[-1] + 1
    return (1 + code @ token_code(vocab_size).T) / vocab_size


def blocks(n_rows: int, width: int) -> Iterator[slice]:
    """Slices of rows such that each holds at most `BLOCK_ENTRIES` numbers (or one row)."""
    step = max(1, BLOCK_ENTRIES // width)
    return (slice(start, start + step) for start in range(0, n_rows, step))


def kept_fraction(alpha: float, least_noise: float = LEAST_NOISE) -> float:
    """`alpha` in [0, 1], at most 1 - `least_noise`: the level of a fit."""
    if not 0 <= alpha <= 1:  # also refuses NaN
        raise ValueError(
            f"`alpha` must lie in [0, 1]; got {alpha}. It is the probability that a token is kept."
        )
    return min(float(alpha), 1 - least_noise)


@dataclass(frozen=True, eq=False)
class LinearFilter:
    """W fitted at one noise level; made by `models.networks.linear`.

    alpha: probability that a token is kept, the level of the fresh noise in `errors`.
    right (r, d), left (r, d) or None: W = left^T right, or right itself where `left` is None.
    """

    vocab_size: int
    seq_len: int
    alpha: float
    right: Floats
    left: Floats | None = None

    @property
    def dimension(self) -> int:
        """d = L (V - 1)."""
        return self.seq_len * (self.vocab_size - 1)

    @property
    def matrix(self) -> Floats:
        """W, (d, d)."""
        return self.right if self.left is None else self.left.T @ self.right

    def apply(self, code: Floats) -> Floats:
        """W u of each row of `code` (batch, d)."""
        inner = code @ self.right.T
        return inner if self.left is None else inner @ self.left

    def law(self, x_t: ArrayLike) -> Floats:
        """The estimate of p(x_0^i = v | x_t), (batch, L, V); rows sum to 1, entries may be < 0."""
        tokens = self._tokens(x_t, "x_t")
        code = self.apply(encode(tokens, self.vocab_size))
        return encoded_law(code.reshape(*tokens.shape, self.vocab_size - 1))

    def restore(self, x_t: ArrayLike) -> Tokens:
        """The token of the largest entry of each site of W u_t, (batch, L)."""
        tokens = self._tokens(x_t, "x_t")
        out = np.empty_like(tokens)
        for part in blocks(len(tokens), self.seq_len * self.vocab_size):
            out[part] = self.law(tokens[part]).argmax(-1)
        return out

    def errors(self, x_0: ArrayLike) -> Floats:
        """Mean of |u - W u_t|^2 / d over all noise, for each clean sequence (batch, L); exact.

        |u - a W u|^2 + (1 - a) [|W|^2 + a sum_i |W_i u_i|^2], W_i the columns of site i.
        """
        tokens, a = self._tokens(x_0, "x_0"), self.alpha
        out = np.empty(len(tokens))
        for part in blocks(len(tokens), self.dimension):
            u = encode(tokens[part], self.vocab_size)
            bias = ((u - a * self.apply(u)) ** 2).sum(1)
            sites = np.moveaxis(u.reshape(len(u), self.seq_len, -1), 0, 1)
            own = ((sites @ self._gram) * sites).sum((0, 2))
            out[part] = bias + (1 - a) * (self._norm + a * own)
        return out / self.dimension

    def uniform_error(self) -> float:
        """Mean of `errors` over all V^L sequences: unseen ones of independent uniform tokens.

        (d - 2 a tr W + |W|^2) / d, exact; never below 1 - a^2, which W = a reaches.
        """
        trace = np.trace(self.right) if self.left is None else np.vdot(self.left, self.right)
        return float(1 + (self._norm - 2 * self.alpha * trace) / self.dimension)

    def squared_errors(self, x_0: ArrayLike, x_t: ArrayLike) -> Floats:
        """|u - W u_t|^2 / d of given pairs of clean and noisy sequences (batch, L), (batch,)."""
        clean, noisy = self._tokens(x_0, "x_0"), self._tokens(x_t, "x_t")
        if len(clean) != len(noisy):
            raise ValueError(
                f"`x_0` and `x_t` must have one batch size; got {len(clean)} and {len(noisy)}."
            )
        out = np.empty(len(clean))
        for part in blocks(len(clean), self.dimension):
            u, u_t = (encode(tokens[part], self.vocab_size) for tokens in (clean, noisy))
            out[part] = ((u - self.apply(u_t)) ** 2).sum(1)
        return out / self.dimension

    @cached_property
    def site_blocks(self) -> Floats:
        """The diagonal blocks of W, (L, V - 1, V - 1)."""
        if self.left is None:
            sites = np.arange(self.seq_len)
            return self.right.reshape(self._split(2))[sites, :, sites, :]
        return self._columns(self.left).swapaxes(1, 2) @ self._columns(self.right)

    @cached_property
    def _gram(self) -> Floats:
        """The diagonal blocks of W^T W, (L, V - 1, V - 1)."""
        columns = self._columns(self.right)
        rotated = columns if self.left is None else (self.left @ self.left.T) @ columns
        return columns.swapaxes(1, 2) @ rotated

    @cached_property
    def _norm(self) -> float:
        """|W|^2, the sum of all squared entries."""
        return float(np.trace(self._gram, axis1=1, axis2=2).sum())

    def _split(self, axes: int) -> tuple[int, ...]:
        return (self.seq_len, self.vocab_size - 1) * axes

    def _columns(self, factor: Floats) -> Floats:
        """A factor (r, d) by sites, (L, r, V - 1)."""
        return np.moveaxis(factor.reshape(-1, *self._split(1)), 0, 1)

    def _tokens(self, tokens: ArrayLike, name: str) -> Tokens:
        return check_tokens(tokens, self.vocab_size, self.seq_len, name)

"""A map from noisy to clean tokens by fixed random features and a linear skip.

In the code u of `models.networks.linear_filter`, d = L (V - 1) numbers,

    u_hat = b u_t + A f,   f = phi(W u_t / sqrt(d)) - mean phi,

W (p, d) of independent normals, A (d, p), b a number or a matrix (d, d). As |u_t|^2 = d at any
noise, the arguments of phi have variance 1 and `mean phi` is one number, that of a standard normal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from models.networks.linear_filter import blocks, encode, encoded_law, token_code
from models.noise import noise
from models.tokens import Tokens, check_tokens

Floats = NDArray[np.float64]
Activation = Literal["erf", "relu", "sign", "tanh"]

# phi, and its mean over a standard normal
ACTIVATIONS: dict[str, tuple[Callable[[Floats], Floats], float]] = {
    "erf": (erf, 0.0),
    "relu": (lambda z: np.maximum(z, 0), 1 / np.sqrt(2 * np.pi)),
    "sign": (np.sign, 0.0),
    "tanh": (np.tanh, 0.0),
}


def features(activation: str, z: Floats) -> Floats:
    """phi(z) - mean phi."""
    phi, mean = ACTIVATIONS[activation]
    return phi(z) - mean


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """u_hat fitted at one noise level; made by `RandomFeatureDenoiser`.

    alpha: probability that a token is kept. weights: W / sqrt(d), (p, d). readout: A, (d, p).
    skip: b or B. seen_error: mean of |u - u_hat|^2 / d over the noise that it was fitted to.
    """

    vocab_size: int
    seq_len: int
    alpha: float
    activation: str
    weights: Floats
    readout: Floats
    skip: float | Floats
    seen_error: float

    def law(self, x_t: ArrayLike) -> Floats:
        """The estimate of p(x_0^i = v | x_t), (batch, L, V); rows sum to 1, entries may be < 0."""
        tokens = self._tokens(x_t, "x_t")
        code = np.empty((*tokens.shape, self.vocab_size - 1))
        for part in self._parts(tokens):
            code[part] = self._apply(tokens[part]).reshape(code[part].shape)
        return encoded_law(code)

    def restore(self, x_t: ArrayLike) -> Tokens:
        """The token of the largest entry of each site of u_hat, (batch, L)."""
        tokens = self._tokens(x_t, "x_t")
        return self.law(tokens).argmax(-1).astype(tokens.dtype)

    def squared_errors(self, x_0: ArrayLike, x_t: ArrayLike) -> Floats:
        """|u - u_hat|^2 / d of given pairs of clean and noisy sequences (batch, L), (batch,)."""
        clean, noisy = self._tokens(x_0, "x_0"), self._tokens(x_t, "x_t")
        if len(clean) != len(noisy):
            raise ValueError(
                f"`x_0` and `x_t` must have one batch size; got {len(clean)} and {len(noisy)}."
            )
        out = np.empty(len(clean))
        for part in self._parts(clean):
            gap = encode(clean[part], self.vocab_size) - self._apply(noisy[part])
            out[part] = (gap**2).mean(1)
        return out

    def errors(self, x_0: ArrayLike, rng: np.random.Generator, draws: int = 1) -> Floats:
        """Mean of |u - u_hat|^2 / d over fresh noise draws of each sequence (batch, L)."""
        clean = self._tokens(x_0, "x_0")
        drawn = (noise(rng, clean, self.alpha, self.vocab_size) for _ in range(draws))
        total: Floats = sum((self.squared_errors(clean, x_t) for x_t in drawn), np.zeros(1))
        return total / draws

    def scores(self, x_t: ArrayLike) -> Floats:
        """u_hat of each site, averaged over what may stand at this very site, (batch, L, V - 1).

        All values of the own token count alike, so the token that stands there plays no part.
        """
        tokens, code = self._tokens(x_t, "x_t"), token_code(self.vocab_size)
        shape = self.seq_len, self.vocab_size - 1
        shifts = np.einsum("pis,vs->ivp", self.weights.reshape(-1, *shape), code)  # (L, V, p)
        out = np.empty((*tokens.shape, shape[1]))
        for part in blocks(len(tokens), shifts.size):
            u = encode(tokens[part], self.vocab_size)
            own = shifts[np.arange(self.seq_len), tokens[part]]  # (batch, L, p)
            others = (u @ self.weights.T)[:, None] - own
            here = (features(self.activation, others + shift) for shift in shifts.swapaxes(0, 1))
            f = sum(here, np.zeros(1)) / self.vocab_size
            linear = np.zeros((len(u), *shape))
            if isinstance(self.skip, np.ndarray):
                sites, block = np.arange(self.seq_len), self.skip.reshape(*shape, *shape)
                linear = (u @ self.skip.T).reshape(linear.shape)
                linear -= np.einsum("ist,bit->bis", block[sites, :, sites], u.reshape(linear.shape))
            out[part] = linear + np.einsum("isp,bip->bis", self.readout.reshape(*shape, -1), f)
        return out

    def _apply(self, tokens: Tokens) -> Floats:
        """u_hat of sequences, (batch, d)."""
        u = encode(tokens, self.vocab_size)
        linear = u @ self.skip.T if isinstance(self.skip, np.ndarray) else self.skip * u
        return linear + features(self.activation, u @ self.weights.T) @ self.readout.T

    def _parts(self, tokens: Tokens) -> Iterator[slice]:
        return blocks(len(tokens), sum(self.weights.shape))

    def _tokens(self, tokens: ArrayLike, name: str) -> Tokens:
        return check_tokens(tokens, self.vocab_size, self.seq_len, name)

"""Functions of a few tokens: all of one degree, and random ones."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.networks.linear_filter import token_code

Floats = NDArray[np.float64]


def functions(tokens: Any, vocab_size: int, degree: int) -> Floats:
    """An orthonormal basis of the functions of one degree at tokens (batch, L), (batch, m_j):
    products of the codes of `degree` sites."""
    codes = token_code(vocab_size)[tokens]  # (batch, L, V - 1)
    parts = list(itertools.product(range(vocab_size - 1), repeat=degree))
    sites = list(itertools.combinations(range(tokens.shape[1]), degree))
    found = np.ones((len(tokens), len(sites), len(parts)))
    for k in range(degree):
        chosen = codes[:, [s[k] for s in sites]]  # (batch, sets of sites, V - 1)
        found *= chosen[:, :, [p[k] for p in parts]]
    return found.reshape(len(tokens), -1)


def random_functions(
    rng: np.random.Generator, tokens: Any, vocab_size: int, degree: int, count: int
) -> Floats:
    """Random functions of one degree at tokens, (batch, count), of unit variance."""
    basis = functions(tokens, vocab_size, degree)
    weights = rng.standard_normal((basis.shape[1], count))
    values: Floats = basis @ (weights / np.linalg.norm(weights, axis=0))
    return values

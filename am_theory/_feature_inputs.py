"""Checks of the arguments of the random-feature denoiser (private)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory._feature_moments import moments
from am_theory._feature_ridge import Problem
from am_theory._inputs import NOT_NEGATIVE, PROBABILITY, Floats, Interval, broadcast_iv, real_iv
from am_theory._linear_ridge import COUNT, COUNT_HINT, dimension_iv

FEATURES_HINT = "It counts the random features, not their share."


class Grid(NamedTuple):
    """Checked arguments, broadcast: k = K / d, alpha, and a `Problem` for each element."""

    k: Floats
    alpha: Floats
    problems: NDArray[Any]
    dimension: int
    vocab: int


def grid_iv(
    train_size: ArrayLike,
    n_features: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    activation: Any = "erf",
    ridge: ArrayLike = 0.0,
    skip: Any = 0.0,
    draws: Any = math.inf,
    spectrum: ArrayLike | None = None,
) -> Grid:
    """Check everything but the sense of a full skip with few draws (`resolved_iv`)."""
    dimension, vocab = dimension_iv(seq_len, vocab_size)
    size, features, kept, penalty = broadcast_iv(
        train_size=real_iv("train_size", train_size, COUNT, COUNT_HINT),
        n_features=real_iv("n_features", n_features, COUNT, FEATURES_HINT),
        alpha=real_iv("alpha", alpha, PROBABILITY),
        ridge=real_iv("ridge", ridge, NOT_NEGATIVE),
    )
    eigenvalues, weights = spectrum_iv(spectrum, dimension)
    skip, draws = skip_iv(skip), draws_iv(draws)
    seen = moments(activation, kept)

    def problem(p: float, a: float, lam: float, *parts: float) -> Problem:
        linear, static, fresh = parts
        return Problem(
            p / dimension, a, linear, static, fresh, lam, skip, draws, eigenvalues, weights
        )

    problems = np.vectorize(problem, otypes=[object])(
        features, kept, penalty, seen.linear, seen.static, seen.fresh
    )
    return Grid(size / dimension, kept, problems, dimension, vocab)


def spectrum_iv(spectrum: ArrayLike | None, dimension: int) -> tuple[Floats, Floats]:
    """The different eigenvalues of the source and their weights; an iid source without any."""
    if spectrum is None:
        return np.ones(1), np.ones(1)
    eigenvalues = real_iv("spectrum", spectrum, NOT_NEGATIVE)
    if eigenvalues.shape != (dimension,) or abs(np.mean(eigenvalues) - 1) > 1e-6:
        raise ValueError(
            f"`spectrum` must have shape ({dimension},) = (L (V - 1),) and mean 1; got shape "
            f"{eigenvalues.shape} and mean {np.mean(eigenvalues) if eigenvalues.size else 0:g}. "
            "It holds the eigenvalues of the covariance of tokens encoded with unit variance."
        )
    values, counts = np.unique(eigenvalues, return_counts=True)
    return values, counts / dimension


def skip_iv(skip: Any) -> Any:
    """A finite number, "fit" or "full"."""
    if isinstance(skip, str):
        if skip not in ("fit", "full"):
            raise ValueError(f'`skip` must be a number, "fit" or "full"; got {skip!r}.')
        return skip
    number = real_iv("skip", skip, Interval(-np.inf, np.inf, True, True))
    if number.ndim:
        raise ValueError(f"`skip` must be one number; got shape {number.shape}.")
    return float(number)


def draws_iv(draws: Any) -> float:
    """Noise draws a sequence: at least 1, infinity allowed."""
    if isinstance(draws, float | int) and draws == math.inf:
        return math.inf
    number = real_iv("draws", draws, COUNT, "It counts noise draws a sequence; inf is allowed.")
    if number.ndim:
        raise ValueError(f"`draws` must be one number; got shape {number.shape}.")
    return float(number)


def resolved_iv(grid: Grid) -> Grid:
    """Refuse a full skip, which has no ridge, on fewer noisy sequences than dimensions."""
    first = grid.problems.flat[0] if grid.problems.size else None
    if first is not None and first.skip == "full" and np.any(grid.k * first.draws <= 1):
        least = float(np.min(grid.k)) * grid.dimension * first.draws
        raise ValueError(
            f'`train_size` x `draws` must exceed L (V - 1) = {grid.dimension} with skip="full"; '
            f"got {least:g}. Fewer noisy sequences leave its matrix undetermined."
        )
    return grid

"""Markov chains of tokens: checks, the stationary law, and the law of path probabilities (private).

The law of log q over the paths of a chain is kept as atoms by the state a path ends in. Paths of
equal probability are one atom, so that their number grows as a power of the length.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from am_theory._inputs import NOT_NEGATIVE, Floats, real_iv

Atoms = list[tuple[Floats, Floats]]  # for each end state: log q, and the probability of its paths

_DIGITS = 11  # to which values of log q are told apart
_MOST = 2_000_000
_ROWS = "Give the law of the next token for each token, one row each."


def transition_iv(transition: Any) -> Floats:
    """Check a transition matrix (V, V)."""
    matrix = real_iv("transition", transition, NOT_NEGATIVE, _ROWS)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(
            f"`transition` must have shape (V, V) with V >= 2; got {matrix.shape}. {_ROWS}"
        )
    total = matrix.sum(axis=1)
    wrong = total[np.abs(total - 1) > 1e-9]
    if wrong.size:
        raise ValueError(f"Rows of `transition` must add up to 1; got {wrong[0]:.12g}. {_ROWS}")
    return matrix


def start_iv(initial: Any, matrix: Floats) -> Floats:
    """Check the law of the first token; None stands for the stationary law."""
    if initial is None:
        return stationary_law(matrix)
    law = real_iv("initial", initial, NOT_NEGATIVE)
    if law.shape != matrix.shape[:1]:
        raise ValueError(
            f"`initial` must have shape {matrix.shape[:1]}, as `transition` has rows; "
            f"got {law.shape}."
        )
    if abs(law.sum() - 1) > 1e-9:
        raise ValueError(f"`initial` must add up to 1; got {law.sum():.12g}. Divide by it.")
    return law


def stationary_law(matrix: Floats) -> Floats:
    """pi = pi P, by pi (I - P + J) = 1 with J all ones, which has one solution if pi is unique."""
    system = np.eye(len(matrix)) - matrix + 1.0
    if np.linalg.cond(system) > 1e12:
        raise ValueError(
            "`transition` must have a single stationary law; got a chain in separate parts. "
            "Give `initial`, or one part alone."
        )
    law = np.maximum(np.linalg.solve(system.T, np.ones(len(matrix))), 0.0)
    return law / law.sum()


def starts(law: Floats) -> Atoms:
    """Paths of one token, whose probability counts."""
    return [
        (np.log(p[None]), p[None]) if p > 0 else (np.zeros(0), np.zeros(0))
        for p in np.asarray(law, dtype=float)
    ]


def starts_given(law: Floats) -> Atoms:
    """Paths of one token that is given: log q = 0."""
    return [(np.zeros(1), p[None]) if p > 0 else (np.zeros(0), np.zeros(0)) for p in law]


def walked(atoms: Atoms, matrix: Floats, scores: Iterable[Floats]) -> Atoms:
    """Atoms after a step for each of `scores`, arrays (V, V) of what a step multiplies q with."""
    for score in scores:
        step = []
        for state in range(len(matrix)):
            came = [a for a in range(len(matrix)) if matrix[a, state] > 0 and atoms[a][0].size]
            values = [atoms[a][0] + np.log(score[a, state]) for a in came]
            weights = [atoms[a][1] * matrix[a, state] for a in came]
            step.append(_merged(values, weights))
        atoms = step
        count = sum(values.size for values, _ in atoms)
        if count > _MOST:
            raise ValueError(
                f"The suffix must have at most {_MOST} different probabilities; got {count}. "
                "Shorten it, or use `extraction_normal`."
            )
    return atoms


def joined(atoms: Atoms) -> tuple[Floats, Floats]:
    """Atoms of all end states together."""
    return _merged([values for values, _ in atoms], [weights for _, weights in atoms])


def _merged(values: list[Floats], weights: list[Floats]) -> tuple[Any, Any]:
    if not values:
        return np.zeros(0), np.zeros(0)
    value = np.concatenate(values)
    _, first, where = np.unique(np.round(value, _DIGITS), return_index=True, return_inverse=True)
    return value[first], np.bincount(where, np.concatenate(weights), first.size)

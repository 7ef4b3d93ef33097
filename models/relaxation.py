"""Deterministic dynamics of a denoiser: every site takes the likeliest token of its law, at once.

    x -> argmax_v law_i(v | x),   law the `loo` law at a small level, or `full` at a stated one

A fixed point of the `loo` map at t -> 0 is a sequence each of whose tokens is the one that the
others make likeliest. No energy need exist, so that the map may cycle; cycles of any length up to
the number of sweeps are found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.tokens import Tokens

TIE = 1e-9  # nats; likelier by less is not likelier


class Relaxed(NamedTuple):
    """Where the dynamics ended, a row a start.

    states (batch, L): the fixed point, or of a cycle its smallest state in the order of tuples, so
    that two starts end in one attractor exactly where these rows are equal. sweeps (batch,): those
    that changed something before the attractor was entered. period (batch,): 1 for a fixed point,
    2 or more for a cycle, 0 where neither was reached; `states` is then the last one.
    """

    states: Tokens
    sweeps: NDArray[np.int64]
    period: NDArray[np.int64]


def likeliest(log_law: ArrayLike, tokens: Tokens) -> Tokens:
    """The likeliest token of each site, (batch, L); a token tied for it stays, of others the
    smallest is taken. log_law (batch, L, V), -inf allowed; a masked site (V) takes the likeliest.

    >>> likeliest(np.log([[[0.5, 0.5], [0.4, 0.6]]]), np.array([[1, 0]])).tolist()
    [[1, 1]]
    """
    law = np.asarray(log_law)
    tied = law >= law.max(axis=-1, keepdims=True) - TIE
    masked = tokens >= law.shape[-1]
    held = np.where(masked, 0, tokens).astype(np.intp)
    stays = np.take_along_axis(tied, held[..., None], -1)[..., 0] & ~masked
    return np.where(stays, tokens, tied.argmax(axis=-1).astype(tokens.dtype))


def relax(law: Callable[[Tokens], Any], start: Tokens, max_sweeps: int = 64) -> Relaxed:
    """Apply the map x -> argmax of `law` to `start` (batch, L): `settle`.

    law : from tokens (batch, L), always of the batch size of `start`, to log_law (batch, L, V).

    >>> flip = lambda x: np.log(np.where(np.arange(2) == x[..., None], 0.1, 0.9))
    >>> relax(flip, np.array([[1, 0]])).states.tolist(), relax(flip, np.array([[1, 0]])).period
    ([[0, 1]], array([2]))
    """
    return settle(lambda states: likeliest(law(states), states), start, max_sweeps)


def settle(step: Callable[[Tokens], Tokens], start: Tokens, max_sweeps: int = 64) -> Relaxed:
    """Apply `step` to `start` (batch, L) until each row repeats a state of its own.

    step : tokens (batch, L), always of the batch size of `start`, to those that come next.
    Cost: a step a sweep, and max_sweeps copies of `start`.
    """
    states = np.asarray(start).copy()
    past = [states.copy()]
    sweeps = np.full(len(states), max_sweeps, np.int64)
    period = np.zeros(len(states), np.int64)
    for sweep in range(1, max_sweeps + 1):
        states = step(states)
        met = np.stack([(states == old).all(1) for old in past])
        new = met.any(0) & (period == 0)
        last = len(past) - 1 - met[::-1].argmax(0)  # the latest visit
        period[new] = sweep - last[new]
        sweeps[new] = last[new]
        past.append(states.copy())
        if period.all():
            break
    rows = np.arange(len(states))
    best = past[-1].copy()
    for back in range(1, int(period.max(initial=1))):
        other = past[-1 - back]
        differ = best != other
        first = differ.argmax(1)
        smaller = (other[rows, first] < best[rows, first]) & differ.any(1) & (back < period)
        best[smaller] = other[smaller]
    return Relaxed(best, sweeps, period)

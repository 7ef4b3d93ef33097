"""Gaps of the loss between unseen and stored sequences, with replicates over sequences.

Of both losses that of the source's exact law on the same noise is taken off, which has the same
mean on either and most of the spread.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from models.noise import noise
from simulations.curvature import objectives
from simulations.curvature.effective_dimension import Objective
from simulations.curvature.objectives import Inputs
from simulations.data.problem import Problem
from simulations.measure.bootstrap import bootstrap_ratio

Floats = NDArray[np.float64]

READ_AT_ONCE = 8192  # rows


def law_of(problem: Problem) -> Any:
    if problem.source is None:
        raise ValueError("the study needs a source with an exact law, iid or markov.")
    return problem.source.population_denoiser()


def noisy(rng: np.random.Generator, x_0: Any, draws: int, alpha: float, vocab_size: int) -> Inputs:
    """`draws` noisy versions of each sequence, one after the other; every site counts."""
    clean = np.tile(x_0, (draws, 1))
    x_t = noise(rng, clean, alpha, vocab_size)
    return objectives.every_site(jnp.asarray(clean), jnp.asarray(x_t))


def drawn(
    rng: np.random.Generator, x_0: Any, draws: int, t: float, schedule: Any, channel: Any
) -> Inputs:
    clean = jnp.asarray(np.tile(x_0, (draws, 1)), jnp.int32)
    return objectives.at_level(key_of(rng), clean, t, schedule, channel)


def key_of(rng: np.random.Generator) -> Any:
    return jax.random.key(int(rng.integers(2**31)))


@functools.partial(jax.jit, static_argnums=0)
def _losses(objective: Objective, theta: Any, rows: Inputs) -> Any:
    return objective(theta, rows)


def excess(
    objective: Objective, theta: Any, rows: Inputs, law: Any, t: float, draws: int
) -> Floats:
    """Loss of each sequence less that of the exact law, mean over its noisy versions, (n,)."""
    missing = -len(rows.x_0) % READ_AT_ONCE
    padded = jax.tree.map(
        lambda a: jnp.pad(a, [(0, missing)] + [(0, 0)] * (a.ndim - 1), mode="edge"), rows
    )
    parts = []
    for first in range(0, len(padded.x_0), READ_AT_ONCE):
        some = Inputs(*(part[first : first + READ_AT_ONCE] for part in padded))
        parts.append(np.asarray(_losses(objective, theta, some)))
    losses = np.concatenate(parts).astype(np.float64)[: len(rows.x_0)]
    x_0, weights = np.asarray(rows.x_0), np.asarray(rows.weights, np.float64)
    exact = law.log_loo(np.asarray(rows.x_t), t)
    told = np.take_along_axis(exact, x_0[..., None].astype(np.int64), -1)[..., 0]
    return np.asarray((losses + (weights * told).sum(1)).reshape(draws, -1).mean(0))


def error_excess(rng: np.random.Generator, model: Any, other: Any, x_0: Any, draws: int) -> Floats:
    """Squared error of each sequence less that of another model, which has not seen any, on the
    same noise; mean over its noisy versions, (n,)."""
    total = np.zeros(len(x_0))
    for _ in range(draws):
        x_t = noise(rng, x_0, model.alpha, model.vocab_size)
        total += model.squared_errors(x_0, x_t) - other.squared_errors(x_0, x_t)
    return total / draws


def resampled(replicates: int, rng: np.random.Generator, values: Floats) -> tuple[float, Floats]:
    """Mean over sequences and its bootstrap replicates."""
    ones, own = np.ones(len(values)), np.arange(len(values))
    mean, rows = bootstrap_ratio(rng, values, ones, own, replicates)
    return float(mean), rows


def gap_of(
    replicates: int, rng: np.random.Generator, unseen: Floats, stored: Floats
) -> tuple[float, Floats]:
    """Mean of unseen less mean of stored sequences, and its replicates."""
    (test, tests), (train, trains) = (resampled(replicates, rng, x) for x in (unseen, stored))
    return test - train, tests - trains

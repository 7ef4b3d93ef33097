"""d_eff of one model from held-out sequences, and Newton's method by the same products."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from am_theory.channel import Uniform
from models.training.step import learning_rate
from simulations.curvature import objectives
from simulations.curvature.config import FILTERS, CurvatureConfig
from simulations.curvature.effective_dimension import (
    Filter,
    Objective,
    Product,
    balanced_signs,
    flow,
    inverse,
    lanczos,
    traces,
)
from simulations.curvature.gaps import drawn, key_of, law_of, noisy
from simulations.curvature.objectives import Inputs
from simulations.data.problem import Problem

Floats = NDArray[np.float64]

NEWTON_STEPS, NEWTON_PRODUCTS = 6, 10  # of a fit of `pairwise`
BATCHES = 16  # of training, for AdamW's mean of squared gradients


@functools.partial(jax.jit, static_argnums=0)
def _products(objective: Objective, theta: Any, rows: Inputs, scale: Any, vectors: Any) -> Any:
    """scale H scale times each vector."""
    return scale * jax.vmap(lambda v: objective.curvature(theta, rows, scale * v))(vectors)


def _product(objective: Objective, theta: Any, rows: Inputs, scale: Any) -> Product:
    """`_products` of vectors in double precision."""
    return lambda v: _products(objective, theta, rows, scale, jnp.asarray(v, jnp.float32))


@functools.partial(jax.jit, static_argnums=0)
def _gradients(objective: Objective, theta: Any, rows: Inputs, weights: Any) -> Any:
    """The weighted gradient of each set of rows (sets, n, ...)."""
    return jax.lax.map(lambda part: objective.gradient(theta, *part), (rows, weights))


def minimum(objective: Objective, theta: Any, rows: Inputs) -> Any:
    """Newton's method from theta, the step by a Lanczos run."""
    one = jnp.full((1, len(rows.x_0)), 1 / len(rows.x_0))
    batch = jax.tree.map(lambda a: a[None], rows)
    scale = jnp.ones(len(theta))
    for _ in range(NEWTON_STEPS):
        slope = np.asarray(_gradients(objective, theta, batch, one), np.float64)
        run = lanczos(_product(objective, theta, rows, scale), slope, NEWTON_PRODUCTS)
        theta = theta - jnp.asarray(run.applied(inverse())[0], jnp.float32)
    return theta


def _parts(config: CurvatureConfig, problem: Problem) -> tuple[Any, Any]:
    """Held-out sequences of the blocks (blocks, size, L), and those of the curvature."""
    used = config.block * config.blocks
    held = problem.held_out
    shape = (config.blocks, config.block, config.seq_len)
    return held[:used].reshape(shape), held[used : used + config.rows]


def _signed(
    objective: Objective, theta: Any, blocks: list[Inputs], signs: Floats, draws: int
) -> Floats:
    """sum_k s_k grad l_k of every block, (blocks, p); the mean over `draws` of each sequence."""
    rows = jax.tree.map(lambda *parts: jnp.stack(parts), *blocks)
    weights = jnp.asarray(np.tile(signs, (1, draws)) / draws, jnp.float32)
    return np.asarray(_gradients(objective, theta, rows, weights), np.float64)


def _curvatures(
    config: CurvatureConfig,
    objective: Objective,
    theta: Any,
    rows: Inputs,
    scale: Any,
    starts: Floats,
    read: Floats,
    filters: list[Filter],
) -> Floats:
    """d_eff (level, filter, iterations, block) of gradients read (level, blocks, p): after half of
    the iterations, and after all."""
    wide = np.asarray(scale, np.float64)
    product = _product(objective, theta, rows, scale)
    run = lanczos(product, starts * wide, config.lanczos_steps)
    runs = [run.shortened(config.lanczos_steps // 2), run]
    found = [
        [traces(each, read * wide, function, config.block) for each in runs] for function in filters
    ]
    return np.moveaxis(np.asarray(found), 2, 0)


def at_its_level(
    config: CurvatureConfig,
    objective: Objective,
    theta: Any,
    problem: Problem,
    alpha: float,
    rng: np.random.Generator,
    damping: float = 0.0,
) -> Floats:
    """Takeuchi's tr(G (H + damping)^-1) of one level, (filter, iterations, block): all filters are
    one, as the fit is at its minimum. damping : what a ridge adds to H."""
    blocks, rest = _parts(config, problem)
    rows = noisy(rng, rest, config.draws, alpha, config.vocab_size)
    signs = balanced_signs(rng, config.blocks, config.block)
    starts, read = (
        _signed(
            objective,
            theta,
            [noisy(rng, block, config.draws, alpha, config.vocab_size) for block in blocks],
            signs,
            config.draws,
        )
        for _ in range(2)
    )
    scale = jnp.ones(len(theta))
    filters = [inverse(damping) for _ in FILTERS]
    return _curvatures(config, objective, theta, rows, scale, starts, read[None], filters)[0]


def of_training(
    config: CurvatureConfig,
    objective: Objective,
    theta: Any,
    problem: Problem,
    training: Any,
    rng: np.random.Generator,
) -> tuple[Floats, dict[str, float]]:
    """tr(C_t H^-1) (level, filter, iterations, block) of a network trained on all levels.

    In AdamW's own coordinates, theta = scale x phi with scale^2 = 1 / (root mean square of the
    gradients of batches), training is a flow with weight decay for the time sum of rates.
    """
    law, channel = law_of(problem), Uniform(config.vocab_size)
    blocks, rest = _parts(config, problem)

    def trained(x_0: Any) -> Inputs:
        clean = jnp.asarray(x_0, jnp.int32)
        return objectives.as_trained(key_of(rng), clean, law.schedule, channel)

    batches = [trained(rng.choice(problem.held_out, training.batch)) for _ in range(BATCHES)]
    stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *batches)
    share = jnp.full((BATCHES, training.batch), 1 / training.batch)
    slopes = np.asarray(_gradients(objective, theta, stacked, share), np.float64)
    clipped = slopes * np.minimum(1, training.clip / np.linalg.norm(slopes, axis=1))[:, None]
    scale = jnp.asarray((np.sqrt((clipped**2).mean(0)) + 1e-8) ** -0.5, jnp.float32)
    rate = learning_rate(training)
    time = float(np.sum([float(rate(k)) for k in range(0, training.steps, 10)]) * 10)
    signs = balanced_signs(rng, config.blocks, config.block)
    starts = _signed(
        objective,
        theta,
        [trained(np.tile(block, (config.draws, 1))) for block in blocks],
        signs,
        config.draws,
    )
    read = np.stack(
        [
            _signed(
                objective,
                theta,
                [drawn(rng, block, config.draws, t, law.schedule, channel) for block in blocks],
                signs,
                config.draws,
            )
            for t in config.levels
        ]
    )
    decay = training.weight_decay
    filters = [inverse(), inverse(decay), flow(time, decay)]
    found = _curvatures(config, objective, theta, trained(rest), scale, starts, read, filters)
    return found, {"training_time": time}

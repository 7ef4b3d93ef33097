"""What one cell measures: the gap of a model's loss by level, and the curvature of some models.

gap : mean loss of unseen less that of stored sequences, on fresh noise; of both the loss of the
source's exact law on the same noise is taken off, which has the same mean on either and most of
the spread. `linear`: exact, by formula.

dimension : d_eff by level, filter, iterations of Lanczos (half of them, all) and block of held-out
sequences, `effective_dimension.traces`.
`linear` and `pairwise` are fitted to their minimum at each level apart, networks trained on all
levels at once, so that their H and one of the two gradients are those of the training loss.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.channel import Uniform
from models.networks.linear import LinearDenoiser
from models.networks.random_features import RandomFeatureDenoiser
from models.streams import stream
from simulations.curvature import objectives
from simulations.curvature.config import CurvatureConfig, measures_curvature, system_name
from simulations.curvature.curvatures import at_its_level, minimum, of_training
from simulations.curvature.gaps import drawn, error_excess, excess, gap_of, law_of, noisy, resampled
from simulations.data.problem import Problem, make_problem
from simulations.trained import train_network

Floats = NDArray[np.float64]

FITTED_DRAWS = 2  # of `pairwise`: the noise that a fit saw moves train and test alike, in 1 / K
REFERENCE = 4  # times the largest K: sequences of the fit that the errors are compared with


def compute(config: CurvatureConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep."""
    model, source, steps = config.systems[coordinates["system"]]
    size, seed = coordinates["train_size"], coordinates["seed"]
    problem = make_problem(
        source,
        config.vocab_size,
        config.seq_len,
        max(config.train_sizes),
        max(max(config.train_sizes), config.block * config.blocks + config.rows),
        config.root_seed,
        seed,
    )
    rng = stream(config.root_seed, system_name(config.systems[coordinates["system"]]), size, seed)
    curved = measures_curvature(config, coordinates)
    if model == "linear":
        return _linear(config, problem, size, curved, rng)
    if model == "features":
        return _features(config, problem, size, curved, rng)
    if model == "pairwise":
        return _pairwise(config, problem, size, curved, rng)
    return _network(config, problem, (model, steps), size, curved, rng)


def _dataset(
    gaps: Floats, replicates: Floats, dimensions: Floats | None, notes: dict[str, float]
) -> xr.Dataset:
    """gaps (level,), replicates (replicate, level), dimensions (level, filter, iterations,
    block)."""
    data: dict[str, Any] = {
        "gap": ("level", gaps, {"units": "nats a token, or per effective dimension"}),
        "gap_replicates": (("replicate", "level"), replicates, {"units": "as gap"}),
    }
    if dimensions is not None:
        dims = ("level", "filter", "iterations", "block")
        data["dimension"] = (dims, dimensions, {"units": "as gap, times sequences"})
    data |= {name: ((), value, {"units": "1"}) for name, value in notes.items()}
    return xr.Dataset(data)


def _linear(
    config: CurvatureConfig, problem: Problem, size: int, curved: bool, rng: np.random.Generator
) -> xr.Dataset:
    vocab = config.vocab_size
    denoiser = LinearDenoiser(problem.stored[:size], vocab)
    objective = objectives.linear(vocab)
    gaps, replicates, found = [], [], []
    for t in config.levels:
        alpha = float(denoiser.schedule.alpha(t))
        filter_ = denoiser.at(alpha)
        stored = filter_.errors(denoiser.patterns)
        mean, means = resampled(config.replicates, rng, stored)
        gaps.append(filter_.uniform_error() - mean)
        replicates.append(filter_.uniform_error() - means)
        if curved:
            theta = jnp.asarray(filter_.matrix.ravel(), jnp.float32)
            found.append(at_its_level(config, objective, theta, problem, alpha, rng))
    return _dataset(np.array(gaps), np.stack(replicates, 1), _levels_of(found), {})


def _features(
    config: CurvatureConfig, problem: Problem, size: int, curved: bool, rng: np.random.Generator
) -> xr.Dataset:
    vocab, seed = config.vocab_size, int(rng.integers(2**31))
    many = law_of(problem).source.sample(rng, REFERENCE * max(config.train_sizes))
    stored = problem.stored[:size]
    denoiser, reference = (
        RandomFeatureDenoiser(
            x_0, vocab, config.n_features, ridge=config.ridge, draws=config.draws, seed=seed
        )
        for x_0 in (stored, many)
    )
    objective = objectives.random_features(vocab, denoiser.weights)
    damping = 2 * config.ridge / denoiser.dimension
    gaps, replicates, found = [], [], []
    for t in config.levels:
        alpha = float(denoiser.schedule.alpha(t))
        map_ = denoiser.at(alpha)
        other = reference.at(alpha)
        both = [
            error_excess(rng, map_, other, x_0, config.draws) for x_0 in (problem.held_out, stored)
        ]
        gap, rows_of_gap = gap_of(config.replicates, rng, *both)
        gaps.append(gap)
        replicates.append(rows_of_gap)
        if curved:
            theta = jnp.asarray(map_.readout.ravel(), jnp.float32)
            parts = (config, objective, theta, problem, alpha, rng)
            found.append(at_its_level(*parts, damping))
    return _dataset(np.array(gaps), np.stack(replicates, 1), _levels_of(found), {})


def _pairwise(
    config: CurvatureConfig, problem: Problem, size: int, curved: bool, rng: np.random.Generator
) -> xr.Dataset:
    vocab = config.vocab_size
    objective, n_parameters = objectives.pairwise(vocab, config.seq_len)
    law = law_of(problem)
    gaps, replicates, found = [], [], []
    for t in config.levels:
        alpha = float(law.schedule.alpha(t))
        stored = problem.stored[:size]
        fitted = noisy(rng, stored, FITTED_DRAWS, alpha, vocab)
        theta = minimum(objective, jnp.zeros(n_parameters), fitted)

        both = []
        for x_0 in (problem.held_out, stored):
            rows = noisy(rng, x_0, config.draws, alpha, vocab)
            both.append(excess(objective, theta, rows, law, t, config.draws))
        gap, rows_of_gap = gap_of(config.replicates, rng, *both)
        gaps.append(gap)
        replicates.append(rows_of_gap)
        if curved:
            found.append(at_its_level(config, objective, theta, problem, alpha, rng))
    return _dataset(np.array(gaps), np.stack(replicates, 1), _levels_of(found), {})


def _network(
    config: CurvatureConfig,
    problem: Problem,
    kind: tuple[Any, int],
    size: int,
    curved: bool,
    rng: np.random.Generator,
) -> xr.Dataset:
    network, training = config.network(kind[0]), config.training(kind[1])
    stored = jnp.asarray(problem.stored)
    model = train_network(rng, network, stored, size, training).model
    objective, theta = objectives.network(model)
    law, channel = law_of(problem), Uniform(config.vocab_size)
    gaps, replicates = [], []
    for t in config.levels:
        both = []
        for x_0 in (problem.held_out, problem.stored[:size]):
            rows = drawn(rng, x_0, config.draws, t, law.schedule, channel)
            both.append(excess(objective, theta, rows, law, t, config.draws))
        gap, rows_of_gap = gap_of(config.replicates, rng, *both)
        gaps.append(gap)
        replicates.append(rows_of_gap)
    found: Floats | None = None
    notes: dict[str, float] = {}
    if curved:
        found, notes = of_training(config, objective, theta, problem, training, rng)
    return _dataset(np.array(gaps), np.stack(replicates, 1), found, notes)


def _levels_of(found: list[Floats]) -> Floats | None:
    return np.stack(found) if found else None

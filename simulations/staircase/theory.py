"""What follows from the kernel before training: curves over K and over training time.

A time of memory is read off a curve by one rule, for theory and networks alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from am_theory import linear, random_feature_denoiser, staircase
from simulations.measure.passage import crossing_size
from simulations.staircase.config import StaircaseConfig

Floats = NDArray[np.float64]


def regression_theory(config: StaircaseConfig, sizes: Any, degree: int) -> Any:
    """Held-out error of kernel regression at K."""
    vocab_size, seq_len = config.kernel_size
    kernel = staircase.network_kernel(seq_len, n_blocks=config.n_blocks)
    return staircase.regression_error(
        sizes, kernel, seq_len, vocab_size, degree, ridge=config.ridge
    )


def degree_theory(config: StaircaseConfig, times: Any, width: int, degree: int) -> Any:
    """Error of a function of one degree at training times, unlimited data and width."""
    vocab_size, seq_len = config.degrees_size
    rates = staircase.kernel_eigenvalues(config.kernel("degrees"), seq_len, vocab_size)
    return np.exp(-2 * width * rates[degree] * np.asarray(times))


def memory_theory(config: StaircaseConfig, times: Any, width: int, train_size: int) -> Any:
    """Train and held-out error at training times, (2, times), of a readout of `width` features."""
    vocab_size, seq_len = config.memory_size
    place = (seq_len, vocab_size, config.alpha)
    moments = staircase.kernel_moments(config.kernel("memory"), *place)
    triple = (moments.linear, moments.static, moments.fresh)
    found = random_feature_denoiser.training_errors(
        train_size, width, *place, np.asarray(times), activation=triple
    )
    return np.stack([found.train, found.heldout])


def first_time(steps: Any, error: Floats) -> Floats:
    """Step at which curves (..., steps) of the held-out error are half way from 1 to their least;
    the first passage, as memory lets the error rise again."""
    least = error.min(-1, keepdims=True)
    upto = np.minimum.accumulate(error, axis=-1)
    return crossing_size(steps, upto, (1 + least[..., 0]) / 2, "falling")


def gap_step(steps: Any, errors: Floats) -> Floats:
    """Step from which on the gap of errors (..., 2, steps), train and held-out, is above half of
    its last value: mostly that of the linear part, which has a gap of its own."""
    gap = errors[..., 1, :] - errors[..., 0, :]
    return crossing_size(steps, gap, gap[..., -1] / 2, "rising")


def linear_error(config: StaircaseConfig, train_size: int) -> float:
    """Train error of the linear denoiser of K sequences; below it there is memory that no linear
    map has."""
    vocab_size, seq_len = config.memory_size
    return float(linear.errors(train_size, seq_len, vocab_size, config.alpha).train)


def beyond_step(steps: Any, errors: Floats, level: float) -> Floats:
    """Step from which on the train error is below a level."""
    return crossing_size(steps, errors[..., 0, :], level, "falling")


def memory_rates(
    config: StaircaseConfig, method: str, width: int, train_size: int, heldout: Floats
) -> list[float]:
    """Training time of a step, for each network (seed, step) of held-out errors."""
    if method != "adam":
        return [config.learning_rate("memory", method, width)] * len(heldout)
    steps = config.steps("memory", method, width)
    times = np.geomspace(1e-3, 1e3, 121) / width
    theory = memory_theory(config, times, width, train_size)[1]
    return (float(first_time(times, theory)) / first_time(steps, heldout)).tolist()

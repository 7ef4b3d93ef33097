"""Levels at which channels tell as much of a clean sequence, by their information I(x_0; x_t).

Neither t nor the share of lost tokens is comparable between channels: a mask says that a token is
lost, a redrawn one does not. Each channel's information is estimated on a grid of kept fractions,
with the same random numbers for all, and read backwards.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from am_theory.channel import LogLinear, corruption_rate
from am_theory.compare import equal_information_alpha
from models.streams import stream
from simulations.channels.config import Config
from simulations.data.problem import make_source
from simulations.phase.config import ChannelName

Floats = NDArray[np.float64]
GRID = tuple(np.round(np.linspace(0.02, 0.98, 25), 4))  # kept fractions


@functools.lru_cache(maxsize=8)
def information(config: Config, channel: ChannelName) -> tuple[Floats, Floats]:
    """I(x_0; x_t) in nats a sequence at the kept fractions of GRID, rising, and standard errors."""
    source = make_source(config.source, config.vocab_size, config.seq_len)
    noise = config.of(channel, config.levels).noise
    found = [
        source.mutual_information(
            float(alpha), stream(config.root_seed, "information"), config.information_draws, noise
        )
        for alpha in GRID
    ]
    values = np.maximum.accumulate([one.value for one in found])  # rises but for its error
    return values, np.array([one.standard_error for one in found])


@functools.lru_cache(maxsize=8)
def levels_of(config: Config, channel: ChannelName) -> tuple[float, ...]:
    """The levels t of a channel at which it tells as much as the uniform one at `config.levels`,
    to four digits. Raises ValueError where that is beyond what the grid holds."""
    if channel == "uniform":
        return config.levels
    schedule = LogLinear()
    alpha = np.asarray(schedule.alpha(np.array(config.levels)))
    told = np.interp(alpha, GRID, information(config, "uniform")[0])
    own = np.asarray(equal_information_alpha(told, information(config, channel)[0], GRID))
    if np.isnan(own).any():
        raise ValueError(
            f"`levels` must lie where the channels can be compared; {list(config.levels)} is too "
            "near to 0 or 1."
        )
    levels = np.atleast_1d(np.round(schedule.time_at(own), 4))
    return tuple(float(t) for t in levels)


def told(config: Config, channel: ChannelName) -> Floats:
    """Information at the levels of a channel, nats a token."""
    alpha = np.asarray(LogLinear().alpha(np.array(levels_of(config, channel))))
    return np.interp(alpha, GRID, information(config, channel)[0]) / config.seq_len


def told_at(config: Config, channel: ChannelName, t: float) -> float:
    """Information at any level t of a channel, nats a token; NaN where t is."""
    alpha = float(LogLinear().alpha(min(max(t, 0.0), 1.0))) if np.isfinite(t) else np.nan
    return float(np.interp(alpha, GRID, information(config, channel)[0])) / config.seq_len


def lost(config: Config, channel: ChannelName) -> Floats:
    """Share of tokens that are masked or changed at the levels of a channel."""
    alpha = np.asarray(LogLinear().alpha(np.array(levels_of(config, channel))))
    noise = config.of(channel, config.levels).noise
    return np.asarray(corruption_rate(alpha, noise))

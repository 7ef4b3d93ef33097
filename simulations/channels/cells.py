"""One cell of the comparison: the main job's measurements under one channel."""

from __future__ import annotations

from typing import Any

import xarray as xr

from models.streams import stream
from simulations.channels.config import CHECKS, Config
from simulations.channels.levels import levels_of
from simulations.measure.checks import as_dataset
from simulations.phase import cells as phase
from simulations.phase.exact_checks import CASES, memory_checks, population_checks


def compute(config: Config, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell; levels by their number, as channels have levels of their own."""
    channel = coordinates["channel"]
    inner = config.of(channel, levels_of(config, channel))
    if coordinates["kind"] == CHECKS:
        checks = []
        for case in CASES:
            checks += memory_checks(inner, case, stream(config.root_seed, "exact", *case))
        checks += population_checks(inner, stream(config.root_seed, "exact", "chain"))
        return as_dataset(checks)
    found = phase.measure(inner, coordinates["train_size"], coordinates["seed"])
    numbered = {"t": range(len(inner.levels)), "t_entropy": range(len(inner.levels) + 1)}
    return found.assign_coords({name: (name, list(at)) for name, at in numbered.items()})

"""What the engine would do with more workers than there are here: extrapolated, not measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulations.phase.config import cost, make_cells, preset
from simulations.sweep.engine import makespan
from simulations.trained import MODELS


@dataclass(frozen=True)
class Limits:
    """What the engine itself takes: seconds that a worker loses with every cell, and the cells that
    the launcher can take in a second."""

    overhead: float
    cells_per_second: float


FREE = Limits(0.0, float("inf"))  # an engine that costs nothing


def wall_time(costs: Sequence[float], workers: int, limits: Limits) -> float:
    """Seconds of a sweep of cells of these lengths (s): handed out longest first, each with its
    overhead, but no faster than the launcher takes them."""
    spent = makespan([cost + limits.overhead for cost in costs], workers)
    return max(spent, len(costs) / limits.cells_per_second)


def efficiency(costs: Sequence[float], workers: int, limits: Limits) -> float:
    """Useful time over the time of all workers, in (0, 1]; 1 for a perfect share without cost."""
    return sum(costs) / (workers * wall_time(costs, workers, limits))


def grid(last: int) -> list[int]:
    """Numbers of workers from 1 to `last`: each up to 100, since whole cells make efficiency jump,
    then powers of two and evenly in the logarithm."""
    fine = range(1, min(last, 100) + 1)
    powers = [2**k for k in range(last.bit_length()) if 2**k <= last]
    coarse = np.round(np.geomspace(1, last, 61)).astype(int).tolist()
    return sorted({*fine, *powers, *coarse})


def paper_costs(model: str) -> list[float]:
    """Seconds of each cell of `phase_diagram --preset paper`, by its cost model."""
    config = preset("paper", "markov", model)  # type: ignore[arg-type]
    return [cost(config, cell) for cell in make_cells(config)]


def curves(last: int, limits: Limits) -> dict[str, dict[str, Any]]:
    """Extrapolated efficiency of the paper preset, and of 10,000 cells of ten seconds, by name."""
    sweeps = {model: paper_costs(model) for model in MODELS}
    sweeps["10,000 cells of 10 s"] = [10.0] * 10_000
    return {
        name: {
            "cells": len(costs),
            "hours": sum(costs) / 3600,
            "longest_hours": max(costs) / 3600,
            "workers": grid(last),
            "efficiency": [efficiency(costs, n, limits) for n in grid(last)],
            "free": [efficiency(costs, n, FREE) for n in grid(last)],
            "wall_hours": [wall_time(costs, n, limits) / 3600 for n in grid(last)],
        }
        for name, costs in sweeps.items()
    }

"""What the measurement of the engine consists of, and its presets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from simulations.console.settings import Settings, at_least, rises

Part = Literal["throughput", "memory", "overhead", "paper"]
PARTS: tuple[Part, ...] = get_args(Part)
PRESETS = {"smoke": "a minute or two", "small": "half an hour"}


@dataclass(frozen=True)
class ScaleConfig(Settings):
    """Sizes of the measurement.

    Args:
        cells: empty cells of a throughput run.
        repeats: runs of each kind, of which the median and the range are told.
        memory_cells: cells over which the launcher's memory is followed.
        memory_step: cells between two looks at it.
        workers: numbers of workers for the overhead of Dask and of the local pool.
        seconds: lengths of the sleeping cells, in seconds.
        work_seconds: how long each worker sleeps in all in one overhead run.
        paper_seconds: length of all cells of the paper preset together, compressed.
        extrapolate: numbers of workers up to which efficiency is extrapolated.
    """

    cells: int = 1500
    repeats: int = 5
    memory_cells: int = 10_000
    memory_step: int = 500
    workers: tuple[int, ...] = (1, 2, 4, 8)
    seconds: tuple[float, ...] = (0.2, 1.0)
    work_seconds: float = 6.0
    paper_seconds: float = 40.0
    extrapolate: int = 1000

    def problems(self) -> Iterator[str]:
        yield from at_least(self, repeats=1, memory_step=1, extrapolate=1, cells=20)
        if self.memory_cells < 4 * self.memory_step:
            yield (
                f"`memory_cells` must be at least 4 `memory_step` = {4 * self.memory_step}, for a "
                f"slope with an interval; got {self.memory_cells}."
            )
        for name in ("workers", "seconds"):
            values = getattr(self, name)
            if not values or min(values) <= 0 or not rises(values):
                yield f"`{name}` must be positive and increasing; got {list(values)}."
        for name in ("work_seconds", "paper_seconds"):
            if getattr(self, name) <= 0:
                yield f"`{name}` must be positive; got {getattr(self, name)}."


def preset(name: str) -> ScaleConfig:
    """The sizes of a preset: smoke (about a minute) or small (about half an hour)."""
    sizes: dict[str, dict[str, Any]] = {
        "small": {},
        "smoke": {
            "cells": 100,
            "repeats": 1,
            "memory_cells": 400,
            "memory_step": 50,
            "workers": (1, 2),
            "seconds": (0.2,),
            "work_seconds": 1.0,
            "paper_seconds": 6.0,
        },
    }
    return ScaleConfig(**sizes[name])

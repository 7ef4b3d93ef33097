"""The configuration, its hash and the analysis of every command whose results are drawn.

Modules are imported when they are asked for, so that building needs only what a figure reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import xarray as xr

from simulations.check import Check, read_checks
from simulations.results import read_dataset
from simulations.sweep import load_cells

_PRESETS = {  # module that holds `preset`, where it is not `<program>_config`
    "phase_diagram": "config",
    "linear_curves": "linear_config",
    "scaling": "scaling_presets",
}


@dataclass(frozen=True)
class Phase:
    """An analysed phase diagram with its exact checks and bounds."""

    analysis: Any
    exact: list[Check]
    bounds: list[Check]


@dataclass(frozen=True)
class Basins:
    """Points of the basins command with their exact checks and bounds."""

    points: list[Any]
    exact: list[Check]
    bounds: list[Check]


def config_of(program: str, preset: str, *words: str) -> Any:
    """The configuration of a preset as it is today; `words` as its `preset` takes them."""
    return _module(_PRESETS.get(program, f"{program}_config")).preset(preset, *words)


def hash_of(program: str, config: Any) -> str:
    """The hash that results of this configuration carry."""
    text = (None,) if program == "phase_diagram" else ()
    found: str = _module(program).configuration_hash(config, *text)
    return found


def analysis_of(program: str, config: Any, data: xr.Dataset, folder: Path) -> Any:
    """What a command derives from its merged data and, some of them, from its cells."""
    return _ANALYSES[program](config, data, folder)


def _module(name: str) -> Any:
    return import_module(f"simulations.{name}")


def _plain(module: str) -> Callable[[Any, xr.Dataset, Path], Any]:
    return lambda config, data, _: _module(module).analyse(config, data)


def _saved_checks(folder: Path, cell: str) -> list[Check]:
    return read_checks(read_dataset(folder / "cells" / f"{cell}.nc"))


def _phase(config: Any, data: xr.Dataset, folder: Path) -> Phase:
    exact = _saved_checks(folder, _module("phase_diagram").CHECKS)
    bounds = _module("comparison").bound_checks(config, data)
    return Phase(_module("analysis").analyse(config, data), exact, bounds)


def _basins(config: Any, data: xr.Dataset, _: Path) -> Basins:
    module = _module("basins_analysis")
    return Basins(
        module.analyse(config, data), module.exact_checks(data), module.bound_checks(data)
    )


def _scaling(config: Any, _: xr.Dataset, folder: Path) -> Any:
    command = _module("scaling")
    networks = {c: load_cells(folder, cells) for c, cells in command.network_cells(config).items()}
    linear = {
        case: load_cells(folder, [cell])[0] for case, cell in command.linear_cells(config).items()
    }
    return _module("scaling_analysis").analyse(config, networks, linear)


def _novelty(config: Any, data: xr.Dataset, folder: Path) -> Any:
    checks = _saved_checks(folder, _module("novelty_config").CHECKS)
    return _module("novelty_analysis").analyse(config, data, checks)


_ANALYSES: dict[str, Callable[[Any, xr.Dataset, Path], Any]] = {
    "phase_diagram": _phase,
    "basins": _basins,
    "capacity": _plain("capacity_analysis"),
    "linear_curves": _plain("linear_analysis"),
    "scaling": _scaling,
    "entropy": _plain("entropy_analysis"),
    "novelty": _novelty,
}

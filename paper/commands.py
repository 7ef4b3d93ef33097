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

from simulations.measure.checks import Check, read_checks
from simulations.results.files import read_dataset
from simulations.sweep.run import load_cells

_ROOMS = {"phase_diagram": "phase"}
_PRESETS = {"scaling": "presets"}  # module that holds `preset`, where it is not `config`


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
    return _module(program, _PRESETS.get(program, "config")).preset(preset, *words)


def hash_of(program: str, config: Any) -> str:
    """The hash that results of this configuration carry."""
    text = (None,) if program == "phase_diagram" else ()
    found: str = _module(program, "study").configuration_hash(config, *text)
    return found


def analysis_of(program: str, config: Any, data: xr.Dataset, folder: Path) -> Any:
    """What a command derives from its merged data and, some of them, from its cells."""
    return _ANALYSES[program](config, data, folder)


def path(program: str) -> str:
    """The command of a program, as a module of simulations."""
    return "probe.calibration" if program == "probe_calibration" else program


def _module(program: str, name: str) -> Any:
    return import_module(f"simulations.{_ROOMS.get(program, path(program))}.{name}")


def _plain(program: str) -> Callable[[Any, xr.Dataset, Path], Any]:
    return lambda config, data, _: _module(program, "analysis").analyse(config, data)


def _saved_checks(folder: Path, cell: str) -> list[Check]:
    return read_checks(read_dataset(folder / "cells" / f"{cell}.nc"))


def _phase(config: Any, data: xr.Dataset, folder: Path) -> Phase:
    exact = _saved_checks(folder, _module("phase", "study").CHECKS)
    bounds = _module("phase", "comparison").bound_checks(config, data)
    return Phase(_module("phase", "analysis").analyse(config, data), exact, bounds)


def _basins(config: Any, data: xr.Dataset, _: Path) -> Basins:
    module = _module("basins", "analysis")
    return Basins(
        module.analyse(config, data), module.exact_checks(data), module.bound_checks(data)
    )


def _scaling(config: Any, _: xr.Dataset, folder: Path) -> Any:
    command = _module("scaling", "study")
    networks = {c: load_cells(folder, cells) for c, cells in command.network_cells(config).items()}
    linear = {
        case: load_cells(folder, [cell])[0] for case, cell in command.linear_cells(config).items()
    }
    return _module("scaling", "analysis").analyse(config, networks, linear)


def _novelty(config: Any, data: xr.Dataset, folder: Path) -> Any:
    checks = _saved_checks(folder, _module("novelty", "config").CHECKS)
    return _module("novelty", "analysis").analyse(config, data, checks)


_ANALYSES: dict[str, Callable[[Any, xr.Dataset, Path], Any]] = {
    "phase_diagram": _phase,
    "basins": _basins,
    "capacity": _plain("capacity"),
    "linear_curves": _plain("linear_curves"),
    "scaling": _scaling,
    "entropy": _plain("entropy"),
    "novelty": _novelty,
}

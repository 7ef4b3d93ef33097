"""How many patterns each memory holds: retrieval against load, and critical loads with intervals.

    python -m simulations.capacity --preset smoke

Starts from stored patterns of Hopfield, Potts and dense memories and carries the load at which
half of them are lost on to infinite size; looks for couplings that hold all patterns, against
Cover's exact count; fits pseudo-likelihood memories; stores structured examples. Writes data, a
report and a figure to results/capacity/<preset>/. Interrupted runs resume.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
import xarray as xr
from rich.console import Console

from simulations.capacity.config import (
    FAMILIES,
    NUMERICS,
    PRESETS,
    CapacityConfig,
    preset,
    train_sizes,
)
from simulations.console import command
from simulations.console.command import complete, entry
from simulations.phase.config import TOOLKIT
from simulations.results.files import digest
from simulations.sweep.engine import Engine
from simulations.sweep.run import Cell, SweepOutcome, load_cells

PROGRAM = "capacity"


@dataclass(frozen=True)
class Arguments:
    """Measure the critical loads of all memories and compare them with theory.

    Args:
        preset: smoke (half a minute) or small (minutes).
        out: results folder; default results/capacity/<preset>.
        engine: where cells are computed.
        check: exit with status 1 if a simulation deviates from an exact prediction.
        config: every setting of the preset can be overridden.
    """

    preset: Literal["smoke", "small"] = "small"
    out: Path | None = None
    engine: Annotated[Engine, tyro.conf.OmitArgPrefixes] = field(default_factory=Engine)
    check: bool = False
    config: Annotated[CapacityConfig, tyro.conf.OmitArgPrefixes] = field(
        default_factory=CapacityConfig
    )


def compute_cell(config: CapacityConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep; runs in a worker."""
    from simulations.capacity import cells

    kind, size = coordinates["kind"], coordinates["size"]
    if kind in FAMILIES:
        return cells.retrieval(config, kind, size)
    if kind == "features":
        return cells.features(config)
    return cells.existence(config, size) if kind == "existence" else cells.fits(config, size)


def sizes_of(config: CapacityConfig) -> dict[str, tuple[int, ...]]:
    """Every kind of cell with its sizes."""
    named = {family: config.sizes(family) for family in FAMILIES}
    return named | {
        "existence": config.existence,
        "fits": config.fits,
        "features": (config.features,),
    }


def make_cells(config: CapacityConfig) -> list[Cell]:
    """One cell per kind and size."""
    return [
        Cell(f"{kind}-N{size}", {"kind": kind, "size": size})
        for kind, sizes in sizes_of(config).items()
        for size in sizes
    ]


def _cost(config: CapacityConfig, cell: Cell) -> float:
    """Rough seconds on one core."""
    kind, size = cell.coordinates["kind"], cell.coordinates["size"]
    if kind in FAMILIES:
        pairs = size * sum(train_sizes(kind, size, config.relative_loads(kind)))
        return 0.5 + config.sets * config.starts * pairs * 2e-8
    if kind == "existence":
        return 0.5 + config.sets * config.rows * (size / 96) ** 3
    if kind == "fits":
        return 0.5 + config.sets * (size / 100) ** 3 * 10
    return 0.5 + config.sets * sum(config.feature_loads) * (size / 4000) ** 2


def _size(config: CapacityConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file: mostly its head."""
    return 1.5e4 + 5.0 * config.sets * config.starts


def merge(out: Path, config: CapacityConfig) -> xr.Dataset:
    """All cells as one dataset; variables and dimensions of a kind carry its name in front."""
    parts = []
    for kind, sizes in sizes_of(config).items():
        cells = [cell for cell in make_cells(config) if cell.coordinates["kind"] == kind]
        found = [cell.drop_attrs(deep=False) for cell in load_cells(out, cells)]
        axis = xr.Variable(f"{kind}_size", list(sizes), {"units": "sites"})
        joined = found[0] if kind == "features" else xr.concat(found, axis)
        parts.append(joined.rename({name: f"{kind}_{name}" for name in joined.data_vars}))
    coordinates = {
        "load": ("load", list(config.loads), {"units": "of the critical load"}),
        "dense_load": ("dense_load", list(config.dense_loads), {"units": "of the critical load"}),
        "fit_load": ("fit_load", list(config.fit_loads), {"units": "patterns per site"}),
        "feature_load": (
            "feature_load",
            list(config.feature_loads),
            {"units": "examples per site"},
        ),
        "kind": ["stored", "feature", "unseen"],
        "stage": ["one step", "fixed point"],
    }
    return xr.merge(parts).assign_coords(coordinates)


def configuration_hash(config: CapacityConfig) -> str:
    """Hash of all that the numbers depend on besides a cell's coordinates."""
    return digest({"config": config.as_dict(), "toolkit": TOOLKIT, "capacity": NUMERICS})


def parse(arguments: list[str]) -> Arguments:
    """Command line to Arguments; a wrong preset or value ends with one sentence and status 2."""
    return command.with_preset(PROGRAM, arguments, PRESETS, Arguments, preset, __doc__)


def run(arguments: Arguments, console: Console) -> int:
    """Sweep, merge, analyse, report; returns the exit status."""
    started = time.monotonic()
    config = arguments.config
    out = arguments.out or Path("results/capacity") / arguments.preset
    outcome = complete(
        console,
        arguments.engine,
        make_cells(config),
        partial(compute_cell, config),
        out,
        configuration_hash(config),
        cost=partial(_cost, config),
        size=partial(_size, config),
    )
    return finish(arguments, out, outcome, started, console)


def finish(
    arguments: Arguments, out: Path, outcome: SweepOutcome, started: float, console: Console
) -> int:
    """Everything after the sweep: merged data, analysis, figure, report, checks."""
    from simulations.capacity.analysis import analyse
    from simulations.capacity.figure import capacity_figure
    from simulations.capacity.report import print_findings, write_report

    config = arguments.config
    with console.status("merging the cells and bootstrapping intervals"):
        data = merge(out, config)
        title = "Retrieval against load, and critical loads"
        key = configuration_hash(config)
        command.save(data, out / "capacity.nc", title, config.as_dict(), key, outcome)
        analysis = analyse(config, data)
        capacity_figure(analysis, out / "capacity")
        write_report(analysis, out, arguments.preset, time.monotonic() - started)
    print_findings(analysis, console)
    broken = sum(not check.agrees for check in analysis.checks)
    return command.close(console, out, broken, arguments.check)


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, lambda words, console: run(parse(words), console))

"""The linear denoiser, simulated and held against its theory: a transition that is solved.

    python -m simulations.linear_curves --preset smoke

Fits the denoiser exactly on many sets of K random sequences and measures train and test errors
and token recovery over x = K / (L (V - 1)), fits to drawn noise (double descent), and training
time. Writes data, a report and a figure to results/linear_curves/<preset>/. Interrupted runs
resume.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
import xarray as xr
from rich.console import Console

from simulations.console import command
from simulations.console.command import complete, entry
from simulations.linear_curves.config import (
    NUMERICS,
    PRESETS,
    LinearConfig,
    dimension,
    preset,
    train_sizes,
)
from simulations.phase.config import TOOLKIT
from simulations.results.files import digest
from simulations.sweep.engine import Engine
from simulations.sweep.run import Cell, SweepOutcome, load_cells

PROGRAM = "linear_curves"


@dataclass(frozen=True)
class Arguments:
    """Measure the solvable transition of the linear denoiser and compare it with theory.

    Args:
        preset: smoke (half a minute) or small (minutes).
        out: results folder; default results/linear_curves/<preset>.
        engine: where cells are computed.
        check: exit with status 1 if a simulation deviates from an exact prediction.
        config: every setting of the preset can be overridden.
    """

    preset: Literal["smoke", "small"] = "small"
    out: Path | None = None
    engine: Annotated[Engine, tyro.conf.OmitArgPrefixes] = field(default_factory=Engine)
    check: bool = False
    config: Annotated[LinearConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=LinearConfig)


def compute_cell(config: LinearConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep; runs in a worker."""
    from simulations.linear_curves import cells as linear_cells

    return getattr(linear_cells, coordinates["kind"])(config, coordinates["index"])


def make_cells(config: LinearConfig) -> list[Cell]:
    """One cell per curve: of a case, of a ridge, of a training-set size over time."""
    named = {
        "curves": [f"V{v}-L{length}-alpha{alpha:g}" for v, length, alpha in config.cases],
        "draws": [f"ridge{ridge:g}" for ridge in config.ridges],
        "flow": [f"K{size}" for size in config.flow_sizes],
    }
    return [
        Cell(f"{kind}-{name}", {"kind": kind, "index": index})
        for kind, names in named.items()
        for index, name in enumerate(names)
    ]


def _cost(config: LinearConfig, cell: Cell) -> float:
    """Rough seconds on one core of 20 Gflop/s."""
    kind, index = cell.coordinates["kind"], cell.coordinates["index"]
    if kind == "flow":
        d = dimension(config.flow_case)
        work = (10 + 5 * len(config.times)) * float(d) ** 3
    elif kind == "draws":
        d, sizes = dimension(config.draws_case), train_sizes(config.draws_case, config.draws_ratios)
        work = sum(config.draws) * d**2 * sum(sizes) + 6 * len(sizes) * d**3
    else:
        d, sizes = dimension(config.cases[index]), train_sizes(config.cases[index], config.ratios)
        work = d**2 * (4 * sum(sizes) + len(sizes) * (6 * d + 8 * config.queries))
    return 1.0 + config.seeds * work / 1e10


def _size(config: LinearConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 2.5e4 + 110.0 * config.seeds * len(config.ratios)


def merge(out: Path, config: LinearConfig) -> xr.Dataset:
    """All cells as one dataset: cases, ridges and sizes over time, each along its dimension."""
    cells = make_cells(config)
    parts = []
    for kind, name, units, values in (
        ("curves", "case", "1", [f"V={v} L={n} alpha={a:g}" for v, n, a in config.cases]),
        ("draws", "ridge", "1", list(config.ridges)),
        ("flow", "flow_size", "sequences", list(config.flow_sizes)),
    ):
        mine = load_cells(out, [cell for cell in cells if cell.coordinates["kind"] == kind])
        axis = xr.Variable(name, values, {"units": units})
        parts.append(xr.concat([cell.drop_attrs(deep=False) for cell in mine], axis))
    merged = xr.merge(parts)
    for k, (name, units) in enumerate(
        (("vocab_size", "tokens"), ("seq_len", "tokens"), ("alpha", "probability"))
    ):
        merged[name] = ("case", np.array([case[k] for case in config.cases]), {"units": units})
    return merged


def configuration_hash(config: LinearConfig) -> str:
    """Hash of all that the numbers depend on besides a cell's coordinates."""
    return digest({"config": config.as_dict(), "toolkit": TOOLKIT, "linear": NUMERICS})


def parse(arguments: list[str]) -> Arguments:
    """Command line to Arguments; a wrong preset or value ends with one sentence and status 2."""
    return command.with_preset(PROGRAM, arguments, PRESETS, Arguments, preset, __doc__)


def run(arguments: Arguments, console: Console) -> int:
    """Sweep, merge, analyse, report; returns the exit status."""
    started = time.monotonic()
    config = arguments.config
    out = arguments.out or Path("results/linear_curves") / arguments.preset
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
    from simulations.linear_curves.analysis import analyse
    from simulations.linear_curves.figure import linear_figure
    from simulations.linear_curves.report import print_findings, write_report

    config = arguments.config
    with console.status("merging the cells and comparing with theory"):
        data = merge(out, config)
        title = "Train and test curves of the linear denoiser"
        key = configuration_hash(config)
        command.save(data, out / "linear_curves.nc", title, config.as_dict(), key, outcome)
        analysis = analyse(config, data)
        linear_figure(analysis, out / "linear_curves")
        write_report(analysis, out, arguments.preset, time.monotonic() - started, outcome)
    print_findings(analysis, console)
    broken = sum(not check.agrees for check in analysis.checks)
    return command.close(console, out, broken, arguments.check)


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, lambda words, console: run(parse(words), console))

"""Basins of attraction of every kind of associative memory, against the Shannon limit.

    python -m simulations.basins --preset smoke
    python -m simulations.basins --check

Stores K random sequences in each memory, corrupts stored ones by the token channel, lets the
memory restore them, and reads off the noise level up to which it does; two panels, V = 2 and
V = 8. Writes data, a report and a figure to results/basins/<preset>/. Interrupted runs resume.
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

from simulations.basins.config import NUMERICS, Config, cost, make_cells, preset, size
from simulations.console import command
from simulations.console.command import complete, entry
from simulations.phase.config import TOOLKIT
from simulations.results.files import digest
from simulations.sweep.engine import Engine
from simulations.sweep.run import SweepOutcome

PROGRAM = "basins"
PRESETS = ("smoke", "small")


@dataclass(frozen=True)
class Arguments:
    """Measure how much noise every kind of associative memory survives.

    Args:
        preset: smoke (a minute) or small (minutes).
        out: results folder; default results/basins/<preset>.
        engine: where cells are computed.
        check: exit with status 1 if a simulation deviates from an exact prediction.
        config: every setting of the preset can be overridden.
    """

    preset: Literal["smoke", "small"] = "small"
    out: Path | None = None
    engine: Annotated[Engine, tyro.conf.OmitArgPrefixes] = field(default_factory=Engine)
    check: bool = False
    config: Annotated[Config, tyro.conf.OmitArgPrefixes] = field(default_factory=Config)


def compute_cell(config: Config, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep; runs in a worker."""
    from simulations.basins.cells import measure

    return measure(config, **coordinates)


def configuration_hash(config: Config) -> str:
    """Hash of all that the numbers depend on besides a cell's coordinates."""
    return digest({"config": config.as_dict(), "toolkit": TOOLKIT, "numerics": NUMERICS})


def parse(arguments: list[str]) -> Arguments:
    """Command line to Arguments; a wrong preset or value ends with one sentence and status 2."""
    return command.with_preset(PROGRAM, arguments, PRESETS, Arguments, preset, __doc__)


def run(arguments: Arguments, console: Console) -> int:
    """Sweep, merge, analyse, report; returns the exit status."""
    started = time.monotonic()
    config = arguments.config
    out = arguments.out or Path("results/basins") / arguments.preset
    outcome = complete(
        console,
        arguments.engine,
        make_cells(config),
        partial(compute_cell, config),
        out,
        configuration_hash(config),
        cost=partial(cost, config),
        size=partial(size, config),
    )
    return finish(arguments, out, outcome, started, console)


def finish(
    arguments: Arguments, out: Path, outcome: SweepOutcome, started: float, console: Console
) -> int:
    """Everything after the sweep: merged data, radii, figure, report, checks."""
    from simulations.basins.analysis import analyse, bound_checks, exact_checks, merge
    from simulations.basins.figure import basins_figure
    from simulations.basins.report import Findings, print_table, write_report

    config = arguments.config
    with console.status("merging the cells and bootstrapping intervals"):
        data = merge(out, config)
        findings = Findings(
            config=config,
            points=analyse(config, data),
            exact=exact_checks(data),
            bounds=bound_checks(data),
            wall_time=time.monotonic() - started,
            outcome=outcome,
        )
        title = "Basins of attraction of associative memories"
        key = configuration_hash(config)
        command.save(data, out / "basins.nc", title, config.as_dict(), key, outcome)
        basins_figure(config, findings.points, out / "basins")
        write_report(findings, out, arguments.preset)
    print_table(findings, console)
    broken = len(findings.failures)
    return command.close(console, out, broken, arguments.check)


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, lambda words, console: run(parse(words), console))

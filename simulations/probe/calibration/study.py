"""Calibrate the probe's verdict without training data on models whose answer is known.

    python -m simulations.probe.calibration.study --preset smoke
    python -m simulations.probe.calibration.study --install

Trains small networks on K sequences of several sources, from memorizing to generalizing, measures
them as the probe does, fits the probability of memorizing to some and judges the verdict on the
others. The truth is the recovery gap of each model. Writes data, the table of coefficients, a
figure and a report to results/probe_calibration/<preset>/; --install makes the table the one that
the probe reads. Interrupted runs resume.
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

from simulations.console import command
from simulations.console.command import complete, entry
from simulations.phase.config import TOOLKIT
from simulations.probe.calibration.config import (
    NUMERICS,
    PRESETS,
    SOURCES,
    CalibrationConfig,
    make_cells,
    preset,
)
from simulations.probe.config import NUMERICS as PROBE_NUMERICS
from simulations.probe.judge.verdict import TABLE
from simulations.results.files import digest, write_text
from simulations.sweep.engine import Engine
from simulations.sweep.run import Cell, SweepOutcome, load_cells

PROGRAM = "probe_calibration"


@dataclass(frozen=True)
class Arguments:
    """Fit and judge the probe's verdict on models whose answer is known.

    Args:
        preset: smoke (a minute) or small (a quarter of an hour).
        out: results folder; default results/probe_calibration/<preset>.
        engine: where cells are computed.
        install: replace the table that the probe reads, probe_calibration.json beside this module.
        config: every setting of the preset can be overridden.
    """

    preset: Literal["smoke", "small"] = "small"
    out: Path | None = None
    engine: Annotated[Engine, tyro.conf.OmitArgPrefixes] = field(default_factory=Engine)
    install: bool = False
    config: Annotated[CalibrationConfig, tyro.conf.OmitArgPrefixes] = field(
        default_factory=CalibrationConfig
    )


def compute_cell(config: CalibrationConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep; runs in a worker."""
    from simulations.probe.calibration import cells as probe_calibration_cells

    return probe_calibration_cells.model_cell(config, coordinates)


def configuration_hash(config: CalibrationConfig) -> str:
    """Hash of all that the numbers depend on besides a cell's coordinates."""
    numbers = {"toolkit": TOOLKIT, "calibration": NUMERICS, "probe": PROBE_NUMERICS}
    return digest({"config": config.as_dict(), **numbers})


def _cost(config: CalibrationConfig, cell: Cell) -> float:
    """Rough seconds of a cell on one core of 15 Gflop/s: training, then the readings."""
    vocab_size, seq_len = SOURCES[cell.coordinates["source"]]
    inputs = vocab_size * seq_len
    weights = inputs * (2 * cell.coordinates["width"] + inputs)
    evaluations = 3 * config.steps * config.batch + 8 * config.sequences * config.n_steps
    return 3.0 + 2 * weights * evaluations / 1.5e10


def _size(config: CalibrationConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 3e4 + 350.0 * config.sequences


def parse(words: list[str]) -> Arguments:
    """Command line to Arguments; a wrong preset or value ends with one sentence and status 2."""
    return command.with_preset(PROGRAM, words, PRESETS, Arguments, preset, __doc__)


def run(arguments: Arguments, console: Console) -> int:
    """Sweep, fit, judge, report; returns the exit status."""
    started = time.monotonic()
    config = arguments.config
    out = arguments.out or Path("results/probe_calibration") / arguments.preset
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
    """Everything after the sweep: fit, verdicts on the test models, table, figure, report."""
    from simulations.probe.calibration.analysis import analyse, model_table
    from simulations.probe.calibration.figure import calibration_figure
    from simulations.probe.calibration.report import print_findings, table_text, write_report

    config, key = arguments.config, configuration_hash(arguments.config)
    with console.status("fitting, and judging the test models"):
        analysis = analyse(config, load_cells(out, make_cells(config)))
        title = "Models of known answer and what the probe says of them"
        data = model_table(analysis)
        command.save(data, out / "probe_calibration.nc", title, config.as_dict(), key, outcome)
        table = table_text(analysis, key)
        write_text(table, out / TABLE.name)
        calibration_figure(analysis, out / "probe_calibration")
        write_report(analysis, out, arguments.preset, time.monotonic() - started, outcome)
    if arguments.install:
        write_text(table, TABLE)
    print_findings(analysis, console)
    return command.close(console, out, 0, False)


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, lambda words, console: run(parse(words), console))

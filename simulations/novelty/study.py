"""What a model makes up once it stops copying: memorized, spurious and novel sequences.

    python -m simulations.novelty --preset smoke
    python -m simulations.novelty --model dit

Trains the main job's networks on K sequences of a known law, lets them generate, labels every
sequence (near a stored one; near another generated one only; neither), and holds labels and
quality against fresh sequences of the law and against both exact denoisers. Writes data, a report
and a figure to results/novelty/<preset>/ (another source or model: <source>-<model>-<preset>).
Interrupted runs resume.
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
from simulations.console.command import choice, complete, entry, option, refuse
from simulations.novelty.config import (
    CHECKS,
    CONTROLS,
    NUMERICS,
    PRESETS,
    SOURCES,
    TRAINED,
    NoveltyConfig,
    cost,
    make_cells,
    preset,
    size,
)
from simulations.phase.config import MODELS, TOOLKIT
from simulations.results.files import digest
from simulations.sweep.engine import Engine
from simulations.sweep.run import Cell, SweepOutcome, load_cells

PROGRAM = "novelty"


@dataclass(frozen=True)
class Arguments:
    """Label and judge what trained models make up.

    Args:
        preset: smoke (a minute), small (a quarter of an hour) or paper (a cluster).
        out: results folder; default results/novelty/<preset>.
        engine: where cells are computed.
        check: exit with status 1 if a simulation deviates from an exact prediction.
        config: every setting of the preset can be overridden.
    """

    preset: Literal["smoke", "small", "paper"] = "small"
    out: Path | None = None
    engine: Annotated[Engine, tyro.conf.OmitArgPrefixes] = field(default_factory=Engine)
    check: bool = False
    config: Annotated[NoveltyConfig, tyro.conf.OmitArgPrefixes] = field(
        default_factory=NoveltyConfig
    )


def compute_cell(config: NoveltyConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep; runs in a worker."""
    from simulations.novelty import cells as novelty_cells

    if coordinates["kind"] == "model":
        return novelty_cells.model(config, coordinates["train_size"], coordinates["seed"])
    if coordinates["kind"] == "controls":
        return novelty_cells.controls(config, coordinates["seed"])
    return novelty_cells.checks(config)


def merge(out: Path, config: NoveltyConfig) -> xr.Dataset:
    """All cells but the checks as one dataset: dimensions model, train_size, seed, sample."""
    cells = make_cells(config)

    def load(wanted: list[Cell]) -> xr.Dataset:
        parts = [cell.drop_attrs(deep=False) for cell in load_cells(out, wanted)]
        return xr.concat(parts, xr.Variable("seed", range(len(parts))))

    sizes = xr.Variable("train_size", list(config.train_sizes), {"units": "sequences"})
    rows = [
        load([cell for cell in cells if cell.coordinates.get("train_size") == size])
        for size in config.train_sizes
    ]
    trained = xr.concat(rows, sizes)
    controls = load([cell for cell in cells if cell.coordinates["kind"] == "controls"])
    alone = {"generated", "stepped_distance", "stored_log_prob"}
    models = xr.concat(
        [
            trained.drop_vars("generated").expand_dims(model=[TRAINED]),
            controls.drop_vars(alone - {"generated"}).assign_coords(
                model=list(CONTROLS), train_size=sizes
            ),
        ],
        "model",
    )
    rest = controls[sorted(alone - {"generated"})].assign_coords(train_size=sizes)
    return xr.merge([models, trained[["generated"]], rest])


def configuration_hash(config: NoveltyConfig) -> str:
    """Hash of all that the numbers depend on besides a cell's coordinates."""
    return digest({"config": config.as_dict(), "toolkit": TOOLKIT, "novelty": NUMERICS})


def parse(arguments: list[str]) -> Arguments:
    """Command line to Arguments; a wrong preset or value ends with one sentence and status 2."""
    name = choice(PROGRAM, "preset", option(arguments, "--preset", "small"), PRESETS)
    source = option(arguments, "--source", "markov")
    if source == "text":
        refuse(
            PROGRAM,
            "a text has no known law to judge new sequences by; choose --source markov or iid.",
        )
    source = choice(PROGRAM, "source", source, SOURCES)
    model: Any = choice(PROGRAM, "model", option(arguments, "--model", "mlp"), MODELS)
    default = Arguments(preset=name, config=preset(name, source, model))  # type: ignore[arg-type]
    return command.parse(PROGRAM, arguments, default, __doc__)


def folder(arguments: Arguments) -> Path:
    """Where the results go: the preset's name, behind the source and the model if not default."""
    config = arguments.config
    words = [config.source] * (config.source != "markov") + [config.model] * (config.model != "mlp")
    return arguments.out or Path("results/novelty") / "-".join([*words, arguments.preset])


def run(arguments: Arguments, console: Console) -> int:
    """Sweep, merge, analyse, report; returns the exit status."""
    started = time.monotonic()
    config, out = arguments.config, folder(arguments)
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
    """Everything after the sweep: merged data, analysis, figure, report, checks."""
    from simulations.measure.checks import read_checks
    from simulations.novelty.analysis import analyse
    from simulations.novelty.figure import novelty_figure
    from simulations.novelty.findings import findings_of
    from simulations.novelty.report import print_findings, write_report
    from simulations.results.files import read_dataset

    config = arguments.config
    with console.status("merging the cells and bootstrapping intervals"):
        data = merge(out, config)
        title = "Memorized, spurious and novel sequences"
        key = configuration_hash(config)
        command.save(data, out / "novelty.nc", title, config.as_dict(), key, outcome)
        analysis = analyse(config, data, read_checks(read_dataset(out / "cells" / f"{CHECKS}.nc")))
        findings = findings_of(analysis)
        novelty_figure(analysis, out / "novelty")
        seconds = time.monotonic() - started
        write_report(analysis, findings, out, arguments.preset, seconds, outcome)
    print_findings(analysis, findings, console)
    broken = sum(not check.agrees for check in analysis.checks)
    return command.close(console, out, broken, arguments.check)


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, lambda words, console: run(parse(words), console))

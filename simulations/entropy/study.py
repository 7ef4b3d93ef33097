"""Conditional entropy from noise to text, and the level at which it tells memory best.

    python -m simulations.entropy --preset smoke
    python -m simulations.entropy --check

Trains models from memorizing to generalizing as the main job does, and reads the entropies of
their `loo` and `full` laws along the reverse process and on noisy sequences, next to the two exact
denoisers; predicts and measures at which noise level the entropy of one sequence separates a
memorizer from a generalizer best. Writes data, a report and a figure to
results/entropy/<preset>/ (other sources and networks: <source>-<preset>, dit-<preset>).
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
from simulations.entropy.config import (
    CHECKS,
    NUMERICS,
    PRESETS,
    SOURCES,
    EntropyConfig,
    cost,
    make_cells,
    preset,
    size,
)
from simulations.phase.config import MODELS, TOOLKIT
from simulations.results.files import digest
from simulations.sweep.engine import Engine
from simulations.sweep.run import SweepOutcome, load_cells

PROGRAM = "entropy"


@dataclass(frozen=True)
class Arguments:
    """Measure conditional entropy from noise to text, and where it tells memory best.

    Args:
        preset: smoke (under a minute), small (ten minutes), paper (a cluster).
        out: results folder; default results/entropy/[<source>-][dit-]<preset>.
        engine: where cells are computed.
        check: exit with status 1 if an exact denoiser deviates from an exact identity.
        config: every setting of the preset can be overridden.
    """

    preset: Literal["smoke", "small", "paper"] = "small"
    out: Path | None = None
    engine: Annotated[Engine, tyro.conf.OmitArgPrefixes] = field(default_factory=Engine)
    check: bool = False
    config: Annotated[EntropyConfig, tyro.conf.OmitArgPrefixes] = field(
        default_factory=EntropyConfig
    )


def compute_cell(config: EntropyConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep; runs in a worker."""
    from simulations.entropy import cells as entropy_cells
    from simulations.entropy import checks as entropy_checks

    if coordinates["kind"] == CHECKS:
        return entropy_checks.checks_cell(config)
    if coordinates["kind"] == "population":
        return entropy_cells.population_cell(config, coordinates["seed"])
    return entropy_cells.model_cell(config, coordinates["train_size"], coordinates["seed"])


def configuration_hash(config: EntropyConfig) -> str:
    """Hash of all that the numbers depend on besides a cell's coordinates."""
    return digest({"config": config.as_dict(), "toolkit": TOOLKIT, "entropy": NUMERICS})


def merge(out: Path, config: EntropyConfig) -> xr.Dataset:
    """All cells as one dataset: models over train_size and seed; the population denoiser's
    variables over seed, named population_...; the exact checks."""
    cells = make_cells(config)
    seeds = xr.Variable("seed", range(config.seeds))

    def of_kind(kind: str, size: int | None = None) -> xr.Dataset:
        mine = [
            cell
            for cell in cells
            if cell.coordinates["kind"] == kind and cell.coordinates.get("train_size") == size
        ]
        found = load_cells(out, mine)
        row = xr.concat([cell.drop_attrs(deep=False) for cell in found], seeds)
        seconds = [cell.attrs["wall_time_s"] for cell in found]
        return row.assign(cell_seconds=("seed", seconds, {"units": "s"}))

    sizes = xr.Variable("train_size", list(config.train_sizes), {"units": "sequences"})
    models = xr.concat([of_kind("model", size) for size in config.train_sizes], sizes)
    population = of_kind("population").sel(denoiser="population", drop=True)
    kept = population[["trajectory", "channel", "token_counts", "cell_seconds"]]
    renamed = kept.rename({name: f"population_{name}" for name in kept.data_vars})
    checks = load_cells(out, [cell for cell in cells if cell.name == CHECKS])[0]
    parts = [models, renamed, checks.drop_attrs(deep=False)]
    return xr.merge(parts, compat="equals", join="exact")


def parse(words: list[str]) -> Arguments:
    """Command line to Arguments; a wrong preset or value ends with one sentence and status 2."""
    name = choice(PROGRAM, "preset", option(words, "--preset", "small"), PRESETS)
    source = option(words, "--source", "markov")
    if source == "text":
        refuse(
            PROGRAM,
            "a text has no exact population law to compare with; choose --source "
            f"{' or '.join(SOURCES)}.",
        )
    choice(PROGRAM, "source", source, SOURCES)
    model: Any = choice(PROGRAM, "model", option(words, "--model", "mlp"), MODELS)
    default = Arguments(preset=name, config=preset(name, source, model))  # type: ignore[arg-type]
    return command.parse(PROGRAM, words, default, __doc__)


def run(arguments: Arguments, console: Console) -> int:
    """Sweep, merge, analyse, report; returns the exit status."""
    started = time.monotonic()
    config = arguments.config
    source = "" if config.source == "markov" else f"{config.source}-"
    model = "" if config.model == "mlp" else f"{config.model}-"
    out = arguments.out or Path("results/entropy") / f"{source}{model}{arguments.preset}"
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
    from simulations.entropy.analysis import analyse
    from simulations.entropy.figure import entropy_figure
    from simulations.entropy.report import print_findings, write_report

    config = arguments.config
    with console.status("merging the cells and bootstrapping intervals"):
        data = merge(out, config)
        title = "Conditional entropy from noise to text"
        key = configuration_hash(config)
        command.save(data, out / "entropy.nc", title, config.as_dict(), key, outcome)
        analysis = analyse(config, data)
        entropy_figure(analysis, out / "entropy")
        write_report(analysis, out, arguments.preset, time.monotonic() - started, outcome)
    print_findings(analysis, console)
    broken = sum(not check.agrees for check in analysis.checks)
    return command.close(console, out, broken, arguments.check)


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, lambda words, console: run(parse(words), console))

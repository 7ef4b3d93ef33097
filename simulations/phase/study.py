"""The main job: the memorization-to-generalization transition, measured and held against theory.

    python simulations/phase_diagram.py --preset smoke
    python simulations/phase_diagram.py --source text --text book.txt
    python simulations/phase_diagram.py --model dit

Trains one small uniform-state diffusion model for every training-set size K and seed, measures
it next to the two exact denoisers that bound it, and writes data, a report and a figure to
results/phase_diagram/<source>-<preset>/ (the transformer's: <source>-dit-<preset>). Interrupted
runs resume.
"""

from __future__ import annotations

import hashlib
import importlib
import threading
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
from simulations.data.corpora import TextFile
from simulations.phase.config import MODELS, NUMERICS, TOOLKIT, Config, preset, problem_of
from simulations.results.files import digest, read_dataset
from simulations.sweep.engine import Engine
from simulations.sweep.run import Cell, SweepOutcome

PROGRAM = "phase_diagram"
PRESETS = ("smoke", "small", "paper")
SOURCES = ("markov", "iid", "text")
CHECKS, BIAS = "exact-checks", "step-bias"


@dataclass(frozen=True)
class Arguments:
    """Measure the memorization-to-generalization transition of a uniform-state diffusion model.

    Args:
        preset: smoke (a minute), small (a quarter or, dit, half of an hour), paper (a day).
        text: UTF-8 file for --source text.
        out: results folder; default results/phase_diagram/<source>[-dit]-<preset>.
        engine: where cells are computed.
        gpu: train and measure on GPUs: cells go to workers that offer one, here one at a time.
        check: exit with status 1 if a simulation deviates from an exact prediction.
        config: every setting of the preset can be overridden.
    """

    preset: Literal["smoke", "small", "paper"] = "small"
    text: Path | None = None
    out: Path | None = None
    engine: Annotated[Engine, tyro.conf.OmitArgPrefixes] = field(default_factory=Engine)
    gpu: bool = False
    check: bool = False
    config: Annotated[Config, tyro.conf.OmitArgPrefixes] = field(default_factory=Config)


def compute_cell(config: Config, text: TextFile | None, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep; runs in a worker."""
    if coordinates["kind"] == CHECKS:
        from simulations.phase.exact_checks import exact_checks

        return exact_checks(config)
    if coordinates["kind"] == BIAS:
        from simulations.phase.exact_checks import step_bias

        return step_bias(config, text)
    from simulations.phase.cells import measure

    return measure(config, coordinates["train_size"], coordinates["seed"], text)


def make_cells(config: Config, gpu: bool = False) -> list[Cell]:
    """One cell per (K, seed), if wanted on a GPU, one for the exact checks and one for the bias of
    finite steps."""
    digits = len(str(max(config.train_sizes)))
    cells = [
        Cell(f"K{k:0{digits}d}-seed{s}", {"kind": "train", "train_size": k, "seed": s}, gpu)
        for k in config.train_sizes
        for s in range(config.seeds)
    ]
    return [*cells, Cell(CHECKS, {"kind": CHECKS}), Cell(BIAS, {"kind": BIAS})]


def configuration_hash(config: Config, text: TextFile | None, gpu: bool = False) -> str:
    """Hash of all that the numbers depend on besides a cell's coordinates."""
    words: dict[str, Any] = {"config": config.as_dict(), "toolkit": TOOLKIT, "numerics": NUMERICS}
    if text is not None:
        words["text"] = hashlib.sha256(text.raw).hexdigest()
    if gpu:  # which rounds in another way
        words["device"] = "gpu"
    return digest(words)


def _cost(config: Config, cell: Cell) -> float:
    """Rough seconds on one core of 40 Gflop/s, compilation apart: training, then the laws of the
    network and the comparison of every query with every stored sequence."""
    if cell.coordinates["kind"] == CHECKS:
        return config.pattern_sets / 40
    if cell.coordinates["kind"] == BIAS:
        return 1.0
    inputs = config.vocab_size * config.seq_len
    if config.model == "dit":  # products of all tokens; they and the rest at half of the rate
        tokens = 2 * config.seq_len
        weights = tokens * config.width * (12 * config.n_blocks * config.width + config.vocab_size)
    else:
        weights = inputs * (2 * config.width + inputs) + config.n_blocks * config.width**2
    queries = 4 * config.queries * len(config.levels)
    evaluations = 3 * config.training.steps * config.training.batch + queries * config.n_steps
    pairs = queries * config.seq_len * cell.coordinates["train_size"]
    return 1.0 + 2 * weights * evaluations / 4e10 + pairs / 6e8


def _size(config: Config, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    if cell.coordinates["kind"] != "train":
        return 3e4
    return 3e4 + 300.0 * config.queries * len(config.levels)


def merge(out: Path, config: Config) -> xr.Dataset:
    """All training cells as one dataset with dimensions train_size and seed in front."""
    rows = []
    for size in config.train_sizes:
        names = [
            cell.name for cell in make_cells(config) if cell.coordinates.get("train_size") == size
        ]
        cells = [read_dataset(out / "cells" / f"{name}.nc") for name in names]
        times = [cell.attrs["wall_time_s"] for cell in cells]
        row = xr.concat(
            [cell.drop_attrs(deep=False) for cell in cells], xr.Variable("seed", range(len(cells)))
        )
        rows.append(row.assign(cell_seconds=("seed", times, {"units": "s"})))
    sizes = xr.Variable("train_size", list(config.train_sizes), {"units": "sequences"})
    return xr.concat(rows, sizes)


def parse(arguments: list[str]) -> Arguments:
    """Command line to Arguments; a wrong preset or value ends with one sentence and status 2."""
    name = choice(PROGRAM, "preset", option(arguments, "--preset", "small"), PRESETS)
    source = choice(PROGRAM, "source", option(arguments, "--source", "markov"), SOURCES)
    model = choice(PROGRAM, "model", option(arguments, "--model", "mlp"), MODELS)
    default = Arguments(preset=name, config=preset(name, source, model))  # type: ignore[arg-type]
    return command.parse(PROGRAM, arguments, default, __doc__)


def check_inputs(arguments: Arguments) -> TextFile | None:
    """Refuse what no cell could compute, before anything is written; returns the text."""
    config = arguments.config
    if arguments.text is not None and config.source != "text":
        refuse(PROGRAM, "--text is read with --source text only; add it, or leave --text out.")
    text = None if arguments.text is None else TextFile.read(arguments.text)
    if config.source == "text":
        problem_of(config, 0, text)
    return text


def run(arguments: Arguments, console: Console) -> int:
    """Sweep, merge, analyse, report; returns the exit status."""
    started = time.monotonic()
    config = arguments.config
    text = check_inputs(arguments)
    model = "" if config.model == "mlp" else f"-{config.model}"
    name = f"{config.source}{model}-{arguments.preset}"
    out = arguments.out or Path("results/phase_diagram") / name
    if not arguments.engine.dry_run:
        # what `finish` needs takes seconds to import: while the workers compute
        threading.Thread(
            target=importlib.import_module, args=("simulations.phase.figure",), daemon=True
        ).start()
    outcome = complete(
        console,
        arguments.engine,
        make_cells(config, arguments.gpu),
        partial(compute_cell, config, text),
        out,
        configuration_hash(config, text, arguments.gpu),
        cost=partial(_cost, config),
        size=partial(_size, config),
    )
    return finish(arguments, out, outcome, text, started, console)


def finish(
    arguments: Arguments,
    out: Path,
    outcome: SweepOutcome,
    text: TextFile | None,
    started: float,
    console: Console,
) -> int:
    """Everything after the sweep: merged data, analysis, figure, report, checks."""
    from simulations.measure.checks import read_checks
    from simulations.phase.analysis import analyse
    from simulations.phase.comparison import bound_checks, failures, trained_rows
    from simulations.phase.figure import phase_diagram_figure
    from simulations.phase.report import Findings, print_table, write_report

    config = arguments.config
    with console.status("merging the cells and bootstrapping intervals"):
        data = merge(out, config)
        findings = Findings(
            analysis=analyse(config, data),
            rows=[],
            exact=read_checks(read_dataset(out / "cells" / f"{CHECKS}.nc")),
            bounds=bound_checks(config, data),
            bias=read_dataset(out / "cells" / f"{BIAS}.nc"),
            notes=_notes(config, text),
            wall_time=time.monotonic() - started,
            outcome=outcome,
        )
        findings.rows.extend(trained_rows(findings.analysis))
        title = "Phase diagram of memorization and generalization"
        key = configuration_hash(config, text, arguments.gpu)
        command.save(data, out / "phase_diagram.nc", title, config.as_dict(), key, outcome)
        phase_diagram_figure(findings.analysis, out / "phase_diagram")
        write_report(findings, out, arguments.preset)
    print_table(findings, console)
    broken = len(failures(findings.exact + findings.bounds))
    return command.close(console, out, broken, arguments.check)


def _notes(config: Config, text: TextFile | None) -> str:
    if config.source != "text":
        return ""
    return problem_of(config, 0, text).notes


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, lambda words, console: run(parse(words), console))

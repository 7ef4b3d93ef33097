"""Where the transition sits, and why: the laws of K* as hypotheses with verdicts.

    python -m simulations.scaling --preset small

Measures the transition size K* of trained networks against their parameters and training steps,
on a source with nothing to learn and on one with structure, and that of the linear denoiser
against L (V - 1); `medium` adds the depth and rules of random hierarchies and the number of noise
draws. Writes data, a table of laws with verdicts and a figure to results/scaling/<preset>/.
Interrupted runs resume, and a larger preset goes on from the cells of a smaller one in the same
folder.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
import xarray as xr
from rich.console import Console

from simulations.console import command
from simulations.console.command import complete, entry
from simulations.linear_curves.config import Case
from simulations.phase.config import TOOLKIT
from simulations.results.files import digest
from simulations.scaling.config import (
    NUMERICS,
    Condition,
    ScalingConfig,
    conditions,
)
from simulations.scaling.presets import PRESETS, preset
from simulations.sweep.engine import Engine
from simulations.sweep.run import Cell, SweepOutcome, load_cells

PROGRAM = "scaling"


@dataclass(frozen=True)
class Arguments:
    """Measure where the transition sits and hold it against the laws that have been proposed.

    Args:
        preset: smoke (a minute), small (under half an hour), medium (hours) or paper (clusters).
        out: results folder; default results/scaling/<preset>.
        engine: where cells are computed.
        config: every setting of the preset can be overridden.
    """

    preset: Literal["smoke", "small", "medium", "paper"] = "small"
    out: Path | None = None
    engine: Annotated[Engine, tyro.conf.OmitArgPrefixes] = field(default_factory=Engine)
    config: Annotated[ScalingConfig, tyro.conf.OmitArgPrefixes] = field(
        default_factory=ScalingConfig
    )


def compute_cell(config: ScalingConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep; runs in a worker."""
    from simulations.scaling import cells as scaling_cells

    if coordinates["kind"] == "linear":
        case, ratios = tuple(coordinates["case"]), tuple(coordinates["ratios"])
        return scaling_cells.linear_cell(config, case, ratios)
    condition = dict(coordinates["condition"])
    condition["train_sizes"] = tuple(condition["train_sizes"])
    return scaling_cells.network_cell(config, Condition(**condition), coordinates["seed"])


def network_cells(config: ScalingConfig) -> dict[Condition, list[Cell]]:
    """The cells of every condition, one a seed; a name tells the grid of K by its length."""
    return {
        condition: [
            Cell(
                f"{condition.name}-n{len(condition.train_sizes)}-seed{seed}",
                {"kind": "network", "condition": _plain(condition), "seed": seed},
            )
            for seed in range(config.seeds)
        ]
        for condition in conditions(config)
    }


def linear_cells(config: ScalingConfig) -> dict[Case, Cell]:
    """The cell of every case of the linear denoiser."""
    return {
        case: Cell(
            f"linear-V{case[0]}-L{case[1]}-alpha{case[2]:g}",
            {"kind": "linear", "case": list(case), "ratios": list(config.linear_ratios)},
        )
        for case in config.linear_cases
    }


def _plain(condition: Condition) -> dict[str, Any]:
    return {**asdict(condition), "train_sizes": list(condition.train_sizes)}


def configuration_hash(config: ScalingConfig) -> str:
    """Hash of all that the numbers depend on besides a cell's coordinates: the same for every
    choice of conditions."""
    words = {"measurement": config.measurement(), "linear_sets": config.linear_sets}
    return digest({**words, "toolkit": TOOLKIT, "scaling": NUMERICS})


def _cost(config: ScalingConfig, cell: Cell) -> float:
    """Rough seconds on one core: steps of 20 Gflop/s with a floor of 0.4 ms, then the readings."""
    place = cell.coordinates
    if place["kind"] == "linear":
        vocab_size, seq_len, _ = place["case"]
        d = seq_len * (vocab_size - 1)
        return 1.0 + config.linear_sets * len(place["ratios"]) * (8.0 * d**3 + 4e7) / 2e10
    found = place["condition"]
    inputs = found["vocab_size"] * found["seq_len"]
    weights = inputs * (2 * found["width"] + inputs) + found["n_blocks"] * found["width"] ** 2
    step = max(4e-4, 6 * weights * config.training.batch / 6e10)
    readings = config.queries * (4 * config.n_steps + 4) + config.nelbo_queries * (
        config.nelbo_draws * 3
    )
    return 5.0 + len(found["train_sizes"]) * (
        found["steps"] * step + 1e-9 * readings * (weights + 2e4)
    )


def _size(config: ScalingConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    if cell.coordinates["kind"] == "linear":
        return 3e4
    return 3e4 + 40.0 * config.queries * len(cell.coordinates["condition"]["train_sizes"])


def merge(
    networks: dict[Condition, list[xr.Dataset]], linear: dict[Case, xr.Dataset]
) -> xr.Dataset:
    """All cells as one dataset: conditions and seeds along dimensions, K as a numbered point
    (grids differ in length: -1 and NaN fill the shorter ones), linear cases beside them."""
    parts = [
        xr.concat([_numbered(cell) for cell in seeds], xr.Variable("seed", range(len(seeds))))
        for seeds in networks.values()
    ]
    name = xr.Variable("condition", [condition.name for condition in networks])
    fill: Any = {v: -1 for v in parts[0].data_vars if parts[0][v].dtype.kind == "i"}
    merged = xr.concat(parts, name, join="outer", fill_value=fill)
    words = [f"V={v} L={length} alpha={alpha:g}" for v, length, alpha in linear]
    cases = [cell.drop_attrs(deep=False) for cell in linear.values()]
    table = xr.concat(cases, xr.Variable("case", words))
    renamed = {v: f"linear_{v}" for v in (*table.data_vars,)}
    return xr.merge([merged, table.rename(renamed)], join="outer")


def _numbered(cell: xr.Dataset) -> xr.Dataset:
    sizes = cell["train_size"].values
    part = cell.drop_attrs(deep=False).drop_vars("train_size").rename_dims(train_size="point")
    numbers: dict[str, Any] = {"n_parameters": np.int64(cell.attrs["n_parameters"])}
    for key in ("source_entropy", "loo_entropy"):
        numbers[key] = np.float64(cell.attrs[key])
    return (
        part.assign(numbers)
        .assign(train_size=("point", sizes.astype(np.int32), {"units": "sequences"}))
        .assign_coords(point=np.arange(len(sizes)))
    )


def parse(arguments: list[str]) -> Arguments:
    """Command line to Arguments; a wrong preset or value ends with one sentence and status 2."""
    return command.with_preset(PROGRAM, arguments, PRESETS, Arguments, preset, __doc__)


def run(arguments: Arguments, console: Console) -> int:
    """Sweep, merge, analyse, report; returns the exit status."""
    started = time.monotonic()
    config = arguments.config
    out = arguments.out or Path("results/scaling") / arguments.preset
    networks, linear = network_cells(config), linear_cells(config)
    outcome = complete(
        console,
        arguments.engine,
        [*(cell for cells in networks.values() for cell in cells), *linear.values()],
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
    """Everything after the sweep: merged data, laws, figure, report."""
    from simulations.scaling.analysis import analyse
    from simulations.scaling.figure import scaling_figure
    from simulations.scaling.report import print_laws, write_report

    config = arguments.config
    with console.status("merging the cells and fitting the laws"):
        networks = {c: load_cells(out, cells) for c, cells in network_cells(config).items()}
        linear = {case: load_cells(out, [cell])[0] for case, cell in linear_cells(config).items()}
        data = merge(networks, linear)
        title = "Transition sizes against parameters, steps, structure and noise draws"
        key = configuration_hash(config)
        command.save(data, out / "scaling.nc", title, config.as_dict(), key, outcome)
        analysis = analyse(config, networks, linear)
        scaling_figure(analysis, out / "scaling")
        write_report(analysis, out, arguments.preset, time.monotonic() - started, outcome)
    print_laws(analysis, console)
    return command.close(console, out, 0, False)


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, lambda words, console: run(parse(words), console))

"""The engine of the sweeps, measured: what a cell costs beside its own computation.

    python -m simulations.engine_scale --preset smoke

Measures cells a second, the launcher's memory, the overhead of Dask and of the local pool, and the
efficiency of the preset `paper` of phase_diagram; extrapolates that to a thousand workers. Starts
its own Dask cluster of processes and ends it. Writes runs, a report and a figure to
results/engine_scale/<preset>/.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from simulations.console import command
from simulations.console.command import entry
from simulations.engine_scale.config import PARTS, PRESETS, ScaleConfig, preset
from simulations.measure.tables import to_json
from simulations.results.files import DamagedFileError, ResultsError, explain, write_text
from simulations.results.provenance import provenance

PROGRAM = "engine_scale"
RUNS = "runs.json"

Part = Literal["throughput", "memory", "overhead", "paper"]


@dataclass(frozen=True)
class Arguments:
    """Measure what the engine of the sweeps costs.

    Args:
        preset: smoke (a minute or two) or small (half an hour).
        out: results folder; default results/engine_scale/<preset>.
        parts: what to measure now; the other parts are taken from the folder where they are there.
        config: every setting of the preset can be overridden.
    """

    preset: Literal["smoke", "small"] = "small"
    out: Path | None = None
    parts: tuple[Part, ...] = PARTS  # type: ignore[assignment]
    config: Annotated[ScaleConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ScaleConfig)


def parse(arguments: list[str]) -> Arguments:
    """Command line to Arguments; a wrong preset or value ends with one sentence and status 2."""
    return command.with_preset(PROGRAM, arguments, PRESETS, Arguments, preset, __doc__)


def read_runs(out: Path) -> dict[str, Any]:
    """The runs that a folder holds, by part; empty where there are none.

    Raises DamagedFileError.
    """
    path = out / RUNS
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
        return {name: found[name] for name in PARTS if name in found}
    except (ValueError, TypeError) as error:
        raise DamagedFileError(f"{path} is not what this command writes; remove it.") from error


def measure(arguments: Arguments, out: Path, console: Console) -> dict[str, Any]:
    """Measure the parts asked for, one after the other; each is kept when it is done."""
    from simulations.engine_scale.runs import MEASURE

    def say(words: str) -> None:
        console.print(words, markup=False, highlight=False, soft_wrap=True)

    runs = read_runs(out)
    for part in arguments.parts:
        # beside the results, so that the disk is the one that results go to
        with tempfile.TemporaryDirectory(dir=out, prefix=".measuring-") as folder:
            rows = MEASURE[part](arguments.config, Path(folder).absolute(), say)
        about = {"config": asdict(arguments.config), "provenance": provenance()}
        runs[part] = {**about, "rows": rows}
        write_text(to_json(runs), out / RUNS)
    return runs


def run(arguments: Arguments, console: Console) -> int:
    """Measure, analyse, report; returns the exit status."""
    out = arguments.out or Path("results/engine_scale") / arguments.preset
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(explain(error, "write to the folder", out)) from error
    runs = measure(arguments, out, console)

    from simulations.engine_scale.analysis import analyse
    from simulations.engine_scale.figure import scale_figure
    from simulations.engine_scale.report import write_report

    rows = {name: part["rows"] for name, part in runs.items()}
    analysis = analyse(rows, arguments.config.extrapolate)
    scale_figure(analysis, out / "engine_scale")
    write_report(analysis, out, arguments.preset, runs)
    return command.close(console, out, 0, False)


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, lambda words, console: run(parse(words), console))

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
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import tyro
from rich.console import Console

from simulations.console.command import choice, entry, option, parse, say
from simulations.engine_scale.config import PARTS, PRESETS, Part, ScaleConfig, preset
from simulations.measure.tables import to_json
from simulations.results.files import DamagedFileError, explained, write_text
from simulations.results.provenance import provenance
from simulations.results.report import write_report

NAME = "engine_scale"
RUNS = "runs.json"


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
    parts: tuple[Part, ...] = PARTS
    config: Annotated[ScaleConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ScaleConfig)


def arguments_of(words: list[str]) -> Arguments:
    """Command line to Arguments. Raises UserError for a wrong preset or value."""
    name: Any = choice("preset", option(words, "--preset", "small"), PRESETS)
    return parse(Arguments, words, Arguments(name, config=preset(name)), __doc__)


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

    config = arguments.config
    for part in arguments.parts:
        # beside the results, so that the disk is the one that results go to
        with tempfile.TemporaryDirectory(dir=out, prefix=".measuring-") as folder:
            rows = MEASURE[part](config, Path(folder).absolute(), partial(say, console))
        about = {"config": config.as_dict(), "provenance": provenance()}
        write_text(to_json({**read_runs(out), part: {**about, "rows": rows}}), out / RUNS)
    return read_runs(out)


def run(words: list[str], console: Console) -> int:
    """Measure, analyse, report; returns the exit status."""
    begun, arguments = time.monotonic(), arguments_of(words)
    out = arguments.out or Path("results") / NAME / arguments.preset
    with explained("write to the folder", out):
        out.mkdir(parents=True, exist_ok=True)
    runs = measure(arguments, out, console)

    from simulations.engine_scale.analysis import analyse
    from simulations.engine_scale.figure import draw
    from simulations.engine_scale.report import report
    from simulations.plots import save

    rows = {name: part["rows"] for name, part in runs.items()}
    analysis = analyse(rows, arguments.config.extrapolate)
    save(draw(analysis), out / NAME)
    told, seconds = report(analysis, runs, arguments.preset), time.monotonic() - begun
    write_report(told, out, f"{NAME}.png", arguments.config.as_dict(), seconds)
    say(console, f"Figure, report and data: {out}")
    return 0


def main() -> NoReturn:
    """The command."""
    entry(NAME, run)

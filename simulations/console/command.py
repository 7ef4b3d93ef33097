"""What all commands of the simulations share: presets, refusals in one sentence, sweep, exit.

A command is a script with a frozen `Arguments` that has the fields preset, out, engine and config,
the last two frozen records, of where cells are computed and of the settings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import tyro
import xarray as xr
from rich.console import Console

from simulations.data.corpora import CorpusError
from simulations.results.files import ResultsError, provenance, write_dataset
from simulations.sweep.engine import Engine, plan
from simulations.sweep.run import Cell, SweepInterrupted, SweepOutcome, run_sweep
from simulations.sweep.worker import Compute

A = TypeVar("A")


def refuse(program: str, message: str, status: int = 2) -> NoReturn:
    """End the program with one sentence on standard error."""
    print(f"{program}: {message}", file=sys.stderr)
    raise SystemExit(status)


def option(arguments: Sequence[str], name: str, default: str) -> str:
    """The value given to `name` on a command line, as `name value` or `name=value`.

    >>> option(["--preset", "smoke", "--source=iid"], "--source", "markov")
    'iid'
    """
    found = default
    for i, word in enumerate(arguments):
        key, _, value = word.partition("=")
        if key == name:
            found = value or (arguments[i + 1] if i + 1 < len(arguments) else "")
    return found


def choice(program: str, name: str, value: str, allowed: Sequence[str]) -> str:
    """`value` if it is allowed; else the program ends with one sentence."""
    if value not in allowed:
        words = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        refuse(program, f"there is no {name} {value!r}; choose {words}.")
    return value


def parse(program: str, arguments: Sequence[str], default: A, description: str | None) -> A:
    """Command line to a record like `default`; bad values end with one sentence and status 2."""
    try:
        parsed = tyro.cli(
            type(default), args=list(arguments), default=default, description=description
        )
    except ValueError as error:
        refuse(program, str(error))
    return parsed


def with_preset(
    program: str,
    words: Sequence[str],
    presets: Sequence[str],
    arguments: Callable[..., A],
    preset: Callable[[str], Any],
    description: str | None,
) -> A:
    """`parse` with the configuration of the preset that the words name, "small" if none."""
    name = choice(program, "preset", option(words, "--preset", "small"), presets)
    return parse(program, words, arguments(preset=name, config=preset(name)), description)


def complete(
    console: Console,
    engine: Engine,
    cells: Sequence[Cell],
    compute: Compute,
    out: Path,
    config_hash: str,
    *,
    cost: Callable[[Cell], float],
    size: Callable[[Cell], float],
) -> SweepOutcome:
    """`run_sweep` where `engine` says, told to the user.

    `cost` is the rough seconds of a cell on one core, `size` the rough bytes of its file. Ends the
    program where a cell failed (status 1), and after the plan that a dry run asks for (0).
    """
    if engine.dry_run:
        words = plan(engine, cells, out, config_hash, cost, size)
        console.print(words, markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(0)
    outcome = run_sweep(
        cells,
        compute,
        out,
        config_hash,
        workers=engine.workers,
        executor_factory=engine.factory(_teller(console)),
        cost=cost,
        console=console,
    )
    count = len(outcome.done) + len(outcome.skipped) + len(outcome.failed)
    if outcome.skipped:
        console.print(f"{len(outcome.skipped)} of {count} cells were already there.")
    if not outcome.failed:
        return outcome
    for name, message in outcome.failed.items():
        console.print(f"[red]failed[/red] {name}: {message}", highlight=False)
    console.print(
        f"{len(outcome.failed)} of {count} cells failed, the others are kept in {out}; "
        "run the same command again to try only these."
    )
    raise SystemExit(1)


def _teller(console: Console) -> Callable[[str], None]:
    return partial(console.print, markup=False, highlight=False, soft_wrap=True)


def save(
    data: xr.Dataset,
    path: Path,
    title: str,
    config: dict[str, Any],
    config_hash: str,
    outcome: SweepOutcome,
) -> None:
    """Write the merged data of a sweep with where they come from."""
    signed = data.assign_attrs(
        provenance(),
        title=title,
        configuration=json.dumps(config),
        config_hash=config_hash,
        sweep_seconds=outcome.wall_time,
    )
    write_dataset(signed, path)


def close(console: Console, out: Path, broken: int, check: bool) -> int:
    """Say where the results are; 1, and a line, where `check` asks and predictions are broken."""
    console.print(f"Figure, report and data: {out}", highlight=False)
    if not (broken and check):
        return 0
    which = "1 exact prediction is" if broken == 1 else f"{broken} exact predictions are"
    console.print(f"[red]{which} not met[/red]; see report.md.")
    return 1


def entry(program: str, run: Callable[[list[str], Console], int]) -> NoReturn:
    """Run a command on the words of the command line; every known failure is one sentence."""
    try:
        status = run(sys.argv[1:], Console())
    except (CorpusError, ResultsError) as error:
        refuse(program, str(error))
    except SweepInterrupted as stopped:
        refuse(program, str(stopped), 130)
    except KeyboardInterrupt:
        refuse(program, "Interrupted; run the same command again to resume.", 130)
    raise SystemExit(status)

"""A sweep as a command runs it: where the engine says, told to the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from models.surroundings.ambient import missing_device
from models.surroundings.terminal import sentence
from simulations.console.command import say
from simulations.console.errors import UserError
from simulations.results.cells import Cell
from simulations.results.manifest import of_other_code
from simulations.sweep.engine import Engine, plan
from simulations.sweep.run import SweepOutcome, run_sweep
from simulations.sweep.worker import Compute


class CellsFailed(UserError, RuntimeError):
    """Some cells of a sweep failed; the others are kept."""

    status = 1


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
    """`run_sweep` where `engine` says.

    `cost` is the rough seconds of a cell on one core, `size` the rough bytes of its file. Ends the
    program after the plan that a dry run asks for. Raises CellsFailed, UserError for a device that
    is not there, and what `run_sweep` raises.
    """
    if engine.dry_run:
        say(console, plan(engine, cells, out, config_hash, cost, size))
        raise SystemExit(0)
    here = engine.cluster is None and engine.slurm is None
    on_gpu = any(cell.gpu for cell in cells)
    if here and (lacking := missing_device("cuda" if on_gpu else None)):
        raise UserError(lacking)
    outcome = run_sweep(
        cells,
        compute,
        out,
        config_hash,
        workers=engine.workers,
        executor_factory=engine.factory(partial(say, console)),
        cost=cost,
        console=console,
    )
    if outcome.skipped:
        say(console, f"{len(outcome.skipped)} of {len(cells)} cells were already there.")
        if mixed := of_other_code(out):
            say(console, f"note: {mixed}")
    if not outcome.failed:
        return outcome
    for name, message in outcome.failed.items():
        console.print(
            f"[red]failed[/red] {escape(name)}: {escape(sentence(message))}", highlight=False
        )
    name, message = next(iter(outcome.failed.items()))
    raise CellsFailed(
        f"{len(outcome.failed)} of {len(cells)} cells failed ({name}: {message}); what is done is "
        f"kept in {out}, and the same command tries only these again."
    )

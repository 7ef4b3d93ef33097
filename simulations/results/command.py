"""What a results folder holds, whether it is whole, and all its cells in one file.

    python -m simulations.results verify results/phase_diagram/markov-small
    python -m simulations.results merge results/phase_diagram/markov-small
    python -m simulations.results show results/phase_diagram/markov-small

verify reads every file and ends with status 1 if anything is wrong; merge writes merged.nc.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from simulations.console.command import entry, refuse
from simulations.console.progress import format_seconds
from simulations.console.steps import Steps
from simulations.results.manifest import Manifest
from simulations.results.merge import NAME, Merged, cell_files, merge_cells
from simulations.results.show import Shown, show, show_cell
from simulations.results.verify import Verdict, named, verify
from simulations.sweep.engine import format_bytes
from simulations.sweep.worker import peak_rss_mb

PROGRAM = "python -m simulations.results"


@dataclass(frozen=True)
class Verify:
    """Read every cell of a folder and check it: seal, digest of its contents, name, manifest.

    Args:
        folder: results folder of a sweep.
    """

    folder: tyro.conf.Positional[Path]


@dataclass(frozen=True)
class Merge:
    """Write all cells of a folder to one netCDF file, number for number.

    Args:
        folder: results folder of a sweep.
        out: the file to write; default merged.nc in the folder.
    """

    folder: tyro.conf.Positional[Path]
    out: Path | None = None


@dataclass(frozen=True)
class Show:
    """Print what a folder holds: configuration, code, cells, times, sizes, variables.

    Args:
        folder: results folder of a sweep.
        cell: print this one cell in full instead.
    """

    folder: tyro.conf.Positional[Path]
    cell: str | None = None


Arguments = (
    Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Merge, tyro.conf.subcommand("merge")]
    | Annotated[Show, tyro.conf.subcommand("show")]
)


def parse(words: Sequence[str]) -> Verify | Merge | Show:
    """Command line to arguments; bad words end the program with status 2."""
    return tyro.cli(Arguments, args=list(words), prog=PROGRAM, description=__doc__)


def run(arguments: Verify | Merge | Show, console: Console) -> int:
    """Do it; returns the exit status. Raises ResultsError."""
    say = _teller(console)
    if isinstance(arguments, Verify):
        return _verify(arguments.folder, console, say)
    if isinstance(arguments, Merge):
        return _merge(arguments, console, say)
    if arguments.cell is not None:
        say(show_cell(arguments.folder, arguments.cell))
        return 0
    return _show(arguments.folder, console, say)


def _verify(folder: Path, console: Console, say: Callable[[str], None]) -> int:
    begun = time.monotonic()
    with Steps(console, "cells read", len(cell_files(folder))) as steps:
        verdict = verify(folder, steps)
    for line in verdict_lines(folder, verdict):
        say(line)
    say(_effort(begun))
    return 1 if verdict.problems else 0


def verdict_lines(folder: Path, verdict: Verdict) -> list[str]:
    """What `verify` found, for people."""
    of = "" if verdict.wanted is None else f" ({verdict.wanted:,} wanted)"
    lines = [
        f"{folder}: {len(verdict.digests):,} intact cells{of}, {format_bytes(verdict.bytes)}",
        f"configuration {_several(verdict.configurations)}, code {_several(verdict.codes)}, "
        f"commit {_several(verdict.commits)}",
    ]
    if verdict.others:
        lines.append(f"other files, intact: {', '.join(verdict.others)}")
    lines.append(f"digest over all cells: {verdict.cells_digest}")
    lines += verdict.remarks
    if not verdict.problems:
        return [*lines, "Everything is in order."]
    count = len(verdict.problems)
    lines.append(f"{count:,} problem{'s' if count > 1 else ''}:")
    return [*lines, *(f"- {problem}" for problem in verdict.problems)]


def _merge(arguments: Merge, console: Console, say: Callable[[str], None]) -> int:
    begun = time.monotonic()
    folder = arguments.folder
    target = arguments.out or folder / NAME
    count = len(cell_files(folder))
    with Steps(console, "cells merged", count) as steps:
        merged = merge_cells(folder, target, steps)
    for line in merged_lines(target, merged):
        say(line)
    undone = _undone(folder)
    if undone:
        say(f"{len(undone):,} wanted cells are not done and not in it ({named(undone)}).")
    say(_effort(begun))
    return 0


def merged_lines(target: Path, merged: Merged) -> list[str]:
    """What `merge` wrote, for people."""
    groups = "1 group" if merged.parts == 1 else f"{merged.parts:,} groups (part0, part1, ...)"
    lines = [f"{target}: {merged.cells:,} cells in {groups}, {format_bytes(merged.bytes)}"]
    if len(merged.codes) > 1:
        lines.append(f"They are of {len(merged.codes)} versions of the code; verify names them.")
    return [
        *lines,
        f"digest over all cells: {merged.cells_digest}",
        "Another folder holds the same numbers if and only if it has the same digest.",
    ]


def _undone(folder: Path) -> list[str]:
    """The cells that the last sweep was asked for and that have no file."""
    stems = {path.stem for path in cell_files(folder)}
    return [name for name in Manifest.read(folder).wanted if name not in stems]


def _show(folder: Path, console: Console, say: Callable[[str], None]) -> int:
    steps: list[Steps] = []

    def tell(total: int) -> Steps:
        steps.append(Steps(console, "cells read", total).__enter__())
        return steps[-1]

    shown = show(folder, tell)
    for step in steps:
        step.__exit__(None, None, None)
    print_tables(folder, shown, console)
    if shown.damaged:
        say(f"{len(shown.damaged):,} cells are unusable ({named(shown.damaged)}); verify says why.")
    return 0


def print_tables(folder: Path, shown: Shown, console: Console) -> None:
    """What `show` found, as two tables."""
    _table(console, str(folder), ("", ""), shown.folder)
    title = f"variables, over {shown.read:,} cells"
    heads = ("name", "dimensions", "type", "units", "values", "cells")
    _table(console, title, heads, shown.variables)


def _table(
    console: Console, title: str, heads: Sequence[str], rows: Iterable[tuple[str, ...]]
) -> None:
    table = Table(title=title, title_justify="left", show_header=any(heads))
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False, highlight=False)


def _several(counts: dict[str, int]) -> str:
    return ", ".join(sorted(counts)) or "unknown"


def _effort(begun: float) -> str:
    seconds = format_seconds(time.monotonic() - begun)
    return f"{seconds}, peak memory {peak_rss_mb():,.0f} MB"


def _teller(console: Console) -> Callable[[str], None]:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    return say


def _run_or_stop(words: list[str], console: Console) -> int:
    arguments = parse(words)
    try:
        return run(arguments, console)
    except KeyboardInterrupt:
        refuse(PROGRAM, "Interrupted; no file was written or changed.", 130)


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, _run_or_stop)

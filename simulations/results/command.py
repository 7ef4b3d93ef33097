"""What a results folder holds, whether it is whole, and all its cells in one file.

    python -m simulations.results verify results/phase_diagram/markov-small
    python -m simulations.results merge results/phase_diagram/markov-small
    python -m simulations.results show results/phase_diagram/markov-small

verify reads every file and ends with status 1 if anything is wrong; merge writes merged.nc.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from simulations.console.command import entry, refuse, say
from simulations.console.steps import Steps
from simulations.console.units import format_bytes, format_seconds, peak_rss_mb
from simulations.results.manifest import Manifest
from simulations.results.merge import NAME, cell_files, merge_cells
from simulations.results.show import show, show_cell
from simulations.results.verify import named, verify

PROGRAM = "python -m simulations.results"

Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="results folder of a sweep.")]


@dataclass(frozen=True)
class Verify:
    """Read every cell of a folder and check it: seal, digest of its contents, name, manifest."""

    folder: Folder

    def run(self, console: Console) -> int:
        """Say what is wrong; 1 if anything is. Raises ResultsError."""
        begun = time.monotonic()
        with Steps(console, "cells read", len(cell_files(self.folder))) as steps:
            found = verify(self.folder, steps)
        of = "" if found.wanted is None else f" ({found.wanted:,} wanted)"
        lines = [
            f"{self.folder}: {len(found.digests):,} intact cells{of}, {format_bytes(found.bytes)}",
            f"configuration {_several(found.configurations)}, code {_several(found.codes)}, "
            f"commit {_several(found.commits)}",
        ]
        if found.others:
            lines.append(f"other files, intact: {', '.join(found.others)}")
        lines += [f"digest over all cells: {found.cells_digest}", *found.remarks]
        if count := len(found.problems):
            lines.append(f"{count:,} problem{'s' if count > 1 else ''}:")
            lines += [f"- {problem}" for problem in found.problems]
        else:
            lines.append("Everything is in order.")
        _say_with_effort(console, lines, begun)
        return 1 if found.problems else 0


@dataclass(frozen=True)
class Merge:
    """Write all cells of a folder to one netCDF file, number for number.

    Args:
        out: the file to write; default merged.nc in the folder.
    """

    folder: Folder
    out: Path | None = None

    def run(self, console: Console) -> int:
        """Say what was written. Raises ResultsError."""
        begun = time.monotonic()
        target = self.out or self.folder / NAME
        files = cell_files(self.folder)
        with Steps(console, "cells merged", len(files)) as steps:
            merged = merge_cells(self.folder, target, steps)
        groups = "1 group" if merged.parts == 1 else f"{merged.parts:,} groups (part0, part1, ...)"
        lines = [f"{target}: {merged.cells:,} cells in {groups}, {format_bytes(merged.bytes)}"]
        if len(merged.codes) > 1:
            lines.append(
                f"They are of {len(merged.codes)} versions of the code; verify names them."
            )
        lines += [
            f"digest over all cells: {merged.cells_digest}",
            "Another folder holds the same numbers if and only if it has the same digest.",
        ]
        stems = {path.stem for path in files}
        undone = [name for name in Manifest.read(self.folder).wanted if name not in stems]
        if undone:
            which = f"{len(undone):,} wanted cells are not done and not in it"
            lines.append(f"{which} ({named(undone)}).")
        _say_with_effort(console, lines, begun)
        return 0


@dataclass(frozen=True)
class Show:
    """Print what a folder holds: configuration, code, cells, times, sizes, variables.

    Args:
        cell: print this one cell in full instead.
    """

    folder: Folder
    cell: str | None = None

    def run(self, console: Console) -> int:
        """Print it as two tables, or the cell as text. Raises ResultsError."""
        if self.cell is not None:
            say(console, show_cell(self.folder, self.cell))
            return 0
        with ExitStack() as stack:
            found = show(
                self.folder,
                lambda total: stack.enter_context(Steps(console, "cells read", total)),
            )
        _print_table(console, str(self.folder), ("", ""), found.folder)
        heads = ("name", "dimensions", "type", "units", "values", "cells")
        _print_table(console, f"variables, over {found.read:,} cells", heads, found.variables)
        if found.damaged:
            count = f"{len(found.damaged):,} cells"
            say(console, f"{count} are unusable ({named(found.damaged)}); verify says why.")
        return 0


Arguments = (
    Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Merge, tyro.conf.subcommand("merge")]
    | Annotated[Show, tyro.conf.subcommand("show")]
)


def parse(words: Sequence[str]) -> Verify | Merge | Show:
    """Command line to what is to be run; bad words end the program with status 2."""
    return tyro.cli(Arguments, args=list(words), prog=PROGRAM, description=__doc__)


def _print_table(
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


def _say_with_effort(console: Console, lines: Sequence[str], begun: float) -> None:
    for line in lines:
        say(console, line)
    seconds = format_seconds(time.monotonic() - begun)
    say(console, f"{seconds}, peak memory {peak_rss_mb():,.0f} MB")


def _run_or_stop(words: list[str], console: Console) -> int:
    command = parse(words)
    try:
        return command.run(console)
    except KeyboardInterrupt:
        refuse(PROGRAM, "Interrupted; no file was written or changed.", 130)


def main() -> None:
    """Entry point of the command."""
    entry(PROGRAM, _run_or_stop)

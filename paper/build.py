"""Draw the appendix from saved results.

    python -m paper.build                      # figures, tables, numbers, paper/appendix.pdf
    python -m paper.build --full               # first the runs it is drawn from, resumable
    python -m paper.build --only hopfield      # some figures or tables, no document

Results that are missing, or of another configuration than the preset has today, are refused with
the command that makes them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from paper import disagreements, manifest
from paper.document import PACKAGES, DocumentError, typeset
from paper.drawing import FIGURES, GALLERY, SUFFIXES, draw_figures, module_of
from paper.sources import RUNS, Results, Run
from paper.tables.results import TABLES
from simulations.results.files import ResultsError, write_text

HERE = Path(__file__).parent


class RefusedError(Exception):
    """The appendix cannot be drawn; the message says why, a sentence a line."""


@dataclass(frozen=True)
class Options:
    """Draw the appendix from saved results.

    Args:
        preset: of the runs: smoke (a few minutes), small (an hour), paper (days).
        results: folder that holds the results of all commands.
        out: folder that gets build/ and appendix.pdf; default paper/.
        full: make the results first; what is finished is not made again.
        transformer: with --full, run the transformer too (half an hour more at small).
        only: names of figures or tables to draw, without the document.
        gallery: copy the small pictures of the README to paper/gallery/.
    """

    preset: Literal["smoke", "small", "paper"] = "small"
    results: Path = Path("results")
    out: Path = HERE
    full: bool = False
    transformer: bool = False
    only: tuple[str, ...] = ()
    gallery: bool = False


def build(options: Options) -> int:
    """Everything; the exit status is 1 where the document breaks one of its rules."""
    figures, tables = _selected(options.only)
    runs = _runs_of(figures, tables)
    if options.full:
        make_results(options, runs)
    results = Results(options.results, options.preset)
    problems = results.problems(runs)
    if problems:
        raise RefusedError("\n".join([*problems, *_advice(options)]))
    folder = options.out / "build"
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    draw_figures(results, folder, figures)
    for name in tables:
        write_text(TABLES[name][1](results), folder / f"table_{name}.tex")
    manifest.write(results, folder, _items(figures, tables))
    _say(f"{len(figures)} figures and {len(tables)} tables in {folder}", started)
    if options.gallery:
        _copy_gallery(folder, figures)
    if options.only:
        return 0
    return _document(options, results, folder)


def _selected(only: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of figures and of tables to make. Raises RefusedError."""
    unknown = [name for name in only if name not in FIGURES and name not in TABLES]
    if unknown:
        words = f"figures {', '.join(FIGURES)}; tables {', '.join(TABLES)}"
        raise RefusedError(f"There is no figure or table {unknown[0]!r}; there are {words}.")
    figures = tuple(name for name in FIGURES if not only or name in only)
    return figures, tuple(name for name in TABLES if not only or name in only)


def _runs_of(figures: Sequence[str], tables: Sequence[str]) -> list[str]:
    wanted = {run for name in figures for run in module_of(name).RUNS}
    for name in tables:
        wanted |= set(TABLES[name][0] or RUNS)
    return [name for name in RUNS if name in wanted]


def _items(figures: Sequence[str], tables: Sequence[str]) -> dict[str, Sequence[str]]:
    """Of every file, the runs it is drawn from."""
    found = {f"fig_{name}{suffix}": module_of(name).RUNS for name in figures for suffix in SUFFIXES}
    return found | {f"table_{name}.tex": TABLES[name][0] or tuple(RUNS) for name in tables}


def _advice(options: Options) -> list[str]:
    if options.full:
        return []
    return ["`make paper-full` makes all of them; what is finished is not made again."]


def _say(words: str, started: float) -> None:
    print(f"{words}, {time.monotonic() - started:.0f} s", flush=True)


def make_results(options: Options, names: Sequence[str]) -> None:
    """Run the commands of these runs whose results are missing. Raises RefusedError."""
    results = Results(options.results, options.preset)
    for run in (RUNS[name] for name in names):
        wanted = not run.optional or options.transformer
        if wanted and (not results.has(run.name) or results.problems([run.name])):
            _make(run, options.results, results.preset_of(run.name))


def _make(run: Run, root: Path, preset: str) -> None:
    words = run.arguments(root, preset)
    print(f"== {run.command(root, preset)}", flush=True)
    started = time.monotonic()
    status = subprocess.run([sys.executable, *words]).returncode
    if status:
        raise RefusedError(
            f"`{run.command(root, preset)}` ended with status {status}; what it finished is kept."
        )
    _say(f"{run.name} is made", started)


def _copy_gallery(folder: Path, figures: Sequence[str]) -> None:
    place = HERE / "gallery"
    place.mkdir(exist_ok=True)
    for name in GALLERY:
        if name in figures:
            shutil.copyfile(folder / f"fig_{name}_small.png", place / f"{name}.png")


def _document(options: Options, results: Results, folder: Path) -> int:
    """Numbers of the text, the list of disagreements, and the PDF."""
    from paper.numbers import book as numbers

    started = time.monotonic()
    missing = numbers.write(options.results, folder, options.preset)
    disagreements.write(results, folder)
    _say(f"numbers of the text in {folder / 'numbers.md'} ({len(missing)} n/a)", started)
    started = time.monotonic()
    found = typeset(options.out)
    if found is None:
        print(
            "latexmk is not installed, so there is no PDF; figures and TeX are made. On Debian: "
            f"apt-get install {PACKAGES}."
        )
        return 0
    size = found.path.stat().st_size / 1e6
    _say(f"{found.path}, {size:.1f} MB", started)
    for problem in found.problems:
        print(problem)
    return 1 if found.problems else 0


def main() -> None:
    """Entry point of the command."""
    try:
        status = build(tyro.cli(Options, description=__doc__))
    except (RefusedError, ResultsError, DocumentError) as error:
        lines = "\n".join(f"paper: {line}" for line in str(error).splitlines())
        print(lines, file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("paper: interrupted; the same command resumes.", file=sys.stderr)
        status = 130
    raise SystemExit(status)


if __name__ == "__main__":
    main()

"""The one shape of a study: what it is made of, and the command and the function call it becomes.

A study measures cells, one file each; merges them; analyses; reports; draws. `Study` says how, and
is run by `python -m simulations.<study>` (`Study.main`) or from Python (`Study.run`).
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import tyro
import xarray as xr
from rich.console import Console

from simulations.console.command import choice, entry, option, parse, say
from simulations.console.errors import UserError
from simulations.console.later import Later
from simulations.results.cells import Cell
from simulations.results.files import write_dataset
from simulations.results.provenance import digest, provenance
from simulations.results.report import Report, print_closing, table_report, write_report
from simulations.sweep.complete import complete
from simulations.sweep.engine import Engine
from simulations.sweep.run import joined, only_coordinate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOOLKIT = "0.1"


@dataclass(frozen=True)
class Flag:
    """An option of one study's command that is no setting: its name, type, default and help."""

    name: str
    kind: Any
    default: Any
    help: str


@dataclass(frozen=True)
class Study:
    """Everything that is special about a study; config stands for its frozen settings.

    name : of the results folder and of the files in it. title : of the data. about : what `--help`
    says. presets : names, each with how long it takes. preset(name, **choices) -> config.
    choices : further words that pick a preset, such as the source; the first is the default.
    refused : sentences on words that somebody may try. numerics : numbers that are raised whenever
    results change at fixed settings. cells(config) : the sweep. compute(config, coordinates) ->
    the dataset of a cell, in a worker. cost, size (config, cell) : rough seconds on a core, rough
    bytes. merge(out, config) -> all cells as one dataset; by default those of one coordinate along
    it. analyse(config, data, out) -> what report and figure are made from; by default the data.
    report(analysis) -> Report; by default the data as a table. draw(analysis, axes=None) -> Figure.
    figures : further ones, drawn as `draw`, by the stem of their file.
    identity(config) : what the numbers depend on besides a cell's coordinates. folder(config,
    preset) : name under results/<name>/. flags, settle(arguments) -> config : further options.
    after(arguments, out, analysis) : what is left to do. checked : whether it has --check. module :
    of the command, simulations.<name> by default.
    """

    name: str
    about: str
    presets: Mapping[str, str]
    preset: Callable[..., Any]
    cells: Callable[[Any], Sequence[Cell]]
    compute: Callable[[Any, dict[str, Any]], xr.Dataset]
    draw: Callable[..., Figure]
    report: Callable[[Any], Report] = table_report
    figures: Mapping[str, Callable[..., Figure]] = field(default_factory=dict)
    title: str = ""
    numerics: Mapping[str, int] = field(default_factory=dict)
    merge: Callable[[Path, Any], xr.Dataset] | None = None
    analyse: Callable[[Any, xr.Dataset, Path], Any] = field(default=lambda config, data, out: data)
    cost: Callable[[Any, Cell], float] = field(default=lambda config, cell: 1.0)
    size: Callable[[Any, Cell], float] = field(default=lambda config, cell: 2e4)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    identity: Callable[[Any], Mapping[str, Any]] = field(default=lambda c: {"config": c.as_dict()})
    folder: Callable[[Any, str], str] = field(default=lambda config, preset: preset)
    flags: Sequence[Flag] = ()
    settle: Callable[[Any], Any] = field(default=lambda arguments: arguments.config)
    after: Callable[[Any, Path, Any], None] | None = None
    checked: bool = True
    module: str = ""

    @property
    def command(self) -> str:
        """The command, as it is typed after `python`."""
        return f"-m {self.module or f'simulations.{self.name}'}"

    @classmethod
    def of(cls, config: ModuleType, **special: Any) -> Study:
        """The study of the package that holds the module `config`, with the usual functions.

        From `config`: `preset`, `make_cells`, `cost`, `size`, NUMERICS; from the modules beside it,
        when they are needed: `cells.compute`, `analysis.analyse`, `report.report`, `figure.draw`.
        `special` is all the rest, and what differs.
        """
        package = config.__name__.rpartition(".")[0]
        name = package.rpartition(".")[2]
        usual: dict[str, Any] = {"name": name, "module": package}
        given = [part for part in ("preset", "cost", "size") if part not in special]
        usual |= {part: getattr(config, part) for part in given}
        usual |= {"cells": config.make_cells, "numerics": {name: config.NUMERICS}}
        rooms = {"compute": "cells", "analyse": "analysis", "report": "report", "draw": "figure"}
        usual |= {part: Later(f"{package}.{room}", part) for part, room in rooms.items()}
        return cls(**{**usual, **special})

    def configuration_hash(self, config: Any) -> str:
        """Hash of all that the numbers depend on besides a cell's coordinates."""
        return digest({**self.identity(config), "toolkit": TOOLKIT, **self.numerics})

    def run(
        self,
        preset: str = "small",
        *,
        out: str | Path | None = None,
        workers: int | None = None,
        console: Console | None = None,
        **settings: Any,
    ) -> Result:
        """Run the study from Python: what the command does, with data and analysis given back.

        Parameters
        ----------
        preset : one of `presets`; settings override it, among them the words of `choices`.
        out : results folder, `results/<name>/<preset>` by default; finished cells are kept there.
        workers : cells computed at a time, all cores by default.
        console : where progress is told; nothing is by default.

        Raises UserError, in one sentence, for what cannot be done (CellsFailed where cells failed);
        ValueError for bad settings.
        """
        chosen = {
            name: choice(name, settings.pop(name, allowed[0]), allowed)
            for name, allowed in self.choices.items()
        }
        base = self.preset(choice("preset", preset, self.presets), **chosen)
        for name in settings:
            choice("setting", name, [part.name for part in dataclasses.fields(base)])
        config = dataclasses.replace(base, **settings)
        engine = Engine() if workers is None else Engine(workers=workers)
        where = Path(out) if out is not None else self.place(config, preset)
        return self._finish(config, preset, where, engine, console or Console(quiet=True))

    def place(self, config: Any, preset: str) -> Path:
        """The default results folder."""
        return Path("results") / self.name / self.folder(config, preset)

    def parse(self, words: Sequence[str]) -> Any:
        """A command line as a record: preset, out, engine, check, the flags, config.

        Raises UserError.
        """
        for name, allowed in self.choices.items():
            value = option(words, f"--{name}", allowed[0])
            if value in self.refused:
                raise UserError(self.refused[value])
            choice(name, value, allowed)
        chosen = {n: option(words, f"--{n}", allowed[0]) for n, allowed in self.choices.items()}
        name = choice("preset", option(words, "--preset", "small"), self.presets)
        config = self.preset(name, **chosen)
        kind = arguments_type(self, type(config), self.place(config, name))
        return parse(kind, words, kind(preset=name, config=config), self.about)

    def main(self) -> NoReturn:
        """The command."""
        entry(self.name, self.execute)

    def execute(self, words: Sequence[str], console: Console) -> int:
        """Run the command of these words; returns the exit status."""
        arguments = self.parse(words)
        config = self.settle(arguments)
        out = arguments.out or self.place(config, arguments.preset)
        found = self._finish(config, arguments.preset, out, arguments.engine, console)
        if self.after is not None:
            self.after(arguments, out, found.analysis)
        print_closing(found.report, console)
        say(console, f"Figure, report and data: {out}")
        broken = len(found.report.broken)
        if not (broken and self.checked and arguments.check):
            return 0
        which = "1 exact prediction is" if broken == 1 else f"{broken} exact predictions are"
        console.print(f"[red]{which} not met[/red]; see report.md.")
        return 1

    def _finish(
        self, config: Any, preset: str, out: Path, engine: Engine, console: Console
    ) -> Result:
        """Sweep, merge, analyse, report, draw."""
        started = time.monotonic()
        key, cells = self.configuration_hash(config), self.cells(config)
        if self.merge is None:
            only_coordinate(cells)
        self._check_rooms()
        if not engine.dry_run:  # takes seconds to import: while the workers compute
            threading.Thread(target=self._import, daemon=True).start()
        outcome = complete(
            console,
            engine,
            cells,
            partial(self.compute, config),
            out,
            key,
            cost=partial(self.cost, config),
            size=partial(self.size, config),
        )
        with console.status("merging the cells and analysing"):
            data = self.merge(out, config) if self.merge else joined(out, cells)
            signed = data.assign_attrs(
                provenance(),
                title=self.title or self.name,
                configuration=json.dumps(config.as_dict()),
                config_hash=key,
                sweep_seconds=outcome.wall_time,
            )
            write_dataset(signed, out / f"{self.name}.nc")
            analysis = self.analyse(config, data, out)
            found = Result(self, config, out, data, analysis, self.report(analysis))
            try:
                found.save_figure()
            finally:
                title = f"{found.report.title}, preset {preset}"
                told = dataclasses.replace(found.report, title=title)
                seconds, memory = time.monotonic() - started, outcome.peak_rss_mb
                write_report(told, out, f"{self.name}.png", config.as_dict(), seconds, memory)
        return found

    def _check_rooms(self) -> None:
        """Refuse, before anything is computed, a study that lacks the module of a function."""
        for name in ("compute", "analyse", "report", "draw"):
            function = getattr(self, name)
            if isinstance(function, Later) and not function.there:
                raise UserError(
                    f"the study {self.name} has no module {function.module}: write it, with "
                    f"`{function.name}`, or give the study `{name}`."
                )

    def _import(self) -> None:
        for function in (self.analyse, self.report, self.draw, *self.figures.values()):
            if isinstance(function, Later):
                function.load()


@dataclass(frozen=True)
class Result:
    """A study that has run: its merged data, what the analysis makes of them, and the report."""

    study: Study = field(repr=False)
    config: Any
    out: Path
    data: xr.Dataset = field(repr=False)
    analysis: Any = field(repr=False)
    report: Report = field(repr=False)

    def draw(self, axes: Any = None) -> Figure:
        """The figure; on an array of axes of its shape, where these are given."""
        return self.study.draw(self.analysis, axes)

    def save_figure(self) -> None:
        """Write the figure, and further ones, beside the data."""
        from simulations.plots import save

        save(self.draw(), self.out / self.study.name)
        for stem, draw in self.study.figures.items():
            save(draw(self.analysis), self.out / stem)


def arguments_type(study: Study, config: type, place: Path) -> Any:
    """The record that a study's command line becomes; `place` is the default results folder."""
    times = ", ".join(f"{name} ({time})" for name, time in study.presets.items())
    fields: list[tuple[str, Any, Any]] = [
        _flag("preset", Literal[tuple(study.presets)], "small", times),
        _flag("out", Path | None, None, f"results folder; default {place}."),
        ("engine", Annotated[Engine, tyro.conf.OmitArgPrefixes], field(default_factory=Engine)),
    ]
    fields += [_flag(flag.name, flag.kind, flag.default, flag.help) for flag in study.flags]
    if study.checked:
        text = "exit with status 1 if a simulation deviates from an exact prediction."
        fields.append(_flag("check", bool, False, text))
    fields.append(
        ("config", Annotated[config, tyro.conf.OmitArgPrefixes], field(default_factory=config))
    )
    return dataclasses.make_dataclass("Arguments", fields, frozen=True)


def _flag(name: str, kind: Any, default: Any, text: str) -> tuple[str, Any, Any]:
    return name, Annotated[kind, tyro.conf.arg(help=text)], field(default=default)

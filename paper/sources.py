"""Which saved results the appendix is drawn from, and whether they are what the code gives now.

A run is one command of the simulations with its options. Its results folder holds the data that
figures read; they are refused where the file is missing or where the configuration in it is not
the one that the preset has today, with a sentence that names the command.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

from simulations.basins.study import STUDY as BASINS
from simulations.capacity.study import STUDY as CAPACITY
from simulations.channels.study import STUDY as CHANNELS
from simulations.entropy.study import STUDY as ENTROPY
from simulations.linear_curves.study import STUDY as LINEAR
from simulations.novelty.study import STUDY as NOVELTY
from simulations.phase.study import STUDY as PHASE
from simulations.probe.calibration.study import STUDY as CALIBRATION
from simulations.results.files import ResultsError, read_dataset
from simulations.scaling.study import STUDY as SCALING
from simulations.study import Study

STAGES = ("smoke", "small", "paper")


class StaleResultsError(ResultsError):
    """Results are missing or not of the present configuration; the message names the command."""


@dataclass(frozen=True)
class Run:
    """One command with its options.

    name : of the run, in the manifest. study : what is run. folder : under the results folder,
    `{preset}` to be filled. words : that the study's `preset` takes. options : words of the command
    line besides the preset. larger : a preset that is taken in place of `small` where it has been
    made. optional : the appendix can do without.
    """

    name: str
    study: Study
    folder: str
    words: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    larger: str = ""
    optional: bool = False

    @property
    def program(self) -> str:
        """Name of the study, and of its data file."""
        return self.study.name

    def wanted(self, stage: str) -> str:
        """The preset that a stage of the appendix asks for."""
        return stage if stage in self.study.presets else "small"

    def config(self, preset: str) -> Any:
        """The configuration of a preset as it is today."""
        return self.study.preset(preset, *self.words)

    def place(self, root: Path, preset: str) -> Path:
        """Folder of the results."""
        return root / self.folder.format(preset=preset)

    def data_file(self, root: Path, preset: str) -> Path:
        return self.place(root, preset) / f"{self.program}.nc"

    def arguments(self, root: Path, preset: str) -> list[str]:
        """The command that makes the results, after `python`."""
        words = [*self.study.command.split(), "--preset", preset, *self.options]
        elsewhere = root != Path("results")
        return words + (["--out", str(self.place(root, preset))] if elsewhere else [])

    def command(self, root: Path, preset: str) -> str:
        return " ".join(["python", *self.arguments(root, preset)])


RUNS = {
    run.name: run
    for run in (
        Run("basins", BASINS, "basins/{preset}"),
        Run("capacity", CAPACITY, "capacity/{preset}"),
        Run("linear", LINEAR, "linear_curves/{preset}"),
        Run("markov", PHASE, "phase_diagram/markov-{preset}", words=("markov", "mlp")),
        Run(
            "iid",
            PHASE,
            "phase_diagram/iid-{preset}",
            words=("iid", "mlp"),
            options=("--source", "iid"),
        ),
        Run("channels", CHANNELS, "channels/{preset}"),
        Run("calibration", CALIBRATION, "probe_calibration/{preset}"),
        Run("entropy", ENTROPY, "entropy/{preset}"),
        Run("scaling", SCALING, "scaling/{preset}", larger="medium"),
        Run("novelty", NOVELTY, "novelty/{preset}"),
        Run(
            "dit",
            PHASE,
            "phase_diagram/markov-dit-{preset}",
            words=("markov", "dit"),
            options=("--model", "dit"),
            optional=True,
        ),
    )
}


@dataclass(frozen=True)
class Found:
    """The saved results of a run: data with attributes, and what the analysis makes of them."""

    run: Run
    preset: str
    root: Path
    config: Any
    data: xr.Dataset = field(repr=False)

    @property
    def folder(self) -> Path:
        return self.run.place(self.root, self.preset)

    @property
    def command(self) -> str:
        return self.run.command(self.root, self.preset)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The run's summary.json."""
        path = self.folder / "summary.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise StaleResultsError(
                f"{path} cannot be read; make it again by `{self.command}`."
            ) from error
        return found

    @cached_property
    def analysis(self) -> Any:
        """What `simulations` derives from the data: intervals, sizes, laws, rows, checks."""
        try:
            return self.run.study.analyse(self.config, self.data, self.folder)
        except ResultsError as error:
            raise StaleResultsError(f"{error} The command is `{self.command}`.") from error


class Results:
    """Saved results under a folder, at a stage of the appendix; each read once."""

    def __init__(self, root: Path, stage: str = "small") -> None:
        if stage not in STAGES:
            raise ValueError(f"`preset` must be {', '.join(STAGES)}; got {stage!r}.")
        self.root, self.stage = root, stage
        self._found: dict[str, Found] = {}

    def preset_of(self, name: str) -> str:
        """The preset that is drawn: the larger one of a run where it is there."""
        run = RUNS[name]
        wanted = run.wanted(self.stage)
        takes_larger = run.larger and wanted == "small"
        if takes_larger and run.data_file(self.root, run.larger).exists():
            return run.larger
        return wanted

    def has(self, name: str) -> bool:
        """Whether a run has results, current or not."""
        return RUNS[name].data_file(self.root, self.preset_of(name)).exists()

    def open(self, name: str) -> Found:
        """The results of a run. Raises StaleResultsError."""
        if name not in self._found:
            self._found[name] = self._read(RUNS[name], self.preset_of(name))
        return self._found[name]

    def _read(self, run: Run, preset: str) -> Found:
        path, command = run.data_file(self.root, preset), run.command(self.root, preset)
        if not path.exists():
            raise StaleResultsError(f"There is no {path}; make it by `{command}`.")
        data, config = read_dataset(path), run.config(preset)
        was, now = data.attrs.get("config_hash"), run.study.configuration_hash(config)
        if was != now:
            raise StaleResultsError(
                f"{path} is of another configuration or version (hash {was}, now {now}); move "
                f"{path.parent} away and run `{command}`."
            )
        differing = differences(data.attrs.get("configuration", "{}"), config.as_dict())
        if differing:
            raise StaleResultsError(
                f"{path} was made with other values of {', '.join(differing)} than preset "
                f"{preset} has now; run `{command}`."
            )
        return Found(run, preset, self.root, config, data)

    def there(self, names: Iterable[str]) -> list[str]:
        """These runs without optional ones that have not been made."""
        return [name for name in names if not RUNS[name].optional or self.has(name)]

    def problems(self, names: Iterable[str]) -> list[str]:
        """A sentence on every run that cannot be drawn."""
        found = []
        for name in self.there(names):
            try:
                self.open(name)
            except ResultsError as error:
                found.append(str(error))
        return found


def differences(saved: str, now: dict[str, Any]) -> list[str]:
    """Settings in which a saved configuration (JSON) differs from one of today.

    >>> differences('{"a": [1, 2], "b": 3}', {"a": (1, 2), "b": 4})
    ['b']
    """
    old, new = json.loads(saved), json.loads(json.dumps(now))
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))

"""Calibrate the probe's verdict without training data on models whose answer is known.

    python -m simulations.probe.calibration --preset smoke
    python -m simulations.probe.calibration --text book.txt --install

Makes small networks of many families, from memorizing to generalizing, measures them as the probe
does, and judges those of each family by a law that was fitted to the others. The truth is the share
of its training data that a model memorizes. Writes data, the table of coefficients, a figure and a
report to results/probe_calibration/<preset>/; --install makes the table the one that the probe
reads. Interrupted runs resume. Without --text the families of real text are left out; with it, the
package tokenizers is needed (extra `text`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from models.extras import optional
from simulations.console.errors import UserError
from simulations.console.later import Later
from simulations.data.corpora import CorpusError, TextFile
from simulations.probe.calibration import config
from simulations.probe.calibration.config import CalibrationConfig, made
from simulations.probe.calibration.families import OF_PIECES, PIECES
from simulations.probe.config import NUMERICS as PROBE_NUMERICS
from simulations.probe.judge.chances import TABLE
from simulations.results.files import write_text
from simulations.study import Flag, Study


def settle(arguments: Any) -> CalibrationConfig:
    """The settings with their text. Raises UserError where nothing is left to make, for a text that
    cannot be read, and where what would cut it into pieces is not installed."""
    text = None if arguments.text is None else TextFile.read(arguments.text)
    settings: CalibrationConfig = replace(arguments.config, text=text)
    if not made(settings):
        raise UserError(f"the family {settings.families[0]} needs a text: add --text FILE (UTF-8).")
    if any(PIECES in family.sources for family in made(settings).values()):
        optional("tokenizers", "text", OF_PIECES, CorpusError)
    return settings


def install(arguments: Any, out: Path, analysis: Any) -> None:
    """Make the table of this run, where that is asked for, the one that the probe reads."""
    if arguments.install:
        write_text((out / TABLE.name).read_text(encoding="utf-8"), TABLE)


STUDY = Study.of(
    config,
    name="probe_calibration",
    title="Models of known answer and what the probe says of them",
    about=__doc__,
    presets={"smoke": "a minute", "small": "three quarters of an hour"},
    numerics={"calibration": config.NUMERICS, "probe": PROBE_NUMERICS},
    merge=Later("simulations.probe.calibration.analysis", "merge"),
    identity=lambda settings: settings.identity(),
    settle=settle,
    flags=[
        Flag("text", Path | None, None, "UTF-8 text of the family `text`, left out without."),
        Flag("install", bool, False, "replace the table that the probe reads by that of this run."),
    ],
    after=install,
    checked=False,
)

"""Calibrate the probe's verdict without training data on models whose answer is known.

    python -m simulations.probe.calibration --preset smoke
    python -m simulations.probe.calibration --install

Trains small networks on K sequences of several sources, from memorizing to generalizing, measures
them as the probe does, fits the probability of memorizing to some and judges the verdict on the
others. The truth is the recovery gap of each model. Writes data, the table of coefficients, a
figure and a report to results/probe_calibration/<preset>/; --install makes the table the one that
the probe reads. Interrupted runs resume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulations.console.later import Later
from simulations.probe.calibration import config
from simulations.probe.config import NUMERICS as PROBE_NUMERICS
from simulations.probe.judge.chances import TABLE
from simulations.results.files import write_text
from simulations.study import Flag, Study


def install(arguments: Any, out: Path, analysis: Any) -> None:
    """Make the table of this run, where that is asked for, the one that the probe reads."""
    if arguments.install:
        write_text((out / TABLE.name).read_text(encoding="utf-8"), TABLE)


STUDY = Study.of(
    config,
    name="probe_calibration",
    title="Models of known answer and what the probe says of them",
    about=__doc__,
    presets={"smoke": "a minute", "small": "a quarter of an hour"},
    numerics={"calibration": config.NUMERICS, "probe": PROBE_NUMERICS},
    merge=Later("simulations.probe.calibration.analysis", "merge"),
    flags=[
        Flag("install", bool, False, "replace the table that the probe reads by that of this run.")
    ],
    after=install,
    checked=False,
)

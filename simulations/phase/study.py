"""The main job: the memorization-to-generalization transition, measured and held against theory.

    python simulations/phase_diagram.py --preset smoke
    python simulations/phase_diagram.py --source text --text book.txt
    python simulations/phase_diagram.py --model dit
    python simulations/phase_diagram.py --channel absorbing

Trains one small discrete diffusion model for every training-set size K and seed, measures
it next to the two exact denoisers that bound it, and writes data, a report and a figure to
results/phase_diagram/<source>-<preset>/ (the transformer's: <source>-dit-<preset>; of masked noise:
<source>-absorbing-<preset>). Interrupted runs resume.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr

from simulations.console.errors import UserError
from simulations.console.later import Later
from simulations.data.corpora import TextFile
from simulations.phase import config
from simulations.phase.config import SOURCES, Config
from simulations.study import Flag, Study
from simulations.trained import MODELS, over_sizes


def settle(arguments: Any) -> Config:
    """The settings with their text and device. Raises UserError for what no cell could compute,
    before anything is written."""
    config: Config = arguments.config
    if arguments.text is not None and config.source != "text":
        raise UserError("--text is read with --source text only; add it, or leave --text out.")
    text = None if arguments.text is None else TextFile.read(arguments.text)
    config = replace(config, text=text, gpu=arguments.gpu)
    if config.source == "text":
        config.problem_of(0)
    return config


def folder(config: Config, preset: str) -> str:
    """Name of the results folder: the source, the transformer where it is trained, the channel
    where it is not uniform, the preset."""
    words: list[str] = [config.source]
    words += [config.model] * (config.model != "mlp")
    if config.channel != "uniform":
        share = f"{config.p_uniform:g}" if config.channel == "hybrid" else ""
        words.append(config.channel + share)
    return "-".join([*words, preset])


def merge(out: Path, config: Config) -> xr.Dataset:
    """All training cells as one dataset with dimensions train_size and seed in front."""
    return over_sizes(out, config, "train")


STUDY = Study.of(
    config,
    name="phase_diagram",
    title="Phase diagram of memorization and generalization",
    about=__doc__,
    presets={"smoke": "a minute", "small": "a quarter or, dit, half of an hour", "paper": "a day"},
    choices={"source": SOURCES, "model": MODELS},
    flags=(
        Flag("text", Path | None, None, "UTF-8 file for --source text."),
        Flag(
            "gpu",
            bool,
            False,
            "train and measure on GPUs: cells go to workers that offer one, here one at a time.",
        ),
    ),
    module="simulations.phase_diagram",
    settle=settle,
    identity=Config.identity,
    numerics={"numerics": config.NUMERICS},
    folder=folder,
    merge=merge,
    analyse=Later("simulations.phase.comparison", "findings"),
    figures={"readings": Later("simulations.phase.tell.figures", "draw_readings")},
)

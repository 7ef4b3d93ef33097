"""What a model makes up once it stops copying: memorized, spurious and novel sequences.

    python -m simulations.novelty --preset smoke
    python -m simulations.novelty --model dit

Trains networks like the main job's on K sequences of a known law, lets them generate, labels every
sequence (near a stored one; near another generated one only; neither), and holds labels and
quality against fresh sequences of the law and against both exact denoisers. Writes data, a report
and a figure to results/novelty/<preset>/ (another source or model: <source>-<model>-<preset>).
Interrupted runs resume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from simulations.measure.checks import read_checks
from simulations.novelty import config
from simulations.novelty.config import CHECKS, CONTROLS, SOURCES, TRAINED, NoveltyConfig, make_cells
from simulations.results.files import read_dataset
from simulations.study import Study
from simulations.sweep.run import load_cells
from simulations.trained import MODELS, folder_name, over_seeds, over_sizes


def merge(out: Path, config: NoveltyConfig) -> xr.Dataset:
    """All cells but the checks as one dataset: dimensions model, train_size, seed, sample."""
    trained = over_sizes(out, config, "model", seconds=False)
    found = [cell for cell in make_cells(config) if cell.coordinates["kind"] == "controls"]
    controls = over_seeds(load_cells(out, found))
    sizes = trained["train_size"].variable
    alone = {"generated", "stepped_distance", "stored_log_prob"}
    models = xr.concat(
        [
            trained.drop_vars("generated").expand_dims(model=[TRAINED]),
            controls.drop_vars(alone - {"generated"}).assign_coords(
                model=list(CONTROLS), train_size=sizes
            ),
        ],
        "model",
    )
    rest = controls[sorted(alone - {"generated"})].assign_coords(train_size=sizes)
    return xr.merge([models, trained[["generated"]], rest])


def analyse(config: NoveltyConfig, data: xr.Dataset, out: Path) -> Any:
    """The analysis of merged data, with the exact checks of the folder `out`."""
    from simulations.novelty.analysis import analyse

    return analyse(config, data, read_checks(read_dataset(out / "cells" / f"{CHECKS}.nc")))


STUDY = Study.of(
    config,
    title="Memorized, spurious and novel sequences",
    about=__doc__,
    presets={"smoke": "a minute", "small": "a quarter of an hour", "paper": "a cluster"},
    choices={"source": SOURCES, "model": MODELS},
    refused={
        "text": "a text has no known law to judge new sequences by; choose --source markov or iid."
    },
    folder=folder_name,
    merge=merge,
    analyse=analyse,
)

"""The random-feature denoiser, simulated and held against its theory at every place it speaks of.

    python -m simulations.random_features --preset smoke

Fits the denoiser exactly on many sets of K sequences, of independent tokens and of a chain, and
measures errors and token recovery over K, features and noise; the peak of few noise draws; training
time; and how what theory leaves out falls with the length. Writes data, a report and a figure to
results/random_features/<preset>/. Interrupted runs resume.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from simulations.random_features import config
from simulations.random_features.config import FeatureConfig, Point, make_cells, points
from simulations.study import Study
from simulations.sweep.run import load_cells


def merge(out: Path, config: FeatureConfig) -> xr.Dataset:
    """All cells as one dataset along `point`, in the order of `points`."""
    parts = load_cells(out, make_cells(config))
    found = xr.concat([part.drop_attrs(deep=False) for part in parts], "point", join="outer")
    columns = zip(*points(config), strict=True)
    names = {name: ("point", np.array(c)) for name, c in zip(Point._fields, columns, strict=True)}
    return found.assign(names)


STUDY = Study.of(
    config,
    title="The random-feature denoiser against its theory",
    about=__doc__,
    presets={"smoke": "less than a minute", "small": "five minutes on a core"},
    merge=merge,
)

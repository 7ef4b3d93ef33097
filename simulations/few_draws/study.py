"""Networks that see few noisy copies of each sequence: where is the peak of the held-out loss?

    python -m simulations.few_draws --preset smoke

Trains networks on n noisy copies of each of K sequences without structure, kept for the whole
training, and reads held-out loss and error over K. Places of the peak, K n, were predicted before
by the theory of random features and by counts of rows and weights, and are held against these.
Writes data, a report and a figure to results/few_draws/<preset>/. Interrupted runs resume, and a
run of more curves goes on from the cells of one of fewer in the same folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from simulations.few_draws import config
from simulations.few_draws.config import Curve, DrawsConfig, curve_cells, preset
from simulations.study import Study
from simulations.sweep.run import load_cells


def load(out: Path, config: DrawsConfig) -> dict[Curve, xr.Dataset]:
    """The data of every curve, dimensions seed, train_size, split, sample."""
    return {
        curve: xr.concat([_over_sizes(load_cells(out, row), curve) for row in seeds], "seed")
        for curve, seeds in curve_cells(config).items()
    }


def _over_sizes(cells: list[xr.Dataset], curve: Curve) -> xr.Dataset:
    sizes = xr.Variable("train_size", list(curve.train_sizes), {"units": "sequences"})
    return xr.concat([cell.drop_attrs(deep=False) for cell in cells], sizes)


def merge(out: Path, config: DrawsConfig) -> xr.Dataset:
    """All cells as one dataset: curves along a dimension, K as a numbered rung (NaN, and K of -1,
    fill the shorter curves)."""
    parts = [
        data.assign(sizes=("train_size", data["train_size"].values.astype(np.int32)))
        .drop_vars("train_size")
        .rename_dims(train_size="rung")
        .assign_coords(rung=range(data.sizes["train_size"]))
        for data in load(out, config).values()
    ]
    names = xr.Variable("curve", [Curve(*words).name for words in config.curves])
    fill: Any = {"sizes": -1}
    return xr.concat(parts, names, join="outer", fill_value=fill)


def analyse(config: DrawsConfig, data: xr.Dataset, out: Path) -> Any:
    """The analysis, from the cells in the folder `out`."""
    from simulations.few_draws.analysis import analyse

    return analyse(config, load(out, config))


STUDY = Study.of(
    config,
    title="Networks that see few noisy copies of each sequence",
    about=__doc__,
    presets={"smoke": "a minute", "small": "a quarter of an hour", "paper": "an hour"},
    preset=preset,
    identity=DrawsConfig.identity,
    merge=merge,
    analyse=analyse,
    checked=False,
)

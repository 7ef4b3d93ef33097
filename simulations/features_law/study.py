"""Does a theory of random features say where the transition of trained networks is?

    python -m simulations.features_law --preset small --predict-only
    python -m simulations.features_law --preset small
    python -m simulations.features_law --preset slower
    python -m simulations.features_law --preset batch

The first command measures the fitted part of a grid over width and training steps, fits the
theory's two constants and the rival laws to it, and writes the predictions for the part held back;
the second measures that part and holds it against the predictions. The others ask whether it is
the noise of steps that the theory misses: half the rate from width 512 on, or batches of 128 in
place of 32. Writes data, a table of predictions, a report and a figure to
results/features_law/<preset>/. Interrupted runs resume, and a run of more points goes on from the
cells of one of fewer in the same folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from simulations.features_law import config
from simulations.features_law.config import (
    FeaturesConfig,
    Point,
    Search,
    network_cells,
    preset,
    search_cells,
)
from simulations.study import Study
from simulations.sweep.run import load_cells


def load(out: Path, config: FeaturesConfig) -> tuple[dict[Point, xr.Dataset], dict[Search, float]]:
    """The data of every point, dimensions seed, train_size, split, sample, and the loss of every
    network of the search."""
    networks = {
        point: xr.concat([_over_sizes(load_cells(out, row), point) for row in seeds], "seed")
        for point, seeds in network_cells(config).items()
    }
    wanted = search_cells(config)
    losses = load_cells(out, wanted.values())
    return networks, {at: float(cell["loss"]) for at, cell in zip(wanted, losses, strict=True)}


def _over_sizes(cells: list[xr.Dataset], point: Point) -> xr.Dataset:
    sizes = xr.Variable("train_size", list(point.train_sizes), {"units": "sequences"})
    kept = {"loo_entropy": cells[0].attrs["loo_entropy"]}
    return xr.concat([cell.drop_attrs(deep=False) for cell in cells], sizes).assign_attrs(kept)


def merge(out: Path, config: FeaturesConfig) -> xr.Dataset:
    """All cells as one dataset: points along a dimension, K as a numbered rung (grids differ in
    length: -1 and NaN fill the shorter ones), the losses of the search beside them."""
    networks, losses = load(out, config)
    parts = [
        data.drop_attrs(deep=False)
        .assign(sizes=("train_size", data["train_size"].values.astype(np.int32)))
        .drop_vars("train_size")
        .rename_dims(train_size="rung")
        .assign_coords(rung=range(data.sizes["train_size"]))
        for data in networks.values()
    ]
    fill: Any = {v: -1 for v in parts[0].data_vars if parts[0][v].dtype.kind == "i"}
    names = xr.Variable("point", [point.name for point in networks])
    merged = xr.concat(parts, names, join="outer", fill_value=fill)
    widths, steps, sizes, rates = zip(*losses, strict=True)
    searched = {
        "search_width": (np.array(widths, np.int32), "1"),
        "search_steps": (np.array(steps, np.int32), "optimizer steps"),
        "search_size": (np.array(sizes, np.int32), "sequences"),
        "search_rate": (np.array(rates), "1"),
        "search_loss": (np.array(list(losses.values())), "nats per token"),
    }
    return merged.assign({k: ("search", v, {"units": unit}) for k, (v, unit) in searched.items()})


def analyse(config: FeaturesConfig, data: xr.Dataset, out: Path) -> Any:
    """The analysis, from the cells in the folder `out`."""
    from simulations.features_law.analysis import analyse

    return analyse(config, *load(out, config))


STUDY = Study.of(
    config,
    title="Transition sizes of trained networks against the theory of random features",
    about=__doc__,
    presets={
        "smoke": "a minute",
        "small": "half an hour",
        "slower": "half an hour",
        "batch": "half an hour",
        "paper": "hours",
    },
    preset=preset,
    identity=FeaturesConfig.identity,
    merge=merge,
    analyse=analyse,
    checked=False,
)

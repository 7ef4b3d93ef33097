"""Where the transition sits, and why: the laws of K* as hypotheses with verdicts.

    python -m simulations.scaling --preset small

Measures the transition size K* of trained networks against their parameters and training steps,
on a source with nothing to learn and on one with structure, and that of the linear denoiser
against L (V - 1). K* is K_M, where memory is lost, and K_G, where the law is found, between the
optimal memorizer and the exact law, with the older K_half and K_H beside them. `medium` adds the
depth and rules of random hierarchies and the number of noise draws. Writes data, a table of laws
with verdicts and a figure to results/scaling/<preset>/.
Interrupted runs resume, and a larger preset goes on from the cells of a smaller one in the same
folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from simulations.linear_curves.config import Case, case_name
from simulations.scaling import config
from simulations.scaling.config import Condition, ScalingConfig, linear_cells, network_cells
from simulations.scaling.presets import preset
from simulations.study import Study
from simulations.sweep.run import load_cells


def load(
    out: Path, config: ScalingConfig
) -> tuple[dict[Condition, list[xr.Dataset]], dict[Case, xr.Dataset]]:
    """The datasets of every condition, one a seed, and of every case of the linear denoiser."""
    networks = {c: load_cells(out, cells) for c, cells in network_cells(config).items()}
    cases = linear_cells(config)
    return networks, dict(zip(cases, load_cells(out, cases.values()), strict=True))


def merge(out: Path, config: ScalingConfig) -> xr.Dataset:
    """All cells as one dataset: conditions and seeds along dimensions, K as a numbered point
    (grids differ in length: -1 and NaN fill the shorter ones), linear cases beside them."""
    networks, linear = load(out, config)
    parts = [
        xr.concat([_numbered(cell) for cell in seeds], xr.Variable("seed", range(len(seeds))))
        for seeds in networks.values()
    ]
    name = xr.Variable("condition", [condition.name for condition in networks])
    fill: Any = {v: -1 for v in parts[0].data_vars if parts[0][v].dtype.kind == "i"}
    merged = xr.concat(parts, name, join="outer", fill_value=fill)
    cases = [cell.drop_attrs(deep=False) for cell in linear.values()]
    table = xr.concat(cases, xr.Variable("case", [case_name(case) for case in linear]))
    renamed = {v: f"linear_{v}" for v in (*table.data_vars,)}
    return xr.merge([merged, table.rename(renamed)], join="outer")


def _numbered(cell: xr.Dataset) -> xr.Dataset:
    sizes = cell["train_size"].values
    part = cell.drop_attrs(deep=False).drop_vars("train_size").rename_dims(train_size="point")
    numbers: dict[str, Any] = {"n_parameters": np.int64(cell.attrs["n_parameters"])}
    for key in ("source_entropy", "loo_entropy"):
        numbers[key] = np.float64(cell.attrs[key])
    return (
        part.assign(numbers)
        .assign(train_size=("point", sizes.astype(np.int32), {"units": "sequences"}))
        .assign_coords(point=np.arange(len(sizes)))
    )


def analyse(config: ScalingConfig, data: xr.Dataset, out: Path) -> Any:
    """The analysis, from the cells in the folder `out`: they hold what `data` has no room for."""
    from simulations.scaling.analysis import analyse

    return analyse(config, *load(out, config))


STUDY = Study.of(
    config,
    title="Transition sizes against parameters, steps, structure and noise draws",
    about=__doc__,
    presets={
        "smoke": "a minute",
        "small": "under half an hour",
        "medium": "hours",
        "paper": "clusters",
    },
    preset=preset,
    identity=ScalingConfig.identity,
    merge=merge,
    analyse=analyse,
    checked=False,
)

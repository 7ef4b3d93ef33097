"""How sharp is the passage from memory to law: its width against length, vocabulary, network, time.

    python -m simulations.sharpness --preset smoke

Measures over how many decades of K the order parameters M and G pass from 0.9 to 0.1, for the
optimal memorizer and the linear denoiser (closed form and simulated), the pseudo-likelihood memory
and the separability of its rows, and trained networks; fits how the width goes with L and V, and
tries to put the curves on one over K / (L^a V^b). Writes data, a report and a figure to
results/sharpness/<preset>/. Interrupted runs resume, and a run of more cases, networks or seeds
goes on from the cells of one of fewer in the same folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from simulations.sharpness import config
from simulations.sharpness.config import SharpnessConfig, case_cells, network_cells
from simulations.study import Study
from simulations.sweep.run import load_cells

SHARED = ("load", "ridge")  # dimensions that are alike in all cases


def load(out: Path, config: SharpnessConfig) -> dict[str, list[xr.Dataset]]:
    """The cells of every kind in order; of every network one dataset, dimensions seed, train_size,
    split, sample."""
    found = {kind: load_cells(out, cells) for kind, cells in case_cells(config).items()}
    sizes = xr.Variable("train_size", list(config.train_sizes), {"units": "sequences"})
    for network, seeds in network_cells(config).items():
        rows = [
            xr.concat([c.drop_attrs(deep=False) for c in load_cells(out, row)], sizes)
            for row in seeds
        ]
        found[network.name] = [xr.concat(rows, "seed")]
    return found


def merge(out: Path, config: SharpnessConfig) -> xr.Dataset:
    """All cells as one dataset: variables named after their kind (and case, where these differ in
    the sizes K), those of networks along a dimension `network`."""
    cells = load(out, config)
    parts: list[xr.Dataset] = []
    for kind, named in case_cells(config).items():
        for cell, data in zip(named, cells[kind], strict=True):
            own = {dim: f"{cell.name}_{dim}" for dim in data.dims if dim not in SHARED}
            bare = data.drop_attrs(deep=False).rename(own)
            parts.append(bare.rename({v: f"{cell.name}_{v}" for v in bare.data_vars}))
    networks = [name for name in cells if name not in case_cells(config)]
    axis = xr.Variable("network", networks, {"units": "1"})
    parts.append(xr.concat([cells[name][0] for name in networks], axis))
    return xr.merge(parts)


def analyse(config: SharpnessConfig, data: xr.Dataset, out: Path) -> Any:
    """The analysis, from the cells in the folder `out`."""
    from simulations.sharpness.analysis import analyse

    return analyse(config, load(out, config))


STUDY = Study.of(
    config,
    title="How sharp the passage from memory to law is",
    about=__doc__,
    presets={"smoke": "a minute", "small": "under 45 minutes", "medium": "hours"},
    identity=SharpnessConfig.identity,
    merge=merge,
    analyse=analyse,
)

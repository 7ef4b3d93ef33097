"""The tail of the transition from one network: its curvature against its measured gap.

    python -m simulations.curvature --preset smoke

Fits a linear denoiser, pairwise conditional laws, MLPs and a transformer to K sequences for
several K, measures the gap of the loss between unseen and stored sequences at every noise level,
and holds K times the gap against the effective dimension tr(C H^-1) that the gradients and the
curvature of each model of the largest K give; of networks also against gaps at larger K. Writes
data, a report and a figure to results/curvature/<preset>/. Interrupted runs resume.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from simulations.curvature import config
from simulations.curvature.config import FILTERS, CurvatureConfig, make_cells, system_name
from simulations.study import Study
from simulations.sweep.run import load_cells


def merge(out: Path, config: CurvatureConfig) -> xr.Dataset:
    """All cells as one dataset: gaps over (system, train_size, seed, level), dimensions over
    (system, train_size, network, level, filter, iterations, block), NaN where not asked for."""
    cells = make_cells(config)
    parts = [cell.drop_attrs(deep=False) for cell in load_cells(out, cells)]
    shape = (len(config.systems), len(config.train_sizes), config.seeds)
    gaps = np.stack([part["gap"].values for part in parts])
    replicates = np.stack([part["gap_replicates"].values for part in parts])
    found = [part["dimension"] for part in parts if "dimension" in part]
    none = np.full(found[0].shape, np.nan)
    dimensions = np.stack([part["dimension"] if "dimension" in part else none for part in parts])
    first = parts[0]["gap"].attrs, found[0].attrs
    axes = ("system", "train_size", "seed")
    return xr.Dataset(
        {
            "gap": ((*axes, "level"), gaps.reshape(*shape, -1), first[0]),
            "gap_replicates": (
                (*axes, "replicate", "level"),
                replicates.reshape(*shape, *replicates.shape[1:]),
                first[0],
            ),
            "dimension": (
                ("system", "train_size", "network", *found[0].dims),
                dimensions.reshape(*shape, *none.shape)[:, :, : config.networks],
                first[1],
            ),
        },
        {
            "system": [system_name(system) for system in config.systems],
            "train_size": ("train_size", list(config.train_sizes), {"units": "sequences"}),
            "level": ("level", list(config.levels), {"units": "1"}),
            "filter": list(FILTERS),
            "iterations": [config.lanczos_steps // 2, config.lanczos_steps],
        },
    )


STUDY = Study.of(
    config,
    title="The tail of the transition: curvature against measured gaps",
    about=__doc__,
    presets={"smoke": "a minute", "small": "ten minutes", "transformer": "ten minutes"},
    merge=merge,
)

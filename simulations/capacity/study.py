"""How many patterns each memory holds: retrieval against load, and critical loads with intervals.

    python -m simulations.capacity --preset smoke

Starts from stored patterns of Hopfield, Potts and dense memories and carries the load at which
half of them are lost on to infinite size; looks for couplings that hold all patterns, against
Cover's exact count; fits pseudo-likelihood memories; stores structured examples. Writes data, a
report and a figure to results/capacity/<preset>/. Interrupted runs resume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from simulations.capacity import config
from simulations.capacity.config import SIZES, CapacityConfig, cells_of
from simulations.study import Study
from simulations.sweep.run import load_cells


def merge(out: Path, config: CapacityConfig) -> xr.Dataset:
    """All cells as one dataset; variables and dimensions of a kind carry its name in front."""
    parts = []
    for kind in (*SIZES, "features"):
        cells = load_cells(out, cells_of(config, kind))
        found = [cell.drop_attrs(deep=False) for cell in cells]
        axis = xr.Variable(f"{kind}_size", list(config.sizes(kind)), {"units": "sites"})
        joined = found[0] if kind == "features" else xr.concat(found, axis)
        parts.append(joined.rename({name: f"{kind}_{name}" for name in joined.data_vars}))
    units = {
        "load": "of the critical load",
        "dense_load": "of the critical load",
        "fit_load": "patterns per site",
        "feature_load": "examples per site",
    }
    coordinates: dict[str, Any] = {
        name: (name, list(getattr(config, f"{name}s")), {"units": words})
        for name, words in units.items()
    }
    kinds = {"kind": ["stored", "feature", "unseen"], "stage": ["one step", "fixed point"]}
    return xr.merge(parts).assign_coords(coordinates | kinds)


STUDY = Study.of(
    config,
    title="Retrieval against load, and critical loads",
    about=__doc__,
    presets={"smoke": "half a minute", "small": "minutes"},
    merge=merge,
)

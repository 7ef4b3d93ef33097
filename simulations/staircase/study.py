"""The staircase: what a kernel on tokens learns at which K and when, and what networks do of it.

    python -m simulations.staircase --preset smoke

Fits kernel regression, and denoisers in all functions of a few tokens, to K sequences; trains MLPs
on functions of one, two and three tokens and on stored sequences: their readout alone, all weights
by gradient descent, all by Adam; and holds sizes and times against what follows from the kernel of
the network before training. Writes data, a report and a figure to results/staircase/<preset>/.
Interrupted runs resume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from simulations.staircase import config
from simulations.staircase.config import DEGREES, METHODS, StaircaseConfig, cells_of
from simulations.study import Study
from simulations.sweep.run import load_cells


def merge(out: Path, config: StaircaseConfig) -> xr.Dataset:
    """All cells as one dataset, variables named after their kind of cell. Readings differ in number
    between cells; NaN fills up."""
    axes: dict[str, dict[str, Any]] = {
        "regression": {"set": range(config.sets)},
        "orders": {"order": config.orders, "length": config.lengths},
        "degrees": {"method": METHODS, "width": config.widths},
        "memory": {"method": METHODS, "width": config.widths},
    }
    found = xr.Dataset()
    for kind, names in axes.items():
        cells = [cell.drop_attrs(deep=False) for cell in load_cells(out, cells_of(config, kind))]
        parts = [cell["error"].values for cell in cells]
        shape = np.max([part.shape for part in parts], axis=0)
        table = np.full((len(parts), *shape), np.nan)
        for row, part in zip(table, parts, strict=True):
            row[tuple(map(slice, part.shape))] = part
        dims = [f"reading_{kind}" if d == "reading" else str(d) for d in cells[0]["error"].dims]
        whole = table.reshape(*map(len, names.values()), *shape)
        found[f"{kind}_error"] = ([*names, *dims], whole, cells[0]["error"].attrs)
        found = found.assign_coords(
            {name: (name, list(values), {"units": "1"}) for name, values in names.items()}
        )
    return found.assign_coords(
        degree=list(DEGREES),
        split=["train", "test"],
        size=list(config.sizes),
        train_size=list(config.train_sizes),
    )


STUDY = Study.of(
    config,
    title="The staircase of degrees: kernels on tokens against regression and networks",
    about=__doc__,
    presets={"smoke": "less than a minute", "small": "ten minutes on two cores"},
    merge=merge,
)

"""Basins of attraction of every kind of associative memory, against the Shannon limit.

    python -m simulations.basins --preset smoke
    python -m simulations.basins --check

Stores K random sequences in each memory, corrupts stored ones by the token channel, lets the
memory restore them, and reads off the noise level up to which it does; two panels, V = 2 and
V = 8. Then the same with tokens erased, against the exact bound of erasures. Writes data, a report
and two figures to results/basins/<preset>/. Interrupted runs resume.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from simulations.basins import config
from simulations.basins.config import MEMORIES, PLACE, Config, make_cells
from simulations.console.later import Later
from simulations.study import Study
from simulations.sweep.run import load_cells


def merge(out: Path, config: Config) -> xr.Dataset:
    """All cells as one dataset with dimensions (point, corruption, sample)."""
    cells = make_cells(config)
    parts = []
    for cell, found in zip(cells, load_cells(out, cells), strict=True):
        place = {name: cell.coordinates[name] for name in PLACE}
        seconds = ((), found.attrs["wall_time_s"], {"units": "s"})
        part = found.drop_attrs(deep=False).assign_coords(place).assign(cell_seconds=seconds)
        parts += [part.isel(memory=m) for m in range(part.sizes["memory"])]
    order = {memory.name: i for i, memory in enumerate(MEMORIES)}
    parts.sort(key=lambda p: (int(p["vocab_size"]), order[str(p["memory"].values)]))
    return xr.concat(parts, "point", data_vars="all", coords="different", compat="equals")


STUDY = Study.of(
    config,
    title="Basins of attraction of associative memories",
    about=__doc__,
    presets={"smoke": "a minute", "small": "minutes"},
    numerics={"numerics": config.NUMERICS},
    merge=merge,
    figures={"erasures": Later("simulations.basins.figure", "draw_erasures")},
)

"""Is the transition a property of uniform noise? The main job under three channels, side by side.

    python -m simulations.channels --preset smoke

Trains the same networks on the same sequences under uniform, hybrid and absorbing (masked) noise,
measures each beside its own exact ends, and compares at equal information I(x_0; x_t): the sizes
K_M and K_G, entropies at t -> 0, fixed points, and what theory says of the order of the channels.
Writes data, a report and a figure to results/channels/<preset>/. Interrupted runs resume.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from simulations.channels import config
from simulations.channels.config import CHANNELS, Config, make_cells
from simulations.study import Study
from simulations.sweep.run import load_cells
from simulations.trained import over_seeds


def merge(out: Path, config: Config) -> xr.Dataset:
    """The training cells as one dataset, dimensions channel, train_size and seed in front."""
    cells = [cell for cell in make_cells(config) if cell.coordinates["kind"] == "train"]
    parts = []
    for channel in CHANNELS:
        rows = []
        for size in config.train_sizes:
            wanted = {"kind": "train", "channel": channel, "train_size": size}
            mine = [cell for cell in cells if wanted.items() <= cell.coordinates.items()]
            rows.append(over_seeds(load_cells(out, mine)))
        sizes = xr.Variable("train_size", list(config.train_sizes), {"units": "sequences"})
        parts.append(xr.concat(rows, sizes))
    return xr.concat(parts, xr.Variable("channel", list(CHANNELS)))


STUDY = Study.of(
    config,
    title="The transition under uniform, hybrid and absorbing noise",
    about=__doc__,
    presets={"smoke": "a minute or two", "small": "a quarter of an hour", "paper": "days"},
    merge=merge,
)

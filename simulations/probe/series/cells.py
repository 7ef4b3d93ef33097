"""What is measured of one checkpoint: the readings of every split, per sequence.

Sequences and noise are the same for all checkpoints, so that what differs is the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.denoiser import Denoiser
from models.sampler import generate
from models.streams import stream
from models.training.readings import ROWS, Reading, read
from models.training.sequences import copies_of
from simulations.probe.series.config import SeriesConfig

Ids = NDArray[np.integer[Any]]

NAMES = {"train": "train", "heldout": "held-out", "generated": "generated"}


def compute(
    denoiser: Denoiser, config: SeriesConfig, given: dict[str, Ids], step: int | None
) -> xr.Dataset:
    """The fields of `models.training.readings.Reading` as `<field>_<split>` (split, t), and the
    attribute step, -1 where it is not known.

    given : sequences (n, L) of train and heldout, of which `sequences` are drawn; of fewer there
    are noisy copies."""
    tokens = {name: some(config, name, rows) for name, rows in given.items()}
    if config.generate:
        tokens["generated"] = _generated(denoiser, config, next(iter(given.values())).shape[1])
    copies = copies_of(min(len(tokens[name]) for name in given), config.sequences)
    columns: dict[str, Any] = {}
    for name, rows in tokens.items():
        rng = stream(config.root_seed, "readings", name)
        found = read(denoiser, rows, config.all_levels, rng, copies)
        for field, values in zip(Reading._fields, found, strict=True):
            columns[f"{field}_{name}"] = ((name, "t"), values)
    part = xr.Dataset(columns, coords={"t": list(config.all_levels)})
    return part.assign_attrs(step=-1 if step is None else step)


def some(config: SeriesConfig, name: str, rows: Ids) -> Ids:
    """The first rows of a split after a shuffle."""
    order = stream(config.root_seed, "rows", name).permutation(len(rows))
    return rows[order[: config.sequences]]


def reading(part: xr.Dataset, name: str) -> Reading:
    """The readings of a split of a part."""
    return Reading(*(part[f"{field}_{name}"].values for field in Reading._fields))


def _generated(denoiser: Denoiser, config: SeriesConfig, seq_len: int) -> Ids:
    """Sequences from pure noise, in blocks of one shape."""
    blocks = []
    for block in range(-(-config.generate // ROWS)):
        rng = stream(config.root_seed, "generate", block)
        blocks.append(generate(denoiser, rng, ROWS, seq_len, config.n_steps))
    return np.concatenate(blocks)[: config.generate]

"""A point of a sweep: what is computed at once and kept in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr


@dataclass(frozen=True)
class Cell:
    """One point of a sweep: `name` is the stem of its file, `coordinates` go to the computation.

    Coordinates are what JSON can hold: numbers, strings, booleans, None, lists of these. `gpu` asks
    for a worker with a GPU.
    """

    name: str
    coordinates: dict[str, Any]
    gpu: bool = False


def coordinates_text(coordinates: Mapping[str, Any]) -> str:
    """Return the coordinates of a cell as JSON, keys sorted. Raises TypeError if JSON cannot."""
    return json.dumps(coordinates, sort_keys=True)


def unfilled(
    schema: Iterable[tuple[str, str, Any, str, str]], coords: Mapping[str, Any], **sizes: int
) -> xr.Dataset:
    """A dataset for a cell to fill: NaN in reals, -1 in integers, 0 in unsigned ones.

    schema : of each variable its name, dimensions in one string, dtype, units and long name.
    coords : as xarray takes them. sizes : of the dimensions without coordinates.

    >>> found = unfilled([("broken", "t sample", "i2", "tokens", "")], {"t": [0.1]}, sample=2)
    >>> found["broken"].values
    array([[-1, -1]], dtype=int16)
    """
    lengths: dict[Any, int] = {**xr.Dataset(coords=coords).sizes, **sizes}
    variables = {}
    for name, words, dtype, units, long_name in schema:
        dims, kind = words.split(), np.dtype(dtype).kind
        fill = np.nan if kind == "f" else 0 if kind == "u" else -1
        values = np.full([lengths[d] for d in dims], fill, dtype)
        variables[name] = (dims, values, {"units": units, "long_name": long_name})
    return xr.Dataset(variables, coords)

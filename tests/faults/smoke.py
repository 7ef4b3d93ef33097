"""The main job, each of whose cells is noted when it begins:
`python -m tests.faults.smoke OPTIONS`."""

from __future__ import annotations

import dataclasses
from typing import Any

import xarray as xr

from simulations.phase.study import STUDY
from tests.faults import stub


def noted(config: Any, coordinates: dict[str, Any]) -> xr.Dataset:
    """A cell of the main job."""
    stub.note(name(coordinates))
    return STUDY.compute(config, coordinates)


def name(coordinates: dict[str, Any]) -> str:
    """The cell's name in the smoke preset."""
    if coordinates["kind"] == "train":
        return f"K{coordinates['train_size']:04d}-seed{coordinates['seed']}"
    return str(coordinates["kind"])


if __name__ == "__main__":
    # not `noted` of this module, which workers would look for in a module of another name
    from tests.faults import smoke

    dataclasses.replace(STUDY, compute=smoke.noted).main()

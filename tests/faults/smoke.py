"""The main job, each of whose cells is noted when it begins: `python -m faults.smoke OPTIONS`."""

from __future__ import annotations

from typing import Any

import xarray as xr

from simulations.console import command
from simulations.phase import study as phase_diagram
from tests.faults import stub

_compute = phase_diagram.compute_cell


def noted(config: Any, text: Any, coordinates: dict[str, Any]) -> xr.Dataset:
    """A cell of the main job."""
    stub.note(name(coordinates))
    return _compute(config, text, coordinates)


def name(coordinates: dict[str, Any]) -> str:
    """The cell's name in the smoke preset."""
    if coordinates["kind"] == "train":
        return f"K{coordinates['train_size']:04d}-seed{coordinates['seed']}"
    return str(coordinates["kind"])


if __name__ == "__main__":
    from tests.faults import smoke

    phase_diagram.compute_cell = smoke.noted
    command.entry(
        phase_diagram.PROGRAM,
        lambda words, console: phase_diagram.run(phase_diagram.parse(words), console),
    )

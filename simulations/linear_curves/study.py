"""The linear denoiser, simulated and held against its theory: a transition that is solved.

    python -m simulations.linear_curves --preset smoke

Fits the denoiser exactly on many sets of K random sequences and measures train and test errors
and token recovery over x = K / (L (V - 1)), fits to drawn noise (double descent), and training
time. Writes data, a report and a figure to results/linear_curves/<preset>/. Interrupted runs
resume.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from simulations.linear_curves import config
from simulations.linear_curves.config import LinearConfig, case_name, make_cells
from simulations.study import Study
from simulations.sweep.run import load_cells


def merge(out: Path, config: LinearConfig) -> xr.Dataset:
    """All cells as one dataset: cases, ridges and sizes over time, each along its dimension."""
    cells = make_cells(config)
    parts = []
    for kind, name, units, values in (
        ("curves", "case", "1", [case_name(case) for case in config.cases]),
        ("draws", "ridge", "1", list(config.ridges)),
        ("flow", "flow_size", "sequences", list(config.flow_sizes)),
    ):
        mine = load_cells(out, [cell for cell in cells if cell.coordinates["kind"] == kind])
        axis = xr.Variable(name, values, {"units": units})
        parts.append(xr.concat([cell.drop_attrs(deep=False) for cell in mine], axis))
    words = {"vocab_size": "tokens", "seq_len": "tokens", "alpha": "probability"}
    columns = zip(words, zip(*config.cases, strict=True), strict=True)
    return xr.merge(parts).assign(
        {name: ("case", np.array(values), {"units": words[name]}) for name, values in columns}
    )


STUDY = Study.of(
    config,
    title="Train and test curves of the linear denoiser",
    about=__doc__,
    presets={"smoke": "half a minute", "small": "minutes"},
    numerics={"linear": config.NUMERICS},
    merge=merge,
)

"""Rows of conditional likelihood held against their theory, and where their entropy drops.

    python -m simulations.rows --preset smoke

Trains rows of two tokens under fresh noise; finds by linear programs how many random sequences
rows can put right; fits pseudo-likelihood memories at weak ridges, whose entropy on training
sequences should drop where their rows stop being separable. Writes data, a report and a figure to
results/rows/<preset>/. Interrupted runs resume.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from simulations.rows import config
from simulations.rows.config import RowsConfig, case_name, make_cells, trainings
from simulations.study import Study
from simulations.sweep.run import load_cells


def merge(out: Path, config: RowsConfig) -> xr.Dataset:
    """All cells as one dataset, variables named after their kind of cell."""
    parts = []
    for kind, name, values in (
        ("training", "size", list(config.sizes)),
        ("separable", "separable_case", [case_name(case) for case in config.separable]),
        ("chains", "flip", list(config.chains)),
        ("memories", "case", [case_name(case) for case in config.memories]),
        (
            "networks",
            "network",
            [f"{n} {kind}" for n in config.networks for kind in trainings(config)],
        ),
        ("theory", "vocab_size", list(config.vocabularies)),
    ):
        mine = load_cells(
            out, [cell for cell in make_cells(config) if cell.coordinates["kind"] == kind]
        )
        axis = xr.Variable(name, values, {"units": "1"})
        whole = xr.concat([cell.drop_attrs(deep=False) for cell in mine], axis)
        if kind == "networks":  # their loads and sets are their own
            whole = whole.rename(load="network_load", set="network_set")
        parts.append(whole.rename({v: f"{kind}_{v}" for v in whole.data_vars}))
    return xr.merge(parts)


STUDY = Study.of(
    config,
    title="Rows of conditional likelihood against their theory",
    about=__doc__,
    presets={"smoke": "a minute and a half", "small": "minutes", "medium": "an hour or more"},
    numerics={"rows": config.NUMERICS},
    merge=merge,
)

"""Pictures of the theory alone, and the arrays behind them.

    python -m simulations.theory phase-diagram --out results/theory

Writes NAME.nc (the arrays, with provenance), NAME.png and NAME.pdf.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from simulations.console.command import refuse
from simulations.results.files import ResultsError, prepare_folder, write_dataset
from simulations.results.provenance import provenance
from simulations.theory.curves import CURVES
from simulations.theory.figure import draw_theory


@dataclass(frozen=True)
class Arguments:
    """Draw one picture of the theory and save its arrays.

    Args:
        name: phase-diagram (Hopfield, temperature against load), capacity (of every family),
            basins (radius against load), linear (train and held-out curves with K*).
        out: folder for NAME.nc, NAME.png and NAME.pdf.
    """

    name: tyro.conf.Positional[Literal["phase-diagram", "capacity", "basins", "linear"]]
    out: Path = Path("results/theory")


def main() -> None:
    """Entry point of the command."""
    arguments = tyro.cli(Arguments, description=__doc__)
    stem = arguments.out / arguments.name
    try:
        prepare_folder(arguments.out)
        with np.errstate(all="raise", under="ignore"):
            data = CURVES[arguments.name]()
        write_dataset(data.assign_attrs(provenance()), stem.with_suffix(".nc"))
        draw_theory(arguments.name, data, stem)
    except ResultsError as error:
        refuse("theory", str(error))
    print(f"Arrays and figure: {stem}.nc, .png, .pdf")

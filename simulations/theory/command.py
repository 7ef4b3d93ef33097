"""Pictures of the theory alone, and the arrays behind them.

    python -m simulations.theory phase-diagram --out results/theory

Writes NAME.nc (the arrays, with provenance), NAME.png and NAME.pdf.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
import tyro
from rich.console import Console

from simulations.console.command import entry, say
from simulations.plots import save
from simulations.results.files import prepare_folder, write_dataset
from simulations.results.provenance import provenance
from simulations.theory.curves import CURVES
from simulations.theory.figure import DRAW


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


def run(words: list[str], console: Console) -> int:
    """Run the command of these words; returns the exit status."""
    arguments = tyro.cli(Arguments, args=words, description=__doc__)
    stem = arguments.out / arguments.name
    prepare_folder(arguments.out)
    with np.errstate(all="raise", under="ignore"):
        data = CURVES[arguments.name]()
    write_dataset(data.assign_attrs(provenance()), stem.with_suffix(".nc"))
    save(DRAW[arguments.name](data), stem)
    say(console, f"Arrays and figure: {stem}.nc, .png, .pdf")
    return 0


def main() -> NoReturn:
    """The command."""
    entry("theory", run)

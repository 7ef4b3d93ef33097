"""What the laws, fitted to one part of the grid, say of the part that is held back.

Intervals are by bootstrap: in every replicate each fitted point takes the residual of another one,
with its seeds drawn again, so that both the scatter of seeds and what the law itself misses go
into the constants; a prediction adds one more such residual, as the measured value has one too.

`predictions.csv` beside this module was written and committed before the part held back of the
preset `small` was measured. A run that measures these points is held against that file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulations.features_law.config import Point
from simulations.features_law.laws import LAWS, Grid, LawOfSize

Floats = NDArray[np.float64]
COMMITTED = Path(__file__).with_name("predictions.csv")
HEADER = ("law", "point", "K_half", "low", "high", "deviation")


@dataclass(frozen=True)
class Fit:
    """A law on the fitted part: its constants with replicates (R, constants), the residuals of
    ln K_half (points, seeds) and their root mean square of points, with the constants taken off
    its degrees of freedom."""

    law: LawOfSize
    constants: Floats
    replicates: Floats
    residuals: Floats
    deviation: float

    @property
    def rms(self) -> float:
        """Of ln K on the fitted points, as it is."""
        return float(np.sqrt(np.mean(self.residuals.mean(1) ** 2)))


@dataclass(frozen=True)
class Prediction:
    """K_half of a point by a law, with its 95 % interval and standard deviation of ln K."""

    value: float
    low: float
    high: float
    deviation: float


def fit_law(
    law: LawOfSize, grid: Grid, logs: Floats, replicates: int, rng: np.random.Generator
) -> Fit:
    """Fit a law to ln K_half by seed (points, seeds), with its bootstrap."""
    n = len(logs)
    constants = law.fit(grid, logs.mean(1))
    fitted = law.log_size(constants, grid)
    residuals = logs - fitted[:, None]
    drawn = [
        law.fit(grid, fitted + draw_residuals(rng, residuals, len(constants), n))
        for _ in range(replicates)
    ]
    free = max(n - len(constants), 1)
    deviation = float(np.sqrt((residuals.mean(1) ** 2).sum() / free))
    return Fit(law, constants, np.array(drawn), residuals, deviation)


def draw_residuals(
    rng: np.random.Generator, residuals: Floats, constants: int, count: int
) -> Floats:
    """Means over seeds drawn again of the residuals (points, seeds) of points drawn at random,
    (count,), widened for the degrees of freedom that the constants took."""
    n, seeds = residuals.shape
    rows = rng.integers(n, size=(count, 1))
    chosen = residuals[rows, rng.integers(seeds, size=(count, seeds))].mean(1)
    return np.asarray(chosen * np.sqrt(n / max(n - constants, 1)))


def predict(fit: Fit, grid: Grid, rng: np.random.Generator) -> list[Prediction]:
    """K_half of every point of a grid."""
    middle = fit.law.log_size(fit.constants, grid)
    residuals, taken = fit.residuals, len(fit.constants)
    spread = np.array(
        [
            fit.law.log_size(constants, grid)
            + draw_residuals(rng, residuals, taken, len(grid.width))
            for constants in fit.replicates
        ]
    )
    low, high = np.percentile(spread, [2.5, 97.5], axis=0)
    deviations = spread.std(0)
    return [
        Prediction(*(float(x) for x in (*np.exp((m, a, b)), sd)))
        for m, a, b, sd in zip(middle, low, high, deviations, strict=True)
    ]


Table = dict[tuple[str, str], Prediction]


def to_csv(table: Table) -> str:
    """Predictions by law and name of the point, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for (law, name), one in table.items():
        sizes = [f"{value:.1f}" for value in (one.value, one.low, one.high)]
        writer.writerow([law, name, *sizes, f"{one.deviation:.4f}"])
    return text.getvalue()


def committed(points: Sequence[Point], path: Path = COMMITTED) -> Table | None:
    """The predictions that were written before, where the file has every law at every point."""
    if not path.exists():
        return None
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {
        (row["law"], row["point"]): Prediction(*(float(row[name]) for name in HEADER[2:]))
        for row in rows
    }
    wanted = [(law, point.name) for law in LAWS for point in points]
    return {at: found[at] for at in wanted} if all(at in found for at in wanted) else None

"""Means of independent values with their intervals, and lines through them to infinite length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from simulations.rows.config import Case, dimension

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Half of the interval."""
        return (self.high - self.low) / 2

    def over(self, scale: float) -> Mean:
        return Mean(self.value / scale, self.low / scale, self.high / scale)


def mean_of(values: Any) -> Mean:
    """Mean of independent values with its interval; none where a value is missing."""
    found = np.asarray(values, dtype=float)
    half = student.ppf(0.975, found.size - 1) * found.std(ddof=1) / np.sqrt(found.size)
    return Mean(float(found.mean()), float(found.mean() - half), float(found.mean() + half))


def alike_means(rows: Sequence[Floats]) -> list[Mean]:
    """Means of rows of independent values that spread alike, with intervals from the spread of all
    together: a few values of each serve.

    >>> [round(mean.error, 3) for mean in alike_means([np.array([1.0, 3.0]), np.array([0.0, 2.0])])]
    [4.303, 4.303]
    """
    count = len(rows[0])
    spread = np.sqrt(np.mean([row.var(ddof=1) for row in rows]))
    half = float(student.ppf(0.975, len(rows) * (count - 1)) * spread / np.sqrt(count))
    return [Mean(float(m), float(m) - half, float(m) + half) for m in map(np.mean, rows)]


def on_a_line(means: list[Mean], cases: list[Case]) -> Mean:
    """Means of cases of one V on a line in 1 / (L - 1), at its end 0."""
    columns = np.stack([np.ones(len(cases)), [1 / (case[1] - 1) for case in cases]], axis=1)
    return constant_of(means, np.sqrt([dimension(case) for case in cases]), columns)


def constant_of(means: list[Mean], weights: Floats, columns: Floats) -> Mean:
    """The first coefficient of a weighted fit; NaN where there are fewer means than columns.

    The weights are not made of the means' own errors, which fall with the means.
    """
    if len(means) < columns.shape[1]:
        return Mean(*(float("nan"),) * 3)
    first = np.linalg.pinv(columns * weights[:, None])[0] * weights
    value = float(first @ np.array([mean.value for mean in means]))
    half = float(np.sqrt(np.square(first * [mean.error for mean in means]).sum()))
    return Mean(value, value - half, value + half)

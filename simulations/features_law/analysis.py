"""From cells to transition sizes, fitted laws, predictions and what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.features_law.config import FeaturesConfig, Point, Search
from simulations.features_law.laws import HEADLINE, LAWS, Grid
from simulations.features_law.predictions import (
    Fit,
    Prediction,
    Table,
    committed,
    fit_law,
    predict,
)
from simulations.features_law.sizes import Scatter, Sizes, sizes_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A law on the part held back: rms of measured over predicted ln K with its interval, that of
    the rival less that of the theory, and the log-likelihood of the measured values. `bias` is the
    mean of ln measured / predicted."""

    law: str
    rms: float
    low: float
    high: float
    excess: float
    excess_low: float
    excess_high: float
    bias: float
    log_likelihood: float


@dataclass(frozen=True)
class FeaturesAnalysis:
    """Everything the report and the figure draw from. `table` holds the predictions that measured
    values are held against, `written_before` whether these were committed ones."""

    config: FeaturesConfig
    sizes: dict[Point, Sizes] = field(repr=False)
    scatter: Scatter
    fits: dict[str, Fit] = field(repr=False)
    table: Table = field(repr=False)
    written_before: bool
    scores: list[Score]
    losses: dict[Search, float]

    @property
    def held_back(self) -> list[Point]:
        """Points held back, measured or not."""
        return [Point(*words) for words in self.config.held_back]

    @property
    def judged(self) -> list[Point]:
        """Points held back whose K_half was measured by every seed."""
        there = [point for point in self.held_back if point in self.sizes]
        return [p for p in there if np.isfinite(self.sizes[p].log_half).all()]

    def interval(self, point: Point) -> tuple[float, float, float]:
        """K_half of a point with its interval."""
        return self.scatter.interval(self.sizes[point].log_half)


def fitted_points(config: FeaturesConfig, sizes: dict[Point, Sizes]) -> list[Point]:
    """Points of the fitted part, the iid ones, whose K_half is on the grid for every seed."""
    found = [Point(*words) for words in config.fitted]
    return [p for p in found if p.source == "iid" and np.isfinite(sizes[p].log_half).all()]


def predictions_of(config: FeaturesConfig, fits: dict[str, Fit], points: list[Point]) -> Table:
    """The predictions of every law at these points."""
    grid = Grid.of(config, points)
    table: Table = {}
    for name, fit in fits.items():
        rng = stream(config.root_seed, "predictions", name)
        found: list[Prediction] = predict(fit, grid, rng)
        table |= {(name, p.name): one for p, one in zip(points, found, strict=True)}
    return table


def scores_of(config: FeaturesConfig, table: Table, logs: dict[Point, Floats]) -> list[Score]:
    """How every law did at the points whose ln K_half by seed is given; bootstrap over points, the
    same draws for all laws: a point's own error holds the scatter of its seeds."""
    if not logs:
        return []
    measured = np.array([values.mean() for values in logs.values()])
    shape = (config.replicates, measured.size)
    rows = stream(config.root_seed, "scores").integers(measured.size, size=shape)

    def errors(law: str) -> tuple[Floats, Floats, float]:
        ours = [table[law, point.name] for point in logs]
        middle = np.log([one.value for one in ours])
        misses = measured - middle
        sd = np.array([one.deviation for one in ours])
        likelihood = -0.5 * ((misses / sd) ** 2 + np.log(2 * np.pi * sd**2)).sum()
        drawn = np.sqrt((misses[rows] ** 2).mean(1))
        return misses, drawn, float(likelihood)

    base, base_draws, _ = errors(HEADLINE)
    base_rms = float(np.sqrt(np.mean(base**2)))
    found = []
    for law in LAWS:
        misses, drawn, likelihood = errors(law)
        rms = float(np.sqrt(np.mean(misses**2)))
        ends = np.percentile(drawn, [2.5, 97.5])
        more = np.percentile(drawn - base_draws, [2.5, 97.5])
        numbers = (rms, *ends, rms - base_rms, *more, misses.mean(), likelihood)
        found.append(Score(law, *(float(x) for x in numbers)))
    return found


def is_the_predicted(config: FeaturesConfig) -> bool:
    """Whether the committed predictions are of such networks and sequences."""
    names = ("vocab_size", "seq_len", "rates", "training")
    usual = FeaturesConfig()
    same = all(getattr(config, name) == getattr(usual, name) for name in names)
    return same and not config.predict_only


def analyse(
    config: FeaturesConfig,
    networks: dict[Point, xr.Dataset],
    losses: dict[Search, float],
) -> FeaturesAnalysis:
    """Sizes of every point, laws fitted to the fitted part, predictions for the rest, scores."""
    sizes = {p: sizes_of(p, data, config.root_seed) for p, data in networks.items()}
    fitted = fitted_points(config, sizes)
    fits: dict[str, Fit] = {}
    if len(fitted) >= 4:
        grid = Grid.of(config, fitted)
        logs = np.array([sizes[p].log_half for p in fitted])
        fits = {
            name: fit_law(law, grid, logs, config.replicates, stream(config.root_seed, name))
            for name, law in LAWS.items()
        }
    # what the theory says of chains is another calculation: predictions are for the iid source
    wanted = [p for p in (Point(*words) for words in config.held_back) if p.source == "iid"]
    before = committed(wanted) if is_the_predicted(config) else None
    table = before or (predictions_of(config, fits, wanted) if fits else {})
    measured = [p for p in wanted if p in sizes and np.isfinite(sizes[p].log_half).all()]
    logs_held = {p: sizes[p].log_half for p in measured} if table else {}
    return FeaturesAnalysis(
        config,
        sizes,
        Scatter.of([one.log_half for one in sizes.values()]),
        fits,
        table,
        before is not None,
        scores_of(config, table, logs_held),
        losses,
    )

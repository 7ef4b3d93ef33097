"""From cells to the place of every peak, and what became of the laws of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.channel import LogLinear
from models.streams import stream
from simulations.features_law.config import LEVEL
from simulations.features_law.sizes import Scatter
from simulations.few_draws.config import Curve, DrawsConfig
from simulations.few_draws.laws import FEATURES_LAW, LAWS, Table, committed, predictions
from simulations.measure.passage import crossing_size
from simulations.measure.peak import curve_peaks
from simulations.scaling.hypothesis import Law, law, slopes

Floats = NDArray[np.float64]
READ = ("log_loss", "error")  # the first is what is held against the laws
FITTED = 0.01  # nats a token of the training loss, below which the seen noise is interpolated
REPLICATES = 2000


@dataclass(frozen=True)
class Peak:
    """One curve: K n (of fresh noise K), the held-out excess of both readings over those of the
    exact law, (seeds, K), and by seed the place of the peak of each (infinite or NaN where there
    is none), its height, and K n up to which the noise that is seen is interpolated."""

    curve: Curve
    noisy: Floats
    excess: dict[str, Floats] = field(repr=False)
    seen: Floats = field(repr=False)
    places: dict[str, Floats]
    heights: dict[str, Floats]
    interpolated: Floats

    @property
    def log_place(self) -> Floats:
        """ln K n at the peak of the held-out log loss, by seed."""
        return _log(self.places[READ[0]])


@dataclass(frozen=True)
class Score:
    """A law at the curves that it and the measurement have a peak on: rms of ln of measured over
    predicted K n with its interval by bootstrap over curves, the mean ratio, and the standard
    deviation about it, which is what one common factor would leave."""

    law: str
    curves: int
    rms: float
    low: float
    high: float
    ratio: float
    deviation: float


@dataclass(frozen=True)
class DrawsAnalysis:
    """Everything the report and the figure draw from. `written_before`: the predictions are the
    committed ones."""

    config: DrawsConfig
    peaks: dict[Curve, Peak] = field(repr=False)
    scatter: dict[str, Scatter]
    table: Table = field(repr=False)
    written_before: bool
    scores: list[Score]
    slopes: list[Law]

    def place(self, curve: Curve, read: str = READ[0]) -> tuple[float, float, float]:
        """K n at the peak of a curve with its interval."""
        return self.scatter[read].interval(_log(self.peaks[curve].places[read]))

    def interpolated(self, curve: Curve) -> tuple[float, float, float]:
        """K n up to which the noise that is seen is interpolated, with its interval."""
        return self.scatter["seen"].interval(_log(self.peaks[curve].interpolated))


def _log(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(np.where(values < 0, np.nan, values)))


def peak_of(config: DrawsConfig, curve: Curve, data: xr.Dataset) -> Peak:
    """The peak of a curve from its cells, dimensions seed, train_size, split, sample."""
    noisy = data["train_size"].values * float(max(curve.draws, 1))
    alpha = float(LogLinear().alpha(LEVEL))
    least = {"log_loss": np.log(config.vocab_size), "error": 1 - alpha**2}
    held_out = data[list(READ)].astype(np.float64).sel(split="heldout").mean("sample")
    excess = {
        name: held_out[name].transpose("seed", "train_size").values - least[name] for name in READ
    }
    found = {name: curve_peaks(noisy, table) for name, table in excess.items()}
    seen = data["seen"].transpose("seed", "train_size").values
    return Peak(
        curve,
        noisy,
        excess,
        seen,
        {name: places for name, (places, _) in found.items()},
        {name: heights for name, (_, heights) in found.items()},
        crossing_size(noisy, seen, np.full(len(seen), FITTED), "rising"),
    )


def scores_of(config: DrawsConfig, table: Table, measured: dict[str, float]) -> list[Score]:
    """How every law did at curves whose mean ln K n is given by name."""
    found = []
    for name in LAWS:
        there = [c for c in measured if np.isfinite(table[name, c].value)]
        if not there:
            continue
        misses = np.array([measured[c] - np.log(table[name, c].value) for c in there])
        rng = stream(config.root_seed, "scores", name)
        drawn = misses[rng.integers(misses.size, size=(REPLICATES, misses.size))]
        ends = np.percentile(np.sqrt((drawn**2).mean(1)), [2.5, 97.5])
        rms, middle = np.sqrt(np.mean(misses**2)), misses.mean()
        numbers = (rms, *ends, np.exp(middle), misses.std())
        found.append(Score(name, misses.size, *(float(x) for x in numbers)))
    return found


def slopes_of(peaks: dict[Curve, Peak]) -> list[Law]:
    """How K at the peak goes with n, of every network with two n or more: -1 where K n noisy
    sequences are what counts, 0 where K sequences are."""
    found = []
    groups = dict.fromkeys(c._replace(draws=1, first=0, rungs=0) for c in peaks if c.draws)
    for group in groups:
        mine = [c for c in peaks if c.draws and c._replace(draws=1, first=0, rungs=0) == group]
        if len(mine) < 2:
            continue
        draws = np.array([c.draws for c in mine], dtype=np.float64)
        places = np.stack([np.exp(peaks[c].log_place) for c in mine], axis=1) / draws
        where = f"width {group.width}, T = {group.steps:,}" + ("" if group.pair else ", no field")
        numbers = (-1.0, 0.0, slopes(draws, places), len(mine), "more seeds and n")
        found.append(law("noise draws", where, "slope of log K_peak on log n", *numbers))
    return found


def width_slopes(peaks: dict[Curve, Peak], table: Table) -> list[Law]:
    """How K n at the peak goes with the width, where two or more are measured: as the law of
    features has it, or not at all."""
    found = []
    groups = dict.fromkeys((c.steps, c.draws, c.pair) for c in peaks if c.draws)
    for group in groups:
        mine = [c for c in peaks if (c.steps, c.draws, c.pair) == group]
        if len(mine) < 2:
            continue
        widths = np.array([c.width for c in mine], dtype=np.float64)
        said = np.array([table[FEATURES_LAW, c.name].value for c in mine])
        places = np.stack([np.exp(peaks[c].log_place) for c in mine], axis=1)
        where = f"n = {group[1]}, T = {group[0]:,}" + ("" if group[2] else ", no field")
        expected = float(slopes(widths, said[None])[0])
        numbers = (expected, 0.0, slopes(widths, places), len(mine), "more seeds and widths")
        found.append(law("width", where, "slope of log K n on log width", *numbers))
    return found


def analyse(config: DrawsConfig, data: dict[Curve, xr.Dataset]) -> DrawsAnalysis:
    """Peaks of every curve, predictions, scores, slopes."""
    peaks = {curve: peak_of(config, curve, part) for curve, part in data.items()}
    wanted = [curve for curve in peaks if curve.draws]
    written = committed()
    usual, names = DrawsConfig(), ("vocab_size", "seq_len", "training")
    before = all(getattr(config, name) == getattr(usual, name) for name in names) and all(
        (law, curve.name) in written for law in LAWS for curve in wanted
    )
    table = written if before else predictions(config, wanted)
    measured = {
        curve.name: float(peaks[curve].log_place.mean())
        for curve in wanted
        if np.isfinite(peaks[curve].log_place).all()
    }
    logs = {name: [_log(peak.places[name]) for peak in peaks.values()] for name in READ}
    logs["seen"] = [_log(peak.interpolated) for peak in peaks.values()]
    return DrawsAnalysis(
        config,
        peaks,
        {name: Scatter.of(values) for name, values in logs.items()},
        table,
        before,
        scores_of(config, table, measured),
        slopes_of(peaks) + width_slopes(peaks, table),
    )

"""All that the entropy command reports, from the merged data of its cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from am_theory.schedules import LogLinear
from models.streams import stream
from simulations.data.problem import make_source
from simulations.entropy.bands import (
    POPULATION,
    Band,
    Floats,
    Resampled,
    Saved,
    Who,
    derived,
    token_shares,
)
from simulations.entropy.config import CHECK_LEVELS, ENTROPY, SPLITS, EntropyConfig
from simulations.entropy.separation import KINDS, READ_ON, Peak, Separation, Side, pair_of, separate
from simulations.measure.checks import Check, Row, compare, read_checks
from simulations.measure.names import LAWS, SMALL_LEVEL


@dataclass(frozen=True)
class EntropyAnalysis(Saved):
    """All that is reported of a run. runs (law, statistic, step) and channels, by split, (law,
    statistic, t) of every denoiser; below: share of tokens (law,) whose entropy at t = 1e-5 is
    below BIN nats, by split; copies: of K, share of generated sequences that are stored
    ones; half_way: level at which the `loo` entropy of its run passes half of log V; separations:
    by kind, split and K; collapse: of K, level and standard error at which log K = I(x_0; x_t)."""

    runs: dict[Who, Band] = field(repr=False)
    channels: dict[Side, Band] = field(repr=False)
    below: dict[Side, Band] = field(repr=False)
    copies: dict[int, Band]
    half_way: dict[Who, Band]
    separations: dict[tuple[str, str, int], Separation] = field(repr=False)
    collapse: dict[int, tuple[float, float]]
    checks: list[Check]

    def peaks(self, split: str, size: int, law: str) -> list[Peak]:
        """Where K is told from the last one best: of both KINDS, predicted and measured."""
        return [self.separations[kind, split, size].peaks[law] for kind in KINDS]


def analyse(config: EntropyConfig, data: xr.Dataset, out: Path | None = None) -> EntropyAnalysis:
    """Everything that is derived from the merged data; nothing of the folder `out` is read."""
    saved, runs, channels, below = Saved(config, data), {}, {}, {}
    found: dict[Side, Resampled] = {}

    def means(part: Resampled) -> Band:
        return saved.band(*(table[..., 0, :, :, :] for table in part))

    exact = [("empirical", size) for size in config.train_sizes]
    for who in [*(("trained", size) for size in config.train_sizes), *exact, POPULATION]:
        runs[who] = means(saved.moments(who, "trajectory", None))
        for split in SPLITS[who == POPULATION :]:
            side = (who, split)
            found[side] = saved.moments(who, "channel", split)
            channels[side] = means(found[side])
            shares = token_shares(data, who, split)[..., 0]
            below[side] = saved.band(*saved.resampled(shares, *side))
    distance = data["copy_distance"].sel(denoiser="trained").transpose("train_size", "seed", ...)
    copies = {}
    for size, row in zip(config.train_sizes, distance.values, strict=True):
        stored = saved.resampled((row == 0) * 1.0, ("trained", size), "generated")
        copies[size] = saved.band(*stored)
    information = _information(config)
    collapse = {size: _collapse(config, size, information) for size in config.train_sizes}
    ends = {size: np.nan_to_num(level, nan=1.0) for size, (level, _) in collapse.items()}
    separations = {
        key: separate(saved, found, pair_of(config, *key), ends[key[-1]])
        for key in product(KINDS, READ_ON, config.train_sizes[:-1])
    }
    half = {who: _half_way(config, run) for who, run in runs.items()}
    return EntropyAnalysis(
        config, data, runs, channels, below, copies, half, separations, collapse, read_checks(data)
    )


def _half_way(config: EntropyConfig, run: Band) -> Band:
    """Level at which the `loo` entropy of a run passes log V / 2 for the last time before text."""
    half, levels = math.log(config.vocab_size) / 2, np.array(config.step_levels)[::-1]

    def passage(curve: Floats) -> Floats:
        rising = curve[..., 0, ENTROPY, ::-1]
        k = np.expand_dims((rising >= half).argmax(-1), -1)  # 0: from the start, or never
        before, after = (np.take_along_axis(rising, np.clip(k - j, 0, None), -1) for j in (1, 0))
        start, end = levels[np.clip(k - 1, 0, None)], levels[k]
        with np.errstate(divide="ignore", invalid="ignore"):
            level = start + (half - before) / (after - before) * (end - start)
        return np.asarray(np.where(k > 0, level, np.nan)[..., 0])

    return derived(passage, run)


def _information(config: EntropyConfig) -> list[tuple[float, float]]:
    """I(x_0; x_t) of the source at `levels`, nats a sequence, and standard errors."""
    source = make_source(config.source, config.vocab_size, config.seq_len)
    rng = stream(config.root_seed, "information")
    alphas = LogLinear().alpha(np.array(config.levels))
    found = [source.mutual_information(float(alpha), rng, 20_000) for alpha in alphas]
    return [(each.value, each.standard_error) for each in found]


def _collapse(
    config: EntropyConfig, size: int, information: list[tuple[float, float]]
) -> tuple[float, float]:
    """Level, and its standard error, at which log K = I(x_0; x_t), linear between `levels`; NaN
    where they do not enclose it."""
    gaps = np.array([value for value, _ in information]) - math.log(size)
    k = int((gaps < 0).argmax())
    if k == 0:
        return math.nan, math.nan
    slope = (gaps[k] - gaps[k - 1]) / (config.levels[k] - config.levels[k - 1])
    return float(config.levels[k] - gaps[k] / slope), float(abs(information[k][1] / slope))


def run_and_channel(
    analysis: EntropyAnalysis, who: Who, split: str, levels: ArrayLike
) -> tuple[Band, Band]:
    """Mean `loo` entropy of a denoiser at `levels` of its own run, and on sequences noised to
    them; each the shape of `levels`, which are among `all_levels`."""
    config = analysis.config
    step = np.abs(np.subtract.outer(config.step_levels, levels)).argmin(0)
    at = np.searchsorted(config.all_levels, levels)
    return analysis.runs[who][0, 0, step], analysis.channels[who, split][0, 0, at]


def _row(what: str, simulated: Band, predicted: Band, known: bool = True) -> Row:
    """A finding, never a failure; without an interval where the levels are not `known`."""
    gap = simulated - predicted
    ends = (float(gap.low), float(gap.high)) if known else (math.nan, math.nan)
    return compare(what, float(simulated.estimate), float(predicted.estimate), *ends)


def findings(analysis: EntropyAnalysis) -> tuple[list[Row], list[Row], list[Row]]:
    """Trained pairs against exact ones: best levels and d'. First and last networks against exact
    denoisers: entropies along the run. Runs of everyone against noised sequences: entropies."""
    config = analysis.config
    first, last = config.train_sizes[0], config.train_sizes[-1]
    pairs, runs, channels = [], [], []
    for split, size, law in product(READ_ON, config.train_sizes[:-1], LAWS):
        theory, trained = analysis.peaks(split, size, law)
        what = f"K={size} from K={last}, {law} on {split}:"
        known = theory.inside and trained.inside
        pairs.append(_row(f"{what} t*", trained.level, theory.level, known))
        pairs.append(_row(f"{what} d' at t*", trained.height, theory.height))
        pairs.append(_row(f"{what} d' at t=1e-05", trained.small, theory.small))
    ends = ((first, ("empirical", first)), (last, POPULATION))
    for (size, who), law, t in product(ends, LAWS, (*CHECK_LEVELS, SMALL_LEVEL)):
        at = (LAWS.index(law), ENTROPY, config.step_levels.index(t))
        what = f"K={size}: {law} entropy of the run at t={t:g}, against {who[0]}"
        runs.append(_row(what, analysis.runs["trained", size][at], analysis.runs[who][at]))
    for (who, split), t in product(analysis.channels, CHECK_LEVELS):
        if t in config.levels:
            name = "population" if who == POPULATION else f"{who[0]} K={who[1]}"
            what = f"{name}: loo entropy at t={t:g}, own run against the channel on {split}"
            channels.append(_row(what, *run_and_channel(analysis, who, split, t)))
    return pairs, runs, channels

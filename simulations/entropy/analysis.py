"""All that the entropy command reports, from the merged data of its cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from scipy.stats import chi2

from am_theory.channel import LogLinear
from models.streams import stream
from simulations.data.problem import make_source
from simulations.entropy.bands import (
    POPULATION,
    Band,
    Floats,
    Moments,
    Who,
    band,
    bootstrap,
    clusters_of,
    derived,
    minus,
    moments,
    part_of,
    token_shares,
    values_of,
)
from simulations.entropy.config import CHECK_LEVELS, STATISTICS, EntropyConfig
from simulations.entropy.separation import KINDS, NO_SPREAD, Separation, separate
from simulations.measure.checks import Check, Row, compare, read_checks
from simulations.phase.config import LAWS


@dataclass(frozen=True)
class EntropyAnalysis:
    """All that is reported of a run. runs (law, statistic, step) and channels, by split, (law,
    statistic, t) of every denoiser; below: share of tokens (law,) whose entropy at t = 1e-5 is
    below BIN nats, by split; copies: of K, share of generated sequences that are stored
    ones; half_way: level at which the `loo` entropy of its run passes half of
    log V; collapse: of K, level and standard error at which log K = I(x_0; x_t)."""

    config: EntropyConfig
    data: xr.Dataset = field(repr=False)
    runs: dict[Who, Band] = field(repr=False)
    channels: dict[tuple[Who, str], Band] = field(repr=False)
    below: dict[tuple[Who, str], Band] = field(repr=False)
    copies: dict[int, Band]
    half_way: dict[Who, Band]
    separations: dict[tuple[str, str, int], Separation] = field(repr=False)
    collapse: dict[int, tuple[float, float]]
    checks: list[Check]


def everyone(config: EntropyConfig) -> list[Who]:
    """Trained networks, then empirical denoisers, by K; then the population denoiser."""
    return [*((d, k) for d in ("trained", "empirical") for k in config.train_sizes), POPULATION]


def analyse(config: EntropyConfig, data: xr.Dataset) -> EntropyAnalysis:
    """Everything that is derived from the merged data; `data` as `entropy.merge` gives it."""
    below: dict[tuple[Who, str], Band] = {}
    runs: dict[Who, Band] = {}
    channels: dict[tuple[Who, str], Band] = {}
    found: dict[tuple[Who, str], Moments] = {}
    for who in everyone(config):
        part = moments(config, data, who, "trajectory", None)
        runs[who] = band(config, part.estimates[:, 0], part.replicates[:, :, 0])
        for split in ("train", "heldout", "generated")[who == POPULATION :]:
            part = found[who, split] = moments(config, data, who, "channel", split)
            channels[who, split] = band(config, part.estimates[:, 0], part.replicates[:, :, 0])
            shares = token_shares(data, who, split)[..., 0]
            part = bootstrap(config, shares, clusters_of(data, who, split), split)
            below[who, split] = band(config, part.estimates, part.replicates)
    information = _information(config)
    collapse = {size: _collapse(config, size, information) for size in config.train_sizes}
    separations = {}
    for kind in KINDS:
        for split in ("generated", "train", "heldout"):
            for size in config.train_sizes[:-1]:
                limit = np.nan_to_num(collapse[size][0], nan=1.0)
                pair = separate(config, data, found, kind, split, size, limit)
                separations[kind, split, size] = pair
    half = {who: _half_way(config, run) for who, run in runs.items()}
    copies = {size: _copies(config, data, size) for size in config.train_sizes}
    return EntropyAnalysis(
        config, data, runs, channels, below, copies, half, separations, collapse, read_checks(data)
    )


def _copies(config: EntropyConfig, data: xr.Dataset, size: int) -> Band:
    who: Who = ("trained", size)
    same = part_of(data, who, "copy_distance", None).transpose("seed", "sample").values == 0
    clusters = clusters_of(data, who, "generated")
    part = bootstrap(config, same.astype(np.float64), clusters, "generated")
    return band(config, part.estimates, part.replicates)


def _half_way(config: EntropyConfig, run: Band) -> Band:
    """Level at which the `loo` entropy of a run passes log V / 2 for the last time before text."""
    half, levels = math.log(config.vocab_size) / 2, np.array(config.step_levels)[::-1]

    def passage(curve: Floats) -> Floats:
        rising = curve[..., 0, STATISTICS.index("entropy"), ::-1]
        k = np.expand_dims((rising >= half).argmax(-1), -1)  # 0: from the start, or never
        before, after = (np.take_along_axis(rising, np.clip(k - j, 0, None), -1) for j in (1, 0))
        start, end = levels[np.clip(k - 1, 0, None)], levels[k]
        with np.errstate(divide="ignore", invalid="ignore"):
            level = start + (half - before) / (after - before) * (end - start)
        return np.asarray(np.where(k > 0, level, np.nan)[..., 0])

    return derived(run, passage)


def _information(config: EntropyConfig) -> list[tuple[float, float]]:
    """I(x_0; x_t) of the source at `levels`, nats a sequence, and standard errors."""
    source = make_source(config.source, config.vocab_size, config.seq_len)
    rng, alphas = (
        stream(config.root_seed, "information"),
        LogLinear().alpha(np.array(config.levels)),
    )
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


def rows(analysis: EntropyAnalysis) -> list[Row]:
    """Networks against exact denoisers, and runs against the channel; findings, never failures."""
    config, found = analysis.config, []

    def add(what: str, simulated: Band, predicted: Band, known: bool = True) -> None:
        gap = minus(simulated, predicted)
        ends = (float(gap.low), float(gap.high)) if known else (math.nan, math.nan)
        found.append(compare(what, float(simulated.estimate), float(predicted.estimate), *ends))

    first, last = config.train_sizes[0], config.train_sizes[-1]
    for split in ("generated", "train", "heldout"):
        for size in config.train_sizes[:-1]:
            theory, trained = (analysis.separations[kind, split, size].peaks for kind in KINDS)
            for law in LAWS:
                for name, words in (
                    ("level", "t*"),
                    ("height", "d' at t*"),
                    ("small", "d' at t=1e-05"),
                ):
                    what = f"K={size} from K={last}, {law} on {split}: {words}"
                    pair = [getattr(peaks[law], name) for peaks in (trained, theory)]
                    known = name != "level" or all(peaks[law].inside for peaks in (trained, theory))
                    add(what, pair[0], pair[1], known)
    for size, exact in ((first, ("empirical", first)), (last, POPULATION)):
        for i, law in enumerate(LAWS):
            for t in (*CHECK_LEVELS, config.step_levels[-1]):
                k = config.step_levels.index(t)
                what = f"K={size}: {law} entropy of the run at t={t:g}, against {exact[0]}"
                pair = [analysis.runs[who][i, 0, k] for who in (("trained", size), exact)]
                add(what, pair[0], pair[1])
    for who in everyone(config):
        for split in ("train", "heldout", "generated"):
            for t in CHECK_LEVELS:
                if (who, split) in analysis.channels and t in config.levels:
                    name = "population" if who == POPULATION else f"{who[0]} K={who[1]}"
                    what = f"{name}: loo entropy at t={t:g}, own run against the channel on {split}"
                    run, through = run_and_channel(analysis, who, split, t)
                    add(what, run, through)
    return found


def run_and_channel(
    analysis: EntropyAnalysis, who: Who, split: str, t: float, law: int = 0
) -> tuple[Band, Band]:
    """Mean entropy of a denoiser's own run at level t, and on sequences noised to t."""
    config = analysis.config
    step = int(np.abs(np.array(config.step_levels) - t).argmin())
    at = config.all_levels.index(t)
    return analysis.runs[who][law, 0, step], analysis.channels[who, split][law, 0, at]


def spread_of_models(
    analysis: EntropyAnalysis, who: Who, split: str, level: int
) -> tuple[float, float, float]:
    """Standard deviation over seeds of the mean `loo` entropy at a level of `all_levels`, over
    that between the sequences of one model; with the 95 % interval of a normal law's standard
    deviation from so few seeds. NaN with one seed."""
    values = values_of(analysis.data, who, "channel", split)[:, :, 0, 0, level]
    free, within = len(values) - 1, float(np.sqrt(values.var(1).mean()))
    if free < 1 or within < NO_SPREAD:
        return math.nan, math.nan, math.nan
    ratio = float(values.mean(1).std(ddof=1)) / within
    low, high = (ratio * math.sqrt(free / chi2.ppf(q, free)) for q in (0.975, 0.025))
    return ratio, low, high

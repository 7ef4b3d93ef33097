"""Shares and quality of memorized, spurious and novel sequences, with intervals.

Labels are given once, to all N sequences of a model; then sequences are resampled within seeds,
and from 5 seeds up the seeds too. (Relabelling each bootstrap set would turn every sequence drawn
twice into a repeat.) Labels of repeats depend on each other, which resampling of sequences leaves
out: at d = 0 it understates the standard error of the spurious share of one model by a factor of at
most sqrt(2). The spread between seeds holds that part in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.data.problem import make_source
from simulations.measure.bootstrap import bootstrap_ratio, combine_seeds, interval
from simulations.measure.checks import Check
from simulations.measure.passage import Direction, crossing_size
from simulations.measure.transition import Estimate, as_estimate
from simulations.novelty.cells import chance_shares, classify, near_probability, pair_probability
from simulations.novelty.config import LABELS, PARTS, SOURCE, TRAINED, NoveltyConfig

Floats = NDArray[np.float64]
Key = tuple[str, int, str]

POOL = 20_000  # sequences of the source over which chance and typical quality are averaged


@dataclass(frozen=True)
class Series:
    """A quantity over K: mean over seeds (K,), its replicates (R, K), each seed's own value
    (S, K) and that seed's replicates over sequences (S, R, K)."""

    estimate: Floats
    replicates: Floats
    per_seed: Floats
    seed_replicates: Floats
    method: str

    def map(self, function: Any, *others: Series) -> Series:
        """The function of this and others, replicate by replicate."""
        names = ("estimate", "replicates", "per_seed", "seed_replicates")
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = {n: function(*(getattr(s, n) for s in (self, *others))) for n in names}
        return Series(method=self.method, **parts)

    def at(self, k: int) -> Series:
        """The value at K number k alone, the axis over K kept."""
        return self.map(lambda table: table[..., [k]])

    def __sub__(self, other: Series) -> Series:
        return self.map(np.subtract, other)

    @property
    def ends(self) -> tuple[Floats, Floats]:
        """95 % interval; NaN where more than 5 % of the replicates are undefined."""
        low, high = interval(self.replicates)
        stated = np.isnan(self.replicates).mean(0) <= 0.05
        return np.where(stated, low, np.nan), np.where(stated, high, np.nan)


@dataclass(frozen=True)
class Means:
    """Per-sequence means of one model by name; ratios of them are pooled over seeds."""

    columns: dict[Key, int]
    values: Series  # with a trailing axis over columns

    def mean(self, key: Key) -> Series:
        column = self.columns[key]
        return self.values.map(lambda table: table[..., column])

    def share(self, distance: int, label: str) -> Series:
        return self.mean(("share", distance, label))

    def of(self, what: str, distance: int, label: str) -> Series:
        """Mean over the sequences of a label only; NaN where there are none."""
        top, bottom = self.mean((what, distance, label)), self.share(distance, label)
        return top.map(lambda a, b: np.where(b > 0, a / b, np.nan), bottom)

    def effective_states(self) -> Series:
        """Effective number of unstored states: one over P(two sequences are equal, given that
        neither is stored). It does not depend on N."""
        pairs, unstored = self.mean(("pairs", 0, "unstored")), self.share(0, "unstored")
        return unstored.map(lambda u, equal: np.where(u > 0, u**2 / equal, np.nan), pairs)


@dataclass(frozen=True)
class Law:
    """The source, nats a token: mean of -log p (exact), spread and central 95 % of it (by
    simulation of POOL sequences), and P(two sequences lie within d) for each distance (exact).

    chance: expected (memorized, spurious, novel), (K, distance, 3), of fresh sequences, exact but
    for the average over the POOL, chance_error its largest standard error; part_chance: at N / 4.
    """

    entropy: float
    deviation: float
    low: float
    high: float
    pairs: Floats
    chance: Floats
    part_chance: Floats
    chance_error: float


@dataclass(frozen=True)
class NoveltyAnalysis:
    """All that is reported of a run. headline: the distance of the headlines; means: by model;
    sizes: by label and distance."""

    config: NoveltyConfig
    data: xr.Dataset
    law: Law
    headline: int
    means: dict[str, Means]
    sizes: dict[tuple[str, int], Estimate]
    checks: list[Check]

    def surprisal(self, model: str, label: str) -> Series:
        """Excess surprisal -log p / L - H / L of a label, nats a token."""
        found = self.means[model].of("log_prob", self.headline, label)
        return found.map(lambda mean: np.round(-mean - self.law.entropy, 12) + 0.0)  # no -0.0

    @property
    def excess(self) -> Series:
        """Share of spurious sequences beyond that of fresh sequences of the source."""
        d = self.headline
        return self.means[TRAINED].share(d, "spurious") - self.means[SOURCE].share(d, "spurious")

    @property
    def first_novel(self) -> int | None:
        """Number of the first K at which most sequences are novel."""
        share = self.means[TRAINED].share(self.headline, "novel").estimate
        return int(np.argmax(share > 0.5)) if (share > 0.5).any() else None


def source_law(config: NoveltyConfig) -> Law:
    """Everything of the source that needs no training."""
    source = make_source(config.source, config.vocab_size, config.seq_len)
    pool = source.sample(stream(config.root_seed, "novelty pool"), POOL)
    surprisal = -source.log_prob(pool) / config.seq_len
    reach = config.distances[-1]
    near = near_probability(source, pool, reach)[:, config.distances]

    def chance(n: int) -> tuple[Floats, float]:
        shares = [chance_shares(near, k, n) for k in config.train_sizes]
        error = max(float(one.std(0, ddof=1).max()) for one in shares) / np.sqrt(POOL)
        return np.array([one.mean(0) for one in shares]), float(error)

    low, high = np.quantile(surprisal, (0.025, 0.975), method="inverted_cdf")
    pairs = pair_probability(source, reach)[list(config.distances)]
    (expected, error), (in_part, _) = chance(config.sequences), chance(config.sequences // PARTS)
    mean, deviation = source.entropy() / config.seq_len, float(surprisal.std(ddof=1))
    return Law(mean, deviation, float(low), float(high), pairs, expected, in_part, error)


def headline_distance(config: NoveltyConfig, law: Law) -> int:
    """Largest distance at which at most the share `chance` of fresh sequences of the source is
    memorized or spurious by chance, at every K; the smallest distance where there is none."""
    taken = 1 - law.chance[..., LABELS.index("novel")].min(0)
    allowed = np.array(config.distances)[taken <= config.chance]
    return int(allowed.max(initial=config.distances[0]))


def columns_of(config: NoveltyConfig, law: Law, part: xr.Dataset) -> dict[Key, NDArray[Any]]:
    """Per-sequence values (N, K) of one model and seed."""
    raw = {
        str(name): part[name].transpose("sample", "train_size").values.astype(float)
        for name in part.data_vars
        if set(part[name].dims) == {"sample", "train_size"}
    }
    log_prob = raw["log_prob"] / config.seq_len
    kinds: dict[str, NDArray[Any]] = {
        "log_prob": log_prob,
        "typical": (-log_prob >= law.low - 1e-9) & (-log_prob <= law.high + 1e-9),
        "distance": raw["stored_distance"],
        "pieces": raw["pieces"],
        "two pieces": raw["pieces"] <= 2,
    }
    found: dict[Key, NDArray[Any]] = {}
    for d in config.distances:
        labels = classify(raw["stored_distance"], raw["other_distance"], d)
        for k, label in enumerate(LABELS):
            found["share", d, label] = labels[..., k]
            for name, values in kinds.items():
                found[name, d, label] = values * labels[..., k]
        in_part = classify(raw["stored_distance"], raw["part_distance"], d)
        found["part", d, "spurious"] = in_part[..., 1]
    unstored, equal = raw["stored_distance"] > 0, raw["equal_others"]
    found["states", 0, "spurious"] = unstored * (equal > 0) / (1 + equal)
    found["pairs", 0, "unstored"] = unstored * equal / (config.sequences - 1)
    found["share", 0, "unstored"] = unstored
    return found


def means_of(config: NoveltyConfig, law: Law, data: xr.Dataset, model: str) -> Means:
    """All means of one model. The draws of the bootstrap are the same for all models, so that
    differences are paired by seed."""
    found, names = [], list[Key]()
    for seed in range(config.seeds):
        table = columns_of(config, law, data.sel(model=model).isel(seed=seed))
        names = list(table)
        values = np.stack([table[name] for name in names], axis=-1).astype(float)
        rng = stream(config.root_seed, "novelty bootstrap", seed)
        ids = np.arange(len(values))
        found.append(bootstrap_ratio(rng, values, np.ones_like(values), ids, config.replicates))
    per_seed, seed_replicates = (np.array(part) for part in zip(*found, strict=True))
    rng = stream(config.root_seed, "novelty seeds")
    estimate, combined, method = combine_seeds(rng, per_seed, seed_replicates)
    columns = {name: k for k, name in enumerate(names)}
    return Means(columns, Series(estimate, combined, per_seed, seed_replicates, method))


def passages(config: NoveltyConfig, means: Means) -> dict[tuple[str, int], Estimate]:
    """K at which memorized falls below one half and novel rises above it, by label and distance."""
    found = {}
    ways: tuple[tuple[str, Direction], ...] = (("memorized", "falling"), ("novel", "rising"))
    for d in config.distances:
        for label, way in ways:
            s, sizes = means.share(d, label), config.train_sizes
            value, spread, own = (
                crossing_size(sizes, table, 0.5, way)
                for table in (s.estimate, s.replicates, s.per_seed)
            )
            found[label, d] = as_estimate(label, float(value), spread, own, s.method)
    return found


def analyse(config: NoveltyConfig, data: xr.Dataset, checks: list[Check]) -> NoveltyAnalysis:
    """Everything that is derived from the merged data; `data` as `novelty.merge` gives it."""
    law = source_law(config)
    d = headline_distance(config, law)
    means = {str(m): means_of(config, law, data, str(m)) for m in data["model"].values}
    sizes = passages(config, means[TRAINED])
    return NoveltyAnalysis(config, data, law, d, means, sizes, checks)

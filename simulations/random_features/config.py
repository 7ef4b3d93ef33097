"""The frozen configuration of the random-feature study, its points, presets and cells by name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulations.console.settings import Settings, at_least, different, increasing, inside
from simulations.results.cells import Cell

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
ACTIVATIONS = ("erf", "relu", "sign", "tanh")
PANELS = ("curves", "draws", "flow", "chain", "sizes")

Case = tuple[str, str, float, float]


class Point(NamedTuple):
    """One setting of the denoiser; `redraw` 0 stands for independent tokens."""

    panel: str
    group: int
    vocab_size: int
    seq_len: int
    train_size: int
    n_features: int
    alpha: float
    activation: str
    skip: str
    ridge: float
    draws: int
    time: float
    redraw: float

    @property
    def dimension(self) -> int:
        """d = L (V - 1)."""
        return self.seq_len * (self.vocab_size - 1)

    @property
    def crowding(self) -> float:
        """p / (K d), which theory takes to be small."""
        return self.n_features / (self.train_size * self.dimension)


@dataclass(frozen=True)
class FeatureConfig(Settings):
    """Everything the numbers of a run depend on. d = L (V - 1).

    A case is an activation, a skip (a number, fit or full), alpha, and features per dimension p/d.

    Args:
        vocab_size: V of everything.
        seq_len: L of everything but the finite sizes.
        ridge: on the features, of all but few draws (`draws_ridge`) and training time (none).
        pairs: noisy sequences K n of a fit over max(p, d), except with few draws.
        cases: of the curves over K.
        ratios: x = K / d of their points, increasing; K is rounded.
        draws_case: of the fits to few draws.
        draws_ridge: their ridge.
        draws: noise draws of each sequence there.
        pair_ratios: K n / p of their points, increasing; K is rounded.
        flow_case: of the curves over training time.
        flow_ratios: x = K / d of these.
        times: training times, increasing: learning rate times steps.
        chain_case: of the fits to a chain that steps round the alphabet or redraws.
        redraw: the chance that it redraws.
        chain_ratios: x = K / d of these, increasing.
        size_cases: of the finite sizes, at K = d.
        lengths: L of these, increasing.
        seeds: independent training sets of every point, the units of all intervals.
        size_seeds: of the finite sizes, at the largest L; shorter ones have more, as 1 / L.
        queries: corrupted sequences per training set and split.
        root_seed: every random number follows from it and from the names of the coordinates.
        replicates: bootstrap replicates.
    """

    vocab_size: int = 4
    seq_len: int = 32
    ridge: float = 1e-3
    pairs: int = 25
    cases: tuple[Case, ...] = (
        ("relu", "full", 0.75, 0.5),
        ("relu", "full", 0.75, 2.0),
        ("relu", "full", 0.75, 6.0),
        ("erf", "0", 0.8, 4.0),
        ("tanh", "fit", 0.9, 4.0),
        ("relu", "0", 0.5, 4.0),
    )
    ratios: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
    draws_case: Case = ("erf", "0", 0.8, 2.0)
    draws_ridge: float = 1e-4
    draws: tuple[int, ...] = (1, 2, 8)
    pair_ratios: tuple[float, ...] = (0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
    flow_case: Case = ("relu", "full", 0.75, 6.0)
    flow_ratios: tuple[float, ...] = (1.0, 3.0)
    times: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
    chain_case: Case = ("relu", "0", 0.5, 4.0)
    redraw: float = 0.3
    chain_ratios: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    size_cases: tuple[Case, ...] = (("erf", "0", 0.8, 4.0), ("relu", "full", 0.75, 2.0))
    lengths: tuple[int, ...] = (8, 16, 32, 64)
    seeds: int = 8
    size_seeds: int = 24
    queries: int = 4096
    root_seed: int = 2604
    replicates: int = 1000

    def problems(self) -> Iterator[str]:
        yield from at_least(self, vocab_size=2, seq_len=1, pairs=1, seeds=3, size_seeds=3)
        yield from at_least(self, queries=1, replicates=100)
        yield from inside(self, "redraw")
        yield from increasing(self, "ratios", "pair_ratios", "times", "chain_ratios", "lengths")
        yield from different(self, "cases", "size_cases", "draws", "flow_ratios")
        for case in (*self.cases, *self.size_cases, self.draws_case, self.flow_case):
            yield from case_problems(case)
        yield from case_problems(self.chain_case)
        if self.flow_case[1] == "fit":
            yield '`flow_case` has the skip "fit", whose training time has no theory; take "full".'
        if min(self.draws) < 1 or min(self.ridge, self.draws_ridge) <= 0:
            yield "`draws` are counts of at least 1, `ridge` and `draws_ridge` are positive."
        found = points(self)
        if len({point._replace(group=0) for point in found}) < len(found):
            yield "K must differ between points: take ratios further apart or longer sequences."


def case_problems(case: Case) -> Iterator[str]:
    """A sentence on a case that there cannot be."""
    activation, skip, alpha, features = case
    if activation not in ACTIVATIONS or not (skip in ("fit", "full") or _is_number(skip)):
        yield (
            f"a case begins with one of {', '.join(ACTIVATIONS)} and a skip: a number, fit or "
            f"full; got {activation}, {skip}."
        )
    if not (0 < alpha < 1 and 0 < features < math.inf):
        yield f"a case ends with alpha inside (0, 1) and a positive p / d; got {alpha}, {features}."


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def points(config: FeatureConfig) -> list[Point]:
    """All points, those of one cell together."""
    found = []

    def add(panel: str, group: int, case: Case, ratio: float, **special: Any) -> None:
        length = special.pop("length", config.seq_len)
        activation, skip, alpha, features = case
        d = length * (config.vocab_size - 1)
        p = max(1, round(features * d))
        size = max(1, round(ratio * d))
        usual = {
            "ridge": config.ridge,
            "draws": math.ceil(config.pairs * max(p, d) / size),
            "time": math.inf,
            "redraw": 0.0,
        }
        names = {"train_size": size, "n_features": p, "alpha": alpha}
        kind = {"activation": activation, "skip": skip, **names, **usual, **special}
        found.append(Point(panel, group, config.vocab_size, length, **kind))

    for group, case in enumerate(config.cases):
        for ratio in config.ratios:
            add("curves", group, case, ratio)
    case, ridge = config.draws_case, config.draws_ridge
    for group, draws in enumerate(config.draws):
        for ratio in config.pair_ratios:
            add("draws", group, case, ratio * case[3] / draws, draws=draws, ridge=ridge)
    for group, ratio in enumerate(config.flow_ratios):
        for time in (*config.times, math.inf):
            add("flow", group, config.flow_case, ratio, time=time, ridge=0.0)
    for ratio in config.chain_ratios:
        add("chain", 0, config.chain_case, ratio, redraw=config.redraw)
    for group, case in enumerate(config.size_cases):
        for length in config.lengths:
            add(
                "sizes",
                group * len(config.lengths) + config.lengths.index(length),
                case,
                1.0,
                length=length,
            )
    return found


def sets(config: FeatureConfig, point: Point) -> int:
    """Training sets of a point; deviations at every length are to be seen about as clearly."""
    if point.panel != "sizes":
        return config.seeds
    return round(config.size_seeds * config.lengths[-1] / point.seq_len)


def make_cells(config: FeatureConfig) -> list[Cell]:
    """One cell per curve and per finite size."""
    named = dict.fromkeys((point.panel, point.group) for point in points(config))
    return [Cell(f"{panel}-{group}", {"panel": panel, "group": group}) for panel, group in named]


def points_of(config: FeatureConfig, coordinates: dict[str, Any]) -> list[Point]:
    """The points of a cell."""
    wanted = coordinates["panel"], coordinates["group"]
    return [point for point in points(config) if (point.panel, point.group) == wanted]


def cost(config: FeatureConfig, cell: Cell) -> float:
    """Rough seconds on one core of 20 Gflop/s."""
    work = 0.0
    for point in points_of(config, cell.coordinates):
        width = point.dimension + point.n_features
        fit = point.train_size * point.draws * width**2 + 10 * point.n_features**3
        ask = 4.0 * config.queries * point.dimension * point.n_features
        alone = point.time == math.inf  # one fit serves all times
        work += sets(config, point) * (fit * alone + ask)
    return 1.0 + work / 1e10


def size(config: FeatureConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    here = points_of(config, cell.coordinates)
    return 2.5e4 + 110.0 * sum(sets(config, point) for point in here)


def preset(name: str) -> FeatureConfig:
    """The configuration of a preset: smoke (less than a minute) or small (minutes)."""
    smoke: dict[str, Any] = {
        "seq_len": 16,
        "pairs": 10,
        "cases": (("relu", "full", 0.75, 2.0), ("erf", "0", 0.8, 4.0)),
        "ratios": (0.5, 1.0, 2.0, 4.0, 8.0),
        "draws": (1, 4),
        "pair_ratios": (0.5, 0.8, 1.0, 1.25, 2.0, 4.0),
        "flow_case": ("relu", "full", 0.75, 2.0),
        "times": (0.3, 1.0, 3.0, 10.0, 30.0),
        "chain_ratios": (1.0, 2.0, 4.0),
        "size_cases": (("erf", "0", 0.8, 2.0),),
        "lengths": (4, 8, 16, 24),
        "seeds": 4,
        "size_seeds": 8,
        "queries": 256,
    }
    return FeatureConfig(**{"small": {}, "smoke": smoke}[name])

"""The frozen configuration: which networks are measured, which part of them the laws are fitted to.

A point is one curve over K: a source, a network, a training. Laws are fitted to the points of
`fitted` and predict those of `held_back`. A cell is one network, or one of the networks that a
learning rate was chosen by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from models.training.config import TrainConfig
from simulations.console.settings import Settings, at_least, increasing
from simulations.results.cells import Cell
from simulations.trained import Network

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 2
SOURCES = ("iid", "markov")
LEVEL = 0.25  # t of the corrupted recovery, as in the main job
REFERENCE = 64  # K that the gap is held against; the other K are on its half-octaves


class Point(NamedTuple):
    """One curve over K. `pair`: with the pairwise field beside the hidden layer; `first`, `rungs`:
    its K are `rungs` half-octaves from that many half-octaves above the reference on."""

    source: str
    width: int
    steps: int
    pair: bool
    first: int
    rungs: int = 3

    @property
    def name(self) -> str:
        words = f"{self.source}-w{self.width}-T{self.steps}"
        return words if self.pair else f"{words}-plain"

    @property
    def train_sizes(self) -> tuple[int, ...]:
        """K, increasing, the reference in front."""
        above = range(self.first, self.first + self.rungs)
        return (REFERENCE, *(round(REFERENCE * 2 ** (k / 2)) for k in above))


FITTED = (
    Point("iid", 16, 2000, True, 2),
    Point("iid", 16, 8000, True, 2),
    Point("iid", 64, 2000, True, 2),
    Point("iid", 64, 8000, True, 3),
    Point("iid", 256, 1000, True, 2),
    Point("iid", 256, 2000, True, 3),
    Point("iid", 256, 4000, True, 4),
    Point("iid", 256, 8000, True, 5),
)
HELD_BACK = (
    Point("iid", 512, 2000, True, 4),
    Point("iid", 512, 8000, True, 6, 2),
    Point("iid", 64, 8000, False, 3, 2),
    Point("iid", 256, 8000, False, 5),
    Point("iid", 256, 16_000, True, 6),
    Point("iid", 1024, 2000, True, 6),
    Point("iid", 256, 32_000, True, 7),
    Point("iid", 1024, 8000, True, 7),
    Point("iid", 512, 32_000, True, 7, 4),
    Point("iid", 1024, 8000, False, 7),
    Point("iid", 256, 64_000, True, 7),
)
# predicted with the others, and left to the preset `paper`
LATER = (Point("iid", 1024, 32_000, True, 8, 6),)
# the smallest of `search_rates` whose training loss is within 2 % of the least, at every width and
# 1,000 steps; the wider and the longer trained, the smaller the rate of which that is true
RATE = 6e-3
SEARCHED = tuple((width, 1000, 256) for width in (16, 64, 256, 512, 1024))


def at_one_rate(*points: Point) -> tuple[tuple[int, int, float], ...]:
    """`RATE` for every width and number of steps of these points."""
    return tuple((width, steps, RATE) for width, steps in dict.fromkeys(p[1:3] for p in points))


# where steps of `RATE` are too noisy for width 512 and more, at half of it
SLOWER = (
    Point("iid", 512, 2000, True, 4, 2),
    Point("iid", 512, 8000, True, 7, 2),
    Point("iid", 1024, 2000, True, 5, 2),
    Point("iid", 1024, 8000, True, 7),
)
# the rate kept, and a quarter of the variance of a step: fitted up to width 256, then held back
QUIET = (
    Point("iid", 64, 2000, True, 3, 2),
    Point("iid", 64, 8000, True, 4),
    Point("iid", 256, 1000, True, 4, 2),
    Point("iid", 256, 2000, True, 5, 2),
)
QUIET_HELD_BACK = (Point("iid", 512, 2000, True, 7, 2), Point("iid", 1024, 2000, True, 8, 2))


@dataclass(frozen=True)
class FeaturesConfig(Settings):
    """Everything the numbers of a run depend on.

    Args:
        vocab_size: V of the source.
        seq_len: L of the source.
        fitted: source, width, steps, pair field, first K (half-octaves above 64) and number of K of
            the points that laws are fitted to.
        held_back: the same of the points that they predict.
        predict_only: measure the fitted part alone, and write the predictions of the rest.
        rates: width, steps and peak learning rate of the networks.
        searched: width, steps and K at which rates were tried, on sequences without structure; the
            one to take is the smallest whose training loss is within 2 % of the least.
        search_rates: the rates that were tried there.
        seeds: independent data sets and initializations of every point, the units of intervals.
        queries: corrupted inputs per split; stored sequences repeat at small K.
        n_steps: reverse steps on the full interval; a run from t uses its share.
        replicates: bootstrap replicates.
        root_seed: every random number follows from it and from the names of the coordinates.
        training: how networks are trained; steps and learning rate are those above.
    """

    vocab_size: int = 8
    seq_len: int = 16
    fitted: tuple[tuple[str, int, int, bool, int, int], ...] = FITTED
    held_back: tuple[tuple[str, int, int, bool, int, int], ...] = HELD_BACK
    predict_only: bool = False
    rates: tuple[tuple[int, int, float], ...] = at_one_rate(*FITTED, *HELD_BACK, *LATER)
    searched: tuple[tuple[int, int, int], ...] = SEARCHED
    search_rates: tuple[float, ...] = (1.5e-3, 3e-3, 6e-3, 1.2e-2)
    seeds: int = 2
    queries: int = 1024
    n_steps: int = 16
    replicates: int = 400
    root_seed: int = 2604
    training: TrainConfig = field(default_factory=lambda: TrainConfig(batch=32))

    def problems(self) -> Iterator[str]:
        yield from at_least(
            self, vocab_size=2, seq_len=2, seeds=2, replicates=100, queries=1, n_steps=1
        )
        yield from increasing(self, "search_rates")
        for name in ("fitted", "held_back"):
            for words in getattr(self, name):
                point = Point(*words)
                if point.source not in SOURCES:
                    yield f"`{name}` holds points of {' or '.join(SOURCES)}; got {point.source!r}."
                if min(point.width, point.steps, point.first) < 1 or point.rungs < 2:
                    yield (
                        f"`{name}` holds source, width, steps, pair field, first K in half-octaves "
                        f"(from 1 on) and number of K (two or more); got {tuple(point)}."
                    )
                if (point.width, point.steps) not in self.rate_of:
                    yield (
                        f"`rates` has no learning rate of width {point.width} at {point.steps} "
                        f"steps; add one, as ({point.width}, {point.steps}, 0.003)."
                    )
        for place in self.searched:
            if min(place) < 1:
                yield f"`searched` holds width, steps and K, all at least 1; got {place}."
        if len(self.fitted) < 4 or not self.held_back:
            yield "`fitted` must hold four or more points, `held_back` one or more."
        names = [Point(*words).name for words in (*self.fitted, *self.held_back)]
        if len(set(names)) < len(names):
            yield "every point may be given once in `fitted` and `held_back` together."

    @property
    def rate_of(self) -> dict[tuple[int, int], float]:
        """The learning rate of every width and number of steps."""
        return {(width, steps): rate for width, steps, rate in self.rates}

    def time_of(self, point: Point) -> float:
        """Steps counted at `RATE`: what gradient flow takes for time is rate times steps."""
        return point.steps * self.rate_of.get((point.width, point.steps), RATE) / RATE

    def identity(self) -> dict[str, Any]:
        """What all cells depend on besides their coordinates: a run of more points goes on from
        the cells of one of fewer."""
        names = ("vocab_size", "seq_len", "queries", "n_steps", "root_seed")
        given = self.as_dict()
        unused = {"steps": None, "learning_rate": None}
        return {**{name: given[name] for name in names}, "training": given["training"] | unused}

    def network(self, width: int) -> Network:
        """The network of a width."""
        return Network(self.vocab_size, self.seq_len, width)


SMOKE: dict[str, Any] = {
    "vocab_size": 4,
    "seq_len": 8,
    "fitted": tuple(Point("iid", w, steps, True, 1, 2) for w in (4, 32) for steps in (100, 400)),
    "held_back": (Point("iid", 64, 400, True, 1, 2), Point("iid", 32, 400, False, 1, 2)),
    "rates": tuple((w, steps, 3e-3) for w in (4, 32, 64) for steps in (100, 400)),
    "searched": ((4, 50, 256), (32, 50, 256), (64, 100, 91)),
    "search_rates": (3e-3, 6e-3),
    "queries": 128,
    "n_steps": 8,
    "replicates": 100,
    "training": TrainConfig(batch=32, warmup=20),
}


def preset(name: str) -> FeaturesConfig:
    """The configuration of a preset: `slower` halves the rate of the widths held back, `batch`
    takes batches of 128 in place of 32, `paper` adds the chain, more seeds, widths and steps."""
    if name == "smoke":
        return FeaturesConfig(**SMOKE)
    if name == "small":
        return FeaturesConfig()
    if name == "slower":
        tried = ((256, 2000, 256), (256, 8000, 512), (512, 2000, 362), (512, 8000, 724))
        return FeaturesConfig(
            held_back=SLOWER,
            rates=(*at_one_rate(*FITTED), *((p.width, p.steps, RATE / 2) for p in SLOWER)),
            searched=(*tried, (1024, 2000, 512), (1024, 8000, 724)),
        )
    if name == "batch":
        training = TrainConfig(batch=128)
        return FeaturesConfig(fitted=QUIET, held_back=QUIET_HELD_BACK, training=training)
    grid = ((16, 8000, 2), (64, 2000, 2), (64, 8000, 3), (256, 1000, 2), (256, 2000, 3))
    more = ((256, 4000, 4), (256, 8000, 5), (1024, 2000, 5), (1024, 8000, 8))
    chain = tuple(Point("markov", w, steps, True, first, 6) for w, steps, first in (*grid, *more))
    return FeaturesConfig(held_back=(*HELD_BACK, *LATER, *chain), seeds=5)


def points(config: FeaturesConfig) -> list[Point]:
    """The points that are measured: of the fitted part, then those held back."""
    held_back = () if config.predict_only else config.held_back
    return [Point(*words) for words in (*config.fitted, *held_back)]


def network_cells(config: FeaturesConfig) -> dict[Point, list[list[Cell]]]:
    """The cells of every point: a list of seeds of a list over K."""

    def cell(point: Point, size: int, seed: int) -> Cell:
        words = {"source": point.source, "width": point.width, "steps": point.steps}
        rate = config.rate_of[point.width, point.steps]
        trained = {"pair": point.pair, "rate": rate}
        place = {"kind": "network", **words, **trained, "train_size": size, "seed": seed}
        return Cell(f"{point.name}-K{size}-seed{seed}", place)

    return {
        point: [[cell(point, k, s) for k in point.train_sizes] for s in range(config.seeds)]
        for point in points(config)
    }


Search = tuple[int, int, int, float]  # width, steps, K and rate of a network of the search


def search_cells(config: FeaturesConfig) -> dict[Search, Cell]:
    """The cells of the search, at the widths that are measured."""
    widths = {point.width for point in points(config)}
    return {
        (width, steps, size, rate): Cell(
            f"search-w{width}-T{steps}-K{size}-rate{rate:g}",
            {
                **{"kind": "search", "source": "iid", "width": width, "steps": steps},
                **{"pair": True, "rate": rate, "train_size": size, "seed": 0},
            },
        )
        for width, steps, size in config.searched
        for rate in config.search_rates
        if width in widths
    }


def make_cells(config: FeaturesConfig) -> list[Cell]:
    """All cells: of the search, then of the points."""
    found = list(search_cells(config).values())
    for seeds in network_cells(config).values():
        found += [cell for over_sizes in seeds for cell in over_sizes]
    return found


def cost(config: FeaturesConfig, cell: Cell) -> float:
    """Rough seconds on one core: steps of 25 Gflop/s with a floor of 0.4 ms, then the readings."""
    work = config.network(cell.coordinates["width"]).work
    step = max(4e-4, 6 * work * config.training.batch / 5e10)
    return 4.0 + cell.coordinates["steps"] * step + 4e-10 * config.queries * config.n_steps * work


def size(config: FeaturesConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 2e4 + (20.0 * config.queries if cell.coordinates["kind"] == "network" else 0.0)

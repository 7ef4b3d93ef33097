"""From the runs to the figures that are told: medians with ranges, slopes with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from simulations.engine_scale.model import Limits, curves, efficiency, paper_costs

Row = dict[str, Any]

MEASURED = ("rate", "start_up", "launcher_ms", "worker_ms", "helper_ms", "load")
OF_A_FILE = ("make_ms", "write_cpu_ms", "write_wait_ms", "bytes")
TARGETS = {"executor alone": 300.0, "sweep": 60.0}  # cells a second of two workers


@dataclass(frozen=True)
class Range:
    """Median, smallest and largest of repeated runs."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Slope:
    """Bytes of memory a cell, with a 95 % interval from the growth between looks, which are taken
    as independent; `first` and `last` are resident bytes at the ends, `cells` between them."""

    bytes_per_cell: float
    low: float
    high: float
    first: float
    last: float
    cells: int


@dataclass(frozen=True)
class Point:
    """Efficiency of sleeping cells: in steady work and of the whole sweep, with what a worker loses
    with each cell (s)."""

    engine: str
    workers: int
    cell_seconds: float
    efficiency: Range
    overhead: Range
    whole: Range


@dataclass(frozen=True)
class Shortened:
    """Efficiency of the paper preset's cells, shortened: as measured, and as the extrapolation has
    it for this length, from what a Dask worker loses with a cell; NaN where unknown."""

    workers: int
    measured: float
    expected: float


@dataclass
class ScaleAnalysis:
    """All that is told. Parts that were not measured are empty."""

    throughput: dict[str, dict[str, Range]] = field(default_factory=dict)
    one_file: dict[str, Range] = field(default_factory=dict)
    slope: Slope | None = None
    samples: list[tuple[int, float]] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    paper: dict[str, list[Shortened]] = field(default_factory=dict)
    limits: Limits | None = None
    extrapolated: dict[str, dict[str, Any]] = field(default_factory=dict)


def spread_of(values: Iterable[float]) -> Range:
    """Median and range of one value or more."""
    found = sorted(values)
    return Range(float(np.median(found)), found[0], found[-1])


def slope_of(samples: Sequence[tuple[int, float]]) -> Slope:
    """The growth of memory, the first look left out: until then the launcher warms up."""
    counts, sizes = (np.array(column, float) for column in zip(*samples[1:], strict=True))
    steps = np.diff(sizes) / np.diff(counts)
    error = steps.std(ddof=1) / math.sqrt(len(steps)) * stats.t.ppf(0.975, len(steps) - 1)
    cells, first, last = int(counts[-1] - counts[0]), float(sizes[0]), float(sizes[-1])
    mean = (last - first) / cells
    return Slope(mean, mean - float(error), mean + float(error), first, last, cells)


def _points(rows: Sequence[Row]) -> list[Point]:
    points = []
    groups = _grouped(rows, "engine", "workers", "cell_seconds")
    for (engine, workers, seconds), mine in sorted(groups.items()):
        steady = spread_of(seconds / row["cycle"] for row in mine)
        lost = spread_of(row["cycle"] - seconds for row in mine)
        whole = spread_of(row["cells"] * seconds / (workers * row["seconds"]) for row in mine)
        points.append(Point(engine, workers, seconds, steady, lost, whole))
    return points


def _limits(analysis: ScaleAnalysis) -> Limits | None:
    """What the launcher can take on Dask, from its own work and its waits for the disk; and the
    largest overhead of a cell on Dask where every worker had a core."""
    on_dask = analysis.throughput.get("sweep on Dask")
    mine = [point for point in analysis.points if point.engine == "Dask"]
    if not on_dask or not mine:
        return None
    spent = on_dask["launcher_ms"].median + analysis.one_file["write_wait_ms"].median
    return Limits(max(point.overhead.median for point in mine), 1e3 / spent)


def _shortened(row: Row, analysis: ScaleAnalysis) -> Shortened:
    costs, workers = paper_costs(row["model"]), row["workers"]
    points, place = analysis.points, ("Dask", workers)
    lost = [p.overhead.median for p in points if (p.engine, p.workers) == place]
    expected = math.nan
    if lost and analysis.limits is not None:
        short = [row["work"] / sum(costs) * cost for cost in costs]
        limits = Limits(sum(lost) / len(lost), analysis.limits.cells_per_second)
        expected = efficiency(short, workers, limits)
    return Shortened(workers, row["work"] / (workers * row["wall"]), expected)


def analyse(parts: dict[str, list[Row]], extrapolate: int) -> ScaleAnalysis:
    """The figures of the parts that were measured, and of more workers, up to `extrapolate`."""
    analysis = ScaleAnalysis(points=_points(parts.get("overhead", [])))
    for (kind,), rows in _grouped(parts.get("throughput", []), "kind").items():
        if kind == "one file":
            analysis.one_file = _spreads(rows, OF_A_FILE)
        else:
            analysis.throughput[kind] = _spreads(rows, MEASURED)
    if looks := parts.get("memory", []):
        analysis.samples = [(row["cells"], row["rss"]) for row in looks]
        analysis.slope = slope_of(analysis.samples)
    analysis.limits = _limits(analysis)
    for (model,), rows in _grouped(parts.get("paper", []), "model").items():
        analysis.paper[model] = [_shortened(row, analysis) for row in rows]
    if analysis.limits is not None:
        analysis.extrapolated = curves(extrapolate, analysis.limits)
    return analysis


def _grouped(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by what they have under these names, in the order in which it comes."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found


def _spreads(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Range]:
    return {name: spread_of(row[name] for row in rows) for name in names}

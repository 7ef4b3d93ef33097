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

KINDS = ("executor alone", "file made, not written", "sweep", "sweep on Dask")
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
    """Median and range. NaN of nothing."""
    found = sorted(values)
    if not found:
        return Range(math.nan, math.nan, math.nan)
    return Range(float(np.median(found)), found[0], found[-1])


def slope_of(samples: Sequence[tuple[int, float]]) -> Slope:
    """The growth of memory, the first look left out: until then the launcher warms up."""
    counts, sizes = (np.array(column, float) for column in zip(*samples[1:], strict=True))
    steps = np.diff(sizes) / np.diff(counts)
    error = steps.std(ddof=1) / math.sqrt(len(steps)) * stats.t.ppf(0.975, len(steps) - 1)
    mean = float((sizes[-1] - sizes[0]) / (counts[-1] - counts[0]))
    return Slope(
        bytes_per_cell=mean,
        low=mean - float(error),
        high=mean + float(error),
        first=float(sizes[0]),
        last=float(sizes[-1]),
        cells=int(counts[-1] - counts[0]),
    )


def _points(rows: Sequence[Row]) -> list[Point]:
    found: dict[tuple[str, int, float], list[Row]] = {}
    for row in rows:
        found.setdefault((row["engine"], row["workers"], row["cell_seconds"]), []).append(row)
    points = []
    for (engine, workers, seconds), mine in sorted(found.items()):
        whole = [row["cells"] * seconds / (workers * row["seconds"]) for row in mine]
        points.append(
            Point(
                engine,
                workers,
                seconds,
                efficiency=spread_of(seconds / row["cycle"] for row in mine),
                overhead=spread_of(row["cycle"] - seconds for row in mine),
                whole=spread_of(whole),
            )
        )
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
    lost = [p.overhead.median for p in analysis.points
            if (p.engine, p.workers) == ("Dask", workers)]  # fmt: skip
    expected = math.nan
    if lost and analysis.limits is not None:
        short = [row["work"] / sum(costs) * cost for cost in costs]
        limits = Limits(sum(lost) / len(lost), analysis.limits.cells_per_second)
        expected = efficiency(short, workers, limits)
    return Shortened(workers, row["work"] / (workers * row["wall"]), expected)


def analyse(parts: dict[str, list[Row]], extrapolate: int) -> ScaleAnalysis:
    """The figures of the parts that were measured, and of more workers, up to `extrapolate`."""
    analysis = ScaleAnalysis()
    runs = parts.get("throughput", [])
    measured = ("rate", "start_up", "launcher_ms", "worker_ms", "helper_ms", "load")
    for kind in KINDS:
        mine = [row for row in runs if row["kind"] == kind]
        if mine:
            analysis.throughput[kind] = {
                name: spread_of(row[name] for row in mine) for name in measured
            }
    files = [row for row in runs if row["kind"] == "one file"]
    for name in ("make_ms", "write_cpu_ms", "write_wait_ms", "bytes") if files else ():
        analysis.one_file[name] = spread_of(row[name] for row in files)
    looks = parts.get("memory", [])
    if looks:
        analysis.samples = [(row["cells"], row["rss"]) for row in looks]
        analysis.slope = slope_of(analysis.samples)
    analysis.points = _points(parts.get("overhead", []))
    analysis.limits = _limits(analysis)
    for row in parts.get("paper", []):
        analysis.paper.setdefault(row["model"], []).append(_shortened(row, analysis))
    if analysis.limits is not None:
        analysis.extrapolated = curves(extrapolate, analysis.limits)
    return analysis

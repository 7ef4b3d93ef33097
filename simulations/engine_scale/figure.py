"""The figure of the engine's measurement: efficiency against workers, measured and extrapolated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D

from simulations.engine_scale.analysis import ScaleAnalysis
from simulations.phase.figure import STYLE, save

COLOURS = ("#0b6e99", "#d1495b", "#1a1a1a", "#c0861d")
MARKERS = {"Dask": "s", "local pool": "o"}
LINES = ("-", "--", ":")


def scale_figure(analysis: ScaleAnalysis, stem: Path) -> None:
    """Write the figure to `stem`.png and `stem`.pdf."""
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.9), layout="constrained")
        _measured(left, analysis)
        _extrapolated(right, analysis)
        save(figure, stem)


def _measured(axis: Any, analysis: ScaleAnalysis) -> None:
    """Sleeping cells: markers by engine, colour by length; bars are the range of the runs."""
    lengths = sorted({p.cell_seconds for p in analysis.points})
    engines = sorted({p.engine for p in analysis.points})
    lowest = 1.0
    for k, seconds in enumerate(lengths):
        for engine in engines:
            mine = [p for p in analysis.points if p.engine == engine and p.cell_seconds == seconds]
            y = [p.efficiency.median for p in mine]
            below = [p.efficiency.median - p.efficiency.low for p in mine]
            above = [p.efficiency.high - p.efficiency.median for p in mine]
            lowest = min(lowest, *(p.efficiency.low for p in mine))
            axis.errorbar(
                [p.workers * (1.03 if engine == "Dask" else 0.97) for p in mine],
                y,
                yerr=[below, above],
                color=COLOURS[k],
                marker=MARKERS[engine],
                mfc=COLOURS[k] if engine == "local pool" else "white",
                ms=6,
                lw=1,
                ls=":" if engine == "Dask" else "-",
                capsize=2,
                label=f"{engine}, cells of {seconds:g} s",
            )
    _workers(axis, sorted({p.workers for p in analysis.points}))
    axis.axhline(1, color="0.6", lw=0.8)
    axis.set_ylim(max(0.0, lowest - 0.05), 1.02)
    axis.set_ylabel("efficiency in steady work")
    axis.set_title("(a) Measured: sleeping cells, two cores", loc="left")
    if analysis.points:
        axis.legend(loc="lower left")


def _extrapolated(axis: Any, analysis: ScaleAnalysis) -> None:
    """Lines are extrapolated; markers measured, with the cells shortened."""
    handles = []
    for k, (name, curve) in enumerate(analysis.extrapolated.items()):
        words = f"paper preset, {name}" if name in ("mlp", "dit") else name
        axis.plot(curve["workers"], curve["efficiency"], color=COLOURS[k], ls=LINES[k], lw=1.6)
        label = f"extrapolated: {words} ({curve['hours']:,.0f} h of work)"
        handles.append(Line2D([], [], color=COLOURS[k], ls=LINES[k], lw=1.6, label=label))
        points = [(p.workers, p.measured) for p in analysis.paper.get(name, [])]
        marker = "os"[k % 2]
        if points:
            axis.plot(
                *zip(*points, strict=True),
                color=COLOURS[k],
                marker=marker,
                mfc="white",
                ms=5 + 3 * (k % 2),
                ls="",
            )
            label = f"measured on Dask: {words}, cells shortened"
            handles.append(
                Line2D([], [], color=COLOURS[k], marker=marker, mfc="white", ls="", label=label)
            )
    counts = {curve["cells"] for name, curve in analysis.extrapolated.items() if name != "mlp"}
    if counts:
        cells = min(counts)
        axis.axvline(cells, color="0.6", lw=0.8)
        axis.annotate(
            f"{cells} cells of the preset:\nmore workers find none",
            (cells, 0.03),
            xytext=(5, 0),
            textcoords="offset points",
            fontsize=7.5,
            color="0.35",
        )
    axis.set_xscale("log")
    axis.get_xaxis().set_major_formatter("{x:,.0f}")
    axis.set_ylim(0, 1.04)
    axis.set_xlabel("workers")
    axis.set_ylabel("efficiency of the whole sweep")
    axis.set_title("(b) Extrapolated by the cost model, with measured points", loc="left")
    if handles:
        place = {"loc": "lower left", "bbox_to_anchor": (0.0, 0.1)}
        axis.legend(handles=handles, **place, frameon=True, framealpha=1, edgecolor="none")


def _workers(axis: Any, ticks: list[int]) -> None:
    axis.set_xscale("log", base=2)
    axis.set_xticks(ticks, [str(n) for n in ticks])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("workers (one thread each)")

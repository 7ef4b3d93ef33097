"""The figure of the engine's measurement: efficiency against workers, measured and extrapolated."""

from __future__ import annotations

from typing import Any

from matplotlib.lines import Line2D

from simulations.engine_scale.analysis import ScaleAnalysis
from simulations.plots import panels
from simulations.trained import MODELS

COLOURS = ("#0b6e99", "#d1495b", "#1a1a1a", "#c0861d")
MARKERS = {"Dask": "s", "local pool": "o"}
LINES = ("-", "--", ":")


@panels(1, 2, (11.5, 4.9))
def draw(axes: Any, analysis: ScaleAnalysis) -> tuple[str, str]:
    """Efficiency on few workers as measured, and on many as extrapolated."""
    _measured(axes[0, 0], analysis)
    _extrapolated(axes[0, 1], analysis)
    return "", ""


def _measured(axis: Any, analysis: ScaleAnalysis) -> None:
    """Sleeping cells: markers by engine, colour by length; bars are the range of the runs."""
    lengths = sorted({p.cell_seconds for p in analysis.points})
    engines = sorted({p.engine for p in analysis.points})
    lowest = 1.0
    for k, seconds in enumerate(lengths):
        for engine in engines:
            mine = [p for p in analysis.points if p.engine == engine and p.cell_seconds == seconds]
            found = [p.efficiency for p in mine]
            lowest = min(lowest, *(e.low for e in found))
            axis.errorbar(
                [p.workers * (1.03 if engine == "Dask" else 0.97) for p in mine],
                [e.median for e in found],
                yerr=[[e.median - e.low for e in found], [e.high - e.median for e in found]],
                color=COLOURS[k],
                marker=MARKERS[engine],
                mfc=COLOURS[k] if engine == "local pool" else "white",
                ms=6,
                lw=1,
                ls=":" if engine == "Dask" else "-",
                capsize=2,
                label=f"{engine}, cells of {seconds:g} s",
            )
    axis.set_xscale("log", base=2)
    ticks = sorted({p.workers for p in analysis.points})
    axis.set_xticks(ticks, [str(n) for n in ticks])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("workers (one thread each)")
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
        words = f"paper preset, {name}" if name in MODELS else name
        line: dict[str, Any] = {"color": COLOURS[k], "ls": LINES[k], "lw": 1.6}
        axis.plot(curve["workers"], curve["efficiency"], **line)
        label = f"extrapolated: {words} ({curve['hours']:,.0f} h of work)"
        handles.append(Line2D([], [], **line, label=label))
        if points := [(p.workers, p.measured) for p in analysis.paper.get(name, [])]:
            dots: dict[str, Any] = {
                "color": COLOURS[k],
                "marker": "os"[k % 2],
                "mfc": "white",
                "ls": "",
            }
            axis.plot(*zip(*points, strict=True), ms=5 + 3 * (k % 2), **dots)
            label = f"measured on Dask: {words}, cells shortened"
            handles.append(Line2D([], [], **dots, label=label))
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

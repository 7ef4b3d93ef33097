"""The figure of the study of the tail, drawn from a CurvatureAnalysis; computes nothing new."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from simulations.curvature.analysis import CurvatureAnalysis, Tested
from simulations.curvature.config import FILTERS, system_name
from simulations.plots import intervals, legend_below, panels

COLOURS = ("#0b6e99", "#6a994e", "#c0861d", "#d1495b", "#6d4c9f", "#5c4033", "#2a9d8f", "#888888")
MARKERS = "osD^vPX*"


@panels(1, 3, (16.5, 6.2))
def draw(axes: Any, analysis: CurvatureAnalysis) -> tuple[str, str]:
    """Curvature against measurement; K x gap over K; d_eff over alpha."""
    _against(axes[0, 0], analysis)
    _sizes(axes[0, 1], analysis)
    _levels(axes[0, 2], analysis)
    return (
        "The tail from one model: K times the gap, measured and by its curvature",
        "Bars: 95 % intervals, over training sets and sequences (measured), networks and blocks of "
        "held-out sequences (curvature). Empty markers: the curvature of networks without the time "
        "of training, not converged: too low.",
    )


def _style(analysis: CurvatureAnalysis, index: int) -> dict[str, Any]:
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}


def _columns(lines: list[Tested], position: int) -> tuple[Any, Any, Any]:
    table = np.array([[getattr(x.curvature[position], e) for e in ENDS] for x in lines]).T
    return table[0], table[1], table[2]


ENDS = ("estimate", "low", "high")


def _measured(lines: list[Tested]) -> tuple[Any, Any, Any]:
    value, low, high = np.array([[getattr(x.scaled[-1], e) for e in ENDS] for x in lines]).T
    return value, low, high


def _against(axis: Any, analysis: CurvatureAnalysis) -> None:
    values: list[float] = []
    for index, system in enumerate(analysis.config.systems):
        lines = [line for line in analysis.of(system) if line.resolved]
        style = _style(analysis, index)
        if not lines:
            continue
        x, *ends = _measured(lines)
        y, low, high = _columns(lines, len(FILTERS) - 1)
        spread = np.clip([x - ends[0], ends[1] - x], 0, None)
        intervals(axis, x, y, low, high, xerr=spread, label=system_name(system), **style)
        values += [*x, *y]
        if system[2]:
            plain = _columns(lines, 0)[0]
            axis.plot(x, plain, lw=0, mfc="white", ms=4.5, **style)
            values += list(plain)
    positive = [value for value in values if value > 0]
    limits = (min(positive) * 0.7, max(positive) * 1.4)
    axis.plot(limits, limits, color="k", lw=0.8, ls=":")
    axis.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
    axis.set(
        xlabel="measured: K x gap of the loss, largest K", ylabel="tr(C H$^{-1}$) of the models"
    )
    axis.set_title("(a) Curvature against measurement, all levels", loc="left")
    legend_below(axis, ncol=2)


def _sizes(axis: Any, analysis: CurvatureAnalysis) -> None:
    """K x gap over K at the level nearest to 1/4; lines: the curvature, of networks at every K."""
    config = analysis.config
    level = min(config.levels, key=lambda t: abs(t - 0.25))
    for index, system in enumerate(config.systems):
        line = next(x for x in analysis.of(system) if x.level == level)
        if not line.resolved:
            continue
        value, low, high = np.array([[getattr(v, e) for e in ENDS] for v in line.scaled]).T
        style = _style(analysis, index)
        shift = 1.04 ** (index - len(config.systems) / 2)
        intervals(axis, np.array(config.train_sizes) * shift, value, low, high, **style)
        if system[2]:
            k = config.levels.index(level)
            found = analysis.data["dimension"].isel(system=index, level=k, filter=-1, iterations=-1)
            axis.plot(config.train_sizes, found.mean(("network", "block")), color=style["color"])
        else:
            axis.axhline(line.curvature[-1].estimate, color=style["color"], lw=1.2)
    axis.set(xscale="log", yscale="log", xlabel="training sequences K", ylabel="K x gap")
    axis.set_xticks(config.train_sizes, [str(size) for size in config.train_sizes])
    axis.set_xticks([], minor=True)
    axis.set_title(f"(b) K x gap at t = {level:g}; lines: curvature", loc="left")


def _levels(axis: Any, analysis: CurvatureAnalysis) -> None:
    """d_eff over alpha: markers measured, lines of the curvature."""
    for index, system in enumerate(analysis.config.systems):
        lines = [line for line in analysis.of(system) if line.resolved]
        style = _style(analysis, index)
        if not lines:
            continue
        alphas = np.array([line.alpha for line in lines])
        intervals(axis, alphas, *_measured(lines), **style)
        axis.plot(alphas, _columns(lines, len(FILTERS) - 1)[0], color=style["color"], lw=1.2)
    x = np.array([min(line.alpha for line in analysis.lines), 1.0])
    top = max(line.scaled[-1].estimate for line in analysis.lines)
    handles = []
    for power, dashes in ((1, "--"), (2, ":")):
        axis.plot(x, 1.5 * top * x**power, color="k", lw=0.9, ls=dashes)
        label = f"slope of $\\alpha^{power}$"
        handles.append(Line2D([], [], color="k", lw=0.9, ls=dashes, label=label))
    axis.set(xscale="log", yscale="log", xlabel="kept fraction α", ylabel="effective dimension")
    ticks = sorted({round(line.alpha, 2) for line in analysis.lines})
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.set_title("(c) Over the noise: markers measured, lines curvature", loc="left")
    legend_below(axis, handles, 2)

"""The figure of the study of degrees, drawn from a StaircaseAnalysis."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from simulations.plots import finish, intervals, legend_below, panels, wrapped
from simulations.staircase.analysis import FACTOR, StaircaseAnalysis
from simulations.staircase.config import DEGREES, METHODS
from simulations.staircase.report import WORDS
from simulations.staircase.theory import degree_theory, memory_theory, regression_theory

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d")
MARKERS = "osD^"


@panels(2, 3, (16.5, 10.4))
def draw(axes: Any, analysis: StaircaseAnalysis) -> tuple[str, str]:
    """Kernel regression, fitted denoisers, degrees in time; memory in time, its times, ratios."""
    fills = (_regression, _orders, _degrees, _curves, _times, _ratios)
    for axis, fill in zip(axes.flat, fills, strict=True):
        fill(axis, analysis)
    config = analysis.config
    return (
        "What a kernel on tokens learns, degree by degree, and what networks do of it",
        wrapped(
            "Lines: theory of the kernel before training, nothing fitted. Networks: alpha = "
            f"{config.alpha:g}. Bars: 95 % intervals over sets or networks. (e): the train error "
            "falls below that of the linear denoiser; what is not reached has no marker. Adam in "
            "(f): one rate, set by its first time, degree 1 or the held-out error half way. Grey: "
            f"a factor {FACTOR:g}.",
            width=210,
        ),
    )


def _regression(axis: Any, analysis: StaircaseAnalysis) -> None:
    config = analysis.config
    fine = np.geomspace(config.sizes[0], config.sizes[-1], 120)
    for k, degree in enumerate(DEGREES):
        table = analysis.data["regression_error"].sel(degree=degree).values
        axis.plot(fine, regression_theory(config, fine, degree), color=COLOURS[k], lw=1.3)
        spread = 2 * table.std(0, ddof=1) / np.sqrt(len(table))
        mean = table.mean(0)
        style: dict[str, Any] = {"color": COLOURS[k], "marker": MARKERS[k]}
        intervals(
            axis,
            config.sizes,
            mean,
            mean - spread,
            mean + spread,
            **style,
            label=f"degree {degree}",
        )
    axis.set_ylim(0, 2)
    title = "(a) Kernel regression learns degree after degree"
    finish(axis, "training sequences K", "held-out error over variance", title)


def _orders(axis: Any, analysis: StaircaseAnalysis) -> None:
    for k, order in enumerate(analysis.config.orders):
        lines = [line for line in analysis.of("orders") if line.place[0] == order]
        lengths = [line.place[1] for line in lines]
        ends = np.array([[x.ratio.value, x.ratio.low, x.ratio.high] for x in lines]).T
        label = f"degrees 1 to {order}" if order > 1 else "degree 1"
        intervals(axis, lengths, *ends, color=COLOURS[k], marker=MARKERS[k], label=label)
    axis.axhline(1, color="k", lw=0.8, ls=":")
    axis.set(xlabel="length L (V = 2)", ylabel="K* measured / predicted", ylim=(0.4, 1.2))
    axis.set_xticks(analysis.config.lengths)
    axis.set_title("(b) Where fitted denoisers stop memorizing", loc="left")
    legend_below(axis)


def _degrees(axis: Any, analysis: StaircaseAnalysis) -> None:
    config, width = analysis.config, analysis.config.widths[-1]
    for m, method in enumerate(("readout", "all")):
        rate = config.learning_rate("degrees", method, width)
        times = rate * np.array(config.steps("degrees", method, width))
        table = analysis.data["degrees_error"].values[METHODS.index(method), -1]
        for k, degree in enumerate(DEGREES):
            style: dict[str, Any] = {"color": COLOURS[k], "marker": MARKERS[k], "ms": 3.5, "lw": 0}
            face = COLOURS[k] if m == 0 else "white"
            axis.plot(times, table[:, : len(times), k].mean(0), mfc=face, **style)
            if m == 0:
                axis.plot(times, degree_theory(config, times, width, degree), color=COLOURS[k])
    handles = [
        Line2D([], [], color=COLOURS[k], marker=MARKERS[k], label=f"degree {d}")
        for k, d in enumerate(DEGREES)
    ]
    handles += [
        Line2D([], [], color="0.35", marker="o", lw=0, mfc=face, label=WORDS[name])
        for name, face in (("readout", "0.35"), ("all", "white"))
    ]
    title = f"(c) Degrees in time, width {width}, unlimited data"
    finish(axis, "training time: steps times rate", "error", title, handles, 3)


def _curves(axis: Any, analysis: StaircaseAnalysis) -> None:
    config, width = analysis.config, analysis.config.widths[-1]
    rate = config.learning_rate("memory", "readout", width)
    times = rate * np.array(config.steps("memory", "readout", width))
    for k, size in enumerate(config.train_sizes):
        train, heldout = memory_theory(config, times, width, size)
        axis.plot(times, heldout - train, color=COLOURS[k], lw=1.3)
        for method, face in (("readout", COLOURS[k]), ("all", "white")):
            error = analysis.data["memory_error"].values[METHODS.index(method), -1, k]
            gap = (error[..., 1] - error[..., 0])[:, : len(times)].mean(0)
            axis.plot(times, gap, color=COLOURS[k], marker=MARKERS[k], ms=3.5, lw=0, mfc=face)
    handles = [
        Line2D([], [], color=COLOURS[k], marker=MARKERS[k], label=f"K = {size}")
        for k, size in enumerate(config.train_sizes)
    ]
    handles += [
        Line2D([], [], color="0.35", marker="o", lw=0, mfc=face, label=WORDS[name])
        for name, face in (("readout", "0.35"), ("all", "white"))
    ]
    title = f"(d) Memory in time, width {width}"
    finish(axis, "training time: steps times rate", "held-out - train error", title, handles, 3)


def _times(axis: Any, analysis: StaircaseAnalysis) -> None:
    """Steps to the memory that no linear map has."""
    config, width = analysis.config, analysis.config.widths[-1]
    sizes = np.array(config.train_sizes, dtype=float)
    handles = []
    for m, method in enumerate(METHODS):
        lines = [x for x in analysis.of("beyond", method) if x.place[0] == width]
        style: dict[str, Any] = {"color": COLOURS[m], "marker": MARKERS[m]}
        axis.plot(sizes, [line.measured for line in lines], lw=1, **style)
        handles.append(Line2D([], [], label=WORDS[method], **style))
        if method == "all":
            predicted = [line.predicted for line in lines]
            axis.plot(sizes, predicted, color="k", marker="x", lw=0)
            first = lines[0].measured
            if np.isfinite(first):
                axis.plot(sizes, first * sizes / sizes[0], color="k", lw=0.9, ls=":")
    handles.append(Line2D([], [], color="k", marker="x", lw=0, label="theory of the kernel"))
    handles.append(Line2D([], [], color="k", lw=0.9, ls=":", label="proportional to K"))
    axis.set_xlim(sizes[0] / 1.5, sizes[-1] * 1.5)
    if any(np.isfinite(line.measured) for x in METHODS for line in analysis.of("beyond", x)):
        axis.set_yscale("log")
    title = f"(e) Steps to memory beyond a linear map, width {width}"
    finish(axis, "stored sequences K", "steps", title, handles, 2)


def _ratios(axis: Any, analysis: StaircaseAnalysis) -> None:
    ticks = []
    axis.axvspan(1 / FACTOR, FACTOR, color="0.92")
    for m, method in enumerate(METHODS):
        for kind, marker in (("degrees", "o"), ("gap", "s"), ("beyond", "D")):
            for line in analysis.of(kind, method):
                if line.ratio.verdict == "no ratio":
                    continue
                what = {"degrees": "degree", "gap": "gap, K =", "beyond": "beyond, K ="}[kind]
                ticks.append(f"{what} {line.place[1]}, width {line.place[0]}")
                ends = line.ratio.low, line.ratio.high
                axis.plot(ends, [len(ticks)] * 2, color=COLOURS[m], lw=1)
                axis.plot(line.ratio.value, len(ticks), marker=marker, color=COLOURS[m], ms=4)
    axis.axvline(1, color="k", lw=0.8, ls=":")
    axis.set_yticks(range(1, len(ticks) + 1), ticks, fontsize=6)
    axis.invert_yaxis()
    handles = [
        Line2D([], [], color=COLOURS[m], lw=3, label=WORDS[x]) for m, x in enumerate(METHODS)
    ]
    finish(axis, "measured / predicted", "", "(f) Times of networks", handles, 2)

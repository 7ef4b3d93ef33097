"""The figure of the linear denoiser, drawn from a LinearAnalysis; computes nothing new."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from am_theory import linear
from simulations.linear_curves.analysis import (
    QUANTITIES,
    LinearAnalysis,
    Measured,
    ratios,
    theory,
)
from simulations.linear_curves.config import Case, dimension
from simulations.linear_curves.report import families, finite_size, label
from simulations.plots import finish, intervals, legend_below, panels, split_handles

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033")
MARKERS = "osD^vP"
LINES = ("-", "--")  # train, test
SIZE_LABEL = "x = K / (L (V - 1)), training sequences per dimension"
ERROR_LABEL = "squared error per effective dimension"


@panels(2, 3, (16.5, 10.4))
def draw(axes: Any, analysis: LinearAnalysis) -> tuple[str, str]:
    """The six panels: errors, tokens, corrupted tokens; finite size, noise draws, time."""
    _collapse(axes[0, 0], analysis, "error")
    _collapse(axes[0, 1], analysis, "all")
    for axis, panel in zip(axes.flat[2:], (_problems, _finite_size, _draws, _flow), strict=True):
        panel(axis, analysis)
    return (
        "The linear denoiser: a transition that is solved",
        "Independent uniform tokens. Lines: theory for infinitely many dimensions, no free "
        f"parameter. Markers: means over {analysis.config.seeds} training sets with 95 % "
        "intervals (bootstrap over training sets), mostly smaller than the marker. One pass, "
        "the largest entry of each site decides.",
    )


def _points(axis: Any, x: Any, part: Measured, where: Any, **style: Any) -> None:
    intervals(axis, x, part.estimate[where], part.low[where], part.high[where], **style)


def _curves(axis: Any, analysis: LinearAnalysis, index: int, measure: str, **style: Any) -> None:
    """Points of one case, filled for train and empty for test."""
    at = ratios(analysis.config.cases[index], analysis.config.ratios)
    for split, face in (("train", style["color"]), ("test", "white")):
        where = np.s_[:, QUANTITIES.index((measure, split))]
        _points(axis, at, analysis.curves[index], where, mfc=face, **style)


def _theory(axis: Any, analysis: LinearAnalysis, case: Case, measure: str, colour: str) -> None:
    x = np.geomspace(analysis.config.ratios[0], analysis.config.ratios[-1], 200)
    sizes = np.maximum(x * dimension(case), 1)
    for curve, line in zip(theory(case, sizes, measure), LINES, strict=True):
        axis.plot(x, curve, color=colour, ls=line, lw=1.3)


def _collapse(axis: Any, analysis: LinearAnalysis, measure: str) -> None:
    """One V and alpha at several L: all fall on one curve."""
    (vocab_size, alpha), members = max(families(analysis.config), key=lambda f: len(f[1]))
    title, y_label, limit, words = {
        "error": (
            "(a) Train and test error meet",
            ERROR_LABEL,
            1 - alpha**2,
            "limit of both, $1 - \\alpha^2$",
        ),
        "all": (
            "(b) So does token recovery",
            "share of all tokens that are right",
            alpha + (1 - alpha) / vocab_size,
            "limit of both: keep every token",
        ),
    }[measure]
    _theory(axis, analysis, analysis.config.cases[members[0]], measure, "0.35")
    handles = split_handles()
    for k, index in enumerate(members):
        length = analysis.config.cases[index][1]
        style: dict[str, Any] = {"color": COLOURS[k % 6], "marker": MARKERS[k % 6]}
        _curves(axis, analysis, index, measure, **style)
        handles.append(Line2D([], [], lw=0, label=f"L = {length}", **style))
    handles.append(axis.axhline(limit, color="k", lw=0.8, ls=":", label=words))
    title += f": V = {vocab_size}, α = {alpha:g}"
    finish(axis, SIZE_LABEL, y_label, title, handles)


def _problems(axis: Any, analysis: LinearAnalysis) -> None:
    """Corrupted tokens, for the longest sequences of each V and alpha."""
    handles = split_handles()
    for k, ((vocab_size, alpha), members) in enumerate(families(analysis.config)):
        index = max(members, key=lambda i: analysis.config.cases[i][1])
        case, colour = analysis.config.cases[index], COLOURS[k % 6]
        _theory(axis, analysis, case, "corrupted", colour)
        _curves(axis, analysis, index, "corrupted", color=colour, marker="o")
        words = f"V = {vocab_size}, α = {alpha:g}, L = {case[1]}"
        handles.append(Line2D([], [], color=colour, lw=4, label=words))
    handles.append(axis.axhline(0.5, color="0.6", lw=0.8, ls=":", label="one half"))
    title = "(c) Corrupted tokens are restored from memory alone"
    finish(axis, SIZE_LABEL, "share of corrupted tokens that are restored", title, handles, 2)


def _finite_size(axis: Any, analysis: LinearAnalysis) -> None:
    """Deviation of the errors from theory against d."""
    largest = 0.0
    for k, ((vocab_size, alpha), members) in enumerate(families(analysis.config)):
        rows = sorted((finite_size(analysis, i) for i in members), key=lambda r: r.dimension)
        d, colour = [row.dimension for row in rows], COLOURS[k % 6]
        deviation = [row.deviation["error"] for row in rows]
        largest = max(largest, *(v * size for v, size in zip(deviation, d, strict=True)))
        style = {"marker": MARKERS[k % 6], "ms": 5, "lw": 1.2}
        words = f"V = {vocab_size}, α = {alpha:g}"
        axis.plot(d, deviation, color=colour, label=words, **style)
        axis.plot(d, [row.error["error"] for row in rows], color=colour, lw=1, ls=":")
    dimensions = sorted({dimension(case) for case in analysis.config.cases})
    ends = np.array([dimensions[0], dimensions[-1]], float)
    axis.plot(ends, 1.4 * largest / ends, color="k", lw=0.9, ls="--", label="slope of 1 / d")
    axis.plot([], [], color="0.35", lw=1, ls=":", label="standard error of a point (rms)")
    axis.set(xscale="log", yscale="log")
    axis.set_xticks(dimensions)
    axis.set_xticks([], minor=True)
    axis.get_xaxis().set_major_formatter("{x:g}")
    axis.tick_params(axis="x", labelrotation=45, labelsize=7.5)
    axis.set_xlabel("effective dimensions d = L (V - 1)")
    axis.set_ylabel("errors, simulation - theory (rms over x and split)")
    axis.set_title("(d) Finite size: the deviation falls as 1 / d", loc="left")
    legend_below(axis)


def _draws(axis: Any, analysis: LinearAnalysis) -> None:
    """Test error of fits to drawn noise; one draw has a theory."""
    config, data = analysis.config, analysis.data
    vocab_size, seq_len, alpha = config.draws_case
    at = ratios(config.draws_case, config.draws_ratios)
    x = np.geomspace(at[0], at[-1], 400)
    sizes = np.maximum(x * dimension(config.draws_case), 1)
    for k, ridge in enumerate(config.ridges):
        colour = COLOURS[k % 6]
        curve = linear.one_draw_errors(sizes, seq_len, vocab_size, alpha, ridge).heldout
        axis.plot(x, curve, color=colour, lw=1.3, label=f"1 draw, ridge {ridge:g}")
        _points(axis, at, analysis.draws, np.s_[k, :, 1], color=colour, marker="o")
    least = data.isel(ridge=int(np.argmin(config.ridges)))
    for k, count in enumerate([n for n in config.draws if n > 1] + [0]):
        mean = least["test"].sel(draws=count).mean("seed").values
        words = f"{count or 'infinitely many'} draws, ridge {min(config.ridges):g} (no theory line)"
        style = {"color": "0.35", "marker": MARKERS[k + 1], "mfc": "white", "ms": 4, "ls": ":"}
        axis.plot(at, mean, lw=0.8, **style)
        axis.plot([], [], label=words, **style)
    axis.axhline(1 - alpha**2, color="k", lw=0.8, ls=":")
    axis.axvline(1.0, color="0.6", lw=0.8)
    axis.set_yscale("log")
    ticks = [v for v in (0.7, 1, 1.5, 2, 3, 4, 6, 8) if v < axis.get_ylim()[1]]
    axis.set_yticks(ticks, [f"{v:g}" for v in ticks])
    axis.set_yticks([], minor=True)
    title = f"(e) Few noise draws: a peak at draws x K = d ({label(config.draws_case)})"
    finish(axis, SIZE_LABEL, f"test {ERROR_LABEL}", title, ncol=2)


def _flow(axis: Any, analysis: LinearAnalysis) -> None:
    """Errors over training time."""
    config = analysis.config
    vocab_size, seq_len, alpha = config.flow_case
    tau = np.geomspace(config.times[0], config.times[-1], 200)
    handles = split_handles()
    for k, size in enumerate(config.flow_sizes):
        colour = COLOURS[k % 6]
        exact = linear.training_errors(size, seq_len, vocab_size, alpha, tau)
        for j, (curve, face) in enumerate(((exact.train, colour), (exact.heldout, "white"))):
            axis.plot(tau, curve, color=colour, ls=LINES[j], lw=1.3)
            style = {"color": colour, "marker": "o", "mfc": face}
            _points(axis, config.times, analysis.flow, np.s_[k, :-1, j], **style)
        handles.append(Line2D([], [], color=colour, lw=4, label=f"K = {size}"))
    title = f"(f) Stopping early helps at small K ({label(config.flow_case)})"
    x_label = "training time τ (learning rate times steps)"
    finish(axis, x_label, ERROR_LABEL, title, handles, 4)

"""The figure of the random-feature denoiser, drawn from a FeatureAnalysis."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from simulations.plots import finish, intervals, legend_below, panels, split_handles
from simulations.random_features.analysis import IN_RANGE, NAMES, FeatureAnalysis, predicted
from simulations.random_features.config import Point
from simulations.random_features.report import case_label, resolved

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033")
MARKERS = "osD^vP"
LINES = ("-", "--")  # train, test
ERROR_LABEL = "squared error per effective dimension"
SIZE_LABEL = "x = K / d, training sequences per dimension"
FINE = 30  # points of a line of theory


@panels(2, 3, (16.5, 10.8))
def draw(axes: Any, analysis: FeatureAnalysis) -> tuple[str, str]:
    """The six panels: errors, corrupted tokens, few draws; time, chain, finite size."""
    fills = (_errors, _recovery, _draws, _flow, _chain, _sizes)
    for axis, fill in zip(axes.flat, fills, strict=True):
        fill(axis, analysis)
    config = analysis.config
    return (
        "A denoiser with hidden units that is solved: random features, theory and simulation",
        f"V = {config.vocab_size}; d = L (V - 1) = {analysis.points[0].dimension} but in (f). "
        "Lines: theory at the same number of noise draws, no free parameter. Markers: means over "
        "training sets with 95 % intervals (bootstrap over training sets), mostly smaller than the "
        f"marker; small pale ones: p / (K d) above {IN_RANGE:g}, where theory claims nothing. "
        "(f) has what is seen at the smallest d.",
    )


def _points(
    axis: Any, analysis: FeatureAnalysis, places: list[int], x: Any, quantity: str, **style: Any
) -> None:
    """Markers of a curve, paler where the point is out of the range of the theory."""
    part, k = analysis.measured, NAMES.index(quantity)
    crowded = np.array([analysis.points[i].crowding > IN_RANGE for i in places])
    for where, extra in ((~crowded, {}), (crowded, {"alpha": 0.45, "ms": 3})):
        rows = np.array(places)[where]
        ends = part.estimate[rows, k], part.low[rows, k], part.high[rows, k]
        intervals(axis, np.array(x)[where], *ends, **{**style, **extra})


def _line(point: Point, x: float) -> tuple[float, ...]:
    """Theory at x = K / d, with the draws that a point of a run would have there, not rounded."""
    size = x * point.dimension
    draws = max(1.0, point.draws * point.train_size / size)
    return predicted(point._replace(train_size=size, draws=draws))  # type: ignore[arg-type]


def _over_size(
    axis: Any, analysis: FeatureAnalysis, panel: str, names: tuple[str, str]
) -> list[Any]:
    """Curves of a panel over K / d, train and test, with their lines; returns handles."""
    handles = split_handles()
    cases = {"curves": analysis.config.cases, "chain": (analysis.config.chain_case,)}[panel]
    for group, case in enumerate(cases):
        places = analysis.places(panel, group)
        here = [analysis.points[i] for i in places]
        x = np.array([point.train_size / point.dimension for point in here])
        fine = np.geomspace(x[0], x[-1], FINE)
        table = np.array([_line(here[-1], value) for value in fine])
        style: dict[str, Any] = {"color": COLOURS[group % 6], "marker": MARKERS[group % 6]}
        for name, line, face in zip(names, LINES, (style["color"], "white"), strict=True):
            axis.plot(fine, table[:, NAMES.index(name)], color=style["color"], ls=line, lw=1.3)
            _points(axis, analysis, places, x, name, mfc=face, **style)
        handles.append(Line2D([], [], lw=0, label=case_label(case), **style))
    return handles


def _errors(axis: Any, analysis: FeatureAnalysis) -> None:
    handles = _over_size(axis, analysis, "curves", ("train error", "test error"))
    axis.set_ylim(0, 1.2)
    finish(axis, SIZE_LABEL, ERROR_LABEL, "(a) Train and test error meet", handles, 2)


def _recovery(axis: Any, analysis: FeatureAnalysis) -> None:
    names = "corrupted train recovery", "corrupted test recovery"
    handles = _over_size(axis, analysis, "curves", names)
    title = "(b) Corrupted tokens are restored from memory alone"
    finish(axis, SIZE_LABEL, "share of corrupted tokens that are restored", title, handles, 2)


def _draws(axis: Any, analysis: FeatureAnalysis) -> None:
    handles = []
    for group, draws in enumerate(analysis.config.draws):
        places = analysis.places("draws", group)
        here = [analysis.points[i] for i in places]
        x = np.array([point.train_size * draws / point.n_features for point in here])
        fine = np.unique(np.append(np.geomspace(x[0], x[-1], FINE), np.linspace(0.9, 1.1, 21)))
        sizes = fine * here[0].n_features / draws
        table = [predicted(here[0]._replace(train_size=size))[1] for size in sizes]
        colour = COLOURS[group % 6]
        axis.plot(fine, table, color=colour, lw=1.3)
        words = f"n = {draws} draw" + "s" * (draws > 1)
        style: dict[str, Any] = {"color": colour, "marker": MARKERS[group % 6]}
        _points(axis, analysis, places, x, "test error", **style)
        handles.append(Line2D([], [], label=words, **style))
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    ticks = [v for v in (0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 8, 12, 20, 30) if low < v < high]
    axis.set_yticks(ticks, [f"{v:g}" for v in ticks])
    axis.set_yticks([], minor=True)
    axis.axvline(1, color="0.6", lw=0.8, ls=":")
    title = "(c) Few noise draws: a peak at K n = p"
    finish(axis, "K n / p, noisy sequences per feature", f"test {ERROR_LABEL}", title, handles, 3)


def _flow(axis: Any, analysis: FeatureAnalysis) -> None:
    config, handles = analysis.config, split_handles()
    times = np.geomspace(config.times[0], config.times[-1], FINE)
    for group, ratio in enumerate(config.flow_ratios):
        places = analysis.places("flow", group)[:-1]  # the last one is of infinite time
        first, colour = analysis.points[places[0]], COLOURS[group % 6]
        table = np.array([predicted(first._replace(time=time)) for time in times])
        for k, (name, face) in enumerate((("train error", colour), ("test error", "white"))):
            axis.plot(times, table[:, k], color=colour, ls=LINES[k], lw=1.3)
            style = {"color": colour, "marker": "o", "mfc": face}
            _points(axis, analysis, places, config.times, name, **style)
        handles.append(Line2D([], [], color=colour, lw=4, label=f"K = {ratio:g} d"))
    title = f"(d) Time switches features on: {case_label(config.flow_case)}"
    finish(axis, "training time τ (learning rate times steps)", ERROR_LABEL, title, handles, 4)


def _chain(axis: Any, analysis: FeatureAnalysis) -> None:
    handles = _over_size(axis, analysis, "chain", ("train error", "test error"))
    title = f"(e) A chain that jumps with probability {analysis.config.redraw:g}"
    finish(axis, SIZE_LABEL, ERROR_LABEL, title, handles, 3)


def _sizes(axis: Any, analysis: FeatureAnalysis) -> None:
    """Absolute deviations over d, of those that are seen at the smallest."""
    top = 0.0
    shown = [found for found in analysis.decreases if resolved(found)]
    for found in shown:
        quantities = sorted({part.quantity for part in shown})
        d, gap = np.array(found.dimensions), np.abs(found.deviation)
        error = 1.96 * np.array(found.error)
        style: dict[str, Any] = {
            "color": COLOURS[quantities.index(found.quantity)],
            "marker": MARKERS[found.case % 6],
        }
        floor = np.maximum(gap - error, gap / 1e3)
        intervals(axis, d, gap, floor, gap + error, **style)
        fine = np.geomspace(d[0], d[-1], FINE)
        law = np.abs(found.first / fine + found.second / fine**2)
        axis.plot(fine, law, color=style["color"], lw=0.9)
        top = max(top, *(gap + error))
    case = analysis.config.size_cases
    handles = [
        Line2D([], [], color=COLOURS[k], lw=4, label=name)
        for k, name in enumerate(sorted({part.quantity for part in shown}))
    ]
    handles += [
        Line2D([], [], color="0.35", marker=MARKERS[k % 6], lw=0, label=case_label(c))
        for k, c in enumerate(case)
    ]
    axis.set(xscale="log", yscale="log")
    if top:
        axis.set_ylim(1e-4, 1.5 * top)
    dimensions = [n * (analysis.config.vocab_size - 1) for n in analysis.config.lengths]
    axis.set_xticks(dimensions, [str(d) for d in dimensions])
    axis.set_xticks([], minor=True)
    axis.set(xlabel="effective dimensions d = L (V - 1)", ylabel="|simulation - theory| at K = d")
    axis.set_title("(f) What theory leaves out falls with d: lines c / d + e / d²", loc="left")
    legend_below(axis, handles, 2)

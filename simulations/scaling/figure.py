"""The figure of the scaling laws, drawn from a ScalingAnalysis; computes nothing new."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from simulations.linear_curves.config import dimension
from simulations.plots import intervals, legend_below, panels
from simulations.scaling.analysis import (
    ScalingAnalysis,
    half_ratio,
    linear_families,
    steps_of,
    widths_of,
)
from simulations.scaling.config import SOURCES, draws_conditions, hierarchy_conditions
from simulations.scaling.sizes import (
    Measured,
    SizeName,
    log_interval,
    memorized,
    size_by_seed,
    student_interval,
)

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033")
MARKERS = "osD^vP"
HEADLINES: dict[SizeName, str] = {"memory": "$K_M$", "generalization": "$K_G$"}
SHOWN: dict[SizeName, str] = {**HEADLINES, "recovery": r"$K_{1/2}$", "entropy": "$K_H$"}
OPEN = ("generalization", "entropy")  # drawn as open marks
SIZE_LABEL = "transition size K* (sequences)"
GAP = 0.12  # of a legend below its axis
TRAIN_LABEL = "training-set size K (sequences)"
Panel = Callable[[Any, ScalingAnalysis], None]


def draw(analysis: ScalingAnalysis, axes: Any = None) -> Figure:
    """The figure, as `simulations.plots.panels` makes it: two rows of three panels, of four where
    the run has hierarchies or noise draws."""
    config = analysis.config
    shown: list[Panel] = [_parameters, _steps, _fractions, _linear, _information, _collapsed]
    shown += [_hierarchies] * bool(config.hierarchies) + [_draws] * bool(config.draws)

    def fill(axes: Any, analysis: ScalingAnalysis) -> tuple[str, str]:
        for letter, axis, panel in zip("abcdefgh", axes.flat, shown, strict=False):
            panel(axis, analysis)
            axis.set_title(f"({letter}) {axis.get_title(loc='left')}", loc="left")
        for axis in axes.flat[len(shown) :]:
            axis.set_visible(False)
        return (
            "Where the transition sits, and what moves it",
            f"MLP denoisers, V = {config.vocab_size}, L = {config.seq_len} (but for hierarchies "
            "and the linear denoiser). iid: nothing to learn but the sequences; markov: a chain. "
            f"Means over {config.seeds} seeds, bars Student's 95 % intervals over seeds (linear: "
            f"{config.linear_sets} training sets); (c) and (f) means alone. Dotted: slope 1.\n"
            "Memory M and generalization G by corrupted recovery, between the optimal memorizer "
            "and the exact law: M of training, G of held-out inputs. K_M: M falls through 1/2; "
            "K_G: G rises through it; K_1/2: the gap of recoveries has halved; K_H: entropy passes "
            "half of the source's.",
        )

    columns = math.ceil(len(shown) / 2)
    drawn: Figure = panels(2, columns, (5.6 * columns, 10.6))(fill)(analysis, axes)
    return drawn


def _looks(parts: list[Measured], **words: Any) -> Iterator[tuple[Measured, dict[str, Any]]]:
    """Each network with its colour, its marker and thin lines."""
    for part, colour, marker in zip(parts, COLOURS, MARKERS, strict=False):
        yield part, {"color": colour, "marker": marker, "ms": 5, "lw": 1, **words}


def _thousands(part: Measured) -> str:
    return f"N = {part.n_parameters / 1000:.0f}k"


def _point(axis: Any, x: float, values: Any, **style: Any) -> None:
    """A size with its interval; nothing where a seed has none on the grid."""
    middle, low, high = log_interval(values)
    if math.isfinite(middle):
        intervals(axis, [x], *np.array([[middle], [low], [high]]), ms=5, **style)


def _guide(axis: Any, x: Any, through: float) -> None:
    """A dotted line of slope 1 through the first of x at `through`."""
    x = np.asarray(x, dtype=np.float64)
    if math.isfinite(through):
        axis.plot(x, through * x / x[0], color="0.55", lw=1, ls=":")


def _logs(axis: Any, x_label: str, y_label: str, title: str) -> None:
    if not 0 < axis.dataLim.y1 < math.inf:
        axis.set(xlim=(1, 10), ylim=(1, 10))
        words = "no transition on this grid of K\nin every seed"
        axis.text(0.5, 0.5, words, ha="center", va="center", transform=axis.transAxes)
    axis.set_xscale("log")
    axis.set_yscale("log")
    for part in (axis.xaxis, axis.yaxis):
        low, high = part.get_view_interval()
        wide = high > 1000 * low
        part.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
        part.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        part.set_minor_formatter(NullFormatter())
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.set_title(title, loc="left")
    legend_below(axis, ncol=2, gap=GAP)


def _sizes(
    axis: Any,
    families: list[tuple[str, list[Measured], list[float], str]],
    names: dict[SizeName, str],
) -> None:
    """Points of every family (label, parts, x, colour), one marker a definition of K*."""
    for label, parts, x, colour in families:
        for (name, words), marker in zip(names.items(), MARKERS, strict=False):
            face = "white" if name in OPEN else colour
            axis.plot([], [], marker, color=colour, mfc=face, label=f"{label}, {words}")
            sizes = [size_by_seed(part, name) for part in parts]
            line = {"color": colour, "ls": "--" if name in OPEN else "-", "lw": 0.8, "alpha": 0.6}
            axis.plot(x, [log_interval(v)[0] for v in sizes], **line)
            for place, values in zip(x, sizes, strict=True):
                _point(axis, place, values, color=colour, marker=marker, mfc=face)
    _, parts, x, _ = families[0]
    _guide(axis, x, log_interval(size_by_seed(parts[0], "memory"))[0])


def _parameters(axis: Any, analysis: ScalingAnalysis) -> None:
    families = []
    for source, colour in zip(SOURCES, COLOURS, strict=False):
        parts = analysis.of(widths_of(analysis.config, source))
        families.append((source, parts, [float(p.n_parameters) for p in parts], colour))
    _sizes(axis, families, SHOWN)
    title = f"K* and size, T = {analysis.config.step_counts[-1]:,} steps"
    _logs(axis, "parameters N", SIZE_LABEL, title)


def _steps(axis: Any, analysis: ScalingAnalysis) -> None:
    families, config = [], analysis.config
    for source, pair in zip(SOURCES, (COLOURS[:2], COLOURS[2:4]), strict=True):
        for width, colour in zip((config.widths[-1], config.widths[0]), pair, strict=True):
            parts = analysis.of(steps_of(config, source, width))
            label = f"{source}, {_thousands(parts[0])}"
            families.append((label, parts, [float(s) for s in config.step_counts], colour))
    _sizes(axis, families, HEADLINES)
    _logs(axis, "training steps T", SIZE_LABEL, "K* and training time")


def _linear(axis: Any, analysis: ScalingAnalysis) -> None:
    families = linear_families(analysis.linear).items()
    for ((vocab_size, alpha), cases), colour, marker in zip(
        families, COLOURS, MARKERS, strict=False
    ):
        d = np.array([dimension(case) for case in cases], dtype=np.float64)
        axis.plot([], [], marker, color=colour, label=rf"V = {vocab_size}, $\alpha$ = {alpha:g}")
        for place, case in zip(d, cases, strict=True):
            _point(axis, place, analysis.linear[case], color=colour, marker=marker)
        axis.plot(d, half_ratio(vocab_size, alpha) * d, color=colour, lw=1.2)
    _logs(axis, "d = L (V - 1)", SIZE_LABEL, "linear denoiser; lines: closed form")


def _information(axis: Any, analysis: ScalingAnalysis) -> None:
    parts = analysis.of(widths_of(analysis.config, "iid"))
    sizes = parts[0].train_sizes
    for part, look in _looks(parts):
        bits = memorized(part) / np.log(2)
        middle = bits.mean(0)
        _, low, high = np.array([student_interval(column) for column in bits.T]).T
        ends = np.nan_to_num([middle - low, high - middle])
        shown = np.where(middle > 0, middle, np.nan)
        axis.errorbar(sizes, shown, ends, elinewidth=1, label=_thousands(part), **look)
    most = sizes * np.maximum(parts[0].source_entropy - np.log(sizes), 0) / np.log(2)
    axis.plot(sizes, most, color="k", lw=1.2, ls="--", label="all there is: K (H - log K)")
    _logs(axis, TRAIN_LABEL, "memorized, bits (at least)", "memorized information, iid")


def _fractions(axis: Any, analysis: ScalingAnalysis) -> None:
    source = SOURCES[-1]
    for part, look in _looks(analysis.of(widths_of(analysis.config, source))):
        for words, curve, face, line in (
            ("M", part.memory, look["color"], "-"),
            ("G", part.generalization, "white", "--"),
        ):
            label = f"{words}, {_thousands(part)}"
            axis.plot(part.train_sizes, curve.estimate, ls=line, mfc=face, label=label, **look)
    axis.axhline(0.5, color="0.7", lw=0.8)
    axis.set_xscale("log")
    axis.set_xlabel(TRAIN_LABEL)
    low, high = axis.get_ylim()
    axis.set_ylim(max(low, -0.5), min(high, 1.5))
    axis.set_ylabel("memory M, generalization G")
    title = f"M and G, {source}, T = {analysis.config.step_counts[-1]:,} steps"
    axis.set_title(title, loc="left")
    legend_below(axis, ncol=3, gap=GAP)


def _collapsed(axis: Any, analysis: ScalingAnalysis) -> None:
    means = [np.mean([c.exponent for c in analysis.collapses[source]]) for source in SOURCES]
    found = {s: float(m) if math.isfinite(m) else 0.0 for s, m in zip(SOURCES, means, strict=True)}
    for source, line in zip(SOURCES, ("-", "--"), strict=True):
        for part, look in _looks(analysis.of(widths_of(analysis.config, source)), ls=line):
            scale = (part.n_parameters / 1000) ** found[source]
            face, label = look["color"] if source == "iid" else "white", _thousands(part)
            x, gap = part.train_sizes / scale, part.relative_gap.mean(0)
            axis.plot(x, gap, mfc=face, label=f"{source}, {label}", **look)
    words = ", ".join(rf"{source} $\eta$ = {value:.2f}" for source, value in found.items())
    axis.set_xlabel(r"K / $N^\eta$, N in thousands")
    axis.set_title(f"gap of recoveries, collapsed: {words}", loc="left")
    axis.axhline(0.5, color="0.7", lw=0.8)
    axis.set_xscale("log")
    axis.set_ylabel("train minus held-out recovery, over its first value")
    legend_below(axis, ncol=2, gap=GAP)


def _hierarchies(axis: Any, analysis: ScalingAnalysis) -> None:
    parts = analysis.of(hierarchy_conditions(analysis.config))
    depths = sorted({part.condition.depth for part in parts})
    looks = dict(zip(depths, zip(COLOURS, MARKERS, strict=True), strict=False))
    for depth, (colour, marker) in looks.items():
        axis.plot([], [], marker, color=colour, label=f"depth {depth}")
    found = []
    for part in parts:
        rules, (colour, marker) = part.condition.n_rules, looks[part.condition.depth]
        scale, values = float(rules**part.condition.depth), size_by_seed(part, "learned")
        _point(axis, scale, values, color=colour, marker=marker)
        middle = log_interval(values)[0]
        if math.isfinite(middle):
            found.append((scale, middle))
            offset = {"xytext": (6, -9), "textcoords": "offset points", "fontsize": 7.5}
            axis.annotate(f"m = {rules}", (scale, middle), **offset)
    if found:
        start, most = min(found), max(scale for scale, _ in found)
        _guide(axis, [start[0], most], start[1])
    sizes = ", ".join(str(v) for v in {v for v, _, _ in analysis.config.hierarchies})
    y_label = "K where held-out recovery is half-way (sequences)"
    _logs(axis, r"$m^{depth}$", y_label, f"random hierarchies, v = {sizes}")


def _draws(axis: Any, analysis: ScalingAnalysis) -> None:
    parts = analysis.of(draws_conditions(analysis.config))
    for part, look in _looks(parts, ms=4.5, lw=1.2):
        curves, sizes = part.code_length["heldout"], part.train_sizes
        draws = part.condition.draws
        label = f"n = {draws}" if draws else "fresh noise"
        axis.plot(sizes, curves.mean(0), label=label, **look)
        band = (curves.min(0), curves.max(0))
        axis.fill_between(sizes, *band, color=look["color"], alpha=0.15, lw=0)
    axis.axhline(parts[0].source_entropy, color="k", lw=1, ls="--", label="source entropy H")
    y_label = "held-out code length, nats a sequence"
    _logs(axis, TRAIN_LABEL, y_label, "noise draws n a sequence (bands: seeds)")

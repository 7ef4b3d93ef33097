"""The figure of the scaling laws, drawn from a ScalingAnalysis; computes nothing new."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from am_theory.linear import convergence_size
from simulations.phase.figure import STYLE, save
from simulations.scaling.analysis import ScalingAnalysis, steps_of, widths_of
from simulations.scaling.config import (
    SOURCES,
    draws_conditions,
    hierarchy_conditions,
)
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
SHOWN: tuple[tuple[SizeName, str], ...] = (
    ("recovery", r"$K_{1/2}$ recovery"),
    ("entropy", r"$K_H$ entropy"),
)
SIZE_LABEL = "transition size K* (sequences)"
TRAIN_LABEL = "training-set size K (sequences)"
Panel = Callable[[Any, ScalingAnalysis], None]


def scaling_figure(analysis: ScalingAnalysis, stem: Path) -> None:
    """Write the figure to `stem`.png and `stem`.pdf: six panels, eight where the run has
    hierarchies and noise draws."""
    panels: list[Panel] = [_parameters, _steps, _linear, _information, _gaps, _collapsed]
    if analysis.config.hierarchies:
        panels.append(_hierarchies)
    if analysis.config.draws:
        panels.append(_draws)
    columns = math.ceil(len(panels) / 2)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            2, columns, figsize=(5.6 * columns, 10.6), constrained_layout=True
        )
        for letter, axis, panel in zip("abcdefgh", axes.flat, panels, strict=False):
            panel(axis, analysis)
            axis.set_title(f"({letter}) {axis.get_title(loc='left')}", loc="left")
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        config = analysis.config
        figure.suptitle("Where the transition sits, and what moves it", fontsize=12)
        figure.supxlabel(
            f"MLP denoisers, V = {config.vocab_size}, L = {config.seq_len} (but for hierarchies "
            "and the linear denoiser). iid: nothing to learn but the sequences; markov: a chain. "
            f"Means over {config.seeds} seeds, bars Student's 95 % intervals over seeds (linear: "
            f"{config.linear_sets} training sets); (e) and (f) means alone. Dotted: slope 1.",
            fontsize=8,
            x=0.01,
            ha="left",
        )
        save(figure, stem)


def _point(axis: Any, x: float, values: Any, **style: Any) -> None:
    """A size with its interval; nothing where a seed has none on the grid."""
    middle, low, high = log_interval(values)
    if math.isfinite(middle):
        ends = [[middle - low], [high - middle]]
        axis.errorbar([x], [middle], ends, lw=0, elinewidth=1, ms=5, **style)


def _guide(axis: Any, x: Any, through: float) -> None:
    """A dotted line of slope 1 through the first of x at `through`."""
    x = np.asarray(x, dtype=np.float64)
    if math.isfinite(through):
        axis.plot(x, through * x / x[0], color="0.55", lw=1, ls=":")


def _logs(axis: Any, x_label: str, y_label: str, title: str, legend: bool = True) -> None:
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
    if legend:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncol=2)


def _sizes(axis: Any, families: list[tuple[str, list[Measured], list[float], str]]) -> None:
    """Points of every family (label, parts, x, colour), one marker a definition of K*."""
    for label, parts, x, colour in families:
        for (name, words), marker in zip(SHOWN, MARKERS, strict=False):
            face = colour if name == "recovery" else "white"
            axis.plot([], [], marker, color=colour, mfc=face, label=f"{label}, {words}")
            sizes = [size_by_seed(part, name) for part in parts]
            axis.plot(x, [log_interval(v)[0] for v in sizes], color=colour, lw=0.8, alpha=0.6)
            for place, values in zip(x, sizes, strict=True):
                _point(axis, place, values, color=colour, marker=marker, mfc=face)
    _, parts, x, _ = families[0]
    _guide(axis, x, log_interval(size_by_seed(parts[0], SHOWN[0][0]))[0])


def _parameters(axis: Any, analysis: ScalingAnalysis) -> None:
    families = []
    for source, colour in zip(SOURCES, COLOURS, strict=False):
        parts = analysis.of(widths_of(analysis.config, source))
        families.append((source, parts, [float(p.n_parameters) for p in parts], colour))
    _sizes(axis, families)
    _logs(
        axis,
        "parameters N",
        SIZE_LABEL,
        f"K* and size, T = {analysis.config.step_counts[-1]:,} steps",
    )


def _steps(axis: Any, analysis: ScalingAnalysis) -> None:
    families, config = [], analysis.config
    for source, pair in zip(SOURCES, (COLOURS[:2], COLOURS[2:4]), strict=True):
        for width, colour in zip((config.widths[-1], config.widths[0]), pair, strict=True):
            parts = analysis.of(steps_of(config, source, width))
            label = f"{source}, N = {parts[0].n_parameters / 1000:.0f}k"
            families.append((label, parts, [float(s) for s in config.step_counts], colour))
    _sizes(axis, families)
    _logs(axis, "training steps T", SIZE_LABEL, "K* and training time")


def _linear(axis: Any, analysis: ScalingAnalysis) -> None:
    families: dict[tuple[int, float], list[Any]] = {}
    for case in analysis.linear:
        families.setdefault((case[0], case[2]), []).append(case)
    for (vocab_size, alpha), cases, colour, marker in zip(
        families, families.values(), COLOURS, MARKERS, strict=False
    ):
        d = np.array([case[1] * (vocab_size - 1) for case in cases], dtype=np.float64)
        label = rf"V = {vocab_size}, $\alpha$ = {alpha:g}"
        axis.plot([], [], marker, color=colour, label=label)
        for place, case in zip(d, cases, strict=True):
            _point(axis, place, analysis.linear[case], color=colour, marker=marker)
        exact = convergence_size(1, vocab_size, alpha, criterion="corrupted_recovery").ratio
        axis.plot(d, float(exact) * d, color=colour, lw=1.2)
    _logs(axis, "d = L (V - 1)", SIZE_LABEL, "linear denoiser; lines: closed form")


def _information(axis: Any, analysis: ScalingAnalysis) -> None:
    parts = analysis.of(widths_of(analysis.config, "iid"))
    sizes = parts[0].train_sizes
    for part, colour, marker in zip(parts, COLOURS, MARKERS, strict=False):
        bits = memorized(part) / np.log(2)
        low, high = [], []
        for column in bits.T:
            _, a, b = student_interval(column)
            low.append(a)
            high.append(b)
        middle = bits.mean(0)
        ends = np.nan_to_num([middle - low, high - middle])
        axis.errorbar(
            sizes,
            np.where(middle > 0, middle, np.nan),
            ends,
            color=colour,
            marker=marker,
            ms=5,
            lw=1,
            elinewidth=1,
            label=f"N = {part.n_parameters / 1000:.0f}k",
        )
    most = sizes * np.maximum(parts[0].source_entropy - np.log(sizes), 0) / np.log(2)
    axis.plot(sizes, most, color="k", lw=1.2, ls="--", label="all there is: K (H - log K)")
    _logs(axis, TRAIN_LABEL, "memorized, bits (at least)", "memorized information, iid")


def _gaps(axis: Any, analysis: ScalingAnalysis) -> None:
    _gap_curves(axis, analysis, {source: 0.0 for source in SOURCES})
    axis.set_xlabel(TRAIN_LABEL)
    axis.set_title("gap of corrupted recovery, as measured", loc="left")


def _collapsed(axis: Any, analysis: ScalingAnalysis) -> None:
    found = {}
    for source in SOURCES:
        value = float(np.mean([c.exponent for c in analysis.collapses[source]]))
        found[source] = value if math.isfinite(value) else 0.0
    _gap_curves(axis, analysis, found)
    words = ", ".join(rf"{source} $\eta$ = {value:.2f}" for source, value in found.items())
    axis.set_xlabel(r"K / $N^\eta$, N in thousands")
    axis.set_title(f"the same, collapsed: {words}", loc="left")


def _gap_curves(axis: Any, analysis: ScalingAnalysis, exponents: dict[str, float]) -> None:
    for source, line in zip(SOURCES, ("-", "--"), strict=True):
        parts = analysis.of(widths_of(analysis.config, source))
        for part, colour, marker in zip(parts, COLOURS, MARKERS, strict=False):
            gap = (part.gap["ancestral"] / part.gap["ancestral"][:, :1]).mean(0)
            scale = (part.n_parameters / 1000) ** exponents[source]
            axis.plot(
                part.train_sizes / scale,
                gap,
                line,
                color=colour,
                marker=marker,
                ms=5,
                lw=1,
                mfc=colour if source == "iid" else "white",
                label=f"{source}, N = {part.n_parameters / 1000:.0f}k",
            )
    axis.axhline(0.5, color="0.7", lw=0.8)
    axis.set_xscale("log")
    axis.set_ylabel("train minus held-out recovery, over its first value")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncol=2)


def _hierarchies(axis: Any, analysis: ScalingAnalysis) -> None:
    parts = analysis.of(hierarchy_conditions(analysis.config))
    depths = sorted({part.condition.depth for part in parts})
    for depth, colour, marker in zip(depths, COLOURS, MARKERS, strict=False):
        axis.plot([], [], marker, color=colour, label=f"depth {depth}")
    found = []
    for part in parts:
        condition = part.condition
        index = depths.index(condition.depth)
        scale = float(condition.n_rules**condition.depth)
        values = size_by_seed(part, "learned")
        _point(axis, scale, values, color=COLOURS[index], marker=MARKERS[index])
        middle = log_interval(values)[0]
        if math.isfinite(middle):
            found.append((scale, middle))
            axis.annotate(
                f"m = {condition.n_rules}",
                (scale, middle),
                xytext=(6, -9),
                textcoords="offset points",
                fontsize=7.5,
            )
    if found:
        start, most = min(found), max(scale for scale, _ in found)
        _guide(axis, [start[0], most], start[1])
    _logs(
        axis,
        r"$m^{depth}$",
        "K where held-out recovery is half-way (sequences)",
        "random hierarchies, v = " + ", ".join(str(v) for v in {h[0] for h in _trees(analysis)}),
    )


def _trees(analysis: ScalingAnalysis) -> tuple[Any, ...]:
    return analysis.config.hierarchies


def _draws(axis: Any, analysis: ScalingAnalysis) -> None:
    parts = analysis.of(draws_conditions(analysis.config))
    for part, colour, marker in zip(parts, COLOURS, MARKERS, strict=False):
        draws = part.condition.draws
        curves = part.code_length["heldout"]
        axis.plot(
            part.train_sizes,
            curves.mean(0),
            color=colour,
            marker=marker,
            ms=4.5,
            lw=1.2,
            label=f"n = {draws}" if draws else "fresh noise",
        )
        axis.fill_between(
            part.train_sizes, curves.min(0), curves.max(0), color=colour, alpha=0.15, lw=0
        )
    axis.axhline(parts[0].source_entropy, color="k", lw=1, ls="--", label="source entropy H")
    _logs(
        axis,
        TRAIN_LABEL,
        "held-out code length, nats a sequence",
        "noise draws n a sequence (bands: seeds)",
    )

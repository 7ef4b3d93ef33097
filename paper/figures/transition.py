"""The transition of trained models between the two exact ends, and every estimate of its size."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from paper import style, tex
from paper.captions import interval_words, problem_words
from paper.sources import Results
from simulations.phase.analysis import Analysis, minus

RUNS = ("markov", "dit")
SHOWN_LEVELS = (0.1, 0.25, 0.5)
NAME = "corrupted recovery"
ENDS = (("train", "filled"), ("heldout", "open"))


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption; the transformer where it has been run."""
    first = results.open("markov").analysis.analysis
    second = results.open("dit").analysis.analysis if results.has("dit") else None
    figure = plt.figure(figsize=(style.WIDTH, 5.1), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    upper, lower = parts
    axes = list(upper.subplots(1, 3 if second else 2))
    for axis, analysis in zip(axes, (a for a in (first, second) if a), strict=False):
        recovery_panel(axis, analysis)
    if second:
        axes[1].set_ylabel("")
    plane_panel(axes[-1], upper, first)
    axes.append(lower.subplots())
    _sizes_panel(axes[-1], [a for a in (first, second) if a])
    words = ["MLP", "transformer"] if second else ["MLP"]
    style.titles(axes, [*words, "gap and radii (MLP)", "transition sizes, by every criterion"])
    style.below(upper, recovery_handles(first), 4)
    return figure, _caption(first, second)


def shown_levels(analysis: Analysis) -> list[int]:
    """Numbers of the noise levels that are drawn."""
    levels = analysis.config.levels
    return [i for i, t in enumerate(levels) if t in SHOWN_LEVELS] or [len(levels) // 2]


def _looks(number: int) -> list[dict[str, Any]]:
    colours = style.shades(number)
    return [{"color": c, "marker": m} for c, m in zip(colours, style.MARKERS, strict=False)]


def recovery_panel(axis: Any, analysis: Analysis) -> None:
    """Recovery of training and held-out sequences against K, between the exact denoisers."""
    shown, sizes = shown_levels(analysis), analysis.train_sizes
    for i, look in zip(shown, _looks(len(shown)), strict=True):
        for split, fill in ENDS:
            rate = analysis.rate(NAME, "trained", "ancestral", split)
            face = look["color"] if fill == "filled" else "white"
            part = (rate.estimate[:, i], rate.low[:, i], rate.high[:, i])
            style.points(axis, sizes, *part, mfc=face, zorder=3, **look)
        memory = analysis.rate(NAME, "empirical", "ancestral", "train").estimate[:, i]
        axis.plot(sizes, memory, color=look["color"])
        plateau = analysis.rate(NAME, "population", "ancestral", "heldout").estimate[:, i]
        axis.axhline(plateau.mean(), color=look["color"], ls="--")
    axis.set_ylim(0, 1.04)
    axis.set_ylabel("corrupted tokens recovered")
    style.size_axis(axis, sizes, most=4)


def recovery_handles(analysis: Analysis) -> list[Any]:
    """Legend of `recovery_panel` and of the plane."""
    shown = shown_levels(analysis)
    grey: dict[str, Any] = {"color": style.GREY}
    found = [
        style.handle(lw=0, label=f"$t = {analysis.config.levels[i]:g}$", **look)
        for i, look in zip(shown, _looks(len(shown)), strict=True)
    ]
    return [
        *found,
        style.handle(marker="o", lw=0, label="trained, on training sequences", **grey),
        style.handle(marker="o", mfc="w", lw=0, label="trained, on held-out ones", **grey),
        style.handle(label="empirical denoiser", **grey),
        style.handle(ls="--", label="population denoiser", **grey),
    ]


def _edges(values: Any, low: float, high: float) -> Any:
    middle = (np.asarray(values[1:]) + np.asarray(values[:-1])) / 2
    return np.concatenate([[low], middle, [high]])


def plane_panel(axis: Any, figure: Any, analysis: Analysis) -> None:
    """Train minus held-out recovery over K and t, basin radii of both, and the line at which
    the optimal memorizer loses its sequences."""
    config, sizes = analysis.config, analysis.train_sizes
    pair = [analysis.rate(NAME, "trained", "ancestral", split) for split, _ in ENDS]
    gap = minus(config, *pair).estimate.T
    logs = np.log2(sizes)
    columns = 2.0 ** _edges(logs, logs[0] - 0.5, logs[-1] + 0.5)
    top = min(1.0, config.levels[-1] + 0.1)
    rows = _edges(config.levels, 0, top)
    mesh = axis.pcolormesh(columns, rows, gap, cmap="Greys", vmin=0, vmax=1.25, rasterized=True)
    bar = figure.colorbar(
        mesh, ax=axis, pad=0.02, ticks=[0, 0.5, 1], boundaries=np.arange(0, 1.01, 0.05)
    )
    bar.set_label("train minus held-out", labelpad=1)
    for (split, _), colour, marker in zip(ENDS, (style.SKY, style.ORANGE), "os", strict=True):
        shown = [analysis.radii.get(("trained", split, "token_recovery", k)) for k in sizes]
        found = [(k, r) for k, r in zip(sizes, shown, strict=True) if r is not None]
        part = np.array([[k, r.value, r.low, r.high] for k, r in found]).T
        look = {"color": colour, "marker": marker, "mec": "k", "lw": 1.1, "zorder": 3}
        if len(found):
            style.points(axis, *np.where(np.isinf(part), np.nan, part), **look)
            past = part[0][np.isposinf(part[1])]
            axis.plot(past, np.full(len(past), top * 0.97), "^", color=colour, mec="k")
    if analysis.information:
        levels = np.array(list(analysis.information))
        memory = np.exp([value for value, _ in analysis.information.values()])
        inside = (memory > columns[0]) & (memory < columns[-1] * 4)
        axis.plot(memory[inside], levels[inside], color=style.VERMILION, ls="-.", lw=1.4)
    style.size_axis(axis, sizes, most=4)
    axis.set(xlim=(columns[0], columns[-1]), ylim=(0, top), ylabel="noise level $t$")


def _rows(analysis: Analysis) -> list[tuple[str, str]]:
    """Labels and keys of the transition sizes that are drawn."""
    levels = [analysis.config.levels[i] for i in shown_levels(analysis)]
    found = [
        (rf"${symbol}$, recovery, $t = {t:g}$", f"{kind} {NAME} ancestral t={t:g}")
        for kind, symbol in (("K_half", "K_{1/2}"), ("K_conv", r"K_{\rm conv}"))
        for t in levels
    ]
    for kind, words in (("vanishing", "vanishing share"), ("entropy", "mean entropy")):
        for split in ("train", "generated"):
            found.append((f"$K_H$, {words}, {split}", f"K_H {kind} loo {split} t=1e-05"))
    return found


def _sizes_panel(axis: Any, analyses: list[Analysis]) -> None:
    rows = _rows(analyses[0])
    sizes = sorted({k for a in analyses for k in a.train_sizes})
    ends = sizes[0] / 2, sizes[-1] * 2
    looks = ((style.BLUE, "o", "MLP"), (style.VERMILION, "s", "transformer"))
    for number, (analysis, (colour, marker, _)) in enumerate(zip(analyses, looks, strict=False)):
        aside = (number - (len(analyses) - 1) / 2) * 0.36
        for y, (_, key) in enumerate(reversed(rows)):
            found = analysis.sizes.get(key)
            if found is None or math.isnan(found.value):
                continue
            look = {"color": colour, "mfc": "w" if found.status == "upper limit" else colour}
            if math.isinf(found.value):
                past = found.value > 0
                axis.plot(ends[past], y + aside, ">" if past else "<", **look)
                continue
            low, high = (float(np.clip(v, *ends)) for v in (found.low, found.high))
            axis.plot([low, high], [y + aside] * 2, color=colour, lw=1)
            axis.plot(found.value, y + aside, marker, **look)
    axis.set_yticks(range(len(rows)), [label for label, _ in reversed(rows)], fontsize=8)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.7, len(rows) - 0.3)
    axis.grid(axis="x", color="0.9", lw=0.6)
    style.size_axis(axis, sizes)
    axis.set_xlim(ends[0] * 0.8, ends[1] * 1.25)
    if len(analyses) > 1:
        handles = [style.handle(color=c, marker=m, lw=1, label=w) for c, m, w in looks]
        axis.legend(handles=handles, loc="lower right")


def size_words(analysis: Analysis, key: str) -> str:
    """A transition size with its interval, as TeX."""
    found = analysis.sizes.get(key)
    if found is None or math.isnan(found.value):
        return "undefined"
    if math.isinf(found.value):
        return "beyond the grid" if found.value > 0 else "below the grid"
    return tex.interval(found.value, found.low, found.high, 0)


def _estimates(analysis: Analysis) -> str:
    """Two estimates of the transition size: by recovery at a middle level, and by entropy."""
    level = min(analysis.config.levels, key=lambda t: abs(t - 0.25))
    recovery = size_words(analysis, f"K_half {NAME} ancestral t={level:g}")
    entropy = size_words(analysis, "K_H entropy loo train t=1e-05")
    return f"{recovery} by recovery at $t={level:g}$, {entropy} by entropy"


def _caption(first: Analysis, second: Analysis | None) -> str:
    letters = ("(a), (b)", "(c)", "(d)") if second else ("(a)", "(b)", "(c)")
    other = ""
    if second:
        seeds = tex.counted(second.config.seeds, "seed")
        other = f"; transformer, {seeds}, $K$ = {tex.listing(second.train_sizes)}: "
        other += _estimates(second)
    return "\n".join(
        [
            r"\textbf{From memory to generalization}, "
            f"{problem_words(first.config)}. Networks trained on "
            f"$K$ = {tex.listing(first.train_sizes)} sequences; {interval_words(first.config)}.",
            f"{letters[0]} Share of the corrupted tokens that ancestral decoding restores. "
            "Markers: trained networks, filled on training and open on held-out sequences; solid "
            "lines: the empirical-score denoiser of the same $K$ sequences, one exact posterior "
            "draw; dashed: the exact denoiser of the source. No line has a free parameter.",
            f"{letters[1]} Gap between training and held-out sequences; circles and squares: basin "
            f"radii of both (recovery {first.config.threshold:g}; triangles: beyond the last "
            r"level); dash-dotted: $\log K=I(x_0;x_t)$, beyond which the optimal memorizer loses "
            "its sequences.",
            f"{letters[2]} Every estimate of the transition size (MLP: {_estimates(first)} of "
            rf"training sequences, \texttt{{loo}}{other}). Open: upper limits; arrows: beyond the "
            "grid.",
        ]
    )

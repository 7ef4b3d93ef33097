"""The figure of the study of rows, drawn from a RowsAnalysis; computes theory curves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from am_theory.conditional_likelihood import rows as theory_rows
from simulations.plots import intervals, legend_below, panels
from simulations.rows.analysis import LEVEL, LOSSES, RowsAnalysis, mean_of
from simulations.rows.config import case_name
from simulations.rows.report import deviation

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033")
MARKERS = "osD^vP"
LINES = {"train": "-", "heldout": "--"}
WORDS = {"train": "training sequences", "heldout": "unseen ones"}
SCALED = "K over the critical one, α$_c$ (L - 1) (V - 1)"


@panels(2, 3, (16.0, 9.8))
def draw(axes: Any, analysis: RowsAnalysis) -> tuple[str, str]:
    """Losses under noise, their deviations, entropy against load, separability, drops."""
    _losses(axes[0, 0], analysis)
    _deviations(axes[1, 0], analysis)
    for place, vocab_size in enumerate(analysis.config.vocabularies[:2]):
        _entropy(axes[0, 1 + place], analysis, vocab_size, "bc"[place])
    _separable(axes[1, 1], analysis)
    _drops(axes[1, 2], analysis)
    heading = "The entropy of a conditional-likelihood memory drops where its rows stop separating"
    caption = (
        "Lines: theory (dotted in b, c: weaker ridges than simulated). Markers: simulation, with "
        "95 % intervals over independent rows (a, d, e) or training sets (b, c, f)."
    )
    return heading, caption


def _losses(axis: Any, analysis: RowsAnalysis) -> None:
    config = analysis.config
    loads = np.geomspace(min(config.loads), max(config.loads), 30)
    largest = max(config.sizes)
    handles = []
    for k, alpha in enumerate(config.alphas):
        exact = theory_rows(loads, alpha)
        for name in LOSSES:
            axis.plot(loads, getattr(exact, name), color=COLOURS[k], ls=LINES[name], lw=1.3)
            mine = [p for p in analysis.points if (p.alpha, p.size) == (alpha, largest)]
            found = [p.simulated[name] for p in mine]
            _bars(axis, [p.load for p in mine], found, COLOURS[k], name == "train")
        handles.append(Line2D([], [], color=COLOURS[k], lw=4, label=f"kept: α = {alpha:g}"))
    for name in LOSSES:
        handles.append(Line2D([], [], color="0.35", ls=LINES[name], label=WORDS[name]))
    handles.append(axis.axhline(np.log(2), color="k", lw=0.8, ls=":", label="log 2"))
    axis.set(xscale="log", yscale="log", xlabel="load K / (L - 1)", ylabel="loss, nats a token")
    axis.set_title(f"(a) Rows under fresh noise: V = 2, {largest} inputs", loc="left")
    legend_below(axis, handles=handles, ncol=2)


def _deviations(axis: Any, analysis: RowsAnalysis) -> None:
    config = analysis.config
    for k, alpha in enumerate(config.alphas):
        for j, name in enumerate(LOSSES):
            found = [deviation(analysis, alpha, size, name) for size in config.sizes]
            value, half = (np.array(column) for column in zip(*found, strict=True))
            at = np.array(config.sizes) * (1 + 0.03 * (2 * k + j - 1.5))
            style: dict[str, Any] = {
                "color": COLOURS[k],
                "marker": MARKERS[j],
                "ls": LINES[name],
                "lw": 0.9,
            }
            axis.errorbar(at, value, half, ms=4, label=f"α = {alpha:g}, {WORDS[name]}", **style)
    axis.axhline(0, color="k", lw=0.8)
    axis.set(xscale="log", xlabel="inputs L - 1", ylabel="simulation less theory, nats a token")
    axis.set_xticks(config.sizes, [str(size) for size in config.sizes])
    axis.set_xticks([], minor=True)
    axis.set_title("(d) Their deviation from theory, mean over loads", loc="left")
    legend_below(axis, ncol=2)


def _entropy(axis: Any, analysis: RowsAnalysis, vocab_size: int, letter: str) -> None:
    config, data, top = analysis.config, analysis.data, np.log(vocab_size)
    loads = np.array(config.relative_loads)
    exact = data["theory_entropy"].sel(vocab_size=vocab_size).values / top
    handles = []
    for k, ridge in enumerate(config.theory_ridges):
        line = "-" if ridge in config.ridges else ":"
        known = np.isfinite(exact[:, k])
        axis.plot(loads[known], exact[known, k], color=COLOURS[k], lw=1.3, ls=line)
        words = f"ridge {ridge:g}"
        handles.append(Line2D([], [], color=COLOURS[k], lw=2.5, ls=line, label=words))
    for j, case in enumerate(c for c in config.memories if c[0] == vocab_size):
        curves = data["memories_entropy"].sel(case=case_name(case)).values / top
        for k, ridge in enumerate(config.ridges):
            colour = COLOURS[config.theory_ridges.index(ridge)]
            means = [mean_of(values) for values in curves[:, :, k].T]
            _bars(axis, loads * (1 + 0.006 * (j - 1)), means, colour, True, MARKERS[j])
        mark: dict[str, Any] = {"marker": MARKERS[j], "color": "0.35", "lw": 0}
        handles.append(Line2D([], [], label=f"L = {case[1]}", **mark))
    handles.append(axis.axvline(1.0, color="k", lw=0.9, ls=":", label="separability ends"))
    handles.append(axis.axhline(LEVEL, color="0.7", lw=0.8, label="level of the drop"))
    axis.set(xlabel=SCALED, ylabel="entropy of training sequences / log V", ylim=(0, None))
    axis.set_title(f"({letter}) Entropy without noise: V = {vocab_size}", loc="left")
    legend_below(axis, handles=handles, ncol=3)


def _separable(axis: Any, analysis: RowsAnalysis) -> None:
    for k, found in enumerate(analysis.limits):
        at = [1 / (case[1] - 1) for case, _ in found.cases]
        _bars(axis, at, [mean for _, mean in found.cases], COLOURS[k], True, MARKERS[k])
        _bars(axis, [0], [found.pooled], COLOURS[k], False, MARKERS[k])
        axis.axhline(found.theory, color=COLOURS[k], lw=1.2)
        axis.plot([], [], color=COLOURS[k], marker=MARKERS[k], label=f"V = {found.vocab_size}")
    axis.set(xlabel="1 / (L - 1); open, at 0: all L together", xlim=(-0.005, None))
    axis.set_ylabel("largest separable K / ((L - 1) (V - 1))")
    axis.set_title("(e) Linear programs against the critical load", loc="left")
    legend_below(axis, ncol=4)


def _drops(axis: Any, analysis: RowsAnalysis) -> None:
    for k, vocab_size in enumerate(analysis.config.vocabularies):
        mine = [drop for drop in analysis.drops if drop.case[0] == vocab_size]
        cases = list(dict.fromkeys(drop.case for drop in mine))
        for j, case in enumerate(cases):
            drops = [drop for drop in mine if drop.case == case]
            at = [drop.ridge * 1.15 ** (j - 1) for drop in drops]
            _bars(axis, at, [drop.measured for drop in drops], COLOURS[k], True, MARKERS[j])
            axis.plot([], [], color=COLOURS[k], marker=MARKERS[j], lw=0, label=case_name(case))
        predicted = analysis.predicted[vocab_size]
        axis.plot(analysis.config.theory_ridges, predicted, color=COLOURS[k], lw=1.3)
    axis.axhline(1.0, color="k", lw=0.9, ls=":")
    axis.set(
        xscale="log", xlabel="ridge λ", ylabel=f"K over the critical one, entropy {LEVEL:g} log V"
    )
    axis.invert_xaxis()
    axis.set_title("(f) The drop goes to the end of separability", loc="left")
    legend_below(axis, ncol=3)


def _bars(axis: Any, x: Any, means: Any, colour: str, filled: bool, marker: str = "o") -> None:
    face = colour if filled else "white"
    columns = ([getattr(m, part) for m in means] for part in ("value", "low", "high"))
    intervals(axis, x, *map(np.array, columns), color=colour, marker=marker, mfc=face, ms=4.5)

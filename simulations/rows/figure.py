"""The figure of the study of rows, drawn from a RowsAnalysis; computes theory curves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from scipy.special import ndtr

from am_theory.conditional_likelihood import chain_critical_load
from am_theory.conditional_likelihood import rows as theory_rows
from simulations.plots import intervals, legend_below, panels
from simulations.rows.analysis import LOSSES, RowsAnalysis
from simulations.rows.config import case_name
from simulations.rows.lengths import WINDOW
from simulations.rows.means import mean_of
from simulations.rows.networks import LEVEL, noisy_drop

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033")
MARKERS = "osD^vP"
LINES = {"train": "-", "heldout": "--"}
WORDS = {"train": "training sequences", "heldout": "unseen ones"}
SCALED = "K over the critical one, α$_c$ (L - 1) (V - 1)"


@panels(3, 3, (16.5, 15.0))
def draw(axes: Any, analysis: RowsAnalysis) -> tuple[str, str]:
    """Losses under noise, entropy against load, drops and their way to infinite length, collapse,
    separability, chains, networks."""
    _losses(axes[0, 0], analysis)
    for place, vocab_size in enumerate(analysis.config.vocabularies[:2]):
        _entropy(axes[0, 1 + place], analysis, vocab_size, "bc"[place])
    _drops(axes[1, 0], analysis)
    _lengths(axes[1, 1], analysis)
    _collapse(axes[1, 2], analysis)
    _separable(axes[2, 0], analysis)
    _chains(axes[2, 1], analysis)
    _networks(axes[2, 2], analysis)
    heading = "The entropy of a conditional-likelihood memory drops where its rows stop separating"
    caption = (
        "Lines: theory (in e straight lines through the markers, open where carried to infinite "
        "L). Markers: simulation, with 95 % intervals over independent rows (a, g, h) or training "
        "sets (b to f, i)."
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


def _entropy(axis: Any, analysis: RowsAnalysis, vocab_size: int, letter: str) -> None:
    config, data, top = analysis.config, analysis.data, np.log(vocab_size)
    loads = np.array(config.relative_loads)
    exact = data["theory_entropy"].sel(vocab_size=vocab_size).values / top
    handles = []
    for k, ridge in enumerate(config.ridges):
        known = np.isfinite(exact[:, k])
        axis.plot(loads[known], exact[known, k], color=COLOURS[k], lw=1.3)
        handles.append(Line2D([], [], color=COLOURS[k], lw=2.5, label=f"ridge {ridge:g}"))
    for j, case in enumerate(c for c in config.memories if c[0] == vocab_size):
        curves = data["memories_entropy"].sel(case=case_name(case)).values / top
        for k in range(len(config.ridges)):
            means = [mean_of(values) for values in curves[:, :, k].T]
            _bars(axis, loads * (1 + 0.006 * (j - 1)), means, COLOURS[k], True, MARKERS[j])
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
    axis.set_title("(g) Linear programs against the critical load", loc="left")
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
        axis.plot(analysis.config.ridges, predicted, color=COLOURS[k], lw=1.3)
    axis.axhline(1.0, color="k", lw=0.9, ls=":")
    axis.set(
        xscale="log", xlabel="ridge λ", ylabel=f"K over the critical one, entropy {LEVEL:g} log V"
    )
    axis.invert_xaxis()
    axis.set_title("(d) The drop goes to the end of separability", loc="left")
    legend_below(axis, ncol=3)


def _lengths(axis: Any, analysis: RowsAnalysis) -> None:
    found = analysis.carried
    for k, vocab_size in enumerate(analysis.config.vocabularies):
        drops = [drop for drop in analysis.drops if drop.case[0] == vocab_size]
        mine = [drop for drop in drops if drop.ridge == analysis.config.judged]
        at = np.array([1 / (drop.case[1] - 1) for drop in mine])
        style: dict[str, Any] = {"color": COLOURS[k], "marker": MARKERS[k]}
        _bars(axis, at, [drop.ratio for drop in mine], COLOURS[k], True, MARKERS[k])
        _bars(axis, [0.0004 * (2 * k - 1)], [found[vocab_size]], COLOURS[k], False, MARKERS[k])
        weights = np.array([drop.case[1] - 1 for drop in mine])
        if len(mine) > 1:
            line = np.polyfit(at, [drop.ratio.value for drop in mine], 1, w=np.sqrt(weights))
            axis.plot([0, at.max()], np.polyval(line, [0, at.max()]), color=COLOURS[k], lw=0.9)
        axis.plot([], [], **style, lw=0.9, label=f"V = {vocab_size}")
    axis.axhline(1.0, color="k", lw=0.9, ls=":")
    axis.set(xlabel="1 / (L - 1)", ylabel="load of the drop, measured over theory")
    axis.set_title(f"(e) To infinite length, at ridge {analysis.config.judged:g}", loc="left")
    legend_below(axis, ncol=2)


def _collapse(axis: Any, analysis: RowsAnalysis) -> None:
    config, loads = analysis.config, np.array(analysis.config.relative_loads)
    near = np.abs(loads - 1) < WINDOW
    for case in config.memories:
        k = config.vocabularies.index(case[0])
        j = [c for c in config.memories if c[0] == case[0]].index(case)
        part = analysis.data["memories_held"].sel(case=case_name(case), ridge=min(config.ridges))
        means = [mean_of(values) for values in part.values.T[near]]
        at = (loads[near] - 1) * np.sqrt(case[1] - 1)
        _bars(axis, at, means, COLOURS[k], True, MARKERS[j])
        mark: dict[str, Any] = {"marker": MARKERS[j], "color": COLOURS[k], "lw": 0}
        axis.plot([], [], label=case_name(case), **mark)
    reach = WINDOW * np.sqrt(max(length for _, length in config.memories) - 1)
    u = np.linspace(-reach, reach, 200)
    axis.plot(u, ndtr(-np.sqrt(2) * u), color="k", lw=1.2, label="V = 2, Cover")
    axis.set(xlabel="(load - 1) (L - 1)$^{1/2}$", ylim=(-0.05, 1.05))
    axis.set_ylabel("share of rows that put all training tokens right")
    axis.set_title(f"(f) All lengths together, at ridge {min(config.ridges):g}", loc="left")
    legend_below(axis, ncol=3)


def _chains(axis: Any, analysis: RowsAnalysis) -> None:
    flips = np.linspace(max(0.5 * min(analysis.config.chains), 0.05), 0.5, 100)
    axis.plot(flips, chain_critical_load(flips), color="k", lw=1.3, label="theory of chains")
    axis.axhline(2.0, color="0.5", lw=0.9, ls=":", label="of independent tokens")
    for j, length in enumerate(analysis.config.chain_lengths):
        found = [dict(chain.lengths)[length] for chain in analysis.chains]
        at = np.array(analysis.config.chains) * (1 + 0.02 * (j - 0.5))
        _bars(axis, at, found, COLOURS[j], True, MARKERS[j])
        mark: dict[str, Any] = {"marker": MARKERS[j], "color": COLOURS[j], "lw": 0}
        axis.plot([], [], label=f"L = {length}", **mark)
    axis.set(yscale="log", xlabel="chance that neighbours differ")
    axis.set_yticks([2, 3, 5, 10], ["2", "3", "5", "10"])
    axis.set_yticks([], minor=True)
    axis.set_ylabel("largest separable K / (L - 1)")
    axis.set_title("(h) Chains of two tokens", loc="left")
    legend_below(axis, ncol=2)


def _networks(axis: Any, analysis: RowsAnalysis) -> None:
    config = analysis.config
    levels = np.geomspace(min(config.levels), max(config.levels), 12)
    axis.plot(levels, [noisy_drop(t) for t in levels], color="k", lw=1.3, label="theory, one level")
    for alone, words in ((True, "this level"), (False, "all levels")):
        for j, length in enumerate(config.networks):
            mine = [d for d in analysis.networks if (d.alone, d.seq_len) == (alone, length)]
            at = [drop.level * 1.06 ** (j - 0.5) for drop in mine]
            colour = COLOURS[0] if alone else COLOURS[1]
            _bars(axis, at, [drop.measured for drop in mine], colour, True, MARKERS[j])
            mark: dict[str, Any] = {"marker": MARKERS[j], "color": colour, "lw": 0}
            axis.plot([], [], label=f"{words}, L = {length}", **mark)
    axis.axhline(1.0, color="k", lw=0.9, ls=":", label="separability ends")
    axis.set(xscale="log", xlabel="noise level t", ylim=(0, None))
    axis.set_ylabel(f"K over the critical one, entropy {LEVEL:g} log V")
    axis.set_xticks(config.levels, [f"{level:g}" for level in config.levels])
    axis.set_xticks([], minor=True)
    axis.set_title("(i) Networks of a pairwise field, V = 2", loc="left")
    legend_below(axis, ncol=2)


def _bars(axis: Any, x: Any, means: Any, colour: str, filled: bool, marker: str = "o") -> None:
    face = colour if filled else "white"
    columns = ([getattr(m, part) for m in means] for part in ("value", "low", "high"))
    intervals(axis, x, *map(np.array, columns), color=colour, marker=marker, mfc=face, ms=4.5)

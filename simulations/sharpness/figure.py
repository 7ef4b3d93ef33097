"""The figure of the study of sharpness, drawn from a SharpnessAnalysis; computes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from simulations.plots import intervals, legend_below, panels
from simulations.sharpness.analysis import Row, SharpnessAnalysis
from simulations.sharpness.report import NAMES, told
from simulations.sharpness.widths import Passing

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033")
MARKERS = "osD^vP"
LINES = ("-", "--", ":", "-.")


@panels(2, 3, (16.0, 10.2))
def draw(axes: Any, analysis: SharpnessAnalysis) -> tuple[str, str]:
    """M of every system over K at several L, then widths against L and collapsed networks."""
    memorizer, linear = analysis.config.memorizers[-1], analysis.config.linears[-1]
    _solved(axes[0, 0], analysis, "memorizer", memorizer, "(a) Optimal memorizer")
    _solved(axes[0, 1], analysis, "linear", linear, "(b) Linear denoiser")
    _memory(axes[0, 2], analysis)
    _networks(axes[1, 0], analysis)
    _widths(axes[1, 1], analysis)
    _collapsed(axes[1, 2], analysis)
    heading = "How sharp is the passage from memory to law? Width against sequence length"
    caption = (
        "Lines: closed form, or (c) theory at large L and (d, f) guides through the markers. "
        "Markers: simulation, with 95 % intervals over training sets or seeds (e). In (a, b) "
        "between perfect memory and the law, elsewhere between optimal memorizer and law."
    )
    return heading, caption


def _curves(axis: Any, passings: list[Passing], lengths: list[int], scale: Any) -> list[Any]:
    """Exact curves as lines, simulated ones as markers, a colour for each L; their handles."""
    for p in passings:
        colour = COLOURS[lengths.index(p.seq_len) % len(COLOURS)]
        x, known = scale(p), ~np.isnan(p.whole)
        style: dict[str, Any] = {"ls": "-", "lw": 1.3} if p.exact else {"ls": "", "marker": "o"}
        axis.plot(x[known], p.whole[known], color=colour, ms=3.6, **style)
    return [
        Line2D([], [], color=COLOURS[k % len(COLOURS)], lw=3, label=f"L = {length}")
        for k, length in enumerate(lengths)
    ]


def _levels(axis: Any) -> None:
    for level in (0.9, 0.5, 0.1):
        axis.axhline(level, color="0.8", lw=0.7, zorder=0)
    axis.set_ylim(-0.08, 1.08)


def _solved(axis: Any, analysis: SharpnessAnalysis, system: str, case: Any, title: str) -> None:
    alpha, vocab = min(analysis.config.alphas), case[0]
    mine = [
        r.passing
        for r in analysis.rows
        if r.passing.key == (system, "M, own ends", f"kept {alpha:g}")
        and r.passing.vocab_size == vocab
    ]
    lengths = sorted({p.seq_len for p in mine})
    handles = _curves(axis, mine, lengths, lambda p: p.train_sizes)
    _levels(axis)
    passed = max(p.train_sizes[p.whole > 0.01].max() for p in mine)
    axis.set(xscale="log", xlabel="K", ylabel="M", xlim=(1, passed))
    axis.set_title(f"{title}, V = {vocab}, kept {alpha:g}", loc="left")
    legend_below(axis, handles=handles, ncol=4)


def _memory(axis: Any, analysis: SharpnessAnalysis) -> None:
    config, vocab = analysis.config, analysis.config.memories[0][0]
    setting = f"ridge {min(config.ridges):g}"
    found = [r.passing for r in analysis.rows if r.passing.vocab_size == vocab]
    entropy = [p for p in found if p.key == ("memory", "M, entropy", setting)]
    share = [p for p in found if p.key == ("separable", "share of rows", "exact")]
    lengths = sorted({p.seq_len for p in entropy})

    def load(p: Passing) -> Any:
        unit = (p.seq_len - 1) * (p.vocab_size - 1)
        return p.train_sizes / unit

    handles = _curves(axis, entropy, lengths, load)
    for p in share:
        colour = COLOURS[lengths.index(p.seq_len) % len(COLOURS)]
        axis.plot(load(p), p.whole, color=colour, ls="--", lw=1.1)
    if entropy:
        loads = np.array(config.loads) * (load(entropy[0]) / np.array(config.loads))[-1]
        axis.plot(loads, analysis.limits[vocab][setting], color="k", lw=1.1)
    handles.append(Line2D([], [], color="k", label="M, rows' theory"))
    handles.append(Line2D([], [], color="0.35", marker="o", lw=0, label="M by entropy"))
    handles.append(Line2D([], [], color="0.35", ls="--", label="separable rows"))
    _levels(axis)
    axis.set(xscale="log", xlabel="K / ((L - 1) (V - 1))", ylabel="M, share of rows")
    axis.set_xlim(0.3, None)
    axis.set_title(f"(c) Pseudo-likelihood memory, V = {vocab}, {setting}", loc="left")
    legend_below(axis, handles=handles, ncol=4)


def _network_rows(analysis: SharpnessAnalysis, order: str = "M") -> list[Row]:
    return [
        r
        for r in analysis.rows
        if r.passing.key.system == "network" and r.passing.key.order == order
    ]


def _networks(axis: Any, analysis: SharpnessAnalysis) -> None:
    mine = [r.passing for r in _network_rows(analysis)]
    lengths = sorted({p.seq_len for p in mine})
    settings = list(dict.fromkeys(p.key.setting for p in mine))
    for p in mine:
        number, known = settings.index(p.key.setting), ~np.isnan(p.whole)
        axis.plot(
            p.train_sizes[known],
            p.whole[known],
            color=COLOURS[lengths.index(p.seq_len) % len(COLOURS)],
            ls=LINES[number % len(LINES)],
            marker=MARKERS[number % len(MARKERS)],
            ms=3.4,
            lw=0.9,
        )
    handles = [
        Line2D([], [], color=COLOURS[k % len(COLOURS)], lw=3, label=f"L = {length}")
        for k, length in enumerate(lengths)
    ]
    handles += [
        Line2D([], [], color="0.35", ls=LINES[k % 4], marker=MARKERS[k % 6], ms=4, label=words)
        for k, words in enumerate(settings)
    ]
    _levels(axis)
    axis.set(xscale="log", xlabel="K", ylabel="M")
    axis.set_title(f"(d) Networks, V = {analysis.config.vocab_size}, t = 0.25", loc="left")
    legend_below(axis, handles=handles, ncol=2)


def _widths(axis: Any, analysis: SharpnessAnalysis) -> None:
    config = analysis.config
    kept, ridge = f"kept {min(config.alphas):g}", f"ridge {min(config.ridges):g}"
    shown = (
        ("memorizer", "M, own ends", kept, config.memorizers[-1][0]),
        ("linear", "M, own ends", kept, config.linears[-1][0]),
        ("memory", "M, entropy", ridge, config.memories[0][0]),
        ("separable", "share of rows", "exact", 2),
    )
    for number, (*key, vocab) in enumerate(shown):
        rows = _known(analysis, tuple(key), vocab)
        for exact in (True, False):
            _line(axis, [r for r in rows if r.passing.exact == exact], COLOURS[number], "o", exact)
        axis.plot([], [], color=COLOURS[number], lw=3, label=f"{NAMES[key[0]]}, V = {vocab}")
    settings = list(dict.fromkeys(r.passing.key.setting for r in _network_rows(analysis)))
    for number, setting in enumerate(settings):
        rows = _known(analysis, ("network", "M", setting), config.vocab_size)
        _line(axis, rows, COLOURS[4], MARKERS[1 + number % 5], False, 1 + 0.05 * (number + 1))
        mark: dict[str, Any] = {"marker": MARKERS[1 + number % 5], "color": COLOURS[4], "lw": 0}
        axis.plot([], [], label=f"network, {setting}", **mark)
    axis.set(xscale="log", yscale="log", xlabel="L", ylabel="decades of K from 0.9 to 0.1")
    ticks = sorted({r.passing.seq_len for r in analysis.rows if r.passing.exact})
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_yticks([0.1, 0.2, 0.5, 1, 2, 5], ["0.1", "0.2", "0.5", "1", "2", "5"])
    axis.minorticks_off()
    axis.set_title("(e) Width against L (lines: exact)", loc="left")
    legend_below(axis, ncol=2)


def _known(analysis: SharpnessAnalysis, key: tuple[str, ...], vocab_size: int) -> list[Row]:
    """The passages of a key and V whose width the grid of K holds."""
    mine = [r for r in analysis.rows if tuple(r.passing.key) == key]
    return [r for r in mine if r.passing.vocab_size == vocab_size and np.isfinite(r.decades.value)]


def _line(
    axis: Any, rows: list[Row], colour: str, marker: str, exact: bool, shift: float = 1.0
) -> None:
    at = np.array([r.passing.seq_len for r in rows]) * shift
    middle, low, high = (
        np.array([getattr(r.decades, part) for r in rows]) for part in ("value", "low", "high")
    )
    if exact:
        axis.plot(at, middle, color=colour, lw=1.2)
    elif rows:
        intervals(axis, at, middle, low, high, color=colour, marker=marker)


def _collapsed(axis: Any, analysis: SharpnessAnalysis) -> None:
    handles = []
    for number, group in enumerate(analysis.of("network", "M")):
        c = group.collapsed
        mine = [r.passing for r in _network_rows(analysis) if r.passing.key == group.key]
        if c is None or not np.isfinite(c.length.value):
            continue
        for p in mine:
            known = ~np.isnan(p.whole)
            axis.plot(
                p.train_sizes[known] / p.seq_len**c.length.value * 4.0**number,
                p.whole[known],
                color=COLOURS[sorted(q.seq_len for q in mine).index(p.seq_len) % len(COLOURS)],
                marker=MARKERS[number % 6],
                ms=3.4,
                lw=0.8,
            )
        words = f"{group.key.setting}: a = {told(c.length)}, {c.residual:.3f} from {c.unscaled:.3f}"
        handles.append(Line2D([], [], color="0.35", marker=MARKERS[number % 6], lw=0, label=words))
    _levels(axis)
    axis.set(xscale="log", xlabel="K / L$^a$, each set moved to the right by 4", ylabel="M")
    axis.set_title("(f) Networks collapsed, and the distance that leaves", loc="left")
    legend_below(axis, handles=handles, ncol=1)

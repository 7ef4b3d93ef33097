"""The figure of the entropy command, drawn from an EntropyAnalysis; computes nothing new."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from simulations.data.problem import make_source
from simulations.entropy.analysis import EntropyAnalysis, run_and_channel
from simulations.entropy.bands import POPULATION, Band, Who, token_shares
from simulations.entropy.config import BIN, STATISTICS
from simulations.entropy.separation import KINDS
from simulations.phase.config import LAWS
from simulations.phase.figure import STYLE, save

COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73", "#56B4E9", "#D55E00")
LAW_COLOURS = {"loo": "#0072B2", "full": "#D55E00"}
MARKERS = "osD^vP"
TIME = "noise level t  (the reverse process runs to the right, from noise to text)"
ON = {
    "generated": "each model's own generated sequences",
    "train": "training sequences, against held-out ones",
    "heldout": "the same held-out sequences",
}


def entropy_figure(analysis: EntropyAnalysis, stem: Path) -> None:
    """Write the eight-panel figure to `stem`.png and `stem`.pdf."""
    config = analysis.config
    with plt.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(hspace=0.04)
        figure, axes = plt.subplots(2, 4, figsize=(21, 11), layout=layout)
        _run_panel(axes[0, 0], analysis, 0, "entropy")
        axes[0, 0].set_title("(a) `loo` entropy along each model's own run", loc="left")
        _run_panel(axes[0, 1], analysis, 1, "entropy")
        axes[0, 1].set_title("(b) `full` entropy along the same runs", loc="left")
        _confidence_panel(axes[0, 2], analysis)
        _channel_panel(axes[0, 3], analysis)
        _histogram_panel(axes[1, 0], analysis)
        for axis, letter, split in zip(axes[1, 1:], "fgh", ON, strict=True):
            _separation_panel(axis, analysis, split)
            axis.set_title(f"({letter}) Separation on {ON[split]}", loc="left")
        sizes = ", ".join(f"{k:,}" for k in config.train_sizes)
        figure.suptitle(
            f"Conditional entropy from noise to text: source {config.source}, "
            f"V = {config.vocab_size}, L = {config.seq_len}, K = {sizes}",
            fontsize=12,
        )
        figure.supxlabel(
            f"Mean token entropies of a sequence, nats; {config.sequences} sequences for each of "
            f"{config.seeds} seeds; {config.n_steps} reverse steps from uniform tokens. Markers: "
            "trained networks; lines: exact denoisers, no free parameter. Intervals and bands: "
            f"95 %, bootstrap over sequences{' and seeds' if config.seeds >= 5 else ''}.\n"
            "In (f) to (h) stars are t* with its interval; grey: the optimal memorizer has lost "
            "its sequences, log K > I(x_0; x_t), and d' rests on the frequencies of tokens alone.",
            fontsize=8,
            x=0.01,
            ha="left",
        )
        save(figure, stem)


def _style(analysis: EntropyAnalysis, size: int) -> dict[str, Any]:
    k = analysis.config.train_sizes.index(size)
    return {"color": COLOURS[k % 6], "marker": MARKERS[k % 6]}


def _points(axis: Any, x: Any, part: Band, **style: Any) -> None:
    sides = np.array([part.estimate - part.low, part.high - part.estimate])
    ends = np.clip(np.nan_to_num(sides), 0, None)
    axis.errorbar(x, part.estimate, ends, lw=0, elinewidth=1, ms=4.5, **style)


def _below(axis: Any, handles: Any, ncol: int = 2) -> None:
    axis.legend(handles=handles, ncol=ncol, loc="upper center", bbox_to_anchor=(0.5, -0.11))


def _time_axis(axis: Any) -> None:
    axis.set_xlim(1.02, -0.02)
    axis.set_xlabel(TIME, fontsize=8)


def _model_handles(analysis: EntropyAnalysis) -> list[Any]:
    sizes = analysis.config.train_sizes
    trained = [
        Line2D([], [], lw=0, label=f"trained, K = {k:,}", **_style(analysis, k)) for k in sizes
    ]
    colours = [_style(analysis, k)["color"] for k in sizes]
    exact = [
        Line2D([], [], color=c, label=f"empirical denoiser, K = {k:,}")
        for c, k in zip(colours, sizes, strict=True)
    ]
    population = Line2D([], [], color="k", ls="--", label="population denoiser")
    return [*trained, population, *exact]  # two columns


def _runs(axis: Any, analysis: EntropyAnalysis, law: int, statistic: str, mfc: Any = None) -> None:
    """One statistic of one law along all runs: markers at every 16th of the way, lines."""
    config, j = analysis.config, STATISTICS.index(statistic)
    t = np.array(config.step_levels)
    some = np.unique(np.r_[0 : config.n_steps : max(1, config.n_steps // 16), config.n_steps])
    for size in config.train_sizes:
        style = _style(analysis, size)
        run = analysis.runs["trained", size][law, j]
        shown = Band(
            run.estimate[some], run.low[some], run.high[some], run.replicates, run.per_seed
        )
        _points(axis, t[some], shown, mfc=mfc, **style)
        exact = analysis.runs["empirical", size][law, j]
        axis.plot(t, exact.estimate, color=style["color"], lw=1.3)
    axis.plot(t, analysis.runs[POPULATION][law, j].estimate, color="k", ls="--", lw=1.3)


def _run_panel(axis: Any, analysis: EntropyAnalysis, law: int, statistic: str) -> None:
    _runs(axis, analysis, law, statistic)
    limit = math.log(analysis.config.vocab_size)
    axis.axhline(limit, color="0.6", lw=0.8, ls=":")
    axis.text(0.0, limit, "log V", ha="right", va="bottom", fontsize=7.5, color="0.4")
    axis.set_ylim(-0.03 * limit, 1.08 * limit)
    axis.set_ylabel(f"`{LAWS[law]}` entropy (nats a token)")
    _time_axis(axis)
    _below(axis, _model_handles(analysis))


def _confidence_panel(axis: Any, analysis: EntropyAnalysis) -> None:
    """Largest probability and its lead over the second one, in two halves of a panel."""
    axis.set_axis_off()
    axis.set_title("(c) Confidence of `loo`: largest probability, and its lead", loc="left")
    upper, lower = axis.inset_axes([0, 0.53, 1, 0.47]), axis.inset_axes([0, 0, 1, 0.47])
    for part, statistic, words in (
        (upper, "max_conf", "largest probability"),
        (lower, "spectral_gap", "largest less second"),
    ):
        _runs(part, analysis, 0, statistic)
        part.set_ylim(-0.03, 1.05)
        part.set_ylabel(words)
        _time_axis(part)
    upper.set_xlabel("")
    upper.set_xticklabels([])
    lower.legend(
        handles=_model_handles(analysis),
        ncol=2,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.11 / 0.47),
    )


def _channel_panel(axis: Any, analysis: EntropyAnalysis) -> None:
    """Entropy of the own run less that of noisy training sequences."""
    config = analysis.config

    def gap(who: Who) -> Band:
        split = "heldout" if who == POPULATION else "train"
        pairs = [run_and_channel(analysis, who, split, t) for t in config.all_levels]
        run, through = (np.stack([pair[i].replicates for pair in pairs], -1) for i in (0, 1))
        estimate = np.array([float(p[0].estimate - p[1].estimate) for p in pairs])
        low, high = np.percentile(run - through, [2.5, 97.5], axis=0)
        return Band(estimate, low, high, run - through, run)

    for size in config.train_sizes:
        style = _style(analysis, size)
        _points(axis, config.all_levels, gap(("trained", size)), **style)
        exact = gap(("empirical", size))
        axis.plot(config.all_levels, exact.estimate, color=style["color"], lw=1.3)
    axis.plot(config.all_levels, gap(POPULATION).estimate, color="k", ls="--", lw=1.3)
    axis.axhline(0, color="0.6", lw=0.8)
    axis.set_ylabel("`loo` entropy, own run less noisy training sequences (nats)")
    axis.set_title("(d) Where a run differs from the channel", loc="left")
    _time_axis(axis)
    _below(axis, _model_handles(analysis))


def _histogram_panel(axis: Any, analysis: EntropyAnalysis) -> None:
    """Token entropies at t = 1e-5 on generated sequences, and the exact law of the source."""
    config = analysis.config
    edges = BIN * np.arange(config.bins + 1)
    law = make_source(config.source, config.vocab_size, config.seq_len).loo_entropy_law()
    place = np.clip((law.values / BIN + 1e-9).astype(int), 0, config.bins - 1)
    exact = np.bincount(place, law.weights, config.bins)
    floor = 3e-4
    axis.stairs(
        np.maximum(exact, floor),
        edges,
        baseline=floor,
        fill=True,
        color="0.8",
        label="source, exact",
    )
    for size in config.train_sizes:
        shares = token_shares(analysis.data, ("trained", size), "generated")[:, :, 0].mean((0, 1))
        style = _style(analysis, size)
        axis.stairs(np.maximum(shares, floor), edges, baseline=None, color=style["color"], lw=1.2)
        k = config.train_sizes.index(size)
        some = np.flatnonzero(shares > floor)[k % 3 :: 3]
        axis.plot(edges[some] + BIN / 2, shares[some], lw=0, ms=4, **style)
    axis.set_yscale("log")
    axis.set_ylim(floor, 1.5)
    axis.set_xlabel("`loo` entropy of a token at t = 1e-5 (nats)")
    axis.set_ylabel(f"share of tokens in a bin of {BIN:g} nats")
    axis.set_title("(e) Token entropies of generated sequences", loc="left")
    handles = [
        Line2D([], [], label=f"trained, K = {k:,}", **_style(analysis, k))
        for k in config.train_sizes
    ]
    _below(axis, [*handles, Line2D([], [], color="0.8", lw=6, label="source, exact law")])


def _separation_panel(axis: Any, analysis: EntropyAnalysis, split: str) -> None:
    """d' of the first K from the last, both laws, with t* and its interval above."""
    config = analysis.config
    levels, size = np.array(config.all_levels), config.train_sizes[0]
    predicted, measured = (analysis.separations[kind, split, size] for kind in KINDS)
    top = 0.0
    for i, (law, colour) in enumerate(LAW_COLOURS.items()):
        line, points = predicted.d_prime[i], measured.d_prime[i]
        axis.plot(levels, line.estimate, color=colour, lw=1.3)
        axis.fill_between(levels, line.low, line.high, color=colour, alpha=0.2, lw=0)
        marker, face = ("o", colour) if law == "loo" else ("s", "white")
        _points(axis, levels, points, color=colour, marker=marker, mfc=face)
        finite = np.concatenate([line.high, points.high])
        top = float(np.max(finite[np.isfinite(finite)], initial=top))
    for i, (law, colour) in enumerate(LAW_COLOURS.items()):
        for j, part in enumerate((predicted, measured)):
            peak, y = part.peaks[law], top * (1.08 + 0.05 * (2 * i + j))
            if not peak.inside:
                continue
            axis.plot([peak.level.low, peak.level.high], [y, y], color=colour, lw=2.5 - j)
            face = colour if j == 0 else "white"
            axis.plot(peak.level.estimate, y, "*", color=colour, mfc=face, ms=9)
    limit = analysis.collapse[size][0]
    if np.isfinite(limit):
        axis.axvspan(limit, 1.02, color="0.93", lw=0, zorder=0)
    axis.axhline(0, color="0.6", lw=0.8)
    axis.set_ylim(top=1.3 * (top or 1.0))
    axis.set_ylabel(f"d' of K = {size:,} from the generalizer (standard deviations)")
    _time_axis(axis)
    axis.set_xlabel("noise level t at which entropies are read", fontsize=8)
    handles = [
        Line2D([], [], color=LAW_COLOURS["loo"], label="`loo`, exact denoisers"),
        Line2D([], [], color=LAW_COLOURS["loo"], marker="o", lw=0, label="`loo`, trained"),
        Line2D([], [], color=LAW_COLOURS["full"], label="`full`, exact denoisers"),
        Line2D(
            [], [], color=LAW_COLOURS["full"], marker="s", mfc="w", lw=0, label="`full`, trained"
        ),
        Line2D([], [], color="0.35", marker="*", ms=9, label="t* of exact denoisers"),
        Line2D([], [], color="0.35", marker="*", ms=9, mfc="w", lw=1.5, label="t* of trained"),
    ]
    _below(axis, handles, ncol=3)

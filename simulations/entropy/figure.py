"""The figure of the entropy command, drawn from an EntropyAnalysis; computes nothing new."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from simulations.data.problem import make_source
from simulations.entropy.analysis import EntropyAnalysis, run_and_channel
from simulations.entropy.bands import POPULATION, Band, Floats, Who, token_shares
from simulations.entropy.config import BIN, STATISTICS
from simulations.entropy.separation import KINDS
from simulations.measure.bootstrap import MIN_SEEDS
from simulations.measure.names import LAWS
from simulations.plots import intervals, legend_below, panels

COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73", "#56B4E9", "#D55E00")
LAW_COLOURS = {"loo": "#0072B2", "full": "#D55E00"}
MARKERS = "osD^vP"
GAP = 0.11  # of legends below a panel
ON = {
    "generated": "each model's own generated sequences",
    "train": "training sequences, against held-out ones",
    "heldout": "the same held-out sequences",
}


@panels(2, 4, (21, 11), constrained_layout={"hspace": 0.04})
def draw(axes: Any, analysis: EntropyAnalysis) -> tuple[str, str]:
    """The eight panels: entropies and confidence along runs, runs less the channel; token
    entropies, separation on three kinds of sequences."""
    config = analysis.config
    _run_panel(axes[0, 0], analysis, 0)
    axes[0, 0].set_title("(a) `loo` entropy along each model's own run", loc="left")
    _run_panel(axes[0, 1], analysis, 1)
    axes[0, 1].set_title("(b) `full` entropy along the same runs", loc="left")
    _confidence_panel(axes[0, 2], analysis)
    _channel_panel(axes[0, 3], analysis)
    _histogram_panel(axes[1, 0], analysis)
    for axis, letter, split in zip(axes[1, 1:], "fgh", ON, strict=True):
        _separation_panel(axis, analysis, split)
        axis.set_title(f"({letter}) Separation on {ON[split]}", loc="left")
    return (
        f"Conditional entropy from noise to text: source {config.source}, V = {config.vocab_size}, "
        f"L = {config.seq_len}, K = {', '.join(f'{k:,}' for k in config.train_sizes)}",
        f"Mean token entropies of a sequence, nats; {config.sequences} sequences for each of "
        f"{config.seeds} seeds; {config.n_steps} reverse steps from uniform tokens. Markers: "
        "trained networks; lines: exact denoisers, no free parameter. Intervals and bands: "
        f"95 %, bootstrap over sequences{' and seeds' if config.seeds >= MIN_SEEDS else ''}.\n"
        "In (f) to (h) stars are t* with its interval; grey: the optimal memorizer has lost "
        "its sequences, log K > I(x_0; x_t), and d' rests on the frequencies of tokens alone.",
    )


def _style(analysis: EntropyAnalysis, size: int) -> dict[str, Any]:
    k = analysis.config.train_sizes.index(size)
    return {"color": COLOURS[k % 6], "marker": MARKERS[k % 6]}


def _model_handles(analysis: EntropyAnalysis) -> list[Any]:
    trained, exact = [], []
    for k in analysis.config.train_sizes:
        style = _style(analysis, k)
        trained.append(Line2D([], [], lw=0, label=f"trained, K = {k:,}", **style))
        exact.append(Line2D([], [], color=style["color"], label=f"empirical denoiser, K = {k:,}"))
    population = Line2D([], [], color="k", ls="--", label="population denoiser")
    return [*trained, population, *exact]  # two columns


def _models(
    axis: Any, analysis: EntropyAnalysis, x: Floats, some: Any, of: Callable[[Who], Band]
) -> None:
    """A curve over x of every denoiser: markers, at some x, of networks; lines of exact ones."""
    for size in analysis.config.train_sizes:
        style = _style(analysis, size)
        part = of(("trained", size))[some]
        intervals(axis, x[some], part.estimate, part.low, part.high, **style)
        axis.plot(x, of(("empirical", size)).estimate, color=style["color"], lw=1.3)
    axis.plot(x, of(POPULATION).estimate, color="k", ls="--", lw=1.3)
    axis.set_xlim(1.02, -0.02)
    words = "noise level t  (the reverse process runs to the right, from noise to text)"
    axis.set_xlabel(words, fontsize=8)


def _runs(axis: Any, analysis: EntropyAnalysis, law: int, statistic: str) -> None:
    """One statistic of one law along all runs: markers at every 16th of the way."""
    j, n = STATISTICS.index(statistic), analysis.config.n_steps
    some = np.unique(np.r_[0 : n : max(1, n // 16), n])
    levels = np.array(analysis.config.step_levels)
    _models(axis, analysis, levels, some, lambda who: analysis.runs[who][law, j])


def _run_panel(axis: Any, analysis: EntropyAnalysis, law: int) -> None:
    _runs(axis, analysis, law, "entropy")
    limit = math.log(analysis.config.vocab_size)
    axis.axhline(limit, color="0.6", lw=0.8, ls=":")
    axis.text(0.0, limit, "log V", ha="right", va="bottom", fontsize=7.5, color="0.4")
    axis.set_ylim(-0.03 * limit, 1.08 * limit)
    axis.set_ylabel(f"`{LAWS[law]}` entropy (nats a token)")
    legend_below(axis, _model_handles(analysis), 2, GAP)


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
    upper.set_xlabel("")
    upper.set_xticklabels([])
    legend_below(lower, _model_handles(analysis), 2, GAP / 0.47)


def _channel_panel(axis: Any, analysis: EntropyAnalysis) -> None:
    """Entropy of the own run less that of noisy training sequences."""
    levels = np.array(analysis.config.all_levels)

    def gap(who: Who) -> Band:
        split = "heldout" if who == POPULATION else "train"
        run, through = run_and_channel(analysis, who, split, levels)
        found = run - through
        low, high = np.percentile(found.replicates, [2.5, 97.5], axis=0)
        return replace(found, low=low, high=high)

    _models(axis, analysis, levels, slice(None), gap)
    axis.axhline(0, color="0.6", lw=0.8)
    axis.set_ylabel("`loo` entropy, own run less noisy training sequences (nats)")
    axis.set_title("(d) Where a run differs from the channel", loc="left")
    legend_below(axis, _model_handles(analysis), 2, GAP)


def _histogram_panel(axis: Any, analysis: EntropyAnalysis) -> None:
    """Token entropies at t = 1e-5 on generated sequences, and the exact law of the source."""
    config = analysis.config
    handles, edges, floor = [], BIN * np.arange(config.bins + 1), 3e-4
    law = make_source(config.source, config.vocab_size, config.seq_len).loo_entropy_law()
    place = np.clip((law.values / BIN + 1e-9).astype(int), 0, config.bins - 1)
    exact = np.maximum(np.bincount(place, law.weights, config.bins), floor)
    axis.stairs(exact, edges, baseline=floor, fill=True, color="0.8")
    for k, size in enumerate(config.train_sizes):
        shares = token_shares(analysis.data, ("trained", size), "generated")[:, :, 0].mean((0, 1))
        style = _style(analysis, size)
        axis.stairs(np.maximum(shares, floor), edges, baseline=None, color=style["color"], lw=1.2)
        some = np.flatnonzero(shares > floor)[k % 3 :: 3]
        axis.plot(edges[some] + BIN / 2, shares[some], lw=0, ms=4, **style)
        handles.append(Line2D([], [], label=f"trained, K = {size:,}", **style))
    axis.set_yscale("log")
    axis.set_ylim(floor, 1.5)
    axis.set_xlabel("`loo` entropy of a token at t = 1e-5 (nats)")
    axis.set_ylabel(f"share of tokens in a bin of {BIN:g} nats")
    axis.set_title("(e) Token entropies of generated sequences", loc="left")
    handles.append(Line2D([], [], color="0.8", lw=6, label="source, exact law"))
    legend_below(axis, handles, 2, GAP)


def _separation_panel(axis: Any, analysis: EntropyAnalysis, split: str) -> None:
    """d' of the first K from the last, both laws, with t* and its interval above."""
    config = analysis.config
    levels, size = np.array(config.all_levels), config.train_sizes[0]
    pair = [analysis.separations[kind, split, size] for kind in KINDS]
    ends = np.concatenate([part.d_prime.high.ravel() for part in pair])
    top, handles = float(np.max(ends[np.isfinite(ends)], initial=0.0)), []
    for i, (law, colour) in enumerate(LAW_COLOURS.items()):
        line, points = (part.d_prime[i] for part in pair)
        axis.plot(levels, line.estimate, color=colour, lw=1.3)
        axis.fill_between(levels, line.low, line.high, color=colour, alpha=0.2, lw=0)
        marker, face = ("o", colour) if law == "loo" else ("s", "w")
        look: dict[str, Any] = {"color": colour, "marker": marker, "mfc": face}
        intervals(axis, levels, points.estimate, points.low, points.high, **look)
        handles += [
            Line2D([], [], color=colour, label=f"`{law}`, exact denoisers"),
            Line2D([], [], lw=0, label=f"`{law}`, trained", **look),
        ]
        for j, peak in enumerate(analysis.peaks(split, size, law)):
            if peak.inside:
                y, face = top * (1.08 + 0.05 * (2 * i + j)), (colour, "white")[j]
                axis.plot([peak.level.low, peak.level.high], [y, y], color=colour, lw=2.5 - j)
                axis.plot(peak.level.estimate, y, "*", color=colour, mfc=face, ms=9)
    limit = analysis.collapse[size][0]
    if np.isfinite(limit):
        axis.axvspan(limit, 1.02, color="0.93", lw=0, zorder=0)
    axis.axhline(0, color="0.6", lw=0.8)
    axis.set_ylim(top=1.3 * (top or 1.0))
    axis.set_ylabel(f"d' of K = {size:,} from the generalizer (standard deviations)")
    axis.set_xlim(1.02, -0.02)
    axis.set_xlabel("noise level t at which entropies are read", fontsize=8)
    star: dict[str, Any] = {"color": "0.35", "marker": "*", "ms": 9}
    handles += [
        Line2D([], [], label="t* of exact denoisers", **star),
        Line2D([], [], mfc="w", lw=1.5, label="t* of trained", **star),
    ]
    legend_below(axis, handles, 3, GAP)

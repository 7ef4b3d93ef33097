"""Conditional entropy against K: what tells a memory without any training data."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper import style, tex
from paper.captions import interval_words, problem_words
from paper.sources import Results
from simulations.measure.names import SMALL_LEVEL
from simulations.phase.analysis import SUMMARY_EPSILON, Analysis, minus

RUNS = ("markov", "dit")
SPLITS = (
    ("train", "training", style.BLUE, "o", "-"),
    ("generated", "generated", style.GREEN, "D", "-."),
    ("heldout", "held-out", style.VERMILION, "s", ":"),
)


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption; the transformer where it has been run."""
    found = [results.open("markov").analysis.analysis]
    if results.has("dit"):
        found.append(results.open("dit").analysis.analysis)
    figure, axes = style.figure(len(found), 3, 1.75 * len(found) + 0.55, sharex="col")
    names = ("MLP", "transformer")
    words = []
    kinds = ("entropy", "certain tokens", "miscalibration")
    for row, analysis, name in zip(axes, found, names, strict=False):
        _entropy_panel(row[0], analysis)
        _share_panel(row[1], analysis)
        _gap_panel(row[2], analysis)
        words += [f"{kind}, {name}" for kind in kinds]
    style.titles(axes.flat, words)
    for axis in axes[-1]:
        style.size_axis(axis, found[0].train_sizes, most=4)
    handles = [
        style.handle(color=c, marker=m, ls=ls, label=f"{w} sequences") for _, w, c, m, ls in SPLITS
    ]
    handles += [
        style.handle(color="k", ls="--", label="source, exact"),
        style.handle(color=style.GREY, marker="x", ls="", label="empirical denoiser, training"),
    ]
    style.below(figure, handles, 3)
    return figure, _caption(found)


def _curve(axis: Any, analysis: Analysis, rate: Any, look: tuple[Any, ...]) -> None:
    _, _, colour, marker, line = look
    part = (rate.estimate[:, 0], rate.low[:, 0], rate.high[:, 0])
    style.points(axis, analysis.train_sizes, *part, color=colour, marker=marker, lw=0.9, ls=line)


def _entropy_panel(axis: Any, analysis: Analysis) -> None:
    for look in SPLITS:
        _curve(axis, analysis, analysis.law("entropy", "trained", "loo", look[0]), look)
    exact = analysis.law("entropy", "population", "loo", "heldout").estimate[:, 0].mean()
    axis.axhline(exact, color="k", ls="--", lw=0.9)
    memory = analysis.law("entropy", "empirical", "loo", "train").estimate[:, 0]
    axis.plot(analysis.train_sizes, memory, "x", color=style.GREY)
    axis.set_ylim(bottom=-0.02)
    axis.set_ylabel(r"$\mathtt{loo}$ entropy (nats/token)")


def _share_panel(axis: Any, analysis: Analysis) -> None:
    name = f"fraction below {SUMMARY_EPSILON:g}"
    for look in SPLITS:
        _curve(axis, analysis, analysis.law(name, "trained", "loo", look[0]), look)
    exact = analysis.law(name, "population", "loo", "heldout").estimate[:, 0].mean()
    axis.axhline(exact, color="k", ls="--", lw=0.9)
    memory = analysis.law(name, "empirical", "loo", "train").estimate[:, 0]
    axis.plot(analysis.train_sizes, memory, "x", color=style.GREY)
    axis.set_ylim(-0.03, 1.05)
    axis.set_ylabel(f"tokens below {SUMMARY_EPSILON:g} nats")


def _gap_panel(axis: Any, analysis: Analysis) -> None:
    loss, entropy = (
        analysis.law(name, "trained", "loo", "heldout") for name in ("log_loss", "entropy")
    )
    _curve(axis, analysis, minus(analysis.config, loss, entropy), SPLITS[2])
    axis.axhline(0, color="k", ls="--", lw=0.9)
    axis.set_ylabel("log loss $-$ entropy (nats)")


def _caption(found: list[Analysis]) -> str:
    first = found[0]
    ends = []
    for k, index in ((first.train_sizes[0], 0), (first.train_sizes[-1], -1)):
        rate = first.law("entropy", "trained", "loo", "train")
        part = (rate.estimate[index, 0], rate.low[index, 0], rate.high[index, 0])
        ends.append(f"{tex.interval(*part)} at $K={k:,}$")
    exact = float(first.law("entropy", "population", "loo", "heldout").estimate[:, 0].mean())
    lowest = np.nanmin(first.law("entropy", "population", "loo", "heldout").estimate[:, 0])
    return "\n".join(
        [
            r"\textbf{Conditional entropy shows the transition.} Entropy of \texttt{loo}, "
            f"$p(x_0^i\\,|\\,x_t^{{\\setminus i}})$, at $t={tex.power(SMALL_LEVEL)}$, "
            f"on {problem_words(first.config)}; {interval_words(first.config)}.",
            f"Left: mean over tokens; on training sequences {ends[0]} and {ends[1]} (MLP), "
            f"{tex.number(exact)} nats under the exact law of the source (dashed). Middle: share "
            f"of tokens with less than {SUMMARY_EPSILON:g} nats. Right: log loss minus entropy on "
            "held-out sequences, 0 for a calibrated law: a memory is sure and wrong there.",
            "Crosses: the empirical-score denoiser on its own sequences"
            + ("." if lowest >= 0 else ", rounding included."),
        ]
    )

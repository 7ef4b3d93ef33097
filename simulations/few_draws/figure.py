"""The figure: held-out loss over K n by number of draws, by width and field, by steps; the laws."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulations.few_draws.analysis import READ, DrawsAnalysis
from simulations.few_draws.config import Curve
from simulations.few_draws.laws import LAWS
from simulations.plots import finish, intervals, legend_below, panels

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033", "#333333")
MARKERS = "osD^"
NOISY_LABEL = "noisy sequences K n (of fresh noise: K)"
LOSS_LABEL = "held-out log loss above ln V (nats a token)"


def _curves(axis: Any, analysis: DrawsAnalysis, chosen: dict[Curve, str]) -> None:
    """Mean over seeds with their range, and the peak's place with its interval below."""
    for (curve, label), colour in zip(chosen.items(), COLOURS, strict=False):
        peak = analysis.peaks[curve]
        excess = peak.excess[READ[0]]
        style = {"color": colour, "ls": "-" if curve.draws else "--"}
        axis.plot(peak.noisy, excess.mean(0), marker="o", ms=3.5, lw=1.2, label=label, **style)
        axis.fill_between(peak.noisy, excess.min(0), excess.max(0), color=colour, alpha=0.15, lw=0)
    axis.set_yscale("symlog", linthresh=0.1)


def widest(analysis: DrawsAnalysis) -> tuple[int, int]:
    """Width and steps of the network that most numbers of draws are measured of, with the field."""
    found = [(c.width, c.steps) for c in analysis.peaks if c.pair]
    return max(found, key=lambda place: (found.count(place), place[0]))


@panels(2, 2, (12, 9.6))
def draw(axes: Any, analysis: DrawsAnalysis) -> tuple[str, str]:
    """(a) draws, (b) widths and the field, (c) steps, (d) measured against predicted."""
    config, known = analysis.config, list(analysis.peaks)
    width, steps = widest(analysis)
    mine = [c for c in known if (c.width, c.steps, c.pair) == (width, steps, True)]
    by_draws = {c: f"n = {c.draws}" if c.draws else "fresh noise" for c in mine}
    least = min(c.draws for c in mine if c.draws)
    most = max((c.draws for c in known if c.draws and not c.pair), default=least)
    by_width = {
        c: f"width {c.width}" + ("" if c.pair else ", no pair field")
        for c in sorted(known, key=lambda c: (not c.pair, c.width))
        if c.draws == most and c.steps == steps
    }
    by_steps = {
        c: f"T = {c.steps:,}"
        for c in sorted(known, key=lambda c: c.steps)
        if (c.width, c.draws, c.pair) == (width, least, True)
    }
    titles = (
        f"(a) by noise draws n, width {width}",
        f"(b) by width, with and without pair field, n = {most}",
        f"(c) by training steps, width {width}, n = {least}",
    )
    chosen = (by_draws, by_width, by_steps)
    for axis, curves, title in zip(axes.flat, chosen, titles, strict=False):
        _curves(axis, analysis, curves)
        finish(axis, NOISY_LABEL, LOSS_LABEL, title)
    _against(axes[1, 1], analysis)
    return (
        "Few noisy copies of each sequence: where the held-out loss has its peak",
        f"MLP denoisers, sequences without structure, V = {config.vocab_size}, L = "
        f"{config.seq_len}, t = 0.25; {config.seeds} seeds: lines their mean, bands their range. "
        f"(a), (b): T = {steps:,}.\n(d): every curve with a peak in all seeds; bars Student's 95 % "
        "with pooled scatter; open marks: no pair field. Laws have no constant fitted to a peak.",
    )


def _against(axis: Any, analysis: DrawsAnalysis) -> None:
    """Measured over predicted K n by width, the laws side by side."""
    finite = [c for c in analysis.peaks if np.isfinite(analysis.place(c)[0]) and c.draws]
    for k, (law, colour, marker) in enumerate(zip(LAWS, COLOURS, MARKERS, strict=False)):
        shift = 1.09 ** (k - 1.5)
        for curve in finite:
            said = analysis.table[law, curve.name].value
            if not np.isfinite(said):
                continue
            middle, low, high = (np.array([v / said]) for v in analysis.place(curve))
            style = {"color": colour, "marker": marker, "mfc": colour if curve.pair else "white"}
            intervals(axis, [curve.width * shift], middle, low, high, **style)
        axis.plot([], [], marker, color=colour, label=law)
    axis.axhline(1, color="0.4", lw=0.8)
    if not finite:
        axis.set(xlim=(1, 10), ylim=(0.1, 10))
        axis.text(0.5, 0.5, "no peak in every seed", ha="center", transform=axis.transAxes)
    axis.set(xscale="log", yscale="log", xlabel="width of the network")
    axis.set_ylabel("K n at the peak, measured over predicted")
    widths = sorted({curve.width for curve in finite})
    axis.set_xticks(widths, [str(width) for width in widths])
    axis.set_xticks([], minor=True)
    axis.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axis.set_title("(d) measured against predicted", loc="left")
    legend_below(axis, ncol=4)

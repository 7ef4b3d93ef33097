"""The figure: measured K_half over width and over steps, the theory with its band, a rival."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from simulations.features_law.analysis import FeaturesAnalysis
from simulations.features_law.config import RATE, Point
from simulations.features_law.laws import HEADLINE, Grid
from simulations.plots import intervals, legend_below, panels

Floats = NDArray[np.float64]
COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033", "#333333")
RIVAL = "power of w, T"
SIZE_LABEL = "K_half (sequences)"


def _line(
    axis: Any, analysis: FeaturesAnalysis, points: list[Point], x: Floats, colour: str
) -> None:
    """The theory with the band of its constants, and the rival dashed, along x."""
    if not analysis.fits:
        return
    times = np.array([float(point.steps) for point in points])
    grid = replace(Grid.of(analysis.config, points), steps=times)
    fit, rival = analysis.fits[HEADLINE], analysis.fits[RIVAL]
    axis.plot(x, np.exp(fit.law.log_size(fit.constants, grid)), color=colour, lw=1.2)
    band = np.exp([fit.law.log_size(constants, grid) for constants in fit.replicates[:100]])
    ends = np.percentile(band, [2.5, 97.5], axis=0)
    axis.fill_between(x, *ends, color=colour, alpha=0.15, lw=0)
    dashed = np.exp(rival.law.log_size(rival.constants, grid))
    axis.plot(x, dashed, color=colour, lw=0.9, ls="--", alpha=0.7)


def _marks(
    axis: Any, analysis: FeaturesAnalysis, points: list[Point], along: str, colour: str
) -> None:
    """Measured points: full of the fitted part, open of the part held back, triangles without the
    pairwise field."""
    fitted = {tuple(words) for words in analysis.config.fitted}
    for point in points:
        if not np.isfinite(analysis.sizes[point].log_half).all():
            continue
        middle, low, high = np.array([[v] for v in analysis.interval(point)])
        face = colour if tuple(point) in fitted else "white"
        style = {"color": colour, "mfc": face, "marker": "o" if point.pair else "^"}
        intervals(axis, [_place(analysis, point, along)], middle, low, high, **style)


def _place(analysis: FeaturesAnalysis, point: Point, along: str) -> int:
    """Width of a point, or its steps, counted at one rate."""
    return point.width if along == "width" else round(analysis.config.time_of(point))


@panels(1, 2, (12, 5.4))
def draw(axes: Any, analysis: FeaturesAnalysis) -> tuple[str, str]:
    """K_half over width at each number of steps, and over steps at each width, iid source."""
    measured = [p for p in analysis.sizes if p.source == "iid"]
    shown = [analysis.sizes[p] for p in measured]
    held = [p for p in analysis.held_back if p.source == "iid"]
    known = list(dict.fromkeys((*measured, *held)))
    for axis, along, across in zip(axes.flat, ("width", "steps"), ("steps", "width"), strict=True):
        ends = [_place(analysis, p, along) for p in known] or [1, 10]  # chains alone
        dense = np.unique(np.geomspace(min(ends), max(ends), 40).round().astype(int))
        for value, colour in zip(
            sorted({_place(analysis, p, across) for p in known}), COLOURS, strict=False
        ):
            other = next(p for p in known if _place(analysis, p, across) == value)
            changes: list[Any] = [{across: value, along: int(v), "pair": True} for v in dense]
            line = [other._replace(**change) for change in changes]
            _line(axis, analysis, line, dense, colour)
            mine = [p for p in measured if _place(analysis, p, across) == value]
            _marks(axis, analysis, mine, along, colour)
            label = f"T = {value:,}" if across == "steps" else f"width {value}"
            axis.plot([], [], "o", color=colour, label=label)
        if not analysis.fits and not any(np.isfinite(one.log_half).all() for one in shown):
            axis.set(xlim=(1, 10), ylim=(1, 10))
            words = (
                "no transition on these K\nin every seed"
                if known
                else "chains alone: no law of theirs"
            )
            axis.text(0.5, 0.5, words, ha="center", va="center", transform=axis.transAxes)
        axis.set(xscale="log", yscale="log", ylabel=SIZE_LABEL)
        axis.set_xlabel(
            "width of the network" if along == "width" else f"training steps T, at rate {RATE}"
        )
        letter = "a" if along == "width" else "b"
        axis.set_title(f"({letter}) over {along}", loc="left")
        for part in (axis.xaxis, axis.yaxis):
            part.set_major_locator(LogLocator(subs=(1, 2, 5)))
            part.set_major_formatter(lambda v, _: f"{v:,.0f}")
            part.set_minor_formatter(lambda v, _: "")
        if known:
            legend_below(axis, ncol=4)
    config = analysis.config
    return (
        "The transition of trained networks and the theory of random features",
        f"MLP denoisers on sequences without structure, V = {config.vocab_size}, L = "
        f"{config.seq_len}; {config.seeds} seeds, bars Student's 95 % with pooled scatter. Full "
        "marks: the laws are fitted to them; open: held back; triangles: no pairwise field.\n"
        "Lines: theory with its band, two constants and a common factor in all; dashed: the power "
        "law of width and steps.",
    )

"""The figure of a series: M, shares and entropies against step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.training.memorized import Bounded
from simulations.plots import intervals, panels, wrapped
from simulations.probe.series.analysis import Series
from simulations.probe.series.cells import NAMES
from simulations.probe.series.onset import Onset
from simulations.probe.series.report import answer, named

COLOURS = {"train": "#d1495b", "heldout": "#0b6e99", "generated": "#4f7f3a"}
SHADES = ("#c6dbef", "#6baed6", "#2171b5", "#08306b", "#4f7f3a", "#d1495b")


@panels(1, 3, (13.0, 4.4))
def draw(axes: Any, series: Series) -> tuple[str, str]:
    """Three panels; those of M and shares say so where there are no training sequences."""
    memory, shares, entropies = axes[0]
    x = np.array([point.step for point in series.points])
    _memory(memory, x, series)
    _line(shares, x, [p.share for p in series.points], "memorized", "#d1495b")
    _line(shares, x, [p.told_apart for p in series.points], "told apart", "#6d4c9f")
    shares.set_ylabel("share of training sequences")
    for split in series.splits:
        found = [point.entropy[split] for point in series.points]
        _line(entropies, x, found, NAMES[split], COLOURS[split])
    entropies.set_ylabel("entropy of loo as t → 0, nats a token")
    entropies.set_ylim(bottom=0)
    for axis in (memory, shares, entropies):
        if not series.ordered and (x > 0).sum() > 1:
            axis.set_xscale("log" if x.min() > 0 else "symlog", **_linear(x))
        axis.set_xlabel(series.axis)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper left" if axis is not entropies else "upper right")
    if not series.onsets:
        for axis in (memory, shares):
            axis.text(0.5, 0.5, "no training sequences", ha="center", transform=axis.transAxes)
    return answer(series), wrapped(
        "Bars: 95 % intervals by a bootstrap over sequences, the same for all checkpoints. Dashed: "
        f"the bound, {series.config.bound:g}; shaded: the interval of the onset of M at "
        f"t = {series.config.shown:g}.",
        width=180,
    )


def _memory(axis: Any, x: Any, series: Series) -> None:
    levels = series.config.levels if series.onsets else ()
    for k, t in enumerate(levels):
        found = [point.by_level[k] for point in series.points]
        _line(axis, x, found, f"t = {t:g}", SHADES[k % len(SHADES)])
    axis.axhline(series.config.bound, color="0.4", lw=0.9, ls="--")
    axis.set_ylabel("M, order parameter of memorization")
    axis.set_ylim(-0.3, 1.1)
    onset = named(series)
    if onset is not None:
        low, high = _span(onset, x)
        axis.axvspan(low, high, color="0.85", zorder=0)


def _span(onset: Onset, x: Any) -> tuple[float, float]:
    """The interval, cut to what the axis has; nothing where there is none."""
    ends = np.array([onset.low, onset.high])
    return tuple(np.clip(ends, x.min(), x.max())) if not np.isnan(ends).any() else (x[0], x[0])


def _linear(x: Any) -> dict[str, float]:
    return {} if x.min() > 0 else {"linthresh": float(x[x > 0].min())}


def _line(axis: Any, x: Any, found: Sequence[Bounded], label: str, colour: str) -> None:
    value, low, high = (np.array([getattr(one, end) for one in found]) for end in Bounded._fields)
    if np.isfinite(value).any():
        intervals(axis, x, value, low, high, lw=1.2, marker="o", ms=3, color=colour, label=label)

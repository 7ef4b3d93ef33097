"""One look for every figure of the appendix: widths, sizes, colours, marks, and files.

Colours are those of Okabe and Ito, told apart by the colour-blind; every series also has a mark or
a line style of its own, so that a grey print can be read. Sizes are those on the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

WIDTH = 5.9  # inches, the width of the text
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK, GREY = "#AA4499", "#56B4E9", "#000000", "#6b6b6b"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
STYLE: dict[Any, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.labelpad": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.8,
    "ytick.major.size": 2.8,
    "xtick.major.pad": 2.5,
    "ytick.major.pad": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.6,
    "lines.markeredgewidth": 0.8,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.3,
    "legend.borderaxespad": 0.3,
    "figure.constrained_layout.h_pad": 0.04,
    "figure.constrained_layout.w_pad": 0.04,
    "pdf.fonttype": 42,
    "pdf.compression": 6,
    "figure.dpi": 200,
}


def figure(rows: int, columns: int, height: float, **options: Any) -> tuple[Any, Any]:
    """A figure as wide as the text and its axes, (rows, columns), in the style.

    Call it, and everything that draws, inside `plt.rc_context(STYLE)`.
    """
    return plt.subplots(
        rows, columns, figsize=(WIDTH, height), layout="constrained", squeeze=False, **options
    )


def titles(axes: Sequence[Any], words: Sequence[str]) -> None:
    """(a), (b), ... and a few words above each panel."""
    for letter, axis, text in zip("abcdefghij", axes, words, strict=False):
        axis.set_title(rf"$\bf{{({letter})}}$ {text}", loc="left")


def bars(value: Any, low: Any, high: Any) -> Any:
    """Error bars (2, n) from intervals; 0 where an end is not finite or on the wrong side."""
    ends = np.array([np.asarray(value) - low, np.asarray(high) - value], dtype=float)
    return np.clip(np.nan_to_num(ends, nan=0.0, posinf=0.0, neginf=0.0), 0, None)


def points(axis: Any, x: Any, value: Any, low: Any, high: Any, **style: Any) -> Any:
    """Marks with intervals and no line unless `lw` asks for one; what is not finite is left out."""
    x, value, low, high = (np.asarray(part, dtype=float) for part in (x, value, low, high))
    there = np.isfinite(value)
    options = {"lw": 0, "elinewidth": 0.8, "capsize": 0, **style}
    ends = bars(value[there], low[there], high[there])
    return axis.errorbar(x[there], value[there], ends, **options)


def count(number: float) -> str:
    """A count as on an axis: thousands as k from 10 thousand up.

    >>> count(512), count(4096), count(16384), count(0.3)
    ('512', '4096', '16k', '0.3')
    """
    if number >= 1e6:
        return f"{number / 1e6:.3g}M"
    return f"{number / 1000:.0f}k" if number >= 10_000 else f"{number:g}"


def log_ticks(axis: Any, which: str, at: Sequence[float] | None = None, most: int = 6) -> None:
    """A logarithmic axis with plain numbers: at some of the places given, or at 1, 2, 5 or 10."""
    part = getattr(axis, f"{which}axis")
    getattr(axis, f"set_{which}scale")("log")
    if at is None:
        low, high = part.get_view_interval()
        low = low if low > 0 else high  # nothing is drawn
        decades = math.log10(high / low)
        steps = (1, 2, 5) if decades < 1.6 else ((1, 3) if decades < 2.6 else (1,))
        at = [m * 10.0**k for k in range(-6, 9) for m in steps if low <= m * 10.0**k <= high]
    shown = list(at)[:: max(1, math.ceil(len(at) / most))]
    part.set_major_locator(FixedLocator(shown))
    part.set_major_formatter(lambda value, _: count(float(f"{value:.6g}")))
    part.set_minor_locator(NullLocator())
    part.set_minor_formatter(NullFormatter())


def size_axis(axis: Any, sizes: Any, label: bool = True, most: int = 6) -> None:
    """The axis over training-set sizes K, ticks evenly apart from the smallest on."""
    low, high = min(sizes), max(sizes)
    doublings = math.log2(high / low) if high > low else 0.0
    step = next(s for s in (1, 2, 3, 4, 5, 6, 8, 12, 24) if doublings / s < most)
    ticks = [low * 2.0 ** (step * k) for k in range(int(doublings / step + 1e-9) + 1)]
    log_ticks(axis, "x", ticks, most)
    if label:
        axis.set_xlabel("training sequences $K$")


def handle(**look: Any) -> Any:
    """An entry of a legend: a line or mark that is not drawn."""
    return Line2D([], [], **look)


def below(owner: Any, handles: Sequence[Any], columns: int) -> None:
    """A legend for the whole figure, under it."""
    owner.legend(handles=handles, loc="outside lower center", ncols=columns)


def shades(number: int) -> list[Any]:
    """Ordered colours from dark to light that stay apart in grey."""
    return list(plt.get_cmap("viridis")(np.linspace(0.0, 0.78, max(number, 1))))

"""The style of all quick-look figures, how a figure is laid out, and how it is saved."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simulations.results.files import replacing

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "pdf.fonttype": 42,
    "figure.dpi": 130,
}


def style() -> Any:
    """A context in which figures have STYLE, whatever the user's own file of settings says."""
    return plt.style.context(STYLE, after_reset=True)


Panels = Callable[[Any, Any], tuple[str, str]]
Draw = Callable[..., Figure]


def panels(
    rows: int,
    columns: int,
    size: tuple[float, float],
    heading_size: float | str = 12,
    **layout: Any,
) -> Any:
    """Make `draw(axes, analysis)`, which fills an array of axes (rows, columns) and returns the
    heading and the caption of the whole figure, into `draw(analysis, axes=None) -> Figure`.

    Without `axes` it makes a figure of `size` inches of its own, with heading and caption; with
    axes, an array of that shape, it draws on these and returns their figure. heading_size : as
    Matplotlib takes font sizes. `layout` goes to `matplotlib.pyplot.subplots`.
    """

    def decorate(fill: Panels) -> Draw:
        @functools.wraps(fill)
        def draw(analysis: Any, axes: Any = None) -> Figure:
            with style():
                if axes is not None:
                    given = np.asarray(axes, dtype=object)
                    if given.size != rows * columns:
                        raise ValueError(
                            f"`axes` must hold {rows} x {columns} axes; got {given.size}."
                        )
                    fill(given.reshape(rows, columns), analysis)
                    drawn: Figure = given.flat[0].figure
                    return drawn
                options = {"constrained_layout": True, "squeeze": False, **layout}
                figure, own = plt.subplots(rows, columns, figsize=size, **options)
                heading, caption = fill(own, analysis)
                if heading:
                    figure.suptitle(heading, fontsize=heading_size)
                if caption:
                    figure.supxlabel(caption, fontsize=8, x=0.01, ha="left")
                return figure

        return draw

    return decorate


def intervals(axis: Any, x: Any, value: Any, low: Any, high: Any, **style: Any) -> None:
    """Markers at `value` (n,) with bars from `low` to `high`, none where these are not known."""
    ends = np.clip(np.nan_to_num([value - low, high - value]), 0, None)
    axis.errorbar(x, value, ends, **{"lw": 0, "elinewidth": 1, "ms": 4.5, **style})


def legend_below(
    axis: Any, handles: Sequence[Any] | None = None, ncol: int = 3, gap: float = 0.13
) -> None:
    """A legend under the axis, `gap` of its height below it: of `handles`, or of what is drawn."""
    given = {} if handles is None else {"handles": handles}
    axis.legend(**given, ncol=ncol, loc="upper center", bbox_to_anchor=(0.5, -gap))


def finish(
    axis: Any, x_label: str, y_label: str, title: str, handles: Any = None, ncol: int = 3
) -> None:
    """A logarithmic x axis with plain numbers, three a decade; labels, title, legend."""
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    ticks = [m * 10.0**k for k in range(-4, 5) for m in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= tick <= high]
    axis.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axis.set_xticks([], minor=True)
    axis.set_xlim(low, high)
    axis.set(xlabel=x_label, ylabel=y_label)
    axis.set_title(title, loc="left")
    legend_below(axis, handles, ncol)


def split_handles() -> list[Any]:
    """Handles of a legend: train with full marks and a line, test with open ones and dashes."""
    grey: dict[str, Any] = {"color": "0.35"}
    return [
        Line2D([], [], marker="o", ls="-", label="train", **grey),
        Line2D([], [], marker="o", mfc="white", ls="--", label="test", **grey),
    ]


def wrapped(*paragraphs: str, width: int = 290) -> str:
    """A caption in lines of at most `width` characters, each paragraph on lines of its own.

    >>> wrapped("one two", "three", width=4).splitlines()
    ['one', 'two', 'three']
    """
    return "\n".join(textwrap.fill(text, width, break_long_words=False) for text in paragraphs)


def save(figure: Any, stem: Path) -> None:
    """Write a figure to `stem`.png and `stem`.pdf, whole and renamed into place, and close it."""
    with style():
        figure.draw_without_rendering()  # lays out once, for both files
        figure.set_layout_engine("none")
        with replacing(stem.with_suffix(".png")) as path:
            FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})
        with replacing(stem.with_suffix(".pdf")) as path:
            FigureCanvasPdf(figure).print_pdf(path, metadata={"CreationDate": None})
        plt.close(figure)

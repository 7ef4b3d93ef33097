"""The calibration as a figure: what is said of every family by a law that never saw it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from simulations.plots import panels
from simulations.probe.calibration.analysis import FIRST, CalibrationAnalysis
from simulations.probe.calibration.judgement import reliability, scores
from simulations.probe.calibration.truth import GENERALIZING, MEMORIZING, MIDDLE
from simulations.probe.judge.verdict import ORDER_BOUNDS

LOOKS: dict[str, dict[str, Any]] = {
    MEMORIZING: {"color": "#0b6e99", "fillstyle": "full"},
    MIDDLE: {"color": "#8a8a8a", "fillstyle": "left", "markerfacecoloralt": "white"},
    GENERALIZING: {"color": "#d1495b", "fillstyle": "none"},
}


@panels(1, 3, (15.0, 6.4), heading_size="large")
def draw(axes: Any, analysis: CalibrationAnalysis) -> tuple[str, str]:
    """Probability against truth, calibration curve, log score by left-out family."""
    models = [m for m in analysis.told() if m.common]
    _probability_panel(axes[0, 0], models)
    _curve_panel(axes[0, 1], analysis)
    _family_panel(axes[0, 2], analysis)
    handles = [
        Line2D([], [], marker="s", ls="", label=truth, **look) for truth, look in LOOKS.items()
    ]
    axes[0, 1].legend(handles=handles, title="truth, in (a)", loc="upper left")
    return f"{len(models)} models, each judged by a law fitted to other families", ""


def _probability_panel(axis: Any, models: list[Any]) -> None:
    for model in models:
        look = {"marker": "o", "ms": 4.5, "ls": "", **LOOKS[model.truth]}
        axis.plot(model.share, model.p_memorizing, **look)
    for bound in ORDER_BOUNDS:
        axis.axvline(bound, color="0.6", lw=0.8, ls="--")
    axis.set(
        xlabel="share that is memorized (the truth; dashed: its bounds)",
        ylabel="P(memorizing), family left out",
        title="(a) verdict without training data",
    )


def _curve_panel(axis: Any, analysis: CalibrationAnalysis) -> None:
    bins = [part for part in reliability(analysis, FIRST) if part.n]
    told, true = [part.told for part in bins], [part.memorizing / part.n for part in bins]
    axis.plot([0, 1], [0, 1], color="0.6", lw=0.8, ls=":")
    axis.plot(told, true, color="#0b6e99", marker="o", ls="-")
    for part, x, y in zip(bins, told, true, strict=True):
        axis.annotate(str(part.n), (x, y), xytext=(6, -10), textcoords="offset points")
    axis.set(
        xlabel="mean P(memorizing) of a bin",
        ylabel="share of its models that memorize",
        title="(b) calibration; numbers: models of the bin",
    )


def _family_panel(axis: Any, analysis: CalibrationAnalysis) -> None:
    found = scores(analysis, FIRST)
    place = np.arange(len(found))
    axis.barh(place + 0.2, [row.log_score.value for row in found], 0.38, label="the verdict's law")
    axis.barh(place - 0.2, [row.entropy_alone.value for row in found], 0.38, label="entropy alone")
    axis.axvline(np.log(3), color="0.6", lw=0.8, ls=":")
    axis.set_yticks(place, [row.group for row in found], fontsize=7)
    axis.invert_yaxis()
    axis.legend(fontsize=8)
    axis.set(xlabel="log score, nats (dotted: nothing known)", title="(c) by left-out family")

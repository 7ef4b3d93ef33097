"""The calibration as a figure: what separates the models, and what the verdict makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from simulations.plots import panels
from simulations.probe.calibration.analysis import (
    FIRST,
    GENERALIZING,
    MEMORIZING,
    MIDDLE,
    CalibrationAnalysis,
)
from simulations.probe.calibration.config import SOURCES
from simulations.probe.judge.verdict import GAP_BOUNDS, PROBABILITY_BOUNDS

LOOKS: dict[str, dict[str, Any]] = {
    MEMORIZING: {"color": "#0b6e99", "fillstyle": "full"},
    MIDDLE: {"color": "#8a8a8a", "fillstyle": "left", "markerfacecoloralt": "white"},
    GENERALIZING: {"color": "#d1495b", "fillstyle": "none"},
}
MARKERS = dict(zip(SOURCES, "osD^vP", strict=True))


@panels(1, 2, (11.5, 4.8), heading_size="large")
def draw(axes: Any, analysis: CalibrationAnalysis) -> tuple[str, str]:
    """The test models: two features, and the verdict against the truth."""
    models = analysis.told()
    _feature_panel(axes[0, 0], models, analysis.table["laws"][FIRST]["coefficients"])
    _probability_panel(axes[0, 1], models)
    handles = [
        Line2D([], [], color="0.3", marker=MARKERS[name], ls="", mfc="none", label=name)
        for name in analysis.config.test
    ]
    handles += [
        Line2D([], [], marker="s", ls="", label=truth, **look) for truth, look in LOOKS.items()
    ]
    legend = {"loc": "outside right center", "title": "source, and truth"}
    axes[0, 0].figure.legend(handles=handles, **legend)
    return f"{len(models)} test models: what tells memory without training data", ""


def _look(model: Any) -> dict[str, Any]:
    return {"marker": MARKERS[model.source], "ms": 5.5, "ls": "", **LOOKS[model.truth]}


def _feature_panel(axis: Any, models: list[Any], coefficients: list[float]) -> None:
    """The two ratios of the first law, and where it says one half."""
    for model in models:
        axis.plot(model.own_entropy_middle, model.own_entropy, **_look(model))
    intercept, small, middle = coefficients
    if small:
        x = np.linspace(0, 1.2, 2)
        axis.plot(x, -(intercept + middle * x) / small, color="0.3", lw=1, ls="--")
    axis.set(
        xlim=(-0.03, 1.2),
        ylim=(-0.05, 1.6),
        xlabel="loo entropy on own sequences / log loss on held-out, t = 0.5",
        ylabel="the same at t = 1e-5 (cut at 1.5)",
        title="(a) two ratios without units; dashed: probability 1/2",
    )


def _probability_panel(axis: Any, models: list[Any]) -> None:
    for model in models:
        p = model.probability
        error = [[p - model.low], [model.high - p]]
        axis.errorbar(model.recovery_gap, p, yerr=error, lw=0.7, **_look(model))
    for bound in GAP_BOUNDS:
        axis.axvline(bound, color="0.6", lw=0.8, ls="--")
    for bound in PROBABILITY_BOUNDS:
        axis.axhline(bound, color="0.6", lw=0.8, ls=":")
    axis.set(
        xlabel="recovery gap (the truth; dashed: its bounds)",
        ylabel="probability of memorizing, 95 % (dotted: bounds of the label)",
        title="(b) verdict without training data",
    )

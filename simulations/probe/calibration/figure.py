"""The calibration as a figure: what separates the models, and what the verdict makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from simulations.phase.figure import HELD_OUT, STYLE, TRAIN, save
from simulations.probe.calibration.analysis import (
    GENERALIZING,
    MEMORIZING,
    MIDDLE,
    CalibrationAnalysis,
)
from simulations.probe.calibration.config import SOURCES
from simulations.probe.calibration.fit import LAWS
from simulations.probe.judge.verdict import GAP_BOUNDS, PROBABILITY_BOUNDS

COLOURS = {MEMORIZING: TRAIN, MIDDLE: "#8a8a8a", GENERALIZING: HELD_OUT}
FILLS: dict[str, dict[str, Any]] = {
    MEMORIZING: {"fillstyle": "full"},
    MIDDLE: {"fillstyle": "left", "markerfacecoloralt": "white"},
    GENERALIZING: {"fillstyle": "none"},
}
MARKERS = dict(zip(SOURCES, "osD^vP", strict=True))


def calibration_figure(analysis: CalibrationAnalysis, stem: Path) -> None:
    """Write the two-panel figure of the test models to `stem`.png and `stem`.pdf."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(11.5, 4.8), constrained_layout=True)
        _feature_panel(axes[0], analysis)
        _probability_panel(axes[1], analysis)
        figure.suptitle(
            f"{len(analysis.of('test'))} test models: what tells memory without training data"
        )
        handles = [
            Line2D([], [], color="0.3", marker=MARKERS[name], ls="", mfc="none", label=name)
            for name in analysis.config.test
        ]
        handles += [
            Line2D([], [], color=colour, marker="s", ls="", label=truth, **FILLS[truth])
            for truth, colour in COLOURS.items()
        ]
        figure.legend(handles=handles, loc="outside right center", title="source, and truth")
        save(figure, stem)


def _style(model: Any) -> dict[str, Any]:
    return {
        "marker": MARKERS[model.coordinates["source"]],
        "color": COLOURS[model.truth],
        "ms": 5.5,
        "ls": "",
        **FILLS[model.truth],
    }


def _feature_panel(axis: Any, analysis: CalibrationAnalysis) -> None:
    """The two ratios of the first law, and where it says one half."""
    for model in analysis.of("test"):
        found = model.features
        axis.plot(found.own_entropy_middle, found.own_entropy, **_style(model))
    intercept, small, middle = next(iter(analysis.table["laws"].values()))["coefficients"]
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


def _probability_panel(axis: Any, analysis: CalibrationAnalysis) -> None:
    law = next(iter(LAWS))
    for model in analysis.of("test"):
        verdict = model.by_entropy[law]
        gap, p = model.features.recovery_gap, verdict.probability
        error = [[p - verdict.low], [verdict.high - p]]
        axis.errorbar(gap, p, yerr=error, lw=0.7, **_style(model))
    for bound in GAP_BOUNDS:
        axis.axvline(bound, color="0.6", lw=0.8, ls="--")
    for bound in PROBABILITY_BOUNDS:
        axis.axhline(bound, color="0.6", lw=0.8, ls=":")
    axis.set(
        xlabel="recovery gap (the truth; dashed: its bounds)",
        ylabel="probability of memorizing, 95 % (dotted: bounds of the label)",
        title="(b) verdict without training data",
    )

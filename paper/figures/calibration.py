"""The probe on networks of known answer: what separates them, and what its verdict says."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from paper import style, tex
from paper.captions import share_words
from paper.sources import Found, Results
from simulations.measure.names import SMALL_LEVEL
from simulations.probe.calibration.analysis import GENERALIZING, MEMORIZING, MIDDLE
from simulations.probe.calibration.config import SOURCES
from simulations.probe.calibration.fit import LAWS
from simulations.probe.judge.features import MIDDLE_LEVEL
from simulations.probe.judge.verdict import GAP_BOUNDS, PROBABILITY_BOUNDS

RUNS = ("calibration",)
LOOKS: dict[str, dict[str, Any]] = {
    MEMORIZING: {"color": style.BLUE, "fillstyle": "full"},
    MIDDLE: {"color": style.GREY, "fillstyle": "left", "markerfacecoloralt": "white"},
    GENERALIZING: {"color": style.VERMILION, "fillstyle": "none"},
}
MARKERS = dict(zip(SOURCES, style.MARKERS, strict=True))
LAW = next(iter(LAWS))
SIDES = (("found", "memorizing"), ("cleared", "generalizing"))


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption, from the saved table of networks."""
    found = results.open("calibration")
    judged = found.data.isel(model=np.flatnonzero(found.data["role"].values == "test"))
    figure, axes = style.figure(1, 2, 3.4)
    _features(axes[0, 0], judged, found.summary["coefficients"][LAW])
    _probabilities(axes[0, 1], judged.sel(basis=LAW))
    style.titles(axes.flat, ["two ratios without units", "verdict without training data"])
    style.below(figure, _handles(judged), 5)
    return figure, _caption(found)


def _groups(judged: xr.Dataset) -> Any:
    """Networks of one source and one truth, with their look."""
    for source, marker in MARKERS.items():
        for truth, look in LOOKS.items():
            inside = (judged["source"].values == source) & (judged["truth"].values == truth)
            part = judged.isel(model=np.flatnonzero(inside))
            yield part, {"marker": marker, "ls": "", "ms": 4.2, **look}


def _features(axis: Any, judged: xr.Dataset, coefficients: dict[str, float]) -> None:
    for part, look in _groups(judged):
        axis.plot(part["own_entropy_middle"], part["own_entropy"], **look)
    intercept, small, middle = coefficients.values()
    if small:
        x = np.linspace(0, 1.2, 2)
        axis.plot(x, -(intercept + middle * x) / small, color="k", lw=0.9, ls="--")
    axis.set(xlim=(-0.03, 1.2), ylim=(-0.05, 1.6))
    axis.set_xlabel(f"entropy over log loss, $t={MIDDLE_LEVEL:g}$")
    axis.set_ylabel(f"entropy over log loss, $t={tex.power(SMALL_LEVEL)}$")


def _probabilities(axis: Any, judged: xr.Dataset) -> None:
    for part, look in _groups(judged):
        value = [part[name].values for name in ("probability", "low", "high")]
        style.points(axis, part["recovery_gap"].values, *value, **{**look, "elinewidth": 0.6})
    for bound in GAP_BOUNDS:
        axis.axvline(bound, color=style.GREY, lw=0.8, ls="--")
    for bound in PROBABILITY_BOUNDS:
        axis.axhline(bound, color=style.GREY, lw=0.8, ls=":")
    axis.set_ylim(-0.03, 1.03)
    axis.set_xlabel("recovery gap, the truth")
    axis.set_ylabel("probability of memorizing")


def _handles(judged: xr.Dataset) -> list[Any]:
    there = set(judged["source"].values)
    found = [
        style.handle(color=style.BLACK, marker=marker, ls="", mfc="none", label=source)
        for source, marker in MARKERS.items()
        if source in there
    ]
    return found + [
        style.handle(marker="s", ls="", label=truth, **look) for truth, look in LOOKS.items()
    ]


def _caption(found: Found) -> str:
    config = found.config
    total = next(s for s in found.summary["scores"][LAW] if s["source"] == "all")
    sides = [(total[a], total[b]) for a, b in SIDES]
    (memorizing, generalizing), (first, second) = sides, [share_words(*side) for side in sides]
    new = [s for s in config.test if s not in config.calibrate]
    count = {role: int((found.data["role"] == role).sum()) for role in ("test", "calibrate")}
    return "\n".join(
        [
            r"\textbf{The probe without training data.} "
            f"{count['test']} networks of {len(config.test)} sources judged by a law "
            f"fitted to {count['calibrate']} others of {len(config.calibrate)}"
            + (f"; never fitted to: {tex.escape(tex.listing(new))}." if new else "."),
            r"(a) \texttt{loo} entropy on generated sequences over log loss on held-out ones, at "
            "two noise levels (vertical values cut at 1.5); dashed: probability one half.",
            r"(b) Probability with its 95\,\% interval against the recovery gap, which uses the "
            f"training data; dashed: gaps of {tex.listing([float(b) for b in GAP_BOUNDS])} that "
            "part generalizing, in between and memorizing; dotted: bounds of the label.",
            f"{memorizing[0]} of {memorizing[1]} memorizing networks are called so ({first}), "
            f"{generalizing[0]} of {generalizing[1]} generalizing ones ({second}; intervals: "
            f"Wilson's, over networks); {total['middle']} lie in between and are left out.",
        ]
    )

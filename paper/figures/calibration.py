"""The probe on families of networks of known answer, each judged by a law fitted to the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper import style, tex
from paper.captions import estimate_words, share_words
from paper.sources import Found, Results
from simulations.probe.calibration.fit import LAWS
from simulations.probe.calibration.judgement import EVERYTHING
from simulations.probe.calibration.truth import CLASSES, GENERALIZING, MEMORIZING, MIDDLE
from simulations.probe.judge.verdict import ORDER_BOUNDS

RUNS = ("calibration",)
LOOKS: dict[str, dict[str, Any]] = {
    MEMORIZING: {"color": style.BLUE, "fillstyle": "full"},
    MIDDLE: {"color": style.GREY, "fillstyle": "left", "markerfacecoloralt": "white"},
    GENERALIZING: {"color": style.VERMILION, "fillstyle": "none"},
}
LAW = next(iter(LAWS))
SIDES = (("found", 2), ("cleared", 0))  # labels that are right, and the class they are right of


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption, from the saved table of networks."""
    found = results.open("calibration")
    figure, axes = style.figure(1, 2, 5.2)
    _probabilities(axes[0, 0], found)
    _families(axes[0, 1], found)
    style.titles(axes.flat, ["verdict without training data", "by family left out"])
    handles = [
        style.handle(marker="o", ls="", label=truth, **look) for truth, look in LOOKS.items()
    ]
    handles += [
        style.handle(color=style.BLUE, marker="s", ls="", label="the verdict's law"),
        style.handle(color=style.GREY, marker="s", ls="", label="entropy alone"),
    ]
    style.below(figure, handles, 5)
    return figure, _caption(found)


def _probabilities(axis: Any, found: Found) -> None:
    data = found.data.isel(model=np.flatnonzero(found.data["common"].values))
    told = data["classes"].sel(basis=LAW, klass=MEMORIZING).values
    for truth, look in LOOKS.items():
        mine = data["truth"].values == truth
        axis.plot(data["share"].values[mine], told[mine], marker="o", ls="", ms=3.6, **look)
    for bound in ORDER_BOUNDS:
        axis.axvline(bound, color=style.GREY, lw=0.8, ls="--")
    axis.set_ylim(-0.03, 1.03)
    axis.set_xlabel("share memorized, $M$, the truth")
    axis.set_ylabel("probability of memorizing")


def _families(axis: Any, found: Found) -> None:
    rows = found.summary["scores"][LAW]
    place = np.arange(len(rows))
    for key, shift, color in (("log_score", -0.2, style.BLUE), ("entropy_alone", 0.2, style.GREY)):
        value = [float(row[key][0]) for row in rows]
        axis.barh(place + shift, value, 0.36, color=color)
    axis.axvline(np.log(len(CLASSES)), color=style.GREY, lw=0.8, ls=":")
    axis.set_yticks(place, [row["group"] for row in rows], fontsize=5)
    axis.invert_yaxis()
    axis.set_xlabel("log score, nats")


def _caption(found: Found) -> str:
    row = next(r for r in found.summary["scores"][LAW] if r["group"] == EVERYTHING)
    labels = row["labels"]
    (memorizing, first), (generalizing, second) = [
        (f"{labels[key]} of {labels['truths'][k]}", share_words(labels[key], labels["truths"][k]))
        for key, k in SIDES
    ]
    score, entropy = (estimate_words(row[k]) for k in ("log_score", "entropy_alone"))
    return "\n".join(
        [
            r"\textbf{The probe without training data.} "
            f"{labels['n']} networks of {len(found.summary['families'])} families, every family "
            "judged by a law that was fitted to the others.",
            "(a) Probability of memorizing against the share of the training data that is "
            "memorized; dashed: shares of "
            f"{tex.listing([float(b) for b in ORDER_BOUNDS])} that part generalizing, in between "
            "and memorizing.",
            r"(b) Mean of $-\log P$ of the true class, nats; dotted: nothing known; entropy alone: "
            "the same fit to what the paper's probe reads.",
            f"{memorizing} memorizing networks are called so ({first}), {generalizing} "
            f"generalizing ones ({second}; Wilson's intervals, over networks), "
            f"{labels['opposite']} are called the opposite, {labels['withheld']} are withheld; log "
            rf"score {score} nats, by entropy alone {entropy} (95\,\%, over networks).",
        ]
    )

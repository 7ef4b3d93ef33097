"""The transition under uniform, hybrid and absorbing noise, at equal information."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper import style
from paper.captions import problem_words, resampling_words
from paper.sources import Results
from simulations.channels.analysis import Findings, order_at
from simulations.channels.config import CHANNELS
from simulations.channels.report import headline_level
from simulations.measure.bootstrap import interval

RUNS = ("channels",)
LOOKS = {
    "uniform": (style.BLUE, "o"),
    "hybrid": (style.GREEN, "D"),
    "absorbing": (style.VERMILION, "s"),
}


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption."""
    findings = results.open("channels").analysis
    figure, axes = style.figure(2, 2, 5.2)
    level = headline_level(findings)
    _orders(axes[0, 0], findings, level)
    _sizes(axes[0, 1], findings)
    _entropies(axes[1, 0], findings)
    _law(axes[1, 1], findings)
    for axis in (axes[0, 0], axes[1, 0]):
        style.size_axis(axis, findings.config.train_sizes)
    words = ["memory and generalization", "sizes at equal information"]
    style.titles(axes.flat, [*words, "entropy as $t\\to0$", "the exact law"])
    handles = [
        style.handle(color=colour, marker=marker, lw=0.9, label=name)
        for name, (colour, marker) in LOOKS.items()
    ]
    style.below(figure, handles, 3)
    return figure, _caption(findings, level)


def _orders(axis: Any, findings: Findings, level: int) -> None:
    for name in CHANNELS:
        order, (colour, marker) = order_at(findings.parts[name], level), LOOKS[name]
        if order is None:
            continue
        for curve, line in ((order.memory, "-"), (order.generalization, "--")):
            look = {"color": colour, "marker": marker, "ms": 3, "lw": 0.9, "ls": line}
            style.points(
                axis, curve.train_sizes, curve.estimate, *interval(curve.replicates), **look
            )
    axis.axhline(0.5, color=style.GREY, lw=0.7, ls=":")
    axis.set_ylim(-0.15, 1.2)
    axis.set_ylabel("fraction between the ends")


def _sizes(axis: Any, findings: Findings) -> None:
    for name in CHANNELS:
        part, (colour, marker) = findings.parts[name], LOOKS[name]
        for which, face in (("k_memory", colour), ("k_generalization", "w")):
            orders = [order_at(part, level) for level in range(len(part.told))]
            sizes = [None if order is None else getattr(order, which) for order in orders]
            there = [(told, s) for told, s in zip(part.told, sizes, strict=True) if s is not None]
            if there:
                table = np.array([(told, s.value, s.low, s.high) for told, s in there])
                style.points(axis, *table.T, color=colour, marker=marker, mfc=face)
    axis.set_xlabel("information $I(x_0;x_t)$ (nats/token)")
    axis.set_ylabel("$K_M$ (filled), $K_G$ (open)")
    style.log_ticks(axis, "y")


def _entropies(axis: Any, findings: Findings) -> None:
    sizes = findings.config.train_sizes
    for name in CHANNELS:
        analysis, (colour, marker) = findings.parts[name].analysis, LOOKS[name]
        for split, face in (("train", colour), ("heldout", "w")):
            rate = analysis.law("entropy", "trained", "loo", split)
            part = (rate.estimate[:, 0], rate.low[:, 0], rate.high[:, 0])
            style.points(axis, sizes, *part, color=colour, marker=marker, mfc=face, lw=0.7)
    axis.axhline(findings.law_entropy, color="k", ls="--", lw=0.9)
    axis.set_ylim(bottom=-0.02)
    axis.set_ylabel(r"$\mathtt{loo}$ entropy (nats/token)")


def _law(axis: Any, findings: Findings) -> None:
    for name in CHANNELS:
        part, (colour, marker) = findings.parts[name], LOOKS[name]
        for rate_name, face in (("all-token recovery", colour), ("corrupted recovery", "w")):
            rate = part.analysis.rate(rate_name, "population", "ancestral", "heldout")
            ends = interval(rate.replicates.mean(axis=1))
            look = {"color": colour, "marker": marker, "mfc": face, "lw": 0.7}
            style.points(axis, part.told, rate.estimate.mean(axis=0), *ends, **look)
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("information $I(x_0;x_t)$ (nats/token)")
    axis.set_ylabel("held-out tokens restored")


def _caption(findings: Findings, level: int) -> str:
    config, told = findings.config, findings.parts["uniform"].told[level]
    return (
        f"The transition under three kinds of noise, {problem_words(config)}. A lost token is "
        "redrawn (uniform), masked (absorbing), or redrawn at small levels and masked at large "
        "ones (hybrid). (a) Memory fraction $M$ (solid) and generalization fraction $G$ (dashed) "
        f"at {told:.2f} nats a token, between the exact ends of each channel. (b) Where $M$ falls "
        "below and $G$ rises above one half. (c) Entropy of a token given all others on training "
        "(filled) and held-out sequences (open); dashed: the source. (d) The exact law on held-out "
        "inputs, one exact draw: all tokens right (filled), lost tokens restored (open). "
        f"Intervals: {resampling_words(config)}."
    )

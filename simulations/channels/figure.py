"""The transition under three channels: recovery, order parameters, sizes, entropy, fixed points."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from simulations.channels.analysis import Findings, order_at
from simulations.channels.config import CHANNELS
from simulations.channels.report import headline_level, ratio_words
from simulations.measure.bootstrap import interval
from simulations.measure.names import SMALL_LEVEL
from simulations.phase.tell.summary import size_words
from simulations.plots import intervals, legend_below, panels, wrapped

COLOURS = {"uniform": "#0072B2", "absorbing": "#D55E00", "hybrid": "#009E73"}
SHIFT = {"uniform": 0.93, "hybrid": 1.0, "absorbing": 1.075}  # so that markers do not hide
OFFSET = {"uniform": -0.012, "hybrid": 0.0, "absorbing": 0.012}  # nats, for the same reason


@panels(2, 3, (16.5, 10.0))
def draw(axes: Any, findings: Findings) -> tuple[str, str]:
    """Six panels; colours are channels everywhere."""
    fill = (_recovery, _order, _sizes, _entropy, _fixed, _law)
    for axis, panel in zip(axes.flat, fill, strict=True):
        panel(axis, findings)
    config = findings.config
    about = f"source {config.source}, V = {config.vocab_size}, L = {config.seq_len}"
    heading = f"Memorization and generalization under three kinds of noise: {about}"
    return heading, _caption(findings)


def _caption(findings: Findings) -> str:
    level, parts = headline_level(findings), findings.parts
    t = {name: parts[name].analysis.config.levels[level] for name in CHANNELS}
    ratio = [ratio_words(findings.ratios.get((name, level))) for name in ("K_M", "K_G")]
    return wrapped(
        "Uniform: a lost token is redrawn at random. Absorbing: it is masked. Hybrid: redrawn at "
        "small levels, masked at large ones. The same networks, sequences and K under each; levels "
        "at which the noisy sequence tells as much of the clean one, I(x_0; x_t). (a, b) at "
        f"{parts['uniform'].told[level]:.2f} nats a token: "
        + ", ".join(f"t = {t[name]:g} {name}" for name in CHANNELS)
        + ".",
        "(a) Lines: the exact ends of that channel, the optimal memorizer on training sequences "
        "(solid) and the law (dashed). (b) M, memory: 1 for the memorizer, 0 "
        "for the law, on training sequences; G, generalization: 0 for the memorizer's own curve, 1 "
        f"for the law, on held-out ones. Absorbing over uniform: K_M {ratio[0]}, K_G {ratio[1]}.",
        "(d) Law of a token given all others (`loo`), clean sequences; under absorbing noise each "
        "site masked alone. (e) Whole sequences each of whose tokens is the likeliest given the "
        "others. (f) The exact law on held-out inputs: about as many of all tokens are right, "
        "but of those that are lost masks let more be restored. Bars: 95 % over sequences.",
    )


def _channel_handles() -> list[Any]:
    return [Line2D([], [], color=COLOURS[name], lw=3, label=name) for name in CHANNELS]


def _split_handles(first: str, second: str) -> list[Any]:
    return [
        Line2D([], [], color="0.2", marker="o", ls="", label=first),
        Line2D([], [], color="0.2", marker="o", ls="", mfc="white", label=second),
    ]


def _recovery(axis: Any, findings: Findings) -> None:
    level, sizes = headline_level(findings), np.array(findings.config.train_sizes, float)
    for name in CHANNELS:
        analysis, colour = findings.parts[name].analysis, COLOURS[name]
        memory = analysis.rate("corrupted recovery", "empirical", "ancestral", "train")
        law = analysis.rate("corrupted recovery", "population", "ancestral", "heldout")
        axis.plot(sizes, memory.estimate[:, level], color=colour, lw=1)
        axis.axhline(law.estimate[:, level].mean(), color=colour, lw=1, ls="--")
        for split, face in (("train", colour), ("heldout", "white")):
            rate = analysis.rate("corrupted recovery", "trained", "ancestral", split)
            ends = (rate.estimate[:, level], rate.low[:, level], rate.high[:, level])
            at = sizes * SHIFT[name]
            intervals(axis, at, *ends, color=colour, marker="o", mfc=face, ms=5)
    axis.set(
        title="(a) What is restored",
        xscale="log",
        xlabel="training-set size K (sequences)",
        ylabel="lost tokens restored",
        ylim=(0, 1.02),
    )
    handles = [*_channel_handles(), *_split_handles("training sequences", "held-out sequences")]
    legend_below(axis, handles)


def _order(axis: Any, findings: Findings) -> None:
    level = headline_level(findings)
    for name in CHANNELS:
        order = order_at(findings.parts[name], level)
        if order is None:
            continue
        for curve, ls in ((order.memory, "-"), (order.generalization, "--")):
            low, high = interval(curve.replicates)
            axis.plot(curve.train_sizes, curve.estimate, color=COLOURS[name], ls=ls, lw=1.4)
            axis.fill_between(curve.train_sizes, low, high, color=COLOURS[name], alpha=0.15, lw=0)
    axis.axhline(0.5, color="0.6", lw=0.8)
    axis.set(
        title="(b) Memory and generalization",
        xscale="log",
        xlabel="training-set size K (sequences)",
        ylabel="fraction between the exact ends",
        ylim=(-0.15, 1.2),
    )
    lines = [
        Line2D([], [], color="0.2", ls=ls, label=word)
        for ls, word in (("-", "M, memory"), ("--", "G, generalization"))
    ]
    legend_below(axis, [*_channel_handles(), *lines])


def _sizes(axis: Any, findings: Findings) -> None:
    for name in CHANNELS:
        part = findings.parts[name]
        for which, face in (("k_memory", COLOURS[name]), ("k_generalization", "white")):
            points = []
            for level, told in enumerate(part.told):
                order = order_at(part, level)
                size = None if order is None else getattr(order, which)
                if size is not None and size.status == "ok":
                    points.append((told + OFFSET[name], size.value, size.low, size.high))
            if points:
                told_at, value, low, high = np.array(points).T
                ends = [np.nan_to_num(np.abs(value - end), posinf=0) for end in (low, high)]
                axis.errorbar(
                    value, told_at, xerr=ends, color=COLOURS[name], marker="o", ls="", mfc=face
                )
    axis.set(
        title="(c) Sizes at equal information",
        xscale="log",
        xlabel="training-set size K (sequences)",
        ylabel="I(x_0; x_t), nats a token",
    )
    legend_below(axis, [*_channel_handles(), *_split_handles("$K_M$", "$K_G$")])


def _entropy(axis: Any, findings: Findings) -> None:
    sizes = np.array(findings.config.train_sizes, float)
    words = []
    for name in CHANNELS:
        part, colour = findings.parts[name], COLOURS[name]
        for split, face in (("train", colour), ("heldout", "white")):
            rate = part.analysis.law("entropy", "trained", "loo", split)
            ends = (rate.estimate[:, 0], rate.low[:, 0], rate.high[:, 0])
            intervals(axis, sizes * SHIFT[name], *ends, color=colour, marker="o", mfc=face, ms=5)
        order = part.orders.orders.get(("trained", "entropy", SMALL_LEVEL))
        if order is not None:
            words.append(f"{name} {size_words(order.k_memory)}")
    axis.axhline(findings.law_entropy, color="k", ls=(0, (5, 2)), lw=1.4)
    axis.set(
        title="(d) Entropy alone, t → 0",
        xscale="log",
        xlabel="training-set size K (sequences)",
        ylabel="entropy of a token given all others, nats",
    )
    axis.set_ylim(bottom=0)
    handles = [
        *_channel_handles(),
        *_split_handles("training sequences", "held-out sequences"),
        Line2D([], [], color="k", ls=(0, (5, 2)), label="exact law"),
    ]
    legend_below(axis, handles)
    if words:
        text = "$K_H$: " + "\n         ".join(words)
        axis.text(0.02, 0.98, text, transform=axis.transAxes, va="top", fontsize=7.5)


def _fixed(axis: Any, findings: Findings) -> None:
    sizes = np.array(findings.config.train_sizes, float)
    for name in CHANNELS:
        analysis, colour = findings.parts[name].analysis, COLOURS[name]
        for split, face in (("train", colour), ("heldout", "white")):
            rate = analysis.share("fixed", "trained", split)
            ends = (rate.estimate, rate.low, rate.high)
            intervals(axis, sizes * SHIFT[name], *ends, color=colour, marker="o", mfc=face, ms=5)
    axis.set(
        title="(e) Fixed points",
        xscale="log",
        xlabel="training-set size K (sequences)",
        ylabel="whole sequences that are fixed points",
        ylim=(-0.03, 1.05),
    )
    handles = [*_channel_handles(), *_split_handles("training sequences", "held-out sequences")]
    legend_below(axis, handles)


def _law(axis: Any, findings: Findings) -> None:
    for name in CHANNELS:
        part, colour = findings.parts[name], COLOURS[name]
        for rate_name, face in (("all-token recovery", colour), ("corrupted recovery", "white")):
            rate = part.analysis.rate(rate_name, "population", "ancestral", "heldout")
            mean, table = rate.estimate.mean(axis=0), rate.replicates.mean(axis=1)
            axis.plot(part.told, mean, color=colour, lw=1)
            intervals(axis, part.told, mean, *interval(table), color=colour, marker="o", mfc=face)
    axis.set(
        title="(f) The exact law, by one exact draw",
        xlabel="I(x_0; x_t), nats a token",
        ylabel="held-out tokens restored",
        ylim=(0, 1.02),
    )
    legend_below(axis, [*_channel_handles(), *_split_handles("of all tokens", "of those lost")])

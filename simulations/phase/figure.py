"""The main figure: recovery, the two order parameters, the phases, entropy, attractors, arms.

Long because its six panels share their encodings, and are read together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from simulations.measure.bootstrap import interval
from simulations.measure.feature_size import REFERENCE
from simulations.measure.names import SMALL_LEVEL
from simulations.measure.transition import Estimate
from simulations.phase.analysis import Rate
from simulations.phase.comparison import Findings
from simulations.phase.order import OF_DECISIONS, TITLES, Order
from simulations.phase.tell.summary import foretold_words, headline_level, size_words
from simulations.plots import intervals, legend_below, panels, wrapped

TRAIN, HELD_OUT, GENERATED, EXACT_END, ARM = "#0072B2", "#D55E00", "#009E73", "0.35", "#AA4499"
FORETOLD = "#B8860B"
LAW: dict[str, Any] = {"color": "k", "lw": 1.4, "ls": (0, (5, 2))}
PHASES = {"memory": "#cfe3f1", "both": "#efe6f2", "generalization": "#fbe0d0"}


@panels(2, 3, (16.5, 10.4))
def draw(axes: Any, findings: Findings) -> tuple[str, str]:
    """Six panels, in the order in which the report tells them."""
    fill = (_recovery, _order, _plane, _entropy, _fixed_points, _arms)
    for axis, panel in zip(axes.flat, fill, strict=True):
        panel(axis, findings)
    config = findings.analysis.config
    order = findings.orders.orders.get(("trained", "recovery", headline_level(findings)))
    found = "Memory is lost later than the law is found" if _overlap(order) else "Two transitions"
    return f"{found}: {config.about}", _caption(findings)


def _overlap(order: Order | None) -> bool:
    """Whether memory and generalization coexist: the interval of K_M / K_G lies above 1."""
    return order is not None and order.window.low > 1


def _caption(findings: Findings) -> str:
    config = findings.analysis.config
    seeds = f"{config.seeds} seed{'s' if config.seeds > 1 else ''}"
    units = "sequences and seeds" if config.seeds >= 5 else f"sequences, {seeds} held fixed"
    law = (
        "the law is unknown, and the largest K stands for it"
        if config.source == "text"
        else "dashed black, the exact law of the source"
    )
    t, small = headline_level(findings), config.levels[0]
    alone = "" if config.noise.redraws else ", each site masked alone"
    order = findings.orders.orders.get(("trained", "recovery", t))
    passages = (
        ""
        if order is None
        else f" At t = {t:g} K_G = {size_words(order.k_generalization)}, "
        f"K_M = {size_words(order.k_memory)}. Shaded where the interval of K_M / K_G lies above 1."
    )
    return wrapped(
        f"Sequences of L = {config.seq_len} of V = {config.vocab_size} tokens; t: noise level, "
        f"about the share of tokens that are {config.fate}. Exact, nothing fitted: grey, the "
        f"optimal memorizer, Bayes' rule over the same K sequences; {law}. Measured: markers, with "
        f"95 % intervals (bootstrap over {units}; some are smaller than the markers). Network: "
        f"{findings.trained_words}.",
        "(a, b) Memory fraction M: where the recovery of training sequences lies between the law "
        "(0) and the memorizer (1). Generalization fraction G: where that of held-out sequences "
        "lies between the memorizer's own (0), which rises with K by itself, and the law (1). "
        f"K_M: M falls below 1/2. K_G: G first rises above it.{passages}{_foretold(findings)}",
        "(c) The same at every level." + _collapse_words(findings),
        f"(d) `loo`: the law of a token given all others, here of clean sequences{alone}; entropy "
        "over that of the exact law. K_H: where training entropy passes 1/2: memory is lost, by "
        "entropy alone. K_M(t -> 0): the same by the recovery of single tokens.",
        "(e) Whole sequences each of whose tokens is the likeliest given the others. "
        "Pseudo-likelihood memory: pairwise conditional laws fitted to the same sequences, without "
        "an energy.",
        f"(f) Restored by the likeliest other token at t = {small:g}, not by a draw as in (c), "
        "hence other sizes: draws and entropies of the pseudo-likelihood memory depend on the "
        "penalty of its fit. NELBO: the training objective of arXiv:2604.26841.",
    )


def _foretold(findings: Findings) -> str:
    """What the theory says of the size of this network, where it says anything."""
    if findings.foretold is None:
        return ""
    return (
        " K_half: the gap of train and held-out recovery is half of that at K = "
        f"{REFERENCE}. From width and steps by the theory of random features, its constants fitted "
        f"to other runs, with the interval of its misses: {foretold_words(findings.foretold)}."
    )


def _inside(line: dict[float, tuple[float, float]], findings: Findings) -> dict[float, float]:
    """The sizes of a line of log K by level, where one of them lies in the plane; else none."""
    top = _top(findings)
    sizes = {t: math.exp(value) for t, (value, _) in line.items() if t <= top}
    return sizes if any(k < findings.analysis.train_sizes[-1] for k in sizes.values()) else {}


def _top(findings: Findings) -> float:
    return min(1.0, float(findings.analysis.config.levels[-1]) + 0.05)


def _collapse_words(findings: Findings) -> str:
    if not findings.traps:
        return ""
    words = (
        " Above the grey line, faint, the memorizer itself loses its sequences: there M compares "
        "two ends that both forget."
    )
    if _inside(findings.traps, findings):
        return words
    return words + (
        " Its trap onset, up to which a clean stored sequence outweighs all others, lies beyond "
        "the largest K at every level."
    )


def _law_handle(findings: Findings) -> list[Line2D]:
    """The legend of the exact law, where it is known."""
    known = "population" in findings.analysis.denoisers
    return [Line2D([], [], **LAW, label="exact law")] if known else []


def log_axis(axis: Any, sizes: list[int]) -> None:
    """K on a logarithmic axis."""
    axis.set_xscale("log", base=2)
    shown = sizes[:: max(1, math.ceil(len(sizes) / 6))]
    axis.set_xticks(shown, [f"{k:,}" for k in shown])
    axis.set_xlabel("training-set size K (sequences)")
    axis.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)


def points(axis: Any, sizes: Any, rate: Rate, level: int, **style: Any) -> None:
    """A rate with intervals at the sizes at which it was measured."""
    known = ~np.isnan(rate.estimate[:, level])
    ends = (values[known, level] for values in (rate.estimate, rate.low, rate.high))
    intervals(axis, np.asarray(sizes)[known], *ends, **style)


def _shade(axis: Any, order: Order | None, sizes: list[int]) -> None:
    """The phases of an order parameter as vertical bands."""
    if order is None or not _overlap(order):
        return
    low, high = order.k_generalization.value, order.k_memory.value
    edges = (sizes[0] / 1.3, low, high, sizes[-1] * 1.3)
    for k, (name, colour) in enumerate(PHASES.items()):
        axis.axvspan(edges[k], edges[k + 1], color=colour, lw=0, zorder=0)
        middle = math.sqrt(edges[k] * edges[k + 1])
        axis.text(middle, 1.01, name, transform=axis.get_xaxis_transform(), ha="center", fontsize=8)


def _recovery(axis: Any, findings: Findings) -> None:
    analysis, t = findings.analysis, headline_level(findings)
    i, sizes = analysis.config.levels.index(t), analysis.train_sizes
    name = "corrupted recovery"
    _shade(axis, findings.orders.orders.get(("trained", "recovery", t)), sizes)
    for split, style in (("train", "-"), ("heldout", "--")):
        memory = analysis.rate(name, "empirical", "ancestral", split).estimate[:, i]
        axis.plot(sizes, memory, color=EXACT_END, lw=1.6, ls=style)
    if "population" in analysis.denoisers:
        law = analysis.rate(name, "population", "ancestral", "heldout").estimate[:, i].mean()
        axis.axhline(law, **LAW)
    axis.axhline(analysis.config.chance, color="0.6", lw=1, ls=":")
    for split, colour, marker in (("train", TRAIN, "o"), ("heldout", HELD_OUT, "s")):
        rate = analysis.rate(name, "trained", "ancestral", split)
        points(axis, sizes, rate, i, color=colour, marker=marker, ms=6)
    handles = [
        Line2D([], [], color=TRAIN, marker="o", lw=0, label="network, training sequences"),
        Line2D([], [], color=HELD_OUT, marker="s", lw=0, label="network, held-out sequences"),
        Line2D([], [], color=EXACT_END, lw=1.6, label="optimal memorizer, training"),
        Line2D([], [], color=EXACT_END, lw=1.6, ls="--", label="optimal memorizer, held-out"),
        *_law_handle(findings),
        Line2D([], [], color="0.6", lw=1, ls=":", label="chance"),
    ]
    legend_below(axis, handles, ncol=2)
    axis.set_ylim(0, 1.0)
    axis.set_ylabel(f"corrupted tokens restored, t = {t:g}")
    axis.set_title("(a) What is restored", loc="left", pad=16)
    log_axis(axis, sizes)


def _order(axis: Any, findings: Findings) -> None:
    analysis, t = findings.analysis, headline_level(findings)
    sizes = analysis.train_sizes
    order = findings.orders.orders.get(("trained", "recovery", t))
    _shade(axis, order, sizes)
    axis.axhline(0.5, color="0.6", lw=0.8)
    handles = []
    for split, colour, marker, what in (
        ("memory", TRAIN, "o", "M, memory, of training sequences"),
        ("generalization", HELD_OUT, "s", "G, generalization, of held-out ones"),
    ):
        if order is None:
            continue
        curve = getattr(order, split)
        ends = (curve.estimate, *interval(curve.replicates))
        intervals(axis, curve.train_sizes, *ends, color=colour, marker=marker, ms=6)
        axis.plot(curve.train_sizes, curve.estimate, color=colour, lw=1.3)
        handles.append(Line2D([], [], color=colour, marker=marker, label=what))
    if findings.foretold is not None:
        axis.axvspan(findings.foretold.low, findings.foretold.high, color=FORETOLD, alpha=0.3, lw=0)
        axis.axvline(findings.foretold.value, color=FORETOLD, lw=1.5)
        words = "$K_{half}$ by the theory of random features, with the band of its misses"
        handles.append(Line2D([], [], color=FORETOLD, lw=1.5, label=words))
    legend_below(axis, handles, ncol=1)
    axis.set_ylim(-0.1, 1.2)
    axis.set_ylabel("fraction between the two exact ends")
    axis.set_title(f"(b) Memory and generalization, t = {t:g}", loc="left", pad=16)
    log_axis(axis, sizes)


def _plane(axis: Any, findings: Findings) -> None:
    analysis = findings.analysis
    sizes, top = analysis.train_sizes, _top(findings)
    found: dict[str, list[tuple[float, Estimate]]] = {"k_memory": [], "k_generalization": []}
    for t in analysis.config.levels:
        order = findings.orders.orders.get(("trained", "recovery", t))
        for name, rows in found.items():
            if order is not None and math.isfinite(getattr(order, name).value):
                rows.append((t, getattr(order, name)))
    both = [
        t
        for t in analysis.config.levels
        if _overlap(findings.orders.orders.get(("trained", "recovery", t)))
    ]
    if len(both) >= 2:
        low = [dict(found["k_generalization"])[t].value for t in both]
        high = [dict(found["k_memory"])[t].value for t in both]
        left, right = [sizes[0] / 1.3] * len(both), [sizes[-1] * 1.3] * len(both)
        for ends, colour in zip(
            ((left, low), (low, high), (high, right)), PHASES.values(), strict=True
        ):
            axis.fill_betweenx(both, *ends, color=colour, lw=0)
        middle, height = len(both) // 2, both[len(both) // 2]
        places = (
            math.sqrt(left[0] * low[middle]),
            math.sqrt(low[middle] * high[middle]),
            math.sqrt(high[middle] * right[0]),
        )
        for place, name in zip(places, PHASES, strict=True):
            axis.text(place, height, name, ha="center", va="center", fontsize=9, rotation=90)
    collapse = _inside(analysis.information, findings)
    if collapse:
        axis.fill_between(
            list(collapse.values()), list(collapse), top, color="w", alpha=0.6, lw=0, zorder=1.5
        )
    for name, colour, marker, symbol in (
        ("k_generalization", HELD_OUT, "s", "$K_G$"),
        ("k_memory", TRAIN, "o", "$K_M$"),
    ):
        rows = found[name]
        if rows:
            value, low_end, high_end = (
                np.clip([getattr(e, part) for _, e in rows], sizes[0] / 1.3, sizes[-1] * 1.3)
                for part in ("value", "low", "high")
            )
            axis.errorbar(
                value,
                [t for t, _ in rows],
                xerr=np.nan_to_num([value - low_end, high_end - value]),
                color=colour,
                marker=marker,
                lw=1.4,
                label=f"{symbol}, network",
            )
    for line, style, label in (
        (analysis.information, "-", "collapse of the memorizer, log K = I(x_0; x_t)"),
        (findings.traps, "--", "its trap onset: a clean stored sequence\noutweighs all others"),
    ):
        shown = _inside(line, findings)
        if shown:
            axis.plot(
                list(shown.values()), list(shown), color=EXACT_END, ls=style, lw=1.5, label=label
            )
    legend_below(axis, ncol=2)
    axis.set_ylim(0, top)
    axis.set_ylabel("noise level t")
    axis.set_title("(c) The phases at every noise level", loc="left", pad=16)
    log_axis(axis, sizes)


def _entropy(axis: Any, findings: Findings) -> None:
    analysis = findings.analysis
    sizes = analysis.train_sizes
    law = findings.law_entropy
    for split, colour, marker in (("train", TRAIN, "o"), ("generated", GENERATED, "D")):
        rate = analysis.law("entropy", "trained", "loo", split)
        values = (part[:, 0] / law for part in (rate.estimate, rate.low, rate.high))
        intervals(axis, sizes, *values, color=colour, marker=marker, ms=5)
    below = analysis.law("fraction below 0.05", "trained", "loo", "train").estimate[:, 0]
    axis.plot(sizes, below, color=TRAIN, lw=1.2, ls="-.")
    memory = analysis.law("entropy", "empirical", "loo", "train").estimate[:, 0] / law
    axis.plot(sizes, memory, color=EXACT_END, lw=1.6)
    axis.axhline(1, **LAW)
    handles = [
        Line2D([], [], color=TRAIN, marker="o", lw=0, label="entropy, training sequences"),
        Line2D([], [], color=GENERATED, marker="D", lw=0, label="entropy, generated sequences"),
        Line2D([], [], color=TRAIN, ls="-.", lw=1.2, label="share of tokens below 0.05 nats"),
        Line2D([], [], color=EXACT_END, lw=1.6, label="entropy, optimal memorizer"),
        *(_law_handle(findings) or [Line2D([], [], **LAW, label="largest K, in its place")]),
    ]
    orders = findings.orders.orders
    axis.axhline(0.5, color="0.6", lw=0.8)
    for reading, colour, style, symbol in (
        ("entropy", TRAIN, "-", "$K_H$"),
        ("single-token recovery", "k", ":", r"$K_M(t\to0)$"),
    ):
        order = orders.get(("trained", reading, SMALL_LEVEL))
        if order is not None and math.isfinite(order.k_memory.value):
            words = f"{symbol} = {size_words(order.k_memory)}"
            axis.axvline(order.k_memory.value, color=colour, ls=style, lw=1.5)
            handles.append(Line2D([], [], color=colour, ls=style, lw=1.5, label=words))
    legend_below(axis, handles, ncol=2)
    top = np.nanmax(analysis.law("entropy", "trained", "loo", "generated").high[:, 0]) / law
    axis.set_ylim(-0.04, max(1.2, 1.1 * float(top)))
    axis.set_ylabel(f"entropy over the law's ({law:.3g} nats); share of tokens")
    axis.set_title("(d) Entropy alone, t = 1e-5", loc="left", pad=16)
    log_axis(axis, sizes)


def _fixed_points(axis: Any, findings: Findings) -> None:
    analysis = findings.analysis
    sizes = analysis.train_sizes
    styles: dict[str, dict[str, Any]] = {
        "trained": {"lw": 0, "ms": 6},
        "pairwise": {"lw": 0, "ms": 5, "mfc": "w"},
    }
    for split, colour, marker, line in (
        ("train", TRAIN, "o", "-"),
        ("heldout", HELD_OUT, "s", "--"),
    ):
        for name, style in styles.items():
            if name in analysis.denoisers:
                rate = analysis.share("fixed", name, split)
                known = ~np.isnan(rate.estimate)
                ends = (part[known] for part in (rate.estimate, rate.low, rate.high))
                where = np.asarray(sizes)[known]
                intervals(axis, where, *ends, color=colour, marker=marker, **style)
        memory = analysis.share("fixed", "empirical", split).estimate
        axis.plot(sizes, memory, color=EXACT_END, lw=1.6, ls=line)
    if "population" in analysis.denoisers:
        law = analysis.share("fixed", "population", "heldout").estimate.mean()
        axis.axhline(law, **LAW)
    handles = [
        Line2D([], [], color=TRAIN, marker="o", lw=0, label="training sequences"),
        Line2D([], [], color=HELD_OUT, marker="s", lw=0, label="held-out sequences"),
        Line2D([], [], color="0.2", marker="o", lw=0, label="filled: network"),
        Line2D(
            [], [], color="0.2", marker="o", mfc="w", lw=0, label="open: pseudo-likelihood memory"
        ),
        Line2D([], [], color=EXACT_END, lw=1.6, label="memorizer, training"),
        Line2D([], [], color=EXACT_END, lw=1.6, ls="--", label="memorizer, held-out"),
        *_law_handle(findings),
    ]
    legend_below(axis, handles, ncol=2)
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("whole sequences that are fixed points")
    axis.set_title("(e) Attractors: fixed points of argmax `loo`", loc="left", pad=16)
    log_axis(axis, sizes)


def _arms(axis: Any, findings: Findings) -> None:
    """K_G to K_M by decisions at the smallest level, and K_H, for everything that was trained."""
    t, sizes = findings.analysis.config.levels[0], findings.analysis.train_sizes
    left, right = sizes[0] / 1.3, sizes[-1] * 1.3
    names: list[str] = []
    for name, title in TITLES.items():
        order = findings.orders.orders.get((name, OF_DECISIONS, t))
        if order is None:
            continue
        y = len(names)
        names.append(title)
        edges = [left, order.k_generalization.value, order.k_memory.value, right]
        if _overlap(order):
            for k, colour in enumerate(PHASES.values()):
                axis.plot(edges[k : k + 2], [y, y], color=colour, lw=22, solid_capstyle="butt")
        shown = [(order.k_generalization, HELD_OUT, "s"), (order.k_memory, TRAIN, "o")]
        if name != "pairwise":  # how confident that memory is, its penalty says
            by_entropy = findings.orders.orders[name, "entropy", SMALL_LEVEL]
            shown.append((by_entropy.k_memory, ARM, "d"))
        for size, colour, marker in shown:
            if math.isfinite(size.value):
                place = y + 0.3 * (marker == "d")
                ends = np.clip(np.nan_to_num([size.low, size.high], nan=size.value), left, right)
                axis.plot(ends, [place, place], color=colour, lw=1.6)
                axis.plot(size.value, place, marker, color=colour, ms=6)
    axis.set_yticks(
        range(len(names)), [n.replace(", ", ",\n").replace("hood ", "hood\n") for n in names]
    )
    axis.set_ylim(len(names) - 0.4, -0.6)
    handles = [
        *(Patch(color=colour, label=name) for name, colour in PHASES.items()),
        Line2D([], [], color=HELD_OUT, marker="s", lw=0, label="$K_G$"),
        Line2D([], [], color=TRAIN, marker="o", lw=0, label="$K_M$"),
        Line2D([], [], color=ARM, marker="d", lw=0, label="$K_H$, entropy alone"),
    ]
    legend_below(axis, handles, ncol=3)
    title = f"(f) Whatever was trained, t = {t:g}"
    axis.set_title(title, loc="left", pad=16)
    log_axis(axis, sizes)

"""The second figure of the main job: the other readings, drawn from the same findings."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from simulations.data.problem import make_source
from simulations.measure.names import ENTROPY_EDGES
from simulations.phase.analysis import Analysis, minus
from simulations.phase.comparison import Findings
from simulations.phase.figure import ARM, EXACT_END, GENERATED, HELD_OUT, TRAIN, log_axis, points
from simulations.phase.order import TITLES
from simulations.phase.tell.tables import circulation_of
from simulations.plots import intervals, legend_below, panels, wrapped


@panels(2, 3, (16.5, 10.4))
def draw_readings(axes: Any, findings: Findings) -> tuple[str, str]:
    """Recovery at every level, the gap and its tail; entropies, vanishing tokens, energies."""
    analysis = findings.analysis
    _recovery_panel(axes[0, 0], analysis)
    _plane_panel(axes[0, 1], analysis)
    _tail_panel(axes[0, 2], findings)
    _entropy_panel(axes[1, 0], analysis)
    _vanishing_panel(axes[1, 1], analysis)
    _energy_panel(axes[1, 2], analysis)
    config = analysis.config
    return f"The other readings: {config.about}", _caption(findings)


def _caption(findings: Findings) -> str:
    config = findings.analysis.config
    law = (
        "The law of a text is unknown: its curves are absent."
        if config.source == "text"
        else "Dashed: the exact law."
    )
    return wrapped(
        f"Network: {findings.trained_words}. {law} Intervals: 95 %, bootstrap over sequences"
        f"{' and seeds' if config.seeds >= 5 else ''}. Decoder ancestral, {config.n_steps} steps "
        "on the full interval (exact denoisers: one exact posterior draw).",
        "(c) Where gap = d_eff / K, K times the gap is constant; bands: d_eff with its interval, "
        "which covers where the tail begins. (f) Log-odds of single flips at t = 1e-5 summed "
        "around random cycles, over their size: 0 where the laws come from an energy, 2 where the "
        "four flips know nothing of each other.",
    )


def _shown_levels(analysis: Analysis) -> list[int]:
    levels = analysis.config.levels
    wanted = [i for i, t in enumerate(levels) if t in (0.1, 0.25, 0.5, 0.75)]
    return wanted or list(range(min(4, len(levels))))


def _recovery_panel(axis: Any, analysis: Analysis) -> None:
    levels = _shown_levels(analysis)
    colours = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(levels)))
    name = "corrupted recovery"
    for colour, i in zip(colours, levels, strict=True):
        for split, face in (("train", colour), ("heldout", "white")):
            rate = analysis.rate(name, "trained", "ancestral", split)
            marker = "o" if split == "train" else "s"
            points(axis, analysis.train_sizes, rate, i, color=colour, marker=marker, mfc=face)
        memory = analysis.rate(name, "empirical", "ancestral", "train").estimate[:, i]
        axis.plot(analysis.train_sizes, memory, color=colour, lw=1.4)
        if analysis.config.source != "text":
            # It does not depend on K: the mean over all K is its best estimate.
            plateau = analysis.rate(name, "population", "ancestral", "heldout").estimate[:, i]
            axis.axhline(plateau.mean(), color=colour, lw=1.4, ls="--")
    handles = [Line2D([], [], color=c, lw=5) for c in colours]
    labels = [f"t = {analysis.config.levels[i]:g}" for i in levels]
    grey: dict[str, Any] = {"color": "0.35"}
    handles += [
        Line2D([], [], marker="o", lw=0, **grey),
        Line2D([], [], marker="s", lw=0, mfc="white", **grey),
        Line2D([], [], lw=1.4, **grey),
    ]
    labels += ["trained, train", "trained, held-out", "empirical denoiser, train"]
    if analysis.config.source != "text":
        handles.append(Line2D([], [], lw=1.4, ls="--", **grey))
        labels.append("population denoiser, held-out")
    axis.legend(handles, labels, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.13))
    axis.set_ylim(0, 1.04)
    axis.set_ylabel("corrupted tokens recovered")
    axis.set_title("(a) Recovery of training and of held-out sequences", loc="left")
    log_axis(axis, analysis.train_sizes)


def _edges(values: Any, low: float, high: float) -> Any:
    middle = (np.asarray(values[1:]) + np.asarray(values[:-1])) / 2
    return np.concatenate([[low], middle, [high]])


def _plane_panel(axis: Any, analysis: Analysis) -> None:
    config = analysis.config
    pair = [
        analysis.rate("corrupted recovery", "trained", "ancestral", s) for s in ("train", "heldout")
    ]
    gap = minus(config, *pair).estimate.T
    logs = np.log2(analysis.train_sizes)
    step = logs[1] - logs[0] if len(logs) > 1 else 1.0
    columns = 2.0 ** _edges(logs, logs[0] - step / 2, logs[-1] + step / 2)
    top = min(1.0, config.levels[-1] + 0.1)
    mesh = axis.pcolormesh(
        columns, _edges(config.levels, 0, top), gap, cmap="magma", vmin=0, vmax=1, rasterized=True
    )
    bar = axis.figure.colorbar(mesh, ax=axis, pad=0.02)
    bar.set_label("train minus held-out recovery of corrupted tokens")
    for split, colour, marker in (("train", "#56B4E9", "o"), ("heldout", "#E69F00", "s")):
        shown = [
            (k, analysis.radii["trained", split, "token_recovery", k])
            for k in analysis.train_sizes
            if ("trained", split, "token_recovery", k) in analysis.radii
        ]
        inside = [(k, r) for k, r in shown if math.isfinite(r.value)]
        past = [k for k, r in shown if r.value == math.inf]
        if inside:
            ends = [
                [np.clip(r.value - r.low, 0, 1) for _, r in inside],
                [np.clip(r.high - r.value, 0, 1) for _, r in inside],
            ]
            axis.errorbar(
                [k for k, _ in inside],
                [r.value for _, r in inside],
                np.nan_to_num(np.array(ends, dtype=float)),
                color=colour,
                marker=marker,
                mec="k",
                mew=0.6,
                lw=1.2,
                label=f"basin radius, {'held-out' if split == 'heldout' else split} "
                f"(recovery {config.threshold:g})",
            )
        if past:
            axis.plot(
                past,
                [top * 0.985] * len(past),
                "^",
                color=colour,
                mec="k",
                mew=0.6,
                label=f"{'held-out' if split == 'heldout' else split}: beyond the last level",
            )
    _memorizer_line(axis, analysis, columns)
    axis.set_ylim(0, top)
    axis.set_xlim(columns[0], columns[-1])
    axis.set_ylabel("noise level t")
    axis.set_title("(b) Gap between train and held-out; basin radii", loc="left")
    axis.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.13), ncol=2, facecolor="0.6", frameon=True
    )
    log_axis(axis, analysis.train_sizes)
    axis.set_xlim(columns[0], columns[-1])


def _memorizer_line(axis: Any, analysis: Analysis, columns: Any) -> None:
    if not analysis.information:
        return
    levels = np.array(list(analysis.information))
    sizes = np.exp([value for value, _ in analysis.information.values()])
    inside = (sizes >= columns[0] * 0.5) & (sizes <= columns[-1] * 2)
    if inside.any():
        axis.plot(sizes[inside], levels[inside], color="w", lw=2, ls="-.")
        axis.plot([], [], color="w", lw=2, ls="-.", label=r"$\log K = I(x_0; x_t)$ (memorizer)")


def _tail_panel(axis: Any, findings: Findings) -> None:
    analysis = findings.analysis
    sizes = np.array(analysis.train_sizes, dtype=float)
    levels = _shown_levels(analysis)
    colours = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(levels)))
    for colour, i in zip(colours, levels, strict=True):
        t = analysis.config.levels[i]
        pair = [
            analysis.rate("corrupted recovery", "trained", "ancestral", s)
            for s in ("train", "heldout")
        ]
        gap = minus(analysis.config, *pair)
        ends = (part[:, i] * sizes for part in (gap.estimate, gap.low, gap.high))
        intervals(axis, sizes, *ends, color=colour, marker="o", label=f"t = {t:g}")
        tail = findings.orders.tails.get(("trained", t))
        if tail is not None:
            span = [tail.from_size, sizes[-1]]
            axis.fill_between(span, tail.low, tail.high, color=colour, alpha=0.2, lw=0)
            axis.plot(span, [tail.effective_dimension] * 2, color=colour, lw=1.4)
    legend_below(axis, ncol=4)
    axis.set_ylim(0, None)
    axis.set_ylabel("K times (train minus held-out recovery)")
    axis.set_title("(c) The tail: gap = d_eff / K", loc="left")
    log_axis(axis, analysis.train_sizes)


def _entropy_panel(axis: Any, analysis: Analysis) -> None:
    sizes = analysis.train_sizes
    for split, colour, marker, label in (
        ("train", TRAIN, "o", "training"),
        ("heldout", HELD_OUT, "s", "held-out"),
        ("generated", GENERATED, "D", "generated"),
    ):
        rate = analysis.law("entropy", "trained", "loo", split)
        points(axis, sizes, rate, 0, color=colour, marker=marker, label=f"entropy, {label}")
    loss = analysis.law("log_loss", "trained", "loo", "heldout")
    points(axis, sizes, loss, 0, color=HELD_OUT, marker="x", label="log loss, held-out")
    if "population" in analysis.denoisers:
        exact = analysis.law("entropy", "population", "loo", "heldout").estimate[:, 0].mean()
        axis.axhline(exact, color="k", ls=(0, (5, 2)), lw=1.4, label="entropy, exact law")
    legend_below(axis, ncol=3)
    axis.set_ylim(-0.05, None)
    axis.set_ylabel("nats a token, `loo` law at t = 1e-5")
    axis.set_title("(d) Entropies and log loss", loc="left")
    log_axis(axis, sizes)


def _vanishing_panel(axis: Any, analysis: Analysis) -> None:
    """Share of training tokens with entropy below eps, against eps, for some K and the law."""
    sizes = analysis.train_sizes
    shown = sorted({*range(0, len(sizes), max(1, len(sizes) // 4)), len(sizes) - 1})
    edges = np.array(ENTROPY_EDGES)
    colours = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(shown)))
    part = analysis.data["entropy_histogram"].sel(denoiser="trained", split="train").sum("seed")
    for colour, k in zip(colours, shown, strict=True):
        counts = part.isel(train_size=k).values.astype(float)
        below = np.cumsum(counts)[:-1] / counts.sum()
        axis.plot(edges, below, color=colour, lw=1.5, label=f"K = {sizes[k]:,}")
    config = analysis.config
    if config.source != "text":
        law = make_source(config.source, config.vocab_size, config.seq_len).loo_entropy_law()
        own = [law.fraction_below(float(e)) for e in edges]
        axis.plot(edges, own, color="k", lw=1.4, ls=(0, (5, 2)), label="exact law")
    axis.axvline(0.05, color="0.7", lw=0.8)
    axis.set_xscale("log")
    legend_below(axis, ncol=3)
    axis.set_xlabel("eps (nats)")
    axis.set_ylabel("share of training tokens with entropy below eps")
    axis.set_title("(e) Which tokens count as vanishing", loc="left")


def _energy_panel(axis: Any, analysis: Analysis) -> None:
    sizes = np.array(analysis.train_sizes, dtype=float)
    for name, colour, marker in (
        ("trained", TRAIN, "o"),
        ("nelbo", ARM, "d"),
        ("pairwise", GENERATED, "^"),
        ("empirical", EXACT_END, "x"),
        ("population", "k", "+"),
    ):
        if name not in analysis.denoisers:
            continue
        rate = circulation_of(analysis, name, "heldout")
        known = ~np.isnan(rate.estimate)
        ends = (part[known] for part in (rate.estimate, rate.low, rate.high))
        style = {"color": colour, "marker": marker, "label": TITLES[name]}
        intervals(axis, sizes[known], *ends, **style)
    axis.axhline(0, color="0.7", lw=0.8)
    legend_below(axis, ncol=3)
    axis.set_ylim(-0.05, None)
    axis.set_ylabel("log-odds around a cycle over their size")
    axis.set_title("(f) Distance from an energy, held-out sequences", loc="left")
    log_axis(axis, analysis.train_sizes)

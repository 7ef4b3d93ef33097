"""The quick-look figure of the main job, drawn from an Analysis; computes nothing new."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from simulations.phase.analysis import Analysis, Rate, minus
from simulations.phase.comparison import Findings
from simulations.plots import panels

TRAIN, HELD_OUT, GENERATED = "#0b6e99", "#d1495b", "#6a994e"


@panels(2, 2, (12.5, 10.2))
def draw(axes: Any, findings: Findings) -> tuple[str, str]:
    """The four panels: recovery, the plane of K and t; entropy, estimates of the transition."""
    analysis = findings.analysis
    for axis, panel in zip(
        axes.flat, (_recovery_panel, _plane_panel, _entropy_panel, _transition_panel), strict=True
    ):
        panel(axis, analysis)
    config = analysis.config
    heading = (
        f"Memorization to generalization: source {config.source}, V = {config.vocab_size}, "
        f"L = {config.seq_len}, {config.seeds} seed{'s' if config.seeds > 1 else ''}"
    )
    return heading, _caption(analysis)


def _caption(analysis: Analysis) -> str:
    config = analysis.config
    end = (
        "The source of a text is unknown: population curves are absent and plateaus are relative "
        "to the largest K."
        if config.source == "text"
        else "In (b) the white line is where the optimal memorizer of K sequences loses them; "
        "a trained network's transition lies far to its left at small t."
    )
    return (
        f"Decoder ancestral, {config.n_steps} steps on the full interval (exact denoisers: one "
        "exact posterior draw). Markers: trained models; lines: exact denoisers. Intervals: 95 %, "
        f"bootstrap over sequences{' and seeds' if config.seeds >= 5 else ''}.\n{end}"
    )


def _log_axis(axis: Any, analysis: Analysis) -> None:
    axis.set_xscale("log", base=2)
    sizes = analysis.train_sizes
    shown = sizes[:: max(1, math.ceil(len(sizes) / 6))]
    axis.set_xticks(shown, [f"{k:,}" for k in shown])
    axis.set_xlabel("training-set size K (sequences)")


def _points(axis: Any, analysis: Analysis, rate: Rate, level: int, **style: Any) -> None:
    value = rate.estimate[:, level]
    low = np.nan_to_num(np.clip(value - rate.low[:, level], 0, None))
    high = np.nan_to_num(np.clip(rate.high[:, level] - value, 0, None))
    axis.errorbar(analysis.train_sizes, value, [low, high], lw=0, elinewidth=1, ms=4.5, **style)


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
            _points(axis, analysis, rate, i, color=colour, marker=marker, mfc=face)
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
    _log_axis(axis, analysis)


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
    for split, colour, marker in (("train", "#7fd6ff", "o"), ("heldout", "#b7f7a5", "s")):
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
    _log_axis(axis, analysis)
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


def _entropy_panel(axis: Any, analysis: Analysis) -> None:
    styles = (
        ("train", TRAIN, "o", "train"),
        ("heldout", HELD_OUT, "s", "held-out"),
        ("generated", GENERATED, "D", "generated"),
    )
    for split, colour, marker, label in styles:
        rate = analysis.law("entropy", "trained", "loo", split)
        _points(axis, analysis, rate, 0, color=colour, marker=marker, label=f"entropy, {label}")
    loss = analysis.law("log_loss", "trained", "loo", "heldout")
    entropy = analysis.law("entropy", "trained", "loo", "heldout")
    gap = minus(analysis.config, loss, entropy).estimate[:, 0]
    axis.set_ylabel("loo entropy at t = 1e-5 (nats a token)")
    axis.axhline(0, color="0.6", lw=0.8)
    largest = float(np.nanmax(entropy.high[:, 0]))
    if analysis.config.source != "text":
        exact = analysis.law("entropy", "population", "loo", "heldout").estimate[:, 0].mean()
        axis.axhline(exact, color="k", ls="--", lw=1, label="entropy, population")
        largest = max(largest, float(exact))
    axis.set_ylim(-0.03, 1.35 * largest)
    other = axis.twinx()
    other.spines["right"].set_visible(True)
    for split, colour, _, label in (styles[0], styles[2]):
        below = analysis.law("fraction below 0.05", "trained", "loo", split).estimate[:, 0]
        other.plot(
            analysis.train_sizes, below, color=colour, lw=1.2, ls=":", label=f"vanishing, {label}"
        )
    scale = max(1.0, math.ceil(float(np.nanmax(gap))))
    other.plot(
        analysis.train_sizes,
        gap / scale,
        color="0.35",
        lw=1.2,
        ls="-",
        label=f"calibration gap, held-out (/{scale:g} nats)",
    )
    other.set_ylim(-0.03, 1.35)
    other.set_ylabel("fraction of tokens below 0.05 nats; scaled calibration gap")
    handles, labels = axis.get_legend_handles_labels()
    more, names = other.get_legend_handles_labels()
    axis.legend(
        handles + more, labels + names, ncol=3, loc="upper center", bbox_to_anchor=(0.5, -0.13)
    )
    axis.set_title("(c) Conditional entropy vanishes where the model memorizes", loc="left")
    _log_axis(axis, analysis)


def _transition_rows(analysis: Analysis) -> list[tuple[str, Any, str]]:
    rows: list[tuple[str, Any, str]] = []
    for kind, colour in (("K_half", TRAIN), ("K_conv", "#5b3a8c")):
        for i in _shown_levels(analysis):
            t = analysis.config.levels[i]
            for name, short in (("corrupted recovery", "corrupted"), ("all-token recovery", "all")):
                key = f"{kind} {name} ancestral t={t:g}"
                if key in analysis.sizes:
                    symbol = kind.replace("K_half", r"$K_{1/2}$").replace("K_conv", r"$K_{conv}$")
                    rows.append((f"{symbol} {short}, t = {t:g}", analysis.sizes[key], colour))
    for key, size in analysis.sizes.items():
        if key.startswith("K_H"):
            what = "fraction" if "vanishing" in key else "mean"
            split = "generated" if "generated" in key else "train"
            rows.append((rf"$K_H$ {what}, {split}", size, "#c2571a"))
    return rows


def _transition_panel(axis: Any, analysis: Analysis) -> None:
    rows = _transition_rows(analysis)
    sizes = analysis.train_sizes
    low_end, high_end = sizes[0] / 2, sizes[-1] * 2
    for y, (_, size, colour) in enumerate(reversed(rows)):
        ends = [float(np.clip(v, low_end, high_end)) for v in (size.low, size.high)]
        if not any(math.isnan(v) for v in (size.low, size.high)):
            axis.plot(ends, [y, y], color=colour, lw=1.6)
        for value in size.per_seed:
            if math.isfinite(value):
                axis.plot(value, y, "|", color=colour, ms=8, mew=1)
        if math.isfinite(size.value):
            limit = size.status == "upper limit"
            axis.plot(
                size.value, y, "<" if limit else "o", color=colour, ms=5, mfc="w" if limit else None
            )
        elif math.isinf(size.value):
            past = size.value > 0
            axis.plot(high_end if past else low_end, y, ">" if past else "<", color=colour, ms=6)
        else:
            axis.text(low_end * 1.2, y, "undefined", fontsize=7, va="center", color="0.5")
    axis.set_yticks(range(len(rows)), [label for label, _, _ in reversed(rows)], fontsize=7.5)
    axis.set_ylim(-0.7, len(rows) - 0.3)
    axis.set_title(
        "(d) Transition size: recovery (blue, violet), entropy (orange); ticks: seeds", loc="left"
    )
    _log_axis(axis, analysis)
    axis.set_xlim(low_end * 0.8, high_end * 1.25)
    axis.grid(axis="x", color="0.9")
    note = "triangles: past the end of the grid; open: upper limit (gap within 2 standard errors)"
    axis.text(0.5, -0.15, note, transform=axis.transAxes, ha="center", fontsize=7.5)

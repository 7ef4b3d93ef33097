"""The figure of the linear denoiser, drawn from a LinearAnalysis; computes nothing new."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from am_theory import linear
from simulations.linear_curves.analysis import QUANTITIES, LinearAnalysis, Measured
from simulations.linear_curves.config import Case, dimension, train_sizes
from simulations.linear_curves.report import families, finite_size
from simulations.phase.figure import STYLE, save

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033")
MARKERS = "osD^vP"
SIZE_LABEL = "x = K / (L (V - 1)), training sequences per dimension"
ERROR_LABEL = "squared error per effective dimension"


def linear_figure(analysis: LinearAnalysis, stem: Path) -> None:
    """Write the six-panel figure to `stem`.png and `stem`.pdf."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(2, 3, figsize=(16.5, 10.4), constrained_layout=True)
        _collapse(axes[0, 0], analysis, "error")
        _collapse(axes[0, 1], analysis, "all")
        _problems(axes[0, 2], analysis)
        _finite_size(axes[1, 0], analysis)
        _draws(axes[1, 1], analysis)
        _flow(axes[1, 2], analysis)
        figure.suptitle("The linear denoiser: a transition that is solved", fontsize=12)
        figure.supxlabel(
            "Independent uniform tokens. Lines: theory for infinitely many dimensions, no free "
            f"parameter. Markers: means over {analysis.config.seeds} training sets with 95 % "
            "intervals (bootstrap over training sets), mostly smaller than the marker. One pass, "
            "the largest entry of each site decides.",
            fontsize=8,
            x=0.01,
            ha="left",
        )
        save(figure, stem)


def _ratios(analysis: LinearAnalysis, index: int) -> Any:
    case = analysis.config.cases[index]
    return np.array(train_sizes(case, analysis.config.ratios)) / dimension(case)


def _points(axis: Any, x: Any, part: Measured, where: Any, **style: Any) -> None:
    value = part.estimate[where]
    ends = np.nan_to_num(
        [np.clip(value - part.low[where], 0, None), np.clip(part.high[where] - value, 0, None)]
    )
    axis.errorbar(x, value, ends, lw=0, elinewidth=1, ms=4.5, **style)


def _column(measure: str, split: str) -> Any:
    return np.s_[:, QUANTITIES.index((measure, split))]


def _theory(case: Case, x: Any, measure: str) -> tuple[Any, Any]:
    """Train and test curves over ratios x."""
    vocab_size, seq_len, alpha = case
    sizes = np.maximum(x * dimension(case), 1)
    if measure == "error":
        errors = linear.errors(sizes, seq_len, vocab_size, alpha)
        return errors.train, errors.heldout
    kind: Any = measure
    train = linear.token_recovery(sizes, seq_len, vocab_size, alpha, tokens=kind, split="train")
    test = linear.token_recovery(sizes, seq_len, vocab_size, alpha, tokens=kind, split="test")
    return train, test


def _below(axis: Any, handles: Sequence[Any] | None = None, ncol: int = 3) -> None:
    options: dict[str, Any] = {"ncol": ncol, "loc": "upper center", "bbox_to_anchor": (0.5, -0.13)}
    axis.legend(**options) if handles is None else axis.legend(handles=handles, **options)


def _log_axis(axis: Any, label: str) -> None:
    """A logarithmic x axis with plain numbers, three a decade."""
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    ticks = [m * 10.0**k for k in range(-4, 5) for m in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= tick <= high]
    axis.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axis.set_xticks([], minor=True)
    axis.set_xlim(low, high)
    axis.set_xlabel(label)


def _split_handles(train: str = "train", test: str = "test") -> list[Any]:
    grey: dict[str, Any] = {"color": "0.35"}
    return [
        Line2D([], [], marker="o", ls="-", label=train, **grey),
        Line2D([], [], marker="o", mfc="white", ls="--", label=test, **grey),
    ]


def _collapse(axis: Any, analysis: LinearAnalysis, measure: str) -> None:
    """One V and alpha at several L: all fall on one curve."""
    (vocab_size, alpha), members = max(families(analysis.config), key=lambda f: len(f[1]))
    x = np.geomspace(analysis.config.ratios[0], analysis.config.ratios[-1], 200)
    for curve, line in zip(
        _theory(analysis.config.cases[members[0]], x, measure), ("-", "--"), strict=True
    ):
        axis.plot(x, curve, color="0.35", ls=line, lw=1.3)
    handles = _split_handles()
    for k, index in enumerate(members):
        length = analysis.config.cases[index][1]
        style: dict[str, Any] = {"color": COLOURS[k % 6], "marker": MARKERS[k % 6]}
        for split, face in (("train", None), ("test", "white")):
            where = _column(measure, split)
            at = _ratios(analysis, index)
            _points(axis, at, analysis.curves[index], where, mfc=face, **style)
        handles.append(Line2D([], [], lw=0, label=f"L = {length}", **style))
    kept = alpha + (1 - alpha) / vocab_size
    limit, words = {
        "error": (1 - alpha**2, "limit of both, $1 - \\alpha^2$"),
        "all": (kept, "limit of both: keep every token"),
    }[measure]
    handles.append(axis.axhline(limit, color="k", lw=0.8, ls=":", label=words))
    _log_axis(axis, SIZE_LABEL)
    axis.set_ylabel(ERROR_LABEL if measure == "error" else "share of all tokens that are right")
    title = {"error": "(a) Train and test error meet", "all": "(b) So does token recovery"}
    axis.set_title(f"{title[measure]}: V = {vocab_size}, α = {alpha:g}", loc="left")
    _below(axis, handles)


def _problems(axis: Any, analysis: LinearAnalysis) -> None:
    """Corrupted tokens, for the longest sequences of each V and alpha."""
    handles = _split_handles()
    x = np.geomspace(analysis.config.ratios[0], analysis.config.ratios[-1], 200)
    for k, ((vocab_size, alpha), members) in enumerate(families(analysis.config)):
        index = max(members, key=lambda i: analysis.config.cases[i][1])
        case, colour = analysis.config.cases[index], COLOURS[k % 6]
        for curve, style in zip(_theory(case, x, "corrupted"), ("-", "--"), strict=True):
            axis.plot(x, curve, color=colour, ls=style, lw=1.3)
        for split, face in (("train", colour), ("test", "white")):
            where = _column("corrupted", split)
            at = _ratios(analysis, index)
            _points(axis, at, analysis.curves[index], where, mfc=face, color=colour, marker="o")
        label = f"V = {vocab_size}, α = {alpha:g}, L = {case[1]}"
        handles.append(Line2D([], [], color=colour, lw=4, label=label))
    handles.append(axis.axhline(0.5, color="0.6", lw=0.8, ls=":", label="one half"))
    _log_axis(axis, SIZE_LABEL)
    axis.set_ylabel("share of corrupted tokens that are restored")
    axis.set_title("(c) Corrupted tokens are restored from memory alone", loc="left")
    _below(axis, handles, ncol=2)


def _finite_size(axis: Any, analysis: LinearAnalysis) -> None:
    """Deviation of the errors from theory against d."""
    largest = 0.0
    for k, ((vocab_size, alpha), members) in enumerate(families(analysis.config)):
        rows = sorted(
            (finite_size(analysis, index) for index in members), key=lambda r: r.dimension
        )
        d, colour = [row.dimension for row in rows], COLOURS[k % 6]
        deviation = [row.deviation["error"] for row in rows]
        largest = max(largest, *(v * size for v, size in zip(deviation, d, strict=True)))
        axis.plot(
            d,
            deviation,
            color=colour,
            marker=MARKERS[k % 6],
            ms=5,
            lw=1.2,
            label=f"V = {vocab_size}, α = {alpha:g}",
        )
        axis.plot(d, [row.error["error"] for row in rows], color=colour, lw=1, ls=":")
    ends = np.array([min(map(dimension, analysis.config.cases)), 1.0])
    ends[1] = max(map(dimension, analysis.config.cases))
    axis.plot(ends, 1.4 * largest / ends, color="k", lw=0.9, ls="--", label="slope of 1 / d")
    axis.plot([], [], color="0.35", lw=1, ls=":", label="standard error of a point (rms)")
    axis.set(xscale="log", yscale="log")
    axis.set_xticks(sorted({dimension(case) for case in analysis.config.cases}))
    axis.set_xticks([], minor=True)
    axis.get_xaxis().set_major_formatter("{x:g}")
    axis.tick_params(axis="x", labelrotation=45, labelsize=7.5)
    axis.set_xlabel("effective dimensions d = L (V - 1)")
    axis.set_ylabel("errors, simulation - theory (rms over x and split)")
    axis.set_title("(d) Finite size: the deviation falls as 1 / d", loc="left")
    _below(axis)


def _draws(axis: Any, analysis: LinearAnalysis) -> None:
    """Test error of fits to drawn noise; one draw has a theory."""
    config, data = analysis.config, analysis.data
    vocab_size, seq_len, alpha = config.draws_case
    at = np.array(train_sizes(config.draws_case, config.draws_ratios)) / dimension(
        config.draws_case
    )
    x = np.geomspace(at[0], at[-1], 400)
    for k, ridge in enumerate(config.ridges):
        colour = COLOURS[k % 6]
        sizes = np.maximum(x * dimension(config.draws_case), 1)
        theory = linear.one_draw_errors(sizes, seq_len, vocab_size, alpha, ridge).heldout
        axis.plot(x, theory, color=colour, lw=1.3, label=f"1 draw, ridge {ridge:g}")
        _points(axis, at, analysis.draws, np.s_[k, :, 1], color=colour, marker="o")
    least = data.isel(ridge=int(np.argmin(config.ridges)))
    for k, count in enumerate([n for n in config.draws if n > 1] + [0]):
        mean = least["test"].sel(draws=count).mean("seed").values
        words = f"{count or 'infinitely many'} draws, ridge {min(config.ridges):g} (no theory line)"
        axis.plot(at, mean, color="0.35", marker=MARKERS[k + 1], mfc="white", ms=4, lw=0.8, ls=":")
        axis.plot(
            [], [], color="0.35", marker=MARKERS[k + 1], mfc="white", ms=4, ls=":", label=words
        )
    axis.axhline(1 - alpha**2, color="k", lw=0.8, ls=":")
    axis.axvline(1.0, color="0.6", lw=0.8)
    axis.set_yscale("log")
    ticks = [v for v in (0.7, 1, 1.5, 2, 3, 4, 6, 8) if v < axis.get_ylim()[1]]
    axis.set_yticks(ticks, [f"{v:g}" for v in ticks])
    axis.set_yticks([], minor=True)
    _log_axis(axis, SIZE_LABEL)
    axis.set_ylabel(f"test {ERROR_LABEL}")
    axis.set_title(
        f"(e) Few noise draws: a peak at draws x K = d (V = {vocab_size}, L = {seq_len}, "
        f"α = {alpha:g})",
        loc="left",
    )
    _below(axis, ncol=2)


def _flow(axis: Any, analysis: LinearAnalysis) -> None:
    """Errors over training time."""
    config = analysis.config
    vocab_size, seq_len, alpha = config.flow_case
    tau = np.geomspace(config.times[0], config.times[-1], 200)
    handles = _split_handles()
    for k, size in enumerate(config.flow_sizes):
        colour = COLOURS[k % 6]
        theory = linear.training_errors(size, seq_len, vocab_size, alpha, tau)
        for j, (curve, style) in enumerate(((theory.train, "-"), (theory.heldout, "--"))):
            axis.plot(tau, curve, color=colour, ls=style, lw=1.3)
            face = colour if j == 0 else "white"
            where = np.s_[k, :-1, j]
            _points(axis, config.times, analysis.flow, where, color=colour, marker="o", mfc=face)
        handles.append(Line2D([], [], color=colour, lw=4, label=f"K = {size}"))
    _log_axis(axis, "training time τ (learning rate times steps)")
    axis.set_ylabel(ERROR_LABEL)
    axis.set_title(
        f"(f) Stopping early helps at small K (V = {vocab_size}, L = {seq_len}, α = {alpha:g})",
        loc="left",
    )
    _below(axis, handles, ncol=4)

"""The figure of the novelty command, drawn from a NoveltyAnalysis; computes nothing new."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from simulations.measure.bootstrap import MIN_SEEDS
from simulations.novelty.analysis import NoveltyAnalysis, Series
from simulations.novelty.cells import classify
from simulations.novelty.config import LABELS, PARTS, POPULATION, SOURCE, TRAINED
from simulations.plots import panels

COLOURS = {"memorized": "#0072b2", "spurious": "#d55e00", "novel": "#009e73"}
MARKERS = {"memorized": "o", "spurious": "D", "novel": "s"}
GREY = "0.35"


@panels(2, 3, (16.5, 10.4))
def draw(axes: Any, analysis: NoveltyAnalysis) -> tuple[str, str]:
    """The six panels: shares, draws, states; quality, distances, pieces."""
    config = analysis.config
    for axis, panel in zip(
        axes.flat, (_shares, _draws, _states, _quality, _distances, _pieces), strict=True
    ):
        panel(axis, analysis)
    resampled = "seeds and sequences" if config.seeds >= MIN_SEEDS else "sequences"
    return (
        f"What the models make up: source {config.source}, V = {config.vocab_size}, L = "
        f"{config.seq_len}, model {config.model}",
        f"Each of {config.seeds} models for each K generates N = {config.sequences:,} "
        f"sequences. memorized: within d = {analysis.headline} of a stored one; spurious: of "
        "another generated one only; novel: of neither. Intervals: 95 %, bootstrap over "
        f"{resampled}.\nfresh: independent sequences of the source, labelled in the same way. "
        "pieces: fewest stretches of stored sequences, at the same sites, that make one up.",
    )


def _below(axis: Any, handles: Sequence[Any] | None = None, ncol: int = 3) -> None:
    options: dict[str, Any] = {"ncol": ncol, "loc": "upper center", "bbox_to_anchor": (0.5, -0.13)}
    axis.legend(**options) if handles is None else axis.legend(handles=handles, **options)


def _size_axis(axis: Any, analysis: NoveltyAnalysis) -> None:
    sizes = analysis.config.train_sizes
    axis.set_xscale("log", base=2)
    shown = sizes[:: max(1, math.ceil(len(sizes) / 6))]
    axis.set_xticks(shown, [f"{k:,}" for k in shown])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("training-set size K (sequences)")


def _points(axis: Any, analysis: NoveltyAnalysis, series: Series, **style: Any) -> None:
    """Estimates with intervals; values that are not finite are left out."""
    drawn = np.isfinite(series.estimate)
    value, low, high = (table[drawn] for table in (series.estimate, *series.ends))
    ends = np.clip(np.nan_to_num([value - low, high - value], posinf=0), 0, None)
    x = np.array(analysis.config.train_sizes)[drawn]
    axis.errorbar(x, value, ends, **{"lw": 1.2, "elinewidth": 1, "ms": 4.5, **style})


def _label_style(label: str) -> dict[str, Any]:
    return {"color": COLOURS[label], "marker": MARKERS[label], "label": label}


def _shares(axis: Any, analysis: NoveltyAnalysis) -> None:
    d, sizes = analysis.headline, analysis.config.train_sizes
    i = analysis.config.distances.index(d)
    for k, label in enumerate(LABELS):
        _points(axis, analysis, analysis.means[TRAINED].share(d, label), **_label_style(label))
        words = f"{label}, fresh (chance)"
        chance = analysis.law.chance[:, i, k]
        axis.plot(sizes, chance, color=COLOURS[label], lw=1.1, ls="--", label=words)
    stepped = analysis.data["stepped_distance"].transpose("train_size", ...).values
    copies = (stepped.reshape(len(sizes), -1) <= d).mean(1)
    words = "memorized, perfect memorizer"
    axis.plot(sizes, copies, color=COLOURS["memorized"], lw=1.1, ls=":", label=words)
    axis.axhline(0.5, color="0.7", lw=0.8)
    axis.set_ylim(-0.02, 1.04)
    axis.set_ylabel("share of generated sequences")
    axis.set_title(f"(a) From copies to new sequences, d = {d}", loc="left")
    _size_axis(axis, analysis)
    _below(axis)


def _draws(axis: Any, analysis: NoveltyAnalysis) -> None:
    """The spurious share at N and at N / 4."""
    config, d, means = analysis.config, analysis.headline, analysis.means[TRAINED]
    i, n, colour = config.distances.index(d), config.sequences, COLOURS["spurious"]
    shown = (
        (means.share(d, "spurious"), analysis.law.chance, n, "D", colour, "-"),
        (means.mean(("part", d, "spurious")), analysis.law.part_chance, n // PARTS, "d", "w", ":"),
    )
    for series, chance, draws, marker, face, line in shown:
        style = {"color": colour, "marker": marker, "mfc": face, "ls": line}
        _points(axis, analysis, series, **style, label=f"N = {draws:,}")
        words = f"fresh (chance), N = {draws:,}"
        ls = "--" if line == "-" else (0, (1, 3))
        axis.plot(config.train_sizes, chance[:, i, 1], color=GREY, lw=1.1, ls=ls, label=words)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("share of spurious sequences")
    axis.set_title(f"(b) Spurious sequences depend on the number of draws, d = {d}", loc="left")
    _size_axis(axis, analysis)
    _below(axis, ncol=2)


def _states(axis: Any, analysis: NoveltyAnalysis) -> None:
    """The effective number of unstored states, whatever N."""
    series = analysis.means[TRAINED].effective_states()
    style = {"color": "#5b3a8c", "marker": "^", "label": "models"}
    _points(axis, analysis, series, **style)
    low = series.ends[0]
    limit = np.isinf(series.estimate) & np.isfinite(low)
    sizes = np.array(analysis.config.train_sizes)
    if limit.any():
        words = "no two equal: lower end of the interval"
        axis.plot(sizes[limit], low[limit], "^", color="#5b3a8c", mfc="w", label=words)
    axis.axhline(1 / analysis.law.pairs[0], color="k", lw=1, ls="--", label="the source (exact)")
    axis.plot(sizes, sizes, color=GREY, lw=1, ls=":", label="K, the stored ones")
    axis.set_yscale("log")
    axis.set_ylabel("1 / P(two unstored draws are equal)")
    axis.set_title("(c) How many different sequences are made up", loc="left")
    _size_axis(axis, analysis)
    _below(axis, ncol=2)


def _quality(axis: Any, analysis: NoveltyAnalysis) -> None:
    config, law = analysis.config, analysis.law
    lines = (
        (TRAINED, "novel", "models, novel", COLOURS["novel"], "s", None),
        (TRAINED, "spurious", "models, spurious", COLOURS["spurious"], "D", None),
        (POPULATION, "novel", "exact denoiser, same steps", GREY, "v", "w"),
    )
    for model, label, words, colour, marker, face in lines:
        mean = analysis.surprisal(model, label).map(lambda excess: -excess - law.entropy)
        few = np.isnan(mean.ends[0])  # no interval: hardly a sequence has the label
        shown = mean.map(lambda table, few=few: np.where(few, np.nan, table))
        style = {"color": colour, "marker": marker, "mfc": face or colour}
        _points(axis, analysis, shown, **style, label=words)
    stored = analysis.data["stored_log_prob"].mean("seed").values / config.seq_len
    axis.plot(
        config.train_sizes, stored, color=COLOURS["memorized"], lw=1.2, ls=":", label="stored"
    )
    axis.axhline(-law.entropy, color="k", lw=1, ls="--", label="source, mean -H / L")
    band = axis.axhspan(-law.high, -law.low, color="0.92", zorder=0)
    band.set_label("source, central 95 % of sequences")
    axis.set_ylabel("log probability under the source (nats a token)")
    axis.set_title("(d) How good they are", loc="left")
    _size_axis(axis, analysis)
    _below(axis)


def shown_sizes(analysis: NoveltyAnalysis) -> list[int]:
    """Numbers of the K whose distances are drawn: the first at which most sequences are novel, the
    last, and one between them."""
    last = len(analysis.config.train_sizes) - 1
    first = last if analysis.first_novel is None else analysis.first_novel
    return sorted({first, (first + last) // 2, last})


def _distances(axis: Any, analysis: NoveltyAnalysis) -> None:
    config = analysis.config
    numbers = np.arange(config.seq_len + 1)
    picks = shown_sizes(analysis)
    colours = plt.get_cmap("viridis")(np.linspace(0.05, 0.8, len(picks)))
    grey: dict[str, Any] = {"color": GREY}
    handles = [
        Line2D([], [], marker="s", label="models, novel", **grey),
        Line2D([], [], marker="o", mfc="w", ls="--", label="fresh, novel", **grey),
    ]
    for k, colour in zip(picks, colours, strict=True):
        for model, style in ((TRAINED, ("s", colour, "-")), (SOURCE, ("o", "w", "--"))):
            part = analysis.data.sel(model=model).isel(train_size=k)
            stored, other = part["stored_distance"].values, part["other_distance"].values
            found = stored[classify(stored, other, analysis.headline)[..., 2]]
            share = np.bincount(found, minlength=len(numbers)) / max(1, found.size)
            marker, face, line = style
            axis.plot(numbers, share, color=colour, marker=marker, mfc=face, ls=line, ms=4, lw=1.2)
        handles.append(Line2D([], [], color=colour, lw=4, label=f"K = {config.train_sizes[k]:,}"))
    axis.set_ylim(bottom=0)
    axis.set_xticks(numbers[:: max(1, config.seq_len // 8)])
    axis.set_xlabel("Hamming distance to the nearest stored sequence (tokens)")
    axis.set_ylabel("share of novel sequences, all seeds")
    axis.set_title("(e) How far they are from the stored ones", loc="left")
    _below(axis, handles)


def _pieces(axis: Any, analysis: NoveltyAnalysis) -> None:
    for model, label, words, face in (
        (TRAINED, "novel", "models, novel", None),
        (TRAINED, "spurious", "models, spurious", None),
        (SOURCE, "novel", "fresh, novel", "w"),
    ):
        series = analysis.means[model].of("pieces", analysis.headline, label)
        few = np.isnan(series.ends[0])
        shown = series.map(lambda table, few=few: np.where(few, np.nan, table))
        style = {**_label_style(label), "label": words}
        if face:
            style |= {"color": GREY, "mfc": face, "marker": "o", "ls": "--"}
        _points(axis, analysis, shown, **style)
    axis.set_ylim(bottom=1)
    axis.set_ylabel("pieces of stored sequences (mean)")
    axis.set_title("(f) What they are put together from", loc="left")
    _size_axis(axis, analysis)
    _below(axis)

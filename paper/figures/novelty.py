"""What models make up once they stop copying: classes over K, how many states, how good."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.patches import Patch

from paper import style, tex
from paper.captions import problem_words, resampling_words
from paper.sources import Results
from simulations.novelty.analysis import NoveltyAnalysis, Series
from simulations.novelty.config import LABELS, PARTS, POPULATION, TRAINED

RUNS = ("novelty",)
LOOKS = {
    "memorized": {"color": style.BLUE, "marker": "o"},
    "spurious": {"color": style.VERMILION, "marker": "D"},
    "novel": {"color": style.GREEN, "marker": "s"},
}
CHANCE = {"color": style.GREY, "ls": "--", "lw": 0.9}


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption."""
    analysis = results.open("novelty").analysis
    figure, axes = style.figure(2, 2, 5.2, sharex=True)
    _shares(axes[0, 0], analysis)
    _draws(axes[0, 1], analysis)
    _states(axes[1, 0], analysis)
    _quality(axes[1, 1], analysis)
    for axis in axes[1]:
        style.size_axis(axis, analysis.config.train_sizes)
    words = ["classes of generated sequences", "spurious share, by number of draws"]
    words += ["different sequences made up", "quality"]
    style.titles(axes.flat, words)
    style.below(figure, _handles(analysis), 3)
    return figure, _caption(analysis)


def _line(axis: Any, analysis: NoveltyAnalysis, series: Series, **look: Any) -> None:
    """A series with its intervals, where it has any."""
    low, high = series.ends
    value = np.where(np.isnan(low), np.nan, series.estimate)
    options = {"lw": 0.9, **look}
    style.points(axis, analysis.config.train_sizes, value, low, high, **options)


def _shares(axis: Any, analysis: NoveltyAnalysis) -> None:
    d, sizes = analysis.headline, analysis.config.train_sizes
    place = analysis.config.distances.index(d)
    for k, label in enumerate(LABELS):
        _line(axis, analysis, analysis.means[TRAINED].share(d, label), **LOOKS[label])
        look = {**CHANCE, "color": LOOKS[label]["color"]}
        axis.plot(sizes, analysis.law.chance[:, place, k], **look)
    axis.axhline(0.5, color=style.GREY, lw=0.7, ls=":")
    axis.set_ylim(-0.02, 1.04)
    axis.set_ylabel("share")


def _draws(axis: Any, analysis: NoveltyAnalysis) -> None:
    """The spurious share at N and at N / PARTS, with chance."""
    config, d, means = analysis.config, analysis.headline, analysis.means[TRAINED]
    place, n = config.distances.index(d), config.sequences
    shown = (
        (means.share(d, "spurious"), analysis.law.chance, n, None, "-", "--"),
        (means.mean(("part", d, "spurious")), analysis.law.part_chance, n // PARTS, "w", "-", ":"),
    )
    for series, chance, draws, face, line, dashes in shown:
        words = f"of {draws:,} sequences"
        _line(axis, analysis, series, **LOOKS["spurious"], mfc=face, ls=line, label=words)
        axis.plot(config.train_sizes, chance[:, place, 1], **{**CHANCE, "ls": dashes})
    axis.set_ylim(bottom=0)
    axis.set_ylabel("spurious share")
    axis.legend(loc="upper right", fontsize=7.5)


def _states(axis: Any, analysis: NoveltyAnalysis) -> None:
    series, sizes = analysis.means[TRAINED].effective_states(), analysis.config.train_sizes
    look = {"color": style.PURPLE, "marker": "^"}
    low, high = series.ends
    value = np.where(np.isfinite(series.estimate) & np.isfinite(low), series.estimate, np.nan)
    style.points(axis, sizes, value, low, high, lw=0.9, label="networks", **look)
    limit = np.isinf(series.estimate) & np.isfinite(low)
    if limit.any():
        words = "at least (no two equal)"
        at = np.array(sizes)[limit]
        axis.plot(at, low[limit], ls="", mfc="w", label=words, **look)
    axis.axhline(1 / analysis.law.pairs[0], color="k", lw=0.9, ls="--", label="source, exact")
    axis.plot(sizes, sizes, color=style.GREY, ls=":", label="$K$, the stored ones")
    axis.set_yscale("log")
    style.log_ticks(axis, "y", [1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8])
    axis.set_ylabel("effective number of states")
    axis.legend(loc="lower right", fontsize=7.5)


def _quality(axis: Any, analysis: NoveltyAnalysis) -> None:
    config, law = analysis.config, analysis.law
    for model, label, extra in (
        (TRAINED, "novel", {}),
        (TRAINED, "spurious", {}),
        (POPULATION, "novel", {"color": style.BLACK, "marker": "v", "mfc": "w"}),
    ):
        mean = analysis.surprisal(model, label).map(lambda excess: -excess - law.entropy)
        _line(axis, analysis, mean, **{**LOOKS[label], **extra})
    stored = analysis.data["stored_log_prob"].mean("seed").values / config.seq_len
    axis.plot(config.train_sizes, stored, color=style.BLUE, ls=":")
    axis.axhline(-law.entropy, color="k", lw=0.9, ls="--")
    axis.axhspan(-law.high, -law.low, color="0.92", lw=0, zorder=0)
    axis.set_ylabel("log probability (nats/token)")


def _handles(analysis: NoveltyAnalysis) -> list[Any]:
    found = [style.handle(label=label, **look) for label, look in LOOKS.items()]
    words = "same class, fresh sequences"
    return [
        *found,
        style.handle(label=words, **CHANCE),
        style.handle(color=style.BLACK, marker="v", mfc="w", label="exact denoiser, novel"),
        style.handle(color=style.BLUE, ls=":", label="stored sequences (d)"),
        style.handle(color="k", ls="--", lw=0.9, label="source, mean (c), (d)"),
        Patch(color="0.92", label=r"source, central 95 % (d)"),
    ]


def _caption(analysis: NoveltyAnalysis) -> str:
    config, d = analysis.config, analysis.headline
    fallen, risen = (analysis.sizes[label, d] for label in ("memorized", "novel"))
    excess = analysis.excess
    low, high = excess.ends
    k = int(np.argmax(excess.estimate))
    most = tex.interval(float(excess.estimate[k]), float(low[k]), float(high[k]))
    return "\n".join(
        [
            rf"\textbf{{What is made up}} ({problem_words(config)}). "
            f"{tex.counted(config.seeds, 'network')} for "
            f"each $K$ from {config.train_sizes[0]} to {config.train_sizes[-1]:,}, "
            f"{config.sequences:,} sequences of each; intervals: {resampling_words(config)}.",
            f"(a) Memorized: within Hamming distance {d} of a stored sequence; else spurious: "
            "within it of another generated one; else novel. Dashed: independent sequences of the "
            f"source, exact. Copies fall below one half at $K$ = {_size(fallen)}, novel ones rise "
            f"above it at {_size(risen)}.",
            f"(b) The spurious share grows with the number of sequences that are compared; it is "
            f"largest beyond chance at $K={config.train_sizes[k]:,}$, {most} (this $K$ was chosen "
            "by the same data). (c) One over the probability that two unstored "
            "draws are equal. (d) Under the source.",
        ]
    )


def _size(found: Any) -> str:
    return tex.interval(found.value, found.low, found.high, 0)

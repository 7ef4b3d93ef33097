"""The empirical-score denoiser: exact finite-size curves against simulation, and its capacity."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

from am_theory import channel, empirical
from paper import style, tex
from paper.sources import Results
from simulations.basins.analysis import Point
from simulations.basins.config import DRAW, MAP
from simulations.basins.theory import exact_rate
from simulations.measure.checks import MAX_Z, Check

RUNS = ("basins", "markov", "iid")
LENGTHS = (16, 64, 256, 1024)
ALPHA = 0.5
GRID = np.linspace(0.02, 0.98, 97)


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption."""
    basins = results.open("basins")
    phases = [results.open(name).analysis for name in ("markov", "iid")]
    checks = [c for phase in phases for c in phase.exact] + basins.analysis.exact
    vocab_size = basins.config.vocab_size
    figure, axes = style.figure(1, 3, 2.65)
    sizes = _retrieval_panel(axes[0, 0], basins.config, basins.analysis.points)
    _scores_panel(axes[0, 1], checks)
    _capacity_panel(axes[0, 2], vocab_size)
    style.titles(axes.flat, ["retrieval, exact", "all exact checks", "capacity"])
    style.below(figure, _handles(sizes), 5)
    return figure, _caption(basins.config, sizes, checks, vocab_size)


def _shown(points: list[Point], vocab_size: int) -> list[int]:
    """Up to three of the K at which the empirical denoiser has been measured."""
    sizes = sorted({p.train_size for p in points if p.memory == MAP and p.vocab_size == vocab_size})
    picks = np.unique(np.round(np.linspace(0, len(sizes) - 1, 3)).astype(int))
    return [sizes[k] for k in picks]


def _retrieval_panel(axis: Any, config: Any, points: list[Point]) -> list[int]:
    vocab_size, seq_len = config.panels[-1]
    sizes, levels = _shown(points, vocab_size), np.array(config.levels)
    for size, colour in zip(sizes, style.shades(len(sizes)), strict=True):
        for memory, marker, line in ((MAP, "o", "-"), (DRAW, "s", "--")):
            none = np.full(len(GRID), -1)
            exact = exact_rate(memory, size, vocab_size, seq_len, GRID, none)
            axis.plot(GRID, exact, color=colour, ls=line)
            for point in points:
                place = (point.memory, point.vocab_size, point.train_size)
                if place == (memory, vocab_size, size):
                    face = colour if memory == MAP else "white"
                    look = {"color": colour, "marker": marker, "mfc": face, "zorder": 3}
                    style.points(axis, levels, *point.rates["nearest"], **look)
    axis.set(xlim=(0, 1), ylim=(-0.03, 1.05), xlabel="noise level $t$")
    axis.set_ylabel("sequences retrieved")
    return sizes


def _scores_panel(axis: Any, checks: list[Check]) -> None:
    """Deviations in standard errors, in order, against those of a normal law."""
    scores = np.sort([c.z for c in checks if np.isfinite(c.z) and c.standard_error > 0])
    expected = norm.ppf((np.arange(len(scores)) + 0.5) / len(scores))
    ends = np.array([-4.0, 4.0])
    axis.plot(ends, ends, color=style.GREY, lw=0.9)
    axis.plot(expected, scores, ".", color=style.BLUE, ms=2.5, rasterized=True)
    for limit in (-MAX_Z, MAX_Z):
        axis.axhline(limit, color=style.VERMILION, ls=":", lw=1)
    axis.set(xlim=(-4, 4), ylim=(-MAX_Z - 0.8, MAX_Z + 0.8))
    axis.set_xlabel("normal quantile")
    axis.set_ylabel("deviation / standard error")


def _capacity_panel(axis: Any, vocab_size: int) -> None:
    """Retrieval over log K / (L C): a step at 1 as L grows."""
    loads, limit = np.linspace(0.3, 1.7, 120), float(channel.capacity(ALPHA, vocab_size))
    for length, colour, line in zip(LENGTHS, style.shades(4), style.LINES, strict=False):
        sizes = np.exp(np.minimum(loads * length * limit, 700.0))
        rate = empirical.retrieval_probability(sizes, length, vocab_size, ALPHA)
        within = loads * length * limit < 700
        axis.plot(loads[within], rate[within], color=colour, ls=line, label=f"$L={length}$")
    axis.axvline(1, color=style.GREY, lw=0.8)
    axis.set(xlim=(loads[0], loads[-1]), ylim=(-0.03, 1.05))
    axis.set_xlabel(r"load $\log K\,/\,(L\,C)$")
    axis.set_ylabel("probability of retrieval")
    axis.legend(loc="lower left", fontsize=7.5, borderaxespad=0.1, handlelength=2.2)


def _handles(sizes: list[int]) -> list[Any]:
    grey: dict[str, Any] = {"color": style.GREY}
    found = [
        style.handle(color=c, lw=3, label=f"$K = {k:,}$".replace(",", "{,}"))
        for k, c in zip(sizes, style.shades(len(sizes)), strict=True)
    ]
    return [
        *found,
        style.handle(marker="o", label="most probable sequence", **grey),
        style.handle(marker="s", mfc="w", ls="--", label="one posterior draw", **grey),
    ]


def _caption(config: Any, sizes: list[int], checks: list[Check], vocab_size: int) -> str:
    _, seq_len = config.panels[-1]
    spread = [c.z for c in checks if np.isfinite(c.z) and c.standard_error > 0]
    worst, beyond = max(map(abs, spread)), sum(not c.agrees for c in checks)
    return "\n".join(
        [
            r"\textbf{The optimal denoiser of $K$ stored sequences is solved at finite size.} "
            f"(a) Share of corrupted stored sequences that are retrieved, $V={vocab_size}$, "
            f"$L={seq_len}$, $K$ = {tex.listing(sizes)}. Lines: exact; markers: {config.sets} sets "
            f"of random sequences, {config.sets * config.queries_per_set:,} queries a level, "
            r"95\,\% intervals over sets.",
            f"(b) All {len(spread):,} comparisons with exact predictions that have a spread, "
            "sorted, against normal quantiles; dotted: the "
            f"{MAX_Z:g} standard errors at which a run fails. Largest {tex.number(worst, 2)}; "
            f"{beyond} beyond. Standard errors are never taken below those of independent queries, "
            "so that scores spread a little less than normal ones; flat in the middle: levels at "
            "which all or none are retrieved.",
            "(c) Probability that the stored sequence is the most probable one, exact, at "
            rf"$\alpha={ALPHA:g}$, $V={vocab_size}$: with growing $L$ a step where "
            r"$\log K=L\,C(\alpha)$, the capacity of the channel, which is where the memory's "
            "posterior condenses.",
        ]
    )

"""Entropy on the way from noise to text, and where it tells a memorizer from a generalizer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.patches import Patch

from paper import style, tex
from paper.captions import problem_words, resampling_words
from paper.sources import Results
from simulations.data.problem import make_source
from simulations.entropy.analysis import EntropyAnalysis
from simulations.entropy.bands import POPULATION, token_shares
from simulations.entropy.config import BIN
from simulations.entropy.separation import KINDS
from simulations.measure.names import LAWS, SMALL_LEVEL

RUNS = ("entropy",)
LAW_LOOKS = {"loo": (style.BLUE, "o", "-"), "full": (style.VERMILION, "s", "--")}
SPLITS = (("generated", "own generated"), ("train", "training"), ("heldout", "held-out"))
MARKED = 16  # marks along a run
FLOOR = 3e-4  # smallest share that the histogram shows


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption."""
    analysis = results.open("entropy").analysis
    figure, axes = style.figure(3, 2, 7.1)
    for k, axis in enumerate(axes[0]):
        _run_panel(axis, analysis, k)
    _histogram_panel(axes[1, 0], analysis)
    for axis, (split, _) in zip(axes.flat[3:], SPLITS, strict=True):
        _separation_panel(axis, analysis, split)
    words = [rf"$\mathtt{{{law}}}$ entropy of own runs" for law in LAWS]
    words.append(r"token entropies at $t=10^{-5}$")
    words += [f"separation, {name} sequences" for _, name in SPLITS]
    style.titles(axes.flat, words)
    style.below(figure, _handles(analysis), 3)
    return figure, _caption(analysis)


def _looks(analysis: EntropyAnalysis) -> dict[int, dict[str, Any]]:
    sizes = analysis.config.train_sizes
    parts = zip(sizes, style.shades(len(sizes)), style.MARKERS, strict=False)
    return {size: {"color": colour, "marker": marker} for size, colour, marker in parts}


def _run_panel(axis: Any, analysis: EntropyAnalysis, law: int) -> None:
    """Markers: trained; lines: exact denoisers."""
    config = analysis.config
    t = np.array(config.step_levels)
    some = np.unique(np.r_[0 : config.n_steps : max(1, config.n_steps // MARKED), config.n_steps])
    for size, look in _looks(analysis).items():
        run = analysis.runs["trained", size][law, 0]
        part = (run.estimate[some], run.low[some], run.high[some])
        style.points(axis, t[some], *part, zorder=3, **look)
        axis.plot(t, analysis.runs["empirical", size][law, 0].estimate, color=look["color"])
    axis.plot(t, analysis.runs[POPULATION][law, 0].estimate, color="k", ls="--")
    limit = math.log(config.vocab_size)
    axis.axhline(limit, color=style.GREY, lw=0.7, ls=":")
    axis.set_ylim(-0.03 * limit, 1.08 * limit)
    axis.set_xlim(1.02, -0.02)
    axis.set_xlabel("noise level $t$ of the run")
    axis.set_ylabel("entropy (nats/token)")


def _histogram_panel(axis: Any, analysis: EntropyAnalysis) -> None:
    """`loo` entropies of tokens of generated sequences next to the exact law of the source."""
    config = analysis.config
    edges = BIN * np.arange(config.bins + 1)
    law = make_source(config.source, config.vocab_size, config.seq_len).loo_entropy_law()
    place = np.clip((law.values / BIN + 1e-9).astype(int), 0, config.bins - 1)
    exact = np.maximum(np.bincount(place, law.weights, config.bins), FLOOR)
    axis.stairs(exact, edges, baseline=FLOOR, fill=True, color="0.82")
    for k, (size, look) in enumerate(_looks(analysis).items()):
        shares = token_shares(analysis.data, ("trained", size), "generated")[:, :, 0].mean((0, 1))
        axis.stairs(np.maximum(shares, FLOOR), edges, baseline=None, color=look["color"], lw=0.9)
        some = np.flatnonzero(shares > FLOOR)[k % 3 :: 3]
        axis.plot(edges[some] + BIN / 2, shares[some], lw=0, **look)
    axis.set_yscale("log")
    axis.set_ylim(FLOOR, 1.5)
    style.log_ticks(axis, "y", [0.001, 0.01, 0.1, 1])
    axis.set_xlim(0, edges[-1])
    axis.set_xlabel(r"$\mathtt{loo}$ entropy of a token (nats)")
    axis.set_ylabel(f"share of tokens per {BIN:g} nats")


def _separation_panel(axis: Any, analysis: EntropyAnalysis, split: str) -> None:
    """d' of the first K from the last: lines and bands of exact denoisers, markers of networks."""
    config = analysis.config
    levels, size = np.array(config.all_levels), config.train_sizes[0]
    predicted, measured = (analysis.separations[kind, split, size] for kind in KINDS)
    top = 0.0
    for i, (colour, marker, line) in enumerate(LAW_LOOKS.values()):
        exact, found = predicted.d_prime[i], measured.d_prime[i]
        axis.plot(levels, exact.estimate, color=colour, ls=line)
        axis.fill_between(levels, exact.low, exact.high, color=colour, alpha=0.2, lw=0)
        face = colour if marker == "o" else "white"
        part = (found.estimate, found.low, found.high)
        style.points(axis, levels, *part, color=colour, marker=marker, mfc=face, ms=3, zorder=3)
        finite = np.concatenate([exact.high, found.high])
        top = float(np.max(finite[np.isfinite(finite)], initial=top))
    for i, (law, (colour, _, _)) in enumerate(LAW_LOOKS.items()):
        for j, separation in enumerate((predicted, measured)):
            peak, y = separation.peaks[law], top * (1.08 + 0.06 * (2 * i + j))
            if peak.inside:
                axis.plot([peak.level.low, peak.level.high], [y, y], color=colour, lw=1.2)
                face = colour if j == 0 else "white"
                axis.plot(peak.level.estimate, y, "*", color=colour, mfc=face, ms=5.5)
    limit = analysis.collapse[size][0]
    if np.isfinite(limit):
        axis.axvspan(limit, 1.02, color="0.92", lw=0, zorder=0)
    axis.axhline(0, color=style.GREY, lw=0.7)
    axis.set_ylim(top=1.34 * (top or 1.0))
    axis.set_xlim(1.02, -0.02)
    axis.set_xlabel("noise level $t$ read at")
    axis.set_ylabel("separation $d'$")


def _handles(analysis: EntropyAnalysis) -> list[Any]:
    grey: dict[str, Any] = {"color": style.GREY}
    networks = [
        style.handle(lw=0, label=f"trained, $K$ = {k:,}", **look)
        for k, look in _looks(analysis).items()
    ]
    laws = [
        style.handle(color=colour, marker=marker, mfc=colour if marker == "o" else "w", ls=line,
            label=rf"$\mathtt{{{law}}}$: trained, exact",
        )
        for law, (colour, marker, line) in LAW_LOOKS.items()
    ]  # fmt: skip
    return [
        *networks,
        style.handle(label="(a), (b): empirical denoiser", **grey),
        style.handle(color="k", ls="--", label="(a), (b): source, exact"),
        Patch(color="0.82", label="(c): source, exact law"),
        *laws,
        style.handle(marker="*", label="$t^*$: exact (filled), trained", **grey),
    ]


def _caption(analysis: EntropyAnalysis) -> str:
    config = analysis.config
    first, last = config.train_sizes[0], config.train_sizes[-1]
    predicted, measured = (
        analysis.separations[kind, "generated", first].peaks["loo"] for kind in KINDS
    )
    return "\n".join(
        [
            rf"\textbf{{Entropy from noise to text}} ({problem_words(config)}). "
            f"$K$ = {tex.listing(config.train_sizes)}; "
            f"{tex.counted(config.seeds, 'seed')}, {config.sequences:,} sequences of each; "
            f"intervals and bands: {resampling_words(config)}.",
            f"(a), (b) Mean token entropy on each model's own way from noise ({config.n_steps} "
            r"steps); dotted: $\log V$. (c) Generated sequences.",
            f"(d)--(f) $d'$ of $K={first}$ from $K={last:,}$ (generalizer), by mean entropy of "
            r"one sequence; on generated sequences \texttt{loo} separates best at "
            f"$t^*$ = {_band(measured.level)} (exact denoisers: {_band(predicted.level)}), "
            f"with $d'$ of {_band(measured.height)}, against {_band(measured.small)} at "
            f"$t={tex.power(SMALL_LEVEL)}$. Grey: the optimal memorizer has lost its sequences.",
        ]
    )


def _band(band: Any, digits: int = 2) -> str:
    return tex.interval(float(band.estimate), float(band.low), float(band.high), digits)

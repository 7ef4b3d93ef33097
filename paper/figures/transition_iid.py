"""The transition where there is nothing to learn but the sequences: independent tokens."""

from __future__ import annotations

from typing import Any

from paper import style, tex
from paper.captions import interval_words, problem_words
from paper.figures.transition import plane_panel, recovery_handles, recovery_panel, size_words
from paper.sources import Results

RUNS = ("iid",)


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption."""
    analysis = results.open("iid").analysis.analysis
    figure, axes = style.figure(1, 2, 3.1)
    recovery_panel(axes[0, 0], analysis)
    plane_panel(axes[0, 1], figure, analysis)
    style.titles(axes.flat, ["tokens recovered", "gap and basin radii"])
    style.below(figure, recovery_handles(analysis), 4)
    level = min(analysis.config.levels, key=lambda t: abs(t - 0.25))
    words = [
        rf"\textbf{{A source without structure}}: {problem_words(analysis.config)}. Nothing can be "
        "restored but from memory: the population denoiser (dashed) knows no more than chance. "
        f"$K$ = {tex.listing(analysis.train_sizes)}; {interval_words(analysis.config)}. Marks as "
        r"in Figure~\ref{fig:transition}.",
        f"The gap falls to half at $K$ = {size_words(analysis, half_key(level))} "
        f"($t={level:g}$, ancestral).",
    ]
    return figure, "\n".join(words)


def half_key(level: float) -> str:
    return f"K_half corrupted recovery ancestral t={level:g}"

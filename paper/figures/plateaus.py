"""Exact population denoisers: the plateaus at which training and unseen sequences must meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from am_theory import scaling
from paper import style, tex
from paper.sources import Results
from simulations.entropy.bands import POPULATION
from simulations.measure.names import LAWS
from simulations.phase.analysis import Analysis
from simulations.scaling.analysis import ScalingAnalysis
from simulations.scaling.config import (
    CHANGE_LEVEL,
    SYMBOLS_PER_RULE,
    Condition,
    hierarchy_conditions,
)

RUNS = ("markov", "entropy", "scaling")
DECODERS = (
    ("argmax", "Bayes decision", style.BLUE, "o"),
    ("ancestral", "posterior draw", style.VERMILION, "s"),
    ("best_change", "best change", style.GREEN, "^"),
)
KINDS = (("corrupted recovery", "-"), ("all-token recovery", "--"))
SYMBOLS, RULES = 8, (2, 4)


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption; hierarchies where the scaling preset has them."""
    phase = results.open("markov").analysis.analysis
    entropy = results.open("entropy").analysis
    laws = results.open("scaling").analysis
    trees = bool(laws.config.hierarchies)
    figure, axes = style.figure(2, 2, 5.3) if trees else style.figure(1, 3, 2.5)
    panels = list(axes.flat)
    _recovery(panels[0], phase)
    _entropy(panels[1], entropy)
    _map(panels[2])
    words = ["the chain: recovery", "the chain: entropy", "a hierarchy: belief, one level up"]
    if trees:
        _hierarchies(panels[3], laws)
        words.append("hierarchies: learning the plateau")
    style.titles(panels, words)
    style.below(figure, _handles(), 4)
    return figure, _caption(phase, entropy, laws)


def _recovery(axis: Any, analysis: Analysis) -> None:
    """Recovery by the exact denoiser of the source on held-out sequences over t."""
    levels = analysis.config.levels
    for decoder, _, colour, marker in DECODERS:
        for name, line in KINDS:
            rate = analysis.rate(name, "population", decoder, "heldout")
            part = (rate.estimate[-1], rate.low[-1], rate.high[-1])
            face = colour if line == "-" else "white"
            look = {"color": colour, "marker": marker, "mfc": face, "ls": line, "lw": 0.9}
            style.points(axis, levels, *part, **look)
    axis.set_ylim(-0.02, 1.03)
    axis.set_xlabel("noise level $t$")
    axis.set_ylabel("share of tokens right")


def _entropy(axis: Any, analysis: Any) -> None:
    levels = analysis.config.all_levels
    looks = ((style.BLUE, "o", "-"), (style.VERMILION, "s", "--"))
    for k, (law, (colour, marker, line)) in enumerate(zip(LAWS, looks, strict=True)):
        part = analysis.channels[POPULATION, "heldout"][k, 0]
        look = {"color": colour, "marker": marker, "ls": line, "lw": 0.9}
        label = rf"$\mathtt{{{law}}}$"
        style.points(axis, levels, part.estimate, part.low, part.high, label=label, **look)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("noise level $t$")
    axis.set_ylabel("entropy (nats/token)")
    axis.legend(loc="lower right")


def _map(axis: Any) -> None:
    """The belief in the right parent over that in its children, with its fixed points."""
    p = np.linspace(0, 1, 200)
    axis.plot(p, p, color=style.GREY, lw=0.8)
    for rules, colour, line in zip(RULES, style.shades(len(RULES)), style.LINES, strict=False):
        above = scaling.upward_map(p, SYMBOLS, rules, SYMBOLS_PER_RULE)
        axis.plot(p, above, color=colour, ls=line, label=f"$m={rules}$")
        found = scaling.upward_fixed_points(SYMBOLS, rules, SYMBOLS_PER_RULE)
        for value, stable in zip(found.p, found.stable, strict=True):
            axis.plot(value, value, "o", color=colour, mfc=colour if stable else "w", zorder=3)
    axis.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axis.set_xlabel("belief in the children")
    axis.set_ylabel("belief in the parent")
    axis.legend(loc="upper left")


def _shown(conditions: list[Condition]) -> list[Condition]:
    """One hierarchy a number of rules: the deepest."""
    deepest = {c.n_rules: c for c in sorted(conditions, key=lambda c: c.depth)}
    return [deepest[rules] for rules in sorted(deepest)]


def _hierarchies(axis: Any, analysis: ScalingAnalysis) -> None:
    """Held-out recovery of networks over K, and of the exact denoiser on the same inputs."""
    parts = analysis.of(_shown(hierarchy_conditions(analysis.config)))
    looks = zip(style.shades(len(parts)), style.MARKERS, style.LINES, strict=False)
    for part, (colour, marker, line) in zip(parts, looks, strict=True):
        curves, condition = part.held_out, part.condition
        words = f"$m={condition.n_rules}$, depth {condition.depth}"
        look = {"color": colour, "marker": marker, "lw": 0.9, "label": words}
        ends = curves.mean(0), curves.min(0), curves.max(0)
        style.points(axis, part.train_sizes, *ends, **look)
        axis.axhline(part.population.mean(), color=colour, ls=line, lw=0.9)
    axis.set_ylim(bottom=0)
    style.size_axis(axis, parts[0].train_sizes, most=5)
    axis.set_ylabel("held-out recovery")
    axis.legend(loc="lower right", fontsize=7.5)


def _handles() -> list[Any]:
    grey: dict[str, Any] = {"color": style.GREY}
    found = [
        style.handle(color=colour, marker=marker, ls="", label=f"{words} (a)")
        for _, words, colour, marker in DECODERS
    ]
    return [
        *found,
        style.handle(marker="o", label="corrupted tokens (a)", **grey),
        style.handle(marker="o", mfc="w", ls="--", label="all tokens (a)", **grey),
        style.handle(marker="o", ls="", label="stable fixed point (c)", **grey),
        style.handle(marker="o", mfc="w", ls="", label="unstable (c)", **grey),
    ]


def _caption(phase: Analysis, entropy: Any, laws: ScalingAnalysis) -> str:
    config = phase.config
    unstable = [
        tex.number(float(value))
        for rules in RULES
        for found in (scaling.upward_fixed_points(SYMBOLS, rules, SYMBOLS_PER_RULE),)
        for value, stable in zip(found.p, found.stable, strict=True)
        if not stable
    ]
    words = [
        r"\textbf{What pure generalization is.} "
        f"(a) Recovery by the exact denoiser of the chain ($V={config.vocab_size}$, "
        f"$L={config.seq_len}$) on {config.queries:,} corrupted held-out sequences: of corrupted "
        "tokens and of all tokens. The Bayes decision is best for all tokens, yet not for the "
        r"corrupted ones. Intervals: 95\,\%, over sequences.",
        r"(b) Its mean entropy under \texttt{loo}, which stays finite as $t\to0$, and under "
        rf"\texttt{{full}}, which vanishes; {entropy.config.sequences:,} sequences, "
        f"{tex.counted(entropy.config.seeds, 'seed')}.",
        f"(c) Random hierarchies with $v={SYMBOLS}$ symbols, $m$ rules and branching "
        f"{SYMBOLS_PER_RULE}: a belief above the unstable fixed point ({tex.listing(unstable)}) "
        "climbs to certainty about the class.",
    ]
    if laws.config.hierarchies:
        words.append(
            "(d) Networks on hierarchies: recovery of corrupted held-out tokens by the best change "
            f"at $t={CHANGE_LEVEL:g}$ (bars: range of {tex.counted(laws.config.seeds, 'seed')}) "
            "and the exact denoiser's (lines)."
        )
    return "\n".join(words)

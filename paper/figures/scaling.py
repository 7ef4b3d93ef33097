"""What moves the transition: parameters, training time, the source's rules, few noise draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from paper import style, tex
from paper.sources import Results
from simulations.measure.checks import NOT_DECIDABLE, NOT_SUPPORTED, SUPPORTED
from simulations.scaling.analysis import ScalingAnalysis, steps_of, widths_of
from simulations.scaling.config import SOURCES, draws_conditions, hierarchy_conditions
from simulations.scaling.sizes import Measured, SizeName, log_interval, memorized, size_by_seed

RUNS = ("scaling",)
SHOWN: tuple[tuple[SizeName, str, Any], ...] = (("recovery", "o", None), ("entropy", "s", "white"))
WORDS = {"iid": "independent tokens", "markov": "chain"}
COLOURS = {"iid": style.BLUE, "markov": style.VERMILION}
SIZE_LABEL = "transition size $K^*$"


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption; hierarchies and draws where the preset has them."""
    analysis = results.open("scaling").analysis
    panels = [
        ("parameters", _parameters),
        ("training time", _steps),
        ("memorized, independent tokens", _information),
        ("collapse", _collapsed),
    ]
    if analysis.config.hierarchies:
        panels.append(("random hierarchies", _hierarchies))
    if analysis.config.draws:
        panels.append(("few noise draws, held-out", _draws))
    rows = math.ceil(len(panels) / 2)
    figure, axes = style.figure(rows, 2, 2.3 * rows + 0.4)
    for axis, (_, panel) in zip(axes.flat, panels, strict=False):
        panel(axis, analysis)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    style.titles(axes.flat, [title for title, _ in panels])
    style.below(figure, _handles(), 3)
    return figure, _caption(analysis)


def _handles() -> list[Any]:
    grey: dict[str, Any] = {"color": style.GREY}
    found = [
        style.handle(color=COLOURS[s], lw=3, label=f"(a), (b), (d): {WORDS[s]}") for s in SOURCES
    ]
    return [
        *found,
        style.handle(marker="o", ls="", label="$K_{1/2}$ by recovery", **grey),
        style.handle(marker="s", mfc="w", ls="", label="$K_H$ by entropy", **grey),
        style.handle(ls=":", label="slope 1", **grey),
    ]


def _size_points(axis: Any, parts: list[Measured], x: list[float], look: dict[str, Any]) -> None:
    """K* by both definitions with intervals over seeds; what the grid does not hold is left out."""
    for name, marker, face in SHOWN:
        part = np.array([log_interval(size_by_seed(p, name)) for p in parts]).T
        style.points(axis, x, *part, **{"mfc": face, "lw": 0.8, **look, "marker": marker})


def _guide(axis: Any, x: Any, start: float) -> None:
    """A dotted line of slope 1 from the first of x."""
    x = np.asarray(x, float)
    if math.isfinite(start):
        axis.plot(x, start * x / x[0], color=style.GREY, ls=":", lw=0.9)


def _logs(axis: Any, x_label: str, y_label: str) -> None:
    """Both axes logarithmic, once everything is drawn."""
    for which in "xy":
        getattr(axis, f"set_{which}scale")("log")
    axis.autoscale_view()
    for which in "xy":
        style.log_ticks(axis, which)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)


def _parameters(axis: Any, analysis: ScalingAnalysis) -> None:
    for source in SOURCES:
        parts = analysis.of(widths_of(analysis.config, source))
        x = [float(part.n_parameters) for part in parts]
        _size_points(axis, parts, x, {"color": COLOURS[source]})
        if source == "iid":
            _guide(axis, x, log_interval(size_by_seed(parts[0], "recovery"))[0])
    _logs(axis, "parameters $N$", SIZE_LABEL)


def _steps(axis: Any, analysis: ScalingAnalysis) -> None:
    config = analysis.config
    x = [float(count) for count in config.step_counts]
    for source in SOURCES:
        for width, line in ((config.widths[-1], "-"), (config.widths[0], "--")):
            parts = analysis.of(steps_of(config, source, width))
            _size_points(axis, parts, x, {"color": COLOURS[source], "ls": line})
            if source == "iid" and width == config.widths[-1]:
                _guide(axis, x, log_interval(size_by_seed(parts[0], "recovery"))[0])
    _logs(axis, "training steps $T$", SIZE_LABEL)
    named = (
        (f"largest $N$ ({style.count(_count(analysis, -1))})", "-"),
        (f"smallest $N$ ({style.count(_count(analysis, 0))})", "--"),
    )
    handles = [style.handle(color=style.GREY, ls=line, label=words) for words, line in named]
    axis.legend(handles=handles, loc="best", fontsize=7.5)


def _count(analysis: ScalingAnalysis, place: int) -> int:
    parts = analysis.of(widths_of(analysis.config, "iid"))
    return parts[place].n_parameters


def _width_looks(parts: list[Measured]) -> list[dict[str, Any]]:
    looks = zip(style.shades(len(parts)), style.MARKERS, strict=False)
    return [{"color": colour, "marker": marker} for colour, marker in looks]


def _information(axis: Any, analysis: ScalingAnalysis) -> None:
    parts = analysis.of(widths_of(analysis.config, "iid"))
    sizes = parts[0].train_sizes
    for part, look in zip(parts, _width_looks(parts), strict=True):
        bits = memorized(part) / np.log(2)
        part_of = [
            np.where(bits.mean(0) > 0, v, np.nan) for v in (bits.mean(0), bits.min(0), bits.max(0))
        ]
        words = f"$N=$ {style.count(part.n_parameters)}"
        style.points(axis, sizes, *part_of, lw=0.8, label=words, **look)
    most = sizes * np.maximum(parts[0].source_entropy - np.log(sizes), 0) / np.log(2)
    axis.plot(sizes, most, color="k", ls="--", label=r"$K(H-\log K)$")
    _logs(axis, "training sequences $K$", "bits, at least")
    axis.legend(loc="upper left", fontsize=7.5)


def _collapsed(axis: Any, analysis: ScalingAnalysis) -> None:
    for source, line in zip(SOURCES, ("-", "--"), strict=True):
        exponent = _exponent(analysis, source)
        parts = analysis.of(widths_of(analysis.config, source))
        for part, look in zip(parts, _width_looks(parts), strict=True):
            gap = (part.gap["ancestral"] / part.gap["ancestral"][:, :1]).mean(0)
            scale = (part.n_parameters / 1000) ** (exponent if math.isfinite(exponent) else 0.0)
            colour = COLOURS[source]
            face = colour if source == "iid" else "white"
            style_of = {"color": colour, "marker": look["marker"], "mfc": face, "lw": 0.7}
            axis.plot(part.train_sizes / scale, gap, ls=line, **style_of)
    axis.axhline(0.5, color=style.GREY, lw=0.7)
    axis.set_xscale("log")
    style.log_ticks(axis, "x")
    axis.set_xlabel(r"$K/N^\eta$, $N$ in thousands")
    axis.set_ylabel("recovery gap, relative")


def _exponent(analysis: ScalingAnalysis, source: str) -> float:
    return float(np.mean([c.exponent for c in analysis.collapses[source]]))


def _hierarchies(axis: Any, analysis: ScalingAnalysis) -> None:
    parts = analysis.of(hierarchy_conditions(analysis.config))
    depths = sorted({part.condition.depth for part in parts})
    found = []
    for depth, colour, marker in zip(depths, style.COLOURS, style.MARKERS, strict=False):
        mine = [part for part in parts if part.condition.depth == depth]
        x = [float(p.condition.n_rules**depth) for p in mine]
        ends = np.array([log_interval(size_by_seed(p, "learned")) for p in mine]).T
        look = {"color": colour, "marker": marker, "label": f"depth {depth}"}
        style.points(axis, x, *ends, **look)
        for part, place, middle in zip(mine, x, ends[0], strict=True):
            if math.isfinite(middle):
                found.append((place, middle))
                words = f"$m={part.condition.n_rules}$"
                aside = (-26, 4) if depth == depths[0] else (5, -9)
                axis.annotate(words, (place, middle), aside, textcoords="offset points", size=7.5)
    if found:
        _guide(axis, [min(found)[0], max(found)[0]], min(found)[1])
        axis.legend(loc="upper left", fontsize=7.5)
    axis.margins(x=0.3)
    _logs(axis, r"$m^{\rm depth}$", "$K$, learned half-way")


def _draws(axis: Any, analysis: ScalingAnalysis) -> None:
    parts = analysis.of(draws_conditions(analysis.config))
    looks = zip(style.COLOURS, style.MARKERS, style.LINES, strict=True)
    for part, (colour, marker, line) in zip(parts, looks, strict=False):
        draws, curves = part.condition.draws, part.code_length["heldout"]
        words = f"$n={draws}$" if draws else "fresh noise"
        look = {"color": colour, "marker": marker, "lw": 0.9, "ls": line, "label": words}
        axis.plot(part.train_sizes, curves.mean(0), **look)
        axis.fill_between(
            part.train_sizes, curves.min(0), curves.max(0), color=colour, alpha=0.15, lw=0
        )
    axis.axhline(parts[0].source_entropy, color="k", lw=0.9, ls=":", label="entropy $H$")
    _logs(axis, "training sequences $K$", "code length (nats/sequence)")
    axis.legend(loc="lower left", fontsize=7, ncols=2, columnspacing=1.0, handlelength=1.6)
    axis.set_ylim(bottom=0.35 * parts[0].source_entropy)


def _caption(analysis: ScalingAnalysis) -> str:
    config = analysis.config
    verdicts = [law.verdict for law in analysis.laws]
    counts = [
        sum(v == word for v in verdicts) for word in (SUPPORTED, NOT_SUPPORTED, NOT_DECIDABLE)
    ]
    exponents = ", ".join(
        rf"{WORDS[s]} $\eta$ = {tex.number(_exponent(analysis, s), 2)}" for s in SOURCES
    )
    words = [
        r"\textbf{What moves the transition.} "
        rf"MLP denoisers, $V={config.vocab_size}$, $L={config.seq_len}$ but for (e); "
        f"{tex.counted(config.seeds, 'seed')}; bars in (a), (b), (e): Student's 95\\,\\% intervals "
        f"of the logarithm over seeds, in (c) and bands in (f): range of the seeds.",
        f"(a) $K^*$ against parameters at {config.step_counts[-1]:,} steps, "
        f"(b) against training steps. (c) Information about the training set beyond the source, "
        "a lower bound; dashed: all there is. (d) Recovery gap over its first value, on "
        f"$K/N^\\eta$: {exponents}; marks by $N$ as in (c).",
    ]
    if config.hierarchies:
        words.append(
            "(e) $K$ at which held-out recovery is half-way to the exact denoiser of a random "
            "hierarchy with $m$ rules a symbol."
        )
    if config.draws:
        words.append(
            "(f) Held-out code length with $n$ noisy copies of each sequence and no other noise: "
            "a peak that is gone with fresh noise."
        )
    words.append(
        f"Of {len(verdicts)} statements {counts[0]} are supported, {counts[1]} are not, "
        rf"{counts[2]} cannot be decided (Table~\ref{{tab:laws}})."
    )
    return "\n".join(words)

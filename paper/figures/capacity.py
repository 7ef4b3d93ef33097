"""Critical loads: retrieval against load, half-loads carried on to infinite size, exact counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from am_theory import pseudolikelihood, random_features
from paper import style, tex
from paper.sources import Results
from simulations.capacity.analysis import KINDS, Capacity, CapacityAnalysis, cover
from simulations.capacity.config import retrieval_overlap

RUNS = ("capacity",)
FAMILY = "hopfield"


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption."""
    analysis = results.open("capacity").analysis
    figure, axes = style.figure(2, 2, 5.6)
    _retrieval(axes[0, 0], analysis)
    _limits(axes[0, 1], analysis)
    _rows(axes[1, 0], analysis)
    _features(axes[1, 1], analysis)
    words = ["Hopfield: retrieval", "half-loads over theory", "pseudo-likelihood"]
    style.titles(axes.flat, [*words, "structured examples"])
    return figure, _caption(analysis)


def _retrieval(axis: Any, analysis: CapacityAnalysis) -> None:
    config, data = analysis.config, analysis.data
    measured, sizes = np.array(config.relative_loads(FAMILY)), config.sizes(FAMILY)
    loads = np.linspace(min(measured[0], 0.8), 1, 60)
    axis.plot(loads, retrieval_overlap(FAMILY, loads), color="k", lw=1.6, label="theory")
    axis.axvline(1, color="0.7", lw=0.8, ls=":")
    marks = zip(style.shades(len(sizes)), style.MARKERS, sizes, strict=False)
    for colour, marker, size in marks:
        part = data.sel({f"{FAMILY}_size": size})
        overlap = np.where(part[f"{FAMILY}_converged"], part[f"{FAMILY}_overlap"], np.nan)
        run = np.isfinite(overlap).any(axis=(0, 2))
        per_set = np.nanmean(overlap[:, run], axis=2)
        mean = per_set.mean(0)
        error = 1.96 * per_set.std(axis=0, ddof=1) / np.sqrt(len(per_set))
        look = {"color": colour, "marker": marker, "lw": 0.8, "label": f"$N={size}$"}
        style.points(axis, measured[run], mean, mean - error, mean + error, **look)
    axis.set_xlabel("load / critical load")
    axis.set_ylabel("overlap of the fixed point")
    axis.set_ylim(0, 1.03)
    axis.legend(loc="lower left")


def _limits(axis: Any, analysis: CapacityAnalysis) -> None:
    axis.axhline(1, color="k", lw=0.8)
    marks = zip(analysis.capacities.values(), style.COLOURS, style.MARKERS, strict=False)
    for number, (capacity, colour, marker) in enumerate(marks):
        scale = capacity.theory
        x = np.array(capacity.sizes, float) ** -0.5
        half = np.where(np.isfinite(capacity.half), capacity.half, np.nan) / scale
        look = {"color": colour, "marker": marker, "label": capacity.name}
        style.points(axis, x, half, capacity.low / scale, capacity.high / scale, **look)
        found = capacity.limits[capacity.best]
        if np.isfinite(found.value):
            power = 1.0 if "sqrt" in capacity.best else 2.0
            grid = np.linspace(0, x.max(), 50)
            line = (found.value + found.slope * grid**power) / scale
            axis.plot(grid, line, color=colour, lw=0.9, ls=style.LINES[number % 5])
            ends = np.array(capacity.span) / scale
            aside = -0.0035 * (number + 1)
            axis.plot([aside] * 2, ends, color=colour, lw=2, solid_capstyle="butt")
    axis.set_xlim(-0.0035 * 8, None)
    axis.set_xlabel(r"$1/\sqrt{N}$")
    axis.set_ylabel("half-load / theory")
    axis.legend(loc="best", fontsize=7.5)


def _rows(axis: Any, analysis: CapacityAnalysis) -> None:
    config, data = analysis.config, analysis.data
    sizes = config.existence
    for size, colour, marker in zip(sizes, style.shades(len(sizes)), "osD^v", strict=False):
        held = data["existence_held"].sel(existence_size=size).values.ravel()
        counts = np.arange(size, 3 * size + 1)
        axis.plot(counts / size, cover(counts, size - 1), color=colour)
        shown = np.unique(np.round(np.arange(1.2, 3.01, 0.2) * size).astype(int))
        share = [(held >= count).mean() for count in shown]
        axis.plot(shown / size, share, marker, color=colour, label=f"exist, $N={size}$")
    loads = np.linspace(config.fit_loads[0], config.fit_loads[-1], 25)
    stable = pseudolikelihood.replica(loads, config.fit_penalty).stable
    axis.plot(loads, stable, color=style.VERMILION, ls="--")
    size = config.fits[-1]
    found = data.sel(fits_size=size)["fits_stable"].mean("set")
    words = f"fitted, $N={size}$: bits"
    axis.plot(config.fit_loads, found, "P", color=style.VERMILION, mfc="w", label=words)
    axis.axvline(2, color="0.7", lw=0.8, ls=":")
    axis.set_ylim(-0.02, 1.03)
    axis.set_xlabel("load $K/N$")
    axis.set_ylabel("share of rows, or of stable bits")
    axis.legend(loc="lower left", fontsize=7.5, borderaxespad=0.1)


def _features(axis: Any, analysis: CapacityAnalysis) -> None:
    config, data = analysis.config, analysis.data
    loads = np.geomspace(config.feature_loads[0], config.feature_loads[-1], 60)
    looks = zip(KINDS, style.COLOURS, "osD", ("-", "--", "-."), strict=False)
    for name, colour, marker, line in looks:
        part = data["features_overlap"].sel(kind=name)
        for stage, face in (("one step", colour), ("fixed point", "white")):
            values = part.sel(stage=stage).values
            mean = np.nanmean(values, axis=0)
            error = 1.96 * np.nanstd(values, axis=0, ddof=1) / np.sqrt(len(values))
            look = {"color": colour, "marker": marker, "mfc": face, "label": f"{name}, {stage}"}
            style.points(axis, config.feature_loads, mean, mean - error, mean + error, **look)
        if name != "stored":
            theory = getattr(random_features, f"{name}_overlap")
            axis.plot(loads, theory(loads, config.feature_load), color=colour, ls=line)
    style.log_ticks(axis, "x", config.feature_loads)
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("load, examples over $N$")
    axis.set_ylabel("overlap")
    axis.legend(loc="best", fontsize=7.5, borderaxespad=0.1)


def limit_words(capacity: Capacity) -> str:
    """A critical load with the interval of all forms, as TeX."""
    found = capacity.limits[capacity.best]
    return tex.interval(found.value, *capacity.span, 4)


def _caption(analysis: CapacityAnalysis) -> str:
    config, hopfield = analysis.config, analysis.capacities[FAMILY]
    worst = max((abs(c.z) for c in analysis.checks), default=0.0)
    return "\n".join(
        [
            rf"\textbf{{How many patterns a memory holds.}} {config.sets} sets of random patterns "
            f"of each size, {config.starts} starts a set from clean patterns, sites updated one at "
            r"a time; intervals: 95\,\% over sets.",
            "(a) Overlap of the fixed point with its pattern; black: replica-symmetric theory up "
            "to its critical load.",
            "(b) Load at which half of the starts are lost, over the critical load of theory; "
            r"lines: $a+b/\sqrt N$ or $a+b/N$, whichever fits better; bars left of 0: 95\,\% "
            "intervals of the limit $a$ under both forms. Hopfield: "
            f"{limit_words(hopfield)}, theory {tex.number(hopfield.theory, 4)}; "
            r"all in Table~\ref{tab:capacities}.",
            f"(c) Share of rows for which any couplings hold $K$ patterns; lines: Cover's exact "
            f"count ({len(analysis.checks)} comparisons, largest deviation "
            f"{tex.number(worst, 2)} standard errors); crosses: bits that a fitted "
            f"pseudo-likelihood memory (penalty {config.fit_penalty:g}) keeps, dashed: replicas.",
            f"(d) Signs of mixtures of ${config.feature_load:g}\\,N$ features stored by Hebb's "
            f"rule, $N={config.features}$: overlap with stored examples, features and unseen "
            "mixtures after one step (filled) and at the fixed point (open); lines: one step, "
            "theory.",
        ]
    )

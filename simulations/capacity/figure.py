"""The figure of `capacity`, drawn from a CapacityAnalysis; computes nothing new."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np

from am_theory import pseudolikelihood, random_features
from simulations.capacity.analysis import FORMS, KINDS, CapacityAnalysis, cover, fixed_points
from simulations.capacity.config import FAMILIES, LABELS, retrieval_overlap
from simulations.plots import panels

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#1a1a1a")


@panels(2, 4, (19, 9.2))
def draw(axes: Any, analysis: CapacityAnalysis) -> tuple[str, str]:
    """The eight panels: retrieval of every family, limits, rows and bits, structured examples."""
    flat, config = axes.ravel(), analysis.config
    for axis, family, letter in zip(flat, FAMILIES, "abcde", strict=False):
        _retrieval(axis, analysis, family)
        axis.set_title(f"({letter}) {LABELS[family]}", loc="left")
    _limits(flat[5], analysis)
    _rows(flat[6], analysis)
    _features(flat[7], analysis)
    return (
        "How many patterns a memory holds",
        f"Means over {config.sets} sets of patterns. (a) to (e): {config.starts} starts a set "
        "from clean patterns, sites updated one at a time; black: replica-symmetric theory "
        "up to its critical load. (f): load at which half of the starts are lost, over theory, "
        "95 % bootstrap over sets; lines: form of smaller chi^2; bars at 0: intervals of both.",
    )


def _shades(colour: str, count: int) -> list[Any]:
    """From pale to the colour itself."""
    base = np.array(matplotlib.colors.to_rgb(colour))
    return [tuple(1 - (1 - base) * s) for s in np.linspace(0.35, 1, count)]


def _retrieval(axis: Any, analysis: CapacityAnalysis, family: str) -> None:
    config = analysis.config
    measured, sizes = np.array(config.relative_loads(family)), config.sizes(family)
    loads = np.linspace(min(measured[0], 0.8), 1, 60)
    axis.plot(loads, retrieval_overlap(family, loads), color="k", lw=1.6, label="theory")
    axis.axvline(1, color="0.7", lw=0.8, ls=":")
    shades = _shades(COLOURS[FAMILIES.index(family)], len(sizes))
    for size, shade in zip(sizes, shades, strict=True):
        overlap, run = fixed_points(analysis.data, family, size)
        per_set = np.nanmean(overlap, axis=2)
        error = 1.96 * per_set.std(axis=0, ddof=1) / np.sqrt(len(per_set))
        style = {"color": shade, "marker": "o", "ms": 3.5, "lw": 1, "label": f"N = {size}"}
        axis.errorbar(measured[run], per_set.mean(0), error, **style)
    axis.set(xlabel="load over the theory's critical load", ylabel="overlap of the fixed point")
    axis.set_ylim(0, 1.03)
    axis.legend(loc="lower left")


def _limits(axis: Any, analysis: CapacityAnalysis) -> None:
    axis.axhline(1, color="0.5", lw=0.8)
    for (key, capacity), colour in zip(analysis.capacities.items(), COLOURS, strict=True):
        x, scale = np.array(capacity.sizes, float) ** -0.5, capacity.theory
        inside = np.isfinite(capacity.half)
        half, low, high = (v[inside] for v in (capacity.half, capacity.low, capacity.high))
        ends = np.nan_to_num(np.clip([half - low, high - half], 0, None), posinf=0)
        style = {"color": colour, "marker": "s" if key == "existence" else "o", "ms": 4}
        style |= {"lw": 0, "elinewidth": 1, "label": capacity.name}
        axis.errorbar(x[inside], half / scale, ends / scale, **style)
        found = capacity.limits[capacity.best]
        if np.isfinite(found.value):
            grid = np.linspace(0, x.max(), 50)
            line = (found.value + found.slope * grid ** (2 * FORMS[capacity.best])) / scale
            axis.plot(grid, line, color=colour, lw=1)
            bar = np.array([found.low, found.high]) / scale
            axis.plot([0, 0], bar, color=colour, lw=4, alpha=0.5, clip_on=False)
    axis.set_xlim(0, None)
    axis.set(xlabel="1 / sqrt(N)", ylabel="half-load over theory")
    axis.set_title("(f) Critical loads, carried on to infinite size", loc="left")
    axis.legend(loc="best")


def _rows(axis: Any, analysis: CapacityAnalysis) -> None:
    config, data = analysis.config, analysis.data
    sizes, colour = config.existence, COLOURS[1]
    for size, shade in zip(sizes, _shades(COLOURS[0], len(sizes)), strict=True):
        held = data["existence_held"].sel(existence_size=size).values.ravel()
        counts = np.arange(size, 3 * size + 1)
        axis.plot(counts / size, cover(counts, size - 1), color=shade, lw=1)
        shown = np.unique(np.round(np.arange(1.2, 3.01, 0.15) * size).astype(int))
        share = [(held >= count).mean() for count in shown]
        axis.plot(shown / size, share, "o", color=shade, ms=3.5, label=f"exist, N = {size}")
    loads = np.linspace(config.fit_loads[0], config.fit_loads[-1], 25)
    stable = pseudolikelihood.replica(loads, config.fit_penalty).stable
    axis.plot(loads, stable, color=colour, lw=1)
    for name, face, words in (
        ("stable", colour, "stable bits"),
        ("held", "w", "rows that hold all"),
    ):
        measured = data[f"fits_{name}"].sel(fits_size=config.fits[-1]).mean("set")
        label = f"fit, N = {config.fits[-1]}: {words}"
        axis.plot(config.fit_loads, measured, "s", color=colour, mfc=face, ms=4, label=label)
    axis.axvline(2, color="0.7", lw=0.8, ls=":")
    axis.set_ylim(-0.02, 1.03)
    axis.set(xlabel="load K / N", ylabel="share of rows, or of bits")
    axis.set_title("(g) Pseudo-likelihood: lines are Cover's count and replicas", loc="left")
    axis.legend(loc="lower left")


def _features(axis: Any, analysis: CapacityAnalysis) -> None:
    config, measured = analysis.config, analysis.config.feature_loads
    loads = np.geomspace(measured[0], measured[-1], 60)
    for name, colour in zip(KINDS, COLOURS, strict=False):
        part = analysis.data["features_overlap"].sel(kind=name)
        for stage, marker, face in (("one step", "o", colour), ("fixed point", "s", "white")):
            values = part.sel(stage=stage).values
            error = 1.96 * np.nanstd(values, axis=0, ddof=1) / np.sqrt(len(values))
            style = {"color": colour, "marker": marker, "mfc": face, "ms": 4, "lw": 0}
            style |= {"elinewidth": 1, "label": f"{name}, {stage}"}
            axis.errorbar(measured, np.nanmean(values, axis=0), error, **style)
        if name != "stored":
            theory = getattr(random_features, f"{name}_overlap")
            axis.plot(loads, theory(loads, config.feature_load), color=colour, lw=1)
    axis.set_xscale("log")
    axis.set_xticks(measured, [f"{load:g}" for load in measured])
    axis.minorticks_off()
    axis.set_ylim(0, 1.03)
    axis.set(xlabel="load, examples over N", ylabel="overlap")
    what = f"{config.feature_load:g} N features, N = {config.features}"
    axis.set_title(f"(h) Structured examples, {what}", loc="left")
    axis.legend(loc="best", fontsize=6.5)

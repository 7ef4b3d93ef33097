"""The figure of `capacity`, drawn from a CapacityAnalysis; computes nothing new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from am_theory import pseudolikelihood, random_features
from simulations.capacity.analysis import KINDS, CapacityAnalysis, cover
from simulations.capacity.config import FAMILIES, LABELS, retrieval_overlap
from simulations.phase.figure import STYLE, save

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#1a1a1a")
RELATIVE = "load over the theory's critical load"


def capacity_figure(analysis: CapacityAnalysis, stem: Path) -> None:
    """Write the eight-panel figure to `stem`.png and `stem`.pdf."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(2, 4, figsize=(19, 9.2), constrained_layout=True)
        flat = axes.ravel()
        for place, family in enumerate(FAMILIES):
            _retrieval(flat[place], analysis, family, "abcde"[place])
        _limits(flat[5], analysis)
        _rows(flat[6], analysis)
        _features(flat[7], analysis)
        figure.suptitle("How many patterns a memory holds", fontsize=12)
        config = analysis.config
        figure.supxlabel(
            f"Means over {config.sets} sets of patterns. (a) to (e): {config.starts} starts a set "
            "from clean patterns, sites updated one at a time; black: replica-symmetric theory "
            "up to its critical load. (f): load at which half of the starts are lost, over theory, "
            "95 % bootstrap over sets; lines: form of smaller chi^2; bars at 0: intervals of both.",
            fontsize=8,
            x=0.01,
            ha="left",
        )
        save(figure, stem)


def _shades(colour: str, count: int) -> list[Any]:
    """From pale to the colour itself."""
    base = np.array(matplotlib.colors.to_rgb(colour))
    return [tuple(1 - (1 - base) * s) for s in np.linspace(0.35, 1, count)]


def _retrieval(axis: Any, analysis: CapacityAnalysis, family: str, letter: str) -> None:
    config, data = analysis.config, analysis.data
    measured = config.relative_loads(family)
    loads = np.linspace(min(measured[0], 0.8), 1, 60)
    axis.plot(loads, retrieval_overlap(family, loads), color="k", lw=1.6, label="theory")
    axis.axvline(1, color="0.7", lw=0.8, ls=":")
    sizes = config.sizes(family)
    colour = COLOURS[FAMILIES.index(family)]
    for size, shade in zip(sizes, _shades(colour, len(sizes)), strict=True):
        part = data.sel({f"{family}_size": size})
        overlap = np.where(part[f"{family}_converged"], part[f"{family}_overlap"], np.nan)
        run = np.isfinite(overlap).any(axis=(0, 2))
        per_set = np.nanmean(overlap[:, run], axis=2)
        error = 1.96 * per_set.std(axis=0, ddof=1) / np.sqrt(len(per_set))
        axis.errorbar(
            np.array(measured)[run], per_set.mean(0), error, color=shade, marker="o", ms=3.5, lw=1,
            label=f"N = {size}",
        )  # fmt: skip
    axis.set_title(f"({letter}) {LABELS[family]}", loc="left")
    axis.set_xlabel(RELATIVE)
    axis.set_ylabel("overlap of the fixed point")
    axis.set_ylim(0, 1.03)
    axis.legend(loc="lower left")


def _limits(axis: Any, analysis: CapacityAnalysis) -> None:
    axis.axhline(1, color="0.5", lw=0.8)
    for (key, capacity), colour in zip(analysis.capacities.items(), COLOURS, strict=True):
        x, scale = np.array(capacity.sizes, float) ** -0.5, capacity.theory
        inside = np.isfinite(capacity.half)
        half, low, high = (v[inside] for v in (capacity.half, capacity.low, capacity.high))
        ends = np.nan_to_num(np.clip([half - low, high - half], 0, None), posinf=0)
        axis.errorbar(
            x[inside],
            half / scale,
            ends / scale,
            color=colour, marker="s" if key == "existence" else "o", ms=4, lw=0, elinewidth=1,
            label=capacity.name,
        )  # fmt: skip
        found = capacity.limits[capacity.best]
        if np.isfinite(found.value):
            power = 0.5 if "sqrt" in capacity.best else 1.0
            grid = np.linspace(0, x.max(), 50)
            line = (found.value + found.slope * grid ** (2 * power)) / scale
            axis.plot(grid, line, color=colour, lw=1)
            axis.plot(
                [0, 0],
                [found.low / scale, found.high / scale],
                color=colour,
                lw=4,
                alpha=0.5,
                clip_on=False,
            )
    axis.set_xlim(0, None)
    axis.set_xlabel("1 / sqrt(N)")
    axis.set_ylabel("half-load over theory")
    axis.set_title("(f) Critical loads, carried on to infinite size", loc="left")
    axis.legend(loc="best")


def _rows(axis: Any, analysis: CapacityAnalysis) -> None:
    config, data = analysis.config, analysis.data
    sizes = config.existence
    for size, shade in zip(sizes, _shades(COLOURS[0], len(sizes)), strict=True):
        held = data["existence_held"].sel(existence_size=size).values.ravel()
        counts = np.arange(size, 3 * size + 1)
        axis.plot(counts / size, cover(counts, size - 1), color=shade, lw=1)
        shown = np.unique(np.round(np.arange(1.2, 3.01, 0.15) * size).astype(int))
        share = [(held >= count).mean() for count in shown]
        axis.plot(shown / size, share, "o", color=shade, ms=3.5, label=f"exist, N = {size}")
    loads = np.linspace(config.fit_loads[0], config.fit_loads[-1], 25)
    stable = pseudolikelihood.replica(loads, config.fit_penalty).stable
    axis.plot(loads, stable, color=COLOURS[1], lw=1)
    size = config.fits[-1]
    part = data.sel(fits_size=size)
    for name, marker, face, label in (
        ("stable", "s", COLOURS[1], f"fit, N = {size}: stable bits"),
        ("held", "s", "white", f"fit, N = {size}: rows that hold all"),
    ):
        axis.plot(
            config.fit_loads, part[f"fits_{name}"].mean("set"), marker, color=COLOURS[1],
            mfc=face, ms=4, label=label,
        )  # fmt: skip
    axis.axvline(2, color="0.7", lw=0.8, ls=":")
    axis.set_ylim(-0.02, 1.03)
    axis.set_xlabel("load K / N")
    axis.set_ylabel("share of rows, or of bits")
    axis.set_title("(g) Pseudo-likelihood: lines are Cover's count and replicas", loc="left")
    axis.legend(loc="lower left")


def _features(axis: Any, analysis: CapacityAnalysis) -> None:
    config, data = analysis.config, analysis.data
    loads = np.geomspace(config.feature_loads[0], config.feature_loads[-1], 60)
    for name, colour in zip(KINDS, COLOURS, strict=False):
        part = data["features_overlap"].sel(kind=name)
        for stage, marker, face in (("one step", "o", colour), ("fixed point", "s", "white")):
            values = part.sel(stage=stage).values
            error = 1.96 * np.nanstd(values, axis=0, ddof=1) / np.sqrt(len(values))
            axis.errorbar(
                config.feature_loads, np.nanmean(values, axis=0), error, color=colour,
                marker=marker, mfc=face, ms=4, lw=0, elinewidth=1, label=f"{name}, {stage}",
            )  # fmt: skip
        if name != "stored":
            theory = getattr(random_features, f"{name}_overlap")
            axis.plot(loads, theory(loads, config.feature_load), color=colour, lw=1)
    axis.set_xscale("log")
    axis.set_xticks(config.feature_loads, [f"{load:g}" for load in config.feature_loads])
    axis.minorticks_off()
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("load, examples over N")
    axis.set_ylabel("overlap")
    axis.set_title(
        f"(h) Structured examples, {config.feature_load:g} N features, N = {config.features}",
        loc="left",
    )
    axis.legend(loc="best", fontsize=6.5)

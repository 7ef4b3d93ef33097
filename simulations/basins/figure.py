"""The figure of the basins command: radius against load, every memory on the same axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from am_theory import empirical
from simulations.basins.analysis import EXACT, Point
from simulations.basins.config import DRAW, MAP, MEMORIES, TRAINED, Config
from simulations.basins.theory import many_neurons
from simulations.phase.figure import STYLE, save
from simulations.theory.radii import REPAIRED, posterior_draw_radius

LOOKS = {
    "Hopfield": ("#0b6e99", "o"),
    "pseudo-inverse": ("#6d4c9f", "s"),
    "Potts": ("#0b6e99", "o"),
    "pseudo-likelihood": ("#6a994e", "D"),
    "dense, n = 3": ("#c0861d", "^"),
    "exponential": ("#d1495b", "v"),
    TRAINED: ("#e377c2", "*"),
    DRAW: ("#6b6b6b", "x"),
    MAP: ("#1a1a1a", "."),
}
IDLE = 0.95  # share of unchanged queries from which a memory is said to change nothing
ROWS = (
    ("nearest", "memory followed by a lookup"),
    ("exact", "memory alone, exact match"),
)


def basins_figure(config: Config, points: list[Point], stem: Path) -> None:
    """Write the figure to `stem`.png and `stem`.pdf, whole and renamed into place."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            2, 2, figsize=(12.5, 9.4), sharex="col", sharey=True, layout="constrained"
        )
        for c, (vocab_size, seq_len) in enumerate(config.panels):
            curves = _curves(config, vocab_size, seq_len)
            for r, (criterion, title) in enumerate(ROWS):
                axis = axes[r, c]
                shown = [p for p in points if p.vocab_size == vocab_size]
                _theory(axis, curves, criterion)
                for number, memory in enumerate(LOOKS):
                    found = [p for p in shown if p.memory == memory]
                    if found:
                        _points(axis, config, found, criterion, number)
                letter = "abcd"[2 * r + c]
                axis.set_title(f"({letter}) V = {vocab_size}, L = {seq_len}: {title}", loc="left")
                _axes(axis, config, seq_len, top=r == 0, bottom=r == 1)
        for axis in axes[:, 0]:
            axis.set_ylabel("basin radius, noise level t")
        handles, labels = _legend(config)
        figure.legend(handles, labels, loc="outside right center", labelspacing=0.9)
        figure.suptitle("Basins of attraction against the Shannon limit, random sequences")
        figure.supxlabel(_caption(config), fontsize=8, x=0.01, ha="left")
        save(figure, stem)


def _sizes(config: Config) -> Any:
    return np.geomspace(config.train_sizes[0] * 0.9, config.train_sizes[-1] * 1.15, 160)


def _curves(config: Config, vocab_size: int, seq_len: int) -> dict[str, tuple[Any, Any]]:
    """Load and radius of every line of a panel."""
    sizes = _sizes(config)
    load = np.log(sizes) / seq_len
    bound = empirical.shannon_radius(sizes, seq_len, vocab_size, config.threshold)
    few = sizes[::12]
    draw = posterior_draw_radius(few, seq_len, vocab_size, config.threshold)
    curves = {MAP: (load, bound.t_map), "limit": (load, bound.t_c), DRAW: (load[::12], draw)}
    for memory in MEMORIES:
        said = many_neurons(memory.name, sizes, vocab_size, seq_len)
        if said is not None and (memory.binary if vocab_size == 2 else memory.tokens):
            held = sizes <= memory.most * seq_len * (vocab_size - 1)
            curves[memory.name] = load, np.where(held, said.t, np.nan)
    return curves


def _theory(axis: Any, curves: dict[str, tuple[Any, Any]], criterion: str) -> None:
    for name, (load, t) in curves.items():
        if name == MAP:
            axis.plot(load, t, color="k", lw=2.2, zorder=1)
            axis.fill_between(load, t, 1.0, color="0.93", lw=0, zorder=0)
        elif name == "limit":
            axis.plot(load, t, color="k", lw=1.4, ls="--", zorder=1)
        elif name == DRAW:
            axis.plot(load, t, color=LOOKS[name][0], lw=1.2, zorder=1)
        elif criterion == "exact":  # limits of many neurons are about the dynamics alone
            axis.plot(load, t, color=LOOKS[name][0], lw=1.3, ls=":", zorder=1)


def _points(axis: Any, config: Config, points: list[Point], criterion: str, number: int) -> None:
    """Radii with intervals, open where nothing is changed; censored ones at the end of the levels,
    each memory (its `number`) a little aside."""
    colour, marker = LOOKS[points[0].memory]
    ends = config.levels[0], config.levels[-1]
    load = np.array([np.log(p.train_size) / p.seq_len for p in points])
    found = [p.radii[criterion] for p in points]
    value = np.array([r.value for r in found])
    inside = np.isfinite(value)
    low = np.clip([r.low for r in found], *ends)
    high = np.clip([r.high for r in found], *ends)
    bars = np.nan_to_num(np.clip([value - low, high - value], 0, 1)[:, inside])
    size = _marker_size(marker)
    width = 0.0 if points[0].memory in EXACT else 0.6
    style = {"marker": marker, "ms": size, "lw": width, "elinewidth": 1.1, "zorder": 3}
    axis.errorbar(load[inside], value[inside], bars, color=colour, **style)
    idle = inside & np.array([p.unchanged > IDLE for p in points])
    axis.plot(load[idle], value[idle], marker, ms=size, mfc="w", mec=colour, zorder=4)
    aside = (number - len(LOOKS) / 2) * 0.01 * np.log(_sizes(config)[-1]) / points[0].seq_len
    for sign, y, shape in ((1, ends[1], 6), (-1, ends[0], 7)):
        beyond = np.isinf(value) & (np.sign(value) == sign)
        style = {"ls": "", "marker": shape, "ms": 7, "mfc": "w", "mec": colour, "zorder": 2}
        axis.plot(load[beyond] + aside, np.full(beyond.sum(), y), **style)


def _marker_size(marker: str) -> float:
    return {"*": 9.0, ".": 6.0}.get(marker, 5.0)


def _axes(axis: Any, config: Config, seq_len: int, *, top: bool, bottom: bool) -> None:
    first, last = _sizes(config)[[0, -1]]
    axis.set(xlim=(np.log(first) / seq_len, np.log(last) / seq_len), ylim=(0, 1))
    axis.tick_params(labelbottom=True)
    if bottom:
        axis.set_xlabel("load ln K / L (nats per token)")
    if top:
        other = axis.secondary_xaxis(
            "top",
            functions=(lambda x: np.exp(x * seq_len), lambda k: np.log(np.maximum(k, 1)) / seq_len),
        )
        ticks = [k for k in config.train_sizes if np.log2(k) % 2 == 0] or [config.train_sizes[0]]
        other.set_xticks(ticks, [f"{k:,}" for k in ticks])
        other.set_xlabel("stored sequences K")


def _legend(config: Config) -> tuple[list[Any], list[str]]:
    handles: list[Any] = [
        Line2D([], [], color="k", lw=2.2),
        Line2D([], [], color="k", lw=1.4, ls="--"),
    ]
    labels = ["Shannon bound, this K, L, V\n(exact: MAP decoding)", "Shannon bound, L to infinity"]
    for name, (colour, marker) in LOOKS.items():
        if name == "Potts":
            continue
        label = (
            f"Hopfield (V = 2),\nPotts (V = {config.vocab_size})" if name == "Hopfield" else name
        )
        label += " (V = 2)" if name == "pseudo-inverse" else ""
        handles.append(Line2D([], [], color=colour, marker=marker, ms=_marker_size(marker), lw=0.6))
        labels.append(label)
    grey = "0.35"
    handles += [
        Line2D([], [], color=LOOKS[DRAW][0], lw=1.2),
        Line2D([], [], color=grey, lw=1.3, ls=":"),
        Line2D([], [], ls="", marker="s", mfc="w", mec=grey, ms=5),
        Line2D([], [], ls="", marker=6, mfc="w", mec=grey, ms=7),
        Line2D([], [], ls="", marker=7, mfc="w", mec=grey, ms=7),
    ]
    labels += [
        "exact theory of one draw",
        "theory of many neurons,\nin the memory's colour",
        "open: the memory changes\nnothing, the lookup does all",
        "beyond the last level",
        "below the first level",
    ]
    return handles, labels


def _caption(config: Config) -> str:
    queries = config.sets * config.queries_per_set
    return (
        "Radius: largest noise level t at which at least the share "
        f"{config.threshold:g} of corrupted stored sequences is retrieved. (a, b): the stored "
        "sequence nearest to the output is the right one; (c, d): the output equals it.\n"
        f"{config.sets} sets of K random sequences, {queries} queries a level; bars: 95 % over "
        "sets (trained UDDM: one set, over its sequences). Grey: no rule that knows the store and "
        "the noise gets there on average.\nDotted: Hopfield, Amari-Maginu (optimistic); dense, "
        "saddle point; exponential, one step; pseudo-inverse, pseudo-likelihood and Potts, one "
        f"step to overlap {REPAIRED}, which is no basin."
    )

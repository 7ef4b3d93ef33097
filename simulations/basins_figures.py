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
from simulations.basins_analysis import Point
from simulations.basins_config import DRAW, MAP, MEMORIES, TRAINED, Config
from simulations.basins_theory import theory
from simulations.figures import STYLE, save

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
        for r, (criterion, title) in enumerate(ROWS):
            for c, (vocab_size, seq_len) in enumerate(config.panels):
                axis = axes[r, c]
                shown = [p for p in points if p.vocab_size == vocab_size]
                _theory(axis, config, criterion, vocab_size, seq_len)
                for memory in LOOKS:
                    _points(axis, config, [p for p in shown if p.memory == memory], criterion)
                letter = "abcd"[2 * r + c]
                axis.set_title(f"({letter}) V = {vocab_size}, L = {seq_len}: {title}", loc="left")
                _axes(axis, config, seq_len, top=r == 0, bottom=r == 1)
            axes[r, 0].set_ylabel("basin radius, noise level t")
        handles, labels = _legend(config)
        figure.legend(handles, labels, loc="outside right center", labelspacing=0.9)
        figure.suptitle("Basins of attraction against the Shannon limit, random sequences")
        figure.supxlabel(_caption(config), fontsize=8, x=0.01, ha="left")
        save(figure, stem)


def _sizes(config: Config) -> Any:
    return np.geomspace(config.train_sizes[0] * 0.9, config.train_sizes[-1] * 1.15, 40)


def _theory(axis: Any, config: Config, criterion: str, vocab_size: int, seq_len: int) -> None:
    sizes = _sizes(config)
    load = np.log(sizes) / seq_len
    bound = empirical.shannon_radius(sizes, seq_len, vocab_size, config.threshold)
    axis.plot(load, bound.t_map, color="k", lw=2.2, zorder=1)
    axis.plot(load, bound.t_c, color="k", lw=1.4, ls="--", zorder=1)
    axis.fill_between(load, bound.t_map, 1.0, color="0.93", lw=0, zorder=0)
    for memory in MEMORIES:
        acts = memory.binary if vocab_size == 2 else memory.tokens
        if not acts or memory.name == MAP:
            continue
        said = theory(memory.name, sizes, vocab_size, seq_len, config.threshold)
        # limits of many neurons are about the dynamics alone: beside the radii without lookup
        if said is not None and (said.exact or criterion == "exact"):
            style = {"lw": 1.2} if said.exact else {"lw": 1.3, "ls": ":"}
            t = np.where(sizes <= memory.most * seq_len * (vocab_size - 1), said.t, np.nan)
            axis.plot(load, t, color=LOOKS[memory.name][0], zorder=1, **style)


def _points(axis: Any, config: Config, points: list[Point], criterion: str) -> None:
    """Radii with intervals; filled triangles at the end of the levels where censored."""
    if not points:
        return
    colour, marker = LOOKS[points[0].memory]
    ends = config.levels[0], config.levels[-1]
    load = np.array([np.log(p.train_size) / p.seq_len for p in points])
    found = [p.radii[criterion] for p in points]
    value = np.array([r.value for r in found])
    inside = np.isfinite(value)
    low = np.clip([r.low for r in found], *ends)
    high = np.clip([r.high for r in found], *ends)
    bars = np.nan_to_num(np.clip([value - low, high - value], 0, 1)[:, inside])
    size = 9 if marker == "*" else 6 if marker == "." else 5
    axis.errorbar(
        load[inside],
        value[inside],
        bars,
        color=colour,
        marker=marker,
        ms=size,
        lw=0.6 if points[0].memory not in (MAP, DRAW) else 0,
        elinewidth=1.1,
        zorder=3,
    )
    for sign, y, shape in ((1, ends[1], 6), (-1, ends[0], 7)):
        beyond = np.isinf(value) & (np.sign(value) == sign)
        style = {"ls": "", "marker": shape, "ms": 7, "mfc": "w", "mec": colour, "zorder": 2}
        axis.plot(load[beyond], np.full(beyond.sum(), y), **style)


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
        size = 9 if marker == "*" else 6
        handles.append(Line2D([], [], color=colour, marker=marker, ms=size, lw=0.6))
        labels.append(label)
    grey = "0.35"
    handles += [
        Line2D([], [], color=LOOKS[DRAW][0], lw=1.2),
        Line2D([], [], color=grey, lw=1.3, ls=":"),
        Line2D([], [], ls="", marker=6, mfc="w", mec=grey, ms=7),
        Line2D([], [], ls="", marker=7, mfc="w", mec=grey, ms=7),
    ]
    labels += [
        "exact theory of one draw",
        "theory of many neurons,\nin the memory's colour",
        "beyond the last level",
        "below the first level",
    ]
    return handles, labels


def _caption(config: Config) -> str:
    queries = config.sets * config.queries_per_set
    return (
        "Radius: largest noise level t at which at least the share "
        f"{config.threshold:g} of corrupted stored sequences is retrieved. (a, b): the stored "
        "sequence nearest to the output is the right one;\n(c, d): the output equals it. "
        f"{config.sets} sets of K random sequences, {queries} queries a level; bars: 95 % over "
        "sets (trained UDDM: one set, over its sequences).\nGrey: no rule that knows the store and "
        "the noise gets there on average. A memory that changes nothing lies on the bound in "
        "(a, b), since the lookup does all:\nthe pseudo-inverse from K = L on. Dotted: Hopfield, "
        "Amari-Maginu (optimistic); dense, saddle point; exponential, one step; pseudo-inverse, "
        "pseudo-likelihood\nand Potts, one step to overlap 0.9, which is no basin."
    )

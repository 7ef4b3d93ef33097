"""Basins of every memory against the Shannon limit, with a look-up behind them and without."""

from __future__ import annotations

from typing import Any

import numpy as np

from am_theory import empirical
from paper import style, tex
from paper.sources import Results
from simulations.basins.analysis import EXACT, Point
from simulations.basins.config import DRAW, MAP, MEMORIES, TRAINED, Config
from simulations.basins.theory import many_neurons
from simulations.theory.radii import REPAIRED, posterior_draw_radius

RUNS = ("basins",)
LOOKS = {
    "Hopfield": (style.BLUE, "o"),
    "Potts": (style.BLUE, "o"),
    "pseudo-inverse": (style.PURPLE, "s"),
    "pseudo-likelihood": (style.GREEN, "D"),
    "dense, n = 3": (style.ORANGE, "^"),
    "exponential": (style.VERMILION, "v"),
    TRAINED: (style.SKY, "*"),
    DRAW: (style.GREY, "x"),
    MAP: (style.BLACK, "."),
}
IDLE = 0.95  # share of unchanged queries from which a memory is said to change nothing
ROWS = (("nearest", "with a look-up"), ("exact", "memory alone"))


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption."""
    found = results.open("basins")
    config, points = found.config, found.analysis.points
    figure, axes = style.figure(2, 2, 5.9, sharex="col", sharey=True)
    words = []
    for row, (criterion, title) in zip(axes, ROWS, strict=True):
        for axis, (vocab_size, seq_len) in zip(row, config.panels, strict=True):
            _theory(axis, config, vocab_size, seq_len, criterion)
            for memory in LOOKS:
                mine = [p for p in points if (p.memory, p.vocab_size) == (memory, vocab_size)]
                if mine:
                    _points(axis, config, mine, criterion)
            words.append(rf"$V={vocab_size}$, $L={seq_len}$: {title}")
    style.titles(axes.flat, words)
    for axis, (_, seq_len) in zip(axes[1], config.panels, strict=True):
        axis.set_xlabel(r"load $\log K / L$ (nats per token)")
        first, last = _sizes(config)[[0, -1]]
        axis.set(xlim=(np.log(first) / seq_len, np.log(last) / seq_len), ylim=(0, 1))
    for axis in axes[:, 0]:
        axis.set_ylabel("basin radius, noise level $t$")
    style.below(figure, _handles(config), 3)
    return figure, _caption(config, points)


def _sizes(config: Config) -> Any:
    return np.geomspace(config.train_sizes[0] * 0.9, config.train_sizes[-1] * 1.15, 120)


def _theory(axis: Any, config: Config, vocab_size: int, seq_len: int, criterion: str) -> None:
    sizes = _sizes(config)
    load = np.log(sizes) / seq_len
    bound = empirical.shannon_radius(sizes, seq_len, vocab_size, config.threshold)
    axis.plot(load, bound.t_map, color="k", lw=1.8, zorder=1)
    axis.fill_between(load, bound.t_map, 1.0, color="0.92", lw=0, zorder=0)
    axis.plot(load, bound.t_c, color="k", lw=1, ls="--", zorder=1)
    one = posterior_draw_radius(sizes[::10], seq_len, vocab_size, config.threshold)
    axis.plot(load[::10], one, color=LOOKS[DRAW][0], lw=1, zorder=1)
    for memory in MEMORIES if criterion == "exact" else ():
        said = many_neurons(memory.name, sizes, vocab_size, seq_len)
        if said is not None and (memory.binary if vocab_size == 2 else memory.tokens):
            held = sizes <= memory.most * seq_len * (vocab_size - 1)
            t = np.where(held, said.t, np.nan)
            axis.plot(load, t, color=LOOKS[memory.name][0], lw=1, ls=":", zorder=1)


def _size(marker: str) -> float:
    return {"*": 6.5, ".": 4.5}.get(marker, 3.6)


def _points(axis: Any, config: Config, points: list[Point], criterion: str) -> None:
    """Radii with intervals, open where nothing is changed; censored ones at the last level."""
    colour, marker = LOOKS[points[0].memory]
    ends = config.levels[0], config.levels[-1]
    load = np.array([np.log(p.train_size) / p.seq_len for p in points])
    radii = [p.radii[criterion] for p in points]
    value = np.array([r.value for r in radii])
    finite = np.where(np.isfinite(value), value, np.nan)
    low, high = (np.clip([getattr(r, n) for r in radii], *ends) for n in ("low", "high"))
    width = 0.0 if points[0].memory in EXACT else 0.5
    look = {"color": colour, "marker": marker, "ms": _size(marker), "lw": width, "zorder": 3}
    style.points(axis, load, finite, low, high, **look)
    idle = np.isfinite(value) & np.array([p.unchanged > IDLE for p in points])
    open_look = {"mfc": "w", "mec": colour, "ls": ""}
    axis.plot(load[idle], value[idle], marker=marker, ms=_size(marker), zorder=4, **open_look)
    for sign, y, shape in ((1, ends[1], 6), (-1, ends[0], 7)):
        beyond = np.isinf(value) & (np.sign(value) == sign)
        axis.plot(load[beyond], np.full(beyond.sum(), y), marker=shape, ms=4, zorder=2, **open_look)


def _handles(config: Config) -> list[Any]:
    found = [
        style.handle(color="k", lw=1.8, label="Shannon bound, this $L$"),
        style.handle(color="k", lw=1, ls="--", label=r"Shannon bound, $L\to\infty$"),
    ]
    for name, (colour, marker) in LOOKS.items():
        words = {"Hopfield": f"Hopfield / Potts ($V={config.vocab_size}$)", "Potts": ""}
        label = words.get(name, name) + (" ($V=2$)" if name == "pseudo-inverse" else "")
        if label:
            look = {"marker": marker, "ms": _size(marker), "lw": 0.5}
            found.append(style.handle(color=colour, label=label, **look))
    grey: dict[str, Any] = {"color": style.GREY}
    return [
        *found,
        style.handle(lw=1, label="one draw, exact", **grey),
        style.handle(lw=1, ls=":", label="theory of many neurons", **grey),
        style.handle(ls="", marker="s", mfc="w", label="changes nothing", **grey),
        style.handle(ls="", marker=7, mfc="w", label="below the first level", **grey),
    ]


def _caption(config: Config, points: list[Point]) -> str:
    verdicts = [p.verdict for p in points if p.memory in EXACT]
    agreed = sum(v == "agree" for v in verdicts)
    over = [
        p.radii["nearest"].low / p.shannon
        for p in points
        if np.isfinite(p.radii["nearest"].low) and p.shannon > 0
    ]
    return "\n".join(
        [
            r"\textbf{Every memory lies under one bound.} Largest noise level $t$ at which the "
            f"share {config.threshold:g} of corrupted stored sequences is retrieved: (a), (b) the "
            "stored sequence nearest to the output is the right one; (c), (d) the output equals "
            f"it. $K$ from {config.train_sizes[0]} to {config.train_sizes[-1]:,}; {config.sets} "
            f"sets of random sequences, {config.sets * config.queries_per_set:,} queries a level; "
            r"bars: 95\,\% over sets (trained UDDM: one set, over its sequences).",
            "Grey: out of reach, on average, of any rule that knows the store and the noise; the "
            f"largest lower end of an interval is {max(over):.2f} of the bound. The empirical "
            f"denoiser, MAP and one draw, has its exact radius in {agreed} of {len(verdicts)} "
            "intervals. Open marks in (a), (b): the memory changes nothing and the look-up does "
            "all. Dotted: Hopfield by Amari and Maginu (optimistic); dense by its saddle point; "
            "exponential, one step; the others, one step to an overlap of "
            f"{tex.number(REPAIRED, 1)}, which is no basin.",
        ]
    )

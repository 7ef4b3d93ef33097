"""The figure of the basins command: radius against load, every memory on the same axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from am_theory import empirical
from simulations.basins.analysis import EXACT, BasinsAnalysis, Point
from simulations.basins.config import DRAW, MAP, MEMORIES, TRAINED, Config
from simulations.basins.theory import erased_bound, many_neurons
from simulations.plots import panels, wrapped
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
LINES: dict[str, dict[str, Any]] = {
    MAP: {"color": "k", "lw": 2.2},
    "limit": {"color": "k", "lw": 1.4, "ls": "--"},
    DRAW: {"color": "#6b6b6b", "lw": 1.2},
    "uniform": {"color": "0.55", "lw": 1.4, "ls": "-."},
}
GREY = "0.35"
IDLE = 0.95  # share of unchanged queries from which a memory is said to change nothing
ROWS = (
    ("nearest", "memory followed by a lookup"),
    ("exact", "memory alone, exact match"),
)


@panels(2, 2, (12.5, 9.4), heading_size="large", sharex="col", sharey=True)
def draw(axes: Any, analysis: BasinsAnalysis) -> tuple[str, str]:
    """A column a panel: with a lookup above, the memory alone below."""
    config = analysis.config
    for c, (vocab_size, seq_len) in enumerate(config.panels):
        curves = _curves(config, vocab_size, seq_len)
        for r, (criterion, title) in enumerate(ROWS):
            axis = axes[r, c]
            _theory(axis, curves, criterion)
            for aside, memory in enumerate(LOOKS):
                place = (memory, vocab_size)
                found = [p for p in analysis.points if (p.memory, p.vocab_size) == place]
                if found:
                    _points(axis, config, config.levels, found, criterion, aside)
            letter = "abcd"[2 * r + c]
            axis.set_title(f"({letter}) V = {vocab_size}, L = {seq_len}: {title}", loc="left")
            _axes(axis, config, seq_len, top=r == 0)
    for axis in axes[:, 0]:
        axis.set_ylabel("basin radius, noise level t")
    legend = {"loc": "outside right center", "labelspacing": 0.9}
    axes[0, 0].figure.legend(handles=_handles(config), **legend)
    return "Basins of attraction against the Shannon limit, random sequences", _caption(config)


@panels(1, 2, (12.5, 5.6), heading_size="large", sharey=True)
def draw_erasures(axes: Any, analysis: BasinsAnalysis) -> tuple[str, str]:
    """A column a panel: the memory alone under erasures."""
    config, sizes = analysis.config, _sizes(analysis.config)
    for axis, letter, (vocab_size, seq_len) in zip(axes[0], "ab", config.panels, strict=True):
        load = np.log(sizes) / seq_len
        bound, limit = erased_bound(sizes, vocab_size, seq_len, config.threshold)
        uniform = empirical.shannon_radius(sizes, seq_len, vocab_size, config.threshold)
        _theory(axis, {MAP: (load, bound), "limit": (load, limit)}, "exact")
        axis.plot(load, uniform.t_map, zorder=1, **LINES["uniform"])
        for aside, memory in enumerate(LOOKS):
            place = (memory, vocab_size)
            found = [p for p in analysis.erased if (p.memory, p.vocab_size) == place]
            if found:
                _points(axis, config, config.erased_levels, found, "exact", aside)
        axis.set_title(f"({letter}) V = {vocab_size}, L = {seq_len}: exact match", loc="left")
        _axes(axis, config, seq_len, top=True)
        axis.set_xlabel("load ln K / L (nats per token)")
    axes[0, 0].set_ylabel("basin radius, share of tokens erased")
    handles = _memory_handles(config) | _end_handles()
    bounds = {
        "bound under erasures,\nthis K, L, V (exact)": LINES[MAP],
        "the same, L to infinity": LINES["limit"],
        "bound once filled at random:\nthe uniform channel's": LINES["uniform"],
    }
    legend = {"loc": "outside right center", "labelspacing": 0.9}
    axes[0, 0].figure.legend(handles=_lines(bounds | handles), **legend)
    caption = wrapped(
        "Radius: largest noise level t (share of erased tokens) at which at least the share "
        f"{config.threshold:g} of stored sequences comes back exactly. {config.sets} sets of K "
        f"random sequences, {config.queries} queries a level; bars: 95 %.",
        "Erased sites exert no field (spins: 0), take the tokens that the visible ones favour, and "
        f"the usual dynamics follow; {TRAINED}: filled at random. Grey: no rule gets there on "
        "average; every rule that ends in a stored sequence that fits is on the black line. Filled "
        "at random, places forgotten, memories have the radii of uniform noise, below the "
        "dash-dotted line.",
        width=205,
    )
    return "Basins of attraction under erasures, random sequences", caption


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
        held = memory.held(vocab_size, seq_len, sizes)
        said = many_neurons(memory.name, sizes, vocab_size, seq_len)
        if said is not None and held.any():
            curves[memory.name] = load, np.where(held, said.t, np.nan)
    return curves


def _theory(axis: Any, curves: dict[str, tuple[Any, Any]], criterion: str) -> None:
    axis.fill_between(*curves[MAP], 1.0, color="0.93", lw=0, zorder=0)
    for name, (load, t) in curves.items():
        # limits of many neurons are about the dynamics alone
        if name in LINES or criterion == "exact":
            style = LINES.get(name) or {"color": LOOKS[name][0], "lw": 1.3, "ls": ":"}
            axis.plot(load, t, zorder=1, **style)


def _points(
    axis: Any,
    config: Config,
    levels: tuple[float, ...],
    points: list[Point],
    criterion: str,
    number: int,
) -> None:
    """Radii with intervals, open where nothing is changed; censored ones at the end of the levels,
    each memory (its `number`) a little aside."""
    colour, marker = LOOKS[points[0].memory]
    ends = levels[0], levels[-1]
    load = np.array([np.log(p.train_size) / p.seq_len for p in points])
    found = [p.radii[criterion] for p in points]
    value = np.array([r.value for r in found])
    inside = np.isfinite(value)
    low = np.clip([r.low for r in found], *ends)
    high = np.clip([r.high for r in found], *ends)
    bars = np.nan_to_num(np.clip([value - low, high - value], 0, 1)[:, inside])
    width = 0.0 if points[0].memory in EXACT else 0.6
    style = {"color": colour, "lw": width, "elinewidth": 1.1, "zorder": 3, **_mark(marker)}
    axis.errorbar(load[inside], value[inside], bars, **style)
    idle = inside & np.array([p.unchanged > IDLE for p in points])
    hollow = {"ls": "", "mfc": "w", "mec": colour}
    axis.plot(load[idle], value[idle], zorder=4, **hollow, **_mark(marker))
    aside = (number - len(LOOKS) / 2) * 0.01 * np.log(_sizes(config)[-1]) / points[0].seq_len
    for sign, y, shape in ((1, ends[1], 6), (-1, ends[0], 7)):
        beyond = np.isinf(value) & (np.sign(value) == sign)
        y_all = np.full(beyond.sum(), y)
        axis.plot(load[beyond] + aside, y_all, marker=shape, ms=7, zorder=2, **hollow)


def _mark(marker: str) -> dict[str, Any]:
    return {"marker": marker, "ms": {"*": 9.0, ".": 6.0}.get(marker, 5.0)}


def _axes(axis: Any, config: Config, seq_len: int, *, top: bool) -> None:
    first, last = _sizes(config)[[0, -1]]
    axis.set(xlim=(np.log(first) / seq_len, np.log(last) / seq_len), ylim=(0, 1))
    axis.tick_params(labelbottom=True)
    if not top:
        axis.set_xlabel("load ln K / L (nats per token)")
    else:
        other = axis.secondary_xaxis(
            "top",
            functions=(lambda x: np.exp(x * seq_len), lambda k: np.log(np.maximum(k, 1)) / seq_len),
        )
        ticks = [k for k in config.train_sizes if np.log2(k) % 2 == 0] or [config.train_sizes[0]]
        other.set_xticks(ticks, [f"{k:,}" for k in ticks])
        other.set_xlabel("stored sequences K")


def _lines(entries: dict[str, dict[str, Any]]) -> list[Any]:
    return [Line2D([], [], label=label, **style) for label, style in entries.items()]


def _memory_handles(config: Config) -> dict[str, dict[str, Any]]:
    words = {
        "Hopfield": f"Hopfield (V = 2),\nPotts (V = {config.vocab_size})",
        "pseudo-inverse": "pseudo-inverse (V = 2)",
    }
    return {
        words.get(name, name): {"color": colour, "lw": 0.6, **_mark(marker)}
        for name, (colour, marker) in LOOKS.items()
        if name != "Potts"
    }


def _end_handles() -> dict[str, dict[str, Any]]:
    hollow = {"ls": "", "mfc": "w", "mec": GREY, "ms": 7}
    return {
        "beyond the last level": {**hollow, "marker": 6},
        "below the first level": {**hollow, "marker": 7},
    }


def _handles(config: Config) -> list[Any]:
    idle = {"ls": "", "mfc": "w", "mec": GREY, "marker": "s", "ms": 5}
    return _lines(
        {
            "Shannon bound, this K, L, V\n(exact: MAP decoding)": LINES[MAP],
            "Shannon bound, L to infinity": LINES["limit"],
            **_memory_handles(config),
            "exact theory of one draw": LINES[DRAW],
            "theory of many neurons,\nin the memory's colour": {
                "color": GREY,
                "lw": 1.3,
                "ls": ":",
            },
            "open: the memory changes\nnothing, the lookup does all": idle,
            **_end_handles(),
        }
    )


def _caption(config: Config) -> str:
    return (
        "Radius: largest noise level t at which at least the share "
        f"{config.threshold:g} of corrupted stored sequences is retrieved. (a, b): the stored "
        "sequence nearest to the output is the right one; (c, d): the output equals it.\n"
        f"{config.sets} sets of K random sequences, {config.queries} queries a level; bars: 95 % "
        "over sets (trained UDDM: one set, over its sequences). Grey: no rule that knows the store "
        "and the noise gets there on average.\nDotted: Hopfield, Amari-Maginu (optimistic); dense, "
        "saddle point; exponential, one step; pseudo-inverse, pseudo-likelihood and Potts, one "
        f"step to overlap {REPAIRED}, which is no basin."
    )

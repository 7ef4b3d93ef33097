"""The figure of the sweep over released networks, drawn from a ReleasedAnalysis."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from simulations.measure.bootstrap import MIN_SEEDS
from simulations.measure.names import SMALL_LEVEL
from simulations.plots import legend_below, panels, wrapped
from simulations.released.analysis import HEADLINE, Group, Rate, ReleasedAnalysis
from simulations.released.cells import LAW, MEMORIZER, NETWORK, VANISHING

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
GREY = "0.45"
LINES = {"train": "-", "heldout": "--"}
FACES = {"train": None, "heldout": "w"}
WORDS = {"train": "training", "heldout": "held out"}


@panels(2, 3, (16.5, 10))
def draw(axes: Any, analysis: ReleasedAnalysis) -> tuple[str, str]:
    """Recovery over K and over t, M and G; three entropies over K."""
    t, small = analysis.config.headline, SMALL_LEVEL
    (recovery, levels, orders), (predicted, vanishing, clean) = axes
    _over_sizes(recovery, analysis, "recovery", t, "changed tokens restored")
    recovery.set_title(f"(a) Token recovery at t = {t:g}", loc="left")
    recovery.set_ylim(-0.02, 1.03)
    _levels(levels, analysis)
    _orders(orders, analysis)
    _over_sizes(predicted, analysis, "predicted entropy", t, "entropy (nats a token)")
    predicted.set_title(f"(d) Entropy of predicted tokens, restored from t = {t:g}", loc="left")
    what = f"share of predicted tokens below {VANISHING:g} nats"
    _over_sizes(vanishing, analysis, "predicted vanishing", t, what)
    vanishing.set_title("(e) How many of these entropies vanish", loc="left")
    vanishing.set_ylim(-0.02, 1.03)
    _over_sizes(clean, analysis, "entropy", small, "entropy (nats a token)")
    clean.set_title("(f) Entropy of the clean sequences, t = 1e-5", loc="left")
    data = analysis.data
    sizes = [
        f"{name} = {_one(data[key].values)}"
        for name, key in (("V", "vocab_size"), ("L", "seq_len"))
    ]
    seeds = min(len(group.seeds) for group in analysis.groups)
    over = "seeds and sequences" if seeds >= MIN_SEEDS else "sequences"
    law = (
        "Dotted: the exact law of the source."
        if LAW in analysis.actors
        else "In M and G a network's own value at its largest K stands for the law."
    )
    kind = "a rehearsal" if analysis.config.rehearses else f"{len(data['checkpoint'])} checkpoints"
    return (
        f"Networks against the training sets they had: {kind}, {', '.join(sizes)}",
        wrapped(
            f"{analysis.config.queries:,} training and held-out sequences each, uniform noise to "
            f"t, restored by the reverse process in {analysis.config.n_steps} steps on [0, 1]. "
            "Solid, filled: training sequences; dashed, open: held-out ones. Grey: the optimal "
            "memorizer of the very subset of each network, on the same inputs. "
            f"{law} Entropies are of the leave-one-out law, in (d) and (e) at the restored tokens, "
            "told t = 1e-5. M is 1 for the memorizer, 0 for the law; G is 0 for the memorizer, 1 "
            "for the law; neither is drawn where these two are within two standard errors. "
            f"Bars: 95 %, bootstrap over {over}."
        ),
    )


def _one(values: Any) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _colour(analysis: ReleasedAnalysis, group: Group) -> str:
    return COLOURS[analysis.groups.index(group) % len(COLOURS)]


def _points(axis: Any, x: Any, rate: Rate, **style: Any) -> None:
    low, high = rate.ends
    ends = np.clip(np.nan_to_num([rate.estimate - low, high - rate.estimate]), 0, None)
    axis.errorbar(x, rate.estimate, ends, **{"lw": 1.2, "elinewidth": 1, "ms": 4.5, **style})


def _over_sizes(axis: Any, analysis: ReleasedAnalysis, reading: str, t: float, words: str) -> None:
    """A reading of every network over K, the memorizers and the law beside them."""
    handles = []
    for group in analysis.groups:
        colour = _colour(analysis, group)
        for split, line in LINES.items():
            beside: dict[str, Any] = {"color": GREY, "ls": line, "marker": "", "zorder": 1}
            _points(axis, group.sizes, group.rate(reading, split, t, MEMORIZER), **beside)
            face = FACES[split] or colour
            style = {"color": colour, "ls": line, "marker": "o", "mfc": face}
            _points(axis, group.sizes, group.rate(reading, split, t), **style)
        handles.append(Line2D([], [], color=colour, lw=3, label=group.label))
    if LAW in analysis.actors:
        group = max(analysis.groups, key=lambda one: len(one.sizes))
        law = group.rate(reading, "heldout", t, LAW).estimate
        axis.plot(group.sizes, law, color="k", ls=":", lw=1.2)
        handles.append(Line2D([], [], color="k", ls=":", label="law, held out"))
    for split, line in LINES.items():
        plain: dict[str, Any] = {"color": "k", "ls": line, "marker": "o"}
        plain |= {"mfc": FACES[split] or "k"}
        handles.append(Line2D([], [], **plain, label=WORDS[split]))
        handles.append(Line2D([], [], color=GREY, ls=line, label=f"memorizer, {WORDS[split]}"))
    _size_axis(axis)
    axis.set_ylabel(words)
    legend_below(axis, handles, ncol=4)


def _size_axis(axis: Any) -> None:
    axis.set_xscale("log")
    axis.set_xlabel("training-set size K (sequences)")


def _levels(axis: Any, analysis: ReleasedAnalysis) -> None:
    """Recovery over t at the smallest, a middle and the largest K of the last network."""
    group, levels = analysis.groups[-1], list(analysis.config.levels)
    picks = sorted({0, len(group.sizes) // 2, len(group.sizes) - 1})
    colours = plt.get_cmap("viridis")(np.linspace(0.05, 0.8, len(picks)))
    handles = []
    for k, colour in zip(picks, colours, strict=True):
        for split, line in LINES.items():
            for actor in (MEMORIZER, NETWORK):
                rates = [group.rate(HEADLINE, split, t, actor) for t in levels]
                value = np.array([rate.estimate[k] for rate in rates])
                low, high = np.array([[end[k] for end in rate.ends] for rate in rates]).T
                ends = np.clip(np.nan_to_num([value - low, high - value]), 0, None)
                mine = actor == NETWORK
                style: dict[str, Any] = {"color": colour, "ls": line, "lw": 1.2, "elinewidth": 1}
                face = FACES[split] or colour
                style |= {"marker": "o", "ms": 4.5, "mfc": face} if mine else {"alpha": 0.35}
                axis.errorbar(levels, value, ends, **style)
        handles.append(Line2D([], [], color=colour, lw=3, label=f"K = {group.sizes[k]:,.0f}"))
    handles.append(Line2D([], [], color=GREY, alpha=0.5, label="pale: memorizer"))
    axis.set_ylim(-0.02, 1.03)
    axis.set_xlabel("noise level t")
    axis.set_ylabel("changed tokens restored")
    axis.set_title(f"(b) Token recovery against the noise, {group.label}", loc="left")
    legend_below(axis, handles, ncol=4)


def _orders(axis: Any, analysis: ReleasedAnalysis) -> None:
    """M and G of every network over K."""
    t, handles = analysis.config.headline, []
    for group in analysis.groups:
        colour = _colour(analysis, group)
        handles.append(Line2D([], [], color=colour, lw=3, label=group.label))
        if (HEADLINE, t) not in group.orders:
            continue
        order = group.orders[HEADLINE, t]
        for curve, marker, line in ((order.memory, "o", "-"), (order.generalization, "s", "--")):
            rate = Rate(curve.estimate, curve.replicates, curve.per_seed, curve.method)
            face = colour if marker == "o" else "w"
            _points(axis, group.sizes, rate, color=colour, marker=marker, ls=line, mfc=face)
    for words, marker, line, face in (("M", "o", "-", "k"), ("G", "s", "--", "w")):
        handles.append(Line2D([], [], color="k", marker=marker, ls=line, mfc=face, label=words))
    axis.axhline(0.5, color="0.7", lw=0.8)
    _size_axis(axis)
    axis.set_ylim(-0.55, 1.3)
    axis.set_ylabel("memory fraction M, generalization fraction G")
    axis.set_title(f"(c) How much is memory, how much is law, t = {t:g}", loc="left")
    legend_below(axis, handles, ncol=4)

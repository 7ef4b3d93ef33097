"""The linear denoiser: curves in K / (L (V - 1)), and what is left of theory at finite size."""

from __future__ import annotations

from typing import Any

import numpy as np

from am_theory import linear
from paper import style, tex
from paper.sources import Results
from simulations.linear_curves.analysis import CRITERIA, QUANTITIES, LinearAnalysis
from simulations.linear_curves.config import dimension, train_sizes
from simulations.linear_curves.report import families, finite_size

RUNS = ("linear",)
RATIO = r"$x=K/(L(V-1))$"
HALF = CRITERIA["corrupted_recovery"][0]
SPLITS: tuple[tuple[Any, str], ...] = (("train", "-"), ("test", "--"))


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption."""
    analysis = results.open("linear").analysis
    figure, axes = style.figure(3, 2, 7.3)
    _collapse(axes[0, 0], analysis)
    _recovery(axes[0, 1], analysis)
    _deviation(axes[1, 0], analysis)
    _crossings(axes[1, 1], analysis)
    _draws(axes[2, 0], analysis)
    _flow(axes[2, 1], analysis)
    words = ["errors at several $L$", "corrupted tokens restored", "deviation of errors"]
    words += ["$K/d$ at one half", "few noise draws, test error", "training for a finite time"]
    style.titles(axes.flat, words)
    style.below(figure, _handles(analysis), 4)
    return figure, _caption(analysis)


def _looks(analysis: LinearAnalysis) -> list[dict[str, Any]]:
    pairs = zip(style.COLOURS, style.MARKERS, strict=True)
    found = [{"color": colour, "marker": marker} for colour, marker in pairs]
    return found[: len(families(analysis.config))]


def _ratios(analysis: LinearAnalysis, index: int) -> Any:
    case = analysis.config.cases[index]
    return np.array(train_sizes(case, analysis.config.ratios)) / dimension(case)


def _grid(analysis: LinearAnalysis) -> Any:
    return np.geomspace(analysis.config.ratios[0], analysis.config.ratios[-1], 200)


def _column(part: Any, measure: str, split: str) -> Any:
    k = QUANTITIES.index((measure, split))
    return part.estimate[:, k], part.low[:, k], part.high[:, k]


def _face(look: dict[str, Any], split: str) -> Any:
    return look["color"] if split == "train" else "white"


def _collapse(axis: Any, analysis: LinearAnalysis) -> None:
    """The family with most lengths: all of them fall on one curve."""
    (vocab_size, alpha), members = _longest(analysis)
    x, case = _grid(analysis), analysis.config.cases[members[-1]]
    errors = linear.errors(np.maximum(x * dimension(case), 1), case[1], vocab_size, alpha)
    for curve, (_, line) in zip((errors.train, errors.heldout), SPLITS, strict=True):
        axis.plot(x, curve, color=style.GREY, ls=line)
    shades = style.shades(len(members))
    for index, colour, marker in zip(members, shades, style.MARKERS, strict=False):
        look = {"color": colour, "marker": marker}
        for split, _ in SPLITS:
            part = _column(analysis.curves[index], "error", split)
            style.points(axis, _ratios(analysis, index), *part, mfc=_face(look, split), **look)
        axis.plot([], [], ls="", label=f"$L={analysis.config.cases[index][1]}$", **look)
    axis.axhline(1 - alpha**2, color="k", lw=0.7, ls=":")
    style.log_ticks(axis, "x")
    axis.set_xlabel(RATIO)
    axis.set_ylabel("squared error per dimension")
    axis.legend(loc="upper right")


def _longest(analysis: LinearAnalysis) -> tuple[tuple[int, float], list[int]]:
    found: tuple[tuple[int, float], list[int]] = max(
        families(analysis.config), key=lambda family: len(family[1])
    )
    return found


def _recovery(axis: Any, analysis: LinearAnalysis) -> None:
    """Corrupted tokens, at the longest sequences of each V and alpha."""
    x = _grid(analysis)
    for (_, members), look in zip(families(analysis.config), _looks(analysis), strict=True):
        index = max(members, key=lambda i: analysis.config.cases[i][1])
        vocab_size, seq_len, alpha = case = analysis.config.cases[index]
        sizes = np.maximum(x * dimension(case), 1)
        for split, line in SPLITS:
            curve = linear.token_recovery(
                sizes, seq_len, vocab_size, alpha, tokens="corrupted", split=split
            )
            axis.plot(x, curve, color=look["color"], ls=line)
            part = _column(analysis.curves[index], "corrupted", split)
            style.points(axis, _ratios(analysis, index), *part, mfc=_face(look, split), **look)
    axis.axhline(0.5, color="k", lw=0.7, ls=":")
    style.log_ticks(axis, "x")
    axis.set_ylim(-0.03, 1.03)
    axis.set_xlabel(RATIO)
    axis.set_ylabel("share restored")


def _deviation(axis: Any, analysis: LinearAnalysis) -> None:
    """Root mean square of simulation less theory against d, and what sampling alone would give."""
    most = 0.0
    for (_, members), look in zip(families(analysis.config), _looks(analysis), strict=True):
        rows = sorted(
            (finite_size(analysis, index) for index in members), key=lambda row: row.dimension
        )
        d = np.array([row.dimension for row in rows], float)
        deviation = np.array([row.deviation["error"] for row in rows])
        axis.plot(d, deviation, lw=0.9, **look)
        axis.plot(d, [row.error["error"] for row in rows], color=look["color"], lw=0.9, ls=":")
        most = max(most, float((deviation * d).max()))
    sizes = [dimension(case) for case in analysis.config.cases]
    ends = np.array([min(sizes), max(sizes)], float)
    axis.plot(ends, 1.3 * most / ends, color="k", lw=0.9, ls="--")
    style.log_ticks(axis, "y")
    style.log_ticks(axis, "x")
    axis.set_xlabel("dimensions $d=L(V-1)$")
    axis.set_ylabel("rms deviation")


def _crossings(axis: Any, analysis: LinearAnalysis) -> None:
    """K / d at which half of the corrupted training tokens are restored, over 1 / d."""
    for (_, members), look in zip(families(analysis.config), _looks(analysis), strict=True):
        found = [(index, _crossing(analysis, index)) for index in members]
        inverse = [1 / dimension(analysis.config.cases[index]) for index, _ in found]
        part = np.array([(c.simulated, c.low, c.high) for _, c in found]).T
        part = np.where(np.isfinite(part), part, np.nan)
        style.points(axis, inverse, *part, **look)
        exact = found[0][1].exact
        axis.plot([0, max(inverse)], [exact] * 2, color=look["color"], lw=0.9)
    axis.set_xlim(left=0)
    axis.set_xlabel("$1/d$")
    axis.set_ylabel("$K/d$ at half recovery")


def _crossing(analysis: LinearAnalysis, index: int) -> Any:
    return next(c for c in analysis.crossings[index] if c.what == HALF)


def _draws(axis: Any, analysis: LinearAnalysis) -> None:
    """Test error of fits to one draw of the noise, with its theory; to more draws, without."""
    config = analysis.config
    vocab_size, seq_len, alpha = case = config.draws_case
    d = dimension(case)
    at = np.array(train_sizes(case, config.draws_ratios)) / d
    x = np.geomspace(at[0], at[-1], 400)
    for k, (ridge, look) in enumerate(zip(config.ridges, _ridges(), strict=False)):
        sizes = np.maximum(x * d, 1)
        theory = linear.one_draw_errors(sizes, seq_len, vocab_size, alpha, ridge).heldout
        axis.plot(x, theory, color=look["color"], ls=look["ls"])
        part = [table[k, :, 1] for table in _ends(analysis.draws)]
        point = {"color": look["color"], "marker": look["marker"]}
        style.points(axis, at, *part, label=f"1 draw, ridge {ridge:g}", **point)
    least = analysis.data.isel(ridge=int(np.argmin(config.ridges)))
    more = zip([n for n in config.draws if n > 1] + [0], style.MARKERS[2:], strict=False)
    for count, marker in more:
        mean = least["test"].sel(draws=count).mean("seed").values
        words = f"{count} draws" if count else "all noise"
        look = {"color": style.GREY, "marker": marker, "mfc": "w", "lw": 0.6, "label": words}
        axis.plot(at, mean, **look)
    axis.axvline(1, color="k", lw=0.7, ls=":")
    axis.set_ylim(top=3 * axis.get_ylim()[1])
    style.log_ticks(axis, "y", [1, 2, 4, 8])
    style.log_ticks(axis, "x")
    axis.set_xlabel(RATIO)
    axis.set_ylabel("squared error per dimension")
    axis.legend(loc="upper right", fontsize=7.5)


def _ridges() -> list[dict[str, Any]]:
    return [
        {"color": style.BLUE, "marker": "o", "ls": "-"},
        {"color": style.VERMILION, "marker": "s", "ls": "--"},
        {"color": style.GREEN, "marker": "D", "ls": "-."},
    ]


def _ends(part: Any) -> tuple[Any, Any, Any]:
    return part.estimate, part.low, part.high


def _flow(axis: Any, analysis: LinearAnalysis) -> None:
    """Errors over training time by gradient flow."""
    config = analysis.config
    vocab_size, seq_len, alpha = config.flow_case
    tau = np.geomspace(config.times[0], config.times[-1], 200)
    shades = style.shades(len(config.flow_sizes))
    for k, (size, colour) in enumerate(zip(config.flow_sizes, shades, strict=True)):
        look = {"color": colour, "marker": style.MARKERS[k]}
        theory = linear.training_errors(size, seq_len, vocab_size, alpha, tau)
        for j, (curve, (split, line)) in enumerate(
            zip((theory.train, theory.heldout), SPLITS, strict=True)
        ):
            axis.plot(tau, curve, color=colour, ls=line)
            part = [table[k, :-1, j] for table in _ends(analysis.flow)]
            style.points(axis, config.times, *part, mfc=_face(look, split), **look)
        axis.plot([], [], ls="", label=f"$K={size}$", **look)
    style.log_ticks(axis, "x")
    axis.set_xlabel(r"training time $\tau$")
    axis.set_ylabel("squared error per dimension")
    axis.legend(loc="best")


def _handles(analysis: LinearAnalysis) -> list[Any]:
    grey: dict[str, Any] = {"color": style.GREY}
    found = [
        style.handle(ls="", label=rf"$V={vocab_size}$, $\alpha={alpha:g}$", **look)
        for ((vocab_size, alpha), _), look in zip(
            families(analysis.config), _looks(analysis), strict=True
        )
    ]
    return [
        *found,
        style.handle(marker="o", label="training sequences", **grey),
        style.handle(marker="o", mfc="w", ls="--", label="unseen sequences", **grey),
        style.handle(color="k", ls="--", label="slope of $1/d$ (c)"),
        style.handle(ls=":", label="sampling alone (c)", **grey),
    ]


def _problem(case: tuple[int, int, float]) -> str:
    vocab_size, seq_len, alpha = case
    return rf"$V={vocab_size}$, $L={seq_len}$, $\alpha={alpha:g}$"


def _caption(analysis: LinearAnalysis) -> str:
    config = analysis.config
    (vocab_size, alpha), members = _longest(analysis)
    ends = sorted(members, key=lambda i: dimension(config.cases[i]))
    sizes = "; ".join(
        f"{tex.interval(c.simulated, c.low, c.high)} at $d={dimension(config.cases[i])}$"
        for i in (ends[0], ends[-1])
        for c in (_crossing(analysis, i),)
    )
    exact = _crossing(analysis, ends[0]).exact
    return "\n".join(
        [
            r"\textbf{The linear denoiser, a transition that is solved.} "
            "Independent uniform tokens; "
            f"{tex.counted(config.seeds, 'training set')} a point, {config.queries:,} corrupted "
            "sequences of each split and set; markers: means with "
            rf"95\,\% intervals over training sets ({config.replicates:,} replicates), mostly "
            "smaller than the marker; lines: theory for infinitely many dimensions, no free "
            "parameter.",
            rf"(a) $V={vocab_size}$, $\alpha={alpha:g}$; dotted: $1-\alpha^2$, where both errors "
            "meet. (b) The longest sequences of each $V$ and $\\alpha$. (c) Root mean square over "
            "$x$ and split of simulation less theory.",
            f"(d) At $V={vocab_size}$, $\\alpha={alpha:g}$: {sizes}; theory (lines) "
            f"{tex.number(exact)}. (e) {_problem(config.draws_case)}; grey: smallest ridge, no "
            f"theory. (f) {_problem(config.flow_case)}.",
        ]
    )

"""The report of the linear denoiser's curves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from simulations.linear_curves.analysis import (
    MEASURES,
    NAMES,
    QUANTITIES,
    LinearAnalysis,
    rows,
)
from simulations.linear_curves.config import Case, LinearConfig, dimension, train_sizes
from simulations.measure.checks import MAX_Z, Row
from simulations.measure.tables import check_table, markdown, number, spread
from simulations.results.report import Report

SIZE_RANGES = (1, 20, 50, 100, 200, 500, np.inf)


@dataclass(frozen=True)
class FiniteSize:
    """Deviations of one case, root mean square over points and split, by measure; `error` is
    what their standard errors alone would give."""

    dimension: int
    deviation: dict[str, float]
    error: dict[str, float]


def families(config: LinearConfig) -> list[tuple[tuple[int, float], list[int]]]:
    """Cases of one V and alpha, by their numbers: curves that theory puts on one another."""
    found: dict[tuple[int, float], list[int]] = {}
    for index, (vocab_size, _, alpha) in enumerate(config.cases):
        found.setdefault((vocab_size, alpha), []).append(index)
    return list(found.items())


def finite_size(analysis: LinearAnalysis, index: int) -> FiniteSize:
    part = analysis.curves[index]
    columns = {m: [k for k, (name, _) in enumerate(QUANTITIES) if name == m] for m in MEASURES}

    def rms(table: Any) -> dict[str, float]:
        return {m: float(np.sqrt(np.nanmean(table[:, k] ** 2))) for m, k in columns.items()}

    case = analysis.config.cases[index]
    return FiniteSize(dimension(case), rms(part.deviation), rms(part.error))


def label(case: Case) -> str:
    """A case in the words of tables and titles."""
    vocab_size, seq_len, alpha = case
    return f"V = {vocab_size}, L = {seq_len}, α = {alpha:g}"


def _deviation_lines(analysis: LinearAnalysis) -> list[str]:
    config, table = analysis.config, []
    for case, part in zip(config.cases, analysis.curves, strict=True):
        cells = [
            f"{part.deviation[i, k]:+.4f} ± {part.error[i, k]:.4f} (x = {config.ratios[i]:g})"
            for k, i in enumerate(np.nanargmax(np.abs(part.deviation), axis=0))
        ]
        table.append([label(case), str(dimension(case)), *cells])
    header = ["case", "d", *(f"{NAMES[measure]}, {split}" for measure, split in QUANTITIES)]
    text = (
        "± one standard error over training sets; in brackets the point. The theory holds for "
        "K and d to infinity, so these are corrections of finite size, of order 1 / d and 1 / K, "
        "not errors of either side: the next table shows them falling."
    )
    title = "## Largest deviation of each curve, simulation - theory"
    return [title, "", text, "", *markdown(header, table)]


def _finite_size_lines(analysis: LinearAnalysis) -> list[str]:
    table = []
    for index in (index for _, members in families(analysis.config) for index in members):
        found = finite_size(analysis, index)
        row = [label(analysis.config.cases[index]), str(found.dimension)]
        row += [f"{found.deviation[m]:.4f} ({found.error[m]:.4f})" for m in MEASURES]
        table.append([*row, f"{found.dimension * found.deviation['error']:.2f}"])
    header = ["case", "d", *(NAMES[m] for m in MEASURES), "d x deviation of the error"]
    text = (
        "Root mean square of simulation - theory over points and splits; in brackets that of the "
        "standard errors, below which no deviation can be seen. The last column is constant for "
        "corrections of order 1 / d."
    )
    return ["## Finite size", "", text, "", *markdown(header, table)]


def _crossing_lines(analysis: LinearAnalysis) -> list[str]:
    table = [
        [
            label(case),
            found.what,
            f"{number(found.simulated)} {spread(found.low, found.high)}",
            number(found.on_grid),
            number(found.exact),
        ]
        for case, crossings in zip(analysis.config.cases, analysis.crossings, strict=True)
        for found in crossings
    ]
    header = ["case", "train and test have met where", "x simulated", "x theory, same grid"]
    header += ["x theory, exact"]
    text = (
        "x = K / (L (V - 1)) of the last passage, interpolated in log K between the points, with "
        "its 95 % interval; the theory read off in the same way, and exactly. A dash: not on the "
        "grid."
    )
    return ["## Where the transition is", "", text, "", *markdown(header, table)]


def by_size(analysis: LinearAnalysis) -> list[tuple[str, list[tuple[float, float, str]]]]:
    """Largest deviation, its standard error and its place by measure, in ranges of K."""
    config, found = analysis.config, []
    points = [
        (k, m, part.deviation[i, j], part.error[i, j], f"{split}, {label(case)}, K = {k}")
        for case, part in zip(config.cases, analysis.curves, strict=True)
        for i, k in enumerate(train_sizes(case, config.ratios))
        for j, (m, split) in enumerate(QUANTITIES)
    ]
    for low, high in pairwise(SIZE_RANGES):
        mine = [point for point in points if low <= point[0] < high]
        if mine:
            parts = [[point[2:] for point in mine if point[1] == m] for m in MEASURES]
            best = [max(part, key=lambda point: abs(point[0])) for part in parts]
            found.append((f"{low} to {high - 1:g}" if high < np.inf else f"from {low}", best))
    return found


def _size_lines(analysis: LinearAnalysis) -> list[str]:
    table = [
        [words, *(f"{v:+.4f} ± {e:.4f} ({place})" for v, e, place in best)]
        for words, best in by_size(analysis)
    ]
    header = ["K", *(NAMES[m] for m in MEASURES)]
    return ["## Largest deviation by K", "", *markdown(header, table)]


def _worst_lines(found: list[Row]) -> list[str]:
    """Rows of noise draws and of time: how many agree, and the largest deviation."""
    lines = []
    for starts, ends in product(("one draw", "training time"), ("train", "test", "seen noise")):
        mine = [row for row in found if row.what.startswith(starts) and row.what.endswith(ends)]
        if not mine:
            continue
        worst = max(mine, key=lambda row: abs(row.simulated - row.predicted) / row.predicted)
        gap = worst.simulated - worst.predicted
        agreed = sum(row.verdict == "agree" for row in mine)
        lines.append(
            f"- {starts}, {ends}: {agreed} of {len(mine)} points have the theory inside their 95 % "
            f"interval; largest relative deviation {100 * gap / worst.predicted:+.1f} % "
            f"({gap:+.4f}, interval {spread(worst.low, worst.high, 4)}) at {worst.what}."
        )
    return lines


def _definitions(config: LinearConfig) -> list[str]:
    return [
        "## What is measured",
        "",
        "- Source: independent uniform tokens. A token is kept with probability α, else redrawn "
        "uniformly. Tokens are encoded one-hot, centred, with unit variance in d = L (V - 1) "
        "dimensions.",
        "- Denoiser: the matrix W that minimises the squared error over K training sequences and "
        "all their noise (last two panels: over drawn noise; by gradient flow for a time). Its "
        "largest entry of a site is the token.",
        "- Error: mean of |u - W u_t|² / d over fresh noise, by formula; `train` over the stored "
        "sequences, `test` over all sequences of the source.",
        f"- Recovery: share of all tokens right, or of the corrupted ones restored; "
        f"{config.queries} corrupted sequences for each split and training set (stored ones "
        "repeat at small K).",
        f"- Every point has {config.seeds} independent training sets; they alone are resampled "
        f"({config.replicates} bootstrap replicates, 95 % intervals).",
        "",
    ]


def report(analysis: LinearAnalysis) -> Report:
    """What the study tells."""
    config, found = analysis.config, rows(analysis)
    sizes = {label(case): finite_size(analysis, k) for k, case in enumerate(config.cases)}
    crossings = zip(sizes, analysis.crossings, strict=True)
    summary = {
        "finite_size": {name: asdict(size) for name, size in sizes.items()},
        "crossings": {name: [asdict(c) for c in part] for name, part in crossings},
        "theory_against_simulation": [asdict(row) for row in found],
    }
    lines = [
        *_definitions(config),
        *_deviation_lines(analysis),
        *_size_lines(analysis),
        *_finite_size_lines(analysis),
        *_crossing_lines(analysis),
        "## Drawn noise and training time",
        "",
        *_worst_lines(found),
        "",
        "## Exact at every size",
        "",
        f"`--check` ends with status 1 beyond {MAX_Z:g} standard errors (without spread: 1e-12). "
        "A bound that is kept shows the simulated number itself as the exact one.",
        "",
        *check_table(analysis.checks),
    ]
    closing = [
        f"{name}: "
        + ", ".join(f"{NAMES[m]} {size.deviation[m]:.4f} ({size.error[m]:.4f})" for m in MEASURES)
        for name, size in sizes.items()
    ]
    closing.append("(root mean square of simulation - theory, in brackets of standard errors)")
    return Report("The linear denoiser", lines, summary, closing, analysis.checks)

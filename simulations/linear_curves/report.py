"""summary.json, report.md and the closing lines of the linear denoiser's curves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from simulations.linear_curves.analysis import (
    MEASURES,
    NAMES,
    QUANTITIES,
    LinearAnalysis,
    Measured,
    rows,
)
from simulations.linear_curves.config import LinearConfig, dimension, train_sizes
from simulations.measure.checks import MAX_Z, Row
from simulations.measure.tables import check_table, markdown, number, spread, to_json
from simulations.results.files import write_text
from simulations.results.provenance import provenance
from simulations.sweep.run import SweepOutcome

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


def largest(part: Measured, where: Any) -> tuple[float, float, int]:
    """Largest deviation of a column, its standard error and the point it is at."""
    deviation = part.deviation[where]
    k = int(np.nanargmax(np.abs(deviation)))
    return float(deviation[k]), float(part.error[where][k]), k


def _label(config: LinearConfig, index: int) -> str:
    vocab_size, seq_len, alpha = config.cases[index]
    return f"V = {vocab_size}, L = {seq_len}, α = {alpha:g}"


def _deviation_lines(analysis: LinearAnalysis) -> list[str]:
    config = analysis.config
    names = [f"{NAMES[measure]}, {split}" for measure, split in QUANTITIES]
    table = []
    for index, part in enumerate(analysis.curves):
        row = [_label(config, index), str(dimension(config.cases[index]))]
        for k in range(len(QUANTITIES)):
            value, error, place = largest(part, np.s_[:, k])
            row.append(f"{value:+.4f} ± {error:.4f} (x = {config.ratios[place]:g})")
        table.append(row)
    return [
        "## Largest deviation of each curve, simulation - theory",
        "",
        "± one standard error over training sets; in brackets the point. The theory holds for "
        "K and d to infinity, so these are corrections of finite size, of order 1 / d and 1 / K, "
        "not errors of either side: the next table shows them falling.",
        "",
        *markdown(["case", "d", *names], table),
    ]


def _finite_size_lines(analysis: LinearAnalysis) -> list[str]:
    table = []
    for _, members in families(analysis.config):
        for index in members:
            found = finite_size(analysis, index)
            row = [_label(analysis.config, index), str(found.dimension)]
            for measure in MEASURES:
                value, error = found.deviation[measure], found.error[measure]
                row.append(f"{value:.4f} ({error:.4f})")
            table.append([*row, f"{found.dimension * found.deviation['error']:.2f}"])
    header = ["case", "d", *(NAMES[m] for m in MEASURES), "d x deviation of the error"]
    return [
        "## Finite size",
        "",
        "Root mean square of simulation - theory over points and splits; in brackets that of the "
        "standard errors, below which no deviation can be seen. The last column is constant for "
        "corrections of order 1 / d.",
        "",
        *markdown(header, table),
    ]


def _crossing_lines(analysis: LinearAnalysis) -> list[str]:
    table = []
    for index, crossings in enumerate(analysis.crossings):
        for found in crossings:
            ends = spread(found.low, found.high)
            table.append(
                [
                    _label(analysis.config, index),
                    found.what,
                    f"{number(found.simulated)} {ends}",
                    number(found.on_grid),
                    number(found.exact),
                ]
            )
    header = ["case", "train and test have met where", "x simulated", "x theory, same grid"]
    return [
        "## Where the transition is",
        "",
        "x = K / (L (V - 1)) of the last passage, interpolated in log K between the points, with "
        "its 95 % interval; the theory read off in the same way, and exactly. A dash: not on the "
        "grid.",
        "",
        *markdown([*header, "x theory, exact"], table),
    ]


def by_size(analysis: LinearAnalysis) -> list[tuple[str, list[tuple[float, float, str]]]]:
    """Largest deviation, its standard error and its place by measure, in ranges of K."""
    config, found = analysis.config, []
    for low, high in pairwise(SIZE_RANGES):
        best = [(0.0, 0.0, "–")] * len(MEASURES)
        for index, part in enumerate(analysis.curves):
            for i, size in enumerate(train_sizes(config.cases[index], config.ratios)):
                if not low <= size < high:
                    continue
                for j, (measure, split) in enumerate(QUANTITIES):
                    value, m = float(part.deviation[i, j]), MEASURES.index(measure)
                    if abs(value) > abs(best[m][0]):
                        place = f"{split}, {_label(config, index)}, K = {size}"
                        best[m] = (value, float(part.error[i, j]), place)
        if any(place != "–" for _, _, place in best):
            found.append((f"{low} to {high - 1:g}" if high < np.inf else f"from {low}", best))
    return found


def _size_lines(analysis: LinearAnalysis) -> list[str]:
    table = [
        [words, *(f"{v:+.4f} ± {e:.4f} ({place})" for v, e, place in best)]
        for words, best in by_size(analysis)
    ]
    return [
        "## Largest deviation by K",
        "",
        *markdown(["K", *(NAMES[m] for m in MEASURES)], table),
    ]


def _worst_rows(found: list[Row], starts: str, ends: str) -> list[str]:
    """One line on the rows of such names: how many agree, and the largest deviation."""
    mine = [row for row in found if row.what.startswith(starts) and row.what.endswith(ends)]
    if not mine:
        return []
    worst = max(mine, key=lambda row: abs(row.simulated - row.predicted) / row.predicted)
    gap = worst.simulated - worst.predicted
    agreed = sum(row.verdict == "agree" for row in mine)
    return [
        f"- {starts}, {ends}: {agreed} of {len(mine)} points have the theory inside their 95 % "
        f"interval; largest relative deviation {100 * gap / worst.predicted:+.1f} % ({gap:+.4f}, "
        f"interval {spread(worst.low, worst.high, 4)}) at {worst.what}."
    ]


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


def write_report(
    analysis: LinearAnalysis, out: Path, preset: str, wall_time: float, outcome: SweepOutcome
) -> None:
    """Write summary.json and report.md to `out`."""
    config, found = analysis.config, rows(analysis)
    broken = [check.name for check in analysis.checks if not check.agrees]
    summary = {
        "configuration": config.as_dict(),
        "provenance": provenance(),
        "wall_time_s": wall_time,
        "peak_rss_mb_of_a_worker": outcome.peak_rss_mb,
        "finite_size": {
            _label(config, index): asdict(finite_size(analysis, index))
            for index in range(len(config.cases))
        },
        "crossings": {
            _label(config, index): [asdict(c) for c in crossings]
            for index, crossings in enumerate(analysis.crossings)
        },
        "theory_against_simulation": [asdict(row) for row in found],
        "exact_checks": [{**asdict(c), "z": c.z, "agrees": c.agrees} for c in analysis.checks],
        "exact_failures": broken,
    }
    write_text(to_json(summary), out / "summary.json")
    lines = [
        f"# The linear denoiser, preset `{preset}`",
        "",
        "![figure](linear_curves.png)",
        "",
        *_definitions(config),
        *_deviation_lines(analysis),
        *_size_lines(analysis),
        *_finite_size_lines(analysis),
        *_crossing_lines(analysis),
        "## Drawn noise and training time",
        "",
        *_worst_rows(found, "one draw", "test"),
        *_worst_rows(found, "one draw", "seen noise"),
        *_worst_rows(found, "training time", "train"),
        *_worst_rows(found, "training time", "test"),
        "",
        "## Exact at every size",
        "",
        f"`--check` ends with status 1 beyond {MAX_Z:g} standard errors (without spread: 1e-12). "
        "A bound that is kept shows the simulated number itself as the exact one.",
        "",
        *check_table(analysis.checks),
        "## Provenance",
        "",
        *(f"- {key}: {value}" for key, value in provenance().items()),
        f"- wall time of this call: {wall_time:.0f} s; largest memory of a worker: "
        f"{outcome.peak_rss_mb:.0f} MB",
        "",
    ]
    write_text("\n".join(lines), out / "report.md")


def print_findings(analysis: LinearAnalysis, console: Console) -> None:
    """The closing lines on the terminal."""
    for index in range(len(analysis.config.cases)):
        found = finite_size(analysis, index)
        words = ", ".join(
            f"{NAMES[m]} {found.deviation[m]:.4f} ({found.error[m]:.4f})" for m in MEASURES
        )
        console.print(f"{_label(analysis.config, index)}: {words}", highlight=False)
    console.print("(root mean square of simulation - theory, in brackets of standard errors)")
    worst = max(abs(check.z) for check in analysis.checks)
    console.print(
        f"Exact predictions: {len(analysis.checks)} comparisons, largest |z| {worst:.2f}.",
        highlight=False,
    )
    for check in analysis.checks:
        if not check.agrees:
            console.print(f"  [red]deviates[/red] {check.name}: z = {check.z:.1f}")

"""The report of the scaling laws; laws.csv holds every law."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from dataclasses import asdict, astuple, fields
from typing import Any

import numpy as np
from rich.text import Text

from simulations.measure.checks import NOT_DECIDABLE, NOT_SUPPORTED, SUPPORTED
from simulations.measure.tables import markdown, number, row_table, spread
from simulations.results.report import Report
from simulations.scaling.analysis import Capacity, ScalingAnalysis
from simulations.scaling.config import START_LEVEL, draws_conditions
from simulations.scaling.hypothesis import Law
from simulations.scaling.sizes import (
    DEFINITIONS,
    SIZES,
    Measured,
    SizeName,
    log_interval,
    peak_by_seed,
    size_by_seed,
    student_interval,
)

DEFINED = [f"{words}: {DEFINITIONS[name]}" for name, words in SIZES.items()]


def _number(value: float) -> str:
    return "negative" if value == -math.inf else number(value, 2)


def _estimate(value: float, low: float, high: float, digits: int = 3) -> str:
    return f"{number(value, digits)} {spread(low, high, digits)}"


def _sequences(middle: float, low: float, high: float) -> str:
    return f"{middle:,.0f} [{low:,.0f}, {high:,.0f}]" if math.isfinite(middle) else "–"


def _size(values: Any) -> str:
    """A size with its interval over seeds; where seeds are censored, how many and on which side."""
    interval = log_interval(values)
    if math.isfinite(interval[0]):
        return _sequences(*interval)
    counts = {
        "above the grid": np.isposinf(values).sum(),
        "below the grid": np.isneginf(values).sum(),
        "undefined": np.isnan(values).sum(),
    }
    shown = [f"{count} {words}" for words, count in counts.items() if count]
    return f"– ({', '.join(shown)}, of {len(values)} seeds)"


def law_table(laws: list[Law]) -> list[str]:
    """The verdicts as a Markdown table."""
    header = ["law", "measured", "by the law", "if it has no hold", "estimate", "points", "verdict"]
    rows = [
        [
            law.statement,
            law.quantity,
            _number(law.predicted),
            _number(law.rival),
            _estimate(law.estimate, law.low, law.high, 2),
            str(law.points),
            f"**{law.verdict}**",
        ]
        for law in laws
    ]
    return markdown(header, rows)


EXPONENTS: tuple[SizeName, ...] = ("memory", "generalization", "recovery", "entropy", "learned")


def _exponent(laws: list[Law], name: SizeName) -> str:
    """The slope of one size among the laws of a statement, over all that was varied."""
    for law in laws:
        part = "first two" in law.quantity or "last two" in law.quantity
        if law.quantity.startswith(f"slope of log {SIZES[name]} ") and not part:
            known = math.isfinite(law.estimate)
            return _estimate(law.estimate, law.low, law.high, 2) if known else "–"
    return ""


def exponent_table(laws: list[Law]) -> list[str]:
    """The slope of every size in every statement that K_M or K_G is read for, side by side; empty
    where a statement is not read by a size."""
    rows, header = [], ["law", "by the law", *(SIZES[name] for name in EXPONENTS)]
    for statement in dict.fromkeys(law.statement for law in laws):
        mine = [law for law in laws if law.statement == statement]
        found = [_exponent(mine, name) for name in EXPONENTS]
        if any(found[:2]):
            rows.append([statement, _number(mine[0].predicted), *found])
    read = [k for k in range(len(header)) if any(row[k] for row in rows)]
    return markdown([header[k] for k in read], [[row[k] for k in read] for row in rows])


def _law_lines(analysis: ScalingAnalysis) -> list[str]:
    lines = ["## All verdicts", ""]
    for group in dict.fromkeys(law.group for law in analysis.laws):
        mine = [law for law in analysis.laws if law.group == group]
        lines += [f"### {group[0].upper()}{group[1:]}", "", *law_table(mine)]
        wanted = dict.fromkeys(law.decide for law in mine)
        lines += ["What would decide or extend it: " + "; ".join(wanted) + ".", ""]
    return lines


def _size_lines(parts: list[Measured]) -> list[str]:
    header = ["condition", "parameters", *SIZES.values()]
    rows = [
        [
            part.condition.name,
            f"{part.n_parameters:,}",
            *(_size(size_by_seed(part, name)) for name in SIZES),
        ]
        for part in parts
    ]
    text = "Geometric mean over seeds, Student's 95 % interval."
    return ["## Transition sizes K*, training sequences", "", text, "", *markdown(header, rows)]


def _capacity_row(source: str, found: Capacity) -> list[str]:
    part, middle = found.measured, found.half[0]
    return [
        source,
        f"{part.n_parameters:,}",
        _estimate(found.bits, found.low, found.high),
        f"{found.at:,.0f}" + (" (end of the grid)" if found.at == part.train_sizes[-1] else ""),
        _sequences(*found.half),
        f"{found.nominal:,.0f}",
        f"{middle / found.nominal:.3f}" if math.isfinite(middle) else "–",
    ]


def _capacity_lines(analysis: ScalingAnalysis) -> list[str]:
    header = ["source", "parameters", "bits a parameter", "at K", "K_half (recovery)"]
    header += ["K_cap at 3.6 bits", "K_half / K_cap"]
    capacities = analysis.capacities.items()
    rows = [_capacity_row(source, found) for source, family in capacities for found in family]
    text = (
        "Largest K (H - code length of training sequences) over the grid, a lower bound of what "
        f"the network holds of its training set. Code length: NELBO with t_0 = {START_LEVEL:g}, "
        "diffusion, reconstruction and prior. 3.6 bits a parameter is the figure of Morris et al. "
        "2025 (arXiv:2505.24832) for GPT-like transformers, not for these networks."
    )
    return ["## Capacity", "", text, "", *markdown(header, rows)]


def _collapse_lines(analysis: ScalingAnalysis) -> list[str]:
    rows = []
    for source, found in analysis.collapses.items():
        columns = np.array([astuple(one) for one in found]).T
        rows.append([source, *(_estimate(*student_interval(column)) for column in columns)])
    header = ["source", "eta", "residual at eta", "residual without scaling", "residual at eta = 1"]
    text = (
        "Gap of corrupted recovery (ancestral) over its value at the smallest K, all networks of a "
        "source on one falling spline of K / N^eta; root mean square distance, each seed by itself."
    )
    return ["## Finite-size collapse", "", text, "", *markdown(header, rows)]


def _peak_lines(analysis: ScalingAnalysis) -> list[str]:
    if not analysis.config.draws:
        return []
    rows = []
    for part in analysis.of(draws_conditions(analysis.config)):
        (places, heights), draws = peak_by_seed(part), part.condition.draws
        row = [str(draws) if draws else "fresh in every step", _size(places)]
        row.append(_size(places * draws) if draws else "–")
        rows.append([*row, _estimate(*student_interval(heights), 1)])
    header = ["draws n", "K_peak", "n K_peak", "height, nats a sequence"]
    text = (
        "Peak of the held-out code length (log-perplexity) over K: the inner point that stands "
        "highest above the lowest one at smaller K, refined by a parabola; its height above that."
    )
    return ["## Perplexity peak", "", text, "", *markdown(header, rows)]


def report(analysis: ScalingAnalysis) -> Report:
    """What the study tells."""
    config, laws = analysis.config, analysis.laws
    headlines = [law for law in laws if law.headline]
    parts, capacities = analysis.parts.values(), analysis.capacities.items()
    summary = {
        "laws": [asdict(law) for law in laws],
        "sizes_by_seed": {
            part.condition.name: {name: size_by_seed(part, name) for name in SIZES}
            for part in parts
        },
        "bits_per_parameter": {source: [_bits(c) for c in found] for source, found in capacities},
        "collapse": {k: [asdict(c) for c in v] for k, v in analysis.collapses.items()},
        "linear": [asdict(row) for row in analysis.rows],
    }
    counts = Counter(law.verdict for law in laws)
    lines = [
        "Where memory is lost, K_M, and where the law is found, K_G, with the exponents of what "
        "moves them; beside them K_half, by the gap of the same recovery, and K_H, by entropy. "
        "Defined below.",
        "",
        *exponent_table(laws),
        '–: the size of some seed is off the grid of K or undefined, see "Transition sizes".',
        "",
        f"{len(laws)} statements: {', '.join(f'{n} {verdict}' for verdict, n in counts.items())}.",
        "",
        "## In short",
        "",
        f"Slopes are fitted to each of {config.seeds} seeds (own data, own initialization; "
        f"{config.linear_sets} training sets for the linear denoiser) and averaged; in brackets "
        "Student's 95 % interval over seeds. *Supported*: the interval holds the law's value and "
        "not its rival's. *Not supported*: it excludes the law's value. *Not decidable at this "
        "size*: it holds both, or some seed's transition is off the grid of K. A verdict speaks of "
        "the sizes measured here.",
        "",
        *law_table(headlines),
        f"K* stands for any of these, in training sequences. {'; '.join(DEFINED)}. K_M and K_G are "
        "undefined where the two exact ends come within two standard errors of each other before "
        "the passage. On iid sequences the law restores less of held-out inputs than the "
        "memorizer: it leaves most tokens as they are, while any stored sequence hits one in V. "
        "K_G says there when a network has found out that there is nothing to find.",
        "",
        *_capacity_lines(analysis),
        *_collapse_lines(analysis),
        *_peak_lines(analysis),
        *_size_lines(list(parts)),
        "## The linear denoiser against its closed form",
        "",
        "The closed form holds for L (V - 1) to infinity; deviations fall as its inverse.",
        "",
        *row_table(analysis.rows, "corrupted train recovery 1/2"),
        *_law_lines(analysis),
    ]
    closing = [_closing_line(law) for law in headlines]
    files = {"laws.csv": law_csv(laws)}
    return Report("Laws of the transition", lines, summary, closing, files=files)


def _bits(found: Capacity) -> dict[str, float]:
    ends = {"bits": found.bits, "low": found.low, "high": found.high}
    return {"parameters": found.measured.n_parameters, **ends}


def law_csv(laws: list[Law]) -> str:
    """Every law, a line each, below the names of its fields."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow([field.name for field in fields(Law)])
    writer.writerows(astuple(law) for law in laws)
    return table.getvalue()


def _closing_line(law: Law) -> Text:
    colours = {SUPPORTED: "green", NOT_SUPPORTED: "red", NOT_DECIDABLE: "yellow"}
    return Text.assemble(
        (law.verdict, colours[law.verdict]),
        f": {law.statement}. {law.quantity}: {_estimate(law.estimate, law.low, law.high, 2)}, "
        f"by the law {_number(law.predicted)}",
    )

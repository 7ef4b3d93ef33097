"""summary.json, laws.csv, report.md and the closing table of the scaling laws."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from simulations.measure.checks import NOT_DECIDABLE, NOT_SUPPORTED, SUPPORTED
from simulations.measure.tables import markdown, number, row_table, spread, to_json
from simulations.results.files import write_text
from simulations.results.provenance import provenance
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
from simulations.sweep.run import SweepOutcome

NAMES: tuple[SizeName, ...] = ("recovery", "change", "entropy", "learned")


def _number(value: float) -> str:
    return "negative" if value == -math.inf else number(value, 2)


def _size(values: Any) -> str:
    """A size with its interval over seeds; where seeds are censored, how many and on which side."""
    middle, low, high = log_interval(values)
    if math.isfinite(middle):
        return f"{middle:,.0f} [{low:,.0f}, {high:,.0f}]"
    above, below = np.isposinf(values).sum(), np.isneginf(values).sum()
    words = [f"{count} {side} the grid" for count, side in ((above, "above"), (below, "below"))]
    shown = [word for word, count in zip(words, (above, below), strict=True) if count]
    undefined = int(np.isnan(values).sum())
    shown += [f"{undefined} undefined"] if undefined else []
    return f"– ({', '.join(shown)}, of {len(values)} seeds)"


def _definitions() -> str:
    words = [f"{SIZES[name]}: {DEFINITIONS[name]}" for name in NAMES]
    return f"K* stands for any of these, in training sequences. {'; '.join(words)}."


def law_table(laws: list[Law]) -> list[str]:
    """The verdicts as a Markdown table."""
    header = ["law", "measured", "by the law", "if it has no hold", "estimate", "points", "verdict"]
    rows = [
        [
            law.statement,
            law.quantity,
            _number(law.predicted),
            _number(law.rival),
            f"{number(law.estimate, 2)} {spread(law.low, law.high, 2)}",
            str(law.points),
            f"**{law.verdict}**",
        ]
        for law in laws
    ]
    return markdown(header, rows)


def _law_lines(analysis: ScalingAnalysis) -> list[str]:
    lines = ["## All verdicts", ""]
    for group in dict.fromkeys(law.group for law in analysis.laws):
        mine = [law for law in analysis.laws if law.group == group]
        lines += [f"### {group[0].upper()}{group[1:]}", "", *law_table(mine)]
        wanted = dict.fromkeys(law.decide for law in mine)
        lines += ["What would decide or extend it: " + "; ".join(wanted) + ".", ""]
    return lines


def _size_lines(parts: list[Measured]) -> list[str]:
    header = ["condition", "parameters", *(SIZES[name] for name in NAMES)]
    rows = [
        [
            part.condition.name,
            f"{part.n_parameters:,}",
            *(_size(size_by_seed(part, name)) for name in NAMES),
        ]
        for part in parts
    ]
    text = "Geometric mean over seeds, Student's 95 % interval."
    return ["## Transition sizes K*, training sequences", "", text, "", *markdown(header, rows)]


def _capacity_row(source: str, found: Capacity) -> list[str]:
    part = found.measured
    middle, low, high = found.half
    half = f"{middle:,.0f} [{low:,.0f}, {high:,.0f}]" if math.isfinite(middle) else "–"
    share = f"{middle / found.nominal:.3f}" if math.isfinite(middle) else "–"
    return [
        source,
        f"{part.n_parameters:,}",
        f"{number(found.bits)} {spread(found.low, found.high)}",
        f"{found.at:,.0f}" + (" (end of the grid)" if found.at == part.train_sizes[-1] else ""),
        half,
        f"{found.nominal:,.0f}",
        share,
    ]


def _capacity_lines(analysis: ScalingAnalysis) -> list[str]:
    header = ["source", "parameters", "bits a parameter", "at K", "K_half (recovery)"]
    header += ["K_cap at 3.6 bits", "K_half / K_cap"]
    rows = [
        _capacity_row(source, found)
        for source, family in analysis.capacities.items()
        for found in family
    ]
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
        columns = (
            [getattr(c, name) for c in found]
            for name in ("exponent", "residual", "unscaled", "at_one")
        )
        cells = [student_interval(np.array(column)) for column in columns]
        rows.append([source, *(f"{number(m)} {spread(a, b)}" for m, a, b in cells)])
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
        places, heights = peak_by_seed(part)
        middle, low, high = student_interval(heights)
        draws = part.condition.draws
        product = _size(places * draws) if draws else "–"
        rows.append(
            [
                str(draws) if draws else "fresh in every step",
                _size(places),
                product,
                f"{number(middle, 1)} {spread(low, high, 1)}",
            ]
        )
    header = ["draws n", "K_peak", "n K_peak", "height, nats a sequence"]
    text = (
        "Peak of the held-out code length (log-perplexity) over K: the inner point that stands "
        "highest above the lowest one at smaller K, refined by a parabola; its height above that."
    )
    return ["## Perplexity peak", "", text, "", *markdown(header, rows)]


def write_report(
    analysis: ScalingAnalysis, out: Path, preset: str, wall_time: float, outcome: SweepOutcome
) -> None:
    """Write summary.json, laws.csv and report.md to `out`."""
    laws = [asdict(law) for law in analysis.laws]
    sizes = {
        condition.name: {name: size_by_seed(part, name) for name in NAMES}
        for condition, part in analysis.parts.items()
    }
    bits = {
        source: [
            {"parameters": c.measured.n_parameters, "bits": c.bits, "low": c.low, "high": c.high}
            for c in family
        ]
        for source, family in analysis.capacities.items()
    }
    summary = {
        "preset": preset,
        "laws": laws,
        "sizes_by_seed": sizes,
        "bits_per_parameter": bits,
        "collapse": {k: [asdict(c) for c in v] for k, v in analysis.collapses.items()},
        "linear": [asdict(row) for row in analysis.rows],
        "configuration": analysis.config.as_dict(),
        "provenance": provenance(),
    }
    write_text(to_json(summary), out / "summary.json")
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow([field.name for field in fields(Law)])
    writer.writerows([list(law.values()) for law in laws])
    write_text(table.getvalue(), out / "laws.csv")
    config = analysis.config
    counts = {verdict: 0 for verdict in dict.fromkeys(law.verdict for law in analysis.laws)}
    for law in analysis.laws:
        counts[law.verdict] += 1
    lines = [
        f"# Laws of the transition, preset {preset}",
        "",
        f"{len(analysis.laws)} statements: "
        + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        + ".",
        "",
        "![figure](scaling.png)",
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
        *law_table([law for law in analysis.laws if law.headline]),
        _definitions(),
        "",
        *_capacity_lines(analysis),
        *_collapse_lines(analysis),
        *_peak_lines(analysis),
        *_size_lines(list(analysis.parts.values())),
        "## The linear denoiser against its closed form",
        "",
        "The closed form holds for L (V - 1) to infinity; deviations fall as its inverse.",
        "",
        *row_table(analysis.rows, "corrupted train recovery 1/2"),
        *_law_lines(analysis),
        "## Provenance",
        "",
        *(f"- {key}: {value}" for key, value in provenance().items()),
        f"- wall time of this call: {wall_time:.0f} s; largest memory of a worker: "
        f"{outcome.peak_rss_mb:.0f} MB",
        "",
    ]
    write_text("\n".join(lines), out / "report.md")


def print_laws(analysis: ScalingAnalysis, console: Console) -> None:
    """The headline verdicts on the terminal, a line each."""
    colours = {SUPPORTED: "green", NOT_SUPPORTED: "red", NOT_DECIDABLE: "yellow"}
    for law in (law for law in analysis.laws if law.headline):
        ends = f"{number(law.estimate, 2)} {spread(law.low, law.high, 2)}"
        console.print(
            f"[{colours[law.verdict]}]{law.verdict}[/]: {law.statement}. {law.quantity}: "
            f"{ends.replace('[', chr(92) + '[')}, by the law {_number(law.predicted)}",
            highlight=False,
        )

"""summary.json, report.md and the closing lines of `capacity`."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from simulations.capacity.analysis import FORMS, Capacity, CapacityAnalysis, Extrapolation
from simulations.capacity.config import LABELS, critical_overlap, threshold
from simulations.measure.tables import check_table, markdown, number, row_table, spread, to_json
from simulations.results.files import write_text
from simulations.results.provenance import provenance

MEASURED = """\
**Retrieval.** Patterns of independent uniform tokens are stored; retrieval starts from stored
patterns, without any error, and updates sites one at a time until nothing changes, which always
ends for these memories. The overlap is 1 for the pattern and 0 for an unrelated state. Loads are
patterns per site, for the dense memory per site squared.

**Half-load.** The load at which half of the starting patterns end above a threshold, midway
between the overlap at the end of the replica-symmetric branch and 1/3, roughly what is left far
above it. The share is made monotone in the load and is linear between loads. A threshold on the
*mean* overlap would be biased: at small sizes states beyond the critical load decay only partly.

**Critical load.** Half-loads carried on to infinite size by weighted least squares, along
a + b / sqrt(N) and a + b / N; chi^2 tells which of the two describes the sizes at hand. Intervals:
95 % bootstrap over sets of patterns, sizes apart. As no theory says which form holds, the interval
that counts spans those of both; it knows nothing of corrections that neither has. Loads at which
fewer than a tenth of the starts are kept are measured once, larger ones not at all. Beyond the
critical load descent can also end in minima near the pattern that theory does not count; a family
whose half-loads do not move with N is held by them, and its limit says nothing of the theory.

**Pseudo-likelihood.** Whether any couplings hold the first K patterns at a site is decided by a
linear program; in place of the half-load stands the mean over sites of the largest such K, over
N. Cover's count gives 2 - 2/N for it, exact at every size, with N - 1 inputs. Fitted memories
show what a weak penalty reaches; only converged rows enter.

**Structured examples.** Signs of random mixtures of a few features, stored by Hebb's rule;
overlaps after one update of all sites (theory) and at the fixed point of updates one at a time.
"""


def limit_text(found: Extrapolation) -> str:
    if math.isnan(found.value):
        return "fewer than three sizes reach one half"
    return f"{number(found.value, 4)} {spread(found.low, found.high, 4)}"


def limit_table(capacities: list[Capacity]) -> list[str]:
    """Limits of all families by form, with chi^2 over the degrees of freedom."""
    rows = []
    for capacity in capacities:
        row = [capacity.name, number(capacity.theory, 4), spread(*capacity.span, 4)]
        for form in FORMS:
            found = capacity.limits.get(form)
            row += (
                [limit_text(found), f"{number(found.chi2, 1)} / {found.freedom}"]
                if found
                else ["not the form", "–"]
            )
        rows.append([*row, capacity.best])
    header = ["memory", "theory", "95 %, both forms"]
    for form in FORMS:
        header += [f"limit, {form}", "chi^2"]
    return markdown([*header, "fits better"], rows)


def half_table(capacities: list[Capacity]) -> list[str]:
    """Half-loads of all families and sizes."""
    rows = []
    for capacity in capacities:
        for size, half, low, high in zip(
            capacity.sizes, capacity.half, capacity.low, capacity.high, strict=True
        ):
            ratio = half / capacity.theory
            shown = number(half, 4) if math.isfinite(half) else "beyond the loads"
            rows.append([capacity.name, str(size), shown, spread(low, high, 4), number(ratio)])
    return markdown(["memory", "N", "half-load", "95 %", "over theory"], rows)


def outside(analysis: CapacityAnalysis) -> list[str]:
    """Sentences on every critical load whose interval misses the theory, or that has none."""
    lines = []
    for capacity in analysis.capacities.values():
        found = capacity.limits[capacity.best]
        if math.isnan(found.value):
            lines.append(
                f"- {capacity.name}: no estimate; at fewer than three sizes half of the patterns "
                "are lost within the loads measured."
            )
            continue
        low, high = capacity.span
        if not low <= capacity.theory <= high:
            side = "above" if capacity.theory > high else "below"
            lines.append(
                f"- {capacity.name}: the theory's {capacity.theory:.4f} lies {side} the interval "
                f"{spread(low, high, 4)}."
            )
    return lines or ["The theory lies inside every interval."]


def report_text(analysis: CapacityAnalysis, preset: str, wall_time: float) -> str:
    config = analysis.config
    main = list(analysis.capacities.values())
    levels = markdown(
        ["memory", "threshold", "overlap at the end of the branch"],
        [[LABELS[f], number(threshold(f)), number(critical_overlap(f))] for f in analysis.strict],
    )
    left_out = markdown(
        ["left out of averages", "count"], [[k, str(v)] for k, v in analysis.unsettled.items()]
    )
    source = provenance()
    lines = [
        "# Capacity",
        "",
        f"Preset `{preset}`, {config.sets} sets of patterns, {config.starts} starts of each.",
        "",
        "## What is measured",
        "",
        MEASURED,
        "## Critical loads, theory against simulation",
        "",
        *limit_table(main),
        "Where the theory lies outside:",
        "",
        *outside(analysis),
        "",
        "### With another threshold: the overlap at the end of the branch itself",
        "",
        *limit_table(list(analysis.strict.values())),
        *levels,
        "## Half-loads by size",
        "",
        *half_table(main),
        "## Exact at every size",
        "",
        *check_table(analysis.checks),
        "## Theory of infinite size against simulation",
        "",
        *row_table(analysis.rows, "quantity"),
        "## Runs without an end",
        "",
        *left_out,
        "## Provenance",
        "",
        *markdown(["key", "value"], [[k, v] for k, v in source.items()]),
        f"Wall time {wall_time:.0f} s.",
    ]
    return "\n".join(lines) + "\n"


def write_report(analysis: CapacityAnalysis, out: Path, preset: str, wall_time: float) -> None:
    """Write summary.json and report.md."""
    summary = {
        "critical_loads": {
            capacity.name: {
                "theory": capacity.theory,
                "sizes": capacity.sizes,
                "half_loads": capacity.half,
                "limits": {form: asdict(limit) for form, limit in capacity.limits.items()},
                "form": capacity.best,
                "interval": capacity.span,
            }
            for capacity in analysis.capacities.values()
        },
        "exact_checks": [asdict(check) | {"z": check.z} for check in analysis.checks],
        "exact_failures": [check.name for check in analysis.checks if not check.agrees],
        "theory_against_simulation": [asdict(row) for row in analysis.rows],
        "left_out": analysis.unsettled,
        "configuration": analysis.config.as_dict(),
        "provenance": provenance(),
    }
    write_text(to_json(summary), out / "summary.json")
    write_text(report_text(analysis, preset, wall_time), out / "report.md")


def print_findings(analysis: CapacityAnalysis, console: Console) -> None:
    """Critical loads next to theory, and the worst exact check."""
    for capacity in analysis.capacities.values():
        value = number(capacity.limits[capacity.best].value, 4)
        console.print(
            f"{capacity.name}: critical load {value} {spread(*capacity.span, 4)}, theory "
            f"{capacity.theory:.4f}",
            highlight=False,
        )
    worst = max((abs(check.z) for check in analysis.checks), default=0.0)
    console.print(f"{len(analysis.checks)} exact checks, largest |z| {worst:.1f}.", highlight=False)

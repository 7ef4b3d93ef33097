"""What the capacity study tells: critical loads against theory, half-loads, exact counts."""

from __future__ import annotations

import math
from dataclasses import asdict

from simulations.capacity.analysis import FORMS, Capacity, CapacityAnalysis, Extrapolation
from simulations.capacity.config import LABELS, critical_overlap, threshold
from simulations.measure.tables import check_table, markdown, number, row_table, spread
from simulations.results.report import Report

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


def limit_cells(found: Extrapolation | None) -> list[str]:
    """The limit of one form, and chi^2 over the degrees of freedom."""
    if found is None:
        return ["not the form", "–"]
    limit = f"{number(found.value, 4)} {spread(found.low, found.high, 4)}"
    if math.isnan(found.value):
        limit = "fewer than three sizes reach one half"
    return [limit, f"{number(found.chi2, 1)} / {found.freedom}"]


def limit_table(capacities: dict[str, Capacity]) -> list[str]:
    """Limits of all families by form, with chi^2 over the degrees of freedom."""
    forms = [words for form in FORMS for words in (f"limit, {form}", "chi^2")]
    rows = [
        [
            c.name,
            number(c.theory, 4),
            spread(*c.span, 4),
            *(cell for form in FORMS for cell in limit_cells(c.limits.get(form))),
            c.best,
        ]
        for c in capacities.values()
    ]
    return markdown(["memory", "theory", "95 %, both forms", *forms, "fits better"], rows)


def half_table(capacities: dict[str, Capacity]) -> list[str]:
    """Half-loads of all families and sizes."""
    rows = [
        [
            c.name,
            str(size),
            number(half, 4) if math.isfinite(half) else "beyond the loads",
            spread(low, high, 4),
            number(half / c.theory),
        ]
        for c in capacities.values()
        for size, half, low, high in zip(c.sizes, c.half, c.low, c.high, strict=True)
    ]
    return markdown(["memory", "N", "half-load", "95 %", "over theory"], rows)


def outside(analysis: CapacityAnalysis) -> list[str]:
    """Sentences on every critical load whose interval misses the theory, or that has none."""
    lines = []
    for capacity in analysis.capacities.values():
        low, high = capacity.span
        if math.isnan(capacity.limits[capacity.best].value):
            lines.append(
                f"- {capacity.name}: no estimate; at fewer than three sizes half of the patterns "
                "are lost within the loads measured."
            )
        elif not low <= capacity.theory <= high:
            side = "above" if capacity.theory > high else "below"
            lines.append(
                f"- {capacity.name}: the theory's {capacity.theory:.4f} lies {side} the interval "
                f"{spread(low, high, 4)}."
            )
    return lines or ["The theory lies inside every interval."]


def report(analysis: CapacityAnalysis) -> Report:
    """What the capacity study tells."""
    config, found = analysis.config, analysis.capacities
    left_out = [[name, str(count)] for name, count in analysis.unsettled.items()]
    levels = [
        [LABELS[f], number(threshold(f)), number(critical_overlap(f))] for f in analysis.strict
    ]
    sections = {
        "## What is measured": [MEASURED],
        "## Critical loads, theory against simulation": [
            *limit_table(found),
            "Where the theory lies outside:",
            "",
            *outside(analysis),
            "",
        ],
        "### With another threshold: the overlap at the end of the branch itself": [
            *limit_table(analysis.strict),
            *markdown(["memory", "threshold", "overlap at the end of the branch"], levels),
        ],
        "## Half-loads by size": half_table(found),
        "## Exact at every size": check_table(analysis.checks),
        "## Theory of infinite size against simulation": row_table(analysis.rows, "quantity"),
        "## Runs without an end": markdown(["left out of averages", "count"], left_out),
    }
    lines = [f"{config.sets} sets of patterns, {config.starts} starts of each.", ""]
    for heading, body in sections.items():
        lines += [heading, "", *body]
    summary = {
        "critical_loads": {
            c.name: {
                "theory": c.theory,
                "sizes": c.sizes,
                "half_loads": c.half,
                "limits": {form: asdict(limit) for form, limit in c.limits.items()},
                "form": c.best,
                "interval": c.span,
            }
            for c in found.values()
        },
        "theory_against_simulation": [asdict(row) for row in analysis.rows],
        "left_out": analysis.unsettled,
    }
    closing = [
        f"{c.name}: critical load {number(c.limits[c.best].value, 4)} {spread(*c.span, 4)}, "
        f"theory {c.theory:.4f}"
        for c in found.values()
    ]
    return Report("Capacity", lines, summary, closing, analysis.checks)

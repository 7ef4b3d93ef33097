"""What the study of sharpness tells: the verdicts first, each with its interval."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from simulations.measure.tables import check_table, markdown, number, section, spread
from simulations.results.report import Report
from simulations.sharpness.analysis import Group, Row, SharpnessAnalysis
from simulations.sharpness.predictions import EXPECTED, MARGIN, SAME, SHARP, UNDECIDED, WIDER
from simulations.sharpness.widths import Value

NAMES = {
    "memorizer": "optimal memorizer",
    "linear": "linear denoiser",
    "memory": "pseudo-likelihood memory",
    "separable": "separability of its rows",
    "network": "networks",
}


def told(value: Value, digits: int = 2) -> str:
    """A value with its interval, if it has one; a dash where it is not known."""
    if not np.isfinite(value.value):
        return "–"
    words = number(value.value, digits)
    known = np.isfinite(value.low) and np.isfinite(value.high)
    return f"{words} {spread(value.low, value.high, digits)}" if known else words


def first_line(analysis: SharpnessAnalysis) -> str:
    """The answer: how the width of every system goes with L, networks first."""
    sentences = []
    for system in reversed(NAMES):
        groups = headline_groups(analysis, system)
        if groups:
            found = "; ".join(
                f"{'' if g.exact else g.key.setting + ': '}{told(g.length)}, {g.verdict}, "
                f"{g.nature}"
                for g in groups
            )
            sentences.append(f"{NAMES[system]}: {found}")
    return (
        "**Width of the passage of M from 0.9 to 0.1, in decades of K, as L to the power:** "
        + ". ".join(sentences)
        + "."
    )


def headline_groups(analysis: SharpnessAnalysis, system: str) -> list[Group]:
    """Groups that are named in the first line: those of M, of what is solved the exact ones
    between own ends at most noise."""
    solved = {
        "memorizer": ("M, own ends", f"kept {min(analysis.config.alphas):g}"),
        "linear": ("M, own ends", f"kept {min(analysis.config.alphas):g}"),
        "separable": ("share of rows", "exact"),
    }
    orders = {"network": "M", "memory": "M, entropy"}
    if system in solved:
        return [g for g in analysis.of(system) if g.exact and g.key[1:] == solved[system]]
    return analysis.of(system, orders[system])


def verdict_lines(analysis: SharpnessAnalysis) -> list[str]:
    """Expectations next to verdicts, and what would overturn them."""
    table = [
        [
            NAMES[system],
            expected.verdict,
            number(expected.exponent, 1),
            f"{analysis.verdict(system)} ({decided(analysis, system)})",
            expected.why,
            expected.overturned,
        ]
        for system, expected in EXPECTED.items()
        if analysis.of(system)
    ]
    text = (
        f"Written before anything was measured. The width from 0.9 to 0.1 is fitted as L^e at "
        f"fixed V: '{SHARP}' where the 95 % interval of e lies below -{MARGIN:g}, '{WIDER}' above "
        f"{MARGIN:g}, '{SAME}' between, else not decidable at this size. Of a system: what all "
        "groups of its M that are decidable agree on."
    )
    header = ["system", "expected", "e", "found", "why expected", "what would overturn it"]
    return [*section("Expected and found", text), *markdown(header, table)]


def decided(analysis: SharpnessAnalysis, system: str) -> str:
    """How many of a system's groups are decidable."""
    groups = analysis.judged(system)
    known = sum(group.verdict != UNDECIDED for group in groups)
    return f"{known} of {len(groups)} groups decidable"


def exponent_lines(analysis: SharpnessAnalysis) -> list[str]:
    """Exponents of the widths, group by group, and the rival law."""
    table = []
    for group in analysis.groups:
        limit = group.limit
        rival = ["–", "–"]
        if limit:
            rival = [told(limit.width), f"{limit.power_miss:.3f}, {limit.line_miss:.3f}"]
        table.append(
            [
                *labels(group),
                told(group.length),
                group.verdict,
                told(group.relative),
                *rival,
                group.nature,
                told(group.vocabulary),
            ]
        )
    text = (
        "The width as L^e at fixed V; that over log K at 1/2 (the width in log K / L), of the "
        "memorizer; the rival: a line in 1 / L, where it ends, and how far power and line miss "
        "(rms of ln width); the width in V at fixed L. Intervals hold units and sizes, left out "
        "one at a time. A passage that sharpens is a transition only where the line misses by more "
        "than the widths' errors and the power does not; this second rule was added after the "
        "first networks had been seen."
    )
    header = ["system", "order", "setting", "e", "verdict", "over log K", "line: limit"]
    header += ["miss: power, line", "as L grows", "in V"]
    return [*section("Exponents of the width", text), *markdown(header, table)]


def labels(group: Group) -> list[str]:
    """System, order parameter and setting of a group."""
    setting = group.key.setting + (" (exact)" if group.exact else "")
    return [NAMES[group.key.system], group.key.order, setting]


def collapse_lines(analysis: SharpnessAnalysis) -> list[str]:
    """Collapses, group by group."""
    table = [
        [
            *labels(group),
            told(c.length),
            told(c.vocabulary),
            number(c.residual),
            number(c.unscaled),
            number(c.expected),
        ]
        for group in analysis.groups
        if (c := group.collapsed)
    ]
    text = (
        "K / (L^a V^b) that puts the curves nearest to one falling curve, and the root mean square "
        "distance from it there, over K itself, and in the variable that was expected (memorizer: "
        "(log K - L C) / sqrt(L U); linear denoiser: K / (L (V - 1)); memory: the load over the "
        "critical one)."
    )
    header = ["system", "order", "setting", "a", "b", "distance", "unscaled", "expected form"]
    return [*section("Collapse", text), *markdown(header, table)]


def width_lines(rows: list[Row]) -> list[str]:
    """Every passage: K at 1/2, decades, slope."""
    table = [
        [
            NAMES[r.passing.key.system],
            r.passing.key.order,
            r.passing.key.setting,
            str(r.passing.vocab_size),
            str(r.passing.seq_len),
            "exact" if r.passing.exact else f"{len(r.passing.without)} units",
            short_size(r.middle),
            told(r.decades),
            told(r.slope),
            number(r.theory, 2),
        ]
        for r in rows
    ]
    text = (
        "Decades of K from 0.9 to 0.1 and slope per decade at 1/2 (chord from 3/4 to 1/4), with "
        "95 % intervals over training sets or seeds (the scatter pooled over a system's passages). "
        "A dash: the curve does not pass the levels on the grid of K. Last column: exact decades "
        "of the same case, or of a memory those of the rows' theory at large L."
    )
    header = ["system", "order", "setting", "V", "L", "from", "K at 1/2", "decades", "slope"]
    return [*section("Widths", text), *markdown([*header, "theory"], table)]


def short_size(value: Value) -> str:
    """A size of any magnitude, to three digits."""
    if not np.isfinite(value.value):
        return "–"
    parts = [f"{x:.3g}" for x in (value.value, value.low, value.high) if np.isfinite(x)]
    return parts[0] if len(parts) < 3 else f"{parts[0]} [{parts[1]}, {parts[2]}]"


def report(analysis: SharpnessAnalysis) -> Report:
    """What the study tells."""
    first = first_line(analysis)
    lines = [
        first,
        "",
        *verdict_lines(analysis),
        *exponent_lines(analysis),
        *collapse_lines(analysis),
        *width_lines(analysis.rows),
        *section("Exact at every size", "`--check` ends with status 1 beyond 5 standard errors."),
        *check_table(analysis.checks),
    ]
    summary = {
        "verdicts": {system: analysis.verdict(system) for system in EXPECTED},
        "groups": [
            {**g.key._asdict(), "exact": g.exact, "verdict": g.verdict, "nature": g.nature}
            | {name: asdict(getattr(g, name)) for name in ("length", "vocabulary", "relative")}
            | {"collapse": asdict(g.collapsed) if g.collapsed else None}
            | {"limit": asdict(g.limit) if g.limit else None}
            for g in analysis.groups
        ],
        "widths": [
            {**r.passing.key._asdict(), "V": r.passing.vocab_size, "L": r.passing.seq_len}
            | {"exact": r.passing.exact, "theory": r.theory}
            | {name: asdict(getattr(r, name)) for name in ("middle", "decades", "slope")}
            for r in analysis.rows
        ],
    }
    return Report(
        "How sharp the passage from memory to law is", lines, summary, [first], analysis.checks
    )

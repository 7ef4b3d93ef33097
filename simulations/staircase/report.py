"""The report of the study of degrees."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from simulations.measure.checks import MAX_Z
from simulations.measure.tables import check_table, markdown, number, section, with_spread
from simulations.results.report import Report
from simulations.staircase.analysis import FACTOR, Line, Ratio, StaircaseAnalysis
from simulations.staircase.config import METHODS, StaircaseConfig

WORDS = {
    "readout": "readout alone, gradient descent",
    "all": "all weights, gradient descent",
    "adam": "all weights, Adam",
}


def told(ratio: Ratio, digits: int = 2) -> str:
    """A ratio with its interval."""
    return with_spread(ratio.value, ratio.low, ratio.high, digits)


def tally(lines: list[Line]) -> str:
    """How many agree, and the range of ratios."""
    known = [line for line in lines if line.ratio.verdict != "no ratio"]
    if not known:
        return "no ratio"
    agree = sum(line.verdict == "agrees" for line in known)
    values = [line.ratio.value for line in known]
    return f"{agree} of {len(known)} ({number(min(values), 2)} to {number(max(values), 2)})"


def answer(analysis: StaircaseAnalysis) -> str:
    """The first line."""
    widest = analysis.config.widths[-1]
    steps = ", ".join(
        f"degree {line.place[0]} at K = {line.measured:.0f}, {told(line.ratio)} of theory"
        for line in analysis.of("regression")
    )
    agree = all(line.verdict == "agrees" for line in analysis.of("regression"))
    where = "where theory says" if agree else "not everywhere where theory says"
    parts = [f"**Kernel regression climbs the staircase of degrees {where}** ({steps})."]
    fits = [line for line in analysis.of("orders") if line.place[0] > 1]
    if fits:
        ends = ", ".join(f"{told(line.ratio)} (L = {line.place[1]})" for line in fits)
        parts.append(
            "Denoisers of degrees 1 and 2: K* over that predicted for L to infinity " + ends + "."
        )
    for method in METHODS:
        degrees = ", ".join(
            f"degree {line.place[1]} {told(line.ratio)}"
            for line in analysis.of("degrees", method)
            if line.place[0] == widest and line.ratio.verdict != "no ratio"
        )
        words = WORDS[method][0].upper() + WORDS[method][1:]
        parts.append(
            f"{words}, width {widest}: times over those of the kernel {degrees or 'none'}; half of "
            f"the gap {tally(analysis.of('gap', method))} agree to a quarter."
        )
    slopes = "; ".join(
        f"{WORDS[s.method]}, width {s.width}, K = {s.sizes[0]} to {s.sizes[-1]}: {told(s.measured)}"
        for s in analysis.slopes
        if len(s.sizes) > 1
    )
    parts.append(
        "Time of memory beyond a linear map, slope of its log on log K (1: proportional to K): "
        f"{slopes or 'reached at fewer than two K'}."
    )
    return " ".join(parts)


def _table(lines: list[Line], names: list[str], rival: bool = False) -> list[str]:
    rows = []
    for line in lines:
        row = [*([WORDS[line.method]] if line.method else []), *map(str, line.place)]
        row += [number(line.measured, 1), number(line.predicted, 1), told(line.ratio)]
        rows.append([*row, line.verdict, *([told(line.rival)] if rival else [])])
    header = [*names, "measured", "predicted", "ratio", f"to a factor {FACTOR:g}"]
    return markdown([*header, *(["over ln 2 K / s²"] if rival else [])], rows)


def _networks(analysis: StaircaseAnalysis, kind: str) -> list[Line]:
    return [line for method in METHODS for line in analysis.of(kind, method)]


def _definitions(config: StaircaseConfig) -> list[str]:
    (v, length), (few_v, few), (many_v, many) = (
        config.kernel_size,
        config.degrees_size,
        config.memory_size,
    )
    return section(
        "What is measured",
        f"- Kernel regression: V = {v}, L = {length}, the kernel of the network at initialisation, "
        f"ridge {config.ridge:g}; random functions of one degree; half of their variance left.\n"
        f"- Denoisers: V = 2, least squares in all functions of degrees 1 to n of x_t, "
        f"{config.pairs} noisy sequences a function, alpha = {config.alpha:g}; train error on "
        "fresh noise at half of 1 - alpha^2.\n"
        f"- Networks: plain MLPs, {config.n_blocks} residual blocks, squared error of centred "
        f"logits. Degrees: V = {few_v}, L = {few}, unlimited data, error half. Memory: V = "
        f"{many_v}, L = {many}, independent tokens, alpha = {config.alpha:g}, fresh noise; the "
        "step from which on the gap of held-out and train error is above half of its last value, "
        "of networks and of theory, and step from which on the train error is below that of the "
        "linear denoiser of the same K (`am_theory.linear`). The second rule was added after the "
        "results of the first were seen: half of the gap is a matter of the linear part.\n"
        "- Theory: degree j at ln 2 / (2 rate width lambda_j), for infinite width; memory by "
        "`random_feature_denoiser.training_errors` with the moments of the kernel and width "
        "features. Nothing is fitted, but with Adam, whose steps are no time, one rate: that of "
        "degree 1, or of the held-out error half way to its least.\n"
        f"- Intervals: 95 %, bootstrap over {config.sets} sets, or Student's of logs over "
        f"{config.seeds} networks. Agrees: the interval of the ratio within a factor {FACTOR:g}; "
        "deviates: outside of it.",
    )


def report(analysis: StaircaseAnalysis) -> Report:
    """What the study tells."""
    first = answer(analysis)
    slopes = [
        [WORDS[s.method], str(s.width), ", ".join(map(str, s.sizes)), told(s.measured)]
        for s in analysis.slopes
    ]
    lines = [
        first,
        "",
        *section("Kernel regression: K at which a degree is half learned"),
        *_table(analysis.of("regression"), ["degree"]),
        *section("Denoisers of degrees 1 to n: K at which the train error is half"),
        *_table(analysis.of("orders"), ["n", "L"]),
        *section("Networks: steps at which a degree is half learned"),
        *_table(_networks(analysis, "degrees"), ["training", "width", "degree"]),
        *section("Networks: steps to half of the gap of held-out and train error"),
        *_table(_networks(analysis, "gap"), ["training", "width", "K"], rival=True),
        *section("Networks: steps to a train error below that of the linear denoiser"),
        *_table(_networks(analysis, "beyond"), ["training", "width", "K"], rival=True),
        *section("Its slope, d log(steps) / d log K", "K / s^2 has 1."),
        *markdown(["training", "width", "K that all networks reach", "measured"], slopes),
        *_definitions(analysis.config),
        *section("Exact", f"`--check` ends with status 1 beyond {MAX_Z:g} standard errors."),
        *check_table(analysis.checks),
    ]
    summary: dict[str, Any] = {
        "answer": first,
        "lines": [{**asdict(line), "verdict": line.verdict} for line in analysis.lines],
        "slopes": [asdict(slope) for slope in analysis.slopes],
    }
    return Report("The staircase of degrees", lines, summary, [first], analysis.checks)

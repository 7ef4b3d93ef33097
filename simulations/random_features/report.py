"""The report of the random-feature study."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from simulations.measure.checks import MAX_Z
from simulations.measure.tables import check_table, markdown, number, section, with_spread
from simulations.random_features.analysis import (
    IN_RANGE,
    NAMES,
    Decrease,
    FeatureAnalysis,
    rows,
)
from simulations.random_features.config import PANELS, Case, FeatureConfig
from simulations.results.report import Report

TITLES = {
    "curves": "curves over K",
    "draws": "few draws",
    "flow": "training time",
    "chain": "chain",
    "sizes": "finite sizes",
}


def case_label(case: Case) -> str:
    """A case in the words of tables and titles."""
    activation, skip, alpha, features = case
    return f"{activation}, skip {skip}, α = {alpha:g}, p = {features:g} d"


def answer(analysis: FeatureAnalysis) -> str:
    """What the run says, in a sentence or two."""
    words = []
    for found in analysis.decreases:
        if found.quantity != "train error":
            continue
        case = case_label(analysis.config.size_cases[found.case])
        said = (
            f"{found.deviation[0]:+.4f} at d = {found.dimensions[0]} to {found.deviation[-1]:+.4f} "
            f"at d = {found.dimensions[-1]} ({case}), "
        )
        if resolved(found):
            said += (
                "falling as 1 / d^s with s = "
                + with_spread(found.slope, found.low, found.high, 2)
                + " over these sizes, as c / d + e / d^2 with c = "
                + with_spread(found.first, found.first_low, found.first_high, 2)
            )
        else:
            said += "too little beside its errors for a slope"
        words.append(said)
    inside, outside = (largest(analysis, crowded) for crowded in (False, True))
    return (
        "The theory of the random-feature denoiser holds up to corrections of finite size: its "
        f"train error is off by {'; by '.join(words)}. Over K, features and noise, p / (K d) up to "
        f"{IN_RANGE:g}, the largest deviation of an error at d = "
        f"{analysis.points[0].dimension} is {inside}"
        + (f"; beyond, where theory does not claim to hold, {outside}." if outside else ".")
    )


def largest(analysis: FeatureAnalysis, crowded: bool) -> str:
    """The largest deviation of train and test errors of the curves over K, on one side of the
    range of the theory; empty where there is no such point."""
    places = [
        i for i in analysis.places("curves") if (analysis.points[i].crowding > IN_RANGE) == crowded
    ]
    if not places:
        return ""
    part = analysis.measured
    table = part.deviation[places][:, :2]
    i, k = np.unravel_index(int(np.abs(table).argmax()), table.shape)
    exact = part.predicted[places[i], k]
    ends = part.low[places[i], k] - exact, part.high[places[i], k] - exact
    return f"{table[i, k]:+.4f} [{ends[0]:+.4f}, {ends[1]:+.4f}]"


def _size_lines(analysis: FeatureAnalysis) -> list[str]:
    config, table = analysis.config, []
    for found in analysis.decreases:
        gaps = (
            f"{gap:+.4f} ± {error:.4f}"
            for gap, error in zip(found.deviation, found.error, strict=True)
        )
        slope = (
            with_spread(found.slope, found.low, found.high, 2) if resolved(found) else "not seen"
        )
        first = with_spread(found.first, found.first_low, found.first_high, 2)
        table.append(
            [
                case_label(config.size_cases[found.case]),
                found.quantity,
                *gaps,
                slope,
                first,
                number(found.second, 1),
                number(found.misfit, 1),
            ]
        )
    dimensions = [f"d = {length * (config.vocab_size - 1)}" for length in config.lengths]
    header = ["case, K = d", "quantity", *dimensions, "s of 1 / d^s", "c of c / d + e / d²"]
    header += ["e", "χ² left"]
    text = (
        "Simulation - theory at the same number of draws, ± one standard error over training sets. "
        "s, c and e: weighted least squares, with 95 % intervals by resampling training sets; s is "
        f'"not seen" where the deviation at the smallest d is below {SEEN:g} standard errors. The '
        f"χ² of the expansion has {len(config.lengths) - 2} degrees of freedom."
    )
    return section("How deviations fall with d", text) + markdown(header, table)


SEEN = 3.0  # standard errors that a deviation must have for its slope to be stated


def resolved(found: Decrease) -> bool:
    """Whether the deviation is seen at the smallest d, without which it has no slope."""
    return abs(found.deviation[0]) > SEEN * found.error[0]


def _panel_lines(analysis: FeatureAnalysis) -> list[str]:
    """Largest deviation of each quantity by panel, points in the range of the theory."""
    part, table = analysis.measured, []
    for panel in PANELS:
        places = [i for i in analysis.places(panel) if analysis.points[i].crowding <= IN_RANGE]
        cells = []
        for k, _ in enumerate(NAMES):
            gaps = part.deviation[places, k] if places else np.full(1, np.nan)
            if np.isnan(gaps).all():
                cells.append("–")
                continue
            worst = places[int(np.nanargmax(np.abs(gaps)))]
            gap, error = part.deviation[worst, k], part.error[worst, k]
            cells.append(f"{gap:+.4f} ± {error:.4f} (of {number(part.predicted[worst, k])})")
        table.append([TITLES[panel], str(len(places)), *cells])
    text = (
        f"Points with p / (K d) up to {IN_RANGE:g}; ± one standard error over training sets; in "
        "brackets what theory says there. With few draws the peak has no bound as the ridge falls, "
        "and single sets scatter by as much as its height."
    )
    return section("Largest deviation by panel", text) + markdown(
        ["panel", "points", *NAMES], table
    )


def _peak_lines(analysis: FeatureAnalysis) -> list[str]:
    config, part, table = analysis.config, analysis.measured, []
    for group, draws in enumerate(config.draws):
        places = analysis.places("draws", group)
        points = [analysis.points[i] for i in places]
        at = [point.train_size * draws / point.n_features for point in points]
        tops = [int(values[places, 1].argmax()) for values in (part.estimate, part.predicted)]
        i = places[tops[0]]
        table.append(
            [
                str(draws),
                number(at[tops[0]], 2),
                number(at[tops[1]], 2),
                with_spread(part.estimate[i, 1], part.low[i, 1], part.high[i, 1]),
                number(part.predicted[i, 1]),
            ]
        )
    header = ["draws n", "K n / p of the highest point", "of theory", "test error there", "theory"]
    text = f"{case_label(config.draws_case)}, ridge {config.draws_ridge:g}; among the points run."
    return section("Few draws: the peak at K n = p", text) + markdown(header, table)


def _crossing_lines(analysis: FeatureAnalysis) -> list[str]:
    config = analysis.config
    table = [
        [
            case_label(config.cases[found.case]),
            with_spread(found.simulated, found.low, found.high),
            number(found.on_grid),
            number(found.exact),
        ]
        for found in analysis.crossings
    ]
    header = ["case", "x simulated", "x theory, same grid and draws", "x theory, exact, all noise"]
    text = (
        "x = K / d at which the train error is half of its limit for infinitely many sequences, "
        "interpolated in log K. A dash: not on the grid."
    )
    return section("Where memorization ends", text) + markdown(header, table)


def _definitions(config: FeatureConfig) -> list[str]:
    return section(
        "What is measured",
        f"Tokens u (V = {config.vocab_size}, one-hot, centred, unit variance, d = L (V - 1)) are "
        "kept with probability α, else redrawn uniformly. The denoiser is b u_t + A f with p "
        "random features f of u_t, fitted to n noise draws of each of K sequences by least "
        f"squares; ridge {config.ridge:g} on A. But with few draws K n is {config.pairs} max(p, d) "
        "or a little more. Theory is at the same n.",
        "Train and test: fresh noise of stored and of unseen sequences, "
        f"{config.queries} of each for a training set; seen: the noise of the fit. Recovery: share "
        "of all tokens, or of the corrupted ones, whose largest entry is right; theory has it for "
        "independent tokens.",
        f"Every point has {config.seeds} independent training sets with weights W of their own "
        f"(finite sizes {config.size_seeds} at the largest L, more at smaller ones); they alone "
        f"are resampled ({config.replicates} bootstrap replicates, 95 % intervals).",
    )


def report(analysis: FeatureAnalysis) -> Report:
    """What the study tells."""
    first, found = answer(analysis), rows(analysis)
    agreed = sum(row.verdict == "agree" for row in found)
    summary: dict[str, Any] = {
        "answer": first,
        "decreases": [asdict(part) for part in analysis.decreases],
        "crossings": [asdict(part) for part in analysis.crossings],
        "theory_against_simulation": [asdict(row) for row in found],
    }
    lines = [
        first,
        "",
        *_size_lines(analysis),
        *_crossing_lines(analysis),
        *_peak_lines(analysis),
        *_panel_lines(analysis),
        f"Of all {len(found)} numbers that theory has, {agreed} lie inside the 95 % interval of "
        "their simulation; the others show the corrections of finite size.",
        "",
        *_definitions(analysis.config),
        *section(
            "Exact at every size",
            f"`--check` ends with status 1 beyond {MAX_Z:g} standard errors. A bound that is kept "
            "shows the simulated number itself as the exact one.",
        ),
        *check_table(analysis.checks),
    ]
    return Report("The random-feature denoiser", lines, summary, [first], analysis.checks)

"""What the calibration tells, and the table of coefficients that the verdict reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from simulations.measure.tables import markdown, number, section, spread, with_spread
from simulations.probe.calibration.analysis import (
    FIRST,
    LABELS,
    TRUTHS,
    CalibrationAnalysis,
    Counts,
    scores,
)
from simulations.probe.calibration.config import ROLES, SOURCES
from simulations.probe.calibration.fit import LAWS, wilson
from simulations.probe.calibration.judgement import Alone, Bin, alone, reliability
from simulations.probe.calibration.study import STUDY
from simulations.probe.judge.verdict import GAP_BOUNDS, PROBABILITY_BOUNDS, TABLE
from simulations.results.provenance import provenance
from simulations.results.report import Report

EDGES = (0.0, 0.05, 0.25, 0.75, 0.95, 1.0)


def table_text(analysis: CalibrationAnalysis) -> str:
    """What the verdict reads, as JSON, one line a row of coefficients."""
    lines = []
    for name, law in analysis.table["laws"].items():
        replicates = ",\n    ".join(json.dumps(row) for row in law["replicates"])
        lines.append(
            f"  {json.dumps(name)}: {{\n"
            f'   "features": {json.dumps(law["features"])},\n'
            f'   "coefficients": {json.dumps(law["coefficients"])},\n'
            f'   "replicates": [\n    {replicates}\n   ]\n  }}'
        )
    head = {
        "about": "P(memorizing) = 1 / (1 + exp(-c - w x)): coefficients c, w of each law and those "
        "of resampled models. Made by python -m simulations.probe.calibration --install.",
        "config_hash": STUDY.configuration_hash(analysis.config),
        "configuration": analysis.config.as_dict(),
        "models": analysis.table["models"],
        "judged": scores(analysis, FIRST),
        "provenance": provenance(),
    }
    top = ",\n ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items())
    return "{\n " + top + ',\n "laws": {\n' + ",\n".join(lines) + "\n }\n}\n"


def _by_law(header: list[str], found: Mapping[str, Any], row: Callable[..., Any]) -> list[str]:
    """A table for each law, under its name."""
    tables = {law: markdown(header, [row(part) for part in parts]) for law, parts in found.items()}
    return [x for law in tables for x in (f"### From {law} sequences", "", *tables[law])]


def _rate(hits: int, n: int) -> str:
    """A share, counted out, with its 95 % interval."""
    return f"{hits} of {n}: {with_spread(hits / n, *wilson(hits, n), 2)}" if n else "–"


def _score_row(row: Counts) -> list[str]:
    v, length = SOURCES.get(row["source"], ("", ""))
    return [
        f"{row['source']} (V = {v}, L = {length})" if v else row["source"],
        str(row["memorizing"] + row["generalizing"] + row["middle"]),
        str(row["middle"]),
        _rate(row["found"], row["memorizing"]),
        _rate(row["cleared"], row["generalizing"]),
        str(row["taken_for_generalizing"] + row["taken_for_memorizing"]),
        str(row["in_transition"]),
        str(row["undecided"]),
    ]


def _score_lines(scored: dict[str, list[Counts]]) -> list[str]:
    header = ["source", "models", "middle, left out", "sensitivity", "specificity"]
    header += ["on the wrong side", "called in transition", "called not decidable"]
    return section(
        "Verdict without training data against the truth",
        "Test models only. Sensitivity: of models that memorize, those called memorizing; "
        "specificity: of models that generalize, those called generalizing; with 95 % intervals "
        "(Wilson). A model called in transition or not decidable counts against both; one on the "
        "wrong side is called the opposite.",
    ) + _by_law(header, scored, _score_row)


def _label_lines(models: list[Any]) -> list[str]:
    table = []
    for truth in TRUTHS:
        mine = [m for m in models if m.truth == truth]
        counts = [
            f"{sum(m.label == label for m in mine)} / {sum(m.label_by_gap == label for m in mine)}"
            for label in LABELS
        ]
        table.append([truth, str(len(mine)), *counts])
    return section(
        "All test models by truth and label", "By entropy / by the recovery gap with its interval."
    ) + markdown(["truth", "models", *LABELS], table)


def _alone_lines(found: list[Alone]) -> list[str]:
    table = [
        [
            row.name,
            number(row.left_out),
            number(row.log_loss),
            number(row.area, 4),
            f"{row.errors} of {row.n} {spread(*wilson(row.errors, row.n), 2)}",
        ]
        for row in found
    ]
    header = ["features", "log loss, source left out", "log loss, test", "area under the curve"]
    return section(
        "Each feature alone, and together",
        "Fitted in the same way. The choice of features rests on the second column: calibration "
        "models of one source judged by a fit to the others, nats a model (log 2 = 0.693 says "
        "nothing). Errors: at probability 1/2, with 95 % interval (Wilson).",
    ) + markdown([*header, "errors, test"], table)


def _reliability_row(part: Bin) -> list[str]:
    interval = spread(*wilson(part.memorizing, part.n), 2)
    return [
        f"{part.low:g} to {part.high:g}",
        str(part.n),
        number(part.told),
        f"{part.memorizing} {interval}" if part.n else "–",
    ]


def _reliability_lines(found: dict[str, list[Bin]]) -> list[str]:
    header = ["probability", "test models", "mean probability", "of them memorizing"]
    return section(
        "Probabilities told against what came true",
        "The middle is left out, as it was in the fit, so frequencies are of decided models.",
    ) + _by_law(header, found, _reliability_row)


def _coefficient_lines(table: dict[str, Any]) -> list[str]:
    rows = []
    for name, law in table["laws"].items():
        intercept, *weights = law["coefficients"]
        pairs = zip(law["features"], weights, strict=True)
        words = [f"{intercept:+.2f}", *(f"{value:+.2f} {feature}" for feature, value in pairs)]
        rows.append([name, " ".join(words)])
    count = table["models"]
    return section(
        "The fitted laws",
        f"Log odds of memorizing, from {count['memorizing']} memorizing and "
        f"{count['generalizing']} generalizing calibration models; normal prior of deviation 10 "
        "on the weights. Features are defined in `simulations/probe/judge/features.py`.",
    ) + markdown(["from", "log odds"], rows)


def _model_lines(models: list[Any]) -> list[str]:
    names = ("recovery_gap", "calibration_gap", "own_entropy", "own_entropy_middle")
    table = [
        [
            f"{m.source}, K = {m.train_size:,}, {m.loss}, width {m.width}",
            *(number(getattr(m, name)) for name in names),
            with_spread(m.probability, m.low, m.high),
            m.label,
        ]
        for m in models
    ]
    header = ["test model", "recovery gap", *names[1:], "probability", "label"]
    return section("Every test model") + markdown(header, table)


def _introduction(analysis: CalibrationAnalysis) -> list[str]:
    config, count = analysis.config, {role: analysis.of(role).sizes["model"] for role in ROLES}
    return [
        f"{sum(count.values())} networks trained on K = "
        f"{', '.join(f'{k:,}' for k in config.train_sizes)} sequences; {count['calibrate']} of the "
        f"sources {', '.join(config.calibrate)} for the fit, {count['test']} of "
        f"{', '.join(config.test)} to judge it, every one with a source, data and weights of its "
        f"own; {analysis.data['cell_seconds'].values.sum():.0f} s of training and measuring on one "
        "thread. Truth: the recovery gap, (R_train - R_heldout) / (1 - R_heldout) of corrupted "
        "tokens by the best change at the level next to t = 0.25; "
        f"memorizing from {GAP_BOUNDS[1]:g} up, generalizing up to {GAP_BOUNDS[0]:g}, middle "
        "between, left out of the fit and of the scores. Labels: memorizing from a probability of "
        f"{PROBABILITY_BOUNDS[1]:g} up, generalizing up to {PROBABILITY_BOUNDS[0]:g}, between them "
        "in transition; not decidable where the 95 % interval holds both bounds.",
        "",
    ]


def _caution_lines(sequences: int) -> list[str]:
    return [
        *section("What to keep in mind"),
        f"- The truth is itself measured, on up to {sequences} sequences a split: models near a "
        "bound may be on its other side.",
        "- Entropies change later than the recovery gap: models of the middle have their own row "
        "above, and many are called generalizing.",
        "- `orderly` is a source of low entropy: little separates a memory from a good model, and "
        "the probe says so. From generated sequences alone entropies have no scale of the source; "
        "there only repeats and very small entropies tell.",
        "- All models are small networks with a pairwise field, V and L as in the tables; larger "
        "models are judged by the same ratios, which have no units, but were not calibrated on.",
        "",
    ]


def report(analysis: CalibrationAnalysis) -> Report:
    """What the calibration tells, and the table of coefficients as a file beside it."""
    models, table, each = analysis.told(), analysis.table, alone(analysis)
    scored = {law: scores(analysis, law) for law in LAWS}
    bins = {law: reliability(analysis, law, EDGES) for law in LAWS}
    lines = [
        *_introduction(analysis),
        *_score_lines(scored),
        *_label_lines(models),
        *_alone_lines(each),
        *_reliability_lines(bins),
        *_coefficient_lines(table),
        *_model_lines(models),
        *_caution_lines(analysis.config.sequences),
    ]
    summary = {
        "fitted_to": table["models"],
        "scores": scored,
        "alone": [asdict(row) for row in each],
        "reliability": {law: [asdict(part) for part in found] for law, found in bins.items()},
        "coefficients": {
            name: dict(zip(["intercept", *law["features"]], law["coefficients"], strict=True))
            for name, law in table["laws"].items()
        },
    }
    alls = {law: next(r for r in found if r["source"] == "all") for law, found in scored.items()}
    closing = [
        f"From {law} sequences: sensitivity {_rate(row['found'], row['memorizing'])}, specificity "
        f"{_rate(row['cleared'], row['generalizing'])}; {row['middle']} models of the middle left "
        "out."
        for law, row in alls.items()
    ]
    title = "Calibration of the probe's verdict without training data"
    return Report(title, lines, summary, closing, files={TABLE.name: table_text(analysis)})

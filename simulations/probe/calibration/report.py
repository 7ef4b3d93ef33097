"""report.md, summary.json, the table of coefficients and closing lines of the calibration."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from simulations.measure.tables import markdown, number, spread, to_json
from simulations.probe.calibration.analysis import (
    LABELS,
    TRUTHS,
    CalibrationAnalysis,
    Score,
    scores,
)
from simulations.probe.calibration.config import SOURCES
from simulations.probe.calibration.fit import LAWS, wilson
from simulations.probe.calibration.judgement import alone, reliability
from simulations.probe.judge.verdict import GAP_BOUNDS, PROBABILITY_BOUNDS
from simulations.results.files import write_text
from simulations.results.provenance import provenance
from simulations.sweep.run import SweepOutcome

EDGES = (0.0, 0.05, 0.25, 0.75, 0.95, 1.0)


def table_text(analysis: CalibrationAnalysis, config_hash: str) -> str:
    """What the verdict reads, as JSON, one line a row of coefficients."""
    laws = analysis.table["laws"]
    lines = []
    for name, law in laws.items():
        rows = ",\n    ".join(json.dumps(row) for row in law["replicates"])
        lines.append(
            f"  {json.dumps(name)}: {{\n"
            f'   "features": {json.dumps(law["features"])},\n'
            f'   "coefficients": {json.dumps(law["coefficients"])},\n'
            f'   "replicates": [\n    {rows}\n   ]\n  }}'
        )
    head = {
        "about": "P(memorizing) = 1 / (1 + exp(-c - w x)): coefficients c, w of each law and those "
        "of resampled models. Made by python -m simulations.probe.calibration.study --install.",
        "config_hash": config_hash,
        "configuration": analysis.config.as_dict(),
        "models": analysis.table["models"],
        "judged": [asdict(row) for row in scores(analysis, next(iter(LAWS)))],
        "provenance": provenance(),
    }
    top = ",\n ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items())
    return "{\n " + top + ',\n "laws": {\n' + ",\n".join(lines) + "\n }\n}\n"


def _rate(value: tuple[float, float, float], hits: int, n: int) -> str:
    return f"{hits} of {n}: {number(value[0], 2)} {spread(*value[1:], 2)}" if n else "–"


def _score_row(row: Score) -> list[str]:
    decided = row.memorizing + row.generalizing
    wrong = row.taken_for_generalizing + row.taken_for_memorizing
    v, length = SOURCES.get(row.source, ("", ""))
    named = f"{row.source} (V = {v}, L = {length})" if v else row.source
    return [
        named,
        str(decided + row.middle),
        str(row.middle),
        _rate(row.sensitivity, row.found, row.memorizing),
        _rate(row.specificity, row.cleared, row.generalizing),
        str(wrong),
        str(row.in_transition),
        str(row.undecided),
    ]


def _score_lines(analysis: CalibrationAnalysis) -> list[str]:
    header = ["source", "models", "middle, left out", "sensitivity", "specificity"]
    header += ["on the wrong side", "called in transition", "called not decidable"]
    lines = []
    for law in LAWS:
        table = [_score_row(row) for row in scores(analysis, law)]
        lines += [f"### From {law} sequences", "", *markdown(header, table)]
    return [
        "## Verdict without training data against the truth",
        "",
        "Test models only. Sensitivity: of models that memorize, those called memorizing; "
        "specificity: of models that generalize, those called generalizing; with 95 % intervals "
        "(Wilson). A model called in transition or not decidable counts against both; one on the "
        "wrong side is called the opposite.",
        "",
        *lines,
    ]


def _label_lines(analysis: CalibrationAnalysis) -> list[str]:
    law = next(iter(LAWS))
    models = analysis.of("test")
    rows = []
    for truth in TRUTHS:
        mine = [m for m in models if m.truth == truth]
        counts = [
            f"{sum(m.by_entropy[law].label == label for m in mine)} / "
            f"{sum(m.by_gap is not None and m.by_gap.label == label for m in mine)}"
            for label in LABELS
        ]
        rows.append([truth, str(len(mine)), *counts])
    return [
        "## All test models by truth and label",
        "",
        "By entropy / by the recovery gap with its interval.",
        "",
        *markdown(["truth", "models", *LABELS], rows),
    ]


def _alone_lines(analysis: CalibrationAnalysis) -> list[str]:
    rows = [
        [
            row.name,
            number(row.left_out),
            number(row.log_loss),
            number(row.area, 4),
            f"{row.errors} of {row.n} {spread(*wilson(row.errors, row.n), 2)}",
        ]
        for row in alone(analysis)
    ]
    header = ["features", "log loss, source left out", "log loss, test", "area under the curve"]
    return [
        "## Each feature alone, and together",
        "",
        "Fitted in the same way. The choice of features rests on the second column: calibration "
        "models of one source judged by a fit to the others, nats a model (log 2 = 0.693 says "
        "nothing). Errors: at probability 1/2, with 95 % interval (Wilson).",
        "",
        *markdown([*header, "errors, test"], rows),
    ]


def _reliability_lines(analysis: CalibrationAnalysis) -> list[str]:
    lines = []
    for law in LAWS:
        rows = [
            [
                f"{part.low:g} to {part.high:g}",
                str(part.n),
                number(part.told),
                f"{part.memorizing} {spread(*wilson(part.memorizing, part.n), 2)}"
                if part.n
                else "–",
            ]
            for part in reliability(analysis, law, EDGES)
        ]
        header = ["probability", "test models", "mean probability", "of them memorizing"]
        lines += [f"### From {law} sequences", "", *markdown(header, rows)]
    return [
        "## Probabilities told against what came true",
        "",
        "The middle is left out, as it was in the fit, so frequencies are of decided models.",
        "",
        *lines,
    ]


def _coefficient_lines(analysis: CalibrationAnalysis) -> list[str]:
    rows = []
    for name, law in analysis.table["laws"].items():
        words = [f"{law['coefficients'][0]:+.2f}"]
        pairs = zip(law["features"], law["coefficients"][1:], strict=True)
        words += [f"{value:+.2f} {feature}" for feature, value in pairs]
        rows.append([name, " ".join(words)])
    count = analysis.table["models"]
    return [
        "## The fitted laws",
        "",
        f"Log odds of memorizing, from {count['memorizing']} memorizing and "
        f"{count['generalizing']} generalizing calibration models; normal prior of deviation 10 "
        "on the weights. Features are defined in `simulations/probe/judge/features.py`.",
        "",
        *markdown(["from", "log odds"], rows),
    ]


def _model_lines(analysis: CalibrationAnalysis) -> list[str]:
    law = next(iter(LAWS))
    rows = []
    for model in analysis.of("test"):
        verdict, c = model.by_entropy[law], model.coordinates
        rows.append(
            [
                f"{c['source']}, K = {c['train_size']:,}, {c['loss']}, width {c['width']}",
                number(model.features.recovery_gap),
                number(model.features.calibration_gap),
                number(model.features.own_entropy),
                number(model.features.own_entropy_middle),
                f"{number(verdict.probability)} {spread(verdict.low, verdict.high)}",
                verdict.label,
            ]
        )
    header = ["test model", "recovery gap", "calibration_gap", "own_entropy", "own_entropy_middle"]
    return ["## Every test model", "", *markdown([*header, "probability", "label"], rows)]


def _caution_lines(analysis: CalibrationAnalysis) -> list[str]:
    config = analysis.config
    return [
        "## What to keep in mind",
        "",
        f"- The truth is itself measured, on up to {config.sequences} sequences a split: models "
        "near a bound may be on its other side.",
        "- Entropies change later than the recovery gap: models of the middle have their own row "
        "above, and many are called generalizing.",
        "- `orderly` is a source of low entropy: little separates a memory from a good model, and "
        "the probe says so. From generated sequences alone entropies have no scale of the source; "
        "there only repeats and very small entropies tell.",
        "- All models are small networks with a pairwise field, V and L as in the tables; larger "
        "models are judged by the same ratios, which have no units, but were not calibrated on.",
        "",
    ]


def write_report(
    analysis: CalibrationAnalysis, out: Path, name: str, seconds: float, outcome: SweepOutcome
) -> None:
    """Write report.md and summary.json."""
    config = analysis.config
    told = provenance()
    total = sum(model.seconds for model in analysis.models)
    lines = [
        "# Calibration of the probe's verdict without training data",
        "",
        f"Preset {name}: {len(analysis.models)} networks trained on K = "
        f"{', '.join(f'{k:,}' for k in config.train_sizes)} sequences; "
        f"{len(analysis.of('calibrate'))} of the sources {', '.join(config.calibrate)} for the "
        f"fit, {len(analysis.of('test'))} of {', '.join(config.test)} to judge it, every one with "
        "a source, data and weights of its own. Truth: the recovery gap, (R_train - R_heldout) / "
        "(1 - R_heldout) of corrupted tokens by the best change at the level next to t = 0.25; "
        f"memorizing from {GAP_BOUNDS[1]:g} up, generalizing up to {GAP_BOUNDS[0]:g}, middle "
        "between, left out of the fit and of the scores. Labels: memorizing from a probability of "
        f"{PROBABILITY_BOUNDS[1]:g} up, generalizing up to {PROBABILITY_BOUNDS[0]:g}, between them "
        "in transition; not decidable where the 95 % interval holds both bounds.",
        "",
        "![models of known answer](probe_calibration.png)",
        "",
        *_score_lines(analysis),
        *_label_lines(analysis),
        *_alone_lines(analysis),
        *_reliability_lines(analysis),
        *_coefficient_lines(analysis),
        *_model_lines(analysis),
        *_caution_lines(analysis),
        "## Provenance",
        "",
        *[f"- {key}: {value}" for key, value in told.items()],
        f"- training and measuring: {total:.0f} s on one thread; this call {seconds:.0f} s; "
        f"largest memory of a worker: {outcome.peak_rss_mb:.0f} MB",
        "",
    ]
    write_text("\n".join(lines), out / "report.md")
    summary: dict[str, Any] = {
        "configuration": config.as_dict(),
        "scores": {law: [asdict(row) for row in scores(analysis, law)] for law in LAWS},
        "alone": [asdict(row) for row in alone(analysis)],
        "reliability": {
            law: [asdict(part) for part in reliability(analysis, law, EDGES)] for law in LAWS
        },
        "coefficients": {
            name: dict(zip(["intercept", *law["features"]], law["coefficients"], strict=True))
            for name, law in analysis.table["laws"].items()
        },
        "provenance": told,
    }
    write_text(to_json(summary), out / "summary.json")


def print_findings(analysis: CalibrationAnalysis, console: Console) -> None:
    """Sensitivity and specificity, a line each."""
    for law in LAWS:
        row = next(found for found in scores(analysis, law) if found.source == "all")
        console.print(
            f"From {law} sequences: sensitivity "
            f"{_rate(row.sensitivity, row.found, row.memorizing)}, specificity "
            f"{_rate(row.specificity, row.cleared, row.generalizing)}; {row.middle} models of the "
            "middle left out.",
            highlight=False,
            markup=False,
        )

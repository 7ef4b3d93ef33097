"""What the calibration tells, and the table of coefficients that the verdict reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from models.streams import stream
from simulations.measure.tables import markdown, number, section, spread, with_spread
from simulations.probe.calibration.analysis import FIRST, CalibrationAnalysis
from simulations.probe.calibration.config import made
from simulations.probe.calibration.ends import end_lines
from simulations.probe.calibration.families import RIGHT, SOURCES
from simulations.probe.calibration.fit import LAWS, wilson
from simulations.probe.calibration.judgement import (
    CONFIDENT,
    LABELS,
    Alone,
    Bin,
    Estimate,
    Found,
    Score,
    alone,
    found_by_share,
    reliability,
    scores,
)
from simulations.probe.calibration.study import STUDY
from simulations.probe.calibration.truth import CLASSES
from simulations.probe.judge.chances import TABLE
from simulations.probe.judge.verdict import CHANCE, ORDER_BOUNDS, PRIOR
from simulations.results.provenance import provenance
from simulations.results.report import Report

Scores = dict[str, list[Score]]


def table_text(analysis: CalibrationAnalysis, found: Scores) -> str:
    """What the verdict reads, as JSON, one line a row of coefficients."""
    laws = []
    for name, law in analysis.table["laws"].items():
        first = {key: value for key, value in law.items() if key != "replicates"}
        pairs = "".join(f"   {json.dumps(k)}: {json.dumps(v)},\n" for k, v in first.items())
        replicates = ",\n    ".join(json.dumps(row) for row in law["replicates"])
        laws.append(
            f'  {json.dumps(name)}: {{\n{pairs}   "replicates": [\n    {replicates}\n   ]\n  }}'
        )
    head = {
        "about": "P(memorizing) = s(z), P(not generalizing) = s(z + gap), z = c + w x, s the "
        "logistic function, where classes stand as often as counted: coefficients c, w, gap of "
        "each law and those of resampled models. Made by "
        "python -m simulations.probe.calibration --install.",
        "config_hash": STUDY.configuration_hash(analysis.config),
        "configuration": analysis.config.as_dict(),
        "noises": analysis.table["noises"],
        "judged": [asdict(row) for row in found[FIRST]],
        "provenance": provenance(),
    }
    top = ",\n ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items())
    return "{\n " + top + ',\n "laws": {\n' + ",\n".join(laws) + "\n }\n}\n"


def _by_law(header: list[str], found: Mapping[str, Any], row: Callable[..., Any]) -> list[str]:
    """A table for each law, under its name."""
    tables = {law: markdown(header, [row(part) for part in parts]) for law, parts in found.items()}
    return [x for law in tables for x in (f"### From {law}", "", *tables[law])]


def _rate(hits: int, n: int) -> str:
    """A share, counted out, with its 95 % interval."""
    return f"{hits} of {n}: {with_spread(hits / n, *wilson(hits, n), 2)}" if n else "–"


def _estimate(found: Estimate, digits: int = 2) -> str:
    return with_spread(*found, digits)


def _score_row(row: Score) -> list[str]:
    x = row.labels
    generalizing, middle, memorizing = x.truths
    return [
        row.group,
        f"{memorizing} / {middle} / {generalizing}",
        _rate(x.found, memorizing),
        _rate(x.cleared, generalizing),
        f"{x.opposite} ({x.silent})",
        _rate(x.withheld, x.n),
        _estimate(row.log_score),
        _estimate(row.entropy_alone),
        _estimate(row.ranked),
        _estimate(row.ece),
    ]


def _score_lines(found: Scores) -> list[str]:
    header = ["family left out", "memorizing / middle / generalizing", "sensitivity"]
    header += ["specificity", "called the opposite (silently)", "withheld"]
    header += ["log score", "log score, entropy alone", "ranked score", "calibration error"]
    return section(
        "What the verdict says of families that it was not fitted to",
        "Sensitivity: of models that memorize, those called memorizing; specificity: of models "
        "that generalize, those called generalizing; a label in between or withheld counts against "
        f"both. Silently: at a chance above {CONFIDENT:g}, and no check failed. Labels are of "
        f"chances from {CHANCE:g} up at a prior of {PRIOR:.2g} of memorizing. Log score: mean of "
        "-log P of the true one of three classes, nats (log 3 = 1.099 for nothing known); ranked "
        "score: 0 for certain and right, 2 for certain of the other "
        "end; calibration error: of P(memorizing), over five bins (of few models it is large by "
        "chance). Intervals, 95 %, are over models: Wilson's for shares, else a bootstrap within "
        "families. Entropy alone: the same fit to the entropies that the paper's probe reads.",
    ) + _by_law(header, found, _score_row)


def _label_lines(models: list[Any]) -> list[str]:
    table = []
    for truth in CLASSES:
        mine = [m for m in models if m.truth == truth and m.common]
        counts = [f"{sum(m.label == x for m in mine)}" for x in LABELS]
        withheld = sum(m.label not in LABELS for m in mine)
        table.append([truth, str(len(mine)), *counts, str(withheld)])
    return section("All models by truth and label, without real and wrong text") + markdown(
        ["truth", "models", *LABELS, "withheld"], table
    )


def _share_lines(found: dict[str, list[Found]]) -> list[str]:
    header = ["share memorized", "models", "called memorizing"]
    return section(
        "How much must be memorized to be told without training data",
        "Models that memorize, beside right text, each family judged by a fit to the others.",
    ) + _by_law(
        header, found, lambda x: [f"{x.low:g} to {x.high:g}", str(x.n), _rate(x.found, x.n)]
    )


def _alone_lines(found: list[Alone]) -> list[str]:
    table = [
        [row.name, str(row.n), _estimate(row.log_score), _estimate(row.ranked), number(row.area)]
        for row in found
    ]
    return section(
        "Each feature alone, and together",
        "Fitted in the same way, every family judged by a fit to the others. The choice of "
        "features rests on the log score. Area: under the curve of memorizing against generalizing "
        "models.",
    ) + markdown(["features", "models", "log score", "ranked score", "area"], table)


def _reliability_row(part: Bin) -> list[str]:
    interval = spread(*wilson(part.memorizing, part.n), 2)
    return [
        f"{part.low:g} to {part.high:g}",
        str(part.n),
        number(part.told),
        f"{part.memorizing} {interval}" if part.n else "–",
    ]


def _reliability_lines(found: dict[str, list[Bin]]) -> list[str]:
    header = ["P(memorizing)", "models", "mean probability", "of them memorizing"]
    return section(
        "Probabilities told against what came true",
        "Of models beside right text, each family judged by a fit to the others; the middle counts "
        "as not memorizing. Probabilities hold where networks memorize as often as here: at "
        "another prior the evidence is a likelihood ratio (`--prior`).",
    ) + _by_law(header, found, _reliability_row)


def _coefficient_lines(table: dict[str, Any]) -> list[str]:
    rows = []
    for name, law in table["laws"].items():
        intercept, *weights, gap = law["coefficients"]
        pairs = zip(law["features"], weights, strict=True)
        words = [f"{intercept:+.2f}", *(f"{value:+.2f} {feature}" for feature, value in pairs)]
        counts = ", ".join(f"{n} {kind}" for kind, n in law["classes"].items())
        rows.append([name, " ".join(words), f"{gap:.2f}", f"{law['lapse']:g}", counts])
    return section(
        "The fitted laws",
        "Log odds of memorizing, and what is to be added for those of not generalizing; fitted to "
        f"all families beside right text, of {', '.join(table['noises'])} noise; normal prior of "
        "deviation 10 on the weights; with the probability `lapse` a law knows nothing, chosen by "
        "the log score of families left out. Features are defined in "
        "`simulations/probe/judge/features.py`, `near` in `states.py` beside it.",
    ) + markdown(["law", "log odds of memorizing", "gap", "lapse", "models"], rows)


def _model_lines(models: list[Any]) -> list[str]:
    names = tuple(dict.fromkeys(name for used in LAWS.values() for name in used))
    table = [
        [
            f"{m.family}: {m.source}, K = {m.train_size:,}, width {m.width}"
            + ("" if m.heldout == RIGHT else f", text {m.heldout}"),
            with_spread(m.share, m.share_low, m.share_high, 2),
            *(number(getattr(m, name), 2) for name in names),
            with_spread(m.probability, m.low, m.high, 2),
            m.label,
            m.failed or "none",
        ]
        for m in models
    ]
    header = ["model", "share memorized", *names, "chance", "label", "failed checks"]
    return section("Every model") + markdown(header, table)


def _family_lines(analysis: CalibrationAnalysis) -> list[str]:
    table = []
    for name, family in made(analysis.config).items():
        sources = ", ".join(
            f"{s} (V = {SOURCES[s].vocab_size}, L = {SOURCES[s].seq_len})" for s in family.sources
        )
        sizes = ", ".join(f"{k:,}" for k in analysis.config.sizes_of(family))
        table.append([name, family.about, sources, sizes])
    return section("Families") + markdown(["family", "what is varied", "sources", "K"], table)


def _introduction(analysis: CalibrationAnalysis) -> list[str]:
    data, config = analysis.data, analysis.config
    missing = [name for name in config.families if name not in made(config)]
    lacking = [f"Left out, as they need --text FILE: {', '.join(missing)}.", ""] if missing else []
    lowest, highest = ORDER_BOUNDS
    return [
        f"{data.sizes['model']} networks of {len(made(config))} families, every one with a source, "
        f"data and weights of its own; {data['cell_seconds'].values.sum():.0f} s of training and "
        "measuring on one thread. Each family is judged by laws fitted to the others; where it is "
        "a source, networks of that source in other families are left out too. Networks of real "
        "text and those beside wrong text are judged, never fitted to, and counted apart. Truth: "
        "the share memorized, M = (R_train - R_heldout) / (1 - R_heldout), with R the share of "
        "tokens that are the mode of the `loo` law as t → 0 (of networks trained on `full`, of "
        f"corrupted ones restored at t = 0.1); memorizing from {highest:g} up, generalizing up to "
        f"{lowest:g}, else middle.",
        "",
        *lacking,
    ]


def _caution_lines(analysis: CalibrationAnalysis) -> list[str]:
    return [
        *section("What to keep in mind"),
        f"- The truth is itself measured, on up to {analysis.config.truth} sequences a split: "
        "models near a bound may be on its other side.",
        "- A family that differs from all others in more than one thing may be judged worse than "
        "any here.",
        "- All models are small: larger ones are judged by the same ratios, which have no units.",
        "",
    ]


def report(analysis: CalibrationAnalysis) -> Report:
    """What the calibration tells, and the table of coefficients as a file beside it."""
    models, table, each = analysis.told(), analysis.table, alone(analysis)
    found = {law: scores(analysis, law) for law in LAWS}
    bins = {law: reliability(analysis, law) for law in LAWS}
    by_share = {law: found_by_share(analysis, law) for law in LAWS}
    lines = [
        *_introduction(analysis),
        *_score_lines(found),
        *_label_lines(models),
        *_share_lines(by_share),
        *_alone_lines(each),
        *end_lines(analysis.data, stream(analysis.config.root_seed, "attractors")),
        *_reliability_lines(bins),
        *_coefficient_lines(table),
        *_family_lines(analysis),
        *_model_lines(models),
        *_caution_lines(analysis),
    ]
    common = analysis.data["common"].values
    families = list(dict.fromkeys(analysis.data["family"].values[common].tolist()))
    summary = {
        "models": {law: part["classes"] for law, part in table["laws"].items()},
        "families": families,
        "scores": {law: [asdict(row) for row in rows] for law, rows in found.items()},
        "found_by_share": {law: [x._asdict() for x in rows] for law, rows in by_share.items()},
        "alone": [asdict(row) for row in each],
        "reliability": {law: [asdict(part) for part in parts] for law, parts in bins.items()},
        "coefficients": {
            name: dict(zip(["c", *law["features"], "gap"], law["coefficients"], strict=True))
            for name, law in table["laws"].items()
        },
    }
    closing = [_closing(law, rows[-1]) for law, rows in found.items()]
    title = "Calibration of the probe's verdict without training data"
    return Report(title, lines, summary, closing, files={TABLE.name: table_text(analysis, found)})


def _closing(law: str, row: Score) -> str:
    x = row.labels
    return (
        f"By {law}, families left out: sensitivity {_rate(x.found, x.truths[2])}, "
        f"specificity {_rate(x.cleared, x.truths[0])}, {x.opposite} called the opposite, "
        f"{x.withheld} withheld; log score {_estimate(row.log_score)} nats, by entropy alone "
        f"{_estimate(row.entropy_alone)}."
    )

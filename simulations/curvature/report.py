"""The report of the study of the tail."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from simulations.curvature.analysis import CurvatureAnalysis, Tested, Value, share_agreeing
from simulations.curvature.config import FILTERS, CurvatureConfig
from simulations.measure.checks import MAX_Z
from simulations.measure.tables import check_table, markdown, number, section, spread
from simulations.results.report import Report

TOLERANCE = 0.01  # nats a token, of the K_conv that is shown


def _value(value: Value, digits: int = 2) -> str:
    return f"{number(value.estimate, digits)} {spread(value.low, value.high, digits)}"


def _tail_value(line: Tested, scale: float = 1.0, digits: int = 2) -> str:
    tail = line.tail
    return _value(
        Value(*(scale * x for x in (tail.effective_dimension, tail.low, tail.high))), digits
    )


def _typical(lines: list[Tested], position: int) -> float:
    """Median over lines of curvature over measurement."""
    return float(np.median([line.ratio[position].estimate for line in lines] or [np.nan]))


def answer(analysis: CurvatureAnalysis) -> str:
    """The first line: does the curvature of one model tell the tail?"""
    exact = [line for line in analysis.lines if "steps" not in line.system]
    trained = [line for line in analysis.lines if "steps" in line.system]
    words = []
    for name, lines in (("fitted to the minimum", exact), ("trained networks", trained)):
        if not lines:
            continue
        agreed, total = share_agreeing(lines, len(FILTERS) - 1)
        lines = [line for line in lines if line.resolved]
        typical = _typical(lines, len(FILTERS) - 1)
        text = f"{name}: d_eff of one model's curvature holds the measured K x gap in {agreed} of "
        text += f"{total} cases (median ratio {typical:.2f})"
        if name == "trained networks":
            plain = _typical(lines, 0)
            held = share_agreeing(lines, 0)[0]
            text += f", once the time of training is counted; without it in {held} ({plain:.2f})"
        words.append(text)
    text = "; ".join(words) + "."
    return text[0].upper() + text[1:]


def _definitions(config: CurvatureConfig) -> list[str]:
    v, length = config.vocab_size, config.seq_len
    return section(
        "What is measured",
        f"- Sequences of L = {length} tokens, V = {v}. Gap: loss of unseen less that of stored "
        "sequences on fresh noise of one level, nats a token (linear: squared error per "
        "dimension). Networks: cross-entropy of the `loo` law of resampled sites.\n"
        f"- Measured: K x gap at the K of that model, {config.seeds} training sets; over all sizes "
        "the tail gap = d_eff / K (`measure/tail.py`).\n"
        f"- Curvature: tr(C H^-1) of the model of K = {max(config.train_sizes)}, "
        f"{config.networks} of them, from {config.blocks} blocks of {config.block} held-out "
        "sequences, which its interval resamples. C: covariance over sequences of the gradient of "
        "the loss of the level and that of the loss of training, each averaged over noise; H: "
        "Gauss-Newton curvature of the loss of training. `linear` and `pairwise` are fitted at "
        "each level apart: there both losses are one, Takeuchi's formula.\n"
        "- Takeuchi: 1 / h of every eigenvalue h of H. Weight decay: 1 / (h + decay), the end of "
        "training. Training time: (1 - exp(-(h + decay) time)) / (h + decay), what AdamW's flow "
        "has learnt of it by its end, in coordinates in which its step is the rate. Models fitted "
        "exactly: all three are 1 / h.",
    )


def _main_table(analysis: CurvatureAnalysis) -> list[str]:
    rows, size = [], max(analysis.config.train_sizes)
    for line in analysis.lines:
        curvatures = [_value(value) for value in line.curvature]
        rows.append(
            [
                line.system,
                f"{line.level:g}",
                _value(line.scaled[-1]),
                *(curvatures if "steps" in line.system else ["", "", curvatures[-1]]),
                number(line.exact, 2),
                _value(line.ratio[-1]) if line.resolved else "–",
                line.verdict,
            ]
        )
    header = [
        "system",
        "t",
        f"K x gap, K = {size}",
        *FILTERS,
        "closed form",
        "last over K x gap",
        "verdict",
    ]
    return section("Curvature against measurement") + markdown(header, rows)


def _tail_table(analysis: CurvatureAnalysis) -> list[str]:
    sizes = analysis.config.train_sizes
    rows = []
    for line in analysis.lines:
        tail = line.tail
        slope = _value(Value(tail.slope, tail.slope_low, tail.slope_high))
        predicted = _value(
            Value(
                *(
                    x / TOLERANCE
                    for x in (
                        line.curvature[-1].estimate,
                        line.curvature[-1].low,
                        line.curvature[-1].high,
                    )
                )
            ),
            0,
        )
        scaled = [number(value.estimate, 2) for value in line.scaled]
        rows.append(
            [
                line.system,
                f"{line.level:g}",
                *scaled,
                slope,
                tail.verdict,
                _tail_value(line, 1 / TOLERANCE, 0),
                predicted,
            ]
        )
    header = ["system", "t", *(f"K = {size}" for size in sizes), "slope", "is -1"]
    header += [f"K_conv({TOLERANCE:g}) measured", "from the curvature"]
    text = "K x gap at each size, the slope of log gap on log K, and the size at which the gap is "
    text += f"{TOLERANCE:g}, by measured tail and from the one model."
    return section("The tail", text) + markdown(header, rows)


def _holds(value: Value, wanted: float) -> str:
    if np.isnan(value.low):
        return "no interval"
    return "yes" if value.holds(wanted) else "no"


def _power_table(analysis: CurvatureAnalysis) -> list[str]:
    rows = [
        [
            power.system,
            _value(power.measured),
            _value(power.curvature),
            _holds(power.measured, 2.0),
        ]
        for power in analysis.powers
    ]
    text = "gamma of d_eff proportional to alpha^gamma over the levels. 2 is the value of pair "
    text += "couplings fitted at each level apart; couplings shared by all levels have 1, as only "
    text += "one of the two gradients is of the level; fields, which see no noise, 0; the linear "
    text += "denoiser alpha^2 (1 - alpha^2)^2."
    header = ["system", "gamma measured", "gamma of the curvature", "measured holds 2"]
    return section("Is d_eff proportional to alpha^2?", text) + markdown(header, rows)


def report(analysis: CurvatureAnalysis) -> Report:
    """What the study tells."""
    first = answer(analysis)
    lines = [
        first,
        "",
        *_main_table(analysis),
        *_tail_table(analysis),
        *_power_table(analysis),
        *_definitions(analysis.config),
        "## Closed forms",
        "",
        f"`--check` ends with status 1 beyond {MAX_Z:g} standard errors.",
        "",
        *check_table(analysis.checks),
    ]
    summary = {
        "answer": first,
        "curvature_against_measurement": [
            {**asdict(line), "verdict": line.verdict} for line in analysis.lines
        ],
        "powers": [asdict(power) for power in analysis.powers],
    }
    return Report("The tail from one network", lines, summary, [first], analysis.checks)

"""What the main job tells: the two ends, the transition, radii, entropies, theory held against."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table

from simulations.data.problem import make_source
from simulations.measure.checks import MAX_Z, Row
from simulations.measure.names import EPSILONS, LOG_LOSS_CAP
from simulations.measure.radius import describe
from simulations.measure.tables import check_table, markdown, number, row_table, spread, with_spread
from simulations.phase.analysis import Analysis, minus
from simulations.phase.comparison import Findings
from simulations.results.report import Report


def acceptance(analysis: Analysis) -> dict[str, Any]:
    """The numbers by which one judges whether the two ends are reached."""
    config = analysis.config
    found: dict[str, Any] = {}
    for end, k in (("smallest K", 0), ("largest K", -1)):
        levels = {}
        for i, t in enumerate(config.levels):
            row = {}
            for name in ("corrupted recovery", "all-token recovery"):
                for denoiser, split in (
                    ("trained", "train"),
                    ("trained", "heldout"),
                    ("empirical", "train"),
                    ("population", "heldout"),
                ):
                    if denoiser == "population" and config.source == "text":
                        continue
                    rate = analysis.rate(name, denoiser, "ancestral", split)
                    ends = [rate.low[k, i], rate.high[k, i]]
                    row[f"{name}, {denoiser} {split}"] = [rate.estimate[k, i], *ends]
            levels[f"t={t:g}"] = row
        entropy = {
            split: analysis.law("entropy", "trained", "loo", split).estimate[k, 0]
            for split in ("train", "heldout", "generated", "random")
        }
        found[end] = {
            "train_size": analysis.train_sizes[k],
            "recovery (estimate, low, high)": levels,
            "loo entropy at t=1e-5, nats a token": entropy,
        }
    if config.source != "text":
        law = make_source(config.source, config.vocab_size, config.seq_len).loo_entropy_law()
        found["source loo entropy, nats a token"] = law.mean()
        found["source fraction of tokens below"] = {
            f"{eps:g} nats": law.fraction_below(eps) for eps in EPSILONS
        }
    return found


def _size(value: float) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "past the grid" if value > 0 else "below the grid"
    return f"{value:.4g}"


def _definitions(findings: Findings) -> list[str]:
    config = findings.analysis.config
    return [
        "## What is measured",
        "",
        f"- Source `{config.source}`, V = {config.vocab_size}, L = {config.seq_len}; "
        f"{config.queries} corrupted inputs per split and noise level; {config.seeds} seed(s). "
        + findings.notes,
        "- Corrupted recovery: of the tokens that the channel changed, those restored (pooled "
        "ratio). All-token recovery: of all tokens, those right. Damage: of the unchanged "
        "tokens, those broken.",
        f"- Decoder `ancestral`: {config.n_steps} stochastic reverse steps on the full interval "
        "(a run from t uses its share); for the exact denoisers one exact joint posterior draw. "
        "`argmax`: Bayes token decision on `full`. `best_change`: argmax of `full` over the "
        "other tokens. Generated sequences: "
        f"{config.generation_steps} steps from pure noise.",
        "- Entropies are of the named law in nats a token: `loo` is p(x_0^i | x_t without i), "
        f"`full` is p(x_0^i | x_t). Log losses are capped at {LOG_LOSS_CAP:g} nats a token.",
        f"- NELBO: diffusion term from t_0 = {config.nelbo_start:g} to 1.",
        f"- Intervals: 95 %, {config.replicates} bootstrap replicates over sequences"
        + (
            " and seeds."
            if config.seeds >= 5
            else ", the seeds held fixed (fewer than 5); each seed's own estimate is in "
            "`summary.json`."
        ),
        "",
    ]


def _headline(findings: Findings) -> list[str]:
    """The first thing a reader wants: do both ends reach theory, and where is the transition."""
    analysis = findings.analysis
    config, sizes = analysis.config, analysis.train_sizes
    i = min(range(len(config.levels)), key=lambda j: abs(config.levels[j] - 0.25))
    ends = []
    for k, split, exact in ((0, "train", "empirical"), (-1, "heldout", "population")):
        if exact == "population" and config.source == "text":
            continue
        ours, theirs = (
            analysis.rate("corrupted recovery", d, "ancestral", split).estimate[k, i]
            for d in ("trained", exact)
        )
        ends.append(
            f"K = {sizes[k]:,}: {ours:.3f} on {split} (exact {exact} denoiser {theirs:.3f})"
        )
    lines = [
        f"Corrupted recovery at t = {config.levels[i]:g}, trained against exact denoisers. "
        + "; ".join(ends)
        + "."
    ]
    for name, what in (
        (f"K_half corrupted recovery ancestral t={config.levels[i]:g}", "recovery (K_half)"),
        ("K_H entropy loo train t=1e-05", "entropy alone (K_H, mean, train)"),
    ):
        if name in analysis.sizes:
            size = analysis.sizes[name]
            span = f"{_size(size.low)} to {_size(size.high)}"
            lines.append(f"Transition by {what}: K = {_size(size.value)} [{span}].")
    return ["## In short", "", *(f"- {line}" for line in lines), ""]


def _transition_lines(analysis: Analysis) -> list[str]:
    rows = [
        [
            name,
            _size(size.value),
            f"{_size(size.low)} to {_size(size.high)}",
            ", ".join(_size(v) for v in size.per_seed),
            size.status + (", relative to the largest K" if size.relative else ""),
        ]
        for name, size in analysis.sizes.items()
    ]
    text = (
        f"K_half: the train minus held-out gap falls to half its value at the smallest K. "
        f"K_conv: it stays below {analysis.config.tolerance:g}. K_H: the `loo` entropy on "
        "training or generated sequences passes half-way to its value under the source."
    )
    header = ["estimate", "K", "95 % interval", "by seed", "status"]
    return ["## Where the transition is", "", text, "", *markdown(header, rows)]


def _radius_lines(analysis: Analysis) -> list[str]:
    lines = ["## Basin radii", ""]
    lines += [
        "Largest noise level t at which the criterion holds for at least the share "
        f"{analysis.config.threshold:g} (decoder `ancestral`). `exact`: the query is the sequence "
        "nearest to the output (strictly nearer than every stored sequence other than itself). "
        "`token_recovery`: corrupted recovery. Censored values are given as bounds.",
        "",
    ]
    columns = sorted({key[:3] for key in analysis.radii})
    header = ["K", *(f"{d}, {s}, {c}" for d, s, c in columns)]
    rows = [
        [
            str(k),
            *(
                describe(analysis.radii[(*column, k)], np.array(analysis.config.levels))
                for column in columns
            ),
        ]
        for k in analysis.train_sizes
    ]
    return lines + markdown(header, rows)


def _entropy_lines(analysis: Analysis) -> list[str]:
    header = ["K", "train", "held-out", "generated", "below 0.05 (train)", "calibration gap"]
    header += ["NELBO train", "NELBO held-out", "copies among generated"]
    rows = []
    gap = _calibration(analysis)
    below = analysis.law("fraction below 0.05", "trained", "loo", "train")
    copies = (analysis.data["copy_distance"] == 0).mean(["seed", "sample"]).values
    for k, size in enumerate(analysis.train_sizes):
        row = [str(size)]
        for split in ("train", "heldout", "generated"):
            rate = analysis.law("entropy", "trained", "loo", split)
            row.append(with_spread(rate.estimate[k, 0], rate.low[k, 0], rate.high[k, 0]))
        row.append(number(below.estimate[k, 0]))
        row.append(with_spread(*(part[k] for part in gap)))
        for split in ("train", "heldout"):
            rate = analysis.nelbo["trained", split]
            row.append(with_spread(rate.estimate[k], rate.low[k], rate.high[k]))
        row.append(number(float(copies[k])))
        rows.append(row)
    title = "## Trained model: `loo` entropy at t = 1e-5 and NELBO, nats a token"
    return [title, "", *markdown(header, rows)]


def _calibration(analysis: Analysis) -> tuple[Any, Any, Any]:
    """Held-out calibration gap at t = 1e-5: mean of -log loo(x_i) minus the `loo` entropy."""
    loss = analysis.law("log_loss", "trained", "loo", "heldout")
    entropy = analysis.law("entropy", "trained", "loo", "heldout")
    gap = minus(analysis.config, loss, entropy)
    return gap.estimate[:, 0], gap.low[:, 0], gap.high[:, 0]


def _comparison_lines(findings: Findings) -> list[str]:
    rows = row_table(findings.rows, "trained networks (findings)")
    lines = ["## Theory against simulation", "", *rows]
    worst = max(findings.bounds, key=lambda c: c.z, default=None)
    if worst is not None:
        lines += [
            f"Exact bound: all-token recovery of any decoder never exceeds that of the argmax of "
            f"`full` of the exact denoiser. {len(findings.bounds)} comparisons; the closest to a "
            f"violation has z = {worst.z:.2f} ({worst.name}); the limit is {MAX_Z:g}.",
            "",
        ]
    return [
        *lines,
        f"{len(findings.exact)} comparisons over {findings.exact[0].sets} independent sets each; a "
        f"deviation beyond {MAX_Z:g} standard errors fails `--check`.",
        "",
        *check_table(findings.exact),
    ]


def _bias_lines(findings: Findings) -> list[str]:
    bias = findings.bias
    rows = [
        [
            str(bias["case"].values[i]),
            number(float(bias["ancestral"][i]), 4),
            number(float(bias["exact_draw"][i]), 4),
            number(float(bias["standard_error"][i]), 4),
        ]
        for i in range(bias.sizes["case"])
    ]
    text = (
        f"Measured on the exact denoisers: {findings.analysis.config.n_steps} steps on the full "
        "interval against one exact joint posterior draw."
    )
    header = ["case", "ancestral", "exact draw", "standard error of the gap"]
    return ["## Bias of a finite number of reverse steps", "", text, "", *markdown(header, rows)]


def _closing(rows: list[Row]) -> Table:
    """The table on the terminal: the rows of the headline."""
    table = Table(title="Theory against simulation", title_justify="left")
    for name in ("what", "simulated", "predicted", "95 % of the gap", "verdict"):
        table.add_column(name, justify="left" if name in ("what", "verdict") else "right")
    for row in rows:
        if "argmax" in row.what or ("t=0.25" not in row.what and "entropy" not in row.what):
            continue
        numbers = (number(row.simulated), number(row.predicted), spread(row.low, row.high))
        table.add_row(row.what, *numbers, row.verdict)
    return table


def report(findings: Findings) -> Report:
    """What the main job tells."""
    analysis = findings.analysis
    summary = {
        "acceptance": acceptance(analysis),
        "transition_sizes": {name: asdict(size) for name, size in analysis.sizes.items()},
        "basin_radii": {
            f"{d} {s} {c} K={k}": asdict(radius) for (d, s, c, k), radius in analysis.radii.items()
        },
        "mutual_information": {f"t={t:g}": list(v) for t, v in analysis.information.items()},
        "theory_against_simulation": [asdict(row) for row in findings.rows],
    }
    lines = [
        *_headline(findings),
        *_definitions(findings),
        *_transition_lines(analysis),
        *_radius_lines(analysis),
        *_entropy_lines(analysis),
        *_bias_lines(findings),
        *_comparison_lines(findings),
    ]
    return Report(
        f"Phase diagram: source {analysis.config.source}",
        lines,
        summary,
        [_closing(findings.rows)],
        findings.exact,
        findings.bounds,
    )

"""report.md and the closing lines of the entropy command."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from rich.console import Console

from simulations.data.problem import make_source
from simulations.entropy.analysis import EntropyAnalysis, rows, spread_of_models
from simulations.entropy.bands import POPULATION, Who
from simulations.entropy.config import BIN, CHECK_LEVELS
from simulations.entropy.separation import KINDS, PLATEAU
from simulations.entropy.summary import summary
from simulations.entropy.tables import (
    best_auc_words,
    best_level_lines,
    channel_lines,
    level_words,
    name_of,
    other_run_lines,
    run_lines,
    separation_lines,
    token_lines,
    with_interval,
)
from simulations.measure.checks import MAX_Z
from simulations.measure.tables import check_table, markdown, number, row_table, spread, to_json
from simulations.phase.config import LAWS
from simulations.results.files import write_text
from simulations.results.provenance import provenance
from simulations.sweep.run import SweepOutcome


def _headline(analysis: EntropyAnalysis) -> list[str]:
    config = analysis.config
    first, last = config.train_sizes[0], config.train_sizes[-1]
    ends = [
        f"{with_interval(analysis.runs['trained', size][0, 0, -1])} for K = {size:,}"
        for size in config.train_sizes
    ]
    exact = [
        with_interval(analysis.runs[who][0, 0, -1]) for who in (("empirical", first), POPULATION)
    ]
    half = [
        f"{with_interval(analysis.half_way[who])} for {words}"
        for who, words in (
            (("trained", first), f"K = {first:,}"),
            (("empirical", first), "its exact memorizer"),
            (("trained", last), f"K = {last:,}"),
            (POPULATION, "the population denoiser"),
        )
    ]
    predicted, measured = (analysis.separations[kind, "generated", first].peaks for kind in KINDS)
    loo, full = (
        f"{level_words(predicted[law])} predicted and {level_words(measured[law])} measured, "
        f"with d' = {with_interval(predicted[law].height, 2)} and "
        f"{with_interval(measured[law].height, 2)}"
        for law in LAWS
    )
    low, high = (with_interval(measured["loo"].plateau[k]) for k in (0, 1))
    return [
        "## In short",
        "",
        f"1. From noise to text the `loo` entropy falls from log V = "
        f"{math.log(config.vocab_size):.3f} nats to {', '.join(ends)} (exact memorizer "
        f"{exact[0]}, population denoiser {exact[1]}); it passes half of log V at "
        f"t = {', '.join(half)}.",
        f"2. On generated sequences the entropy of one sequence tells K = {first:,} from K = "
        f"{last:,} best at t* = {loo} (`loo`); for `full` at t* = {full}.",
        f"3. At the t = 1e-5 of the paper's code `loo` reaches d' = "
        f"{with_interval(predicted['loo'].small, 2)} predicted and "
        f"{with_interval(measured['loo'].small, 2)} measured, `full` "
        f"{with_interval(measured['full'].small, 2)} measured; measured `loo` keeps "
        f"{100 * PLATEAU:.0f} % of its best d' from t = {low} to {high}.",
        "",
    ]


def _definitions(analysis: EntropyAnalysis) -> list[str]:
    config = analysis.config
    return [
        "## What is measured",
        "",
        f"- Source `{config.source}`, V = {config.vocab_size}, L = {config.seq_len}; "
        f"{config.seeds} seed(s): data sets and networks ({config.model}, trained as in the main "
        f"job); {config.sequences} sequences of each kind per seed.",
        "- A law is `loo`, p(x_0^i | x_t without i), or `full`, p(x_0^i | x_t). Entropy, largest "
        "probability and spectral gap (largest less second) are means over the tokens of a "
        "sequence, nats or probabilities.",
        f"- Run: the reverse process from uniform tokens at t = 1 in {config.n_steps} steps, "
        "each model its own; statistics at (x_t, t) before every step, and of the result at "
        "t = 1e-5. Channel: clean sequences noised to level t.",
        "- Exact denoisers: `empirical`, of the same K sequences (pure memory); `population`, of "
        "the source (pure generalization).",
        "- d'(t) = (mean of the generalizer - mean of the memorizer) / square root of the mean of "
        "their variances, over sequences, of one pair of models; mean over seeds. AUC: chance that "
        "a sequence of the memorizer has the lower entropy (1: every pair in order, so that it "
        "says no more than that). Predicted: empirical against population denoiser. Measured: "
        "trained against trained.",
        "- t*: vertex of the parabola in t through the largest d' and its two neighbours, among "
        "levels at which the optimal memorizer still has its sequences, log K < I(x_0; x_t). "
        f"Plateau: levels around it with at least {100 * PLATEAU:.0f} % of that d'.",
        f"- Intervals: 95 %, {config.replicates} bootstrap replicates over sequences"
        + (" and seeds." if config.seeds >= 5 else ", the seeds held fixed (fewer than 5)."),
        "",
    ]


def _ratio(analysis: EntropyAnalysis, who: Who, level: int) -> str:
    value, low, high = spread_of_models(analysis, who, "generated", level)
    return f"{number(value, 2)} {spread(low, high, 2)}" if math.isfinite(value) else "–"


def _caveat_lines(analysis: EntropyAnalysis) -> list[str]:
    config = analysis.config
    first, last = config.train_sizes[0], config.train_sizes[-1]
    measured = analysis.separations["measured", "generated", first]
    best = measured.peaks["loo"]
    nearest = int(np.abs(np.array(config.all_levels) - best.level.estimate).argmin())
    places = {"1e-5": 0, f"{config.all_levels[nearest]:g}": nearest}
    places[f"{config.levels[-1]:g}"] = len(config.levels)
    table = [
        [name_of(who), *(_ratio(analysis, who, k) for k in places.values())]
        for who in (("trained", first), ("trained", last))
    ]
    ends = [
        f"{kind} {with_interval(analysis.separations[kind, 'generated', first].d_prime[0, -1], 2)}"
        for kind in KINDS
    ]
    aucs = [
        best_auc_words(analysis.separations[kind, "generated", first].peaks["loo"])
        for kind in KINDS
    ]
    held = [
        with_interval(analysis.separations["measured", "heldout", first].peaks[law].small, 2)
        for law in LAWS
    ]
    return [
        "## Caveats",
        "",
        "- d' is of one pair of models. How far models of one K lie apart (standard deviation of "
        "their mean `loo` entropy on generated sequences, over that between sequences of one "
        "model) says how well a third model may be judged by "
        "them; intervals as for normal means:",
        "",
        *markdown(["model", *(f"t = {t}" for t in places)], table),
        "- Beyond the level where log K = I(x_0; x_t) (shaded in the figure) d' rests on the "
        "frequencies of tokens in K sequences. Towards t = 1 both entropies lose their spread over "
        "sequences while that difference stays, so d' of exact denoisers grows without bound; at "
        f"t = {config.levels[-1]:g} it is {', '.join(ends)}. It then needs an entropy known to "
        "within a few hundredths of a nat, and t* is not looked for there.",
        "- On held-out sequences a memorizer is confident and wrong, and not more confident "
        f"everywhere: at t = 1e-5 d' measured there is {held[0]} (`loo`) and {held[1]} (`full`). "
        "Below 0 the memorizer has the higher entropy. On such text the calibration gap (main job) "
        "is the better probe.",
        "- Where entropies are 0 but for rare corrupted tokens (`full` at t = 1e-5) the law of a "
        "mean of few sequences is not normal, and n says little.",
        "- An AUC of 1 is saturated: it cannot rank levels. Below 1 it need not agree with d', "
        "which counts the spread and not the overlap: near the level where a memorizer loses its "
        "sequences, a few of them have the entropies of a generalizer. On generated "
        f"sequences the largest AUC of `loo` is {aucs[0]} (predicted) and {aucs[1]} (measured).",
        "",
    ]


def write_report(
    analysis: EntropyAnalysis, out: Path, preset: str, wall_time: float, outcome: SweepOutcome
) -> None:
    """Write summary.json and report.md to `out`."""
    config, found = analysis.config, rows(analysis)
    source = make_source(config.source, config.vocab_size, config.seq_len).loo_entropy_law()
    separation = [row for row in found if " from K=" in row.what]
    entropies = [row for row in found if ", against " in row.what]
    write_text(to_json(summary(analysis, found, wall_time, outcome)), out / "summary.json")
    lines = [
        f"# Conditional entropy from noise to text: source {config.source}, preset {preset}",
        "",
        "![figure](entropy.png)",
        "",
        *_headline(analysis),
        *_definitions(analysis),
        *best_level_lines(analysis),
        *run_lines(analysis),
        *_caveat_lines(analysis),
        "## Tables in full",
        "",
        *separation_lines(analysis),
        "Trained pairs against exact ones:",
        "",
        *row_table(separation, "d' and t* (findings)"),
        *other_run_lines(analysis),
        "Trained networks against exact denoisers, along the run:",
        "",
        *row_table(entropies, "trained against exact (findings)"),
        *channel_lines(analysis),
        *token_lines(analysis, source.fraction_below(BIN)),
        "## Exact predictions",
        "",
        f"Of the two exact denoisers alone; `--check` ends with status 1 beyond {MAX_Z:g} standard "
        "errors. `come true - told`: a true posterior foretells its own success (mean over t = "
        f"{', '.join(f'{t:g}' for t in CHECK_LEVELS)}). `reverse run - channel`: runs whose steps "
        "draw x_0 jointly, exact for any number of steps.",
        "",
        *check_table(analysis.checks),
        "## Provenance",
        "",
        *(f"- {key}: {value}" for key, value in provenance().items()),
        f"- wall time of this call: {wall_time:.0f} s; largest memory of a worker: "
        f"{outcome.peak_rss_mb:.0f} MB",
        "",
    ]
    write_text("\n".join(lines), out / "report.md")


def print_findings(analysis: EntropyAnalysis, console: Console) -> None:
    """The closing lines on the terminal."""
    first, last = analysis.config.train_sizes[0], analysis.config.train_sizes[-1]
    console.print(f"K = {first:,} from K = {last:,}, on generated sequences:")
    for law in LAWS:
        for kind in KINDS:
            peak = analysis.separations[kind, "generated", first].peaks[law]
            console.print(
                f"  {law}, {kind}: t* = {level_words(peak)}, d' = {with_interval(peak.height, 2)}; "
                f"at t = 1e-5 d' = {with_interval(peak.small, 2)}",
                highlight=False,
                soft_wrap=True,
            )
    worst = max(abs(check.z) for check in analysis.checks)
    console.print(
        f"Exact predictions: {len(analysis.checks)} comparisons, largest |z| {worst:.2f}.",
        highlight=False,
    )
    for check in analysis.checks:
        if not check.agrees:
            console.print(f"  [red]deviates[/red] {check.name}: z = {check.z:.1f}", highlight=False)

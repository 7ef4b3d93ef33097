"""What the entropy study tells: verdicts, definitions, tables, caveats."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from simulations.entropy.analysis import EntropyAnalysis, findings
from simulations.entropy.bands import POPULATION, Band, Who
from simulations.entropy.config import CHECK_LEVELS
from simulations.entropy.separation import KINDS, PLATEAU, spread_of_models
from simulations.entropy.tables import (
    best_auc_words,
    best_level_lines,
    channel_lines,
    level_words,
    name_of,
    run_lines,
    run_table,
    separation_lines,
    token_lines,
    with_interval,
)
from simulations.measure.bootstrap import MIN_SEEDS
from simulations.measure.checks import MAX_Z
from simulations.measure.names import LAWS
from simulations.measure.tables import check_table, markdown, row_table, section, with_spread
from simulations.results.report import Report


def _headline(analysis: EntropyAnalysis) -> list[str]:
    config = analysis.config
    first, last = config.train_sizes[0], config.train_sizes[-1]
    end = {who: with_interval(run[0, 0, -1]) for who, run in analysis.runs.items()}
    ends = ", ".join(f"{end['trained', size]} for K = {size:,}" for size in config.train_sizes)
    half = {who: with_interval(band) for who, band in analysis.half_way.items()}
    peaks = [analysis.peaks("generated", first, law) for law in LAWS]
    best = [
        f"{level_words(predicted)} predicted and {level_words(measured)} measured, "
        f"with d' = {with_interval(predicted.height, 2)} and {with_interval(measured.height, 2)}"
        for predicted, measured in peaks
    ]
    (predicted, measured), (_, full) = peaks
    low, high = (with_interval(measured.plateau[k]) for k in (0, 1))
    lines = [
        f"1. From noise to text the `loo` entropy falls from log V = "
        f"{math.log(config.vocab_size):.3f} nats to {ends} (exact memorizer "
        f"{end['empirical', first]}, population denoiser {end[POPULATION]}); it passes half of "
        f"log V at t = {half['trained', first]} for K = {first:,}, {half['empirical', first]} for "
        f"its exact memorizer, {half['trained', last]} for K = {last:,}, {half[POPULATION]} for "
        "the population denoiser.",
        f"2. On generated sequences the entropy of one sequence tells K = {first:,} from K = "
        f"{last:,} best at t* = {best[0]} (`loo`); for `full` at t* = {best[1]}.",
        f"3. At the t = 1e-5 of the paper's code `loo` reaches d' = "
        f"{with_interval(predicted.small, 2)} predicted and {with_interval(measured.small, 2)} "
        f"measured, `full` {with_interval(full.small, 2)} measured; measured `loo` keeps "
        f"{100 * PLATEAU:.0f} % of its best d' from t = {low} to {high}.",
    ]
    return section("In short", "\n".join(lines))


def _definitions(analysis: EntropyAnalysis) -> list[str]:
    config = analysis.config
    held = " and seeds." if config.seeds >= MIN_SEEDS else ", the seeds held fixed (fewer than 5)."
    lines = [
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
        f"- Intervals: 95 %, {config.replicates} bootstrap replicates over sequences{held}",
    ]
    return section("What is measured", "\n".join(lines))


def _ratio(analysis: EntropyAnalysis, who: Who, level: int) -> str:
    value, low, high = spread_of_models(analysis, who, "generated", level)
    return with_spread(value, low, high, 2) if math.isfinite(value) else "–"


def _caveat_lines(analysis: EntropyAnalysis) -> list[str]:
    config = analysis.config
    first, last = config.train_sizes[0], config.train_sizes[-1]
    loo = analysis.peaks("generated", first, "loo")
    gaps = np.abs(np.array(config.all_levels) - float(loo[1].level.estimate))
    places = sorted({0, int(gaps.argmin()), len(config.levels)})
    table = [
        [name_of(who), *(_ratio(analysis, who, k) for k in places)]
        for who in (("trained", first), ("trained", last))
    ]
    ends = [
        f"{kind} {with_interval(analysis.separations[kind, 'generated', first].d_prime[0, -1], 2)}"
        for kind in KINDS
    ]
    aucs = [best_auc_words(peak) for peak in loo]
    held = [with_interval(analysis.peaks("heldout", first, law)[1].small, 2) for law in LAWS]
    return [
        *section("Caveats"),
        "- d' is of one pair of models. How far models of one K lie apart (standard deviation of "
        "their mean `loo` entropy on generated sequences, over that between sequences of one "
        "model) says how well a third model may be judged by them; intervals as for normal means:",
        "",
        *markdown(["model", *(f"t = {config.all_levels[k]:g}" for k in places)], table),
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


def _numbers(band: Band) -> dict[str, Any]:
    return {"value": band.estimate, "low": band.low, "high": band.high, "by_seed": band.per_seed}


def _separations(analysis: EntropyAnalysis) -> dict[str, Any]:
    return {
        f"{kind}, {split}, K={size}, {law}": {
            "t_star": _numbers(peak.level),
            "rises_to_the_end": peak.rising,
            "d_prime_at_t_star": _numbers(peak.height),
            "d_prime_at_1e-5": _numbers(peak.small),
            "auc_at_t_star": _numbers(peak.auc),
            "auc_at_1e-5": _numbers(peak.small_auc),
            "largest_auc_and_first_and_last_level": peak.best_auc,
            "plateau": _numbers(peak.plateau),
            "d_prime": _numbers(pair.d_prime[i]),
            "auc": _numbers(pair.auc[i]),
        }
        for (kind, split, size), pair in analysis.separations.items()
        for i, (law, peak) in enumerate(pair.peaks.items())
    }


def report(analysis: EntropyAnalysis) -> Report:
    """What the entropy study tells."""
    config = analysis.config
    first, last = config.train_sizes[0], config.train_sizes[-1]
    pairs, runs, channels = findings(analysis)
    summary = {
        "levels": config.all_levels,
        "separations": _separations(analysis),
        "half_way_level": {name_of(who): _numbers(b) for who, b in analysis.half_way.items()},
        "copies_among_generated": {k: _numbers(b) for k, b in analysis.copies.items()},
        "collapse_level_and_standard_error": analysis.collapse,
        "theory_against_simulation": [asdict(row) for row in (*pairs, *runs, *channels)],
    }
    lines = [
        *_headline(analysis),
        *_definitions(analysis),
        *best_level_lines(analysis),
        *run_lines(analysis),
        *_caveat_lines(analysis),
        *section("Tables in full"),
        *separation_lines(analysis),
        "Trained pairs against exact ones:",
        "",
        *row_table(pairs, "d' and t* (findings)"),
        "### `full` entropy and confidence on the way",
        "",
        *run_table(analysis, 1, 0),
        *run_table(analysis, 0, 1),
        *run_table(analysis, 0, 2),
        "Trained networks against exact denoisers, along the run:",
        "",
        *row_table(runs, "trained against exact (findings)"),
        *channel_lines(analysis),
        *token_lines(analysis),
        *section(
            "Exact predictions",
            f"Of the two exact denoisers alone; `--check` ends with status 1 beyond {MAX_Z:g} "
            "standard errors. `come true - told`: a true posterior foretells its own success (mean "
            f"over t = {', '.join(f'{t:g}' for t in CHECK_LEVELS)}). `reverse run - channel`: runs "
            "whose steps draw x_0 jointly, exact for any number of steps.",
        ),
        *check_table(analysis.checks),
    ]
    closing = [f"K = {first:,} from K = {last:,}, on generated sequences:"]
    closing += [
        f"  {law}, {kind}: t* = {level_words(peak)}, d' = {with_interval(peak.height, 2)}; "
        f"at t = 1e-5 d' = {with_interval(peak.small, 2)}"
        for law in LAWS
        for kind, peak in zip(KINDS, analysis.peaks("generated", first, law), strict=True)
    ]
    title = f"Conditional entropy from noise to text: source {config.source}"
    return Report(title, lines, summary, closing, analysis.checks)

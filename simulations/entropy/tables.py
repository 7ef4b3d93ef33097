"""Values and tables of the entropy command as text."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

from simulations.data.problem import make_source
from simulations.entropy.analysis import EntropyAnalysis, run_and_channel
from simulations.entropy.bands import POPULATION, Band, Who
from simulations.entropy.config import BIN, CHECK_LEVELS, STATISTICS
from simulations.entropy.separation import ERRORS, KINDS, READ_ON, Peak, sequences_needed
from simulations.measure.names import LAWS, SMALL_LEVEL
from simulations.measure.tables import markdown, number, section, with_spread


def name_of(who: Who) -> str:
    """A denoiser in words."""
    return "population denoiser" if who == POPULATION else f"{who[0]}, K = {who[1]:,}"


def with_interval(band: Band, digits: int = 3) -> str:
    """A value and its interval; a dash where there is none."""
    value = float(band.estimate)
    if not math.isfinite(value):
        return "infinite (no spread)" if math.isinf(value) else "–"
    return with_spread(value, float(band.low), float(band.high), digits)


def level_words(peak: Peak) -> str:
    """t* with its interval."""
    if math.isinf(peak.height.estimate):
        return "undefined"
    words = with_interval(peak.level)
    return f"{words} (rises to the end)" if peak.rising else words


def best_auc_words(peak: Peak) -> str:
    """The largest AUC and the levels that have it."""
    value, *ends = peak.best_auc
    first, last = (number(t) for t in ends)
    where = f"t = {first}" if first == last else f"t = {first} to {last}"
    return f"{'1' if value == 1 else number(value, 4)} at {where}"


def _auc_words(auc: Band) -> str:
    return "1 (saturated)" if auc.estimate == 1 else with_interval(auc, 4)


def _needed_words(d_prime: Band) -> str:
    """Sequences needed; the interval is that of d', turned round."""
    ends = (float(part) for part in (d_prime.estimate, d_prime.high, d_prime.low))
    value, low, high = ("–" if math.isinf(n) else f"{n:.0f}" for n in map(sequences_needed, ends))
    return value if low == value == high else f"{value} [{low}, {high}]"


PEAK_COLUMNS: dict[str, Callable[[Peak], str]] = {
    "t*": level_words,
    "d' at t*": lambda peak: with_interval(peak.height, 2),
    "plateau": lambda peak: " to ".join(with_interval(peak.plateau[k], 2) for k in (0, 1)),
    "d' at 1e-5": lambda peak: with_interval(peak.small, 2),
    "AUC at t*": lambda peak: _auc_words(peak.auc),
    "AUC at 1e-5": lambda peak: _auc_words(peak.small_auc),
    "largest AUC": best_auc_words,
    "n at t*": lambda peak: _needed_words(peak.height),
    "n at 1e-5": lambda peak: _needed_words(peak.small),
}


def best_level_lines(analysis: EntropyAnalysis) -> list[str]:
    """The main table: where the entropy of generated sequences separates best, and how well."""
    sizes, table, columns = analysis.config.train_sizes, [], ("t*", "d' at t*", "d' at 1e-5")
    for size, law in product(sizes[:-1], LAWS):
        peaks = analysis.peaks("generated", size, law)
        words = [PEAK_COLUMNS[what](peak) for what in columns for peak in peaks]
        table.append([f"{size:,}", f"`{law}`", *words])
    mean, variance = (
        next(c.exact for c in analysis.checks if words in c.name)
        for words in ("loo entropy at t=1e-05", "variance of it")
    )
    exact = f"{math.sqrt(2 / variance) * mean:.3f}" if variance > 0 else "infinite (no spread)"
    return [
        *section(
            "Which level separates best",
            f"From K = {sizes[-1]:,}, on {READ_ON['generated']}; other sequences, AUC and how many "
            "sequences it takes are in the tables in full.",
        ),
        *markdown(["K", "law", *(f"{what} {kind}" for what in columns for kind in KINDS)], table),
        "Exact: as t goes to 0, `loo` of a memorizer of distinct sequences is sure, so on its own "
        f"sequences d' tends to √2 mean / standard deviation of the source = {exact}.",
        "",
    ]


def separation_lines(analysis: EntropyAnalysis) -> list[str]:
    """Peaks of every K, law and pair of models, by the sequences they are read on."""
    lines = ["### Separation", ""]
    for split, words in READ_ON.items():
        table = [
            [f"{size:,}", f"`{law}`", kind, *(column(peak) for column in PEAK_COLUMNS.values())]
            for size, law in product(analysis.config.train_sizes[:-1], LAWS)
            for kind, peak in zip(KINDS, analysis.peaks(split, size, law), strict=True)
        ]
        lines += [f"Read on {words}:", "", *markdown(["K", "law", "", *PEAK_COLUMNS], table)]
    words = (
        f"n: sequences of each of two models whose mean entropies a one-sided test tells apart at "
        f"level 5 % with power 99 %, 2 ({ERRORS:.3f} / d')², rounded up (normal means; Cohen 1988, "
        "chapter 2); a dash where d' has the wrong sign."
    )
    return [*lines, words, ""]


def run_table(
    analysis: EntropyAnalysis, law: int, statistic: int, half_way: bool = False
) -> list[str]:
    """A statistic along the run of every denoiser, and where its `loo` entropy is half-way."""
    shown = (*CHECK_LEVELS, SMALL_LEVEL)
    at = [analysis.config.step_levels.index(t) for t in shown]
    header = [f"`{LAWS[law]}` {STATISTICS[statistic]} of the run", *(f"t = {t:g}" for t in shown)]
    rows = []
    for who, run in analysis.runs.items():
        bands = [run[law, statistic, k] for k in at] + [analysis.half_way[who]] * half_way
        rows.append([name_of(who), *map(with_interval, bands)])
    return markdown(header + ["passes log V / 2 at t"] * half_way, rows)


def run_lines(analysis: EntropyAnalysis) -> list[str]:
    """The `loo` entropy of every run, and what the runs end at."""
    shares = [f"{with_interval(share)} (K = {k:,})" for k, share in analysis.copies.items()]
    levels = ", ".join(
        f"{number(t)} ± {number(1.96 * e)} (K = {k:,})" for k, (t, e) in analysis.collapse.items()
    )
    return [
        *section("On the way from noise to text"),
        *run_table(analysis, 0, 0, half_way=True),
        f"Share of generated sequences that are stored ones: {', '.join(shares)}. The optimal "
        f"memorizer loses its sequences where log K = I(x_0; x_t): t = {levels}, 95 % intervals.",
        "",
    ]


def channel_lines(analysis: EntropyAnalysis) -> list[str]:
    """Runs against sequences noised to the same level, and the bias of finitely many steps."""
    levels = [*(t for t in CHECK_LEVELS if t in analysis.config.levels), SMALL_LEVEL]
    table = []
    for who, split in analysis.channels:
        run, through = run_and_channel(analysis, who, split, levels)
        gaps = [(run - through)[k] for k in range(len(levels))]
        table.append([name_of(who), split, *map(with_interval, gaps)])
    names = ("of", "steps", "run", "channel", "error")
    columns = [analysis.data[f"bias_{name}"].values.tolist() for name in names]
    bias = [
        [of, str(steps), number(run - through, 4), number(1.96 * error, 4)]
        for of, steps, run, through, error in zip(*columns, strict=True)
        if "loo" in of
    ]
    return [
        "### Where a run differs from the channel",
        "",
        "`loo` entropy of the own run less that on sequences noised to the same level. With many "
        "steps the run of an exact denoiser has the law of the channel from its own source "
        "(population: held-out; empirical: train), so what remains there is the bias of "
        f"{analysis.config.n_steps} steps, shown below; beyond it, a trained network's run is not "
        "the reverse of the channel.",
        "",
        *markdown(["denoiser", "channel on", *(f"t = {t:g}" for t in levels)], table),
        "Bias of a finite number of steps, on fresh sequences:",
        "",
        *markdown(["exact denoiser", "steps", "run - channel", "± 95 %"], bias),
    ]


def token_lines(analysis: EntropyAnalysis) -> list[str]:
    """Shares of tokens of small entropy, of every denoiser and of the source."""
    config, below = analysis.config, analysis.below
    law = make_source(config.source, config.vocab_size, config.seq_len).loo_entropy_law()
    splits = ("train", "generated", "heldout")
    table = [
        [name_of(w), *(with_interval(below[w, s][0]) if (w, s) in below else "–" for s in splits)]
        for w in analysis.runs
    ]
    return [
        f"### Tokens with `loo` entropy below {BIN:g} nats at t = 1e-5",
        "",
        *markdown(["denoiser", "train", "generated", "held-out"], table),
        f"Under the exact law of the source: {number(law.fraction_below(BIN))}. Counts per "
        f"sequence in bins of {BIN:g} nats, of both laws and all splits: `token_counts` in "
        "`entropy.nc`.",
        "",
    ]

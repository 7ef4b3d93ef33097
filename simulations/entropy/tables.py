"""Values and tables of the entropy command as text."""

from __future__ import annotations

import math

from simulations.entropy.analysis import EntropyAnalysis, everyone, run_and_channel
from simulations.entropy.bands import POPULATION, Band, Who, minus
from simulations.entropy.config import BIN, CHECK_LEVELS, STATISTICS
from simulations.entropy.separation import ERRORS, KINDS, Peak, sequences_needed
from simulations.measure.tables import markdown, number, spread
from simulations.phase.config import LAWS, SMALL_LEVEL

SPLIT_WORDS = {
    "generated": "each model's own generated sequences",
    "train": "training sequences of the memorizer, held-out ones for the generalizer",
    "heldout": "the same held-out sequences for both",
}


def name_of(who: Who) -> str:
    return "population denoiser" if who == POPULATION else f"{who[0]}, K = {who[1]:,}"


def with_interval(band: Band, digits: int = 3) -> str:
    """A value and its interval; a dash where there is none."""
    value = float(band.estimate)
    if not math.isfinite(value):
        return "infinite (no spread)" if math.isinf(value) else "–"
    return f"{number(value, digits)} {spread(float(band.low), float(band.high), digits)}"


def level_words(peak: Peak) -> str:
    if math.isinf(peak.height.estimate):
        return "undefined"
    words = with_interval(peak.level)
    return f"{words} (rises to the end)" if peak.rising else words


def auc_words(auc: Band) -> str:
    return "1 (saturated)" if auc.estimate == 1 else with_interval(auc, 4)


def best_auc_words(peak: Peak) -> str:
    value, *ends = peak.best_auc
    first, last = (number(t) for t in ends)
    where = f"t = {first}" if first == last else f"t = {first} to {last}"
    return f"{'1' if value == 1 else number(value, 4)} at {where}"


def needed_words(d_prime: Band) -> str:
    """Sequences needed; the interval is that of d', turned round."""
    ends = (float(part) for part in (d_prime.estimate, d_prime.high, d_prime.low))
    value, low, high = ("–" if math.isinf(n) else f"{n:.0f}" for n in map(sequences_needed, ends))
    return value if low == value == high else f"{value} [{low}, {high}]"


def best_level_lines(analysis: EntropyAnalysis) -> list[str]:
    """The main table: where the entropy of generated sequences separates best, and how well."""
    header = ["K", "law", "t* predicted", "t* measured", "d' at t* predicted"]
    header += ["d' at t* measured", "d' at 1e-5 predicted", "d' at 1e-5 measured"]
    table = []
    for size in analysis.config.train_sizes[:-1]:
        for law in LAWS:
            peaks = [analysis.separations[kind, "generated", size].peaks[law] for kind in KINDS]
            table.append(
                [
                    f"{size:,}",
                    f"`{law}`",
                    *(level_words(peak) for peak in peaks),
                    *(with_interval(peak.height, 2) for peak in peaks),
                    *(with_interval(peak.small, 2) for peak in peaks),
                ]
            )
    mean, variance = (
        next(c.exact for c in analysis.checks if words in c.name)
        for words in ("loo entropy at t=1e-05", "variance of it")
    )
    exact = f"{math.sqrt(2 / variance) * mean:.3f}" if variance > 0 else "infinite (no spread)"
    return [
        "## Which level separates best",
        "",
        f"From K = {analysis.config.train_sizes[-1]:,}, on {SPLIT_WORDS['generated']}; other "
        "sequences, AUC and how many sequences it takes are in the tables in full.",
        "",
        *markdown(header, table),
        f"Exact: as t goes to 0, `loo` of a memorizer of distinct sequences is sure, so on its own "
        f"sequences d' tends to √2 mean / standard deviation of the source = {exact}.",
        "",
    ]


def separation_lines(analysis: EntropyAnalysis) -> list[str]:
    """Peaks of every K, law and pair of models, by the sequences they are read on."""
    lines = ["### Separation", ""]
    header = ["K", "law", "", "t*", "d' at t*", "plateau", "d' at 1e-5", "AUC at t*"]
    header += ["AUC at 1e-5", "largest AUC", "n at t*", "n at 1e-5"]
    for split, words in SPLIT_WORDS.items():
        table = [
            [
                f"{size:,}",
                f"`{law}`",
                kind,
                *_peak_words(analysis.separations[kind, split, size].peaks[law]),
            ]
            for size in analysis.config.train_sizes[:-1]
            for law in LAWS
            for kind in KINDS
        ]
        lines += [f"Read on {words}:", "", *markdown(header, table)]
    return [
        *lines,
        f"n: sequences of each of two models whose mean entropies a one-sided test tells apart at "
        f"level 5 % with power 99 %, 2 ({ERRORS:.3f} / d')², rounded up (normal means; Cohen 1988, "
        "chapter 2); a dash where d' has the wrong sign.",
        "",
    ]


def _peak_words(peak: Peak) -> list[str]:
    return [
        level_words(peak),
        with_interval(peak.height, 2),
        " to ".join(with_interval(peak.plateau[k], 2) for k in (0, 1)),
        with_interval(peak.small, 2),
        auc_words(peak.auc),
        auc_words(peak.small_auc),
        best_auc_words(peak),
        needed_words(peak.height),
        needed_words(peak.small),
    ]


def _run_table(analysis: EntropyAnalysis, law: int, statistic: int) -> list[list[str]]:
    """Header and rows: a statistic along the run of every denoiser."""
    shown = (*CHECK_LEVELS, SMALL_LEVEL)
    header = [f"`{LAWS[law]}` {STATISTICS[statistic]} of the run", *(f"t = {t:g}" for t in shown)]
    at = [analysis.config.step_levels.index(t) for t in shown]
    return [
        header,
        *(
            [name_of(who), *(with_interval(analysis.runs[who][law, statistic, k]) for k in at)]
            for who in everyone(analysis.config)
        ),
    ]


def run_lines(analysis: EntropyAnalysis) -> list[str]:
    """The `loo` entropy of every run, and what the runs end at."""
    header, *table = _run_table(analysis, 0, 0)
    half_way = [with_interval(analysis.half_way[who]) for who in everyone(analysis.config)]
    shares = ", ".join(
        f"{with_interval(share)} (K = {k:,})" for k, share in analysis.copies.items()
    )
    levels = ", ".join(
        f"{number(t)} ± {number(1.96 * e)} (K = {k:,})" for k, (t, e) in analysis.collapse.items()
    )
    return [
        "## On the way from noise to text",
        "",
        *markdown(
            [*header, "passes log V / 2 at t"],
            [[*row, half] for row, half in zip(table, half_way, strict=True)],
        ),
        f"Share of generated sequences that are stored ones: {shares}. The optimal memorizer loses "
        f"its sequences where log K = I(x_0; x_t): t = {levels}, 95 % intervals.",
        "",
    ]


def other_run_lines(analysis: EntropyAnalysis) -> list[str]:
    """The `full` entropy of every run, and the confidence of `loo`."""
    lines = ["### `full` entropy and confidence on the way", ""]
    for law, statistic in ((1, 0), (0, 1), (0, 2)):
        header, *table = _run_table(analysis, law, statistic)
        lines += markdown(header, table)
    return lines


def channel_lines(analysis: EntropyAnalysis) -> list[str]:
    table = []
    levels = [t for t in CHECK_LEVELS if t in analysis.config.levels]
    for who in everyone(analysis.config):
        for split in ("train", "heldout", "generated"):
            if (who, split) in analysis.channels:
                gaps = [
                    with_interval(minus(*run_and_channel(analysis, who, split, t)))
                    for t in (*levels, SMALL_LEVEL)
                ]
                table.append([name_of(who), split, *gaps])
    data = analysis.data
    bias = [
        [
            str(data["bias_of"].values[k]),
            str(int(data["bias_steps"][k])),
            number(float(data["bias_run"][k] - data["bias_channel"][k]), 4),
            number(1.96 * float(data["bias_error"][k]), 4),
        ]
        for k in range(data.sizes["bias"])
        if "loo" in str(data["bias_of"].values[k])
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
        *markdown(
            ["denoiser", "channel on", *(f"t = {t:g}" for t in (*levels, SMALL_LEVEL))], table
        ),
        "Bias of a finite number of steps, on fresh sequences:",
        "",
        *markdown(["exact denoiser", "steps", "run - channel", "± 95 %"], bias),
    ]


def token_lines(analysis: EntropyAnalysis, source_share: float) -> list[str]:
    table = [
        [
            name_of(who),
            *(
                with_interval(analysis.below[who, split][0])
                if (who, split) in analysis.below
                else "–"
                for split in ("train", "generated", "heldout")
            ),
        ]
        for who in everyone(analysis.config)
    ]
    return [
        f"### Tokens with `loo` entropy below {BIN:g} nats at t = 1e-5",
        "",
        *markdown(["denoiser", "train", "generated", "held-out"], table),
        f"Under the exact law of the source: {number(source_share)}. Counts per sequence in "
        f"bins of {BIN:g} nats, of both laws and all splits: `token_counts` in `entropy.nc`.",
        "",
    ]

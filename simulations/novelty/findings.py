"""Claims about what models make up, each with a number, its interval and a verdict.

The K with most spurious sequences is chosen by the data, so its excess would be too large if it
were estimated on the same data. Every seed is therefore tested at the K that the other seeds chose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.streams import stream
from simulations.measure.bootstrap import MIN_SEEDS, combine_seeds
from simulations.measure.checks import (
    NOT_DECIDABLE,
    NOT_SUPPORTED,
    SUPPORTED,
    Row,
    Verdict,
    compare,
)
from simulations.novelty.analysis import NoveltyAnalysis, Series
from simulations.novelty.config import LABELS, POPULATION, SOURCE, TRAINED, NoveltyConfig


@dataclass(frozen=True)
class Finding:
    """A claim with the number it rests on, its 95 % interval and what each seed says."""

    claim: str
    value: float
    low: float
    high: float
    units: str
    per_seed: tuple[float, ...]
    verdict: Verdict
    decides: str


def picked_by_others(series: Series) -> list[int]:
    """For each seed, the number of the K with the largest mean of the other seeds."""
    seeds = len(series.per_seed)
    if seeds < 2:
        return [int(np.argmax(series.estimate))] * seeds
    others = (series.per_seed.sum(0) - series.per_seed) / (seeds - 1)
    return [int(k) for k in others.argmax(1)]


def at_picked(config: NoveltyConfig, series: Series, picked: list[int]) -> Series:
    """The series, with each seed read at its own K; a trailing axis of one."""
    seeds = np.arange(len(picked))
    per_seed = series.per_seed[seeds, picked][:, None]
    replicates = series.seed_replicates[seeds, :, picked][..., None]
    rng = stream(config.root_seed, "novelty seeds")
    estimate, combined, method = combine_seeds(rng, per_seed, replicates)
    return Series(estimate, combined, per_seed, replicates, method)


def judge(claim: str, series: Series, least: float, units: str, excluded: str = "") -> Finding:
    """Verdict on a claim that the one value of `series` is above 0.

    not supported: the interval lies below `least`, the smallest value of interest; supported: it
    lies above 0; else not decidable, as with fewer seeds than can be resampled, or where
    `excluded` says why.
    """
    low, high = (float(end[0]) for end in series.ends)
    seeds = len(series.per_seed)
    if excluded:
        verdict, decides = NOT_DECIDABLE, excluded
    elif seeds < MIN_SEEDS:
        verdict, decides = NOT_DECIDABLE, f"{MIN_SEEDS} seeds or more; {seeds} cannot be resampled"
    elif np.isnan(low):
        verdict, decides = NOT_DECIDABLE, "more generated sequences: too few have this label"
    elif high < least or low > 0:
        verdict, decides = (NOT_SUPPORTED if high < least else SUPPORTED), ""
    else:
        verdict = NOT_DECIDABLE
        decides = f"more seeds: the interval holds both 0 and {least:g} {units}"
    own = tuple(float(v) for v in series.per_seed[:, 0])
    return Finding(claim, float(series.estimate[0]), low, high, units, own, verdict, decides)


def findings_of(analysis: NoveltyAnalysis) -> list[Finding]:
    """Every claim with its verdict: on the spurious phase, then on what novel sequences are."""
    return spurious_findings(analysis) + novel_findings(analysis)


def spurious_findings(analysis: NoveltyAnalysis) -> list[Finding]:
    """Are there spurious sequences: beyond chance, more than at both ends, the largest class, of
    few states, spliced?"""
    config, excess, d = analysis.config, analysis.excess, analysis.headline
    sizes, least, trained = config.train_sizes, config.least_share, analysis.means[TRAINED]
    stored, repeated, new = (trained.share(d, label) for label in LABELS)
    lead = repeated.map(lambda r, m, n: r - np.maximum(m, n), stored, new)
    picked, most = picked_by_others(excess), picked_by_others(lead)
    at, closest = (", ".join(f"{sizes[k]:,}" for k in sorted({*p})) for p in (picked, most))
    claim = f"there are spurious sequences beyond chance, most at K = {at}"
    found = [judge(claim, at_picked(config, excess, picked), least, "share")]
    for end, words, side in ((0, "smallest", "smaller"), (-1, "largest", "larger")):
        missing = f"{side} K, as the largest excess lies at the end of the grid"
        ended = missing if range(len(sizes))[end] in picked else ""
        claim = f"there are more of them than at the {words} K = {sizes[end]:,}"
        gap = at_picked(config, excess - excess.at(end), picked)
        found.append(judge(claim, gap, least, "share", ended))
    claim = f"they are the largest of the three classes (closest at K = {closest})"
    found.append(judge(claim, at_picked(config, lead, most), 0.0, "share"))
    claim = f"the effective number of unstored states at K = {at} is below K, as of few attractors"
    decades = trained.effective_states().map(lambda n: np.log10(np.array(sizes) / n))
    found.append(judge(claim, at_picked(config, decades, picked), 0.0, "decades below"))
    spliced, fresh = (
        analysis.means[model].of("two pieces", d, label)
        for model, label in ((TRAINED, "spurious"), (SOURCE, "novel"))
    )
    claim = (
        f"spurious sequences at K = {at} join the head and tail of two stored ones, beyond chance"
    )
    return [*found, judge(claim, at_picked(config, spliced - fresh, picked), least, "share")]


def novel_findings(analysis: NoveltyAnalysis) -> list[Finding]:
    """How good are novel sequences, at the largest K and where they become the majority?"""
    config, first, last = analysis.config, analysis.first_novel, -1
    least, units = config.least_excess, "nats a token"
    novel = {m: analysis.surprisal(m, "novel") for m in (TRAINED, SOURCE, POPULATION)}
    words = {SOURCE: "the source's own", POPULATION: "those of its exact denoiser, same steps"}
    k = last if first is None else first
    missing = "larger K, as novel sequences are never the majority" if first is None else ""
    end, place = (f"K = {config.train_sizes[i]:,}" for i in (last, k))
    found = []
    for control, name in words.items():
        claim = f"novel sequences at {end} are less probable than {name}"
        found.append(judge(claim, (novel[TRAINED] - novel[control]).at(last), least, units))
    claim = f"novel sequences at {place}, where they become the majority, are worse than at {end}"
    gap = novel[TRAINED].at(k) - novel[TRAINED].at(last)
    found.append(judge(claim, gap, least, units, missing))
    far = [analysis.means[m].of("distance", analysis.headline, "novel") for m in (SOURCE, TRAINED)]
    claim = f"novel sequences at {place} lie nearer to a stored one than fresh ones do"
    return [*found, judge(claim, (far[0] - far[1]).at(k), 0.5, "tokens nearer", missing)]


def phase(findings: Sequence[Finding]) -> str:
    """The answer to the question of the phase, in words."""
    verdicts = [finding.verdict for finding in findings]
    first = next((v for v in (NOT_SUPPORTED, NOT_DECIDABLE) if v in verdicts[:3]), SUPPORTED)
    return (
        f"Is there an intermediate phase of spurious states? As a class beyond chance that rises "
        f"and falls with K: **{first}**. As the largest class at some K: **{verdicts[3]}**. As few "
        f"states that attract many draws: **{verdicts[4]}**."
    )


def chance_rows(analysis: NoveltyAnalysis) -> list[Row]:
    """Labels of the fresh sequences against their exact expectation, at every K and distance.
    Where a label is never seen in n sequences, its share is taken to lie below 3 / n."""
    config, rows = analysis.config, []
    unseen = 3 / (config.sequences * config.seeds)
    for i, d in enumerate(config.distances):
        for j, label in enumerate(LABELS[:2]):
            series, exact = analysis.means[SOURCE].share(d, label), analysis.law.chance[:, i, j]
            low, high = series.ends
            high = np.where(series.estimate == 0, unseen, high)
            for k, size in enumerate(config.train_sizes):
                gap = (low[k] - exact[k], high[k] - exact[k])
                what = f"{label}, d = {d}, K = {size:,}"
                rows.append(compare(what, series.estimate[k], exact[k], *gap))
    return rows

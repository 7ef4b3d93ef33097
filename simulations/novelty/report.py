"""What the novelty study tells: verdicts, definitions, tables over K."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from simulations.measure.bootstrap import MIN_SEEDS
from simulations.measure.checks import MAX_Z
from simulations.measure.tables import check_table, markdown, number, spread
from simulations.novelty.analysis import (
    POOL,
    Means,
    NoveltyAnalysis,
    Series,
)
from simulations.novelty.config import EMPIRICAL, LABELS, PARTS, POPULATION, SOURCE, TRAINED
from simulations.novelty.findings import Finding, chance_rows, findings_of, phase
from simulations.results.report import Report


def _cells(series: Series, digits: int = 3) -> list[str]:
    """Estimates over K with their intervals."""
    rows = zip(series.estimate, *series.ends, strict=True)
    return [f"{number(v, digits)} {spread(low, high, digits)}" for v, low, high in rows]


def _table(analysis: NoveltyAnalysis, columns: Mapping[str, Sequence[str]]) -> list[str]:
    """A table over K."""
    rows = zip(map("{:,}".format, analysis.config.train_sizes), *columns.values(), strict=True)
    return markdown(["K", *columns], [list(row) for row in rows])


def _count(value: float) -> str:
    if np.isinf(value):
        return "beyond" if value > 0 else "below"
    return "–" if np.isnan(value) else f"{value:,.0f}"


def _counts(value: float, low: float, high: float) -> str:
    return f"{_count(value)} [{_count(low)}, {_count(high)}]"


def _short_lines(analysis: NoveltyAnalysis, findings: Sequence[Finding]) -> list[str]:
    config, passed = analysis.config, []
    for label, words in (("memorized", "falls below"), ("novel", "rises above")):
        size = analysis.sizes[label, analysis.headline]
        ends = _counts(size.value, size.low, size.high)
        passed.append(f"the share of {label} sequences {words} 1/2 at K = {ends}")
    rows = [
        [
            f.claim,
            f"{number(f.value)} {spread(f.low, f.high)} {f.units}",
            ", ".join(number(v) for v in f.per_seed),
            f"**{f.verdict}**" + (f"; it takes {f.decides}" if f.decides else ""),
        ]
        for f in findings
    ]
    return [
        "## In short",
        "",
        phase(findings),
        "",
        f"At d = {analysis.headline} {' and '.join(passed)}.",
        "",
        *markdown(["claim", "value, 95 %", "by seed", "verdict"], rows),
        "Each seed is tested at the K that the other seeds choose, as the excess at a K chosen on "
        "the same data would be too large. Not supported: the whole interval is below the smallest "
        f"value of interest ({config.least_share:g} in share, {config.least_excess:g} nats a "
        "token, half a token of distance, 0 for the largest class and for attractors). Supported: "
        "the whole interval is above 0.",
        "",
    ]


def _definitions(analysis: NoveltyAnalysis) -> list[str]:
    config, law, d = analysis.config, analysis.law, analysis.headline
    memorized, spurious, _ = law.chance[-1, config.distances.index(d)]
    few = config.seeds < MIN_SEEDS
    return [
        "## What is measured",
        "",
        f"- Each of {config.seeds} networks for each K (`{config.model}`, shaped as in the main "
        f"job) is trained on K sequences of the source `{config.source}`, V = {config.vocab_size}, "
        f"L = {config.seq_len}, and generates N = {config.sequences:,} from noise by "
        f"{config.n_steps} reverse steps.",
        "- memorized: a stored sequence lies within Hamming distance d. spurious: none does, but "
        "another generated one (repeated among the generated only, arXiv:2505.21777). novel: "
        "neither. All comparisons are exact searches.",
        f"- Headline d = {d}: the largest at which at most {config.chance:.0%} of fresh sequences "
        "of the source are memorized or spurious, by chance, at every K (else 0); at the largest K "
        f"chance makes {memorized:.2%} memorized and {spurious:.2%} spurious. The source alone "
        "decides it, no network.",
        "- Controls at the same N and K: fresh sequences of the source (perfect generalizer); its "
        "exact denoiser by the same reverse steps (what the steps cost); draws of the exact "
        "denoiser of the K stored ones (perfect memorizer: its repeats are not spurious).",
        "- Excess surprisal: -log p / L - H / L under the source, exact; H / L = "
        f"{law.entropy:.4f} nats a token, spread between its sequences {law.deviation:.3f}. "
        f"Central 95 %: {law.low:.3f} to {law.high:.3f}, quantiles of {POOL:,} simulated ones.",
        "- Pieces: fewest stretches that make up a sequence, each found at the same sites of a "
        "stored one: 1 is a copy, 2 the head of one stored sequence and the tail of another.",
        f"- Intervals: 95 %, {config.replicates} bootstrap replicates over "
        + ("sequences, seeds held fixed" if few else "seeds and sequences (coverage 84 to 97 %)")
        + ". Labels are given once and resampled; a relabelled bootstrap set would repeat all it "
        "drew twice. Within a seed this leaves out that repeats come in groups (up to a factor 1.4 "
        "of the standard error at d = 0), which the spread between seeds holds. A share of exactly "
        "0 or 1 has an interval without width: no other label was seen.",
        "",
    ]


def _share_lines(analysis: NoveltyAnalysis) -> list[str]:
    d, law, rows = analysis.headline, analysis.law, chance_rows(analysis)
    i = analysis.config.distances.index(d)
    columns = {label: _cells(analysis.means[TRAINED].share(d, label)) for label in LABELS}
    for k, label in enumerate(LABELS[:2]):
        columns[f"{label} by chance"] = [number(v, 4) for v in law.chance[:, i, k]]
    columns["spurious beyond chance"] = _cells(analysis.excess)
    stepped = analysis.data["stepped_distance"].transpose("train_size", ...).values
    left = (stepped.reshape(len(stepped), -1) > d).sum(1)
    columns["unstored by the perfect memorizer"] = [f"{n} of {stepped[0].size:,}" for n in left]
    copies = analysis.means[EMPIRICAL].share(0, "memorized").estimate
    worst = max(rows, key=lambda row: abs(row.simulated - row.predicted))
    others = {
        f"{label}, d = {e}": _cells(analysis.means[TRAINED].share(e, label))
        for e in analysis.config.distances
        if e != d
        for label in LABELS[:2]
    }
    return [
        f"## Shares of the generated sequences, d = {d}",
        "",
        *_table(analysis, columns),
        f"By chance: expected of fresh sequences, exact but for an average over {POOL:,} (standard "
        f"error at most {law.chance_error:.1e}). Sampled fresh ones, the same at all K, agree in "
        f"{sum(row.verdict == 'agree' for row in rows)} of {len(rows)} comparisons over K, d and "
        f"label; largest gap {worst.simulated - worst.predicted:+.4f} "
        f"{spread(worst.low, worst.high, 4)} ({worst.what}). Beyond chance: against the sampled "
        "ones, by seed. Perfect memorizer: exact draws are memorized at d = 0 in a share of "
        f"{copies.min():.4f} to {copies.max():.4f} over K; the last column counts its sequences "
        f"that are not, by the same {analysis.config.n_steps} reverse steps as the networks: what "
        "finite steps make up. Where there is none of n, the true share is below 3 / n (95 %).",
        "",
        *(["At the other distances:", "", *_table(analysis, others)] if others else []),
    ]


def _number_lines(analysis: NoveltyAnalysis) -> list[str]:
    d, n, law, means = (
        analysis.headline,
        analysis.config.sequences,
        analysis.law,
        analysis.means[TRAINED],
    )
    i, data = analysis.config.distances.index(d), analysis.data.sel(model=TRAINED)
    most = (data["equal_others"] + 1).where(data["stored_distance"] > 0).max(["seed", "sample"])
    effective = means.effective_states()
    rows = zip(effective.estimate, *effective.ends, strict=True)
    columns: dict[str, Sequence[str]] = {
        f"spurious, N = {n:,}": _cells(means.share(d, "spurious")),
        f"N = {n // PARTS:,}": _cells(means.mean(("part", d, "spurious"))),
        "by chance, N": [number(v, 4) for v in law.chance[:, i, 1]],
        "by chance, N / 4": [number(v, 4) for v in law.part_chance[:, i, 1]],
        "repeated states": _cells(means.mean(("states", 0, "spurious")).map(lambda s: n * s), 1),
        "most frequent": [_count(float(v)) for v in most.values],
        "effective states": ["none equal" if np.isinf(row[0]) else _counts(*row) for row in rows],
    }
    return [
        "## How many spurious sequences there are depends on N",
        "",
        "A sequence is spurious once another is drawn near it, so the share grows with N; the "
        f"second column labels each quarter of the same draws alone (d = {d}). The last three are "
        "for equality, d = 0. repeated states: different unstored sequences that a network draws "
        "more than once. most frequent: draws of the most frequent one, all seeds. effective "
        "states: 1 / P(two draws are equal, given that neither is stored), whatever N; of the "
        f"source itself {1 / law.pairs[0]:,.0f} (exact). Attractors would be few states drawn "
        "often, as the K stored ones are at small K.",
        "",
        *_table(analysis, columns),
    ]


def _quality_lines(analysis: NoveltyAnalysis) -> list[str]:
    stored = -analysis.data["stored_log_prob"].mean("seed").values / analysis.config.seq_len
    columns = {label: _cells(analysis.surprisal(TRAINED, label)) for label in LABELS}
    columns["fresh, novel"] = _cells(analysis.surprisal(SOURCE, "novel"))
    columns["exact denoiser, novel"] = _cells(analysis.surprisal(POPULATION, "novel"))
    columns["stored (exact)"] = [number(round(v - analysis.law.entropy, 12)) for v in stored]
    lines = ["## Quality: excess surprisal, nats a token", "", *_table(analysis, columns)]
    for title, what, digits in (
        ("Share of them inside the source's central 95 %", "typical", 3),
        ("Distance to the nearest stored sequence, tokens", "distance", 2),
        ("Pieces of stored sequences that make them up", "pieces", 2),
        ("Share of them of at most two pieces", "two pieces", 3),
    ):
        kinds = {
            f"{'fresh' if model == SOURCE else 'models'}, {label}": _cells(
                analysis.means[model].of(what, analysis.headline, label), digits
            )
            for model, label in ((TRAINED, "spurious"), (TRAINED, "novel"), (SOURCE, "novel"))
        }
        lines += [f"## {title}", "", *_table(analysis, kinds)]
    return lines


def _caveats(analysis: NoveltyAnalysis) -> list[str]:
    flat = "Every sequence of this source is as probable as any other: quality says nothing here. "
    return [
        "## Caveats",
        "",
        "- Spurious means repeated, at this N. A law that is narrower than the source's repeats "
        "itself as well, without any attractor; few or many effective states, and the pieces they "
        "are made of, say which is nearer. Stability under renewed noise is not measured.",
        "- Repeated sequences, and those memorized by chance, are probable ones: selection lowers "
        "their surprisal, in fresh sequences too.",
        "- " + flat * (analysis.law.deviation < 1e-9) + "One source, one kind of network, one "
        "training length: the K of every passage moves with these. The training sets of a seed "
        "are nested.",
        "",
    ]


def _series(means: Means) -> dict[str, Any]:
    """Every mean of one model, over K."""
    found = {}
    for what, d, label in means.columns:
        alone = what in ("share", "part", "states", "pairs")
        series = means.mean((what, d, label)) if alone else means.of(what, d, label)
        low, high = series.ends
        entry = {"estimate": series.estimate, "low": low, "high": high}
        found[f"{what}, d = {d}, {label}"] = {**entry, "per_seed": series.per_seed}
    return found


def report(analysis: NoveltyAnalysis) -> Report:
    """What the novelty study tells."""
    findings = findings_of(analysis)
    summary = {
        "headline_distance": analysis.headline,
        "source": asdict(analysis.law),
        "findings": [asdict(f) for f in findings],
        "passages": {f"{k}, d = {d}": asdict(s) for (k, d), s in analysis.sizes.items()},
        "means over sequences (K)": {m: _series(means) for m, means in analysis.means.items()},
        "fresh_against_chance": [asdict(row) for row in chance_rows(analysis)],
    }
    lines = [
        *_short_lines(analysis, findings),
        *_definitions(analysis),
        *_share_lines(analysis),
        *_number_lines(analysis),
        *_quality_lines(analysis),
        *_caveats(analysis),
        "## Exact checks of the labels",
        "",
        f"Fresh sequences of a source that is small enough to sum over; beyond {MAX_Z:g} standard "
        "errors `--check` ends with status 1.",
        "",
        *check_table(analysis.checks),
    ]
    told = [
        f"{f.claim}: {f.verdict}, {number(f.value)} {spread(f.low, f.high)} {f.units}"
        for f in findings
    ]
    closing = [phase(findings).replace("**", ""), *told]
    return Report("What the models make up", lines, summary, closing, analysis.checks)

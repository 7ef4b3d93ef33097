"""summary.json, report.md and the closing lines of the basins command."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from simulations.basins.analysis import CRITERIA, Point
from simulations.basins.config import PENALTY, Config
from simulations.basins.theory import MATCHED_ALPHA, exponential_rate
from simulations.measure.checks import MAX_Z, Check
from simulations.measure.radius import describe
from simulations.measure.tables import check_table, markdown, number, to_json
from simulations.results.files import write_text
from simulations.results.provenance import provenance
from simulations.sweep.run import SweepOutcome

WORST = 12  # comparisons of each kind that the report shows


@dataclass(frozen=True)
class Findings:
    """All that is reported of a run."""

    config: Config
    points: list[Point]
    exact: list[Check]
    bounds: list[Check]
    wall_time: float
    outcome: SweepOutcome

    @property
    def failures(self) -> list[Check]:
        """Exact predictions that are off by more than `MAX_Z` standard errors."""
        return [check for check in self.exact + self.bounds if not check.agrees]


def summary(findings: Findings) -> dict[str, Any]:
    """Everything in report.md as plain containers, and every rate."""
    return {
        "configuration": findings.config.as_dict(),
        "provenance": provenance(),
        "wall_time_s": findings.wall_time,
        "peak_rss_mb_of_a_worker": findings.outcome.peak_rss_mb,
        "points": [_plain(point) for point in findings.points],
        "exact_checks": [{**asdict(c), "z": c.z, "agrees": c.agrees} for c in findings.exact],
        "bound_checks": {
            "comparisons": len(findings.bounds),
            "largest_z": max((c.z for c in findings.bounds), default=0.0),
        },
        "exact_failures": [c.name for c in findings.failures],
    }


def _plain(point: Point) -> dict[str, Any]:
    return asdict(point) | {"criterion": point.criterion, "verdict": point.verdict}


def _definitions(config: Config) -> list[str]:
    sizes = "; ".join(f"V = {v}, L = {length}" for v, length in config.panels)
    queries = config.sets * config.queries_per_set
    rates = " and ".join(f"{exponential_rate(v):.4f} (V = {v})" for v, _ in config.panels)
    return [
        "## What is measured",
        "",
        f"- K random sequences are stored ({sizes}); stored ones are sent through the token "
        "channel at noise level t, and the memory restores them. "
        f"{config.sets} independent sets of sequences, {queries} queries a level; a trained "
        "denoiser has one set. All memories see the same sets and corruptions.",
        "- `nearest`: the stored sequence nearest (Hamming) to the output is the queried one, ties "
        "by their share. This is the memory followed by a lookup in the store, so that a "
        "memory that changes nothing scores what the lookup alone does, which is MAP decoding. "
        "`unchanged` says how often that is the case. `exact`: the output equals the stored "
        "sequence, without a lookup. `token recovery`: of the changed tokens, those restored.",
        f"- Radius: largest noise level at which the rate is at least {config.threshold:g} "
        "(monotone fit, linear interpolation); `<` and `>`: beyond the levels that were tried.",
        f"- Intervals: 95 %, {config.replicates} bootstrap replicates over sets; for the trained "
        "denoiser over sequences of its one set.",
        f"- Memories with an energy, and pseudo-likelihood, run one site at a time to a fixed "
        f"point, at most {config.max_iter} sweeps; `capped`: share of the corrupted queries that "
        "met this cap or a cycle. They are not told t.",
        f"- exponential: rate b = {rates} a match, the posterior's own at a kept fraction of "
        f"{MATCHED_ALPHA:g}, fixed. dense, n = 3: three distinct sites. pseudo-likelihood: L2 "
        f"penalty {PENALTY:g}.",
        "- empirical: the exact denoiser of the store at the true t, one posterior draw, or "
        f"the MAP sequence. trained UDDM: an MLP of width {config.width}, "
        f"{config.training.steps} steps of {config.training.batch} sequences, decoded by "
        f"{config.n_steps} ancestral steps on the full interval from the true t.",
        "- Shannon radius: no rule, trained or built, that knows the store and the noise, has a "
        "larger radius of `nearest` or `exact` on average over sets (exact at this K, L, V: "
        "MAP decoding). It says nothing of token recovery, nor of a known number of errors.",
        "",
    ]


def _radius_lines(findings: Findings) -> list[str]:
    levels = np.array(findings.config.levels)
    header = ["memory", "V", "K", "radius, nearest", "Shannon", "ratio", "radius, exact"]
    header += ["radius, token recovery", "capped", "unchanged", "theory", "predicted", "verdict"]
    rows = []
    for point in findings.points:
        nearest, exact, tokens = (point.radii[name] for name in CRITERIA)
        ratio = nearest.value / point.shannon if np.isfinite(nearest.value) else np.nan
        said = f"{point.theory} ({point.criterion})" if np.isfinite(point.predicted) else "–"
        rows.append(
            [
                point.memory,
                str(point.vocab_size),
                f"{point.train_size:,}",
                describe(nearest, levels),
                number(point.shannon, 3),
                number(ratio, 2),
                describe(exact, levels),
                describe(tokens, levels),
                number(point.capped, 3),
                number(point.unchanged, 3),
                said,
                number(point.predicted, 3),
                point.verdict,
            ]
        )
    text = (
        "`predicted` is for the radius of the criterion in brackets. An exact one is read off "
        "the measured levels, as the measurement is, and should agree; the others hold for many "
        "neurons and are findings. One-step predictions say from where a single update of all "
        "sites repairs, not where the basin ends."
    )
    return ["## Radii", "", text, "", *markdown(header, rows)]


def _check_lines(findings: Findings) -> list[str]:
    exact, bounds = findings.exact, findings.bounds
    worst = sorted(exact, key=lambda c: -abs(c.z))[:WORST]
    nearest = sorted(bounds, key=lambda c: -c.z)[:WORST]
    return [
        "## Exact predictions",
        "",
        f"{len(exact)} rates of the empirical denoiser against the finite-size formulas, at every "
        "level and for exact numbers of errors; the standard error is over sets. The largest "
        f"|z| is {max((abs(c.z) for c in exact), default=0.0):.2f}; {MAX_Z:g} fails `--check`. "
        "The largest:",
        "",
        *check_table(worst),
        f"{len(bounds)} comparisons of a memory with MAP decoding, against its exact rate and on "
        "the same queries; only a memory above it deviates. The nearest to that:",
        "",
        *check_table(nearest),
    ]


def write_report(findings: Findings, out: Path, preset: str) -> None:
    """Write summary.json and report.md to `out`."""
    write_text(to_json(summary(findings)), out / "summary.json")
    lines = [
        f"# Basins of attraction against the Shannon limit: preset {preset}",
        "",
        "![figure](basins.png)",
        "",
        *_definitions(findings.config),
        *_radius_lines(findings),
        *_check_lines(findings),
        "## Provenance",
        "",
        *(f"- {key}: {value}" for key, value in provenance().items()),
        f"- wall time of this call: {findings.wall_time:.0f} s; largest memory of a worker: "
        f"{findings.outcome.peak_rss_mb:.0f} MB",
        "",
    ]
    write_text("\n".join(lines), out / "report.md")


def print_table(findings: Findings, console: Console) -> None:
    """The closing lines on the terminal."""
    levels = np.array(findings.config.levels)
    for vocab_size, seq_len in findings.config.panels:
        console.print(f"V = {vocab_size}, L = {seq_len}: radius at the largest K that passed")
        last: dict[str, Point] = {}
        for point in findings.points:
            if point.vocab_size == vocab_size and np.isfinite(point.radii["exact"].value):
                last[point.memory] = point
        for name, point in last.items():
            console.print(
                f"  {name}: K = {point.train_size:,}, exact "
                f"{describe(point.radii['exact'], levels)}, Shannon {point.shannon:.2f}",
                highlight=False,
            )
    checks = findings.exact + findings.bounds
    worst = max((abs(c.z) for c in findings.exact), default=0.0)
    bound = max((c.z for c in findings.bounds), default=0.0)
    console.print(
        f"Exact predictions: {len(findings.exact)}, largest |z| {worst:.2f}; bounds: "
        f"{len(findings.bounds)}, largest z {bound:.2f}; {len(findings.failures)} of "
        f"{len(checks)} beyond {MAX_Z:g} standard errors.",
        highlight=False,
    )
    for check in findings.failures[:10]:
        console.print(f"  [red]deviates[/red] {check.name}: z = {check.z:.1f}", highlight=False)

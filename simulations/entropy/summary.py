"""summary.json of the entropy command."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from simulations.entropy.analysis import EntropyAnalysis
from simulations.entropy.bands import Band
from simulations.entropy.tables import name_of
from simulations.measure.checks import Row
from simulations.results.provenance import provenance
from simulations.sweep.run import SweepOutcome


def _numbers(band: Band) -> dict[str, Any]:
    return {"value": band.estimate, "low": band.low, "high": band.high, "by_seed": band.per_seed}


def summary(
    analysis: EntropyAnalysis, found: list[Row], wall_time: float, outcome: SweepOutcome
) -> dict[str, Any]:
    config = analysis.config
    separations = {
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
    return {
        "configuration": config.as_dict(),
        "provenance": provenance(),
        "wall_time_s": wall_time,
        "peak_rss_mb_of_a_worker": outcome.peak_rss_mb,
        "levels": config.all_levels,
        "separations": separations,
        "half_way_level": {name_of(who): _numbers(b) for who, b in analysis.half_way.items()},
        "copies_among_generated": {k: _numbers(b) for k, b in analysis.copies.items()},
        "collapse_level_and_standard_error": analysis.collapse,
        "theory_against_simulation": [asdict(row) for row in found],
        "exact_checks": [{**asdict(c), "z": c.z, "agrees": c.agrees} for c in analysis.checks],
        "exact_failures": [c.name for c in analysis.checks if not c.agrees],
    }

"""What the basins study tells: definitions, radii of every memory, exact predictions."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from simulations.basins.analysis import CRITERIA, BasinsAnalysis, Point
from simulations.basins.config import PENALTY, Config
from simulations.basins.theory import MATCHED_ALPHA, exponential_rate
from simulations.measure.checks import MAX_Z, Check
from simulations.measure.radius import describe
from simulations.measure.tables import check_table, markdown, number
from simulations.results.report import Report

WORST = 12  # comparisons of each kind that the report shows


def _definitions(config: Config) -> list[str]:
    sizes = "; ".join(f"V = {v}, L = {length}" for v, length in config.panels)
    rates = " and ".join(f"{exponential_rate(v):.4f} (V = {v})" for v, _ in config.panels)
    return [
        "## What is measured",
        "",
        f"- K random sequences are stored ({sizes}); stored ones are sent through the token "
        "channel at noise level t, and the memory restores them. "
        f"{config.sets} independent sets of sequences, {config.queries} queries a level; a trained "
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


def _radius_lines(analysis: BasinsAnalysis) -> list[str]:
    levels = np.array(analysis.config.levels)
    header = ["memory", "V", "K", "radius, nearest", "Shannon", "ratio", "radius, exact"]
    header += ["radius, token recovery", "capped", "unchanged", "theory", "predicted", "verdict"]
    rows = []
    for point in analysis.points:
        radius = point.radii["nearest"].value
        ratio = radius / point.shannon if np.isfinite(radius) else np.nan
        nearest, exact, tokens = (describe(point.radii[name], levels) for name in CRITERIA)
        said = f"{point.theory} ({point.criterion})" if np.isfinite(point.predicted) else "–"
        shannon, capped, unchanged, predicted = (
            number(getattr(point, name)) for name in ("shannon", "capped", "unchanged", "predicted")
        )
        rows.append(
            [
                *(point.memory, str(point.vocab_size), f"{point.train_size:,}"),
                *(nearest, shannon, number(ratio, 2), exact, tokens),
                *(capped, unchanged, said, predicted, point.verdict),
            ]
        )
    text = (
        "`predicted` is for the radius of the criterion in brackets. An exact one is read off "
        "the measured levels, as the measurement is, and should agree; the others hold for many "
        "neurons and are findings. One-step predictions say from where a single update of all "
        "sites repairs, not where the basin ends."
    )
    return ["## Radii", "", text, "", *markdown(header, rows)]


def _check_lines(exact: list[Check], bounds: list[Check]) -> list[str]:
    worst = sorted(exact, key=lambda c: -abs(c.z))[:WORST]
    nearest = sorted(bounds, key=lambda c: -c.z)[:WORST]
    return [
        "## Exact predictions",
        "",
        f"{len(exact)} rates of the empirical denoiser against the finite-size formulas, at every "
        "level and for exact numbers of errors; the standard error is over sets. The largest "
        f"|z| is {max((abs(c.z) for c in worst), default=0.0):.2f}; {MAX_Z:g} fails `--check`. "
        "The largest:",
        "",
        *check_table(worst),
        f"{len(bounds)} comparisons of a memory with MAP decoding, against its exact rate and on "
        "the same queries; only a memory above it deviates. The nearest to that:",
        "",
        *check_table(nearest),
    ]


def _closing(analysis: BasinsAnalysis) -> list[str]:
    levels, lines = np.array(analysis.config.levels), []
    for panel in analysis.config.panels:
        lines.append("V = {}, L = {}: radius at the largest K that passed".format(*panel))
        last: dict[str, Point] = {
            point.memory: point
            for point in analysis.points
            if point.vocab_size == panel[0] and np.isfinite(point.radii["exact"].value)
        }
        lines += [
            f"  {name}: K = {point.train_size:,}, exact "
            f"{describe(point.radii['exact'], levels)}, Shannon {point.shannon:.2f}"
            for name, point in last.items()
        ]
    return lines


def report(analysis: BasinsAnalysis) -> Report:
    """What the basins study tells."""
    points = [
        asdict(point) | {"criterion": point.criterion, "verdict": point.verdict}
        for point in analysis.points
    ]
    return Report(
        "Basins of attraction against the Shannon limit",
        [
            *_definitions(analysis.config),
            *_radius_lines(analysis),
            *_check_lines(analysis.exact, analysis.bounds),
        ],
        {"points": points},
        _closing(analysis),
        checks=analysis.exact,
        bounds=analysis.bounds,
    )

"""What the basins study tells: definitions, radii of every memory, exact predictions."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product

import numpy as np

from simulations.basins.analysis import CRITERIA, BasinsAnalysis, Point
from simulations.basins.config import MEMORIES, PENALTY, STARTS, Config
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


def _erased_lines(analysis: BasinsAnalysis) -> list[str]:
    levels = np.array(analysis.config.erased_levels)
    other = np.array(analysis.config.levels)
    start = {memory.name: STARTS[memory.kind] for memory in MEMORIES}
    header = ["memory", "V", "K", "load", "erased sites", "radius, nearest", "bound", "share"]
    header += ["radius, exact", "share", "filled at random: radius, exact", "bound"]
    rows = []
    for point, changed in zip(analysis.erased, analysis.points, strict=True):
        nearest, exact = (point.radii[name] for name in ("nearest", "exact"))
        shares = [
            number(found.value / point.shannon if np.isfinite(found.value) else np.nan, 2)
            for found in (nearest, exact)
        ]
        rows.append(
            [
                *(point.memory, str(point.vocab_size), f"{point.train_size:,}"),
                *(number(np.log(point.train_size) / point.seq_len), start[point.memory]),
                *(describe(nearest, levels), number(point.shannon), shares[0]),
                *(describe(exact, levels), shares[1]),
                *(describe(changed.radii["exact"], other), number(changed.shannon)),
            ]
        )
    return [
        "## Erasures",
        "",
        "Every token is erased with the probability that replaced it above, and it is known which "
        "ones are. Bound: exact, `am_theory.erasures.basin_radius`; every rule that ends in a "
        "stored sequence that fits the visible tokens is on it, MAP and one draw alike. Share: "
        "radius over bound; the radius is read off the levels that were tried, which can put it a "
        "little above. Load: ln K / L. Visible sites are as free to change as the others.",
        "",
        "- `no field`: erased sites exert none (spins: 0; match counts: no match), and each takes "
        "the token that the visible ones favour, all at once; the usual dynamics follow.",
        "- `known`: the exact denoiser reads them as erased.",
        "- `filled at random`: the trained denoiser knows no mask. To a memory that is not told "
        "which sites are erased a sequence filled at random is one behind the uniform channel, in "
        "law: its radius is that of the table above, in the last columns, and its bound the one "
        "there. The uniform channel is thus erasures with the places forgotten (Blackwell: never "
        "better, for any source or rule), and the distance of the two bounds is what the "
        "optimal memorizer gains by knowing them.",
        "",
        *markdown(header, rows),
    ]


def _check_lines(exact: list[Check], bounds: list[Check]) -> list[str]:
    worst = sorted(exact, key=lambda c: -abs(c.z))[:WORST]
    nearest = sorted(bounds, key=lambda c: -c.z)[:WORST]
    return [
        "## Exact predictions",
        "",
        f"{len(exact)} rates of the empirical denoiser against the finite-size formulas, at every "
        "level, for exact numbers of errors and under erasures; the standard error is over sets. "
        f"The largest |z| is {max((abs(c.z) for c in worst), default=0.0):.2f}; {MAX_Z:g} fails "
        "`--check`. The largest:",
        "",
        *check_table(worst),
        f"{len(bounds)} comparisons of a memory with MAP decoding, against its exact rate and on "
        "the same queries; only a memory above it deviates. The nearest to that:",
        "",
        *check_table(nearest),
    ]


def _closing(analysis: BasinsAnalysis) -> list[str]:
    config = analysis.config
    kinds = (
        ("", analysis.points, config.levels),
        (", erased", analysis.erased, config.erased_levels),
    )
    lines = []
    for panel, (kind, points, tried) in product(config.panels, kinds):
        levels = np.array(tried)
        lines.append("V = {}, L = {}{}: radius at the largest K that passed".format(*panel, kind))
        last: dict[str, Point] = {
            point.memory: point
            for point in points
            if point.vocab_size == panel[0] and np.isfinite(point.radii["exact"].value)
        }
        lines += [
            f"  {name}: K = {point.train_size:,}, exact "
            f"{describe(point.radii['exact'], levels)}, bound {point.shannon:.2f}"
            for name, point in last.items()
        ]
    return lines


def report(analysis: BasinsAnalysis) -> Report:
    """What the basins study tells."""
    points, erased = (
        [asdict(p) | {"criterion": p.criterion, "verdict": p.verdict} for p in found]
        for found in (analysis.points, analysis.erased)
    )
    return Report(
        "Basins of attraction against the Shannon limit",
        [
            *_definitions(analysis.config),
            *_radius_lines(analysis),
            *_erased_lines(analysis),
            *_check_lines(analysis.exact, analysis.bounds),
        ],
        {"points": points, "erased": erased},
        _closing(analysis),
        checks=analysis.exact,
        bounds=analysis.bounds,
    )

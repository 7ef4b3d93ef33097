"""The tables of the main job's report, and their numbers for programs."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import asdict
from typing import Any

import numpy as np

from simulations.measure.checks import MAX_Z
from simulations.measure.feature_size import LEVEL, REFERENCE
from simulations.measure.names import SMALL_LEVEL
from simulations.measure.radius import describe
from simulations.measure.tables import check_table, markdown, number, row_table, with_spread
from simulations.phase.analysis import Analysis, Rate, minus
from simulations.phase.attraction import SHARES, census
from simulations.phase.comparison import Findings
from simulations.phase.foretold import elsewhere
from simulations.phase.order import HEADLINE, READINGS, TITLES, Order
from simulations.phase.tell.summary import (
    foretold_words,
    headline_level,
    ratio_words,
    size_words,
)


def order_lines(findings: Findings) -> list[str]:
    """K_G, K_M and their window at every level by recovery, then by every other reading; rows that
    have neither are left out."""
    orders = findings.orders.orders
    names = [name for name in TITLES if (name, HEADLINE, headline_level(findings)) in orders]
    header = ["denoiser", "t", "K_G", "K_M", "window K_M / K_G"]
    rows = [
        [TITLES[name], f"{t:g}", *_sizes(orders[name, HEADLINE, t])]
        for name in names
        for t in findings.analysis.config.levels
        if _tells(orders[name, HEADLINE, t])
    ]
    lines = ["By recovery of corrupted tokens:", "", *markdown(header, rows)]
    rows = []
    for name in names:
        for reading in READINGS:
            for t in (SMALL_LEVEL, findings.analysis.config.levels[0], headline_level(findings)):
                order = orders.get((name, reading, t))
                if reading != HEADLINE and order is not None and _tells(order):
                    sizes = _sizes(order)
                    rows.append([TITLES[name], reading, f"{t:g}", *sizes])
    header = ["denoiser", "reading", *header[1:]]
    lines += ["By the other readings:", "", *markdown(header, rows)]
    rows = [
        [TITLES[name], ratio_words(ratio), ratio.verdict]
        for name, ratio in findings.orders.limits.items()
    ]
    header = ["denoiser", "K_M(t -> 0) by single tokens / K_H by entropy", "verdict"]
    lines += ["Sizes that lie outside of the grid on both sides are left out.", ""]
    lines += ["Does entropy alone tell where memory is lost?", "", *markdown(header, rows)]
    return [*lines, *_foretold(findings)]


def _foretold(findings: Findings) -> list[str]:
    """K_half by theory beside the measured one, or why there is none."""
    if findings.foretold is not None:
        return [
            f"K_half, at which the gap of train and held-out recovery at t = {LEVEL:g} is half of "
            f"that at K = {REFERENCE}, by the theory of random features: "
            f"{foretold_words(findings.foretold)}. The theory's interval is of what it missed in "
            "the networks that its constants were fitted to and at more steps; wider networks lie "
            "below it, by a factor of up to 2.6 (`python -m simulations.features_law`).",
            "",
        ]
    return [
        "The theory of random features foretells no K_half here, as its constants are known to "
        f"hold for other networks alone: {', '.join(elsewhere(findings.analysis.config))} "
        "(`python -m simulations.features_law`).",
        "",
    ]


def _tells(order: Order) -> bool:
    """Whether one of its two sizes is a number."""
    return any(math.isfinite(s.value) for s in (order.k_generalization, order.k_memory))


def _sizes(order: Order) -> list[str]:
    return [
        size_words(order.k_generalization),
        size_words(order.k_memory),
        ratio_words(order.window),
    ]


def tail_lines(findings: Findings) -> list[str]:
    """d_eff and the slope at every level."""
    rows = []
    for (name, t), tail in findings.orders.tails.items():
        slope = with_spread(tail.slope, tail.slope_low, tail.slope_high, 2)
        dimension = f"{tail.effective_dimension:.0f} [{tail.low:.0f}, {tail.high:.0f}]"
        rows.append([TITLES[name], f"{t:g}", dimension, slope, tail.verdict])
    header = ["denoiser", "t", "d_eff", "slope of log gap on log K", "slope -1?"]
    return markdown(header, rows)


def _of(rate: Rate, k: int) -> tuple[float, float, float]:
    return float(rate.estimate[k]), float(rate.low[k]), float(rate.high[k])


def attractor_records(analysis: Analysis) -> dict[str, Any]:
    """Shares with intervals and the census, by denoiser and K."""
    found: dict[str, Any] = {}
    for name in analysis.denoisers:
        for k, size in enumerate(analysis.train_sizes):
            counted = census(analysis.data, name, size)
            if counted is None:
                continue
            shares = {
                f"{what}, {split}": _of(analysis.share(what, name, split), k)
                for what in SHARES
                for split in ("train", "heldout", "random")
            }
            found[f"{TITLES[name]}, K={size}"] = {**shares, "random starts": asdict(counted)}
    return found


def attractor_lines(analysis: Analysis) -> list[str]:
    """Fixed points, and what random starts find, by denoiser and K."""
    header = ["denoiser", "K", "fixed, train", "fixed, held-out", "tokens kept, held-out"]
    header += ["random starts: stored", "cycles", "attractors", "effective number"]
    rows = []
    for name in analysis.denoisers:
        for k, size in enumerate(analysis.train_sizes):
            counted = census(analysis.data, name, size)
            if counted is None:
                continue
            shares = [
                with_spread(*_of(analysis.share(what, name, split), k), digits=2)
                for what, split in (
                    ("fixed", "train"),
                    ("fixed", "heldout"),
                    ("kept", "heldout"),
                    ("stored", "random"),
                    ("cycle", "random"),
                )
            ]
            effective = (
                f"{counted.effective:,.0f} [{counted.low:,.0f}, {counted.high:,.0f}]"
                if math.isfinite(counted.effective)
                else f"above {counted.starts:,}"
            )
            rows.append([TITLES[name], f"{size:,}", *shares, f"{counted.distinct:.0f}", effective])
    return markdown(header, rows)


def circulation_of(analysis: Analysis, denoiser: str, split: str) -> Rate:
    """Root mean square of the log-odds around random cycles over that of the log-odds, over K."""
    squares = analysis.share("circulation", denoiser, split)
    parts = ("estimate", "low", "high", "replicates", "per_seed")
    return dataclasses.replace(squares, **{name: np.sqrt(getattr(squares, name)) for name in parts})


def circulation_records(analysis: Analysis) -> dict[str, Any]:
    """The ratio with its interval, by denoiser, split and K, and the asymmetry of the couplings."""
    found: dict[str, Any] = {}
    for name in analysis.denoisers:
        for split in ("train", "heldout", "random"):
            rate = circulation_of(analysis, name, split)
            for k, size in enumerate(analysis.train_sizes):
                if not math.isnan(rate.estimate[k]):
                    found[f"{TITLES[name]}, {split}, K={size}"] = _of(rate, k)
    for size in analysis.train_sizes:
        value = float(analysis.data["asymmetry"].sel(train_size=size).isel(seed=0))
        if not math.isnan(value):
            found[f"asymmetry of the pairwise couplings, K={size}"] = value
    return found


def circulation_lines(analysis: Analysis) -> list[str]:
    """How far every denoiser is from having an energy."""
    text = (
        "Log-odds of single flips at t = 1e-5 summed around random cycles of four, root mean "
        "square over that of the log-odds: 0 if and only if the laws come from an energy, 2 if "
        "the four are independent. Training and held-out sequences; beside it the asymmetry "
        "|W - W^T| / |W + W^T| of the pairwise couplings."
    )
    names = analysis.denoisers
    header = ["K"]
    header += [f"{TITLES[name]}, {split}" for name in names for split in ("train", "held-out")]
    header += ["asymmetry"]
    rows = []
    for k, size in enumerate(analysis.train_sizes):
        row = [f"{size:,}"]
        for name in names:
            for split in ("train", "heldout"):
                value = _of(circulation_of(analysis, name, split), k)
                row.append("–" if math.isnan(value[0]) else with_spread(*value, digits=2))
        asymmetry = float(analysis.data["asymmetry"].sel(train_size=size).isel(seed=0))
        rows.append([*row, number(asymmetry, 2)])
    return [text, "", *markdown(header, rows)]


def radius_lines(analysis: Analysis) -> list[str]:
    """Basin radii of the columns that say more than a bound."""
    lines = ["## Basin radii", ""]
    lines += [
        "Largest noise level t at which the criterion holds for at least the share "
        f"{analysis.config.threshold:g} (decoder `ancestral`). `exact`: the query is the sequence "
        "nearest to the output (strictly nearer than every stored sequence other than itself). "
        "`token_recovery`: corrupted recovery. Censored values are given as bounds; columns that "
        "hold nothing but bounds are left out.",
        "",
    ]
    columns = [
        column
        for column in sorted({key[:3] for key in analysis.radii})
        if any(math.isfinite(analysis.radii[(*column, k)].value) for k in analysis.train_sizes)
    ]
    if not columns:
        return [*lines, "All radii lie beyond the levels that were measured.", ""]
    header = ["K", *(f"{TITLES[d]}, {s}, {c}" for d, s, c in columns)]
    rows = [
        [
            f"{k:,}",
            *(
                describe(analysis.radii[(*column, k)], np.array(analysis.config.levels))
                for column in columns
            ),
        ]
        for k in analysis.train_sizes
    ]
    return lines + markdown(header, rows)


def entropy_lines(analysis: Analysis) -> list[str]:
    """Entropies, calibration and NELBO of the network."""
    header = ["K", "train", "held-out", "generated", "below 0.05 (train)", "calibration gap"]
    header += ["NELBO train", "NELBO held-out", "copies among generated"]
    rows = []
    loss = analysis.law("log_loss", "trained", "loo", "heldout")
    gap = minus(analysis.config, loss, analysis.law("entropy", "trained", "loo", "heldout"))
    below = analysis.law("fraction below 0.05", "trained", "loo", "train")
    copies = (analysis.data["copy_distance"] == 0).mean(["seed", "sample"]).values
    for k, size in enumerate(analysis.train_sizes):
        row = [f"{size:,}"]
        for split in ("train", "heldout", "generated"):
            rate = analysis.law("entropy", "trained", "loo", split)
            row.append(with_spread(rate.estimate[k, 0], rate.low[k, 0], rate.high[k, 0]))
        row.append(number(below.estimate[k, 0]))
        row.append(with_spread(gap.estimate[k, 0], gap.low[k, 0], gap.high[k, 0]))
        for split in ("train", "heldout"):
            row.append(with_spread(*_of(analysis.nelbo("trained", split), k)))
        row.append(number(float(copies[k])))
        rows.append(row)
    title = "## Network: `loo` entropy at t = 1e-5 and NELBO, nats a token"
    text = "Calibration gap: held-out log loss minus entropy; 0 for an exact law at every t."
    return [title, "", text, "", *markdown(header, rows)]


def comparison_lines(findings: Findings) -> list[str]:
    """Networks against the exact ends, and what may fail a run."""
    rows = row_table(findings.rows, "trained networks (findings)")
    lines = ["## Theory against simulation", "", *rows]
    worst = max(findings.bounds, key=lambda c: c.z, default=None)
    if worst is not None:
        lines += [
            f"Exact bound: all-token recovery of any decoder never exceeds that of the argmax of "
            f"`full` of the exact denoiser. {len(findings.bounds)} comparisons; the closest to a "
            f"violation has z = {worst.z:.2f} ({worst.name}); the limit is {MAX_Z:g}.",
            "",
        ]
    return [
        *lines,
        f"{len(findings.exact)} comparisons over {findings.exact[0].sets} independent sets each; a "
        f"deviation beyond {MAX_Z:g} standard errors fails `--check`.",
        "",
        *check_table(findings.exact),
    ]


def bias_lines(findings: Findings) -> list[str]:
    """What a finite number of reverse steps costs."""
    bias = findings.bias
    rows = [
        [
            str(bias["case"].values[i]),
            number(float(bias["ancestral"][i]), 4),
            number(float(bias["exact_draw"][i]), 4),
            number(float(bias["standard_error"][i]), 4),
        ]
        for i in range(bias.sizes["case"])
    ]
    text = (
        f"Measured on the exact denoisers: {findings.analysis.config.n_steps} steps on the full "
        "interval against one exact joint posterior draw."
    )
    header = ["case", "ancestral", "exact draw", "standard error of the gap"]
    return ["## Bias of a finite number of reverse steps", "", text, "", *markdown(header, rows)]

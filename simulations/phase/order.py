"""The order parameters of a run: memory and generalization of every trained denoiser, the phases.

Where a source is unknown, as of a text, the memorizer's ends exist all the same; in the law's place
stands the denoiser itself at its largest K, and what follows is marked as relative.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.streams import stream
from simulations.measure.names import EXACT, SMALL_LEVEL
from simulations.measure.order import Ratio, fraction, passage_of_half, ratio_of_halves
from simulations.measure.tail import Tail, fit_tail
from simulations.measure.transition import Curve, Estimate
from simulations.phase.analysis import Analysis, Rate
from simulations.phase.cells import RESTORED

Floats = NDArray[np.float64]

ACTORS = ("trained", "nelbo", "pairwise")
TITLES = {
    "trained": "network",
    "nelbo": "network, NELBO",
    "pairwise": "pseudo-likelihood memory",
    "empirical": "optimal memorizer",
    "population": "exact law",
}
READINGS = {  # the rate, and the decoder of its outputs, or "" for one of the law, at t_entropy
    "recovery": ("corrupted recovery", "ancestral"),
    "best change": ("corrupted recovery", "best_change"),
    "all-token recovery": ("all-token recovery", "ancestral"),
    "entropy": ("entropy", ""),
    "log loss": ("log_loss", ""),
    "single-token recovery": ("own", ""),
}
HEADLINE = "recovery"
OF_DECISIONS = "best change"  # reads no confidence, only which token is the likeliest
PARTS = ("estimate", "replicates", "per_seed")


@dataclass(frozen=True)
class Order:
    """M and G of one denoiser, by one reading, at one level, and where each passes 1/2.

    window : K_M / K_G, above 1 where memory and generalization coexist.
    """

    memory: Curve = field(repr=False)
    generalization: Curve = field(repr=False)
    k_memory: Estimate
    k_generalization: Estimate
    window: Ratio


def rate_of(
    analysis: Analysis, reading: str, denoiser: str, split: str, t: float, beside: str = ""
) -> tuple[Rate, int]:
    """The rate of a reading of READINGS, over all sizes and levels, and the column of the level t;
    with `beside` over the seeds of that denoiser, so that the two pair."""
    name, decoder = READINGS[reading]
    levels = analysis.config.levels
    if decoder:
        return analysis.rate(name, denoiser, decoder, split, beside), levels.index(t)
    return analysis.law(name, denoiser, "loo", split, beside), (SMALL_LEVEL, *levels).index(t)


def curve_of(
    analysis: Analysis, reading: str, denoiser: str, split: str, t: float, beside: str = ""
) -> Curve:
    """`rate_of` at one level, over the sizes at which the denoiser was measured: two or more."""
    rate, level = rate_of(analysis, reading, denoiser, split, t, beside)
    known = ~np.isnan(rate.estimate[:, level])
    return Curve(
        np.array(analysis.train_sizes, dtype=np.float64)[known],
        rate.estimate[known, level],
        rate.replicates[:, known, level],
        rate.per_seed[:, known, level],
        rate.method,
    )


def _at(curve: Curve, sizes: Floats) -> Curve:
    """A curve at some of its sizes."""
    rows = np.searchsorted(curve.train_sizes, sizes)
    parts: dict[str, Any] = {n: getattr(curve, n)[..., rows] for n in PARTS}
    return dataclasses.replace(curve, **{"train_sizes": sizes, **parts})


def _last(curve: Curve) -> Curve:
    """The largest size's value, at every size."""
    parts: dict[str, Any] = {
        name: np.repeat(getattr(curve, name)[..., -1:], len(curve.train_sizes), axis=-1)
        for name in PARTS
    }
    return dataclasses.replace(curve, **parts)


def order_of(analysis: Analysis, denoiser: str, reading: str, t: float) -> Order:
    """The order parameters of one denoiser by one reading at one level."""
    relative = "population" not in analysis.denoisers
    found = {}
    for split in RESTORED:
        ours = curve_of(analysis, reading, denoiser, split, t)
        memorizer, law = (
            _at(curve_of(analysis, reading, name, split, t, denoiser), ours.train_sizes)
            if name in analysis.denoisers
            else _last(ours)
            for name in EXACT
        )
        ends = (law, memorizer) if split == "train" else (memorizer, law)
        found[split] = fraction(ours, *ends)
    memory, generalization = found["train"], found["heldout"]
    return Order(
        memory,
        generalization,
        passage_of_half(f"K_M {reading} t={t:g}", memory, False, relative),
        passage_of_half(f"K_G {reading} t={t:g}", generalization, True, relative),
        ratio_of_halves(memory, generalization, (False, True)),
    )


@dataclass(frozen=True)
class Orders:
    """Every order parameter of a run.

    orders : by denoiser, reading and level. tails : of the gap in recovery, by denoiser and level.
    limits : by denoiser, K_M of single-token recovery over that of entropy, both at t -> 0: whether
    entropy alone tells where memory is lost.
    """

    orders: dict[tuple[str, str, float], Order]
    tails: dict[tuple[str, float], Tail]
    limits: dict[str, Ratio]


def make_orders(analysis: Analysis) -> Orders:
    """The order parameters of all denoisers, by all readings, at all levels."""
    config = analysis.config
    actors = [name for name in ACTORS if name in analysis.denoisers]
    orders, tails, limits = {}, {}, {}
    for name in actors:
        measured = analysis.law("entropy", name, "loo", "train").estimate[:, 0]
        if np.count_nonzero(~np.isnan(measured)) < 2:
            continue
        for reading, (_, decoder) in READINGS.items():
            levels = config.levels if decoder else (SMALL_LEVEL, *config.levels)
            for t in levels if reading != "single-token recovery" else (SMALL_LEVEL,):
                orders[name, reading, t] = order_of(analysis, name, reading, t)
        limits[name] = ratio_of_halves(
            orders[name, "single-token recovery", SMALL_LEVEL].memory,
            orders[name, "entropy", SMALL_LEVEL].memory,
            (False, False),
        )
        for t in config.levels:
            pair = [curve_of(analysis, HEADLINE, name, split, t) for split in RESTORED]
            gap = _difference(*pair)
            if len(gap.train_sizes) >= 3:
                rng = stream(config.root_seed, "tail", name, f"{t:g}")
                tails[name, t] = fit_tail(rng, gap)
    return Orders(orders, tails, limits)


def _difference(first: Curve, second: Curve) -> Curve:
    parts = {name: getattr(first, name) - getattr(second, name) for name in PARTS}
    return dataclasses.replace(first, **parts)

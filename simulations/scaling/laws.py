"""The laws of the transition, each as a hypothesis on measured curves.

Source: the laws are those of `am_theory.scaling`, which names their papers; their values there are
proportionality (slope 1) or independence (slope 0).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulations.linear_curves.config import Case, dimension
from simulations.scaling.collapse import Collapse, collapse
from simulations.scaling.hypothesis import Law, law, slopes
from simulations.scaling.sizes import (
    SIZES,
    Measured,
    SizeName,
    memorized,
    peak_by_seed,
    size_by_seed,
)

Floats = NDArray[np.float64]
# sizes that laws are read from, and whether that reading is among the headlines
READ: dict[SizeName, bool] = {
    "memory": True,
    "generalization": True,
    "recovery": False,
    "change": False,
    "entropy": True,
}
FOUND: tuple[SizeName, ...] = ("generalization", "learned")  # those of a law that is found


def _law(
    group: str,
    statement: str,
    quantity: str,
    x: Floats,
    y: Floats,
    decide: str,
    expected: tuple[float, float] = (1.0, 0.0),
    headline: bool = True,
) -> Law:
    """The slope of log y (seeds, points) on log x (points,) as a law; `expected`: its value by the
    law and by the rival."""
    words, found = f"slope of log {quantity}", slopes(x, y)
    return law(group, statement, words, *expected, found, y.shape[-1], decide, headline)


def _sizes(parts: Sequence[Measured], name: SizeName) -> Floats:
    return np.stack([size_by_seed(part, name) for part in parts], axis=1)


def _counts(parts: Sequence[Measured]) -> Floats:
    return np.array([part.n_parameters for part in parts], dtype=np.float64)


def collapses_of(parts: Sequence[Measured]) -> list[Collapse]:
    """The collapse of the recovery gaps, each over its first value, of networks of all sizes, seed
    by seed."""
    gaps = [part.relative_gap for part in parts]
    return [
        collapse(parts[0].train_sizes, _counts(parts), np.stack([gap[seed] for gap in gaps]))
        for seed in range(len(gaps[0]))
    ]


def parameter_laws(parts: Sequence[Measured], collapses: Sequence[Collapse]) -> list[Law]:
    """K*, memorized information and collapse against the number of parameters, one source, last
    T; `collapses` as `collapses_of` gives them."""
    group, counts = "parameters", _counts(parts)
    where = f"{parts[0].condition.source}, T = {parts[0].condition.steps:,}"
    decide = "longer training of the largest network, more widths, or K beyond the grid"
    found = []
    for name, shown in READ.items():
        statement = f"K* proportional to the number of parameters N ({where})"
        words, sizes = f"{SIZES[name]} on log N", _sizes(parts, name)
        found.append(_law(group, statement, words, counts, sizes, decide, headline=shown))
    statement = f"memorized information at its most proportional to N ({where})"
    words = "max_K M on log N, M = K (H - code length)"
    held = np.stack([memorized(part).max(1) for part in parts], axis=1)
    found.append(_law(group, statement, words, counts, held, decide))
    for part in parts:
        before, last = sizes = part.train_sizes[-2:]
        statement = f"memorized information saturates in K ({where}, N = {part.n_parameters:,})"
        words = f"M on log K between K = {before:,.0f} and {last:,.0f}"
        short = "longer training: a network that is short of steps holds less at large K"
        ends = memorized(part)[:, -2:]
        found.append(_law(group, statement, words, sizes, ends, short, (0.0, 1.0), False))
    statement = f"gaps of all networks are one function of K / N ({where})"
    words = "exponent eta of K / N^eta that collapses them best"
    exponents = np.array([one.exponent for one in collapses])
    found.append(law("collapse", statement, words, 1.0, 0.0, exponents, len(parts), decide))
    return found


def step_laws(parts: Sequence[Measured], binds: bool) -> list[Law]:
    """K* against the number of steps at one width. `binds`: time is expected to bind (the
    largest network), else capacity (the smallest)."""
    steps = np.array([part.condition.steps for part in parts], dtype=np.float64)
    words = "proportional to T where time binds" if binds else "independent of T at capacity"
    statement = f"K* {words} ({parts[0].condition.source}, N = {parts[0].n_parameters:,})"
    expected = (1.0, 0.0) if binds else (0.0, 1.0)
    spans = {"all T": slice(None)}
    if len(parts) > 2:
        spans |= {"first two T": slice(0, 2), "last two T": slice(-2, None)}
    return [
        _law(
            "steps",
            statement,
            f"{SIZES[name]} on log T, {span}",
            steps[rows],
            _sizes(parts[rows], name),
            "a wider range of T on either side",
            expected,
            headline=shown and span == "all T",
        )
        for name, shown in READ.items()
        for span, rows in spans.items()
    ]


def growth_laws(families: Sequence[Sequence[Measured]]) -> list[Law]:
    """The law of parameters between two networks, at each number of steps: families of parts,
    the smallest network and the largest, of one source, in order of steps."""
    return [
        _law(
            "parameters",
            "K* proportional to N at fewer steps "
            f"({pair[0].condition.source}, T = {pair[0].condition.steps:,})",
            f"{SIZES[name]} on log N, smallest and largest network",
            _counts(pair),
            _sizes(pair, name),
            "a rise with T says that the largest network is short of steps",
            headline=False,
        )
        for pair in families
        for name in READ
        if name != "change"
    ]


def linear_laws(linear: dict[Case, Floats]) -> list[Law]:
    """K* (sets,) of the linear denoiser in each case against d = L (V - 1), at each V with two or
    more: over all d, and over the two largest, where corrections are smallest."""
    found = []
    for vocab_size in sorted({case[0] for case in linear}):
        cases = [case for case in linear if case[0] == vocab_size]
        if len(cases) < 2:
            continue
        statement = f"K* of the linear denoiser proportional to L (V - 1) (V = {vocab_size})"
        decide = "longer sequences: corrections fall as 1 / d"
        for span, mine in (("all d", cases), ("two largest d", cases[-2:])):
            d = np.array([dimension(case) for case in mine], dtype=np.float64)
            sizes = np.stack([linear[case] for case in mine], axis=1)
            words, shown = f"K* on log d, corrupted train recovery 1/2, {span}", span != "all d"
            found.append(_law("linear", statement, words, d, sizes, decide, headline=shown))
    return found


def hierarchy_laws(parts: Sequence[Measured]) -> list[Law]:
    """K* of random hierarchies against m^depth."""
    group, statement = (
        "hierarchy",
        "K* depends on the hierarchy through m^depth alone, in proportion",
    )
    decide = "larger v at the same m, deeper trees, longer training"
    scale = np.array([float(p.condition.n_rules) ** p.condition.depth for p in parts])
    read: dict[SizeName, bool] = {"memory": True, **dict.fromkeys(FOUND, True), "recovery": False}
    sizes = {name: _sizes(parts, name) for name in read}
    words = {name: f"{SIZES[name]} on log m^depth" for name in read}
    found = [
        _law(group, statement, words[name], scale, sizes[name], decide, headline=shown)
        for name, shown in read.items()
    ]
    decide = "more hierarchies, longer training"
    fields = {"m": "n_rules", "depth": "depth"}
    for varied, other in (("depth", "m"), ("m", "depth")):
        values = np.array([getattr(part.condition, fields[other]) for part in parts])
        for fixed in np.unique(values):
            chosen = values == fixed
            if chosen.sum() > 1:
                statement = f"the same, varying {varied} at {other} = {fixed}"
                for name in FOUND:
                    mine = sizes[name][:, chosen]
                    found.append(_law(group, statement, words[name], scale[chosen], mine, decide))
    return found


def draws_laws(parts: Sequence[Measured]) -> list[Law]:
    """The peak of the held-out code length over K, against the number of noise draws."""
    group, found = "noise draws", []
    finite = [part for part in parts if part.condition.draws]
    draws = np.array([part.condition.draws for part in finite], dtype=np.float64)
    if len(finite) > 1:
        peaks = [peak_by_seed(part) for part in finite]
        places, heights = (np.stack(tables, axis=1) for tables in zip(*peaks, strict=True))
        statement = "the perplexity peak sits at the capacity, whatever the number n of draws"
        decide = "more n; -1 is a peak where K n samples can just be interpolated"
        found.append(_law(group, statement, "K_peak on log n", draws, places, decide, (0.0, -1.0)))
        statement = "the peak shrinks with the number of draws"
        decide = "larger n and longer training: the law names no exponent, only its sign"
        sign = (-np.inf, 0.0)
        found.append(_law(group, statement, "height on log n", draws, heights, decide, sign))
    for part in parts:
        if part.condition.draws == 0:
            statement = "no perplexity peak with fresh noise in every step"
            words, decide = (
                "height of the peak, nats a sequence",
                "smaller K, where a peak could hide",
            )
            height, points = peak_by_seed(part)[1], len(part.train_sizes)
            found.append(law(group, statement, words, 0.0, 1.0, height, points, decide))
    return found

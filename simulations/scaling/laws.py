"""The laws of the transition, each as a hypothesis on measured curves.

Source: the laws are those of `am_theory.scaling`, which names their papers; their values there are
proportionality (slope 1) or independence (slope 0).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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


def _sizes(parts: Sequence[Measured], name: SizeName) -> Floats:
    return np.stack([size_by_seed(part, name) for part in parts], axis=1)


def collapses_of(parts: Sequence[Measured]) -> list[Collapse]:
    """The collapse of the recovery gaps, each over its first value, of networks of all sizes, seed
    by seed."""
    counts = [part.n_parameters for part in parts]
    gaps = [part.gap["ancestral"] / part.gap["ancestral"][:, :1] for part in parts]
    return [
        collapse(parts[0].train_sizes, counts, np.stack([gap[seed] for gap in gaps]))
        for seed in range(len(gaps[0]))
    ]


def parameter_laws(parts: Sequence[Measured], collapses: Sequence[Collapse]) -> list[Law]:
    """K*, memorized information and collapse against the number of parameters, one source, last
    T; `collapses` as `collapses_of` gives them."""
    source, steps = parts[0].condition.source, parts[0].condition.steps
    counts = np.array([part.n_parameters for part in parts], dtype=np.float64)
    where = f"{source}, T = {steps:,}"
    decide = "longer training of the largest network, more widths, or K beyond the grid"
    found = [
        law(
            "parameters",
            f"K* proportional to the number of parameters N ({where})",
            f"slope of log {SIZES[name]} on log N",
            *(1.0, 0.0, slopes(counts, _sizes(parts, name)), len(parts), decide),
            headline=name != "change",
        )
        for name in ("recovery", "change", "entropy")
    ]
    held = np.stack([memorized(part).max(1) for part in parts], axis=1)
    found.append(
        law(
            "parameters",
            f"memorized information at its most proportional to N ({where})",
            "slope of log max_K M on log N, M = K (H - code length)",
            *(1.0, 0.0, slopes(counts, held), len(parts), decide),
        )
    )
    for part in parts:
        ends = memorized(part)[:, -2:]
        found.append(
            law(
                "parameters",
                f"memorized information saturates in K ({where}, N = {part.n_parameters:,})",
                f"slope of log M on log K between K = {part.train_sizes[-2]:,.0f} and "
                f"{part.train_sizes[-1]:,.0f}",
                *(0.0, 1.0, slopes(part.train_sizes[-2:], ends), 2),
                "longer training: a network that is short of steps holds less at large K",
                headline=False,
            )
        )
    found.append(
        law(
            "collapse",
            f"gaps of all networks are one function of K / N ({where})",
            "exponent eta of K / N^eta that collapses them best",
            *(1.0, 0.0, np.array([c.exponent for c in collapses]), len(parts), decide),
        )
    )
    return found


def step_laws(parts: Sequence[Measured], binds: bool) -> list[Law]:
    """K* against the number of steps at one width. `binds`: time is expected to bind (the
    largest network), else capacity (the smallest)."""
    condition = parts[0].condition
    steps = np.array([part.condition.steps for part in parts], dtype=np.float64)
    where = f"{condition.source}, N = {parts[0].n_parameters:,}"
    words = "proportional to T where time binds" if binds else "independent of T at capacity"
    predicted, rival = (1.0, 0.0) if binds else (0.0, 1.0)
    found = []
    for name in ("recovery", "change", "entropy"):
        table = _sizes(parts, name)
        spans = [("all T", slice(None))]
        if len(parts) > 2:
            spans += [("first two T", slice(0, 2)), ("last two T", slice(-2, None))]
        for span, rows in spans:
            found.append(
                law(
                    "steps",
                    f"K* {words} ({where})",
                    f"slope of log {SIZES[name]} on log T, {span}",
                    *(predicted, rival, slopes(steps[rows], table[:, rows])),
                    len(steps[rows]),
                    "a wider range of T on either side",
                    headline=span == "all T" and name != "change",
                )
            )
    return found


def growth_laws(families: Sequence[Sequence[Measured]]) -> list[Law]:
    """The law of parameters between two networks, at each number of steps: families of parts,
    the smallest network and the largest, of one source, in order of steps."""
    found = []
    for pair in families:
        counts = np.array([part.n_parameters for part in pair], dtype=np.float64)
        condition = pair[0].condition
        for name in ("recovery", "entropy"):
            found.append(
                law(
                    "parameters",
                    f"K* proportional to N at fewer steps ({condition.source}, "
                    f"T = {condition.steps:,})",
                    f"slope of log {SIZES[name]} on log N, smallest and largest network",
                    *(1.0, 0.0, slopes(counts, _sizes(pair, name)), len(pair)),
                    "a rise with T says that the largest network is short of steps",
                    headline=False,
                )
            )
    return found


def linear_laws(dimensions: Floats, sizes: Floats, vocab_size: int) -> list[Law]:
    """K* of the linear denoiser, (sets, cases), against d = L (V - 1), (cases,), at one V: over all
    d, and over the two largest, where corrections are smallest."""
    spans = [("all d", slice(None), False), ("two largest d", slice(-2, None), True)]
    return [
        law(
            "linear",
            f"K* of the linear denoiser proportional to L (V - 1) (V = {vocab_size})",
            f"slope of log K* on log d, corrupted train recovery 1/2, {span}",
            *(1.0, 0.0, slopes(dimensions[rows], sizes[:, rows]), len(dimensions[rows])),
            "longer sequences: corrections fall as 1 / d",
            headline=headline,
        )
        for span, rows, headline in spans
    ]


def hierarchy_laws(parts: Sequence[Measured]) -> list[Law]:
    """K* of random hierarchies against m^depth."""
    scale = np.array([float(p.condition.n_rules) ** p.condition.depth for p in parts])
    found = []
    for name in ("learned", "recovery"):
        found.append(
            law(
                "hierarchy",
                "K* depends on the hierarchy through m^depth alone, in proportion",
                f"slope of log {SIZES[name]} on log m^depth",
                *(1.0, 0.0, slopes(scale, _sizes(parts, name)), len(parts)),
                "larger v at the same m, deeper trees, longer training",
                headline=name == "learned",
            )
        )
    for label, key in (("depth", "n_rules"), ("m", "depth")):
        for fixed in sorted({getattr(p.condition, key) for p in parts}):
            chosen = [k for k, p in enumerate(parts) if getattr(p.condition, key) == fixed]
            if len(chosen) < 2:
                continue
            other = "m" if label == "depth" else "depth"
            table = _sizes([parts[k] for k in chosen], "learned")
            found.append(
                law(
                    "hierarchy",
                    f"the same, varying {label} at {other} = {fixed}",
                    f"slope of log {SIZES['learned']} on log m^depth",
                    *(1.0, 0.0, slopes(scale[chosen], table), len(chosen)),
                    "more hierarchies, longer training",
                )
            )
    return found


def draws_laws(parts: Sequence[Measured]) -> list[Law]:
    """The peak of the held-out code length over K, against the number of noise draws."""
    finite = [part for part in parts if part.condition.draws]
    draws = np.array([part.condition.draws for part in finite], dtype=np.float64)
    peaks = [peak_by_seed(part) for part in finite]
    places = np.stack([place for place, _ in peaks], axis=1)
    heights = np.stack([height for _, height in peaks], axis=1)
    found = []
    if len(finite) > 1:
        found = [
            law(
                "noise draws",
                "the perplexity peak sits at the capacity, whatever the number n of draws",
                "slope of log K_peak on log n",
                *(0.0, -1.0, slopes(draws, places), len(finite)),
                "more n; -1 is a peak where K n samples can just be interpolated",
            ),
            law(
                "noise draws",
                "the peak shrinks with the number of draws",
                "slope of log height on log n",
                *(-np.inf, 0.0, slopes(draws, heights), len(finite)),
                "larger n and longer training: the law names no exponent, only its sign",
            ),
        ]
    for part in parts:
        if part.condition.draws == 0:
            height = peak_by_seed(part)[1]
            found.append(
                law(
                    "noise draws",
                    "no perplexity peak with fresh noise in every step",
                    "height of the peak, nats a sequence",
                    *(0.0, 1.0, height, len(part.train_sizes)),
                    "smaller K, where a peak could hide",
                )
            )
    return found

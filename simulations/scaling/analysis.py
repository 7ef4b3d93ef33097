"""From the cells of the scaling laws to transition sizes, laws with verdicts, and tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import scaling
from am_theory.linear import convergence_size
from simulations.linear_curves.config import Case, dimension
from simulations.measure.checks import Row, compare
from simulations.measure.passage import crossing_size
from simulations.scaling.collapse import Collapse
from simulations.scaling.config import (
    SOURCES,
    Condition,
    ScalingConfig,
    draws_conditions,
    hierarchy_conditions,
    size_conditions,
)
from simulations.scaling.hypothesis import Law
from simulations.scaling.laws import (
    collapses_of,
    draws_laws,
    growth_laws,
    hierarchy_laws,
    linear_laws,
    parameter_laws,
    step_laws,
)
from simulations.scaling.sizes import (
    Measured,
    log_interval,
    measured,
    memorized,
    size_by_seed,
    student_interval,
)

Floats = NDArray[np.float64]
HALF = 0.5  # corrupted train recovery at which the linear denoiser stops memorizing


@dataclass(frozen=True)
class Capacity:
    """What one network holds at its most: bits a parameter (mean over seeds, Student's interval),
    the K where that is, and its K_half beside that of 3.6 bits a parameter."""

    measured: Measured = field(repr=False)
    bits: float
    low: float
    high: float
    at: float
    half: tuple[float, float, float]
    nominal: float


@dataclass(frozen=True)
class ScalingAnalysis:
    """Everything the report and the figure draw from."""

    config: ScalingConfig
    parts: dict[Condition, Measured] = field(repr=False)
    linear: dict[Case, Floats] = field(repr=False)
    laws: list[Law]
    rows: list[Row]
    collapses: dict[str, list[Collapse]]
    capacities: dict[str, list[Capacity]]

    def of(self, conditions: list[Condition]) -> list[Measured]:
        """The measured curves of these conditions, in their order."""
        return [self.parts[condition] for condition in conditions]


def widths_of(config: ScalingConfig, source: str) -> list[Condition]:
    """Conditions of the law of parameters: all widths at the last number of steps."""
    found = [c for c in size_conditions(config) if c.source == source]
    return [c for c in found if c.steps == config.step_counts[-1]]


def steps_of(config: ScalingConfig, source: str, width: int) -> list[Condition]:
    """Conditions of the law of steps: one width at all numbers of steps."""
    return [c for c in size_conditions(config) if c.source == source and c.width == width]


def linear_sizes(cell: xr.Dataset) -> Floats:
    """K where half of the corrupted training tokens are restored, of every set, (sets,)."""
    recovered, corrupted = (
        cell[name].sel(split="train").transpose("set", "ratio").values.astype(np.float64)
        for name in ("recovered", "corrupted")
    )
    return crossing_size(cell["train_size"].values, recovered / corrupted, HALF)


def linear_families(linear: Iterable[Case]) -> dict[tuple[int, float], list[Case]]:
    """The cases of each V and alpha, in their order."""
    families: dict[tuple[int, float], list[Case]] = {}
    for case in linear:
        families.setdefault((case[0], case[2]), []).append(case)
    return families


def linear_rows(linear: dict[Case, Floats]) -> list[Row]:
    """K* / d of every case against the closed form, then of every family drawn out to infinite d
    by a straight line in 1 / d, set by set."""
    ratios = {case: sizes / dimension(case) for case, sizes in linear.items()}
    rows = [_linear_row(case, f"L = {case[1]}, ", "", found) for case, found in ratios.items()]
    for cases in linear_families(linear).values():
        if len(cases) > 2:
            inverse = 1 / np.array([dimension(case) for case in cases])
            ends = np.polyfit(inverse, np.array([ratios[case] for case in cases]), 1)[1]
            rows.append(_linear_row(cases[0], "", ", L to infinity", ends))
    return rows


def _linear_row(case: Case, before: str, after: str, by_set: Floats) -> Row:
    """K* / d of a case, its L named by `before` or `after` alpha, with the closed form."""
    exact = half_ratio(case[0], case[2])
    value, low, high = student_interval(by_set)
    what = f"V = {case[0]}, {before}alpha = {case[2]:g}{after}: K* / d"
    return compare(what, value, exact, low - exact, high - exact)


def half_ratio(vocab_size: int, alpha: float) -> float:
    """K* / d by the closed form."""
    found = convergence_size(1, vocab_size, alpha, criterion="corrupted_recovery", gap=HALF)
    return float(found.ratio)


def capacity_of(part: Measured) -> Capacity:
    """The capacity of one network from its memorized information."""
    held, count = memorized(part), part.n_parameters
    place = (part.condition.seq_len, part.condition.vocab_size)
    nominal = scaling.capacity_size(count, *place, entropy_per_sequence=part.source_entropy)
    return Capacity(
        part,
        *student_interval(held.max(1) / (count * np.log(2))),
        float(part.train_sizes[int(held.mean(0).argmax())]),
        log_interval(size_by_seed(part, "recovery")),
        float(nominal),
    )


def analyse(
    config: ScalingConfig,
    networks: dict[Condition, list[xr.Dataset]],
    linear_cells: dict[Case, xr.Dataset],
) -> ScalingAnalysis:
    """Fit every law that the configuration has conditions for, from the datasets of its cells."""
    parts = {c: measured(c, cells, config.root_seed) for c, cells in networks.items()}
    linear = {case: linear_sizes(cell) for case, cell in linear_cells.items()}
    laws, collapses, capacities = [], {}, {}
    for source in SOURCES:
        family = [parts[c] for c in widths_of(config, source)]
        collapses[source] = collapses_of(family)
        laws += parameter_laws(family, collapses[source])
        capacities[source] = [capacity_of(part) for part in family]
        small, large = (
            [parts[c] for c in steps_of(config, source, width)]
            for width in (config.widths[0], config.widths[-1])
        )
        laws += growth_laws(list(zip(small, large, strict=True))[:-1])
        laws += step_laws(large, binds=True) + step_laws(small, binds=False)
    laws += linear_laws(linear)
    if config.hierarchies:
        laws += hierarchy_laws([parts[c] for c in hierarchy_conditions(config)])
    if config.draws:
        laws += draws_laws([parts[c] for c in draws_conditions(config)])
    return ScalingAnalysis(config, parts, linear, laws, linear_rows(linear), collapses, capacities)

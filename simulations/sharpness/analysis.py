"""From passages to widths, exponents, collapses and verdicts, by the rule of `predictions`.

A group is one order parameter of one system in one setting at several L (and V). The verdict of a
group comes from the exponent of its width in L at fixed V; that of a system from the groups of its
headline order parameters, as long as all agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.conditional_likelihood import critical_load
from simulations.measure.checks import Check
from simulations.sharpness.config import SharpnessConfig, memory_vocabularies
from simulations.sharpness.curves import all_passages, exact_linear, exact_memorizer, rows_limit
from simulations.sharpness.exponents import Collapsed, Limit, collapse, width_exponent, width_limit
from simulations.sharpness.predictions import (
    MARGIN,
    UNDECIDED,
    Verdict,
    memorizer_place,
    nature_of,
    verdict_of,
)
from simulations.sharpness.widths import (
    Key,
    Passing,
    Value,
    log_parts,
    scatters_of,
    values_of,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One passage: K at 1/2, decades from 0.9 to 0.1, slope, with what theory says of the decades
    (of a simulated one the exact width of the same case; NaN: none)."""

    passing: Passing = field(repr=False)
    middle: Value
    decades: Value
    slope: Value
    theory: float


@dataclass(frozen=True)
class Group:
    """Widths of one order parameter against L and V: exponents, collapse, verdict.

    relative : exponent in L of the width over log10 K at 1/2, of passages of the memorizer. limit :
    the rival, widths on a line in 1 / L.
    """

    key: Key
    exact: bool
    length: Value
    vocabulary: Value
    relative: Value
    limit: Limit | None
    collapsed: Collapsed | None

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.length.low, self.length.high)

    @property
    def nature(self) -> str:
        """What the passage becomes as L grows: transition or crossover."""
        steeper = self.relative.high < -MARGIN
        excluded = self.limit is not None and self.limit.excluded
        return nature_of(self.verdict, steeper, excluded)


@dataclass(frozen=True)
class SharpnessAnalysis:
    """All that the report and the figure show. limits : M by entropy over load at large L, by V
    and ridge, from the theory of rows."""

    config: SharpnessConfig
    rows: list[Row]
    groups: list[Group]
    limits: dict[int, dict[str, Floats]]
    checks: list[Check]

    def of(self, system: str, order: str | None = None) -> list[Group]:
        """The groups of a system, or of one of its order parameters."""
        return [g for g in self.groups if g.key.system == system and order in (None, g.key.order)]

    def judged(self, system: str) -> list[Group]:
        """The groups that the verdict of a system is of: all but those of G."""
        return [g for g in self.of(system) if not g.key.order.startswith("G")]

    def verdict(self, system: str) -> Verdict:
        """What those of its groups that are decidable agree on."""
        found = {g.verdict for g in self.judged(system)} - {UNDECIDED}
        decided: Verdict = found.pop() if len(found) == 1 else UNDECIDED
        return decided


def place_of(key: Key) -> Callable[[Passing, Floats], Floats] | None:
    """The variable in which a group's curves should be one, from log K; None: none is expected."""
    if key.system == "memorizer":
        alpha = float(key.setting.split()[1])
        return lambda p, log: memorizer_place(log, p.seq_len, p.vocab_size, alpha)
    if key.system == "linear":
        return lambda p, log: np.asarray(log - np.log(p.seq_len * (p.vocab_size - 1)))
    if key.system in ("memory", "separable"):

        def load(p: Passing, log: Floats) -> Floats:
            unit = (p.seq_len - 1) * (p.vocab_size - 1) * critical_load(p.vocab_size)
            return np.asarray(log - np.log(unit))

        return load
    return None


def group_of(key: Key, passings: list[Passing]) -> Group:
    """Exponents and collapse of the passages of one key, exact or simulated."""
    cases = [(p.vocab_size, p.seq_len) for p in passings]
    logs = [p.logs for p in passings]
    decades = [table[:, 1] for table in logs]
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = [table[:, 1] - np.log(table[:, 0].mean()) for table in logs]
    return Group(
        key,
        passings[0].exact,
        width_exponent(cases, decades, 1),
        width_exponent(cases, decades, 0),
        width_exponent(cases, relative, 1) if key.system == "memorizer" else Value(np.nan),
        width_limit(cases, decades),
        collapse(passings, place_of(key)),
    )


def checks_of(rows: list[Row]) -> list[Check]:
    """The middle of every simulated passage that is known exactly: log K at 1/2."""
    checks = []
    for row in rows:
        p = row.passing
        if p.key.system != "memorizer" or p.exact:
            continue
        logs = p.logs[:, 0]
        exact = exact_twin(p)
        if exact is None or not np.isfinite(logs).all():
            continue
        error = float(logs.std(ddof=1) / len(logs) ** 0.5)
        what = f"log K at 1/2, memorizer, V={p.vocab_size} L={p.seq_len}"
        middle = float(log_parts(exact.train_sizes, exact.whole, exact.rising)[0])
        checks.append(Check(what, float(logs.mean()), middle, error, len(logs)))
    return checks


def exact_twin(passing: Passing) -> Passing | None:
    """The exact passage of a simulated one, at the same K; None where none is known."""
    key, case = passing.key, (passing.vocab_size, passing.seq_len)
    if passing.exact or key.system not in ("memorizer", "linear"):
        return None
    alpha = float(key.setting.split()[1])
    makers = {"memorizer": exact_memorizer, "linear": exact_linear}
    twin = next(p for p in makers[key.system](case, alpha) if p.key == key)
    logs = np.log(twin.train_sizes)
    at_same = np.interp(np.log(passing.train_sizes), logs, twin.whole)
    none = np.empty((0, len(at_same)))
    return Passing(key, *case, passing.train_sizes, at_same, none, twin.rising)


def limit_decades(
    config: SharpnessConfig, limits: dict[int, dict[str, Floats]], p: Passing
) -> float:
    """Decades of a memory's M by entropy at large L, by the theory of rows."""
    curve = limits[p.vocab_size][p.key.setting]
    return float(np.exp(log_parts(np.array(config.loads), curve, False)[1]))


def analyse(config: SharpnessConfig, cells: dict[str, list[xr.Dataset]]) -> SharpnessAnalysis:
    """Everything that follows from the cells."""
    passings = all_passages(config, cells)
    limits = {
        vocab: rows_limit(config, vocab, cell)
        for vocab, cell in zip(memory_vocabularies(config), cells["rows"], strict=True)
    }
    pooled = {
        system: scatters_of([p for p in passings if (p.key.system, p.key.order) == system])
        for system in {(p.key.system, p.key.order) for p in passings}
    }
    rows = []
    for p in passings:
        theory = np.nan
        if p.key.order == "M, entropy":
            theory = limit_decades(config, limits, p)
        elif (twin := exact_twin(p)) is not None:
            theory = float(np.exp(log_parts(twin.train_sizes, twin.whole, twin.rising)[1]))
        middle, decades, slope = values_of(p, pooled[p.key.system, p.key.order])
        rows.append(Row(p, middle, decades, slope, theory))
    groups = []
    for key, exact in dict.fromkeys((p.key, p.exact) for p in passings):
        mine = [p for p in passings if (p.key, p.exact) == (key, exact)]
        if len(mine) > 1:
            groups.append(group_of(key, mine))
    return SharpnessAnalysis(config, rows, groups, limits, checks_of(rows))

"""The largest separable training sets beside theory: random ones, with biases, and chains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from am_theory.conditional_likelihood import chain_critical_load, critical_load
from simulations.measure.checks import Check
from simulations.rows.config import Case, RowsConfig, case_name, dimension
from simulations.rows.means import Mean, constant_of, mean_of, on_a_line


@dataclass(frozen=True)
class Limit:
    """Largest separable K over (L - 1) (V - 1): by case, of all of them, at infinite L."""

    vocab_size: int
    theory: float
    cases: tuple[tuple[Case, Mean], ...]
    pooled: Mean
    limit: Mean


@dataclass(frozen=True)
class Chain:
    """Largest separable K over L - 1 of chains: by length, and by theory."""

    flip: float
    theory: float
    lengths: tuple[tuple[int, Mean], ...]


def separable_limits(config: RowsConfig, data: xr.Dataset) -> list[Limit]:
    """By vocabulary: weighted least squares on a constant, and on 1 / (L - 1) too."""
    found = []
    for vocab_size in dict.fromkeys(v for v, _ in config.separable):
        cases = [case for case in config.separable if case[0] == vocab_size]
        largest = {c: data["separable_largest"].sel(separable_case=case_name(c)) for c in cases}
        means = [mean_of(largest[case].values / dimension(case)) for case in cases]
        weights = np.sqrt([dimension(case) for case in cases])
        pooled = constant_of(means, weights, np.ones((len(cases), 1)))
        limit = on_a_line(means, cases)
        pairs = tuple(zip(cases, means, strict=True))
        found.append(Limit(vocab_size, critical_load(vocab_size), pairs, pooled, limit))
    return found


def bias_gains(config: RowsConfig, data: xr.Dataset) -> list[tuple[int, Mean]]:
    """By vocabulary, what biases add to the largest separable K, over the critical load: 1 at V = 2
    by Cover's theorem, and to leading order at others. Means over all rows of the vocabulary."""
    found = []
    for vocab_size in dict.fromkeys(v for v, _ in config.separable):
        cases = [case_name(case) for case in config.separable if case[0] == vocab_size]
        part = data.sel(separable_case=cases)
        more = part["separable_largest_biased"] - part["separable_largest"]
        found.append((vocab_size, mean_of(more.values.ravel() / critical_load(vocab_size))))
    return found


def chain_limits(config: RowsConfig, data: xr.Dataset) -> list[Chain]:
    """Chains beside their theory."""
    found = []
    for flip in config.chains:
        largest = data["chains_largest"].sel(flip=flip)
        lengths = tuple(
            (length, mean_of(largest.sel(chain_length=length).values / (length - 1)))
            for length in config.chain_lengths
        )
        found.append(Chain(flip, float(chain_critical_load(flip)), lengths))
    return found


def cover_checks(config: RowsConfig, data: xr.Dataset) -> list[Check]:
    """V = 2: the largest K, less the inputs, counts tosses of a fair coin (Cover 1965)."""
    checks = []
    for case in config.separable:
        if case[0] == 2:
            largest = data["separable_largest"].sel(separable_case=case_name(case)).values
            inputs, count = dimension(case), len(largest)
            error = float(np.sqrt(2 * inputs / count))
            what = f"largest separable K, {case_name(case)}: mean"
            checks.append(Check(what, float(largest.mean()), 2.0 * inputs, error, count))
    return checks

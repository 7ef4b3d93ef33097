"""The transition under each channel, and every prediction on their order, with its verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.channels.config import CHANNELS, CHECKS, Config
from simulations.channels.levels import levels_of, lost, told
from simulations.data.problem import make_source
from simulations.measure.bootstrap import interval
from simulations.measure.checks import (
    NOT_DECIDABLE,
    NOT_SUPPORTED,
    SUPPORTED,
    Check,
    Verdict,
    read_checks,
)
from simulations.measure.names import SMALL_LEVEL
from simulations.measure.order import Ratio, ratio_of_halves
from simulations.phase import analysis as phase
from simulations.phase.order import Orders, make_orders
from simulations.results.files import read_dataset

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """The main job's analysis under one channel; told, lost : by level, nats a token and shares."""

    analysis: phase.Analysis = field(repr=False)
    orders: Orders = field(repr=False)
    told: Floats
    lost: Floats


@dataclass(frozen=True)
class Prediction:
    """A statement of theory on the order of the channels, what was found, and the verdict."""

    what: str
    found: str
    verdict: Verdict


@dataclass(frozen=True)
class Findings:
    """Everything that report and figure are made from; ratios : of sizes under masked noise to
    those under uniform noise, by (size, level number)."""

    config: Config
    parts: dict[str, Part] = field(repr=False)
    ratios: dict[tuple[str, int], Ratio]
    predictions: list[Prediction]
    checks: dict[str, list[Check]] = field(repr=False)
    law_entropy: float


def analyse(config: Config, data: xr.Dataset, out: Path) -> Findings:
    """The analysis of merged data, with the exact checks of the folder `out`."""
    parts: dict[str, Part] = {}
    for channel in CHANNELS:
        inner = config.of(channel, levels_of(config, channel))
        own = data.sel(channel=channel).assign_coords(
            t=list(inner.levels), t_entropy=[SMALL_LEVEL, *inner.levels]
        )
        found = phase.analyse(inner, own)
        parts[channel] = Part(
            found, make_orders(found), told(config, channel), lost(config, channel)
        )
    checks: dict[str, list[Check]] = {
        channel: read_checks(read_dataset(out / "cells" / f"{channel}-{CHECKS}.nc"))
        for channel in CHANNELS
    }
    source = make_source(config.source, config.vocab_size, config.seq_len)
    law = float(source.loo_entropy())
    predictions = [
        *_blackwell(checks),
        *_equal_information(parts),
        *_one_limit(parts, law),
    ]
    return Findings(config, parts, _ratios(config, parts), predictions, checks, law)


def order_at(part: Part, level: int, reading: str = "recovery") -> Any:
    """The network's order parameters at a level by its number; None where too few sizes."""
    t = part.analysis.config.levels[level]
    return part.orders.orders.get(("trained", reading, t))


def _ratios(config: Config, parts: dict[str, Part]) -> dict[tuple[str, int], Ratio]:
    """K_M, K_G and K_H under absorbing over those under uniform noise. The sequences are the same
    and resampled together."""
    ratios = {}
    both = [parts[name] for name in ("absorbing", "uniform")]
    for level in range(len(config.levels)):
        pair = [order_at(part, level) for part in both]
        if None in pair:
            continue
        curves: list[tuple[str, Callable[[Any], Any], bool]] = [
            ("K_M", lambda order: order.memory, False),
            ("K_G", lambda order: order.generalization, True),
        ]
        for name, of, up in curves:
            ratios[name, level] = ratio_of_halves(of(pair[0]), of(pair[1]), (up, up))
    small = [part.orders.orders.get(("trained", "entropy", SMALL_LEVEL)) for part in both]
    if None not in small:
        first, second = (order.memory for order in small if order is not None)
        ratios["K_H", -1] = ratio_of_halves(first, second, (False, False))
    return ratios


def _sided(gaps: Floats, errors: Floats) -> Verdict:
    """Of statements that gaps are not negative: not supported if one is by three errors."""
    if (gaps < -3 * errors).any():
        return NOT_SUPPORTED
    return SUPPORTED if (gaps > 2 * errors).any() else NOT_DECIDABLE


def _blackwell(checks: dict[str, list[Check]]) -> Iterator[Prediction]:
    """Equal kept fraction: the exact checks of all channels stand at the same t."""
    for what in ("MAP retrieval", "true weight"):
        rows = []
        for case in checks["uniform"]:
            if not case.name.endswith(what):
                continue
            same = [next(c for c in checks[name] if c.name == case.name) for name in CHANNELS]
            rows.append([(one.simulated, one.standard_error) for one in same])
        table = np.array(rows)  # (cases, channels, 2)
        order = [CHANNELS.index(name) for name in ("absorbing", "hybrid", "uniform")]
        values, errors = table[:, order, 0], table[:, order, 1]
        gaps = -np.diff(values, axis=1)
        spread = np.hypot(errors[:, 1:], errors[:, :-1])
        middle = len(values) // 2
        yield Prediction(
            f"equal kept fraction: {what} of the optimal memorizer of random patterns is ordered "
            "absorbing >= hybrid >= uniform (a theorem)",
            f"in {int((gaps > -3 * spread).sum())} of {gaps.size} pairs; "
            + ", ".join(f"{v:.3f}" for v in values[middle])
            + " in the middle case",
            _sided(gaps.ravel(), spread.ravel()),
        )


def _equal_information(parts: dict[str, Part]) -> Iterator[Prediction]:
    """Of the exact law on held-out inputs: uniform puts more tokens right in all, absorbing more
    of the corrupted ones."""
    for decoder, word in (("argmax", "by token argmax"), ("ancestral", "by an exact draw")):
        yield _ordered(
            parts,
            ("all-token recovery", decoder),
            ("uniform", "absorbing"),
            f"equal information: the exact law puts more of all tokens right, {word}, under "
            "uniform than under absorbing noise (12 enumerated cases, no theorem)",
        )
    yield _ordered(
        parts,
        ("corrupted recovery", "ancestral"),
        ("absorbing", "uniform"),
        "equal information: an exact draw restores more of the corrupted tokens under absorbing "
        "than under uniform noise (12 enumerated cases, no theorem)",
    )


def _ordered(
    parts: dict[str, Part], rate: tuple[str, str], order: tuple[str, str], what: str
) -> Prediction:
    name, decoder = rate
    found = [parts[c].analysis.rate(name, "population", decoder, "heldout") for c in order]
    gap = found[0].estimate - found[1].estimate  # (K, levels): the inputs of all sizes
    replicates = found[0].replicates - found[1].replicates
    mean, spread = gap.mean(axis=0), replicates.mean(axis=1).std(axis=0, ddof=1)
    low, high = interval(replicates.mean(axis=1))
    told_by = parts["uniform"].told
    words = ", ".join(
        f"{m:+.3f} [{a:+.3f}, {b:+.3f}] at {i:.2f} nats"
        for m, a, b, i in zip(mean, low, high, told_by, strict=True)
    )
    return Prediction(what, words, _sided(mean, spread))


def _one_limit(parts: dict[str, Part], law: float) -> Iterator[Prediction]:
    """The `loo` entropy of the exact law at t -> 0 is that of the source, whatever the channel."""
    rates = {
        name: part.analysis.law("entropy", "population", "loo", "heldout")
        for name, part in parts.items()
    }
    gaps = {name: rate.estimate[:, 0].mean() - law for name, rate in rates.items()}
    errors = {
        name: rate.replicates[..., 0].mean(axis=1).std(ddof=1) for name, rate in rates.items()
    }
    agree = all(abs(gaps[name]) < 3 * errors[name] for name in parts)
    yield Prediction(
        "t -> 0: one `loo` entropy for all channels, that of the source (a theorem)",
        ", ".join(f"{name} {gaps[name]:+.4f} +- {errors[name]:.4f} nats" for name in parts),
        SUPPORTED if agree else NOT_SUPPORTED,
    )

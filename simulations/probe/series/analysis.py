"""From readings per sequence to M, shares and entropies against step, and the onset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from models.streams import stream
from models.training.memorized import (
    Bounded,
    Drawn,
    Floats,
    bounded,
    clearest,
    drawn,
    memorized_share,
    order_parameter,
    proportion,
    ratio,
    told_apart,
)
from simulations.probe.series.cells import NAMES, reading
from simulations.probe.series.config import SeriesConfig
from simulations.probe.series.onset import Onset, onset_at, onset_of_largest


@dataclass(frozen=True)
class Point:
    """A checkpoint. `memory` at its clearest level `memory_t`, and by level; `share`, `told_apart`
    and `recovery` at the level next to 0.25; of the `loo` law, `entropy` as t -> 0, and at that
    level `entropy_shown`, `log_loss` and `gap`, log loss minus entropy, in nats, by split. NaN
    without training sequences."""

    name: str
    step: float
    memory: Bounded
    memory_t: float
    by_level: tuple[Bounded, ...]
    share: Bounded
    told_apart: Bounded
    recovery: Mapping[str, Bounded]
    entropy: Mapping[str, Bounded]
    entropy_shown: Mapping[str, Bounded]
    log_loss: Mapping[str, Bounded]
    gap: Mapping[str, Bounded]


@dataclass(frozen=True)
class Series:
    """Points by increasing step, or in the order given where not every checkpoint says its step;
    `onsets` at each level, then of the largest M, none without training sequences. `failures`:
    checkpoints that could not be read, and why."""

    points: tuple[Point, ...]
    ordered: bool
    onsets: tuple[Onset, ...]
    config: SeriesConfig
    counts: Mapping[str, int]
    failures: Mapping[str, str]
    notes: Sequence[str] = ()

    @property
    def splits(self) -> list[str]:
        return [name for name in NAMES if name in self.counts]

    @property
    def axis(self) -> str:
        """What is counted along the series."""
        return "checkpoint" if self.ordered else "step"


UNKNOWN = Bounded(np.nan, np.nan, np.nan)
BY_SPLIT = ("recovery", "entropy", "entropy_shown", "log_loss", "gap")


def analyse(
    config: SeriesConfig,
    parts: Mapping[str, xr.Dataset],
    failures: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Series:
    """The series of parts (`cells.compute`) by the name of their checkpoint, at least one."""
    steps = {name: int(part.attrs["step"]) for name, part in parts.items()}
    ordered = min(steps.values()) < 0 or len(set(steps.values())) < len(steps)
    if ordered:
        steps = {name: k for k, name in enumerate(parts, 1)}
    names = sorted(parts, key=steps.__getitem__)
    first = parts[names[0]]
    counts = {split: first.sizes[split] for split in NAMES if split in first.sizes}
    seed, replicates = config.root_seed, config.replicates
    draws = {k: drawn(stream(seed, "bootstrap", k), n, replicates) for k, n in counts.items()}
    memories = [_memory(parts[name], draws) for name in names]
    points = [
        _point(config, parts[name], draws, memory, name, steps[name])
        for name, memory in zip(names, memories, strict=True)
    ]
    x, onsets = np.array([steps[name] for name in names], np.float64), []
    known = [memory for memory in memories if memory is not None]
    if known:
        for k, t in enumerate(config.levels):
            curve = np.stack([memory[:, k] for memory in known])
            onsets.append(onset_at(f"M at t = {t:g}", x, curve, config.bound))
        onsets.append(onset_of_largest("largest M", x, known, config.bound))
    return Series(tuple(points), ordered, tuple(onsets), config, counts, failures, notes)


def _memory(part: xr.Dataset, draws: Mapping[str, Drawn]) -> Floats | None:
    """Draws of M (1 + replicates, levels); None without training sequences."""
    if "train" not in draws:
        return None
    return order_parameter(*_both(part, draws))[:, 1:]


def _both(part: xr.Dataset, draws: Mapping[str, Drawn]) -> tuple[Any, ...]:
    splits = ("train", "heldout")
    return *(reading(part, name) for name in splits), *(draws[name] for name in splits)


def _point(
    config: SeriesConfig,
    part: xr.Dataset,
    draws: Mapping[str, Drawn],
    memory: Floats | None,
    name: str,
    step: float,
) -> Point:
    shown = config.all_levels.index(config.shown)
    place, most = (-1, UNKNOWN) if memory is None else clearest(memory)
    share = told = UNKNOWN
    if memory is not None:
        both = _both(part, draws)
        share, told = (bounded(f(*both)[:, shown]) for f in (memorized_share, told_apart))
    by_split: dict[str, dict[str, Bounded]] = {what: {} for what in BY_SPLIT}
    for split, drawn_ in draws.items():
        found = reading(part, split)
        entropies = ratio(found.entropy, found.sites, drawn_)
        losses = ratio(found.log_loss, found.sites, drawn_)
        recoveries = proportion(found.restored, found.corrupted, drawn_)
        columns = recoveries[:, shown], entropies[:, 0], entropies[:, shown], losses[:, shown]
        gap = losses[:, shown] - entropies[:, shown]
        for what, column in zip(BY_SPLIT, (*columns, gap), strict=True):
            by_split[what][split] = bounded(column)
    return Point(
        name=name,
        step=step,
        memory=most,
        memory_t=config.levels[place] if place >= 0 else np.nan,
        by_level=() if memory is None else tuple(bounded(column) for column in memory.T),
        share=share,
        told_apart=told,
        **by_split,
    )

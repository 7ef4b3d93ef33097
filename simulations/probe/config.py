"""The frozen settings of a probe, and the sizes that its measurements have."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from simulations.phase.config import SMALL_LEVEL

# Raised whenever numbers change at fixed settings; a results folder of another is refused.
NUMERICS = 1

OUR_STEPS, PAPER_STEPS = 100, 1000  # reverse steps on the full interval, by protocol
LEAST = {"sequences": 8, "recover": 4, "generate": 8}  # below them nothing is measured
MOST = {"sequences": 4096, "recover": 1024, "generate": 1024}  # that a budget asks for
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}

Protocol = Literal["ours", "paper"]


@dataclass(frozen=True)
class ProbeConfig:
    """What the numbers of a probe depend on, besides the model and the data.

    Args:
        levels: noise levels t of recovery and entropy, increasing, in (1e-5, 1).
        sequences: sequences per split that entropies are read on; by default as many as the
            budget allows.
        recover: of these, how many run through the reverse process; by default by the budget.
        generate: sequences generated from pure noise; by default by the budget, 0 for none.
        budget: computing time, such as 90s, 5min or 1h, from which sizes that are not given follow.
        n_steps: reverse steps on the full interval; by default 100, by the paper's protocol 1000.
        nelbo_start: t_0; the NELBO runs from t_0 to 1.
        nelbo_draws: stratified noise levels per sequence for the NELBO.
        replicates: bootstrap replicates of the intervals.
        root_seed: every random number follows from it and from the names of what is measured.
        protocol: ours, or paper for the definitions of the authors' scripts in addition.
    """

    levels: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5)
    sequences: int | None = None
    recover: int | None = None
    generate: int | None = None
    budget: str = "5min"
    n_steps: int | None = None
    nelbo_start: float = 0.05
    nelbo_draws: int = 4
    replicates: int = 1000
    root_seed: int = 2604
    protocol: Protocol = "ours"

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

    @property
    def steps(self) -> int:
        """Reverse steps on the full interval."""
        default = PAPER_STEPS if self.protocol == "paper" else OUR_STEPS
        return default if self.n_steps is None else self.n_steps

    @property
    def entropy_levels(self) -> tuple[float, ...]:
        """Levels at which laws are read: 1e-5, then `levels`."""
        return (SMALL_LEVEL, *self.levels)

    @property
    def budget_seconds(self) -> float:
        """The budget in seconds."""
        return parse_duration(self.budget)

    @property
    def sizes_given(self) -> bool:
        """Whether the budget plays no part."""
        return None not in (self.sequences, self.recover, self.generate)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing; without a budget that plays no part."""
        budget = "" if self.sizes_given else f"{self.budget_seconds:g} s"
        return dataclasses.asdict(self) | {"n_steps": self.steps, "budget": budget}


@dataclass(frozen=True)
class Sizes:
    """Sequences per split that are read; of these, restored; and generated. `sentence`: why."""

    sequences: int
    recover: int
    generate: int
    sentence: str


def parse_duration(text: str) -> float:
    """Seconds of a duration such as 90s, 5min or 1h. Raises ValueError, one sentence.

    >>> parse_duration("5min")
    300.0
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|min|h)\s*", text)
    if found is None:
        raise ValueError(f"`budget` is a time such as 90s, 5min or 1h; got {text!r}.")
    return float(found[1]) * UNITS[found[2]]


def _problem(config: ProbeConfig) -> str | None:
    """The first thing wrong with the settings."""
    levels = config.levels
    if not levels:
        return "`levels` is empty; give at least one noise level, such as 0.25."
    if not all(SMALL_LEVEL < t < 1 for t in levels):  # also refuses NaN
        return f"`levels` are noise levels t and must lie in (1e-5, 1); got {list(levels)}."
    if any(b <= a for a, b in pairwise(levels)):
        return f"`levels` must increase; got {list(levels)}."
    for name, least in LEAST.items():
        size = getattr(config, name)
        if size is not None and size < least and not (size == 0 and name != "sequences"):
            none = "" if name == "sequences" else ", or 0 for none"
            return f"`{name}` must be at least {least}{none}; got {size}."
    if config.recover and config.sequences and config.recover > config.sequences:
        return (
            f"`recover` counts among `sequences`, so it must be at most {config.sequences}; "
            f"got {config.recover}."
        )
    if not config.budget_seconds > 0:
        return f"`budget` must be a positive time; got {config.budget!r}."
    for name, least in {"steps": 1, "nelbo_draws": 1, "replicates": 100}.items():
        if getattr(config, name) < least:
            shown = "n_steps" if name == "steps" else name
            return f"`{shown}` must be at least {least}; got {getattr(config, name)}."
    if not 0 < config.nelbo_start < 1:
        return f"`nelbo_start` must lie in (0, 1); got {config.nelbo_start:g}."
    if config.root_seed < 0:
        return f"`root_seed` must not be negative; got {config.root_seed}."
    if config.protocol not in ("ours", "paper"):
        return f"`protocol` must be ours or paper; got {config.protocol!r}."
    return None

"""The frozen settings of a probe, and the sizes that its measurements have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from simulations.console.settings import Settings, at_least, inside, one_of, rises
from simulations.measure.names import SMALL_LEVEL

# Raised whenever numbers change at fixed settings; a results folder of another is refused.
NUMERICS = 2

STEPS = {"ours": 100, "paper": 1000}  # reverse steps on the full interval, by protocol
LEAST = {"sequences": 8, "recover": 4, "generate": 8}  # below them nothing is measured
MOST = {"sequences": 4096, "recover": 1024, "generate": 1024}  # that a budget asks for
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}

Protocol = Literal["ours", "paper"]


@dataclass(frozen=True)
class ProbeConfig(Settings):
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
        prefix: tokens of a sequence that are shown, to see whether the model gives the rest.
        draws: how often it is asked for the rest of each sequence that is also restored.
        replicates: bootstrap replicates of the intervals.
        root_seed: every random number follows from it and from the names of what is measured.
        prior: probability of memorizing before anything is read, for the verdict without training
            data; by default a third, as of the two other classes.
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
    prefix: int = 0
    draws: int = 0
    replicates: int = 1000
    root_seed: int = 2604
    prior: float = 1 / 3
    protocol: Protocol = "ours"

    @property
    def steps(self) -> int:
        """Reverse steps on the full interval."""
        return STEPS[self.protocol] if self.n_steps is None else self.n_steps

    @property
    def entropy_levels(self) -> tuple[float, ...]:
        """Levels at which laws are read: 1e-5, then `levels`."""
        return (SMALL_LEVEL, *self.levels)

    @property
    def budget_seconds(self) -> float:
        """The budget in seconds."""
        return parse_duration(self.budget)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing; without what changes no measurement: a budget
        that plays no part, what was not asked for, and the prior, which the verdict alone reads."""
        given = None not in (self.sequences, self.recover, self.generate)
        budget = "" if given else f"{self.budget_seconds:g} s"
        found = super().as_dict() | {"n_steps": self.steps, "budget": budget}
        unasked = ("prior",) if self.draws else ("prior", "prefix", "draws")
        return {name: value for name, value in found.items() if name not in unasked}

    def problems(self) -> Iterator[str]:
        levels = self.levels
        if not levels:
            yield "`levels` is empty; give at least one noise level, such as 0.25."
        if not all(SMALL_LEVEL < t < 1 for t in levels):  # also refuses NaN
            yield f"`levels` are noise levels t and must lie in (1e-5, 1); got {list(levels)}."
        if not rises(levels):
            yield f"`levels` must increase; got {list(levels)}."
        for name, least in LEAST.items():
            size = getattr(self, name)
            if size is not None and size < least and not (size == 0 and name != "sequences"):
                none = "" if name == "sequences" else ", or 0 for none"
                yield f"`{name}` must be at least {least}{none}; got {size}."
        if self.recover and self.sequences and self.recover > self.sequences:
            yield (
                f"`recover` counts among `sequences`, so it must be at most {self.sequences}; "
                f"got {self.recover}."
            )
        if not self.budget_seconds > 0:
            yield f"`budget` must be a positive time; got {self.budget!r}."
        if self.n_steps is not None:
            yield from at_least(self, n_steps=1)
        yield from at_least(self, nelbo_draws=1, replicates=100, root_seed=0, prefix=0, draws=0)
        if (self.prefix > 0) != (self.draws > 0):
            yield (
                "`prefix` and `draws` go together: tokens that are shown, and draws of the rest; "
                f"got {self.prefix} and {self.draws}."
            )
        yield from inside(self, "nelbo_start", "prior")
        yield from one_of(self, "protocol", tuple(STEPS))


class Sizes(NamedTuple):
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

"""What a user says of a released network, where its files leave it open; quick to import."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Noise = Literal["uniform", "absorbing", "hybrid"]
Law = Literal["loo", "full", "score", "dynamic"]
Clock = Literal["sigma", "t", "nothing"]
Schedule = Literal["log-linear", "linear", "cosine"]
Compute = Literal["float32", "bfloat16"]
NOISES: tuple[Noise, ...] = get_args(Noise)
LAWS: tuple[Law, ...] = get_args(Law)
CLOCKS: tuple[Clock, ...] = get_args(Clock)


@dataclass(frozen=True)
class Stated:
    """What the user says of a network, None for what its files are to say.

    Args:
        channel: noise that it undoes: uniform, absorbing (masks) or hybrid (both).
        p_uniform: share of redrawn tokens of hybrid noise at t = 1/2.
        law: what its outputs are: loo, full, score (log ratios) or dynamic (GIDD's).
        time: what it is told of the noise: sigma = -log alpha, GIDD's t, or nothing.
        schedule: log-linear, linear or cosine; where it is told sigma, only names of levels.
        mask_id: id of the mask among its tokens.
        vocab_size: ids that its noise draws, where it has more rows than that.
    """

    channel: Noise | None = None
    p_uniform: float | None = None
    law: Law | None = None
    time: Clock | None = None
    schedule: Schedule | None = None
    mask_id: int | None = None
    vocab_size: int | None = None

    def __post_init__(self) -> None:
        sets = {"channel": NOISES, "law": LAWS, "time": CLOCKS, "schedule": get_args(Schedule)}
        for name, known in sets.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise ValueError(f"`{name}` must be one of {', '.join(known)}; got {value!r}.")
        for name in ("mask_id", "vocab_size"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 0):
                raise ValueError(f"`{name}` must be a whole number from 0; got {value!r}.")
        if self.p_uniform is not None and not 0 < self.p_uniform < 1:
            raise ValueError(f"`p_uniform` must lie in (0, 1); got {self.p_uniform!r}.")

    def options(self) -> dict[str, Any]:
        """What is stated, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value is not None}


UNSTATED = Stated()

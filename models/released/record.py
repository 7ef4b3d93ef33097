"""What a released network is: its noise, its law, its clock, and who says so.

The tensors of a uniform-state, a masked and a score network have one layout; only what is written
beside them, or the user, tells which it is. A `Record` keeps each answer with its source, and a
network of which something needed is said by nobody is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from am_theory.channel import Cosine, Linear, LogLinear
from models.errors import CheckpointError
from models.released.stated import CLOCKS, LAWS, NOISES, Stated

SCHEDULES: dict[str, Any] = {"log-linear": LogLinear, "linear": Linear, "cosine": Cosine}
NOBODY = "not said"
USER = "given"


class Said(NamedTuple):
    """An answer and where it was read: "config.json: graph.type", "given" or "not said"."""

    value: Any
    where: str = NOBODY

    def __str__(self) -> str:
        return NOBODY if self.value is None else f"{self.value} ({self.where})"


UNSAID = Said(None)


@dataclass(frozen=True)
class Record:
    """The answers.

    family : the code that the layout and the settings belong to.
    channel : "uniform", "absorbing" or "hybrid"; p_uniform : of hybrid noise.
    law : what the outputs are: "loo", "full", "score" or "dynamic".
    schedule : of the noise in training; a sentence where it is none of ours.
    time : what the network is told: "sigma", "t" or "nothing".
    training : algorithm or loss.
    mask_id : the mask's id in the network; vocab_size : ids that the noise draws, V.
    """

    family: str
    channel: Said = UNSAID
    p_uniform: Said = UNSAID
    law: Said = UNSAID
    schedule: Said = UNSAID
    time: Said = UNSAID
    training: Said = UNSAID
    mask_id: Said = UNSAID
    vocab_size: Said = UNSAID

    def answers(self) -> Iterator[tuple[str, Said]]:
        """Every answer but the family, by name."""
        for field in fields(self)[1:]:
            yield field.name, getattr(self, field.name)

    def __str__(self) -> str:
        """One line for a report."""
        noise = self.channel.value
        if self.p_uniform.value is not None:
            noise = f"{noise}, p = {self.p_uniform.value}"
        parts = [
            f"{noise} noise ({self.channel.where})",
            f"outputs read as {self.law.value} ({self.law.where})",
            f"told {self.time}",
            f"schedule {self.schedule}",
            f"training {self.training}",
        ]
        if self.mask_id.value is not None:
            parts.append(f"mask {self.mask_id}")
        return f"{self.family}: " + ", ".join(parts)


def agreed(file: Any, record: Record, stated: Stated) -> Record:
    """The record with what the user states; CheckpointError where the file says otherwise."""
    found = dict(record.answers())
    for name, value in stated.options().items():
        said = found[name]
        if said.value is None:
            found[name] = Said(value, USER)
        elif said.value != value:
            raise CheckpointError(
                f"{file} says {name} = {said}; `{name}` is {value}. Leave it out, or give a file "
                "that says so."
            )
    return Record(record.family, **found)


def complete(file: Any, record: Record) -> Record:
    """The record, if everything is in it that the laws depend on; else CheckpointError."""
    needed = {
        "channel": f"--channel {'|'.join(NOISES)}",
        "law": f"--law {'|'.join(LAWS)}",
        "time": f"--time {'|'.join(CLOCKS)}",
    }
    if record.channel.value == "hybrid":
        needed["p_uniform"] = "--p-uniform P"
    if record.channel.value in ("absorbing", "hybrid"):
        needed["mask_id"] = "--mask-id ID"
    answers = dict(record.answers())
    missing = [option for name, option in needed.items() if answers[name].value is None]
    told = (
        " (Law loo: trained on the NELBO; full: by cross-entropy on the clean token. Time: what "
        "the network is told of the noise level.)"
    )
    if missing:
        raise CheckpointError(
            f"{file} ({record.family}) does not say what its numbers mean, and networks of uniform "
            f"and of masked noise look alike: give {' and '.join(missing)}, as its authors state."
            + (told if needed["law"] in missing or needed["time"] in missing else "")
        )
    return record

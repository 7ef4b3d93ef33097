"""A training run watched: how much of it is memory, after every so many steps.

Rows of readings.jsonl and readings.csv in the run's folder, and a line for people; entropies and
log losses of the `loo` law in nats, means over tokens; `nan` is an empty field.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import CheckpointError
from models.released.checkpoint import load_model, save_model
from models.streams import stream
from models.tokens import Tokens, check_tokens
from models.training.log import Table
from models.training.memorized import (
    Bounded,
    Drawn,
    bounded,
    clearest,
    drawn,
    mean_of,
    memorized_share,
    order_parameter,
    told_apart,
)
from models.training.readings import LEVELS, SMALL_LEVEL, Reading, read
from models.training.sequences import copies_of

BEFORE = "model-before"  # weights of the last reading below the bound
MIDDLE = [k for k, t in enumerate(LEVELS) if t > SMALL_LEVEL]
SHOWN = 0.25  # level of the recoveries in the line for people
ENDS = ("", "_low", "_high")
SHARES = {"memory": order_parameter, "share": memorized_share, "told_apart": told_apart}
WHAT = ("recovery", "entropy", "log_loss", "calibration_gap")


def columns() -> tuple[str, ...]:
    """Names of what a row holds: M with the ends of its interval at the level where it is clearest,
    and that level; then everything by level (`models.training.memorized`)."""
    names = ["step", "seconds", *(f"memory{end}" for end in ENDS), "memory_t"]
    for k, t in enumerate(LEVELS):
        for split in ("train", "heldout"):
            names += [f"{what}_{split}_t{t:g}" for what in WHAT if k in MIDDLE or what != WHAT[0]]
        for what in SHARES:
            names += [f"{what}{end}_t{t:g}" for end in ENDS if k in MIDDLE]
    return tuple(names)


class Watch:
    """`models.training.train.Watch`: readings of fixed sequences on common noise, kept in a folder.

    every : steps between two readings. stop_at : a bound on M, the order parameter; the run has
    `stopped` when at some level the lower end of its interval, simultaneous over levels, is above
    it. The weights of the last reading before are then in model-before.* (`weights_before`).

    Raises TokenRangeError for sequences that the network cannot take.
    """

    def __init__(
        self,
        folder: Path,
        every: int,
        train: Tokens,
        heldout: Tokens,
        vocab_size: int,
        stop_at: float | None = None,
        seed: int = 0,
    ) -> None:
        self.every, self.stop_at = every, stop_at
        self._folder, self._seed = folder, seed
        self._train = check_tokens(train, vocab_size, train.shape[1], "train")
        self._heldout = check_tokens(heldout, vocab_size, train.shape[1], "held-out")
        self._table = Table(folder, "readings", columns())
        self._drawn = [
            drawn(stream(seed, "readings", "bootstrap", name), len(tokens))
            for name, tokens in (("train", train), ("heldout", heldout))
        ]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was read so far."""
        return self._table.rows

    @property
    def stopped(self) -> bool:
        """Whether the last reading is above the bound."""
        return bool(self.rows) and self._above(self.rows[-1])

    def resume(self, step: int) -> None:
        """Keep the readings up to a saved step."""
        self._table.resume(step)

    def __call__(self, step: int, model: Any) -> None:
        begun = time.monotonic()
        copies = copies_of(min(len(self._train), len(self._heldout)))
        train, heldout = (
            read(model, tokens, LEVELS, stream(self._seed, "readings", name), copies)
            for name, tokens in (("train", self._train), ("heldout", self._heldout))
        )
        numbers = dict(_numbers(train, heldout, *self._drawn))
        row: dict[str, Any] = {"step": step, "seconds": time.monotonic() - begun}
        row |= {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        if self.stop_at is not None and not self._above(row):
            save_model(model, self._folder / BEFORE, {"steps": step})
        self._table.add(row)  # last: a reading that is in the table has its weights
        print(told(row), flush=True)

    def weights_before(self) -> tuple[Any, int] | None:
        """The weights of the last reading below the bound and its step; None where the first one
        was above. Raises CheckpointError for a damaged file."""
        below = [row["step"] for row in self.rows if not self._above(row)]
        if not below:
            return None
        model, extra = load_model(self._folder / BEFORE)
        if extra.get("steps") != below[-1]:
            raise CheckpointError(
                f"{self._folder / BEFORE} has the weights of step {extra.get('steps')}, not of "
                f"{below[-1]}, the last reading below --stop-at {self.stop_at:g}: they were not "
                "kept. Train again in another folder with this bound."
            )
        return model, below[-1]

    def _above(self, row: dict[str, Any]) -> bool:
        low = row["memory_low"]
        return self.stop_at is not None and low is not None and low > self.stop_at


def _numbers(
    train: Reading, heldout: Reading, of_train: Drawn, of_heldout: Drawn
) -> Iterator[tuple[str, float]]:
    """All columns but the first two."""
    for what, measure in SHARES.items():
        draws = measure(train, heldout, of_train, of_heldout)[:, MIDDLE]
        if what == "memory":
            place, most = clearest(draws)
            yield from _ends(what, "", most)
            yield f"{what}_t", LEVELS[MIDDLE[place]] if place >= 0 else math.nan
        for column, k in enumerate(MIDDLE):
            yield from _ends(what, f"_t{LEVELS[k]:g}", bounded(draws[:, column]))
    for split, reading in (("train", train), ("heldout", heldout)):
        pairs = ("restored", "corrupted"), ("entropy", "sites"), ("log_loss", "sites")
        recovery, entropy, loss = (mean_of(reading, *names) for names in pairs)
        for what, values in zip(WHAT, (recovery, entropy, loss, loss - entropy), strict=True):
            for k in MIDDLE if what == WHAT[0] else range(len(LEVELS)):
                yield f"{what}_{split}_t{LEVELS[k]:g}", float(values[k])


def _ends(what: str, where: str, found: Bounded) -> Iterator[tuple[str, float]]:
    yield from ((f"{what}{end}{where}", value) for end, value in zip(ENDS, found, strict=True))


def told(row: dict[str, Any]) -> str:
    """A row in a line."""

    def words(name: str) -> str:
        value = row[name]
        return "?" if value is None else f"{value:.2f}"

    def interval(what: str, where: str = "") -> str:
        low, high, value = (words(f"{what}{end}{where}") for end in ("_low", "_high", ""))
        return f"{value} [{low}, {high}]"

    level, small = f"t{SHOWN:g}", f"t{SMALL_LEVEL:g}"
    at = "" if row["memory_t"] is None else f" at t = {row['memory_t']:g}"
    return (
        f"step {row['step']}  reading: M {interval('memory')}{at}; at t = {SHOWN:g}: sequences "
        f"memorized {interval('share', f'_{level}')}, recovery of train and held-out "
        f"{words(f'recovery_train_{level}')} {words(f'recovery_heldout_{level}')}; loo entropy as "
        f"t -> 0 {words(f'entropy_train_{small}')} {words(f'entropy_heldout_{small}')}"
    )

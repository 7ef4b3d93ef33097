"""The log of a training run: lines for people, log.jsonl and log.csv for tools."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.released.checkpoint import replace_file
from models.training.config import TrainConfig
from models.training.train import Progress

COLUMNS = (*(f.name for f in dataclasses.fields(Progress)), "tokens_per_second", "seconds")


class Table:
    """Rows of a run, kept in `<stem>.jsonl` and `<stem>.csv`; those of steps that a resumed run
    will do again are dropped."""

    def __init__(self, folder: Path, stem: str, columns: Sequence[str]) -> None:
        self.rows: list[dict[str, Any]] = []
        self._jsonl, self._csv = (folder / f"{stem}.{suffix}" for suffix in ("jsonl", "csv"))
        self._columns = columns
        if self._jsonl.exists():
            for line in self._jsonl.read_text().splitlines():
                row = _row(line, columns)
                if row is None:  # the last line of a killed process
                    break
                self.rows.append(row)

    def resume(self, step: int) -> None:
        """Keep the rows up to a saved step."""
        self.rows = [row for row in self.rows if row["step"] <= step]
        lines = "".join(json.dumps(row) + "\n" for row in self.rows)
        replace_file(self._jsonl, lines.encode())
        with open(self._csv, "w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(self.rows)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, which has the columns."""
        self.rows.append(row)
        with open(self._jsonl, "a") as file:
            file.write(json.dumps(row) + "\n")
        with open(self._csv, "a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)


def _row(line: str, columns: Sequence[str]) -> dict[str, Any] | None:
    """The row of these columns in a line, None where there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(row, dict) and set(row) == set(columns) and isinstance(row["step"], int)
    return row if known else None


class Log:
    """Lines of progress for people, and log.jsonl and log.csv for tools."""

    def __init__(self, folder: Path, config: TrainConfig, seq_len: int, events: Any) -> None:
        self._config, self._seq_len = config, seq_len
        self._table = Table(folder, "log", COLUMNS)
        self._events = events
        self._begun = time.monotonic()
        self._before = 0.0

    def resume(self, step: int) -> None:
        """Keep the rows up to a saved step."""
        self._table.resume(step)
        self._before = self._table.rows[-1]["seconds"] if self._table.rows else 0.0

    def __call__(self, progress: Progress) -> None:
        tokens = progress.steps_per_second * self._config.batch * self._seq_len
        seconds = self._before + time.monotonic() - self._begun
        row = dataclasses.asdict(progress) | {"tokens_per_second": tokens, "seconds": seconds}
        self._table.add(row)
        if self._events is not None:
            for name in ("loss", "gradient_norm", "learning_rate", "tokens_per_second"):
                self._events.add_scalar(f"train/{name}", row[name], progress.step)
        left = (progress.steps - progress.step) / progress.steps_per_second
        print(
            f"step {progress.step}/{progress.steps}  loss {progress.loss:.4f} nats/token  "
            f"gradient {progress.gradient_norm:.3g}  {progress.steps_per_second:.3g} steps/s  "
            f"{tokens:.3g} tokens/s  {_duration(left)} left",
            flush=True,
        )


def _duration(seconds: float) -> str:
    whole = math.ceil(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"

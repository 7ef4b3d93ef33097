"""The log of a training run: lines for people, log.jsonl and log.csv for tools."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

from models.released.checkpoint import replace_file
from models.training.config import TrainConfig
from models.training.train import Progress

COLUMNS = (*(f.name for f in dataclasses.fields(Progress)), "tokens_per_second", "seconds")


class Log:
    """Lines of progress for people, and log.jsonl and log.csv for tools; rows of steps that a
    resumed run will do again are dropped."""

    def __init__(self, folder: Path, config: TrainConfig, seq_len: int, events: Any) -> None:
        self._folder, self._config, self._seq_len = folder, config, seq_len
        self._rows: list[dict[str, float]] = []
        self._events = events
        self._begun = time.monotonic()
        self._before = 0.0
        jsonl = folder / "log.jsonl"
        if jsonl.exists():
            for line in jsonl.read_text().splitlines():
                try:
                    self._rows.append(json.loads(line))
                except json.JSONDecodeError:  # the last line of a killed process
                    break

    def resume(self, step: int) -> None:
        """Keep the rows up to a saved step."""
        self._rows = [row for row in self._rows if row["step"] <= step]
        self._before = self._rows[-1]["seconds"] if self._rows else 0.0
        lines = "".join(json.dumps(row) + "\n" for row in self._rows)
        replace_file(self._folder / "log.jsonl", lines.encode())
        with open(self._folder / "log.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self._rows)

    def __call__(self, progress: Progress) -> None:
        tokens = progress.steps_per_second * self._config.batch * self._seq_len
        seconds = self._before + time.monotonic() - self._begun
        row = dataclasses.asdict(progress) | {"tokens_per_second": tokens, "seconds": seconds}
        self._rows.append(row)
        with open(self._folder / "log.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")
        with open(self._folder / "log.csv", "a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)
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

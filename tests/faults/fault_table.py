"""The table of the fault tests: one row per kind of fault, kept until the code changes.

Rows lie in results/faults/rows, or in the folder that FAULTS_RESULTS names; rows of other versions
of the code are dropped.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from simulations.results.provenance import code_version

HEAD = ("fault", "trials", "lost results", "computed again", "were in flight", "equal", "seconds")


@dataclass
class Row:
    """What came of one kind of fault; `equal` is of the final data, `passed` of the whole test."""

    kind: str
    order: int
    trials: int = 0
    lost: int = 0
    again: int = 0
    flight: int = 0
    equal: bool = False
    seconds: float = 0.0
    passed: bool = False
    note: str = ""
    code: str = ""

    def words(self) -> list[str]:
        """Cells of the row."""
        equal = "yes" if self.equal else "NO"
        return [
            f"{self.kind}{'; ' if self.note else ''}{self.note}",
            str(self.trials),
            str(self.lost),
            str(self.again),
            str(self.flight),
            equal if self.passed else f"{equal} (test failed)",
            f"{self.seconds:.0f}",
        ]


def folder() -> Path:
    """Where the table lies."""
    return Path(os.environ.get("FAULTS_RESULTS", "results/faults"))


@contextmanager
def row(kind: str, order: int) -> Iterator[Row]:
    """A row to be filled in; it is kept also where the test fails."""
    made = Row(kind, order, code=code_version())
    begun = time.monotonic()
    try:
        yield made
        made.passed = True
    finally:
        made.seconds = time.monotonic() - begun
        rows = folder() / "rows"
        rows.mkdir(parents=True, exist_ok=True)
        (rows / f"{order:02d}.json").write_text(json.dumps(asdict(made)))


def write() -> str:
    """Put the rows of this version of the code together; returns the table as Markdown."""
    found = [Row(**json.loads(path.read_text())) for path in (folder() / "rows").glob("*.json")]
    kept = sorted((row for row in found if row.code == code_version()), key=lambda r: r.order)
    if not kept:
        return ""
    lines = [row.words() for row in kept]
    with open(folder() / "faults.csv", "w", newline="") as file:
        csv.writer(file).writerows([HEAD, *lines])
    table = [HEAD, ["---", *["---:"] * (len(HEAD) - 1)], *lines]
    text = "".join(f"| {' | '.join(words)} |\n" for words in table)
    (folder() / "faults.md").write_text(text)
    return text

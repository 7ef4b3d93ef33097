"""Every comparison of simulation with theory that deviates: its size, and its cause where known.

    python -m paper.disagreements                   # all rows, then the groups of the table
    python -m paper.disagreements --preset smoke

Rows come from the summaries of the runs; a row deviates when the 95 % interval of simulated less
predicted does not hold zero. Hypotheses with verdicts (scaling, novelty) have tables of their own.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paper.causes import Cause, cause_for
from paper.sources import RUNS, STAGES, Results
from simulations.measure.checks import Row
from simulations.results.files import ResultsError, write_text

AGREE, DEVIATE = "agree", "deviate"


@dataclass(frozen=True)
class Comparison(Row):
    """A row of theory against simulation, and the run it is of."""

    run: str

    @property
    def gap(self) -> float:
        return self.simulated - self.predicted


@dataclass(frozen=True)
class Group:
    """Rows of one run with one cause: how many were compared, which of them deviate."""

    run: str
    words: str
    why: str
    compared: int
    rows: tuple[Comparison, ...]

    @property
    def largest(self) -> Comparison:
        """The row of the largest difference."""
        return max(self.rows, key=lambda row: abs(row.gap) if math.isfinite(row.gap) else 0.0)


def comparisons(run: str, summary: Mapping[str, Any]) -> list[Comparison]:
    """All comparisons of a run, from its summary."""
    if run == "basins":
        return [c for point in summary["points"] for c in _point(point)]
    named = {"scaling": "linear", "novelty": "fresh_against_chance"}
    return [_row(run, row) for row in summary.get(named.get(run, "theory_against_simulation"), [])]


def _row(run: str, row: Mapping[str, Any]) -> Comparison:
    """A row of a summary, in which what is no number is a word."""
    simulated, predicted, low, high = (
        float(row[key]) for key in ("simulated", "predicted", "low", "high")
    )
    return Comparison(row["what"], simulated, predicted, low, high, row["verdict"], run)


def _point(point: Mapping[str, Any]) -> list[Comparison]:
    """The radius of a memory against theory; nothing where there is none to compare with."""
    if point["verdict"] == "–":
        return []
    radius, predicted = point["radii"][point["criterion"]], float(point["predicted"])
    value, low, high = (float(radius[key]) for key in ("value", "low", "high"))
    what = "{memory}, V = {vocab_size}, L = {seq_len}, K = {train_size}: radius".format(**point)
    verdict = AGREE if point["verdict"] == AGREE else DEVIATE
    return [
        Comparison(what, value, predicted, low - predicted, high - predicted, verdict, "basins")
    ]


def cause_of(row: Comparison) -> Cause:
    """What is known of the kind of row."""
    return cause_for(row.run, row.what)


def all_comparisons(results: Results) -> list[Comparison]:
    """Comparisons of every run that is there. Raises ResultsError."""
    return [
        row
        for name in results.there(RUNS)
        if name != "calibration"
        for row in comparisons(name, results.open(name).summary)
    ]


def groups(rows: Sequence[Comparison]) -> list[Group]:
    """Rows by run and cause, in their order, those with a row that deviates."""
    found: dict[tuple[str, str], list[Comparison]] = {}
    for row in rows:
        found.setdefault((row.run, cause_of(row).words), []).append(row)
    return [
        Group(run, words, cause_of(deviating[0]).why, len(part), deviating)
        for (run, words), part in found.items()
        if (deviating := tuple(row for row in part if row.verdict == DEVIATE))
    ]


def as_csv(rows: Sequence[Comparison]) -> str:
    """All rows that deviate, with their causes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "what", "simulated", "predicted", "gap", "low", "high", "cause"])
    for row in rows:
        if row.verdict == DEVIATE:
            numbers = (row.simulated, row.predicted, row.gap, row.low, row.high)
            cells = [f"{value:.6g}" for value in numbers]
            writer.writerow([row.run, row.what, *cells, cause_of(row).why])
    return text.getvalue()


def write(results: Results, build: Path) -> None:
    """Write disagreements.csv to `build`."""
    write_text(as_csv(all_comparisons(results)), build / "disagreements.csv")


def main(words: list[str]) -> int:
    """Print all rows that deviate, then how many of each group."""
    preset = words[1] if words[:1] == ["--preset"] and len(words) == 2 else "small"
    if (words and len(words) != 2) or preset not in STAGES:
        print(f"disagreements: --preset is one of {', '.join(STAGES)}.", file=sys.stderr)
        return 2
    try:
        rows = all_comparisons(Results(Path("results"), preset))
    except ResultsError as error:
        print(f"disagreements: {error}", file=sys.stderr)
        return 2
    print(as_csv(rows), end="")
    for group in groups(rows):
        print(f"# {group.run}: {group.words}: {len(group.rows)} of {group.compared} deviate")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

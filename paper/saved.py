"""The summaries of saved results that the text reads, with the command that makes each."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from paper.quantity import Number
from paper.sources import RUNS, Results
from simulations.results import ResultsError


class MissingSummaryError(ResultsError):
    """A results folder has no summary; the message is one sentence that names the command."""


class Saved:
    """Summaries of the runs under a results folder, at a stage of the appendix.

    Those of another configuration than today's are refused, as figures refuse their data.
    """

    def __init__(self, results: Path, stage: str) -> None:
        self.results = Results(results, stage)
        self.summary = cache(self._read)

    def has(self, run: str) -> bool:
        """Whether a run has been made; one that is optional may be absent."""
        return self._path(run).is_file()

    def command(self, run: str) -> str:
        """The command line that makes the results of a run."""
        return RUNS[run].command(self.results.root, self.results.preset_of(run))

    def number(self, run: str, key: str, text: str, what: str) -> Number:
        """A number of the text that stands in the summary of a run."""
        return Number(key, text, what, self.command(run))

    def _path(self, run: str) -> Path:
        place = RUNS[run].place(self.results.root, self.results.preset_of(run))
        return place / "summary.json"

    def _read(self, run: str) -> dict[str, Any]:
        path = self._path(run)
        if not path.is_file():
            raise MissingSummaryError(f"There is no {path}; make it by `{self.command(run)}`.")
        self.results.open(run)
        found: dict[str, Any] = json.loads(path.read_text())
        return found

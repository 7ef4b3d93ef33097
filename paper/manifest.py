"""Where every figure and table comes from: command, results folder, configuration hash, commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paper.sources import RUNS, Results
from simulations.results.files import write_text

NAME = "manifest.json"


def source_of(results: Results, run: str) -> dict[str, str]:
    """What makes the results of a run, and what they are signed with."""
    found = results.open(run)
    attrs = found.data.attrs
    return {
        "command": found.command,
        "folder": str(found.folder),
        "configuration": str(attrs["config_hash"]),
        "contents": str(attrs.get("content_digest", "")),
        "commit": str(attrs["commit"]),
    }


def write(results: Results, build: Path, items: Mapping[str, Sequence[str]]) -> None:
    """Write manifest.json. items : of every file in `build`, the runs it is drawn from."""
    used = {run for runs in items.values() for run in results.there(runs)}
    found: dict[str, Any] = {
        "preset": results.stage,
        "runs": {run: source_of(results, run) for run in RUNS if run in used},
        "files": {
            name: {"runs": results.there(runs), "sha256": _sha256(build / name)}
            for name, runs in sorted(items.items())
        },
    }
    write_text(json.dumps(found, indent=2) + "\n", build / NAME)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

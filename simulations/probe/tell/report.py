"""report.md, summary.json, report.html, tables and figures of a probe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xarray as xr

from models.streams import stream
from simulations.measure.tables import to_json
from simulations.probe.audit.audit import Audit, audit
from simulations.probe.judge.statistics import Statistics, statistics
from simulations.probe.judge.verdict import Verdict
from simulations.probe.tell.audit import audit_sections
from simulations.probe.tell.excerpts import Decode, most_memorized, restored
from simulations.probe.tell.html import write_html
from simulations.probe.tell.leaks import leak_sections, leaks_in_numbers
from simulations.probe.tell.markdown import write_markdown
from simulations.probe.tell.page import Page, Picture, Section
from simulations.probe.tell.sections import (
    definitions,
    result_sections,
    short_section,
    source_section,
    verdict_sections,
    warnings_of,
)
from simulations.probe.tell.tables import write_tables
from simulations.results.files import write_text

TITLE = "Does this model memorize?"


def write_reports(
    data: xr.Dataset,
    verdicts: Sequence[Verdict],
    decode: Decode,
    out: Path,
    figures: bool = True,
) -> None:
    """Write report.md, report.html, summary.json, tables and figures to a folder.

    decode : from tokens (L,) to text. The first verdict is the headline.
    """
    settings = json.loads(data.attrs.get("configuration", "{}"))
    rng = stream(data.attrs["root_seed"], "report")
    found = statistics(data, rng, int(settings.get("replicates", 1000)))
    audited = audit(data, stream(data.attrs["root_seed"], "audit"), found.replicates)
    attractors = next((v.attractors for v in verdicts if v.attractors is not None), None)
    pictures: list[Picture] = []
    if figures:
        from simulations.probe.tell.figures import draw_all

        pictures = draw_all(data, found, out)
    sections = [
        *verdict_sections(verdicts),
        short_section(data, found),
        *audit_sections(audited),
        Section("Figures", pictures=pictures),
        *(
            Section(f"Most memorized sequences: {split}", memorized=rows)
            for split, rows in most_memorized(data, decode, attractors).items()
        ),
        Section("Restored sequences", restored=restored(data, decode)),
        *result_sections(data, found),
        *leak_sections(data, found.replicates),
        definitions(data, found),
        source_section(data, write_tables(data, out)),
    ]
    first = verdicts[0]
    headline = (first.label, first.sentence)
    filled = [section for section in sections if not section.empty]
    page = Page(TITLE, headline, str(data.attrs.get("read", "")), warnings_of(data), filled)
    write_text(write_markdown(page), out / "report.md")
    write_text(write_html(page), out / "report.html")
    write_text(to_json(summary(data, verdicts, found, audited)), out / "summary.json")


def summary(
    data: xr.Dataset, verdicts: Sequence[Verdict], found: Statistics, audited: Audit | None = None
) -> dict[str, Any]:
    """Everything in numbers, for a program to read."""
    skipped = {"configuration", "content_digest"}
    return {
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "configuration": json.loads(data.attrs.get("configuration", "{}")),
        "about": {k: v for k, v in data.attrs.items() if k not in skipped},
        "statistics": asdict(found),
        "audit": None if audited is None else asdict(audited),
        **leaks_in_numbers(data, found.replicates),
    }
